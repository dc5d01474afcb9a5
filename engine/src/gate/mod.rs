//! What makes consent part of the plan.
//!
//! A study's session ([`session`]) knows only [`GatedTable`]s. Each yields the rows of people whose consent opens the
//! table's domain on the row's day, and only columns that studies may read; what a row tells of other days is hidden
//! where those are closed ([`cover`]). Its raw scan is out of the optimizer's reach ([`exec`]), and of the query nothing
//! but filters that cannot fail is evaluated beside it ([`filters`]).
//!
//! Rows are let through by looking up their `person_id` in an array built once per study, not by a semi-join: the
//! lookup decides person, domain and day in one pass over each batch, costs no hash table per table and no exchange
//! between threads, and is no join that an optimizer could reorder, turn around or push a predicate through.

mod cover;
mod days;
mod exec;
mod filters;
mod people;
pub(crate) mod session;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use consilium_protocol::consent::{AllowedData, Permissions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result, Statistics};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::pseudonym::LinkSecret;
use crate::store::Store;
use crate::store::reach::{End, Reach, reach};
use crate::store::scan::Reader;
use crate::store::table::{Role, Table};
use cover::Cover;
use days::RowGate;
use exec::{Check, GateExec};
pub(crate) use people::Met;
use people::{CLOSED, People};

/// Which people of a store allow what, for one use at one height.
#[derive(Clone)]
pub struct Gate {
    people: Arc<People>,
}

impl Gate {
    /// Matches a store's people with what the ledger says of their subjects.
    pub fn new(store: &Store, link: &LinkSecret, permissions: &Permissions) -> Self {
        Self { people: Arc::new(People::new(&store.derived(link), permissions)) }
    }

    /// A gate for these people, each with the class of what they allow, of which there are those of `classes`.
    pub(crate) fn of(matched: &[(i64, u32)], classes: &[AllowedData]) -> Self {
        Self { people: Arc::new(People::of(matched, classes)) }
    }

    /// A gate that lets nothing through.
    pub(crate) fn shut() -> Self {
        Self { people: Arc::new(People::none()) }
    }

    /// Whether a person allows anything at all.
    pub(crate) fn knows(&self, person: i64) -> bool {
        self.people.class(person) != CLOSED
    }

    /// A list, still empty, of people met.
    pub(crate) fn nobody_met(&self) -> Met {
        Met::nobody(&self.people)
    }

    /// How many people of the store allow anything.
    pub fn people(&self) -> usize {
        self.people.len()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate for {} people", self.people())
    }
}

/// Of a session over a store laid out by patient: the number of the bucket that its scans are planned over.
pub(crate) struct Bucket(pub(crate) usize);

/// A table as a study sees it.
pub(crate) struct GatedTable {
    pub(crate) table: Arc<Table>,
    schema: SchemaRef,
    reader: Arc<Reader>,
    /// `None` for vocabularies, which are nobody's.
    gate: Option<RowGate>,
    /// By column, how far its values reach beyond their row's day, where that may have to be hidden from somebody.
    reaching: Vec<Option<Reach>>,
}

impl GatedTable {
    pub(crate) fn new(table: &Arc<Table>, reader: &Arc<Reader>, gate: &Gate) -> Self {
        let row_gate = match table.role {
            Role::Patients { domains, dating, .. } => Some(RowGate::new(&gate.people, domains, dating)),
            Role::Vocabulary => None,
        };
        let hidden = |reach: &Reach| row_gate.as_ref().is_some_and(|gate| gate.hides(*reach));
        let reaching = (0..table.columns.len()).map(|column| reach(table, column).filter(hidden)).collect();
        Self { table: Arc::clone(table), schema: table.schema(), reader: Arc::clone(reader), gate: row_gate, reaching }
    }

    /// The columns that a scan's rows or its filters show, each once.
    fn shown(&self, output: &[usize], filters: &[Expr]) -> Result<Vec<usize>> {
        let mut shown: Vec<usize> = output.to_vec();
        for filter in filters {
            for column in filter.column_refs() {
                shown.push(self.schema.index_of(&column.name)?);
            }
        }
        shown.sort_unstable();
        shown.dedup();
        Ok(shown)
    }

