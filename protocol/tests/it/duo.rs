//! The matching tables of GA4GH DUO, cell by cell.

mod differences;
mod modifiers;

use Trait::{Ancestry, ControlSet, MethodsOnly};
use consilium_protocol::consent::{
    Action, Base, Condition, Domain, Effect, Rule, Scope, Terms, Trait, Use, Vocabulary, Window,
};

use crate::consent::world::Answer::{self, A, C, D};
use crate::consent::world::{answer, answer_of, asked, asked_by_hospital, day, decide, declaring, permit, rule};

/// Uses, by what they are for and what they declare. The disease that is granted is `M:11`: `M:111` is a kind of it, it is a
/// kind of `M:1`, `M:12` stands beside it, `M:2` is another, `X:9` is in no vocabulary.
const USES: [(&[&str], &[Trait]); 32] = [
    (&["GRU"], &[]),
    (&["HMB"], &[]),
    (&["DS-M:111"], &[]),
    (&["DS-M:11"], &[]),
    (&["DS-M:1"], &[]),
    (&["DS-M:12"], &[]),
    (&["DS-M:2"], &[]),
    (&["DS-X:9"], &[]),
    (&["DS-M:11", "DS-M:111"], &[]),
    (&["DS-M:111", "DS-M:2"], &[]),
    (&["POA"], &[]),
    (&["GRU"], &[Ancestry]),
    (&["HMB"], &[Ancestry]),
    (&["DS-M:111"], &[Ancestry]),
    (&["GRU"], &[MethodsOnly]),
    (&["HMB"], &[MethodsOnly]),
    (&["DS-M:111"], &[MethodsOnly]),
    (&["DS-M:1"], &[MethodsOnly]),
    (&["DS-M:111", "DS-M:2"], &[MethodsOnly]),
    (&["POA"], &[MethodsOnly]),
    (&["HMB"], &[MethodsOnly, Ancestry]),
    (&["DS-M:111"], &[MethodsOnly, Ancestry]),
    (&["GRU"], &[ControlSet]),
    (&["HMB"], &[ControlSet]),
    (&["DS-M:111"], &[ControlSet]),
    (&["DS-M:1"], &[ControlSet]),
    (&["DS-M:111", "DS-M:2"], &[ControlSet]),
    (&["POA"], &[ControlSet]),
    (&["CC"], &[]),
    (&["ETREAT"], &[]),
    (&["NRES"], &[]),
    (&[], &[]),
];

/// B1, a grant a line. The columns are [`USES`]: seven groups, for research, diseases, ancestry, methods, methods for ancestry,
/// controls, and what is no research.
#[rustfmt::skip]
const GRANTS: [(&[&str], [Answer; 32]); 10] = [
    (&["NRES"],     [A, A,   A, A, A, A, A, A, A, A,   A, A, A, A,   A, A, A, A, A,   A, A, A,   C, C, C, C, C, C,   D, D, D, D]),
    (&["GRU"],      [A, A,   A, A, A, A, A, A, A, A,   A, A, A, A,   A, A, A, A, A,   A, A, A,   C, C, C, C, C, C,   D, D, D, D]),
    (&["HMB"],      [D, A,   A, A, A, A, A, A, A, A,   D, D, D, D,   A, A, A, A, A,   D, D, D,   D, C, C, C, C, D,   D, D, D, D]),
    (&["DS-M:11"],  [D, D,   A, A, D, D, D, D, A, D,   D, D, D, D,   D, D, A, D, D,   D, D, D,   D, D, A, D, D, D,   D, D, D, D]),
    (&["DS-X:9"],   [D, D,   D, D, D, D, D, A, D, D,   D, D, D, D,   D, D, D, D, D,   D, D, D,   D, D, D, D, D, D,   D, D, D, D]),
    (&["POA"],      [D, D,   D, D, D, D, D, D, D, D,   A, D, D, D,   D, D, D, D, D,   A, A, A,   D, D, D, D, D, D,   D, D, D, D]),
    (&["CC"],       [D, D,   D, D, D, D, D, D, D, D,   D, D, D, D,   D, D, D, D, D,   D, D, D,   D, D, D, D, D, D,   A, D, D, D]),
    (&["ETREAT"],   [D, D,   D, D, D, D, D, D, D, D,   D, D, D, D,   D, D, D, D, D,   D, D, D,   D, D, D, D, D, D,   D, A, D, D]),
    // CC adds, and takes nothing away.
    (&["HMB", "CC"],[D, A,   A, A, A, A, A, A, A, A,   D, D, D, D,   A, A, A, A, A,   D, D, D,   D, C, C, C, C, D,   A, D, D, D]),
    (&[],           [D, D,   D, D, D, D, D, D, D, D,   D, D, D, D,   D, D, D, D, D,   D, D, D,   D, D, D, D, D, D,   D, D, D, D]),
];

