//! AES-256 in counter mode (NIST SP 800-38A), by the block ciphers of the csprng.
//!
//! The csprng's own generator is AES-128: fine for one party's randomness, but a blinding seed stands for months against
//! anyone who recorded many rounds of many pairs, so it keeps the 256 bits that HKDF gives it.

use std::hint::black_box;

use concrete_csprng::generators::SoftwareAes256BlockCipher;
use concrete_csprng::generators::aes_ctr::{AES_CALLS_PER_BATCH, Aes256Key, AesBlockCipher, BYTES_PER_BATCH};
use concrete_csprng::generators::default::DefaultAes256BlockCipher;
use zeroize::Zeroize;

const WORDS_PER_BATCH: usize = BYTES_PER_BATCH / size_of::<u64>();

/// Whether the csprng's ciphers for this processor can be used: where they cannot, they panic.
pub(crate) fn has_aes_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("sse2");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("neon");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// Fills `words` with the first bytes of the key's stream, eight to a little-endian word: the same on every machine.
pub(crate) fn fill(key: &[u8; 32], words: &mut [u64]) {
    if has_aes_instructions() {
        fill_by::<DefaultAes256BlockCipher>(key, words);
    } else {
        fill_by::<SoftwareAes256BlockCipher>(key, words);
    }
}

/// Block `i` of the stream is the encryption of `i` as a little-endian 128-bit number.
fn fill_by<C: AesBlockCipher<Key = Aes256Key>>(key: &[u8; 32], words: &mut [u64]) {
    let mut cipher = C::new(Aes256Key::new(*key));
    let mut next_block = 0u128;
    for batch in words.chunks_mut(WORDS_PER_BATCH) {
        let mut bytes = cipher.generate_batch(std::array::from_fn(|i| (next_block + i as u128).to_le()));
        next_block += AES_CALLS_PER_BATCH as u128;
        for (word, bytes) in batch.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        bytes.zeroize();
    }
    // The cipher does not erase its round keys: overwrite them with those of a key that is no secret.
    cipher = C::new(Aes256Key::new([0; 32]));
    black_box(&cipher);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SP 800-38A has no vector for a counter from 0, but block 0 of the stream is one plain encryption of zeros:
    /// the AES-256 VarKey/GFSbox style vector of a zero key and a zero block (NIST CAVP).
    #[test]
    fn the_stream_begins_as_aes_256_says() {
        let mut words = [0; 2];
        fill(&[0; 32], &mut words);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes, 0xdc95_c078_a240_8989_ad48_a214_9284_2087_u128.to_be_bytes());
    }

    #[test]
    fn hardware_and_software_give_the_same_stream_whatever_its_length() {
        let key = std::array::from_fn(|i| i as u8);
        let mut whole = vec![0; 1000];
        fill(&key, &mut whole);
        for length in [0, 1, 15, 16, 17, 1000] {
            let mut words = vec![0; length];
            fill_by::<SoftwareAes256BlockCipher>(&key, &mut words);
            assert_eq!(words, whole[..length]);
        }
    }
}
