//! An answer's body as its sender meant it: unpacked, in its own character set, parsed.
//!
//! What cannot be read here is judged as unknown later (S3.16), and money may hang on it. So this reads what vendors
//! and the proxies before them are known to send: a compressed body nobody asked for, a byte order mark, another
//! character set, half of a surrogate pair. What it does not do is guess at a body that is cut or is no JSON.

use std::{borrow::Cow, io::Read as _};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use serde_json::Value;

/// Compressions within each other that are undone.
const LAYERS_MAX: usize = 3;

/// What every gzip stream begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An unpacked body would be longer than answers may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// What the headers say of a body, as they stand there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Declared<'a> {
    /// `Content-Type`.
    pub content_type: &'a str,
    /// `Content-Encoding`.
    pub content_encoding: &'a str,
}

/// JSON as what it is, other text as a string, nothing as `null`. `bytes_max` bounds the unpacked body.
///
/// # Errors
/// If the unpacked body is longer.
pub fn read(declared: Declared<'_>, bytes: &[u8], bytes_max: usize) -> Result<Value, TooLong> {
    let unpacked = unpacked(declared.content_encoding, bytes, bytes_max)?;
    if unpacked.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    let text = text(declared.content_type, &unpacked);
    if let Some(value) = json(&text) {
        return Ok(value);
    }
    // Some servers declare a character set that they do not write.
    let plain = String::from_utf8_lossy(&unpacked);
    Ok(json(&plain).unwrap_or_else(|| Value::String(text.into_owned())))
}

/// The body without its compressions: those that are declared, and gzip wherever it shows. What is not compressed as
/// declared stays as it is: proxies unpack bodies and forget the header.
fn unpacked<'a>(
    content_encoding: &str,
    bytes: &'a [u8],
    bytes_max: usize,
) -> Result<Cow<'a, [u8]>, TooLong> {
    let mut body = Cow::Borrowed(bytes);
    let codings = content_encoding.split(',').map(str::trim);
    let mut is_deflated = codings
        .filter(|coding| coding.eq_ignore_ascii_case("deflate"))
        .take(LAYERS_MAX)
        .count();
    for _ in 0..LAYERS_MAX {
        let next = if body.starts_with(&GZIP) {
            inflated(MultiGzDecoder::new(&*body), bytes_max)?
        } else if is_deflated > 0 {
            is_deflated -= 1;
            // RFC 9110 means zlib by it; some send it bare.
            match inflated(ZlibDecoder::new(&*body), bytes_max)? {
                Some(unpacked) => Some(unpacked),
                None => inflated(DeflateDecoder::new(&*body), bytes_max)?,
            }
        } else {
            None
        };
        match next {
            Some(unpacked) => body = Cow::Owned(unpacked),
            None => break,
        }
    }
    Ok(body)
}

/// `None` if it is not compressed like that, or cut.
fn inflated(decoder: impl std::io::Read, bytes_max: usize) -> Result<Option<Vec<u8>>, TooLong> {
    let mut unpacked = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let read = decoder
        .take(limit.saturating_add(1))
        .read_to_end(&mut unpacked);
    if unpacked.len() > bytes_max {
        return Err(TooLong);
    }
    Ok(read.is_ok().then_some(unpacked))
}

/// The text of a body: a byte order mark decides, else what is declared, else what JSON begins with shows it.
fn text<'a>(content_type: &str, bytes: &'a [u8]) -> Cow<'a, str> {
    let declared = charset(content_type).and_then(|label| Encoding::for_label(label.as_bytes()));
    let shown = match bytes {
        // JSON begins with ASCII, so of its first two bytes one is zero in UTF-16 (RFC 4627, 3).
        [0, first, ..] if *first != 0 => Some(UTF_16BE),
        [first, 0, ..] if *first != 0 => Some(UTF_16LE),
        _ => None,
    };
    let encoding = shown.or(declared).unwrap_or(UTF_8);
    // A mark of another encoding overrules the argument, and is left out of the text.
    encoding.decode(bytes).0
}

/// The parameter `charset` of a media type.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then_some(value)
            .filter(|value| !value.is_empty())
    })
}

fn json(text: &str) -> Option<Value> {
    // The mark again: some writers put two.
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text)
        .ok()
        .or_else(|| serde_json::from_str(&with_whole_characters(text)?).ok())
}

/// JSON in which halves of surrogate pairs are written as U+FFFD; `None` if it has none. What JavaScript cuts between
/// the halves it writes as `\ud83d`, which is no character and which the parser refuses.
fn with_whole_characters(text: &str) -> Option<String> {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let taken = match code_unit(escape) {
            Some(0xd800..=0xdbff) => match escape.get(6..).and_then(code_unit) {
                Some(0xdc00..=0xdfff) => 12,
                _ => 0,
            },
            Some(0xdc00..=0xdfff) => 0,
            Some(_) => 6,
            // The escaped character with it: it may be another backslash.
            None => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        if taken == 0 {
            found = true;
            whole.push_str("\\ufffd");
            rest = &escape[6..];
        } else {
            whole.push_str(&escape[..taken]);
            rest = &escape[taken..];
        }
    }
    whole.push_str(rest);
    found.then_some(whole)
}

