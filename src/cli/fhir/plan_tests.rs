use std::slice::from_ref;
use std::sync::atomic::{AtomicU64, Ordering};

use consilium_protocol::fhir::{Imported, Options, import};
use consilium_protocol::ids::DocumentId;
use serde_json::{Value, json};

use super::super::register::{Form, Proof, Record};
use super::super::verdict::OfSubject;
use super::*;

const SUBJECT: SubjectId = SubjectId::from_bytes([1; 16]);

fn consent(id: &str, written: &str, effect: &str) -> Value {
    let mut consent = json!({
        "resourceType": "Consent", "id": id, "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/1"},
        "dateTime": written,
        "provision": {"type": "deny", "provision": [{"type": effect, "purpose": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}]}]},
    });
    if written.is_empty() {
        consent.as_object_mut().expect("an object").remove("dateTime");
    }
    consent
}

fn refused(id: &str) -> Value {
    with(consent(id, "2024-01-01", "permit"), "provision", json!({"type": "allow"}))
}

fn with(mut consent: Value, name: &str, value: Value) -> Value {
    consent[name] = value;
    consent
}

fn broad(id: &str, written: &str, is_status: bool) -> Value {
    let mut consent = consent(id, written, "permit");
    consent["meta"] = json!({"source": "urn:system#request"});
    consent["policy"] = json!([{"uri": "urn:oid:2.16.840.1.113883.3.1937.777.24.2.1791"}]);
    let code = |number: u16| {
        json!({"type": "permit", "period": {"start": "2020-01-01", "end": "2050-01-01"}, "code": [{"coding": [{
            "system": "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3",
            "code": format!("2.16.840.1.113883.3.1937.777.24.5.3.{number}")}]}]})
    };
    let period = json!({"start": "2020-01-01", "end": "2050-01-01"});
    consent["provision"] = json!({"type": "deny", "period": period, "provision": [code(6), code(8)]});
    if is_status {
        let status =
            json!({"system": "http://fhir.de/ConsentManagement/CodeSystem/ResultType", "code": "consent-status"});
        consent["category"].as_array_mut().expect("a list").push(json!({"coding": [status]}));
    }
    consent
}

fn items(all: &[Value]) -> Vec<Item> {
    let text: String = all.iter().map(|value| format!("{value}\n")).collect();
    let of = |imported: Imported| Item { place: imported.place.clone(), subject: Some(SUBJECT), imported };
    import(&text, &Options::default()).expect("consents").consents.into_iter().map(of).collect()
}

fn facts() -> Facts {
    let subjects = [(SUBJECT, OfSubject::default())].into();
    Facts { today: "2026-01-01".parse().expect("a day"), permits_by_silence: false, subjects }
}

/// Plans, and takes note of everything as done. Answers the verdicts in short, and how many documents were recorded and ended.
fn run(register: &mut Register, all: &[Value]) -> (String, usize, usize) {
    let plan = plan(&items(all), register, &facts());
    let short = |told: &Told| match told.verdict {
        Verdict::Accept(_) => 'A',
        Verdict::Unchanged => '=',
        Verdict::Suspend => 'S',
        Verdict::Suspended => 's',
        Verdict::Refuse => 'R',
        Verdict::End => 'E',
        Verdict::Ignore => 'I',
        Verdict::Unknown => '?',
    };
    let verdicts = plan.told.iter().map(short).collect();
    let recorded = plan.drafts.len();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut number = NEXT.fetch_add(1_000, Ordering::Relaxed);
    for draft in plan.drafts {
        number += 2;
        let proof = Proof::new([0; 32], (0, &number.to_string()));
        let Draft { key, seen, terms, is_suspension, .. } = draft;
        let form = Form { key, seen, terms: terms.hash(), proof, is_suspension };
        register.apply(number, Record::Intent { tx: Vec::new(), forms: vec![form] }).expect("an intent");
        let made = DocumentId::from_bytes(*proof.source.as_bytes());
        register.apply(number + 1, Record::Settled { intent: number, documents: vec![Some(made)] }).expect("settled");
    }
    for Leaving { key, seen, standing, .. } in plan.leaving {
        let proof = Proof::new([0; 32], (0, "left"));
        register.apply(number, Record::Left { key, seen, standing, proof }).expect("left");
    }
    let ended: Vec<DocumentId> = register.endings.keys().copied().collect();
    register.apply(number, Record::Ended(ended.clone())).expect("ended");
    (verdicts, recorded, ended.len())
}

