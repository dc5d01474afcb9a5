//! The roles of a guarded round, and what those who have them committed to.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{Height, HospitalId, RoundNumber, StudyId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::tx::{Blob, KeySet, RegisterGuardKeys};

use super::lots::{Lot, all_shown};

/// A member's keys for guarded studies.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GuardKeys {
    /// The keys.
    pub keys: RegisterGuardKeys,
    /// In which block.
    pub height: Height,
    /// The round that a role was drawn for with them: they are for one round.
    pub drawn: Option<(StudyId, RoundNumber)>,
}

impl GuardKeys {
    /// The keys, if a role can be drawn with them.
    pub fn free(&self) -> Option<&RegisterGuardKeys> {
        self.drawn.is_none().then_some(&self.keys)
    }
}

/// Who does what in a guarded round, and by which keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Roles {
    /// Adds up the contributions and computes on the small counts, which it cannot read.
    pub aggregator: HospitalId,
    /// Reads which groups passed, and nothing else.
    pub custodian: HospitalId,
    /// The aggregator's key, to which contributions are sealed.
    pub sealing_key: KemPublicKey,
    /// The custodian's key, to which veils are sealed.
    pub veil_key: KemPublicKey,
    /// The custodian's public key, under which small counts are encrypted, and its server key, with which the aggregator computes: none
    /// until one of several sets is drawn.
    pub keys: Option<KeySet>,
    /// Who repeats what the aggregator decides, where the policy wants that.
    pub witness: Option<WitnessRole>,
}

impl Roles {
    /// Everybody with a role.
    pub fn holders(&self) -> impl Iterator<Item = HospitalId> + use<> {
        [self.aggregator, self.custodian].into_iter().chain(self.witness.map(|witness| witness.hospital))
    }

    /// Whether the hospital is the witness.
    pub fn is_witness(&self, hospital: &HospitalId) -> bool {
        self.witness.is_some_and(|witness| witness.hospital == *hospital)
    }
}

/// Who repeats what is decided under encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WitnessRole {
    /// The hospital.
    pub hospital: HospitalId,
    /// Its key, to which counts are sealed.
    pub sealing_key: KemPublicKey,
}

/// The witness's commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Witnessed {
    /// Its own seeds, under the custodian's key.
    pub seeds: Blob,
    /// In which block.
    pub height: Height,
}

/// A role's part, when it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The aggregator's.
    Seal,
    /// The witness's.
    Witness,
    /// The custodian's.
    Disclose,
}

/// The aggregator's commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sealed {
    /// The padded sum.
    pub sum: Blob,
    /// The seeds of the pads, under the custodian's key.
    pub seeds: Blob,
    /// In which block.
    pub height: Height,
}

/// The custodian's commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Disclosed {
    /// The seeds that passed, sealed to the researcher.
    pub seeds: Blob,
    /// In which block.
    pub height: Height,
}

/// What a guarded round has beside an open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Guard {
    /// Who does what.
    pub roles: Roles,
    /// What the aggregator committed to, when it has.
    pub sealed: Option<Sealed>,
    /// What the witness committed to, when it has.
    pub witnessed: Option<Witnessed>,
    /// What the custodian committed to, when it has.
    pub disclosed: Option<Disclosed>,
}

impl Guard {
    /// A guard whose roles are drawn and which has done nothing yet.
    pub(crate) const fn new(roles: Roles) -> Self {
        Self { roles, sealed: None, witnessed: None, disclosed: None }
    }

    /// Whether all is decided under encryption that is to be.
    pub fn is_sealed(&self) -> bool {
        self.sealed.is_some() && (self.roles.witness.is_none() || self.witnessed.is_some())
    }

    /// What is awaited of a hospital, once all contributions are in.
    pub fn awaits(&self, hospital: &HospitalId) -> Option<Turn> {
        let is = |turn, holds: bool| holds.then_some(turn);
        is(Turn::Seal, self.sealed.is_none() && self.roles.aggregator == *hospital)
            .or(is(Turn::Witness, self.witnessed.is_none() && self.roles.is_witness(hospital)))
            .or(is(Turn::Disclose, self.is_sealed() && self.disclosed.is_none() && self.roles.custodian == *hospital))
    }
}

/// Sets of keys that a custodian registered beside the one that was drawn; all of them until one is.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SpareSets {
    /// As they were registered.
    pub sets: Vec<KeySet>,
    /// What they are made of, once the custodian has said so.
    pub seeds: Vec<[u8; 32]>,
}

impl SpareSets {
    /// Whether what they are made of is known.
    pub fn are_open(&self) -> bool {
        self.seeds.len() == self.sets.len()
    }
}

/// Draws the roles of a round among candidates: of those that have keys, those that come first, those relieved after
/// all others and otherwise by the SHA-256, labelled `consilium/roles/v1`, of: all lots that members have shown in the study so
/// far ‖ study ‖ round (4 bytes, little-endian) ‖ hospital. The first is the custodian, the second the aggregator, the third the
/// witness, if one is wanted; `None` when there are not so many. Of several sets of the custodian's keys none is drawn yet
/// ([`draw_key_set`](super::lots::draw_key_set)): they come beside.
///
/// Every member draws the same. A lot follows from its member's key, and the draw from all lots, also of those who are not on
/// the roster: so whoever knows all others' lots can only choose whether to show its own, which is to stay away.
pub(crate) fn draw<'a>(
    lots: &BTreeMap<(RoundNumber, HospitalId), Lot>,
    study: StudyId,
    round: RoundNumber,
    candidates: impl IntoIterator<Item = (HospitalId, &'a RegisterGuardKeys)>,
    relieved: &BTreeSet<HospitalId>,
    with_witness: bool,
) -> Option<(Roles, SpareSets)> {
    let (shown, number) = (all_shown(lots), round.get().to_le_bytes());
    let place = |hospital: &HospitalId| {
        let place = tagged("consilium/roles/v1", &[&shown, study.as_bytes(), &number, hospital.public_key()]);
        (relieved.contains(hospital), place)
    };
    let mut drawn: Vec<_> = candidates.into_iter().map(|(hospital, keys)| (place(&hospital), hospital, keys)).collect();
    drawn.sort_by_key(|(place, hospital, _)| (*place, *hospital));
    let [(_, custodian, own), (_, aggregator, theirs)] = drawn.first_chunk()?;
    let witness = match with_witness {
        true => Some(drawn.get(2).map(|(_, id, keys)| WitnessRole { hospital: *id, sealing_key: keys.sealing_key })?),
        false => None,
    };
    let mut sets = own.sets.clone();
    let keys = if sets.len() == 1 { sets.pop() } else { None };
    let roles = Roles {
        aggregator: *aggregator,
        custodian: *custodian,
        sealing_key: theirs.sealing_key,
        veil_key: own.sealing_key,
        keys,
        witness,
    };
    Some((roles, SpareSets { sets, seeds: Vec::new() }))
}
