//! Everything that is read from the file: events, journal records, snapshot chunks, outputs.
//!
//! Long reads go in chunks, so that none holds a thread or the write-ahead log for long. Whoever waits for more
//! is woken by this process's writer, and looks every few milliseconds for what other processes have stored.

use std::{collections::VecDeque, time::Duration};

use aftercall_actors::{key::Side, time::LogTime};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream, stream::BoxStream};
use rusqlite::{Connection, OptionalExtension, Row, params, types::ValueRef};
use tokio::sync::watch;

use super::{
    file::{fault, to_sql},
    pool::{Answer, Pool, received},
};
use crate::log::{
    Bounds, EventReader, Headers, Lane, LogError, PartitionId, Position, RawEvent, Route, Seq,
    Stored, StoredOutput,
};

/// How often to look for what another process has stored.
const POLL: Duration = Duration::from_millis(5);

/// A chunk is cut once it has this many bytes.
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// Journal records or snapshot chunks read at a time.
const RECORDS_MAX: i64 = 256;

/// Outputs looked at at a time.
const OUTPUTS_MAX: i64 = 1_000;

pub(super) fn bounds(connection: &Connection) -> Result<Bounds, LogError> {
    connection
        .prepare_cached(
            "SELECT coalesce((SELECT min(position) FROM event), last_position + 1), last_position FROM meta",
        )
        .and_then(|mut select| {
            select.query_row([], |row| {
                Ok(Bounds {
                    first: row.get::<_, i64>(0)?.cast_unsigned(),
                    last: row.get::<_, i64>(1)?.cast_unsigned(),
                })
            })
        })
        .map_err(fault)
}

/// At most `max` events from `from` on without a hole; none if there are none yet.
pub(super) fn events(
    connection: &mut Connection,
    from: Position,
    max: usize,
) -> Result<Vec<RawEvent>, LogError> {
    // One view of the file for the events and, if there are none, for the reason.
    let view = connection.transaction().map_err(fault)?;
    let mut select = view
        .prepare_cached(
            "SELECT position, time, agent, customer, headers, payload FROM event
             WHERE position >= ?1 ORDER BY position LIMIT ?2",
        )
        .map_err(fault)?;
    let mut rows = select
        .query(params![to_sql(from), to_sql(max as u64)])
        .map_err(fault)?;
    let mut events = Vec::with_capacity(max.min(1024));
    let mut bytes = 0;
    let mut expected = from;
    while bytes < CHUNK_BYTES_MAX
        && let Some(row) = rows.next().map_err(fault)?
    {
        let position = row.get::<_, i64>(0).map_err(fault)?.cast_unsigned();
        if position != expected {
            break;
        }
        let event = event(row, position)?;
        bytes += event.payload.len();
        events.push(event);
        expected += 1;
    }
    drop(rows);
    drop(select);
    if events.is_empty() {
        let Bounds { first, last } = bounds(&view)?;
        if from < first {
            return Err(LogError::Trimmed {
                wanted: from,
                first,
            });
        }
        if from <= last {
            let next: Option<i64> = view
                .query_row(
                    "SELECT min(position) FROM event WHERE position > ?1",
                    [to_sql(from)],
                    |row| row.get(0),
                )
                .map_err(fault)?;
            return Err(LogError::Gap {
                expected: from,
                found: next.map_or(last + 1, i64::cast_unsigned),
            });
        }
    }
    Ok(events)
}

pub(super) fn event_at(
    connection: &Connection,
    position: Position,
) -> Result<Option<RawEvent>, LogError> {
    let mut select = connection
        .prepare_cached(
            "SELECT position, time, agent, customer, headers, payload FROM event WHERE position = ?1",
        )
        .map_err(fault)?;
    let mut rows = select.query([to_sql(position)]).map_err(fault)?;
    let row = rows.next().map_err(fault)?;
    row.map(|row| event(row, position)).transpose()
}

fn event(row: &Row<'_>, position: Position) -> Result<RawEvent, LogError> {
    let agent: Option<u16> = row.get(2).map_err(fault)?;
    let customer: Option<u16> = row.get(3).map_err(fault)?;
    let route = match (agent, customer) {
        (Some(agent), Some(customer)) => Route::Pair { agent, customer },
        (None, None) => Route::All,
        (Some(_), None) | (None, Some(_)) => {
            return Err(LogError::Corrupt(format!(
                "event {position} has one partition instead of two or none"
            )));
        }
    };
    let (headers, payload) = headers_and_payload(row, 4, 5)?;
    Ok(RawEvent {
        position,
        time: LogTime(row.get(1).map_err(fault)?),
        route,
        headers,
        payload,
    })
}

