//! The bytes of everything that is stored or hashed. A change here is a change of the ledger's format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use borsh::{BorshDeserialize, BorshSerialize};
use consilium_protocol::consent::{Basis, Purpose, TermsError};
use consilium_protocol::ids::{
    AppHash, BlockHash, ContentHash, Date, DocumentId, Height, HospitalId, PatientId, ResearcherId, RoundNumber,
    Sequence, StudyId, SubjectId, Timestamp, TxHash,
};
use consilium_protocol::kem::{KemPublicKey, PUBLIC_KEY_BYTES};
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::tx::{AccreditResearcher, Blob, Fault, KeySet, RegisterGuardKeys, Signer, VeilCommitment};

use crate::apply::Outcome;
use crate::event::Event;
use crate::rejection::{Rejection, SpecFault, TextField};
use crate::state::consent::{Document, Ended, EndedBy, SignedBy, Subject, SubjectKey};
use crate::state::members::{Ballot, BallotOutcome, Researcher};
use crate::state::study::{
    Approval, Attestation, Contribution, Course, Decision, Disclosed, Guard, GuardKeys, Phase, Proposal, Roles, Round,
    RoundEnd, Sealed, SpareSets, WitnessRole, Witnessed,
};
use crate::state::{Figures, Head, Moment};
use crate::store::StoredResult;
use crate::testing::{Ledger, Who, establishment, paper, permit, spec};

/// Hexadecimal, with eight and more equal bytes in a row written `[byte*count]`.
fn runs(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() >= 8 {
            text.push_str(&format!("[{:02x}*{}]", run[0], run.len()));
        } else {
            text.push_str(&hex::encode(run));
        }
    }
    text
}

