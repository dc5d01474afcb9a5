//! What a consent says, read a second time and in another way: not as rules, but by asking of one use of one kind of data,
//! provision after provision, whether it is in it. Nothing here is shared with the importer.
//!
//! A provision can say yes, no, or what is not known here. A permit counts if all of it says yes; a deny counts unless any of
//! it says no.

use consilium_protocol::consent::{Action, Domain, Form, Label, Purpose};
use serde_json::{Map, Value};

use super::Point;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    No,
    Unknown,
    Yes,
}

use Answer::{No, Unknown, Yes};

fn yes_if(is: bool) -> Answer {
    if is { Yes } else { No }
}

/// Whether the document permits this, for sure.
pub(super) fn may(consent: &Value, point: &Point) -> bool {
    let is_r4 = consent.get("patient").is_some();
    let (decision, root, provisions) = if is_r4 {
        let root = &consent["provision"];
        (root["type"].as_str(), root.clone(), root["provision"].clone())
    } else {
        let root =
            consent.get("period").map_or(Value::Object(Map::new()), |period| serde_json::json!({"period": period}));
        (consent["decision"].as_str(), root, consent["provision"].clone())
    };
    let Some(decision @ ("permit" | "deny")) = decision else { return false };
    let mut provisions = provisions.as_array().cloned().unwrap_or_default();
    if !is_r4 {
        provisions.iter_mut().for_each(name_roles);
    }
    let effect = |provision: &Value| match (is_r4, decision) {
        (true, _) => provision["type"].as_str().map(str::to_string),
        (false, "permit") => Some("deny".to_string()),
        (false, _) => Some("permit".to_string()),
    };
    if provisions.iter().any(|provision| provision.get("provision").is_some()) {
        return false;
    }
    let permits: Vec<&Value> = provisions.iter().filter(|p| effect(p).as_deref() == Some("permit")).collect();
    let others: Vec<&Value> = provisions.iter().filter(|p| effect(p).as_deref() != Some("permit")).collect();
    let is_research = consent["scope"]["coding"][0]["code"] == "research";
    let grants = |provision: &Value| permit(provision, point, is_research) == Yes;
    let permitted = match (decision, permits.as_slice()) {
        ("permit", []) => grants(&root),
        (_, permits) => {
            let both = |own: &&&Value| {
                // A purpose of the whole document is met by those of the provision, or the other way round.
                grants(&root_without_purpose_if(&root, own)) && grants(&own_without_purpose_if(&root, own))
            };
            permits.iter().any(|own| both(&own))
        }
    };
    let mut denies: Vec<Value> = others.iter().map(|own| merged(&root, own)).collect();
    if decision == "deny" && permits.is_empty() {
        denies.push(root.clone());
    }
    permitted && !denies.iter().any(|provision| deny(provision, point) != No)
}

/// In R5 an actor without a role is one whom the provision controls: a recipient.
fn name_roles(provision: &mut Value) {
    for actor in provision.get_mut("actor").and_then(Value::as_array_mut).into_iter().flatten() {
        if actor.get("role").is_none() {
            actor["role"] = super::actor("IRCP", "")["role"].clone();
        }
    }
}

/// The root, without its silence about purposes where the provision speaks of them: silence is no purpose of its own.
fn root_without_purpose_if(root: &Value, own: &Value) -> Value {
    if root.get("purpose").is_none() && own.get("purpose").is_some() {
        with(root, "purpose", &own["purpose"])
    } else {
        root.clone()
    }
}

fn own_without_purpose_if(root: &Value, own: &Value) -> Value {
    if own.get("purpose").is_none() && root.get("purpose").is_some() {
        with(own, "purpose", &root["purpose"])
    } else {
        own.clone()
    }
}

fn with(provision: &Value, name: &str, value: &Value) -> Value {
    let mut copy = provision.clone();
    copy[name] = value.clone();
    copy
}

