//! Stores laid out by patient: the same answers, nothing that no study may read, and whole at every moment.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use arrow::util::display::array_value_to_string;
use consilium_engine::cohort::{CohortError, Limits, run};
use consilium_engine::store::{
    ArrangeError, Arrangement, Options, Place, Progress, Store, StoreConfig, StoreError, TableConfig, arrange, damaged,
};
use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::consent::Domain;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use futures::FutureExt as _;

use super::hospital::{self, cohort, everybody, link, sorted};

const ALL: usize = 250_000;

fn options(patients: usize) -> Options {
    Options { patients, ..Options::default() }
}

async fn arranged(from: &Path, to: &Path, patients: usize) -> Arrangement {
    let store = hospital::open(from).await;
    arrange(&store, to, &options(patients), &mut |_| {}).await.expect("an arranged store")
}

async fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(&StoreConfig::of(folder), &hospital::catalogue()).await
}

/// Every file below a folder, by its path, that is no other process's mark.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(folder: &Path, within: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder.join(within)).expect("a folder").map(|entry| entry.expect("an entry")) {
            let path = within.join(entry.file_name());
            match entry.file_type().expect("a type").is_dir() {
                true => walk(folder, &path, found),
                false => drop(found.insert(path.clone(), fs::read(folder.join(&path)).expect("a file"))),
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, Path::new(""), &mut found);
    found.remove(Path::new(".arranging"));
    found
}

/// The same without the manifest, which says what the tables were made of.
fn tables(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = files(folder);
    found.remove(Path::new("arranged.json")).expect("a manifest");
    found
}

/// What is asked: of one table and of several, with windows, subqueries, vocabularies.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("SELECT person_id AS subject, year_of_birth AS y FROM person", &["y"]),
    (
        "SELECT person_id AS subject, count(*) AS n, sum(condition_concept_id) AS codes FROM condition_occurrence
         GROUP BY person_id",
        &["n", "codes"],
    ),
    (
        "SELECT p.person_id AS subject, count(m.value_as_number) AS n, max(m.value_as_number) AS highest
         FROM person p LEFT JOIN measurement m ON m.person_id = p.person_id AND m.measurement_date >= DATE '2014-03-01'
         WHERE p.year_of_birth >= 1950 GROUP BY p.person_id",
        &["n", "highest"],
    ),
    (
        "WITH first AS (SELECT person_id, condition_concept_id AS c, row_number() OVER
         (PARTITION BY person_id ORDER BY condition_start_date, condition_occurrence_id) AS n FROM condition_occurrence)
         SELECT person_id AS subject, c FROM first WHERE n = 1
         AND person_id NOT IN (SELECT patient FROM labs WHERE score > 20)",
        &["c"],
    ),
    ("SELECT patient AS subject, max(score) AS s FROM labs GROUP BY patient", &["s"]),
    (
        "SELECT v.person_id AS subject, max(v.n) AS n FROM (SELECT person_id, count(*) AS n FROM visit_occurrence
         GROUP BY person_id UNION SELECT person_id, count(*) AS n FROM condition_occurrence GROUP BY person_id
         HAVING count(*) > 3) v GROUP BY v.person_id",
        &["n"],
    ),
    // What is computed once: a join with a vocabulary, one number of it, and one that nothing is in.
    (
        "SELECT person_id AS subject, count(*) AS n FROM condition_occurrence WHERE condition_concept_id IN
         (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 7) GROUP BY person_id",
        &["n"],
    ),
    (
        "SELECT person_id AS subject, year_of_birth + (SELECT count(*) FROM concept_ancestor) AS y FROM person
         WHERE EXISTS (SELECT 1 FROM concept_ancestor) AND NOT EXISTS (SELECT 1 FROM concept_ancestor WHERE
         ancestor_concept_id = 8)",
        &["y"],
    ),
    (
        "SELECT c.person_id AS subject, count(a.n) AS n, max(a.n) AS most FROM condition_occurrence c LEFT JOIN
         (SELECT descendant_concept_id AS d, count(*) AS n FROM concept_ancestor GROUP BY descendant_concept_id) a
         ON a.d = c.condition_concept_id GROUP BY c.person_id",
        &["n", "most"],
    ),
];

