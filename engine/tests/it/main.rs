//! Behaviour of the engine as its users see it, a file per subject.

#![allow(unreachable_pub, reason = "modules of one test binary")]

mod answers;
mod attacks;
mod caps;
mod exports;
mod families;
mod gate;
mod guard;
mod hospital;
mod hostile;
mod one_row;
mod oracle;
mod patientwise;
mod privacy;
mod real;
mod spelling;
mod statistics;
mod store;
mod total;
mod windows;
