//! What the book says of every way an agent's money can go, and that the books of random lives add up.

#[path = "../../actors/tests/common/mod.rs"]
mod common;
mod lives;

use std::{cell::RefCell, ops::ControlFlow, rc::Rc};

use aftercall_actors::{
    actor::{Actor, Context},
    agent::Agent,
    effect::Effects,
    event::{Body, Event},
    key::Key,
    redemption::REVERSE,
    rules::RuleSet,
    time::LogTime,
};
use serde_json::json;

use self::common::{
    DAY_MS, HOUR_MS, NOW_MS, adjusted, decided, enabled, enps, id, program, reward_outcome,
    rules_and, started, survey, wfm,
};
use super::{Balance, Books, Entry, Kind, book::Book};
use crate::shard::{
    batch,
    witness::{Step, Witness as _},
};

type Sink = Box<dyn FnMut(Entry) -> ControlFlow<()>>;

/// One agent whose every step is looked on at.
struct Till {
    actor: Actor,
    rules: RuleSet,
    book: Book<'static, Sink>,
    lines: Rc<RefCell<Vec<Entry>>>,
    position: u64,
}

impl Till {
    fn new(rules: RuleSet) -> Self {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let into = Rc::clone(&lines);
        let sink: Sink = Box::new(move |entry| {
            into.borrow_mut().push(entry);
            ControlFlow::Continue(())
        });
        Self {
            actor: Actor::new(aftercall_actors::key::Side::Agent),
            rules,
            book: Book::new(None, None, sink),
            lines,
            position: 0,
        }
    }

    fn act(&mut self, after_ms: i64, body: Body) -> (Vec<Entry>, Effects) {
        self.position += 1;
        let now = LogTime(NOW_MS + after_ms);
        let event = Event {
            source: "/test".into(),
            id: format!("e{}", self.position).into(),
            body,
        };
        let entry = batch::Entry {
            position: self.position,
            time: now,
            identity: 0,
            event: Ok(event.clone()),
            original: None,
        };
        let key = Key::Agent("a1");
        let rules = &self.rules;
        let mut effects = Vec::new();
        self.book.before(key, &self.actor);
        let context = Context { now, rules };
        self.actor.apply(key, &context, &event, &mut effects);
        self.book.after(&Step {
            entry: &entry,
            event: Some(&event),
            now,
            rules,
            key,
            actor: &self.actor,
            effects: &effects,
        });
        assert!(self.book.passed(self.position).is_continue());
        (self.lines.take(), effects)
    }

    /// Kind, points, and available, held and debt after it.
    fn told(&mut self, after_ms: i64, body: Body) -> Vec<Line> {
        let (lines, _) = self.act(after_ms, body);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line.position, self.position);
            assert_eq!(line.line as usize, number);
            assert_eq!(line.time, LogTime(NOW_MS + after_ms));
            assert_eq!(line.balance, line.available + line.held - line.debt);
            assert_eq!(line.cause_id, format!("e{}", self.position));
            assert_eq!(line.rules, self.rules.version());
        }
        let told = |line: &Entry| (line.kind, line.points, line.available, line.held, line.debt);
        lines.iter().map(told).collect()
    }

    fn agent(&self) -> &Agent {
        match &self.actor {
            Actor::Agent(agent) => agent,
            Actor::Customer(_) => panic!("an agent"),
        }
    }

    /// The books, which add up.
    fn closed(self) -> Books {
        let found = Balance::of(self.agent());
        let books = self.book.finish();
        assert_eq!(books.differences, []);
        assert_eq!(books.differences_total, 0);
        for account in books.accounts.values() {
            assert!(account.adds_up(), "{account:?}");
            assert_eq!(account.balance, found);
        }
        books
    }
}

type Line = (Kind, i64, i64, i64, i64);

fn taken(id: &str, points: i32) -> Body {
    adjusted(id, -points, NOW_MS)
}

fn reverse(ordinal: u32) -> Body {
    reward_outcome(&format!("{}{REVERSE}", id(ordinal)), "reversed")
}

fn reversal(ordinal: u32, word: &str) -> Body {
    reward_outcome(&format!("{}{REVERSE}", id(ordinal)), word)
}

/// One reward issued, and nothing left.
fn issued() -> Till {
    let mut till = Till::new(enabled());
    let told = till.told(0, taken("grant", -500));
    assert_eq!(
        told,
        [
            (Kind::Adjusted, 500, 500, 0, 0),
            (Kind::Claimed, 0, 0, 500, 0),
            (Kind::Requested, 0, 0, 500, 0),
        ]
    );
    let told = till.told(1, reward_outcome(&id(0), "issued"));
    assert_eq!(told, [(Kind::Issued, -500, 0, 0, 0)]);
    till
}

