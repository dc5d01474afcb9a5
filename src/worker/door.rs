//! How a worker without network comes to its sockets: its parent connects them, and passes them through a socket of their own.
//!
//! | who | bytes | what |
//! |---|---|---|
//! | parent, before its first message | 1 | 0; or 1, with the worker's end of this door |
//! | worker, through the door | 1 | one socket more, please |
//! | parent, through the door | 1 | 0 or 1 with a socket, over TCP or in a folder; or 2 and more: why there is none |
//!
//! The worker says not where to: that is the configuration's. So a worker that was taken over reaches that one server, and
//! nothing else.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as Blocking;
use std::sync::Arc;

use async_trait::async_trait;
use consilium_engine::store::{DatabaseUrl, Dial, Socket, StoreConfig, connect};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

const NO_DOOR: u8 = 0;
const DOOR: u8 = 1;
const TCP: u8 = 0;
const FOLDER: u8 = 1;

/// Why there is no socket: what the worker's own attempt would have told.
const REASONS: [ErrorKind; 9] = [
    ErrorKind::Other,
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::HostUnreachable,
    ErrorKind::NetworkUnreachable,
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
    ErrorKind::TimedOut,
    ErrorKind::Unsupported,
];

/// Sends one byte, with a file descriptor or without.
fn send(through: impl AsFd, byte: u8, passed: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [0; rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed: Vec<BorrowedFd<'_>> = passed.into_iter().collect();
    if !passed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&passed)) {
        return Err(ErrorKind::InvalidInput.into());
    }
    match sendmsg(through, &[IoSlice::new(&[byte])], &mut control, SendFlags::NOSIGNAL)? {
        1 => Ok(()),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

/// Receives one byte, with a file descriptor or without.
fn receive_from(from: impl AsFd) -> io::Result<(u8, Option<OwnedFd>)> {
    let mut space = [0; rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes != 1 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let mut passed = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = message {
            passed = files.last().or(passed);
        }
    }
    Ok((byte[0], passed))
}

/// The parent's part: passes the door, where the store is a database, and serves it until the worker is gone.
pub(super) async fn open(pipe: &UnixStream, store: Option<&StoreConfig>) -> io::Result<()> {
    let Some(database) = store.and_then(|store| store.place.database()) else {
        return pipe.async_io(Interest::WRITABLE, || send(pipe, NO_DOOR, None)).await;
    };
    let (own, other) = UnixStream::pair()?;
    pipe.async_io(Interest::WRITABLE, || send(pipe, DOOR, Some(other.as_fd()))).await?;
    tokio::spawn(serve(own, database.url.clone()));
    Ok(())
}

async fn serve(mut door: UnixStream, url: DatabaseUrl) {
    while door.read_u8().await.is_ok() {
        let (byte, socket) = match connect(&url).await.and_then(Socket::into_file) {
            Ok((socket, is_tcp)) => (if is_tcp { TCP } else { FOLDER }, Some(socket)),
            Err(error) => {
                let reason = REASONS.iter().position(|reason| *reason == error.kind()).unwrap_or(0);
                (2 + u8::try_from(reason).unwrap_or(0), None)
            }
        };
        let passed = socket.as_ref().map(AsFd::as_fd);
        if door.async_io(Interest::WRITABLE, || send(&door, byte, passed)).await.is_err() {
            return;
        }
    }
}

/// The worker's part: takes the door, if there is one.
pub(super) fn receive(pipe: &Blocking) -> io::Result<Option<OwnedFd>> {
    match receive_from(pipe)? {
        (NO_DOOR, None) => Ok(None),
        (DOOR, Some(door)) => Ok(Some(door)),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// What asks at the door.
pub(super) fn dial(door: Option<OwnedFd>, _: Option<&StoreConfig>) -> Option<Arc<dyn Dial>> {
    Some(Arc::new(Asking { door: std::sync::Mutex::new(door), open: Mutex::new(None) }))
}

/// Asks at the door, one socket after another.
#[derive(Debug)]
struct Asking {
    /// Until the first time: the runtime is not there yet.
    door: std::sync::Mutex<Option<OwnedFd>>,
    open: Mutex<Option<Opened>>,
}

#[derive(Debug)]
struct Opened {
    door: UnixStream,
    /// Whether an answer is still to come that nobody waits for any more.
    owed: bool,
}

#[async_trait]
impl Dial for Asking {
    async fn dial(&self) -> io::Result<Socket> {
        let mut open = self.open.lock().await;
        if open.is_none() {
            let door = self.door.lock().map_err(|_| ErrorKind::Other)?.take().ok_or(ErrorKind::NotConnected)?;
            let door = Blocking::from(door);
            door.set_nonblocking(true)?;
            *open = Some(Opened { door: UnixStream::from_std(door)?, owed: false });
        }
        let Opened { door, owed } = open.as_mut().ok_or(ErrorKind::NotConnected)?;
        if *owed {
            door.async_io(Interest::READABLE, || receive_from(&*door)).await?;
        }
        *owed = true;
        door.write_u8(0).await?;
        let answer = door.async_io(Interest::READABLE, || receive_from(&*door)).await?;
        *owed = false;
        match answer {
            (kind @ (TCP | FOLDER), Some(socket)) => Socket::of_file(socket, kind == TCP),
            (reason, _) => {
                let reason = reason.checked_sub(2).and_then(|reason| REASONS.get(usize::from(reason)));
                Err(reason.copied().unwrap_or(ErrorKind::InvalidData).into())
            }
        }
    }
}
