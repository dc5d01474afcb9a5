//! The broad consent of the German Medical Informatics Initiative (MII).
//!
//! A document denies, and permits or denies policies by their codes, one level deep, each with a period. Policies belong
//! together, and only within one document:
//!
//! | what | is permitted by | valid in the periods of | data of |
//! |---|---|---|---|
//! | research on medical data | .8 with .6 | .8 | the period of .6, or its `dataPeriod` |
//! | and on what was there before | and .45, in a period that meets that of .6 | .8 and .45 | all days up to the end of .6's period |
//! | research on specimens and genomes | .22 with .20 | both | the period of .19, or else of .20 |
//! | and on what was there before | .52 with .51 | both | all days before |
//! | research on insurance data | .13 with .12 | both | five years before, and the period of .15 |
//! | beyond laws that are adequate | and .49, of specimens .55 | these, too | the same |
//! | getting in touch for research | .28 or .29 | its own | |
//! | getting in touch about findings | .31 or .37 | its own | |
//!
//! Research is health research: statistics, and records under a pseudonym, as the consent's information for patients says. The
//! period of the whole document bounds all that it permits.
//!
//! A deny takes away, whatever its place: .8 and .7 all research; .6 medical data from the start of its period on; .45 what was
//! there before the document; .20, .22, .12 and .13 their data, .19 and .15 those from their start on; .49 and .55 recipients
//! under other laws; policies on identifying data identified records and getting in touch. A deny of a module is one of each of
//! its policies. Policies of single projects, and on what nobody does here, are void: they open nothing, and a deny of them is
//! met. Some are inactive, and not looked at. A permit of a code that is not in the list opens nothing, and a deny of one denies
//! everything.
//!
//! Sources: kerndatensatzmodul-consent, CodeSystem `MiiConsentPolicy` 2025-12 and profile `Einwilligung` 1.0.9; TORCH,
//! `docs/implementation/consent.md`, for .6, .8 and .45.

mod denies;
mod permits;
mod policies;

use std::collections::BTreeMap;

pub use policies::{POLICIES, Policy};

use super::conditions::{Conditions, Reading};
use super::finding::{Finding, FindingKind, Why};
use super::moment::{Calendar, Rounding, period};
use super::node::{Coding, Node};
use super::resource::{Head, Sheet};
use super::rules::Rules;
use super::{Options, Place, plain};
use crate::consent::{Base, Domain, Effect, Terms, Window};

const SYSTEM: &str = "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3";
const PREFIX: &str = "2.16.840.1.113883.3.1937.777.24.5.3.";

/// The medical data of the broad consent: all but specimens, genomes and insurance data, which have policies of their own.
const MEDICAL: [Domain; 11] = [
    Domain::Person,
    Domain::Condition,
    Domain::Drug,
    Domain::Measurement,
    Domain::Observation,
    Domain::Procedure,
    Domain::Visit,
    Domain::Device,
    Domain::Death,
    Domain::Imaging,
    Domain::Document,
];
const SPECIMENS: [Domain; 2] = [Domain::Specimen, Domain::Genomics];
const BILLING: [Domain; 1] = [Domain::Billing];

/// What a policy of the broad consent means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A heading: a deny of it is one of each of these.
    Module(&'static [u16]),
    /// It opens nothing, and a deny of it is met: nobody here does it.
    Void,
    /// The same, for what a single project does.
    Project,
    /// It is not looked at any more.
    Inactive,
    /// Whether identifying data are kept and shown: a deny closes identified records and getting in touch.
    Identity,
    /// Which days of medical data there are.
    Collection,
    /// Whether medical data may be kept.
    Storage,
    /// Whether medical data may be used.
    Use,
    /// Whether medical data from before may be used.
    BackwardsStorage,
    /// Whether medical data may be used under other laws.
    AbroadUse,
    /// Which days of specimens there are.
    SpecimenCollection,
    /// Whether specimens may be kept.
    SpecimenStorage,
    /// Whether specimens may be used.
    SpecimenUse,
    /// Whether specimens from before may be kept and used: .51 and .52.
    SpecimenBackwards,
    /// Whether specimens may be used under other laws.
    SpecimenAbroad,
    /// Whether insurance data of the past are handed over.
    BillingTransfer,
    /// Which days of insurance data are to come.
    BillingCollection,
    /// Whether insurance data may be kept.
    BillingStorage,
    /// Whether insurance data may be used.
    BillingUse,
    /// Getting in touch to link other databases: only a deny means anything here.
    ContactForLinkage,
    /// Getting in touch for research.
    ContactForResearch,
    /// Getting in touch about findings.
    ContactByFindings,
}

