//! Which column of a file is which of a table: whatever the capitals, under its name in OMOP 5.3, or under the one that the
//! hospital says.

use super::omop;
use super::table::Column;

/// Where a file has a column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    At(usize),
    Nowhere,
    /// Under one name twice.
    Twice,
}

/// A column's name without blanks, quotes and capitals.
pub(super) fn plain(name: &str) -> String {
    super::text::bare(name).to_ascii_lowercase()
}

/// Where a file whose columns have these [plain] names has a column of a table.
pub(super) fn place(table: &str, names: &[String], column: &Column) -> Place {
    let former = omop::former_name(table, &column.name);
    let own = column.called.as_ref().unwrap_or(&column.name);
    for wanted in std::iter::once(own.as_str()).chain(former) {
        let mut found = names.iter().enumerate().filter(|(_, name)| *name == wanted);
        match (found.next(), found.next()) {
            (Some((position, _)), None) => return Place::At(position),
            (Some(_), Some(_)) => return Place::Twice,
            (None, _) => {}
        }
    }
    Place::Nowhere
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::kind::Kind;

    #[test]
    fn a_column_is_found_whatever_its_capitals_and_under_its_former_name() {
        let place = |names: &[&str], column: &str| {
            let column = Column::of_omop(&(column, Kind::Code));
            place("visit_occurrence", &names.iter().map(|name| plain(name)).collect::<Vec<_>>(), &column)
        };
        assert_eq!(place(&["x", " \"PERSON_ID\" "], "person_id"), Place::At(1));
        assert_eq!(place(&["person_id", "Person_ID"], "person_id"), Place::Twice);
        assert_eq!(place(&["x"], "person_id"), Place::Nowhere);
        let (old, new) = ("discharge_to_concept_id", "discharged_to_concept_id");
        assert_eq!(place(&["x", old], new), Place::At(1));
        assert_eq!(place(&[old, new], new), Place::At(1), "the present name comes first");
        assert_eq!(place(&[old], old), Place::At(0));
        let called = Column { called: Some("sex".to_string()), ..Column::of_omop(&("gender", Kind::Code)) };
        let names = ["gender", "sex"].map(str::to_string);
        assert_eq!(super::place("labs", &names, &called), Place::At(1), "the hospital's own word");
        assert_eq!(super::place("labs", &names[..1], &called), Place::Nowhere);
    }
}
