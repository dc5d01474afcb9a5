//! What a hospital keeps of the consents that it imported: `consents/register.log`, what became of each, and
//! `consents/originals.log`, what each said. Both are encrypted under `secrets/consents.secret`.

use std::path::Path;

use consilium_protocol::keys::random_bytes;

use super::super::Failure;
use super::register::{Record, Register};
use crate::home::files;
use crate::home::kept::{Kept, KeptError};
use crate::home::secrets::{self, Kind};

const FOLDER: &str = "consents";
const REGISTER: &str = "register.log";
const ORIGINALS: &str = "originals.log";

/// The register, and the files that it is read from.
pub(super) struct Books {
    pub(super) register: Register,
    log: Kept,
    originals: Kept,
}

impl Books {
    /// Opens the books of a home, if there are any.
    pub(super) fn look(home: &Path) -> Result<Option<Self>, Failure> {
        let is_there = secrets::path(home, Kind::Consents).exists() || home.join(FOLDER).join(REGISTER).exists();
        is_there.then(|| Self::open(home)).transpose()
    }

    /// Opens the books of a home, which are made if there are none.
    pub(super) fn open(home: &Path) -> Result<Self, Failure> {
        let folder = home.join(FOLDER);
        let (path, key) = (folder.join(REGISTER), secrets::path(home, Kind::Consents));
        match (path.exists(), key.exists()) {
            (false, false) => {
                files::create_private_dir(&folder)?;
                secrets::create(home, Kind::Consents, &random_bytes()?)?;
            }
            (true, true) => {}
            (has_path, _) => {
                let lost = if has_path { &key } else { &path };
                return Err(Failure::new(format!(
                    "{} is not there, so it is not known what was imported; restore consents/ and secrets/consents.secret from one \
                     backup. If this hospital never imported consents, remove both and start again",
                    lost.display()
                )));
            }
        }
        let key = secrets::read(home, Kind::Consents)?;
        let (mut log, originals) = (Kept::open(&path, &key)?, Kept::open(&folder.join(ORIGINALS), &key)?);
        let mut register = Register::default();
        log.read(|number, bytes| {
            borsh::from_slice::<Record>(bytes).is_ok_and(|record| register.apply(number, record).is_ok())
        })?;
        Ok(Self { register, log, originals })
    }

    /// Writes down a record, and takes note of it. Answers its number.
    pub(super) fn write(&mut self, record: Record) -> Result<u64, Failure> {
        let number = self.log.add(&[borsh::to_vec(&record)?])?;
        self.register.apply(number, record).map_err(|_| {
            Failure::new("the register of consents contradicts itself; restore consents/ from your backup")
        })?;
        Ok(number)
    }

    /// Keeps originals; answers the number of the first.
    pub(super) fn keep(&mut self, originals: &[&str]) -> Result<u64, KeptError> {
        self.originals.add(originals)
    }
}
