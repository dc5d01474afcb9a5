//! Whether a permit covers a use, and whether a deny touches it, by what the use is for: GA4GH DUO, as DUOS matches it.
//!
//! Source: the matching table of DUOS (DataBiosphere/consent-ontology, version 4), with these differences. Where no
//! permission is granted, the answer is no. A plain no comes before what a person has to decide. A grant for ancestry does
//! not open the development of methods. NMDS, NPOA, GS and IRB are decided here.

use std::collections::BTreeSet;

use super::asked::{Condition, Obligation, Promise, Trait, Use};
use super::modifier::{Modifier, ModifierKind};
use super::vocabulary::Vocabulary;
use super::{Disease, DiseaseTree, Purpose, Scope};

/// What a use is, for the table: a use may be several, and each must be allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aim<'a> {
    /// One of its purposes.
    For(&'a Purpose),
    /// The development of methods, for these diseases.
    Methods { diseases: Vec<&'a Disease>, ancestry: bool },
    /// Patients as controls, for these diseases.
    Controls { diseases: Vec<&'a Disease> },
    /// Research on origins or ancestry.
    Ancestry,
}

/// What a use is. Care is never anything of a study.
pub(super) fn aims(asked: &Use) -> Vec<Aim<'_>> {
    let diseases = || -> Vec<&Disease> {
        let of = |purpose: &'_ Purpose| matches!(purpose, Purpose::DiseaseResearch(_));
        let named = asked.purposes.iter().filter(|purpose| of(purpose));
        named
            .filter_map(|purpose| if let Purpose::DiseaseResearch(disease) = purpose { Some(disease) } else { None })
            .collect()
    };
    let declared = &asked.declared;
    let ancestry = declared.is(Trait::Ancestry) || asked.purposes.contains(&Purpose::Ancestry);
    let mut aims: Vec<Aim<'_>> = Vec::new();
    for purpose in &asked.purposes {
        match purpose {
            Purpose::Ancestry => {}
            // The development of methods is what it is for, and not what the methods are for.
            purpose if purpose.is_research() && declared.is(Trait::MethodsOnly) => {}
            purpose => aims.push(Aim::For(purpose)),
        }
    }
    if declared.is(Trait::MethodsOnly) {
        aims.push(Aim::Methods { diseases: diseases(), ancestry });
    }
    if ancestry {
        aims.push(Aim::Ancestry);
    }
    if declared.is(Trait::ControlSet) {
        aims.push(Aim::Controls { diseases: diseases() });
    }
    aims
}

/// Whether a permit covers a use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Its purposes do not.
    OtherPurpose,
    /// A modifier does not.
    Refused(ModifierKind),
    /// It does, if a person finds this met, and with what the study then owes.
    Covers { conditions: BTreeSet<Condition>, obligations: BTreeSet<Obligation> },
}

/// Whether a permit for these purposes, bound to these modifiers, covers a use.
pub(super) fn fit(
    purposes: &Scope<Purpose>,
    modifiers: &[Modifier],
    vocabulary: Vocabulary,
    aim: &Aim<'_>,
    asked: &Use,
    diseases: &DiseaseTree,
) -> Fit {
    let granted = |purpose: &Purpose| permission(purpose, aim, diseases);
    // Of several permissions one is enough, and the one that asks for least counts.
    let best = match purposes {
        Scope::Any => [Purpose::NoRestriction, Purpose::GeneralResearch, Purpose::Care, Purpose::EmergencyCare]
            .iter()
            .filter(|purpose| vocabulary.has(*purpose))
            .map(granted)
            .max(),
        Scope::Only(list) => list.iter().map(granted).max(),
    };
    let mut conditions = BTreeSet::new();
    match best {
        None | Some(Permission::No) => return Fit::OtherPurpose,
        Some(Permission::IfTicked) => {
            conditions.insert(Condition::ControlSet);
        }
        Some(Permission::Yes) => {}
    }
    let mut obligations = BTreeSet::new();
    for modifier in modifiers {
        match verdict(modifier, purposes, asked, diseases) {
            Verdict::Met => {}
            Verdict::Refused => return Fit::Refused(modifier.kind()),
            Verdict::If(condition) => {
                conditions.insert(condition);
            }
            Verdict::Owes(obligation) => {
                obligations.insert(obligation);
            }
        }
    }
    if is_research(aim) {
        let sensitive = asked.declared.traits.iter().filter(|of| of.is_sensitive());
        conditions.extend(sensitive.map(|of| Condition::Sensitive(*of)));
    }
    Fit::Covers { conditions, obligations }
}

