//! Kinds of consents that HL7, IHE and the Medical Informatics Initiative publish examples of, written anew, and what each
//! comes to.

use consilium_protocol::fhir::{Options, Outcome};
use serde_json::{Value, json};

use super::broad::{broad, permit as policy, statement};
use super::{action, actor, class, confidentiality, in_words, options, outcome, purpose, r4, r5, sensitivity};

fn untyped(policy: &str, provision: Value) -> Value {
    let mut consent = r4(provision);
    let system = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    consent["policyRule"] = json!({"coding": [{"system": system, "code": policy}]});
    consent
}

fn ihe(provision: Value) -> Value {
    let mut consent = r4(provision);
    let profile = "https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentBasic";
    consent["meta"] = json!({"profile": [profile]});
    consent["policy"] = json!([{"uri": "http://example.org/policies/basePrivacyConsentPolicy.txt"}]);
    consent
}

fn operations() -> Value {
    json!([purpose("TREAT"), purpose("HPAYMT"), purpose("HOPERAT")])
}

fn hl7() -> Vec<(&'static str, Value)> {
    let read = json!([action("access")]);
    let read_write = json!([action("access"), action("correct")]);
    let recipient = |of: &str| json!([actor("PRCP", of)]);
    let instance = json!([{"meaning": "instance", "reference": {"reference": "Task/example3"}}]);
    vec![
        ("opt-out, R5", r5("deny", &[])),
        (
            "opt-out, R4",
            r4(json!({"type": "deny", "actor": [actor("CST", "Organization/here")], "action": read_write})),
        ),
        ("opt-out by policy rule alone, R4", untyped("OPTOUT", json!({"period": {"end": "2030"}}))),
        (
            "opt-in by policy rule alone, R4",
            untyped("OPTIN", json!({"action": read, "actor": recipient("Organization/firm")})),
        ),
        ("opt-in, R5", r5("permit", &[])),
        ("treatment, payment and operations, R4", r4(json!({"type": "permit", "purpose": operations()}))),
        (
            "emergency, R4",
            r4(json!({"type": "deny", "purpose": [purpose("TREAT")], "provision": [
                {"type": "permit", "purpose": [purpose("ETREAT")]},
            ]})),
        ),
        ("emergency, R5", r5("deny", &[json!({"purpose": [purpose("ETREAT")]})])),
        (
            "not in an emergency, R4",
            r4(json!({"type": "permit", "purpose": [purpose("TREAT")], "provision": [
                {"type": "deny", "purpose": [purpose("ETREAT")]},
            ]})),
        ),
        ("not this, R5", r5("permit", &[json!({"action": read_write, "data": instance})])),
        ("not laboratory, R5", r5("permit", &[json!({"action": read_write, "resourceType": [class("Observation")]})])),
        ("not then, R5", r5("permit", &[json!({"dataPeriod": {"start": "2015-01-01", "end": "2015-02-01"}})])),
        (
            "not that organisation, R5",
            r5("permit", &[json!({"action": read_write, "actor": recipient("Organization/firm")})]),
        ),
        ("not them, R5", r5("permit", &[json!({"action": read_write, "actor": recipient("Practitioner/f204")})])),
        ("not the author, R5", r5("permit", &[json!({"actor": [actor("CST", "Organization/f001")]})])),
        ("not of this hospital, R5", r5("permit", &[json!({"actor": [actor("CST", "Organization/here")]})])),
        ("not that label, R5", r5("permit", &[json!({"action": read_write, "securityLabel": [sensitivity("HIV")]})])),
        ("grantor, R5", r5("deny", &[json!({"action": read, "actor": recipient("Patient/example")})])),
        (
            "organisation to organisation, R5",
            r5("deny", &[json!({"action": [action("disclose")], "actor": [actor("IRCP", "Organization/uni")]})]),
        ),
        (
            "pkb, R5",
            r5(
                "deny",
                &[
                    json!({"action": read, "actor": recipient("Organization/uni"), "securityLabel": [confidentiality("N")]}),
                    json!({"action": read, "actor": recipient("Organization/uni"), "securityLabel": [sensitivity("PSY")]}),
                    json!({"action": read, "actor": recipient("Organization/uni"), "securityLabel": [sensitivity("SOC")]}),
                ],
            ),
        ),
        (
            "smartonfhir, R4",
            r4(json!({
                "type": "deny",
                "period": {"start": "2016-06-23T17:02:33+10:00", "end": "2016-06-23T17:32:33+10:00"},
                "provision": [{"type": "permit", "action": read, "class": [class("MedicationRequest")]}],
            })),
        ),
        (
            "an exception of an exception, R5",
            r5("deny", &[json!({"provision": [{"resourceType": [class("Condition")]}]})]),
        ),
        ("R4 and R5 in one", {
            let mut consent = r5("deny", &[]);
            consent["dateTime"] = json!("2020");
            consent
        }),
    ]
}

