//! A consortium for tests and benches: keys from small numbers, transactions and blocks at the stroke of a line.

use std::collections::BTreeMap;

use consilium_ledger::apply::{BlockResult, Outcome, apply};
use consilium_ledger::block::{Block, Header};
use consilium_ledger::certificate::{Certificate, VoteKind, vote_digest};
use consilium_ledger::state::State;
use consilium_ledger::state::consent::SubjectKey;
use consilium_protocol::catalogue::{CatalogueColumn, CatalogueTable, ColumnKind};
use consilium_protocol::consent::{
    Action, Base, Declarations, Domain, Effect, Establishment, Jurisdiction, Purpose, Rule, Scope, Terms,
};
use consilium_protocol::genesis::{Deadlines, GENESIS_VERSION, Genesis, Member};
use consilium_protocol::hash::tagged;
use consilium_protocol::ids::{
    ChainId, ContentHash, Date, Height, HospitalId, LedgerId, RoundNumber, Sequence, StudyId, SubjectId, Timestamp,
    TxHash,
};
use consilium_protocol::kem::{KemPublicKey, KemSecretKey};
use consilium_protocol::keys::{Signature, SigningKey};
use consilium_protocol::lots::{self, Draw, LotKey, LotProof};
use consilium_protocol::pairing::PAIR_BYTES;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::key::STUDY_KEY_PREFIX;
use consilium_protocol::study::{
    Cohort, Protection, SPEC_VERSION, Statistic, StatisticKind, StudySpec, Totals, study_id,
};
use consilium_protocol::tx::{
    AccreditResearcher, Approve, Blob, Contribute, Countersignature, Enrol, Enrolment, Given, GivenTerms, Grant,
    OpenRound, PairKeys, Payload, ProposeStudy, SignedTx, Signer, TxBody, VeilCommitment, enrolment_message,
};
use zeroize::Zeroizing;

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The member at this position.
    Hospital(usize),
    /// A researcher.
    Researcher(u8),
    /// A patient.
    Patient(u8),
}

fn lot_key(i: u8) -> LotKey {
    let mut seed = Zeroizing::new([i + 1; 32]);
    seed[31] = 0;
    LotKey::from_seed(seed).expect("a scalar")
}

/// A table of the consortium's own.
pub(crate) fn labs() -> CatalogueTable {
    let column = |name: &str, kind| CatalogueColumn {
        name: name.to_string(),
        kind,
        description: String::new(),
        values: Vec::new(),
    };
    CatalogueTable {
        name: "labs".to_string(),
        description: String::new(),
        subject: "patient".to_string(),
        domain: Domain::Measurement,
        date: Some("taken".to_string()),
        undated: false,
        single: false,
        columns: vec![column("taken", ColumnKind::Date), column("score", ColumnKind::Number)],
    }
}

/// What looks like a study's public key.
pub(crate) fn study_key() -> Vec<u8> {
    let word = |i: u64| tagged("test/study-key", &[&i.to_le_bytes()])[..8].to_vec();
    STUDY_KEY_PREFIX.into_iter().chain([7; 16]).chain((0..2_048).flat_map(word)).collect()
}

/// A key to which nobody seals.
pub(crate) fn sealing_key() -> KemPublicKey {
    KemSecretKey::from_seed(Zeroizing::new([4; 32])).public_key()
}

/// The keys of a consortium.
pub(crate) struct Consortium {
    pub(crate) genesis: Genesis,
    hospitals: Vec<SigningKey>,
    consensus: Vec<SigningKey>,
}

