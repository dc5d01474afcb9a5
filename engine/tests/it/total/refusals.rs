use consilium_engine::cohort::{check, run};

use super::super::hospital::{everybody, limits, link, study};
use super::store;

/// What can be told from the query alone is told before it runs, by its name and with what to write instead.
#[tokio::test]
async fn what_no_row_can_mend_is_refused_by_the_query_alone() {
    let p = "SELECT person_id AS subject, ";
    let list = [
        // Literals that are not what they are taken for.
        ("literal", format!("{p} 1 AS x FROM person WHERE year_of_birth = 'abc'")),
        ("literal", format!("{p} CAST('2021-02-30' AS DATE) - DATE '2020-01-01' AS x FROM person")),
        ("literal", format!("{p} 1 AS x FROM person WHERE year_of_birth > 1e400")),
        ("literal", "SELECT person_id AS subject, 1 AS x FROM death WHERE death_date > 'abc'".to_string()),
        ("literal", "SELECT person_id AS subject, 1 AS x FROM death WHERE death_date > '0000-12-31'".to_string()),
        // Values that could be several.
        ("several_values", format!("{p} (SELECT year_of_birth FROM person q WHERE q.person_id = p.person_id) AS x FROM person p")),
        ("several_values", format!("{p} 1 AS x FROM person WHERE gender_concept_id = (SELECT concept_id FROM concept)")),
        ("several_values", format!("{p} 1 AS x FROM person WHERE gender_concept_id = (SELECT concept_id FROM concept WHERE concept_id = 8507)")),
        ("several_values", format!(
            "{p} (SELECT max(value_as_number) FROM measurement m WHERE m.person_id = p.person_id GROUP BY m.unit_concept_id) AS x FROM person p"
        )),
        ("construct", format!(
            "{p} (SELECT max(value_as_number) FROM measurement m WHERE m.person_id = p.person_id OR 1 = 1 GROUP BY m.person_id) AS x FROM person p"
        )),
        // Lengths of time that are compared, or what has no type here.
        ("construct", "SELECT person_id AS subject, 1 AS x FROM visit_occurrence WHERE visit_end_datetime - visit_start_datetime > INTERVAL '1' DAY".to_string()),
        ("construct", "SELECT person_id AS subject, 1 AS x FROM person WHERE CASE WHEN year_of_birth > 1950 THEN INTERVAL '1' DAY ELSE INTERVAL '1' MONTH END > INTERVAL '30' DAY".to_string()),
        ("construct", "SELECT person_id AS subject, count(DISTINCT i) AS x FROM (SELECT person_id, INTERVAL '1' DAY AS i FROM person) t GROUP BY person_id".to_string()),
        ("construct", "SELECT person_id AS subject, 1 AS x FROM visit_occurrence WHERE visit_start_datetime > TIMESTAMP WITH TIME ZONE '2020-01-01 00:00:00+02'".to_string()),
        ("construct", "SELECT person_id AS subject, 1 AS x FROM visit_occurrence WHERE CAST(visit_start_date AS DOUBLE) > 1".to_string()),
        ("construct", "SELECT person_id AS subject, 1 AS x FROM concept c JOIN person p ON p.gender_concept_id = c.concept_id WHERE c.concept_name LIKE c.concept_code".to_string()),
        // Windows that no one needs, or that an aggregate cannot follow.
        ("too_large", format!("{p} count(*) OVER (PARTITION BY person_id ORDER BY year_of_birth ROWS BETWEEN 9223372036854775807 PRECEDING AND CURRENT ROW) AS x FROM person")),
        ("too_large", format!("{p} count(*) OVER (PARTITION BY person_id ORDER BY year_of_birth ROWS BETWEEN CURRENT ROW AND 9223372036854775806 FOLLOWING) AS x FROM person")),
        ("too_large", format!("{p} lag(year_of_birth, 9223372036854775807) OVER (PARTITION BY person_id ORDER BY year_of_birth) AS x FROM person")),
        ("construct", format!("{p} lag(year_of_birth, year_of_birth) OVER (PARTITION BY person_id ORDER BY year_of_birth) AS x FROM person")),
        ("literal", format!("{p} lag(year_of_birth, 1, 'abc') OVER (PARTITION BY person_id ORDER BY year_of_birth) AS x FROM person")),
        ("construct", format!("{p} median(year_of_birth) OVER (PARTITION BY person_id ORDER BY year_of_birth ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM person")),
        // No operation of these types.
        ("arguments", format!("{p} sqrt('abc') AS x FROM person")),
        ("arguments", "SELECT person_id AS subject, death_date * 2 AS x FROM death".to_string()),
        ("arguments", "SELECT person_id AS subject, date_part('colour', death_date) AS x FROM death".to_string()),
    ];
    let (store, _folder) = store().await;
    let permissions = everybody(&store, &link()).await;
    let mut wrong = Vec::new();
    for (kind, sql) in list {
        let spec = study(&sql, &["x"]);
        let mut outcomes = vec![check(&spec).await.err()];
        if !["death", "visit", "concept", "measurement"].iter().any(|table| sql.contains(table)) {
            outcomes.push(run(&store, &link(), &permissions, &spec, &limits()).await.err());
        }
        for outcome in outcomes {
            match outcome {
                Some(error) if error.kind() == kind && !error.depends_on_data() => {}
                Some(error) => wrong.push(format!("{} and not {kind}: {sql}", error.kind())),
                None => wrong.push(format!("passed, not {kind}: {sql}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What stands beside what is refused, and is fine.
#[tokio::test]
async fn the_forms_that_work_are_planned() {
    let p = "SELECT person_id AS subject, ";
    for sql in [
        format!("{p} 1 AS x FROM person WHERE year_of_birth = '1950'"),
        format!("{p} TRY_CAST('abc' AS DATE) - DATE '2020-01-01' AS x FROM person"),
        format!("{p} 1 AS x FROM person WHERE gender_concept_id = (SELECT max(concept_id) FROM concept WHERE concept_code = 'M')"),
        format!("{p} (SELECT max(value_as_number) FROM measurement m WHERE m.person_id = p.person_id) AS x FROM person p"),
        format!("{p} (SELECT max(value_as_number) FROM measurement m WHERE m.person_id = p.person_id GROUP BY m.person_id) AS x FROM person p"),
        format!(
            "{p} (SELECT max(t.v) FROM (SELECT person_id, value_as_number AS v FROM measurement) t
             WHERE t.person_id = p.person_id AND t.v > 1 GROUP BY t.person_id HAVING count(*) > 1) AS x FROM person p"
        ),
        "SELECT person_id AS subject, max(CAST(visit_end_datetime AS DATE) - CAST(visit_start_datetime AS DATE)) AS x
         FROM visit_occurrence GROUP BY person_id".to_string(),
        "SELECT person_id AS subject, max(date_part('epoch', visit_end_datetime) - date_part('epoch', visit_start_datetime)) AS x
         FROM visit_occurrence GROUP BY person_id".to_string(),
        "SELECT person_id AS subject, count(*) AS x FROM visit_occurrence
         WHERE visit_start_datetime >= TIMESTAMP '2020-01-01 00:00:00' + INTERVAL '1' DAY GROUP BY person_id".to_string(),
        "SELECT person_id AS subject, count(*) AS x FROM visit_occurrence WHERE visit_start_datetime > visit_end_date GROUP BY person_id".to_string(),
        "SELECT person_id AS subject, bool_or(coalesce(visit_start_datetime, visit_start_date) - INTERVAL '1' DAY > visit_end_date) AS w,
         1 AS x FROM visit_occurrence GROUP BY person_id".to_string(),
        "SELECT person_id AS subject, sum(v) AS x FROM (SELECT person_id, CAST(value_as_number AS INT) % 7 AS v, count(*) AS n
         FROM measurement GROUP BY person_id, CAST(value_as_number AS INT) % 7 HAVING sum(CAST(value_as_number AS INT)) > 1
         ORDER BY CAST(value_as_number AS INT) % 7) t GROUP BY person_id".to_string(),
        "SELECT person_id AS subject, max(x) AS x FROM (SELECT person_id, CAST(value_as_number AS INT) AS x, row_number() OVER
         (PARTITION BY person_id, CAST(value_as_number AS INT) ORDER BY measurement_date - 30) AS n FROM measurement) t
         WHERE n = 1 GROUP BY person_id".to_string(),
        "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN measurement m ON m.person_id = p.person_id
         AND m.value_as_number = p.year_of_birth AND m.measurement_date + 30 > '2020-01-01' GROUP BY p.person_id".to_string(),
        "SELECT person_id AS subject, 1 AS x FROM person WHERE year_of_birth IN (SELECT CAST(concept_code AS INT) FROM concept)".to_string(),
        "SELECT person_id AS subject, max(date_part('year', d)) AS x FROM (SELECT person_id, visit_start_date AS d FROM visit_occurrence
         UNION ALL SELECT person_id, visit_start_datetime FROM visit_occurrence) t GROUP BY person_id".to_string(),
    ] {
        let outcome = check(&study(&sql, &["x"])).await;
        assert!(outcome.is_ok(), "{}\n{sql}", outcome.err().map(|e| format!("{}: {e}", e.kind())).unwrap_or_default());
    }
}
