//! What a database is opened with: a password, and the certificates that its server's must be issued by.

use std::fmt;
use std::fs;
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::config::DatabaseConfig;
use super::error::DatabaseError;

/// The environment's variable with the password, where no file has it.
pub const PASSWORD: &str = "CONSILIUM_STORE_PASSWORD";

/// The most bytes of a file with a password, and of one with certificates.
const MOST: (u64, u64) = (4_096, 1 << 20);

/// A password and certificates. Erased when dropped; never printed.
#[derive(Clone, Default, BorshSerialize, BorshDeserialize, Zeroize, ZeroizeOnDrop)]
pub struct Access {
    pub(super) password: Option<String>,
    /// PEM.
    pub(super) root: Option<Vec<u8>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access(..)")
    }
}

impl Access {
    /// Reads the files that a configuration names, and the environment.
    ///
    /// # Errors
    /// [`DatabaseError::File`].
    pub fn read(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let password = match &config.password_file {
            Some(path) => {
                if is_exposed(path) {
                    return Err(failed(path, "it can be read by others; run `chmod 600` on it"));
                }
                let text = Zeroizing::new(read(path, MOST.0)?);
                let text = std::str::from_utf8(&text)
                    .map_err(|_| failed(path, "it is no text; write the password into it, in one line"))?;
                let line = text.strip_suffix('\n').unwrap_or(text);
                let line = line.strip_suffix('\r').unwrap_or(line);
                if line.is_empty() || line.contains('\n') {
                    return Err(failed(path, "it must hold one line, the password; write it so"));
                }
                Some(line.to_string())
            }
            None => std::env::var(PASSWORD).ok().filter(|password| !password.is_empty()),
        };
        let root = config.tls_root.as_deref().map(|path| read(path, MOST.1)).transpose()?;
        Ok(Self { password, root })
    }
}

fn failed(path: &Path, what: &str) -> DatabaseError {
    DatabaseError::File { file: path.display().to_string(), what: what.to_string() }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, DatabaseError> {
    let unreadable = |error: std::io::Error| {
        failed(path, &format!("it cannot be read ({}); correct its name, or who may read it", error.kind()))
    };
    if fs::metadata(path).map_err(unreadable)?.len() > most {
        return Err(failed(path, "it is too large for what it should hold; name another"));
    }
    fs::read(path).map_err(unreadable)
}

/// Whether others than the owner may read the file.
fn is_exposed(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_password_is_one_line_of_a_file_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        let text = format!("url = \"postgresql://u@/d?host=/run\"\nschema = \"s\"\npassword_file = {path:?}\n");
        let config: crate::store::StoreConfig = toml::from_str(&text).expect("a store");
        let config = config.place.database().expect("a database");
        let attempt = |content: &str, mode: u32| {
            fs::write(&path, content).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            Access::read(config)
        };
        let read = attempt("se cret\r\n", 0o600).expect("a password");
        assert_eq!(read.password.as_deref(), Some("se cret"));
        assert_eq!(format!("{read:?}"), "Access(..)");
        for (content, mode, why) in [
            ("secret\n", 0o640, "chmod 600"),
            ("", 0o600, "one line"),
            ("\n", 0o600, "one line"),
            ("secret\nsecret", 0o600, "one line"),
        ] {
            let error = attempt(content, mode).expect_err(why).to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
        fs::remove_file(&path).expect("removed");
        let error = Access::read(config).expect_err("no file").to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}
