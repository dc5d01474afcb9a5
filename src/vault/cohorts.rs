//! The cohorts that this hospital contributed, remembered on disk and encrypted, so that no later study can be
//! subtracted from an earlier one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use consilium_engine::rerun::{
    Basis, CohortMemory, Known, MemoryFormatError, MemoryKey, Placed, RerunError, SubjectSet, union,
};
use consilium_protocol::ids::{RoundNumber, StudyId};
use consilium_protocol::keys::{NoRandomness, random_bytes};
use tokio::sync::Mutex;
use tracing::info;
use zeroize::Zeroizing;

use crate::home::SecretError;
use crate::home::files::{self, FileError, Readable};
use crate::home::secrets::{self, Kind};

const FILE: &str = "cohorts.bin";
/// The folder of what is remembered of patients, by round.
const FOLDER: &str = "remembered";
/// No record is larger.
const MOST_BYTES: u64 = 1 << 31;

/// A memory that cannot be used. Carries nothing of a cohort.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CohortsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The operating system gives no randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The file is damaged, or of another key.
    #[error("cohorts.bin: {0}")]
    Format(#[from] MemoryFormatError),
    /// One of file and key is missing.
    #[error(
        "{0} is not there, so it is not known which cohorts this hospital contributed; restore it from your backup. If \
         this hospital never contributed to a study, remove cohorts.bin and secrets/memory.secret and start again"
    )]
    Lost(PathBuf),
    /// The memory is older than the ledger.
    #[error(
        "cohorts.bin or the folder remembered does not know of this hospital's contribution to study {0}, so it is from an old \
         backup; restore the newest of both together with secrets/memory.secret"
    )]
    Behind(StudyId),
    /// The cohort is too close to earlier ones.
    #[error(transparent)]
    Rerun(#[from] RerunError),
    /// The node is stopping.
    #[error("the program is stopping")]
    Stopped,
}

/// What the ledger says of a round that this hospital was to contribute to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This hospital contributed, and the sum may be or become known.
    Contributed,
    /// Its result was released.
    Released,
    /// It ended before all had contributed, so that no sum of it can be opened.
    Incomplete,
}

/// The rounds whose cohorts are to be remembered, those of private studies left out.
pub type History = BTreeMap<(StudyId, RoundNumber), Standing>;

/// The memory of a hospital's home. It is read when a cohort is contributed and gone after: 16 bytes for each patient would
/// be much to keep, so they pass by, and bitmaps alone are in memory while they do.
#[derive(Debug)]
pub struct Cohorts {
    file: Arc<MemoryFile>,
    /// Held from reading until what was read is replaced.
    turn: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct MemoryFile {
    path: PathBuf,
    folder: PathBuf,
    key: MemoryKey,
}

impl Cohorts {
    /// Checks that the memory can be opened, or that there is none yet.
    ///
    /// # Errors
    /// [`CohortsError`].
    pub fn check(home: &Path) -> Result<(), CohortsError> {
        let none = !home.join(FILE).exists() && !secrets::path(home, Kind::Memory).exists();
        if none { Ok(()) } else { Self::open(home).map(drop) }
    }

    /// Opens the memory, which is made if neither file nor key are there.
    ///
    /// # Errors
    /// [`CohortsError`].
    pub fn open(home: &Path) -> Result<Self, CohortsError> {
        let path = home.join(FILE);
        let key_path = secrets::path(home, Kind::Memory);
        let is_new = match (path.exists(), key_path.exists()) {
            (false, false) => true,
            (true, true) => false,
            (false, true) => return Err(CohortsError::Lost(path)),
            (true, false) => return Err(CohortsError::Lost(key_path)),
        };
        if is_new {
            secrets::create(home, Kind::Memory, &random_bytes()?)?;
        }
        let folder = home.join(FOLDER);
        files::create_private_dir(&folder)?;
        let file = MemoryFile { path, folder, key: MemoryKey::from_seed(*secrets::read(home, Kind::Memory)?) };
        if is_new {
            files::replace_with(&file.path, Readable::ByOwner, |to| CohortMemory::new().save(&file.key, [], to))?;
        }
        let (_, mut known) = file.read()?;
        known.try_for_each(|subject| subject.map(drop))?;
        Ok(Self { file: Arc::new(file), turn: Arc::default() })
    }

