//! What is read in the order in which it was stored, up to now or on and on: outputs, dead letters.
//!
//! A [`Look`] fetches one chunk behind a sequence; [`follow`] strings chunks together.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use aftercall_actors::contract::{key::Side, time::LogTime};
use futures::{StreamExt, stream, stream::BoxStream};
use rusqlite::{Connection, Row, params};
use tokio::sync::watch;

use super::{
    file::{fault, to_sql},
    pool::Pool,
    reads::{CHUNK_BYTES_MAX, headers_and_payload, wait},
};
use crate::log::{DeadPlace, Lane, LogError, PartitionId, Seq, StoredDead, StoredOutput};

/// Rows looked at at a time.
const ROWS_MAX: i64 = 1_000;

/// How often to look for decisions of operators. Most are another process's, and none is in a hurry; so this process's
/// commits, hundreds a second, wake nobody for them.
const DECISIONS_POLL: Duration = Duration::from_millis(200);

/// The next rows behind a sequence that are wanted, and the last sequence looked at: the same one if there are no more.
type Look<T> = Arc<dyn Fn(&Connection, Seq) -> Result<Chunk<T>, LogError> + Send + Sync>;

type Chunk<T> = (VecDeque<T>, Seq);

/// What to do where there is nothing more.
enum AtEnd {
    /// It was asked for what is held.
    Stop,
    /// Wait for a transaction of this process, and look for those of others after this time.
    Wait(watch::Receiver<()>, Duration),
    /// Look again after this time.
    Poll(Duration),
}

/// What has yet to be given, and where it goes on.
struct Line<T> {
    pool: Pool,
    look: Look<T>,
    after: Seq,
    at_end: AtEnd,
    ready: VecDeque<T>,
    ended: bool,
}

fn follow<T: Send + 'static>(
    pool: Pool,
    after: Seq,
    at_end: AtEnd,
    look: impl Fn(&Connection, Seq) -> Result<Chunk<T>, LogError> + Send + Sync + 'static,
) -> BoxStream<'static, Result<T, LogError>> {
    let line = Line {
        pool,
        look: Arc::new(look),
        after,
        at_end,
        ready: VecDeque::new(),
        ended: false,
    };
    stream::unfold(line, |mut line| async move {
        let next = line.next().await?;
        Some((next, line))
    })
    .boxed()
}

