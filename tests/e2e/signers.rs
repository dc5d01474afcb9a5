//! Who signs for a patient, as people do it: proxies and guardians, a stolen key, a lost one, an objection; and patients who
//! turn out to be one person.

use std::path::{Path, PathBuf};

use consilium::cli::Failure;
use consilium::home::{Home, Role};
use consilium_protocol::wallet::Wallet;

use crate::support::{QUICK, World, alone, run, until_said};

/// The wallet of somebody, in a home of its own that has joined.
fn wallet_home(world: &World, folder: &Path, name: &str, wallet: &Wallet) -> Result<PathBuf, Failure> {
    let home = Home::create(&folder.join(name), Role::Patient, name)?;
    home.keep_wallet(wallet)?;
    home.finish()?;
    home.join(&world.consortium.genesis)?;
    Ok(home.path().to_path_buf())
}

struct Scene {
    world: World,
    folder: tempfile::TempDir,
    desk: PathBuf,
    person: String,
    subject: String,
    patient: PathBuf,
    form: String,
}

impl Scene {
    /// The first patient of the first hospital has a wallet; the others have none.
    async fn open() -> Result<Self, Failure> {
        let mut world = World::found(12, QUICK)?;
        world.start(&[0, 1, 2, 3]).await?;
        let wallet = Wallet::generate()?;
        let persons: Vec<_> =
            world.persons[0].iter().enumerate().map(|(i, person)| (*person, (i == 0).then_some(&wallet))).collect();
        world.consortium.enrol(0, &persons).await?;
        let person = world.persons[0][0];
        let subject = world.consortium.link(0)?.subject(person).to_string();
        let folder = tempfile::tempdir()?;
        let patient = wallet_home(&world, folder.path(), "patient", &wallet)?;
        let desk = world.consortium.hospitals[0].home.clone();
        Ok(Self { world, folder, desk, person: person.to_string(), subject, patient, form: "ab".repeat(32) })
    }

    fn stranger(&self, name: &str) -> Result<PathBuf, Failure> {
        wallet_home(&self.world, self.folder.path(), name, &Wallet::generate()?)
    }

    /// The code by which somebody agrees to sign, for themselves or for another.
    fn code(&self, home: &Path, for_other: bool) -> String {
        let mut args = vec!["consent", "code", "--hospital", "North", "--subject", &self.subject, "--json"];
        if for_other {
            args.push("--for-other");
        }
        let text = run(home, &args, 0);
        let value: serde_json::Value = serde_json::from_str(&text).expect("an object");
        value["code"].as_str().expect("a code").to_string()
    }

    fn at_the_desk<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        let form = ["--person", &self.person, "--form", &self.form, "--signed", "2026-01-31"];
        ["patients"].into_iter().chain(command.iter().copied()).chain(form).collect()
    }
}

const STAFF: [&str; 4] = ["--staff", "A. Weber", "--staff", "M. Lang"];

#[test]
fn a_proxy_signs_within_their_scope_until_it_ends() {
    alone(async || {
        let scene = Scene::open().await?;
        let proxy = scene.stranger("proxy")?;
        let code = scene.code(&proxy, true);
        let grant = |preset: &'static str| ["consent", "grant", "--for", scene.subject.as_str(), "--preset", preset];
        assert!(run(&proxy, &grant("health"), 1).contains("not enrolled"), "before anybody named them");

        let until = ["--until", "2027-01-31", "--purposes", "HMB", "--actions", "aggregate"];
        let text = run(&scene.patient, &[&["wallet", "delegate", "--code", &code][..], &until[..4]].concat(), 0);
        assert!(text.contains("signs for you until 2027-01-31"), "{text}");
        let text = run(&proxy, &grant("health"), 0);
        assert!(text.contains("health research"), "{text}");
        for wider in ["research", "care"] {
            let text = run(&proxy, &grant(wider), 1);
            assert!(text.contains("more than the delegation allows"), "{text}");
        }
        // Whoever looks sees who signed.
        assert!(run(&scene.patient, &["consent", "show"], 0).contains("proxy"));
        assert!(run(&scene.desk, &["history", "--person", &scene.person], 0).contains("proxy"));
        let text = run(&scene.patient, &["wallet", "show"], 0);
        assert!(text.contains("proxy") && text.contains("2027-01-31") && text.contains("HMB"), "{text}");

        let key = code.split(':').next().expect("a key");
        run(&scene.patient, &["wallet", "end-delegate", key], 0);
        let text = run(&proxy, &grant("health"), 1);
        assert!(text.contains("not enrolled"), "a key that no longer signs learns nothing: {text}");
        // What they signed while they could stays until it is taken back.
        assert!(run(&scene.patient, &["consent", "show"], 0).contains(", current"));
        run(&scene.patient, &["consent", "revoke"], 0);
        Ok(())
    });
}

