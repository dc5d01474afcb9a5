//! A ledger as a file: every block with its certificate, for auditors and for members that start anew.
//!
//! | part | bytes |
//! |---|---|
//! | magic | `CONSILIUM-LEDGER` (16) |
//! | version | `u16` little-endian |
//! | genesis | 32: the hash of the genesis file |
//! | for each block, from height 1 | length of the block as `u32` little-endian, never 0; [`Block::encode`] |
//! | | length of the certificate as `u32` little-endian; [`Certificate::encode`] |
//! | end | `u32` 0, then the number of blocks as `u64` little-endian |
//! | digest | 32: SHA-256 of everything before |
//!
//! The digest finds accidents; forgery is found by certificates, which [`crate::audit`] checks.

use std::io::{Read, Write};

use consilium_protocol::ids::{BlockHash, Height};
use sha2::{Digest, Sha256};

use crate::block::{Block, BlockFault, MAX_BLOCK_BYTES};
use crate::certificate::{Certificate, CertificateFault, MAX_CERTIFICATE_BYTES};
use crate::store::{Chain, ChainError};

/// How an export begins.
pub const MAGIC: &[u8; 16] = b"CONSILIUM-LEDGER";
/// The version of the format that this program reads and writes.
pub const VERSION: u16 = 1;

/// An export that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The file could not be read or written.
    #[error("the export cannot be read or written ({0}); check the path and the disk")]
    Io(#[from] std::io::Error),
    /// The ledger could not be read.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The file is no export.
    #[error("this is not an export of a ledger; make one with `consilium export`")]
    Magic,
    /// The file is of another version.
    #[error("the export is of version {0}, this program reads version {VERSION}; use a matching release")]
    Version(u16),
    /// The file ends too early.
    #[error("the export ends within or before the block at height {height}; fetch it again in full")]
    Truncated {
        /// The height being read.
        height: Height,
    },
    /// A length is beyond what a block or certificate may have.
    #[error("the export is damaged at height {height}: a length of {length} bytes is impossible; fetch it again")]
    Length {
        /// The height being read.
        height: Height,
        /// The length found.
        length: u32,
    },
    /// A block cannot be read.
    #[error("the export is damaged at height {height}: {fault}")]
    Block {
        /// The height being read.
        height: Height,
        /// What is wrong.
        fault: BlockFault,
    },
    /// A certificate cannot be read.
    #[error("the export is damaged at height {height}: {fault}")]
    Certificate {
        /// The height being read.
        height: Height,
        /// What is wrong.
        fault: CertificateFault,
    },
    /// The number of blocks is not what the end says.
    #[error("the export holds {found} blocks, its end says {expected}; fetch it again in full")]
    Count {
        /// How many were read.
        found: u64,
        /// How many its end says.
        expected: u64,
    },
    /// The digest does not fit.
    #[error("the export was changed after it was made: its digest does not fit; fetch it again")]
    Digest,
    /// Something follows the digest.
    #[error("something follows the end of the export; fetch it again")]
    Trailing,
}

/// Writes an export block by block.
pub struct ExportWriter<W> {
    out: W,
    hasher: Sha256,
    blocks: u64,
}

impl<W: Write> ExportWriter<W> {
    /// Begins an export of the ledger of this genesis file.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn new(out: W, genesis: &BlockHash) -> Result<Self, ExportError> {
        let mut writer = Self { out, hasher: Sha256::new(), blocks: 0 };
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.put(genesis.as_bytes())?;
        Ok(writer)
    }

    /// Adds the next block.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn write(&mut self, block: &Block, certificate: &Certificate) -> Result<(), ExportError> {
        for bytes in [block.encode(), certificate.encode()] {
            // Blocks and certificates are capped far below 4 GiB.
            self.put(&(bytes.len() as u32).to_le_bytes())?;
            self.put(&bytes)?;
        }
        self.blocks += 1;
        Ok(())
    }

    /// Ends the export; tells how many blocks it holds.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn finish(mut self) -> Result<u64, ExportError> {
        self.put(&0u32.to_le_bytes())?;
        self.put(&self.blocks.to_le_bytes())?;
        let digest = self.hasher.finalize();
        self.out.write_all(&digest)?;
        self.out.flush()?;
        Ok(self.blocks)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)?;
        Ok(())
    }
}

