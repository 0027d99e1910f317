//! What was once stored stays readable: records and snapshots of every format version, as bytes (`tests/golden`).
//!
//! The files are never changed. A new format version gets a new file, written from the values below with
//! `WRITE_GOLDEN=1 cargo test --test golden`, which leaves files that exist alone. The stored actors inside have
//! golden files of their own, in the crate `actors`.

use std::{fs, path::PathBuf};

use aftercall::{
    log::Lane,
    shard::{
        checksum,
        record::{self, OutputRecord, Record, RecordError, StateRecord},
        snapshot::{self, Manifest, PackedActor, Piece},
    },
};
use aftercall_actors::output::Kind;
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

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let newer = Record {
        format: record::FORMAT + 1,
        ..record()
    };
    assert!(matches!(
        Record::read(&newer.to_bytes()),
        Err(RecordError::Newer(format)) if format == record::FORMAT + 1
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
fn the_formats_written_now_have_golden_files() {
    for name in [
        format!("record-v{}.bin", record::FORMAT),
        format!("snapshot-chunk-v{}.bin", snapshot::FORMAT),
        format!("snapshot-manifest-v{}.bin", snapshot::FORMAT),
    ] {
        assert!(folder().join(&name).exists(), "{name}");
    }
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
        }],
        genesis_rules: "version = \"2026-11\"\n".to_owned(),
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
            },
            PackedActor {
                key: "agent/a2".to_owned(),
                as_of: 1 << 40,
                state: Bytes::new(),
                deadline_ms: Some(-5),
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
        }),
    }
}
