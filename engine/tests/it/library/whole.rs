//! Queries as libraries have them for whole databases, in the words of several: planned, or refused in words that say what to do.

use consilium_engine::cohort::check;
use consilium_protocol::study::StudySpec;

/// What no refusal of a query may be: that nobody knows why, or a fault of the program.
const VAGUE: [&str; 4] = ["unplannable", "internal", "planner", "unlisted"];

/// Queries that are studies as they stand.
const PLANNED: &[&str] = &[
    "SELECT * FROM person",
    "SELECT person_id FROM \"cdm\".\"person\"",
    "SELECT \"person_id\" FROM \"CDM\".\"PERSON\"",
    "-- everybody\nSELECT person_id /* the id */ FROM @cdm_schema.person;;",
    "SELECT PERSON_ID FROM PERSON WHERE GENDER_CONCEPT_ID = '8507'",
    "SELECT person_id, gender_concept_id AS g FROM person GROUP BY person_id, g",
    "SELECT person_id, gender_concept_id FROM person GROUP BY 1, 2",
    "SELECT person_id, count(*) AS x FROM condition_occurrence GROUP BY 1 HAVING x > 2 ORDER BY 2 DESC",
    "SELECT person_id FROM person MINUS SELECT person_id FROM death",
    "SELECT person_id FROM condition_occurrence QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY condition_start_date) = 1",
    "SELECT person_id, IFNULL(month_of_birth, 1) AS x FROM person WHERE TRY_CAST(year_of_birth AS INT) > 1950",
    "SELECT person_id, CONVERT(DATE, max(visit_start_datetime)) AS d FROM visit_occurrence GROUP BY person_id",
    "SELECT person_id, max(drug_exposure_start_date) FILTER (WHERE days_supply > 30) - min(drug_exposure_start_date) AS x
     FROM drug_exposure GROUP BY person_id",
    "SELECT p.person_id FROM person p JOIN concept c ON c.concept_id = p.gender_concept_id WHERE c.concept_code = 8507",
];

