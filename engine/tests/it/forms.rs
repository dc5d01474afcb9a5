//! Forms of queries that are rewritten: each gives what its longhand gives, and the views and sets of concepts what they say.

use std::fs;

use consilium_engine::cohort::{CohortError, check, run};
use consilium_engine::store::{Store, StoreConfig};
use consilium_protocol::study::StudySpec;

use super::hospital::{cohort, everybody, limits, link, open_csv, sorted, study, study_with};

#[tokio::test]
async fn each_form_has_the_answer_of_its_longhand() {
    let (store, _folder) = open_csv().await;
    for (form, longhand) in [
        // EXISTS among results, with equality and without.
        (
            "SELECT person_id AS subject, CAST(EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = p.person_id) AS BIGINT) AS x
             FROM person p",
            "SELECT p.person_id AS subject, CASE WHEN m.person_id IS NULL THEN 0 ELSE 1 END AS x FROM person p
             LEFT JOIN (SELECT DISTINCT person_id FROM measurement) m ON m.person_id = p.person_id",
        ),
        (
            "SELECT c.person_id AS subject, sum(CASE WHEN EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = c.person_id AND
             m.measurement_date < c.condition_start_date) THEN 1 ELSE 0 END) AS x FROM condition_occurrence c GROUP BY c.person_id",
            "SELECT c.person_id AS subject, sum(CASE WHEN m.first < c.condition_start_date THEN 1 ELSE 0 END) AS x
             FROM condition_occurrence c LEFT JOIN (SELECT person_id, min(measurement_date) AS first FROM measurement
             GROUP BY person_id) m ON m.person_id = c.person_id GROUP BY c.person_id",
        ),
        // IN among results.
        (
            "SELECT person_id AS subject, CASE WHEN person_id IN (SELECT person_id FROM measurement) THEN 2 ELSE 1 END AS x
             FROM person",
            "SELECT p.person_id AS subject, CASE WHEN m.person_id IS NULL THEN 1 ELSE 2 END AS x FROM person p
             LEFT JOIN (SELECT DISTINCT person_id FROM measurement) m ON m.person_id = p.person_id",
        ),
        // A count over another condition than equality.
        (
            "SELECT v.person_id AS subject, max((SELECT count(*) FROM measurement m WHERE m.person_id = v.person_id
             AND m.measurement_date <= v.visit_start_date)) AS x FROM visit_occurrence v GROUP BY v.person_id",
            "SELECT person_id AS subject, max(n) AS x FROM (SELECT v.person_id, v.visit_occurrence_id, count(m.measurement_id) AS n
             FROM visit_occurrence v LEFT JOIN measurement m ON m.person_id = v.person_id AND
             m.measurement_date <= v.visit_start_date GROUP BY v.person_id, v.visit_occurrence_id) s GROUP BY person_id",
        ),
        // The last value.
        (
            "SELECT p.person_id AS subject, (SELECT m.value_as_number FROM measurement m WHERE m.person_id = p.person_id
             ORDER BY m.measurement_date DESC, m.measurement_id DESC LIMIT 1) AS x FROM person p",
            "SELECT p.person_id AS subject, m.value_as_number AS x FROM person p LEFT JOIN (SELECT person_id, value_as_number,
             row_number() OVER (PARTITION BY person_id ORDER BY measurement_date DESC, measurement_id DESC) AS place
             FROM measurement) m ON m.person_id = p.person_id AND m.place = 1",
        ),
        // The first by its position, or by a name that a column has, too.
        (
            "SELECT p.person_id AS subject, (SELECT m.value_as_number FROM measurement m WHERE m.person_id = p.person_id
             ORDER BY 1 LIMIT 1) AS x FROM person p",
            "SELECT p.person_id AS subject, m.x FROM person p LEFT JOIN (SELECT person_id, min(value_as_number) AS x
             FROM measurement GROUP BY person_id) m ON m.person_id = p.person_id",
        ),
        (
            "SELECT p.person_id AS subject, (SELECT TOP 1 m.measurement_date - DATE '2012-01-01' AS measurement_id FROM measurement m
             WHERE m.person_id = p.person_id ORDER BY measurement_id DESC) AS x FROM person p",
            "SELECT p.person_id AS subject, m.day - DATE '2012-01-01' AS x FROM person p LEFT JOIN (SELECT person_id,
             max(measurement_date) AS day FROM measurement GROUP BY person_id) m ON m.person_id = p.person_id",
        ),
        // By a visit.
        (
            "SELECT v.person_id AS subject, count(*) AS x FROM visit_occurrence v JOIN condition_occurrence c
             USING (visit_occurrence_id) GROUP BY v.person_id",
            "SELECT v.person_id AS subject, count(*) AS x FROM visit_occurrence v JOIN condition_occurrence c
             ON c.visit_occurrence_id = v.visit_occurrence_id AND c.person_id = v.person_id GROUP BY v.person_id",
        ),
        (
            "SELECT v.person_id AS subject, max(p.year_of_birth) AS x FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id WHERE EXISTS (SELECT 1 FROM condition_occurrence c
             WHERE c.visit_occurrence_id = v.visit_occurrence_id) GROUP BY v.person_id",
            "SELECT v.person_id AS subject, max(p.year_of_birth) AS x FROM visit_occurrence v JOIN person p ON p.person_id = v.person_id WHERE EXISTS (SELECT 1 FROM condition_occurrence c
             WHERE c.visit_occurrence_id = v.visit_occurrence_id AND c.person_id = v.person_id) GROUP BY v.person_id",
        ),
        // Several columns at once.
        (
            "SELECT person_id AS subject, max(value_as_number) AS x FROM measurement WHERE (person_id, measurement_date) IN
             (SELECT person_id, max(measurement_date) FROM measurement GROUP BY person_id) GROUP BY person_id",
            "SELECT m.person_id AS subject, max(m.value_as_number) AS x FROM measurement m JOIN (SELECT person_id,
             max(measurement_date) AS last FROM measurement GROUP BY person_id) l ON l.person_id = m.person_id
             AND l.last = m.measurement_date GROUP BY m.person_id",
        ),
        (
            "SELECT person_id AS subject, max(v) AS x FROM (SELECT person_id, 0 AS v FROM person UNION ALL SELECT person_id,
             value_as_number FROM measurement WHERE (person_id, measurement_date) IN (SELECT person_id, min(measurement_date)
             FROM measurement GROUP BY person_id)) u GROUP BY person_id",
            "SELECT p.person_id AS subject, coalesce(q.v, 0) AS x FROM person p LEFT JOIN (SELECT m.person_id,
             max(m.value_as_number) AS v FROM measurement m JOIN (SELECT person_id, min(measurement_date) AS first
             FROM measurement GROUP BY person_id) f ON f.person_id = m.person_id AND f.first = m.measurement_date
             GROUP BY m.person_id) q ON q.person_id = p.person_id",
        ),
        // Whoever is in one of two.
        (
            "SELECT coalesce(a.person_id, b.person_id) AS subject, coalesce(a.n, 0) + 100 * coalesce(b.n, 0) AS x FROM
             (SELECT person_id, count(*) AS n FROM condition_occurrence GROUP BY person_id) a FULL JOIN
             (SELECT person_id, count(*) AS n FROM measurement GROUP BY person_id) b ON a.person_id = b.person_id",
            "SELECT person_id AS subject, sum(n) AS x FROM (SELECT person_id, 1 AS n FROM condition_occurrence UNION ALL
             SELECT person_id, 100 AS n FROM measurement) u GROUP BY person_id",
        ),
        // Or in one of three.
        (
            "SELECT coalesce(a.person_id, b.person_id, c.person_id) AS subject,
             coalesce(a.n, 0) + 100 * coalesce(b.n, 0) + 10000 * coalesce(c.n, 0) AS x FROM
             (SELECT person_id, count(*) AS n FROM condition_occurrence GROUP BY person_id) a FULL JOIN
             (SELECT person_id, count(*) AS n FROM measurement GROUP BY person_id) b ON a.person_id = b.person_id FULL JOIN
             (SELECT person_id, count(*) AS n FROM visit_occurrence GROUP BY person_id) c
             ON coalesce(a.person_id, b.person_id) = c.person_id",
            "SELECT person_id AS subject, sum(n) AS x FROM (SELECT person_id, 1 AS n FROM condition_occurrence UNION ALL
             SELECT person_id, 100 AS n FROM measurement UNION ALL SELECT person_id, 10000 AS n FROM visit_occurrence) u
             GROUP BY person_id",
        ),
        // Days between two.
        (
            "SELECT person_id AS subject, max(EXTRACT(DAY FROM condition_end_date - condition_start_date)) AS x
             FROM condition_occurrence GROUP BY person_id",
            "SELECT person_id AS subject, max(condition_end_date - condition_start_date) AS x
             FROM condition_occurrence GROUP BY person_id",
        ),
        // What tools write around identifiers.
        (
            "SELECT CAST(e.person_id AS BIGINT) AS subject, count(CAST(e.visit_occurrence_id AS BIGINT)) AS x FROM
             (SELECT cast(c.person_id as bigint) as person_id, cast(c.visit_occurrence_id as bigint) as visit_occurrence_id,
             row_number() OVER (PARTITION BY CAST(c.person_id AS BIGINT) ORDER BY c.condition_start_date,
             CAST(c.condition_occurrence_id AS BIGINT)) AS ordinal FROM condition_occurrence c) e
             JOIN person o ON CAST(o.person_id AS BIGINT) = e.person_id::bigint
             WHERE EXISTS (SELECT 1 FROM measurement m WHERE CAST(m.person_id AS BIGINT) = CAST(e.person_id AS BIGINT))
             GROUP BY CAST(e.person_id AS BIGINT)",
            "SELECT e.person_id AS subject, count(e.visit_occurrence_id) AS x FROM condition_occurrence e
             JOIN person o ON o.person_id = e.person_id
             WHERE EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = e.person_id) GROUP BY e.person_id",
        ),
        (
            "SELECT [P].[Person_Id] AS [subject], max([P].[year_of_birth]) AS x FROM [cdm].[dbo].[Person] [P] GROUP BY [P].[person_id]",
            "SELECT person_id AS subject, year_of_birth AS x FROM person",
        ),
        (
            "SELECT p.`person_id` AS subject, `p`.year_of_birth AS x FROM `my-project.cdm.person` AS p",
            "SELECT person_id AS subject, year_of_birth AS x FROM person",
        ),
    ] {
        let ask = async |sql: &str| sorted(&cohort(&store, sql, &["x"]).await.unwrap_or_else(|e| panic!("{sql}: {e}")));
        let (found, expected) = (ask(form).await, ask(longhand).await);
        assert!(expected.len() > 5, "{}: {longhand}", expected.len());
        let distinct: std::collections::BTreeSet<&String> = expected.iter().collect();
        assert!(distinct.len() > 1, "{longhand}");
        assert_eq!(found, expected, "{form}");
    }
}

