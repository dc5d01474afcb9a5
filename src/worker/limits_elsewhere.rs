//! Limits that a parent sets on its worker, elsewhere than on Linux: none.

use std::io;
use std::time::Duration;

pub(super) fn at_start(_: u32, _: u64, _: usize) -> io::Result<()> {
    Ok(())
}

pub(super) fn data(_: u32, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn processor(_: u32, _: Duration) -> io::Result<()> {
    Ok(())
}

pub(super) fn data_used(_: u32) -> io::Result<u64> {
    Ok(0)
}
