//! Queries that the query engine by itself answers wrongly, or cannot plan, with the answers that SQL demands.

use std::fs;

use arrow::array::AsArray;
use consilium_engine::cohort::{Cohort, check, run};
use consilium_engine::store::{Store, StoreConfig};

use super::hospital::{everybody, limits, link, study, study_with};

/// 60 persons: 20 with one observation of value 4188539 and unit 8840, 20 with one whose value and unit are NULL, and 20
/// with none.
async fn open() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut person = "person_id,gender_concept_id,year_of_birth\n".to_string();
    let mut observation = "observation_id,person_id,observation_date,value_as_concept_id,unit_concept_id\n".to_string();
    for n in 1..=60 {
        let sex = if n % 2 == 0 { "8507" } else { "" };
        person.push_str(&format!("{n},{sex},{}\n", 1_930 + n));
        match n {
            1..=20 => observation.push_str(&format!("{n},{n},2020-01-01,4188539,8840\n")),
            21..=40 => observation.push_str(&format!("{n},{n},2020-01-01,,\n")),
            _ => {}
        }
    }
    fs::write(folder.path().join("person.csv"), person).expect("written");
    fs::write(folder.path().join("observation.csv"), observation).expect("written");
    let concept = "concept_id,concept_name\n8840,a\n8507,b\n,c\n";
    fs::write(folder.path().join("concept.csv"), concept).expect("written");
    let config = StoreConfig::of(folder.path().to_path_buf());
    (Store::open(&config, &[]).await.expect("a store"), folder)
}

async fn cohort(store: &Store, sql: &str) -> Cohort {
    let permissions = everybody(store, &link()).await;
    let cohort = run(store, &link(), &permissions, &study(sql, &["x"]), &limits()).await;
    cohort.unwrap_or_else(|error| panic!("{sql}\n{error}"))
}

