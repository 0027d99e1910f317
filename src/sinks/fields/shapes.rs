//! Card and social security numbers in text that people wrote (S5.09).
//!
//! A card is 13 to 19 digits whose check digit is right (Luhn), whatever separates them: grouped by spaces, dashes or
//! dots, or not at all, in any script. Groups before and behind, such as a card's security code, do not hide one: any
//! row of whole groups is looked at. A social security number is three, two and four digits with something between
//! them, or nine in a row where the text in front of them says what they are. Digits inside a UUID, or inside a word in
//! which letters and digits change places often (a token, a hash), are none of this: masking them would break links.
//!
//! What is found stays recognisable as what it was: digits become `*`, a card keeps its last four, the rest of the
//! text stays as it is.

use std::borrow::Cow;

use serde_json::Value;

use super::digits;

/// How many digits a card number has (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Digits of a card that may be shown.
const CARD_SHOWN: usize = 4;

/// Digits of the parts of a social security number.
const SSN_GROUPS: [usize; 3] = [3, 2, 4];

/// Digits of the whole.
const SSN_DIGITS: usize = 9;

/// Fewest digits that can be anything.
const DIGITS_MIN: usize = 9;

/// Most characters between two groups of one number: `1234 - 5678`.
const SEPARATOR_CHARS_MAX: usize = 3;

/// How many characters in front of nine digits may say that they are a social security number.
const CONTEXT_CHARS: usize = 40;

const UUID_BYTES: usize = 36;

/// From how many changes between letters and digits on a word is no number that somebody wrote next to a word.
const OPAQUE_CHANGES: usize = 4;

/// The text with card and SSN shapes masked; as it was if there are none.
pub fn mask(text: &str) -> Cow<'_, str> {
    let runs = runs_of(text);
    let mut hidden: Vec<Digit> = runs.iter().flat_map(|run| run.hidden(text)).collect();
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    hidden.sort_by_key(|digit| digit.at);
    hidden.dedup_by_key(|digit| digit.at);
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for digit in hidden {
        masked.push_str(&text[done..digit.at]);
        masked.push('*');
        done = digit.at + digit.bytes;
    }
    masked.push_str(&text[done..]);
    Cow::Owned(masked)
}

/// A single value likewise. A whole number that is a card becomes its masked text.
pub fn mask_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask(text).into_owned()),
        Value::Number(number) => {
            let text = number.to_string();
            if is_epoch_ms(&text) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return value.clone();
            }
            match mask(&text) {
                Cow::Owned(masked) => Value::String(masked),
                Cow::Borrowed(_) => value.clone(),
            }
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.clone(),
    }
}

/// Milliseconds since 1970, of today and of the next years. As a number they stand everywhere, one in ten passes the
/// check, and no issuer has card numbers of 13 digits that begin with a 1.
fn is_epoch_ms(text: &str) -> bool {
    text.len() == 13 && text.starts_with('1')
}

#[derive(Clone, Copy, Debug)]
struct Digit {
    /// Byte it begins at.
    at: usize,
    /// Its length in bytes.
    bytes: usize,
    value: u8,
}

/// Groups of digits with nothing but separators between them.
#[derive(Debug, Default)]
struct Run {
    digits: Vec<Digit>,
    /// Where each group begins, as an index into `digits`.
    groups: Vec<usize>,
}

fn runs_of(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut run = Run::default();
    // Characters since the last digit; the first digit of a run begins a group as well.
    let mut between = 1;
    let mut skip_to = 0;
    for (at, c) in text.char_indices() {
        if at < skip_to {
            continue;
        }
        if let Some(bytes) = opaque_at(text, at) {
            skip_to = at + bytes;
            between = SEPARATOR_CHARS_MAX + 1;
            continue;
        }
        let Some(value) = digits::value(c) else {
            between = if is_separator(c) {
                between + 1
            } else {
                SEPARATOR_CHARS_MAX + 1
            };
            continue;
        };
        if between > SEPARATOR_CHARS_MAX {
            runs.push(std::mem::take(&mut run));
        }
        if between > 0 {
            run.groups.push(run.digits.len());
        }
        run.digits.push(Digit {
            at,
            bytes: c.len_utf8(),
            value,
        });
        between = 0;
    }
    runs.push(run);
    runs.retain(|run| run.digits.len() >= DIGITS_MIN);
    runs
}

impl Run {
    /// The digits to hide.
    fn hidden(&self, text: &str) -> Vec<Digit> {
        let mut hidden = Vec::new();
        for first in 0..self.groups.len() {
            for last in first..self.groups.len() {
                let digits = self.groups_from(first, last);
                if digits.len() > *CARD_DIGITS.end() {
                    break;
                }
                if CARD_DIGITS.contains(&digits.len()) && passes_luhn(digits) {
                    hidden.extend_from_slice(&digits[..digits.len() - CARD_SHOWN]);
                }
            }
            let lengths = [0, 1, 2].map(|i| self.group_len(first + i));
            if lengths == SSN_GROUPS.map(Some) {
                hidden.extend_from_slice(self.groups_from(first, first + 2));
            }
            let alone = self.groups_from(first, first);
            if alone.len() == SSN_DIGITS
                && alone.first().is_some_and(|digit| says_ssn(text, digit.at))
            {
                hidden.extend_from_slice(alone);
            }
        }
        hidden
    }

