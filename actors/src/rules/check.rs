//! From a parsed condition to typed nodes, with every mistake named.
//!
//! What conditions may say is checked against the types of the contract, so that a mistake shows when a rule
//! file is read and not months later on the first event it meets. Accepted is the part of CEL whose cost is
//! bounded by the expression's and the event's size: no macros over lists, no regular expressions, no building
//! of texts, lists or maps. `field` knows the names, `eval` what the nodes mean.

use std::sync::Arc;

use super::{
    condition::Mistake,
    eval::{Mention, Node, Operator, Order, TextTest},
    field::{Field, Kind, Topic},
    functions::unknown_function,
    keywords::Keywords,
    suggest::hint,
    syntax::{Expr, Form},
    token::Sign,
};

/// A condition being checked.
pub struct Checker {
    topic: Topic,
    /// What is wrong with it.
    pub mistakes: Vec<Mistake>,
    /// Its `mentions(..)`.
    pub mentions: Vec<Arc<Mention>>,
    /// Names in the event's data that its paths begin with, each once.
    pub reads: Vec<&'static str>,
}

type Typed = (Node, Kind);

impl Checker {
    /// Checks conditions over the events of `topic`.
    pub const fn new(topic: Topic) -> Self {
        Self {
            topic,
            mistakes: Vec::new(),
            mentions: Vec::new(),
            reads: Vec::new(),
        }
    }

    fn wrong(&mut self, at: &Expr, what: impl Into<String>) -> Option<Typed> {
        self.mistakes.push(Mistake {
            at: Some(at.at),
            what: what.into(),
        });
        None
    }

    /// Types an expression; `None` if something in it is wrong, and then the mistakes say what.
    pub fn node(&mut self, expr: &Expr) -> Option<Typed> {
        match &expr.form {
            Form::Bool(b) => Some((Node::Bool(*b), Kind::Bool)),
            Form::Int(n) => Some((Node::Int(*n), Kind::Int)),
            Form::Double(n) => Some((Node::Double(*n), Kind::Double)),
            Form::Text(text) => Some((Node::Text(text.as_str().into()), Kind::Text)),
            Form::Name(_) | Form::Select(..) | Form::Index(_) => self.path(expr),
            Form::Call { name, target, args } => self.call(expr, name, target.as_deref(), args),
            Form::Not(a) => {
                let a = self.bool(a, Sign::Not)?;
                Some((Node::Not(Box::new(a)), Kind::Bool))
            }
            Form::Negate(a) => match self.node(a)? {
                (a, kind @ (Kind::Int | Kind::Double | Kind::Any)) => {
                    Some((Node::Negate(Box::new(a)), kind))
                }
                (_, kind) => self.wrong(expr, format!("`-` takes a number, not {}", kind.name())),
            },
            Form::Chain(sign, parts) => {
                // Every part is looked at, so that the mistakes of all of them show at once.
                let nodes: Vec<Option<Node>> =
                    parts.iter().map(|part| self.bool(part, *sign)).collect();
                let nodes = nodes.into_iter().collect::<Option<Box<[Node]>>>()?;
                let node = match sign {
                    Sign::And => Node::And(nodes),
                    _or => Node::Or(nodes),
                };
                Some((node, Kind::Bool))
            }
            Form::Binary(Sign::In, ab) => self.is_in(expr, &ab[0], &ab[1]),
            Form::Binary(sign, ab) => {
                let (a, b) = (self.node(&ab[0]), self.node(&ab[1]));
                match arithmetic(*sign) {
                    Some(operator) => self.arithmetic(expr, *sign, operator, [a?, b?]),
                    None => self.compare(expr, *sign, a?, b?),
                }
            }
            Form::If(abc) => self.ternary(expr, abc),
            Form::List(_) => self.wrong(
                expr,
                "a list can stand right of `in` and in `mentions(..)` only",
            ),
        }
    }

