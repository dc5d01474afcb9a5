//! One connection to the server.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::{Client, Config, NoTls};

use super::access::Access;
use super::config::DatabaseConfig;
use super::dial::Dial;
use super::error::DatabaseError;
use super::login::{Asked, Watched};
use super::tls::{self, Pinned};
use super::url::Host;

/// How long a server may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection that nobody has any more may take to end in good order.
const PARTING: Duration = Duration::from_millis(500);

/// How a server is reached and entered.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) config: DatabaseConfig,
    access: Access,
    pinned: Option<Pinned>,
    dial: Arc<dyn Dial>,
}

impl Door {
    pub(super) fn new(config: &DatabaseConfig, access: Access, dial: Arc<dyn Dial>) -> Result<Self, DatabaseError> {
        let pinned = match (&config.url.host, config.tls) {
            (Host::Name(host), None) => Some(Pinned::new(access.root.as_deref().unwrap_or_default(), host)?),
            (Host::Name(_), Some(_)) | (Host::Folder(_), _) => None,
        };
        Ok(Self { config: config.clone(), access, pinned, dial })
    }

    /// A new connection, on which nothing can be written.
    pub(super) async fn enter(&self) -> Result<Connection, DatabaseError> {
        let socket = self.dial.dial().await.map_err(|error| self.unreachable(&error))?;
        let entering = async {
            match &self.pinned {
                Some(pinned) => self.speak(socket, SslMode::Require, pinned.clone()).await,
                None => self.speak(Watched::new(socket), SslMode::Disable, NoTls).await,
            }
        };
        let slow = || Err(self.unreachable(&io::ErrorKind::TimedOut.into()));
        timeout(PATIENCE, entering).await.unwrap_or_else(|_| slow())
    }

    async fn speak<S, T>(&self, socket: S, mode: SslMode, tls: T) -> Result<Connection, DatabaseError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: tokio_postgres::tls::TlsConnect<S>,
        T::Stream: Send + 'static,
    {
        let mut config = Config::new();
        config.user(&self.config.url.user).dbname(&self.config.url.database).application_name("consilium");
        config.ssl_mode(mode);
        if let Some(password) = &self.access.password {
            config.password(password);
        }
        let (client, mut connection) = config.connect_raw(socket, tls).await.map_err(|error| self.refused(&error))?;
        let (alive, gone) = oneshot::channel::<Infallible>();
        tokio::spawn(async move {
            // Notices are not looked at: they may quote rows. What it ends with is told to whoever asked for something.
            let ended = poll_fn(|context| {
                loop {
                    match ready!(connection.poll_message(context)) {
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return Poll::Ready(()),
                    }
                }
            });
            // Without a client it ends by itself, unless a statement goes on whose rows nobody reads.
            let parting = async {
                let _ = gone.await;
                tokio::time::sleep(PARTING).await;
            };
            tokio::select! {
                () = ended => {}
                () = parting => {}
            }
        });
        let connection = Connection { client, _alive: alive };
        connection.client.batch_execute(WATCH).await.or_else(|error| match failed(&error, "the login") {
            DatabaseError::Ended => Err(DatabaseError::Ended),
            // Where the server's platform cannot do it, or its version does not know it.
            _ => Ok(()),
        })?;
        Ok(connection)
    }

    fn unreachable(&self, error: &io::Error) -> DatabaseError {
        let url = &self.config.url;
        let at = match &url.host {
            Host::Name(name) if error.kind() == io::ErrorKind::NotFound => {
                return DatabaseError::Unresolved { host: name.clone() };
            }
            Host::Name(name) => format!("{name}, port {}", url.port),
            Host::Folder(folder) => folder.join(format!(".s.PGSQL.{}", url.port)).display().to_string(),
        };
        DatabaseError::Unreachable { at, reason: error.kind().to_string() }
    }

    /// Why a server did not let anybody in.
    fn refused(&self, error: &tokio_postgres::Error) -> DatabaseError {
        let (user, database) = (self.config.url.user.clone(), self.config.url.database.clone());
        if let Some(said) = error.as_db_error() {
            return match said.code().code() {
                "28P01" => DatabaseError::Login { user },
                "28000" => DatabaseError::NotLetIn { user },
                "3D000" => DatabaseError::NoDatabase { database },
                "42501" => DatabaseError::NotGranted {
                    grant: format!(
                        "GRANT CONNECT ON DATABASE {} TO {};",
                        super::quoted(&database),
                        super::quoted(&user)
                    ),
                    what: format!("the database `{database}`"),
                    user,
                },
                _ => of_server(said, "the database"),
            };
        }
        let source = std::error::Error::source(error);
        if let Some(error) = source.and_then(|source| source.downcast_ref::<io::Error>()) {
            if error.get_ref().is_some_and(|error| error.is::<Asked>()) {
                return DatabaseError::WeakLogin { user };
            }
            let host = match &self.config.url.host {
                Host::Name(name) => name.as_str(),
                Host::Folder(_) => "",
            };
            return tls::refused(error, host).unwrap_or_else(|| match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    DatabaseError::NotReady
                }
                io::ErrorKind::InvalidData => DatabaseError::Protocol { what: "the login".to_string() },
                _ => self.unreachable(error),
            });
        }
        // These three have no cause of a type that could be asked: the client's own words, which are fixed.
        match (error.to_string().as_str(), source.map(ToString::to_string).as_deref()) {
            ("invalid configuration", Some("password missing")) => DatabaseError::NoPassword { user },
            ("error performing TLS handshake", Some("server does not support TLS")) => DatabaseError::NoTls,
            ("authentication error", _) => DatabaseError::NotLetIn { user },
            _ if error.is_closed() => DatabaseError::NotReady,
            _ => DatabaseError::Protocol { what: "the login".to_string() },
        }
    }
}

