//! What can be wrong with a database. Nothing that the server says is passed on: its messages quote rows. What is known of a
//! failure is its SQLSTATE, which is one of a closed list, and what this program was doing.

use borsh::{BorshDeserialize, BorshSerialize};

/// A problem with a hospital's database. Names tables, columns and roles; never carries a value, nor a text of the server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The program has no client.
    #[error(
        "this program was built without PostgreSQL; build it with the feature `postgres`, or name a folder of tables"
    )]
    NotBuilt,
    /// A file that the configuration names.
    #[error("{file}: {what}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// Nobody listens, or does not answer.
    #[error("the database server at {at} cannot be reached ({reason}); see that it runs and listens there")]
    Unreachable {
        /// Host and port, or the socket.
        at: String,
        /// The operating system's word for it.
        reason: String,
    },
    /// Nobody knows where it is.
    #[error(
        "no address is known of the database server `{host}`; correct the host in the URL, or see that this machine knows it, by its \
         name service (DNS) or /etc/hosts"
    )]
    Unresolved {
        /// The host.
        host: String,
    },
    /// It is starting or shutting down.
    #[error("the database server is starting or shutting down; try again in a moment, a node does so by itself")]
    NotReady,
    /// All of its connections are taken.
    #[error(
        "the database takes no more connections, of the server's or of the role's; raise the limit (docs/postgres.md says how many \
         it takes), or lower a node's `connections` under [store]"
    )]
    Full,
    /// The role's password is wrong; or there is no such role, which is not told apart.
    #[error(
        "the database refuses the password of `{user}`, or has no such role; correct it in the file that `password_file` \
         (--password-file) names, or in CONSILIUM_STORE_PASSWORD"
    )]
    Login {
        /// The role.
        user: String,
    },
    /// The role may not log in, whatever its password.
    #[error(
        "the database does not let `{user}` in, whatever the password: no such role, one without LOGIN, or no line of pg_hba.conf that \
         lets it in from here by a password (with `peer`, the system's user must have the role's name); have the administrator look \
         at the server's log, which says which"
    )]
    NotLetIn {
        /// The role.
        user: String,
    },
    /// The server wants a password, and there is none.
    #[error(
        "the database asks for a password of `{user}`, and there is none; name the file that has it as `password_file` \
         (--password-file), or set CONSILIUM_STORE_PASSWORD"
    )]
    NoPassword {
        /// The role.
        user: String,
    },
    /// There is no such database.
    #[error("there is no database `{database}` at the server; correct its name in the URL")]
    NoDatabase {
        /// Its name.
        database: String,
    },
    /// The server speaks no TLS.
    #[error("the database server speaks no TLS; switch it on there (ssl = on), the connection is not made without")]
    NoTls,
    /// The server's certificate is not the right one.
    #[error("the database server's certificate is refused: {why}")]
    Certificate {
        /// What is wrong, and what to do.
        why: String,
    },
    /// A server that is too old.
    #[error("the database server is PostgreSQL {version}, and at least 12 is needed; upgrade it")]
    TooOld {
        /// Its major version.
        version: u32,
    },
    /// There is no such schema.
    #[error("the database has no schema `{schema}`; {instead}")]
    NoSchema {
        /// Its name.
        schema: String,
        /// What to do, as far as the other schemas tell.
        instead: String,
    },
    /// A right that the role lacks.
    #[error("the role `{user}` may not read {what}; have the administrator run: {grant}")]
    NotGranted {
        /// The role.
        user: String,
        /// What it may not read.
        what: String,
        /// The statement that grants it.
        grant: String,
    },
    /// No table of people.
    #[error("the schema `{schema}` has no table `person`; {instead}")]
    NoPerson {
        /// The schema.
        schema: String,
        /// What to do, as far as the other schemas tell.
        instead: String,
    },
    /// Somebody holds a lock.
    #[error(
        "{what} is locked by somebody else, as while it is loaded or altered; try again when it is not, a node does so by itself"
    )]
    Locked {
        /// The table.
        what: String,
    },
    /// A statement was cancelled, by hand or by a timeout.
    #[error(
        "a statement over {what} was cancelled, by the administrator or by a timeout of the server's; try again, as a node does by \
         itself, and set a longer timeout for the role where it was that: ALTER ROLE … SET statement_timeout"
    )]
    Cancelled {
        /// The table.
        what: String,
    },
    /// The connection ended in the middle.
    #[error(
        "the connection to the database ended in the middle (restarted, or the network); try again, a node does so by itself"
    )]
    Ended,
    /// The server took this transaction back for another's sake.
    #[error(
        "the database ended the transaction for another's sake (a deadlock, or a standby's conflict); try again, a node does so by \
         itself"
    )]
    Conflict,
    /// Tables, columns, types or rights are not what they were, or a value is not what it could be.
    #[error(
        "{what} is not what it was when the tables were opened; try again, with the tables opened anew: a node does so by itself"
    )]
    Changed {
        /// The table.
        what: String,
    },
    /// No memory or disk left at the server.
    #[error("the database server ran out of memory or disk over {what}; see its log")]
    Exhausted {
        /// The table.
        what: String,
    },
    /// The server cannot read its own files.
    #[error("the database server cannot read {what} from its disk (damaged, or an error of the disk); see its log")]
    Damaged {
        /// The table.
        what: String,
    },
    /// A value that cannot be computed or handed over: an expression of a view, or a text in another encoding.
    #[error(
        "the database cannot compute a value of {what} (SQLSTATE {state}): an expression of a view that fails on a row, or a \
         text with no place in UTF-8; mend the view or the rows"
    )]
    Value {
        /// The table.
        what: String,
        /// The SQLSTATE.
        state: String,
    },
    /// Anything else that the server says.
    #[error("the database refuses to read {what} (SQLSTATE {state}); the server's log has the reason")]
    Refused {
        /// The table.
        what: String,
        /// The SQLSTATE.
        state: String,
    },
    /// What the server sends is not what was asked for.
    #[error(
        "the database's answer about {what} was not one; see that `url` names a PostgreSQL server, and report this"
    )]
    Protocol {
        /// The table.
        what: String,
    },
    /// Another server, from which this one takes a table.
    #[error(
        "the database does not get {what} from the server where it is (down, or it refuses); see to the foreign server, and try again, \
         as a node does by itself"
    )]
    Foreign {
        /// The table.
        what: String,
    },
    /// No room left at the server for the locks that reading takes.
    #[error(
        "the database server has no room for the locks that reading {what} takes: each of a study's connections locks every \
         partition and every index of it{times}; have the administrator raise max_locks_per_transaction, or lower `connections` \
         under [store]"
    )]
    Locks {
        /// The table.
        what: String,
        /// How many locks these are, as far as it is known: empty, or after a comma.
        times: String,
    },
    /// The server asks for the password in a way that would tell it to whoever listens.
    #[error(
        "without TLS the password of `{user}` is not handed over, and the database asks for it as a clear text or by MD5; have the \
         administrator set password_encryption = 'scram-sha-256', give the role its password anew, and write scram-sha-256 into \
         its line of pg_hba.conf, or configure `tls_root`"
    )]
    WeakLogin {
        /// The role.
        user: String,
    },
}

