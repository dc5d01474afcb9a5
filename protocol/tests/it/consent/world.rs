//! The few people, places and diseases that tests of consent speak of.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use consilium_protocol::consent::{
    Action, Condition, Country, Decision, Declarations, Disease, DiseaseTree, Diseases, DocumentTerms, Effect,
    Establishment, EthicsApproval, Form, Jurisdiction, Promise, Purpose, Requester, Rule, Scope, Terms, Trait, Use,
    evaluate,
};
use consilium_protocol::ids::{ContentHash, Date, DocumentId, HospitalId, ResearcherId, StudyId};

/// The day of use.
pub(crate) const TODAY: i32 = 5;

/// Every disease with what it is a kind of. `X:9` is in nobody's vocabulary.
pub(crate) const DISEASES: [(&str, &[&str]); 5] =
    [("M:1", &[]), ("M:11", &["M:1"]), ("M:12", &["M:1"]), ("M:111", &["M:11", "M:12"]), ("M:2", &[])];

fn tree() -> DiseaseTree {
    let disease = |code: &str| Disease::new(code).unwrap();
    let entries: Vec<Diseases> = DISEASES
        .iter()
        .map(|(code, parents)| Diseases {
            code: disease(code),
            name: String::new(),
            parents: parents.iter().map(|code| disease(code)).collect(),
        })
        .collect();
    DiseaseTree::new(&entries)
}

pub(crate) fn purpose(text: &str) -> Purpose {
    text.parse().unwrap()
}

pub(crate) fn purposes(texts: &[&str]) -> Vec<Purpose> {
    texts.iter().map(|text| purpose(text)).collect()
}

pub(crate) fn country(text: &str) -> Country {
    text.parse().unwrap()
}

pub(crate) fn researcher(number: u8) -> ResearcherId {
    ResearcherId::from_public_key([number; 32])
}

pub(crate) fn hospital(number: u8) -> HospitalId {
    HospitalId::from_public_key([number; 32])
}

pub(crate) fn study(number: u8) -> StudyId {
    StudyId::from_bytes([number; 32])
}

pub(crate) fn day(days: i32) -> Date {
    Date::from_days(days)
}

/// A study for these purposes by researcher 1 of the University, in Germany, not for profit; study 1.
pub(crate) fn asked(texts: &[&str]) -> Use {
    Use {
        action: Action::Aggregate,
        form: Form::Statistics,
        purposes: purposes(texts),
        declared: Declarations::default(),
        by: Requester {
            researcher: Some(researcher(1)),
            hospital: None,
            organisation: "University".to_string(),
            establishment: Establishment {
                country: country("DE"),
                jurisdiction: Jurisdiction::Gdpr,
                for_profit: false,
            },
        },
        study: Some(study(1)),
        day: day(TODAY),
        ticked: BTreeSet::new(),
    }
}

/// A hospital that asks for records as they are, in no study.
pub(crate) fn asked_by_hospital(texts: &[&str]) -> Use {
    let of_study = asked(texts);
    let by = Requester { researcher: None, hospital: Some(hospital(1)), ..of_study.by.clone() };
    Use { action: Action::Retrieve, form: Form::Identified, study: None, by, ..of_study }
}

pub(crate) fn declaring(mut asked: Use, traits: &[Trait]) -> Use {
    asked.declared.traits = traits.to_vec();
    asked
}

/// A study with everything that a consent may ask it for.
pub(crate) fn promising(mut asked: Use) -> Use {
    asked.declared.promises = vec![Promise::Publication, Promise::Return];
    asked.declared.ethics = Some(approval());
    asked.declared.collaborators = vec!["Charity".to_string(), "Registry".to_string()];
    asked.declared.publishes_from = Some(day(1000));
    asked
}

pub(crate) fn approval() -> EthicsApproval {
    EthicsApproval { body: "Committee".to_string(), document: ContentHash::from_bytes([7; 32]) }
}

/// The rule for what a use asks, for these purposes.
pub(crate) fn rule(effect: Effect, action: Action, texts: &[&str]) -> Rule {
    let mut rule = Rule::new(effect, action, Scope::Only(purposes(texts)));
    rule.form = (action == Action::Retrieve && effect == Effect::Permit).then_some(Form::Identified);
    rule
}

pub(crate) fn permit(texts: &[&str]) -> Rule {
    rule(Effect::Permit, Action::Aggregate, texts)
}

pub(crate) fn deny(texts: &[&str]) -> Rule {
    rule(Effect::Deny, Action::Aggregate, texts)
}

pub(crate) fn decide(terms: &[Terms], asked: &Use) -> Decision {
    let document = |number: usize| DocumentId::from_bytes([number as u8; 32]);
    let documents: Vec<_> =
        terms.iter().enumerate().map(|(number, terms)| DocumentTerms { document: document(number), terms }).collect();
    static TREE: LazyLock<DiseaseTree> = LazyLock::new(tree);
    evaluate(&documents, asked, &TREE)
}

/// What the table answers: no; yes, if somebody finds a condition met; yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    D,
    C,
    A,
}

/// What one document of these rules answers.
pub(crate) fn answer(rules: &[Rule], asked: &Use) -> Answer {
    answer_of(&[Terms::opt_in(rules.to_vec())], asked)
}

/// What documents answer: with nothing ticked, with everything, and with all but one of what they ask to be ticked.
pub(crate) fn answer_of(documents: &[Terms], asked: &Use) -> Answer {
    let is_open = |ticked: BTreeSet<Condition>| {
        let decision = decide(documents, &Use { ticked, ..asked.clone() });
        assert_eq!(decision.why_not().is_none(), !decision.allowed.is_empty());
        !decision.allowed.is_empty()
    };
    let bare = decide(documents, &Use { ticked: BTreeSet::new(), ..asked.clone() });
    match (is_open(BTreeSet::new()), is_open(every_condition(&bare))) {
        (true, open) => {
            assert!(open, "ticking closes");
            Answer::A
        }
        (false, true) => {
            assert!(is_open(bare.conditions.clone()), "what is named is not what is asked");
            assert!(!bare.conditions.is_empty());
            Answer::C
        }
        (false, false) => Answer::D,
    }
}

/// Everything that could be ticked, and what a decision names.
fn every_condition(decision: &Decision) -> BTreeSet<Condition> {
    let mut all = decision.conditions.clone();
    all.extend([Condition::ControlSet, Condition::Ethics, Condition::Moratorium]);
    all.extend(Trait::ALL.map(Condition::Sensitive));
    all
}
