//! What is true of the embedded log alone: its file, several openers, group commit, fences of other processes.

#[path = "sqlite/formats.rs"]
mod formats;

use std::{
    fs,
    num::NonZeroU16,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::log::{
    AppendError, Bounds, CommitError, Destination, EventLog, Headers, Level, LogError, NewEvent,
    PartitionId, retry,
    sqlite::{FILE, PARTITION_COUNT_DEFAULT, SqliteLog, SqliteSettings},
};
use aftercall_actors::contract::key::Side;
use bytes::Bytes;
use rusqlite::Connection;
use tempfile::tempdir;

const PARTITION: PartitionId = PartitionId {
    side: Side::Customer,
    index: 1,
};

/// Tells a copy of this program to be the other process of a test.
const ROLE: &str = "AFTERCALL_TEST_FOLDER";

#[test]
fn a_new_log_has_the_default_partition_count_and_keeps_the_one_it_was_made_with() {
    let folder = tempdir().unwrap();
    assert_eq!(open(folder.path(), None).partition_count(), 8);
    assert_eq!(PARTITION_COUNT_DEFAULT.get(), 8);
    assert_eq!(open(folder.path(), Some(8)).partition_count(), 8);
    let refused = refusal(folder.path(), Some(16));
    assert!(
        refused.contains("made with 8 partitions a side, not 16"),
        "{refused}"
    );
    let other = tempdir().unwrap();
    assert_eq!(open(other.path(), Some(3)).partition_count(), 3);
    assert_eq!(open(other.path(), None).partition_count(), 3);
}

#[test]
fn a_missing_folder_is_made_and_one_that_cannot_be_is_named() {
    let folder = tempdir().unwrap();
    drop(open(&folder.path().join("a/b"), None));
    assert!(folder.path().join("a/b").join(FILE).exists());
    std::fs::write(folder.path().join("file"), b"").unwrap();
    let refused = refusal(&folder.path().join("file/data"), None);
    assert!(refused.contains("cannot make folder"), "{refused}");
    assert!(refused.contains("file/data"), "{refused}");
}

#[test]
fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(FILE);
    let text = b"this is no database, but it is somebody's work, and it is long enough to be looked at as one";
    std::fs::write(&path, text.repeat(20)).unwrap();
    assert!(refusal(folder.path(), None).contains("is not an event log of aftercall"));
    assert_eq!(std::fs::read(&path).unwrap(), text.repeat(20));

    std::fs::remove_file(&path).unwrap();
    let stranger = Connection::open(&path).unwrap();
    stranger
        .execute_batch("CREATE TABLE bill (sum REAL)")
        .unwrap();
    drop(stranger);
    assert!(refusal(folder.path(), None).contains("is not an event log of aftercall"));
}

#[test]
fn a_file_of_another_format_is_refused_with_both_numbers() {
    let folder = tempdir().unwrap();
    drop(open(folder.path(), None));
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    file.pragma_update(None, "user_version", 4).unwrap();
    drop(file);
    let refused = refusal(folder.path(), None);
    assert!(
        refused.contains("has format 4, and this program reads formats 1 to 3"),
        "{refused}"
    );
}

