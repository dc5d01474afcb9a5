//! Bootstraps of many groups over the cores of a machine.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::bootstrap::Bootstrapper;
use super::server_key::GuardServerKey;

/// How far a guarded round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many pieces of work are done: decisions about groups, conjunctions, sealed seeds.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

/// Who does the work, with what, and who is told.
pub(super) struct Work<'a> {
    pub(super) key: &'a GuardServerKey,
    pub(super) threads: NonZeroUsize,
    pub(super) progress: &'a (dyn Fn(Progress) + Sync),
    pub(super) done: AtomicUsize,
    pub(super) total: usize,
}

impl Work<'_> {
    /// Does every piece once, on as many threads as are of use, and gives the results in the order of the pieces. Blocks.
    pub(super) fn each<T: Sync, R: Send>(
        &self,
        pieces: &[T],
        piece: impl Fn(&mut Bootstrapper<'_>, &T) -> R + Sync,
    ) -> Vec<R> {
        let next = AtomicUsize::new(0);
        let run = || {
            let mut bootstrapper = Bootstrapper::new(self.key);
            let mut results = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(of) = pieces.get(at) else { return results };
                results.push((at, piece(&mut bootstrapper, of)));
                let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                (self.progress)(Progress { done, total: self.total });
            }
        };
        let mut results: Vec<(usize, R)> = thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads.get().min(pieces.len())).map(|_| scope.spawn(run)).collect();
            let mut results = run();
            for other in others {
                results.extend(
                    other.join().expect("neither a bootstrap of checked shapes nor the caller's progress panics"),
                );
            }
            results
        });
        results.sort_unstable_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
