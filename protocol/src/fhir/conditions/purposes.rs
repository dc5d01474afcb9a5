//! What a provision is for.
//!
//! FHIR has an operation have all purposes of a provision. So a permit of several opens what they have in common, and a deny
//! closes each of them, which is more. Profiles of IHE's Privacy Consent on FHIR have the purposes of a permit be
//! alternatives.

use super::super::finding::{Finding, FindingKind, Why};
use super::super::node::{Coding, Malformed, Node};
use super::super::words::{self, Duo, Reason};
use super::{Reading, Said, joined, narrowed};
use crate::consent::{Effect, Modifier, Purpose};
use crate::ids::Date;

/// What several purposes of one permit are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Mode {
    /// All of them must be met.
    All,
    /// Any of them is enough.
    Any,
}

/// Purposes of a provision, one of which is enough, and what they are bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Purposes {
    pub(in super::super) list: Vec<Purpose>,
    pub(in super::super) modifiers: Vec<Modifier>,
    /// The last day, by TS.
    pub(in super::super) until: Option<Date>,
    /// Purposes that nobody has here are all that there are.
    pub(in super::super) is_void: bool,
}

impl Purposes {
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        Some(Self {
            list: meet(&self.list, &other.list)?,
            modifiers: joined(&self.modifiers, &other.modifiers)?,
            until: match (self.until, other.until) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            is_void: false,
        })
    }
}

/// What both lists permit.
fn meet(one: &[Purpose], other: &[Purpose]) -> Option<Vec<Purpose>> {
    let mut list: Vec<Purpose> = Vec::new();
    for a in one {
        for b in other {
            let common = match (a, b) {
                (a, b) if a == b => a,
                (Purpose::NoRestriction | Purpose::GeneralResearch, b) if b.is_research() => b,
                (a, Purpose::NoRestriction | Purpose::GeneralResearch) if a.is_research() => a,
                (Purpose::HealthResearch, disease @ Purpose::DiseaseResearch(_))
                | (disease @ Purpose::DiseaseResearch(_), Purpose::HealthResearch) => disease,
                _ => continue,
            };
            if !list.contains(common) {
                list.push(common.clone());
            }
        }
    }
    (!list.is_empty()).then_some(list)
}

/// The codings of `purpose`, and those of DUO in `code`.
fn codings<'a>(node: &Node<'a>, is_broad: bool) -> Result<Vec<(String, Coding<'a>)>, Malformed> {
    let mut list = Vec::new();
    for purpose in node.list("purpose")? {
        list.push((purpose.path.clone(), Coding::read(&purpose)?));
    }
    if !is_broad {
        for code in node.list("code")? {
            let of_duo = Coding::of_concept(&code)?.into_iter().filter(|coding| words::is_duo(coding.system));
            list.extend(of_duo.map(|coding| (code.path.clone(), coding)));
        }
    }
    Ok(list)
}

/// Codes of the content that are none of DUO.
pub(super) fn content_codes(node: &Node<'_>) -> Option<(String, Why)> {
    let path = format!("{}.code", node.path);
    let Ok(codes) = node.list("code") else { return Some((path, Why::Malformed)) };
    let is_duo = |code: &Node<'_>| {
        Coding::of_concept(code).is_ok_and(|codings| codings.iter().all(|coding| words::is_duo(coding.system)))
    };
    codes.into_iter().find(|code| !is_duo(code)).map(|code| (code.path, Why::Code))
}

pub(super) fn read(node: &Node<'_>, reading: Reading<'_>, notices: &mut Vec<Finding>) -> Said<Purposes> {
    let Ok(codings) = codings(node, reading.is_broad) else {
        return Said::not(format!("{}.purpose", node.path), Why::Malformed);
    };
    if codings.is_empty() {
        return Said::Absent;
    }
    match reading.effect {
        Effect::Permit => permitted(node, codings, reading, notices),
        Effect::Deny => denied(node, codings, notices),
    }
}

