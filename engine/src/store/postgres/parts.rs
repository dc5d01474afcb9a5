//! What tables are made of: their parts, and how many pages these have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio_postgres::Statement;

use super::catalog::{Relation, RelationKind};
use super::connection::{Connection, failed};
use super::error::DatabaseError;

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

/// How many pages tables have, of those whose pages can be read one by one; of a table in parts, the largest part's.
pub(super) async fn pages(teller: &Connection, tables: &[Arc<Relation>]) -> Result<HashMap<u32, u64>, DatabaseError> {
    let own: Vec<u32> = tables
        .iter()
        .filter(|table| table.is_placed && table.kind != RelationKind::Computed)
        .map(|table| table.oid)
        .collect();
    let sql = "SELECT t.oid, max(pg_catalog.pg_relation_size(p.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8) \
               FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t(oid), \
               LATERAL (SELECT t.oid UNION ALL SELECT relid FROM pg_catalog.pg_partition_tree(t.oid) WHERE relid <> t.oid) AS p \
               WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhparent \
                                 WHERE i.inhparent = t.oid AND c.relkind <> 'p') \
               GROUP BY t.oid \
               HAVING pg_catalog.bool_and((SELECT c.relkind IN ('r', 'm', 'p') FROM pg_catalog.pg_class c WHERE c.oid = p.oid))";
    let failed = |error: tokio_postgres::Error| failed(&error, "the catalog");
    let mut pages = HashMap::new();
    for row in teller.client.query(sql, &[&own]).await.map_err(failed)? {
        let (oid, count): (u32, Option<i64>) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        pages.insert(oid, u64::try_from(count.unwrap_or(0)).unwrap_or(0));
    }
    Ok(pages)
}
