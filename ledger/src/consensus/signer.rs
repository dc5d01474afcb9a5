//! The signer: never two different signatures for one position, whatever crashes, restarts or restores happen.
//!
//! A position is a height, a round and a step. Before a signature leaves, the position and what was signed are on
//! disk, in a small file that is replaced as a whole (written beside, synced, renamed, directory synced: 0.6 ms on the
//! machine of the first measurements, three times a block). At a lower position nothing is signed again; at the same
//! position only the identical bytes are. The source of the rule is Tendermint's `priv_validator_state`.
//!
//! | part of the file | bytes (borsh) |
//! |---|---|
//! | `consilium-signer/v1` | length as `u32` little-endian, then UTF-8 |
//! | chain id | length as `u32`, then UTF-8 |
//! | member, consensus public key | 32 each |
//! | height, round, step | 8, 4, 1 (0 = propose, 1 = prevote, 2 = precommit) |
//! | signed digest, signature | 32, 64 |
//! | SHA-256, labelled `consilium/signer-file/v1`, of all before | 32 |

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{Height, HospitalId, LedgerId};
use consilium_protocol::keys::{Signature, SigningKey};

const FORMAT: &str = "consilium-signer/v1";
const CHECKSUM_LABEL: &str = "consilium/signer-file/v1";
const CHECKSUM_BYTES: usize = 32;
const MAX_FILE_BYTES: u64 = 1024;

/// Within a round, what is signed, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Step {
    /// The proposal of the round.
    Propose,
    /// The first vote.
    Prevote,
    /// The second vote.
    Precommit,
}

/// Where in the life of the ledger something is signed; positions only ever grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Position {
    /// The height.
    pub height: Height,
    /// The round within the height.
    pub round: u32,
    /// The step within the round.
    pub step: Step,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "height {}, round {}, {:?}", self.height, self.round, self.step)
    }
}

/// The signer's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The file could not be read or written.
    #[error(
        "the signer's file {path} cannot be used ({source}); check the disk and the file's owner, then start again"
    )]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is damaged.
    #[error(
        "the signer's file {path} is damaged; keep it, ask another member for the ledger's current height, \
         and run `consilium node --renew-signer <height>`: without the file this node could sign twice"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// There is no file although the ledger has blocks.
    #[error(
        "the signer's file {path} is missing although the ledger has {height} blocks; put it back, or ask another \
         member for the ledger's current height and run `consilium node --renew-signer <height>`"
    )]
    Missing {
        /// Where the file should be.
        path: PathBuf,
        /// The ledger's height.
        height: Height,
    },
    /// The file is of another key, member or ledger.
    #[error("the signer's file {path} is of another {what}; check the node's directory, key and genesis file")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
}

