//! Carries a plan out on the ledger, in an order in which nothing is open in between that neither before nor after is: what
//! denies first, then what permits, and only then what ends.

use std::collections::BTreeMap;
use std::time::Duration;

use consilium_protocol::consent::Basis;
use consilium_protocol::hash;
use consilium_protocol::ids::{Date, DocumentId, SubjectId};
use consilium_protocol::keys::{SigningKey, random_bytes};
use consilium_protocol::tx::{CloseReason, Given, Grant, Payload, Revocation, Revoke, SignedTx, Signer, document_id};
use futures::StreamExt as _;

use super::super::accounts::{ask, more_of};
use super::super::patients::BATCH;
use super::super::terms::given;
use super::super::{Failure, term};
use super::books::Books;
use super::plan::{Draft, Leaving};
use super::register::{Form, Proof, Record};
use super::verdict::OfSubject;
use crate::net::client::{ClientError, Node, STALE_SEQUENCE};

/// How many questions are on their way at once.
const QUESTIONS: usize = 16;
/// How long a transaction is waited for.
const WAIT: Duration = Duration::from_secs(30);

const PAPER_CLOSED: &str = "the patient has closed the paper door, so that no form permits anything for them; they sign with \
                            their wallet, or open the door again";
const MOVED: &str = "the patient has left the hospital; if they are back, they sign anew";

/// Who carries it out.
pub(super) struct Desk {
    pub(super) node: Node,
    pub(super) key: SigningKey,
}

/// A draft that the ledger refused, and why.
pub(super) struct Rejected {
    pub(super) item: usize,
    pub(super) message: String,
}

impl Desk {
    fn signer(&self) -> Signer {
        Signer::Hospital(self.key.hospital())
    }

