//! Workers that are killed at any point lose no round, and no half of a contribution; hostile queries cost the node nothing
//! but their own study.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consilium::cli::{Failure, opened, propose};
use consilium::demo::acts::follow;
use consilium::demo::consortium::Consortium;
use consilium::demo::synthetic::{Synthetic, write_store};
use consilium::home::files::create_private_dir;
use consilium::vault::{Cohorts, ComputeError, History, Pairing, Partner, Task, Terms, Vault, VaultError, make_ready};
use consilium::worker::{Bounds, Program, Trouble, WorkerError};
use consilium_engine::cells::{EncryptedCells, StudySecretKey, combine, open};
use consilium_engine::disclosure::release;
use consilium_engine::rerun::{Basis, SubjectSet};
use consilium_engine::statistics::Layout;
use consilium_engine::store::StoreConfig;
use consilium_protocol::consent::Roll;
use consilium_protocol::genesis::Deadlines;
use consilium_protocol::ids::{ContentHash, Height, HospitalId, RoundNumber, StudyId, SubjectId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::StudySpec;

use crate::small::{BOUNDS, ENDLESS, MINUTE, PLAIN, Small, everything, exploding, link, roll, study, worker};
use crate::support::{QUICK, World, alone, headcount, plan, program};

/// The processes that this one, or its children, started as workers.
fn workers_of(parents: &[u32]) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_worker = |pid: &u32| {
        let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1)?.parse().ok());
        parent.is_some_and(|parent| parents.contains(&parent)) && read("cmdline").ends_with(b"\0worker\0")
    };
    pids.filter(is_worker).collect()
}

fn kill(pids: &[u32]) {
    for pid in pids {
        let _ = Command::new("kill").arg("-9").arg(pid.to_string()).output();
    }
}

/// Whether a process has ended with all of its threads, and waits at most for its parent to look.
fn is_dead(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.map_or(true, |status| status.contains("Z (zombie)") && status.contains("Threads:\t1\n"))
}

/// Numbers for delays, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

const HOSPITALS: usize = 3;
const ROUNDS: u64 = 100;

/// Three vaults with homes and stores of their own, and no ledger.
struct Vaults {
    consortium: Consortium,
    vaults: Vec<Vault>,
    rolls: Vec<Roll>,
    _folder: tempfile::TempDir,
}

impl Vaults {
    async fn open(patients: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let consortium = Consortium::found(plan(folder.path().to_path_buf(), QUICK))?;
        let (mut vaults, mut rolls) = (Vec::new(), Vec::new());
        for (hospital, found) in consortium.hospitals.iter().enumerate().take(HOSPITALS) {
            let persons = write_store(&Synthetic { hospital, patients, seed: 7 }, &found.store)?;
            let policy = consortium.genesis.policy;
            let terms = Terms {
                ledger: consortium.genesis.ledger(),
                hospital: found.member.id,
                policy,
                own_policy: policy,
                store: StoreConfig::of(found.store.clone()),
                catalogue: Vec::new(),
                program: Program::at(program()),
                bounds: BOUNDS,
            };
            vaults.push(Vault::open(&found.home, terms).await?);
            rolls.push(roll(&consortium.link(hospital)?, &persons));
        }
        Ok(Self { consortium, vaults, rolls, _folder: folder })
    }

