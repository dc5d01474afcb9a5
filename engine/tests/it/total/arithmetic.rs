use super::{calendar, expect_days, expect_numbers, expect_wholes, in_calendar, store};

/// What fits into 64 bits.
fn fits(value: i128) -> Option<i64> {
    i64::try_from(value).ok()
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

#[tokio::test]
async fn whole_numbers_never_wrap() {
    let (store, _folder) = store().await;
    let both =
        |function: fn(i128, i128) -> Option<i64>| move |row: &super::Row| function(row.a()?.into(), row.b()?.into());
    expect_wholes(&store, "a + b", both(|a, b| fits(a + b))).await;
    expect_wholes(&store, "a - b", both(|a, b| fits(a - b))).await;
    expect_wholes(&store, "a * b", both(|a, b| fits(a * b))).await;
    expect_wholes(&store, "a / b", both(|a, b| if b == 0 { None } else { fits(a / b) })).await;
    expect_wholes(&store, "a % b", both(|a, b| if b == 0 { None } else { fits(a % b) })).await;
    expect_wholes(&store, "-a", |row| fits(-i128::from(row.a()?))).await;
    expect_wholes(&store, "abs(a)", |row| fits(i128::from(row.a()?).abs())).await;
    // A constant on either side.
    expect_wholes(&store, "a + 9223372036854775807", |row| fits(i128::from(row.a()?) + i128::from(i64::MAX))).await;
    expect_wholes(&store, "-9223372036854775808 - a", |row| fits(i128::from(i64::MIN) - i128::from(row.a()?))).await;
    expect_wholes(&store, "3037000500 * a", |row| fits(3_037_000_500 * i128::from(row.a()?))).await;
    expect_wholes(&store, "a / 0", |_| None).await;
    expect_wholes(&store, "a % -1", |row| row.a().map(|_| 0)).await;
    expect_wholes(&store, "a + NULL", |_| None).await;
    expect_wholes(&store, "9223372036854775807 + 1", |_| None).await;
    expect_wholes(&store, "1 / 0", |_| None).await;
}

#[tokio::test]
async fn doubles_are_finite_or_null() {
    let (store, _folder) = store().await;
    let both = |function: fn(f64, f64) -> f64| move |row: &super::Row| finite(function(row.x()?, row.y()?));
    expect_numbers(&store, "x + y", both(|x, y| x + y)).await;
    expect_numbers(&store, "x - y", both(|x, y| x - y)).await;
    expect_numbers(&store, "x * y", both(|x, y| x * y)).await;
    expect_numbers(&store, "x / y", both(|x, y| x / y)).await;
    expect_numbers(&store, "x % y", both(|x, y| x % y)).await;
    expect_numbers(&store, "-x", |row| finite(-row.x()?)).await;
    expect_numbers(&store, "x / 0", |_| None).await;
    expect_numbers(&store, "a / y", |row| finite(row.a()? as f64 / row.y()?)).await;
    expect_numbers(&store, "a / 2.0", |row| Some(row.a()? as f64 / 2.0)).await;
    // A whole number that 64 bits do not hold is a double.
    expect_numbers(&store, "9223372036854775808 + a", |row| Some(9_223_372_036_854_775_808.0 + row.a()? as f64)).await;
}

#[tokio::test]
async fn days_stay_in_the_calendar() {
    let (store, _folder) = store().await;
    let day = |day: Option<i32>| day.map(i64::from).filter(|day| in_calendar(*day));
    expect_days(&store, "d + b", |row| calendar(i128::from(day(row.d())?) + i128::from(row.b()?))).await;
    expect_days(&store, "b + d", |row| calendar(i128::from(day(row.d())?) + i128::from(row.b()?))).await;
    expect_days(&store, "d - b", |row| calendar(i128::from(day(row.d())?) - i128::from(row.b()?))).await;
    expect_days(&store, "d - 9223372036854775807", |_| None).await;
    expect_days(&store, "d + 1", |row| calendar(i128::from(day(row.d())?) + 1)).await;
    expect_wholes(&store, "d - e", |row| Some(day(row.d())? - day(row.e())?)).await;
    expect_wholes(&store, "d - '1970-01-01'", |row| day(row.d())).await;
}
