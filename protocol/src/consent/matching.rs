//! Whether a permit covers a use, and whether a deny touches it, by what the use is for: GA4GH DUO, as DUOS matches it.
//!
//! Source: the matching table of DUOS (DataBiosphere/consent-ontology, version 4), with these differences. Where no
//! permission is granted, the answer is no. A plain no comes before what a person has to decide. A grant for ancestry does
//! not open the development of methods. NMDS, NPOA, GS and IRB are decided here.
//!
//! Where the table is silent, the answer is the closed one:
//! - Methods, and controls, are asked for by each purpose of the study. A grant for one disease covers those for that
//!   disease, and not those for what the study is for beside it; so no study gains by naming one purpose more.
//! - Of several permissions of one permit each is bound to NMDS by itself: methods for a disease that it grants by name are
//!   open under that name alone.
//! - NRES is granted and never asked for. A use without a purpose is for nothing that anybody grants.
//! - `any`, and silence under an opt-out, open no purpose that is a later word than the document, though one of the words
//!   that there were would cover it: ancestry, under general research. Who wrote that word granted all that it means.
//! - Research without a study has declared nothing. What studies are asked to declare counts against it: it is commercial,
//!   and meets no modifier on studies. Care declares nothing either, but is neither research nor commercial by itself.
//! - PS is met in its studies alone, so a permit that is bound to it opens no care.
//! - A modifier without its list, its text or the committee's name is not met.

use std::collections::BTreeSet;

use super::asked::{Condition, EthicsApproval, Obligation, Promise, Trait, Use};
use super::modifier::{Modifier, ModifierKind};
use super::vocabulary::Vocabulary;
use super::{Disease, DiseaseTree, Purpose, Scope};

/// What a use is, for the table: a use may be several, and each must be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aim<'a> {
    /// One of its purposes.
    For(&'a Purpose),
    /// The development of methods for one of its purposes.
    Methods { purpose: &'a Purpose, ancestry: bool },
    /// Patients as controls for one of its purposes.
    Controls(&'a Purpose),
    /// Research on origins or ancestry.
    Ancestry,
}

impl Aim<'_> {
    fn purpose(&self) -> &Purpose {
        match self {
            Self::For(purpose) | Self::Methods { purpose, .. } | Self::Controls(purpose) => purpose,
            Self::Ancestry => &Purpose::Ancestry,
        }
    }

    const fn is_research(&self) -> bool {
        match self {
            Self::For(purpose) => purpose.is_research(),
            Self::Methods { .. } | Self::Controls(_) | Self::Ancestry => true,
        }
    }
}

/// What a use is; nothing, if it has no purpose.
pub(super) fn aims(asked: &Use) -> Vec<Aim<'_>> {
    let is = |of| asked.declared.is(of);
    let mut aims = Vec::new();
    for purpose in &asked.purposes {
        let is_ancestry = *purpose == Purpose::Ancestry;
        // The development of methods is what it is for, and not what the methods are for.
        let is_instead = is(Trait::MethodsOnly) && purpose.is_research() && *purpose != Purpose::NoRestriction;
        if !is_ancestry && !is_instead {
            aims.push(Aim::For(purpose));
        }
        if is(Trait::MethodsOnly) {
            aims.push(Aim::Methods { purpose, ancestry: is_ancestry || is(Trait::Ancestry) });
        }
        if is(Trait::ControlSet) {
            aims.push(Aim::Controls(purpose));
        }
    }
    if asked.purposes.contains(&Purpose::Ancestry) || (is(Trait::Ancestry) && !asked.purposes.is_empty()) {
        aims.push(Aim::Ancestry);
    }
    aims
}

