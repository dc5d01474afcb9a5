//! Who may do what: members by the genesis file, researchers by their votes.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::Establishment;
use consilium_protocol::ids::{Height, HospitalId};
use consilium_protocol::tx::AccreditResearcher;

use super::Moment;

/// An accredited researcher.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Researcher {
    /// Their name, for people.
    pub name: String,
    /// The organisation that they work for; consents name it.
    pub organisation: String,
    /// The member whose own researcher this is, if any.
    pub hospital: Option<HospitalId>,
    /// Where the organisation is and what it is, as members voted.
    pub establishment: Establishment,
    /// Since which block.
    pub height: Height,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum BallotOutcome {
    /// Members may still vote.
    Open,
    /// More than half of all members were in favour.
    Passed,
    /// More than half can no longer be in favour.
    Failed,
}

impl BallotOutcome {
    /// The outcome as one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}

/// A proposal that members vote on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ballot {
    /// What is proposed.
    pub proposal: AccreditResearcher,
    /// Who proposed it.
    pub proposer: HospitalId,
    /// When.
    pub proposed: Moment,
    /// Who voted, and whether in favour.
    pub votes: BTreeMap<HospitalId, bool>,
    /// What became of it.
    pub outcome: BallotOutcome,
}

impl Ballot {
    /// How many voted in favour and against.
    pub fn tally(&self) -> Tally {
        Tally::of(self.votes.values().copied())
    }
}

/// Votes counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// In favour.
    pub in_favour: usize,
    /// Against.
    pub against: usize,
}

impl Tally {
    /// Counts votes.
    pub fn of(votes: impl Iterator<Item = bool>) -> Self {
        votes.fold(Self::default(), |tally, in_favour| match in_favour {
            true => Self { in_favour: tally.in_favour + 1, ..tally },
            false => Self { against: tally.against + 1, ..tally },
        })
    }

    /// Whether more than half of all members are in favour.
    pub fn has_passed(&self, members: usize) -> bool {
        self.in_favour >= majority(members)
    }

    /// Whether more than half of all members can no longer be in favour.
    pub fn is_hopeless(&self, members: usize) -> bool {
        members.saturating_sub(self.against) < majority(members)
    }
}

/// The least number that is more than half of `all`.
pub const fn majority(all: usize) -> usize {
    all / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_decided_exactly_when_the_rest_cannot_change_it() {
        for members in 1..=9usize {
            for in_favour in 0..=members {
                for against in 0..=members - in_favour {
                    let tally = Tally { in_favour, against };
                    let rest = members - in_favour - against;
                    // The oracle doubles instead of halving.
                    assert_eq!(tally.has_passed(members), 2 * in_favour > members);
                    assert_eq!(tally.is_hopeless(members), 2 * (in_favour + rest) <= members);
                }
            }
        }
    }
}
