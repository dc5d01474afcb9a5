//! What a consent says beside its provisions: which version it is of, whose it is, whether it holds.

use super::conditions::Mode;
use super::finding::{Finding, FindingKind};
use super::moment::Moment;
use super::node::{Coding, Malformed, Node};
use super::{Identifier, Ignored, PatientLink, Profile, Version, Written, mii};
use crate::consent::MAX_TEXT;
use crate::ids::ContentHash;

const OF_BOTH: &[&str] = &[
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "modifierExtension",
    "identifier",
    "status",
    "category",
    "sourceAttachment",
    "sourceReference",
    "verification",
    "provision",
];
const OF_R4: &[&str] = &["scope", "patient", "dateTime", "performer", "organization", "policy", "policyRule"];
const OF_R5: &[&str] = &[
    "subject",
    "date",
    "period",
    "grantor",
    "grantee",
    "manager",
    "controller",
    "regulatoryBasis",
    "policyBasis",
    "policyText",
    "decision",
];
/// Companions of elements, which hold their extensions and change nothing.
const COMPANIONS: &[&str] = &["_id", "_language", "_dateTime", "_date"];

const SCOPES: &[&str] = &["http://terminology.hl7.org/CodeSystem/consentscope", "http://hl7.org/fhir/consentscope"];
const CATEGORIES: &[&str] =
    &["http://terminology.hl7.org/CodeSystem/consentcategorycodes", "http://hl7.org/fhir/consentcategorycodes"];
const ACT_CODE: &[&str] = &["http://terminology.hl7.org/CodeSystem/v3-ActCode", "http://hl7.org/fhir/v3/ActCode"];
const RESULT_TYPE: &str = "http://fhir.de/ConsentManagement/CodeSystem/ResultType";

/// How a consent is to be read.
#[derive(Clone, Debug)]
pub(super) struct Head<'a> {
    pub(super) node: Node<'a>,
    pub(super) version: Version,
    pub(super) profile: Profile,
    pub(super) mode: Mode,
}

/// What goes into the terms beside the rules, and what else was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet {
    pub(super) written: Option<Written>,
    pub(super) is_research: bool,
    pub(super) policy_uri: String,
    pub(super) notices: Vec<Finding>,
}

impl<'a> Head<'a> {
    pub(super) fn read(node: Node<'a>) -> Result<Self, Finding> {
        let unknown = || Finding::new("Consent", FindingKind::Version);
        let object = node.object().map_err(|_| unknown())?;
        let has = |names: &[&str]| object.keys().any(|key| names.contains(&key.as_str()));
        let as_list = |name: &str| object.get(name).is_some_and(serde_json::Value::is_array);
        let as_object = |name: &str| object.get(name).is_some_and(serde_json::Value::is_object);
        let r4 = has(OF_R4) || as_object("provision") || as_object("sourceAttachment") || as_object("sourceReference");
        let r5 = has(OF_R5) || as_list("provision") || as_list("sourceAttachment") || as_list("sourceReference");
        let version = match (r4, r5) {
            (true, false) => Version::R4,
            (false, true) => Version::R5,
            _ => return Err(unknown()),
        };
        let own = if version == Version::R4 { OF_R4 } else { OF_R5 };
        if node.has_other_than(&[OF_BOTH, own, COMPANIONS].concat()) {
            return Err(unknown());
        }
        if has(&["implicitRules", "modifierExtension"]) {
            return Err(Finding::new("Consent", FindingKind::Modified));
        }
        let is_broad = version == Version::R4 && mii::is_broad(&node);
        let profile = match (is_broad, categories(&node).any(|(system, code)| (system, code) == STATUS)) {
            (false, _) => Profile::Plain,
            (true, false) => Profile::BroadConsent,
            (true, true) => Profile::BroadConsentStatus,
        };
        let mode = if is_privacy_profile(&node) { Mode::Any } else { Mode::All };
        Ok(Self { node, version, profile, mode })
    }
}

const STATUS: (&str, &str) = (RESULT_TYPE, "consent-status");

/// Whether a profile of IHE's Privacy Consent on FHIR is claimed.
fn is_privacy_profile(node: &Node<'_>) -> bool {
    let profiles = node.child("meta").and_then(|meta| meta.list("profile").ok()).unwrap_or_default();
    let is = |profile: &Node<'_>| {
        let url = profile.value.as_str().unwrap_or_default();
        url.split('|').next().is_some_and(|url| {
            url.strip_prefix("https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consent").is_some()
        })
    };
    profiles.iter().any(is)
}

/// The codings of all categories that can be read.
fn categories<'a>(node: &Node<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let concepts = node.list("category").unwrap_or_default();
    concepts
        .into_iter()
        .filter_map(|concept| Coding::of_concept(&concept).ok())
        .flatten()
        .map(|coding| (coding.system, coding.code))
}

/// Why a consent is left alone, if it is; or the reasons to refuse it.
pub(super) fn standing(node: &Node<'_>) -> Result<Option<Standing>, Finding> {
    let wrong = || Finding::new("Consent.status", FindingKind::Status);
    if node.has("_status") {
        return Err(wrong());
    }
    match node.text("status").map_err(|_| wrong())?.ok_or_else(wrong)? {
        "active" => {}
        "inactive" | "entered-in-error" => return Ok(Some(Standing::Ended)),
        "draft" => return Ok(Some(Standing::Ignored(Ignored::Draft))),
        "proposed" => return Ok(Some(Standing::Ignored(Ignored::Proposed))),
        "rejected" => return Ok(Some(Standing::Ignored(Ignored::Rejected))),
        "not-done" => return Ok(Some(Standing::Ignored(Ignored::NotDone))),
        "unknown" => return Ok(Some(Standing::Ignored(Ignored::Unknown))),
        _ => return Err(wrong()),
    }
    let about_else =
        |(system, code): (&str, &str)| CATEGORIES.contains(&system) && matches!(code, "acd" | "dnr" | "hcd" | "polst");
    if categories(node).any(about_else) || matches!(scope(node), Some("treatment" | "adr")) {
        return Ok(Some(Standing::Ignored(Ignored::NotAboutData)));
    }
    Ok(None)
}

