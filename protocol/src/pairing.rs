//! Secrets between the hospitals of a study, two by two, made for that study and forgotten with it.
//!
//! A hospital that approves a study draws a [`PairKey`] and puts its public part into its approval. Of two approvers, the one
//! whose approval stands later encapsulates a secret to the earlier one's key; all that a hospital encapsulates makes one
//! content, whose hash it commits to. So both have the secret, and nobody needs to be there at the same time.
//!
//! For an encapsulation from `i` to `j`, by HPKE in base mode (RFC 9180) with X-Wing ([`kem`](crate::kem)) and HKDF-SHA256,
//! nothing being sealed:
//!
//! ```text
//! info   = tagged("consilium/pair/v1", ledger, study, i, j, SHA-256 of j's key)
//! secret = Export("consilium/pair/secret/v1", 32)
//! check  = Export("consilium/pair/check/v1", 16)
//! ```
//!
//! | bytes | what |
//! |---|---|
//! | 1,120 | encapsulated key |
//! | 16 | check: decapsulation never fails (implicit rejection, FIPS 203, section 6.3), so it is told by this whether both have the same secret |
//!
//! Who encapsulates takes its randomness for every recipient from its own seed, with HKDF-SHA256: after a crash it has the same
//! secrets, and nothing but the seed need be kept.

use std::fmt;

use hkdf::Hkdf;
use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _, setup_receiver, setup_sender_with_rng};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::hash::{content, tagged};
use crate::ids::{HospitalId, LedgerId, StudyId};
use crate::kem::{Coins, ENCAPSULATED_BYTES, KemPublicKey, KemSecretKey};

/// The length of what one hospital encapsulates to another.
pub const PAIR_BYTES: usize = ENCAPSULATED_BYTES + CHECK_BYTES;

const CHECK_BYTES: usize = 16;
const SECRET: &[u8] = b"consilium/pair/secret/v1";
const CHECK: &[u8] = b"consilium/pair/check/v1";

type EncappedKey = <XWing as Kem>::EncappedKey;

/// What two hospitals share for one study: 32 bytes, never used as a key itself but to derive one.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PairSecret([u8; 32]);

impl PairSecret {
    /// Wraps a secret.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PairSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairSecret(…)")
    }
}

/// What a secret is for: between whom, in which study.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The ledger.
    pub ledger: &'a LedgerId,
    /// The study.
    pub study: StudyId,
    /// Who encapsulates: the one whose approval stands later.
    pub from: HospitalId,
    /// To whom.
    pub to: HospitalId,
    /// The recipient's key, as its approval says.
    pub key: &'a KemPublicKey,
}

impl Pair<'_> {
    fn info(&self) -> [u8; 32] {
        let (from, to) = (self.from.public_key(), self.to.public_key());
        let key = content(self.key.as_bytes());
        tagged("consilium/pair/v1", &[self.ledger.as_bytes(), self.study.as_bytes(), from, to, key.as_bytes()])
    }
}

/// Why two hospitals have no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairingError {
    /// The recipient's key is none.
    #[error("the pair key of {0:?} is none; it must withdraw from the study")]
    Key(HospitalId),
    /// What was encapsulated is not for this hospital's key, or was changed.
    #[error("what {0:?} encapsulated to this hospital does not open; the round is opened again without one of the two")]
    Check(HospitalId),
}

/// A hospital's key for the pairs of one study. Erased when dropped, never printed.
pub struct PairKey(Zeroizing<[u8; 32]>);

