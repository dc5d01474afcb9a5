//! In a private study, every row of a cohort is one patient's.

use consilium_engine::cohort::{CohortError, check};
use consilium_protocol::study::StudySpec;

async fn checked(sql: &str) -> Result<(), CohortError> {
    let text = format!(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"private\"\nrho = 0.1\n\
         [cohort]\nsubject = \"person_id\"\nsql = \"\"\"{sql}\"\"\"\n\
         [[statistic]]\nname = \"n\"\nkind = \"count\"\n"
    );
    let spec = StudySpec::from_toml(&text).expect("a study");
    check(&spec).await.map(drop)
}

#[tokio::test]
async fn queries_by_patient_are_fine() {
    for sql in [
        "SELECT person_id FROM person",
        "SELECT p.person_id FROM person p JOIN condition_occurrence c ON c.person_id = p.person_id
         GROUP BY p.person_id",
        "SELECT p.person_id FROM person p, condition_occurrence c WHERE c.person_id = p.person_id GROUP BY p.person_id",
        "SELECT p.person_id, m.most FROM person p LEFT JOIN
         (SELECT person_id, max(value_as_number) AS most FROM measurement GROUP BY person_id) m
         ON m.person_id = p.person_id",
        "SELECT person_id FROM person WHERE person_id IN (SELECT person_id FROM condition_occurrence)",
        "SELECT person_id FROM person WHERE person_id NOT IN (SELECT person_id FROM death)",
        "SELECT person_id FROM person p WHERE EXISTS
         (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 201826)",
        "SELECT p.person_id FROM person p WHERE
         (SELECT max(value_as_number) FROM measurement m WHERE m.person_id = p.person_id) > 7",
        "SELECT DISTINCT person_id FROM drug_exposure",
        "SELECT DISTINCT person_id FROM condition_occurrence WHERE visit_occurrence_id IN
         (SELECT visit_occurrence_id FROM visit_occurrence WHERE visit_concept_id = 9201)",
        "SELECT coalesce(c.person_id, d.person_id) AS person_id FROM condition_occurrence c FULL JOIN death d
         ON c.person_id = d.person_id GROUP BY coalesce(c.person_id, d.person_id)",
        "SELECT person_id FROM condition_occurrence WHERE condition_concept_id IN
         (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201820) GROUP BY person_id",
        "SELECT DISTINCT person_id FROM
         (SELECT person_id FROM condition_occurrence UNION SELECT person_id FROM drug_exposure) u",
        "WITH first AS (SELECT person_id, row_number() OVER (PARTITION BY person_id ORDER BY condition_start_date) AS n
         FROM condition_occurrence) SELECT person_id FROM first WHERE n = 1",
    ] {
        assert_eq!(checked(sql).await, Ok(()), "{sql}");
    }
}

#[tokio::test]
async fn one_patient_must_not_move_the_row_of_another() {
    for sql in [
        // By how many there are, of everybody.
        "SELECT person_id FROM person WHERE (SELECT count(*) FROM condition_occurrence) > 10",
        "SELECT p.person_id FROM person p CROSS JOIN (SELECT max(value_as_number) AS m FROM measurement) t
         WHERE t.m > 7",
        // By what somebody else has.
        "SELECT p.person_id FROM person p WHERE p.gender_concept_id IN (SELECT gender_concept_id FROM person)",
        "SELECT p.person_id FROM person p JOIN person q ON q.year_of_birth = p.year_of_birth GROUP BY p.person_id",
        "SELECT p.person_id FROM person p WHERE EXISTS
         (SELECT 1 FROM person q WHERE q.year_of_birth = p.year_of_birth AND q.gender_concept_id = 8507)",
        "SELECT p.person_id FROM person p LEFT JOIN
         (SELECT year_of_birth, count(*) AS n FROM person GROUP BY year_of_birth) y
         ON y.year_of_birth = p.year_of_birth WHERE y.n > 3",
        "SELECT p.person_id FROM person p WHERE
         (SELECT count(*) FROM person q WHERE q.year_of_birth = p.year_of_birth) > 1",
        // By whether anybody died.
        "SELECT person_id FROM person WHERE EXISTS (SELECT 1 FROM death)",
    ] {
        let error = checked(sql).await.expect_err(sql);
        assert_eq!(error.kind(), "across_patients", "{sql}: {error}");
        assert!(!error.depends_on_data());
    }
}
