//! Public data: Synthea's patients in OMOP CDM 5.4 as CSV files, split over four hospitals by `person_id % 4`. Runs where
//! the folder `../shared/data/synthea-omop` is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use consilium::cli::{opened, propose};
use consilium::demo::acts::follow;
use consilium::demo::consortium::Consortium;
use consilium::demo::{oracle, plain};
use consilium_protocol::study::StudySpec;

use crate::support::{QUICK, alone, assert_phase, plan, research};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/synthea-omop")
}

/// Gives each hospital the rows of its own persons; tables that are not about persons go to all.
fn split(from: &Path, consortium: &Consortium) -> std::io::Result<Vec<BTreeSet<i64>>> {
    let mut persons = vec![BTreeSet::new(); 4];
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "csv") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        let column = header.split(',').position(|name| name == "person_id");
        let mut parts = vec![format!("{header}\n"); 4];
        for line in lines {
            // No table of this data set has quoted commas before its person_id.
            let person = column.and_then(|c| line.split(',').nth(c)).and_then(|p| p.parse::<i64>().ok());
            match person {
                Some(person) => {
                    let hospital = (person % 4) as usize;
                    parts[hospital].push_str(line);
                    parts[hospital].push('\n');
                    if path.ends_with("PERSON.csv") {
                        persons[hospital].insert(person);
                    }
                }
                None => parts.iter_mut().for_each(|part| {
                    part.push_str(line);
                    part.push('\n');
                }),
            }
        }
        for (part, hospital) in parts.iter().zip(&consortium.hospitals) {
            let part = if text.is_empty() { "" } else { part };
            fs::write(hospital.store.join(path.file_name().unwrap_or_default()), part)?;
        }
    }
    Ok(persons)
}

#[test]
fn public_data_give_what_plain_sql_over_the_pooled_files_gives() {
    let from = data();
    if !from.join("PERSON.csv").exists() {
        println!("skipped: no public data beside the checkout");
        return;
    }
    alone(async || {
        let folder = tempfile::tempdir()?;
        let mut setup = plan(folder.path().to_path_buf(), QUICK);
        setup.policy.min_site_count = 2;
        let mut consortium = Consortium::found(setup)?;
        let persons = split(&from, &consortium)?;
        consortium.start_all()?;
        consortium.wait_all_ready(Duration::from_secs(30)).await?;
        for (position, persons) in persons.iter().enumerate() {
            let all: Vec<i64> = persons.iter().copied().collect();
            let enrolled: Vec<_> = all.iter().map(|person| (*person, None)).collect();
            consortium.enrol(position, &enrolled).await?;
            consortium.witness_grants(position, &all, &research()).await?;
        }
        let researcher = consortium.researcher("researcher")?;
        consortium.accredit(&researcher.signing_key()?, "Tester", "University").await?;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/studies/visits.toml");
        let spec = StudySpec::from_toml(&fs::read_to_string(file)?)?;
        let node = consortium.node(0).await?;
        let study = propose(&researcher, &node, &spec).await?.0;
        for position in 0..4 {
            consortium.approve(position, study).await?;
        }
        let reply = follow(&node, &study, Duration::from_secs(60)).await?;
        assert_phase(&reply, "released");
        let result = opened(&researcher, &node, &study).await?;

        // What each hospital holds back depends on the split, so the oracle takes the parts; their rows are those that
        // plain SQL over the pooled files finds.
        let mut cohorts = Vec::new();
        for (hospital, persons) in consortium.hospitals.iter().zip(&persons) {
            cohorts.push(plain::cohort(&hospital.store, persons, &spec).await?);
        }
        let everybody: BTreeSet<i64> = persons.iter().flatten().copied().collect();
        let pooled = plain::cohort(&from, &everybody, &spec).await?;
        let rows = |batches: &[arrow::array::RecordBatch]| batches.iter().map(|b| b.num_rows()).sum::<usize>();
        assert_eq!(rows(&pooled), cohorts.iter().map(|c| rows(c)).sum::<usize>());
        let comparison = oracle::compare(result.get(), &oracle::pooled(&spec, &cohorts, &consortium.genesis.policy));
        assert!(comparison.differing.is_empty(), "{:?}", comparison.differing);
        assert!(comparison.cells > 20);
        Ok(())
    });
}
