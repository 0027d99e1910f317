//! Questions against a table of agents, turn by turn.

use aftercall_actors::{
    contract::{
        event::{Body, Decision, Event},
        key::Side,
    },
    responses::Responses,
    rewards::{points::Workday, redemption::reward_id},
    rules::RuleSet,
    turn::Turn,
};
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::{
    log::{
        PartitionId,
        memory::{Faults, World},
    },
    shard::{
        engine::{Head, Relayed, Start},
        table::Table,
    },
};

/// 2026-11-20T10:00:00Z
const NOW: LogTime = LogTime(1_795_168_800_000);

/// The workday before.
const DAY: &str = "2026-11-19";

type Reply = oneshot::Receiver<Result<Answer, AskFault>>;

/// A partition's loop, as far as questions go.
struct Loop {
    engine: Engine,
    answering: Answering,
    ask: mpsc::Sender<Asked>,
    log: crate::log::memory::MemoryLog,
}

impl Loop {
    /// With `count` agents `a0`, `a1`, ... who have as many points as their numbers, each on `days` workdays.
    fn of(count: usize, days: i64) -> Self {
        let mut engine = engine(0);
        // Somebody whom a full snapshot forgets, in front of all others.
        engine.table.find_or_make(Key::Agent("blank"));
        for n in 0..count {
            let id = format!("a{n}");
            for back in 0..days {
                let date = Workday::from_date(DAY.parse().unwrap());
                let date = Workday(date.0 - back as i32).date().to_string();
                earn(&mut engine, Key::Agent(&id), &date, n as i64);
            }
        }
        engine.table.passivate(0);
        for index in 0..engine.table.len() {
            engine.table.take_dirty(index);
        }
        let (ask, waiting) = mpsc::channel(QUESTIONS_MAX);
        Self {
            engine,
            answering: Answering::new(waiting),
            ask,
            log: World::new(1, Faults::default()).client(),
        }
    }

    fn ask(&self, question: Question) -> Reply {
        let (reply, answer) = oneshot::channel();
        self.ask.try_send(Asked { question, reply }).unwrap();
        answer
    }

    fn turn(&mut self) {
        self.answering.step(&self.engine, &self.log);
    }

    /// Turns until the answer is there, and how many it took.
    fn answer(&mut self, mut reply: Reply) -> (Result<Answer, AskFault>, usize) {
        for turns in 1..10_000 {
            self.turn();
            if let Ok(answer) = reply.try_recv() {
                return (answer, turns);
            }
        }
        panic!("never answered");
    }

    fn ranking(&mut self, reply: Reply) -> (Ranking, usize) {
        match self.answer(reply) {
            (
                Ok(Answer {
                    found: Found::Ranking(ranking),
                    ..
                }),
                turns,
            ) => (ranking, turns),
            other => panic!("{other:?}"),
        }
    }
}

fn engine(committed: Position) -> Engine {
    let rules = RuleSet::default_rules()
        .text()
        .replace("enabled = false", "enabled = true");
    Engine::new(Start {
        partition: PartitionId {
            side: Side::Agent,
            index: 0,
        },
        table: Table::new(Side::Agent),
        responses: Responses::default(),
        rules: RuleSet::parse(&rules, "test").unwrap(),
        now: NOW,
        floor: 7,
        epoch: 1,
        owner: 0,
        head: Head::default(),
        committed,
        mark: crate::log::EventMark::default(),
        lanes: Default::default(),
        said: Default::default(),
        relayed: Relayed::default(),
        left_out: std::collections::BTreeSet::new(),
        woken: None,
    })
}

fn earn(engine: &mut Engine, key: Key<'_>, date: &str, points: i64) {
    let body = match key {
        Key::Agent(id) => Body::WfmMetric(
            serde_json::from_value(json!({
                "agent_id": id, "date": date, "metric": "points", "value": points,
            }))
            .unwrap(),
        ),
        _ => Body::SurveyResponse(
            serde_json::from_value(json!({
                "response_id": "r", "interaction_id": "i", "csat": 5, "submitted_at": NOW.0,
                "routing": { "bot_id": "b" },
            }))
            .unwrap(),
        ),
    };
    let event = Event {
        source: "/test".into(),
        id: "e".into(),
        body,
    };
    let rules = engine.rules.clone();
    let index = engine.table.find_or_make(key);
    let acted = engine.table.act(index, 1, |actor| {
        actor.apply(&mut Turn::new(key, NOW, &rules, &mut Vec::new()), &event);
    });
    acted.unwrap();
}

fn ranking(limit: usize) -> Question {
    let day = Workday::from_date(DAY.parse().unwrap());
    let period = Period {
        from: day,
        to: day,
        program: None,
    };
    Question::Ranking {
        period: Arc::new(period),
        limit,
    }
}

fn wish(agent: &str, named: bool) -> Question {
    let id = |text: &str| Id::new(text).unwrap();
    Question::Reward(Wish {
        reward_id: id(&reward_id("recognition", agent, "bronze", 0)),
        agent_id: named.then(|| id(agent)),
        decision: Decision::Approve,
        by: id("kim"),
    })
}

