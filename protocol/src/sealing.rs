//! What only one party may read travels sealed: hybrid public-key encryption to an X25519 key.
//!
//! RFC 9180 (HPKE) in base mode, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305, one message per
//! context. Who sent it is not proved here: its hash stands on the ledger in a transaction that the sender signed.
//!
//! | bytes | what |
//! |---|---|
//! | 32 | encapsulated key |
//! | n | ciphertext, as long as the plaintext |
//! | 16 | tag |

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use zeroize::Zeroizing;

use crate::ids::{ChainId, HospitalId, RoundNumber, StudyId};

/// How much longer a sealed message is than what it holds, in bytes.
pub const SEALED_EXTRA_BYTES: usize = ENCAPSULATED_BYTES + 16;

const ENCAPSULATED_BYTES: usize = 32;

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// What is sealed, to which it is bound: sealed for one place, it cannot be opened in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context<'a> {
    /// What it is.
    pub content: Content,
    /// The ledger.
    pub chain: &'a ChainId,
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// Who sealed it.
    pub from: HospitalId,
}

/// The kinds of what is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A hospital's contribution to a guarded round, for the aggregator.
    Contribution,
    /// The seeds of what passed, for the researcher.
    Seeds,
}

impl Context<'_> {
    /// The `info` of RFC 9180, section 5.1: a label ‖ length of the chain id (1 byte) ‖ chain id ‖ study ‖ round (4 bytes,
    /// little-endian) ‖ sender.
    fn info(&self) -> Vec<u8> {
        let label: &[u8] = match self.content {
            Content::Contribution => b"consilium/sealed-contribution/v1",
            Content::Seeds => b"consilium/sealed-seeds/v1",
        };
        let chain = self.chain.as_str().as_bytes();
        // A chain id has at most 48 bytes.
        let length = [chain.len() as u8];
        let round = self.round.get().to_le_bytes();
        [label, &length, chain, self.study.as_bytes(), &round, self.from.public_key()].concat()
    }
}

/// Why something was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingError {
    /// The recipient's key is none.
    #[error("the recipient's key cannot be sealed to; have it registered anew")]
    Recipient,
    /// Not sealed to this key for this place, or changed on the way.
    #[error("this was not sealed to this key for this round, or was changed on the way; fetch it again")]
    Sealed,
}

/// An X25519 secret key that opens what was sealed to it. Erased when dropped.
pub struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    /// The key of a seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    fn private_key(&self) -> Option<PrivateKey> {
        PrivateKey::from_bytes(self.0.as_slice()).ok()
    }

    /// The public key, as the ledger keeps it.
    pub fn public_key(&self) -> [u8; 32] {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        x25519_dalek::PublicKey::from(&secret).to_bytes()
    }

    /// Opens what was sealed to this key.
    ///
    /// # Errors
    /// [`SealingError::Sealed`].
    pub fn open(&self, context: &Context<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED_BYTES).ok_or(SealingError::Sealed)?;
        let encapsulated = EncappedKey::from_bytes(encapsulated).map_err(|_| SealingError::Sealed)?;
        let key = self.private_key().ok_or(SealingError::Sealed)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &key,
            &encapsulated,
            &context.info(),
            ciphertext,
            &[],
        )
        .map(Zeroizing::new)
        .map_err(|_| SealingError::Sealed)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

/// Seals to a public key.
///
/// # Errors
/// [`SealingError::Recipient`] when it is no X25519 key or one of small order.
pub fn seal(to: &[u8; 32], context: &Context<'_>, plain: &[u8]) -> Result<Vec<u8>, SealingError> {
    let to = PublicKey::from_bytes(to).map_err(|_| SealingError::Recipient)?;
    let (encapsulated, ciphertext) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &to,
        &context.info(),
        plain,
        &[],
    )
    .map_err(|_| SealingError::Recipient)?;
    Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(chain: &ChainId) -> Context<'_> {
        Context {
            content: Content::Contribution,
            chain,
            study: StudyId::from_bytes([1; 32]),
            round: RoundNumber::new(2),
            from: HospitalId::from_public_key([3; 32]),
        }
    }

    #[test]
    fn what_is_sealed_opens_for_its_recipient_in_its_place() {
        let chain = ChainId::new("test").expect("a chain id");
        let (key, other) = (SealingKey::from_seed([5; 32]), SealingKey::from_seed([6; 32]));
        let context = context(&chain);
        let sealed = seal(&key.public_key(), &context, b"42").expect("sealed");
        assert_eq!(sealed.len(), 2 + SEALED_EXTRA_BYTES);
        assert_eq!(key.open(&context, &sealed).as_deref(), Ok(&b"42".to_vec()));
        assert_eq!(other.open(&context, &sealed), Err(SealingError::Sealed));
        let elsewhere = ChainId::new("tess").expect("a chain id");
        for wrong in [
            Context { content: Content::Seeds, ..context },
            Context { chain: &elsewhere, ..context },
            Context { study: StudyId::from_bytes([2; 32]), ..context },
            Context { round: RoundNumber::new(3), ..context },
            Context { from: HospitalId::from_public_key([4; 32]), ..context },
        ] {
            assert_eq!(key.open(&wrong, &sealed), Err(SealingError::Sealed));
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&context, &changed), Err(SealingError::Sealed), "byte {at}");
            assert_eq!(key.open(&context, &sealed[..at]), Err(SealingError::Sealed), "cut to {at}");
        }
    }

    #[test]
    fn a_key_of_small_order_is_not_sealed_to() {
        let chain = ChainId::new("test").expect("a chain id");
        assert_eq!(seal(&[0; 32], &context(&chain), b"42"), Err(SealingError::Recipient));
    }

    #[test]
    fn info_has_these_bytes() {
        let chain = ChainId::new("test").expect("a chain id");
        let expected =
            [b"consilium/sealed-contribution/v1\x04test".to_vec(), vec![1; 32], vec![2, 0, 0, 0], vec![3; 32]];
        assert_eq!(context(&chain).info(), expected.concat());
    }
}
