//! Strikes what a vendor was shown from what it says: some repeat a request in their refusal, with the credentials it
//! came with, and answers are kept in dead letters, outcomes and log lines (S1.10).
//!
//! Only what was shown in this very exchange is known, and that is enough: nothing else of ours can come back. Struck
//! right where the answer arrives, so that nothing behind (judgement, expressions, letters) ever holds it.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::{Url, header::HeaderMap};
use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use crate::delivery::attempt::{Answer, Fault};

/// Stands for a credential.
pub const CONCEALED: &str = "***";

/// Shortest text that is struck. Fewer bytes stand everywhere by chance, and hide nothing that could not be guessed.
const BYTES_MIN: usize = 4;

/// Shortest part of a secret address that is struck by itself: shorter ones are words such as `services`.
const PART_BYTES_MIN: usize = 12;

/// What stands as it is in addresses and forms.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a vendor was shown.
#[derive(Default)]
pub struct Conceal {
    /// In every form it may come back in, the longest first.
    forms: Vec<Zeroizing<String>>,
}

impl Conceal {
    /// Strikes a secret as it is, percent-encoded, in base64 and as JSON writes it.
    pub fn add(&mut self, secret: &str) {
        self.add_within(secret, BYTES_MIN);
    }

    /// Strikes the values of headers marked sensitive, and what they are made of: `Bearer TOKEN`, and of
    /// `Basic BASE64` the name, the password and both.
    pub fn add_headers(&mut self, headers: &HeaderMap) {
        for value in headers.values().filter(|value| value.is_sensitive()) {
            let Ok(text) = value.to_str() else { continue };
            self.add(text);
            let Some((scheme, shown)) = text.split_once(' ') else {
                continue;
            };
            self.add(shown);
            if scheme.eq_ignore_ascii_case("basic")
                && let Ok(both) = BASE64_STANDARD.decode(shown)
                && let Ok(both) = String::from_utf8(both).map(Zeroizing::new)
                && let Some((_, password)) = both.split_once(':')
            {
                self.add(&both);
                // OAuth encodes both before they are put together.
                self.add(&percent_decode_str(password).decode_utf8_lossy());
            }
        }
    }

    /// Strikes an address that lets in whoever knows it: whole, without its host, and the parts that are no words.
    pub fn add_address(&mut self, url: &Url) {
        self.add(url.as_str());
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        self.add_within(&path_and_query, PART_BYTES_MIN);
        let queries = url.query_pairs();
        let values: Vec<String> = queries.map(|(_, value)| value.into_owned()).collect();
        let segments = url.path().split('/');
        for part in segments.chain(values.iter().map(String::as_str)) {
            self.add_within(part, PART_BYTES_MIN);
        }
    }

    fn add_within(&mut self, secret: &str, bytes_min: usize) {
        if secret.len() < bytes_min {
            return;
        }
        let json = Value::String(secret.to_owned()).to_string();
        // Without the quotes around it; its own last one stays.
        let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
        for form in [
            secret.to_owned(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            utf8_percent_encode(secret, &UNRESERVED).to_string(),
            BASE64_STANDARD.encode(secret),
            json,
        ] {
            if form.len() >= bytes_min && !self.forms.iter().any(|known| **known == form) {
                self.forms.push(Zeroizing::new(form));
            }
        }
        // One may be a part of another, of which the rest would stay.
        self.forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// Text of the vendor's.
    #[must_use]
    pub fn text(&self, text: String) -> String {
        let strike = |text: String, form: &Zeroizing<String>| match text.contains(form.as_str()) {
            true => text.replace(form.as_str(), CONCEALED),
            false => text,
        };
        self.forms.iter().fold(text, strike)
    }

    /// A whole answer.
    #[must_use]
    pub fn answer(&self, answer: Answer) -> Answer {
        if self.forms.is_empty() {
            return answer;
        }
        let headers = answer.headers.into_iter();
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name, self.text(value)))
            .collect();
        Answer {
            status: answer.status,
            headers,
            body: self.value(answer.body),
        }
    }

