//! What holds of every document and use, whatever they say.

use consilium_protocol::consent::{
    AllowedData, Base, Decision, Effect, Form, Jurisdiction, Reason, Terms, Trait, Use, Vocabulary, Window,
};

use super::draw::{Dice, a_use, documents, every_condition, rule, terms};
use super::world::{day, decide, purpose};

const CASES: usize = 20_000;

/// Whether all that one opens the other opens, under every label.
fn is_within(one: &Decision, other: &Decision) -> bool {
    let within = |one: &AllowedData, other: &AllowedData| {
        let mut both = one.clone();
        both.intersect(other);
        both == *one
    };
    within(&one.allowed, &other.allowed) && one.by_label.iter().all(|(label, of)| within(of, &other.by_label[label]))
}

/// Draws documents and a use, changes them, and says how they were and are. Asserts that the change does something at times.
fn for_each(
    seed: u64,
    mut change: impl FnMut(&mut Dice, &mut Vec<Terms>, &mut Use),
    holds: impl Fn(&Decision, &Decision) -> bool,
) -> usize {
    let mut dice = Dice::new(seed);
    let mut changed = 0;
    for case in 0..CASES {
        let asked = a_use(&mut dice);
        let documents = documents(&mut dice, &asked);
        let (mut documents_after, mut asked_after) = (documents.clone(), asked.clone());
        change(&mut dice, &mut documents_after, &mut asked_after);
        let (before, after) = (decide(&documents, &asked), decide(&documents_after, &asked_after));
        let say =
            || format!("case {case}\n{documents:#?}\n{asked:#?}\nand then\n{documents_after:#?}\n{asked_after:#?}");
        assert!(holds(&before, &after), "{}", say());
        changed += usize::from(before.by_label != after.by_label);
    }
    changed
}

#[test]
fn a_deny_opens_nothing() {
    let changed = for_each(
        2,
        |dice, documents, asked| {
            let mut deny = rule(dice, asked, Vocabulary::CARE);
            deny.effect = Effect::Deny;
            deny.modifiers.clear();
            match documents.len() {
                0 => documents.push(Terms::opt_in(vec![deny])),
                count if dice.in_hundred(50) => documents[dice.below(count)].rules.push(deny),
                _ => documents.push(Terms::opt_in(vec![deny])),
            }
        },
        |before, after| is_within(after, before),
    );
    assert!(changed > CASES / 100, "{changed}");
}

#[test]
fn a_document_of_permits_closes_nothing() {
    let changed = for_each(
        3,
        |dice, documents, asked| {
            let mut more = terms(dice, asked);
            more.rules.retain(|rule| rule.effect == Effect::Permit);
            documents.push(more);
        },
        is_within,
    );
    assert!(changed > CASES / 10, "{changed}");
}

#[test]
fn order_means_nothing() {
    let same = |one: &Decision, other: &Decision| {
        let of = |decision: &Decision| {
            let mut reasons: Vec<Reason> = decision.reasons.iter().map(|of| of.reason).collect();
            reasons.sort_unstable();
            (
                decision.allowed.clone(),
                decision.by_label.clone(),
                decision.conditions.clone(),
                decision.obligations.clone(),
                reasons,
                decision.why_not(),
            )
        };
        of(one) == of(other)
    };
    for_each(
        4,
        |dice, documents, asked| {
            dice.shuffle(documents);
            dice.shuffle(&mut asked.purposes);
            dice.shuffle(&mut asked.declared.traits);
            for terms in documents {
                dice.shuffle(&mut terms.rules);
                terms.rules.iter_mut().for_each(|rule| dice.shuffle(&mut rule.modifiers));
            }
        },
        |before, after| {
            // Which of two broken modifiers is named is the only thing that order decides.
            let broken =
                |decision: &Decision| decision.reasons.iter().any(|of| matches!(of.reason, Reason::Modifier(_)));
            same(before, after)
                || (broken(before)
                    && before.by_label == after.by_label
                    && before.conditions == after.conditions
                    && before.obligations == after.obligations)
        },
    );
}

#[test]
fn a_tick_closes_nothing_and_those_named_are_enough() {
    let changed = for_each(
        5,
        |dice, _, asked| {
            let more = every_condition();
            asked.ticked.insert(dice.one(&more));
        },
        |before, after| {
            is_within(before, after) && before.conditions == after.conditions && before.obligations == after.obligations
        },
    );
    assert!(changed > CASES / 1000, "{changed}");
    let mut dice = Dice::new(6);
    for _ in 0..CASES {
        let asked = a_use(&mut dice);
        let documents = documents(&mut dice, &asked);
        let named = decide(&documents, &asked).conditions;
        let all = Use { ticked: every_condition().into_iter().collect(), ..asked.clone() };
        assert_eq!(decide(&documents, &Use { ticked: named, ..asked }).by_label, decide(&documents, &all).by_label);
    }
}

