//! Reading consent: what a round may read, and what became of a subject's data.
//!
//! Consent at a height is what holds after all of that block. Documents are never removed, so it can be read for any
//! height of the past from the state of today.

use std::collections::BTreeMap;
use std::sync::Arc;

use consilium_protocol::consent::{
    AllowedData, ClassList, Decision, DocumentTerms, Permissions, Reach, Reason, Requester, Roll, RuleReason, Use,
    evaluate,
};
use consilium_protocol::ids::{
    ContentHash, DocumentId, Height, HospitalId, RoundNumber, StudyId, SubjectId, Timestamp,
};

use super::consent::{Document, Subject, SubjectKey};
use super::study::{Round, Study};
use super::{Moment, State};

/// Consent cannot be read for such a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadingError {
    /// There is no such study.
    #[error("there is no study {0}; list the studies and copy the name again")]
    UnknownStudy(StudyId),
    /// The study has no such round.
    #[error("the study has no round {0}; look the study up for its rounds")]
    UnknownRound(RoundNumber),
    /// The hospital is not on the round's roster.
    #[error("{0} is not on the round's roster; only hospitals of the roster read consent for it")]
    NotInRoster(HospitalId),
}

/// One round that could have read a subject's data, and what its consent said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseRecord {
    /// The study.
    pub study: StudyId,
    /// The round.
    pub round: RoundNumber,
    /// When it opened: the block after which consent was read.
    pub opened: Moment,
    /// What came of the round, as one word.
    pub outcome: &'static str,
    /// Whether the hospital committed to a contribution to the round.
    pub contributed: bool,
    /// Whether anything of the subject could be read.
    pub allowed: bool,
    /// The documents that allowed it, or would have but for a denial.
    pub documents: Vec<DocumentId>,
    /// What could be read of the subject.
    pub data: AllowedData,
    /// What every rule of every current document had to say; empty when there was no current document.
    pub reasons: Vec<RuleReason>,
}

impl State {
    /// The documents of a subject that are current after all of the block at `height`.
    pub fn documents_at(&self, key: &SubjectKey, height: Height) -> impl Iterator<Item = &Document> {
        self.subject(key).into_iter().flat_map(move |subject| subject.documents_at(height))
    }

    /// The subjects of this name, at whatever hospitals; for auditors, who have only the name.
    pub fn subjects_named(&self, subject: &SubjectId) -> Vec<SubjectKey> {
        self.members()
            .iter()
            .map(|member| SubjectKey { hospital: member.id, subject: *subject })
            .filter(|key| self.subject(key).is_some())
            .collect()
    }

    /// What a round may read at a hospital of its roster, by the consent at the round's height.
    ///
    /// # Errors
    /// [`ReadingError`] when there is no such round, or the hospital is not on its roster.
    pub fn permissions(
        &self,
        study: &StudyId,
        round: RoundNumber,
        hospital: &HospitalId,
    ) -> Result<Permissions, ReadingError> {
        let (asked, height) = self.asked(study, round, hospital)?;
        Ok(self.consent_to(&asked, hospital, height))
    }

    /// The same, with those who allow nothing: all subjects of the hospital, and what each allows.
    ///
    /// # Errors
    /// Those of [`permissions`](Self::permissions).
    pub fn roll(&self, study: &StudyId, round: RoundNumber, hospital: &HospitalId) -> Result<Roll, ReadingError> {
        let (asked, height) = self.asked(study, round, hospital)?;
        let (mut subjects, mut class_of) = (Vec::new(), ClassList::default());
        let classes = self.each_class(&asked, hospital, height, |subject, class| {
            subjects.push(subject);
            class_of.push(class);
        });
        Ok(Roll { height, day: asked.day, classes, subjects: Arc::new(subjects), class_of })
    }

    /// The use that a round makes, and the height at which consent to it is read.
    fn asked(&self, study: &StudyId, round: RoundNumber, hospital: &HospitalId) -> Result<(Use, Height), ReadingError> {
        let study = self.study(study).ok_or(ReadingError::UnknownStudy(*study))?;
        let round = study.course.round(round).ok_or(ReadingError::UnknownRound(round))?;
        if !round.has(hospital) {
            return Err(ReadingError::NotInRoster(*hospital));
        }
        let asked = self.use_of(&study, hospital, round.opened.time).ok_or(ReadingError::UnknownStudy(study.id))?;
        Ok((asked, round.opened.height))
    }

    /// The use that a study makes of a hospital's data, at a time.
    pub fn use_of(&self, study: &Study<'_>, hospital: &HospitalId, time: Timestamp) -> Option<Use> {
        let researcher = self.researchers().get(&study.proposal.researcher)?;
        let spec = &study.proposal.spec;
        let by = Requester::researcher(
            study.proposal.researcher,
            researcher.hospital,
            researcher.organisation.clone(),
            researcher.establishment,
        );
        Some(Use {
            declared: spec.declared.clone(),
            ticked: study.course.decisions.get(hospital).map(|decision| decision.ticked.clone()).unwrap_or_default(),
            ..Use::of_study(study.id, spec.purposes.clone(), by, time.date())
        })
    }

