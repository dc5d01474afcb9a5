//! Writing terms as a consent of FHIR R4.
//!
//! What R4 has an element for is in that element, so that others can read it: effects, periods, purposes, recipients, labels,
//! a document's address. What it has none for is in two modifier extensions: a reader that does not know these must not use
//! the provision, which is right, for it would take it for wider than it is.

use serde_json::{Map, Value, json};

use super::import::PatientLink;
use super::words;
use super::{DOMAIN, HOSPITAL, ORGANISATION, PARAMETER, RESEARCHER, RULE, SOURCE, STUDY, TERMS};
use crate::consent::{
    Action, Base, Domain, Effect, Label, Modifier, Purpose, Recipient, Rule, Scope, Terms, TermsError, Window,
};
use crate::ids::{ContentHash, Date};

/// Whether a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Active,
    /// It does no more: it was revoked or replaced.
    Inactive,
    /// It never did.
    EnteredInError,
}

impl Standing {
    const fn code(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::EnteredInError => "entered-in-error",
        }
    }
}

/// What a consent says beside its terms.
#[derive(Clone, Debug)]
pub struct About {
    /// The resource's id: up to 64 letters, digits, `-` and `.`.
    pub id: Option<String>,
    /// Whether it holds.
    pub standing: Standing,
    /// Whose it is.
    pub patient: PatientLink,
    /// The day on which it was given.
    pub given: Option<Date>,
    /// The salted hash of the form that it rests on.
    pub source: Option<ContentHash>,
}

/// Terms that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// No document may have these terms.
    #[error("these terms are none that a document may have: {0}")]
    Terms(#[from] TermsError),
    /// A day that FHIR cannot write.
    #[error("FHIR writes days from 0001-01-01 to 9999-12-31; leave an end open that lies beyond")]
    Date,
    /// Nobody whose it is.
    #[error("a consent says whose it is; give the patient's reference or identifier")]
    Patient,
    /// An id that FHIR does not have.
    #[error("an id of FHIR has 1 to 64 letters, digits, `-` and `.`; choose another")]
    Id,
}

/// Writes terms as one line of FHIR R4's JSON.
///
/// # Errors
/// When no document may have these terms, or FHIR cannot write a day or the id.
pub fn export(terms: &Terms, about: &About) -> Result<String, ExportError> {
    terms.check()?;
    if about.patient.reference.is_none() && about.patient.identifier.is_none() {
        return Err(ExportError::Patient);
    }
    if !terms.rules.iter().flat_map(dates).all(|day| (1..=9999).contains(&day.ymd().0)) {
        return Err(ExportError::Date);
    }
    let mut consent = json!({
        "resourceType": "Consent",
        "status": about.standing.code(),
        "scope": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/consentscope",
            "code": if is_about_research(terms) { "research" } else { "patient-privacy" },
        }]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": patient(&about.patient),
        "policyRule": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": if terms.base == Base::Permit { "OPTOUT" } else { "OPTIN" },
        }]},
        "provision": root(terms),
    });
    if let Some(id) = &about.id {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        if !(1..=64).contains(&id.len()) || !id.bytes().all(fits) {
            return Err(ExportError::Id);
        }
        consent["id"] = json!(id);
    }
    if let Some(day) = about.given {
        consent["dateTime"] = json!(day);
    }
    if !terms.policy_uri.is_empty() {
        consent["policy"] = json!([{"uri": terms.policy_uri}]);
    }
    if let Some(hash) = about.source {
        consent["sourceReference"] = json!({"identifier": {"system": SOURCE, "value": hash.to_string()}});
    }
    Ok(consent.to_string())
}

fn dates(rule: &Rule) -> impl Iterator<Item = Date> {
    let moratoria = rule.modifiers.iter().filter_map(|modifier| match modifier {
        Modifier::Moratorium(day) => *day,
        _ => None,
    });
    [rule.valid.from, rule.valid.to, rule.window.from, rule.window.to].into_iter().flatten().chain(moratoria)
}

fn is_about_research(terms: &Terms) -> bool {
    let is = |rule: &Rule| matches!(&rule.purposes, Scope::Only(list) if list.iter().all(Purpose::is_research));
    terms.base == Base::Deny && terms.rules.iter().all(is)
}

fn patient(link: &PatientLink) -> Value {
    let mut patient = Map::new();
    if let Some(reference) = &link.reference {
        patient.insert("reference".to_string(), json!(reference));
    }
    if let Some(kind) = &link.kind {
        patient.insert("type".to_string(), json!(kind));
    }
    if let Some(identifier) = &link.identifier {
        patient.insert("identifier".to_string(), json!({"system": identifier.system, "value": identifier.value}));
    }
    Value::Object(patient)
}

