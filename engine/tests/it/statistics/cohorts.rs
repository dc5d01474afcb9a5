//! Studies and cohorts to try them on.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use consilium_protocol::study::StudySpec;

/// A small generator, so that a failure can be repeated from its seed (D. Lemire's statement of splitmix64).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// What every study here declares: a variable that is also a dimension, one with awkward bounds, one of integers, and
/// dimensions of each kind.
const DECLARATIONS: &str = r#"
version = 1
title = "Everything"
description = "Every statistic by every dimension."
purpose = "HMB"
declares = []
protection = "open"
[cohort]
sql = "SELECT person_id, age, bmi, visits, sex, ward, smoker FROM person"
subject = "person_id"
[[variable]]
name = "age"
min = 0
max = 110
resolution = 1
unit = "years"
[[variable]]
name = "bmi"
min = -0.25
max = 60.0
resolution = 0.1
unit = "kg/m²"
[[variable]]
name = "visits"
min = 0
max = 20
resolution = 1
[[dimension]]
name = "sex"
values = ["f", "m"]
[[dimension]]
name = "age"
edges = [0, 18, 40, 65]
[[dimension]]
name = "ward"
values = [{ value = -7, label = "annex" }, { value = 0, label = "none" }, 12]
[[dimension]]
name = "smoker"
values = [{ value = true, label = "smoker" }, { value = false, label = "non-smoker" }]
"#;

/// A study of these statistics, each a kind and what it is by.
pub(super) fn study(statistics: &[(&str, Vec<&str>)]) -> StudySpec {
    let mut text = DECLARATIONS.to_string();
    for (i, (kind, by)) in statistics.iter().enumerate() {
        let (kind, rest) = match kind.split_once(' ') {
            Some(("histogram", of)) => ("histogram", format!("of = \"{of}\"\nedges = [-1, 18, 25, 30.5, 65]\n")),
            Some((kind, of)) => (kind, format!("of = \"{of}\"\n")),
            None => (*kind, String::new()),
        };
        text.push_str(&format!("[[statistic]]\nname = \"{kind} {i}\"\nkind = \"{kind}\"\n{rest}by = {by:?}\n"));
    }
    StudySpec::from_toml(&text).expect("a valid study")
}

pub(super) const KINDS: [&str; 8] = [
    "count",
    "sum visits",
    "mean bmi",
    "mean age",
    "variance bmi",
    "variance visits",
    "histogram bmi",
    "histogram age",
];

pub(super) const DIMENSIONS: [&str; 4] = ["sex", "age", "ward", "smoker"];

/// Up to three different dimensions.
pub(super) fn some_dimensions(chance: &mut Chance, most: u64) -> Vec<&'static str> {
    let mut by = Vec::new();
    for _ in 0..chance.below(most + 1) {
        let dimension = chance.pick(&DIMENSIONS);
        if !by.contains(&dimension) {
            by.push(dimension);
        }
    }
    by
}

/// A column of doubles with everything that a double can be.
fn doubles(chance: &mut Chance, rows: usize, middle: f64) -> ArrayRef {
    let special = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 1e300, -1e300, 18.0, 40.0, 65.0];
    let mut value = || match chance.below(12) {
        0 => None,
        1 | 2 => Some(chance.pick(&special)),
        3 => Some(chance.below(800) as f64 / 10.0 + 0.05),
        _ => Some((chance.below(1000) as f64 / 500.0) * middle),
    };
    Arc::new((0..rows).map(|_| value()).collect::<Float64Array>())
}

/// One hospital's cohort, in batches of uneven size.
pub(super) fn cohort(chance: &mut Chance, rows: usize) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut left = rows;
    while left > 0 {
        let size = (chance.below(200) as usize + 1).min(left);
        batches.push(batch(chance, size));
        left -= size;
    }
    batches
}

fn batch(chance: &mut Chance, rows: usize) -> RecordBatch {
    let some = |chance: &mut Chance| chance.below(15) > 0;
    let sexes = ["f", "f", "f", "m", "m", "F", "unknown", ""];
    let sex: StringArray = (0..rows).map(|_| some(chance).then(|| chance.pick(&sexes))).collect();
    let wards = [-7, 0, 0, 0, 12, 12, 13, i64::MAX];
    let ward: Int64Array = (0..rows).map(|_| some(chance).then(|| chance.pick(&wards))).collect();
    let visits = [0, 1, 2, 3, 20, 21, -1, i64::MIN, i64::MAX];
    let visits: Int64Array = (0..rows).map(|_| some(chance).then(|| chance.pick(&visits))).collect();
    let smoker: BooleanArray = (0..rows).map(|_| some(chance).then(|| chance.below(3) == 0)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("age", doubles(chance, rows, 45.0), true),
        ("bmi", doubles(chance, rows, 27.0), true),
        ("visits", Arc::new(visits) as ArrayRef, true),
        ("sex", Arc::new(sex) as ArrayRef, true),
        ("ward", Arc::new(ward) as ArrayRef, true),
        ("smoker", Arc::new(smoker) as ArrayRef, true),
    ])
    .expect("columns of one length")
}
