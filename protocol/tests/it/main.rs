//! Golden bytes of everything that this crate defines to be stored or sent, and files that people write.

mod golden;
mod study_files;
