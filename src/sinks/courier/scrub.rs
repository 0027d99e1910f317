//! What came back of an attempt, fit to be kept: without what has no place in dead letters and logs.

use super::Courier;
use crate::delivery::attempt::{Answer, Fault, Verdict};

impl Courier {
    /// What came back, without what has no place in dead letters and logs (S5.09).
    pub(super) fn scrubbed(&self, result: Result<Answer, Fault>) -> Result<Answer, Fault> {
        let text = |text: String| self.fields.scrub_text(&text);
        match result {
            Ok(mut answer) => {
                answer.body = self.fields.scrub(&answer.body);
                // A session is a credential.
                answer.headers.remove("set-cookie");
                for value in answer.headers.values_mut() {
                    *value = self.fields.scrub_text(value);
                }
                Ok(answer)
            }
            Err(fault) => Err(match fault {
                Fault::Unsendable(why) => Fault::Unsendable(text(why)),
                Fault::NotReady(why) => Fault::NotReady(text(why)),
                Fault::Misconfigured(why) => Fault::Misconfigured(text(why)),
                Fault::Connect(why) => Fault::Connect(text(why)),
                Fault::Timeout(after) => Fault::Timeout(after),
                Fault::Lost(why) => Fault::Lost(text(why)),
                Fault::TooLong(bytes_max) => Fault::TooLong(bytes_max),
                Fault::InDoubt {
                    why,
                    after,
                    is_down,
                } => Fault::InDoubt {
                    why: text(why),
                    after,
                    is_down,
                },
            }),
        }
    }

    pub(super) fn scrubbed_verdict(&self, verdict: &Verdict) -> Verdict {
        match verdict {
            Verdict::Delivered => Verdict::Delivered,
            Verdict::Rejected { why } => Verdict::Rejected {
                why: self.fields.scrub_text(why),
            },
            Verdict::Unclear { why, unknown } => Verdict::Unclear {
                why: self.fields.scrub_text(why),
                unknown: *unknown,
            },
            Verdict::Misconfigured { why, alone } => Verdict::Misconfigured {
                why: self.fields.scrub_text(why),
                alone: *alone,
            },
            Verdict::Again {
                why,
                after,
                unknown,
            } => Verdict::Again {
                why: self.fields.scrub_text(why),
                after: *after,
                unknown: *unknown,
            },
        }
    }
}