#[test]
fn every_grant_answers_every_use_as_the_table_says() {
    for (granted, answers) in GRANTS {
        for ((purposes, traits), expected) in USES.into_iter().zip(answers) {
            let of_study = declaring(asked(purposes), traits);
            let found = answer(&[permit(granted)], &of_study);
            assert_eq!(found, expected, "{granted:?} asked for {purposes:?}, {traits:?}");
            // What a hospital asks for without a study, as records, is matched no differently.
            let of_hospital = declaring(asked_by_hospital(purposes), traits);
            let found = answer(&[rule(Effect::Permit, Action::Retrieve, granted)], &of_hospital);
            assert_eq!(found, expected, "records: {granted:?} asked for {purposes:?}, {traits:?}");
        }
    }
    // What no document says anything about, and what documents say nothing in.
    for (purposes, traits) in USES {
        assert_eq!(answer(&[], &declaring(asked(purposes), traits)), D);
        assert_eq!(answer_of(&[], &declaring(asked(purposes), traits)), D);
    }
}

#[test]
fn any_one_permission_of_a_permit_is_enough_and_the_one_that_asks_for_least_counts() {
    for (one, answers) in GRANTS {
        for (other, also) in GRANTS {
            let both: Vec<&str> = one.iter().chain(other).copied().collect();
            for (position, (purposes, traits)) in USES.into_iter().enumerate() {
                let of_study = declaring(asked(purposes), traits);
                let found = answer(&[permit(&both)], &of_study);
                // More than the better of the two only where one is for a part of what is asked, and the other for the rest.
                assert!(found >= answers[position].max(also[position]), "{both:?} asked for {purposes:?}, {traits:?}");
                assert_eq!(
                    found,
                    answer(&[permit(one), permit(other)], &of_study),
                    "{both:?}, {purposes:?}, {traits:?}"
                );
                if purposes.len() <= 1 && traits.is_empty() {
                    assert_eq!(found, answers[position].max(also[position]), "{both:?} asked for {purposes:?}");
                }
            }
        }
    }
}

#[test]
fn any_grants_what_there_was() {
    let any = |vocabulary| {
        let rule = Rule { purposes: Scope::Any, ..permit(&[]) };
        Terms { vocabulary, ..Terms::opt_in(vec![rule]) }
    };
    let of = |vocabulary, purposes: &[&str], traits: &[Trait]| {
        answer_of(&[any(vocabulary)], &declaring(asked(purposes), traits))
    };
    for (position, (purposes, traits)) in USES.into_iter().enumerate() {
        let (_, research) = GRANTS[1];
        let is_care = matches!(purposes, ["CC"] | ["ETREAT"]);
        let is_ancestry = traits.contains(&Ancestry) || purposes.contains(&"POA");
        assert_eq!(
            of(Vocabulary::CARE, purposes, traits),
            if is_care { A } else { research[position] },
            "{purposes:?}"
        );
        let expected = if is_care || is_ancestry { D } else { research[position] };
        assert_eq!(of(Vocabulary::RESEARCH, purposes, traits), expected, "{purposes:?} {traits:?}");
    }
}

/// Which traits make a study sensitive (B3).
const SENSITIVE: [Trait; 8] = [
    Trait::Paediatric,
    Trait::OneSex,
    Trait::Vulnerable,
    Trait::IllegalBehaviour,
    Trait::SexualHealth,
    Trait::PsychologicalTraits,
    Trait::Stigmatising,
    Trait::NotHealth,
];

#[test]
fn a_person_looks_at_sensitive_research_and_a_no_stays_a_no() {
    for of in Trait::ALL {
        assert_eq!(of.is_sensitive(), SENSITIVE.contains(&of), "{of:?}");
    }
    for (granted, answers) in GRANTS {
        for ((purposes, traits), answered) in USES.into_iter().zip(answers) {
            for of in SENSITIVE {
                let is_care = matches!(purposes, ["CC"] | ["ETREAT"]);
                let expected = if is_care { answered } else { answered.min(C) };
                let sensitive = declaring(asked(purposes), &[traits, &[of]].concat());
                assert_eq!(answer(&[permit(granted)], &sensitive), expected, "{granted:?} {purposes:?} {of:?}");
            }
        }
    }
    // Silence under an opt-out is no other grant, and each trait is ticked by itself.
    let silence = Terms { base: Base::Permit, ..Terms::opt_in(vec![]) };
    let both = declaring(asked(&["HMB"]), &[Trait::Paediatric, Trait::OneSex]);
    assert_eq!(answer_of(std::slice::from_ref(&silence), &both), C);
    let decision = decide(std::slice::from_ref(&silence), &both);
    let named = [Condition::Sensitive(Trait::Paediatric), Condition::Sensitive(Trait::OneSex)];
    assert_eq!(decision.conditions.into_iter().collect::<Vec<_>>(), named);
    for one in named {
        assert!(
            decide(std::slice::from_ref(&silence), &Use { ticked: [one].into(), ..both.clone() }).allowed.is_empty()
        );
    }
}

