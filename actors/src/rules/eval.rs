//! Evaluating a compiled condition.
//!
//! CEL's own semantics, over values that are borrowed from the event: `&&` and `||` forgive a side that cannot
//! be evaluated if the other one decides; numbers compare across types; ints overflow as errors; a text that is
//! no number is one too. The interpreter of the crate `cel` would cost microseconds for an event where the whole actor
//! step may take one, and can be made to do unbounded work; the property tests in `oracle` hold both to the
//! same answers. `condition` makes the nodes and has already checked their types, so what is
//! left to fail here are numbers, absent fields, and answers of an unexpected type.

use std::{cmp::Ordering, sync::Arc};

use serde_json::Value as Json;

use super::{
    field::{Field, Kind, Scope, Value},
    keywords::Keywords,
};

/// One node of a condition, typed.
#[derive(Clone, Debug)]
pub enum Node {
    /// A literal.
    Bool(bool),
    /// A literal.
    Int(i64),
    /// A literal.
    Double(f64),
    /// A literal.
    Text(Box<str>),
    /// A field of the event, or a figure.
    Field(&'static Field),
    /// One answer of a survey.
    Answer(Box<str>),
    /// `has(..)` of a field.
    HasField(&'static Field),
    /// `has(..)` of an answer.
    HasAnswer(Box<str>),
    /// `!a`
    Not(Box<Node>),
    /// `a && b && ..`
    And(Box<[Node]>),
    /// `a || b || ..`
    Or(Box<[Node]>),
    /// `a ? b : c`
    If(Box<[Node; 3]>),
    /// `a == b`
    Equal(Box<[Node; 2]>),
    /// `a != b`
    Unequal(Box<[Node; 2]>),
    /// `a < b` and its kin.
    Compare(Order, Box<[Node; 2]>),
    /// `a + b` and its kin.
    Arithmetic(Operator, Box<[Node; 2]>),
    /// `-a`
    Negate(Box<Node>),
    /// `a in [literals]`
    InLiterals(Box<Node>, Box<[Node]>),
    /// `a in b`
    In(Box<[Node; 2]>),
    /// `size(a)`
    Size(Box<Node>),
    /// `a.contains(b)` and its kin.
    TextTest(TextTest, Box<[Node; 2]>),
    /// `int(a)`
    ToInt(Box<Node>),
    /// `double(a)`
    ToDouble(Box<Node>),
    /// `mentions(a, [words])`
    Mentions(Arc<Mention>),
}

/// One `mentions(..)` in a condition.
#[derive(Clone, Debug)]
pub struct Mention {
    /// Where is looked.
    pub text: Node,
    /// What is looked for.
    pub keywords: Keywords,
}

/// Which comparison.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// Which arithmetic.
#[derive(Clone, Copy, Debug)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// Which question about a text.
#[derive(Clone, Copy, Debug)]
pub enum TextTest {
    /// `contains`
    Contains,
    /// `startsWith`
    StartsWith,
    /// `endsWith`
    EndsWith,
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It needs a field that this event, or a figure that this actor, does not have.
    Absent,
    /// It cannot be computed.
    Failed(Failure),
}

/// What cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// `a / 0`, `a % 0` of ints.
    #[error("division by zero")]
    DivisionByZero,
    /// An int beyond 64 bits, or a double beyond ints.
    #[error("a number is too large for an int")]
    Overflow,
    /// Points beyond 32 bits.
    #[error("points are beyond -2147483648 to 2147483647")]
    TooManyPoints,
    /// A comparison or points of NaN.
    #[error("a number is not a number (NaN)")]
    NotANumber,
    /// `int(text)`, `double(text)`.
    #[error("a text cannot be read as a number")]
    NoNumber,
    /// An answer is of another type than the condition needs.
    #[error("needed {needed}, found {found}")]
    WrongType {
        /// What the operation takes.
        needed: &'static str,
        /// What was there.
        found: &'static str,
    },
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn wrong_type(needed: &'static str, found: &Value<'_>) -> Trouble {
    Trouble::Failed(Failure::WrongType {
        needed,
        found: found.kind_name(),
    })
}

impl<'a> Value<'a> {
    /// An answer as a value. A number is a double, as CEL reads JSON.
    fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Bool(b) => Self::Bool(*b),
            // Without arbitrary precision every JSON number has a double.
            Json::Number(number) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Self::Text(text),
            Json::Null | Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }

    const fn kind_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => Kind::Bool.name(),
            Self::Int(_) => Kind::Int.name(),
            Self::Double(_) => Kind::Double.name(),
            Self::Text(_) | Self::Day(_) => Kind::Text.name(),
            Self::Texts(_) => Kind::Texts.name(),
            Self::Answers(_) => Kind::Answers.name(),
            Self::Object => Kind::Object.name(),
            Self::Json(Json::Null) => "null",
            Self::Json(Json::Array(_)) => "a list",
            Self::Json(_) => Kind::Object.name(),
        }
    }

    /// It as text.
    pub fn text(&self) -> Result<&str, Trouble> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Day(day) => Ok(std::str::from_utf8(day).unwrap_or_default()),
            other => Err(wrong_type(Kind::Text.name(), other)),
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Day(_))
    }
}

