//! What is taken for a measurement, and what is not.

use consilium_protocol::catalogue::CatalogueTable;
use consilium_protocol::study::Cohort;

use super::{Columns, Refused, Summed, Why};

/// The x of a query with this expression over three queries of one row a patient: labs, and two counts of events.
fn of(x: &str) -> Columns {
    let sql = format!(
        "WITH labs AS (
             SELECT person_id,
                    max(CASE WHEN measurement_concept_id = 1 THEN value_as_number END) AS weight,
                    max(value_as_number) FILTER (WHERE measurement_concept_id = 2) AS height,
                    min(measurement_date) AS first_day
             FROM measurement GROUP BY person_id
         ),
         seen AS (SELECT person_id, count(*) AS visits, sum(visit_end_date - visit_start_date) AS nights,
                         min(visit_start_date) AS index_day
                  FROM visit_occurrence GROUP BY person_id),
         ill AS (SELECT person_id, count(*) AS events FROM condition_occurrence WHERE condition_concept_id IN (3, 4)
                 GROUP BY person_id),
         rare AS (SELECT DISTINCT person_id, true AS rare, 1000 AS w FROM condition_occurrence WHERE condition_concept_id = 5)
         SELECT p.person_id, {x} AS x
         FROM person p
         LEFT JOIN labs ON labs.person_id = p.person_id
         LEFT JOIN seen ON seen.person_id = p.person_id
         LEFT JOIN ill ON ill.person_id = p.person_id
         LEFT JOIN rare ON rare.person_id = p.person_id
         LEFT JOIN (SELECT person_id, max(death_date) AS died FROM death GROUP BY person_id) d ON d.person_id = p.person_id"
    );
    read(&sql, &[])
}

fn read(sql: &str, tables: &[CatalogueTable]) -> Columns {
    let cohort = Cohort { sql: sql.to_string(), subject: "person_id".to_string(), concept_sets: Vec::new() };
    Columns::of(&cohort, tables)
}

fn refused(columns: &Columns) -> Option<Refused> {
    columns.summed("x").err()
}

/// The numbers that x may be.
fn numbers(columns: &Columns) -> Option<Vec<f64>> {
    match columns.summed("x") {
        Ok(Summed::Literals(literals)) => literals.into_iter().map(super::Literal::number).collect(),
        _ => None,
    }
}

#[test]
fn what_people_sum_up_passes() {
    let measured = [
        "labs.weight",
        "round(labs.weight, 1)",
        "CAST(labs.weight AS DOUBLE) * 2.2046 + 1",
        "(labs.weight - 32) * 5 / 9",
        "CASE WHEN labs.weight BETWEEN 20 AND 300 THEN labs.weight END",
        "nullif(labs.weight, 0)",
        "2026 - p.year_of_birth",
        "seen.visits",
        "coalesce(seen.visits, 0)",
        "coalesce(seen.visits, 0) + coalesce(ill.events, 0)",
        "seen.nights",
        "coalesce(seen.nights, 0) / 365.25",
        // Body mass index, in centimetres too.
        "labs.weight / (labs.height * labs.height)",
        "round(labs.weight / power(labs.height / 100, 2), 1)",
        "10000 * labs.weight / (labs.height * labs.height)",
        // Quotients of quantities.
        "CAST(seen.nights AS DOUBLE) / nullif(seen.visits, 0)",
        // Ages and times.
        "date_part('year', seen.index_day) - p.year_of_birth",
        "EXTRACT(YEAR FROM labs.first_day) - p.year_of_birth",
        "(seen.index_day - make_date(p.year_of_birth, coalesce(p.month_of_birth, 7), 1)) / 365.25",
        "d.died - seen.index_day",
        "coalesce(d.died, labs.first_day) - seen.index_day",
        "least(d.died, labs.first_day) - (seen.index_day + 30)",
        "CASE WHEN d.died < labs.first_day THEN d.died ELSE labs.first_day END - seen.index_day",
        "CASE WHEN (labs.first_day IS NULL OR d.died <= labs.first_day) THEN (d.died) ELSE labs.first_day END - seen.index_day",
        "CASE WHEN d.died IS NOT NULL THEN d.died ELSE labs.first_day END - seen.index_day",
        "date_part('epoch', d.died) - date_part('epoch', seen.index_day)",
        "coalesce(labs.weight, (SELECT min(value_as_number) FROM measurement m WHERE m.person_id = p.person_id AND
         m.measurement_concept_id = 1))",
        "CAST(d.died AS BIGINT) - CAST(seen.index_day AS BIGINT)",
        "DATE '2026-01-01' - seen.index_day",
        "(SELECT count(*) FROM drug_exposure e WHERE e.person_id = p.person_id AND e.drug_concept_id = 9)",
        "(SELECT avg(value_as_number) FROM measurement m WHERE m.person_id = p.person_id AND m.measurement_concept_id = 7)",
        "labs.weight - labs.height",
    ];
    for x in measured {
        let columns = of(x);
        assert!(matches!(columns.summed("x"), Ok(Summed::Measured(_))), "{x}: {:?}", columns.summed("x"));
    }
}

