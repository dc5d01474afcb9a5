//! Random documents, and uses that a good share of them opens.

use std::sync::LazyLock;

use consilium_protocol::consent::{
    Action, Base, Condition, Domain, Effect, Form, Jurisdiction, Label, Modifier, ModifierKind, Promise, Purpose,
    Recipient, Rule, Scope, Terms, Trait, Use, Vocabulary, Window,
};

use super::world::{TODAY, approval, asked, country, day, hospital, purpose, researcher, study};

/// Every finite end of a window lies within these.
pub(crate) const DAYS: std::ops::Range<i32> = 0..6;

/// Numbers that are the same for the same seed: splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    pub(crate) fn in_hundred(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One to `most` of a list, some perhaps twice.
    fn some<T: Clone>(&mut self, of: &[T], most: usize) -> Vec<T> {
        (0..=self.below(most)).map(|_| self.one(of)).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for position in (1..list.len()).rev() {
            list.swap(position, self.below(position + 1));
        }
    }
}

const PURPOSES: [&str; 11] =
    ["GRU", "HMB", "DS-M:1", "DS-M:11", "DS-M:12", "DS-M:111", "DS-M:2", "DS-X:9", "POA", "CC", "ETREAT"];
const RECORDS: [Form; 4] = [Form::SafeHarbour, Form::Pseudonymised, Form::Desensitised, Form::Identified];

fn names() -> [String; 2] {
    ["Registry".to_string(), "Charity".to_string()]
}

fn organisations() -> [String; 2] {
    ["University".to_string(), "Company".to_string()]
}

fn descriptions() -> [String; 2] {
    ["sleep".to_string(), "gait".to_string()]
}

pub(crate) fn a_use(dice: &mut Dice) -> Use {
    let mut of = asked(&[]);
    of.action = dice.one(&[Action::Aggregate, Action::Aggregate, Action::Retrieve, Action::Recontact]);
    of.form = match of.action {
        _ if dice.in_hundred(3) => dice.one(&Form::ALL),
        Action::Aggregate => Form::Statistics,
        Action::Retrieve | Action::Recontact => dice.one(&RECORDS),
    };
    let count = dice.one(&[1, 1, 1, 1, 1, 1, 1, 2, 2, 3]);
    of.purposes = (0..count).map(|_| purpose(dice.one(&PURPOSES))).collect();
    if dice.in_hundred(2) {
        of.purposes = dice.one(&[vec![], vec![Purpose::NoRestriction]]);
    }
    for one in Trait::ALL {
        if dice.in_hundred(if one.is_sensitive() { 2 } else { 10 }) {
            of.declared.traits.push(one);
        }
    }
    for promise in [Promise::Publication, Promise::Return] {
        if dice.in_hundred(70) {
            of.declared.promises.push(promise);
        }
    }
    of.declared.ethics = dice.in_hundred(70).then(approval);
    of.declared.collaborators = names().into_iter().filter(|_| dice.in_hundred(70)).collect();
    of.declared.publishes_from = dice.in_hundred(80).then(|| day(dice.below(5) as i32));
    of.by.researcher = dice.in_hundred(75).then(|| researcher(dice.one(&[1, 1, 2])));
    of.by.hospital = dice.in_hundred(50).then(|| hospital(dice.one(&[1, 1, 2])));
    of.by.organisation = dice.one(&organisations());
    of.by.establishment.country = country(dice.one(&["DE", "DE", "FR"]));
    let laws = [Jurisdiction::Gdpr, Jurisdiction::Gdpr, Jurisdiction::Adequate, Jurisdiction::Other];
    of.by.establishment.jurisdiction = dice.one(&laws);
    of.by.establishment.for_profit = dice.in_hundred(30);
    of.study = dice.in_hundred(75).then(|| study(dice.one(&[1, 1, 2])));
    of.day = day(TODAY);
    let all = every_condition();
    of.ticked = match dice.below(10) {
        0..4 => Default::default(),
        4..8 => all.into_iter().collect(),
        _ => all.into_iter().filter(|_| dice.in_hundred(70)).collect(),
    };
    of
}

/// Every condition that these documents can ask for.
pub(crate) fn every_condition() -> Vec<Condition> {
    let [one, other] = names();
    let mut all = vec![
        Condition::ControlSet,
        Condition::Ethics,
        Condition::Moratorium,
        Condition::Collaboration(vec![one.clone()]),
        Condition::Collaboration(vec![other.clone()]),
        Condition::Collaboration(vec![one, other]),
    ];
    all.extend(descriptions().map(Condition::Specific));
    all.extend(Trait::ALL.map(Condition::Sensitive));
    all
}

/// Up to four documents, most of them about what is asked.
pub(crate) fn documents(dice: &mut Dice, asked: &Use) -> Vec<Terms> {
    let count = dice.one(&[0, 1, 1, 1, 2, 2, 3, 4]);
    (0..count).map(|_| terms(dice, asked)).collect()
}

pub(crate) fn terms(dice: &mut Dice, asked: &Use) -> Terms {
    let vocabulary = if dice.in_hundred(30) { Vocabulary::RESEARCH } else { Vocabulary::CARE };
    let base = if dice.in_hundred(15) { Base::Permit } else { Base::Deny };
    let count = dice.one(&[0, 1, 1, 2, 2, 3, 4]);
    let rules = (0..count).map(|_| {
        let mut rule = rule(dice, asked, vocabulary);
        if base == Base::Permit && rule.effect == Effect::Permit && rule.action == Action::Aggregate {
            // Permitted already.
            rule.action = Action::Recontact;
        }
        rule
    });
    Terms { vocabulary, base, rules: rules.collect(), policy_uri: String::new() }
}

