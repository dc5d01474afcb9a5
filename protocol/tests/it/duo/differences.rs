//! Where the answer is another than that of DUOS, version 4, and where the table is silent.

use consilium_protocol::consent::{
    Action, Base, Condition, Effect, Modifier, ModifierKind, Purpose, Reason, Rule, Scope, Terms, Trait, Vocabulary,
};

use crate::consent::world::Answer::{A, C, D};
use crate::consent::world::{
    answer, answer_of, asked, asked_by_hospital, country, day, decide, declaring, deny, permit, promising, rule,
};

fn with(granted: &[&str], modifiers: &[Modifier]) -> Rule {
    Rule { modifiers: modifiers.to_vec(), ..permit(granted) }
}

#[test]
fn no_permission_is_a_no() {
    for purpose in ["GRU", "HMB", "DS-M:11", "POA", "CC", "ETREAT"] {
        assert_eq!(answer(&[permit(&[])], &asked(&[purpose])), D);
        assert_eq!(answer(&[with(&[], &[Modifier::NonProfitOrganisation])], &asked(&[purpose])), D);
        assert_eq!(answer(&[deny(&["NRES"])], &asked(&[purpose])), D);
        assert_eq!(answer_of(&[], &asked(&[purpose])), D);
    }
}

#[test]
fn a_no_comes_before_what_a_person_decides() {
    // Where DUOS abstains: the ethics committee, a sensitive trait, controls.
    let sensitive = declaring(promising(asked(&["HMB"])), &[Trait::ControlSet, Trait::Paediatric, Trait::Commercial]);
    let asks = with(&["HMB"], &[Modifier::Ethics, Modifier::Specific("sleep".to_string())]);
    assert_eq!(answer(std::slice::from_ref(&asks), &sensitive), C);
    for position in 0..3 {
        let mut refused = asks.clone();
        refused.modifiers.insert(position, Modifier::NonCommercialUse);
        assert_eq!(answer(std::slice::from_ref(&refused), &sensitive), D);
        let decision = decide(&[Terms::opt_in(vec![refused])], &sensitive);
        assert_eq!(decision.why_not(), Some(Reason::Modifier(ModifierKind::NonCommercialUse)));
        assert!(decision.conditions.is_empty(), "nobody is asked to tick what opens nothing");
    }
    assert_eq!(answer(&[asks.clone(), deny(&["DS-M:2"])], &sensitive), D);
    assert_eq!(answer(&[asks], &declaring(sensitive.clone(), &[Trait::Ancestry])), D);
}

#[test]
fn ancestry_opens_no_methods() {
    for purposes in [&["GRU"][..], &["HMB"], &["DS-M:11"]] {
        assert_eq!(answer(&[permit(&["POA"])], &declaring(asked(purposes), &[Trait::MethodsOnly])), D);
    }
    let both = [Trait::MethodsOnly, Trait::Ancestry];
    assert_eq!(answer(&[permit(&["POA"])], &declaring(asked(&["HMB"]), &both)), A);
    // Methods for health do not become methods for ancestry by asking for ancestry as well.
    assert_eq!(answer(&[permit(&["POA"])], &declaring(asked(&["HMB", "POA"]), &[Trait::MethodsOnly])), D);
}

#[test]
fn methods_only_is_decided_here() {
    let methods = |purposes| declaring(asked(purposes), &[Trait::MethodsOnly]);
    let no = [Modifier::NoMethodsOnly];
    for granted in [&["NRES"][..], &["GRU"], &["HMB"], &["DS-M:11"], &["HMB", "DS-M:12"]] {
        let expected = if granted == ["DS-M:11"] || granted == ["HMB", "DS-M:12"] { A } else { D };
        assert_eq!(answer(&[permit(granted)], &methods(&["DS-M:111"])), A, "{granted:?}");
        assert_eq!(answer(&[with(granted, &no)], &methods(&["DS-M:111"])), expected, "{granted:?}");
        assert_eq!(answer(&[with(granted, &no)], &asked(&["DS-M:111"])), A, "{granted:?}");
    }
    // A disease beside another purpose makes methods for that purpose none for the disease.
    assert_eq!(answer(&[with(&["HMB", "DS-M:11"], &no)], &methods(&["HMB", "DS-M:11"])), D);
    assert_eq!(answer(&[permit(&["DS-M:11"])], &methods(&["HMB", "DS-M:11"])), D);
    assert_eq!(answer(&[permit(&["DS-M:11"])], &methods(&["DS-M:11", "DS-M:2"])), D);
    // Nor does the name of a disease open another permission of the permit.
    let ancestry = declaring(asked(&["DS-M:11"]), &[Trait::MethodsOnly, Trait::Ancestry]);
    assert_eq!(answer(&[permit(&["POA", "DS-M:11"])], &ancestry), A);
    assert_eq!(answer(&[with(&["POA", "DS-M:11"], &no)], &ancestry), D);
    // What everything is granted for, no disease is granted for by name.
    let any = Rule { purposes: Scope::Any, ..with(&[], &no) };
    assert_eq!(answer(std::slice::from_ref(&any), &methods(&["DS-M:11"])), D);
    let decision = decide(&[Terms::opt_in(vec![any])], &methods(&["DS-M:11"]));
    assert_eq!(decision.why_not(), Some(Reason::Modifier(ModifierKind::NoMethodsOnly)));
}

