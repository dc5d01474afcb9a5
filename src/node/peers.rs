//! The other members' nodes: transactions are spread to them, contributions are fetched from them.

use std::collections::BTreeMap;
use std::time::Duration;

use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::tx::SignedTx;
use consilium_protocol::wire::peer_client::PeerClient;
use consilium_protocol::wire::{ContributionRequest, GossipRequest, MAX_MESSAGE_BYTES};
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tracing::{debug, warn};

use super::rounds::MAX_CIPHERTEXT_BYTES;
use crate::net::client::{self, ClientError};
use crate::net::tls::{self, Identity};

/// How many transactions wait for one member; what does not fit is spread by the block that includes it.
const QUEUE: usize = 20_000;
/// How many bytes of transactions travel together.
const BATCH_BYTES: usize = 1 << 20;
/// How often a batch is tried before it is left to the block that will include it.
const TRIES: u32 = 5;

/// A contribution that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The member is unknown.
    #[error("hospital {0:?} is no member")]
    NoMember(HospitalId),
    /// The member does not answer or refuses.
    #[error("hospital {0:?} did not give its contribution")]
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
        Ok(Self { others })
    }

    /// Spreads a transaction; never waits.
    pub fn spread(&self, tx: &SignedTx) {
        for other in self.others.values() {
            let _ = other.queue.try_send(tx.clone());
        }
    }

    /// Fetches a member's contribution and checks that it is what the ledger says.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn contribution(
        &self,
        from: HospitalId,
        study: &StudyId,
        round: RoundNumber,
        hash: &ContentHash,
    ) -> Result<Vec<u8>, FetchError> {
        let other = self.others.get(&from).ok_or(FetchError::NoMember(from))?;
        let mut request = tonic::Request::new(ContributionRequest {
            study: study.as_bytes().to_vec(),
            round: round.get(),
            hash: hash.as_bytes().to_vec(),
        });
        request.set_timeout(Duration::from_secs(60));
        let chunks = other.client.clone().contribution(request).await.map_err(|_| FetchError::Refused(from))?;
        let bytes = client::collect(chunks.into_inner(), MAX_CIPHERTEXT_BYTES as usize)
            .await
            .map_err(|_| FetchError::Refused(from))?;
        if client::is_content(&bytes, hash) { Ok(bytes) } else { Err(FetchError::NotCommitted(from)) }
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
