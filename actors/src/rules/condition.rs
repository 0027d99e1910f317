//! From a condition's text to typed nodes, with every mistake named.
//!
//! The crate `cel` parses; what conditions may say is then checked here against the types of the contract, so
//! that a mistake shows when a rule file is read and not months later on the first event it meets. Accepted is
//! the part of CEL whose cost is bounded by the expression's and the event's size: no macros over lists, no
//! regular expressions, no building of texts, lists or maps. `field` knows the names, `eval` evaluates.

use std::sync::Arc;

use cel::{
    Program,
    common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators},
};

use super::{
    eval::{Mention, Node, Operator, Order, TextTest, Trouble},
    field::{Field, Kind, Scope, Topic},
    keywords::Keywords,
    suggest::hint,
};

/// Longest condition, in bytes.
pub const CONDITION_BYTES_MAX: usize = 4_096;

/// Deepest nesting of brackets and of operators: bounds the stack of parser and evaluation.
pub const NESTING_MAX: usize = 32;

/// What functions a condition can call, for suggestions.
const FUNCTIONS: [&str; 8] = [
    "mentions",
    "has",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "double",
];

/// A compiled condition, or a compiled expression for points.
#[derive(Clone, Debug)]
pub struct Condition {
    root: Node,
    mentions: Vec<Arc<Mention>>,
}

/// One thing wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands, in characters from the condition's start, if that is known.
    pub at: Option<usize>,
    /// What is wrong and what would be right.
    pub what: String,
}

impl Condition {
    /// Compiles a condition over the events of `topic`: an expression that is a bool.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn compile(text: &str, topic: Topic) -> Result<Self, Vec<Mistake>> {
        Self::compile_as(text, topic, "a condition is a bool", |kind| {
            matches!(kind, Kind::Bool | Kind::Any)
        })
    }

    /// Compiles an expression for points over the events of `topic`: one that is a number.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn compile_points(text: &str, topic: Topic) -> Result<Self, Vec<Mistake>> {
        Self::compile_as(text, topic, "points are a number", |kind| {
            matches!(kind, Kind::Int | Kind::Double | Kind::Any)
        })
    }

    fn compile_as(
        text: &str,
        topic: Topic,
        wanted: &str,
        fits: impl Fn(Kind) -> bool,
    ) -> Result<Self, Vec<Mistake>> {
        let mistake = |at, what| Err(vec![Mistake { at, what }]);
        if text.trim().is_empty() {
            return mistake(None, format!("the expression is empty; {wanted}"));
        }
        if text.len() > CONDITION_BYTES_MAX {
            let found = text.len();
            return mistake(
                None,
                format!("the expression has {found} bytes; allowed are {CONDITION_BYTES_MAX}"),
            );
        }
        if let Some(at) = too_deep(text) {
            return mistake(
                Some(at),
                format!("brackets nest deeper than {NESTING_MAX} levels"),
            );
        }
        let program = Program::compile(text).map_err(|errors| syntax(text, &errors))?;
        let mut compiler = Compiler {
            topic,
            source: program.source_info(),
            mistakes: Vec::new(),
            mentions: Vec::new(),
        };
        let typed = compiler.node(program.expression(), 0);
        match typed {
            Some((root, kind)) if compiler.mistakes.is_empty() => {
                if !fits(kind) {
                    return mistake(None, format!("{wanted}, this is {}", kind.name()));
                }
                Ok(Self {
                    root,
                    mentions: compiler.mentions,
                })
            }
            Some(_) | None => Err(compiler.mistakes),
        }
    }

    /// Whether it holds.
    pub fn holds<'a>(&'a self, scope: &Scope<'a>) -> Result<bool, Trouble> {
        self.root.holds(scope)
    }

    /// Its value as whole points.
    pub fn points<'a>(&'a self, scope: &Scope<'a>) -> Result<i32, Trouble> {
        self.root.points(scope)
    }

    /// The keywords that its `mentions(..)` find, each once, in the rule's order: all of them, also those that
    /// the condition did not need in order to hold.
    pub fn keywords<'a>(&'a self, scope: &Scope<'a>) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for mention in &self.mentions {
            let Ok(super::field::Value::Text(text)) = mention.text.value(scope) else {
                continue;
            };
            for keyword in mention.keywords.all_in(text) {
                if !found.iter().any(|known| known == keyword) {
                    found.push(keyword.to_owned());
                }
            }
        }
        found
    }
}

