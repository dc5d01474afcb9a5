//! Words that came later: an old document's `any` does not mean them as a permit, and means them as a deny.

use consilium_protocol::consent::{
    Action, Base, Decision, Domain, Effect, Form, Jurisdiction, Label, Modifier, ModifierKind, Purpose, Reason,
    Recipient, Rule, Scope, Terms, TermsError, Trait, Use, Vocabulary, Word,
};

use crate::consent::world::{asked, asked_by_hospital, decide, declaring, hospital, researcher};

/// A later word, met: a use that asks with it and the domain in which the answer shows.
fn later_words() -> Vec<(String, Use, Domain)> {
    let old = || asked(&["GRU"]);
    let mut words = Vec::new();
    for domain in [Domain::Imaging, Domain::Document, Domain::Billing, Domain::Genomics] {
        words.push((domain.to_string(), old(), domain));
    }
    for purpose in ["POA", "CC", "ETREAT"] {
        words.push((purpose.to_string(), asked(&[purpose]), Domain::Drug));
        words.push((format!("GRU and {purpose}"), asked(&["GRU", purpose]), Domain::Drug));
    }
    words.push(("ancestry".to_string(), declaring(old(), &[Trait::Ancestry]), Domain::Drug));
    for jurisdiction in [Jurisdiction::Adequate, Jurisdiction::Other] {
        let mut of_study = old();
        of_study.by.establishment.jurisdiction = jurisdiction;
        words.push((jurisdiction.to_string(), of_study, Domain::Drug));
    }
    for form in [Form::SafeHarbour, Form::Pseudonymised, Form::Desensitised, Form::Identified] {
        words.push((form.to_string(), Use { action: Action::Retrieve, form, ..old() }, Domain::Drug));
        words.push((format!("statistics as {form}"), Use { form, ..old() }, Domain::Drug));
    }
    let mut of_hospital = old();
    (of_hospital.by.researcher, of_hospital.by.hospital) = (None, Some(hospital(1)));
    words.push(("a hospital".to_string(), of_hospital, Domain::Drug));
    let mut of_another = old();
    (of_another.by.researcher, of_another.by.hospital) = (None, None);
    words.push(("a third party".to_string(), of_another, Domain::Drug));
    words
}

fn any(effect: Effect, action: Action) -> Rule {
    Rule::new(effect, action, Scope::Any)
}

fn old(base: Base, rules: Vec<Rule>) -> Terms {
    Terms { vocabulary: Vocabulary::RESEARCH, base, ..Terms::opt_in(rules) }
}

fn is_open(decision: &Decision, domain: Domain) -> bool {
    assert!(decision.by_label.values().all(|of| of.of(domain) == decision.allowed.of(domain)));
    decision.allowed.of(domain).is_some()
}

/// Everything that can be permitted with the words of now.
fn everything(action: Action) -> Terms {
    let mut permit = any(Effect::Permit, action);
    permit.form = (action == Action::Retrieve).then_some(Form::Identified);
    Terms::opt_in(vec![permit])
}

#[test]
fn any_of_an_old_permit_means_no_later_word() {
    for (word, asked, domain) in later_words() {
        for permits in [
            old(Base::Deny, vec![any(Effect::Permit, asked.action)]),
            // As no old document could say it; the form is a later word by itself.
            old(Base::Deny, vec![Rule { form: Some(Form::Identified), ..any(Effect::Permit, asked.action) }]),
            old(Base::Permit, vec![]),
        ] {
            let is_record = permits.rules.iter().any(|rule| rule.form.is_some());
            if is_record && asked.action == Action::Retrieve {
                assert_eq!(permits.check(), Err(TermsError::LaterWord));
                continue;
            }
            assert!(!is_open(&decide(&[permits], &asked), domain), "{word}");
        }
    }
    // What there was is open, to whoever there was.
    for old_words in [old(Base::Deny, vec![any(Effect::Permit, Action::Aggregate)]), old(Base::Permit, vec![])] {
        for domain in Domain::ALL.into_iter().filter(|domain| Vocabulary::RESEARCH.has(domain)) {
            for purpose in ["GRU", "HMB", "DS-M:1", "DS-X:9"] {
                assert!(is_open(&decide(std::slice::from_ref(&old_words), &asked(&[purpose])), domain));
            }
        }
    }
}