/// A connection.
pub(super) struct Connection {
    pub(super) client: Client,
    /// Gone with it, by which its task knows.
    _alive: oneshot::Sender<Infallible>,
}

impl Connection {
    /// Marks where a transaction can go on from, whatever goes wrong after that.
    pub(super) async fn mark(&self) -> Result<(), DatabaseError> {
        let marked = self.client.batch_execute("SAVEPOINT mark").await;
        marked.map_err(|error| failed(&error, "a transaction"))
    }

    /// Goes on from the mark, where something went wrong, and takes it away. Where this fails, the connection is lost.
    pub(super) async fn go_on(&self, is_well: bool) -> Result<(), DatabaseError> {
        let back = if is_well { "" } else { "ROLLBACK TO mark; " };
        let gone_on = self.client.batch_execute(&format!("{back}RELEASE mark")).await;
        gone_on.map_err(|error| failed(&error, "a transaction"))
    }
}

fn of_server(said: &DbError, what: &str) -> DatabaseError {
    // The code is that of any want of memory; the server's own source file is not in any language.
    if said.code().code() == "53200" && said.file() == Some("lock.c") {
        return DatabaseError::Locks { what: what.to_string(), times: String::new() };
    }
    let is_last = matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    DatabaseError::of_state(said.code().code(), is_last, what)
}

/// What an error over something of the database's means.
pub(super) fn failed(error: &tokio_postgres::Error, what: &str) -> DatabaseError {
    if let Some(said) = error.as_db_error() {
        return of_server(said, what);
    }
    let source = std::error::Error::source(error);
    if error.is_closed() || source.is_some_and(|source| source.is::<io::Error>()) {
        return DatabaseError::Ended;
    }
    DatabaseError::Protocol { what: what.to_string() }
}

/// Likewise, over a table's rows. It was there a moment ago and is locked: what is missing now, a view's definition misses.
pub(super) fn unread(error: &tokio_postgres::Error, what: &str) -> DatabaseError {
    match (failed(error, what), error.code()) {
        (DatabaseError::Changed { what }, Some(code)) => {
            DatabaseError::Refused { what, state: code.code().to_string() }
        }
        (other, _) => other,
    }
}

/// Has the server notice that nobody is left who would read a statement's rows, unless the administrator has already.
const WATCH: &str = "SELECT pg_catalog.set_config(name, '10s', false) FROM pg_catalog.pg_settings \
                     WHERE name = 'client_connection_check_interval' AND setting = '0'";

/// What a transaction is for.
pub(super) enum Begin<'a> {
    /// To look, at a moment of its own.
    Look,
    /// To hold locks, and to export a moment that is later than these.
    Hold,
    /// To read at the moment that another exported.
    Join(&'a str),
}

/// How a transaction of ours begins.
///
/// Names mean what they say, whatever the role's or the server's defaults are; nothing can be written; nobody's lock is waited
/// for long, and no statement goes on for ever, also where nobody is left who would read its rows. What is idle is so because it
/// waits for a study's other parts. The administrator's own limits of time stay, where there are any, and so does all that views
/// compute by, such as the time zone.
pub(super) fn begin(what: &Begin<'_>) -> String {
    let (level, snapshot, lock_seconds) = match what {
        Begin::Look => ("REPEATABLE READ", String::new(), LOCK_SECONDS),
        Begin::Hold => ("READ COMMITTED", String::new(), LOCK_SECONDS),
        Begin::Join(snapshot) => {
            let taken = format!("SET TRANSACTION SNAPSHOT {};", super::literal(snapshot));
            ("REPEATABLE READ", taken, JOINING_LOCK_SECONDS)
        }
    };
    format!(
        "BEGIN ISOLATION LEVEL {level} READ ONLY; {snapshot} \
         SET LOCAL search_path = ''; SET LOCAL lock_timeout = '{lock_seconds}s'; \
         SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL client_min_messages = error; \
         SELECT pg_catalog.set_config(name, '{STATEMENT_SECONDS}s', true) FROM pg_catalog.pg_settings \
         WHERE name = 'statement_timeout' AND setting = '0'"
    )
}

/// What views' values depend on, as somebody's session has it.
///
/// Settings of a role or a database are taken at a login, and the server's own at any time: all who read for a study have the same.
pub(super) async fn settings(connection: &Connection) -> Result<String, DatabaseError> {
    let failed = |error: tokio_postgres::Error| failed(&error, "the settings");
    let sql = "SELECT name, setting FROM pg_catalog.pg_settings WHERE setting <> '' AND name IN ('DateStyle', 'IntervalStyle', \
               'TimeZone', 'bytea_output', 'extra_float_digits', 'lc_monetary', 'lc_numeric', 'lc_time', 'row_security', \
               'timezone_abbreviations', 'transform_null_equals', 'xmlbinary')";
    let mut settings = Vec::new();
    for row in connection.client.query(sql, &[]).await.map_err(failed)? {
        let (name, setting): (&str, &str) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        settings.push(format!("; SET LOCAL {name} = {}", super::literal(setting)));
    }
    Ok(settings.concat())
}

/// How long somebody else's lock is waited for.
const LOCK_SECONDS: u32 = 10;
/// Likewise by those who join a moment, whose holder must not be waited for by whom they wait for.
const JOINING_LOCK_SECONDS: u32 = 1;
/// How long a statement may take: as long as opening the tables may.
const STATEMENT_SECONDS: u32 = 3_600;