/// Where brackets, outside of texts, nest deeper than allowed; in characters from the start.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.chars().enumerate() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        if depth > NESTING_MAX {
            return Some(at);
        }
    }
    None
}

/// The parser's errors, without its lists of every token that might have followed.
fn syntax(text: &str, errors: &cel::ParseErrors) -> Vec<Mistake> {
    let mistakes = errors.errors.iter().map(|error| {
        let what = error.msg.split(" expecting ").next().unwrap_or_default();
        let what = what.strip_prefix("Syntax error: ").unwrap_or(what);
        let (line, column) = error.pos;
        let lines = text.split_inclusive('\n');
        let before = usize::try_from(line - 1).unwrap_or(0);
        let start: usize = lines.take(before).map(|line| line.chars().count()).sum();
        Mistake {
            at: Some(start + usize::try_from(column - 1).unwrap_or(0)),
            what: format!("not CEL: {what}"),
        }
    });
    // One slip makes the parser stumble several times; the first is where to look.
    mistakes.take(1).collect()
}

struct Compiler<'a> {
    topic: Topic,
    source: &'a SourceInfo,
    mistakes: Vec<Mistake>,
    mentions: Vec<Arc<Mention>>,
}

type Typed = (Node, Kind);

impl Compiler<'_> {
    fn wrong(&mut self, at: &IdedExpr, what: impl Into<String>) -> Option<Typed> {
        self.mistakes.push(Mistake {
            at: self
                .source
                .offset_for(at.id)
                .map(|(start, _)| start as usize),
            what: what.into(),
        });
        None
    }

    fn node(&mut self, expr: &IdedExpr, depth: usize) -> Option<Typed> {
        if depth > NESTING_MAX {
            return self.wrong(
                expr,
                format!("operators nest deeper than {NESTING_MAX} levels"),
            );
        }
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(_) | Expr::Select(SelectExpr { test: false, .. }) => self.path(expr),
            Expr::Select(SelectExpr {
                operand,
                field,
                test: true,
            }) => self.has(expr, operand, field),
            Expr::Call(call) => self.call(expr, call, depth + 1),
            Expr::List(_) => self.wrong(
                expr,
                "a list can stand right of `in` and in `mentions(..)` only",
            ),
            Expr::Comprehension(_) => self.wrong(
                expr,
                "conditions have no macros over lists; ask for one element with `\"x\" in event.tags`",
            ),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.wrong(expr, "conditions build no maps or messages")
            }
        }
    }

    fn literal(&mut self, expr: &IdedExpr, literal: &LiteralValue) -> Option<Typed> {
        match literal {
            LiteralValue::Boolean(b) => Some((Node::Bool(*b.inner()), Kind::Bool)),
            LiteralValue::Int(n) => Some((Node::Int(*n.inner()), Kind::Int)),
            LiteralValue::Double(n) => Some((Node::Double(*n.inner()), Kind::Double)),
            LiteralValue::String(text) => Some((Node::Text(text.inner().into()), Kind::Text)),
            LiteralValue::UInt(n) => {
                let n = n.inner();
                self.wrong(expr, format!("numbers are ints and doubles: write `{n}`"))
            }
            LiteralValue::Null => self.wrong(
                expr,
                "nothing is null: ask with `has(..)` whether a field is there",
            ),
            LiteralValue::Bytes(_) => self.wrong(expr, "no field holds bytes: write a string"),
        }
    }

    /// `event.a.b`, `event["a"]`, `agent.a` as a field or an answer.
    fn path(&mut self, expr: &IdedExpr) -> Option<Typed> {
        match self.resolve(expr)? {
            Named::Field(field) if field.kind == Kind::Object => self.wrong(
                expr,
                format!("`{}` is an object: name one of its fields", field.path),
            ),
            Named::Field(field) => Some((Node::Field(field), field.kind)),
            Named::Answer(key) => Some((Node::Answer(key), Kind::Any)),
        }
    }

    fn has(&mut self, expr: &IdedExpr, operand: &IdedExpr, field: &str) -> Option<Typed> {
        let Some(mut path) = spelled(operand) else {
            return self.wrong(expr, "`has(..)` takes a field: `has(event.comment)`");
        };
        path.push(field);
        match self.named(expr, &path)? {
            // As in CEL: `has(event.customer.phone)` has no answer where there is no `event.customer`.
            Named::Field(field) => {
                let has = Node::HasField(field);
                let parent = field.path.rsplit_once('.').map(|(parent, _)| parent);
                let object = parent.and_then(|path| self.field(path));
                let node = match object {
                    Some(object) => {
                        Node::If(Box::new([Node::HasField(object), has, Node::Field(object)]))
                    }
                    None => has,
                };
                Some((node, Kind::Bool))
            }
            Named::Answer(key) => Some((Node::HasAnswer(key), Kind::Bool)),
        }
    }

    fn resolve(&mut self, expr: &IdedExpr) -> Option<Named> {
        let Some(path) = spelled(expr) else {
            self.wrong(expr, "only a field can be selected: `event.comment`");
            return None;
        };
        self.named(expr, &path)
    }

    fn field(&self, path: &str) -> Option<&'static Field> {
        self.topic.fields().iter().find(|field| field.path == path)
    }

    fn named(&mut self, expr: &IdedExpr, path: &[&str]) -> Option<Named> {
        let (actor, figures) = self.topic.figures();
        let type_name = self.topic.type_name();
        let (variable, rest) = path.split_first()?;
        let (fields, owner) = match *variable {
            "event" => (self.topic.fields(), format!("`{type_name}`")),
            name if name == actor => (figures, format!("`{actor}`")),
            other => {
                let near = hint(other, ["event", actor]);
                self.wrong(
                    expr,
                    format!("unknown variable `{other}` in a rule on `{type_name}`; {near}"),
                );
                return None;
            }
        };
        if rest.is_empty() {
            let example = fields.first().map_or("", |field| field.path);
            self.wrong(
                expr,
                format!(
                    "`{variable}` is an object: name one of its fields, `{variable}.{example}`"
                ),
            );
            return None;
        }
        let joined = rest.join(".");
        if let Some(field) = fields.iter().find(|field| field.path == joined) {
            return Some(Named::Field(field));
        }
        if let ["answers", key] = rest
            && fields.iter().any(|field| field.kind == Kind::Answers)
        {
            return Some(Named::Answer((*key).into()));
        }
        let near = hint(&joined, fields.iter().map(|field| field.path));
        self.wrong(expr, format!("{owner} has no field `{joined}`; {near}"));
        None
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr, depth: usize) -> Option<Typed> {
        match (
            call.func_name.as_str(),
            call.target.as_deref(),
            call.args.as_slice(),
        ) {
            (operators::LOGICAL_NOT, None, [a]) => {
                let a = self.bool(a, "!", depth)?;
                Some((Node::Not(Box::new(a)), Kind::Bool))
            }
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), None, [a, b]) => {
                let sign = &name[1..name.len() - 1];
                // A chain of the same operator is one level, however long it is.
                let a = self.bool(a, sign, same_chain(a, name, depth));
                let b = self.bool(b, sign, same_chain(b, name, depth));
                let ab = Box::new([a?, b?]);
                let node = if name == operators::LOGICAL_AND {
                    Node::And(ab)
                } else {
                    Node::Or(ab)
                };
                Some((node, Kind::Bool))
            }
            (operators::CONDITIONAL, None, [a, b, c]) => {
                let a = self.bool(a, "? :", depth);
                let (b, c) = (self.node(b, depth), self.node(c, depth));
                let (a, (b, of_b), (c, of_c)) = (a?, b?, c?);
                if of_b != of_c && of_b != Kind::Any && of_c != Kind::Any {
                    let (b, c) = (of_b.name(), of_c.name());
                    return self.wrong(
                        expr,
                        format!("both sides of `:` are of one type, here they are {b} and {c}"),
                    );
                }
                let kind = if of_b == of_c { of_b } else { Kind::Any };
                Some((Node::If(Box::new([a, b, c])), kind))
            }
            (name, None, [a, b]) if comparison(name).is_some() => {
                let (a, b) = (self.node(a, depth), self.node(b, depth));
                self.compare(expr, name, a?, b?)
            }
            (name, None, [a, b]) if arithmetic(name).is_some() => {
                let (a, b) = (self.node(a, depth), self.node(b, depth));
                self.arithmetic(expr, name, a?, b?)
            }
            (operators::NEGATE, None, [a]) => match self.node(a, depth)? {
                (a, kind @ (Kind::Int | Kind::Double | Kind::Any)) => {
                    Some((Node::Negate(Box::new(a)), kind))
                }
                (_, kind) => self.wrong(expr, format!("`-` takes a number, not {}", kind.name())),
            },
            (operators::IN, None, [a, b]) => {
                let a = self.node(a, depth);
                self.is_in(expr, a, b, depth)
            }
            (operators::INDEX, None, [_, _]) => self.path(expr),
            ("mentions", None, args) => self.mentions(expr, args, depth),
            ("size", None, [a]) | ("size", Some(a), []) => match self.node(a, depth)? {
                (a, Kind::Text | Kind::Texts | Kind::Answers | Kind::Any) => {
                    Some((Node::Size(Box::new(a)), Kind::Int))
                }
                (_, kind) => {
                    let found = kind.name();
                    self.wrong(
                        expr,
                        format!("`size` takes a string or a list, not {found}"),
                    )
                }
            },
            (name @ ("contains" | "startsWith" | "endsWith"), Some(a), [b]) => {
                let a = self.node(a, depth);
                let b = self.node(b, depth);
                let ((a, of_a), (b, of_b)) = (a?, b?);
                if let Some(other) = [of_a, of_b]
                    .into_iter()
                    .find(|kind| !matches!(kind, Kind::Text | Kind::Any))
                {
                    let found = other.name();
                    return self.wrong(expr, format!("`{name}` takes strings, not {found}"));
                }
                let test = match name {
                    "contains" => TextTest::Contains,
                    "startsWith" => TextTest::StartsWith,
                    _ends_with => TextTest::EndsWith,
                };
                Some((Node::TextTest(test, Box::new([a, b])), Kind::Bool))
            }
            (name @ ("int" | "double"), None, [a]) => match self.node(a, depth)? {
                (a, Kind::Int | Kind::Double | Kind::Text | Kind::Any) if name == "int" => {
                    Some((Node::ToInt(Box::new(a)), Kind::Int))
                }
                (a, Kind::Int | Kind::Double | Kind::Text | Kind::Any) => {
                    Some((Node::ToDouble(Box::new(a)), Kind::Double))
                }
                (_, kind) => {
                    let found = kind.name();
                    self.wrong(
                        expr,
                        format!("`{name}` takes a number or a string, not {found}"),
                    )
                }
            },
            (name, ..) => self.wrong(expr, unknown_function(name)),
        }
    }

    fn bool(&mut self, expr: &IdedExpr, sign: &str, depth: usize) -> Option<Node> {
        match self.node(expr, depth)? {
            (node, Kind::Bool | Kind::Any) => Some(node),
            (_, kind) => {
                self.wrong(expr, format!("`{sign}` takes bools, not {}", kind.name()));
                None
            }
        }
    }

    fn compare(&mut self, expr: &IdedExpr, name: &str, a: Typed, b: Typed) -> Option<Typed> {
        let ((a, of_a), (b, of_b)) = (a, b);
        let sign = &name[1..name.len() - 1];
        let comparison = comparison(name)?;
        let equality = !matches!(comparison, Comparison::Ordered(_));
        let fits = |kind| match kind {
            Kind::Int | Kind::Double | Kind::Text | Kind::Any => true,
            Kind::Bool => equality,
            Kind::Texts | Kind::Answers | Kind::Object => false,
        };
        if let Some(other) = [of_a, of_b].into_iter().find(|kind| !fits(*kind)) {
            let found = other.name();
            return self.wrong(expr, format!("`{sign}` does not compare {found}"));
        }
        if !comparable(of_a, of_b) {
            let (a, b) = (of_a.name(), of_b.name());
            return self.wrong(expr, format!("`{sign}` does not compare {a} with {b}"));
        }
        let ab = Box::new([a, b]);
        let node = match comparison {
            Comparison::Equal => Node::Equal(ab),
            Comparison::Unequal => Node::Unequal(ab),
            Comparison::Ordered(order) => Node::Compare(order, ab),
        };
        Some((node, Kind::Bool))
    }

    fn arithmetic(&mut self, expr: &IdedExpr, name: &str, a: Typed, b: Typed) -> Option<Typed> {
        let ((a, of_a), (b, of_b)) = (a, b);
        let operator = arithmetic(name)?;
        let sign = &name[1..name.len() - 1];
        let kind = match (of_a, of_b) {
            (Kind::Int, Kind::Int) => Kind::Int,
            (Kind::Double | Kind::Any, Kind::Double | Kind::Any)
                if !matches!(operator, Operator::Remainder) =>
            {
                Kind::Double
            }
            (Kind::Int, Kind::Double | Kind::Any) | (Kind::Double | Kind::Any, Kind::Int) => {
                return self.wrong(
                    expr,
                    format!(
                        "`{sign}` does not mix ints and doubles (answers' numbers are doubles): \
                         write `2.0`, or convert with `double(..)` or `int(..)`"
                    ),
                );
            }
            (Kind::Text, Kind::Text) => {
                return self.wrong(expr, "conditions build no strings");
            }
            (a, b) => {
                let (a, b) = (a.name(), b.name());
                return self.wrong(expr, format!("`{sign}` does not take {a} and {b}"));
            }
        };
        Some((Node::Arithmetic(operator, Box::new([a, b])), kind))
    }

    fn is_in(
        &mut self,
        expr: &IdedExpr,
        element: Option<Typed>,
        container: &IdedExpr,
        depth: usize,
    ) -> Option<Typed> {
        if let Expr::List(list) = &container.expr {
            let mut literals = Vec::new();
            for literal in &list.elements {
                let (node, kind) = match &literal.expr {
                    Expr::Literal(value) => self.literal(literal, value)?,
                    _no_literal => {
                        return self.wrong(literal, "the list right of `in` holds literals only");
                    }
                };
                if let Some((_, of_element)) = &element
                    && !comparable(*of_element, kind)
                {
                    let (a, b) = (of_element.name(), kind.name());
                    return self.wrong(literal, format!("`in` does not compare {a} with {b}"));
                }
                literals.push(node);
            }
            let (element, kind) = element?;
            if matches!(kind, Kind::Texts | Kind::Answers | Kind::Object) {
                return self.wrong(expr, format!("`in` does not look for {}", kind.name()));
            }
            let node = Node::InLiterals(Box::new(element), literals.into());
            return Some((node, Kind::Bool));
        }
        let container = self.node(container, depth);
        let ((element, of_element), (container, of_container)) = (element?, container?);
        match (of_element, of_container) {
            (Kind::Text | Kind::Any, Kind::Texts | Kind::Answers)
            | (Kind::Text | Kind::Any | Kind::Int | Kind::Double | Kind::Bool, Kind::Any) => {
                Some((Node::In(Box::new([element, container])), Kind::Bool))
            }
            (Kind::Text, Kind::Text) => self.wrong(
                expr,
                "`in` looks in lists; whether a string holds another, ask with `a.contains(b)`",
            ),
            (a, b) => {
                let (a, b) = (a.name(), b.name());
                self.wrong(expr, format!("`in` does not look for {a} in {b}"))
            }
        }
    }

    fn mentions(&mut self, expr: &IdedExpr, args: &[IdedExpr], depth: usize) -> Option<Typed> {
        const USE: &str = "write `mentions(event.comment, [\"word\", \"two words\"])`";
        let [text, words] = args else {
            let found = args.len();
            return self.wrong(
                expr,
                format!("`mentions` takes 2 arguments, not {found}: {USE}"),
            );
        };
        let typed = self.node(text, depth);
        let Expr::List(list) = &words.expr else {
            return self.wrong(words, format!("the keywords are a list of literals: {USE}"));
        };
        let spellings = list.elements.iter().map(|element| match &element.expr {
            Expr::Literal(LiteralValue::String(word)) => Some(word.inner()),
            _no_text => None,
        });
        let Some(spellings) = spellings.collect::<Option<Vec<&str>>>() else {
            return self.wrong(words, format!("the keywords are literal strings: {USE}"));
        };
        let keywords = match Keywords::new(spellings) {
            Ok(keywords) => keywords,
            Err(what) => return self.wrong(words, what),
        };
        let (node, kind) = typed?;
        if !matches!(kind, Kind::Text | Kind::Any) {
            let found = kind.name();
            return self.wrong(
                text,
                format!("`mentions` looks in a string, not {found}: {USE}"),
            );
        }
        let mention = Arc::new(Mention {
            text: node,
            keywords,
        });
        self.mentions.push(Arc::clone(&mention));
        Some((Node::Mentions(mention), Kind::Bool))
    }
}

