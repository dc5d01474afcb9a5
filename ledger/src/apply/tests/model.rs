//! Random sequences of actions against a model that is written differently: it keeps nothing but the list of accepted
//! facts, and answers every question by going through that list.

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::consent::{Basis, Purpose};
use consilium_protocol::ids::{Date, DocumentId, RoundNumber, StudyId, TxHash};
use consilium_protocol::tx::{
    Attest, Enrol, FailRound, OpenRound, Payload, Reject, Release, Revocation, Revoke, Vote, WithdrawStudy, document_id,
};

use crate::apply::apply;
use crate::state::State;
use crate::state::study::Phase;
use crate::testing::{Ledger, Who, content, paper_of, permit, subject};

const MEMBERS: u8 = 4;
const APPROVAL: u64 = 10_000;
const GRACE: u64 = 1_000;
const ROUND: u64 = 5_000;

/// One thing that was asked for, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Accredit(usize),
    Vote(usize, bool),
    Enrol(usize, u32),
    /// With the day on which it was signed.
    Grant(usize, u32, bool, i32),
    /// With the day on which it was signed.
    RevokeAll(usize, u32, i32),
    RevokeOne(usize, u32, usize),
    Propose(u8),
    Decide(u8, usize, bool),
    Pair(u8, usize),
    Open(u8, usize),
    Contribute(u8, usize, u32),
    Attest(u8, usize, u32, u8),
    Release(u8, usize, u32),
    Fail(u8, usize, u32),
    Withdraw(u8),
    /// All lots of a round were shown: hospitals do that by themselves.
    Drawn(u8, u32),
}

/// What was accepted, with the block's time.
type Fact = (u64, Action);

#[derive(Default)]
struct Model(Vec<Fact>);

impl Model {
    fn count(&self, matches: impl Fn(&Action) -> bool) -> usize {
        self.0.iter().filter(|(_, action)| matches(action)).count()
    }

    /// Votes on the last proposal: who, and how.
    fn votes(&self) -> BTreeMap<usize, bool> {
        let start = self.0.iter().rposition(|(_, a)| matches!(a, Action::Accredit(_))).unwrap_or(self.0.len());
        self.0[start..]
            .iter()
            .filter_map(|(_, a)| match a {
                Action::Accredit(h) => Some((*h, true)),
                Action::Vote(h, yes) => Some((*h, *yes)),
                _ => None,
            })
            .collect()
    }

    fn proposal_is_open(&self) -> bool {
        let votes = self.votes();
        let (yes, no) = (votes.values().filter(|v| **v).count(), votes.values().filter(|v| !**v).count());
        !votes.is_empty() && yes * 2 <= 4 && no * 2 < 4
    }

    fn is_accredited(&self) -> bool {
        self.votes().values().filter(|v| **v).count() * 2 > 4
    }

    fn is_enrolled(&self, h: usize, s: u32) -> bool {
        self.0.iter().any(|(_, a)| *a == Action::Enrol(h, s))
    }

    /// For each document ever: whether it is current, after the first `facts` facts. What was signed later counts, whatever
    /// came first: a document counts unless something of its subject, before it or after, takes its place or takes it back.
    fn documents(&self, h: usize, s: u32, facts: usize) -> Vec<bool> {
        let said: Vec<Action> = self.0[..facts]
            .iter()
            .map(|(_, action)| *action)
            .filter(|action| match action {
                Action::Grant(ah, a_s, ..) | Action::RevokeAll(ah, a_s, _) | Action::RevokeOne(ah, a_s, _) => {
                    (*ah, *a_s) == (h, s)
                }
                _ => false,
            })
            .collect();
        let mut documents: Vec<(usize, i32, bool)> = Vec::new();
        for (position, action) in said.iter().enumerate() {
            match action {
                Action::Grant(_, _, supersedes, day) => {
                    let late = said[..position].iter().enumerate().any(|(earlier, action)| match action {
                        Action::Grant(_, _, true, other) => day < other && !self.was_late(&said, earlier),
                        Action::RevokeAll(_, _, other) => day <= other,
                        _ => false,
                    });
                    if *supersedes && !late {
                        documents.iter_mut().filter(|d| d.1 <= *day).for_each(|d| d.2 = false);
                    }
                    documents.push((position, *day, !late));
                }
                Action::RevokeAll(_, _, day) => {
                    documents.iter_mut().filter(|d| d.1 <= *day).for_each(|d| d.2 = false);
                }
                Action::RevokeOne(_, _, which) => documents[*which].2 = false,
                _ => {}
            }
        }
        documents.into_iter().map(|(_, _, current)| current).collect()
    }