/// What one coding is.
enum Word {
    Purposes(Vec<Purpose>),
    Modifier(Modifier),
    Months(u32),
    Nobodys(&'static str),
}

fn word(coding: &Coding<'_>, effect: Effect) -> Result<Word, Why> {
    if words::is_duo(coding.system) {
        return words::duo(coding).map(|duo| match duo {
            Duo::Permission(purpose) => Word::Purposes(vec![purpose]),
            Duo::Modifier(modifier) => Word::Modifier(modifier),
            Duo::Months(months) => Word::Months(months),
        });
    }
    if !coding.is_of(words::ACT_REASON) {
        return Err(Why::Purpose(None));
    }
    match words::reason(coding.code) {
        Some(Reason::Treatment) => Ok(Word::Purposes(vec![Purpose::Care, Purpose::EmergencyCare])),
        Some(Reason::Emergency) => Ok(Word::Purposes(vec![Purpose::EmergencyCare])),
        Some(Reason::Research) if effect == Effect::Permit => Ok(Word::Purposes(vec![Purpose::HealthResearch])),
        Some(Reason::Research) => Ok(Word::Purposes(vec![Purpose::GeneralResearch])),
        Some(Reason::Nobodys(code)) => Ok(Word::Nobodys(code)),
        Some(Reason::Unsayable(code)) => Err(Why::Purpose(Some(code))),
        Some(Reason::BreakTheGlass) => Err(Why::BreakTheGlass),
        None => Err(Why::Purpose(None)),
    }
}

fn permitted(
    node: &Node<'_>,
    codings: Vec<(String, Coding<'_>)>,
    reading: Reading<'_>,
    notices: &mut Vec<Finding>,
) -> Said<Purposes> {
    let mut list: Option<Vec<Purpose>> = None;
    let mut modifiers: Vec<Modifier> = Vec::new();
    let mut until: Option<Date> = None;
    for (path, coding) in codings {
        match word(&coding, Effect::Permit) {
            Ok(Word::Purposes(found)) => {
                let joined = match (list, reading.mode) {
                    (None, _) => Some(found),
                    (Some(known), Mode::All) => meet(&known, &found),
                    (Some(mut known), Mode::Any) => {
                        known.extend(found.into_iter().filter(|purpose| !known.contains(purpose)).collect::<Vec<_>>());
                        Some(known)
                    }
                };
                list = match joined {
                    Some(joined) => Some(joined),
                    None => return Said::not(node.path.clone(), Why::PurposesApart),
                };
            }
            Ok(Word::Modifier(modifier)) => match joined(&modifiers, &[modifier]) {
                Some(joined) => modifiers = joined,
                None => return Said::not(path, Why::DuoTwice),
            },
            Ok(Word::Months(months)) => match reading.given.and_then(|day| months_after(day, months)) {
                Some(day) => until = Some(until.map_or(day, |until| until.min(day))),
                None => return Said::not(path, Why::DuoValue),
            },
            Ok(Word::Nobodys(code)) if reading.mode == Mode::Any => {
                notices.push(narrowed(&path, Why::Purpose(Some(code))));
            }
            Err(why @ Why::Purpose(_)) if reading.mode == Mode::Any => notices.push(narrowed(&path, why)),
            Ok(Word::Nobodys(code)) => return Said::not(path, Why::Purpose(Some(code))),
            Err(why) => return Said::not(path, why),
        }
    }
    match list {
        Some(list) => Said::Is(Purposes { list, modifiers, until, is_void: false }),
        None if modifiers.is_empty() && until.is_none() => Said::not(node.path.clone(), Why::Purpose(None)),
        None => Said::not(node.path.clone(), Why::NoPermission),
    }
}

fn denied(node: &Node<'_>, codings: Vec<(String, Coding<'_>)>, notices: &mut Vec<Finding>) -> Said<Purposes> {
    let several = codings.len() > 1;
    let mut list: Vec<Purpose> = Vec::new();
    for (path, coding) in codings {
        match word(&coding, Effect::Deny) {
            Ok(Word::Purposes(found)) => {
                list.extend(found.into_iter().filter(|purpose| !list.contains(purpose)).collect::<Vec<_>>());
            }
            Ok(Word::Nobodys(_)) => {}
            Ok(Word::Modifier(_) | Word::Months(_)) => return Said::not(path, Why::DuoOfDeny),
            Err(why) => return Said::not(path, why),
        }
    }
    if several && list.len() > 1 {
        notices.push(Finding::new(node.path.clone(), FindingKind::EachPurpose));
    }
    let is_void = list.is_empty();
    Said::Is(Purposes { list, modifiers: Vec::new(), until: None, is_void })
}

/// The last day of so many months from a day: the day before the same day of the month, or its last day.
fn months_after(day: Date, months: u32) -> Option<Date> {
    let (year, month, of_month) = day.ymd();
    let since = u32::try_from(year).ok()?.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let (year, month) = (i32::try_from(since / 12).ok()?, since % 12 + 1);
    let same = Date::from_ymd(year, month, of_month)
        .or_else(|| (28..=31).rev().find_map(|last| Date::from_ymd(year, month, last)))?;
    Some(Date::from_days(same.days() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_the_day_before() {
        for (day, months, last) in [
            ("2020-01-15", 12, "2021-01-14"),
            ("2020-02-29", 12, "2021-02-27"),
            ("2020-01-31", 1, "2020-02-28"),
            ("2020-12-01", 1, "2020-12-31"),
        ] {
            let day = day.parse().expect("a date");
            assert_eq!(months_after(day, months).map(|day| day.to_string()).as_deref(), Some(last));
        }
        assert_eq!(months_after(Date::from_days(0), u32::MAX), None);
    }
}