/// The invented hospital with a vocabulary.
fn write(folder: &Path) {
    hospital::write_csv(folder);
    let pairs = "ancestor_concept_id,descendant_concept_id\n7,9500000\n7,9500003\n7,9500003\n9,9500001\n";
    fs::write(folder.join("CONCEPT_ANCESTOR.csv"), pairs).expect("written");
}

async fn answers(store: &Store) -> Vec<Vec<String>> {
    let mut answers = Vec::new();
    for (sql, columns) in QUESTIONS {
        answers.push(sorted(&cohort(store, sql, columns).await.unwrap_or_else(|error| panic!("{sql}: {error}"))));
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_the_same_however_many_patients_a_bucket_has() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    let expected = answers(&open(csv.path()).await.expect("an open store")).await;
    assert!(expected.iter().all(|answer| answer.len() > 20), "{:?}", expected.iter().map(Vec::len).collect::<Vec<_>>());
    for (patients, buckets) in [(1, 240..241), (2, 120..240), (7, 35..120), (ALL, 1..2)] {
        let to = tempfile::tempdir().expect("a folder");
        let arrangement = arranged(csv.path(), to.path(), patients).await;
        assert!(buckets.contains(&arrangement.buckets), "{patients}: {}", arrangement.buckets);
        let store = open(to.path()).await.expect("an open store");
        assert_eq!(answers(&store).await, expected, "{patients}");
        // And laid out anew from what is laid out.
        let again = tempfile::tempdir().expect("a folder");
        arranged(to.path(), again.path(), 3).await;
        assert_eq!(answers(&open(again.path()).await.expect("an open store")).await, expected, "{patients}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_cohort_come_in_the_order_of_the_buckets() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    hospital::arrange_in_place(csv.path(), 7).await;
    let store = open(csv.path()).await.expect("an open store");
    let sql = "SELECT person_id AS subject, count(*) AS n, min(condition_concept_id) AS c FROM condition_occurrence
               GROUP BY person_id";
    let people = everybody(&store, &link()).await;
    let spec = hospital::study(sql, &["n", "c"]);
    let mut seen = Vec::new();
    for threads in [1, 8, 8, 8] {
        let limits = Limits { threads, ..hospital::limits() };
        let cohort = run(&store, &link(), &people, &spec, &limits).await.expect("a cohort");
        seen.push(cohort.batches);
    }
    assert!(seen[0].len() > 30 && seen.iter().all(|batches| *batches == seen[0]), "whichever bucket ends first");
}

/// One more row for a table of CSV.
fn append(path: &Path, row: &str) {
    let text = fs::read_to_string(path).expect("a file");
    fs::write(path, format!("{text}{row}\n")).expect("written");
}

/// The time of change of all files of a folder is some while ago.
fn settle(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let file = File::options().write(true).open(entry.path()).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("a time");
    }
}

#[tokio::test]
async fn what_is_arranged_again_is_what_is_arranged_from_scratch_and_only_what_changed_is_written() {
    let (csv, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(csv.path());
    settle(csv.path());
    let first = arranged(csv.path(), to.path(), 7).await;
    assert!(first.tables.iter().all(|table| table.files_written == table.files && table.files > 0));
    let manifest = fs::read(to.path().join("arranged.json")).expect("a manifest");

    let mut read = Vec::new();
    let mut note = |progress: Progress| {
        if let Progress::Table { name, .. } = progress {
            read.push(name);
        }
    };
    let store = open(csv.path()).await.expect("an open store");
    let same = arrange(&store, to.path(), &options(7), &mut note).await.expect("an arranged store");
    assert!(same.tables.iter().all(|table| table.files_written == 0), "{same:?}");
    assert_eq!((read, fs::read(to.path().join("arranged.json")).expect("a manifest")), (Vec::new(), manifest));

    type Change = (&'static str, fn(&Path), &'static [(&'static str, usize)]);
    let changes: [Change; 6] = [
        (
            "one more row of one patient",
            |csv| append(&csv.join("CONDITION_OCCURRENCE.csv"), "9499998,9000300,9500001,2016-01-01,,,,"),
            &[("condition_occurrence", 1)],
        ),
        (
            "one more row of nobody",
            |csv| append(&csv.join("CONDITION_OCCURRENCE.csv"), "9499997,,9500001,2016-01-01,,,,"),
            &[],
        ),
        (
            "the same rows in another order",
            |csv| {
                let path = csv.join("MEASUREMENT.csv");
                let text = fs::read_to_string(&path).expect("a file");
                let (head, rows) = text.split_once('\n').expect("a header");
                let rows: Vec<&str> = rows.lines().rev().collect();
                fs::write(path, format!("{head}\n{}\n", rows.join("\n"))).expect("written");
            },
            &[],
        ),
        (
            "one more patient at the end, who had a row before",
            |csv| append(&csv.join("PERSON.csv"), "9999999,8507,1950,1,,,,,,,"),
            &[("condition_occurrence", 1), ("person", 1)],
        ),
        (
            "a table more",
            |csv| fs::write(csv.join("DEATH.csv"), "person_id,death_date\n9000300,2020-01-01\n").expect("written"),
            &[("death", 1)],
        ),
        ("a table less", |csv| fs::remove_file(csv.join("MEASUREMENT.csv")).expect("removed"), &[]),
    ];
    for (what, change, expected) in changes {
        change(csv.path());
        let again = arranged(csv.path(), to.path(), 7).await;
        let written: Vec<(&str, usize)> = (again.tables.iter())
            .map(|table| (table.name.as_str(), table.files_written))
            .filter(|(_, written)| *written > 0)
            .collect();
        assert_eq!(written, expected, "{what}");
        let scratch = tempfile::tempdir().expect("a folder");
        arranged(csv.path(), scratch.path(), 7).await;
        assert!(tables(to.path()) == tables(scratch.path()), "{what}");
    }
}

#[tokio::test]
async fn whenever_it_is_stopped_the_store_is_the_old_one_or_the_new_one() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    let old = answers(&open(csv.path()).await.expect("an open store")).await;
    let base = tempfile::tempdir().expect("a folder");
    arranged(csv.path(), base.path(), 60).await;
    // Something in every bucket of two tables changes, and two tables go.
    for (table, columns) in [("VISIT_OCCURRENCE", 4), ("LABS", 4)] {
        let path = csv.path().join(format!("{table}.csv"));
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.lines().count() > columns);
        fs::write(&path, text.replace("2015-05-06", "2015-05-09").replace("2016-06-06", "2016-06-07"))
            .expect("written");
    }
    append(&csv.path().join("PERSON.csv"), "9000004,8507,1950,1,,,,,,,");
    let new = answers(&open(csv.path()).await.expect("an open store")).await;
    let scratch = tempfile::tempdir().expect("a folder");
    arranged(csv.path(), scratch.path(), 60).await;
    let (mut stops, mut olds, mut news) = (0, 0, 0);
    loop {
        let to = tempfile::tempdir().expect("a folder");
        for (path, bytes) in files(base.path()) {
            fs::create_dir_all(to.path().join(&path).parent().expect("a folder")).expect("folders");
            fs::write(to.path().join(&path), bytes).expect("written");
        }
        let mut left = stops;
        let mut stop = |_: Progress| {
            left -= 1;
            assert!(left >= 0, "stopped here");
        };
        let (store, options) = (open(csv.path()).await.expect("an open store"), options(60));
        let ended = AssertUnwindSafe(arrange(&store, to.path(), &options, &mut stop)).catch_unwind().await;
        let found = answers(&open(to.path()).await.expect("a store that is usable")).await;
        (olds, news) = (olds + usize::from(found == old), news + usize::from(found == new));
        assert!(found == old || found == new, "after {stops} steps");
        if ended.is_ok() {
            assert!(found == new);
            break;
        }
        // And the next one ends what was begun.
        arranged(csv.path(), to.path(), 60).await;
        assert!(tables(to.path()) == tables(scratch.path()), "after {stops} steps");
        stops += 1;
    }
    assert!(olds > 10 && news > 1, "{olds} times the old one, {news} times the new one");
}

#[tokio::test]
async fn files_that_are_not_those_of_the_manifest_are_refused() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    hospital::arrange_in_place(csv.path(), 60).await;
    let whole = files(csv.path());
    let victim = whole.keys().find(|path| path.starts_with("measurement")).expect("a file").clone();
    let manifest = PathBuf::from("arranged.json");
    let text = String::from_utf8(whole[&manifest].clone()).expect("text");
    type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;
    let damages: [(&Path, Damage, &str); 6] = [
        (&victim, |_| None, "not_as_arranged"),
        (
            &victim,
            |mut bytes| {
                bytes.pop();
                Some(bytes)
            },
            "not_as_arranged",
        ),
        (
            &victim,
            |mut bytes| {
                let at = bytes.len() - 20;
                bytes[at] ^= 1;
                Some(bytes)
            },
            "not_as_arranged",
        ),
        (&manifest, |bytes| Some(bytes[..bytes.len() / 2].to_vec()), "manifest"),
        (
            &manifest,
            |bytes| Some(String::from_utf8(bytes).ok()?.replacen("\"version\": 1", "\"version\": 2", 1).into()),
            "manifest",
        ),
        (
            &manifest,
            |bytes| Some(String::from_utf8(bytes).ok()?.replacen("\"bucket\": 1,", "\"bucket\": 0,", 1).into()),
            "manifest",
        ),
    ];
    assert!(text.contains("\"version\": 1") && text.contains("\"bucket\": 1,"));
    for (path, damage, kind) in damages {
        let at = csv.path().join(path);
        match damage(whole[path].clone()) {
            Some(bytes) => fs::write(&at, bytes).expect("written"),
            None => fs::remove_file(&at).expect("removed"),
        }
        let error = open(csv.path()).await.expect_err("a store that does not fit");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("consilium store arrange"), "{error}");
        fs::write(&at, &whole[path]).expect("written");
    }
    // Files that it does not name are nobody's.
    fs::write(csv.path().join("measurement/bucket-00009-0123456789abcdef.parquet"), "CANARY").expect("written");
    fs::write(csv.path().join("DEATH.csv"), "CANARY").expect("written");
    open(csv.path()).await.expect("an open store");
}

#[tokio::test]
async fn what_no_study_can_see_is_not_written() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    let to = tempfile::tempdir().expect("a folder");
    let arrangement = arranged(csv.path(), to.path(), 7).await;
    let of = |name: &str| arrangement.tables.iter().find(|table| table.name == name).expect("a table");
    let conditions = of("condition_occurrence");
    assert_eq!((conditions.left_out.nobodys, conditions.left_out.strangers), (1, 1));
    assert_eq!((of("labs").withheld.as_slice(), of("person").withheld.len()), (&["secret".to_string()][..], 5));
    assert!(of("person").bytes_before.is_some_and(|before| before > of("person").bytes / 4));
    let said = format!("{arrangement:?}");
    assert!(!said.contains("CANARY") && !said.contains("9000003"), "{said}");
    let mut values = 0;
    for (path, bytes) in files(to.path()) {
        let canary = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
        if path.extension().is_none_or(|ending| ending != "parquet") {
            assert!(!canary(&bytes, b"CANARY") && !canary(&bytes, b"9999999"), "{path:?}");
            continue;
        }
        for withheld in ["source_value", "secret", "stop_reason", "provider_id", "day_of_birth", "birth_datetime"] {
            assert!(!canary(&bytes, withheld.as_bytes()), "{path:?}: {withheld}");
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(to.path().join(&path)).expect("a file"));
        for batch in reader.expect("Parquet").build().expect("a reader") {
            let batch = batch.expect("rows");
            for column in batch.columns() {
                for row in 0..batch.num_rows() {
                    let value = array_value_to_string(column, row).expect("printable");
                    // A code of `labs` that is no number is one that studies may read.
                    let withheld = value.starts_with("CANARY") && !path.starts_with("labs");
                    let identifies = value.len() == 7 && value.starts_with("93");
                    assert!(!withheld && !identifies && value != "9999999" && value != "9499999", "{path:?}: {value}");
                    values += 1;
                }
            }
        }
    }
    assert!(values > 5_000, "{values}");
}

#[tokio::test]
async fn another_meaning_in_the_catalogue_closes_its_table() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    hospital::arrange_in_place(csv.path(), 7).await;
    let open_with = async |change: fn(&mut Vec<CatalogueTable>)| {
        let mut catalogue = hospital::catalogue();
        change(&mut catalogue);
        Store::open(&StoreConfig::of(csv.path()), &catalogue).await.expect("an open store").summary()
    };
    assert!(open_with(|_| {}).await.unreadable.is_empty());
    fn labs(catalogue: &mut [CatalogueTable]) -> &mut CatalogueTable {
        catalogue.iter_mut().find(|table| table.name == "labs").expect("a table")
    }
    let changes: [fn(&mut Vec<CatalogueTable>); 4] = [
        |catalogue| labs(catalogue).domain = Domain::Person,
        |catalogue| labs(catalogue).date = None,
        |catalogue| labs(catalogue).single = true,
        |catalogue| drop(labs(catalogue).columns.pop()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let summary = open_with(change).await;
        let [unreadable] = &summary.unreadable[..] else { panic!("{number}: {summary:?}") };
        assert_eq!((unreadable.name.as_str(), unreadable.kind), ("labs", "mapping"), "{number}");
        assert!(unreadable.reason.contains("arrange"), "{}", unreadable.reason);
    }
    let without = open_with(|catalogue| catalogue.retain(|table| table.name != "labs")).await;
    assert!(without.ignored.iter().any(|file| file.name == "labs"), "{without:?}");
    let another = open_with(|catalogue| {
        let another = CatalogueTable { name: "others".to_string(), ..labs(catalogue).clone() };
        catalogue.push(another);
    });
    assert!(another.await.absent.contains(&"others".to_string()));
}

#[tokio::test]
async fn what_was_read_of_another_column_is_read_anew() {
    let (csv, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    fs::write(csv.path().join("person.csv"), "person_id\n1\n2\n").expect("written");
    fs::write(csv.path().join("labs.csv"), "patient,taken,score,rating\n1,2016-01-01,3,4\n").expect("written");
    settle(csv.path());
    let mapped = |folder: &Path, column: &str| {
        let columns = BTreeMap::from([("score".to_string(), column.to_string())]);
        let tables = BTreeMap::from([("labs".to_string(), TableConfig { file: None, columns })]);
        StoreConfig { tables, ..StoreConfig::of(folder) }
    };
    for (column, expected) in [("score", "3"), ("rating", "4")] {
        let store = Store::open(&mapped(csv.path(), column), &hospital::catalogue()).await.expect("an open store");
        let arrangement = arrange(&store, to.path(), &options(7), &mut |_| {}).await.expect("an arranged store");
        let labs = arrangement.tables.iter().find(|table| table.name == "labs").expect("a table");
        assert_eq!(labs.files_written, 1, "{column}");
        let store = Store::open(&mapped(to.path(), column), &hospital::catalogue()).await.expect("an open store");
        let sql = "SELECT patient AS subject, CAST(max(score) AS BIGINT) AS s FROM labs GROUP BY patient";
        let people = everybody(&store, &link()).await;
        let spec = hospital::study(sql, &["s"]);
        let cohort = run(&store, &link(), &people, &spec, &hospital::limits()).await.expect("a cohort");
        assert_eq!(sorted(&cohort), [expected], "{column}");
    }
    // What it was made of is read otherwise now, and this not anew.
    let place =
        |of: &Path| Place::Arranged { folder: to.path().to_path_buf(), of: Box::new(Place::Folder(of.to_path_buf())) };
    let configured = StoreConfig { place: place(csv.path()), ..mapped(csv.path(), "rating") };
    let opened = async |config: &StoreConfig| Store::open(config, &hospital::catalogue()).await;
    assert!(opened(&configured).await.expect("an open store").summary().unreadable.is_empty());
    let other = StoreConfig { tables: mapped(csv.path(), "score").tables, ..configured.clone() };
    let summary = opened(&other).await.expect("an open store").summary();
    let [unreadable] = &summary.unreadable[..] else { panic!("{summary:?}") };
    assert_eq!((unreadable.name.as_str(), unreadable.kind), ("labs", "mapping"));
    let without = StoreConfig { tables: BTreeMap::new(), ..configured.clone() };
    let summary = opened(&without).await.expect("an open store").summary();
    assert!(summary.unreadable.iter().any(|table| table.name == "labs"), "{summary:?}");
    let marks = toml::from_str::<StoreConfig>("folder = \"x\"\nnulls = [\"-9\"]\n").expect("a configuration").nulls;
    let error = opened(&StoreConfig { nulls: marks, ..configured.clone() }).await.err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|error| error.contains("store arrange")), "{error:?}");
    let nowhere = Place::Arranged { folder: csv.path().to_path_buf(), of: Box::new(place(csv.path())) };
    let error = opened(&StoreConfig { place: nowhere, ..configured }).await.err().map(|error| error.kind());
    assert_eq!(error, Some("not_arranged"));
}

