//! Terms as people write them, what no document may say, and what every value of the language reads back as.

use consilium_protocol::consent::{
    Action, Base, Basis, Condition, Country, Disease, Domain, Effect, Establishment, EthicsApproval, Form,
    Jurisdiction, Label, MAX_LIST, MAX_RULES, MAX_TEXT, Modifier, ModifierKind, Promise, Purpose, Recipient, Rule,
    Scope, Terms, TermsError, Trait, Vocabulary, Window,
};
use consilium_protocol::ids::ContentHash;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::consent::world::{approval, country, day, hospital, researcher, study};

const FILE: &str = r#"
base = "deny"

[[rules]]
effect = "permit"
action = "retrieve"
form = "pseudonymised"
purposes = { only = ["HMB", "DS-MONDO:0005148", "CC"] }
modifiers = ["NPU", { GS = ["DE", "FR"] }, { MOR = "2027-01-01" }, { COL = ["Registry"] }, { RS = "on sleep" }]
recipients = { only = [{ organisation = "University" }] }
jurisdiction = "adequate"
data = { only = ["person", "imaging"] }
labels = { only = ["N", "R", "HIV"] }
valid = { to = "2031-12-31" }
window = { from = "2020-09-01" }

[[rules]]
effect = "deny"
action = "retrieve"
form = "identified"
purposes = "any"
recipients = "any"
data = "any"
"#;

#[test]
fn a_file_says_what_it_reads_as() {
    let terms: Terms = toml::from_str(FILE).unwrap();
    assert_eq!(terms.check(), Ok(()));
    let purposes = ["HMB", "DS-MONDO:0005148", "CC"].map(|word| word.parse().unwrap()).to_vec();
    let mut permit = Rule::new(Effect::Permit, Action::Retrieve, Scope::Only(purposes));
    permit.form = Some(Form::Pseudonymised);
    permit.modifiers = vec![
        Modifier::NonProfitOrganisation,
        Modifier::Places(vec![country("DE"), country("FR")]),
        Modifier::Moratorium("2027-01-01".parse().ok()),
        Modifier::Collaboration(vec!["Registry".to_string()]),
        Modifier::Specific("on sleep".to_string()),
    ];
    permit.recipients = Scope::Only(vec![Recipient::Organisation("University".to_string())]);
    permit.jurisdiction = Some(Jurisdiction::Adequate);
    permit.data = Scope::Only(vec![Domain::Person, Domain::Imaging]);
    permit.labels = Scope::Only(vec![Label::Normal, Label::Restricted, Label::Hiv]);
    permit.valid.to = "2031-12-31".parse().ok();
    permit.window.from = "2020-09-01".parse().ok();
    let mut deny = Rule::new(Effect::Deny, Action::Retrieve, Scope::Any);
    deny.form = Some(Form::Identified);
    assert_eq!(terms, Terms::opt_in(vec![permit, deny]));
    assert_eq!(toml::from_str::<Terms>(&toml::to_string(&terms).unwrap()).unwrap(), terms);
}

#[test]
fn what_a_file_cannot_say_is_refused() {
    let table = [
        ("\"NPU\"", "\"NPX\""),
        ("\"NPU\"", "\"XX\""),
        ("\"NPU\"", "\"GS\""),
        ("\"NPU\"", "\"MOR\""),
        ("\"NPU\"", "{ NPU = [\"DE\"] }"),
        ("\"NPU\"", "{ IRB = true }"),
        ("\"NPU\"", "{ GS = [\"de\"] }"),
        ("\"NPU\"", "{ GS = [\"DEU\"] }"),
        ("\"NPU\"", "{ GS = [\"\u{c4}\"] }"),
        ("\"NPU\"", "{ GS = \"DE\" }"),
        ("\"NPU\"", "{ TS = 12 }"),
        ("\"2027-01-01\"", "\"\""),
        ("\"2027-01-01\"", "\"2027-02-29\""),
        ("\"2027-01-01\"", "\"Undated\""),
        ("\"pseudonymised\"", "\"anonymous\""),
        ("\"adequate\"", "\"GDPR\""),
        ("\"R\"", "\"V\""),
        ("\"imaging\"", "\"images\""),
        ("\"CC\"", "\"TREAT\""),
        ("\"CC\"", "\"DS-\""),
        ("jurisdiction", "jurisdictions"),
        ("base = \"deny\"", "base = \"deny\"\nvocabularies = 2"),
    ];
    for (from, to) in table {
        assert!(FILE.contains(from), "{from}");
        assert!(toml::from_str::<Terms>(&FILE.replacen(from, to, 1)).is_err(), "{to}");
    }
    assert!(toml::from_str::<Terms>(&FILE.replacen("\"2027-01-01\"", "\"undated\"", 1)).is_ok());
}