#[test]
fn a_choice_of_literals_is_known_by_its_values() {
    let cases: &[(&str, &[f64])] = &[
        ("CASE WHEN rare.rare THEN 1048576 WHEN ill.events > 1 THEN 1 ELSE 0 END", &[0.0, 1.0, 1_048_576.0]),
        ("CASE WHEN rare.rare THEN 1 WHEN ill.events > 1 THEN 0 ELSE 1048576 END", &[0.0, 1.0, 1_048_576.0]),
        ("coalesce(rare.w, 0)", &[0.0, 1000.0]),
        ("CAST(rare.rare AS INT)", &[1.0]),
        ("1024 * CAST(labs.weight > 90 AS INT) + CAST(rare.rare IS NULL AS INT)", &[0.0, 1.0, 1024.0, 1025.0]),
        ("CASE ill.events WHEN 1 THEN -1.5 ELSE 2 * 4 END", &[8.0, -1.5]),
        (
            "(SELECT max(v.w) FROM (VALUES (8507, 7), (8532, 70)) AS v(sex, w) WHERE v.sex = p.gender_concept_id)",
            &[7.0, 70.0],
        ),
        ("greatest(CASE WHEN rare.rare THEN 3 ELSE 2 END, 1)", &[1.0, 2.0, 3.0]),
        ("abs(CASE WHEN rare.rare THEN -3 ELSE 0 END) / 2", &[0.0, 1.0]),
        (
            "(SELECT max(w) FROM (SELECT person_id, 5 AS w FROM death UNION ALL SELECT person_id, 6 FROM specimen) u
           WHERE u.person_id = p.person_id)",
            &[5.0, 6.0],
        ),
        ("CASE WHEN rare.rare THEN 1 END", &[1.0]),
        ("NULL", &[]),
    ];
    for (x, values) in cases {
        let mut numbers = numbers(&of(x)).unwrap_or_else(|| panic!("{x}: {:?}", of(x).summed("x")));
        let mut values = values.to_vec();
        numbers.sort_by(f64::total_cmp);
        values.sort_by(f64::total_cmp);
        assert_eq!(numbers, values, "{x}");
    }
}

