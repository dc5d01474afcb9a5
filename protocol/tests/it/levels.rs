//! Forms of records, laws that recipients stand under, and how sensitive data are.

use consilium_protocol::consent::{
    Action, Domain, Effect, Form, Jurisdiction, Label, Opened, Reason, Rule, Scope, Terms, Use, Window,
};

use crate::consent::world::Answer::{A, D};
use crate::consent::world::{answer, asked, day, decide, deny, permit, rule};

const RECORDS: [Form; 4] = [Form::SafeHarbour, Form::Pseudonymised, Form::Desensitised, Form::Identified];

#[test]
fn a_permit_lets_records_go_as_far_as_its_form_and_a_deny_stops_them_from_its_form_on() {
    let records = |effect, form| Rule { form, ..rule(effect, Action::Retrieve, &["GRU"]) };
    for form in Form::ALL {
        let of_records = Use { action: Action::Retrieve, form, ..asked(&["GRU"]) };
        let is_record = form != Form::Statistics;
        for own in RECORDS {
            let expected = if is_record && form <= own { A } else { D };
            assert_eq!(answer(&[records(Effect::Permit, Some(own))], &of_records), expected, "{own}, asked for {form}");
            let all = records(Effect::Permit, Some(Form::Identified));
            let expected = if is_record && form < own { A } else { D };
            let found = answer(&[all.clone(), records(Effect::Deny, Some(own))], &of_records);
            assert_eq!(found, expected, "no {own}, asked for {form}");
            assert_eq!(answer(&[all, records(Effect::Deny, None)], &of_records), D);
        }
        // A permit of records that names no form is none.
        assert_eq!(answer(&[records(Effect::Permit, None)], &of_records), D);
        // What is said of records says nothing of statistics.
        let of_statistics = asked(&["GRU"]);
        assert_eq!(answer(&[records(Effect::Permit, Some(form))], &of_statistics), D);
        assert_eq!(answer(&[permit(&["GRU"]), records(Effect::Deny, None)], &of_statistics), A);
    }
}

#[test]
fn a_permit_reaches_as_far_as_its_law_and_a_deny_from_its_law_on() {
    for law in Jurisdiction::ALL {
        let mut of_study = asked(&["GRU"]);
        of_study.by.establishment.jurisdiction = law;
        for own in Jurisdiction::ALL {
            let near = Rule { jurisdiction: Some(own), ..permit(&["GRU"]) };
            assert_eq!(answer(&[near], &of_study), if law <= own { A } else { D }, "{own}, asked from {law}");
            let far = Rule { jurisdiction: Some(own), ..deny(&["GRU"]) };
            let found = answer(&[permit(&["GRU"]), far], &of_study);
            assert_eq!(found, if law < own { A } else { D }, "not from {own} on, asked from {law}");
        }
        assert_eq!(answer(&[permit(&["GRU"])], &of_study), A);
        assert_eq!(answer(&[permit(&["GRU"]), deny(&["GRU"])], &of_study), D);
    }
}

#[test]
fn data_are_open_under_each_label_that_a_rule_names() {
    let of = |rule: Rule, labels: &[Label]| Rule { labels: Scope::Only(labels.to_vec()), ..rule };
    let everything = Some(Opened::everything());
    for label in Label::ALL {
        for other in Label::ALL {
            let decision = decide(&[Terms::opt_in(vec![of(permit(&["GRU"]), &[label])])], &asked(&["GRU"]));
            let open = decision.by_label[&other].of(Domain::Drug).cloned();
            assert_eq!(open, everything.clone().filter(|_| other == label), "{label}, of {other}");
            // Of what is not labelled nobody knows that it is not of another.
            assert!(decision.allowed.is_empty());
            assert_eq!(decision.why_not(), Some(Reason::Sensitivity));

            let documents = [Terms::opt_in(vec![permit(&["GRU"]), of(deny(&["GRU"]), &[label])])];
            let decision = decide(&documents, &asked(&["GRU"]));
            let open = decision.by_label[&other].of(Domain::Drug).cloned();
            assert_eq!(open, everything.clone().filter(|_| other != label), "not {label}, of {other}");
            assert!(decision.allowed.is_empty());
        }
    }
    let all = decide(&[Terms::opt_in(vec![of(permit(&["GRU"]), &Label::ALL)])], &asked(&["GRU"]));
    assert_eq!(all.allowed.of(Domain::Drug).cloned(), everything);
}

#[test]
fn who_cannot_be_understood_permits_nothing_and_denies_all() {
    let backwards = Window { from: Some(day(9)), to: Some(day(1)) };
    for (valid, window) in [(backwards, Window::UNBOUNDED), (Window::UNBOUNDED, backwards)] {
        let with = |rule: Rule| Rule { valid, window, ..rule };
        assert_eq!(answer(&[with(permit(&["GRU"]))], &asked(&["GRU"])), D);
        assert_eq!(answer(&[permit(&["GRU"]), with(deny(&["GRU"]))], &asked(&["GRU"])), D);
    }
}
