//! When a contribution may leave: at the end of a whole slot after the round opened, however long it took.
//!
//! Everybody sees when a hospital commits: in the block that carries it, and members to the millisecond. How long a query
//! takes depends on rows, and a query can be made to take long for one patient's. So nothing that follows from rows leaves
//! but at an instant that is fixed beforehand: the `n`th slot ends `n` whole slots after the time of the block that opened
//! the round. What is told then is `n`.

use std::time::Duration;

use consilium_protocol::ids::Timestamp;

/// How long before a slot ends a contribution must be ready to leave with it. What is ready later waits for the next: so
/// nothing is in a hurry when a slot ends, and all leave alike.
pub(super) const MARGIN_MS: u64 = 100;

/// How far this machine's clock may be behind the ledger's: as far as consensus bears it.
const MAX_BEHIND_MS: u64 = 10_000;

/// By how many milliseconds this machine's clock is behind the ledger's, if that is too much to know when a slot ends.
///
/// A smaller difference, or a clock that is ahead, shifts all slots of a hospital alike: it changes when the hospital
/// contributes, but not with what it computed.
pub(super) fn behind_ms(ledger: Timestamp, clock: Timestamp) -> Option<u64> {
    let behind_ms = ledger.get().saturating_sub(clock.get());
    (behind_ms > MAX_BEHIND_MS).then_some(behind_ms)
}

/// The slots of a round, by this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    /// The time of the block that opened the round.
    pub(super) opened: Timestamp,
    /// From when on the round may be failed.
    pub(super) closes: Timestamp,
    /// How long a slot is; not 0.
    pub(super) slot_ms: u64,
}

impl Slots {
    /// When what is `ready` may leave: at the end of the first slot that is at least [`MARGIN_MS`] away.
    pub(super) fn leaves(&self, ready: Timestamp) -> Timestamp {
        let slot_ms = self.slot_ms.max(1);
        let passed = ready.get().saturating_add(MARGIN_MS).saturating_sub(self.opened.get());
        let slots = passed.div_ceil(slot_ms).max(1);
        self.opened.plus_millis(slots.saturating_mul(slot_ms))
    }

    /// Whether what is `ready` leaves before the round may be failed.
    pub(super) fn in_time(&self, ready: Timestamp) -> bool {
        self.leaves(ready) < self.closes
    }

    /// How long what is ready at `ready` waits.
    pub(super) fn wait(&self, ready: Timestamp) -> Duration {
        Duration::from_millis(self.leaves(ready).get().saturating_sub(ready.get()))
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const OPENED: u64 = 1_700_000_000_123;

    fn slots(slot_ms: u64) -> Slots {
        Slots { opened: Timestamp::new(OPENED), closes: Timestamp::new(OPENED + 4 * slot_ms), slot_ms }
    }

    /// After how many slots something leaves that is ready so many milliseconds after the round opened.
    fn left(slot_ms: u64, ready: u64) -> u64 {
        let after = slots(slot_ms).leaves(Timestamp::new(OPENED + ready)).get() - OPENED;
        assert_eq!(after % slot_ms, 0, "it leaves at the end of a whole slot");
        after / slot_ms
    }

    #[test]
    fn what_takes_less_than_a_slot_leaves_at_the_same_instant_200_times_of_200() {
        let mut chance = rand_chacha::ChaCha20Rng::seed_from_u64(7);
        for slot_ms in [1_000, 15_000, 3_600_000] {
            for slot in [0_u64, 1, 5] {
                // What was ready in the last moments of the slot before leaves with it.
                let begins = (slot * slot_ms + 1).saturating_sub(MARGIN_MS);
                let ends = (slot + 1) * slot_ms - MARGIN_MS;
                for _ in 0..200 {
                    assert_eq!(left(slot_ms, chance.random_range(begins..=ends)), slot + 1);
                }
            }
        }
    }

    #[test]
    fn a_slot_that_ends_too_soon_is_let_pass() {
        assert_eq!(left(1_000, 0), 1);
        assert_eq!(left(1_000, 900), 1);
        assert_eq!(left(1_000, 901), 2);
        assert_eq!(left(1_000, 1_000), 2);
        for ready in 0..5_000 {
            let wait = slots(1_000).wait(Timestamp::new(OPENED + ready)).as_millis() as u64;
            assert!((MARGIN_MS..MARGIN_MS + 1_000).contains(&wait), "{ready}");
        }
    }

    #[test]
    fn what_is_not_ready_before_the_last_slot_is_too_late() {
        let in_time = |ready| slots(1_000).in_time(Timestamp::new(OPENED + ready));
        assert_eq!([0, 2_900, 2_901, 9_000].map(in_time), [true, true, false, false]);
    }

    #[test]
    fn a_clock_far_behind_the_ledger_is_not_trusted() {
        let behind = |clock| behind_ms(Timestamp::new(OPENED), Timestamp::new(clock));
        assert_eq!(behind(OPENED - 10_000), None);
        assert_eq!(behind(OPENED - 10_001), Some(10_001));
        assert_eq!(behind(OPENED + 10_001), None);
    }

    #[test]
    fn a_clock_behind_the_ledger_waits_for_the_first_slot() {
        for behind in [1, 500, 10_000] {
            let ready = Timestamp::new(OPENED - behind);
            assert_eq!(slots(1_000).leaves(ready), Timestamp::new(OPENED + 1_000));
            assert_eq!(slots(1_000).wait(ready), Duration::from_millis(1_000 + behind));
        }
    }
}
