//! The file: its tables, how a connection to it is set up, and how its faults are named.
//!
//! Anyone may open it with an SQL tool, so tables and columns carry the words of the design. Partitions are
//! written as in subjects (`agent.3`), lanes by name, times in milliseconds since 1970.

use std::{
    fs, io,
    num::NonZeroU16,
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use aftercall_actors::contract::time::LogTime;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::place;
use crate::log::{LogError, private};

/// Name of the file in its folder.
pub const FILE: &str = "aftercall.db";

/// Version of the tables below. A file of version 1, which lacks [`DELIVERY_TABLES`], or 2, which lacks [`OWN`], is given
/// them when it is opened; a program from before reads it no more.
const FORMAT: i64 = 3;

/// Marks the file as ours, in SQLite's header: `aftc`.
const APPLICATION: i64 = 0x6166_7463;

/// How long to wait for another process's transaction. Group commit keeps them to some ten milliseconds.
const BUSY: Duration = Duration::from_secs(10);

/// Larger than SQLite's default: fewer overflow pages for records of 64 KB, less waste beside events of 1 KB.
const PAGE_BYTES: u32 = 8192;

/// Pages in the write-ahead log at which a commit finishes what `checkpoint` has left over: 64 MiB.
const CHECKPOINT_PAGES: u32 = 8192;

/// A write-ahead log that grew beyond this while something held it is cut back to it, in bytes.
const WAL_BYTES_KEPT: u32 = 128 << 20;

/// Events are found by position and read in order; everything else hangs on an integer key as well. Message ids
/// stand in one row per transaction, 16 bytes each, in order of position: an index over them would turn every
/// append into as many random writes as it has events.
const TABLES: &str = "
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    partition_count INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    last_time INTEGER NOT NULL
) STRICT;
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    agent INTEGER,
    customer INTEGER,
    headers BLOB NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE message_id (
    first_position INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    hashes BLOB NOT NULL
) STRICT;
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    partition TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX journal_partition ON journal (partition);
CREATE TABLE snapshot (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    partition TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX snapshot_partition ON snapshot (partition);
CREATE TABLE output (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    partition TEXT NOT NULL,
    lane TEXT NOT NULL,
    commit_number INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    headers BLOB NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE output_mark (
    partition TEXT NOT NULL,
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    commit_number INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (partition, lane)
) STRICT, WITHOUT ROWID;
";

/// What version 2 has besides: the records by which deliveries go on after a restart, trimmed behind their
/// checkpoints, so numbers are never given again; and the dead letters, each message id of a destination once. The
/// quarantined input among the outputs gets an index, since it is listed with them.
const DELIVERY_TABLES: &str = "
CREATE TABLE delivery (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX delivery_destination ON delivery (destination);
CREATE TABLE dead (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    destination TEXT NOT NULL,
    message_id TEXT NOT NULL,
    headers BLOB NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX dead_destination ON dead (destination);
CREATE UNIQUE INDEX dead_message_id ON dead (destination, message_id);
CREATE INDEX output_dead ON output (lane) WHERE lane = 'dead';
";

/// What version 3 has besides: whether an event stands in the service's own place. Rows from before have no answer.
const OWN: &str = "ALTER TABLE event ADD COLUMN own INTEGER";

/// Opens the file for writing, makes it if there is none, and checks that it is ours. Returns the connection and
/// the partitions a side.
///
/// # Errors
/// [`LogError::Settings`] if it is another program's, of another version, or was made with another partition count.
pub(super) fn open_to_write(
    path: &Path,
    wanted: Option<NonZeroU16>,
    default: NonZeroU16,
) -> Result<(Connection, u16), LogError> {
    if !path.exists() {
        make(path, wanted.unwrap_or(default))?;
    }
    place::check(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)
        .map_err(|error| LogError::Settings(format!("cannot open {}: {error}", path.display())))?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    refuse_a_stranger(&connection, path)?;
    switch_to_wal(&connection, path)?;
    // Each commit is on the disk before it is answered.
    let settings = [
        ("synchronous", "FULL"),
        ("wal_autocheckpoint", &CHECKPOINT_PAGES.to_string()),
        ("journal_size_limit", &WAL_BYTES_KEPT.to_string()),
        ("cache_size", "-16384"),
    ];
    for (name, value) in settings {
        connection.pragma_update(None, name, value).map_err(fault)?;
    }
    connection.set_prepared_statement_cache_capacity(32);

    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(fault)?;
    // Looked at once more under the lock: another process may have come first.
    match number(&transaction, "user_version")? {
        0 => make_tables(&transaction, wanted.unwrap_or(default)).map_err(fault)?,
        format @ (1 | 2) => {
            bring_up_to_date(&transaction, format).map_err(fault)?;
            tracing::info!(path = %path.display(), "embedded log brought from format {format} to {FORMAT}");
        }
        _ => {}
    }
    let partition_count: u16 = transaction
        .query_row("SELECT partition_count FROM meta", [], |row| row.get(0))
        .map_err(fault)?;
    transaction.commit().map_err(fault)?;
    match wanted {
        Some(wanted) if wanted.get() != partition_count => Err(LogError::Settings(format!(
            "{} was made with {partition_count} partitions a side, not {wanted}; the number is fixed for a log's life",
            path.display()
        ))),
        Some(_) | None => Ok((connection, partition_count)),
    }
}

/// Makes a new file beside its place and puts it there whole, so that whatever stands there has once been a log. If
/// another process comes first, its file stands.
fn make(path: &Path, count: NonZeroU16) -> Result<(), LogError> {
    let cannot = |error: &dyn std::fmt::Display| {
        LogError::Settings(format!("cannot make {}: {error}", path.display()))
    };
    let made = place::beside(path, &format!(".{}-{}", process::id(), nonce()));
    private::open(&made).map_err(|error| cannot(&error))?;
    let mut connection = Connection::open(&made).map_err(|error| cannot(&error))?;
    let done = connection
        .pragma_update(None, "page_size", PAGE_BYTES)
        .and_then(|()| {
            let transaction = connection.transaction()?;
            make_tables(&transaction, count)?;
            transaction.commit()
        });
    drop(connection);
    if let Err(error) = done {
        let _ = fs::remove_file(&made);
        return Err(cannot(&error));
    }
    let placed = match fs::hard_link(&made, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links.
        Err(_) if !path.exists() => fs::rename(&made, path),
        linked => linked,
    };
    // Gone already where it was renamed.
    let _ = fs::remove_file(&made);
    placed.map_err(|error| cannot(&error))?;
    // The name is on the disk before anything is promised of what it names.
    if let Some(folder) = path.parent()
        && let Ok(folder) = fs::File::open(folder)
    {
        folder.sync_all().map_err(|error| cannot(&error))?;
    }
    Ok(())
}

/// Closes the file to others, if there is one, and those beside it, to which SQLite gives the same rights.
pub(super) fn make_private(path: &Path) -> Result<(), LogError> {
    let unusable = |error: std::io::Error| {
        LogError::Settings(format!("cannot open {}: {error}", path.display()))
    };
    private::close_to_others(path).map_err(unusable)?;
    for end in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(end);
        private::close_to_others(Path::new(&beside)).map_err(unusable)?;
    }
    Ok(())
}

/// Tells two that are made at once by one process.
fn nonce() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// One more connection, for moving what is committed into the file.
pub(super) fn open_to_checkpoint(path: &Path) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(fault)?;
    Ok(connection)
}

/// One more connection, for reading only.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// What a fault of SQLite means to whoever uses the log.
pub(super) fn fault(error: rusqlite::Error) -> LogError {
    let text = error.to_string();
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => LogError::Corrupt(text),
        other => match other.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => LogError::Corrupt(text),
            // A full disk, a lock held too long, a failed read: can pass.
            Some(_) | None => LogError::Unreachable(text),
        },
    }
}

