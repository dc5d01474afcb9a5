//! From the columns of a file and the definition of a table to what studies may read.

use arrow::datatypes::{DataType, TimeUnit};

use super::config::{StoreConfig, TableConfig};
use super::error::StoreError;
use super::kind::Kind;
use super::omop;
use super::table::{Column, Dating, Role};

/// Which columns of a file are read, and as what.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) role: Role,
    pub(super) columns: Vec<Column>,
    /// For each of `columns` its position in the file.
    pub(super) positions: Vec<usize>,
    pub(super) withheld: Vec<String>,
}

/// Lays a table out. `types` are the file's columns, by their names as the file writes them, with what they hold where
/// the file says so (Parquet) or where it was found out (CSV of a declared table).
pub(super) fn lay_out(
    name: &str,
    file: &str,
    types: &[(String, Option<Kind>)],
    config: &StoreConfig,
) -> Result<Layout, StoreError> {
    let names: Vec<String> = types.iter().map(|(column, _)| column.trim().to_ascii_lowercase()).collect();
    for (i, column) in names.iter().enumerate() {
        if names[..i].contains(column) {
            return Err(StoreError::DuplicateColumn { file: file.to_string(), column: column.clone() });
        }
    }
    let wanted = match (config.tables.get(name), omop::definition(name)) {
        (Some(table), _) => declared(name, file, table, &names, types)?,
        (None, Some(table)) => Wanted {
            columns: table.columns.iter().map(|(c, k)| ((*c).to_string(), *k)).collect(),
            domain: table.domain,
            date: table.date.map(str::to_string),
            dated: table.date.is_some(),
        },
        (None, None) => Wanted { columns: Vec::new(), domain: None, date: None, dated: false },
    };
    let mut layout =
        Layout { role: Role::Vocabulary, columns: Vec::new(), positions: Vec::new(), withheld: Vec::new() };
    for (column, kind) in &wanted.columns {
        if let Some(position) = names.iter().position(|n| n == column) {
            layout.columns.push(Column { name: column.clone(), kind: *kind });
            layout.positions.push(position);
        }
    }
    layout.withheld = names.iter().filter(|n| layout.columns.iter().all(|c| c.name != **n)).cloned().collect();
    let missing = |column: &str| StoreError::MissingColumn { file: file.to_string(), column: column.to_string() };
    if let Some(domain) = wanted.domain {
        let subject =
            layout.columns.iter().position(|c| c.kind == Kind::Subject).ok_or_else(|| missing("person_id"))?;
        let place = |date: &String| layout.columns.iter().position(|c| c.name == *date).ok_or_else(|| missing(date));
        let dating = match wanted.date.as_ref().map(place).transpose()? {
            Some(position) => Dating::Column(position),
            None if wanted.dated => Dating::Unsaid,
            None => Dating::Undated,
        };
        layout.role = Role::Patients { subject, domain, dating };
    } else if layout.columns.is_empty() {
        return Err(missing(wanted.columns.first().map_or(name, |(column, _)| column)));
    }
    Ok(layout)
}

struct Wanted {
    columns: Vec<(String, Kind)>,
    domain: Option<consilium_protocol::consent::Domain>,
    date: Option<String>,
    /// Whether its rows are of some day, said or not.
    dated: bool,
}

fn declared(
    name: &str,
    file: &str,
    table: &TableConfig,
    names: &[String],
    types: &[(String, Option<Kind>)],
) -> Result<Wanted, StoreError> {
    let find = |column: &str| {
        let column = column.to_ascii_lowercase();
        match names.iter().position(|n| *n == column) {
            Some(position) => Ok((column, types[position].1)),
            None => Err(StoreError::MissingColumn { file: file.to_string(), column }),
        }
    };
    let say = |what| StoreError::Declaration { table: name.to_string(), what };
    let (subject, kind) = find(&table.subject)?;
    if kind != Some(Kind::Integer) {
        return Err(say("the subject column must hold the whole numbers of PERSON.person_id; add such a column"));
    }
    let date = table.date.as_deref().map(find).transpose()?;
    if date.as_ref().is_some_and(|(_, kind)| !matches!(kind, Some(Kind::Date | Kind::Moment))) {
        return Err(say("the date column must hold dates; name another, or export it as dates"));
    }
    let listed: Vec<String> = match &table.columns {
        Some(columns) => columns.clone(),
        None => names.to_vec(),
    };
    let mut columns = vec![(subject.clone(), Kind::Subject)];
    columns.extend(date.iter().map(|(column, _)| (column.clone(), Kind::Date)));
    for column in listed {
        let (column, kind) = find(&column)?;
        match kind {
            _ if columns.iter().any(|(known, _)| *known == column) => {}
            Some(kind) => columns.push((column, kind)),
            None if table.columns.is_some() => {
                return Err(say("a listed column is of a type that no study can read (nested or binary); unlist it"));
            }
            None => {}
        }
    }
    // Whatever studies may read of it: a row with a date among what they may not read is of a day all the same.
    let dated = types.iter().any(|(_, kind)| matches!(kind, Some(Kind::Date | Kind::Moment)));
    Ok(Wanted { columns, domain: Some(table.domain), date: date.map(|(column, _)| column), dated })
}

/// Checks the declarations that need no file.
pub(super) fn check_declarations(config: &StoreConfig) -> Result<(), StoreError> {
    for name in config.tables.keys() {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let say = |what| Err(StoreError::Declaration { table: name.clone(), what });
        if name.is_empty() || !name.bytes().all(plain) || name.as_bytes()[0].is_ascii_digit() {
            return say(
                "a table's name has characters out of a-z, 0-9 and _, and does not start with a digit; rename it",
            );
        }
        if omop::definition(name).is_some() {
            return say("OMOP defines this table already; remove the declaration");
        }
    }
    Ok(())
}

/// What a column of this Arrow type holds in a declared table.
pub(super) fn kind_of(data_type: &DataType) -> Option<Kind> {
    match data_type {
        t if t.is_integer() && *t != DataType::UInt64 => Some(Kind::Integer),
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => Some(Kind::Number),
        DataType::Date32 | DataType::Date64 => Some(Kind::Date),
        DataType::Timestamp(..) => Some(Kind::Moment),
        DataType::Boolean => Some(Kind::Truth),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Kind::Text),
        DataType::Dictionary(_, values) if matches!(**values, DataType::Utf8) => Some(Kind::Text),
        _ => None,
    }
}

/// Whether every value of this Arrow type can be read as what the column holds, without a failure.
pub(super) fn holds(data_type: &DataType, kind: Kind) -> bool {
    let whole = |t: &DataType| t.is_integer() && *t != DataType::UInt64;
    match kind {
        // A column without a single value, as some programs write it.
        kind if *data_type == DataType::Null => kind != Kind::Subject,
        Kind::Subject | Kind::Key | Kind::Code | Kind::Integer => whole(data_type),
        Kind::Number => {
            whole(data_type) || matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Decimal128(..))
        }
        Kind::Date => {
            matches!(data_type, DataType::Date32 | DataType::Date64)
                || matches!(data_type, DataType::Timestamp(_, None))
        }
        Kind::Moment => {
            matches!(data_type, DataType::Date32 | DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, None))
                || matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, None))
        }
        Kind::Text => kind_of(data_type) == Some(Kind::Text),
        Kind::Truth => *data_type == DataType::Boolean,
    }
}
