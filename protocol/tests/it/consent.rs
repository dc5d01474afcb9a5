//! What may be read, beside an oracle that asks one rule after another about one day after another.

use consilium_protocol::consent::{
    Action, Base, Disease, DiseaseTree, DocumentTerms, Domain, Effect, Purpose, Rule, Scope, Terms, Use, Window,
    evaluate,
};
use consilium_protocol::ids::{Date, DocumentId, ResearcherId, StudyId};
use proptest::prelude::*;

/// Every finite end of a window lies within these.
const DAYS: std::ops::Range<i32> = 0..10;
const TODAY: i32 = 5;

fn window() -> impl Strategy<Value = Window> {
    let end = prop_oneof![2 => Just(None), 3 => DAYS.prop_map(|day| Some(Date::from_days(day)))];
    prop_oneof![1 => Just(Window::UNBOUNDED), 4 => (end.clone(), end).prop_map(|(from, to)| Window { from, to })]
}

fn purposes() -> impl Strategy<Value = Scope<Purpose>> {
    let other = Purpose::DiseaseResearch(Disease::new("M:1").expect("a code"));
    prop_oneof![
        Just(Scope::Any),
        Just(Scope::Only(vec![Purpose::HealthResearch])),
        Just(Scope::Only(vec![other.clone()])),
        Just(Scope::Only(vec![other, Purpose::GeneralResearch])),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let effect = prop_oneof![3 => Just(Effect::Permit), 2 => Just(Effect::Deny)];
    let action = prop_oneof![5 => Just(Action::Aggregate), 1 => Just(Action::Retrieve)];
    let some = prop::sample::subsequence(Domain::ALL.to_vec(), 0..6).prop_map(Scope::Only);
    let data = prop_oneof![2 => Just(Scope::Any), 5 => some];
    let valid = prop_oneof![3 => Just(Window::UNBOUNDED), 1 => window()];
    (effect, action, purposes(), data, valid, window()).prop_map(|(effect, action, purposes, data, valid, window)| {
        Rule { data, valid, window, ..Rule::new(effect, action, purposes) }
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let base = prop_oneof![5 => Just(Base::Deny), 1 => Just(Base::Permit)];
    let rules = prop::collection::vec(rule(), 0..5);
    (base, rules).prop_map(|(base, rules)| Terms { base, rules, policy_uri: String::new() })
}

/// A day, or no date at all.
#[derive(Clone, Copy, PartialEq)]
enum Dated {
    On(i32),
    Undated,
}

fn lies_within(day: i32, window: &Window) -> bool {
    window.from.is_none_or(|from| from.days() <= day) && window.to.is_none_or(|to| day <= to.days())
}

/// Whether the rule speaks of health research by anybody today, of this domain.
fn speaks(rule: &Rule, domain: Domain) -> bool {
    let about_health = match &rule.purposes {
        Scope::Any => true,
        // To deny one disease is to deny health research at large; to permit it is not.
        Scope::Only(list) => list.iter().any(|purpose| match purpose {
            Purpose::GeneralResearch | Purpose::HealthResearch => true,
            Purpose::DiseaseResearch(_) => rule.effect == Effect::Deny,
        }),
    };
    let about_domain = match &rule.data {
        Scope::Any => true,
        Scope::Only(list) => list.contains(&domain),
    };
    rule.action == Action::Aggregate && about_health && about_domain && lies_within(TODAY, &rule.valid)
}

fn is_open(documents: &[Terms], domain: Domain, dated: Dated) -> bool {
    let rules = || documents.iter().flat_map(|terms| &terms.rules).filter(|rule| speaks(rule, domain));
    let backwards = |w: &Window| w.from.zip(w.to).is_some_and(|(from, to)| to < from);
    let permitted = documents.iter().any(|terms| terms.base == Base::Permit)
        || rules().filter(|rule| rule.effect == Effect::Permit).any(|rule| match dated {
            Dated::On(day) => lies_within(day, &rule.window),
            Dated::Undated => !backwards(&rule.window),
        });
    let denied = rules().filter(|rule| rule.effect == Effect::Deny).any(|rule| {
        let all = (rule.window.from, rule.window.to) == (None, None);
        all || backwards(&rule.window)
            || match dated {
                Dated::On(day) => lies_within(day, &rule.window),
                Dated::Undated => false,
            }
    });
    permitted && !denied
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_open_is_what_one_rule_after_another_opens(documents in prop::collection::vec(terms(), 0..4)) {
        let asked = Use {
            action: Action::Aggregate,
            purpose: Purpose::HealthResearch,
            researcher: ResearcherId::from_public_key([1; 32]),
            organisation: "University".to_string(),
            hospital: None,
            study: StudyId::from_bytes([2; 32]),
            day: Date::from_days(TODAY),
        };
        let current: Vec<DocumentTerms<'_>> =
            documents.iter().map(|terms| DocumentTerms { document: DocumentId::from_bytes([3; 32]), terms }).collect();
        let allowed = evaluate(&current, &asked, &DiseaseTree::new(&[])).allowed;
        for domain in Domain::ALL {
            let opened = allowed.of(domain).cloned().unwrap_or_default();
            prop_assert_eq!(opened.undated, is_open(&documents, domain, Dated::Undated), "{} undated", domain);
            let far = [i32::MIN, -1_000_000, 1_000_000, i32::MAX];
            let days: Vec<i32> = far.into_iter().chain(DAYS.start - 2..DAYS.end + 2).collect();
            for day in &days {
                let expected = is_open(&documents, domain, Dated::On(*day));
                prop_assert_eq!(opened.days.contains(Date::from_days(*day)), expected, "{} on {}", domain, day);
            }
            // A row whose day is unknown may be of any.
            let all = days.iter().all(|day| is_open(&documents, domain, Dated::On(*day)));
            prop_assert_eq!(opened.days.is_unbounded(), all);
            prop_assert!(allowed.of(domain).is_none_or(|opened| !opened.is_empty()), "an entry that opens nothing");
        }
    }
}
