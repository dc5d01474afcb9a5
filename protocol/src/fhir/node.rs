//! Where one is in a resource.

use serde_json::{Map, Value};

/// An element of a resource, with its path. Paths have names of FHIR's elements and numbers, and nothing of the file's own.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) path: String,
}

/// What is there is not of the form that FHIR gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Node<'a> {
    pub(super) fn new(value: &'a Value, path: impl Into<String>) -> Self {
        Self { value, path: path.into() }
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, Malformed> {
        self.value.as_object().ok_or(Malformed)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some()
    }

    pub(super) fn child(&self, name: &'static str) -> Option<Self> {
        self.value.get(name).map(|value| Self { value, path: format!("{}.{name}", self.path) })
    }

    /// The members of a list; none where it is absent. FHIR has no empty lists.
    pub(super) fn list(&self, name: &'static str) -> Result<Vec<Self>, Malformed> {
        let Some(value) = self.value.get(name) else { return Ok(Vec::new()) };
        let members = value.as_array().filter(|members| !members.is_empty()).ok_or(Malformed)?;
        let at = |(i, value)| Self { value, path: format!("{}.{name}[{i}]", self.path) };
        Ok(members.iter().enumerate().map(at).collect())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Malformed> {
        match self.value.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(Malformed),
        }
    }

    /// Whether there are members of other names.
    pub(super) fn has_other_than(&self, known: &[&str]) -> bool {
        self.value.as_object().is_none_or(|parts| parts.keys().any(|key| !known.contains(&key.as_str())))
    }
}

/// A `Coding`, with the values of our own extension.
#[derive(Clone, Debug)]
pub(super) struct Coding<'a> {
    pub(super) system: &'a str,
    pub(super) code: &'a str,
    pub(super) parameters: Vec<&'a str>,
}

impl<'a> Coding<'a> {
    pub(super) fn read(node: &Node<'a>) -> Result<Self, Malformed> {
        if node.has_other_than(&["system", "version", "code", "display", "userSelected", "id", "extension"]) {
            return Err(Malformed);
        }
        let (system, code) = (node.text("system")?.unwrap_or_default(), node.text("code")?.ok_or(Malformed)?);
        let mut parameters = Vec::new();
        for extension in node.list("extension")? {
            if extension.text("url")? == Some(super::PARAMETER) {
                parameters.push(extension.text("valueString")?.ok_or(Malformed)?);
            }
        }
        Ok(Self { system, code, parameters })
    }

    /// The codings of a `CodeableConcept`.
    pub(super) fn of_concept(node: &Node<'a>) -> Result<Vec<Self>, Malformed> {
        if node.has_other_than(&["coding", "text", "id", "extension"]) {
            return Err(Malformed);
        }
        let codings = node.list("coding")?;
        if codings.is_empty() {
            return Err(Malformed);
        }
        codings.iter().map(Self::read).collect()
    }

    pub(super) fn is_of(&self, systems: &[&str]) -> bool {
        systems.contains(&self.system)
    }
}