/// Conditions on `person p`, and how many of the 60 meet each.
const CONDITIONS: &[(&str, usize)] = &[
    ("4188539 NOT IN (SELECT o.value_as_concept_id FROM observation o WHERE o.person_id = p.person_id)", 20),
    ("NOT 4188539 IN (SELECT o.value_as_concept_id FROM observation o WHERE o.person_id = p.person_id)", 20),
    ("5 NOT IN (SELECT o.value_as_concept_id FROM observation o WHERE o.person_id = p.person_id)", 40),
    ("4188539 IN (SELECT o.value_as_concept_id FROM observation o WHERE o.person_id = p.person_id)", 20),
    ("(4188539 IN (SELECT o.value_as_concept_id FROM observation o WHERE o.person_id = p.person_id)) IS NULL", 20),
    ("(4188539 NOT IN (SELECT o.value_as_concept_id FROM observation o WHERE o.person_id = p.person_id)) IS TRUE", 20),
    (
        "coalesce(4188539 IN (SELECT o.value_as_concept_id FROM observation o WHERE o.person_id = p.person_id), true)",
        40,
    ),
    ("p.gender_concept_id NOT IN (SELECT o.unit_concept_id FROM observation o WHERE o.person_id = p.person_id)", 30),
    ("p.gender_concept_id IN (SELECT o.unit_concept_id FROM observation o WHERE o.person_id = p.person_id)", 0),
    ("p.person_id NOT IN (SELECT o.person_id FROM observation o)", 20),
    ("p.person_id NOT IN (SELECT o.person_id FROM observation o WHERE o.unit_concept_id = 8840)", 40),
    ("NOT (p.person_id IN (SELECT o.person_id FROM observation o) AND p.year_of_birth < 1951)", 40),
    ("NOT (p.person_id IN (SELECT o.person_id FROM observation o) OR p.year_of_birth > 1971)", 1),
    ("NOT (p.person_id NOT IN (SELECT o.person_id FROM observation o) OR p.year_of_birth > 1941)", 11),
    // Of several queries.
    ("p.person_id NOT IN (SELECT person_id FROM observation UNION SELECT person_id FROM observation)", 20),
    ("p.person_id IN (SELECT person_id FROM observation UNION ALL SELECT person_id FROM observation)", 40),
    ("p.person_id NOT IN (SELECT person_id FROM observation UNION ALL SELECT person_id FROM observation)", 20),
    ("p.person_id NOT IN (SELECT person_id FROM person EXCEPT SELECT person_id FROM observation)", 40),
    ("p.person_id IN (SELECT person_id FROM person INTERSECT SELECT person_id FROM observation)", 40),
    (
        "p.person_id NOT IN (SELECT person_id FROM person EXCEPT (SELECT person_id FROM observation UNION SELECT person_id \
         FROM observation WHERE unit_concept_id = 8840))",
        40,
    ),
    ("p.gender_concept_id IN (SELECT concept_id FROM concept UNION SELECT 5)", 30),
    // Vocabularies, one of whose concepts is NULL.
    ("p.gender_concept_id IN (SELECT concept_id FROM concept)", 30),
    ("p.gender_concept_id NOT IN (SELECT concept_id FROM concept)", 0),
    ("p.gender_concept_id NOT IN (SELECT concept_id FROM concept WHERE concept_name = 'a')", 30),
    ("p.gender_concept_id NOT IN (SELECT concept_id FROM concept WHERE concept_name = 'z')", 60),
    ("p.year_of_birth NOT IN (SELECT concept_id FROM concept WHERE concept_id IS NOT NULL)", 60),
    ("8840 IN (SELECT concept_id FROM concept)", 60),
    ("5 IN (SELECT concept_id FROM concept)", 0),
    ("5 NOT IN (SELECT concept_id FROM concept)", 0),
    ("5 NOT IN (SELECT concept_id FROM concept WHERE concept_name < 'c')", 60),
    ("EXISTS (SELECT 1 FROM concept WHERE concept_name = 'a')", 60),
    ("NOT EXISTS (SELECT 1 FROM concept WHERE concept_name = 'a')", 0),
    ("NOT EXISTS (SELECT 1 FROM concept WHERE concept_name = 'z')", 60),
    // Subqueries with one row, whatever there is.
    ("0 IN (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id)", 20),
    ("0 NOT IN (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id)", 40),
    ("1 IN (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id)", 40),
    ("0 = (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id)", 20),
    ("EXISTS (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id)", 60),
    ("NOT EXISTS (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id)", 0),
    ("EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id HAVING count(*) > 0)", 40),
    ("EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id HAVING count(*) = 0)", 20),
    ("NOT EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id HAVING count(*) = 0)", 40),
    (
        "EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id GROUP BY o.person_id HAVING count(*) > 0)",
        40,
    ),
    ("4188539 IN (SELECT max(o.value_as_concept_id) FROM observation o WHERE o.person_id = p.person_id)", 20),
    ("4188539 NOT IN (SELECT max(o.value_as_concept_id) FROM observation o WHERE o.person_id = p.person_id)", 0),
    ("1 IN (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id HAVING count(*) > 0)", 40),
    ("2 NOT IN (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id HAVING count(*) > 0)", 60),
    ("(1 IN (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id HAVING count(*) > 0)) IS FALSE", 20),
    // Operators without parentheses.
    ("p.gender_concept_id IS DISTINCT FROM 8507 AND p.year_of_birth > 1970", 10),
    ("p.gender_concept_id IS NOT DISTINCT FROM 8507 AND p.year_of_birth > 1970", 10),
    ("p.gender_concept_id IS DISTINCT FROM NULL OR p.year_of_birth > 1970", 40),
    ("true = p.year_of_birth IN (1931, 1932)", 2),
    ("true = p.year_of_birth BETWEEN 1931 AND 1932", 2),
    // NVL of what is neither a number nor a text.
    ("date_part('epoch', nvl(TIMESTAMP '1969-12-31 23:59:59', TIMESTAMP '0001-01-01 00:00:00')) = -1", 60),
    ("ifnull(DATE '2020-02-29', DATE '2020-01-01') > DATE '2020-02-01'", 60),
    // -0 is 0.
    ("0.0 IN (-0.0) AND -0.0 IN (0.0, 1.5)", 60),
    ("-0.0 NOT IN (0.0)", 0),
    ("CASE -0.0 WHEN 0.0 THEN true END", 60),
    ("nullif(-0.0, 0.0) IS NULL", 60),
    ("p.year_of_birth * -0.0 IN (0.0, 1.5)", 60),
    ("CASE p.year_of_birth * -0.0 WHEN 0.0 THEN 1 ELSE 2 END = 1", 60),
    ("NOT EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id) IS NOT UNKNOWN", 0),
    ("NOT EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id) = true", 20),
    // A condition that never holds.
    ("p.year_of_birth = 0 AND p.year_of_birth = 5", 0),
    ("1 = 0", 0),
    ("p.year_of_birth IN (1, 2) AND p.year_of_birth IN (3, 4)", 0),
];

