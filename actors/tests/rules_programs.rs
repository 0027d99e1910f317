//! Reward programs in a rule file: what they mean, and every mistake with the exact message a person gets.

use aftercall_actors::{
    rewards::programs::{Amount, Approval, Limit, OnCancelled, Program, Tier},
    rules::RuleSet,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A program that is right, and these lines after it: keys of its tier.
fn tier(more: &str) -> String {
    format!(
        "[[program]]\nname = \"p\"\nenabled = true\n[[program.tier]]\nname = \"t\"\nthreshold = 500\n\
         reward_type = \"card\"\n{more}"
    )
}

/// A program with this line on the third line.
fn program(line: &str) -> String {
    tier("").replacen("enabled = true\n", &format!("enabled = true\n{line}\n"), 1)
}

fn programs(text: &str) -> Vec<Program> {
    RuleSet::parse(text, "rules.toml")
        .unwrap()
        .settings()
        .programs
        .clone()
}

fn errors(text: &str) -> Vec<String> {
    let errors = RuleSet::parse(text, "rules.toml").expect_err("the text is wrong");
    errors.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn s3_04_a_program_is_read_with_its_highest_tier_first() {
    let text = "[[program]]\nname = \"p\"\nenabled = true\napproval = \"none\"\n\
        budget = { points = 100_099, per = \"30d\", agents = 100 }\n\
        [[program.tier]]\nname = \"low\"\nthreshold = 500\nreward_type = \"card\"\n\
        cap = { rewards = 2, per = \"7d\" }\n\
        [[program.tier]]\nname = \"high\"\nthreshold = 1_000\nreward_type = \"day off\"\n\
        [[program]]\nname = \"q\"\nenabled = false\non_cancelled = \"free\"\n[[program.tier]]\nname = \"low\"\nthreshold = 1\nreward_type = \"x\"";
    let tier = |name: &str, threshold, reward_type: &str, cap| Tier {
        name: name.to_owned(),
        threshold,
        reward_type: reward_type.to_owned(),
        cap,
    };
    let limit = |most, days: i64| Limit {
        most,
        period_ms: days * DAY_MS,
    };
    let first = Program {
        on_cancelled: OnCancelled::Hold,
        name: "p".to_owned(),
        enabled: true,
        approval: Approval::Unneeded,
        share: Some(limit(Amount::Points(1_000), 30)),
        tiers: vec![
            tier("high", 1_000, "day off", None),
            tier("low", 500, "card", Some(limit(Amount::Rewards(2), 7))),
        ],
    };
    let second = Program {
        on_cancelled: OnCancelled::Free,
        name: "q".to_owned(),
        enabled: false,
        approval: Approval::OverCap,
        share: None,
        tiers: vec![tier("low", 1, "x", None)],
    };
    assert_eq!(programs(text), [first, second]);
}

#[test]
fn all_mistakes_of_a_program_are_told_at_once() {
    let text = r#"
[[program]]
enabld = true
approval = "sometimes"
budget = { points = 0, rewards = 1, per = "1h" }
[[program.tier]]
name = "T"
threshold = 0
cap = 3
[[program.tier]]
name = "b"
treshold = 5
reward_type = ""
cap = { rewards = "1" }
"#;
    assert_eq!(
        errors(text),
        [
            "rules.toml:2: `name` of a program is missing",
            "rules.toml:2: `enabled` is missing: false stops every request and keeps what was earned",
            "rules.toml:3: unknown key `enabld` in a program; did you mean `enabled`?",
            "rules.toml:4: unknown approval `sometimes`; known are `none`, `over_cap`, `always`",
            "rules.toml:5: `budget` counts either `points` or `rewards`: \
             `budget = { rewards = 2, per = \"30d\" }`",
            "rules.toml:5: `per` in `[budget]` is `1h`; allowed are 1d to 730d",
            "rules.toml:6: `reward_type` is missing: what the provider is asked for",
            "rules.toml:7: `name` is `T`; allowed are 1 to 64 of a-z, 0-9, `_`, `-`",
            "rules.toml:8: `threshold` is 0; allowed are whole numbers from 1 to 1000000000",
            "rules.toml:9: `cap` is a table: `cap = { rewards = 2, per = \"30d\" }`",
            "rules.toml:10: `threshold` is missing: points that reach the tier",
            "rules.toml:12: unknown key `treshold` in a tier; did you mean `threshold`?",
            "rules.toml:13: `reward_type` is the provider's word: 1 to 256 bytes",
            "rules.toml:14: `rewards` is of type string; allowed are whole numbers from 1 to 1000000000",
            "rules.toml:14: `per` is missing in `cap`: the length of its period, as in \
             `cap = { rewards = 2, per = \"30d\" }`",
        ]
    );
}

#[test]
fn shapes_names_and_numbers_of_programs_are_told() {
    for (text, expected) in [
        (
            "program = 3".to_owned(),
            "rules.toml:1: `program` is a list: begin each with `[[program]]`",
        ),
        (
            "program = [3]".to_owned(),
            "rules.toml:1: `program` is a table: begin it with `[[program]]`",
        ),
        (
            "[[program]]\nname = \"p\"\nenabled = true".to_owned(),
            "rules.toml:1: a program has tiers: add `[[program.tier]]`",
        ),
        (
            program("").replace("enabled = true", "enabled = \"yes\""),
            "rules.toml:3: `enabled` is true or false",
        ),
        (
            tier("") + &tier(""),
            "rules.toml:8: another program is called `p`; names are unique",
        ),
        (
            tier("[[program.tier]]\nname = \"t\"\nthreshold = 501\nreward_type = \"x\""),
            "rules.toml:8: another tier is called `t`; names are unique",
        ),
        (
            tier("[[program.tier]]\nname = \"u\"\nthreshold = 500\nreward_type = \"x\""),
            "rules.toml:8: another tier has the threshold 500",
        ),
        (
            tier("").replace("500", "1_000_000_001"),
            "rules.toml:6: `threshold` is 1000000001; allowed are whole numbers from 1 to 1000000000",
        ),
        (
            program("budget = { rewards = 1, per = \"1d\" }"),
            "rules.toml:4: `agents` is missing in `budget`: how many agents share it; each is held to its part",
        ),
    ] {
        assert_eq!(errors(&text), [expected]);
    }
    assert_eq!(programs(&tier("").replace("500", "1_000_000_000")).len(), 1);
    let many = |n| {
        (0..n)
            .map(|n| tier("").replace("\"p\"", &format!("\"p{n}\"")))
            .collect::<String>()
    };
    assert_eq!(programs(&many(16)).len(), 16);
    assert_eq!(
        errors(&many(17)),
        ["rules.toml:1: there are 17 of `[[program]]`; allowed are 16"]
    );
}

#[test]
fn s3_04_a_limit_no_reward_fits_in_needs_somebody_to_approve() {
    let share = |points: u32, approval: &str| {
        program(&format!(
            "approval = \"{approval}\"\nbudget = {{ points = {points}, per = \"30d\", agents = 10 }}"
        ))
    };
    assert_eq!(programs(&share(5_000, "none")).len(), 1);
    assert_eq!(programs(&share(4_999, "over_cap")).len(), 1);
    assert_eq!(
        errors(&share(4_999, "none")),
        [
            "rules.toml:1: tier `t` of program `p` can never be had: an agent's part of the budget is less than one \
             reward, and `approval = \"none\"`"
        ]
    );
    let cap = |points: u32| {
        program("approval = \"none\"") + &format!("cap = {{ points = {points}, per = \"30d\" }}")
    };
    assert_eq!(programs(&cap(500)).len(), 1);
    assert_eq!(
        errors(&cap(499)),
        [
            "rules.toml:1: tier `t` of program `p` can never be had: cap is less than one reward, and \
          `approval = \"none\"`"
        ]
    );
}
