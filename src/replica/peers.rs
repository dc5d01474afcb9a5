//! The other members' nodes: transactions are spread to them, ciphertexts and keys are fetched from them.

use std::collections::BTreeMap;
use std::time::Duration;

use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::tx::SignedTx;
use consilium_protocol::wire::peer_client::PeerClient;
use consilium_protocol::wire::{BlobKind, BlobRequest, GossipRequest, MAX_CIPHERTEXT_BYTES, MAX_MESSAGE_BYTES};
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tracing::{debug, warn};

use crate::net::client::{self, ClientError};
use crate::net::tls::{self, Identity};

/// How many transactions wait for one member; what does not fit is spread by the block that includes it.
const QUEUE: usize = 20_000;
/// How many bytes of transactions travel together.
const BATCH_BYTES: usize = 1 << 20;
/// How long an answer to a request for bytes may take.
const ANSWER: Duration = Duration::from_secs(120);
/// How many bytes of it come in a millisecond at least.
const BYTES_A_MS: usize = 1_000;
/// How often a batch is tried before it is left to the block that will include it.
const TRIES: u32 = 5;

/// A ciphertext or key that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The member is unknown.
    #[error("hospital {0:?} is no member")]
    NoMember(HospitalId),
    /// It is this hospital.
    #[error("this hospital does not have what it committed to itself any more")]
    Own,
    /// The member does not answer or refuses.
    #[error("hospital {0:?} did not give what it committed to")]
    Refused(HospitalId),
    /// What came is not what the ledger says.
    #[error("hospital {0:?} gave other bytes than it committed to on the ledger; they are not used")]
    NotCommitted(HospitalId),
}

struct Other {
    client: PeerClient<Channel>,
    queue: mpsc::Sender<SignedTx>,
}

/// The other members.
pub struct Peers {
    own: HospitalId,
    others: BTreeMap<HospitalId, Other>,
}

impl Peers {
    /// Prepares to reach every other member; connections are made when needed and made again when lost.
    ///
    /// # Errors
    /// [`ClientError`] when the own identity or an address cannot be used.
    pub fn new(genesis: &Genesis, own: HospitalId, identity: &Identity) -> Result<Self, ClientError> {
        let mut others = BTreeMap::new();
        for member in genesis.member.iter().filter(|m| m.id != own) {
            let config = tls::client(Some(identity), member.tls_certificate)?;
            let client = PeerClient::new(client::channel(&member.address, config)?)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            let (queue, waiting) = mpsc::channel(QUEUE);
            tokio::spawn(spread(member.name.clone(), client.clone(), waiting));
            others.insert(member.id, Other { client, queue });
        }
        Ok(Self { own, others })
    }

    /// Spreads a transaction; never waits.
    pub fn spread(&self, tx: &SignedTx) {
        for other in self.others.values() {
            let _ = other.queue.try_send(tx.clone());
        }
    }

    /// Fetches a ciphertext or key from the member that committed to it, and checks that it is what the ledger says.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, from: HospitalId, wanted: &Wanted) -> Result<Vec<u8>, FetchError> {
        // The request's own time is over when the answer begins: who begins and does not go on is not waited for either.
        let most = ANSWER + Duration::from_millis((wanted.limit / BYTES_A_MS) as u64);
        tokio::time::timeout(most, self.try_fetch(from, wanted)).await.unwrap_or(Err(FetchError::Refused(from)))
    }

    async fn try_fetch(&self, from: HospitalId, wanted: &Wanted) -> Result<Vec<u8>, FetchError> {
        if from == self.own {
            return Err(FetchError::Own);
        }
        let other = self.others.get(&from).ok_or(FetchError::NoMember(from))?;
        let (study, round) =
            wanted.of.map_or((Vec::new(), 0), |(study, round)| (study.as_bytes().to_vec(), round.get()));
        let mut request = tonic::Request::new(BlobRequest {
            kind: wanted.kind.into(),
            study,
            round,
            hash: wanted.hash.as_bytes().to_vec(),
        });
        request.set_timeout(ANSWER);
        let chunks = other.client.clone().blob(request).await.map_err(|_| FetchError::Refused(from))?;
        let bytes = client::collect(chunks.into_inner(), wanted.limit).await.map_err(|_| FetchError::Refused(from))?;
        if client::is_content(&bytes, &wanted.hash) { Ok(bytes) } else { Err(FetchError::NotCommitted(from)) }
    }
}

/// What is fetched from another member.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// What it is.
    pub kind: BlobKind,
    /// Of which round; none for keys.
    pub of: Option<(StudyId, RoundNumber)>,
    /// Its SHA-256 on the ledger.
    pub hash: ContentHash,
    /// How many bytes it has at most.
    pub limit: usize,
}

impl Wanted {
    /// A ciphertext of a round.
    pub const fn of_round(kind: BlobKind, of: (StudyId, RoundNumber), hash: ContentHash) -> Self {
        Self { kind, of: Some(of), hash, limit: MAX_CIPHERTEXT_BYTES as usize }
    }
}

/// Sends what waits for one member, in order, many at a time.
async fn spread(name: String, mut client: PeerClient<Channel>, mut waiting: mpsc::Receiver<SignedTx>) {
    while let Some(first) = waiting.recv().await {
        let mut bytes = first.encoded_len();
        let mut txs = vec![first.to_bytes()];
        while bytes < BATCH_BYTES {
            let Ok(next) = waiting.try_recv() else { break };
            bytes += next.encoded_len();
            txs.push(next.to_bytes());
        }
        for attempt in 1..=TRIES {
            let mut request = tonic::Request::new(GossipRequest { txs: txs.clone() });
            request.set_timeout(Duration::from_secs(5));
            match client.gossip(request).await {
                Ok(_) => break,
                Err(status) if attempt == TRIES => {
                    warn!(member = name, code = ?status.code(), "transactions were not spread; its next block brings them");
                }
                Err(status) => {
                    debug!(member = name, code = ?status.code(), attempt, "spreading failed, trying again");
                    tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                }
            }
        }
    }
}
