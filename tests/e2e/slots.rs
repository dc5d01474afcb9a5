//! A contribution leaves at the end of a whole slot after its round opened, however long it took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use consilium::cli::{Failure, propose};
use consilium::demo::acts::follow;
use consilium::net::client::Node;
use consilium_ledger::block::Block;
use consilium_protocol::ids::StudyId;
use consilium_protocol::wire;

use crate::support::{QUICK, World, alone, headcount};

const SLOT_SECONDS: u32 = 3;
/// From the end of a slot until a block carries what left then.
const UNTIL_A_BLOCK_MS: u64 = 1_500;

/// Has the study approved by everybody.
async fn approved(world: &World, node: &Node, sql: &str) -> Result<StudyId, Failure> {
    let mut spec = headcount();
    spec.cohort.sql.push_str(sql);
    let study = propose(&world.researcher, node, &spec).await?.0;
    for position in 0..4 {
        world.consortium.approve(position, study).await?;
    }
    Ok(study)
}

/// After how many slots each hospital's commitment stands on the ledger, and how many milliseconds after the slot's end.
async fn slots(world: &World, node: &Node, study: &StudyId) -> Result<Vec<(u64, u64)>, Failure> {
    let reply = follow(node, study, Duration::from_secs(60)).await?;
    assert_eq!(reply.summary.unwrap().phase, "released");
    let round = &reply.rounds[0];
    let mut times = BTreeMap::new();
    let mut blocks = node.ledger().export(wire::ExportRequest { from_height: round.height }).await?.into_inner();
    while let Some(exported) = blocks.message().await? {
        let header = Block::decode(&exported.block)?.header;
        times.insert(header.height.get(), header.time.get());
    }
    let slot_ms = u64::from(SLOT_SECONDS) * 1_000;
    let of = |hospital: usize| {
        let name = world.consortium.hospitals[hospital].member.id.to_string();
        let commitment = round.contributions.iter().find(|c| c.hospital == name).unwrap();
        let after = times[&commitment.height] - round.time_ms;
        (after / slot_ms, after % slot_ms)
    };
    Ok((0..4).map(of).collect())
}

#[test]
fn commits_stand_on_the_ledger_right_after_a_slot_has_ended() {
    alone(async || {
        let deadlines = consilium_protocol::genesis::Deadlines { round_ms: 60_000, ..QUICK };
        let mut world = World::found_with([3_000, 60, 60, 60], deadlines, SLOT_SECONDS)?;
        world.open().await?;
        let node = world.node().await?;

        // One hospital has fifty times the rows of the others, and commits with them.
        let study = approved(&world, &node, "").await?;
        for (slot, late_ms) in slots(&world, &node, &study).await? {
            assert_eq!(slot, 1);
            assert!(late_ms < UNTIL_A_BLOCK_MS, "{late_ms} ms");
        }

        // What is on disk already waits for the end of a slot, too: a node is killed when it has computed, and started again.
        let study = approved(&world, &node, " WHERE gender_concept_id = 8532").await?;
        let computed = world.consortium.hospitals[2].home.join(format!("rounds/{study}-0.contribution"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !computed.exists() {
            assert!(Instant::now() < deadline, "nothing is computed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.consortium.kill(2).await?;
        let bytes = std::fs::read(&computed)?;
        // Well into a later slot.
        tokio::time::sleep(Duration::from_millis(u64::from(SLOT_SECONDS) * 1_500)).await;
        world.start(&[2]).await?;
        // The others' blocks may have waited for the proposer that was down.
        let (slot, late_ms) = slots(&world, &node, &study).await?[2];
        assert!(slot >= 2, "{slot}");
        assert!(late_ms < UNTIL_A_BLOCK_MS, "{late_ms} ms");
        assert_eq!(std::fs::read(&computed)?, bytes, "it is made once");
        Ok(())
    });
}
