//! Guarded and private studies over real processes: what is released, what is suppressed under encryption, who may fetch
//! what, and what happens when a role fails or a revocation could be subtracted.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use consilium::cli::{Failure, identity, opened, propose};
use consilium::demo::acts::follow;
use consilium::demo::{oracle, plain};
use consilium::home::Home;
use consilium::net::client::{self, Node, refused};
use consilium::net::tls;
use consilium_engine::disclosure::Rule;
use consilium_engine::result::Estimate;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{HospitalId, StudyId};
use consilium_protocol::study::StudySpec;
use consilium_protocol::wire::peer_client::PeerClient;
use consilium_protocol::wire::{self, BlobKind, BlobRequest};

use crate::support::{QUICK, World, alone, assert_phase, paired, research};

/// Long enough to compute under encryption on a busy machine.
const PATIENT: Deadlines = Deadlines { round_ms: 40_000, ..QUICK };

/// Patients by sex and age, of which the oldest are few.
pub(crate) fn by_age(protection: &str) -> StudySpec {
    StudySpec::from_toml(&format!(
        r#"
version = 1
title = "Patients by age"
description = "How many patients of each age there are."
purpose = "HMB"
declares = []
{protection}

[cohort]
subject = "person_id"
sql = "SELECT person_id, 2026 - year_of_birth AS age FROM person"

[[dimension]]
name = "age"
edges = [0, 60, 95, 130]

[[statistic]]
name = "all"
kind = "count"

[[statistic]]
name = "by age"
kind = "count"
by = ["age"]
"#
    ))
    .unwrap()
}

/// The same about women alone: another cohort.
pub(crate) fn women(protection: &str) -> StudySpec {
    let mut spec = by_age(protection);
    spec.cohort.sql.push_str(" WHERE gender_concept_id = 8532");
    spec
}

async fn approved(world: &World, node: &Node, spec: &StudySpec) -> Result<StudyId, Failure> {
    let study = propose(&world.researcher, node, spec).await?.0;
    for position in 0..4 {
        world.consortium.approve(position, study).await?;
    }
    Ok(study)
}

async fn expected(world: &World, spec: &StudySpec, roster: &[usize]) -> Result<oracle::Expected, Failure> {
    let mut cohorts = Vec::new();
    for position in roster {
        let allowed: BTreeSet<i64> = world.persons[*position].iter().copied().collect();
        cohorts.push(plain::cohort(&world.consortium.hospitals[*position].store, &allowed, spec).await?);
    }
    Ok(oracle::pooled(spec, &cohorts, &world.consortium.genesis.policy))
}

/// The positions of aggregator and custodian.
pub(crate) fn roles(world: &World, round: &wire::Round) -> (usize, usize) {
    let guard = round.guard.as_ref().expect("a guarded round");
    let position = |id: &str| {
        let id: HospitalId = id.parse().expect("a hospital");
        world.consortium.hospitals.iter().position(|hospital| hospital.member.id == id).expect("a member")
    };
    (position(&guard.aggregator), position(&guard.custodian))
}

pub(crate) async fn study(node: &Node, study: &StudyId) -> Result<wire::StudyReply, Failure> {
    let request = wire::StudyRequest { study: study.as_bytes().to_vec() };
    Ok(node.ledger().study(request).await.map_err(refused)?.into_inner())
}

/// Asks a member's node for a blob under another member's TLS identity.
pub(crate) async fn fetch(world: &World, from: usize, by: usize, request: BlobRequest) -> Result<Vec<u8>, Failure> {
    let (holder, caller) = (&world.consortium.hospitals[from], &world.consortium.hospitals[by]);
    let identity = identity(&Home::open(&caller.home)?)?;
    let config = tls::client(Some(&identity), holder.member.tls_certificate)?;
    let mut peer = PeerClient::new(client::channel(&holder.member.address, config)?);
    let chunks = peer.blob(request).await.map_err(refused)?.into_inner();
    Ok(client::collect(chunks, 1 << 28).await?)
}

