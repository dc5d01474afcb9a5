//! How a contribution was made: what a hospital keeps to show it, and how another one looks at it.
//!
//! The hospital that a round's lots draw shows the seed of its encryption. From it every other hospital makes the same bytes out of
//! blinded, veiled limbs, which tell nobody anything as long as those of another hospital stay encrypted; so one is shown a round, and no
//! more. What else was contributed, a number that is not true, looks the same.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_engine::cells::{EncryptedCells, EncryptionSeed, StudyPublicKey, is_made_of};
use consilium_engine::disclosure::across::Repeatable;
use consilium_engine::disclosure::guarded;
use consilium_engine::guard::{GuardContribution, GuardPublicKey};
use consilium_engine::statistics::Layout;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, LedgerId, RoundNumber, StudyId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::sealing::{self, Content, Context};
use consilium_protocol::study::StudySpec;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Vault;
use super::roles::{Parts, RoleError};

/// What shows how a contribution was made.
#[derive(BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub(super) struct Proof {
    /// What its encryption is made of.
    pub(super) seed: [u8; EncryptionSeed::BYTES],
    /// Of a guarded round: what was sealed to the aggregator ([`Parts`]).
    pub(super) parts: Vec<u8>,
}

impl Proof {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Writing to a vector cannot fail.
        borsh::to_vec(self).unwrap_or_default()
    }
}

/// A contribution of another hospital that was drawn to show how it was made.
#[derive(Debug)]
pub struct Examination {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// What was computed.
    pub spec: StudySpec,
    /// The study's key.
    pub public_key: Vec<u8>,
    /// Whose it is.
    pub hospital: HospitalId,
    /// What it contributed, as the ledger has it by its hash.
    pub contribution: Vec<u8>,
    /// What it shows, likewise.
    pub proof: Vec<u8>,
    /// Of a guarded round the rest.
    pub guard: Option<ExaminedGuard>,
}

/// What a contribution to a guarded round was made for.
#[derive(Debug)]
pub struct ExaminedGuard {
    /// The custodian's public key.
    pub custodian_key: Vec<u8>,
    /// The aggregator's key.
    pub sealing_key: KemPublicKey,
    /// The witness's key, and the hash of the counts sealed to it, if there is one.
    pub witness: Option<(KemPublicKey, ContentHash)>,
    /// How many hospitals there are.
    pub hospitals: usize,
    /// The studies that the round may repeat, in the order of the ledger.
    pub repeatable: Vec<Repeatable>,
}

impl Vault {
    /// Whether a contribution was made as it shows.
    ///
    /// # Errors
    /// [`RoleError::Stopped`].
    pub async fn is_as_shown(&self, of: Examination) -> Result<bool, RoleError> {
        let (ledger, policy) = (self.terms.ledger, self.terms.policy);
        // Any of it failing is an answer, too: what the study and the ledger say is right, or nobody would have contributed.
        let looking = tokio::task::spawn_blocking(move || look_at(&ledger, &policy, &of).unwrap_or(false));
        looking.await.map_err(|_| RoleError::Stopped)
    }
}

fn look_at(ledger: &LedgerId, policy: &DisclosurePolicy, of: &Examination) -> Option<bool> {
    let proof: Proof = borsh::from_slice(&of.proof).ok()?;
    let seed = EncryptionSeed::from_bytes(proof.seed);
    let key = StudyPublicKey::from_bytes(&of.public_key).ok()?;
    let cells = Layout::of(&of.spec).ok()?.cells();
    let Some(guard) = &of.guard else {
        let contribution = EncryptedCells::from_bytes(&of.contribution).ok()?;
        return Some(proof.parts.is_empty() && is_made_of(&contribution, &key, cells, &seed));
    };
    let (study, round, from) = (of.study, of.round, of.hospital);
    let context = Context { content: Content::Contribution, ledger, study, round, from };
    let sealed = sealing::seal_by(&seed.of_sealing(), &guard.sealing_key, &context, &proof.parts).ok()?;
    let parts: Parts = borsh::from_slice(&proof.parts).ok()?;
    let contributed = EncryptedCells::from_bytes(&parts.cells).ok()?;
    let counts = GuardContribution::from_bytes(&parts.counts).ok()?;
    let custodian = GuardPublicKey::from_bytes(&guard.custodian_key).ok()?;
    let is_witnessed = guard.witness.is_none_or(|(key, committed)| {
        let context = Context { content: Content::Counts, ..context };
        let sealed = sealing::seal_by(&seed.of_sealing(), &key, &context, &parts.counts);
        sealed.is_ok_and(|sealed| hash::content(&sealed) == committed)
    });
    let plan = guarded::plan(&of.spec, policy, guard.hospitals, &guard.repeatable).ok()?;
    // The veiled check cell is one more.
    let cells_are = is_made_of(&contributed, &key, cells + 1, &seed);
    let counts_are = counts.is_made_of(&plan.shape, &custodian, &seed);
    Some(sealed == of.contribution && cells_are && counts_are && is_witnessed)
}

