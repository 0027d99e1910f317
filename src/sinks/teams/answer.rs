//! Teams' manners: a Workflows webhook answers 202 and cannot edit; the older connectors answer 200 and put the error
//! into the text.

use serde_json::Value;

use crate::delivery::attempt::{Answer, Verdict};

/// What the text of a 200 says, if it is not what success says.
#[must_use]
pub fn refusal(answer: &Answer) -> Option<Verdict> {
    if answer.status != 200 {
        return None;
    }
    let Value::String(text) = &answer.body else {
        return None;
    };
    let text = text.to_ascii_lowercase();
    if !text.contains("failed") && !text.contains("error") {
        return None;
    }
    let is_throttled = text.contains("429") || text.contains("throttl");
    Some(if is_throttled {
        Verdict::Again {
            why: "Teams throttles, in the text of a 200".to_owned(),
            after: None,
            unknown: false,
        }
    } else {
        Verdict::Rejected {
            why: "Teams reports an error in the text of a 200".to_owned(),
        }
    })
}