#[test]
fn a_witness_repeats_what_the_aggregator_decides() {
    alone(async || {
        let mut world = World::found_as([200; 4], PATIENT, |policy| policy.witness = true)?;
        world.open().await?;
        let node = world.node().await?;
        let spec = by_age("protection = \"guarded\"");
        let id = approved(&world, &node, &spec).await?;
        let reply = follow(&node, &id, Duration::from_secs(120)).await?;
        assert_phase(&reply, "released");
        let result = opened(&world.researcher, &node, &id).await?;
        let comparison = oracle::compare(result.get(), &expected(&world, &spec, &[0, 1, 2, 3]).await?);
        assert!(comparison.differing.is_empty(), "{:?}", comparison.differing);
        assert!(result.get().suppressed_groups() > 0, "a group is small");
        let guard = reply.rounds[0].guard.clone().expect("a guarded round");
        let (aggregator, custodian) = roles(&world, &reply.rounds[0]);
        let witness: HospitalId = guard.witness.parse().expect("a hospital");
        let at =
            world.consortium.hospitals.iter().position(|hospital| hospital.member.id == witness).expect("a member");
        assert!(at != aggregator && at != custodian && guard.witnessed_height > 0);
        // Its own part is as long as the aggregator's, and is deleted with the rest.
        let seeds = BlobRequest {
            kind: BlobKind::WitnessSeeds.into(),
            study: id.as_bytes().to_vec(),
            round: 0,
            hash: guard.witness_seeds.clone(),
        };
        assert!(fetch(&world, at, aggregator, seeds).await.is_err(), "they are the custodian's alone");
        let deadline = Instant::now() + Duration::from_secs(30);
        let rounds = world.consortium.hospitals[at].home.join("rounds");
        let is_left = || ["witness", "counts"].iter().any(|kind| rounds.join(format!("{id}-0.{kind}")).exists());
        while is_left() {
            assert!(Instant::now() < deadline, "what a witness made is not deleted");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    });
}

#[test]
fn small_groups_are_suppressed_under_encryption_and_nobody_else_may_fetch_a_thing() {
    alone(async || {
        let world = World::ready(200, PATIENT).await?;
        let node = world.node().await?;
        let spec = by_age("protection = \"guarded\"");
        let id = approved(&world, &node, &spec).await?;
        let reply = follow(&node, &id, Duration::from_secs(120)).await?;
        assert_phase(&reply, "released");

        let result = opened(&world.researcher, &node, &id).await?;
        let comparison = oracle::compare(result.get(), &expected(&world, &spec, &[0, 1, 2, 3]).await?);
        assert!(comparison.differing.is_empty(), "{:?}", comparison.differing);
        assert_eq!(comparison.equal, comparison.cells);
        let by_age = &result.get().statistics[1];
        assert!(matches!(by_age.rows[0].measures[0].value, Estimate::Count(count) if count > 100));
        assert_eq!(by_age.rows[2].measures[0].value, Estimate::Suppressed(Rule::SmallCountOrPart), "the oldest");
        let [merged] = by_age.together.as_slice() else { panic!("the oldest, with those before them") };
        assert!(matches!(merged.measures[0].value, Estimate::Count(count) if count > 11), "{merged:?}");
        let all = result.get().statistics[0].rows[0].measures[0].value;
        assert!(matches!(all, Estimate::Count(count) if count > 100), "the total waits for nothing");

        // Everybody may have what is released; only the roles what is not.
        let round = &reply.rounds[0];
        let (aggregator, custodian) = roles(&world, round);
        let other = (0..4).find(|i| ![aggregator, custodian].contains(i)).expect("a third");
        let guard = round.guard.clone().unwrap();
        let contribution = |of: usize| {
            let hospital = world.consortium.hospitals[of].member.id.to_string();
            round.contributions.iter().find(|c| c.hospital == hospital).expect("a contribution").hash.clone()
        };
        let ask = |kind: BlobKind, hash: Vec<u8>| BlobRequest {
            kind: kind.into(),
            study: id.as_bytes().to_vec(),
            round: 0,
            hash,
        };
        let sealed = contribution(other);
        assert!(fetch(&world, other, aggregator, ask(BlobKind::Contribution, sealed.clone())).await.is_ok());
        assert!(fetch(&world, other, custodian, ask(BlobKind::Contribution, sealed)).await.is_err());
        let seeds = || ask(BlobKind::Seeds, guard.seeds.clone());
        assert!(fetch(&world, aggregator, custodian, seeds()).await.is_ok());
        assert!(fetch(&world, aggregator, other, seeds()).await.is_err());
        assert!(fetch(&world, aggregator, other, ask(BlobKind::Sum, guard.sum.clone())).await.is_ok());
        Ok(())
    });
}

/// The public and server keys in a hospital's home.
fn guard_keys(world: &World, hospital: usize) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(world.consortium.hospitals[hospital].home.join("guard"))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|ending| ending == "key")).collect())
}

