//! How a command ends badly: a message that says what to do next, and an exit code.

use std::error::Error;
use std::process::ExitCode;

use serde_json::json;

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
}

impl Failure {
    /// Refused or failed, with a message that ends with the next step.
    pub fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into() }
    }

    /// Wrong usage that the parser of arguments cannot see.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// Not ready yet.
    pub fn not_ready(message: impl Into<String>) -> Self {
        Self { exit: Exit::NotReady, message: message.into() }
    }

    /// Integrity violated.
    pub fn integrity(message: impl Into<String>) -> Self {
        Self { exit: Exit::Integrity, message: message.into() }
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Tells the person, or the machine.
    pub fn print(&self, json: bool) {
        if json {
            let kind = match self.exit {
                Exit::Refused => "refused",
                Exit::Usage => "usage",
                Exit::NotReady => "not_ready",
                Exit::Integrity => "integrity",
            };
            term::line(json!({ "error": self.message, "kind": kind }));
        }
        term::error(&self.message);
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let of_a_node = (&error as &(dyn Error + 'static)).downcast_ref::<ClientError>();
        Self { exit: of_a_node.map_or(Exit::Refused, exit_of), message: error.to_string() }
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
