//! The form in which texts and keywords are compared: one for all that is the same word to a reader.
//!
//! Normalisation and case folding are Unicode's. Beyond them stands what search engines of the scripts' own countries
//! do, where writers leave a mark out or have another key for a letter; where leaving out makes other words for many
//! readers (`é` and `e`), nothing is left out. Used by `keywords`.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The form in which texts and keywords are compared.
///
/// One and the same are: upper and lower case (`ß` and `SS`, `σ` and `ς`, the four i's of Turkish); composed and
/// decomposed accents; full-width, half-width and other compatibility forms; digits of every script; any run of white
/// space; straight and curly apostrophes and quotation marks; hyphens and dashes; and what [`Marks`] leaves out or makes
/// one in Greek, Cyrillic, Hebrew and Arabic. Characters that are not seen ([`is_invisible`]) do not count.
///
/// Not the same are: accents elsewhere (`é` and `e`), the spelling `ae` for `ä`, Hiragana and Katakana, simplified and
/// traditional Han, letters of different scripts that look alike.
///
/// Text between characters beyond ASCII takes a short cut: normalisation joins a character with what follows it
/// only if that is beyond ASCII.
pub fn fold(text: &str) -> String {
    let mut folded = Folded {
        text: String::with_capacity(text.len()),
    };
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().take_while(u8::is_ascii).count();
        // The last ASCII character may have an accent behind it.
        let alone = if ascii == rest.len() {
            ascii
        } else {
            ascii.saturating_sub(1)
        };
        let (plain, after) = rest.split_at(alone);
        plain
            .bytes()
            .for_each(|byte| folded.push(char::from(fold_ascii(byte))));
        let skipped = ascii - alone;
        let beyond = after[skipped..].find(|c: char| c.is_ascii());
        let (joined, after) = after.split_at(beyond.map_or(after.len(), |end| skipped + end));
        normalised(joined).for_each(|c| folded.push(c));
        rest = after;
    }
    folded.text
}

/// What [`fold`] does to one ASCII character.
pub const fn fold_ascii(byte: u8) -> u8 {
    match byte {
        // Typed for an apostrophe where keyboards have it nearer.
        b'`' => b'\'',
        other => other.to_ascii_lowercase(),
    }
}

/// Upper case and then lower case is full case folding with the standard library's tables: it makes `ß` and `SS`
/// alike, `ς` and `σ`, and `ı` and `I`.
fn normalised(text: &str) -> impl Iterator<Item = char> + '_ {
    let visible = text.chars().filter(|c| !is_invisible(*c));
    // Some signs before compatibility takes them apart: the acute accent would become a space with an accent.
    let lower = visible
        .map(sign)
        .nfkc()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    let mut marks = Marks::default();
    lower.nfd().filter_map(move |c| marks.keep(c)).nfc()
}

/// A place where a word may be broken at a line's end; not seen elsewhere.
pub const SOFT_HYPHEN: char = '\u{AD}';

/// Characters that are not seen and that writers neither type nor mean (Unicode's `Default_Ignorable_Code_Point`):
/// soft hyphens, zero-width marks and joiners, directions, variation selectors, fillers.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        SOFT_HYPHEN | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Apostrophes, quotation marks and hyphens in the form of ASCII.
const fn sign(c: char) -> char {
    match c {
        c if is_apostrophe(c) => '\'',
        c if is_quotation_mark(c) => '"',
        c if is_dash(c) => '-',
        other => other,
    }
}

/// Grave and acute accent, modifier letters, single quotation marks, prime, geresh, the breathings of Greek and the
/// apostrophe of Armenian.
const fn is_apostrophe(c: char) -> bool {
    matches!(c,
        '`' | '\u{00B4}' | '\u{02B9}' | '\u{02BB}'..='\u{02BD}' | '\u{02C8}' | '\u{055A}' | '\u{05F3}'
        | '\u{1FBD}' | '\u{1FBF}' | '\u{1FEF}' | '\u{1FFD}' | '\u{1FFE}' | '\u{2018}'..='\u{201B}'
        | '\u{2032}' | '\u{2035}' | '\u{2039}' | '\u{203A}' | '\u{A78B}' | '\u{A78C}')
}

const fn is_quotation_mark(c: char) -> bool {
    matches!(
        c,
        // Guillemets, modifier letters, gershayim (the mark of Hebrew acronyms)
        '\u{00AB}' | '\u{00BB}' | '\u{02BA}' | '\u{02EE}' | '\u{05F4}'
        // Quotation marks and double primes
        | '\u{201C}'..='\u{201F}' | '\u{2033}' | '\u{2036}'
    )
}

const fn is_dash(c: char) -> bool {
    matches!(
        c,
        // Unicode's dash punctuation, but for the wave dash, which joins no words
        '\u{2010}'
            ..='\u{2015}'
        | '\u{058A}' | '\u{05BE}' | '\u{1400}' | '\u{1806}' | '\u{2E17}' | '\u{2E1A}' | '\u{2E3A}' | '\u{2E3B}'
        | '\u{2E40}' | '\u{2E5D}' | '\u{30A0}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}' | '\u{10EAD}'
        // Hyphen bullet, minus
        | '\u{2043}' | '\u{2212}'
    )
}

/// What marks of a script say only to some readers, left out, and letters that some keyboards know in two forms, made
/// one. Takes decomposed text in lower case, a character at a time.
#[derive(Default)]
struct Marks {
    /// The letter that marks belong to.
    base: char,
}

impl Marks {
    /// The character that counts in the place of `c`, if any does.
    fn keep(&mut self, c: char) -> Option<char> {
        if is_combining_mark(c) {
            return (!self.leaves_out(c)).then_some(c);
        }
        let c = letter(c)?;
        self.base = c;
        Some(c)
    }

