//! The life cycle of a study: one pure function from a phase and a step to the next phase.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::ids::{ContentHash, RoundNumber, Timestamp};

/// Where a study stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Phase {
    /// Members decide.
    Proposed,
    /// More than half of all members approved; the rest may still decide.
    Approved {
        /// Since when.
        since: Timestamp,
    },
    /// The hospitals of the roster compute and commit to their contributions.
    Collecting {
        /// The round.
        round: RoundNumber,
    },
    /// All contributions are in; the roster adds them up and attests the sum.
    Combining {
        /// The round.
        round: RoundNumber,
    },
    /// The result is known to be the sum that more than half of the roster attested.
    Released {
        /// The round.
        round: RoundNumber,
        /// The hash of the sum.
        sum: ContentHash,
    },
    /// More than half can no longer approve.
    Rejected,
    /// Its researcher took it back.
    Withdrawn,
    /// Its time ran out before a round opened.
    Expired,
    /// Its round ran out of time and no further round is possible.
    Failed,
}

impl Phase {
    /// The phase as one word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Approved { .. } => "approved",
            Self::Collecting { .. } => "collecting",
            Self::Combining { .. } => "combining",
            Self::Released { .. } => "released",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// The round that runs now, if any.
    pub const fn running_round(&self) -> Option<RoundNumber> {
        match self {
            Self::Collecting { round } | Self::Combining { round } => Some(*round),
            Self::Proposed
            | Self::Approved { .. }
            | Self::Released { .. }
            | Self::Rejected
            | Self::Withdrawn
            | Self::Expired
            | Self::Failed => None,
        }
    }

    /// Whether nothing can happen to the study any more.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Proposed | Self::Approved { .. } | Self::Collecting { .. } | Self::Combining { .. } => false,
            Self::Released { .. } | Self::Rejected | Self::Withdrawn | Self::Expired | Self::Failed => true,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What happens to a study, with what the ledger found out about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member approves.
    Approve {
        /// Whether more than half of all members have approved now.
        passed: bool,
        /// The block's time.
        now: Timestamp,
    },
    /// A member rejects.
    Reject {
        /// Whether more than half of all members can no longer approve.
        hopeless: bool,
    },
    /// A member that approved commits to the secrets that it encapsulated to those before it.
    Pair,
    /// The time to decide, or to open the round, has run out.
    RunOut,
    /// The first round opens.
    Open,
    /// A hospital commits to its contribution.
    Contribute {
        /// Whether it is the last of the roster.
        complete: bool,
    },
    /// A hospital attests the sum.
    Attest,
    /// A hospital says that another one does not give what it committed to, or that its keys are not what they should be.
    Accuse,
    /// The custodian gives the seeds of the sets of keys that were not drawn.
    OpenKeySets,
    /// A hospital shows its lot for what is drawn next.
    ShowLot,
    /// The sum that more than half of the roster attested is declared the result.
    Release {
        /// The hash of the sum.
        sum: ContentHash,
    },
    /// The round has run out of time.
    FailRound {
        /// The number of the next round, if another is possible.
        another: Option<RoundNumber>,
    },
    /// The researcher takes the study back.
    Withdraw,
}

