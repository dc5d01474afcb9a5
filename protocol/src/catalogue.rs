//! Tables that a consortium has beside OMOP's.
//!
//! What such a table means is agreed once, for all members: whose its rows are, which domain a consent must open, which day a row is
//! of, and which columns there are. The catalogue stands in the genesis file. A hospital says where its own data for it lie; a
//! study that names the table carries the entry with it ([`crate::study::StudySpec::tables`]), so that it means the same to
//! everybody who reads it, now and later. Columns that are not in the catalogue do not exist for any study.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::consent::Domain;
use crate::study::CategoryValue;

/// Sizes that no catalogue passes.
pub mod limits {
    /// Tables.
    pub const TABLES: usize = 64;
    /// Columns of a table, its subject aside.
    pub const COLUMNS: usize = 256;
    /// Values of a category.
    pub const VALUES: usize = 256;
    /// Bytes of a name, or of a category's value.
    pub const NAME_BYTES: usize = 64;
    /// Bytes of a description.
    pub const DESCRIPTION_BYTES: usize = 400;
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueTable {
    /// The name, as queries write it.
    pub name: String,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The column with the patient's `person_id`, as in PERSON.
    pub subject: String,
    /// The domain that a consent must open for the table to be read.
    pub domain: Domain,
    /// The column with the day of a row, which consent's windows are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Whether its rows are of no day, as those of PERSON: it is read under any consent to its domain, whatever its window. With
    /// neither this nor a day, it is read only under consent to all days.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undated: bool,
    /// Whether it has at most one row a patient, as a registry has. Every hospital's is checked, and queries may count on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single: bool,
    /// Its columns, the subject aside.
    #[serde(default, rename = "column", skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<CatalogueColumn>,
}

/// A column that studies may read.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueColumn {
    /// The name, as queries write it.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: ColumnKind,
    /// What it is, with its unit, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The values of a category: all texts, or all whole numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<CategoryValue>,
}

/// What a column holds. There is no free text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A day.
    Date,
    /// A day with the time of day.
    Datetime,
    /// A truth value.
    Boolean,
    /// One of the values that are listed.
    Category,
    /// A concept of OMOP's vocabularies, by its id.
    Concept,
    /// The number of a record, or of OMOP's visit that it belongs to: joins rows, and is never a result.
    Key,
}

impl ColumnKind {
    /// Its name, as files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Boolean => "boolean",
            Self::Category => "category",
            Self::Concept => "concept",
            Self::Key => "key",
        }
    }
}

/// Something wrong with a table of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table `{table}`: {what}")]
pub struct CatalogueError {
    /// The table.
    pub table: String,
    /// What is wrong and what to do.
    pub what: String,
}

/// What a draft has in the place of a category's values. It is none itself.
pub const UNLISTED: &str = "…";

/// Names that stand for queries in every study, and so for no table or set of concepts.
pub const VIEWS: [&str; 10] = [
    "first_condition",
    "first_device",
    "first_drug",
    "first_measurement",
    "first_observation",
    "first_procedure",
    "first_visit",
    "follow_up",
    "latest_measurement",
    "persons",
];

/// Whether a text may name a table or column.
pub fn is_name(text: &str) -> bool {
    (1..=limits::NAME_BYTES).contains(&text.len())
        && !text.as_bytes()[0].is_ascii_digit()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Checks tables, which stand in ascending order of their names.
///
/// # Errors
/// The first rule that is broken.
pub fn check(tables: &[CatalogueTable]) -> Result<(), CatalogueError> {
    if let Some(table) = tables.get(limits::TABLES) {
        return table.say(format!("a catalogue has at most {} tables; leave some out", limits::TABLES));
    }
    tables.iter().try_for_each(CatalogueTable::check)?;
    match tables.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        Some(pair) => pair[1].say("tables are listed once each, in the order of their names"),
        None => Ok(()),
    }
}

