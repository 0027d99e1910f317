//! A secret planted for a test, and the search for it in everything a run leaves behind: as it is and in the forms a
//! program gives text on its way (base64 at any offset, percent-encoding, hexadecimal, JSON escapes, `Debug`).

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};

/// A secret that must not show.
pub struct Planted {
    /// Letters and digits, long enough to stand nowhere by chance.
    pub value: String,
    forms: Vec<(&'static str, String)>,
}

impl Planted {
    /// One that tells its own place: `name` is where it is planted.
    pub fn new(name: &str) -> Self {
        Self::of(format!("planted-{name}-q8Zr4Tn1Xw6Kp3Vb"))
    }

    /// Of a value whose form is prescribed.
    pub fn of(value: String) -> Self {
        let percent: String = value
            .bytes()
            .map(|byte| match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        let mut forms = vec![
            ("as it is", value.clone()),
            ("percent-encoded", percent),
            (
                "in hexadecimal",
                value.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ),
            ("reversed", value.chars().rev().collect()),
            (
                "as a list of bytes",
                format!("{:?}", value.as_bytes()).replace(['[', ']'], ""),
            ),
        ];
        // Where it stands behind other text, its base64 has one of three forms, of which the middle is certain.
        for shift in 0..3 {
            let padded = [" ".repeat(shift).as_bytes(), value.as_bytes()].concat();
            let text = BASE64_STANDARD_NO_PAD.encode(padded);
            forms.push(("in base64", text[shift + 2..text.len() - 2].to_owned()));
        }
        Self { value, forms }
    }

    /// Where it is found in `text`, as words for a message.
    pub fn found_in(&self, text: &str) -> Vec<&'static str> {
        let mut found: Vec<_> = self
            .forms
            .iter()
            .filter(|(_, form)| text.contains(form.as_str()))
            .map(|(name, _)| *name)
            .collect();
        found.dedup();
        found
    }

    /// Fails if it shows in `text`; `what` names the text.
    pub fn is_absent_from(&self, what: &str, text: &str) {
        let found = self.found_in(text);
        assert!(
            found.is_empty(),
            "{} stands {found:?} in {what}:\n{text}",
            self.value
        );
    }

    /// Fails if it shows in a file below `folder`, other than `but`.
    pub fn is_absent_below(&self, folder: &Path, but: &[&Path]) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if but.contains(&path.as_path()) {
                continue;
            }
            if path.is_dir() {
                self.is_absent_below(&path, but);
            } else {
                let bytes = fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                self.is_absent_from(&path.display().to_string(), &text);
            }
        }
    }
}
