//! The ledger's state as wire messages.

use std::collections::BTreeMap;

use consilium_ledger::state::State;
use consilium_ledger::state::consent::{KeyRole, SubjectKey};
use consilium_ledger::state::members::{Ballot, BallotOutcome};
use consilium_ledger::state::reading::UseRecord;
use consilium_ledger::state::study::{Guard, Round, RoundEnd, Study, most};
use consilium_protocol::consent::{Basis, Establishment, Reason};
use consilium_protocol::ids::{ContentHash, HospitalId, StudyId, TxHash};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::tx::Fault;
use consilium_protocol::wire;

pub(super) fn name_of(state: &State, hospital: &HospitalId) -> String {
    state.genesis().member(hospital).map_or_else(|| hospital.short(), |m| m.name.clone())
}

pub(super) fn privacy_spent(state: &State) -> Vec<wire::PrivacySpent> {
    let spent = |id: &HospitalId| state.privacy_loss(id).get();
    let members = state.members().iter();
    members.map(|m| wire::PrivacySpent { hospital: m.id.to_string(), micro_rho: spent(&m.id) }).collect()
}

pub(super) fn summary(state: &State, study: &Study<'_>) -> wire::StudySummary {
    let tally = study.course.tally();
    let researcher = state.researchers().get(&study.proposal.researcher);
    wire::StudySummary {
        study: study.id.as_bytes().to_vec(),
        title: study.proposal.spec.title.clone(),
        researcher: study.proposal.researcher.to_string(),
        researcher_name: researcher.map(|r| r.name.clone()).unwrap_or_default(),
        organisation: researcher.map(|r| r.organisation.clone()).unwrap_or_default(),
        purpose: study.proposal.spec.purposes_in_short(),
        phase: study.course.phase.name().to_string(),
        proposed_height: study.proposal.proposed.height.get(),
        proposed_ms: study.proposal.proposed.time.get(),
        approvals: tally.in_favour as u32,
        rejections: tally.against as u32,
        members: state.members().len() as u32,
        protection: study.proposal.spec.protection.name().to_string(),
    }
}

pub(super) fn study(state: &State, study: &Study<'_>) -> wire::StudyReply {
    let paired = study.course.paired();
    let decisions = study.course.decisions.iter().map(|(hospital, decision)| wire::Decision {
        hospital: hospital.to_string(),
        name: name_of(state, hospital),
        approved: decision.approved,
        reason: decision.reason.clone(),
        height: decision.at.height.get(),
        // Writing to a vector cannot fail.
        ticked: borsh::to_vec(&decision.ticked).unwrap_or_default(),
        paired: paired.binary_search(hospital).is_ok(),
    });
    let deadline = study.course.deadline(study.proposal.proposed.time, &state.genesis().deadlines);
    wire::StudyReply {
        summary: Some(summary(state, study)),
        spec: study.proposal.spec.to_canonical(),
        public_key: study.proposal.public_key.clone(),
        decisions: decisions.collect(),
        rounds: study.course.rounds.iter().map(|of| round(of, &state.genesis().policy)).collect(),
        deadline_ms: deadline.map_or(0, |d| d.get()),
        sealing_key: study.proposal.sealing_key.as_bytes().to_vec(),
    }
}

