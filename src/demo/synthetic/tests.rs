//! Whole stores, written, read back and judged from the files alone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use super::calendar::REFERENCE;
use super::*;

const TABLES: [&str; 8] = [
    "CONCEPT",
    "CONDITION_OCCURRENCE",
    "DEATH",
    "DRUG_EXPOSURE",
    "MEASUREMENT",
    "OBSERVATION_PERIOD",
    "PERSON",
    "VISIT_OCCURRENCE",
];

const DIABETES: i64 = 201_826;
const KIDNEY_DISEASE: i64 = 46_271_022;
const METFORMIN: i64 = 1_503_297;
const HBA1C: i64 = 3_004_410;
const CREATININE: i64 = 3_016_723;

struct Written {
    folder: TempDir,
    person_ids: Vec<i64>,
}

impl Written {
    fn new(hospital: usize, patients: usize, seed: u64) -> Written {
        let folder = TempDir::new().unwrap();
        let person_ids = write_store(&Synthetic { hospital, patients, seed }, folder.path()).unwrap();
        Written { folder, person_ids }
    }

    fn table(&self, name: &str) -> RecordBatch {
        read(self.folder.path(), name)
    }
}

fn read(folder: &Path, name: &str) -> RecordBatch {
    let file = File::open(folder.join(format!("{name}.parquet"))).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn column(table: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    let array = table.column_by_name(name).unwrap();
    match array.data_type() {
        DataType::Date32 => array.as_primitive::<Date32Type>().iter().map(|day| day.map(i64::from)).collect(),
        _ => array.as_primitive::<Int64Type>().iter().collect(),
    }
}

fn required(table: &RecordBatch, name: &str) -> Vec<i64> {
    column(table, name).into_iter().map(Option::unwrap).collect()
}

fn numbers(table: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    table.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
}

/// FNV-1a over the names and the printed values of a table, column by column.
fn fingerprint(table: &RecordBatch) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0x1f]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (field, array) in table.schema().fields().iter().zip(table.columns()) {
        add(field.name());
        let formatter = ArrayFormatter::try_new(array, &FormatOptions::new().with_null("null")).unwrap();
        for row in 0..table.num_rows() {
            add(&formatter.value(row).to_string());
        }
    }
    hash
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance.sqrt())
}

#[test]
fn a_store_is_the_same_on_every_machine() {
    let store = Written::new(1, 500, 42);
    let found: Vec<_> = TABLES.iter().map(|&name| (name, fingerprint(&store.table(name)))).collect();
    let golden = [
        ("CONCEPT", 0x19c7_1946_f950_bd82),
        ("CONDITION_OCCURRENCE", 0x2d4b_e258_e5b8_ad3c),
        ("DEATH", 0xa22d_7990_c238_068c),
        ("DRUG_EXPOSURE", 0xd8f8_8dcd_8933_b3e3),
        ("MEASUREMENT", 0x9f42_f9ff_7d5c_8526),
        ("OBSERVATION_PERIOD", 0x1827_6e9a_2616_bf48),
        ("PERSON", 0x4e75_aaa8_5f3c_5278),
        ("VISIT_OCCURRENCE", 0x46c7_ca51_36c1_96c5),
    ];
    assert_eq!(found, golden, "{found:#x?}");
}

#[test]
fn seed_and_hospital_change_the_store() {
    let persons = |hospital, seed| {
        let mut people = Written::new(hospital, 50, seed).table("PERSON");
        // Without the ids, which differ between hospitals anyway.
        people.remove_column(0);
        people.remove_column(people.schema().index_of("person_source_value").unwrap());
        fingerprint(&people)
    };
    let distinct = HashSet::from([persons(0, 1), persons(0, 2), persons(1, 1)]);
    assert_eq!(distinct.len(), 3);
    assert_eq!(persons(1, 1), persons(1, 1));
}

