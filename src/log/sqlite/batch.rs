//! What the writes of one transaction do to the tables.

use aftercall_actors::contract::time::LogTime;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    file::{fault, to_sql},
    ids::{ID_BYTES, MessageId, MessageIds, WINDOW_MS},
    records::Table,
};
use crate::log::{Appended, Lane, LaneFences, LogError, OutputMark, Position, Seq};

/// Rows of ids that are too old, removed at most at a time; enough to keep up, and never a long wait.
const FORGOTTEN_MAX: i64 = 128;

/// An event ready to be stored.
#[derive(Clone, Debug)]
pub(super) struct EventRow {
    pub(super) id: MessageId,
    pub(super) agent: Option<u16>,
    pub(super) customer: Option<u16>,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
    /// Whether it stands in the service's own place.
    pub(super) own: bool,
}

/// An output ready to be stored.
#[derive(Clone, Debug)]
pub(super) struct OutputRow {
    pub(super) lane: Lane,
    pub(super) commit: u64,
    pub(super) ordinal: u32,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
}

/// A dead letter or a decision ready to be stored.
#[derive(Clone, Debug)]
pub(super) struct DeadRow {
    pub(super) destination: String,
    pub(super) message_id: String,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
}

/// Another write stands where this one expected none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fenced;

/// An open transaction.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    ids: &'a mut MessageIds,
    time: LogTime,
    began_after: Position,
    last: Position,
    /// Ids of the events this transaction has stored, in order.
    hashes: Vec<u8>,
}

