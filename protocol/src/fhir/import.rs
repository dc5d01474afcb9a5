//! Reading consents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::finding::{Finding, FindingKind};
use super::json::Strict;
use super::node::Node;
use super::resource::{self, Head, Sheet, Standing};
use super::{Place, dialect, mii, plain};
use crate::consent::{Base, Jurisdiction, Recipient, Terms};
use crate::ids::{ContentHash, Date};

/// What the file cannot say, and the hospital knows.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What holds where a document of FHIR R4 does not say it. Its policy rule never does.
    pub base: Option<Base>,
    /// Whether a deny that cannot be said is imported without what cannot be said of it, so that it forbids more. If not, its
    /// document is refused.
    pub widen_denies: bool,
    /// How far from the GDPR the recipients of permits may be that do not speak of it; wherever they are, if `None`.
    pub jurisdiction: Option<Jurisdiction>,
    /// Whom a recipient's reference, or its identifier as `system|value`, names.
    pub recipients: &'a dyn Fn(&str) -> Option<Recipient>,
    /// Whether a custodian's reference, or its identifier, names this hospital.
    pub custodians: &'a dyn Fn(&str) -> bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        fn nobody(_: &str) -> Option<Recipient> {
            None
        }
        fn no(_: &str) -> bool {
            false
        }
        Self { base: None, widen_denies: false, jurisdiction: None, recipients: &nobody, custodians: &no }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options {{ base: {:?}, widen_denies: {} }}", self.base, self.widen_denies)
    }
}

/// The version of FHIR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// R4, and R4B, which has the same consents.
    R4,
    /// R5.
    R5,
}

/// By which rules a document was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// FHIR's alone, or our own export.
    Plain,
    /// The broad consent of the German Medical Informatics Initiative.
    BroadConsent,
    /// A summary of the broad consent's standing: it replaces its source's earlier ones, and silences its documents.
    BroadConsentStatus,
}

/// An identifier as the file has it. It is not shown: it can be a patient's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identifier {
    /// Who gave it; may be empty.
    pub system: String,
    /// The identifier.
    pub value: String,
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifier")
    }
}

/// Whose a consent is, as the file has it. Who that is, the hospital knows. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PatientLink {
    /// For example `Patient/17`.
    pub reference: Option<String>,
    /// The type of the resource, where the file names it.
    pub kind: Option<String>,
    /// For example a record number.
    pub identifier: Option<Identifier>,
}

impl PatientLink {
    /// Whether it does not name something else than a patient.
    pub(super) fn is_of_a_patient(&self) -> bool {
        const OTHERS: [&str; 8] = [
            "CareTeam",
            "Device",
            "Group",
            "Organization",
            "Practitioner",
            "PractitionerRole",
            "RelatedPerson",
            "ResearchSubject",
        ];
        let is_of = |kind: &&str| {
            let named = |reference: &str| {
                let start = format!("{kind}/");
                reference.starts_with(&start) || reference.contains(&format!("/{start}"))
            };
            self.reference.as_deref().is_some_and(named)
        };
        self.kind.as_deref().is_none_or(|kind| kind == "Patient") && !OTHERS.iter().any(is_of)
    }
}

impl fmt::Debug for PatientLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PatientLink")
    }
}

/// When a consent was given, as the file has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// The earliest day that it can mean, in universal time.
    pub first: Date,
    /// The latest.
    pub last: Date,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}

/// A consent as JSON, the members of objects in order. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Original(String);

impl Original {
    /// The JSON.
    pub fn json(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Original")
    }
}

/// Why a document is left alone: it does not hold, and did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// A draft.
    #[error("this is a draft; import it when it is active")]
    Draft,
    /// A proposal.
    #[error("this is a proposal, to which nobody has agreed; import it when it is active")]
    Proposed,
    /// Rejected.
    #[error("this was proposed and rejected; if the patient means to deny, record that as a document that denies")]
    Rejected,
    /// Not done.
    #[error("this did not come to be; nothing follows from it")]
    NotDone,
    /// Nobody knows.
    #[error("whether this holds is not known to those who wrote it; ask them")]
    Unknown,
    /// About being treated, or what is to be done at the end of life.
    #[error("this is about what may be done to the patient, and not about data; nothing follows from it here")]
    NotAboutData,
}

/// What came of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It says this.
    Accepted {
        /// What it says.
        terms: Terms,
        /// What of it is left out, wider than it was, or remarkable.
        notices: Vec<Finding>,
    },
    /// It cannot be imported, and older documents of its patient cannot be relied on until a person has decided.
    Refused {
        /// Why.
        reasons: Vec<Finding>,
    },
    /// It held and does no more: what was imported of it ends.
    Ended,
    /// It does not hold.
    Ignored(Ignored),
}

/// One consent of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Where in the input.
    pub place: Place,
    /// Its id on the server that it comes from.
    pub id: Option<String>,
    /// Its identifiers.
    pub identifiers: Vec<Identifier>,
    /// Whose it is.
    pub patient: Option<PatientLink>,
    /// When it was given.
    pub written: Option<Written>,
    /// The version of FHIR, where it matters and can be told.
    pub version: Option<Version>,
    /// By which rules it was read.
    pub profile: Profile,
    /// The system that it comes from, `meta.source`.
    pub system: Option<String>,
    /// The hash of the form that it rests on, if our own export named one.
    pub source: Option<ContentHash>,
    /// When the server that it comes from wrote this version, `meta.lastUpdated`, in nanoseconds since 1970.
    pub updated: Option<i128>,
    /// All that the file says.
    pub original: Original,
    /// What came of it.
    pub outcome: Outcome,
}

