//! The tables of the benches that read patients' rows: 1,000,000 people and 10,000,000 conditions, in Parquet, the same in
//! every run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch};
use consilium_protocol::consent::{
    Action, AllowedData, DiseaseTree, DocumentTerms, Effect, Establishment, Purpose, Requester, Rule, Scope, Terms,
    Use, Window, evaluate,
};
use consilium_protocol::ids::{Date, DocumentId, ResearcherId, StudyId};

use super::ArrowWriter;

pub(crate) const PEOPLE: i64 = 1_000_000;
const CONDITIONS: i64 = 10_000_000;

/// A number for each row, the same in every run (splitmix64).
pub(crate) fn mixed(n: i64) -> i64 {
    let mut z = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 1) as i64
}

fn write(path: &Path, rows: i64, columns: impl Fn(std::ops::Range<i64>) -> Vec<(&'static str, ArrayRef)>) {
    const STEP: i64 = 100_000;
    let batch = |from: i64| RecordBatch::try_from_iter(columns(from..(from + STEP).min(rows))).expect("one length");
    let part = path.with_extension("part");
    let mut writer =
        ArrowWriter::try_new(File::create(&part).expect("a file"), batch(0).schema(), None).expect("a writer");
    for step in 0..(rows + STEP - 1) / STEP {
        writer.write(&batch(step * STEP)).expect("written");
    }
    writer.close().expect("closed");
    std::fs::rename(part, path).expect("renamed");
}

/// Makes the tables once.
pub(crate) fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-tables");
    std::fs::create_dir_all(&folder).expect("a folder");
    let int = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let person = folder.join("person.parquet");
    if !person.exists() {
        write(&person, PEOPLE, |rows| {
            vec![
                ("person_id", int(rows.clone().map(|n| n + 1).collect())),
                ("gender_concept_id", int(rows.clone().map(|n| 8_507 + 25 * (n % 2)).collect())),
                ("year_of_birth", int(rows.map(|n| 1_930 + mixed(n) % 80).collect())),
            ]
        });
    }
    let condition = folder.join("condition_occurrence.parquet");
    if !condition.exists() {
        write(&condition, CONDITIONS, |rows| {
            let concept = |n: i64| if mixed(n + 7) % 100 == 0 { 201_826 } else { 300_000 + mixed(n + 7) % 500 };
            let days: Vec<i32> = rows.clone().map(|n| 14_610 + (mixed(n + 3) % 5_844) as i32).collect();
            vec![
                ("condition_occurrence_id", int(rows.clone().collect())),
                ("person_id", int(rows.clone().map(|n| 1 + mixed(n) % PEOPLE).collect())),
                ("condition_concept_id", int(rows.map(concept).collect())),
                ("condition_start_date", Arc::new(Date32Array::from(days)) as ArrayRef),
            ]
        });
    }
    folder
}

/// The same tables laid out by patient, made once and whenever they have changed.
#[allow(dead_code, reason = "of several benches one measures it")]
pub(crate) fn arranged(runtime: &tokio::runtime::Runtime, folder: &Path) -> PathBuf {
    use consilium_engine::store::{Options, Store, StoreConfig, arrange};
    let to = folder.with_file_name("bench-arranged");
    let store = runtime.block_on(Store::open(&StoreConfig::of(folder), &[])).expect("an open store");
    let options = Options::default();
    runtime.block_on(arrange(&store, &to, &options, &mut |_| {})).expect("an arranged store");
    to
}

/// What a consent to any aggregate allows, for the days of a window.
pub(crate) fn allowed(window: Window) -> AllowedData {
    let rule = Rule { window, ..Rule::new(Effect::Permit, Action::Aggregate, Scope::Any) };
    let terms = Terms::opt_in(vec![rule]);
    let establishment = Establishment::not_for_profit("DE").expect("a country");
    let by = Requester::researcher(ResearcherId::from_public_key([1; 32]), None, String::new(), establishment);
    let asked = Use::of_study(StudyId::from_bytes([2; 32]), vec![Purpose::HealthResearch], by, Date::from_days(20_600));
    let document = DocumentTerms { document: DocumentId::from_bytes([3; 32]), terms: &terms };
    evaluate(&[document], &asked, &DiseaseTree::new(&[])).allowed
}
