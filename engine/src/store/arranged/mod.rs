//! Stores laid out by patient.
//!
//! Every cohort is made patient by patient, so a store can be cut by patients, and a study's plan run over one part after the
//! other. [`arrange`] writes the tables of any store as Parquet in *buckets* of people whose ids follow each other (`cut`), in
//! each of them sorted by patient and day (`sorted`), with what studies may read and nothing else. What was written is said by
//! a manifest (`manifest`), which is replaced last and at once: until then the folder is what it was before. Files are named
//! by their content, so that what has not changed is not written again, and tables whose files have not changed (`source`)
//! are not read again.
//!
//! ```text
//!  Store ──► sieve ──► sorted ──► file (one a table and bucket) ──► manifest ──► tables of a Store
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use consilium_protocol::catalogue::CatalogueTable;

use super::config::{Place, StoreConfig};
use super::error::StoreError;

mod cut;
mod file;
mod loss;
mod manifest;
mod open;
mod sieve;
mod sorted;
mod source;
#[cfg(test)]
mod tests;
mod write;

pub use loss::{Loss, Now};
pub use manifest::LeftOut;
pub(crate) use manifest::Manifest;
pub(super) use open::open;
pub use write::{ArrangeError, Arrangement, ArrangementTable, Options, Progress, arrange};

/// The files of a store laid out by patient, within its folder, that are not from beginning to end what was written. Opening
/// the store looks at lengths and ends alone.
///
/// # Errors
/// [`StoreError`] when there is no manifest, or it cannot be read.
pub fn damaged(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let none = || StoreError::NotArranged { folder: folder.display().to_string() };
    let manifest = Manifest::read(folder)?.ok_or_else(none)?;
    let files = manifest.tables.iter().flat_map(|table| table.files.iter().map(|file| table.path(file)));
    Ok(files.filter(|path| !file::is_as_named(&folder.join(path))).collect())
}

/// When a store was laid out, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaidOut {
    /// When its manifest was written.
    pub at: SystemTime,
    /// Whether the files that it was made of are others now; none where that is not known, as of a database.
    pub has_changed: Option<bool>,
}

/// Says when the configured place was laid out; `None` where it is not one that is.
///
/// # Errors
/// [`StoreError`] when there is no manifest, or the files that it was made of cannot be looked at.
pub fn laid_out(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<Option<LaidOut>, StoreError> {
    let Place::Arranged { folder, .. } = &config.place else { return Ok(None) };
    let none = || StoreError::NotArranged { folder: folder.display().to_string() };
    let manifest = Manifest::read(folder)?.ok_or_else(none)?;
    let at = fs::metadata(folder.join(manifest::NAME)).and_then(|metadata| metadata.modified()).map_err(|_| none())?;
    let has_changed = match &manifest.export {
        Some(then) => source::export(&config.source(), catalogue, SystemTime::now())?.map(|now| now != *then),
        None => None,
    };
    Ok(Some(LaidOut { at, has_changed }))
}

/// Whether a folder is a store laid out by patient.
pub fn is_laid_out(folder: &Path) -> bool {
    folder.join(manifest::NAME).is_file()
}

/// The most patients of a bucket.
pub(crate) const PATIENTS: usize = 250_000;
