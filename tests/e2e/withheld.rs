//! A hospital that commits to a contribution and does not give it: it is named, and the others do not wait for it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use consilium::cli::{Failure, opened, propose};
use consilium::demo::acts::follow;
use consilium::net::client::Node;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{ContentHash, StudyId};
use consilium_protocol::tx::{Payload, Signer, WithdrawStudy};
use consilium_protocol::wire::{self, BlobKind, BlobRequest};

use crate::guarded::{by_age, fetch, roles, study, women};
use crate::support::{QUICK, World, alone, assert_phase, headcount, to_be_examined};

/// Half of it is enough to compute under encryption; from then on others say what they miss.
const IMPATIENT: Deadlines = Deadlines { round_ms: 30_000, ..QUICK };

/// Takes what a hospital made in a study's first round away as soon as it is on disk, which is before it is on the ledger.
fn withhold(
    world: &World,
    position: usize,
    study: &StudyId,
    piece: &str,
) -> std::thread::JoinHandle<(PathBuf, Vec<u8>)> {
    let path = world.consortium.hospitals[position].home.join("rounds").join(format!("{study}-0.{piece}"));
    std::thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(bytes) = std::fs::read(&path)
                && std::fs::remove_file(&path).is_ok()
            {
                return (path, bytes);
            }
            assert!(Instant::now() < deadline, "nothing was made");
            std::thread::sleep(Duration::from_millis(2));
        }
    })
}

async fn approve(world: &World, study: StudyId) -> Result<(), Failure> {
    for position in 0..4 {
        world.consortium.approve(position, study).await?;
    }
    Ok(())
}

/// Waits until the study's first round stands as it should.
async fn first_round(node: &Node, id: &StudyId, is_so: impl Fn(&wire::Round) -> bool) -> Result<wire::Round, Failure> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(round) = study(node, id).await?.rounds.first().filter(|round| is_so(round)) {
            return Ok(round.clone());
        }
        assert!(Instant::now() < deadline, "the round does not come so far");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn who_withholds_what_it_committed_to_is_named_and_not_waited_for() {
    alone(async || {
        let world = World::ready(200, IMPATIENT).await?;
        let node = world.node().await?;
        let fourth = world.consortium.hospitals[3].member.id.to_string();

        // A guarded study goes on without it.
        let spec = by_age("protection = \"guarded\"");
        let id = propose(&world.researcher, &node, &spec).await?.0;
        approve(&world, id).await?;
        let round = first_round(&node, &id, |_| true).await?;
        let (aggregator, custodian) = roles(&world, &round);
        let withholds = (0..4).find(|i| *i != aggregator && *i != custodian).expect("another");
        let taken = withhold(&world, withholds, &id, "contribution");
        let reply = follow(&node, &id, Duration::from_secs(120)).await?;
        taken.join().expect("it was contributed");
        assert_phase(&reply, "released");
        let rosters: Vec<usize> = reply.rounds.iter().map(|round| round.roster.len()).collect();
        assert_eq!(rosters, [4, 3]);
        let accused = world.consortium.hospitals[withholds].member.id.to_string();
        let said: Vec<_> = reply.rounds[0].accusations.iter().map(|said| (&said.accused, said.blamed)).collect();
        assert_eq!(said, [(&accused, true)]);
        assert!(!reply.rounds[1].roster.contains(&accused));
        let result = opened(&world.researcher, &node, &id).await?;
        assert_eq!(result.get().statistics[0].rows[0].measures[0].value.value(), Some(600.0), "three hospitals of 200");

        // Of an open one the sum over all may have been seen by whom it gave its part: nothing goes on without it.
        let mut some = headcount();
        some.cohort.sql.push_str(" WHERE gender_concept_id = 8532");
        let id = propose(&world.researcher, &node, &some).await?.0;
        let taken = withhold(&world, 3, &id, "contribution");
        approve(&world, id).await?;
        let reply = follow(&node, &id, Duration::from_secs(60)).await?;
        taken.join().expect("it was contributed");
        assert_phase(&reply, "failed");
        assert_eq!(reply.rounds.len(), 1, "eight rounds would end no better");
        let [said] = &reply.rounds[0].accusations[..] else { panic!("{:?}", reply.rounds[0].accusations) };
        assert_eq!(
            (&said.accused, said.fault.as_str(), said.by.len(), said.blamed),
            (&fourth, "contribution", 3, true)
        );
        Ok(())
    });
}

