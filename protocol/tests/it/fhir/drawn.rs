//! Ten thousand consents drawn at random, sensible and not: nothing that is imported is wider than the reference reads it.

use consilium_protocol::consent::{Action, Disease, Domain, Form, Jurisdiction, Label, Purpose, Terms};
use consilium_protocol::fhir::{Options, Outcome};
use serde_json::{Map, Value, json};

use super::{
    Point, action, actor, class, confidentiality, day, duo, options, outcome, purpose, r4, r5, reference, sensitivity,
};

/// Numbers that come the same each time.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        // Source: S. Vigna, "xorshift64*".
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    fn some<T: Clone>(&mut self, list: &[T], most: usize) -> Vec<T> {
        (0..=self.below(most)).map(|_| self.of(list).clone()).collect()
    }
}

const STARTS: [&str; 10] = [
    "2019",
    "2020",
    "2020-02",
    "2020-02-29",
    "2021-06-15",
    "2024-06-14",
    "2021-06-14T23:59:59-05:00",
    "2021-06-15T00:30:00+14:00",
    "2024-06-14T10:30:00+02:00",
    "2024-06-15T00:00:00Z",
];
const ENDS: [&str; 10] = [
    "2021-12",
    "2024",
    "2024-06-15",
    "2024-06-16",
    "2024-06-15T23:59:59Z",
    "2024-06-16T10:30:00+02:00",
    "2021-06-16T23:59:59-05:00",
    "2021-06-16T22:00:00+14:00",
    "2021-06-16",
    "3000-01-01",
];
const RESOURCES: [&str; 16] = [
    "Patient",
    "Condition",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "Procedure",
    "Encounter",
    "Device",
    "Specimen",
    "ImagingStudy",
    "DocumentReference",
    "Coverage",
    "MolecularSequence",
    "Composition",
    "Claim",
    "MedicationDispense",
];
const PARTS: [&str; 8] = [
    "Immunization",
    "AllergyIntolerance",
    "FamilyMemberHistory",
    "QuestionnaireResponse",
    "DiagnosticReport",
    "Media",
    "EpisodeOfCare",
    "ClaimResponse",
];
const PURPOSES: [&str; 3] = ["TREAT", "ETREAT", "HRESCH"];
const DUO: [&str; 5] = ["DUO:0000042", "DUO:0000006", "DUO:0000004", "DUO:0000011", "DUO:0000043"];
const ACTIONS: [&str; 3] = ["access", "use", "disclose"];

fn disease(code: &str) -> Value {
    let mut coding = duo("DUO:0000007");
    let url = "https://consilium.example/fhir/StructureDefinition/parameter";
    coding["extension"] = json!([{"url": url, "valueString": code}]);
    coding
}

fn period(draw: &mut Draw) -> Value {
    let mut period = Map::new();
    let ends = draw.below(3);
    if ends != 1 {
        period.insert("start".to_string(), json!(draw.of::<&str>(&STARTS)));
    }
    if ends != 0 {
        period.insert("end".to_string(), json!(draw.of::<&str>(&ENDS)));
    }
    Value::Object(period)
}

/// Conditions that can all be said.
fn conditions(draw: &mut Draw, is_r4: bool, is_permit: bool) -> Map<String, Value> {
    let mut parts = Map::new();
    let mut set = |name: &str, value: Value| parts.insert(name.to_string(), value);
    if draw.one_in(3) {
        set("period", period(draw));
    }
    if draw.one_in(4) {
        set("dataPeriod", period(draw));
    }
    if !draw.one_in(4) {
        let mut list: Vec<Value> = match draw.below(4) {
            0 => vec![disease(draw.of::<&str>(&["M:1", "M:2"]))],
            1 => vec![duo(draw.of::<&str>(&DUO))],
            _ => vec![purpose(draw.of::<&str>(&PURPOSES))],
        };
        if is_permit && draw.one_in(4) {
            list.push(duo("DUO:0000046"));
        }
        if draw.one_in(6) {
            list.push(purpose(draw.of::<&str>(&PURPOSES)));
        }
        set("purpose", json!(list));
    }
    if draw.one_in(3) {
        set("action", draw.some(&ACTIONS, 3).into_iter().map(action).collect());
    }
    if draw.one_in(4) {
        let role = *draw.of(&["IRCP", "PRCP"]);
        let some = draw.some(&["Organization/uni", "Organization/firm"], 2);
        let mut list: Vec<Value> = some.into_iter().map(|reference| actor(role, reference)).collect();
        if draw.one_in(3) {
            list.push(actor("CST", "Organization/here"));
        }
        set("actor", json!(list));
    }
    if draw.one_in(4) {
        let mut list = vec![confidentiality(draw.of::<&str>(&["N", "R", "V"]))];
        if draw.one_in(2) {
            list = vec![sensitivity(draw.of::<&str>(&["ETH", "PSY", "SDV", "HIV"]))];
        }
        set("securityLabel", json!(list));
    }
    if draw.one_in(3) {
        let name = if is_r4 { "class" } else { "resourceType" };
        let mut list: Vec<Value> = draw.some(&RESOURCES, 4).into_iter().map(class).collect();
        if !is_permit && draw.one_in(3) {
            list.push(class(draw.of::<&str>(&PARTS)));
        }
        set(name, json!(list));
    }
    parts
}