#[test]
fn a_patient_does_not_depend_on_how_many_others_there_are() {
    let (few, many) = (Written::new(2, 100, 9), Written::new(2, PATIENTS_PER_BATCH + 100, 9));
    assert_eq!(many.person_ids, (20_000_001..20_000_101 + PATIENTS_PER_BATCH as i64).collect::<Vec<_>>());
    assert_eq!(required(&many.table("PERSON"), "person_id"), many.person_ids);
    for name in TABLES {
        let (few, many) = (few.table(name), many.table(name));
        assert_eq!(few, many.slice(0, few.num_rows()), "{name}");
    }
}

#[test]
fn ids_are_unique_over_hospitals() {
    let stores = [Written::new(0, 300, 5), Written::new(1, 300, 5)];
    assert_eq!(stores[0].person_ids, (1..=300).collect::<Vec<_>>());
    assert_eq!(stores[1].person_ids, (10_000_001..=10_000_300).collect::<Vec<_>>());
    for (name, key) in [
        ("PERSON", "person_id"),
        ("OBSERVATION_PERIOD", "observation_period_id"),
        ("VISIT_OCCURRENCE", "visit_occurrence_id"),
        ("CONDITION_OCCURRENCE", "condition_occurrence_id"),
        ("DRUG_EXPOSURE", "drug_exposure_id"),
        ("MEASUREMENT", "measurement_id"),
        ("DEATH", "person_id"),
    ] {
        let mut seen = HashSet::new();
        for store in &stores {
            let fresh = required(&store.table(name), key).into_iter().all(|id| seen.insert(id));
            assert!(fresh, "{name}");
        }
        assert!(!seen.is_empty(), "{name}");
    }
    for store in &stores {
        assert_eq!(required(&store.table("PERSON"), "person_id"), store.person_ids);
    }
    let (one, other) = (stores[0].table("PERSON"), stores[1].table("PERSON"));
    let mut records = HashSet::new();
    for people in [&one, &other] {
        for record in people.column_by_name("person_source_value").unwrap().as_string::<i32>() {
            let record = record.unwrap();
            assert!(record.starts_with("MRN-") && records.insert(record.to_owned()), "{record}");
        }
    }
}

#[test]
fn events_refer_to_persons_visits_and_days_on_record() {
    let store = Written::new(3, 3_000, 11);
    let periods = store.table("OBSERVATION_PERIOD");
    let days = required(&periods, "observation_period_start_date")
        .into_iter()
        .zip(required(&periods, "observation_period_end_date"));
    let observed: HashMap<_, _> = required(&periods, "person_id").into_iter().zip(days).collect();
    assert_eq!(observed.len(), 3_000);
    let people = store.table("PERSON");
    for (person, year) in required(&people, "person_id").into_iter().zip(required(&people, "year_of_birth")) {
        let (start, end) = observed[&person];
        assert!(start <= end && end <= i64::from(REFERENCE.days()));
        assert!(start >= i64::from(calendar::Date::new(year as i32, 1, 1).days()), "observed before birth");
    }

    let visits = store.table("VISIT_OCCURRENCE");
    let visit_of: HashMap<_, _> =
        required(&visits, "visit_occurrence_id").into_iter().zip(required(&visits, "person_id")).collect();
    for (name, start, end) in [
        ("VISIT_OCCURRENCE", "visit_start_date", Some("visit_end_date")),
        ("CONDITION_OCCURRENCE", "condition_start_date", Some("condition_end_date")),
        ("DRUG_EXPOSURE", "drug_exposure_start_date", Some("drug_exposure_end_date")),
        ("MEASUREMENT", "measurement_date", None),
    ] {
        let table = store.table(name);
        let (persons, starts) = (required(&table, "person_id"), required(&table, start));
        let ends = column(&table, end.unwrap_or(start));
        let visits = required(&table, "visit_occurrence_id");
        for row in 0..table.num_rows() {
            let (first, last) = observed[&persons[row]];
            let end = ends[row].unwrap_or(starts[row]);
            assert!(first <= starts[row] && starts[row] <= end && end <= last, "{name}");
            assert_eq!(visit_of[&visits[row]], persons[row], "{name}");
        }
    }

    let deaths = store.table("DEATH");
    for (person, day) in required(&deaths, "person_id").into_iter().zip(required(&deaths, "death_date")) {
        assert_eq!(observed[&person].1, day, "death is last");
    }
    let mut visits_of = HashMap::new();
    visit_of.values().for_each(|person| *visits_of.entry(person).or_insert(0) += 1);
    assert_eq!(visits_of.len(), 3_000);
    assert_eq!(visits_of.values().copied().collect::<BTreeSet<_>>(), (1..=6).collect());
}

