//! The texts as they are read, for whoever reviews a language: one file each.

use std::fmt::Write as _;
use std::path::Path;

use consilium_protocol::consent::{
    Action, Base, Condition, Disease, Domain, Effect, Form, Jurisdiction, Label, Modifier, ModifierKind, Obligation,
    Purpose, Reason, Recipient, Rule, Scope, Terms, Trait, Vocabulary, Window,
};
use consilium_protocol::ids::{ResearcherId, StudyId};

use super::{deny, north, permit, since, teller, terms, window};
use crate::words::{Language, Preset};

fn research(code: &str) -> Purpose {
    Purpose::DiseaseResearch(Disease::new(code).expect("a code"))
}

fn permit_of(code: &str) -> Rule {
    Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![research(code)]))
}

fn records(effect: Effect, form: Option<Form>, purposes: &[Purpose]) -> Rule {
    Rule { form, ..Rule::new(effect, Action::Retrieve, Scope::Only(purposes.to_vec())) }
}

/// Documents that tell of everything there is to say.
fn documents() -> Vec<(&'static str, Terms)> {
    use Domain::{Condition as Diagnosis, Genomics, Imaging, Measurement, Person};
    let one = |rule| Terms::opt_in(vec![rule]);
    let example = Rule { valid: window("", "2031-12-31"), ..permit(&[Person, Diagnosis, Measurement], since()) };
    let care = records(Effect::Permit, Some(Form::Identified), &[Purpose::Care, Purpose::EmergencyCare]);
    let registry = Rule {
        modifiers: vec![
            Modifier::NonProfitOrganisation,
            Modifier::Places(["DE", "FR", "CH"].map(|code| code.parse().expect("a country")).to_vec()),
            Modifier::Ethics,
            Modifier::Publication,
        ],
        recipients: Scope::Only(vec![
            Recipient::Hospital(north()),
            Recipient::Organisation("University of X".to_string()),
        ]),
        jurisdiction: Some(Jurisdiction::Adequate),
        valid: window("2026-01-01", "2031-12-31"),
        ..records(Effect::Permit, Some(Form::Pseudonymised), &[Purpose::HealthResearch, research("MONDO:0004979")])
    };
    let safe = Rule {
        modifiers: vec![
            Modifier::NonCommercialUse,
            Modifier::NoMethodsOnly,
            Modifier::NoAncestry,
            Modifier::Return,
            Modifier::Moratorium(Some("2028-03-01".parse().expect("a day"))),
            Modifier::Institutions(vec!["University of X".to_string(), "Institute of Y".to_string()]),
        ],
        jurisdiction: Some(Jurisdiction::Gdpr),
        ..records(Effect::Permit, Some(Form::SafeHarbour), &[Purpose::NoRestriction])
    };
    let places = Rule {
        modifiers: vec![
            Modifier::NonProfitNonCommercial,
            Modifier::GeneticOnly,
            Modifier::Collaboration(vec!["Society A".to_string(), "Society B".to_string()]),
            Modifier::Moratorium(None),
            Modifier::Users(vec![ResearcherId::from_public_key([2; 32])]),
            Modifier::Projects(vec![StudyId::from_bytes([4; 32]), StudyId::from_bytes([5; 32])]),
            Modifier::Specific("rare disorders of the heart".to_string()),
        ],
        ..records(Effect::Permit, Some(Form::Desensitised), &[Purpose::GeneralResearch, Purpose::Ancestry])
    };
    let contact = Rule {
        recipients: Scope::Only(vec![
            Recipient::Researcher(ResearcherId::from_public_key([2; 32])),
            Recipient::Study(StudyId::from_bytes([4; 32])),
        ]),
        ..Rule::new(Effect::Permit, Action::Recontact, Scope::Only(vec![research("X:rare")]))
    };
    let ordinary = Rule { labels: Scope::Only(vec![Label::Normal, Label::Restricted]), ..permit(&[], since()) };
    let most: Vec<Domain> = Domain::ALL.into_iter().filter(|domain| ![Imaging, Genomics].contains(domain)).collect();
    let marked = Rule {
        labels: Scope::Only(vec![Label::MentalHealth, Label::SubstanceUse, Label::Violence, Label::Hiv]),
        ..records(Effect::Deny, None, &[Purpose::Care])
    };
    let abroad = Rule {
        jurisdiction: Some(Jurisdiction::Other),
        ..records(Effect::Deny, Some(Form::Desensitised), &[Purpose::EmergencyCare])
    };
    let old = Rule::new(Effect::Permit, Action::Aggregate, Scope::Any);
    let no_contact = Rule::new(Effect::Deny, Action::Recontact, Scope::Any);
    vec![
        ("nothing", Terms::opt_in(Vec::new())),
        ("the example of the documentation", one(example)),
        ("care", one(care)),
        ("records under a pseudonym", one(registry)),
        ("records in the safest form", one(safe)),
        ("records with real dates", one(places)),
        ("getting in touch", one(contact)),
        ("what is not too sensitive", one(ordinary)),
        ("nearly all", one(permit(&most, Window::UNBOUNDED))),
        ("no genetic data", one(deny(&[Genomics], Window::UNBOUNDED))),
        ("not the last years", one(deny(&[Person, Diagnosis], since()))),
        ("no marked records", one(marked)),
        ("not abroad", one(abroad)),
        ("opt-out, and no contact", terms(Base::Permit, vec![no_contact])),
        ("an old document", Terms { vocabulary: Vocabulary::RESEARCH, ..one(old) }),
    ]
}