fn came(verdicts: &str, recorded: usize, ended: usize) -> (String, usize, usize) {
    (verdicts.to_string(), recorded, ended)
}

#[test]
fn the_same_again_is_nothing_and_a_change_replaces() {
    let mut register = Register::default();
    let all = [consent("a", "2024-01-01", "permit"), refused("b"), consent("c", "2024-01-01", "deny")];
    assert_eq!(run(&mut register, &all), came("ASA", 3, 0));
    assert_eq!(run(&mut register, &all), came("=s=", 0, 0));
    // What a server says of a version is no change; what the consent says is one.
    let version = with(all[0].clone(), "meta", json!({"versionId": "7", "lastUpdated": "2024-02-01T00:00:00Z"}));
    assert_eq!(run(&mut register, &[version]), came("=", 0, 0));
    assert_eq!(run(&mut register, &[consent("a", "2024-03-01", "permit")]), came("A", 1, 1));
    // An accepted version takes a refusal away, and an end takes all.
    assert_eq!(run(&mut register, &[consent("b", "2024-03-01", "permit")]), came("A", 1, 1));
    assert_eq!(run(&mut register, &[refused("b")]), came("S", 1, 0));
    let ended = with(refused("b"), "status", json!("inactive"));
    assert_eq!(run(&mut register, from_ref(&ended)), came("E", 0, 2));
    assert_eq!(run(&mut register, &[ended]), came("=", 0, 0));
}

#[test]
fn an_older_version_does_not_come_back() {
    let mut register = Register::default();
    let at = |value: Value, day: &str| with(value, "meta", json!({"lastUpdated": format!("{day}T00:00:00+02:00")}));
    let old = at(consent("a", "2024-01-01", "permit"), "2024-01-01");
    let ended = at(with(consent("a", "2024-01-01", "permit"), "status", json!("inactive")), "2024-02-01");
    assert_eq!(run(&mut register, from_ref(&old)), came("A", 1, 0));
    assert_eq!(run(&mut register, &[ended]), came("E", 0, 1));
    assert_eq!(run(&mut register, &[old]), came("I", 0, 0));
}

#[test]
fn what_cannot_be_relied_on_suspends() {
    for (value, expected) in
        [(consent("a", "", "permit"), "when it was given"), (consent("a", "2030-01-01", "permit"), "has not come")]
    {
        let plan = plan(&items(&[value]), &Register::default(), &facts());
        let [draft] = &plan.drafts[..] else { panic!("{expected}") };
        assert!(draft.is_suspension && draft.terms == nothing(), "{expected}");
        assert!(plan.told[0].remarks[0].text.contains(expected));
        assert!(draft.signed <= facts().today);
    }
    // What held and is a draft now.
    let mut register = Register::default();
    let draft = with(consent("a", "2024-01-01", "deny"), "status", json!("draft"));
    assert_eq!(run(&mut register, from_ref(&draft)), came("I", 0, 0));
    assert_eq!(run(&mut register, &[consent("a", "2024-01-01", "deny")]), came("A", 1, 0));
    assert_eq!(run(&mut register, from_ref(&draft)), came("S", 1, 0));
    assert_eq!(run(&mut register, &[draft]), came("s", 0, 0));
}

