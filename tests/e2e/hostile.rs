//! Queries written to hurt, over the worker: each ends as it should, in time, and the next study is computed as if nothing
//! had been. What planners and executors stumbled over elsewhere is among them.

use std::time::{Duration, Instant};

use consilium::worker::{Bounds, Trouble};
use consilium_engine::worker::Refusal;

use crate::small::{BOUNDS, Small};
use crate::support::alone;

/// What it tries, the query, and how it may end.
type Hostile = (&'static str, String, &'static [&'static str]);

/// It has an answer.
const COMPUTED: &[&str] = &["computed"];
/// It has one where it fits into memory.
const FITS_OR_NOT: &[&str] = &["computed", "memory", "worker_memory"];
/// It is stopped for its memory: by the engine's own account, or by the kernel.
const MEMORY: &[&str] = &["memory", "worker_memory"];
const STOPPED: &[&str] = &["memory", "worker_memory", "worker_deadline"];
const TOO_LARGE: &[&str] = &["too_large"];
const NO_LITERAL: &[&str] = &["literal"];
const UNPLANNABLE: &[&str] = &["unplannable", "construct"];
const NO_FUNCTION: &[&str] = &["function"];

/// One patient's rows, each with each: nine million pairs.
const PAIRS: &str = "measurement a JOIN measurement b ON b.person_id = a.person_id";

fn one(value: &str) -> String {
    format!("SELECT p.person_id, {value} AS x FROM person p")
}

fn where_(condition: &str) -> String {
    format!("SELECT p.person_id, 1 AS x FROM person p WHERE {condition}")
}

/// An aggregate over the pairs, and how many rows a query over them has.
fn of_pairs(aggregate: &str) -> String {
    format!("SELECT a.person_id, {aggregate} AS x FROM {PAIRS} GROUP BY a.person_id")
}

fn rows_of(query: &str) -> String {
    format!("SELECT s.person_id, count(*) AS x FROM ({query}) s GROUP BY s.person_id")
}

fn pairs_of(columns: &str) -> String {
    format!("SELECT a.person_id, {columns} FROM {PAIRS}")
}

/// A chain of WITH queries, each made from the one before.
fn chain(first: &str, next: impl Fn(usize) -> String, length: usize, last: &str) -> String {
    let steps: Vec<String> = (1..=length).map(|i| format!("c{i} AS ({})", next(i - 1))).collect();
    format!("WITH c0 AS ({first}), {} {last}", steps.join(", "))
}

fn memory() -> Vec<Hostile> {
    let both = "a.value_as_number AS u, b.value_as_number AS v";
    let window = "OVER (PARTITION BY a.person_id ORDER BY a.value_as_number * b.value_as_number)";
    let lookup = |name: &str| format!("({}) {name}", pairs_of("a.value_as_number AS u"));
    vec![
        ("distinct values", of_pairs("count(DISTINCT a.value_as_number * 3000 + b.value_as_number)"), MEMORY),
        ("distinct rows", rows_of(&format!("SELECT DISTINCT a.person_id, {both} FROM {PAIRS}")), MEMORY),
        (
            "a sort",
            format!(
                "SELECT s.person_id, max(s.n) AS x FROM ({}) s GROUP BY s.person_id",
                pairs_of(&format!("row_number() {window} AS n"))
            ),
            STOPPED,
        ),
        (
            "a window over all",
            format!(
                "SELECT s.person_id, max(s.n) AS x FROM ({}) s GROUP BY s.person_id",
                pairs_of("sum(a.value_as_number) OVER (PARTITION BY a.person_id) AS n")
            ),
            STOPPED,
        ),
        (
            "a running sum",
            format!(
                "SELECT s.person_id, max(s.n) AS x FROM ({}) s GROUP BY s.person_id",
                pairs_of(&format!("sum(b.value_as_number) {window} AS n"))
            ),
            STOPPED,
        ),
        (
            "the row before",
            format!(
                "SELECT s.person_id, max(s.n) AS x FROM ({}) s GROUP BY s.person_id",
                pairs_of(&format!("lag(b.value_as_number) {window} AS n"))
            ),
            STOPPED,
        ),
        ("a median", of_pairs("median(a.value_as_number + b.value_as_number)"), FITS_OR_NOT),
        (
            "the first",
            of_pairs("first_value(a.value_as_number ORDER BY b.value_as_number, a.measurement_date)"),
            FITS_OR_NOT,
        ),
        (
            "groups",
            rows_of(
                &(pairs_of(&format!("{both}, count(*) AS n"))
                    + " GROUP BY a.person_id, a.value_as_number, b.value_as_number"),
            ),
            MEMORY,
        ),
        ("a union", rows_of(&[pairs_of(both), pairs_of(both), pairs_of(both)].join(" UNION ")), MEMORY),
        ("an intersection", rows_of(&[pairs_of(both), pairs_of(both)].join(" INTERSECT ")), MEMORY),
        (
            "a difference",
            rows_of(&[pairs_of(both), pairs_of("b.value_as_number, 1.5 * a.value_as_number")].join(" EXCEPT ")),
            MEMORY,
        ),
        (
            "pairs to look up in",
            format!(
                "SELECT p.person_id, count(*) AS x FROM person p JOIN {} ON s.person_id = p.person_id JOIN {} ON t.person_id = p.person_id AND t.u = s.u GROUP BY p.person_id",
                lookup("s"),
                lookup("t")
            ),
            STOPPED,
        ),
        (
            "words of pairs",
            of_pairs("count(DISTINCT CAST(a.value_as_number * 3000 + b.value_as_number AS TEXT))"),
            MEMORY,
        ),
    ]
}

fn processor() -> Vec<Hostile> {
    let triples = format!("{PAIRS} JOIN measurement c ON c.person_id = a.person_id");
    let never = "a.value_as_number + b.value_as_number + c.value_as_number < 0";
    let terms = vec!["power(ln(1 + a.value_as_number), 2) * exp(1 / (1 + b.value_as_number))"; 60].join(" + ");
    let text = "CAST(a.value_as_number * b.value_as_number AS TEXT)";
    let lists: Vec<String> = (0..4).map(|i| format!("v{i}(x) AS (VALUES {})", vec!["(1)"; 60].join(","))).collect();
    vec![
        ("triples", format!("SELECT a.person_id, count(*) AS x FROM {triples} GROUP BY a.person_id"), STOPPED),
        (
            "triples that never fit",
            format!("SELECT a.person_id, count(*) AS x FROM {triples} AND {never} GROUP BY a.person_id"),
            STOPPED,
        ),
        (
            "a semi join that never fits",
            where_(&format!("EXISTS (SELECT 1 FROM {triples} AND {never} WHERE a.person_id = p.person_id)")),
            STOPPED,
        ),
        (
            "an anti join that never fits",
            where_(&format!("p.person_id NOT IN (SELECT a.person_id FROM {triples} AND {never})")),
            STOPPED,
        ),
        (
            "a join on one value",
            format!(
                "SELECT a.person_id, count(*) AS x FROM {PAIRS} AND b.value_as_number % 1 = a.value_as_number % 1 JOIN measurement c ON c.person_id = a.person_id GROUP BY a.person_id"
            ),
            STOPPED,
        ),
        ("much to compute", of_pairs(&format!("sum({terms})")), COMPUTED),
        (
            "a pattern that goes back and forth",
            of_pairs(&format!("sum(CASE WHEN {text} LIKE '{}x' THEN 1 ELSE 0 END)", "%1".repeat(30))),
            COMPUTED,
        ),
        (
            "lists of VALUES that never fit",
            format!(
                "WITH {}, v AS (SELECT v0.x FROM v0 JOIN v1 ON v1.x <> v0.x JOIN v2 ON v2.x <> v0.x JOIN v3 ON v3.x <> v0.x) SELECT p.person_id, 1 AS x FROM person p JOIN (SELECT DISTINCT x FROM v) w ON w.x = p.year_of_birth",
                lists.join(", ")
            ),
            TOO_LARGE,
        ),
    ]
}

fn output() -> Vec<Hostile> {
    let columns: String = (0..1_200).map(|i| format!(", 1 AS y{i}")).collect();
    let several: &[&str] = &["several_rows_per_subject"];
    vec![
        ("a row for each pair", pairs_of("a.value_as_number AS x"), several),
        ("each patient twice", [one("1"), one("2")].join(" UNION ALL "), several),
        ("a thousand columns", format!("SELECT p.person_id, 1 AS x{columns} FROM person p"), COMPUTED),
        (
            "numbers beyond all",
            one("power(10, 308) * 10 * (CASE WHEN p.year_of_birth > 1945 THEN 1 ELSE -1 END)"),
            COMPUTED,
        ),
        ("no numbers", one("ln(-1) + sqrt(-1) + 0.0 / 0.0"), COMPUTED),
    ]
}

fn nesting() -> Vec<Hostile> {
    let around = |open: &str, inner: &str, close: &str, n: usize| one(&(open.repeat(n) + inner + &close.repeat(n)));
    let queries =
        (0..60).fold("SELECT person_id, 1 AS x FROM person".to_string(), |q, i| format!("SELECT * FROM ({q}) t{i}"));
    let exists = (0..40).fold("1 = 1".to_string(), |q, i| {
        format!("EXISTS (SELECT 1 FROM person q{i} WHERE q{i}.year_of_birth = {i} AND {q})")
    });
    let person = "SELECT person_id, year_of_birth AS x FROM person";
    let doubled = |i| format!("SELECT a.person_id, a.x FROM c{i} a JOIN c{i} b ON a.person_id = b.person_id");
    vec![
        ("parentheses", around("(", "1", ")", 2_000), TOO_LARGE),
        ("NOT", where_(&("NOT ".repeat(3_000) + "p.year_of_birth > 0")), TOO_LARGE),
        ("CASE within CASE", around("CASE WHEN p.year_of_birth > 1 THEN ", "1", " END", 300), TOO_LARGE),
        ("casts of casts", around("CAST(", "p.year_of_birth", " AS BIGINT)", 700), TOO_LARGE),
        ("queries within queries", queries, TOO_LARGE),
        ("EXISTS within EXISTS", where_(&exists), TOO_LARGE),
        ("AND, hundreds of times", where_(&vec!["p.year_of_birth>1"; 600].join(" AND ")), TOO_LARGE),
        ("OR of IN lists", where_(&vec!["p.year_of_birth NOT IN (1,2,3)"; 400].join(" OR ")), TOO_LARGE),
        (
            "unions that double",
            chain(
                "SELECT 8507 AS i",
                |i| format!("SELECT * FROM c{i} UNION ALL SELECT * FROM c{i}"),
                18,
                "SELECT p.person_id, 1 AS x FROM person p JOIN (SELECT DISTINCT i FROM c18) v ON v.i = p.gender_concept_id",
            ),
            TOO_LARGE,
        ),
        (
            "columns that double",
            chain(
                person,
                |i| format!("SELECT person_id, x + x AS x FROM c{i}"),
                20,
                "SELECT person_id, x FROM c20 WHERE x > 0",
            ),
            TOO_LARGE,
        ),
        ("joins that double", chain(person, doubled, 16, "SELECT person_id, x FROM c16"), TOO_LARGE),
        (
            "a long chain",
            chain(person, |i| format!("SELECT person_id, x + 1 AS x FROM c{i}"), 200, "SELECT person_id, x FROM c200"),
            TOO_LARGE,
        ),
    ]
}

fn stumbling() -> Vec<Hostile> {
    let of_one = "OVER (PARTITION BY p.person_id ORDER BY p.year_of_birth";
    vec![
        ("what cannot hold", where_("p.year_of_birth = 0 AND p.year_of_birth = 5"), COMPUTED),
        ("CASE within CASE within BETWEEN", one("CASE WHEN (CASE WHEN p.year_of_birth > 1 THEN CASE p.gender_concept_id WHEN 1 THEN 2 ELSE 3 END ELSE 4 END) BETWEEN (CASE WHEN p.year_of_birth > 5 THEN 1 END) AND 9 THEN 1 ELSE 0 END"), COMPUTED),
        ("the smallest number, negated", one("- (-9223372036854775807 - 1) + abs(-9223372036854775807 - 1)"), COMPUTED),
        ("the smallest number, divided", one("(-9223372036854775807 - 1) / -1 + (-9223372036854775807 - 1) % -1"), COMPUTED),
        ("division by nothing", one("p.year_of_birth / (p.year_of_birth - p.year_of_birth) + p.year_of_birth % 0"), COMPUTED),
        ("a sum that overflows", of_pairs("sum(CAST(a.value_as_number AS BIGINT) * 9000000000000000)"), COMPUTED),
        ("days beyond all", one("CASE WHEN DATE '9999-12-31' + INTERVAL '999999999 days' > DATE '0001-01-01' - INTERVAL '99999999 months' THEN 1 ELSE 0 END"), COMPUTED),
        ("a date that does not exist", one("CASE WHEN CAST('2021-02-30' AS DATE) IS NULL THEN 1 ELSE 0 END"), NO_LITERAL),
        ("a year of six digits", one("date_part('year', CAST('262143-12-31' AS DATE))"), NO_LITERAL),
        ("a number that fits nowhere", one("CAST(CAST(1e300 AS DOUBLE) AS BIGINT)"), NO_LITERAL),
        ("a word that is no number", one("CAST('1e400' AS DOUBLE) + CAST('-' AS INT)"), NO_LITERAL),
        ("digits without end", one("round(p.year_of_birth / 7.0, 2147483647) + trunc(1.5, -2147483648)"), COMPUTED),
        ("text from beyond its ends", one("length(substr('äöü', -9223372036854775807, 9223372036854775807))"), COMPUTED),
        ("a window that looks back too far", one(&format!("lag(p.year_of_birth, 9223372036854775807) {of_one})")), TOO_LARGE),
        ("a frame longer than all", one(&format!("sum(p.year_of_birth) {of_one} ROWS BETWEEN 18446744073709551615 PRECEDING AND CURRENT ROW)")), UNPLANNABLE),
        ("the nothingth value", one(&format!("nth_value(p.year_of_birth, 0) {of_one})")), NO_FUNCTION),
        ("in no parts", one(&format!("ntile(0) {of_one})")), &["construct"]),
        ("GROUP BY a place that is not there", "SELECT person_id, count(*) AS x FROM person GROUP BY 0, 99".to_string(), &["construct"]),
        ("ORDER BY a place that is not there", "SELECT person_id, 1 AS x FROM person ORDER BY 99".to_string(), UNPLANNABLE),
        ("a list of nothing", where_("p.year_of_birth IN ()"), &["syntax"]),
        ("a join of others' rows", "SELECT a.person_id, count(*) AS x FROM measurement a FULL JOIN measurement b ON b.person_id = a.person_id FULL JOIN measurement c ON c.person_id = a.person_id GROUP BY a.person_id".to_string(), &["construct"]),
        ("an average of nothing", "SELECT p.person_id, avg(m.value_as_number) AS x FROM person p LEFT JOIN measurement m ON m.person_id = p.person_id AND m.value_as_number < -1 GROUP BY p.person_id".to_string(), COMPUTED),
        ("a deviation of one", "SELECT p.person_id, stddev(p.year_of_birth) AS x FROM person p GROUP BY p.person_id".to_string(), COMPUTED),
    ]
}

/// How long one may take; nobody waits long in a test.
const SECONDS: u64 = 6;

#[test]
fn whatever_a_query_tries_it_ends_as_it_should_and_the_next_is_computed() {
    alone(async || {
        let small = Small::new(3_000, Bounds { time: Duration::from_secs(SECONDS), ..BOUNDS });
        small.counts().await;
        let mut wrong = Vec::new();
        for (what, sql, ends) in [memory(), processor(), output(), nesting(), stumbling()].concat() {
            let started = Instant::now();
            let answer = small.ask(&sql).await;
            let took = started.elapsed();
            let end = match &answer {
                Ok(_) => "computed",
                Err(Trouble::Refused(Refusal::Cohort(error))) => error.kind(),
                Err(Trouble::Worker(error)) => error.kind(),
                Err(_) => "something else",
            };
            eprintln!("{what:36} {end:24} {:5} ms", took.as_millis());
            if !ends.contains(&end) || took > Duration::from_secs(SECONDS + 4) {
                let said = answer.err().map(|trouble| trouble.to_string());
                wrong.push(format!("{what}: {end} after {} ms {}", took.as_millis(), said.unwrap_or_default()));
            }
            small.counts().await;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}
