//! That a cohort has at most one row a patient, proved from the plan.
//!
//! The proof reads the plan as it was written, analysed and not yet optimised, and follows which values of a row
//! determine which others ([`Determined`]). Every table has, beside its columns, an attribute that tells its rows apart;
//! a step's rows are told apart by some of these, its *identity*. The query has one row a patient when the subject
//! determines the identity of the last step.
//!
//! Why it is sound. Dependencies are over one relation that grows with the plan: the rows of a step, each with all that
//! was known of the rows it was made of. A filter or an inner join keeps some of these rows and makes none up, so what
//! held goes on to hold, and its equalities are added. GROUP BY, DISTINCT and windows add attributes to each row (which
//! group it is in, what the group's aggregate is) and drop others, which changes nothing between those that stay. An
//! outer join makes rows up, out of NULL: its optional side gets new attributes, which depend on the columns that its ON
//! reads, and only as far as those determine what they stand for among the pairs that match; where a column is NULL that
//! ON compares, nothing matched, and all of them are NULL. UNION gets new attributes,
//! too, which have in common what each of its parts says in the same words. Facts of the tables are two: `person` has
//! one row a person, and a vocabulary's key is unique; both are checked when the store is opened, and in a database by
//! each study. Two values are the same here when no operation can tell them apart; `=` says so of whole numbers, texts,
//! days and truth values, not of numbers with fractions.

mod exact;
mod meaning;
mod optional;
mod part;
mod partition;

use std::collections::BTreeMap;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, Join, JoinType, LogicalPlan, Operator, Projection, Subquery, TableScan,
    Window,
};
use datafusion::optimizer::Analyzer;

use self::exact::{exact, lossless, whole};
use self::meaning::Meaning;
use self::part::Part;
use self::partition::{is_one_per_partition, is_row_number};
use super::determined::{Attribute, Determined};
use super::error::CohortError;
use super::refusal::meaning;
use crate::gate::GatedTable;

/// The column of a planned cohort that says whose a row is, for the proof and for what counts rows.
pub(super) const SUBJECT: usize = 0;

type Proved<T> = Result<T, CohortError>;

/// The rows of a step.
struct Rows {
    columns: Vec<Attribute>,
    /// What tells them apart.
    identity: Vec<Attribute>,
}

#[derive(Clone, Default)]
struct Proof {
    facts: Determined,
    parts: BTreeMap<Attribute, Part>,
    meanings: BTreeMap<Attribute, Meaning>,
    /// By attribute of a row_number, which is never NULL, what it counts within.
    row_numbers: BTreeMap<Attribute, Vec<Attribute>>,
    /// By attribute of an outer join's optional side that has a value wherever there is a match, that side's identity.
    matched: BTreeMap<Attribute, Attribute>,
}

/// Checks that a plan, not yet optimised, yields at most one row for each value of its column [`SUBJECT`].
pub(super) fn check(plan: &LogicalPlan, options: &ConfigOptions) -> Proved<()> {
    // Only types are coerced here, whatever else a session's analyzer does to a plan.
    let plan = Analyzer::new().execute_and_check(plan.clone(), options, |_, _| {});
    let plan = plan.map_err(|error| meaning(&error))?;
    let mut proof = Proof::default();
    let rows = proof.rows(&plan)?;
    let subject = *rows.columns.get(SUBJECT).ok_or(CohortError::Internal)?;
    let determined = proof.facts.closure(&[subject]);
    match rows.identity.iter().find(|part| !determined.contains(part)) {
        None => Ok(()),
        Some(part) => Err(proof.several(*part, &determined)),
    }
}

impl Proof {
    fn new_attributes(&mut self, how_many: usize) -> Vec<Attribute> {
        (0..how_many).map(|_| self.facts.attribute()).collect()
    }

    /// An identity that determines these columns.
    fn identity_of(&mut self, columns: &[Attribute], part: Part) -> Attribute {
        let identity = self.facts.attribute();
        self.facts.determine(&[identity], columns);
        self.parts.insert(identity, part);
        identity
    }

