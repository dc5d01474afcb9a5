//! The broad consent of the Medical Informatics Initiative, as it is evaluated.

use consilium_protocol::consent::{Action, Domain, Form, Jurisdiction, Purpose, Terms};
use consilium_protocol::fhir::{Meaning, POLICIES, Profile, import};
use serde_json::{Value, json};

use super::{Point, action, day, options, outcome, r4, reasons, terms};

const SYSTEM: &str = "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3";

type Period = (&'static str, &'static str);

const FIVE: Period = ("2020-09-01", "2025-08-31");
const THIRTY: Period = ("2020-09-01", "2050-08-31");

/// What a document says of one policy.
pub(super) fn statement(effect: &str, number: u16, (start, end): Period) -> Value {
    let code = format!("2.16.840.1.113883.3.1937.777.24.5.3.{number}");
    json!({
        "type": effect,
        "period": {"start": start, "end": end},
        "code": [{"coding": [{"system": SYSTEM, "code": code}]}],
    })
}

pub(super) fn permit(number: u16, period: Period) -> Value {
    statement("permit", number, period)
}

fn deny(number: u16, period: Period) -> Value {
    statement("deny", number, period)
}

/// A document of the profile.
pub(super) fn broad(provisions: Vec<Value>) -> Value {
    let period = json!({"start": "2020-09-01", "end": "2050-08-31"});
    let mut consent = r4(json!({"type": "deny", "period": period, "provision": provisions}));
    consent["scope"]["coding"][0]["code"] = json!("research");
    consent["policy"] = json!([{"uri": "urn:oid:2.16.840.1.113883.3.1937.777.24.2.1791"}]);
    consent
}

fn standard(more: Vec<Value>) -> Terms {
    terms(&broad([vec![permit(6, FIVE), permit(7, THIRTY), permit(8, THIRTY)], more].concat()))
}

fn data(text: &str) -> Point {
    Point { data: Some(day(text)), ..Point::research() }
}

#[test]
fn use_is_valid_and_collection_is_the_window() {
    let terms = standard(vec![]);
    let is_open = |point: Point| point.is_open(&[&terms]);
    assert!(is_open(data("2020-09-01")) && is_open(data("2025-08-31")));
    assert!(!is_open(data("2020-08-31")) && !is_open(data("2025-09-01")));
    for (used, open) in [("2020-08-31", false), ("2020-09-01", true), ("2050-08-31", true), ("2050-09-01", false)] {
        assert_eq!(is_open(Point { used: day(used), ..Point::research() }), open, "{used}");
    }
    // Sex and age have no day.
    assert!(is_open(Point { domain: Domain::Person, data: None, ..Point::research() }));
    for domain in Domain::ALL {
        let own = matches!(domain, Domain::Specimen | Domain::Genomics | Domain::Billing);
        assert_eq!(is_open(Point { domain, ..Point::research() }), !own, "{domain}");
    }
    // It is about health, and not about anything; not about care, and not about getting in touch.
    for purpose in [Purpose::GeneralResearch, Purpose::Ancestry, Purpose::Care, Purpose::EmergencyCare] {
        for action in Action::ALL {
            let form = if action == Action::Retrieve { Form::SafeHarbour } else { Form::Statistics };
            assert!(!is_open(Point { purpose: purpose.clone(), action, form, ..Point::research() }));
        }
    }
    let record = |form| Point { action: Action::Retrieve, form, ..Point::research() };
    assert!(is_open(record(Form::Pseudonymised)) && !is_open(record(Form::Desensitised)));
    assert!(!is_open(Point { action: Action::Recontact, domain: Domain::Person, ..Point::research() }));
}

#[test]
fn what_was_there_before_needs_its_own_permit_in_the_same_document() {
    let before = data("2005-05-05");
    assert!(!before.is_open(&[&standard(vec![])]));
    let backwards = standard(vec![permit(45, THIRTY)]);
    assert!(before.is_open(&[&backwards]) && !data("2025-09-01").is_open(&[&backwards]));
    // Beside it, or in a period that does not meet that of collection, it opens nothing.
    let alone = terms(&broad(vec![permit(45, THIRTY)]));
    assert!(!before.is_open(&[&standard(vec![]), &alone]));
    let later = standard(vec![permit(45, ("2026-01-01", "2050-08-31"))]);
    for used in ["2024-06-15", "2027-06-15"] {
        assert!(!Point { used: day(used), ..before.clone() }.is_open(&[&later]), "{used}");
    }
    // It is valid no longer than it says.
    let short = standard(vec![permit(45, ("2020-09-01", "2023-08-31"))]);
    assert!(!before.is_open(&[&short]) && data("2021-01-01").is_open(&[&short]));
    // A no to it closes what it would have opened, in this document and in others.
    let no = standard(vec![deny(45, THIRTY)]);
    assert!(!before.is_open(&[&backwards, &no]) && data("2020-09-01").is_open(&[&backwards, &no]));
    // A use of one document is none of another's collection.
    let (usage, collection) = (terms(&broad(vec![permit(8, THIRTY)])), terms(&broad(vec![permit(6, FIVE)])));
    assert!(!Point::research().is_open(&[&usage, &collection]));
}

