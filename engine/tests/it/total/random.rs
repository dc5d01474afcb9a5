//! Expressions drawn from the whole list: none fails, and whole numbers are what they are without a limit.

use proptest::prelude::*;

use super::super::hospital::Dice;
use super::{Row, columns, rows, store};
use arrow::array::{Array, AsArray, Int64Array};
use arrow::datatypes::{Float64Type, Int64Type};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Double,
    Day,
    Moment,
    Text,
    Truth,
}

/// An expression of a type, as SQL.
fn expression(dice: &mut Dice, kind: Kind, depth: u64) -> String {
    use Kind::{Day, Double, Moment, Text, Truth, Whole};
    let mut any = |of: Kind| expression(dice, of, depth.saturating_sub(1));
    if depth == 0 {
        let column = match kind {
            Whole => {
                ["a", "b", "k", "0", "-1", "9223372036854775807", "(-9223372036854775808)", "NULL::BIGINT"].as_slice()
            }
            Double => &["x", "y", "0.0", "-1.5", "1e308", "9223372036854775808"],
            Day => &["d", "e", "DATE '9999-12-31'", "DATE '0001-01-01'", "'2020-02-29'::DATE"],
            Moment => &["m", "TIMESTAMP '9999-12-31 23:59:59'", "TIMESTAMP '1969-12-31 00:00'"],
            // Columns mostly: a literal that is no number or date ends the query, and then nothing is computed.
            Text => &["t", "u", "t", "u", "t", "u", "''", "'2021-02-30'", "'7'", "NULL::VARCHAR"],
            Truth => &["w", "true", "NULL::BOOLEAN"],
        };
        return column[dice.roll(column.len() as u64) as usize].to_string();
    }
    let forms: Vec<String> = match kind {
        Whole => vec![
            format!("({} + {})", any(Whole), any(Whole)),
            format!("({} - {})", any(Whole), any(Whole)),
            format!("({} * {})", any(Whole), any(Whole)),
            format!("({} / {})", any(Whole), any(Whole)),
            format!("({} % {})", any(Whole), any(Whole)),
            format!("(- {})", any(Whole)),
            format!("abs({})", any(Whole)),
            format!("({} - {})", any(Day), any(Day)),
            format!("CAST({} AS BIGINT)", any(Double)),
            format!("CAST({} AS SMALLINT)", any(Text)),
            format!("CAST({} AS BIGINT)", any(Day)),
            format!("CAST({} AS INT)", any(Truth)),
            format!("date_part('day', {})", any(Moment)),
            format!("extract(week FROM {})", any(Day)),
            format!("character_length({})", any(Text)),
            format!("strpos({}, {})", any(Text), any(Text)),
            format!("coalesce({}, {})", any(Whole), any(Whole)),
            format!("nullif({}, {})", any(Whole), any(Whole)),
            format!("greatest({}, {})", any(Whole), any(Whole)),
            format!("CASE WHEN {} THEN {} ELSE {} END", any(Truth), any(Whole), any(Whole)),
            format!("CASE {} WHEN {} THEN {} END", any(Text), any(Whole), any(Whole)),
        ],
        Double => vec![
            format!("({} + {})", any(Double), any(Whole)),
            format!("({} - {})", any(Double), any(Double)),
            format!("({} * {})", any(Double), any(Double)),
            format!("({} / {})", any(Whole), any(Double)),
            format!("({} % {})", any(Double), any(Double)),
            format!("(- {})", any(Double)),
            format!("sqrt({})", any(Double)),
            format!("ln({})", any(Whole)),
            format!("log({}, {})", any(Double), any(Double)),
            format!("log2({})", any(Double)),
            format!("log10({})", any(Double)),
            format!("exp({})", any(Double)),
            format!("power({}, {})", any(Double), any(Whole)),
            format!("round({}, {})", any(Double), any(Whole)),
            format!("trunc({})", any(Double)),
            format!("ceil({})", any(Double)),
            format!("floor({})", any(Whole)),
            format!("cbrt({})", any(Double)),
            format!("signum({})", any(Double)),
            format!("least({}, {})", any(Double), any(Whole)),
            format!("CAST({} AS DECIMAL(5, 2))", any(Double)),
            format!("CAST({} AS DOUBLE)", any(Text)),
            format!("date_part('epoch', {})", any(Moment)),
        ],
        Day => vec![
            format!("({} + {})", any(Day), any(Whole)),
            format!("({} - {})", any(Day), any(Whole)),
            format!("({} - INTERVAL '13' MONTH)", any(Day)),
            format!("({} + INTERVAL '1000000' DAY)", any(Day)),
            format!("make_date({}, {}, {})", any(Whole), any(Whole), any(Whole)),
            format!("to_date({})", any(Text)),
            format!("CAST({} AS DATE)", any(Moment)),
            format!("CAST({} AS DATE)", any(Whole)),
            format!("coalesce({}, {})", any(Day), any(Day)),
        ],
        Moment => vec![
            format!("({} + INTERVAL '36' HOUR)", any(Moment)),
            format!("({} - INTERVAL '100000' MONTH)", any(Moment)),
            format!("date_trunc('week', {})", any(Moment)),
            format!("date_trunc('quarter', {})", any(Day)),
            format!("CAST({} AS TIMESTAMP)", any(Text)),
            format!("CAST({} AS TIMESTAMP)", any(Day)),
        ],
        Text => vec![
            format!("substr({}, {}, {})", any(Text), any(Whole), any(Whole)),
            format!("left({}, {})", any(Text), any(Whole)),
            format!("right({}, {})", any(Text), any(Whole)),
            format!("lower({})", any(Text)),
            format!("upper({})", any(Text)),
            format!("btrim({}, {})", any(Text), any(Text)),
            format!("ltrim({})", any(Text)),
            format!("CAST({} AS VARCHAR)", any(Whole)),
            format!("CAST({} AS VARCHAR)", any(Double)),
            format!("CAST({} AS VARCHAR)", any(Moment)),
            format!("CAST({} AS VARCHAR)", any(Truth)),
        ],
        Truth => vec![
            format!("({} = {})", any(Whole), any(Text)),
            format!("({} < {})", any(Double), any(Whole)),
            format!("({} >= {})", any(Moment), any(Day)),
            format!("({} IS DISTINCT FROM {})", any(Day), any(Text)),
            format!("({} AND {})", any(Truth), any(Truth)),
            format!("(NOT {} OR {})", any(Truth), any(Truth)),
            format!("({} IS NULL)", any(Day)),
            format!("({} IN ({}, {}))", any(Whole), any(Whole), any(Double)),
            format!("({} NOT IN ({}, 3))", any(Whole), any(Whole)),
            format!("({} BETWEEN {} AND {})", any(Day), any(Day), any(Text)),
            format!("({} LIKE '%7_')", any(Text)),
            format!("starts_with({}, {})", any(Text), any(Text)),
            format!("isnan({})", any(Double)),
            format!("CAST({} AS BOOLEAN)", any(Text)),
            format!("({} IS TRUE)", any(Truth)),
        ],
    };
    let chosen = dice.roll(forms.len() as u64) as usize;
    forms[chosen].clone()
}

