//! Whom a study counts: exactly those who consent, at the block at which its round opened.

use std::time::Duration;

use consilium::cli::{opened, propose};
use consilium::demo::acts::follow;
use consilium::demo::{oracle, plain};
use consilium_protocol::consent::{Disease, Purpose, Window};

use crate::support::{QUICK, World, alone, assert_phase, headcount, permit, research};

#[test]
fn only_those_who_consent_are_counted_exactly() {
    alone(async || {
        let mut world = World::found(60, QUICK)?;
        world.start(&[0, 1, 2, 3]).await?;
        let mut allowed = Vec::new();
        for position in 0..4 {
            world.enrol(position).await?;
            let persons = world.persons[position].clone();
            let (silent, rest) = persons.split_at(5);
            let (expired, rest) = rest.split_at(5);
            let (revoked, rest) = rest.split_at(5);
            let (elsewhere, consenting) = rest.split_at(5);
            assert_eq!(silent.len() + expired.len() + revoked.len() + elsewhere.len(), 20);
            let mut gone = research();
            gone.rules[0].valid = Window { from: None, to: "2020-12-31".parse().ok() };
            let other_purpose = permit(Purpose::DiseaseResearch(Disease::new("MONDO:0004979")?));
            let consortium = &world.consortium;
            consortium.witness_grants(position, expired, &gone).await?;
            consortium.witness_grants(position, revoked, &research()).await?;
            consortium.witness_grants(position, elsewhere, &other_purpose).await?;
            consortium.witness_grants(position, consenting, &research()).await?;
            consortium.witness_revocations(position, revoked).await?;
            allowed.push(consenting.iter().copied().collect());
        }
        world.accredit().await?;
        let node = world.node().await?;
        let spec = headcount();
        let study = propose(&world.researcher, &node, &spec).await?.0;
        for position in 0..4 {
            world.consortium.approve(position, study).await?;
        }
        let reply = follow(&node, &study, Duration::from_secs(30)).await?;
        assert_phase(&reply, "released");

        let result = opened(&world.researcher, &node, &study).await?;
        let all = result.get().statistics[0].rows[0].measures[0].value.value();
        assert_eq!(all, Some(160.0), "40 of 60 at each of four hospitals");
        let mut cohorts = Vec::new();
        for (hospital, allowed) in world.consortium.hospitals.iter().zip(&allowed) {
            cohorts.push(plain::cohort(&hospital.store, allowed, &spec).await?);
        }
        let expected = oracle::pooled(&spec, &cohorts, &world.consortium.genesis.policy);
        let comparison = oracle::compare(result.get(), &expected);
        assert!(comparison.differing.is_empty(), "{:?}", comparison.differing);
        assert_eq!(comparison.equal, comparison.cells);

        // A revocation after the round opened leaves the released result, and empties the next.
        for position in 0..4 {
            world.consortium.witness_revocations(position, &world.persons[position][20..]).await?;
        }
        let study = propose(&world.researcher, &node, &spec).await?.0;
        for position in 0..4 {
            world.consortium.approve(position, study).await?;
        }
        follow(&node, &study, Duration::from_secs(30)).await?;
        let result = opened(&world.researcher, &node, &study).await?;
        let all = result.get().statistics[0].rows[0].measures[0].value.value();
        assert_eq!(all, Some(0.0));
        Ok(())
    });
}
