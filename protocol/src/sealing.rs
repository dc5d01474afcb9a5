//! What only one party may read travels sealed: public-key encryption to a key of [`kem`](crate::kem).
//!
//! RFC 9180 (HPKE) in base mode, with X-Wing, HKDF-SHA256 and ChaCha20-Poly1305, one message per context. Who sent it is not
//! proved here: its hash stands on the ledger in a transaction that the sender signed.
//!
//! | bytes | what |
//! |---|---|
//! | 1,120 | encapsulated key |
//! | n | ciphertext, as long as the plaintext |
//! | 16 | tag |

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use zeroize::Zeroizing;

use crate::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use crate::kem::{Coins, ENCAPSULATED_BYTES, KemPublicKey, KemSecretKey};

/// How much longer a sealed message is than what it holds, in bytes.
pub const SEALED_EXTRA_BYTES: usize = ENCAPSULATED_BYTES + 16;

type EncappedKey = <XWing as Kem>::EncappedKey;

/// What is sealed, to which it is bound: sealed for one place, it cannot be opened in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context<'a> {
    /// What it is.
    pub content: Content,
    /// The ledger.
    pub ledger: &'a LedgerId,
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
    /// The seed of the veil that a hospital lays over its cells in a guarded round, for the custodian.
    Veil,
    /// The counts of a contribution to a guarded round, for its witness.
    Counts,
    /// The seeds of what passed, for the researcher.
    Seeds,
}

impl Context<'_> {
    /// The `info` of RFC 9180, section 5.1: a label ‖ ledger ‖ study ‖ round (4 bytes, little-endian) ‖ sender.
    fn info(&self) -> Vec<u8> {
        let label: &[u8] = match self.content {
            Content::Contribution => b"consilium/sealed-contribution/v1",
            Content::Veil => b"consilium/sealed-veil/v1",
            Content::Counts => b"consilium/sealed-counts/v1",
            Content::Seeds => b"consilium/sealed-seeds/v1",
        };
        let round = self.round.get().to_le_bytes();
        [label, self.ledger.as_bytes(), self.study.as_bytes(), &round, self.from.public_key()].concat()
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

/// Opens what was sealed to a key.
///
/// # Errors
/// [`SealingError::Sealed`].
pub fn open(key: &KemSecretKey, context: &Context<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED_BYTES).ok_or(SealingError::Sealed)?;
    let encapsulated = EncappedKey::from_bytes(encapsulated).map_err(|_| SealingError::Sealed)?;
    let open = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>;
    open(&OpModeR::Base, &key.hpke(), &encapsulated, &context.info(), ciphertext, &[])
        .map(Zeroizing::new)
        .map_err(|_| SealingError::Sealed)
}

/// Seals to a public key.
///
/// # Errors
/// [`SealingError::Recipient`] when it is no key.
pub fn seal(to: &KemPublicKey, context: &Context<'_>, plain: &[u8]) -> Result<Vec<u8>, SealingError> {
    let to = to.hpke().ok_or(SealingError::Recipient)?;
    let seal = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, XWing>;
    let (encapsulated, ciphertext) =
        seal(&OpModeS::Base, &to, &context.info(), plain, &[]).map_err(|_| SealingError::Recipient)?;
    Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
}

/// Likewise, by a seed that serves for nothing else: who is given the seed can seal the same and compare.
///
/// # Errors
/// [`SealingError::Recipient`] when it is no key.
pub fn seal_by(
    seed: &[u8; 32],
    to: &KemPublicKey,
    context: &Context<'_>,
    plain: &[u8],
) -> Result<Vec<u8>, SealingError> {
    let to = to.hpke().ok_or(SealingError::Recipient)?;
    let info = context.info();
    let mut coins = Coins::new(seed, b"consilium/sealed/coins/v1", &info);
    let seal = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>;
    let (encapsulated, ciphertext) =
        seal(&OpModeS::Base, &to, &info, plain, &[], &mut coins).map_err(|_| SealingError::Recipient)?;
    Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> KemSecretKey {
        KemSecretKey::from_seed(Zeroizing::new([seed; 32]))
    }

    fn context(ledger: &LedgerId) -> Context<'_> {
        Context {
            content: Content::Contribution,
            ledger,
            study: StudyId::from_bytes([1; 32]),
            round: RoundNumber::new(2),
            from: HospitalId::from_public_key([3; 32]),
        }
    }

    #[test]
    fn what_is_sealed_opens_for_its_recipient_in_its_place() {
        let ledger = LedgerId::from_bytes([7; 32]);
        let (key, other) = (key(5), key(6));
        let context = context(&ledger);
        let sealed = seal(&key.public_key(), &context, b"42").expect("sealed");
        assert_eq!(sealed.len(), 2 + SEALED_EXTRA_BYTES);
        assert_eq!(open(&key, &context, &sealed).as_deref(), Ok(&b"42".to_vec()));
        assert_eq!(open(&other, &context, &sealed), Err(SealingError::Sealed));
        let elsewhere = LedgerId::from_bytes([8; 32]);
        for wrong in [
            Context { content: Content::Seeds, ..context },
            Context { content: Content::Veil, ..context },
            Context { ledger: &elsewhere, ..context },
            Context { study: StudyId::from_bytes([2; 32]), ..context },
            Context { round: RoundNumber::new(3), ..context },
            Context { from: HospitalId::from_public_key([4; 32]), ..context },
        ] {
            assert_eq!(open(&key, &wrong, &sealed), Err(SealingError::Sealed));
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, &context, &changed), Err(SealingError::Sealed), "byte {at}");
            assert_eq!(open(&key, &context, &sealed[..at]), Err(SealingError::Sealed), "cut to {at}");
        }
    }

    #[test]
    fn who_has_the_seed_seals_the_same() {
        let (ledger, key) = (LedgerId::from_bytes([7; 32]), key(5));
        let context = context(&ledger);
        let sealed = seal_by(&[9; 32], &key.public_key(), &context, b"42").expect("sealed");
        assert_eq!(open(&key, &context, &sealed).as_deref(), Ok(&b"42".to_vec()));
        assert_eq!(seal_by(&[9; 32], &key.public_key(), &context, b"42").as_ref(), Ok(&sealed));
        for other in [
            seal_by(&[8; 32], &key.public_key(), &context, b"42"),
            seal_by(&[9; 32], &key.public_key(), &context, b"43"),
            seal_by(&[9; 32], &key.public_key(), &Context { content: Content::Counts, ..context }, b"42"),
        ] {
            assert_ne!(other.expect("sealed")[ENCAPSULATED_BYTES..], sealed[ENCAPSULATED_BYTES..]);
        }
        let none = KemPublicKey::from_bytes([255; crate::kem::PUBLIC_KEY_BYTES]);
        assert_eq!(seal_by(&[9; 32], &none, &context, b"42"), Err(SealingError::Recipient));
    }

    #[test]
    fn what_is_no_key_is_not_sealed_to() {
        let ledger = LedgerId::from_bytes([7; 32]);
        let none = KemPublicKey::from_bytes([255; crate::kem::PUBLIC_KEY_BYTES]);
        assert_eq!(seal(&none, &context(&ledger), b"42"), Err(SealingError::Recipient));
    }

    #[test]
    fn info_has_these_bytes() {
        let ledger = LedgerId::from_bytes([7; 32]);
        let expected =
            [b"consilium/sealed-contribution/v1".to_vec(), vec![7; 32], vec![1; 32], vec![2, 0, 0, 0], vec![3; 32]];
        assert_eq!(context(&ledger).info(), expected.concat());
    }
}
