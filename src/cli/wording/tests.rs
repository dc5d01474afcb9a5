use consilium_protocol::consent::{Disease, Diseases};
use consilium_protocol::ids::StudyId;

use super::*;
use crate::cli::layout;

fn window(from: &str, to: &str) -> Window {
    let date = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a date"));
    Window { from: date(from), to: date(to) }
}

fn since() -> Window {
    window("2020-09-01", "")
}

fn rule(effect: Effect, data: &[Domain], window: Window) -> Rule {
    let data = if data.is_empty() { Scope::Any } else { Scope::Only(data.to_vec()) };
    Rule { data, window, ..Rule::new(effect, Action::Aggregate, Scope::Only(vec![Purpose::HealthResearch])) }
}

fn permit(data: &[Domain], window: Window) -> Rule {
    rule(Effect::Permit, data, window)
}

fn deny(data: &[Domain], window: Window) -> Rule {
    rule(Effect::Deny, data, window)
}

fn terms(base: Base, rules: Vec<Rule>) -> Terms {
    Terms { base, ..Terms::opt_in(rules) }
}

fn diseases() -> DiseaseTree {
    let code = Disease::new("MONDO:0005148").expect("a code");
    DiseaseTree::new(&[Diseases { code, name: "type 2 diabetes".to_string(), parents: Vec::new() }])
}

fn words(base: Base, rules: Vec<Rule>) -> String {
    terms_in_words(&terms(base, rules), &diseases())
}

const HEALTH: &str = "counting in statistics for health research (HMB), by anybody";

#[test]
fn every_shape_of_a_document() {
    use Domain::{Condition, Drug, Person};
    let (yes, no) = (permit(&[Person, Condition], since()), deny(&[Drug], Window::UNBOUNDED));
    let opened = "conditions and times under observation from 2020-09-01 on; sex, age and origin";
    let cases: [(Base, Vec<Rule>, String); 7] = [
        (Base::Deny, vec![], "allows nothing".to_string()),
        (Base::Permit, vec![], "allows everything".to_string()),
        (Base::Deny, vec![yes.clone()], format!("allows only:\n  {HEALTH}:\n    {opened}")),
        (Base::Permit, vec![no.clone()], format!("allows everything but:\n  {HEALTH}:\n    drugs")),
        (
            Base::Deny,
            vec![no.clone()],
            format!("allows nothing, and forbids, whatever else allows it:\n  {HEALTH}:\n    drugs"),
        ),
        // The order of rules means nothing, and is not kept.
        (
            Base::Deny,
            vec![no.clone(), yes.clone()],
            format!(
                "allows only:\n  {HEALTH}:\n    {opened}\nand forbids, whatever else allows it:\n  {HEALTH}:\n    drugs"
            ),
        ),
        // No document can say so; everything is permitted all the same.
        (Base::Permit, vec![yes], "allows everything".to_string()),
    ];
    for (base, rules, expected) in cases {
        assert_eq!(words(base, rules.clone()), expected, "{base:?} {rules:?}");
    }
}

/// What a rule is about, as the words say it.
fn data(rule: Rule) -> String {
    let text = words(Base::Deny, vec![rule]);
    text.lines().last().expect("a line").trim_start().to_string()
}

#[test]
fn every_set_of_domains_with_every_kind_of_window() {
    use Domain::{Condition, Measurement, Person, Visit};
    let windows = [
        (Window::UNBOUNDED, ""),
        (since(), " from 2020-09-01 on"),
        (window("", "2020-09-01"), " until 2020-09-01"),
        (window("2020-09-01", "2021-08-31"), " from 2020-09-01 to 2021-08-31"),
        (window("2020-09-01", "2020-09-01"), " on 2020-09-01"),
    ];
    let sets: [(&[Domain], &str); 6] = [
        (&[Condition], "conditions"),
        (&[Condition, Visit], "conditions and visits"),
        (&[Visit, Measurement, Condition, Visit], "conditions, measurements and visits"),
        (&[Person], "times under observation"),
        (&[Condition, Person], "conditions and times under observation"),
        (&Domain::ALL, "all data"),
    ];
    for (window, period) in windows {
        for (domains, nouns) in sets {
            let person = domains.contains(&Person);
            let all = domains.len() == Domain::ALL.len() && window == Window::UNBOUNDED;
            let undated = if person && !all { "; sex, age and origin" } else { "" };
            assert_eq!(data(permit(domains, window)), format!("{nouns}{period}{undated}"));
            // A deny with a period leaves what has no date alone.
            let undated = if window == Window::UNBOUNDED { undated } else { "" };
            assert_eq!(data(deny(domains, window)), format!("{nouns}{period}{undated}"));
        }
    }
    assert_eq!(data(permit(&[], since())), "all data from 2020-09-01 on; sex, age and origin");
    assert_eq!(data(permit(&[], Window::UNBOUNDED)), "all data");
    assert_eq!(data(permit(&[], window("2020-01-02", "2020-01-01"))), "nothing");
}

