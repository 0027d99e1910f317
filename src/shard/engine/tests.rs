//! The engine alone: events in as the reader hands them over, and the exact records that come out.
//!
//! What an actor says and becomes is asked of the actor itself, beside the engine ([`Twin`]). Which actors are asked,
//! in which order and as of which position, what of it stands in which record, and what the next record follows, is
//! what these cases are about. Commits are confirmed by hand, so nothing here waits.

use std::sync::Arc;

use aftercall_actors::actor::Actor;
use serde_json::{Value, json};

use super::*;
use crate::{
    log::{Headers, OutputMark, RawEvent, Route, Speaker},
    planted,
    shard::{
        batch::{Batch, route},
        record::{FORMAT, FORMAT_CHANGES, FORMAT_LOSS, FORMAT_PLAIN},
        table::RestoredDeadline,
    },
};

/// Log time of most events.
const BEGAN: LogTime = LogTime(1_795_000_000_000);

/// What a partition has reached that is taken over here, and what its journal holds.
const FLOOR: Position = 10;
const SEQ: Seq = 70;
const COMMIT: u64 = 7;

/// Updates of one customer are merged for so long, by the shipped rules.
const MERGE_MS: i64 = 5_000;

// Nothing to do.

#[test]
fn an_empty_batch_needs_no_commit() {
    let mut engine = Engine::new(start(Side::Customer));
    engine.apply().unwrap();
    let batch = Arc::new(Batch { entries: vec![] });
    engine.offer(Feed {
        batch,
        picks: vec![],
    });
    assert!(!engine.has_room(), "until it was applied");
    engine.apply().unwrap();
    assert!(engine.has_room());
    assert!(!engine.has_outputs() && !engine.is_ahead());
    assert_eq!((engine.applied(), engine.committed()), (FLOOR, FLOOR));
    assert_eq!(engine.next_deadline(), None);
}

/// Nothing is said and much is applied: one record moves the journal on, and holds nothing else.
#[test]
fn events_that_say_nothing_are_a_record_of_their_place_alone() {
    let mut engine = Engine::new(start(Side::Customer));
    let ticks: Vec<_> = (1..=3).map(|n| tick(FLOOR + n, after(n as i64))).collect();
    offer(&mut engine, &ticks);
    engine.apply().unwrap();
    assert!(!engine.has_outputs() && engine.is_ahead());
    let (sealed, record) = seal(&mut engine);
    assert_eq!(record, bare(&ticks[2], COMMIT + 1, &link_before()));
    engine.committed_at(&sealed, SEQ + 1);
    assert_eq!(engine.committed(), FLOOR + 3);
    assert!(!engine.is_ahead());
}

#[test]
fn events_of_other_partitions_count_as_applied() {
    let mut engine = Engine::new(start(Side::Customer));
    let others = [
        completion(FLOOR + 1, "c1", after(1)),
        completion(FLOOR + 2, "c2", after(2)),
    ];
    let mut feed = feed(&engine, &others);
    feed.picks.clear();
    engine.offer(feed);
    engine.apply().unwrap();
    assert_eq!(engine.actors().0, 0);
    let (_, record) = seal(&mut engine);
    let expected = Record {
        // Time goes on with one's own events only.
        time_ms: BEGAN.0,
        ..bare(&others[1], COMMIT + 1, &link_before())
    };
    assert_eq!(record, expected);
}

// What was said, and the chain of records.

#[test]
fn what_was_said_stands_with_the_states_of_those_who_spoke_and_of_no_one_else() {
    let mut engine = Engine::new(start(Side::Customer));
    let mut twin = Twin::new(Side::Customer);
    let events = [
        completion(FLOOR + 1, "c2", BEGAN),
        completion(FLOOR + 2, "c1", after(10)),
        // Merged with its first: it waits, and says nothing.
        completion(FLOOR + 3, "c2", after(20)),
    ];
    offer(&mut engine, &events);
    engine.apply().unwrap();
    assert_eq!(
        engine.next_deadline(),
        Some(after(MERGE_MS)),
        "the second of c2"
    );
    let said: Vec<_> = events.iter().map(|event| twin.apply(event)).collect();
    assert_eq!(said.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0]);
    let (_, record) = seal(&mut engine);
    let expected = Record {
        outputs: said.concat(),
        // In order of their first event.
        states: vec![twin.state("customer/c2"), twin.state("customer/c1")],
        ..bare(&events[2], COMMIT + 1, &link_before())
    };
    assert_eq!(record, expected);
    assert!(!engine.has_outputs(), "it is in the record");
}

