//! What an agent is told of its points and rewards (S3.03 to S3.13), what a person may decide, what a period brought.

mod common;

use aftercall_actors::{
    actor::Actor,
    agent::Agent,
    contract::{
        event::{Body, RewardDecided},
        key::Key,
        time::{EventTime, LogTime},
    },
    effect::Effect,
    rewards::{
        points::Workday,
        redemption::REVERSE,
        statement::{Earnings, Judgement, Period, Statement, Verdict},
    },
    rules::RuleSet,
};
use common::*;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

#[test]
fn s3_03_a_statement_says_what_each_workday_gave_and_adds_up() {
    let mut agent = Stage::agent();
    agent.apply(0, wfm("2026-11-18", "points", 30.0, None));
    agent.apply(0, wfm("2026-11-18", "points", 40.0, None));
    agent.apply(0, points("violation", -50));
    agent.apply(0, survey("r1", json!({ "csat": 5 })));
    let told = told(&agent, 0);
    assert_eq!(
        told,
        json!({
            "balance": 0, "available": 0, "held": 0, "debt": 0,
            "window": { "from": "2026-08-22", "to": "2026-11-20", "days": 90 },
            "days": [
                { "date": "2026-11-18", "points": 40, "earned": [{ "source": "points", "points": 40 }], "taken": 0 },
                { "date": "2026-11-20", "points": -40, "earned": [
                    { "source": "survey", "points": 10 }, { "source": "adjustment", "points": -50 },
                ], "taken": 0 },
            ],
            "programs": [{
                "name": "recognition", "enabled": false, "budget": null, "next_tier": "bronze",
                "tiers": [{
                    "name": "bronze", "threshold": 500, "reward_type": "gift_card_25", "missing": 500,
                    "stage": "open", "cap": null,
                }],
            }],
            "locks": [], "history": [],
        })
    );
}

#[test]
fn s3_03_a_workday_is_told_until_its_last_moment_in_the_window_though_no_event_comes() {
    // The last day of summer time in New York has 25 hours; with it as the window's only day before today, a
    // statement at 23:59:59.999 of the day after still has it.
    let text = enabled().text().replace("\"UTC\"", "\"America/New_York\"");
    let rules = RuleSet::parse(&text.replace("window = \"90d\"", "window = \"1d\""), "test");
    let mut agent = Stage::new(Key::Agent("a1"), rules.unwrap());
    let after = |text: &str| text.parse::<EventTime>().unwrap().0 - NOW_MS;
    let noon = after("2026-11-01T17:00:00Z");
    for (id, at) in [
        ("before", "2026-11-01T03:59:59.999Z"),
        ("first", "2026-11-01T04:00:00Z"),
        ("last", "2026-11-02T04:59:59.999Z"),
        ("after", "2026-11-02T05:00:00Z"),
    ] {
        agent.apply(noon, adjusted(id, 1, NOW_MS + after(at)));
    }
    let before = agent.encoded();
    let dates = |at: &str| {
        let told = told(&agent, after(at));
        let days = told["days"].as_array().unwrap().iter();
        let days: Vec<Value> = days
            .map(|day| json!([day["date"], day["points"]]))
            .collect();
        (
            told["balance"].clone(),
            days,
            told["window"]["from"].clone(),
        )
    };
    let (nov_1, nov_2) = (json!(["2026-11-01", 2]), json!(["2026-11-02", 1]));
    assert_eq!(
        dates("2026-11-02T04:59:59.999Z"),
        (
            json!(4),
            vec![json!(["2026-10-31", 1]), nov_1.clone(), nov_2.clone()],
            json!("2026-10-31")
        )
    );
    assert_eq!(
        dates("2026-11-02T05:00:00Z"),
        (
            json!(3),
            vec![nov_1.clone(), nov_2.clone()],
            json!("2026-11-01")
        )
    );
    assert_eq!(
        dates("2026-11-03T04:59:59.999Z"),
        (json!(3), vec![nov_1, nov_2.clone()], json!("2026-11-01"))
    );
    assert_eq!(
        dates("2026-11-03T05:00:00Z"),
        (json!(1), vec![nov_2], json!("2026-11-02"))
    );
    assert_eq!(dates("2026-11-04T05:00:00Z").0, json!(0));
    assert_eq!(agent.encoded(), before, "looking changes nothing");
}

