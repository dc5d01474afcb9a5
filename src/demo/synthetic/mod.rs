//! Synthetic hospitals: OMOP CDM 5.4 tables of patients who never lived, one Parquet file per table.
//!
//! A store is drawn from its seed alone and is the same, value for value, on every machine:
//!
//! - `population` draws who the patients are, and how one hospital's patients differ from the next one's;
//! - `clinical` draws what happens to each of them, with `morbidity` (conditions, drugs, death) and `laboratory`;
//! - `tables` lays patients out in the `columns` of the common data model, `vocabulary` names their concepts;
//! - `store` writes the files.
//!
//! Every patient has a random stream of its own, so a patient is the same whether ten or ten thousand others are drawn.
//! The figures are plausible, not epidemiology: they make a demo worth looking at and nothing more.

mod calendar;
mod chance;
mod clinical;
mod columns;
mod laboratory;
mod morbidity;
mod population;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::path::Path;

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use population::Hospital;
use store::Store;

/// Person ids of one hospital: `hospital * PERSONS_PER_HOSPITAL + 1` and up.
const PERSONS_PER_HOSPITAL: usize = 10_000_000;
/// Ids of one person's events, within each table: `person_id * EVENTS_PER_PERSON + 1` and up.
const EVENTS_PER_PERSON: i64 = 1_000;
/// Hospitals whose event ids still fit in 64 bits, with room to spare.
const HOSPITALS: usize = 100_000;
/// Patients held in memory at a time.
const PATIENTS_PER_BATCH: usize = 8_192;

/// One synthetic hospital.
///
/// Equal values give equal stores. `patients` only says how many: patient *i* of a hospital depends on `seed`,
/// `hospital` and *i*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthetic {
    /// Index of the hospital, from 0; it sets the case mix and the range of the person ids.
    pub hospital: usize,
    /// How many patients the hospital has.
    pub patients: usize,
    /// Seed shared by the hospitals of one demo.
    pub seed: u64,
}

/// Why a synthetic store could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// The patients would run into the next hospital's person ids.
    #[error("one synthetic hospital holds at most {most} patients; ask for fewer patients or for more hospitals")]
    TooManyPatients {
        /// The largest number of patients.
        most: usize,
    },
    /// The hospital's event ids would not fit in 64 bits.
    #[error("synthetic hospitals are numbered below {below}; choose a smaller number")]
    NoSuchHospital {
        /// The first number that is too large.
        below: usize,
    },
    /// The folder for the store could not be made.
    #[error("the folder for the synthetic tables could not be made; check its path and permissions, then try again")]
    Folder(#[source] std::io::Error),
    /// A table's file could not be made, written through to disk, or given its name.
    #[error("the synthetic table {table} could not be written; check free space and permissions, then try again")]
    Write {
        /// The table.
        table: &'static str,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A table's rows could not be encoded as Parquet.
    #[error("the synthetic table {table} could not be encoded; check free space on the disk, then try again")]
    Encode {
        /// The table.
        table: &'static str,
        /// What the Parquet writer said.
        source: ParquetError,
    },
    /// A table's columns do not fit together, which is a mistake in this program.
    #[error("the synthetic table {table} could not be laid out; report this as a bug")]
    Layout {
        /// The table.
        table: &'static str,
        /// What Arrow said.
        source: ArrowError,
    },
}

/// Writes one Parquet file per OMOP table into `folder` (`PERSON.parquet` …) and returns the person ids, ascending.
///
/// Table names are upper-case, column names lower-case. The folder is made if it is missing and files of the same
/// names are replaced. No file has its name before all of them are complete, and `PERSON.parquet` is named last.
///
/// # Errors
///
/// [`SyntheticError`]; files that already have their final names stay.
pub fn write_store(synthetic: &Synthetic, folder: &Path) -> Result<Vec<i64>, SyntheticError> {
    if synthetic.patients >= PERSONS_PER_HOSPITAL {
        return Err(SyntheticError::TooManyPatients { most: PERSONS_PER_HOSPITAL - 1 });
    }
    if synthetic.hospital >= HOSPITALS {
        return Err(SyntheticError::NoSuchHospital { below: HOSPITALS });
    }
    let hospital = Hospital::new(synthetic.seed, synthetic.hospital);
    let mut store = Store::create(folder)?;
    let mut person_ids = Vec::with_capacity(synthetic.patients);
    for first in (0..synthetic.patients).step_by(PATIENTS_PER_BATCH) {
        let until = synthetic.patients.min(first + PATIENTS_PER_BATCH);
        let patients: Vec<_> = (first..until).map(|index| clinical::patient(&hospital, index)).collect();
        person_ids.extend(patients.iter().map(|patient| patient.person.id));
        store.append(&patients)?;
    }
    store.finish()?;
    Ok(person_ids)
}
