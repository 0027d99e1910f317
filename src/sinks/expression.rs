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
    reads_body: bool,
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
        let mut limits = Limits::default();
        limits.visit(&root, 0).map_err(ExpressionError::Malformed)?;
        if let Some(unknown) = limits
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
            variables: limits.variables,
            reads_body: limits.reads_body,
            nodes: limits.nodes as u64,
            macros: u32::try_from(limits.macros).unwrap_or(u32::MAX),
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

    /// Whether it looks into the answer's body, so that it says nothing of a body that is no JSON. To compare all of
    /// the body with a text is not to look into it.
    #[must_use]
    pub const fn reads_body(&self) -> bool {
        self.reads_body
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

    /// As [`Expression::reads_body`].
    #[must_use]
    pub const fn reads_body(&self) -> bool {
        self.0.reads_body()
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
struct Limits {
    variables: Vec<String>,
    /// Whether `body` stands where only its parts make sense.
    reads_body: bool,
    /// Names that macros bind, innermost last.
    bound: Vec<String>,
    nodes: usize,
    /// Deepest nesting of macros.
    macros: usize,
}

impl Limits {
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
                self.reads_body |= name == "body" && !self.bound.contains(name);
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
                let is_whole =
                    |part: &IdedExpr| matches!(&part.expr, Expr::Ident(name) if name == "body");
                let as_text = WHOLE_TEXT.contains(&name);
                let parts = call.target.iter().map(|target| &**target);
                for part in parts.chain(&call.args) {
                    let before = self.reads_body;
                    self.visit(part, macros)?;
                    if as_text && is_whole(part) {
                        self.reads_body = before;
                    }
                }
                Ok(())
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

/// What compares all of a body as text.
const WHOLE_TEXT: [&str; 6] = [
    "_==_",
    "_!=_",
    "contains",
    "startsWith",
    "endsWith",
    "string",
];

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
mod tests;