#[test]
fn encodings_are_refused() {
    let rows = |rows: &str| format!("(SELECT count(*) FROM {rows} AND e.person_id = p.person_id)");
    let own = [
        // Curves: what is known of a few values follows from the sum of a curve of them.
        ("labs.weight * (labs.weight - 1) / 2", Why::Product),
        ("labs.weight * labs.weight", Why::Product),
        ("power(labs.weight, 2)", Why::Product),
        ("power(10, labs.weight)", Why::Literal),
        ("exp(labs.weight)", Why::Curved),
        ("ln(labs.weight)", Why::Curved),
        ("abs(labs.weight - 70)", Why::Curved),
        ("labs.weight % 10", Why::Curved),
        ("1 / labs.weight", Why::Product),
        ("labs.weight / labs.height / seen.visits", Why::Product),
        ("labs.weight * seen.visits", Why::Product),
        ("date_part('month', seen.index_day)", Why::Curved),
        // A measurement in some rows, and what tells the rows apart.
        ("CASE WHEN rare.rare THEN labs.weight + 1 ELSE labs.weight END", Why::Choice),
        ("CASE WHEN rare.rare THEN 1048576 ELSE labs.weight END", Why::Choice),
        ("CASE WHEN rare.rare THEN labs.height ELSE labs.weight END", Why::Choice),
        ("labs.weight + CASE WHEN rare.rare THEN 1048576 ELSE 0 END", Why::Choice),
        ("labs.weight * coalesce(rare.w, 1)", Why::Choice),
        ("coalesce(labs.weight, 1048576)", Why::Choice),
        ("greatest(labs.weight, 1048576)", Why::Choice),
        ("least(labs.weight, 20)", Why::Choice),
        ("coalesce(seen.visits, 1048576)", Why::Choice),
        ("coalesce(seen.visits + 1048576, 0)", Why::Choice),
        ("coalesce(d.died, DATE '9999-12-31') - seen.index_day", Why::Choice),
        ("CASE WHEN rare.rare THEN DATE '9999-12-31' ELSE DATE '2026-01-01' END - seen.index_day", Why::Choice),
        ("seen.index_day + CASE WHEN rare.rare THEN INTERVAL '9000' YEAR ELSE INTERVAL '1' DAY END - labs.first_day",
         Why::Choice),
        ("CASE WHEN rare.rare THEN d.died ELSE labs.first_day END - seen.index_day", Why::Choice),
        ("CASE WHEN d.died < labs.first_day AND rare.rare THEN d.died ELSE labs.first_day END - seen.index_day", Why::Choice),
        ("CASE WHEN d.died < seen.index_day THEN d.died ELSE labs.first_day END - seen.index_day", Why::Choice),
        ("CASE WHEN labs.weight < labs.height THEN labs.weight ELSE labs.height END", Why::Choice),
        ("coalesce(make_date(p.year_of_birth, 1, 1), d.died) - seen.index_day", Why::Choice),
        ("least(d.died, seen.index_day + 365) - seen.index_day", Why::Choice),
        ("(SELECT max(x) FROM (SELECT person_id, 1 AS x, value_as_number AS y FROM measurement UNION ALL BY NAME
           SELECT person_id, 2 AS y, value_as_number AS x FROM measurement) u WHERE u.person_id = p.person_id)", Why::Unread),
        ("(SELECT max(v) FROM (SELECT person_id, value_as_number AS v FROM measurement UNION ALL
           SELECT person_id, 1000 * value_as_number FROM measurement) u WHERE u.person_id = p.person_id)", Why::Choice),
        ("seen.index_day + CASE WHEN rare.rare THEN 100000 ELSE 0 END - labs.first_day", Why::Choice),
        ("seen.index_day - make_date(p.year_of_birth, CASE WHEN rare.rare THEN 12 ELSE 1 END, 1)", Why::Choice),
        // Digits: two quantities in one sum.
        ("1048576 * ill.events + seen.visits", Why::Units),
        ("ill.events + ill.events + ill.events + seen.visits", Why::Units),
        ("seen.visits + labs.weight", Why::Units),
        ("seen.nights + seen.visits", Why::Units),
        // Codes, which are numbers of the vocabulary's choosing, and what is no number.
        ("p.race_concept_id", Why::Code),
        ("p.race_concept_id + 0", Why::Code),
        ("(SELECT max(condition_concept_id) FROM condition_occurrence c WHERE c.person_id = p.person_id)", Why::Code),
        ("(SELECT max(s.amount_value) FROM drug_strength s JOIN drug_exposure e ON e.drug_concept_id = s.drug_concept_id
           WHERE e.person_id = p.person_id)", Why::Vocabulary),
        ("(SELECT max(n) FROM (SELECT person_id, row_number() OVER (PARTITION BY person_id ORDER BY death_date) AS n
           FROM death) r WHERE r.person_id = p.person_id)", Why::Position),
        // Weights: rows that count several times, or differently.
        ("(SELECT sum(CASE WHEN c.condition_concept_id = 5 THEN 1000 ELSE 1 END) FROM condition_occurrence c
           WHERE c.person_id = p.person_id)", Why::Weights),
        ("(SELECT sum(w) FROM (SELECT person_id, 1000 AS w FROM death UNION ALL SELECT person_id, 1 FROM specimen) u
           WHERE u.person_id = p.person_id)", Why::Weights),
        ("(SELECT count(*) FROM (SELECT person_id FROM death UNION ALL SELECT person_id FROM death) u
           WHERE u.person_id = p.person_id)", Why::Multiplied),
        ("(SELECT avg(CASE WHEN c.condition_concept_id = 5 THEN 1000 ELSE 1 END) FROM condition_occurrence c
           WHERE c.person_id = p.person_id)", Why::Share),
        ("(SELECT stddev(m.value_as_number) FROM measurement m WHERE m.person_id = p.person_id)", Why::Share),
        ("(SELECT sum(n) FROM (SELECT person_id, count(*) OVER (PARTITION BY person_id) AS n FROM death) u
           WHERE u.person_id = p.person_id)", Why::Again),
        ("(SELECT sum(q.year_of_birth) FROM death e JOIN person q ON q.person_id = e.person_id WHERE e.person_id = p.person_id)",
         Why::Product),
        ("(SELECT max(lag) FROM (SELECT person_id, lag(value_as_number, 1, 1048576) OVER (PARTITION BY person_id
           ORDER BY measurement_date) AS lag FROM measurement) u WHERE u.person_id = p.person_id)", Why::Choice),
        ("(SELECT count(DISTINCT k.concept_id) FROM death e JOIN concept k ON k.vocabulary_id = 'x' AND k.concept_id >
           e.cause_concept_id WHERE e.person_id = p.person_id)", Why::Multiplied),
        ("nothing.like_it", Why::Unread),
    ];
    let ranked = |table: &str, day: &str| {
        format!("(SELECT person_id, row_number() OVER (PARTITION BY person_id ORDER BY {day}) AS n FROM {table})")
    };
    let (visits, deaths) = (ranked("visit_occurrence", "visit_start_date"), ranked("death", "death_date"));
    // Queries that look as if they had one row a patient.
    let several = [
        "SELECT e.person_id, (SELECT max(1) FROM death d WHERE d.person_id = e.person_id) AS one FROM drug_exposure e".to_string(),
        "SELECT DISTINCT person_id, n FROM (SELECT person_id, count(*) AS n FROM drug_exposure GROUP BY person_id, quantity) t".into(),
        "SELECT DISTINCT e.person_id, (SELECT max(1) FROM death d WHERE d.death_date = e.drug_exposure_start_date) AS one
         FROM drug_exposure e".into(),
        format!("SELECT person_id FROM (SELECT * FROM {visits} a UNION ALL SELECT * FROM {deaths} b) u WHERE u.n = 1"),
        format!("SELECT person_id FROM (SELECT person_id, min(n) OVER (PARTITION BY person_id) AS m FROM {visits} a) u WHERE u.m = 1"),
        format!("SELECT a.person_id FROM {visits} a WHERE CASE WHEN a.n > 1 THEN 1 ELSE a.n END = 1"),
        "SELECT person_id FROM (SELECT person_id, row_number() OVER w AS n FROM visit_occurrence
         WINDOW w AS (PARTITION BY person_id, visit_concept_id ORDER BY visit_start_date)) u WHERE u.n = 1".into(),
        "SELECT person_id FROM (SELECT person_id, row_number() OVER (PARTITION BY person_id, visit_concept_id ORDER BY
         visit_start_date) AS n FROM visit_occurrence) u WHERE u.n = 1".into(),
    ];
    for several in several {
        let x = rows(&format!("({several}) f JOIN condition_occurrence e ON e.person_id = f.person_id WHERE true"));
        assert_eq!(refused(&of(&x)), Some(Why::Multiplied.refused()), "{x}");
    }
    // Another's place is none among the rows that are counted.
    for x in [
        format!(
            "(SELECT count(*) FROM {} r JOIN drug_exposure e ON e.person_id = r.person_id WHERE r.n = 1 AND
                 e.person_id = p.person_id)",
            ranked("person", "year_of_birth")
        ),
        format!(
            "(SELECT (SELECT count(*) FROM drug_exposure e WHERE e.person_id = r.person_id AND r.n = 1)
                 FROM {visits} r WHERE r.person_id = p.person_id)"
        ),
    ] {
        assert!(matches!(of(&x).summed("x"), Ok(Summed::Measured(_))), "{x}: {:?}", of(&x).summed("x"));
    }
    let multiplied = [
        "condition_occurrence e JOIN concept AS k(a, concept_id) ON k.concept_id = e.condition_concept_id WHERE true",
        "condition_occurrence e JOIN (SELECT concept_id / 10 AS concept_id FROM concept) k
         ON k.concept_id = e.condition_concept_id WHERE true",
        "concept k JOIN (SELECT person_id, condition_concept_id AS concept_id FROM condition_occurrence) e
         ON e.concept_id = k.concept_code WHERE true",
        "death e JOIN (VALUES (1), (2)) AS v(n) ON v.n >= e.cause_concept_id WHERE true",
        "condition_occurrence e JOIN condition_occurrence f ON f.person_id = e.person_id WHERE true",
        "condition_occurrence e JOIN concept_ancestor a ON a.descendant_concept_id = e.condition_concept_id WHERE true",
        "condition_occurrence e JOIN concept k ON k.concept_id = k.concept_id AND k.concept_id > e.condition_concept_id WHERE true",
        "condition_occurrence e JOIN concept j ON j.concept_id = e.condition_concept_id JOIN concept k
         ON j.concept_id = k.concept_id + 0 AND k.domain_id = j.domain_id WHERE true",
    ];
    for (x, why) in
        own.map(|(x, why)| (x.to_string(), why)).into_iter().chain(multiplied.map(|x| (rows(x), Why::Multiplied)))
    {
        assert_eq!(refused(&of(&x)), Some(why.refused()), "{x}");
    }
    let values: Vec<String> = (0..65).map(|value| format!("WHEN {value} THEN {}", value * value)).collect();
    assert_eq!(refused(&of(&format!("CASE seen.visits {} END", values.join(" ")))), Some(Why::ManyLiterals.refused()));
}