impl<T: Send + 'static> Line<T> {
    async fn next(&mut self) -> Option<Result<T, LogError>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(Ok(row));
            }
            if self.ended {
                return None;
            }
            if let AtEnd::Wait(stored, _) = &mut self.at_end {
                // What is stored from here on wakes us, so nothing slips in between the look and the wait.
                stored.borrow_and_update();
            }
            let (after, look) = (self.after, Arc::clone(&self.look));
            match self
                .pool
                .ask(move |connection| look(connection, after))
                .await
            {
                Ok((_, to)) if to == after => match &mut self.at_end {
                    AtEnd::Stop => self.ended = true,
                    AtEnd::Wait(stored, others) => wait(stored, *others).await,
                    AtEnd::Poll(every) => tokio::time::sleep(*every).await,
                },
                Ok((rows, to)) => {
                    self.ready = rows;
                    self.after = to;
                }
                Err(error) => {
                    // Whoever asked for what is held must not take a part of it for all.
                    self.ended = !error.is_transient() || matches!(self.at_end, AtEnd::Stop);
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The last sequence of all outputs, quarantined input included.
pub(super) fn output_last(connection: &Connection) -> Result<Seq, LogError> {
    last(connection, "SELECT max(seq) FROM output")
}

/// The last sequence of the outputs that are no quarantined input, as the marks say.
pub(super) fn kinds_last(connection: &Connection) -> Result<Seq, LogError> {
    last(
        connection,
        "SELECT max(seq) FROM output_mark WHERE lane <> 'dead'",
    )
}

fn last(connection: &Connection, sql: &str) -> Result<Seq, LogError> {
    let last: Option<i64> = connection
        .prepare_cached(sql)
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(fault)?;
    Ok(last.unwrap_or(0).cast_unsigned())
}

/// Outputs after `after` in the lanes wanted, those to come included.
pub(super) fn outputs_tail(
    pool: Pool,
    stored: watch::Receiver<()>,
    others: Duration,
    lanes: &[Lane],
    after: Seq,
) -> BoxStream<'static, Result<StoredOutput, LogError>> {
    let mut wanted = [false; Lane::COUNT];
    for lane in lanes {
        wanted[lane.index()] = true;
    }
    follow(
        pool,
        after,
        AtEnd::Wait(stored, others),
        move |connection, after| outputs(connection, &wanted, after),
    )
}

fn outputs(
    connection: &Connection,
    lanes: &[bool; Lane::COUNT],
    after: Seq,
) -> Result<Chunk<StoredOutput>, LogError> {
    let mut select = connection
        .prepare_cached(
            "SELECT seq, time, partition, lane, headers, payload, commit_number, ordinal FROM output
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )
        .map_err(fault)?;
    let mut rows = select
        .query(params![to_sql(after), ROWS_MAX])
        .map_err(fault)?;
    let mut found = VecDeque::new();
    let mut seq = after;
    while let Some(row) = rows.next().map_err(fault)? {
        seq = sequence(row)?;
        if lanes[lane(row)?.index()] {
            found.push_back(output(row)?);
        }
    }
    Ok((found, seq))
}

/// One output that is no quarantined input.
pub(super) fn output_at(
    connection: &Connection,
    seq: Seq,
) -> Result<Option<StoredOutput>, LogError> {
    let mut select = connection
        .prepare_cached(
            "SELECT seq, time, partition, lane, headers, payload, commit_number, ordinal FROM output
             WHERE seq = ?1 AND lane <> 'dead'",
        )
        .map_err(fault)?;
    let mut rows = select.query([to_sql(seq)]).map_err(fault)?;
    rows.next().map_err(fault)?.map(output).transpose()
}

fn output(row: &Row<'_>) -> Result<StoredOutput, LogError> {
    let seq = sequence(row)?;
    let partition = partition(text(row, 2)?)
        .ok_or_else(|| LogError::Corrupt(format!("output {seq} has no partition")))?;
    let (headers, payload) = headers_and_payload(row, 4, 5)?;
    Ok(StoredOutput {
        seq,
        time: LogTime(row.get(1).map_err(fault)?),
        lane: lane(row)?,
        partition,
        commit: row.get::<_, i64>(6).map_err(fault)?.cast_unsigned(),
        ordinal: row.get(7).map_err(fault)?,
        headers,
        payload,
    })
}

fn lane(row: &Row<'_>) -> Result<Lane, LogError> {
    let name = text(row, 3)?;
    let lane = Lane::all().find(|lane| lane.name() == name);
    lane.ok_or_else(|| LogError::Corrupt(format!("an output is in no lane: {name}")))
}

/// The letters and decisions of a destination after `after`, those to come included.
pub(super) fn dead_tail(
    pool: Pool,
    destination: String,
    after: Seq,
) -> BoxStream<'static, Result<StoredDead, LogError>> {
    let look = letters_of(destination, Seq::MAX);
    follow(pool, after, AtEnd::Poll(DECISIONS_POLL), look)
}

