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

    /// Keyword, and texts in which it stands.
    const ALIKE: &[(&str, &[&str])] = &[
        // Apostrophes.
        (
            "won't pay",
            &[
                "I won’t pay this bill",
                "WON‘T PAY",
                "won`t pay",
                "won´t pay",
                "wonʼt pay",
                "won＇t pay",
                "won′t\npay",
            ],
        ),
        ("won’t pay", &["I won't pay", "won`t pay."]),
        ("workers'", &["the workers’ rights", "workers'"]),
        ("avocat", &["l’avocat", "l'avocat", "lʼavocat"]),
        ("об'єкт", &["ОБ’ЄКТ", "обʼєкт"]),
        ("עו\"ד", &["אני פונה לעורך, עו״ד כהן", "עו”ד"]),
        ("צ'ק", &["צ׳ק"]),
        // Hyphens.
        (
            "non-payment",
            &[
                "non\u{2011}payment",
                "Non–Payment",
                "non‐payment",
                "non−payment",
                "non—payment",
                "non－payment",
                "non\u{AD}payment",
                "a non-pay\u{AD}ment",
            ],
        ),
        ("non–payment", &["non-payment"]),
        ("בית-משפט", &["בית־משפט"]),
        (
            "lawsuit",
            &["law\u{AD}suit", "law\u{200B}suit", "law\u{2060}suit–now"],
        ),
        // Underscores and other marks around a word.
        (
            "lawsuit",
            &[
                "_lawsuit_",
                "__LAWSUIT__ é",
                "my_lawsuit_file",
                "＿lawsuit＿",
                "*lawsuit*",
                "😡lawsuit😡",
                "lawsuit⚠\u{FE0F}",
                "👨\u{200D}👩\u{200D}👧lawsuit👍🏽",
                "\u{202E}lawsuit\u{202C}",
                "“lawsuit”",
                "«lawsuit»",
                "lawsuit…",
                "¡lawsuit!",
            ],
        ),
        // Compatibility forms.
        ("lawsuit", &["ｌａｗｓｕｉｔ", "𝐥𝐚𝐰𝐬𝐮𝐢𝐭", "ⓛⓐⓦⓢⓤⓘⓣ"]),
        ("office", &["oﬃce"]),
        // Greek.
        ("Δίκη", &["ΔΙΚΗ", "δίκη", "Δικη", "ΔΊΚΗ", "δι\u{301}κη"]),
        ("ΔΙΚΗ", &["θα γίνει δίκη!"]),
        ("δικηγόρος", &["ΔΙΚΗΓΟΡΟΣ", "ο δικηγοροσ"]),
        ("απαΐσιος", &["ΑΠΑΙΣΙΟΣ", "απαισιος"]),
        ("τῷ", &["ΤΩΙ"]),
        // Cyrillic.
        ("счёт", &["верните счет", "СЧЕ\u{308}Т"]),
        ("суд", &["су\u{301}д"]),
        // Hebrew.
        ("תביעה", &["תְּבִיעָה", "זו תביעה."]),
        ("תְּבִיעָה", &["תביעה"]),
        ("שלום", &["\u{FB2A}לום"]),
        // Arabic and Persian.
        (
            "محكمة",
            &["محكـــمة", "مَحْكَمَةٌ", "محكمه", "محکمة", "إلى محكمة!"],
        ),
        ("إلغاء", &["الغاء", "ألغاء", "إلغـاء"]),
        ("على", &["علي", "علی"]),
        ("شکایت", &["شكايت", "شكایت", "شکـایت"]),
        ("نمی‌دهم", &["نمیدهم", "نمي\u{200C}دهم"]),
        ("قرآن", &["قران", "قرا\u{653}ن"]),
        ("مسئول", &["مسي\u{654}ول", "مسی\u{654}ول"]),
        ("لاعب", &["\u{FEFB}عب"]),
        ("خانه", &["خانۀ", "خانه\u{654}", "خانە"]),
        // Digits.
        ("911", &["اتصلت ٩١١", "۹۱۱", "९११", "９１１", "𝟗𝟏𝟏"]),
        ("٩١١", &["911", "۹۱۱"]),
        ("24x7", &["२४x७"]),
        // Decomposed Hangul and half-width Katakana.
        ("소송", &["\u{1109}\u{1169}\u{1109}\u{1169}\u{11BC}"]),
        ("クレーム", &["ｸﾚｰﾑ"]),
        // Phrases over lines.
        (
            "class action",
            &[
                "class\r\naction",
                "class\u{2028}action é",
                "class\u{A0}action",
            ],
        ),
        ("अदालत", &["अदालत\u{200D}", "यह अदालत।"]),
    ];

    #[test]
    fn s2_04_a_keyword_is_found_however_its_script_is_typed() {
        for (keyword, texts) in ALIKE {
            for text in *texts {
                assert!(mentions(text, keyword), "{keyword} in {text}");
                let keywords = Keywords::new([*keyword]).unwrap();
                assert_eq!(keywords.all_in(text), [*keyword], "as the rule spells it");
                // Within another text too, on both of its sides.
                assert!(mentions(&format!("é, {text}! ж"), keyword), "{text}");
            }
        }
    }

    #[test]
    fn s2_04_what_is_another_word_is_not_found() {
        for (keyword, texts) in [
            ("won't", &["wont", "won t", "won''t"] as &[&str]),
            ("non-payment", &["nonpayment", "non payment", "non_payment"]),
            ("nonpayment", &["non-payment", "non–payment"]),
            ("Δίκη", &["δίκησα", "ΔΙΚΗΣ", "αδίκη"]),
            ("суд", &["судебный", "суды", "рассуд"]),
            // Letters of their own.
            ("мои", &["мой"]),
            ("їжа", &["іжа"]),
            ("ѓон", &["гон"]),
            ("unverschämt", &["unverschamt"]),
            ("محكمة", &["والمحكمة", "محكمات"]),
            ("سؤال", &["سوال"]),
            ("كتاب", &["كتب"]),
            ("תביעה", &["התביעה", "תביעות"]),
            ("911", &["٩١١٢", "1911", "۹۱۱۰"]),
            (
                "lawsuit",
                &["lawsuit٢", "ｌａｗｓｕｉｔｓ", "lawsuitم", "lawsuit\u{301}"],
            ),
        ] {
            for text in texts {
                assert!(!mentions(text, keyword), "{keyword} in {text}");
            }
        }
    }

    #[test]
    fn s2_04_keywords_that_only_look_different_are_one() {
        let why = |words: &[&str]| Keywords::new(words.iter().copied()).unwrap_err();
        for words in [["won't", "won’t"], ["Δίκη", "ΔΙΚΗ"], ["محكمة", "محكـمة"]]
        {
            assert!(why(&words).ends_with("are the same word"), "{words:?}");
        }
        for empty in ["\u{AD}", "\u{640}", "\u{200B} \u{FEFF}"] {
            assert_eq!(why(&[empty]), format!("keyword `{empty}` is empty"));
        }
    }

    #[test]
    fn long_texts_of_marks_and_near_misses_are_searched() {
        // In time beyond that of their length these would not end.
        let texts = [
            format!("a{}", "\u{301}\u{323}".repeat(200_000)),
            "ע\u{5B8}".repeat(200_000),
            "é".repeat(400_000),
            "aé".repeat(200_000),
        ];
        let near = "é".repeat(63);
        let keywords = Keywords::new([near.as_str(), "aéa", "lawsuit"]).unwrap();
        for text in texts {
            assert!(keywords.all_in(&text).is_empty());
        }
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
        fn any_text_is_searched_and_folding_is_done_once(text in "(\\PC|[\u{300}-\u{36F}\u{5B0}-\u{6FF}]){0,24}") {
            let folded = fold(&text);
            assert_eq!(fold(&folded), folded, "{:?}", text);
            if let Ok(keywords) = Keywords::new([text.as_str()]) {
                assert!(keywords.any_in(&text), "{:?}", text);
            }
        }

        #[test]
        fn the_ascii_pass_answers_as_the_unicode_search(
            text in "[ a-cA-C_.\t'`]{0,16}",
            word in "[a-c+'_]( ?[a-cA-C+'`_]){0,3}",
        ) {
            let keywords = Keywords::new([word.as_str()]).unwrap();
            let folded = fold(&word);
            assert_eq!(keywords.any_in(&text), holds(&fold(&text), &folded), "{:?} in {:?}", word, text);
        }
    }
}