/// The fence: a record follows the one before it by sequence, number and hash, and only what was confirmed counts.
#[test]
fn a_record_follows_what_was_confirmed_and_is_sealed_anew_as_the_same_commit_until_then() {
    let mut engine = Engine::new(start(Side::Customer));
    let first = completion(FLOOR + 1, "c1", BEGAN);
    offer(&mut engine, std::slice::from_ref(&first));
    engine.apply().unwrap();
    let (sealed, _) = seal(&mut engine);
    assert_eq!((sealed.expected, sealed.commit), (SEQ, COMMIT + 1));
    assert_eq!(engine.head(), &head(), "sealing is not committing");
    assert_eq!(engine.committed(), FLOOR);

    // Meanwhile events go on being applied; the record in flight does not cover them.
    let second = tick(FLOOR + 2, after(1));
    offer(&mut engine, std::slice::from_ref(&second));
    engine.apply().unwrap();
    assert!(engine.is_ahead());
    engine.committed_at(&sealed, SEQ + 40);
    let confirmed = Head {
        seq: SEQ + 40,
        commit: COMMIT + 1,
        link: sealed.link.clone(),
    };
    assert_eq!(engine.head(), &confirmed);
    assert_eq!(engine.committed(), FLOOR + 1);
    assert!(engine.is_ahead(), "the tick is in no record");

    engine.set_relayed((
        Relayed {
            commit: COMMIT + 1,
            seq: SEQ + 40,
        },
        LaneMarks::default(),
    ));
    let (next, record) = seal(&mut engine);
    assert_eq!(next.expected, SEQ + 40);
    let expected = Record {
        relayed: COMMIT + 1,
        relayed_seq: SEQ + 40,
        lanes: vec![],
        ..bare(&second, COMMIT + 2, &sealed.link)
    };
    assert_eq!(record, expected);
}

#[test]
fn a_large_state_is_written_whole_once_and_then_by_what_has_changed() {
    let mut engine = Engine::new(start(Side::Agent));
    // Whole states have up to 64 bytes then.
    engine.set_record_bytes_max(32 << 10);
    let mut twin = Twin::new(Side::Agent);
    let first = survey(FLOOR + 1, "r1", BEGAN);
    offer(&mut engine, std::slice::from_ref(&first));
    let said = twin.apply(&first);
    let (sealed, record) = apply_and_seal(&mut engine);
    let whole = twin.state("agent/a1");
    assert!(whole.state.len() > 64);
    let expected = Record {
        outputs: said,
        states: vec![whole],
        ..bare(&first, COMMIT + 1, &link_before())
    };
    assert_eq!(record, expected);
    engine.committed_at(&sealed, SEQ + 1);

    let mark = twin.actor("agent/a1").mark();
    let second = survey(FLOOR + 2, "r2", after(1));
    offer(&mut engine, std::slice::from_ref(&second));
    let said = twin.apply(&second);
    let mut changes = Vec::new();
    assert!(
        twin.actor("agent/a1")
            .encode_changes(Some(&mark), &mut changes)
    );
    let (_, record) = apply_and_seal(&mut engine);
    let expected = Record {
        format: FORMAT_CHANGES,
        outputs: said,
        states: vec![StateRecord {
            key: "agent/a1".into(),
            changes: Some(changes.into()),
            since: FLOOR + 1,
            ..StateRecord::default()
        }],
        ..bare(&second, COMMIT + 2, &sealed.link)
    };
    assert_eq!(record, expected);
}

// A commit that is full.

#[test]
fn a_commit_is_full_between_two_events_and_the_rest_waits_for_the_next() {
    let mut engine = Engine::new(start(Side::Customer));
    let mut twin = Twin::new(Side::Customer);
    let count = COMMIT_EVENTS_MAX as u64 + 20;
    let events: Vec<_> = (0..count)
        .map(|n| completion(FLOOR + 1 + n, &format!("c{}", n % 3), after(n as i64)))
        .collect();
    offer(&mut engine, &events);
    engine.apply().unwrap();
    assert!(!engine.has_room());
    assert_eq!(engine.applied(), FLOOR + COMMIT_EVENTS_MAX as u64);
    engine.apply().unwrap();
    assert_eq!(
        engine.applied(),
        FLOOR + COMMIT_EVENTS_MAX as u64,
        "not before it is sealed"
    );
    let said: Vec<_> = events.iter().map(|event| twin.apply(event)).collect();
    let (said, none) = said.split_at(COMMIT_EVENTS_MAX);
    assert!(none.iter().all(Vec::is_empty), "merged");
    let (sealed, record) = seal(&mut engine);
    assert_eq!(record.outputs, said.concat());
    assert_eq!(record.position, FLOOR + COMMIT_EVENTS_MAX as u64);
    engine.committed_at(&sealed, SEQ + 1);
    engine.apply().unwrap();
    assert!(engine.has_room());
    let (_, record) = seal(&mut engine);
    assert_eq!(
        record,
        bare(&events[events.len() - 1], COMMIT + 2, &sealed.link)
    );
}