#[test]
fn s3_04_one_point_is_missing_and_then_the_tier_is_locked_and_holds_its_points() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 499));
    let told_now = told(&agent, 0);
    let tier = |told: &Value| {
        let tier = &told["programs"][0]["tiers"][0];
        (tier["missing"].clone(), tier["stage"].clone())
    };
    assert_eq!(tier(&told_now), (json!(1), json!("open")));
    agent.apply(1_000, points("b", 501));
    let told_then = told(&agent, 2_000);
    assert_eq!(tier(&told_then), (json!(0), json!("locked")));
    assert_eq!(told_then["programs"][0]["next_tier"], Value::Null);
    assert_eq!(
        told_then["locks"],
        json!([{
            "reward_id": id(0), "program": "recognition", "tier": "bronze", "points": 500, "stage": "locked",
            "since": "2026-11-20T10:00:01.000Z",
        }])
    );
    assert_eq!(sums(&told_then), (1_000, 500, 500, 0));
    assert_eq!(told_then["days"][0]["taken"], 500);
}

#[test]
fn s3_04_of_several_tiers_the_next_is_the_lowest_that_is_not_reached() {
    let more =
        "[[program.tier]]\nname = \"gold\"\nthreshold = 900\nreward_type = \"gift_card_50\"\n";
    for (has, next, missing) in [
        (499, json!("bronze"), [1, 401]),
        (500, json!("gold"), [0, 400]),
        (899, json!("gold"), [0, 1]),
        (900, Value::Null, [0, 0]),
    ] {
        let rules = program("enabled = false\n", more);
        let mut agent = Stage::new(Key::Agent("a1"), rules);
        agent.apply(0, points("a", has));
        let told = told(&agent, 0);
        let program = &told["programs"][0];
        assert_eq!(program["next_tier"], next, "{has}");
        let tiers = program["tiers"].as_array().unwrap().iter();
        let found: Vec<&Value> = tiers.map(|tier| &tier["missing"]).collect();
        assert_eq!(
            found,
            missing
                .iter()
                .map(|n| json!(n))
                .collect::<Vec<_>>()
                .iter()
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn s3_04_what_a_cap_and_a_budget_leave_comes_back_when_the_period_ends() {
    let rules = program(
        "budget = { points = 2_000, per = \"2d\", agents = 1 }\n",
        "cap = { rewards = 2, per = \"1d\" }\n",
    );
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    let left = |agent: &Stage, after_ms| {
        let told = told(agent, after_ms);
        let program = &told["programs"][0];
        (
            program["budget"].clone(),
            program["tiers"][0]["cap"].clone(),
        )
    };
    let budget =
        |left| json!({ "unit": "points", "most": 2_000, "left": left, "period_s": 172_800 });
    let cap = |left| json!({ "unit": "rewards", "most": 2, "left": left, "period_s": 86_400 });
    assert_eq!(left(&agent, 0), (budget(2_000), cap(2)));
    agent.apply(0, points("a", 500));
    assert_eq!(left(&agent, 0), (budget(1_500), cap(1)));
    agent.apply(1, reward_outcome(&id(0), "issued"));
    assert_eq!(left(&agent, DAY_MS - 1), (budget(1_500), cap(1)));
    assert_eq!(left(&agent, DAY_MS), (budget(1_500), cap(2)));
    assert_eq!(left(&agent, 2 * DAY_MS), (budget(2_000), cap(2)));
}

#[test]
fn s3_08_a_claim_in_review_holds_its_points_and_a_rejected_one_does_not() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    agent.apply(1, reward_outcome(&id(0), "needs_review"));
    let told_then = told(&agent, 1);
    assert_eq!(told_then["locks"][0]["stage"], "needs_review");
    assert_eq!(sums(&told_then), (500, 0, 500, 0));
    agent.apply(2, decided(&id(0), "reject"));
    let told_then = told(&agent, 2);
    assert_eq!(told_then["locks"][0]["stage"], "rejected");
    assert_eq!(sums(&told_then), (500, 500, 0, 0));
}

#[test]
fn s3_12_history_says_what_became_of_each_reward_and_a_debt_is_told_and_paid_first() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 1_000));
    agent.apply(1, reward_outcome(&id(0), "issued"));
    agent.apply(2, reward_outcome(&id(1), "issued"));
    let standings = |agent: &Stage| {
        let told = told(agent, 9);
        let history = told["history"].as_array().unwrap().iter();
        let all = history.map(|one| (one["reward_id"].clone(), one["standing"].clone()));
        all.collect::<Vec<_>>()
    };
    let (first, second) = (json!(id(0)), json!(id(1)));
    let both =
        |one: &str, other: &str| vec![(second.clone(), json!(one)), (first.clone(), json!(other))];
    assert_eq!(standings(&agent), both("issued", "issued"));
    agent.apply(3, points("b", -30));
    assert_eq!(standings(&agent), both("reversing", "issued"));
    agent.apply(
        4,
        reward_outcome(&format!("{}{REVERSE}", id(1)), "needs_review"),
    );
    assert_eq!(standings(&agent), both("needs_review", "issued"));
    agent.apply(5, decided(&format!("{}{REVERSE}", id(1)), "reject"));
    assert_eq!(standings(&agent), both("debt", "issued"));
    let told_then = told(&agent, 9);
    assert_eq!(sums(&told_then), (-30, 0, 0, 30));
    assert_eq!(told_then["programs"][0]["tiers"][0]["missing"], 530);
    assert_eq!(
        told_then["history"][1]["issued_at"],
        "2026-11-20T10:00:00.001Z"
    );
    agent.apply(6, points("c", 31));
    assert_eq!(sums(&told(&agent, 9)), (1, 1, 0, 0));
}

