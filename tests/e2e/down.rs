//! A hospital that is down at its turn: the round goes on with the others, and the late one joins the next study.

use std::time::Duration;

use consilium::cli::propose;
use consilium::demo::acts::follow;

use crate::support::{QUICK, World, alone, headcount};

#[test]
fn a_round_is_opened_again_without_a_hospital_that_is_down() {
    alone(async || {
        let mut world = World::ready(60, QUICK).await?;
        let node = world.node().await?;
        let study = propose(&world.researcher, &node, &headcount()).await?.0;
        world.consortium.approve(3, study).await?;
        world.consortium.kill(3).await?;
        for position in 0..3 {
            world.consortium.approve(position, study).await?;
        }
        let reply = follow(&node, &study, Duration::from_secs(60)).await?;
        assert_eq!(reply.summary.unwrap().phase, "released");
        let rosters: Vec<usize> = reply.rounds.iter().map(|r| r.roster.len()).collect();
        assert_eq!(rosters, [4, 3], "the first round waits for the fourth, the second does without");
        assert_eq!(reply.rounds[0].outcome, "failed");

        // The late one catches up and takes part in the next study, over others: the same headcount with it and without it
        // would tell its own.
        world.start(&[3]).await?;
        let mut women = headcount();
        women.cohort.sql.push_str(" WHERE gender_concept_id = 8532");
        let study = propose(&world.researcher, &node, &women).await?.0;
        for position in 0..4 {
            world.consortium.approve(position, study).await?;
        }
        let reply = follow(&node, &study, Duration::from_secs(60)).await?;
        assert_eq!(reply.summary.unwrap().phase, "released");
        assert_eq!(reply.rounds.len(), 1);
        assert_eq!(reply.rounds[0].contributions.len(), 4);
        Ok(())
    });
}