/// Puts something into a provision that cannot be said, or that is none of FHIR's.
fn nonsense(draw: &mut Draw, parts: &mut Map<String, Value>) {
    let other = json!({"reference": {"reference": "Organization/uni"}});
    let list = [
        ("period", json!({})),
        ("period", json!({"start": "2024-06-16", "end": "2019"})),
        ("period", json!({"start": "2020-01-15T10:00:00"})),
        ("dataPeriod", json!("2020")),
        ("dataPeriod", json!({"end": "2020", "_start": {"extension": []}})),
        ("dataPeriod", json!({"start": "2020", "end": 7})),
        ("action", json!([])),
        ("action", json!([action("sell")])),
        ("action", json!([action("correct")])),
        ("action", json!([action("collect")])),
        ("actor", json!([actor("AUT", "Organization/uni")])),
        ("actor", json!([actor("IRCP", "Organization/nobody"), actor("IRCP", "Organization/uni")])),
        ("actor", json!([actor("CST", "Organization/there")])),
        ("actor", json!([other])),
        ("securityLabel", json!([sensitivity("SEX")])),
        ("securityLabel", json!([sensitivity("PSY"), sensitivity("HIV")])),
        ("securityLabel", json!([confidentiality("L"), sensitivity("PSY")])),
        ("securityLabel", json!([confidentiality("R"), sensitivity("PSY")])),
        ("purpose", json!([purpose("CLINTRL")])),
        ("purpose", json!([purpose("TREAT"), purpose("HRESCH")])),
        ("purpose", json!([purpose("HPAYMT")])),
        ("purpose", json!([purpose("TREAT"), purpose("HPAYMT")])),
        ("purpose", json!([purpose("BTG")])),
        ("purpose", json!([duo("DUO:0000007")])),
        ("purpose", json!([duo("DUO:0000012"), duo("DUO:0000042")])),
        ("purpose", json!([duo("DUO:0000046")])),
        ("purpose", json!("TREAT")),
        ("class", json!([class("Immunization")])),
        ("class", json!([class("Condition"), class("Nonsense")])),
        ("resourceType", json!([{"system": "http://example.org", "code": "Condition"}])),
        ("documentType", json!([{"system": "http://loinc.org", "code": "34133-9"}])),
        ("code", json!([{"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}])),
        ("data", json!([{"meaning": "instance", "reference": {"reference": "Observation/1"}}])),
        ("expression", json!({"language": "text/fhirpath", "expression": "true"})),
        ("modifierExtension", json!([{"url": "https://example.org/not", "valueBoolean": true}])),
        ("_type", json!({"extension": []})),
        ("provision", json!([{"type": "deny"}])),
        ("type", json!("allow")),
    ];
    let (name, value) = draw.of(&list);
    parts.insert((*name).to_string(), value.clone());
}

/// A consent, within what can be said or not.
fn consent(draw: &mut Draw, is_sensible: bool) -> Value {
    let is_r4 = draw.one_in(2);
    let decision = if draw.one_in(2) { "permit" } else { "deny" };
    let mut children = Vec::new();
    for _ in 0..draw.below(4) {
        let effect = match (is_r4, decision) {
            (true, _) => *draw.of(&["permit", "deny"]),
            (false, "permit") => "deny",
            (false, _) => "permit",
        };
        let mut parts = conditions(draw, is_r4, effect == "permit");
        if is_r4 {
            parts.insert("type".to_string(), json!(effect));
        }
        if !is_sensible && draw.one_in(2) {
            nonsense(draw, &mut parts);
        }
        children.push(Value::Object(parts));
    }
    if !is_r4 {
        let mut consent = r5(decision, &children);
        if draw.one_in(4) {
            consent["period"] = period(draw);
        }
        return consent;
    }
    let mut root = if draw.one_in(3) { conditions(draw, true, decision == "permit") } else { Map::new() };
    root.insert("type".to_string(), json!(decision));
    if !is_sensible && draw.one_in(6) {
        nonsense(draw, &mut root);
    }
    if !children.is_empty() {
        root.insert("provision".to_string(), json!(children));
    }
    let mut consent = r4(Value::Object(root));
    if draw.one_in(3) {
        consent["scope"]["coding"][0]["code"] = json!("research");
    }
    consent
}

fn point(draw: &mut Draw) -> Point {
    let disease = |code| Purpose::DiseaseResearch(Disease::new(code).unwrap());
    let purposes = [
        Purpose::HealthResearch,
        Purpose::HealthResearch,
        Purpose::GeneralResearch,
        Purpose::Ancestry,
        disease("M:1"),
        Purpose::Care,
        Purpose::Care,
        Purpose::EmergencyCare,
    ];
    let action =
        *draw.of(&[Action::Aggregate, Action::Aggregate, Action::Retrieve, Action::Retrieve, Action::Recontact]);
    let days = [
        "2018-12-31",
        "2019-01-01",
        "2020-01-31",
        "2020-02-01",
        "2020-02-29",
        "2020-03-01",
        "2021-06-14",
        "2021-06-15",
        "2021-06-16",
        "2021-12-31",
        "2024-06-14",
        "2024-06-15",
        "2024-06-16",
        "2024-06-17",
        "3000-01-01",
        "3000-01-02",
    ];
    let form = match action {
        Action::Retrieve => *draw.of(&Form::ALL[1..]),
        Action::Aggregate | Action::Recontact => Form::Statistics,
    };
    Point {
        action,
        form,
        purpose: draw.of(&purposes).clone(),
        organisation: (*draw.of(&["University", "Company", "Other"])).to_string(),
        jurisdiction: *draw.of(&Jurisdiction::ALL),
        domain: *draw.of(&Domain::ALL),
        label: if draw.one_in(2) { Label::Normal } else { *draw.of(&Label::ALL) },
        used: day(if draw.one_in(2) { "2024-06-15" } else { draw.of::<&str>(&days) }),
        data: (!draw.one_in(4)).then(|| day(draw.of::<&str>(&days))),
    }
}

#[derive(Debug, Default)]
struct Tally {
    documents: usize,
    accepted: usize,
    with_permits: usize,
    points: usize,
    open: usize,
    may: usize,
}

fn compare(draw: &mut Draw, is_sensible: bool, options: &Options<'_>, tally: &mut Tally) {
    let consent = consent(draw, is_sensible);
    tally.documents += 1;
    let Outcome::Accepted { terms, .. } = outcome(&consent, options) else { return };
    tally.accepted += 1;
    tally.with_permits += usize::from(Terms::permits(&terms));
    for _ in 0..60 {
        let point = point(draw);
        let (open, may) = (point.is_open(&[&terms]), reference::may(&consent, &point));
        tally.points += 1;
        tally.open += usize::from(open);
        tally.may += usize::from(may);
        assert!(!open || may, "wider: {point:#?}\n{consent:#}\n{:#?}", super::in_words(&terms));
    }
}

#[test]
fn what_can_be_said_is_accepted_and_never_wider() {
    let mut draw = Draw(0x5EED_0001);
    let mut tally = Tally::default();
    (0..5_000).for_each(|_| compare(&mut draw, true, &options(), &mut tally));
    println!("sensible: {tally:?}");
    assert!(tally.accepted * 100 >= tally.documents * 95, "{tally:?}");
    // The comparison is about something.
    assert!(tally.with_permits * 3 >= tally.documents && tally.open * 50 >= tally.points, "{tally:?}");
    // And most of what is permitted is open.
    assert!(tally.open * 10 >= tally.may * 7, "{tally:?}");
}

#[test]
fn nonsense_is_never_wider() {
    let mut draw = Draw(0x5EED_0002);
    let mut tally = Tally::default();
    let wide = Options { widen_denies: true, ..options() };
    (0..2_500).for_each(|_| compare(&mut draw, false, &options(), &mut tally));
    (0..2_500).for_each(|_| compare(&mut draw, false, &wide, &mut tally));
    println!("nonsense: {tally:?}");
    assert!(tally.accepted * 2 >= tally.documents && tally.open * 100 >= tally.points, "{tally:?}");
}