/// The phase after a step, or `None` when the phase has no place for it.
pub const fn next(phase: Phase, step: Step) -> Option<Phase> {
    use Phase::{Approved, Collecting, Combining, Expired, Failed, Proposed, Rejected, Released, Withdrawn};
    match (phase, step) {
        // Approved as soon as more than half of all members approved.
        (Proposed, Step::Approve { passed: true, now }) => Some(Approved { since: now }),
        (Proposed, Step::Approve { passed: false, .. } | Step::Reject { hopeless: false }) => Some(Proposed),
        // Rejected as soon as more than half can no longer approve.
        (Proposed, Step::Reject { hopeless: true }) => Some(Rejected),
        // Pairs are made from the first approvals on, so that a round can open as soon as it may.
        (Proposed, Step::Pair) => Some(Proposed),
        (Approved { since }, Step::Pair) => Some(Approved { since }),
        // Latecomers decide about themselves until the round opens: to be on the roster, or not.
        (Approved { since }, Step::Approve { .. } | Step::Reject { .. }) => Some(Approved { since }),
        // A study waits for members only so long.
        (Proposed | Approved { .. }, Step::RunOut) => Some(Expired),
        // The roster is fixed once, by those who approved.
        (Approved { .. }, Step::Open) => Some(Collecting { round: RoundNumber::new(0) }),
        // The sum has a meaning only over the whole roster: blinds cancel in nothing less.
        (Collecting { round }, Step::Contribute { complete: false }) => Some(Collecting { round }),
        (Collecting { round }, Step::Contribute { complete: true }) => Some(Combining { round }),
        // Attesting changes nothing by itself; releasing counts the attestations.
        (Combining { round }, Step::Attest) => Some(Combining { round }),
        // Nor does accusing: of what all have committed to, and nobody has to give earlier; of keys, before anybody uses them.
        (Combining { round }, Step::Accuse | Step::ShowLot) => Some(Combining { round }),
        (Collecting { round }, Step::Accuse | Step::OpenKeySets | Step::ShowLot) => Some(Collecting { round }),
        (Combining { round }, Step::Release { sum }) => Some(Released { round, sum }),
        // A new round starts from nothing: contributions of a round that failed are of no use to it.
        (Collecting { .. } | Combining { .. }, Step::FailRound { another: Some(round) }) => Some(Collecting { round }),
        (Collecting { .. } | Combining { .. }, Step::FailRound { another: None }) => Some(Failed),
        // The researcher may take the study back until there is a result.
        (Proposed | Approved { .. } | Collecting { .. } | Combining { .. }, Step::Withdraw) => Some(Withdrawn),

        // Rounds need an approval by more than half.
        (
            Proposed,
            Step::Open
            | Step::Contribute { .. }
            | Step::Attest
            | Step::Accuse
            | Step::OpenKeySets
            | Step::ShowLot
            | Step::Release { .. }
            | Step::FailRound { .. },
        ) => None,
        // Who is not paired when the round opens is not on its roster.
        (Collecting { .. } | Combining { .. }, Step::Pair) => None,
        // Nothing is contributed, attested or failed before the round opens.
        (
            Approved { .. },
            Step::Contribute { .. }
            | Step::Attest
            | Step::Accuse
            | Step::OpenKeySets
            | Step::ShowLot
            | Step::Release { .. }
            | Step::FailRound { .. },
        ) => None,
        // The roster is fixed: decisions come too late. No sum exists before all contributed.
        (
            Collecting { .. },
            Step::Approve { .. }
            | Step::Reject { .. }
            | Step::RunOut
            | Step::Open
            | Step::Attest
            | Step::Release { .. },
        ) => None,
        // Nothing can be contributed twice.
        (
            Combining { .. },
            Step::Approve { .. }
            | Step::Reject { .. }
            | Step::RunOut
            | Step::Open
            | Step::OpenKeySets
            | Step::Contribute { .. },
        ) => None,
        // What has ended stays as it ended.
        (Released { .. } | Rejected | Withdrawn | Expired | Failed, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the words of the design say, as a table: phase, step, whether there is a place for it.
    #[test]
    fn each_phase_has_a_place_for_these_steps_only() {
        let round = RoundNumber::new(1);
        let sum = ContentHash::from_bytes([1; 32]);
        let now = Timestamp::new(5);
        let phases = [
            (Phase::Proposed, "approve reject run-out withdraw"),
            (Phase::Approved { since: now }, "approve reject run-out open withdraw"),
            (Phase::Collecting { round }, "contribute open-keys lot accuse fail withdraw"),
            (Phase::Combining { round }, "attest lot accuse release fail withdraw"),
            (Phase::Released { round, sum }, ""),
            (Phase::Rejected, ""),
            (Phase::Withdrawn, ""),
            (Phase::Expired, ""),
            (Phase::Failed, ""),
        ];
        let steps = [
            ("approve", Step::Approve { passed: false, now }),
            ("approve", Step::Approve { passed: true, now }),
            ("reject", Step::Reject { hopeless: false }),
            ("reject", Step::Reject { hopeless: true }),
            ("run-out", Step::RunOut),
            ("open", Step::Open),
            ("contribute", Step::Contribute { complete: false }),
            ("contribute", Step::Contribute { complete: true }),
            ("attest", Step::Attest),
            ("accuse", Step::Accuse),
            ("open-keys", Step::OpenKeySets),
            ("lot", Step::ShowLot),
            ("release", Step::Release { sum }),
            ("fail", Step::FailRound { another: Some(round) }),
            ("fail", Step::FailRound { another: None }),
            ("withdraw", Step::Withdraw),
        ];
        for (phase, admitted) in phases {
            assert_eq!(phase.is_final(), admitted.is_empty());
            for (word, step) in steps {
                let expected = admitted.split(' ').any(|a| a == word);
                assert_eq!(next(phase, step).is_some(), expected, "{phase} {step:?}");
            }
        }
    }

    #[test]
    fn only_combining_releases_and_only_approved_opens() {
        let sum = ContentHash::from_bytes([1; 32]);
        let round = RoundNumber::new(3);
        assert_eq!(next(Phase::Combining { round }, Step::Release { sum }), Some(Phase::Released { round, sum }));
        let since = Timestamp::new(1);
        let first = Phase::Collecting { round: RoundNumber::new(0) };
        assert_eq!(next(Phase::Approved { since }, Step::Open), Some(first));
        let late = Step::Approve { passed: true, now: Timestamp::new(9) };
        assert_eq!(next(Phase::Approved { since }, late), Some(Phase::Approved { since }), "the grace starts once");
        assert_eq!(next(Phase::Proposed, late), Some(Phase::Approved { since: Timestamp::new(9) }));
    }
}
