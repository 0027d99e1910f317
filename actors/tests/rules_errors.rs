//! Every mistake a rule file can have, with the exact message a person gets.

use aftercall_actors::{
    contract::identifier::IdentifierType,
    rules::{EnrichmentMode, RuleSet},
};

const SURVEY: &str = "survey.response.created";

/// The messages for a rule file.
fn errors(text: &str) -> Vec<String> {
    let errors = RuleSet::parse(text, "rules.toml").expect_err("the text is wrong");
    errors.to_string().lines().map(str::to_owned).collect()
}

/// The messages for one rule on surveys with this condition, without file, line and rule.
fn condition(when: &str) -> Vec<String> {
    on(SURVEY, when, "alert = { severity = \"info\" }")
}

fn on(topic: &str, when: &str, action: &str) -> Vec<String> {
    let text = format!("[[rule]]\nname = \"r\"\non = \"{topic}\"\nwhen = '''{when}'''\n{action}\n");
    let errors = errors(&text);
    let rest = |line: &String| {
        let rest = line.strip_prefix("rules.toml:").unwrap();
        let rest = rest.split_once(": rule `r`: ").unwrap().1;
        rest.strip_prefix("`when`, ").unwrap_or(rest).to_owned()
    };
    errors.iter().map(rest).collect()
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_the_order_of_their_lines() {
    let text = r#"
vershion = "1"
[points]
windw = "90d"
[business_unit]
time_zone = "Europe/Berlim"
[[rule]]
name = "low"
on = "survey.respons.created"
when = "event.csat < 3"
alert = { severity = "warning" }
[[rule]]
name = "low"
on = "survey.response.created"
wen = "event.csat < 3"
points = 1
[[rule]]
on = "survey.response.created"
when = '''
event.csat < 3
  && event.cast == 2 && evnt.csat == 1
'''
"#;
    assert_eq!(
        errors(text),
        [
            "rules.toml:2: unknown key `vershion` in the file; did you mean `version`?",
            "rules.toml:4: unknown key `windw` in `[points]`; did you mean `window`?",
            "rules.toml:6: unknown time zone `Europe/Berlim`; did you mean `Europe/Berlin`?",
            "rules.toml:9: rule `low`: unknown event type `survey.respons.created`; \
             did you mean `survey.response.created`?",
            "rules.toml:12: rule `low`: `when` is missing: the condition; \
             a rule for every event says `when = \"true\"`",
            "rules.toml:13: rule `low`: another rule has this name; names are unique",
            "rules.toml:15: rule `low`: unknown key `wen` in a rule; did you mean `when`?",
            "rules.toml:17: rule number 3: `name` is missing",
            "rules.toml:17: rule number 3: it does nothing: add `alert` or `points`",
            "rules.toml:21: rule number 3: `when`, column 12: `survey.response.created` has no field \
             `cast`; did you mean `csat`?",
            "rules.toml:21: rule number 3: `when`, column 25: unknown variable `evnt` in a rule on \
             `survey.response.created`; did you mean `event`?",
        ]
    );
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    assert_eq!(
        errors("version = \"1\"\n[points\nwindow = 3"),
        ["rules.toml:2: not TOML: unclosed table, expected `]`"]
    );
    assert_eq!(
        errors("version = \"1\"\nversion = \"2\""),
        ["rules.toml:2: not TOML: duplicate key"]
    );
}

#[test]
fn sections_and_rules_of_another_shape_are_told() {
    assert_eq!(
        errors("points = 3\nrule = 4\nversion = 5"),
        [
            "rules.toml:1: `points` is a section: `[points]`",
            "rules.toml:2: `rule` is a list: begin each rule with `[[rule]]`",
            "rules.toml:3: `version` is text in quotes, not of type integer",
        ]
    );
    assert_eq!(
        errors("rule = [1]"),
        ["rules.toml:1: rule number 1: a rule is a table: begin it with `[[rule]]`"]
    );
    assert_eq!(
        errors("version = \"1 b\""),
        ["rules.toml:1: `version` is `1 b`; allowed are 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`"]
    );
    assert_eq!(
        errors("[completion]\nqueues = \"sales\"\nskills = [\"\", 3]"),
        [
            "rules.toml:2: `queues` is a list of texts, such as [\"sales\"]",
            "rules.toml:3: `skills` holds an empty text",
            "rules.toml:3: `skills` is text in quotes, not of type integer",
        ]
    );
}

#[test]
fn durations_are_told_with_what_is_allowed() {
    let not = |section: &str, key: &str, value: &str| {
        let errors = errors(&format!("[{section}]\n{key} = \"{value}\""));
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].strip_prefix("rules.toml:2: ").unwrap().to_owned()
    };
    for value in ["ninety", "90", "-1d", "1.5d", "d", "", "9999999999999999d"] {
        assert_eq!(
            not("points", "window", value),
            format!(
                "`window` in `[points]` is `{value}`; a duration is a whole number and one of ms, s, m, h, \
                 d, such as \"24h\""
            )
        );
    }
    for (section, key, value, allowed) in [
        ("points", "window", "0d", "1d to 730d"),
        ("points", "window", "731d", "1d to 730d"),
        ("survey", "dedupe", "59s", "1m to 30d"),
        ("survey", "dedupe", "31d", "1m to 30d"),
        ("enps", "window", "59m", "1h to 90d"),
        ("completion", "dedupe", "59s", "1m to 7d"),
        ("profile", "merge", "61m", "0s to 1h"),
        ("profile", "history", "91d", "1h to 90d"),
        ("enrichment", "every", "999ms", "1s to 10m"),
        ("enrichment", "every", "11m", "1s to 10m"),
        ("enrichment", "for", "0s", "1s to 1h"),
        ("enrichment", "for", "61m", "1s to 1h"),
        ("survey_token", "dedupe", "59s", "1m to 7d"),
        ("survey_token", "dedupe", "8d", "1m to 7d"),
        ("identity", "keep", "59s", "1m to 90d"),
        ("identity", "keep", "91d", "1m to 90d"),
        ("outcome", "wait", "25h", "0s to 1d"),
    ] {
        assert_eq!(
            not(section, key, value),
            format!("`{key}` in `[{section}]` is `{value}`; allowed are {allowed}")
        );
    }
    assert_eq!(
        not("points", "window", "36h"),
        "`window` in `[points]` is whole days, such as \"90d\""
    );
}

