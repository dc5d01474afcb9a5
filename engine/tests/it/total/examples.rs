//! One patient whose row would have failed a query: everybody else is counted, and so is that patient.

use super::super::hospital::{self, everybody, limits, link, study};
use consilium_engine::cohort::run;

#[tokio::test]
async fn no_patient_stops_a_query() {
    let (store, _folder) = hospital::open_csv().await;
    let permissions = everybody(&store, &link()).await;
    let person = &hospital::tables()[0];
    let born = |year: i64| person.rows.iter().filter(|row| person.int(row, "year_of_birth") == Some(year)).count();
    let of_1931 = person
        .rows
        .iter()
        .filter(|row| person.int(row, "year_of_birth") == Some(1_931) && person.int(row, "month_of_birth") == Some(12));
    let few = of_1931.count();
    assert!(few > 0 && few < born(1_931) + 1 && few < 10, "the test needs few patients: {few}");
    for (expr, without) in [
        ("1 / (CASE WHEN year_of_birth = 1931 AND month_of_birth = 12 THEN 0 ELSE 1 END)", few),
        ("CAST(CASE WHEN year_of_birth = 1931 AND month_of_birth = 12 THEN 'x' ELSE '1' END AS BIGINT)", few),
        ("sqrt(CASE WHEN year_of_birth = 1931 AND month_of_birth = 12 THEN -1 ELSE 1 END)", few),
        ("CASE WHEN make_date(year_of_birth, 1, 1) - 9223372036854775807 < DATE '2030-01-01' THEN 1 END", 240),
    ] {
        let sql = format!("SELECT person_id AS subject, {expr} AS x FROM person");
        let cohort = run(&store, &link(), &permissions, &study(&sql, &["x"]), &limits()).await.expect("a cohort");
        assert_eq!(cohort.rows, 240, "{expr}");
        let nulls: usize = cohort.batches.iter().map(|batch| batch.column(0).null_count()).sum();
        assert_eq!(nulls, without, "{expr}");
        // As a condition, it leaves out those for whom it has no answer.
        let sql = format!("SELECT person_id AS subject, 1 AS x FROM person WHERE {expr} = 1");
        let cohort = run(&store, &link(), &permissions, &study(&sql, &["x"]), &limits()).await.expect("a cohort");
        assert_eq!(cohort.rows, 240 - without, "{expr}");
    }
}

#[tokio::test]
async fn null_out_of_a_conversion_is_not_in_and_not_out() {
    let (store, _folder) = hospital::open_csv().await;
    let permissions = everybody(&store, &link()).await;
    // The codes of one patient in eight are no numbers.
    let rows = async |condition: &str| {
        let sql = format!("SELECT DISTINCT patient AS subject, 1 AS x FROM labs WHERE {condition}");
        run(&store, &link(), &permissions, &study(&sql, &["x"]), &limits()).await.expect("a cohort").rows
    };
    let (inside, outside) = (
        rows("CAST(code AS BIGINT) IN (9900001, 9900002)").await,
        rows("CAST(code AS BIGINT) NOT IN (9900001, 9900002)").await,
    );
    let unknown = rows("CAST(code AS BIGINT) IS NULL").await;
    assert_eq!((inside, unknown, inside + outside + unknown), (2, 30, 240));
}
