//! Secret keys on disk: one small text file each, for its owner alone.
//!
//! `consilium-secret 1 <kind> <64 hexadecimal digits>`, one line.

use std::path::{Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

use super::files::{self, FileError, Readable};

/// A secret file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not there.
    #[error("{0} is not there; restore it from your backup: nothing else can take its place")]
    Lost(PathBuf),
    /// Others can read it.
    #[error("{0} can be read by others; run `chmod 600` on it, and think about who may have read it")]
    Exposed(PathBuf),
    /// It is no secret file, or one of another kind.
    #[error("{path} is not a {kind} file of this program; restore it from your backup")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        kind: &'static str,
    },
}

/// What a secret file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An Ed25519 key that signs transactions.
    Signing,
    /// An Ed25519 key that signs blocks.
    Consensus,
    /// An Ed25519 key of the consensus network.
    Peer,
    /// The key that lots are drawn with.
    Lots,
    /// The seed of what is shared with the other hospitals of one study.
    Pair,
    /// The key of pseudonyms.
    Link,
    /// The key that the memory of released cohorts is encrypted with.
    Memory,
    /// The key that imported consents are encrypted with.
    Consents,
}

impl Kind {
    /// The word in the file, and its name with `.secret` behind.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Consensus => "consensus",
            Self::Peer => "peer",
            Self::Lots => "lots",
            Self::Pair => "pair",
            Self::Link => "link",
            Self::Memory => "memory",
            Self::Consents => "consents",
        }
    }
}

/// Where a secret stands in a home.
pub fn path(home: &Path, kind: Kind) -> PathBuf {
    home.join("secrets").join(format!("{}.secret", kind.word()))
}

/// Writes a new secret file.
///
/// # Errors
/// [`SecretError`]; an existing file is never overwritten.
pub fn create(home: &Path, kind: Kind, secret: &[u8; 32]) -> Result<(), SecretError> {
    create_at(&path(home, kind), kind, secret)
}

/// As [`create`], for one secret of several of a kind.
///
/// # Errors
/// [`SecretError`]; an existing file is never overwritten.
pub fn create_at(path: &Path, kind: Kind, secret: &[u8; 32]) -> Result<(), SecretError> {
    let mut text = format!("consilium-secret 1 {} {}\n", kind.word(), hex::encode(secret));
    let written = files::create(path, text.as_bytes(), Readable::ByOwner);
    text.zeroize();
    Ok(written?)
}

/// Reads a secret file.
///
/// # Errors
/// [`SecretError`].
pub fn read(home: &Path, kind: Kind) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    read_at(&path(home, kind), kind)
}

/// As [`read`], of one secret of several of a kind.
///
/// # Errors
/// [`SecretError`].
pub fn read_at(path: &Path, kind: Kind) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let text = match files::read_text(path, 1_024) {
        Err(FileError::Missing(_)) => return Err(SecretError::Lost(path.to_path_buf())),
        other => Zeroizing::new(other?),
    };
    if files::is_exposed(path) {
        return Err(SecretError::Exposed(path.to_path_buf()));
    }
    let malformed = || SecretError::Malformed { path: path.to_path_buf(), kind: kind.word() };
    let mut words = text.split_ascii_whitespace();
    let header = [words.next(), words.next(), words.next()];
    if header != [Some("consilium-secret"), Some("1"), Some(kind.word())] {
        return Err(malformed());
    }
    let mut secret = Zeroizing::new([0u8; 32]);
    let digits = words.next().ok_or_else(malformed)?;
    hex::decode_to_slice(digits, secret.as_mut_slice()).map_err(|_| malformed())?;
    match words.next() {
        Some(_) => Err(malformed()),
        None => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_read_back_and_nothing_else_does() {
        let home = tempfile::tempdir().expect("a temporary folder");
        files::create_private_dir(&home.path().join("secrets")).expect("a folder");
        create(home.path(), Kind::Link, &[7; 32]).expect("a new file");
        assert_eq!(*read(home.path(), Kind::Link).expect("the secret"), [7; 32]);
        assert!(matches!(create(home.path(), Kind::Link, &[8; 32]), Err(SecretError::File(FileError::Exists(_)))));
        let file = path(home.path(), Kind::Link);
        for bad in ["", "consilium-secret 1 signing 00", "consilium-secret 2 link", "\u{0}"] {
            files::replace(&file, bad.as_bytes(), Readable::ByOwner).expect("a file");
            assert!(matches!(read(home.path(), Kind::Link), Err(SecretError::Malformed { .. })), "{bad}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("a mode");
            assert!(matches!(read(home.path(), Kind::Link), Err(SecretError::Exposed(_))));
        }
    }
}