#[tokio::test]
async fn conditions_hold_for_those_for_whom_they_do() {
    let (store, _folder) = open().await;
    for (condition, right) in CONDITIONS {
        let sql = format!("SELECT p.person_id AS subject, 1 AS x FROM person p WHERE {condition}");
        assert_eq!(cohort(&store, &sql).await.rows, *right, "{condition}");
    }
}

#[tokio::test]
async fn what_is_unknown_is_missing() {
    let (store, _folder) = open().await;
    // Truth values of a unit that 20 have and 40 have not: true, false, missing.
    for (condition, right) in [
        ("o.unit_concept_id NOT IN (8840, 8636) OR o.unit_concept_id NOT IN (8753, 8749)", [20, 0, 40]),
        ("o.unit_concept_id IN (8840, 8636) AND o.unit_concept_id IN (8753, 8749)", [0, 20, 40]),
        ("o.unit_concept_id IN (8840, 8636) AND o.unit_concept_id NOT IN (8840, 8636)", [0, 20, 40]),
        (
            "(o.unit_concept_id = 1 OR o.unit_concept_id = 2) AND (o.unit_concept_id = 3 OR o.unit_concept_id = 4)",
            [0, 20, 40],
        ),
        ("o.unit_concept_id IN (8840, NULL) AND o.unit_concept_id NOT IN (NULL)", [0, 0, 60]),
        ("o.unit_concept_id = 8840 AND o.unit_concept_id = 5", [0, 20, 40]),
        ("NOT (o.unit_concept_id = 8840) OR o.unit_concept_id = 8840", [20, 0, 40]),
        ("o.unit_concept_id = o.unit_concept_id", [20, 0, 40]),
        ("o.unit_concept_id < 8840 OR o.unit_concept_id >= 8840", [20, 0, 40]),
        ("o.unit_concept_id BETWEEN 2 AND 1", [0, 20, 40]),
        (
            "CASE WHEN CASE WHEN o.unit_concept_id > 0 THEN 1 ELSE 0 END BETWEEN 0 AND \
             CASE WHEN o.unit_concept_id > 0 THEN 1 ELSE -1 END THEN true ELSE NULL END",
            [20, 0, 40],
        ),
    ] {
        let sql = format!(
            "SELECT p.person_id AS subject, 1 AS x, {condition} AS t FROM person p
             LEFT JOIN (SELECT person_id, max(unit_concept_id) AS unit_concept_id FROM observation GROUP BY person_id) o
             ON o.person_id = p.person_id"
        );
        let spec = study_with(&sql, &["x"], "[[dimension]]\nname = \"t\"\nvalues = [true, false]\n");
        let cohort = run(&store, &link(), &everybody(&store, &link()).await, &spec, &limits()).await;
        let cohort = cohort.unwrap_or_else(|error| panic!("{condition}\n{error}"));
        let mut found = [0; 3];
        for batch in &cohort.batches {
            let truths = batch.column_by_name("t").expect("a column").as_boolean();
            for truth in truths {
                found[match truth {
                    Some(true) => 0,
                    Some(false) => 1,
                    None => 2,
                }] += 1;
            }
        }
        assert_eq!(found, right, "{condition}");
    }
}

