//! Documents in words: each rule as one sentence.

use consilium_protocol::consent::{
    Action, AllowedData, Base, Domain, Effect, Form, Jurisdiction, Modifier, Opened, Purpose, Recipient, Rule, Scope,
    Terms, Vocabulary, Window,
};

use super::Teller;
use super::texts::{self, Texts, fill};

impl Teller {
    fn texts(&self) -> &'static Texts {
        texts::of(self.language)
    }

    /// What a document says: what it allows and what it forbids, each rule on a line of its own.
    pub(crate) fn terms(&self, terms: &Terms) -> String {
        let texts = &self.texts().document;
        let of = |effect| {
            let rules = terms.rules.iter().filter(move |rule| rule.effect == effect);
            rules.map(|rule| format!("\n  - {}", self.rule(rule, terms.vocabulary))).collect::<String>()
        };
        let (mut permits, denies) = (of(Effect::Permit), of(Effect::Deny));
        if terms.base == Base::Permit {
            // Silence is a permit of statistics.
            let silence = Rule::new(Effect::Permit, Action::Aggregate, Scope::Any);
            permits = format!("\n  - {}{permits}", self.rule(&silence, terms.vocabulary));
        }
        let mut text = match permits.is_empty() {
            true => texts.nothing.clone(),
            false => format!("{}{permits}", texts.permits),
        };
        if !denies.is_empty() {
            text.push_str(&format!("\n{}{denies}", texts.denies));
        }
        text
    }

    /// A rule of a document, as one sentence. A permit means no more than the words that there were when it was written.
    pub(crate) fn rule(&self, rule: &Rule, vocabulary: Vocabulary) -> String {
        let texts = &self.texts().rule;
        let of_effect = match rule.effect {
            Effect::Permit => &texts.permit,
            Effect::Deny => &texts.deny,
        };
        let limits: String =
            self.limits(rule, vocabulary).iter().map(|limit| format!("{}{limit}", texts.separator)).collect();
        let codes = codes(rule);
        let codes = match codes.is_empty() {
            true => String::new(),
            false => fill(&texts.codes, &[("codes", &codes.join(", "))]),
        };
        fill(
            &texts.sentence,
            &[
                ("use", &of_effect.of(&rule.action)),
                ("purposes", &self.purposes(rule, vocabulary)),
                ("recipients", &self.recipients(rule)),
                ("limits", &limits),
                ("separator", &texts.separator),
                ("data", &self.data_of(rule, vocabulary)),
                ("labels", &self.labels(rule)),
                ("codes", &codes),
            ],
        )
    }

    fn purposes(&self, rule: &Rule, vocabulary: Vocabulary) -> String {
        let texts = &self.texts().purposes;
        let purposes: Vec<String> = match &rule.purposes {
            Scope::Any if rule.effect == Effect::Permit && !vocabulary.has(&Purpose::Care) => {
                vec![texts.general_once.clone()]
            }
            Scope::Any => vec![texts.any.clone()],
            Scope::Only(none) if none.is_empty() => vec![texts.none.clone()],
            Scope::Only(purposes) => {
                // Emergencies come with a deny of care, and with a permit of care only where it names them.
                let has = |purpose| purposes.contains(purpose);
                let whole = has(&Purpose::Care) && (rule.effect == Effect::Deny || has(&Purpose::EmergencyCare));
                let told = purposes.iter().filter(|purpose| !(whole && **purpose == Purpose::EmergencyCare));
                told.map(|purpose| self.purpose(purpose, whole)).collect()
            }
        };
        fill(&texts.list, &[("list", &self.language.one_of(purposes))])
    }

    fn purpose(&self, purpose: &Purpose, with_emergencies: bool) -> String {
        let texts = &self.texts().purposes;
        match purpose {
            Purpose::NoRestriction => texts.unrestricted.clone(),
            Purpose::GeneralResearch => texts.general.clone(),
            Purpose::HealthResearch => texts.health.clone(),
            // What the consortium's list does not have matches only itself.
            Purpose::DiseaseResearch(disease) => match self.diseases.name(disease) {
                Some(name) => fill(&texts.disease, &[("disease", &self.language.quoted(name))]),
                None => fill(&texts.unlisted, &[("disease", disease.code())]),
            },
            Purpose::Ancestry => texts.ancestry.clone(),
            Purpose::Care if with_emergencies => texts.care_and_emergency.clone(),
            Purpose::Care => texts.care.clone(),
            Purpose::EmergencyCare => texts.emergency.clone(),
        }
    }

    fn recipients(&self, rule: &Rule) -> String {
        let texts = &self.texts().recipients;
        let recipients: Vec<String> = match (&rule.recipients, rule.effect) {
            (Scope::Any, Effect::Permit) => vec![texts.anybody_admitted.clone()],
            (Scope::Any, Effect::Deny) => vec![texts.anybody.clone()],
            (Scope::Only(none), _) if none.is_empty() => vec![texts.nobody.clone()],
            (Scope::Only(recipients), _) => recipients.iter().map(|recipient| self.recipient(recipient)).collect(),
        };
        fill(&texts.of.of(&rule.action), &[("list", &self.language.one_of(recipients))])
    }

    fn recipient(&self, recipient: &Recipient) -> String {
        let texts = &self.texts().recipients;
        match recipient {
            Recipient::Organisation(name) => fill(&texts.organisation, &[("name", &self.language.quoted(name))]),
            Recipient::Researcher(id) => fill(&texts.researcher, &[("key", &id.short())]),
            Recipient::Hospital(id) => {
                let name = self.hospitals.get(id).map_or_else(|| id.short(), |name| self.language.quoted(name));
                fill(&texts.hospital, &[("name", &name)])
            }
            Recipient::Study(id) => fill(&texts.study, &[("study", &id.short())]),
        }
    }

    /// What else a use has to be, or is where it is forbidden.
    fn limits(&self, rule: &Rule, vocabulary: Vocabulary) -> Vec<String> {
        let texts = self.texts();
        let mut limits = Vec::new();
        let is_permit = rule.effect == Effect::Permit;
        if rule.action == Action::Retrieve {
            limits.push(self.form(rule));
        }
        if is_permit {
            // Who signed before there were others meant researchers, under the law that there was.
            if !vocabulary.has(&Purpose::Care) {
                limits.push(texts.rule.researchers.clone());
            }
            let known = Jurisdiction::ALL.into_iter().filter(|level| vocabulary.has(level));
            let furthest = rule.jurisdiction.or_else(|| known.max()).unwrap_or(Jurisdiction::Gdpr);
            limits.push(texts.jurisdiction.permit.of(&furthest));
        } else if let Some(from) = &rule.jurisdiction {
            limits.push(texts.jurisdiction.deny.of(from));
        }
        if let Some(period) = self.language.period(&rule.valid) {
            limits.push(fill(&texts.rule.valid, &[("period", &period)]));
        }
        limits.extend(rule.modifiers.iter().map(|modifier| self.modifier(modifier)));
        limits
    }

    fn form(&self, rule: &Rule) -> String {
        let (permit, deny) = (&self.texts().form.permit, &self.texts().form.deny);
        let form = match (rule.effect, rule.form) {
            (Effect::Permit, Some(Form::Statistics | Form::SafeHarbour)) => &permit.safe_harbour,
            (Effect::Permit, Some(Form::Pseudonymised)) => &permit.pseudonymised,
            (Effect::Permit, Some(Form::Desensitised)) => &permit.desensitised,
            // Without a form, which no document on the ledger has, the words would rather say too much.
            (Effect::Permit, Some(Form::Identified) | None) => &permit.identified,
            (Effect::Deny, None) => &deny.any,
            (Effect::Deny, Some(Form::Statistics | Form::SafeHarbour)) => &deny.safe_harbour,
            (Effect::Deny, Some(Form::Pseudonymised)) => &deny.pseudonymised,
            (Effect::Deny, Some(Form::Desensitised)) => &deny.desensitised,
            (Effect::Deny, Some(Form::Identified)) => &deny.identified,
        };
        form.clone()
    }

    fn modifier(&self, modifier: &Modifier) -> String {
        let texts = &self.texts().modifier;
        let of = texts.of.of(&modifier.kind());
        let with = |list: String| fill(&of, &[("list", &list)]);
        let quoted = |texts: &[String]| texts.iter().map(|text| self.language.quoted(text)).collect::<Vec<_>>();
        match modifier {
            Modifier::Places(places) => with(self.language.one_of(places.iter().map(ToString::to_string))),
            Modifier::Collaboration(whom) => with(self.language.all_of(quoted(whom))),
            Modifier::Institutions(names) => with(self.language.one_of(quoted(names))),
            Modifier::Users(users) => with(self.language.one_of(users.iter().map(|user| user.short()))),
            Modifier::Projects(studies) => with(self.language.one_of(studies.iter().map(|study| study.short()))),
            Modifier::Moratorium(Some(day)) => fill(&of, &[("day", &self.language.day(*day))]),
            Modifier::Moratorium(None) => texts.moratorium.clone(),
            Modifier::Specific(text) => fill(&of, &[("text", &self.language.quoted(text))]),
            Modifier::NonProfitOrganisation
            | Modifier::NonCommercialUse
            | Modifier::NonProfitNonCommercial
            | Modifier::NoMethodsOnly
            | Modifier::NoAncestry
            | Modifier::GeneticOnly
            | Modifier::Ethics
            | Modifier::Publication
            | Modifier::Return => of,
        }
    }

    /// Which of the data are meant, by how sensitive they are.
    fn labels(&self, rule: &Rule) -> String {
        let texts = &self.texts().labels;
        let Scope::Only(labels) = &rule.labels else { return String::new() };
        let labels = labels.iter().map(|label| texts.of.of(label));
        let told = match rule.effect {
            Effect::Permit => fill(&texts.permit, &[("list", &self.language.all_of(labels))]),
            Effect::Deny => fill(&texts.deny, &[("list", &self.language.one_of(labels))]),
        };
        format!("{}{told}", self.texts().rule.separator)
    }

    fn data_of(&self, rule: &Rule, vocabulary: Vocabulary) -> String {
        let texts = &self.texts().data;
        let data = data_of(rule, vocabulary);
        let is_all =
            Domain::ALL.into_iter().all(|domain| data.of(domain).is_some_and(|of| *of == Opened::everything()));
        match is_all {
            true => texts.all.clone(),
            false => fill(&texts.some, &[("data", &self.language.data(&data))]),
        }
    }
}

/// What a rule is about, as the data that it opens, or closes.
pub(super) fn data_of(rule: &Rule, vocabulary: Vocabulary) -> AllowedData {
    let mut opened = Opened::within(&rule.window);
    // A deny with a period leaves what has no date as it is.
    opened.undated &= rule.effect == Effect::Permit || rule.window == Window::UNBOUNDED;
    let meant = |domain: &Domain| rule.effect == Effect::Deny || vocabulary.has(domain);
    let covered = Domain::ALL.into_iter().filter(meant).filter(|domain| rule.data.covers(|covered| covered == domain));
    covered.map(|domain| (domain, opened.clone())).collect()
}

/// What the words say, by the codes of those who know them.
fn codes(rule: &Rule) -> Vec<String> {
    let mut codes: Vec<String> = Vec::new();
    if let Scope::Only(purposes) = &rule.purposes {
        codes.extend(purposes.iter().map(ToString::to_string));
    }
    codes.extend(rule.modifiers.iter().map(|modifier| modifier.kind().code().to_string()));
    if let Scope::Only(labels) = &rule.labels {
        codes.extend(labels.iter().map(|label| label.code().to_string()));
    }
    codes.dedup();
    codes
}
