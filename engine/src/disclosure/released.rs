//! What disclosure control has passed.

use std::fmt;

use serde::{Serialize, Serializer};

/// A value that may be shown.
///
/// Only [`release`](super::release) makes one: outside of this module there is no constructor.
///
/// ```compile_fail,E0423
/// let shortcut = consilium_engine::disclosure::Released(42);
/// ```
///
/// ```compile_fail,E0624
/// let shortcut = consilium_engine::disclosure::Released::new(42);
/// ```
///
/// Cells that were opened, but did not pass here, cannot be printed or saved:
///
/// ```compile_fail,E0599
/// fn print(opened: &consilium_engine::cells::OpenedCells) -> String {
///     opened.to_string()
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn save(opened: &consilium_engine::cells::OpenedCells) -> impl serde::Serialize {
///     opened
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Released<T>(T);

impl<T> Released<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Display> fmt::Display for Released<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for Released<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