/// Whether a use is research, by what it is for or by what it declares to be.
fn is_research(asked: &Use) -> bool {
    let declared = [Trait::MethodsOnly, Trait::Ancestry, Trait::ControlSet];
    asked.purposes.iter().any(Purpose::is_research) || declared.into_iter().any(|of| asked.declared.is(of))
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

/// What `any` grants, as far as the document's vocabulary has it.
const ANY: [Purpose; 4] = [Purpose::NoRestriction, Purpose::GeneralResearch, Purpose::Care, Purpose::EmergencyCare];

/// Whether a permit for these purposes, bound to these modifiers, covers a use.
pub(super) fn fit(
    purposes: &Scope<Purpose>,
    modifiers: &[Modifier],
    vocabulary: Vocabulary,
    aim: &Aim<'_>,
    asked: &Use,
    diseases: &DiseaseTree,
) -> Fit {
    let is_any = *purposes == Scope::Any;
    let granted: &[Purpose] = if let Scope::Only(list) = purposes { list } else { &ANY };
    let is_meant = |word: &Purpose| !is_any || (vocabulary.has(word) && vocabulary.has(aim.purpose()));
    let no_methods = asked.declared.is(Trait::MethodsOnly) && modifiers.contains(&Modifier::NoMethodsOnly);
    // Of several permissions one is enough, and the one that asks for least counts.
    let (mut best, mut unbound) = (Permission::No, Permission::No);
    for word in granted.iter().filter(|word| is_meant(word)) {
        let permission = permission(word, aim, diseases);
        unbound = unbound.max(permission);
        if !no_methods || matches!(word, Purpose::DiseaseResearch(_)) {
            best = best.max(permission);
        }
    }
    let mut conditions = BTreeSet::new();
    match best {
        Permission::No if unbound == Permission::No => return Fit::OtherPurpose,
        Permission::No => return Fit::Refused(ModifierKind::NoMethodsOnly),
        Permission::IfTicked => {
            conditions.insert(Condition::ControlSet);
        }
        Permission::Yes => {}
    }
    let mut obligations = BTreeSet::new();
    for modifier in modifiers {
        match verdict(modifier, asked) {
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
    if aim.is_research() {
        let sensitive = asked.declared.traits.iter().filter(|of| of.is_sensitive());
        conditions.extend(sensitive.map(|of| Condition::Sensitive(*of)));
    }
    Fit::Covers { conditions, obligations }
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
    let is_within = |asked: &Purpose, granted: &Disease| match asked {
        Purpose::DiseaseResearch(disease) => yes_if(tree.is_within(disease, granted)),
        _ => Permission::No,
    };
    match (granted, aim) {
        // What is granted, never what is asked for.
        (_, Aim::For(Purpose::NoRestriction)) => Permission::No,
        (Purpose::NoRestriction | Purpose::GeneralResearch, Aim::For(asked)) => yes_if(asked.is_research()),
        (Purpose::NoRestriction | Purpose::GeneralResearch, Aim::Methods { .. } | Aim::Ancestry) => Permission::Yes,
        (Purpose::HealthResearch, Aim::For(Purpose::HealthResearch | Purpose::DiseaseResearch(_))) => Permission::Yes,
        (Purpose::HealthResearch, Aim::Methods { .. }) => Permission::Yes,
        (Purpose::NoRestriction | Purpose::GeneralResearch | Purpose::HealthResearch, Aim::Controls(_)) => {
            Permission::IfTicked
        }
        (
            Purpose::DiseaseResearch(own),
            Aim::For(asked) | Aim::Methods { purpose: asked, .. } | Aim::Controls(asked),
        ) => is_within(asked, own),
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

fn verdict(modifier: &Modifier, asked: &Use) -> Verdict {
    let (by, declared) = (&asked.by, &asked.declared);
    let (is_study, is_research) = (asked.study.is_some(), is_research(asked));
    let commercial = declared.is(Trait::Commercial) || (is_research && !is_study);
    match modifier {
        Modifier::NonProfitOrganisation => met_if(!by.establishment.for_profit),
        Modifier::NonCommercialUse => met_if(!commercial),
        Modifier::NonProfitNonCommercial => met_if(!commercial && !by.establishment.for_profit),
        Modifier::Places(places) => met_if(places.contains(&by.establishment.country)),
        Modifier::Users(users) => met_if(by.researcher.is_some_and(|researcher| users.contains(&researcher))),
        Modifier::Institutions(names) => met_if(names.contains(&by.organisation)),
        Modifier::Specific(text) if text.trim().is_empty() => Verdict::Refused,
        Modifier::Specific(text) => Verdict::If(Condition::Specific(text.clone())),
        Modifier::Projects(studies) => met_if(asked.study.is_some_and(|study| studies.contains(&study))),
        // What is said of studies says nothing of care, and research without a study has declared nothing.
        _ if !is_study => met_if(!is_research),
        // Decided with the permission: it is met by one for the disease that the methods are for.
        Modifier::NoMethodsOnly => Verdict::Met,
        Modifier::NoAncestry => met_if(!declared.is(Trait::Ancestry) && !asked.purposes.contains(&Purpose::Ancestry)),
        Modifier::GeneticOnly => met_if(declared.is(Trait::Genetic)),
        Modifier::Ethics if declared.ethics.as_ref().is_some_and(EthicsApproval::is_named) => {
            Verdict::If(Condition::Ethics)
        }
        Modifier::Ethics => Verdict::Refused,
        Modifier::Publication if declared.promises(Promise::Publication) => Verdict::Owes(Obligation::Publication),
        Modifier::Publication => Verdict::Refused,
        Modifier::Collaboration(whom)
            if !whom.is_empty() && whom.iter().all(|one| declared.collaborators.contains(one)) =>
        {
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

/// Whether a deny for these purposes touches a use: as soon as they have anything in common. `any` is everything, words
/// that came later too.
pub(super) fn touches(purposes: &Scope<Purpose>, asked: &Use, diseases: &DiseaseTree) -> bool {
    let hits = |denied: &Purpose| {
        let declared = match denied {
            Purpose::NoRestriction | Purpose::GeneralResearch => is_research(asked),
            Purpose::HealthResearch => asked.declared.is(Trait::MethodsOnly),
            Purpose::Ancestry => asked.declared.is(Trait::Ancestry),
            Purpose::DiseaseResearch(_) | Purpose::Care | Purpose::EmergencyCare => false,
        };
        declared || asked.purposes.iter().any(|purpose| overlaps(denied, purpose, diseases))
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
