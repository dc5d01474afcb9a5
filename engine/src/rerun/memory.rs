//! The cohorts that a hospital contributed.

use std::fmt;

use consilium_protocol::ids::{ContentHash, RoundNumber, StudyId};

use super::RerunError;
use super::closeness::{Bits, Sum, difference};
use super::places::{Placed, joined, size, spread};

/// How far a round has come that a cohort was contributed to.
///
/// ```text
/// contribute ──→ Pending ──released──→ Released
///                   └──failed──→ forgotten
/// ```
///
/// Both are compared with: what is pending may be released at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Contributed; the round has not ended.
    Pending,
    /// The round's result was released.
    Released,
}

/// What a cohort was computed with and from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Stands for the hospitals that take part.
    pub roster: ContentHash,
    /// Stands for what the patients of the cohort allow to be read of them
    /// ([`SubjectSet::terms`](super::SubjectSet::terms)).
    pub terms: ContentHash,
}

/// One contribution.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) study: StudyId,
    pub(super) round: RoundNumber,
    pub(super) standing: Standing,
    pub(super) cohort: usize,
    pub(super) basis: Basis,
}

/// What a hospital remembers of what it contributed. Not printed; saved encrypted only ([`save`](Self::save)).
///
/// Each subject that was ever in a contributed cohort has a *place*, the number of smaller ones, and each cohort is a bitmap
/// over places. Equal cohorts are kept once. The subjects themselves are in the file alone ([`Known`](super::Known)) and pass
/// by in order, so that a million subjects in a hundred cohorts are 16 MB on disk and 12.5 MB of bitmaps. A memory is as good
/// as the hospital's diligence in keeping it: after a restore from an old copy, compare with the ledger by
/// [`standing`](Self::standing), and take part in nothing until all is there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CohortMemory {
    /// How many places there are.
    pub(super) places: u32,
    pub(super) cohorts: Vec<Bits>,
    pub(super) entries: Vec<Entry>,
}

impl fmt::Debug for CohortMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CohortMemory(..)")
    }
}

