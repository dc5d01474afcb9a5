//! Lots that nobody can choose: verifiable random functions.
//!
//! Of a key and a message there is one lot: 64 bytes that only the holder of the key can compute, and that everybody can check
//! against the public key. Who has the key can keep a lot back, and nothing else.
//!
//! The suite is ECVRF-RISTRETTO255-SHA512 (<https://c2sp.org/vrf-r255>), after RFC 9381, section 5.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use vrf_r255::{Proof, PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::hash::tagged;
use crate::ids::{LedgerId, RoundNumber, StudyId};
use crate::keys::{NoRandomness, random_bytes};

/// The length of a proof.
pub const PROOF_BYTES: usize = 80;

/// What is drawn by lots, in a round of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Its roles. The lots are shown before it is opened.
    Roles,
    /// With which of its sets of keys the custodian takes its role. The lots are shown once it is drawn itself.
    KeySet,
    /// Who shows how its contribution was made. The lots are shown once all have contributed.
    Examined,
}

/// The message that a lot is of.
pub fn message(ledger: &LedgerId, study: &StudyId, round: RoundNumber, draw: Draw) -> [u8; 32] {
    let label = match draw {
        Draw::Roles => "consilium/lot/v1",
        Draw::KeySet => "consilium/lot/key-set/v1",
        Draw::Examined => "consilium/lot/examined/v1",
    };
    tagged(label, &[ledger.as_bytes(), study.as_bytes(), &round.get().to_le_bytes()])
}

/// A key that draws lots. Erased when dropped, never printed.
pub struct LotKey(Zeroizing<[u8; 32]>);

impl LotKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system refuses.
    pub fn generate() -> Result<Self, NoRandomness> {
        loop {
            // Below 2^252, and so below the order of the group.
            let mut seed = Zeroizing::new(random_bytes()?);
            seed[31] &= 0x0f;
            if let Some(key) = Self::from_seed(seed) {
                return Ok(key);
            }
        }
    }

    /// The key of 32 bytes; none when they are no scalar of the group.
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Option<Self> {
        bool::from(SecretKey::from_bytes(*seed).is_some()).then_some(Self(seed))
    }

    /// The bytes, to be stored.
    pub fn seed(&self) -> &[u8; 32] {
        &self.0
    }

    fn secret(&self) -> SecretKey {
        SecretKey::from_bytes(*self.0).expect("it was checked when this was made")
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        PublicKey::from(self.secret()).to_bytes()
    }

    /// The lot of a message, with its proof.
    pub fn draw(&self, message: &[u8; 32]) -> LotProof {
        LotProof(self.secret().prove(message).to_bytes())
    }
}

impl fmt::Debug for LotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LotKey(…)")
    }
}

/// A lot, as it is shown: whoever has the public key can compute it from this, and nobody can show another.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LotProof([u8; PROOF_BYTES]);

impl LotProof {
    /// Wraps the bytes of a proof.
    pub const fn from_bytes(bytes: [u8; PROOF_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; PROOF_BYTES] {
        &self.0
    }

    /// The lot that this proves, or none when it is not that of this key and message.
    pub fn lot(&self, public_key: &[u8; 32], message: &[u8; 32]) -> Option<[u8; 64]> {
        let (key, proof) = (PublicKey::from_bytes(*public_key)?, Proof::from_bytes(self.0)?);
        key.verify(message, &proof).into()
    }
}

impl fmt::Debug for LotProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LotProof({}…)", hex::encode(&self.0[..4]))
    }
}

/// Whether lots can be checked by this public key.
pub fn is_lot_key(public_key: &[u8; 32]) -> bool {
    PublicKey::from_bytes(*public_key).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> LotKey {
        let mut bytes = Zeroizing::new([seed; 32]);
        bytes[31] = 0;
        LotKey::from_seed(bytes).expect("a scalar")
    }

    #[test]
    fn there_is_one_lot_of_a_key_and_a_message() {
        let message =
            message(&LedgerId::from_bytes([1; 32]), &StudyId::from_bytes([2; 32]), RoundNumber::new(0), Draw::Roles);
        let (own, other) = (key(3), key(4));
        let proof = own.draw(&message);
        let lot = proof.lot(&own.public_key(), &message).expect("a lot");
        assert_eq!(own.draw(&message).lot(&own.public_key(), &message), Some(lot));
        assert_eq!(proof.lot(&other.public_key(), &message), None);
        assert_eq!(proof.lot(&own.public_key(), &[0; 32]), None);
        for at in 0..PROOF_BYTES {
            let mut changed = *proof.as_bytes();
            changed[at] ^= 1;
            assert_ne!(LotProof::from_bytes(changed).lot(&own.public_key(), &message), Some(lot), "byte {at}");
        }
        assert_ne!(other.draw(&message).lot(&other.public_key(), &message), Some(lot));
    }

    #[test]
    fn messages_of_other_rounds_differ() {
        let of = |ledger, study, round, draw| {
            message(
                &LedgerId::from_bytes([ledger; 32]),
                &StudyId::from_bytes([study; 32]),
                RoundNumber::new(round),
                draw,
            )
        };
        let roles = |ledger, study, round| of(ledger, study, round, Draw::Roles);
        let others = [of(1, 1, 0, Draw::KeySet), of(1, 1, 0, Draw::Examined)];
        let all = [roles(1, 1, 0), roles(2, 1, 0), roles(1, 2, 0), roles(1, 1, 1), others[0], others[1]];
        assert!((0..6).all(|i| (0..i).all(|j| all[i] != all[j])));
    }

    #[test]
    fn keys_are_made_and_read_back() {
        let made = LotKey::generate().expect("randomness");
        let read = LotKey::from_seed(Zeroizing::new(*made.seed())).expect("a key");
        assert_eq!(read.public_key(), made.public_key());
        assert!(is_lot_key(&made.public_key()));
        assert!(LotKey::from_seed(Zeroizing::new([255; 32])).is_none());
        assert!(!is_lot_key(&[255; 32]));
        assert!(!is_lot_key(&[0; 32]), "the neutral element");
    }
}
