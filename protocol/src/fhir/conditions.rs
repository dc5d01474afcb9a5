//! What a provision is bound to, read narrowly for a permit and widely for a deny.

use super::finding::{Finding, FindingKind, Why};
use super::moment::{Calendar, Rounding, period};
use super::node::{Coding, Malformed, Node};
use super::{Options, Version, words};
use crate::consent::{Domain, Effect, Label, Modifier, Recipient, Window};

mod actors;
mod content;
mod purposes;

pub(super) use purposes::{Mode, Purposes};

/// One condition of a provision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said<T> {
    /// The provision has no such condition.
    Absent,
    /// It has this one.
    Is(T),
    /// It has one that cannot be said.
    Not { path: String, why: Why },
}

impl<T> Said<T> {
    fn not(path: impl Into<String>, why: Why) -> Self {
        Self::Not { path: path.into(), why }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Not { .. } => None,
        }
    }
}

/// The actions of FHIR that mean anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Actions {
    pub(super) collect: bool,
    pub(super) access: bool,
    pub(super) usage: bool,
    pub(super) disclose: bool,
}

/// All conditions of one provision.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    pub(super) path: String,
    pub(super) valid: Said<Window>,
    pub(super) window: Said<Window>,
    pub(super) actions: Said<Actions>,
    pub(super) purposes: Said<Purposes>,
    pub(super) recipients: Said<Vec<Recipient>>,
    pub(super) labels: Said<Vec<Label>>,
    pub(super) data: Said<Vec<Domain>>,
    /// What there is no place for at all.
    pub(super) others: Vec<(String, Why)>,
    /// Alternatives that were left out.
    pub(super) notices: Vec<Finding>,
}

/// How to read a provision.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) effect: Effect,
    pub(super) version: Version,
    pub(super) mode: Mode,
    pub(super) options: &'a Options<'a>,
    /// The codes are policies of the broad consent, and read elsewhere.
    pub(super) is_broad: bool,
    /// The earliest day on which the document can have been given, from which TS counts.
    pub(super) given: Option<crate::ids::Date>,
}

const COMMON: &[&str] = &[
    "id",
    "extension",
    "modifierExtension",
    "period",
    "actor",
    "action",
    "securityLabel",
    "purpose",
    "code",
    "dataPeriod",
    "data",
    "provision",
];
const OF_R4: &[&str] = &["type", "class"];
const OF_R5: &[&str] = &["documentType", "resourceType", "expression"];

impl Conditions {
    /// No conditions.
    pub(super) fn none(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            valid: Said::Absent,
            window: Said::Absent,
            actions: Said::Absent,
            purposes: Said::Absent,
            recipients: Said::Absent,
            labels: Said::Absent,
            data: Said::Absent,
            others: Vec::new(),
            notices: Vec::new(),
        }
    }

    pub(super) fn read(node: &Node<'_>, reading: Reading<'_>) -> Self {
        let mut conditions = Self::none(node.path.clone());
        let own = if reading.version == Version::R4 { OF_R4 } else { OF_R5 };
        if node.has_other_than(&[COMMON, own].concat()) {
            conditions.others.push((node.path.clone(), Why::UnknownElement));
        }
        for (name, why) in
            [("modifierExtension", Why::ModifierExtension), ("data", Why::Data), ("expression", Why::Expression)]
        {
            if let Some(other) = node.child(name) {
                conditions.others.push((other.path, why));
            }
        }
        let rounding = if reading.effect == Effect::Permit { Rounding::Inwards } else { Rounding::Outwards };
        conditions.valid = days(node, "period", rounding, Calendar::Ledger);
        conditions.window = days(node, "dataPeriod", rounding, Calendar::Data);
        conditions.actions = actions(node);
        conditions.purposes = purposes::read(node, reading, &mut conditions.notices);
        if !reading.is_broad {
            conditions.others.extend(purposes::content_codes(node));
        }
        conditions.recipients = actors::recipients(node, reading, &mut conditions.others);
        conditions.labels = content::labels(node, reading.effect);
        conditions.data = content::data(node, reading.effect);
        conditions
    }

    /// Whether it has none but periods of validity.
    pub(super) fn is_bare(&self) -> bool {
        self.window.is_absent()
            && self.actions.is_absent()
            && self.purposes.is_absent()
            && self.recipients.is_absent()
            && self.labels.is_absent()
            && self.data.is_absent()
            && self.others.is_empty()
    }

    /// What cannot be said.
    pub(super) fn unsayable(&self) -> Vec<(String, Why)> {
        fn of<T>(said: &Said<T>) -> Option<(String, Why)> {
            match said {
                Said::Not { path, why } => Some((path.clone(), *why)),
                Said::Absent | Said::Is(_) => None,
            }
        }
        let each = [
            of(&self.valid),
            of(&self.window),
            of(&self.actions),
            of(&self.purposes),
            of(&self.recipients),
            of(&self.labels),
            of(&self.data),
        ];
        each.into_iter().flatten().chain(self.others.iter().cloned()).collect()
    }

    /// Of a permit: all conditions of both must be met.
    pub(super) fn and(self, outer: &Self) -> Self {
        let path = self.path.clone();
        let list = |one: &[Recipient], other: &[Recipient]| common(one, other);
        let others = outer.others.iter().cloned().chain(self.others).collect();
        let notices = outer.notices.iter().cloned().chain(self.notices).collect();
        Self {
            valid: both(self.valid, &outer.valid, &path, |one, other| overlap(*one, *other)),
            window: both(self.window, &outer.window, &path, |one, other| overlap(*one, *other)),
            actions: both(self.actions, &outer.actions, &path, |one, other| {
                Some(Actions {
                    collect: one.collect && other.collect,
                    access: one.access && other.access,
                    usage: one.usage && other.usage,
                    disclose: one.disclose && other.disclose,
                })
            }),
            purposes: both(self.purposes, &outer.purposes, &path, Purposes::and),
            recipients: both(self.recipients, &outer.recipients, &path, |one, other| list(one, other)),
            labels: both(self.labels, &outer.labels, &path, |one, other| common(one, other)),
            data: both(self.data, &outer.data, &path, |one, other| common(one, other)),
            others,
            notices,
            path,
        }
    }

    /// Of a deny: what it does not say itself, the document says for it. Where both speak, its own is the wider.
    pub(super) fn or(self, outer: &Self) -> Self {
        fn first<T: Clone>(own: Said<T>, outer: &Said<T>) -> Said<T> {
            if own.is_absent() { outer.clone() } else { own }
        }
        Self {
            valid: first(self.valid, &outer.valid),
            window: first(self.window, &outer.window),
            actions: first(self.actions, &outer.actions),
            purposes: first(self.purposes, &outer.purposes),
            recipients: first(self.recipients, &outer.recipients),
            labels: first(self.labels, &outer.labels),
            data: first(self.data, &outer.data),
            others: outer.others.iter().cloned().chain(self.others).collect(),
            notices: outer.notices.iter().cloned().chain(self.notices).collect(),
            path: self.path,
        }
    }
}

