//! What a node offers to the programs of stewards, researchers and patients.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use consilium_ledger::rejection::Rejection;
use consilium_ledger::state::State;
use consilium_ledger::state::consent::{KeyRole, SubjectKey};
use consilium_ledger::state::study::Phase;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, Date, Height, StudyId, SubjectId, Timestamp, TxHash};
use consilium_protocol::keys::Signature;
use consilium_protocol::tx::{SignedTx, Signer};
use consilium_protocol::wire::ledger_server::Ledger;
use consilium_protocol::wire::{self, Chunk};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::super::{Shared, health};
use super::views;
use crate::replica::submit::{self, SubmitError, Waited};
use crate::studies::Piece;

/// How far a signed question's time may be from the node's clock.
const QUESTION_AGE_MS: u64 = 300_000;
/// The longest a submission is waited for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The service.
pub(super) struct LedgerService {
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn storage(_: impl std::error::Error) -> Status {
    Status::internal("the node's ledger cannot be read; its log says why")
}

fn study_id(bytes: &[u8]) -> Result<StudyId, Status> {
    StudyId::try_from(bytes).map_err(|_| Status::invalid_argument("a study id has 32 bytes; copy it again in full"))
}

fn unknown_study(study: &StudyId) -> Status {
    Status::not_found(format!("there is no study {}; see `consilium study list`", study.short()))
}

fn refusal(hash: Option<TxHash>, kind: &str, message: String) -> wire::SubmitReply {
    let tx_hash = hash.map(|h| h.as_bytes().to_vec()).unwrap_or_default();
    wire::SubmitReply { tx_hash, height: 0, rejection: kind.to_string(), message }
}

#[tonic::async_trait]
impl Ledger for LedgerService {
    async fn status(&self, _: Request<wire::StatusRequest>) -> Result<Response<wire::StatusReply>, Status> {
        let shared = &self.shared;
        let health = shared.replica.consensus.health();
        let readiness = health::readiness(&shared.replica);
        let ledger_bytes = shared.replica.chain.file_bytes().map_err(storage)?;
        let reply = shared.replica.chain.read(|state| {
            let figures = state.figures();
            wire::StatusReply {
                chain_id: state.genesis().chain_id.to_string(),
                hospital: shared.replica.hospital.to_string(),
                name: views::name_of(state, &shared.replica.hospital),
                height: state.height().get(),
                time_ms: state.time().get(),
                app_hash: state.head().app_hash.as_bytes().to_vec(),
                readiness: readiness.word().to_string(),
                reason: readiness.reason(),
                peers: health.peers_connected as u32,
                members: state.members().len() as u32,
                waiting_transactions: health.waiting_txs as u64,
                version: env!("CARGO_PKG_VERSION").to_string(),
                subjects: figures.subjects,
                documents: figures.current_documents,
                studies: figures.studies,
                transactions: figures.transactions,
                ledger_bytes,
                grant_bytes: figures.grant_bytes,
                grants: figures.grants,
                privacy_spent: views::privacy_spent(state),
                guard_keys: state.members().iter().filter(|m| state.guard_keys(&m.id).is_some()).count() as u32,
            }
        });
        Ok(Response::new(reply.map_err(storage)?))
    }

    async fn genesis(&self, _: Request<wire::GenesisRequest>) -> Result<Response<wire::GenesisReply>, Status> {
        Ok(Response::new(wire::GenesisReply { toml: self.shared.genesis_toml.clone() }))
    }

