//! The roles of a guarded round, and what those who have them committed to.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::hash::{Tagged, tagged};
use consilium_protocol::ids::{Height, HospitalId, RoundNumber, StudyId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::tx::{Blob, RegisterGuardKeys};

/// A member's keys for guarded studies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
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
    pub fn free(&self) -> Option<RegisterGuardKeys> {
        self.drawn.is_none().then_some(self.keys)
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
    /// The custodian's public key, under which small counts are encrypted.
    pub public_key: Blob,
    /// The custodian's server key, with which the aggregator computes.
    pub server_key: Blob,
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
    /// What the custodian committed to, when it has.
    pub disclosed: Option<Disclosed>,
}

impl Guard {
    /// A guard whose roles are drawn and which has done nothing yet.
    pub(crate) const fn new(roles: Roles) -> Self {
        Self { roles, sealed: None, disclosed: None }
    }

    /// Who is awaited, once all contributions are in.
    pub const fn awaited(&self) -> Option<HospitalId> {
        match (&self.sealed, &self.disclosed) {
            (None, _) => Some(self.roles.aggregator),
            (Some(_), None) => Some(self.roles.custodian),
            (Some(_), Some(_)) => None,
        }
    }
}

/// What a member's proof proves: nobody could choose it, and only the member could know it before.
pub type Lot = [u8; 32];

/// Draws the roles of a round among candidates: of those that have keys, the two that come first, those relieved after
/// all others and otherwise by the SHA-256, labelled `consilium/roles/v1`, of: all lots that members have shown in the study so
/// far ‖ study ‖ round (4 bytes, little-endian) ‖ hospital. The first is the custodian, the second the aggregator; `None`
/// when there are not two.
///
/// Every member draws the same. A lot follows from its member's key, and the draw from all lots, also of those who are not on
/// the roster: so whoever knows all others' lots can only choose whether to show its own, which is to stay away.
pub(crate) fn draw(
    lots: &BTreeMap<(RoundNumber, HospitalId), Lot>,
    study: StudyId,
    round: RoundNumber,
    candidates: impl IntoIterator<Item = (HospitalId, RegisterGuardKeys)>,
    relieved: &BTreeSet<HospitalId>,
) -> Option<Roles> {
    let mut shown = Tagged::new("consilium/lots/v1");
    for ((of, hospital), lot) in lots {
        shown.part(&of.get().to_le_bytes());
        shown.part(hospital.public_key());
        shown.part(lot);
    }
    let (shown, number) = (shown.finish(), round.get().to_le_bytes());
    let place = |hospital: &HospitalId| {
        let place = tagged("consilium/roles/v1", &[&shown, study.as_bytes(), &number, hospital.public_key()]);
        (relieved.contains(hospital), place)
    };
    let mut drawn: Vec<_> = candidates.into_iter().map(|(hospital, keys)| (place(&hospital), hospital, keys)).collect();
    drawn.sort_by_key(|(place, hospital, _)| (*place, *hospital));
    let [(_, custodian, own), (_, aggregator, theirs)] = drawn.first_chunk()?;
    Some(Roles {
        aggregator: *aggregator,
        custodian: *custodian,
        sealing_key: theirs.sealing_key,
        veil_key: own.sealing_key,
        public_key: own.public_key,
        server_key: own.server_key,
    })
}
