//! What tables are made of: their parts, and how many pages these have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio_postgres::Statement;

use super::super::names::plain;
use super::catalog::{Relation, RelationKind};
use super::connection::{Connection, failed};
use super::error::DatabaseError;

/// How many pages of 8 KiB are read at once.
const CHUNK_PAGES: u64 = 512;

/// All that inherits from tables, partitions among it, and what views are made of.
const PARTS: &str = "WITH RECURSIVE p(root, part) AS \
                         (SELECT oid, oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t(oid) \
                          UNION SELECT p.root, f.of FROM p, LATERAL \
                             (SELECT i.inhrelid AS of FROM pg_catalog.pg_inherits i WHERE i.inhparent = p.part \
                              UNION ALL SELECT d.refobjid FROM pg_catalog.pg_rewrite r \
                                  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
                                      AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                                  WHERE r.ev_class = p.part) f) \
                     SELECT root, part FROM p WHERE part <> root ORDER BY root, part";

/// The parts that tables had at a moment.
///
/// A snapshot is of rows: which parts a statement reads is decided when it is planned, by what is there then. One that is attached
/// meanwhile, for which no reader's lock is in the way, would be in the statements after that and not in those before.
pub(super) struct Parts {
    then: BTreeMap<u32, Vec<u32>>,
    now: Statement,
}

impl Parts {
    /// The parts at the moment that `teller` sees. `holder` will be asked for those that are there later.
    pub(super) async fn of(
        teller: &Connection,
        holder: &Connection,
        tables: &[Arc<Relation>],
    ) -> Result<Self, DatabaseError> {
        let failed = |error: tokio_postgres::Error| failed(&error, "the catalog");
        let roots: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        let then = teller.client.prepare(PARTS).await.map_err(failed)?;
        let then = found(teller, &then, &roots).await?;
        Ok(Self { then, now: holder.client.prepare(PARTS).await.map_err(failed)? })
    }

    /// Whether a statement that was planned until now read the parts that the table had then.
    pub(super) async fn check(&self, holder: &Connection, table: &Relation) -> Result<(), DatabaseError> {
        let now = found(holder, &self.now, &[table.oid]).await?;
        if now.get(&table.oid) == self.then.get(&table.oid) {
            return Ok(());
        }
        Err(DatabaseError::Changed { what: table.shown.clone() })
    }
}

/// The parts of tables that have some.
async fn found(
    connection: &Connection,
    parts: &Statement,
    roots: &[u32],
) -> Result<BTreeMap<u32, Vec<u32>>, DatabaseError> {
    let failed = |error: tokio_postgres::Error| failed(&error, "the catalog");
    let mut found = BTreeMap::<u32, Vec<u32>>::new();
    for row in connection.client.query(parts, &[&roots]).await.map_err(failed)? {
        let part = row.try_get(1).map_err(failed)?;
        found.entry(row.try_get(0).map_err(failed)?).or_default().push(part);
    }
    Ok(found)
}

/// At which pages the chunks begin of those tables whose pages can be read one by one.
pub(super) async fn starts(
    teller: &Connection,
    tables: &[Arc<Relation>],
) -> Result<HashMap<u32, Vec<u64>>, DatabaseError> {
    let own: Vec<u32> = tables
        .iter()
        .filter(|table| table.is_placed && table.kind != RelationKind::Computed)
        .map(|table| table.oid)
        .collect();
    let sql = "SELECT t.oid, pg_catalog.array_agg(pg_catalog.pg_relation_size(p.oid) \
                                                  / pg_catalog.current_setting('block_size')::pg_catalog.int8) \
               FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t(oid), \
               LATERAL (SELECT t.oid UNION ALL SELECT relid FROM pg_catalog.pg_partition_tree(t.oid) WHERE relid <> t.oid) AS p \
               WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhparent \
                                 WHERE i.inhparent = t.oid AND c.relkind <> 'p') \
               GROUP BY t.oid \
               HAVING pg_catalog.bool_and((SELECT c.relkind IN ('r', 'm', 'p') FROM pg_catalog.pg_class c WHERE c.oid = p.oid))";
    let failed = |error: tokio_postgres::Error| failed(&error, "the catalog");
    let mut starts = HashMap::new();
    for row in teller.client.query(sql, &[&own]).await.map_err(failed)? {
        let (oid, sizes): (u32, Vec<Option<i64>>) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let sizes = sizes.into_iter().map(|size| u64::try_from(size.unwrap_or(0)).unwrap_or(0)).collect();
        if let Some(chunks) = chunks(sizes) {
            starts.insert(oid, chunks);
        }
    }
    Ok(starts)
}