/// One value in JSON, in TOML below a name, and in borsh, there and back; in a text if that is what it is.
fn reads_back<T>(value: &T)
where
    T: Serialize + DeserializeOwned + borsh::BorshSerialize + borsh::BorshDeserialize + PartialEq + std::fmt::Debug,
{
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
    let toml = toml::to_string(&std::collections::BTreeMap::from([("of", value)])).unwrap();
    let read: std::collections::BTreeMap<String, T> = toml::from_str(&toml).unwrap();
    assert_eq!(&read["of"], value, "{toml}");
    let bytes = borsh::to_vec(value).unwrap();
    assert_eq!(&borsh::from_slice::<T>(&bytes).unwrap(), value, "{bytes:?}");
    for end in 0..bytes.len() {
        assert!(borsh::from_slice::<T>(&bytes[..end]).is_err(), "{value:?}");
    }
}

/// A modifier of every kind, and the forms that some have.
fn modifiers() -> Vec<Modifier> {
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<String>>();
    vec![
        Modifier::NonProfitOrganisation,
        Modifier::NonCommercialUse,
        Modifier::NonProfitNonCommercial,
        Modifier::NoMethodsOnly,
        Modifier::NoAncestry,
        Modifier::GeneticOnly,
        Modifier::Places(vec![country("DE"), country("FR")]),
        Modifier::Ethics,
        Modifier::Publication,
        Modifier::Collaboration(texts(&["Registry", "\"a\" = [1]\n", ""])),
        Modifier::Return,
        Modifier::Moratorium(Some(day(20_000))),
        Modifier::Moratorium(None),
        Modifier::Users(vec![researcher(1), researcher(2)]),
        Modifier::Projects(vec![study(1)]),
        Modifier::Institutions(texts(&["University"])),
        Modifier::Specific("undated".to_string()),
    ]
}

#[test]
fn every_value_reads_back() {
    Domain::ALL.iter().for_each(reads_back);
    Form::ALL.iter().for_each(reads_back);
    Jurisdiction::ALL.iter().for_each(reads_back);
    Label::ALL.iter().for_each(reads_back);
    Action::ALL.iter().for_each(reads_back);
    Trait::ALL.iter().for_each(reads_back);
    [Effect::Permit, Effect::Deny].iter().for_each(reads_back);
    [Base::Permit, Base::Deny].iter().for_each(reads_back);
    [Basis::Electronic, Basis::Paper].iter().for_each(reads_back);
    [Promise::Publication, Promise::Return].iter().for_each(reads_back);
    [Vocabulary::RESEARCH, Vocabulary::CARE].iter().for_each(reads_back);
    let words = ["NRES", "GRU", "HMB", "DS-MONDO:0005148", "POA", "CC", "ETREAT"];
    words.iter().map(|word| word.parse::<Purpose>().unwrap()).for_each(|word| {
        assert!(words.contains(&word.to_string().as_str()));
        reads_back(&word);
    });
    ["DE", "ZZ"].map(country).iter().for_each(reads_back::<Country>);
    reads_back(&Disease::new("M:1").unwrap());
    modifiers().iter().for_each(reads_back);
    for kind in ModifierKind::ALL {
        assert!(modifiers().iter().any(|modifier| modifier.kind() == kind));
    }
    let mut conditions = vec![
        Condition::ControlSet,
        Condition::Ethics,
        Condition::Collaboration(vec!["Registry".to_string()]),
        Condition::Moratorium,
        Condition::Specific("sleep".to_string()),
    ];
    conditions.extend(Trait::ALL.map(Condition::Sensitive));
    conditions.iter().for_each(reads_back);
    for recipient in [
        Recipient::Organisation("University".to_string()),
        Recipient::Researcher(researcher(1)),
        Recipient::Hospital(hospital(1)),
        Recipient::Study(study(1)),
    ] {
        reads_back(&Scope::Only(vec![recipient]));
    }
    reads_back(&Scope::<Recipient>::Any);
    for (from, to) in [(None, None), (Some(1), None), (None, Some(1)), (Some(1), Some(2))] {
        reads_back(&Window { from: from.map(day), to: to.map(day) });
    }
    for jurisdiction in Jurisdiction::ALL {
        reads_back(&Establishment { country: country("DE"), jurisdiction, for_profit: true });
    }
    reads_back(&approval());
    reads_back(&EthicsApproval { body: String::new(), document: ContentHash::from_bytes([0; 32]) });
    let mut rule = Rule::new(Effect::Permit, Action::Retrieve, Scope::Any);
    (rule.form, rule.modifiers) = (Some(Form::Identified), modifiers());
    reads_back(&rule);
    for vocabulary in [Vocabulary::RESEARCH, Vocabulary::CARE] {
        reads_back(&Terms { vocabulary, base: Base::Permit, rules: vec![rule.clone()], policy_uri: "u".to_string() });
    }
}