/// Hundreds of updates are due at one tick, more than a commit takes: each record names the last actor that was woken,
/// and says where it falls between two of them.
#[test]
fn s4_05_a_commit_that_is_full_amid_those_who_are_due_names_the_last_one_woken() {
    let mut burst = Burst::new();
    let mut engine = Engine::new(start(Side::Customer));
    burst.begin(&mut engine);
    offer(&mut engine, std::slice::from_ref(&burst.tick));
    let head = engine.head().clone();
    let records = drain(&mut engine);
    assert!(records.len() >= 2, "{}", records.len());
    let expected = burst.expected(&records, &head);
    assert_eq!(records, expected);
    assert_eq!(engine.tally.divergences, 0);
}

/// A former owner had committed in the middle of them: its states stand in its records, and what they said is not said
/// again; the others are woken.
#[test]
fn s4_05_an_owner_that_takes_over_amid_those_who_are_due_goes_on_behind_the_last_one_woken() {
    let mut burst = Burst::new();
    let mut former = Engine::new(start(Side::Customer));
    let mut records = burst.begin(&mut former);
    offer(&mut former, std::slice::from_ref(&burst.tick));
    records.push(apply_and_seal(&mut former).1);
    burst.take_over(&records, true);
}

/// The same where the records left the states out: those who had been woken are woken again, and not heard.
#[test]
fn s4_05_who_was_woken_and_left_out_is_woken_again_and_not_heard() {
    let mut burst = Burst::new();
    let mut former = Engine::new(start(Side::Customer));
    let mut records = burst.begin(&mut former);
    offer(&mut former, std::slice::from_ref(&burst.tick));
    records.push(apply_and_seal(&mut former).1);
    burst.take_over(&records, false);
}

// Replay.

#[test]
fn replay_up_to_the_committed_position_says_nothing_and_counts_what_it_would_have_said() {
    let committed = FLOOR + 2;
    let events = [
        completion(FLOOR + 1, "c1", BEGAN),
        completion(FLOOR + 2, "c2", after(1)),
        completion(FLOOR + 3, "c3", after(2)),
    ];
    let mut twin = Twin::new(Side::Customer);
    let said: Vec<_> = events.iter().map(|event| twin.apply(event)).collect();
    for (left_out, divergences) in [(vec![], 2), (vec!["customer/c1", "customer/c2"], 0)] {
        let mut engine = Engine::new(Start {
            committed,
            mark: mark_of(&events[1]),
            left_out: left_out.into_iter().map(str::to_owned).collect(),
            ..start(Side::Customer)
        });
        offer(&mut engine, &events[..2]);
        assert!(!engine.is_recovered());
        engine.apply().unwrap();
        assert!(engine.is_recovered());
        assert!(!engine.has_outputs() && !engine.is_ahead());
        assert_eq!(engine.tally.divergences, divergences);
        assert_eq!(engine.tally.applied, 0, "counted by its first owner");

        offer(&mut engine, &events[2..]);
        let (_, record) = apply_and_seal(&mut engine);
        let expected = Record {
            outputs: said[2].clone(),
            states: vec![twin.state("customer/c3")],
            ..bare(&events[2], COMMIT + 1, &link_before())
        };
        assert_eq!(record, expected);
        assert_eq!(engine.actors().0, 3, "those that replay came to are there");
    }
}

/// A state as of a later position has seen the event already.
#[test]
fn replay_passes_over_what_a_stored_state_covers() {
    let events = [
        completion(FLOOR + 1, "c1", BEGAN),
        completion(FLOOR + 2, "c1", after(10 * MERGE_MS)),
    ];
    let mut twin = Twin::new(Side::Customer);
    twin.apply(&events[0]);
    let covered = twin.state("customer/c1");
    let mut start = start(Side::Customer);
    restore(&mut start.table, &covered, FLOOR + 1);
    let mut engine = Engine::new(start);
    offer(&mut engine, &events);
    let (_, record) = apply_and_seal(&mut engine);
    let expected = Record {
        outputs: twin.apply(&events[1]),
        states: vec![twin.state("customer/c1")],
        ..bare(&events[1], COMMIT + 1, &link_before())
    };
    assert_eq!(record, expected);
    assert_eq!(engine.tally.applied, 1);
}