/// Conditions that cannot be turned into joins that mean the same, with a part of what is said of each.
const REFUSED: &[(&str, &str)] = &[
    (
        "(SELECT max(o.unit_concept_id) + length(max(CAST(o.unit_concept_id AS TEXT))) FROM observation o
         WHERE o.person_id = p.person_id) > 1",
        "CAST",
    ),
    (
        "p.gender_concept_id NOT IN (SELECT o.unit_concept_id FROM observation o)",
        "NOT EXISTS",
    ),
    (
        "EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id HAVING count(*) > p.year_of_birth)",
        "HAVING",
    ),
    (
        "(SELECT max(q.n) FROM (SELECT o.observation_concept_id, count(*) AS n FROM observation o WHERE o.person_id = p.person_id
          AND o.value_as_concept_id > p.year_of_birth GROUP BY o.observation_concept_id) q) > 1",
        "LEFT JOIN and GROUP BY",
    ),
    (
        "(SELECT max(q.n) FROM (SELECT count(*) AS n FROM observation o WHERE o.person_id = p.person_id) q) = 0",
        "without GROUP BY",
    ),
    (
        "EXISTS (SELECT o.person_id FROM observation o WHERE o.person_id = p.person_id UNION ALL
                 SELECT o.person_id FROM observation o)",
        "UNION",
    ),
    (
        "EXISTS (SELECT 1 FROM (SELECT row_number() OVER (PARTITION BY o.person_id ORDER BY o.observation_date) AS n
                 FROM observation o WHERE o.person_id = p.person_id AND o.value_as_concept_id > p.year_of_birth) q
                 WHERE q.n = 2)",
        "window function",
    ),
    (
        "EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id AND EXISTS
                 (SELECT 1 FROM observation q WHERE q.person_id = o.person_id AND q.unit_concept_id = p.gender_concept_id))",
        "beyond the one around it",
    ),
    ("p.year_of_birth = ANY (SELECT o.unit_concept_id FROM observation o WHERE o.person_id = p.person_id)", "not allowed"),
    ("EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id HAVING true OR count(*) = 0)", "constant"),
    ("EXISTS (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id HAVING 3.0 IS NOT NULL)", "constant"),
    ("EXISTS (SELECT count(*) FROM observation o WHERE o.person_id = p.person_id HAVING 1 IN (1, 2))", "constant"),
    ("p.person_id IN (SELECT person_id FROM observation EXCEPT ALL SELECT person_id FROM death)", "EXCEPT ALL"),
    ("p.person_id IN (SELECT person_id FROM observation INTERSECT ALL SELECT person_id FROM death)", "INTERSECT ALL"),
    ("p.year_of_birth < p.gender_concept_id < 5", "a comparison of a comparison"),
    (
        "(SELECT first_value(o.unit_concept_id ORDER BY o.observation_date, o.observation_date) FROM observation o
          WHERE o.person_id = p.person_id) = 1",
        "the same key twice",
    ),
];

#[tokio::test]
async fn what_cannot_be_right_is_refused_by_name() {
    for (condition, said) in REFUSED {
        let sql = format!("SELECT p.person_id AS subject, 1 AS x FROM person p WHERE {condition}");
        let error = check(&study(&sql, &["x"])).await.expect_err(condition);
        assert!(error.to_string().contains(said), "{condition}\n{error}");
        assert!(!error.depends_on_data());
    }
}