/// What an expression of whole numbers is for a row.
type Oracle = Box<dyn Fn(&Row) -> Option<i128>>;
/// What an operator makes of two.
type Operator = fn(i128, i128) -> Option<i128>;

/// An expression of whole numbers, and what it is for a row: `None` where a step does not fit into 64 bits.
fn whole(dice: &mut Dice, depth: u64) -> (String, Oracle) {
    if depth == 0 {
        return match dice.roll(4) {
            0 => ("a".to_string(), Box::new(|row| row.a().map(i128::from))),
            1 => ("b".to_string(), Box::new(|row| row.b().map(i128::from))),
            2 => ("k".to_string(), Box::new(|row| Some(row.k as i128))),
            _ => {
                let value = [i64::MAX, 2, -1, 0, 4_294_967_296][dice.roll(5) as usize];
                (value.to_string(), Box::new(move |_| Some(value.into())))
            }
        };
    }
    let (left, of_left) = whole(dice, depth - 1);
    let below = dice.roll(depth);
    let (right, of_right) = whole(dice, below);
    let (sign, compute): (&str, Operator) = match dice.roll(5) {
        0 => ("+", |a, b| Some(a + b)),
        1 => ("-", |a, b| Some(a - b)),
        2 => ("*", |a, b| Some(a * b)),
        3 => ("/", i128::checked_div),
        _ => ("%", i128::checked_rem),
    };
    let value = move |row: &Row| {
        let value = compute(of_left(row)?, of_right(row)?)?;
        i64::try_from(value).is_ok().then_some(value)
    };
    (format!("({left} {sign} {right})"), Box::new(value))
}