    /// The raw columns that a scan needs: those shown, the subject, the day where it matters, and the days up to which
    /// values reach that may have to be hidden.
    fn needed(&self, shown: &[usize]) -> Vec<usize> {
        let mut needed = shown.to_vec();
        if let (Role::Patients { subject, dating, .. }, Some(gate)) = (self.table.role, &self.gate) {
            needed.push(subject);
            needed.extend(dating.column().filter(|_| gate.needs_date()));
        }
        needed.extend(shown.iter().filter_map(|column| match self.reaching[*column]?.end {
            End::Column(last) => Some(last),
            End::Itself | End::Counted | End::Unsaid => None,
        }));
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Whether a filter is over a column of which something may have to be hidden, so that it must not see the raw one.
    fn sees_hidden(&self, filter: &Expr) -> bool {
        let hidden = |name: &str| self.schema.index_of(name).is_ok_and(|column| self.reaching[column].is_some());
        filter.column_refs().iter().any(|column| hidden(&column.name))
    }
}

impl fmt::Debug for GatedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatedTable({})", self.table.name)
    }
}

#[async_trait]
impl TableProvider for GatedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        // A limit counts rows after the gate, and the raw scan must not stop before it.
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let output = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let filters = filters.iter().cloned().map(without_qualifiers).collect::<Result<Vec<Expr>>>()?;
        // Whatever the optimizer hands over, only what cannot fail goes beside the gate.
        if filters.iter().any(|filter| !filters::is_infallible(filter, &self.schema)) {
            return datafusion::common::internal_err!("a filter that may fail was pushed to the gate");
        }
        let shown = self.shown(&output, &filters)?;
        let needed = self.needed(&shown);
        let place = |column: usize| needed.iter().position(|n| *n == column);
        let (after, filters): (Vec<Expr>, Vec<Expr>) = filters.into_iter().partition(|filter| self.sees_hidden(filter));
        let raw_schema = Arc::new(self.schema.project(&needed)?);
        let df_schema = DFSchema::try_from(Arc::clone(&raw_schema))?;
        let predicate = match conjunction(filters.iter().cloned()) {
            Some(all) => {
                let whole = DFSchema::try_from(Arc::clone(&self.schema))?;
                Some(session.create_physical_expr(all, &whole)?)
            }
            None => None,
        };
        let gate = match (self.table.role, &self.gate) {
            (Role::Patients { subject, dating, .. }, Some(gate)) => {
                let Some(subject) = place(subject) else { return datafusion::common::internal_err!("no subject") };
                Some((gate.clone(), subject, dating.column().and_then(place)))
            }
            (Role::Vocabulary, None) => None,
            _ => return datafusion::common::internal_err!("a table of patients without a gate"),
        };
        let shut = self.gate.as_ref().is_some_and(RowGate::is_shut);
        let part;
        let table = match session.config().get_extension::<Bucket>() {
            _ if shut => {
                part = Table { source: crate::store::table::Source::Empty, ..(*self.table).clone() };
                &part
            }
            Some(bucket) => {
                part = self.table.of_bucket(bucket.0);
                &part
            }
            None => &*self.table,
        };
        let partitions = session.config().target_partitions();
        let raw = self.reader.plan(table, needed.clone(), predicate, partitions)?;
        let compiled = |filters: Vec<Expr>| -> Result<Vec<_>> {
            filters.into_iter().map(|filter| session.create_physical_expr(filter, &df_schema)).collect()
        };
        let covers = shown.iter().filter_map(|column| {
            let reach = self.reaching[*column]?;
            let end = match reach.end {
                End::Column(last) => place(last).map_or(End::Unsaid, End::Column),
                end => end,
            };
            Some(Cover { column: place(*column)?, reach: Reach { end, ..reach } })
        });
        let check = Check {
            gate,
            filters: compiled(filters)?,
            covers: covers.collect(),
            after: compiled(after)?,
            output: output.iter().filter_map(|column| place(*column)).collect(),
            schema: Arc::new(self.schema.project(&output)?),
        };
        let name = self.table.name.clone();
        Ok(Arc::new(GateExec::new(name, raw, Arc::clone(&self.reader), check, table.rows)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let supports = |filter: &&Expr| {
            if filters::is_infallible(filter, &self.schema) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(supports).collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Inexact(self.table.rows?);
        Some(statistics)
    }
}

/// The same expression over the table's own column names.
fn without_qualifiers(filter: Expr) -> Result<Expr> {
    filter
        .transform(|expr| {
            Ok(match expr {
                Expr::Column(column) if column.relation.is_some() => {
                    Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
                }
                other => Transformed::no(other),
            })
        })
        .data()
}
