//! What is exported is imported as the same terms.

use consilium_protocol::consent::{
    Action, Base, Country, Disease, Domain, Effect, Form, Jurisdiction, Label, Modifier, Purpose, Recipient, Rule,
    Scope, Terms, TermsError, Vocabulary, Window,
};
use consilium_protocol::fhir::{
    About, ExportError, Identifier, Options, Outcome, PatientLink, Profile, Standing, Version, export, import,
};
use consilium_protocol::ids::{ContentHash, Date, HospitalId, ResearcherId, StudyId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{day, outcome};

fn about() -> About {
    About {
        id: Some("consent-1".to_string()),
        standing: Standing::Active,
        patient: PatientLink {
            reference: Some("Patient/17".to_string()),
            kind: None,
            identifier: Some(Identifier { system: "urn:oid:1.2.3".to_string(), value: "0815".to_string() }),
        },
        given: Some(day("2024-02-29")),
        source: Some(ContentHash::from_bytes([7; 32])),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z \"\\\\|{}äß\u{1F600}\n]{0,12}", "[ -~]{1,30}"]
}

fn date() -> impl Strategy<Value = Date> {
    prop_oneof![Just(-719_162), Just(2_932_896), Just(11_016), -719_162..2_932_896].prop_map(Date::from_days)
}

fn window() -> impl Strategy<Value = Window> {
    let end = prop_oneof![Just(None), date().prop_map(Some)];
    (end.clone(), end).prop_map(|(one, other)| match (one, other) {
        (Some(one), Some(other)) => Window { from: Some(one.min(other)), to: Some(one.max(other)) },
        (from, to) => Window { from, to },
    })
}

fn scope<T: Clone + std::fmt::Debug + 'static>(one: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Scope<T>> {
    prop_oneof![Just(Scope::Any), prop::collection::vec(one, 1..5).prop_map(Scope::Only)].boxed()
}

fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![
        Just(Purpose::NoRestriction),
        Just(Purpose::GeneralResearch),
        Just(Purpose::HealthResearch),
        "[A-Z]{1,8}:[A-Za-z0-9._-]{1,20}".prop_map(|code| Purpose::DiseaseResearch(Disease::new(&code).unwrap())),
        Just(Purpose::Ancestry),
        Just(Purpose::Care),
        Just(Purpose::EmergencyCare),
    ]
}

fn recipient() -> impl Strategy<Value = Recipient> {
    prop_oneof![
        text().prop_map(Recipient::Organisation),
        any::<[u8; 32]>().prop_map(|key| Recipient::Researcher(ResearcherId::from_public_key(key))),
        any::<[u8; 32]>().prop_map(|key| Recipient::Hospital(HospitalId::from_public_key(key))),
        any::<[u8; 32]>().prop_map(|id| Recipient::Study(StudyId::from_bytes(id))),
    ]
}

fn modifiers() -> impl Strategy<Value = Vec<Modifier>> {
    let country = "[A-Z]{2}".prop_map(|code| code.parse::<Country>().unwrap());
    let users = any::<[u8; 32]>().prop_map(ResearcherId::from_public_key);
    let studies = any::<[u8; 32]>().prop_map(StudyId::from_bytes);
    let values = (
        prop::collection::vec(country, 1..4),
        prop::collection::vec(text(), 1..4),
        prop::option::of(date()),
        prop::collection::vec(users, 1..4),
        prop::collection::vec(studies, 1..4),
        prop::collection::vec(text(), 1..4),
        "[ -~]{0,20}[a-z]",
    );
    values
        .prop_map(|(places, whom, date, users, studies, institutions, text)| {
            vec![
                Modifier::NonProfitOrganisation,
                Modifier::NonCommercialUse,
                Modifier::NonProfitNonCommercial,
                Modifier::NoMethodsOnly,
                Modifier::NoAncestry,
                Modifier::GeneticOnly,
                Modifier::Places(places),
                Modifier::Ethics,
                Modifier::Publication,
                Modifier::Collaboration(whom),
                Modifier::Return,
                Modifier::Moratorium(date),
                Modifier::Users(users),
                Modifier::Projects(studies),
                Modifier::Institutions(institutions),
                Modifier::Specific(text),
            ]
        })
        .prop_flat_map(|all| prop::sample::subsequence(all, 0..=16))
        .prop_shuffle()
}

