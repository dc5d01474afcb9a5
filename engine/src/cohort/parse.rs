//! From a study's text to one SELECT, of which every part is on a list of what is allowed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use consilium_protocol::ids::Date;
use consilium_protocol::study::ConceptSet;
use consilium_protocol::study::limits::SQL_BYTES;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Distinct, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, NamedWindowExpr,
    ObjectName, OrderByExpr, Query, Select, SelectFlavor, SelectItem, SetExpr, SetOperator, SetQuantifier, Statement,
    TableFactor, TableWithJoins, UnaryOperator, Value, ValueWithSpan, Visit, Visitor, WindowType,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::concepts;
use super::dialect::CohortDialect;
use super::error::CohortError;
use super::functions::{AGGREGATES, NAMES, instead_of};
use super::quoted::quoted_otherwise;
use super::spelling::{Names, spell, whole};
use super::weight::Scales;

/// The most words and signs of a query.
const TOKENS: usize = 5_000;
/// How deep parentheses, subqueries and unary operators may nest.
const NESTING: usize = 48;
/// How deep an expression may be, chains of operators included.
const DEPTH: usize = 256;
/// The most uses of POSITION, whose arguments the parser reads twice, each time with all that they hold.
const POSITIONS: usize = 8;
/// The longest text or number, in bytes.
const LITERAL_BYTES: usize = 1_000;
/// The longest IN list.
const LIST: usize = 1_000;
/// The longest VALUES list.
const VALUES: usize = 100;

/// A query that may be planned.
pub(super) struct Parsed {
    pub(super) statement: Statement,
    /// The tables that it names, without those that it defines itself.
    pub(super) tables: BTreeSet<String>,
}

/// Reads and checks a query.
///
/// `sets` are what it may name beside tables, `as_of` is what it calls `as_of()`.
pub(super) fn parse(sql: &str, sets: &[ConceptSet], as_of: Date) -> Result<Parsed, CohortError> {
    if sql.len() > SQL_BYTES {
        return Err(CohortError::TooLarge { what: "more than 16 KiB of text" });
    }
    let tokens = Tokenizer::new(&CohortDialect, sql)
        .tokenize_with_location()
        .map_err(|e| CohortError::Syntax { line: e.location.line, column: e.location.column })?;
    if tokens.len() > 2 * TOKENS {
        return Err(CohortError::TooLarge { what: "more than 5,000 words and signs" });
    }
    let is_position = |token: &Token| matches!(token, Token::Word(word) if word.keyword == Keyword::POSITION);
    if tokens.iter().filter(|t| is_position(&t.token)).count() > POSITIONS {
        return Err(CohortError::TooLarge { what: "more than 8 uses of POSITION (strpos does the same)" });
    }
    let is_bracket = |token: &Token| matches!(token, Token::LBracket | Token::RBracket);
    let place = |t: &TokenWithSpan| (t.span.start.line, t.span.start.column);
    let tokens = quoted_otherwise(tokens);
    let brackets: Vec<_> =
        tokens.iter().filter(|t| is_bracket(&t.token)).map(|t| (place(t), t.token.clone())).collect();
    let mut solid = tokens.iter().map(|t| &t.token).filter(|t| !matches!(t, Token::Whitespace(_)));
    match solid.next() {
        Some(Token::LParen) => {}
        Some(Token::Word(word)) if ["SELECT", "WITH"].contains(&word.value.to_ascii_uppercase().as_str()) => {}
        Some(Token::Word(word)) => {
            let statement = word.value.chars().filter(char::is_ascii_alphabetic).take(24).collect::<String>();
            return Err(CohortError::NotASelect { statement: statement.to_ascii_uppercase() });
        }
        Some(_) => return Err(CohortError::Syntax { line: 1, column: 1 }),
        None => return Err(CohortError::NotOneStatement),
    }
    let mut statements = Parser::new(&CohortDialect)
        .with_recursion_limit(NESTING)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|e| match syntax(&e, sql) {
            CohortError::Syntax { line, column } if is_in_brackets((line, column), &brackets) => {
                CohortError::Construct {
                    what: "a name in square brackets (instead of the name alone, or in \"double quotes\")",
                }
            }
            other => other,
        })?;
    let (Some(mut statement), None) = (statements.pop(), statements.pop()) else {
        return Err(CohortError::NotOneStatement);
    };
    let Statement::Query(_) = &statement else {
        return Err(CohortError::NotASelect { statement: "ANOTHER STATEMENT".to_string() });
    };
    spell(&mut statement, sets, as_of)?;
    let mut check = Check::default();
    match statement.visit(&mut check) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => {
            let used: Vec<&ConceptSet> = sets.iter().filter(|set| check.relations.remove(&set.name)).collect();
            if used.iter().any(|set| check.defined.contains(&set.name)) {
                return Err(CohortError::Construct {
                    what: "a name that WITH gives to a query, and that is a concept set's elsewhere (instead of another name)",
                });
            }
            concepts::define(&mut statement, &used)?;
            Ok(Parsed { statement, tables: check.relations })
        }
    }
}