fn privacy() -> Vec<(&'static str, Value)> {
    let permit = |name: &str, value: Value| {
        let mut root = json!({"type": "permit", "purpose": operations()});
        root[name] = value;
        ihe(root)
    };
    let authored = json!([{"meaning": "authoredby", "reference": {"reference": "Practitioner/1"}}]);
    vec![
        ("IHE: treatment", ihe(json!({"type": "permit", "purpose": operations()}))),
        ("IHE: dissent", ihe(json!({"type": "deny", "purpose": operations()}))),
        ("IHE: research", ihe(json!({"type": "permit", "purpose": [purpose("HRESCH")]}))),
        ("IHE: expired", permit("period", json!({"end": "2022-12-31"}))),
        ("IHE: within a time", permit("dataPeriod", json!({"start": "2022-01-01", "end": "2022-12-31"}))),
        (
            "IHE: not within a time",
            permit("provision", json!([{"type": "deny", "dataPeriod": {"start": "2022-01-01", "end": "2022-12-31"}}])),
        ),
        ("IHE: to a recipient", permit("actor", json!([actor("IRCP", "Organization/uni")]))),
        ("IHE: by an author", permit("data", authored.clone())),
        ("IHE: not by an author", permit("provision", json!([{"type": "deny", "data": authored}]))),
        ("IHE: up to normal", permit("securityLabel", json!([confidentiality("N")]))),
        ("IHE: up to restricted", permit("securityLabel", json!([confidentiality("R")]))),
        (
            "IHE: not opioids",
            permit("provision", json!([{"type": "deny", "securityLabel": [sensitivity("OPIOIDUD")]}])),
        ),
    ]
}

fn initiative() -> Vec<(&'static str, Value)> {
    let (five, thirty) = (("2020-09-01", "2025-08-31"), ("2020-09-01", "2050-08-31"));
    let standard = || vec![policy(6, five), policy(7, thirty), policy(8, thirty), policy(9, thirty)];
    let and = |more: Vec<Value>| broad([standard(), more].concat());
    let revoked = |number| statement("deny", number, ("2022-01-31T23:00:00+01:00", "3000-01-01T00:00:00+01:00"));
    let mut with_data = policy(6, five);
    with_data["dataPeriod"] = json!({"start": "2018-01-01", "end": "2023-12-31"});
    vec![
        ("MII: standard", and(vec![])),
        ("MII: with retrospective", and(vec![policy(45, thirty)])),
        ("MII: beyond the GDPR for ten years", and(vec![policy(49, ("2020-09-01", "2030-08-31"))])),
        (
            "MII: everything",
            and([20, 22, 12, 13, 28, 29, 31, 37, 45, 49, 55]
                .map(|n| policy(n, thirty))
                .into_iter()
                .chain([19, 15].map(|n| policy(n, five)))
                .collect()),
        ),
        ("MII: with dataPeriod", broad(vec![with_data, policy(8, thirty)])),
        ("MII: use without collection", broad(vec![policy(8, thirty)])),
        ("MII: no to retrospective", and(vec![statement("deny", 45, thirty)])),
        ("MII: a code of tomorrow", and(vec![policy(125, thirty)])),
        ("MII: no to a code of tomorrow", and(vec![statement("deny", 125, thirty)])),
        ("MII: no to a project", and(vec![statement("deny", 114, thirty)])),
        ("MII: revocation of use", broad(vec![revoked(8)])),
        (
            "MII: revocation",
            broad(
                [2, 12, 22, 13, 23, 31, 17, 20, 11, 38, 6, 16, 8, 27, 29, 5, 21, 3, 7, 19, 37, 39, 25, 28, 4, 9, 15]
                    .map(revoked)
                    .to_vec(),
            ),
        ),
    ]
}

/// What came of a consent, in lines.
fn told(consent: &Value, options: &Options<'_>) -> Vec<String> {
    let notes =
        |list: &[consilium_protocol::fhir::Finding]| list.iter().map(|f| format!("  ! {f}")).collect::<Vec<_>>();
    match outcome(consent, options) {
        Outcome::Accepted { terms, notices } => {
            assert_eq!(terms.check(), Ok(()));
            let rules = in_words(&terms).into_iter().map(|line| format!("  {line}"));
            rules.chain(notes(&notices)).collect()
        }
        Outcome::Refused { reasons } => std::iter::once("  refused".to_string()).chain(notes(&reasons)).collect(),
        other => vec![format!("  {other:?}")],
    }
}

#[test]
fn each_kind_comes_to_this() {
    let mut found = Vec::new();
    for (name, consent) in hl7().into_iter().chain(privacy()).chain(initiative()) {
        found.push(name.to_string());
        let own = told(&consent, &options());
        let wider = told(&consent, &Options { widen_denies: true, ..options() });
        found.extend(own.iter().cloned());
        if wider != own {
            found.push("  with wider denies:".to_string());
            found.extend(wider);
        }
    }
    let golden: Vec<&str> = include_str!("../golden/fhir.txt").lines().collect();
    assert_eq!(found, golden, "found:\n{}\n", found.join("\n"));
}