fn is_research(aim: &Aim<'_>) -> bool {
    match aim {
        Aim::For(purpose) => purpose.is_research(),
        Aim::Methods { .. } | Aim::Controls { .. } | Aim::Ancestry => true,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Permission {
    No,
    IfTicked,
    Yes,
}

fn yes_if(allowed: bool) -> Permission {
    if allowed { Permission::Yes } else { Permission::No }
}

/// What one permission says to a use.
fn permission(granted: &Purpose, aim: &Aim<'_>, tree: &DiseaseTree) -> Permission {
    // There must be one: research on nothing in particular is not research on a disease.
    let all_within = |asked: &[&Disease], disease: &Disease| {
        yes_if(!asked.is_empty() && asked.iter().all(|one| tree.is_within(one, disease)))
    };
    match (granted, aim) {
        (Purpose::NoRestriction | Purpose::GeneralResearch, Aim::For(asked)) => yes_if(asked.is_research()),
        (Purpose::NoRestriction | Purpose::GeneralResearch, Aim::Methods { .. } | Aim::Ancestry) => Permission::Yes,
        (Purpose::HealthResearch, Aim::For(Purpose::HealthResearch | Purpose::DiseaseResearch(_))) => Permission::Yes,
        (Purpose::HealthResearch, Aim::Methods { .. }) => Permission::Yes,
        (Purpose::NoRestriction | Purpose::GeneralResearch | Purpose::HealthResearch, Aim::Controls { .. }) => {
            Permission::IfTicked
        }
        (Purpose::DiseaseResearch(disease), Aim::For(Purpose::DiseaseResearch(asked))) => all_within(&[asked], disease),
        (Purpose::DiseaseResearch(disease), Aim::Methods { diseases, .. } | Aim::Controls { diseases }) => {
            all_within(diseases, disease)
        }
        (Purpose::Ancestry, Aim::Ancestry) => Permission::Yes,
        (Purpose::Ancestry, Aim::Methods { ancestry, .. }) => yes_if(*ancestry),
        (Purpose::Care, Aim::For(Purpose::Care)) | (Purpose::EmergencyCare, Aim::For(Purpose::EmergencyCare)) => {
            Permission::Yes
        }
        (
            Purpose::HealthResearch
            | Purpose::DiseaseResearch(_)
            | Purpose::Ancestry
            | Purpose::Care
            | Purpose::EmergencyCare,
            _,
        ) => Permission::No,
    }
}

enum Verdict {
    Met,
    Refused,
    If(Condition),
    Owes(Obligation),
}

fn met_if(met: bool) -> Verdict {
    if met { Verdict::Met } else { Verdict::Refused }
}

fn verdict(modifier: &Modifier, purposes: &Scope<Purpose>, asked: &Use, tree: &DiseaseTree) -> Verdict {
    let (by, declared) = (&asked.by, &asked.declared);
    // What is said of studies says nothing of care, but a consent to studies alone is none to care.
    let is_study = asked.study.is_some();
    // Who asks for research without a study has not declared that it is not commercial.
    let undeclared = !is_study && asked.purposes.iter().any(Purpose::is_research);
    let commercial = declared.is(Trait::Commercial) || undeclared;
    match modifier {
        Modifier::NonProfitOrganisation => met_if(!by.establishment.for_profit),
        Modifier::NonCommercialUse => met_if(!commercial),
        Modifier::NonProfitNonCommercial => met_if(!commercial && !by.establishment.for_profit),
        Modifier::Places(places) => met_if(places.contains(&by.establishment.country)),
        Modifier::Users(users) => met_if(by.researcher.is_some_and(|researcher| users.contains(&researcher))),
        Modifier::Institutions(names) => met_if(names.contains(&by.organisation)),
        Modifier::Specific(text) => Verdict::If(Condition::Specific(text.clone())),
        Modifier::Projects(studies) => met_if(asked.study.is_some_and(|study| studies.contains(&study))),
        _ if !is_study => Verdict::Met,
        Modifier::NoMethodsOnly => {
            met_if(!declared.is(Trait::MethodsOnly) || is_of_granted_disease(purposes, asked, tree))
        }
        Modifier::NoAncestry => met_if(!declared.is(Trait::Ancestry) && !asked.purposes.contains(&Purpose::Ancestry)),
        Modifier::GeneticOnly => met_if(declared.is(Trait::Genetic)),
        Modifier::Ethics if declared.ethics.is_some() => Verdict::If(Condition::Ethics),
        Modifier::Ethics => Verdict::Refused,
        Modifier::Publication if declared.promises(Promise::Publication) => Verdict::Owes(Obligation::Publication),
        Modifier::Publication => Verdict::Refused,
        Modifier::Collaboration(whom) if whom.iter().all(|one| declared.collaborators.contains(one)) => {
            Verdict::If(Condition::Collaboration(whom.clone()))
        }
        Modifier::Collaboration(_) => Verdict::Refused,
        Modifier::Return if declared.promises(Promise::Return) => Verdict::Owes(Obligation::Return),
        Modifier::Return => Verdict::Refused,
        Modifier::Moratorium(None) => Verdict::If(Condition::Moratorium),
        Modifier::Moratorium(Some(date)) => match declared.publishes_from {
            Some(from) if from >= *date => Verdict::Owes(Obligation::Moratorium(*date)),
            _ => Verdict::Refused,
        },
    }
}

/// Whether the diseases that a use names are all granted by name: then methods for them are research on them.
fn is_of_granted_disease(purposes: &Scope<Purpose>, asked: &Use, tree: &DiseaseTree) -> bool {
    let Scope::Only(granted) = purposes else { return false };
    let is_within = |disease: &Disease| {
        let covers = |one: &Purpose| matches!(one, Purpose::DiseaseResearch(own) if tree.is_within(disease, own));
        granted.iter().any(covers)
    };
    let mut named = asked.purposes.iter().filter_map(|purpose| match purpose {
        Purpose::DiseaseResearch(disease) => Some(disease),
        _ => None,
    });
    let (first, mut rest) = (named.next(), named);
    first.is_some_and(is_within) && rest.all(is_within)
}

/// Whether a deny for these purposes touches a use: as soon as they have anything in common. `any` is everything, words
/// that came later too.
pub(super) fn touches(purposes: &Scope<Purpose>, asked: &Use, diseases: &DiseaseTree) -> bool {
    let declared = &asked.declared;
    let hits = |denied: &Purpose| {
        let methods = declared.is(Trait::MethodsOnly) && matches!(denied, Purpose::HealthResearch);
        let ancestry = declared.is(Trait::Ancestry) && matches!(denied, Purpose::Ancestry);
        methods || ancestry || asked.purposes.iter().any(|purpose| overlaps(denied, purpose, diseases))
    };
    purposes.covers(hits)
}

fn overlaps(denied: &Purpose, asked: &Purpose, tree: &DiseaseTree) -> bool {
    use Purpose::{Ancestry, Care, DiseaseResearch, EmergencyCare, GeneralResearch, HealthResearch, NoRestriction};
    match (denied, asked) {
        (NoRestriction | GeneralResearch, asked) => asked.is_research(),
        // Which is everything.
        (denied, NoRestriction) => denied.is_research(),
        (HealthResearch, GeneralResearch | HealthResearch | DiseaseResearch(_)) => true,
        (DiseaseResearch(_), GeneralResearch | HealthResearch) => true,
        (DiseaseResearch(denied), DiseaseResearch(asked)) => tree.is_in_line(denied, asked),
        (Ancestry, GeneralResearch | Ancestry) => true,
        (Care, Care | EmergencyCare) => true,
        (EmergencyCare, EmergencyCare) => true,
        (HealthResearch | DiseaseResearch(_) | Ancestry | Care | EmergencyCare, _) => false,
    }
}
