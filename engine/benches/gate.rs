//! What the gate costs.

use criterion::{Criterion, criterion_group, criterion_main};

fn gate(_: &mut Criterion) {}

criterion_group!(benches, gate);
criterion_main!(benches);