/// Cuts a table with parts of these sizes into chunks; a chunk is the same pages of each part, and at most so many together.
///
/// One part by itself cannot be asked for: the role has its rights, and its policies, at the table. `None` where there are so many
/// parts that one page of each would be too much.
fn chunks(mut sizes: Vec<u64>) -> Option<Vec<u64>> {
    sizes.retain(|size| *size > 0);
    sizes.sort_unstable();
    if sizes.len() as u64 > CHUNK_PAGES {
        return None;
    }
    let (mut starts, mut at, mut ended) = (vec![0], 0, 0);
    loop {
        let mut left = CHUNK_PAGES;
        // To the end of the next part, if there is room for that, of all that have not ended.
        while let Some(size) = sizes.get(ended) {
            let parts = (sizes.len() - ended) as u64;
            let pages = (size - at).min(left / parts);
            at += pages;
            left -= pages * parts;
            if at < *size {
                break;
            }
            ended += 1;
        }
        if ended == sizes.len() {
            return Some(starts);
        }
        starts.push(at);
    }
}

/// Of tables that cannot all be locked, the one with the most parts; PERSON last, without which there is nothing to read.
pub(super) async fn crowded(
    connection: &Connection,
    connections: u32,
    tables: &[Arc<Relation>],
) -> Result<DatabaseError, DatabaseError> {
    let parts = connection.client.prepare(PARTS).await.map_err(|error| failed(&error, "the catalog"))?;
    let roots: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let found = found(connection, &parts, &roots).await?;
    let counted = tables.iter().filter_map(|table| Some((table, found.get(&table.oid)?.len())));
    let most = counted.max_by_key(|(table, parts)| (plain(&table.name) != "person", *parts));
    Ok(match most {
        Some((table, parts)) => DatabaseError::Locks {
            what: table.shown.clone(),
            times: format!(", here {connections} times {parts} partitions and their indexes"),
        },
        None => {
            let what = if let [one] = tables { one.shown.clone() } else { "the tables".to_string() };
            DatabaseError::Locks { what, times: String::new() }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_chunk_has_a_bounded_number_of_pages(sizes in prop::collection::vec(0u64..3_000, 0..40), large in 0u64..50_000) {
            let sizes = [sizes, vec![large]].concat();
            let starts = chunks(sizes.clone()).expect("few parts");
            prop_assert!(starts[0] == 0 && starts.windows(2).all(|pair| pair[0] < pair[1]));
            let ends = starts.iter().skip(1).copied().chain([u64::MAX]);
            for (start, end) in starts.iter().zip(ends) {
                let pages: u64 = sizes.iter().map(|size| (*size).min(end) - (*size).min(*start)).sum();
                prop_assert!(pages <= CHUNK_PAGES, "{start} to {end}: {pages}");
            }
            let whole: u64 = sizes.iter().sum();
            prop_assert!(starts.len() as u64 <= 1 + sizes.len() as u64 + whole / (CHUNK_PAGES / 2), "no more than it takes");
        }
    }

    #[test]
    fn one_part_is_cut_evenly_and_too_many_are_not_cut() {
        assert_eq!(chunks(vec![0]), Some(vec![0]));
        assert_eq!(chunks(vec![0, CHUNK_PAGES]), Some(vec![0]));
        assert_eq!(chunks(vec![2 * CHUNK_PAGES + 1]), Some(vec![0, CHUNK_PAGES, 2 * CHUNK_PAGES]));
        assert_eq!(chunks(vec![1, 1, 0, 1_000]), Some(vec![0, 510]));
        assert_eq!(chunks(vec![2; 512]), Some(vec![0, 1]));
        assert_eq!(chunks(vec![1; 513]), None);
    }
}