/// Whether a place is one of these square brackets, or in between.
fn is_in_brackets(place: (u64, u64), brackets: &[((u64, u64), Token)]) -> bool {
    let last = brackets.iter().take_while(|(own, _)| *own <= place).last();
    last.is_some_and(|(own, bracket)| *bracket == Token::LBracket || *own == place)
}

/// Of the parser's message only the place is used: the message quotes the query.
fn syntax(error: &ParserError, sql: &str) -> CohortError {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return CohortError::TooLarge { what: "more than 48 levels of nesting" };
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let number = |after: &str| -> Option<u64> {
        let (_, rest) = text.rsplit_once(after)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest[..digits].parse().ok()
    };
    // The end of the query has no place in messages.
    let end = || {
        let last = sql.trim_end().lines().last().unwrap_or_default();
        (sql.trim_end().lines().count() as u64, last.chars().count() as u64 + 1)
    };
    let (line, column) = number("Line: ").zip(number("Column: ")).unwrap_or_else(end);
    CohortError::Syntax { line, column }
}

#[derive(Default)]
struct Check {
    depth: usize,
    names: Names,
    /// The tables and sets of concepts that are named, where the name is none that WITH gives.
    relations: BTreeSet<String>,
    /// All names that WITH gives, wherever.
    defined: BTreeSet<String>,
    scales: Scales,
}

type Flow = ControlFlow<CohortError>;

fn refuse(what: &'static str) -> Flow {
    ControlFlow::Break(CohortError::Construct { what })
}

fn too_large(what: &'static str) -> Flow {
    ControlFlow::Break(CohortError::TooLarge { what })
}

