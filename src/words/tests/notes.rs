//! What is said beside a document's rules.

use consilium_protocol::consent::{
    Action, Base, Condition, Country, Declarations, Disease, DiseaseTree, DocumentTerms, Domain, Effect, Establishment,
    Form, Jurisdiction, Label, Promise, Purpose, Recipient, Requester, Rule, Scope, Terms, Trait, Use, Window,
    evaluate,
};
use consilium_protocol::ids::{DocumentId, HospitalId, ResearcherId, StudyId};

use super::draw::Draw;
use super::{deny, permit, since, teller, terms, window};
use crate::words::Language;

fn opt_in(rules: Vec<Rule>) -> Terms {
    terms(Base::Deny, rules)
}

fn notes(documents: &[Terms]) -> Vec<String> {
    teller(Language::En).notes(&documents.iter().collect::<Vec<_>>())
}

#[test]
fn who_opens_no_person_is_told_what_that_means() {
    use Domain::{Condition, Person};
    let about_person = |documents: &[Terms]| notes(documents).iter().any(|note| note.contains("hardly ever"));
    let conditions = opt_in(vec![permit(&[Condition], Window::UNBOUNDED)]);
    assert!(about_person(std::slice::from_ref(&conditions)));
    let person = opt_in(vec![permit(&[Person], since())]);
    assert!(!about_person(&[conditions.clone(), person]) && !about_person(&[opt_in(vec![])]) && !about_person(&[]));
    let mut records = permit(&[Condition], Window::UNBOUNDED);
    (records.action, records.form) = (Action::Retrieve, Some(Form::Identified));
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
    let some_studies = Rule { recipients: Scope::Only(vec![Recipient::Organisation("X".to_string())]), ..no.clone() };
    let some_years = Rule { valid: window("", "2031-12-31"), ..no.clone() };
    let elsewhere = Rule { jurisdiction: Some(Jurisdiction::Other), ..no };
    for part in [some_days, some_studies, some_years, elsewhere] {
        assert!(!about_person(&[everything.clone(), opt_in(vec![part])]));
    }
}

#[test]
fn periods_and_marks_are_explained_where_there_are_some() {
    let of = |rule: Rule, start: &str| notes(&[opt_in(vec![rule])]).iter().any(|note| note.starts_with(start));
    assert!(of(permit(&[], since()), "A period") && of(deny(&[], since()), "A period"));
    assert!(!of(permit(&[], Window::UNBOUNDED), "A period"));
    let marked = Rule { labels: Scope::Only(vec![Label::Normal]), ..permit(&[], Window::UNBOUNDED) };
    assert!(of(marked, "This is about marks") && !of(permit(&[], Window::UNBOUNDED), "This is about marks"));
}

fn research(code: &str) -> Rule {
    let purpose = Purpose::DiseaseResearch(Disease::new(code).expect("a code"));
    Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![purpose]))
}

#[test]
fn a_code_that_nobody_knows_is_pointed_out_with_what_is_like_it() {
    let of = |code| notes(&[opt_in(vec![research(code)])]).join("\n");
    assert_eq!(of("MONDO:0005148"), "");
    assert!(of("MONDO:5148").ends_with("Perhaps you mean “type 2 diabetes mellitus” (MONDO:0005148)."));
    assert!(of("ICD10:E11").ends_with("Check the code."), "{}", of("ICD10:E11"));
}

#[test]
fn what_terms_tell_of_an_illness_is_said_before_they_are_signed() {
    let warnings = |rules: Vec<Rule>| teller(Language::En).warnings(&opt_in(rules)).join("\n");
    let told = warnings(vec![research("MONDO:0004979")]);
    assert!(told.contains("“asthma” (MONDO:0004979)") && told.contains("`health` (“Health research”)"), "{told}");
    assert!(warnings(vec![research("ICD10:B20")]).contains("ICD10:B20"));
    // A ban is not lifted to keep a secret.
    let told = warnings(vec![Rule { effect: Effect::Deny, ..research("MONDO:0004979") }]);
    assert!(told.contains("forbids just this: “asthma”") && !told.contains("health"), "{told}");
    // Diseases of whatever kind are none in particular.
    assert_eq!(warnings(vec![research("MONDO:0000001"), permit(&[], Window::UNBOUNDED)]), "");
    // What all denies of a document single out.
    let told = warnings(vec![deny(&[Domain::Genomics], Window::UNBOUNDED)]);
    assert!(told.contains("forbids just this: genetic data;") && told.contains("`none` (“Nothing”)"), "{told}");
    let several = vec![deny(&[Domain::Genomics], Window::UNBOUNDED), deny(&[Domain::Drug], Window::UNBOUNDED)];
    assert_eq!(warnings(several), "");
    assert_eq!(warnings(vec![deny(&[Domain::Person], since())]), "");
    assert_eq!(warnings(vec![permit(&[Domain::Genomics], Window::UNBOUNDED)]), "");
    let marked = |labels: &[Label]| Rule { labels: Scope::Only(labels.to_vec()), ..deny(&[], Window::UNBOUNDED) };
    assert!(warnings(vec![marked(&[Label::Hiv])]).contains("“HIV”"));
    assert_eq!(warnings(vec![marked(&[Label::Hiv, Label::MentalHealth])]), "");
    assert_eq!(warnings(vec![marked(&[Label::Restricted])]), "");
}

fn swallowed(documents: &[Terms]) -> usize {
    notes(documents).iter().filter(|note| note.starts_with("One permission changes nothing")).count()
}

