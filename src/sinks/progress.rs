//! An output that is for several (channels of Slack's, addresses of a mail): each is told once, whatever becomes of the
//! others. Who was told stays told when an attempt is repeated; who can never be told is named.

use serde_json::{Value, json};

use crate::delivery::attempt::Verdict;

/// What the attempts so far have come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// Whether any has it.
    pub(super) done: bool,
    /// Those still to be told, as their channel writes them; `None` before the first was.
    pub(super) left: Option<Vec<Value>>,
    /// Those who never will be.
    pub(super) refused: Vec<Refused>,
}

/// One who cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Channel or address.
    pub(super) to: String,
    /// In words.
    pub(super) why: String,
}

impl Progress {
    /// What an earlier attempt left; nothing if it left nothing of this form.
    pub(super) fn of(value: Option<&Value>) -> Self {
        let Some(value) = value else {
            return Self::default();
        };
        let list = |name: &str| value.get(name).and_then(Value::as_array);
        let refused = list("refused").into_iter().flatten().filter_map(|refused| {
            let text = |name: &str| refused.get(name)?.as_str().map(str::to_owned);
            Some(Refused {
                to: text("to")?,
                why: text("why")?,
            })
        });
        Self {
            done: value.get("done").and_then(Value::as_bool) == Some(true),
            left: list("left").cloned(),
            refused: refused.collect(),
        }
    }

    /// For the next attempt. While none was told there is nothing to keep: who it is for is then asked anew.
    pub(super) fn kept(&self) -> Option<Value> {
        let left = self.left.as_ref()?;
        (self.done && !left.is_empty())
            .then(|| json!({ "done": true, "left": left, "refused": self.refused_json() }))
    }

    /// What it all means: while any is left, what their attempt said; else delivered, if any has it.
    pub(super) fn verdict(&self, attempt: Verdict) -> Verdict {
        let any_left = self.left.as_ref().is_some_and(|left| !left.is_empty());
        match self.done && !any_left {
            true => Verdict::Delivered,
            false => attempt,
        }
    }

    /// For the outcome: who was not told, if any.
    pub(super) fn response(&self) -> Option<Value> {
        (!self.refused.is_empty()).then(|| json!({ "refused": self.refused_json() }))
    }

    fn refused_json(&self) -> Vec<Value> {
        let json = |refused: &Refused| json!({ "to": refused.to, "why": refused.why });
        self.refused.iter().map(json).collect()
    }
}

/// Of two verdicts on parts of one output, what they mean together while something is left to do: the longer wait, and
/// unknown if either is. Credentials that are not accepted outweigh all: they are the same for every part.
pub(super) fn worse(one: Option<Verdict>, other: Verdict) -> Verdict {
    match (one, other) {
        (
            Some(Verdict::Again {
                why,
                after,
                unknown,
            }),
            Verdict::Again {
                after: later,
                unknown: also,
                ..
            },
        ) => Verdict::Again {
            why,
            after: after.max(later),
            unknown: unknown || also,
        },
        (Some(one @ Verdict::Misconfigured { .. }), _) => one,
        (_, other @ Verdict::Misconfigured { .. }) => other,
        (
            Some(one @ Verdict::Again { .. }),
            Verdict::Delivered | Verdict::Rejected { .. } | Verdict::Unclear { .. },
        ) => one,
        (
            Some(one @ (Verdict::Rejected { .. } | Verdict::Unclear { .. })),
            Verdict::Delivered | Verdict::Rejected { .. } | Verdict::Unclear { .. },
        ) => one,
        (
            Some(Verdict::Rejected { .. } | Verdict::Unclear { .. } | Verdict::Delivered) | None,
            other,
        ) => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_kept_reads_as_it_was_and_nothing_is_kept_before_the_first_is_told() {
        let refused = Refused {
            to: "b@x.example".to_owned(),
            why: "550 no such user".to_owned(),
        };
        let progress = Progress {
            done: true,
            left: Some(vec![json!("c@x.example")]),
            refused: vec![refused],
        };
        assert_eq!(Progress::of(progress.kept().as_ref()), progress);
        let none = Progress {
            done: false,
            ..progress.clone()
        };
        assert_eq!(none.kept(), None);
        assert_eq!(
            progress.response(),
            Some(json!({ "refused": [{ "to": "b@x.example", "why": "550 no such user" }] }))
        );
    }

    #[test]
    fn one_that_is_told_makes_it_delivered_once_none_is_left() {
        let no = || Verdict::Rejected {
            why: "no".to_owned(),
        };
        let again = |after, unknown| Verdict::Again {
            why: "later".to_owned(),
            after,
            unknown,
        };
        let of = |done, left: &[&str]| Progress {
            done,
            left: Some(left.iter().map(|left| json!(left)).collect()),
            refused: Vec::new(),
        };
        assert_eq!(of(true, &[]).verdict(no()), Verdict::Delivered);
        assert_eq!(of(false, &[]).verdict(no()), no());
        assert_eq!(
            of(true, &["a"]).verdict(again(None, false)),
            again(None, false)
        );
        let seven = Some(Duration::from_secs(7));
        assert_eq!(
            worse(Some(again(None, true)), again(seven, false)),
            again(seven, true)
        );
        assert_eq!(worse(Some(no()), again(None, false)), again(None, false));
        assert_eq!(worse(Some(again(None, false)), no()), again(None, false));
        assert_eq!(worse(Some(Verdict::Delivered), no()), no());
    }
}
