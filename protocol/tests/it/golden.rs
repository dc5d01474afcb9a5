//! The encodings are part of the ledger: a change of one byte is a change of format, and must be meant.

use consilium_protocol::consent::{
    Action, AllowedData, Base, Basis, Condition, Disease, Domain, Effect, Establishment, Form, Jurisdiction, Label,
    Modifier, Opened, Purpose, Recipient, Rule, Scope, Terms, Trait, Vocabulary, Window,
};
use consilium_protocol::hash;
use consilium_protocol::ids::{
    ContentHash, Date, DocumentId, Height, HospitalId, LedgerId, PatientId, ResearcherId, RoundNumber, Sequence,
    StudyId, SubjectId, Timestamp, TxHash,
};
use consilium_protocol::kem::{KemPublicKey, PUBLIC_KEY_BYTES};
use consilium_protocol::keys::{Signature, SigningKey};
use consilium_protocol::lots::{LotProof, PROOF_BYTES};
use consilium_protocol::study::{StudySpec, study_id};
use consilium_protocol::tx::*;
use consilium_protocol::wallet::Wallet;
use consilium_protocol::wire;

fn terms() -> Terms {
    let mut rule =
        Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![Purpose::HealthResearch, ds("MONDO:0005148")]));
    rule.recipients = Scope::Only(vec![
        Recipient::Organisation("University".into()),
        Recipient::Researcher(ResearcherId::from_public_key([1; 32])),
        Recipient::Hospital(HospitalId::from_public_key([2; 32])),
        Recipient::Study(StudyId::from_bytes([3; 32])),
    ]);
    rule.data = Scope::Only(vec![Domain::Person, Domain::Measurement]);
    rule.valid = Window { from: "2026-01-01".parse().ok(), to: None };
    rule.window = Window { from: None, to: "2025-12-31".parse().ok() };
    Terms {
        vocabulary: Vocabulary::CARE,
        base: Base::Deny,
        rules: vec![rule, records()],
        policy_uri: "https://example.org/consent".into(),
    }
}

/// A permit of records, with every modifier.
fn records() -> Rule {
    let mut rule = Rule::new(Effect::Permit, Action::Retrieve, Scope::Only(vec![Purpose::NoRestriction]));
    rule.form = Some(Form::Pseudonymised);
    rule.modifiers = vec![
        Modifier::NonProfitOrganisation,
        Modifier::NonCommercialUse,
        Modifier::NonProfitNonCommercial,
        Modifier::NoMethodsOnly,
        Modifier::NoAncestry,
        Modifier::GeneticOnly,
        Modifier::Places(vec!["DE".parse().unwrap(), "FR".parse().unwrap()]),
        Modifier::Ethics,
        Modifier::Publication,
        Modifier::Collaboration(vec!["Registry".into()]),
        Modifier::Return,
        Modifier::Moratorium("2027-01-01".parse().ok()),
        Modifier::Users(vec![ResearcherId::from_public_key([1; 32])]),
        Modifier::Projects(vec![StudyId::from_bytes([3; 32])]),
        Modifier::Institutions(vec!["University".into()]),
        Modifier::Specific("on sleep".into()),
    ];
    rule.jurisdiction = Some(Jurisdiction::Adequate);
    rule.labels = Scope::Only(vec![Label::Normal, Label::Hiv]);
    rule
}

fn ds(code: &str) -> Purpose {
    Purpose::DiseaseResearch(Disease::new(code).unwrap())
}

fn spec() -> StudySpec {
    StudySpec::from_toml(include_str!("../../../examples/studies/glycaemia.toml")).unwrap()
}