#[test]
fn rows_are_counted_where_nothing_multiplies_them() {
    for rows in [
        "condition_occurrence e WHERE true",
        "condition_occurrence e JOIN person q ON q.person_id = e.person_id WHERE q.year_of_birth > 1950",
        "condition_occurrence e JOIN concept k ON k.concept_id = e.condition_concept_id WHERE k.domain_id = 'Condition'",
        "condition_occurrence e LEFT JOIN rare r ON r.person_id = e.person_id WHERE r.w IS NULL",
        "condition_occurrence e WHERE e.condition_concept_id IN
         (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 1)",
        "(SELECT DISTINCT person_id, condition_start_date FROM condition_occurrence) e WHERE true",
        "(SELECT person_id FROM condition_occurrence UNION ALL SELECT person_id FROM procedure_occurrence) e WHERE true",
        "(SELECT person_id, row_number() OVER (PARTITION BY person_id ORDER BY visit_start_date) AS n FROM visit_occurrence) v
         JOIN drug_exposure e ON e.person_id = v.person_id WHERE v.n > 1 AND false",
    ] {
        let columns = of(&format!("(SELECT count(*) FROM {rows} AND e.person_id = p.person_id)"));
        let is_counted = matches!(columns.summed("x"), Ok(Summed::Measured(_)));
        assert_eq!(is_counted, !rows.contains("v.n > 1"), "{rows}: {:?}", columns.summed("x"));
    }
    let first =
        "(SELECT count(*) FROM (SELECT v.person_id FROM (SELECT person_id, row_number() OVER (PARTITION BY person_id
                 ORDER BY visit_start_date) AS n FROM visit_occurrence) v WHERE v.n = 1) f
                 JOIN drug_exposure e ON e.person_id = f.person_id WHERE e.person_id = p.person_id)";
    assert!(matches!(of(first).summed("x"), Ok(Summed::Measured(_))), "the first visit is one row");
}

