//! For whom else a wallet signs: `wards.toml` in the patient's home. The keys follow from the wallet's words and this list.

use std::path::Path;

use consilium_protocol::ids::{HospitalId, SubjectId};
use serde::{Deserialize, Serialize};

use super::HomeError;
use super::files::{self, FileError, Readable};

const FILE: &str = "wards.toml";

/// Somebody for whom the wallet signs, at one hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ward {
    /// The hospital.
    pub hospital: HospitalId,
    /// Its name for them.
    pub subject: SubjectId,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wards {
    #[serde(default)]
    ward: Vec<Ward>,
}

fn damaged(home: &Path, error: &dyn std::fmt::Display) -> HomeError {
    HomeError::Damaged { path: home.join(FILE), text: error.to_string().trim_end().to_string() }
}

/// For whom the wallet signs.
///
/// # Errors
/// [`HomeError`] when the file cannot be read.
pub fn read(home: &Path) -> Result<Vec<Ward>, HomeError> {
    match files::read_text(&home.join(FILE), 1_048_576) {
        Ok(text) => Ok(toml::from_str::<Wards>(&text).map_err(|error| damaged(home, &error))?.ward),
        Err(FileError::Missing(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Remembers somebody; who is known already is kept once.
///
/// # Errors
/// [`HomeError`] when the file cannot be read or written.
pub fn add(home: &Path, ward: Ward) -> Result<(), HomeError> {
    let mut wards = Wards { ward: read(home)? };
    if !wards.ward.contains(&ward) {
        wards.ward.push(ward);
        wards.ward.sort_unstable();
        let text = toml::to_string(&wards).map_err(|error| damaged(home, &error))?;
        files::replace(&home.join(FILE), text.as_bytes(), Readable::ByOwner)?;
    }
    Ok(())
}