#[test]
fn an_unknown_mode_is_told_with_those_there_are() {
    let mode = |section: &str, mode: &str| errors(&format!("[{section}]\nmode = \"{mode}\""));
    assert_eq!(
        mode("enrichment", "holt"),
        ["rules.toml:2: unknown `mode` `holt` in `[enrichment]`; did you mean `hold`?"]
    );
    for (section, known) in [
        ("survey_token", "`request`, `off`"),
        ("identity", "`request`, `off`"),
        ("outcome", "`track`, `off`"),
    ] {
        assert_eq!(
            mode(section, "perhaps"),
            [format!(
                "rules.toml:2: unknown `mode` `perhaps` in `[{section}]`; known are {known}"
            )]
        );
    }
    assert_eq!(
        errors("[enrichment]\nmode = true"),
        ["rules.toml:2: `mode` is text in quotes, not of type boolean"]
    );
}

#[test]
fn s5_11_the_order_of_identifiers_is_of_known_ones_each_once() {
    let by = |list: &str| errors(&format!("[identity]\nby = {list}"));
    assert_eq!(
        by("[\"phone\", \"mail\"]"),
        ["rules.toml:2: unknown identifier `mail` in `by` in `[identity]`; did you mean `email`?"]
    );
    assert_eq!(
        by("[\"phone\", \"email\", \"phone\"]"),
        ["rules.toml:2: `by` in `[identity]` names `phone` twice"]
    );
    assert_eq!(
        by("[]"),
        ["rules.toml:2: `by` in `[identity]` is empty; to ask nothing, write `mode = \"off\"`"]
    );
    let text = "[identity]\nby = [\"cdp_user_id\"]\n[outcome]\nchanges = \"7d\"\n\
                [completion]\nno_disposition = []";
    let rules = RuleSet::parse(text, "rules.toml").unwrap();
    let settings = rules.settings();
    assert_eq!(settings.identify_by, [IdentifierType::CdpUserId]);
    assert_eq!(settings.outcome_changes_ms, 604_800_000);
    assert_eq!(
        settings.said(Some("No Disposition")),
        Some("No Disposition")
    );
    assert_eq!(settings.said(Some(" ")), None);
}

