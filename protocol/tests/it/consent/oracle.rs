//! Asks one rule after another about one point after another: a domain, a label, and a day or none.
//!
//! Written from the tables, apart from the program: purposes are matched by their names in a grid of letters.

use std::collections::BTreeSet;

use consilium_protocol::consent::{
    Action, Base, Condition, Domain, Effect, Form, Jurisdiction, Label, Modifier, Obligation, Promise, Purpose,
    Recipient, Rule, Scope, Terms, Trait, Use, Vocabulary, Window,
};

use super::world::DISEASES;

/// A grant, by use: for GRU, HMB, a disease, ancestry, methods, controls, TREAT, ETREAT, anything else. A allows, C if somebody
/// ticks it, D denies; W allows within the disease that is granted, N if it is about ancestry too.
const GRANTS: [(&str, &str); 7] = [
    ("NRES", "AAAAACDDD"),
    ("GRU", "AAAAACDDD"),
    ("HMB", "DAADACDDD"),
    ("DS", "DDWDWWDDD"),
    ("POA", "DDDANDDDD"),
    ("CC", "DDDDDDADD"),
    ("ETREAT", "DDDDDDDAD"),
];

/// What a deny hits, by use: GRU, HMB, a disease (L: in one line), POA, CC, ETREAT; then by what a study declares: methods,
/// ancestry, controls.
const DENIES: [(&str, &str); 7] = [
    ("NRES", "xxxx..xxx"),
    ("GRU", "xxxx..xxx"),
    ("HMB", "xxx...x.."),
    ("DS", "xxL......"),
    ("POA", "x..x...x."),
    ("CC", "....xx..."),
    ("ETREAT", ".....x..."),
];

/// A day, or no date at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Dated {
    On(i32),
    Undated,
}

/// One thing that a use asks for: a column of the table, the disease, and whether it is about ancestry.
#[derive(Clone, Debug)]
struct Wish {
    column: usize,
    disease: Option<String>,
    ancestry: bool,
    later: bool,
}

/// What every rule says to a use, whichever data are meant.
pub(crate) struct Oracle<'a> {
    wishes: usize,
    /// Permits that count, with their vocabularies and the wishes that they grant.
    permits: Vec<(&'a Rule, Vocabulary, u64)>,
    /// Opt-outs that count: without a rule, over the words of their vocabularies.
    silent: Vec<(Vocabulary, u64)>,
    denies: Vec<&'a Rule>,
    pub(crate) conditions: BTreeSet<Condition>,
    pub(crate) obligations: BTreeSet<Obligation>,
}

fn name(purpose: &Purpose) -> (String, Option<String>) {
    let text = purpose.to_string();
    match text.strip_prefix("DS-") {
        Some(code) => ("DS".to_string(), Some(code.to_string())),
        None => (text, None),
    }
}

/// Whether one code stands for a kind of the other's, or for the same.
fn is_kind(code: &str, of: &str) -> bool {
    let parents = DISEASES.iter().find(|(own, _)| *own == code).map_or(&[][..], |(_, parents)| parents);
    code == of || parents.iter().any(|parent| is_kind(parent, of))
}

fn is(asked: &Use, of: Trait) -> bool {
    asked.declared.traits.contains(&of)
}

fn wishes(asked: &Use) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for purpose in &asked.purposes {
        let (word, disease) = name(purpose);
        let first = ["GRU", "HMB", "DS", "POA"];
        let column = match word.as_str() {
            "CC" => 6,
            "ETREAT" => 7,
            "NRES" => 8,
            research => first.iter().position(|of| *of == research).unwrap(),
        };
        let later = !matches!(word.as_str(), "GRU" | "HMB" | "DS");
        let ancestry = word == "POA" || is(asked, Trait::Ancestry);
        let wish = |column| Wish { column, disease: disease.clone(), ancestry, later };
        // Methods are asked for instead of other research, and ancestry beside them.
        if column >= 3 || !is(asked, Trait::MethodsOnly) {
            wishes.push(wish(column));
        }
        if is(asked, Trait::MethodsOnly) {
            wishes.push(wish(4));
        }
        if is(asked, Trait::ControlSet) {
            wishes.push(wish(5));
        }
        if is(asked, Trait::Ancestry) {
            wishes.push(Wish { later: true, ..wish(3) });
        }
    }
    wishes
}