    fn task(&self, hospital: usize, number: u64, public_key: Vec<u8>) -> Task {
        let mut study = [0; 32];
        study[..8].copy_from_slice(&number.to_le_bytes());
        let study = StudyId::from_bytes(study);
        // They approve in this order.
        let found: Vec<_> = self.consortium.hospitals.iter().take(HOSPITALS).collect();
        let ledger = self.consortium.genesis.ledger();
        let key = |of: usize| make_ready(&found[of].home, &ledger, &study).expect("a home").pair_key;
        let keys: Vec<(HospitalId, KemPublicKey)> = (0..HOSPITALS).map(|of| (found[of].member.id, key(of))).collect();
        let partner = |of: usize| {
            let (id, key) = keys[of];
            if of < hospital {
                return Partner::Earlier { hospital: id, key: Box::new(key) };
            }
            let before = vec![keys[hospital]];
            let bytes = self.vaults[of].encapsulate(&Pairing { study, key, before }).expect("secrets");
            Partner::Later { hospital: id, bytes }
        };
        let mut roster: Vec<HospitalId> = keys.iter().map(|(id, _)| *id).collect();
        roster.sort_unstable();
        Task {
            study,
            round: RoundNumber::new(0),
            spec: headcount(),
            public_key,
            roster,
            pair_key: keys[hospital].1,
            partners: (0..HOSPITALS).filter(|of| *of != hospital).map(partner).collect(),
            roll: self.rolls[hospital].clone(),
            left: Duration::from_secs(3_600),
            subjects: 100_000,
            privacy_loss: MicroRho::ZERO,
            guard: None,
            history: History::new(),
            earlier: Vec::new(),
            is_first: true,
        }
    }

    /// A contribution, tried as often as a node tries it by itself; how often a kill was met.
    async fn contribute(&self, hospital: usize, task: &Task) -> (Vec<u8>, u32) {
        for killed in 0.. {
            match self.vaults[hospital].contribute(task).await {
                Ok(contributed) => return (contributed.bytes, killed),
                Err(VaultError::Compute(ComputeError::Worker(WorkerError::Killed))) if killed < 2 => {}
                Err(error) => panic!("{error}"),
            }
        }
        unreachable!("it returns or panics");
    }

    /// What the three contributions of a round open to.
    fn result(&self, parts: &[Vec<u8>], secret: &StudySecretKey) -> String {
        let spec = headcount();
        let parts: Vec<EncryptedCells> = parts.iter().map(|part| EncryptedCells::from_bytes(part).unwrap()).collect();
        let cells = open(&combine(&parts).unwrap(), secret, HOSPITALS).unwrap();
        let policy = &self.consortium.genesis.policy;
        let released = release(&spec, &Layout::of(&spec).unwrap(), policy, HOSPITALS, cells).unwrap();
        format!("{:?}", released.get().estimates().map(|estimate| estimate.value()).collect::<Vec<_>>())
    }
}

#[test]
fn kill_minus_nine_at_any_point_of_a_hundred_rounds() {
    alone(async || {
        let vaults = Vaults::open(1_500).await?;
        let (secret, public) = StudySecretKey::generate()?;
        let mut parts = Vec::new();
        let started = Instant::now();
        for hospital in 0..HOSPITALS {
            let task = vaults.task(hospital, u64::MAX, public.to_bytes());
            parts.push(vaults.contribute(hospital, &task).await.0);
        }
        let undisturbed = started.elapsed() / HOSPITALS as u32;
        let expected = vaults.result(&parts, &secret);
        assert!(expected.contains("Some"), "{expected}");

        let (mut chance, mut met) = (Chance(1), 0);
        for round in 0..ROUNDS {
            let mut parts = Vec::new();
            for hospital in 0..HOSPITALS {
                let task = vaults.task(hospital, round, public.to_bytes());
                let contributing = vaults.contribute(hospital, &task);
                tokio::pin!(contributing);
                // One kill, from before the start of a study to after its end.
                let delay = Duration::from_micros(chance.below(undisturbed.as_micros() as u64 * 3 / 2));
                let (bytes, killed) = tokio::select! {
                    contributed = &mut contributing => contributed,
                    () = tokio::time::sleep(delay) => {
                        tokio::task::spawn_blocking(|| kill(&workers_of(&[std::process::id()]))).await?;
                        contributing.await
                    }
                };
                met += killed;
                parts.push(bytes);
            }
            assert_eq!(vaults.result(&parts, &secret), expected, "round {round}");
        }
        assert!(met > 30, "only {met} of {} kills were in the middle of a study", ROUNDS * HOSPITALS as u64);
        Ok(())
    });
}