/// What a deny says itself, and what the whole document says where it does not.
fn merged(root: &Value, own: &Value) -> Value {
    let mut all = root.as_object().cloned().unwrap_or_default();
    for name in ["type", "provision"] {
        all.remove(name);
    }
    all.extend(own.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}

const KNOWN: [&str; 14] = [
    "type",
    "period",
    "actor",
    "action",
    "securityLabel",
    "purpose",
    "class",
    "resourceType",
    "dataPeriod",
    "provision",
    "id",
    "extension",
    "code",
    "documentType",
];

fn permit(provision: &Value, point: &Point, is_research: bool) -> Answer {
    let Some(parts) = provision.as_object() else { return Unknown };
    let mut answer = yes_if(true);
    for (name, value) in parts {
        answer = answer.min(match name.as_str() {
            "type" | "provision" | "id" | "extension" => Yes,
            "period" => inside(value, point.used),
            "dataPeriod" => point.data.map_or_else(|| known_period(value), |day| inside(value, day)),
            "actor" => each(value, |actor| recipient(actor, point))
                .into_iter()
                .fold(No, Answer::max)
                .min(no_unknown(value, point)),
            "action" => action(value, point),
            "securityLabel" => each(value, |label| label_covers(label, point.label)).into_iter().fold(Yes, Answer::min),
            // Modifiers bind a permission; alone they are none.
            "purpose" if each(value, |coding| yes_if(is_modifier(coding))).iter().all(|is| *is == Yes) => No,
            "purpose" => purposes(value, point, Answer::min, Yes),
            "class" | "resourceType" => {
                let answers = each(value, |class| permitted_class(class, point.domain));
                if answers.contains(&Unknown) { Unknown } else { answers.into_iter().fold(No, Answer::max) }
            }
            _ => Unknown,
        });
    }
    let purpose_is_open = parts.contains_key("purpose")
        || !is_research
        || matches!(point.purpose, Purpose::HealthResearch | Purpose::DiseaseResearch(_));
    // Nothing of FHIR's permits getting in touch; records leave for research only when they are said to be disclosed, and then
    // without identifiers.
    let is_care = matches!(point.purpose, Purpose::Care | Purpose::EmergencyCare);
    let form = point.action != Action::Retrieve || is_care || point.form == Form::SafeHarbour;
    answer.min(yes_if(purpose_is_open && form && point.action != Action::Recontact))
}

fn deny(provision: &Value, point: &Point) -> Answer {
    let Some(parts) = provision.as_object() else { return Unknown };
    let mut answer = Yes;
    for (name, value) in parts {
        answer = answer.min(match name.as_str() {
            "period" => touched(value, point.used),
            // Data without a date are never of certain days.
            "dataPeriod" => point.data.map_or_else(|| unless_known(value), |day| touched(value, day)),
            "actor" => {
                let answers = each(value, |actor| recipient(actor, point));
                let custodian = each(value, |actor| yes_if(role(actor) == "CST")).iter().all(|is| *is == Yes);
                if custodian && !answers.contains(&Unknown) { Yes } else { answers.into_iter().fold(No, Answer::max) }
            }
            "action" => {
                let codes = each(value, |concept| match concept["coding"][0]["code"].as_str() {
                    Some("access" | "use" | "disclose" | "collect") => Yes,
                    Some("correct") => No,
                    _ => Unknown,
                });
                codes.into_iter().fold(No, Answer::max)
            }
            "securityLabel" => {
                let answers: Vec<Answer> = each(value, |label| {
                    let code = label["code"].as_str().unwrap_or_default();
                    if level(code).is_some() { Yes } else { label_covers(label, point.label) }
                });
                // Levels say nothing beside a sensitivity.
                let of_kinds = value.as_array().into_iter().flatten().zip(&answers);
                let kinds: Vec<Answer> = of_kinds
                    .filter(|(label, _)| level(label["code"].as_str().unwrap_or_default()).is_none())
                    .map(|(_, answer)| *answer)
                    .collect();
                if kinds.is_empty() { Yes } else { kinds.into_iter().fold(No, Answer::max) }
            }
            "purpose" => purposes(value, point, Answer::max, No),
            "class" | "resourceType" | "documentType" => {
                let answers = each(value, |class| denied_class(class, point.domain));
                answers.into_iter().fold(No, Answer::max)
            }
            name if KNOWN.contains(&name) && name != "code" => Yes,
            _ => Unknown,
        });
    }
    answer
}

fn each(value: &Value, answer: impl Fn(&Value) -> Answer) -> Vec<Answer> {
    match value.as_array() {
        Some(list) if !list.is_empty() => list.iter().map(answer).collect(),
        _ => vec![Unknown],
    }
}

fn role(actor: &Value) -> &str {
    actor["role"]["coding"][0]["code"].as_str().unwrap_or_default()
}

fn recipient(actor: &Value, point: &Point) -> Answer {
    let reference = actor["reference"]["reference"].as_str().unwrap_or_default();
    match (role(actor), reference) {
        ("IRCP" | "PRCP", "Organization/uni") => yes_if(point.organisation == "University"),
        ("IRCP" | "PRCP", "Organization/firm") => yes_if(point.organisation == "Company"),
        ("CST", "Organization/here") => No,
        _ => Unknown,
    }
}

/// What a permit says of its actors, apart from which recipients it has: somebody unknown is nobody here.
fn no_unknown(value: &Value, point: &Point) -> Answer {
    let answers = each(value, |actor| recipient(actor, point));
    let only_custodians = value.as_array().is_some_and(|list| list.iter().all(|actor| role(actor) == "CST"));
    if answers.contains(&Unknown) { Unknown } else { yes_if(only_custodians || answers.contains(&Yes)) }
}

fn action(value: &Value, point: &Point) -> Answer {
    let is_care = matches!(point.purpose, Purpose::Care | Purpose::EmergencyCare);
    let answers = each(value, |concept| match (concept["coding"][0]["code"].as_str(), point.action) {
        (Some("access"), Action::Aggregate)
        | (Some("use"), Action::Aggregate)
        | (Some("disclose"), Action::Retrieve) => Yes,
        (Some("access"), Action::Retrieve) => yes_if(is_care),
        (Some("access" | "use" | "disclose" | "collect" | "correct"), _) => No,
        _ => Unknown,
    });
    if answers.contains(&Unknown) { Unknown } else { answers.into_iter().fold(No, Answer::max) }
}

fn purposes(value: &Value, point: &Point, join: fn(Answer, Answer) -> Answer, start: Answer) -> Answer {
    each(value, |coding| purpose(coding, point)).into_iter().fold(start, join)
}

fn purpose(coding: &Value, point: &Point) -> Answer {
    let asked = &point.purpose;
    let care = matches!(asked, Purpose::Care | Purpose::EmergencyCare);
    match coding["code"].as_str().unwrap_or_default() {
        "TREAT" => yes_if(care),
        "ETREAT" => yes_if(*asked == Purpose::EmergencyCare),
        "HRESCH" | "DUO:0000006" => yes_if(matches!(asked, Purpose::HealthResearch | Purpose::DiseaseResearch(_))),
        "DUO:0000042" | "DUO:0000004" => yes_if(!care),
        "DUO:0000011" => yes_if(*asked == Purpose::Ancestry),
        "DUO:0000043" => yes_if(*asked == Purpose::Care),
        "DUO:0000007" => match coding["extension"][0]["valueString"].as_str() {
            Some(code) => yes_if(matches!(asked, Purpose::DiseaseResearch(disease) if disease.code() == code)),
            None => Unknown,
        },
        // The requester is commercial in nothing.
        _ if is_modifier(coding) => Yes,
        "HPAYMT" | "HOPERAT" | "HMARKT" => No,
        _ => Unknown,
    }
}

fn is_modifier(coding: &Value) -> bool {
    matches!(coding["code"].as_str(), Some("DUO:0000045" | "DUO:0000046" | "DUO:0000018"))
}

fn level(code: &str) -> Option<usize> {
    "ULMNRV".find(code).filter(|_| code.len() == 1)
}

/// Whether data of a label are among those that a label of FHIR means. What is sensitive is restricted.
fn label_covers(label: &Value, of: Label) -> Answer {
    let code = label["code"].as_str().unwrap_or_default();
    match (code, of) {
        ("ETH", _) => yes_if(of == Label::SubstanceUse),
        ("PSY", _) => yes_if(of == Label::MentalHealth),
        ("SDV", _) => yes_if(of == Label::Violence),
        ("HIV", _) => yes_if(of == Label::Hiv),
        (code, of) => match level(code) {
            Some(highest) => yes_if(if of == Label::Normal { 3 } else { 4 } <= highest),
            None => Unknown,
        },
    }
}

/// The resources of which a domain consists, before the bar, and those that it has something of.
fn resources(domain: Domain) -> &'static str {
    match domain {
        Domain::Person => "Patient|",
        Domain::Condition => "Condition|AllergyIntolerance",
        Domain::Drug => {
            "MedicationRequest MedicationStatement MedicationAdministration MedicationDispense|Immunization"
        }
        Domain::Measurement => "Observation|DiagnosticReport",
        Domain::Observation => {
            "Observation|AllergyIntolerance FamilyMemberHistory QuestionnaireResponse DiagnosticReport"
        }
        Domain::Procedure => "Procedure|",
        Domain::Visit => "Encounter|EpisodeOfCare",
        Domain::Device => "Device DeviceUseStatement DeviceUsage|",
        Domain::Death => "|Patient",
        Domain::Specimen => "Specimen|",
        Domain::Imaging => "ImagingStudy|Media DiagnosticReport",
        Domain::Document => "DocumentReference Composition|DiagnosticReport",
        Domain::Billing => "Coverage Claim ExplanationOfBenefit|ClaimResponse",
        Domain::Genomics => "MolecularSequence|DiagnosticReport",
    }
}