#[cfg(test)]
mod tests {
    use consilium_engine::cells::{BlindingRoster, BlindingRound, Blinds, PairSecrets, StudySecretKey, contribute_by};
    use consilium_engine::guard::{GuardBlinds, GuardKeys, contribute_at_most};
    use consilium_protocol::kem::KemSecretKey;
    use consilium_protocol::pairing::PairSecret;
    use zeroize::Zeroizing;

    use super::*;

    const LEDGER: LedgerId = LedgerId::from_bytes([8; 32]);

    fn spec(protection: &str) -> StudySpec {
        let text = format!(
            "version = 1\ntitle = \"t\"\ndescription = \"d\"\npurpose = \"GRU\"\ndeclares = []\nprotection = \"{protection}\"\n\
             [cohort]\nsubject = \"person_id\"\nsql = \"SELECT person_id FROM person\"\n\
             [[statistic]]\nname = \"patients\"\nkind = \"count\"\n"
        );
        StudySpec::from_toml(&text).expect("a study")
    }

    fn hospital(name: u8) -> HospitalId {
        HospitalId::from_public_key([name; 32])
    }

    /// A contribution of the first of three hospitals, with what shows how it was made.
    fn made(protection: &str) -> Examination {
        let (study, round, from) = (StudyId::from_bytes([1; 32]), RoundNumber::new(0), hospital(1));
        let spec = spec(protection);
        let policy = DisclosurePolicy::default();
        let roster = BlindingRoster::new((1..=3).map(hospital).collect()).expect("a roster");
        let of = BlindingRound { ledger: &LEDGER, study, round, roster: &roster };
        let secrets: PairSecrets = (1..=3).map(|i| (hospital(i), PairSecret::from_bytes([9; 32]))).collect();
        let (_, key) = StudySecretKey::generate().expect("randomness");
        let seed = EncryptionSeed::from_bytes([4; 32]);
        let cells = Layout::of(&spec).expect("a layout").cells();
        let is_guarded = protection == "guarded";
        let cells = cells + usize::from(is_guarded);
        let blinds = Blinds::derive(&of, from, &secrets, cells).expect("blinds");
        let encrypted = contribute_by(&vec![7; cells], blinds, &key, &seed).expect("a contribution").to_bytes();
        let examination = |contribution, parts, guard| Examination {
            study,
            round,
            spec: spec.clone(),
            public_key: key.to_bytes(),
            hospital: from,
            contribution,
            proof: Proof { seed: *seed.as_bytes(), parts }.to_bytes(),
            guard,
        };
        if !is_guarded {
            return examination(encrypted, Vec::new(), None);
        }
        let plan = guarded::plan(&spec, &policy, 3, &[]).expect("a plan");
        let custodian = GuardKeys::generate().expect("randomness").public;
        let blinds = GuardBlinds::derive(&of, from, &secrets, &plan.shape).expect("blinds");
        let counts = vec![7; plan.shape.groups()];
        let counts = contribute_at_most(&counts, &vec![11; counts.len()], &plan.shape, blinds, &custodian, &seed);
        let parts = Parts { cells: encrypted, counts: counts.expect("counts").to_bytes() }.to_bytes();
        let sealing_key = KemSecretKey::from_seed(Zeroizing::new([5; 32])).public_key();
        let context = Context { content: Content::Contribution, ledger: &LEDGER, study, round, from };
        let sealed = sealing::seal_by(&seed.of_sealing(), &sealing_key, &context, &parts).expect("sealed");
        let custodian_key = custodian.to_bytes();
        let guard = ExaminedGuard { custodian_key, sealing_key, witness: None, hospitals: 3, repeatable: Vec::new() };
        examination(sealed, parts, Some(guard))
    }

