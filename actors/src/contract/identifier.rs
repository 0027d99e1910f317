//! What names a customer to others: their id here and at the platform, a phone number, a mail address (S5.11).
//!
//! Platforms write one number in many ways, so numbers are brought near E.164, as far as that goes without guessing a
//! country: a national number stays one. A customer without an id here is told apart by one of the rest, hashed, so
//! that no key holds a number or an address. Used by `identity`, and by `event` to find the actor.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::contract::event::CustomerRef;

/// What a customer is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierType {
    /// Phone number, as E.164 where it can be told.
    Phone,
    /// Mail address, in lower case.
    Email,
    /// The customer's key in the CRM.
    CustomerId,
    /// The id a customer data platform resolved before.
    CdpUserId,
}

impl IdentifierType {
    /// Every type, in the order in which a customer is asked after unless the rules say otherwise.
    pub const ALL: [Self; 4] = [Self::Phone, Self::Email, Self::CustomerId, Self::CdpUserId];

    /// The name on the wire and in the rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Email => "email",
            Self::CustomerId => "customer_id",
            Self::CdpUserId => "cdp_user_id",
        }
    }
}

impl CustomerRef {
    /// The identifier of this type, in one spelling; `None` if there is none, or one that names no customer (a withheld
    /// number).
    #[must_use]
    pub fn identifier(&self, of: IdentifierType) -> Option<Cow<'_, str>> {
        match of {
            IdentifierType::Phone => phone(self.phone.as_deref()?),
            IdentifierType::Email => email(self.email.as_deref()?),
            IdentifierType::CustomerId => self.customer_id.as_deref().map(Cow::Borrowed),
            IdentifierType::CdpUserId => self.cdp_user_id.as_deref().map(Cow::Borrowed),
        }
    }

    /// Tells a customer without an id here from others: a hash of the number, else of the address, else of the
    /// platform's id. The order is fixed, since rules change and keys must not.
    #[must_use]
    pub fn caller(&self) -> Option<u128> {
        use IdentifierType::{CdpUserId, Email, Phone};
        let found = [Phone, Email, CdpUserId].into_iter().find_map(|of| {
            let identifier = self.identifier(of)?;
            Some(format!("{}:{identifier}", of.name()))
        });
        found.map(|text| xxh3_128(text.as_bytes()))
    }
}

/// Numbers that carriers and platforms send for a caller who withholds theirs: the keys that spell RESTRICTED, BLOCKED,
/// UNKNOWN, ANONYMOUS and UNAVAILABLE.
const WITHHELD: [&str; 5] = [
    "7378742833",
    "2562533",
    "8656696",
    "266696687",
    "86282452253",
];

/// Digits of an E.164 number: at most 15; fewer than 7 are an extension or a short code.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A phone number without its punctuation, and with `+` if it is international; `None` for one without a digit
/// (`anonymous`) or a placeholder. One with anything else in it stays as it is.
fn phone(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if !text.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number = without_scheme(text, &["tel:", "sips:", "sip:", "callto:"]);
    let number = number.split([';', '@', '?']).next().unwrap_or(number);
    let number = number.trim_start_matches(is_punctuation);
    let is_international = number.starts_with('+') || number.starts_with("00");
    // `+49 (0)30`: the zero is dialled within the country only.
    let number = match is_international {
        true => Cow::Owned(number.replacen("(0)", "", 1)),
        false => Cow::Borrowed(number),
    };
    let mut digits = String::with_capacity(number.len());
    for (place, c) in number.char_indices() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if place == 0 => {}
            c if is_punctuation(c) => {}
            // A name, a vanity number, an extension: what it means is the platform's to say.
            _other => return Some(Cow::Borrowed(text)),
        }
    }
    if digits.bytes().all(|digit| digit == b'0') || WITHHELD.contains(&&*digits) {
        return None;
    }
    let significant = digits.strip_prefix("00").unwrap_or(&digits);
    let is_e164 = is_international
        && E164_DIGITS.contains(&significant.len())
        && !significant.starts_with('0');
    Some(Cow::Owned(match is_e164 {
        true => format!("+{significant}"),
        false => digits,
    }))
}

/// What people and platforms put between the digits of a number.
const fn is_punctuation(c: char) -> bool {
    matches!(c, ' ' | '\t' | '-' | '.' | '(' | ')' | '[' | ']' | '/' | '\u{A0}' | '\u{AD}'
        | '\u{2000}'..='\u{2015}' | '\u{202A}'..='\u{202F}' | '\u{2060}'..='\u{2069}' | '\u{2212}' | '\u{3000}'
        | '\u{FEFF}')
}

/// A mail address in lower case, without a name around it; `None` if it is none.
fn email(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    let inner = text
        .rsplit_once('<')
        .and_then(|(_, rest)| rest.strip_suffix('>'));
    let address = without_scheme(inner.unwrap_or(text).trim(), &["mailto:"]);
    let (name, domain) = address.rsplit_once('@')?;
    let is_address =
        !name.is_empty() && !domain.is_empty() && !address.contains(char::is_whitespace);
    is_address.then(|| Cow::Owned(address.to_lowercase()))
}

