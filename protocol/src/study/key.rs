//! What a study's public key must look like, for those who cannot compute with it.
//!
//! The layout is that of `docs/cryptography.md`: a header of 48 bytes, and a body of 2,048 words. Under a degenerate key
//! (a body of zeros, to begin with) ciphertexts hide nothing from anyone. Whether a key that looks right was made as it should be only
//! its researcher knows; what it protects from others is the joint result, and suppressed groups have veils of their own.

/// The length of a study's public key, in bytes.
pub const STUDY_KEY_BYTES: usize = HEADER_BYTES + 8 * WORDS;

/// What every such key begins with: magic, version 1, no contributions, 2,048 words, and the fingerprint of the parameters.
pub const STUDY_KEY_PREFIX: [u8; 32] = [
    b'c', b's', b'l', b'-', b'p', b'k', b'e', b'y', 1, 0, 0, 0, 0, 8, 0, 0, 0x5e, 0x38, 0x5b, 0x58, 0x3c, 0x8d, 0x0a,
    0x8f, 0x5b, 0xa0, 0xc9, 0x59, 0xa2, 0xf7, 0x98, 0x35,
];

const HEADER_BYTES: usize = 48;
const WORDS: usize = 2_048;

/// Of 256 values that the upper byte of a word can have, so many at least occur in the words of a body. In 2,048 uniform words all
/// but 0.08 of them do, on average, and that 56 do not is less likely than 2^-200.
const FEWEST_VALUES: usize = 200;

/// Whether bytes have the form of a study's public key: its length, its header, and a body that is spread over the torus.
pub fn is_study_key(bytes: &[u8]) -> bool {
    bytes.len() == STUDY_KEY_BYTES && bytes.starts_with(&STUDY_KEY_PREFIX) && is_spread(&bytes[HEADER_BYTES..])
}

fn is_spread(body: &[u8]) -> bool {
    let mut seen = [false; 256];
    body.as_chunks::<8>().0.iter().for_each(|word| seen[usize::from(word[7])] = true);
    seen.into_iter().filter(|seen| *seen).count() >= FEWEST_VALUES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::tagged;

    fn key(word: impl Fn(u64) -> u64) -> Vec<u8> {
        let body = (0..WORDS as u64).flat_map(|i| word(i).to_le_bytes());
        STUDY_KEY_PREFIX.into_iter().chain([7; 16]).chain(body).collect()
    }

    fn uniform(i: u64) -> u64 {
        u64::from_le_bytes(tagged("test", &[&i.to_le_bytes()])[..8].try_into().expect("8 bytes"))
    }

    #[test]
    fn a_key_has_a_length_a_header_and_a_body_that_is_spread() {
        assert!(is_study_key(&key(uniform)));
        let mut longer = key(uniform);
        longer.push(0);
        assert!(!is_study_key(&longer) && !is_study_key(&longer[..STUDY_KEY_BYTES - 1]) && !is_study_key(&[]));
        for at in 0..STUDY_KEY_PREFIX.len() {
            let mut changed = key(uniform);
            changed[at] ^= 1;
            assert!(!is_study_key(&changed), "byte {at}");
        }
        // Nothing but noise; one word again and again; few values.
        let degenerate: [fn(u64) -> u64; 5] = [
            |_| 0,
            |i| uniform(i) % (1 << 20),
            |i| (uniform(i) % (1 << 20)).wrapping_neg(),
            |_| uniform(3),
            |i| uniform(i % 100),
        ];
        for word in degenerate {
            assert!(!is_study_key(&key(word)));
        }
    }
}