#[test]
fn words_that_do_not_exist_are_no_bytes_either() {
    let refused = |at: usize, first: u8, bytes: &[u8], read: &dyn Fn(&[u8]) -> bool| {
        for byte in first..=u8::MAX {
            let mut other = bytes.to_vec();
            other[at] = byte;
            assert!(!read(&other), "{byte} at {at}");
        }
    };
    refused(0, 14, &[0], &|bytes| borsh::from_slice::<Domain>(bytes).is_ok());
    refused(0, 5, &[0], &|bytes| borsh::from_slice::<Form>(bytes).is_ok());
    refused(0, 3, &[0], &|bytes| borsh::from_slice::<Jurisdiction>(bytes).is_ok());
    refused(0, 6, &[0], &|bytes| borsh::from_slice::<Label>(bytes).is_ok());
    refused(0, 3, &[0], &|bytes| borsh::from_slice::<Action>(bytes).is_ok());
    refused(0, 13, &[0], &|bytes| borsh::from_slice::<Trait>(bytes).is_ok());
    refused(0, 7, &[0], &|bytes| borsh::from_slice::<Purpose>(bytes).is_ok());
    refused(0, 16, &[0], &|bytes| borsh::from_slice::<Modifier>(bytes).is_ok());
    refused(1, b'Z' + 1, b"DE", &|bytes| borsh::from_slice::<Country>(bytes).is_ok());
    assert!(borsh::from_slice::<Country>(b"dE").is_err() && borsh::from_slice::<Country>(b"D\0").is_err());
}

fn permit(change: impl FnOnce(&mut Rule)) -> Result<(), TermsError> {
    let mut rule = Rule::new(Effect::Permit, Action::Aggregate, Scope::Any);
    change(&mut rule);
    Terms::opt_in(vec![rule]).check()
}

#[test]
fn forms_belong_to_records() {
    for action in Action::ALL {
        for effect in [Effect::Permit, Effect::Deny] {
            for form in Form::ALL.into_iter().map(Some).chain([None]) {
                let found = permit(|rule| (rule.action, rule.effect, rule.form) = (action, effect, form));
                let expected = match (action, form) {
                    (Action::Retrieve, None) if effect == Effect::Permit => Err(TermsError::FormMissing),
                    (Action::Retrieve, None) => Ok(()),
                    (Action::Retrieve, Some(form)) if form != Form::Statistics => Ok(()),
                    (_, None) => Ok(()),
                    (_, Some(_)) => Err(TermsError::FormMisplaced),
                };
                assert_eq!(found, expected, "{action:?} {effect:?} {form:?}");
            }
        }
    }
}

