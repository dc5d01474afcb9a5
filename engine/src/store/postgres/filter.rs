//! Which of a study's filters the server is given.
//!
//! The gate evaluates all of them again, on rows that passed it or beside it; what the server leaves out is only what they would
//! leave out, too. So the server gets those alone that cannot fail on any row, and mean the same there: comparisons of whole
//! numbers and days with constants, whether a column of whole numbers has a value, and what AND, OR and NOT make of these. Texts have
//! collations, and doubles another order of NaN. COPY takes no parameters, so constants stand in the text: they are numbers and
//! days that are written here, never a text of the study's.

use std::sync::Arc;

use consilium_protocol::ids::Date;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};

use super::quoted;
use super::shape::Shape;

/// The most constants of a list that are written out.
const MOST: usize = 1_000;

/// A column, as it is in the database.
pub(super) struct There {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// Whether each of its values is one here, too.
    pub(super) is_kept: bool,
}

/// What the server can do of a filter, as SQL; `None` for nothing. `column` finds a column.
pub(super) fn pushed(filter: &Arc<dyn PhysicalExpr>, column: &impl Fn(&str) -> Option<There>) -> Option<String> {
    // Of what must all hold, the server may be given any.
    if let Some(both) = filter.downcast_ref::<BinaryExpr>()
        && *both.op() == Operator::And
    {
        let parts: Vec<String> =
            [both.left(), both.right()].into_iter().filter_map(|part| pushed(part, column)).collect();
        return (!parts.is_empty()).then(|| parts.join(" AND "));
    }
    whole(filter, column)
}

/// All of a filter.
fn whole(filter: &Arc<dyn PhysicalExpr>, column: &impl Fn(&str) -> Option<There>) -> Option<String> {
    let named = |filter: &Arc<dyn PhysicalExpr>| {
        let There { name, shape, .. } = column(filter.downcast_ref::<Column>()?.name())?;
        matches!(shape, Shape::Whole | Shape::Day).then(|| (quoted(&name), shape))
    };
    // A value that is none here, such as a day beyond the calendar, would be left out unseen.
    let kept = |filter: &Arc<dyn PhysicalExpr>| {
        let is_kept = column(filter.downcast_ref::<Column>()?.name())?.is_kept;
        named(filter).filter(|_| is_kept).map(|(name, _)| name)
    };
    if let Some(binary) = filter.downcast_ref::<BinaryExpr>() {
        let (left, right) = (binary.left(), binary.right());
        let sign = |op: &Operator| {
            Some(match op {
                Operator::Eq => "=",
                Operator::NotEq => "<>",
                Operator::Lt => "<",
                Operator::LtEq => "<=",
                Operator::Gt => ">",
                Operator::GtEq => ">=",
                _ => return None,
            })
        };
        return match binary.op() {
            Operator::And => Some(format!("({} AND {})", whole(left, column)?, whole(right, column)?)),
            Operator::Or => Some(format!("({} OR {})", whole(left, column)?, whole(right, column)?)),
            op => match (named(left), named(right)) {
                (Some((name, shape)), None) => Some(format!("({name} {} {})", sign(op)?, constant(right, shape)?)),
                (None, Some((name, shape))) => Some(format!("({} {} {name})", constant(left, shape)?, sign(op)?)),
                _ => None,
            },
        };
    }
    if let Some(not) = filter.downcast_ref::<NotExpr>() {
        return Some(format!("(NOT {})", whole(not.arg(), column)?));
    }
    if let Some(is_null) = filter.downcast_ref::<IsNullExpr>() {
        return Some(format!("({} IS NULL)", kept(is_null.arg())?));
    }
    if let Some(is_not_null) = filter.downcast_ref::<IsNotNullExpr>() {
        return Some(format!("({} IS NOT NULL)", kept(is_not_null.arg())?));
    }
    let list = filter.downcast_ref::<InListExpr>()?;
    let (name, shape) = named(list.expr())?;
    if list.list().is_empty() || list.list().len() > MOST {
        return None;
    }
    let constants = list.list().iter().map(|item| constant(item, shape)).collect::<Option<Vec<_>>>()?;
    let not = if list.negated() { "NOT " } else { "" };
    Some(format!("({name} {not}IN ({}))", constants.join(", ")))
}