#[test]
fn laws_that_are_not_adequate_need_a_permit() {
    let under = |jurisdiction| Point { jurisdiction, ..Point::research() };
    let plain = standard(vec![]);
    let beyond = standard(vec![permit(49, ("2020-09-01", "2023-12-31"))]);
    assert!(under(Jurisdiction::Adequate).is_open(&[&plain]) && !under(Jurisdiction::Other).is_open(&[&plain]));
    let other = |used| Point { used: day(used), ..under(Jurisdiction::Other) };
    assert!(other("2023-12-31").is_open(&[&beyond]) && !other("2024-01-01").is_open(&[&beyond]));
    assert!(under(Jurisdiction::Adequate).is_open(&[&beyond]));
    let no = terms(&broad(vec![deny(49, THIRTY)]));
    assert!(!other("2023-12-31").is_open(&[&beyond, &no]) && under(Jurisdiction::Adequate).is_open(&[&beyond, &no]));
}

#[test]
fn specimens_and_insurance_data_have_policies_of_their_own() {
    let of = |domain, text| Point { domain, data: Some(day(text)), ..Point::research() };
    let biomaterial = standard(vec![permit(19, FIVE), permit(20, THIRTY), permit(22, THIRTY)]);
    for domain in [Domain::Specimen, Domain::Genomics] {
        assert!(of(domain, "2021-01-01").is_open(&[&biomaterial]));
        assert!(
            !of(domain, "2020-08-31").is_open(&[&biomaterial]) && !of(domain, "2025-09-01").is_open(&[&biomaterial])
        );
        assert!(!of(domain, "2021-01-01").is_open(&[&standard(vec![permit(22, THIRTY), permit(19, FIVE)])]));
        let no = terms(&broad(vec![deny(19, ("2022-01-01", "2050-08-31"))]));
        assert!(of(domain, "2021-12-31").is_open(&[&biomaterial, &no]));
        assert!(!of(domain, "2022-01-01").is_open(&[&biomaterial, &no]));
    }
    let old = standard(vec![permit(20, THIRTY), permit(22, THIRTY), permit(51, THIRTY), permit(52, THIRTY)]);
    assert!(of(Domain::Specimen, "2010-01-01").is_open(&[&old]));
    let insured = standard(vec![permit(12, THIRTY), permit(13, THIRTY)]);
    assert!(of(Domain::Billing, "2015-09-01").is_open(&[&insured]));
    for text in ["2015-08-31", "2020-09-01"] {
        assert!(!of(Domain::Billing, text).is_open(&[&insured]), "{text}");
    }
    let to_come = standard(vec![permit(12, THIRTY), permit(13, THIRTY), permit(15, FIVE)]);
    assert!(of(Domain::Billing, "2020-09-01").is_open(&[&to_come]));
}

#[test]
fn getting_in_touch_is_split_by_purpose() {
    let contact = |purpose| Point { action: Action::Recontact, purpose, domain: Domain::Person, ..Point::research() };
    let (research, findings) = (contact(Purpose::HealthResearch), contact(Purpose::Care));
    for number in [28, 29] {
        let terms = standard(vec![permit(number, THIRTY)]);
        assert!(research.is_open(&[&terms]) && !findings.is_open(&[&terms]));
        let no = terms_of_deny(29);
        assert!(!research.is_open(&[&terms, &no]));
    }
    for number in [31, 37] {
        let terms = standard(vec![permit(number, THIRTY)]);
        assert!(findings.is_open(&[&terms]) && !research.is_open(&[&terms]));
        assert!(!findings.is_open(&[&terms, &terms_of_deny(31)]));
        // Without identifying data nobody is got in touch with.
        assert!(!findings.is_open(&[&terms, &terms_of_deny(3)]));
    }
    assert!(!research.is_open(&[&standard(vec![permit(27, THIRTY)])]));
}

fn terms_of_deny(number: u16) -> Terms {
    terms(&broad(vec![deny(number, THIRTY)]))
}