fn round(round: &Round, policy: &DisclosurePolicy) -> wire::Round {
    let contributions = round.contributions.iter().map(|(hospital, c)| wire::Commitment {
        hospital: hospital.to_string(),
        hash: c.hash.as_bytes().to_vec(),
        bytes: c.bytes,
        height: c.height.get(),
        veil: c.veil.map(|veil| veil.keys.as_bytes().to_vec()).unwrap_or_default(),
    });
    let attestations = round.attestations.iter().map(|(hospital, a)| wire::Commitment {
        hospital: hospital.to_string(),
        hash: a.sum.as_bytes().to_vec(),
        bytes: 0,
        height: a.height.get(),
        veil: Vec::new(),
    });
    let released = matches!(round.ended, Some((_, RoundEnd::Released)));
    wire::Round {
        number: round.number.get(),
        height: round.opened.height.get(),
        time_ms: round.opened.time.get(),
        roster: round.roster.iter().map(ToString::to_string).collect(),
        contributions: contributions.collect(),
        attestations: attestations.collect(),
        sum: round.result().filter(|_| released).map(|s| s.as_bytes().to_vec()).unwrap_or_default(),
        released_height: round.ended.filter(|_| released).map_or(0, |(at, _)| at.height.get()),
        outcome: round.outcome().to_string(),
        guard: round.guard.as_ref().map(|of| guard(of, round)),
        may_be_known: round.may_be_known(policy),
        lots_missing: round.roster.iter().filter(|id| round.awaits_lot(id)).map(ToString::to_string).collect(),
        examined: round.examined.map(|id| id.to_string()).unwrap_or_default(),
        accusations: round.accusations.iter().map(|(accused, by)| accusation(round, accused, by)).collect(),
    }
}

fn accusation(round: &Round, accused: &HospitalId, by: &BTreeMap<HospitalId, Fault>) -> wire::Accusation {
    wire::Accusation {
        accused: accused.to_string(),
        fault: most(by).map(|fault| fault.name().to_string()).unwrap_or_default(),
        by: by.keys().map(ToString::to_string).collect(),
        blamed: round.is_blamed(accused),
    }
}

fn guard(guard: &Guard, round: &Round) -> wire::Guard {
    let hash = |hash: ContentHash| hash.as_bytes().to_vec();
    wire::Guard {
        aggregator: guard.roles.aggregator.to_string(),
        custodian: guard.roles.custodian.to_string(),
        sum: guard.sealed.map(|sealed| hash(sealed.sum.hash)).unwrap_or_default(),
        seeds: guard.sealed.map(|sealed| hash(sealed.seeds.hash)).unwrap_or_default(),
        sealed_height: guard.sealed.map_or(0, |sealed| sealed.height.get()),
        disclosed: guard.disclosed.map(|disclosed| hash(disclosed.seeds.hash)).unwrap_or_default(),
        disclosed_height: guard.disclosed.map_or(0, |disclosed| disclosed.height.get()),
        passed: round.passed.clone(),
        witness: guard.roles.witness.map(|witness| witness.hospital.to_string()).unwrap_or_default(),
        witness_seeds: guard.witnessed.map(|witnessed| hash(witnessed.seeds.hash)).unwrap_or_default(),
        witnessed_height: guard.witnessed.map_or(0, |witnessed| witnessed.height.get()),
        spare_key_sets: round.spare.sets.len() as u32,
        closed_key_sets: if round.spare.are_open() { 0 } else { round.spare.sets.len() as u32 },
    }
}

pub(super) fn researchers(state: &State) -> wire::ResearchersReply {
    let researchers = state.researchers().iter().map(|(id, r)| wire::Researcher {
        researcher: id.to_string(),
        name: r.name.clone(),
        organisation: r.organisation.clone(),
        hospital: r.hospital.map(|h| h.to_string()).unwrap_or_default(),
        establishment: establishment(&r.establishment),
        height: r.height.get(),
    });
    let proposals = state.ballots().iter().map(|(hash, ballot)| proposal(state, hash, ballot));
    wire::ResearchersReply { researchers: researchers.collect(), proposals: proposals.collect() }
}

fn proposal(state: &State, hash: &TxHash, ballot: &Ballot) -> wire::Proposal {
    let tally = ballot.tally();
    let outcome = match ballot.outcome {
        BallotOutcome::Open => "open",
        BallotOutcome::Passed => "passed",
        BallotOutcome::Failed => "failed",
    };
    wire::Proposal {
        proposal: hash.as_bytes().to_vec(),
        what: format!("accredit {}, {}", ballot.proposal.name, ballot.proposal.organisation),
        in_favour: tally.in_favour as u32,
        against: tally.against as u32,
        members: state.members().len() as u32,
        outcome: outcome.to_string(),
        researcher: ballot.proposal.researcher.to_string(),
        hospital: ballot.proposal.hospital.map(|id| id.to_string()).unwrap_or_default(),
        establishment: establishment(&ballot.proposal.establishment),
    }
}

