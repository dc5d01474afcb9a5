//! The one place where it is decided what may be read of a subject.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::asked::{Condition, Obligation, Use};
use super::levels::{Form, Jurisdiction, Label};
use super::matching::{Aim, Fit, aims, fit, touches};
use super::modifier::ModifierKind;
use super::vocabulary::{Vocabulary, Word};
use super::{Action, AllowedData, Base, DiseaseTree, Domain, Effect, Opened, Recipient, Requester, Rule, Scope, Terms};
use crate::ids::DocumentId;

/// A current document of a subject, as evaluation sees it.
#[derive(Clone, Copy, Debug)]
pub struct DocumentTerms<'a> {
    /// The document.
    pub document: DocumentId,
    /// What it says.
    pub terms: &'a Terms,
}

/// Why a rule did, or did not, have a say.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    // In the order of how near to a permission it is: the last that applies says what is missing.
    /// There is no current document.
    NoConsent,
    /// The rule is about another action.
    OtherAction,
    /// The rule is for another purpose.
    OtherPurpose,
    /// The rule lets data leave in other forms.
    OtherForm,
    /// The rule is for recipients under other laws.
    OtherJurisdiction,
    /// The rule is for other recipients.
    OtherRecipient,
    /// The rule is no longer valid on that day.
    Expired,
    /// The rule is not valid yet on that day.
    NotYetValid,
    /// The rule permits, but is bound to what does not hold.
    Modifier(ModifierKind),
    /// The rule permits, if the hospital finds a condition met; it has not said so.
    NotTicked,
    /// The rule permits the use.
    Permits,
    /// The document's base decision permits the use where no rule denies it.
    PermitsByDefault,
    /// The rule permits data of some sensitivity, and how sensitive these are is not known.
    Sensitivity,
    /// The rule forbids the use.
    Denies,
}

/// What came of one rule of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct RuleReason {
    /// The document.
    pub document: DocumentId,
    /// The rule's position in it; `None` for the base decision.
    pub rule: Option<u32>,
    /// What came of it.
    pub reason: Reason,
}

/// The answer to a [`Use`] of one subject's data.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Decision {
    /// What may be read of data that say nothing of how sensitive they are; empty when nothing may.
    pub allowed: AllowedData,
    /// What may be read of data that carry a label. Of data that carry several, what may be read under each of them.
    pub by_label: BTreeMap<Label, AllowedData>,
    /// What every rule had to say, in the order of the documents. Empty when there is no current document, which
    /// denies.
    pub reasons: Vec<RuleReason>,
    /// What the hospital has to find met for permits that cover the use, whether or not it did.
    pub conditions: BTreeSet<Condition>,
    /// What the study owes for permits that cover the use.
    pub obligations: BTreeSet<Obligation>,
}

impl Decision {
    /// Leaves what another decision about the same person allows as well.
    pub fn intersect(&mut self, other: Self) {
        self.allowed.intersect(&other.allowed);
        for (label, allowed) in &mut self.by_label {
            allowed.intersect(other.by_label.get(label).unwrap_or(&AllowedData::default()));
        }
        // Where one says nothing, nothing is said for the person.
        match self.reasons.is_empty() || other.reasons.is_empty() {
            true => self.reasons.clear(),
            false => self.reasons.extend(other.reasons),
        }
        self.conditions.extend(other.conditions);
        self.obligations.extend(other.obligations);
    }

    /// What keeps the subject out, if nothing may be read: of all rules the one that was nearest to a permission.
    pub fn why_not(&self) -> Option<Reason> {
        if !self.allowed.is_empty() {
            return None;
        }
        let nearest = self.reasons.iter().map(|of| of.reason).max().unwrap_or(Reason::NoConsent);
        Some(match nearest {
            Reason::Permits | Reason::PermitsByDefault if self.by_label.values().any(|data| !data.is_empty()) => {
                Reason::Sensitivity
            }
            // One of several purposes is permitted, and another is not.
            Reason::Permits | Reason::PermitsByDefault => Reason::OtherPurpose,
            other => other,
        })
    }
}

