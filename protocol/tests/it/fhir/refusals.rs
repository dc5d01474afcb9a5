//! What is not imported, and what is said of it.

use consilium_protocol::consent::{Base, Effect, MAX_RULES, Scope};
use consilium_protocol::fhir::{Ignored, ImportError, Options, Outcome, import};
use serde_json::{Value, json};

use super::{Point, accepted, action, class, options, outcome, purpose, r4, r5, reasons, terms};

fn with(mut consent: Value, name: &str, value: Value) -> Value {
    consent[name] = value;
    consent
}

fn permit() -> Value {
    r4(json!({"type": "permit", "purpose": [purpose("HRESCH")]}))
}

#[test]
fn what_does_not_hold_is_left_alone_or_ends() {
    let of = |status: &str| outcome(&with(permit(), "status", json!(status)), &options());
    for (status, why) in [
        ("draft", Ignored::Draft),
        ("proposed", Ignored::Proposed),
        ("rejected", Ignored::Rejected),
        ("not-done", Ignored::NotDone),
        ("unknown", Ignored::Unknown),
    ] {
        assert_eq!(of(status), Outcome::Ignored(why));
    }
    assert_eq!((of("inactive"), of("entered-in-error")), (Outcome::Ended, Outcome::Ended));
    let mut nameless = with(permit(), "status", json!("inactive"));
    nameless.as_object_mut().unwrap().remove("id");
    assert!(reasons(&nameless)[0].contains("neither an id nor an identifier"));
    for (name, code) in [("scope", "treatment"), ("scope", "adr")] {
        let coding = json!({"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": code});
        let consent = with(permit(), name, json!({"coding": [coding]}));
        assert_eq!(outcome(&consent, &options()), Outcome::Ignored(Ignored::NotAboutData));
    }
    let coding = json!({"system": "http://terminology.hl7.org/CodeSystem/consentcategorycodes", "code": "dnr"});
    let consent = with(r5("permit", &[]), "category", json!([{"coding": [coding]}]));
    assert_eq!(outcome(&consent, &options()), Outcome::Ignored(Ignored::NotAboutData));
}

#[test]
fn what_could_change_the_whole_is_refused() {
    let table = [
        ("implicitRules", json!("https://example.org/rules"), "implicit rules"),
        ("modifierExtension", json!([{"url": "https://example.org/x"}]), "modifier extension"),
        ("status", json!("valid"), "status"),
        ("_status", json!({"extension": []}), "status"),
        ("except", json!([]), "R4 or R5"),
        ("decision", json!("permit"), "R4 or R5"),
        ("scope", json!({"text": "everything"}), "scope"),
        ("patient", json!({"reference": "Group/1"}), "no patient"),
        ("patient", json!({"reference": "https://one.example/fhir/Practitioner/1"}), "no patient"),
        ("patient", json!({"display": "somebody"}), "no patient"),
        ("dateTime", json!("yesterday"), "Consent.dateTime"),
        ("provision", json!([]), "R4 or R5"),
        ("provision", json!("none"), "form"),
        ("provision", json!({"type": "allow"}), "permits or denies"),
        ("provision", json!({"type": "permit", "provision": []}), "form"),
        ("provision", json!({"type": "permit", "provision": [{}]}), "permits or denies"),
        ("provision", json!({"type": "permit", "provision": ["deny"]}), "permits or denies"),
        (
            "provision",
            json!({"type": "deny", "provision": [{"type": "permit", "provision": [{"type": "deny"}]}]}),
            "Consent.provision.provision[0].provision: a provision within a provision",
        ),
        (
            "category",
            json!([{"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/consentcategorycodes", "code": "emrgonly"}]}]),
            "emergencies",
        ),
    ];
    for (name, value, expected) in table {
        let found = reasons(&with(permit(), name, value.clone()));
        assert!(found.iter().any(|reason| reason.contains(expected)), "{name} {value}: {found:?}");
    }
    let typed = r5("deny", &[json!({"type": "permit"})]);
    assert!(reasons(&typed)[0].contains("R4 or R5"));
}

