//! Pads on the researcher's joint ciphertext, and its opening where seeds arrived.
//!
//! A pad is one uniform word per body word of a group's cells, added modulo 2^64. It hides the words themselves, and so
//! limbs, carries and noise alike; masks and the check cells stay as they are. The *veiled check cell* is the last of a
//! contribution's cells and belongs to no group: it holds 1 under each hospital's veil, and no pad.

use std::ops::Range;

use zeroize::Zeroizing;

use super::GuardError;
use super::disclosed::Disclosed;
use super::seed::{PadRound, Padded, Seed};
use super::veil;
use crate::cells::opening::open_ranges;
use crate::cells::{EncryptedCells, OpenedCells, StudySecretKey, keystream};

/// The joint cells of the groups whose seeds arrived. The others were not decoded, and are not here in any form.
#[derive(Debug)]
pub struct GuardedCells(Vec<Option<OpenedCells>>);

impl GuardedCells {
    /// Made up, for tests of this crate.
    #[cfg(test)]
    pub(crate) fn of(groups: Vec<Option<OpenedCells>>) -> Self {
        Self(groups)
    }

    /// By group its cells, or none when it is suppressed.
    pub fn groups(&self) -> &[Option<OpenedCells>] {
        &self.0
    }

    /// How many groups are suppressed.
    pub fn suppressed(&self) -> usize {
        self.0.iter().filter(|group| group.is_none()).count()
    }
}

/// Pads the cells of every group. `groups` are ascending and disjoint, and leave the last cell, the veiled check cell, alone.
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

/// Takes pads and veils off the groups that were disclosed and opens these, and no other cell but the two check cells.
/// `hospitals` is the size of the roster.
///
/// # Errors
/// When there is not an answer for every seed, or groups overlap or are not in the ciphertext; [`GuardError::Opening`] when
/// the sum is not over the whole roster or under another key, when the check cell is wrong, or when a group's words make
/// no sense after its pad was taken off: then seed or sum is not the one of this round; [`GuardError::VeiledCheck`].
pub fn open_guarded(
    mut sum: EncryptedCells,
    key: &StudySecretKey,
    hospitals: usize,
    groups: &[Padded],
    disclosed: &Disclosed,
    round: &PadRound,
) -> Result<GuardedCells, GuardError> {
    check_groups(&sum, groups)?;
    check_seeds(groups, disclosed.sets())?;
    let mut ranges = Vec::new();
    for (group, Padded { cells, seed }) in groups.iter().enumerate() {
        if let Some(keys) = &disclosed.sets[*seed] {
            apply(&mut sum, cells, &keys.seed.pad_key(round, group), u64::wrapping_sub);
            ranges.push(cells.clone());
        }
    }
    let veiled_check = sum.cells() - 1;
    ranges.push(veiled_check..sum.cells());
    let mut opened = open_ranges(&sum, key, hospitals, &ranges)?;
    let check = opened.pop().expect("the veiled check cell was asked for last");
    let unveiled = disclosed
        .check
        .iter()
        .fold(check.values()[0].cast_unsigned(), |cell, key| cell.wrapping_sub(veil::check_word(key)));
    if unveiled != veil::VEILED_CHECK.wrapping_mul(hospitals as u64) {
        return Err(GuardError::VeiledCheck);
    }
    // Every cell in its place, so that a set's stream falls where it was laid.
    let mut cells = Zeroizing::new(vec![0u64; veiled_check]);
    for (range, own) in ranges.iter().zip(&opened) {
        range.clone().zip(own.values()).for_each(|(cell, value)| cells[cell] = value.cast_unsigned());
    }
    for (keys, own) in disclosed.sets.iter().zip(veil::cells_by_set(groups, disclosed.sets())) {
        let veils = keys.iter().flat_map(|keys| &keys.veils);
        veils.for_each(|key| veil::lay(key, &own, &mut cells, u64::wrapping_sub));
    }
    let group = |group: &Padded| {
        let values = cells[group.cells.clone()].iter().map(|cell| cell.cast_signed()).collect();
        disclosed.sets[group.seed].as_ref().map(|_| OpenedCells::new(Zeroizing::new(values), hospitals))
    };
    Ok(GuardedCells(groups.iter().map(group).collect()))
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
        if cells.start < end || cells.is_empty() || cells.end >= sum.cells() {
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
