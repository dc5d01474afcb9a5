//! What the people of a consortium do, for the demo and for end-to-end tests: enrol, consent, accredit, propose, decide.

use std::time::{Duration, Instant};

use consilium_engine::pseudonym::LinkSecret;
use consilium_protocol::consent::{Basis, Establishment, Jurisdiction, Terms};
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, StudyId, SubjectId};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{
    AccreditResearcher, Approve, Countersignature, Enrol, Enrolment, Given, GivenTerms, Grant, Payload, Reject,
    Revocation, Revoke, Signer, Vote, enrolment_message,
};
use consilium_protocol::wallet::Wallet;
use consilium_protocol::wire;

use super::consortium::Consortium;
use crate::cli::Failure;
use crate::cli::patients::BATCH;
use crate::cli::study::is_final;
use crate::home::secrets::{self, Kind};
use crate::net::client::{ClientError, Included, Node};
use crate::vault::{Readiness, make_ready};

/// The hash of the paper form that a patient would have signed.
fn form(subject: &SubjectId, what: &str) -> ContentHash {
    ContentHash::from_bytes(hash::tagged("consilium/demo/form", &[subject.as_bytes(), what.as_bytes()]))
}

impl Consortium {
    /// The key of a hospital's pseudonyms.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be read.
    pub fn link(&self, position: usize) -> Result<LinkSecret, Failure> {
        Ok(LinkSecret::from_seed(*secrets::read(&self.hospitals[position].home, Kind::Link)?))
    }

    /// Enrols patients at a hospital, each with the wallet that they have, if any.
    ///
    /// # Errors
    /// [`Failure`] when the ledger refuses.
    pub async fn enrol(&self, position: usize, persons: &[(i64, Option<&Wallet>)]) -> Result<(), Failure> {
        let link = self.link(position)?;
        for batch in persons.chunks(BATCH) {
            let subjects = batch
                .iter()
                .map(|(person, wallet)| {
                    let subject = link.subject(*person);
                    Enrolment { subject, patient: wallet.map(|w| self.countersign(position, w, &subject)) }
                })
                .collect();
            self.submit_as(position, Payload::Enrol(Enrol { subjects })).await?;
        }
        Ok(())
    }

    fn countersign(&self, position: usize, wallet: &Wallet, subject: &SubjectId) -> Countersignature {
        let hospital = self.hospitals[position].member.id;
        let key = wallet.key_at(&hospital);
        let message = enrolment_message(&self.genesis.ledger(), &hospital, subject);
        Countersignature { patient: key.patient(), signature: key.sign(&message) }
    }

    /// Has a hospital witness paper forms with these terms.
    ///
    /// # Errors
    /// [`Failure`] when the ledger refuses.
    pub async fn witness_grants(&self, position: usize, persons: &[i64], terms: &Terms) -> Result<(), Failure> {
        let link = self.link(position)?;
        for batch in persons.chunks(BATCH) {
            let paper = |person: &i64| {
                let subject = link.subject(*person);
                Given { subject, source: form(&subject, "grant"), signed: Some(self.genesis.time_ms.date()) }
            };
            let forms = batch.iter().map(paper).collect();
            let grant = Grant::paper(GivenTerms::Whole(terms.clone()), true, forms);
            self.submit_as(position, Payload::Grant(grant)).await?;
        }
        Ok(())
    }

    /// Has a hospital witness paper forms that revoke everything.
    ///
    /// # Errors
    /// [`Failure`] when the ledger refuses.
    pub async fn witness_revocations(&self, position: usize, persons: &[i64]) -> Result<(), Failure> {
        let link = self.link(position)?;
        for batch in persons.chunks(BATCH) {
            let paper = |person: &i64| {
                let subject = link.subject(*person);
                Revocation {
                    subject,
                    document: None,
                    source: form(&subject, "revoke"),
                    signed: Some(self.genesis.time_ms.date()),
                }
            };
            let forms = batch.iter().map(paper).collect();
            self.submit_as(position, Payload::Revoke(Revoke { basis: Basis::Paper, forms })).await?;
        }
        Ok(())
    }

    /// A patient grants with their own wallet.
    ///
    /// # Errors
    /// [`ClientError`] when the ledger refuses.
    pub async fn grant(
        &self,
        node: &Node,
        position: usize,
        wallet: &Wallet,
        subject: SubjectId,
        terms: Terms,
    ) -> Result<Included, ClientError> {
        let key = wallet.key_at(&self.hospitals[position].member.id);
        let grant = Grant::electronic(GivenTerms::Whole(terms), true, subject);
        node.submit(Signer::Patient(key.patient()), &key, Payload::Grant(grant)).await
    }

    /// A patient revokes everything with their own wallet.
    ///
    /// # Errors
    /// [`ClientError`] when the ledger refuses.
    pub async fn revoke(
        &self,
        node: &Node,
        position: usize,
        wallet: &Wallet,
        subject: SubjectId,
    ) -> Result<Included, ClientError> {
        let key = wallet.key_at(&self.hospitals[position].member.id);
        let revoke = Revoke::electronic(subject, None);
        node.submit(Signer::Patient(key.patient()), &key, Payload::Revoke(revoke)).await
    }

    /// More than half of the hospitals vote for a researcher.
    ///
    /// # Errors
    /// [`Failure`] when the ledger refuses.
    pub async fn accredit(&self, researcher: &SigningKey, name: &str, organisation: &str) -> Result<(), Failure> {
        let proposal = AccreditResearcher {
            researcher: researcher.researcher(),
            name: name.to_string(),
            organisation: organisation.to_string(),
            hospital: None,
            establishment: Establishment {
                country: "DE".parse()?,
                jurisdiction: Jurisdiction::Gdpr,
                for_profit: false,
            },
        };
        let proposal = self.submit_as(0, Payload::AccreditResearcher(proposal)).await?.hash;
        // The proposer's own vote counts.
        for position in 1..self.hospitals.len() / 2 + 1 {
            self.submit_as(position, Payload::Vote(Vote { proposal, in_favour: true })).await?;
        }
        Ok(())
    }

    /// A hospital approves a study.
    ///
    /// # Errors
    /// [`Failure`] when its home cannot be used, or the ledger refuses.
    pub async fn approve(&self, position: usize, study: StudyId) -> Result<Included, Failure> {
        let home = &self.hospitals[position].home;
        let Readiness { pair_key, lot } = make_ready(home, &self.genesis.ledger(), &study)?;
        let approve = Approve { study, reason: String::new(), pair_key, lot, ticked: Vec::new() };
        Ok(self.submit_as(position, Payload::Approve(approve)).await?)
    }

    /// A hospital rejects a study.
    ///
    /// # Errors
    /// [`ClientError`] when the ledger refuses.
    pub async fn reject(&self, position: usize, study: StudyId, reason: &str) -> Result<Included, ClientError> {
        self.submit_as(position, Payload::Reject(Reject { study, reason: reason.to_string() })).await
    }
}

/// Follows a study until nothing more happens to it.
///
/// # Errors
/// [`Failure`] when the time runs out.
pub async fn follow(node: &Node, study: &StudyId, patience: Duration) -> Result<wire::StudyReply, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        let reply = crate::cli::study::fetch(study, node).await?;
        let phase = reply.summary.as_ref().map(|s| s.phase.clone()).unwrap_or_default();
        if is_final(&phase) {
            return Ok(reply);
        }
        if Instant::now() > deadline {
            return Err(Failure::not_ready(format!("the study is still {phase}; the nodes' logs say why")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