/// Decides what may be read of a subject with these current documents, at a use.
///
/// The union of what permit rules (and opt-out documents) allow, minus what any deny rule of any document forbids.
/// Nothing is allowed without a current document. A permit must cover the purpose asked for; a deny applies as soon
/// as it overlaps it. Of several purposes each is decided by itself, and what all of them may read is allowed.
///
/// Windows are about dated data alone: a permit opens the undated data of its domains whatever its window, and a deny
/// with a window leaves them as they are.
pub fn evaluate(documents: &[DocumentTerms<'_>], asked: &Use, diseases: &DiseaseTree) -> Decision {
    let aims = aims(asked);
    let mut permits: Vec<Permit<'_>> = Vec::new();
    let mut denies: Vec<&Rule> = Vec::new();
    let mut reasons = Vec::new();
    let (mut conditions, mut obligations) = (BTreeSet::new(), BTreeSet::new());
    // Silence is a permit of statistics.
    let silence = Rule::new(Effect::Permit, Action::Aggregate, Scope::Any);
    for DocumentTerms { document, terms } in documents {
        let base = (terms.base == Base::Permit).then_some((None, &silence));
        let rules = terms.rules.iter().enumerate().map(|(position, rule)| (u32::try_from(position).ok(), rule));
        for (position, rule) in base.into_iter().chain(rules) {
            let mut reason = speaks(rule, terms.vocabulary, asked);
            if reason == Reason::Permits {
                let covered = cover(rule, terms.vocabulary, &aims, asked, diseases);
                conditions.extend(covered.conditions);
                obligations.extend(covered.obligations);
                reason = covered.reason;
                if reason == Reason::Permits {
                    permits.push(Permit { rule, vocabulary: terms.vocabulary, aims: covered.aims });
                }
            } else if reason == Reason::Denies {
                match touches(&rule.purposes, asked, diseases) {
                    true => denies.push(rule),
                    false => reason = Reason::OtherPurpose,
                }
            }
            if reason == Reason::Permits && position.is_none() {
                reason = Reason::PermitsByDefault;
            }
            reasons.push(RuleReason { document: *document, rule: position, reason });
        }
    }
    let opened = |label| {
        let mut of_aims = (0..aims.len()).map(|aim| open(&permits, &denies, aim, label));
        let mut allowed = of_aims.next().unwrap_or_default();
        of_aims.for_each(|also| allowed.intersect(&also));
        allowed
    };
    // Mostly nobody speaks of labels, and what is open is open under each.
    let is_whole =
        permits.iter().map(|permit| permit.rule).chain(denies.iter().copied()).all(|r| r.labels == Scope::Any);
    let whole = is_whole.then(|| opened(Label::Normal));
    let by_label: BTreeMap<Label, AllowedData> =
        Label::ALL.into_iter().map(|label| (label, whole.clone().unwrap_or_else(|| opened(label)))).collect();
    let mut each = by_label.values().cloned();
    let mut allowed = each.next().unwrap_or_default();
    each.for_each(|also| allowed.intersect(&also));
    Decision { allowed, by_label, reasons, conditions, obligations }
}

/// A permit that counts, with the aims of the use that it covers.
struct Permit<'a> {
    rule: &'a Rule,
    vocabulary: Vocabulary,
    aims: Vec<usize>,
}

