//! The sets of concepts that a study brings along, as tables of one column.
//!
//! A set is a query that WITH defines before all others, over its concepts as they are listed, which are a vocabulary of the
//! study's own, and over `concept_ancestor` where it stands for descendants, too. So it is planned and proved like any other,
//! and its length counts for nothing.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use consilium_protocol::study::ConceptSet;
use datafusion::sql::sqlparser::ast::{Statement, With};
use datafusion::sql::sqlparser::parser::Parser;

use super::dialect::CohortDialect;
use super::error::CohortError;
use crate::store::kind::Kind;
use crate::store::omop;
use crate::store::table::{Column, Notes, Role, Source, Table, schema};

/// The one column.
const COLUMN: &str = "concept_id";

/// A name that no query can write.
fn listed(of: &str, how: &str) -> String {
    format!("concepts {how} {of}")
}

/// Whether a table is a study's own, and none that a hospital has.
pub(super) fn is_own(table: &str) -> bool {
    table.starts_with("concepts ")
}

/// The concepts of sets as they are listed.
pub(super) fn tables(sets: &[ConceptSet]) -> Result<Vec<Arc<Table>>, CohortError> {
    let mut tables = Vec::new();
    for set in sets {
        if omop::is_of_omop(&set.name) {
            return Err(CohortError::SetName { name: set.name.clone() });
        }
        for (how, concepts) in [("in", &set.include), ("not in", &set.exclude)] {
            tables.push(Arc::new(table(listed(&set.name, how), concepts)?));
        }
    }
    Ok(tables)
}

fn table(name: String, concepts: &[u32]) -> Result<Table, CohortError> {
    let columns = vec![Column::of_omop(&(COLUMN, Kind::Code))];
    let values: Int64Array = concepts.iter().map(|concept| i64::from(*concept)).collect();
    let batch = RecordBatch::try_new(schema(&columns), vec![Arc::new(values)]).map_err(|_| CohortError::Internal)?;
    Ok(Table {
        name,
        role: Role::Vocabulary,
        columns,
        given: 0,
        rows: Some(concepts.len()),
        // They are listed in ascending order, once each.
        key: Some(0),
        source: Source::Memory(Arc::new(vec![batch])),
        notes: Notes { format: "study", ..Notes::default() },
    })
}

/// Defines the sets in a statement, before what it defines itself.
pub(super) fn define(statement: &mut Statement, sets: &[&ConceptSet]) -> Result<(), CohortError> {
    let Statement::Query(query) = statement else { return Err(CohortError::Internal) };
    if sets.is_empty() {
        return Ok(());
    }
    let mut defined = with(sets)?;
    match &mut query.with {
        Some(own) => {
            defined.cte_tables.append(&mut own.cte_tables);
            own.cte_tables = defined.cte_tables;
        }
        None => query.with = Some(defined),
    }
    Ok(())
}

fn with(sets: &[&ConceptSet]) -> Result<With, CohortError> {
    let these = |set: &ConceptSet, how: &str| {
        let listed = format!("SELECT {COLUMN} FROM \"{}\"", listed(&set.name, how));
        if !set.descendants {
            return listed;
        }
        format!(
            "{listed} UNION SELECT a.descendant_concept_id AS {COLUMN} FROM concept_ancestor a JOIN ({listed}) l ON \
             l.{COLUMN} = a.ancestor_concept_id"
        )
    };
    let set = |set: &&ConceptSet| {
        let included = these(set, "in");
        let query =
            if set.exclude.is_empty() { included } else { format!("({included}) EXCEPT ({})", these(set, "not in")) };
        format!("\"{}\" AS ({query})", set.name)
    };
    let text = format!("WITH {} SELECT 1", sets.iter().map(set).collect::<Vec<_>>().join(", "));
    let statements = Parser::parse_sql(&CohortDialect, &text).map_err(|_| CohortError::Internal)?;
    match statements.into_iter().next() {
        Some(Statement::Query(query)) => query.with.ok_or(CohortError::Internal),
        _ => Err(CohortError::Internal),
    }
}
