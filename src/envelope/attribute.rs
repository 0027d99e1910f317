//! CloudEvents attributes in headers: the percent-encoding both the HTTP and the NATS binding prescribe.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::{EVENT_ID_BYTES_MAX, EVENT_SOURCE_BYTES_MAX, Reason, Reject};

/// What the bindings have encoded: space, double quote, percent, and all outside printable ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The value as it stands in a header.
pub fn to_header(value: &str) -> Cow<'_, str> {
    utf8_percent_encode(value, ENCODED).into()
}

/// The value a header stands for: quotes taken off, then percent-decoded, as the bindings say.
///
/// # Errors
/// If what comes out is not UTF-8.
pub fn from_header<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, Reject> {
    let plain = !value.contains(['%', '"']);
    if plain {
        return Ok(Cow::Borrowed(value));
    }
    let unquoted = unquote(value);
    match percent_decode_str(&unquoted).decode_utf8() {
        Ok(text) => Ok(Cow::Owned(text.into_owned())),
        Err(_) => Err(Reject::new(
            Reason::NotCloudevent,
            format!("header {name}: not UTF-8 after percent-decoding"),
        )),
    }
}

/// An HTTP quoted string without its quotes and backslashes; anything else as it is.
fn unquote(value: &str) -> Cow<'_, str> {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return Cow::Borrowed(value);
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// Checks an event's `id`.
pub fn check_id(id: &str) -> Result<(), Reject> {
    check("id", id, EVENT_ID_BYTES_MAX)
}

/// Checks an event's `source`.
pub fn check_source(source: &str) -> Result<(), Reject> {
    check("source", source, EVENT_SOURCE_BYTES_MAX)
}

fn check(name: &str, value: &str, bytes_max: usize) -> Result<(), Reject> {
    let wrong = |what: String| Err(Reject::new(Reason::OutOfRange, format!("{name}: {what}")));
    match value.len() {
        0 => wrong("must not be empty".into()),
        n if n > bytes_max => wrong(format!("has {n} bytes, at most {bytes_max} are taken")),
        // CloudEvents forbids them in any string attribute.
        _ if value.chars().any(char::is_control) => wrong("holds a control character".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was() {
        for value in [
            "plain/ascii?x=1",
            "Euro € 😀",
            "a b\"c%d",
            "100%25",
            "tab\t",
        ] {
            let header = to_header(value);
            assert!(
                header
                    .bytes()
                    .all(|b| (0x21..=0x7e).contains(&b) && b != b'"')
            );
            assert_eq!(from_header("ce-x", &header).expect("decodes"), value);
        }
    }

    #[test]
    fn the_example_of_the_binding_reads_as_it_says() {
        assert_eq!(to_header("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(
            from_header("ce-x", r#""a \"quoted\" string""#).expect("decodes"),
            r#"a "quoted" string"#
        );
        // A lone percent sign is taken as it is; bytes that are not UTF-8 are not.
        assert_eq!(from_header("ce-x", "50%").expect("decodes"), "50%");
        assert!(from_header("ce-x", "%ff").is_err());
    }

    #[test]
    fn an_id_of_256_bytes_is_taken_and_one_of_257_is_not() {
        assert_eq!(check_id(&"x".repeat(256)), Ok(()));
        assert!(check_id(&"x".repeat(257)).is_err());
        assert!(check_id("").is_err());
        assert!(check_id("a\nb").is_err());
    }
}
