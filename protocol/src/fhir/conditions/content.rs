//! Which data a provision is about: by their sensitivity, and by their kind.

use super::super::finding::Why;
use super::super::node::{Coding, Node};
use super::super::words;
use super::Said;
use crate::consent::{Domain, Effect, Label};

pub(super) fn labels(node: &Node<'_>, effect: Effect) -> Said<Vec<Label>> {
    let malformed = || Said::not(format!("{}.securityLabel", node.path), Why::Malformed);
    let Ok(list) = node.list("securityLabel") else { return malformed() };
    if list.is_empty() {
        return Said::Absent;
    }
    let mut sensitive: Vec<Label> = Vec::new();
    let mut lowest: Option<usize> = None;
    for label in list {
        let Ok(coding) = Coding::read(&label) else { return malformed() };
        let (level, kind) = (words::confidentiality(coding.code), words::sensitivity(coding.code));
        match (level, kind) {
            (Some(level), _) if coding.is_of(words::CONFIDENTIALITY) => {
                lowest = Some(lowest.map_or(level, |lowest| lowest.min(level)));
            }
            (_, Some((kind, exact))) if coding.is_of(words::SENSITIVITY) && (exact || effect == Effect::Deny) => {
                if !sensitive.contains(&kind) {
                    sensitive.push(kind);
                }
            }
            _ => return Said::not(label.path, Why::Label),
        }
    }
    let normal = 3;
    match (effect, sensitive.as_slice(), lowest) {
        // What is sensitive is restricted.
        (Effect::Permit, [kind], None) => Said::Is(vec![*kind]),
        (Effect::Permit, [kind], Some(level)) if level > normal => Said::Is(vec![*kind]),
        (Effect::Permit, [], Some(level)) if level == normal => Said::Is(vec![Label::Normal]),
        (Effect::Permit, [], Some(level)) if level > normal => Said::Is(vec![Label::Normal, Label::Restricted]),
        (Effect::Permit, ..) => Said::not(format!("{}.securityLabel", node.path), Why::LabelsApart),
        // The standard has a level mean all below it, and whoever denies one means all above it.
        (Effect::Deny, [], _) => Said::Is(Label::ALL.to_vec()),
        (Effect::Deny, _, _) => Said::Is(sensitive),
    }
}

pub(super) fn data(node: &Node<'_>, effect: Effect) -> Said<Vec<Domain>> {
    let mut list: Vec<Domain> = Vec::new();
    let lists = [("class", false), ("resourceType", false), ("documentType", true)];
    if effect == Effect::Permit && node.has("resourceType") && node.has("documentType") {
        return Said::not(node.path.clone(), Why::Class);
    }
    for (name, is_document) in lists {
        let Ok(classes) = node.list(name) else { return Said::not(format!("{}.{name}", node.path), Why::Malformed) };
        for class in classes {
            let Ok(coding) = Coding::read(&class) else { return Said::not(class.path, Why::Malformed) };
            let known = match coding.is_of(words::RESOURCE_TYPES) {
                true => words::domains(coding.code),
                // A type of documents is a part of them.
                false if is_document && coding.system == words::LOINC => Some((None, [Domain::Document].as_slice())),
                false => None,
            };
            let found = match (known, effect) {
                (Some((opened, _)), Effect::Permit) => opened,
                (Some((_, closed)), Effect::Deny) => Some(closed),
                (None, _) => None,
            };
            let Some(found) = found else { return Said::not(class.path, Why::Class) };
            list.extend(found.iter().filter(|domain| !list.contains(domain)).copied().collect::<Vec<_>>());
        }
    }
    if list.is_empty() { Said::Absent } else { Said::Is(list) }
}
