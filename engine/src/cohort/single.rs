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
//! reads, and only as far as those determine what they stand for among the pairs that match. UNION gets new attributes,
//! too, which have in common what each of its parts says in the same words. Facts of the tables are two: `person` has
//! one row a person, and a vocabulary's key is unique; both were checked when the store was opened. Two values are the
//! same here when no operation can tell them apart; `=` says so of whole numbers, texts, days and truth values, not of
//! numbers with fractions.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator, Projection, Subquery,
    TableScan, Union, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use datafusion::optimizer::Analyzer;

use super::determined::{Attribute, Determined};
use super::error::CohortError;
use crate::gate::GatedTable;

/// The column of a planned cohort that says whose a row is, for the proof and for what counts rows.
pub(super) const SUBJECT: usize = 0;

/// The largest expression whose meaning is kept, in parts: what UNION's parts have in common is short.
const MEANING: usize = 60;

type Proved<T> = Result<T, CohortError>;

/// The rows of a step.
struct Rows {
    columns: Vec<Attribute>,
    /// What tells them apart.
    identity: Vec<Attribute>,
}

/// What an identity stands for, to be named when the subject does not determine it.
#[derive(Clone)]
enum Part {
    Table(String),
    Grouped { how: &'static str, by: Vec<(String, Attribute)> },
    Union,
    Values,
    Join,
}

/// What a column is in words that mean the same everywhere: an expression over columns of a keyed table, for the row
/// that `of` names; of no row where there is none.
#[derive(Clone)]
struct Meaning {
    of: Option<Attribute>,
    expr: Expr,
}

#[derive(Clone, Default)]
struct Proof {
    facts: Determined,
    parts: BTreeMap<Attribute, Part>,
    meanings: BTreeMap<Attribute, Meaning>,
    /// By attribute of a row_number, which is never NULL, what it counts within.
    row_numbers: BTreeMap<Attribute, Vec<Attribute>>,
}

/// Checks that a plan, not yet optimised, yields at most one row for each value of its column [`SUBJECT`].
pub(super) fn check(plan: &LogicalPlan, options: &ConfigOptions) -> Proved<()> {
    // Only types are coerced here, whatever else a session's analyzer does to a plan.
    let plan = Analyzer::new().execute_and_check(plan.clone(), options, |_, _| {});
    let plan = plan.map_err(|_| CohortError::Unplannable)?;
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
    /// The refusal for an identity that the subject does not determine.
    fn several(&self, identity: Attribute, determined: &BTreeSet<Attribute>) -> CohortError {
        let (part, form) = match self.parts.get(&identity) {
            Some(Part::Table(name)) => (
                match name.as_str() {
                    "death" => {
                        "`death` can have several rows of one patient, though OMOP means it to have one".to_string()
                    }
                    _ => format!("`{name}` can have several rows of one patient"),
                },
                "GROUP BY the person's id with max(…), min(…) or count(…), keep one by row_number() OVER (PARTITION BY \
                 the person's id ORDER BY …) = 1, or ask with EXISTS instead of a join",
            ),
            Some(Part::Grouped { how, by }) => {
                let several = by.iter().find(|(_, column)| !determined.contains(column));
                let name = several.map_or("a column", |(name, _)| name);
                (
                    format!("one patient can have several values of `{name}`, and {how} keeps a row of each"),
                    "put it into max(…) or min(…) and GROUP BY the person's id",
                )
            }
            Some(Part::Union) => (
                "UNION can have a row of one patient from each of its parts".to_string(),
                "GROUP BY the person's id over it, or select the person's id alone in each part of a UNION without ALL",
            ),
            Some(Part::Values) => (
                "a patient's row can fit several rows of VALUES".to_string(),
                "GROUP BY the person's id with max(…) or min(…), or use CASE instead",
            ),
            Some(Part::Join) | None => (
                "a join can give one patient several rows".to_string(),
                "GROUP BY the person's id with max(…), min(…) or count(…), or ask with EXISTS instead",
            ),
        };
        CohortError::SeveralRowsPerSubject { part, form }
    }

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

    /// The side of an outer join whose columns are NULL where nothing matches; `kept` is the other.
    fn optional(&mut self, join: &Join, left: &Rows, right: &Rows, kept: &Rows) -> Rows {
        let padded = if std::ptr::eq(kept, left) { right } else { left };
        // What holds of pairs that match does not hold of a kept row without a match.
        let mut matching = self.clone();
        let mut read = matching.match_pairs(join, left, right);
        read.retain(|attribute| kept.columns.contains(attribute));
        let determined = matching.facts.closure(&read);
        let columns = self.new_attributes(padded.columns.len());
        let missing = padded.identity.iter().find(|part| !determined.contains(part));
        let part = missing.and_then(|part| self.parts.get(part).cloned()).unwrap_or(Part::Join);
        let identity = self.identity_of(&columns, part);
        for (column, stands_for) in columns.iter().zip(&padded.columns) {
            if determined.contains(stands_for) {
                self.facts.determine(&read, &[*column]);
            }
        }
        if missing.is_none() {
            self.facts.determine(&read, &[identity]);
        }
        self.optional_row_numbers(padded, &columns, identity);
        Rows { columns, identity: vec![identity] }
    }

    /// A row number is NULL in rows made up and in no other: what it determined, it goes on to determine.
    fn optional_row_numbers(&mut self, padded: &Rows, columns: &[Attribute], identity: Attribute) {
        let moved =
            |attribute: &Attribute| Some(columns[padded.columns.iter().position(|column| column == attribute)?]);
        for number in &padded.columns {
            let Some(within) = self.row_numbers.get(number) else { continue };
            let counted = [within.as_slice(), &[*number]].concat();
            let determined = self.facts.closure(&counted);
            if let Some(counted) = counted.iter().map(moved).collect::<Option<Vec<_>>>()
                && padded.identity.iter().all(|part| determined.contains(part))
            {
                self.facts.determine(&counted, &[identity]);
                if let Some((number, within)) = counted.split_last() {
                    self.row_numbers.insert(*number, within.to_vec());
                }
            }
        }
    }

    fn union(&mut self, union: &Union) -> Proved<Rows> {
        let parts = union.inputs.iter().map(|input| self.rows(input)).collect::<Proved<Vec<_>>>()?;
        let columns = self.new_attributes(union.schema.fields().len());
        let identity = self.identity_of(&columns, Part::Union);
        for (position, column) in columns.iter().enumerate() {
            let Some(meanings) = parts.iter().map(|part| self.meaning(part.columns.get(position))).collect() else {
                continue;
            };
            let meanings: Vec<Meaning> = meanings;
            if meanings.windows(2).any(|pair| pair[0].expr != pair[1].expr) {
                continue;
            }
            let Some(first) = meanings.first() else { continue };
            if meanings.iter().all(|meaning| meaning.of.is_none()) {
                self.facts.determine(&[], &[*column]);
                self.meanings.insert(*column, Meaning { of: None, expr: first.expr.clone() });
                continue;
            }
            // The column that names, in every part, the row of which that part's column is.
            let names = |other: &usize| {
                parts.iter().zip(&meanings).all(|(part, meaning)| match (part.columns.get(*other), meaning.of) {
                    (Some(column), Some(of)) => self.facts.are_equal(*column, of),
                    _ => false,
                })
            };
            if let Some(key) = (0..columns.len()).find(names) {
                self.facts.determine(&[columns[key]], &[*column]);
                self.meanings.insert(*column, Meaning { of: Some(columns[key]), expr: first.expr.clone() });
            }
        }
        Ok(Rows { columns, identity: vec![identity] })
    }

    fn meaning(&self, column: Option<&Attribute>) -> Option<Meaning> {
        self.meanings.get(column?).cloned()
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

    fn meaning_of(&self, expr: &Expr, columns: &[Attribute], schema: &DFSchema) -> Option<Meaning> {
        let mut size = 0;
        let plain = expr.apply(|part| {
            size += 1;
            let opaque = matches!(
                part,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..)
            );
            Ok(if opaque || size > MEANING { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        if !matches!(plain, Ok(TreeNodeRecursion::Continue)) {
            return None;
        }
        let mut of = None;
        let mut unknown = false;
        let replaced = expr.clone().transform(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let attribute = position(column, schema).and_then(|position| columns.get(position));
            let Some(meaning) = self.meaning(attribute) else {
                unknown = true;
                return Ok(Transformed::no(part));
            };
            match (of, meaning.of) {
                (Some(one), Some(other)) if !self.facts.are_equal(one, other) => unknown = true,
                (None, other) => of = other,
                _ => {}
            }
            // What it is replaced by must not be replaced again.
            Ok(Transformed::new(meaning.expr, true, TreeNodeRecursion::Jump))
        });
        let expr = replaced.data().ok()?;
        let mut size = 0;
        let counted = expr.apply(|_| {
            size += 1;
            Ok(if size > MEANING { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        (!unknown && matches!(counted, Ok(TreeNodeRecursion::Continue))).then_some(Meaning { of, expr })
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
                    self.facts.determine(&[], &[value]);
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

/// What `=` can be trusted with: it is true of the very same values only.
#[derive(PartialEq, Eq)]
enum Exact {
    Whole,
    Text,
    Day,
    Moment(DataType),
    Truth,
}

fn exact(expr: &Expr, schema: &DFSchema) -> Option<Exact> {
    match lossless(expr, schema).get_type(schema).ok()? {
        t if t.is_integer() => Some(Exact::Whole),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Exact::Text),
        DataType::Date32 => Some(Exact::Day),
        t @ DataType::Timestamp(_, None) => Some(Exact::Moment(t)),
        DataType::Boolean => Some(Exact::Truth),
        _ => None,
    }
}

/// An expression without its name and without casts that lose nothing: of whole numbers to types that hold them all, and
/// to the type that they have.
fn lossless<'e>(expr: &'e Expr, schema: &DFSchema) -> &'e Expr {
    let mut expr = unaliased(expr);
    while let Expr::Cast(cast) = expr {
        let Ok(from) = cast.expr.get_type(schema) else { break };
        if !holds(&from, cast.field.data_type()) {
            break;
        }
        expr = unaliased(&cast.expr);
    }
    expr
}

/// Whether every value of one type is, unchanged, one of the other.
fn holds(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    let bits = |t: &DataType| match t {
        Int8 | UInt8 => Some(8),
        Int16 | UInt16 => Some(16),
        Int32 | UInt32 => Some(32),
        Int64 | UInt64 => Some(64),
        _ => None,
    };
    match (bits(from), to) {
        _ if from == to => true,
        (Some(_), Decimal128(precision, 0)) => *precision >= 20,
        (Some(from_bits), to) => match bits(to) {
            Some(to_bits) if from.is_signed_integer() == to.is_signed_integer() => from_bits <= to_bits,
            Some(to_bits) => to.is_signed_integer() && from_bits < to_bits,
            None => false,
        },
        (None, _) => false,
    }
}

/// The whole number that a literal is.
fn whole(expr: &Expr, schema: &DFSchema) -> Option<i128> {
    let Expr::Literal(value, _) = lossless(expr, schema) else { return None };
    match value {
        ScalarValue::Int64(Some(value)) => Some(i128::from(*value)),
        ScalarValue::UInt64(Some(value)) => Some(i128::from(*value)),
        ScalarValue::Decimal128(Some(value), _, 0) => Some(*value),
        _ => None,
    }
}

fn is_row_number(function: &WindowFunction) -> bool {
    matches!(&function.fun, WindowFunctionDefinition::WindowUDF(function) if function.name() == "row_number")
}

/// Whether every row of a partition gets the same value: that of the whole partition, or of its first or last row.
fn is_one_per_partition(function: &WindowFunction) -> bool {
    let params = &function.params;
    let WindowFrame { start_bound: start, end_bound: end, .. } = &params.window_frame;
    let from_start = matches!(start, WindowFrameBound::Preceding(_)) && start.is_unbounded();
    let to_end = matches!(end, WindowFrameBound::Following(_)) && end.is_unbounded();
    let to_here = to_end || *end == WindowFrameBound::CurrentRow;
    let from_here = from_start || *start == WindowFrameBound::CurrentRow;
    let all_peers = params.order_by.is_empty() && params.window_frame.units != WindowFrameUnits::Rows;
    match &function.fun {
        WindowFunctionDefinition::AggregateUDF(_) => from_start && (to_end || to_here && all_peers),
        WindowFunctionDefinition::WindowUDF(function) => {
            let skips = params.null_treatment == Some(NullTreatment::IgnoreNulls);
            match function.name() {
                "first_value" => from_start && to_here && !skips,
                "last_value" => from_here && to_end && !skips,
                _ => false,
            }
        }
    }
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
