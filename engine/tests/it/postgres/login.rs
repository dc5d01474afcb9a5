//! A password is handed to nobody: without TLS, whoever asks for it may be anybody on this machine.

use std::sync::Arc;
use std::time::Duration;

use consilium_engine::store::{Access, Direct, Store, StoreConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::database_error;

const PASSWORD: &str = "CANARY password";

/// Somebody who says `asks` to whoever comes, a few bytes at a time, and keeps what is answered.
async fn posing(asks: &[u8], piece: usize) -> (Vec<u8>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).expect("written");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    let text = format!(
        "url = \"postgresql://reader@127.0.0.1:{port}/omop\"\nschema = \"cdm\"\ntls = \"off\"\npassword_file = {file:?}\n"
    );
    let config: StoreConfig = toml::from_str(&text).expect("a store");
    let database = config.place.database().expect("a database");
    let dial = Arc::new(Direct(database.url.clone()));
    let access = Access::read(database).expect("a password");
    let serving = async {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let length = socket.read_u32().await.expect("a startup message");
        socket.read_exact(&mut vec![0; length as usize - 4]).await.expect("a startup message");
        for bytes in asks.chunks(piece) {
            if socket.write_all(bytes).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut said = Vec::new();
        let _ = timeout(Duration::from_secs(2), socket.read_to_end(&mut said)).await;
        said
    };
    let opening = Store::open_with(&config, &[], Some((access, dial)));
    let (said, opened) = tokio::join!(serving, opening);
    let error = database_error(opened.expect_err("no server"));
    assert!(!error.to_string().contains("CANARY"), "{error}");
    (said, format!("{}: {error}", error.kind()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_the_password_itself_does_not_get_it() {
    let cleartext = b"R\0\0\0\x08\0\0\0\x03".to_vec();
    let md5 = b"R\0\0\0\x0c\0\0\0\x05salt".to_vec();
    let notice = [&b"N\0\0\0\x0bSINFO\0\0"[..], &cleartext].concat();
    for asks in [cleartext, md5, notice] {
        for piece in [1, 6, 100] {
            let (said, error) = posing(&asks, piece).await;
            assert!(said.is_empty(), "{asks:?}: {said:?}");
            if asks[0] == b'R' {
                assert!(error.starts_with("database_weak_login") && error.contains("scram-sha-256"), "{error}");
            }
        }
    }
    // What proves that one knows it, without telling it, is answered.
    let scram = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0".to_vec();
    let (said, _) = posing(&scram, 100).await;
    assert!(said.starts_with(b"p") && !String::from_utf8_lossy(&said).contains("CANARY"), "{said:?}");
}