#[test]
fn any_of_an_old_deny_means_later_words_too() {
    for (word, mut asked, domain) in later_words() {
        let is_askable = asked.action != Action::Aggregate || asked.form == Form::Statistics;
        if !is_askable {
            asked.form = Form::Statistics;
        }
        let all = everything(asked.action);
        assert!(is_open(&decide(std::slice::from_ref(&all), &asked), domain), "{word}");
        let deny = old(Base::Deny, vec![any(Effect::Deny, asked.action)]);
        assert!(decide(&[all.clone(), deny], &asked).allowed.is_empty(), "{word}");
        let deny = old(Base::Permit, vec![any(Effect::Deny, asked.action)]);
        assert!(decide(&[all, deny], &asked).allowed.is_empty(), "{word}");
    }
}

#[test]
fn any_of_a_new_permit_means_the_words_of_now() {
    for (word, asked, domain) in later_words() {
        let is_askable = asked.action != Action::Aggregate || asked.form == Form::Statistics;
        assert_eq!(is_open(&decide(&[everything(asked.action)], &asked), domain), is_askable, "{word}");
        let silence = Terms { base: Base::Permit, ..Terms::opt_in(vec![]) };
        let expected = is_askable && asked.action == Action::Aggregate;
        assert_eq!(is_open(&decide(&[silence], &asked), domain), expected, "{word}");
    }
}

#[test]
fn silence_opens_statistics_and_nothing_else() {
    for vocabulary in [Vocabulary::RESEARCH, Vocabulary::CARE] {
        let silence = Terms { vocabulary, base: Base::Permit, ..Terms::opt_in(vec![]) };
        let with = |rule: Rule| Terms { rules: vec![rule], ..silence.clone() };
        for action in Action::ALL {
            for form in Form::ALL {
                for purpose in ["GRU", "CC", "ETREAT"] {
                    let of_study = Use { action, form, ..asked(&[purpose]) };
                    let is_meant = vocabulary == Vocabulary::CARE || purpose == "GRU";
                    let expected = action == Action::Aggregate && form == Form::Statistics && is_meant;
                    let decision = decide(std::slice::from_ref(&silence), &of_study);
                    assert_eq!(!decision.allowed.is_empty(), expected, "{vocabulary:?} {action:?} {form} {purpose}");
                    let reason = if expected { Reason::PermitsByDefault } else { decision.reasons[0].reason };
                    assert_eq!(decision.reasons[0].reason, reason);
                    assert_ne!(decision.reasons[0].reason, Reason::Permits);
                }
            }
            let record = Use { action, form: Form::Identified, ..asked_by_hospital(&["CC"]) };
            assert!(decide(std::slice::from_ref(&silence), &record).allowed.is_empty(), "{action:?}");
        }
        // A rule opens what silence does not.
        let again = Use { action: Action::Recontact, form: Form::Identified, ..asked(&["GRU"]) };
        let recontact = with(any(Effect::Permit, Action::Recontact));
        assert_eq!(recontact.check(), Ok(()));
        assert!(!decide(&[recontact], &again).allowed.is_empty());
        assert_eq!(with(any(Effect::Permit, Action::Aggregate)).check(), Err(TermsError::PermitUnderPermit));
    }
}