    /// What a use may read of all subjects of a hospital, by the consent at a height.
    pub fn consent_to(&self, asked: &Use, hospital: &HospitalId, height: Height) -> Permissions {
        let mut subjects = Vec::new();
        let classes = self.each_class(asked, hospital, height, |subject, class| {
            subjects.extend(class.map(|class| (subject, class)));
        });
        Permissions { height, day: asked.day, classes, subjects }
    }

    /// Tells the class of each subject of a hospital, ascending, and answers with what the classes may read. Evaluates once
    /// for each distinct set of terms, however many subjects have it.
    fn each_class(
        &self,
        asked: &Use,
        hospital: &HospitalId,
        height: Height,
        mut tell: impl FnMut(SubjectId, Option<u32>),
    ) -> Vec<AllowedData> {
        let mut classes = Classes::default();
        let mut terms: Vec<ContentHash> = Vec::new();
        for (id, subject) in self.subjects_of(hospital) {
            if subject.more.is_some()
                && let Some(allowed) = self.allowed_of_several(hospital, id, subject, (asked, height))
            {
                tell(id, classes.of_data(allowed));
                continue;
            }
            terms.clear();
            terms.extend(subject.documents_at(height).map(|document| document.terms));
            if terms.is_empty() {
                tell(id, None);
                continue;
            }
            // What may be read depends on the set of terms alone, not on their order or number.
            terms.sort_unstable();
            terms.dedup();
            tell(id, classes.of(&terms, |terms| self.allowed_by(terms, asked)));
        }
        classes.into_list()
    }

    /// What may be read of a subject that is one person with others: nothing of those that another stands for, and of that
    /// other what all of them allow. `None` for a subject that is alone.
    fn allowed_of_several(
        &self,
        hospital: &HospitalId,
        id: SubjectId,
        subject: &Subject,
        (asked, height): (&Use, Height),
    ) -> Option<AllowedData> {
        if subject.merged_at(height).is_some() {
            return Some(AllowedData::default());
        }
        let key = SubjectKey { hospital: *hospital, subject: id };
        let is_one = !self.stands_for(&key, height).is_empty();
        // Documents whose terms are missing allow nothing.
        is_one.then(|| self.decide(&key, asked, height).map(|decision| decision.allowed).unwrap_or_default())
    }

    /// The subjects that one stands for after all of the block at `height`, each with since when what it said is said anew by
    /// the one, if it is.
    pub(crate) fn stands_for(&self, key: &SubjectKey, height: Height) -> Vec<(&Subject, Option<Moment>)> {
        let more = self.subject(key).and_then(|subject| subject.more.as_ref());
        let names = more.map_or(&[][..], |more| &more.stands_for);
        let others =
            names.iter().filter_map(|name| self.subject(&SubjectKey { hospital: key.hospital, subject: *name }));
        others.filter_map(|other| Some((other, other.one_with(&key.subject, height)?))).collect()
    }

