//! Names of everything that a consortium speaks of, one newtype each.
//!
//! Actors are Ed25519 public keys written in bech32m (BIP-350) with a human-readable part that says which kind of
//! actor it is; digests are written in hexadecimal. None converts from a bare integer or a bare array by `From`:
//! the constructor is spelled out where a name is made.

use std::fmt;
use std::str::FromStr;

use bech32::{Bech32m, Hrp};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is not bech32m, or its checksum does not match.
    #[error("not a valid {expected} name (bech32m checksum or characters wrong); copy it again in full")]
    NotBech32m {
        /// The kind of name that was expected.
        expected: &'static str,
    },
    /// The name is of another kind of actor.
    #[error("expected a name starting with `{expected}1`, this one is of another kind; check which name you copied")]
    WrongKind {
        /// The kind of name that was expected.
        expected: &'static str,
    },
    /// The text is not hexadecimal of the right length.
    #[error("expected {bytes} bytes as {digits} hexadecimal digits for {expected}; copy it again in full", digits = bytes * 2)]
    NotHex {
        /// What was expected.
        expected: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A chain id is empty, too long or has unusual characters.
    #[error("a chain id has 1 to 48 characters out of a-z, 0-9 and '-'; choose another")]
    ChainId,
}

macro_rules! actor_ids {
    ($($(#[$doc:meta])* $name:ident = $hrp:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The human-readable part of the name.
            pub const KIND: &'static str = $hrp;

            /// Names the holder of this Ed25519 public key. The key is not checked to be a curve point;
            /// a signature by an impossible key never verifies.
            pub const fn from_public_key(key: [u8; 32]) -> Self {
                Self(key)
            }

            /// The Ed25519 public key, 32 bytes.
            pub const fn public_key(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first characters of the name, enough to tell actors of one screen apart.
            pub fn short(&self) -> String {
                let full = self.to_string();
                full[..$hrp.len() + 9].to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hrp = Hrp::parse_unchecked($hrp);
                let text = bech32::encode::<Bech32m>(hrp, &self.0).map_err(|_| fmt::Error)?;
                f.pad(&text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = decode_bech32m(text, $hrp)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

fn decode_bech32m(text: &str, hrp: &'static str) -> Result<[u8; 32], IdError> {
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text.trim())
        .map_err(|_| IdError::NotBech32m { expected: hrp })?;
    if checked.hrp() != Hrp::parse_unchecked(hrp) {
        return Err(IdError::WrongKind { expected: hrp });
    }
    let bytes: Vec<u8> = checked.byte_iter().collect();
    bytes.try_into().map_err(|_| IdError::NotBech32m { expected: hrp })
}

actor_ids! {
    /// A member of the consortium.
    HospitalId = "hospital";
    /// Somebody who may propose studies once accredited.
    ResearcherId = "researcher";
    /// A patient's key at one hospital; keys of one patient at two hospitals cannot be linked.
    PatientId = "patient";
}

macro_rules! digest_ids {
    ($($(#[$doc:meta])* $name:ident = $bytes:literal, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Wraps the bytes of a digest.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of the digest.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The first eight hexadecimal digits, for screens.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0u8; $bytes];
                hex::decode_to_slice(text.trim(), &mut bytes)
                    .map_err(|_| IdError::NotHex { expected: $what, bytes: $bytes })?;
                Ok(Self(bytes))
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                let bytes = bytes.try_into().map_err(|_| IdError::NotHex { expected: $what, bytes: $bytes })?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

digest_ids! {
    /// A patient at one hospital, as the ledger knows them: a keyed digest that only the hospital can compute.
    SubjectId = 16, "a subject";
    /// A study: the SHA-256 of its proposal.
    StudyId = 32, "a study id";
    /// A consent document: the SHA-256 of the transaction that carried it and its position therein.
    DocumentId = 32, "a consent document id";
    /// A signed transaction.
    TxHash = 32, "a transaction hash";
    /// A ledger: the hash of its founding document, in everything that is signed, derived or sealed, so that nothing made for one
    /// ledger means anything on another, whatever its name.
    LedgerId = 32, "a ledger id";
    /// A block header.
    BlockHash = 32, "a block hash";
    /// What all transactions so far have resulted in.
    AppHash = 32, "an application hash";
    /// Any other content: a ciphertext, a scanned form, a certificate.
    ContentHash = 32, "a content hash";
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the number.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The bare number.
            pub const fn get(self) -> $inner {
                self.0
            }

            /// The next one, or `None` at the end of the range.
            pub fn next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

numbers! {
    /// The position of a block; the genesis file is height 0, the first block height 1.
    Height(u64);
    /// An attempt at computing a study, from 0.
    RoundNumber(u32);
    /// How many transactions a signer has had included before this one.
    Sequence(u64);
    /// Milliseconds since 1970-01-01T00:00:00Z, as the block says, never as a clock says.
    Timestamp(u64);
}

impl Timestamp {
    /// The UTC day of this moment.
    pub fn date(self) -> Date {
        let days = self.0 / 86_400_000;
        Date(i32::try_from(days).unwrap_or(i32::MAX))
    }

    /// This moment plus `millis`, saturating.
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// A calendar day: days since 1970-01-01, proleptic Gregorian, the unit of Arrow's `Date32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Date(i32);

/// A day that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a date is written YYYY-MM-DD, from 0001-01-01 to 9999-12-31")]
pub struct DateError;

impl Date {
    /// The day so many days after 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// The day of a year, month (1 to 12) and day of month; `None` if there is no such day.
    ///
    /// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if !(1..=9999).contains(&year) || !(1..=length).contains(&day) {
            return None;
        }
        let y = i64::from(if month <= 2 { year - 1 } else { year });
        let era = y.div_euclid(400);
        let year_of_era = y.rem_euclid(400);
        let shifted = i64::from((month + 9) % 12);
        let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        i32::try_from(era * 146_097 + day_of_era - 719_468).ok().map(Self)
    }

    /// Year, month and day of month.
    ///
    /// Source: H. Hinnant, as above, `civil_from_days`.
    pub fn ymd(self) -> (i32, u32, u32) {
        let z = i64::from(self.0) + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year as i32, month as u32, day as u32)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let mut parts = text.trim().splitn(3, '-');
        let mut part = |digits: usize| {
            parts
                .next()
                .filter(|p| p.len() == digits && p.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|p| p.parse::<u32>().ok())
                .ok_or(DateError)
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        Self::from_ymd(year as i32, month, day).ok_or(DateError)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a consortium's ledger, for people; what is signed or derived is bound to its [`LedgerId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct ChainId(String);

impl ChainId {
    /// Checks and wraps the text: 1 to 48 characters out of `a-z`, `0-9` and `-`.
    ///
    /// # Errors
    /// [`IdError::ChainId`] when the text is not of that form.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let fits = (1..=48).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_string())) } else { Err(IdError::ChainId) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl BorshDeserialize for ChainId {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let text = String::deserialize_reader(reader)?;
        Self::new(&text).map_err(|e| borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, e))
    }
}

impl<'de> Deserialize<'de> for ChainId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_refuse_other_kinds() {
        let hospital = HospitalId::from_public_key([7; 32]);
        assert_eq!(hospital.to_string().parse(), Ok(hospital));
        assert_eq!(hospital.to_string().parse::<ResearcherId>(), Err(IdError::WrongKind { expected: "researcher" }));
        let mut broken = hospital.to_string();
        broken.replace_range(12..13, if &broken[12..13] == "q" { "p" } else { "q" });
        assert_eq!(broken.parse::<HospitalId>(), Err(IdError::NotBech32m { expected: "hospital" }));
    }

    #[test]
    fn dates_agree_with_known_days() {
        for (text, days) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("1899-12-31", -25_568), ("2024-12-31", 20_088)]
        {
            let date: Date = text.parse().expect("a valid date");
            assert_eq!(date.days(), days, "{text}");
            assert_eq!(date.to_string(), text);
        }
        for bad in ["2023-02-29", "2023-13-01", "23-1-1", "2023-01-01T00:00", "+023-01-01", ""] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }

    #[test]
    fn chain_ids_are_plain() {
        assert!(ChainId::new("north-sea-2").is_ok());
        for bad in ["", "North", "a b", "é", &"x".repeat(49)] {
            assert_eq!(ChainId::new(bad), Err(IdError::ChainId));
        }
    }
}
