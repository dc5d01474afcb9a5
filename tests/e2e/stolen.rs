//! A home that is stolen after a study has ended opens nothing of it, though everything that was sent was recorded, and though
//! the thief has the researcher's key.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use consilium::cli::{Failure, propose};
use consilium::demo::acts::follow;
use consilium::home::secrets::{self, Kind};
use consilium_engine::cells::{
    BlindingRoster, BlindingRound, Blinds, EncryptedCells, PairSecrets, StudyPublicKey, StudySecretKey, combine,
    contribute, open,
};
use consilium_engine::disclosure::release;
use consilium_engine::statistics::Layout;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::pairing::{PAIR_BYTES, Pair, PairKey, PairSecret};
use consilium_protocol::study::{Protection, StudySpec};

use crate::support::{QUICK, World, alone, assert_phase, headcount};

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Whether any file below a folder holds these bytes.
fn holds(folder: &Path, wanted: &[u8]) -> Option<PathBuf> {
    files(folder).into_iter().find(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

/// What somebody copies who has a hospital's home while a study runs.
#[derive(Default)]
struct Copied {
    seed: Vec<u8>,
    contribution: Vec<u8>,
    encapsulated: BTreeMap<HospitalId, Vec<u8>>,
}

impl Copied {
    /// Whatever of it is there now.
    fn look(&mut self, world: &World, home: &Path, study: &StudyId) {
        if let Ok(seed) = secrets::read_at(&home.join("secrets/pairs").join(format!("{study}.secret")), Kind::Pair) {
            self.seed = seed.to_vec();
        }
        if let Ok(bytes) = fs::read(home.join("rounds").join(format!("{study}-0.contribution"))) {
            self.contribution = bytes;
        }
        for other in &world.consortium.hospitals {
            let id = other.member.id;
            if let Ok(bytes) = fs::read(home.join("pairs").join(format!("{study}-{id}.keys"))) {
                self.encapsulated.insert(id, bytes);
            }
        }
    }

    fn is_complete(&self) -> bool {
        !self.seed.is_empty() && !self.contribution.is_empty() && self.encapsulated.len() == 4
    }

    /// How many patients the first that approved has, by its seed, what it contributed, and the researcher's key: contributions of
    /// nothing in the others' names, blinded with what they share with it, and it alone is left.
    fn opened(&self, world: &World, study: StudyId, spec: &StudySpec, researcher: &Researcher) -> Option<f64> {
        let genesis = &world.consortium.genesis;
        let ledger = genesis.ledger();
        let own = world.consortium.hospitals[0].member.id;
        let key = PairKey::from_seed(zeroize::Zeroizing::new(self.seed.clone().try_into().unwrap()));
        let public = key.public_key();
        let layout = Layout::of(spec).unwrap();
        let roster = BlindingRoster::new(genesis.member.iter().map(|member| member.id).collect()).unwrap();
        let round = BlindingRound { ledger: &ledger, study, round: RoundNumber::new(0), roster: &roster };
        let mut parts = vec![EncryptedCells::from_bytes(&self.contribution).unwrap()];
        for other in &world.consortium.hospitals[1..] {
            let from = other.member.id;
            let pair = Pair { ledger: &ledger, study, from, to: own, key: &public };
            // The first that approved stands first in what each later one encapsulated.
            let shared = key.decapsulate(&pair, &self.encapsulated[&from][..PAIR_BYTES]).unwrap();
            let made_up = genesis.member.iter().map(|member| (member.id, PairSecret::from_bytes([1; 32])));
            let mut secrets: PairSecrets = made_up.collect();
            secrets.insert(own, shared);
            let blinds = Blinds::derive(&round, from, &secrets, layout.cells()).unwrap();
            parts.push(contribute(&vec![0; layout.cells()], blinds, &researcher.public).unwrap());
        }
        let cells = open(&combine(&parts).unwrap(), &researcher.secret, 4).unwrap();
        let released = release(spec, &layout, &genesis.policy, 4, cells).unwrap();
        released.get().statistics[0].rows[0].measures[0].value.value()
    }
}

/// The keys of a study.
struct Researcher {
    secret: StudySecretKey,
    public: StudyPublicKey,
}

async fn steal(study_of: impl Fn() -> StudySpec, deadlines: Deadlines) -> Result<(), Failure> {
    let world = World::ready(60, deadlines).await?;
    let node = world.node().await?;
    let spec = study_of();
    let study = propose(&world.researcher, &node, &spec).await?.0;
    for position in 0..4 {
        world.consortium.approve(position, study).await?;
    }
    let home = world.consortium.hospitals[0].home.clone();
    let mut copied = Copied::default();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !copied.is_complete() {
        assert!(Instant::now() < deadline, "the study does not begin");
        copied.look(&world, &home, &study);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let reply = follow(&node, &study, Duration::from_secs(90)).await?;
    assert_phase(&reply, "released");

    // Whoever has the home of an open study while it runs, and the researcher's key, sees what the hospital contributed.
    let folder = world.researcher.path().join("studies").join(study.to_string());
    let secret = StudySecretKey::from_bytes(&fs::read(folder.join("secret.key"))?)?;
    let researcher = Researcher { secret, public: StudyPublicKey::from_bytes(&reply.public_key)? };
    if spec.protection == Protection::Open {
        assert_eq!(copied.opened(&world, study, &spec, &researcher), Some(60.0), "its own patients");
    }

    // Afterwards nothing of it is left but the result and what is remembered of the hospital's own patients, as in its tables.
    let wanted = [
        hex::encode(&copied.seed).into_bytes(),
        copied.seed.clone(),
        copied.contribution[1_000..1_064].to_vec(),
        copied.encapsulated[&world.consortium.hospitals[1].member.id][..64].to_vec(),
    ];
    let deadline = Instant::now() + Duration::from_secs(30);
    for hospital in &world.consortium.hospitals {
        loop {
            let named = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let of_study = name.starts_with(&study.to_string());
                let is_memory = path.parent().is_some_and(|folder| folder.ends_with("remembered"));
                of_study && !(name.ends_with(".sum") || name.ends_with(".disclosed") || is_memory)
            };
            let left = files(&hospital.home).into_iter().find(named);
            let left = left.or_else(|| wanted.iter().find_map(|wanted| holds(&hospital.home, wanted)));
            // A set of keys whose role was drawn.
            let sets = fs::read_dir(hospital.home.join("secrets/guard"))?.count();
            if left.is_none() && sets <= 1 {
                break;
            }
            assert!(Instant::now() < deadline, "{left:?} and {sets} sets are left at {}", hospital.member.name);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

#[test]
fn a_home_that_is_stolen_after_an_open_study_opens_nothing_of_it() {
    alone(async || steal(headcount, Deadlines { round_ms: 20_000, ..QUICK }).await);
}

#[test]
fn a_home_that_is_stolen_after_a_guarded_study_opens_nothing_of_it() {
    let guarded = || StudySpec { protection: Protection::Guarded, ..headcount() };
    alone(async || steal(guarded, Deadlines { round_ms: 60_000, ..QUICK }).await);
}