#[test]
fn a_permit_of_which_nothing_is_left_is_reported() {
    let all = |purpose| Rule::new(Effect::Deny, Action::Aggregate, Scope::Only(vec![purpose]));
    let yes = || permit(&[Domain::Condition], since());
    assert_eq!(swallowed(&[opt_in(vec![yes(), all(Purpose::HealthResearch)])]), 1);
    // Another document's deny, one that is wider, and several that together leave nothing.
    assert_eq!(swallowed(&[opt_in(vec![yes()]), opt_in(vec![all(Purpose::GeneralResearch)])]), 1);
    let (drugs, rest) = (deny(&[Domain::Drug], Window::UNBOUNDED), deny(&[Domain::Condition], Window::UNBOUNDED));
    let both = permit(&[Domain::Condition, Domain::Drug], Window::UNBOUNDED);
    assert_eq!(swallowed(&[opt_in(vec![both.clone(), drugs.clone(), rest])]), 1);
    assert_eq!(swallowed(&[opt_in(vec![both, drugs])]), 0);
    // A part that is left is enough.
    let leaves: [&dyn Fn(&mut Rule); 7] = [
        &|deny| deny.action = Action::Retrieve,
        &|deny| deny.purposes = Scope::Only(vec![Purpose::Care]),
        &|deny| deny.recipients = Scope::Only(vec![Recipient::Organisation("X".to_string())]),
        &|deny| deny.jurisdiction = Some(Jurisdiction::Adequate),
        &|deny| deny.labels = Scope::Only(vec![Label::Hiv]),
        &|deny| deny.valid = window("", "2031-12-31"),
        &|deny| deny.window = since(),
    ];
    for leave in leaves {
        let mut deny = all(Purpose::HealthResearch);
        leave(&mut deny);
        assert_eq!(swallowed(&[opt_in(vec![yes(), deny])]), 0);
    }
}

/// Somebody who asks for something.
fn asked(draw: &mut Draw) -> Use {
    let action = draw.one_of(&Action::ALL);
    let form = if action == Action::Retrieve { draw.one_of(&Form::ALL[1..]) } else { Form::Statistics };
    let country: Country = "DE".parse().expect("a country");
    let mut purposes = draw.purposes();
    // Care and research are not asked for at once.
    let is_research = purposes[0].is_research();
    purposes.retain(|purpose| purpose.is_research() == is_research && *purpose != Purpose::NoRestriction);
    if purposes.is_empty() {
        purposes.push(Purpose::GeneralResearch);
    }
    let mut traits = if draw.chance(40) && is_research { draw.some_of(&Trait::ALL, 3) } else { Vec::new() };
    traits.sort();
    let mut ticked: Vec<Condition> = vec![Condition::ControlSet, Condition::Ethics, Condition::Moratorium];
    ticked.extend(Trait::ALL.map(Condition::Sensitive));
    Use {
        action,
        form,
        purposes,
        declared: Declarations {
            traits,
            promises: vec![Promise::Publication, Promise::Return],
            ethics: None,
            collaborators: Vec::new(),
            publishes_from: Some(draw.day()),
        },
        by: Requester {
            researcher: draw.chance(70).then(|| ResearcherId::from_public_key([2; 32])),
            hospital: draw.chance(50).then(|| HospitalId::from_public_key([1; 32])),
            organisation: "University of X".to_string(),
            establishment: Establishment { country, jurisdiction: draw.one_of(&Jurisdiction::ALL), for_profit: false },
        },
        study: draw.chance(70).then(|| StudyId::from_bytes([4; 32])),
        day: draw.day(),
        ticked: ticked.into_iter().collect(),
    }
}

/// Nobody gets less when a permit is taken out that is said to change nothing: evaluation, which knows nothing of notes,
/// says so of many uses.
#[test]
fn what_is_said_to_change_nothing_changes_nothing() {
    let tree = DiseaseTree::new(&crate::vocabulary::diseases());
    let decided = |terms: &Terms, asked: &Use| {
        evaluate(&[DocumentTerms { document: DocumentId::from_bytes([0; 32]), terms }], asked, &tree)
    };
    let (mut reported, mut open) = (0, 0);
    for seed in 0..8_000 {
        let mut draw = Draw::new(seed);
        let mut all = draw.terms();
        // Mostly a deny of much, so that something is swallowed.
        let mut deny = draw.rule();
        if deny.effect == Effect::Deny {
            deny.jurisdiction = None;
            deny.form = None;
            deny.window = Window::UNBOUNDED;
            deny.recipients = Scope::Any;
            all.rules.push(deny);
        }
        for (position, rule) in all.rules.iter().enumerate().filter(|(_, rule)| rule.effect == Effect::Permit) {
            let mut alone = all.clone();
            alone.rules.retain(|other| other.effect == Effect::Deny || other == rule);
            if swallowed(std::slice::from_ref(&alone)) == 0 {
                continue;
            }
            reported += 1;
            let mut without = all.clone();
            without.rules.remove(position);
            for _ in 0..40 {
                let asked = asked(&mut draw);
                let (with, without) = (decided(&all, &asked), decided(&without, &asked));
                assert_eq!((&with.allowed, &with.by_label), (&without.allowed, &without.by_label), "{all:?} {asked:?}");
                let mut permit = all.clone();
                permit.rules = vec![rule.clone()];
                open += usize::from(decided(&permit, &asked).by_label.values().any(|d| !d.is_empty()));
            }
        }
    }
    assert!(reported > 100 && open > 100, "{reported} permits, open to {open} uses");
}