    /// Checks that nothing about fewer than `k` patients follows from this cohort and earlier ones, and remembers it
    /// before anything leaves.
    ///
    /// # Errors
    /// [`CohortsError`]; nothing may leave then.
    pub async fn contribute(
        &self,
        (study, round): (StudyId, RoundNumber),
        basis: Basis,
        cohort: SubjectSet,
        k: u32,
        history: History,
    ) -> Result<(), CohortsError> {
        let turn = self.turn.clone().lock_owned().await;
        let file = self.file.clone();
        let remembered = move || {
            let _turn = turn;
            file.remember((study, round), &basis, &cohort, k, &history)
        };
        let same = tokio::task::spawn_blocking(remembered).await.map_err(|_| CohortsError::Stopped)??;
        if same.iter().any(|other| *other != study) {
            info!(study = study.short(), "an earlier study was over the same cohort");
        }
        Ok(())
    }

    /// Remembers a cohort whose numbers are guarded otherwise.
    ///
    /// # Errors
    /// [`CohortsError`]; nothing may leave then.
    pub async fn note(
        &self,
        of: (StudyId, RoundNumber),
        basis: Basis,
        cohort: SubjectSet,
        history: History,
    ) -> Result<(), CohortsError> {
        let turn = self.turn.clone().lock_owned().await;
        let file = self.file.clone();
        let noted = move || {
            let _turn = turn;
            file.note(of, &basis, &cohort, &history)
        };
        tokio::task::spawn_blocking(noted).await.map_err(|_| CohortsError::Stopped)?
    }

