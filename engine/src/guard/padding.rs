//! Pads on the researcher's joint ciphertext, and its opening where seeds arrived.
//!
//! A pad is one uniform word per body word of a group's cells, added modulo 2^64. It hides the words themselves, and so
//! limbs, carries and noise alike; masks and the check cell stay as they are.

use std::ops::Range;

use zeroize::Zeroizing;

use super::GuardError;
use super::seed::{PadRound, Seed};
use crate::cells::opening::open_ranges;
use crate::cells::{EncryptedCells, OpenedCells, StudySecretKey, keystream};

/// The joint cells of the groups whose seeds arrived. The others were not decoded, and are not here in any form.
#[derive(Debug)]
pub struct GuardedCells(Vec<Option<OpenedCells>>);

impl GuardedCells {
    /// By group its cells, or none when it is suppressed.
    pub fn groups(&self) -> &[Option<OpenedCells>] {
        &self.0
    }

    /// How many groups are suppressed.
    pub fn suppressed(&self) -> usize {
        self.0.iter().filter(|group| group.is_none()).count()
    }
}

/// Cells that are shown or suppressed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Padded {
    /// The cells.
    pub cells: Range<usize>,
    /// The seed that pads them. Groups that share one have different pads.
    pub seed: usize,
}

/// Pads the cells of every group. `groups` are ascending and disjoint.
///
/// # Errors
/// When there is not every seed that a group has, or groups overlap or are not in the ciphertext; nothing is padded then.
pub fn pad(sum: &mut EncryptedCells, groups: &[Padded], seeds: &[Seed], round: &PadRound) -> Result<(), GuardError> {
    check_groups(sum, groups)?;
    check_seeds(groups, seeds.len())?;
    for (group, Padded { cells, seed }) in groups.iter().enumerate() {
        apply(sum, cells, &seeds[*seed].pad_key(round, group), u64::wrapping_add);
    }
    Ok(())
}

/// Takes the pads off the groups whose seeds arrived and opens these, and no other cell. `hospitals` is the size of the
/// roster.
///
/// # Errors
/// When there is not an answer for every seed, or groups overlap or are not in the ciphertext; [`GuardError::Opening`] when
/// the sum is not over the whole roster or under another key, when the check cell is wrong, or when a group's words make
/// no sense after its pad was taken off: then seed or sum is not the one of this round.
pub fn open_guarded(
    mut sum: EncryptedCells,
    key: &StudySecretKey,
    hospitals: usize,
    groups: &[Padded],
    seeds: &[Option<Seed>],
    round: &PadRound,
) -> Result<GuardedCells, GuardError> {
    check_groups(&sum, groups)?;
    check_seeds(groups, seeds.len())?;
    let mut ranges = Vec::new();
    for (group, Padded { cells, seed }) in groups.iter().enumerate() {
        if let Some(seed) = &seeds[*seed] {
            apply(&mut sum, cells, &seed.pad_key(round, group), u64::wrapping_sub);
            ranges.push(cells.clone());
        }
    }
    let mut opened = open_ranges(&sum, key, hospitals, &ranges)?.into_iter();
    Ok(GuardedCells(groups.iter().map(|group| seeds[group.seed].as_ref().and_then(|_| opened.next())).collect()))
}

fn apply(sum: &mut EncryptedCells, cells: &Range<usize>, key: &[u8; 32], combine: fn(u64, u64) -> u64) {
    let words = sum.bodies_mut(cells.clone()).expect("the groups were checked against the ciphertext");
    let mut pad = Zeroizing::new(vec![0; words.len()]);
    keystream::fill(key, &mut pad);
    words.iter_mut().zip(pad.iter()).for_each(|(word, pad)| *word = combine(*word, *pad));
}

fn check_groups(sum: &EncryptedCells, groups: &[Padded]) -> Result<(), GuardError> {
    let mut end = 0;
    for (group, Padded { cells, .. }) in groups.iter().enumerate() {
        if cells.start < end || cells.is_empty() || cells.end > sum.cells() {
            return Err(GuardError::Cells { group });
        }
        end = cells.end;
    }
    Ok(())
}

fn check_seeds(groups: &[Padded], found: usize) -> Result<(), GuardError> {
    let expected = groups.iter().map(|group| group.seed + 1).max().unwrap_or(0);
    if expected == found { Ok(()) } else { Err(GuardError::Seeds { expected, found }) }
}
