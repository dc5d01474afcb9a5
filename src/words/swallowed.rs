//! Permits of which denies that hold at the same time leave nothing.

use consilium_protocol::consent::{
    DiseaseTree, Domain, Effect, Form, Jurisdiction, Label, Purpose, Rule, Scope, Vocabulary, Window,
};

/// A rule with the words that there were when it was written.
#[derive(Clone, Copy)]
pub(super) struct Meant<'a> {
    pub(super) rule: &'a Rule,
    pub(super) vocabulary: Vocabulary,
}

/// Whether denies forbid all that a permit allows: of every purpose, class of data and sensitivity each some deny. What is
/// said is certain; denies that only together leave no recipient or no day are not seen.
pub(super) fn is_swallowed(permit: &Meant<'_>, denies: &[&Rule], diseases: &DiseaseTree) -> bool {
    let Meant { rule, vocabulary } = permit;
    let near: Vec<&Rule> = denies.iter().copied().filter(|deny| is_about_all_uses_of(deny, rule)).collect();
    let purposes = match &rule.purposes {
        Scope::Any => [Purpose::NoRestriction, Purpose::GeneralResearch, Purpose::Care, Purpose::EmergencyCare]
            .into_iter()
            .filter(|purpose| vocabulary.has(purpose))
            .collect(),
        Scope::Only(purposes) => purposes.clone(),
    };
    let classes = || Domain::ALL.into_iter().filter(|class| vocabulary.has(class) && covers(&rule.data, class));
    let labels = || Label::ALL.into_iter().filter(|label| covers(&rule.labels, label));
    purposes.iter().all(|purpose| {
        let of_purpose = |deny: &&&Rule| deny.purposes.covers(|denied| takes_all(denied, purpose, diseases));
        classes().all(|class| {
            labels().all(|label| {
                let mut of_data = near.iter().filter(of_purpose);
                of_data.any(|deny| covers(&deny.data, &class) && covers(&deny.labels, &label))
            })
        })
    })
}

fn covers<T: PartialEq>(scope: &Scope<T>, word: &T) -> bool {
    scope.covers(|of| of == word)
}

/// Whether a deny is about every use that a permit is for, their purposes and data apart.
fn is_about_all_uses_of(deny: &Rule, permit: &Rule) -> bool {
    let recipients = match (&deny.recipients, &permit.recipients) {
        (Scope::Any, _) => true,
        (Scope::Only(_), Scope::Any) => false,
        (Scope::Only(denied), Scope::Only(permitted)) => permitted.iter().all(|one| denied.contains(one)),
    };
    deny.effect == Effect::Deny
        && deny.action == permit.action
        && deny.form.is_none_or(|first| first <= Form::SafeHarbour)
        && deny.jurisdiction.is_none_or(|first| first == Jurisdiction::Gdpr)
        && recipients
        && contains(&deny.valid, &permit.valid)
        // What has no date is left by every other.
        && deny.window == Window::UNBOUNDED
}

fn contains(outer: &Window, inner: &Window) -> bool {
    let begins = outer.from.is_none_or(|outer| inner.from.is_some_and(|inner| outer <= inner));
    let ends = outer.to.is_none_or(|outer| inner.to.is_some_and(|inner| inner <= outer));
    begins && ends
}

/// Whether a deny of one purpose forbids every use that a permit of another allows.
fn takes_all(denied: &Purpose, permitted: &Purpose, diseases: &DiseaseTree) -> bool {
    use Purpose::{Ancestry, Care, DiseaseResearch, EmergencyCare, GeneralResearch, HealthResearch, NoRestriction};
    match (denied, permitted) {
        (NoRestriction | GeneralResearch, permitted) => permitted.is_research(),
        (HealthResearch, HealthResearch | DiseaseResearch(_)) => true,
        (DiseaseResearch(denied), DiseaseResearch(permitted)) => diseases.is_within(permitted, denied),
        (Ancestry, Ancestry) | (Care, Care | EmergencyCare) | (EmergencyCare, EmergencyCare) => true,
        (HealthResearch | DiseaseResearch(_) | Ancestry | Care | EmergencyCare, _) => false,
    }
}