impl CohortMemory {
    /// A memory of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a cohort may be contributed, by the rule of this module: `k` is the policy's `min_joint_count`. Answers
    /// with the studies, of which this may be one, that had exactly this cohort: their statistics and the new ones can
    /// be combined freely.
    ///
    /// # Errors
    /// [`RerunError::TooClose`], [`RerunError::Complement`] and [`RerunError::OtherRoster`], for the first study or pair in
    /// the order of contribution.
    pub fn check(&self, placed: &Placed, basis: &Basis, k: u32) -> Result<Vec<StudyId>, RerunError> {
        let (new, unseen, limit) = (&placed.bits, placed.unseen, u64::from(k));
        let distance = |cohort: &Bits| difference(new, unseen, cohort, limit);
        let distances: Vec<u64> = self.cohorts.iter().map(distance).collect();
        // Nobody's numbers are told from those of nobody.
        let tells = placed.size() > 0;
        let elsewhere = |cohorts: &[usize]| {
            let other =
                self.entries.iter().find(|entry| cohorts.contains(&entry.cohort) && entry.basis.roster != basis.roster);
            match other.filter(|_| tells) {
                Some(entry) => Err(RerunError::OtherRoster { study: entry.study }),
                None => Ok(()),
            }
        };
        if let Some(same) = distances.iter().position(|distance| *distance == 0) {
            elsewhere(&[same])?;
            // The same patients, and other data of them: how many have changed their mind is not known here.
            let other = self.entries.iter().find(|entry| entry.cohort == same && entry.basis.terms != basis.terms);
            if let Some(entry) = other.filter(|_| tells) {
                return Err(RerunError::TooClose { study: entry.study });
            }
            let same = self.entries.iter().filter(|entry| entry.cohort == same);
            let mut studies: Vec<StudyId> = same.map(|entry| entry.study).collect();
            studies.dedup();
            return Ok(studies);
        }
        if let Some(close) = distances.iter().position(|distance| *distance < limit) {
            return Err(RerunError::TooClose { study: self.study_of(close) });
        }
        let sizes: Vec<u64> = self.cohorts.iter().map(size).collect();
        for (j, y) in self.cohorts.iter().enumerate() {
            for (i, x) in self.cohorts[..j].iter().enumerate() {
                let possible = Sum::ALL.iter().filter(|sum| sum.may_be_close(placed.size(), sizes[i], sizes[j], limit));
                for sum in possible {
                    match sum.residue(new, unseen, x, y, limit) {
                        0 => elsewhere(&[i, j])?,
                        few if few < limit => {
                            return Err(RerunError::Complement { studies: [self.study_of(i), self.study_of(j)] });
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(Vec::new())
    }

    /// Checks a cohort and remembers it as pending. Call it, and save the memory with the [`union`](super::union) of subjects,
    /// before anything leaves the hospital. Doing so again with the same cohort, after a crash, changes nothing.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), [`RerunError::AlreadyContributed`] and [`RerunError::Full`]; then nothing is
    /// remembered.
    pub fn contribute(
        &mut self,
        study: StudyId,
        round: RoundNumber,
        basis: &Basis,
        placed: &Placed,
        k: u32,
    ) -> Result<Vec<StudyId>, RerunError> {
        if let Some(entry) = self.entries.iter().find(|entry| (entry.study, entry.round) == (study, round)) {
            let same = placed.unseen == 0 && self.cohorts[entry.cohort] == placed.bits;
            return if same { Ok(vec![study]) } else { Err(RerunError::AlreadyContributed { study, round }) };
        }
        let same = self.check(placed, basis, k)?;
        let cohort = self.remember(placed)?;
        self.entries.push(Entry { study, round, standing: Standing::Pending, cohort, basis: *basis });
        Ok(same)
    }

    /// Remembers a cohort as pending without refusing anything: of a study whose numbers are guarded otherwise, so that open ones
    /// are held against it.
    ///
    /// # Errors
    /// [`RerunError::AlreadyContributed`] and [`RerunError::Full`]; then nothing is remembered.
    pub fn note(
        &mut self,
        study: StudyId,
        round: RoundNumber,
        basis: &Basis,
        placed: &Placed,
    ) -> Result<(), RerunError> {
        if let Some(entry) = self.entries.iter().find(|entry| (entry.study, entry.round) == (study, round)) {
            let same = placed.unseen == 0 && self.cohorts[entry.cohort] == placed.bits;
            return if same { Ok(()) } else { Err(RerunError::AlreadyContributed { study, round }) };
        }
        let cohort = self.remember(placed)?;
        self.entries.push(Entry { study, round, standing: Standing::Pending, cohort, basis: *basis });
        Ok(())
    }

    /// The round was released: its cohort is kept for good. False when nothing was contributed to it.
    pub fn released(&mut self, study: StudyId, round: RoundNumber) -> bool {
        let entry = self.entries.iter_mut().find(|entry| (entry.study, entry.round) == (study, round));
        entry.map(|entry| entry.standing = Standing::Released).is_some()
    }

    /// The round failed before all had contributed, so that no sum of it can be opened: its pending cohort is forgotten.
    /// False when there was none, or it was released.
    pub fn failed(&mut self, study: StudyId, round: RoundNumber) -> bool {
        let is_it = |entry: &Entry| (entry.study, entry.round, entry.standing) == (study, round, Standing::Pending);
        let Some(position) = self.entries.iter().position(is_it) else { return false };
        let cohort = self.entries.remove(position).cohort;
        if self.entries.iter().all(|entry| entry.cohort != cohort) {
            self.cohorts.remove(cohort);
            self.entries.iter_mut().filter(|entry| entry.cohort > cohort).for_each(|entry| entry.cohort -= 1);
        }
        true
    }

    /// The contributions whose rounds have not ended, as far as is remembered.
    pub fn pending(&self) -> impl Iterator<Item = (StudyId, RoundNumber)> {
        let pending = self.entries.iter().filter(|entry| entry.standing == Standing::Pending);
        pending.map(|entry| (entry.study, entry.round))
    }

    /// What is remembered of a round.
    pub fn standing(&self, study: StudyId, round: RoundNumber) -> Option<Standing> {
        let entry = self.entries.iter().find(|entry| (entry.study, entry.round) == (study, round));
        entry.map(|entry| entry.standing)
    }

    /// The first study that contributed a cohort; there is one for each.
    fn study_of(&self, cohort: usize) -> StudyId {
        let entry = self.entries.iter().find(|entry| entry.cohort == cohort);
        entry.map_or(StudyId::from_bytes([0; 32]), |entry| entry.study)
    }

    /// The cohort's position, with new places for who had none.
    fn remember(&mut self, placed: &Placed) -> Result<usize, RerunError> {
        let Placed { bits, fresh, unseen } = placed;
        if *unseen == 0
            && let Some(same) = self.cohorts.iter().position(|cohort| cohort == bits)
        {
            return Ok(same);
        }
        let places = u64::from(self.places) + unseen;
        self.places = u32::try_from(places).map_err(|_| RerunError::Full)?;
        if *unseen > 0 {
            self.cohorts.iter_mut().for_each(|cohort| *cohort = spread(cohort, fresh));
        }
        self.cohorts.push(joined(spread(bits, fresh), fresh));
        Ok(self.cohorts.len() - 1)
    }
}