/// A rule as a document of this vocabulary may have it.
pub(crate) fn rule(dice: &mut Dice, asked: &Use, vocabulary: Vocabulary) -> Rule {
    let effect = if dice.in_hundred(75) { Effect::Permit } else { Effect::Deny };
    let wanted = if dice.in_hundred(90) { asked.action } else { dice.one(&Action::ALL) };
    let action = if vocabulary.has(&wanted) { wanted } else { Action::Aggregate };
    let is_permit = effect == Effect::Permit;
    let form = match (action, is_permit) {
        (Action::Retrieve, true) => Some(RECORDS[dice.below(4).max(dice.below(4))]),
        (Action::Retrieve, false) => dice.in_hundred(60).then(|| dice.one(&RECORDS)),
        _ => None,
    };
    let modifiers = if is_permit && vocabulary == Vocabulary::CARE { modifiers(dice) } else { Vec::new() };
    static WORDS: LazyLock<[Purpose; 11]> = LazyLock::new(|| PURPOSES.map(purpose));
    const WIDE: [Purpose; 3] = [Purpose::NoRestriction, Purpose::GeneralResearch, Purpose::HealthResearch];
    let words = |dice: &mut Dice, most: usize| -> Vec<Purpose> {
        let of = WORDS.iter().chain(&asked.purposes).chain(if is_permit { &WIDE[..] } else { &[] });
        let of: Vec<Purpose> = of.filter(|word| vocabulary.has(*word)).cloned().collect();
        dice.some(&of, most)
    };
    let purposes = match dice.in_hundred(if is_permit { 30 } else { 10 }) {
        true => Scope::Any,
        false => Scope::Only(words(dice, if is_permit { 4 } else { 2 })),
    };
    let recipients = [
        Recipient::Organisation(dice.one(&organisations())),
        Recipient::Researcher(researcher(dice.one(&[1, 2]))),
        Recipient::Hospital(hospital(dice.one(&[1, 2]))),
        Recipient::Study(study(dice.one(&[1, 2]))),
    ];
    let laws: Vec<Jurisdiction> = Jurisdiction::ALL.into_iter().filter(|law| vocabulary.has(law)).collect();
    let domains: Vec<Domain> = Domain::ALL.into_iter().filter(|domain| vocabulary.has(domain)).collect();
    Rule {
        effect,
        action,
        form,
        purposes,
        modifiers,
        recipients: if dice.in_hundred(80) { Scope::Any } else { Scope::Only(dice.some(&recipients, 2)) },
        jurisdiction: dice.in_hundred(25).then(|| dice.one(&laws)),
        data: if dice.in_hundred(40) { Scope::Any } else { Scope::Only(dice.some(&domains, 8)) },
        labels: if dice.in_hundred(80) { Scope::Any } else { Scope::Only(dice.some(&Label::ALL, 4)) },
        valid: if dice.in_hundred(85) { Window::UNBOUNDED } else { window(dice, TODAY - 2) },
        window: if dice.in_hundred(50) { Window::UNBOUNDED } else { window(dice, 0) },
    }
}

/// A window with ends within [`DAYS`] from a day on. One in fifty ends before it begins, as no document's may.
fn window(dice: &mut Dice, first: i32) -> Window {
    let end = |dice: &mut Dice| dice.in_hundred(60).then(|| day(first + dice.below(DAYS.len()) as i32));
    let (one, other) = (end(dice), end(dice));
    match (one, other) {
        (Some(from), Some(to)) if to < from && !dice.in_hundred(4) => Window { from: other, to: one },
        _ => Window { from: one, to: other },
    }
}

fn modifiers(dice: &mut Dice) -> Vec<Modifier> {
    let count = dice.one(&[0, 0, 0, 0, 0, 1, 1, 2, 3]);
    let mut list: Vec<Modifier> = Vec::new();
    for _ in 0..count {
        let kind = dice.one(&ModifierKind::ALL);
        let modifier = modifier(dice, kind);
        if list.iter().all(|other| other.kind() != kind) {
            list.push(modifier);
        }
    }
    list
}

fn modifier(dice: &mut Dice, kind: ModifierKind) -> Modifier {
    let pair = names();
    match kind {
        ModifierKind::NonProfitOrganisation => Modifier::NonProfitOrganisation,
        ModifierKind::NonCommercialUse => Modifier::NonCommercialUse,
        ModifierKind::NonProfitNonCommercial => Modifier::NonProfitNonCommercial,
        ModifierKind::NoMethodsOnly => Modifier::NoMethodsOnly,
        ModifierKind::NoAncestry => Modifier::NoAncestry,
        ModifierKind::GeneticOnly => Modifier::GeneticOnly,
        ModifierKind::Places => Modifier::Places(dice.some(&["DE", "FR", "US"].map(country), 3)),
        ModifierKind::Ethics => Modifier::Ethics,
        ModifierKind::Publication => Modifier::Publication,
        ModifierKind::Collaboration => {
            let lists = [vec![pair[0].clone()], vec![pair[1].clone()], pair.to_vec()];
            Modifier::Collaboration(dice.one(&lists))
        }
        ModifierKind::Return => Modifier::Return,
        ModifierKind::Moratorium => Modifier::Moratorium(dice.in_hundred(70).then(|| day(dice.below(5) as i32))),
        ModifierKind::Users => Modifier::Users(dice.some(&[researcher(1), researcher(2)], 2)),
        ModifierKind::Projects => Modifier::Projects(dice.some(&[study(1), study(2)], 2)),
        ModifierKind::Institutions => Modifier::Institutions(dice.some(&organisations(), 2)),
        ModifierKind::Specific => Modifier::Specific(dice.one(&descriptions())),
    }
}