/// What stands in a lane of a commit that the journal has lost is said again, and marked as standing: once, and only as
/// long as the events are come to that say it.
#[test]
fn what_stands_of_a_lost_commit_is_marked_as_standing_when_it_is_said_again() {
    const LOST_FROM: Seq = 40;
    let events = [
        completion(FLOOR + 1, "c1", BEGAN),
        completion(FLOOR + 2, "c1", after(10 * MERGE_MS)),
    ];
    let mut twin = Twin::new(Side::Customer);
    let said: Vec<_> = events.iter().map(|event| twin.apply(event)).collect();
    let stood = Stood {
        commit: COMMIT + 3,
        ordinal: 2,
        seq: 900,
    };
    let mut again = Said::again(LOST_FROM, FLOOR + 2);
    let output = &said[0][0];
    let lane = output.lane().unwrap();
    again.add(SaidKey::of(lane, &output.id, &output.data), stood);
    let mut engine = Engine::new(Start {
        said: again,
        ..start(Side::Customer)
    });
    offer(&mut engine, &events[..1]);
    let (sealed, record) = apply_and_seal(&mut engine);
    let outputs = vec![OutputRecord {
        stood: Some(stood),
        ..output.clone()
    }];
    assert_eq!(
        (record.format, record.lost_from),
        (FORMAT_LOSS, Some(LOST_FROM))
    );
    assert_eq!(record.outputs, outputs);
    assert_eq!(sealed.outputs[0].stood, Some(stood));
    assert_eq!(
        engine.needed_from(),
        LOST_FROM,
        "recovery needs it until then"
    );
    engine.committed_at(&sealed, SEQ + 1);

    offer(&mut engine, &events[1..]);
    let (_, record) = apply_and_seal(&mut engine);
    assert_eq!((record.format, record.lost_from), (FORMAT_PLAIN, None));
    assert_eq!(engine.needed_from(), 50, "the last commit that is relayed");
    assert_eq!(record.outputs, said[1]);
}

// Input that cannot be processed, and rules.

#[test]
fn what_cannot_be_read_is_set_aside_in_the_record_of_its_place() {
    let mut engine = Engine::new(start(Side::Agent));
    let mut twin = Twin::new(Side::Agent);
    let events = [
        raw(FLOOR + 1, BEGAN, "{ this is no JSON".into()),
        survey(FLOOR + 2, "r1", after(1)),
    ];
    offer(&mut engine, &events);
    let (_, record) = apply_and_seal(&mut engine);
    let reject = envelope::decode(&events[0], 1).unwrap_err();
    let mut outputs = vec![set_aside(&events[0], &reject)];
    outputs.extend(twin.apply(&events[1]));
    assert!(outputs.len() > 1);
    let expected = Record {
        outputs,
        states: vec![twin.state("agent/a1")],
        ..bare(&events[1], COMMIT + 1, &link_before())
    };
    assert_eq!(record, expected);

    // A former owner had set it aside.
    let mut again = Engine::new(Start {
        committed: FLOOR + 1,
        ..start(Side::Agent)
    });
    offer(&mut again, &events[..1]);
    again.apply().unwrap();
    assert!(!again.has_outputs());
}

/// Both sides read it, and one sets it aside: its owner's, or the customer's where it has no owner.
#[test]
fn an_event_dated_ahead_is_set_aside_by_one_side() {
    let ahead = BEGAN.0 + 400 * 86_400_000;
    let completed = json!({
        "interaction_id": "i1", "channel": "voice", "agent_id": "a1",
        "customer": { "customer_id": "c1" }, "started_at": ahead, "ended_at": ahead + 1,
    });
    let updated = json!({
        "interaction_id": "i1", "updated_at": ahead, "disposition": "sold",
        "customer": { "customer_id": "c1" },
    });
    for (name, data, by) in [
        ("interaction.completed", completed, Side::Agent),
        ("interaction.updated", updated, Side::Customer),
    ] {
        for side in Side::ALL {
            let event = event(FLOOR + 1, BEGAN, name, data.clone());
            let mut engine = Engine::new(start(side));
            offer(&mut engine, std::slice::from_ref(&event));
            let (_, record) = apply_and_seal(&mut engine);
            let ids: Vec<_> = record.outputs.iter().map(|output| &*output.id).collect();
            let expected: &[&str] = if side == by { &["dead:11"] } else { &[] };
            assert_eq!(ids, expected, "{side}, {name}");
            assert_eq!(record.states, []);
        }
    }
}

#[test]
fn rules_hold_from_their_place_on_and_stand_on_what_was_said_under_them() {
    let mut engine = Engine::new(start(Side::Customer));
    let mut twin = Twin::new(Side::Customer);
    let text = format!("{}\n# other", RuleSet::default_rules().text());
    let other = RuleSet::parse(&text, "test").unwrap();
    let events = [
        completion(FLOOR + 1, "c1", BEGAN),
        activation(FLOOR + 2, other.version(), other.text()),
        completion(FLOOR + 3, "c2", after(2)),
    ];
    offer(&mut engine, &events);
    let (_, record) = apply_and_seal(&mut engine);
    let mut outputs = twin.apply(&events[0]);
    twin.rules = other.clone();
    outputs.extend(twin.apply(&events[2]));
    assert_eq!(outputs[1].rules, other.version());
    let expected = Record {
        rules: other.version().to_owned(),
        outputs,
        states: vec![twin.state("customer/c1"), twin.state("customer/c2")],
        ..bare(&events[2], COMMIT + 1, &link_before())
    };
    assert_eq!(record, expected);
    assert_eq!(engine.rules_version(), other.version());
}

