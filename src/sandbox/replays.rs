//! Answers by idempotency key: the same request again gets the original answer, and nothing is done a second time.

use xxhash_rust::xxh3::xxh3_128;

use super::{
    call::{Call, Reply},
    store::Store,
};

/// What a key stands for.
#[derive(Debug)]
struct Original {
    body: u128,
    at_ms: i64,
    reply: Reply,
}

/// The answers given so far.
#[derive(Debug)]
pub struct Replays {
    originals: Store<Original>,
    ttl_ms: i64,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: the request is new.
    New,
    /// It came before, just so: the answer it got.
    Same(Reply),
    /// It came before with another body: the answer that one got.
    Other(Reply),
}

impl Replays {
    /// Remembers `keep` keys, each for `ttl_ms`.
    #[must_use]
    pub fn new(keep: usize, ttl_ms: i64) -> Self {
        Self {
            originals: Store::new(keep),
            ttl_ms,
        }
    }

    /// What is known of the key of a call.
    #[must_use]
    pub fn look(&self, key: &str, call: &Call) -> Known {
        match self.originals.get(key) {
            Some(original) if call.at_ms - original.at_ms < self.ttl_ms => {
                let reply = original.reply.again();
                if original.body == xxh3_128(&call.body) {
                    Known::Same(reply)
                } else {
                    Known::Other(reply)
                }
            }
            Some(_) | None => Known::New,
        }
    }

    /// Remembers the answer to a call and gives it back.
    pub fn keep(&mut self, key: &str, call: &Call, reply: Reply) -> Reply {
        let original = Original {
            body: xxh3_128(&call.body),
            at_ms: call.at_ms,
            reply: reply.clone(),
        };
        self.originals.insert(key, original);
        reply
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn call(body: &'static str, at_ms: i64) -> Call {
        let mut call = Call::new("POST", "/rewards/v1", BTreeMap::new(), body.into());
        call.at_ms = at_ms;
        call
    }

    #[test]
    fn a_key_brings_the_original_answer_until_its_time_is_over() {
        let mut replays = Replays::new(10, 1_000);
        assert_eq!(replays.look("k", &call("{}", 0)), Known::New);
        let reply = replays.keep("k", &call("{}", 0), Reply::empty(201).executed("k"));
        assert_eq!(reply.executed.as_deref(), Some("k"));
        assert_eq!(
            replays.look("k", &call("{}", 999)),
            Known::Same(reply.again())
        );
        assert_eq!(
            replays.look("k", &call("[]", 999)),
            Known::Other(reply.again())
        );
        assert_eq!(replays.look("k", &call("{}", 1_000)), Known::New);
    }
}
