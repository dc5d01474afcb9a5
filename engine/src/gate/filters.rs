//! Which of a query's filters may be evaluated beside the gate, on rows that it may yet refuse.
//!
//! Only those that cannot fail, whatever a row holds: comparing a column with a literal of its own type, asking whether
//! it is NULL or in a list of such literals, and what `and`, `or`, `not` make of these. Evaluating such a filter on a
//! row that the gate refuses shows nothing: its outcome is dropped together with the row. A cast that fails or a
//! division by zero would show that such a row exists, and is evaluated only on rows that passed.

use arrow::datatypes::Schema;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Operator};

/// Whether no value of any row can make the evaluation of this filter fail.
pub(super) fn is_infallible(filter: &Expr, schema: &Schema) -> bool {
    let both = |left: &Expr, right: &Expr| is_infallible(left, schema) && is_infallible(right, schema);
    match filter {
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And | Operator::Or => both(&binary.left, &binary.right),
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                same_type(&binary.left, &binary.right, schema) || same_type(&binary.right, &binary.left, schema)
            }
            _ => false,
        },
        // What a comparison with NULL is.
        Expr::Literal(ScalarValue::Boolean(_), _) => true,
        Expr::Not(inner) => is_infallible(inner, schema),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => matches!(&**inner, Expr::Column(_)),
        Expr::Between(between) => {
            same_type(&between.expr, &between.low, schema) && same_type(&between.expr, &between.high, schema)
        }
        Expr::InList(list) => list.list.iter().all(|item| same_type(&list.expr, item, schema)),
        _ => false,
    }
}

/// Whether the first is a column and the second a literal of the column's type.
fn same_type(column: &Expr, literal: &Expr, schema: &Schema) -> bool {
    let (Expr::Column(column), Expr::Literal(value, _)) = (column, literal) else { return false };
    schema.field_with_name(&column.name).is_ok_and(|field| *field.data_type() == value.data_type())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    #[test]
    fn what_can_fail_stays_above_the_gate() {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("x", DataType::Float64, true),
            Field::new("t", DataType::Utf8, true),
        ]);
        let fine = [
            col("n").eq(lit(3i64)),
            lit(3i64).gt(col("n")),
            col("x").between(lit(1.0), lit(2.0)),
            col("t").in_list(vec![lit("a"), lit("b")], true),
            col("n").is_null().or(col("x").lt(lit(2.5))),
            !col("n").eq(lit(3i64)),
            lit(ScalarValue::Boolean(None)).or(col("n").is_null()),
        ];
        for filter in fine {
            assert!(is_infallible(&filter, &schema), "{filter}");
        }
        let fallible = [
            col("n").eq(lit(3i32)),
            (lit(1i64) / col("n")).eq(lit(1i64)),
            cast(col("t"), DataType::Int64).eq(lit(1i64)),
            col("n").eq(lit(3i64)).and(cast(col("t"), DataType::Int64).eq(lit(1i64))),
            col("n").eq(col("n")),
            (col("n") + lit(1i64)).is_null(),
            col("n").in_list(vec![lit(1i64), lit(1i64) / col("n")], false),
        ];
        for filter in fallible {
            assert!(!is_infallible(&filter, &schema), "{filter}");
        }
    }
}
