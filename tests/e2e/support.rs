//! A running consortium for a test, with a small study.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use consilium::cli::Failure;
use consilium::demo::consortium::{Consortium, Plan};
use consilium::demo::synthetic::{Synthetic, write_store};
use consilium::home::Home;
use consilium::home::secrets::{self, Kind};
use consilium::net::client::{Node, refused};
use consilium_protocol::consent::{Action, Effect, Purpose, Rule, Scope, Terms};
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::hash::{Tagged, tagged};
use consilium_protocol::ids::{HospitalId, RoundNumber, StudyId};
use consilium_protocol::lots::{self, Draw, LotKey};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::StudySpec;
use consilium_protocol::wire::{self, StudyRequest};

static TURN: Mutex<()> = Mutex::new(());

/// Runs one test after another, each on a runtime of its own.
pub fn alone(test: impl AsyncFnOnce() -> Result<(), Failure>) {
    // A test that failed does not spoil the next.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(test());
    runtime.shutdown_timeout(Duration::from_secs(5));
    if let Err(failure) = outcome {
        panic!("{}", failure.message());
    }
}

/// The program under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_consilium"))
}

/// Runs the program over a home.
pub fn consilium(home: &Path, args: &[&str]) -> Output {
    // Whatever language whoever runs the tests reads.
    Command::new(program()).args(args).arg("--home").arg(home).env("LC_ALL", "C").output().unwrap()
}

