use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_app_channel::app::types::core::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaSignature, Round, RoundCertificate,
    RoundCertificateType, RoundSignature, SignedMessage, Validity, VoteType,
};
use arc_malachitebft_app_channel::app::types::streaming::StreamId;
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use arc_malachitebft_sync::{ValueRequest, ValueResponse};
use consilium_protocol::ids::{BlockHash, Height, HospitalId};
use consilium_protocol::keys::Signature;
use proptest::prelude::*;

use super::super::context::{BlockHeight, BlockRef, Member, Proposal, Vote, VoteSignature};
use super::*;

type Ctx = LedgerContext;

fn member() -> Member {
    Member(HospitalId::from_public_key([0x11; 32]))
}

fn hash() -> BlockHash {
    BlockHash::from_bytes([0x22; 32])
}

fn signature() -> VoteSignature {
    VoteSignature(Signature::from_bytes([0x33; 64]))
}

fn height() -> BlockHeight {
    BlockHeight(Height::new(0x0102))
}

fn peer() -> PeerId {
    PeerId::from_bytes(&[&[0x12, 0x20][..], &[0x44; 32]].concat()).expect("a peer id")
}

fn vote(block: NilOrVal<BlockHash>, signature: VoteSignature) -> SignedMessage<Ctx, Vote> {
    let vote = Vote { kind: VoteType::Precommit, height: height(), round: Round::new(3), block, voter: member() };
    SignedMessage::new(vote, signature)
}

fn proposal() -> SignedMessage<Ctx, Proposal> {
    let proposal = Proposal {
        height: height(),
        round: Round::new(3),
        block: BlockRef(hash()),
        pol_round: Round::new(1),
        proposer: member(),
    };
    SignedMessage::new(proposal, signature())
}

fn response() -> Response<Ctx> {
    let certificate = ExtendedCommitCertificate {
        height: height(),
        round: Round::new(3),
        value_id: hash(),
        commit_signatures: vec![ExtendedCommitSignature::new(member(), signature(), None)],
    };
    let value = RawDecidedValue::new(Bytes::from_static(&[0xbb, 0xcc]), certificate);
    Response::ValueResponse(ValueResponse::new(height(), vec![value]))
}

/// Encodes to exactly these bytes, and nothing but these bytes reads back as the message.
fn golden<T: PartialEq + Debug>(message: &T, expected: &str)
where
    LedgerCodec: Codec<T, Error = CodecFault>,
{
    let bytes = LedgerCodec.encode(message).expect("encodes");
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(&Codec::<T>::decode(&LedgerCodec, bytes.clone()).expect("decodes"), message);
    for length in 0..bytes.len() {
        assert!(Codec::<T>::decode(&LedgerCodec, bytes.slice(..length)).is_err(), "{length} of the bytes");
    }
    let longer: Bytes = [&bytes[..], &[0]].concat().into();
    assert_eq!(Codec::<T>::decode(&LedgerCodec, longer).err(), Some(CodecFault::Malformed));
}

const MEMBER: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const HASH: &str = "2222222222222222222222222222222222222222222222222222222222222222";
const HEIGHT: &str = "0201000000000000";
const ROUND: &str = "03000000";

fn sig() -> String {
    "33".repeat(64)
}

#[test]
fn votes_and_proposals_have_golden_bytes() {
    let nil = SignedConsensusMsg::Vote(vote(NilOrVal::Nil, signature()));
    golden(&nil, &["00", "01", HEIGHT, ROUND, "00", MEMBER, &sig()].concat());
    let some = SignedConsensusMsg::Vote(vote(NilOrVal::Val(hash()), signature()));
    golden(&some, &["00", "01", HEIGHT, ROUND, "01", HASH, MEMBER, &sig()].concat());
    let proposed = SignedConsensusMsg::Proposal(proposal());
    golden(&proposed, &["01", HEIGHT, ROUND, HASH, "0101000000", MEMBER, &sig()].concat());
}

#[test]
fn certificates_have_golden_bytes() {
    let polka = PolkaCertificate::<Ctx> {
        height: height(),
        round: Round::new(3),
        value_id: hash(),
        polka_signatures: vec![PolkaSignature::new(member(), signature())],
    };
    let polka_bytes = [HEIGHT, ROUND, HASH, "01000000", MEMBER, &sig()].concat();
    golden(&polka, &polka_bytes);
    golden(&LivenessMsg::PolkaCertificate(polka), &format!("01{polka_bytes}"));
    let round = RoundCertificate::<Ctx> {
        height: height(),
        round: Round::new(3),
        cert_type: RoundCertificateType::Precommit,
        round_signatures: vec![RoundSignature::new(VoteType::Prevote, NilOrVal::Nil, member(), signature())],
    };
    let expected = ["02", HEIGHT, ROUND, "01", "01000000", "00", "00", MEMBER, &sig()].concat();
    golden(&LivenessMsg::SkipRoundCertificate(round), &expected);
    let again = LivenessMsg::Vote(vote(NilOrVal::Nil, signature()));
    golden(&again, &["00", "01", HEIGHT, ROUND, "00", MEMBER, &sig()].concat());
}