/// Both in one allocation.
fn headers_and_payload(
    row: &Row<'_>,
    headers: usize,
    payload: usize,
) -> Result<(Headers, Bytes), LogError> {
    let (headers, payload) = (blob(row, headers)?, blob(row, payload)?);
    let mut both = BytesMut::with_capacity(headers.len() + payload.len());
    both.extend_from_slice(headers);
    both.extend_from_slice(payload);
    let mut both = both.freeze();
    let headers = match headers.len() {
        0 => Headers::Empty,
        length => Headers::Block(both.split_to(length)),
    };
    Ok((headers, both))
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], LogError> {
    match row.get_ref(column).map_err(fault)? {
        ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(LogError::Corrupt(format!(
            "a column holds {} instead of bytes",
            other.data_type()
        ))),
    }
}

/// Reads events one after the other. While the caller works on one chunk, the next one is already being read.
pub(super) struct Reader {
    pool: Pool,
    stored: watch::Receiver<()>,
    next: Position,
    /// Read, not yet asked for.
    ready: Vec<RawEvent>,
    /// Being read.
    coming: Option<Answer<Vec<RawEvent>>>,
}

impl Reader {
    pub(super) const fn new(pool: Pool, stored: watch::Receiver<()>, next: Position) -> Self {
        Self {
            pool,
            stored,
            next,
            ready: Vec::new(),
            coming: None,
        }
    }

    fn request(&self, max: usize) -> Answer<Vec<RawEvent>> {
        let from = self.next;
        self.pool
            .send(move |connection| events(connection, from, max))
    }
}

#[async_trait]
impl EventReader for Reader {
    async fn next(&mut self, max: usize) -> Result<Vec<RawEvent>, LogError> {
        let max = max.max(1);
        while self.ready.is_empty() {
            // What is stored from here on wakes us, so nothing slips in between the look and the wait.
            self.stored.borrow_and_update();
            let mut coming = match self.coming.take() {
                Some(coming) => coming,
                None => self.request(max),
            };
            // If the caller gives up here, the question is simply asked again.
            let events = received((&mut coming).await)?;
            if let Some(last) = events.last() {
                self.next = last.position + 1;
                if events.len() >= max {
                    self.coming = Some(self.request(max));
                }
                self.ready = events;
            } else {
                wait(&mut self.stored).await;
            }
        }
        let rest = self.ready.split_off(self.ready.len().min(max));
        Ok(std::mem::replace(&mut self.ready, rest))
    }
}

/// Waits for a transaction of this process, or for the time to look what others have stored.
async fn wait(stored: &mut watch::Receiver<()>) {
    let timed = tokio::time::timeout(POLL, stored.changed()).await;
    if let Ok(Err(_)) = timed {
        // The writer has ended; other processes may still write.
        tokio::time::sleep(POLL).await;
    }
}

/// The two tables of records.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Journal,
    Snapshot,
}

impl Table {
    const fn scan(self) -> &'static str {
        match self {
            Self::Journal => {
                "SELECT seq, bytes FROM journal WHERE partition = ?1 AND seq BETWEEN ?2 AND ?3
                 ORDER BY seq LIMIT ?4"
            }
            Self::Snapshot => {
                "SELECT seq, bytes FROM snapshot WHERE partition = ?1 AND seq BETWEEN ?2 AND ?3
                 ORDER BY seq LIMIT ?4"
            }
        }
    }

    const fn last(self) -> &'static str {
        match self {
            Self::Journal => {
                "SELECT seq, bytes FROM journal WHERE partition = ?1 ORDER BY seq DESC LIMIT 1"
            }
            Self::Snapshot => {
                "SELECT seq, bytes FROM snapshot WHERE partition = ?1 ORDER BY seq DESC LIMIT 1"
            }
        }
    }
}

/// The newest record of a partition.
pub(super) fn last_record(
    connection: &Connection,
    table: Table,
    partition: PartitionId,
) -> Result<Option<Stored>, LogError> {
    connection
        .prepare_cached(table.last())
        .and_then(|mut select| select.query_row([partition.to_string()], stored).optional())
        .map_err(fault)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        bytes: Bytes::from(row.get::<_, Vec<u8>>(1)?),
    })
}