impl Consortium {
    pub(crate) fn new(members: u8) -> Self {
        let mut hospitals: Vec<SigningKey> = (0..members).map(|i| SigningKey::from_seed(&[100 + i; 32])).collect();
        hospitals.sort_by_key(SigningKey::hospital);
        let consensus: Vec<SigningKey> = (0..members).map(|i| SigningKey::from_seed(&[200 + i; 32])).collect();
        let member = hospitals.iter().zip(&consensus).zip(0u8..);
        let member = member.map(|((key, consensus), i)| {
            let mut member = Member {
                id: key.hospital(),
                name: format!("Hospital {i}"),
                consensus_key: consensus.public_key(),
                peer_key: [i; 32],
                lot_key: lot_key(i).public_key(),
                tls_certificate: ContentHash::from_bytes([i; 32]),
                address: format!("127.0.0.1:{}", 7000 + u16::from(i)),
                consensus_address: format!("127.0.0.1:{}", 8000 + u16::from(i)),
                proof: Signature::from_bytes([0; 64]),
            };
            member.prove(key);
            member
        });
        let genesis = Genesis {
            version: GENESIS_VERSION,
            chain_id: ChainId::new("test").expect("a chain id"),
            time_ms: Timestamp::new(1_000_000),
            policy: DisclosurePolicy { open_studies: true, slot_seconds: 1, ..DisclosurePolicy::default() },
            consent_base: Base::Deny,
            deadlines: Deadlines { approval_ms: 10_000, grace_ms: 1_000, round_ms: 5_000, key_wait_ms: 7_000 },
            disease: Vec::new(),
            table: vec![labs()],
            member: member.collect(),
        };
        genesis.check().expect("a valid genesis");
        Self { genesis, hospitals, consensus }
    }

    pub(crate) fn key(&self, who: Who) -> SigningKey {
        match who {
            Who::Hospital(i) => SigningKey::from_seed(&self.hospitals[i].seed()),
            Who::Researcher(i) => SigningKey::from_seed(&[i; 32]),
            Who::Patient(i) => {
                let mut seed = [77; 32];
                seed[0] = i;
                SigningKey::from_seed(&seed)
            }
        }
    }

    pub(crate) fn signer(&self, who: Who) -> Signer {
        let key = self.key(who);
        match who {
            Who::Hospital(_) => Signer::Hospital(key.hospital()),
            Who::Researcher(_) => Signer::Researcher(key.researcher()),
            Who::Patient(_) => Signer::Patient(key.patient()),
        }
    }

    pub(crate) fn ledger(&self) -> LedgerId {
        self.genesis.ledger()
    }

    /// The lot of the member at this position for a round.
    pub(crate) fn lot(&self, i: usize, study: StudyId, round: u32) -> LotProof {
        self.lot_of(i, study, round, Draw::Roles)
    }

    /// Likewise, for anything that is drawn in it.
    pub(crate) fn lot_of(&self, i: usize, study: StudyId, round: u32, draw: Draw) -> LotProof {
        let position = self.genesis.member.iter().position(|member| member.id == self.hospital(i));
        let key = lot_key(position.expect("a member") as u8);
        key.draw(&lots::message(&self.ledger(), &study, RoundNumber::new(round), draw))
    }

    /// What the member at this position says when it contributes to a round.
    pub(crate) fn contribution(
        &self,
        i: usize,
        study: StudyId,
        round: u32,
        veil: Option<VeilCommitment>,
    ) -> Contribute {
        let (lot, round) = (self.lot(i, study, round + 1), RoundNumber::new(round));
        Contribute { study, round, contribution: content(i as u8), bytes: 64, proof: content(99), lot, veil }
    }

    pub(crate) fn hospital(&self, i: usize) -> HospitalId {
        self.hospitals[i].hospital()
    }

    pub(crate) fn sign(&self, who: Who, sequence: u64, expires: u64, payload: Payload) -> SignedTx {
        let body = TxBody { sequence: Sequence::new(sequence), expires: Height::new(expires), payload };
        SignedTx::sign(&self.ledger(), &body, self.signer(who), &self.key(who))
    }

    /// The block that follows a state.
    pub(crate) fn block(&self, state: &State, time: Timestamp, txs: Vec<SignedTx>) -> Block {
        let header = Header {
            ledger_id: self.ledger(),
            height: state.height().next().expect("a next height"),
            time,
            proposer: self.hospital(0),
            parent: state.head().block,
            app_hash: state.head().app_hash,
            txs: Block::txs_hash(&txs),
        };
        Block { header, txs }
    }

