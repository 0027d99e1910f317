//! JSON from pieces: what is known to be plain goes in as it is, what is text is escaped.

use std::fmt::Write;

/// A JSON text in the making. Every member ends with a comma, which the end of its object takes back.
#[derive(Debug)]
pub struct Json(String);

impl Json {
    pub fn new() -> Self {
        Self(String::with_capacity(1_280))
    }

    /// A piece as it is.
    pub fn raw(&mut self, piece: &str) -> &mut Self {
        self.0.push_str(piece);
        self
    }

    /// A member whose value is text.
    pub fn field(&mut self, name: &str, value: &str) {
        self.raw("\"").raw(name).raw("\":\"").text(value).raw("\",");
    }

    /// Text, escaped, without its quotes.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let mut rest = text;
        while let Some(at) = rest
            .bytes()
            .position(|b| matches!(b, b'"' | b'\\' | 0..0x20))
        {
            self.raw(&rest[..at]);
            let byte = rest.as_bytes()[at];
            match byte {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                _ => self.write(format_args!("\\u{byte:04x}")),
            };
            rest = &rest[at + 1..];
        }
        self.raw(rest)
    }

    pub fn number(&mut self, n: u64) -> &mut Self {
        self.write(format_args!("{n}"))
    }

    /// 16 digits.
    pub fn hex(&mut self, n: u64) -> &mut Self {
        self.write(format_args!("{n:016x}"))
    }

    /// `12.345` from 12345.
    pub fn thousandths(&mut self, n: i64) -> &mut Self {
        let sign = if n < 0 { "-" } else { "" };
        let n = n.unsigned_abs();
        self.write(format_args!("{sign}{}.{:03}", n / 1_000, n % 1_000))
    }

    /// `-0.25` from -25.
    pub fn hundredths(&mut self, n: i32) -> &mut Self {
        self.thousandths(i64::from(n) * 10)
    }

    /// Closes an object; another member may follow.
    pub fn end_object(&mut self) {
        if self.0.ends_with(',') {
            self.0.pop();
        }
        self.raw("},");
    }

    /// Closes the outermost object.
    pub fn finish(mut self) -> String {
        if self.0.ends_with(',') {
            self.0.pop();
        }
        self.0.push('}');
        self.0
    }

    fn write(&mut self, piece: std::fmt::Arguments<'_>) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(piece);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_as_it_was() {
        for text in ["plain", "a \"b\" \\ c", "\u{1}\n\té–\u{7f}", "\"", ""] {
            let mut json = Json::new();
            json.raw("{");
            json.field("x", text);
            let value: serde_json::Value = serde_json::from_str(&json.finish()).expect("JSON");
            assert_eq!(value, serde_json::json!({ "x": text }));
        }
    }

    #[test]
    fn numbers_keep_their_point_and_sign() {
        let mut json = Json::new();
        json.thousandths(12_005)
            .raw(" ")
            .thousandths(-7)
            .raw(" ")
            .hundredths(-25);
        assert_eq!(json.0, "12.005 -0.007 -0.250");
    }
}
