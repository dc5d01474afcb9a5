use super::{Row, agree, numbers_of, rows, store};
use consilium_engine::store::Store;

/// What an aggregate gives for each row's values, each of which stands in a row of its own, those of `a` and `b` twice.
async fn over(store: &Store, aggregate: &str, of: [&str; 2]) -> Vec<Option<f64>> {
    let parts = [of[0], of[1], of[0], of[1]].map(|v| format!("SELECT patient, k, {v} AS v, w FROM edges"));
    let all = parts.join(" UNION ALL ");
    let sql =
        format!("SELECT patient AS subject, min(k) AS n_key, {aggregate} AS n_value FROM ({all}) t GROUP BY patient");
    numbers_of(store, &sql).await
}

async fn expect(store: &Store, aggregate: &str, of: [&str; 2], oracle: impl Fn(&Row) -> Option<f64>) {
    for (row, got) in rows().zip(over(store, aggregate, of).await) {
        let expected = oracle(&row);
        assert!(agree(got, expected), "{aggregate} in row {}: {got:?}, not {expected:?}", row.k);
    }
}

fn wholes(row: &Row) -> Vec<i128> {
    [row.a(), row.b(), row.a(), row.b()].into_iter().flatten().map(i128::from).collect()
}

fn doubles(row: &Row) -> Vec<f64> {
    [row.x(), row.y(), row.x(), row.y()].into_iter().flatten().collect()
}

fn different<T: PartialEq + Copy>(values: &[T]) -> Vec<T> {
    let mut once = Vec::new();
    values.iter().for_each(|value| {
        if !once.contains(value) {
            once.push(*value);
        }
    });
    once
}

#[tokio::test]
async fn sums_of_whole_numbers_are_exact_or_null() {
    let (store, _folder) = store().await;
    let sum = |values: Vec<i128>| {
        if values.is_empty() { None } else { i64::try_from(values.iter().sum::<i128>()).ok().map(|n| n as f64) }
    };
    let mean =
        |values: Vec<i128>| (!values.is_empty()).then(|| values.iter().sum::<i128>() as f64 / values.len() as f64);
    let of = ["a", "b"];
    expect(&store, "sum(v)", of, |row| sum(wholes(row))).await;
    expect(&store, "sum(DISTINCT v)", of, |row| sum(different(&wholes(row)))).await;
    expect(&store, "avg(v)", of, |row| mean(wholes(row))).await;
    expect(&store, "mean(DISTINCT v)", of, |row| mean(different(&wholes(row)))).await;
    expect(&store, "sum(v) FILTER (WHERE v > 0)", of, |row| sum(wholes(row).into_iter().filter(|v| *v > 0).collect()))
        .await;
    expect(&store, "count(v)", of, |row| Some(wholes(row).len() as f64)).await;
    expect(&store, "count(DISTINCT v)", of, |row| Some(different(&wholes(row)).len() as f64)).await;
    expect(&store, "min(v)", of, |row| wholes(row).into_iter().min().map(|v| v as f64)).await;
    expect(&store, "max(v)", of, |row| wholes(row).into_iter().max().map(|v| v as f64)).await;
    expect(&store, "first_value(v ORDER BY v)", of, |row| {
        if wholes(row).len() < 4 && row.a().is_none() && row.b().is_none() {
            return None;
        }
        wholes(row).into_iter().min().map(|v| v as f64)
    })
    .await;
    expect(&store, "last_value(v ORDER BY v NULLS FIRST)", of, |row| wholes(row).into_iter().max().map(|v| v as f64))
        .await;
    expect(&store, "median(v)", of, |row| {
        let mut values: Vec<f64> = wholes(row).into_iter().map(|v| v as f64).collect();
        values.sort_by(f64::total_cmp);
        let half = values.len() / 2;
        (!values.is_empty()).then(|| (values[half - 1] + values[half]) / 2.0)
    })
    .await;
}

#[tokio::test]
async fn measures_of_doubles_are_finite_or_null() {
    let (store, _folder) = store().await;
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let of = ["x", "y"];
    // In units in which no sum is too large, where the values are not so small that they have none.
    let sum = |values: &[f64], parts: f64| {
        let unit = if values.iter().any(|v| v.abs() > 1e300) { 1024.0 } else { 1.0 };
        (!values.is_empty()).then(|| values.iter().map(|v| v / unit).sum::<f64>() / parts * unit)
    };
    expect(&store, "sum(v)", of, |row| finite(sum(&doubles(row), 1.0)?)).await;
    expect(&store, "avg(v)", of, |row| finite(sum(&doubles(row), doubles(row).len() as f64)?)).await;
    for (name, less) in [("var_pop", 0.0), ("var", 1.0), ("stddev_pop", 0.0), ("stddev", 1.0)] {
        let found = over(&store, &format!("{name}(v)"), of).await;
        for (row, got) in rows().zip(found) {
            let values = doubles(&row);
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - less);
            let expected = if name.starts_with("var") { variance } else { variance.sqrt() };
            // Where the square of a deviation is beyond a double, either has no value.
            let is_near = |got: f64| (got - expected).abs() <= 1e-9 * expected.abs().max(1.0);
            let right = match got {
                Some(got) => got.is_finite() && (is_near(got) || !expected.is_finite()),
                None => values.is_empty() || !expected.is_finite(),
            };
            assert!(right, "{name} in row {}: {got:?}, not {expected}", row.k);
        }
    }
    for value in over(&store, "median(v)", of).await.into_iter().flatten() {
        assert!(value.is_finite());
    }
    expect(&store, "CASE WHEN bool_and(w) THEN 1 WHEN NOT bool_or(w) THEN 2 END", of, |row| {
        row.w().map(|w| if w { 1.0 } else { 2.0 })
    })
    .await;
}