#[test]
fn rules_with_mistakes_change_nothing_and_one_partition_sets_them_aside() {
    for (side, index, sets_aside) in [
        (Side::Agent, 0, true),
        (Side::Agent, 1, false),
        (Side::Customer, 0, false),
    ] {
        let partition = PartitionId { side, index };
        let mut engine = Engine::new(Start {
            partition,
            ..start(side)
        });
        let event = activation(FLOOR + 1, "v2", "[[rule]]\nnme = 1");
        offer(&mut engine, std::slice::from_ref(&event));
        let (_, record) = apply_and_seal(&mut engine);
        let error = RuleSet::parse("[[rule]]\nnme = 1", "v2").unwrap_err();
        let reject = Reject::new(Reason::BadRules, error.to_string());
        let expected = Record {
            outputs: match sets_aside {
                true => vec![set_aside(&event, &reject)],
                false => vec![],
            },
            ..bare(&event, COMMIT + 1, &link_before())
        };
        assert_eq!(record, expected, "{partition}");
        assert_eq!(engine.rules_version(), RuleSet::default_rules().version());
    }
}

// What does not fit.

/// The smallest states first: of two the larger one is left out, its key is named, and it stands the next time it speaks.
#[test]
fn a_state_that_does_not_fit_is_left_out_by_name_and_stands_the_next_time() {
    let mut engine = Engine::new(start(Side::Customer));
    let mut twin = Twin::new(Side::Customer);
    let long = "The customer asked for a copy of the latest invoice. ".repeat(18);
    let events = [
        completion_of(FLOOR + 1, "c1", BEGAN, &long),
        completion(FLOOR + 2, "c2", after(1)),
        completion(FLOOR + 3, "c1", after(10 * MERGE_MS)),
    ];
    let said: Vec<_> = events[..2].iter().map(|event| twin.apply(event)).collect();
    let (large, small) = (twin.state("customer/c1"), twin.state("customer/c2"));
    assert!(large.state.len() > small.state.len());
    // Exactly the small one, its name, and its place: the name of the large one needs no more than it would have.
    planted::set_state_room(small.state.len() + small.key.len() + STATE_BYTES);
    offer(&mut engine, &events[..2]);
    let (sealed, record) = apply_and_seal(&mut engine);
    let expected = Record {
        format: FORMAT_CHANGES,
        outputs: said.concat(),
        states: vec![small],
        left_out: vec!["customer/c1".into()],
        ..bare(&events[1], COMMIT + 1, &link_before())
    };
    assert_eq!(record, expected);
    assert_eq!(engine.tally.left_out, 1);
    engine.committed_at(&sealed, SEQ + 1);

    planted::set_state_room(usize::MAX);
    offer(&mut engine, &events[2..]);
    let (_, record) = apply_and_seal(&mut engine);
    let expected = Record {
        outputs: twin.apply(&events[2]),
        states: vec![twin.state("customer/c1")],
        ..bare(&events[2], COMMIT + 2, &sealed.link)
    };
    assert_eq!(record, expected);
}

/// One byte more than all outputs of a record may come to: the event is set aside in their place, and the actor has
/// taken it all the same.
#[test]
fn what_one_event_says_is_at_most_what_a_record_takes_and_beyond_it_is_set_aside() {
    let event = completion(FLOOR + 1, "c1", BEGAN);
    let mut twin = Twin::new(Side::Customer);
    let said = twin.apply(&event);
    let state = twin.state("customer/c1");
    let bytes = said.iter().map(output_bytes).sum::<usize>();
    let takes = |record: usize| Room { record }.outputs() >= bytes;
    let least = (0..1 << 20).find(|record| *record > 600 && takes(*record));
    let least = least.unwrap();
    for record_bytes in [least - 1, least] {
        let room = Room {
            record: record_bytes,
        };
        let mut engine = Engine::new(start(Side::Customer));
        engine.set_record_bytes_max(record_bytes);
        offer(&mut engine, std::slice::from_ref(&event));
        let (_, record) = apply_and_seal(&mut engine);
        let outputs = match takes(record_bytes) {
            true => said.clone(),
            false => {
                let detail = format!(
                    "{} outputs of customer/c1 come to {bytes} bytes, more than a record takes",
                    said.len()
                );
                let reject = Reject::new(Reason::TooLarge, detail);
                let entry = Entry::decode(event.clone(), 1);
                let version = RuleSet::default_rules().version().to_owned();
                let room = room.quarantined();
                vec![quarantine::output(&entry, &reject, BEGAN, &version, room)]
            }
        };
        let taken = outputs.iter().map(output_bytes).sum::<usize>();
        let left = room.content().saturating_sub(taken);
        let fits = state.state.len() + state.key.len() + STATE_BYTES <= left;
        let mut expected = Record {
            outputs,
            ..bare(&event, COMMIT + 1, &link_before())
        };
        match fits {
            true => expected.states = vec![state.clone()],
            false => expected.left_out = vec!["customer/c1".into()],
        }
        expected.format = expected.format_needed();
        assert_eq!(record, expected, "records of {record_bytes} bytes");
    }
}

// Helpers.