/// Others: the kind of the refusal, words of it, the query.
const REFUSED: &[(&str, &str, &str)] = &[
    // Counts over everybody, and lookups in vocabularies.
    (
        "column_missing",
        "[[dimension]]",
        "SELECT gender_concept_id, count(person_id) AS num_persons FROM person GROUP BY gender_concept_id",
    ),
    (
        "column_missing",
        "one row per patient",
        "SELECT c.concept_id, c.concept_name, count(*) AS n FROM condition_occurrence o JOIN concept c
         ON c.concept_id = o.condition_concept_id GROUP BY c.concept_id, c.concept_name ORDER BY n DESC",
    ),
    (
        "column_missing",
        "patient's id",
        "SELECT concept_id, concept_name, concept_code FROM concept WHERE concept_id = 313217",
    ),
    ("column_missing", "patient's id", "SELECT count(*) AS x FROM condition_occurrence HAVING count(*) > 2"),
    (
        "picks_patients",
        "TOP",
        "SELECT TOP 10 drug_concept_id, count(*) AS n FROM drug_exposure GROUP BY drug_concept_id ORDER BY n DESC",
    ),
    (
        "picks_patients",
        "LIMIT",
        "SELECT drug_concept_id, count(*) FROM drug_exposure GROUP BY drug_concept_id LIMIT 10",
    ),
    ("picks_patients", "FETCH", "SELECT person_id FROM person FETCH FIRST 10 ROWS ONLY"),
    (
        "window_across_subjects",
        "PARTITION BY",
        "SELECT person_id, ntile(4) OVER (ORDER BY year_of_birth) AS x FROM person",
    ),
    ("window_across_subjects", "PARTITION BY", "SELECT person_id, count(*) OVER () AS x FROM person"),
    ("construct", "GROUPING SETS", "SELECT gender_concept_id, count(*) FROM person GROUP BY ROLLUP(gender_concept_id)"),
    (
        "construct",
        "totals",
        "SELECT gender_concept_id, race_concept_id, count(*) FROM person GROUP BY GROUPING SETS ((gender_concept_id), (race_concept_id))",
    ),
    ("construct", "totals", "SELECT gender_concept_id, count(*) FROM person GROUP BY gender_concept_id WITH ROLLUP"),
    (
        "construct",
        "CASE WHEN",
        "SELECT * FROM (SELECT person_id, gender_concept_id FROM person) s PIVOT (count(person_id) FOR gender_concept_id IN (8507)) p",
    ),
    (
        "function",
        "median",
        "SELECT person_id, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY value_as_number) AS x FROM measurement GROUP BY person_id",
    ),
    (
        "function",
        "by itself",
        "SELECT person_id, STRING_AGG(condition_concept_id, ',') AS x FROM condition_occurrence GROUP BY person_id",
    ),
    // Tables that are closed, absent or of a session.
    (
        "closed_table",
        "its concept is readable",
        "SELECT place_of_service_concept_id, count(1) AS places FROM care_site GROUP BY place_of_service_concept_id",
    ),
    (
        "closed_table",
        "names people",
        "SELECT specialty_concept_id, count(*) FROM provider GROUP BY specialty_concept_id",
    ),
    (
        "closed_table",
        "addresses",
        "SELECT p.person_id FROM person p JOIN location l ON l.location_id = p.location_id WHERE l.state = 'CA'",
    ),
    (
        "closed_table",
        "whose a row is",
        "SELECT person_id, avg(total_paid) AS x FROM cost JOIN drug_exposure ON cost_event_id = drug_exposure_id GROUP BY person_id",
    ),
    (
        "closed_table",
        "own cohorts",
        "SELECT subject_id AS person_id FROM results.cohort WHERE cohort_definition_id = 1",
    ),
    ("unknown_table", "check its spelling", "SELECT person_id FROM patients"),
    ("construct", "WITH name AS", "SELECT person_id FROM #cohort"),
    ("construct", "WITH name AS", "SELECT person_id INTO #cohort FROM condition_occurrence"),
    (
        "not_one_statement",
        "exactly one SELECT",
        "SELECT person_id INTO #cohort FROM condition_occurrence; SELECT * FROM #cohort",
    ),
    ("not_a_select", "DECLARE", "DECLARE @y INT; SET @y = 1950; SELECT person_id FROM person WHERE year_of_birth > @y"),
    ("not_a_select", "CREATE", "CREATE TABLE cohort AS SELECT person_id FROM person"),
    ("construct", "its value", "SELECT person_id FROM person WHERE year_of_birth > @year"),
    ("parameter", "the value itself", "SELECT person_id, :year AS x FROM person"),
    ("construct", "square brackets", "SELECT person_id AS [the person] FROM [cdm].[dbo].[person]"),
    // Columns that are absent, closed or called otherwise.
    ("unknown_column", "`zip`", "SELECT person_id, zip FROM person"),
    ("withheld_column", "use a concept", "SELECT person_id, gender_source_value FROM person"),
    (
        "withheld_column",
        "birth_datetime",
        "SELECT p.person_id, DATEDIFF(day, p.birth_datetime, MIN(d.drug_era_start_date)) AS x FROM person p
     JOIN drug_era d ON d.person_id = p.person_id GROUP BY p.person_id, p.birth_datetime",
    ),
    (
        "construct",
        "date_part('year', b) - date_part('year', a)",
        "SELECT p.person_id, DATEDIFF(year, p.birth_datetime, MIN(d.drug_era_start_date)) AS x FROM person p
     JOIN drug_era d ON d.person_id = p.person_id GROUP BY p.person_id, p.birth_datetime",
    ),
    (
        "former_column",
        "discharged_to_concept_id",
        "SELECT person_id, max(discharge_to_concept_id) AS x FROM visit_occurrence GROUP BY person_id",
    ),
    (
        "former_column",
        "admitted_from_concept_id",
        "SELECT person_id, max(v.admitting_source_concept_id) AS x FROM visit_occurrence v GROUP BY person_id",
    ),
    ("ambiguous_column", "alias", "SELECT person_id FROM person p JOIN death d ON p.person_id = d.person_id"),
    // Rows of several people, several rows of one.
    ("cross_join", "person_id", "SELECT p.person_id FROM person p CROSS JOIN condition_occurrence c"),
    ("cross_join", "person_id", "SELECT p.person_id, count(*) AS x FROM person p, concept c GROUP BY p.person_id"),
    (
        "several_rows_per_subject",
        "`death`",
        "SELECT p.*, d.death_date FROM person p LEFT JOIN death d ON d.person_id = p.person_id",
    ),
    ("several_rows_per_subject", "max(…)", "SELECT DISTINCT person_id, condition_concept_id FROM condition_occurrence"),
    ("identifier_in_expression", "person_id", "SELECT person_id FROM person WHERE person_id = 1136"),
    (
        "recursive",
        "concept_ancestor",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT person_id FROM person",
    ),
    ("construct", "NATURAL JOIN", "SELECT person_id FROM person NATURAL JOIN death"),
    (
        "construct",
        "LATERAL",
        "SELECT p.person_id, m.n AS x FROM person p, LATERAL (SELECT count(*) AS n FROM measurement m WHERE m.person_id = p.person_id) m",
    ),
    (
        "construct",
        "grouped by the person's id",
        "SELECT p.person_id FROM person p CROSS APPLY (SELECT TOP 1 * FROM measurement m WHERE m.person_id = p.person_id) m",
    ),
    (
        "construct",
        "SELECT DISTINCT of them",
        "SELECT person_id, COUNT(DISTINCT condition_concept_id, condition_start_date) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    ("construct", "UNNEST", "SELECT person_id FROM person, UNNEST(ARRAY[1, 2]) u"),
    ("construct", "TABLESAMPLE", "SELECT person_id FROM person TABLESAMPLE BERNOULLI (10)"),
    ("construct", "write IN", "SELECT person_id FROM person WHERE gender_concept_id = ANY (ARRAY[8507, 8532])"),
    (
        "construct",
        "(SELECT max",
        "SELECT person_id FROM person WHERE year_of_birth >= ALL (SELECT year_of_birth FROM person)",
    ),
    // Dates and texts.
    ("now", "as_of()", "SELECT person_id, YEAR(GETDATE()) - year_of_birth AS x FROM person"),
    (
        "construct",
        "30.44",
        "SELECT person_id, DATEDIFF(month, min(condition_start_date), max(condition_start_date)) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "construct",
        "CAST(… AS DATE)",
        "SELECT person_id, CONVERT(VARCHAR(10), condition_start_date, 120) AS d FROM condition_occurrence",
    ),
    (
        "construct",
        "CAST(… AS DATE)",
        "SELECT person_id, max(visit_end_date - visit_start_datetime) AS x FROM visit_occurrence GROUP BY person_id",
    ),
    (
        "construct",
        "epoch",
        "SELECT person_id, max(visit_end_datetime + INTERVAL '1 day' - visit_start_datetime) AS x FROM visit_occurrence GROUP BY person_id",
    ),
    (
        "arguments",
        "`*`",
        "SELECT person_id, max(drug_exposure_start_date + days_supply * INTERVAL '1 day') AS x FROM drug_exposure GROUP BY person_id",
    ),
    (
        "function",
        "date_trunc",
        "SELECT person_id, EOMONTH(min(drug_exposure_start_date)) AS x FROM drug_exposure GROUP BY person_id",
    ),
    (
        "function",
        "date_part",
        "SELECT person_id, TO_CHAR(min(drug_exposure_start_date), 'YYYY-MM') AS x FROM drug_exposure GROUP BY person_id",
    ),
    (
        "construct",
        "||",
        "SELECT person_id, concept_name || ' x' AS n FROM person JOIN concept ON concept_id = gender_concept_id",
    ),
    (
        "function",
        "CONCAT",
        "SELECT person_id, CONCAT(concept_name, ' x') AS n FROM person JOIN concept ON concept_id = gender_concept_id",
    ),
    // Types that have nothing in common.
    (
        "column_type",
        "a text",
        "SELECT person_id, CASE WHEN year_of_birth > 1950 THEN 'young' ELSE 0 END AS x FROM person",
    ),
    (
        "construct",
        "CASE with results",
        "SELECT person_id, max(CASE WHEN days_supply > 1 THEN drug_exposure_start_date ELSE true END) AS x FROM drug_exposure GROUP BY person_id",
    ),
    ("literal", "whole number", "SELECT person_id FROM person WHERE gender_concept_id = 'F'"),
    (
        "literal",
        "YYYY-MM-DD",
        "SELECT person_id, count(*) AS x FROM drug_exposure WHERE drug_exposure_start_date > '2010' GROUP BY person_id",
    ),
    (
        "incomparable",
        "a date is compared with a truth value",
        "SELECT person_id, count(*) AS x FROM drug_exposure WHERE drug_exposure_start_date > true GROUP BY person_id",
    ),
    (
        "incomparable",
        "a date is compared with a text",
        "SELECT person_id, count(*) AS x FROM drug_exposure WHERE drug_exposure_start_date LIKE '2010%' GROUP BY person_id",
    ),
    ("construct", "neither true nor false", "SELECT person_id FROM person WHERE year_of_birth"),
    ("construct", "neither true nor false", "SELECT person_id FROM person WHERE NOT year_of_birth"),
    (
        "arguments",
        "`sum` cannot be taken of a text",
        "SELECT person_id, sum(concept_name) AS x FROM condition_occurrence JOIN concept ON concept_id = condition_concept_id GROUP BY person_id",
    ),
    (
        "arguments",
        "`avg` cannot be taken of a date",
        "SELECT person_id, avg(condition_start_date) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "arguments",
        "`+` cannot be taken of a date and a date",
        "SELECT person_id, max(condition_end_date + condition_start_date) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "arguments",
        "`-` cannot be taken of a date",
        "SELECT person_id, -max(drug_exposure_start_date) AS x FROM drug_exposure GROUP BY person_id",
    ),
    ("arguments", "`round`", "SELECT person_id, round(year_of_birth, 1, 2) AS x FROM person"),
    ("arguments", "`lower`", "SELECT person_id, lower(year_of_birth) AS x FROM person"),
    (
        "arguments",
        "`lag`",
        "SELECT person_id, lag() OVER (PARTITION BY person_id ORDER BY days_supply) AS x FROM drug_exposure",
    ),
    ("construct", "OVER", "SELECT person_id, row_number() AS x FROM drug_exposure"),
    ("construct", "count(*)", "SELECT person_id, avg(*) AS x FROM drug_exposure GROUP BY person_id"),
    ("construct", "count(*)", "SELECT person_id, count(d.*) AS x FROM drug_exposure d GROUP BY person_id"),
    // Grouping.
    (
        "not_grouped",
        "`condition_occurrence.condition_concept_id`",
        "SELECT person_id, condition_concept_id, count(*) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    ("not_grouped", "`person.person_id`", "SELECT person_id, max(year_of_birth) AS x FROM person"),
    ("not_grouped", "GROUP BY", "SELECT person_id FROM person HAVING year_of_birth > 1950"),
    (
        "construct",
        "aggregate in WHERE",
        "SELECT person_id FROM condition_occurrence WHERE count(*) > 1 GROUP BY person_id",
    ),
    (
        "construct",
        "aggregate of an aggregate",
        "SELECT person_id, sum(CASE WHEN count(*) > 1 THEN 1 ELSE 0 END) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    (
        "construct",
        "window function",
        "SELECT person_id, max(row_number() OVER (PARTITION BY person_id ORDER BY condition_start_date)) AS x FROM condition_occurrence GROUP BY person_id",
    ),
    ("construct", "position", "SELECT person_id FROM person GROUP BY 3"),
    ("construct", "ORDER BY", "SELECT DISTINCT person_id FROM condition_occurrence ORDER BY condition_start_date"),
    ("construct", "numbers of columns", "SELECT person_id FROM person UNION SELECT person_id, death_date FROM death"),
    ("construct", "position", "SELECT person_id FROM person ORDER BY 5"),
    ("construct", "an alias that it has", "SELECT z.* FROM person p"),
    ("construct", "date_trunc", "SELECT person_id, CEIL(year_of_birth TO DAY) AS x FROM person"),
    (
        "construct",
        "INTERVAL '1' MONTH",
        "SELECT person_id, max(visit_start_date) + INTERVAL 'abc' AS x FROM visit_occurrence GROUP BY person_id",
    ),
    (
        "construct",
        "",
        "SELECT person_id, sum(days_supply) OVER (PARTITION BY person_id ORDER BY days_supply ROWS BETWEEN 'a' PRECEDING AND
         CURRENT ROW) AS x FROM drug_exposure",
    ),
    (
        "construct",
        "several columns",
        "SELECT person_id FROM person WHERE person_id IN (SELECT person_id, condition_concept_id FROM condition_occurrence)",
    ),
    (
        "construct",
        "several columns",
        "SELECT person_id FROM person WHERE year_of_birth = (SELECT max(year_of_birth), min(year_of_birth) FROM person)",
    ),
    (
        "construct",
        "WITH defines twice",
        "WITH a AS (SELECT person_id FROM person), a AS (SELECT person_id FROM death) SELECT person_id FROM a",
    ),
    (
        "construct",
        "rows of different lengths",
        "SELECT person_id, max(v.a) AS x FROM person JOIN (VALUES (1, 2), (3)) v(a, b) ON v.a = gender_concept_id GROUP BY person_id",
    ),
];

fn study(sql: &str) -> StudySpec {
    let head =
        "version = 1\ntitle = \"t\"\ndescription = \"d\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"open\"\n";
    let count = "[[statistic]]\nname = \"n\"\nkind = \"count\"\n";
    let variable =
        if sql.contains(" AS x") { "[[variable]]\nname = \"x\"\nmin = 0\nmax = 9\nresolution = 1\n" } else { "" };
    let text = format!("{head}[cohort]\nsubject = \"person_id\"\nsql = '''\n{sql}\n'''\n{variable}{count}");
    StudySpec::from_toml(&text).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[tokio::test]
async fn a_query_for_a_whole_database_is_planned_or_refused_in_plain_words() {
    assert!(PLANNED.len() + REFUSED.len() >= 80);
    let mut wrong = Vec::new();
    for sql in PLANNED {
        if let Err(error) = check(&study(sql)).await {
            wrong.push(format!("refused: {sql}\n  {error}"));
        }
    }
    for (kind, says, sql) in REFUSED {
        match check(&study(sql)).await {
            Ok(_) => wrong.push(format!("planned: {sql}")),
            Err(error) if error.kind() == *kind && error.to_string().contains(says) && !VAGUE.contains(kind) => {}
            Err(error) => wrong.push(format!("{} and not {kind} with “{says}”: {sql}\n  {error}", error.kind())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
