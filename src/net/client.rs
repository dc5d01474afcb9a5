//! The way to a member's node.

use std::sync::Arc;
use std::time::Duration;

use consilium_protocol::genesis::Member;
use consilium_protocol::ids::{ContentHash, Height, LedgerId, Sequence, StudyId, TxHash};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{Payload, SignedTx, Signer, TxBody};
use consilium_protocol::wire::ledger_client::LedgerClient;
use consilium_protocol::wire::{self, MAX_MESSAGE_BYTES};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use super::tls::{self, Identity, TlsError};

/// A node that could not be asked, or that refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers.
    #[error(
        "{name} does not answer at {address}; see to it that its node runs (`consilium node`), or name another with --node"
    )]
    Unreachable {
        /// The member.
        name: String,
        /// Its address.
        address: String,
    },
    /// Somebody answers with another certificate than the genesis file says.
    #[error(
        "who answers at {address} does not have the certificate of {name}; do not trust it, check the address and the \
         genesis file"
    )]
    NotTheMember {
        /// The member.
        name: String,
        /// Its address.
        address: String,
    },
    /// The node refused the question.
    #[error("{0}")]
    Refused(String),
    /// The ledger has nothing of this name.
    #[error("{0}")]
    NotFound(String),
    /// The node stopped answering, or took too long.
    #[error("{0}")]
    NotNow(String),
    /// The ledger refused the transaction.
    #[error("refused by the ledger: {message}")]
    Rejected {
        /// The word of the rejection's kind.
        kind: String,
        /// What it means and what to do.
        message: String,
    },
    /// The transaction waits still.
    #[error(
        "transaction {0} is not in a block yet, and may still come into one: ask with `consilium tx {0}` before you do the same again"
    )]
    Waiting(TxHash),
    /// The node's answer makes no sense.
    #[error(
        "the node's answer cannot be read; its release may be another, compare `consilium --version` on both sides"
    )]
    Malformed,
    /// The own identity cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A connection to one member's node.
#[derive(Clone, Debug)]
pub struct Node {
    /// The member.
    pub member: Member,
    ledger_id: LedgerId,
    client: LedgerClient<Channel>,
}

/// A transaction that stands in a block.
#[derive(Clone, Copy, Debug)]
pub struct Included {
    /// Its name.
    pub hash: TxHash,
    /// The block.
    pub height: Height,
}

/// A lazily connected channel to a member: every connection is checked against the pinned certificate.
pub fn channel(address: &str, config: Arc<ClientConfig>) -> Result<Channel, ClientError> {
    // The name is not used: the certificate itself is pinned.
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| ClientError::Refused(format!("{address} is no host:port; correct the address")))?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_while_idle(true);
    let address = address.to_string();
    let connector = tower::service_fn(move |_| {
        let (address, connector) = (address.clone(), TlsConnector::from(config.clone()));
        async move {
            let name = ServerName::try_from("consilium").map_err(std::io::Error::other)?;
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}

impl Node {
    /// Connects to a member's node, with a hospital's own identity if there is one.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] or [`ClientError::NotTheMember`].
    pub async fn connect(ledger: &LedgerId, member: &Member, identity: Option<&Identity>) -> Result<Self, ClientError> {
        let config = tls::client(identity, member.tls_certificate)?;
        probe(member, config.clone()).await?;
        let client = LedgerClient::new(channel(&member.address, config)?)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { member: member.clone(), ledger_id: *ledger, client })
    }

    /// The services, for questions.
    pub fn ledger(&self) -> LedgerClient<Channel> {
        self.client.clone()
    }

    /// The ledger.
    pub const fn ledger_id(&self) -> &LedgerId {
        &self.ledger_id
    }

    /// Signs a transaction with the next sequence number, hands it in, and waits until it stands in a block.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::Rejected`] nothing has happened.
    pub async fn submit(&self, signer: Signer, key: &SigningKey, payload: Payload) -> Result<Included, ClientError> {
        // Somebody else may sign with the same key at the same moment; the later one then tries again.
        for _ in 0..4 {
            match self.submit_once(signer, key, &payload).await {
                Err(ClientError::Rejected { kind, .. }) if kind == STALE_SEQUENCE => continue,
                other => return other,
            }
        }
        self.submit_once(signer, key, &payload).await
    }

    async fn submit_once(&self, signer: Signer, key: &SigningKey, payload: &Payload) -> Result<Included, ClientError> {
        self.hand_in(&self.sign(signer, key, payload).await?, Duration::from_secs(30)).await
    }

    /// Signs a transaction that could be the signer's next, and does not hand it in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign(&self, signer: Signer, key: &SigningKey, payload: &Payload) -> Result<SignedTx, ClientError> {
        let account = self
            .ledger()
            .account(wire::AccountRequest { signer: borsh::to_vec(&signer).unwrap_or_default() })
            .await
            .map_err(refused)?
            .into_inner();
        let body = TxBody {
            sequence: Sequence::new(account.last_sequence + 1),
            expires: Height::new(account.height + EXPIRES_AFTER),
            payload: payload.clone(),
        };
        Ok(SignedTx::sign(&self.ledger_id, &body, signer, key))
    }

    /// Hands in a signed transaction and waits until it stands in a block.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn hand_in(&self, tx: &SignedTx, wait: Duration) -> Result<Included, ClientError> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let reply = self
            .ledger()
            .submit(wire::SubmitRequest { tx: tx.to_bytes(), wait_ms })
            .await
            .map_err(refused)?
            .into_inner();
        if !reply.rejection.is_empty() {
            return Err(ClientError::Rejected { kind: reply.rejection, message: reply.message });
        }
        let hash = TxHash::try_from(&reply.tx_hash[..]).map_err(|_| ClientError::Malformed)?;
        if reply.height == 0 {
            Err(ClientError::Waiting(hash))
        } else {
            Ok(Included { hash, height: Height::new(reply.height) })
        }
    }

    /// The encrypted joint result of a study; its hash is the caller's to check.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn result(&self, study: &StudyId, part: ResultPart, limit: usize) -> Result<Vec<u8>, ClientError> {
        let seeds = part == ResultPart::Seeds;
        let request = wire::ResultRequest { study: study.as_bytes().to_vec(), seeds };
        collect(self.ledger().result(request).await.map_err(refused)?.into_inner(), limit).await
    }
}

