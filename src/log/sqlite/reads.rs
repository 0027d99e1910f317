//! What is read of the events, and what all reading shares. Records are read by `records`, outputs and dead letters
//! by `lines`.
//!
//! Long reads go in chunks, so that none holds a thread or the write-ahead log for long. Whoever waits for more
//! is woken by this process's writer, and looks every few milliseconds for what other processes have stored.

use std::time::Duration;

use aftercall_actors::contract::time::LogTime;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use rusqlite::{Connection, Row, params, types::ValueRef};
use tokio::sync::watch;

use super::{
    file::{fault, to_sql},
    pool::{Answer, Pool, received},
};
use crate::log::{Bounds, EventReader, Headers, LogError, Position, RawEvent, Route, Speaker};

/// How often to look for what another process has stored.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// The same where it is nearly always this process that stores: a destination's outputs come from its own engine.
pub(super) const POLL_RARE: Duration = Duration::from_millis(100);

/// A chunk is cut once it has this many bytes.
pub(super) const CHUNK_BYTES_MAX: usize = 4 << 20;

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
            "SELECT position, time, agent, customer, headers, payload, own FROM event
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
            "SELECT position, time, agent, customer, headers, payload, own FROM event WHERE position = ?1",
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
        speaker: match row.get(6).map_err(fault)? {
            Some(true) => Speaker::Service,
            Some(false) => Speaker::Anyone,
            None => Speaker::Unknown,
        },
        headers,
        payload,
    })
}

/// Both in one allocation.
pub(super) fn headers_and_payload(
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
                wait(&mut self.stored, POLL).await;
            }
        }
        let rest = self.ready.split_off(self.ready.len().min(max));
        Ok(std::mem::replace(&mut self.ready, rest))
    }
}

/// Waits for a transaction of this process, or for the time to look what others have stored.
pub(super) async fn wait(stored: &mut watch::Receiver<()>, others: Duration) {
    let timed = tokio::time::timeout(others, stored.changed()).await;
    if let Ok(Err(_)) = timed {
        // The writer has ended; other processes may still write.
        tokio::time::sleep(others).await;
    }
}
