//! The alternative to cells: tfhe-rs's 64-bit integers, encrypted under its compact public key, added by bootstrapping.
//!
//! Times are for one integer, those of `cells/…/4096` in the other benchmark for 4,096 cells. Integers can do far more
//! than add, and have no need to: this is what the sum of contributions would cost with them.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use tfhe::prelude::*;
use tfhe::shortint::parameters::{
    PARAM_KEYSWITCH_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128, PARAM_PKE_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
};
use tfhe::{
    ClientKey, CompactCiphertextList, CompactPublicKey, ConfigBuilder, FheUint64, generate_keys, set_server_key,
};

const CELLS: u64 = 1;
const HOSPITALS: usize = 16;

fn encrypt(key: &CompactPublicKey) -> CompactCiphertextList {
    let mut list = CompactCiphertextList::builder(key);
    (0..CELLS).for_each(|cell| {
        list.push(cell);
    });
    list.build()
}

fn expand(list: &CompactCiphertextList) -> Vec<FheUint64> {
    let expanded = list.expand().expect("the server key can expand");
    let get = |i| expanded.get(i).expect("an integer of 64 bits").expect("at that position");
    (0..CELLS as usize).map(get).collect()
}

fn integers(c: &mut Criterion) {
    let config = ConfigBuilder::default()
        .use_dedicated_compact_public_key_parameters((
            PARAM_PKE_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
            PARAM_KEYSWITCH_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
        ))
        .build();
    let (client_key, server_key): (ClientKey, _) = generate_keys(config);
    let public_key = CompactPublicKey::new(&client_key);
    set_server_key(server_key);

    let mut group = c.benchmark_group("fheuint64");
    group.sample_size(10);
    group.bench_function("encrypt/1", |b| b.iter(|| encrypt(&public_key)));
    let list = encrypt(&public_key);
    group.bench_function("expand/1", |b| b.iter(|| expand(&list)));
    let contributions = vec![expand(&list); HOSPITALS];
    let add = || -> Vec<FheUint64> {
        (0..CELLS as usize).map(|cell| contributions.iter().map(|cells| &cells[cell]).sum()).collect()
    };
    group.bench_function("add/16x1", |b| b.iter(add));
    let sums = add();
    group.bench_function("open/1", |b| {
        b.iter(|| sums.iter().map(|sum| sum.decrypt(&client_key)).collect::<Vec<u64>>());
    });
    group.finish();
}

criterion_group!(benches, integers);
criterion_main!(benches);
