//! Where a server is, in one line.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use borsh::io::{Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// `postgresql://user@host:port/database`, or `postgresql://user@/database?host=/folder/of/the/socket&port=port`.
///
/// As libpq reads it, `user`, `host`, `port` and `dbname` may also stand behind the question mark. Nothing else may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseUrl {
    /// The role to log in as.
    pub user: String,
    /// The server.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// At a name or address.
    Name(String),
    /// At a socket in this folder.
    Folder(PathBuf),
}

/// An URL that is none, or says what it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not of the form.
    #[error(
        "is no URL of a database; write postgresql://user@host:5432/database, or, with the folder of the server's socket, \
         postgresql://user@/database?host=/folder&port=5432"
    )]
    Form,
    /// It has a password. It is not repeated.
    #[error(
        "has a password in it, where others see it; take it out, and name a file that has it as `password_file` \
         (--password-file), or give it in the environment as CONSILIUM_STORE_PASSWORD"
    )]
    Password,
    /// It says one thing in two ways.
    #[error("says `{0}` twice, and not the same; keep one")]
    Twice(&'static str),
    /// It sets what is set elsewhere, or not at all.
    #[error("sets `{parameter}`, which {instead}", parameter = .0, instead = instead(.0))]
    Parameter(String),
}

/// Why a parameter is not taken, and what to do.
fn instead(parameter: &str) -> &'static str {
    match parameter {
        "sslmode" | "ssl" => {
            "is no choice: a server's certificate is always checked, by `tls_root` (--tls-root), or, of a server at a loopback \
             address, TLS is left out by tls = \"off\" (--no-tls); remove it"
        }
        "sslrootcert" => "is said by `tls_root` (--tls-root); move the file's name there",
        "sslcert" | "sslkey" | "sslpassword" => {
            "is about a certificate of the client's, and none is used; remove it, and log in with a password or at a socket"
        }
        "passfile" => {
            "is not read; name a file that has the password alone, in one line, as `password_file` (--password-file)"
        }
        "hostaddr" => {
            "is not taken; name the address as the host, where the server's certificate is for it (subjectAltName = IP:…), or have \
             this machine know the host's address, as by a line in /etc/hosts"
        }
        "options" | "search_path" | "currentSchema" => {
            "is not taken; name the schema as `schema` (--schema), and make settings for the role: ALTER ROLE … SET"
        }
        _ => "cannot be set here; remove it",
    }
}

const PORT: u16 = 5_432;

impl DatabaseUrl {
    /// The addresses to use where the server is on this machine; none where it is not.
    pub fn loopback(&self) -> Vec<IpAddr> {
        let Host::Name(name) = &self.host else { return Vec::new() };
        if name.eq_ignore_ascii_case("localhost") {
            return vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        }
        name.parse().ok().filter(IpAddr::is_loopback).into_iter().collect()
    }
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = ["postgresql://", "postgres://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
        let (rest, parameters) = split(rest.ok_or(UrlError::Form)?, '?');
        let (authority, database) = split(rest, '/');
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return Err(UrlError::Password);
        }
        // A password with a question mark in it would be repeated as a parameter.
        if parameters.contains('@') {
            return Err(UrlError::Form);
        }
        let (name, port) = match place.strip_prefix('[') {
            Some(bracketed) => match bracketed.split_once(']').ok_or(UrlError::Form)? {
                (name, "") => (name, ""),
                (name, behind) => (name, behind.strip_prefix(':').ok_or(UrlError::Form)?),
            },
            None => split(place, ':'),
        };
        let mut said = [
            ("user", decoded(user)?),
            ("host", decoded(name)?),
            ("port", port.to_string()),
            ("dbname", decoded(database)?),
        ];
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = split(parameter, '=');
            match said.iter_mut().find(|(field, _)| *field == key) {
                Some((field, text)) => {
                    let value = decoded(value)?;
                    if !text.is_empty() && *text != value {
                        return Err(UrlError::Twice(field));
                    }
                    *text = value;
                }
                None if key == "password" => return Err(UrlError::Password),
                None => return Err(UrlError::Parameter(key.chars().take(40).collect())),
            }
        }
        let [user, host, port, database] = said.map(|(_, text)| text);
        let port = if port.is_empty() { PORT } else { port.parse().map_err(|_| UrlError::Form)? };
        let host = match host {
            folder if folder.starts_with('/') => Host::Folder(folder.into()),
            name if is_host(&name) => Host::Name(name),
            _ => return Err(UrlError::Form),
        };
        if [&user, &database].into_iter().any(|name| name.is_empty() || name.contains('\0')) || port == 0 {
            return Err(UrlError::Form);
        }
        Ok(Self { user, host, port, database })
    }
}

/// What stands before a mark, and what stands behind it.
fn split(text: &str, mark: char) -> (&str, &str) {
    text.split_once(mark).unwrap_or((text, ""))
}

fn is_host(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    !name.is_empty() && (name.bytes().all(plain) || name.parse::<Ipv6Addr>().is_ok())
}

/// Without `%2F` and the like.
fn decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let digits = behind.first_chunk::<2>().ok_or(UrlError::Form)?;
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(UrlError::Form);
            let byte = digit(digits[0])? * 16 + digit(digits[1])?;
            bytes.push(u8::try_from(byte).map_err(|_| UrlError::Form)?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Form)
}

