//! What a hospital shares with each other one of a study, for as long as the study lasts.
//!
//! One seed a study, `secrets/pairs/<study>.secret`, is made before the hospital approves; everything else follows from it and
//! from what stands on the ledger ([`consilium_protocol::pairing`]). When the study has ended the seed is deleted: what the
//! hospital contributed can then be unblinded by nobody who did not do so before.

use std::path::{Path, PathBuf};

use consilium_engine::cells::PairSecrets;
use consilium_protocol::ids::{HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::keys::{NoRandomness, random_bytes};
use consilium_protocol::lots::{self, Draw, LotKey, LotProof};
use consilium_protocol::pairing::{Pair, PairKey, PairingError};

use crate::home::SecretError;
use crate::home::files::{self, FileError};
use crate::home::secrets::{self, Kind};

/// Why a hospital has no secrets for a study. Carries no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// A seed cannot be read or written.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file cannot be deleted, or the folder not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operating system gives no randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// There is no seed for the study.
    #[error(
        "{0} is not there: the study was approved from another copy of this home, or has ended; approve studies in the home that \
         the node runs from"
    )]
    NotHere(PathBuf),
    /// The home's seed is another than the one that the study was approved with.
    #[error(
        "the secrets for this study are not those that it was approved with; the round goes on without this hospital. Restore \
         secrets/pairs from before the approval, if there is a copy"
    )]
    OtherKey,
    /// Another hospital's key, or what it encapsulated, is wrong.
    #[error(transparent)]
    Pairing(#[from] PairingError),
    /// The lot key cannot be used.
    #[error("secrets/lots.secret holds no key; restore it from your backup")]
    LotKey,
}

/// Another hospital of a study, and how this one comes by what both share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partner {
    /// It approved before: this hospital encapsulates to its key.
    Earlier {
        /// The hospital.
        hospital: HospitalId,
        /// Its key for this study.
        key: Box<KemPublicKey>,
    },
    /// It approved after, and encapsulated this to the key of this hospital.
    Later {
        /// The hospital.
        hospital: HospitalId,
        /// What it encapsulated.
        bytes: Vec<u8>,
    },
}

/// What a hospital says when it approves a study, beside its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The key that those who approve later encapsulate to.
    pub pair_key: KemPublicKey,
    /// The lot for the first round.
    pub lot: LotProof,
}

/// Makes ready what is needed to approve a study. Asked again, it says the same.
///
/// # Errors
/// [`PairsError`].
pub fn make_ready(home: &Path, ledger: &LedgerId, study: &StudyId) -> Result<Readiness, PairsError> {
    let pairs = Pairs::open(home)?;
    if !pairs.path(study).exists() {
        secrets::create_at(&pairs.path(study), Kind::Pair, &random_bytes()?)?;
    }
    let lot = read_lot_key(home)?.draw(&lots::message(ledger, study, RoundNumber::new(0), Draw::Roles));
    Ok(Readiness { pair_key: pairs.key(study)?.public_key(), lot })
}

/// Reads the key that a hospital's lots are drawn with.
pub(super) fn read_lot_key(home: &Path) -> Result<LotKey, PairsError> {
    LotKey::from_seed(secrets::read(home, Kind::Lots)?).ok_or(PairsError::LotKey)
}

/// The seeds of a home.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    folder: PathBuf,
}

impl Pairs {
    pub(super) fn open(home: &Path) -> Result<Self, FileError> {
        let folder = home.join("secrets").join("pairs");
        files::create_private_dir(&folder)?;
        Ok(Self { folder })
    }

    fn path(&self, study: &StudyId) -> PathBuf {
        self.folder.join(format!("{study}.secret"))
    }

    fn key(&self, study: &StudyId) -> Result<PairKey, PairsError> {
        match secrets::read_at(&self.path(study), Kind::Pair) {
            Err(SecretError::Lost(path)) => Err(PairsError::NotHere(path)),
            seed => Ok(PairKey::from_seed(seed?)),
        }
    }

    /// The key of a study, which must be the one that it was approved with.
    fn approved_key(&self, study: &StudyId, approved: &KemPublicKey) -> Result<PairKey, PairsError> {
        let key = self.key(study)?;
        if key.public_key() == *approved { Ok(key) } else { Err(PairsError::OtherKey) }
    }

    /// What this hospital encapsulates to those before it, one after the other.
    pub(super) fn encapsulated(
        &self,
        of: &Own<'_>,
        before: &[(HospitalId, KemPublicKey)],
    ) -> Result<Vec<u8>, PairsError> {
        let own = self.approved_key(&of.study, of.key)?;
        let mut all = Vec::new();
        for (hospital, key) in before {
            all.extend(own.encapsulate(&of.to(*hospital, key))?.1);
        }
        Ok(all)
    }

