//! What of a hospital's patients needs somebody soon: consents and delegations that end, keys that wait for the desk.

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::{Base, Effect, Terms};
use consilium_protocol::ids::{Date, HospitalId, SubjectId};
use consilium_protocol::tx::DelegateRole;
use serde::Serialize;

use super::State;
use super::consent::{More, Subject};

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// Keys are frozen, or the old one objects to the new one: the desk decides.
    Decision,
    /// After this day nothing that was permitted holds any more.
    ConsentEnds(Date),
    /// After this day a guardian no longer signs.
    GuardianEnds(Date),
    /// After this day a proxy no longer signs.
    ProxyEnds(Date),
}

impl State {
    /// What is due of a hospital's subjects until a day, in the order of their names.
    pub fn due(&self, hospital: &HospitalId, until: Date) -> Vec<(SubjectId, Due)> {
        let today = self.time().date();
        let mut due = Vec::new();
        for (name, subject) in self.subjects_of(hospital) {
            if let Some(end) = self.last_day(subject).filter(|end| (today..=until).contains(end)) {
                due.push((name, Due::ConsentEnds(end)));
            }
            if let Some(more) = &subject.more {
                due.extend(due_of(more, today, until).into_iter().map(|due| (name, due)));
            }
        }
        due
    }

    /// The last day on which anything that a subject permits holds; none where nothing is permitted, or something for ever.
    fn last_day(&self, subject: &Subject) -> Option<Date> {
        let mut last = None;
        for document in subject.current() {
            let terms: &Terms = self.terms(&document.terms)?;
            if terms.base == Base::Permit {
                return None;
            }
            for rule in terms.rules.iter().filter(|rule| rule.effect == Effect::Permit) {
                last = last.max(Some(rule.valid.to?));
            }
        }
        last
    }
}

fn due_of(more: &More, today: Date, until: Date) -> Vec<Due> {
    let mut due = Vec::new();
    let objects = more.rotation.as_ref().is_some_and(|rotation| rotation.objected.is_some());
    if objects || (more.frozen.is_some() && more.rotation.is_none()) {
        due.push(Due::Decision);
    }
    for delegation in more.delegations.iter().filter(|delegation| delegation.holds_on(today)) {
        match (delegation.role, delegation.until.filter(|end| *end <= until)) {
            (DelegateRole::Guardian { .. }, Some(end)) => due.push(Due::GuardianEnds(end)),
            (DelegateRole::Proxy, Some(end)) => due.push(Due::ProxyEnds(end)),
            (DelegateRole::Device, _) | (_, None) => {}
        }
    }
    due
}