#[test]
fn a_document_has_no_word_that_came_later() {
    let permit = |change: &dyn Fn(&mut Rule)| {
        let mut rule = any(Effect::Permit, Action::Recontact);
        change(&mut rule);
        rule
    };
    let mut rules: Vec<Rule> = Vec::new();
    for domain in Domain::ALL {
        rules.push(permit(&|rule| rule.data = Scope::Only(vec![Domain::Person, domain])));
    }
    for word in ["NRES", "GRU", "HMB", "DS-M:1", "POA", "CC", "ETREAT"] {
        rules.push(permit(&|rule| rule.purposes = Scope::Only(vec![Purpose::HealthResearch, word.parse().unwrap()])));
    }
    for law in Jurisdiction::ALL {
        rules.push(permit(&|rule| rule.jurisdiction = Some(law)));
    }
    for label in Label::ALL {
        rules.push(permit(&|rule| rule.labels = Scope::Only(vec![label])));
    }
    for modifier in [Modifier::Ethics, Modifier::Users(vec![researcher(1)]), Modifier::Moratorium(None)] {
        rules.push(permit(&|rule| rule.modifiers = vec![modifier.clone()]));
    }
    for form in Form::ALL.into_iter().filter(|form| *form != Form::Statistics) {
        rules.push(permit(&|rule| (rule.action, rule.form) = (Action::Retrieve, Some(form))));
    }
    for recipient in [Recipient::Hospital(hospital(1)), Recipient::Researcher(researcher(1))] {
        rules.push(permit(&|rule| rule.recipients = Scope::Only(vec![recipient.clone()])));
    }
    for rule in &rules {
        let is_later = rule.modifiers.iter().any(|of| of.since() > Vocabulary::RESEARCH)
            || rule.form.is_some()
            || rule.jurisdiction.is_some_and(|law| law != Jurisdiction::Gdpr)
            || matches!(&rule.data, Scope::Only(list) if list.iter().any(|of| {
                matches!(of, Domain::Imaging | Domain::Document | Domain::Billing | Domain::Genomics)
            }))
            || matches!(&rule.purposes, Scope::Only(list) if list.iter().any(|of| {
                matches!(of.to_string().as_str(), "NRES" | "POA" | "CC" | "ETREAT")
            }));
        let expected = if is_later { Err(TermsError::LaterWord) } else { Ok(()) };
        assert_eq!(old(Base::Deny, vec![rule.clone()]).check(), expected, "{rule:?}");
        assert_eq!(Terms::opt_in(vec![rule.clone()]).check(), Ok(()), "{rule:?}");
        // A deny has later words no more than a permit.
        let deny = Rule { effect: Effect::Deny, modifiers: vec![], ..rule.clone() };
        let expected = if rule.modifiers.is_empty() { expected } else { Ok(()) };
        assert_eq!(old(Base::Deny, vec![deny]).check(), expected, "{rule:?}");
    }
    assert_eq!(rules.len(), 14 + 7 + 3 + 6 + 3 + 4 + 2);
    assert!(ModifierKind::ALL.len() == 16 && Action::Retrieve.since() == Vocabulary::CARE);
    assert_eq!(old(Base::Deny, vec![any(Effect::Deny, Action::Retrieve)]).check(), Err(TermsError::LaterWord));
}

#[test]
fn an_unknown_vocabulary_is_refused() {
    let terms = Terms::opt_in(vec![any(Effect::Permit, Action::Aggregate)]);
    let bytes = borsh::to_vec(&terms).unwrap();
    assert_eq!(bytes[..2], [2, 0]);
    for number in 0..=u16::MAX {
        let mut other = bytes.clone();
        other[..2].copy_from_slice(&number.to_le_bytes());
        let read = borsh::from_slice::<Terms>(&other);
        assert_eq!(read.is_ok(), number == 1 || number == 2, "{number}");
        if let Ok(read) = read {
            assert_eq!(read.vocabulary.number(), number);
            assert_eq!(Vocabulary::numbered(number), Some(read.vocabulary));
        }
    }
    for text in ["vocabulary = 0", "vocabulary = 3", "vocabulary = -1", "vocabulary = \"2\"", "vocabulary = 65538"] {
        assert!(toml::from_str::<Terms>(&format!("{text}\nbase = \"deny\"")).is_err(), "{text}");
    }
    assert_eq!(toml::from_str::<Terms>("base = \"deny\"").unwrap().vocabulary, Vocabulary::CURRENT);
    assert_eq!(toml::from_str::<Terms>("vocabulary = 1\nbase = \"deny\"").unwrap().vocabulary, Vocabulary::RESEARCH);
}