/// What a path names.
enum Named {
    Field(&'static Field),
    Answer(Box<str>),
}

/// The path that `event.a.b` or `event.a["b"]` spells, root first.
fn spelled(expr: &IdedExpr) -> Option<Vec<&str>> {
    let mut path = Vec::new();
    let mut expr = expr;
    loop {
        match &expr.expr {
            Expr::Ident(name) => {
                path.push(name.as_str());
                path.reverse();
                return Some(path);
            }
            Expr::Select(SelectExpr {
                operand,
                field,
                test: false,
            }) => {
                path.push(field);
                expr = operand;
            }
            Expr::Call(CallExpr {
                func_name,
                target: None,
                args,
            }) if func_name == operators::INDEX => {
                let [operand, index] = args.as_slice() else {
                    return None;
                };
                let Expr::Literal(LiteralValue::String(key)) = &index.expr else {
                    return None;
                };
                path.push(key.inner());
                expr = operand;
            }
            _no_path => return None,
        }
    }
}

/// The level of an operand of `&&` or `||`: a chain of one of them is a balanced tree, which costs no depth.
fn same_chain(operand: &IdedExpr, name: &str, depth: usize) -> usize {
    match &operand.expr {
        Expr::Call(call) if call.func_name == name => depth - 1,
        _other => depth,
    }
}

/// The operators that compare two values.
enum Comparison {
    Equal,
    Unequal,
    Ordered(Order),
}

fn comparison(name: &str) -> Option<Comparison> {
    match name {
        operators::EQUALS => Some(Comparison::Equal),
        operators::NOT_EQUALS => Some(Comparison::Unequal),
        operators::LESS => Some(Comparison::Ordered(Order::Less)),
        operators::LESS_EQUALS => Some(Comparison::Ordered(Order::LessEqual)),
        operators::GREATER => Some(Comparison::Ordered(Order::Greater)),
        operators::GREATER_EQUALS => Some(Comparison::Ordered(Order::GreaterEqual)),
        _other => None,
    }
}

fn arithmetic(name: &str) -> Option<Operator> {
    match name {
        operators::ADD => Some(Operator::Add),
        operators::SUBSTRACT => Some(Operator::Subtract),
        operators::MULTIPLY => Some(Operator::Multiply),
        operators::DIVIDE => Some(Operator::Divide),
        operators::MODULO => Some(Operator::Remainder),
        _other => None,
    }
}

/// Whether values of these types can be equal, and be ordered.
const fn comparable(a: Kind, b: Kind) -> bool {
    matches!(
        (a, b),
        (Kind::Int | Kind::Double, Kind::Int | Kind::Double)
            | (Kind::Text, Kind::Text)
            | (Kind::Bool, Kind::Bool)
            | (Kind::Any, _)
            | (_, Kind::Any)
    )
}

fn unknown_function(name: &str) -> String {
    match name {
        "matches" => "conditions have no regular expressions; look for words with `mentions(..)`, \
                      or for a part with `contains`, `startsWith`, `endsWith`"
            .into(),
        known if FUNCTIONS.contains(&known) => {
            let usage = match known {
                "contains" | "startsWith" | "endsWith" => format!("`event.comment.{known}(\"x\")`"),
                field @ ("has" | "size") => format!("`{field}(event.comment)`"),
                number => format!("`{number}(event.answers.nps)`"),
            };
            format!("`{known}` is called as {usage}")
        }
        unknown => format!("unknown function `{unknown}`; {}", hint(unknown, FUNCTIONS)),
    }
}
