//! What people and programs read.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use consilium_engine::disclosure::Released;
use consilium_engine::result::{Provenance, StudyResult, arrow as long, csv, json, table};
use consilium_protocol::ids::{ContentHash, Height, RoundNumber, StudyId};
use consilium_protocol::study::Protection;

use super::cohorts::{Chance, cohort, study};
use super::round::{joint, policy};

async fn released() -> Released<StudyResult> {
    let spec = study(&[
        ("count", vec!["sex"]),
        ("variance bmi", vec!["sex", "smoker"]),
        ("histogram age", vec![]),
        ("crosstab", vec!["age", "smoker"]),
        ("crosstab", vec!["sex", "age", "smoker"]),
    ]);
    let cohorts = [11, 12, 13, 14].map(|seed| cohort(&mut Chance(seed), 300));
    joint(&spec, &cohorts, &policy(11, 5)).await.expect("honest cells")
}

fn provenance() -> Provenance {
    Provenance {
        study: StudyId::from_bytes([1; 32]),
        title: "Everything".to_string(),
        roster: 4,
        height: Height::new(1200),
        round: RoundNumber::new(0),
        sum: ContentHash::from_bytes([2; 32]),
        protection: Protection::Open,
        threshold: 11,
        roles: None,
        noise: None,
        policy: policy(11, 5),
        released: Height::new(1203),
        software: "consilium 0.1.0".to_string(),
    }
}

#[tokio::test]
async fn tables_fit_their_width() {
    let released = released().await;
    for width in [60, 80, 120] {
        for ascii in [false, true] {
            let text = table::render(&released, &table::TableOptions { width, bar_width: 40, ascii });
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(longest <= width.max(90), "{longest} columns:\n{text}");
            let own = text.replace("kg/m²", "");
            assert_eq!(ascii, own.is_ascii(), "{text}");
        }
    }
}

#[tokio::test]
async fn every_number_is_in_every_file() {
    let released = released().await;
    let numbers = released.get().estimates().count();
    let hidden = released.get().estimates().filter(|value| value.suppressed_by().is_some()).count();
    assert!(hidden > 0 && hidden < numbers);

    let batch = long::batch(&released).expect("a batch");
    assert_eq!(batch.num_rows(), numbers);
    let by = batch.column_by_name("suppressed_by").expect("the column");
    assert_eq!(by.len() - by.null_count(), hidden);

    let text = csv::render(&released, &provenance());
    let (comments, rows): (Vec<&str>, Vec<&str>) =
        text.split_terminator("\r\n").partition(|line| line.starts_with('#'));
    assert!(comments.iter().any(|line| line.contains(&"01".repeat(32))));
    assert_eq!(rows.len(), numbers + 1);
    assert!(rows[0].starts_with("statistic,kind,variable,unit,by.sex,by.smoker,by.age,interval,measure,value"));
    assert_eq!(rows.iter().filter(|row| row.contains("small_count")).count(), hidden);

    let text = json::render(&released, &provenance()).expect("JSON");
    assert_eq!(text.matches("\"suppressed\"").count(), hidden);
    let parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(parsed["provenance"]["height"], 1200);
    let first = &parsed["result"]["statistics"][0]["rows"][0];
    let values = batch.column_by_name("value").expect("the column").as_primitive::<Float64Type>();
    assert_eq!(first["measures"][0]["value"].as_f64(), Some(values.value(0)));
}
