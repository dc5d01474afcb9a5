//! Behaviour of the engine as its users see it, a file per subject.

#![allow(unreachable_pub, reason = "modules of one test binary")]

mod alike;
mod answers;
mod arranged;
mod attacks;
mod caps;
mod exports;
mod families;
mod forms;
mod gate;
mod guard;
mod hospital;
mod hostile;
mod library;
mod one_row;
mod oracle;
mod patientwise;
#[cfg(feature = "postgres")]
mod postgres;
mod privacy;
mod real;
mod rewrites;
#[cfg(feature = "postgres")]
mod scale;
mod spelling;
mod statistics;
mod store;
mod total;
mod windows;
