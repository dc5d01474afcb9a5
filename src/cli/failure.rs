//! How a command ends badly: a message that says what to do next, and an exit code.

use std::error::Error;
use std::process::ExitCode;

use serde_json::json;

use super::term;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Refused or failed.
    Refused,
    /// Not ready yet: the same command may succeed later.
    NotReady,
    /// Something that must fit does not: a signature, a hash, a certificate.
    Integrity,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Refused => 1,
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
                Exit::NotReady => "not_ready",
                Exit::Integrity => "integrity",
            };
            term::line(json!({ "error": self.message, "kind": kind }));
        }
        term::error(&self.message);
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}
