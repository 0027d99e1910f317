//! What a policy makes of one output: field by field, down to single values.
//!
//! A declaration speaks for one value. An object or a list leaves only as far as what is in it is declared, so that a
//! field which a later version adds to it does not leave because its parent was declared. `encrypt` is the exception:
//! it may seal an object as a whole, since nothing of it can be read.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Action, DropCause, Dropped, FieldError,
    keys::Sealer,
    scrub::is_identifier,
    shapes,
    tree::{ANY, Place, Tree},
};

/// How many characters `mask` leaves readable.
const SHOWN: usize = 4;

/// One walk over one output.
pub struct Walk<'a> {
    sealer: Sealer<'a>,
    path: Vec<String>,
    dropped: BTreeSet<Dropped>,
}

impl<'a> Walk<'a> {
    /// A walk that hashes and seals with `sealer`.
    pub const fn new(sealer: Sealer<'a>) -> Self {
        Self {
            sealer,
            path: Vec::new(),
            dropped: BTreeSet::new(),
        }
    }

    /// What stayed, in order of the paths.
    pub fn into_dropped(self) -> Vec<Dropped> {
        self.dropped.into_iter().collect()
    }

    /// The output's subject: an identifier, declared by a name of its own.
    pub fn subject(&mut self, action: Action, subject: &str) -> Result<Option<Value>, FieldError> {
        self.path.push(super::SUBJECT.to_owned());
        let value = Value::String(subject.to_owned());
        let left = match action {
            Action::Plain => Some(value),
            Action::Hash | Action::Encrypt | Action::Mask | Action::Omit => {
                self.act(action, &value)?
            }
        };
        self.path.pop();
        Ok(left)
    }

    /// The output's data; `None` if it is no object, which is no data of ours.
    pub fn data(&mut self, tree: &Tree, data: &Value) -> Result<Option<Value>, FieldError> {
        match data {
            Value::Object(map) => self.object(&tree.place(), map).map(Some),
            Value::Null => Ok(None),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                self.drop_here(DropCause::Undeclared);
                Ok(None)
            }
        }
    }

    fn object(&mut self, place: &Place<'_>, map: &Map<String, Value>) -> Result<Value, FieldError> {
        let mut left = Map::new();
        for (name, value) in map {
            // A name that stands in no policy is the customer's or the vendor's, and may hold anything.
            let shown = if place.names(name) {
                name.clone()
            } else {
                shapes::mask(name).into_owned()
            };
            self.path.push(shown.clone());
            if let Some(value) = self.value(&place.field(name), value)? {
                left.insert(shown, value);
            }
            self.path.pop();
        }
        Ok(Value::Object(left))
    }

    fn value(&mut self, place: &Place<'_>, value: &Value) -> Result<Option<Value>, FieldError> {
        match value {
            Value::Object(map) if place.has_fields() => self.object(place, map).map(Some),
            Value::Array(items) if place.has_items() => {
                let place = place.items();
                let mut left = Vec::with_capacity(items.len());
                self.path.push(ANY.to_owned());
                for item in items {
                    left.extend(self.value(&place, item)?);
                }
                self.path.pop();
                Ok(Some(Value::Array(left)))
            }
            Value::Object(_)
            | Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => match place.action() {
                Some(action) => self.act(action, value),
                None => {
                    self.drop_here(DropCause::Undeclared);
                    Ok(None)
                }
            },
        }
    }

    fn act(&mut self, action: Action, value: &Value) -> Result<Option<Value>, FieldError> {
        let is_one = !matches!(value, Value::Object(_) | Value::Array(_));
        Ok(Some(match action {
            Action::Omit => {
                self.drop_here(DropCause::Omitted);
                return Ok(None);
            }
            // That there is none says nothing, and a sealed nothing would look like something.
            Action::Plain | Action::Hash | Action::Encrypt | Action::Mask if value.is_null() => {
                Value::Null
            }
            Action::Encrypt => Value::String(self.sealer.seal(&self.path.join("."), value)?),
            Action::Plain | Action::Hash | Action::Mask if !is_one => {
                self.drop_here(DropCause::NotOneValue);
                return Ok(None);
            }
            Action::Plain => self.plain(value),
            Action::Hash => Value::String(self.sealer.hash(&text_of(value))?),
            Action::Mask => Value::String(mask(&text_of(value))),
        }))
    }

    fn plain(&self, value: &Value) -> Value {
        let name = self.path.iter().rev().find(|segment| *segment != ANY);
        if name.is_some_and(|name| is_identifier(name)) {
            return value.clone();
        }
        shapes::mask_value(value)
    }

    fn drop_here(&mut self, cause: DropCause) {
        let path = match self.path.as_slice() {
            [] => "data".to_owned(),
            path => path.join("."),
        };
        self.dropped.insert(Dropped { path, cause });
    }
}

/// A single value as text: strings as they are, the rest as JSON writes it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// All but the last [`SHOWN`] characters as `*`. A value of no more characters than that would be shown whole, so it
/// is masked whole.
fn mask(text: &str) -> String {
    let length = text.chars().count();
    let hidden = if length > SHOWN {
        length - SHOWN
    } else {
        length
    };
    text.chars()
        .enumerate()
        .map(|(i, c)| if i < hidden { '*' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_11_a_mask_leaves_four_characters_of_five_and_none_of_four() {
        for (text, masked) in [
            ("", ""),
            ("1", "*"),
            ("1234", "****"),
            ("12345", "*2345"),
            ("+49 30 5550 1234", "************1234"),
            ("äöüßéè", "**üßéè"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }
}
