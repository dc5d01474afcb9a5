//! Functions of texts. Positions count characters from 1, as in SQL.

use std::sync::Arc;

use arrow::array::{BooleanArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

use super::columns::Call;
use super::function::{Shape, Total};

use DataType::{Boolean, Int64, Null, Utf8};

/// The functions, by their names.
pub(super) fn functions() -> Vec<Total> {
    vec![
        Total::new("btrim", &["trim"], text_and_characters, |call| trimmed(call, true, true)),
        Total::new("character_length", &["length", "char_length"], length_shape, length),
        Total::new("contains", &[], two_texts_truth, |call| asked(call, |text, part| text.contains(part))),
        Total::new("ends_with", &[], two_texts_truth, |call| asked(call, |text, part| text.ends_with(part))),
        Total::new("left", &[], text_and_number, |call| counted(call, left)),
        Total::new("lower", &[], one_text, |call| each(call, |text| text.to_lowercase())),
        Total::new("ltrim", &[], text_and_characters, |call| trimmed(call, true, false)),
        Total::new("right", &[], text_and_number, |call| counted(call, right)),
        Total::new("rtrim", &[], text_and_characters, |call| trimmed(call, false, true)),
        Total::new("starts_with", &[], two_texts_truth, |call| asked(call, |text, part| text.starts_with(part))),
        Total::new("strpos", &["instr", "position"], two_texts_number, strpos),
        Total::new("substr", &["substring"], text_and_numbers, substr),
        Total::new("upper", &[], one_text, |call| each(call, |text| text.to_uppercase())),
    ]
}

const fn is_text(found: &DataType) -> bool {
    matches!(found, Utf8 | Null)
}

const fn is_whole(found: &DataType) -> bool {
    matches!(found, Int64 | Null)
}

fn one_text(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    let fits = types.len() == 1 && types.iter().all(is_text);
    if fits { Shape::of(&[Utf8], Utf8) } else { None }
}

fn text_and_characters(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    let fits = types.len() == 2 && types.iter().all(is_text);
    if fits { Shape::of(&[Utf8, Utf8], Utf8) } else { one_text(types, literals) }
}

fn length_shape(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    one_text(types, literals).map(|shape| Shape { gives: Int64, ..shape })
}

fn two_texts_truth(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    let fits = types.len() == 2 && types.iter().all(is_text);
    if fits { Shape::of(&[Utf8, Utf8], Boolean) } else { None }
}

fn two_texts_number(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    two_texts_truth(types, literals).map(|shape| Shape { gives: Int64, ..shape })
}

fn text_and_number(types: &[DataType], _: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [text, number] if is_text(text) && is_whole(number) => Shape::of(&[Utf8, Int64], Utf8),
        _ => None,
    }
}

fn text_and_numbers(types: &[DataType], literals: &[Option<&ScalarValue>]) -> Option<Shape> {
    match types {
        [text, from, count] if is_text(text) && is_whole(from) && is_whole(count) => {
            Shape::of(&[Utf8, Int64, Int64], Utf8)
        }
        _ => text_and_number(types, literals),
    }
}

fn each(call: &Call<'_>, function: impl Fn(&str) -> String) -> Result<ColumnarValue> {
    let texts = call.texts(0)?;
    let array: StringArray = (0..call.height()).map(|row| texts.get(row).map(&function)).collect();
    call.give(Arc::new(array))
}

fn asked(call: &Call<'_>, function: impl Fn(&str, &str) -> bool) -> Result<ColumnarValue> {
    let (texts, parts) = (call.texts(0)?, call.texts(1)?);
    let row = |row| Some(function(texts.get(row)?, parts.get(row)?));
    call.give(Arc::new((0..call.height()).map(row).collect::<BooleanArray>()))
}

fn length(call: &Call<'_>) -> Result<ColumnarValue> {
    let texts = call.texts(0)?;
    let row = |row| texts.get(row).map(|text| text.chars().count() as i64);
    call.give(Arc::new((0..call.height()).map(row).collect::<Int64Array>()))
}

/// 0 where it is not in the text.
fn strpos(call: &Call<'_>) -> Result<ColumnarValue> {
    let (texts, parts) = (call.texts(0)?, call.texts(1)?);
    let row = |row| {
        let text = texts.get(row)?;
        Some(text.find(parts.get(row)?).map_or(0, |at| text[..at].chars().count() as i64 + 1))
    };
    call.give(Arc::new((0..call.height()).map(row).collect::<Int64Array>()))
}

/// Without the characters of the second argument, or blanks, at the ends.
fn trimmed(call: &Call<'_>, start: bool, end: bool) -> Result<ColumnarValue> {
    let texts = call.texts(0)?;
    let characters = if call.args.len() > 1 { Some(call.texts(1)?) } else { None };
    let row = |row| {
        let mut text = texts.get(row)?;
        let these = match &characters {
            Some(characters) => characters.get(row)?,
            None => " ",
        };
        if start {
            text = text.trim_start_matches(|c| these.contains(c));
        }
        if end {
            text = text.trim_end_matches(|c| these.contains(c));
        }
        Some(text)
    };
    call.give(Arc::new((0..call.height()).map(row).collect::<StringArray>()))
}

fn counted(call: &Call<'_>, function: impl Fn(&str, i64) -> &str) -> Result<ColumnarValue> {
    let (texts, counts) = (call.texts(0)?, call.values::<Int64Type>(1)?);
    let row = |row| Some(function(texts.get(row)?, counts.get(row)?));
    call.give(Arc::new((0..call.height()).map(row).collect::<StringArray>()))
}

/// The part from one character to before another.
fn part(text: &str, from: usize, to: usize) -> &str {
    let at = |position: usize| text.char_indices().nth(position).map_or(text.len(), |(at, _)| at);
    if from >= to { "" } else { &text[at(from)..at(to)] }
}

/// So many characters, or all but so many of the last where the count is negative.
fn left(text: &str, count: i64) -> &str {
    part(text, 0, quantity(text, count))
}

fn right(text: &str, count: i64) -> &str {
    let all = text.chars().count();
    part(text, all - quantity(text, count), all)
}

fn quantity(text: &str, count: i64) -> usize {
    let all = text.chars().count();
    let given = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX).min(all);
    if count < 0 { all - given } else { given }
}

/// `substr(text, from, count)`: characters from..from+count, as far as they are there; positions before the first count
/// as places without a character. A negative count is NULL.
fn substr(call: &Call<'_>) -> Result<ColumnarValue> {
    let (texts, starts) = (call.texts(0)?, call.values::<Int64Type>(1)?);
    let counts = if call.args.len() > 2 { Some(call.values::<Int64Type>(2)?) } else { None };
    let row = |row| {
        let text = texts.get(row)?;
        let from = i128::from(starts.get(row)?) - 1;
        let to = match &counts {
            Some(counts) => from + i128::from(counts.get(row).filter(|count| *count >= 0)?),
            None => i128::MAX,
        };
        let place = |position: i128| usize::try_from(position.max(0)).unwrap_or(usize::MAX);
        Some(part(text, place(from), place(to)))
    };
    call.give(Arc::new((0..call.height()).map(row).collect::<StringArray>()))
}