fn without_scheme<'a>(text: &'a str, schemes: &[&str]) -> &'a str {
    let scheme = schemes.iter().find(|scheme| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    scheme.map_or(text, |scheme| &text[scheme.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_phone(phone: &str) -> CustomerRef {
        CustomerRef {
            phone: Some(phone.to_owned()),
            ..CustomerRef::default()
        }
    }

    #[test]
    fn s5_11_one_number_in_many_spellings_is_one_and_no_country_is_guessed() {
        for (texts, expected) in [
            (
                &[
                    "+4930123456",
                    "+49 30 123456",
                    "+49 (0)30 / 123-456",
                    "0049 30 123456",
                    "tel:+49-30-123456",
                    "TEL:+49-30-123456;phone-context=x",
                    "+004930123456",
                    "sip:+4930123456@sbc.example.com;user=phone",
                    " +49\u{A0}30\u{2009}123\u{2011}456 ",
                    "\u{202A}+4930123456\u{202C}",
                ] as &[&str],
                "+4930123456",
            ),
            (&["(030) 123456", "030/123456"], "030123456"),
            (&["(555) 010-0199", "555.010.0199"], "5550100199"),
            // Too short and too long for E.164, and a country that does not exist.
            (&["112"], "112"),
            (&["00 112"], "00112"),
            (&["+0123456789"], "0123456789"),
            (&["00491234567890123456"], "00491234567890123456"),
            // Not a number alone: as it stands.
            (&["1-800-FLOWERS", " 1-800-FLOWERS"], "1-800-FLOWERS"),
            (&["+4930123 ext. 7"], "+4930123 ext. 7"),
        ] {
            for text in texts {
                let found = with_phone(text);
                assert_eq!(
                    found.identifier(IdentifierType::Phone).as_deref(),
                    Some(expected),
                    "{text}"
                );
                let same = with_phone(texts[0]).caller();
                assert!(found.caller() == same && same.is_some(), "{text}");
            }
        }
    }

    #[test]
    fn s5_11_a_withheld_number_names_nobody() {
        for text in [
            "",
            " ",
            "anonymous",
            "Restricted",
            "unavailable",
            "sip:anonymous@anonymous.invalid",
            "+",
            "0000000000",
            "+266696687",
            "7378742833",
        ] {
            let found = with_phone(text);
            assert_eq!(found.identifier(IdentifierType::Phone), None, "{text}");
            assert_eq!(found.caller(), None, "{text}");
        }
    }

    #[test]
    fn s5_11_addresses_are_compared_in_lower_case_without_the_name() {
        for text in [
            "ann@example.com",
            " Ann@Example.COM ",
            "Ann B. <ann@example.com>",
            "mailto:ann@example.com",
        ] {
            let found = CustomerRef {
                email: Some(text.to_owned()),
                ..CustomerRef::default()
            };
            let address = found.identifier(IdentifierType::Email);
            assert_eq!(address.as_deref(), Some("ann@example.com"), "{text}");
        }
        for text in ["", "ann", "@example.com", "ann@", "ann b@example.com"] {
            let found = CustomerRef {
                email: Some(text.to_owned()),
                ..CustomerRef::default()
            };
            assert_eq!(found.identifier(IdentifierType::Email), None, "{text}");
        }
    }

    #[test]
    fn s5_11_a_caller_is_told_apart_by_number_then_address_then_the_platforms_id() {
        let reference = |text: &str| serde_json::from_str::<CustomerRef>(text).unwrap().caller();
        let phone = reference(r#"{"phone":"+4930123456"}"#);
        assert_eq!(
            phone,
            reference(r#"{"phone":"+49 30 123456","email":"a@b","cdp_user_id":"u"}"#)
        );
        let email = reference(r#"{"email":"a@b"}"#);
        assert_eq!(email, reference(r#"{"phone":"anonymous","email":"A@B"}"#));
        let user = reference(r#"{"cdp_user_id":"a@b"}"#);
        assert!(phone.is_some() && email.is_some() && user.is_some());
        assert!(phone != email && email != user);
        assert_eq!(reference("{}"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_and_a_spelling_is_spelled_once(text in "[+0-9() \\-./a-z@:;<>]{0,20}|\\PC{0,12}") {
            for of in [IdentifierType::Phone, IdentifierType::Email] {
                let reference = CustomerRef {
                    phone: Some(text.clone()),
                    email: Some(text.clone()),
                    ..CustomerRef::default()
                };
                let Some(once) = reference.identifier(of).map(Cow::into_owned) else { continue };
                let again = CustomerRef {
                    phone: Some(once.clone()),
                    email: Some(once.clone()),
                    ..CustomerRef::default()
                };
                assert_eq!(again.identifier(of).as_deref(), Some(&*once), "{:?}", text);
            }
        }
    }
}
