//! Whom a study counts: exactly those who consent, at the block at which its round opened.

use std::time::Duration;

use consilium::cli::{opened, propose};
use consilium::demo::acts::follow;
use consilium::demo::{oracle, plain};
use consilium::home::{Home, Role};
use consilium_protocol::consent::{Disease, Modifier, Purpose, Window};
use consilium_protocol::wallet::Wallet;

use crate::support::{QUICK, World, alone, assert_phase, headcount, permit, research, run};

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

/// Consents that are bound to what a person has to judge count at the hospital that found it met, and nowhere else.
#[test]
fn what_consents_are_bound_to_is_ticked_by_the_steward() {
    alone(async || {
        let mut world = World::found(30, QUICK)?;
        world.start(&[0, 1, 2, 3]).await?;
        let mut bound = research();
        bound.rules[0].modifiers = vec![Modifier::Specific("studies of how people sleep".to_string())];
        let mut excluded = research();
        excluded.rules[0].modifiers = vec![Modifier::GeneticOnly];
        for position in 0..4 {
            world.enrol(position).await?;
            let persons = world.persons[position].clone();
            let (free, rest) = persons.split_at(12);
            let (specific, genetic) = rest.split_at(10);
            world.consortium.witness_grants(position, free, &research()).await?;
            world.consortium.witness_grants(position, specific, &bound).await?;
            world.consortium.witness_grants(position, genetic, &excluded).await?;
        }
        world.accredit().await?;
        let node = world.node().await?;
        let study = propose(&world.researcher, &node, &headcount()).await?.0;
        let short = study.short();
        let home = |position: usize| world.consortium.hospitals[position].home.clone();

        // The steward reads what it is, how many it concerns, and the word that ticks it.
        let text = run(&home(0), &["inbox"], 0);
        assert!(text.contains("how people sleep") && text.contains("--met specific-"), "{text}");
        let text = run(&home(0), &["consent", "explain", &short], 0);
        assert!(text.contains("11 to 21") && text.contains("fewer than 11"), "{text}");
        let word = text.split_whitespace().find(|word| word.starts_with("specific-")).expect("a word").to_string();
        assert!(run(&home(0), &["approve", &short, "--met", "ethics"], 2).contains(&word));
        let person = world.persons[0][12].to_string();
        let text = run(&home(0), &["consent", "explain", &short, "--person", &person], 0);
        assert!(text.contains("how people sleep"), "{text}");

        run(&home(0), &["approve", &short, "--met", &word], 0);
        let text = run(&home(1), &["approve", &short], 0);
        assert!(text.contains("count only with it"), "{text}");
        for position in 2..4 {
            world.consortium.approve(position, study).await?;
        }
        let reply = follow(&node, &study, Duration::from_secs(30)).await?;
        assert_phase(&reply, "released");
        let result = opened(&world.researcher, &node, &study).await?;
        let all = result.get().statistics[0].rows[0].measures[0].value.value();
        assert_eq!(all, Some(58.0), "12 at each of four hospitals, and 10 more where it was ticked");
        Ok(())
    });
}

/// A patient reads what becomes of their other consents before anything is signed; a part that is forbidden ends nothing.
#[test]
fn what_will_hold_is_said_before_it_is_signed() {
    alone(async || {
        let mut world = World::found(10, QUICK)?;
        world.start(&[0, 1, 2, 3]).await?;
        let wallet = Wallet::generate()?;
        let person = world.persons[0][0];
        world.consortium.enrol(0, &[(person, Some(&wallet))]).await?;
        let folder = tempfile::tempdir()?;
        let home = Home::create(&folder.path().join("patient"), Role::Patient, "Patient")?;
        home.keep_wallet(&wallet)?;
        home.finish()?;
        home.join(&world.consortium.genesis)?;
        let home = home.path();
        run(home, &["consent", "grant", "--preset", "research"], 0);
        let deny = folder.path().join("deny.toml");
        let text = "base = \"deny\"\n[[rules]]\neffect = \"deny\"\naction = \"aggregate\"\npurposes = \"any\"\n\
                    recipients = \"any\"\ndata = { only = [\"measurement\"] }\n";
        std::fs::write(&deny, text)?;
        let deny = deny.to_str().expect("a path");
        let text = run(home, &["consent", "grant", "--terms", deny, "--dry-run"], 0);
        assert!(text.contains("stay") && text.contains("Nothing was signed"), "{text}");
        let text = run(home, &["consent", "grant", "--terms", deny, "--replace", "--dry-run"], 0);
        assert!(text.contains("end with it"), "{text}");
        run(home, &["consent", "grant", "--terms", deny], 0);
        let shown = run(home, &["consent", "show"], 0);
        assert_eq!(shown.matches(", current").count(), 2, "{shown}");
        // A permit of all takes the place of both, and says so.
        let text = run(home, &["consent", "grant", "--preset", "research", "--dry-run"], 0);
        assert!(text.contains("end with it") && text.contains("measurements"), "{text}");
        run(home, &["consent", "grant", "--preset", "research"], 0);
        assert_eq!(run(home, &["consent", "show"], 0).matches(", current").count(), 1);
        Ok(())
    });
}
