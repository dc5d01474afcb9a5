//! That no two rows of a table share the value of its key, of which the proof that a cohort has one row a patient makes use.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::super::kind::Kind;
use super::super::table::{Column, Role, Table};
use super::super::text::Nulls;
use super::catalog::Relation;
use super::error::DatabaseError;
use super::moment::{Moment, Selection};
use super::open::attribute;
use super::shape::Shape;
use super::{NO_NUMBERS, quoted};

/// A column that may be a key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) column: Column,
    /// What it is called in the database.
    pub(super) name: String,
    pub(super) shape: Shape,
    /// Whether rows without it do no harm: of patients', they are nobody's.
    pub(super) takes_null: bool,
}

/// How it is found out that values are told apart by what they are read as.
enum Known {
    /// By the server: what it tells apart is told apart here, and the other way round.
    Alike,
    /// Likewise, but for what is no number, which is none here.
    AlikeAsNumbers,
    /// By reading them: `1` and `1.0` are two texts and one number, as a text with blanks and without is one.
    Read,
    Never,
}

impl Key {
    /// A table's key.
    pub(super) fn of(table: &Table, relation: &Relation) -> Option<Self> {
        let column = &table.columns[table.key?];
        let (name, shape) = attribute(&table.name, relation, column)?;
        let takes_null = matches!(table.role, Role::Patients { .. });
        Some(Self { column: column.clone(), name, shape, takes_null })
    }

    const fn known(&self) -> Known {
        match (self.shape, self.column.kind) {
            (Shape::Whole, Kind::Subject | Kind::Key | Kind::Code | Kind::Integer) => Known::Alike,
            (Shape::Numeric | Shape::Double, Kind::Subject | Kind::Key | Kind::Code | Kind::Integer) => {
                Known::AlikeAsNumbers
            }
            (Shape::Text { .. }, Kind::Subject | Kind::Key | Kind::Code | Kind::Integer | Kind::Text) => Known::Read,
            _ => Known::Never,
        }
    }

    /// Whether no two rows share a value, and each has one, unless rows without do no harm.
    pub(super) async fn holds(
        &self,
        moment: &Moment,
        relation: &Arc<Relation>,
        nulls: &Nulls,
    ) -> Result<bool, DatabaseError> {
        let name = quoted(&self.name);
        let value = match self.known() {
            Known::Alike => name,
            Known::AlikeAsNumbers => format!("CASE WHEN {name}::pg_catalog.text NOT IN {NO_NUMBERS} THEN {name} END"),
            Known::Read => return self.holds_as_read(moment, relation, nulls).await,
            Known::Never => return Ok(false),
        };
        if moment.is_unique(relation, &self.name).is_some_and(|has_every_row| {
            // What is no number stands in an index as well.
            self.takes_null || (has_every_row && matches!(self.known(), Known::Alike))
        }) {
            return Ok(true);
        }
        let sql = format!("SELECT count(*), count({value}), count(DISTINCT {value}) FROM {}", relation.sql);
        let counts = moment.counts(&relation.shown, &sql, 3).await?;
        Ok((self.takes_null || counts[0] == counts[1]) && counts[1] == counts[2])
    }

    async fn holds_as_read(
        &self,
        moment: &Moment,
        relation: &Arc<Relation>,
        nulls: &Nulls,
    ) -> Result<bool, DatabaseError> {
        let columns = vec![(self.column.clone(), self.name.clone(), self.shape)];
        let selection = Selection { relation: Arc::clone(relation), columns, condition: None };
        let (mut numbers, mut texts, mut rows, mut lost) = (Vec::new(), Vec::new(), 0, 0);
        moment
            .each(&selection, nulls, |read| {
                rows += read.batch.num_rows();
                lost += read.misfits[0];
                let values = read.batch.column(0);
                match values.as_string_opt::<i32>() {
                    Some(values) => texts.extend(values.iter().flatten().map(str::to_string)),
                    None => numbers.extend(values.as_primitive::<Int64Type>().iter().flatten()),
                }
            })
            .await?;
        numbers.sort_unstable();
        texts.sort_unstable();
        let has_all = lost == 0 && (self.takes_null || numbers.len() + texts.len() == rows);
        let is_each_once =
            numbers.windows(2).all(|pair| pair[0] != pair[1]) && texts.windows(2).all(|pair| pair[0] != pair[1]);
        Ok(has_all && is_each_once)
    }
}