#[test]
fn two_guardians_permit_together() {
    alone(async || {
        let mut scene = Scene::open().await?;
        // Somebody without a wallet.
        let child = scene.world.persons[0][1];
        scene.person = child.to_string();
        scene.subject = scene.world.consortium.link(0)?.subject(child).to_string();
        let (mother, father) = (scene.stranger("mother")?, scene.stranger("father")?);
        for home in [&mother, &father] {
            let code = scene.code(home, true);
            let args = ["delegate", "guardian", "--needed", "2", "--code", &code, "--until", "2027-01-31"];
            run(&scene.desk, &scene.at_the_desk(&args), 0);
        }
        let grant = ["consent", "grant", "--for", &scene.subject, "--preset", "health"];
        assert!(run(&mother, &grant, 1).contains("2 guardians have to permit this together"));
        let cosign = ["consent", "cosign", "--for", &scene.subject, "--preset", "health", "--json"];
        let value: serde_json::Value = serde_json::from_str(&run(&father, &cosign, 0)).expect("an object");
        let code = value["code"].as_str().expect("a code");
        run(&mother, &[&grant[..], &["--cosigned", code]].concat(), 0);
        // It serves once, and each takes back alone.
        run(&father, &["consent", "revoke", "--for", &scene.subject], 0);
        run(&mother, &[&grant[..], &["--cosigned", code]].concat(), 1);
        let text = run(&scene.desk, &["patients", "due", "--days", "400"], 0);
        assert!(text.contains(&scene.person) && text.matches("a guardian's time ends").count() == 2, "{text}");
        assert!(run(&scene.desk, &["patients", "due", "--days", "0"], 0).contains("nothing is due"));
        let text = run(&scene.desk, &["patients", "signers", "--person", &scene.person], 0);
        assert_eq!(text.matches("guardian, 2 together").count(), 2, "{text}");
        Ok(())
    });
}