#[test]
fn modes_and_waits_are_taken_as_they_stand() {
    let text = "[enrichment]\nmode = \"hold\"\nevery = \"1s\"\nfor = \"1h\"\n\
                [survey_token]\nmode = \"off\"\ndedupe = \"7d\"\n\
                [identity]\nmode = \"off\"\nkeep = \"1m\"\n[outcome]\nmode = \"off\"\nwait = \"0s\"";
    let rules = RuleSet::parse(text, "rules.toml").unwrap();
    let settings = rules.settings();
    assert_eq!(settings.enrichment_mode, EnrichmentMode::Hold);
    assert_eq!(settings.enrichment_every_ms, 1_000);
    assert_eq!(settings.enrichment_for_ms, 3_600_000);
    assert!(!settings.survey_token_requested);
    assert_eq!(settings.survey_token_dedupe_ms, 604_800_000);
    assert!(!settings.identity_requested);
    assert_eq!(settings.identity_keep_ms, 60_000);
    assert!(!settings.outcome_tracked);
    assert_eq!(settings.outcome_wait_ms, 0);
}

#[test]
fn durations_within_their_bounds_are_taken() {
    let text = "[points]\nwindow = \"48h\"\n[survey]\ndedupe = \"1m\"\n[enps]\nwindow = \"90d\"\n\
                [completion]\ndedupe = \"7d\"\nqueues = [\"q\"]\nskills = [\"s\"]\n\
                [profile]\nmerge = \"0s\"\nhistory = \"1h\"\n[business_unit]\ntime_zone = \"Asia/Tokyo\"";
    let rules = RuleSet::parse(text, "rules.toml").unwrap();
    let settings = rules.settings();
    assert_eq!(settings.points_window_days, 2);
    assert_eq!(settings.survey_dedupe_ms, 60_000);
    assert_eq!(settings.enps_window_ms, 7_776_000_000);
    assert_eq!(settings.completion_dedupe_ms, 604_800_000);
    assert_eq!(settings.profile_merge_ms, 0);
    assert_eq!(settings.history_window_ms, 3_600_000);
    assert_eq!(
        (&settings.queues[..], &settings.skills[..]),
        (&["q".to_owned()][..], &["s".to_owned()][..])
    );
    assert_eq!(settings.time_zone.iana_name(), Some("Asia/Tokyo"));
}

#[test]
fn a_rules_name_is_one_that_ids_and_labels_can_carry() {
    let name = |name: &str| {
        errors(&format!(
            "[[rule]]\nname = \"{name}\"\non = \"{SURVEY}\"\nwhen = \"true\"\npoints = 1"
        ))
    };
    let long = "x".repeat(65);
    for wrong in ["", "Low", "low csat", "low.csat", "niedrig_ä", &long] {
        let shown = &wrong[..wrong.len().min(64)];
        assert_eq!(
            name(wrong),
            [format!(
                "rules.toml:2: rule number 1: `name` is `{shown}`; allowed are 1 to 64 of a-z, 0-9, `_`, `-`"
            )]
        );
    }
}

#[test]
fn an_action_goes_with_its_event_types_only() {
    let actions = [
        ("alert = { severity = \"info\" }", "alert"),
        ("coaching = { reason = \"why\" }", "coaching"),
        ("segment = \"s\"", "segment"),
        ("points = 1", "points"),
    ];
    for (topic, fitting) in [
        (SURVEY, &["alert", "points"][..]),
        ("enps.response.submitted", &["coaching", "points"]),
        ("wfm.metric.recorded", &["points"]),
        ("interaction.completed", &["segment"]),
    ] {
        for (action, key) in actions {
            let text =
                format!("[[rule]]\nname = \"r\"\non = \"{topic}\"\nwhen = \"true\"\n{action}");
            if fitting.contains(&key) {
                assert!(RuleSet::parse(&text, "rules.toml").is_ok(), "{text}");
                continue;
            }
            let right: Vec<String> = fitting.iter().map(|key| format!("`{key}`")).collect();
            let right = right.join(" or ");
            assert_eq!(
                errors(&text),
                [format!(
                    "rules.toml:5: rule `r`: `{key}` does not go with `{topic}`; {right} does"
                )]
            );
        }
    }
    assert_eq!(
        on("tick", "true", "points = 1"),
        [
            "rules do not listen to `tick`; they can listen to `survey.response.created`, \
          `enps.response.submitted`, `wfm.metric.recorded`, `interaction.completed`"
        ]
    );
}

