//! The SQL of studies: the parser's generic dialect, with operators that bind as in the SQL standard.
//!
//! The generic dialect reads `a IS DISTINCT FROM 5 AND b > 1` as `a IS DISTINCT FROM (5 AND b > 1)`, `a = b IN (1, 2)` as
//! `(a = b) IN (1, 2)`, and `a LIKE 'x%' = b` as `a LIKE ('x%' = b)`; where the types happen to fit, that is another
//! cohort without a word. Precedence here is PostgreSQL's (PostgreSQL 15, section 4.1.6), which is the standard's where
//! the standard says anything. It also takes `/*! … */` for more than the comment that people see.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_IDENTIFIER};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

/// The dialect of cohort queries.
#[derive(Debug)]
pub(super) struct CohortDialect;

/// Words that begin an expression and are no names. Where the parser found a mistake after one that could be a name, it
/// reads all that follows a second time, as if it were: with n of them within each other, 2^n times.
const NO_NAMES: &[Keyword] = &[
    Keyword::CASE,
    Keyword::CAST,
    Keyword::CEIL,
    Keyword::CONVERT,
    Keyword::EXTRACT,
    Keyword::FLOOR,
    Keyword::NOT,
    Keyword::OVERLAY,
    Keyword::SAFE_CAST,
    Keyword::SUBSTR,
    Keyword::SUBSTRING,
    Keyword::TRY_CAST,
    Keyword::TRY_CONVERT,
];

/// Syntax that the generic dialect reads, so that a query with it is refused by its name.
macro_rules! reads {
    ($($syntax:ident),* $(,)?) => { $(fn $syntax(&self) -> bool { GenericDialect.$syntax() })* };
}