    /// The documents that hold for a subject and, of those that it stands for, those that hold beside: all of who has not been
    /// restated are asked apart, and of who has, what they forbade since holds for the person.
    fn documents_of_person<'a>(
        &'a self,
        key: &SubjectKey,
        subject: &'a Subject,
        height: Height,
    ) -> (Vec<&'a Document>, Vec<Vec<&'a Document>>) {
        let mut own: Vec<&Document> = subject.documents_at(height).collect();
        let mut apart = Vec::new();
        for (other, restated) in self.stands_for(key, height) {
            match restated {
                None => apart.push(other.documents_at(height).collect()),
                Some(since) => own.extend(other.documents_at(height).filter(|document| document.granted > since)),
            }
        }
        (own, apart)
    }

    fn allowed_by(&self, terms: &[ContentHash], asked: &Use) -> AllowedData {
        self.decided_by(terms, asked).allowed
    }

    fn decided_by(&self, terms: &[ContentHash], asked: &Use) -> Decision {
        let document = DocumentId::from_bytes([0; 32]);
        // Terms that a document names are never missing; if they were, leaving out a denial would allow too much.
        let known = terms.iter().map(|hash| self.terms(hash).map(|terms| DocumentTerms { document, terms }));
        let documents = known.collect::<Option<Vec<_>>>().unwrap_or_default();
        evaluate(&documents, asked, self.diseases())
    }

    /// What consent says to a study now, over all subjects of a hospital. What the hospital has not decided yet it has not
    /// found met either.
    pub fn reach(&self, study: &StudyId, hospital: &HospitalId) -> Option<Reach> {
        let asked = self.use_of(&self.study(study)?, hospital, self.time())?;
        let mut by_terms: BTreeMap<Vec<ContentHash>, u64> = BTreeMap::new();
        let mut reach = Reach::default();
        for (id, subject) in self.subjects_of(hospital) {
            if subject.more.is_some() {
                let key = SubjectKey { hospital: *hospital, subject: id };
                reach.add(&self.decide(&key, &asked, self.height())?, 1);
                continue;
            }
            *by_terms.entry(distinct_terms(subject, self.height())).or_default() += 1;
        }
        for (terms, subjects) in &by_terms {
            reach.add(&self.decided_by(terms, &asked), *subjects);
        }
        Some(reach)
    }

    /// What consent says now to a study's use of one subject's data.
    pub fn explain(&self, key: &SubjectKey, study: &StudyId) -> Option<Decision> {
        let asked = self.use_of(&self.study(study)?, &key.hospital, self.time())?;
        self.decide(key, &asked, self.height())
    }

    fn decide(&self, key: &SubjectKey, asked: &Use, height: Height) -> Option<Decision> {
        let subject = self.subject(key)?;
        if subject.merged_at(height).is_some() {
            return Some(evaluate(&[], asked, self.diseases()));
        }
        let (own, apart) = self.documents_of_person(key, subject, height);
        let mut decision = self.decide_by(&own, asked)?;
        for documents in apart {
            decision.intersect(self.decide_by(&documents, asked)?);
        }
        Some(decision)
    }

    fn decide_by(&self, documents: &[&Document], asked: &Use) -> Option<Decision> {
        let documents = documents
            .iter()
            .map(|document| Some(DocumentTerms { document: document.id, terms: self.terms(&document.terms)? }))
            .collect::<Option<Vec<_>>>()?;
        Some(evaluate(&documents, asked, self.diseases()))
    }

    /// Every round whose roster had the subject's hospital since the subject was enrolled, oldest first, with what
    /// the subject's consent said.
    pub fn history(&self, key: &SubjectKey) -> Vec<UseRecord> {
        let Some(subject) = self.subject(key) else { return Vec::new() };
        let mut records: Vec<UseRecord> = self
            .studies()
            .flat_map(|study| study.course.rounds.iter().map(move |round| (study, round)))
            .filter(|(_, round)| round.has(&key.hospital) && subject.enrolled.height <= round.opened.height)
            .filter_map(|(study, round)| self.use_record(key, &study, round))
            .collect();
        records.sort_by_key(|record| (record.opened, record.study, record.round));
        records
    }

    fn use_record(&self, key: &SubjectKey, study: &Study<'_>, round: &Round) -> Option<UseRecord> {
        let asked = self.use_of(study, &key.hospital, round.opened.time)?;
        let decision = self.decide(key, &asked, round.opened.height)?;
        let mut allowing: Vec<DocumentId> = decision
            .reasons
            .iter()
            .filter(|r| matches!(r.reason, Reason::Permits | Reason::PermitsByDefault))
            .map(|r| r.document)
            .collect();
        allowing.dedup();
        Some(UseRecord {
            study: study.id,
            round: round.number,
            opened: round.opened,
            outcome: round.outcome(),
            contributed: round.contributions.contains_key(&key.hospital),
            documents: allowing,
            allowed: !decision.allowed.is_empty(),
            data: decision.allowed,
            reasons: decision.reasons,
        })
    }
}

/// The terms of a subject's current documents: what may be read depends on them alone, not on their order or number.
fn distinct_terms(subject: &Subject, height: Height) -> Vec<ContentHash> {
    let mut terms: Vec<ContentHash> = subject.documents_at(height).map(|document| document.terms).collect();
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The classes of subjects found so far, by their terms; `None` for terms that allow nothing.
#[derive(Default)]
struct Classes {
    by_terms: BTreeMap<Vec<ContentHash>, Option<u32>>,
    by_data: BTreeMap<AllowedData, u32>,
}

impl Classes {
    fn of(&mut self, terms: &[ContentHash], evaluate: impl FnOnce(&[ContentHash]) -> AllowedData) -> Option<u32> {
        if let Some(class) = self.by_terms.get(terms) {
            return *class;
        }
        let class = self.of_data(evaluate(terms));
        self.by_terms.insert(terms.to_vec(), class);
        class
    }

    fn of_data(&mut self, allowed: AllowedData) -> Option<u32> {
        if allowed.is_empty() {
            return None;
        }
        // More classes than a `u32` counts do not fit into memory; beyond, nothing would be allowed.
        let next = u32::try_from(self.by_data.len()).ok()?;
        Some(*self.by_data.entry(allowed).or_insert(next))
    }

    fn into_list(self) -> Vec<AllowedData> {
        let mut list: Vec<(u32, AllowedData)> = self.by_data.into_iter().map(|(data, class)| (class, data)).collect();
        list.sort_by_key(|(class, _)| *class);
        list.into_iter().map(|(_, data)| data).collect()
    }
}
