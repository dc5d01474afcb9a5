//! What a hospital remembers of a contribution: of some patients, chosen by their pseudonyms, where each stood, and of each
//! group who was in it, as a hash.
//!
//! A sample is enough, since an exchange among some patients is one among all; and whoever is in the sample of a study is in
//! those of all earlier ones.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::hash;
use consilium_protocol::ids::SubjectId;

use super::super::lattice::Lattice;
use crate::statistics::{Content, Layout, Rows, StatisticsError, cuts, summed};
use consilium_protocol::study::{Protection, StudySpec};

/// How many patients of a hospital are remembered, about.
const SAMPLE: u64 = 20_000;

/// A remembered contribution. Not printed; kept encrypted only.
#[derive(BorshSerialize, BorshDeserialize, Clone, PartialEq, Eq)]
pub struct Record {
    /// The largest mark of a patient who is remembered.
    pub(super) most: u64,
    /// The patients of the cohort among them, ascending.
    pub(super) subjects: Vec<[u8; 16]>,
    /// Patient by patient, cut by cut the part.
    pub(super) parts: Vec<u32>,
    /// Patient by patient, variable by variable the steps, negative where it is missing.
    pub(super) steps: Vec<i64>,
    /// Of each group of cells of a guarded study who was in it, and with which values.
    pub(super) members: Vec<Members>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Record(..)")
    }
}

/// What of a patient's pseudonym decides whether the patient is remembered.
pub(super) fn mark(subject: &[u8; 16]) -> u64 {
    let digest = hash::tagged("consilium/remembered-sample/v1", &[subject]);
    u64::from_be_bytes(*digest.first_chunk().expect("a hash is longer"))
}

impl Record {
    /// What is remembered of a cohort at a hospital with so many patients. `subjects` are the patients of `rows`.
    pub(super) fn of(
        spec: &StudySpec,
        layout: &Layout,
        rows: &Rows,
        subjects: &[SubjectId],
        patients: usize,
        earlier: impl Iterator<Item = u64>,
    ) -> Result<Self, StatisticsError> {
        let (cut, summed) = (cuts(layout).len(), summed(spec, layout).len());
        if rows.parts.len() != cut * subjects.len() || rows.steps.len() != summed * subjects.len() {
            return Err(StatisticsError::Guarding);
        }
        let own = (u64::MAX / (patients as u64).max(1)).saturating_mul(SAMPLE);
        let most = earlier.fold(if patients as u64 <= SAMPLE { u64::MAX } else { own }, u64::min);
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        order.sort_by_key(|row| subjects[*row]);
        let members = match spec.protection {
            Protection::Guarded => members(spec, layout, rows, subjects, &order)?,
            Protection::Open | Protection::Private { .. } => Vec::new(),
        };
        let mut record = Self { most, subjects: Vec::new(), parts: Vec::new(), steps: Vec::new(), members };
        for row in order {
            let subject = *subjects[row].as_bytes();
            if mark(&subject) <= most {
                record.subjects.push(subject);
                record.parts.extend_from_slice(&rows.parts[row * cut..(row + 1) * cut]);
                record.steps.extend_from_slice(&rows.steps[row * summed..(row + 1) * summed]);
            }
        }
        Ok(record)
    }

    /// How long one is at most, of a study at a hospital with so many patients.
    pub fn most_bytes(spec: &StudySpec, layout: &Layout, patients: usize) -> usize {
        let width = 16 + 4 * cuts(layout).len() + 8 * summed(spec, layout).len();
        patients.min(2 * SAMPLE as usize) * width + 2 * layout.bundles().len() * 32 + 64
    }

    /// Whether it can be of this study.
    pub(super) fn fits(&self, spec: &StudySpec, layout: &Layout) -> bool {
        let (cut, summed) = (cuts(layout).len(), summed(spec, layout).len());
        self.subjects.is_sorted()
            && self.parts.len() == cut * self.subjects.len()
            && self.steps.len() == summed * self.subjects.len()
    }
}

