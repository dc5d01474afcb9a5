//! Every handler: what it accepts, and each reason for which it does not.

mod blame;
mod consent;
mod enrol;
mod envelope;
mod golden;
mod guarded;
mod key_sets;
mod keys;
mod late;
mod model;
mod people;
mod policy;
mod reading;
mod researchers;
mod rounds;
mod studies;