#[test]
fn s3_14_what_sources_give_is_earned_once_and_then_replaced_by_the_difference() {
    let eight = "[[rule]]\nname = \"eight\"\non = \"enps.response.submitted\"\nwhen = \"event.score == 8\"\npoints = 3\n";
    let mut till = Till::new(rules_and(eight));
    let (lines, _) = till.act(0, wfm("2026-11-19", "points", 40.0, None));
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (line.kind, line.points, line.balance),
        (Kind::Earned, 40, 40)
    );
    assert_eq!(line.source.as_deref(), Some("points"));
    assert_eq!(line.workday.unwrap().0.to_string(), "2026-11-19");
    assert_eq!((line.program.as_ref(), line.detail.as_ref()), (None, None));

    let row = |points| wfm("2026-11-19", "points", points, None);
    assert_eq!(till.told(1, row(25.0)), [(Kind::Replaced, -15, 25, 0, 0)]);
    assert_eq!(till.told(2, row(25.0)), [], "no points, no line");
    assert_eq!(till.told(3, row(0.0)), [(Kind::Replaced, -25, 0, 0, 0)]);
    assert_eq!(till.told(4, row(7.0)), [(Kind::Replaced, 7, 7, 0, 0)]);
    assert_eq!(till.told(5, wfm("2026-11-19", "unknown", 9.0, None)), []);
    assert_eq!(
        till.told(6, wfm("2026-08-21", "points", 9.0, None)),
        [],
        "too old"
    );

    let answer =
        |revision: u32, csat: u8| survey("r1", json!({"revision": revision, "csat": csat}));
    let (lines, _) = till.act(7, answer(0, 5));
    assert_eq!(lines[0].source.as_deref(), Some("survey"));
    assert_eq!(
        (lines[0].kind, lines[0].balance, lines.len()),
        (Kind::Earned, 17, 1)
    );
    assert_eq!(till.told(8, answer(0, 5)), [], "the same again");
    assert_eq!(till.told(9, answer(1, 1)), [(Kind::Replaced, -10, 7, 0, 0)]);
    assert_eq!(
        till.told(10, enps("n1", 8, 0)),
        [(Kind::Earned, 3, 10, 0, 0)]
    );
    assert_eq!(till.told(11, started("i1")), [], "nothing of money");
    let books = till.closed();
    assert_eq!((books.accounts["a1"].earned, books.lines), (10, 7));
}

#[test]
fn s3_14_an_adjustment_says_its_kind_and_reason() {
    let mut till = Till::new(enabled());
    let (lines, _) = till.act(0, taken("x", 30));
    assert_eq!(
        (lines[0].kind, lines[0].points, lines.len()),
        (Kind::Adjusted, -30, 1)
    );
    assert_eq!(lines[0].detail.as_deref(), Some("correction: test"));
    assert_eq!(lines[0].source.as_deref(), Some("adjustment"));
    assert_eq!(till.told(1, taken("x", 30)), [], "the same again");
    assert_eq!(till.told(2, taken("y", 0)), []);
    till.closed();
}

#[test]
fn s3_03_s3_14_a_workday_expires_a_tick_after_its_end_plus_the_window_with_what_it_holds() {
    let mut till = Till::new(enabled());
    till.told(0, wfm("2026-08-22", "points", 50.0, None));
    till.told(1, wfm("2026-08-23", "points", 5.0, None));
    till.told(2, adjusted("x", -40, NOW_MS - 90 * DAY_MS));
    let midnight = 14 * HOUR_MS;
    assert_eq!(till.told(midnight - 1, taken("last", 0)), []);
    let (lines, _) = till.act(midnight, taken("first", 0));
    assert_eq!(
        (lines[0].kind, lines[0].points, lines.len()),
        (Kind::Expired, -10, 1)
    );
    assert_eq!(lines[0].workday.unwrap().0.to_string(), "2026-08-22");
    assert_eq!(lines[0].source, None);
    let account = till.closed().accounts["a1"].clone();
    assert_eq!(
        (account.earned, account.expired, account.balance.available),
        (15, 10, 5)
    );
}

