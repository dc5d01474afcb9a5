//! Limits that a parent sets on its worker, and what it sees of it.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// How many files a worker may have open.
const FILES: u64 = 4_096;
/// Address space that is reserved for each thread and hardly used: its stack, and an arena of the allocator.
const BY_THREAD: u64 = 160 << 20;
/// Address space that is left beyond twice the data.
const ROOM: u64 = 512 << 20;

fn pid(of: u32) -> io::Result<Pid> {
    let pid = i32::try_from(of).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Sets a limit, or what this process was itself given where that is less: nobody may raise it.
fn set(of: u32, resource: Resource, current: u64, maximum: Option<u64>) -> io::Result<()> {
    let inherited = getrlimit(resource).maximum;
    let least = |limit: u64| inherited.map_or(limit, |inherited| limit.min(inherited));
    let maximum = maximum.map(least).or(inherited);
    prlimit(Some(pid(of)?), resource, Rlimit { current: Some(least(current)), maximum })?;
    Ok(())
}

/// Limits for a process that has not begun: `most_data` bytes of memory of its own, however they are changed later.
pub(super) fn at_start(of: u32, most_data: u64, threads: usize) -> io::Result<()> {
    set(of, Resource::Core, 0, Some(0))?;
    set(of, Resource::Nofile, FILES, Some(FILES))?;
    // It has no file to write.
    set(of, Resource::Fsize, 0, Some(0))?;
    let space = most_data.saturating_mul(2).saturating_add(ROOM).saturating_add(BY_THREAD * threads as u64);
    set(of, Resource::As, space, Some(space))?;
    set(of, Resource::Data, most_data, Some(most_data))
}

/// Limits from now on: bytes of memory of its own, within those at the start.
pub(super) fn data(of: u32, bytes: u64, most: u64) -> io::Result<()> {
    set(of, Resource::Data, bytes.min(most), Some(most))
}

/// Limits from now on: so much processor time more than it has used. What it is given now must not be the most that it can
/// ever be given, so it could raise this one itself; the deadline is what it cannot move.
pub(super) fn processor(of: u32, more: Duration) -> io::Result<()> {
    let seconds = processor_used(of)?.saturating_add(more).as_secs().saturating_add(1);
    set(of, Resource::Cpu, seconds, None)
}

/// The processor time that all threads have used.
fn processor_used(of: u32) -> io::Result<Duration> {
    let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
    let stat = fs::read_to_string(format!("/proc/{of}/stat"))?;
    // The second field is a name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(unreadable)?;
    let mut fields = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let (Some(Ok(user)), Some(Ok(system))) = (fields.next(), fields.next()) else { return Err(unreadable()) };
    let ticks = user.saturating_add(system);
    Ok(Duration::from_millis(ticks.saturating_mul(1_000) / clock_ticks_per_second().max(1)))
}

/// How much memory of its own it has, as the kernel counts it against the limit.
pub(super) fn data_used(of: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{of}/status"))?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmData:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.map(|kib: u64| kib << 10).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}
