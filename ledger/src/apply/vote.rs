//! A member votes on a proposal, once.

use consilium_protocol::ids::TxHash;
use consilium_protocol::tx::Vote;

use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::state::members::{Ballot, BallotOutcome, Researcher};

pub(super) fn apply(context: &mut Context<'_>, payload: &Vote) -> Outcome {
    let hospital = context.hospital()?;
    let proposal = payload.proposal;
    let ballot = context.state.ballots().get(&proposal).ok_or(Rejection::UnknownProposal { proposal })?;
    if ballot.outcome != BallotOutcome::Open {
        return Err(Rejection::BallotClosed { proposal });
    }
    if ballot.votes.contains_key(&hospital) {
        return Err(Rejection::AlreadyVoted { proposal });
    }

    let mut ballot = ballot.clone();
    ballot.votes.insert(hospital, payload.in_favour);
    context.events.push(Event::Voted { proposal, hospital, in_favour: payload.in_favour });
    settle(context, proposal, ballot);
    Ok(())
}

/// Records a ballot with a new vote, and what follows from it.
pub(super) fn settle(context: &mut Context<'_>, proposal: TxHash, mut ballot: Ballot) {
    let members = context.members();
    let tally = ballot.tally();
    if tally.has_passed(members) {
        ballot.outcome = BallotOutcome::Passed;
        let accredited = &ballot.proposal;
        let researcher = Researcher {
            name: accredited.name.clone(),
            organisation: accredited.organisation.clone(),
            hospital: accredited.hospital,
            establishment: accredited.establishment,
            height: context.moment.height,
        };
        context.state.researchers.put(accredited.researcher, researcher);
        context.events.push(Event::ResearcherAccredited { proposal, researcher: accredited.researcher });
    } else if tally.is_hopeless(members) {
        ballot.outcome = BallotOutcome::Failed;
        context.events.push(Event::ProposalFailed { proposal });
    }
    context.state.ballots.put(proposal, ballot);
}
