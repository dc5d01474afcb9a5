//! Whole rounds against counts in the clear, noise against its budget, and what each role sees.

mod bytes;
mod noise;
mod rounds;
mod secrecy;

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::pairing::PairSecret;

use super::custodian::Opener;
use super::sample::Sample;
use super::server_key::ServerKeySeeds;
use super::work::Work;
use super::*;
use crate::cells::encryption::encrypt;
use crate::cells::keys::random_seed;
use crate::cells::keys::tests::fixed_pair;
use crate::cells::parameters::DEGREE;
use crate::cells::{BlindingRoster, BlindingRound, PairSecrets};

/// The keys of tests: always the same.
pub(super) struct Custodian {
    pub(super) keys: GuardKeys,
    pub(super) server: GuardServerKey,
}

pub(super) fn custodian() -> &'static Custodian {
    static KEYS: OnceLock<Custodian> = OnceLock::new();
    KEYS.get_or_init(|| {
        let (secret, public) = fixed_pair();
        let seeds = ServerKeySeeds { small_key: 4, noise: [5, 6], masks: [7, 8] };
        let keys = GuardKeys::with_seeds(secret, public, &seeds);
        let server = GuardServerKey::from_bytes(&keys.server).expect("own bytes");
        Custodian { keys, server }
    })
}

pub(super) fn aggregator(shape: &GuardShape) -> Aggregator<'_> {
    Aggregator::new(shape, &custodian().server, &custodian().keys.public).expect("keys of one custodian")
}

pub(super) fn hospital(n: usize) -> HospitalId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&(n as u16).to_be_bytes());
    HospitalId::from_public_key(id)
}

/// The names of a pair are in the derivation of its blinds: one secret for all makes streams enough.
pub(super) fn secrets(n: usize) -> PairSecrets {
    (0..n).map(|i| (hospital(i), PairSecret::from_bytes([9; 32]))).collect()
}

pub(super) fn roster(n: usize) -> BlindingRoster {
    BlindingRoster::new((0..n).map(hospital).collect()).expect("a sound roster")
}

pub(super) fn blinds(roster: &BlindingRoster, own: usize, round: u32, shape: &GuardShape) -> GuardBlinds {
    let ledger = LedgerId::from_bytes([8; 32]);
    let study = StudyId::from_bytes([1; 32]);
    let round = BlindingRound { ledger: &ledger, study, round: RoundNumber::new(round), roster };
    GuardBlinds::derive(&round, hospital(own), &secrets(roster.len()), shape).expect("sound blinds")
}

/// What every hospital has in every group.
pub(super) type Table = Vec<Vec<u64>>;

pub(super) fn contributions(table: &Table, shape: &GuardShape) -> Vec<GuardContribution> {
    let roster = roster(table.len());
    let one = |(own, counts): (usize, &Vec<u64>)| {
        contribute(counts, shape, blinds(&roster, own, 0, shape), &custodian().keys.public).expect("a contribution")
    };
    table.iter().enumerate().map(one).collect()
}

pub(super) fn sum(table: &Table, shape: &GuardShape) -> GuardContribution {
    combine(&contributions(table, shape), shape).expect("a sum")
}

pub(super) fn work<'a>() -> Work<'a> {
    let threads = NonZeroUsize::new(2).expect("two");
    Work { key: &custodian().server, threads, progress: &|_| (), done: AtomicUsize::new(0), total: 0 }
}

/// The plaintext of a sample with its noise.
pub(super) fn phase(sample: &Sample) -> u64 {
    let words = sample.words();
    let inner = words[..DEGREE].iter().zip(custodian().keys.secret.bits()).filter(|(_, bit)| **bit == 1);
    words[DEGREE].wrapping_sub(inner.fold(0, |sum, (word, _)| sum.wrapping_add(*word)))
}

/// A fresh sample of this plaintext.
pub(super) fn encrypted(plain: u64) -> Sample {
    let words = encrypt(custodian().keys.public.compact(), &[plain], random_seed().expect("randomness"));
    Sample::of_slot(&words[..DEGREE], 0, words[DEGREE])
}

/// The oracle: which groups are released, from counts in the clear and from the words of the rule.
pub(super) fn released(table: &Table, threshold: u64, zeros_shown: &[bool], needs: &[Vec<usize>]) -> Vec<bool> {
    let safe = |group: usize| {
        let joint: u128 = table.iter().map(|counts| u128::from(counts[group])).sum();
        if joint == 0 { zeros_shown[group] } else { joint >= u128::from(threshold) }
    };
    needs.iter().map(|groups| groups.iter().all(|group| safe(*group))).collect()
}

/// The custodian, before it looks at anything.
pub(super) fn opener() -> Opener {
    Opener::new(&custodian().keys.secret)
}
