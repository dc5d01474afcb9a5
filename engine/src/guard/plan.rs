//! How a threshold on a sum is cut into bootstraps.
//!
//! One bootstrap tells the sign of a number with a precision of [`HALF_TORUS_UNITS`] on either side of zero. Where sums
//! get larger than that, they are first made multiples of some *P*, by taking off their remainders modulo *P*:
//!
//! ```text
//! P = p₁·p₂·…·pₘ          t = s + offset, so that the threshold becomes a multiple of P
//! r₁ = t mod p₁            r₂ = ((t − r₁)/p₁) mod p₂       …
//! (t − r₁ − p₁·r₂ − … − offset − threshold)/P ≥ 0   exactly when   s ≥ threshold
//! ```
//!
//! A remainder modulo an *odd* p takes one bootstrap and no bit of padding: t/p is put on the whole torus, where no two
//! plaintexts are opposite each other, so that a bootstrap, which maps opposite points to opposite values, can compute
//! any function of it. Opposite points lie halfway between plaintexts, so the noise may be a quarter of their distance;
//! with p ≤ 15 that is more than the parameter set asks for. Clearing four bits one by one takes four bootstraps; a
//! remainder modulo 15 takes one.
//!
//! Source for bootstraps on odd moduli without padding: the negacyclic constraint of blind rotation, as in I. Chillotti
//! et al., "TFHE: Fast Fully Homomorphic Encryption over the Torus", J. Cryptology 2020, section 4.

use super::parameters::{HALF_TORUS_UNITS, UNIT_LOG2};

/// The largest remainder system of one bootstrap.
const MAX_RADIX: u64 = 15;

/// The most remainders of one sum.
const MAX_RADICES: usize = 3;

/// The largest last radix of so many: its remainder is taken of a sum that carries the noise of the remainders before.
const MAX_LAST_RADIX: [u64; MAX_RADICES + 1] = [0, MAX_RADIX, 11, 9];

/// How `sum ≥ threshold` is decided under encryption for sums from 0 to `max_sum`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    threshold: u64,
    offset: u64,
    radices: Vec<u64>,
}

impl Plan {
    /// The plan with the fewest bootstraps, and among those with the smallest radices: they leave most room for noise.
    /// None when the sum is too large for [`MAX_RADICES`].
    pub(super) fn new(threshold: u64, max_sum: u64) -> Option<Self> {
        (0..=MAX_RADICES).find_map(|length| {
            let plans = radix_lists(length).into_iter().map(|radices| Self::with_radices(threshold, radices));
            plans.filter(|plan| plan.fits(max_sum)).min_by_key(|plan| (plan.radices.iter().max().copied(), plan.step()))
        })
    }

    fn with_radices(threshold: u64, radices: Vec<u64>) -> Self {
        let step: u64 = radices.iter().product();
        Self { threshold, offset: (step - threshold % step) % step, radices }
    }

    fn fits(&self, max_sum: u64) -> bool {
        let below = (self.threshold + self.offset) / self.step();
        let Some(above) = (max_sum + self.offset).checked_div(self.step()).map(|top| top.saturating_sub(below)) else {
            return false;
        };
        below <= HALF_TORUS_UNITS && above < HALF_TORUS_UNITS
    }

    /// P, the product of the radices.
    fn step(&self) -> u64 {
        self.radices.iter().product()
    }

    /// The odd moduli whose remainders are taken off, in order.
    pub(super) fn radices(&self) -> &[u64] {
        &self.radices
    }

    /// The modulus that hospitals encode for: 1 stands for the 2^64th part of the torus divided by it.
    pub(super) fn modulus(&self) -> u64 {
        self.modulus_up_to(self.radices.len() + 1)
    }

    /// The modulus at the step that takes the remainder number `step`, or after the last of them the sign.
    pub(super) fn modulus_up_to(&self, step: usize) -> u64 {
        let known: u64 = self.radices.iter().take(step).product();
        if step > self.radices.len() { known << (u64::BITS - UNIT_LOG2) } else { known }
    }

