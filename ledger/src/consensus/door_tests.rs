use consilium_protocol::ids::{HospitalId, LedgerId};
use consilium_protocol::keys::SigningKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const NORTH: u8 = 1;
const SOUTH: u8 = 2;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn identity(seed: u8, ledger: u8) -> Identity {
    Identity::new(&key(seed), &LedgerId::from_bytes([ledger; 32])).expect("a key")
}

fn peer(seed: u8, address: SocketAddr) -> Peer {
    let id = HospitalId::from_public_key([seed; 32]);
    Peer { id, address: address.to_string(), peer_public_key: key(seed).public_key() }
}

/// The door of node 1 with members 2 and 3, and a malachite behind it that says what it hears.
async fn open_door() -> (SocketAddr, JoinSet<()>) {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let door = Door::bind(anywhere, &[peer(2, nowhere), peer(3, nowhere)], identity(1, NORTH)).await.expect("ports");
    let public = door.public.local_addr().expect("bound");
    let echo = TcpListener::bind(door.inner()).await.expect("free");
    let mut tasks = door.open().expect("keys");
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    (public, tasks)
}

/// What `said` is answered with through the door of `client` to a node at `to` that should hold the key of `server`.
async fn ask(client: Identity, server: u8, to: SocketAddr) -> Option<[u8; 4]> {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let door = Door::bind(anywhere, &[peer(server, to)], client).await.expect("ports");
    let (inner, _) = door.peers().expect("bound").remove(0);
    let _tasks = door.open().expect("keys");
    let mut stream = TcpStream::connect(inner).await.expect("the door listens");
    stream.write_all(b"ping").await.ok()?;
    let mut answer = [0; 4];
    let read = timeout(HANDSHAKE_TIMEOUT * 2, stream.read_exact(&mut answer)).await.expect("an answer or an end");
    read.ok().map(|_| answer)
}

#[tokio::test]
async fn members_get_through_and_nobody_else() {
    let (public, _tasks) = open_door().await;
    assert_eq!(ask(identity(2, NORTH), 1, public).await, Some(*b"ping"));
    assert_eq!(ask(identity(3, NORTH), 1, public).await, Some(*b"ping"));
    assert_eq!(ask(identity(9, NORTH), 1, public).await, None, "no member's key");
    assert_eq!(ask(identity(2, SOUTH), 1, public).await, None, "another ledger");
    assert_eq!(ask(identity(2, NORTH), 3, public).await, None, "not the node that was meant");
}

#[tokio::test]
async fn who_does_not_speak_tls_hears_nothing_of_malachite() {
    let (public, _tasks) = open_door().await;
    let mut stream = TcpStream::connect(public).await.expect("the door listens");
    stream.write_all(b"\x13/multistream/1.0.0\n").await.expect("connected");
    let mut heard = Vec::new();
    let _ = timeout(HANDSHAKE_TIMEOUT * 2, stream.read_to_end(&mut heard)).await.expect("turned away");
    assert!(!heard.windows(11).any(|window| window == b"multistream"), "{heard:?}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_port_for_libp2p_is_kept_from_others() {
    let (address, held) = hold_port().expect("a free port");
    let other = TcpSocket::new_v4().expect("a socket");
    assert!(other.bind(address).is_err(), "a program that does not ask for reuse");
    let libp2p = TcpListener::bind(address).await.expect("named and reused");
    assert_eq!(libp2p.local_addr().expect("bound"), address);
    drop(held);
    TcpStream::connect(address).await.expect("the listener stays");
}
