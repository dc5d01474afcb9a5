//! Shapes of documents and of data, in English.

use consilium_protocol::consent::{
    Action, Base, Disease, Domain, Effect, Form, Opened, Purpose, Recipient, Rule, Scope, Terms, Vocabulary, Window,
    Windows,
};
use consilium_protocol::ids::StudyId;

use super::{deny, permit, since, teller, terms, window};
use crate::words::Language;

const HEALTH: &str = "The patient may be counted in statistics over many people for health research, by anybody whom the \
                      hospitals have admitted; also where European data protection law does not hold; ";

fn words(base: Base, rules: Vec<Rule>) -> String {
    teller(Language::En).terms(&terms(base, rules))
}

#[test]
fn every_shape_of_a_document() {
    use Domain::{Condition, Drug, Person};
    let (yes, no) = (permit(&[Person, Condition], since()), deny(&[Drug], Window::UNBOUNDED));
    let opened = format!(
        "  - {HEALTH}with these data: diagnoses and times under observation from 1 September 2020 on; sex, age and origin \
         (HMB)."
    );
    let closed = "  - The patient must not be counted in statistics over many people for health research, by anybody; with \
                  these data: medicines (HMB).";
    let silence = "  - The patient may be counted in statistics over many people for any purpose, by anybody whom the \
                   hospitals have admitted; also where European data protection law does not hold; with all data.";
    let allows = "This consent allows only this:";
    let forbids =
        "It forbids this, whatever another consent allows, and also where it is only a part of what is asked for:";
    let nothing = "This consent allows nothing.";
    let cases: [(Base, Vec<Rule>, String); 6] = [
        (Base::Deny, vec![], nothing.to_string()),
        (Base::Permit, vec![], format!("{allows}\n{silence}")),
        (Base::Deny, vec![yes.clone()], format!("{allows}\n{opened}")),
        (Base::Permit, vec![no.clone()], format!("{allows}\n{silence}\n{forbids}\n{closed}")),
        (Base::Deny, vec![no.clone()], format!("{nothing}\n{forbids}\n{closed}")),
        // The order of rules means nothing, and is not kept.
        (Base::Deny, vec![no, yes], format!("{allows}\n{opened}\n{forbids}\n{closed}")),
    ];
    for (base, rules, expected) in cases {
        assert_eq!(words(base, rules.clone()), expected, "{base:?} {rules:?}");
    }
    // What opt-out does not open is told where a rule opens it.
    let mut records = Rule::new(Effect::Permit, Action::Retrieve, Scope::Only(vec![Purpose::Care]));
    records.form = Some(Form::Identified);
    assert_eq!(words(Base::Permit, vec![records]).matches("\n  - ").count(), 2);
}

/// What a rule is about, as the words say it.
fn data(rule: Rule) -> String {
    let text = words(Base::Deny, vec![rule]);
    let line = text.lines().last().expect("a line").trim_end_matches(" (HMB).").to_string();
    let (_, data) = line.rsplit_once("; with ").expect("data");
    data.trim_start_matches("these data: ").to_string()
}

#[test]
fn every_set_of_domains_with_every_kind_of_window() {
    use Domain::{Condition, Imaging, Measurement, Person, Visit};
    let windows = [
        (Window::UNBOUNDED, ""),
        (since(), " from 1 September 2020 on"),
        (window("", "2020-09-01"), " until 1 September 2020"),
        (window("2020-09-01", "2021-08-31"), " from 1 September 2020 to 31 August 2021"),
        (window("2020-09-01", "2020-09-01"), " on 1 September 2020"),
    ];
    let sets: [(&[Domain], &str); 6] = [
        (&[Condition], "diagnoses"),
        (&[Condition, Visit], "diagnoses and visits"),
        (&[Visit, Measurement, Condition, Visit], "diagnoses, measurements and visits"),
        (&[Person], "times under observation"),
        (&[Condition, Person], "diagnoses and times under observation"),
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
        // What is nearly all is told by what is missing.
        let most: Vec<Domain> = Domain::ALL.into_iter().filter(|domain| !matches!(domain, Imaging | Visit)).collect();
        let undated = if window == Window::UNBOUNDED { "" } else { "; sex, age and origin" };
        assert_eq!(data(permit(&most, window)), format!("all data{period}, except visits and images{undated}"));
    }
    assert_eq!(data(permit(&[], since())), "all data from 1 September 2020 on; sex, age and origin");
    assert_eq!(data(permit(&[], Window::UNBOUNDED)), "all data");
    assert_eq!(data(permit(&[], window("2020-01-02", "2020-01-01"))), "nothing");
}

