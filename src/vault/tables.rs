//! The hospital's tables as they are on disk now: opened when the node starts, and again when a file has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use consilium_engine::store::{Store, StoreConfig, StoreError};
use tokio::sync::Mutex;
use tracing::info;

/// Names, sizes and times of change of a folder's files.
type Fingerprint = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The tables.
#[derive(Debug)]
pub struct Tables {
    config: StoreConfig,
    opened: Mutex<Opened>,
}

#[derive(Debug)]
struct Opened {
    of: Fingerprint,
    store: Option<Arc<Store>>,
}

impl Tables {
    /// Opens the tables.
    ///
    /// # Errors
    /// [`StoreError`] when something is wrong with a file.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let tables =
            Self { config: config.clone(), opened: Mutex::new(Opened { of: Fingerprint::new(), store: None }) };
        tables.current().await?;
        Ok(tables)
    }

    /// The tables as they are now.
    ///
    /// # Errors
    /// [`StoreError`] when something is wrong with a file; the next call looks again.
    pub async fn current(&self) -> Result<Arc<Store>, StoreError> {
        let mut opened = self.opened.lock().await;
        // Taken before reading: a file that changes meanwhile is noticed at the next call.
        let now = fingerprint(&self.config.folder);
        if let Some(store) = opened.store.as_ref().filter(|_| opened.of == now) {
            return Ok(store.clone());
        }
        let again = opened.store.take().is_some();
        let store = Arc::new(Store::open(&self.config).await?);
        if again {
            info!("files of the store have changed; they were read again");
        }
        *opened = Opened { of: now, store: Some(store.clone()) };
        Ok(store)
    }
}

/// The files of a folder and of the folders right below it, which hold a table's parts. What cannot be looked at is left
/// out: opening the store says what is wrong.
fn fingerprint(folder: &Path) -> Fingerprint {
    let mut found = Fingerprint::new();
    let mut folders = vec![(folder.to_path_buf(), true)];
    while let Some((folder, descend)) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            if metadata.is_dir() && descend {
                folders.push((entry.path(), false));
            }
            found.push((entry.path(), metadata.len(), metadata.modified().ok()));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changed_files_are_read_again_and_unchanged_ones_are_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let person = folder.path().join("person.csv");
        fs::write(&person, "person_id,year_of_birth\n1,1950\n").expect("a file");
        let config = StoreConfig { folder: folder.path().to_path_buf(), tables: Default::default() };
        let tables = Tables::open(&config).await.expect("a store");
        let first = tables.current().await.expect("a store");
        assert!(Arc::ptr_eq(&first, &tables.current().await.expect("a store")));

        fs::write(&person, "person_id,year_of_birth\n1,1950\n2,1960\n").expect("a file");
        let rows = |store: &Store| store.summary().tables[0].rows;
        assert_eq!(rows(&tables.current().await.expect("a store")), Some(2));

        // A broken file is an error now, and forgotten once it is mended.
        fs::write(&person, "person_id,year_of_birth\n1\n").expect("a file");
        assert!(tables.current().await.is_err());
        assert!(tables.current().await.is_err());
        fs::write(&person, "person_id,year_of_birth\n3,1970\n").expect("a file");
        assert_eq!(rows(&tables.current().await.expect("a store")), Some(1));
    }

    #[test]
    fn parts_of_a_table_count() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let before = fingerprint(folder.path());
        fs::create_dir(folder.path().join("person")).expect("a folder");
        fs::write(folder.path().join("person/part-0.parquet"), "x").expect("a file");
        assert_eq!(fingerprint(folder.path()).len(), before.len() + 2);
    }
}
