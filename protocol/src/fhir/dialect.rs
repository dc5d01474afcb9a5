//! Reading what [`export`](super::export()) wrote.
//!
//! Here nothing is guessed: what is read is written again, and has to come to the same. So whatever somebody added to it or
//! took away from it has the document refused, and is not overlooked.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::export;
use super::finding::{Finding, FindingKind};
use super::node::{Coding, Malformed, Node};
use super::resource::{Head, Sheet};
use super::words::{self, Duo};
use super::{DOMAIN, HOSPITAL, ORGANISATION, RESEARCHER, RULE, STUDY, TERMS, Version};
use crate::consent::{
    Base, Domain, Effect, Label, Modifier, Purpose, Recipient, Rule, Scope, Terms, Vocabulary, Window,
};

/// Whether a consent is an export of ours.
pub(super) fn is_ours(head: &Head<'_>) -> bool {
    let extensions = head.node.child("provision").map(|root| root.list("modifierExtension").unwrap_or_default());
    let is_ours = |extension: &Node<'_>| extension.text("url").ok().flatten() == Some(TERMS);
    head.version == Version::R4 && extensions.unwrap_or_default().iter().any(is_ours)
}

/// What it says.
pub(super) fn terms(head: &Head<'_>, sheet: &Sheet) -> Result<Terms, Vec<Finding>> {
    let refused = |kind| vec![Finding::new("Consent.provision", kind)];
    let root = head.node.child("provision").ok_or_else(|| refused(FindingKind::Dialect))?;
    let terms = read(&root, sheet).map_err(|_| refused(FindingKind::Dialect))?;
    terms.check().map_err(|error| refused(FindingKind::Terms(error)))?;
    if export::root(&terms) == *root.value { Ok(terms) } else { Err(refused(FindingKind::Dialect)) }
}

fn read(root: &Node<'_>, sheet: &Sheet) -> Result<Terms, Malformed> {
    let extensions = root.list("modifierExtension")?;
    let number = extensions.first().and_then(|extension| extension.value.get("valueUnsignedInt")?.as_u64());
    let number = number.and_then(|number| u16::try_from(number).ok()).ok_or(Malformed)?;
    let base = if effect(root)? == Effect::Permit { Base::Permit } else { Base::Deny };
    Ok(Terms {
        vocabulary: Vocabulary::numbered(number).ok_or(Malformed)?,
        base,
        rules: root.list("provision")?.iter().map(rule).collect::<Result<_, _>>()?,
        policy_uri: sheet.policy_uri.clone(),
    })
}

fn effect(node: &Node<'_>) -> Result<Effect, Malformed> {
    match node.text("type")? {
        Some("permit") => Ok(Effect::Permit),
        Some("deny") => Ok(Effect::Deny),
        _ => Err(Malformed),
    }
}

fn rule(node: &Node<'_>) -> Result<Rule, Malformed> {
    let extension = node.list("modifierExtension")?.into_iter().next().ok_or(Malformed)?;
    if extension.text("url")? != Some(RULE) {
        return Err(Malformed);
    }
    let parts = extension.list("extension")?;
    let (purposes, modifiers) = purposes(node)?;
    Ok(Rule {
        form: word(&parts, "form")?,
        modifiers,
        recipients: scope(node, "actor", recipient)?,
        jurisdiction: word(&parts, "jurisdiction")?,
        data: scope(node, "class", |class| match Coding::read(class)? {
            coding if coding.system == DOMAIN => coding.code.parse::<Domain>().map_err(|_| Malformed),
            _ => Err(Malformed),
        })?,
        labels: scope(node, "securityLabel", |label| {
            let code = Coding::read(label)?.code;
            Label::ALL.into_iter().find(|label| label.code() == code).ok_or(Malformed)
        })?,
        valid: window(node, "period")?,
        window: window(node, "dataPeriod")?,
        ..Rule::new(effect(node)?, word(&parts, "action")?.ok_or(Malformed)?, purposes)
    })
}

/// A word of ours in a part of the extension.
fn word<T: DeserializeOwned>(parts: &[Node<'_>], name: &str) -> Result<Option<T>, Malformed> {
    let part = parts.iter().find(|part| part.value.get("url").and_then(Value::as_str) == Some(name));
    let Some(part) = part else { return Ok(None) };
    let value = part.value.get("valueCode").cloned().ok_or(Malformed)?;
    serde_json::from_value(value).map(Some).map_err(|_| Malformed)
}

fn scope<T>(
    node: &Node<'_>,
    name: &'static str,
    read: impl Fn(&Node<'_>) -> Result<T, Malformed>,
) -> Result<Scope<T>, Malformed> {
    let list: Vec<T> = node.list(name)?.iter().map(read).collect::<Result<_, _>>()?;
    Ok(if list.is_empty() { Scope::Any } else { Scope::Only(list) })
}

fn purposes(node: &Node<'_>) -> Result<(Scope<Purpose>, Vec<Modifier>), Malformed> {
    let (mut list, mut modifiers) = (Vec::new(), Vec::new());
    for purpose in node.list("purpose")? {
        let coding = Coding::read(&purpose)?;
        if coding.is_of(words::ACT_REASON) && coding.code == "ETREAT" {
            list.push(Purpose::EmergencyCare);
            continue;
        }
        match words::duo(&coding) {
            Ok(Duo::Permission(purpose)) => list.push(purpose),
            Ok(Duo::Modifier(modifier)) => modifiers.push(modifier),
            Ok(Duo::Months(_)) | Err(_) => return Err(Malformed),
        }
    }
    Ok((if list.is_empty() { Scope::Any } else { Scope::Only(list) }, modifiers))
}

fn recipient(actor: &Node<'_>) -> Result<Recipient, Malformed> {
    let identifier = actor.child("reference").and_then(|reference| reference.child("identifier")).ok_or(Malformed)?;
    let value = identifier.text("value")?.ok_or(Malformed)?;
    match identifier.text("system")?.unwrap_or_default() {
        ORGANISATION => Ok(Recipient::Organisation(value.to_string())),
        RESEARCHER => value.parse().map(Recipient::Researcher).map_err(|_| Malformed),
        HOSPITAL => value.parse().map(Recipient::Hospital).map_err(|_| Malformed),
        STUDY => value.parse().map(Recipient::Study).map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

fn window(node: &Node<'_>, name: &'static str) -> Result<Window, Malformed> {
    let Some(period) = node.child(name) else { return Ok(Window::UNBOUNDED) };
    let day = |name| period.text(name)?.map(|day| day.parse().map_err(|_| Malformed)).transpose();
    Ok(Window { from: day("start")?, to: day("end")? })
}
