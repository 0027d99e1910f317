//! `mentions(text, [words])`: whether a text holds one of some words as whole words, in any case and script.
//!
//! Both sides are brought to one form first ([`fold`]), so that what only looks or is typed otherwise is the same word:
//! a decomposed accent, a full-width letter, a curly apostrophe, Greek capitals without accents, an Arabic word drawn
//! out for looks. `fold` says what is one and what is not. Most comments are plain ASCII and most keywords too: for
//! those one pass over the bytes does the same work without allocating. `condition` compiles the word list once, at
//! load; requirement S2.04.

mod fold;

use std::fmt;

use unicode_normalization::char::is_combining_mark;

use self::fold::{SOFT_HYPHEN, fold, fold_ascii};

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
                for byte in 0..128 {
                    starts[usize::from(byte)] |= fold_ascii(byte) == first;
                }
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
            let texts = readings(text);
            self.words.iter().any(|word| word.is_in(&texts))
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
            let texts = readings(text);
            self.words.iter().map(|word| word.is_in(&texts)).collect()
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

impl Keyword {
    fn is_in(&self, texts: &[String]) -> bool {
        texts.iter().any(|text| holds(text, &self.folded))
    }
}

/// The folded forms of a text: two where it has soft hyphens, which are a mere hint in one writer's text and the
/// hyphen itself in another's.
fn readings(text: &str) -> Vec<String> {
    let mut readings = vec![fold(text)];
    if text.contains(SOFT_HYPHEN) {
        readings.push(fold(&text.replace(SOFT_HYPHEN, "-")));
    }
    readings
}

/// Whether the folded `word` stands at `at` as a whole word.
fn ascii_match(text: &[u8], at: usize, word: &[u8]) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric();
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
        } else if fold_ascii(found) == wanted {
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

/// Unicode's word characters (UTS #18): letters, marks, decimal digits. Without its connectors, since people set
/// words between underscores to stress them.
fn is_word(c: char) -> bool {
    // The tables are compiled in by the feature `unicode-perl`; without them no character would count.
    !matches!(c, '_' | '\u{203F}' | '\u{2040}' | '\u{2054}')
        && regex_syntax::try_is_word_character(c).unwrap_or(false)
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

#[cfg(test)]
mod tests;
