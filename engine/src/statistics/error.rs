//! Why a hospital does not compute a study. Names come from the study, which is public; nothing comes from a row.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::worker::words;

/// Why no cells were computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum StatisticsError {
    /// The study breaks a rule of studies.
    #[error("the study is not valid; check it with `consilium study check`")]
    Study,
    /// The layout was made from another study.
    #[error("the layout belongs to another study; derive it from the study again")]
    Layout,
    /// Two cuts of one column of a guarded study overlap.
    #[error(
        "statistics `{}` and `{}` cut column `{column}` in ways that are not nested, so that their differences could be \
         small groups; give both the same edges, or the finer one every edge of the coarser", statistics[0], statistics[1]
    )]
    NotNested {
        /// The column.
        column: String,
        /// Two statistics that cut it.
        statistics: [String; 2],
    },
    /// A variable of a guarded study whose sums could tell small counts.
    #[error(
        "variable `{variable}` cannot be summed up in a guarded study: it is {what}, and small counts could follow from such \
         sums; {instead}, or set protection = \"private\""
    )]
    Form {
        /// The variable.
        variable: String,
        /// What it is.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        what: &'static str,
        /// What to write instead.
        #[borsh(serialize_with = "words::write", deserialize_with = "words::read")]
        instead: &'static str,
    },
    /// Two variables of a guarded study whose sums together could tell of few.
    #[error(
        "variables `{}` and `{}` are both made of {source_column}, so that sums over few patients could follow from the sums of \
         both; sum up one of them and ask for a histogram of the other, or take them from rows with different concepts",
         variables[0], variables[1]
    )]
    CommonSource {
        /// The variables.
        variables: [String; 2],
        /// The raw column, with its table.
        source_column: String,
    },
    /// A joint sum could pass 2^62.
    #[error(
        "statistic `{statistic}` could overflow over so many subjects; give its variable a coarser resolution or \
         tighter bounds"
    )]
    Overflow {
        /// The statistic's name.
        statistic: String,
    },
    /// The cohort has more subjects than the proof of bounds was made for.
    #[error("the cohort has more rows than subjects are enrolled; make its query return one row per subject")]
    TooManyRows,
    /// The cohort says another number of rows than it has.
    #[error("the cohort's rows do not add up; run its query again")]
    RowCount,
    /// A declared column is not in the cohort.
    #[error("the cohort has no column `{column}`; name it in the study's query")]
    Column {
        /// The declared name.
        column: String,
    },
    /// A column has a type that its declaration cannot be applied to.
    #[error("column `{column}` has a type that its declaration does not fit; CAST it in the study's query")]
    ColumnType {
        /// The declared name.
        column: String,
    },
    /// The query engine failed. What it said may quote rows, so it is not repeated.
    #[error("the query engine could not compute statistic `{statistic}`; see that memory suffices and run it again")]
    Engine {
        /// The statistic's name.
        statistic: String,
    },
    /// The query engine failed at the counts that guard a study.
    #[error(
        "the query engine could not compute the counts that guard the study; see that memory suffices and run it again"
    )]
    Guarding,
}
