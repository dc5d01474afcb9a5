//! The aggregator's part: to decide and to seal without seeing anything.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicUsize;
use std::thread;

use consilium_protocol::keys::NoRandomness;

use super::contribution::CHECK_SLOTS;
use super::decide::decide;
use super::seal::{round_to, seal};
use super::sealed::{CHECK_WORDS, SEED_WORDS, SealedSeeds};
use super::seed::Seed;
use super::work::{Progress, Work};
use super::{BitRef, GuardContribution, GuardError, GuardPublicKey, GuardServerKey, GuardShape};
use crate::cells::encryption::encrypt;
use crate::cells::keys::random_seed;
use crate::cells::parameters::DEGREE;

/// Who decides under encryption, for one guarded round.
pub struct Aggregator<'a> {
    shape: &'a GuardShape,
    server_key: &'a GuardServerKey,
    public_key: &'a GuardPublicKey,
    threads: NonZeroUsize,
    progress: &'a (dyn Fn(Progress) + Sync),
}

/// What the aggregator makes of a round.
#[derive(Debug)]
pub struct SealedRound {
    /// For the custodian.
    pub sealed: SealedSeeds,
    /// Those that were sealed, to pad cells with, and then to be dropped.
    pub seeds: Vec<Seed>,
}

impl<'a> Aggregator<'a> {
    /// An aggregator that uses all cores.
    ///
    /// # Errors
    /// [`GuardError::OtherKey`] when the two keys are not of one custodian.
    pub fn new(
        shape: &'a GuardShape,
        server_key: &'a GuardServerKey,
        public_key: &'a GuardPublicKey,
    ) -> Result<Self, GuardError> {
        if server_key.fingerprint() != public_key.fingerprint() {
            return Err(GuardError::OtherKey);
        }
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self { shape, server_key, public_key, threads, progress: &|_| () })
    }

    /// Uses so many threads.
    pub fn with_threads(self, threads: NonZeroUsize) -> Self {
        Self { threads, ..self }
    }

    /// Tells `progress` after every piece of work, from whichever thread did it.
    pub fn with_progress(self, progress: &'a (dyn Fn(Progress) + Sync)) -> Self {
        Self { progress, ..self }
    }

    /// Decides about every group and seals fresh seeds. Blocks for seconds to minutes: not for a thread that
    /// others wait for.
    ///
    /// # Errors
    /// When the sum is not over the whole roster, not of this shape or not under this key, or there is no randomness.
    pub fn seal(&self, sum: &GuardContribution) -> Result<SealedRound, GuardError> {
        if sum.contributions() != self.shape.hospitals() {
            let expected = self.shape.hospitals();
            return Err(GuardError::Contributions { expected, found: sum.contributions() });
        }
        sum.check_shape(self.shape)?;
        if sum.key() != self.public_key.fingerprint() {
            return Err(GuardError::OtherKey);
        }
        let seeds = (0..self.shape.seeds()).map(|_| Seed::random()).collect::<Result<Vec<_>, _>>()?;
        let check = self.check_numbers(sum)?;
        let work = self.work();
        let bits = decide(sum, self.shape, &work);
        let pieces: Vec<(&BitRef, &Seed)> = self.shape.gates().release.iter().zip(&seeds).collect();
        let sealed =
            work.each(&pieces, |bootstrapper, (bit, seed)| seal(bootstrapper, &bits[*bit], seed, self.public_key));
        let mut digits = Vec::with_capacity(self.shape.seeds() * SEED_WORDS);
        for seed in sealed {
            digits.extend(seed?);
        }
        let contributions = self.shape.hospitals() as u16;
        Ok(SealedRound { sealed: SealedSeeds { contributions, key: sum.key(), check, digits }, seeds })
    }

    fn work(&self) -> Work<'a> {
        let gates = self.shape.gates();
        let inputs = gates.sets.iter().flat_map(|set| &set.inputs);
        let group = |bit: &BitRef| match bit {
            BitRef::Group(group) | BitRef::Large(group) | BitRef::Nobody(group) => Some(*group),
            BitRef::Set(_) => None,
        };
        let used: BTreeSet<usize> = inputs.chain(&gates.release).filter_map(group).collect();
        Work {
            key: self.server_key,
            threads: self.threads,
            progress: self.progress,
            done: AtomicUsize::new(0),
            total: used.len() + gates.sets.len() + self.shape.seeds(),
        }
    }

    /// The sums of the check numbers, re-randomised.
    fn check_numbers(&self, sum: &GuardContribution) -> Result<Vec<u32>, NoRandomness> {
        let mut words = encrypt(self.public_key.compact(), &[0; CHECK_SLOTS], random_seed()?);
        debug_assert_eq!(words.len(), CHECK_WORDS);
        let (mask, bodies) = sum.check_numbers();
        words[..DEGREE].iter_mut().zip(mask).for_each(|(word, mask)| *word = word.wrapping_add(*mask));
        words[DEGREE..].iter_mut().zip(bodies).for_each(|(word, body)| *word = word.wrapping_add(*body));
        Ok(words.into_iter().map(|word| round_to(word, u32::BITS) as u32).collect())
    }
}