fn text(language: Language) -> String {
    let teller = teller(language);
    let mut text = String::new();
    let mut write = |part: &str, name: &str, words: String| {
        write!(text, "## {part}: {name}\n\n{words}\n\n").expect("a string");
    };
    for preset in Preset::ALL {
        let words = format!("{}\n{}", preset.title(language), preset.sentence(language));
        write("preset", preset.typed(), words);
    }
    for (name, terms) in documents() {
        write("document", name, teller.terms(&terms));
    }
    let swallowing = Terms::opt_in(vec![permit(&[Domain::Drug], since()), deny(&[], Window::UNBOUNDED)]);
    let marked = Rule {
        purposes: Scope::Only(vec![research("MONDO:5148"), research("X:rare")]),
        labels: Scope::Only(vec![Label::Hiv]),
        ..deny(&[Domain::Genomics], Window::UNBOUNDED)
    };
    let telling = Terms::opt_in(vec![marked]);
    write("notes", "on a permit that changes nothing", teller.notes(&[&swallowing]).join("\n"));
    write(
        "notes",
        "on data without a person",
        teller.notes(&[&Terms::opt_in(vec![permit(&[Domain::Drug], since())])]).join("\n"),
    );
    write("notes", "on codes and marks", teller.notes(&[&telling]).join("\n"));
    let both = Terms::opt_in(vec![permit_of("MONDO:0004979"), permit_of("X:rare"), telling.rules[0].clone()]);
    write("warnings", "before signing", teller.warnings(&both).join("\n"));
    let reasons = [
        Reason::NoConsent,
        Reason::OtherAction,
        Reason::OtherPurpose,
        Reason::OtherForm,
        Reason::OtherJurisdiction,
        Reason::OtherRecipient,
        Reason::Expired,
        Reason::NotYetValid,
        Reason::NotTicked,
        Reason::Permits,
        Reason::PermitsByDefault,
        Reason::Sensitivity,
        Reason::Denies,
    ];
    let modifiers = ModifierKind::ALL.map(Reason::Modifier);
    let told: Vec<String> = reasons.into_iter().chain(modifiers).map(|reason| language.reason(reason)).collect();
    write("reasons", "all", told.join("\n"));
    let mut conditions = vec![
        Condition::ControlSet,
        Condition::Ethics,
        Condition::Collaboration(vec!["Society A".to_string(), "Society B".to_string()]),
        Condition::Moratorium,
        Condition::Specific("rare disorders of the heart".to_string()),
    ];
    conditions.extend(Trait::ALL.map(Condition::Sensitive));
    let told: Vec<String> = conditions.iter().map(|condition| language.condition(condition)).collect();
    write("conditions", "all", told.join("\n"));
    let day = "2028-03-01".parse().expect("a day");
    let owed = [Obligation::Publication, Obligation::Return, Obligation::Moratorium(day)];
    write("obligations", "all", language.obligations(&owed));
    text
}

/// `CONSILIUM_WRITE_GOLDEN=1` writes the files anew, to be read before they are committed.
#[test]
fn the_texts_are_as_they_were_reviewed() {
    for language in Language::ALL {
        let name = format!("{language:?}.txt").to_lowercase();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/words/tests/golden").join(&name);
        // No-break spaces are made visible.
        let text = format!("{}\n", text(language).replace('\u{a0}', "·").trim_end());
        if std::env::var_os("CONSILIUM_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &text).expect("a file");
        }
        let golden = std::fs::read_to_string(&path).expect("a file");
        for (line, golden) in text.lines().zip(golden.lines()) {
            assert_eq!(line, golden, "{name}");
        }
        assert_eq!(text, golden, "{name}");
    }
}
