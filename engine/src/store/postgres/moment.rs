//! One moment of a database, which everything that a study reads is of.
//!
//! A snapshot alone would not do, since TRUNCATE and some forms of ALTER TABLE empty a table also for those who see an earlier
//! state. So one connection locks every table, as every reader locks it, and exports a snapshot after that; it does nothing else
//! until the study is over. The others join it, and lock likewise at once: later they would queue up behind somebody who wants to
//! empty a table and waits for the first.
//!
//! Rows are read a few pages of a table at a time, those of its partitions together. A connection is held for that long only,
//! and what it read is in memory before anybody else waits for it, so that no two scans can wait for each other's connection.
//! What has no pages, such as a view, or none that the role may ask for, is read by a cursor, all of them on one connection.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Mutex, Semaphore};
use tokio_postgres::CopyOutStream;
use tokio_postgres::types::{FromSql, Type};

use super::super::table::Column;
use super::super::text::Nulls;
use super::catalog::{self, Relation, Unique};
use super::connection::{Begin, Connection, Door, begin, failed, settings, unread};
use super::copy::{Malformed, Rows};
use super::decode::{Decoder, Read};
use super::error::DatabaseError;
use super::key::Key;
use super::parts::{Parts, crowded, starts};
use super::quoted;
use super::shape::Shape;

/// How many rows of what has no pages are read at once.
const CURSOR_ROWS: usize = 16_384;
/// How often a moment is looked for in which no table is being emptied.
const ATTEMPTS: u32 = 5;
/// How long to wait where there is no connection left.
const FULL_PAUSE: Duration = Duration::from_millis(200);
/// How often a moment is looked for in which there is room for the locks, and how long to wait for the next.
const LOCKS_ATTEMPTS: u32 = 2;
const LOCKS_PAUSE: Duration = Duration::from_secs(1);
/// The first version that finds pages by their number.
const FINDS_PAGES: u32 = 14;

/// What a study reads of a database.
pub(crate) struct Moment {
    door: Arc<Door>,
    tables: Vec<Arc<Relation>>,
    snapshot: String,
    /// What all who read have set.
    settings: String,
    /// Holds the locks as long as it lives. It sees what has been committed since.
    holder: Connection,
    /// Has the cursors, and answers questions.
    teller: Mutex<Connection>,
    /// Those that read and have nothing to do.
    idle: std::sync::Mutex<Vec<Connection>>,
    most: Semaphore,
    /// The pages at which a table's chunks begin, of those that have pages.
    starts: HashMap<u32, Vec<u64>>,
    parts: Parts,
    unique: Unique,
    /// Tables and columns of which it is known that no two rows share a key.
    keyed: Mutex<BTreeSet<(u32, String)>>,
    cursors: AtomicU64,
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moment(..)")
    }
}

/// What of a table is read.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub(super) relation: Arc<Relation>,
    /// The columns with their names there and how they travel.
    pub(super) columns: Vec<(Column, String, Shape)>,
    /// What rows must satisfy.
    pub(super) condition: Option<Condition>,
}

/// A condition in SQL that no value makes fail.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) sql: String,
    /// The columns that it may name.
    pub(super) names: BTreeSet<String>,
}

impl Selection {
    fn sql(&self, pages: Option<&str>) -> String {
        let columns: Vec<String> = self.columns.iter().map(|(_, name, shape)| shape.sql(name)).collect();
        let columns = columns.join(", ");
        let pages = pages.map_or_else(String::new, |pages| format!(" WHERE {pages}"));
        let from = &self.relation.sql;
        let Some(condition) = &self.condition else {
            return format!("SELECT {columns} FROM {from}{pages}");
        };
        let is_computed = pages.is_empty() || self.relation.attributes.iter().any(|attribute| attribute.is_virtual);
        if !is_computed {
            return format!("SELECT {columns} FROM {from}{pages} AND {}", condition.sql);
        }
        // What a view computes fails or not whatever the condition is: it is computed before.
        let own = self.columns.iter().map(|(_, name, _)| name);
        let names: BTreeSet<String> = own.chain(&condition.names).map(|name| quoted(name)).collect();
        let names: Vec<String> = names.into_iter().collect();
        format!(
            "SELECT {columns} FROM (SELECT {} FROM {from}{pages} OFFSET 0) AS t WHERE {}",
            names.join(", "),
            condition.sql
        )
    }
}

