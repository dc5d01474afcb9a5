//! What all subjects of a hospital allow, in as few bytes as that takes.

use std::sync::Arc;

use super::AllowedData;
use crate::ids::{Date, Height, SubjectId};

/// What each subject of a hospital allows for one use, by the ledger at one height: [`Permissions`](super::Permissions) with
/// those who allow nothing, so that the list of subjects is the same for every use.
///
/// Invariants: subjects are distinct and in ascending order; there is one class for each of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Roll {
    /// Consent is read after all of this block.
    pub height: Height,
    /// The day of that block, on which the use is.
    pub day: Date,
    /// What may be read of the subjects of each class.
    pub classes: Vec<AllowedData>,
    /// All subjects that are enrolled. They are only ever added to: two lists of one hospital that are as long as each other
    /// are the same.
    pub subjects: Arc<Vec<SubjectId>>,
    /// The class of each.
    pub class_of: ClassList,
}

impl std::fmt::Debug for Roll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Roll of {} subjects at {}", self.subjects.len(), self.height)
    }
}

impl Roll {
    /// Nobody.
    pub fn empty(height: Height) -> Self {
        Self {
            height,
            day: Date::from_days(0),
            classes: Vec::new(),
            subjects: Arc::default(),
            class_of: ClassList::default(),
        }
    }

    /// What the subject at a position allows, if anything.
    pub fn allowed(&self, position: usize) -> Option<&AllowedData> {
        self.classes.get(self.class_of.get(position)? as usize)
    }
}

/// For each subject the position of its class, or none: in one byte each while there are at most 255 classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassList {
    width: usize,
    // Class numbers plus one, little-endian; 0 for none.
    bytes: Vec<u8>,
}

impl Default for ClassList {
    fn default() -> Self {
        Self { width: 1, bytes: Vec::new() }
    }
}

impl ClassList {
    /// A list in this form: `width` bytes each.
    ///
    /// `None` for a width that is not 1, 2 or 4, or a number of bytes that is no multiple of it.
    pub fn from_bytes(width: u8, bytes: Vec<u8>) -> Option<Self> {
        let width = usize::from(width);
        (matches!(width, 1 | 2 | 4) && bytes.len().is_multiple_of(width)).then_some(Self { width, bytes })
    }

    /// How many bytes each subject takes.
    pub fn width(&self) -> u8 {
        // 1, 2 or 4.
        self.width as u8
    }

    /// All of them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Of how many subjects.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The class of the subject at a position.
    pub fn get(&self, position: usize) -> Option<u32> {
        let at = position.checked_mul(self.width)?;
        let own = self.bytes.get(at..at.checked_add(self.width)?)?;
        let mut number = [0; 4];
        number[..self.width].copy_from_slice(own);
        u32::from_le_bytes(number).checked_sub(1)
    }

    /// Adds a subject.
    pub fn push(&mut self, class: Option<u32>) {
        let number = class.map_or(0, |class| class.saturating_add(1));
        let needed = match number {
            0..=0xFF => 1,
            0x100..=0xFFFF => 2,
            _ => 4,
        };
        if needed > self.width {
            let of = |position| self.get(position).map_or(0, |class| class + 1).to_le_bytes();
            self.bytes = (0..self.len()).flat_map(|position| of(position).into_iter().take(needed)).collect();
            self.width = needed;
        }
        self.bytes.extend(&number.to_le_bytes()[..self.width]);
    }
}

impl FromIterator<Option<u32>> for ClassList {
    fn from_iter<I: IntoIterator<Item = Option<u32>>>(classes: I) -> Self {
        let mut list = Self::default();
        classes.into_iter().for_each(|class| list.push(class));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_as_wide_as_the_largest_needs() {
        for (largest, width) in [(0, 1), (254, 1), (255, 2), (65_534, 2), (65_535, 4), (u32::MAX - 1, 4)] {
            let classes = [None, Some(0), Some(largest), None, Some(largest / 2)];
            let list: ClassList = classes.into_iter().collect();
            assert_eq!((list.width(), list.len()), (width, 5), "{largest}");
            assert_eq!((0..5).map(|position| list.get(position)).collect::<Vec<_>>(), classes);
            assert_eq!((list.get(5), list.get(usize::MAX)), (None, None));
            assert_eq!(ClassList::from_bytes(width, list.as_bytes().to_vec()), Some(list));
        }
        assert_eq!(ClassList::from_bytes(3, vec![0; 3]), None);
        assert_eq!(ClassList::from_bytes(2, vec![0; 3]), None);
    }
}
