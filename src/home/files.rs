//! Small files that must never be half written or readable by others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// A file that could not be read or written; carries the path and the operating system's reason, never content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is not there.
    #[error("{0} is not there; check the path")]
    Missing(PathBuf),
    /// The folder for a new file is not there.
    #[error("the folder {0} is not there; make it, or write the file elsewhere")]
    NoFolder(PathBuf),
    /// The file exists already and would be overwritten.
    #[error("{0} exists already and is left as it is; choose another name, or move it away first")]
    Exists(PathBuf),
    /// A folder, where a file is wanted.
    #[error("{0} is a folder; name a file in it")]
    Folder(PathBuf),
    /// Anything else that the operating system refuses.
    #[error("{path}: {source}; {}", next_step(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Larger than a file of this kind ever is.
    #[error("{path} has more than {limit} bytes; is it the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes it may have.
        limit: u64,
    },
}

fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "check who owns it and its mode",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full: free some space and try again",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only; remount it or choose another place",
        io::ErrorKind::InvalidData => "save it as UTF-8, if it is the right file",
        _ => "check the path and try again",
    }
}

impl FileError {
    /// Why a file could not be written.
    pub(crate) fn of_writing(path: &Path, source: io::Error) -> Self {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir());
        match (source.kind(), folder) {
            (io::ErrorKind::NotFound, Some(folder)) => Self::NoFolder(folder.to_path_buf()),
            _ => io_error(path, source),
        }
    }
}

fn io_error(path: &Path, source: io::Error) -> FileError {
    match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing(path.to_path_buf()),
        io::ErrorKind::AlreadyExists => FileError::Exists(path.to_path_buf()),
        io::ErrorKind::IsADirectory => FileError::Folder(path.to_path_buf()),
        _ => FileError::Io { path: path.to_path_buf(), source },
    }
}

/// Reads a text of at most `limit` bytes.
///
/// # Errors
/// [`FileError`].
pub fn read_text(path: &Path, limit: u64) -> Result<String, FileError> {
    String::from_utf8(read_bytes(path, limit)?)
        .map_err(|_| io_error(path, io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text")))
}

/// Reads at most `limit` bytes.
///
/// # Errors
/// [`FileError`].
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let size = fs::metadata(path).map_err(|e| io_error(path, e))?.len();
    if size > limit {
        return Err(FileError::TooLarge { path: path.to_path_buf(), limit });
    }
    fs::read(path).map_err(|e| io_error(path, e))
}

/// Opens a file to be read bit by bit.
///
/// # Errors
/// [`FileError`].
pub fn open(path: &Path) -> Result<BufReader<File>, FileError> {
    File::open(path).map(BufReader::new).map_err(|e| io_error(path, e))
}

/// Who may read a new file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// Everybody whom the directory lets in.
    ByAll,
    /// Its owner alone.
    ByOwner,
}

/// Makes a directory that only its owner can enter.
///
/// # Errors
/// [`FileError`].
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|e| io_error(path, e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|e| io_error(path, e))?;
    }
    Ok(())
}

/// Writes a new file; refuses to overwrite one.
///
/// # Errors
/// [`FileError::Exists`] and others.
pub fn create(path: &Path, content: &[u8], readable: Readable) -> Result<(), FileError> {
    if path.exists() {
        return Err(FileError::Exists(path.to_path_buf()));
    }
    replace(path, content, readable)
}

/// Writes a file whole or not at all: to a temporary name, synced, then renamed, with the directory synced.
///
/// # Errors
/// [`FileError`].
pub fn replace(path: &Path, content: &[u8], readable: Readable) -> Result<(), FileError> {
    replace_with(path, readable, |file| file.write_all(content))
}

/// As [`replace`], with content that is written bit by bit.
///
/// # Errors
/// [`FileError`], also of what `write` answers; then the file is as before.
pub fn replace_with(
    path: &Path,
    readable: Readable,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if readable == Readable::ByOwner {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = || -> io::Result<()> {
        let mut file = BufWriter::new(options.open(&temporary)?);
        write(&mut file)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    written().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        FileError::of_writing(path, e)
    })
}

/// Adds to the end of a file that its owner alone can read, and has it on the disk.
///
/// # Errors
/// [`FileError`].
pub fn append(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = || -> io::Result<()> {
        let mut file = options.open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    written().map_err(|error| FileError::of_writing(path, error))
}

/// Deletes a file, if there is one. What it held may still be on the disk below; see docs/cryptography.md.
///
/// # Errors
/// [`FileError`].
pub fn delete(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::of_writing(path, error)),
        _ => Ok(()),
    }
}

/// Whether others than the owner may read the file.
pub fn is_exposed(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}
