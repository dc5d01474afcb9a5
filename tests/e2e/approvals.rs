//! Without more than half of the members nothing is computed anywhere.

use std::time::Duration;

use consilium::cli::propose;
use consilium::net::client::ClientError;
use consilium_protocol::tx::{OpenRound, Payload};

use crate::support::{QUICK, World, alone, assert_phase, headcount};

#[test]
fn two_of_four_approvals_compute_nothing() {
    alone(async || {
        let world = World::ready(60, QUICK).await?;
        let node = world.node().await?;
        let study = propose(&world.researcher, &node, &headcount()).await?.0;
        world.consortium.approve(0, study).await?;
        world.consortium.approve(1, study).await?;
        // An approver that tries to open the round anyway is refused by the ledger.
        let forced = world.consortium.submit_as(0, Payload::OpenRound(OpenRound { study })).await;
        assert!(matches!(&forced, Err(ClientError::Rejected { kind, .. }) if kind == "wrong_phase"), "{forced:?}");
        // Longer than the grace period, and than the driver's own pace.
        tokio::time::sleep(Duration::from_secs(4)).await;
        for position in 0..4 {
            let node = world.consortium.node(position).await?;
            let reply = node
                .ledger()
                .study(consilium_protocol::wire::StudyRequest { study: study.as_bytes().to_vec() })
                .await?
                .into_inner();
            assert_phase(&reply, "proposed");
            assert!(reply.rounds.is_empty());
            let kept = std::fs::read_dir(world.consortium.hospitals[position].home.join("rounds"))?.count();
            assert_eq!(kept, 0, "nothing was computed at hospital {position}");
        }
        world.consortium.reject(2, study, "no").await?;
        world.consortium.reject(3, study, "no").await?;
        let reply = consilium::demo::acts::follow(&node, &study, Duration::from_secs(5)).await?;
        assert_phase(&reply, "rejected");
        Ok(())
    });
}
