//! From a parsed query to a plan that is known to be harmless, and what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::{AllowedData, Domain, Opened, Windows};
use consilium_protocol::ids::Date;
use consilium_protocol::study::StudySpec;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as AnyStatement;
use serde::Serialize;

use super::error::CohortError;
use super::lineage::{Trace, trace};
use super::parse::parse;
use super::refusal::{meaning, nearest};
use super::types::{Wanted, wanted};
use super::{casts, comparable, concepts, full, patientwise, same_person, single, size, subqueries, total, unions};
use crate::gate::GatedTable;
use crate::store::omop;
use crate::store::table::{Dating, Role, Table};

/// What a cohort query reads, by its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct Reads {
    tables: Vec<TableRead>,
}

/// What a query reads of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, BorshSerialize, BorshDeserialize)]
pub struct TableRead {
    /// The table.
    pub name: String,
    /// The domains that consent must open; none for vocabularies.
    pub domains: Vec<Domain>,
    /// Whether its rows have days, so that consent's windows are about them.
    pub dated: bool,
    /// The columns, by name.
    pub columns: Vec<String>,
}

impl Reads {
    /// The tables, by name.
    pub fn tables(&self) -> &[TableRead] {
        &self.tables
    }

    /// The domains that consent must open for the query to find anything.
    pub fn domains(&self) -> BTreeSet<Domain> {
        self.tables.iter().flat_map(|table| table.domains.iter().copied()).collect()
    }

    /// Of what a patient opens, what the query reads: of each domain its tables with dates, those without, or both.
    pub fn of(&self, allowed: &AllowedData) -> AllowedData {
        let part = |(domain, opened): (Domain, &Opened)| {
            let reads = |dated| self.tables.iter().any(|t| t.domains.contains(&domain) && t.dated == dated);
            let days = if reads(true) { opened.days.clone() } else { Windows::none() };
            (domain, Opened { undated: opened.undated && reads(false), days })
        };
        allowed.iter().map(part).collect()
    }
}

/// A query that may run.
pub(super) struct Planned {
    /// Yields the subject at [`single::SUBJECT`], then the declared columns in the order of `columns`.
    pub(super) plan: LogicalPlan,
    /// The declared columns with what is wanted of them.
    pub(super) columns: Vec<Wanted>,
    pub(super) reads: Reads,
}

/// Plans the cohort of a study over the tables of a session.
pub(super) async fn plan(context: &SessionContext, spec: &StudySpec, as_of: Date) -> Result<Planned, CohortError> {
    let mut parsed = parse(&spec.cohort.sql, &spec.cohort.concept_sets, as_of)?;
    total::rewrite(&mut parsed.statement)?;
    for table in &parsed.tables {
        if !context.table_exist(table.as_str()).unwrap_or(false) {
            let name = table.clone();
            return Err(match omop::closed(table) {
                Some(why) => CohortError::ClosedTable { name, why },
                None => {
                    let sets = spec.cohort.concept_sets.iter().map(|set| set.name.as_str());
                    let near = nearest(table, sets.chain(omop::names().map(|name| -> &str { name })));
                    CohortError::UnknownTable { name, near }
                }
            });
        }
    }
    let state = context.state();
    let statement = AnyStatement::Statement(Box::new(parsed.statement));
    let plan = state.statement_to_plan(statement).await.map_err(|e| meaning(&e))?;
    size::check(&plan)?;
    comparable::check(&plan)?;
    let plan = casts::without(plan)?;
    let plan = full::replace(unions::named(plan)?)?;
    size::check(&plan)?;
    let plan = same_person::add(plan)?;
    let traces = trace(&plan)?;
    let (written, columns) = declared_only(plan, &traces, spec)?;
    let written = without_order(written)?;
    let plan = subqueries::rewrite(written.clone())?;
    size::check(&plan)?;
    let plan = state.optimize(&plan).map_err(|e| meaning(&e))?;
    refuse_cross_joins(&plan)?;
    patientwise::check(&plan)?;
    let reads = reads(&plan)?;
    for (wanted, field) in columns.iter().zip(plan.schema().fields().iter().skip(1)) {
        wanted.check(field.data_type())?;
    }
    single::check(&written, state.config_options())?;
    Ok(Planned { plan, columns, reads })
}

