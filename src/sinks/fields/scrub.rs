//! What is struck from what others wrote: vendors' answers, the texts of errors, excerpts kept in dead letters.
//!
//! Nobody declared their fields, so this is a list of what must not stay: values under listed names, however a vendor
//! spells them, and card and SSN shapes in every other text. Text that is no JSON is searched for `name: value` and
//! `name=value`; there, too much is struck rather than too little.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::shapes;

/// Names that are always struck; `[scrub] names` adds to them. Compared without case, dashes and underscores.
pub const LISTED: [&str; 22] = [
    "access_token",
    "account_number",
    "api_key",
    "authorization",
    "card_number",
    "client_secret",
    "cookie",
    "credit_card",
    "credit_card_number",
    "cvc",
    "cvv",
    "iban",
    "id_token",
    "password",
    "pin",
    "private_key",
    "refresh_token",
    "secret",
    "set_cookie",
    "social_security_number",
    "ssn",
    "tax_id",
];

/// What stands for a value that was struck from text.
const STRUCK: &str = "***";

/// The names to strike.
#[derive(Debug)]
pub struct Scrub {
    /// As [`plain_name`] makes them.
    names: BTreeSet<String>,
}

impl Default for Scrub {
    fn default() -> Self {
        Self::with(std::iter::empty())
    }
}

impl Scrub {
    /// With more names than the listed ones.
    pub fn with<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self {
            names: LISTED.into_iter().chain(names).map(plain_name).collect(),
        }
    }

    /// Without the listed fields, shapes masked.
    pub fn value(&self, value: &Value) -> Value {
        self.named("", value)
    }

    /// `name` is the nearest key above.
    fn named(&self, name: &str, value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let left: Map<String, Value> = map
                    .iter()
                    .filter(|(name, _)| !self.lists(name))
                    .map(|(name, value)| (shapes::mask(name).into_owned(), self.named(name, value)))
                    .collect();
                Value::Object(left)
            }
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.named(name, item)).collect())
            }
            Value::String(_) | Value::Number(_) if is_identifier(name) => value.clone(),
            Value::String(text) => Value::String(self.text(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => shapes::mask_value(value),
        }
    }

    /// Text likewise. JSON is read as such; everything else is searched.
    pub fn text(&self, text: &str) -> String {
        if text.trim_start().starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str(text)
        {
            return self.value(&value).to_string();
        }
        let mut left = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find([':', '=']) {
            let (before, after) = rest.split_at(at + 1);
            left.push_str(before);
            rest = after;
            if self.lists(name_before(&before[..at])) {
                let value = value_after(after);
                let blank = after.len() - after.trim_start_matches([' ', '\t']).len();
                left.push_str(&after[..blank]);
                if value > blank {
                    left.push_str(STRUCK);
                }
                rest = &after[value..];
            }
        }
        left.push_str(rest);
        shapes::mask(&left).into_owned()
    }

    fn lists(&self, name: &str) -> bool {
        !name.is_empty() && self.names.contains(&plain_name(name))
    }
}

/// A name without what vendors differ in: `credit_card_number`, `creditCardNumber` and `Credit-Card-Number` are one.
fn plain_name(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// The name that text before a `:` or `=` ends with, its quotes left out.
fn name_before(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t', '"', '\'', '\\']);
    let begin = text
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '-'))
        .last()
        .map_or(text.len(), |(at, _)| at);
    &text[begin..]
}

/// Where the value that text begins with ends: at its closing quote, or at whatever may follow a value that has none.
/// Not at a blank: a password may hold one, and `Bearer` is followed by what it announces.
fn value_after(text: &str) -> usize {
    let value = text.trim_start_matches([' ', '\t']);
    let blank = text.len() - value.len();
    // JSON inside JSON has `\"` where JSON has `"`, and what opens a value closes it.
    let inner = value.trim_start_matches('\\');
    let length = if inner.starts_with(['"', '\'']) {
        let quote = &value[..=value.len() - inner.len()];
        value
            .match_indices(quote)
            .skip(1)
            .find(|(at, _)| !value[..*at].ends_with('\\'))
            .map_or(value.len(), |(at, quote)| at + quote.len())
    } else {
        value
            .find([',', ';', '&', '}', ']', ')', '\n', '\r', '"', '\''])
            .unwrap_or(value.len())
    };
    blank + length
}

