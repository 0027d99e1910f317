//! Conditions and expressions over outputs and answers, in CEL.
//!
//! Rules have a condition language of their own, whose fields and types are known beforehand (`aftercall_actors::rules`).
//! What a vendor answers nobody declared, so here it is full CEL with maps and list macros, from a crate, behind guards:
//! its parser recurses once per bracket and would overflow the stack, and macros within macros multiply. What is
//! refused is refused when the configuration is read; what remains costs a bounded number of steps.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock},
};

use cel::{
    Context, Env, ExecutionError, Value as Cel,
    common::ast::{EntryExpr, Expr, IdedExpr},
    objects::{Key, Map},
};
use serde_json::Value;

use super::scope::Scope;

/// Longest expression. Unit: bytes.
pub const EXPRESSION_BYTES_MAX: usize = 2_000;

/// Deepest nesting of brackets and of `? :`; the parser needs a stack frame per precedence level for each.
pub const NESTING_MAX: usize = 10;

/// What the parser itself is held to: brackets that [`guard`] takes for part of a string end here.
const DEPTH_MAX: u16 = NESTING_MAX as u16 + 1;

/// Most operators, calls and selections. Chains of them nest too, though only in evaluation.
pub const NODES_MAX: usize = 400;

/// Most list macros (`map`, `filter`, `exists`, ...) within each other.
pub const MACROS_MAX: usize = 2;

/// Most steps an evaluation may take: nodes of the expression, times the values of the variables it uses for each macro
/// around them.
pub const STEPS_MAX: u64 = 5_000_000;

/// An expression that yields a value.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    root: Arc<IdedExpr>,
    variables: Vec<String>,
    nodes: u64,
    macros: u32,
}

/// An expression that yields true or false.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(Expression);

/// An expression that cannot be used, or has no value here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It cannot be used at all.
    #[error("{0}")]
    Malformed(String),
    /// It has no value over these variables.
    #[error("`{source_text}` has no value: {why}")]
    Undefined {
        /// The expression.
        source_text: String,
        /// Why: an absent key, types that do not fit. Never a value, which may be a customer's.
        why: String,
    },
}