/// A study's query with two variables.
fn two(x: &str, y: &str) -> Columns {
    of(&format!("{x} AS y, {y}"))
}

#[test]
fn variables_with_a_raw_column_in_common_are_found() {
    let common = |x: &str, y: &str| {
        let columns = two(x, y);
        for name in ["x", "y"] {
            assert!(columns.summed(name).is_ok(), "{x}, {y}: {:?}", columns.summed(name));
        }
        columns.common(&["x", "y"]).map(|(_, source)| format!("{}.{}", source.table(), source.column()))
    };
    let value = Some("measurement.value_as_number".to_string());
    for (x, y) in [
        ("labs.weight", "round(labs.weight)"),
        ("labs.weight", "CASE WHEN rare.rare IS NULL THEN labs.weight END"),
        ("labs.weight", "labs.weight / (labs.height * labs.height)"),
        ("labs.weight", "(SELECT min(value_as_number) FROM measurement m WHERE m.person_id = p.person_id)"),
        ("labs.weight",
         "(SELECT min(value_as_number) FROM measurement m WHERE m.person_id = p.person_id AND m.measurement_concept_id IN (1, 9))"),
        // The concepts are those of the earlier row.
        ("labs.weight",
         "(SELECT max(v) FROM (SELECT person_id, measurement_concept_id AS c, lag(value_as_number) OVER (PARTITION BY person_id
           ORDER BY measurement_date) AS v FROM measurement) m WHERE m.person_id = p.person_id AND m.c = 77)"),
    ] {
        assert_eq!(common(x, y), value, "{x}, {y}");
    }
    assert!(common("seen.visits", "seen.nights").is_some(), "both grow with the visits");
    assert!(common("seen.visits", "seen.visits + ill.events").is_some());
    assert!(common("2026 - p.year_of_birth", "date_part('year', seen.index_day) - p.year_of_birth").is_some());
    // Other rows of one column, and other columns.
    for (x, y) in [
        ("labs.weight", "labs.height"),
        ("labs.weight", "p.year_of_birth"),
        (
            "labs.weight",
            "(SELECT avg(m.value_as_number) FROM (SELECT * FROM measurement) m WHERE m.person_id = p.person_id AND m.measurement_concept_id = 8)",
        ),
        ("seen.visits", "ill.events"),
        (
            "ill.events",
            "(SELECT count(*) FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 5)",
        ),
        // Age at the first visit, and how long until death: each has a day of its own.
        ("date_part('year', seen.index_day) - p.year_of_birth", "d.died - seen.index_day"),
    ] {
        assert_eq!(common(x, y), None, "{x}, {y}");
    }
    // A third one takes that day.
    let three = of(
        "date_part('year', seen.index_day) - p.year_of_birth AS y, d.died - labs.first_day AS z, d.died - seen.index_day",
    );
    assert!(three.common(&["x", "y", "z"]).is_some());
}