#[test]
fn modifiers_bind_permits_each_once_and_say_something() {
    for modifier in modifiers().into_iter().filter(|one| *one != modifiers()[9]) {
        assert_eq!(permit(|rule| rule.modifiers = vec![modifier.clone()]), Ok(()), "{modifier:?}");
        let twice = permit(|rule| rule.modifiers = vec![modifier.clone(), Modifier::Ethics, modifier.clone()]);
        assert_eq!(twice, Err(TermsError::ModifierTwice), "{modifier:?}");
        let deny = permit(|rule| (rule.effect, rule.modifiers) = (Effect::Deny, vec![modifier.clone()]));
        assert_eq!(deny, Err(TermsError::ModifierOfDeny), "{modifier:?}");
    }
    let two_days = vec![Modifier::Moratorium(None), Modifier::Moratorium(Some(day(1)))];
    assert_eq!(permit(|rule| rule.modifiers = two_days), Err(TermsError::ModifierTwice));
    let every_kind: Vec<Modifier> = modifiers().into_iter().filter(|one| *one != Modifier::Moratorium(None)).collect();
    assert_eq!(every_kind.len(), ModifierKind::ALL.len());
    let long = "x".repeat(MAX_TEXT);
    let longer = format!("{long}x");
    for (modifier, error) in [
        (Modifier::Places(vec![]), TermsError::ListLength),
        (Modifier::Places(vec![country("DE"); MAX_LIST + 1]), TermsError::ListLength),
        (Modifier::Collaboration(vec![]), TermsError::ListLength),
        (Modifier::Users(vec![]), TermsError::ListLength),
        (Modifier::Users(vec![researcher(1); MAX_LIST + 1]), TermsError::ListLength),
        (Modifier::Projects(vec![]), TermsError::ListLength),
        (Modifier::Institutions(vec![]), TermsError::ListLength),
        (Modifier::Specific(" \t".to_string()), TermsError::TextLength),
        (Modifier::Specific(String::new()), TermsError::TextLength),
        (Modifier::Specific(longer.clone()), TermsError::TextLength),
        (Modifier::Institutions(vec!["a".to_string(), longer.clone()]), TermsError::TextLength),
        (Modifier::Collaboration(vec![longer.clone()]), TermsError::TextLength),
        (Modifier::Institutions(vec![String::new()]), TermsError::TextLength),
        (Modifier::Collaboration(vec!["a".to_string(), " ".to_string()]), TermsError::TextLength),
    ] {
        assert_eq!(permit(|rule| rule.modifiers = vec![modifier.clone()]), Err(error), "{modifier:?}");
    }
    for modifier in [
        Modifier::Specific(long.clone()),
        Modifier::Institutions(vec![long.clone(); MAX_LIST]),
        Modifier::Users(vec![researcher(1); MAX_LIST]),
    ] {
        assert_eq!(permit(|rule| rule.modifiers = vec![modifier]), Ok(()));
    }
}

#[test]
fn lists_texts_and_periods_have_bounds() {
    assert_eq!(permit(|rule| rule.purposes = Scope::Only(vec![])), Err(TermsError::ListLength));
    assert_eq!(permit(|rule| rule.recipients = Scope::Only(vec![])), Err(TermsError::ListLength));
    assert_eq!(permit(|rule| rule.data = Scope::Only(vec![])), Err(TermsError::ListLength));
    assert_eq!(permit(|rule| rule.labels = Scope::Only(vec![])), Err(TermsError::ListLength));
    let many = |count| Scope::Only(vec![Domain::Drug; count]);
    assert_eq!(permit(|rule| rule.data = many(MAX_LIST)), Ok(()));
    assert_eq!(permit(|rule| rule.data = many(MAX_LIST + 1)), Err(TermsError::ListLength));
    let labels = Scope::Only(vec![Label::Normal; MAX_LIST + 1]);
    assert_eq!(permit(|rule| rule.labels = labels), Err(TermsError::ListLength));
    let named = |name: &str| {
        let organisation = Recipient::Organisation(name.to_string());
        permit(|rule| rule.recipients = Scope::Only(vec![Recipient::Study(study(1)), organisation]))
    };
    assert_eq!(named(&"x".repeat(MAX_TEXT)), Ok(()));
    assert_eq!(named(&"x".repeat(MAX_TEXT + 1)), Err(TermsError::TextLength));
    assert_eq!(named(""), Err(TermsError::TextLength));
    let backwards = Window { from: Some(day(2)), to: Some(day(1)) };
    assert_eq!(permit(|rule| rule.valid = backwards), Err(TermsError::EmptyPeriod));
    assert_eq!(permit(|rule| rule.window = backwards), Err(TermsError::EmptyPeriod));
    let one_day = Window { from: Some(day(1)), to: Some(day(1)) };
    assert_eq!(permit(|rule| (rule.valid, rule.window) = (one_day, one_day)), Ok(()));
    let rules = |count| Terms::opt_in(vec![Rule::new(Effect::Permit, Action::Aggregate, Scope::Any); count]).check();
    assert_eq!(rules(MAX_RULES), Ok(()));
    assert_eq!(rules(MAX_RULES + 1), Err(TermsError::TooManyRules));
    let uri = |length| Terms { policy_uri: "x".repeat(length), ..Terms::opt_in(vec![]) }.check();
    assert_eq!((uri(0), uri(MAX_TEXT), uri(MAX_TEXT + 1)), (Ok(()), Ok(()), Err(TermsError::TextLength)));
}
