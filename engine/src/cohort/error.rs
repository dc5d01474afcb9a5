//! Why a cohort query was refused, or failed.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::store::StoreError;
use crate::worker::words;

/// Why a cohort query was refused or failed. Quotes names out of the query's own text only; never carries a value, nor
/// a message of the query engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum CohortError {
    /// Longer, deeper or with more parts than any cohort needs.
    #[error("the query is too large: {what}; split it or write it shorter")]
    TooLarge {
        /// What there is too much of, and the limit.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
    },
    /// A part of the query that grows when it is planned: what stands once in the text stands there many times.
    #[error("{part} is too large: {size} {unit} when every use is counted anew, at most {limit}; {form}")]
    Outgrown {
        /// The part, by its name in the query.
        part: String,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
        /// What is counted.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        unit: &'static str,
        /// What to write instead.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        form: &'static str,
    },
    /// Not SQL.
    #[error("the query is not valid SQL{}; correct it there", at(.line, .column))]
    Syntax {
        /// The line, from 1; 0 when unknown.
        line: u64,
        /// The column, from 1; 0 when unknown.
        column: u64,
    },
    /// More than one statement, or none.
    #[error(
        "a cohort is exactly one SELECT; remove the other statements, and write what they prepare as WITH name AS (SELECT …) before it"
    )]
    NotOneStatement,
    /// Another statement than SELECT.
    #[error("{statement} is not allowed: a cohort is one SELECT over the hospital's tables; remove it")]
    NotASelect {
        /// The word that the statement begins with.
        statement: String,
    },
    /// A construct that cohorts have no use for.
    #[error("{}", construct(.what))]
    Construct {
        /// The construct, and in parentheses after it what to write instead of it.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
    },
    /// LIMIT, OFFSET, FETCH or TOP.
    #[error("{what} picks patients by chance; a cohort is everyone who meets its conditions: remove it")]
    PicksPatients {
        /// The clause.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
    },
    /// WITH RECURSIVE.
    #[error("recursive queries are not allowed; use concept_ancestor for hierarchies")]
    Recursive,
    /// A function in the place of a table.
    #[error("`{name}` is used as a table, and functions are not tables here; select from the hospital's tables only")]
    TableFunction {
        /// The function.
        name: String,
    },
    /// A file in the place of a table.
    #[error("`{name}` is no table name; files cannot be read by a study, select from the hospital's tables only")]
    FileAsTable {
        /// As written.
        name: String,
    },
    /// A table name with a schema or catalog.
    #[error("`{name}` has a schema; write the table's name alone")]
    QualifiedTable {
        /// As written.
        name: String,
    },
    /// A table that is not there.
    #[error("there is no table `{name}` here; {}", meant(.near, "check its spelling, or ask the hospital whether it has the table"))]
    UnknownTable {
        /// As written.
        name: String,
        /// A table or concept set that is there, of almost the same name.
        near: Option<String>,
    },
    /// A table of OMOP that no study may read.
    #[error("table `{name}` is closed to every study, since {why}; write the query without it")]
    ClosedTable {
        /// As written.
        name: String,
        /// Why.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        why: &'static str,
    },
    /// A set of concepts with a table's name.
    #[error("concept set `{name}` has the name of an OMOP table; choose another")]
    SetName {
        /// The name.
        name: String,
    },
    /// A set of concepts that the study does not have.
    #[error("there is no concept set `{name}`; add a [[concept_set]] of that name to the study, or correct its name")]
    UnknownSet {
        /// As written.
        name: String,
    },
    /// The present day.
    #[error(
        "`{name}` is another day at every run; use as_of(), the day of the block that opened the round, the same everywhere"
    )]
    Now {
        /// As written.
        name: String,
    },
    /// A table that is there and cannot be read.
    #[error("table `{name}` of this hospital cannot be read; its steward finds the reason with `consilium doctor`")]
    UnreadableTable {
        /// As written.
        name: String,
    },
    /// A column that is there and cannot be read.
    #[error("column `{name}` of this hospital cannot be read; its steward finds the reason with `consilium doctor`")]
    UnreadableColumn {
        /// As written.
        name: String,
    },
    /// A column that is not there.
    #[error("there is no column `{name}` here; {}", meant(.near, no_column(.name)))]
    UnknownColumn {
        /// As written.
        name: String,
        /// A column that is there, of almost the same name.
        near: Option<String>,
    },
    /// A column by a name of OMOP 5.3.
    #[error("`{name}` is the name that OMOP 5.3 had; write `{now}`, under which it is read at every hospital")]
    FormerColumn {
        /// As written.
        name: String,
        /// The name in OMOP 5.4.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        now: &'static str,
    },
    /// A column that is kept from every study.
    #[error(
        "column `{name}` identifies people or is free text, and no study may read it; use {} instead",
        open_for(name)
    )]
    WithheldColumn {
        /// As written.
        name: String,
    },
    /// A name that two columns have.
    #[error("`{name}` could be several columns; put the table's alias before it, or give the columns different names")]
    AmbiguousColumn {
        /// As written.
        name: String,
    },
    /// A function that is not on the list.
    #[error("function `{name}` is not allowed in a cohort; {form}")]
    Function {
        /// As written.
        name: String,
        /// What to write instead.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        form: &'static str,
    },
    /// A placeholder.
    #[error("the query has a parameter; write the value itself")]
    Parameter,
    /// A column that a grouped query shows, and that differs within its groups.
    #[error("{what} is neither grouped nor aggregated; add it to GROUP BY, or put it into max(…), min(…) or count(…)")]
    NotGrouped {
        /// The column as the query names it, or what it is a part of.
        what: String,
    },
    /// A function or operator of other arguments than it takes.
    #[error("`{function}` cannot be taken of {found}; correct its arguments, or CAST them")]
    Arguments {
        /// The function or operator.
        function: String,
        /// What it was given, in words.
        found: String,
    },
    /// A comparison of types that have nothing in common.
    #[error("{left} is compared with {right}; CAST one of them to the type of the other")]
    Incomparable {
        /// The one type, in words.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        left: &'static str,
        /// The other.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        right: &'static str,
    },
    /// A day where a number is compared or stands.
    #[error(
        "a date is compared with a number, or one stands for the other; take a date for the number (DATE '2015-01-01'), or \
         date_part('year', …) of the date"
    )]
    DayAsNumber,
    /// Anything else that the query engine has no plan for.
    #[error(
        "the query cannot be planned (types that do not fit, arguments, or a column missing in GROUP BY); correct it"
    )]
    Unplannable,
    /// A literal that is not what the query takes it for.
    #[error("{text} is not {expected}; correct it, or write TRY_CAST where NULL is meant")]
    Literal {
        /// As written in the query, up to 40 characters.
        text: String,
        /// What it would have to be.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        expected: &'static str,
    },
    /// A subquery in the place of a value that nothing holds to one row.
    #[error(
        "a subquery stands for a value and could have several rows; select an aggregate in it, such as max(…), without \
         GROUP BY"
    )]
    SeveralValues,
    /// A plan with a part that is not known to be unable to fail.
    #[error("the query was planned with `{what}`, which has no place in a cohort; keep the query and report this")]
    Unlisted {
        /// The part, by the query engine's name for it.
        what: String,
    },
    /// A join of everything with everything.
    #[error("two tables are joined without an equality between them; join them ON person_id or another column of both")]
    CrossJoin,
    /// A person's or record's identifier inside an expression.
    #[error(
        "`{name}` identifies a person or record and may only be selected, compared with itself in another table, \
         grouped by, counted or tested for NULL, and CAST to BIGINT; remove the expression"
    )]
    IdentifierInExpression {
        /// The column.
        name: String,
    },
    /// A window function over the rows of several people.
    #[error(
        "a window function must be PARTITION BY the subject's column; add it (no query ranks patients among each other: bands are a \
             dimension with `edges`, a median is a histogram's)"
    )]
    WindowAcrossSubjects,
    /// Rows that are made of several patients': one patient's values would stand in the rows of others, or their noise
    /// would not be enough.
    #[error(
        "every row of a cohort comes from one patient's rows alone, and {what} does not keep to that; join and group by \
         the person's id"
    )]
    AcrossPatients {
        /// What does not.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
    },
    /// The declared subject is no bare subject column.
    #[error("column `{name}` must be the person's id as it stands in a table (`SELECT p.person_id AS {name}`)")]
    SubjectNotBare {
        /// The declared subject column.
        name: String,
    },
    /// A result that shows an identifier in another column than the subject's.
    #[error("column `{name}` of the result identifies a person or record; select it as the subject only")]
    IdentifierInResult {
        /// The column of the result.
        name: String,
    },
    /// A result without the subject.
    #[error(
        "the result has no column `{name}`, the patient's id: a cohort has one row per patient, and the study's statistics count \
         and sum over these; select it, and declare what to count by as a [[dimension]]"
    )]
    SubjectMissing {
        /// The declared subject column.
        name: String,
    },
    /// A declared column that the result lacks.
    #[error("the result has no column `{name}`, which the study declares; add `… AS {name}` to the SELECT")]
    ColumnMissing {
        /// The declared name.
        name: String,
    },
    /// A declared column of a type that cannot be used.
    #[error("column `{name}` is {found}, but the study needs {needed}; CAST it, or change the declaration")]
    ColumnType {
        /// The declared name.
        name: String,
        /// What the query yields.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        found: &'static str,
        /// What the study needs.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        needed: &'static str,
    },
    /// It does not follow from the query that nobody has two rows.
    #[error("a cohort has one row per patient, but {part}; {form}")]
    SeveralRowsPerSubject {
        /// The part of the query that can have more, by its name in the query.
        part: String,
        /// What to write instead.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        form: &'static str,
    },
    /// A row of somebody whose consent was not given. Cannot happen through the gate.
    #[error("the query yielded a person outside the study's consents; stop the node and report this")]
    SubjectNotAllowed,
    /// More rows than the limit.
    #[error("the cohort has more rows than this hospital's limit of {limit}; narrow the cohort")]
    TooManyRows {
        /// The limit.
        limit: usize,
    },
    /// More memory than the limit.
    #[error(
        "the query needs more than {limit_mib} MiB, the part of this hospital's limit that it can have; narrow it earlier, or \
         raise `limits.memory_mib`"
    )]
    Memory {
        /// The limit in MiB.
        limit_mib: usize,
    },
    /// More time than the limit.
    #[error("the query took longer than this hospital's limit of {limit_s} s; narrow it, or raise `limits.seconds`")]
    TimedOut {
        /// The limit in seconds.
        limit_s: u64,
    },
    /// An expression failed on a row. Cannot happen: expressions give NULL where they have no answer.
    #[error("an expression of the query failed on a row, which none should; keep the query and report this")]
    Evaluation,
    /// The hospital's files.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A file that was there when the store was opened cannot be read now.
    #[error(
        "a file of the hospital's tables could not be read; run `consilium doctor`; the tables are opened again before the next try"
    )]
    StoreChanged,
    /// The engine ended while it planned the query.
    #[error("the query engine failed while planning the query; write the query another way, and report this")]
    Planner,
    /// A mistake of this program.
    #[error("the query engine failed; keep the query and report this")]
    Internal,
}