fn payloads() -> Vec<Payload> {
    let study = StudyId::from_bytes([3; 32]);
    let subject = SubjectId::from_bytes([4; 16]);
    let source = ContentHash::from_bytes([5; 32]);
    let round = RoundNumber::new(1);
    let blob = Blob { hash: source, bytes: 13 };
    let patient = PatientId::from_public_key([6; 32]);
    let lot = LotProof::from_bytes([13; PROOF_BYTES]);
    let signed = Countersignature { patient, signature: Signature::from_bytes([8; 64]) };
    let statement = Statement::paper(source, Date::from_days(20_000));
    let staff = [ContentHash::from_bytes([14; 32]), ContentHash::from_bytes([15; 32])];
    let scope =
        DelegationScope { actions: Scope::Only(vec![Action::Retrieve]), purposes: Scope::Only(vec![Purpose::Care]) };
    let until = Some(Date::from_days(21_000));
    vec![
        Payload::AccreditResearcher(AccreditResearcher {
            researcher: ResearcherId::from_public_key([1; 32]),
            name: "Ada".into(),
            organisation: "University".into(),
            hospital: Some(HospitalId::from_public_key([2; 32])),
            establishment: Establishment {
                country: "DE".parse().unwrap(),
                jurisdiction: Jurisdiction::Gdpr,
                for_profit: true,
            },
        }),
        Payload::Vote(Vote { proposal: TxHash::from_bytes([7; 32]), in_favour: true }),
        Payload::Enrol(Enrol {
            subjects: vec![Enrolment { subject, patient: None }, Enrolment { subject, patient: Some(signed) }],
        }),
        Payload::Grant(Grant {
            terms: GivenTerms::Whole(terms()),
            basis: Basis::Paper,
            supersedes: true,
            forms: vec![Given { subject, source, signed: "2026-01-31".parse().ok() }],
            cosigned: Vec::new(),
        }),
        Payload::Grant(Grant {
            terms: GivenTerms::Known(terms().hash()),
            basis: Basis::Electronic,
            supersedes: false,
            forms: vec![Given { subject, source, signed: None }],
            cosigned: vec![signed],
        }),
        Payload::Revoke(Revoke {
            basis: Basis::Electronic,
            forms: vec![Revocation {
                subject,
                document: Some(DocumentId::from_bytes([9; 32])),
                source,
                signed: "2026-01-31".parse().ok(),
            }],
        }),
        Payload::ProposeStudy(ProposeStudy {
            spec: spec().to_canonical(),
            public_key: vec![1, 2, 3],
            sealing_key: KemPublicKey::from_bytes([10; PUBLIC_KEY_BYTES]),
        }),
        Payload::WithdrawStudy(WithdrawStudy { study }),
        Payload::Approve(Approve {
            study,
            reason: "fine".into(),
            pair_key: KemPublicKey::from_bytes([12; PUBLIC_KEY_BYTES]),
            lot,
            ticked: vec![
                Condition::Ethics,
                Condition::Specific("on sleep".into()),
                Condition::Sensitive(Trait::OneSex),
            ],
        }),
        Payload::Reject(Reject { study, reason: "no".into() }),
        Payload::PairKeys(PairKeys { study, keys: blob }),
        Payload::OpenRound(OpenRound { study }),
        Payload::Contribute(Contribute {
            study,
            round,
            contribution: source,
            bytes: 12,
            proof: source,
            lot,
            veil: None,
        }),
        Payload::Contribute(Contribute {
            study,
            round,
            contribution: source,
            bytes: 12,
            proof: source,
            lot,
            veil: Some(VeilCommitment { sealed: blob, keys: source, counts: Some(blob) }),
        }),
        Payload::Attest(Attest { study, round, sum: source }),
        Payload::Release(Release { study, round }),
        Payload::FailRound(FailRound { study, round }),
        Payload::RegisterGuardKeys(RegisterGuardKeys {
            sets: vec![KeySet { public_key: blob, server_key: blob }; 2],
            sealing_key: KemPublicKey::from_bytes([11; PUBLIC_KEY_BYTES]),
        }),
        Payload::SealSum(SealSum { study, round, sum: blob, seeds: blob }),
        Payload::DiscloseSeeds(DiscloseSeeds { study, round, seeds: blob, passed: vec![5, 1] }),
        Payload::Accuse(Accuse { study, round, accused: HospitalId::from_public_key([12; 32]), fault: Fault::Sum }),
        Payload::Witness(Witness { study, round, seeds: blob }),
        Payload::OpenKeySets(OpenKeySets { study, round, seeds: vec![[13; 32]; 2] }),
        Payload::ShowLot(ShowLot { study, round, lot }),
        Payload::Delegate(Delegate {
            subject,
            delegate: signed,
            agreed: Date::from_days(20_500),
            role: DelegateRole::Guardian { needed: 2 },
            until,
            scope,
            statement,
        }),
        Payload::EndDelegation(EndDelegation { subject, delegate: patient, statement: Statement::ELECTRONIC }),
        Payload::Freeze(Freeze { subject, statement }),
        Payload::RotateKey(RotateKey { subject, key: signed, statement, staff }),
        Payload::DecideKey(DecideKey { subject, decision: KeyDecision::Take, statement, staff }),
        Payload::PaperDoor(PaperDoor { subject, closed: true }),
        Payload::Merge(Merge { from: subject, into: SubjectId::from_bytes([16; 16]) }),
        Payload::Unmerge(Unmerge { from: subject }),
        Payload::Close(Close { subjects: vec![subject], reason: CloseReason::Moved }),
    ]
}