#[test]
fn an_action_is_one_and_complete() {
    let action = |action: &str| on(SURVEY, "true", action);
    assert_eq!(
        action("points = 1\nalert = { severity = \"info\" }"),
        ["it has `alert` and `points`; a rule does one thing, so write a rule for each"]
    );
    assert_eq!(action(""), ["it does nothing: add `alert` or `points`"]);
    assert_eq!(
        action("alert = \"warning\""),
        ["`alert` is a table: `alert = { severity = \"warning\" }`"]
    );
    assert_eq!(
        action("alert = { }"),
        ["`severity` is missing in `alert`: `alert = { severity = \"warning\" }`"]
    );
    assert_eq!(
        action("alert = { severity = \"critcal\" }"),
        ["unknown severity `critcal`; did you mean `critical`?"]
    );
    assert_eq!(
        action("alert = { severity = \"info\", to = \"x\" }"),
        ["unknown key `to` in `alert`; known are `severity`"]
    );
    assert_eq!(
        action("points = 2147483648"),
        ["`points` is 2147483648; allowed are -2147483648 to 2147483647"]
    );
    assert_eq!(
        action("points = 1.5"),
        [
            "`points` is a whole number or an expression in quotes, such as \"event.value\", not of type float"
        ]
    );
    assert_eq!(
        action("points = \"event.comment\""),
        ["`points`: points are a number, this is a string"]
    );
    assert_eq!(
        action("points = \"event.csat * event.cast\""),
        [
            "`points`, column 20: `survey.response.created` has no field `cast`; did you mean `csat`?"
        ]
    );
    assert_eq!(
        on(
            "enps.response.submitted",
            "true",
            "coaching = { reason = \" \" }"
        ),
        ["`reason` is what people read: 1 to 1,000 bytes of text"]
    );
    assert_eq!(
        on("interaction.completed", "true", "segment = \"at risk\""),
        ["`segment` is `at risk`; allowed are 1 to 64 of a-z, 0-9, `_`, `-`"]
    );
}

#[test]
fn a_condition_that_is_not_cel_is_told_with_its_column() {
    for (when, error) in [
        ("event.csat <", "column 13: not CEL: it ends too early"),
        ("(event.csat < 3", "column 16: not CEL: it ends too early"),
        (
            "event.csat < 3 3",
            "column 16: not CEL: `3` cannot stand here",
        ),
        (
            "event.csat < 3)",
            "column 15: not CEL: `)` cannot stand here",
        ),
        (
            "event.csat = 3",
            "column 12: not CEL: `=` cannot stand here; equality is `==`",
        ),
        (
            "true and true",
            "column 6: not CEL: `and` cannot stand here; write `&&`",
        ),
        (
            "true or true",
            "column 6: not CEL: `or` cannot stand here; write `||`",
        ),
        ("not true", "column 5: not CEL: `true` cannot stand here"),
        (
            "event.csat ; 3",
            "column 12: not CEL: `;` cannot stand here",
        ),
        ("'é' == é", "column 8: not CEL: `é` cannot stand here"),
        (
            "event.comment == \"x",
            "column 18: not CEL: a text has no closing quote",
        ),
        (
            "event.comment == '\\q'",
            "column 18: not CEL: `\\q` stands for nothing in a text",
        ),
        (
            "event.comment == '\\xZZ'",
            "column 18: not CEL: `\\x` is not followed by a character's number",
        ),
        (
            "event.comment == b'x'",
            "column 18: not CEL: no field holds bytes: write a string",
        ),
        (
            "event.csat == 3u",
            "column 15: not CEL: numbers are ints and doubles: write `3`",
        ),
        (
            "event.csat == null",
            "column 15: not CEL: nothing is null: ask with `has(..)` whether a field is there",
        ),
        (
            "event.csat < 9223372036854775808",
            "column 14: not CEL: a number is too large for an int",
        ),
        ("{} == {}", "column 1: not CEL: conditions build no maps"),
    ] {
        assert_eq!(condition(when), [error], "{when}");
    }
}

