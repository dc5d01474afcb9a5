//! How a connection's socket comes to be.
//!
//! A worker has no network: whoever starts it connects, and hands it the open socket. So what speaks to the server asks a
//! [`Dial`] for one, and does not know whether it was made here.

use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, lookup_host};

use super::url::{DatabaseUrl, Host};

/// How long a server may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// What gives open sockets to one server.
#[async_trait]
pub trait Dial: Send + Sync + fmt::Debug {
    /// A new one.
    ///
    /// # Errors
    /// The operating system's.
    async fn dial(&self) -> io::Result<Socket>;
}

/// An open socket.
#[derive(Debug)]
pub enum Socket {
    /// To a host.
    Tcp(TcpStream),
    /// To a socket in a folder.
    #[cfg(unix)]
    Unix(UnixStream),
}

#[cfg(unix)]
impl Socket {
    /// What is open itself, to be passed to another process, and whether it is over TCP.
    ///
    /// # Errors
    /// The operating system's.
    pub fn into_file(self) -> io::Result<(OwnedFd, bool)> {
        match self {
            Self::Tcp(socket) => Ok((socket.into_std()?.into(), true)),
            Self::Unix(socket) => Ok((socket.into_std()?.into(), false)),
        }
    }

    /// What another process passed.
    ///
    /// # Errors
    /// The operating system's.
    pub fn of_file(file: OwnedFd, is_tcp: bool) -> io::Result<Self> {
        if is_tcp {
            let socket = std::net::TcpStream::from(file);
            socket.set_nonblocking(true)?;
            return TcpStream::from_std(socket).map(Self::Tcp);
        }
        let socket = std::os::unix::net::UnixStream::from(file);
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket).map(Self::Unix)
    }
}

/// Makes its own connections.
#[derive(Clone, Debug)]
pub struct Direct(pub DatabaseUrl);

#[async_trait]
impl Dial for Direct {
    async fn dial(&self) -> io::Result<Socket> {
        connect(&self.0).await
    }
}

/// Connects to a server.
///
/// # Errors
/// The operating system's; `NotFound` where there is no socket in the folder, or no address of the host is known.
pub async fn connect(url: &DatabaseUrl) -> io::Result<Socket> {
    let connecting = async {
        match &url.host {
            Host::Name(name) => {
                // No other name service has a say in what this machine is.
                let mut addresses: Vec<SocketAddr> =
                    url.loopback().into_iter().map(|address| (address, url.port).into()).collect();
                if addresses.is_empty() {
                    addresses
                        .extend(lookup_host((name.as_str(), url.port)).await.map_err(|_| io::ErrorKind::NotFound)?);
                }
                if addresses.is_empty() {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let socket = TcpStream::connect(&addresses[..]).await?;
                socket.set_nodelay(true)?;
                keep_alive(&socket)?;
                Ok(Socket::Tcp(socket))
            }
            #[cfg(unix)]
            Host::Folder(folder) => {
                UnixStream::connect(folder.join(format!(".s.PGSQL.{}", url.port))).await.map(Socket::Unix)
            }
            #[cfg(not(unix))]
            Host::Folder(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    };
    tokio::time::timeout(PATIENCE, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A server that is gone without a word is noticed within a minute: one that is waited for, and, where the system can tell, one
/// that is written to.
#[cfg(feature = "postgres")]
fn keep_alive(socket: &TcpStream) -> io::Result<()> {
    let every = Duration::from_secs(10);
    let keepalive = socket2::TcpKeepalive::new().with_time(every).with_interval(every).with_retries(3);
    let socket = socket2::SockRef::from(socket);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(4 * every))?;
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(not(feature = "postgres"))]
fn keep_alive(_: &TcpStream) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            #[cfg(unix)]
            Self::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            #[cfg(unix)]
            Self::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(context),
            #[cfg(unix)]
            Self::Unix(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            #[cfg(unix)]
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

#[cfg(all(test, feature = "postgres", target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_server_is_given_up_within_a_minute() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = server.local_addr().expect("an address").port();
        let url = format!("postgresql://reader@127.0.0.1:{port}/omop").parse().expect("a url");
        let Socket::Tcp(socket) = connect(&url).await.expect("a connection") else { panic!("not over TCP") };
        let socket = socket2::SockRef::from(&socket);
        let (time, interval) = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
        let probes = socket.tcp_keepalive_retries().expect("a number");
        let silent = time.expect("a time") + interval.expect("a time") * probes;
        assert!(silent <= Duration::from_secs(60), "{silent:?}");
        let unanswered = socket.tcp_user_timeout().expect("a time").expect("a limit");
        assert!(unanswered <= Duration::from_secs(60), "{unanswered:?}");
    }
    #[tokio::test]
    async fn a_host_without_an_address_is_told_from_one_that_does_not_answer() {
        // Longer than a label may be, so that nobody is asked.
        let url = format!("postgresql://reader@{}/omop", "x".repeat(64)).parse().expect("a url");
        assert_eq!(connect(&url).await.expect_err("no such host").kind(), io::ErrorKind::NotFound);
        let url = "postgresql://reader@127.0.0.1:1/omop".parse().expect("a url");
        assert_eq!(connect(&url).await.expect_err("nobody listens").kind(), io::ErrorKind::ConnectionRefused);
    }
}