    async fn account(&self, request: Request<wire::AccountRequest>) -> Result<Response<wire::AccountReply>, Status> {
        let signer = signer(&request.into_inner().signer)?;
        let last_sequence = submit::last_sequence(&self.shared.replica, &signer).map_err(storage)?.get();
        let height = self.shared.replica.chain.read(|state| state.height().get()).map_err(storage)?;
        Ok(Response::new(wire::AccountReply { last_sequence, height }))
    }

    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Result<Response<wire::SubmitReply>, Status> {
        let request = request.into_inner();
        let tx = match SignedTx::from_bytes(&request.tx) {
            Ok(tx) => tx,
            Err(error) => return Ok(Response::new(refusal(None, "malformed", error.to_string()))),
        };
        let hash = tx.hash();
        match submit::hand_in(&self.shared.replica, tx.clone()) {
            Ok(_) => {}
            // Handed in before: the caller wants to know what becomes of it.
            Err(error @ SubmitError::Refused(_)) if matches!(error.kind(), "waiting" | "included") => {}
            Err(error) => {
                // A repeated submission of what stands in a block already is answered with that block.
                if let Ok(Some((height, outcome))) = self.shared.replica.chain.outcome(&hash) {
                    return Ok(Response::new(submitted(hash, Some((height, outcome)))));
                }
                return Ok(Response::new(refusal(Some(hash), error.kind(), error.to_string())));
            }
        }
        let patience = Duration::from_millis(u64::from(request.wait_ms)).min(MAX_WAIT);
        let waited = tokio::select! {
            waited = submit::wait(&self.shared.replica, &tx, patience) => waited,
            () = self.stop.cancelled() => Waited::Waiting,
        };
        Ok(Response::new(match waited {
            Waited::Included(outcome) => submitted(hash, Some(outcome)),
            Waited::Refused(rejection) => refusal(Some(hash), rejection.kind(), rejection.to_string()),
            Waited::Waiting => submitted(hash, None),
        }))
    }

    async fn transaction(
        &self,
        request: Request<wire::TransactionRequest>,
    ) -> Result<Response<wire::TransactionReply>, Status> {
        let hash = TxHash::try_from(&request.into_inner().tx_hash[..])
            .map_err(|_| Status::invalid_argument("a transaction hash has 32 bytes; copy it again in full"))?;
        let found = self.shared.replica.chain.outcome(&hash).map_err(storage)?;
        let known = found.is_some() || self.shared.replica.consensus.mempool().lock().contains(&hash);
        let reply = submitted(hash, found);
        Ok(Response::new(wire::TransactionReply {
            known,
            height: reply.height,
            rejection: reply.rejection,
            message: reply.message,
        }))
    }

    async fn studies(&self, request: Request<wire::StudiesRequest>) -> Result<Response<wire::StudiesReply>, Status> {
        let undecided = request.into_inner().undecided;
        let own = self.shared.replica.hospital;
        let mut studies: Vec<wire::StudySummary> = self
            .shared
            .replica
            .chain
            .read(|state| {
                let waits = |phase: &Phase| matches!(phase, Phase::Proposed | Phase::Approved { .. });
                state
                    .studies()
                    .filter(|s| !undecided || (waits(&s.course.phase) && !s.course.decisions.contains_key(&own)))
                    .map(|s| views::summary(state, &s))
                    .collect()
            })
            .map_err(storage)?;
        studies.sort_by_key(|s| std::cmp::Reverse((s.proposed_height, s.study.clone())));
        Ok(Response::new(wire::StudiesReply { studies }))
    }

    async fn study(&self, request: Request<wire::StudyRequest>) -> Result<Response<wire::StudyReply>, Status> {
        let study = study_id(&request.into_inner().study)?;
        let reply = self.shared.replica.chain.read(|state| state.study(&study).map(|s| views::study(state, &s)));
        let mut response = reply.map_err(storage)?.map(Response::new).ok_or_else(|| unknown_study(&study))?;
        self.shared.studies.kept.failing.told(&study).iter().for_each(|told| told.attach(response.metadata_mut()));
        Ok(response)
    }

    async fn reach(&self, request: Request<wire::StudyRequest>) -> Result<Response<wire::ReachReply>, Status> {
        let study = study_id(&request.into_inner().study)?;
        let own = &self.shared.replica.hospital;
        let found = self.shared.replica.chain.read(|state| state.reach(&study, own)).map_err(storage)?;
        let reach = found.ok_or_else(|| unknown_study(&study))?;
        // Writing to a vector cannot fail.
        Ok(Response::new(wire::ReachReply { reach: borsh::to_vec(&reach).unwrap_or_default() }))
    }

