//! How messages stand in the pipe.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length h of the head, little-endian |
//! | 8 | length b of the body, little-endian |
//! | h | head: a request or reply, in borsh |
//! | b | body: what is long, as it is: a number of bytes for each subject, or cells |
//!
//! Both lengths are held against limits before anything is read, and memory grows with what arrives, not with what was
//! announced.

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::Zeroizing;

/// Bytes before the head.
pub const PREFIX: usize = 12;

/// The largest head and body that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of the head, in bytes.
    pub head: u64,
    /// Of the body, in bytes.
    pub body: u64,
}

impl Caps {
    /// What a worker accepts of its node: terms of a million patients who all allow something else, and 2^28 subjects.
    pub const REQUEST: Self = Self { head: 256 << 20, body: 16 << 28 };
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A part is longer than is accepted.
    #[error("a message is longer than is accepted")]
    TooLong,
    /// The head is not one.
    #[error("a message has no readable head")]
    Malformed,
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// The first bytes of a message.
pub fn prefix(head: usize, body: usize) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    // Heads are far below 4 GiB: whoever reads accepts less.
    prefix[..4].copy_from_slice(&u32::try_from(head).unwrap_or(u32::MAX).to_le_bytes());
    prefix[4..].copy_from_slice(&(body as u64).to_le_bytes());
    prefix
}

/// The lengths of head and body.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn lengths(prefix: &[u8; PREFIX], caps: Caps) -> Result<(usize, usize), FrameError> {
    let (head, body) = prefix.split_first_chunk::<4>().ok_or(FrameError::Malformed)?;
    let body = body.first_chunk::<8>().ok_or(FrameError::Malformed)?;
    let (head, body) = (u64::from(u32::from_le_bytes(*head)), u64::from_le_bytes(*body));
    if head > caps.head || body > caps.body {
        return Err(FrameError::TooLong);
    }
    let fits = |length| usize::try_from(length).map_err(|_| FrameError::TooLong);
    Ok((fits(head)?, fits(body)?))
}

/// Reads a head, all of it.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn head<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, FrameError> {
    borsh::from_slice(bytes).map_err(|_| FrameError::Malformed)
}

/// A head in bytes. It may hold a secret.
pub fn to_bytes(head: &impl BorshSerialize) -> Zeroizing<Vec<u8>> {
    // Writing to a vector cannot fail.
    Zeroizing::new(borsh::to_vec(head).unwrap_or_default())
}

/// Writes one message.
///
/// # Errors
/// When the other side is gone.
pub fn write(output: &mut impl Write, head: &impl BorshSerialize, body: &[u8]) -> io::Result<()> {
    let head = to_bytes(head);
    output.write_all(&prefix(head.len(), body.len()))?;
    output.write_all(&head)?;
    output.write_all(body)?;
    output.flush()
}

/// Reads one message; `None` at the end.
///
/// # Errors
/// When the message ends early, is too long, or is none.
pub fn read<T: BorshDeserialize>(input: &mut impl Read, caps: Caps) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut prefix = [0; PREFIX];
    match input.read(&mut prefix)? {
        0 => return Ok(None),
        some => input.read_exact(&mut prefix[some..])?,
    }
    let (head_bytes, body_bytes) = lengths(&prefix, caps)?;
    let mut exactly = |length: usize| {
        let mut bytes = Vec::new();
        input.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) } else { Ok(bytes) }
    };
    let head_read = Zeroizing::new(exactly(head_bytes)?);
    let body = exactly(body_bytes)?;
    Ok(Some((head(&head_read)?, body)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::worker::{Reply, Request};

    const SMALL: Caps = Caps { head: 1 << 10, body: 1 << 10 };

    proptest! {
        #[test]
        fn whatever_arrives_is_a_message_or_an_error(
            lengths in prop::option::of((0u32..64, 0u64..64)), rest in prop::collection::vec(any::<u8>(), 0..160),
        ) {
            let mut bytes = Vec::new();
            if let Some((head, body)) = lengths {
                bytes.extend(head.to_le_bytes());
                bytes.extend(body.to_le_bytes());
            }
            bytes.extend(&rest);
            let _ = read::<Request>(&mut &bytes[..], SMALL);
            let _ = read::<Reply>(&mut &bytes[..], SMALL);
            let _ = head::<Request>(&rest);
            let _ = head::<Reply>(&rest);
        }

        #[test]
        fn what_is_written_is_read(text in ".{0,40}", body in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
            let mut bytes = Vec::new();
            write(&mut bytes, &text, &body).expect("a vector");
            let mut rest = &bytes[..];
            prop_assert_eq!(read::<String>(&mut rest, SMALL).expect("a message"), Some((text, body)));
            prop_assert!(rest.is_empty());
            if cut > 0 && cut < bytes.len() {
                prop_assert!(read::<String>(&mut &bytes[..cut], SMALL).is_err());
            }
        }
    }

    #[test]
    fn what_is_announced_is_held_against_limits_before_it_is_read() {
        for (head, body) in [(1025, 0), (0, 1025), (u32::MAX, 0), (0, u64::MAX)] {
            let mut bytes = head.to_le_bytes().to_vec();
            bytes.extend(body.to_le_bytes());
            let error = read::<String>(&mut &bytes[..], SMALL).expect_err("too long");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{head} {body}");
        }
        assert!(read::<String>(&mut &[][..], SMALL).expect("the end").is_none());
        // A head with something behind it.
        let mut bytes = prefix(6, 0).to_vec();
        bytes.extend([1, 0, 0, 0, b'a', b'b']);
        assert!(read::<String>(&mut &bytes[..], SMALL).is_err());
    }
}