/// What of a grid's line holds for a wish.
fn cell(granted: &Purpose, wish: &Wish) -> char {
    let (word, own) = name(granted);
    let (_, line) = GRANTS.iter().find(|(of, _)| *of == word).unwrap();
    match line.as_bytes()[wish.column] {
        b'W' => match (&wish.disease, &own) {
            (Some(asked), Some(own)) if is_kind(asked, own) => 'A',
            _ => 'D',
        },
        b'N' if wish.ancestry => 'A',
        b'N' => 'D',
        letter => letter as char,
    }
}

fn is_research(asked: &Use) -> bool {
    let by_trait = [Trait::MethodsOnly, Trait::Ancestry, Trait::ControlSet].iter().any(|of| is(asked, *of));
    by_trait || asked.purposes.iter().any(|of| !["CC", "ETREAT"].contains(&of.to_string().as_str()))
}

/// What a modifier asks for, or `Err` where it cannot be met. NMDS is asked of each permission.
fn bound(modifier: &Modifier, asked: &Use) -> Result<(Option<Condition>, Option<Obligation>), ()> {
    let declared = &asked.declared;
    let ok = |met: bool| if met { Ok((None, None)) } else { Err(()) };
    let owed = |met: bool, what| if met { Ok((None, Some(what))) } else { Err(()) };
    let tick = |may: bool, what| if may { Ok((Some(what), None)) } else { Err(()) };
    let profit = asked.by.establishment.for_profit;
    let unsaid = is_research(asked) && asked.study.is_none();
    let commercial = unsaid || is(asked, Trait::Commercial);
    let has = |promise: Promise| declared.promises.contains(&promise);
    match modifier {
        Modifier::NonProfitOrganisation => return ok(!profit),
        Modifier::NonCommercialUse => return ok(!commercial),
        Modifier::NonProfitNonCommercial => return ok(!(profit || commercial)),
        Modifier::Places(list) => return ok(list.contains(&asked.by.establishment.country)),
        Modifier::Users(list) => return ok(list.iter().any(|own| Some(*own) == asked.by.researcher)),
        Modifier::Institutions(list) => return ok(list.contains(&asked.by.organisation)),
        Modifier::Projects(list) => return ok(list.iter().any(|own| Some(*own) == asked.study)),
        Modifier::Specific(text) => return tick(!text.trim().is_empty(), Condition::Specific(text.clone())),
        _ => {}
    }
    if unsaid {
        return Err(());
    }
    if asked.study.is_none() {
        return ok(true);
    }
    match modifier {
        Modifier::NoAncestry => {
            ok(!is(asked, Trait::Ancestry) && asked.purposes.iter().all(|of| of.to_string() != "POA"))
        }
        Modifier::GeneticOnly => ok(is(asked, Trait::Genetic)),
        Modifier::Ethics => tick(declared.ethics.is_some(), Condition::Ethics),
        Modifier::Publication => owed(has(Promise::Publication), Obligation::Publication),
        Modifier::Return => owed(has(Promise::Return), Obligation::Return),
        Modifier::Collaboration(whom) => {
            let are_named = whom.iter().filter(|one| !declared.collaborators.contains(one)).count() == 0;
            tick(are_named, Condition::Collaboration(whom.clone()))
        }
        Modifier::Moratorium(None) => Ok((Some(Condition::Moratorium), None)),
        Modifier::Moratorium(Some(until)) => {
            owed(declared.publishes_from.is_some_and(|from| from >= *until), Obligation::Moratorium(*until))
        }
        _ => ok(true),
    }
}