#[test]
fn names_are_those_that_the_query_engine_gives() {
    let w = "CASE WHEN m.unit_concept_id = 1 THEN 1048576 ELSE 1 END";
    for sql in [
        // What has no name of its own is no column of that text.
        format!(
            "SELECT person_id, t.\"max(m.range_low)\" AS x FROM (SELECT person_id, max(m.range_low), max({w}) AS
                 \"max(m.range_low)\" FROM measurement m GROUP BY person_id) t"
        ),
        // Columns in another order, or others in their place.
        format!(
            "SELECT person_id, x FROM (SELECT person_id, max(range_low) AS x, max({w}) AS w FROM measurement m GROUP BY
                 person_id) t(person_id, w, x)"
        ),
    ] {
        let columns = read(&sql, &[]);
        let Ok(Summed::Literals(literals)) = columns.summed("x") else { panic!("{sql}: {:?}", columns.summed("x")) };
        assert_eq!(literals.len(), 2, "{sql}");
    }
    for sql in [
        format!("SELECT person_id, x FROM ((SELECT person_id, max(range_low) AS x, max({w}) AS w FROM measurement m GROUP BY
                 person_id) t JOIN person p ON p.person_id = t.person_id) AS u(person_id, w, x)"),
        "SELECT person_id, max(range_low) AS x FROM (SELECT * REPLACE (unit_concept_id AS range_low) FROM measurement) t
         GROUP BY person_id".into(),
        "SELECT person_id, max(c) AS x FROM (SELECT * FROM death JOIN measurement USING (person_id)) t(a, b, c)
         GROUP BY person_id".into(),
        // A column of the query around, where one within may have that name.
        "SELECT p.person_id, (SELECT max(year_of_birth) FROM (SELECT (year_of_birth) FROM (SELECT 1 AS year_of_birth) a) t)
         AS x FROM person p".into(),
    ] {
        let columns = read(&sql, &[]);
        assert_eq!(columns.summed("x"), Err(Why::Unread.refused()), "{sql}");
    }
}

