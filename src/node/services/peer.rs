//! What members' nodes offer to each other. The caller's certificate was checked against the genesis file when the
//! connection was made; here it must be there at all.

use std::sync::Arc;

use consilium_ledger::state::study::{Course, Round, RoundEnd};
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, HospitalId, RoundNumber, StudyId};
use consilium_protocol::tx::SignedTx;
use consilium_protocol::wire::peer_server::Peer;
use consilium_protocol::wire::{BlobKind, BlobRequest, Chunk, GossipReply, GossipRequest};
use tokio::net::TcpStream;
use tokio_stream::Stream;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response, Status};

use super::super::Shared;
use crate::home::FileError;
use crate::net::tls;
use crate::replica::count;
use crate::replica::submit::{self, Origin};
use crate::studies::Piece;
use crate::studies::blame::missed;

/// The service.
pub(super) struct PeerService {
    pub(super) shared: Arc<Shared>,
}

/// Who calls: the member whose certificate the connection shows.
fn caller<T>(request: &Request<T>, shared: &Shared) -> Result<HospitalId, Status> {
    let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    let certificates = info.and_then(TlsConnectInfo::peer_certs);
    let fingerprint = certificates.and_then(|certs| certs.first().map(tls::fingerprint));
    let member = fingerprint.and_then(|f| shared.replica.genesis.member.iter().find(|m| m.tls_certificate == f));
    member
        .map(|m| m.id)
        .ok_or_else(|| Status::unauthenticated("this is for members' nodes; connect with a member's certificate"))
}

#[tonic::async_trait]
impl Peer for PeerService {
    async fn gossip(&self, request: Request<GossipRequest>) -> Result<Response<GossipReply>, Status> {
        caller(&request, &self.shared)?;
        for bytes in request.into_inner().txs {
            let Ok(tx) = SignedTx::from_bytes(&bytes) else { continue };
            count(&self.shared.replica.counters.gossiped);
            // What is not acceptable here is not kept; its signer hears of it where it was handed in.
            let _ = submit::accept(&self.shared.replica, tx, Origin::Member);
        }
        Ok(Response::new(GossipReply {}))
    }

    type BlobStream = std::pin::Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

    async fn blob(&self, request: Request<BlobRequest>) -> Result<Response<Self::BlobStream>, Status> {
        let caller = caller(&request, &self.shared)?;
        let request = request.into_inner();
        let malformed = |_| Status::invalid_argument("the request's fields have the wrong length");
        let wanted = ContentHash::try_from(&request.hash[..]).map_err(malformed)?;
        let unreadable = |_: FileError| Status::internal("what was asked for cannot be read here");
        let kept = match request.kind() {
            BlobKind::Unspecified => return Err(Status::invalid_argument("the request does not say what it wants")),
            BlobKind::GuardPublicKey | BlobKind::GuardServerKey => self.shared.studies.vault.guard_key(&wanted),
            BlobKind::PairKeys => {
                let study = StudyId::try_from(&request.study[..]).map_err(malformed)?;
                let maker =
                    self.shared.replica.chain.read(|state| paired(state.study(&study)?.course, &wanted, &caller));
                let maker = maker.map_err(|_| Status::internal("the ledger cannot be read"))?;
                let maker = maker.ok_or_else(|| Status::permission_denied("this is not for the caller"))?;
                self.shared.studies.kept.pairs.get(&study, &maker, &wanted)
            }
            kind @ (BlobKind::Contribution
            | BlobKind::Veil
            | BlobKind::Counts
            | BlobKind::Proof
            | BlobKind::Seeds
            | BlobKind::WitnessSeeds
            | BlobKind::Sum
            | BlobKind::DisclosedSeeds) => {
                let study = StudyId::try_from(&request.study[..]).map_err(malformed)?;
                let number = RoundNumber::new(request.round);
                let own = self.shared.replica.hospital;
                let found = self.shared.replica.chain.read(|state| {
                    let round = state.study(&study)?.course.round(number)?;
                    let admitted = admitted(round, kind, &own, &caller).filter(|(_, hash)| *hash == wanted);
                    let missed = missed(round, kind, &wanted, &caller).filter(|maker| *maker != own && round.has(&own));
                    Some((admitted, missed))
                });
                let found = found.map_err(|_| Status::internal("the ledger cannot be read"))?;
                match found {
                    Some((Some((piece, _)), _)) => {
                        self.shared.studies.kept.rounds.get(&study, number, piece).map_err(unreadable)?
                    }
                    // The caller cannot have it from its maker: perhaps it was given to this hospital.
                    Some((None, Some(_))) => {
                        let kept = self.shared.studies.kept.rounds.get(&study, number, Piece::Others(wanted));
                        kept.map_err(unreadable)?
                    }
                    Some((None, None)) | None => {
                        return Err(Status::permission_denied("this is not for the caller, or is not on the ledger"));
                    }
                }
            }
        };
        let bytes = kept
            .filter(|bytes| hash::content(bytes) == wanted)
            .ok_or_else(|| Status::not_found("what was asked for is not kept here any more"))?;
        Ok(Response::new(Box::pin(super::chunks(bytes))))
    }
}