#[test]
fn one_that_comes_twice_is_looked_at_once_or_not_at_all() {
    let (one, other) = (consent("a", "2024-01-01", "permit"), consent("a", "2024-02-01", "permit"));
    let together = |register: &Register, all: [&Value; 2]| {
        // Of two files.
        let items: Vec<Item> = all.iter().flat_map(|value| items(&[(*value).clone()])).collect();
        let plan = plan(&items, register, &facts());
        (plan.drafts.len(), plan.drafts.iter().filter(|draft| draft.is_suspension).count())
    };
    assert_eq!(together(&Register::default(), [&one, &one]), (1, 0));
    assert_eq!(together(&Register::default(), [&one, &other]), (1, 1));
}

#[test]
fn the_day_is_the_safer_of_several() {
    let signed =
        |effect| plan(&items(&[consent("a", "2024", effect)]), &Register::default(), &facts()).drafts[0].signed;
    assert_eq!(signed("permit").to_string(), "2024-01-01");
    assert_eq!(signed("deny").to_string(), "2024-12-31");
}

#[test]
fn a_summary_silences_what_is_not_newer_of_its_system() {
    let mut register = Register::default();
    // What the same system says beside the broad consent is not what the summary is of.
    let plain = with(consent("p", "2021-01-01", "deny"), "meta", json!({"source": "urn:system"}));
    assert_eq!(run(&mut register, &[broad("a", "2022-01-01", false), plain]), came("AA", 2, 0));
    // The summary comes, with a document that is older and one that is newer.
    let all = [broad("s", "2023-01-01", true), broad("b", "2022-06-01", false), broad("c", "2023-06-01", false)];
    assert_eq!(run(&mut register, &all), came("AIA", 2, 1));
    assert_eq!(run(&mut register, &all), came("=I=", 0, 0));
    assert_eq!(run(&mut register, &[broad("a", "2022-01-01", false)]), came("I", 0, 0));
    // A newer summary replaces it, and an older one does not.
    assert_eq!(run(&mut register, &[broad("t", "2024-01-01", true)]), came("A", 1, 2));
    assert_eq!(run(&mut register, &[broad("s", "2023-01-01", true)]), came("I", 0, 0));
    // It says nothing of other systems.
    let other = with(broad("x", "2022-01-01", false), "meta", json!({"source": "urn:other"}));
    assert_eq!(run(&mut register, &[other]), came("A", 1, 0));
    // When it ends, what it stood for counts for itself again.
    let ended = with(broad("t", "2024-01-01", true), "status", json!("inactive"));
    assert_eq!(run(&mut register, &[ended, broad("a", "2022-01-01", false)]), came("EA", 1, 1));
}

#[test]
fn nobody_known_and_nobody_enrolled_are_told_apart() {
    let mut of_nobody = items(&[consent("a", "2024-01-01", "permit")]);
    of_nobody[0].subject = None;
    let of_stranger = Facts { subjects: BTreeMap::new(), ..facts() };
    let register = Register::default();
    for (items, facts, expected) in
        [(of_nobody, facts(), "--map"), (items(&[consent("a", "2024-01-01", "permit")]), of_stranger, "patients enrol")]
    {
        let plan = plan(&items, &register, &facts);
        assert!(plan.drafts.is_empty() && plan.told[0].verdict == Verdict::Unknown);
        assert!(plan.told[0].remarks[0].text.contains(expected));
    }
    // A refused version whose patient cannot be read is of whom the one before was.
    let mut register = Register::default();
    run(&mut register, &[consent("a", "2024-01-01", "permit")]);
    let mut unreadable = items(&[refused("a")]);
    unreadable[0].subject = None;
    assert!(plan(&unreadable, &register, &facts()).drafts[0].is_suspension);
}

#[test]
fn forms_permit_nothing_for_whom_they_may_not() {
    let closed = OfSubject { closed: Some("closed"), ..OfSubject::default() };
    let facts = Facts { subjects: [(SUBJECT, closed)].into(), ..facts() };
    let of = |effect| plan(&items(&[consent("a", "2024-01-01", effect)]), &Register::default(), &facts);
    assert!(of("permit").drafts.is_empty() && of("permit").told[0].verdict == Verdict::Refuse);
    assert_eq!(of("deny").drafts.len(), 1);
}
