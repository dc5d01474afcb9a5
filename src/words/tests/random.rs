//! Whatever a document says is told: of many random ones, in every language, beside a table of words written for this.

use consilium_protocol::consent::{
    Domain, Effect, Form, Jurisdiction, Label, Modifier, Purpose, Recipient, Rule, Scope, Terms, Vocabulary, Window,
};
use consilium_protocol::ids::Date;

use super::draw::Draw;
use super::teller;
use crate::words::Language;

const DOCUMENTS: u64 = 400;

/// By what a reader of each language recognises a thing.
type Words = [&'static str; 3];

fn in_language(words: Words, language: Language) -> &'static str {
    match language {
        Language::En => words[0],
        Language::De => words[1],
        Language::Fr => words[2],
    }
}

const fn of_domain(domain: Domain) -> Words {
    match domain {
        Domain::Person => ["sex, age", "Geschlecht, Alter", "sexe, âge"],
        Domain::Condition => ["diagnos", "Diagnose", "diagnostic"],
        Domain::Drug => ["medicine", "Medikament", "médicament"],
        Domain::Measurement => ["measure", "Messwert", "mesure"],
        Domain::Observation => ["observations", "weitere Beobachtungen", "autres observations"],
        Domain::Procedure => ["procedure", "Eingriff", "intervention"],
        Domain::Visit => ["visits", "Besuche", "visites"],
        Domain::Device => ["device", "Geräte", "dispositif"],
        Domain::Death => ["death", "Tod", "décès"],
        Domain::Specimen => ["sample", "Probe", "échantillon"],
        Domain::Imaging => ["image", "Bilder", "image"],
        Domain::Document => ["report", "berichte", "comptes rendus"],
        Domain::Billing => ["billing", "Abrechnung", "facturation"],
        Domain::Genomics => ["genetic", "genetisch", "génétique"],
    }
}

const fn of_label(label: Label) -> Words {
    match label {
        Label::Normal => ["ordinary", "gewöhnlich", "ordinaire"],
        Label::Restricted => ["especially protected", "besonders geschützt", "protection particulière"],
        Label::SubstanceUse => ["substance", "Suchtmittel", "substances"],
        Label::MentalHealth => ["mental health", "seelische Gesundheit", "santé mentale"],
        Label::Violence => ["violence", "Gewalt", "violences"],
        Label::Hiv => ["HIV", "HIV", "VIH"],
    }
}

fn of_purpose(purpose: &Purpose) -> Words {
    match purpose {
        Purpose::NoRestriction => ["any research whatever", "ohne Einschränkung", "sans restriction"],
        Purpose::GeneralResearch => ["any research", "jede Forschung", "toute recherche"],
        Purpose::HealthResearch => ["health research", "medizinische Forschung", "recherche médicale"],
        Purpose::DiseaseResearch(disease) => match disease.code() {
            "MONDO:0005015" => ["diabetes mellitus", "diabetes mellitus", "diabetes mellitus"],
            "MONDO:0005148" => ["type 2 diabetes mellitus"; 3],
            _ => ["X:unlisted"; 3],
        },
        Purpose::Ancestry => ["origins", "Herkunft", "origines"],
        Purpose::Care => ["treatment", "Behandlung", "soins"],
        Purpose::EmergencyCare => ["emergenc", "Notfäll", "urgence"],
    }
}