fn rule() -> impl Strategy<Value = Rule> {
    let what = (
        prop_oneof![Just(Effect::Permit), Just(Effect::Deny)],
        prop::sample::select(Action::ALL.to_vec()),
        prop::sample::select(Form::ALL[1..].to_vec()),
        any::<bool>(),
    );
    let who = (scope(purpose()), modifiers(), scope(recipient()));
    let jurisdiction = prop::option::of(prop::sample::select(Jurisdiction::ALL.to_vec()));
    let data = (
        scope(prop::sample::select(Domain::ALL.to_vec())),
        scope(prop::sample::select(Label::ALL.to_vec())),
        window(),
        window(),
    );
    (what, who, jurisdiction, data).prop_map(
        |(
            (effect, action, form, has_form),
            (purposes, modifiers, recipients),
            jurisdiction,
            (data, labels, valid, window),
        )| {
            let has_form = action == Action::Retrieve && (has_form || effect == Effect::Permit);
            Rule {
                form: has_form.then_some(form),
                modifiers: if effect == Effect::Permit { modifiers } else { Vec::new() },
                recipients,
                jurisdiction,
                data,
                labels,
                valid,
                window,
                ..Rule::new(effect, action, purposes)
            }
        },
    )
}

fn terms() -> impl Strategy<Value = Terms> {
    let base = prop_oneof![3 => Just(Base::Deny), 1 => Just(Base::Permit)];
    let vocabulary = prop_oneof![3 => Just(Vocabulary::CARE), 1 => Just(Vocabulary::RESEARCH)];
    let uri = prop_oneof![Just(String::new()), "https://[a-z]{1,20}\\.example/[ -~]{0,20}"];
    (vocabulary, base, prop::collection::vec(rule(), 0..6), uri)
        .prop_map(|(vocabulary, base, rules, policy_uri)| Terms { vocabulary, base, rules, policy_uri })
        // Rules that no document may have are left out, and the others stay.
        .prop_map(|terms| {
            let alone = |rule: &Rule| Terms { rules: vec![rule.clone()], ..terms.clone() }.check().is_ok();
            let rules = terms.rules.iter().filter(|rule| alone(rule)).cloned().collect();
            Terms { rules, ..terms }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn terms_come_back_as_they_were(terms in terms()) {
        let text = export(&terms, &about()).unwrap();
        prop_assert!(!text.contains('\n'), "one line");
        let consent = import(&text, &Options::default()).unwrap().consents.remove(0);
        prop_assert_eq!(consent.id.as_deref(), Some("consent-1"));
        prop_assert_eq!(consent.version, Some(Version::R4));
        prop_assert_eq!(consent.profile, Profile::Plain);
        prop_assert_eq!(consent.patient, Some(about().patient));
        prop_assert_eq!(consent.source, about().source);
        prop_assert_eq!(consent.written.map(|written| (written.first, written.last)), about().given.map(|day| (day, day)));
        prop_assert_eq!(consent.outcome, Outcome::Accepted { terms, notices: Vec::new() });
    }
}

fn some_terms() -> Terms {
    let mut permit = Rule::new(Effect::Permit, Action::Retrieve, Scope::Only(vec![Purpose::HealthResearch]));
    permit.form = Some(Form::Pseudonymised);
    permit.jurisdiction = Some(Jurisdiction::Adequate);
    permit.modifiers = vec![Modifier::NonCommercialUse, Modifier::Places(vec!["DE".parse().unwrap()])];
    permit.valid = Window { from: Some(day("2024-02-29")), to: Some(day("2029-02-28")) };
    Terms::opt_in(vec![permit])
}

fn exported() -> Value {
    serde_json::from_str(&export(&some_terms(), &about()).unwrap()).unwrap()
}

#[test]
fn others_can_read_what_r4_has_elements_for() {
    let consent = exported();
    let rule = &consent["provision"]["provision"][0];
    assert_eq!((&consent["status"], &consent["dateTime"]), (&json!("active"), &json!("2024-02-29")));
    assert_eq!((&consent["provision"]["type"], &rule["type"]), (&json!("deny"), &json!("permit")));
    assert_eq!(rule["purpose"][0]["code"], json!("DUO:0000006"));
    assert_eq!(rule["period"], json!({"start": "2024-02-29", "end": "2029-02-28"}));
    // Who does not know what else there is must not use it.
    assert!(rule["modifierExtension"].is_array() && consent["provision"]["modifierExtension"].is_array());
}

#[test]
fn nothing_is_added_to_an_export_or_taken_from_it() {
    let is_refused = |change: &dyn Fn(&mut Value)| {
        let mut consent = exported();
        change(&mut consent);
        matches!(outcome(&consent, &Options::default()), Outcome::Refused { .. })
    };
    assert!(!is_refused(&|_| {}));
    let rule = |consent: &mut Value, name: &str, value: Value| consent["provision"]["provision"][0][name] = value;
    assert!(is_refused(&|consent| rule(consent, "data", json!([{"meaning": "instance", "reference": {}}]))));
    assert!(is_refused(&|consent| rule(consent, "action", json!([]))));
    assert!(is_refused(&|consent| rule(consent, "type", json!("deny"))));
    assert!(is_refused(&|consent| rule(consent, "modifierExtension", json!([]))));
    assert!(is_refused(&|consent| rule(consent, "period", json!({"start": "2024"}))));
    assert!(is_refused(&|consent| rule(consent, "provision", json!([{"type": "deny"}]))));
    assert!(is_refused(&|consent| consent["provision"]["purpose"] = json!([super::purpose("TREAT")])));
    assert!(is_refused(&|consent| consent["provision"]["modifierExtension"][0]["valueUnsignedInt"] = json!(9)));
    assert!(is_refused(&|consent| consent["modifierExtension"] = json!([{"url": "https://example.org/x"}])));
    // What is no export of ours any more has modifier extensions that nobody knows.
    let mut consent = exported();
    consent["provision"]["modifierExtension"][0]["url"] = json!("https://example.org/x");
    assert!(super::terms(&consent).rules.is_empty());
}

#[test]
fn what_cannot_be_written_is_not() {
    let refused = |terms: &Terms, about: &About| export(terms, about).unwrap_err();
    let mut late = some_terms();
    late.rules[0].window = Window { from: None, to: Some(Date::from_days(2_932_897)) };
    assert_eq!(refused(&late, &about()), ExportError::Date);
    let mut formless = some_terms();
    formless.rules[0].form = None;
    assert_eq!(refused(&formless, &about()), ExportError::Terms(TermsError::FormMissing));
    let nobody = PatientLink { reference: None, kind: None, identifier: None };
    assert_eq!(refused(&some_terms(), &About { patient: nobody, ..about() }), ExportError::Patient);
    for id in ["", "a b", "ä", &"x".repeat(65)] {
        assert_eq!(refused(&some_terms(), &About { id: Some(id.to_string()), ..about() }), ExportError::Id);
    }
}

#[test]
fn what_holds_no_more_ends() {
    for standing in [Standing::Inactive, Standing::EnteredInError] {
        let text = export(&some_terms(), &About { standing, ..about() }).unwrap();
        assert_eq!(import(&text, &Options::default()).unwrap().consents[0].outcome, Outcome::Ended);
    }
}
