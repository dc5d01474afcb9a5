//! What a worker takes away from itself, elsewhere than on Linux: nothing. Its parent's deadline and the query's own memory
//! pool are what is left.

use std::path::Path;

use consilium_engine::worker::Isolation;

pub(super) fn restrict(_: Option<&Path>) -> Isolation {
    Isolation::default()
}
