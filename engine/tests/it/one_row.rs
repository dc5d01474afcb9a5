//! A cohort has one row a patient: what is known to have one is planned, what is not is refused with the part that is to
//! blame, and no row fails a query.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use consilium_engine::cohort::{CohortError, check, run};
use consilium_engine::store::{Store, StoreConfig};

use super::hospital::{Dice, catalogue, everybody, limits, link, sorted, study};

async fn checked(sql: &str) -> Result<(), CohortError> {
    check(&study(sql, &["x"])).await.map(drop)
}

/// Cohorts as researchers write them.
const ACCEPTED: &[&str] = &[
    // PERSON alone.
    "SELECT person_id AS subject, year_of_birth AS x FROM person",
    "SELECT DISTINCT person_id AS subject, 2026 - year_of_birth AS x FROM person WHERE gender_concept_id = 8532",
    "SELECT person_id AS subject, max(year_of_birth) AS x FROM person GROUP BY person_id, gender_concept_id",
    "SELECT p.person_id AS subject, CASE WHEN 2026 - p.year_of_birth >= 65 THEN 1 ELSE 0 END AS x FROM person p
     WHERE p.race_concept_id IN (8527, 8515) ORDER BY p.year_of_birth",
    // Aggregates a patient.
    "SELECT person_id AS subject, count(*) AS x FROM visit_occurrence GROUP BY person_id",
    "SELECT person_id AS subject, max(value_as_number) AS x FROM measurement WHERE measurement_concept_id = 3004410
     GROUP BY person_id HAVING count(*) >= 2",
    "SELECT c.person_id AS subject, count(DISTINCT c.condition_concept_id) AS x FROM condition_occurrence c
     JOIN person p ON p.person_id = c.person_id GROUP BY c.person_id, p.gender_concept_id, 2026 - p.year_of_birth",
    "SELECT p.person_id AS subject, sum(CASE WHEN d.drug_concept_id = 1503297 THEN d.days_supply ELSE 0 END) AS x
     FROM person p LEFT JOIN drug_exposure d ON d.person_id = p.person_id GROUP BY p.person_id",
    "SELECT p.person_id AS subject, p.gender_concept_id AS x FROM person p JOIN visit_occurrence v
     ON v.person_id = p.person_id AND v.visit_concept_id = 9201 GROUP BY p.person_id, p.gender_concept_id",
    // Once each.
    "SELECT DISTINCT person_id AS subject, 1 AS x FROM condition_occurrence WHERE condition_concept_id = 201826",
    "SELECT DISTINCT c.person_id AS subject, p.year_of_birth AS x FROM condition_occurrence c
     JOIN person p ON p.person_id = c.person_id",
    "SELECT DISTINCT p.person_id AS subject, 2026 - p.year_of_birth AS x FROM person p, condition_occurrence c
     WHERE p.person_id = c.person_id AND c.condition_concept_id = 201826",
    "SELECT DISTINCT person_id AS subject, unit_concept_id AS x FROM measurement WHERE unit_concept_id = 8554",
    "SELECT DISTINCT person_id AS subject, max(value_as_number) OVER (PARTITION BY person_id) AS x FROM measurement",
    "SELECT DISTINCT person_id AS subject, first_value(value_as_number) OVER (PARTITION BY person_id
     ORDER BY measurement_date) AS x FROM measurement",
    "SELECT DISTINCT person_id AS subject, last_value(value_as_number) OVER (PARTITION BY person_id ORDER BY measurement_date
     ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS x FROM measurement",
    // Flags beside PERSON.
    "SELECT p.person_id AS subject, CASE WHEN d.person_id IS NOT NULL THEN 1 ELSE 0 END AS x FROM person p LEFT JOIN
     (SELECT DISTINCT person_id FROM condition_occurrence WHERE condition_concept_id = 201826) d
     ON d.person_id = p.person_id",
    "WITH dm AS (SELECT DISTINCT person_id, 1 AS flag FROM condition_occurrence WHERE condition_concept_id = 201826),
     htn AS (SELECT person_id, 1 AS flag FROM condition_occurrence WHERE condition_concept_id = 320128 GROUP BY person_id)
     SELECT p.person_id AS subject, coalesce(dm.flag, 0) + coalesce(htn.flag, 0) AS x FROM person p
     LEFT JOIN dm ON dm.person_id = p.person_id LEFT JOIN htn ON htn.person_id = p.person_id",
    "SELECT p.person_id AS subject, 1 AS x FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c
     WHERE c.person_id = p.person_id AND c.condition_concept_id = 201826)",
    "SELECT p.person_id AS subject, 1 AS x FROM person p WHERE p.person_id IN (SELECT person_id FROM drug_exposure)
     AND p.person_id NOT IN (SELECT person_id FROM death)",
    "SELECT person_id AS subject, g.x FROM person JOIN (SELECT person_id, max(value_as_number) AS x FROM measurement
     GROUP BY person_id) g USING (person_id)",
    "SELECT p.person_id AS subject, (SELECT count(*) FROM visit_occurrence v WHERE v.person_id = p.person_id) AS x
     FROM person p",
    "SELECT DISTINCT c.person_id AS subject, (SELECT count(*) FROM visit_occurrence v WHERE v.person_id = c.person_id) AS x
     FROM condition_occurrence c",
    // First and last, index events.
    "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, row_number() OVER
     (PARTITION BY person_id ORDER BY measurement_date DESC, measurement_id) AS n FROM measurement) t WHERE n = 1",
    "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, row_number() OVER
     (PARTITION BY person_id ORDER BY measurement_date) AS n FROM measurement) t WHERE n <= 1",
    "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, row_number() OVER
     (PARTITION BY person_id ORDER BY measurement_date) AS n FROM measurement) t WHERE 2 > n",
    "SELECT person_id AS subject, value_as_number AS x FROM measurement
     QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY measurement_date DESC) = 1",
    "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, unit_concept_id, row_number()
     OVER (PARTITION BY person_id, unit_concept_id ORDER BY measurement_date) AS n FROM measurement) t
     WHERE n = 1 AND unit_concept_id = 8554",
    "WITH first_dx AS (SELECT person_id, min(condition_start_date) AS start FROM condition_occurrence
     WHERE condition_concept_id = 201826 GROUP BY person_id)
     SELECT f.person_id AS subject, date_part('year', f.start) - p.year_of_birth AS x FROM first_dx f
     JOIN person p ON p.person_id = f.person_id",
    "WITH index_event AS (SELECT person_id, drug_exposure_start_date AS start, row_number() OVER (PARTITION BY person_id
     ORDER BY drug_exposure_start_date, drug_exposure_id) AS ordinal FROM drug_exposure WHERE drug_concept_id = 1503297)
     SELECT i.person_id AS subject, 1 AS x FROM index_event i WHERE i.ordinal = 1 AND NOT EXISTS
     (SELECT 1 FROM drug_exposure d WHERE d.person_id = i.person_id AND d.drug_exposure_start_date < i.start
     AND d.drug_exposure_start_date >= i.start - INTERVAL '365' DAY)",
    "WITH index_event AS (SELECT person_id, min(drug_exposure_start_date) AS start FROM drug_exposure GROUP BY person_id)
     SELECT i.person_id AS subject, count(m.person_id) AS x FROM index_event i LEFT JOIN measurement m
     ON m.person_id = i.person_id AND m.measurement_date BETWEEN i.start - INTERVAL '90' DAY AND i.start
     GROUP BY i.person_id",
    "WITH lab AS (SELECT person_id, value_as_number, row_number() OVER (PARTITION BY person_id ORDER BY measurement_date DESC)
     AS rn FROM measurement) SELECT p.person_id AS subject, lab.value_as_number AS x FROM person p
     LEFT JOIN lab ON lab.person_id = p.person_id AND lab.rn = 1",
    "WITH lab AS (SELECT person_id, value_as_number, row_number() OVER (PARTITION BY person_id ORDER BY measurement_date DESC)
     AS rn FROM measurement) SELECT p.person_id AS subject, lab.value_as_number AS x FROM person p
     LEFT JOIN lab ON lab.person_id = p.person_id WHERE lab.rn = 1",
    "SELECT p.person_id AS subject, a.x FROM person p LEFT JOIN (SELECT person_id, max(value_as_number) AS x FROM measurement
     GROUP BY person_id) a ON a.person_id = p.person_id LEFT JOIN (SELECT DISTINCT person_id FROM death) d
     ON d.person_id = p.person_id WHERE d.person_id IS NULL",
    // Death.
    "SELECT p.person_id AS subject, CASE WHEN d.died IS NULL THEN 0 ELSE 1 END AS x FROM person p LEFT JOIN
     (SELECT person_id, min(death_date) AS died FROM death GROUP BY person_id) d ON d.person_id = p.person_id",
    // Vocabularies.
    "SELECT DISTINCT c.person_id AS subject, 1 AS x FROM condition_occurrence c JOIN concept_ancestor a
     ON a.descendant_concept_id = c.condition_concept_id WHERE a.ancestor_concept_id = 201820",
    "SELECT person_id AS subject, count(*) AS x FROM condition_occurrence WHERE condition_concept_id IN
     (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201820) GROUP BY person_id",
    "SELECT p.person_id AS subject, CASE WHEN k.concept_name = 'FEMALE' THEN 1 ELSE 0 END AS x FROM person p
     JOIN concept k ON k.concept_id = p.gender_concept_id",
    "SELECT p.person_id AS subject, CASE WHEN k.concept_name = 'FEMALE' THEN 1 ELSE 0 END AS x FROM person p
     LEFT JOIN concept k ON k.concept_id = p.gender_concept_id LEFT JOIN domain d ON d.domain_id = k.domain_id",
    // Scores: every disease once, then their weights.
    "SELECT person_id AS subject, sum(weight) AS x FROM (
     SELECT DISTINCT person_id, 1 AS weight, 'mi' AS disease FROM condition_occurrence WHERE condition_concept_id = 4329847
     UNION ALL SELECT DISTINCT person_id, 1, 'chf' FROM condition_occurrence WHERE condition_concept_id = 316139
     UNION ALL SELECT DISTINCT person_id, 6, 'aids' FROM condition_occurrence WHERE condition_concept_id = 4267414) s
     GROUP BY person_id",
    "WITH charlson AS (SELECT DISTINCT c.person_id, m.disease, m.weight FROM condition_occurrence c JOIN
     (VALUES (4329847, 'mi', 1), (316139, 'chf', 1), (4267414, 'aids', 6)) m(code, disease, weight)
     ON m.code = c.condition_concept_id)
     SELECT p.person_id AS subject, coalesce(s.score, 0) AS x FROM person p LEFT JOIN
     (SELECT person_id, sum(weight) AS score FROM charlson GROUP BY person_id) s ON s.person_id = p.person_id",
    // Set operations.
    "SELECT person_id AS subject, 1 AS x FROM condition_occurrence UNION SELECT person_id, 1 FROM drug_exposure",
    "SELECT subject, 1 AS x FROM (SELECT person_id AS subject FROM condition_occurrence UNION SELECT person_id FROM death
     UNION SELECT person_id FROM drug_exposure) u",
    "SELECT p.person_id AS subject, 2026 - p.year_of_birth AS x FROM person p JOIN condition_occurrence c
     ON c.person_id = p.person_id UNION SELECT q.person_id, 2026 - q.year_of_birth FROM person q
     JOIN drug_exposure d ON d.person_id = q.person_id",
    "SELECT c.person_id AS subject, p.year_of_birth AS x FROM condition_occurrence c JOIN person p
     ON p.person_id = c.person_id UNION SELECT d.person_id, p.year_of_birth FROM death d JOIN person p
     ON p.person_id = d.person_id UNION SELECT person_id, year_of_birth FROM person",
    "SELECT person_id AS subject, max(x) AS x FROM (SELECT person_id, 1 AS x FROM condition_occurrence UNION ALL
     SELECT person_id, 0 FROM person) u GROUP BY person_id",
    "SELECT person_id AS subject, 1 AS x FROM condition_occurrence INTERSECT SELECT person_id, 1 FROM drug_exposure",
    "SELECT person_id AS subject, year_of_birth AS x FROM person EXCEPT SELECT person_id, year_of_birth FROM person
     WHERE year_of_birth < 1950",
    "SELECT person_id AS subject, 1 AS x FROM (SELECT person_id FROM condition_occurrence INTERSECT
     SELECT person_id FROM drug_exposure EXCEPT SELECT person_id FROM death) u",
    // Several of them together.
    "WITH dx AS (SELECT person_id, condition_start_date AS start, row_number() OVER (PARTITION BY person_id
     ORDER BY condition_start_date) AS rn FROM condition_occurrence WHERE condition_concept_id = 201826),
     idx AS (SELECT person_id, start FROM dx WHERE rn = 1),
     base AS (SELECT idx.person_id, max(m.value_as_number) AS hba1c FROM idx JOIN measurement m
     ON m.person_id = idx.person_id AND m.measurement_date <= idx.start GROUP BY idx.person_id),
     after AS (SELECT idx.person_id, min(m.value_as_number) AS hba1c FROM idx JOIN measurement m
     ON m.person_id = idx.person_id AND m.measurement_date > idx.start GROUP BY idx.person_id)
     SELECT idx.person_id AS subject, after.hba1c - base.hba1c AS x FROM idx JOIN person ON person.person_id = idx.person_id
     LEFT JOIN base ON base.person_id = idx.person_id LEFT JOIN after ON after.person_id = idx.person_id
     WHERE EXISTS (SELECT 1 FROM observation_period o WHERE o.person_id = idx.person_id
     AND idx.start BETWEEN o.observation_period_start_date AND o.observation_period_end_date)",
    "SELECT p.person_id AS subject, t.n AS x FROM person p, (SELECT max(concept_id) AS n FROM concept) t",
    "SELECT p.person_id AS subject, v.k AS x FROM person p JOIN (VALUES (1)) v(k) ON v.k = p.month_of_birth",
    "SELECT p.person_id AS subject, v.k AS x FROM person p JOIN (SELECT 3 AS k) v ON v.k = p.month_of_birth",
    "SELECT a.person_id AS subject, 1 AS x FROM (SELECT person_id, count(*) AS n FROM visit_occurrence GROUP BY person_id) a
     JOIN (SELECT person_id, count(*) AS n FROM drug_exposure GROUP BY person_id) b ON a.person_id = b.person_id
     WHERE a.n > b.n",
];

