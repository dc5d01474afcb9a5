//! Who signs a height, in the order in which they propose.

use arc_malachitebft_app_channel::app::types::core::{self as core, Round, VotingPower};

use super::context::{BlockHeight, LedgerContext, Member};
use crate::certificate::Validator;

/// One member's place among those who sign a height; each has one vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The member.
    pub member: Member,
    /// The Ed25519 public key of its node.
    pub consensus_key: [u8; 32],
}

impl core::Validator<LedgerContext> for Seat {
    fn address(&self) -> &Member {
        &self.member
    }

    fn public_key(&self) -> &[u8; 32] {
        &self.consensus_key
    }

    fn voting_power(&self) -> VotingPower {
        1
    }
}

/// All who sign a height, ascending by member, each once; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seats(Vec<Seat>);

impl Seats {
    /// Seats of these members, sorted, the first of duplicates kept; `None` when there are none.
    pub fn new(validators: &[Validator]) -> Option<Self> {
        let mut seats: Vec<Seat> = validators
            .iter()
            .map(|validator| Seat { member: Member(validator.id), consensus_key: validator.consensus_key })
            .collect();
        seats.sort_by_key(|seat| seat.member);
        seats.dedup_by_key(|seat| seat.member);
        (!seats.is_empty()).then_some(Self(seats))
    }

    /// Who proposes: the seat at (height + round) modulo their number.
    pub fn proposer(&self, height: BlockHeight, round: Round) -> &Seat {
        let turn = u128::from(height.0.get()) + u128::from(round.as_u32().unwrap_or(0));
        let index = turn % self.0.len() as u128;
        &self.0[index as usize]
    }
}

impl core::ValidatorSet<LedgerContext> for Seats {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.0.len() as VotingPower
    }

    fn get_by_address(&self, address: &Member) -> Option<&Seat> {
        let index = self.0.binary_search_by_key(address, |seat| seat.member).ok()?;
        self.0.get(index)
    }

    fn get_by_index(&self, index: usize) -> Option<&Seat> {
        self.0.get(index)
    }
}

#[cfg(test)]
mod tests {
    use arc_malachitebft_app_channel::app::types::core::ValidatorSet as _;
    use consilium_protocol::ids::{Height, HospitalId};

    use super::*;

    fn validator(byte: u8) -> Validator {
        Validator { id: HospitalId::from_public_key([byte; 32]), consensus_key: [byte; 32] }
    }

    #[test]
    fn everyone_proposes_in_turn() {
        let seats = Seats::new(&[validator(3), validator(1), validator(2), validator(1)]).expect("not empty");
        assert_eq!(seats.count(), 3);
        let turn = |height, round| seats.proposer(BlockHeight(Height::new(height)), Round::new(round)).consensus_key[0];
        assert_eq!([turn(3, 0), turn(4, 0), turn(5, 0), turn(6, 0)], [1, 2, 3, 1]);
        assert_eq!([turn(3, 1), turn(3, 2), turn(3, 3)], [2, 3, 1]);
        assert_eq!(turn(u64::MAX, u32::MAX), 1 + ((u64::MAX as u128 + u32::MAX as u128) % 3) as u8);
        assert!(Seats::new(&[]).is_none());
    }
}
