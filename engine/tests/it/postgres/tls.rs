//! Passwords, and TLS with a pinned root: never anything weaker.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use consilium_engine::store::{DatabaseError, Store, StoreConfig, StoreError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::{Hospital, database_error};
use crate::oracle::server::{Server, programs_or_skip};

/// An authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

impl Authority {
    /// A server's certificate and key.
    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_string()]).expect("parameters");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// A server that lets the reader in with a password and over TLS only.
async fn start(certificate: &str, key: &str, port: u16) -> Option<Hospital> {
    let programs = programs_or_skip()?;
    let settings = ["listen_addresses=127.0.0.1".to_string(), format!("port={port}")];
    let mut server = Server::start_with(&programs, &settings, |data| {
        let hba = "local all oracle trust\nhostssl all reader 127.0.0.1/32 scram-sha-256\nhostnossl all plain 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), hba).expect("written");
        write_private(&data.join("server.crt"), certificate);
        write_private(&data.join("server.key"), key);
        let more = fs::read_to_string(data.join("postgresql.conf")).expect("settings") + "\nssl = on\n";
        fs::write(data.join("postgresql.conf"), more).expect("written");
    });
    let admin = server.connect_at(port).await;
    admin
        .execute(
            "CREATE ROLE reader LOGIN PASSWORD 'right'; CREATE ROLE plain LOGIN PASSWORD 'right'; CREATE SCHEMA cdm;
             CREATE TABLE cdm.person (person_id int); INSERT INTO cdm.person VALUES (1), (2);
             GRANT USAGE ON SCHEMA cdm TO reader, plain; GRANT SELECT ON cdm.person TO reader, plain",
        )
        .await
        .expect("a role");
    Some(Hospital { server, admin })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// The commands of the documentation that make certificates.
fn recipe() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/postgres.md");
    let page = fs::read_to_string(page).expect("the documentation");
    let blocks = page.split("```sh\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0));
    blocks.filter(|block| block.contains("openssl")).collect()
}

/// Runs commands in a folder.
fn run(folder: &Path, commands: &str) {
    let done = Command::new("sh").arg("-ec").arg(commands).current_dir(folder).output().expect("a shell");
    assert!(done.status.success(), "{commands}: {}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_certificate_is_taken_and_others_are_told_what_they_lack() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var("CI").is_err(), "no openssl was found: install Debian's package `openssl`");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    run(folder.path(), &recipe().replace("db.example", "localhost"));
    let text = |name: &str| fs::read_to_string(at(name)).expect(name);
    let port = free_port();
    let Some(place) = start(&text("server.crt"), &text("server.key"), port).await else { return };
    write_private(&at("password"), "right\n");
    let open = async |host: &str, root: &str| {
        let (root, password) = (at(root), at("password"));
        let text = format!(
            "url = \"postgresql://reader@{host}:{port}/postgres\"\nschema = \"cdm\"\ntls_root = {root:?}\npassword_file = {password:?}"
        );
        Store::open(&toml::from_str(&text).expect("a store"), &[]).await
    };
    assert!(open("localhost", "database-root.pem").await.is_ok());
    let other = open("127.0.0.1", "database-root.pem").await.expect_err("another host").to_string();
    assert!(other.contains("for another host than the URL names, for localhost"), "{other}");
    assert!(other.contains("subjectAltName = IP:127.0.0.1"), "{other}");

    // As PostgreSQL's manual makes them, 19.9.5: a root, a server's without extensions, one that signs itself.
    run(
        folder.path(),
        r#"
        issued() { openssl x509 -req -in server.csr -days 9 -CA database-root.pem -CAkey root.key -CAcreateserial "$@"; }
        issued -out plain.crt
        echo "basicConstraints = CA:FALSE" > plain.ext
        issued -extfile plain.ext -out nameless.crt
        openssl req -new -x509 -days 9 -nodes -out own.crt -key server.key -subj "/CN=localhost"
        "#,
    );
    // What openssl makes without extensions is of version 1, or, of newer ones, names no host.
    for (certificate, root, why) in [
        ("plain.crt", "database-root.pem", [" it is of X.509 version 1", "names no host by subjectAltName"]),
        ("nameless.crt", "database-root.pem", ["names no host by subjectAltName, and its CN does not count"; 2]),
        ("own.crt", "own.crt", ["it is an authority's (CA:TRUE)"; 2]),
    ] {
        let data = place.server.folder().join("data");
        fs::write(data.join("server.crt"), text(certificate)).expect("written");
        place.admin.rows("SELECT pg_reload_conf()").await.expect("loaded");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let said = open("localhost", root).await.map_or_else(|error| error.to_string(), |_| "nothing".to_string());
            if why.iter().any(|why| said.contains(why)) {
                assert!(said.contains("X.509 version 3 with subjectAltName = DNS:localhost"), "{said}");
                break;
            }
            assert!(Instant::now() < deadline, "{certificate}: {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_server_that_the_pinned_root_vouches_for_is_asked() {
    let port = free_port();
    let own = authority();
    let (certificate, key) = own.server("localhost", |_| {});
    let Some(place) = start(&certificate, &key, port).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("root.pem"), &own.pem).expect("written");
    fs::write(at("other.pem"), authority().pem).expect("written");
    write_private(&at("right"), "right\n");
    write_private(&at("wrong"), "wrong\n");
    let config = |host: &str, root: &str, password: &str| -> StoreConfig {
        let (root, password) = (at(root), at(password));
        let text = format!(
            "url = \"postgresql://reader@{host}:{port}/postgres\"\nschema = \"cdm\"\ntls_root = {root:?}\npassword_file = {password:?}"
        );
        toml::from_str(&text).expect("a store")
    };
    let open = async |host: &str, root: &str, password: &str| Store::open(&config(host, root, password), &[]).await;
    let good = open("localhost", "root.pem", "right").await.expect("an open store");
    assert_eq!(good.summary().tables[0].rows, Some(2));

    let refused = async |host: &str, root: &str, password: &str| {
        let error = database_error(open(host, root, password).await.expect_err("refused"));
        assert!(!error.is_passing(), "the steward is asked: {error}");
        let text = error.to_string();
        assert!(!text.contains("right") && !text.contains("wrong;"), "{text}");
        error
    };
    let wrong = refused("localhost", "root.pem", "wrong").await;
    assert!(matches!(&wrong, DatabaseError::Login { user } if user == "reader"), "{wrong}");
    let why = |error: DatabaseError| match error {
        DatabaseError::Certificate { why } => why,
        other => panic!("{other}"),
    };
    assert!(why(refused("localhost", "other.pem", "right").await).contains("not issued by any in `tls_root`"));
    assert!(why(refused("127.0.0.1", "root.pem", "right").await).contains("for another host"));
    fs::write(at("empty.pem"), "nothing\n").expect("written");
    let empty = refused("localhost", "empty.pem", "right").await;
    assert!(matches!(&empty, DatabaseError::File { what, .. } if what.contains("no certificate")), "{empty}");

    // Another certificate at the server, from now on.
    let data = place.server.folder().join("data");
    let with = async |certificate: &str, key: &str| {
        fs::write(data.join("server.crt"), certificate).expect("written");
        fs::write(data.join("server.key"), key).expect("written");
        place.admin.rows("SELECT pg_reload_conf()").await.expect("loaded");
    };
    let until = async |is: &dyn Fn(&StoreError) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match open("localhost", "root.pem", "right").await {
                Err(error) if is(&error) => return,
                other => assert!(Instant::now() < deadline, "{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let says = |text: &'static str| move |error: &StoreError| matches!(error, StoreError::Database(DatabaseError::Certificate { why }) if why.contains(text));
    let (certificate, key) = own.server("localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    with(&certificate, &key).await;
    until(&says("has expired")).await;
    let (certificate, key) = own.server("localhost", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    with(&certificate, &key).await;
    until(&says("CA:TRUE")).await;
    let (certificate, key) = own.server("elsewhere", |_| {});
    with(&certificate, &key).await;
    until(&says("for another host")).await;
    // Where the server speaks no TLS, there is no connection.
    place.execute("ALTER SYSTEM SET ssl = off").await;
    place.admin.rows("SELECT pg_reload_conf()").await.expect("loaded");
    until(&|error| matches!(error, StoreError::Database(DatabaseError::NoTls))).await;

    // Without TLS it takes this machine's own server, and the word for it.
    let plain = |password: &str| -> StoreConfig {
        let text = format!(
            "url = \"postgresql://plain@127.0.0.1:{port}/postgres\"\nschema = \"cdm\"\ntls = \"off\"\n{password}"
        );
        toml::from_str(&text).expect("a store")
    };
    let none = database_error(Store::open(&plain(""), &[]).await.expect_err("no password"));
    assert!(matches!(&none, DatabaseError::NoPassword { user } if user == "plain"), "{none}");
    assert!(Store::open(&plain(&format!("password_file = {:?}", at("right"))), &[]).await.is_ok());
}