    fn leaves_out(&self, mark: char) -> bool {
        match self.base {
            // Without knowing the language, the four i's of Turkish have to be one.
            'i' => mark == '\u{307}',
            // Capitals are written without accents.
            '\u{370}'..='\u{3FF}' => true,
            // `ё` is mostly typed `е`.
            '\u{435}' if mark == '\u{308}' => true,
            // Stress, on vowels: with consonants the same mark is another letter.
            base if is_cyrillic_vowel(base) => mark == '\u{301}',
            '\u{5D0}'..='\u{5F2}' => is_hebrew_point(mark),
            // The seat of a hamza is part of the spelling (`ئ`, `ؤ`); on an alef or a heh it is often left out.
            '\u{64A}' | '\u{648}' => mark != '\u{654}' && is_arabic_mark(mark),
            _other => is_arabic_mark(mark),
        }
    }
}

const fn is_cyrillic_vowel(c: char) -> bool {
    matches!(
        c,
        // а, е, и, о, у, ы, э to я, and Ukrainian's є and і
        '\u{0430}' | '\u{0435}' | '\u{0438}' | '\u{043E}' | '\u{0443}' | '\u{044B}' | '\u{044D}'
            ..='\u{044F}' | '\u{0454}' | '\u{0456}'
    )
}

const fn is_hebrew_point(c: char) -> bool {
    matches!(
        c,
        // Points and accents, not the letters and signs that stand between them
        '\u{0591}'
            ..='\u{05BD}'
                | '\u{05BF}'
                | '\u{05C1}'
                | '\u{05C2}'
                | '\u{05C4}'
                | '\u{05C5}'
                | '\u{05C7}'
    )
}

/// Vowel signs, doubling and the marks of recitation.
const fn is_arabic_mark(c: char) -> bool {
    matches!(c,
        '\u{610}'..='\u{61A}' | '\u{64B}'..='\u{65F}' | '\u{670}' | '\u{6D6}'..='\u{6DC}'
        | '\u{6DF}'..='\u{6E4}' | '\u{6E7}' | '\u{6E8}' | '\u{6EA}'..='\u{6ED}' | '\u{8CA}'..='\u{8E1}'
        | '\u{8E3}'..='\u{8FF}')
}

/// One form of a character that has several, or nothing for one that only draws a word out.
fn letter(c: char) -> Option<char> {
    Some(match sign(c) {
        // Arabic tatweel.
        '\u{640}' => return None,
        // Alef with wasla, and the alefs that are not taken apart into alef and hamza.
        '\u{671}'..='\u{673}' | '\u{675}' => '\u{627}',
        // Teh marbuta, and the hehs of Persian, Urdu and Kurdish keyboards: heh.
        '\u{629}' | '\u{6BE}' | '\u{6C0}'..='\u{6C3}' | '\u{6D5}' => '\u{647}',
        // Keheh and the swash kaf: kaf.
        '\u{6A9}' | '\u{6AA}' => '\u{643}',
        // Alef maqsura and the yeh of Persian: yeh.
        '\u{649}' | '\u{6CC}' => '\u{64A}',
        c => digit(c),
    })
}

/// The zero of each script's decimal digits (Unicode's `Nd`), which stand in order behind it; without those that
/// compatibility makes ASCII.
const ZEROS: [u32; 67] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50, 0x11D50,
    0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1E140, 0x1E2F0, 0x1E4F0,
    0x1E5F1, 0x1E950,
];

/// Decimal digits of any script as those of ASCII.
fn digit(c: char) -> char {
    let code = u32::from(c);
    let at = ZEROS.partition_point(|zero| *zero <= code);
    let value = at.checked_sub(1).map(|at| code - ZEROS[at]);
    match value.and_then(|value| char::from_digit(value, 10)) {
        Some(ascii) => ascii,
        None => c,
    }
}

struct Folded {
    text: String,
}

impl Folded {
    /// Appends a character, of white space only the first.
    fn push(&mut self, c: char) {
        let c = if c.is_whitespace() { ' ' } else { c };
        if c != ' ' || !self.text.ends_with(' ') {
            self.text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zeros_are_those_of_unicode() {
        let decimal = regex_syntax::Parser::new().parse(r"\d").unwrap();
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) =
            decimal.kind()
        else {
            panic!("a class of characters");
        };
        for range in class.iter() {
            for c in range.start()..=range.end() {
                let value = (u32::from(c) - u32::from(range.start())) % 10;
                let wanted = char::from_digit(value, 10).unwrap();
                assert_eq!(
                    fold(&c.to_string()),
                    wanted.to_string(),
                    "U+{:04X}",
                    u32::from(c)
                );
            }
        }
        let is_decimal = |c: char| class.iter().any(|r| (r.start()..=r.end()).contains(&c));
        for c in (0..=0x10_FFFF)
            .filter_map(char::from_u32)
            .filter(|c| !is_decimal(*c))
        {
            assert_eq!(digit(c), c, "U+{:04X}", u32::from(c));
        }
    }

    proptest::proptest! {
        #[test]
        fn the_short_cut_folds_as_the_whole_text(
            text in "([a-zA-Z \t.`]{0,3}(\\PC|[\u{300}-\u{310}\u{AD}İıßΣς가-나ﾞｶ\u{1100}-\u{1112}\u{1161}\u{11A8}\
                ΐά\u{B4}’–ё\u{5B0}-\u{5BD}אש\u{610}-\u{670}\u{6A9}\u{6CC}\u{6C0}])?){0,8}",
        ) {
            let mut whole = Folded { text: String::new() };
            normalised(&text).for_each(|c| whole.push(c));
            assert_eq!(fold(&text), whole.text, "{:?}", text);
        }
    }
}
