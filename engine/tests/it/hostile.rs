//! Queries that must be refused, each for its own reason, and none with a word about anybody.

use std::time::Duration;

use consilium_engine::cohort::{CohortError, Limits, check, run};
use consilium_protocol::study::{Protection, StudySpec};

use super::hospital::{everybody, limits, link, open_csv, sorted, study, study_with};

/// An error quotes nothing of a row: no canary, and no number of seven digits or more.
fn says_nothing_of_rows(error: &CohortError, sql: &str) {
    let said = format!("{error} {error:?} {error:#?}");
    assert!(!said.contains("CANARY"), "{sql}: {said}");
    let longest = said.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    assert!(longest < 7, "{sql}: {said}");
}

/// The variable `x` is declared in each; kind of the refusal, query.
fn refused_by_the_query_alone() -> Vec<(&'static str, String)> {
    let p = "SELECT p.person_id AS subject,";
    let from = "FROM person p";
    let mut list: Vec<(&'static str, String)> = [
        // Files and functions as tables.
        ("table_function", "SELECT * FROM read_csv('/etc/passwd')".to_string()),
        ("table_function", "SELECT * FROM read_parquet('/srv/person.parquet')".to_string()),
        ("table_function", "SELECT p.person_id AS subject, g.value AS x FROM person p, generate_series(1, 10) g".into()),
        ("table_function", "SELECT * FROM TABLE(range(1))".to_string()),
        ("file_as_table", "SELECT * FROM 'person.parquet'".to_string()),
        ("file_as_table", "SELECT * FROM \"/srv/omop/person.parquet\"".to_string()),
        ("unknown_table", "SELECT person_id AS subject, 1 AS x FROM person.parquet".to_string()),
        // Other statements.
        ("not_a_select", "COPY person TO 'out.csv'".to_string()),
        ("not_a_select", "COPY (SELECT * FROM person) TO 'out.parquet' STORED AS PARQUET".to_string()),
        ("not_a_select", "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'".to_string()),
        ("not_a_select", "CREATE TABLE t AS SELECT * FROM person".to_string()),
        ("not_a_select", "CREATE VIEW person AS SELECT 1".to_string()),
        ("not_a_select", "INSERT INTO person VALUES (1)".to_string()),
        ("not_a_select", "DELETE FROM person".to_string()),
        ("not_a_select", "UPDATE person SET person_id = 1".to_string()),
        ("not_a_select", "DROP TABLE person".to_string()),
        ("not_a_select", "SET datafusion.catalog.information_schema = true".to_string()),
        ("not_a_select", "EXPLAIN ANALYZE SELECT * FROM person".to_string()),
        ("not_a_select", "SHOW TABLES".to_string()),
        ("not_a_select", "DESCRIBE person".to_string()),
        ("not_a_select", "VALUES (1)".to_string()),
        ("not_a_select", "WITH a AS (SELECT 1) INSERT INTO person SELECT * FROM a".to_string()),
        ("not_one_statement", "SELECT person_id AS subject, 1 AS x FROM person; SELECT 1".to_string()),
        ("not_one_statement", "SELECT person_id AS subject, 1 AS x FROM person; DROP TABLE person".to_string()),
        ("not_one_statement", "-- nothing at all".to_string()),
        // Other schemas.
        ("unknown_table", "SELECT * FROM information_schema.tables".to_string()),
        // A schema is left out, unless WITH defines another table of the name.
        (
            "qualified_table",
            "WITH person AS (SELECT person_id FROM death) SELECT person_id AS subject, 1 AS x FROM cdm.person".to_string(),
        ),
        ("unknown_table", "SELECT person_id AS subject, 1 AS x FROM patients".to_string()),
        ("unknown_table", "SELECT person_id AS subject, 1 AS x FROM tables".to_string()),
        ("closed_table", "SELECT person_id AS subject, 1 AS x FROM note".to_string()),
        // Columns.
        ("unknown_column", format!("{p} p.shoe_size AS x {from}")),
        ("withheld_column", format!("{p} p.person_source_value AS x {from}")),
        ("withheld_column", format!("{p} p.day_of_birth AS x {from}")),
        ("withheld_column", format!("{p} 1 AS x {from} WHERE provider_id = 3")),
        ("withheld_column", format!("{p} p.birth_datetime AS x {from}")),
        ("withheld_column", "SELECT person_id AS subject, min(stop_reason) AS x FROM condition_occurrence GROUP BY 1".into()),
        ("ambiguous_column", "SELECT p.person_id AS subject, person_id + 1 AS x FROM person p JOIN visit_occurrence d ON p.person_id = d.person_id".into()),
        ("ambiguous_column", format!("{p} p.year_of_birth AS x, p.month_of_birth AS x {from}")),
        ("column_missing", format!("{p} p.year_of_birth AS y {from}")),
        ("column_missing", "SELECT person_id AS patient, year_of_birth AS x FROM person".to_string()),
        ("column_type", "SELECT person_id AS subject, min(visit_start_date) AS x FROM visit_occurrence GROUP BY 1".into()),
        ("column_type", format!("{p} 'text' AS x {from}")),
        // The subject where it must not be.
        ("identifier_in_result", format!("{p} p.person_id AS x {from}")),
        ("identifier_in_result", format!("{p} 1 AS x, p.person_id AS again {from}")),
        ("identifier_in_result", format!("{p} 1 AS x, p.* {from}")),
        ("identifier_in_result", "SELECT person_id AS subject, visit_occurrence_id AS x FROM visit_occurrence".into()),
        ("identifier_in_result", format!("{p} q.x {from} JOIN (SELECT person_id AS x FROM person) q ON q.x = p.person_id")),
        ("identifier_in_expression", format!("{p} p.person_id + 0 AS x {from}")),
        ("identifier_in_expression", format!("{p} -p.person_id AS x {from}")),
        ("identifier_in_expression", format!("{p} CASE WHEN p.person_id > 5 THEN 1 ELSE 0 END AS x {from}")),
        ("identifier_in_expression", format!("{p} CASE p.person_id WHEN 5 THEN 1 ELSE 0 END AS x {from}")),
        ("identifier_in_expression", format!("{p} coalesce(p.person_id, 1) AS x {from}")),
        ("identifier_in_expression", format!("{p} CAST(p.person_id AS DOUBLE) AS x {from}")),
        ("identifier_in_expression", format!("{p} length(CAST(p.person_id AS VARCHAR)) AS x {from}")),
        ("identifier_in_expression", "SELECT person_id AS subject, max(person_id) AS x FROM person GROUP BY person_id".into()),
        ("identifier_in_expression", "SELECT person_id AS subject, sum(visit_occurrence_id) AS x FROM visit_occurrence GROUP BY person_id".into()),
        ("identifier_in_expression", format!("{p} (SELECT q.person_id FROM person q WHERE q.person_id = p.person_id) AS x {from}")),
        ("identifier_in_expression", format!("{p} (SELECT max(q.person_id) FROM person q) AS x {from}")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} WHERE p.person_id = 5")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} WHERE p.person_id <> 5")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} WHERE p.person_id IN (1, 2, 3)")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} WHERE p.person_id BETWEEN 1 AND 99")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} WHERE p.person_id % 2 = 0")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} WHERE p.person_id IN (SELECT year_of_birth FROM person)")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} JOIN visit_occurrence v ON v.visit_occurrence_id = p.person_id")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} JOIN (VALUES (5), (6)) v(id) ON v.id = p.person_id")),
        ("identifier_in_expression", format!("{p} 1 AS x {from} JOIN person q ON p.person_id < q.person_id")),
        ("identifier_in_expression", "SELECT person_id AS subject, 1 AS x FROM person GROUP BY person_id HAVING person_id > 3".into()),
        ("identifier_in_expression", "SELECT person_id AS subject, 1 AS x FROM person UNION ALL SELECT year_of_birth, 2 FROM person".into()),
        ("identifier_in_expression", format!("{p} row_number() OVER (PARTITION BY p.person_id ORDER BY p.year_of_birth) + p.person_id AS x {from}")),
        ("identifier_in_expression", format!("{p} first_value(p.person_id) OVER (PARTITION BY p.person_id) AS x {from}")),
        ("identifier_in_expression", format!("{p} first_value(year_of_birth ORDER BY person_id) AS x {from} GROUP BY person_id")),
        ("window_across_subjects", format!("{p} row_number() OVER (ORDER BY p.person_id) AS x {from}")),
        ("window_across_subjects", format!("{p} rank() OVER (ORDER BY p.year_of_birth) AS x {from}")),
        ("window_across_subjects", format!("{p} lag(p.year_of_birth) OVER (PARTITION BY p.gender_concept_id ORDER BY p.year_of_birth) AS x {from}")),
        ("subject_not_bare", "SELECT year_of_birth AS subject, 1 AS x FROM person".to_string()),
        ("subject_not_bare", "SELECT visit_occurrence_id AS subject, 1 AS x FROM visit_occurrence".to_string()),
        ("subject_not_bare", "SELECT 1 AS subject, 1 AS x".to_string()),
        ("subject_not_bare", "SELECT count(person_id) AS subject, 1 AS x FROM person".to_string()),
        // What repeats, explodes or picks.
        ("recursive", "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT i AS subject, 1 AS x FROM n".into()),
        ("cross_join", "SELECT p.person_id AS subject, 1 AS x FROM person p, measurement m".into()),
        ("cross_join", "SELECT p.person_id AS subject, 1 AS x FROM person p CROSS JOIN measurement m".into()),
        ("cross_join", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN measurement m ON true".into()),
        ("cross_join", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN measurement m ON 1 = 1".into()),
        ("cross_join", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN measurement m ON p.year_of_birth < m.value_as_number".into()),
        ("cross_join", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN measurement m ON p.year_of_birth = p.year_of_birth".into()),
        ("cross_join", "SELECT p.person_id AS subject, 1 AS x FROM person p LEFT JOIN measurement m ON p.year_of_birth <> m.value_as_number".into()),
        ("cross_join", "SELECT p.person_id AS subject, 1 AS x FROM person p, person q, person r WHERE p.person_id = q.person_id".into()),
        ("picks_patients", format!("{p} 1 AS x {from} LIMIT 1")),
        ("picks_patients", format!("{p} 1 AS x {from} OFFSET 1")),
        ("picks_patients", format!("{p} 1 AS x {from} FETCH FIRST 1 ROWS ONLY")),
        ("picks_patients", format!("{p} (SELECT year_of_birth FROM person LIMIT 1) AS x {from}")),
        ("picks_patients", format!("SELECT TOP 3 person_id AS subject, 1 AS x {from}")),
        ("construct", format!("SELECT DISTINCT ON (year_of_birth) person_id AS subject, 1 AS x {from}")),
        // Constructs.
        ("construct", "SELECT person_id AS subject, 1 AS x INTO t FROM person".to_string()),
        ("construct", format!("{p} 1 AS x {from} FOR UPDATE")),
        ("construct", format!("{p} u.x {from} CROSS JOIN UNNEST([1, 2]) u(x)")),
        ("construct", format!("{p} l.x {from}, LATERAL (SELECT 1 AS x) l")),
        ("construct", format!("{p} 1 AS x {from} TABLESAMPLE BERNOULLI (10)")),
        ("construct", "SELECT person_id AS subject, 1 AS x FROM persons TABLESAMPLE BERNOULLI (10)".to_string()),
        ("construct", format!("{p} 1 AS x {from} NATURAL JOIN measurement")),
        ("construct", format!("{p} @@version AS x {from}")),
        ("construct", format!("{p} 'a' || 'b' AS x {from}")),
        ("construct", format!("{p} [1, 2][1] AS x {from}")),
        ("construct", format!("{p} X'00' AS x {from}")),
        ("construct", format!("{p} struct(1) AS x {from}")),
        ("construct", format!("{p} CAST(1 AS BLOB) AS x {from}")),
        ("construct", "SELECT person_id AS subject, count(*) AS x FROM person GROUP BY ROLLUP(person_id)".to_string()),
        (
            "construct",
            "SELECT person_id AS subject, count(*) AS x FROM person p
             GROUP BY person_id, EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = p.person_id),
                      EXISTS (SELECT 1 FROM measurement n WHERE n.person_id = p.person_id AND n.value_as_number > 1)"
                .to_string(),
        ),
        ("day_as_number", format!("{p} 1 AS x {from} JOIN measurement m ON m.person_id = p.person_id AND m.measurement_date > 2010")),
        ("day_as_number", format!("{p} 1 AS x {from} WHERE make_date(2020, 1, 1) BETWEEN DATE '2000-01-01' AND year_of_birth")),
        ("day_as_number", format!("{p} 1 AS x {from} WHERE year_of_birth IN (1950, DATE '1950-01-01')")),
        ("day_as_number", format!("{p} 1 AS x {from} WHERE year_of_birth IN (SELECT measurement_date FROM measurement)")),
        ("day_as_number", format!("{p} CASE make_date(year_of_birth, 1, 1) WHEN 2015 THEN 1 ELSE 0 END AS x {from}")),
        ("day_as_number", format!("{p} CASE year_of_birth WHEN DATE '2015-01-01' THEN 1 ELSE 0 END AS x {from}")),
        ("day_as_number", format!("{p} 1 AS x {from} WHERE CASE WHEN year_of_birth > 5 THEN make_date(2020, 1, 1) ELSE 0 END IS NULL")),
        ("day_as_number", format!("{p} date_part('year', least(make_date(2020, 1, 1), 2020)) AS x {from}")),
        ("day_as_number", format!("{p} date_part('year', greatest(year_of_birth, make_date(2020, 1, 1))) AS x {from}")),
        ("day_as_number", format!("{p} date_part('year', nullif(make_date(2020, 1, 1), 0)) AS x {from}")),
        ("day_as_number", format!("{p} 1 AS x {from} WHERE coalesce(make_date(2020, 1, 1), 0) > DATE '2015-01-01'")),
        ("day_as_number", format!("{p} 1 AS x {from} WHERE ISNULL(CAST('2020-01-01' AS DATETIME), 0) > DATE '2015-01-01'")),
        ("day_as_number", "SELECT subject, 1 AS x FROM (SELECT person_id AS subject, measurement_date AS d FROM measurement UNION SELECT person_id, year_of_birth FROM person) u GROUP BY subject".into()),
        ("day_as_number", "SELECT person_id AS subject, 1 AS x FROM person WHERE (person_id, year_of_birth) IN (SELECT person_id, measurement_date FROM measurement)".into()),
        ("day_as_number", "SELECT person_id AS subject, count(*) AS x FROM (SELECT person_id, measurement_date AS d FROM measurement) m JOIN (SELECT person_id, year_of_birth AS d FROM person) q USING (person_id, d) GROUP BY person_id".into()),
        ("day_as_number", "SELECT person_id AS subject, 1 AS x FROM person EXCEPT SELECT person_id, DATE '2020-01-01' FROM person".into()),
        ("day_as_number", "SELECT person_id AS subject, count(d) AS x FROM (SELECT person_id, lag(measurement_date, 1, 0) OVER (PARTITION BY person_id ORDER BY measurement_date) AS d FROM measurement) m GROUP BY person_id".into()),
        ("parameter", format!("{p} 1 AS x {from} WHERE year_of_birth = $1")),
        ("parameter", format!("{p} ? AS x {from}")),
        // Types and arguments that do not fit.
        ("arguments", format!("{p} sqrt('a', 2) AS x {from}")),
        ("not_grouped", format!("{p} sum(year_of_birth) AS x {from}")),
        // Several rows of one patient.
        ("several_rows_per_subject", "SELECT person_id AS subject, 1 AS x FROM condition_occurrence".to_string()),
        ("several_rows_per_subject", "SELECT person_id AS subject, 1 AS x FROM person UNION ALL SELECT person_id, 2 FROM person".into()),
        ("several_rows_per_subject", format!("{p} m.value_as_number AS x {from} LEFT JOIN measurement m ON m.person_id = p.person_id")),
        ("syntax", format!("{p} FROM FROM {from}")),
        ("syntax", format!("{p} 'open AS x {from}")),
    ]
    .to_vec();
    for call in [
        "random()",
        "uuid()",
        "arrow_typeof(1)",
        "version()",
        "repeat('a', 1000000000)",
        "lpad('a', 1000000000)",
        "concat('a', 'b')",
        "replace('a', 'a', 'aaaa')",
        "array_agg(year_of_birth)",
        "string_agg('a', 'b')",
        "regexp_replace('a', 'b', 'c')",
        "arrow_cast(1, 'Int8')",
        "approx_distinct(year_of_birth)",
        "pg_read_file('x')",
        "unnest(1)",
    ] {
        list.push(("function", format!("{p} {call} AS x {from}")));
    }
    for now in ["now()", "current_date()", "current_timestamp()", "current_date", "GETDATE()"] {
        list.push(("now", format!("{p} {now} AS x {from}")));
    }
    let long = "a".repeat(1_001);
    list.push(("too_large", format!("{p} 1 AS x {from} WHERE '{long}' = 'a'")));
    list.push(("too_large", format!("{p} {} AS x {from}", "1".repeat(1_001))));
    let numbers: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    list.push(("too_large", format!("{p} 1 AS x {from} WHERE year_of_birth IN ({})", numbers.join(","))));
    list.push(("too_large", format!("{p} {}1{} AS x {from}", "(".repeat(200), ")".repeat(200))));
    list.push(("too_large", format!("{p} {}1 AS x {from}", "- ".repeat(3_000))));
    list.push(("too_large", format!("{p} 1{} AS x {from}", "+1".repeat(2_400))));
    list.push(("too_large", format!("{p} 1{} AS x {from}", " + 1".repeat(4_000))));
    list.push(("too_large", format!("{p} v.x {from} CROSS JOIN (VALUES {}) v(x)", vec!["(1)"; 101].join(","))));
    let deep =
        (0..60).fold("SELECT person_id, 1 AS x FROM person".to_string(), |q, i| format!("SELECT * FROM ({q}) t{i}"));
    list.push(("too_large", deep));
    let doubling: Vec<String> =
        (1..40).map(|i| format!("c{i} AS (SELECT * FROM c{0} UNION ALL SELECT * FROM c{0})", i - 1)).collect();
    let doubling = format!("WITH c0 AS (SELECT person_id FROM person), {} SELECT * FROM c39", doubling.join(", "));
    list.push(("too_large", doubling));
    list
}

#[tokio::test]
async fn hostile_queries_are_refused_for_their_own_reason_with_and_without_data() {
    let (store, _folder) = open_csv().await;
    let permissions = everybody(&store, &link()).await;
    let list = refused_by_the_query_alone();
    assert!(list.len() >= 100);
    let mut wrong = Vec::new();
    for (kind, sql) in list {
        let spec = study(&sql, &["x"]);
        for outcome in [check(&spec).await.err(), run(&store, &link(), &permissions, &spec, &limits()).await.err()] {
            let Some(error) = outcome else {
                wrong.push(format!("passed, not {kind}: {sql}"));
                continue;
            };
            if error.kind() != kind || error.depends_on_data() {
                wrong.push(format!("{} and not {kind}: {sql}", error.kind()));
            }
            says_nothing_of_rows(&error, &sql);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_has_no_answer_is_null_and_no_failure() {
    let (store, _folder) = open_csv().await;
    let permissions = everybody(&store, &link()).await;
    for (rows, sql) in [
        (240, "SELECT person_id AS subject, 1 / (month_of_birth - month_of_birth) AS x FROM person"),
        (240, "SELECT person_id AS subject, 7 % (gender_concept_id - 8507) AS x FROM person"),
        (240, "SELECT patient AS subject, max(CAST(code AS BIGINT)) AS x FROM labs GROUP BY patient"),
        (0, "SELECT DISTINCT patient AS subject, 1 AS x FROM labs WHERE CAST(code AS DATE) > DATE '2020-01-01'"),
        (240, "SELECT patient AS subject, max(CAST(score AS DECIMAL(2, 1))) AS x FROM labs GROUP BY patient"),
        (
            240,
            "SELECT patient AS subject, max(CAST(make_date(CAST(score AS INT), 13, 1) AS BIGINT)) AS x FROM labs
             GROUP BY patient",
        ),
    ] {
        let outcome = run(&store, &link(), &permissions, &study(sql, &["x"]), &limits()).await;
        assert_eq!(outcome.map(|cohort| cohort.rows), Ok(rows), "{sql}");
    }
}

#[tokio::test]
async fn memory_time_and_rows_have_limits() {
    let (store, _folder) = open_csv().await;
    let permissions = everybody(&store, &link()).await;
    // Every measurement of a person with every other of that person, many times over.
    let others = ["b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let joins: String =
        others.iter().map(|t| format!(" JOIN measurement {t} ON {t}.person_id = a.person_id")).collect();
    let product = others.map(|t| format!("{t}.value_as_number")).join(" * ");
    let from = format!("FROM measurement a{joins} GROUP BY a.person_id");
    let explosion = format!("SELECT a.person_id AS subject, count(DISTINCT {product}) AS x {from}");
    let counted = format!("SELECT a.person_id AS subject, count(*) AS x {from}");
    let time = Duration::from_millis(1_500);
    let cases = [
        ("memory", explosion.as_str(), Limits { memory_bytes: 8 << 20, ..limits() }),
        ("timed_out", counted.as_str(), Limits { time, memory_bytes: 2 << 30, ..limits() }),
        ("timed_out", counted.as_str(), Limits { time, threads: 1, memory_bytes: 2 << 30, ..limits() }),
        ("too_many_rows", "SELECT person_id AS subject, 1 AS x FROM person", Limits { rows: 239, ..limits() }),
    ];
    for (kind, sql, limits) in cases {
        let started = std::time::Instant::now();
        let outcome = run(&store, &link(), &permissions, &study(sql, &["x"]), &limits).await;
        let error = outcome.err().unwrap_or_else(|| panic!("passed: {sql}"));
        assert_eq!(error.kind(), kind, "{sql}\n{error}");
        assert!(started.elapsed() < Duration::from_secs(40), "stopped in good time");
        says_nothing_of_rows(&error, sql);
    }
    let fine = Limits { rows: 240, ..limits() };
    let spec = study("SELECT person_id AS subject, 1 AS x FROM person", &["x"]);
    assert_eq!(run(&store, &link(), &permissions, &spec, &fine).await.map(|c| c.rows), Ok(240));
}

#[tokio::test]
async fn nobody_stands_in_the_rows_of_others() {
    let (store, _folder) = open_csv().await;
    let permissions = everybody(&store, &link()).await;
    for sql in [
        // Whose mean is one patient's value, exactly, whatever the threshold.
        "SELECT p.person_id AS subject, t.v AS x FROM person p CROSS JOIN
         (SELECT max(m.value_as_number) AS v FROM measurement m JOIN person q ON q.person_id = m.person_id
         WHERE q.year_of_birth = 1931) t",
        "SELECT p.person_id AS subject, p.year_of_birth - (SELECT avg(year_of_birth) FROM person) AS x FROM person p",
        // Which is everybody or nobody.
        "SELECT person_id AS subject, 1 AS x FROM person WHERE (SELECT count(*) FROM person
         WHERE year_of_birth = 1931) > 0",
    ] {
        for protection in [Protection::Open, Protection::Guarded] {
            let spec = StudySpec { protection, ..study(sql, &["x"]) };
            let error = run(&store, &link(), &permissions, &spec, &limits()).await.err();
            let error = error.unwrap_or_else(|| panic!("passed: {sql}"));
            assert_eq!(error.kind(), "across_patients", "{sql}\n{error}");
        }
    }
}

#[tokio::test]
async fn honest_queries_pass() {
    let (store, _folder) = open_csv().await;
    let permissions = everybody(&store, &link()).await;
    let list = [
        "SELECT p.person_id AS subject, 2026 - p.year_of_birth AS x FROM person p",
        "SELECT person.person_id AS subject, x FROM person JOIN (SELECT person_id, count(*) AS x FROM measurement
         GROUP BY person_id) m USING (person_id)",
        "SELECT p.person_id AS subject, CASE WHEN c.person_id IS NOT NULL THEN 1 ELSE 0 END AS x FROM person p
         LEFT JOIN (SELECT DISTINCT person_id FROM condition_occurrence WHERE condition_concept_id = 9500001) c
         ON c.person_id = p.person_id",
        "SELECT p.person_id AS subject, 1 AS x FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c
         WHERE c.person_id = p.person_id AND c.condition_concept_id = 9500001)",
        "SELECT p.person_id AS subject, 1 AS x FROM person p
         WHERE p.person_id NOT IN (SELECT person_id FROM measurement WHERE value_as_number > 0)",
        "SELECT subject, x FROM (SELECT person_id AS subject, value_as_number AS x, row_number() OVER
         (PARTITION BY person_id ORDER BY measurement_date, measurement_id) AS n FROM measurement) t WHERE n = 1",
        "SELECT p.person_id AS subject, max(m.value_as_number) FILTER (WHERE m.unit_concept_id = 8554) AS x
         FROM person p LEFT JOIN measurement m ON m.person_id = p.person_id GROUP BY p.person_id",
        "SELECT c.person_id AS subject, count(DISTINCT c.visit_occurrence_id) AS x FROM condition_occurrence c
         JOIN visit_occurrence v ON v.visit_occurrence_id = c.visit_occurrence_id AND v.person_id = c.person_id
         GROUP BY c.person_id HAVING count(*) > 1 ORDER BY c.person_id",
        "SELECT person_id AS subject, first_value(value_as_number ORDER BY measurement_date) AS x FROM measurement
         GROUP BY person_id",
        "SELECT person_id AS subject, min(date_part('year', condition_start_date)) AS x FROM condition_occurrence
         WHERE condition_start_date >= DATE '2015-01-01' AND condition_start_date < DATE '2015-01-01' + INTERVAL '2' YEAR
         GROUP BY person_id",
        "SELECT person_id AS subject, max(CAST(condition_end_date AS BIGINT) - CAST(condition_start_date AS BIGINT)) AS x
         FROM condition_occurrence GROUP BY person_id",
        "SELECT person_id AS subject, extract(year FROM min(measurement_date)) AS x FROM measurement GROUP BY 1",
        "SELECT patient AS subject, max(TRY_CAST(code AS BIGINT)) AS x FROM labs WHERE starts_with(code, '99') GROUP BY patient",
        "SELECT person_id AS subject, 1 AS x FROM person UNION SELECT person_id, 1 FROM measurement",
        "SELECT person_id AS subject, 1 AS x FROM person EXCEPT SELECT person_id, 1 FROM measurement",
        "SELECT person_id AS subject, max(v.x) AS x FROM person JOIN (VALUES (8507, 1), (8532, 2)) v(sex, x)
         ON v.sex = gender_concept_id GROUP BY person_id",
    ];
    for sql in list {
        let outcome = run(&store, &link(), &permissions, &study(sql, &["x"]), &limits()).await;
        let cohort = outcome.unwrap_or_else(|e| panic!("{}: {e}\n{sql}", e.kind()));
        assert!(cohort.rows > 0, "{sql}");
        for batch in &cohort.batches {
            assert_eq!(batch.num_columns(), 1, "the subject stays behind");
        }
        let checked = check(&study(sql, &["x"])).await.unwrap_or_else(|e| panic!("{}: {e}\n{sql}", e.kind()));
        assert_eq!(checked, cohort.reads, "{sql}");
    }
}

#[tokio::test]
async fn the_example_study_can_be_checked_without_data() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/studies/glycaemia.toml");
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let spec = consilium_protocol::study::StudySpec::from_toml(&text).expect("a valid study");
    let reads = check(&spec).await.expect("a harmless query");
    let tables: Vec<&str> = reads.tables().iter().map(|t| t.name.as_str()).collect();
    assert_eq!(tables, ["condition_occurrence", "drug_exposure", "measurement", "person"]);
}