#[test]
fn s3_13_s3_14_points_that_a_claim_holds_do_not_expire_and_a_loss_that_expires_is_no_loss() {
    let mut till = Till::new(enabled());
    till.told(0, wfm("2026-08-22", "points", 510.0, None));
    let midnight = 14 * HOUR_MS;
    assert_eq!(
        till.told(midnight, taken("x", 0)),
        [(Kind::Expired, -10, 0, 500, 0)]
    );
    // Back on a day that counts, for a day more.
    assert_eq!(
        till.told(midnight + 1, reward_outcome(&id(0), "rejected")),
        [(Kind::Rejected, 0, 500, 0, 0)]
    );
    assert_eq!(
        till.told(midnight + DAY_MS, taken("y", 0)),
        [(Kind::Expired, -500, 0, 0, 0)]
    );
    till.told(midnight + DAY_MS, adjusted("z", -30, NOW_MS + midnight));
    assert_eq!(
        till.told(midnight + 93 * DAY_MS, taken("w", 0)),
        [(Kind::Expired, 30, 0, 0, 0)]
    );
    till.closed();
}

#[test]
fn s3_04_s3_14_a_claim_is_held_from_the_threshold_on_and_names_its_reward() {
    let mut till = Till::new(enabled());
    assert_eq!(
        till.told(0, taken("grant", -499)),
        [(Kind::Adjusted, 499, 499, 0, 0)]
    );
    let (lines, _) = till.act(1, taken("one", -1));
    let kinds: Vec<Kind> = lines.iter().map(|line| line.kind).collect();
    assert_eq!(kinds, [Kind::Adjusted, Kind::Claimed, Kind::Requested]);
    let named = |line: &Entry| [&line.program, &line.tier, &line.reward_id].map(Clone::clone);
    assert_eq!(named(&lines[0]), [None, None, None]);
    for line in &lines[1..] {
        let expected = ["recognition", "bronze", &id(0)].map(|text| Some(text.to_owned()));
        assert_eq!(named(line), expected);
    }
    assert_eq!(lines[1].detail.as_deref(), Some("gift_card_25"));
    // The next one is claimed in the step that frees the tier.
    till.told(2, taken("more", -600));
    assert_eq!(
        till.told(3, reward_outcome(&id(0), "issued")),
        [
            (Kind::Issued, -500, 600, 0, 0),
            (Kind::Claimed, 0, 100, 500, 0),
            (Kind::Requested, 0, 100, 500, 0),
        ]
    );
    assert_eq!(till.closed().accounts["a1"].consumed, 500);
}

#[test]
fn s3_07_s3_08_s3_14_what_a_provider_answers_is_kept_with_what_it_led_to() {
    let outcome = |status: &str| {
        let data = json!({
            "output_id": id(0), "subject": "agent/a1", "status": status,
            "response": {"status": "OUT_OF_STOCK"},
        });
        let outcome = serde_json::from_value(data).unwrap();
        Body::Outcome(aftercall_actors::event::OutcomeKind::Reward, outcome)
    };
    let locked = || {
        let mut till = Till::new(enabled());
        till.told(0, taken("grant", -500));
        till
    };
    for (status, kind, held) in [
        ("rejected", Kind::Rejected, 0),
        ("needs_review", Kind::NeedsReview, 500),
        ("issued", Kind::Issued, 0),
    ] {
        let mut till = locked();
        let (lines, _) = till.act(1, outcome(status));
        assert_eq!((lines[0].kind, lines[0].held, lines.len()), (kind, held, 1));
        let said = format!("{status} {{\"status\":\"OUT_OF_STOCK\"}}");
        assert_eq!(lines[0].detail.as_deref(), Some(said.as_str()));
        assert_eq!(lines[0].reward_id, Some(id(0)));
        assert_eq!(till.told(2, outcome("needs_review")), [], "too late");
        till.closed();
    }
    // Rejected, and given all the same: its points are free by then.
    let mut till = locked();
    till.told(1, outcome("rejected"));
    assert_eq!(
        till.told(2, outcome("issued")),
        [(Kind::Issued, -500, 0, 0, 0)]
    );
    assert_eq!(till.closed().accounts["a1"].consumed, 500);
}

#[test]
fn s3_14_what_a_person_decides_is_said_before_what_it_leads_to() {
    let review = || {
        let mut till = Till::new(enabled());
        till.told(0, taken("grant", -500));
        till.told(1, reward_outcome(&id(0), "needs_review"));
        till
    };
    let mut till = review();
    let (lines, _) = till.act(2, decided(&id(0), "approve"));
    assert_eq!(lines[0].detail.as_deref(), Some("by admin"));
    let kinds: Vec<_> = lines.iter().map(|line| (line.kind, line.points)).collect();
    assert_eq!(kinds, [(Kind::Approved, 0), (Kind::Issued, -500)]);
    till.closed();

    let mut till = review();
    let (lines, _) = till.act(2, decided(&id(0), "reject"));
    assert_eq!((lines[0].kind, lines[0].available), (Kind::Declined, 500));
    assert_eq!(lines[0].detail.as_deref(), Some("by admin"));
    // Asked for again, because a person says so.
    assert_eq!(
        till.told(3, decided(&id(0), "approve")),
        [
            (Kind::Approved, 0, 500, 0, 0),
            (Kind::Claimed, 0, 0, 500, 0),
            (Kind::Requested, 0, 0, 500, 0),
        ]
    );
    till.closed();
}