#[test]
fn s3_03_the_best_of_many_are_found_over_many_turns_and_none_is_left_out() {
    let mut turning = Loop::of(400, 20);
    earn(&mut turning.engine, Key::Bot("b"), DAY, 0);
    let reply = turning.ask(ranking(3));
    let (ranking, turns) = turning.ranking(reply);
    let best: Vec<_> = ranking
        .best
        .iter()
        .map(|(id, earned)| (id.as_str(), earned.points))
        .collect();
    assert_eq!(best, [("a399", 399), ("a398", 398), ("a397", 397)]);
    // The agent with nothing is not counted, nor is the bot.
    assert_eq!(ranking.agents, 399);
    let table = &turning.engine.table;
    let bytes: usize = (0..table.len())
        .map(|index| ACTOR_BYTES + table.stored_bytes(index))
        .sum();
    assert!(
        turns > 1 && turns >= bytes / (2 * SLICE_BYTES),
        "{turns} turns for {bytes}"
    );
}

#[test]
fn looking_makes_nobody_live_used_or_changed() {
    let mut turning = Loop::of(600, 1);
    let before = (turning.engine.actors(), turning.engine.states());
    for question in [
        ranking(9),
        wish("a599", false),
        wish("a1", false),
        wish("a599", true),
    ] {
        let reply = turning.ask(question);
        turning.answer(reply).0.unwrap();
    }
    for id in ["a5", "nobody"] {
        let reply = turning.ask(Question::Statement(Id::new(id).unwrap()));
        turning.answer(reply).0.unwrap();
    }
    for index in 0..turning.engine.table.len() {
        assert!(!turning.engine.table.take_dirty(index), "{index}");
    }
    assert_eq!((turning.engine.actors(), turning.engine.states()), before);
}

#[test]
fn s3_04_a_reward_is_found_whoever_has_it_and_nothing_is_found_where_nobody_does() {
    let mut turning = Loop::of(501, 1);
    let mut found = |question| {
        let reply = turning.ask(question);
        match turning.answer(reply).0 {
            Ok(Answer {
                as_of: 7,
                at: NOW,
                found: Found::Reward(found),
            }) => found,
            other => panic!("{other:?}"),
        }
    };
    for named in [false, true] {
        let (decided, judgement) = *found(wish("a500", named)).unwrap();
        assert_eq!((&*decided.agent_id, decided.at), ("a500", EventTime(NOW.0)));
        assert_eq!(judgement.state.name(), "locked");
        assert_eq!(found(wish("a499", named)), None);
    }
}

#[test]
fn s3_04_a_reward_is_told_as_of_the_moment_its_agent_was_looked_at() {
    // Whoever decides twice about two states must not be taken for one who repeats himself.
    let mut turning = Loop::of(501, 20);
    let reply = turning.ask(wish("a500", false));
    turning.turn();
    turning.engine.applied = 9;
    let (answer, turns) = turning.answer(reply);
    assert_eq!(answer.unwrap().as_of, 9);
    assert!(turns > 1, "it took {turns}");
}

#[test]
fn a_question_about_one_agent_is_answered_in_the_midst_of_a_sweep() {
    let mut turning = Loop::of(400, 20);
    let mut long = turning.ask(ranking(3));
    turning.turn();
    let short = turning.ask(Question::Statement(Id::new("a7").unwrap()));
    let (answer, turns) = turning.answer(short);
    let Ok(Answer {
        found: Found::Statement(statement),
        ..
    }) = answer
    else {
        panic!("{answer:?}");
    };
    assert_eq!((statement.balance, turns), (140, 1));
    assert!(long.try_recv().is_err(), "the sweep goes on");
    assert_eq!(turning.ranking(long).0.agents, 399);
}

#[test]
fn a_sweep_begins_again_when_numbers_change_so_that_nobody_is_passed_over() {
    let mut turning = Loop::of(400, 20);
    let reply = turning.ask(ranking(1_000));
    turning.turn();
    // All others move up.
    let settings = turning.engine.rules.settings().clone();
    let before = turning.engine.table.len();
    turning.engine.table.drop_blank(NOW, &settings);
    assert_eq!(turning.engine.table.len(), before - 1);
    let ranking = turning.ranking(reply).0;
    let mut points: Vec<i64> = ranking
        .best
        .iter()
        .map(|(_, earned)| earned.points)
        .collect();
    points.reverse();
    assert_eq!(points, (1..400).collect::<Vec<i64>>());
    assert_eq!(ranking.agents, 399);
}

#[test]
fn a_partition_that_replays_or_has_too_much_to_do_says_so() {
    let mut turning = Loop::of(2, 1);
    let replies: Vec<Reply> = (0..=SWEEPS_MAX).map(|_| turning.ask(ranking(1))).collect();
    turning.turn();
    let answers = replies.into_iter().map(|mut reply| reply.try_recv());
    let answers: Vec<_> = answers.collect();
    assert!(matches!(answers[0], Ok(Ok(_))), "{answers:?}");
    assert!(
        matches!(answers[SWEEPS_MAX], Ok(Err(AskFault::Busy))),
        "{answers:?}"
    );
    turning.engine = engine(8);
    assert!(!turning.engine.is_recovered());
    let reply = turning.ask(Question::Terms);
    assert_eq!(turning.answer(reply).0.unwrap_err(), AskFault::Recovering);
}

#[test]
fn whoever_no_longer_waits_costs_no_further_turn() {
    let mut turning = Loop::of(400, 20);
    drop(turning.ask(ranking(1)));
    let reply = turning.ask(ranking(1));
    turning.turn();
    assert_eq!(turning.answering.sweeps.len(), 1);
    assert_eq!(turning.ranking(reply).0.agents, 399);
    assert!(turning.answering.sweeps.is_empty());
}