    /// A certificate by all members.
    pub(crate) fn certificate(&self, block: &Block) -> Certificate {
        let (hash, height) = (block.hash(), block.header.height);
        let mut signatures: Vec<(HospitalId, Signature)> = self
            .genesis
            .member
            .iter()
            .zip(&self.consensus)
            .map(|(member, key)| {
                let chain = &self.ledger();
                let digest = vote_digest(chain, VoteKind::Precommit, height, 0, Some(&hash), &member.id);
                (member.id, key.sign(&digest))
            })
            .collect();
        signatures.sort_by_key(|(id, _)| *id);
        Certificate { height, round: 0, block: hash, signatures }
    }

    /// An enrolment countersigned by a patient, or not.
    pub(crate) fn enrolment(&self, hospital: usize, name: u32, patient: Option<u8>) -> Enrolment {
        let subject = subject(name);
        let patient = patient.map(|i| {
            let key = self.key(Who::Patient(i));
            let message = enrolment_message(&self.ledger(), &self.hospital(hospital), &subject);
            Countersignature { patient: key.patient(), signature: key.sign(&message) }
        });
        Enrolment { subject, patient }
    }
}

/// A subject by a number.
pub(crate) fn subject(name: u32) -> SubjectId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&name.to_be_bytes());
    SubjectId::from_bytes(bytes)
}

/// A university's.
pub(crate) fn establishment() -> Establishment {
    let country = "DE".parse().expect("a country");
    Establishment { country, jurisdiction: Jurisdiction::Gdpr, for_profit: false }
}

/// Some content by a number; never all zeros.
pub(crate) fn content(name: u8) -> ContentHash {
    let mut bytes = [1; 32];
    bytes[31] = name;
    ContentHash::from_bytes(bytes)
}

/// Terms that permit one purpose to everybody.
pub(crate) fn permit(purpose: Purpose) -> Terms {
    let rule = Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![purpose]));
    Terms::opt_in(vec![rule])
}

/// Paper forms of these subjects, witnessed by their hospital.
pub(crate) fn paper(terms: Terms, supersedes: bool, names: impl IntoIterator<Item = u32>) -> Payload {
    paper_of(terms, supersedes, names.into_iter().map(|name| (name, SIGNED)))
}

/// Paper forms of these subjects, each signed on a day, witnessed by their hospital.
pub(crate) fn paper_of(terms: Terms, supersedes: bool, forms: impl IntoIterator<Item = (u32, i32)>) -> Payload {
    let form = |(name, day)| Given { subject: subject(name), source: content(9), signed: Some(Date::from_days(day)) };
    Payload::Grant(Grant::paper(GivenTerms::Whole(terms), supersedes, forms.into_iter().map(form).collect()))
}

/// The day on which paper forms are signed, where it does not matter: that of the ledger's first block.
pub(crate) const SIGNED: i32 = 0;

/// A study that counts, told apart by a number.
pub(crate) fn spec(name: u8) -> StudySpec {
    StudySpec {
        version: SPEC_VERSION,
        title: format!("Study {name}"),
        description: "How many there are.".to_string(),
        purposes: vec![Purpose::HealthResearch],
        declared: Declarations::default(),
        protection: Protection::Open,
        min_joint_count: 0,
        totals: Totals::Shown,
        cohort: Cohort {
            sql: "SELECT subject FROM person".to_string(),
            subject: "subject".to_string(),
            concept_sets: Vec::new(),
        },
        tables: Vec::new(),
        variables: Vec::new(),
        dimensions: Vec::new(),
        statistics: vec![Statistic { name: "n".to_string(), kind: StatisticKind::Count, by: Vec::new() }],
    }
}

