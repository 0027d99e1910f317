//! Rules under stress: failing conditions, absent fields, and texts that are anything but rule files.

use aftercall_actors::{
    contract::event::{Body, Event},
    effect::{Effect, Effects},
    rules::{Figures, RuleSet},
};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn a_condition_that_fails_is_counted_and_the_others_go_on() {
    let rules = rules(&[
        ("division", "1 / agent.points > 0", "points = 1"),
        ("remainder", "1 % agent.points > 0", "points = 1"),
        (
            "overflow",
            "agent.responses + 9223372036854775807 > 0",
            "points = 1",
        ),
        ("nan", "0.0 / agent.detractor_share > 0.0", "points = 1"),
        ("type", "event.answers.nps > 3", "points = 1"),
        ("number", "int(event.comment) > 3", "points = 1"),
        ("no_bool", "event.answers.nps", "points = 1"),
        (
            "points_nan",
            "true",
            "points = \"0.0 / agent.detractor_share\"",
        ),
        ("points_type", "true", "points = \"event.answers.nps\""),
        ("last", "true", "points = 2"),
    ]);
    let (hits, effects) = asked(
        &rules,
        &json!({ "comment": "x", "answers": { "nps": "9" } }),
    );
    assert_eq!(hits, ["last 2"]);
    let failed = |rule: &str, why: &str| Effect::RuleFailed {
        rule: rule.into(),
        why: why.into(),
    };
    assert_eq!(
        effects,
        [
            failed("division", "division by zero"),
            failed("remainder", "division by zero"),
            failed("overflow", "a number is too large for an int"),
            failed("nan", "a number is not a number (NaN)"),
            failed("type", "needed a number, found a string"),
            failed("number", "a text cannot be read as a number"),
            failed("no_bool", "needed a bool, found a string"),
            failed("points_nan", "a number is not a number (NaN)"),
            failed("points_type", "needed a number, found a string"),
        ]
    );
}

#[test]
fn a_condition_that_needs_an_absent_field_does_not_hold_and_is_no_failure() {
    let rules = rules(&[
        ("below", "event.csat < 3", "points = 1"),
        ("not_below", "!(event.csat < 3)", "points = 1"),
        ("unequal", "event.csat != 3", "points = 1"),
        ("asked", "!has(event.csat)", "points = 1"),
        ("guarded", "has(event.csat) && event.csat < 3", "points = 1"),
        (
            "either",
            "event.csat < 3 || event.revision == 0",
            "points = 1",
        ),
        ("answer", "event.answers.nps > 3", "points = 1"),
        ("no_answer", "!has(event.answers.nps)", "points = 1"),
        ("nobody", "!has(event.customer)", "points = 1"),
        ("nobodys_phone", "!has(event.customer.phone)", "points = 1"),
        ("no_queue", "!has(event.routing.queue_id)", "points = 1"),
        ("mentions", "!mentions(event.comment, ['x'])", "points = 1"),
        ("points", "true", "points = \"event.csat\""),
    ]);
    let (hits, effects) = asked(&rules, &json!({}));
    assert_eq!(
        hits,
        [
            "asked 1",
            "either 1",
            "no_answer 1",
            "nobody 1",
            "no_queue 1"
        ]
    );
    assert_eq!(effects, []);
}

#[test]
fn s2_04_every_keyword_of_every_list_is_reported_even_if_the_score_alone_would_do() {
    let rules = rules(&[
        (
            "both",
            "event.csat < 3 || mentions(event.comment, ['Lawsuit', 'court']) || mentions(event.comment, ['rude', 'lawsuit'])",
            "alert = { severity = \"info\" }",
        ),
        (
            "neither",
            "!mentions(event.comment, ['nice'])",
            "alert = { severity = \"info\" }",
        ),
    ]);
    let (hits, effects) = asked(&rules, &json!({ "csat": 1, "comment": "Rude! lawsuit!" }));
    assert_eq!(hits, ["both 0 Lawsuit rude lawsuit", "neither 0"]);
    assert_eq!(effects, []);
}

#[test]
fn s3_01_points_are_rounded_half_away_from_zero_and_beyond_32_bits_the_rule_fails() {
    let points = |expression: &str| {
        let action = format!("points = \"{expression}\"");
        let (hits, effects) = asked(&rules(&[("r", "true", &action)]), &json!({ "csat": 3 }));
        assert_eq!(effects, []);
        hits
    };
    assert_eq!(points("event.csat * 7"), ["r 21"]);
    assert_eq!(points("0.5"), ["r 1"]);
    assert_eq!(points("-0.5"), ["r -1"]);
    assert_eq!(points("0.49"), ["r 0"]);
    assert_eq!(points("2147483646 + event.csat - 2"), ["r 2147483647"]);
    assert_eq!(points("-2147483648.4"), ["r -2147483648"]);
    for beyond in [
        "2147483645 + event.csat",
        "-2147483649",
        "2147483647.5",
        "1.0 / 0.0",
        "-1.0 / 0.0",
    ] {
        let action = format!("points = \"{beyond}\"");
        let (hits, effects) = asked(&rules(&[("r", "true", &action)]), &json!({ "csat": 3 }));
        assert_eq!(hits, Vec::<String>::new(), "{beyond}");
        assert_eq!(effects.len(), 1, "{beyond}: {effects:?}");
    }
}

