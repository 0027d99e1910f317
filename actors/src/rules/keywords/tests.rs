//! How keywords are typed in the world, and what is no keyword all the same.

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
    for words in [["won't", "won’t"], ["Δίκη", "ΔΙΚΗ"], ["محكمة", "محكـمة"]] {
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