const fn of_modifier(modifier: &Modifier) -> Words {
    match modifier {
        Modifier::NonProfitOrganisation => ["profit", "Gewinn", "lucratif"],
        Modifier::NonCommercialUse => ["commercial", "kommerziell", "commerciale"],
        Modifier::NonProfitNonCommercial => ["profit and", "anstrebt und", "lucratif et"],
        Modifier::NoMethodsOnly => ["methods", "Methoden", "méthodes"],
        Modifier::NoAncestry => ["ancestry", "Abstammung", "ascendance"],
        Modifier::GeneticOnly => ["genes", "Gene", "gènes"],
        Modifier::Places(_) => ["countries", "Länder", "pays"],
        Modifier::Ethics => ["ethics committee", "Ethikkommission", "comité d'éthique"],
        Modifier::Publication => ["publish", "veröffentlich", "publier"],
        Modifier::Collaboration(_) => ["works together", "zusammenarbeitet", "collabore"],
        Modifier::Return => ["give back", "zurückzugeben", "rendre"],
        Modifier::Moratorium(_) => ["published before", "veröffentlicht wird", "publié avant"],
        Modifier::Users(_) => ["keys", "Schlüsseln", "clés"],
        Modifier::Projects(_) => ["studies", "Studien", "études"],
        Modifier::Institutions(_) => ["organisations", "Organisationen", "organismes"],
        Modifier::Specific(_) => ["heart failure after {treatment}"; 3],
    }
}

fn day(day: Date, language: Language) -> String {
    const MONTHS: [Words; 12] = [
        ["January", "Januar", "janvier"],
        ["February", "Februar", "février"],
        ["March", "März", "mars"],
        ["April", "April", "avril"],
        ["May", "Mai", "mai"],
        ["June", "Juni", "juin"],
        ["July", "Juli", "juillet"],
        ["August", "August", "août"],
        ["September", "September", "septembre"],
        ["October", "Oktober", "octobre"],
        ["November", "November", "novembre"],
        ["December", "Dezember", "décembre"],
    ];
    let (year, month, day) = day.ymd();
    let month = in_language(MONTHS[month as usize - 1], language);
    match (language, day) {
        (Language::De, _) => format!("{day}. {month} {year}"),
        (Language::Fr, 1) => format!("1er {month} {year}"),
        (Language::En | Language::Fr, _) => format!("{day} {month} {year}"),
    }
}

/// What has to stand in a rule's sentence.
fn needed(rule: &Rule, vocabulary: Vocabulary, language: Language) -> Vec<String> {
    let word = |words| in_language(words, language).to_string();
    let mut needed = Vec::new();
    let days = [rule.valid.from, rule.valid.to, rule.window.from, rule.window.to];
    needed.extend(days.into_iter().flatten().map(|of| day(of, language)));
    if let Scope::Only(purposes) = &rule.purposes {
        needed.extend(purposes.iter().map(|purpose| word(of_purpose(purpose))));
        needed.extend(purposes.iter().map(ToString::to_string));
    }
    if let Scope::Only(labels) = &rule.labels {
        needed.extend(labels.iter().map(|label| word(of_label(*label))));
    }
    if let Scope::Only(recipients) = &rule.recipients {
        needed.extend(recipients.iter().map(|recipient| match recipient {
            Recipient::Organisation(name) => name.clone(),
            Recipient::Researcher(id) => id.short(),
            Recipient::Hospital(id) if *id == super::north() => "North Clinic".to_string(),
            Recipient::Hospital(id) => id.short(),
            Recipient::Study(id) => id.short(),
        }));
    }
    for modifier in &rule.modifiers {
        needed.extend([word(of_modifier(modifier)), modifier.kind().code().to_string()]);
        match modifier {
            Modifier::Places(places) => needed.extend(places.iter().map(ToString::to_string)),
            Modifier::Users(users) => needed.extend(users.iter().map(|user| user.short())),
            Modifier::Projects(studies) => needed.extend(studies.iter().map(|study| study.short())),
            Modifier::Collaboration(names) | Modifier::Institutions(names) => needed.extend(names.clone()),
            Modifier::Moratorium(Some(of)) => needed.push(day(*of, language)),
            _ => {}
        }
    }
    if rule.jurisdiction.is_some() || rule.effect == Effect::Permit {
        needed.push(word(["Europe", "urop", "urop"]));
    }
    if rule.effect == Effect::Permit && vocabulary == Vocabulary::RESEARCH {
        needed.push(word(["only if a researcher asks", "nur wenn Forschende anfragen", "vient de la recherche"]));
    }
    match rule.form {
        Some(Form::Pseudonymised) => needed.push(word(["pseudonym", "Pseudonym", "pseudonyme"])),
        Some(Form::SafeHarbour) => needed.push(word(["years instead", "Jahren statt", "années au lieu"])),
        Some(Form::Desensitised) => needed.push(word(["real dates", "echten Tagen", "dates et les lieux réels"])),
        Some(Form::Identified) => needed.push(word(["with name", "mit Namen", "avec le nom"])),
        Some(Form::Statistics) | None => {}
    }
    needed
}

