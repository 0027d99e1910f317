//! `mentions(text, [words])`: whether a text holds one of some words as whole words, in any case and script.
//!
//! Both sides are brought to one form first (compatibility normalisation, full case folding, invisible
//! characters dropped, runs of white space made one space), so that a decomposed accent, a full-width letter
//! or a capital `ẞ` finds its plain spelling. Most comments are plain ASCII and most keywords too: for those
//! one pass over the bytes does the same work without allocating. `condition` compiles the word list once, at
//! load; requirement S2.04.

use std::fmt;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longest keyword in bytes: with it the search is linear in the text, whatever the rule file says.
pub const KEYWORD_BYTES_MAX: usize = 128;

/// A list of keywords, compiled.
#[derive(Clone)]
pub struct Keywords {
    words: Vec<Keyword>,
    /// For each byte, whether an ASCII keyword starts with it in either case.
    starts: Box<[bool; 256]>,
}

#[derive(Clone, Debug)]
struct Keyword {
    /// As the rule spells it.
    spelling: Box<str>,
    /// As it is looked for.
    folded: Box<str>,
}

impl fmt::Debug for Keywords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.words.iter().map(|word| &word.spelling))
            .finish()
    }
}

impl Keywords {
    /// Compiles a list.
    ///
    /// # Errors
    /// If the list or a word is empty, a word is longer than [`KEYWORD_BYTES_MAX`], or two are the same.
    pub fn new<'a>(spellings: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut words: Vec<Keyword> = Vec::new();
        let mut starts = Box::new([false; 256]);
        for spelling in spellings {
            let folded = fold(spelling.trim());
            let folded = folded.trim();
            let Some(&first) = folded.as_bytes().first() else {
                return Err(format!("keyword `{spelling}` is empty"));
            };
            if folded.len() > KEYWORD_BYTES_MAX || spelling.len() > KEYWORD_BYTES_MAX {
                return Err(format!(
                    "a keyword has at most {KEYWORD_BYTES_MAX} bytes, one has {}",
                    folded.len().max(spelling.len())
                ));
            }
            if let Some(same) = words.iter().find(|word| &*word.folded == folded) {
                let other = &same.spelling;
                return Err(format!(
                    "keywords `{other}` and `{spelling}` are the same word"
                ));
            }
            if folded.is_ascii() {
                starts[usize::from(first)] = true;
                starts[usize::from(first.to_ascii_uppercase())] = true;
            }
            words.push(Keyword {
                spelling: spelling.into(),
                folded: folded.into(),
            });
        }
        if words.is_empty() {
            return Err("the list of keywords is empty".into());
        }
        Ok(Self { words, starts })
    }

    /// Whether `text` holds one of them.
    pub fn any_in(&self, text: &str) -> bool {
        if text.is_ascii() {
            self.ascii_matches(text.as_bytes()).next().is_some()
        } else {
            let text = fold(text);
            self.words.iter().any(|word| holds(&text, &word.folded))
        }
    }

    /// Those that `text` holds, each once, as and in the order the rule spells them.
    pub fn all_in(&self, text: &str) -> Vec<&str> {
        let found: Vec<bool> = if text.is_ascii() {
            let mut found = vec![false; self.words.len()];
            for index in self.ascii_matches(text.as_bytes()) {
                found[index] = true;
            }
            found
        } else {
            let text = fold(text);
            let holds = |word: &Keyword| holds(&text, &word.folded);
            self.words.iter().map(holds).collect()
        };
        let words = self.words.iter().zip(found);
        words
            .filter_map(|(word, found)| found.then_some(&*word.spelling))
            .collect()
    }

    /// Each place in an ASCII text where a keyword stands, as the keyword's index.
    fn ascii_matches<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let begins = text
            .iter()
            .enumerate()
            .filter(|(_, byte)| self.starts[usize::from(**byte)]);
        begins.flat_map(move |(at, _)| {
            let words = self.words.iter().enumerate();
            words.filter_map(move |(index, word)| {
                ascii_match(text, at, word.folded.as_bytes()).then_some(index)
            })
        })
    }
}