/// An actor asked beside the engine.
struct Twin {
    side: Side,
    actors: BTreeMap<String, Actor>,
    responses: Responses,
    rules: RuleSet,
}

impl Twin {
    fn new(side: Side) -> Self {
        Self {
            side,
            actors: BTreeMap::new(),
            responses: Responses::default(),
            rules: RuleSet::default_rules(),
        }
    }

    fn actor(&mut self, key: &str) -> &mut Actor {
        let side = self.side;
        let actors = &mut self.actors;
        actors
            .entry(key.to_owned())
            .or_insert_with(|| Actor::new(side))
    }

    /// What its actor says of an event.
    fn apply(&mut self, raw: &RawEvent) -> Vec<OutputRecord> {
        let entry = Entry::decode(raw.clone(), 1);
        let event = entry.event.as_ref().unwrap();
        let key = match self.side {
            Side::Agent => event.body.owner(),
            Side::Customer => event.body.customer(),
        };
        let key = key.unwrap();
        let rules = self.rules.clone();
        let mut effects = Vec::new();
        let share = match (&entry.response, self.side) {
            (Some(facts), Side::Agent) => {
                let arrival = Arrival {
                    now: raw.time,
                    ttl_ms: rules.settings().survey_dedupe_ms,
                    local: Some(key),
                };
                self.responses.judge(facts, arrival, &mut effects)
            }
            _ => None,
        };
        let actor = self.actor(&key.to_string());
        let mut turn = Turn::new(key, raw.time, &rules, &mut effects);
        match share {
            Some(shares) => actor.respond(&mut turn, event, shares.owner),
            None => actor.apply(&mut turn, event),
        }
        outputs(effects, key, &entry, &rules)
    }

    /// What an actor says when an event has come by which it is due.
    fn wake(&mut self, key: &str, by: &RawEvent) -> Vec<OutputRecord> {
        let rules = self.rules.clone();
        let mut effects = Vec::new();
        let key = key_of(key).unwrap();
        let actor = self.actor(&key.to_string());
        actor.wake(&mut Turn::new(key, by.time, &rules, &mut effects));
        let entry = Entry::decode(by.clone(), 1);
        outputs(effects, key, &entry, &rules)
    }

    fn state(&mut self, key: &str) -> StateRecord {
        let mut state = Vec::new();
        self.actor(key).encode(&mut state);
        StateRecord {
            key: key.to_owned(),
            state: state.into(),
            ..StateRecord::default()
        }
    }
}

/// What effects are in a record.
fn outputs(effects: Effects, key: Key<'_>, entry: &Entry, rules: &RuleSet) -> Vec<OutputRecord> {
    let (cause_source, cause_id) = entry.name();
    let said = effects.into_iter().filter_map(|effect| match effect {
        Effect::Emit { id, output } => Some((id, output)),
        Effect::Ignore(_) | Effect::RuleFailed { .. } => None,
    });
    said.map(|(id, output)| {
        let mut data = Vec::new();
        output.write_json(&mut data);
        OutputRecord {
            stood: None,
            lane: Lane::Out(output.kind()).index() as u32,
            id,
            output_type: output.type_name().to_owned(),
            subject: key.to_string(),
            time_ms: entry.time.0,
            cause_source: cause_source.to_owned(),
            cause_id: cause_id.to_owned(),
            rules: rules.version().to_owned(),
            data: data.into(),
        }
    })
    .collect()
}

/// Customers with two contacts each: the first profile goes out at once, the second waits, and all wait until the same
/// moment.
struct Burst {
    twin: Twin,
    contacts: Vec<RawEvent>,
    tick: RawEvent,
    /// What they say at the tick, in order, and what they are then.
    said: Vec<(OutputRecord, StateRecord)>,
}

const CUSTOMERS: u64 = 450;

impl Burst {
    fn new() -> Self {
        let twice = (0..2).flat_map(|_| 0..CUSTOMERS);
        let contacts: Vec<_> = (FLOOR + 1..)
            .zip(twice)
            .map(|(position, n)| completion(position, &format!("c{n:03}"), BEGAN))
            .collect();
        let tick = tick(FLOOR + 1 + contacts.len() as u64, after(12 * MERGE_MS));
        Self {
            twin: Twin::new(Side::Customer),
            contacts,
            tick,
            said: Vec::new(),
        }
    }

    /// The contacts, applied and committed up to the last one; the records that came of them.
    fn begin(&mut self, engine: &mut Engine) -> Vec<Record> {
        let mut said = Vec::new();
        for event in &self.contacts {
            said.extend(self.twin.apply(event));
        }
        offer(engine, &self.contacts);
        let mut records = drain(engine);
        let outputs = records.iter().flat_map(|record| record.outputs.clone());
        assert_eq!(outputs.collect::<Vec<_>>(), said);
        let (sealed, record) = seal(engine);
        engine.committed_at(&sealed, sealed.expected + 1);
        records.push(record);
        for n in 0..CUSTOMERS {
            let key = format!("customer/c{n:03}");
            let mut said = self.twin.wake(&key, &self.tick);
            assert_eq!(said.len(), 1, "{key}");
            self.said.push((said.swap_remove(0), self.twin.state(&key)));
        }
        records
    }