    /// Whether the grant at a position came late: then it takes nothing's place.
    fn was_late(&self, said: &[Action], position: usize) -> bool {
        let Action::Grant(_, _, _, day) = said[position] else { return false };
        said[..position].iter().enumerate().any(|(earlier, action)| match action {
            Action::Grant(_, _, true, other) => day < *other && !self.was_late(said, earlier),
            Action::RevokeAll(_, _, other) => day <= *other,
            _ => false,
        })
    }

    /// Whether taking all back changes anything: it ends something, or says so for a later day than was said before.
    fn revokes(&self, h: usize, s: u32, day: i32) -> bool {
        let before = self.documents(h, s, self.0.len());
        let mut after = Self(self.0.clone());
        after.0.push((0, Action::RevokeAll(h, s, day)));
        let ends = after.documents(h, s, after.0.len()) != before;
        // A form of this day, or of one before, that came now would count but for this.
        let counts = |model: &Self| {
            let mut model = Self(model.0.clone());
            model.0.push((0, Action::Grant(h, s, false, day)));
            model.documents(h, s, model.0.len()).last().copied() == Some(true)
        };
        ends || counts(self)
    }

    fn decisions(&self, study: u8) -> Vec<(u64, usize, bool)> {
        let decision = |(time, action): &Fact| match action {
            Action::Decide(s, h, yes) if *s == study => Some((*time, *h, *yes)),
            _ => None,
        };
        self.0.iter().filter_map(decision).collect()
    }

    /// When the third approval came, unless two rejections came first.
    fn approved_at(&self, study: u8) -> Option<u64> {
        let mut yes = 0;
        for (time, _, approved) in self.decisions(study) {
            yes += usize::from(approved);
            if yes == 3 {
                return Some(time);
            }
        }
        None
    }

    /// How many approved before a member, if it did.
    fn before(&self, study: u8, h: usize) -> Option<usize> {
        self.decisions(study).iter().filter(|(_, _, yes)| *yes).position(|(_, who, _)| *who == h)
    }

    fn paired(&self, study: u8) -> BTreeSet<usize> {
        let of = |(_, action): &Fact| match action {
            Action::Pair(s, h) if *s == study => Some(*h),
            _ => None,
        };
        self.0.iter().filter_map(of).collect()
    }

    /// The rosters of the rounds so far with the times at which they opened; the study has ended when the last is
    /// `None`.
    fn rounds(&self, study: u8) -> Vec<Option<(u64, BTreeSet<usize>)>> {
        let mut rounds = Vec::new();
        for (position, (time, action)) in self.0.iter().enumerate() {
            match action {
                Action::Open(s, _) if *s == study => {
                    let roster = self.0[..position].iter().filter_map(|(_, a)| match a {
                        Action::Pair(s, h) if *s == study => Some(*h),
                        _ => None,
                    });
                    rounds.push(Some((*time, roster.collect())));
                }
                Action::Fail(s, _, number) if *s == study => {
                    let left = self.contributors(study, *number);
                    let earlier_complete = (0..=*number).any(|r| {
                        let roster = rounds[r as usize].as_ref().map(|(_, roster): &(u64, BTreeSet<usize>)| roster);
                        roster.is_some_and(|roster| self.contributors(study, r) == *roster && *roster != left)
                    });
                    let another = left.len() >= 3 && !earlier_complete && rounds.len() < 8;
                    rounds.push(another.then_some((*time, left)));
                }
                _ => {}
            }
        }
        rounds
    }

