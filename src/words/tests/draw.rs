//! Random documents.

use consilium_protocol::consent::{
    Action, Base, Country, Disease, Domain, Effect, Form, Jurisdiction, Label, Modifier, Purpose, Recipient, Rule,
    Scope, Terms, Vocabulary, Window,
};
use consilium_protocol::ids::{Date, HospitalId, ResearcherId, StudyId};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Draws from a seed.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One or more of these, in some order, each once.
    pub(super) fn some_of<T: Clone>(&mut self, of: &[T], most: usize) -> Vec<T> {
        let mut left = of.to_vec();
        let count = 1 + self.below(most.min(of.len()));
        (0..count).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }

    pub(super) fn scope<T: Clone>(&mut self, of: &[T], most: usize) -> Scope<T> {
        if self.chance(40) { Scope::Any } else { Scope::Only(self.some_of(of, most)) }
    }

    pub(super) fn day(&mut self) -> Date {
        Date::from_days(14_000 + self.below(12_000) as i32)
    }

    fn period(&mut self) -> Window {
        let (one, other) = (self.day(), self.day());
        let (from, to) = (one.min(other), one.max(other));
        match self.below(5) {
            0 => Window { from: Some(from), to: None },
            1 => Window { from: None, to: Some(to) },
            2 => Window { from: Some(from), to: Some(to) },
            _ => Window::UNBOUNDED,
        }
    }

    fn modifier(&mut self, which: usize) -> Modifier {
        let country = |code: &str| -> Country { code.parse().expect("a country") };
        let names = ["University of X", "Society {list}", "Dr. Müller & Cie"].map(str::to_string);
        match which {
            0 => Modifier::NonProfitOrganisation,
            1 => Modifier::NonCommercialUse,
            2 => Modifier::NonProfitNonCommercial,
            3 => Modifier::NoMethodsOnly,
            4 => Modifier::NoAncestry,
            5 => Modifier::GeneticOnly,
            6 => Modifier::Places(self.some_of(&["DE", "FR", "CH", "US"].map(country), 4)),
            7 => Modifier::Ethics,
            8 => Modifier::Publication,
            9 => Modifier::Collaboration(self.some_of(&names, 3)),
            10 => Modifier::Return,
            11 => Modifier::Moratorium(self.chance(50).then(|| self.day())),
            12 => Modifier::Users(self.some_of(&[2, 3].map(|byte| ResearcherId::from_public_key([byte; 32])), 2)),
            13 => Modifier::Projects(self.some_of(&[4, 5].map(|byte| StudyId::from_bytes([byte; 32])), 2)),
            14 => Modifier::Institutions(self.some_of(&names, 3)),
            _ => Modifier::Specific("heart  failure\nafter  {treatment}".to_string()),
        }
    }

    pub(super) fn purposes(&mut self) -> Vec<Purpose> {
        let disease = |code| Purpose::DiseaseResearch(Disease::new(code).expect("a code"));
        let all = [
            Purpose::NoRestriction,
            Purpose::GeneralResearch,
            Purpose::HealthResearch,
            disease("MONDO:0005015"),
            disease("MONDO:0005148"),
            disease("X:unlisted"),
            Purpose::Ancestry,
            Purpose::Care,
            Purpose::EmergencyCare,
        ];
        self.some_of(&all, 3)
    }

    pub(super) fn recipients(&mut self) -> Scope<Recipient> {
        let all = [
            Recipient::Organisation("University of X".to_string()),
            Recipient::Researcher(ResearcherId::from_public_key([2; 32])),
            Recipient::Hospital(super::north()),
            Recipient::Hospital(HospitalId::from_public_key([9; 32])),
            Recipient::Study(StudyId::from_bytes([4; 32])),
        ];
        self.scope(&all, 3)
    }

    pub(super) fn rule(&mut self) -> Rule {
        let effect = if self.chance(60) { Effect::Permit } else { Effect::Deny };
        let purposes = if self.chance(20) { Scope::Any } else { Scope::Only(self.purposes()) };
        let mut rule = Rule::new(effect, self.one_of(&Action::ALL), purposes);
        if rule.action == Action::Retrieve && (effect == Effect::Permit || self.chance(60)) {
            rule.form = Some(self.one_of(&Form::ALL[1..]));
        }
        if effect == Effect::Permit && self.chance(60) {
            let kinds: Vec<usize> = (0..16).collect();
            rule.modifiers = self.some_of(&kinds, 5).into_iter().map(|kind| self.modifier(kind)).collect();
        }
        rule.recipients = self.recipients();
        rule.jurisdiction = self.chance(60).then(|| self.one_of(&Jurisdiction::ALL));
        rule.data = self.scope(&Domain::ALL, 14);
        rule.labels = if self.chance(60) { Scope::Any } else { self.scope(&Label::ALL, 5) };
        rule.valid = self.period();
        rule.window = self.period();
        rule
    }

    /// Terms that a document may have.
    pub(super) fn terms(&mut self) -> Terms {
        let base = if self.chance(80) { Base::Deny } else { Base::Permit };
        let rules = (0..1 + self.below(4)).map(|_| self.rule()).collect();
        let mut terms = Terms { base, ..Terms::opt_in(rules) };
        terms.rules.retain(|rule| {
            !(base == Base::Permit && rule.effect == Effect::Permit && rule.action == Action::Aggregate)
        });
        if self.chance(30) {
            let older = Terms { vocabulary: Vocabulary::RESEARCH, ..terms.clone() };
            terms = if older.check().is_ok() { older } else { terms };
        }
        assert_eq!(terms.check(), Ok(()), "{terms:?}");
        terms
    }
}