/// A state with its consortium: signs with the next sequence number, makes blocks a millisecond apart.
pub(crate) struct Ledger {
    pub(crate) consortium: Consortium,
    pub(crate) state: State,
    /// The time of the last block; set it ahead to let time pass.
    pub(crate) now: u64,
    pub(crate) blocks: Vec<Block>,
    sequences: BTreeMap<Signer, u64>,
}

impl Ledger {
    pub(crate) fn new(members: u8) -> Self {
        Self::founded(Consortium::new(members))
    }

    pub(crate) fn founded(consortium: Consortium) -> Self {
        let state = State::new(&consortium.genesis);
        let now = consortium.genesis.time_ms.get();
        Self { consortium, state, now, blocks: Vec::new(), sequences: BTreeMap::new() }
    }

    pub(crate) fn sign(&mut self, who: Who, payload: Payload) -> SignedTx {
        let sequence = self.sequences.entry(self.consortium.signer(who)).or_insert(0);
        *sequence += 1;
        let expires = self.state.height().get() + 1_000;
        self.consortium.sign(who, *sequence, expires, payload)
    }

    pub(crate) fn commit(&mut self, txs: Vec<SignedTx>) -> BlockResult {
        self.now += 1;
        let block = self.consortium.block(&self.state, Timestamp::new(self.now), txs);
        let result = apply(&mut self.state, &block);
        self.blocks.push(block);
        result
    }

    /// One transaction in a block of its own.
    pub(crate) fn one(&mut self, who: Who, payload: Payload) -> Outcome {
        self.named(who, payload).1
    }

    /// These hospitals contribute to a round of a study that is not guarded.
    pub(crate) fn contribute(&mut self, study: StudyId, round: u32, by: std::ops::Range<usize>) {
        for i in by {
            let payload = self.consortium.contribution(i, study, round, None);
            assert_eq!(self.one(Who::Hospital(i), Payload::Contribute(payload)), Ok(()));
        }
    }

    /// One transaction in a block of its own, with its name.
    pub(crate) fn named(&mut self, who: Who, payload: Payload) -> (TxHash, Outcome) {
        let tx = self.sign(who, payload);
        let mut outcomes = self.commit(vec![tx]).outcomes;
        outcomes.pop().expect("one outcome")
    }

    pub(crate) fn subject_key(&self, hospital: usize, name: u32) -> SubjectKey {
        SubjectKey { hospital: self.consortium.hospital(hospital), subject: subject(name) }
    }

    pub(crate) fn accreditation(&self, researcher: u8) -> Payload {
        Payload::AccreditResearcher(AccreditResearcher {
            researcher: self.consortium.key(Who::Researcher(researcher)).researcher(),
            name: "Ada".to_string(),
            organisation: "University".to_string(),
            hospital: None,
            establishment: establishment(),
        })
    }

    /// Has a researcher accredited by as many members as needed.
    pub(crate) fn accredit(&mut self, researcher: u8) {
        let (proposal, outcome) = self.named(Who::Hospital(0), self.accreditation(researcher));
        assert_eq!(outcome, Ok(()));
        for i in 1..=self.state.members().len() / 2 {
            let vote = Payload::Vote(consilium_protocol::tx::Vote { proposal, in_favour: true });
            assert_eq!(self.one(Who::Hospital(i), vote), Ok(()));
        }
    }

    /// Enrols subjects without patient keys.
    pub(crate) fn enrol(&mut self, hospital: usize, names: impl IntoIterator<Item = u32>) {
        let subjects = names.into_iter().map(|n| self.consortium.enrolment(hospital, n, None)).collect();
        assert_eq!(self.one(Who::Hospital(hospital), Payload::Enrol(Enrol { subjects })), Ok(()));
    }

    pub(crate) fn study_proposal(name: u8) -> Payload {
        Payload::ProposeStudy(ProposeStudy {
            spec: spec(name).to_canonical(),
            public_key: study_key(),
            sealing_key: sealing_key(),
        })
    }