    fn contributors(&self, study: u8, round: u32) -> BTreeSet<usize> {
        let of = |(_, action): &Fact| match action {
            Action::Contribute(s, h, r) if (*s, *r) == (study, round) => Some(*h),
            _ => None,
        };
        self.0.iter().filter_map(of).collect()
    }

    /// From when on a round may be failed: when its time is over, and of one that is complete three quarters of it since the last
    /// contribution, or since who shows its own was drawn.
    fn fails_from(&self, study: u8, round: u32, opened: u64, roster: &BTreeSet<usize>) -> u64 {
        let of_round = |action: &Action| match action {
            Action::Contribute(s, _, r) | Action::Drawn(s, r) => (*s, *r) == (study, round),
            _ => false,
        };
        let last = self.0.iter().rfind(|(_, action)| of_round(action)).map(|(time, _)| *time);
        let is_complete = self.contributors(study, round) == *roster;
        last.filter(|_| is_complete).map_or(opened + ROUND, |last| (opened + ROUND).max(last + ROUND / 4 * 3))
    }

    fn attesters(&self, study: u8, round: u32) -> BTreeMap<usize, u8> {
        let of = |(_, action): &Fact| match action {
            Action::Attest(s, h, r, sum) if (*s, *r) == (study, round) => Some((*h, *sum)),
            _ => None,
        };
        self.0.iter().filter_map(of).collect()
    }

    fn agreed_sum(&self, study: u8, round: u32, roster: usize) -> Option<u8> {
        let attesters = self.attesters(study, round);
        (0..3).find(|sum| attesters.values().filter(|s| *s == sum).count() * 2 > roster)
    }

    fn phase(&self, study: u8, now: u64) -> &'static str {
        let Some((proposed, _)) = self.0.iter().find(|(_, a)| *a == Action::Propose(study)) else { return "none" };
        if self.count(|a| matches!(a, Action::Release(s, _, _) if *s == study)) > 0 {
            return "released";
        }
        if self.count(|a| *a == Action::Withdraw(study)) > 0 {
            return "withdrawn";
        }
        match self.rounds(study).last() {
            Some(None) => return "failed",
            Some(Some((_, roster))) => {
                let number = self.rounds(study).len() as u32 - 1;
                return if self.contributors(study, number) == *roster { "combining" } else { "collecting" };
            }
            None => {}
        }
        let rejections = self.decisions(study).iter().filter(|(_, _, yes)| !yes).count();
        match self.approved_at(study) {
            Some(since) if now > since + APPROVAL => "expired",
            Some(_) => "approved",
            None if rejections >= 2 => "rejected",
            None if now > proposed + APPROVAL => "expired",
            None => "proposed",
        }
    }

    /// Whether the action is accepted in a block at `now`.
    fn accepts(&self, action: Action, now: u64) -> bool {
        let phase = |study| self.phase(study, now);
        let last_round = |study| -> Option<(u32, u64, BTreeSet<usize>)> {
            let rounds = self.rounds(study);
            let (time, roster) = rounds.last()?.clone()?;
            Some((rounds.len() as u32 - 1, time, roster))
        };
        match action {
            Action::Accredit(_) => !self.is_accredited() && !self.proposal_is_open(),
            Action::Vote(h, _) => self.proposal_is_open() && !self.votes().contains_key(&h),
            Action::Enrol(h, s) => !self.is_enrolled(h, s),
            Action::Grant(h, s, ..) => self.is_enrolled(h, s),
            Action::RevokeAll(h, s, day) => self.is_enrolled(h, s) && self.revokes(h, s, day),
            Action::RevokeOne(h, s, which) => self.documents(h, s, self.0.len()).get(which) == Some(&true),
            Action::Propose(study) => self.is_accredited() && phase(study) == "none",
            Action::Decide(study, h, _) => {
                ["proposed", "approved"].contains(&phase(study))
                    && !self.decisions(study).iter().any(|(_, who, _)| *who == h)
            }
            Action::Pair(study, h) => {
                ["proposed", "approved"].contains(&phase(study))
                    && self.before(study, h).is_some()
                    && !self.paired(study).contains(&h)
            }
            Action::Open(study, h) => {
                let decisions = self.decisions(study);
                let paired = self.paired(study);
                let all_paired = decisions.iter().filter(|(_, _, yes)| *yes).count() == paired.len();
                let waited = self.approved_at(study).is_some_and(|since| now >= since + GRACE);
                phase(study) == "approved"
                    && paired.contains(&h)
                    && paired.len() >= 3
                    && (waited || (decisions.len() == 4 && all_paired))
            }
            Action::Contribute(study, h, r) => {
                phase(study) == "collecting"
                    && last_round(study)
                        .is_some_and(|(n, opened, roster)| n == r && now <= opened + ROUND && roster.contains(&h))
                    && !self.contributors(study, r).contains(&h)
            }
            Action::Attest(study, h, r, _) => {
                phase(study) == "combining"
                    && last_round(study).is_some_and(|(n, _, roster)| n == r && roster.contains(&h))
                    && !self.attesters(study, r).contains_key(&h)
            }
            Action::Release(study, h, r) => {
                phase(study) == "combining"
                    && last_round(study).is_some_and(|(n, _, roster)| {
                        n == r && roster.contains(&h) && self.agreed_sum(study, r, roster.len()).is_some()
                    })
            }
            Action::Fail(study, _, r) => {
                ["collecting", "combining"].contains(&phase(study))
                    && last_round(study).is_some_and(|(n, opened, roster)| {
                        let from = self.fails_from(study, r, opened, &roster);
                        n == r && now >= from && self.agreed_sum(study, r, roster.len()).is_none()
                    })
            }
            Action::Drawn(..) => false,
            Action::Withdraw(study) => ["proposed", "approved", "collecting", "combining"].contains(&phase(study)),
        }
    }
}