/// Something that must not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningRefusal {
    /// A higher position was signed before.
    #[error("already signed at {last}, nothing is signed at {asked}; the node follows until it is past that")]
    Lower {
        /// The last position signed.
        last: Position,
        /// The position asked for.
        asked: Position,
    },
    /// Something else was signed at this position.
    #[error("something else was signed at {at} before; the node follows until the next position")]
    Conflict {
        /// The position.
        at: Position,
    },
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSigned {
    /// It must not be signed.
    #[error(transparent)]
    Refused(#[from] SigningRefusal),
    /// It could not be recorded; nothing is signed from then on.
    #[error(transparent)]
    Failed(#[from] SignerError),
}

#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
struct Record {
    format: String,
    ledger_id: LedgerId,
    member: HospitalId,
    consensus_key: [u8; 32],
    position: Position,
    digest: [u8; 32],
    signature: Signature,
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = borsh::to_vec(self).expect("writing to memory cannot fail");
        let checksum = tagged(CHECKSUM_LABEL, &[&bytes]);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (record, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        if tagged(CHECKSUM_LABEL, &[record]) != checksum {
            return None;
        }
        Self::try_from_slice(record).ok().filter(|record| record.format == FORMAT)
    }
}

/// A consensus key and the last position that it signed. One per key and machine: the file is not shared.
#[derive(Debug)]
pub struct Signer {
    path: PathBuf,
    key: SigningKey,
    last: Record,
    failed: bool,
}

impl Signer {
    /// Opens the file, or makes it for a member whose ledger is empty (`committed` = 0).
    ///
    /// # Errors
    /// A [`SignerError`]; the file is never replaced by an emptier one.
    pub fn open(
        path: &Path,
        ledger_id: &LedgerId,
        member: HospitalId,
        key: SigningKey,
        committed: Height,
    ) -> Result<Self, SignerError> {
        let disk = |source| SignerError::Disk { path: path.to_path_buf(), source };
        let last = match fs::metadata(path) {
            Ok(file) if file.len() > MAX_FILE_BYTES => return Err(SignerError::Corrupt { path: path.to_path_buf() }),
            Ok(_) => {
                let bytes = fs::read(path).map_err(disk)?;
                Record::decode(&bytes).ok_or_else(|| SignerError::Corrupt { path: path.to_path_buf() })?
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(error)),
            Err(_) if committed.get() > 0 => {
                return Err(SignerError::Missing { path: path.to_path_buf(), height: committed });
            }
            Err(_) => return Self::renew(path, ledger_id, member, key, committed),
        };
        let foreign = |what| Err(SignerError::Foreign { path: path.to_path_buf(), what });
        if last.ledger_id != *ledger_id {
            return foreign("ledger");
        }
        if last.member != member {
            return foreign("member");
        }
        if last.consensus_key != key.public_key() {
            return foreign("key");
        }
        Ok(Self { path: path.to_path_buf(), key, last, failed: false })
    }

    /// Replaces the file by one that signs nothing at or below the height `through`: what an operator does after
    /// losing it, with a height that the other members have reached.
    ///
    /// # Errors
    /// [`SignerError::Disk`].
    pub fn renew(
        path: &Path,
        ledger_id: &LedgerId,
        member: HospitalId,
        key: SigningKey,
        through: Height,
    ) -> Result<Self, SignerError> {
        let last = Record {
            format: FORMAT.to_string(),
            ledger_id: *ledger_id,
            member,
            consensus_key: key.public_key(),
            position: Position { height: through, round: u32::MAX, step: Step::Precommit },
            digest: [0; 32],
            signature: Signature::from_bytes([0; 64]),
        };
        let mut signer = Self { path: path.to_path_buf(), key, last, failed: false };
        signer.persist()?;
        Ok(signer)
    }

    /// The last position signed, or the highest that will not be.
    pub fn last(&self) -> Position {
        self.last.position
    }

    /// The public key that the signatures verify under.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.public_key()
    }

    /// Signs `digest` at `position`, which is on disk when this returns.
    ///
    /// # Errors
    /// [`NotSigned::Refused`] when the position was passed or holds another digest; [`NotSigned::Failed`] when
    /// recording failed, now or before.
    pub fn sign(&mut self, position: Position, digest: [u8; 32]) -> Result<Signature, NotSigned> {
        let last = self.last.position;
        if position < last {
            return Err(SigningRefusal::Lower { last, asked: position }.into());
        }
        if position == last {
            let same = digest == self.last.digest && !self.failed;
            return if same { Ok(self.last.signature) } else { Err(SigningRefusal::Conflict { at: position }.into()) };
        }
        if self.failed {
            let source = io::Error::other("an earlier write failed");
            return Err(SignerError::Disk { path: self.path.clone(), source }.into());
        }
        let signature = self.key.sign(&digest);
        self.last = Record { position, digest, signature, ..self.last.clone() };
        self.persist()?;
        Ok(signature)
    }

    /// Signs the binding of a peer identity to this key; it has no position and cannot be mistaken for a vote,
    /// whose digest has 32 bytes.
    pub(super) fn sign_peer_binding(&self, preimage: &[u8]) -> Option<Signature> {
        (preimage.len() != 32).then(|| self.key.sign(preimage))
    }

    fn persist(&mut self) -> Result<(), SignerError> {
        let result = replace_file(&self.path, &self.last.encode());
        result.map_err(|source| {
            self.failed = true;
            SignerError::Disk { path: self.path.clone(), source }
        })
    }
}

/// Replaces a file by `bytes`, all or nothing, on disk when it returns.
fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
