//! Synthea's patients, where that data lies beside the checkout.

use std::path::PathBuf;

use consilium_engine::cohort::run;
use consilium_engine::store::{Store, StoreConfig};

use super::hospital::{everybody, limits, link, sorted, study};

#[tokio::test]
async fn synthea_is_read_as_it_is() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/synthea-omop");
    if !folder.is_dir() {
        eprintln!("skipped: no Synthea data at {}", folder.display());
        return;
    }
    let store = Store::open(&StoreConfig::of(folder), &[]).await.expect("an open store");
    let summary = store.summary();
    let rows = |name: &str| summary.tables.iter().find(|t| t.name == name).and_then(|t| t.rows);
    assert_eq!(rows("person"), Some(1_130));
    assert_eq!(rows("measurement"), Some(0), "an empty file is a table without rows");
    let permissions = everybody(&store, &link()).await;
    let sql = "
        WITH first AS (
            SELECT person_id, min(condition_start_date) AS since FROM condition_occurrence
            JOIN concept ON concept_id = condition_concept_id
            WHERE concept_name LIKE '%sinusitis%' OR condition_concept_id > 0
            GROUP BY person_id
        )
        SELECT p.person_id AS subject, date_part('year', f.since) - p.year_of_birth AS age,
               d.person_id IS NOT NULL AS dead,
               (SELECT count(*) FROM drug_exposure x WHERE x.person_id = p.person_id) AS drugs
        FROM person p JOIN first f ON f.person_id = p.person_id 
        LEFT JOIN (SELECT DISTINCT person_id FROM death) d ON d.person_id = p.person_id";
    let more = "[[dimension]]\nname = \"dead\"\nvalues = [true, false]\n";
    let spec = super::hospital::study_with(sql, &["age", "drugs"], more);
    let cohort = run(&store, &link(), &permissions, &spec, &limits()).await.expect("a cohort");
    assert!(cohort.rows > 900, "{}", cohort.rows);
    let tables: Vec<&str> = cohort.reads.tables().iter().map(|t| t.name.as_str()).collect();
    assert_eq!(tables, ["concept", "condition_occurrence", "death", "drug_exposure", "person"]);
    let all = study("SELECT person_id AS subject, year_of_birth AS y FROM person", &["y"]);
    let cohort = run(&store, &link(), &permissions, &all, &limits()).await.expect("a cohort");
    assert_eq!(sorted(&cohort).len(), 1_130);
}