/// What can have several rows of a patient, with a word of what the refusal names.
const REFUSED: &[(&str, &str)] = &[
    ("condition_occurrence", "SELECT person_id AS subject, 1 AS x FROM condition_occurrence"),
    ("death", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN death d ON d.person_id = p.person_id"),
    ("measurement", "SELECT p.person_id AS subject, m.value_as_number AS x FROM person p LEFT JOIN measurement m
      ON m.person_id = p.person_id"),
    ("observation_period", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN observation_period o
      ON o.person_id = p.person_id"),
    ("measurement", "SELECT p.person_id AS subject, m.value_as_number AS x FROM person p LEFT JOIN measurement m
      ON m.person_id = p.person_id AND m.measurement_concept_id = 3004410 AND m.unit_concept_id = 8554"),
    // The last date can be a date of two values.
    ("measurement", "SELECT m.person_id AS subject, m.value_as_number AS x FROM measurement m JOIN (SELECT person_id,
      max(measurement_date) AS last FROM measurement GROUP BY person_id) l
      ON l.person_id = m.person_id AND l.last = m.measurement_date"),
    ("x", "SELECT DISTINCT person_id AS subject, value_as_number AS x FROM measurement"),
    ("x", "SELECT DISTINCT person_id AS subject, CASE WHEN condition_concept_id = 201826 THEN 1 ELSE 0 END AS x
      FROM condition_occurrence"),
    ("unit_concept_id", "SELECT person_id AS subject, max(value_as_number) AS x FROM measurement
      GROUP BY person_id, unit_concept_id"),
    ("x", "SELECT DISTINCT c.person_id AS subject, d.drug_concept_id AS x FROM condition_occurrence c
      JOIN drug_exposure d ON d.person_id = c.person_id"),
    ("UNION", "SELECT person_id AS subject, 1 AS x FROM person UNION ALL SELECT person_id, 2 FROM person"),
    ("UNION", "SELECT person_id AS subject, 1 AS x FROM person UNION ALL SELECT person_id, 1 FROM death"),
    ("x", "SELECT person_id AS subject, 1 AS x FROM person UNION SELECT person_id, 2 FROM person"),
    ("x", "SELECT person_id AS subject, year_of_birth AS x FROM person UNION SELECT person_id, month_of_birth FROM person"),
    // Equal ranks, later rows, partitions that are finer than a patient.
    ("measurement", "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, rank() OVER
      (PARTITION BY person_id ORDER BY measurement_date) AS n FROM measurement) t WHERE n = 1"),
    ("measurement", "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, row_number()
      OVER (PARTITION BY person_id ORDER BY measurement_date) AS n FROM measurement) t WHERE n <= 2"),
    ("measurement", "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, row_number()
      OVER (PARTITION BY person_id ORDER BY measurement_date) AS n FROM measurement) t WHERE n >= 1"),
    ("measurement", "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, row_number()
      OVER (PARTITION BY person_id, unit_concept_id ORDER BY measurement_date) AS n FROM measurement) t WHERE n = 1"),
    ("measurement", "SELECT person_id AS subject, value_as_number AS x FROM (SELECT person_id, value_as_number, row_number()
      OVER (PARTITION BY person_id ORDER BY measurement_date) AS n FROM measurement) t WHERE n = 1 OR value_as_number > 5"),
    ("x", "SELECT DISTINCT person_id AS subject, sum(value_as_number) OVER (PARTITION BY person_id ORDER BY measurement_date)
      AS x FROM measurement"),
    ("x", "SELECT DISTINCT person_id AS subject, first_value(value_as_number) OVER (PARTITION BY person_id ORDER BY
      measurement_date ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM measurement"),
    ("x", "SELECT DISTINCT person_id AS subject, first_value(value_as_number) IGNORE NULLS OVER (PARTITION BY person_id
      ORDER BY measurement_date) AS x FROM measurement"),
    // Flags that have a row each.
    ("condition_occurrence", "SELECT p.person_id AS subject, CASE WHEN c.person_id IS NULL THEN 0 ELSE 1 END AS x FROM person p
      LEFT JOIN (SELECT person_id FROM condition_occurrence WHERE condition_concept_id = 201826) c
      ON c.person_id = p.person_id"),
    ("condition_concept_id", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN (SELECT DISTINCT person_id,
      condition_concept_id FROM condition_occurrence) c ON c.person_id = p.person_id"),
    // A visit's key is not checked.
    ("visit_occurrence", "WITH f AS (SELECT person_id, visit_occurrence_id, row_number() OVER (PARTITION BY person_id ORDER BY
      condition_start_date) AS n FROM condition_occurrence) SELECT f.person_id AS subject, v.visit_concept_id AS x FROM f
      JOIN visit_occurrence v ON v.visit_occurrence_id = f.visit_occurrence_id AND v.person_id = f.person_id
      WHERE f.n = 1"),
    // Vocabularies by something else than their key.
    ("concept_ancestor", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN concept_ancestor a
      ON a.descendant_concept_id = p.gender_concept_id"),
    ("domain", "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN domain d
      ON d.domain_concept_id = p.gender_concept_id"),
    ("VALUES", "SELECT p.person_id AS subject, v.x FROM person p JOIN (VALUES (8507, 1), (8532, 2)) v(sex, x)
      ON v.sex = p.gender_concept_id"),
    // Numbers with fractions that are equal need not be the same.
    ("x", "SELECT DISTINCT m.person_id AS subject, m.value_as_number AS x FROM measurement m JOIN (SELECT person_id,
      max(value_as_number) AS top FROM measurement GROUP BY person_id) t
      ON t.person_id = m.person_id AND m.value_as_number = t.top"),
    // What holds where something matches does not hold where nothing does.
    ("x", "SELECT DISTINCT c.person_id AS subject, c.condition_concept_id AS x FROM condition_occurrence c LEFT JOIN
      (SELECT DISTINCT person_id FROM death) d ON d.person_id = c.person_id AND c.condition_concept_id = 201826"),
    ("x", "SELECT DISTINCT c.person_id AS subject, d.flag AS x FROM condition_occurrence c LEFT JOIN
      (SELECT DISTINCT person_id, 1 AS flag FROM death) d
      ON d.person_id = c.person_id AND c.condition_concept_id = 201826"),
];

#[tokio::test]
async fn what_has_one_row_a_patient_is_accepted() {
    let mut wrong = Vec::new();
    for sql in ACCEPTED {
        if let Err(error) = checked(sql).await {
            wrong.push(format!("{}: {error}\n{sql}", error.kind()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_example_is_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/studies");
    let mut examples = 0;
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a study");
        let spec = consilium_protocol::study::StudySpec::from_toml(&text).expect("a valid study");
        check(&spec).await.unwrap_or_else(|e| panic!("{}: {e}", spec.title));
        examples += 1;
    }
    assert!(examples >= 3);
}

#[tokio::test]
async fn what_may_have_several_is_refused_by_the_part_that_may() {
    let mut wrong = Vec::new();
    for (name, sql) in REFUSED {
        match checked(sql).await {
            Err(error @ CohortError::SeveralRowsPerSubject { .. }) if error.to_string().contains(name) => {
                assert!(!error.depends_on_data(), "{sql}");
            }
            other => wrong.push(format!("{other:?}\n{sql}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Random queries over tables with a subject, two small whole numbers and as many double rows as there is room for.
struct Drawn {
    dice: Dice,
    names: u64,
}

impl Drawn {
    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.dice.roll(list.len() as u64) as usize]
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("t{}", self.names)
    }

    fn table(&mut self) -> String {
        self.one_of(&[
            "SELECT person_id AS subject, year_of_birth AS x, month_of_birth AS y FROM person",
            "SELECT person_id AS subject, condition_concept_id AS x, condition_type_concept_id AS y FROM condition_occurrence",
            "SELECT person_id AS subject, measurement_concept_id AS x, unit_concept_id AS y FROM measurement",
            "SELECT person_id AS subject, cause_concept_id AS x, death_type_concept_id AS y FROM death",
            "SELECT person_id AS subject, 1 AS x, NULL AS y FROM death",
        ])
        .to_string()
    }

    fn condition(&mut self, t: &str) -> String {
        let (a, b) = (self.one_of(&["x", "y"]), self.one_of(&["x", "y"]));
        let k = self.dice.roll(3);
        match self.dice.roll(9) {
            0 | 1 => format!("{t}.{a} = {k}"),
            2 => format!("{t}.{a} = {t}.{b}"),
            3 => format!("{t}.{a} <= {k}"),
            4 => format!("{t}.{a} IS NULL"),
            5 => format!("{t}.{a} IN ({k})"),
            6 => format!("({t}.{a} = {k} OR {t}.{b} = 1)"),
            7 => format!("{t}.subject IN (SELECT person_id FROM death WHERE cause_concept_id = {k})"),
            _ => format!(
                "NOT EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = {t}.subject AND m.unit_concept_id = {t}.{a})"
            ),
        }
    }

    fn value(&mut self, t: &str) -> String {
        let (a, b) = (self.one_of(&["x", "y"]), self.one_of(&["x", "y"]));
        let k = self.dice.roll(3);
        match self.dice.roll(6) {
            0 | 1 => format!("{t}.{a}"),
            2 => format!("{t}.{a} + {t}.{b}"),
            3 => format!("CASE WHEN {t}.{a} = {k} THEN {t}.{b} ELSE 1 END"),
            4 => format!(
                "(SELECT count(*) FROM death d WHERE d.person_id = {t}.subject AND d.cause_concept_id = {t}.{a})"
            ),
            _ => k.to_string(),
        }
    }

    /// A query with the columns `subject`, `x` and `y`.
    fn query(&mut self, levels: u64) -> String {
        if levels == 0 {
            return self.table();
        }
        let inner = self.query(levels - 1);
        let t = self.name();
        let by = self.one_of(&["", ", x", ", y"]);
        let from = format!("FROM ({inner}) {t}");
        match self.dice.roll(13) {
            0 => format!("SELECT DISTINCT subject, {} AS x, {} AS y {from}", self.value(&t), self.value(&t)),
            1 => format!("SELECT DISTINCT * {from}"),
            2 => format!("SELECT subject, max(x) AS x, count(*) AS y {from} GROUP BY subject{by}"),
            3 => format!("SELECT subject, x, min(y) AS y {from} GROUP BY subject, x"),
            4 => {
                let number = self.one_of(&["row_number()", "rank()", "row_number()"]);
                let (order, n) = (self.one_of(&["x", "y"]), self.one_of(&["= 1", "<= 1", "< 2", "= 2", "<= 2"]));
                let numbered = format!(
                    "SELECT subject, x, y, {number} OVER (PARTITION BY subject{by} ORDER BY {order}) AS n {from}"
                );
                format!("SELECT subject, x, y FROM ({numbered}) {} WHERE n {n}", self.name())
            }
            5 => {
                let over = self.one_of(&[
                    "max(x) OVER (PARTITION BY subject)",
                    "first_value(x) OVER (PARTITION BY subject ORDER BY y)",
                    "last_value(x) OVER (PARTITION BY subject ORDER BY y)",
                    "sum(x) OVER (PARTITION BY subject ORDER BY y)",
                    "count(*) OVER (PARTITION BY subject, y)",
                    "row_number() OVER (PARTITION BY subject ORDER BY y)",
                    "lag(x) OVER (PARTITION BY subject ORDER BY y)",
                ]);
                format!("SELECT subject, {over} AS x, {} AS y {from}", self.value(&t))
            }
            6 | 7 => {
                let (one, other) = (self.condition(&t), self.condition(&t));
                let both = format!("{one} AND {other}");
                let both = self.one_of(&[&both, &one]).to_string();
                format!("SELECT * {from} WHERE {both}")
            }
            8 => format!("SELECT subject, {} AS x, {} AS y {from}", self.value(&t), self.value(&t)),
            9 | 10 => {
                let other = self.query(levels - 1);
                let u = self.name();
                let kind = self.one_of(&["JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN"]);
                let more = match self.dice.roll(6) {
                    0 => format!(" AND {t}.x = {u}.x"),
                    1 => format!(" AND {}", self.condition(&u)),
                    2 => format!(" AND {}", self.condition(&t)),
                    3 => format!(" AND {t}.y = {u}.x AND {u}.y = 1"),
                    _ => String::new(),
                };
                let subject = if kind == "RIGHT JOIN" { &u } else { &t };
                let (x, y) = (
                    self.one_of(&[t.as_str(), u.as_str()]).to_string(),
                    self.one_of(&[t.as_str(), u.as_str()]).to_string(),
                );
                let (x, y) = (self.value(&x), self.value(&y));
                format!(
                    "SELECT {subject}.subject, {x} AS x, {y} AS y {from} {kind} ({other}) {u} ON {u}.subject = {t}.subject{more}"
                )
            }
            11 => {
                let other = self.one_of(&[
                    "JOIN concept k ON k.concept_id = $.x",
                    "LEFT JOIN concept k ON k.concept_id = $.y",
                    "JOIN concept_ancestor k ON k.ancestor_concept_id = $.x",
                    "LEFT JOIN concept_ancestor k ON k.ancestor_concept_id = $.x AND k.descendant_concept_id = 1",
                    "JOIN (VALUES (1), (1), (2)) k(v) ON k.v = $.x",
                    "JOIN (SELECT DISTINCT ancestor_concept_id AS v FROM concept_ancestor) k ON k.v = $.x",
                ]);
                format!("SELECT {t}.subject, {t}.x, {t}.y {from} {}", other.replace('$', &t))
            }
            _ => {
                let other = self.query(levels - 1);
                let set = self.one_of(&["UNION", "UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
                let columns = self.one_of(&["subject, x, y", "subject, 1 AS x, y", "subject, 1 AS x, 2 AS y"]);
                format!("SELECT {columns} {from} {set} SELECT {columns} FROM ({other}) {}", self.name())
            }
        }
    }
}

/// A hospital of six people with every combination of small values, double rows and NULLs.
async fn crowded(dice: &mut Dice) -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, columns: &str, rows: Vec<String>| {
        let text = format!("{columns}\n{}\n", rows.join("\n"));
        std::fs::write(folder.path().join(format!("{name}.csv")), text).expect("written");
    };
    let mut small = || match dice.roll(4) {
        3 => String::new(),
        n => n.to_string(),
    };
    let people = (1..=6).map(|id| format!("{id},{},{}", small(), small())).collect();
    write("person", "person_id,year_of_birth,month_of_birth", people);
    let mut events = || (0..20).map(|n| format!("{},{},{},2020-01-01", 1 + n % 6, small(), small())).collect();
    write(
        "condition_occurrence",
        "person_id,condition_concept_id,condition_type_concept_id,condition_start_date",
        events(),
    );
    write("measurement", "person_id,measurement_concept_id,unit_concept_id,measurement_date", events());
    write("death", "person_id,cause_concept_id,death_type_concept_id,death_date", events());
    write("concept", "concept_id,domain_id", (0..3).map(|id| format!("{id},a")).collect());
    let pairs = ["0,1", "0,1", "1,1", "1,2", "2,0", "2,1"];
    write("concept_ancestor", "ancestor_concept_id,descendant_concept_id", pairs.map(str::to_string).to_vec());
    let config =
        toml::from_str(&format!("folder = {:?}", folder.path().display().to_string())).expect("a configuration");
    (Store::open(&config, &[]).await.expect("an open store"), folder)
}

#[tokio::test]
async fn nobody_has_two_rows_in_what_was_accepted() {
    let mut dice = Dice::new(0xC0FFEE);
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(crowded(&mut dice).await);
    }
    let mut drawn = Drawn { dice, names: 0 };
    let (mut accepted, mut refused) = (0, 0);
    let queries: usize = std::env::var("CONSILIUM_QUERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    for _ in 0..queries {
        let levels = 1 + drawn.dice.roll(4);
        let sql = format!("SELECT subject, x FROM ({}) t", drawn.query(levels));
        let spec = study(&sql, &["x"]);
        match check(&spec).await {
            Ok(_) => {}
            Err(CohortError::SeveralRowsPerSubject { .. }) => {
                refused += 1;
                continue;
            }
            Err(_) => continue,
        }
        for (store, _) in &stores {
            let permissions = everybody(store, &link()).await;
            if let Ok(cohort) = run(store, &link(), &permissions, &spec, &limits()).await {
                accepted += 1;
                assert_eq!((cohort.duplicates, cohort.strays), (0, 0), "{sql}");
            }
        }
    }
    // Neither everything nor nothing is refused.
    assert!(accepted > queries / 3 && refused > queries / 10, "{accepted} runs, {refused} refused");
}

/// PERSON as a file whose length is the same whatever its ids are.
fn write_people(path: &std::path::Path, ids: &[i64]) {
    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    let born: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ids.len()).map(|n| 1950 + n as i64)));
    let batch = RecordBatch::try_from_iter([("person_id", ids), ("year_of_birth", born)]).expect("a batch");
    let plain =
        WriterProperties::builder().set_dictionary_enabled(false).set_statistics_enabled(EnabledStatistics::None);
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(plain.build())).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

#[tokio::test]
async fn who_has_two_rows_after_all_is_left_out_and_counted_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("person.parquet");
    write_people(&path, &[1, 2, 3, 4, 5]);
    let config =
        toml::from_str(&format!("folder = {:?}", folder.path().display().to_string())).expect("a configuration");
    let store = Store::open(&config, &[]).await.expect("an open store");
    let permissions = everybody(&store, &link()).await;
    let with_columns = study("SELECT person_id AS subject, year_of_birth AS x FROM person", &["x"]);
    let without = study("SELECT person_id AS subject FROM person", &[]);
    let ran = async |spec| run(&store, &link(), &permissions, spec, &limits()).await.expect("a cohort");
    let before = ran(&with_columns).await;
    assert_eq!((before.rows, before.duplicates, before.subjects().len()), (5, 0, 5));
    // What was checked when the store was opened is so no more, and no clock says it.
    let written = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a time");
    write_people(&path, &[1, 2, 3, 2, 5]);
    std::fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(written)).expect("set back");
    let after = ran(&with_columns).await;
    assert_eq!(sorted(&after), ["1950", "1952", "1954"]);
    assert_eq!((after.rows, after.duplicates, after.strays, after.subjects().len()), (3, 1, 0, 3));
    let after = ran(&without).await;
    let rows: usize = after.batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!((rows, after.rows, after.duplicates), (3, 3, 1));
}

#[tokio::test]
async fn a_vocabulary_whose_key_is_none_multiplies_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("person.csv", "person_id,gender_concept_id\n1,8507\n2,8532\n");
    let sql = "SELECT p.person_id AS subject, k.concept_id AS x FROM person p JOIN concept k ON k.concept_id = p.gender_concept_id";
    let spec = study(sql, &["x"]);
    check(&spec).await.expect("as OMOP has it");
    for (concepts, rows) in [("concept_id\n8507\n8532\n", Some(2)), ("concept_id\n8507\n8507\n", None)] {
        write("concept.csv", concepts);
        let config = toml::from_str(&format!("folder = {:?}", folder.path().display().to_string()));
        let store = Store::open(&config.expect("a configuration"), &[]).await.expect("an open store");
        let permissions = everybody(&store, &link()).await;
        match (run(&store, &link(), &permissions, &spec, &limits()).await, rows) {
            (Ok(cohort), Some(rows)) => assert_eq!(cohort.rows, rows),
            (Err(error), None) => assert_eq!(error.kind(), "several_rows_per_subject"),
            (outcome, _) => panic!("{outcome:?} with {concepts}"),
        }
    }
}

#[tokio::test]
async fn a_table_of_one_row_a_patient_is_checked_and_counted_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("person.csv", "person_id\n1\n2\n");
    let spec = study("SELECT patient AS subject, stage AS x FROM registry", &["x"]);
    // Rows of nobody may be as many as they like.
    for (rows, single, outcome) in [
        ("1,3\n2,4\n,5\n,6\n", true, Ok(2)),
        ("1,3\n2,4\n", false, Err("several_rows_per_subject")),
        ("1,3\n1,4\n", true, Err("unreadable_table")),
    ] {
        write("registry.csv", &format!("patient,stage\n{rows}"));
        let mut catalogue = catalogue();
        catalogue.iter_mut().for_each(|table| table.single = single);
        let mut spec = spec.clone();
        spec.take_tables(&catalogue);
        let store = Store::open(&StoreConfig::of(folder.path()), &catalogue).await.expect("an open store");
        let permissions = everybody(&store, &link()).await;
        let ran = run(&store, &link(), &permissions, &spec, &limits()).await;
        assert_eq!(ran.map(|cohort| cohort.rows).map_err(|error| error.kind()), outcome, "{rows}");
        // Whoever checks the study knows what the catalogue promises.
        assert_eq!(check(&spec).await.is_ok(), single, "{rows}");
    }
}
