//! Consents that hospitals have in FHIR's format: imported, changed, refused, ended, and written again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use consilium::cli::{Failure, propose};
use consilium::home::{Home, Role};
use consilium_protocol::wallet::Wallet;
use serde_json::{Value, json};

use crate::support::{QUICK, World, alone, consilium, headcount, run, said};

fn purpose() -> Value {
    json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}])
}

/// A consent of R4 about research, of a patient as the source names them.
fn r4(id: &str, patient: &str, provision: Value) -> Value {
    json!({
        "resourceType": "Consent", "id": id, "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": format!("Patient/{patient}")},
        "dateTime": "2024-05-01",
        "provision": provision,
    })
}

fn rule(effect: &str) -> Value {
    json!({"type": "deny", "provision": [{"type": effect, "purpose": purpose()}]})
}

/// A deny of what there is no word for here.
fn unsayable() -> Value {
    let trials = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "CLINTRL"}]);
    json!({"type": "permit", "purpose": purpose(), "provision": [{"type": "deny", "purpose": trials}]})
}

fn r5(id: &str, patient: &str) -> Value {
    json!({
        "resourceType": "Consent", "id": id, "status": "active",
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "subject": {"reference": format!("Patient/{patient}")}, "date": "2024-05-01",
        "decision": "deny", "provision": [{"purpose": purpose()}],
    })
}

fn broad(id: &str, patient: &str) -> Value {
    let period = json!({"start": "2020-09-01", "end": "2050-08-31"});
    let permit = |number: u16| {
        let code = format!("2.16.840.1.113883.3.1937.777.24.5.3.{number}");
        json!({"type": "permit", "period": period,
            "code": [{"coding": [{"system": "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3", "code": code}]}]})
    };
    let provisions: Vec<Value> = [6, 7, 8].map(permit).to_vec();
    let mut consent = r4(id, patient, json!({"type": "deny", "period": period, "provision": provisions}));
    consent["meta"] = json!({"source": "urn:consents"});
    consent["policy"] = json!([{"uri": "urn:oid:2.16.840.1.113883.3.1937.777.24.2.1791"}]);
    consent
}

fn with(mut consent: Value, name: &str, value: Value) -> Value {
    consent[name] = value;
    consent
}

struct Scene {
    world: World,
    folder: tempfile::TempDir,
    desk: PathBuf,
    wallet: Wallet,
    study: String,
}

impl Scene {
    /// The first hospital's first ten patients are on the ledger, without consents; the first has a wallet.
    async fn open() -> Result<Self, Failure> {
        let mut world = World::found(12, QUICK)?;
        world.start(&[0, 1, 2, 3]).await?;
        let wallet = Wallet::generate()?;
        let of = |(i, person): (usize, &i64)| (*person, (i == 0).then_some(&wallet));
        let persons: Vec<_> = world.persons[0].iter().take(10).enumerate().map(of).collect();
        world.consortium.enrol(0, &persons).await?;
        world.accredit().await?;
        let node = world.node().await?;
        let study = propose(&world.researcher, &node, &headcount()).await?.0.short();
        let folder = tempfile::tempdir()?;
        let lines = world.persons[0].iter().enumerate().map(|(i, person)| format!("Patient/secret{i},{person}\n"));
        fs::write(folder.path().join("persons.csv"), format!("patient,person_id\n{}", lines.collect::<String>()))?;
        let desk = world.consortium.hospitals[0].home.clone();
        Ok(Self { world, folder, desk, wallet, study })
    }

    fn file(&self, name: &str, consents: &[Value]) -> PathBuf {
        let path = self.folder.path().join(name);
        let text: String = consents.iter().map(|consent| format!("{consent}\n")).collect();
        fs::write(&path, text).unwrap();
        path
    }

