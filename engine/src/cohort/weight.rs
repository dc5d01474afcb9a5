//! How large a query is when every name that WITH defines is counted as all that it stands for.
//!
//! The planner puts in the place of such a name, at every use, the whole of its query: a name used twice within the next,
//! and that one twice within the next, is 2^n queries. So a query is weighed as it is read, before anything is planned.
//! Weights saturate. A set of concepts is one table here: what it stands for is as much for every set, and counts when the plan
//! is measured (`size`).

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{Query, Select, SetExpr, TableFactor, TableWithJoins};

use super::error::CohortError;
use super::parse::normal;

/// The most tables, VALUES lists and SELECTs without FROM of a query.
const TABLES: u64 = 200;
/// The most columns, values, operators and functions.
const PARTS: u64 = 20_000;
/// How many queries may stand within each other, by nesting and by name.
const LEVELS: u64 = 64;
/// The most rows that VALUES lists and SELECTs without FROM can make up together: those of a join times each other, those
/// of a UNION added.
const ROWS: u64 = 10_000;

#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    tables: u64,
    parts: u64,
    levels: u64,
    rows: Rows,
}

/// The rows that a query makes up out of its own text.
#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    many: u64,
    /// How often it repeats those of the hospital's tables, if it is over any.
    over_tables: bool,
}

impl Rows {
    const ONE: Self = Self { many: 1, over_tables: false };
    const TABLE: Self = Self { many: 1, over_tables: true };

    fn times(self, other: Self) -> Self {
        Self { many: self.many.saturating_mul(other.many), over_tables: self.over_tables || other.over_tables }
    }

    /// Rows of tables that stand beside others are none that were made up.
    fn and(self, other: Self) -> Self {
        let many = match (self.over_tables, other.over_tables) {
            (false, false) => self.many.saturating_add(other.many),
            _ => self.many.max(other.many),
        };
        Self { many, over_tables: self.over_tables || other.over_tables }
    }

    fn larger(self, other: Self) -> Self {
        Self { many: self.many.max(other.many), over_tables: self.over_tables && other.over_tables }
    }
}

impl Weight {
    /// What a query becomes by one within it.
    fn add(&mut self, within: Self) {
        self.tables = self.tables.saturating_add(within.tables);
        self.parts = self.parts.saturating_add(within.parts);
        self.levels = self.levels.max(within.levels);
    }

    fn larger(self, other: Self) -> Self {
        Self {
            tables: self.tables.max(other.tables),
            parts: self.parts.max(other.parts),
            levels: self.levels.max(other.levels),
            rows: self.rows.larger(other.rows),
        }
    }
}

/// Weighs a query while its parts are visited, in the order of the text.
#[derive(Default)]
pub(super) struct Scales {
    /// The queries that WITH gives a name to, by their place in memory.
    named: BTreeMap<*const Query, String>,
    /// What the names stand for: the largest so far, where two queries have one name.
    of_names: BTreeMap<String, Weight>,
    /// The rows that queries within others make up, by their place in memory.
    rows: BTreeMap<*const Query, Rows>,
    /// The queries around the place that is visited.
    open: Vec<Weight>,
}

impl Scales {
    /// A query begins.
    pub(super) fn enter(&mut self, query: &Query) {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.named.insert(&raw const *cte.query, normal(&cte.alias.name));
        }
        let tables = selects_without_from(&query.body);
        self.open.push(Weight { tables, ..Weight::default() });
    }

    /// A table is named.
    pub(super) fn table(&mut self, name: &str) {
        let weight = self.of_names.get(name).copied().unwrap_or(Weight { tables: 1, ..Weight::default() });
        if let Some(open) = self.open.last_mut() {
            open.add(weight);
        }
    }

    /// An expression begins.
    pub(super) fn expression(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.parts = open.parts.saturating_add(1);
        }
    }

    /// A query ends.
    pub(super) fn leave(&mut self, query: &Query) -> Result<(), CohortError> {
        let mut weight = self.open.pop().unwrap_or_default();
        weight.levels = weight.levels.saturating_add(1);
        weight.rows = self.body(&query.body);
        let name = self.named.get(&(&raw const *query));
        check(weight, name)?;
        match name {
            Some(name) => {
                let known = self.of_names.entry(name.clone()).or_insert(weight);
                *known = known.larger(weight);
            }
            None => {
                self.rows.insert(&raw const *query, weight.rows);
                if let Some(around) = self.open.last_mut() {
                    around.add(weight);
                }
            }
        }
        Ok(())
    }

    fn body(&self, body: &SetExpr) -> Rows {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.rows.get(&(&raw const **query)).copied().unwrap_or(Rows::ONE),
            SetExpr::SetOperation { left, right, .. } => self.body(left).and(self.body(right)),
            SetExpr::Values(values) => Rows { many: values.rows.len() as u64, over_tables: false },
            _ => Rows::ONE,
        }
    }

    fn select(&self, select: &Select) -> Rows {
        select.from.iter().fold(Rows::ONE, |rows, joined| rows.times(self.joined(joined)))
    }

    fn joined(&self, joined: &TableWithJoins) -> Rows {
        let factors = std::iter::once(&joined.relation).chain(joined.joins.iter().map(|join| &join.relation));
        factors.fold(Rows::ONE, |rows, factor| rows.times(self.factor(factor)))
    }

    fn factor(&self, factor: &TableFactor) -> Rows {
        match factor {
            TableFactor::Table { name, .. } => {
                let name = name.0.last().and_then(|part| part.as_ident()).map(normal);
                name.and_then(|name| self.of_names.get(&name)).map_or(Rows::TABLE, |weight| weight.rows)
            }
            TableFactor::Derived { subquery, .. } => {
                self.rows.get(&(&raw const **subquery)).copied().unwrap_or(Rows::ONE)
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined(table_with_joins),
            _ => Rows::ONE,
        }
    }
}

/// SELECTs without FROM and VALUES lists of a query's own, which are tables to the planner.
fn selects_without_from(body: &SetExpr) -> u64 {
    match body {
        SetExpr::Select(select) => u64::from(select.from.is_empty()),
        SetExpr::SetOperation { left, right, .. } => {
            selects_without_from(left).saturating_add(selects_without_from(right))
        }
        SetExpr::Values(_) => 1,
        _ => 0,
    }
}

fn check(weight: Weight, name: Option<&String>) -> Result<(), CohortError> {
    let limits = [
        (weight.tables, TABLES, "tables", "use each name fewer times, or split the study"),
        (weight.parts, PARTS, "columns, values and operators", "use each name fewer times, or split the study"),
        (weight.levels, LEVELS, "levels of queries within each other", "do in one SELECT what several do in turn"),
        (weight.rows.many, ROWS, "rows of VALUES", "join VALUES lists with tables, not with each other"),
    ];
    match limits.into_iter().find(|(size, limit, ..)| size > limit) {
        None => Ok(()),
        Some((size, limit, unit, form)) => {
            let part = name
                .map_or("the query".to_string(), |name| format!("`{}`", name.chars().take(120).collect::<String>()));
            Err(CohortError::Outgrown { part, size, limit, unit, form })
        }
    }
}