/// How a table is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Division {
    /// Into so many chunks of pages, of which the last has no end.
    Chunks(usize),
    /// Not at all.
    Whole,
}

impl Moment {
    /// The present moment of these tables, if they are still what they were.
    pub(super) async fn now(door: &Arc<Door>, version: u32, tables: &[Arc<Relation>]) -> Result<Self, DatabaseError> {
        // The locks of those who came before may not be gone yet.
        for _ in 0..LOCKS_ATTEMPTS {
            match Self::taken(door, version, tables).await {
                Err(DatabaseError::Locks { .. }) => tokio::time::sleep(LOCKS_PAUSE).await,
                taken => return taken,
            }
        }
        Err(crowded(&entered(door).await?, door.config.connections, tables).await?)
    }

    async fn taken(door: &Arc<Door>, version: u32, tables: &[Arc<Relation>]) -> Result<Self, DatabaseError> {
        let mut last = DatabaseError::Full;
        for _ in 0..ATTEMPTS {
            // All of them first: between the first lock and the last there should be no time.
            let entered = (0..door.config.connections).map(|_| door.enter());
            let mut entered = match futures::future::try_join_all(entered).await {
                // The last study's connections may not be gone yet.
                Err(DatabaseError::Full) => {
                    last = DatabaseError::Full;
                    tokio::time::sleep(FULL_PAUSE).await;
                    continue;
                }
                entered => entered?,
            };
            let Some(holder) = entered.pop() else { break };
            let (snapshot, settings) = hold(&holder, tables).await?;
            let joining = entered.into_iter().map(|connection| join(connection, &snapshot, &settings, tables));
            let mut idle = match futures::future::try_join_all(joining).await {
                Err(error @ DatabaseError::Locked { .. }) => {
                    last = error;
                    continue;
                }
                joined => joined?,
            };
            let Some(teller) = idle.pop() else { break };
            let now = catalog::read(&teller.client, &door.config.schema, &door.config.url.user).await?;
            if let Some(other) = tables.iter().find(|table| !now.relations.contains(table)) {
                return Err(DatabaseError::Changed { what: other.shown.clone() });
            }
            let starts = if version < FINDS_PAGES { HashMap::new() } else { starts(&teller, tables).await? };
            let parts = Parts::of(&teller, &holder, tables).await?;
            return Ok(Self {
                door: Arc::clone(door),
                tables: tables.to_vec(),
                most: Semaphore::new(idle.len().max(1)),
                snapshot,
                settings,
                holder,
                teller: Mutex::new(teller),
                idle: std::sync::Mutex::new(idle),
                starts,
                parts,
                unique: now.unique,
                keyed: Mutex::default(),
                cursors: AtomicU64::new(0),
            });
        }
        Err(last)
    }

    /// Whether the server itself sees to it that no two rows share a column's value; of some, that each has one, too.
    pub(super) fn is_unique(&self, relation: &Relation, name: &str) -> Option<bool> {
        self.unique.get(&(relation.oid, name.to_string())).copied()
    }

    /// Looks whether still no two rows of a table share its key, once.
    pub(super) async fn check_key(
        &self,
        relation: &Arc<Relation>,
        key: &Key,
        nulls: &Nulls,
    ) -> Result<(), DatabaseError> {
        let mut keyed = self.keyed.lock().await;
        let column = (relation.oid, key.name.clone());
        if !keyed.contains(&column) {
            if !key.holds(self, relation, nulls).await? {
                return Err(DatabaseError::Changed { what: relation.shown.clone() });
            }
            keyed.insert(column);
        }
        Ok(())
    }

    /// How a table can be divided.
    pub(super) fn division(&self, relation: &Relation) -> Division {
        match self.starts.get(&relation.oid) {
            Some(starts) => Division::Chunks(starts.len()),
            None => Division::Whole,
        }
    }

    /// One row of counts.
    pub(super) async fn counts(&self, what: &str, sql: &str, counts: usize) -> Result<Vec<i64>, DatabaseError> {
        let asked = async {
            let row = self.teller.lock().await.client.query_one(sql, &[]).await?;
            (0..counts).map(|at| row.try_get(at)).collect::<Result<Vec<i64>, _>>()
        };
        asked.await.map_err(|error| unread(&error, what))
    }