/// The value has exactly these bytes, and nothing but these bytes is the value.
fn golden<T: BorshSerialize + BorshDeserialize + PartialEq + Debug>(value: &T, expected: &str) {
    let bytes = borsh::to_vec(value).expect("memory");
    assert_eq!(runs(&bytes), expected, "{value:?}");
    assert_eq!(borsh::from_slice::<T>(&bytes).expect("it reads back"), *value);
    for end in 0..bytes.len() {
        assert!(borsh::from_slice::<T>(&bytes[..end]).is_err(), "{value:?} cut to {end}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(borsh::from_slice::<T>(&longer).is_err(), "{value:?} with a byte too many");
}

fn moment() -> Moment {
    Moment { height: Height::new(5), time: Timestamp::new(0x0102) }
}

fn hospital() -> HospitalId {
    HospitalId::from_public_key([0xaa; 32])
}

fn study() -> StudyId {
    StudyId::from_bytes([0x55; 32])
}

fn hash(byte: u8) -> ContentHash {
    ContentHash::from_bytes([byte; 32])
}

#[test]
fn consent_and_members() {
    let key = SubjectKey { hospital: hospital(), subject: SubjectId::from_bytes([0x11; 16]) };
    golden(&key, "[aa*32][11*16]");
    let signer = Signer::Patient(PatientId::from_public_key([0xbb; 32]));
    let mut document = Document {
        id: DocumentId::from_bytes([1; 32]),
        terms: hash(2),
        basis: Basis::Paper,
        source: hash(3),
        signer,
        by: SignedBy::Hospital,
        signed: Date::from_days(7),
        granted: moment(),
        ended: None,
    };
    golden(&document, "[01*32][02*32]01[03*32]02[bb*32]00070000000500000000000000020100000000000000");
    let by = EndedBy::Superseded { document: DocumentId::from_bytes([4; 32]) };
    document.ended = Some(Box::new(Ended { at: moment(), by }));
    let subject = Subject { enrolled: moment(), patient: None, cleared: None, documents: vec![document], more: None };
    golden(
        &subject,
        "05000000000000000201[00*8]01000000[01*32][02*32]01[03*32]02[bb*32]00070000000500000000000000\
         0201000000000000010500000000000000020100000000000001[04*32]00",
    );
    let by = EndedBy::Revocation { tx: TxHash::from_bytes([6; 32]), signer, basis: Basis::Electronic, source: hash(0) };
    golden(&by, "00[06*32]02[bb*32][00*33]");
    let researcher = Researcher {
        name: "A".to_string(),
        organisation: "B".to_string(),
        hospital: Some(hospital()),
        establishment: establishment(),
        height: Height::new(1),
    };
    golden(&researcher, "0100000041010000004201[aa*32]444500000100000000000000");
    let ballot = Ballot {
        proposal: AccreditResearcher {
            researcher: ResearcherId::from_public_key([0xcc; 32]),
            name: "A".to_string(),
            organisation: "B".to_string(),
            hospital: None,
            establishment: establishment(),
        },
        proposer: hospital(),
        proposed: moment(),
        votes: BTreeMap::from([(hospital(), true)]),
        outcome: BallotOutcome::Failed,
    };
    golden(&ballot, "[cc*32]010000004101000000420044450000[aa*32]0500000000000000020100000000000001000000[aa*32]0102");
}

#[test]
fn studies() {
    let round = RoundNumber::new(3);
    golden(&Phase::Proposed, "00");
    golden(&Phase::Approved { since: Timestamp::new(9) }, "010900000000000000");
    golden(&Phase::Collecting { round }, "0203000000");
    golden(&Phase::Combining { round }, "0303000000");
    golden(&Phase::Released { round, sum: hash(7) }, "0403000000[07*32]");
    golden(&[Phase::Rejected, Phase::Withdrawn, Phase::Expired, Phase::Failed], "05060708");
    let course = Course {
        phase: Phase::Collecting { round: RoundNumber::new(0) },
        decisions: BTreeMap::from([(
            hospital(),
            Decision { approved: true, reason: "ok".to_string(), ticked: BTreeSet::new(), at: moment() },
        )]),
        approvals: vec![Approval {
            hospital: hospital(),
            pair_key: KemPublicKey::from_bytes([3; PUBLIC_KEY_BYTES]),
            keys: Some(Blob { hash: hash(8), bytes: 9 }),
        }],
        lots: BTreeMap::from([((RoundNumber::new(1), hospital()), [6; 32])]),
        rounds: vec![Round {
            number: RoundNumber::new(0),
            opened: moment(),
            roster: vec![hospital()],
            contributions: BTreeMap::from([(
                hospital(),
                Contribution {
                    hash: hash(1),
                    bytes: 64,
                    proof: hash(15),
                    height: Height::new(6),
                    veil: Some(VeilCommitment {
                        sealed: Blob { hash: hash(9), bytes: 7 },
                        keys: hash(10),
                        counts: Some(Blob { hash: hash(11), bytes: 8 }),
                    }),
                },
            )]),
            shown: BTreeMap::from([(hospital(), [16; 32])]),
            examined: Some(hospital()),
            attestations: BTreeMap::from([(hospital(), Attestation { sum: hash(2), height: Height::new(7) })]),
            guard: None,
            spare: SpareSets {
                sets: vec![KeySet {
                    public_key: Blob { hash: hash(12), bytes: 3 },
                    server_key: Blob { hash: hash(13), bytes: 4 },
                }],
                seeds: vec![[14; 32]],
            },
            passed: vec![5, 1],
            accusations: BTreeMap::from([(
                hospital(),
                BTreeMap::from([(HospitalId::from_public_key([0xab; 32]), Fault::Veil)]),
            )]),
            advanced: Timestamp::new(0x0304),
            ended: Some((moment(), RoundEnd::Withdrawn)),
        }],
    };
    golden(
        &course,
        "020000000001000000[aa*32]01020000006f6b000000000500000000000000020100000000000001000000[aa*32][03*1216]01[08*32]0900000000\
         0000000100000001000000[aa*32][06*32]01000000000000000500000000000000020100000000000001000000[aa*32]01000000[aa*32]\
         [01*32]4000000000000000[0f*32]060000000000000001[09*32]0700000000000000[0a*32]01[0b*32]080000000000000001000000[aa*32][10*32]01[aa*32]01000000[aa*32][02*32]07[00*8]01000000[0c*32]03000000000000\
         00[0d*32]040000000000000001000000[0e*32]02000000050101000000[aa*32]01000000[ab*32]020403000000000000010500000000000000020100000000000002",
    );
    let proposal = Proposal {
        researcher: ResearcherId::from_public_key([0xcc; 32]),
        spec: spec(1),
        public_key: vec![1, 2, 3],
        sealing_key: KemPublicKey::from_bytes([4; PUBLIC_KEY_BYTES]),
        proposed: moment(),
    };
    let roles = Roles {
        aggregator: hospital(),
        custodian: HospitalId::from_public_key([0xbb; 32]),
        sealing_key: KemPublicKey::from_bytes([4; PUBLIC_KEY_BYTES]),
        veil_key: KemPublicKey::from_bytes([5; PUBLIC_KEY_BYTES]),
        keys: Some(KeySet {
            public_key: Blob { hash: hash(1), bytes: 5 },
            server_key: Blob { hash: hash(2), bytes: 6 },
        }),
        witness: Some(WitnessRole {
            hospital: HospitalId::from_public_key([0xcc; 32]),
            sealing_key: KemPublicKey::from_bytes([6; PUBLIC_KEY_BYTES]),
        }),
    };
    let guard = Guard {
        roles,
        sealed: Some(Sealed {
            sum: Blob { hash: hash(3), bytes: 7 },
            seeds: Blob { hash: hash(4), bytes: 8 },
            height: Height::new(9),
        }),
        witnessed: Some(Witnessed { seeds: Blob { hash: hash(6), bytes: 11 }, height: Height::new(12) }),
        disclosed: Some(Disclosed { seeds: Blob { hash: hash(5), bytes: 10 }, height: Height::new(11) }),
    };
    golden(
        &guard,
        "[aa*32][bb*32][04*1216][05*1216][01*33]0500000000000000[02*32]060000000000000001[cc*32][06*1216]01[03*32]\
         0700000000000000[04*32]0800000000000000090000000000000001[06*32]0b000000000000000c0000000000000001[05*32]\
         0a000000000000000b00000000000000",
    );
    let keys = RegisterGuardKeys {
        sets: roles.keys.into_iter().collect(),
        sealing_key: KemPublicKey::from_bytes([4; PUBLIC_KEY_BYTES]),
    };
    golden(
        &GuardKeys { keys, height: Height::new(9), drawn: Some((study(), round)) },
        "01000000[01*32]0500000000000000[02*32]0600000000000000[04*1216]090000000000000001[55*32]03000000",
    );
    golden(
        &proposal,
        "[cc*32]0100070000005374756479203113000000486f77206d616e79207468657265206172652e0100000002[00*20]1a00000053454c454\
         354207375626a6563742046524f4d20706572736f6e070000007375626a656374[00*16]01000000010000006e00000000000300000001020\
         3[04*1216]05000000000000000201000000000000",
    );
    assert!(borsh::from_slice::<Phase>(&[9]).is_err(), "no such phase");
}

#[test]
fn heads_and_results() {
    let head = Head { moment: moment(), block: BlockHash::from_bytes([1; 32]), app_hash: AppHash::from_bytes([2; 32]) };
    golden(&head, "05000000000000000201000000000000[01*32][02*32]");
    let figures = Figures {
        transactions: 1,
        rejected: 2,
        subjects: 3,
        grants: 4,
        grant_bytes: 5,
        revocations: 6,
        current_documents: 7,
        studies: 8,
    };
    golden(
        &figures,
        "010000000000000002000000000000000300000000000000040000000000000005000000000000000600000000\
         00000007000000000000000800000000000000",
    );
    let events = vec![Event::StudyExpired { study: study() }];
    golden(&StoredResult { app_hash: AppHash::from_bytes([2; 32]), events }, "[02*32]010000000c[55*32]");
    golden(&(Height::new(2), Outcome::Ok(())), "020000000000000001");
    golden(&(Height::new(2), Outcome::Err(Rejection::UnknownSigner)), "02[00*8]06");
}

#[test]
fn events() {
    let (proposal, study, round) = (TxHash::from_bytes([1; 32]), study(), RoundNumber::new(2));
    let researcher = ResearcherId::from_public_key([0xcc; 32]);
    let (hospital, other) = (hospital(), HospitalId::from_public_key([0xbb; 32]));
    let all = [
        (Event::ResearcherProposed { proposal, researcher }, "00[01*32][cc*32]"),
        (Event::Voted { proposal, hospital, in_favour: true }, "[01*33][aa*32]01"),
        (Event::ResearcherAccredited { proposal, researcher }, "02[01*32][cc*32]"),
        (Event::ProposalFailed { proposal }, "03[01*32]"),
        (Event::Enrolled { hospital, subjects: 1 }, "04[aa*32]01000000"),
        (Event::Granted { hospital, documents: 1, superseded: 2, late: 3 }, "05[aa*32]010000000200000003000000"),
        (Event::Revoked { hospital, documents: 1 }, "06[aa*32]01000000"),
        (Event::StudyProposed { study, researcher }, "07[55*32][cc*32]"),
        (Event::StudyDecided { study, hospital, approved: false }, "08[55*32][aa*32]00"),
        (Event::StudyApproved { study }, "09[55*32]"),
        (Event::StudyRejected { study }, "0a[55*32]"),
        (Event::StudyWithdrawn { study }, "0b[55*32]"),
        (Event::StudyExpired { study }, "0c[55*32]"),
        (Event::RoundOpened { study, round, hospitals: 3 }, "0d[55*32]0200000003000000"),
        (Event::Paired { study, hospital }, "0e[55*32][aa*32]"),
        (Event::Contributed { study, round, hospital }, "0f[55*32]02000000[aa*32]"),
        (Event::RoundComplete { study, round }, "10[55*32]02000000"),
        (Event::Attested { study, round, hospital, sum: hash(7) }, "11[55*32]02000000[aa*32][07*32]"),
        (Event::Released { study, round, sum: hash(7) }, "12[55*32]02000000[07*32]"),
        (Event::RoundFailed { study, round }, "13[55*32]02000000"),
        (Event::StudyFailed { study }, "14[55*32]"),
        (Event::GuardKeysRegistered { hospital }, "15[aa*32]"),
        (
            Event::RolesDrawn { study, round, aggregator: hospital, custodian: other, witness: Some(hospital) },
            "16[55*32]02000000[aa*32][bb*32]01[aa*32]",
        ),
        (
            Event::PrivacySpent { study, round, rho: MicroRho::new(3), hospitals: 4 },
            "17[55*32]02000000030000000000000004000000",
        ),
        (
            Event::SumSealed { study, round, hospital, sum: hash(7), seeds: hash(8) },
            "18[55*32]02000000[aa*32][07*32][08*32]",
        ),
        (Event::SeedsDisclosed { study, round, hospital, seeds: hash(8) }, "19[55*32]02000000[aa*32][08*32]"),
        (Event::Witnessed { study, round, hospital, seeds: hash(8) }, "1a[55*32]02000000[aa*32][08*32]"),
        (
            Event::Accused { study, round, accused: other, hospital, fault: Fault::Veil },
            "1b[55*32]02000000[bb*32][aa*32]02",
        ),
        (Event::Blamed { study, round, hospital, fault: Fault::Sum }, "1c[55*32]02000000[aa*32]04"),
        (
            Event::PrivacyReturned { study, round, rho: MicroRho::new(3), hospitals: 4 },
            "1d[55*32]02000000030000000000000004000000",
        ),
        (Event::KeySetsOpened { study, round, hospital }, "1e[55*32]02000000[aa*32]"),
        (Event::LotShown { study, round, hospital }, "1f[55*32]02000000[aa*32]"),
        (Event::Examined { study, round, hospital }, "20[55*32]02000000[aa*32]"),
        (Event::SubjectChanged { hospital, change: crate::event::SubjectChange::KeyReplaced }, "21[aa*32]05"),
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for (event, expected) in &all {
        golden(event, expected);
        assert!(kinds.insert(event.kind()), "{} twice", event.kind());
        assert!(!event.to_string().is_empty());
    }
    let next = u8::try_from(all.len()).expect("few");
    let bytes = [&[next][..], &[0; 200]].concat();
    let unknown = Event::deserialize(&mut &bytes[..]);
    assert!(unknown.is_err(), "a new event needs its golden bytes");
}

#[test]
fn rejections() {
    let (proposal, study) = (TxHash::from_bytes([1; 32]), study());
    let subject = SubjectId::from_bytes([0x11; 16]);
    let document = DocumentId::from_bytes([4; 32]);
    let all = [
        (Rejection::Signature, "00"),
        (Rejection::Malformed, "01"),
        (Rejection::TooLong, "02"),
        (Rejection::Replayed { last: Sequence::new(3) }, "030300000000000000"),
        (Rejection::Expired { expires: Height::new(3) }, "040300000000000000"),
        (Rejection::ExpiresTooLate { latest: Height::new(3) }, "050300000000000000"),
        (Rejection::UnknownSigner, "06"),
        (Rejection::NotEntitled { entitled: crate::rejection::Entitled::PatientOrHospital }, "0702"),
        (Rejection::Text { field: TextField::Reason }, "0802"),
        (Rejection::EmptyBatch, "09"),
        (Rejection::UnknownMember { hospital: hospital() }, "0a[aa*32]"),
        (Rejection::AlreadyAccredited { researcher: ResearcherId::from_public_key([0xcc; 32]) }, "0b[cc*32]"),
        (Rejection::AlreadyProposed { proposal }, "0c[01*32]"),
        (Rejection::UnknownProposal { proposal }, "0d[01*32]"),
        (Rejection::BallotClosed { proposal }, "0e[01*32]"),
        (Rejection::AlreadyVoted { proposal }, "0f[01*32]"),
        (Rejection::AlreadyEnrolled { subject }, "10[11*16]"),
        (Rejection::SubjectHasKey { subject }, "[11*17]"),
        (Rejection::PatientKeyTaken { subject }, "12[11*16]"),
        (Rejection::Countersignature { subject }, "13[11*16]"),
        (Rejection::UnknownSubject { subject }, "14[11*16]"),
        (Rejection::NotOwnSubject, "15"),
        (Rejection::WrongBasis, "16"),
        (Rejection::SourceMissing { subject }, "17[11*16]"),
        (Rejection::SourceUnexpected, "18"),
        (Rejection::Terms(TermsError::EmptyPeriod), "1903"),
        (Rejection::BasePermit, "1a"),
        (Rejection::UnknownDocument { subject, document }, "1b[11*16][04*32]"),
        (Rejection::DocumentEnded { document }, "1c[04*32]"),
        (Rejection::NothingToRevoke { subject }, "1d[11*16]"),
        (Rejection::Spec(SpecFault::Invalid), "1e03"),
        (Rejection::PairKey, "1f"),
        (Rejection::Lot, "20"),
        (Rejection::AlreadyPaired { study }, "21[55*32]"),
        (Rejection::StudyKey, "22"),
        (Rejection::StudyExists { study }, "23[55*32]"),
        (Rejection::UnknownStudy { study }, "24[55*32]"),
        (Rejection::NotTheResearcher { study }, "25[55*32]"),
        (Rejection::WrongPhase { study, phase: Phase::Failed }, "26[55*32]08"),
        (Rejection::AlreadyDecided { study }, "27[55*32]"),
        (Rejection::NotAnApprover { study }, "28[55*32]"),
        (Rejection::TooFewHospitals { approved: 2, needed: 3 }, "290200000003000000"),
        (Rejection::TooEarly { not_before: Timestamp::new(5) }, "2a0500000000000000"),
        (Rejection::WrongRound { current: RoundNumber::new(1) }, "2b01000000"),
        (Rejection::NotInRoster { study }, "2c[55*32]"),
        (Rejection::AlreadyContributed { study }, "2d[55*32]"),
        (Rejection::Veil, "2e"),
        (Rejection::EmptyContribution, "2f"),
        (Rejection::AlreadyAttested { study }, "30[55*32]"),
        (Rejection::TooFewAttestations { attested: 1, needed: 2 }, "310100000002000000"),
        (Rejection::Releasable { study }, "32[55*32]"),
        (Rejection::OpenStudiesForbidden, "33"),
        (Rejection::Quota { quota: 2, days: 3 }, "340200000003000000"),
        (
            Rejection::PrivacyBudget { asked: MicroRho::new(2), left: MicroRho::new(1) },
            "3502000000000000000100000000000000",
        ),
        (Rejection::GuardKeys, "36"),
        (Rejection::NoRoles { study }, "37[55*32]"),
        (Rejection::GuardedRound { study }, "38[55*32]"),
        (Rejection::NotGuarded { study }, "39[55*32]"),
        (Rejection::NotInRole { hospital: hospital() }, "3a[aa*32]"),
        (Rejection::NotSealed { study }, "3b[55*32]"),
        (Rejection::NotDisclosed { study }, "3c[55*32]"),
        (
            Rejection::RhoTooLarge { asked: MicroRho::new(2), most: MicroRho::new(1) },
            "3d02000000000000000100000000000000",
        ),
        (Rejection::NoWitness { study }, "3e[55*32]"),
        (Rejection::NothingOwed { study }, "3f[55*32]"),
        (Rejection::AlreadyAccused { study }, "40[55*32]"),
        (Rejection::KeySets { study }, "41[55*32]"),
        (Rejection::Spoiled { study }, "42[55*32]"),
        (Rejection::Lots { study }, "43[55*32]"),
        (Rejection::TooLate { not_after: Timestamp::new(2) }, "440200000000000000"),
        (Rejection::UnknownTerms, "45"),
        (Rejection::SignedDay { subject }, "46[11*16]"),
        (Rejection::OwnDeny { document }, "47[04*32]"),
        (Rejection::KeyEnded, "48"),
        (Rejection::KeysFrozen, "49"),
        (Rejection::AlreadyFrozen, "4a"),
        (Rejection::NotThePatient, "4b"),
        (Rejection::OutsideScope, "4c"),
        (Rejection::Cosigners { needed: 2 }, "4d02"),
        (Rejection::Delegation, "4e"),
        (Rejection::TooManyDelegates, "4f"),
        (Rejection::NoDelegate, "50"),
        (Rejection::PaperClosed { subject }, "51[11*16]"),
        (Rejection::PaperDoorIs { closed: true }, "5201"),
        (Rejection::NoKey { subject }, "53[11*16]"),
        (Rejection::RotationWaits, "54"),
        (Rejection::NothingToDecide, "55"),
        (Rejection::Staff, "56"),
        (Rejection::SubjectClosed { subject }, "57[11*16]"),
        (Rejection::AlreadyClosed { subject }, "58[11*16]"),
        (Rejection::AlreadyMerged { subject }, "59[11*16]"),
        (Rejection::NotMerged { subject }, "5a[11*16]"),
        (Rejection::Ticked, "5b"),
        (Rejection::Agreed, "5c"),
        (Rejection::SecondVisit, "5d"),
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for (rejection, expected) in &all {
        golden(rejection, expected);
        assert!(kinds.insert(rejection.kind()), "{} twice", rejection.kind());
        assert!(rejection.to_string().contains(';'), "`{rejection}` says no next step");
    }
    let next = u8::try_from(all.len()).expect("few");
    assert!(borsh::from_slice::<Rejection>(&[next]).is_err(), "a new rejection needs its golden bytes");
}

/// Keys of entries, order of hashing, every rule: whatever changes what members agree on changes this.
#[test]
fn a_whole_story() {
    let mut ledger = Ledger::new(3);
    ledger.enrol(0, [1, 2]);
    assert_eq!(ledger.one(Who::Hospital(0), paper(permit(Purpose::GeneralResearch), false, [1, 2])), Ok(()));
    let study = ledger.opened(&[0, 1, 2]);
    assert!(ledger.approve(0, study).is_err());
    let tags: Vec<u8> = ledger.state.entries().iter().map(|(key, _)| key[0]).collect();
    assert_eq!(tags, [0, 1, 1, 1, 1, 2, 3, 4, 4, 5, 6, 7]);
    assert_eq!(
        ledger.state.head().app_hash.to_string(),
        "36299e965997ac3a753324308baca1771437562ccfd4445c8010bee2c34f0f80"
    );
}
