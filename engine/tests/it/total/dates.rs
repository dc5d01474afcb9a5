use super::{Row, calendar, expect_days, expect_numbers, expect_texts, expect_wholes, in_calendar, store, ymd};

const DAY_US: i64 = 86_400_000_000;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn length(year: i64, month: i64) -> i64 {
    [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1]
}

/// Counted, month by month.
fn of_ymd(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9_999).contains(&year) || !(1..=12).contains(&month) || !(1..=length(year, month)).contains(&day) {
        return None;
    }
    let before = year - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400;
    Some(-719_162 + years + (1..month).map(|month| length(year, month)).sum::<i64>() + day - 1)
}

fn day(row: &Row) -> Option<i64> {
    row.d().map(i64::from).filter(|day| in_calendar(*day))
}

/// Later by months, and on the last day of the month where it has no such day.
fn months_later(day: i64, months: i64) -> Option<i64> {
    let (year, month, of_month) = ymd(day);
    let count = year * 12 + month - 1 + months;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    if !(1..=9_999).contains(&year) {
        return None;
    }
    of_ymd(year, month, of_month.min(length(year, month)))
}

fn moment(row: &Row) -> Option<i64> {
    row.m().filter(|m| in_calendar(m.div_euclid(DAY_US)))
}

#[tokio::test]
async fn lengths_of_time_move_days_within_the_calendar() {
    let (store, _folder) = store().await;
    for months in [1, 12, 13, 1_200, 2_147_483_647i64] {
        let sql = format!("INTERVAL '{months}' MONTH");
        expect_days(&store, &format!("d + {sql}"), |row| months_later(day(row)?, months)).await;
        expect_days(&store, &format!("d - {sql}"), |row| months_later(day(row)?, -months)).await;
    }
    for days in [1i64, 400, 2_147_483_647] {
        let sql = format!("INTERVAL '{days}' DAY");
        expect_days(&store, &format!("d + {sql}"), |row| calendar(i128::from(day(row)?) + i128::from(days))).await;
        expect_days(&store, &format!("{sql} + d"), |row| calendar(i128::from(day(row)?) + i128::from(days))).await;
        expect_days(&store, &format!("d - {sql}"), |row| calendar(i128::from(day(row)?) - i128::from(days))).await;
    }
    expect_days(&store, "d + INTERVAL '1 year 2 months 3 days'", |row| {
        calendar(i128::from(months_later(day(row)?, 14)?) + 3)
    })
    .await;
    // A date has no time of day: only whole days of it count.
    expect_days(&store, "d + INTERVAL '47 hours'", |row| calendar(i128::from(day(row)?) + 1)).await;
    expect_days(&store, "d - INTERVAL '47 hours'", |row| calendar(i128::from(day(row)?) - 1)).await;
    let later = |us: i64| {
        move |row: &Row| {
            let sum = moment(row)?.checked_add(us)?;
            in_calendar(sum.div_euclid(DAY_US))
                .then(|| sum.div_euclid(1_000_000) as f64 + sum.rem_euclid(1_000_000) as f64 / 1e6)
        }
    };
    expect_numbers(&store, "date_part('epoch', m + INTERVAL '90 minutes')", later(5_400_000_000)).await;
    expect_numbers(&store, "date_part('epoch', m - INTERVAL '1000000 days')", later(-1_000_000 * DAY_US)).await;
    expect_numbers(&store, "date_part('epoch', m + INTERVAL '100000 years')", |_| None).await;
}

#[tokio::test]
async fn parts_of_days_and_moments() {
    let (store, _folder) = store().await;
    let year_day = |day: i64| day - of_ymd(ymd(day).0, 1, 1).expect("a first of January");
    let weekday = |day: i64| (day + 3).rem_euclid(7) + 1;
    expect_wholes(&store, "date_part('year', d)", |row| Some(ymd(day(row)?).0)).await;
    expect_wholes(&store, "extract(year FROM d)", |row| Some(ymd(day(row)?).0)).await;
    expect_wholes(&store, "extract(quarter FROM d)", |row| Some((ymd(day(row)?).1 + 2) / 3)).await;
    expect_wholes(&store, "extract(month FROM d)", |row| Some(ymd(day(row)?).1)).await;
    expect_wholes(&store, "extract(day FROM d)", |row| Some(ymd(day(row)?).2)).await;
    expect_wholes(&store, "date_part('doy', d)", |row| Some(year_day(day(row)?) + 1)).await;
    expect_wholes(&store, "date_part('dow', d)", |row| Some(weekday(day(row)?) % 7)).await;
    expect_wholes(&store, "date_part('isodow', d)", |row| Some(weekday(day(row)?))).await;
    expect_wholes(&store, "date_part('week', d)", |row| {
        // The number of Thursdays of the year up to that of this week.
        let thursday = day(row)? - weekday(day(row)?) + 4;
        Some(year_day(thursday) / 7 + 1)
    })
    .await;
    let time = |row: &Row| moment(row).map(|m| m.rem_euclid(DAY_US));
    expect_wholes(&store, "date_part('hour', m)", |row| Some(time(row)? / 3_600_000_000)).await;
    expect_wholes(&store, "date_part('minute', m)", |row| Some(time(row)? / 60_000_000 % 60)).await;
    expect_wholes(&store, "date_part('second', m)", |row| Some(time(row)? / 1_000_000 % 60)).await;
    expect_wholes(&store, "date_part('millisecond', m)", |row| Some(time(row)? / 1_000 % 60_000)).await;
    expect_wholes(&store, "date_part('microsecond', m)", |row| Some(time(row)? % 60_000_000)).await;
    expect_wholes(&store, "date_part('hour', d)", |row| day(row).map(|_| 0)).await;
}

#[tokio::test]
async fn dates_are_made_and_cut_within_the_calendar() {
    let (store, _folder) = store().await;
    expect_days(&store, "make_date(a, b, 31)", |row| of_ymd(row.a()?, row.b()?, 31)).await;
    expect_days(&store, "make_date(2020, 2, b)", |row| of_ymd(2_020, 2, row.b()?)).await;
    expect_days(&store, "make_date(k, 12, 31)", |row| of_ymd(row.k as i64, 12, 31)).await;
    let start = |part: &'static str| {
        move |row: &Row| {
            let day = moment(row)?.div_euclid(DAY_US);
            let (year, month, _) = ymd(day);
            match part {
                "year" => of_ymd(year, 1, 1),
                "quarter" => of_ymd(year, (month - 1) / 3 * 3 + 1, 1),
                "month" => of_ymd(year, month, 1),
                "week" => Some(day - (day + 3).rem_euclid(7)).filter(|day| in_calendar(*day)),
                _ => Some(day),
            }
        }
    };
    for part in ["year", "quarter", "month", "week", "day", "hour"] {
        expect_days(&store, &format!("CAST(date_trunc('{part}', m) AS DATE)"), start(part)).await;
    }
    expect_days(&store, "CAST(date_trunc('month', d) AS DATE)", |row| of_ymd(ymd(day(row)?).0, ymd(day(row)?).1, 1))
        .await;
    expect_texts(&store, "CAST(date_trunc('second', m) AS VARCHAR)", |row| {
        let (day, time) = (moment(row)?.div_euclid(DAY_US), moment(row)?.rem_euclid(DAY_US) / 1_000_000);
        let (year, month, day) = ymd(day);
        let (hours, minutes, seconds) = (time / 3_600, time / 60 % 60, time % 60);
        Some(format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}"))
    })
    .await;
}