    /// Does something that may go wrong, after which the moment stays: the transaction of the connection that answers must outlive
    /// it.
    pub(super) async fn aside<T, E>(
        &self,
        act: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, DatabaseError> {
        self.teller.lock().await.mark().await?;
        let done = act.await;
        self.teller.lock().await.go_on(done.is_ok()).await?;
        Ok(done)
    }

    /// Reads one chunk.
    pub(super) async fn chunk(
        &self,
        selection: &Selection,
        chunk: usize,
        nulls: &Nulls,
    ) -> Result<Vec<Read>, DatabaseError> {
        let what = &selection.relation.shown;
        let starts = self.starts.get(&selection.relation.oid).map_or(&[][..], Vec::as_slice);
        let from = format!("ctid >= '({},0)'::pg_catalog.tid", starts.get(chunk).unwrap_or(&0));
        // The table may have grown since it was measured.
        let pages = match starts.get(chunk + 1) {
            Some(end) => format!("{from} AND ctid < '({end},0)'::pg_catalog.tid"),
            None => from,
        };
        let sql = format!("COPY ({}) TO STDOUT (FORMAT binary)", selection.sql(Some(&pages)));
        let Ok(_turn) = self.most.acquire().await else {
            return Err(DatabaseError::Protocol { what: what.clone() });
        };
        let connection = self.reader().await?;
        let mut decoder = Decoder::new(selection.columns.iter().map(|(column, _, shape)| (column, *shape)), nulls);
        let stream = connection.client.copy_out(&sql).await.map_err(|error| unread(&error, what))?;
        // By now the server has decided which parts of the table it reads.
        let whole = self.parts.check(&self.holder, &selection.relation);
        let (read, ()) = futures::future::try_join(copied(stream, &mut decoder, what), whole).await?;
        // One that failed is not used again.
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(connection);
        Ok(read)
    }

    /// A connection that reads.
    async fn reader(&self) -> Result<Connection, DatabaseError> {
        if let Some(idle) = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop() {
            return Ok(idle);
        }
        join(entered(&self.door).await?, &self.snapshot, &self.settings, &self.tables).await
    }

    /// Opens a cursor over what has no pages.
    pub(super) async fn cursor(&self, selection: &Selection) -> Result<Cursor, DatabaseError> {
        let cursor = Cursor(format!("c{}", self.cursors.fetch_add(1, Ordering::Relaxed)));
        let sql = format!("DECLARE {} NO SCROLL CURSOR FOR {}", cursor.0, selection.sql(None));
        let declared = self.teller.lock().await.client.batch_execute(&sql).await;
        declared.map_err(|error| unread(&error, &selection.relation.shown))?;
        self.parts.check(&self.holder, &selection.relation).await?;
        Ok(cursor)
    }

    /// Reads the next rows of a cursor; nothing at its end.
    pub(super) async fn fetch(
        &self,
        cursor: &Cursor,
        selection: &Selection,
        nulls: &Nulls,
    ) -> Result<Vec<Read>, DatabaseError> {
        let what = &selection.relation.shown;
        let unread = |error: tokio_postgres::Error| unread(&error, what);
        let malformed = |Malformed| DatabaseError::Protocol { what: what.clone() };
        let mut decoder = Decoder::new(selection.columns.iter().map(|(column, _, shape)| (column, *shape)), nulls);
        let (mut read, mut count) = (Vec::new(), 0);
        let teller = self.teller.lock().await;
        let sql = format!("FETCH FORWARD {CURSOR_ROWS} FROM {}", cursor.0);
        let rows = teller.client.query_raw(&sql, std::iter::empty::<&str>()).await.map_err(unread)?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.next().await {
            let row = row.map_err(unread)?;
            let fields = (0..row.len()).map(|at| row.try_get::<_, Raw<'_>>(at).map(|Raw(field)| field));
            decoder.take(&fields.collect::<Result<Vec<_>, _>>().map_err(unread)?).map_err(malformed)?;
            count += 1;
            if decoder.is_full() {
                read.extend(decoder.finish().map_err(malformed)?);
            }
        }
        if count < CURSOR_ROWS {
            // What is left of it is of no use; whoever comes later finds nothing.
            let empty = format!("CLOSE {0}; DECLARE {0} NO SCROLL CURSOR FOR SELECT WHERE false", cursor.0);
            teller.client.batch_execute(&empty).await.map_err(unread)?;
        }
        read.extend(decoder.finish().map_err(malformed)?);
        Ok(read)
    }

    /// Reads all of a table; hands each piece to `take`.
    pub(super) async fn each(
        &self,
        selection: &Selection,
        nulls: &Nulls,
        mut take: impl FnMut(Read),
    ) -> Result<(), DatabaseError> {
        match self.division(&selection.relation) {
            Division::Chunks(of) => {
                let readers = self.most.available_permits().max(1);
                let chunks = futures::stream::iter(0..of).map(|chunk| self.chunk(selection, chunk, nulls));
                let mut chunks = chunks.buffered(readers);
                while let Some(chunk) = chunks.try_next().await? {
                    chunk.into_iter().for_each(&mut take);
                }
            }
            Division::Whole => {
                let cursor = self.cursor(selection).await?;
                loop {
                    let read = self.fetch(&cursor, selection, nulls).await?;
                    if read.is_empty() {
                        break;
                    }
                    read.into_iter().for_each(&mut take);
                }
            }
        }
        Ok(())
    }
}

/// A cursor's name.
pub(super) struct Cursor(String);

/// A field as it travels.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A connection where others have just failed, which may not be gone yet.
async fn entered(door: &Door) -> Result<Connection, DatabaseError> {
    let mut entered = door.enter().await;
    for _ in 1..ATTEMPTS {
        if !matches!(entered, Err(DatabaseError::Full)) {
            break;
        }
        tokio::time::sleep(FULL_PAUSE).await;
        entered = door.enter().await;
    }
    entered
}

/// Locks tables against being emptied, and exports the moment after that, with what is set there.
async fn hold(holder: &Connection, tables: &[Arc<Relation>]) -> Result<(String, String), DatabaseError> {
    let failed = |error: tokio_postgres::Error| failed(&error, "the moment that a study sees");
    holder.client.batch_execute(&begin(&Begin::Hold)).await.map_err(failed)?;
    lock(holder, tables).await?;
    let row = holder.client.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]).await;
    Ok((row.and_then(|row| row.try_get(0)).map_err(failed)?, settings(holder).await?))
}