#[test]
fn every_part_of_a_use() {
    let said = |change: &dyn Fn(&mut Rule)| {
        let mut rule = permit(&[], Window::UNBOUNDED);
        change(&mut rule);
        words(Base::Deny, vec![rule]).lines().nth(1).expect("a line").trim().to_string()
    };
    assert_eq!(said(&|_| ()), format!("{HEALTH}:"));
    let valid = [
        (window("", "2031-12-31"), "until 2031-12-31"),
        (window("2026-01-01", ""), "from 2026-01-01 on"),
        (window("2026-01-01", "2031-12-31"), "from 2026-01-01 to 2031-12-31"),
    ];
    for (valid, expected) in valid {
        assert_eq!(said(&|rule| rule.valid = valid), format!("{HEALTH}, {expected}:"));
    }
    assert!(said(&|rule| rule.action = Action::Retrieve).starts_with("handing over records for health"));
    assert!(said(&|rule| rule.action = Action::Recontact).starts_with("getting in touch again for health"));
    let research = |code| Purpose::DiseaseResearch(Disease::new(code).expect("a code"));
    assert_eq!(
        said(&|rule| {
            rule.purposes = Scope::Only(vec![research("MONDO:0005148"), research("MONDO:1"), Purpose::GeneralResearch]);
            rule.recipients = Scope::Only(vec![
                Recipient::Organisation("University".to_string()),
                Recipient::Study(StudyId::from_bytes([7; 32])),
            ]);
        }),
        format!(
            "counting in statistics for research on type 2 diabetes (MONDO:0005148), research on MONDO:1 or any research \
             (GRU), by University or study {}:",
            StudyId::from_bytes([7; 32]).short()
        )
    );
    assert!(said(&|rule| rule.purposes = Scope::Any).contains("for any purpose, by anybody"));
}

#[test]
fn what_several_documents_open_is_told_by_its_days() {
    let days = |windows: &[Window]| {
        let mut days = Windows::none();
        windows.iter().for_each(|window| days.add(window));
        days
    };
    let opened = |undated, windows: &[Window]| Opened { undated, days: days(windows) };
    let parts = |parts: &[(Domain, Opened)]| data_in_words(&parts.iter().cloned().collect());
    let until = window("", "2015-12-31");
    let some = opened(true, &[until, since()]);
    assert_eq!(
        parts(&[
            (Domain::Measurement, some.clone()),
            (Domain::Drug, opened(true, &[since()])),
            (Domain::Visit, some),
            (Domain::Person, opened(true, &[])),
        ]),
        "drugs from 2020-09-01 on; measurements and visits until 2015-12-31 and from 2020-09-01 on; sex, age and origin"
    );
    assert_eq!(parts(&[(Domain::Condition, opened(true, &[]))]), "conditions without a date");
    assert_eq!(parts(&[(Domain::Person, opened(false, &[since()]))]), "times under observation from 2020-09-01 on");
    assert_eq!(parts(&[]), "nothing");
}

#[test]
fn who_opens_no_person_is_told_what_that_means() {
    use Domain::{Condition, Person};
    let about_person = |documents: &[Terms]| {
        let documents: Vec<&Terms> = documents.iter().collect();
        notes(&documents).iter().any(|note| note.contains("hardly ever"))
    };
    let opt_in = |rules| terms(Base::Deny, rules);
    let conditions = opt_in(vec![permit(&[Condition], Window::UNBOUNDED)]);
    assert!(about_person(std::slice::from_ref(&conditions)));
    // Another document opens it, with a window too; or everything is open; or nothing is.
    for other in [permit(&[Person], since()), permit(&[], since())] {
        assert!(!about_person(&[conditions.clone(), opt_in(vec![other])]));
    }
    assert!(!about_person(&[terms(Base::Permit, vec![])]));
    assert!(!about_person(&[opt_in(vec![])]) && !about_person(&[]));
    let mut records = permit(&[Condition], Window::UNBOUNDED);
    records.action = Action::Retrieve;
    assert!(!about_person(&[opt_in(vec![records.clone()])]));
    // A rule on records opens no person to statistics; a deny closes it, unless it is about some days or some studies.
    records.data = Scope::Only(vec![Person]);
    assert!(about_person(&[conditions, opt_in(vec![records])]));
    let mut no = Rule::new(Effect::Deny, Action::Aggregate, Scope::Any);
    no.data = Scope::Only(vec![Person]);
    let everything = opt_in(vec![permit(&[], Window::UNBOUNDED)]);
    assert!(about_person(&[everything.clone(), opt_in(vec![no.clone()])]));
    assert!(about_person(&[terms(Base::Permit, vec![no.clone()])]));
    let some_days = Rule { window: since(), ..no.clone() };
    assert!(!about_person(&[everything.clone(), opt_in(vec![some_days])]));
    let some_studies = Rule { recipients: Scope::Only(vec![Recipient::Organisation("X".to_string())]), ..no };
    assert!(!about_person(&[everything, opt_in(vec![some_studies])]));
}

#[test]
fn periods_are_explained_where_there_are_some() {
    let of = |rule| notes(&[&terms(Base::Deny, vec![rule])]).iter().any(|note| note.starts_with("A period"));
    assert!(of(permit(&[], since())) && of(deny(&[], since())));
    assert!(!of(permit(&[], Window::UNBOUNDED)));
}

#[test]
fn a_document_fits_a_terminal() {
    let mut rule = permit(&[Domain::Person, Domain::Condition, Domain::Measurement], since());
    rule.valid = window("", "2031-12-31");
    let text = layout::text(&words(Base::Deny, vec![rule]), 80);
    let expected = "\
allows only:
  counting in statistics for health research (HMB), by anybody, until
    2031-12-31:
    conditions, measurements and times under observation from 2020-09-01 on;
      sex, age and origin";
    assert_eq!(text, expected);
}
