# Everything a developer runs.

export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", home_directory() / ".cache/consilium-target")

# List the recipes
default:
    @just --list

# Say whether the tree is fit: formatting, lints, licences
verify:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets --locked -- -D warnings
    if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; else echo "cargo-deny is not installed: skipped"; fi

# Look dependencies up among the known advisories; needs cargo-deny and the network
advisories:
    cargo deny check

# Rewrite what can be rewritten
fix:
    cargo clippy --release --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# All tests
test:
    cargo test --release --workspace

# Draw studies at random and hold their cohorts against PostgreSQL's; the nightly number of them
oracle queries="10000" seed="1":
    CONSILIUM_ORACLE_QUERIES={{queries}} CONSILIUM_ORACLE_SEED={{seed}} cargo test --release --workspace --test it oracle -- --nocapture

# What takes too long for every change: many studies beside another engine, many guarded ones, many commits about one patient
nightly queries="10000" seed="1" rounds="200" studies="100000" sequences="10000":
    just oracle {{queries}} {{seed}}
    CONSILIUM_LATTICE_STUDIES={{studies}} CONSILIUM_LATTICE_SEED={{seed}} cargo test --release --workspace --lib no_small_group -- --nocapture
    CONSILIUM_ACROSS_SEQUENCES={{sequences}} CONSILIUM_LATTICE_SEED={{seed}} cargo test --release --workspace --lib no_few_patients -- --nocapture
    CONSILIUM_SLOT_ROUNDS={{rounds}} cargo test --release --workspace --test e2e one_patient -- --nocapture

# All benches; the table in docs/performance.md is made from them
bench:
    cargo bench --workspace
    cargo bench -p consilium-engine --features bench-fheuint64 --bench fheuint64 --bench guard

# The demo
demo:
    cargo run --release -- demo
