//! Whole guarded rounds, from a hospital's counts to the researcher's joint cells, by what the crate gives its users.

mod round;