/// Which classes a sentence has to name, each by whether it is among those that are meant.
fn assert_names_classes(sentence: &str, rule: &Rule, vocabulary: Vocabulary, language: Language) {
    let meant = |domain: &Domain| {
        (rule.effect == Effect::Deny || vocabulary.has(domain)) && rule.data.covers(|of| of == domain)
    };
    let (of, not): (Vec<Domain>, Vec<Domain>) = Domain::ALL.into_iter().partition(meant);
    let all = in_language(["all data", "alle", "toutes les données"], language);
    let except = in_language([", except ", ", ausgenommen ", ", sauf "], language);
    let start = in_language(["; with ", "; mit ", "\u{a0}; avec "], language);
    let told = sentence.rsplit_once(start).expect("the data come last").1;
    let (named, excepted) = told.split_once(except).unwrap_or((told, ""));
    let is_in = |text: &str, domain: Domain| text.contains(in_language(of_domain(domain), language));
    if !not.is_empty() || !excepted.is_empty() {
        let is_told = named.contains(all);
        for domain in not.iter().filter(|domain| is_told && **domain != Domain::Person) {
            assert!(is_in(excepted, *domain), "{domain} is not excepted: {sentence}");
        }
        for domain in of.iter().filter(|domain| !is_told && **domain != Domain::Person) {
            assert!(is_in(named, *domain), "{domain} is not named: {sentence}");
        }
        for domain in not.iter().filter(|domain| !is_told && **domain != Domain::Person) {
            assert!(!is_in(named, *domain), "{domain} is named: {sentence}");
        }
    } else {
        assert!(named.contains(all), "{rule:?}: {sentence}");
    }
    // What is undated of a person comes with every permit, and goes only with a deny of all days.
    let undated = of.contains(&Domain::Person) && (rule.effect == Effect::Permit || rule.window == Window::UNBOUNDED);
    let is_told = is_in(told, Domain::Person) || named.contains(all) && rule.window == Window::UNBOUNDED;
    assert_eq!(undated, is_told, "{sentence}");
}

#[test]
fn every_rule_is_one_sentence_that_tells_all_of_it() {
    for seed in 0..DOCUMENTS {
        let terms = Draw::new(seed).terms();
        for language in Language::ALL {
            let teller = teller(language);
            let text = teller.terms(&terms);
            let sentences: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
            let silence = usize::from(terms.base == consilium_protocol::consent::Base::Permit);
            assert_eq!(sentences.len(), terms.rules.len() + silence, "{text}");
            for rule in &terms.rules {
                let sentence = teller.rule(rule, terms.vocabulary);
                assert!(sentences.contains(&sentence.as_str()));
                assert_is_a_sentence(&sentence, language);
                for needed in needed(rule, terms.vocabulary, language) {
                    assert!(sentence.contains(&needed), "`{needed}` is not told: {sentence}");
                }
                assert_names_classes(&sentence, rule, terms.vocabulary, language);
            }
        }
    }
}

