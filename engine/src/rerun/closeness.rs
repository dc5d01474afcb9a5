//! How many patients two or three cohorts tell apart, as bitmaps over the same places, up to a limit.

/// A bitmap, as long as it needs to be.
pub(super) type Bits = Vec<u64>;

/// For how many places the combination of bits is not 0; stops at `limit`, so that cohorts that are not close cost next
/// to nothing. `start` is what is known to be so beyond the bitmaps.
fn count(start: u64, limit: u64, words: usize, not_zero: impl Fn(usize) -> u64) -> u64 {
    let mut count = start;
    for word in 0..words {
        if count >= limit {
            break;
        }
        count += u64::from(not_zero(word).count_ones());
    }
    count.min(limit)
}

pub(super) fn at(bits: &Bits, word: usize) -> u64 {
    bits.get(word).copied().unwrap_or(0)
}

/// N - X: patients of one but not of the other. `unseen` are patients of N without a place.
pub(super) fn difference(new: &Bits, unseen: u64, x: &Bits, limit: u64) -> u64 {
    count(unseen, limit, new.len().max(x.len()), |word| at(new, word) ^ at(x, word))
}

/// A + B - C of N, X and Y, in one of the three ways that two of them can be on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    /// N + X - Y.
    NewAndX,
    /// N + Y - X.
    NewAndY,
    /// X + Y - N.
    XAndY,
}

impl Sum {
    pub(super) const ALL: [Self; 3] = [Self::NewAndX, Self::NewAndY, Self::XAndY];

    /// Whether the sizes leave it open that fewer than `limit` patients make the combination differ from 0: each of them
    /// makes it at most 2.
    pub(super) fn may_be_close(self, new: u64, x: u64, y: u64, limit: u64) -> bool {
        let [new, x, y, limit] = [new, x, y, limit].map(i128::from);
        let sum = match self {
            Self::NewAndX => new + x - y,
            Self::NewAndY => new + y - x,
            Self::XAndY => x + y - new,
        };
        sum.abs() < 2 * limit
    }

    /// How many patients make it differ from 0.
    pub(super) fn residue(self, new: &Bits, unseen: u64, x: &Bits, y: &Bits, limit: u64) -> u64 {
        count(unseen, limit, new.len().max(x.len()).max(y.len()), |word| {
            let [n, x, y] = [at(new, word), at(x, word), at(y, word)];
            // 0 where nobody is, or the third and one of the two: an even number, and not the two.
            let two = match self {
                Self::NewAndX => n & x,
                Self::NewAndY => n & y,
                Self::XAndY => x & y,
            };
            (n ^ x ^ y) | two
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_combination_is_counted_as_arithmetic_says() {
        for bits in 0..8u64 {
            let [n, x, y] = [bits & 1, bits >> 1 & 1, bits >> 2];
            let value = |sum| match sum {
                Sum::NewAndX => n + x != y,
                Sum::NewAndY => n + y != x,
                Sum::XAndY => x + y != n,
            };
            for sum in Sum::ALL {
                assert_eq!(sum.residue(&vec![n], 0, &vec![x], &vec![y], 9), u64::from(value(sum)), "{sum:?} {bits}");
            }
            assert_eq!(difference(&vec![n], 0, &vec![x], 9), u64::from(n != x));
        }
    }

    #[test]
    fn bitmaps_of_any_length_up_to_the_limit() {
        assert_eq!(difference(&vec![1, 0, 7], 2, &vec![], 100), 6);
        assert_eq!(difference(&vec![], 0, &vec![1, 0, 7], 3), 3);
        assert_eq!(Sum::XAndY.residue(&vec![3], 0, &vec![1], &vec![2, 1], 9), 1);
    }

    #[test]
    fn sizes_rule_out_no_close_combination() {
        // Ten patients in N and X and not in Y: 20 too many, from fewer than 11 patients.
        assert!(Sum::NewAndX.may_be_close(10, 10, 0, 11));
        assert!(!Sum::NewAndX.may_be_close(11, 11, 0, 11));
        assert!(Sum::XAndY.may_be_close(10, 0, 0, 11));
    }
}