    async fn due(&self, request: Request<wire::DueRequest>) -> Result<Response<wire::DueReply>, Status> {
        let request = request.into_inner();
        let signer = signer(&request.signer)?;
        let message = wire::subject_question(&self.shared.replica.ledger, None, Timestamp::new(request.time_ms));
        check_question(&signer, &message, request.time_ms, &request.signature)?;
        let own = self.shared.replica.hospital;
        if signer != Signer::Hospital(own) {
            return Err(Status::permission_denied("a hospital asks its own node what is due of its patients"));
        }
        let until = Date::from_days(request.until);
        let due = self.shared.replica.chain.read(|state| state.due(&own, until)).map_err(storage)?;
        // Writing to a vector cannot fail.
        Ok(Response::new(wire::DueReply { due: borsh::to_vec(&due).unwrap_or_default() }))
    }

    async fn terms(&self, request: Request<wire::TermsRequest>) -> Result<Response<wire::TermsReply>, Status> {
        let hash = ContentHash::try_from(&request.into_inner().hash[..])
            .map_err(|_| Status::invalid_argument("a hash has 32 bytes; copy it again in full"))?;
        let encoded = |state: &State| state.terms(&hash).and_then(|terms| borsh::to_vec(terms).ok());
        let terms = self.shared.replica.chain.read(encoded).map_err(storage)?.unwrap_or_default();
        Ok(Response::new(wire::TermsReply { terms }))
    }

    async fn researchers(
        &self,
        _: Request<wire::ResearchersRequest>,
    ) -> Result<Response<wire::ResearchersReply>, Status> {
        Ok(Response::new(self.shared.replica.chain.read(views::researchers).map_err(storage)?))
    }

    async fn subject(&self, request: Request<wire::SubjectRequest>) -> Result<Response<wire::SubjectReply>, Status> {
        let request = request.into_inner();
        let signer = signer(&request.signer)?;
        let about = match &request.study[..] {
            [] => None,
            bytes => Some(study_id(bytes)?),
        };
        let subject = match &request.subject[..] {
            [] => None,
            bytes => Some(SubjectId::try_from(bytes).map_err(|_| Status::invalid_argument("a subject has 16 bytes"))?),
        };
        let now = now_ms();
        let ledger = &self.shared.replica.ledger;
        let message = wire::subject_question(ledger, subject.as_ref(), Timestamp::new(request.time_ms));
        check_question(&signer, &message, request.time_ms, &request.signature)?;
        let reply = self.shared.replica.chain.read(|state| {
            let (key, role) = match signer {
                Signer::Patient(patient) => {
                    let found = state.role_of(&patient, Timestamp::new(now).date());
                    let (key, role) = found
                        .filter(|(key, role)| *role != KeyRole::Former && subject.is_none_or(|s| s == key.subject))?;
                    (key, Some(role))
                }
                Signer::Hospital(hospital) => (SubjectKey { hospital, subject: subject? }, None),
                Signer::Researcher(_) => return None,
            };
            views::subject(state, &key, role, about.as_ref())
        });
        reply.map_err(storage)?.map(Response::new).ok_or_else(|| {
            Status::not_found("the ledger knows no such patient of this signer; ask the hospital's desk to be enrolled")
        })
    }

    type ResultStream = Streamed<Chunk>;