/// A number or day, written out.
fn constant(literal: &Arc<dyn PhysicalExpr>, shape: Shape) -> Option<String> {
    match (literal.downcast_ref::<Literal>()?.value(), shape) {
        (ScalarValue::Int64(Some(number)), Shape::Whole) => Some(format!("({number})::pg_catalog.int8")),
        (ScalarValue::Date32(Some(days)), Shape::Day) => {
            let years = -719_162..2_932_897;
            years.contains(days).then(|| format!("'{}'::pg_catalog.date", Date::from_days(*days)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::{Expr, col, lit};
    use datafusion::prelude::SessionContext;

    use super::*;

    fn date(days: i32) -> Expr {
        lit(ScalarValue::Date32(Some(days)))
    }

    fn pushed_of(filter: Expr) -> Option<String> {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let schema = Schema::new(vec![
            field("n", DataType::Int64),
            field("t", DataType::Utf8),
            field("x", DataType::Float64),
            field("d", DataType::Date32),
            field("m", DataType::Int64),
        ]);
        let schema = DFSchema::try_from(schema).expect("a schema");
        let filter = SessionContext::new().create_physical_expr(filter, &schema).expect("a filter");
        pushed(&filter, &|name| {
            let shape = match name {
                "n" => Shape::Whole,
                "t" => Shape::Text { padded: false },
                "x" => Shape::Double,
                "d" => Shape::Day,
                // A whole number that is kept as a text.
                _ => Shape::Text { padded: false },
            };
            Some(There { name: format!("{name}\" OR \"\""), shape, is_kept: shape == Shape::Whole })
        })
    }

    #[test]
    fn numbers_and_days_are_compared_by_the_server_and_nothing_else() {
        let (n, d) = ("\"n\"\" OR \"\"\"\"\"", "\"d\"\" OR \"\"\"\"\"");
        let pushed = [
            (col("n").eq(lit(7i64)), format!("({n} = (7)::pg_catalog.int8)")),
            (col("n").lt(lit(i64::MIN)), format!("({n} < (-9223372036854775808)::pg_catalog.int8)")),
            (col("d").gt_eq(date(0)), format!("({d} >= '1970-01-01'::pg_catalog.date)")),
            (lit(7i64).lt(col("n")), format!("((7)::pg_catalog.int8 < {n})")),
            (col("n").is_not_null(), format!("({n} IS NOT NULL)")),
            (
                col("n").in_list(vec![lit(1i64), lit(2i64), lit(3i64), lit(4i64)], true),
                format!(
                    "({n} NOT IN ((1)::pg_catalog.int8, (2)::pg_catalog.int8, (3)::pg_catalog.int8, (4)::pg_catalog.int8))"
                ),
            ),
            (
                !(col("n").eq(lit(7i64)).or(col("n").is_null())),
                format!("(NOT (({n} = (7)::pg_catalog.int8) OR ({n} IS NULL)))"),
            ),
            // Of an AND, what can be; of an OR, all or nothing.
            (col("n").eq(lit(7i64)).and(col("t").eq(lit("x"))), format!("({n} = (7)::pg_catalog.int8)")),
        ];
        for (filter, sql) in pushed {
            assert_eq!(pushed_of(filter.clone()), Some(sql), "{filter}");
        }
        let kept = [
            col("t").eq(lit("x")),
            col("t").is_null(),
            col("d").is_null(),
            col("d").is_not_null(),
            col("x").gt(lit(0.5)),
            col("m").eq(lit(7i64)),
            col("n").eq(col("n")),
            col("n").eq(lit(7i64)).or(col("t").eq(lit("x"))),
            !(col("n").eq(lit(7i64)).and(col("t").eq(lit("x")))),
            col("n").eq(lit(ScalarValue::Int64(None))),
            col("d").gt(date(i32::MAX)),
            (col("n") + lit(1i64)).eq(lit(7i64)),
        ];
        for filter in kept {
            assert_eq!(pushed_of(filter.clone()), None, "{filter}");
        }
    }
}