fn is_resource(class: &Value) -> bool {
    class["system"].as_str().is_some_and(|system| system.starts_with("http://hl7.org/fhir/"))
        && class["code"].as_str().is_some_and(|code| {
            let known = |domain: &Domain| resources(*domain).split([' ', '|']).any(|name| name == code);
            Domain::ALL.iter().any(known)
        })
}

fn permitted_class(class: &Value, domain: Domain) -> Answer {
    let code = class["code"].as_str().unwrap_or_default();
    let (whole, parts) = resources(domain).split_once('|').unwrap();
    match () {
        () if !is_resource(class) => Unknown,
        () if whole.split(' ').any(|name| name == code) => Yes,
        () if parts.split(' ').any(|name| name == code) => Unknown,
        () => No,
    }
}

fn denied_class(class: &Value, domain: Domain) -> Answer {
    let code = class["code"].as_str().unwrap_or_default();
    match is_resource(class) {
        true => yes_if(resources(domain).split([' ', '|']).any(|name| name == code)),
        // A type of documents.
        false if class["system"] == "http://loinc.org" => yes_if(domain == Domain::Document),
        false => Unknown,
    }
}

/// Seconds since 1970 at which a text of FHIR begins, and at which it has ended.
fn span(text: &str) -> Option<(i64, i64)> {
    let day = |text: &str| text.parse::<consilium_protocol::ids::Date>().ok().map(|day| i64::from(day.days()) * 86_400);
    match text.len() {
        4 => Some((day(&format!("{text}-01-01"))?, day(&format!("{text}-12-31"))? + 86_400)),
        7 => {
            let last = (28..=31).filter_map(|last| day(&format!("{text}-{last}"))).max()?;
            Some((day(&format!("{text}-01"))?, last + 86_400))
        }
        10 => Some((day(text)?, day(text)? + 86_400)),
        20 | 25 => {
            let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
            let clock = number(11..13)? * 3_600 + number(14..16)? * 60 + number(17..19)?;
            let zone = match text.get(19..20)? {
                "Z" => 0,
                sign => {
                    let ahead = number(20..22)? * 3_600 + number(23..25)? * 60;
                    if sign == "-" { -ahead } else { ahead }
                }
            };
            let first = day(text.get(..10)?)? + clock - zone;
            Some((first, first + 1))
        }
        _ => None,
    }
}

