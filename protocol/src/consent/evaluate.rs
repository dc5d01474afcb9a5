//! The one place where it is decided what may be read of a subject.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

use super::{Action, Base, DiseaseTree, Domain, Effect, Purpose, Recipient, Rule, Terms, Window, Windows};
use crate::ids::{Date, DocumentId, HospitalId, ResearcherId, StudyId};

/// A use of data that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What is to be done.
    pub action: Action,
    /// What for.
    pub purpose: Purpose,
    /// By whom.
    pub researcher: ResearcherId,
    /// The organisation under which the researcher was accredited.
    pub organisation: String,
    /// The hospital whose own the researcher is, if any.
    pub hospital: Option<HospitalId>,
    /// In which study.
    pub study: StudyId,
    /// On which day, by the time of the block at which consent is read.
    pub day: Date,
}

/// A current document of a subject, as evaluation sees it.
#[derive(Clone, Copy, Debug)]
pub struct DocumentTerms<'a> {
    /// The document.
    pub document: DocumentId,
    /// What it says.
    pub terms: &'a Terms,
}

/// What may be read of one domain.
///
/// Rows of a dated table that have no day themselves are in neither part: whichever day they are of, it may be read only
/// where every day may.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Opened {
    /// Whether data that have no date may be read: PERSON, and every other table without one.
    pub undated: bool,
    /// The days whose data may be read.
    pub days: Windows,
}

impl Opened {
    /// Everything, dated or not.
    pub fn everything() -> Self {
        Self { undated: true, days: Windows::unbounded() }
    }

    /// What one permit rule with this window opens: a window chooses among dated data, and undated data come with it. A
    /// window without a day opens nothing.
    pub fn within(window: &Window) -> Self {
        let mut opened = Self::default();
        opened.add(window);
        opened
    }

    /// Whether nothing may be read.
    pub fn is_empty(&self) -> bool {
        !self.undated && self.days.is_empty()
    }

    fn add(&mut self, window: &Window) {
        if !window.is_empty() {
            self.undated = true;
            self.days.add(window);
        }
    }

    /// Takes away what a deny with this window forbids: the data of its days, or everything where it has no window. Which
    /// days are meant by one that ends before it begins cannot be known, so it forbids everything too.
    fn subtract(&mut self, window: &Window) {
        if *window == Window::UNBOUNDED || window.is_empty() {
            *self = Self::default();
        } else {
            self.days.subtract(window);
        }
    }
}

/// Which data of a subject may be read, by domain; a domain that is not there is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct AllowedData(BTreeMap<Domain, Opened>);

impl AllowedData {
    /// Whether nothing may be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may be read of a domain, if anything.
    pub fn of(&self, domain: Domain) -> Option<&Opened> {
        self.0.get(&domain)
    }

    /// The domains of which anything may be read, with what.
    pub fn iter(&self) -> impl Iterator<Item = (Domain, &Opened)> {
        self.0.iter().map(|(domain, opened)| (*domain, opened))
    }
}

impl FromIterator<(Domain, Opened)> for AllowedData {
    fn from_iter<I: IntoIterator<Item = (Domain, Opened)>>(parts: I) -> Self {
        Self(parts.into_iter().filter(|(_, opened)| !opened.is_empty()).collect())
    }
}

/// Why a rule did, or did not, have a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The rule permits the use.
    Permits,
    /// The rule forbids the use.
    Denies,
    /// The document's base decision permits the use where no rule denies it.
    PermitsByDefault,
    /// The rule is about another action.
    OtherAction,
    /// The rule is for another purpose.
    OtherPurpose,
    /// The rule is for other recipients.
    OtherRecipient,
    /// The rule is not valid yet on that day.
    NotYetValid,
    /// The rule is no longer valid on that day.
    Expired,
}

/// What came of one rule of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RuleReason {
    /// The document.
    pub document: DocumentId,
    /// The rule's position in it; `None` for the base decision.
    pub rule: Option<u32>,
    /// What came of it.
    pub reason: Reason,
}

/// The answer to a [`Use`] of one subject's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What may be read; empty when nothing may.
    pub allowed: AllowedData,
    /// What every rule had to say, in the order of the documents. Empty when there is no current document, which
    /// denies.
    pub reasons: Vec<RuleReason>,
}

