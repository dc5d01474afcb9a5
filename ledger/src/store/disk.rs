//! The ledger's file: a redb database of these tables.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | `u32` little-endian |
//! | | `chain` | chain id, UTF-8 |
//! | | `genesis` | hash of the genesis file |
//! | | `head` | [`Head`], borsh |
//! | `blocks` | height | [`Block::encode`] |
//! | `certificates` | height | [`Certificate::encode`] |
//! | `results` | height | [`StoredResult`], borsh |
//! | `outcomes` | transaction hash | height and [`Outcome`], borsh |
//! | `state` | typed key (see [`crate::state`]) | borsh |
//!
//! A block, its certificate and all that it changed are written in one transaction, on disk when it returns.

use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::ids::{AppHash, Height, TxHash};
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableHandle,
    WriteTransaction,
};

use super::error::ChainError;
use crate::apply::{BlockResult, Outcome};
use crate::block::Block;
use crate::certificate::Certificate;
use crate::event::Event;
use crate::state::{Head, State};

/// The format of the file that this program reads and writes.
pub const FORMAT: u32 = 1;

/// Memory for pages of the file; the state itself is held in memory apart from this.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
const CERTIFICATES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("certificates");
const RESULTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("results");
const OUTCOMES: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("outcomes");
const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");

/// What came of a block, apart from its transactions' outcomes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredResult {
    /// The application hash after the block.
    pub app_hash: AppHash,
    /// What the block changed.
    pub events: Vec<Event>,
}

pub(super) struct Disk {
    database: Database,
    path: PathBuf,
}