#[test]
fn who_asks_for_more_gets_no_more() {
    let more_purposes = for_each(
        7,
        |dice, _, asked| {
            let more =
                ["GRU", "HMB", "DS-M:1", "DS-M:11", "DS-M:111", "DS-M:2", "DS-X:9", "POA", "CC", "ETREAT", "NRES"];
            // What is for nothing has nothing to lose.
            if !asked.purposes.is_empty() {
                asked.purposes.push(purpose(dice.one(&more)));
            }
        },
        |before, after| is_within(after, before),
    );
    let sensitive = for_each(
        8,
        |dice, _, asked| {
            let mut more: Vec<Trait> = Trait::ALL.into_iter().filter(|of| of.is_sensitive()).collect();
            more.extend([Trait::Commercial, Trait::ControlSet]);
            asked.declared.traits.push(dice.one(&more));
        },
        |before, after| is_within(after, before),
    );
    let further_form = for_each(
        9,
        |dice, _, asked| {
            // Between statistics and records there is no more and less.
            if asked.form > Form::Statistics {
                asked.form = asked.form.max(dice.one(&Form::ALL));
            }
        },
        |before, after| is_within(after, before),
    );
    let further_law = for_each(
        10,
        |dice, _, asked| {
            let law = &mut asked.by.establishment.jurisdiction;
            *law = (*law).max(dice.one(&Jurisdiction::ALL));
        },
        |before, after| is_within(after, before),
    );
    for changed in [more_purposes, sensitive, further_form, further_law] {
        assert!(changed > CASES / 1000, "{more_purposes} {sensitive} {further_form} {further_law}");
    }
}

#[test]
fn who_declares_and_promises_less_gets_no_more() {
    let changed = for_each(
        11,
        |dice, _, asked| match dice.below(6) {
            0 => asked.declared.promises.clear(),
            1 => asked.declared.ethics = None,
            2 => asked.declared.collaborators.clear(),
            3 => asked.declared.publishes_from = None,
            4 => asked.declared.publishes_from = asked.declared.publishes_from.map(|from| day(from.days() - 1)),
            _ => asked.by.establishment.for_profit = true,
        },
        |before, after| is_within(after, before),
    );
    assert!(changed > CASES / 1000, "{changed}");
}

#[test]
fn a_permit_that_lasts_longer_closes_nothing_and_a_deny_that_does_opens_nothing() {
    let longer = |effect: Effect| {
        move |dice: &mut Dice, documents: &mut Vec<Terms>, _: &mut Use| {
            let rules = documents.iter_mut().flat_map(|terms| &mut terms.rules);
            for rule in rules.filter(|rule| rule.effect == effect && !rule.valid.is_empty() && !rule.window.is_empty())
            {
                let wider = |dice: &mut Dice, window: &mut Window| match dice.below(4) {
                    0 => window.from = None,
                    1 => window.to = None,
                    2 => *window = Window { from: window.from.map(|day_of| day(day_of.days() - 1)), to: window.to },
                    _ => *window = Window { from: window.from, to: window.to.map(|day_of| day(day_of.days() + 1)) },
                };
                wider(dice, &mut rule.valid);
                wider(dice, &mut rule.window);
            }
        }
    };
    let permits = for_each(12, longer(Effect::Permit), is_within);
    let denies = for_each(13, longer(Effect::Deny), |before, after| is_within(after, before));
    assert!(permits > CASES / 100 && denies > CASES / 1000, "{permits} {denies}");
}

#[test]
fn a_newer_vocabulary_closes_nothing() {
    // The rules are those that an old document may have, so that the words are the same and mean as much, or more.
    let changed = for_each(
        14,
        |_, documents, _| {
            documents.iter_mut().for_each(|terms| terms.vocabulary = Vocabulary::CARE);
        },
        is_within,
    );
    assert!(changed > CASES / 1000, "{changed}");
}

#[test]
fn reasons_and_what_is_asked_for_go_with_what_is_open() {
    let mut dice = Dice::new(15);
    for _ in 0..CASES {
        let asked = a_use(&mut dice);
        let documents = documents(&mut dice, &asked);
        let decision = decide(&documents, &asked);
        let own = |terms: &Terms| terms.rules.len() + usize::from(terms.base == Base::Permit);
        assert_eq!(decision.reasons.len(), documents.iter().map(own).sum::<usize>());
        let has = |wanted: &[Reason]| decision.reasons.iter().any(|of| wanted.contains(&of.reason));
        let permits = has(&[Reason::Permits, Reason::PermitsByDefault]);
        assert!(permits || decision.by_label.values().all(AllowedData::is_empty), "open without a permit");
        assert!(permits || decision.allowed.is_empty());
        assert!(decision.by_label.values().all(|of| {
            let mut both = decision.allowed.clone();
            both.intersect(of);
            both == decision.allowed
        }));
        match decision.why_not() {
            None => assert!(!decision.allowed.is_empty()),
            Some(Reason::NoConsent) => assert!(decision.reasons.is_empty()),
            Some(Reason::NotTicked) => assert!(!decision.conditions.is_subset(&asked.ticked)),
            Some(Reason::Sensitivity) => assert!(decision.by_label.values().any(|of| !of.is_empty())),
            Some(reason) => assert!(!matches!(reason, Reason::Permits | Reason::PermitsByDefault)),
        }
        // Nobody is asked for anything, and nothing is owed, without a permit or one that a tick is wanting to.
        let covers = has(&[Reason::Permits, Reason::PermitsByDefault, Reason::NotTicked]);
        assert!(covers || (decision.conditions.is_empty() && decision.obligations.is_empty()));
        if has(&[Reason::NotTicked]) {
            assert!(!decision.conditions.is_subset(&asked.ticked));
        }
    }
}

#[test]
fn documents_that_are_drawn_could_be_signed() {
    let mut dice = Dice::new(16);
    let (mut all, mut fine) = (0, 0);
    for _ in 0..CASES {
        let asked = a_use(&mut dice);
        for terms in documents(&mut dice, &asked) {
            let backwards = terms.rules.iter().any(|rule| rule.valid.is_empty() || rule.window.is_empty());
            assert_eq!(terms.check().is_ok(), !backwards, "{terms:#?}");
            all += 1;
            fine += usize::from(!backwards);
        }
    }
    assert!(fine < all && fine > all * 9 / 10, "{fine} of {all}");
}