/// What a document says of one policy.
#[derive(Clone, Debug)]
struct Statement {
    path: Place,
    /// When it holds.
    valid: Window,
    /// The same period, as days of data.
    span: Window,
    /// The days of data that it names itself.
    data: Option<Window>,
}

type Statements = BTreeMap<u16, Vec<Statement>>;

/// The number of a policy, if the coding is one: `Some(None)` if it is not in the list.
fn number(coding: &Coding<'_>) -> Option<Option<u16>> {
    match coding.code.strip_prefix(PREFIX) {
        Some(rest) => {
            let number = rest.parse().ok().filter(|number: &u16| number.to_string() == rest);
            Some(number.filter(|number| policies::numbered(*number).is_some()))
        }
        None => (coding.system == SYSTEM).then_some(None),
    }
}

/// Whether a consent has policies of the broad consent.
pub(super) fn is_broad(node: &Node<'_>) -> bool {
    let Some(root) = node.child("provision") else { return false };
    let provisions = root.list("provision").unwrap_or_default();
    let codes = provisions.iter().flat_map(|provision| provision.list("code").unwrap_or_default());
    codes.filter_map(|code| Coding::of_concept(&code).ok()).flatten().any(|coding| number(&coding).is_some())
}

/// The policies that a provision is about; `None` for one that is not in the list, or for none at all.
fn policies_of(provision: &Node<'_>) -> Vec<Option<u16>> {
    let codes = provision.list("code").unwrap_or_default();
    if codes.is_empty() {
        return vec![None];
    }
    let of = |code: &Node<'_>| {
        let codings = Coding::of_concept(code).unwrap_or_default();
        // Of several codings of one concept, those of the list say what it is.
        codings.iter().find_map(number).flatten()
    };
    codes.iter().map(of).collect()
}

/// What a document says.
pub(super) fn terms(
    head: &Head<'_>,
    sheet: &Sheet,
    options: &Options<'_>,
) -> Result<(Terms, Vec<Finding>), Vec<Finding>> {
    let refused = |path: &str, kind| vec![Finding::new(path, kind)];
    let root = head.node.child("provision").ok_or_else(|| refused("Consent", FindingKind::BroadBase))?;
    if root.text("type") != Ok(Some("deny")) {
        return Err(refused("Consent.provision.type", FindingKind::BroadBase));
    }
    let reading = |effect| Reading {
        effect,
        version: head.version,
        mode: head.mode,
        options,
        is_broad: true,
        given: sheet.written.as_ref().map(|written| written.first),
    };
    let (outer_permit, outer_deny) =
        (Conditions::read(&root, reading(Effect::Permit)), Conditions::read(&root, reading(Effect::Deny)));
    let mut rules = Rules::default();
    let (mut permitted, mut denied) = (Statements::new(), Vec::new());
    for provision in root.list("provision").map_err(|_| refused("Consent.provision", FindingKind::Malformed))? {
        if provision.has("provision") {
            return Err(refused(&format!("{}.provision", provision.path), FindingKind::Deeper));
        }
        let effect = match provision.text("type") {
            Ok(Some("permit")) => Effect::Permit,
            Ok(Some("deny")) => Effect::Deny,
            _ => return Err(refused(&provision.path, FindingKind::Type)),
        };
        let own = Conditions::read(&provision, reading(effect));
        let spans = |outer: &Conditions| span(&provision, effect).or_else(|| outer.valid.value().copied());
        match effect {
            Effect::Permit => {
                let conditions = own.and(&outer_permit);
                let spans = spans(&outer_permit);
                match statement(&conditions, spans) {
                    Ok(statement) => permit(&mut rules, &mut permitted, &provision, &statement),
                    Err((path, why)) => rules.notices.push(Finding::new(path, FindingKind::Dropped(why))),
                }
            }
            Effect::Deny => {
                let conditions = own.or(&outer_deny);
                let spans = spans(&outer_deny);
                let statement = deny(&mut rules, &conditions, spans, options);
                denied.extend(policies_of(&provision).into_iter().map(|policy| (policy, statement.clone())));
            }
        }
    }
    permits::add(&mut rules, &permitted);
    denies::add(&mut rules, &denied, &permitted);
    plain::finish(rules, Base::Deny, sheet)
}

