//! Decimal digits of every script: whoever types a card number on a phone set to Arabic or Hindi types other digits.

/// The zero of every script; its other nine digits follow it (Unicode, general category Nd). A test holds the list
/// against the tables of the regex crates.
const ZEROS: [u32; 76] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
    0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450,
    0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50,
    0x11D50, 0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE,
    0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
];

/// The value of a decimal digit; `None` for everything else.
pub fn value(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.to_digit(10).and_then(|digit| u8::try_from(digit).ok());
    }
    let code = u32::from(c);
    // The nearest zero at or below it.
    let index = ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?;
    u8::try_from(code - ZEROS[index])
        .ok()
        .filter(|digit| *digit < 10)
}

#[cfg(test)]
mod tests {
    use regex_syntax::hir::{Class, HirKind};

    use super::*;

    #[test]
    fn s5_09_the_digits_are_those_of_unicode() {
        let hir = regex_syntax::Parser::new().parse(r"\d").unwrap();
        let HirKind::Class(Class::Unicode(class)) = hir.kind() else {
            panic!("{hir:?}");
        };
        let mut known = 0;
        for c in '\0'..=char::MAX {
            let is_digit = class.iter().any(|r| (r.start()..=r.end()).contains(&c));
            assert_eq!(value(c).is_some(), is_digit, "{c:?}");
            known += u32::from(is_digit);
        }
        assert_eq!(known, 760);
    }

    #[test]
    fn s5_09_a_digit_has_its_value_in_any_script() {
        for (text, expected) in [
            ("0123456789", true),
            ("٠١٢٣٤٥٦٧٨٩", true),
            ("०१२३४५६७८९", true),
            ("０１２３４５６７８９", true),
            ("𝟬𝟭𝟮𝟯𝟰𝟱𝟲𝟳𝟴𝟵", true),
            ("٠١٢٣٤٥٦٧٩٨", false),
        ] {
            let values: Vec<_> = text.chars().map(value).collect();
            let in_order: Vec<_> = (0..10).map(Some).collect();
            assert_eq!(values == in_order, expected, "{text}");
        }
        for c in ['a', '½', '²', 'Ⅳ', '〇', '/', ':'] {
            assert_eq!(value(c), None, "{c}");
        }
    }
}