#[test]
fn a_query_that_would_never_end_is_stopped_and_the_next_is_computed() {
    alone(async || {
        let small = Small::new(400_000, Bounds { time: Duration::from_secs(10), ..BOUNDS });
        small.counts().await;
        let started = Instant::now();
        let stopped = small.ask(ENDLESS).await.unwrap_err();
        assert_eq!(stopped, Trouble::Worker(WorkerError::Deadline { seconds: 10 }));
        assert!(started.elapsed() < Duration::from_secs(40));
        assert!(workers_of(&[std::process::id()]).is_empty(), "nobody goes on with it");
        small.counts().await;
        // Less is left of a round.
        let short = study(&small.worker, ENDLESS, &small.roll, Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(short, Trouble::Worker(WorkerError::Deadline { .. })), "{short:?}");

        let small = Small::new(400_000, Bounds { processor: Duration::from_secs(1), ..BOUNDS });
        let stopped = small.ask(ENDLESS).await.unwrap_err();
        assert_eq!(stopped, Trouble::Worker(WorkerError::Processor { seconds: 1 }));
        small.counts().await;
        Ok(())
    });
}

#[test]
fn a_worker_is_kept_and_started_anew_when_it_died_or_a_file_changed() {
    alone(async || {
        let mut small = Small::new(10, BOUNDS);
        let own = || workers_of(&[std::process::id()]);
        small.counts().await;
        let first = own();
        small.counts().await;
        assert_eq!((first.len(), own()), (1, first.clone()), "kept");
        // A refusal costs nothing.
        assert!(matches!(small.ask("SELECT 1 FROM nowhere").await, Err(Trouble::Refused(_))));
        assert_eq!(own(), first);

        kill(&first);
        let deadline = Instant::now() + MINUTE;
        while !first.iter().all(|pid| is_dead(*pid)) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        small.counts().await;
        let second = own();
        assert!(second.len() == 1 && second != first, "died while nobody needed it");

        let person = small.folder.path().join("person.csv");
        fs::write(&person, "person_id,gender_concept_id,year_of_birth\n3,8507,1950\n4,8507,1960\n")?;
        let counted = small.ask(PLAIN).await?;
        assert_eq!(counted.members.iter().map(|byte| byte.count_ones()).sum::<u32>(), 2);
        assert!(own() != second);
        // A file that is broken is an error now, and forgotten once it is mended.
        fs::write(&person, "person_id,gender_concept_id,year_of_birth\n3\n")?;
        assert!(matches!(small.ask(PLAIN).await, Err(Trouble::Refused(_))));
        fs::write(&person, "person_id,gender_concept_id,year_of_birth\n3,8507,1950\n")?;
        assert!(small.ask(PLAIN).await.is_ok());

        // More subjects: the list is sent again.
        small.roll = roll(&link(), &(1..=60).collect::<Vec<_>>());
        let counted = small.ask(PLAIN).await?;
        assert_eq!(counted.members.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);

        // A folder that is reached by a link.
        #[cfg(unix)]
        {
            let link = small.folder.path().with_extension("link");
            std::os::unix::fs::symlink(small.folder.path(), &link)?;
            small.worker = worker(&link, BOUNDS);
            assert!(small.ask(PLAIN).await.is_ok());
            fs::remove_file(link)?;
        }
        Ok(())
    });
}