#[test]
fn silence_about_the_base_is_not_guessed() {
    let untyped = |provision: Value| r4(provision);
    let given = |base| Options { base: Some(base), ..options() };
    let bare = untyped(json!({"provision": [{"type": "deny", "class": [class("Condition")]}]}));
    assert!(matches!(outcome(&bare, &options()), Outcome::Refused { .. }));
    let Outcome::Accepted { terms, .. } = outcome(&bare, &given(Base::Permit)) else { panic!() };
    assert_eq!((terms.base, terms.permits(), terms.denies()), (Base::Permit, true, true));
    let Outcome::Accepted { terms, .. } = outcome(&bare, &given(Base::Deny)) else { panic!() };
    assert_eq!((terms.base, terms.permits()), (Base::Deny, false));
    // Whether its conditions permit or deny is not known, whatever the base is.
    let bound = untyped(json!({"action": [action("access")]}));
    for base in [Base::Permit, Base::Deny] {
        assert!(matches!(outcome(&bound, &given(base)), Outcome::Refused { .. }), "{base:?}");
    }
    // What a document says goes before what the form is said to have.
    let Outcome::Accepted { terms, .. } = outcome(&r4(json!({"type": "deny"})), &given(Base::Permit)) else { panic!() };
    assert!(!terms.permits());
}

#[test]
fn a_deny_that_cannot_be_said_refuses_or_is_widened() {
    let consent = r4(json!({"type": "permit", "purpose": [purpose("HRESCH")], "provision": [
        {"type": "deny", "purpose": [purpose("CLINTRL")], "class": [class("Condition")]},
    ]}));
    assert!(reasons(&consent)[0].contains("CLINTRL"));
    let wide = Options { widen_denies: true, ..options() };
    let Outcome::Accepted { terms, notices } = outcome(&consent, &wide) else { panic!() };
    let deny = terms.rules.iter().find(|rule| rule.effect == Effect::Deny).unwrap();
    assert!(deny.purposes == Scope::Any && deny.data != Scope::Any);
    assert!(notices.iter().any(|notice| notice.to_string().contains("forbids more than it says")));
    assert!(!Point::research().is_open(&[&terms]));
}

#[test]
fn a_permit_with_any_such_condition_is_left_out_whole() {
    let (terms, notices) = accepted(&r4(json!({"type": "deny", "provision": [
        {"type": "permit", "purpose": [purpose("HRESCH")], "class": [class("Condition"), class("Immunization")]},
        {"type": "permit", "purpose": [purpose("ETREAT")]},
    ]})));
    assert_eq!(terms.rules.len(), 1);
    let dropped = "Consent.provision.provision[0].class[1]: this permit is left out as a whole";
    assert!(notices.iter().any(|notice| notice.to_string().starts_with(dropped)), "{notices:?}");
}

#[test]
fn a_permit_that_its_own_document_denies_is_reported() {
    let (terms, notices) = accepted(&r4(json!({"type": "deny", "provision": [
        {"type": "permit", "purpose": [purpose("HRESCH")], "class": [class("Condition")]},
        {"type": "permit", "purpose": [purpose("HRESCH")]},
        {"type": "deny", "class": [class("Condition")]},
    ]})));
    assert!(!Point::research().is_open(&[&terms]));
    let swallowed: Vec<&str> = notices
        .iter()
        .filter(|notice| notice.to_string().contains("takes away all"))
        .map(|notice| notice.path.as_str())
        .collect();
    assert_eq!(swallowed, ["Consent.provision.provision[0]"]);
}

#[test]
fn too_many_rules_are_refused() {
    let many: Vec<Value> = (0..=MAX_RULES).map(|_| json!({"purpose": [purpose("ETREAT")]})).collect();
    assert!(reasons(&r5("deny", &many))[0].contains("at most"));
    assert_eq!(terms(&r5("deny", &many[1..])).rules.len(), MAX_RULES);
}