#[test]
fn ancestry_is_decided_here() {
    let no = [Modifier::NoAncestry];
    for granted in ["NRES", "GRU", "POA"] {
        assert_eq!(answer(&[permit(&[granted])], &asked(&["POA"])), A);
        assert_eq!(answer(&[with(&[granted], &no)], &asked(&["POA"])), D);
    }
    assert_eq!(answer(&[with(&["GRU"], &no)], &declaring(asked(&["GRU"]), &[Trait::Ancestry])), D);
    assert_eq!(answer(&[with(&["GRU"], &no)], &asked(&["GRU"])), A);
}

#[test]
fn places_are_decided_here() {
    let in_places =
        |places: &[&str]| with(&["GRU"], &[Modifier::Places(places.iter().map(|at| country(at)).collect())]);
    assert_eq!(answer(&[in_places(&["FR", "DE"])], &asked(&["GRU"])), A);
    assert_eq!(answer(&[in_places(&["FR"])], &asked(&["GRU"])), D);
    assert_eq!(answer(&[in_places(&[])], &asked(&["GRU"])), D);
}

#[test]
fn ethics_is_decided_here() {
    let approved = with(&["GRU"], &[Modifier::Ethics]);
    assert_eq!(answer(std::slice::from_ref(&approved), &asked(&["GRU"])), D);
    let of_study = promising(asked(&["GRU"]));
    assert_eq!(answer(std::slice::from_ref(&approved), &of_study), C);
    assert_eq!(decide(&[Terms::opt_in(vec![approved])], &of_study).conditions, [Condition::Ethics].into());
}

#[test]
fn controls_for_another_purpose_are_none_for_a_disease() {
    // Each permit alone says: as controls, if somebody ticks it; or for this disease alone.
    let health = permit(&["HMB"]);
    let controls = declaring(asked(&["HMB", "DS-M:11"]), &[Trait::ControlSet]);
    assert_eq!(answer(&[health.clone(), permit(&["DS-M:11"])], &controls), C);
    assert_eq!(answer(&[permit(&["HMB", "DS-M:11"])], &controls), C);
    assert_eq!(answer(&[health, permit(&["DS-M:11"])], &declaring(asked(&["DS-M:11"]), &[Trait::ControlSet])), A);
}

#[test]
fn what_has_no_purpose_is_for_nothing() {
    for traits in [&[][..], &[Trait::MethodsOnly], &[Trait::Ancestry], &[Trait::ControlSet]] {
        let silence = Terms { base: Base::Permit, ..Terms::opt_in(vec![]) };
        assert_eq!(answer_of(&[silence], &declaring(asked(&[]), traits)), D);
        assert_eq!(answer(&[permit(&["NRES", "POA"])], &declaring(asked(&[]), traits)), D);
        // What is granted is not what may be asked for, whatever else is declared.
        assert_eq!(answer(&[permit(&["NRES", "POA"])], &declaring(asked(&["NRES"]), traits)), D);
    }
}

#[test]
fn research_without_a_study_has_declared_nothing() {
    let records = |modifiers: &[Modifier]| Rule {
        modifiers: modifiers.to_vec(),
        ..rule(Effect::Permit, Action::Retrieve, &["GRU", "CC"])
    };
    let of_studies = [
        Modifier::NonCommercialUse,
        Modifier::NonProfitNonCommercial,
        Modifier::NoMethodsOnly,
        Modifier::NoAncestry,
        Modifier::GeneticOnly,
        Modifier::Ethics,
        Modifier::Publication,
        Modifier::Collaboration(vec!["Registry".to_string()]),
        Modifier::Return,
        Modifier::Moratorium(Some(day(9))),
        Modifier::Moratorium(None),
    ];
    let asks = declaring(promising(asked_by_hospital(&["HMB"])), &[Trait::Genetic]);
    assert_eq!(answer(&[records(&[])], &asks), A);
    for modifier in of_studies {
        assert_eq!(answer(&[records(std::slice::from_ref(&modifier))], &asks), D, "{modifier:?}");
        assert_eq!(answer(&[records(std::slice::from_ref(&modifier))], &asked_by_hospital(&["CC"])), A, "{modifier:?}");
        let both = asked_by_hospital(&["CC", "HMB"]);
        assert_eq!(answer(&[records(std::slice::from_ref(&modifier))], &both), D, "{modifier:?}");
    }
}

#[test]
fn old_documents_said_nothing_of_ancestry_but_by_the_name_of_general_research() {
    let old = |purposes: Scope<Purpose>, base| {
        let rules = if base == Base::Deny { vec![Rule { purposes, ..permit(&[]) }] } else { vec![] };
        Terms { vocabulary: Vocabulary::RESEARCH, base, ..Terms::opt_in(rules) }
    };
    for of_study in [asked(&["POA"]), declaring(asked(&["GRU"]), &[Trait::Ancestry])] {
        assert_eq!(answer_of(&[old(Scope::Any, Base::Deny)], &of_study), D);
        assert_eq!(answer_of(&[old(Scope::Any, Base::Permit)], &of_study), D);
        assert_eq!(answer_of(&[old(Scope::Only(vec![Purpose::GeneralResearch]), Base::Deny)], &of_study), A);
    }
}