/// Small numbers from a seed (SplitMix64; Steele, Lea and Flood, OOPSLA 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// A day before that of the blocks.
    fn day(&mut self) -> i32 {
        -(self.below(6) as i32)
    }

    fn action(&mut self, rounds: &[usize; 2]) -> Action {
        let member = self.below(4) as usize;
        let (hospital, name) = (self.below(2) as usize, self.below(3) as u32);
        let study = u8::from(self.below(5) == 0);
        let yes = self.below(8) != 0;
        // Mostly the running round, sometimes another.
        let off = if self.below(12) == 0 { 1 } else { 0 };
        let round = (rounds[usize::from(study)].saturating_sub(1) + off) as u32;
        match self.below(39) {
            0 => Action::Accredit(member),
            1 | 2 => Action::Vote(member, yes),
            3 | 4 => Action::Enrol(hospital, name),
            5..=8 => Action::Grant(hospital, name, self.below(2) == 0, self.day()),
            9 => Action::RevokeAll(hospital, name, self.day()),
            10 | 11 => Action::RevokeOne(hospital, name, self.below(4) as usize),
            12 => Action::Propose(study),
            13..=16 => Action::Decide(study, member, yes),
            17 | 18 => Action::Open(study, member),
            19..=24 => Action::Contribute(study, member, round),
            25..=28 => Action::Attest(study, member, round, u8::from(self.below(4) == 0)),
            29 | 30 => Action::Release(study, member, round),
            31 | 32 => Action::Fail(study, member, round),
            33..=37 => Action::Pair(study, member),
            _ if self.below(12) == 0 => Action::Withdraw(study),
            _ => Action::Grant(hospital, name, false, self.day()),
        }
    }
}

struct Run {
    ledger: Ledger,
    model: Model,
    proposal: TxHash,
    documents: BTreeMap<(usize, u32), Vec<DocumentId>>,
    /// How many facts there were after each height.
    facts_at: Vec<usize>,
}

impl Run {
    fn study(&self, study: u8) -> StudyId {
        self.ledger.study_name(1, study)
    }

