//! A hospital that is down at its turn: the round goes on with the others, and the late one joins the next study.

use std::time::Duration;

use consilium::cli::propose;
use consilium::demo::acts::follow;
use consilium::vault::{Readiness, make_ready};
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::tx::{Approve, Payload, Signer};

use crate::support::{QUICK, World, alone, assert_phase, headcount, paired};

#[test]
fn a_round_is_opened_again_without_a_hospital_that_is_down() {
    alone(async || {
        // While a member is down every fourth block waits until its turn to propose is over, and the others have to be
        // paired before the grace is.
        let deadlines = Deadlines { round_ms: 15_000, ..QUICK };
        let mut world = World::ready(60, deadlines).await?;
        let node = world.node().await?;
        let study = propose(&world.researcher, &node, &headcount()).await?.0;
        world.consortium.approve(3, study).await?;
        paired(&node, study, 1).await?;
        world.consortium.kill(3).await?;
        for position in 0..3 {
            world.consortium.approve(position, study).await?;
        }
        let reply = follow(&node, &study, Duration::from_secs(120)).await?;
        assert_phase(&reply, "released");
        let rosters: Vec<usize> = reply.rounds.iter().map(|r| r.roster.len()).collect();
        assert_eq!(rosters, [4, 3], "the first round waits for the fourth, the second does without");
        assert_eq!(reply.rounds[0].outcome, "failed");

        // One that is down before it has paired is not waited for.
        let mut old = headcount();
        old.cohort.sql.push_str(" WHERE year_of_birth < 1960");
        let study = propose(&world.researcher, &node, &old).await?.0;
        for position in 0..3 {
            world.consortium.approve(position, study).await?;
        }
        // Its steward approves by another member's node.
        let fourth = &world.consortium.hospitals[3];
        let Readiness { pair_key, lot } = make_ready(&fourth.home, node.ledger_id(), &study)?;
        let approve = Payload::Approve(Approve { study, reason: String::new(), pair_key, lot, ticked: Vec::new() });
        node.submit(Signer::Hospital(fourth.member.id), &fourth.key, approve).await?;
        let reply = follow(&node, &study, Duration::from_secs(120)).await?;
        assert_phase(&reply, "released");
        assert_eq!((reply.rounds.len(), reply.rounds[0].roster.len()), (1, 3));

        // The late one catches up and takes part in the next study, over others: the same headcount with it and without it
        // would tell its own.
        world.start(&[3]).await?;
        let mut women = headcount();
        women.cohort.sql.push_str(" WHERE gender_concept_id = 8532");
        let study = propose(&world.researcher, &node, &women).await?.0;
        for position in 0..4 {
            world.consortium.approve(position, study).await?;
        }
        let reply = follow(&node, &study, Duration::from_secs(120)).await?;
        assert_phase(&reply, "released");
        assert_eq!(reply.rounds.len(), 1);
        assert_eq!(reply.rounds[0].contributions.len(), 4);
        Ok(())
    });
}