/// The outermost provision.
pub(super) fn root(terms: &Terms) -> Value {
    let effect = if terms.base == Base::Permit { Effect::Permit } else { Effect::Deny };
    let mut root = json!({
        "modifierExtension": [{"url": TERMS, "valueUnsignedInt": terms.vocabulary.number()}],
        "type": word(effect),
    });
    if !terms.rules.is_empty() {
        root["provision"] = terms.rules.iter().map(provision).collect();
    }
    root
}

const fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Permit => "permit",
        Effect::Deny => "deny",
    }
}

fn provision(rule: &Rule) -> Value {
    let mut own = vec![json!({"url": "action", "valueCode": rule.action})];
    if let Some(form) = rule.form {
        own.push(json!({"url": "form", "valueCode": form}));
    }
    if let Some(jurisdiction) = rule.jurisdiction {
        own.push(json!({"url": "jurisdiction", "valueCode": jurisdiction}));
    }
    let action = match rule.action {
        Action::Aggregate => "use",
        Action::Retrieve => "disclose",
        Action::Recontact => "access",
    };
    let mut provision = json!({
        "modifierExtension": [{"url": RULE, "extension": own}],
        "type": word(rule.effect),
        "action": [{"coding": [{"system": words::ACTION[0], "code": action}]}],
    });
    let purposes = list(&rule.purposes, purpose);
    let modifiers = rule.modifiers.iter().map(|modifier| duo(modifier.kind().identifier(), &words::values(modifier)));
    let purposes: Vec<Value> = purposes.into_iter().chain(modifiers).collect();
    let mut set = |name: &str, values: Vec<Value>| {
        if !values.is_empty() {
            provision[name] = Value::Array(values);
        }
    };
    set("purpose", purposes);
    set("actor", list(&rule.recipients, actor));
    set("securityLabel", list(&rule.labels, label));
    set("class", list(&rule.data, |domain: &Domain| json!({"system": DOMAIN, "code": domain.name()})));
    for (name, window) in [("period", &rule.valid), ("dataPeriod", &rule.window)] {
        if *window != Window::UNBOUNDED {
            provision[name] = period(window);
        }
    }
    provision
}

fn list<T>(scope: &Scope<T>, write: impl Fn(&T) -> Value) -> Vec<Value> {
    match scope {
        Scope::Any => Vec::new(),
        Scope::Only(list) => list.iter().map(write).collect(),
    }
}

fn period(window: &Window) -> Value {
    let mut period = Map::new();
    for (name, end) in [("start", window.from), ("end", window.to)] {
        if let Some(day) = end {
            period.insert(name.to_string(), json!(day));
        }
    }
    Value::Object(period)
}

fn duo(code: &str, values: &[String]) -> Value {
    let mut coding = json!({"system": "http://purl.obolibrary.org/obo/duo.owl", "code": code});
    if !values.is_empty() {
        coding["extension"] = values.iter().map(|value| json!({"url": PARAMETER, "valueString": value})).collect();
    }
    coding
}

fn purpose(purpose: &Purpose) -> Value {
    match purpose {
        Purpose::NoRestriction => duo("DUO:0000004", &[]),
        Purpose::GeneralResearch => duo("DUO:0000042", &[]),
        Purpose::HealthResearch => duo("DUO:0000006", &[]),
        Purpose::DiseaseResearch(disease) => duo("DUO:0000007", &[disease.code().to_string()]),
        Purpose::Ancestry => duo("DUO:0000011", &[]),
        Purpose::Care => duo("DUO:0000043", &[]),
        Purpose::EmergencyCare => json!({"system": words::ACT_REASON[0], "code": "ETREAT"}),
    }
}

fn actor(recipient: &Recipient) -> Value {
    let (system, value) = match recipient {
        Recipient::Organisation(name) => (ORGANISATION, name.clone()),
        Recipient::Researcher(id) => (RESEARCHER, id.to_string()),
        Recipient::Hospital(id) => (HOSPITAL, id.to_string()),
        Recipient::Study(id) => (STUDY, id.to_string()),
    };
    json!({
        "role": {"coding": [{"system": words::PARTICIPATION[0], "code": "IRCP"}]},
        "reference": {"identifier": {"system": system, "value": value}},
    })
}

fn label(label: &Label) -> Value {
    let system = match label {
        Label::Normal | Label::Restricted => words::CONFIDENTIALITY[0],
        Label::SubstanceUse | Label::MentalHealth | Label::Violence | Label::Hiv => words::SENSITIVITY[0],
    };
    json!({"system": system, "code": label.code()})
}
