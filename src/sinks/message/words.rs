//! Names of fields and rules as people read them.

use serde_json::Value;

use super::outside::{line, plain};

/// `critical_keyword` as "critical keyword".
pub(super) fn spaced(name: &str) -> String {
    let name = line(name);
    let text: String = name
        .chars()
        .map(|c| if matches!(c, '_' | '.') { ' ' } else { c })
        .collect();
    let text = text.trim();
    if text.is_empty() { &name } else { text }.to_owned()
}

/// `critical_keyword` as "Critical keyword".
pub(super) fn label(name: &str) -> String {
    let text = spaced(name);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// A value in words, if it says anything; plain.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => plain(text).trim().to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(text).collect();
            items.join(", ")
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .filter_map(|(name, value)| Some(format!("{}: {}", spaced(name), text(value)?)))
                .collect();
            fields.join("; ")
        }
    };
    (!text.is_empty()).then_some(text)
}
