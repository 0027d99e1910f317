//! What was once stored stays readable: records and snapshots of every format version, as bytes (`tests/golden`).
//!
//! The files are never changed. A new format version gets a new file, written from the values below with
//! `WRITE_GOLDEN=1 cargo test --test golden`, which leaves files that exist alone. The stored actors inside have
//! golden files of their own, in the crate `actors`.

use std::{fs, path::PathBuf};

use aftercall::{
    delivery::record::{
        self as delivery, Alarmed, AttemptRecord, BreakerRecord, BreakerSignal, Case, Checkpoint,
        Cursor, Ended, Fact, FinalStatus, Found, Item, LaneRecord, Memory, Merged, Misconfigured,
        Moved, Reason, Reported, Seen, Settled, Sighted, Sighting, Spot, Started, Step, Taken,
    },
    log::{Lane, mark::Sealing},
    shard::{
        checksum,
        record::{
            self, LaneRecord as JournalLane, OutputRecord, Record, RecordError, StateRecord, Stood,
            WokenRecord,
        },
        snapshot::{self, Manifest, PackedActor, Piece},
    },
};
use aftercall_actors::contract::output::Kind;
use bytes::Bytes;
use prost::Message;

#[test]
fn a_record_of_version_1_reads_as_it_was_written() {
    let golden = golden("record-v1.bin", &record().to_bytes());
    let read = Record::read(&golden).expect("a record that stays readable");
    assert_eq!(read, record());
    assert_eq!(read.identity(), 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let lanes: Vec<_> = read.outputs.iter().map(OutputRecord::lane).collect();
    assert_eq!(lanes, [Some(Lane::Out(Kind::Profile)), Some(Lane::Dead)]);
    // The chain rests on the bytes.
    assert_eq!(record().to_bytes(), golden);
}

/// What was added for a log that loses its ends: the fields of a record that stands behind one.
#[test]
fn a_record_behind_a_loss_reads_as_it_was_written() {
    let mut record = record();
    record.stored_ms = Some(1_767_225_600_123);
    record.rewound_from = 4_711;
    record.lanes = vec![JournalLane {
        lane: 2,
        seq: 815,
        commit: 42,
        ordinal: 3,
    }];
    record.lost_after = Some(41);
    record.lost_from = Some(976);
    record.owner = 0x0102_0304_0506_0708;
    record.outputs[0].stood = Some(Stood {
        commit: 40,
        ordinal: 1,
        seq: 809,
    });
    record.format = record.format_needed();
    assert_eq!(record.format, 3, "no older program reads past it");
    let golden = golden("record-v3.bin", &record.to_bytes());
    let read = Record::read(&golden).expect("a record that stays readable");
    assert_eq!(read, record);
    assert_eq!(record.to_bytes(), golden);
    let sealing = Sealing::of(&golden).expect("a whole record");
    assert_eq!(
        (sealing.commit, sealing.owner),
        (record.commit, record.owner)
    );
}

/// What was added for a commit between two actors that one event wakes.
#[test]
fn a_record_in_the_midst_of_waking_reads_as_it_was_written() {
    let mut record = record();
    record.woken = Some(WokenRecord {
        due_ms: 1_767_225_600_123,
        key: "customer/c9".to_owned(),
    });
    record.format = record.format_needed();
    assert_eq!(record.format, 4, "no older program reads past it");
    let golden = golden("record-v4.bin", &record.to_bytes());
    let read = Record::read(&golden).expect("a record that stays readable");
    assert_eq!(read, record);
    assert_eq!(record.to_bytes(), golden);
}

#[test]
fn a_record_of_version_2_reads_as_it_was_written() {
    let golden = golden("record-v2.bin", &record_of_changes().to_bytes());
    assert_eq!(
        Record::read(&golden).expect("a record"),
        record_of_changes()
    );
    assert_eq!(record_of_changes().to_bytes(), golden);
    assert_eq!(record_of_changes().format_needed(), 2);
    assert_eq!(record().format_needed(), 1, "older programs read it");
}

#[test]
fn a_snapshot_of_version_2_reads_as_it_was_written() {
    let whole = Piece {
        format: 2,
        ..manifest()
    };
    for (name, piece) in [
        ("snapshot-chunk-v2.bin", chunk_of_parts()),
        ("snapshot-manifest-v2.bin", whole),
    ] {
        let golden = golden(name, &checksum::add(piece.encode_to_vec()));
        assert!(checksum::holds(&golden), "{name}");
        assert_eq!(Piece::decode(golden).expect(name), piece);
    }
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let newer = Record {
        format: record::FORMAT + 1,
        ..record()
    };
    assert!(matches!(
        Record::read(&newer.to_bytes()),
        Err(RecordError::Newer { found, .. }) if found == record::FORMAT + 1
    ));
}

#[test]
fn a_snapshot_of_version_1_reads_as_it_was_written() {
    for (name, piece) in [
        ("snapshot-chunk-v1.bin", chunk()),
        ("snapshot-manifest-v1.bin", manifest()),
    ] {
        let golden = golden(name, &checksum::add(piece.encode_to_vec()));
        assert!(checksum::holds(&golden), "{name}");
        assert_eq!(Piece::decode(golden).expect(name), piece);
    }
}

#[test]
fn a_delivery_record_of_version_1_reads_as_it_was_written() {
    for (name, record) in [
        ("delivery-v1.bin", delivery_record(facts(), None)),
        (
            "delivery-checkpoint-v1.bin",
            delivery_record(checkpoint(), Some(delivery::Piece { index: 1, count: 2 })),
        ),
        (
            "delivery-v1-kept.bin",
            delivery_record(facts_of_keeping(), None),
        ),
        (
            "delivery-v1-places.bin",
            delivery_record(facts_of_places(), None),
        ),
        (
            "delivery-v1-losses.bin",
            delivery_record(facts_of_losses(), None),
        ),
        (
            "delivery-v1-access.bin",
            delivery_record(facts_of_access(), None),
        ),
        ("delivery-lanes-v1.bin", delivery_record(lanes(), None)),
    ] {
        let golden = golden(name, &record.to_bytes());
        let read = delivery::Record::read(&golden).expect("a record that stays readable");
        assert_eq!(read, record, "{name}");
        let newer = delivery::Record {
            format: delivery::FORMAT + 1,
            ..record
        };
        assert!(matches!(
            delivery::Record::read(&newer.to_bytes()),
            Err(delivery::RecordError::Newer { found, .. }) if found == delivery::FORMAT + 1
        ));
        let mut damaged = golden.to_vec();
        damaged[golden.len() / 2] ^= 1;
        assert!(delivery::Record::read(&damaged.into()).is_err());
    }
}

#[test]
fn the_formats_written_now_have_golden_files() {
    for name in [
        format!("record-v{}.bin", record::FORMAT),
        format!("delivery-v{}.bin", delivery::FORMAT),
        format!("delivery-checkpoint-v{}.bin", delivery::FORMAT),
        format!("delivery-v{}-access.bin", delivery::FORMAT),
        format!("delivery-v{}-kept.bin", delivery::FORMAT),
        format!("delivery-v{}-places.bin", delivery::FORMAT),
        format!("delivery-v{}-losses.bin", delivery::FORMAT),
        "record-v2.bin".to_owned(),
        "record-v3.bin".to_owned(),
        format!("snapshot-chunk-v{}.bin", snapshot::FORMAT),
        format!("snapshot-manifest-v{}.bin", snapshot::FORMAT),
    ] {
        assert!(folder().join(&name).exists(), "{name}");
    }
}

/// Where outputs and dead letters stand, by more than their sequences.
fn facts_of_places() -> Vec<Fact> {
    let spot = Spot {
        side: 0,
        partition: 3,
        kind: 6,
        commit: 42,
        ordinal: 1,
    };
    let sighting = Sighting {
        spot,
        at: 815,
        stored_ms: None,
    };
    let taken = Taken {
        spot: Some(spot),
        at: 815,
        ..taken()
    };
    vec![
        Fact::Taken(taken.clone()),
        Fact::Sighted(Sighted {
            lanes: vec![sighting],
            dead_ms: Some(1_767_225_600_123),
        }),
        Fact::Moved(Moved {
            output: Some(700),
            dead: Some(0),
            lanes: vec![sighting],
            at_ms: 0,
        }),
        Fact::Found(Found {
            seq: 9,
            at: 701,
            spot: None,
        }),
        Fact::Held(Item {
            taken,
            missing: true,
            ..Item::default()
        }),
        Fact::Checkpoint(Checkpoint {
            outputs_lower: 115,
            dead_lower: 7,
            ..Checkpoint::default()
        }),
    ]
}

/// What else is kept of places since losses are told by when outputs were stored.
fn facts_of_losses() -> Vec<Fact> {
    let spot = Spot {
        side: 0,
        partition: 3,
        kind: 6,
        commit: 43,
        ordinal: 0,
    };
    vec![
        Fact::Sighted(Sighted {
            lanes: vec![Sighting {
                spot,
                at: 816,
                stored_ms: Some(1_767_225_600_124),
            }],
            dead_ms: None,
        }),
        Fact::Moved(Moved {
            output: Some(700),
            at_ms: 1_767_225_600_125,
            ..Moved::default()
        }),
        Fact::Found(Found {
            seq: 9,
            at: 701,
            spot: Some(spot),
        }),
        Fact::Checkpoint(Checkpoint {
            dead_seen_ms: Some(1_767_225_600_126),
            ..Checkpoint::default()
        }),
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The file's bytes; written first if it is asked for and not there yet.
fn golden(name: &str, now: &[u8]) -> Bytes {
    let path = folder().join(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() && !path.exists() {
        fs::write(&path, now).expect("a writable folder");
    }
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .into()
}

fn record() -> Record {
    Record {
        format: 1,
        epoch: 3,
        commit: 42,
        previous: Bytes::from_static(&[0xab; 32]),
        position: 300,
        identity: Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        time_ms: 1_795_163_400_250,
        rules: "2026-11+0f1e2d3c".to_owned(),
        logic: "0.1.0".to_owned(),
        relayed: 41,
        relayed_seq: 977,
        outputs: vec![
            OutputRecord {
                stood: None,
                lane: 2,
                id: "profile:c1:i1:1795163000000".to_owned(),
                output_type: "profile.updated".to_owned(),
                subject: "customer/Jörg".to_owned(),
                time_ms: 1_795_163_400_250,
                cause_source: "crm/eu".to_owned(),
                cause_id: "e-1".to_owned(),
                rules: "2026-11+0f1e2d3c".to_owned(),
                data: Bytes::from_static(r#"{"customer_id":"Jörg"}"#.as_bytes()),
            },
            OutputRecord {
                stood: None,
                lane: 7,
                id: "dead:299".to_owned(),
                output_type: "event.quarantined".to_owned(),
                subject: "queue/_".to_owned(),
                // Before 1970: a clock can be wrong.
                time_ms: -1,
                cause_source: String::new(),
                cause_id: String::new(),
                rules: String::new(),
                data: Bytes::from_static(b"{}"),
            },
        ],
        states: vec![StateRecord {
            key: "customer/Jörg".to_owned(),
            state: Bytes::from_static(&[8, 1, 255]),
            ..StateRecord::default()
        }],
        stored_ms: None,
        rewound_from: 0,
        lanes: Vec::new(),
        lost_after: None,
        lost_from: None,
        woken: None,
        owner: 0,
        genesis_rules: "version = \"2026-11\"\n".to_owned(),
        left_out: Vec::new(),
    }
}

/// With a state by what has changed in it, and one that is left out.
fn record_of_changes() -> Record {
    let changes = StateRecord {
        key: "agent/a1".to_owned(),
        changes: Some(Bytes::from_static(&[8, 1, 18, 2, 8, 1])),
        since: 299,
        ..StateRecord::default()
    };
    Record {
        format: 2,
        states: vec![changes],
        left_out: vec!["agent/a2".to_owned()],
        ..record()
    }
}

/// A state in two parts.
fn chunk_of_parts() -> Piece {
    let part = |state: &'static [u8], goes_on| PackedActor {
        key: "agent/a1".to_owned(),
        as_of: 300,
        state: Bytes::from_static(state),
        deadline_ms: Some(7),
        goes_on,
    };
    Piece {
        format: 2,
        actors: vec![part(&[8], true), part(&[1], false)],
        manifest: None,
    }
}

fn chunk() -> Piece {
    Piece {
        format: 1,
        actors: vec![
            PackedActor {
                key: "agent/a1".to_owned(),
                as_of: 300,
                state: Bytes::from_static(&[8, 1]),
                deadline_ms: None,
                goes_on: false,
            },
            PackedActor {
                key: "agent/a2".to_owned(),
                as_of: 1 << 40,
                state: Bytes::new(),
                deadline_ms: Some(-5),
                goes_on: false,
            },
        ],
        manifest: None,
    }
}

fn manifest() -> Piece {
    Piece {
        format: 1,
        actors: Vec::new(),
        manifest: Some(Manifest {
            chunks: vec![5, 6, 900],
            base: 4,
            floor: 300,
            floor_time_ms: 1_795_163_400_250,
            journal_seq: 977,
            rules: "# none\n".to_owned(),
            rules_version: "0f1e2d3c4b5a6978".to_owned(),
            // As manifests were written before they were kept.
            closed_seq: 0,
            closed_link: bytes::Bytes::new(),
        }),
    }
}

fn delivery_record(facts: Vec<Fact>, piece: Option<delivery::Piece>) -> delivery::Record {
    delivery::Record {
        format: 1,
        epoch: 2,
        number: 77,
        owner: 0xfeed_f00d,
        logic: "0.1.0".to_owned(),
        piece,
        steps: facts.into_iter().map(Step::from).collect(),
        // As records were written before there was one.
        key: bytes::Bytes::new(),
    }
}

/// One fact of each sort that a driver commits.
fn facts() -> Vec<Fact> {
    vec![
        Fact::Cursor(Cursor {
            output: 900,
            dead: 7,
        }),
        Fact::Taken(taken()),
        Fact::Reopened(delivery::Reopened {
            taken: taken(),
            round: 2,
            decision: 8,
        }),
        Fact::Dropped(delivery::Dropped {
            decision: 9,
            case: Case {
                output: 12,
                round: 1,
            },
        }),
        Fact::Started(Started {
            seq: 901,
            at_ms: 1_795_163_400_300,
            probe: true,
            ..Started::default()
        }),
        Fact::Ended(Ended {
            seq: 901,
            note: note(),
            counts: true,
            sign: BreakerSignal::Down.into(),
            again_at_ms: Some(1_795_163_401_000),
            pause_until_ms: Some(1_795_163_402_000),
            handle: Some(r#"{"ts":"1.2"}"#.to_owned()),
            ..Ended::default()
        }),
        Fact::Settled(settled()),
        Fact::Merged(Merged {
            seq: 902,
            by: 903,
            at_ms: 1_795_163_400_400,
        }),
        Fact::Reported(Reported { seq: 901 }),
        Fact::Alarmed(alarmed()),
        Fact::AlarmTold(delivery::AlarmTold {}),
    ]
}

/// A checkpoint's piece.
fn checkpoint() -> Vec<Fact> {
    vec![
        Fact::Checkpoint(Checkpoint {
            cursor: Cursor {
                output: 900,
                dead: 7,
            },
            place_next: 44,
            breaker: BreakerRecord {
                failures_ms: vec![1_795_163_400_000, -1],
                open_until_ms: Some(1_795_163_430_000),
                half_open: true,
            },
            paused_until_ms: i64::MIN,
            free_at_us: 1_795_163_400_000_250,
            unalarmed: alarmed(),
            alarm: Some(alarmed()),
            decided: vec![Case {
                output: 12,
                round: 1,
            }],
            ..Checkpoint::default()
        }),
        Fact::Remembered(Memory {
            key: "alert:Jörg".to_owned(),
            handle: Some("1".to_owned()),
            started_at_ms: Some(1_795_163_400_000),
            newest: 901,
            touched_ms: 1_795_163_400_250,
            ..Memory::default()
        }),
        Fact::Held(Item {
            taken: taken(),
            round: 1,
            place: 43,
            attempts: 2,
            failures: 1,
            unknown: true,
            first_at_ms: Some(1_795_163_400_000),
            due_at_ms: 1_795_163_401_000,
            flight: Some(Started {
                seq: 901,
                at_ms: 1_795_163_400_300,
                probe: false,
                ..Started::default()
            }),
            settled: Some(settled()),
            notes: vec![note()],
            ..Item::default()
        }),
    ]
}

/// What came with ids that a destination calls its own.
fn facts_of_keeping() -> Vec<Fact> {
    let kept = || {
        [
            ("order".to_owned(), "O-7".to_owned()),
            ("b".to_owned(), "Jörg".to_owned()),
        ]
        .into()
    };
    vec![
        Fact::Ended(Ended {
            seq: 901,
            note: note(),
            kept: kept(),
            ..Ended::default()
        }),
        Fact::Held(Item {
            taken: taken(),
            kept: kept(),
            ..Item::default()
        }),
    ]
}

/// What came with credentials that are not accepted.
fn facts_of_access() -> Vec<Fact> {
    vec![
        Fact::Ended(Ended {
            seq: 901,
            note: AttemptRecord {
                seen: Seen::Misconfigured.into(),
                status: 401,
                ..note()
            },
            probe_at_ms: Some(1_795_163_460_500),
            ..Ended::default()
        }),
        Fact::Alarmed(Alarmed {
            reason: Reason::Misconfigured.into(),
            why: "answered 401".to_owned(),
            ..alarmed()
        }),
        Fact::Checkpoint(Checkpoint {
            misconfigured: Some(Misconfigured {
                since_ms: 1_795_163_400_500,
                probe_at_ms: 1_795_163_460_500,
                why: "answered 401".to_owned(),
                output_id: "reward:p:Jörg:gold:1".to_owned(),
                alarmed: true,
            }),
            let_in_from_ms: Some(1_795_163_400_000),
            ..Checkpoint::default()
        }),
        Fact::Held(Item {
            taken: taken(),
            refused_at_ms: Some(1_795_163_400_500),
            asked: true,
            ..Item::default()
        }),
    ]
}

/// What records say of lanes, of outputs that are for several, and of what was said: added to version 1.
fn lanes() -> Vec<Fact> {
    let progress = r#"{"done":true,"left":[{"channel":"C2"}],"refused":[]}"#;
    let names = || vec!["C1".to_owned(), "chat.update".to_owned()];
    vec![
        Fact::Checkpoint(Checkpoint {
            lanes: vec![LaneRecord {
                name: "C1".to_owned(),
                free_at_us: 1_795_163_401_000_000,
                paused_until_ms: 1_795_163_430_000,
            }],
            ..Checkpoint::default()
        }),
        Fact::Remembered(Memory {
            key: "alert:Jörg".to_owned(),
            said: Some(0x0102_0304_0506_0708),
            ..Memory::default()
        }),
        Fact::Held(Item {
            taken: taken(),
            progress: Some(progress.to_owned()),
            ..Item::default()
        }),
        Fact::Started(Started {
            seq: 901,
            lanes: names(),
            ..Started::default()
        }),
        Fact::Ended(Ended {
            seq: 901,
            progress: Some(progress.to_owned()),
            said: Some(0xffff_ffff_ffff_ffff),
            lanes: names(),
            ..Ended::default()
        }),
    ]
}

fn taken() -> Taken {
    Taken {
        spot: None,
        at: 0,
        seq: 901,
        id: "reward:p:Jörg:gold:1".to_owned(),
        subject: "agent/Jörg".to_owned(),
        thread: Some("alert:Jörg".to_owned()),
        stored_at_ms: 1_795_163_400_000,
        at_ms: 1_795_163_400_250,
        event_type: "reward.requested".to_owned(),
        kind: 1,
    }
}

fn note() -> AttemptRecord {
    AttemptRecord {
        attempt: 2,
        started_at_ms: 1_795_163_400_300,
        ended_at_ms: 1_795_163_400_500,
        seen: Seen::Failed.into(),
        status: 503,
        why: "status 503".to_owned(),
        answer: Some("{}".to_owned()),
    }
}

fn settled() -> Settled {
    Settled {
        seq: 901,
        at_ms: 1_795_163_400_600,
        ending: FinalStatus::Rejected.into(),
        reason: Reason::Unsendable.into(),
        why: "too large".to_owned(),
        outcome: Some("rejected".to_owned()),
        response: Some(r#"{"code":7}"#.to_owned()),
    }
}

fn alarmed() -> Alarmed {
    Alarmed {
        number: 3,
        at_ms: 1_795_163_400_600,
        count: 12,
        reason: Reason::Unknown.into(),
        output_id: "reward:p:Jörg:gold:1".to_owned(),
        ..Alarmed::default()
    }
}
