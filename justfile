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

# The engine's tests over stores laid out by patient, with so many in a bucket
arranged patients="7":
    CONSILIUM_ARRANGED={{patients}} cargo test --release --workspace --test it

# The engine's tests, few rows worked on as many are
large:
    CONSILIUM_LARGE=1 cargo test --release --workspace --test it

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

# An archive to hand out, with its checksum and a list of all that is built into it (CycloneDX); the network is needed once, for cargo-sbom
dist:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --profile dist --locked --bin consilium
    tools="$CARGO_TARGET_DIR/tools"
    [ -x "$tools/bin/cargo-sbom" ] || cargo install cargo-sbom --version 0.10.0 --locked --root "$tools" --target-dir "$tools/target"
    name="consilium-$(cargo pkgid | sed 's/.*[#@]//')-$(rustc -vV | sed -n 's/^host: //p')"
    out="$CARGO_TARGET_DIR/archive"
    rm -rf "$out"
    mkdir -p "$out/$name"
    cp -r "$CARGO_TARGET_DIR/dist/consilium" README.md LICENSE CHANGELOG.md docs examples "$out/$name/"
    "$tools/bin/cargo-sbom" sbom --cargo-package consilium --output-format cyclone_dx_json_1_6 > "$out/$name.cdx.json"
    cp "$out/$name.cdx.json" "$out/$name/"
    # The same tree gives the same archive.
    when="$(git log -1 --format=%ct 2>/dev/null || echo 0)"
    tar --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner -C "$out" -cf - "$name" | xz -9 > "$out/$name.tar.xz"
    rm -r "${out:?}/$name"
    (cd "$out" && sha256sum -- * > SHA256SUMS && ls -l && cat SHA256SUMS)