/// What is not allowed, and what to write instead of it, where that is known.
fn construct(what: &str) -> String {
    let (what, form) = match what.strip_suffix(')').and_then(|what| what.split_once(" (instead of ")) {
        Some((what, form)) => (what, format!("write {form} instead")),
        None => (what, "write the query without it".to_string()),
    };
    // What is put in between ends with a comma, too.
    let between = if what.contains(", which ") { "," } else { "" };
    format!("{what}{between} is not allowed in a cohort; {form}")
}

/// What tells the same of a column that is kept.
fn open_for(name: &str) -> &'static str {
    match name {
        name if name.ends_with("birth_datetime") => "year_of_birth",
        name if name.ends_with("_source_value") => {
            "a concept (its _concept_id, or its _source_concept_id with concept.concept_code)"
        }
        _ => "a concept",
    }
}

/// What was probably meant, or else what to look at.
fn meant(near: &Option<String>, otherwise: &str) -> String {
    near.as_ref().map_or_else(|| otherwise.to_string(), |near| format!("`{near}` is, and may be meant"))
}

fn no_column(name: &str) -> &'static str {
    if name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
        && !name.starts_with(|c: char| c.is_ascii_digit())
    {
        "check its spelling and its table's alias (a name that SELECT gives is not known in its WHERE)"
    } else {
        "a text stands in 'single quotes', a column in \"double\" ones or none"
    }
}