/// The seconds of a period, or nothing where it is none.
fn period(value: &Value) -> Option<(i64, i64)> {
    let parts = value.as_object()?;
    if parts.is_empty() || parts.keys().any(|key| key != "start" && key != "end") {
        return None;
    }
    let end = |name: &str| parts.get(name).map(|text| span(text.as_str().unwrap_or_default()));
    let (from, to) = (
        end("start").map_or(Some(i64::MIN), |s| s.map(|s| s.0)),
        end("end").map_or(Some(i64::MAX), |s| s.map(|s| s.1)),
    );
    let (from, to) = (from?, to?);
    (from < to).then_some((from, to))
}

fn known_period(value: &Value) -> Answer {
    if period(value).is_some() { Yes } else { Unknown }
}

fn unless_known(value: &Value) -> Answer {
    if period(value).is_some() { No } else { Unknown }
}

fn seconds(day: consilium_protocol::ids::Date) -> (i64, i64) {
    let first = i64::from(day.days()) * 86_400;
    (first, first + 86_400)
}

/// Whether all of a day is in a period.
fn inside(value: &Value, day: consilium_protocol::ids::Date) -> Answer {
    let Some((from, to)) = period(value) else { return Unknown };
    let (first, after) = seconds(day);
    yes_if(from <= first && after <= to)
}

/// Whether any of a day is in a period.
fn touched(value: &Value, day: consilium_protocol::ids::Date) -> Answer {
    let Some((from, to)) = period(value) else { return Unknown };
    let (first, after) = seconds(day);
    yes_if(from < after && first < to)
}
