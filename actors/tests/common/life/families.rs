//! Rule sets a life goes through: each as the text of a rule file, and as the reference has it.

use aftercall_actors::rules::RuleSet;
use jiff::tz::TimeZone;

use super::WINDOW;
use crate::{
    common::*,
    ledger::{Approval, Rules, Tier},
};

/// A rule set, and what it says.
pub struct Set {
    pub rules: RuleSet,
    /// Points for one of a metric's value.
    pub factor: i64,
    pub view: Rules,
    /// Programs that free the points of what their provider cancels.
    pub frees: Vec<&'static str>,
}

/// Rule sets that follow one another, and what they have in common.
pub struct Family {
    pub zone: TimeZone,
    pub sets: Vec<Set>,
    /// How long issued rewards are known.
    pub keep_ms: i64,
}

pub fn families() -> Vec<Family> {
    let family = |zone: &'static str, keep_days: i64, sets: Vec<Set>| Family {
        zone: TimeZone::get(zone).unwrap(),
        sets,
        keep_ms: keep_days * DAY_MS,
    };
    use Approval::{Always, None as No, OverCap};
    let two: &[(&str, i64)] = &[("b", 250), ("a", 100)];
    let one: &[(&str, i64)] = &[("a", 100)];
    let mixed = |zone| {
        let set = |factor, program, approval, tiers, cap, share| {
            set(zone, (factor, program), approval, tiers, (cap, share))
        };
        let sets = vec![
            set(1, "p", No, two, None, None),
            set(1, "p", Always, two, None, None),
            // The kill switch, and nothing at all.
            set(1, "p", No, &[], None, None),
            set(1, "", No, &[], None, None),
            set(1, "p", No, two, Some((1, 20)), None),
            set(1, "p", OverCap, two, None, Some((300, 25))),
            set(1, "p", No, two, None, Some((400, 10))),
            // Another threshold, another worth; another name, which is another program.
            set(2, "p", No, &[("b", 260), ("a", 130)], None, None),
            set(1, "q", No, one, None, None),
            freeing(zone, No, two),
        ];
        family(zone, WINDOW, sets)
    };
    let freeing = |zone, approval, tiers| {
        let set = freeing(zone, approval, tiers);
        family(zone, WINDOW, vec![set])
    };
    let alone = |zone, approval, tiers| {
        let set = set(zone, (1, "p"), approval, tiers, (None, None));
        family(zone, WINDOW, vec![set])
    };
    // Longer than the window: what was issued is remembered longer than it may be taken back.
    let long = ["p", "p"].map(|p| (p, Some((1, 45))));
    let capped = long
        .iter()
        .zip([No, OverCap])
        .map(|((program, cap), approval)| set("UTC", (1, program), approval, one, (*cap, None)));
    let capped: Vec<Set> = capped.collect();
    vec![
        mixed("UTC"),
        mixed("America/Santiago"),
        family("UTC", 45, capped),
        alone("UTC", No, one),
        alone("UTC", No, two),
        alone("Asia/Beirut", Always, one),
        freeing("UTC", No, two),
        freeing("UTC", OverCap, one),
    ]
}

/// One program, which frees the points of what its provider cancels.
fn freeing(zone: &str, approval: Approval, tiers: &[(&'static str, i64)]) -> Set {
    let (mut text, set) = written(zone, (1, "p"), approval, tiers, (None, None));
    text = text.replacen("enabled", "on_cancelled = \"free\"\nenabled", 1);
    Set {
        rules: RuleSet::parse(&text, "test").unwrap(),
        frees: vec!["p"],
        ..set
    }
}

/// A cap: so many rewards in so many days.
type Count = Option<(usize, i64)>;

/// An agent's share of a budget: so many points in so many days.
type Sum = Option<(i64, i64)>;

/// Without tiers the program is switched off, and without a name there is none.
fn set(
    zone: &str,
    (factor, program): (i64, &'static str),
    approval: Approval,
    tiers: &[(&'static str, i64)],
    (cap, share): (Count, Sum),
) -> Set {
    written(zone, (factor, program), approval, tiers, (cap, share)).1
}

fn written(
    zone: &str,
    (factor, program): (i64, &'static str),
    approval: Approval,
    tiers: &[(&'static str, i64)],
    (cap, share): (Count, Sum),
) -> (String, Set) {
    let mut text = format!(
        "[business_unit]\ntime_zone = \"{zone}\"\n[points]\nwindow = \"{WINDOW}d\"\n\
         [[rule]]\nname = \"points\"\non = \"wfm.metric.recorded\"\nwhen = \"true\"\n\
         points = \"event.value * {factor}.0\"\n[[rule]]\nname = \"stars\"\n\
         on = \"survey.response.created\"\nwhen = \"event.csat == 5\"\npoints = 10\n"
    );
    if !program.is_empty() {
        let approval = match approval {
            Approval::None => "none",
            Approval::OverCap => "over_cap",
            Approval::Always => "always",
        };
        let enabled = !tiers.is_empty();
        text += &format!(
            "[[program]]\nname = \"{program}\"\nenabled = {enabled}\napproval = \"{approval}\"\n"
        );
        if let Some((points, days)) = share {
            text += &format!("budget = {{ points = {points}, per = \"{days}d\", agents = 1 }}\n");
        }
        let shown: &[(&str, i64)] = if enabled { tiers } else { &[("a", 100)] };
        for (name, cost) in shown {
            text += &format!(
                "[[program.tier]]\nname = \"{name}\"\nthreshold = {cost}\nreward_type = \"x\"\n"
            );
            if let Some((rewards, days)) = cap {
                text += &format!("cap = {{ rewards = {rewards}, per = \"{days}d\" }}\n");
            }
        }
    }
    let tier = |(name, cost): &(&'static str, i64)| Tier {
        program,
        name,
        cost: *cost,
        cap: cap.map(|(rewards, days)| (rewards, days * DAY_MS)),
    };
    let set = Set {
        rules: RuleSet::parse(&text, "test").unwrap(),
        factor,
        frees: Vec::new(),
        view: Rules {
            approval,
            tiers: tiers.iter().map(tier).collect(),
            share: share.map(|(points, days)| (points, days * DAY_MS)),
        },
    };
    (text, set)
}
