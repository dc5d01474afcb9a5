//! The roles of a guarded round, and what those who have them committed to.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{AppHash, Height, HospitalId, RoundNumber, StudyId};
use consilium_protocol::tx::{Blob, RegisterGuardKeys};

/// A member's keys for guarded studies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GuardKeys {
    /// The keys.
    pub keys: RegisterGuardKeys,
    /// In which block.
    pub height: Height,
}

/// Who does what in a guarded round, and by which keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Roles {
    /// Adds up the contributions and computes on the small counts, which it cannot read.
    pub aggregator: HospitalId,
    /// Reads which groups passed, and nothing else.
    pub custodian: HospitalId,
    /// The aggregator's X25519 key, to which contributions are sealed.
    pub sealing_key: [u8; 32],
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

/// Draws the roles of a round among candidates: of those that have keys, the two that come first, those relieved after
/// all others and otherwise by the SHA-256, labelled `consilium/roles/v1`, of: application hash before the block ‖
/// study ‖ round (4 bytes, little-endian) ‖ hospital. The first is the custodian, the second the aggregator; `None`
/// when there are not two.
///
/// Every member draws the same. The proposer of a block can choose among few blocks at most, and gains a role, not a key.
pub(crate) fn draw(
    before: AppHash,
    study: StudyId,
    round: RoundNumber,
    candidates: impl IntoIterator<Item = (HospitalId, RegisterGuardKeys)>,
    relieved: &BTreeSet<HospitalId>,
) -> Option<Roles> {
    let number = round.get().to_le_bytes();
    let lot = |hospital: &HospitalId| {
        let lot = tagged("consilium/roles/v1", &[before.as_bytes(), study.as_bytes(), &number, hospital.public_key()]);
        (relieved.contains(hospital), lot)
    };
    let mut drawn: Vec<_> = candidates.into_iter().map(|(hospital, keys)| (lot(&hospital), hospital, keys)).collect();
    drawn.sort_by_key(|(lot, hospital, _)| (*lot, *hospital));
    let [(_, custodian, own), (_, aggregator, theirs)] = drawn.first_chunk()?;
    Some(Roles {
        aggregator: *aggregator,
        custodian: *custodian,
        sealing_key: theirs.sealing_key,
        public_key: own.public_key,
        server_key: own.server_key,
    })
}
