//! Who a provision is about.

use super::super::finding::Why;
use super::super::node::{Coding, Malformed, Node};
use super::super::{Version, words};
use super::{Reading, Said};
use crate::consent::Recipient;

/// Who receives, and whether the data are this hospital's: of several recipients each may.
pub(super) fn recipients(
    node: &Node<'_>,
    reading: Reading<'_>,
    others: &mut Vec<(String, Why)>,
) -> Said<Vec<Recipient>> {
    let Ok(actors) = node.list("actor") else { return Said::not(format!("{}.actor", node.path), Why::Malformed) };
    let mut list = Vec::new();
    let mut unknown = None;
    for actor in actors {
        match party(&actor, reading) {
            Ok(Party::ThisHospital) => {}
            Ok(Party::Recipient(recipient)) if list.contains(&recipient) => {}
            Ok(Party::Recipient(recipient)) => list.push(recipient),
            Err(Why::Recipient) => unknown = Some(Said::not(actor.path, Why::Recipient)),
            Err(why) => others.push((actor.path, why)),
        }
    }
    match unknown {
        Some(unknown) => unknown,
        None if list.is_empty() => Said::Absent,
        None => Said::Is(list),
    }
}

enum Party {
    Recipient(Recipient),
    ThisHospital,
}

fn party(actor: &Node<'_>, reading: Reading<'_>) -> Result<Party, Why> {
    let malformed = |_: Malformed| Why::Malformed;
    if actor.has_other_than(&["role", "reference", "id", "extension"]) {
        return Err(if actor.has("modifierExtension") { Why::ModifierExtension } else { Why::UnknownElement });
    }
    let is_custodian = match actor.child("role") {
        Some(role) => {
            let codings = Coding::of_concept(&role).map_err(malformed)?;
            let all = |codes: &[&str]| codings.iter().all(|c| c.is_of(words::PARTICIPATION) && codes.contains(&c.code));
            match (all(&["PRCP", "IRCP"]), all(&["CST"])) {
                (true, _) => false,
                (_, true) => true,
                (false, false) => return Err(Why::Role),
            }
        }
        // In R5 an actor without a role is whoever the provision controls.
        None if reading.version == Version::R5 => false,
        None => return Err(Why::Role),
    };
    let reference = actor.child("reference").ok_or(Why::Role)?;
    let names = names(&reference).map_err(malformed)?;
    if is_custodian {
        let is_own = names.iter().any(|name| (reading.options.custodians)(name));
        return if is_own { Ok(Party::ThisHospital) } else { Err(Why::Role) };
    }
    let mut found = names.iter().map(|name| (reading.options.recipients)(name));
    found.find_map(|recipient| recipient).map(Party::Recipient).ok_or(Why::Recipient)
}

/// The names under which a reference can be known: the reference, and the identifier as `system|value`.
fn names(reference: &Node<'_>) -> Result<Vec<String>, Malformed> {
    reference.object()?;
    let mut names: Vec<String> = reference.text("reference")?.map(str::to_string).into_iter().collect();
    if let Some(identifier) = reference.child("identifier") {
        let value = identifier.text("value")?.ok_or(Malformed)?;
        names.push(format!("{}|{value}", identifier.text("system")?.unwrap_or_default()));
    }
    Ok(names)
}
