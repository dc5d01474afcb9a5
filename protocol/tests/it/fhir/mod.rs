//! Consents of HL7 FHIR: read, written, and beside a reading of their own.

mod broad;
mod drawn;
mod examples;
mod reference;
mod refusals;
mod round_trip;
mod time;

use std::collections::BTreeSet;

use consilium_protocol::consent::{
    Action, Base, Declarations, DiseaseTree, DocumentTerms, Domain, Establishment, Form, Jurisdiction, Label, Opened,
    Purpose, Recipient, Requester, Rule, Scope, Terms, Use, evaluate,
};
use consilium_protocol::fhir::{Finding, Options, Outcome, import};
use consilium_protocol::ids::{Date, DocumentId, ResearcherId, StudyId};
use serde_json::{Value, json};

const ORGANISATIONS: [(&str, &str); 2] = [("Organization/uni", "University"), ("Organization/firm", "Company")];

fn recipients(name: &str) -> Option<Recipient> {
    let known = ORGANISATIONS.iter().find(|(reference, _)| *reference == name)?;
    Some(Recipient::Organisation(known.1.to_string()))
}

fn is_this_hospital(name: &str) -> bool {
    name == "Organization/here"
}

fn options() -> Options<'static> {
    Options { recipients: &recipients, custodians: &is_this_hospital, ..Options::default() }
}

fn outcome(consent: &Value, options: &Options<'_>) -> Outcome {
    let mut import = import(&consent.to_string(), options).unwrap();
    assert_eq!(import.consents.len(), 1);
    import.consents.remove(0).outcome
}

fn accepted(consent: &Value) -> (Terms, Vec<Finding>) {
    match outcome(consent, &options()) {
        Outcome::Accepted { terms, notices } => (terms, notices),
        other => panic!("{other:#?}"),
    }
}

fn terms(consent: &Value) -> Terms {
    accepted(consent).0
}

fn reasons(consent: &Value) -> Vec<String> {
    match outcome(consent, &options()) {
        Outcome::Refused { reasons } => reasons.iter().map(ToString::to_string).collect(),
        other => panic!("{other:#?}"),
    }
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// One use and one kind of data.
#[derive(Clone, Debug)]
struct Point {
    action: Action,
    form: Form,
    purpose: Purpose,
    organisation: String,
    jurisdiction: Jurisdiction,
    domain: Domain,
    label: Label,
    used: Date,
    /// Of data without a date, none.
    data: Option<Date>,
}

impl Point {
    /// Health research of 2024 by the university, on diagnoses of 2021.
    fn research() -> Self {
        Self {
            action: Action::Aggregate,
            form: Form::Statistics,
            purpose: Purpose::HealthResearch,
            organisation: "University".to_string(),
            jurisdiction: Jurisdiction::Gdpr,
            domain: Domain::Condition,
            label: Label::Normal,
            used: day("2024-06-15"),
            data: Some(day("2021-06-15")),
        }
    }

    fn care() -> Self {
        Self { action: Action::Retrieve, form: Form::Identified, purpose: Purpose::Care, ..Self::research() }
    }

    /// Whether evaluation lets it.
    fn is_open(&self, documents: &[&Terms]) -> bool {
        let of = |terms| DocumentTerms { document: DocumentId::from_bytes([1; 32]), terms };
        let documents: Vec<DocumentTerms<'_>> = documents.iter().copied().map(of).collect();
        let is_care = matches!(self.purpose, Purpose::Care | Purpose::EmergencyCare);
        let asked = Use {
            action: self.action,
            form: self.form,
            purposes: vec![self.purpose.clone()],
            declared: Declarations::default(),
            by: Requester {
                researcher: Some(ResearcherId::from_public_key([1; 32])),
                hospital: None,
                organisation: self.organisation.clone(),
                establishment: Establishment {
                    country: "DE".parse().unwrap(),
                    jurisdiction: self.jurisdiction,
                    for_profit: false,
                },
            },
            study: (!is_care).then(|| StudyId::from_bytes([2; 32])),
            day: self.used,
            ticked: BTreeSet::new(),
        };
        let decision = evaluate(&documents, &asked, &DiseaseTree::new(&[]));
        let opens = |opened: &Opened| self.data.map_or(opened.undated, |day| opened.days.contains(day));
        decision.by_label.get(&self.label).and_then(|data| data.of(self.domain)).is_some_and(opens)
    }
}

/// A consent of R4 about privacy with this root provision.
fn r4(provision: Value) -> Value {
    json!({
        "resourceType": "Consent",
        "id": "one",
        "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/17"},
        "dateTime": "2020-09-01",
        "provision": provision,
    })
}

/// A consent of R5 with this decision and these provisions.
fn r5(decision: &str, provisions: &[Value]) -> Value {
    let mut consent = json!({
        "resourceType": "Consent",
        "id": "one",
        "status": "active",
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "subject": {"reference": "Patient/17"},
        "date": "2020-09-01",
        "decision": decision,
    });
    if !provisions.is_empty() {
        consent["provision"] = json!(provisions);
    }
    consent
}

fn purpose(code: &str) -> Value {
    json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code})
}

fn duo(code: &str) -> Value {
    json!({"system": "http://purl.obolibrary.org/obo/duo.owl", "code": code})
}

fn action(code: &str) -> Value {
    json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": code}]})
}

fn class(resource: &str) -> Value {
    json!({"system": "http://hl7.org/fhir/resource-types", "code": resource})
}

fn confidentiality(code: &str) -> Value {
    json!({"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": code})
}

fn sensitivity(code: &str) -> Value {
    json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code})
}

fn actor(role: &str, reference: &str) -> Value {
    json!({
        "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": role}]},
        "reference": {"reference": reference},
    })
}

/// Terms in few words, one line for each rule.
fn in_words(terms: &Terms) -> Vec<String> {
    fn scope<T>(name: &str, scope: &Scope<T>, word: impl Fn(&T) -> String) -> Option<String> {
        match scope {
            Scope::Any => None,
            Scope::Only(list) => Some(format!("{name} {}", list.iter().map(word).collect::<Vec<_>>().join(" "))),
        }
    }
    let rule = |rule: &Rule| {
        let window = |name: &str, window: &consilium_protocol::consent::Window| {
            (*window != Default::default()).then(|| format!("{name} {window}"))
        };
        let parts = [
            Some(format!("{:?} {:?}", rule.effect, rule.action).to_lowercase()),
            rule.form.map(|form| form.to_string()),
            scope("for", &rule.purposes, ToString::to_string),
            scope("to", &rule.recipients, |recipient| match recipient {
                Recipient::Organisation(name) => name.clone(),
                other => format!("{other:?}"),
            }),
            rule.jurisdiction.map(|level| format!("under {level}")),
            scope("of", &rule.data, ToString::to_string),
            scope("labelled", &rule.labels, ToString::to_string),
            window("valid", &rule.valid),
            window("data", &rule.window),
        ];
        let modifiers = rule.modifiers.iter().map(|modifier| format!("if {}", modifier.kind().code()));
        parts.into_iter().flatten().chain(modifiers).collect::<Vec<_>>().join(", ")
    };
    let base = (terms.base == Base::Permit).then(|| "permitted by silence".to_string());
    base.into_iter().chain(terms.rules.iter().map(rule)).collect()
}