#[test]
fn s3_04_s3_14_a_claim_waits_for_a_person_and_is_withdrawn_when_its_points_go() {
    let awaiting = || {
        let mut till = Till::new(program("approval = \"always\"\n", ""));
        assert_eq!(
            till.told(0, taken("grant", -500)),
            [
                (Kind::Adjusted, 500, 500, 0, 0),
                (Kind::Claimed, 0, 0, 500, 0),
                (Kind::Awaiting, 0, 0, 500, 0),
            ]
        );
        till
    };
    let mut till = awaiting();
    assert_eq!(
        till.told(1, decided(&id(0), "approve")),
        [
            (Kind::Approved, 0, 0, 500, 0),
            (Kind::Requested, 0, 0, 500, 0)
        ]
    );
    till.closed();

    let mut till = awaiting();
    assert_eq!(
        till.told(1, decided(&id(0), "reject")),
        [(Kind::Declined, 0, 500, 0, 0)]
    );
    till.closed();

    let mut till = awaiting();
    assert_eq!(
        till.told(1, taken("x", 1)),
        [
            (Kind::Adjusted, -1, -1, 500, 0),
            (Kind::Withdrawn, 0, 499, 0, 0)
        ]
    );
    till.closed();

    // Gone with their workday: noticed before the decision, which then finds nothing to approve.
    let mut till = Till::new(program("approval = \"always\"\n", ""));
    till.told(0, wfm("2026-11-19", "points", 500.0, None));
    till.told(1, wfm("2026-08-22", "points", 20.0, None));
    till.told(2, taken("x", 20));
    assert_eq!(
        till.told(14 * HOUR_MS, decided(&id(0), "approve")),
        [
            (Kind::Expired, -20, -20, 500, 0),
            (Kind::Withdrawn, 0, 480, 0, 0)
        ]
    );
    till.closed();
}

#[test]
fn s3_12_s3_14_a_reward_is_asked_back_below_zero_and_its_points_return() {
    let mut till = issued();
    till.told(2, taken("ten", -10));
    assert_eq!(
        till.told(3, taken("x", 10)),
        [(Kind::Adjusted, -10, 0, 0, 0)]
    );
    assert_eq!(
        till.told(4, taken("y", 1)),
        [
            (Kind::Adjusted, -1, -1, 0, 0),
            (Kind::ReversalRequested, 0, -1, 0, 0)
        ]
    );
    assert_eq!(till.told(5, reverse(0)), [(Kind::Reversed, 500, 499, 0, 0)]);
    assert_eq!(till.told(6, reverse(0)), [], "too late");
    let account = till.closed().accounts["a1"].clone();
    assert_eq!((account.earned, account.consumed), (499, 0));

    // Missing while it was locked: asked back in the step that issues it.
    let mut till = Till::new(enabled());
    till.told(0, taken("grant", -500));
    till.told(1, taken("x", 1));
    assert_eq!(
        till.told(2, reward_outcome(&id(0), "issued")),
        [
            (Kind::Issued, -500, -1, 0, 0),
            (Kind::ReversalRequested, 0, -1, 0, 0)
        ]
    );
    till.closed();
}

#[test]
fn s3_12_s3_14_a_refusal_becomes_a_debt_and_later_points_pay_it() {
    let mut till = issued();
    till.told(2, taken("x", 30));
    assert_eq!(
        till.told(3, reversal(0, "rejected")),
        [(Kind::ReversalRefused, 0, 0, 0, 30)]
    );
    assert_eq!(
        till.told(4, taken("a", -29)),
        [
            (Kind::Adjusted, 29, 29, 0, 30),
            (Kind::DebtPaid, 0, 0, 0, 1)
        ]
    );
    assert_eq!(
        till.told(5, taken("b", -2)),
        [(Kind::Adjusted, 2, 2, 0, 1), (Kind::DebtPaid, 0, 1, 0, 0)]
    );
    // Done all the same.
    assert_eq!(
        till.told(6, reverse(0)),
        [
            (Kind::Reversed, 500, 501, 0, 0),
            (Kind::Claimed, 0, 1, 500, 0),
            (Kind::Requested, 0, 1, 500, 0),
        ]
    );
    till.closed();

    // Made up for meanwhile: refused, and nothing is owed.
    let mut till = issued();
    till.told(2, taken("x", 30));
    till.told(3, taken("more", -40));
    assert_eq!(
        till.told(4, reversal(0, "refused")),
        [(Kind::ReversalRefused, 0, 10, 0, 0)]
    );
    till.closed();
}

