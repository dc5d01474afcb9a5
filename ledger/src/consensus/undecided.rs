//! Blocks that are proposed but not decided, on disk.
//!
//! Malachite's write-ahead log keeps hashes alone. A node that voted for a block, and then crashed, must still have
//! the block: others may decide it, and it may be the one that this node is locked on.

use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::ids::{BlockHash, Height, HospitalId};
use redb::{Database, ReadableDatabase, TableDefinition};

use super::parts::Announcement;
use crate::block::Block;

/// Height and hash, to a [`Row`].
const TABLE: TableDefinition<'_, (u64, [u8; 32]), &[u8]> = TableDefinition::new("undecided/v1");

/// The file of undecided blocks failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndecidedError {
    /// The store failed.
    #[error("the file of undecided blocks failed ({0}); check the disk's free space and health, then start again")]
    Store(String),
    /// A stored block cannot be read.
    #[error(
        "the file of undecided blocks is damaged; move it away together with the write-ahead log, leave the signer's \
         file, and start again: the node then abstains where it voted, and catches up"
    )]
    Corrupt,
}

fn failed(error: impl Into<redb::Error>) -> UndecidedError {
    match error.into() {
        redb::Error::Corrupted(_) => UndecidedError::Corrupt,
        other => UndecidedError::Store(other.to_string()),
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Row {
    round: u32,
    pol_round: Option<u32>,
    proposer: HospitalId,
    block: Vec<u8>,
}

/// The file of undecided blocks.
#[derive(Debug)]
pub struct Undecided {
    database: Database,
}

impl Undecided {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`UndecidedError`].
    pub fn open(path: &Path) -> Result<Self, UndecidedError> {
        let database = Database::create(path).map_err(failed)?;
        let write = database.begin_write().map_err(failed)?;
        write.open_table(TABLE).map_err(failed)?;
        write.commit().map_err(failed)?;
        Ok(Self { database })
    }

    /// All blocks proposed for `height`, with how each was last announced.
    ///
    /// # Errors
    /// [`UndecidedError`].
    pub fn at(&self, height: Height) -> Result<Vec<(Announcement, Vec<u8>)>, UndecidedError> {
        let read = self.database.begin_read().map_err(failed)?;
        let table = read.open_table(TABLE).map_err(failed)?;
        let mut found = Vec::new();
        for row in table.range((height.get(), [0; 32])..=(height.get(), [0xff; 32])).map_err(failed)? {
            let (key, row) = row.map_err(failed)?;
            let row = Row::try_from_slice(row.value()).map_err(|_| UndecidedError::Corrupt)?;
            let block = BlockHash::from_bytes(key.value().1);
            if Block::decode(&row.block).map(|decoded| decoded.hash()) != Ok(block) {
                return Err(UndecidedError::Corrupt);
            }
            let Row { round, pol_round, proposer, block: bytes } = row;
            found.push((Announcement { height, round, pol_round, proposer, block }, bytes));
        }
        Ok(found)
    }

    /// Keeps a block, on disk when this returns; forgets those of lower heights.
    ///
    /// # Errors
    /// [`UndecidedError`].
    pub fn keep(&self, announcement: &Announcement, encoded: &[u8]) -> Result<(), UndecidedError> {
        let Announcement { height, round, pol_round, proposer, block } = *announcement;
        let row = borsh::to_vec(&Row { round, pol_round, proposer, block: encoded.to_vec() })
            .map_err(|error| UndecidedError::Store(error.to_string()))?;
        let write = self.database.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(TABLE).map_err(failed)?;
            table.retain_in(..(height.get(), [0; 32]), |_, _| false).map_err(failed)?;
            table.insert((height.get(), *block.as_bytes()), row.as_slice()).map_err(failed)?;
        }
        write.commit().map_err(failed)?;
        Ok(())
    }
}