/// Who committed to having encapsulated this, when the caller approved the study, too.
fn paired(course: &Course, wanted: &ContentHash, caller: &HospitalId) -> Option<HospitalId> {
    course.before(caller)?;
    let of = course.approvals.iter().find(|approval| approval.keys.is_some_and(|keys| keys.hash == *wanted))?;
    Some(of.hospital)
}

/// What of a round the caller may have from this hospital, and its hash on the ledger.
///
/// Contributions are for those who add them up, when all are in. What the aggregator makes for the custodian is for the
/// custodian; padded sum and disclosed seeds are for the roster once the custodian has disclosed, and not before: until
/// then the round may still fail. What a hospital is said to withhold is for the whole roster, so that all can see whether it does:
/// nobody can read it but those for whom it is sealed. Of the hospital that was drawn to show how its contribution was made, and of no
/// other, both are for the whole roster.
fn admitted(round: &Round, kind: BlobKind, own: &HospitalId, caller: &HospitalId) -> Option<(Piece, ContentHash)> {
    if !round.has(caller) {
        return None;
    }
    let is_accused = round.ended.is_none() && round.accusations.contains_key(own);
    match (kind, &round.guard) {
        // A round that ended before all contributed has shown nobody anything: hospitals forget its cohorts, and the next
        // may have fewer of them.
        (BlobKind::Contribution, guard) if round.is_given() => {
            let is_examined = round.ended.is_none() && round.examined == Some(*own);
            let adds_up = guard.is_none_or(|guard| is_accused || is_examined || guard.roles.aggregator == *caller);
            let own = round.contributions.get(own).filter(|_| adds_up)?;
            Some((Piece::Contribution, own.hash))
        }
        (BlobKind::Proof, _) if round.ended.is_none() && round.examined == Some(*own) => {
            Some((Piece::Proof, round.contributions.get(own)?.proof))
        }
        (BlobKind::Counts, Some(guard)) if (is_accused || guard.roles.is_witness(caller)) && round.is_given() => {
            Some((Piece::Counts, round.contributions.get(own)?.veil?.counts?.hash))
        }
        (BlobKind::WitnessSeeds, Some(guard))
            if (is_accused || guard.roles.custodian == *caller) && guard.roles.is_witness(own) =>
        {
            guard.witnessed.map(|witnessed| (Piece::WitnessSeeds, witnessed.seeds.hash))
        }
        // Before the sum is sealed, nobody needs it.
        (BlobKind::Veil, Some(guard)) if (is_accused || guard.roles.custodian == *caller) && guard.is_sealed() => {
            Some((Piece::Veil, round.contributions.get(own)?.veil?.sealed.hash))
        }
        (BlobKind::Seeds, Some(guard))
            if (is_accused || guard.roles.custodian == *caller) && guard.roles.aggregator == *own =>
        {
            guard.sealed.map(|sealed| (Piece::Seeds, sealed.seeds.hash))
        }
        (BlobKind::Sum, None) if matches!(round.ended, Some((_, RoundEnd::Released))) => {
            round.result().map(|sum| (Piece::Sum, sum))
        }
        (BlobKind::Sum, Some(guard))
            if guard.disclosed.is_some()
                || guard.roles.custodian == *caller
                || (is_accused && guard.roles.aggregator == *own) =>
        {
            guard.sealed.map(|sealed| (Piece::Sum, sealed.sum.hash))
        }
        (BlobKind::DisclosedSeeds, Some(guard)) => {
            guard.disclosed.map(|disclosed| (Piece::DisclosedSeeds, disclosed.seeds.hash))
        }
        _ => None,
    }
}