impl Node {
    /// Whether this node, a condition, holds.
    pub fn holds<'a>(&'a self, scope: &Scope<'a>) -> Result<bool, Trouble> {
        match self {
            Self::Bool(b) => Ok(*b),
            Self::HasField(field) => Ok((field.get)(scope).is_some()),
            Self::HasAnswer(key) => Ok(answer(key, scope).is_some()),
            Self::Not(a) => a.holds(scope).map(|b| !b),
            Self::And(parts) => decide(false, parts, scope),
            Self::Or(parts) => decide(true, parts, scope),
            Self::If(abc) => {
                let branch = if abc[0].holds(scope)? {
                    &abc[1]
                } else {
                    &abc[2]
                };
                branch.holds(scope)
            }
            Self::Equal(ab) => Ok(equal(&ab[0].value(scope)?, &ab[1].value(scope)?)),
            Self::Unequal(ab) => Ok(!equal(&ab[0].value(scope)?, &ab[1].value(scope)?)),
            Self::Compare(order, ab) => {
                let found = compare(&ab[0].value(scope)?, &ab[1].value(scope)?)?;
                Ok(match order {
                    Order::Less => found == Ordering::Less,
                    Order::LessEqual => found != Ordering::Greater,
                    Order::Greater => found == Ordering::Greater,
                    Order::GreaterEqual => found != Ordering::Less,
                })
            }
            Self::InLiterals(a, literals) => {
                let a = a.value(scope)?;
                for literal in literals {
                    if equal(&a, &literal.value(scope)?) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::In(ab) => contains(&ab[1].value(scope)?, &ab[0].value(scope)?),
            Self::TextTest(test, ab) => {
                let (text, part) = (ab[0].value(scope)?, ab[1].value(scope)?);
                let (text, part) = (text.text()?, part.text()?);
                Ok(match test {
                    TextTest::Contains => text.contains(part),
                    TextTest::StartsWith => text.starts_with(part),
                    TextTest::EndsWith => text.ends_with(part),
                })
            }
            Self::Mentions(mention) => {
                let text = mention.text.value(scope)?;
                Ok(mention.keywords.any_in(text.text()?))
            }
            Self::Int(_)
            | Self::Double(_)
            | Self::Text(_)
            | Self::Field(_)
            | Self::Answer(_)
            | Self::Arithmetic(..)
            | Self::Negate(_)
            | Self::Size(_)
            | Self::ToInt(_)
            | Self::ToDouble(_) => match self.value(scope)? {
                Value::Bool(b) => Ok(b),
                other => Err(wrong_type(Kind::Bool.name(), &other)),
            },
        }
    }

    /// The value of this node.
    pub fn value<'a>(&'a self, scope: &Scope<'a>) -> Result<Value<'a>, Trouble> {
        match self {
            Self::Int(n) => Ok(Value::Int(*n)),
            Self::Double(n) => Ok(Value::Double(*n)),
            Self::Text(text) => Ok(Value::Text(text)),
            Self::Field(field) => (field.get)(scope).ok_or(Trouble::Absent),
            Self::Answer(key) => answer(key, scope)
                .map(Value::of_json)
                .ok_or(Trouble::Absent),
            Self::If(abc) => {
                let branch = if abc[0].holds(scope)? {
                    &abc[1]
                } else {
                    &abc[2]
                };
                branch.value(scope)
            }
            Self::Arithmetic(operator, ab) => {
                arithmetic(*operator, ab[0].value(scope)?, ab[1].value(scope)?)
            }
            Self::Negate(a) => match a.value(scope)? {
                Value::Int(n) => n
                    .checked_neg()
                    .map(Value::Int)
                    .ok_or(Failure::Overflow.into()),
                Value::Double(n) => Ok(Value::Double(-n)),
                other => Err(wrong_type("a number", &other)),
            },
            Self::Size(a) => size(&a.value(scope)?).map(Value::Int),
            Self::ToInt(a) => to_int(&a.value(scope)?).map(Value::Int),
            Self::ToDouble(a) => to_double(&a.value(scope)?).map(Value::Double),
            Self::Bool(_)
            | Self::HasField(_)
            | Self::HasAnswer(_)
            | Self::Not(_)
            | Self::And(_)
            | Self::Or(_)
            | Self::Equal(_)
            | Self::Unequal(_)
            | Self::Compare(..)
            | Self::InLiterals(..)
            | Self::In(_)
            | Self::TextTest(..)
            | Self::Mentions(_) => self.holds(scope).map(Value::Bool),
        }
    }

    /// The value of this node as whole points: a double is rounded half away from zero, and what lies beyond 32 bits is a
    /// failure, not as many as there can be.
    pub fn points<'a>(&'a self, scope: &Scope<'a>) -> Result<i32, Trouble> {
        match self.value(scope)? {
            Value::Int(n) => i32::try_from(n).map_err(|_| Failure::TooManyPoints.into()),
            Value::Double(n) if n.is_nan() => Err(Failure::NotANumber.into()),
            Value::Double(n) => {
                let (n, allowed) = (n.round(), f64::from(i32::MIN)..=f64::from(i32::MAX));
                let fits = allowed.contains(&n);
                fits.then_some(n as i32)
                    .ok_or(Failure::TooManyPoints.into())
            }
            other => Err(wrong_type("a number", &other)),
        }
    }
}