    fn payload(&self, action: Action) -> (Who, Payload) {
        let name = |study| self.study(study);
        let revocation = |s, document, day| {
            let signed = Some(Date::from_days(day));
            let forms = vec![Revocation { subject: subject(s), document, source: content(8), signed }];
            Payload::Revoke(Revoke { basis: Basis::Paper, forms })
        };
        match action {
            Action::Accredit(h) => (Who::Hospital(h), self.ledger.accreditation(1)),
            Action::Vote(h, in_favour) => {
                (Who::Hospital(h), Payload::Vote(Vote { proposal: self.proposal, in_favour }))
            }
            Action::Enrol(h, s) => {
                let subjects = vec![self.ledger.consortium.enrolment(h, s, None)];
                (Who::Hospital(h), Payload::Enrol(Enrol { subjects }))
            }
            Action::Grant(h, s, supersedes, day) => {
                (Who::Hospital(h), paper_of(permit(Purpose::GeneralResearch), supersedes, [(s, day)]))
            }
            Action::RevokeAll(h, s, day) => (Who::Hospital(h), revocation(s, None, day)),
            Action::RevokeOne(h, s, which) => {
                let known = self.documents.get(&(h, s)).and_then(|list| list.get(which)).copied();
                (Who::Hospital(h), revocation(s, Some(known.unwrap_or(DocumentId::from_bytes([0xee; 32]))), 0))
            }
            Action::Propose(study) => (Who::Researcher(1), Ledger::study_proposal(study)),
            Action::Decide(study, h, true) => (Who::Hospital(h), self.ledger.approval(h, name(study))),
            Action::Decide(study, h, false) => {
                (Who::Hospital(h), Payload::Reject(Reject { study: name(study), reason: "no".to_string() }))
            }
            Action::Pair(study, h) => {
                (Who::Hospital(h), Ledger::pairing(name(study), self.model.before(study, h).unwrap_or_default()))
            }
            Action::Open(study, h) => (Who::Hospital(h), Payload::OpenRound(OpenRound { study: name(study) })),
            Action::Contribute(study, h, r) => {
                let payload = self.ledger.consortium.contribution(h, name(study), r, None);
                (Who::Hospital(h), Payload::Contribute(payload))
            }
            Action::Attest(study, h, r, sum) => {
                let (study, round) = (name(study), RoundNumber::new(r));
                (Who::Hospital(h), Payload::Attest(Attest { study, round, sum: content(sum) }))
            }
            Action::Release(study, h, r) => {
                let (study, round) = (name(study), RoundNumber::new(r));
                (Who::Hospital(h), Payload::Release(Release { study, round }))
            }
            Action::Fail(study, h, r) => {
                let (study, round) = (name(study), RoundNumber::new(r));
                (Who::Hospital(h), Payload::FailRound(FailRound { study, round }))
            }
            Action::Drawn(..) => unreachable!("hospitals show their lots by themselves"),
            Action::Withdraw(study) => {
                (Who::Researcher(1), Payload::WithdrawStudy(WithdrawStudy { study: name(study) }))
            }
        }
    }

    fn step(&mut self, action: Action) {
        let (who, payload) = self.payload(action);
        let now = self.ledger.now + 1;
        let expected = self.model.accepts(action, now);
        let (tx, outcome) = self.ledger.named(who, payload);
        assert_eq!(outcome.is_ok(), expected, "{action:?}: {outcome:?}");
        if expected {
            match action {
                Action::Accredit(_) => self.proposal = tx,
                Action::Grant(h, s, ..) => self.documents.entry((h, s)).or_default().push(document_id(&tx, 0)),
                _ => {}
            }
            self.model.0.push((now, action));
        }
        self.facts_at.push(self.model.0.len());
        // Hospitals show their lots as soon as these are awaited.
        for study in [0, 1] {
            let before = self.ledger.state.head().moment.height.get();
            self.ledger.show_lots(self.study(study));
            let blocks = self.ledger.state.head().moment.height.get() - before;
            self.facts_at.extend((0..blocks).map(|_| self.model.0.len()));
            if blocks > 0 {
                let round = self.model.rounds(study).len() as u32 - 1;
                self.model.0.push((self.ledger.now, Action::Drawn(study, round)));
            }
        }
        self.compare();
    }

