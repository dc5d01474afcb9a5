//! From the columns of a table's files and its definition to what studies may read.

use std::collections::BTreeMap;

use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::consent::Domain;

use super::config::{StoreConfig, TableConfig};
use super::error::StoreError;
use super::kind::Kind;
use super::names::{Place, place};
use super::omop::{self, Definition};
use super::table::{Column, Dating, Notes, Role, Source, Table};

/// What a table is to have.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) table: String,
    pub(super) columns: Vec<Column>,
    domains: &'static [Domain],
    date: Option<String>,
    /// Whether its rows are of some day, said or not.
    dated: bool,
    /// Whether it promises at most one row a patient.
    pub(super) single: bool,
}

impl Wanted {
    /// What OMOP's definition says.
    pub(super) fn of(definition: &Definition) -> Self {
        Self {
            table: definition.name.to_string(),
            columns: definition.columns.iter().map(Column::of_omop).collect(),
            domains: definition.domains,
            date: definition.date.map(str::to_string),
            dated: definition.date.is_some(),
            single: false,
        }
    }

    /// What the consortium's catalogue says of a table, whose files have other names for some of its columns.
    pub(super) fn own(table: &CatalogueTable, called: &BTreeMap<String, String>) -> Self {
        Self {
            table: table.name.clone(),
            columns: Column::of_catalogue(table, called),
            domains: alone(table.domain),
            date: table.date.clone(),
            dated: !table.undated,
            single: table.single,
        }
    }

    /// What OMOP, or else the consortium's catalogue, says of a table of this name, if one of them does; with what the
    /// hospital says of tables.
    pub(super) fn named(
        name: &str,
        mappings: &BTreeMap<String, TableConfig>,
        catalogue: &[CatalogueTable],
    ) -> Option<Self> {
        if let Some(definition) = omop::definition(name) {
            return Some(Self::of(definition));
        }
        let own = catalogue.iter().find(|own| own.name == name)?;
        let mapping = mappings.get(name);
        Some(Self::own(own, mapping.map_or(&BTreeMap::new(), |mapping| &mapping.columns)))
    }

    /// Whose rows a table with these columns has.
    pub(super) fn role(&self, columns: &[Column], file: &str) -> Result<Role, StoreError> {
        let missing = || self.missing(file);
        if self.is_vocabulary() {
            return if columns.is_empty() { Err(missing()) } else { Ok(Role::Vocabulary) };
        }
        let subject = columns.iter().position(|column| column.kind == Kind::Subject).ok_or_else(missing)?;
        Ok(self.role_of(subject, columns))
    }

    /// The column that it cannot be without is missing.
    fn missing(&self, file: &str) -> StoreError {
        let (file, column) = (file.to_string(), self.first().to_string());
        match omop::is_of_omop(&self.table) {
            true => StoreError::MissingColumn { file, column },
            false => StoreError::MissingOwnColumn { table: self.table.clone(), file, column },
        }
    }

    /// That of patients, one of these columns being the subject.
    pub(super) fn role_of(&self, subject: usize, columns: &[Column]) -> Role {
        let date = self.date.as_ref().and_then(|date| columns.iter().position(|column| column.name == *date));
        let dating = match date {
            Some(position) => Dating::Column(position),
            // Rows that are of some day, which cannot be read, are read only where every day may be.
            None if self.dated => Dating::Unsaid,
            None => Dating::Undated,
        };
        Role::Patients { subject, domains: self.domains, dating }
    }

    /// The table without rows, for checking queries where there is no data, and for a file of 0 bytes.
    pub(super) fn without_rows(&self) -> Table {
        let subject = self.columns.iter().position(|column| column.kind == Kind::Subject);
        let role = subject.map_or(Role::Vocabulary, |subject| self.role_of(subject, &self.columns));
        let key = match omop::key(&self.table) {
            Some(key) => self.columns.iter().position(|column| column.name == key),
            None => subject.filter(|_| self.single),
        };
        Table {
            name: self.table.clone(),
            role,
            columns: self.columns.clone(),
            given: 0,
            rows: Some(0),
            key,
            source: Source::Empty,
            notes: Notes { format: "empty", ..Notes::default() },
        }
    }

    /// The column that the table cannot be without: the subject, or a vocabulary's first.
    pub(super) fn first(&self) -> &str {
        let subject = self.columns.iter().find(|column| column.kind == Kind::Subject);
        subject.or_else(|| self.columns.first()).map_or("", |column| &column.name)
    }

    /// Whether it is nobody's.
    pub(super) const fn is_vocabulary(&self) -> bool {
        self.domains.is_empty()
    }
}

/// One domain.
fn alone(domain: Domain) -> &'static [Domain] {
    const ALL: &[Domain] = &Domain::ALL;
    ALL.iter().position(|of| *of == domain).map_or(&[], |at| &ALL[at..=at])
}

/// A file of a table, as far as its columns go.
pub(super) struct Columns<'a> {
    pub(super) file: String,
    /// The columns' plain names.
    pub(super) names: &'a [String],
    /// What its folders' names give.
    pub(super) given: &'a [(String, Option<String>)],
}

/// Where a file has a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    At(usize),
    /// The position among what the folders' names give.
    Given(usize),
}

/// What became of the columns that a table is to have.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The columns that all files have, each with where these have it.
    pub(super) there: Vec<(Column, Vec<From>)>,
    /// Those that cannot be read, and why.
    pub(super) unreadable: Vec<(Column, String)>,
    /// Those that were read after a mending, and which.
    pub(super) mended: Vec<(String, String)>,
    /// Columns of the files that no study may read.
    pub(super) withheld: Vec<String>,
}

