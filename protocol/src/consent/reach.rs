//! How many of a hospital's patients a use may count, and what keeps the others out.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Condition, Decision, Domain, Obligation, Reason};

/// What consent says to a use, over all subjects of a hospital.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reach {
    /// How many subjects there are.
    pub subjects: u64,
    /// Of how many anything may be read.
    pub open: u64,
    /// Of how many anything of a domain may be read.
    pub by_domain: BTreeMap<Domain, u64>,
    /// What keeps how many out.
    pub reasons: BTreeMap<Reason, u64>,
    /// What the hospital has to find met for consents that cover the use, with how many subjects have such a consent.
    pub conditions: BTreeMap<Condition, u64>,
    /// What the study owes for consents that cover the use.
    pub obligations: BTreeSet<Obligation>,
}

impl Reach {
    /// Adds subjects of whom the same was decided.
    pub fn add(&mut self, decision: &Decision, subjects: u64) {
        self.subjects += subjects;
        for (domain, _) in decision.allowed.iter() {
            *self.by_domain.entry(domain).or_default() += subjects;
        }
        match decision.why_not() {
            None => self.open += subjects,
            Some(reason) => *self.reasons.entry(reason).or_default() += subjects,
        }
        for condition in &decision.conditions {
            *self.conditions.entry(condition.clone()).or_default() += subjects;
        }
        self.obligations.extend(&decision.obligations);
    }

    /// The most frequent reasons, the first first.
    pub fn most_frequent(&self, how_many: usize) -> Vec<(Reason, u64)> {
        let mut reasons: Vec<(Reason, u64)> = self.reasons.iter().map(|(reason, count)| (*reason, *count)).collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        reasons.truncate(how_many);
        reasons
    }
}