#[test]
fn every_concept_is_in_the_vocabulary() {
    let store = Written::new(0, 2_000, 3);
    let concepts = store.table("CONCEPT");
    let known: HashSet<_> = required(&concepts, "concept_id").into_iter().collect();
    assert_eq!(known.len(), concepts.num_rows());
    let mut used = HashSet::new();
    for name in TABLES {
        let table = store.table(name);
        for field in table.schema().fields().iter().filter(|field| field.name().ends_with("_concept_id")) {
            used.extend(column(&table, field.name()).into_iter().flatten());
        }
    }
    assert_eq!(used, known);
}

/// HbA1c values in percent that a study would call in range, with person and day.
fn hba1c(store: &Written) -> Vec<(i64, i64, f64)> {
    let table = store.table("MEASUREMENT");
    let (persons, concepts) = (required(&table, "person_id"), required(&table, "measurement_concept_id"));
    let (days, values) = (required(&table, "measurement_date"), numbers(&table, "value_as_number"));
    (0..table.num_rows())
        .filter(|&row| concepts[row] == HBA1C)
        .filter_map(|row| Some((persons[row], days[row], values[row]?)))
        .filter(|(_, _, value)| (3.0..20.0).contains(value))
        .collect()
}

fn with_condition(store: &Written, condition: i64) -> HashSet<i64> {
    let table = store.table("CONDITION_OCCURRENCE");
    let concepts = required(&table, "condition_concept_id");
    let persons = required(&table, "person_id").into_iter().zip(concepts);
    persons.filter(|&(_, concept)| concept == condition).map(|(person, _)| person).collect()
}

#[test]
fn prevalence_rises_with_age_and_is_plausible() {
    let store = Written::new(1, 10_000, 42);
    let people = store.table("PERSON");
    let ages: HashMap<_, _> = required(&people, "person_id")
        .into_iter()
        .zip(required(&people, "year_of_birth").into_iter().map(|year| 2025 - year))
        .collect();
    let diabetics = with_condition(&store, DIABETES);
    let prevalence = |range: std::ops::Range<i64>| {
        let all: Vec<_> = ages.iter().filter(|(_, age)| range.contains(age)).map(|(person, _)| person).collect();
        all.iter().filter(|person| diabetics.contains(person)).count() as f64 / all.len() as f64
    };
    let (young, middle, old) = (prevalence(0..30), prevalence(30..60), prevalence(60..101));
    assert!(young < 0.02 && young < middle && middle < old, "{young} {middle} {old}");
    assert!((0.06..0.14).contains(&prevalence(0..101)));
    assert!((0.15..0.32).contains(&old));

    let deaths = required(&store.table("DEATH"), "person_id");
    assert!((150..900).contains(&deaths.len()));
    let mean_age = deaths.iter().map(|person| ages[person] as f64).sum::<f64>() / deaths.len() as f64;
    assert!(mean_age > 65.0, "{mean_age}");
    let kidney_disease = with_condition(&store, KIDNEY_DISEASE);
    let (mut with, mut without) = ((0, 0), (0, 0));
    for person in ages.iter().filter(|&(_, age)| (60..90).contains(age)).map(|(person, _)| person) {
        let (dead, all) = if kidney_disease.contains(person) { &mut with } else { &mut without };
        *all += 1;
        *dead += i32::from(deaths.contains(person));
    }
    assert!(with.0 * without.1 > without.0 * with.1, "kidney disease shortens life: {with:?} {without:?}");
}

