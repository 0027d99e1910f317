//! What the embedded log survives and what it does not, for `doctor` and the start of `run`.

use std::{fs, path::Path};

use super::{SqliteLog, file};
use crate::log::{Finding, Level, LogError, private};

/// Looks at the settings of the connections in use.
pub(super) async fn of(log: &SqliteLog) -> Result<Vec<Finding>, LogError> {
    let journal_mode: String = log
        .pool
        .ask(|connection| {
            connection
                .pragma_query_value(None, "journal_mode", |row| row.get(0))
                .map_err(file::fault)
        })
        .await?;
    // A setting of the connection that writes, so that one must be asked.
    let synchronous = log.writer.write(0, |batch| batch.synchronous()).await?;
    let is_safe = journal_mode == "wal" && synchronous == 2;
    let finding = |level, subject: &str, text: String| Finding {
        level,
        subject: subject.into(),
        text,
    };
    Ok(vec![
        finding(
            Level::Good,
            "file",
            format!(
                "{}, {} bytes, {} partitions a side, SQLite {}",
                log.path.display(),
                size_bytes(&log.path),
                log.partition_count,
                rusqlite::version()
            ),
        ),
        finding(
            if is_safe { Level::Good } else { Level::Bad },
            "sync mode",
            format!(
                "journal_mode {journal_mode}, synchronous {synchronous}: a write is answered once it is on the disk only with wal and 2 (FULL)"
            ),
        ),
        match log.path.parent().filter(|dir| private::is_open_to_others(dir)) {
            Some(dir) => finding(
                Level::Risk,
                "directory",
                format!(
                    "{} can be looked into by other users of this machine; its files are the service's alone, and chmod 700 closes the directory too",
                    dir.display()
                ),
            ),
            None => finding(
                Level::Good,
                "directory",
                "no other user of this machine can look into it".into(),
            ),
        },
        finding(
            Level::Risk,
            "replicas",
            "one machine, one disk: survives a crash and a power failure, not the loss of the disk; for more use NATS with three replicas".into(),
        ),
        finding(
            Level::Risk,
            "retention",
            "nothing is removed but old snapshots, and journal and delivery records that a snapshot or checkpoint stands in for: the file grows with every event and output, so watch the disk".into(),
        ),
    ])
}

/// Size of the file and of its write-ahead log, in bytes.
fn size_bytes(path: &Path) -> u64 {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    length(path) + length(Path::new(&wal))
}