#[tokio::test]
async fn truth_values_are_told_apart_in_results() {
    let (store, _folder) = open().await;
    // What is tested is NULL for 30 of them.
    for (value, wanted) in [
        ("(p.gender_concept_id = 8507) IS TRUE", 30),
        ("(p.gender_concept_id = 8507) IS NOT TRUE", 30),
        ("(p.gender_concept_id = 8507) IS FALSE", 0),
        ("(p.gender_concept_id <> 8507) IS NOT FALSE", 30),
        ("(p.gender_concept_id = 8507) IS UNKNOWN", 30),
        ("(p.gender_concept_id = 8507) IS NOT UNKNOWN", 30),
        ("(p.gender_concept_id = 8507) IS NULL", 30),
    ] {
        for query in [
            format!("SELECT DISTINCT p.person_id AS subject, {value} AS v FROM person p"),
            format!("SELECT p.person_id AS subject, {value} AS v FROM person p GROUP BY p.person_id, {value}"),
            format!("SELECT p.person_id AS subject, {value} AS v FROM person p"),
        ] {
            let sql = format!("SELECT q.subject, CASE WHEN q.v THEN 1 ELSE 0 END AS x FROM ({query}) q WHERE q.v");
            assert_eq!(cohort(&store, &sql).await.rows, wanted, "{sql}");
        }
    }
}

/// Queries about a patient with two rows, of 0 and -0 in this order of their numbers and the other way round of their days,
/// and what `x` is. SQL knows one zero; the query engine compares doubles bit by bit in most places, where -0 comes first.
const ZEROS: &[(&str, f64)] = &[
    (
        "SELECT m.person_id AS subject, count(DISTINCT m.value_as_number) AS x FROM measurement m GROUP BY m.person_id",
        1.0,
    ),
    (
        "SELECT s.person_id AS subject, count(*) AS x FROM (SELECT DISTINCT person_id, value_as_number FROM measurement) s GROUP BY s.person_id",
        1.0,
    ),
    (
        "SELECT s.person_id AS subject, count(*) AS x FROM (SELECT person_id, value_as_number FROM measurement GROUP BY person_id, value_as_number) s GROUP BY s.person_id",
        1.0,
    ),
    (
        "SELECT s.person_id AS subject, count(*) AS x FROM (SELECT person_id, value_as_number FROM measurement UNION SELECT person_id, value_as_number FROM measurement) s GROUP BY s.person_id",
        1.0,
    ),
    (
        "SELECT s.person_id AS subject, count(*) AS x FROM (SELECT person_id, value_as_number FROM measurement WHERE measurement_concept_id = 1 INTERSECT SELECT person_id, value_as_number FROM measurement WHERE measurement_concept_id = 2) s GROUP BY s.person_id",
        1.0,
    ),
    (
        "SELECT a.person_id AS subject, count(*) AS x FROM measurement a JOIN measurement b ON a.person_id = b.person_id AND a.value_as_number = b.value_as_number GROUP BY a.person_id",
        4.0,
    ),
    (
        "SELECT a.person_id AS subject, count(*) AS x FROM measurement a JOIN measurement b ON a.person_id = b.person_id AND a.value_as_number < b.value_as_number GROUP BY a.person_id",
        0.0,
    ),
    (
        "SELECT a.person_id AS subject, count(*) AS x FROM measurement a WHERE a.value_as_number = 0 AND a.value_as_number >= 0 AND a.value_as_number BETWEEN 0 AND 0 AND a.value_as_number IS NOT DISTINCT FROM 0.0 GROUP BY a.person_id",
        2.0,
    ),
    (
        "SELECT a.person_id AS subject, count(*) AS x FROM measurement a WHERE a.value_as_number IN (SELECT b.value_as_number FROM measurement b WHERE b.person_id = a.person_id AND b.measurement_concept_id = 1) GROUP BY a.person_id",
        2.0,
    ),
    (
        "SELECT a.person_id AS subject, count(*) AS x FROM measurement a WHERE a.value_as_number NOT IN (SELECT b.value_as_number FROM measurement b WHERE b.person_id = a.person_id AND b.measurement_concept_id = 1) GROUP BY a.person_id",
        0.0,
    ),
    (
        "SELECT a.person_id AS subject, a.measurement_concept_id AS x FROM measurement a QUALIFY row_number() OVER (PARTITION BY a.person_id ORDER BY a.value_as_number, a.measurement_concept_id) = 1",
        1.0,
    ),
    (
        "SELECT a.person_id AS subject, a.measurement_concept_id AS x FROM measurement a QUALIFY row_number() OVER (PARTITION BY a.person_id ORDER BY a.value_as_number DESC, a.measurement_date) = 1",
        2.0,
    ),
    (
        "SELECT a.person_id AS subject, max(a.r) AS x FROM (SELECT person_id, rank() OVER (PARTITION BY person_id ORDER BY value_as_number) AS r FROM measurement) a GROUP BY a.person_id",
        1.0,
    ),
    (
        "SELECT a.person_id AS subject, max(a.r) AS x FROM (SELECT person_id, row_number() OVER (PARTITION BY person_id, value_as_number ORDER BY measurement_concept_id) AS r FROM measurement) a GROUP BY a.person_id",
        2.0,
    ),
    (
        "SELECT a.person_id AS subject, max(a.r) AS x FROM (SELECT person_id, count(*) OVER (PARTITION BY person_id ORDER BY value_as_number) AS r FROM measurement) a GROUP BY a.person_id",
        2.0,
    ),
    (
        "SELECT a.person_id AS subject, min(a.r) AS x FROM (SELECT person_id, count(*) OVER (PARTITION BY person_id ORDER BY value_as_number) AS r FROM measurement) a GROUP BY a.person_id",
        2.0,
    ),
    (
        "SELECT a.person_id AS subject, first_value(a.measurement_concept_id ORDER BY a.value_as_number, a.measurement_concept_id) AS x FROM measurement a GROUP BY a.person_id",
        1.0,
    ),
    (
        "SELECT a.person_id AS subject, last_value(a.measurement_concept_id ORDER BY a.value_as_number DESC, a.measurement_concept_id) AS x FROM measurement a GROUP BY a.person_id",
        2.0,
    ),
    (
        "SELECT a.person_id AS subject, count(*) AS x FROM measurement a WHERE nullif(a.value_as_number, 0) IS NULL AND greatest(a.value_as_number, 0) = least(a.value_as_number, 0) AND CAST(a.value_as_number AS TEXT) LIKE '%0' AND signum(a.value_as_number) = 0 GROUP BY a.person_id",
        2.0,
    ),
];

