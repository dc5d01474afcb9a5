//! When rules may be used, and which days of data they are about.

use consilium_protocol::consent::{Domain, Modifier, Purpose, Terms, Window};
use serde_json::{Value, json};

use super::{Point, accepted, day, duo, purpose, r4, r5, terms};

fn research(name: &str, period: Value) -> Value {
    let mut root = json!({"type": "permit", "purpose": [purpose("HRESCH")]});
    root[name] = period;
    r4(root)
}

fn used(text: &str) -> Point {
    Point { used: day(text), ..Point::research() }
}

fn data(text: &str) -> Point {
    Point { data: Some(day(text)), ..Point::research() }
}

fn open_days(terms: &Terms, of: fn(&str) -> Point, days: &[&'static str]) -> Vec<&'static str> {
    days.iter().copied().filter(|text| of(text).is_open(&[terms])).collect()
}

#[test]
fn the_last_day_is_in_it() {
    let terms = terms(&research("period", json!({"start": "2024-02-28", "end": "2024-02-29"})));
    let days = ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"];
    assert_eq!(open_days(&terms, used, &days), ["2024-02-28", "2024-02-29"]);
    let terms = super::terms(&research("dataPeriod", json!({"start": "2024-02-28", "end": "2024-02-29"})));
    assert_eq!(open_days(&terms, data, &days), ["2024-02-28", "2024-02-29"]);
}

#[test]
fn a_far_end_is_kept() {
    let terms = terms(&research("period", json!({"end": "3000-01-01"})));
    assert_eq!(open_days(&terms, used, &["2999-12-31", "3000-01-01", "3000-01-02"]), ["2999-12-31", "3000-01-01"]);
}

#[test]
fn moments_shorten_a_permit_and_lengthen_a_deny() {
    let days = ["2024-06-14", "2024-06-15", "2024-06-16", "2024-06-17", "2024-06-18"];
    let period = json!({"start": "2024-06-15T10:00:00+02:00", "end": "2024-06-17T10:00:00+02:00"});
    assert_eq!(open_days(&terms(&research("period", period.clone())), used, &days), ["2024-06-16"]);
    let deny = terms(&r5("permit", &[json!({"period": period})]));
    assert_eq!(open_days(&deny, used, &days), ["2024-06-14", "2024-06-18"]);
}

#[test]
fn a_permit_that_is_never_valid_is_left_out() {
    for period in [
        json!({"start": "2024-06-15T10:00:00Z", "end": "2024-06-15T11:00:00Z"}),
        json!({"start": "2024-06-16", "end": "2024-06-15"}),
    ] {
        let (terms, notices) = accepted(&research("period", period));
        assert!(terms.rules.is_empty() && notices.len() == 2, "{notices:?}");
    }
}

#[test]
fn conditions_of_the_whole_document_bound_each_permit() {
    let root = |own: Value| {
        r4(json!({"type": "deny", "period": {"start": "2022", "end": "2024"}, "provision": [
            {"type": "permit", "purpose": [purpose("HRESCH")], "period": own},
        ]}))
    };
    let terms = super::terms(&root(json!({"start": "2023", "end": "2030"})));
    assert_eq!(terms.rules[0].valid, Window { from: Some(day("2023-01-01")), to: Some(day("2024-12-31")) });
    let (terms, notices) = accepted(&root(json!({"start": "2025"})));
    assert!(terms.rules.is_empty() && !notices.is_empty());
    // R5 has its period beside the decision.
    let mut consent = r5("deny", &[json!({"purpose": [purpose("HRESCH")]})]);
    consent["period"] = json!({"end": "2023"});
    assert_eq!(super::terms(&consent).rules[0].valid.to, Some(day("2023-12-31")));
    // A deny is not shortened by it.
    let mut consent = r5("permit", &[json!({"period": {"end": "2025"}})]);
    consent["period"] = json!({"end": "2023"});
    let deny = |terms: &Terms| terms.rules.iter().find(|rule| rule.modifiers.is_empty() && terms.denies()).cloned();
    assert!(deny(&super::terms(&consent)).is_some());
    assert!(super::terms(&consent).rules.iter().any(|rule| rule.valid.to == Some(day("2025-12-31"))));
}

#[test]
fn an_expired_document_stands_beside_a_current_one() {
    let old = terms(&research("period", json!({"end": "2020-12-31"})));
    let now = terms(&research("period", json!({"start": "2024"})));
    assert!(!Point::research().is_open(&[&old]) && Point::research().is_open(&[&old, &now]));
    assert!(!used("2022-01-01").is_open(&[&old, &now]) && used("2020-06-01").is_open(&[&old, &now]));
    // An expired deny denies no more.
    let denied = terms(&r5("deny", &[]));
    let mut expired = r5("deny", &[]);
    expired["period"] = json!({"end": "2020-12-31"});
    assert!(!Point::research().is_open(&[&now, &denied]));
    assert!(Point::research().is_open(&[&now, &terms(&expired)]));
}

#[test]
fn a_deny_cuts_into_permits_that_are_joined() {
    let one = terms(&research("dataPeriod", json!({"start": "2019", "end": "2020"})));
    let other = terms(&research("dataPeriod", json!({"start": "2021", "end": "2022"})));
    let cut = terms(&r4(json!({"type": "permit", "purpose": [purpose("TREAT")], "provision": [{
        "type": "deny", "purpose": [purpose("HRESCH")],
        "dataPeriod": {"start": "2020-12-15T12:00:00Z", "end": "2021-01-15T12:00:00Z"},
    }]})));
    let open = |text| data(text).is_open(&[&one, &cut, &other]);
    for (text, expected) in [
        ("2018-12-31", false),
        ("2019-01-01", true),
        ("2020-12-14", true),
        ("2020-12-15", false),
        ("2021-01-15", false),
        ("2021-01-16", true),
        ("2022-12-31", true),
        ("2023-01-01", false),
    ] {
        assert_eq!(open(text), expected, "{text}");
    }
    // What has no date comes with a permit, and stays where days are denied.
    let person = Point { domain: Domain::Person, data: None, ..Point::research() };
    assert!(person.is_open(&[&one, &cut, &other]));
}

#[test]
fn a_time_limit_of_duo_counts_from_the_documents_day() {
    let limited = |months: Option<&str>, date: Option<&str>| {
        let mut coding = duo("DUO:0000025");
        if let Some(months) = months {
            let url = "https://consilium.example/fhir/StructureDefinition/parameter";
            coding["extension"] = json!([{"url": url, "valueString": months}]);
        }
        let mut consent = r4(json!({"type": "permit", "purpose": [duo("DUO:0000006"), coding]}));
        match date {
            Some(date) => consent["dateTime"] = json!(date),
            None => drop(consent.as_object_mut().unwrap().remove("dateTime")),
        }
        terms(&consent).rules
    };
    let rules = limited(Some("48"), Some("2020-09-01"));
    assert_eq!(rules[0].valid, Window { from: None, to: Some(day("2024-08-31")) });
    // Of a month the first day counts.
    assert_eq!(limited(Some("1"), Some("2020-09"))[0].valid.to, Some(day("2020-09-30")));
    // A permit that the limit ends before it begins is none.
    let url = "https://consilium.example/fhir/StructureDefinition/parameter";
    let mut late = duo("DUO:0000025");
    late["extension"] = json!([{"url": url, "valueString": "12"}]);
    let purposes = json!([duo("DUO:0000006"), late]);
    let consent = r4(json!({"type": "permit", "purpose": purposes, "period": {"start": "2024"}}));
    assert!(terms(&consent).rules.is_empty());
    // Without a number, or without a day to count from, nothing is permitted.
    assert!(limited(None, Some("2020-09-01")).is_empty());
    assert!(limited(Some("many"), Some("2020-09-01")).is_empty());
    assert!(limited(Some("48"), None).is_empty());
}

#[test]
fn a_purpose_of_duo_is_what_it_is() {
    let of = |code: &str| terms(&r4(json!({"type": "permit", "purpose": [duo(code)]}))).rules[0].purposes.clone();
    for code in ["DUO:0000042", "DUO_0000042"] {
        assert!(of(code).covers(|purpose| *purpose == Purpose::GeneralResearch));
    }
    // A modifier binds a permission, and is none.
    let rules = |codes: &[&str]| {
        let purposes: Vec<Value> = codes.iter().map(|code| duo(code)).collect();
        terms(&r4(json!({"type": "permit", "purpose": purposes}))).rules
    };
    assert!(rules(&["DUO:0000046"]).is_empty());
    assert_eq!(rules(&["DUO:0000046", "DUO:0000006"])[0].modifiers, [Modifier::NonCommercialUse]);
}
