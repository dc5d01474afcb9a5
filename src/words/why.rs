//! Why something may not be read, what has to be found met for it, and what is owed for it.

use consilium_protocol::consent::{Condition, Obligation, Reason};
use serde_json::Value;

use super::Language;
use super::texts::{self, fill};

impl Language {
    /// Why something is closed, or open.
    pub(crate) fn reason(self, reason: Reason) -> String {
        let texts = texts::of(self);
        let of =
            |name: &str| texts.reason.get(name).or_else(|| texts.reason.get("unknown")).cloned().unwrap_or_default();
        match (reason, serde_json::to_value(reason)) {
            (Reason::Modifier(kind), _) => {
                fill(&of("modifier"), &[("requirement", &texts.requirement.of(&kind)), ("code", kind.code())])
            }
            (_, Ok(Value::String(name))) => of(&name),
            _ => of("unknown"),
        }
    }

    /// The reason that a node sent.
    pub(crate) fn sent_reason(self, sent: &str) -> String {
        match serde_json::from_str(sent) {
            Ok(reason) => self.reason(reason),
            // Of a newer release.
            Err(_) => texts::of(self).reason.get("unknown").cloned().unwrap_or_default(),
        }
    }

    /// What has to be found met.
    pub(crate) fn condition(self, condition: &Condition) -> String {
        let texts = texts::of(self);
        let of = &texts.condition;
        match condition {
            Condition::ControlSet => of.control_set.clone(),
            Condition::Ethics => of.ethics.clone(),
            Condition::Collaboration(whom) => {
                let whom = whom.iter().map(|one| self.quoted(one));
                fill(&of.collaboration, &[("list", &self.all_of(whom))])
            }
            Condition::Moratorium => of.moratorium.clone(),
            Condition::Specific(text) => fill(&of.specific, &[("text", &self.quoted(text))]),
            Condition::Sensitive(is) => fill(&of.sensitive, &[("trait", &texts.traits.of(is))]),
        }
    }

    /// What a study owes.
    pub(crate) fn obligation(self, obligation: &Obligation) -> String {
        let of = &texts::of(self).obligation;
        match obligation {
            Obligation::Publication => of.publication.clone(),
            Obligation::Return => of.r#return.clone(),
            Obligation::Moratorium(day) => fill(&of.moratorium, &[("day", &self.day(*day))]),
        }
    }

    /// All that a study owes.
    pub(crate) fn obligations<'a>(self, obligations: impl IntoIterator<Item = &'a Obligation>) -> String {
        let each: Vec<String> = obligations.into_iter().map(|one| self.obligation(one)).collect();
        each.join(&texts::of(self).rule.separator)
    }
}
