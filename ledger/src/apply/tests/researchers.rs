use consilium_protocol::ids::{HospitalId, TxHash};
use consilium_protocol::tx::{MAX_REASON_BYTES, Payload, Vote};

use crate::event::Event;
use crate::rejection::{Entitled, Rejection, TextField};
use crate::state::members::BallotOutcome;
use crate::testing::{Ledger, Who};

fn vote(proposal: TxHash, in_favour: bool) -> Payload {
    Payload::Vote(Vote { proposal, in_favour })
}

#[test]
fn more_than_half_of_all_members_accredit() {
    let mut ledger = Ledger::new(4);
    let (proposal, outcome) = ledger.named(Who::Hospital(0), ledger.accreditation(1));
    assert_eq!(outcome, Ok(()));
    assert_eq!(ledger.one(Who::Hospital(1), vote(proposal, true)), Ok(()));
    assert!(ledger.state.researchers().is_empty(), "two of four are not more than half");
    assert_eq!(ledger.one(Who::Hospital(1), vote(proposal, true)), Err(Rejection::AlreadyVoted { proposal }));
    assert_eq!(ledger.one(Who::Hospital(0), vote(proposal, false)), Err(Rejection::AlreadyVoted { proposal }));
    let tx = ledger.sign(Who::Hospital(2), vote(proposal, true));
    let result = ledger.commit(vec![tx]);
    let researcher = ledger.consortium.key(Who::Researcher(1)).researcher();
    assert_eq!(result.events.last(), Some(&Event::ResearcherAccredited { proposal, researcher }));
    let accredited = &ledger.state.researchers()[&researcher];
    assert_eq!((accredited.organisation.as_str(), accredited.height), ("University", ledger.state.height()));
    assert_eq!(ledger.one(Who::Hospital(3), vote(proposal, true)), Err(Rejection::BallotClosed { proposal }));
    let again = ledger.accreditation(1);
    assert_eq!(ledger.one(Who::Hospital(3), again), Err(Rejection::AlreadyAccredited { researcher }));
}

#[test]
fn a_proposal_fails_when_half_are_against() {
    let mut ledger = Ledger::new(4);
    let (proposal, _) = ledger.named(Who::Hospital(0), ledger.accreditation(1));
    assert_eq!(ledger.one(Who::Hospital(1), vote(proposal, false)), Ok(()));
    assert_eq!(ledger.state.ballots()[&proposal].outcome, BallotOutcome::Open);
    let again = ledger.accreditation(1);
    assert_eq!(ledger.one(Who::Hospital(2), again.clone()), Err(Rejection::AlreadyProposed { proposal }));
    assert_eq!(ledger.one(Who::Hospital(2), vote(proposal, false)), Ok(()));
    assert_eq!(ledger.state.ballots()[&proposal].outcome, BallotOutcome::Failed);
    assert_eq!(ledger.one(Who::Hospital(3), vote(proposal, true)), Err(Rejection::BallotClosed { proposal }));
    assert_eq!(ledger.one(Who::Hospital(2), again), Ok(()), "and may be made anew");
}

#[test]
fn proposals_are_by_members_and_well_formed() {
    let mut ledger = Ledger::new(3);
    ledger.accredit(2);
    let not_entitled = Err(Rejection::NotEntitled { entitled: Entitled::Hospital });
    let payload = ledger.accreditation(1);
    assert_eq!(ledger.one(Who::Researcher(2), payload.clone()), not_entitled);
    let unknown = TxHash::from_bytes([5; 32]);
    assert_eq!(ledger.one(Who::Researcher(2), vote(unknown, true)), not_entitled);
    let expected = Err(Rejection::UnknownProposal { proposal: unknown });
    assert_eq!(ledger.one(Who::Hospital(0), vote(unknown, true)), expected);

    let Payload::AccreditResearcher(good) = payload else { unreachable!("an accreditation") };
    let stranger = HospitalId::from_public_key([9; 32]);
    let mut bad = good.clone();
    bad.hospital = Some(stranger);
    let outcome = ledger.one(Who::Hospital(0), Payload::AccreditResearcher(bad));
    assert_eq!(outcome, Err(Rejection::UnknownMember { hospital: stranger }));
    for text in ["", "  ", "a\nb", "\u{1b}[2J", &"x".repeat(MAX_REASON_BYTES + 1)] {
        let mut bad = good.clone();
        bad.name = text.to_string();
        let outcome = ledger.one(Who::Hospital(0), Payload::AccreditResearcher(bad));
        assert_eq!(outcome, Err(Rejection::Text { field: TextField::Name }));
        let mut bad = good.clone();
        bad.organisation = text.to_string();
        let outcome = ledger.one(Who::Hospital(0), Payload::AccreditResearcher(bad));
        assert_eq!(outcome, Err(Rejection::Text { field: TextField::Organisation }));
    }
    let mut own = good;
    own.hospital = Some(ledger.consortium.hospital(2));
    own.name = "x".repeat(MAX_REASON_BYTES);
    assert_eq!(ledger.one(Who::Hospital(0), Payload::AccreditResearcher(own)), Ok(()));
}