    /// Asks the ledger about subjects; those that are not enrolled are not in the answer.
    pub(super) async fn ask(
        &self,
        subjects: impl IntoIterator<Item = SubjectId>,
    ) -> Result<BTreeMap<SubjectId, OfSubject>, Failure> {
        let subjects: Vec<SubjectId> = subjects.into_iter().collect();
        let bar = term::progress("looking patients up", subjects.len() as u64);
        let questions = subjects
            .into_iter()
            .map(async |subject| (subject, ask(&self.node, self.signer(), &self.key, Some(subject), None).await));
        let mut answers = futures::stream::iter(questions).buffer_unordered(QUESTIONS);
        let mut found = BTreeMap::new();
        while let Some((subject, answer)) = answers.next().await {
            bar.inc(1);
            let reply = match answer {
                Ok(reply) => reply,
                Err(ClientError::NotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let more = more_of(&reply);
            let closed = more.and_then(|more| match more.closed {
                _ if more.paper_closed => Some(PAPER_CLOSED),
                Some((CloseReason::Death, _)) => Some("the patient has died; nobody permits anything for them"),
                Some((CloseReason::Moved, _)) => Some(MOVED),
                None => None,
            });
            let current = reply.documents.iter().filter(|document| document.ended_height == 0);
            let current = current.filter_map(|document| DocumentId::try_from(&document.document[..]).ok()).collect();
            found.insert(subject, OfSubject { current, closed });
        }
        bar.finish_and_clear();
        Ok(found)
    }

    /// Finds out what became of transactions that an earlier command was about to hand in.
    pub(super) async fn settle(&self, books: &mut Books) -> Result<(), Failure> {
        let open: Vec<(u64, Vec<u8>, Vec<Form>)> =
            books.register.open.iter().map(|(number, (tx, forms))| (*number, tx.clone(), forms.clone())).collect();
        for (intent, bytes, forms) in open {
            // Handed in again it is there already, or comes to be, or cannot any more; only then its absence means anything.
            let tx = SignedTx::from_bytes(&bytes)?;
            match self.node.hand_in(&tx, WAIT).await {
                Ok(_) => {}
                Err(ClientError::Rejected { kind, .. }) if kind != "busy" => {}
                Err(error) => return Err(error.into()),
            }
            let mut documents = Vec::with_capacity(forms.len());
            for form in &forms {
                documents.push(self.made(form).await?);
            }
            books.write(Record::Settled { intent, documents })?;
        }
        Ok(())
    }

    /// The document that rests on what a form rests on, if the ledger has it.
    async fn made(&self, form: &Form) -> Result<Option<DocumentId>, Failure> {
        match ask(&self.node, self.signer(), &self.key, Some(form.seen.subject), None).await {
            Ok(reply) => {
                let found = reply.documents.iter().find(|document| document.source == form.proof.source.as_bytes());
                Ok(found.map(|document| DocumentId::try_from(&document.document[..])).transpose()?)
            }
            Err(ClientError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Records documents. Those that the ledger refuses are left out.
    pub(super) async fn grant(
        &self,
        books: &mut Books,
        drafts: &[Draft],
        original: impl Fn(usize) -> String,
    ) -> Result<Vec<Rejected>, Failure> {
        let bar = term::progress("recording consents", drafts.len() as u64);
        let mut rejected = Vec::new();
        for batch in batches(drafts) {
            let mut open = vec![batch];
            let mut stale = 0;
            while let Some(batch) = open.pop() {
                let originals: Vec<String> = batch.iter().map(|draft| original(draft.item)).collect();
                match self.grant_batch(books, &batch, &originals).await? {
                    None => {}
                    // Somebody else signed with the same key at the same moment.
                    Some((kind, _)) if kind == STALE_SEQUENCE && stale < 4 => {
                        stale += 1;
                        open.push(batch);
                        continue;
                    }
                    Some((_, message)) => match &batch[..] {
                        [one] => rejected.push(Rejected { item: one.item, message }),
                        _ => {
                            let (first, second) = batch.split_at(batch.len() / 2);
                            open.extend([second.to_vec(), first.to_vec()]);
                            continue;
                        }
                    },
                }
                bar.inc(batch.len() as u64);
            }
        }
        bar.finish_and_clear();
        Ok(rejected)
    }

    /// One transaction; or the word and the message of its rejection.
    async fn grant_batch(
        &self,
        books: &mut Books,
        batch: &[&Draft],
        originals: &[String],
    ) -> Result<Option<(String, String)>, Failure> {
        let Some(terms) = batch.first().map(|draft| &draft.terms) else { return Ok(None) };
        let first = books.keep(&originals.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut forms = Vec::with_capacity(batch.len());
        for ((draft, original), number) in batch.iter().zip(originals).zip(first..) {
            let proof = Proof::new(random_bytes()?, (number, original));
            let Draft { key, seen, is_suspension, .. } = draft;
            let form = Form {
                key: key.clone(),
                seen: seen.clone(),
                terms: terms.hash(),
                proof,
                is_suspension: *is_suspension,
            };
            forms.push(form);
        }
        let of = |(draft, form): (&&Draft, &Form)| Given {
            subject: form.seen.subject,
            source: form.proof.source,
            signed: Some(draft.signed),
        };
        let given_forms = batch.iter().zip(&forms).map(of).collect();
        let payload = Payload::Grant(Grant::paper(given(&self.node, terms).await?, false, given_forms));
        let tx = self.node.sign(self.signer(), &self.key, &payload).await?;
        let count = forms.len();
        let intent = books.write(Record::Intent { tx: tx.to_bytes(), forms })?;
        match self.node.hand_in(&tx, WAIT).await {
            Ok(included) => {
                let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                let documents = (0..count).map(|at| Some(document_id(&included.hash, position(at)))).collect();
                books.write(Record::Settled { intent, documents })?;
                Ok(None)
            }
            Err(ClientError::Rejected { kind, message }) if kind != "busy" => {
                books.write(Record::Settled { intent, documents: vec![None; count] })?;
                Ok(Some((kind, message)))
            }
            // What becomes of it, the next command finds out.
            Err(error) => Err(error.into()),
        }
    }

    /// Takes note of consents that come to stand otherwise.
    pub(super) fn leave(
        books: &mut Books,
        leaving: Vec<Leaving>,
        original: impl Fn(usize) -> String,
    ) -> Result<(), Failure> {
        for Leaving { item, key, seen, standing } in leaving {
            let original = original(item);
            let number = books.keep(&[&original])?;
            let proof = Proof::new(random_bytes()?, (number, &original));
            books.write(Record::Left { key, seen, standing, proof })?;
        }
        Ok(())
    }

    /// Revokes what is to end.
    pub(super) async fn end(&self, books: &mut Books, today: Date) -> Result<(), Failure> {
        let all: Vec<DocumentId> = books.register.endings.keys().copied().collect();
        let bar = term::progress("ending documents", all.len() as u64);
        let mut open: Vec<Vec<DocumentId>> = all.chunks(BATCH).map(<[_]>::to_vec).collect();
        while let Some(batch) = open.pop() {
            let form = |id: &DocumentId| {
                let ending = books.register.endings.get(id)?;
                let (subject, source) = (ending.subject, ending.source);
                Some(Revocation { subject, document: Some(*id), source, signed: Some(today) })
            };
            let forms = batch.iter().filter_map(form).collect();
            let payload = Payload::Revoke(Revoke { basis: Basis::Paper, forms });
            match self.node.submit(self.signer(), &self.key, payload).await {
                Ok(_) => {
                    bar.inc(batch.len() as u64);
                    books.write(Record::Ended(batch))?;
                }
                Err(ClientError::Rejected { kind, .. }) if kind == "document_ended" && batch.len() == 1 => {
                    bar.inc(1);
                    books.write(Record::Ended(batch))?;
                }
                Err(ClientError::Rejected { kind, .. }) if kind == "document_ended" => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    open.extend([second.to_vec(), first.to_vec()]);
                }
                Err(error) => return Err(error.into()),
            }
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// Documents of equal terms, in the order in which they are recorded: what suspends, what only denies, what permits.
fn batches(drafts: &[Draft]) -> Vec<Vec<&Draft>> {
    let mut groups: BTreeMap<_, Vec<&Draft>> = BTreeMap::new();
    for draft in drafts {
        groups.entry((!draft.is_suspension, draft.terms.permits(), draft.terms.hash())).or_default().push(draft);
    }
    groups.values().flat_map(|group| group.chunks(BATCH)).map(<[_]>::to_vec).collect()
}

/// What a person says at the desk, for which there is no form of FHIR.
pub(super) fn said_at_the_desk(what: &str) -> Result<Proof, Failure> {
    let salt = random_bytes()?;
    let said = hash::content(what.as_bytes()).to_string();
    Ok(Proof::new(salt, (u64::MAX, &said)))
}

#[cfg(test)]
mod tests {
    use consilium_protocol::consent::{Action, Effect, Purpose, Rule, Scope, Terms};
    use consilium_protocol::ids::{ContentHash, SubjectId};

    use super::super::plan::nothing;
    use super::super::register::{Key, Kind, Seen};
    use super::*;

    #[test]
    fn what_denies_comes_first_and_equal_terms_together() {
        let rule = |effect| Rule::new(effect, Action::Aggregate, Scope::Only(vec![Purpose::HealthResearch]));
        let (permit, deny) = (Terms::opt_in(vec![rule(Effect::Permit)]), Terms::opt_in(vec![rule(Effect::Deny)]));
        let of = |(item, (terms, is_suspension)): (usize, (&Terms, bool))| Draft {
            item,
            key: Key { system: String::new(), name: item.to_string() },
            seen: Seen {
                subject: SubjectId::from_bytes([1; 16]),
                digest: ContentHash::from_bytes([0; 32]),
                updated: None,
                written: None,
                kind: Kind::Plain,
                place: String::new(),
            },
            terms: terms.clone(),
            signed: Date::from_days(0),
            is_suspension,
        };
        let all = [(&permit, false), (&deny, false), (&permit, false), (&nothing(), true), (&nothing(), false)];
        let drafts: Vec<Draft> = all.into_iter().enumerate().map(of).collect();
        let items: Vec<Vec<usize>> =
            batches(&drafts).iter().map(|batch| batch.iter().map(|draft| draft.item).collect()).collect();
        assert_eq!((items.first(), items.last()), (Some(&vec![3]), Some(&vec![0, 2])), "{items:?}");
        let many: Vec<Draft> = (0..BATCH + 1).map(|item| of((item, (&permit, false)))).collect();
        assert_eq!(batches(&many).iter().map(Vec::len).collect::<Vec<_>>(), [BATCH, 1]);
    }
}