#[test]
fn s3_08_s3_12_only_what_waits_takes_a_decision_and_the_rest_is_named() {
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    let reverse = format!("{}{REVERSE}", id(0));
    assert_eq!(judged(&agent, &id(0), "approve"), None);
    agent.apply(0, points("a", 500));
    both(&agent, &id(0), "awaiting", [Verdict::Taken, Verdict::Taken]);
    both(&agent, &reverse, "awaiting", NOT_WAITING);
    assert_eq!(judged(&agent, &id(1), "approve"), None);
    agent.apply(1, decided(&id(0), "approve"));
    both(&agent, &id(0), "locked", NOT_WAITING);
    agent.apply(2, reward_outcome(&id(0), "needs_review"));
    both(
        &agent,
        &id(0),
        "needs_review",
        [Verdict::Taken, Verdict::Taken],
    );
    both(&agent, &reverse, "needs_review", NOT_WAITING);
    agent.apply(3, reward_outcome(&id(0), "issued"));
    both(&agent, &id(0), "issued", NOT_WAITING);
    both(&agent, &reverse, "issued", NOT_WAITING);
    agent.apply(4, points("b", -1));
    both(&agent, &reverse, "reversing", NOT_WAITING);
    agent.apply(5, reward_outcome(&reverse, "needs_review"));
    both(
        &agent,
        &reverse,
        "reversal_needs_review",
        [Verdict::Taken, Verdict::Taken],
    );
    let mut other = Stage::new(agent.key, agent.rules.clone());
    other.actor = agent.actor.clone();
    other.apply(6, decided(&reverse, "reject"));
    both(&other, &reverse, "debt", NOT_WAITING);
    agent.apply(6, decided(&reverse, "approve"));
    both(&agent, &reverse, "reversed", NOT_WAITING);
    // The next one, declined: it can be asked for again, once more declined it cannot.
    agent.apply(7, points("c", 1));
    both(&agent, &id(1), "awaiting", [Verdict::Taken, Verdict::Taken]);
    agent.apply(8, decided(&id(1), "reject"));
    both(
        &agent,
        &id(1),
        "rejected",
        [Verdict::Taken, Verdict::NotWaiting],
    );
    agent.apply(9, decided(&id(1), "approve"));
    both(&agent, &id(1), "past", NOT_WAITING);
    both(&agent, &id(2), "awaiting", [Verdict::Taken, Verdict::Taken]);
}

#[test]
fn s3_04_a_stopped_program_takes_no_approval_and_a_claim_without_its_points_none_at_all() {
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    agent.apply(0, points("a", 500));
    let mut stopped = Stage::new(agent.key, program("enabled = false\n", ""));
    stopped.actor = agent.actor.clone();
    both(
        &stopped,
        &id(0),
        "awaiting",
        [Verdict::Stopped, Verdict::Taken],
    );
    // Gone from the rules, it is stopped too.
    stopped.rules = rules_with("\"recognition\"", "\"another\"");
    both(
        &stopped,
        &id(0),
        "awaiting",
        [Verdict::Stopped, Verdict::Taken],
    );
    stopped.apply(1, decided(&id(0), "reject"));
    both(
        &stopped,
        &id(0),
        "rejected",
        [Verdict::Stopped, Verdict::NotWaiting],
    );
    // What made up for a loss leaves with its workday, and nothing has happened since.
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    agent.apply(0, wfm("2026-08-22", "points", 560.0, None));
    agent.apply(0, points("loss", -60));
    let verdict = |after_ms| {
        let judged =
            ["approve", "reject"].map(|decision| judged_at(&agent, after_ms, &id(0), decision));
        judged.map(|judged| judged.map(|judged| judged.verdict))
    };
    let midnight = 14 * HOUR_MS;
    assert_eq!(verdict(midnight - 1), [Some(Verdict::Taken); 2]);
    assert_eq!(verdict(midnight), [Some(Verdict::Uncovered); 2]);
}