    /// What stands before the remainder number `step` in the sum: the product of the radices before it.
    pub(super) fn weight(&self, step: usize) -> u64 {
        self.radices[..step].iter().product()
    }

    /// What is added to every sum before remainders are taken.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The smallest sum that is decided for.
    pub(super) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// How many bootstraps a decision takes, its own included.
    #[cfg(test)]
    pub(super) fn bootstraps(&self) -> usize {
        let radices = self.radices.len();
        1 + (0..radices).map(|remainder| outputs(remainder, radices).len()).sum::<usize>()
    }
}

/// For which later steps a remainder is computed: one bootstrap each. The output for the sign serves the last radix too.
pub(super) fn outputs(remainder: usize, radices: usize) -> Vec<usize> {
    (remainder + 2..radices).chain([radices + 1]).collect()
}

/// `value` as a point of the torus that is divided into `modulus` parts, to the nearest word.
pub(super) fn encode(value: u64, modulus: u64) -> u64 {
    let scaled = u128::from(value % modulus) << u64::BITS;
    ((scaled + u128::from(modulus / 2)) / u128::from(modulus)) as u64
}

fn radix_lists(length: usize) -> Vec<Vec<u64>> {
    let mut lists = vec![Vec::new()];
    for position in 0..length {
        let most = if position + 1 == length { MAX_LAST_RADIX[length] } else { MAX_RADIX };
        lists = lists
            .into_iter()
            .flat_map(|list: Vec<u64>| (3..=most).step_by(2).map(move |radix| [&list[..], &[radix]].concat()))
            .collect();
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the steps compute, in the clear.
    fn decide(plan: &Plan, sum: u64) -> bool {
        let mut rest = sum + plan.offset();
        for (step, radix) in plan.radices().iter().enumerate() {
            let remainder = rest / plan.weight(step) % radix;
            rest -= remainder * plan.weight(step);
        }
        assert_eq!(rest % plan.step(), 0);
        let units = (rest.cast_signed() - (plan.threshold() + plan.offset()).cast_signed()) / plan.step().cast_signed();
        assert!((-16..16).contains(&units), "{units} units of {plan:?}");
        units >= 0
    }

    #[test]
    fn every_sum_is_decided_as_it_should_be() {
        for (hospitals, threshold) in [
            (3, 2),
            (3, 5),
            (3, 11),
            (4, 11),
            (20, 11),
            (22, 11),
            (23, 11),
            (100, 11),
            (240, 11),
            (1024, 11),
            (1024, 31),
        ] {
            let most = hospitals * threshold;
            let plan = Plan::new(threshold, most).expect("a plan");
            for sum in 0..=most {
                assert_eq!(decide(&plan, sum), sum >= threshold, "{sum} of {plan:?}");
            }
        }
        for hospitals in 3..=1024 {
            let plan = Plan::new(1, hospitals).expect("a plan");
            assert!((0..=hospitals).all(|sum| decide(&plan, sum) == (sum >= 1)));
        }
    }

    #[test]
    fn plans_take_the_fewest_bootstraps() {
        let of = |threshold, most| {
            let plan = Plan::new(threshold, most).expect("a plan");
            (plan.radices().to_vec(), plan.bootstraps())
        };
        assert_eq!(of(1, 15), (vec![], 1));
        assert_eq!(of(1, 20), (vec![3], 2));
        assert_eq!(of(5, 15), (vec![], 1));
        assert_eq!(of(11, 44), (vec![3], 2));
        assert_eq!(of(11, 220), (vec![15], 2));
        assert_eq!(of(11, 1100).1, 3);
        assert_eq!(of(11, 11_264).1, 5);
        assert_eq!(Plan::new(1_000_000, 3_000_000), None);
    }

    #[test]
    fn points_of_the_torus_are_rounded() {
        assert_eq!(encode(1, 2), 1 << 63);
        assert_eq!(encode(3, 3), 0);
        assert_eq!(encode(1, 3), 0x5555_5555_5555_5555);
        assert_eq!(encode(2, 3), 0xaaaa_aaaa_aaaa_aaab);
    }
}