/// Whether the rule is about this action, form, recipient, law and day.
fn speaks(rule: &Rule, vocabulary: Vocabulary, asked: &Use) -> bool {
    let permits = rule.effect == Effect::Permit;
    let old = vocabulary == Vocabulary::RESEARCH;
    let form = match asked.action {
        Action::Aggregate => !permits || asked.form == Form::Statistics,
        Action::Recontact => true,
        Action::Retrieve => match rule.form {
            None => !permits,
            Some(_) if permits && asked.form == Form::Statistics => false,
            Some(own) => {
                if permits {
                    asked.form <= own
                } else {
                    own <= asked.form
                }
            }
        },
    };
    let law = asked.by.establishment.jurisdiction;
    let laws = match (rule.jurisdiction, permits) {
        (None, true) => !old || law == Jurisdiction::Gdpr,
        (None, false) => true,
        (Some(own), true) => law <= own,
        (Some(own), false) => own <= law,
    };
    let named = match &rule.recipients {
        Scope::Any => true,
        Scope::Only(list) => list.iter().any(|recipient| match recipient {
            Recipient::Organisation(own) => own == &asked.by.organisation,
            Recipient::Researcher(own) => Some(own) == asked.by.researcher.as_ref(),
            Recipient::Hospital(own) => Some(own) == asked.by.hospital.as_ref(),
            Recipient::Study(own) => Some(own) == asked.study.as_ref(),
        }),
    };
    let known = !(permits && old && asked.by.researcher.is_none());
    let backwards = is_backwards(&rule.valid);
    let valid = if backwards { !permits } else { within(asked.day.days(), &rule.valid) };
    rule.action == asked.action && form && laws && named && known && valid
}

fn is_backwards(window: &Window) -> bool {
    window.from.zip(window.to).is_some_and(|(from, to)| to.days() < from.days())
}

fn within(day: i32, window: &Window) -> bool {
    window.from.is_none_or(|from| day >= from.days()) && window.to.is_none_or(|to| to.days() >= day)
}