/// Whether a name says that its value identifies something, a phone among them, or is a time: such values are looked up
/// and compared, and one in ten long numbers looks like a card. `order_id`, `orderId`, `Order-ID`, `idempotency_key`,
/// `raised_at`.
pub fn is_identifier(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "phone",
        "id",
        "ids",
        "uuid",
        "key",
        "at",
        "ts",
        "time",
        "date",
        "timestamp",
        "datetime",
        "updated",
    ];
    last_word(name).is_some_and(|word| WORDS.contains(&word.as_str()))
}

/// The last word of a name, in lower case; words begin at separators and capitals.
fn last_word(name: &str) -> Option<String> {
    let word = name.rsplit(|c: char| !c.is_alphanumeric()).next()?;
    let is_mixed = word.chars().any(char::is_lowercase);
    let begin = word
        .char_indices()
        .rev()
        .find(|(_, c)| is_mixed && c.is_uppercase())
        .map_or(0, |(at, _)| at);
    let last = word[begin..].to_lowercase();
    // `orderID`: the capital found is the second of two.
    let is_spelt = begin > 0 && word[..begin].ends_with('I') && last == "d";
    Some(if is_spelt { "id".to_owned() } else { last })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn s5_09_listed_fields_go_at_any_depth_and_in_any_spelling() {
        let scrub = Scrub::with(["mothers_maiden_name"].into_iter());
        let answer = json!({
            "status": "ISSUED",
            "ssn": "123-45-6789",
            "creditCardNumber": 4_111_111_111_111_111_u64,
            "customer": [{"Credit-Card-Number": "x", "tier": "gold", "mothersMaidenName": "y"}],
            "access_token": {"value": "planted"},
            "token": "of a survey, which the desktop needs",
            "pinned": true,
        });
        assert_eq!(
            scrub.value(&answer),
            json!({
                "status": "ISSUED",
                "customer": [{"tier": "gold"}],
                "token": "of a survey, which the desktop needs",
                "pinned": true,
            })
        );
    }

    #[test]
    fn s5_09_shapes_are_masked_in_other_fields_and_identifiers_stay() {
        let scrub = Scrub::default();
        let card = "4111111111111111";
        let answer = json!({
            "note": format!("paid with {card}"), "list": [card], "n": 4_111_111_111_111_111_u64,
            "order_id": card, "orderId": card, "orderID": card, "ids": [card], "idempotency_key": card,
            "raised_at": card, "timestamp": 4_111_111_111_111_111_u64, "paid": card, "grid": card,
        });
        assert_eq!(
            scrub.value(&answer),
            json!({
                "note": "paid with ************1111", "list": ["************1111"], "n": "************1111",
                "order_id": card, "orderId": card, "orderID": card, "ids": [card], "idempotency_key": card,
                "raised_at": card, "timestamp": 4_111_111_111_111_111_u64,
                "paid": "************1111", "grid": "************1111",
            })
        );
    }

    #[test]
    fn s5_09_text_loses_what_stands_behind_a_listed_name() {
        let scrub = Scrub::default();
        for (text, left) in [
            ("ssn: 5, tier: gold", "ssn: ***, tier: gold"),
            ("a=1&client_secret=planted&b=2", "a=1&client_secret=***&b=2"),
            (
                "Authorization: Bearer planted\nHost: x",
                "Authorization: ***\nHost: x",
            ),
            (
                r#"bad {"password": "pl\"anted", "a": 1"#,
                r#"bad {"password": ***, "a": 1"#,
            ),
            (r#"said "{\"cvv\":\"123\"}""#, r#"said "{\"cvv\":***}""#),
            ("PASSWORD = planted horse", "PASSWORD = ***"),
            ("ssn:", "ssn:"),
            ("nothing: here", "nothing: here"),
            ("http://h:80/p?pin=1", "http://h:80/p?pin=***"),
            (
                "paid with 4111 1111 1111 1111",
                "paid with **** **** **** 1111",
            ),
            (
                r#"{"ssn":"x","note":"123-45-6789"}"#,
                r#"{"note":"***-**-****"}"#,
            ),
        ] {
            assert_eq!(scrub.text(text), left, "{text}");
        }
    }

    #[test]
    fn s5_09_json_inside_a_string_is_scrubbed_as_well() {
        let scrub = Scrub::default();
        assert_eq!(
            scrub.value(&json!({"body": "{\"ssn\": \"x\", \"a\": 1}"})),
            json!({"body": "{\"a\":1}"})
        );
    }
}