#[test]
fn a_stolen_key_permits_nothing_and_its_objection_does_not_win() {
    alone(async || {
        let scene = Scene::open().await?;
        let grant = ["consent", "grant", "--preset", "research"];
        run(&scene.patient, &grant, 0);
        assert!(run(&scene.patient, &["wallet", "freeze"], 0).contains("North: frozen"));
        // The thief has the words.
        assert!(run(&scene.patient, &grant, 1).contains("keys are frozen"));
        run(&scene.patient, &["consent", "revoke"], 0);

        let new = scene.stranger("new")?;
        let code = scene.code(&new, false);
        let rotate = ["rotate-key", "--code", &code];
        let alone = [&rotate[..], &STAFF[..2]].concat();
        assert!(run(&scene.desk, &scene.at_the_desk(&alone), 2).contains("--staff twice"));
        let twice = [&rotate[..], &STAFF[..2], &["--staff", "a. weber"]].concat();
        assert!(run(&scene.desk, &scene.at_the_desk(&twice), 2).contains("one person"));
        run(&scene.desk, &scene.at_the_desk(&[&rotate[..], &STAFF].concat()), 0);
        assert!(run(&new, &grant, 1).contains("keys are frozen"), "it has to wait");
        // The thief objects: the clock stops.
        run(&scene.patient, &["wallet", "freeze"], 0);
        let text =
            until_said(&scene.desk, &["patients", "signers", "--person", &scene.person], "the old key objects").await;
        assert!(text.contains("the hospital's desk decides"), "{text}");
        tokio::time::sleep(std::time::Duration::from_millis(2 * QUICK.key_wait_ms)).await;
        assert!(run(&new, &grant, 1).contains("keys are frozen"));
        // The patient comes a second time.
        let decide = |form: &str, day: &str| {
            let form = ["--person", &scene.person, "--form", form, "--signed", day];
            [&["patients", "decide-key", "take"][..], &STAFF, &form]
                .concat()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let today = consilium::cli::term::today().to_string();
        let first = decide(&scene.form, &today);
        let text = run(&scene.desk, &first.iter().map(String::as_str).collect::<Vec<_>>(), 1);
        assert!(text.contains("a second time"), "{text}");
        let second = decide(&"cd".repeat(32), &today);
        run(&scene.desk, &second.iter().map(String::as_str).collect::<Vec<_>>(), 0);
        run(&new, &grant, 0);
        assert!(run(&scene.patient, &grant, 1).contains("not enrolled"), "the stolen key is nobody's");
        let record = std::fs::read_to_string(scene.desk.join("desk.jsonl"))?;
        assert!(record.contains("A. Weber") && record.lines().count() == 3, "{record}");
        Ok(())
    });
}

#[test]
fn a_lost_key_is_replaced_after_its_time() {
    alone(async || {
        let scene = Scene::open().await?;
        let new = scene.stranger("new")?;
        let code = scene.code(&new, false);
        run(&scene.desk, &scene.at_the_desk(&[&["rotate-key", "--code", &code][..], &STAFF].concat()), 0);
        let grant = ["consent", "grant", "--preset", "research"];
        assert!(run(&new, &grant, 1).contains("keys are frozen"));
        until_said(&new, &grant, "Recorded at North").await;
        Ok(())
    });
}

#[test]
fn behind_a_closed_door_paper_permits_nothing() {
    alone(async || {
        let scene = Scene::open().await?;
        run(&scene.patient, &["wallet", "paper", "--close"], 0);
        let forms = scene.folder.path().join("forms.csv");
        std::fs::write(&forms, format!("person_id,form,signed\n{},{},2026-01-31\n", scene.person, scene.form))?;
        let forms = forms.to_str().expect("a path");
        let text = run(&scene.desk, &["patients", "grant", "--preset", "research", "--forms", forms], 1);
        assert!(text.contains("closed the door for paper forms"), "{text}");
        run(&scene.patient, &["wallet", "paper", "--open"], 0);
        run(&scene.desk, &["patients", "grant", "--preset", "research", "--forms", forms], 0);
        Ok(())
    });
}

#[test]
fn patients_are_merged_and_closed() {
    alone(async || {
        let scene = Scene::open().await?;
        let other = scene.world.persons[0][1].to_string();
        run(&scene.patient, &["consent", "grant", "--preset", "research"], 0);
        run(&scene.desk, &["patients", "merge", "--from", &other, "--into", &scene.person], 0);
        assert!(
            run(&scene.desk, &["patients", "merge", "--from", &other, "--into", &scene.person], 1).contains("merged")
        );
        run(&scene.desk, &["patients", "unmerge", "--person", &other], 0);
        run(&scene.desk, &["patients", "close", "--reason", "moved", "--person", &scene.person], 0);
        let text = run(&scene.patient, &["consent", "show"], 0);
        assert!(text.contains("left the hospital"), "{text}");
        run(&scene.patient, &["consent", "grant", "--preset", "research"], 0);
        run(&scene.desk, &["patients", "close", "--reason", "death", "--person", &scene.person], 0);
        let text = run(&scene.patient, &["consent", "grant", "--preset", "research"], 1);
        assert!(text.contains("died"), "{text}");
        Ok(())
    });
}

/// The words of a wallet on paper bring it back.
#[test]
fn a_sheet_brings_a_wallet_back() {
    alone(async || {
        let scene = Scene::open().await?;
        let value: serde_json::Value =
            serde_json::from_str(&run(&scene.patient, &["wallet", "sheet", "--json"], 0)).expect("an object");
        let words = value["words"].as_str().expect("words").to_string();
        assert_eq!(words.split(' ').count(), 12);
        let text = run(&scene.patient, &["wallet", "sheet"], 0);
        assert!(words.split(' ').all(|word| text.contains(word)) && text.contains('█'), "{text}");
        let png = scene.folder.path().join("sheet.png");
        run(&scene.patient, &["wallet", "sheet", "--png", png.to_str().expect("a path")], 0);
        assert_eq!(std::fs::read(&png)?[..8], *b"\x89PNG\r\n\x1a\n");
        run(&scene.patient, &["wallet", "sheet", "--png", png.to_str().expect("a path")], 1);

        let again = scene.folder.path().join("again");
        let output = std::process::Command::new(crate::support::program())
            .args(["wallet", "recover", "--name", "again", "--home"])
            .arg(&again)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                use std::io::Write as _;
                child.stdin.take().expect("a pipe").write_all(words.as_bytes())?;
                child.wait_with_output()
            })?;
        assert!(output.status.success());
        Home::open(&again)?.join(&scene.world.consortium.genesis)?;
        run(&again, &["consent", "grant", "--preset", "health"], 0);
        Ok(())
    });
}