    /// The records of those who are due, behind `head`, given how many of them each holds.
    fn expected(&self, found: &[Record], head: &Head) -> Vec<Record> {
        let mut link = head.link.clone();
        let last_contact = &self.contacts[self.contacts.len() - 1];
        let mut rest = self.said.as_slice();
        let mut expected = Vec::new();
        for (commit, found) in (head.commit + 1..).zip(found) {
            assert!(!found.outputs.is_empty() && found.outputs.len() <= rest.len());
            let (these, others) = rest.split_at(found.outputs.len());
            rest = others;
            let (outputs, states): (Vec<_>, Vec<_>) = these.iter().cloned().unzip();
            let record = match rest {
                [] => Record {
                    outputs,
                    states,
                    ..bare(&self.tick, commit, &link)
                },
                _ => Record {
                    format: FORMAT,
                    time_ms: self.tick.time.0,
                    woken: Some(WokenRecord {
                        due_ms: after(MERGE_MS).0,
                        key: outputs[outputs.len() - 1].subject.clone(),
                    }),
                    outputs,
                    states,
                    ..bare(last_contact, commit, &link)
                },
            };
            link = record::link(&record.to_bytes());
            expected.push(record);
        }
        assert_eq!(rest, [], "all were woken");
        expected
    }

    /// Another owner takes over behind `records`, the last of which falls between two who are due.
    fn take_over(&mut self, records: &[Record], with_states: bool) {
        let last = &records[records.len() - 1];
        let woken = last.woken.clone().unwrap();
        let mut start = Start {
            head: Head {
                seq: SEQ + 60,
                commit: last.commit,
                link: record::link(&last.to_bytes()),
            },
            committed: last.position,
            mark: last.mark(),
            woken: Some(Woken {
                last: woken.clone(),
                now: LogTime(last.time_ms),
            }),
            ..start(Side::Customer)
        };
        for record in records {
            for state in &record.states {
                match with_states {
                    true => restore(&mut start.table, state, record.position),
                    false => {
                        start.left_out.insert(state.key.clone());
                    }
                }
            }
        }
        let mut engine = Engine::new(start);
        offer(&mut engine, &self.contacts);
        engine.apply().unwrap();
        assert!(!engine.has_outputs() && engine.is_recovered());

        let woken_before = self
            .said
            .iter()
            .filter(|(said, _)| said.subject <= woken.key);
        let count = woken_before.count();
        assert_eq!(count, last.outputs.len());
        self.said.drain(..count);
        offer(&mut engine, std::slice::from_ref(&self.tick));
        let head = engine.head().clone();
        let found = drain(&mut engine);
        assert_eq!(found, self.expected(&found, &head));
        assert_eq!(engine.tally.divergences, 0);
    }
}

/// A partition taken over with nothing in it, whose journal reaches [`FLOOR`].
fn start(side: Side) -> Start {
    Start {
        partition: PartitionId { side, index: 0 },
        table: Table::new(side),
        responses: Responses::default(),
        rules: RuleSet::default_rules(),
        now: BEGAN,
        floor: FLOOR,
        epoch: 3,
        owner: 9,
        head: head(),
        committed: FLOOR,
        mark: EventMark::default(),
        relayed: Relayed { commit: 5, seq: 50 },
        lanes: lanes(),
        said: Said::default(),
        left_out: BTreeSet::new(),
        woken: None,
    }
}

fn head() -> Head {
    Head {
        seq: SEQ,
        commit: COMMIT,
        link: link_before(),
    }
}

fn link_before() -> Bytes {
    record::link(b"the record before")
}

fn lanes() -> LaneMarks {
    let mut lanes = LaneMarks::default();
    lanes[Lane::Out(Kind::Profile).index()] = Some(OutputMark {
        seq: 33,
        commit: 5,
        ordinal: 1,
    });
    lanes
}

/// The record of an owner that [`start`] makes, up to an event, in which nothing was said.
fn bare(at: &RawEvent, commit: u64, previous: &Bytes) -> Record {
    Record {
        format: FORMAT_PLAIN,
        epoch: 3,
        commit,
        previous: previous.clone(),
        position: at.position,
        identity: Bytes::copy_from_slice(&record::identity(&at.payload).to_be_bytes()),
        time_ms: at.time.0,
        rules: RuleSet::default_rules().version().to_owned(),
        logic: LOGIC.to_owned(),
        relayed: 5,
        relayed_seq: 50,
        stored_ms: Some(at.time.0),
        lanes: LaneRecord::of(&lanes()),
        owner: 9,
        ..Record::default()
    }
}

