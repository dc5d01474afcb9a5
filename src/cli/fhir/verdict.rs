//! What is to become of one consent, given what became of it before and what the ledger knows of its patient.

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::consent::{Base, Terms};
use consilium_protocol::fhir::{Finding, Outcome};
use consilium_protocol::ids::{ContentHash, Date, DocumentId, SubjectId};

use super::item::Item;
use super::register::{Entry, Standing};

/// What the ledger knows of a subject.
#[derive(Clone, Debug, Default)]
pub(super) struct OfSubject {
    /// Documents that hold.
    pub(super) current: BTreeSet<DocumentId>,
    /// Why no form may permit anything, if so.
    pub(super) closed: Option<&'static str>,
}

/// What a plan depends on beside the input and the register.
pub(super) struct Facts {
    pub(super) today: Date,
    /// Whether the consortium has documents that permit by silence.
    pub(super) permits_by_silence: bool,
    /// Those that were asked for and are enrolled.
    pub(super) subjects: BTreeMap<SubjectId, OfSubject>,
}

/// Something that people should know of a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    /// Where in the consent; may be empty.
    pub(super) path: String,
    pub(super) text: String,
}

impl Remark {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { path: String::new(), text: text.into() }
    }
}

impl From<&Finding> for Remark {
    fn from(finding: &Finding) -> Self {
        Self { path: finding.path.clone(), text: finding.kind.to_string() }
    }
}

/// What is to become of a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A document of these terms is recorded.
    Accept(Terms),
    /// Nothing happens: it is as it was.
    Unchanged,
    /// Everything of its patient is denied until a person decides.
    Suspend,
    /// It is refused still, and its patient's consents are suspended already.
    Suspended,
    /// It is refused, and nothing follows for others.
    Refuse,
    /// What was imported of it ends.
    End,
    /// Nothing follows.
    Ignore,
    /// Nobody here knows whose it is.
    Unknown,
}

/// The consent's subject: whom its link names, or else whose it was before.
pub(super) fn subject_of(item: &Item, entry: Option<&Entry>) -> Option<SubjectId> {
    let is_known_anyway =
        matches!(item.imported.outcome, Outcome::Refused { .. } | Outcome::Ended | Outcome::Ignored(_));
    item.subject.or_else(|| entry.filter(|_| is_known_anyway).map(|entry| entry.seen.subject))
}

/// Whether this version is as it was when it was last read. Options of the command can have it read otherwise.
pub(super) fn is_unchanged(item: &Item, digest: &ContentHash, entry: Option<&Entry>) -> Option<Verdict> {
    let entry = entry
        .filter(|entry| entry.seen.digest == *digest && subject_of(item, Some(entry)) == Some(entry.seen.subject))?;
    match (&item.imported.outcome, entry.standing) {
        (Outcome::Accepted { terms, .. }, Standing::Accepted) => {
            entry.document.is_some_and(|document| document.terms == terms.hash()).then_some(Verdict::Unchanged)
        }
        // Of one that said so already, whatever else stands in it.
        (_, Standing::Refused) if !matches!(item.imported.outcome, Outcome::Accepted { .. } | Outcome::Ended) => {
            Some(Verdict::Suspended)
        }
        (Outcome::Refused { .. } | Outcome::Ignored(_), Standing::Resumed) => Some(Verdict::Unchanged),
        (Outcome::Ended, Standing::Ended) => Some(Verdict::Unchanged),
        _ => None,
    }
}

/// What is to become of a consent, looked at for itself.
pub(super) fn verdict(
    item: &Item,
    digest: &ContentHash,
    entry: Option<&Entry>,
    facts: &Facts,
) -> (Verdict, Vec<Remark>) {
    let imported = &item.imported;
    let mut remarks = match &imported.outcome {
        Outcome::Accepted { notices, .. } => notices.iter().map(Remark::from).collect(),
        Outcome::Refused { reasons } => reasons.iter().map(Remark::from).collect(),
        Outcome::Ended => Vec::new(),
        Outcome::Ignored(why) => vec![Remark::new(why.to_string())],
    };
    if let Some(verdict) = is_unchanged(item, digest, entry) {
        if verdict == Verdict::Unchanged {
            remarks.clear();
        }
        return (verdict, remarks);
    }
    let one = |verdict, text: &str| (verdict, vec![Remark::new(text)]);
    let is_older =
        entry.and_then(|entry| entry.seen.updated).zip(imported.updated).is_some_and(|(known, this)| this < known);
    if is_older {
        return one(Verdict::Ignore, "a later version of this was imported already; nothing follows from this one");
    }
    let is_live = entry.is_some_and(Entry::is_live);
    let Some(subject) = subject_of(item, entry) else {
        return match imported.outcome {
            Outcome::Ended | Outcome::Ignored(_) => (Verdict::Ignore, remarks),
            _ => one(
                Verdict::Unknown,
                "who this patient is here is not known; add a line for them to the file of --map, and import this again",
            ),
        };
    };
    let Some(of_subject) = facts.subjects.get(&subject) else {
        return match imported.outcome {
            Outcome::Ended | Outcome::Ignored(_) if !is_live => (Verdict::Ignore, remarks),
            _ => one(
                Verdict::Unknown,
                "the patient is not on the ledger; enrol them with `consilium patients enrol`, then import this again",
            ),
        };
    };
    match &imported.outcome {
        Outcome::Accepted { terms, .. } => {
            let (verdict, reason) = accepted(item, terms, of_subject, facts);
            match reason {
                Some(reason) => (verdict, vec![Remark::new(reason)]),
                None => (verdict, remarks),
            }
        }
        Outcome::Refused { .. } => (Verdict::Suspend, remarks),
        Outcome::Ended if is_live => (Verdict::End, remarks),
        Outcome::Ended => one(Verdict::End, "nothing of this is on the ledger, so there was nothing to end"),
        // What held, and is now a draft or unknown, cannot be relied on.
        Outcome::Ignored(_) if is_live => {
            remarks.push(Remark::new(
                "an earlier version of this was imported, and whether that holds is not known any more",
            ));
            (Verdict::Suspend, remarks)
        }
        Outcome::Ignored(_) => (Verdict::Ignore, remarks),
    }
}

fn accepted(item: &Item, terms: &Terms, of_subject: &OfSubject, facts: &Facts) -> (Verdict, Option<&'static str>) {
    let own = item.imported.id.as_deref().and_then(|id| id.parse::<DocumentId>().ok());
    if own.is_some_and(|own| of_subject.current.contains(&own)) {
        return (Verdict::Unchanged, None);
    }
    let Some(written) = &item.imported.written else {
        return (
            Verdict::Suspend,
            Some("it does not say when it was given, so what came later cannot be told; have it dated"),
        );
    };
    if written.first > facts.today {
        return (Verdict::Suspend, Some("it was given on a day that has not come; correct the day, or import it then"));
    }
    if terms.base == Base::Permit && !facts.permits_by_silence {
        let reason =
            "it permits what it does not deny, and this consortium has no such documents; have it say what it permits";
        return (Verdict::Suspend, Some(reason));
    }
    match of_subject.closed.filter(|_| terms.permits()) {
        Some(reason) => (Verdict::Refuse, Some(reason)),
        None => (Verdict::Accept(terms.clone()), None),
    }
}