    fn group_len(&self, group: usize) -> Option<usize> {
        let begin = *self.groups.get(group)?;
        let end = self.groups.get(group + 1).copied();
        Some(end.unwrap_or(self.digits.len()) - begin)
    }

    fn groups_from(&self, first: usize, last: usize) -> &[Digit] {
        let end = self.groups.get(last + 1).copied();
        &self.digits[self.groups[first]..end.unwrap_or(self.digits.len())]
    }
}

/// Luhn: every second digit from the right counts double, as the sum of its own digits; the whole is a multiple of 10.
fn passes_luhn(digits: &[Digit]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .zip(0..)
        .map(|(digit, place)| match (place % 2, u32::from(digit.value)) {
            (0, value) => value,
            (_, value) if value > 4 => value * 2 - 9,
            (_, value) => value * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Spaces, dashes, dots and what prints as nothing. No slash and no colon: dates and times are many.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '-' | '.' | '_' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
                | '\u{b7}' | '\u{2022}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        )
}

fn says_ssn(text: &str, at: usize) -> bool {
    let mut before: Vec<char> = text[..at].chars().rev().take(CONTEXT_CHARS).collect();
    before.reverse();
    let before: String = before.into_iter().collect::<String>().to_lowercase();
    before.contains("ssn") || before.contains("social")
}

/// The length of the UUID or opaque word that begins here.
fn opaque_at(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_inside = at
        .checked_sub(1)
        .and_then(|before| bytes.get(before))
        .is_some_and(u8::is_ascii_alphanumeric);
    if is_inside {
        return None;
    }
    let rest = &bytes[at..];
    if is_uuid(rest) {
        return Some(UUID_BYTES);
    }
    let length = rest
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    let changes = rest[..length]
        .windows(2)
        .filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit())
        .count();
    (changes >= OPAQUE_CHANGES).then_some(length)
}

/// Whether text begins with a UUID: hexadecimal digits in groups of 8, 4, 4, 4 and 12, and no word goes on behind it.
/// One letter at least: of digits alone it could be four groups of a card.
fn is_uuid(bytes: &[u8]) -> bool {
    let Some(found) = bytes.get(..UUID_BYTES) else {
        return false;
    };
    let is_shaped = found.iter().zip(0..).all(|(byte, i)| match i {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let is_end = bytes
        .get(UUID_BYTES)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric());
    is_shaped && is_end && found.iter().any(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stays(text: &str) {
        assert_eq!(mask(text), text);
    }

    #[test]
    fn s5_09_a_card_is_found_however_it_is_written() {
        for (text, masked) in [
            ("4111111111111111", "************1111"),
            (
                "my card 4111 1111 1111 1111.",
                "my card **** **** **** 1111.",
            ),
            ("4111-1111-1111-1111", "****-****-****-1111"),
            ("4111.1111.1111.1111", "****.****.****.1111"),
            ("4111 - 1111 - 1111 - 1111", "**** - **** - **** - 1111"),
            (
                "4111\u{a0}1111\u{2011}1111\u{202f}1111",
                "****\u{a0}****\u{2011}****\u{202f}1111",
            ),
            ("3782 822463 10005", "**** ****** *0005"),
            (
                "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
                "* * * * * * * * * * * * 1 1 1 1",
            ),
            ("4111 1111 1111 1111 123", "**** **** **** 1111 123"),
            (
                "call 12 4111 1111 1111 1111 now",
                "call 12 **** **** **** 1111 now",
            ),
            (
                "card:4111111111111111,exp 12/28",
                "card:************1111,exp 12/28",
            ),
            ("卡号4111111111111111号", "卡号************1111号"),
            ("visa4111111111111111x", "visa************1111x"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }

    #[test]
    fn s5_09_a_card_is_found_in_any_script() {
        assert_eq!(mask("٤١١١ ١١١١ ١١١١ ١١١١"), "**** **** **** ١١١١");
        assert_eq!(
            mask("４１１１１１１１１１１１１１１１"),
            "************１１１１"
        );
        assert_eq!(mask("कार्ड ४१११-११११-११११-११११"), "कार्ड ****-****-****-११११");
    }

    /// Numbers of every length with a right check digit, made here, so that the lengths at both ends are proved.
    #[test]
    fn s5_09_thirteen_to_nineteen_digits_are_a_card_and_one_less_or_more_is_none() {
        for length in [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21] {
            let body = "4929381332664295184"[..].repeat(2)[..length - 1].to_owned();
            let with_check = |digit: u8| format!("{body}{digit}");
            let right: Vec<_> = (0..10)
                .filter(|digit| {
                    let digits: Vec<_> = with_check(*digit)
                        .bytes()
                        .map(|byte| Digit {
                            at: 0,
                            bytes: 1,
                            value: byte - b'0',
                        })
                        .collect();
                    passes_luhn(&digits)
                })
                .collect();
            assert_eq!(right.len(), 1, "one check digit is right");
            for digit in 0..10 {
                let text = with_check(digit);
                let is_card = digit == right[0] && (13..=19).contains(&length);
                assert_eq!(mask(&text) != text, is_card, "{text}");
            }
        }
    }

    #[test]
    fn s5_09_luhn_is_right_about_published_test_numbers() {
        for card in [
            "4222222222222",
            "30569309025904",
            "378282246310005",
            "5555555555554444",
            "6011111111111117",
            "6304000000000000000"[..].trim(),
        ] {
            assert_ne!(mask(card), card, "{card}");
        }
        for off_by_one in ["4222222222223", "4111111111111112", "5555555555554445"] {
            stays(off_by_one);
        }
    }

    #[test]
    fn s5_09_an_ssn_is_found_by_its_groups_or_by_what_is_said_before_it() {
        for (text, masked) in [
            ("123-45-6789", "***-**-****"),
            ("it is 123 45 6789!", "it is *** ** ****!"),
            ("123.45.6789", "***.**.****"),
            ("١٢٣-٤٥-٦٧٨٩", "***-**-****"),
            ("1 123-45-6789", "1 ***-**-****"),
            ("my SSN is 123456789", "my SSN is *********"),
            ("Social security: 123456789", "Social security: *********"),
        ] {
            assert_eq!(mask(text), masked);
        }
        for other in [
            "1234-45-6789",
            "123-456-789",
            "123-45-678",
            "12-345-6789",
            "123-45-67890",
        ] {
            stays(other);
        }
        stays("order 123456789");
        stays("SSN 12345678");
        stays("SSN 1234567890");
        let far = format!("ssn {} 123456789", "x".repeat(CONTEXT_CHARS - 5));
        assert_ne!(mask(&far), far);
        let too_far = format!("ssn {} 123456789", "x".repeat(CONTEXT_CHARS - 4));
        stays(&too_far);
    }

    #[test]
    fn s5_09_three_characters_between_groups_are_a_separator_and_four_are_an_end() {
        assert_ne!(mask("4111   111111111111"), "4111   111111111111");
        stays("4111    111111111111");
        stays("4111/111111111111");
        stays("4111, 1111, 1111, 1111");
    }

    #[test]
    fn s5_09_dates_times_phones_and_uuids_stay() {
        for text in [
            "",
            "call me",
            "2026-11-20T08:31:07.180Z",
            "+49 30 5550 1234",
            "+1 (555) 010-0123",
            "7c9e6679-7425-40de-944b-e07fc1f90ae7",
            // Digits of a card inside a UUID: read in groups it would be one.
            "see 4111a111-1111-1111-1111-000000000000 there",
            "https://cx.example.com/recordings/0f8fad5b-d9cb-469f-a165-708677289501",
        ] {
            stays(text);
        }
        assert_eq!(
            mask("41111111-1111-1111-0000-000000000000"),
            "********-****-1111-****-********0000",
            "no letter, no UUID"
        );
    }

    #[test]
    fn s5_09_three_changes_between_letters_and_digits_hide_no_card_and_four_are_a_token() {
        assert_eq!(mask("a1b4111111111111111"), "a1b************1111");
        stays("1a1b4111111111111111");
        stays(
            "https://cx.example.com/r?sig=9f86d081884c7d659a2feaa0c55ad015a3bf4f4111111111111111b2b0b822cd",
        );
        assert_ne!(mask("1a1b2c 4111111111111111"), "1a1b2c 4111111111111111");
    }

    #[test]
    fn s5_09_a_number_that_is_a_card_becomes_masked_text_and_a_time_stays() {
        use serde_json::json;
        assert_eq!(
            mask_value(&json!(4_111_111_111_111_111_u64)),
            json!("************1111")
        );
        assert_eq!(
            mask_value(&json!(4_222_222_222_222_u64)),
            json!("*********2222")
        );
        for kept in [
            json!(4_111_111_111_111_112_u64),
            json!(500),
            json!(0.5),
            json!(null),
            json!(true),
        ] {
            assert_eq!(mask_value(&kept), kept);
        }
        // A time whose check digit happens to be right.
        let time = (1_763_630_467_400_u64..1_763_630_467_410)
            .find(|ms| mask(&ms.to_string()) != ms.to_string());
        let time = json!(time.unwrap());
        assert_eq!(mask_value(&time), time);
    }
}