    fn compare(&self) {
        for study in [0, 1] {
            let found = self.ledger.state.study(&self.study(study)).map_or("none", |s| s.course.phase.name());
            assert_eq!(found, self.model.phase(study, self.ledger.now));
            if let Some(study) = self.ledger.state.study(&self.study(study))
                && let Phase::Released { round, sum } = study.course.phase
            {
                let round = study.course.round(round).expect("the released round");
                let approvals = study.course.decisions.values().filter(|d| d.approved).count();
                assert!(approvals * 2 > usize::from(MEMBERS), "no release without approval");
                let attested = round.attestations.values().filter(|a| a.sum == sum).count();
                assert!(attested * 2 > round.roster.len(), "no release without attestation");
                assert!(round.roster.len() >= 3 && round.contributions.len() == round.roster.len());
            }
        }
        assert_eq!(self.ledger.state.figures().transactions, self.facts_at.len() as u64);
    }

    /// Every acknowledged grant is there, in order, and was current exactly when the facts say, at every height.
    fn compare_consents(&self) {
        for ((h, s), ids) in &self.documents {
            let key = self.ledger.subject_key(*h, *s);
            let subject = self.ledger.state.subject(&key).expect("enrolled");
            assert_eq!(subject.documents.iter().map(|d| d.id).collect::<Vec<_>>(), *ids, "none lost, none erased");
            for (height, facts) in (1u64..).zip(&self.facts_at) {
                let expected = self.model.documents(*h, *s, *facts);
                let expected: Vec<DocumentId> =
                    ids.iter().zip(expected).filter(|(_, current)| *current).map(|(id, _)| *id).collect();
                let height = consilium_protocol::ids::Height::new(height);
                let found: Vec<DocumentId> = self.ledger.state.documents_at(&key, height).map(|d| d.id).collect();
                assert_eq!(found, expected, "at {height}");
            }
        }
    }
}

fn run(seed: u64, steps: usize) -> Run {
    let mut run = Run {
        ledger: Ledger::new(MEMBERS),
        model: Model::default(),
        proposal: TxHash::from_bytes([0; 32]),
        documents: BTreeMap::new(),
        facts_at: Vec::new(),
    };
    let mut dice = Dice(seed);
    for _ in 0..steps {
        // Mostly a moment passes, now and then a grace, a round, or all the time there is.
        run.ledger.now += [30, 300, 1_000, 2_500].get(dice.below(60) as usize).copied().unwrap_or(0);
        let rounds = [run.model.rounds(0).len(), run.model.rounds(1).len()];
        let action = dice.action(&rounds);
        run.step(action);
    }
    run.compare_consents();
    run
}

#[test]
fn random_actions_agree_with_the_model() {
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    let mut most_rounds = 0;
    for seed in 0..30 {
        let run = run(seed, 400);
        for study in [0, 1] {
            *reached.entry(run.model.phase(study, run.ledger.now)).or_default() += 1;
            most_rounds = most_rounds.max(run.model.rounds(study).len());
        }
        for (_, action) in &run.model.0 {
            let name = format!("{action:?}");
            *accepted.entry(name.split('(').next().unwrap_or_default().to_string()).or_default() += 1;
        }
        // The same blocks lead to the same state, byte for byte.
        let mut again = State::new(&run.ledger.consortium.genesis);
        for block in &run.ledger.blocks {
            apply(&mut again, block);
        }
        assert_eq!(again.head(), run.ledger.state.head());
        assert_eq!(again.entries(), run.ledger.state.entries());
    }
    // The runs are worth something only if they get everywhere.
    for phase in ["released", "failed", "rejected", "expired", "withdrawn"] {
        assert!(reached.contains_key(phase), "never {phase}: {reached:?}");
    }
    assert_eq!(accepted.len(), 16, "{accepted:?}");
    assert!(most_rounds >= 2, "never a second round");
}