impl Expression {
    /// Parses an expression that may use the variables `known`.
    ///
    /// # Errors
    /// If it is no CEL, too large, or uses a variable or function that does not exist.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, ExpressionError> {
        guard(text).map_err(ExpressionError::Malformed)?;
        let parser = ENVIRONMENT.parser().max_recursion_depth(DEPTH_MAX);
        let root = parser.parse(text).map_err(|errors| {
            // An error without a place says nothing that its reader knows: then that it is none has to do.
            let placed = errors.errors.iter().find(|error| error.pos.0 > 0);
            let why = placed.map_or_else(String::new, |error| {
                let message = error.msg.lines().next().unwrap_or_default();
                // Behind it stands every token of the grammar.
                let message = message.split(" expecting ").next().unwrap_or_default();
                let (line, column) = error.pos;
                format!(" (line {line}, column {column}: {message})")
            });
            ExpressionError::Malformed(format!("not a CEL expression{why}"))
        })?;
        let mut survey = Survey::default();
        survey.visit(&root, 0).map_err(ExpressionError::Malformed)?;
        if let Some(unknown) = survey
            .variables
            .iter()
            .find(|v| !known.contains(&v.as_str()))
        {
            return Err(ExpressionError::Malformed(format!(
                "unknown variable `{unknown}` (known: {})",
                known.join(", ")
            )));
        }
        Ok(Self {
            source: text.into(),
            root: Arc::new(root),
            variables: survey.variables,
            nodes: survey.nodes as u64,
            macros: u32::try_from(survey.macros).unwrap_or(u32::MAX),
        })
    }

    /// Its value over the variables of `scope`.
    ///
    /// # Errors
    /// If something in it is absent or of another type, or it would take too many steps.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, ExpressionError> {
        let undefined = |why: String| ExpressionError::Undefined {
            source_text: self.source.to_string(),
            why,
        };
        let used = || {
            self.variables
                .iter()
                .filter_map(|v| Some((v, scope.get(v)?)))
        };
        let values: u64 = used().map(|(_, value)| count(value)).sum();
        let steps = values
            .max(2)
            .checked_pow(self.macros)
            .and_then(|per_node| per_node.checked_mul(self.nodes));
        if steps.is_none_or(|steps| steps > STEPS_MAX) {
            return Err(undefined(format!(
                "macros over {values} values would take more than {STEPS_MAX} steps"
            )));
        }
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, value) in used() {
            context.add_variable_from_value(name.clone(), to_cel(value));
        }
        let result =
            Cel::resolve(&self.root, &context).map_err(|error| undefined(words(&error)))?;
        from_cel(&result).ok_or_else(|| undefined("its result is no JSON value".to_owned()))
    }

    /// As it stands in the configuration.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl Condition {
    /// Parses a condition; see [`Expression::parse`].
    ///
    /// # Errors
    /// As of an expression.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, ExpressionError> {
        Expression::parse(text, known).map(Self)
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// As of an expression, and if its value is neither true nor false.
    pub fn holds(&self, scope: &Scope) -> Result<bool, ExpressionError> {
        self.0
            .evaluate(scope)?
            .as_bool()
            .ok_or_else(|| ExpressionError::Undefined {
                source_text: self.0.source.to_string(),
                why: "it is neither true nor false".to_owned(),
            })
    }

    /// As it stands in the configuration.
    #[must_use]
    pub fn source(&self) -> &str {
        self.0.source()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// CEL without the optional syntax: `has(...)` does, and there is less to know.
static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// Functions there are. Macros (`has`, `all`, `exists`, `exists_one`, `map`, `filter`) are gone once parsed.
const FUNCTIONS: [&str; 12] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// Refuses what the parser must not see: looks at brackets outside of strings, and at length.
fn guard(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("a CEL expression, not nothing".to_owned());
    }
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(format!(
            "a CEL expression of at most {EXPRESSION_BYTES_MAX} bytes, not {}",
            text.len()
        ));
    }
    let (mut depth, mut conditionals) = (0_usize, 0_usize);
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, '?') => conditionals += 1,
            (None, _) => {}
        }
        if depth + conditionals > NESTING_MAX {
            return Err(format!(
                "a CEL expression with at most {NESTING_MAX} brackets and conditionals within each other"
            ));
        }
    }
    Ok(())
}

/// What an expression is made of.
#[derive(Default)]
struct Survey {
    variables: Vec<String>,
    /// Names that macros bind, innermost last.
    bound: Vec<String>,
    nodes: usize,
    /// Deepest nesting of macros.
    macros: usize,
}

impl Survey {
    fn visit(&mut self, node: &IdedExpr, macros: usize) -> Result<(), String> {
        self.nodes += 1;
        self.macros = self.macros.max(macros);
        if self.nodes > NODES_MAX {
            return Err(format!("a CEL expression of at most {NODES_MAX} parts"));
        }
        if macros > MACROS_MAX {
            return Err(format!(
                "at most {MACROS_MAX} list macros within each other"
            ));
        }
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                let new = !self.bound.contains(name) && !self.variables.contains(name);
                // Names of types are values in CEL: `type(x) == string`.
                if new && !TYPES.contains(&name.as_str()) {
                    self.variables.push(name.clone());
                }
                Ok(())
            }
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                let operator = name.contains(|c: char| !c.is_ascii_alphanumeric());
                if !operator && !FUNCTIONS.contains(&name) {
                    return Err(format!(
                        "unknown function `{name}` (known: {}, and the macros has, all, exists, exists_one, map, filter)",
                        FUNCTIONS.join(", ")
                    ));
                }
                call.target
                    .iter()
                    .map(|target| &**target)
                    .chain(&call.args)
                    .try_for_each(|part| self.visit(part, macros))
            }
            Expr::List(list) => list
                .elements
                .iter()
                .try_for_each(|part| self.visit(part, macros)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::StructField(field) => self.visit(&field.value, macros),
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, macros)?;
                    self.visit(&entry.value, macros)
                }
            }),
            Expr::Select(select) => self.visit(&select.operand, macros),
            Expr::Struct(made) => Err(format!("unknown type `{}`", made.type_name)),
            Expr::Comprehension(fold) => {
                self.visit(&fold.iter_range, macros)?;
                let before = self.bound.len();
                self.bound.push(fold.iter_var.clone());
                self.bound.extend(fold.iter_var2.clone());
                self.bound.push(fold.accu_var.clone());
                let inside = [
                    &fold.accu_init,
                    &fold.loop_cond,
                    &fold.loop_step,
                    &fold.result,
                ]
                .into_iter()
                .try_for_each(|part| self.visit(part, macros + 1));
                self.bound.truncate(before);
                inside
            }
        }
    }
}