impl<'a> Batch<'a> {
    pub(super) fn begin(
        connection: &'a Connection,
        ids: &'a mut MessageIds,
        now: LogTime,
    ) -> Result<Self, LogError> {
        let (last, last_time): (i64, i64) = connection
            .prepare_cached("SELECT last_position, last_time FROM meta")
            .and_then(|mut select| select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(fault)?;
        let last = last.cast_unsigned();
        Ok(Self {
            connection,
            ids,
            // A machine's clock may be set back; log time is not.
            time: now.max(LogTime(last_time)),
            began_after: last,
            last,
            hashes: Vec::new(),
        })
    }

    /// The time that its events are stamped with.
    pub(super) const fn time(&self) -> LogTime {
        self.time
    }

    /// Writes down what the transaction as a whole has changed.
    pub(super) fn finish(self) -> Result<(), LogError> {
        if self.last == self.began_after {
            return Ok(());
        }
        self.execute(
            "UPDATE meta SET last_position = ?1, last_time = ?2",
            params![to_sql(self.last), self.time.0],
        )?;
        self.execute(
            "INSERT INTO message_id VALUES (?1, ?2, ?3)",
            params![to_sql(self.began_after + 1), self.time.0, self.hashes],
        )?;
        // Now and then is enough.
        if self.last / 64 != self.began_after / 64 {
            self.execute(
                "DELETE FROM message_id WHERE first_position IN
                 (SELECT first_position FROM message_id ORDER BY first_position LIMIT ?1) AND time < ?2",
                params![FORGOTTEN_MAX, self.time.plus_ms(-WINDOW_MS).0],
            )?;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, events: &[EventRow]) -> Result<Vec<Appended>, LogError> {
        self.learn_ids_of_others()?;
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
            .map_err(fault)?;
        let mut answers = Vec::with_capacity(events.len());
        for event in events {
            if let Some(position) = self.ids.position_of(event.id) {
                answers.push(Appended {
                    position,
                    duplicate: true,
                });
                continue;
            }
            let position = self.last + 1;
            insert
                .execute(params![
                    to_sql(position),
                    self.time.0,
                    event.agent,
                    event.customer,
                    &event.headers[..],
                    &event.payload[..],
                    event.own,
                ])
                .map_err(fault)?;
            self.last = position;
            self.hashes.extend_from_slice(&event.id.to_bytes());
            self.ids.remember(event.id, position, self.time);
            answers.push(Appended {
                position,
                duplicate: false,
            });
        }
        Ok(answers)
    }

    /// Appends a record behind the last one of `key`, if that has the sequence `expected`.
    pub(super) fn append_fenced(
        &mut self,
        table: Table,
        key: &str,
        expected: Seq,
        record: &[u8],
    ) -> Result<Result<Seq, Fenced>, LogError> {
        let head: Option<i64> = self
            .connection
            .prepare_cached(&table.head())
            .and_then(|mut select| select.query_row([key], |row| row.get(0)))
            .map_err(fault)?;
        if head.unwrap_or(0).cast_unsigned() != expected {
            return Ok(Err(Fenced));
        }
        self.append_record(table, key, record).map(Ok)
    }

    pub(super) fn append_record(
        &mut self,
        table: Table,
        key: &str,
        record: &[u8],
    ) -> Result<Seq, LogError> {
        self.execute(&table.insert(), params![key, record])?;
        Ok(self.connection.last_insert_rowid().cast_unsigned())
    }

    /// Removes at most `max` records and says how many it removed.
    pub(super) fn trim(
        &mut self,
        table: Table,
        key: &str,
        before: Seq,
        max: usize,
    ) -> Result<usize, LogError> {
        self.execute(
            &table.trim(),
            params![key, to_sql(before), to_sql(max as u64)],
        )
    }

    /// Stores a letter or a decision, unless its message id stands already.
    pub(super) fn dead_append(&mut self, entry: &DeadRow) -> Result<Seq, LogError> {
        let stands: Option<i64> = self
            .connection
            .prepare_cached("SELECT seq FROM dead WHERE destination = ?1 AND message_id = ?2")
            .and_then(|mut select| {
                select
                    .query_row([&entry.destination, &entry.message_id], |row| row.get(0))
                    .optional()
            })
            .map_err(fault)?;
        if let Some(seq) = stands {
            return Ok(seq.cast_unsigned());
        }
        self.execute(
            "INSERT INTO dead (time, destination, message_id, headers, payload)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                self.time.0,
                entry.destination,
                entry.message_id,
                &entry.headers[..],
                &entry.payload[..],
            ],
        )?;
        Ok(self.connection.last_insert_rowid().cast_unsigned())
    }

    /// Stores all of `outputs`, or none if a lane's fence does not hold. Returns the fences as they then are.
    pub(super) fn outputs_append(
        &mut self,
        partition: &str,
        fences: &LaneFences,
        outputs: &[OutputRow],
    ) -> Result<Result<LaneFences, Fenced>, LogError> {
        let mut marks: [Option<OutputMark>; Lane::COUNT] = [None; Lane::COUNT];
        let mut seen = [false; Lane::COUNT];
        for OutputRow { lane, .. } in outputs {
            let index = lane.index();
            if !seen[index] {
                seen[index] = true;
                marks[index] = output_mark(self.connection, partition, *lane)?;
                if marks[index].map_or(0, |mark| mark.seq) != fences[index] {
                    return Ok(Err(Fenced));
                }
            }
        }
        let mut insert = self
            .connection
            .prepare_cached(
                "INSERT INTO output (time, partition, lane, commit_number, ordinal, headers, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .map_err(fault)?;
        for output in outputs {
            let seq = insert
                .insert(params![
                    self.time.0,
                    partition,
                    output.lane.name(),
                    to_sql(output.commit),
                    output.ordinal,
                    &output.headers[..],
                    &output.payload[..],
                ])
                .map_err(fault)?;
            marks[output.lane.index()] = Some(OutputMark {
                seq: seq.cast_unsigned(),
                commit: output.commit,
                ordinal: output.ordinal,
            });
        }
        let mut moved = *fences;
        for (lane, mark) in Lane::all().zip(marks) {
            if let Some(mark) = mark {
                moved[lane.index()] = mark.seq;
                self.execute(
                    "INSERT OR REPLACE INTO output_mark VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        partition,
                        lane.name(),
                        to_sql(mark.seq),
                        to_sql(mark.commit),
                        mark.ordinal
                    ],
                )?;
            }
        }
        Ok(Ok(moved))
    }

    /// How safely this connection writes: `synchronous`, as SQLite numbers it (2 is FULL).
    pub(super) fn synchronous(&self) -> Result<i64, LogError> {
        self.connection
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .map_err(fault)
    }

    /// Reads the ids of events that another process has stored, or all of the window at the first append.
    fn learn_ids_of_others(&mut self) -> Result<(), LogError> {
        if self.ids.known_to >= self.last {
            return Ok(());
        }
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT first_position, time, hashes FROM message_id
                 WHERE first_position > ?1 AND time >= ?2 ORDER BY first_position",
            )
            .map_err(fault)?;
        let since = self.time.plus_ms(-WINDOW_MS);
        let mut rows = select
            .query(params![to_sql(self.ids.known_to), since.0])
            .map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let first: i64 = row.get(0).map_err(fault)?;
            let time: i64 = row.get(1).map_err(fault)?;
            let hashes = row.get_ref(2).map_err(fault)?;
            let hashes = hashes.as_blob().map_err(|error| fault(error.into()))?;
            let (hashes, _) = hashes.as_chunks::<ID_BYTES>();
            for (position, hash) in (first.cast_unsigned()..).zip(hashes) {
                let id = MessageId::from_bytes(*hash);
                self.ids.remember(id, position, LogTime(time));
            }
        }
        self.ids.known_to = self.last;
        Ok(())
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize, LogError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(fault)
    }
}

/// The last output of a lane, as its row of `output_mark` says; written in the same transaction as the output.
pub(super) fn output_mark(
    connection: &Connection,
    partition: &str,
    lane: Lane,
) -> Result<Option<OutputMark>, LogError> {
    let mut select = connection
        .prepare_cached(
            "SELECT seq, commit_number, ordinal FROM output_mark WHERE partition = ?1 AND lane = ?2",
        )
        .map_err(fault)?;
    select
        .query_row([partition, lane.name()], |row| {
            Ok(OutputMark {
                seq: row.get::<_, i64>(0)?.cast_unsigned(),
                commit: row.get::<_, i64>(1)?.cast_unsigned(),
                ordinal: row.get(2)?,
            })
        })
        .optional()
        .map_err(fault)
}