// The connection's type is fixed where it is accepted.
const _: fn() = || {
    fn is_connected<T: tonic::transport::server::Connected<ConnectInfo = TlsConnectInfo<TcpConnectInfo>>>() {}
    is_connected::<tokio_rustls::server::TlsStream<TcpStream>>();
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use consilium_ledger::state::Moment;
    use consilium_ledger::state::study::{
        Contribution, Disclosed, Guard, Roles, Sealed, SpareSets, WitnessRole, Witnessed,
    };
    use consilium_protocol::ids::{Height, Timestamp};
    use consilium_protocol::kem::{KemPublicKey, PUBLIC_KEY_BYTES};
    use consilium_protocol::tx::{Blob, Fault, KeySet, VeilCommitment};

    use super::*;

    fn hospital(name: u8) -> HospitalId {
        HospitalId::from_public_key([name; 32])
    }

    fn blob(name: u8) -> Blob {
        Blob { hash: ContentHash::from_bytes([name; 32]), bytes: 1 }
    }

    /// A round of hospitals 1 to 4 to which the first `contributed`; in a guarded one, 1 is aggregator and 2 custodian.
    fn round(guarded: bool, contributed: u8) -> Round {
        let height = Height::new(3);
        let veil = guarded.then(|| VeilCommitment { sealed: blob(60), keys: blob(61).hash, counts: None });
        let contribution =
            |name| Contribution { hash: blob(name).hash, bytes: 1, proof: blob(name + 30).hash, height, veil };
        let roles = Roles {
            aggregator: hospital(1),
            custodian: hospital(2),
            sealing_key: KemPublicKey::from_bytes([9; PUBLIC_KEY_BYTES]),
            veil_key: KemPublicKey::from_bytes([8; PUBLIC_KEY_BYTES]),
            keys: Some(KeySet { public_key: blob(90), server_key: blob(91) }),
            witness: None,
        };
        Round {
            number: RoundNumber::new(0),
            opened: Moment { height, time: Timestamp::new(5) },
            roster: (1..=4).map(hospital).collect(),
            contributions: (1..=contributed).map(|name| (hospital(name), contribution(name))).collect(),
            shown: BTreeMap::new(),
            // As if it were drawn, of four.
            examined: (contributed == 4).then(|| hospital(5)),
            attestations: BTreeMap::new(),
            guard: guarded.then_some(Guard { roles, sealed: None, witnessed: None, disclosed: None }),
            spare: SpareSets::default(),
            passed: Vec::new(),
            accusations: BTreeMap::new(),
            advanced: Timestamp::new(5),
            ended: None,
        }
    }

    /// Who of 1 to 5 may have it from `own`.
    fn callers(round: &Round, kind: BlobKind, own: u8) -> Vec<u8> {
        (1..=5).filter(|caller| admitted(round, kind, &hospital(own), &hospital(*caller)).is_some()).collect()
    }

    #[test]
    fn contributions_are_for_those_who_add_up_once_all_are_in() {
        for guarded in [false, true] {
            assert!(callers(&round(guarded, 3), BlobKind::Contribution, 3).is_empty());
        }
        assert_eq!(callers(&round(false, 4), BlobKind::Contribution, 3), [1, 2, 3, 4]);
        assert_eq!(callers(&round(true, 4), BlobKind::Contribution, 3), [1]);
    }

    #[test]
    fn what_shows_how_a_contribution_was_made_is_for_the_roster_of_who_was_drawn() {
        for guarded in [false, true] {
            let mut round = round(guarded, 4);
            round.examined = None;
            for kind in [BlobKind::Proof, BlobKind::Contribution] {
                assert!(callers(&round, kind, 3).is_empty(), "nobody is drawn");
            }
            round.examined = Some(hospital(3));
            assert_eq!(callers(&round, BlobKind::Proof, 3), [1, 2, 3, 4]);
            assert_eq!(callers(&round, BlobKind::Contribution, 3), [1, 2, 3, 4]);
            assert!(callers(&round, BlobKind::Proof, 4).is_empty(), "two would be too many");
            assert_eq!(callers(&round, BlobKind::Contribution, 4) == [1], guarded);
            let found = admitted(&round, BlobKind::Proof, &hospital(3), &hospital(1));
            assert!(matches!(found, Some((Piece::Proof, hash)) if hash == blob(33).hash));
            round.ended = Some((round.opened, RoundEnd::Failed));
            assert!(callers(&round, BlobKind::Proof, 3).is_empty(), "it is over");
            assert_eq!(callers(&round, BlobKind::Contribution, 3) == [1], guarded);
        }
    }

    #[test]
    fn what_is_said_to_be_withheld_is_for_the_whole_roster_and_handed_on() {
        let mut round = round(true, 4);
        round.accusations.insert(hospital(3), BTreeMap::from([(hospital(1), Fault::Contribution)]));
        assert_eq!(callers(&round, BlobKind::Contribution, 3), [1, 2, 3, 4]);
        assert_eq!(callers(&round, BlobKind::Contribution, 4), [1], "nobody says so of 4");
        assert!(callers(&round, BlobKind::Veil, 3).is_empty(), "nothing is sealed");
        // Who says so may ask others for it, and nobody else, and for nothing else.
        let kinds = [BlobKind::Contribution, BlobKind::Veil, BlobKind::Sum, BlobKind::Seeds];
        let handed_on = |round: &Round, caller: u8, wanted: u8| {
            kinds.map(|kind| missed(round, kind, &blob(wanted).hash, &hospital(caller)) == Some(hospital(3)))
        };
        assert_eq!(handed_on(&round, 1, 3), [true, false, false, false]);
        assert_eq!(handed_on(&round, 2, 3), [false; 4]);
        assert_eq!(handed_on(&round, 1, 4), [false; 4]);
        let guard = round.guard.as_mut().expect("a guarded round");
        guard.sealed = Some(Sealed { sum: blob(80), seeds: blob(81), height: Height::new(4) });
        assert_eq!(callers(&round, BlobKind::Veil, 3), [1, 2, 3, 4]);
        assert_eq!(handed_on(&round, 1, 60), [false, true, false, false]);
        assert_eq!(handed_on(&round, 1, 80), [false; 4], "3 is not the aggregator");
        assert_eq!([BlobKind::Sum, BlobKind::Seeds].map(|kind| callers(&round, kind, 3)), [vec![2], vec![]]);
        round.accusations.insert(hospital(1), BTreeMap::from([(hospital(2), Fault::Sum)]));
        assert_eq!([BlobKind::Sum, BlobKind::Seeds].map(|kind| callers(&round, kind, 1)), [[1, 2, 3, 4]; 2]);
        round.ended = Some((round.opened, RoundEnd::Failed));
        assert_eq!(callers(&round, BlobKind::Contribution, 3), [1], "it is over");
        assert_eq!(handed_on(&round, 1, 3), [false; 4]);
    }

    #[test]
    fn counts_are_for_the_witness_and_what_it_seals_for_the_custodian() {
        let mut round = round(true, 4);
        for contribution in round.contributions.values_mut() {
            contribution.veil.as_mut().expect("a veil").counts = Some(blob(62));
        }
        let guard = round.guard.as_mut().expect("a guarded round");
        let sealing_key = KemPublicKey::from_bytes([7; PUBLIC_KEY_BYTES]);
        guard.roles.witness = Some(WitnessRole { hospital: hospital(3), sealing_key });
        assert_eq!(callers(&round, BlobKind::Counts, 4), [3]);
        let examined = round.examined.take();
        assert!(callers(&round, BlobKind::Counts, 4).is_empty(), "lots are awaited, and hospitals may still leave");
        round.examined = examined;
        assert!(callers(&round, BlobKind::WitnessSeeds, 3).is_empty(), "nothing is sealed");
        let guard = round.guard.as_mut().expect("a guarded round");
        guard.sealed = Some(Sealed { sum: blob(80), seeds: blob(81), height: Height::new(4) });
        assert!(callers(&round, BlobKind::Veil, 4).is_empty(), "the witness has not sealed");
        let guard = round.guard.as_mut().expect("a guarded round");
        guard.witnessed = Some(Witnessed { seeds: blob(83), height: Height::new(4) });
        assert_eq!([BlobKind::WitnessSeeds, BlobKind::Veil].map(|kind| callers(&round, kind, 3)), [[2], [2]]);
        assert!(callers(&round, BlobKind::WitnessSeeds, 1).is_empty(), "the witness alone has them");
        round.contributions.clear();
        assert!(callers(&round, BlobKind::Counts, 4).is_empty());
    }

    #[test]
    fn what_the_roles_make_is_for_the_next_and_then_for_the_roster() {
        let mut round = round(true, 4);
        let all = [BlobKind::Seeds, BlobKind::Sum, BlobKind::DisclosedSeeds, BlobKind::Veil];
        assert!(all.iter().all(|kind| callers(&round, *kind, 1).is_empty()));
        let guard = round.guard.as_mut().expect("a guarded round");
        let height = Height::new(4);
        guard.sealed = Some(Sealed { sum: blob(80), seeds: blob(81), height });
        assert_eq!(all.map(|kind| callers(&round, kind, 1)), [vec![2], vec![2], vec![], vec![2]]);
        assert!(callers(&round, BlobKind::Seeds, 3).is_empty(), "the aggregator alone has them");
        let guard = round.guard.as_mut().expect("a guarded round");
        guard.disclosed = Some(Disclosed { seeds: blob(82), height });
        assert_eq!(all.map(|kind| callers(&round, kind, 2)), [vec![], vec![1, 2, 3, 4], vec![1, 2, 3, 4], vec![2]]);
        let found = admitted(&round, BlobKind::DisclosedSeeds, &hospital(2), &hospital(4));
        assert!(matches!(found, Some((Piece::DisclosedSeeds, hash)) if hash == blob(82).hash));
    }
}
