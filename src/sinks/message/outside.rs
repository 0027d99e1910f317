//! Text from outside (customers, directories, other systems) as people may safely read it: whatever stands in it is
//! shown, and nothing in it acts.
//!
//! What no reader sees and what reorders the text around it goes here, once, before any form: control characters,
//! bidirectional overrides and isolates, zero-width characters. What markup means is each form's own affair. Joiners
//! and marks that a script needs (Persian, Indic, emoji) stay where they join something.

/// First strong isolate, and its end: what stands between them is laid out by itself, in its own direction.
const FSI: char = '\u{2068}';
const PDI: char = '\u{2069}';

/// Combining marks in a row that are shown; more of them only cover the lines above and below.
const MARKS_MAX: usize = 8;

/// Text of any number of lines, all ended by `\n`.
#[must_use]
pub fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let keeps_marks = text.chars().any(is_right_to_left);
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let last = out.chars().next_back();
        let kept = match c {
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
            '\t' => Some(' '),
            c if c.is_control() => None,
            // Direction marks reach no further than their neighbours, and text from right to left needs them.
            '\u{200e}' | '\u{200f}' | '\u{61c}' => keeps_marks.then_some(c),
            '\u{200c}' | '\u{200d}' => {
                let joins = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !is_unseen(c));
                (joins(last) && joins(chars.peek().copied())).then_some(c)
            }
            // Flags of regions are a flag and tags.
            '\u{e0020}'..='\u{e007f}' => {
                let in_flag = matches!(last, Some('\u{1f3f4}' | '\u{e0020}'..='\u{e007e}'));
                in_flag.then_some(c)
            }
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
                last.filter(|last| !last.is_whitespace()).map(|_| c)
            }
            c if is_unseen(c) => None,
            c => Some(c),
        };
        let Some(c) = kept else {
            continue;
        };
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks <= MARKS_MAX {
            out.push(c);
        }
    }
    out
}

/// The same as one line.
#[must_use]
pub fn line(text: &str) -> String {
    one_line(&plain(text))
}

/// Text that is plain already, as one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text to stand among other words: what reads from right to left is kept from reordering them. Line by line, because
/// no isolate reaches beyond a line.
#[must_use]
pub fn isolated(text: &str) -> String {
    if !text.chars().any(is_right_to_left) {
        return text.to_owned();
    }
    let lines = text.split('\n').map(|line| match line.trim().is_empty() {
        true => line.to_owned(),
        false => format!("{FSI}{line}{PDI}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Ends for the isolates that a cut has left open at the end of the last line.
#[must_use]
pub fn ends(text: &str) -> String {
    let last = text.rsplit('\n').next().unwrap_or_default();
    let open = last.chars().fold(0_usize, |open, c| match c {
        FSI => open + 1,
        PDI => open.saturating_sub(1),
        _ => open,
    });
    PDI.to_string().repeat(open)
}

/// Every string in a value, made anew. Names of fields stay.
#[must_use]
pub fn each(value: serde_json::Value, make: &impl Fn(&str) -> String) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(make(&text)),
        Value::Array(items) => items.into_iter().map(|item| each(item, make)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, each(value, make)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// Whether a cut before `next` would tear apart what is one character to a reader.
#[must_use]
pub fn belongs_together(last: char, next: char) -> bool {
    let regional = |c: char| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
    last == '\u{200d}'
        || is_mark(next)
        || matches!(next,
            '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
        || (regional(last) && regional(next))
}

/// What takes no room and is of no use to a reader: it hides in words, joins what is apart or reorders what is around.
/// Source: Unicode's `Default_Ignorable_Code_Point` and `Bidi_Control`, without what joins or varies a character.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e001f}' | '\u{e0080}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// Scripts that read from right to left, with their presentation forms.
const fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Marks that stand on or under the character before them, of the scripts that are in use.
const fn is_mark(c: char) -> bool {
    match c {
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{5bf}'
        | '\u{5c1}'
        | '\u{5c2}'
        | '\u{5c4}'
        | '\u{5c5}'
        | '\u{5c7}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{670}'
        | '\u{6d6}'..='\u{6dc}'
        | '\u{6df}'..='\u{6e4}'
        | '\u{6e7}'
        | '\u{6e8}'
        | '\u{6ea}'..='\u{6ed}'
        | '\u{e31}'
        | '\u{e34}'..='\u{e3a}'
        | '\u{e47}'..='\u{e4e}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{302a}'..='\u{302f}'
        | '\u{3099}'
        | '\u{309a}'
        | '\u{fe20}'..='\u{fe2f}' => true,
        // The Indic blocks are laid out alike: vowel signs and the rest stand at the same places in each.
        '\u{900}'..='\u{d7f}' => matches!(
            c as u32 % 0x80,
            0..=3 | 0x3c | 0x3e..=0x4d | 0x55..=0x57 | 0x62 | 0x63
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_and_what_reorders_is_gone() {
        for (given, shown) in [
            ("pay\u{200b}pal\u{feff} \u{2060}x\u{ad}y", "paypal xy"),
            ("\u{202e}txt.exe\u{202c}", "txt.exe"),
            ("\u{2066}a\u{2069}\u{2067}b\u{2069}\u{2068}c\u{2069}", "abc"),
            ("a\u{0}b\u{7}c\u{1b}[31md\u{9b}e\u{7f}", "abc[31mde"),
            (
                "one\r\ntwo\rthree\u{2028}four\u{85}five\u{b}six\tseven",
                "one\ntwo\nthree\nfour\nfive\nsix seven",
            ),
            ("l\u{200d}aw\u{200c}suit\u{200e}", "lawsuit"),
            ("\u{e0041}\u{e0042}x", "x"),
            ("\u{fe0f}\u{3164}x", "x"),
        ] {
            assert_eq!(plain(given), shown, "{given:?}");
        }
        let stacked = format!("Z{}a", "\u{301}".repeat(50));
        assert_eq!(plain(&stacked).chars().count(), 1 + MARKS_MAX + 1);
    }

    #[test]
    fn what_a_script_needs_stays() {
        for text in [
            // Persian and Devanagari with their joiners, Hebrew with points and a mark, Arabic with harakat.
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "שָׁלוֹם\u{200f}!",
            "مُحَمَّد",
            "e\u{301} Zo\u{308}e Tiê\u{323}ng",
            // A family, a flag of England, a heart in colour, a keycap, a thumb of a skin.
            "👩\u{200d}👩\u{200d}👧 🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} ❤\u{fe0f} 1\u{fe0f}\u{20e3} 👍\u{1f3fd}",
            "怒怒怒 ≠ ∞",
        ] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn text_from_right_to_left_stands_by_itself_and_a_cut_leaves_nothing_open() {
        assert_eq!(isolated("Ada (a-17)"), "Ada (a-17)");
        assert_eq!(isolated("עדה"), "\u{2068}עדה\u{2069}");
        assert_eq!(
            isolated("one\n\nشكرا"),
            "\u{2068}one\u{2069}\n\n\u{2068}شكرا\u{2069}"
        );
        assert_eq!(ends("\u{2068}\u{2068}ab\u{2069}"), "\u{2069}");
        assert_eq!(ends("\u{2068}a\u{2069}\n\u{2068}b\u{2069}"), "");
    }
}