fn hits(rule: &Rule, asked: &Use) -> bool {
    let Scope::Only(denied) = &rule.purposes else { return true };
    denied.iter().any(|denied| {
        let (word, own) = name(denied);
        let line = DENIES.iter().find(|(of, _)| *of == word).unwrap().1.as_bytes();
        let by_trait = [Trait::MethodsOnly, Trait::Ancestry, Trait::ControlSet];
        let declared = by_trait.iter().enumerate().any(|(at, of)| line[6 + at] == b'x' && is(asked, *of));
        declared
            || asked.purposes.iter().any(|purpose| {
                let (word, disease) = name(purpose);
                let at = ["GRU", "HMB", "DS", "POA", "CC", "ETREAT"].iter().position(|of| *of == word);
                // Nobody may ask for what has no column.
                match at.map(|at| line[at]) {
                    Some(b'L') => {
                        let (one, other) = (disease.unwrap(), own.clone().unwrap());
                        is_kind(&one, &other) || is_kind(&other, &one)
                    }
                    cell => cell == Some(b'x'),
                }
            })
    })
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(documents: &'a [Terms], asked: &Use) -> Self {
        let wishes = wishes(asked);
        let mut oracle = Self {
            wishes: wishes.len(),
            permits: Vec::new(),
            silent: Vec::new(),
            denies: Vec::new(),
            conditions: BTreeSet::new(),
            obligations: BTreeSet::new(),
        };
        let silence = Rule::new(Effect::Permit, Action::Aggregate, Scope::Any);
        for terms in documents {
            if terms.base == Base::Permit && speaks(&silence, terms.vocabulary, asked) {
                let granted = oracle.granted(&silence, terms.vocabulary, &wishes, asked);
                oracle.silent.push((terms.vocabulary, granted));
            }
            for rule in terms.rules.iter().filter(|rule| speaks(rule, terms.vocabulary, asked)) {
                match rule.effect {
                    Effect::Deny if hits(rule, asked) => oracle.denies.push(rule),
                    Effect::Deny => {}
                    Effect::Permit => {
                        let granted = oracle.granted(rule, terms.vocabulary, &wishes, asked);
                        oracle.permits.push((rule, terms.vocabulary, granted));
                    }
                }
            }
        }
        oracle
    }

    /// A bit for every wish that a permit grants, with what is ticked.
    fn granted(&mut self, rule: &Rule, vocabulary: Vocabulary, wishes: &[Wish], asked: &Use) -> u64 {
        let mut granted = 0;
        for (position, wish) in wishes.iter().enumerate() {
            let Some((conditions, obligations)) = grant(rule, vocabulary, wish, asked) else { continue };
            if conditions.iter().all(|one| asked.ticked.contains(one)) {
                granted |= 1 << position;
            }
            self.conditions.extend(conditions);
            self.obligations.extend(obligations);
        }
        granted
    }

    /// Whether data of a domain that carry one label may be read.
    pub(crate) fn is_open(&self, domain: Domain, label: Label, dated: Dated) -> bool {
        let has = |vocabulary: Vocabulary| {
            let later = [Domain::Imaging, Domain::Document, Domain::Billing, Domain::Genomics];
            vocabulary != Vocabulary::RESEARCH || !later.contains(&domain)
        };
        let about = |rule: &Rule| {
            let domains = match &rule.data {
                Scope::Any => true,
                Scope::Only(list) => list.contains(&domain),
            };
            domains
                && match &rule.labels {
                    Scope::Any => true,
                    Scope::Only(list) => list.contains(&label),
                }
        };
        let mut granted = 0;
        for (vocabulary, wishes) in &self.silent {
            if has(*vocabulary) {
                granted |= wishes;
            }
        }
        for (rule, vocabulary, wishes) in &self.permits {
            let days = match dated {
                Dated::On(day) => within(day, &rule.window),
                Dated::Undated => !is_backwards(&rule.window),
            };
            if *wishes > 0 && days && has(*vocabulary) && about(rule) {
                granted |= wishes;
            }
        }
        if self.wishes == 0 || (granted.count_ones() as usize) < self.wishes {
            return false;
        }
        !self.denies.iter().any(|rule| {
            let all = rule.window == Window::UNBOUNDED || is_backwards(&rule.window);
            let days = match dated {
                Dated::On(day) => all || within(day, &rule.window),
                Dated::Undated => all,
            };
            days && about(rule)
        })
    }
}

/// What a permit asks for and gets, if it covers a wish.
fn grant(rule: &Rule, vocabulary: Vocabulary, wish: &Wish, asked: &Use) -> Option<(Vec<Condition>, Vec<Obligation>)> {
    let words = match &rule.purposes {
        Scope::Only(list) => list.clone(),
        Scope::Any if vocabulary == Vocabulary::RESEARCH && wish.later => Vec::new(),
        Scope::Any if vocabulary == Vocabulary::RESEARCH => vec![Purpose::GeneralResearch],
        Scope::Any => vec![Purpose::GeneralResearch, Purpose::Care, Purpose::EmergencyCare],
    };
    let spared = rule.modifiers.contains(&Modifier::NoMethodsOnly) && is(asked, Trait::MethodsOnly);
    let words = words.iter().filter(|word| !spared || name(word).0 == "DS");
    let cells: Vec<char> = words.map(|word| cell(word, wish)).collect();
    let mut conditions = Vec::new();
    if !cells.contains(&'A') {
        if !cells.contains(&'C') {
            return None;
        }
        conditions.push(Condition::ControlSet);
    }
    let mut obligations = Vec::new();
    for modifier in &rule.modifiers {
        let (condition, obligation) = bound(modifier, asked).ok()?;
        conditions.extend(condition);
        obligations.extend(obligation);
    }
    // A person looks at research that is sensitive.
    if ![6, 7].contains(&wish.column) {
        let plain = [Trait::Commercial, Trait::MethodsOnly, Trait::Ancestry, Trait::ControlSet, Trait::Genetic];
        let sensitive = asked.declared.traits.iter().filter(|of| !plain.contains(of));
        conditions.extend(sensitive.map(|of| Condition::Sensitive(*of)));
    }
    Some((conditions, obligations))
}