/// B5: what a deny, a line, does to uses: which of them it touches.
const DENIED: [&str; 9] = ["NRES", "GRU", "HMB", "DS-M:11", "DS-M:1", "DS-X:9", "POA", "CC", "ETREAT"];
#[rustfmt::skip]
const DENIES: [(&[&str], &[Trait], [u8; 9]); 21] = [
    // denied:             NRES GRU HMB 11  1  X POA CC ET
    (&["GRU"], &[],            [1, 1, 1, 1, 1, 1, 1, 0, 0]),
    (&["HMB"], &[],            [1, 1, 1, 1, 1, 1, 0, 0, 0]),
    (&["DS-M:111"], &[],       [1, 1, 1, 1, 1, 0, 0, 0, 0]),
    (&["DS-M:11"], &[],        [1, 1, 1, 1, 1, 0, 0, 0, 0]),
    (&["DS-M:1"], &[],         [1, 1, 1, 1, 1, 0, 0, 0, 0]),
    (&["DS-M:12"], &[],        [1, 1, 1, 0, 1, 0, 0, 0, 0]),
    (&["DS-M:2"], &[],         [1, 1, 1, 0, 0, 0, 0, 0, 0]),
    (&["DS-X:9"], &[],         [1, 1, 1, 0, 0, 1, 0, 0, 0]),
    (&["POA"], &[],            [1, 1, 0, 0, 0, 0, 1, 0, 0]),
    (&["CC"], &[],             [0, 0, 0, 0, 0, 0, 0, 1, 0]),
    (&["ETREAT"], &[],         [0, 0, 0, 0, 0, 0, 0, 1, 1]),
    (&["POA"], &[MethodsOnly], [1, 1, 1, 0, 0, 0, 1, 0, 0]),
    (&["HMB"], &[Ancestry],    [1, 1, 1, 1, 1, 1, 1, 0, 0]),
    (&["DS-M:2"], &[Ancestry], [1, 1, 1, 0, 0, 0, 1, 0, 0]),
    (&["DS-M:2"], &[MethodsOnly], [1, 1, 1, 0, 0, 0, 0, 0, 0]),
    (&["DS-M:2"], &[ControlSet],  [1, 1, 1, 0, 0, 0, 0, 0, 0]),
    (&["POA"], &[ControlSet],     [1, 1, 0, 0, 0, 0, 1, 0, 0]),
    (&["DS-M:2", "DS-M:12"], &[], [1, 1, 1, 0, 1, 0, 0, 0, 0]),
    (&["DS-M:2", "POA"], &[],     [1, 1, 1, 0, 0, 0, 1, 0, 0]),
    (&["CC", "POA"], &[],         [1, 1, 0, 0, 0, 0, 1, 1, 0]),
    // What care declares to be beside is denied with it.
    (&["CC"], &[ControlSet],      [1, 1, 0, 0, 0, 0, 0, 1, 0]),
];

#[test]
fn a_deny_touches_what_it_overlaps() {
    // Everything that can be granted, so that the deny alone decides.
    let all = permit(&["NRES", "CC", "ETREAT"]);
    for (purposes, traits, touched) in DENIES {
        let of_study = declaring(asked(purposes), traits);
        assert_ne!(answer(std::slice::from_ref(&all), &of_study), D, "{purposes:?} {traits:?}");
        for (denied, touched) in DENIED.into_iter().zip(touched) {
            let deny = rule(Effect::Deny, Action::Aggregate, &[denied]);
            let found = answer(&[all.clone(), deny], &of_study);
            assert_eq!(found == D, touched == 1, "denied {denied}, asked for {purposes:?} {traits:?}");
        }
        let deny = Rule { purposes: Scope::Any, ..rule(Effect::Deny, Action::Aggregate, &[]) };
        assert_eq!(answer(&[all.clone(), deny], &of_study), D);
    }
}

#[test]
fn each_of_several_purposes_must_be_allowed() {
    let singles = ["GRU", "HMB", "DS-M:111", "DS-M:2", "POA", "CC", "ETREAT"];
    for (granted, _) in GRANTS {
        for (also, _) in GRANTS {
            let rules = [permit(granted), permit(also)];
            for one in singles {
                for other in singles {
                    let each = |purpose| answer(&rules, &asked(&[purpose]));
                    assert_eq!(answer(&rules, &asked(&[one, other])), each(one).min(each(other)), "{one} and {other}");
                }
            }
        }
    }
}

#[test]
fn what_several_purposes_may_read_is_what_each_may() {
    let on = |granted: &[&str], data: &[Domain], from, to| Rule {
        data: Scope::Only(data.to_vec()),
        window: Window { from: Some(day(from)), to: Some(day(to)) },
        ..permit(granted)
    };
    let documents = [Terms::opt_in(vec![
        on(&["DS-M:1"], &[Domain::Drug, Domain::Visit], 0, 3),
        on(&["DS-M:2"], &[Domain::Drug, Domain::Person], 2, 9),
    ])];
    let allowed = decide(&documents, &asked(&["DS-M:111", "DS-M:2"])).allowed;
    let open: Vec<Domain> = allowed.iter().map(|(domain, _)| domain).collect();
    assert_eq!(open, [Domain::Drug]);
    let days: Vec<i32> = (-2..12).filter(|on| allowed.of(Domain::Drug).unwrap().days.contains(day(*on))).collect();
    assert_eq!(days, [2, 3]);
}
