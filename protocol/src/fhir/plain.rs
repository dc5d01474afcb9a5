//! A consent of FHIR without a profile of ours or of the broad consent's.

use super::conditions::{Conditions, Reading};
use super::finding::{Finding, FindingKind};
use super::moment::{Calendar, Rounding, period};
use super::node::Node;
use super::resource::{Head, Sheet};
use super::rules::Rules;
use super::{Options, Version};
use crate::consent::{Action, Base, Effect, Rule, Terms, Vocabulary};

/// A document before its conditions are read.
struct Outline<'a> {
    base: Base,
    /// Whether the document itself says what its base is.
    is_said: bool,
    /// The conditions of the whole document.
    root: Option<Node<'a>>,
    provisions: Vec<(Effect, Node<'a>)>,
}

fn refused(path: impl Into<String>, kind: FindingKind) -> Vec<Finding> {
    vec![Finding::new(path, kind)]
}

/// What the word for a decision is.
fn decision(node: &Node<'_>, name: &'static str) -> Result<Option<Effect>, Vec<Finding>> {
    let wrong = || refused(format!("{}.{name}", node.path), FindingKind::Type);
    match node.text(name).map_err(|_| wrong())? {
        None => Ok(None),
        Some("permit") => Ok(Some(Effect::Permit)),
        Some("deny") => Ok(Some(Effect::Deny)),
        Some(_) => Err(wrong()),
    }
}

fn base_of(effect: Effect) -> Base {
    if effect == Effect::Permit { Base::Permit } else { Base::Deny }
}

impl<'a> Outline<'a> {
    fn read(head: &Head<'a>, options: &Options<'_>) -> Result<Self, Vec<Finding>> {
        let (root, said, provisions) = match head.version {
            Version::R4 => {
                let root = head.node.child("provision");
                let said = root.as_ref().map_or(Ok(None), |root| decision(root, "type"))?;
                let provisions = root.as_ref().map_or(Ok(Vec::new()), |root| root.list("provision"));
                (root, said, provisions)
            }
            Version::R5 => (None, decision(&head.node, "decision")?, head.node.list("provision")),
        };
        let malformed = |_| refused("Consent.provision", FindingKind::Malformed);
        let provisions = provisions.map_err(malformed)?;
        if root.as_ref().is_some_and(|root| root.object().is_err()) {
            return Err(refused("Consent.provision", FindingKind::Malformed));
        }
        let base = said.map(base_of).or(options.base);
        let base = base.ok_or_else(|| refused("Consent.provision", FindingKind::NoBase))?;
        let mut reasons = Vec::new();
        let mut known = Vec::new();
        for provision in provisions {
            if provision.has("provision") {
                reasons.push(Finding::new(format!("{}.provision", provision.path), FindingKind::Deeper));
            }
            let effect = match head.version {
                Version::R4 => decision(&provision, "type")?,
                Version::R5 if provision.has("type") => {
                    return Err(refused(provision.path, FindingKind::Version));
                }
                // Each level turns round what the one above it decides.
                Version::R5 if base == Base::Permit => Some(Effect::Deny),
                Version::R5 => Some(Effect::Permit),
            };
            match effect {
                Some(effect) if provision.object().is_ok() => known.push((effect, provision)),
                _ => reasons.push(Finding::new(provision.path, FindingKind::Type)),
            }
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        Ok(Self { base, is_said: said.is_some(), root, provisions: known })
    }

    /// The conditions of the whole document, read for a permit or for a deny.
    fn conditions(&self, head: &Head<'_>, reading: Reading<'_>) -> Result<Conditions, Vec<Finding>> {
        if let Some(root) = &self.root {
            return Ok(Conditions::read(root, reading));
        }
        let mut conditions = Conditions::none("Consent");
        if let Some(own) = head.node.child("period") {
            let rounding = if reading.effect == Effect::Permit { Rounding::Inwards } else { Rounding::Outwards };
            let window = period(own.value, rounding, Calendar::Ledger);
            conditions.valid = match window {
                Ok(window) => super::conditions::Said::Is(window),
                Err(error) => super::conditions::Said::Not { path: own.path, why: error.into() },
            };
        }
        Ok(conditions)
    }
}

/// What the document says.
pub(super) fn terms(
    head: &Head<'_>,
    sheet: &Sheet,
    options: &Options<'_>,
) -> Result<(Terms, Vec<Finding>), Vec<Finding>> {
    let outline = Outline::read(head, options)?;
    let reading = |effect| Reading {
        effect,
        version: head.version,
        mode: head.mode,
        options,
        is_broad: false,
        given: sheet.written.as_ref().map(|written| written.first),
    };
    let permit = outline.conditions(head, reading(Effect::Permit))?;
    let deny = outline.conditions(head, reading(Effect::Deny))?;
    let by_silence = outline.base == Base::Permit && !outline.is_said;
    // What is not said to be a permit or a deny has no conditions, or they would be a guess; and silence has none at all.
    let is_bare = permit.is_bare() && (!by_silence || (permit.valid.is_absent() && !sheet.is_research));
    if !outline.is_said && !is_bare {
        return Err(refused("Consent.provision", FindingKind::NoType));
    }
    let permits = outline.provisions.iter().any(|(effect, _)| *effect == Effect::Permit);
    let mut rules = Rules::default();
    match outline.base {
        Base::Deny if permits => rules.notices.push(Finding::new("Consent", FindingKind::Silent)),
        Base::Deny => rules.deny(deny.clone(), options),
        Base::Permit if by_silence => {}
        Base::Permit if permits => rules.notices.push(Finding::new("Consent", FindingKind::Grouped)),
        Base::Permit => rules.permit(&permit, sheet.is_research, options),
    }
    for (effect, provision) in &outline.provisions {
        let own = Conditions::read(provision, reading(*effect));
        match effect {
            Effect::Permit => rules.permit(&own.and(&permit), sheet.is_research, options),
            Effect::Deny => rules.deny(own.or(&deny), options),
        }
    }
    finish(rules, if by_silence { Base::Permit } else { Base::Deny }, sheet)
}

/// The terms of these rules, if a document may have them.
pub(super) fn finish(mut rules: Rules, base: Base, sheet: &Sheet) -> Result<(Terms, Vec<Finding>), Vec<Finding>> {
    if !rules.reasons.is_empty() {
        return Err(rules.reasons);
    }
    // What silence permits needs no rule.
    let is_needless =
        |rule: &Rule| base == Base::Permit && rule.effect == Effect::Permit && rule.action == Action::Aggregate;
    rules.rules.retain(|(_, rule)| !is_needless(rule));
    rules.notices.extend(rules.swallowed());
    if rules.rules.is_empty() && base == Base::Deny {
        rules.notices.push(Finding::new("Consent", FindingKind::Nothing));
    }
    rules.notices.extend(sheet.notices.iter().cloned());
    let terms = Terms {
        vocabulary: Vocabulary::CURRENT,
        base,
        rules: rules.rules.into_iter().map(|(_, rule)| rule).collect(),
        policy_uri: sheet.policy_uri.clone(),
    };
    match terms.check() {
        Ok(()) => Ok((terms, rules.notices)),
        Err(error) => Err(refused("Consent", FindingKind::Terms(error))),
    }
}