fn digest(bytes: &[u8]) -> String {
    format!("{} {}", bytes.len(), &hash::content(bytes).to_string()[..16])
}

#[test]
fn payloads_have_these_bytes() {
    let golden: Vec<&str> = include_str!("golden/payloads.txt").lines().collect();
    let found: Vec<String> = payloads()
        .into_iter()
        .map(|payload| {
            let body = TxBody { sequence: Sequence::new(1), expires: Height::new(2), payload };
            let bytes = borsh::to_vec(&body).unwrap();
            assert_eq!(borsh::from_slice::<TxBody>(&bytes).unwrap(), body);
            // Every proper prefix is refused, and so is anything longer.
            for end in (0..bytes.len()).step_by(1 + bytes.len() / 200) {
                assert!(borsh::from_slice::<TxBody>(&bytes[..end]).is_err());
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(borsh::from_slice::<TxBody>(&longer).is_err());
            format!("{} {}", body.payload.name(), digest(&bytes))
        })
        .collect();
    assert_eq!(found, golden, "found:\n{}", found.join("\n"));
}

#[test]
fn unknown_kinds_are_refused() {
    let body = TxBody { sequence: Sequence::new(1), expires: Height::new(2), payload: payloads().remove(10) };
    let mut bytes = borsh::to_vec(&body).unwrap();
    for kind in payloads().len() as u8 - 2..=255 {
        // Of two kinds there are two examples.
        bytes[16] = kind;
        assert!(borsh::from_slice::<TxBody>(&bytes).is_err(), "kind {kind}");
    }
}

#[test]
fn names_and_hashes_have_these_values() {
    let ledger = LedgerId::from_bytes([14; 32]);
    let key = SigningKey::from_seed(&[1; 32]);
    let body = TxBody { sequence: Sequence::new(1), expires: Height::new(2), payload: payloads().remove(10) };
    let tx = SignedTx::sign(&ledger, &body, Signer::Hospital(key.hospital()), &key);
    let wallet = Wallet::from_entropy([2; 16]);
    let canonical = spec().to_canonical();
    let found = [
        ("hospital", key.hospital().to_string()),
        ("researcher", key.researcher().to_string()),
        ("patient", key.patient().to_string()),
        ("tx", tx.hash().to_string()),
        ("tx bytes", digest(&tx.to_bytes())),
        ("document", document_id(&tx.hash(), 7).to_string()),
        ("terms", terms().hash().to_string()),
        (
            "study",
            study_id(&ledger, &key.researcher(), &canonical, b"key", &KemPublicKey::from_bytes([10; PUBLIC_KEY_BYTES]))
                .to_string(),
        ),
        ("spec", digest(&canonical)),
        ("wallet", wallet.words()),
        ("wallet key", wallet.key_at(&key.hospital()).patient().to_string()),
        ("enrolment", hex::encode(enrolment_message(&ledger, &key.hospital(), &SubjectId::from_bytes([4; 16])))),
        ("question", hex::encode(wire::subject_question(&ledger, None, Timestamp::new(1_700_000_000_000)))),
    ]
    .map(|(name, value)| format!("{name} {value}"));
    let golden: Vec<&str> = include_str!("golden/names.txt").lines().collect();
    assert_eq!(found.to_vec(), golden, "found:\n{}", found.join("\n"));
}

#[test]
fn what_was_open_has_these_bytes() {
    let since = Window { from: "2020-09-01".parse().ok(), to: None };
    let opened = [(Domain::Person, Opened::within(&since)), (Domain::Visit, Opened::default())];
    let allowed: AllowedData = opened.into_iter().collect();
    let bytes = borsh::to_vec(&allowed).unwrap();
    // One entry: person, with what has no date, and one period from day 18,506 on. A domain of which nothing is open has
    // no entry.
    assert_eq!(hex::encode(&bytes), "010000000001010000004a48000000000000ffffffffffffff7f");
    assert_eq!(borsh::from_slice::<AllowedData>(&bytes).unwrap(), allowed);
    for end in 0..bytes.len() {
        assert!(borsh::from_slice::<AllowedData>(&bytes[..end]).is_err());
    }
}

#[test]
fn a_canonical_study_reads_back_and_other_versions_do_not() {
    let canonical = spec().to_canonical();
    assert_eq!(StudySpec::from_canonical(&canonical), Ok(spec()));
    let mut other = canonical.clone();
    other[0] = 2;
    assert!(StudySpec::from_canonical(&other).unwrap_err().to_string().contains("version 2"));
    for end in 0..canonical.len() {
        assert!(StudySpec::from_canonical(&canonical[..end]).is_err());
    }
}