#[test]
fn hba1c_depends_on_diabetes_and_treatment() {
    let store = Written::new(0, 10_000, 42);
    let diabetics = with_condition(&store, DIABETES);
    let drugs = store.table("DRUG_EXPOSURE");
    let mut metformin = HashMap::new();
    let drug_columns = required(&drugs, "drug_concept_id").into_iter().zip(required(&drugs, "person_id"));
    for ((drug, person), start) in drug_columns.zip(required(&drugs, "drug_exposure_start_date")) {
        if drug == METFORMIN {
            assert!(diabetics.contains(&person));
            let first = metformin.entry(person).or_insert(start);
            *first = start.min(*first);
        }
    }
    let share = metformin.len() as f64 / diabetics.len() as f64;
    assert!((0.5..0.85).contains(&share), "{share}");

    let (mut healthy, mut treated, mut untreated) = (Vec::new(), Vec::new(), Vec::new());
    for (person, day, value) in hba1c(&store) {
        if !diabetics.contains(&person) {
            healthy.push(value);
        } else if metformin.get(&person).is_some_and(|&start| start < day) {
            treated.push(value);
        } else {
            untreated.push(value);
        }
    }
    let (mean, deviation) = mean_and_deviation(&healthy);
    assert!((5.35..5.45).contains(&mean) && (0.32..0.38).contains(&deviation), "{mean} {deviation}");
    let (mean_treated, _) = mean_and_deviation(&treated);
    let (mean_untreated, _) = mean_and_deviation(&untreated);
    assert!((0.3..0.7).contains(&(mean_untreated - mean_treated)), "{mean_untreated} {mean_treated}");
    let (mean, deviation) = mean_and_deviation(&[treated, untreated].concat());
    assert!((7.45..7.8).contains(&mean) && (1.1..1.35).contains(&deviation), "{mean} {deviation}");
}

#[test]
fn diabetics_are_measured_more_often_and_some_values_are_odd() {
    let store = Written::new(0, 10_000, 42);
    let diabetics = with_condition(&store, DIABETES);
    let (mut of_diabetics, mut of_others) = (HashMap::new(), HashMap::new());
    for (person, _, _) in hba1c(&store) {
        let counts = if diabetics.contains(&person) { &mut of_diabetics } else { &mut of_others };
        *counts.entry(person).or_insert(0) += 1;
    }
    let mean = |counts: &HashMap<i64, i32>| counts.values().sum::<i32>() as f64 / counts.len() as f64;
    assert!(mean(&of_diabetics) > 3.0 && mean(&of_others) < 2.0);
    assert!(of_others.values().all(|count| (1..=2).contains(count)));
    assert!(of_diabetics.len() as f64 > 0.95 * diabetics.len() as f64);

    let measurements = store.table("MEASUREMENT");
    let (values, total) = (numbers(&measurements, "value_as_number"), measurements.num_rows() as f64);
    let missing = values.iter().filter(|value| value.is_none()).count() as f64 / total;
    assert!((0.015..0.025).contains(&missing), "{missing}");
    let strange = values.iter().flatten().filter(|&&value| value == 0.0 || value > 16.0).count() as f64 / total;
    assert!((0.001..0.01).contains(&strange), "{strange}");
}

