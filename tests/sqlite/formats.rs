//! Files of an earlier format: brought up where they are, whole or not at all, and nothing in them disturbed.

use std::{path::Path, time::Duration};

use aftercall::log::{
    CommitError, EventLog, Headers, Lane, LaneFences, NewDead, NewOutput, OutputMark, PartitionId,
    Speaker,
    sqlite::{FILE, SqliteLog, SqliteSettings},
};
use aftercall_actors::contract::{key::Side, output::Kind};
use bytes::Bytes;
use futures::TryStreamExt;
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

/// The tables there were, and the order that makes a listing of each one repeatable.
const TABLES_1: [(&str, &str); 7] = [
    ("meta", "one"),
    ("event", "position"),
    ("message_id", "first_position"),
    ("journal", "seq"),
    ("snapshot", "seq"),
    ("output", "seq"),
    ("output_mark", "partition, lane"),
];

const AGENT_0: PartitionId = PartitionId {
    side: Side::Agent,
    index: 0,
};
const ALERT: Lane = Lane::Out(Kind::Alert);

#[tokio::test]
async fn a_file_of_format_1_is_brought_up_in_place_and_nothing_in_it_changes() {
    let folder = format_1();
    let before = listing(folder.path());
    let log = SqliteLog::open(folder.path(), SqliteSettings::default()).unwrap();
    assert_eq!(listing(folder.path()), before);
    assert_eq!(version(folder.path()), 3);

    assert_eq!(log.partition_count(), 4);
    assert_eq!(log.bounds().await.unwrap().last, 2);
    // Whose they are was not kept then.
    for position in [1, 2] {
        let event = log.event_at(position).await.unwrap().unwrap();
        assert_eq!(event.speaker, Speaker::Unknown);
    }
    let mark = |seq, commit, ordinal| {
        Some(OutputMark {
            seq,
            commit,
            ordinal,
        })
    };
    assert_eq!(
        log.output_mark(AGENT_0, ALERT).await.unwrap(),
        mark(3, 2, 0)
    );
    assert_eq!(
        log.output_mark(AGENT_0, Lane::Dead).await.unwrap(),
        mark(2, 1, 1)
    );
    assert_eq!(log.outputs_last().await.unwrap(), 4);
    let dead: Vec<_> = log
        .dead_scan(None)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let ids: Vec<_> = dead
        .iter()
        .map(|entry| entry.headers.get("ce-id"))
        .collect();
    assert_eq!(ids, [Some("dead:1")]);

    // The shards go on where they were, and delivery begins.
    assert_eq!(
        log.journal_append(AGENT_0, 3, Bytes::new()).await.unwrap(),
        4
    );
    let mut fences: LaneFences = [0; Lane::COUNT];
    fences[ALERT.index()] = 3;
    let next = NewOutput {
        lane: ALERT,
        commit: 3,
        ordinal: 0,
        attributes: vec![("ce-id", "a3".to_owned())],
        payload: Bytes::from_static(b"{}"),
    };
    assert_eq!(
        log.outputs_append(AGENT_0, &mut fences, &[next])
            .await
            .unwrap(),
        1
    );
    assert_eq!(fences[ALERT.index()], 5);
    let first = log
        .delivery_append("crm", 0, Bytes::from_static(b"1"))
        .await
        .unwrap();
    let stale = log
        .delivery_append("crm", 0, Bytes::from_static(b"1"))
        .await;
    assert!(matches!(stale, Err(CommitError::Fenced)), "{stale:?}");
    let letter = NewDead {
        message_id: "l".to_owned(),
        headers: Headers::Empty,
        payload: Bytes::new(),
    };
    log.dead_append("crm", letter).await.unwrap();
    drop(log);

    // Opened again it is what it is.
    let log = SqliteLog::open(folder.path(), SqliteSettings::default()).unwrap();
    assert_eq!(
        log.delivery_head("crm").await.unwrap().map(|head| head.seq),
        Some(first)
    );
}

#[test]
fn a_file_that_cannot_be_brought_up_whole_stays_as_it_was() {
    let folder = format_1();
    let file = connection(folder.path());
    // Comes in the way of the second of the new tables.
    file.execute_batch("CREATE TABLE dead (mine TEXT)").unwrap();
    drop(file);
    let before = (listing(folder.path()), schema(folder.path()));
    let opened = SqliteLog::open(folder.path(), SqliteSettings::default());
    assert!(opened.is_err(), "{opened:?}");
    assert_eq!((listing(folder.path()), schema(folder.path())), before);
    assert_eq!(version(folder.path()), 1);
}

#[test]
fn a_new_file_and_one_brought_up_have_the_same_tables() {
    let (old, new) = (format_1(), tempdir().unwrap());
    // As the program of format 2 left its own: what format 3 adds is not there yet.
    let middle = format_1();
    SqliteLog::open(middle.path(), SqliteSettings::default()).unwrap();
    let file = connection(middle.path());
    file.execute_batch("ALTER TABLE event DROP COLUMN own; PRAGMA user_version = 2")
        .unwrap();
    drop(file);
    for folder in [&old, &middle, &new] {
        SqliteLog::open(folder.path(), SqliteSettings::default()).unwrap();
        assert_eq!(version(folder.path()), 3);
    }
    assert_eq!(schema(old.path()), schema(new.path()));
    assert_eq!(schema(middle.path()), schema(new.path()));
}

#[test]
fn quarantined_input_is_listed_without_reading_every_output() {
    let folder = format_1();
    SqliteLog::open(folder.path(), SqliteSettings::default()).unwrap();
    let plan: String = connection(folder.path())
        .query_row(
            "EXPLAIN QUERY PLAN SELECT payload FROM output
             WHERE lane = 'dead' AND seq > 0 AND seq <= 9 ORDER BY seq LIMIT 10",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("USING INDEX output_dead"), "{plan}");
}

fn format_1() -> TempDir {
    let folder = tempdir().unwrap();
    connection(folder.path())
        .execute_batch(include_str!("format_1.sql"))
        .unwrap();
    folder
}

fn connection(folder: &Path) -> Connection {
    let file = Connection::open(folder.join(FILE)).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    file
}

fn version(folder: &Path) -> i64 {
    connection(folder)
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

/// Every row of every table of format 1.
fn listing(folder: &Path) -> Vec<String> {
    let file = connection(folder);
    let mut list = Vec::new();
    for (table, order) in TABLES_1 {
        let mut select = file
            .prepare(&format!(
                "SELECT {} FROM {table} ORDER BY {order}",
                match table {
                    "event" => "position, time, agent, customer, headers, payload",
                    _ => "*",
                }
            ))
            .unwrap();
        let columns = select.column_count();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|n| row.get_ref(n).unwrap()).collect();
            list.push(format!("{table} {values:?}"));
        }
    }
    list
}

/// What there is, with the words it was made with.
fn schema(folder: &Path) -> Vec<(String, Option<String>)> {
    let file = connection(folder);
    let mut select = file
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
        .unwrap();
    select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}
