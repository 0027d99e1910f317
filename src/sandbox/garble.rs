//! Answers as proxies and careless servers are known to send them: what was done is done, and only the body suffers.

use std::io::Write as _;

use actix_web::web::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::{call::Reply, faults::Garbling};

/// What stands in the place of an answer behind a proxy that wants a login.
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Your session has ended.</body></html>";

/// The same answer with its body garbled. One without a body has nothing to garble.
#[must_use]
pub fn garbled(reply: Reply, garbling: Garbling) -> Reply {
    if reply.body.is_empty() {
        return reply;
    }
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    match garbling {
        Garbling::Bom => with_body(reply, [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        Garbling::Utf16 => {
            let units = text.encode_utf16();
            let body = [0xfeff].into_iter().chain(units).flat_map(u16::to_le_bytes);
            with_body(reply, body.collect())
        }
        Garbling::Latin1 => {
            let named = noted(&text, "\u{e9}");
            let body = named.chars().map(|c| u8::try_from(c).unwrap_or(b'?'));
            Reply {
                content_type: "application/json; charset=ISO-8859-1",
                body: body.collect(),
                ..reply
            }
        }
        Garbling::Surrogate => {
            let named = noted(&text, "\u{e9}").replace('\u{e9}', "\\ud83d");
            with_body(reply, named.into_bytes())
        }
        Garbling::Gzip => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            // Into memory, where nothing fails.
            let written = packed.write_all(text.as_bytes());
            match written.and_then(|()| packed.finish()) {
                Ok(packed) => with_body(reply, packed).with("Content-Encoding", "gzip"),
                Err(_) => reply,
            }
        }
        Garbling::Cut => {
            let half = text.len() / 2;
            with_body(reply, text.into_bytes()[..half].to_vec())
        }
        Garbling::Html => Reply {
            content_type: "text/html; charset=utf-8",
            body: Bytes::from_static(PAGE.as_bytes()),
            ..reply
        },
        Garbling::Empty => with_body(reply, Vec::new()),
    }
}

fn with_body(reply: Reply, body: Vec<u8>) -> Reply {
    Reply {
        body: body.into(),
        ..reply
    }
}

/// The answer with one more field, if it is an object.
fn noted(text: &str, note: &str) -> String {
    match serde_json::from_str(text) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("note".to_owned(), note.into());
            Value::Object(fields).to_string()
        }
        Ok(_) | Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::faults::Garbling;

    fn of(garbling: Garbling) -> Reply {
        garbled(
            Reply::json(201, &json!({"status": "ISSUED"})).executed("k"),
            garbling,
        )
    }

    #[test]
    fn only_the_body_is_garbled_and_what_was_done_stays_done() {
        for garbling in Garbling::ALL {
            let reply = of(garbling);
            assert_eq!((reply.status, reply.executed.as_deref()), (201, Some("k")));
            let is_json = serde_json::from_slice::<Value>(&reply.body).is_ok();
            assert!(!is_json, "{garbling:?}");
            assert_eq!(garbled(Reply::empty(204), garbling), Reply::empty(204));
        }
        assert_eq!(&of(Garbling::Bom).body[..4], b"\xef\xbb\xbf{");
        assert_eq!(&of(Garbling::Utf16).body[..4], [0xff, 0xfe, b'{', 0]);
        assert!(of(Garbling::Latin1).body.contains(&0xe9));
        assert!(of(Garbling::Gzip).body.starts_with(&[0x1f, 0x8b]));
        assert!(of(Garbling::Empty).body.is_empty());
    }
}