#[tokio::test]
async fn columns_come_in_the_types_that_statistics_take() {
    use arrow::datatypes::DataType;
    let (store, _folder) = open_csv().await;
    let permissions = everybody(&store, &link()).await;
    let sql = "SELECT patient AS subject, CAST(1 AS SMALLINT) AS small, CAST(score AS REAL) AS narrow, 2.5 AS exact,
               'a' AS word, score > 3 AS truth, CAST(7 AS INT) AS whole, NULL AS nothing FROM labs
               QUALIFY row_number() OVER (PARTITION BY patient ORDER BY taken) = 1";
    let more = "[[dimension]]\nname = \"word\"\nvalues = [\"a\"]\n[[dimension]]\nname = \"truth\"\nvalues = [true]\n\
                [[dimension]]\nname = \"whole\"\nvalues = [7]\n[[dimension]]\nname = \"small\"\nedges = [0, 2]\n\
                [[dimension]]\nname = \"nothing\"\nvalues = [\"x\"]\n";
    let spec = study_with(sql, &["small", "narrow", "exact"], more);
    let cohort = run(&store, &link(), &permissions, &spec, &limits()).await.expect("a cohort");
    let types: Vec<(String, DataType)> =
        cohort.schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
    let expected = [
        ("small", DataType::Int64),
        ("narrow", DataType::Float64),
        ("exact", DataType::Float64),
        ("word", DataType::Utf8),
        ("truth", DataType::Boolean),
        ("whole", DataType::Int64),
        ("nothing", DataType::Utf8),
    ];
    assert_eq!(types, expected.map(|(name, t)| (name.to_string(), t)));
    assert!(cohort.batches.iter().all(|batch| batch.schema() == cohort.schema));
    let wrong = study_with(
        "SELECT patient AS subject, max(score) AS d FROM labs GROUP BY patient",
        &["d"],
        "[[dimension]]\nname = \"d\"\nvalues = [1]\n",
    );
    let error = run(&store, &link(), &permissions, &wrong, &limits()).await.expect_err("refused");
    assert_eq!(error.kind(), "column_type");
    // What has no fraction is a whole number; what has one is none that a category has.
    let floor = study_with(
        "SELECT patient AS subject, floor(max(score) / 5) AS d, max(score) / 5 AS e FROM labs GROUP BY patient",
        &[],
        "[[dimension]]\nname = \"d\"\nvalues = [0, 1]\n[[dimension]]\nname = \"e\"\nvalues = [0, 1, 2]\n",
    );
    let cohort = run(&store, &link(), &permissions, &floor, &limits()).await.expect("a cohort");
    let rows = sorted(&cohort);
    assert!(cohort.schema.fields().iter().all(|field| *field.data_type() == DataType::Int64));
    let others = rows.iter().filter(|row| row.ends_with(" 3")).count();
    assert!(
        others > 10 && rows.iter().any(|row| !row.ends_with(" 3") && !row.ends_with(' ')),
        "{others} of {}",
        rows.len()
    );
}