fn answer<'a>(key: &str, scope: &Scope<'a>) -> Option<&'a Json> {
    match scope.body {
        crate::contract::event::Body::SurveyResponse(survey) => survey.answers.get(key),
        _other_type => None,
    }
}

/// `&&` and `||`: a part that equals `decisive` decides, even if others have no value.
fn decide<'a>(decisive: bool, parts: &'a [Node], scope: &Scope<'a>) -> Result<bool, Trouble> {
    let mut result = Ok(!decisive);
    for part in parts {
        match part.holds(scope) {
            Ok(value) if value == decisive => return Ok(decisive),
            Ok(_) => {}
            // Of two troubles the absent field is the quiet one: the condition was not meant for this event.
            Err(trouble) if result.is_ok() || trouble == Trouble::Absent => result = Err(trouble),
            Err(_) => {}
        }
    }
    result
}

/// CEL's equality: numbers by value, whatever their type; values of different types are unequal.
fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Double(a), Value::Double(b)) => a == b,
        (Value::Int(n), Value::Double(d)) | (Value::Double(d), Value::Int(n)) => *n as f64 == *d,
        (Value::Json(a), Value::Json(b)) => json_equal(a, b),
        (Value::Texts(a), Value::Texts(b)) => a == b,
        _texts_or_different_types => a.is_text() && b.is_text() && a.text().ok() == b.text().ok(),
    }
}