#[test]
fn denies_take_away_whatever_their_place() {
    let yes = standard(vec![permit(45, THIRTY)]);
    let after = |number, start| terms(&broad(vec![deny(number, (start, "3000-01-01"))]));
    for number in [7, 8] {
        let no = after(number, "2023-01-01");
        for documents in [[&yes, &no], [&no, &yes]] {
            assert!(!Point::research().is_open(&documents));
            assert!(Point { used: day("2022-12-31"), ..Point::research() }.is_open(&documents), "not yet");
        }
    }
    // Collection ends, and what was collected stays.
    let no = after(6, "2023-01-01");
    for (text, open) in [("2022-12-31", true), ("2023-01-01", false), ("2025-01-01", false), ("2000-01-01", true)] {
        assert_eq!(data(text).is_open(&[&yes, &no]), open, "{text}");
    }
    // Within one document, before and after.
    for order in [vec![deny(8, THIRTY), permit(8, THIRTY)], vec![permit(8, THIRTY), deny(8, THIRTY)]] {
        let terms = terms(&broad([vec![permit(6, FIVE)], order].concat()));
        assert!(!Point::research().is_open(&[&terms]));
    }
    // Care is not what the broad consent is about.
    let care = super::terms(&r4(json!({"type": "permit", "purpose": [super::purpose("TREAT")]})));
    assert!(Point::care().is_open(&[&care, &after(8, "2023-01-01")]));
    // A code of tomorrow denies care, too.
    assert!(!Point::care().is_open(&[&care, &after(125, "2023-01-01")]));
}

#[test]
fn each_policy_means_what_its_kind_says() {
    let yes = standard((10..=55).filter(|n| ![44, 48].contains(n)).map(|n| permit(n, THIRTY)).collect());
    for policy in POLICIES {
        let no = terms_of_deny(policy.number);
        let only = terms(&broad(vec![permit(policy.number, THIRTY)]));
        match policy.meaning {
            Meaning::Void | Meaning::Project | Meaning::Inactive | Meaning::Module(&[]) => {
                assert!(no.rules.is_empty(), "{policy:?}");
                assert!(only.rules.is_empty(), "{policy:?}");
            }
            Meaning::ContactForResearch | Meaning::ContactByFindings => {
                assert!(no.denies() && only.permits(), "{policy:?}");
            }
            // Everything else is nothing alone.
            _ => assert!(no.denies() && only.rules.is_empty(), "{policy:?}"),
        }
    }
    assert!(!Point::research().is_open(&[&yes, &terms_of_deny(1)]));
}

#[test]
fn several_policies_can_share_a_provision() {
    let mut both = permit(6, FIVE);
    both["code"] = json!([both["code"][0], permit(7, FIVE)["code"][0], permit(8, FIVE)["code"][0]]);
    let terms = terms(&broad(vec![both.clone()]));
    assert!(Point::research().is_open(&[&terms]));
    both["type"] = json!("deny");
    assert!(!Point::research().is_open(&[&standard(vec![]), &super::terms(&broad(vec![both]))]));
}

#[test]
fn what_the_profile_does_not_have_is_not_guessed() {
    let with = |mut provision: Value, name: &str, value: Value| {
        provision[name] = value;
        broad(vec![permit(6, FIVE), provision])
    };
    for (name, value) in [
        ("action", json!([action("use")])),
        ("actor", json!([super::actor("IRCP", "Organization/uni")])),
        ("purpose", json!([super::purpose("HRESCH")])),
        ("period", json!({"end": "2020-01-15T10:00:00"})),
        ("other", json!(1)),
    ] {
        assert!(super::terms(&with(permit(8, THIRTY), name, value.clone())).rules.is_empty(), "{name}");
        assert!(!reasons(&with(deny(8, THIRTY), name, value)).is_empty(), "{name}");
    }
    let mut endless = permit(8, THIRTY);
    endless.as_object_mut().unwrap().remove("period");
    // The whole document's period is its own.
    let bounded = terms(&broad(vec![permit(6, FIVE), endless]));
    assert!(bounded.rules.iter().all(|rule| rule.valid.to == Some(day("2050-08-31"))));
    let mut permitting = broad(vec![permit(6, FIVE), permit(8, THIRTY)]);
    permitting["provision"]["type"] = json!("permit");
    assert_eq!(reasons(&permitting).len(), 1);
    assert!(!reasons(&with(permit(8, THIRTY), "provision", json!([{"type": "deny"}]))).is_empty());
}

#[test]
fn a_summary_says_that_it_is_one() {
    let mut consent = broad(vec![deny(8, THIRTY)]);
    let profile = |consent: &Value| import(&consent.to_string(), &options()).unwrap().consents[0].profile;
    assert_eq!(profile(&consent), Profile::BroadConsent);
    let coding = json!({"system": "http://fhir.de/ConsentManagement/CodeSystem/ResultType", "code": "consent-status"});
    consent["category"].as_array_mut().unwrap().push(json!({"coding": [coding]}));
    assert_eq!(profile(&consent), Profile::BroadConsentStatus);
    assert!(matches!(outcome(&consent, &options()), consilium_protocol::fhir::Outcome::Accepted { .. }));
}