/// With `%2F` and the like for what would mean something else.
fn encoded(text: &str, kept: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, database) = (encoded(&self.user, b""), encoded(&self.database, b""));
        let port = if self.port == PORT { String::new() } else { format!(":{}", self.port) };
        match &self.host {
            Host::Name(name) if name.contains(':') => write!(f, "postgresql://{user}@[{name}]{port}/{database}"),
            Host::Name(name) => write!(f, "postgresql://{user}@{name}{port}/{database}"),
            Host::Folder(folder) => {
                let folder = encoded(&folder.to_string_lossy(), b"/");
                write!(f, "postgresql://{user}@{port}/{database}?host={folder}")
            }
        }
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl From<DatabaseUrl> for String {
    fn from(url: DatabaseUrl) -> Self {
        url.to_string()
    }
}

impl BorshSerialize for DatabaseUrl {
    fn serialize<W: Write>(&self, output: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&self.to_string(), output)
    }
}

impl BorshDeserialize for DatabaseUrl {
    fn deserialize_reader<R: Read>(input: &mut R) -> io::Result<Self> {
        <String as BorshDeserialize>::deserialize_reader(input)?.parse().map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_url_says_where_and_who_and_nothing_else() {
        let parsed = |text: &str| text.parse::<DatabaseUrl>();
        for text in [
            "postgresql://omop@db.example/cdm",
            "postgresql://omop@db.example:5433/cdm",
            "postgresql://a%40b@[::1]:6000/c%2Fd",
            "postgresql://omop@/cdm?host=/var/run/postgresql",
            "postgresql://omop@:5433/cdm?host=/var/run/postgresql",
        ] {
            assert_eq!(parsed(text).expect(text).to_string(), text);
        }
        let url = parsed("postgres://a%40b@%2Fvar%2Frun/x").expect("an URL");
        assert_eq!((url.user.as_str(), url.host), ("a@b", Host::Folder("/var/run".into())));
        // As libpq reads it.
        for (text, same) in [
            ("postgresql://omop@/cdm?host=/tmp/pg&port=5599", "postgresql://omop@:5599/cdm?host=/tmp/pg"),
            ("postgresql:///cdm?port=5599&host=/tmp/pg&user=omop", "postgresql://omop@:5599/cdm?host=/tmp/pg"),
            ("postgresql://?host=/tmp/pg&user=omop&dbname=cdm", "postgresql://omop@/cdm?host=/tmp/pg"),
            ("postgresql://omop@db.example/cdm?port=5433", "postgresql://omop@db.example:5433/cdm"),
            ("postgresql://omop@:5433/cdm?host=db.example&port=5433", "postgresql://omop@db.example:5433/cdm"),
            ("postgresql://db.example/?dbname=c%20d&user=a%40b", "postgresql://a%40b@db.example/c%20d"),
            ("postgresql://omop@db.example:/cdm", "postgresql://omop@db.example/cdm"),
        ] {
            assert_eq!(parsed(text).expect(text).to_string(), same);
        }
        let refused = [
            ("", UrlError::Form),
            ("mysql://a@b/c", UrlError::Form),
            ("postgresql://b/c", UrlError::Form),
            ("postgresql://a@b", UrlError::Form),
            ("postgresql://a@b/", UrlError::Form),
            ("postgresql://@b/c", UrlError::Form),
            ("postgresql://a@/c", UrlError::Form),
            ("postgresql://a@b,c/d", UrlError::Form),
            ("postgresql://a@b:0/c", UrlError::Form),
            ("postgresql://a@b:x/c", UrlError::Form),
            ("postgresql://a@b/%zz", UrlError::Form),
            ("postgresql://a@b/c?port=65536", UrlError::Form),
            ("postgresql://a@[::1/c", UrlError::Form),
            ("postgresql://a@[::1]5432/c", UrlError::Form),
            ("postgresql://a:1?secret@b/c", UrlError::Form),
            ("postgresql://a@b/c?host=/d", UrlError::Twice("host")),
            ("postgresql://a@:5432/c?host=/d&port=5433", UrlError::Twice("port")),
            ("postgresql://a@/c?host=/d&port=5432&port=5433", UrlError::Twice("port")),
            ("postgresql://a@b/c?user=d", UrlError::Twice("user")),
            ("postgresql://a@b/c?dbname=d", UrlError::Twice("dbname")),
            ("postgresql://a:@b/c", UrlError::Password),
            ("postgresql://a:se@cret@b/c", UrlError::Password),
            ("postgresql://a@b/c?password=secret", UrlError::Password),
        ];
        for (text, why) in refused {
            let error = parsed(text).expect_err(text);
            assert!(!error.to_string().contains("secret"), "{error}");
            assert_eq!(error, why, "{text}");
        }
    }
    #[test]
    fn what_an_url_does_not_set_is_said_with_what_does() {
        for (parameter, instead) in [
            ("sslmode", "`tls_root` (--tls-root)"),
            ("sslrootcert", "`tls_root` (--tls-root)"),
            ("sslkey", "a password"),
            ("passfile", "`password_file` (--password-file)"),
            ("hostaddr", "name the address as the host"),
            ("options", "`schema` (--schema)"),
            ("target_session_attrs", "remove it"),
        ] {
            let error = format!("postgresql://a@b/c?{parameter}=d").parse::<DatabaseUrl>().expect_err(parameter);
            assert_eq!(error, UrlError::Parameter(parameter.to_string()));
            assert!(error.to_string().contains(instead), "{error}");
        }
    }
}