/// An establishment in short: "DE, gdpr, not for profit".
fn establishment(of: &Establishment) -> String {
    let profit = if of.for_profit { "for profit" } else { "not for profit" };
    format!("{}, {}, {profit}", of.country, of.jurisdiction)
}

/// A subject with its documents and uses; `None` when the ledger does not know it.
pub(super) fn subject(
    state: &State,
    key: &SubjectKey,
    role: Option<KeyRole<'_>>,
    about: Option<&StudyId>,
) -> Option<wire::SubjectReply> {
    let subject = state.subject(key)?;
    let documents = subject.documents.iter().map(|d| wire::Document {
        document: d.id.as_bytes().to_vec(),
        terms: state.terms(&d.terms).and_then(|t| borsh::to_vec(t).ok()).unwrap_or_default(),
        basis: match d.basis {
            Basis::Electronic => "wallet",
            Basis::Paper => "paper form",
        }
        .to_string(),
        granted_height: d.granted.height.get(),
        granted_ms: d.granted.time.get(),
        ended_height: d.ended.as_ref().map_or(0, |e| e.at.height.get()),
        ended_ms: d.ended.as_ref().map_or(0, |e| e.at.time.get()),
        ended_by: d.ended.as_ref().map(|e| e.by.name().to_string()).unwrap_or_default(),
        signed: d.signed.to_string(),
        by: d.by.name().to_string(),
        source: d.source.as_bytes().to_vec(),
    });
    Some(wire::SubjectReply {
        subject: key.subject.as_bytes().to_vec(),
        hospital: key.hospital.to_string(),
        hospital_name: name_of(state, &key.hospital),
        patient: subject.patient.map(|p| p.to_string()).unwrap_or_default(),
        enrolled_height: subject.enrolled.height.get(),
        documents: documents.collect(),
        uses: state.history(key).iter().filter_map(|record| use_record(state, record)).collect(),
        // Writing to a vector cannot fail.
        more: subject.more.as_ref().map(|more| borsh::to_vec(more).unwrap_or_default()).unwrap_or_default(),
        role: role.map(|role| role.name().to_string()).unwrap_or_default(),
        explained: about
            .and_then(|study| state.explain(key, study))
            .and_then(|decision| borsh::to_vec(&decision).ok())
            .unwrap_or_default(),
    })
}

fn use_record(state: &State, record: &UseRecord) -> Option<wire::UseRecord> {
    let study = state.study(&record.study)?;
    let researcher = state.researchers().get(&study.proposal.researcher);
    let mut reasons: Vec<Reason> = record.reasons.iter().map(|of| of.reason).collect();
    if reasons.is_empty() {
        reasons.push(Reason::NoConsent);
    }
    reasons.sort_unstable();
    reasons.dedup();
    Some(wire::UseRecord {
        study: record.study.as_bytes().to_vec(),
        title: study.proposal.spec.title.clone(),
        researcher_name: researcher.map(|r| r.name.clone()).unwrap_or_default(),
        organisation: researcher.map(|r| r.organisation.clone()).unwrap_or_default(),
        purpose: study.proposal.spec.purposes_in_short(),
        round: record.round.get(),
        height: record.opened.height.get(),
        time_ms: record.opened.time.get(),
        outcome: record.outcome.to_string(),
        allowed: record.allowed,
        documents: record.documents.iter().map(|d| d.as_bytes().to_vec()).collect(),
        // Writing to a vector cannot fail.
        data: borsh::to_vec(&record.data).unwrap_or_default(),
        // Who reads them puts them into words, in a language of their own.
        reasons: reasons.iter().filter_map(|reason| serde_json::to_string(reason).ok()).collect(),
    })
}
