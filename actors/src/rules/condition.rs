//! A condition: compiled from its text, then asked for every event.
//!
//! `syntax` parses, `check` types and names every mistake, `eval` evaluates; here they are put together, and
//! what is asked of a whole condition is answered.

use std::sync::Arc;

use super::{
    about,
    check::Checker,
    eval::{Mention, Node, Trouble},
    field::{Kind, Scope, Topic},
    syntax,
};

/// Longest condition, in bytes.
pub const CONDITION_BYTES_MAX: usize = 4_096;

/// A compiled condition, or a compiled expression for points.
#[derive(Clone, Debug)]
pub struct Condition {
    root: Node,
    mentions: Vec<Arc<Mention>>,
    reads: Vec<&'static str>,
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
        let expr = match syntax::parse(text) {
            Ok(expr) => expr,
            Err((at, what)) => return mistake(Some(at), format!("not CEL: {what}")),
        };
        let mut checker = Checker::new(topic);
        let typed = checker.node(&expr);
        match typed {
            Some((root, kind)) if checker.mistakes.is_empty() => {
                if !fits(kind) {
                    return mistake(None, format!("{wanted}, this is {}", kind.name()));
                }
                Ok(Self {
                    root,
                    mentions: checker.mentions,
                    reads: checker.reads,
                })
            }
            Some(_) | None => Err(checker.mistakes),
        }
    }

    /// Whether it holds.
    pub fn holds<'a>(&'a self, scope: &Scope<'a>) -> Result<bool, Trouble> {
        self.root.holds(scope)
    }

    /// Whether it holds for each event of this metric, for none, or it depends.
    pub fn holds_for(&self, metric: &str) -> Option<bool> {
        about::holds_for(&self.root, metric)
    }

    /// Names in the event's data that it reads, or reads below.
    pub fn reads(&self) -> &[&'static str] {
        &self.reads
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
            let Ok(value) = mention.text.value(scope) else {
                continue;
            };
            let text = value.text().unwrap_or_default();
            for keyword in mention.keywords.all_in(text) {
                if !found.iter().any(|known| known == keyword) {
                    found.push(keyword.to_owned());
                }
            }
        }
        found
    }
}
