//! Files to whose end a hospital adds what it keeps for itself, encrypted: what was added is there after a crash, and what was
//! being added is there as a whole or not at all.
//!
//! ```text
//! offset  bytes  field
//!      0      8  magic: `csl-kept`
//!      8      2  version, 1
//!     10      …  records, one after another:
//!             4    how many bytes follow after the next 4, little-endian
//!             4    the same, each bit turned round: a length that was changed must not pass for a record that is cut short
//!            24    nonce, random
//!             …    XChaCha20-Poly1305 of the record, with the first 10 bytes of the file, the file's name and the record's
//!                  number from 0 (`u64`, little-endian) as associated data
//! ```
//!
//! So a record is of its file and place alone. A last record that is cut short was never finished, and is cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use consilium_protocol::keys::{NoRandomness, random_bytes};
use zeroize::Zeroizing;

use super::files::FileError;

const HEADER: &[u8; 10] = b"csl-kept\x01\0";
/// A length, twice.
const PREFIX: usize = 8;
const NONCE: usize = 24;
const TAG: usize = 16;
/// No record is longer.
const MOST_BYTES: usize = 64 << 20;

/// A file that cannot be used. Carries nothing of what is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operating system gives no randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Another program has it open.
    #[error("{0} is in use by another command; wait until that has ended")]
    Busy(PathBuf),
    /// It is none of these files, or of another version.
    #[error("{0} is not of this program or of another version of it; restore it from your backup")]
    Foreign(PathBuf),
    /// It does not decrypt.
    #[error("{0} is damaged, or was encrypted with another key; restore it and the key from one backup")]
    Damaged(PathBuf),
    /// An earlier write failed, so that nobody knows what is on the disk.
    #[error("{0} could not be written before; look at the disk, then run the command again")]
    Broken(PathBuf),
}

/// Such a file, open for this program alone.
pub struct Kept {
    path: PathBuf,
    file: File,
    cipher: XChaCha20Poly1305,
    context: Vec<u8>,
    next: u64,
    is_broken: bool,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} records)", self.next)
    }
}

impl Kept {
    /// Opens the file, which is made if it is not there, and reads how many records it has.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, KeptError> {
        let io = |error| KeptError::File(FileError::of_writing(path, error));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(KeptError::Busy(path.to_path_buf())),
            Err(std::fs::TryLockError::Error(error)) => return Err(io(error)),
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut kept = Self {
            path: path.to_path_buf(),
            file,
            cipher: XChaCha20Poly1305::new(&Key::from(*key)),
            context: [&HEADER[..], name.as_bytes()].concat(),
            next: 0,
            is_broken: false,
        };
        let length = kept.file.metadata().map_err(io)?.len();
        if length < HEADER.len() as u64 {
            kept.begin(length).map_err(io)??;
        }
        kept.count()?;
        Ok(kept)
    }

    /// Makes the header of a new file, or of one that was cut off in it.
    fn begin(&mut self, length: u64) -> io::Result<Result<(), KeptError>> {
        let mut there = vec![0; length as usize];
        self.file.read_exact(&mut there)?;
        if !HEADER.starts_with(&there) && there.iter().any(|byte| *byte != 0) {
            return Ok(Err(KeptError::Foreign(self.path.clone())));
        }
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(HEADER)?;
        self.file.sync_all()?;
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Ok(()))
    }

    /// Counts the records, and cuts off one that was not finished.
    fn count(&mut self) -> Result<(), KeptError> {
        let path = self.path.clone();
        let io = |error| KeptError::File(FileError::of_writing(&path, error));
        let length = self.file.metadata().map_err(io)?.len();
        let mut header = [0; HEADER.len()];
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        self.file.read_exact(&mut header).map_err(io)?;
        if header != *HEADER {
            return Err(KeptError::Foreign(path));
        }
        let (mut at, mut next) = (HEADER.len() as u64, 0);
        while at < length {
            let mut prefix = [0; PREFIX];
            let mut size = None;
            if length - at >= PREFIX as u64 {
                self.file.seek(SeekFrom::Start(at)).map_err(io)?;
                self.file.read_exact(&mut prefix).map_err(io)?;
                size = size_of(&prefix);
                if size.is_none() && !self.is_blank(at).map_err(io)? {
                    return Err(KeptError::Damaged(path));
                }
            }
            let Some(size) = size.filter(|size| length - at - PREFIX as u64 >= *size as u64) else {
                self.file.set_len(at).map_err(io)?;
                self.file.sync_all().map_err(io)?;
                break;
            };
            at += (PREFIX + size) as u64;
            next += 1;
        }
        self.next = next;
        Ok(())
    }

    /// Whether nothing but zeros follows: a file that became longer and was never written.
    fn is_blank(&mut self, at: u64) -> io::Result<bool> {
        let mut rest = Vec::new();
        self.file.seek(SeekFrom::Start(at))?;
        self.file.read_to_end(&mut rest)?;
        Ok(rest.iter().all(|byte| *byte == 0))
    }

    /// How many records there are: the number of the next.
    pub const fn len(&self) -> u64 {
        self.next
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// Reads all records in their order.
    ///
    /// # Errors
    /// [`KeptError`]; nothing of the file is believed then.
    pub fn read(&mut self, mut each: impl FnMut(u64, &[u8]) -> bool) -> Result<(), KeptError> {
        let path = self.path.clone();
        let io = |error| KeptError::File(FileError::of_writing(&path, error));
        let damaged = || KeptError::Damaged(path.clone());
        self.file.seek(SeekFrom::Start(HEADER.len() as u64)).map_err(io)?;
        let mut from = io::BufReader::new(&self.file);
        for number in 0..self.next {
            let mut prefix = [0; PREFIX];
            from.read_exact(&mut prefix).map_err(io)?;
            let size = size_of(&prefix).ok_or_else(damaged)?;
            let mut sealed = vec![0; size];
            from.read_exact(&mut sealed).map_err(io)?;
            let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
            let payload = Payload { msg: sealed, aad: &self.associated(number) };
            let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| damaged())?;
            if !each(number, &Zeroizing::new(opened)) {
                return Err(damaged());
            }
        }
        Ok(())
    }

    /// Adds records, and has them on the disk. Answers the number of the first.
    ///
    /// # Errors
    /// [`KeptError`]; then nobody knows whether they are there until the file is opened again.
    pub fn add(&mut self, records: &[impl AsRef<[u8]>]) -> Result<u64, KeptError> {
        if self.is_broken {
            return Err(KeptError::Broken(self.path.clone()));
        }
        let mut bytes = Vec::new();
        for (number, record) in (self.next..).zip(records) {
            let random: [u8; 32] = random_bytes()?;
            let nonce: [u8; NONCE] = *random.first_chunk().expect("32 bytes begin with 24");
            let payload = Payload { msg: record.as_ref(), aad: &self.associated(number) };
            let too_large =
                || KeptError::File(FileError::TooLarge { path: self.path.clone(), limit: MOST_BYTES as u64 });
            if record.as_ref().len() > MOST_BYTES {
                return Err(too_large());
            }
            let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| too_large())?;
            let size = (NONCE + sealed.len()) as u32;
            bytes.extend(size.to_le_bytes());
            bytes.extend((!size).to_le_bytes());
            bytes.extend(nonce);
            bytes.extend(sealed);
        }
        self.is_broken = true;
        let mut write = || {
            self.file.seek(SeekFrom::End(0))?;
            self.file.write_all(&bytes)?;
            self.file.sync_all()
        };
        write().map_err(|error| KeptError::File(FileError::of_writing(&self.path, error)))?;
        self.is_broken = false;
        let first = self.next;
        self.next += records.len() as u64;
        Ok(first)
    }

    fn associated(&self, number: u64) -> Vec<u8> {
        [&self.context[..], &number.to_le_bytes()].concat()
    }
}

