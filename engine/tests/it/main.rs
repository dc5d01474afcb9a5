//! Behaviour of the engine as its users see it, a file per subject.

mod gate;
mod hospital;
mod hostile;
mod real;
mod statistics;
mod store;