/// The letters and decisions held: of one destination, or of all behind the quarantined input.
pub(super) async fn dead_scan(
    pool: Pool,
    destination: Option<String>,
) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
    // What is held now, and not what is added meanwhile.
    let (outputs, letters) = pool
        .ask(|connection| {
            let letters = last(connection, "SELECT max(seq) FROM dead")?;
            Ok((output_last(connection)?, letters))
        })
        .await?;
    if let Some(destination) = destination {
        let look = letters_of(destination, letters);
        return Ok(follow(pool, 0, AtEnd::Stop, look));
    }
    let quarantined = follow(pool.clone(), 0, AtEnd::Stop, move |connection, after| {
        // The partial index `output_dead` serves this.
        let mut select = connection
            .prepare_cached(
                "SELECT seq, time, partition, lane, headers, payload, commit_number, ordinal FROM output
                 WHERE lane = 'dead' AND seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
            )
            .map_err(fault)?;
        let rows = select
            .query(params![to_sql(after), to_sql(outputs), ROWS_MAX])
            .map_err(fault)?;
        dead_rows(rows, after, |row| output(row).map(StoredDead::quarantined))
    });
    let letters = follow(pool, 0, AtEnd::Stop, move |connection, after| {
        let mut select = connection
            .prepare_cached(
                "SELECT seq, time, destination, message_id, headers, payload FROM dead
                 WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
            )
            .map_err(fault)?;
        let rows = select
            .query(params![to_sql(after), to_sql(letters), ROWS_MAX])
            .map_err(fault)?;
        dead_rows(rows, after, letter)
    });
    Ok(quarantined.chain(letters).boxed())
}

fn letters_of(
    destination: String,
    to: Seq,
) -> impl Fn(&Connection, Seq) -> Result<Chunk<StoredDead>, LogError> + Send + Sync + 'static {
    move |connection, after| {
        let mut select = connection
            .prepare_cached(
                "SELECT seq, time, destination, message_id, headers, payload FROM dead
                 WHERE destination = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4",
            )
            .map_err(fault)?;
        let rows = select
            .query(params![destination, to_sql(after), to_sql(to), ROWS_MAX])
            .map_err(fault)?;
        dead_rows(rows, after, letter)
    }
}

/// One letter or decision of any destination.
pub(super) fn dead_at(connection: &Connection, seq: Seq) -> Result<Option<StoredDead>, LogError> {
    let mut select = connection
        .prepare_cached(
            "SELECT seq, time, destination, message_id, headers, payload FROM dead WHERE seq = ?1",
        )
        .map_err(fault)?;
    let mut rows = select.query([to_sql(seq)]).map_err(fault)?;
    rows.next().map_err(fault)?.map(letter).transpose()
}

/// Rows until there are no more, or a chunk is full.
fn dead_rows(
    mut rows: rusqlite::Rows<'_>,
    after: Seq,
    read: impl Fn(&Row<'_>) -> Result<StoredDead, LogError>,
) -> Result<Chunk<StoredDead>, LogError> {
    let (mut found, mut seq, mut bytes) = (VecDeque::new(), after, 0);
    while bytes < CHUNK_BYTES_MAX
        && let Some(row) = rows.next().map_err(fault)?
    {
        let entry = read(row)?;
        seq = entry.seq;
        bytes += entry.payload.len();
        found.push_back(entry);
    }
    Ok((found, seq))
}

fn letter(row: &Row<'_>) -> Result<StoredDead, LogError> {
    let (headers, payload) = headers_and_payload(row, 4, 5)?;
    Ok(StoredDead {
        seq: sequence(row)?,
        time: LogTime(row.get(1).map_err(fault)?),
        place: DeadPlace::Delivery(text(row, 2)?.to_owned()),
        message_id: text(row, 3)?.to_owned(),
        headers,
        payload,
    })
}

fn sequence(row: &Row<'_>) -> Result<Seq, LogError> {
    Ok(row.get::<_, i64>(0).map_err(fault)?.cast_unsigned())
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, LogError> {
    let value = row.get_ref(column).map_err(fault)?;
    value.as_str().map_err(|error| fault(error.into()))
}

/// A partition from its name, `agent.3`.
fn partition(name: &str) -> Option<PartitionId> {
    let (side, index) = name.split_once('.')?;
    Some(PartitionId {
        side: Side::ALL.into_iter().find(|s| s.name() == side)?,
        index: index.parse().ok()?,
    })
}