/// The code unit that a text begins with as `\uXXXX`.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use serde_json::json;

    use super::*;

    const MAX: usize = 1_000;

    fn of(content_type: &str, bytes: &[u8]) -> Value {
        let declared = Declared {
            content_type,
            content_encoding: "",
        };
        read(declared, bytes, MAX).expect("not too long")
    }

    fn coded(content_encoding: &str, bytes: &[u8]) -> Result<Value, TooLong> {
        let declared = Declared {
            content_type: "application/json",
            content_encoding,
        };
        read(declared, bytes, MAX)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(bytes).expect("in memory");
        packed.finish().expect("in memory")
    }

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn s3_16_a_byte_order_mark_is_no_part_of_an_answer() {
        let issued = json!({"status": "ISSUED"});
        let text = issued.to_string();
        for marks in ["\u{feff}", "\u{feff}\u{feff}"] {
            assert_eq!(
                of("application/json", format!("{marks}{text}").as_bytes()),
                issued
            );
        }
        let marked = format!("\u{feff}{text}");
        assert_eq!(of("", &utf_16(&marked, u16::to_le_bytes)), issued);
        assert_eq!(of("", &utf_16(&marked, u16::to_be_bytes)), issued);
        // The mark is right where the declaration is wrong.
        let declared = "application/json; charset=iso-8859-1";
        assert_eq!(of(declared, &utf_16(&marked, u16::to_le_bytes)), issued);
    }

    #[test]
    fn s3_16_an_answer_is_read_in_the_character_set_it_declares() {
        let expected = json!({"status": "ISSUED", "name": "José"});
        let latin = b"{\"status\":\"ISSUED\",\"name\":\"Jos\xe9\"}";
        for declared in [
            "application/json; charset=ISO-8859-1",
            "application/json;charset=\"latin1\"",
            "application/json; x=1; Charset='windows-1252'",
        ] {
            assert_eq!(of(declared, latin), expected, "{declared}");
        }
        let japanese = b"{\"a\":\"\x93\xfa\x96{\"}";
        assert_eq!(
            of("application/json; charset=Shift_JIS", japanese),
            json!({"a": "日本"})
        );
        let text = expected.to_string();
        for wide in [
            utf_16(&text, u16::to_le_bytes),
            utf_16(&text, u16::to_be_bytes),
        ] {
            assert_eq!(of("application/json", &wide), expected, "without a mark");
        }
        // Declared as something that it is not, or that nobody knows: its ASCII still says what it says.
        for declared in [
            "application/json; charset=utf-16",
            "application/json; charset=klingon",
            "application/json; charset=",
        ] {
            assert_eq!(of(declared, text.as_bytes()), expected, "{declared}");
        }
        let undeclared = json!({"status": "ISSUED", "name": "Jos\u{fffd}"});
        assert_eq!(of("application/json", latin), undeclared);
    }

    #[test]
    fn s3_16_half_a_surrogate_pair_is_one_unknown_character() {
        for (body, expected) in [
            (r#"{"a":"\ud83d"}"#, "\u{fffd}"),
            (r#"{"a":"x\uDE00y"}"#, "x\u{fffd}y"),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, "\u{fffd}😀"),
            (r#"{"a":"\ud83d\n"}"#, "\u{fffd}\n"),
            (r#"{"a":"\\ud83d \ud83d"}"#, "\\ud83d \u{fffd}"),
            (r#"{"a":"\ud83dA"}"#, "\u{fffd}A"),
        ] {
            assert_eq!(
                of("application/json", body.as_bytes()),
                json!({"a": expected}),
                "{body}"
            );
        }
    }

    #[test]
    fn s3_16_a_body_that_was_compressed_unasked_is_unpacked() {
        let issued = json!({"status": "ISSUED"});
        let text = issued.to_string();
        let gzipped = gzip(text.as_bytes());
        for declared in ["gzip", "x-gzip", "GZIP, identity", ""] {
            assert_eq!(coded(declared, &gzipped), Ok(issued.clone()), "{declared}");
        }
        assert_eq!(coded("gzip, gzip", &gzip(&gzipped)), Ok(issued.clone()));
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text.as_bytes()).expect("in memory");
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(text.as_bytes()).expect("in memory");
        for packed in [zlib.finish(), bare.finish()] {
            let packed = packed.expect("in memory");
            assert_eq!(coded("deflate", &packed), Ok(issued.clone()));
        }
        // A proxy has unpacked it and left the header.
        for declared in ["gzip", "deflate", "br"] {
            assert_eq!(
                coded(declared, text.as_bytes()),
                Ok(issued.clone()),
                "{declared}"
            );
        }
    }

    #[test]
    fn s5_05_what_grows_beyond_the_bound_when_unpacked_is_refused() {
        let most = |bytes: usize| gzip(format!("\"{}\"", "x".repeat(bytes - 2)).as_bytes());
        assert!(coded("gzip", &most(MAX)).is_ok_and(|value| value.is_string()));
        assert_eq!(coded("gzip", &most(MAX + 1)), Err(TooLong));
        assert_eq!(coded("gzip", &most(50_000_000)), Err(TooLong));
    }

    #[test]
    fn s3_16_what_is_cut_or_no_json_stays_text() {
        let gzipped = gzip(b"{\"status\":\"ISSUED\"}");
        let cut = &gzipped[..gzipped.len() - 9];
        assert!(coded("gzip", cut).is_ok_and(|value| value.is_string()));
        for text in [
            "{\"status\":\"ISSUED\",\"id\":\"",
            "<html>",
            "ok",
            "{'a': 1}",
            "\\ud83d",
        ] {
            assert_eq!(of("application/json", text.as_bytes()), json!(text));
        }
        for nothing in ["", " \r\n"] {
            assert_eq!(of("application/json", nothing.as_bytes()), Value::Null);
        }
        let mark = "\u{feff}".as_bytes();
        assert_eq!(
            of("application/json", mark),
            json!(""),
            "no JSON, and no word either"
        );
    }
}