/// Has a connection see a moment that another holds, with the same locks.
async fn join(
    connection: Connection,
    snapshot: &str,
    settings: &str,
    tables: &[Arc<Relation>],
) -> Result<Connection, DatabaseError> {
    let begun = connection.client.batch_execute(&format!("{}{settings}", begin(&Begin::Join(snapshot)))).await;
    begun.map_err(|error| match failed(&error, "the moment that a study sees") {
        // The holder is gone, and the moment with it.
        DatabaseError::Value { .. } | DatabaseError::Refused { .. } | DatabaseError::Changed { .. } => {
            DatabaseError::Ended
        }
        other => other,
    })?;
    let all: Vec<String> = tables.iter().map(|table| locking(table)).collect();
    let locked = connection.client.batch_execute(&all.join("; ")).await;
    locked.map_err(|error| failed(&error, "a table that is emptied or altered again and again"))?;
    Ok(connection)
}

/// What locks a table as every reader does, without a row of it: that takes a right to one of its columns only.
fn locking(table: &Relation) -> String {
    format!("SELECT FROM {} LIMIT 0", table.sql)
}

/// Locks tables one by one, so that it is known which one cannot be.
async fn lock(connection: &Connection, tables: &[Arc<Relation>]) -> Result<(), DatabaseError> {
    for table in tables {
        let locked = connection.client.batch_execute(&locking(table)).await;
        locked.map_err(|error| failed(&error, &table.shown))?;
    }
    Ok(())
}

async fn copied(stream: CopyOutStream, decoder: &mut Decoder<'_>, what: &str) -> Result<Vec<Read>, DatabaseError> {
    let malformed = |Malformed| DatabaseError::Protocol { what: what.to_string() };
    let mut stream = std::pin::pin!(stream);
    let (mut rows, mut read) = (Rows::new(decoder.fields()), Vec::new());
    while let Some(bytes) = stream.try_next().await.map_err(|error| unread(&error, what))? {
        rows.feed(&bytes, |row| decoder.take(row)).map_err(malformed)?;
        if decoder.is_full() {
            read.extend(decoder.finish().map_err(malformed)?);
        }
    }
    if !rows.is_over() {
        return Err(DatabaseError::Ended);
    }
    read.extend(decoder.finish().map_err(malformed)?);
    Ok(read)
}
