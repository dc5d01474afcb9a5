//! Whether the files of a store are still those that a worker opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use consilium_engine::store::{PARTS_DEPTH, Place, csv_bytes};

/// Names, sizes and times of change of a folder's files, and of those in folders below it, which hold a table's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl Fingerprint {
    /// What cannot be looked at is left out: opening the store says what is wrong. Of a database, it is the files that it is
    /// entered with; what is in it is looked at study by study.
    pub(super) fn of(place: &Place) -> Self {
        match place {
            Place::Folder(folder) | Place::Arranged { folder, .. } => Self::of_folder(folder),
            Place::Database(database) => {
                let files = [&database.password_file, &database.tls_root].into_iter().flatten();
                let look = |path: &PathBuf| {
                    let metadata = fs::metadata(path).ok()?;
                    Some((path.clone(), metadata.len(), metadata.modified().ok()))
                };
                Self(files.filter_map(look).collect())
            }
        }
    }

    fn of_folder(folder: &Path) -> Self {
        let mut found = Vec::new();
        let mut folders = vec![(folder.to_path_buf(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                let Ok(metadata) = fs::metadata(entry.path()) else { continue };
                if metadata.is_dir() && depth < PARTS_DEPTH {
                    folders.push((entry.path(), depth + 1));
                }
                found.push((entry.path(), metadata.len(), metadata.modified().ok()));
            }
        }
        found.sort();
        Self(found)
    }

    /// The bytes of all CSV files, which are kept in memory while the store is open.
    pub(super) fn csv_bytes(&self) -> u64 {
        self.0.iter().map(|(path, ..)| csv_bytes(path)).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_table_count() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("person.csv"), "person_id\n1\n").expect("a file");
        let before = Fingerprint::of_folder(folder.path());
        assert_eq!(before, Fingerprint::of_folder(folder.path()));
        fs::create_dir(folder.path().join("death")).expect("a folder");
        fs::write(folder.path().join("death/part-0.parquet"), "x").expect("a file");
        let with_parts = Fingerprint::of_folder(folder.path());
        assert_eq!((before.0.len(), with_parts.0.len()), (1, 3));
        assert_eq!(with_parts.csv_bytes(), 12);
        fs::write(folder.path().join("death/part-0.parquet"), "xy").expect("a file");
        assert_ne!(with_parts, Fingerprint::of_folder(folder.path()));
        let deep = folder.path().join("measurement/year=2020/month=1");
        fs::create_dir_all(&deep).expect("folders");
        fs::write(deep.join("part-0.tsv"), "x").expect("a file");
        let with_deep = Fingerprint::of_folder(folder.path());
        assert_eq!(with_deep.csv_bytes(), 13);
        fs::write(deep.join("part-0.tsv"), "xy").expect("a file");
        assert_ne!(with_deep, Fingerprint::of_folder(folder.path()));
    }
}
