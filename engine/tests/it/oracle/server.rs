//! A PostgreSQL server of its own, in a temporary folder, reached by a socket in it, gone when the value is dropped.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// A running server.
pub(super) struct Server {
    process: Child,
    folder: tempfile::TempDir,
    programs: PathBuf,
    account: Option<Account>,
}

/// Who runs the server: PostgreSQL refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

/// Where PostgreSQL's server programs are: Debian's folder of the newest version, else wherever PATH has them.
pub(super) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let everywhere = folders.into_iter().rev().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    everywhere.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// The account that may own a server, where this process is root's.
fn account(folder: &Path) -> Option<Account> {
    use std::os::unix::fs::MetadataExt;
    let own = fs::metadata(folder).expect("the folder is there").uid();
    if own != 0 {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let nobody = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let numbers = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        (name == "nobody").then_some(numbers)
    });
    let (user, group) = nobody.unwrap_or((65_534, 65_534));
    Some(Account { user, group })
}

fn command(programs: &Path, name: &str, account: Option<Account>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).env("LC_ALL", "C.UTF-8");
    if let Some(Account { user, group }) = account {
        command.gid(group).uid(user);
    }
    command
}

impl Server {
    /// Starts a server.
    pub(super) fn start(programs: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("oracle").tempdir().expect("a folder");
        let account = account(folder.path());
        if let Some(Account { user, group }) = account {
            chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("the folder is ours");
        let data = folder.path().join("data");
        let made = command(programs, "initdb", account)
            .args(["--no-sync", "--no-instructions", "--auth=trust", "--username=oracle", "--encoding=UTF8"])
            .args(["--lc-collate=C", "--lc-ctype=C.UTF-8"])
            .arg("-D")
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let process = command(programs, "postgres", account)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "synchronous_commit=off", "-c", "autovacuum=off", "-c", "jit=off"])
            .args(["-c", "shared_buffers=16MB", "-c", "max_connections=8", "-c", "timezone=UTC"])
            .stderr(log)
            .spawn()
            .expect("postgres runs");
        Self { process, folder, programs: programs.to_path_buf(), account }
    }

    /// Connects, as soon as the server takes connections.
    pub(super) async fn connect(&mut self) -> Session {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).user("oracle").dbname("postgres");
        let deadline = Instant::now() + START;
        loop {
            match config.connect(NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return Session { client };
                }
                Err(error) => {
                    let ended = self.process.try_wait().expect("a child of ours");
                    assert!(
                        ended.is_none() && Instant::now() < deadline,
                        "PostgreSQL did not start: {error}\n{}",
                        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
                    );
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = command(&self.programs, "pg_ctl", self.account)
            .args(["stop", "--mode=immediate", "--silent", "-D"])
            .arg(self.folder.path().join("data"))
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            // Its children end when they find themselves without it.
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// A connection to a server.
pub(super) struct Session {
    client: Client,
}

/// A row as texts; NULL is `None`.
pub(super) type Fields = Vec<Option<String>>;

impl Session {
    /// Runs statements.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), String> {
        self.client.batch_execute(sql).await.map_err(|error| message(&error))
    }

    /// Runs a query.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<Fields>, String> {
        let messages = self.client.simple_query(sql).await.map_err(|error| message(&error))?;
        let fields = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_string)).collect()),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(fields).collect())
    }
}

fn message(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_string())
}
