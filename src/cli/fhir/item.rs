//! A consent of the input, as it is known again.

use consilium_protocol::fhir::Imported;
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{ContentHash, SubjectId};
use serde_json::Value;

use super::register::{Key, Seen};

/// A consent of the input, and whose it is.
pub(super) struct Item {
    /// The file, and where in it.
    pub(super) place: String,
    pub(super) imported: Imported,
    pub(super) subject: Option<SubjectId>,
}

/// What is common to all versions of a consent, and what this one says.
pub(super) fn known_by(imported: &Imported) -> (Key, ContentHash) {
    // Some servers put the request that wrote a version behind the system's name.
    let system = imported.system.as_deref().unwrap_or_default().split('#').next().unwrap_or_default().to_string();
    let digest = digest(imported.original.json());
    let name = match (&imported.id, imported.identifiers.first()) {
        (Some(id), _) => format!("id/{id}"),
        (None, Some(identifier)) => format!("identifier/{}|{}", identifier.system, identifier.value),
        (None, None) => format!("content/{digest}"),
    };
    (Key { system, name }, digest)
}

/// Of all that a version says, without what its server says of the version.
fn digest(original: &str) -> ContentHash {
    let mut value: Value = serde_json::from_str(original).unwrap_or_default();
    if let Some(meta) = value.get_mut("meta").and_then(Value::as_object_mut) {
        for name in ["lastUpdated", "versionId", "source"] {
            meta.remove(name);
        }
        if meta.is_empty() {
            value.as_object_mut().and_then(|consent| consent.remove("meta"));
        }
    }
    ContentHash::from_bytes(tagged("consilium/consent-content/v1", &[value.to_string().as_bytes()]))
}

impl Item {
    pub(super) fn seen(&self, digest: ContentHash, subject: SubjectId) -> Seen {
        Seen {
            subject,
            digest,
            updated: self.imported.updated,
            written: self.imported.written.as_ref().map(|written| [written.first, written.last]),
            kind: self.imported.profile.into(),
            place: self.place.clone(),
        }
    }
}