/// The records of a partition with sequences from `from` to `to`.
pub(super) fn scan(
    pool: Pool,
    table: Table,
    partition: PartitionId,
    from: Seq,
    to: Seq,
) -> BoxStream<'static, Result<Stored, LogError>> {
    let chunks = stream::unfold(Some(from), move |from| {
        let pool = pool.clone();
        async move {
            let from = from?;
            let chunk = pool
                .ask(move |connection| records(connection, table, partition, from, to))
                .await;
            match chunk {
                Ok(chunk) => {
                    let next = chunk.last()?.seq + 1;
                    let records: Vec<_> = chunk.into_iter().map(Ok).collect();
                    Some((records, (next <= to).then_some(next)))
                }
                Err(error) => Some((vec![Err(error)], None)),
            }
        }
    });
    chunks.flat_map(stream::iter).boxed()
}

fn records(
    connection: &Connection,
    table: Table,
    partition: PartitionId,
    from: Seq,
    to: Seq,
) -> Result<Vec<Stored>, LogError> {
    let mut select = connection.prepare_cached(table.scan()).map_err(fault)?;
    let mut rows = select
        .query(params![
            partition.to_string(),
            to_sql(from),
            to_sql(to),
            RECORDS_MAX
        ])
        .map_err(fault)?;
    let mut records = Vec::new();
    let mut bytes = 0;
    while bytes < CHUNK_BYTES_MAX
        && let Some(row) = rows.next().map_err(fault)?
    {
        let record = stored(row).map_err(fault)?;
        bytes += record.bytes.len();
        records.push(record);
    }
    Ok(records)
}

pub(super) fn output_last(connection: &Connection) -> Result<Seq, LogError> {
    let last: Option<i64> = connection
        .query_row("SELECT max(seq) FROM output", [], |row| row.get(0))
        .map_err(fault)?;
    Ok(last.unwrap_or(0).cast_unsigned())
}

/// What a tail has yet to give, and where it goes on.
struct Tail {
    pool: Pool,
    stored: watch::Receiver<()>,
    lanes: [bool; Lane::COUNT],
    after: Seq,
    ready: VecDeque<StoredOutput>,
    ended: bool,
}

/// Outputs after `after` in the lanes wanted, those to come included.
pub(super) fn tail(
    pool: Pool,
    stored: watch::Receiver<()>,
    lanes: &[Lane],
    after: Seq,
) -> BoxStream<'static, Result<StoredOutput, LogError>> {
    let mut wanted = [lanes.is_empty(); Lane::COUNT];
    for lane in lanes {
        wanted[lane.index()] = true;
    }
    let tail = Tail {
        pool,
        stored,
        lanes: wanted,
        after,
        ready: VecDeque::new(),
        ended: false,
    };
    stream::unfold(tail, |mut tail| async move {
        let next = tail.next().await?;
        Some((next, tail))
    })
    .boxed()
}

impl Tail {
    async fn next(&mut self) -> Option<Result<StoredOutput, LogError>> {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return Some(Ok(output));
            }
            if self.ended {
                return None;
            }
            self.stored.borrow_and_update();
            let (after, lanes) = (self.after, self.lanes);
            let chunk = self
                .pool
                .ask(move |connection| outputs(connection, &lanes, after))
                .await;
            match chunk {
                Ok((_, to)) if to == after => wait(&mut self.stored).await,
                Ok((outputs, to)) => {
                    self.ready = outputs;
                    self.after = to;
                }
                Err(error) => {
                    self.ended = !error.is_transient();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The next outputs of the lanes wanted, and the last sequence looked at.
fn outputs(
    connection: &Connection,
    lanes: &[bool; Lane::COUNT],
    after: Seq,
) -> Result<(VecDeque<StoredOutput>, Seq), LogError> {
    let mut select = connection
        .prepare_cached(
            "SELECT seq, time, partition, lane, headers, payload FROM output
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )
        .map_err(fault)?;
    let mut rows = select
        .query(params![to_sql(after), OUTPUTS_MAX])
        .map_err(fault)?;
    let mut found = VecDeque::new();
    let mut seq = after;
    while let Some(row) = rows.next().map_err(fault)? {
        seq = row.get::<_, i64>(0).map_err(fault)?.cast_unsigned();
        let name = text(row, 3)?;
        let lane = Lane::all()
            .find(|lane| lane.name() == name)
            .ok_or_else(|| LogError::Corrupt(format!("output {seq} is in no lane: {name}")))?;
        if lanes[lane.index()] {
            let partition = partition(text(row, 2)?)
                .ok_or_else(|| LogError::Corrupt(format!("output {seq} has no partition")))?;
            let (headers, payload) = headers_and_payload(row, 4, 5)?;
            found.push_back(StoredOutput {
                seq,
                time: LogTime(row.get(1).map_err(fault)?),
                lane,
                partition,
                headers,
                payload,
            });
        }
    }
    Ok((found, seq))
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
