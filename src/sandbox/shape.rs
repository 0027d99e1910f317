//! Bodies checked field by field, every mistake at once: a vendor that refuses says exactly why.

use aftercall_actors::contract::time::EventTime;
use serde_json::{Map, Value};

/// One object of a body while it is checked.
#[derive(Debug)]
pub struct Shape<'a> {
    /// What stands before the names of its fields in an error.
    place: String,
    object: Option<&'a Map<String, Value>>,
    wrong: Vec<String>,
}

impl<'a> Shape<'a> {
    /// Checks a whole body.
    #[must_use]
    pub fn of(body: &'a Value) -> Self {
        let mut shape = Self {
            place: String::new(),
            object: body.as_object(),
            wrong: Vec::new(),
        };
        if shape.object.is_none() {
            shape.wrong.push("the body is no object".to_owned());
        }
        shape
    }

    /// No other fields than these.
    pub fn only(&mut self, names: &[&str]) -> &mut Self {
        for name in self.object.into_iter().flat_map(Map::keys) {
            if !names.contains(&name.as_str()) {
                let complaint = format!("`{}{name}` is not taken", self.place);
                self.wrong.push(complaint);
            }
        }
        self
    }

    /// A string that is there and not empty.
    pub fn text(&mut self, name: &str) -> &'a str {
        let text = self.field(name).and_then(Value::as_str).unwrap_or_default();
        self.demand(!text.is_empty(), name, "a string that is not empty");
        text
    }

    /// A string, `null`, or nothing.
    pub fn text_or_none(&mut self, name: &str) -> Option<&'a str> {
        match self.field(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.demand(false, name, "a string");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub fn integer(&mut self, name: &str, bounds: std::ops::RangeInclusive<i64>) -> i64 {
        let number = self.field(name).and_then(Value::as_i64);
        let number = number.filter(|number| bounds.contains(number));
        let (low, high) = (bounds.start(), bounds.end());
        self.demand(
            number.is_some(),
            name,
            &format!("a whole number from {low} to {high}"),
        );
        number.unwrap_or(*low)
    }

    /// A number.
    pub fn number(&mut self, name: &str) -> f64 {
        let number = self.field(name).and_then(Value::as_f64);
        self.demand(number.is_some(), name, "a number");
        number.unwrap_or_default()
    }

    /// An RFC 3339 time.
    pub fn time(&mut self, name: &str) -> &'a str {
        let text = self.field(name).and_then(Value::as_str).unwrap_or_default();
        let is_time = text.parse::<EventTime>().is_ok();
        self.demand(is_time, name, "a time as RFC 3339 has it");
        text
    }

    /// A list.
    pub fn list(&mut self, name: &str) -> &'a [Value] {
        let list = self.field(name).and_then(Value::as_array);
        self.demand(list.is_some(), name, "a list");
        list.map_or(&[], Vec::as_slice)
    }

    /// An object, to be checked and given back with [`Shape::take`].
    pub fn object(&mut self, name: &str) -> Self {
        let object = self.field(name).and_then(Value::as_object);
        self.demand(object.is_some(), name, "an object");
        Self {
            place: format!("{}{name}.", self.place),
            object,
            wrong: Vec::new(),
        }
    }

    /// What was wrong within an object of this one.
    pub fn take(&mut self, inner: Self) {
        self.wrong.extend(inner.wrong);
    }

    /// Whether a field is there, `null` included.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// A demand of the vendor's own.
    pub fn demand(&mut self, is_met: bool, name: &str, wanted: &str) {
        // Within an object that is missing, its absence says all.
        if !is_met && self.object.is_some() {
            self.wrong
                .push(format!("`{}{name}` must be {wanted}", self.place));
        }
    }

    /// Everything that was wrong, in one sentence.
    ///
    /// # Errors
    /// If something was.
    pub fn verdict(&self) -> Result<(), String> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(self.wrong.join("; "))
    }

    fn field(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_mistake_is_said_at_once() {
        let body =
            json!({ "name": "", "points": 0, "at": "today", "inner": { "x": 1 }, "more": 1 });
        let mut shape = Shape::of(&body);
        shape.only(&["name", "points", "at", "inner"]);
        assert_eq!(shape.text("name"), "");
        shape.integer("points", 1..=9);
        shape.time("at");
        let mut inner = shape.object("inner");
        inner.text_or_none("x");
        shape.take(inner);
        let gone = shape.object("gone");
        shape.take(gone);
        let expected = "`more` is not taken; `name` must be a string that is not empty; \
                        `points` must be a whole number from 1 to 9; `at` must be a time as RFC 3339 has it; \
                        `inner.x` must be a string; `gone` must be an object";
        assert_eq!(shape.verdict(), Err(expected.to_owned()));
    }

    #[test]
    fn a_good_body_passes_and_a_body_that_is_no_object_does_not() {
        let body =
            json!({ "name": "a", "points": 9, "at": "2026-11-20T09:00:00Z", "list": [], "n": 0.5 });
        let mut shape = Shape::of(&body);
        assert_eq!(
            (shape.text("name"), shape.integer("points", 1..=9)),
            ("a", 9)
        );
        assert_eq!(shape.time("at"), "2026-11-20T09:00:00Z");
        assert!(shape.list("list").is_empty() && shape.number("n") == 0.5);
        assert_eq!((shape.has("n"), shape.text_or_none("none")), (true, None));
        assert_eq!(shape.verdict(), Ok(()));
        let list = json!([]);
        let mut shape = Shape::of(&list);
        shape.text("name");
        assert_eq!(shape.verdict(), Err("the body is no object".to_owned()));
    }
}
