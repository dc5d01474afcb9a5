use super::{calendar, expect_days, expect_numbers, expect_texts, expect_truths, expect_wholes, in_calendar, store};

fn whole(text: &str) -> Option<i64> {
    match text {
        "7" => Some(7),
        " -7 " => Some(-7),
        "9223372036854775807" => Some(i64::MAX),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    match text {
        "9223372036854775808" => Some(9_223_372_036_854_775_808.0),
        "1.5e3" => Some(1_500.0),
        _ => whole(text).map(|n| n as f64),
    }
}

fn day(text: &str) -> Option<i64> {
    match text {
        "2020-02-29" => Some(18_321),
        "9999-12-31 23:59:59" => Some(2_932_896),
        _ => None,
    }
}

#[tokio::test]
async fn to_whole_numbers() {
    let (store, _folder) = store().await;
    expect_wholes(&store, "CAST(t AS BIGINT)", |row| whole(row.t()?)).await;
    expect_wholes(&store, "TRY_CAST(t AS BIGINT)", |row| whole(row.t()?)).await;
    expect_wholes(&store, "CAST(x AS BIGINT)", |row| {
        // Cut off towards zero; both ends of 64 bits are at hand as doubles, and the upper one does not fit.
        match row.x()? {
            -9_223_372_036_854_775_808.0 => Some(i64::MIN),
            x if x.abs() < 1e18 => Some(x as i64),
            _ => None,
        }
    })
    .await;
    for (name, bits) in [("TINYINT", 7), ("SMALLINT", 15), ("INT", 31), ("INTEGER", 31)] {
        let bound = 1i64 << bits;
        let within = move |n: i64| (-bound..bound).contains(&n).then_some(n);
        expect_wholes(&store, &format!("CAST(a AS {name})"), |row| within(row.a()?)).await;
        expect_wholes(&store, &format!("a::{name} + CAST(u AS {name})"), |row| {
            Some(within(row.a()?)? + whole(row.u()?).and_then(within)?)
        })
        .await;
    }
    expect_wholes(&store, "CAST(w AS INT)", |row| row.w().map(i64::from)).await;
    expect_wholes(&store, "CAST(d AS BIGINT)", |row| row.d().map(i64::from).filter(|day| in_calendar(*day))).await;
}

#[tokio::test]
async fn to_other_numbers() {
    let (store, _folder) = store().await;
    for name in ["DOUBLE PRECISION", "DOUBLE", "REAL", "FLOAT", "DECIMAL", "NUMERIC"] {
        expect_numbers(&store, &format!("CAST(t AS {name})"), |row| number(row.t()?)).await;
        expect_numbers(&store, &format!("CAST(a AS {name})"), |row| row.a().map(|n| n as f64)).await;
    }
    expect_numbers(&store, "CAST(x AS DECIMAL(2, 1))", |row| {
        row.x().filter(|x| x.abs() < 9.95).map(|x| (x * 10.0).round() / 10.0)
    })
    .await;
    expect_numbers(&store, "CAST(x AS NUMERIC(1))", |row| row.x().filter(|x| x.abs() < 9.5).map(f64::round)).await;
    expect_numbers(&store, "CAST(w AS DOUBLE)", |row| row.w().map(f64::from)).await;
}

#[tokio::test]
async fn to_days_and_moments() {
    let (store, _folder) = store().await;
    expect_days(&store, "CAST(t AS DATE)", |row| day(row.t()?)).await;
    expect_days(&store, "to_date(t)", |row| day(row.t()?)).await;
    expect_days(&store, "CAST(a AS DATE)", |row| calendar(row.a()?.into())).await;
    let moment = |row: &super::Row| row.m().filter(|m| in_calendar(m.div_euclid(86_400_000_000)));
    expect_days(&store, "CAST(m AS DATE)", |row| moment(row).map(|m| m.div_euclid(86_400_000_000))).await;
    expect_numbers(&store, "date_part('epoch', CAST(d AS TIMESTAMP))", |row| {
        row.d().map(i64::from).filter(|day| in_calendar(*day)).map(|day| day as f64 * 86_400.0)
    })
    .await;
    expect_numbers(&store, "date_part('epoch', CAST(t AS TIMESTAMP))", |row| {
        let seconds = if row.t()?.contains("23:59:59") { 86_399.0 } else { 0.0 };
        Some(day(row.t()?)? as f64 * 86_400.0 + seconds)
    })
    .await;
}

#[tokio::test]
async fn to_texts_and_truth_values() {
    let (store, _folder) = store().await;
    expect_texts(&store, "CAST(a AS VARCHAR)", |row| row.a().map(|n| n.to_string())).await;
    expect_texts(&store, "CAST(w AS TEXT)", |row| row.w().map(|w| w.to_string())).await;
    expect_texts(&store, "CAST(d AS VARCHAR)", |row| {
        let (year, month, day) = super::ymd(row.d().map(i64::from).filter(|day| in_calendar(*day))?);
        Some(format!("{year:04}-{month:02}-{day:02}"))
    })
    .await;
    // As far as a double has a text that says it, reading it gives it back.
    expect_numbers(&store, "CAST(CAST(x AS VARCHAR) AS DOUBLE)", |row| row.x().filter(|x| x.is_finite())).await;
    expect_truths(&store, "CAST(t AS BOOLEAN)", |row| (row.t()? == "true").then_some(true)).await;
    expect_truths(&store, "CAST(a AS BOOLEAN)", |row| row.a().map(|n| n != 0)).await;
}

#[tokio::test]
async fn conversions_that_nobody_wrote() {
    let (store, _folder) = store().await;
    expect_truths(&store, "a = t", |row| Some(row.a()? == whole(row.t()?)?)).await;
    expect_truths(&store, "b = t", |row| Some(row.b()? == whole(row.t()?)?)).await;
    expect_truths(&store, "y > t", |row| {
        // NaN is above all numbers.
        let (y, t) = (row.y()?, number(row.t()?)?);
        Some(y > t || y.is_nan())
    })
    .await;
    expect_truths(&store, "e > t", |row| Some(i64::from(row.e()?) > day(row.t()?)?)).await;
    expect_truths(&store, "e BETWEEN t AND '9999-12-31'", |row| {
        // False at one end is false whatever the other is.
        let (e, low) = (i64::from(row.e()?), row.t().and_then(day));
        match low {
            Some(low) => Some(low <= e && e <= 2_932_896),
            None => (e > 2_932_896).then_some(false),
        }
    })
    .await;
    expect_truths(&store, "m >= e", |row| {
        let (m, e) = (row.m()?, i64::from(row.e()?));
        in_calendar(e).then(|| m >= e * 86_400_000_000)
    })
    .await;
    expect_truths(&store, "m > '2020-02-29 12:00'", |row| Some(row.m()? > 18_321 * 86_400_000_000 + 43_200_000_000))
        .await;
    expect_truths(&store, "b IN (7, t)", |row| {
        let b = row.b()?;
        match row.t().and_then(whole) {
            _ if b == 7 => Some(true),
            Some(t) => Some(b == t),
            None => None,
        }
    })
    .await;
    expect_texts(&store, "CASE WHEN a > 0 THEN t ELSE b END", |row| match row.a() {
        Some(a) if a > 0 => row.t().map(str::to_string),
        _ => row.b().map(|b| b.to_string()),
    })
    .await;
}