#[tokio::test]
async fn what_is_damaged_within_is_written_anew() {
    let (csv, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(csv.path());
    // Enough of them, and with little in common, that a file is longer than what is looked at when it is opened.
    let rows = (0..30_000u64).map(|i| {
        let (condition, code) = (i * 48_271 % 2_147_483_647, i * 69_621 % 1_000_003);
        format!("{condition},9000300,{code},2016-01-01,,,,\n")
    });
    let path = csv.path().join("CONDITION_OCCURRENCE.csv");
    let text = fs::read_to_string(&path).expect("a file");
    fs::write(path, text + &rows.collect::<String>()).expect("written");
    settle(csv.path());
    arranged(csv.path(), to.path(), ALL).await;
    let whole = tables(to.path());
    // Beyond what opening a store looks at.
    let (path, bytes) = whole.iter().max_by_key(|(_, bytes)| bytes.len()).expect("a file");
    assert!(bytes.len() > (1 << 16) + 2_000, "{path:?}: {}", bytes.len());
    let damage = || {
        let mut bytes = bytes.clone();
        bytes[1_000] ^= 1;
        fs::write(to.path().join(path), bytes).expect("written");
        assert!(tables(to.path()) != whole);
    };
    assert_eq!(damaged(to.path()), Ok(Vec::new()));
    damage();
    assert_eq!(damaged(to.path()), Ok(vec![path.clone()]));
    arranged(csv.path(), to.path(), ALL).await;
    assert!(tables(to.path()) == whole, "the source has not changed");
    damage();
    let source = csv.path().join("CONDITION_OCCURRENCE.csv");
    File::options().write(true).open(source).expect("a file").set_modified(SystemTime::now()).expect("a time");
    arranged(csv.path(), to.path(), ALL).await;
    assert!(tables(to.path()) == whole, "nor have the rows");
}

#[tokio::test]
async fn files_are_the_same_however_little_memory_there_is() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    let rows = (0..30_000u64).map(|i| {
        let (condition, code) = (i * 48_271 % 2_147_483_647, i * 69_621 % 1_000_003);
        format!("{condition},9000300,{code},2016-01-01,,,,\n")
    });
    let path = csv.path().join("CONDITION_OCCURRENCE.csv");
    let text = fs::read_to_string(&path).expect("a file");
    fs::write(path, text + &rows.collect::<String>()).expect("written");
    let pairs: String = (0..30_000u64).map(|i| format!("{},{}\n", i * 48_271 % 65_537, i)).collect();
    let head = "ancestor_concept_id,descendant_concept_id\n";
    fs::write(csv.path().join("CONCEPT_ANCESTOR.csv"), format!("{head}{pairs}")).expect("written");
    let mut seen = Vec::new();
    for memory_bytes in [512 << 20, 1 << 20, 1 << 18] {
        let to = tempfile::tempdir().expect("a folder");
        let store = open(csv.path()).await.expect("an open store");
        let options = Options { memory_bytes, ..options(60) };
        arrange(&store, to.path(), &options, &mut |_| {}).await.expect("an arranged store");
        seen.push(tables(to.path()));
    }
    for files in &seen {
        let other = files.iter().find(|(path, bytes)| seen[0].get(*path) != Some(bytes)).map(|(path, _)| path);
        assert!(files.len() > 5 && files.len() == seen[0].len() && other.is_none(), "{}: {other:?}", files.len());
    }
}