/// Writes all of a ledger, up to the block that is its last when this begins; tells how many blocks that is.
///
/// # Errors
/// [`ExportError`] when ledger or file fail.
pub fn export<W: Write>(chain: &Chain, out: W) -> Result<u64, ExportError> {
    let (genesis, last) = chain.read(|state| (state.genesis().hash(), state.height()))?;
    let mut writer = ExportWriter::new(out, &genesis)?;
    for height in 1..=last.get() {
        let height = Height::new(height);
        let missing = ChainError::Damaged { what: "a block is missing" };
        let (block, certificate) = chain.block(height)?.ok_or(missing)?;
        writer.write(&block, &certificate)?;
    }
    writer.finish()
}

/// Reads an export block by block, never holding more than one. What it yields is well-formed, not proven.
pub struct ExportReader<R> {
    input: R,
    hasher: Sha256,
    genesis: BlockHash,
    blocks: u64,
    ended: bool,
}

impl<R: Read> ExportReader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`ExportError::Magic`] or [`ExportError::Version`] when this is no export that this program reads.
    pub fn new(input: R) -> Result<Self, ExportError> {
        let mut reader =
            Self { input, hasher: Sha256::new(), genesis: BlockHash::from_bytes([0; 32]), blocks: 0, ended: false };
        let magic: [u8; 16] = reader.take().map_err(|error| if is_end(&error) { ExportError::Magic } else { error })?;
        if magic != *MAGIC {
            return Err(ExportError::Magic);
        }
        let version = u16::from_le_bytes(reader.take()?);
        if version != VERSION {
            return Err(ExportError::Version(version));
        }
        reader.genesis = BlockHash::from_bytes(reader.take()?);
        Ok(reader)
    }

    /// The hash of the genesis file that the ledger says it was founded by.
    pub const fn genesis(&self) -> &BlockHash {
        &self.genesis
    }

    /// The next block and its certificate; `None` at the end, when number and digest fit.
    ///
    /// # Errors
    /// [`ExportError`], saying at which height.
    pub fn next_block(&mut self) -> Result<Option<(Block, Certificate)>, ExportError> {
        if self.ended {
            return Ok(None);
        }
        let height = self.reading();
        let length = u32::from_le_bytes(self.take()?);
        if length == 0 {
            self.end()?;
            self.ended = true;
            return Ok(None);
        }
        let block = self.take_sized(length, MAX_BLOCK_BYTES)?;
        let block = Block::decode(&block).map_err(|fault| ExportError::Block { height, fault })?;
        let length = u32::from_le_bytes(self.take()?);
        let certificate = self.take_sized(length, MAX_CERTIFICATE_BYTES)?;
        let certificate =
            Certificate::decode(&certificate).map_err(|fault| ExportError::Certificate { height, fault })?;
        self.blocks += 1;
        Ok(Some((block, certificate)))
    }

    fn end(&mut self) -> Result<(), ExportError> {
        let expected = u64::from_le_bytes(self.take()?);
        if expected != self.blocks {
            return Err(ExportError::Count { found: self.blocks, expected });
        }
        let digest: [u8; 32] = self.hasher.clone().finalize().into();
        if self.take::<32>()? != digest {
            return Err(ExportError::Digest);
        }
        let mut more = [0u8; 1];
        if self.input.read(&mut more)? == 0 { Ok(()) } else { Err(ExportError::Trailing) }
    }

    fn reading(&self) -> Height {
        Height::new(self.blocks.saturating_add(1))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ExportError> {
        let mut bytes = [0u8; N];
        let height = self.reading();
        self.input.read_exact(&mut bytes).map_err(|error| truncated(error, height))?;
        self.hasher.update(bytes);
        Ok(bytes)
    }

    fn take_sized(&mut self, length: u32, most: usize) -> Result<Vec<u8>, ExportError> {
        let height = self.reading();
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        if size > most {
            return Err(ExportError::Length { height, length });
        }
        let mut bytes = vec![0u8; size];
        self.input.read_exact(&mut bytes).map_err(|error| truncated(error, height))?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}

fn truncated(error: std::io::Error, height: Height) -> ExportError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => ExportError::Truncated { height },
        _ => ExportError::Io(error),
    }
}

fn is_end(error: &ExportError) -> bool {
    matches!(error, ExportError::Truncated { .. })
}