fn set_aside(raw: &RawEvent, reject: &Reject) -> OutputRecord {
    let room = Room {
        record: RECORD_BYTES_MAX,
    };
    let entry = Entry::decode(raw.clone(), 1);
    let rules = RuleSet::default_rules();
    quarantine::output(
        &entry,
        reject,
        raw.time,
        rules.version(),
        room.quarantined(),
    )
}

fn mark_of(raw: &RawEvent) -> EventMark {
    Entry::decode(raw.clone(), 1).mark()
}

fn restore(table: &mut Table, state: &StateRecord, as_of: Position) {
    let deadline = RestoredDeadline::AskState;
    table
        .restore(&state.key, &state.state, as_of, deadline, true)
        .unwrap();
}

/// What the reader would hand to the engine's partition of these events.
fn feed(engine: &Engine, raws: &[RawEvent]) -> Feed {
    let count = engine.partition.index + 1;
    let place = match engine.partition.side {
        Side::Agent => engine.partition.index,
        Side::Customer => count + engine.partition.index,
    };
    route(raws.to_vec(), count).swap_remove(place.into())
}

fn offer(engine: &mut Engine, raws: &[RawEvent]) {
    let feed = feed(engine, raws);
    engine.offer(feed);
}

/// Seals, and holds what goes with the record to what the record says.
fn seal(engine: &mut Engine) -> (Sealed, Record) {
    let head = engine.head().clone();
    let sealed = engine.seal();
    let record = Record::read(&sealed.bytes).unwrap();
    assert_eq!(sealed.expected, head.seq);
    assert_eq!(
        (sealed.commit, record.commit),
        (head.commit + 1, sealed.commit)
    );
    assert_eq!(record.previous, head.link);
    assert_eq!(sealed.link, record::link(&sealed.bytes));
    assert_eq!(sealed.position, record.position);
    let causes: Vec<_> = record.outputs.iter().map(OutputRecord::time).collect();
    assert_eq!(sealed.causes, causes);
    let plain = |all: &[Publishable]| -> Vec<_> {
        all.iter()
            .map(|one| (one.output.clone(), one.stood))
            .collect()
    };
    let expected = publishable(engine.partition, &record);
    assert_eq!(plain(&sealed.outputs), plain(&expected));
    assert_eq!(sealed.outputs.len(), record.outputs.len());
    (sealed, record)
}

fn apply_and_seal(engine: &mut Engine) -> (Sealed, Record) {
    engine.apply().unwrap();
    seal(engine)
}

/// Applies and commits until nothing more is said.
fn drain(engine: &mut Engine) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        engine.apply().unwrap();
        if !engine.has_outputs() {
            return records;
        }
        let (sealed, record) = seal(engine);
        assert!(sealed.bytes.len() < 2 * COMMIT_BYTES_MAX);
        engine.committed_at(&sealed, sealed.expected + 1);
        records.push(record);
    }
}

const fn after(ms: i64) -> LogTime {
    LogTime(BEGAN.0 + ms)
}

fn raw(position: Position, time: LogTime, payload: String) -> RawEvent {
    RawEvent {
        position,
        time,
        route: Route::Pair {
            agent: 0,
            customer: 0,
        },
        speaker: Speaker::Anyone,
        headers: Headers::Empty,
        payload: payload.into(),
    }
}

fn completion(position: Position, customer: &str, time: LogTime) -> RawEvent {
    completion_of(
        position,
        customer,
        time,
        "The customer asked for the invoice.",
    )
}

fn completion_of(position: Position, customer: &str, time: LogTime, summary: &str) -> RawEvent {
    let data = json!({
        "interaction_id": format!("i{position}"), "channel": "voice",
        "customer": { "customer_id": customer },
        "started_at": time.0 - 60_000, "ended_at": time.0, "summary": summary,
    });
    event(position, time, "interaction.completed", data)
}

/// A bad survey of the agent a1: an alert.
fn survey(position: Position, response: &str, time: LogTime) -> RawEvent {
    let data = json!({
        "response_id": response, "interaction_id": format!("i{position}"), "submitted_at": time.0,
        "csat": 1, "routing": { "agent_id": "a1", "agent_name": "Ada" },
    });
    event(position, time, "survey.response.created", data)
}

fn event(position: Position, time: LogTime, name: &str, data: Value) -> RawEvent {
    let event = json!({
        "specversion": "1.0", "id": format!("e{position}"), "source": "tests", "type": name,
        "data": data,
    });
    raw(position, time, event.to_string())
}

fn own(position: Position, time: LogTime, event: crate::log::NewEvent) -> RawEvent {
    RawEvent {
        position,
        time,
        route: Route::All,
        speaker: Speaker::Service,
        headers: event.headers,
        payload: event.payload,
    }
}

fn tick(position: Position, time: LogTime) -> RawEvent {
    own(position, time, envelope::tick_event(time))
}

fn activation(position: Position, version: &str, text: &str) -> RawEvent {
    let event = envelope::rules_activated_event(version, text, BEGAN).unwrap();
    own(position, BEGAN, event)
}
