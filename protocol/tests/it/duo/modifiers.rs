//! What a permit is bound to (B2, B4).

use consilium_protocol::consent::{
    Action, Condition, Effect, EthicsApproval, Modifier, ModifierKind, Obligation, Purpose, Reason, Rule, Scope, Terms,
    Trait, Use, Window,
};
use consilium_protocol::ids::ContentHash;

use crate::consent::world::Answer::{self, A, C, D};
use crate::consent::world::{
    answer, approval, asked, asked_by_hospital, country, day, decide, declaring, promising, researcher, rule, study,
};

const GENERAL: &[&str] = &["GRU"];

fn bound(granted: &[&str], modifiers: Vec<Modifier>) -> Rule {
    Rule { modifiers, ..rule(Effect::Permit, Action::Aggregate, granted) }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn for_profit(mut asked: Use) -> Use {
    asked.by.establishment.for_profit = true;
    asked
}

/// A study with one thing about it changed.
fn but(change: impl FnOnce(&mut Use)) -> Use {
    let mut of_study = asked(GENERAL);
    change(&mut of_study);
    of_study
}

/// A modifier, what asks, what comes of it, and what the study then owes or a person ticks.
type Row = (Modifier, Use, Answer, Option<Obligation>, Option<Condition>);

fn table() -> Vec<Row> {
    use Modifier as M;
    let plain = || asked(GENERAL);
    let is = |of| declaring(plain(), &[of]);
    let row = |modifier: M, asked, answer| (modifier, asked, answer, None, None);
    let mut rows = vec![
        row(M::NonProfitOrganisation, plain(), A),
        row(M::NonProfitOrganisation, for_profit(plain()), D),
        row(M::NonProfitOrganisation, is(Trait::Commercial), A),
        row(M::NonCommercialUse, plain(), A),
        row(M::NonCommercialUse, for_profit(plain()), A),
        row(M::NonCommercialUse, is(Trait::Commercial), D),
        row(M::NonProfitNonCommercial, plain(), A),
        row(M::NonProfitNonCommercial, for_profit(plain()), D),
        row(M::NonProfitNonCommercial, is(Trait::Commercial), D),
        row(M::NonProfitNonCommercial, for_profit(is(Trait::Commercial)), D),
        row(M::NoMethodsOnly, plain(), A),
        row(M::NoMethodsOnly, is(Trait::MethodsOnly), D),
        row(M::NoAncestry, plain(), A),
        row(M::NoAncestry, is(Trait::Ancestry), D),
        row(M::NoAncestry, asked(&["POA"]), D),
        row(M::NoAncestry, asked(&["GRU", "POA"]), D),
        row(M::GeneticOnly, plain(), D),
        row(M::GeneticOnly, is(Trait::Genetic), A),
        row(M::Places(vec![country("DE")]), plain(), A),
        row(M::Places(vec![country("FR"), country("DE")]), plain(), A),
        row(M::Places(vec![country("FR")]), plain(), D),
        row(M::Places(vec![]), plain(), D),
        row(M::Ethics, plain(), D),
        row(M::Ethics, but(|of| of.declared.ethics = Some(approval_of("", 7))), D),
        row(M::Ethics, but(|of| of.declared.ethics = Some(approval_of("Committee", 0))), D),
        row(M::Publication, plain(), D),
        row(M::Return, plain(), D),
        row(M::Collaboration(texts(&["Registry"])), plain(), D),
        row(M::Collaboration(texts(&["Registry", "Nobody"])), promising(plain()), D),
        row(M::Collaboration(vec![]), promising(plain()), D),
        row(M::Moratorium(Some(day(9))), plain(), D),
        row(M::Moratorium(Some(day(9))), but(|of| of.declared.publishes_from = Some(day(8))), D),
        row(M::Users(vec![researcher(2), researcher(1)]), plain(), A),
        row(M::Users(vec![researcher(2)]), plain(), D),
        row(M::Users(vec![]), plain(), D),
        row(M::Users(vec![researcher(1)]), but(|of| of.by.researcher = None), D),
        row(M::Projects(vec![study(2), study(1)]), plain(), A),
        row(M::Projects(vec![study(2)]), plain(), D),
        row(M::Projects(vec![]), plain(), D),
        row(M::Institutions(texts(&["Company", "University"])), plain(), A),
        row(M::Institutions(texts(&["university", "University "])), plain(), D),
        row(M::Institutions(vec![]), plain(), D),
        row(M::Specific(String::new()), plain(), D),
        row(M::Specific(" \n".to_string()), plain(), D),
    ];
    let ticked = |modifier: M, asked, condition| (modifier, asked, C, None, Some(condition));
    let owed = |modifier: M, asked, obligation| (modifier, asked, A, Some(obligation), None);
    let whom = texts(&["Registry", "Charity"]);
    rows.extend([
        ticked(M::Ethics, but(|of| of.declared.ethics = Some(approval())), Condition::Ethics),
        ticked(M::Collaboration(whom.clone()), promising(plain()), Condition::Collaboration(whom)),
        ticked(M::Moratorium(None), plain(), Condition::Moratorium),
        ticked(M::Moratorium(None), promising(plain()), Condition::Moratorium),
        ticked(M::Specific("sleep".to_string()), plain(), Condition::Specific("sleep".to_string())),
        owed(M::Publication, promising(plain()), Obligation::Publication),
        owed(M::Return, promising(plain()), Obligation::Return),
        owed(
            M::Moratorium(Some(day(9))),
            but(|of| of.declared.publishes_from = Some(day(9))),
            Obligation::Moratorium(day(9)),
        ),
        owed(M::Moratorium(Some(day(9))), promising(plain()), Obligation::Moratorium(day(9))),
    ]);
    rows
}

fn approval_of(body: &str, byte: u8) -> EthicsApproval {
    EthicsApproval { body: body.to_string(), document: ContentHash::from_bytes([byte; 32]) }
}

#[test]
fn every_modifier_answers_every_declaration_as_the_table_says() {
    let rows = table();
    for kind in ModifierKind::ALL {
        assert!(rows.iter().any(|row| row.0.kind() == kind && row.2 == D), "{kind:?} is never broken");
        assert!(rows.iter().any(|row| row.0.kind() == kind && row.2 != D), "{kind:?} is never met");
    }
    for (modifier, of_study, expected, obligation, condition) in rows {
        let permit = bound(&["NRES"], vec![modifier.clone()]);
        assert_eq!(answer(std::slice::from_ref(&permit), &of_study), expected, "{modifier:?}: {of_study:?}");
        let decision = decide(&[Terms::opt_in(vec![permit])], &of_study);
        assert_eq!(decision.obligations.into_iter().collect::<Vec<_>>(), Vec::from_iter(obligation), "{modifier:?}");
        assert_eq!(decision.conditions.into_iter().collect::<Vec<_>>(), Vec::from_iter(condition), "{modifier:?}");
        if expected == D {
            let why = decision.reasons.iter().map(|of| of.reason).max();
            assert_eq!(why, Some(Reason::Modifier(modifier.kind())));
        }
        // Another permit that is bound to nothing opens what this one does not.
        let free = bound(&["NRES"], vec![]);
        assert_eq!(answer(&[bound(&["NRES"], vec![modifier]), free], &of_study), A);
    }
}

#[test]
fn all_modifiers_of_a_permit_must_hold() {
    for (one, of_study, first, ..) in table() {
        for (other, ..) in table() {
            if one.kind() == other.kind() {
                continue;
            }
            let alone = answer(&[bound(&["NRES"], vec![other.clone()])], &of_study);
            let both = answer(&[bound(&["NRES"], vec![one.clone(), other.clone()])], &of_study);
            assert_eq!(both, first.min(alone), "{one:?} and {other:?}: {of_study:?}");
        }
    }
}

#[test]
fn a_time_limit_is_the_end_of_the_validity() {
    for (to, expected) in [(4, D), (5, A), (6, A)] {
        let valid = Window { from: None, to: Some(day(to)) };
        assert_eq!(answer(&[Rule { valid, ..bound(GENERAL, vec![]) }], &asked(GENERAL)), expected, "{to}");
        let care = Rule { valid, ..rule(Effect::Permit, Action::Retrieve, &["CC"]) };
        assert_eq!(answer(&[care], &asked_by_hospital(&["CC"])), expected, "{to}");
    }
}

#[test]
fn care_asks_for_what_is_said_of_everybody_and_not_for_what_is_said_of_studies() {
    use Modifier as M;
    let care = || asked_by_hospital(&["CC"]);
    let mut at_a_profit = for_profit(care());
    at_a_profit.by.organisation = "Company".to_string();
    at_a_profit.by.establishment.country = country("US");
    // What a hospital is that meets everything, and one that breaks what can be broken.
    let rows: [(M, Answer, Answer); 17] = [
        (M::NonProfitOrganisation, A, D),
        (M::NonCommercialUse, A, A),
        (M::NonProfitNonCommercial, A, D),
        (M::Places(vec![country("DE")]), A, D),
        (M::Institutions(texts(&["University"])), A, D),
        (M::Users(vec![researcher(1)]), D, D),
        (M::Specific("sleep".to_string()), C, C),
        (M::Projects(vec![study(1)]), D, D),
        (M::NoMethodsOnly, A, A),
        (M::NoAncestry, A, A),
        (M::GeneticOnly, A, A),
        (M::Ethics, A, A),
        (M::Publication, A, A),
        (M::Collaboration(texts(&["Registry"])), A, A),
        (M::Return, A, A),
        (M::Moratorium(Some(day(9))), A, A),
        (M::Moratorium(None), A, A),
    ];
    for kind in ModifierKind::ALL {
        assert!(rows.iter().any(|row| row.0.kind() == kind), "{kind:?}");
    }
    for purpose in ["CC", "ETREAT"] {
        for (modifier, expected, broken) in &rows {
            let permit =
                Rule { modifiers: vec![modifier.clone()], ..rule(Effect::Permit, Action::Retrieve, &["CC", "ETREAT"]) };
            let of = |asked: &Use| Use { purposes: vec![purpose.parse::<Purpose>().unwrap()], ..asked.clone() };
            assert_eq!(answer(std::slice::from_ref(&permit), &of(&care())), *expected, "{purpose} {modifier:?}");
            assert_eq!(answer(std::slice::from_ref(&permit), &of(&at_a_profit)), *broken, "{purpose} {modifier:?}");
        }
    }
    let commercial = declaring(care(), &[Trait::Commercial]);
    for modifier in [M::NonCommercialUse, M::NonProfitNonCommercial] {
        let permit = Rule { modifiers: vec![modifier], ..rule(Effect::Permit, Action::Retrieve, &["CC"]) };
        assert_eq!(answer(&[permit], &commercial), D);
    }
    // A clinician who is known as a researcher is a user, too.
    let mut known = care();
    known.by.researcher = Some(researcher(1));
    let permit =
        Rule { modifiers: vec![M::Users(vec![researcher(1)])], ..rule(Effect::Permit, Action::Retrieve, &["CC"]) };
    assert_eq!(answer(&[permit], &known), A);
}

#[test]
fn a_condition_leaves_out_those_whose_permits_carry_it_and_nobody_else() {
    let of_study = promising(asked(GENERAL));
    let bound = Terms::opt_in(vec![bound(GENERAL, vec![Modifier::Ethics])]);
    let decision = decide(std::slice::from_ref(&bound), &of_study);
    assert!(decision.allowed.is_empty());
    assert_eq!(decision.why_not(), Some(Reason::NotTicked));
    let free = Terms::opt_in(vec![rule(Effect::Permit, Action::Aggregate, GENERAL)]);
    assert!(!decide(&[free], &of_study).allowed.is_empty());
    // One wrong tick is none.
    for wrong in [Condition::Moratorium, Condition::Specific(String::new()), Condition::Collaboration(vec![])] {
        let ticked = [wrong].into();
        assert!(decide(std::slice::from_ref(&bound), &Use { ticked, ..of_study.clone() }).allowed.is_empty());
    }
    let ticked = [Condition::Ethics].into();
    assert!(!decide(&[bound], &Use { ticked, ..of_study }).allowed.is_empty());
}

#[test]
fn a_deny_holds_whatever_binds_it() {
    // No document may have one; the closed side of one is the whole deny.
    let mut deny = bound(GENERAL, vec![Modifier::GeneticOnly]);
    deny.effect = Effect::Deny;
    let all = Rule { purposes: Scope::Any, ..bound(&[], vec![]) };
    assert_eq!(answer(&[all, deny], &asked(GENERAL)), D);
}