#[test]
fn words_of_an_old_document_mean_what_there_was() {
    let rules = vec![Rule::new(Effect::Permit, Action::Aggregate, Scope::Any)];
    let old = Terms { vocabulary: Vocabulary::RESEARCH, ..Terms::opt_in(rules) };
    let text = teller(Language::En).terms(&old);
    let expected = "The patient may be counted in statistics over many people for any research other than on origins and ancestry, by anybody whom the hospitals \
                    have admitted; only if a researcher asks; only where European data protection law holds; with these \
                    data: all data, except images, medical reports, billing data and genetic data.";
    assert!(text.ends_with(expected), "{text}");
    // A deny of anything is of whatever came later, too.
    let rules = vec![Rule::new(Effect::Deny, Action::Aggregate, Scope::Any)];
    let old = Terms { vocabulary: Vocabulary::RESEARCH, ..Terms::opt_in(rules) };
    let text = teller(Language::En).terms(&old);
    assert!(text.ends_with("over many people for any purpose, by anybody; with all data."), "{text}");
}

#[test]
fn every_part_of_a_use() {
    let said = |change: &dyn Fn(&mut Rule)| {
        let mut rule = permit(&[], Window::UNBOUNDED);
        change(&mut rule);
        teller(Language::En).rule(&rule, Vocabulary::CURRENT)
    };
    assert_eq!(said(&|_| ()), format!("{HEALTH}with all data (HMB)."));
    let valid = [
        (window("", "2031-12-31"), "valid until 31 December 2031"),
        (window("2026-01-01", ""), "valid from 1 January 2026 on"),
        (window("2026-01-01", "2031-12-31"), "valid from 1 January 2026 to 31 December 2031"),
    ];
    for (valid, expected) in valid {
        assert_eq!(said(&|rule| rule.valid = valid), format!("{HEALTH}{expected}; with all data (HMB)."));
    }
    let research = |code| Purpose::DiseaseResearch(Disease::new(code).expect("a code"));
    let text = said(&|rule| {
        rule.purposes = Scope::Only(vec![research("MONDO:0005148"), research("X:1"), Purpose::GeneralResearch]);
        rule.recipients = Scope::Only(vec![
            Recipient::Organisation("University".to_string()),
            Recipient::Study(StudyId::from_bytes([7; 32])),
        ]);
    });
    let expected = format!(
        "for research on the disease “type 2 diabetes mellitus” and its kinds, research on the disease with the code X:1 or \
         any research, by the organisation “University” or the study {};",
        StudyId::from_bytes([7; 32]).short()
    );
    assert!(text.contains(&expected), "{text}");
    assert!(text.ends_with("with all data (DS-MONDO:0005148, DS-X:1, GRU)."), "{text}");
    // Emergencies come with a permit only where it names them.
    let care = |effect, purposes: &[Purpose]| {
        let text = said(&|rule| (rule.effect, rule.purposes) = (effect, Scope::Only(purposes.to_vec())));
        text.split(" for ").nth(1).and_then(|rest| rest.split(", by").next()).unwrap_or_default().to_string()
    };
    let (routine, emergency) = (Purpose::Care, Purpose::EmergencyCare);
    assert_eq!(care(Effect::Permit, std::slice::from_ref(&routine)), "treatment other than in an emergency");
    assert_eq!(care(Effect::Permit, std::slice::from_ref(&emergency)), "treatment in an emergency");
    assert_eq!(care(Effect::Permit, &[emergency.clone(), routine.clone()]), "treatment including emergencies");
    assert_eq!(care(Effect::Deny, &[routine]), "treatment including emergencies");
    assert_eq!(care(Effect::Deny, &[emergency]), "treatment in an emergency");
}

#[test]
fn what_several_documents_open_is_told_by_its_days() {
    let days = |windows: &[Window]| {
        let mut days = Windows::none();
        windows.iter().for_each(|window| days.add(window));
        days
    };
    let opened = |undated, windows: &[Window]| Opened { undated, days: days(windows) };
    let parts = |parts: &[(Domain, Opened)]| Language::En.data(&parts.iter().cloned().collect());
    let until = window("", "2015-12-31");
    let some = opened(true, &[until, since()]);
    assert_eq!(
        parts(&[
            (Domain::Measurement, some.clone()),
            (Domain::Drug, opened(true, &[since()])),
            (Domain::Visit, some),
            (Domain::Person, opened(true, &[])),
        ]),
        "medicines from 1 September 2020 on; measurements and visits until 31 December 2015 and from 1 September 2020 on; \
         sex, age and origin"
    );
    assert_eq!(parts(&[(Domain::Condition, opened(true, &[]))]), "diagnoses without a date");
    let observed = parts(&[(Domain::Person, opened(false, &[since()]))]);
    assert_eq!(observed, "times under observation from 1 September 2020 on");
    assert_eq!(parts(&[]), "nothing");
}
