//! What the book says of every way an agent's money can go, and that the books of random lives add up.

#[path = "../../actors/tests/common/mod.rs"]
mod common;
mod lives;
mod rewards;

use std::{cell::RefCell, ops::ControlFlow, rc::Rc};

use aftercall_actors::{
    actor::Actor,
    agent::Agent,
    contract::{
        event::{Body, Event},
        key::Key,
        time::LogTime,
    },
    effect::Effects,
    responses::{Share, Version},
    rewards::redemption::REVERSE,
    rules::RuleSet,
    turn::Turn,
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
            actor: Actor::new(aftercall_actors::contract::key::Side::Agent),
            rules,
            book: Book::new(None, None, sink),
            lines,
            position: 0,
        }
    }

    fn act(&mut self, after_ms: i64, body: Body) -> (Vec<Entry>, Effects) {
        self.share(after_ms, body, None)
    }

    /// As [`Self::act`], with a share of a response.
    fn share(&mut self, after_ms: i64, body: Body, share: Option<Share>) -> (Vec<Entry>, Effects) {
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
            speaker: crate::log::Speaker::Unknown,
            identity: 0,
            owner: 0,
            response: None,
            event: Ok(event.clone()),
            ahead: Vec::new(),
            original: None,
        };
        let key = Key::Agent("a1");
        let rules = &self.rules;
        let mut effects = Vec::new();
        self.book.before(key, &self.actor);
        let mut turn = Turn::new(key, now, rules, &mut effects);
        match share {
            Some(share) => self.actor.respond(&mut turn, &event, share),
            None => self.actor.apply(&mut turn, &event),
        }
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
fn s2_15_points_that_move_to_another_owner_say_whose_they_are_now() {
    let mut till = Till::new(enabled());
    till.act(0, survey("r1", json!({ "csat": 5 })));
    let version = Version {
        is_first: false,
        content: 1,
    };
    let gone = Share {
        counts: false,
        alerts: true,
        version,
    };
    let moved = survey("r1", json!({ "csat": 5, "routing": { "agent_id": "a2" } }));
    let (lines, _) = till.share(1, moved, Some(gone));
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (lines[0].kind, lines[0].points, lines[0].balance),
        (Kind::Replaced, -10, 0)
    );
    assert_eq!(lines[0].detail.as_deref(), Some("now of agent/a2"));
    let back = Share {
        counts: true,
        ..gone
    };
    let (lines, _) = till.share(2, survey("r1", json!({ "csat": 5 })), Some(back));
    assert_eq!((lines[0].kind, lines[0].points), (Kind::Earned, 10));
    assert_eq!(till.closed().accounts["a1"].earned, 10);
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
