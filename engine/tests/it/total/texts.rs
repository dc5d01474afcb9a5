use super::{Row, expect_texts, expect_truths, expect_wholes, store};

/// The characters of a text at positions from..to, counted from 1.
fn cut(text: &str, from: i128, to: i128) -> String {
    (1i128..).zip(text.chars()).filter(|(at, _)| from <= *at && *at < to).map(|(_, c)| c).collect()
}

#[tokio::test]
async fn texts_are_cut_where_they_are() {
    let (store, _folder) = store().await;
    expect_texts(&store, "substr(t, b)", |row| Some(cut(row.t()?, row.b()?.into(), i128::MAX))).await;
    expect_texts(&store, "substr(t, b, 3)", |row| Some(cut(row.t()?, row.b()?.into(), i128::from(row.b()?) + 3))).await;
    expect_texts(&store, "substring(t FROM 2 FOR b)", |row| {
        let count = row.b().filter(|count| *count >= 0)?;
        Some(cut(row.t()?, 2, 2 + i128::from(count)))
    })
    .await;
    let first = |row: &Row| {
        let (text, count) = (row.t()?, i128::from(row.b()?));
        let all = text.chars().count() as i128;
        Some(cut(text, 1, if count < 0 { all + count + 1 } else { count + 1 }))
    };
    let last = |row: &Row| {
        let (text, count) = (row.t()?, i128::from(row.b()?));
        let all = text.chars().count() as i128;
        Some(cut(text, if count < 0 { 1 - count } else { all - count + 1 }, i128::MAX))
    };
    expect_texts(&store, "left(t, b)", first).await;
    expect_texts(&store, "right(t, b)", last).await;
    expect_wholes(&store, "character_length(t)", |row| Some(row.t()?.chars().count() as i64)).await;
    expect_wholes(&store, "length(t) + char_length(t)", |row| Some(2 * row.t()?.chars().count() as i64)).await;
}

#[tokio::test]
async fn texts_are_searched_and_trimmed() {
    let (store, _folder) = store().await;
    let both = |row: &Row| Some((row.t()?, row.u()?));
    expect_truths(&store, "starts_with(t, u)", |row| both(row).map(|(t, u)| t.starts_with(u))).await;
    expect_truths(&store, "ends_with(t, u)", |row| both(row).map(|(t, u)| t.ends_with(u))).await;
    expect_truths(&store, "contains(t, u)", |row| both(row).map(|(t, u)| t.contains(u))).await;
    let place = |t: &str, u: &str| {
        let (t, u): (Vec<char>, Vec<char>) = (t.chars().collect(), u.chars().collect());
        (0..=t.len()).find(|at| t[*at..].starts_with(&u)).map_or(0, |at| at as i64 + 1)
    };
    expect_wholes(&store, "strpos(t, u)", |row| both(row).map(|(t, u)| place(t, u))).await;
    expect_wholes(&store, "position(u IN t)", |row| both(row).map(|(t, u)| place(t, u))).await;
    expect_texts(&store, "lower(t)", |row| Some(row.t()?.to_lowercase())).await;
    expect_texts(&store, "upper(t)", |row| Some(row.t()?.to_uppercase())).await;
    let strip = |text: &str, set: &str, start: bool, end: bool| {
        let mut rest: Vec<char> = text.chars().collect();
        while start && rest.first().is_some_and(|c| set.contains(*c)) {
            rest.remove(0);
        }
        while end && rest.last().is_some_and(|c| set.contains(*c)) {
            rest.pop();
        }
        rest.into_iter().collect::<String>()
    };
    expect_texts(&store, "btrim(t)", |row| Some(strip(row.t()?, " ", true, true))).await;
    expect_texts(&store, "trim(t)", |row| Some(strip(row.t()?, " ", true, true))).await;
    expect_texts(&store, "trim(LEADING ' ' FROM t)", |row| Some(strip(row.t()?, " ", true, false))).await;
    expect_texts(&store, "ltrim(t, u)", |row| both(row).map(|(t, u)| strip(t, u, true, false))).await;
    expect_texts(&store, "rtrim(t, '70')", |row| Some(strip(row.t()?, "70", false, true))).await;
    let last = |text: &str, count: usize| text.chars().rev().take(count).collect::<Vec<_>>();
    expect_truths(&store, "t LIKE '%2-2_'", |row| Some(matches!(last(row.t()?, 4).as_slice(), [_, '2', '-', '2'])))
        .await;
    expect_truths(&store, "t NOT ILIKE 'TR%'", |row| Some(row.t()? != "true")).await;
}