/// Decides what may be read of a subject with these current documents, at a use.
///
/// The union of what permit rules (and opt-out documents) allow, minus what any deny rule of any document forbids.
/// Nothing is allowed without a current document. A permit must cover the purpose asked for; a deny applies as soon
/// as it overlaps it.
///
/// Windows are about dated data alone: a permit opens the undated data of its domains whatever its window, and a deny
/// with a window leaves them as they are.
pub fn evaluate(documents: &[DocumentTerms<'_>], asked: &Use, diseases: &DiseaseTree) -> Decision {
    let mut permitted: BTreeMap<Domain, Opened> = BTreeMap::new();
    let mut denied: Vec<&Rule> = Vec::new();
    let mut reasons = Vec::new();
    for DocumentTerms { document, terms } in documents {
        if terms.base == Base::Permit {
            for domain in Domain::ALL {
                permitted.insert(domain, Opened::everything());
            }
            reasons.push(RuleReason { document: *document, rule: None, reason: Reason::PermitsByDefault });
        }
        for (position, rule) in terms.rules.iter().enumerate() {
            let reason = consider(rule, asked, diseases);
            match reason {
                Reason::Permits => {
                    for domain in Domain::ALL.into_iter().filter(|d| rule.data.covers(|x| x == d)) {
                        permitted.entry(domain).or_default().add(&rule.window);
                    }
                }
                Reason::Denies => denied.push(rule),
                _ => {}
            }
            reasons.push(RuleReason { document: *document, rule: u32::try_from(position).ok(), reason });
        }
    }
    for rule in denied {
        for (domain, opened) in &mut permitted {
            if rule.data.covers(|x| x == domain) {
                opened.subtract(&rule.window);
            }
        }
    }
    Decision { allowed: permitted.into_iter().collect(), reasons }
}

fn consider(rule: &Rule, asked: &Use, diseases: &DiseaseTree) -> Reason {
    if rule.action != asked.action {
        return Reason::OtherAction;
    }
    let purpose_fits = match rule.effect {
        Effect::Permit => rule.purposes.covers(|granted| granted.covers(&asked.purpose, diseases)),
        Effect::Deny => rule.purposes.covers(|denied| denied.overlaps(&asked.purpose, diseases)),
    };
    if !purpose_fits {
        return Reason::OtherPurpose;
    }
    if !rule.recipients.covers(|recipient| is_recipient(recipient, asked)) {
        return Reason::OtherRecipient;
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

fn is_recipient(recipient: &Recipient, asked: &Use) -> bool {
    match recipient {
        Recipient::Organisation(name) => *name == asked.organisation,
        Recipient::Researcher(researcher) => *researcher == asked.researcher,
        Recipient::Hospital(hospital) => Some(*hospital) == asked.hospital,
        Recipient::Study(study) => *study == asked.study,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Disease, Diseases, Scope, Window};
    use super::*;

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
            purpose,
            researcher: ResearcherId::from_public_key([1; 32]),
            organisation: "University".to_string(),
            hospital: None,
            study: StudyId::from_bytes([2; 32]),
            day: "2026-06-01".parse().expect("a date"),
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
        Terms { base: Base::Deny, rules, policy_uri: String::new() }
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
    fn purposes_match_as_duos_does() {
        use Purpose::{GeneralResearch as Gru, HealthResearch as Hmb};
        // granted, asked, allowed
        let table = [
            (Gru, Gru, true),
            (Gru, Hmb, true),
            (Gru, ds("M:5148"), true),
            (Hmb, Gru, false),
            (Hmb, Hmb, true),
            (Hmb, ds("M:5148"), true),
            (ds("M:5148"), Gru, false),
            (ds("M:5148"), Hmb, false),
            (ds("M:5148"), ds("M:5148"), true),
            (ds("M:5066"), ds("M:5148"), true),
            (ds("M:5148"), ds("M:5066"), false),
            (ds("M:9999"), ds("M:9999"), true),
            (ds("M:9999"), ds("M:5148"), false),
        ];
        for (granted, purpose, expected) in table {
            let decision = decide(&[opt_in(vec![permit(granted.clone())])], &asked(purpose.clone()));
            assert_eq!(!decision.allowed.is_empty(), expected, "{granted} asked for {purpose}");
        }
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
        let other = Use { organisation: "Company".to_string(), ..study.clone() };
        assert_eq!(decide(&[opt_in(vec![rule.clone()])], &other).reasons[0].reason, Reason::OtherRecipient);
        let fetch = Use { action: Action::Retrieve, ..study };
        assert_eq!(decide(&[opt_in(vec![rule])], &fetch).reasons[0].reason, Reason::OtherAction);
    }

    #[test]
    fn opt_out_allows_all_but_what_is_denied() {
        let mut deny = permit(Purpose::GeneralResearch);
        deny.effect = Effect::Deny;
        deny.data = Scope::Only(vec![Domain::Drug]);
        let terms = Terms { base: Base::Permit, rules: vec![deny], policy_uri: String::new() };
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