    fn rows(&mut self, plan: &LogicalPlan) -> Proved<Rows> {
        match plan {
            LogicalPlan::TableScan(scan) => self.table(scan),
            LogicalPlan::SubqueryAlias(alias) => self.rows(&alias.input),
            LogicalPlan::Subquery(subquery) => self.rows(&subquery.subquery),
            LogicalPlan::Sort(sort) => self.rows(&sort.input),
            LogicalPlan::Filter(filter) => {
                let rows = self.rows(&filter.input)?;
                self.assume(&filter.predicate, &rows.columns, filter.input.schema());
                Ok(rows)
            }
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let rows = self.rows(input)?;
                let names = input.schema().fields().iter().map(|field| field.name().clone());
                let by = names.zip(rows.columns.iter().copied()).collect();
                let identity = self.identity_of(&rows.columns, Part::Grouped { how: "DISTINCT", by });
                self.facts.determine(&rows.columns, &[identity]);
                Ok(Rows { identity: vec![identity], ..rows })
            }
            LogicalPlan::EmptyRelation(_) => {
                let columns = self.new_attributes(plan.schema().fields().len());
                self.facts.determine(&[], &columns);
                Ok(Rows { columns, identity: Vec::new() })
            }
            LogicalPlan::Values(values) => {
                let columns = self.new_attributes(values.schema.fields().len());
                let identity = self.identity_of(&columns, Part::Values);
                if values.values.len() <= 1 {
                    self.facts.determine(&[], &[identity]);
                }
                Ok(Rows { columns, identity: vec![identity] })
            }
            _ => Err(CohortError::Construct { what: "this kind of step" }),
        }
    }

    fn table(&mut self, scan: &TableScan) -> Proved<Rows> {
        let provider = source_as_provider(&scan.source).map_err(|_| CohortError::Internal)?;
        let table = &provider.downcast_ref::<GatedTable>().ok_or(CohortError::Internal)?.table;
        let scanned = scan.projection.clone().unwrap_or_else(|| (0..table.columns.len()).collect());
        let columns = self.new_attributes(scanned.len());
        let identity = self.identity_of(&columns, Part::Table(table.name.clone()));
        let key = table.key.and_then(|key| scanned.iter().position(|column| *column == key));
        if let Some(key) = key {
            let key = columns[key];
            self.facts.determine(&[key], &[identity]);
            for (attribute, column) in columns.iter().zip(&scanned) {
                let name = table.columns.get(*column).ok_or(CohortError::Internal)?.name.clone();
                let expr = Expr::Column(Column::new(Some(table.name.clone()), name));
                self.meanings.insert(*attribute, Meaning { of: Some(key), expr });
            }
        }
        Ok(Rows { columns, identity: vec![identity] })
    }

    fn projection(&mut self, projection: &Projection) -> Proved<Rows> {
        let rows = self.rows(&projection.input)?;
        let schema = projection.input.schema();
        let columns = projection.expr.iter().map(|expr| self.value(expr, &rows.columns, schema)).collect();
        Ok(Rows { columns, ..rows })
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Proved<Rows> {
        let rows = self.rows(&aggregate.input)?;
        let schema = aggregate.input.schema();
        let groups: Vec<Attribute> =
            aggregate.group_expr.iter().map(|expr| self.value(expr, &rows.columns, schema)).collect();
        let aggregates = self.new_attributes(aggregate.aggr_expr.len());
        let by = aggregate.group_expr.iter().map(name_of).zip(groups.iter().copied()).collect();
        let columns = [groups.clone(), aggregates].concat();
        let identity = self.identity_of(&columns, Part::Grouped { how: "GROUP BY", by });
        self.facts.determine(&groups, &[identity]);
        Ok(Rows { columns, identity: vec![identity] })
    }

    fn window(&mut self, window: &Window) -> Proved<Rows> {
        let mut rows = self.rows(&window.input)?;
        let schema = window.input.schema();
        let inputs = rows.columns.clone();
        for expr in &window.window_expr {
            let value = self.facts.attribute();
            rows.columns.push(value);
            let Expr::WindowFunction(function) = unaliased(expr) else { continue };
            let within: Vec<Attribute> =
                function.params.partition_by.iter().map(|expr| self.value(expr, &inputs, schema)).collect();
            if is_row_number(function) {
                self.facts.determine(&[within.as_slice(), &[value]].concat(), &rows.identity);
                self.row_numbers.insert(value, within);
            } else if is_one_per_partition(function) {
                self.facts.determine(&within, &[value]);
            }
        }
        Ok(rows)
    }

    fn join(&mut self, join: &Join) -> Proved<Rows> {
        use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
        let (left, right) = (self.rows(&join.left)?, self.rows(&join.right)?);
        Ok(match join.join_type {
            Inner => {
                self.match_pairs(join, &left, &right);
                Rows {
                    columns: [left.columns, right.columns].concat(),
                    identity: [left.identity, right.identity].concat(),
                }
            }
            Left => {
                let right = self.optional(join, &left, &right, &left);
                Rows {
                    columns: [left.columns, right.columns].concat(),
                    identity: [left.identity, right.identity].concat(),
                }
            }
            Right => {
                let left = self.optional(join, &left, &right, &right);
                Rows {
                    columns: [left.columns, right.columns].concat(),
                    identity: [left.identity, right.identity].concat(),
                }
            }
            Full => {
                let columns = self.new_attributes(left.columns.len() + right.columns.len());
                let identity = self.identity_of(&columns, Part::Join);
                Rows { columns, identity: vec![identity] }
            }
            LeftSemi | LeftAnti => left,
            RightSemi | RightAnti => right,
            LeftMark | RightMark => {
                let mut rows = if join.join_type == LeftMark { left } else { right };
                let mark = self.facts.attribute();
                self.facts.determine(&rows.identity, &[mark]);
                rows.columns.push(mark);
                rows
            }
        })
    }

    /// Adds what holds of the pairs that a join's condition matches; says which columns the condition reads.
    fn match_pairs(&mut self, join: &Join, left: &Rows, right: &Rows) -> Vec<Attribute> {
        let mut read = Vec::new();
        for (one, other) in &join.on {
            let (of_left, of_right) = (join.left.schema(), join.right.schema());
            read.extend(self.read_by(one, &left.columns, of_left));
            read.extend(self.read_by(other, &right.columns, of_right));
            let (one, exact) = (self.value(one, &left.columns, of_left), exact(one, of_left));
            let other_exact = self::exact(other, of_right);
            let other = self.value(other, &right.columns, of_right);
            if exact.is_some() && exact == other_exact {
                self.facts.equate(one, other);
            }
        }
        if let Some(filter) = &join.filter
            && let Ok(schema) = join.left.schema().join(join.right.schema())
        {
            let both = [left.columns.clone(), right.columns.clone()].concat();
            read.extend(self.read_by(filter, &both, &schema));
            self.assume(filter, &both, &schema);
        }
        read
    }

    /// The attribute of an expression over these columns.
    fn value(&mut self, expr: &Expr, columns: &[Attribute], schema: &DFSchema) -> Attribute {
        let expr = lossless(expr, schema);
        if let Expr::Column(column) = expr
            && let Some(attribute) = position(column, schema).and_then(|position| columns.get(position))
        {
            return *attribute;
        }
        let value = self.facts.attribute();
        let read = self.read_by(expr, columns, schema);
        self.facts.determine(&read, &[value]);
        if let Some(meaning) = self.meaning_of(expr, columns, schema) {
            self.meanings.insert(value, meaning);
        }
        value
    }

    /// The columns that an expression reads, those that its subqueries read from outside included.
    fn read_by(&self, expr: &Expr, columns: &[Attribute], schema: &DFSchema) -> Vec<Attribute> {
        let mut read: Vec<Column> = expr.column_refs().into_iter().cloned().collect();
        let visited = expr.apply(|part| {
            let subquery = match part {
                Expr::ScalarSubquery(subquery) => subquery,
                Expr::Exists(exists) => &exists.subquery,
                Expr::InSubquery(within) => &within.subquery,
                Expr::SetComparison(comparison) => &comparison.subquery,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            from_outside(subquery, &mut read)?;
            Ok(TreeNodeRecursion::Continue)
        });
        if visited.is_err() {
            return columns.to_vec();
        }
        // A column that is not here belongs to a query within or around.
        read.iter().filter_map(|column| columns.get(position(column, schema)?).copied()).collect()
    }

    /// Adds what holds of the rows for which a condition is true.
    fn assume(&mut self, condition: &Expr, columns: &[Attribute], schema: &DFSchema) {
        for part in split_conjunction(condition) {
            match part {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq | Operator::IsNotDistinctFrom, right }) => {
                    let kind = exact(left, schema);
                    if kind.is_some() && kind == exact(right, schema) {
                        let (left, right) = (self.value(left, columns, schema), self.value(right, columns, schema));
                        self.facts.equate(left, right);
                    }
                }
                Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                    let (number, op, bound) = match (whole(left, schema), whole(right, schema)) {
                        (None, Some(bound)) => (left, Some(*op), bound),
                        (Some(bound), None) => (right, op.swap(), bound),
                        _ => continue,
                    };
                    let first = matches!((op, bound), (Some(Operator::LtEq), 1) | (Some(Operator::Lt), 2));
                    let number = self.value(number, columns, schema);
                    // The first is 1.
                    if first && self.row_numbers.contains_key(&number) {
                        self.facts.determine(&[], &[number]);
                    }
                }
                Expr::IsNull(inner) => {
                    let value = self.value(inner, columns, schema);
                    // Where nothing matches, there is one row.
                    let identity = self.matched.get(&value).copied();
                    self.facts.determine(&[], &identity.into_iter().chain([value]).collect::<Vec<_>>());
                }
                Expr::InList(list) if !list.negated && list.list.len() == 1 => {
                    let kind = exact(&list.expr, schema);
                    if kind.is_some() && kind == exact(&list.list[0], schema) {
                        let one = self.value(&list.expr, columns, schema);
                        let other = self.value(&list.list[0], columns, schema);
                        self.facts.equate(one, other);
                    }
                }
                Expr::Column(_) => {
                    let value = self.value(part, columns, schema);
                    self.facts.determine(&[], &[value]);
                }
                _ => {}
            }
        }
    }
}

fn position(column: &Column, schema: &DFSchema) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

fn unaliased(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// A column's own name, for a message; an expression's text is the query's own.
fn name_of(expr: &Expr) -> String {
    let name = match unaliased(expr) {
        Expr::Column(column) => column.name.clone(),
        other => other.schema_name().to_string(),
    };
    name.chars().take(120).collect()
}

/// Adds the columns that a subquery reads from around it, at any depth.
fn from_outside(subquery: &Subquery, read: &mut Vec<Column>) -> datafusion::common::Result<()> {
    subquery.subquery.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::OuterReferenceColumn(_, column) = part {
                    read.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}