    fn ternary(&mut self, expr: &Expr, abc: &[Expr; 3]) -> Option<Typed> {
        let a = self.bool(&abc[0], Sign::Question);
        let (b, c) = (self.node(&abc[1]), self.node(&abc[2]));
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

    /// `event.a.b`, `event["a"]`, `agent.a` as a field or an answer.
    fn path(&mut self, expr: &Expr) -> Option<Typed> {
        match self.resolve(expr)? {
            Named::Field(field) if field.kind == Kind::Object => self.wrong(
                expr,
                format!("`{}` is an object: name one of its fields", field.path),
            ),
            Named::Field(field) => Some((Node::Field(field), field.kind)),
            Named::Answer(key) => Some((Node::Answer(key), Kind::Any)),
        }
    }

    fn has(&mut self, expr: &Expr, field: &Expr) -> Option<Typed> {
        if !matches!(field.form, Form::Select(..) | Form::Index(_)) {
            return self.wrong(expr, "`has` takes a field: `has(event.comment)`");
        }
        match self.resolve(field)? {
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

    fn resolve(&mut self, expr: &Expr) -> Option<Named> {
        let Some(path) = spelled(expr) else {
            self.wrong(expr, "only a field can be selected: `event.comment`");
            return None;
        };
        self.named(expr, &path)
    }

    fn field(&self, path: &str) -> Option<&'static Field> {
        self.topic.fields().iter().find(|field| field.path == path)
    }

    fn named(&mut self, expr: &Expr, path: &[&str]) -> Option<Named> {
        let (actor, figures) = self.topic.figures();
        let type_name = self.topic.type_name();
        let (variable, rest) = path.split_first()?;
        let (fields, owner) = match *variable {
            "event" => (self.topic.fields(), format!("`{type_name}`")),
            name if name == actor => (figures, format!("`{actor}`")),
            other => {
                let near = hint(other, ["event", actor]);
                self.wrong(
                    root(expr),
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
            let top = field.path.split('.').next().unwrap_or(field.path);
            if *variable == "event" && !self.reads.contains(&top) {
                self.reads.push(top);
            }
            return Some(Named::Field(field));
        }
        if let ["answers", key] = rest
            && fields.iter().any(|field| field.kind == Kind::Answers)
        {
            return Some(Named::Answer((*key).into()));
        }
        if rest.first() == Some(&"answers") && rest.len() > 2 {
            self.wrong(expr, "answers are one level deep: `event.answers.nps`");
            return None;
        }
        let near = hint(&joined, fields.iter().map(|field| field.path));
        self.wrong(expr, format!("{owner} has no field `{joined}`; {near}"));
        None
    }

    fn call(
        &mut self,
        expr: &Expr,
        name: &str,
        target: Option<&Expr>,
        args: &[Expr],
    ) -> Option<Typed> {
        match (name, target, args) {
            ("has", None, [field]) => self.has(expr, field),
            ("mentions", None, args) => self.mentions(expr, args),
            ("size", None, [a]) | ("size", Some(a), []) => match self.node(a)? {
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
                let a = self.node(a);
                let b = self.node(b);
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
            (name @ ("int" | "double"), None, [a]) => match self.node(a)? {
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

    fn bool(&mut self, expr: &Expr, sign: Sign) -> Option<Node> {
        match self.node(expr)? {
            (node, Kind::Bool | Kind::Any) => Some(node),
            (_, kind) => {
                let (sign, found) = (sign.text(), kind.name());
                self.wrong(expr, format!("`{sign}` takes bools, not {found}"));
                None
            }
        }
    }

    fn compare(&mut self, expr: &Expr, sign: Sign, a: Typed, b: Typed) -> Option<Typed> {
        let ((a, of_a), (b, of_b)) = (a, b);
        let equality = matches!(sign, Sign::Equal | Sign::Unequal);
        let order = order(sign);
        let sign = sign.text();
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
        let node = match order {
            Some(order) => Node::Compare(order, ab),
            None if sign == Sign::Equal.text() => Node::Equal(ab),
            None => Node::Unequal(ab),
        };
        Some((node, Kind::Bool))
    }

    fn arithmetic(
        &mut self,
        expr: &Expr,
        sign: Sign,
        operator: Operator,
        [(a, of_a), (b, of_b)]: [Typed; 2],
    ) -> Option<Typed> {
        let sign = sign.text();
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

    fn is_in(&mut self, expr: &Expr, element: &Expr, container: &Expr) -> Option<Typed> {
        let element = self.node(element);
        if let Form::List(elements) = &container.form {
            let mut literals = Vec::new();
            for literal in elements {
                if !matches!(
                    literal.form,
                    Form::Bool(_) | Form::Int(_) | Form::Double(_) | Form::Text(_)
                ) {
                    return self.wrong(literal, "the list right of `in` holds literals only");
                }
                let (node, kind) = self.node(literal)?;
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
        let container = self.node(container);
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

    fn mentions(&mut self, expr: &Expr, args: &[Expr]) -> Option<Typed> {
        const USE: &str = "write `mentions(event.comment, [\"word\", \"two words\"])`";
        let [text, words] = args else {
            let found = args.len();
            return self.wrong(
                expr,
                format!("`mentions` takes 2 arguments, not {found}: {USE}"),
            );
        };
        let typed = self.node(text);
        let Form::List(elements) = &words.form else {
            return self.wrong(words, format!("the keywords are a list of literals: {USE}"));
        };
        let spellings = elements.iter().map(|element| match &element.form {
            Form::Text(word) => Some(word.as_str()),
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
fn spelled(expr: &Expr) -> Option<Vec<&str>> {
    let mut path = Vec::new();
    let mut expr = expr;
    loop {
        expr = match &expr.form {
            Form::Name(name) => {
                path.push(name.as_str());
                path.reverse();
                return Some(path);
            }
            Form::Select(operand, field) => {
                path.push(field);
                operand
            }
            Form::Index(operand_and_key) => {
                let [operand, key] = &**operand_and_key;
                let Form::Text(key) = &key.form else {
                    return None;
                };
                path.push(key);
                operand
            }
            _no_path => return None,
        }
    }
}

/// The variable at the start of a path.
fn root(expr: &Expr) -> &Expr {
    match &expr.form {
        Form::Select(operand, _) => root(operand),
        Form::Index(operand_and_key) => root(&operand_and_key[0]),
        _variable => expr,
    }
}

fn order(sign: Sign) -> Option<Order> {
    match sign {
        Sign::Less => Some(Order::Less),
        Sign::LessEqual => Some(Order::LessEqual),
        Sign::Greater => Some(Order::Greater),
        Sign::GreaterEqual => Some(Order::GreaterEqual),
        _no_order => None,
    }
}

fn arithmetic(sign: Sign) -> Option<Operator> {
    match sign {
        Sign::Plus => Some(Operator::Add),
        Sign::Minus => Some(Operator::Subtract),
        Sign::Times => Some(Operator::Multiply),
        Sign::Divide => Some(Operator::Divide),
        Sign::Remainder => Some(Operator::Remainder),
        _no_arithmetic => None,
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
