//! Random draws that come out the same on every machine.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Separates these streams from any other use of the same seed.
const DOMAIN: &[u8; 16] = b"consilium omop 1";

/// One random stream.
///
/// Draws are made of integers and of the arithmetic that IEEE 754 rounds exactly. Logarithms, exponentials and sines
/// are left out on purpose: their last bits differ between platforms. The distributions of `rand` are left out as well:
/// they may change from one release to the next.
pub(super) struct Chance(ChaCha8Rng);

impl Chance {
    /// Stream number `stream` of a hospital.
    pub(super) fn new(seed: u64, hospital: u64, stream: u64) -> Chance {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&hospital.to_le_bytes());
        key[16..].copy_from_slice(DOMAIN);
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(stream);
        Chance(generator)
    }

    /// True with the given probability.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform over `from..=to`.
    pub(super) fn between(&mut self, from: i32, to: i32) -> i32 {
        debug_assert!(from <= to, "an empty range has no draw");
        let width = u64::from(to.abs_diff(from)) + 1;
        // The bias is below width / 2^32.
        let offset = (u64::from(self.0.next_u32()) * width) >> 32;
        from.wrapping_add_unsigned(offset as u32)
    }

    /// Uniform over `from..to`.
    pub(super) fn real(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// An index into `weights`, in proportion to them; 0 if there are none.
    pub(super) fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        let mut left = (u64::from(self.0.next_u32()) * total) >> 32;
        for (index, &weight) in weights.iter().enumerate() {
            let weight = u64::from(weight);
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// Nearly standard normal, within ±6: the sum of twelve uniforms (Irwin–Hall), centred and scaled.
    pub(super) fn normal(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..3 {
            let quarter = self.0.next_u64();
            for lane in 0..4 {
                sum += f64::from((quarter >> (16 * lane)) as u16);
            }
        }
        (sum - 12.0 * 32_767.5) / 65_536.0
    }

    fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_hospital_and_number() {
        let first = |seed, hospital, stream| Chance::new(seed, hospital, stream).0.next_u64();
        let draws = [first(1, 0, 0), first(2, 0, 0), first(1, 1, 0), first(1, 0, 1)];
        for (index, draw) in draws.iter().enumerate() {
            assert!(!draws[index + 1..].contains(draw));
        }
        assert_eq!(first(1, 0, 0), draws[0]);
    }

    #[test]
    fn draws_have_the_asked_distribution() {
        let mut chance = Chance::new(7, 0, 0);
        let count = 100_000;
        let (mut sum, mut squares, mut happened) = (0.0, 0.0, 0);
        let (mut faces, mut weighted) = ([0; 6], [0; 3]);
        for _ in 0..count {
            let normal = chance.normal();
            sum += normal;
            squares += normal * normal;
            happened += u32::from(chance.happens(0.2));
            faces[usize::try_from(chance.between(-2, 3) + 2).unwrap()] += 1;
            weighted[chance.weighted(&[1, 0, 3])] += 1;
        }
        assert!((sum / f64::from(count)).abs() < 0.02);
        assert!((squares / f64::from(count) - 1.0).abs() < 0.02);
        assert!((19_500..20_500).contains(&happened));
        assert!(faces.iter().all(|face| (16_000..17_400).contains(face)), "{faces:?}");
        assert!((24_400..25_600).contains(&weighted[0]) && weighted[1] == 0, "{weighted:?}");
    }
}
