//! What a query can cost before it runs: every query that 16 KiB of text hold is planned or refused within two seconds.

use std::time::{Duration, Instant};

use consilium_engine::cohort::{CohortError, check};
use consilium_protocol::study::StudySpec;
use consilium_protocol::study::limits::SQL_BYTES;

use super::families::{FAMILIES, Family};
use super::hospital::study;

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
    let mut spec = study("SELECT 1", &["x"]);
    spec.cohort.sql = sql.to_string();
    spec
}

async fn checked(sql: &str, started: Instant) -> (Result<(), CohortError>, Duration) {
    let before = processor_time(started);
    let outcome = check(&spec(sql)).await.map(drop);
    (outcome, processor_time(started) - before)
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

/// Prints, for every family, what its longest query and its largest accepted one take: a process of its own, because
/// processor time is the process's.
#[tokio::test]
#[ignore = "run by the test below, alone in its process"]
async fn measured() {
    let started = Instant::now();
    let only = std::env::var("CONSILIUM_FAMILY").unwrap_or_default();
    for family in FAMILIES.iter().filter(|(name, _)| name.contains(&only)) {
        let (name, query) = family;
        let longest = longest(family);
        let (outcome, took) = checked(&query(longest), started).await;
        let kind = outcome.as_ref().err().map_or("planned", CohortError::kind);
        println!("{name};longest;{longest};{kind};{};{}", took.as_millis(), peak_mib());
        if outcome.is_ok() {
            continue;
        }
        let (mut accepted, mut refused) = (0, longest);
        let mut slowest = (Duration::ZERO, 0);
        while refused - accepted > 1 {
            let n = accepted.midpoint(refused);
            let (outcome, took) = checked(&query(n), started).await;
            slowest = slowest.max((took, n));
            if outcome.is_ok() { accepted = n } else { refused = n }
        }
        let why = checked(&query(refused), started).await.0.expect_err("refused");
        println!("{name};largest;{accepted};planned;{};{};{}", slowest.0.as_millis(), peak_mib(), why);
    }
}
