//! The worker's loop: one request, one answer, until the node is gone.

use std::io::{self, Read, Write};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, mpsc};

use futures::FutureExt as _;
use tokio::runtime::Runtime;

use super::VERSION;
use super::desk::Desk;
use super::frame::{self, Caps};
use super::reply::{Isolation, Refusal, Reply};
use super::request::{Request, Start};
use crate::store::Dial;

/// Serves a node until its side of the pipe closes. Plans on the calling thread, whose stack must be large: the depth of a
/// plan is the depth of a recursion.
///
/// A database is reached by `dial`.
///
/// `gone` is called as soon as the node's side closes, also in the middle of a study, which nobody waits for any more.
///
/// # Errors
/// When the node is gone, or does not keep to the protocol.
pub fn serve(
    runtime: &Runtime,
    start: &Start,
    isolation: Isolation,
    dial: Option<Arc<dyn Dial>>,
    mut input: impl Read + Send + 'static,
    output: &mut impl Write,
    gone: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let mut refuse = |refusal: Refusal| frame::write(output, &Reply::Refused(refusal), &[]);
    if start.version != VERSION {
        return refuse(Refusal::Version);
    }
    // Whatever panics, the node gets an answer.
    let opened = runtime.block_on(AssertUnwindSafe(Desk::open(start, dial)).catch_unwind());
    let (mut desk, summary) = match opened.unwrap_or(Err(Refusal::Panicked)) {
        Ok(opened) => opened,
        Err(refusal) => return refuse(refusal),
    };
    frame::write(output, &Reply::Ready { version: VERSION, isolation, summary }, &[])?;

    let (tell, hear) = mpsc::sync_channel::<(Request, Vec<u8>)>(1);
    std::thread::spawn(move || {
        while let Ok(Some(message)) = frame::read(&mut input, Caps::REQUEST) {
            if tell.send(message).is_err() {
                return;
            }
        }
        gone();
    });
    for (request, body) in hear {
        let answer = runtime.block_on(AssertUnwindSafe(desk.answer(request, body)).catch_unwind());
        match answer.unwrap_or(Err(Refusal::Panicked)) {
            Ok((reply, body)) => frame::write(output, &reply, &body)?,
            Err(refusal) => frame::write(output, &Reply::Refused(refusal), &[])?,
        }
    }
    Ok(())
}