    /// Why there was none, in the words of libraries that may quote the vendor.
    #[must_use]
    pub fn fault(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Unsendable(why) => Fault::Unsendable(self.text(why)),
            Fault::NotReady(why) => Fault::NotReady(self.text(why)),
            Fault::Misconfigured(why) => Fault::Misconfigured(self.text(why)),
            Fault::Connect(why) => Fault::Connect(self.text(why)),
            Fault::Timeout(after) => Fault::Timeout(after),
            Fault::Lost(why) => Fault::Lost(self.text(why)),
            Fault::TooLong(bytes_max) => Fault::TooLong(bytes_max),
            Fault::InDoubt {
                why,
                after,
                is_down,
            } => Fault::InDoubt {
                why: self.text(why),
                after,
                is_down,
            },
        }
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (self.text(name), self.value(value)))
                .collect(),
            // A secret of digits only. Within a longer number they are there by chance.
            Value::Number(number) => {
                let text = number.to_string();
                match self.forms.iter().any(|form| **form == text) {
                    true => Value::String(CONCEALED.to_owned()),
                    false => Value::Number(number),
                }
            }
            Value::Null | Value::Bool(_) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{AUTHORIZATION, HeaderValue};
    use serde_json::json;

    use super::*;

    fn said(conceal: &Conceal, body: Value) -> Value {
        let answer = Answer {
            status: 400,
            headers: BTreeMap::from([("x".to_owned(), "hunter2-hunter2".to_owned())]),
            body,
        };
        conceal.answer(answer).body
    }

    #[test]
    fn s1_10_a_secret_that_comes_back_is_struck_in_every_form_and_place() {
        let mut conceal = Conceal::default();
        conceal.add("hunter 2\"");
        for text in [
            "hunter 2\"",
            "hunter%202%22",
            "aHVudGVyIDIi",
            "hunter 2\\\"",
        ] {
            let body = json!({ "said": [format!("<{text}>")], format!("k{text}"): { "n": null } });
            let struck = json!({ "said": ["<***>"], "k***": { "n": null } });
            assert_eq!(said(&conceal, body), struck, "{text}");
        }
        assert_eq!(conceal.text("hunter 2".to_owned()), "hunter 2");
        assert_eq!(
            conceal.fault(Fault::Lost("of hunter 2\"".to_owned())),
            Fault::Lost("of ***".to_owned())
        );
        conceal.add("482913");
        assert_eq!(
            said(&conceal, json!([482_913, 4_829_130])),
            json!(["***", 4_829_130])
        );
    }

    #[test]
    fn s1_10_a_login_is_struck_whole_and_in_its_parts() {
        let mut headers = HeaderMap::new();
        let mut value = HeaderValue::from_static("Basic dTE6cCU0MHNzLXcwcmQ=");
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        headers.insert("x-plain", HeaderValue::from_static("shown-and-no-secret"));
        let mut conceal = Conceal::default();
        conceal.add_headers(&headers);
        for text in [
            "Basic dTE6cCU0MHNzLXcwcmQ=",
            "dTE6cCU0MHNzLXcwcmQ=",
            "u1:p%40ss-w0rd",
            "p@ss-w0rd",
        ] {
            assert_eq!(conceal.text(format!("no {text}.")), "no ***.", "{text}");
        }
        let plain = "u1 shown-and-no-secret".to_owned();
        assert_eq!(conceal.text(plain.clone()), plain);
    }

    #[test]
    fn s1_10_a_secret_address_is_struck_whole_and_in_its_parts() {
        let url = "https://hooks.example.com/services/T0/planted-part?sig=planted%2Dvalue";
        let mut conceal = Conceal::default();
        conceal.add_address(&Url::parse(url).unwrap());
        for text in [
            url,
            "/services/T0/planted-part?sig=planted%2Dvalue",
            "planted-part",
            "planted-value",
        ] {
            assert_eq!(conceal.text(format!("({text})")), "(***)", "{text}");
        }
        let plain = "hooks.example.com/services".to_owned();
        assert_eq!(conceal.text(plain.clone()), plain);
    }

    #[test]
    fn s1_10_text_of_three_bytes_is_no_secret_to_strike_and_of_four_it_is() {
        let mut conceal = Conceal::default();
        conceal.add("abc");
        assert_eq!(conceal.text("abcd".to_owned()), "abcd");
        conceal.add("abcd");
        assert_eq!(conceal.text("abcde".to_owned()), "***e");
        // A longer one goes first, or its rest would stay.
        conceal.add("abcde");
        assert_eq!(conceal.text("abcdef".to_owned()), "***f");
    }
}