#[test]
fn the_deepest_file_needs_no_more_than_half_a_megabyte_of_stack() {
    let texts = [
        format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000)),
        format!("{}true{}", "(".repeat(32), ")".repeat(32)),
        format!("{}true", "!".repeat(4_000)),
        format!("{}1", "-".repeat(4_000)),
        format!("true{}", "&&true".repeat(600)),
        format!("true{}", "||!true".repeat(500)),
        format!("1{}", "+1".repeat(2_000)),
        format!("1{}", "<1".repeat(2_000)),
        format!("event{}", ".a".repeat(2_000)),
        format!("event{}", "[event".repeat(600)),
        format!("{}1", "size(".repeat(800)),
        format!("{}1", "[".repeat(4_000)),
        format!("{}true", "true?true:".repeat(400)),
        format!("{}true", "true?".repeat(800)),
        "'\\x4".repeat(1_000),
    ];
    let check = move || {
        for text in texts {
            let text = format!("{}when = '''{text}'''\npoints = 1\n", head("r"));
            // Whether it is a rule is of no interest: only that there is an answer.
            let _ = RuleSet::parse(&text, "rules.toml");
            let nested = format!("a = {}", "[".repeat(text.len()));
            assert!(RuleSet::parse(&nested, "rules.toml").is_err());
        }
    };
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    thread.spawn(check).unwrap().join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let _ = RuleSet::parse(&text, "rules.toml");
    }

    #[test]
    fn any_condition_is_answered(text in any::<String>(), event in any::<String>()) {
        answer(&text, &event);
    }

    #[test]
    fn any_words_of_conditions_are_answered(
        words in proptest::collection::vec(prop::sample::select(WORDS.to_vec()), 0..24),
        comment in any::<String>(),
    ) {
        answer(&words.join(" "), &comment);
        answer(&words.concat(), &comment);
    }

    #[test]
    fn a_damaged_rule_file_is_answered(
        cut in 0_usize..10_000,
        length in 0_usize..20,
        put in prop_oneof![any::<String>(), prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned)],
    ) {
        let mut text: Vec<char> = include_str!("../../config/rules.toml").chars().collect();
        let start = cut.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, put.chars());
        let text: String = text.into_iter().collect();
        if let Err(errors) = RuleSet::parse(&text, "rules.toml") {
            prop_assert!(!errors.mistakes.is_empty());
            let lines = text.lines().count().max(1);
            prop_assert!(errors.mistakes.iter().all(|mistake| (1..=lines + 1).contains(&mistake.line)));
        }
    }

    #[test]
    fn any_keyword_in_any_comment_is_answered(keyword in any::<String>(), comment in any::<String>()) {
        let quoted = keyword.replace('\\', "\\\\").replace('"', "\\\"");
        answer(&format!("mentions(event.comment, [\"{quoted}\"])"), &comment);
    }
}

const WORDS: &[&str] = &[
    "event",
    "agent",
    ".",
    "csat",
    "comment",
    "answers",
    "points",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "?",
    ":",
    "<",
    "<=",
    "==",
    "!=",
    ">",
    "in",
    "&&",
    "||",
    "!",
    "+",
    "-",
    "*",
    "/",
    "%",
    "1",
    "0",
    "1.5",
    "1e9",
    "9223372036854775807",
    "0x",
    "'a'",
    "\"é\"",
    "'",
    "\\",
    "r'",
    "has",
    "size",
    "int",
    "double",
    "mentions",
    "contains",
    "true",
    "false",
    "null",
    "//",
    "\n",
    "[[rule]]",
    "\"",
    "'''",
];

/// Compiles a condition and, if it is one, evaluates it.
fn answer(when: &str, comment: &str) {
    let quoted = toml::Value::String(when.to_owned());
    let text = format!("{}when = {quoted}\npoints = 1\n", head("r"));
    if let Ok(rules) = RuleSet::parse(&text, "rules.toml") {
        asked(&rules, &json!({ "comment": comment, "csat": 1 }));
    }
}

fn head(name: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\non = \"survey.response.created\"\n")
}

/// Rules on surveys: name, condition, action.
fn rules(rules: &[(&str, &str, &str)]) -> RuleSet {
    let rule = |(name, when, action): &(&str, &str, &str)| {
        format!("{}when = \"\"\"{when}\"\"\"\n{action}\n", head(name))
    };
    let text: String = rules.iter().map(rule).collect();
    RuleSet::parse(&text, "rules.toml").unwrap()
}

/// Name, points and keywords of each rule that holds, and what else came of it.
fn asked(rules: &RuleSet, fields: &Value) -> (Vec<String>, Effects) {
    let mut data = json!({
        "response_id": "r1", "interaction_id": "i1", "submitted_at": "2026-11-20T10:00:00Z",
    });
    for (name, value) in fields.as_object().unwrap() {
        data[name] = value.clone();
    }
    let event = Event {
        source: "/test".into(),
        id: "1".into(),
        body: Body::SurveyResponse(serde_json::from_value(data).unwrap()),
    };
    let figures = Figures::Agent {
        points: 0,
        responses: 1,
        detractors: 0,
        detractor_share: 0.0,
    };
    let (mut hits, mut effects) = (Vec::new(), Effects::new());
    rules.matching(&event, &figures, &mut hits, &mut effects);
    let shown = hits.iter().map(|hit| {
        let mut words = vec![hit.rule.name.clone(), hit.points.to_string()];
        words.extend(hit.keywords.clone());
        words.join(" ")
    });
    (shown.collect(), effects)
}
