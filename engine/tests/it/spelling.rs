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
            "SELECT person_id AS subject, DATEDIFF(year, DATEFROMPARTS(year_of_birth, 1, 1), CAST('2020-06-01' AS DATETIME)) AS x
             FROM person",
            "SELECT person_id AS subject, 2020 - year_of_birth AS x FROM person",
        ),
        (
            "SELECT person_id AS subject, STDEV(value_as_number) AS x FROM measurement
             WHERE DATEADD(week, 2, measurement_date) > CONVERT(DATE, '2015-01-15') GROUP BY person_id",
            "SELECT person_id AS subject, stddev(value_as_number) AS x FROM measurement
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