/// Who is in a group, and with which values where it has sums: the sum of a hash of each modulo 2^256, so that those of groups without
/// anybody in common add up to that of their union. Nobody chooses a pseudonym or sees a hash, so that nobody can look for two groups
/// of one sum.
#[derive(BorshSerialize, BorshDeserialize, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Members([u64; 4]);

impl Members {
    fn one(parts: &[&[u8]]) -> Self {
        let digest = hash::tagged("consilium/remembered-member/v1", parts);
        let (words, _) = digest.as_chunks::<8>();
        Self(std::array::from_fn(|word| u64::from_le_bytes(words[word])))
    }
}

impl std::ops::AddAssign for Members {
    fn add_assign(&mut self, other: Self) {
        let mut carry = false;
        for (word, other) in self.0.iter_mut().zip(other.0) {
            (*word, carry) = word.carrying_add(other, carry);
        }
    }
}

impl std::iter::Sum for Members {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// Of each group of cells who is in it.
fn members(
    spec: &StudySpec,
    layout: &Layout,
    rows: &Rows,
    subjects: &[SubjectId],
    order: &[usize],
) -> Result<Vec<Members>, StatisticsError> {
    let lattice = Lattice::of(spec, layout).map_err(|_| StatisticsError::Guarding)?;
    let mut members = vec![Members::default(); lattice.padded.len()];
    let places = Places::of(spec, layout);
    for row in order {
        let parts = &rows.parts[row * places.cuts..(row + 1) * places.cuts];
        let steps = &rows.steps[row * places.summed..(row + 1) * places.summed];
        let subject: &[u8] = subjects[*row].as_bytes();
        let one = Members::one(&[subject]);
        places.each(layout, parts, steps, |bundle, step| {
            let of = lattice.places[bundle];
            members[of.count] += one;
            if let (Some(sums), Some(step)) = (of.sums, step) {
                members[sums] += Members::one(&[subject, &step.to_le_bytes()]);
            }
        });
    }
    Ok(members)
}

/// Which bundles of a study a row is in.
pub(super) struct Places {
    cuts: usize,
    summed: usize,
    /// By block, coarser ones included.
    blocks: Vec<OfBlock>,
}

/// Where a block's axes and variable are in a row.
struct OfBlock {
    axes: Vec<OfAxis>,
    variable: Option<usize>,
}

struct OfAxis {
    cut: usize,
    /// The class of each part, where some count as one.
    merged: Option<Vec<usize>>,
    classes: usize,
}

impl Places {
    pub(super) fn of(spec: &StudySpec, layout: &Layout) -> Self {
        let (cuts, summed) = (cuts(layout), summed(spec, layout));
        let blocks = layout.all_blocks().map(|block| {
            let axes = block.axes.iter().map(|axis| {
                let cut = cuts.iter().position(|cut| cut.column == axis.column && cut.parts == axis.parts);
                OfAxis { cut: cut.unwrap_or_default(), merged: axis.merged.clone(), classes: axis.classes() }
            });
            let has_sums = layout.bundles()[block.bundles.start].content != Content::Count;
            let of = spec.statistics[block.statistic].kind.variable().filter(|_| has_sums);
            OfBlock { axes: axes.collect(), variable: of.and_then(|of| summed.iter().position(|name| name == of)) }
        });
        Self { cuts: cuts.len(), summed: summed.len(), blocks: blocks.collect() }
    }

    /// How many cuts and variables a row has.
    pub(super) const fn width(&self) -> (usize, usize) {
        (self.cuts, self.summed)
    }

    /// Calls `with` for each bundle that a row is in, with the steps of the bundle's variable, if it has one and the row does.
    pub(super) fn each(&self, layout: &Layout, parts: &[u32], steps: &[i64], mut with: impl FnMut(usize, Option<i64>)) {
        for (block, OfBlock { axes, variable }) in layout.all_blocks().zip(&self.blocks) {
            let position = axes.iter().fold(0, |position, OfAxis { cut, merged, classes }| {
                let part = parts[*cut] as usize;
                position * classes + merged.as_ref().map_or(part, |merged| merged[part])
            });
            with(block.bundles.start + position, variable.map(|of| steps[of]).filter(|step| *step >= 0));
        }
    }
}
