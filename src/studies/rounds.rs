//! What a hospital made in its rounds, kept on disk: a contribution is computed once, and the same bytes are given to
//! whoever asks, before and after a crash. Two different contributions to one round would let their difference be
//! learned.

use std::path::PathBuf;

use consilium_protocol::ids::{ContentHash, RoundNumber, StudyId};
use consilium_protocol::wire::MAX_CIPHERTEXT_BYTES;

use crate::home::files::{self, FileError, Readable};

/// How the names of what others committed to begin.
const OTHERS: &str = "others-";

/// What is kept of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// The hospital's own encrypted contribution.
    Contribution,
    /// The seed of the veil over it, sealed to the custodian, after the hash of the commitments to its keys; kept before the
    /// contribution.
    Veil,
    /// The counts of it, sealed to the witness; kept before the contribution.
    Counts,
    /// What shows how it was made; kept before the contribution.
    Proof,
    /// The sum of all contributions; padded in a guarded round.
    Sum,
    /// The seeds of a guarded round's pads, under the custodian's key.
    Seeds,
    /// The seeds that the witness of a guarded round sealed, under the custodian's key.
    WitnessSeeds,
    /// Which sets passed; kept before the seeds of those.
    Passed,
    /// The seeds that passed, sealed to the researcher.
    DisclosedSeeds,
    /// What another hospital committed to, by its hash, and one of the roster says that it cannot have.
    Others(ContentHash),
}

impl Piece {
    const ALL: [Self; 9] = [
        Self::Contribution,
        Self::Veil,
        Self::Counts,
        Self::Proof,
        Self::Sum,
        Self::Seeds,
        Self::WitnessSeeds,
        Self::Passed,
        Self::DisclosedSeeds,
    ];

    fn suffix(self) -> String {
        let name = match self {
            Self::Others(hash) => return format!("{OTHERS}{hash}"),
            Self::Contribution => "contribution",
            Self::Veil => "veil",
            Self::Counts => "counts",
            Self::Proof => "proof",
            Self::Sum => "sum",
            Self::Seeds => "seeds",
            Self::WitnessSeeds => "witness",
            Self::Passed => "passed",
            Self::DisclosedSeeds => "disclosed",
        };
        name.to_string()
    }

    fn of_suffix(suffix: &str) -> Option<Self> {
        match suffix.strip_prefix(OTHERS) {
            Some(hash) => Some(Self::Others(hash.parse().ok()?)),
            None => Self::ALL.into_iter().find(|piece| piece.suffix() == suffix),
        }
    }
}

/// A piece that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeptPiece {
    pub(super) study: StudyId,
    pub(super) round: RoundNumber,
    pub(super) piece: Piece,
}

/// The folder of rounds.
#[derive(Clone, Debug)]
pub struct Rounds {
    folder: PathBuf,
}

impl Rounds {
    /// The rounds kept in a folder, which is made if missing.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(folder: PathBuf) -> Result<Self, FileError> {
        files::create_private_dir(&folder)?;
        Ok(Self { folder })
    }

    fn path(&self, study: &StudyId, round: RoundNumber, piece: Piece) -> PathBuf {
        self.folder.join(format!("{study}-{round}.{}", piece.suffix()))
    }

    /// Keeps a piece, whole and synced.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn keep(&self, study: &StudyId, round: RoundNumber, piece: Piece, bytes: &[u8]) -> Result<(), FileError> {
        files::replace(&self.path(study, round, piece), bytes, Readable::ByOwner)
    }

    /// A piece, if it was kept.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn get(&self, study: &StudyId, round: RoundNumber, piece: Piece) -> Result<Option<Vec<u8>>, FileError> {
        match files::read_bytes(&self.path(study, round, piece), MAX_CIPHERTEXT_BYTES) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FileError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything that is kept.
    pub(super) fn kept(&self) -> Vec<KeptPiece> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        let piece = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            let (stem, suffix) = name.to_str()?.split_once('.')?;
            let (study, round) = stem.split_once('-')?;
            let piece = Piece::of_suffix(suffix)?;
            Some(KeptPiece { study: study.parse().ok()?, round: RoundNumber::new(round.parse().ok()?), piece })
        };
        entries.filter_map(piece).collect()
    }

    /// Deletes a piece.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) fn forget(&self, piece: &KeptPiece) -> Result<(), FileError> {
        files::delete(&self.path(&piece.study, piece.round, piece.piece))
    }
}
