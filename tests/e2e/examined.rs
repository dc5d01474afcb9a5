//! Contributions that were not made as agreed: of each round one is shown, before anything is done with any.

use std::path::Path;
use std::time::Duration;

use consilium::cli::{Failure, opened, propose};
use consilium::demo::acts::follow;
use consilium::net::client::Node;
use consilium_engine::cells::{
    BlindingRoster, BlindingRound, Blinds, EncryptedCells, PairSecrets, StudyPublicKey, contribute,
};
use consilium_engine::statistics::Layout;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{RoundNumber, StudyId};
use consilium_protocol::keys::random_bytes;
use consilium_protocol::pairing::PairSecret;
use consilium_protocol::study::StudySpec;

use crate::guarded::{by_age, study};
use crate::support::{QUICK, World, alone, assert_phase, headcount, to_be_examined};

const PATIENT: Deadlines = Deadlines { round_ms: 60_000, ..QUICK };

fn noise(length: usize) -> Vec<u8> {
    (0..length.div_ceil(32)).flat_map(|_| random_bytes().expect("randomness")).take(length).collect()
}

/// Has a hospital find these on its disk, as though it had contributed them before its node was started again.
fn plant(home: &Path, study: StudyId, pieces: &[(&str, Vec<u8>)]) {
    let folder = home.join("rounds");
    for (name, bytes) in pieces {
        std::fs::write(folder.join(format!("{study}-0.{name}")), bytes).expect("a file");
    }
}

/// A study for whose first round that hospital will be drawn.
async fn proposed(world: &World, node: &Node, spec: &StudySpec, drawn: usize) -> Result<StudyId, Failure> {
    loop {
        // Each has a key of its own, and so another name.
        let id = propose(&world.researcher, node, spec).await?.0;
        if to_be_examined(world, &id) == drawn {
            return Ok(id);
        }
    }
}

#[test]
fn a_guarded_round_goes_on_without_who_contributed_garbage() {
    alone(async || {
        let world = World::ready(200, PATIENT).await?;
        let node = world.node().await?;
        let id = proposed(&world, &node, &by_age("protection = \"guarded\""), 3).await?;
        // Nobody but the aggregator could see it otherwise.
        let proof = [&noise(32)[..], &24_000u32.to_le_bytes(), &noise(24_000)].concat();
        let garbage = [("veil", noise(1_200)), ("proof", proof), ("contribution", noise(25_000))];
        plant(&world.consortium.hospitals[3].home, id, &garbage);
        for position in 0..4 {
            world.consortium.approve(position, id).await?;
        }
        let reply = follow(&node, &id, Duration::from_secs(180)).await?;
        assert_phase(&reply, "released");
        let accused = world.consortium.hospitals[3].member.id.to_string();
        assert_eq!(reply.rounds[0].examined, accused, "as this test draws, too");
        let rosters: Vec<usize> = reply.rounds.iter().map(|round| round.roster.len()).collect();
        assert_eq!(rosters, [4, 3], "{:?}", reply.rounds[0].accusations);
        let [said] = &reply.rounds[0].accusations[..] else { panic!("{:?}", reply.rounds[0].accusations) };
        assert_eq!((&said.accused, said.fault.as_str(), said.blamed), (&accused, "malformed", true));
        assert!(!reply.rounds[1].roster.contains(&accused));
        let result = opened(&world.researcher, &node, &id).await?;
        assert_eq!(result.get().statistics[0].rows[0].measures[0].value.value(), Some(600.0), "three hospitals of 200");
        Ok(())
    });
}

#[test]
fn garbage_that_could_be_added_up_is_never_part_of_an_open_result() {
    alone(async || {
        let world = World::ready(60, PATIENT).await?;
        let node = world.node().await?;
        let spec = headcount();
        let id = proposed(&world, &node, &spec, 3).await?;
        let key = StudyPublicKey::from_bytes(&study(&node, &id).await?.public_key)?;
        let cells = Layout::of(&spec)?.cells();
        let ids: Vec<_> = world.consortium.genesis.member.iter().map(|member| member.id).collect();
        let secrets: PairSecrets = ids.iter().map(|id| (*id, PairSecret::from_bytes([1; 32]))).collect();
        let (ledger, roster) = (world.consortium.genesis.ledger(), BlindingRoster::new(ids)?);
        let round = BlindingRound { ledger: &ledger, study: id, round: RoundNumber::new(0), roster: &roster };
        let forger = &world.consortium.hospitals[3];
        let blinds = Blinds::derive(&round, forger.member.id, &secrets, cells)?;
        let mut bytes = contribute(&vec![0; cells], blinds, &key)?.to_bytes();
        // The header of a contribution to this study, and then anything; a seed, and nothing beside.
        bytes.truncate(48);
        bytes.extend(noise(EncryptedCells::encoded_bytes(cells)? - 48));
        let proof = [&noise(32)[..], &[0; 4]].concat();
        plant(&forger.home, id, &[("proof", proof), ("contribution", bytes)]);
        for position in 0..4 {
            world.consortium.approve(position, id).await?;
        }
        let reply = follow(&node, &id, Duration::from_secs(120)).await?;
        assert_phase(&reply, "failed");
        assert_eq!(reply.rounds.len(), 1);
        let accused = forger.member.id.to_string();
        // Itself may have.
        let attested = reply.rounds[0].attestations.iter().all(|attestation| attestation.hospital == accused);
        assert!(attested, "garbage was attested");
        let [said] = &reply.rounds[0].accusations[..] else { panic!("{:?}", reply.rounds[0].accusations) };
        assert_eq!((&said.accused, said.fault.as_str(), said.blamed), (&accused, "malformed", true));
        Ok(())
    });
}