    /// What a worker wanted to be remembered of a round.
    ///
    /// # Errors
    /// [`CohortsError::Behind`] when nothing is there, and others.
    pub fn record(&self, study: &StudyId, round: RoundNumber) -> Result<Zeroizing<Vec<u8>>, CohortsError> {
        match files::read_bytes(&self.file.record(study, round), MOST_BYTES) {
            Ok(sealed) => Ok(self.file.key.open(study, round, &sealed)?),
            Err(FileError::Missing(_)) => Err(CohortsError::Behind(*study)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether anything is remembered of a round.
    pub fn has_record(&self, study: &StudyId, round: RoundNumber) -> bool {
        self.file.record(study, round).exists()
    }

    /// Remembers what a worker wants to be, before anything leaves.
    ///
    /// # Errors
    /// [`CohortsError`]; nothing may leave then.
    pub fn keep_record(&self, study: &StudyId, round: RoundNumber, bytes: &[u8]) -> Result<(), CohortsError> {
        let sealed = self.file.key.seal(study, round, bytes)?;
        Ok(files::replace(&self.file.record(study, round), &sealed, Readable::ByOwner)?)
    }
}

impl MemoryFile {
    fn read(&self) -> Result<(CohortMemory, Known<BufReader<File>>), CohortsError> {
        Ok(CohortMemory::open(&self.key, files::open(&self.path)?)?)
    }

    fn record(&self, study: &StudyId, round: RoundNumber) -> PathBuf {
        self.folder.join(format!("{study}-{}.bin", round.get()))
    }

    fn remember(
        &self,
        of: (StudyId, RoundNumber),
        basis: &Basis,
        cohort: &SubjectSet,
        k: u32,
        history: &History,
    ) -> Result<Vec<StudyId>, CohortsError> {
        let (mut memory, known) = self.up_to_date(of, history)?;
        let same = memory.contribute(of.0, of.1, basis, &Placed::among(known, cohort)?, k)?;
        self.save(&memory, cohort)?;
        Ok(same)
    }

    fn note(
        &self,
        of: (StudyId, RoundNumber),
        basis: &Basis,
        cohort: &SubjectSet,
        history: &History,
    ) -> Result<(), CohortsError> {
        let (mut memory, known) = self.up_to_date(of, history)?;
        memory.note(of.0, of.1, basis, &Placed::among(known, cohort)?)?;
        self.save(&memory, cohort)
    }

    fn save(&self, memory: &CohortMemory, cohort: &SubjectSet) -> Result<(), CohortsError> {
        let (_, known) = self.read()?;
        Ok(files::replace_with(&self.path, Readable::ByOwner, |to| memory.save(&self.key, union(known, cohort), to))?)
    }

    /// The memory, with what the ledger says has become of its rounds.
    fn up_to_date(
        &self,
        of: (StudyId, RoundNumber),
        history: &History,
    ) -> Result<(CohortMemory, Known<BufReader<File>>), CohortsError> {
        let (mut memory, known) = self.read()?;
        let pending: Vec<_> = memory.pending().filter(|earlier| *earlier != of).collect();
        for (earlier, number) in pending {
            match history.get(&(earlier, number)) {
                Some(Standing::Released) => drop(memory.released(earlier, number)),
                Some(Standing::Incomplete) => {
                    memory.failed(earlier, number);
                    files::delete(&self.record(&earlier, number))?;
                }
                Some(Standing::Contributed) | None => {}
            }
        }
        let seen = history.iter().filter(|(_, standing)| **standing != Standing::Incomplete);
        if let Some(((behind, _), _)) =
            seen.into_iter().find(|((study, round), _)| memory.standing(*study, *round).is_none())
        {
            return Err(CohortsError::Behind(*behind));
        }
        Ok((memory, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_protocol::ids::{ContentHash, SubjectId};

    const BASIS: Basis = Basis { roster: ContentHash::from_bytes([4; 32]), terms: ContentHash::from_bytes([1; 32]) };

    fn cohort(range: std::ops::Range<u8>) -> SubjectSet {
        range.map(|name| SubjectId::from_bytes([name; 16])).collect()
    }

    fn study(name: u8) -> StudyId {
        StudyId::from_bytes([name; 32])
    }

    #[tokio::test]
    async fn what_was_contributed_is_known_after_a_restart() {
        let home = tempfile::tempdir().expect("a temporary folder");
        files::create_private_dir(&home.path().join("secrets")).expect("a folder");
        let round = RoundNumber::new(0);
        let cohorts = Cohorts::open(home.path()).expect("a memory");
        let empty = std::fs::read(home.path().join(FILE)).expect("a file");
        let history = |standing| History::from([((study(1), round), standing)]);
        cohorts.contribute((study(1), round), BASIS, cohort(0..50), 11, History::new()).await.expect("the first");
        let again = Cohorts::open(home.path()).expect("a memory");
        let contributed = history(Standing::Contributed);
        let close = again.contribute((study(2), round), BASIS, cohort(0..49), 11, contributed.clone()).await;
        assert!(matches!(close, Err(CohortsError::Rerun(RerunError::TooClose { study: of })) if of == study(1)));
        // From before the first contribution.
        std::fs::write(home.path().join(FILE), empty).expect("written");
        let old = Cohorts::open(home.path()).expect("a memory");
        let behind = old.contribute((study(2), round), BASIS, cohort(90..99), 11, contributed).await;
        assert!(matches!(behind, Err(CohortsError::Behind(of)) if of == study(1)));
        // What ended without a sum is forgotten; what was released is not.
        let incomplete = history(Standing::Incomplete);
        again
            .contribute((study(2), round), BASIS, cohort(0..49), 11, incomplete)
            .await
            .expect("the first is forgotten");
        let released = History::from([((study(2), round), Standing::Released)]);
        assert!(again.contribute((study(3), round), BASIS, cohort(0..48), 11, released).await.is_err());
    }

    #[tokio::test]
    async fn what_could_not_be_saved_was_not_contributed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (home, away) = (folder.path().join("home"), folder.path().join("away"));
        files::create_private_dir(&home.join("secrets")).expect("a folder");
        let round = RoundNumber::new(0);
        let cohorts = Cohorts::open(&home).expect("a memory");
        let contribute = async |study, cohort: &SubjectSet| {
            cohorts.contribute((study, round), BASIS, cohort.clone(), 11, History::new()).await
        };
        contribute(study(1), &cohort(0..50)).await.expect("the first");
        std::fs::rename(&home, &away).expect("renamed");
        assert!(matches!(contribute(study(2), &cohort(100..150)).await, Err(CohortsError::File(_))));
        assert!(matches!(contribute(study(1), &cohort(0..50)).await, Err(CohortsError::File(_))));
        std::fs::rename(&away, &home).expect("renamed");
        // Another cohort, for the one before never left; but what was saved before stays.
        contribute(study(2), &cohort(100..160)).await.expect("nothing was contributed to it");
        let other = contribute(study(1), &cohort(0..49)).await;
        assert!(matches!(other, Err(CohortsError::Rerun(RerunError::AlreadyContributed { .. }))), "{other:?}");
    }

    #[test]
    fn half_a_memory_is_not_believed() {
        let home = tempfile::tempdir().expect("a temporary folder");
        files::create_private_dir(&home.path().join("secrets")).expect("a folder");
        Cohorts::open(home.path()).expect("a memory");
        std::fs::rename(home.path().join(FILE), home.path().join("away")).expect("moved");
        assert!(matches!(Cohorts::open(home.path()), Err(CohortsError::Lost(_))));
        std::fs::rename(home.path().join("away"), home.path().join(FILE)).expect("moved");
        std::fs::write(home.path().join(FILE), b"csl-coho nonsense").expect("written");
        assert!(matches!(Cohorts::open(home.path()), Err(CohortsError::Format(_))));
        std::fs::remove_file(secrets::path(home.path(), Kind::Memory)).expect("removed");
        assert!(matches!(Cohorts::open(home.path()), Err(CohortsError::Lost(_))));
    }
}