#[test]
fn s3_13_a_period_counts_what_its_workdays_gave_and_the_rewards_issued_on_them() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let mut agent = rewarded();
    agent.apply(0, wfm("2026-11-18", "points", 300.0, None));
    agent.apply(0, wfm("2026-11-19", "points", 250.0, None));
    let midnight = "2026-11-21T05:00:00Z".parse::<EventTime>().unwrap().0 - NOW_MS;
    agent.apply(midnight - 1, reward_outcome(&id(0), "issued"));
    let earned = |agent: &Stage, from: &str, to: &str, program: Option<&str>| {
        let day = |text: &str| Workday::from_date(text.parse().unwrap());
        let period = Period {
            from: day(from),
            to: day(to),
            program: program.map(str::to_owned),
        };
        agent_of(agent).earnings(&period, &zone)
    };
    let of = |points, rewards| {
        let redeemed = 500 * i64::from(rewards);
        Some(Earnings {
            points,
            rewards,
            redeemed,
        })
    };
    let first = ("2026-11-18", "2026-11-19");
    assert_eq!(earned(&agent, first.0, first.1, None), of(550, 0));
    assert_eq!(earned(&agent, "2026-11-19", "2026-11-20", None), of(250, 1));
    assert_eq!(
        earned(&agent, "2026-11-20", "2026-11-20", Some("recognition")),
        of(0, 1)
    );
    assert_eq!(
        earned(&agent, "2026-11-20", "2026-11-20", Some("another")),
        None
    );
    assert_eq!(earned(&agent, "2026-11-21", "2026-11-21", None), None);
    // One moment later it is the next day's, there; taken back, it is nobody's.
    agent.apply(midnight, points("b", 450));
    agent.apply(midnight, reward_outcome(&id(1), "issued"));
    assert_eq!(earned(&agent, "2026-11-21", "2026-11-21", None), of(0, 1));
    agent.apply(midnight, points("c", -1));
    agent.apply(
        midnight,
        reward_outcome(&format!("{}{REVERSE}", id(1)), "reversed"),
    );
    assert_eq!(earned(&agent, "2026-11-21", "2026-11-21", None), None);
    assert_eq!(earned(&agent, "2026-11-20", "2026-11-20", None), of(449, 1));
}

#[test]
fn s3_03_an_agent_never_seen_has_nothing_and_the_programs_are_told_all_the_same() {
    let rules = enabled();
    let told = Agent::default().statement("nobody", LogTime(NOW_MS), rules.settings());
    let told = serde_json::to_value(&told).unwrap();
    assert_eq!(sums(&told), (0, 0, 0, 0));
    assert_eq!(told["programs"][0]["tiers"][0]["missing"], 500);
    assert_eq!((&told["days"], &told["locks"]), (&json!([]), &json!([])));
}

const NOT_WAITING: [Verdict; 2] = [Verdict::NotWaiting, Verdict::NotWaiting];

/// What approving and rejecting would do; and that the actor does just that.
fn both(agent: &Stage, reward: &str, state: &str, verdicts: [Verdict; 2]) {
    for (decision, verdict) in ["approve", "reject"].into_iter().zip(verdicts) {
        let found = judged(agent, reward, decision).expect(reward);
        let expected = (state, verdict);
        assert_eq!((found.state.name(), found.verdict), expected, "{decision}");
        let mut actor = Stage::new(agent.key, agent.rules.clone());
        actor.actor = agent.actor.clone();
        let effects = actor.apply(100, decided(reward, decision));
        let ignored = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ignore(_)));
        if verdict == Verdict::Taken {
            assert!(!ignored, "{effects:?}");
            assert_ne!(actor.encoded(), agent.encoded(), "{reward} {decision}");
        }
    }
}

fn judged(agent: &Stage, reward: &str, decision: &str) -> Option<Judgement> {
    judged_at(agent, 100, reward, decision)
}

fn judged_at(agent: &Stage, after_ms: i64, reward: &str, decision: &str) -> Option<Judgement> {
    let now = LogTime(NOW_MS + after_ms);
    agent_of(agent).judge(now, &agent.rules, &decision_of(reward, decision))
}

fn decision_of(reward: &str, decision: &str) -> RewardDecided {
    match decided(reward, decision) {
        Body::RewardDecided(decided) => decided,
        other => panic!("{other:?}"),
    }
}

fn agent_of(stage: &Stage) -> &Agent {
    match &stage.actor {
        Actor::Agent(agent) => agent,
        Actor::Customer(_) => panic!("a customer has no points"),
    }
}

fn statement(stage: &Stage, after_ms: i64) -> Statement {
    let now = LogTime(NOW_MS + after_ms);
    agent_of(stage).statement("a1", now, stage.rules.settings())
}

fn told(stage: &Stage, after_ms: i64) -> Value {
    serde_json::to_value(statement(stage, after_ms)).unwrap()
}

/// Balance, available, held and debt.
fn sums(told: &Value) -> (i64, i64, i64, i64) {
    let of = |name: &str| told[name].as_i64().unwrap();
    (of("balance"), of("available"), of("held"), of("debt"))
}

fn points(id: &str, points: i32) -> Body {
    adjusted(id, points, NOW_MS)
}