#[test]
fn what_one_hospital_alone_cannot_have_others_hand_on() {
    alone(async || {
        let world = World::ready(200, IMPATIENT).await?;
        let node = world.node().await?;
        let id = propose(&world.researcher, &node, &women("protection = \"guarded\"")).await?.0;
        approve(&world, id).await?;
        let round = first_round(&node, &id, |_| true).await?;
        let (aggregator, custodian) = roles(&world, &round);
        // What is shown to everybody, everybody misses.
        let examined = to_be_examined(&world, &id);
        let withholds = (0..4).find(|i| ![aggregator, custodian, examined].contains(i)).expect("another");
        let taken = withhold(&world, withholds, &id, "contribution");
        let round = first_round(&node, &id, |round| !round.accusations.is_empty()).await?;
        let (path, bytes) = taken.join().expect("it was contributed");
        std::fs::write(&path, &bytes).expect("a file");
        let own = world.consortium.hospitals[withholds].member.id.to_string();
        let commitment = round.contributions.iter().find(|c| c.hospital == own).expect("it contributed");
        let wanted = ContentHash::try_from(&commitment.hash[..]).expect("a hash");
        let request = || BlobRequest {
            kind: BlobKind::Contribution.into(),
            study: id.as_bytes().to_vec(),
            round: 0,
            hash: wanted.as_bytes().to_vec(),
        };
        // The custodian's node asks for it, and hands it to whom it was refused, and to nobody else.
        let deadline = Instant::now() + Duration::from_secs(10);
        while fetch(&world, custodian, aggregator, request()).await.ok().as_ref() != Some(&bytes) {
            assert!(Instant::now() < deadline, "it is not handed on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let fourth = (0..4).find(|i| ![aggregator, custodian, withholds].contains(i)).expect("another");
        assert!(fetch(&world, custodian, fourth, request()).await.is_err());
        assert_eq!(
            fetch(&world, withholds, fourth, request()).await?,
            bytes,
            "from the accused itself all may have it"
        );

        // The others see that it can be had, and the round goes on with all.
        let reply = follow(&node, &id, Duration::from_secs(60)).await?;
        assert_phase(&reply, "released");
        assert_eq!(reply.rounds.len(), 1);
        let [said] = &reply.rounds[0].accusations[..] else { panic!("{:?}", reply.rounds[0].accusations) };
        assert_eq!((said.by.len(), said.blamed), (1, false));
        Ok(())
    });
}

#[test]
fn a_custodian_that_gives_nobody_what_it_disclosed_is_named_and_the_study_can_be_asked_again() {
    alone(async || {
        let world = World::ready(200, IMPATIENT).await?;
        let node = world.node().await?;
        let spec = by_age("protection = \"guarded\"");
        let id = propose(&world.researcher, &node, &spec).await?.0;
        approve(&world, id).await?;
        let round = first_round(&node, &id, |_| true).await?;
        let custodian = roles(&world, &round).1;
        let taken = withhold(&world, custodian, &id, "disclosed");
        let is_disclosed = |round: &wire::Round| round.guard.as_ref().is_some_and(|guard| guard.disclosed_height > 0);
        first_round(&node, &id, is_disclosed).await?;
        taken.join().expect("it was disclosed");

        // The researcher may have been given it: a study that nobody has to remember could be asked again, less a few.
        let key = world.researcher.signing_key()?;
        let payload = Payload::WithdrawStudy(WithdrawStudy { study: id });
        let refused = node.submit(Signer::Researcher(key.researcher()), &key, payload).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("about to release")));

        let reply = follow(&node, &id, Duration::from_secs(90)).await?;
        assert_phase(&reply, "failed");
        assert_eq!(reply.rounds.len(), 1);
        let [said] = &reply.rounds[0].accusations[..] else { panic!("{:?}", reply.rounds[0].accusations) };
        let accused = &world.consortium.hospitals[custodian].member.id.to_string();
        assert_eq!((&said.accused, said.fault.as_str(), said.blamed), (accused, "disclosed", true));

        // What passed stands on the ledger, and is shown where nothing has changed since.
        let id = propose(&world.researcher, &node, &spec).await?.0;
        approve(&world, id).await?;
        let reply = follow(&node, &id, Duration::from_secs(120)).await?;
        assert_phase(&reply, "released");
        let result = opened(&world.researcher, &node, &id).await?;
        assert_eq!(result.get().statistics[0].rows[0].measures[0].value.value(), Some(800.0), "four hospitals of 200");
        Ok(())
    });
}