/// Looks for a table's columns in its files. `has_header` says whether a file without any of them may have lost its header line.
pub(super) fn survey(wanted: &Wanted, files: &[Columns<'_>], has_header: bool) -> Result<Survey, StoreError> {
    let mut survey = Survey::default();
    let find = |file: &Columns<'_>, column: &Column| match place(&wanted.table, file.names, column) {
        Place::At(position) => Ok(Some(From::At(position))),
        Place::Twice => Err(format!("{} has two columns of that name", file.file)),
        Place::Nowhere => {
            let own = column.called.as_ref().unwrap_or(&column.name);
            Ok(file.given.iter().position(|(given, _)| given == own).map(From::Given))
        }
    };
    for column in &wanted.columns {
        let found: Result<Vec<Option<From>>, String> = files.iter().map(|file| find(file, column)).collect();
        let found = match found {
            Ok(found) => found,
            Err(twice) => {
                survey.unreadable.push((column.clone(), twice));
                continue;
            }
        };
        let is_given = |place: &Option<From>| matches!(place, Some(From::Given(_)));
        if found.iter().any(is_given) && !found.iter().all(is_given) {
            let why = "some files have it, and the names of others' folders give it, or neither does".to_string();
            survey.unreadable.push((column.clone(), why));
            continue;
        }
        match found.iter().position(Option::is_none) {
            None => survey.there.push((column.clone(), found.into_iter().flatten().collect())),
            Some(absent) if found.iter().any(Option::is_some) => {
                survey
                    .unreadable
                    .push((column.clone(), format!("{} does not have it, and others do", files[absent].file)));
            }
            Some(_) => {}
        }
    }
    for file in files {
        let has = |column: &Column| !matches!(place(&wanted.table, file.names, column), Place::Nowhere);
        if has_header && !wanted.columns.iter().any(has) {
            return Err(match omop::is_of_omop(&wanted.table) {
                true => StoreError::NoHeader { file: file.file.clone() },
                // It may well have other names for all of them.
                false => wanted.missing(&file.file),
            });
        }
    }
    let is_wanted = |name: &str| {
        let former = |column: &Column| omop::former_name(&wanted.table, &column.name);
        let own = |column: &Column| column.called.as_deref().unwrap_or(&column.name) == name;
        wanted.columns.iter().any(|column| own(column) || former(column) == Some(name))
    };
    for file in files {
        for name in file.names.iter().chain(file.given.iter().map(|(name, _)| name)) {
            if !name.is_empty() && !is_wanted(name) && !survey.withheld.contains(name) {
                survey.withheld.push(name.clone());
            }
        }
    }
    for (column, places) in &survey.there {
        let former = omop::former_name(&wanted.table, &column.name);
        let is_former = |(file, from): (&Columns<'_>, &From)| match (from, former) {
            (From::At(position), Some(former)) => file.names.get(*position).is_some_and(|name| name == former),
            _ => false,
        };
        if let Some(former) = former.filter(|_| files.iter().zip(places).any(is_former)) {
            survey.mended.push((column.name.clone(), format!("called `{former}`, its name in OMOP 5.3")));
        }
        if let Some(called) = &column.called {
            survey.mended.push((column.name.clone(), format!("called `{called}`")));
        }
    }
    Ok(survey)
}

/// Places in a table's files: what is wrong with them is not said, nor what stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) count: u64,
    /// The first of them: the file's position, and the line, counted from 1, the header included.
    first: Vec<(usize, u64)>,
}

impl Lines {
    const NAMED: usize = 5;

    pub(super) fn add(&mut self, file: usize, line: u64) {
        self.count += 1;
        if self.first.len() < Self::NAMED {
            self.first.push((file, line));
        }
    }

    /// In words: `lines 3, 17 and more`, with the files' names where there are several.
    pub(super) fn places(&self, unit: &str, files: &[String]) -> String {
        let place = |(file, line): &(usize, u64)| match files {
            [_] => line.to_string(),
            files => format!("{line} of {}", files.get(*file).map_or("", String::as_str)),
        };
        let plural = if self.count == 1 { "" } else { "s" };
        let more = if self.count > self.first.len() as u64 { " and more" } else { "" };
        format!("{unit}{plural} {}{more}", self.first.iter().map(place).collect::<Vec<_>>().join(", "))
    }
}

/// Fields that are not what a column holds, in words.
pub(super) fn not_what(bad: &Lines, column: &Column, unit: &str, files: &[String]) -> String {
    let are = if bad.count == 1 { "1 value is".to_string() } else { format!("{} values are", bad.count) };
    format!("{are} not {} ({})", column.words(), bad.places(unit, files))
}

/// Values that are none, in words: days beyond the calendar, and what no measured number is.
pub(super) fn nothing(count: u64, column: &Column) -> String {
    let are = if count == 1 { "1 value is".to_string() } else { format!("{count} values are") };
    let what = match column.kind {
        Kind::Date | Kind::Moment => "beyond the years 0001 to 9999",
        _ => "NaN or infinite",
    };
    format!("{are} {what}, read as NULL")
}

/// Checks what the configuration says of tables.
pub(super) fn check_mapping(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<(), StoreError> {
    for (name, mapping) in &config.tables {
        let say = |what| Err(StoreError::Mapping { table: name.clone(), what });
        if omop::is_of_omop(name) {
            return say("OMOP defines this table; remove the section, its file is found by its name");
        }
        let Some(table) = catalogue.iter().find(|table| table.name == *name) else {
            return say("the consortium's catalogue has no such table, see `consilium table list`; remove the section");
        };
        let is_known = |column: &String| table.subject == *column || table.column(column).is_some();
        if !mapping.columns.keys().all(is_known) {
            return say("a column is listed that the table does not have, see `consilium table list`; remove it");
        }
    }
    Ok(())
}