/// That a consent does not hold.
pub(super) enum Standing {
    /// It held, and does no more.
    Ended,
    /// It never did.
    Ignored(Ignored),
}

/// The code of R4's scope, if it is one of FHIR's.
fn scope<'a>(node: &Node<'a>) -> Option<&'a str> {
    let codings = Coding::of_concept(&node.child("scope")?).ok()?;
    match codings.as_slice() {
        [coding] if coding.is_of(SCOPES) => Some(coding.code),
        _ => None,
    }
}

impl Sheet {
    pub(super) fn read(head: &Head<'_>) -> Result<Self, Vec<Finding>> {
        let node = &head.node;
        let mut reasons = Vec::new();
        let mut sheet = Self::default();
        let is_of_research = |(system, code): (&str, &str)| {
            (CATEGORIES.contains(&system) && matches!(code, "research" | "rsdid" | "rsreid"))
                || (ACT_CODE.contains(&system) && matches!(code, "RESEARCH" | "RSDID" | "RSREID"))
        };
        sheet.is_research = categories(node).any(is_of_research);
        if head.version == Version::R4 {
            match scope(node) {
                Some("patient-privacy") => {}
                Some("research") => sheet.is_research = true,
                _ => reasons.push(Finding::new("Consent.scope", FindingKind::Scope)),
            }
        }
        if node.list("category").is_err() {
            reasons.push(Finding::new("Consent.category", FindingKind::Malformed));
        }
        if categories(node).any(|(system, code)| CATEGORIES.contains(&system) && code == "emrgonly") {
            reasons.push(Finding::new("Consent.category", FindingKind::EmergencyCategory));
        }
        if !patient(node).is_some_and(|patient| patient.is_of_a_patient()) {
            reasons.push(Finding::new("Consent", FindingKind::Patient));
        }
        let date = if head.version == Version::R4 { "dateTime" } else { "date" };
        if node.has(date) {
            match written(node) {
                Some(written) => sheet.written = Some(written),
                None => reasons.push(Finding::new(format!("Consent.{date}"), FindingKind::Malformed)),
            }
        }
        let (uri, notice) = policy_uri(head);
        sheet.policy_uri = uri;
        sheet.notices.extend(notice);
        if reasons.is_empty() { Ok(sheet) } else { Err(reasons) }
    }
}

fn policy_uri(head: &Head<'_>) -> (String, Option<Finding>) {
    let (path, uris) = match head.version {
        Version::R4 => ("Consent.policy", head.node.list("policy").unwrap_or_default()),
        Version::R5 => ("Consent.policyBasis", head.node.child("policyBasis").into_iter().collect()),
    };
    let uris: Vec<&str> = uris.iter().filter_map(|policy| policy.text("uri").ok().flatten()).collect();
    match uris.as_slice() {
        [] => (String::new(), None),
        [uri] if uri.len() <= MAX_TEXT => ((*uri).to_string(), None),
        _ => (String::new(), Some(Finding::new(path, FindingKind::PolicyUri))),
    }
}

/// When it was written, as far as that can be read.
pub(super) fn written(node: &Node<'_>) -> Option<Written> {
    let text = node.text("dateTime").ok().flatten().or_else(|| node.text("date").ok().flatten())?;
    let (first, last) = Moment::read(text)?.days()?;
    Some(Written { text: text.to_string(), first, last })
}

/// When the server wrote this version, as far as that can be read.
pub(super) fn updated(node: &Node<'_>) -> Option<i128> {
    Some(Moment::read(node.child("meta")?.text("lastUpdated").ok()??)?.begins())
}

fn identifier(node: &Node<'_>) -> Result<Identifier, Malformed> {
    let value = node.text("value")?.ok_or(Malformed)?.to_string();
    Ok(Identifier { system: node.text("system")?.unwrap_or_default().to_string(), value })
}

/// The names of the document itself.
pub(super) fn identifiers(node: &Node<'_>) -> Vec<Identifier> {
    let list = node.list("identifier").unwrap_or_default();
    list.iter().filter_map(|one| identifier(one).ok()).collect()
}

/// Whose it is, as the file says it.
pub(super) fn patient(node: &Node<'_>) -> Option<PatientLink> {
    let link = node.child("patient").or_else(|| node.child("subject"))?;
    let text = |name| link.text(name).ok().flatten().map(str::to_string);
    let identifier = link.child("identifier").and_then(|one| identifier(&one).ok());
    let link = PatientLink { reference: text("reference"), kind: text("type"), identifier };
    (link.reference.is_some() || link.identifier.is_some()).then_some(link)
}

/// The hash of the form that it rests on, as our own export writes it.
pub(super) fn source(node: &Node<'_>) -> Option<ContentHash> {
    let identifier = node.child("sourceReference")?.child("identifier")?;
    let is_ours = identifier.text("system").ok().flatten() == Some(super::SOURCE);
    identifier.text("value").ok().flatten().filter(|_| is_ours)?.parse().ok()
}