const TYPES: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "uint",
];

/// Values in a value, itself included.
fn count(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(count).sum::<u64>(),
        Value::Object(fields) => 1 + fields.values().map(count).sum::<u64>(),
    }
}

/// JSON has one sort of number where CEL has three: whole ones become `int` as long as they fit.
fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(b) => Cel::Bool(*b),
        Value::Number(n) => n
            .as_i64()
            .map(Cel::Int)
            .or_else(|| n.as_u64().map(Cel::UInt))
            .unwrap_or_else(|| Cel::Float(n.as_f64().unwrap_or(f64::NAN))),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let map: HashMap<Key, Cel> = fields
                .iter()
                .map(|(name, value)| (Key::from(name.as_str()), to_cel(value)))
                .collect();
            Cel::Map(Map { map: Arc::new(map) })
        }
    }
}

fn from_cel(value: &Cel) -> Option<Value> {
    value.json().ok()
}

/// A failed evaluation in words. The crate's own would quote the values, which may be a customer's.
fn words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("`{key}` is absent; ask `has(...)` before"),
        ExecutionError::UndeclaredReference(name) => format!("`{name}` is not there"),
        ExecutionError::UnexpectedType { got, want } => format!("found {got}, needs {want}"),
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
            format!("`{operator}` does not work on these types")
        }
        ExecutionError::ValuesNotComparable(..) => {
            "values of these types do not compare".to_owned()
        }
        ExecutionError::IndexOutOfBounds(_) => "the list is shorter".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number too large".to_owned(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` failed"),
        _ => "types that do not fit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(text: &str, body: Value) -> Result<Value, String> {
        let expression = Expression::parse(text, &["body"]).map_err(|e| e.to_string())?;
        expression
            .evaluate(&Scope::default().with("body", body))
            .map_err(|e| e.to_string())
    }

    fn refused(text: &str) -> String {
        match Expression::parse(text, &["body", "status"]) {
            Err(ExpressionError::Malformed(why)) => why,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn numbers_strings_lists_and_maps_go_in_and_out_as_json_has_them() {
        let body = json!({"n": 3, "f": 0.9, "big": u64::MAX, "ok": true, "none": null,
            "list": [{"name": "a", "on": true}, {"name": "b", "on": false}]});
        for (text, expected) in [
            ("body.n + 1", json!(4)),
            ("body.n > 2.5 && body.f < 1", json!(true)),
            ("body.f > 0.9", json!(false)),
            ("body.big > 1", json!(true)),
            ("body.none == null", json!(true)),
            ("has(body.nothing) ? 1 : 2", json!(2)),
            (
                "body.list.filter(p, p.on).map(p, {'name': p.name})",
                json!([{"name": "a"}]),
            ),
            ("body.list.exists(p, p.name == 'b')", json!(true)),
            ("body.list.all(p, p.on)", json!(false)),
            ("size(body.list) == 2", json!(true)),
            ("body['ok']", json!(true)),
            ("string(body.n) + 'x'", json!("3x")),
            ("type(body.n) == int", json!(true)),
        ] {
            assert_eq!(evaluate(text, body.clone()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_an_error_that_names_the_key_and_no_value() {
        let body = json!({"secret": "hunter2", "n": 1});
        for (text, expected) in [
            (
                "body.id == 1",
                "`body.id == 1` has no value: `id` is absent; ask `has(...)` before",
            ),
            (
                "body[3]",
                "`body[3]` has no value: `3` is absent; ask `has(...)` before",
            ),
        ] {
            assert_eq!(
                evaluate(text, body.clone()),
                Err(expected.to_owned()),
                "{text}"
            );
        }
        for text in [
            "body.secret + 1",
            "body.secret > 1",
            "-body.secret",
            "int(body.secret)",
            "body.secret.map(x, x)",
            "{body: 1}",
            "body.n / 0",
            "9223372036854775807 + body.n",
        ] {
            let error = evaluate(text, body.clone()).unwrap_err();
            assert!(
                error.contains("has no value") && !error.contains("hunter2"),
                "{error}"
            );
        }
        let condition = Condition::parse("body.n", &["body"]).unwrap();
        let error = condition
            .holds(&Scope::default().with("body", body))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`body.n` has no value: it is neither true nor false"
        );
    }

    #[test]
    fn what_cannot_work_is_refused_before_it_runs() {
        assert_eq!(
            refused("stats == 200"),
            "unknown variable `stats` (known: body, status)"
        );
        assert!(refused("body.x.matches('a+')").starts_with("unknown function `matches` (known: "));
        assert!(refused("sise(body) == 1").starts_with("unknown function `sise`"));
        assert_eq!(refused(" "), "a CEL expression, not nothing");
        assert!(refused("status ==").starts_with("not a CEL expression (line 1, column "));
        assert!(refused("status == 'a").starts_with("not a CEL expression"));
        let long = format!("'{}'", "x".repeat(EXPRESSION_BYTES_MAX));
        assert!(refused(&long).contains("at most 2000 bytes"));
        let three = "body.map(a, body.map(b, body.map(c, c)))";
        assert_eq!(refused(three), "at most 2 list macros within each other");
        assert!(Expression::parse("body.map(x, x + y)", &["body"]).is_err());
        assert!(Expression::parse("body.map(x, x) == [x]", &["body"]).is_err());
    }

    #[test]
    fn no_expression_overflows_the_stack_of_a_worker() {
        let nested =
            |open: &str, n: usize, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
        let worst = std::thread::Builder::new()
            .stack_size(2 * 1024 * 1024)
            .spawn(move || {
                assert!(Expression::parse(&nested("(", NESTING_MAX, ")"), &[]).is_ok());
                assert!(Expression::parse(&nested("[", NESTING_MAX, "]"), &[]).is_ok());
                for n in [NESTING_MAX + 1, 20, 100, 999] {
                    assert!(Expression::parse(&nested("(", n, ")"), &[]).is_err());
                    assert!(Expression::parse(&nested("[", n, "]"), &[]).is_err());
                    assert!(Expression::parse(&nested("{1:", n.min(400), "}"), &[]).is_err());
                }
                for n in [20, 100, 400] {
                    assert!(Expression::parse(&nested("true?1:", n.min(280), ""), &[]).is_err());
                    // Brackets the guard cannot see: it takes them for part of a string.
                    let hidden = format!(r"r'' + {} + '", nested("(", n, ")"));
                    assert!(Expression::parse(&hidden, &[]).is_err());
                    let closed = format!("')))))))))))' + {}", nested("(", n, ")"));
                    assert!(Expression::parse(&closed, &[]).is_err());
                }
                let mut evaluated = 0;
                for text in [
                    "1+".repeat(900),
                    "1-".repeat(190),
                    "!".repeat(1900),
                    "-".repeat(1900),
                    "true&&".repeat(300),
                ] {
                    let text = if text.starts_with('!') || text.starts_with("true") {
                        text + "true"
                    } else {
                        text + "1"
                    };
                    if let Ok(expression) = Expression::parse(&text, &[]) {
                        evaluated += 1;
                        drop(expression.evaluate(&Scope::default()));
                    }
                }
                for text in [
                    format!("body{}", ".a".repeat(390)),
                    format!("body{}", "[0]".repeat(190)),
                ] {
                    let expression = Expression::parse(&text, &["body"]).unwrap();
                    evaluated += 1;
                    drop(expression.evaluate(&Scope::default().with("body", json!({}))));
                }
                evaluated
            });
        assert!(worst.unwrap().join().unwrap() >= 3);
    }

    #[test]
    fn s5_05_an_evaluation_takes_a_bounded_number_of_steps() {
        let many = json!((0..5_000).collect::<Vec<_>>());
        assert!(evaluate("body.map(x, x + 1)", many.clone()).is_ok());
        let error = evaluate("body.map(x, body.exists(y, y > x))", many).unwrap_err();
        assert!(
            error.ends_with("macros over 5001 values would take more than 5000000 steps"),
            "{error}"
        );
    }
}
