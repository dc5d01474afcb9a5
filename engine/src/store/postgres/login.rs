//! Looks at what a server without TLS asks for before it lets anybody in: whoever has its port could ask for the password.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::Socket;

/// The request for the password itself, the one for its MD5, and the word that somebody is let in.
const CLEARTEXT: [u8; 4] = 3u32.to_be_bytes();
const MD5: [u8; 4] = 5u32.to_be_bytes();
const LET_IN: [u8; 4] = 0u32.to_be_bytes();

/// A socket by which no server is told a password: a request for one does not reach the client.
#[derive(Debug)]
pub(super) struct Watched {
    socket: Socket,
    watch: Watch,
}

/// Why nothing more is read.
#[derive(Debug)]
pub(super) struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server asks for the password itself")
    }
}

impl std::error::Error for Asked {}

/// Where in the server's messages one is: each has a letter, a length that counts itself, and what it says.
#[derive(Debug, Default)]
struct Watch {
    /// A message's beginning, as far as it has come.
    head: Vec<u8>,
    /// How much more of it there is.
    rest: u64,
    is_in: bool,
}

impl Watch {
    /// Looks at what has come.
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), Asked> {
        while !self.is_in && !bytes.is_empty() {
            let passed = bytes.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX));
            bytes = &bytes[passed..];
            self.rest -= passed as u64;
            let Some((first, others)) = bytes.split_first() else { break };
            self.head.push(*first);
            bytes = others;
            self.read_head()?;
        }
        Ok(())
    }

    fn read_head(&mut self) -> Result<(), Asked> {
        let [letter, a, b, c, d, said @ ..] = &self.head[..] else { return Ok(()) };
        let length = u64::from(u32::from_be_bytes([*a, *b, *c, *d])).saturating_sub(4);
        if *letter == b'R' && length >= 4 {
            let Ok(said) = <[u8; 4]>::try_from(said) else { return Ok(()) };
            if [CLEARTEXT, MD5].contains(&said) {
                return Err(Asked);
            }
            self.is_in = said == LET_IN;
        }
        self.rest = length - said.len() as u64;
        self.head.clear();
        Ok(())
    }
}

impl Watched {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, watch: Watch::default() }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        let looked = self.watch.look(&buffer.filled()[before..]);
        Poll::Ready(looked.map_err(|asked| {
            buffer.set_filled(before);
            io::Error::other(asked)
        }))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(letter: u8, said: &[u8]) -> Vec<u8> {
        [&[letter][..], &(said.len() as u32 + 4).to_be_bytes(), said].concat()
    }

    fn looked(messages: &[Vec<u8>], piece: usize) -> Result<(), Asked> {
        let mut watch = Watch::default();
        messages.concat().chunks(piece).try_for_each(|bytes| watch.look(bytes))
    }

    #[test]
    fn a_request_for_the_password_is_seen_wherever_it_comes() {
        let notice = message(b'N', b"SINFO\0R\0\0\0\x08\0\0\0\x03\0");
        let scram = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        let (cleartext, md5) = (message(b'R', &CLEARTEXT), message(b'R', b"\0\0\0\x05salt"));
        let (let_in, empty) = (message(b'R', &LET_IN), message(b'R', b""));
        let row = cleartext.clone();
        for piece in 1..30 {
            for asked in [&cleartext, &md5] {
                for before in [vec![], vec![notice.clone()], vec![empty.clone(), scram.clone(), notice.clone()]] {
                    assert!(looked(&[before, vec![asked.clone()]].concat(), piece).is_err(), "{piece}");
                }
            }
            let well = [notice.clone(), scram.clone(), let_in.clone(), row.clone()];
            assert!(looked(&well, piece).is_ok(), "what comes later asks for nothing: {piece}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for length in [0, 1, 3, 4, 7, 8, u32::MAX] {
            for letter in [b'R', b'E'] {
                let bytes = [&[letter][..], &length.to_be_bytes(), &[9; 20]].concat();
                let _ = Watch::default().look(&bytes);
            }
        }
    }
}