fn json_equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_equal(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| json_equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn compare(a: &Value<'_>, b: &Value<'_>) -> Result<Ordering, Trouble> {
    let of_doubles = |a: f64, b: f64| a.partial_cmp(&b).ok_or(Failure::NotANumber.into());
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => of_doubles(*a, *b),
        (Value::Int(a), Value::Double(b)) => of_doubles(*a as f64, *b),
        (Value::Double(a), Value::Int(b)) => of_doubles(*a, *b as f64),
        (Value::Int(_) | Value::Double(_), other) | (other, Value::Int(_) | Value::Double(_)) => {
            Err(wrong_type("a number", other))
        }
        (a, b) => Ok(a.text()?.cmp(b.text()?)),
    }
}

fn arithmetic<'a>(operator: Operator, a: Value<'a>, b: Value<'a>) -> Result<Value<'a>, Trouble> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => {
            let result = match operator {
                Operator::Add => a.checked_add(b),
                Operator::Subtract => a.checked_sub(b),
                Operator::Multiply => a.checked_mul(b),
                Operator::Divide | Operator::Remainder if b == 0 => {
                    return Err(Failure::DivisionByZero.into());
                }
                Operator::Divide => a.checked_div(b),
                Operator::Remainder => a.checked_rem(b),
            };
            result.map(Value::Int).ok_or(Failure::Overflow.into())
        }
        (Value::Double(a), Value::Double(b)) => match operator {
            Operator::Add => Ok(Value::Double(a + b)),
            Operator::Subtract => Ok(Value::Double(a - b)),
            Operator::Multiply => Ok(Value::Double(a * b)),
            Operator::Divide => Ok(Value::Double(a / b)),
            Operator::Remainder => Err(wrong_type(Kind::Int.name(), &Value::Double(a))),
        },
        (Value::Double(_), other) | (other, Value::Double(_)) => {
            Err(wrong_type(Kind::Double.name(), &other))
        }
        (other, _) => Err(wrong_type("a number", &other)),
    }
}

/// `element in container`
fn contains(container: &Value<'_>, element: &Value<'_>) -> Result<bool, Trouble> {
    match container {
        Value::Texts(texts) => {
            let element = element.text()?;
            Ok(texts.iter().any(|text| text == element))
        }
        Value::Answers(answers) => {
            let is_in = |key: &str| answers.contains_key(key);
            as_key(element).map(|key| key.is_some_and(is_in))
        }
        Value::Json(Json::Array(elements)) => Ok(elements
            .iter()
            .any(|json| equal(&Value::of_json(json), element))),
        Value::Json(Json::Object(fields)) => {
            let is_in = |key: &str| fields.contains_key(key);
            as_key(element).map(|key| key.is_some_and(is_in))
        }
        other => Err(wrong_type("a list", other)),
    }
}

/// A value as the key of a map whose keys are texts: another scalar is a key of none, and more is no key at all.
fn as_key<'v>(value: &'v Value<'_>) -> Result<Option<&'v str>, Trouble> {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Double(_) => Ok(None),
        other => other.text().map(Some),
    }
}

/// A text's characters, a list's or map's elements.
fn size(of: &Value<'_>) -> Result<i64, Trouble> {
    let count = match of {
        Value::Text(text) => text.chars().count(),
        Value::Day(day) => day.len(),
        Value::Texts(texts) => texts.len(),
        Value::Answers(answers) => answers.len(),
        Value::Json(Json::Array(elements)) => elements.len(),
        Value::Json(Json::Object(fields)) => fields.len(),
        other => return Err(wrong_type("a string or a list", other)),
    };
    i64::try_from(count).map_err(|_| Failure::Overflow.into())
}

fn to_int(value: &Value<'_>) -> Result<i64, Trouble> {
    match value {
        Value::Int(n) => Ok(*n),
        // Both ends excluded, as CEL has it; NaN lies between none.
        Value::Double(n) if *n > i64::MIN as f64 && *n < i64::MAX as f64 => Ok(*n as i64),
        Value::Double(_) => Err(Failure::Overflow.into()),
        other => other.text()?.parse().map_err(|_| Failure::NoNumber.into()),
    }
}

fn to_double(value: &Value<'_>) -> Result<f64, Trouble> {
    match value {
        Value::Int(n) => Ok(*n as f64),
        Value::Double(n) => Ok(*n),
        other => other.text()?.parse().map_err(|_| Failure::NoNumber.into()),
    }
}