#[tokio::test]
async fn what_has_another_form_is_told_of_it() {
    for (sql, says) in [
        (
            "SELECT person_id AS subject, 1 AS x FROM person WHERE (person_id, year_of_birth) NOT IN
             (SELECT person_id, 1950 FROM death)",
            "NOT EXISTS",
        ),
        (
            "SELECT a.person_id AS subject, 1 AS x FROM (SELECT DISTINCT person_id FROM death) a FULL JOIN
             (SELECT DISTINCT person_id FROM measurement) b USING (person_id)",
            "coalesce(a.person_id, b.person_id)",
        ),
        (
            "SELECT coalesce(a.person_id, b.person_id, c.person_id) AS subject, 1 AS x FROM
             (SELECT DISTINCT person_id FROM death) a FULL JOIN
             (SELECT DISTINCT person_id FROM measurement) b ON a.person_id = b.person_id FULL JOIN
             (SELECT DISTINCT person_id FROM drug_exposure) c ON a.person_id = c.person_id",
            "ON coalesce(a.person_id, b.person_id) = c.person_id",
        ),
        (
            "SELECT coalesce(q.person_id, c.person_id) AS subject, 1 AS x FROM (SELECT d.person_id FROM person p LEFT JOIN
             death d ON d.person_id = p.person_id) q FULL JOIN (SELECT DISTINCT person_id FROM measurement) c
             ON q.person_id = c.person_id",
            "may leave empty",
        ),
        (
            "SELECT c.person_id AS subject, count(*) AS x FROM concept k LEFT JOIN condition_occurrence c
             ON c.condition_concept_id = k.concept_id GROUP BY c.person_id",
            "instead of JOIN",
        ),
        ("SELECT person_id AS subject, (SELECT m.value_as_number FROM measurement m WHERE m.person_id = p.person_id LIMIT 1) AS x
          FROM person p", "ORDER BY"),
        ("SELECT person_id AS subject, max(date_part('month', condition_end_date - condition_start_date)) AS x
          FROM condition_occurrence GROUP BY person_id", "30.44"),
        ("SELECT person_id AS subject, date_part('year', age(max(measurement_date))) AS x FROM measurement GROUP BY person_id",
         "365.25"),
        ("SELECT person_id AS subject, max(n) AS x FROM (SELECT person_id, ntile(0) OVER (PARTITION BY person_id ORDER BY
          measurement_date) AS n FROM measurement) m GROUP BY person_id", "whole number from 1"),
        ("SELECT person_id AS subject, records AS x FROM first_condition('diabetes')", "[[concept_set]]"),
        ("SELECT person_id AS subject, days AS x FROM follow_up(death, death)", "first_drug(metformin)"),
        ("SELECT person_id AS subject, age AS x FROM persons(2020)", "DATE '2020-01-01'"),
        ("SELECT person_id AS subject, records AS x FROM first_condition(diabetes)", "add a [[concept_set]]"),
        ("SELECT person_id AS subject, age AS x FROM persons(*)", "DATE '2020-01-01'"),
        ("WITH death AS (SELECT DISTINCT person_id FROM death) SELECT p.person_id AS subject, observation_days AS x FROM persons p
          JOIN observation_period o ON (o.person_id, 1) IN (SELECT person_id FROM death)", "write EXISTS"),
        ("WITH observation_period AS (SELECT * FROM observation_period WHERE observation_period_start_date > DATE '2015-01-01')
          SELECT person_id AS subject, observation_days AS x FROM persons", "another name for the query"),
        ("SELECT person_id AS subject, max(value_as_number) AS x FROM measurement WHERE (person_id, measurement_date) IN
          (SELECT * FROM death) GROUP BY person_id", "more or fewer columns"),
        ("SELECT person_id AS subject, max(value_as_number) AS x FROM measurement GROUP BY person_id
          HAVING (person_id, max(measurement_date)) IN (SELECT person_id, death_date FROM death)", "write EXISTS"),
        ("SELECT person_id AS subject, first_value(value_as_number ORDER BY 1) AS x FROM measurement GROUP BY person_id",
         "write the column that is meant"),
        ("SELECT DISTINCT ON (person_id) person_id AS subject, value_as_number AS x FROM measurement
          ORDER BY person_id, measurement_date DESC", "write QUALIFY row_number() OVER (PARTITION BY person_id"),
        ("SELECT p.person_id AS subject, l.value_as_number AS x FROM person p LEFT JOIN LATERAL (SELECT value_as_number
          FROM measurement m WHERE m.person_id = p.person_id ORDER BY measurement_date LIMIT 1) l ON TRUE", "write (SELECT … ORDER BY"),
        ("SELECT p.person_id AS subject, l.value_as_number AS x FROM person p OUTER APPLY (SELECT TOP 1 value_as_number
          FROM measurement m WHERE m.person_id = p.person_id ORDER BY measurement_date) l", "write (SELECT TOP 1"),
        ("SELECT person_id INTO #dm FROM death; SELECT person_id AS subject, 1 AS x FROM #dm", "WITH name AS (SELECT …)"),
        ("SELECT person_id AS subject, decode(gender_concept_id, 8507, 1, 0) AS x FROM person", "CASE … WHEN"),
        ("SELECT c.person_id AS subject, count(*) AS x FROM condition_occurrence c JOIN concept k ON k.concept_id =
          c.condition_concept_id WHERE k.concept_code ~ '^E11' GROUP BY c.person_id", "write LIKE"),
        ("SELECT person_id AS subject, year_ofbirth AS x FROM person", "`year_of_birth` is, and may be meant"),
        ("SELECT person_id AS subject, year_of_birth AS x FROM person p WHERE p.gendr_concept_id = 8507", "`gender_concept_id` is"),
        ("SELECT person_id AS subject, year_of_birth AS yob, 1 AS x FROM person WHERE yob > 1950", "a name that SELECT gives"),
        ("SELECT person_id AS subject, 1 AS x FROM person WHERE year_of_birth > \"1950\"", "'single quotes'"),
        ("SELECT person_id AS subject, 1 AS x FROM conditionoccurrence", "`condition_occurrence` is, and may be meant"),
    ] {
        let error = check(&study(sql, &["x"])).await.expect_err(sql);
        assert!(error.to_string().contains(says), "{sql}: {error}");
    }
}

/// Five patients: who began what when is told beside each.
async fn ward() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write(
        "person.csv",
        "person_id,gender_concept_id,year_of_birth\n1,8507,1950\n2,8532,1960\n3,8507,1970\n4,8532,1980\n5,8507,1990\n",
    );
    // 5 is observed for a while that ends before anything happened; 4 twice.
    write(
        "observation_period.csv",
        "observation_period_id,person_id,observation_period_start_date,observation_period_end_date\n\
         1,1,2010-01-01,2020-12-31\n2,2,2010-01-01,2020-12-31\n3,3,2010-01-01,2020-12-31\n4,4,2010-01-01,2012-12-31\n\
         5,4,2015-01-01,2020-12-31\n6,5,2010-01-01,2011-12-31\n",
    );
    // 100 and its descendant 101, without 102 and its descendant 103: the drug; 200 and 201: the event.
    write(
        "drug_exposure.csv",
        "drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date\n1,1,101,2015-01-01\n2,1,100,2016-01-01\n\
         3,2,100,2015-01-01\n4,3,101,2015-01-01\n5,4,100,2011-01-01\n6,4,102,2010-02-01\n7,5,100,2015-01-01\n8,3,999,2012-01-01\n9,4,103,2010-03-01\n",
    );
    write(
        "condition_occurrence.csv",
        "condition_occurrence_id,person_id,condition_concept_id,condition_start_date\n1,1,201,2015-01-31\n2,2,200,2014-06-01\n\
         3,4,200,2016-01-01\n4,5,200,2016-01-01\n",
    );
    write("death.csv", "person_id,death_date\n3,2017-01-01\n");
    write(
        "measurement.csv",
        "measurement_id,person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id\n1,1,300,2015-01-01,5,8\n\
         2,1,300,2016-01-01,7,8\n3,1,300,2016-01-01,8,8\n4,1,300,2017-01-01,,8\n5,2,300,2015-06-01,4,8\n6,2,301,2018-01-01,9,8\n",
    );
    write(
        "concept_ancestor.csv",
        "ancestor_concept_id,descendant_concept_id\n100,100\n100,101\n100,102\n100,103\n102,102\n102,103\n200,200\n200,201\n300,300\n",
    );
    (Store::open(&StoreConfig::of(folder.path()), &[]).await.expect("a store"), folder)
}

const SETS: &str = "[[concept_set]]\nname = \"statins\"\ninclude = [100]\nexclude = [102]\ndescendants = true\n\
                    [[concept_set]]\nname = \"stroke\"\ninclude = [201, 200, 200]\n\
                    [[concept_set]]\nname = \"lab\"\ninclude = [300]\n";

async fn asked(sql: &str, variables: &[&str]) -> Result<Vec<String>, CohortError> {
    let (store, _folder) = ward().await;
    let spec = study_with(sql, variables, SETS);
    check(&spec).await?;
    let people = everybody(&store, &link()).await;
    Ok(sorted(&run(&store, &link(), &people, &spec, &limits()).await?))
}

#[tokio::test]
async fn sets_of_concepts_are_tables_of_one_column() {
    for (sql, expected) in [
        (
            "SELECT person_id AS subject, count(*) AS x FROM drug_exposure WHERE drug_concept_id IN (SELECT concept_id FROM statins)
             GROUP BY person_id",
            &["1", "1", "1", "1", "2"][..],
        ),
        (
            "SELECT d.person_id AS subject, count(*) AS x FROM drug_exposure d JOIN statins s ON s.concept_id = d.drug_concept_id
             GROUP BY d.person_id",
            &["1", "1", "1", "1", "2"],
        ),
        (
            "SELECT person_id AS subject, count(*) AS x FROM drug_exposure WHERE drug_concept_id NOT IN
             (SELECT concept_id FROM statins) GROUP BY person_id",
            &["1", "2"],
        ),
        // A name of the query's own is nearer.
        (
            "WITH stroke AS (SELECT 100 AS concept_id) SELECT person_id AS subject, count(*) AS x FROM drug_exposure WHERE
             drug_concept_id IN (SELECT concept_id FROM stroke) GROUP BY person_id",
            &["1", "1", "1", "1"],
        ),
    ] {
        assert_eq!(asked(sql, &["x"]).await.unwrap_or_else(|error| panic!("{sql}: {error}")), expected, "{sql}");
    }
    let reads = check(&study_with(
        "SELECT person_id AS subject, count(*) AS x FROM drug_exposure WHERE drug_concept_id IN
        (SELECT concept_id FROM lab) GROUP BY person_id",
        &["x"],
        SETS,
    ))
    .await
    .expect("a query");
    assert_eq!(reads.tables().iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["drug_exposure"]);
}

#[tokio::test]
async fn a_set_has_no_tables_name() {
    for (name, is_free) in [("person", false), ("concept", false), ("note", false), ("people", true)] {
        let set = format!("[[concept_set]]\nname = \"{name}\"\ninclude = [1]\n");
        let checked = check(&study_with("SELECT person_id AS subject, 1 AS x FROM person", &["x"], &set)).await;
        let refused = checked.err().map(|error| error.kind());
        assert_eq!(refused, (!is_free).then_some("set_name"), "{name}");
    }
}

#[tokio::test]
async fn a_set_may_be_longer_than_any_list() {
    let long: Vec<String> = (1..=30_000).map(|concept| concept.to_string()).collect();
    let set = format!("[[concept_set]]\nname = \"all\"\ninclude = [{}]\n", long.join(", "));
    let sql = "SELECT person_id AS subject, count(*) AS x FROM drug_exposure WHERE drug_concept_id IN
               (SELECT concept_id FROM \"all\") GROUP BY person_id";
    let (store, _folder) = ward().await;
    let spec = study_with(sql, &["x"], &set);
    let people = everybody(&store, &link()).await;
    let cohort = run(&store, &link(), &people, &spec, &limits()).await.expect("a cohort");
    assert_eq!(sorted(&cohort), ["1", "1", "2", "2", "3"]);
    assert_eq!(StudySpec::from_canonical(&spec.to_canonical()).expect("its own form"), spec);
}

#[tokio::test]
async fn views_have_what_they_say() {
    let cases: [(&str, &[&str], &[&str]); 9] = [
        (
            "SELECT person_id AS subject, age AS x, CAST(observed AS BIGINT) AS y FROM persons(DATE '2013-05-01')",
            &["x", "y"],
            &["23 0", "33 0", "43 1", "53 1", "63 1"],
        ),
        (
            "SELECT person_id AS subject, observation_days AS x FROM persons p WHERE observation_end < DATE '2015-01-01'",
            &["x"],
            &["730"],
        ),
        ("SELECT person_id AS subject, records AS x FROM first_drug(statins)", &["x"], &["1", "1", "1", "1", "2"]),
        (
            "SELECT f.person_id AS subject, date_part('year', first_date) AS x, date_part('year', last_date) AS y
             FROM first_drug(statins) f",
            &["x", "y"],
            &["2011 2011", "2015 2015", "2015 2015", "2015 2015", "2015 2016"],
        ),
        ("SELECT person_id AS subject, value AS x FROM latest_measurement(lab)", &["x"], &["4.0", "8.0"]),
        (
            "SELECT person_id AS subject, value AS x FROM latest_measurement(lab, DATE '2015-12-31')",
            &["x"],
            &["4.0", "5.0"],
        ),
        // 1: the event after 30 days; 2: had it before, followed to the end; 3: died; 4: in the first period, without it.
        (
            "SELECT person_id AS subject, days AS x, CAST(event AS BIGINT) AS y, CAST(died AS BIGINT) AS z, CAST(prior AS BIGINT) AS w
             FROM follow_up(first_drug(statins), first_condition(stroke))",
            &["x", "y", "z", "w"],
            &["2191 0 0 1", "30 1 0 0", "730 0 0 0", "731 0 1 0"],
        ),
        (
            "SELECT person_id AS subject, days AS x, CAST(event AS BIGINT) AS y FROM follow_up(first_drug(statins), death)
             WHERE date_part('year', start_date) = 2015",
            &["x", "y"],
            &["2191 0", "2191 0", "731 1"],
        ),
        (
            "SELECT p.person_id AS subject, coalesce(m.value, 0) AS x FROM persons p LEFT JOIN latest_measurement(lab) m
             ON m.person_id = p.person_id JOIN first_drug(statins) d ON d.person_id = p.person_id",
            &["x"],
            &["0.0", "0.0", "0.0", "4.0", "8.0"],
        ),
    ];
    for (sql, variables, expected) in cases {
        let found = asked(sql, variables).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(found, expected, "{sql}");
    }
}

#[tokio::test]
async fn what_is_not_known_of_observation_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let persons = "person_id,gender_concept_id,year_of_birth\n1,8507,1950\n2,8507,1960\n3,8507,1970\n4,8507,1980\n\
                   5,8507,1990\n";
    write("person.csv", persons);
    // The last of 1 and the only one of 4 have no end that is told, the first of 5 no beginning; 3 has none.
    write(
        "observation_period.csv",
        "observation_period_id,person_id,observation_period_start_date,observation_period_end_date\n\
         1,1,2010-01-01,2012-12-31\n2,1,2015-01-01,\n3,2,2010-01-01,2010-01-10\n4,4,2010-01-01,\n\
         5,5,,2009-12-31\n6,5,2015-01-01,2015-01-10\n",
    );
    write(
        "drug_exposure.csv",
        "drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date\n1,1,100,2012-12-01\n2,4,100,2012-12-01\n",
    );
    write("concept_ancestor.csv", "ancestor_concept_id,descendant_concept_id\n100,100\n");
    write("death.csv", "person_id,death_date\n2,2020-01-01\n");
    let store = Store::open(&StoreConfig::of(folder.path()), &[]).await.expect("a store");
    let people = everybody(&store, &link()).await;
    for (sql, expected) in [
        (
            "year_of_birth AS x, CAST(observed AS INT) AS y FROM persons(DATE '2016-01-01')",
            &["1950 ", "1960 0", "1970 0", "1980 ", "1990 0"][..],
        ),
        (
            "year_of_birth AS x, CAST(observed AS INT) AS y FROM persons(DATE '2010-01-05')",
            &["1950 1", "1960 1", "1970 0", "1980 ", "1990 0"],
        ),
        (
            "year_of_birth AS x, CAST(observed AS INT) AS y FROM persons(DATE '2009-01-01')",
            &["1950 0", "1960 0", "1970 0", "1980 0", "1990 "],
        ),
        (
            "observation_days AS x, date_part('year', observation_end) AS y FROM persons",
            &[" ", " ", " ", " 2015", "10 2010"],
        ),
        (
            "date_part('year', observation_start) AS x, year_of_birth AS y FROM persons",
            &[" 1970", " 1990", "2010 1950", "2010 1960", "2010 1980"],
        ),
        ("days AS x, CAST(event AS INT) AS y FROM follow_up(first_drug(statins), death)", &["30 0"]),
    ] {
        let spec = study_with(&format!("SELECT person_id AS subject, {sql}"), &["x", "y"], SETS);
        let found =
            run(&store, &link(), &people, &spec, &limits()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(sorted(&found), expected, "{sql}");
    }
}
