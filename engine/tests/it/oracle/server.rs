//! A PostgreSQL server of its own, in a temporary folder, reached by a socket in it, gone when the value is dropped.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// A running server.
pub(crate) struct Server {
    process: Child,
    folder: tempfile::TempDir,
    programs: PathBuf,
    account: Option<Account>,
    /// What it is started with, beside what every one is.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only stores in it stop it"))]
    settings: Vec<String>,
}

/// Who runs the server: PostgreSQL refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

/// Where PostgreSQL's server programs are: Debian's folder of the newest version, else wherever PATH has them.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let everywhere = folders.into_iter().rev().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    everywhere.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// Likewise. Where there are none, whoever runs the test is told that it is skipped; with `CI` set it fails.
pub(crate) fn programs_or_skip() -> Option<PathBuf> {
    let found = programs();
    if found.is_none() {
        assert!(
            std::env::var("CI").is_err(),
            "no PostgreSQL server was found: install Debian's package `postgresql`, as `.ci/run` does"
        );
        // Not by a macro: what those print is kept back while a test passes, and whoever runs it must see this.
        let told = "SKIPPED: no PostgreSQL server was found; install Debian's package `postgresql`";
        writeln!(std::io::stderr(), "{told}").expect("standard error is there");
    }
    found
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
    pub(crate) fn start(programs: &Path) -> Self {
        Self::start_with(programs, &[], |_| {})
    }

    /// Starts a server with settings and files of its own; the folder of its data is its account's once it is prepared.
    pub(crate) fn start_with(programs: &Path, settings: &[String], prepare: impl FnOnce(&Path)) -> Self {
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
        prepare(&data);
        for entry in fs::read_dir(&data).expect("the data").flatten() {
            if let Some(Account { user, group }) = account {
                chown(entry.path(), Some(user), Some(group)).expect("root may give a file away");
            }
        }
        let process = Self::run(folder.path(), programs, account, settings);
        Self { process, folder, programs: programs.to_path_buf(), account, settings: settings.to_vec() }
    }

    fn run(folder: &Path, programs: &Path, account: Option<Account>, settings: &[String]) -> Child {
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("a file");
        command(programs, "postgres", account)
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(folder)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "synchronous_commit=off", "-c", "autovacuum=off", "-c", "jit=off"])
            .args(["-c", "shared_buffers=16MB", "-c", "max_connections=40", "-c", "timezone=UTC"])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stderr(log)
            .spawn()
            .expect("postgres runs")
    }

    /// The folder of its socket.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it, with everybody's connections.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only stores in it stop it"))]
    pub(crate) fn stop(&mut self) {
        let stopped = command(&self.programs, "pg_ctl", self.account)
            .args(["stop", "--mode=fast", "--silent", "-D"])
            .arg(self.folder.path().join("data"))
            .status();
        assert!(stopped.expect("pg_ctl runs").success());
        self.process.wait().expect("a child of ours");
    }

    /// Starts it again.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only stores in it stop it"))]
    pub(crate) fn start_again(&mut self) {
        self.process = Self::run(self.folder.path(), &self.programs, self.account, &self.settings);
    }

    /// Connects, as soon as the server takes connections.
    pub(crate) async fn connect(&mut self) -> Session {
        self.connect_at(5_432).await
    }

    /// Likewise, where its port is another.
    pub(crate) async fn connect_at(&mut self, port: u16) -> Session {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(port).user("oracle").dbname("postgres");
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
pub(crate) struct Session {
    client: Client,
}

/// A row as texts; NULL is `None`.
pub(crate) type Fields = Vec<Option<String>>;

impl Session {
    /// Runs statements.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), String> {
        self.client.batch_execute(sql).await.map_err(|error| message(&error))
    }

    /// Runs a query.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Fields>, String> {
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