    async fn result(&self, request: Request<wire::ResultRequest>) -> Result<Response<Self::ResultStream>, Status> {
        let request = request.into_inner();
        let study = study_id(&request.study)?;
        let found = self.shared.replica.chain.read(|state| {
            state.study(&study).map(|study| {
                let guard = study.course.rounds.last().and_then(|round| round.guard);
                (study.course.phase, guard.and_then(|guard| guard.disclosed))
            })
        });
        let (phase, disclosed) = found.map_err(storage)?.ok_or_else(|| unknown_study(&study))?;
        let (round, piece, wanted) = match phase {
            Phase::Released { round, sum } if !request.seeds => (round, Piece::Sum, sum),
            Phase::Released { round, .. } => match disclosed {
                Some(disclosed) => (round, Piece::DisclosedSeeds, disclosed.seeds.hash),
                None => return Err(Status::failed_precondition("the study is not guarded, its result needs no seeds")),
            },
            other => {
                return Err(Status::failed_precondition(format!(
                    "the study is {}, there is no result; follow it with `consilium study watch`",
                    other.name()
                )));
            }
        };
        let kept = self.shared.studies.kept.rounds.get(&study, round, piece).map_err(storage)?;
        let bytes = kept.filter(|bytes| hash::content(bytes) == wanted).ok_or_else(|| {
            Status::unavailable("this member does not have the joint result (yet); ask another with --node")
        })?;
        Ok(Response::new(Box::pin(super::chunks(bytes))))
    }

    type ExportStream = Streamed<wire::ExportedBlock>;

    async fn export(&self, request: Request<wire::ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let from = request.into_inner().from_height.max(1);
        let shared = self.shared.clone();
        let last = shared.replica.chain.read(|state| state.height().get()).map_err(storage)?;
        let (sender, receiver) = mpsc::channel(16);
        tokio::task::spawn_blocking(move || {
            for height in from..=last {
                let block = match shared.replica.chain.block(Height::new(height)) {
                    Ok(Some((block, certificate))) => {
                        Ok(wire::ExportedBlock { block: block.encode(), certificate: certificate.encode() })
                    }
                    Ok(None) => break,
                    Err(error) => Err(storage(error)),
                };
                let failed = block.is_err();
                if sender.blocking_send(block).is_err() || failed {
                    break;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    type WatchStream = Streamed<wire::WatchReply>;

    async fn watch(&self, _: Request<wire::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let mut blocks = self.shared.replica.chain.subscribe();
        let stop = self.stop.clone();
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                let block = tokio::select! {
                    block = blocks.recv() => block,
                    () = stop.cancelled() => break,
                    () = sender.closed() => break,
                };
                let block = match block {
                    Ok(block) => block,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => break,
                };
                let reply = wire::WatchReply {
                    height: block.height.get(),
                    time_ms: block.time.get(),
                    events: block.events.iter().map(ToString::to_string).collect(),
                    studies: block.events.iter().filter_map(|e| e.study()).map(|s| s.as_bytes().to_vec()).collect(),
                };
                if sender.send(Ok(reply)).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Whether a question is signed by who asks it, and not long ago.
fn check_question(signer: &Signer, message: &[u8], time_ms: u64, signature: &[u8]) -> Result<(), Status> {
    if now_ms().abs_diff(time_ms) > QUESTION_AGE_MS {
        return Err(Status::permission_denied(
            "the question was signed more than five minutes ago or ahead; set this machine's clock right",
        ));
    }
    let signature: [u8; 64] = signature.try_into().map_err(|_| Status::invalid_argument("a signature has 64 bytes"))?;
    if !Signature::from_bytes(signature).verifies(signer.public_key(), message) {
        return Err(Status::permission_denied("the signature does not fit; check the key and the genesis file"));
    }
    Ok(())
}

fn signer(bytes: &[u8]) -> Result<Signer, Status> {
    borsh::from_slice(bytes).map_err(|_| Status::invalid_argument("the signer cannot be read"))
}

fn submitted(hash: TxHash, outcome: Option<(Height, Result<(), Rejection>)>) -> wire::SubmitReply {
    let tx_hash = hash.as_bytes().to_vec();
    match outcome {
        Some((height, Ok(()))) => {
            wire::SubmitReply { tx_hash, height: height.get(), rejection: String::new(), message: String::new() }
        }
        Some((height, Err(rejection))) => wire::SubmitReply {
            tx_hash,
            height: height.get(),
            rejection: rejection.kind().to_string(),
            message: rejection.to_string(),
        },
        None => wire::SubmitReply { tx_hash, height: 0, rejection: String::new(), message: String::new() },
    }
}