impl Disk {
    /// Opens the file, or makes it, for the ledger that `state` is the beginning of.
    pub(super) fn open(path: &Path, state: &State) -> Result<Self, ChainError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create(path).map_err(|error| open_error(error, path))?;
        let disk = Self { database, path: path.to_path_buf() };
        let tables: Vec<String> = {
            let read = disk.database.begin_read()?;
            read.list_tables()?.map(|table| table.name().to_string()).collect()
        };
        if tables.is_empty() {
            disk.found(state)?;
        } else if tables.iter().any(|name| name == META.name()) {
            disk.check_meta(state)?;
        } else {
            return Err(ChainError::Foreign { path: path.to_path_buf() });
        }
        Ok(disk)
    }

    /// Writes an empty ledger.
    fn found(&self, state: &State) -> Result<(), ChainError> {
        let write = self.begin()?;
        {
            let mut meta = write.open_table(META)?;
            meta.insert("format", FORMAT.to_le_bytes().as_slice())?;
            meta.insert("chain", state.genesis().chain_id.as_str().as_bytes())?;
            meta.insert("genesis", state.genesis().hash().as_bytes().as_slice())?;
            meta.insert("head", encode(state.head()).as_slice())?;
            write.open_table(BLOCKS)?;
            write.open_table(CERTIFICATES)?;
            write.open_table(RESULTS)?;
            write.open_table(OUTCOMES)?;
            write.open_table(STATE)?;
        }
        write.commit()?;
        Ok(())
    }

    fn check_meta(&self, state: &State) -> Result<(), ChainError> {
        let read = self.database.begin_read()?;
        let meta = read.open_table(META).map_err(|_| ChainError::Foreign { path: self.path.clone() })?;
        let value = |key: &str| -> Result<Vec<u8>, ChainError> {
            let value = meta.get(key)?.ok_or_else(|| ChainError::Foreign { path: self.path.clone() })?;
            Ok(value.value().to_vec())
        };
        let format = value("format")?.try_into().map(u32::from_le_bytes);
        match format {
            Ok(FORMAT) => {}
            Ok(found) => return Err(ChainError::Format { found, expected: FORMAT }),
            Err(_) => return Err(ChainError::Foreign { path: self.path.clone() }),
        }
        let chain = value("chain")?;
        let expected = state.genesis().chain_id.as_str();
        if chain != expected.as_bytes() {
            let found = String::from_utf8_lossy(&chain).into_owned();
            return Err(ChainError::OtherChain { found, expected: expected.to_string() });
        }
        if value("genesis")? != state.genesis().hash().as_bytes() {
            return Err(ChainError::OtherGenesis);
        }
        Ok(())
    }

    /// Reads the state, and checks that head, last block, certificate and result agree.
    pub(super) fn load(&self, state: &mut State) -> Result<(), ChainError> {
        let founding = *state.head();
        let head: Head = {
            let read = self.database.begin_read()?;
            let meta = read.open_table(META)?;
            let bytes = meta.get("head")?.ok_or(ChainError::Damaged { what: "it has no head" })?;
            borsh::from_slice(bytes.value()).map_err(|_| ChainError::Damaged { what: "its head cannot be read" })?
        };
        let read = self.database.begin_read()?;
        for entry in read.open_table(STATE)?.iter()? {
            let (key, value) = entry?;
            state.load(key.value(), value.value())?;
        }
        state.loaded(head);
        let height = head.moment.height;
        let last = |name: &'static str, table: redb::ReadOnlyTable<u64, &'static [u8]>| match table.last()? {
            Some((last, _)) if last.value() == height.get() => Ok(()),
            None if height.get() == 0 => Ok(()),
            _ => Err(ChainError::Damaged { what: name }),
        };
        last("its blocks end at another height than its head", read.open_table(BLOCKS)?)?;
        last("its certificates end at another height than its head", read.open_table(CERTIFICATES)?)?;
        last("its results end at another height than its head", read.open_table(RESULTS)?)?;
        if height.get() == 0 {
            let fits = head == founding;
            return if fits {
                Ok(())
            } else {
                Err(ChainError::Damaged { what: "it does not begin at its genesis file" })
            };
        }
        self.check_end(state, founding)
    }

    fn check_end(&self, state: &State, founding: Head) -> Result<(), ChainError> {
        let head = state.head();
        let height = head.moment.height;
        let (block, certificate) =
            self.decided(height)?.ok_or(ChainError::Damaged { what: "its last block is missing" })?;
        if block.hash() != head.block || block.header.time != head.moment.time || block.header.height != height {
            return Err(ChainError::Damaged { what: "its last block is not its head" });
        }
        if certificate.block != head.block || certificate.verify(state.ledger_id(), state.validators()).is_err() {
            return Err(ChainError::Damaged { what: "its last certificate does not prove its last block" });
        }
        let result = |height: Height| -> Result<AppHash, ChainError> {
            let result = self.result(height)?.ok_or(ChainError::Damaged { what: "a block's result is missing" })?;
            Ok(result.app_hash)
        };
        let before = match height.get() {
            1 => founding.app_hash,
            later => result(Height::new(later - 1))?,
        };
        if result(height)? != head.app_hash || before != block.header.app_hash {
            return Err(ChainError::Damaged { what: "its application hashes do not follow each other" });
        }
        Ok(())
    }

    /// Writes a block and all that it changed, in one transaction.
    pub(super) fn write(
        &self,
        block: &Block,
        certificate: &Certificate,
        head: &Head,
        result: &BlockResult,
    ) -> Result<(), ChainError> {
        let height = head.moment.height;
        let write = self.begin()?;
        {
            write.open_table(BLOCKS)?.insert(height.get(), block.encode().as_slice())?;
            write.open_table(CERTIFICATES)?.insert(height.get(), certificate.encode().as_slice())?;
            let stored = StoredResult { app_hash: head.app_hash, events: result.events.clone() };
            write.open_table(RESULTS)?.insert(height.get(), encode(&stored).as_slice())?;
            let mut outcomes = write.open_table(OUTCOMES)?;
            for (hash, outcome) in &result.outcomes {
                // A copy of a transaction is rejected as a replay; what its author asks for is the first outcome.
                if outcomes.get(hash.as_bytes())?.is_none() {
                    outcomes.insert(hash.as_bytes(), encode(&(height, outcome)).as_slice())?;
                }
            }
            let mut state = write.open_table(STATE)?;
            for (key, value) in &result.changes {
                state.insert(key.as_slice(), value.as_slice())?;
            }
            write.open_table(META)?.insert("head", encode(head).as_slice())?;
        }
        write.commit()?;
        Ok(())
    }

    pub(super) fn decided(&self, height: Height) -> Result<Option<(Block, Certificate)>, ChainError> {
        let read = self.database.begin_read()?;
        let Some(block) = read.open_table(BLOCKS)?.get(height.get())? else { return Ok(None) };
        let Some(certificate) = read.open_table(CERTIFICATES)?.get(height.get())? else { return Ok(None) };
        let block = Block::decode(block.value()).map_err(|_| ChainError::Damaged { what: "a block cannot be read" })?;
        let certificate = Certificate::decode(certificate.value())
            .map_err(|_| ChainError::Damaged { what: "a certificate cannot be read" })?;
        Ok(Some((block, certificate)))
    }

    pub(super) fn result(&self, height: Height) -> Result<Option<StoredResult>, ChainError> {
        let read = self.database.begin_read()?;
        let Some(bytes) = read.open_table(RESULTS)?.get(height.get())? else { return Ok(None) };
        let result =
            borsh::from_slice(bytes.value()).map_err(|_| ChainError::Damaged { what: "a result cannot be read" })?;
        Ok(Some(result))
    }

    pub(super) fn outcome(&self, hash: &TxHash) -> Result<Option<(Height, Outcome)>, ChainError> {
        let read = self.database.begin_read()?;
        let Some(bytes) = read.open_table(OUTCOMES)?.get(hash.as_bytes())? else { return Ok(None) };
        let outcome =
            borsh::from_slice(bytes.value()).map_err(|_| ChainError::Damaged { what: "an outcome cannot be read" })?;
        Ok(Some(outcome))
    }

    pub(super) fn file_bytes(&self) -> Result<u64, ChainError> {
        Ok(std::fs::metadata(&self.path)?.len())
    }

    fn begin(&self) -> Result<WriteTransaction, ChainError> {
        let mut write = self.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        // Members can choose some of the bytes written. In two phases, a crash never leaves it to a checksum, which is
        // not cryptographic, to tell a whole commit from half of one.
        write.set_two_phase_commit(true);
        Ok(write)
    }
}

fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to memory cannot fail")
}

fn open_error(error: DatabaseError, path: &Path) -> ChainError {
    let path = path.to_path_buf();
    match error {
        DatabaseError::DatabaseAlreadyOpen => ChainError::InUse { path },
        DatabaseError::Storage(StorageError::Io(io)) if io.kind() == std::io::ErrorKind::InvalidData => {
            ChainError::Foreign { path }
        }
        DatabaseError::Storage(StorageError::Corrupted(_)) => ChainError::Damaged { what: "its file is corrupt" },
        other => ChainError::Storage(other.to_string()),
    }
}
