//! Who was counted.

use std::fmt;
use std::sync::Arc;

use consilium_protocol::consent::Roll;
use consilium_protocol::hash::Tagged;
use consilium_protocol::ids::{ContentHash, SubjectId};

/// A cohort: the subjects that were counted, each once. Not printed.
#[derive(Clone, Default)]
pub struct SubjectSet {
    /// Ascending.
    of: Arc<Vec<SubjectId>>,
    /// Which of them, one bit each, the lowest bit of a byte first.
    members: Vec<u8>,
}

impl SubjectSet {
    /// Those of some subjects, in ascending order, whose bit is set.
    ///
    /// `None` when there are not as many bits as subjects, up to the last byte's rest, which must be 0.
    pub fn chosen(of: Arc<Vec<SubjectId>>, members: Vec<u8>) -> Option<Self> {
        let rest = members.len().checked_mul(8)?.checked_sub(of.len())?;
        let is_rest_empty = rest == 0 || members.last().is_some_and(|last| u32::from(*last) >> (8 - rest.min(8)) == 0);
        (rest < 8 && is_rest_empty).then_some(Self { of, members })
    }

    /// How many subjects.
    pub fn len(&self) -> usize {
        self.members.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.members.iter().all(|byte| *byte == 0)
    }

    fn positions(&self) -> impl Iterator<Item = usize> {
        let bits = |byte: u8| (0..8).filter(move |bit| byte >> bit & 1 == 1);
        self.members.iter().enumerate().flat_map(move |(at, byte)| bits(*byte).map(move |bit| 8 * at + bit))
    }

    /// The subjects, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SubjectId> {
        self.positions().filter_map(|position| self.of.get(position))
    }

    /// Stands for what each of them allows to be read by the roll that they were chosen from, in all domains: SHA-256,
    /// labelled `consilium/cohort-terms/v1`, of each subject in ascending order and what it allows.
    pub fn terms(&self, roll: &Roll) -> ContentHash {
        let classes: Vec<Vec<u8>> =
            roll.classes.iter().map(|allowed| borsh::to_vec(allowed).unwrap_or_default()).collect();
        let mut digest = Tagged::new("consilium/cohort-terms/v1");
        for position in self.positions() {
            let class = roll.class_of.get(position).and_then(|class| classes.get(class as usize));
            digest.part(self.of.get(position).map_or(&[], |subject| subject.as_bytes()));
            digest.part(class.map_or(&[], Vec::as_slice));
        }
        ContentHash::from_bytes(digest.finish())
    }
}

impl FromIterator<SubjectId> for SubjectSet {
    fn from_iter<I: IntoIterator<Item = SubjectId>>(subjects: I) -> Self {
        let mut subjects: Vec<SubjectId> = subjects.into_iter().collect();
        subjects.sort_unstable();
        subjects.dedup();
        let mut members = vec![0xFF; subjects.len() / 8];
        members.extend((!subjects.len().is_multiple_of(8)).then(|| (1u8 << (subjects.len() % 8)) - 1));
        Self { of: Arc::new(subjects), members }
    }
}

impl PartialEq for SubjectSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubjectSet {}

impl fmt::Debug for SubjectSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectSet(..)")
    }
}