/// Whether the folded `word` stands at `at` as a whole word.
fn ascii_match(text: &[u8], at: usize, word: &[u8]) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if at > 0 && is_word(text[at - 1]) && is_word(word[0]) {
        return false;
    }
    let mut rest = &text[at..];
    for &wanted in word {
        let Some((&found, after)) = rest.split_first() else {
            return false;
        };
        if wanted == b' ' {
            if !is_space(found) {
                return false;
            }
            let spaces = after.iter().take_while(|byte| is_space(**byte)).count();
            rest = &after[spaces..];
        } else if found.to_ascii_lowercase() == wanted {
            rest = after;
        } else {
            return false;
        }
    }
    !rest.first().is_some_and(|next| is_word(*next)) || !is_word(word[word.len() - 1])
}

/// ASCII's share of `char::is_whitespace`, which counts the vertical tab too.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// Whether a folded text holds a folded keyword as a whole word.
fn holds(text: &str, word: &str) -> bool {
    let mut from = 0;
    while let Some(found) = text[from..].find(word) {
        let (start, end) = (from + found, from + found + word.len());
        let before = text[..start].chars().next_back();
        let after = text[end..].chars().next();
        if ends_word(before, word.chars().next())
            && ends_word(after, word.chars().next_back())
            // The accent belongs to the last letter, so this is another word.
            && !after.is_some_and(is_combining_mark)
        {
            return true;
        }
        let first = text[start..].chars().next().map_or(1, char::len_utf8);
        from = start + first;
    }
    false
}

/// Whether a word may end between `edge`, its own last (or first) character, and its neighbour outside.
fn ends_word(neighbour: Option<char>, edge: Option<char>) -> bool {
    let (Some(neighbour), Some(edge)) = (neighbour, edge) else {
        return true;
    };
    !is_word(neighbour) || !is_word(edge) || is_unspaced(neighbour) || is_unspaced(edge)
}

/// Unicode's word characters (UTS #18): letters, marks, decimal digits, connectors, joiners.
fn is_word(c: char) -> bool {
    // The tables are compiled in by the feature `unicode-perl`; without them no character would count.
    regex_syntax::try_is_word_character(c).unwrap_or(false)
}

/// Characters of scripts written without spaces between words: there, no boundary can be asked for.
const fn is_unspaced(c: char) -> bool {
    matches!(c,
        // Thai, Lao
        '\u{0E00}'..='\u{0EFF}'
        // Myanmar and its extensions
        | '\u{1000}'..='\u{109F}' | '\u{A9E0}'..='\u{A9FF}' | '\u{AA60}'..='\u{AA7F}'
        // Khmer and its symbols
        | '\u{1780}'..='\u{17FF}' | '\u{19E0}'..='\u{19FF}'
        // Han: radicals, iteration marks, numerals, ideographs and their extensions
        | '\u{2E80}'..='\u{2FDF}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}'
        | '\u{3038}'..='\u{303B}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFD}'
        // Hiragana, Katakana and their extensions
        | '\u{3041}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{FF66}'..='\u{FF9D}'
        | '\u{1AFF0}'..='\u{1B16F}')
}

/// Characters that are not seen and that writers neither type nor mean: soft hyphens, zero-width marks,
/// directions, variation selectors.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

/// The form in which texts and keywords are compared.
///
/// Upper case and then lower case is full case folding with the standard library's tables: it makes `ß` and
/// `SS` alike, `ς` and `σ`, and `ı` and `I`. Turkish `İ` comes out as `i` and a dot above, and the dot is
/// dropped, since without knowing the language all four i's have to be one.
///
/// Text between characters beyond ASCII takes a short cut: normalisation joins a character with what follows it
/// only if that is beyond ASCII.
fn fold(text: &str) -> String {
    let mut folded = Folded {
        text: String::with_capacity(text.len()),
        last: None,
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
            .chars()
            .for_each(|c| folded.push(c.to_ascii_lowercase()));
        let skipped = ascii - alone;
        let beyond = after[skipped..].find(|c: char| c.is_ascii());
        let (joined, after) = after.split_at(beyond.map_or(after.len(), |end| skipped + end));
        normalised(joined).for_each(|c| folded.push(c));
        rest = after;
    }
    folded.text
}