#[test]
fn inputs_have_several_forms() {
    let other = json!({"resourceType": "Patient", "id": "17"});
    let (one, two) = (permit(), with(r5("deny", &[]), "id", json!("two")));
    let bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": [
        {"resource": one}, {"resource": other}, {"fullUrl": "urn:uuid:1"}, {"resource": two},
    ]});
    let lines = format!("\u{feff}{one}\n{other}\r\n\n{two}\n");
    for text in [bundle.to_string(), lines, format!("{bundle:#}")] {
        let import = import(&text, &options()).unwrap();
        assert_eq!(import.consents.iter().map(|c| c.id.as_deref().unwrap()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(import.skipped.get("Patient"), Some(&1));
        assert!(import.consents.iter().all(|consent| matches!(consent.outcome, Outcome::Accepted { .. })));
    }
    assert_eq!(import("", &options()), Ok(Default::default()));
    assert_eq!(import("{}\n{", &options()).map(drop), Err(ImportError::NoResource { place: "resource 1".to_string() }));
    assert_eq!(import(&format!("{one}\n{{"), &options()).map(drop), Err(ImportError::Json { line: 2 }));
    let twice = r#"{"resourceType": "Consent", "status": "active", "status": "draft"}"#;
    assert!(matches!(import(twice, &options()), Err(ImportError::Json { .. })));
    let history = with(bundle, "type", json!("history"));
    assert!(matches!(import(&history.to_string(), &options()), Err(ImportError::History { .. })));
}

#[test]
fn of_two_versions_none_is_taken() {
    let text =
        format!("{}\n{}\n{}", permit(), with(permit(), "status", json!("inactive")), with(permit(), "id", json!("x")));
    let outcomes: Vec<Outcome> = import(&text, &options()).unwrap().consents.into_iter().map(|c| c.outcome).collect();
    assert!(matches!(outcomes[..], [Outcome::Refused { .. }, Outcome::Refused { .. }, Outcome::Accepted { .. }]));
}

#[test]
fn nothing_of_the_file_is_told() {
    const SECRET: &str = "Mustermann";
    // Each text of a document in turn, and each name of an element, is the patient's.
    let document = r4(json!({
        "type": "permit", "period": {"start": "2020", "end": "2030"}, "actor": [super::actor("IRCP", "Organization/uni")],
        "provision": [
            {"type": "deny", "purpose": [purpose("TREAT")], "class": [class("Condition")], "action": [action("use")]},
            {"type": "permit", "securityLabel": [super::confidentiality("N")], "dataPeriod": {"start": "2020"}},
        ],
    }));
    let mut checked = 0;
    let mut check = |consent: &Value| {
        for widen_denies in [false, true] {
            let import = match import(&consent.to_string(), &Options { widen_denies, ..options() }) {
                Ok(import) => import,
                Err(error) => {
                    assert!(!error.to_string().contains(SECRET) && !format!("{error:?}").contains(SECRET));
                    continue;
                }
            };
            let findings = match import.consents.first().map(|consent| &consent.outcome) {
                Some(Outcome::Accepted { notices, .. }) => notices.clone(),
                Some(Outcome::Refused { reasons }) => reasons.clone(),
                _ => Vec::new(),
            };
            for finding in findings {
                assert!(
                    !finding.to_string().contains(SECRET) && !format!("{finding:?}").contains(SECRET),
                    "{finding:?}"
                );
            }
            let shown = format!("{:?}", import.consents.first().map(|consent| (&consent.patient, &consent.written)));
            assert!(!shown.contains(SECRET));
            assert!(!format!("{:?}", import.skipped).contains(SECRET) || consent["resourceType"] == SECRET);
            checked += 1;
        }
    };
    let pointers = pointers(&document, "");
    for pointer in &pointers {
        let mut changed = document.clone();
        *changed.pointer_mut(pointer).unwrap() = json!(SECRET);
        check(&changed);
        let mut changed = document.clone();
        if let Some(object) = changed.pointer_mut(pointer).unwrap().as_object_mut() {
            object.insert(SECRET.to_string(), json!(SECRET));
            check(&changed);
        }
    }
    assert!(checked > 100, "{checked}");
}

fn pointers(value: &Value, at: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(name, value)| (format!("{at}/{name}"), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(i, value)| (format!("{at}/{i}"), value)).collect(),
        _ => Vec::new(),
    };
    children.into_iter().flat_map(|(path, value)| [vec![path.clone()], pointers(value, &path)].concat()).collect()
}
