//! Compiles the wire messages with `protox`, so that no system `protoc` is needed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["consilium/v1/consilium.proto"], ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // For gRPC reflection.
    let encoded = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(out.join("consilium.descriptors"), encoded)?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
