//! Records: the journal and the snapshots of a partition, the delivery records of a destination. They differ in their
//! table and in what fences them (`batch`), and are read alike.

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    file::{fault, to_sql},
    pool::Pool,
    reads::CHUNK_BYTES_MAX,
};
use crate::log::{LogError, Seq, Stored};

/// Records read at a time.
const RECORDS_MAX: i64 = 256;

/// The three tables of records.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Journal,
    Snapshot,
    Delivery,
}

/// Their statements. The first parameter is the name of a partition or a destination.
impl Table {
    /// Table, and the column with that name.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Journal => ("journal", "partition"),
            Self::Snapshot => ("snapshot", "partition"),
            Self::Delivery => ("delivery", "destination"),
        }
    }

    /// The newest record's sequence.
    pub(super) fn head(self) -> String {
        let (table, key) = self.names();
        format!("SELECT max(seq) FROM {table} WHERE {key} = ?1")
    }

    /// One more record.
    pub(super) fn insert(self) -> String {
        let (table, key) = self.names();
        format!("INSERT INTO {table} ({key}, bytes) VALUES (?1, ?2)")
    }

    /// Removes the oldest records with sequences below ?2, at most ?3 of them; of a journal the first one stays.
    pub(super) fn trim(self) -> String {
        let (table, key) = self.names();
        let stays = match self {
            Self::Journal => " AND seq > (SELECT min(seq) FROM journal WHERE partition = ?1)",
            Self::Snapshot | Self::Delivery => "",
        };
        format!(
            "DELETE FROM {table} WHERE seq IN
             (SELECT seq FROM {table} WHERE {key} = ?1 AND seq < ?2{stays} ORDER BY seq LIMIT ?3)"
        )
    }

    /// The newest record.
    fn last(self) -> String {
        let (table, key) = self.names();
        format!("SELECT seq, bytes FROM {table} WHERE {key} = ?1 ORDER BY seq DESC LIMIT 1")
    }

    /// The records with sequences from ?2 to ?3, at most ?4 of them.
    fn scan(self) -> String {
        let (table, key) = self.names();
        format!(
            "SELECT seq, bytes FROM {table} WHERE {key} = ?1 AND seq BETWEEN ?2 AND ?3
             ORDER BY seq LIMIT ?4"
        )
    }
}

/// The newest record of a partition or destination.
pub(super) fn last_record(
    connection: &Connection,
    table: Table,
    key: &str,
) -> Result<Option<Stored>, LogError> {
    connection
        .prepare_cached(&table.last())
        .and_then(|mut select| select.query_row([key], stored).optional())
        .map_err(fault)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        bytes: Bytes::from(row.get::<_, Vec<u8>>(1)?),
    })
}

/// The records of a partition or destination with sequences from `from` to `to`.
pub(super) fn scan(
    pool: Pool,
    table: Table,
    key: String,
    from: Seq,
    to: Seq,
) -> BoxStream<'static, Result<Stored, LogError>> {
    let chunks = stream::unfold(Some(from), move |from| {
        let (pool, key) = (pool.clone(), key.clone());
        async move {
            let from = from?;
            let chunk = pool
                .ask(move |connection| records(connection, table, &key, from, to))
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
    key: &str,
    from: Seq,
    to: Seq,
) -> Result<Vec<Stored>, LogError> {
    let mut select = connection.prepare_cached(&table.scan()).map_err(fault)?;
    let mut rows = select
        .query(params![key, to_sql(from), to_sql(to), RECORDS_MAX])
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