    fn is_as_shown(of: &Examination) -> bool {
        look_at(&LEDGER, &DisclosurePolicy::default(), of).unwrap_or(false)
    }

    #[test]
    fn what_was_made_as_agreed_is_as_it_shows() {
        for protection in ["open", "guarded"] {
            let mut of = made(protection);
            assert!(is_as_shown(&of), "{protection}");
            of.contribution[200] ^= 1;
            assert!(!is_as_shown(&of), "{protection}: another contribution");
            of.contribution[200] ^= 1;
            of.proof[0] ^= 1;
            assert!(!is_as_shown(&of), "{protection}: another seed");
            of.proof[0] ^= 1;
            if protection == "open" {
                let whole = of.proof.clone();
                of.proof = Proof { seed: [4; 32], parts: vec![1] }.to_bytes();
                assert!(!is_as_shown(&of), "nothing belongs beside");
                of.proof = whole;
            }
            of.proof.push(0);
            assert!(!is_as_shown(&of), "{protection}: more than that");
            of.proof.truncate(20);
            assert!(!is_as_shown(&of), "{protection}: less than that");
        }
    }

    #[test]
    fn in_a_guarded_round_what_was_sealed_is_what_is_shown() {
        let of = made("guarded");
        let proof: Proof = borsh::from_slice(&of.proof).expect("a proof");
        let parts: Parts = borsh::from_slice(&proof.parts).expect("parts");
        let guard = || {
            let of = of.guard.as_ref().expect("a guard");
            let (custodian_key, sealing_key) = (of.custodian_key.clone(), of.sealing_key);
            ExaminedGuard { custodian_key, sealing_key, witness: None, hospitals: 3, repeatable: Vec::new() }
        };
        // Sealed anew, so that only what is within is not as it should be.
        let with = |cells: &[u8], counts: &[u8], guard: ExaminedGuard| {
            let parts = Parts { cells: cells.to_vec(), counts: counts.to_vec() }.to_bytes();
            let seed = EncryptionSeed::from_bytes(proof.seed);
            let (study, round, from) = (of.study, of.round, of.hospital);
            let context = Context { content: Content::Contribution, ledger: &LEDGER, study, round, from };
            let contribution = sealing::seal_by(&seed.of_sealing(), &guard.sealing_key, &context, &parts);
            is_as_shown(&Examination {
                study,
                round,
                spec: of.spec.clone(),
                public_key: of.public_key.clone(),
                hospital: from,
                contribution: contribution.expect("sealed"),
                proof: Proof { seed: proof.seed, parts }.to_bytes(),
                guard: Some(guard),
            })
        };
        let changed = |bytes: &[u8], at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1;
            bytes
        };
        assert!(with(&parts.cells, &parts.counts, guard()));
        assert!(!with(&changed(&parts.cells, 100), &parts.counts, guard()), "cells");
        assert!(!with(&parts.cells, &changed(&parts.counts, 100), guard()), "counts");
        assert!(!with(&parts.counts, &parts.cells, guard()), "one for the other");
        // What is sealed to a witness is the same counts.
        let key = KemSecretKey::from_seed(Zeroizing::new([6; 32])).public_key();
        let (study, round, from) = (of.study, of.round, of.hospital);
        let context = Context { content: Content::Counts, ledger: &LEDGER, study, round, from };
        let seed = EncryptionSeed::from_bytes(proof.seed);
        for (counts, expected) in [(parts.counts.clone(), true), (changed(&parts.counts, 300), false)] {
            let sealed = sealing::seal_by(&seed.of_sealing(), &key, &context, &counts).expect("sealed");
            let witnessed = ExaminedGuard { witness: Some((key, hash::content(&sealed))), ..guard() };
            assert_eq!(with(&parts.cells, &parts.counts, witnessed), expected);
        }
        let another = GuardKeys::generate().expect("randomness").public.to_bytes();
        let for_another = ExaminedGuard { custodian_key: another, ..guard() };
        assert!(!with(&parts.cells, &parts.counts, for_another), "for another custodian");
    }
}