#[test]
fn keys_that_are_damaged_on_disk_are_made_again() {
    alone(async || {
        let world = World::ready(200, PATIENT).await?;
        let node = world.node().await?;
        let spec = by_age("protection = \"guarded\"");
        let id = propose(&world.researcher, &node, &spec).await?.0;
        let give_up = Instant::now() + Duration::from_secs(60);
        while !(0..4).all(|i| guard_keys(&world, i).is_ok_and(|keys| keys.len() == 2)) {
            assert!(Instant::now() < give_up, "nodes make keys");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for hospital in 0..4 {
            for key in guard_keys(&world, hospital)? {
                let mut bytes = std::fs::read(&key)?;
                bytes[100] ^= 1;
                std::fs::write(key, bytes)?;
            }
        }
        for position in 0..4 {
            world.consortium.approve(position, id).await?;
        }
        let reply = follow(&node, &id, Duration::from_secs(120)).await?;
        assert_phase(&reply, "released");
        assert_eq!(reply.rounds.len(), 1, "nobody is waited for");
        Ok(())
    });
}

/// The custodian's position, once a condition holds of the round.
async fn custodian_when(
    world: &World,
    node: &Node,
    id: &StudyId,
    ready: impl Fn(&wire::Round) -> bool,
) -> Result<usize, Failure> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "the round does not come so far");
        let reply = study(node, id).await?;
        if let Some(round) = reply.rounds.last().filter(|round| ready(round)) {
            return Ok(roles(world, round).1);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn others_take_the_roles_when_the_custodian_of_a_complete_round_is_down() {
    alone(async || {
        let mut world = World::ready(200, Deadlines { round_ms: 20_000, ..QUICK }).await?;
        let node = world.node().await?;
        let spec = by_age("protection = \"guarded\"");
        let id = approved(&world, &node, &spec).await?;
        let down = custodian_when(&world, &node, &id, |round| round.contributions.len() == 4).await?;
        world.consortium.kill(down).await?;
        let asked = (0..4).find(|i| *i != down).expect("another");
        let node = world.consortium.node(asked).await?;
        custodian_when(&world, &node, &id, |round| round.number == 1).await?;
        // Once the sum is sealed its numbers would follow from a result without it, so the next round waits for it, and the roles do
        // not. Before that the others miss its lot at the deadline, or its contribution or keys and say so, and go on without it.
        world.start(&[down]).await?;
        let reply = follow(&node, &id, Duration::from_secs(180)).await?;
        assert_phase(&reply, "released");
        let own = world.consortium.hospitals[down].member.id.to_string();
        let blamed: Vec<&String> =
            reply.rounds[0].accusations.iter().filter(|said| said.blamed).map(|said| &said.accused).collect();
        let sealed = reply.rounds[0].guard.as_ref().is_some_and(|guard| guard.sealed_height > 0);
        let goes_on = reply.rounds[1].roster.contains(&own);
        let left: Vec<usize> = (0..4).filter(|i| goes_on || *i != down).collect();
        assert!(goes_on || !sealed, "{:?}", reply.rounds[0]);
        assert!(blamed.is_empty() || (blamed == [&own] && !goes_on), "{blamed:?}");
        assert!(reply.rounds[1..].iter().all(|round| round.roster.len() == left.len()));
        let (aggregator, custodian) = roles(&world, &reply.rounds[1]);
        let before = roles(&world, &reply.rounds[0]);
        // Who was custodian or aggregator is not again. Where its lot is what the custodian did not show, nobody had given anybody
        // anything, and only the custodian is not: it is not on the roster.
        let lots_were_shown = !reply.rounds[0].examined.is_empty();
        assert!(lots_were_shown || !goes_on, "{:?}", reply.rounds[0]);
        let relieved = if lots_were_shown { vec![before.0, before.1] } else { vec![before.1] };
        assert!(relieved.iter().all(|role| ![aggregator, custodian].contains(role)), "{:?}", reply.rounds);
        let result = opened(&world.researcher, &node, &id).await?;
        let comparison = oracle::compare(result.get(), &expected(&world, &spec, &left).await?);
        assert!(comparison.differing.is_empty(), "{:?}", comparison.differing);
        Ok(())
    });
}

#[test]
fn a_round_goes_on_without_a_custodian_that_did_not_contribute() {
    alone(async || {
        let mut world = World::ready(200, Deadlines { round_ms: 60_000, ..QUICK }).await?;
        let node = world.node().await?;
        // A first study, so that keys are there; and one hospital that computes nothing, so that the round stays open.
        let first = approved(&world, &node, &by_age("protection = \"guarded\"")).await?;
        assert_phase(&follow(&node, &first, Duration::from_secs(180)).await?, "released");
        let spec = women("protection = \"guarded\"");
        let id = propose(&world.researcher, &node, &spec).await?.0;
        for position in [1, 2, 3] {
            world.consortium.approve(position, id).await?;
        }
        paired(&node, id, 3).await?;
        world.consortium.kill(3).await?;
        world.consortium.approve(0, id).await?;
        let reply = follow(&node, &id, Duration::from_secs(180)).await?;
        assert_phase(&reply, "released");
        let last = reply.rounds.last().expect("a round");
        assert_eq!((reply.rounds[0].roster.len(), last.roster.len()), (4, 3));
        let result = opened(&world.researcher, &node, &id).await?;
        let comparison = oracle::compare(result.get(), &expected(&world, &spec, &[0, 1, 2]).await?);
        assert!(comparison.differing.is_empty(), "{:?}", comparison.differing);
        Ok(())
    });
}

#[test]
fn neither_a_revocation_nor_a_hospital_can_be_subtracted() {
    alone(async || {
        let world = World::ready(60, QUICK).await?;
        let node = world.node().await?;
        let spec = by_age("protection = \"open\"");
        let first = approved(&world, &node, &spec).await?;
        follow(&node, &first, Duration::from_secs(60)).await?;
        // With nobody's mind changed, the same cohort can be asked about again.
        let again = approved(&world, &node, &by_age("protection = \"open\"\nmin_joint_count = 12")).await?;
        assert_phase(&follow(&node, &again, Duration::from_secs(60)).await?, "released");
        // One patient of one hospital thinks again.
        world.consortium.witness_revocations(1, &world.persons[1][..1]).await?;
        let second = approved(&world, &node, &spec).await?;
        let reply = follow(&node, &second, Duration::from_secs(60)).await?;
        let rosters: Vec<usize> = reply.rounds.iter().map(|round| round.roster.len()).collect();
        assert_eq!(rosters, [4, 3], "that hospital does not contribute again");
        let told = |hospital: usize| {
            let path = world.consortium.hospitals[hospital].home.join("failing.json");
            std::fs::read_to_string(path).map_err(|error| Failure::new(error.to_string()))
        };
        assert!(told(1)?.contains("\"rerun\"") && told(1)?.contains(&first.to_string()), "{}", told(1)?);
        // Without it, its own numbers would follow from the two results: nobody contributes.
        assert_phase(&reply, "failed");
        assert!(reply.rounds[1].contributions.is_empty());
        for other in [0, 2, 3] {
            assert!(told(other)?.contains("other hospitals took part"), "{}", told(other)?);
        }
        Ok(())
    });
}

/// What is shown of each group, with where it stands.
async fn shown(world: &World, node: &Node, id: &StudyId) -> Result<Vec<(String, Option<i64>)>, Failure> {
    let result = opened(&world.researcher, node, id).await?;
    let rows = result.get().statistics.iter().flat_map(|of| of.rows.iter().map(move |row| (of, row)));
    let value = |estimate: Estimate| if let Estimate::Count(count) = estimate { Some(count) } else { None };
    Ok(rows.map(|(of, row)| (format!("{}: {:?}", of.name, row.group), value(row.measures[0].value))).collect())
}

#[test]
fn several_guarded_studies_do_not_tell_of_one_patient() {
    alone(async || {
        let world = World::ready(60, PATIENT).await?;
        let node = world.node().await?;
        let run = async |title: &str, spec: &StudySpec| {
            let mut spec = spec.clone();
            spec.title = title.to_string();
            let id = approved(&world, &node, &spec).await?;
            let reply = follow(&node, &id, Duration::from_secs(120)).await?;
            assert_phase(&reply, "released");
            assert_eq!(reply.rounds.len(), 1, "nobody refuses: {title}");
            shown(&world, &node, &id).await
        };
        let spec = by_age("protection = \"guarded\"");
        let first = run("first", &spec).await?;
        assert!(first.iter().filter(|(_, count)| count.is_some_and(|n| n > 11)).count() >= 2, "{first:?}");
        // Nobody's mind has changed: everything that was shown is shown again.
        assert_eq!(run("again", &spec).await?, first);
        // One patient of one hospital thinks again: every group that the patient was in is held back, the total first, and what
        // else would follow from it with it.
        world.consortium.witness_revocations(1, &world.persons[1][..1]).await?;
        let after = run("after one revoked", &spec).await?;
        assert!(after.iter().zip(&first).any(|(now, then)| now != then && now.1.is_none()), "{after:?}");
        assert_eq!(after[0].1, None, "the total differs by one patient");
        for (now, then) in after.iter().zip(&first) {
            assert!(now.1.is_none() || now == then, "{now:?} after {then:?}");
        }
        // Of another cohort much is new.
        let women = run("women", &women("protection = \"guarded\"")).await?;
        assert!(women[0].1.is_some_and(|n| n > 11), "{women:?}");
        Ok(())
    });
}

#[test]
fn a_private_study_is_noisy_and_spends_the_budget() {
    alone(async || {
        let world = World::ready(400, QUICK).await?;
        world.consortium.witness_grants(0, &world.persons[0], &research()).await?;
        let node = world.node().await?;
        let spec = by_age("protection = \"private\"\nrho = 0.3");
        let id = approved(&world, &node, &spec).await?;
        let reply = follow(&node, &id, Duration::from_secs(60)).await?;
        assert_phase(&reply, "released");
        let result = opened(&world.researcher, &node, &id).await?;
        let all = result.get().statistics[0].rows[0].measures[0].value.noisy().expect("a noisy count");
        assert!((all.value - 1600.0).abs() < 10.0 * all.sigma, "{all:?}");
        assert!(all.sigma > 0.5 && all.low < all.value && all.value < all.high);

        // The rest of a budget of 1, to the last bit.
        for rho in ["0.3", "0.3", "0.1"] {
            let id = approved(&world, &node, &by_age(&format!("protection = \"private\"\nrho = {rho}"))).await?;
            let reply = follow(&node, &id, Duration::from_secs(60)).await?;
            assert_phase(&reply, "released");
        }
        let one_more = by_age("protection = \"private\"\nrho = 0.000001");
        let refused = propose(&world.researcher, &node, &one_more).await.expect_err("nothing is left");
        assert!(refused.message().contains("of the privacy budget ρ = 0 is left"), "{}", refused.message());
        Ok(())
    });
}
