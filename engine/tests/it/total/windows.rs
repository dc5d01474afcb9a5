use super::{agree, numbers, numbers_of, rows, store};
use consilium_engine::store::Store;

/// What a window function gives at the last of a patient's three rows, which have the first column's value, the second's,
/// and 1.
async fn at_the_third(store: &Store, function: &str, of: [&str; 2]) -> Vec<Option<f64>> {
    let [one, two] = of;
    let sql = format!(
        "SELECT patient AS subject, max(k) AS n_key, max(r) AS n_value FROM (SELECT patient, k, s, {function} AS r FROM
         (SELECT patient, k, 1 AS s, {one} AS v FROM edges UNION ALL SELECT patient, k, 2, {two} FROM edges
          UNION ALL SELECT patient, k, 3, 1 FROM edges) t) q WHERE s = 3 GROUP BY patient"
    );
    numbers_of(store, &sql).await
}

const BY: &str = "PARTITION BY patient ORDER BY s";

#[tokio::test]
async fn windows_leave_behind_what_they_passed() {
    let (store, _folder) = store().await;
    let sliding = format!("OVER ({BY} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)");
    let sums = at_the_third(&store, &format!("sum(v) {sliding}"), ["a", "b"]).await;
    let means = at_the_third(&store, &format!("avg(v) {sliding}"), ["a", "b"]).await;
    for (row, (sum, mean)) in rows().zip(sums.into_iter().zip(means)) {
        let expected = i128::from(row.b().unwrap_or(0)) + 1;
        assert!(agree(sum, i64::try_from(expected).ok().map(|n| n as f64)), "{sum:?} in row {}", row.k);
        let count = 1 + i128::from(row.b().is_some());
        assert!(agree(mean, Some(expected as f64 / count as f64)), "{mean:?} in row {}", row.k);
    }
    // What was infinite or beyond a double is forgotten once it has left.
    let sums = at_the_third(&store, &format!("sum(v) {sliding}"), ["x", "y"]).await;
    for (row, sum) in rows().zip(sums) {
        let expected = Some(row.y().unwrap_or(0.0) + 1.0).filter(|sum| sum.is_finite());
        let near = |got: f64, expected: f64| (got - expected).abs() <= 1e-12 * row.x().map_or(1.0, f64::abs).max(1.0);
        let right = match (sum, expected) {
            (Some(got), Some(expected)) => got == expected || near(got, expected) || agree(sum, Some(expected)),
            (got, expected) => got == expected,
        };
        assert!(right, "{sum:?}, not {expected:?}, in row {}", row.k);
    }
    for function in ["count", "var", "var_pop", "stddev", "stddev_pop"] {
        for of in [["a", "b"], ["x", "y"]] {
            let found = at_the_third(&store, &format!("{function}(v) {sliding}"), of).await;
            assert!(found.into_iter().flatten().all(f64::is_finite), "{function} of {of:?}");
        }
    }
    let least = at_the_third(&store, &format!("min(v) {sliding}"), ["a", "b"]).await;
    for (row, least) in rows().zip(least) {
        assert!(agree(least, Some(row.b().unwrap_or(1).min(1) as f64)), "{least:?} in row {}", row.k);
    }
}

#[tokio::test]
async fn windows_from_the_first_row_take_every_aggregate() {
    let (store, _folder) = store().await;
    for function in ["sum(v)", "avg(v)", "median(v)", "stddev(v)", "count(v)", "min(v)", "count(DISTINCT v)"] {
        for of in [["a", "b"], ["x", "y"]] {
            at_the_third(&store, &format!("{function} OVER ({BY})"), of).await;
            at_the_third(&store, &format!("{function} OVER (PARTITION BY patient)"), of).await;
        }
    }
    at_the_third(&store, &format!("CASE WHEN bool_and(v > 0) OVER ({BY}) THEN 1 END"), ["a", "b"]).await;
}

#[tokio::test]
async fn numbers_of_rows_are_whole_numbers() {
    let (store, _folder) = store().await;
    for function in ["row_number()", "rank()", "dense_rank()"] {
        let found = at_the_third(&store, &format!("{function} OVER ({BY})"), ["a", "b"]).await;
        assert!(found.iter().all(|number| *number == Some(3.0)), "{function}");
        let with_sign = at_the_third(&store, &format!("5 - {function} OVER ({BY})"), ["a", "b"]).await;
        assert!(with_sign.iter().all(|number| *number == Some(2.0)), "{function}");
    }
    let before = at_the_third(&store, &format!("lag(v) OVER ({BY})"), ["a", "b"]).await;
    let first = at_the_third(&store, &format!("lag(v, 3, '7') OVER ({BY})"), ["a", "b"]).await;
    let after = at_the_third(&store, &format!("lead(v, -2) OVER ({BY})"), ["a", "b"]).await;
    for row in rows() {
        assert!(agree(before[row.k], row.b().map(|b| b as f64)));
        assert_eq!(first[row.k], Some(7.0));
        assert!(agree(after[row.k], row.a().map(|a| a as f64)));
    }
    for far in ["1000000000", "-1000000000"] {
        let found = at_the_third(&store, &format!("lag(v, {far}) OVER ({BY})"), ["a", "b"]).await;
        assert!(found.iter().all(Option::is_none));
    }
}

#[tokio::test]
async fn windows_counted_in_values_end_where_values_end() {
    let (store, _folder) = store().await;
    // One row a patient: whatever the reach, the window has that row.
    for (order, reach) in [
        ("a", "9223372036854775807"),
        ("a", "1"),
        ("x", "1e308"),
        ("x", "0.5"),
        ("d", "INTERVAL '1' DAY"),
        ("d", "INTERVAL '2147483647' MONTH"),
        ("d", "INTERVAL '2147483647' DAY"),
        ("m", "INTERVAL '1' HOUR"),
        ("m", "INTERVAL '2147483647' MONTH"),
    ] {
        for bounds in [format!("{reach} PRECEDING AND {reach} FOLLOWING"), format!("{reach} PRECEDING AND CURRENT ROW")]
        {
            for direction in ["", " DESC"] {
                let window = format!("PARTITION BY patient ORDER BY {order}{direction} RANGE BETWEEN {bounds}");
                let found = numbers(&store, &format!("count(*) OVER ({window})")).await;
                assert!(found.iter().all(|count| *count == Some(1.0)), "{window}");
            }
        }
    }
    let rows_of = "PARTITION BY patient ORDER BY k ROWS BETWEEN 1000000000 PRECEDING AND 1000000000 FOLLOWING";
    assert!(numbers(&store, &format!("count(*) OVER ({rows_of})")).await.iter().all(|count| *count == Some(1.0)));
    let groups = "PARTITION BY patient ORDER BY k GROUPS BETWEEN 1000000000 PRECEDING AND 1000000000 FOLLOWING";
    assert!(numbers(&store, &format!("count(*) OVER ({groups})")).await.iter().all(|count| *count == Some(1.0)));
}