/// All that the input had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Its consents, in the order of the input.
    pub consents: Vec<Imported>,
    /// How many resources of other types there were.
    pub skipped: BTreeMap<String, usize>,
}

/// An input that cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Not JSON, or with a repeated name.
    #[error(
        "line {line}: this is not JSON, or an object in it has one name twice; give FHIR's JSON, one resource, one bundle, or one resource on each line"
    )]
    Json {
        /// Where.
        line: usize,
    },
    /// A bundle of versions.
    #[error("{place}: a bundle of type history has old versions, of which none may be imported; export a search set")]
    History {
        /// Where.
        place: Place,
    },
    /// Something that is no resource.
    #[error("{place}: this is no resource of FHIR; give resources alone")]
    NoResource {
        /// Where.
        place: Place,
    },
}

/// Reads a resource, a bundle, or several one after another, as in NDJSON.
///
/// # Errors
/// When the input is not JSON or has no resources. What is wrong with one consent is in its [`Outcome`].
pub fn import(text: &str, options: &Options<'_>) -> Result<Import, ImportError> {
    let mut import = Import::default();
    let stream = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}')).into_iter::<Strict>();
    for (number, next) in (1..).zip(stream) {
        let Strict(value) = next.map_err(|error| ImportError::Json { line: error.line() })?;
        add(&mut import, &value, &format!("resource {number}"), options)?;
    }
    refuse_twice(&mut import);
    Ok(import)
}

fn add(import: &mut Import, value: &Value, place: &str, options: &Options<'_>) -> Result<(), ImportError> {
    let kind = value.get("resourceType").and_then(Value::as_str);
    match kind {
        None => return Err(ImportError::NoResource { place: place.to_string() }),
        Some("Consent") => import.consents.push(consent(value, place, options)),
        Some("Bundle") => {
            if value.get("type").and_then(Value::as_str) == Some("history") {
                return Err(ImportError::History { place: place.to_string() });
            }
            let entries = value.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for (i, entry) in entries.iter().enumerate() {
                if let Some(resource) = entry.get("resource") {
                    add(import, resource, &format!("{place}, entry {i}"), options)?;
                }
            }
        }
        Some(other) => {
            let is_name = other.len() <= 40 && other.bytes().all(|b| b.is_ascii_alphabetic());
            *import.skipped.entry(if is_name { other } else { "another type" }.to_string()).or_default() += 1;
        }
    }
    Ok(())
}

fn consent(value: &Value, place: &str, options: &Options<'_>) -> Imported {
    let node = Node::new(value, "Consent");
    let head = Head::read(node.clone());
    let meta = node.child("meta");
    Imported {
        place: place.to_string(),
        id: node.text("id").ok().flatten().map(str::to_string),
        identifiers: resource::identifiers(&node),
        patient: resource::patient(&node),
        written: resource::written(&node),
        version: head.as_ref().ok().map(|head| head.version),
        profile: head.as_ref().map_or(Profile::Plain, |head| head.profile),
        system: meta.and_then(|meta| meta.text("source").ok().flatten().map(str::to_string)),
        source: resource::source(&node),
        updated: resource::updated(&node),
        original: Original(value.to_string()),
        outcome: outcome(&node, head, options),
    }
}

fn outcome(node: &Node<'_>, head: Result<Head<'_>, Finding>, options: &Options<'_>) -> Outcome {
    let refused = |reason: Finding| Outcome::Refused { reasons: vec![reason] };
    match resource::standing(node) {
        Err(reason) => return refused(reason),
        Ok(Some(Standing::Ended)) => {
            let is_named = node.text("id").ok().flatten().is_some() || !resource::identifiers(node).is_empty();
            return if is_named { Outcome::Ended } else { refused(Finding::new("Consent", FindingKind::Nameless)) };
        }
        Ok(Some(Standing::Ignored(why))) => return Outcome::Ignored(why),
        Ok(None) => {}
    }
    let head = match head {
        Ok(head) => head,
        Err(reason) => return refused(reason),
    };
    let terms = Sheet::read(&head).and_then(|sheet| match head.profile {
        _ if dialect::is_ours(&head) => dialect::terms(&head, &sheet).map(|terms| (terms, Vec::new())),
        Profile::Plain => plain::terms(&head, &sheet, options),
        Profile::BroadConsent | Profile::BroadConsentStatus => mii::terms(&head, &sheet, options),
    });
    match terms {
        Ok((terms, notices)) => Outcome::Accepted { terms, notices },
        Err(reasons) => Outcome::Refused { reasons },
    }
}

/// Of one document in two versions nobody knows which holds.
fn refuse_twice(import: &mut Import) {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for id in import.consents.iter().filter_map(|consent| consent.id.clone()) {
        if !seen.insert(id.clone()) {
            twice.insert(id);
        }
    }
    let is_twice = |consent: &Imported| consent.id.as_ref().is_some_and(|id| twice.contains(id));
    for consent in import.consents.iter_mut().filter(|consent| is_twice(consent)) {
        consent.outcome = Outcome::Refused { reasons: vec![Finding::new("Consent.id", FindingKind::Twice)] };
    }
}
