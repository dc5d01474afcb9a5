//! Behaviour of the engine as its users see it, a file per subject.

#![allow(unreachable_pub, reason = "modules of one test binary")]

mod gate;
mod hospital;
mod hostile;
mod real;
mod statistics;
mod store;