fn normalised(text: &str) -> impl Iterator<Item = char> + '_ {
    let visible = text.chars().filter(|c| !is_invisible(*c));
    let lower = visible
        .nfkc()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    lower.nfc()
}

struct Folded {
    text: String,
    last: Option<char>,
}

impl Folded {
    fn push(&mut self, c: char) {
        const DOT_ABOVE: char = '\u{0307}';
        let c = if c.is_whitespace() { ' ' } else { c };
        let dropped = match c {
            ' ' => self.last == Some(' '),
            DOT_ABOVE => self.last == Some('i'),
            _visible => false,
        };
        if !dropped {
            self.text.push(c);
            self.last = Some(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(text: &str, word: &str) -> bool {
        let keywords = Keywords::new([word]).unwrap();
        assert_eq!(
            keywords.any_in(text),
            !keywords.all_in(text).is_empty(),
            "both ways of asking agree"
        );
        keywords.any_in(text)
    }

    #[test]
    fn s2_04_a_keyword_is_found_as_a_whole_word_in_any_case() {
        for text in [
            "lawsuit",
            "LAWSUIT!",
            "(Lawsuit)",
            "a lawsuit's end",
            "my lawyer: lawsuit",
            "lawsuit, é",
            "É: LAWSUIT!",
        ] {
            assert!(mentions(text, "lawsuit"), "{text}");
            assert!(mentions(text, "Lawsuit"), "{text}");
        }
        for text in [
            "",
            "lawsuits",
            "law-suit",
            "law suit",
            "alawsuit",
            "lawsuit2",
            "_lawsuit",
            "lawsui",
            "élawsuits",
            "élawsuit é",
            "lawsuité",
            "lawsuit\u{301}",
        ] {
            assert!(!mentions(text, "lawsuit"), "{text}");
        }
    }

    #[test]
    fn s2_04_a_later_whole_word_is_found_after_an_earlier_part_of_one() {
        assert!(mentions("lawsuits and a lawsuit", "lawsuit"));
        assert!(mentions("lawsuits é and a lawsuit", "lawsuit"));
        assert!(mentions("xa a a", "a a"));
        assert!(mentions("éa a a", "a a"));
    }

    #[test]
    fn s2_04_a_decomposed_accent_finds_the_composed_one_and_the_other_way_round() {
        assert!(mentions("sehr unverscha\u{308}mt!", "unverschämt"));
        assert!(mentions("SEHR UNVERSCHÄMT!", "unverscha\u{308}mt"));
        assert!(!mentions("unverschamt", "unverschämt"));
        assert!(!mentions("unverschämt", "unverschamt"));
    }

    #[test]
    fn s2_04_case_is_folded_beyond_ascii() {
        assert!(mentions("STRASSE", "straße"));
        assert!(mentions("die Straße", "STRASSE"));
        assert!(mentions("ΔΙΚΑΣΤΙΚΌΣ", "δικαστικός"));
        assert!(mentions("В СУД!", "суд"));
        assert!(!mentions("судебный", "суд"));
        assert!(mentions("İADE", "iade"));
        assert!(mentions("KAYIP", "kayıp"));
        assert!(mentions("ｌａｗｓｕｉｔ", "lawsuit"));
        assert!(mentions("law\u{AD}suit", "lawsuit"));
        assert!(mentions("⚠\u{FE0F} now", "⚠"));
    }

    #[test]
    fn s2_04_scripts_without_spaces_need_no_boundary_on_their_side() {
        assert!(mentions("我要提起訴訟了", "訴訟"));
        assert!(mentions("次はlawsuitです", "lawsuit"));
        assert!(!mentions("次はlawsuitsです", "lawsuit"));
        assert!(mentions("ひどいクレームだ", "クレーム"));
        assert!(mentions("ひどいｸﾚｰﾑだ", "クレーム"));
        assert!(mentions("ผมจะฟ้องคุณ", "ฟ้อง"));
        assert!(mentions("ຂ້ອຍຈະຟ້ອງ", "ຟ້ອງ"));
        assert!(mentions("ខ្ញុំនឹងប្តឹងអ្នក", "ប្តឹង"));
        assert!(mentions("ငါတရားစွဲမယ်", "တရားစွဲ"));
        // Korean and Hindi put spaces between words.
        assert!(mentions("이건 소송 감이다", "소송"));
        assert!(!mentions("소송을", "소송"));
        assert!(mentions("मैं मुकदमा करूँगा", "मुकदमा"));
        assert!(!mentions("मुकदमाबाजी", "मुकदमा"));
        // A tone mark after the last letter makes it another word.
        assert!(!mentions("ที่", "ที"));
    }

    #[test]
    fn s2_04_a_keyword_of_several_words_takes_any_white_space_between_them() {
        for text in [
            "Class action",
            "class \t\r\n action.",
            "class\u{A0}\u{3000}action é",
        ] {
            assert!(mentions(text, "class  action"), "{text:?}");
        }
        assert!(!mentions("classaction", "class action"));
        assert!(!mentions("class actions", "class action"));
        assert!(!mentions("class ", "class action"));
    }

    #[test]
    fn a_side_that_is_no_letter_needs_no_boundary() {
        assert!(mentions("I write c++11", "c++"));
        assert!(mentions("so#fail", "#fail"));
        assert!(!mentions("so#fails", "#fail"));
    }

    #[test]
    fn every_keyword_found_is_reported_once_in_the_rules_order_and_spelling() {
        let keywords = Keywords::new(["Lawsuit", "unprofessional", "Klage"]).unwrap();
        let text = "Unprofessional! lawsuit, LAWSUIT";
        assert_eq!(keywords.all_in(text), ["Lawsuit", "unprofessional"]);
        assert_eq!(
            keywords.all_in("KLÄGE, KLAGE, lawsuit"),
            ["Lawsuit", "Klage"]
        );
        assert!(keywords.all_in("fine").is_empty());
    }

    #[test]
    fn a_list_or_a_word_that_finds_nothing_is_refused() {
        let why = |words: &[&str]| Keywords::new(words.iter().copied()).unwrap_err();
        assert_eq!(why(&[]), "the list of keywords is empty");
        assert_eq!(why(&["a", " "]), "keyword ` ` is empty");
        assert_eq!(
            why(&["Straße", "STRASSE"]),
            "keywords `Straße` and `STRASSE` are the same word"
        );
        assert!(Keywords::new(["x".repeat(128).as_str()]).is_ok());
        assert_eq!(
            why(&["x".repeat(129).as_str()]),
            "a keyword has at most 128 bytes, one has 129"
        );
    }

    proptest::proptest! {
        #[test]
        fn the_short_cut_folds_as_the_whole_text(
            text in "([a-zA-Z \t.]{0,3}(\\PC|[\u{300}-\u{310}\u{AD}İıßΣς가-나ﾞｶ\u{1100}-\u{1112}\u{1161}\u{11A8}])?){0,8}",
        ) {
            let mut whole = Folded { text: String::new(), last: None };
            normalised(&text).for_each(|c| whole.push(c));
            assert_eq!(fold(&text), whole.text, "{:?}", text);
        }

        #[test]
        fn the_ascii_pass_answers_as_the_unicode_search(
            text in "[ a-cA-C_.\t]{0,16}",
            word in "[a-c+]( ?[a-cA-C+]){0,3}",
        ) {
            let keywords = Keywords::new([word.as_str()]).unwrap();
            let folded = fold(&word);
            assert_eq!(keywords.any_in(&text), holds(&fold(&text), &folded), "{:?} in {:?}", word, text);
        }
    }
}