fn at(line: &u64, column: &u64) -> String {
    if *line == 0 { String::new() } else { format!(" at line {line}, column {column}") }
}

impl CohortError {
    /// The kind of error, for metrics and for matching in scripts.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::Outgrown { .. } => "too_large",
            Self::Syntax { .. } => "syntax",
            Self::NotOneStatement => "not_one_statement",
            Self::NotASelect { .. } => "not_a_select",
            Self::Construct { .. } => "construct",
            Self::PicksPatients { .. } => "picks_patients",
            Self::Recursive => "recursive",
            Self::TableFunction { .. } => "table_function",
            Self::FileAsTable { .. } => "file_as_table",
            Self::QualifiedTable { .. } => "qualified_table",
            Self::UnknownTable { .. } => "unknown_table",
            Self::ClosedTable { .. } => "closed_table",
            Self::SetName { .. } => "set_name",
            Self::UnknownSet { .. } => "unknown_set",
            Self::Now { .. } => "now",
            Self::UnreadableTable { .. } => "unreadable_table",
            Self::UnreadableColumn { .. } => "unreadable_column",
            Self::UnknownColumn { .. } => "unknown_column",
            Self::FormerColumn { .. } => "former_column",
            Self::WithheldColumn { .. } => "withheld_column",
            Self::AmbiguousColumn { .. } => "ambiguous_column",
            Self::Function { .. } => "function",
            Self::Parameter => "parameter",
            Self::NotGrouped { .. } => "not_grouped",
            Self::Arguments { .. } => "arguments",
            Self::Incomparable { .. } => "incomparable",
            Self::DayAsNumber => "day_as_number",
            Self::Unplannable => "unplannable",
            Self::Literal { .. } => "literal",
            Self::SeveralValues => "several_values",
            Self::Unlisted { .. } => "unlisted",
            Self::CrossJoin => "cross_join",
            Self::IdentifierInExpression { .. } => "identifier_in_expression",
            Self::WindowAcrossSubjects => "window_across_subjects",
            Self::AcrossPatients { .. } => "across_patients",
            Self::SubjectNotBare { .. } => "subject_not_bare",
            Self::IdentifierInResult { .. } => "identifier_in_result",
            Self::ColumnMissing { .. } | Self::SubjectMissing { .. } => "column_missing",
            Self::ColumnType { .. } => "column_type",
            Self::SeveralRowsPerSubject { .. } => "several_rows_per_subject",
            Self::SubjectNotAllowed => "subject_not_allowed",
            Self::TooManyRows { .. } => "too_many_rows",
            Self::Memory { .. } => "memory",
            Self::TimedOut { .. } => "timed_out",
            Self::Evaluation => "evaluation",
            Self::Store(_) => "store",
            Self::StoreChanged => "store_changed",
            Self::Planner => "planner",
            Self::Internal => "internal",
        }
    }

    /// Whether patients' rows had a part in this outcome. Such an error is for the hospital's own operator: a
    /// researcher who is told of it learns one bit about the rows. Every other error follows from the query and the
    /// names of the hospital's tables and columns alone, and may be told to anyone.
    pub const fn depends_on_data(&self) -> bool {
        matches!(
            self,
            Self::SubjectNotAllowed
                | Self::TooManyRows { .. }
                | Self::Memory { .. }
                | Self::TimedOut { .. }
                | Self::Evaluation
                | Self::Store(_)
                | Self::StoreChanged
                // A value somewhere is why.
                | Self::UnreadableTable { .. }
                | Self::UnreadableColumn { .. }
                // Planning knows how large a hospital's tables are.
                | Self::Planner
                | Self::Internal
        )
    }
}