#[tokio::test]
async fn findings_say_that_writes_are_synced_and_name_the_risks() {
    let folder = tempdir().unwrap();
    let log = open(folder.path(), None);
    let findings = log.findings().await.unwrap();
    let found: Vec<_> = findings
        .iter()
        .map(|finding| (finding.level, finding.subject.as_str()))
        .collect();
    let expected = [
        (Level::Good, "file"),
        (Level::Good, "sync mode"),
        // Made by the test, for everyone to look into.
        (Level::Risk, "directory"),
        (Level::Risk, "replicas"),
        (Level::Risk, "retention"),
    ];
    assert_eq!(found, expected);
    assert!(findings[0].text.contains(FILE), "{}", findings[0].text);
    assert!(findings[1].text.contains("journal_mode wal, synchronous 2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_share_a_transaction_and_a_refused_one_takes_none_with_it() {
    let folder = tempdir().unwrap();
    let log = Arc::new(open(folder.path(), None));
    let head = log.journal_append(PARTITION, 0, "0".into()).await.unwrap();
    // While another holds the lock, everything piles up into one transaction.
    let holder = Connection::open(folder.path().join(FILE)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut writes = Vec::new();
    for n in 0..20_u16 {
        let log = Arc::clone(&log);
        writes.push(tokio::spawn(async move {
            let stored = log.append(vec![event(&n.to_string())]).await.remove(0);
            let partition = PartitionId {
                index: n % 2,
                ..PARTITION
            };
            // Partition 1 has a head already: expecting none is wrong there, and right once in partition 0.
            let committed = log.journal_append(partition, 0, "late".into()).await;
            (
                stored.unwrap().position,
                committed.map_err(|e| e.to_string()),
            )
        }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(writes.iter().all(|write| !write.is_finished()));
    holder.execute_batch("COMMIT").unwrap();
    let mut positions = Vec::new();
    let mut won = 0;
    for write in writes {
        let (position, committed) = write.await.unwrap();
        positions.push(position);
        match committed {
            Ok(seq) => won += usize::from(seq > head),
            Err(text) => assert_eq!(text, CommitError::Fenced.to_string()),
        }
    }
    positions.sort_unstable();
    assert_eq!(positions, (1..=20).collect::<Vec<_>>());
    assert_eq!(won, 1);
    let head_now = log.journal_head(PARTITION).await.unwrap().unwrap();
    assert_eq!((head_now.seq, &head_now.bytes[..]), (head, &b"0"[..]));
    let times: i64 = holder
        .query_row(
            "SELECT count(DISTINCT first_position) FROM message_id",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(
        times < 20,
        "{times} transactions for 20 appends that waited"
    );
}

#[tokio::test]
async fn a_message_id_is_known_to_whoever_opens_the_file_next() {
    let folder = tempdir().unwrap();
    let first = open(folder.path(), None);
    let second = open(folder.path(), None);
    first
        .append(vec![event("a"), event("b")])
        .await
        .remove(0)
        .unwrap();
    second.append(vec![event("c")]).await.remove(0).unwrap();
    // The second has stored one itself, and must still learn of those of others.
    first.append(vec![event("d")]).await.remove(0).unwrap();
    for log in [first, second, open(folder.path(), None)] {
        let again = log.append(["a", "b", "c", "d"].map(event).to_vec()).await;
        let again: Vec<_> = again
            .into_iter()
            .map(|answer| answer.map(|a| (a.position, a.duplicate)).unwrap())
            .collect();
        assert_eq!(again, [(1, true), (2, true), (3, true), (4, true)]);
    }
}

#[tokio::test]
async fn a_message_id_is_forgotten_after_its_window() {
    let folder = tempdir().unwrap();
    let log = open(folder.path(), None);
    log.append(vec![event("a"), event("b")])
        .await
        .remove(0)
        .unwrap();
    drop(log);
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    let age = |ms: i64| {
        file.execute("UPDATE message_id SET time = time - ?1", [ms])
            .unwrap();
    };
    age(110_000);
    let answer = open(folder.path(), None).append(vec![event("a")]).await;
    assert!(answer[0].as_ref().unwrap().duplicate);
    age(10_001);
    let answer = open(folder.path(), None).append(vec![event("a")]).await;
    let answer = answer[0].as_ref().unwrap();
    assert_eq!((answer.position, answer.duplicate), (3, false));
}

#[tokio::test]
async fn log_time_goes_on_at_the_pace_of_real_time_while_the_clock_is_behind_it() {
    let folder = tempdir().unwrap();
    let log = open(folder.path(), None);
    // An hour, and more than what the test takes until it is measured against.
    let ahead = log.now().plus_ms(3_630_000);
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    file.execute("UPDATE meta SET last_time = ?1", [ahead.0])
        .unwrap();
    log.append(vec![event("a")]).await.remove(0).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    log.append(vec![event("b")]).await.remove(0).unwrap();
    let time = async |position| log.event_at(position).await.unwrap().unwrap().time;
    let passed = time(2).await.since_ms(time(1).await);
    assert_eq!(time(1).await, ahead);
    assert!((50..5_000).contains(&passed), "{passed} ms");
    assert!(
        log.clock_note()
            .is_some_and(|note| note.contains("1 h 0 min behind"))
    );
    // As the next process finds it.
    drop(log);
    let log = open(folder.path(), None);
    assert!(log.now() >= ahead.plus_ms(50));
}

#[tokio::test]
async fn an_event_lost_from_the_middle_is_a_gap_and_from_the_end_too() {
    let folder = tempdir().unwrap();
    let log = open(folder.path(), None);
    log.append(["a", "b", "c", "d"].map(event).to_vec()).await;
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    file.execute("DELETE FROM event WHERE position = 2", [])
        .unwrap();
    let mut reader = log.read(1).await.unwrap();
    assert_eq!(reader.next(10).await.unwrap().len(), 1);
    let gap = reader.next(10).await.unwrap_err();
    assert!(
        matches!(
            gap,
            LogError::Gap {
                expected: 2,
                found: 3
            }
        ),
        "{gap}"
    );
    file.execute("DELETE FROM event WHERE position > 2", [])
        .unwrap();
    let gap = reader.next(10).await.unwrap_err();
    assert!(
        matches!(
            gap,
            LogError::Gap {
                expected: 2,
                found: 5
            }
        ),
        "{gap}"
    );
}

#[tokio::test]
async fn what_is_committed_moves_into_the_file_long_before_the_writer_would_have_to() {
    let folder = tempdir().unwrap();
    let log = open(folder.path(), None);
    for _ in 0..12 {
        let chunk = Bytes::from(vec![1; 1 << 20]);
        log.snapshot_append(PARTITION, chunk).await.unwrap();
    }
    let path = folder.path().join(FILE);
    let moved = || std::fs::metadata(&path).unwrap().len() >= 8 << 20;
    for _ in 0..1_000 {
        if moved() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("12 MiB committed, and the file still has less than 8");
}

/// A second process appends, commits over our head, and is killed without a chance to clean up.
#[tokio::test]
async fn another_process_is_seen_at_once_fences_ours_and_may_be_killed() {
    let folder = tempdir().unwrap();
    let log = open(folder.path(), None);
    let head = log
        .journal_append(PARTITION, 0, "ours".into())
        .await
        .unwrap();
    let mut reader = log.read(1).await.unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_other_process", "--ignored", "--nocapture"])
        .env(ROLE, folder.path())
        .spawn()
        .unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(20), async {
        let mut seen = 0;
        while seen < 50 {
            seen += reader.next(100).await.unwrap().len();
        }
        seen
    });
    let seen = seen.await.expect("events of the other process");
    other.kill().unwrap();
    other.wait().unwrap();
    let stale = log.journal_append(PARTITION, head, "late".into()).await;
    assert!(matches!(stale, Err(CommitError::Fenced)), "{stale:?}");
    let theirs = log.journal_head(PARTITION).await.unwrap().unwrap();
    assert_eq!(&theirs.bytes[..], b"theirs");
    // Everything it has stored is whole, and we go on behind it.
    let Bounds { last, .. } = log.bounds().await.unwrap();
    let ours = log.append(vec![event("ours")]).await.remove(0).unwrap();
    assert_eq!((ours.position, ours.duplicate), (last + 1, false));
    let mut reader = log.read(seen as u64).await.unwrap();
    let mut next = seen as u64;
    while next <= last + 1 {
        for event in reader.next(1_000).await.unwrap() {
            assert_eq!(event.position, next);
            next += 1;
        }
    }
}

/// Not a test: what the other process of the one above does, until it is killed.
#[tokio::test]
#[ignore = "run by another_process_is_seen_at_once_fences_ours_and_may_be_killed"]
async fn the_other_process() {
    let Some(folder) = std::env::var_os(ROLE) else {
        return;
    };
    let log = open(Path::new(&folder), None);
    let head = log.journal_head(PARTITION).await.unwrap().unwrap().seq;
    log.journal_append(PARTITION, head, "theirs".into())
        .await
        .unwrap();
    for n in 0..100_000 {
        log.append(vec![event(&format!("other-{n}"))])
            .await
            .remove(0)
            .unwrap();
    }
}

/// What is written into a file that is no longer there is not answered, and the log says so for good.
#[tokio::test]
async fn nothing_is_acknowledged_once_the_file_was_removed_or_replaced() {
    for how in [
        "removed",
        "moved",
        "replaced",
        "the write-ahead log removed",
        "cut",
    ] {
        let folder = tempdir().unwrap();
        let data = folder.path().join("data");
        let log = open(&data, None);
        log.append(vec![event("a")]).await.remove(0).unwrap();
        assert_eq!(log.fault(), None);
        match how {
            "removed" => fs::remove_dir_all(&data).unwrap(),
            "moved" => fs::rename(&data, folder.path().join("elsewhere")).unwrap(),
            "replaced" => {
                fs::rename(&data, folder.path().join("elsewhere")).unwrap();
                open(&data, None).append(vec![event("b")]).await;
            }
            "cut" => {
                let file = fs::File::options().write(true).open(data.join(FILE));
                file.unwrap().set_len(20_000).unwrap();
            }
            _ => fs::remove_file(data.join(format!("{FILE}-wal"))).unwrap(),
        }
        let unanswered = log.append(vec![event("c")]).await.remove(0);
        assert!(
            matches!(unanswered, Err(AppendError::Unknown(_))),
            "{how}: {unanswered:?}"
        );
        // Asking again is no use, however much patience there is.
        let (since, patience) = (Instant::now(), Duration::from_secs(60));
        let unanswered = retry::append(&log, vec![event("d")], patience).await;
        assert!(
            unanswered[0].is_err() && since.elapsed() < patience / 2,
            "{how}"
        );
        let fault = log.fault().expect("a fault");
        assert!(fault.contains("while it was open"), "{how}: {fault}");
        // It stays so, whatever comes to the path.
        if how == "removed" {
            drop(open(&data, None));
            assert_eq!(log.fault(), Some(fault));
        }
    }
}

#[test]
fn a_file_without_its_end_is_damaged_and_an_empty_one_is_no_new_log() {
    let folder = tempdir().unwrap();
    let file = folder.path().join(FILE);
    drop(open(folder.path(), None));
    // The last connection has moved everything into the file.
    let until = Instant::now() + Duration::from_secs(5);
    while folder.path().join(format!("{FILE}-wal")).exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    let whole = fs::read(&file).unwrap();
    for kept in [whole.len() - 1, whole.len() / 2, 100, 50, 16] {
        fs::write(&file, &whole[..kept]).unwrap();
        let text = damage(folder.path());
        assert!(text.contains("is damaged"), "{kept}: {text}");
        assert!(
            text.contains(&format!("{kept} bytes of {}", whole.len())) || kept < 100,
            "{kept}: {text}"
        );
    }
    fs::write(&file, b"").unwrap();
    let text = damage(folder.path());
    assert!(text.contains("is empty, and a log never is"), "{text}");
    assert_eq!(fs::read(&file).unwrap(), b"", "left as it is");
    fs::write(&file, &whole).unwrap();
    fs::write(folder.path().join(format!("{FILE}-shm")), b"x").unwrap();
    let text = damage(folder.path());
    assert!(text.contains("-wal is gone"), "{text}");
    fs::remove_file(folder.path().join(format!("{FILE}-shm"))).unwrap();
    drop(open(folder.path(), None));
}

fn damage(folder: &Path) -> String {
    match SqliteLog::open(folder, settings(None)) {
        Err(LogError::Corrupt(text)) => text,
        other => panic!("expected damage, got {other:?}"),
    }
}

#[test]
fn two_that_make_a_log_at_once_make_one() {
    for _ in 0..10 {
        let folder = tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| drop(open(folder.path(), None)));
            }
        });
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect();
        assert_eq!(names, [FILE]);
    }
}

fn open(folder: &Path, partition_count: Option<u16>) -> SqliteLog {
    SqliteLog::open(folder, settings(partition_count)).expect("opens")
}

fn refusal(folder: &Path, partition_count: Option<u16>) -> String {
    match SqliteLog::open(folder, settings(partition_count)) {
        Err(LogError::Settings(text)) => text,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn settings(partition_count: Option<u16>) -> SqliteSettings {
    SqliteSettings {
        partition_count: partition_count.and_then(NonZeroU16::new),
    }
}

fn event(name: &str) -> NewEvent {
    NewEvent {
        destination: Destination::All {
            event_type: "tick".into(),
        },
        headers: Headers::Empty,
        payload: Bytes::copy_from_slice(name.as_bytes()),
        message_id: name.to_owned(),
    }
}
