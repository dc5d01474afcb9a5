//! What is to be done about consents, as a function of the input, the register and what the ledger knows.

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::consent::{Action, Effect, Rule, Scope, Terms};
use consilium_protocol::ids::{ContentHash, Date, SubjectId};

use super::item::{Item, known_by};
use super::register::{Entry, Key, Kind, Register, Seen, Standing};
use super::verdict::{Facts, Remark, Verdict, is_unchanged, subject_of, verdict};

/// What became of a consent of the input, or would.
pub(super) struct Told {
    pub(super) place: String,
    pub(super) verdict: Verdict,
    pub(super) remarks: Vec<Remark>,
}

/// A document that is to be recorded.
pub(super) struct Draft {
    /// The consent's position in the input.
    pub(super) item: usize,
    pub(super) key: Key,
    pub(super) seen: Seen,
    pub(super) terms: Terms,
    pub(super) signed: Date,
    pub(super) is_suspension: bool,
}

/// A consent that comes to stand otherwise without a document, because of one of the input.
pub(super) struct Leaving {
    pub(super) item: usize,
    pub(super) key: Key,
    pub(super) seen: Seen,
    pub(super) standing: Standing,
}

/// What is to be done.
pub(super) struct Plan {
    pub(super) told: Vec<Told>,
    pub(super) drafts: Vec<Draft>,
    pub(super) leaving: Vec<Leaving>,
}

/// Terms that deny everything.
pub(super) fn nothing() -> Terms {
    Terms::opt_in(Action::ALL.map(|action| Rule::new(Effect::Deny, action, Scope::Any)).to_vec())
}

/// A consent of the input with what became of it before.
struct Step<'a> {
    item: &'a Item,
    key: Key,
    digest: ContentHash,
    told: Told,
}

impl Step<'_> {
    fn subject(&self, register: &Register) -> Option<SubjectId> {
        subject_of(self.item, register.entries.get(&self.key))
    }

    /// Whether what the register has of it is what holds after this.
    fn leaves_as_it_is(&self) -> bool {
        use Verdict::{Ignore, Refuse, Suspended, Unchanged, Unknown};
        matches!(self.told.verdict, Unchanged | Suspended | Ignore | Refuse | Unknown)
    }
}

/// About whom the ledger has to be asked.
pub(super) fn to_ask(items: &[Item], register: &Register) -> BTreeSet<SubjectId> {
    let asked = |item: &Item| {
        let (key, digest) = known_by(&item.imported);
        let entry = register.entries.get(&key);
        is_unchanged(item, &digest, entry).is_none().then(|| subject_of(item, entry)).flatten()
    };
    items.iter().filter_map(asked).collect()
}

/// Decides.
pub(super) fn plan(items: &[Item], register: &Register, facts: &Facts) -> Plan {
    let mut steps: Vec<Step<'_>> = items
        .iter()
        .map(|item| {
            let (key, digest) = known_by(&item.imported);
            let (verdict, remarks) = verdict(item, &digest, register.entries.get(&key), facts);
            Step { item, key, digest, told: Told { place: item.place.clone(), verdict, remarks } }
        })
        .collect();
    once(&mut steps, register);
    let mut plan = Plan { told: Vec::new(), drafts: Vec::new(), leaving: Vec::new() };
    silence(&mut steps, register, &mut plan.leaving);
    for (position, step) in steps.into_iter().enumerate() {
        draft(position, &step, register, facts.today, &mut plan);
        plan.told.push(step.told);
    }
    plan
}