#[test]
fn studies_go_one_after_another() {
    alone(async || {
        let small = Small::new(10, BOUNDS);
        small.counts().await;
        let asked = (0..8).map(|_| small.ask(PLAIN));
        let watching = async {
            let mut most = 0;
            for _ in 0..20 {
                most = most.max(workers_of(&[std::process::id()]).len());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            most
        };
        let (answers, most) = tokio::join!(futures::future::join_all(asked), watching);
        assert!(answers.iter().all(Result::is_ok) && most <= 1, "{most} at a time");
        Ok(())
    });
}

#[test]
fn a_node_whose_worker_is_killed_again_and_again_waits_for_its_steward() {
    alone(async || {
        let mut world = World::ready(200, Deadlines { round_ms: 120_000, ..QUICK }).await?;
        let node = world.node().await?;
        let home = world.consortium.hospitals[1].home.clone();
        let (_, nodes) = nodes_of(&world);
        let victim = nodes[1];
        let study = propose(&world.researcher, &node, &slow()).await?.0;
        // One hospital's worker is killed as soon as it is there; the others are left alone.
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let killing = {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    kill(&workers_of(&[victim]));
                }
            })
        };
        for position in 0..4 {
            world.consortium.approve(position, study).await?;
        }
        let deadline = Instant::now() + MINUTE;
        let waiting = loop {
            let failing = fs::read_to_string(home.join("failing.json"))?;
            if failing.contains("\"waits\": true") {
                break failing;
            }
            assert!(Instant::now() < deadline, "{failing}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        killing.join().unwrap();
        // Tries that ended otherwise, at no cost, are told with them.
        let killed = || -> Result<usize, Failure> {
            let log = fs::read_to_string(home.join("node.log"))?;
            Ok(log.lines().filter(|line| line.contains("not done") && line.contains("killed from outside")).count())
        };
        assert_eq!(killed()?, 3, "{waiting}");
        let tries = |failing: &str| {
            let all: Vec<serde_json::Value> = serde_json::from_str(failing).ok()?;
            all.iter().find(|one| one["waits"] == true)?["tries"].as_u64()
        };
        let tried = tries(&waiting);
        assert!(tried.is_some_and(|tried| tried >= 3) && waiting.contains("worker_killed"), "{waiting}");
        assert!(waiting.contains("\"told\": \"local\""), "{waiting}");
        // It is really left alone.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!((tries(&fs::read_to_string(home.join("failing.json"))?), killed()?), (tried, 3));
        let inbox = Command::new(program()).args(["inbox", "--home"]).arg(&home).output()?;
        let text = String::from_utf8_lossy(&inbox.stdout).into_owned();
        assert!(text.contains("killed from outside") && text.contains("study retry"), "{text}");

        let retry = Command::new(program()).args(["study", "retry", "--home"]).arg(&home).output()?;
        assert!(retry.status.success(), "{}", String::from_utf8_lossy(&retry.stderr));
        let reply = follow(&node, &study, MINUTE).await?;
        assert_eq!((reply.summary.unwrap().phase.as_str(), reply.rounds.len()), ("released", 1));
        opened(&world.researcher, &node, &study).await?;
        // Nothing waits any more.
        let again = Command::new(program()).args(["study", "retry", "--home"]).arg(&home).output()?;
        assert_eq!(again.status.code(), Some(1));
        world.consortium.stop_all().await;
        assert!(workers_of(&nodes).is_empty());
        Ok(())
    });
}

/// The same cohort as the headcount's, and long enough to be killed.
fn slow() -> StudySpec {
    let mut spec = headcount();
    spec.title = "Slow".to_string();
    spec
}

/// This process's children, which are nodes, in the order of their hospitals.
fn nodes_of(world: &World) -> (Vec<PathBuf>, Vec<u32>) {
    let homes: Vec<PathBuf> = world.consortium.hospitals.iter().map(|hospital| hospital.home.clone()).collect();
    let of = |home: &PathBuf| {
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_node = |pid: &u32| {
            let line =
                String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned();
            line.contains("\0node\0") && line.contains(&home.display().to_string())
        };
        pids.find(is_node).unwrap()
    };
    let pids = homes.iter().map(of).collect();
    (homes, pids)
}

/// This process alone, as a node's would be, with so many subjects on the ledger.
const SUBJECTS: usize = 2_500_000;

#[test]
fn the_nodes_process_hardly_grows() {
    alone(async || {
        // In a process of its own: other tests would be measured, too.
        let own = std::env::current_exe()?;
        let args = ["--exact", "workers::growth_of_a_process_of_its_own", "--ignored", "--nocapture"];
        let measured = Command::new(own).args(args).output()?;
        let text = String::from_utf8_lossy(&measured.stderr).into_owned() + &String::from_utf8_lossy(&measured.stdout);
        assert!(measured.status.success() && text.contains("1 passed"), "{text}");
        Ok(())
    });
}

