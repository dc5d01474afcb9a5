//! What a round may read at one hospital: the outcome of consent for all of its subjects at once.

use super::AllowedData;
use crate::ids::{Date, Height, SubjectId};

/// Whom a hospital may count for a use, and what it may read of each, by the ledger at one height.
///
/// Subjects who are not listed allow nothing. Many subjects share the same terms, so what may be read is kept once
/// per *class* and each subject refers to one.
///
/// Invariants: subjects are distinct and in ascending order; every class number is a position in
/// [`classes`](Self::classes); no class is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Consent is read after all of this block.
    pub height: Height,
    /// The day of that block, on which the use is.
    pub day: Date,
    /// What may be read of the subjects of each class.
    pub classes: Vec<AllowedData>,
    /// The subjects that allow anything, each with the position of its class.
    pub subjects: Vec<(SubjectId, u32)>,
}

impl Permissions {
    /// What may be read of a subject, or `None` when nothing may.
    pub fn of(&self, subject: &SubjectId) -> Option<&AllowedData> {
        let position = self.subjects.binary_search_by_key(subject, |(id, _)| *id).ok()?;
        let (_, class) = self.subjects.get(position)?;
        self.classes.get(*class as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_listed_allows_nothing() {
        let subject = |byte| SubjectId::from_bytes([byte; 16]);
        let permissions = Permissions {
            day: Date::from_days(0),
            height: Height::new(1),
            classes: vec![AllowedData::default()],
            subjects: vec![(subject(1), 0), (subject(3), 0), (subject(5), 9)],
        };
        assert!(permissions.of(&subject(3)).is_some());
        assert!(permissions.of(&subject(2)).is_none());
        assert!(permissions.of(&subject(5)).is_none(), "a class that is not there allows nothing");
    }
}