/// Refuses the first construct that is there.
fn none_of(constructs: &[(bool, &'static str)]) -> Flow {
    match constructs.iter().find(|(there, _)| *there) {
        Some((_, what)) => refuse(what),
        None => ControlFlow::Continue(()),
    }
}

/// A name as DataFusion looks it up.
pub(super) fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// A name out of the query, for a message.
fn shown(name: &ObjectName) -> String {
    name.to_string().chars().take(120).collect()
}

impl Visitor for Check {
    type Break = CohortError;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        if let Some(with) = &query.with {
            if with.recursive {
                return ControlFlow::Break(CohortError::Recursive);
            }
            self.defined.extend(with.cte_tables.iter().map(|cte| normal(&cte.alias.name)));
        }
        self.names.enter(query);
        self.scales.enter(query);
        if query.limit_clause.is_some() {
            return ControlFlow::Break(CohortError::PicksPatients { what: "LIMIT or OFFSET" });
        }
        if query.fetch.is_some() {
            return ControlFlow::Break(CohortError::PicksPatients { what: "FETCH" });
        }
        none_of(&[
            (!query.locks.is_empty(), "FOR UPDATE or FOR SHARE"),
            (query.for_clause.is_some(), "a FOR clause"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "a pipe operator"),
        ])?;
        body(&query.body)
    }

    fn post_visit_query(&mut self, query: &Query) -> Flow {
        self.names.leave();
        match self.scales.leave(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        if select.top.is_some() {
            return ControlFlow::Break(CohortError::PicksPatients { what: "TOP" });
        }
        if matches!(select.distinct, Some(Distinct::On(_))) {
            return refuse(
                "DISTINCT ON (instead of QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY …) = 1 at the query's end)",
            );
        }
        let modifiers = match &select.group_by {
            GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => modifiers,
        };
        none_of(&[
            (select.into.is_some(), "SELECT INTO (instead of WITH name AS (SELECT …) before the SELECT)"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY"),
            (select.value_table_mode.is_some(), "SELECT AS"),
            (select.exclude.is_some(), "EXCLUDE"),
            (select.select_modifiers.is_some(), "a SELECT modifier"),
            (!matches!(select.flavor, SelectFlavor::Standard), "FROM before SELECT"),
            (
                !modifiers.is_empty(),
                "ROLLUP, CUBE or TOTALS (instead of dimensions: a study's statistics give their totals)",
            ),
        ])?;
        let is_numbered = select.named_window.iter().any(|window| match &window.1 {
            NamedWindowExpr::WindowSpec(window) => has_number(&window.order_by),
            NamedWindowExpr::NamedWindow(_) => false,
        });
        let is_based = select.named_window.iter().any(|window| match &window.1 {
            NamedWindowExpr::WindowSpec(window) => window.window_name.is_some(),
            NamedWindowExpr::NamedWindow(_) => false,
        });
        none_of(&[(is_numbered, NUMBERED), (is_based, BASED)])?;
        let is_all = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
        none_of(&[(
            is_all && select.from.iter().any(has_outer_using),
            "SELECT * over a LEFT JOIN with USING (instead of the columns' names, or ON)",
        )])?;
        let mut aliases = BTreeSet::new();
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item
                && !aliases.insert(normal(alias))
            {
                let name = alias.value.chars().take(120).collect();
                return ControlFlow::Break(CohortError::AmbiguousColumn { name });
            }
        }
        select.from.iter().try_for_each(joins)
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> Flow {
        let [part] = name.0.as_slice() else {
            return ControlFlow::Break(CohortError::QualifiedTable { name: shown(name) });
        };
        let Some(ident) = part.as_ident() else {
            return ControlFlow::Break(CohortError::TableFunction { name: shown(name) });
        };
        if ident.value.starts_with('#') {
            return refuse("a temporary table (instead of WITH name AS (SELECT …) before the SELECT)");
        }
        let plain = ident.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain || ident.quote_style == Some('\'') {
            return ControlFlow::Break(CohortError::FileAsTable { name: shown(name) });
        }
        let name = normal(ident);
        self.scales.table(&name);
        if !self.names.has(&name) {
            self.relations.insert(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        match factor {
            TableFactor::Table {
                name,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => {
                if args.is_some() {
                    return ControlFlow::Break(CohortError::TableFunction { name: shown(name) });
                }
                none_of(&[
                    (!with_hints.is_empty() || !index_hints.is_empty(), "a table hint"),
                    (version.is_some(), "a table version"),
                    (*with_ordinality, "WITH ORDINALITY"),
                    (!partitions.is_empty(), "PARTITION"),
                    (json_path.is_some(), "a JSON path"),
                    (sample.is_some(), "TABLESAMPLE"),
                ])
            }
            TableFactor::Derived { lateral, sample, .. } => {
                none_of(&[(*lateral, LATERAL), (sample.is_some(), "TABLESAMPLE")])
            }
            TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            TableFactor::Function { lateral: true, .. } => refuse(LATERAL),
            TableFactor::Function { name, .. } => ControlFlow::Break(CohortError::TableFunction { name: shown(name) }),
            TableFactor::TableFunction { .. } => {
                ControlFlow::Break(CohortError::TableFunction { name: "TABLE(…)".to_string() })
            }
            TableFactor::UNNEST { .. } => refuse("UNNEST"),
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => {
                refuse("PIVOT or UNPIVOT (instead of max(CASE WHEN … THEN … END) for each column, and GROUP BY)")
            }
            _ => refuse("a table expression other than a table, a subquery or a join"),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        self.depth += 1;
        if self.depth > DEPTH {
            return too_large("an expression of more than 256 levels");
        }
        self.scales.expression();
        expression(expr)
    }

    fn post_visit_expr(&mut self, _: &Expr) -> Flow {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> Flow {
        match &value.value {
            Value::Number(text, _) | Value::SingleQuotedString(text) if text.len() > LITERAL_BYTES => {
                too_large("a literal of more than 1,000 bytes")
            }
            Value::Number(..) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => {
                ControlFlow::Continue(())
            }
            Value::Placeholder(_) => ControlFlow::Break(CohortError::Parameter),
            _ => refuse("a literal other than a number, 'text', TRUE, FALSE or NULL"),
        }
    }
}

fn body(body: &SetExpr) -> Flow {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { op, set_quantifier, left, right } => {
            // The query engine would look only whether a row is there, not how often.
            let counts = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
            if counts && !matches!(op, SetOperator::Union) {
                return refuse("EXCEPT ALL or INTERSECT ALL (instead of EXCEPT, INTERSECT, EXISTS or NOT EXISTS)");
            }
            self::body(left)?;
            self::body(right)
        }
        SetExpr::Values(values) if values.rows.len() > VALUES => too_large("more than 100 rows of VALUES"),
        SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            ControlFlow::Break(CohortError::NotASelect { statement: "A CHANGE OF DATA".to_string() })
        }
        SetExpr::Table(_) => refuse("TABLE"),
    }
}

fn joins(table: &TableWithJoins) -> Flow {
    if let TableFactor::NestedJoin { table_with_joins, .. } = &table.relation {
        joins(table_with_joins)?;
    }
    for join in &table.joins {
        let constraint = match &join.join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::Right(c)
            | JoinOperator::RightOuter(c)
            | JoinOperator::FullOuter(c)
            | JoinOperator::CrossJoin(c)
            | JoinOperator::LeftSemi(c)
            | JoinOperator::RightSemi(c)
            | JoinOperator::LeftAnti(c)
            | JoinOperator::RightAnti(c) => c,
            JoinOperator::CrossApply | JoinOperator::OuterApply => {
                return refuse(APPLY);
            }
            _ => return refuse("this kind of join"),
        };
        if matches!(constraint, JoinConstraint::Natural) {
            return refuse("NATURAL JOIN");
        }
        // One column is made of two, and the engine takes the left one, which is NULL where only the right side has a row.
        let is_right = matches!(join.join_operator, JoinOperator::Right(_) | JoinOperator::RightOuter(_));
        if is_right && matches!(constraint, JoinConstraint::Using(_)) {
            return refuse("RIGHT JOIN with USING (instead of ON, or LEFT JOIN with the tables exchanged)");
        }
        if let TableFactor::NestedJoin { table_with_joins, .. } = &join.relation {
            joins(table_with_joins)?;
        }
    }
    ControlFlow::Continue(())
}

/// Whether a join keeps rows of one side alone, and makes one column of two.
fn has_outer_using(from: &TableWithJoins) -> bool {
    let is_using = |constraint: &JoinConstraint| matches!(constraint, JoinConstraint::Using(_));
    let is_outer = |join: &Join| match &join.join_operator {
        JoinOperator::Left(c) | JoinOperator::LeftOuter(c) | JoinOperator::FullOuter(c) => is_using(c),
        _ => false,
    };
    let within = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => has_outer_using(table_with_joins),
        _ => false,
    };
    within(&from.relation) || from.joins.iter().any(|join| is_outer(join) || within(&join.relation))
}

fn expression(expr: &Expr) -> Flow {
    match expr {
        Expr::Identifier(ident) if ident.value.starts_with('@') => refuse("a variable (instead of its value)"),
        Expr::CompoundIdentifier(parts) if parts.len() > 2 || parts.iter().any(|p| p.value.starts_with('@')) => {
            refuse("a column name with a schema")
        }
        Expr::InSubquery { expr, .. } if matches!(**expr, Expr::Tuple(_)) => refuse(
            "(a, b) IN (SELECT …) elsewhere than in AND and OR of WHERE, or NOT IN (instead of EXISTS or NOT EXISTS (SELECT 1 FROM … \
             WHERE … = a AND … = b))",
        ),
        Expr::InList { list, .. } if list.len() > LIST => too_large("more than 1,000 values in an IN list"),
        Expr::InList { expr, .. } | Expr::InSubquery { expr, .. } | Expr::Between { expr, .. } if tests(expr) => {
            refuse("IN, BETWEEN or LIKE right after another (instead of parentheses)")
        }
        Expr::BinaryOp { op, left, right } => {
            // PostgreSQL and the standard have no reading of `a < b < c`; left to right, it compares a truth value.
            if is_comparison(op) && (compares(left) || compares(right)) {
                return refuse("a comparison of a comparison (instead of AND between two, or parentheses)");
            }
            binary(op)
        }
        Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not, .. } => {
            ControlFlow::Continue(())
        }
        Expr::Like { any: false, expr, .. } | Expr::ILike { any: false, expr, .. } => {
            none_of(&[(tests(expr), "IN, BETWEEN or LIKE right after another (instead of parentheses)")])
        }
        Expr::Cast { data_type: DataType::Interval { .. }, .. } => {
            refuse("CAST to INTERVAL (instead of INTERVAL '30' DAY, or a date and a number of days)")
        }
        Expr::Cast {
            kind: CastKind::Cast | CastKind::TryCast | CastKind::DoubleColon,
            data_type,
            format,
            array,
            ..
        } => none_of(&[
            (format.is_some(), "CAST with FORMAT"),
            (*array || !castable(data_type), "CAST to a type other than numbers, text, dates and truth values"),
        ]),
        Expr::TypedString(typed) => none_of(&[(!castable(&typed.data_type), "a literal of this type")]),
        Expr::Function(function) => call(function),
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::InList { .. }
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::InSubquery { .. }
        | Expr::Between { .. }
        | Expr::Extract { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Nested(_)
        | Expr::Value(_)
        | Expr::Case { .. }
        | Expr::Exists { .. }
        | Expr::Subquery(_)
        | Expr::Interval(_) => ControlFlow::Continue(()),
        other => refuse(kind_of(other)),
    }
}

/// What an expression is that cohorts have no use for, with the form that they have.
const fn kind_of(expr: &Expr) -> &'static str {
    match expr {
        Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => {
            "ROLLUP, CUBE or GROUPING SETS (instead of dimensions: a study's statistics give their totals)"
        }
        Expr::AnyOp { .. } | Expr::AllOp { .. } => {
            "ANY or ALL (instead of IN, EXISTS, or a comparison with (SELECT max(…) …))"
        }
        Expr::Tuple(_) => "(a, b) as a value (instead of each by itself)",
        Expr::Convert { .. } => {
            "CONVERT with a style (instead of CAST(… AS DATE), or date_part('year', …) and the like)"
        }
        Expr::Array(_) => "an array (instead of IN, or a [[concept_set]])",
        Expr::CompoundFieldAccess { .. } => "a part of an array (instead of first_value(a ORDER BY b), or min or max)",
        Expr::Cast { .. } => "SAFE_CAST (instead of TRY_CAST)",
        Expr::AtTimeZone { .. } => "AT TIME ZONE (times have no zone here)",
        Expr::SimilarTo { .. } | Expr::RLike { .. } => "SIMILAR TO or REGEXP (instead of LIKE)",
        Expr::Like { .. } | Expr::ILike { .. } => "LIKE ANY (instead of one LIKE after another, with OR)",
        Expr::Collate { .. } => "COLLATE (instead of lower(…))",
        _ => "this kind of expression",
    }
}

const fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
    )
}

/// Whether an operand without parentheses is a comparison itself.
const fn compares(operand: &Expr) -> bool {
    matches!(operand, Expr::BinaryOp { op, .. } if is_comparison(op))
}

/// Whether an operand without parentheses is a test of this kind, of which neither PostgreSQL nor the standard reads two
/// in a row.
const fn tests(operand: &Expr) -> bool {
    matches!(
        operand,
        Expr::InList { .. } | Expr::InSubquery { .. } | Expr::Between { .. } | Expr::Like { .. } | Expr::ILike { .. }
    )
}

fn binary(op: &BinaryOperator) -> Flow {
    match op {
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo
        | BinaryOperator::Gt
        | BinaryOperator::Lt
        | BinaryOperator::GtEq
        | BinaryOperator::LtEq
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::And
        | BinaryOperator::Or => ControlFlow::Continue(()),
        BinaryOperator::StringConcat => refuse("|| (texts cannot be made longer)"),
        BinaryOperator::PGRegexMatch
        | BinaryOperator::PGRegexIMatch
        | BinaryOperator::PGRegexNotMatch
        | BinaryOperator::PGRegexNotIMatch
        | BinaryOperator::Regexp => {
            refuse("a regular expression (instead of LIKE, or IN of the values that are meant)")
        }
        BinaryOperator::BitwiseXor | BinaryOperator::PGExp => refuse("^ (instead of power(a, b))"),
        BinaryOperator::DuckIntegerDivide | BinaryOperator::MyIntegerDivide => {
            refuse("division without a fraction by // or DIV (instead of floor(a / b), or a / b of whole numbers)")
        }
        BinaryOperator::Overlaps => refuse("OVERLAPS (instead of a.first <= b.last AND b.first <= a.last)"),
        _ => refuse("this operator"),
    }
}

fn castable(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::TinyInt(_)
            | DataType::SmallInt(_)
            | DataType::Int(_)
            | DataType::Integer(_)
            | DataType::BigInt(_)
            | DataType::Float(_)
            | DataType::Real
            | DataType::Double(_)
            | DataType::DoublePrecision
            | DataType::Decimal(_)
            | DataType::Numeric(_)
            | DataType::Date
            | DataType::Timestamp(..)
            | DataType::Varchar(_)
            | DataType::Text
            | DataType::String(_)
            | DataType::Boolean
            | DataType::Bool
    )
}