/// What it printed.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The text of a command that must end with this exit code.
pub fn run(home: &Path, args: &[&str], exit: i32) -> String {
    let output = consilium(home, args);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// Runs a command until it says something.
pub async fn until_said(home: &Path, args: &[&str], words: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = said(&consilium(home, args));
        if text.contains(words) {
            return text;
        }
        assert!(Instant::now() < deadline, "{args:?} never says `{words}`: {text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A study has come to this phase; where it has not, what became of its rounds is said.
pub fn assert_phase(reply: &wire::StudyReply, phase: &str) {
    let came_to = reply.summary.as_ref().map(|summary| summary.phase.as_str());
    assert_eq!(came_to, Some(phase), "{:#?}", reply.rounds);
}

/// Deadlines short enough for a test.
pub const QUICK: Deadlines = Deadlines { approval_ms: 600_000, grace_ms: 10_000, round_ms: 6_000, key_wait_ms: 4_000 };

/// A consortium of four with running nodes.
pub struct World {
    pub consortium: Consortium,
    pub researcher: Home,
    /// The persons of each hospital.
    pub persons: Vec<Vec<i64>>,
    _folder: tempfile::TempDir,
}

pub fn plan(folder: PathBuf, deadlines: Deadlines) -> Plan {
    Plan {
        folder,
        program: program(),
        hospitals: ["North", "South", "West", "East"].map(String::from).to_vec(),
        chain_id: "test".to_string(),
        policy: DisclosurePolicy {
            open_studies: true,
            slot_seconds: 1,
            studies_per_researcher: 1_000,
            ..DisclosurePolicy::default()
        },
        deadlines,
        heartbeat_ms: 1_000,
        tables: Vec::new(),
    }
}

impl World {
    /// Founds a consortium whose hospitals have synthetic patients; starts nothing.
    pub fn found(patients: usize, deadlines: Deadlines) -> Result<Self, Failure> {
        Self::found_with([patients; 4], deadlines, 1)
    }

    /// Likewise, with so many patients at each hospital, and slots of so many seconds.
    pub fn found_with(patients: [usize; 4], deadlines: Deadlines, slot_seconds: u32) -> Result<Self, Failure> {
        Self::found_as(patients, deadlines, |policy| policy.slot_seconds = slot_seconds)
    }

    /// Likewise, with another policy.
    pub fn found_as(
        patients: [usize; 4],
        deadlines: Deadlines,
        change: impl FnOnce(&mut DisclosurePolicy),
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let mut plan = plan(folder.path().to_path_buf(), deadlines);
        change(&mut plan.policy);
        let consortium = Consortium::found(plan)?;
        let mut persons = Vec::new();
        for ((hospital, found), patients) in consortium.hospitals.iter().enumerate().zip(patients) {
            persons.push(write_store(&Synthetic { hospital, patients, seed: 7 }, &found.store)?);
        }
        let researcher = consortium.researcher("researcher")?;
        Ok(Self { consortium, researcher, persons, _folder: folder })
    }

    /// Starts these nodes and waits until they are ready.
    pub async fn start(&mut self, positions: &[usize]) -> Result<(), Failure> {
        for position in positions {
            self.consortium.start(*position)?;
        }
        for position in positions {
            self.consortium.wait_ready(*position, Duration::from_secs(30)).await?;
        }
        Ok(())
    }

    /// A consortium with every node running, everybody enrolled and permitting research, and the researcher accredited.
    pub async fn ready(patients: usize, deadlines: Deadlines) -> Result<Self, Failure> {
        let mut world = Self::found(patients, deadlines)?;
        world.open().await?;
        Ok(world)
    }

    /// Starts every node, enrols everybody, who permit research, and accredits the researcher.
    pub async fn open(&mut self) -> Result<(), Failure> {
        self.start(&[0, 1, 2, 3]).await?;
        for position in 0..4 {
            self.enrol(position).await?;
            self.consortium.witness_grants(position, &self.persons[position], &research()).await?;
        }
        self.accredit().await
    }

    pub async fn enrol(&self, position: usize) -> Result<(), Failure> {
        let persons: Vec<_> = self.persons[position].iter().map(|person| (*person, None)).collect();
        self.consortium.enrol(position, &persons).await
    }

    pub async fn accredit(&self) -> Result<(), Failure> {
        self.consortium.accredit(&self.researcher.signing_key()?, "Tester", "University").await
    }

    pub async fn node(&self) -> Result<Node, Failure> {
        Ok(self.consortium.node(0).await?)
    }
}

/// Waits until so many approvers are paired.
pub async fn paired(node: &Node, study: StudyId, wanted: usize) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let request = StudyRequest { study: study.as_bytes().to_vec() };
        let reply = node.ledger().study(request).await.map_err(refused)?.into_inner();
        if reply.decisions.iter().filter(|decision| decision.paired).count() >= wanted {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "nobody pairs");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Any research.
pub fn research() -> Terms {
    permit(Purpose::GeneralResearch)
}

/// Aggregate statistics for one purpose.
pub fn permit(purpose: Purpose) -> Terms {
    let rule = Rule::new(Effect::Permit, Action::Aggregate, Scope::Only(vec![purpose]));
    Terms::opt_in(vec![rule])
}

/// How many patients there are, and how many of each sex.
pub fn headcount() -> StudySpec {
    StudySpec::from_toml(
        r#"
version = 1
title = "Headcount"
description = "How many patients there are."
purpose = "HMB"
declares = []
protection = "open"

[cohort]
subject = "person_id"
sql = "SELECT person_id, gender_concept_id AS sex, year_of_birth FROM person"

[[variable]]
name = "year_of_birth"
min = 1900
max = 2030
resolution = 1

[[dimension]]
name = "sex"
values = [{ value = 8532, label = "female" }, { value = 8507, label = "male" }]

[[statistic]]
name = "all"
kind = "count"

[[statistic]]
name = "born"
kind = "mean"
of = "year_of_birth"
by = ["sex"]
"#,
    )
    .unwrap()
}

/// Whom the lots of a study's first round will draw to show how its contribution was made, if all four take part.
pub fn to_be_examined(world: &World, study: &StudyId) -> usize {
    let (ledger, round) = (world.consortium.genesis.ledger(), RoundNumber::new(0));
    let mut roster: Vec<HospitalId> = world.consortium.genesis.member.iter().map(|member| member.id).collect();
    roster.sort_unstable();
    let number = round.get().to_le_bytes();
    let mut hash = Tagged::new("consilium/examined/v1");
    hash.part(study.as_bytes());
    hash.part(&number);
    for id in &roster {
        let hospital = world.consortium.hospitals.iter().find(|hospital| hospital.member.id == *id).expect("a member");
        let key = LotKey::from_seed(secrets::read(&hospital.home, Kind::Lots).expect("a key")).expect("a key");
        let message = lots::message(&ledger, study, round, Draw::Examined);
        let lot = key.draw(&message).lot(&key.public_key(), &message).expect("its own");
        hash.part(id.public_key());
        hash.part(&tagged("consilium/lot-shown/v1", &[&lot]));
    }
    let hash = hash.finish();
    let number = u64::from_le_bytes(*hash.first_chunk().expect("8 of 32 bytes"));
    let drawn = roster[(number % 4) as usize];
    world.consortium.hospitals.iter().position(|hospital| hospital.member.id == drawn).expect("a member")
}