fn memory_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

#[test]
#[ignore = "run by the_nodes_process_hardly_grows, in a process of its own"]
fn growth_of_a_process_of_its_own() {
    alone(async || {
        let small = Small::new(3_000, Bounds { time: Duration::from_secs(15), ..BOUNDS });
        small.counts().await;
        let before = memory_kib("VmRSS:");
        fs::write("/proc/self/clear_refs", "5")?;
        {
            // As the ledger makes it: subject by subject, the store's own among them.
            let mut own = (1..=10).map(|person| link().subject(person)).collect::<Vec<_>>();
            own.sort_unstable();
            let mut own = own.into_iter().peekable();
            let mut subjects = Vec::new();
            let mut class_of = consilium_protocol::consent::ClassList::default();
            for number in 0..SUBJECTS as u64 {
                let mut name = [0; 16];
                name[..8].copy_from_slice(&(number * (u64::MAX / SUBJECTS as u64)).to_be_bytes());
                let subject = SubjectId::from_bytes(name);
                while let Some(own) = own.next_if(|own| *own < subject) {
                    subjects.push(own);
                    class_of.push(Some(0));
                }
                subjects.push(subject);
                class_of.push(Some(0));
            }
            let roll = Roll {
                height: Height::new(1),
                day: consilium_protocol::ids::Date::from_days(20_000),
                classes: vec![everything()],
                class_of,
                subjects: Arc::new(subjects),
            };
            let hour = Duration::from_secs(3_600);
            for sql in [PLAIN.to_string(), exploding(4), PLAIN.to_string(), "SELECT".to_string()] {
                let answer = study(&small.worker, &sql, &roll, hour).await;
                assert_eq!(answer.is_ok(), sql == PLAIN, "{sql}");
            }
            // And remembered: everybody, and of whom there are as many again, every other one.
            let home = tempfile::tempdir()?;
            create_private_dir(&home.path().join("secrets"))?;
            let cohorts = Cohorts::open(home.path())?;
            let bytes = roll.subjects.len() / 8;
            for (number, bits) in [(1, 0xFF), (2, 0x55)] {
                let mut members = vec![bits; bytes];
                members.resize(roll.subjects.len().div_ceil(8), 0);
                let cohort = SubjectSet::chosen(roll.subjects.clone(), members).unwrap();
                let basis = Basis { roster: ContentHash::from_bytes([1; 32]), terms: cohort.terms(&roll) };
                let round = (StudyId::from_bytes([number; 32]), RoundNumber::new(0));
                cohorts.contribute(round, basis, cohort, 11, History::new()).await?;
            }
        }
        let grown = memory_kib("VmHWM:").saturating_sub(before) << 10;
        let limit = (64 << 20) + 4 * SUBJECTS as u64;
        eprintln!("grown by {} MiB of {}", grown >> 20, limit >> 20);
        assert!(grown < limit, "grown by {} MiB, more than {}", grown >> 20, limit >> 20);
        Ok(())
    });
}

#[test]
fn a_check_whose_process_is_killed_says_so() {
    alone(async || {
        let folder = tempfile::tempdir()?;
        let study = folder.path().join("study.toml");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/studies/glycaemia.toml");
        fs::copy(example, &study)?;
        let home = folder.path().join("home");
        fs::create_dir(&home)?;
        let check = || {
            let mut command = Command::new(program());
            command.args(["study", "check"]).arg(&study).arg("--home").arg(&home);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()
        };
        assert!(check()?.wait_with_output()?.status.success());
        let mut killed = check()?;
        let deadline = Instant::now() + MINUTE;
        while killed.try_wait()?.is_none() && Instant::now() < deadline {
            kill(&workers_of(&[killed.id()]));
        }
        let output = killed.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("killed from outside"), "{text}");
        Ok(())
    });
}