impl PairKey {
    /// The key of 32 random bytes.
    pub const fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(seed)
    }

    /// What goes into the approval.
    pub fn public_key(&self) -> KemPublicKey {
        self.secret_key().public_key()
    }

    fn secret_key(&self) -> KemSecretKey {
        let mut seed = Zeroizing::new([0; 32]);
        self.expand(&[b"consilium/pair/key/v1"], seed.as_mut());
        KemSecretKey::from_seed(seed)
    }

    fn expand(&self, info: &[&[u8]], out: &mut [u8]) {
        Hkdf::<Sha256>::new(None, self.0.as_slice())
            .expand_multi_info(info, out)
            .expect("HKDF-SHA256 gives up to 8,160 bytes, and nothing asks for more than 64");
    }

    /// A secret for the recipient of `pair`, and the bytes by which it gets to have it; the same every time.
    ///
    /// # Errors
    /// [`PairingError::Key`].
    pub fn encapsulate(&self, pair: &Pair<'_>) -> Result<(PairSecret, [u8; PAIR_BYTES]), PairingError> {
        let key = pair.key.hpke().ok_or(PairingError::Key(pair.to))?;
        let info = pair.info();
        let mut coins = Coins::new(&self.0, b"consilium/pair/coins/v1", &info);
        let sender = setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, XWing>;
        let (encapsulated, context) =
            sender(&OpModeS::Base, &key, &info, &mut coins).map_err(|_| PairingError::Key(pair.to))?;
        let (mut secret, mut bytes) = (PairSecret([0; 32]), [0; PAIR_BYTES]);
        bytes[..ENCAPSULATED_BYTES].copy_from_slice(&encapsulated.to_bytes());
        let exported =
            context.export(SECRET, &mut secret.0).and(context.export(CHECK, &mut bytes[ENCAPSULATED_BYTES..]));
        exported.map(|()| (secret, bytes)).map_err(|_| PairingError::Key(pair.to))
    }

    /// The secret that another hospital encapsulated to this one.
    ///
    /// # Errors
    /// [`PairingError::Check`].
    pub fn decapsulate(&self, pair: &Pair<'_>, bytes: &[u8]) -> Result<PairSecret, PairingError> {
        let wrong = PairingError::Check(pair.from);
        let (encapsulated, check) = bytes.split_at_checked(ENCAPSULATED_BYTES).ok_or(wrong)?;
        let encapsulated = EncappedKey::from_bytes(encapsulated).map_err(|_| wrong)?;
        let key = self.secret_key().hpke();
        let receiver = setup_receiver::<ExportOnlyAead, HkdfSha256, XWing>;
        let context = receiver(&OpModeR::Base, &key, &encapsulated, &pair.info()).map_err(|_| wrong)?;
        let (mut secret, mut expected) = (PairSecret([0; 32]), [0; CHECK_BYTES]);
        context.export(SECRET, &mut secret.0).and(context.export(CHECK, &mut expected)).map_err(|_| wrong)?;
        // The check is public: whoever sees it has seen the encapsulation, and it says nothing of the secret.
        if check == expected { Ok(secret) } else { Err(wrong) }
    }
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PairKey {
        PairKey::from_seed(Zeroizing::new([seed; 32]))
    }

    fn hospital(name: u8) -> HospitalId {
        HospitalId::from_public_key([name; 32])
    }

    fn pair<'a>(ledger: &'a LedgerId, key: &'a KemPublicKey) -> Pair<'a> {
        Pair { ledger, study: StudyId::from_bytes([3; 32]), from: hospital(1), to: hospital(2), key }
    }

    #[test]
    fn both_have_the_same_secret_and_again_after_a_crash() {
        let (ledger, own, other) = (LedgerId::from_bytes([9; 32]), key(1), key(2));
        let public = other.public_key();
        let pair = pair(&ledger, &public);
        let (secret, bytes) = own.encapsulate(&pair).expect("a secret");
        assert_eq!(other.decapsulate(&pair, &bytes), Ok(secret.clone()));
        assert_eq!(key(1).encapsulate(&pair), Ok((secret, bytes)));
        assert_ne!(key(4).encapsulate(&pair).map(|(_, bytes)| bytes), Ok(bytes));
    }

    #[test]
    fn a_secret_is_for_one_pair_of_one_study_on_one_ledger() {
        let (ledger, elsewhere) = (LedgerId::from_bytes([9; 32]), LedgerId::from_bytes([8; 32]));
        let (own, other) = (key(1), key(2));
        let (public, foreign) = (other.public_key(), key(5).public_key());
        let pair = pair(&ledger, &public);
        let (secret, bytes) = own.encapsulate(&pair).expect("a secret");
        let wrong = [
            Pair { ledger: &elsewhere, ..pair },
            Pair { study: StudyId::from_bytes([4; 32]), ..pair },
            Pair { from: hospital(3), ..pair },
            Pair { to: hospital(3), ..pair },
            Pair { key: &foreign, ..pair },
        ];
        for wrong in wrong {
            assert_eq!(other.decapsulate(&wrong, &bytes), Err(PairingError::Check(wrong.from)));
            assert_ne!(own.encapsulate(&wrong).expect("a secret").0, secret);
        }
        assert_eq!(key(3).decapsulate(&pair, &bytes), Err(PairingError::Check(hospital(1))));
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let (ledger, own, other) = (LedgerId::from_bytes([9; 32]), key(1), key(2));
        let public = other.public_key();
        let pair = pair(&ledger, &public);
        let (_, bytes) = own.encapsulate(&pair).expect("a secret");
        for at in (0..PAIR_BYTES).step_by(7).chain([PAIR_BYTES - 1]) {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert!(other.decapsulate(&pair, &changed).is_err(), "byte {at}");
            assert!(other.decapsulate(&pair, &bytes[..at]).is_err(), "cut to {at}");
        }
        let none = KemPublicKey::from_bytes([255; crate::kem::PUBLIC_KEY_BYTES]);
        assert_eq!(own.encapsulate(&Pair { key: &none, ..pair }), Err(PairingError::Key(hospital(2))));
    }

    #[test]
    fn golden_bytes() {
        let (ledger, own, other) = (LedgerId::from_bytes([9; 32]), key(1), key(2));
        let public = other.public_key();
        let (secret, bytes) = own.encapsulate(&pair(&ledger, &public)).expect("a secret");
        assert_eq!(
            content(&[&secret.as_bytes()[..], &bytes].concat()).to_string(),
            "4130af7c561ad1e3d014f0a192aa8627b355dfaa821179aafda53d83c9ea434e"
        );
    }
}