/// The time that the log has come to; long ago in a new one.
pub(super) fn last_time(connection: &Connection) -> Result<LogTime, LogError> {
    connection
        .query_row("SELECT last_time FROM meta", [], |row| row.get(0))
        .map(LogTime)
        .map_err(fault)
}

/// An integer as SQLite takes it. Nothing here grows beyond 63 bits; a bound "as far as there is" may.
pub(super) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn refuse_a_stranger(connection: &Connection, file: &Path) -> Result<(), LogError> {
    let path = file.display();
    let not_ours = || LogError::Settings(format!("{path} is not an event log of aftercall"));
    let application = number(connection, "application_id").map_err(|error| match error {
        LogError::Corrupt(_) if !place::is_sqlite(file) => not_ours(),
        LogError::Corrupt(why) => LogError::Corrupt(format!(
            "{} is damaged: {why}; put it back from a copy",
            file.display()
        )),
        other => other,
    })?;
    let format = number(connection, "user_version")?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fault)?;
    match (application, format, tables) {
        (0, 0, 0) | (APPLICATION, 1..=FORMAT, _) => Ok(()),
        (APPLICATION, ..) => Err(LogError::Settings(format!(
            "{path} has format {format}, and this program reads formats 1 to {FORMAT}: use the program that made it, or start a new folder"
        ))),
        _ => Err(not_ours()),
    }
}

/// Readers and the writer do not wait for each other in this mode. SQLite answers "busy" at once when two
/// processes switch a new file at the same moment, so it is tried again.
fn switch_to_wal(connection: &Connection, path: &Path) -> Result<(), LogError> {
    let began = Instant::now();
    loop {
        let answer: Result<String, _> =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match answer {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(LogError::Settings(format!(
                    "{} stays in journal mode {mode}: its file system cannot hold a write-ahead log",
                    path.display()
                )));
            }
            Err(error) if is_busy(&error) && began.elapsed() < BUSY => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(fault(error)),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn make_tables(transaction: &Transaction<'_>, count: NonZeroU16) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLES)?;
    transaction.execute("INSERT INTO meta VALUES (1, ?1, 0, 0)", [count.get()])?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    bring_up_to_date(transaction, 1)
}

/// From an older version to this one. What stands in the tables is not touched.
fn bring_up_to_date(transaction: &Transaction<'_>, format: i64) -> rusqlite::Result<()> {
    if format < 2 {
        transaction.execute_batch(DELIVERY_TABLES)?;
    }
    transaction.execute_batch(OWN)?;
    transaction.pragma_update(None, "user_version", FORMAT)
}

fn number(connection: &Connection, pragma: &str) -> Result<i64, LogError> {
    connection
        .pragma_query_value(None, pragma, |row| row.get(0))
        .map_err(fault)
}