/// How long a record is, by what stands before it.
fn size_of(prefix: &[u8; PREFIX]) -> Option<usize> {
    let [a, b, c, d, e, f, g, h] = *prefix;
    let size = u32::from_le_bytes([a, b, c, d]);
    let is_said_twice = size == !u32::from_le_bytes([e, f, g, h]);
    let size = size as usize;
    (is_said_twice && (NONCE + TAG..=MOST_BYTES + NONCE + TAG).contains(&size)).then_some(size)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(path: &Path, key: u8) -> Result<Vec<Vec<u8>>, KeptError> {
        let mut found = Vec::new();
        Kept::open(path, &[key; 32])?.read(|_, record| {
            found.push(record.to_vec());
            true
        })?;
        Ok(found)
    }

    fn written(path: &Path) -> Vec<u8> {
        let mut kept = Kept::open(path, &[7; 32]).expect("a new file");
        assert_eq!(kept.add(&[&b"one"[..], b""]).expect("written"), 0);
        assert_eq!(kept.add(&[b"three"]).expect("written"), 2);
        drop(kept);
        fs::read(path).expect("a file")
    }

    #[test]
    fn what_was_added_is_read_and_what_was_cut_off_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.log");
        let bytes = written(&path);
        let [one, none, three] = [&b"one"[..], b"", b"three"].map(<[u8]>::to_vec);
        assert_eq!(all(&path, 7).expect("all"), [one.clone(), none.clone(), three.clone()]);
        let last = bytes.len() - (PREFIX + NONCE + TAG + 5);
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).expect("written");
            let found = all(&path, 7).expect("what is whole");
            assert!(found.len() < 3 && (cut < last || found == [one.clone(), none.clone()]), "{cut}: {found:?}");
            // It goes on from there.
            Kept::open(&path, &[7; 32]).expect("open").add(&[b"more"]).expect("written");
            assert_eq!(all(&path, 7).expect("all").last().expect("one"), b"more", "{cut}");
        }
        fs::write(&path, [&bytes[..], &[0; 100]].concat()).expect("written");
        assert_eq!(all(&path, 7).expect("all"), [one, none, three]);
    }

    #[test]
    fn what_was_changed_moved_or_is_of_another_key_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.log");
        let bytes = written(&path);
        assert!(matches!(all(&path, 8), Err(KeptError::Damaged(_))));
        for at in HEADER.len()..HEADER.len() + PREFIX + NONCE + TAG + 3 {
            let mut other = bytes.clone();
            other[at] ^= 1;
            fs::write(&path, other).expect("written");
            assert!(matches!(all(&path, 7), Err(KeptError::Damaged(_))), "{at}");
        }
        // Without the first record.
        let rest = &bytes[HEADER.len() + PREFIX + NONCE + TAG + 3..];
        fs::write(&path, [&HEADER[..], rest].concat()).expect("written");
        assert!(matches!(all(&path, 7), Err(KeptError::Damaged(_))));
        fs::write(folder.path().join("y.log"), &bytes).expect("written");
        assert!(matches!(all(&folder.path().join("y.log"), 7), Err(KeptError::Damaged(_))));
        fs::write(&path, b"something else").expect("written");
        assert!(matches!(all(&path, 7), Err(KeptError::Foreign(_))));
    }

    #[test]
    fn two_do_not_write_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.log");
        let _first = Kept::open(&path, &[7; 32]).expect("a new file");
        assert!(matches!(Kept::open(&path, &[7; 32]), Err(KeptError::Busy(_))));
    }
}