#[test]
fn what_the_log_keeps_has_golden_bytes() {
    let value = ProposedValue::<Ctx> {
        height: height(),
        round: Round::new(3),
        valid_round: Round::Nil,
        proposer: member(),
        value: BlockRef(hash()),
        validity: Validity::Valid,
    };
    golden(&value, &[HEIGHT, ROUND, "00", MEMBER, HASH, "01"].concat());
}

#[test]
fn pieces_have_golden_bytes() {
    let start = ProposalPart::Start {
        height: height(),
        round: 3,
        pol_round: None,
        proposer: member(),
        block: hash(),
        bytes: 0x0506,
    };
    let start_bytes = ["00", HEIGHT, ROUND, "00", MEMBER, HASH, "06050000"].concat();
    golden(&start, &start_bytes);
    let bytes = ProposalPart::Bytes { last: true, bytes: vec![0xaa] };
    golden(&bytes, "010101000000aa");
    let id = StreamId::new(Bytes::from_static(&[9]));
    let message = StreamMessage::new(id.clone(), 7, StreamContent::Data(start));
    golden(&message, &["0100000009", "0700000000000000", "01", &start_bytes].concat());
    golden(&StreamMessage::new(id, 7, StreamContent::Fin), "0100000009070000000000000000");
}

#[test]
fn catching_up_and_proofs_have_golden_bytes() {
    let status =
        Status::<Ctx> { peer_id: peer(), tip_height: height(), history_min_height: BlockHeight(Height::new(1)) };
    golden(&status, &["22000000", "1220", &"44".repeat(32), HEIGHT, "0100000000000000"].concat());
    let request = Request::<Ctx>::ValueRequest(ValueRequest::new(BlockHeight(Height::new(1))..=height()));
    golden(&request, &["0100000000000000", HEIGHT].concat());
    let expected = [HEIGHT, "01000000", "02000000bbcc", HEIGHT, ROUND, HASH, "01000000", MEMBER, &sig()].concat();
    golden(&response(), &expected);
    assert_eq!(LedgerCodec.encoded_len(&response()), Ok(expected.len() / 2));
    let proof = ValidatorProof::<Ctx>::new(vec![0x55; 32], vec![1, 2], signature());
    golden(&proof, &[&"55".repeat(32), "020000000102", &sig()].concat());
}

#[test]
fn an_abstention_is_never_encoded() {
    let abstained = vote(NilOrVal::Val(hash()), VoteSignature::ABSTAIN);
    let message = SignedConsensusMsg::Vote(abstained.clone());
    assert_eq!(LedgerCodec.encode(&message), Err(CodecFault::Unsendable));
    assert_eq!(LedgerCodec.encode(&LivenessMsg::Vote(abstained)), Err(CodecFault::Unsendable));
    let mut abstained = proposal();
    abstained.signature = VoteSignature::ABSTAIN;
    assert_eq!(LedgerCodec.encode(&SignedConsensusMsg::Proposal(abstained)), Err(CodecFault::Unsendable));
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    fn refused<T>(bytes: usize)
    where
        LedgerCodec: Codec<T, Error = CodecFault>,
    {
        let decoded = Codec::<T>::decode(&LedgerCodec, vec![0; bytes].into());
        assert!(matches!(decoded.err(), Some(CodecFault::TooLong { .. })));
    }
    refused::<SignedConsensusMsg<Ctx>>(MAX_SMALL_BYTES + 1);
    refused::<LivenessMsg<Ctx>>(MAX_VOTES_BYTES + 1);
    refused::<StreamMessage<ProposalPart>>(MAX_PART_BYTES + 1);
    refused::<Response<Ctx>>(MAX_RESPONSE_BYTES + 1);
    // A length field that promises more than there is allocates nothing to speak of.
    let promise: Bytes = [&[9, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff][..], &[0; 64]].concat().into();
    assert_eq!(Codec::<Response<Ctx>>::decode(&LedgerCodec, promise).err(), Some(CodecFault::Malformed));
}

#[test]
fn a_peer_has_one_encoding() {
    let mut status: Vec<u8> = Vec::new();
    status.extend_from_slice(&[0x23, 0, 0, 0, 0x12, 0xa0, 0x00]);
    status.extend_from_slice(&[0x44; 32]);
    status.extend_from_slice(&[0; 16]);
    assert!(Codec::<Status<Ctx>>::decode(&LedgerCodec, status.into()).is_err());
}

proptest! {
    /// Any bytes: no panic; and what reads, writes back as the same bytes.
    #[test]
    fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fn probe<T>(bytes: &Bytes) where LedgerCodec: Codec<T, Error = CodecFault> {
            if let Ok(message) = Codec::<T>::decode(&LedgerCodec, bytes.clone())
                && let Ok(again) = LedgerCodec.encode(&message)
            {
                assert_eq!(again, bytes);
            }
        }
        let bytes: Bytes = bytes.into();
        probe::<SignedConsensusMsg<Ctx>>(&bytes);
        probe::<LivenessMsg<Ctx>>(&bytes);
        probe::<PolkaCertificate<Ctx>>(&bytes);
        probe::<ProposedValue<Ctx>>(&bytes);
        probe::<ProposalPart>(&bytes);
        probe::<StreamMessage<ProposalPart>>(&bytes);
        probe::<ValidatorProof<Ctx>>(&bytes);
        probe::<Status<Ctx>>(&bytes);
        probe::<Request<Ctx>>(&bytes);
        probe::<Response<Ctx>>(&bytes);
    }
}