    /// The name of the study that [`Self::study_proposal`] proposes.
    pub(crate) fn study_name(&self, researcher: u8, name: u8) -> StudyId {
        let id = self.consortium.key(Who::Researcher(researcher)).researcher();
        study_id(&self.consortium.ledger(), &id, &spec(name).to_canonical(), &study_key(), &sealing_key())
    }

    /// A study of another protection, proposed by the accredited researcher 1.
    pub(crate) fn propose_protected(&mut self, name: u8, protection: Protection) -> (StudyId, Outcome) {
        let canonical = StudySpec { protection, ..spec(name) }.to_canonical();
        let id = self.consortium.key(Who::Researcher(1)).researcher();
        let study = study_id(&self.consortium.ledger(), &id, &canonical, &study_key(), &sealing_key());
        let payload = ProposeStudy { spec: canonical, public_key: study_key(), sealing_key: sealing_key() };
        (study, self.one(Who::Researcher(1), Payload::ProposeStudy(payload)))
    }

    /// Has all whose lot is awaited by a study's round show it, until nothing is drawn any more.
    pub(crate) fn show_lots(&mut self, study: StudyId) {
        for i in 0..self.state.members().len() {
            let hospital = self.consortium.hospital(i);
            let round = self.state.study(&study).and_then(|study| study.course.running_round());
            let awaited = round.filter(|round| round.awaits_lot(&hospital)).map(|round| (round.number, round.draws()));
            if let Some((round, Some(draw))) = awaited {
                let lot = self.consortium.lot_of(i, study, round.get(), draw);
                let payload = Payload::ShowLot(consilium_protocol::tx::ShowLot { study, round, lot });
                assert_eq!(self.one(Who::Hospital(i), payload), Ok(()));
            }
        }
    }

    /// An accredited researcher's study, proposed.
    pub(crate) fn proposed(&mut self) -> StudyId {
        self.accredit(1);
        assert_eq!(self.one(Who::Researcher(1), Self::study_proposal(1)), Ok(()));
        self.study_name(1, 1)
    }

    /// What a member says when it approves.
    pub(crate) fn approval(&self, hospital: usize, study: StudyId) -> Payload {
        let lot = self.consortium.lot(hospital, study, 0);
        Payload::Approve(Approve { study, reason: String::new(), pair_key: sealing_key(), lot, ticked: Vec::new() })
    }

    /// What a member says of the secrets that it encapsulated, given how many approved before it.
    pub(crate) fn pairing(study: StudyId, before: usize) -> Payload {
        let keys = Blob { hash: content(before as u8), bytes: (before * PAIR_BYTES) as u64 };
        Payload::PairKeys(PairKeys { study, keys })
    }

    /// Has a member approve, and commit to its pair keys in the same block.
    pub(crate) fn approve(&mut self, hospital: usize, study: StudyId) -> Outcome {
        let who = Who::Hospital(hospital);
        let before = self.state.study(&study).map_or(0, |study| study.course.approvals.len());
        let mut txs = vec![self.sign(who, self.approval(hospital, study))];
        let (probe, moment) = (&mut self.state.clone(), Timestamp::new(self.now + 1));
        let block = self.consortium.block(probe, moment, txs.clone());
        if apply(probe, &block).outcomes[0].1.is_ok() {
            txs.push(self.sign(who, Self::pairing(study, before)));
        }
        let outcomes = self.commit(txs).outcomes;
        outcomes.into_iter().try_for_each(|(_, outcome)| outcome)
    }

    /// The study, approved by these members, its first round opened by the first of them.
    pub(crate) fn opened(&mut self, approvers: &[usize]) -> StudyId {
        let study = self.proposed();
        for i in approvers {
            assert_eq!(self.approve(*i, study), Ok(()));
        }
        self.now += self.consortium.genesis.deadlines.grace_ms;
        assert_eq!(self.one(Who::Hospital(approvers[0]), Payload::OpenRound(OpenRound { study })), Ok(()));
        study
    }
}
