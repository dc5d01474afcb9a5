//! A member proposes to accredit a researcher, and is the first in favour.

use std::collections::BTreeMap;

use consilium_protocol::tx::AccreditResearcher;

use super::{Context, Outcome, check_text, vote};
use crate::event::Event;
use crate::rejection::{Rejection, TextField};
use crate::state::members::{Ballot, BallotOutcome};

pub(super) fn apply(context: &mut Context<'_>, payload: AccreditResearcher) -> Outcome {
    let proposer = context.hospital()?;
    let researcher = payload.researcher;
    check_text(TextField::Name, &payload.name)?;
    check_text(TextField::Organisation, &payload.organisation)?;
    if let Some(hospital) = payload.hospital
        && !context.state.is_member(&hospital)
    {
        return Err(Rejection::UnknownMember { hospital });
    }
    if context.state.researchers().contains_key(&researcher) {
        return Err(Rejection::AlreadyAccredited { researcher });
    }
    let open = |ballot: &Ballot| ballot.outcome == BallotOutcome::Open && ballot.proposal.researcher == researcher;
    if let Some((proposal, _)) = context.state.ballots().iter().find(|(_, ballot)| open(ballot)) {
        return Err(Rejection::AlreadyProposed { proposal: *proposal });
    }

    let ballot = Ballot {
        proposal: payload,
        proposer,
        proposed: context.moment,
        votes: BTreeMap::from([(proposer, true)]),
        outcome: BallotOutcome::Open,
    };
    let proposal = context.tx;
    context.events.push(Event::ResearcherProposed { proposal, researcher });
    vote::settle(context, proposal, ballot);
    Ok(())
}