#[tokio::test]
async fn what_is_stopped_leaves_what_was_there() {
    let (csv, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(csv.path());
    arranged(csv.path(), to.path(), 60).await;
    let whole = files(to.path());
    append(&csv.path().join("CONDITION_OCCURRENCE.csv"), "9499998,9000300,9500001,2016-01-01,,,,");
    let store = open(csv.path()).await.expect("an open store");
    for at in 0..4 {
        let (options, mut seen) = (options(60), 0);
        let stop = std::sync::Arc::clone(&options.stop);
        let mut note = |progress: Progress| {
            if matches!(progress, Progress::Opened { .. } | Progress::File { .. } | Progress::Files) {
                seen += 1;
                stop.store(seen > at, std::sync::atomic::Ordering::Relaxed);
            }
        };
        let stopped = arrange(&store, to.path(), &options, &mut note).await;
        assert!(matches!(stopped, Err(ArrangeError::Stopped)), "{at}");
        assert!(files(to.path()) == whole && !to.path().join(".sorting").exists(), "{at}");
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_costs_no_file() {
    let (csv, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(csv.path());
    arranged(csv.path(), to.path(), 60).await;
    let (manifest, whole) = (to.path().join("arranged.json"), files(to.path()));
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, text.replacen("\"version\": 1", "\"version\": 2", 1)).expect("written");
    let mut seen = None;
    let mut stop = |progress: Progress| {
        if matches!(progress, Progress::Opened { .. }) {
            seen = Some(tables(to.path()).len());
        }
    };
    let store = open(csv.path()).await.expect("an open store");
    arrange(&store, to.path(), &options(60), &mut stop).await.expect("an arranged store");
    assert_eq!(seen, Some(whole.len() - 1), "nothing goes before there is something in its place");
    assert!(files(to.path()).keys().eq(whole.keys()));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_what_was_arranged() {
    use std::os::unix::fs::PermissionsExt as _;
    let (csv, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(csv.path());
    let to = to.path().join("new");
    arranged(csv.path(), &to, 60).await;
    let mut paths: Vec<PathBuf> = files(&to).into_keys().map(|path| to.join(path)).collect();
    paths.extend(paths.clone().iter().filter_map(|path| path.parent().map(Path::to_path_buf)));
    assert!(paths.len() > 20);
    for path in paths {
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o077, 0, "{path:?}");
    }
}

#[tokio::test]
async fn what_could_not_be_read_is_still_said() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    let path = csv.path().join("VISIT_OCCURRENCE.csv");
    let text = fs::read_to_string(&path).expect("a file").replacen("9202", "CANARY", 1);
    fs::write(path, text).expect("written");
    fs::write(csv.path().join("DEATH.csv"), "death_date\n2020-01-01\n").expect("written");
    hospital::arrange_in_place(csv.path(), 7).await;
    let store = open(csv.path()).await.expect("an open store");
    let error = |sql: &'static str| cohort(&store, sql, &["x"]);
    let visits =
        error("SELECT person_id AS subject, max(visit_concept_id) AS x FROM visit_occurrence GROUP BY person_id");
    assert_eq!(visits.await.map(drop).map_err(|error| error.kind()), Err("unreadable_column"));
    let deaths = error("SELECT person_id AS subject, count(*) AS x FROM death GROUP BY person_id");
    assert_eq!(deaths.await.map(drop).map_err(|error| error.kind()), Err("unreadable_table"));
    let summary = format!("{:?}", store.summary());
    assert!(summary.contains("unread_when_arranged") && !summary.contains("CANARY"), "{summary}");
}

#[tokio::test]
async fn a_folder_with_other_things_in_it_is_left_alone() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    let other = tempfile::tempdir().expect("a folder");
    fs::write(other.path().join("thesis.txt"), "years of work").expect("written");
    let store = open(csv.path()).await.expect("an open store");
    let into = async |to: &Path| arrange(&store, to, &options(7), &mut |_| {}).await;
    assert!(matches!(into(other.path()).await, Err(ArrangeError::Occupied { .. })));
    assert_eq!(files(other.path()).len(), 1);
    for to in [csv.path().to_path_buf(), csv.path().join("arranged"), csv.path().parent().expect("one").to_path_buf()] {
        assert!(matches!(into(&to).await, Err(ArrangeError::SameFolder { .. })), "{to:?}");
    }
    let to = tempfile::tempdir().expect("a folder");
    arranged(csv.path(), to.path(), 7).await;
    let lock = File::create(to.path().join(".arranging")).expect("a file");
    lock.lock().expect("a lock");
    assert!(matches!(into(to.path()).await, Err(ArrangeError::Busy { .. })));
}

#[tokio::test]
async fn limits_are_those_of_all_buckets_together() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    hospital::arrange_in_place(csv.path(), 7).await;
    let store = open(csv.path()).await.expect("an open store");
    let people = everybody(&store, &link()).await;
    let spec = hospital::study(QUESTIONS[1].0, QUESTIONS[1].1);
    let with = async |limits: Limits| run(&store, &link(), &people, &spec, &limits).await.map(|cohort| cohort.rows);
    let limits = hospital::limits();
    let rows = with(limits.clone()).await.expect("a cohort");
    assert!(rows > 100);
    assert_eq!(with(Limits { rows, ..limits.clone() }).await, Ok(rows));
    assert_eq!(
        with(Limits { rows: rows - 1, ..limits.clone() }).await,
        Err(CohortError::TooManyRows { limit: rows - 1 })
    );
    // Enough for a bucket, and not for the rows of all.
    let little = with(Limits { memory_bytes: 8 << 10, ..limits.clone() }).await;
    assert_eq!(little, Err(CohortError::Memory { limit_mib: 0 }));
    assert_eq!(with(Limits { time: Duration::ZERO, ..limits }).await, Err(CohortError::TimedOut { limit_s: 0 }));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_called_one_and_nothing_sorted_stays() {
    let csv = tempfile::tempdir().expect("a folder");
    write(csv.path());
    let store = open(csv.path()).await.expect("an open store");
    let full = |path: PathBuf| {
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::os::unix::fs::symlink("/dev/full", path).expect("a link");
    };
    for is_sorting in [true, false] {
        let to = tempfile::tempdir().expect("a folder");
        let mut meanwhile = |progress: Progress| {
            if !matches!(progress, Progress::Opened { .. }) {
                return;
            }
            match is_sorting {
                true => (0..512).for_each(|n| full(to.path().join(format!(".sorting/condition_occurrence/{n}")))),
                false => full(to.path().join("condition_occurrence/bucket-00000.part")),
            }
        };
        let options = Options { memory_bytes: 1 << 12, ..options(7) };
        let error = arrange(&store, to.path(), &options, &mut meanwhile).await.expect_err("no room");
        let ArrangeError::Full { folder } = &error else { panic!("{error:?}") };
        assert!(
            folder.starts_with(&to.path().display().to_string()) && error.to_string().contains("is full"),
            "{error}"
        );
        let left: Vec<_> = fs::read_dir(to.path().join(".sorting")).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
