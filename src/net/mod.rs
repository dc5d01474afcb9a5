//! How programs of this kind reach each other: TLS pinned to the genesis file, gRPC on top.

pub mod client;
pub mod listener;
pub mod tls;
