//! A contribution that changes by one byte on its way is noticed, counted, and never part of a result.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use consilium::cli::{opened, propose};
use consilium::demo::acts::follow;
use consilium::home::Home;
use consilium::home::config::NodeConfig;
use consilium::home::secrets::{self, Kind};
use consilium::net::{listener, tls};
use consilium_engine::cells::{
    BlindingRoster, BlindingRound, Blinds, EncryptionSeed, PairSecrets, StudyPublicKey, contribute_by,
};
use consilium_engine::statistics::Layout;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::hash;
use consilium_protocol::ids::{HospitalId, RoundNumber};
use consilium_protocol::lots::{self, Draw, LotKey};
use consilium_protocol::pairing::{Pair, PairKey};
use consilium_protocol::tx::{Blob, Contribute, PairKeys, Payload, ShowLot};
use consilium_protocol::wire::peer_server::{Peer, PeerServer};
use consilium_protocol::wire::{BlobKind, BlobRequest, Chunk, GossipReply, GossipRequest};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::support::{QUICK, World, alone, assert_phase, headcount};

/// A member whose node gives away its contribution with one byte changed, while `forging`.
struct Forger {
    pair_keys: Vec<u8>,
    contribution: Arc<OnceLock<Vec<u8>>>,
    proof: Vec<u8>,
    forging: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl Peer for Forger {
    async fn gossip(&self, _: Request<GossipRequest>) -> Result<Response<GossipReply>, Status> {
        Ok(Response::new(GossipReply {}))
    }

    type BlobStream = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

    async fn blob(&self, request: Request<BlobRequest>) -> Result<Response<Self::BlobStream>, Status> {
        let kind = request.get_ref().kind();
        let contribution = || self.contribution.get().cloned().ok_or_else(|| Status::not_found("not yet"));
        let mut bytes = match kind {
            BlobKind::PairKeys => self.pair_keys.clone(),
            BlobKind::Proof => self.proof.clone(),
            _ => contribution()?,
        };
        if kind == BlobKind::Contribution && self.forging.load(Ordering::SeqCst) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let chunks: Vec<_> = bytes.chunks(100_000).map(|c| Ok(Chunk { data: c.to_vec() })).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }
}

async fn metric(address: std::net::SocketAddr, name: &str) -> u64 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_string();
    line.split(' ').next_back().and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[test]
fn a_contribution_changed_by_one_byte_is_never_used() {
    alone(async || {
        let mut world = World::found(60, Deadlines { round_ms: 120_000, ..QUICK })?;
        world.start(&[0, 1, 2]).await?;
        for position in 0..3 {
            world.enrol(position).await?;
            world.consortium.witness_grants(position, &world.persons[position], &crate::support::research()).await?;
        }
        world.accredit().await?;
        let node = world.node().await?;
        let spec = headcount();
        let study = propose(&world.researcher, &node, &spec).await?.0;
        for position in 0..3 {
            world.consortium.approve(position, study).await?;
        }
        // The fourth has no node of ours; what it signs goes through another member's.
        let forger = &world.consortium.hospitals[3];
        let signer = consilium_protocol::tx::Signer::Hospital(forger.member.id);
        let genesis = &world.consortium.genesis;
        let ledger = genesis.ledger();
        let own = PairKey::from_seed(zeroize::Zeroizing::new([7; 32]));
        let lots = LotKey::from_seed(secrets::read(&forger.home, Kind::Lots)?).expect("a key");
        let lot = |round| lots.draw(&lots::message(&ledger, &study, RoundNumber::new(round), Draw::Roles));
        let (pair_key, reason) = (own.public_key(), String::new());
        let approve = consilium_protocol::tx::Approve { study, reason, pair_key, lot: lot(0), ticked: Vec::new() };
        node.submit(signer, &forger.key, Payload::Approve(approve)).await?;

        // It pairs with those who approved before it, as it should.
        let (mut secrets, mut pair_keys) = (PairSecrets::new(), Vec::new());
        for earlier in &world.consortium.hospitals[..3] {
            let key = &consilium::vault::make_ready(&earlier.home, &ledger, &study)?.pair_key;
            let (from, to) = (forger.member.id, earlier.member.id);
            let (secret, bytes) = own.encapsulate(&Pair { ledger: &ledger, study, from, to, key })?;
            secrets.insert(to, secret);
            pair_keys.extend(bytes);
        }
        let keys = Blob { hash: hash::content(&pair_keys), bytes: pair_keys.len() as u64 };

        // Its node, under its own TLS identity.
        let identity = consilium::cli::identity(&Home::open(&forger.home)?)?;
        let members = genesis.member.iter().map(|m| m.tls_certificate).collect();
        let config = NodeConfig::read(&forger.home)?;
        let (forging, contribution) = (Arc::new(AtomicBool::new(true)), Arc::new(OnceLock::new()));
        // A seed, and no parts.
        let seed = EncryptionSeed::random()?;
        let proof = [&seed.as_bytes()[..], &[0; 4]].concat();
        let committed_proof = hash::content(&proof);
        let service = Forger { pair_keys, contribution: contribution.clone(), proof, forging: forging.clone() };
        let socket = listener::bind(config.listen.grpc).await?;
        let incoming = listener::accept(socket, tls::server(&identity, members)?);
        let serving = tokio::spawn(
            tonic::transport::Server::builder().add_service(PeerServer::new(service)).serve_with_incoming(incoming),
        );
        node.submit(signer, &forger.key, Payload::PairKeys(PairKeys { study, keys })).await?;

        // Its contribution: zeros, blinded and encrypted as they should be.
        let layout = Layout::of(&spec)?;
        let roster: Vec<HospitalId> = genesis.member.iter().map(|m| m.id).collect();
        let roster = BlindingRoster::new(roster)?;
        let round = BlindingRound { ledger: &ledger, study, round: RoundNumber::new(0), roster: &roster };
        let blinds = Blinds::derive(&round, forger.member.id, &secrets, layout.cells())?;
        let reply = node
            .ledger()
            .study(consilium_protocol::wire::StudyRequest { study: study.as_bytes().to_vec() })
            .await?
            .into_inner();
        let public = StudyPublicKey::from_bytes(&reply.public_key)?;
        let bytes = contribute_by(&vec![0; layout.cells()], blinds, &public, &seed)?.to_bytes();
        let committed = Payload::Contribute(Contribute {
            study,
            round: RoundNumber::new(0),
            contribution: hash::content(&bytes),
            bytes: bytes.len() as u64,
            proof: committed_proof,
            lot: lot(1),
            veil: None,
        });
        contribution.set(bytes).expect("set once");

        let deadline = Instant::now() + Duration::from_secs(20);
        while node.submit(signer, &forger.key, committed.clone()).await.is_err() {
            assert!(Instant::now() < deadline, "the round does not open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }

        // With the others it draws who shows how its contribution was made.
        let message = lots::message(&ledger, &study, RoundNumber::new(0), Draw::Examined);
        let payload = Payload::ShowLot(ShowLot { study, round: RoundNumber::new(0), lot: lots.draw(&message) });
        let deadline = Instant::now() + Duration::from_secs(20);
        while node.submit(signer, &forger.key, payload.clone()).await.is_err() {
            assert!(Instant::now() < deadline, "the others do not contribute");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }

        // Everybody notices, and nothing is attested.
        let metrics = NodeConfig::read(&world.consortium.hospitals[0].home)?.listen.metrics;
        let deadline = Instant::now() + Duration::from_secs(30);
        while metric(metrics, "consilium_forged_contributions_total").await == 0 {
            assert!(Instant::now() < deadline, "the forgery is not noticed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let request = consilium_protocol::wire::StudyRequest { study: study.as_bytes().to_vec() };
        let reply = node.ledger().study(request).await?.into_inner();
        assert_phase(&reply, "combining");
        assert!(reply.rounds[0].attestations.is_empty(), "a forged contribution was attested");

        // Once the right bytes come, the round completes.
        forging.store(false, Ordering::SeqCst);
        let reply = follow(&node, &study, Duration::from_secs(90)).await?;
        assert_phase(&reply, "released");
        let result = opened(&world.researcher, &node, &study).await?;
        let all = result.get().statistics[0].rows[0].measures[0].value.value();
        assert_eq!(all, Some(180.0), "three hospitals of 60");
        serving.abort();
        Ok(())
    });
}