impl DatabaseError {
    /// The kind of problem, for metrics and for matching in scripts.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotBuilt => "database_not_built",
            Self::File { .. } => "database_file",
            Self::Unreachable { .. } | Self::Unresolved { .. } => "database_unreachable",
            Self::NotReady => "database_not_ready",
            Self::Full => "database_full",
            Self::Login { .. } | Self::NotLetIn { .. } => "database_login",
            Self::NoPassword { .. } => "database_no_password",
            Self::NoDatabase { .. } => "no_database",
            Self::NoTls => "database_no_tls",
            Self::Certificate { .. } => "database_certificate",
            Self::TooOld { .. } => "database_too_old",
            Self::NoSchema { .. } => "no_schema",
            Self::NotGranted { .. } => "not_granted",
            Self::NoPerson { .. } => "no_person",
            Self::Locked { .. } => "database_locked",
            Self::Cancelled { .. } => "database_cancelled",
            Self::Ended => "database_ended",
            Self::Conflict => "database_conflict",
            Self::Changed { .. } => "database_changed",
            Self::Exhausted { .. } => "database_exhausted",
            Self::Damaged { .. } => "database_damaged",
            Self::Value { .. } => "database_value",
            Self::Refused { .. } => "database_refused",
            Self::Protocol { .. } => "database_protocol",
            Self::Foreign { .. } => "database_foreign",
            Self::Locks { .. } => "database_locks",
            Self::WeakLogin { .. } => "database_weak_login",
        }
    }

    /// What is said of what the role may not read where the statement that grants it stands elsewhere, with all others.
    pub(in crate::store) fn ungranted(user: &str, what: &str) -> String {
        format!(
            "the role `{user}` may not read {what}; the grant is among those that `consilium doctor` prints of the database"
        )
    }

    /// Whether it passes without anybody's doing, so that it is worth trying again soon and as often as it takes.
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Unresolved { .. }
                | Self::NotReady
                | Self::Full
                | Self::Locked { .. }
                | Self::Cancelled { .. }
                | Self::Ended
                | Self::Conflict
                | Self::Changed { .. }
                | Self::Exhausted { .. }
                | Self::Foreign { .. }
                | Self::Locks { .. }
        )
    }

    /// Whether it is about the one table that was looked at, so that the others can be read all the same.
    #[cfg(feature = "postgres")]
    pub(super) const fn is_of_one_table(&self) -> bool {
        matches!(
            self,
            Self::NotGranted { .. }
                | Self::Locked { .. }
                | Self::Cancelled { .. }
                | Self::Changed { .. }
                | Self::Exhausted { .. }
                | Self::Damaged { .. }
                | Self::Value { .. }
                | Self::Refused { .. }
                | Self::Protocol { .. }
                | Self::Foreign { .. }
                | Self::Locks { .. }
        )
    }

    /// What a SQLSTATE means, of something that was done to `what`, and after which the connection is there or not.
    #[cfg(feature = "postgres")]
    pub(super) fn of_state(state: &str, is_last: bool, what: &str) -> Self {
        let what = what.to_string();
        match state {
            "57P01" | "57P02" | "57P05" => Self::Ended,
            "57P03" => Self::NotReady,
            "53300" => Self::Full,
            "53000" | "53100" | "53200" | "53400" | "54000" => Self::Exhausted { what },
            "55P03" => Self::Locked { what },
            "57014" => Self::Cancelled { what },
            "40001" | "40P01" | "25P03" | "25P04" | "72000" => Self::Conflict,
            // A table, column or type that is gone; a snapshot that ended with its transaction.
            "42P01" | "42703" | "42704" | "3F000" | "0A000" | "42883" => Self::Changed { what },
            "58030" | "58P01" | "XX001" | "XX002" => Self::Damaged { what },
            _ => {
                let known = super::state::known(state).unwrap_or("unknown").to_string();
                match state.get(..2) {
                    Some("08") if is_last => Self::Ended,
                    Some("08") => Self::Foreign { what },
                    Some("22" | "38" | "39" | "P0") => Self::Value { what, state: known },
                    _ => Self::Refused { what, state: known },
                }
            }
        }
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_the_server_s_stands_in_an_error() {
        for state in ["CANARY", "a\u{e9}bcd", "", "12 45", "abcde", "71234", "ZZ001"] {
            let error = DatabaseError::of_state(state, false, "cdm.person");
            assert_eq!(error, DatabaseError::Refused { what: "cdm.person".to_string(), state: "unknown".to_string() });
        }
        let of = |state| DatabaseError::of_state(state, false, "cdm.person");
        assert!(matches!(of("22012"), DatabaseError::Value { .. }));
        assert!(matches!(of("P0001"), DatabaseError::Value { .. }));
        assert!(matches!(of("42501"), DatabaseError::Refused { .. }));
        assert!(matches!(of("08006"), DatabaseError::Foreign { .. }));
        assert!(matches!(DatabaseError::of_state("08006", true, "cdm.person"), DatabaseError::Ended));
    }
}
