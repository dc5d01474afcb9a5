//! Who signs for a subject, in words and for machines.

use consilium_ledger::state::consent::{Delegation, More};
use consilium_protocol::consent::Scope;
use consilium_protocol::ids::PatientId;
use consilium_protocol::tx::{CloseReason, DelegateRole, DelegationScope};
use serde_json::{Value, json};

use super::{Failure, term};

/// The delegate whose key starts like this.
pub(crate) fn named(more: Option<&More>, prefix: &str) -> Result<PatientId, Failure> {
    let prefix = prefix.trim().to_lowercase();
    let delegations = more.map_or(&[][..], |more| &more.delegations);
    let open = delegations.iter().filter(|delegation| delegation.ended.is_none());
    let found: Vec<PatientId> =
        open.map(|delegation| delegation.key).filter(|key| key.to_string().starts_with(&prefix)).collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            Err(Failure::new(format!("no key that starts with `{prefix}` signs for them; see `consilium wallet show`")))
        }
        _ => Err(Failure::new(format!("several keys start with `{prefix}`; give more of it"))),
    }
}

fn role(delegation: &Delegation) -> String {
    match delegation.role {
        DelegateRole::Device => "own second machine".to_string(),
        DelegateRole::Proxy => "proxy".to_string(),
        DelegateRole::Guardian { needed: 0 | 1 } => "guardian".to_string(),
        DelegateRole::Guardian { needed } => format!("guardian, {needed} together"),
    }
}

fn scope(of: &DelegationScope) -> String {
    fn list<T>(scope: &Scope<T>, word: impl Fn(&T) -> String) -> Option<String> {
        match scope {
            Scope::Any => None,
            Scope::Only(words) => Some(words.iter().map(word).collect::<Vec<_>>().join(", ")),
        }
    }
    let actions = list(&of.actions, |action| format!("{action:?}").to_lowercase());
    let purposes = list(&of.purposes, ToString::to_string);
    match (actions, purposes) {
        (None, None) => "everything".to_string(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(actions), Some(purposes)) => format!("{actions} for {purposes}"),
    }
}

/// Who signs beside the patient, and whether their keys are frozen.
pub(crate) fn delegates_text(more: Option<&More>) -> String {
    let Some(more) = more else { return "  nobody else signs".to_string() };
    let mut text = String::new();
    if let Some(frozen) = more.frozen {
        text.push_str(&format!(
            "  keys frozen since {}: they only revoke and forbid\n",
            term::moment(frozen.time.get())
        ));
    }
    if let Some(rotation) = &more.rotation {
        let when = match rotation.objected {
            Some(_) => "the old key objects; the hospital's desk decides".to_string(),
            None => format!("it takes the old one's place {}", term::moment(rotation.effective.get())),
        };
        text.push_str(&format!("  a new key {} waits: {when}\n", rotation.key.short()));
    }
    if more.paper_closed {
        text.push_str("  the door for paper forms is closed: they only forbid and revoke\n");
    }
    if let Some((reason, at)) = more.closed {
        let why = match reason {
            CloseReason::Death => "died",
            CloseReason::Moved => "left the hospital",
        };
        text.push_str(&format!("  {why}, recorded {}\n", term::moment(at.time.get())));
    }
    if more.delegations.is_empty() {
        text.push_str("  nobody else signs");
        return text;
    }
    text.push_str(&term::table(
        ["key", "who", "may permit", "until", "ended"],
        more.delegations.iter().map(|delegation| {
            [
                delegation.key.short(),
                role(delegation),
                scope(&delegation.scope),
                delegation.until.map_or_else(|| "ended by hand".to_string(), |until| until.to_string()),
                delegation.ended.map_or_else(String::new, |at| term::moment(at.time.get())),
            ]
        }),
    ));
    text
}

/// The same for machines.
pub(crate) fn in_json(more: Option<&More>) -> Value {
    let Some(more) = more else { return json!({ "delegates": [] }) };
    json!({
        "frozen_ms": more.frozen.map(|at| at.time.get()),
        "new_key": more.rotation.as_ref().map(|rotation| json!({ "key": rotation.key,
            "effective_ms": rotation.effective.get(), "objected_ms": rotation.objected.map(|at| at.time.get()) })),
        "paper_closed": more.paper_closed,
        "closed": more.closed.map(|(reason, at)| json!({ "reason": reason, "ms": at.time.get() })),
        "delegates": more.delegations.iter().map(|delegation| json!({ "key": delegation.key, "role": delegation.role,
            "until": delegation.until, "scope": delegation.scope, "ended_ms": delegation.ended.map(|at| at.time.get()) }))
            .collect::<Vec<_>>(),
    })
}