/// Of a consent that the input has several times one is looked at if they are the same, and none otherwise: which one holds
/// cannot be told.
fn once(steps: &mut [Step<'_>], register: &Register) {
    let mut places: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for (position, step) in steps.iter().enumerate() {
        places.entry(step.key.clone()).or_default().push(position);
    }
    for (key, positions) in places.into_iter().filter(|(_, positions)| positions.len() > 1) {
        let digests: BTreeSet<ContentHash> = positions.iter().map(|position| steps[*position].digest).collect();
        let is_one = digests.len() == 1;
        let all: Vec<u8> = digests.iter().flat_map(|digest| *digest.as_bytes()).collect();
        let together =
            ContentHash::from_bytes(consilium_protocol::hash::tagged("consilium/consent-versions/v1", &[&all]));
        let is_known = register.entries.get(&key).is_some_and(|entry| entry.seen.digest == together);
        for (nth, position) in positions.into_iter().enumerate() {
            let step = &mut steps[position];
            match (is_one, nth) {
                (true, 0) => {}
                (true, _) => step.told.verdict = Verdict::Unchanged,
                (false, _) if step.told.verdict == Verdict::Unknown => {}
                (false, _) => {
                    step.digest = together;
                    step.told.verdict = if nth == 0 && !is_known { Verdict::Suspend } else { Verdict::Suspended };
                    step.told.remarks = vec![Remark::new(
                        "the input has this document more than once, and which one holds cannot be told; give the newest alone",
                    )];
                }
            }
        }
    }
}

/// A summary of a system's broad consents stands for those of its patient that are not newer.
fn silence(steps: &mut [Step<'_>], register: &Register, leaving: &mut Vec<Leaving>) {
    // By system and subject: the last day of the newest summary, the summary, and where it is in the input.
    let mut newest: BTreeMap<(String, SubjectId), (Date, Key, Option<usize>)> = BTreeMap::new();
    let mut add = |key: &Key, subject: SubjectId, last: Date, at: Option<usize>| {
        let summary = newest.entry((key.system.clone(), subject)).or_insert_with(|| (last, key.clone(), at));
        if (last, key) >= (summary.0, &summary.1) {
            *summary = (last, key.clone(), at);
        }
    };
    let changing: BTreeSet<&Key> = steps.iter().filter(|step| !step.leaves_as_it_is()).map(|step| &step.key).collect();
    for (key, entry) in &register.entries {
        if let (Kind::BroadStatus, Standing::Accepted, Some([_, last])) =
            (entry.seen.kind, entry.standing, entry.seen.written)
            && !changing.contains(key)
        {
            add(key, entry.seen.subject, last, None);
        }
    }
    for (position, step) in steps.iter().enumerate() {
        let written = step.item.imported.written.as_ref();
        if let (Verdict::Accept(_), Kind::BroadStatus) = (&step.told.verdict, step.item.imported.profile.into())
            && let (Some(subject), Some(written)) = (step.subject(register), written)
        {
            add(&step.key, subject, written.last, Some(position));
        }
    }
    let stands_for = |key: &Key, subject: SubjectId, kind: Kind, written: Option<Date>| {
        let (last, summary, at) = newest.get(&(key.system.clone(), subject))?;
        (kind != Kind::Plain && key != summary && written? <= *last).then_some(*at)
    };
    let changing: BTreeSet<Key> = changing.into_iter().cloned().collect();
    for (key, entry) in register.entries.iter().filter(|(key, entry)| entry.is_live() && !changing.contains(*key)) {
        let written = entry.seen.written.map(|[first, _]| first);
        // One that the register has and that was not heeded then is heeded with the next summary.
        if let Some(Some(item)) = stands_for(key, entry.seen.subject, entry.seen.kind, written) {
            leaving.push(Leaving { item, key: key.clone(), seen: entry.seen.clone(), standing: Standing::Silenced });
        }
    }
    for (position, step) in steps.iter_mut().enumerate() {
        let written = step.item.imported.written.as_ref().map(|written| written.first);
        let Some(subject) = step.subject(register) else { continue };
        let is_meant = matches!(
            step.told.verdict,
            Verdict::Accept(_) | Verdict::Suspend | Verdict::Suspended | Verdict::Unchanged
        );
        let Some(at) = stands_for(&step.key, subject, step.item.imported.profile.into(), written).filter(|_| is_meant)
        else {
            continue;
        };
        let entry = register.entries.get(&step.key);
        if changing.contains(&step.key) && entry.is_some_and(Entry::is_live) {
            let (seen, key) = (step.item.seen(step.digest, subject), step.key.clone());
            leaving.push(Leaving { item: at.unwrap_or(position), key, seen, standing: Standing::Silenced });
        }
        step.told.verdict = Verdict::Ignore;
        step.told.remarks = vec![Remark::new(
            "a consent-status of the same system that is not older stands for this broad consent; nothing follows from it",
        )];
    }
}

fn draft(item: usize, step: &Step<'_>, register: &Register, today: Date, plan: &mut Plan) {
    let Some(subject) = step.subject(register) else { return };
    let written = step.item.imported.written.as_ref();
    let (key, seen) = (step.key.clone(), step.item.seen(step.digest, subject));
    // The day counts against what the patient said later. Of several days that one is taken on which the document is weaker if
    // it permits, and stronger if it only denies.
    let last = || written.map_or(today, |written| written.last.min(today));
    match &step.told.verdict {
        Verdict::Accept(terms) => {
            let signed = if terms.permits() { written.map_or(today, |written| written.first) } else { last() };
            plan.drafts.push(Draft { item, key, seen, terms: terms.clone(), signed, is_suspension: false });
        }
        Verdict::Suspend => {
            plan.drafts.push(Draft { item, key, seen, terms: nothing(), signed: last(), is_suspension: true });
        }
        Verdict::End => plan.leaving.push(Leaving { item, key, seen, standing: Standing::Ended }),
        Verdict::Unchanged | Verdict::Suspended | Verdict::Refuse | Verdict::Ignore | Verdict::Unknown => {}
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