/// What data of a label permits open for one aim, without what is denied.
fn open(permits: &[Permit<'_>], denies: &[&Rule], aim: usize, label: Label) -> AllowedData {
    let mut opened: BTreeMap<Domain, Opened> = BTreeMap::new();
    for Permit { rule, vocabulary, .. } in permits.iter().filter(|permit| permit.aims.contains(&aim)) {
        if !rule.labels.covers(|of| *of == label) {
            continue;
        }
        // What `any` means is what there was to choose from.
        for domain in Domain::ALL.into_iter().filter(|domain| vocabulary.has(domain)) {
            if rule.data.covers(|of| *of == domain) {
                opened.entry(domain).or_default().add(&rule.window);
            }
        }
    }
    for rule in denies.iter().filter(|rule| rule.labels.covers(|of| *of == label)) {
        for (domain, opened) in &mut opened {
            if rule.data.covers(|of| of == domain) {
                opened.subtract(&rule.window);
            }
        }
    }
    opened.into_iter().collect()
}

/// What a permit that speaks of a use covers of it.
struct Covered {
    reason: Reason,
    aims: Vec<usize>,
    conditions: BTreeSet<Condition>,
    obligations: BTreeSet<Obligation>,
}

fn cover(rule: &Rule, vocabulary: Vocabulary, of: &[Aim<'_>], asked: &Use, diseases: &DiseaseTree) -> Covered {
    let mut covered = Covered {
        reason: Reason::OtherPurpose,
        aims: Vec::new(),
        conditions: BTreeSet::new(),
        obligations: BTreeSet::new(),
    };
    for (position, aim) in of.iter().enumerate() {
        let reason = match fit(&rule.purposes, &rule.modifiers, vocabulary, aim, asked, diseases) {
            Fit::OtherPurpose => Reason::OtherPurpose,
            Fit::Refused(kind) => Reason::Modifier(kind),
            Fit::Covers { conditions, obligations } => {
                let is_ticked = conditions.is_subset(&asked.ticked);
                covered.conditions.extend(conditions);
                covered.obligations.extend(obligations);
                if is_ticked {
                    covered.aims.push(position);
                    Reason::Permits
                } else {
                    Reason::NotTicked
                }
            }
        };
        covered.reason = covered.reason.max(reason);
    }
    covered
}

/// Whether a rule speaks of a use, its purposes apart: [`Reason::Permits`] or [`Reason::Denies`] when it does.
fn speaks(rule: &Rule, vocabulary: Vocabulary, asked: &Use) -> Reason {
    if rule.action != asked.action {
        return Reason::OtherAction;
    }
    if !is_form(rule, asked) {
        return Reason::OtherForm;
    }
    let law = asked.by.establishment.jurisdiction;
    let about_law = match rule.effect {
        Effect::Permit => law <= rule.jurisdiction.unwrap_or_else(|| furthest(vocabulary)),
        Effect::Deny => rule.jurisdiction.is_none_or(|first| first <= law),
    };
    if !about_law {
        return Reason::OtherJurisdiction;
    }
    let meant = rule.effect == Effect::Deny || vocabulary.has(&asked.by);
    if !meant || !rule.recipients.covers(|recipient| is_recipient(recipient, asked)) {
        return Reason::OtherRecipient;
    }
    // When one that ends before it begins was to hold cannot be known: it permits never, and denies always.
    if rule.effect == Effect::Deny && rule.valid.is_empty() {
        return Reason::Denies;
    }
    if rule.valid.from.is_some_and(|from| asked.day < from) {
        return Reason::NotYetValid;
    }
    if rule.valid.to.is_some_and(|to| to < asked.day) {
        return Reason::Expired;
    }
    match rule.effect {
        Effect::Permit => Reason::Permits,
        Effect::Deny => Reason::Denies,
    }
}

/// Whether a rule speaks of the form in which data are to leave. Statistics are asked for as statistics and records in a form
/// of records: to what is neither no permit speaks.
fn is_form(rule: &Rule, asked: &Use) -> bool {
    match (asked.action, rule.effect) {
        (Action::Aggregate, Effect::Permit) => asked.form == Form::Statistics,
        (Action::Retrieve, Effect::Permit) => {
            asked.form != Form::Statistics && rule.form.is_some_and(|furthest| furthest >= asked.form)
        }
        (Action::Retrieve, Effect::Deny) => rule.form.is_none_or(|first| first <= asked.form),
        (Action::Aggregate, Effect::Deny) | (Action::Recontact, _) => true,
    }
}

/// The furthest jurisdiction that a document of this vocabulary can have meant.
fn furthest(vocabulary: Vocabulary) -> Jurisdiction {
    Jurisdiction::ALL.into_iter().filter(|level| vocabulary.has(level)).max().unwrap_or(Jurisdiction::Gdpr)
}

impl Word for Requester {
    /// At first there were researchers alone.
    fn since(&self) -> Vocabulary {
        if self.researcher.is_some() { Vocabulary::RESEARCH } else { Vocabulary::CARE }
    }
}

fn is_recipient(recipient: &Recipient, asked: &Use) -> bool {
    match recipient {
        Recipient::Organisation(name) => *name == asked.by.organisation,
        Recipient::Researcher(researcher) => Some(*researcher) == asked.by.researcher,
        Recipient::Hospital(hospital) => Some(*hospital) == asked.by.hospital,
        Recipient::Study(study) => Some(*study) == asked.study,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Declarations, Disease, Diseases, Establishment, Purpose, Window};
    use super::*;
    use crate::ids::{ResearcherId, StudyId};

    fn disease(code: &str) -> Disease {
        Disease::new(code).expect("a valid code")
    }

    fn tree() -> DiseaseTree {
        let entry = |code: &str, parents: &[&str]| Diseases {
            code: disease(code),
            name: String::new(),
            parents: parents.iter().map(|p| disease(p)).collect(),
        };
        // 5148 (type 2 diabetes) is a 5015 (diabetes), which is a 5066 (metabolic disease).
        DiseaseTree::new(&[entry("M:5148", &["M:5015"]), entry("M:5015", &["M:5066"]), entry("M:5066", &[])])
    }

    fn asked(purpose: Purpose) -> Use {
        Use {
            action: Action::Aggregate,
            form: Form::Statistics,
            purposes: vec![purpose],
            declared: Declarations::default(),
            by: Requester {
                researcher: Some(ResearcherId::from_public_key([1; 32])),
                hospital: None,
                organisation: "University".to_string(),
                establishment: Establishment {
                    country: "DE".parse().expect("a country"),
                    jurisdiction: Jurisdiction::Gdpr,
                    for_profit: false,
                },
            },
            study: Some(StudyId::from_bytes([2; 32])),
            day: "2026-06-01".parse().expect("a date"),
            ticked: BTreeSet::new(),
        }
    }

    fn decide(terms: &[Terms], asked: &Use) -> Decision {
        let documents: Vec<_> = terms
            .iter()
            .enumerate()
            .map(|(i, terms)| DocumentTerms { document: DocumentId::from_bytes([i as u8; 32]), terms })
            .collect();
        evaluate(&documents, asked, &tree())
    }

    fn opt_in(rules: Vec<Rule>) -> Terms {
        Terms::opt_in(rules)
    }

    fn permit(purpose: Purpose) -> Rule {
        Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![purpose]))
    }

    fn ds(code: &str) -> Purpose {
        Purpose::DiseaseResearch(disease(code))
    }

    #[test]
    fn nothing_said_is_nothing_allowed() {
        let decision = decide(&[], &asked(Purpose::GeneralResearch));
        assert!(decision.allowed.is_empty() && decision.reasons.is_empty());
        assert!(decide(&[opt_in(vec![])], &asked(Purpose::GeneralResearch)).allowed.is_empty());
    }

    #[test]
    fn a_deny_of_any_document_wins_whatever_the_order() {
        let yes = opt_in(vec![permit(Purpose::GeneralResearch)]);
        let mut no = permit(ds("M:5148"));
        no.effect = Effect::Deny;
        let no = opt_in(vec![no]);
        let study = asked(ds("M:5148"));
        assert!(decide(&[yes.clone(), no.clone()], &study).allowed.is_empty());
        assert!(decide(&[no.clone(), yes.clone()], &study).allowed.is_empty());
        // A broader use would include the denied one.
        assert!(decide(&[yes.clone(), no.clone()], &asked(Purpose::HealthResearch)).allowed.is_empty());
        // A use that has nothing to do with it is not touched.
        assert!(!decide(&[yes, no], &asked(ds("M:9999"))).allowed.is_empty());
    }

    #[test]
    fn validity_is_about_the_day_of_use_and_window_about_the_days_of_data() {
        let mut rule = permit(Purpose::GeneralResearch);
        rule.valid = Window { from: None, to: "2026-05-31".parse().ok() };
        let decision = decide(&[opt_in(vec![rule.clone()])], &asked(Purpose::HealthResearch));
        assert!(decision.allowed.is_empty());
        assert_eq!(decision.reasons[0].reason, Reason::Expired);
        rule.valid = Window { from: "2026-06-02".parse().ok(), to: None };
        let decision = decide(&[opt_in(vec![rule.clone()])], &asked(Purpose::HealthResearch));
        assert_eq!(decision.reasons[0].reason, Reason::NotYetValid);
        rule.valid = Window { from: "2026-06-01".parse().ok(), to: "2026-06-01".parse().ok() };
        rule.window = Window { from: "2020-01-01".parse().ok(), to: None };
        let decision = decide(&[opt_in(vec![rule])], &asked(Purpose::HealthResearch));
        let drugs = decision.allowed.of(Domain::Drug).expect("an open domain");
        assert!(drugs.days.contains("2020-01-01".parse().expect("a date")));
        assert!(!drugs.days.contains("2019-12-31".parse().expect("a date")));
    }

    #[test]
    fn domains_recipients_and_actions_restrict() {
        let mut rule = permit(Purpose::GeneralResearch);
        rule.data = Scope::Only(vec![Domain::Person, Domain::Condition]);
        rule.recipients = Scope::Only(vec![Recipient::Organisation("University".to_string())]);
        let study = asked(Purpose::HealthResearch);
        let decision = decide(&[opt_in(vec![rule.clone()])], &study);
        let open: Vec<Domain> = decision.allowed.iter().map(|(d, _)| d).collect();
        assert_eq!(open, [Domain::Person, Domain::Condition]);
        let other = Requester { organisation: "Company".to_string(), ..study.by.clone() };
        let other = Use { by: other, ..study.clone() };
        assert_eq!(decide(&[opt_in(vec![rule.clone()])], &other).reasons[0].reason, Reason::OtherRecipient);
        let fetch = Use { action: Action::Retrieve, ..study };
        assert_eq!(decide(&[opt_in(vec![rule])], &fetch).reasons[0].reason, Reason::OtherAction);
    }

    #[test]
    fn opt_out_allows_all_but_what_is_denied() {
        let mut deny = permit(Purpose::GeneralResearch);
        deny.effect = Effect::Deny;
        deny.data = Scope::Only(vec![Domain::Drug]);
        let terms = Terms { base: Base::Permit, ..opt_in(vec![deny]) };
        let decision = decide(&[terms], &asked(Purpose::HealthResearch));
        assert!(decision.allowed.of(Domain::Drug).is_none());
        assert_eq!(decision.allowed.of(Domain::Condition), Some(&Opened::everything()));
    }

    fn window(from: Option<&str>, to: Option<&str>) -> Window {
        let date = |text: &str| text.parse().expect("a date");
        Window { from: from.map(date), to: to.map(date) }
    }

    fn with_window(effect: Effect, window: Window) -> Rule {
        Rule { effect, window, ..permit(Purpose::GeneralResearch) }
    }

    #[test]
    fn windows_choose_among_dated_data_alone() {
        let study = asked(Purpose::HealthResearch);
        let year = window(Some("2020-01-01"), Some("2020-12-31"));
        let decision = decide(&[opt_in(vec![with_window(Effect::Permit, year)])], &study);
        let person = decision.allowed.of(Domain::Person).expect("an open domain");
        assert!(person.undated && !person.days.is_unbounded());

        // A deny with a window, one that has an end on one side only, and two that leave no day between them.
        let (until, from) = (window(None, Some("2019-12-31")), window(Some("2020-01-01"), None));
        let all = with_window(Effect::Permit, Window::UNBOUNDED);
        for denied in [vec![year], vec![from], vec![until], vec![until, from]] {
            let denies = denied.iter().map(|w| with_window(Effect::Deny, *w));
            let documents = [opt_in(vec![all.clone()]), opt_in(denies.collect())];
            let allowed = decide(&documents, &study).allowed;
            let person = allowed.of(Domain::Person).expect("undated data stay open");
            assert!(person.undated);
            assert_eq!(person.days.is_empty(), denied.len() == 2);
        }
        // One without a window closes what has no date too, and so does one that means no day.
        let backwards = window(Some("2020-01-02"), Some("2020-01-01"));
        for window in [Window::UNBOUNDED, backwards] {
            let documents = [opt_in(vec![all.clone()]), opt_in(vec![with_window(Effect::Deny, window)])];
            assert!(decide(&documents, &study).allowed.is_empty());
        }
        assert!(decide(&[opt_in(vec![with_window(Effect::Permit, backwards)])], &study).allowed.is_empty());
    }
}
