//! A mailbox for everybody: what `smtp` took, each message once by its `Message-ID`.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    call::{Call, Reply},
    store::Store,
};

/// Where things are.
const ROUTES: &str = "GET /messages[?to=], and SMTP on a port of its own";

/// The mail server.
#[derive(Debug)]
pub struct Mail {
    messages: Store<Value>,
}

impl Mail {
    /// Remembers so many messages.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            messages: Store::new(keep),
        }
    }

    /// Answers a call.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("DATA", ["messages"]) => self.keep(call),
            ("GET", ["messages"]) => {
                let to = call.query.get("to");
                let is_for = |message: &&Value| {
                    to.is_none_or(|to| message["to"].as_str().is_some_and(|all| all.contains(to)))
                };
                let messages: Vec<&Value> = self
                    .messages
                    .iter()
                    .map(|(_, message)| message)
                    .filter(is_for)
                    .collect();
                Reply::json(
                    200,
                    &json!({ "total": messages.len(), "messages": messages }),
                )
            }
            _ => Reply::no_route(call, ROUTES),
        }
    }

    /// Keeps a message. A server of mail does not look whether it had it before, and neither does this one: a repeat is
    /// another execution under the same key, for the ledger to show.
    fn keep(&mut self, call: &Call) -> Reply {
        let key = match call.header("message-id") {
            Some(id) => id.to_owned(),
            None => format!("{:032x}", xxh3_128(&call.body)),
        };
        let message = json!({
            "message_id": key,
            "from": call.header("from"),
            "to": call.header("to"),
            "text": String::from_utf8_lossy(&call.body),
        });
        self.messages.insert(&key, message);
        Reply::text(200, "kept").executed(key)
    }
}