/// What of a released study is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultPart {
    /// The joint ciphertext.
    Sum,
    /// Of a guarded study: the seeds that open what passed, sealed to the researcher.
    Seeds,
}

/// The word of the rejection that a newer transaction of the same signer was included first.
pub const STALE_SEQUENCE: &str = "replayed";

/// After how many blocks a transaction that was never included means nothing any more.
const EXPIRES_AFTER: u64 = 1_000;

/// Joins the pieces of a longer content, up to a limit.
///
/// # Errors
/// [`ClientError`].
pub async fn collect(mut chunks: tonic::Streaming<wire::Chunk>, limit: usize) -> Result<Vec<u8>, ClientError> {
    let mut content = Vec::new();
    while let Some(chunk) = chunks.message().await.map_err(refused)? {
        if content.len() + chunk.data.len() > limit {
            return Err(ClientError::Malformed);
        }
        content.extend_from_slice(&chunk.data);
    }
    Ok(content)
}

/// What a node's refusal means to a person.
pub fn refused(status: tonic::Status) -> ClientError {
    match status.code() {
        tonic::Code::Unavailable => ClientError::NotNow(
            "the node stopped answering; see to it that it runs (`consilium node`) and try again".to_string(),
        ),
        tonic::Code::DeadlineExceeded => {
            ClientError::NotNow("the node took too long; try again, or ask another with --node".to_string())
        }
        tonic::Code::Internal | tonic::Code::Unknown => {
            ClientError::Refused("the node failed to answer; its log says why".to_string())
        }
        tonic::Code::NotFound => ClientError::NotFound(status.message().to_string()),
        _ => ClientError::Refused(status.message().to_string()),
    }
}

/// One handshake to tell a wrong certificate from a silent address.
async fn probe(member: &Member, config: Arc<ClientConfig>) -> Result<(), ClientError> {
    let unreachable = || ClientError::Unreachable { name: member.name.clone(), address: member.address.clone() };
    let connect = async {
        let stream = TcpStream::connect(&member.address).await.map_err(|_| unreachable())?;
        let name = ServerName::try_from("consilium").map_err(|_| unreachable())?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            let pinned = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
            match pinned {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    ClientError::NotTheMember { name: member.name.clone(), address: member.address.clone() }
                }
                _ => unreachable(),
            }
        })?;
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(5), connect).await.unwrap_or_else(|_| Err(unreachable()))
}

/// Whether content is what its hash says.
pub fn is_content(bytes: &[u8], hash: &ContentHash) -> bool {
    consilium_protocol::hash::content(bytes) == *hash
}
