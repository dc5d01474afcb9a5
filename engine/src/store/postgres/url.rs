//! Where a server is, in one line.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use borsh::io::{Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// `postgresql://user@host:port/database`, or `postgresql://user@/database?host=/folder/of/the/socket`.
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
        "is no URL of a database; write postgresql://user@host:5432/database, or postgresql://user@/database?host=/folder of the \
         server's socket"
    )]
    Form,
    /// It has a password. It is not repeated.
    #[error(
        "has a password in it, where everybody sees it who sees the configuration; take it out, and name a file that has it as \
         `password_file`, or give it in the environment as CONSILIUM_STORE_PASSWORD"
    )]
    Password,
    /// It sets what is set elsewhere, or not at all.
    #[error(
        "sets `{0}`, which is not taken from an URL; remove it: what can be set has a field of its own under [store]"
    )]
    Parameter(String),
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
        let (authority, database) = rest.split_once('/').ok_or(UrlError::Form)?;
        let (user, place) = authority.rsplit_once('@').ok_or(UrlError::Form)?;
        if user.contains(':') {
            return Err(UrlError::Password);
        }
        let mut folder = None;
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("host", value)) if folder.is_none() => folder = Some(decoded(value)?),
                Some(("password", _)) => return Err(UrlError::Password),
                _ => return Err(UrlError::Parameter(split(parameter, '=').0.chars().take(40).collect())),
            }
        }
        let (name, port) = match place.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').map(|(name, port)| (name, port.strip_prefix(':'))),
            None => Some(place.split_once(':').map_or((place, None), |(name, port)| (name, Some(port)))),
        }
        .ok_or(UrlError::Form)?;
        let port = port.map_or(Ok(PORT), |port| port.parse().map_err(|_| UrlError::Form))?;
        let name = decoded(name)?;
        let host = match (name, folder) {
            (name, Some(folder)) if name.is_empty() && folder.starts_with('/') => Host::Folder(folder.into()),
            (name, None) if name.starts_with('/') => Host::Folder(name.into()),
            (name, None) if is_host(&name) => Host::Name(name),
            _ => return Err(UrlError::Form),
        };
        let (user, database) = (decoded(user)?, decoded(database)?);
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
            ("postgresql://a@b/c?host=/d", UrlError::Form),
            ("postgresql://a:@b/c", UrlError::Password),
            ("postgresql://a:se@cret@b/c", UrlError::Password),
            ("postgresql://a@b/c?password=secret", UrlError::Password),
            ("postgresql://a@b/c?sslmode=disable", UrlError::Parameter("sslmode".to_string())),
            ("postgresql://a@b/c?options=-csearch_path", UrlError::Parameter("options".to_string())),
        ];
        for (text, why) in refused {
            let error = parsed(text).expect_err(text);
            assert!(!error.to_string().contains("secret"), "{error}");
            assert_eq!(error, why, "{text}");
        }
    }
}
