//! How a block changes the state: pure, deterministic, one handler per kind of transaction.
//!
//! A handler checks everything, then changes; a rejected transaction changes nothing but the figures and its signer's
//! sequence number, which it uses up: what was rejected once can never be accepted later.

mod accredit_researcher;
mod accuse;
mod attest;
mod contribute;
mod decide;
mod delegate;
mod disclose_seeds;
mod end_round;
mod enrol;
mod envelope;
mod fail_round;
mod grant;
mod keys;
mod open_key_sets;
mod open_round;
mod pair_keys;
mod people;
mod propose_study;
mod register_guard_keys;
mod release;
mod revoke;
mod role_keys;
mod run_out;
mod seal_sum;
mod show_lot;
mod speaker;
mod vote;
mod withdraw_study;
mod witness;

#[cfg(test)]
mod tests;

use consilium_protocol::ids::{HospitalId, ResearcherId, StudyId, TxHash};
use consilium_protocol::tx::{MAX_REASON_BYTES, Payload, SignedTx, Signer, TxBody};

use crate::block::Block;
use crate::event::Event;
use crate::rejection::{Entitled, Rejection, TextField};
use crate::signatures::{Checking, Signatures};
use crate::state::study::{Course, Phase, Step, Study, next};
use crate::state::{Entry, Head, Moment, State};

/// What came of a transaction.
pub type Outcome = Result<(), Rejection>;

/// What came of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockResult {
    /// What came of each transaction, in the order of the block.
    pub outcomes: Vec<(TxHash, Outcome)>,
    /// What the block changed, in order.
    pub events: Vec<Event>,
    /// The state entries that it touched.
    pub changes: Vec<Entry>,
}

/// Applies the next block. Whether it *is* the next one was checked before: here, only what its transactions do.
pub fn apply(state: &mut State, block: &Block) -> BlockResult {
    apply_with(state, block, &Checking)
}

/// As [`apply`], asking `signatures` instead of checking each anew.
pub fn apply_with(state: &mut State, block: &Block, signatures: &dyn Signatures) -> BlockResult {
    let (head, result) = apply_unsettled(state, block, signatures);
    state.settle(head);
    result
}

/// Applies a block so that it can still be taken back; tells the head that it leads to.
pub(crate) fn apply_unsettled(state: &mut State, block: &Block, signatures: &dyn Signatures) -> (Head, BlockResult) {
    let moment = Moment { height: block.header.height, time: block.header.time };
    let mut events = Vec::new();
    begin(state, moment, &mut events);
    let outcomes: Vec<(TxHash, Outcome)> = block
        .txs
        .iter()
        .map(|tx| {
            let hash = tx.hash();
            (hash, apply_tx(state, tx, hash, moment, signatures, &mut events))
        })
        .collect();
    let encoded_outcomes = borsh::to_vec(&outcomes).expect("writing to memory cannot fail");
    let encoded_events = borsh::to_vec(&events).expect("writing to memory cannot fail");
    let (head, changes) = state.seal(moment, block.hash(), &[&encoded_outcomes, &encoded_events]);
    (head, BlockResult { outcomes, events, changes })
}

/// What happens at the start of every block.
pub(crate) fn begin(state: &mut State, moment: Moment, events: &mut Vec<Event>) {
    run_out::apply(state, moment, events);
    keys::fall_due(state, moment, events);
}

/// Applies one transaction of the block at `moment`.
pub(crate) fn apply_tx(
    state: &mut State,
    tx: &SignedTx,
    hash: TxHash,
    moment: Moment,
    signatures: &dyn Signatures,
    events: &mut Vec<Event>,
) -> Outcome {
    let outcome = envelope::open(state, tx, signatures).and_then(|body| {
        state.sequences.put(tx.signer, body.sequence);
        envelope::check(state, &tx.signer, &body, moment.height)?;
        let mut context = Context { state, moment, signer: tx.signer, tx: hash, signatures, events, kept: 0 };
        dispatch(&mut context, body, tx.encoded_len())
    });
    state.count(|figures| {
        figures.transactions += 1;
        figures.rejected += u64::from(outcome.is_err());
    });
    outcome
}

/// Whether a transaction could stand in the block at `moment`, by what does not depend on what else waits for it:
/// form, signature, sequence number, expiry, signer.
pub(crate) fn check_envelope(state: &State, tx: &SignedTx, moment: Moment, signatures: &dyn Signatures) -> Outcome {
    let body = envelope::open(state, tx, signatures)?;
    envelope::check(state, &tx.signer, &body, moment.height)
}