#[test]
fn s3_12_s3_14_a_reversal_nobody_knows_of_waits_for_a_person() {
    for (decision, expected) in [
        (
            "approve",
            [
                (Kind::Approved, 0, -30, 0, 0),
                (Kind::Reversed, 500, 470, 0, 0),
            ],
        ),
        (
            "reject",
            [
                (Kind::Declined, 0, -30, 0, 0),
                (Kind::ReversalRefused, 0, 0, 0, 30),
            ],
        ),
    ] {
        let mut till = issued();
        till.told(2, taken("x", 30));
        assert_eq!(
            till.told(3, reversal(0, "needs_review")),
            [(Kind::ReversalNeedsReview, 0, -30, 0, 0)]
        );
        assert_eq!(till.told(4, decided(&id(0), decision)), expected);
        till.closed();
    }
}

#[test]
fn s3_12_s3_14_a_reversal_is_booked_though_its_reward_is_forgotten_in_the_same_step() {
    // Remembered for the window, and for as long as it is coming back.
    let long = 200 * DAY_MS;
    for (settle, expected) in [
        (
            reverse(0),
            vec![
                (Kind::Expired, 30, 0, 0, 0),
                (Kind::Reversed, 500, 500, 0, 0),
            ],
        ),
        (
            reversal(0, "rejected"),
            vec![
                (Kind::Expired, 30, 0, 0, 0),
                (Kind::ReversalRefused, 0, 0, 0, 0),
            ],
        ),
    ] {
        let mut till = issued();
        till.told(2, taken("x", 30));
        let told = till.told(long, settle);
        assert_eq!(told[..2], expected);
        assert_eq!(till.agent().rewards().given(), []);
        till.closed();
    }
    // A debt that is forgotten, and one that is reversed after all just before it would be.
    let debtor = || {
        let mut till = issued();
        till.told(2, taken("x", 30));
        till.told(3, reversal(0, "rejected"));
        till
    };
    let mut till = debtor();
    assert_eq!(till.told(long, taken("y", 0)), []);
    assert_eq!(till.agent().rewards().given(), []);
    till.closed();
    let mut till = debtor();
    assert_eq!(
        till.told(long, reverse(0)),
        [
            (Kind::Reversed, 500, 500, 0, 30),
            (Kind::DebtPaid, 0, 470, 0, 0),
        ]
    );
    till.closed();
}

#[test]
fn s3_14_a_program_that_is_switched_off_claims_nothing_and_its_outcomes_are_booked() {
    let mut till = Till::new(enabled());
    till.told(0, taken("grant", -500));
    till.rules = common::alone();
    assert_eq!(
        till.told(1, taken("more", -700)),
        [(Kind::Adjusted, 700, 700, 500, 0)]
    );
    assert_eq!(
        till.told(2, reward_outcome(&id(0), "issued")),
        [(Kind::Issued, -500, 700, 0, 0)]
    );
    assert_eq!(
        till.told(3, taken("x", 701)),
        [
            (Kind::Adjusted, -701, -1, 0, 0),
            (Kind::ReversalRequested, 0, -1, 0, 0)
        ]
    );
    till.rules = enabled();
    assert_eq!(
        till.told(4, reverse(0)),
        [(Kind::Reversed, 500, 499, 0, 0)],
        "below the threshold"
    );
    till.closed();
}

#[test]
fn s3_14_money_that_no_line_explains_is_a_difference_once() {
    let mut till = Till::new(enabled());
    till.told(0, wfm("2026-11-19", "points", 40.0, None));
    // Memory that went wrong, or logic that does what the ledger does not know.
    till.actor = {
        let mut other = Till::new(enabled());
        other.told(0, wfm("2026-11-19", "points", 41.0, None));
        other.actor
    };
    assert_eq!(
        till.told(1, taken("x", -2)),
        [(Kind::Adjusted, 2, 42, 0, 0)]
    );
    assert_eq!(
        till.told(2, taken("y", -2)),
        [(Kind::Adjusted, 2, 45, 0, 0)]
    );
    let books = till.book.finish();
    assert_eq!(books.differences_total, 1);
    assert_eq!(
        books.differences[0].to_string(),
        "a1 at position 2: the book says 42 (available 42, held 0, debt 0), the agent has 43 (available 43, held 0, debt 0)"
    );
    assert!(books.accounts["a1"].adds_up());
}