const LATERAL: &str = "LATERAL (instead of (SELECT … ORDER BY … LIMIT 1) as a value, or a JOIN of a query that is grouped by the person's id)";
const APPLY: &str = "APPLY (instead of (SELECT TOP 1 … ORDER BY …) as a value, or a JOIN of a query that is grouped by the person's id)";

const BASED: &str = "a window that builds on another by its name (instead of one that says all by itself)";

/// Aggregates that may be of different values alone.
const DISTINCT: &[&str] = &["avg", "bool_and", "bool_or", "count", "max", "mean", "median", "min", "sum"];

const NUMBERED: &str = "ORDER BY of a number in a function or window (instead of the column that is meant)";

/// Whether rows are to be put in order by a number, which would stand for a column of FROM, or for nothing.
fn has_number(keys: &[OrderByExpr]) -> bool {
    keys.iter().any(|key| whole(&key.expr).is_some_and(|number| number >= 0))
}

fn call(function: &Function) -> Flow {
    let known = match function.name.0.as_slice() {
        [part] => part.as_ident().is_some_and(|ident| NAMES.contains(&ident.value.to_ascii_lowercase())),
        _ => false,
    };
    if !known {
        let name = shown(&function.name);
        return ControlFlow::Break(CohortError::Function { form: instead_of(&name), name });
    }
    none_of(&[
        (function.uses_odbc_syntax, "{fn …}"),
        (!matches!(function.parameters, FunctionArguments::None), "a function with parameters"),
        (!function.within_group.is_empty(), "WITHIN GROUP"),
    ])?;
    let FunctionArguments::List(list) = &function.args else { return refuse("this form of a function call") };
    let plain =
        |arg: &FunctionArg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(_) | FunctionArgExpr::Wildcard));
    let ordered = |clause: &FunctionArgumentClause| {
        matches!(clause, FunctionArgumentClause::OrderBy(_) | FunctionArgumentClause::IgnoreOrRespectNulls(_))
    };
    let is_numbered =
        list.clauses.iter().any(|c| matches!(c, FunctionArgumentClause::OrderBy(keys) if has_number(keys)))
            || matches!(&function.over, Some(WindowType::WindowSpec(window)) if has_number(&window.order_by));
    let name = function.name.to_string().to_ascii_lowercase();
    let is_tiles = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => {
            matches!(&value.value, Value::Number(text, _) if text.parse::<u32>().is_ok_and(|tiles| tiles > 0))
        }
        _ => false,
    };
    let picks = ["first_value", "last_value"].contains(&name.as_str());
    let has_order = list.clauses.iter().any(|c| matches!(c, FunctionArgumentClause::OrderBy(_)));
    let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let narrows = is_distinct || function.filter.is_some();
    let is_based = matches!(&function.over, Some(WindowType::WindowSpec(window)) if window.window_name.is_some());
    none_of(&[
        (is_based, BASED),
        (narrows && !AGGREGATES.contains(&name), "DISTINCT or FILTER of a function that is no aggregate"),
        (
            is_distinct && !DISTINCT.contains(&name.as_str()),
            "DISTINCT of this aggregate (instead of a WITH query with the different values)",
        ),
        (
            is_distinct && list.args.len() > 1,
            "DISTINCT of several columns (instead of count(*) over a query with SELECT DISTINCT of them)",
        ),
        (!list.args.iter().all(plain), "a named argument, or all columns of one table as one (instead of count(*))"),
        (!list.clauses.iter().all(ordered), "this clause of a function call"),
        (is_numbered, NUMBERED),
        (name == "ntile" && !list.args.iter().all(is_tiles), "ntile of anything but a whole number from 1 on"),
        (picks && function.over.is_none() && !has_order, "first_value or last_value without ORDER BY"),
    ])
}