#[test]
fn a_name_that_is_unknown_is_told_with_the_nearest_one() {
    for (when, error) in [
        (
            "event.cast < 3",
            "column 7: `survey.response.created` has no field `cast`; did you mean `csat`?",
        ),
        (
            "event.routing.queue == 'q'",
            "column 15: `survey.response.created` has no field `routing.queue`; did you mean `routing.queue_id`?",
        ),
        (
            "agent.pints > 3",
            "column 7: `agent` has no field `pints`; did you mean `points`?",
        ),
        (
            "agent.x > 3",
            "column 7: `agent` has no field `x`; known are `points`, `responses`, `detractors`, `detractor_share`",
        ),
        (
            "evnt.csat < 3",
            "column 1: unknown variable `evnt` in a rule on `survey.response.created`; did you mean `event`?",
        ),
        (
            "customer.contacts > 3",
            "column 1: unknown variable `customer` in a rule on `survey.response.created`; known are `event`, `agent`",
        ),
        (
            "mention(event.comment, ['a'])",
            "column 1: unknown function `mention`; did you mean `mentions`?",
        ),
        (
            "event.comment.startWith('a')",
            "column 15: unknown function `startWith`; did you mean `startsWith`?",
        ),
        (
            "contains('a', 'b')",
            "column 1: `contains` is called as `event.comment.contains(\"x\")`",
        ),
        (
            "event.comment.matches('a')",
            "column 15: conditions have no regular expressions; look for words with `mentions(..)`, or for a part with `contains`, `startsWith`, `endsWith`",
        ),
        (
            "event.answers.exists(a, true)",
            "column 15: conditions have no macros over lists; ask for one element with `\"x\" in event.tags`",
        ),
        (
            "event.answers.a.b == 3",
            "column 17: answers are one level deep: `event.answers.nps`",
        ),
    ] {
        assert_eq!(condition(when), [error], "{when}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_told_when_the_file_is_read() {
    for (when, error) in [
        (
            "event.csat + 1",
            "`when`: a condition is a bool, this is an int",
        ),
        (
            "event.csat < '3'",
            "column 12: `<` does not compare an int with a string",
        ),
        (
            "event.csat == true",
            "column 12: `==` does not compare an int with a bool",
        ),
        ("true < false", "column 6: `<` does not compare a bool"),
        (
            "event.answers == 3",
            "column 15: `==` does not compare a map of answers",
        ),
        (
            "event.csat && true",
            "column 7: `&&` takes bools, not an int",
        ),
        ("!event.csat", "column 8: `!` takes bools, not an int"),
        (
            "-event.comment == ''",
            "column 1: `-` takes a number, not a string",
        ),
        (
            "event.csat * 2.0 > 1.0",
            "column 12: `*` does not mix ints and doubles (answers' numbers are doubles): write `2.0`, or convert with `double(..)` or `int(..)`",
        ),
        (
            "event.comment + 'x' == ''",
            "column 15: conditions build no strings",
        ),
        (
            "event.comment - 1 == 2",
            "column 15: `-` does not take a string and an int",
        ),
        (
            "1.0 % 2.0 > 0.0",
            "column 5: `%` does not take a double and a double",
        ),
        (
            "true ? 1 : 'a'",
            "column 6: both sides of `:` are of one type, here they are an int and a string",
        ),
        (
            "event.csat in [1, 'a']",
            "column 19: `in` does not compare an int with a string",
        ),
        (
            "event.csat in [event.csat]",
            "column 22: the list right of `in` holds literals only",
        ),
        (
            "'a' in event.comment",
            "column 5: `in` looks in lists; whether a string holds another, ask with `a.contains(b)`",
        ),
        (
            "event.csat in event.answers",
            "column 12: `in` does not look for an int in a map of answers",
        ),
        (
            "[1] == event.csat",
            "column 1: a list can stand right of `in` and in `mentions(..)` only",
        ),
        (
            "event == 3",
            "column 1: `event` is an object: name one of its fields, `event.response_id`",
        ),
        (
            "event.customer == 3",
            "column 7: `customer` is an object: name one of its fields",
        ),
        (
            "has(event)",
            "column 1: `has` takes a field: `has(event.comment)`",
        ),
        (
            "has(event.cast)",
            "column 11: `survey.response.created` has no field `cast`; did you mean `csat`?",
        ),
        (
            "event.comment[0] == 'a'",
            "column 14: only a field can be selected: `event.comment`",
        ),
        (
            "size(event.csat) > 1",
            "column 1: `size` takes a string or a list, not an int",
        ),
        (
            "event.comment.contains(3)",
            "column 15: `contains` takes strings, not an int",
        ),
        (
            "int(true) > 1",
            "column 1: `int` takes a number or a string, not a bool",
        ),
    ] {
        assert_eq!(condition(when), [error], "{when}");
    }
}

#[test]
fn s2_04_keywords_are_literal_and_find_something() {
    const USE: &str = "write `mentions(event.comment, [\"word\", \"two words\"])`";
    for (when, error) in [
        (
            "mentions(event.comment)",
            format!("column 1: `mentions` takes 2 arguments, not 1: {USE}"),
        ),
        (
            "mentions(event.comment, 'a')",
            format!("column 25: the keywords are a list of literals: {USE}"),
        ),
        (
            "mentions(event.comment, [1])",
            format!("column 25: the keywords are literal strings: {USE}"),
        ),
        (
            "mentions(event.csat, ['a'])",
            format!("column 16: `mentions` looks in a string, not an int: {USE}"),
        ),
        (
            "mentions(event.comment, [])",
            "column 25: the list of keywords is empty".into(),
        ),
        (
            "mentions(event.comment, [' '])",
            "column 25: keyword ` ` is empty".into(),
        ),
        (
            "mentions(event.comment, ['a', 'A'])",
            "column 25: keywords `a` and `A` are the same word".into(),
        ),
    ] {
        assert_eq!(condition(when), [error], "{when}");
    }
}

#[test]
fn a_condition_is_neither_empty_nor_too_long_nor_too_deep() {
    assert_eq!(
        condition(" "),
        ["`when`: the expression is empty; a condition is a bool"]
    );
    // `true` and as many `&&true` as fit.
    let long = format!("true{}", "&&true".repeat(682));
    assert_eq!(long.len(), 4_096);
    let rule = |when: &str| {
        format!("[[rule]]\nname = \"r\"\non = \"{SURVEY}\"\nwhen = '''{when}'''\npoints = 1\n")
    };
    assert!(RuleSet::parse(&rule(&long), "rules.toml").is_ok());
    assert_eq!(
        condition(&format!("{long} ")),
        ["`when`: the expression has 4097 bytes; allowed are 4096"]
    );
    let nested = |levels: usize| format!("{}true{}", "(".repeat(levels), ")".repeat(levels));
    assert!(RuleSet::parse(&rule(&nested(32)), "rules.toml").is_ok());
    assert_eq!(
        condition(&nested(33)),
        ["column 34: not CEL: it nests deeper than 32 levels"]
    );
    let sum = |signs: usize| format!("1{} > 0", "+1".repeat(signs));
    assert!(RuleSet::parse(&rule(&sum(31)), "rules.toml").is_ok());
    assert_eq!(
        condition(&sum(32)),
        ["column 67: not CEL: it nests deeper than 32 levels"]
    );
}

#[test]
fn a_file_is_neither_too_large_nor_has_it_too_many_rules() {
    let rule = |number: usize| {
        format!("[[rule]]\nname = \"r{number}\"\non = \"{SURVEY}\"\nwhen = \"true\"\npoints = 1\n")
    };
    let rules = |count: usize| (0..count).map(rule).collect::<String>();
    assert_eq!(
        RuleSet::parse(&rules(200), "rules.toml")
            .unwrap()
            .rules()
            .len(),
        200
    );
    assert_eq!(
        errors(&rules(201)),
        ["rules.toml:1: the file has 201 rules; allowed are 200"]
    );
    let comment = |bytes: usize| "#".repeat(bytes);
    assert!(RuleSet::parse(&comment(262_144), "rules.toml").is_ok());
    assert_eq!(
        errors(&comment(262_145)),
        ["rules.toml:1: the file has 262145 bytes; allowed are 262144"]
    );
}

#[test]
fn the_version_changes_whenever_the_text_does() {
    let version = |text: &str| {
        RuleSet::parse(text, "rules.toml")
            .unwrap()
            .version()
            .to_owned()
    };
    assert_eq!(version("").len(), 16);
    assert_ne!(version(""), version("\n"));
    assert_eq!(version("version = \"v1\"").split_once('+').unwrap().0, "v1");
    assert_eq!(version("version = \"v1\"").len(), 11);
    assert_ne!(version("version = \"v1\""), version("version = \"v1\" "));
    assert_eq!(version(""), version(""));
}
