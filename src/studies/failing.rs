//! What a hospital owes to a study and cannot do. Without it a study would only seem to take long.
//!
//! Two messages: the hospital's own people read what is wrong and what to do in the home's `failing.json`; everybody else
//! is told the [kind](Told) alone, and of an error in which patients' rows had a part not even that.
//!
//! What used up its limits, or ended its worker, is tried again twice, and then when the hospital's steward says so: a command
//! leaves a file named after the study in the home's folder `retry`, which the node takes away ([`ask_again`],
//! [`Board::asked`]).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use consilium_protocol::ids::StudyId;
use serde::{Deserialize, Serialize};
use tonic::metadata::MetadataMap;
use tracing::warn;

use crate::home::FileError;
use crate::home::files::{self, Readable};

const FILE: &str = "failing.json";
const RETRY: &str = "retry";
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Where an answer about a study says what the asked hospital cannot do for it.
const METADATA: &str = "consilium-failing";

/// A duty that fails, for the hospital's own people. Carries no value of a patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The study.
    pub study: StudyId,
    /// What cannot be done.
    pub duty: String,
    /// Since when, by this machine's clock.
    pub since_ms: u64,
    /// How often it was tried.
    pub tries: u32,
    /// The kind of error, one word.
    pub kind: String,
    /// The kind that others are told.
    pub told: String,
    /// What is wrong and what to do.
    pub message: String,
    /// It is too late: the round ended meanwhile.
    pub over: bool,
    /// It is tried again only when the steward says so.
    pub waits: bool,
}

/// A duty that fails, for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What cannot be done.
    pub duty: String,
    /// The kind of error, one word.
    pub kind: String,
    /// Since when, by that hospital's clock.
    pub since_ms: u64,
}

impl Told {
    /// Adds it to an answer.
    pub fn attach(&self, metadata: &mut MetadataMap) {
        if let Ok(value) = format!("{};{};{}", self.duty, self.kind, self.since_ms).parse() {
            metadata.append(METADATA, value);
        }
    }

    /// All that an answer says; what cannot be read is left out.
    pub fn all(metadata: &MetadataMap) -> Vec<Self> {
        let read = |text: &str| {
            let mut parts = text.splitn(3, ';');
            let (duty, kind) = (parts.next()?.to_string(), parts.next()?.to_string());
            let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let since_ms = parts.next()?.parse().ok()?;
            (word(&duty) && word(&kind)).then_some(Self { duty, kind, since_ms })
        };
        metadata.get_all(METADATA).iter().filter_map(|value| read(value.to_str().ok()?)).collect()
    }
}

/// What fails, and what failed until it was too late.
#[derive(Debug)]
pub struct Board {
    file: PathBuf,
    retry: PathBuf,
    failing: Mutex<Vec<Failing>>,
}

impl Board {
    /// A board in this home that says nothing yet.
    ///
    /// # Errors
    /// [`FileError`] when what an earlier run left cannot be cleared.
    pub fn open(home: &Path) -> Result<Self, FileError> {
        let board = Self { file: home.join(FILE), retry: home.join(RETRY), failing: Mutex::default() };
        files::replace(&board.file, b"[]", Readable::ByOwner)?;
        files::create_private_dir(&board.retry)?;
        Ok(board)
    }

    /// Says what fails from now on, if it differs.
    pub fn publish(&self, failing: Vec<Failing>) {
        let mut current = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == failing {
            return;
        }
        let text = serde_json::to_vec_pretty(&failing).unwrap_or_default();
        if let Err(error) = files::replace(&self.file, &text, Readable::ByOwner) {
            warn!(%error, "what fails could not be written down");
        }
        *current = failing;
    }

    /// What others are told about a study.
    pub fn told(&self, study: &StudyId) -> Vec<Told> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let of = failing.iter().filter(|f| f.study == *study);
        of.map(|f| Told { duty: f.duty.clone(), kind: f.told.clone(), since_ms: f.since_ms }).collect()
    }

    /// The studies that the steward wants tried again; each is said once.
    pub fn asked(&self) -> Vec<StudyId> {
        let entries = std::fs::read_dir(&self.retry).into_iter().flatten().filter_map(Result::ok);
        let taken = entries.filter_map(|entry| {
            let study = entry.file_name().to_str()?.parse().ok()?;
            std::fs::remove_file(entry.path()).is_ok().then_some(study)
        });
        taken.collect()
    }

    /// How many duties fail now.
    pub fn count(&self) -> usize {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|f| !f.over).count()
    }
}

/// Has the node of this home try again what it owes to a study.
///
/// # Errors
/// [`FileError`].
pub fn ask_again(home: &Path, study: &StudyId) -> Result<(), FileError> {
    files::replace(&home.join(RETRY).join(study.to_string()), b"", Readable::ByOwner)
}

/// What the node of this home last said that it cannot do.
pub fn read(home: &Path) -> Vec<Failing> {
    let bytes = files::read_bytes(&home.join(FILE), MAX_BYTES).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::LOCAL;

    fn failing(duty: &str) -> Failing {
        Failing {
            study: StudyId::from_bytes([3; 32]),
            duty: duty.to_string(),
            since_ms: 1_700_000_000_000,
            tries: 2,
            kind: "null_subject".to_string(),
            told: LOCAL.to_string(),
            message: "the query yields a row without a person".to_string(),
            over: false,
            waits: false,
        }
    }

    #[test]
    fn what_the_steward_asks_for_is_heard_once() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let board = Board::open(home.path()).expect("a board");
        assert!(board.asked().is_empty());
        let study = StudyId::from_bytes([3; 32]);
        ask_again(home.path(), &study).expect("written");
        ask_again(home.path(), &study).expect("written");
        std::fs::write(home.path().join(RETRY).join("no study"), b"").expect("written");
        assert_eq!(board.asked(), [study]);
        assert!(board.asked().is_empty());
    }

    #[test]
    fn the_steward_reads_the_message_and_others_the_kind_alone() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let board = Board::open(home.path()).expect("a board");
        assert!(read(home.path()).is_empty());
        board.publish(vec![failing("contribute")]);
        assert_eq!(read(home.path()), [failing("contribute")]);

        let mut metadata = MetadataMap::new();
        board.told(&StudyId::from_bytes([3; 32])).iter().for_each(|told| told.attach(&mut metadata));
        let told = Told { duty: "contribute".to_string(), kind: "local".to_string(), since_ms: 1_700_000_000_000 };
        assert_eq!(Told::all(&metadata), [told]);
        assert!(board.told(&StudyId::from_bytes([4; 32])).is_empty());

        board.publish(Vec::new());
        assert!(read(home.path()).is_empty());
    }

    #[test]
    fn what_is_no_report_is_left_out() {
        let mut metadata = MetadataMap::new();
        for bad in ["", "contribute", "contribute;x;y", ";;1", "a;\u{1b}[31m;1"] {
            if let Ok(value) = bad.parse() {
                metadata.append(METADATA, value);
            }
        }
        assert!(Told::all(&metadata).is_empty());
    }
}