    /// What this hospital shares with these.
    pub(super) fn secrets(&self, of: &Own<'_>, partners: &[Partner]) -> Result<PairSecrets, PairsError> {
        let own = self.approved_key(&of.study, of.key)?;
        let secret = |partner: &Partner| match partner {
            Partner::Earlier { hospital, key } => Ok((*hospital, own.encapsulate(&of.to(*hospital, key))?.0)),
            Partner::Later { hospital, bytes } => Ok((*hospital, own.decapsulate(&of.from(*hospital), bytes)?)),
        };
        partners.iter().map(secret).collect()
    }

    /// The studies that there is a seed for.
    pub(super) fn studies(&self) -> Vec<StudyId> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".secret")?.parse().ok()).collect()
    }

    /// Deletes a study's seed.
    pub(super) fn forget(&self, study: &StudyId) -> Result<(), FileError> {
        files::delete(&self.path(study))
    }
}

/// This hospital in one study.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    pub(super) ledger: &'a LedgerId,
    pub(super) study: StudyId,
    pub(super) hospital: HospitalId,
    /// Its key, as its approval says.
    pub(super) key: &'a KemPublicKey,
}

impl<'a> Own<'a> {
    fn to(&self, to: HospitalId, key: &'a KemPublicKey) -> Pair<'a> {
        Pair { ledger: self.ledger, study: self.study, from: self.hospital, to, key }
    }

    fn from(&self, from: HospitalId) -> Pair<'a> {
        Pair { ledger: self.ledger, study: self.study, from, to: self.hospital, key: self.key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: LedgerId = LedgerId::from_bytes([8; 32]);
    const STUDY: StudyId = StudyId::from_bytes([3; 32]);

    struct Hospital {
        home: tempfile::TempDir,
        id: HospitalId,
        ready: Readiness,
    }

    fn hospital(name: u8) -> Hospital {
        let home = tempfile::tempdir().expect("a temporary folder");
        files::create_private_dir(&home.path().join("secrets")).expect("a folder");
        secrets::create(home.path(), Kind::Lots, LotKey::generate().expect("randomness").seed()).expect("a secret");
        let ready = make_ready(home.path(), &LEDGER, &STUDY).expect("ready");
        assert_eq!(make_ready(home.path(), &LEDGER, &STUDY).expect("ready"), ready);
        Hospital { home, id: HospitalId::from_public_key([name; 32]), ready }
    }

    impl Hospital {
        fn pairs(&self) -> Pairs {
            Pairs::open(self.home.path()).expect("a folder")
        }

        fn own(&self) -> Own<'_> {
            Own { ledger: &LEDGER, study: STUDY, hospital: self.id, key: &self.ready.pair_key }
        }
    }

    #[test]
    fn three_that_approved_one_after_the_other_share_three_secrets() {
        let [a, b, c] = [1, 2, 3].map(hospital);
        let of_b = b.pairs().encapsulated(&b.own(), &[(a.id, a.ready.pair_key)]).expect("one");
        let before = [(a.id, a.ready.pair_key), (b.id, b.ready.pair_key)];
        let of_c = c.pairs().encapsulated(&c.own(), &before).expect("two");
        let half = of_c.len() / 2;
        let earlier = |h: &Hospital| Partner::Earlier { hospital: h.id, key: Box::new(h.ready.pair_key) };
        let later = |h: &Hospital, bytes: &[u8]| Partner::Later { hospital: h.id, bytes: bytes.to_vec() };
        let with = |h: &Hospital, partners: &[Partner]| h.pairs().secrets(&h.own(), partners).expect("secrets");
        let of_a = with(&a, &[later(&b, &of_b), later(&c, &of_c[..half])]);
        let of_b = with(&b, &[earlier(&a), later(&c, &of_c[half..])]);
        let of_c = with(&c, &[earlier(&a), earlier(&b)]);
        assert!(of_a[&b.id] == of_b[&a.id] && of_a[&c.id] == of_c[&a.id] && of_b[&c.id] == of_c[&b.id]);
        assert!(of_a[&b.id] != of_a[&c.id]);
    }

    #[test]
    fn a_seed_that_is_lost_or_forgotten_opens_nothing() {
        let [a, b] = [1, 2].map(hospital);
        assert_eq!(a.pairs().studies(), [STUDY]);
        let other = make_ready(b.home.path(), &LEDGER, &StudyId::from_bytes([4; 32])).expect("ready");
        let wrong = Own { key: &other.pair_key, ..a.own() };
        assert!(matches!(a.pairs().encapsulated(&wrong, &[]), Err(PairsError::OtherKey)));
        a.pairs().forget(&STUDY).expect("deleted");
        a.pairs().forget(&STUDY).expect("nothing to delete");
        assert!(a.pairs().studies().is_empty());
        assert!(matches!(a.pairs().secrets(&a.own(), &[]), Err(PairsError::NotHere(_))));
    }
}