#[tokio::test]
async fn minus_zero_is_zero() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("person.csv"), "person_id,year_of_birth\n1,1950\n").expect("written");
    for first in ["0.0,-0.0", "-0.0,0.0"] {
        let (one, two) = first.split_once(',').expect("two numbers");
        let rows = format!("1,1,1,2020-01-02,{one}\n2,1,2,2020-01-01,{two}\n");
        let head = "measurement_id,person_id,measurement_concept_id,measurement_date,value_as_number\n";
        fs::write(folder.path().join("measurement.csv"), format!("{head}{rows}")).expect("written");
        let config = StoreConfig::of(folder.path().to_path_buf());
        let store = Store::open(&config, &[]).await.expect("a store");
        let mut wrong = Vec::new();
        for (sql, expected) in ZEROS {
            let cohort = cohort(&store, sql).await;
            let column = cohort.batches.iter().map(|batch| {
                let column =
                    arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Float64).expect("a number");
                column.as_primitive::<arrow::datatypes::Float64Type>().iter().flatten().collect::<Vec<_>>()
            });
            let found = column.collect::<Vec<_>>().concat();
            let wanted = if *expected == 0.0 { vec![] } else { vec![*expected] };
            if found != wanted {
                wrong.push(format!("{first}: {found:?} instead of {wanted:?}: {sql}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
