//! How a command ends badly: a message that says what to do next, and an exit code.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value};

use super::term;
use crate::net::client::ClientError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Refused or failed.
    Refused,
    /// The command was not given as it must be.
    Usage,
    /// Not ready yet: the same command may succeed later.
    NotReady,
    /// Something that must fit does not: a signature, a hash, a certificate.
    Integrity,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::NotReady => 3,
            Exit::Integrity => 4,
        })
    }
}

/// A command that did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    message: String,
    /// What was found out before, for machines; an object.
    report: Map<String, Value>,
}

impl Failure {
    /// Refused or failed, with a message that ends with the next step.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Exit::Refused, message)
    }

    /// Wrong usage that the parser of arguments cannot see.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::of(Exit::Usage, message)
    }

    /// Not ready yet.
    pub fn not_ready(message: impl Into<String>) -> Self {
        Self::of(Exit::NotReady, message)
    }

    /// Integrity violated.
    pub fn integrity(message: impl Into<String>) -> Self {
        Self::of(Exit::Integrity, message)
    }

    fn of(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), report: Map::new() }
    }

    /// As one about a file, which its message begins with.
    #[must_use]
    pub(crate) fn of_file(self, path: &Path) -> Self {
        Self { message: format!("{}: {}", path.display(), self.message), ..self }
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Tells the person, or the machine.
    pub fn print(&self, json: bool) {
        if json {
            self.print_for_machines();
        }
        term::error(&self.message);
    }

    /// Prints the one object that machines read.
    pub(super) fn print_for_machines(&self) {
        term::line(format_args!("{:#}", Value::Object(self.object())));
    }

    /// What was found out, with what failed.
    fn object(&self) -> Map<String, Value> {
        let kind = match self.exit {
            Exit::Refused => "refused",
            Exit::Usage => "usage",
            Exit::NotReady => "not_ready",
            Exit::Integrity => "integrity",
        };
        let mut object = self.report.clone();
        object.insert("error".to_string(), self.message.clone().into());
        object.insert("kind".to_string(), kind.into());
        object
    }
}

/// Shows a report, then ends with a failure where there is one. For machines both are one object: the report with `error` and
/// `kind`.
///
/// # Errors
/// The failure.
pub fn conclude<T: Serialize>(
    json: bool,
    report: &T,
    text: impl FnOnce(&T) -> String,
    failure: Option<Failure>,
) -> Result<(), Failure> {
    match failure {
        Some(failure) if json => match serde_json::to_value(report)? {
            Value::Object(report) => Err(Failure { report, ..failure }),
            _ => Err(failure),
        },
        failure => {
            term::show(json, report, text);
            failure.map_or(Ok(()), Err)
        }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let of_a_node = (&error as &(dyn Error + 'static)).downcast_ref::<ClientError>();
        Self::of(of_a_node.map_or(Exit::Refused, exit_of), error.to_string())
    }
}

/// A node that is silent or busy may answer later; one with another certificate is not the member at all.
fn exit_of(error: &ClientError) -> Exit {
    match error {
        ClientError::Unreachable { .. } | ClientError::NotNow(_) | ClientError::Waiting(_) => Exit::NotReady,
        ClientError::Rejected { kind, .. } if kind == "busy" => Exit::NotReady,
        ClientError::NotTheMember { .. } => Exit::Integrity,
        ClientError::Refused(_)
        | ClientError::NotFound(_)
        | ClientError::Rejected { .. }
        | ClientError::Malformed
        | ClientError::Tls(_) => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_and_a_failure_are_one_object() {
        let failed = Some(Failure::usage("no; do otherwise"));
        let failure =
            conclude(true, &serde_json::json!({ "found": 1 }), |_| String::new(), failed).expect_err("failed");
        let object = serde_json::to_value(failure.object()).expect("an object");
        assert_eq!(object, serde_json::json!({ "found": 1, "error": "no; do otherwise", "kind": "usage" }));
    }

    #[test]
    fn what_may_succeed_later_is_not_ready() {
        let (name, address) = ("North".to_string(), "north.example:7400".to_string());
        let cases = [
            (ClientError::Unreachable { name: name.clone(), address: address.clone() }, Exit::NotReady),
            (ClientError::Waiting(consilium_protocol::ids::TxHash::from_bytes([7; 32])), Exit::NotReady),
            (ClientError::NotNow("try again".to_string()), Exit::NotReady),
            (ClientError::NotTheMember { name, address }, Exit::Integrity),
            (ClientError::Refused("no".to_string()), Exit::Refused),
        ];
        for (error, exit) in cases {
            assert_eq!(Failure::from(error).exit, exit);
        }
        assert_eq!(Failure::from(std::io::Error::other("full")).exit, Exit::Refused);
    }
}