#[test]
fn a_table_of_the_consortium_s_own_is_measured_by_its_numbers() {
    let table = r#"
        name = "registry"
        subject = "patient"
        domain = "condition"
        date = "found"
        column = [
            { name = "found", type = "date" },
            { name = "size", type = "integer" },
            { name = "grade", type = "category", values = [1, 2, 3] },
            { name = "spread", type = "boolean" },
        ]
    "#;
    let tables = [toml::from_str(table).expect("a table")];
    let columns = read(
        "SELECT patient, max(size) AS size, max(size) FILTER (WHERE grade = 3) AS worst, count(*) AS n, max(grade) AS grade,
                max(as_of() - found) AS days, max(CASE WHEN spread THEN 1 END) AS spread
         FROM registry GROUP BY patient",
        &tables,
    );
    for column in ["size", "worst", "n"] {
        assert!(matches!(columns.summed(column), Ok(Summed::Measured(_))), "{column}");
    }
    assert!(columns.summed("grade").is_err(), "a code is no number");
    assert!(matches!(columns.summed("spread"), Ok(Summed::Literals(_))));
    assert!(columns.common(&["size", "worst"]).is_some(), "one column");
    let unknown = read("SELECT patient, max(size) AS size FROM registry GROUP BY patient", &[]);
    assert!(unknown.summed("size").is_err(), "nobody said what it is");
}

#[test]
fn a_moment_is_its_day() {
    let columns = read(
        "SELECT person_id, max(condition_start_datetime) - min(condition_end_date) AS a, max(condition_start_date) AS b
         FROM condition_occurrence GROUP BY person_id",
        &[],
    );
    assert!(columns.common(&["a", "b"]).is_some());
}

#[test]
fn columns_that_depend_on_a_measurement_are_found() {
    for (cut, depends) in [
        ("CASE WHEN labs.weight > 90 THEN 1 ELSE 0 END", true),
        ("labs.weight IS NULL", true),
        ("(SELECT max(1) FROM measurement m WHERE m.person_id = p.person_id AND m.value_as_number > 90)", true),
        (
            "(SELECT max(1) FROM measurement m WHERE m.person_id = p.person_id AND m.measurement_concept_id = 2 AND
           m.value_as_number > 90)",
            false,
        ),
        ("EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = p.person_id AND m.value_as_number > 90)", true),
        ("p.gender_concept_id", false),
        ("rare.rare", false),
        ("labs.height", false),
    ] {
        let columns = of(&format!("{cut} AS cut, labs.weight"));
        assert_eq!(columns.depends("cut", "x"), depends, "{cut}");
    }
    assert!(of("labs.weight").depends("not_there", "x"), "what is not known may be anything");
    let counted = of(
        "coalesce(rare.rare, false) AS cut, (SELECT count(*) FROM condition_occurrence c WHERE c.person_id = p.person_id)",
    );
    assert!(counted.depends("cut", "x"), "who has a row has one at least");
}

#[test]
fn nothing_that_is_written_ends_the_reader() {
    let nested = |levels: usize, around: &dyn Fn(&str) -> String| {
        (0..levels).fold("p.year_of_birth".to_string(), |inner, _| around(&inner))
    };
    let deep = format!("SELECT {} AS x FROM person p", nested(40, &|inner| format!("({inner})")));
    // What is within others is read once, however often it is looked at.
    let texts: Vec<String> = [
        nested(40, &|inner| format!("(SELECT max(1) FROM person p WHERE ({inner}) = 1)")),
        nested(40, &|inner| format!("(SELECT ({inner}) FROM person p GROUP BY 1)")),
        nested(40, &|inner| format!("make_date(p.year_of_birth, {inner}, 1)")),
        nested(40, &|inner| format!("coalesce({inner}, 1)")),
        nested(40, &|inner| format!("CASE WHEN {inner} = 1 THEN 1 END")),
        nested(40, &|inner| format!("CASE WHEN true THEN {inner} END")),
    ]
    .map(|x| format!("SELECT {x} AS x FROM person p"))
    .into();
    let wide: String = (0..6)
        .map(|i| format!(", t{} AS (SELECT a.*, b.* FROM t{i} a JOIN t{i} b ON a.person_id = b.person_id)", i + 1))
        .collect();
    let wide = format!("WITH t0 AS (SELECT * FROM measurement){wide} SELECT value_as_number AS x FROM t6");
    for sql in ["", "SELECT", "DELETE FROM person", "VALUES (1)", "SELECT * FROM nowhere", &wide] {
        assert!(read(sql, &[]).summed("x").is_err(), "{sql}");
    }
    for sql in texts.iter().chain([&deep]) {
        drop(read(sql, &[]));
    }
    assert!(matches!(read(&deep, &[]).summed("x"), Ok(Summed::Measured(_))));
}