fn assert_is_a_sentence(sentence: &str, language: Language) {
    assert!(sentence.ends_with('.') && sentence.starts_with(char::is_uppercase), "{sentence}");
    let spaces = ["  ", " \u{a0}", "\u{a0} ", " .", " ,", "..", ",,"];
    assert!(!spaces.iter().any(|wrong| sentence.contains(wrong)), "{sentence}");
    // Braces are what somebody wrote.
    let unfilled = sentence.replace("{treatment}", "").replace("Society {list}", "");
    assert!(!unfilled.contains(['{', '}', '\n']), "{sentence}");
    // One sentence: no full stop within but in dates and in what somebody wrote.
    let plain = sentence.replace("Dr. ", "");
    let stops = plain.match_indices(". ").filter(|(at, _)| !plain[..*at].ends_with(|c: char| c.is_ascii_digit()));
    assert_eq!(stops.count(), 0, "{sentence}");
    if language == Language::Fr {
        let elided = ["de l'A", " de a", " que il", " si il", " le a", " à le ", " de le ", " de les ", "par le "];
        assert!(!elided.iter().any(|wrong| sentence.contains(wrong)), "{sentence}");
    }
}

/// Two rules that differ in one thing are told apart.
#[test]
fn nothing_that_matters_is_left_unsaid() {
    for seed in 0..DOCUMENTS {
        let mut draw = Draw::new(seed);
        let (one, other) = (draw.rule(), draw.rule());
        let mut changed = Vec::new();
        let mut with = |change: &dyn Fn(&mut Rule)| {
            let mut rule = one.clone();
            change(&mut rule);
            changed.push(rule);
        };
        with(&|rule| rule.purposes = other.purposes.clone());
        with(&|rule| rule.recipients = other.recipients.clone());
        with(&|rule| rule.data = other.data.clone());
        with(&|rule| rule.labels = other.labels.clone());
        with(&|rule| rule.valid = other.valid);
        with(&|rule| rule.window = other.window);
        if one.effect == Effect::Permit && other.effect == Effect::Permit {
            with(&|rule| rule.modifiers = other.modifiers.clone());
        }
        if one.action == other.action && one.effect == other.effect {
            with(&|rule| rule.form = other.form);
        }
        // A permit without a jurisdiction is for all of them.
        with(&|rule| rule.jurisdiction = other.jurisdiction);
        for language in Language::ALL {
            // The words alone, without the codes that repeat them.
            let told = |rule: &Rule| {
                let sentence = teller(language).rule(rule, Vocabulary::CURRENT);
                sentence.rsplit_once(" (").map_or(sentence.clone(), |(words, _)| words.to_string())
            };
            for rule in changed.iter().filter(|rule| meaning(rule) != meaning(&one)) {
                assert_ne!(told(rule), told(&one), "{one:?}\n{rule:?}");
            }
        }
    }
}

/// A rule in the one way in which what it means can be written.
fn meaning(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    fn sorted<T: Ord + Clone>(scope: &mut Scope<T>, all: &[T]) {
        if let Scope::Only(list) = scope {
            list.sort();
            list.dedup();
            if *list == all {
                *scope = Scope::Any;
            }
        }
    }
    sorted(&mut rule.data, &Domain::ALL);
    sorted(&mut rule.labels, &[]);
    sorted(&mut rule.recipients, &[]);
    sorted(&mut rule.purposes, &[]);
    if let Scope::Only(purposes) = &mut rule.purposes
        && rule.effect == Effect::Deny
        && purposes.contains(&Purpose::Care)
    {
        // Who forbids treatment forbids it in emergencies.
        purposes.retain(|purpose| *purpose != Purpose::EmergencyCare);
    }
    rule.modifiers.sort();
    if rule.effect == Effect::Permit {
        rule.jurisdiction = Some(rule.jurisdiction.unwrap_or(Jurisdiction::Other));
    }
    rule
}

/// What somebody wrote cannot look like the program's own words.
#[test]
fn what_somebody_wrote_stays_on_its_line() {
    let mut rule = super::permit(&[], Window::UNBOUNDED);
    rule.recipients = Scope::Only(vec![Recipient::Organisation("X\n  - Nothing is allowed.\u{1b}[2J".to_string())]);
    for language in Language::ALL {
        let text = teller(language).terms(&Terms::opt_in(vec![rule.clone()]));
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("X - Nothing is allowed. [2J") && !text.contains('\u{1b}'), "{text}");
    }
}