/// The period of a provision as days of data.
fn span(provision: &Node<'_>, effect: Effect) -> Option<Window> {
    let rounding = if effect == Effect::Permit { Rounding::Inwards } else { Rounding::Outwards };
    period(provision.child("period")?.value, rounding, Calendar::Data).ok()
}

/// What a permit says of its policies, if it says nothing else.
fn statement(conditions: &Conditions, span: Option<Window>) -> Result<Statement, (Place, Why)> {
    if let Some(unsayable) = unsayable(conditions).into_iter().next() {
        return Err(unsayable);
    }
    let missing = || (conditions.path.clone(), Why::Malformed);
    let valid = conditions.valid.value().copied().ok_or_else(missing)?;
    let span = span.ok_or_else(missing)?;
    Ok(Statement { path: conditions.path.clone(), valid, span, data: conditions.window.value().copied() })
}

/// What cannot be said of a policy: all but a period, and the days of data.
fn unsayable(conditions: &Conditions) -> Vec<(Place, Why)> {
    let unsayable = conditions.unsayable();
    if unsayable.is_empty() && !without_window(conditions).is_bare() {
        return vec![(conditions.path.clone(), Why::UnknownElement)];
    }
    unsayable
}

fn without_window(conditions: &Conditions) -> Conditions {
    Conditions { window: super::conditions::Said::Absent, ..conditions.clone() }
}

fn permit(rules: &mut Rules, permitted: &mut Statements, provision: &Node<'_>, statement: &Statement) {
    for policy in policies_of(provision) {
        let at = |kind| Finding::new(statement.path.clone(), kind);
        let Some(policy) = policy.and_then(policies::numbered) else {
            rules.notices.push(at(FindingKind::UnknownPolicy));
            continue;
        };
        match policy.meaning {
            Meaning::Void | Meaning::Project | Meaning::Inactive | Meaning::Module(_) | Meaning::ContactForLinkage => {
                rules.notices.push(at(FindingKind::VoidPolicy(policy.number)));
            }
            _ => permitted.entry(policy.number).or_default().push(statement.clone()),
        }
    }
}

/// What a deny says of its policies: without what cannot be said of it, if it may be wider, or else it is a reason to refuse.
fn deny(rules: &mut Rules, conditions: &Conditions, span: Option<Window>, options: &Options<'_>) -> Statement {
    for (path, why) in unsayable(conditions) {
        match options.widen_denies {
            true => rules.notices.push(Finding::new(path, FindingKind::Widened(why))),
            false => rules.reasons.push(Finding::new(path, FindingKind::Unsayable(why))),
        }
    }
    Statement {
        path: conditions.path.clone(),
        valid: conditions.valid.value().copied().unwrap_or_default(),
        span: span.unwrap_or_default(),
        data: conditions.window.value().copied(),
    }
}