fn seeds() -> ProptestConfig {
    ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn no_expression_fails() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
    let (store, _folder) = runtime.block_on(store());
    let (ran, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    proptest!(seeds(), |(seed in 1..u64::MAX)| {
        use Kind::{Day, Double, Moment, Text, Truth, Whole};
        let mut dice = Dice::new(seed);
        let kinds = [Whole, Double, Day, Moment, Text, Truth];
        let mut selected = Vec::new();
        let (mut filters, mut names) = (Vec::new(), Vec::new());
        for (number, kind) in kinds.into_iter().enumerate() {
            let depth = 1 + dice.roll(3);
            let expr = expression(&mut dice, kind, depth);
            let (expr, letter) = match kind {
                Whole | Double => (expr, 'n'),
                Day => (format!("CAST({expr} AS BIGINT)"), 'n'),
                Moment => (format!("date_part('epoch', {expr})"), 'n'),
                Text => (expr, 't'),
                Truth => (expr, 'w'),
            };
            names.push(format!("{letter}{number}"));
            selected.push(format!("{expr} AS {letter}{number}"));
            filters.push(expression(&mut dice, Truth, 2));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let select = selected.join(", ");
        let plain = format!("SELECT patient AS subject, {select} FROM edges");
        let filtered = format!("{plain} WHERE {} OR {}", filters[0], filters[1]);
        for sql in [plain, filtered] {
            match runtime.block_on(columns(&store, &sql, &names)) {
                Ok(found) => {
                    ran.set(ran.get() + 1);
                    // `least` hands a column's value on; all others compute.
                    let mut doubles = found.iter().filter_map(|column| column.as_primitive_opt::<Float64Type>());
                    let finite = doubles.all(|double| double.iter().flatten().all(f64::is_finite));
                    prop_assert!(finite || sql.contains("least"), "{}", sql);
                }
                // What is refused is refused by the query alone: a literal that is no date, a query that is too long.
                Err(error) => {
                    refused.set(refused.get() + 1);
                    let expected = ["literal", "too_large", "cross_join", "across_patients"].contains(&error.kind());
                    prop_assert!(expected && !error.depends_on_data(), "{}: {error}\n{sql}", error.kind());
                }
            }
        }
    });
    assert!(ran.get() > refused.get(), "{} ran, {} were refused", ran.get(), refused.get());
}

#[test]
fn whole_numbers_are_what_they_are_without_a_limit() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
    let (store, _folder) = runtime.block_on(store());
    proptest!(seeds(), |(seed in 1..u64::MAX)| {
        let mut dice = Dice::new(seed);
        let depth = 1 + dice.roll(4);
        let (sql, oracle) = whole(&mut dice, depth);
        let query = format!("SELECT patient AS subject, k AS n_key, {sql} AS n_value FROM edges");
        let found = runtime.block_on(columns(&store, &query, &["n_key", "n_value"]));
        let found = found.map_err(|error| TestCaseError::fail(format!("{}: {error}\n{query}", error.kind())))?;
        let (keys, values): (&Int64Array, _) = (found[0].as_primitive(), found[1].as_primitive::<Int64Type>());
        prop_assert_eq!(keys.len(), 256);
        let all: Vec<Row> = rows().collect();
        for row in 0..256 {
            let expected = oracle(&all[keys.value(row) as usize]);
            let got = values.is_valid(row).then(|| i128::from(values.value(row)));
            prop_assert_eq!(got, expected, "{} in row {}", sql, keys.value(row));
        }
    });
}