fn dispatch(context: &mut Context<'_>, body: TxBody, bytes: usize) -> Outcome {
    match body.payload {
        Payload::AccreditResearcher(payload) => accredit_researcher::apply(context, payload),
        Payload::Vote(payload) => vote::apply(context, &payload),
        Payload::Enrol(payload) => enrol::apply(context, &payload),
        Payload::Grant(payload) => grant::apply(context, payload, bytes),
        Payload::Revoke(payload) => revoke::apply(context, &payload),
        Payload::ProposeStudy(payload) => propose_study::apply(context, payload),
        Payload::WithdrawStudy(payload) => withdraw_study::apply(context, &payload),
        Payload::Approve(payload) => decide::approve(context, payload),
        Payload::Reject(payload) => decide::reject(context, payload),
        Payload::PairKeys(payload) => pair_keys::apply(context, &payload),
        Payload::OpenRound(payload) => open_round::apply(context, &payload),
        Payload::Contribute(payload) => contribute::apply(context, &payload),
        Payload::Attest(payload) => attest::apply(context, &payload),
        Payload::Release(payload) => release::apply(context, &payload),
        Payload::FailRound(payload) => fail_round::apply(context, &payload),
        Payload::RegisterGuardKeys(payload) => register_guard_keys::apply(context, &payload),
        Payload::SealSum(payload) => seal_sum::apply(context, &payload),
        Payload::DiscloseSeeds(payload) => disclose_seeds::apply(context, &payload),
        Payload::Accuse(payload) => accuse::apply(context, &payload),
        Payload::Witness(payload) => witness::apply(context, &payload),
        Payload::OpenKeySets(payload) => open_key_sets::apply(context, &payload),
        Payload::ShowLot(payload) => show_lot::apply(context, &payload),
        Payload::Delegate(payload) => delegate::delegate(context, payload),
        Payload::EndDelegation(payload) => delegate::end(context, &payload),
        Payload::Freeze(payload) => keys::freeze(context, &payload),
        Payload::RotateKey(payload) => keys::rotate(context, &payload),
        Payload::DecideKey(payload) => keys::decide(context, &payload),
        Payload::PaperDoor(payload) => keys::paper_door(context, payload),
        Payload::Merge(payload) => people::merge(context, &payload),
        Payload::Unmerge(payload) => people::unmerge(context, &payload),
        Payload::Close(payload) => people::close(context, &payload),
    }
}

/// What a handler works with.
struct Context<'a> {
    state: &'a mut State,
    moment: Moment,
    signer: Signer,
    tx: TxHash,
    signatures: &'a dyn Signatures,
    events: &'a mut Vec<Event>,
    /// How many documents were recorded beside those that the transaction names.
    kept: u32,
}

impl Context<'_> {
    /// The signer as a member.
    fn hospital(&self) -> Result<HospitalId, Rejection> {
        match self.signer {
            Signer::Hospital(id) => Ok(id),
            Signer::Researcher(_) | Signer::Patient(_) => Err(Rejection::NotEntitled { entitled: Entitled::Hospital }),
        }
    }

    /// The signer as an accredited researcher.
    fn researcher(&self) -> Result<ResearcherId, Rejection> {
        match self.signer {
            Signer::Researcher(id) => Ok(id),
            Signer::Hospital(_) | Signer::Patient(_) => Err(Rejection::NotEntitled { entitled: Entitled::Researcher }),
        }
    }

    fn study(&self, id: &StudyId) -> Result<Study<'_>, Rejection> {
        self.state.study(id).ok_or(Rejection::UnknownStudy { study: *id })
    }

    fn members(&self) -> usize {
        self.state.members().len()
    }
}

/// The phase after a step, or the rejection when the phase has no place for it.
fn step(study: StudyId, course: &Course, step: Step) -> Result<Phase, Rejection> {
    next(course.phase, step).ok_or(Rejection::WrongPhase { study, phase: course.phase })
}

/// Checks a text that people will read on a screen.
fn check_text(field: TextField, text: &str) -> Outcome {
    let fits = !text.trim().is_empty() && text.len() <= MAX_REASON_BYTES;
    let plain = text.chars().all(|c| !c.is_control() || (field == TextField::Reason && c == '\n'));
    if fits && plain { Ok(()) } else { Err(Rejection::Text { field }) }
}

/// How many, for an event; a block holds far fewer than `u32` counts.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