impl CatalogueTable {
    fn say(&self, what: impl Into<String>) -> Result<(), CatalogueError> {
        Err(CatalogueError { table: self.name.chars().take(limits::NAME_BYTES).collect(), what: what.into() })
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&CatalogueColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// The first that is broken.
    pub fn check(&self) -> Result<(), CatalogueError> {
        const NAMES: &str =
            "names have 1 to 64 characters out of a-z, 0-9 and _, and do not start with a digit; rename";
        if !is_name(&self.name) {
            return self.say(NAMES);
        }
        if VIEWS.contains(&&*self.name) {
            return self.say("this is the name of a view that every study has; rename");
        }
        if !is_text(&self.description) {
            return self.say(format!("its description has one line of at most {} bytes", limits::DESCRIPTION_BYTES));
        }
        if !(1..=limits::COLUMNS).contains(&self.columns.len()) {
            return self.say(format!("it has 1 to {} columns beside its subject", limits::COLUMNS));
        }
        let mut seen = BTreeSet::from([&self.subject]);
        for name in std::iter::once(&self.subject).chain(self.columns.iter().map(|column| &column.name)) {
            if !is_name(name) {
                return self.say(format!(
                    "{NAMES} `{name}`",
                    name = name.chars().take(limits::NAME_BYTES).collect::<String>()
                ));
            }
        }
        for column in &self.columns {
            let name = &column.name;
            if !seen.insert(name) {
                return self.say(format!("column `{name}` is listed twice, or is the subject; remove one"));
            }
            if !is_text(&column.description) {
                return self.say(format!(
                    "the description of column `{name}` has one line of at most {} bytes",
                    limits::DESCRIPTION_BYTES
                ));
            }
            column.check_values().or_else(|what| self.say(format!("column `{name}` {what}")))?;
        }
        let is_dated = |column: &CatalogueColumn| matches!(column.kind, ColumnKind::Date | ColumnKind::Datetime);
        if self.undated && self.columns.iter().any(is_dated) {
            return self.say(
                "it has dates, so that its rows are of some day; remove `undated`, and name that day with `date`",
            );
        }
        match self.date.as_ref().map(|date| (date, self.column(date).map(|column| column.kind))) {
            None | Some((_, Some(ColumnKind::Date))) => Ok(()),
            Some((date, _)) => {
                self.say(format!("its day, `{date}`, is none of its columns of type \"date\"; list it as one"))
            }
        }
    }
}

impl CatalogueColumn {
    fn check_values(&self) -> Result<(), String> {
        let (values, is_category) = (&self.values, self.kind == ColumnKind::Category);
        if !is_category && !values.is_empty() {
            return Err("lists values, which only a category does; remove them, or call it a category".to_string());
        }
        if !is_category {
            return Ok(());
        }
        if !(1..=limits::VALUES).contains(&values.len()) {
            return Err(format!(
                "is a category of 1 to {} values, which are listed; a longer list is a vocabulary's, with type \"concept\"",
                limits::VALUES
            ));
        }
        if values.iter().any(|value| matches!(value, CategoryValue::Text(text) if text == UNLISTED)) {
            return Err(format!("is a draft: list its values, `{UNLISTED}` stands for them"));
        }
        let is_fit = |value: &CategoryValue| match value {
            CategoryValue::Text(text) => text.len() <= limits::NAME_BYTES && !text.contains(char::is_control),
            CategoryValue::Integer(_) => true,
            CategoryValue::Truth(_) => false,
        };
        let is_text = |value: &CategoryValue| matches!(value, CategoryValue::Text(_));
        if !values.iter().all(is_fit) || values.iter().any(|value| is_text(value) != is_text(&values[0])) {
            return Err("has values that are neither all whole numbers nor all texts of at most 64 bytes; use type \"boolean\" for \
                        true and false"
                .to_string());
        }
        if values.iter().collect::<BTreeSet<_>>().len() < values.len() {
            return Err("lists a value twice; remove one".to_string());
        }
        Ok(())
    }
}

fn is_text(text: &str) -> bool {
    text.len() <= limits::DESCRIPTION_BYTES && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> CatalogueTable {
        let text = r#"
            name = "labs"
            description = "Our registry of laboratory values"
            subject = "patient"
            domain = "measurement"
            date = "taken"
            [[column]]
            name = "taken"
            type = "date"
            [[column]]
            name = "method"
            type = "category"
            values = ["elisa", "pcr"]
            [[column]]
            name = "score"
            type = "number"
            description = "mmol/l"
        "#;
        toml::from_str(text).expect("a table")
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(table().check(), Ok(()));
        type Change = fn(&mut CatalogueTable);
        let changes: &[(&str, Change)] = &[
            ("names have", |table| table.name = "Labs".to_string()),
            ("names have", |table| table.subject = "the patient".to_string()),
            ("names have", |table| table.columns[0].name = "1st".to_string()),
            ("one line", |table| table.description = "a\nb".to_string()),
            ("one line", |table| table.columns[0].description = "x".repeat(401)),
            ("1 to 256 columns", |table| table.columns.clear()),
            ("listed twice", |table| table.columns[2].name = "method".to_string()),
            ("listed twice", |table| table.subject = "score".to_string()),
            ("its day, `score`", |table| table.date = Some("score".to_string())),
            ("its day, `gone`", |table| table.date = Some("gone".to_string())),
            ("only a category", |table| table.columns[2].values = table.columns[1].values.clone()),
            ("which are listed", |table| table.columns[1].values.clear()),
            ("list its values", |table| table.columns[1].values = vec![CategoryValue::Text(UNLISTED.to_string())]),
            ("neither all", |table| table.columns[1].values[0] = CategoryValue::Integer(1)),
            ("neither all", |table| table.columns[1].values[0] = CategoryValue::Text("x\n".to_string())),
            ("remove `undated`", |table| table.undated = true),
            ("neither all", |table| table.columns[1].values = vec![CategoryValue::Truth(true)]),
            ("a value twice", |table| table.columns[1].values[0] = table.columns[1].values[1].clone()),
        ];
        for (what, change) in changes {
            let mut changed = table();
            change(&mut changed);
            let said = changed.check().expect_err(what).to_string();
            assert!(said.contains(what), "{what}: {said}");
        }
    }

    #[test]
    fn tables_stand_in_order_once_each() {
        let named = |name: &str| CatalogueTable { name: name.to_string(), ..table() };
        assert_eq!(check(&[named("a"), named("b")]), Ok(()));
        assert!(check(&[named("b"), named("a")]).is_err());
        assert!(check(&[named("a"), named("a")]).is_err());
        assert!(check(&(0..65).map(|i| named(&format!("t{i:03}"))).collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn a_table_is_written_as_it_is_read() {
        let text = toml::to_string(&table()).expect("TOML");
        assert_eq!(toml::from_str::<CatalogueTable>(&text).expect("a table"), table());
        assert!(toml::from_str::<CatalogueTable>(&format!("typo = 1\n{text}")).is_err());
    }
}