#[test]
fn creatinine_depends_on_sex_and_kidney_disease() {
    let store = Written::new(0, 10_000, 7);
    let people = store.table("PERSON");
    let genders: HashMap<_, _> =
        required(&people, "person_id").into_iter().zip(required(&people, "gender_concept_id")).collect();
    let kidney_disease = with_condition(&store, KIDNEY_DISEASE);
    let table = store.table("MEASUREMENT");
    let mut found: HashMap<(bool, i64), Vec<f64>> = HashMap::new();
    let keys = required(&table, "person_id").into_iter().zip(required(&table, "measurement_concept_id"));
    for ((person, concept), value) in keys.zip(numbers(&table, "value_as_number")) {
        if let Some(value) = value.filter(|value| concept == CREATININE && (0.1..15.0).contains(value)) {
            found.entry((kidney_disease.contains(&person), genders[&person])).or_default().push(value);
        }
    }
    let mean = |ill, gender| mean_and_deviation(&found[&(ill, gender)]).0;
    let (male, female) = (mean(false, 8507), mean(false, 8532));
    assert!((0.85..1.1).contains(&male) && (0.65..0.9).contains(&female) && female < male, "{male} {female}");
    assert!((1.6..2.6).contains(&mean(true, 8507)) && mean(true, 8532) > female + 0.6);
}

#[test]
fn files_have_the_columns_and_types_of_the_model() {
    let store = Written::new(0, 10, 1);
    let mut files: Vec<_> =
        store.folder.path().read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, TABLES.map(|name| format!("{name}.parquet")), "no other file is left behind");

    let widths = [10, 16, 7, 23, 23, 5, 18, 17];
    for (name, width) in TABLES.into_iter().zip(widths) {
        let table = store.table(name);
        assert_eq!(table.num_columns(), width, "{name}");
        for field in table.schema().fields() {
            let column = field.name().as_str();
            let kind = field.data_type();
            let expected = match column {
                _ if name == "CONCEPT" && column != "concept_id" && column.ends_with("_id") => &DataType::Utf8,
                "value_as_number" | "range_low" | "range_high" | "quantity" => &DataType::Float64,
                _ if column.ends_with("_id") || column.ends_with("_of_birth") => &DataType::Int64,
                "days_supply" | "refills" => &DataType::Int64,
                _ if column.ends_with("_date") => &DataType::Date32,
                _ if column.ends_with("_datetime") => kind,
                _ => &DataType::Utf8,
            };
            assert_eq!(kind, expected, "{name}.{column}");
            assert_eq!(column, column.to_lowercase());
        }
    }
    let person = store.table("PERSON").schema();
    for (column, nullable) in [("person_id", false), ("gender_concept_id", false), ("month_of_birth", true)] {
        assert_eq!(person.field_with_name(column).unwrap().is_nullable(), nullable, "{column}");
    }
}

#[test]
fn an_empty_hospital_has_all_tables() {
    let store = Written::new(0, 0, 1);
    assert!(store.person_ids.is_empty());
    assert!(TABLES.iter().all(|&name| (store.table(name).num_rows() == 0) == (name != "CONCEPT")));
}

#[test]
fn a_store_is_replaced() {
    let folder = TempDir::new().unwrap();
    let nested = folder.path().join("a").join("b");
    for patients in [20, 5] {
        write_store(&Synthetic { hospital: 0, patients, seed: 1 }, &nested).unwrap();
        assert_eq!(read(&nested, "PERSON").num_rows(), patients);
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = TempDir::new().unwrap();
    let refusal = |hospital, patients, folder: &Path| {
        write_store(&Synthetic { hospital, patients, seed: 1 }, folder).unwrap_err()
    };
    let many = refusal(0, PERSONS_PER_HOSPITAL, folder.path());
    assert!(matches!(many, SyntheticError::TooManyPatients { most: 9_999_999 }));
    assert!(matches!(refusal(HOSPITALS, 1, folder.path()), SyntheticError::NoSuchHospital { below: HOSPITALS }));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(refusal(0, 1, &file), SyntheticError::Folder(_)));
    std::fs::create_dir_all(folder.path().join("taken").join("DEATH.parquet")).unwrap();
    let taken = refusal(0, 1, &folder.path().join("taken"));
    assert!(matches!(taken, SyntheticError::Write { table: "DEATH", .. }));
    let left: Vec<_> = folder.path().join("taken").read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".partial")), "{left:?}");
    assert!(!left.iter().any(|name| name == "PERSON.parquet"), "{left:?}");
}
