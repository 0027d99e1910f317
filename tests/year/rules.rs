//! The rules of this centre, once as the product reads them and once as the spreadsheet has them. They are written down
//! twice on purpose.

use aftercall_actors::{rewards::redemption::reward_id, rules::RuleSet};

use crate::{
    calendar::{City, DAY_MS, Day, Zone},
    plan::Plan,
    spreadsheet::{Terms, Tier},
};

const PROGRAM: &str = "recognition";

/// Numbers that both have.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    pub city: City,
    pub window_days: i64,
    pub bronze: i64,
    pub silver: i64,
    pub bronze_cap: usize,
    pub cap_days: i64,
}

/// Workdays of a year that lies behind which are too old when it is told.
const TOO_OLD: i64 = 35;

/// For a year that lies behind when it is told, however long ago it ended: the window begins in its sixth week.
pub fn at_once(plan: &Plan, city: City, today: Day) -> Numbers {
    Numbers {
        city,
        window_days: today - (plan.first() + TOO_OLD),
        bronze: 500,
        silver: 1_000,
        bronze_cap: 3,
        cap_days: 365,
    }
}

/// For a year that passes: workdays leave and limits end within it.
pub const PASSING: Numbers = Numbers {
    city: City::Berlin,
    window_days: 90,
    bronze: 350,
    silver: 700,
    bronze_cap: 2,
    cap_days: 120,
};

pub fn text(numbers: &Numbers) -> String {
    let Numbers {
        city,
        window_days,
        bronze,
        silver,
        bronze_cap,
        cap_days,
    } = numbers;
    let zone = city.zone_name();
    format!(
        r#"
[business_unit]
time_zone = "{zone}"

[points]
window = "{window_days}d"

[[program]]
name = "{PROGRAM}"
enabled = true
approval = "over_cap"

[[program.tier]]
name = "bronze"
threshold = {bronze}
reward_type = "gift_card_25"
cap = {{ rewards = {bronze_cap}, per = "{cap_days}d" }}

[[program.tier]]
name = "silver"
threshold = {silver}
reward_type = "gift_card_50"

[[rule]]
name = "five_star"
on = "survey.response.created"
when = "event.csat == 5"
points = 10

[[rule]]
name = "csat_count"
on = "wfm.metric.recorded"
when = 'event.metric == "csat"'
points = "event.value * 10.0"

[[rule]]
name = "adherence"
on = "wfm.metric.recorded"
when = 'event.metric == "adherence" && event.value >= 0.95'
points = 5
"#
    )
}

pub fn rules(numbers: &Numbers) -> RuleSet {
    RuleSet::parse(&text(numbers), "year").expect("good rules")
}

pub fn terms(numbers: &Numbers) -> Terms {
    Terms {
        zone: Zone::In(numbers.city),
        window_days: numbers.window_days,
        tiers: vec![
            Tier {
                name: "silver",
                cost: numbers.silver,
                cap: None,
            },
            Tier {
                name: "bronze",
                cost: numbers.bronze,
                cap: Some((numbers.bronze_cap, numbers.cap_days * DAY_MS)),
            },
        ],
        points,
        name: |agent, tier, ordinal| reward_id(PROGRAM, agent, tier, ordinal),
        slip: None,
    }
}

fn points(metric: &str, value: f64) -> i64 {
    match metric {
        "csat" => 10 * value as i64,
        "adherence" if value >= 0.95 => 5,
        _ => 0,
    }
}