    /// Imports; answers what it came to, of which nothing is a patient's name.
    fn import(&self, files: &[&Path], more: &[&str], exit: i32) -> BTreeMap<String, u64> {
        let map = self.folder.path().join("persons.csv");
        let mut args = vec!["consent", "import", "--json", "--map", map.to_str().unwrap()];
        args.extend(files.iter().map(|file| file.to_str().unwrap()));
        args.extend(more);
        let output = consilium(&self.desk, &args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(exit), "{text}");
        assert!(!text.contains("secret"), "{text}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let counts = report["counts"].as_object().unwrap();
        counts
            .iter()
            .map(|(fate, count)| (fate.clone(), count.as_u64().unwrap()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = consilium(&self.desk, &[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
    }

    /// Whether a study of health research may count a patient.
    fn is_open(&self, patient: usize) -> bool {
        let person = self.world.persons[0][patient].to_string();
        let report = self.json(&["consent", "explain", &self.study, "--person", &person]);
        report[0]["decision"]["open"].as_bool().unwrap()
    }

    fn open_ones(&self) -> Vec<usize> {
        (0..10).filter(|patient| self.is_open(*patient)).collect()
    }

    /// How many documents the ledger has of a patient, and how many of them hold.
    fn documents(&self, patient: usize) -> (usize, usize) {
        let person = self.world.persons[0][patient].to_string();
        let report = self.json(&["history", "--person", &person]);
        let all = report[0]["documents"].as_array().unwrap();
        (all.len(), all.iter().filter(|document| document["ended_height"].is_null()).count())
    }
}

fn counts<const N: usize>(all: [(&str, u64); N]) -> BTreeMap<String, u64> {
    all.map(|(fate, count)| (fate.to_string(), count)).into()
}

#[test]
fn consents_come_change_are_refused_and_end() {
    alone(async || {
        let scene = Scene::open().await?;
        let lines = scene.file(
            "lines.ndjson",
            &[
                r4("a", "secret0", rule("permit")),
                r4("b", "secret1", rule("deny")),
                r5("c", "secret2"),
                broad("d", "secret3"),
                r4("e", "secret4", rule("permit")),
                r4("f", "secret5", unsayable()),
                with(r4("g", "secret6", rule("permit")), "status", json!("inactive")),
                r4("h", "secret99", rule("permit")),
                r4("i", "secret10", rule("permit")),
                with(r4("j", "secret7", rule("permit")), "status", json!("draft")),
                r4("k", "secret8", json!({"type": "allow"})),
            ],
        );
        let entry = json!({"resource": r4("l", "secret9", rule("permit"))});
        let bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": [entry]});
        let bundle = scene.file("bundle.json", &[bundle]);
        let files = [lines.as_path(), bundle.as_path()];
        let first = counts([("accepted", 6), ("refused", 2), ("ended", 1), ("ignored", 1), ("of unknown patients", 2)]);

        // A dry run says the same and does nothing.
        assert_eq!(scene.import(&files, &["--dry-run"], 1), first);
        assert_eq!((scene.open_ones(), scene.documents(0)), (vec![], (0, 0)));
        assert!(!scene.desk.join("consents").exists());
        assert!(run(&scene.desk, &["consent", "suspended"], 0).contains("no refusal is open"));
        assert_eq!(scene.import(&files, &[], 1), first);
        assert_eq!(scene.open_ones(), [0, 2, 3, 4, 9]);
        let second = counts([("unchanged", 7), ("refused", 2), ("ignored", 1), ("of unknown patients", 2)]);
        assert_eq!(scene.import(&files, &[], 1), second);
        assert_eq!((scene.documents(0), scene.documents(5)), ((1, 1), (1, 1)), "nothing was recorded twice");

        // For people: what to do, by place.
        let map = scene.folder.path().join("persons.csv");
        let args = ["consent", "import", lines.to_str().unwrap(), "--map", map.to_str().unwrap()];
        let text = run(&scene.desk, &args, 1);
        assert!(text.contains("lines.ndjson, resource 8: who this patient is here is not known"), "{text}");
        assert!(text.contains("lines.ndjson, resource 9: the patient is not on the ledger"), "{text}");
        assert!(text.contains("lines.ndjson, resource 6, Consent.provision.provision[0]"), "{text}");
        assert!(text.contains("CLINTRL") && text.contains("import it with wider denies"), "{text}");

        // A change replaces: the older document ends once the new one is there.
        let changed = scene.file("changed.ndjson", &[r4("a", "secret0", rule("deny"))]);
        assert_eq!(scene.import(&[&changed], &[], 0), counts([("accepted", 1)]));
        assert_eq!((scene.is_open(0), scene.documents(0)), (false, (2, 1)));

        refused_versions(&scene);
        a_summary(&scene);
        after_a_crash(&scene);

        // An end ends it.
        let ended =
            scene.file("ended.ndjson", &[with(r4("l", "secret9", rule("permit")), "status", json!("inactive"))]);
        assert_eq!(scene.import(&[&ended], &[], 0), counts([("ended", 1)]));
        assert_eq!((scene.is_open(9), scene.documents(9)), (false, (1, 0)));

        written_again(&scene)
    });
}

/// A refused version leaves nothing open until a person decides, or an accepted one comes.
fn refused_versions(scene: &Scene) {
    assert_eq!(scene.json(&["consent", "suspended"])["suspended"].as_array().unwrap().len(), 2);
    let refused = scene.file("refused.ndjson", &[r4("e", "secret4", json!({"type": "allow"}))]);
    assert_eq!(scene.import(&[&refused], &[], 1), counts([("refused", 1)]));
    assert_eq!((scene.is_open(4), scene.documents(4)), (false, (2, 2)));
    assert!(run(&scene.desk, &["consent", "suspended"], 0).contains("refused.ndjson, resource 1"));
    run(&scene.desk, &["consent", "resume", "refused.ndjson, resource 2"], 1);
    run(&scene.desk, &["consent", "resume", "refused.ndjson, resource 1"], 0);
    assert_eq!((scene.is_open(4), scene.documents(4)), (true, (2, 1)));
    // Who decided is not asked again.
    assert_eq!(scene.import(&[&refused], &[], 0), counts([("unchanged", 1)]));
    assert!(scene.is_open(4));

    let corrected = scene.file("corrected.ndjson", &[r4("f", "secret5", rule("permit"))]);
    assert_eq!(scene.import(&[&corrected], &[], 0), counts([("accepted", 1)]));
    assert_eq!((scene.is_open(5), scene.documents(5)), (true, (2, 1)));
    assert_eq!(scene.json(&["consent", "suspended"])["suspended"].as_array().unwrap().len(), 1);
}

/// A summary of the broad consent replaces what its system said before.
fn a_summary(scene: &Scene) {
    let mut status = with(broad("s", "secret3"), "dateTime", json!("2025-01-01"));
    let system = "http://fhir.de/ConsentManagement/CodeSystem/ResultType";
    let category = json!({"coding": [{"system": system, "code": "consent-status"}]});
    status["category"].as_array_mut().unwrap().push(category);
    status["provision"]["provision"][2]["type"] = json!("deny");
    let older = with(broad("d", "secret3"), "id", json!("d2"));
    let file = scene.file("status.ndjson", &[status, older]);
    assert_eq!(scene.import(&[&file], &[], 0), counts([("accepted", 1), ("ignored", 1)]));
    assert_eq!((scene.is_open(3), scene.documents(3)), (false, (2, 1)));
}

/// A transaction that was handed in, and of which nobody wrote down what became of it.
fn after_a_crash(scene: &Scene) {
    let log = scene.desk.join("consents").join("register.log");
    let before = fs::metadata(&log).unwrap().len() as usize;
    let file = scene.file("crash.ndjson", &[r4("z", "secret6", rule("permit"))]);
    assert_eq!(scene.import(&[&file], &[], 0), counts([("accepted", 1)]));
    let bytes = fs::read(&log).unwrap();
    let intent = u32::from_le_bytes(bytes[before..before + 4].try_into().unwrap()) as usize;
    // All of the intent, and a part of what came after.
    fs::write(&log, &bytes[..before + 8 + intent + 9]).unwrap();
    assert_eq!(scene.import(&[&file], &[], 0), counts([("unchanged", 1)]));
    assert_eq!((scene.is_open(6), scene.documents(6)), (true, (1, 1)));
    // What is known of it serves to end it.
    let ended = scene.file("z.ndjson", &[with(r4("z", "secret6", rule("permit")), "status", json!("inactive"))]);
    assert_eq!(scene.import(&[&ended], &[], 0), counts([("ended", 1)]));
    assert_eq!((scene.is_open(6), scene.documents(6)), (false, (1, 0)));
}

/// What is exported is known again where it comes from.
fn written_again(scene: &Scene) -> Result<(), Failure> {
    let out = scene.folder.path().join("out.ndjson");
    run(&scene.desk, &["consent", "export", "--all", "--out", out.to_str().unwrap()], 0);
    let text = fs::read_to_string(&out)?;
    let person = scene.world.persons[0][2];
    assert!(text.lines().count() == 7 && text.contains(&format!("\"Patient/{person}\"")), "{text}");
    let args = ["consent", "import", out.to_str().unwrap(), "--json"];
    let report: Value = serde_json::from_slice(&consilium(&scene.desk, &args).stdout).unwrap();
    assert_eq!(report["counts"]["unchanged"], json!(7), "{report}");

    let wallet = Home::create(&scene.folder.path().join("wallet"), Role::Patient, "wallet")?;
    wallet.keep_wallet(&scene.wallet)?;
    wallet.finish()?;
    wallet.join(&scene.world.consortium.genesis)?;
    let own = scene.folder.path().join("own.json");
    run(wallet.path(), &["consent", "export", "--bundle", "--out", own.to_str().unwrap()], 0);
    assert_eq!(scene.import(&[&own], &[], 0), counts([("unchanged", 1)]));
    run(wallet.path(), &["consent", "export", "--all"], 2);
    Ok(())
}
