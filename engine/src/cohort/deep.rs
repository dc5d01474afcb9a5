//! A thread with room for deep recursion.
//!
//! Reading, planning and dropping a query recurse as deep as it is nested, in code that is not ours; where a thread's
//! stack ends, the whole process does. A panic stays on that thread.

use tokio::sync::oneshot;

/// Bytes of stack. Pages that are never touched take no memory.
const STACK: usize = 64 << 20;

/// The work on a deep stack panicked, or there was no thread for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work ended without a result")]
pub struct Panicked;

/// Does some work on a thread of its own, with 64 MiB of stack, inside a runtime of its own.
///
/// # Errors
/// [`Panicked`].
pub async fn on_a_deep_stack<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, Panicked>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (done, outcome) = oneshot::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let Ok(runtime) = runtime else { return };
        // Nobody waits any more where the receiver is gone.
        let _ = done.send(runtime.block_on(async { work().await }));
    };
    std::thread::Builder::new().name("planning".to_string()).stack_size(STACK).spawn(work).map_err(|_| Panicked)?;
    outcome.await.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(levels: usize) -> usize {
        let frame = std::hint::black_box([levels; 64]);
        if levels == 0 { 0 } else { deep(levels - 1) + usize::from(frame[0] == levels) }
    }

    #[tokio::test]
    async fn recursion_has_room_and_a_panic_stays_there() {
        // More than any other thread of this program has.
        assert_eq!(on_a_deep_stack(|| async { deep(50_000) }).await, Ok(50_000));
        assert_eq!(on_a_deep_stack(|| async { panic!("a planner's") as usize }).await, Err(Panicked));
    }
}
