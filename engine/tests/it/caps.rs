//! What a query can cost before it runs: every query that 16 KiB of text hold is planned or refused within two seconds.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use consilium_engine::cohort::{CohortError, Limits, check, run};
use consilium_engine::store::Store;
use consilium_protocol::study::StudySpec;
use consilium_protocol::study::limits::SQL_BYTES;

use super::families::{FAMILIES, Family};
use super::hospital::{everybody, limits, link, study_with};

/// The processor time of this process so far; the time of day where that is not known.
fn processor_time(started: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: Option<u64> =
        after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().ok()).sum::<Option<u64>>();
    // A tick is a hundredth of a second on every Linux there is.
    ticks.filter(|_| !stat.is_empty()).map_or_else(|| started.elapsed(), |ticks| Duration::from_millis(10 * ticks))
}

/// Peak memory of this process in MiB, as far as it is known.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// A study with a query of any length, for a study file would refuse a longer one.
fn spec(sql: &str) -> StudySpec {
    let set = "[[concept_set]]\nname = \"a_set\"\ninclude = [1]\nexclude = [2]\ndescendants = true\n";
    let mut spec = study_with("SELECT 1", &["x"], if sql.contains("FROM a_set") { set } else { "" });
    spec.cohort.sql = sql.to_string();
    spec
}

async fn checked(sql: &str, started: Instant) -> (Result<(), CohortError>, Duration) {
    let before = processor_time(started);
    let outcome = check(&spec(sql)).await.map(drop);
    (outcome, processor_time(started).saturating_sub(before))
}

/// The largest `n` whose text is short enough.
fn longest((_, query): &Family) -> usize {
    let mut n = 1;
    while query(2 * n).len() <= SQL_BYTES {
        n *= 2;
    }
    let mut step = n;
    while step > 0 {
        if query(n + step).len() <= SQL_BYTES {
            n += step;
        }
        step /= 2;
    }
    n
}

/// Plans a query as a hospital of sixteen cores without patients does.
async fn planned_at_a_hospital(store: &Store, sql: &str, started: Instant) -> Duration {
    let before = processor_time(started);
    let permissions = everybody(store, &link()).await;
    let limits = Limits { threads: 16, ..limits() };
    run(store, &link(), &permissions, &spec(sql), &limits).await.map(drop).ok();
    processor_time(started).saturating_sub(before)
}

/// Prints, for every family, what its longest query takes and about its largest accepted one: in a process of its own,
/// because processor time is the process's.
#[tokio::test]
#[ignore = "run by the test below, alone in its process"]
async fn measured() {
    let started = Instant::now();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("person.csv"), "person_id,year_of_birth\n").expect("written");
    let config = toml::from_str(&format!("folder = {:?}", folder.path().display().to_string()));
    let store = Store::open(&config.expect("a configuration"), &[]).await.expect("an open store");
    let only = std::env::var("CONSILIUM_FAMILY").unwrap_or_default();
    for family in FAMILIES.iter().filter(|(name, _)| name.contains(&only)) {
        let (name, query) = family;
        let longest = longest(family);
        let (outcome, took) = checked(&query(longest), started).await;
        let kind = outcome.as_ref().err().map_or("planned", CohortError::kind);
        println!("\n@{name};{longest};{kind};{};{}", took.as_millis(), peak_mib());
        let (mut accepted, mut refused) = if outcome.is_ok() { (longest, longest) } else { (0, longest) };
        let mut why = String::new();
        while refused - accepted > 1 + accepted / 10 {
            let n = accepted.midpoint(refused);
            let (outcome, took) = checked(&query(n), started).await;
            let kind = outcome.as_ref().err().map_or("planned", CohortError::kind);
            println!("\n@{name};{n};{kind};{};{}", took.as_millis(), peak_mib());
            match outcome {
                Ok(()) => accepted = n,
                Err(error) => (refused, why) = (n, error.to_string()),
            }
        }
        if accepted > 0 {
            let took = planned_at_a_hospital(&store, &query(accepted), started).await;
            println!("\n@{name};{accepted};at a hospital;{};{};{why}", took.as_millis(), peak_mib());
        }
    }
}

#[test]
fn whatever_a_query_holds_is_planned_or_refused_in_seconds() {
    let this = std::env::current_exe().expect("this program");
    let child = Command::new(this)
        .args(["--ignored", "--exact", "caps::measured", "--nocapture"])
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("a child process");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    let mut slow = Vec::new();
    let mut families = BTreeSet::new();
    // Between these lines stands what the test runner says by itself.
    for line in said.lines().filter_map(|line| line.strip_prefix('@')) {
        let fields: Vec<&str> = line.split(';').collect();
        families.insert(fields[0].to_string());
        let number = |field: &str| field.parse::<u64>().expect("a number");
        // Two seconds are the promise, measured on a quiet machine; here is room for a busy one.
        if number(fields[3]) > 6_000 || number(fields[4]) > 600 || fields[2] == "planner" {
            slow.push(line);
        }
    }
    assert_eq!(families.len(), FAMILIES.len(), "{said}");
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

#[tokio::test]
async fn the_part_that_is_too_large_is_named_with_its_size_and_the_limit() {
    let started = Instant::now();
    let at = |family: &str, n: usize| {
        let found = FAMILIES.iter().find(|(name, _)| *name == family).expect("a family");
        (found.1)(n)
    };
    for (family, n, words) in [
        ("union of constants", 20, ["`c8`", "256 tables", "200"]),
        ("join of VALUES by names", 6, ["`c4`", "65536 rows", "10000"]),
        ("chain of columns", 70, ["`c64`", "levels", "64"]),
        ("x + x in WITH", 14, ["column `x`", "parts", "4000"]),
        ("windows of one kind", 6, ["column `x`", "6 columns of windows", "4"]),
        ("joins", 120, ["the query", "parts", "30000"]),
        ("chain of full joins of the one before", 8, ["the query", "parts", "30000"]),
        ("chain of counts before a day of the one before", 40, ["the query", "parts", "30000"]),
    ] {
        let error = checked(&at(family, n), started).await.0.expect_err(family);
        let said = error.to_string();
        assert!(matches!(error, CohortError::Outgrown { .. }) && !error.depends_on_data(), "{family}: {said}");
        for word in words {
            assert!(said.contains(word), "{family}: {said}");
        }
    }
}

#[tokio::test]
async fn no_study_that_somebody_writes_comes_near_a_limit() {
    let started = Instant::now();
    let at = |family: &str, n: usize| {
        let found = FAMILIES.iter().find(|(name, _)| *name == family).expect("a family");
        (found.1)(n)
    };
    for (family, n) in [
        ("a cohort in OHDSI's way", 20),
        ("left joins of flags", 60),
        ("first of many kinds", 40),
        ("first of many kinds, all there", 20),
        ("CASE of many", 250),
        ("exists", 80),
        ("EXISTS in aggregates", 25),
        ("counts before a day", 8),
        ("full joins", 12),
        ("chain of records among records of the one before", 10),
        ("sets of concepts", 80),
        ("unions", 150),
        ("one name in many places", 50),
        ("aggregates", 300),
        ("IN list", 1_000),
        ("chain of columns", 40),
    ] {
        let outcome = checked(&at(family, n), started).await.0;
        assert_eq!(outcome, Ok(()), "{family}");
    }
}