impl Dialect for CohortDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, word: Keyword) -> bool {
        NO_NAMES.contains(&word) || RESERVED_FOR_IDENTIFIER.contains(&word)
    }

    /// As SQL Server has it.
    fn convert_type_before_value(&self) -> bool {
        true
    }

    reads!(
        allow_extract_custom,
        supports_array_typedef_with_brackets,
        supports_connect_by,
        supports_filter_during_aggregation,
        supports_from_first_select,
        supports_group_by_expr,
        supports_group_by_with_modifier,
        supports_left_associative_joins_without_parens,
        supports_match_against,
        supports_match_recognize,
        supports_named_fn_args_with_assignment_operator,
        supports_nested_comments,
        supports_parens_around_table_factor,
        supports_pipe_operator,
        supports_prewhere,
        supports_select_format,
        supports_select_wildcard_exclude,
        supports_settings,
        supports_struct_literal,
        supports_try_convert,
        supports_unicode_string_literal,
        supports_values_as_table_factor,
        supports_window_clause_named_window_reference,
        supports_window_function_null_treatment_arg,
    );

    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Period => 200,
            Precedence::DoubleColon => 140,
            Precedence::AtTz => 110,
            Precedence::Caret => 100,
            Precedence::MulDivModOp => 90,
            Precedence::PlusMinus => 80,
            Precedence::Xor | Precedence::Ampersand | Precedence::Pipe | Precedence::Colon | Precedence::PgOther => 70,
            Precedence::Between | Precedence::Like => 60,
            Precedence::Eq => 50,
            Precedence::Is => 40,
            Precedence::UnaryNot => 30,
            Precedence::And => 20,
            Precedence::Or => 10,
        }
    }

    /// `NOT EXISTS`, which the parser's own takes for one word: `NOT EXISTS (…) IS NULL` is `NOT (EXISTS (…) IS NULL)`.
    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        if !parser.parse_keywords(&[Keyword::NOT, Keyword::EXISTS]) {
            return None;
        }
        parser.prev_token();
        let operand = parser.parse_subexpr(self.prec_value(Precedence::UnaryNot));
        Some(operand.map(|expr| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }))
    }

    /// `IS [NOT] DISTINCT FROM`, whose right side ends where `IS` binds: the parser's own takes all that follows.
    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        let negated = if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            false
        } else if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            true
        } else {
            return None;
        };
        let right = match parser.parse_subexpr(precedence) {
            Ok(right) => Box::new(right),
            Err(error) => return Some(Err(error)),
        };
        let left = Box::new(left.clone());
        Some(Ok(if negated { Expr::IsNotDistinctFrom(left, right) } else { Expr::IsDistinctFrom(left, right) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expression with a parenthesis around everything that is made of parts.
    fn read(sql: &str) -> String {
        let mut parser = Parser::new(&CohortDialect).try_with_sql(sql).expect("tokens");
        let expr = parser.parse_expr().unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(parser.peek_token() == datafusion::sql::sqlparser::tokenizer::Token::EOF, "{sql}");
        parenthesised(&expr)
    }

    fn parenthesised(expr: &Expr) -> String {
        let p = parenthesised;
        match expr {
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", p(left), p(right)),
            Expr::UnaryOp { op, expr } => format!("({op} {})", p(expr)),
            Expr::IsDistinctFrom(a, b) => format!("({} IS DISTINCT FROM {})", p(a), p(b)),
            Expr::IsNotDistinctFrom(a, b) => format!("({} IS NOT DISTINCT FROM {})", p(a), p(b)),
            Expr::IsNull(a) => format!("({} IS NULL)", p(a)),
            Expr::IsNotNull(a) => format!("({} IS NOT NULL)", p(a)),
            Expr::IsTrue(a) => format!("({} IS TRUE)", p(a)),
            Expr::IsNotTrue(a) => format!("({} IS NOT TRUE)", p(a)),
            Expr::InList { expr, list, negated } => {
                let list: Vec<String> = list.iter().map(p).collect();
                format!("({} {}IN ({}))", p(expr), if *negated { "NOT " } else { "" }, list.join(", "))
            }
            Expr::Between { expr, negated, low, high } => {
                let not = if *negated { "NOT " } else { "" };
                format!("({} {not}BETWEEN {} AND {})", p(expr), p(low), p(high))
            }
            Expr::Like { negated, expr, pattern, .. } => {
                format!("({} {}LIKE {})", p(expr), if *negated { "NOT " } else { "" }, p(pattern))
            }
            Expr::Cast { expr, data_type, .. } => format!("({}::{data_type})", p(expr)),
            Expr::Nested(inner) => p(inner),
            other => other.to_string(),
        }
    }

    // What is on the right was read off PostgreSQL 15, whose `pg_get_viewdef` shows the parentheses that it sees.
    #[test]
    fn operators_bind_as_in_the_standard() {
        for (sql, read_as) in [
            ("a IS DISTINCT FROM 5 AND b > 1", "((a IS DISTINCT FROM 5) AND (b > 1))"),
            ("a IS NOT DISTINCT FROM 5 OR b", "((a IS NOT DISTINCT FROM 5) OR b)"),
            ("a IS DISTINCT FROM b + 1", "(a IS DISTINCT FROM (b + 1))"),
            ("a IS DISTINCT FROM b = c", "(a IS DISTINCT FROM (b = c))"),
            ("NOT a IS DISTINCT FROM b", "(NOT (a IS DISTINCT FROM b))"),
            ("NOT a = b AND c", "((NOT (a = b)) AND c)"),
            ("NOT a IN (1) OR b", "((NOT (a IN (1))) OR b)"),
            ("a = b IN (1, 2)", "(a = (b IN (1, 2)))"),
            ("a <> b NOT IN (1)", "(a <> (b NOT IN (1)))"),
            ("a = b BETWEEN 1 AND 2", "(a = (b BETWEEN 1 AND 2))"),
            ("a BETWEEN 1 AND 2 = b", "((a BETWEEN 1 AND 2) = b)"),
            ("a BETWEEN 1 AND 2 AND b", "((a BETWEEN 1 AND 2) AND b)"),
            ("a BETWEEN b + 1 AND c * 2 OR d", "((a BETWEEN (b + 1) AND (c * 2)) OR d)"),
            ("a LIKE 'x' = b", "((a LIKE 'x') = b)"),
            ("a = b LIKE 'x'", "(a = (b LIKE 'x'))"),
            ("a NOT LIKE 'x' AND b", "((a NOT LIKE 'x') AND b)"),
            ("a = b IS NULL", "((a = b) IS NULL)"),
            ("a + b IS NOT NULL", "((a + b) IS NOT NULL)"),
            ("NOT a IS NULL", "(NOT (a IS NULL))"),
            ("NOT EXISTS (SELECT 1) IS NULL", "(NOT (EXISTS (SELECT 1) IS NULL))"),
            ("NOT EXISTS (SELECT 1) = b", "(NOT (EXISTS (SELECT 1) = b))"),
            ("NOT EXISTS (SELECT 1) AND b", "((NOT EXISTS (SELECT 1)) AND b)"),
            ("a OR b AND c", "(a OR (b AND c))"),
            ("a AND NOT b OR c", "((a AND (NOT b)) OR c)"),
            ("- a * b", "((- a) * b)"),
            ("- a + b", "((- a) + b)"),
            ("a - b - c", "((a - b) - c)"),
            ("a / b * c % d", "(((a / b) * c) % d)"),
            ("a - b * c", "(a - (b * c))"),
            ("- a::BIGINT", "(- (a::BIGINT))"),
            ("a + b::BIGINT", "(a + (b::BIGINT))"),
            ("a < b + c", "(a < (b + c))"),
            ("a IN (1) IS NOT TRUE", "((a IN (1)) IS NOT TRUE)"),
        ] {
            assert_eq!(read(sql), read_as, "{sql}");
        }
    }

    #[test]
    fn a_comment_is_a_comment() {
        assert_eq!(read("a /*! OR b */"), "a");
        assert_eq!(read("a /* /* */ OR b */"), "a");
    }
}