fn both<T: Clone>(own: Said<T>, outer: &Said<T>, path: &str, and: impl Fn(&T, &T) -> Option<T>) -> Said<T> {
    match (own, outer) {
        (own @ Said::Not { .. }, _) | (own, Said::Absent) => own,
        (_, outer @ Said::Not { .. }) | (Said::Absent, outer) => outer.clone(),
        (Said::Is(own), Said::Is(outer)) => and(&own, outer).map_or_else(|| Said::not(path, Why::Apart), Said::Is),
    }
}

fn overlap(one: Window, other: Window) -> Option<Window> {
    let to = match (one.to, other.to) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let window = Window { from: one.from.max(other.from), to };
    (!window.is_empty()).then_some(window)
}

pub(super) fn common<T: PartialEq + Clone>(one: &[T], other: &[T]) -> Option<Vec<T>> {
    let list: Vec<T> = one.iter().filter(|member| other.contains(member)).cloned().collect();
    (!list.is_empty()).then_some(list)
}

fn days(node: &Node<'_>, name: &'static str, rounding: Rounding, calendar: Calendar) -> Said<Window> {
    let Some(child) = node.child(name) else { return Said::Absent };
    match period(child.value, rounding, calendar) {
        Ok(window) => Said::Is(window),
        Err(error) => Said::not(child.path, error.into()),
    }
}

fn actions(node: &Node<'_>) -> Said<Actions> {
    let mut actions = Actions { collect: false, access: false, usage: false, disclose: false };
    let list = match node.list("action") {
        Ok(list) if list.is_empty() => return Said::Absent,
        Ok(list) => list,
        Err(Malformed) => return Said::not(format!("{}.action", node.path), Why::Malformed),
    };
    for concept in list {
        let Ok(codings) = Coding::of_concept(&concept) else { return Said::not(concept.path, Why::Malformed) };
        for coding in codings {
            match coding.code {
                _ if !coding.is_of(words::ACTION) => return Said::not(concept.path, Why::Action),
                "collect" => actions.collect = true,
                "access" => actions.access = true,
                "use" => actions.usage = true,
                "disclose" => actions.disclose = true,
                "correct" => {}
                _ => return Said::not(concept.path, Why::Action),
            }
        }
    }
    Said::Is(actions)
}

/// Modifiers of both, each kind once; none where one kind has two values.
fn joined(one: &[Modifier], other: &[Modifier]) -> Option<Vec<Modifier>> {
    let mut list = one.to_vec();
    for modifier in other {
        match list.iter().find(|known| known.kind() == modifier.kind()) {
            None => list.push(modifier.clone()),
            Some(same) if same == modifier => {}
            Some(_) => return None,
        }
    }
    Some(list)
}

/// A notice that an alternative is left out.
fn narrowed(path: &str, why: Why) -> Finding {
    Finding::new(path, FindingKind::Narrowed(why))
}
