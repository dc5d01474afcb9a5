//! Queries as other databases have them give what the same queries give in the words of cohorts.

use consilium_engine::cohort::{check, run};
use consilium_protocol::consent::Permissions;
use consilium_protocol::ids::Date;

use super::hospital::{cohort, everybody, limits, link, open_csv, sorted, study};

#[tokio::test]
async fn both_spellings_have_the_same_answer() {
    let (store, _folder) = open_csv().await;
    for (theirs, ours) in [
        (
            "SELECT person_id AS subject, MAX(DATEDIFF(day, condition_start_date, condition_end_date)) AS x
             FROM cdm.condition_occurrence GROUP BY person_id",
            "SELECT person_id AS subject, max(condition_end_date - condition_start_date) AS x
             FROM condition_occurrence GROUP BY person_id",
        ),
        (
            "SELECT person_id AS subject, COUNT_BIG(*) AS x FROM measurement
             WHERE measurement_date >= DATEADD(month, -18, DATEFROMPARTS(2018, 7, 1)) AND YEAR(measurement_date) < 2020
             GROUP BY person_id",
            "SELECT person_id AS subject, count(*) AS x FROM measurement
             WHERE measurement_date >= DATE '2017-01-01' AND date_part('year', measurement_date) < 2020 GROUP BY person_id",
        ),
        (
            "SELECT p.person_id AS subject, IIF(ISNULL(c.n, 0) > 2, 1, 0) AS x FROM cdm.person p LEFT JOIN
             (SELECT person_id, COUNT(*) AS n FROM cdm.condition_occurrence GROUP BY person_id) c ON c.person_id = p.person_id",
            "SELECT p.person_id AS subject, CASE WHEN coalesce(c.n, 0) > 2 THEN 1 ELSE 0 END AS x FROM person p LEFT JOIN
             (SELECT person_id, count(*) AS n FROM condition_occurrence GROUP BY person_id) c ON c.person_id = p.person_id",
        ),
        (
            "SELECT person_id AS subject, YEAR(CAST('2020-06-01' AS DATETIME)) - YEAR(DATEFROMPARTS(year_of_birth, 1, 1)) AS x
             FROM person",
            "SELECT person_id AS subject, 2020 - year_of_birth AS x FROM person",
        ),
        (
            "SELECT person_id AS subject, SUM(IIF(ISNULL(condition_start_date), 1, 0)) AS x FROM condition_occurrence
             GROUP BY person_id",
            "SELECT person_id AS subject, count(*) - count(condition_start_date) AS x FROM condition_occurrence GROUP BY person_id",
        ),
        (
            "SELECT person_id AS subject, SUM(DATEPART(weekday, measurement_date) + 100 * DATEPART(isowk, measurement_date)) AS x
             FROM measurement GROUP BY person_id",
            "SELECT person_id AS subject, sum(date_part('dow', measurement_date) + 1 + 100 * date_part('week', measurement_date)) AS x
             FROM measurement GROUP BY person_id",
        ),
        // The time is kept, a text cut, a number rounded.
        (
            "SELECT person_id AS subject, MAX(DATEPART(hour, DATEADD(day, 1, CAST(measurement_date AS DATETIME) + INTERVAL '13' HOUR))
             + 100 * DATEPART(day, DATEADD(week, -1, measurement_date))) AS x FROM measurement GROUP BY person_id",
            "SELECT person_id AS subject, max(13 + 100 * date_part('day', measurement_date - 7)) AS x FROM measurement
             GROUP BY person_id",
        ),
        (
            "SELECT person_id AS subject, CAST(CAST(year_of_birth AS NVARCHAR(3)) AS INT) AS x FROM person",
            "SELECT person_id AS subject, year_of_birth / 10 AS x FROM person",
        ),
        (
            "SELECT person_id AS subject, MAX(CAST(value_as_number AS NUMBER(10, 0))) AS x FROM measurement GROUP BY person_id",
            "SELECT person_id AS subject, max(round(value_as_number)) AS x FROM measurement GROUP BY person_id",
        ),
        (
            "SELECT person_id AS subject, MAX(DATEDIFF(day, measurement_date, DATEADD(day, year_of_birth, measurement_date))) AS x
             FROM measurement JOIN person USING (person_id) GROUP BY person_id",
            "SELECT m.person_id AS subject, max(p.year_of_birth) AS x FROM measurement m JOIN person p ON p.person_id = m.person_id
             GROUP BY m.person_id",
        ),
        (
            "SELECT person_id AS subject, ROUND(STDEV(value_as_number) * 1e6) AS x FROM measurement
             WHERE DATEADD(week, 2, measurement_date) > CONVERT(DATE, '2015-01-15') GROUP BY person_id",
            "SELECT person_id AS subject, round(stddev(value_as_number) * 1e6) AS x FROM measurement
             WHERE measurement_date > DATE '2015-01-01' GROUP BY person_id",
        ),
    ] {
        let ask = async |sql: &str| sorted(&cohort(&store, sql, &["x"]).await.unwrap_or_else(|e| panic!("{sql}: {e}")));
        let (theirs_answer, ours_answer) = (ask(theirs).await, ask(ours).await);
        assert!(ours_answer.len() > 30, "{ours}");
        assert_eq!(theirs_answer, ours_answer, "{theirs}");
    }
}

#[tokio::test]
async fn as_of_is_the_day_of_the_use() {
    let (store, _folder) = open_csv().await;
    let sql = "SELECT person_id AS subject, DATEDIFF(day, DATE '2024-02-28', as_of()) AS x FROM person";
    let spec = study(sql, &["x"]);
    check(&spec).await.expect("a query");
    for (day, since) in [("2024-02-28", "0"), ("2024-03-01", "2"), ("2026-11-27", "1003")] {
        let day: Date = day.parse().expect("a day");
        let permissions = Permissions { day, ..everybody(&store, &link()).await };
        let answers = sorted(&run(&store, &link(), &permissions, &spec, &limits()).await.expect("a cohort"));
        assert!(!answers.is_empty() && answers.iter().all(|answer| answer == since), "{day}: {:?}", answers.first());
    }
    let now = study("SELECT person_id AS subject, 1 AS x FROM person WHERE year_of_birth < YEAR(GETDATE())", &["x"]);
    assert_eq!(check(&now).await.expect_err("refused").kind(), "now");
}

#[tokio::test]
async fn a_moment_loses_no_time_without_a_word() {
    for (sql, kind) in [
        (
            "SELECT person_id AS subject, max(date_part('hour', DATEADD(day, year_of_birth, CAST('2020-01-01 13:00:00' AS DATETIME))))
             AS x FROM person GROUP BY person_id",
            "arguments",
        ),
        ("SELECT person_id AS subject, date_part('day', CAST('2020-01-01' AS DATETIME2(0))) AS x FROM person", "construct"),
    ] {
        let error = check(&study(sql, &["x"])).await.expect_err(sql);
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(error.to_string().contains("CAST") || error.to_string().contains("date_trunc"), "{error}");
    }
}
