use super::{Row, expect_numbers, expect_truths, store};

type Function = fn(f64) -> Option<f64>;

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

#[tokio::test]
async fn functions_of_numbers_give_null_outside_their_domain() {
    let (store, _folder) = store().await;
    let of_one: [(&str, Function); 13] = [
        ("sqrt", |x| if x >= 0.0 { finite(x.sqrt()) } else { None }),
        ("cbrt", |x| finite(x.cbrt())),
        ("exp", |x| finite(x.exp())),
        ("ln", |x| if x > 0.0 { finite(x.ln()) } else { None }),
        ("log10", |x| if x > 0.0 { finite(x.log10()) } else { None }),
        ("log", |x| if x > 0.0 { finite(x.log10()) } else { None }),
        ("log2", |x| if x > 0.0 { finite(x.log2()) } else { None }),
        ("ceil", |x| finite(x.ceil())),
        ("floor", |x| finite(x.floor())),
        ("trunc", |x| finite(x.trunc())),
        ("round", |x| finite(x.round())),
        ("abs", |x| finite(x.abs())),
        ("signum", |x| if x.is_nan() { None } else { Some(f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))) }),
    ];
    for (name, oracle) in of_one {
        expect_numbers(&store, &format!("{name}(x)"), |row| oracle(row.x()?)).await;
        if name != "abs" {
            expect_numbers(&store, &format!("{name}(a)"), |row| oracle(row.a()? as f64)).await;
        }
        expect_numbers(&store, &format!("{name}(NULL)"), |_| None).await;
    }
    expect_truths(&store, "isnan(x)", |row| row.x().map(f64::is_nan)).await;
}

#[tokio::test]
async fn functions_of_two_numbers_too() {
    let (store, _folder) = store().await;
    expect_numbers(&store, "power(x, y)", |row| finite(row.x()?.powf(row.y()?))).await;
    expect_numbers(&store, "pow(a, b)", |row| finite((row.a()? as f64).powf(row.b()? as f64))).await;
    let log = |row: &Row| {
        let (base, x) = (row.x()?, row.y()?);
        if base > 0.0 && base != 1.0 && x > 0.0 { finite(x.ln() / base.ln()) } else { None }
    };
    expect_numbers(&store, "log(x, y)", log).await;
    expect_numbers(&store, "power(0, -1)", |_| None).await;
    // To more digits than a double has, to none, and to fewer than it has before the point.
    expect_numbers(&store, "round(x, 400)", |row| finite(row.x()?)).await;
    expect_numbers(&store, "trunc(x, -400)", |row| finite(row.x()?).map(|_| 0.0)).await;
    expect_numbers(&store, "round(x, b)", |row| {
        let (x, digits) = (finite(row.x()?)?, row.b()?);
        match digits {
            -300.. => {
                let scale = 10f64.powi(digits.unsigned_abs().min(400) as i32);
                if digits >= 0 {
                    let scaled = x * scale;
                    finite(if scaled.is_finite() { scaled.round() / scale } else { x })
                } else {
                    finite((x / scale).round() * scale)
                }
            }
            _ => Some(0.0),
        }
    })
    .await;
    expect_numbers(&store, "round(2.5) + round(-2.5) + round(25, -1)", |_| Some(3.0 - 3.0 + 30.0)).await;
    expect_numbers(&store, "greatest(a, b)", |row| row.a().max(row.b()).map(|n| n as f64)).await;
    expect_numbers(&store, "least(a, b)", |row| match (row.a(), row.b()) {
        (Some(a), Some(b)) => Some(a.min(b) as f64),
        (a, b) => a.or(b).map(|n| n as f64),
    })
    .await;
    expect_numbers(&store, "coalesce(a, b, 3)", |row| Some(row.a().or(row.b()).unwrap_or(3) as f64)).await;
    expect_numbers(&store, "nvl(a, b)", |row| row.a().or(row.b()).map(|n| n as f64)).await;
    expect_numbers(&store, "nullif(a, b)", |row| row.a().filter(|a| Some(*a) != row.b()).map(|n| n as f64)).await;
}