/// Physical planning, with nothing of the engine's messages.
pub(super) async fn physical(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>, CohortError> {
    let plan = state.query_planner().create_physical_plan(plan, state).await.map_err(|e| meaning(&e))?;
    total::verify(&plan)?;
    Ok(plan)
}

/// Checks what the result shows, and cuts it down to the subject and the declared columns.
fn declared_only(
    plan: LogicalPlan,
    traces: &[Trace],
    spec: &StudySpec,
) -> Result<(LogicalPlan, Vec<Wanted>), CohortError> {
    let schema = Arc::clone(plan.schema());
    let find = |name: &str| {
        let mut found = (0..schema.fields().len()).filter(|i| schema.field(*i).name() == name);
        match (found.next(), found.next()) {
            (Some(position), None) => Ok(position),
            (None, _) => Err(CohortError::ColumnMissing { name: name.to_string() }),
            (Some(_), Some(_)) => Err(CohortError::AmbiguousColumn { name: name.to_string() }),
        }
    };
    let subject = find(&spec.cohort.subject).map_err(|error| match error {
        CohortError::ColumnMissing { name } => CohortError::SubjectMissing { name },
        other => other,
    })?;
    if traces.get(subject) != Some(&Trace::Subject) {
        return Err(CohortError::SubjectNotBare { name: spec.cohort.subject.clone() });
    }
    let columns = wanted(spec);
    for (position, trace) in traces.iter().enumerate().filter(|(position, _)| *position != subject) {
        let name = schema.field(position).name();
        let declared = columns.iter().any(|wanted| wanted.name == *name);
        match trace {
            Trace::Plain => {}
            Trace::Key(_) if !declared => {}
            Trace::Subject | Trace::Key(_) => return Err(CohortError::IdentifierInResult { name: name.clone() }),
        }
    }
    let column = |position: usize| Expr::Column(Column::from(schema.qualified_field(position)));
    let mut exprs = vec![column(subject)];
    for wanted in &columns {
        exprs.push(column(find(&wanted.name)?));
    }
    let plan = LogicalPlanBuilder::from(plan).project(exprs).and_then(|builder| builder.build());
    Ok((plan.map_err(|_| CohortError::Internal)?, columns))
}

/// The same rows, in any order: an ORDER BY of a query says nothing where there is no LIMIT, and costs a sort.
fn without_order(plan: LogicalPlan) -> Result<LogicalPlan, CohortError> {
    let unsorted = plan.transform_up_with_subqueries(|node| {
        Ok(match node {
            LogicalPlan::Sort(sort) => Transformed::yes(Arc::unwrap_or_clone(sort.input)),
            other => Transformed::no(other),
        })
    });
    unsorted.data().map_err(|_| CohortError::Internal)
}

/// A join without an equality multiplies its sides, unless one of them has a single row.
fn refuse_cross_joins(plan: &LogicalPlan) -> Result<(), CohortError> {
    let mut crossed = false;
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            let single = |side: &LogicalPlan| side.max_rows().is_some_and(|rows| rows <= 1);
            crossed |= join.on.is_empty() && !single(&join.left) && !single(&join.right);
        }
        Ok(if crossed { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    visited.map_err(|_| CohortError::Internal)?;
    if crossed { Err(CohortError::CrossJoin) } else { Ok(()) }
}

/// The columns that an optimized plan scans or filters by.
fn reads(plan: &LogicalPlan) -> Result<Reads, CohortError> {
    let mut tables: BTreeMap<String, (Arc<Table>, BTreeSet<String>)> = BTreeMap::new();
    let mut strange = false;
    let visited = plan.apply_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(TreeNodeRecursion::Continue) };
        let provider = source_as_provider(&scan.source)?;
        let Some(gated) = provider.downcast_ref::<GatedTable>() else {
            strange = true;
            return Ok(TreeNodeRecursion::Stop);
        };
        if concepts::is_own(&gated.table.name) {
            return Ok(TreeNodeRecursion::Continue);
        }
        let entry = tables.entry(gated.table.name.clone()).or_insert((Arc::clone(&gated.table), BTreeSet::new()));
        entry.1.extend(scan.projected_schema.fields().iter().map(|field| field.name().clone()));
        for filter in &scan.filters {
            entry.1.extend(filter.column_refs().into_iter().map(|column| column.name.clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.map_err(|_| CohortError::Internal)?;
    if strange {
        return Err(CohortError::Internal);
    }
    let table = |(name, (table, columns)): (String, (Arc<Table>, BTreeSet<String>))| TableRead {
        name,
        domains: table.domains().to_vec(),
        dated: matches!(table.role, Role::Patients { dating: Dating::Column(_) | Dating::Unsaid, .. }),
        columns: columns.into_iter().collect(),
    };
    Ok(Reads { tables: tables.into_iter().map(table).collect() })
}
