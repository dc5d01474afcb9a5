//! The program `consilium`; everything is in the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread is made.
    if std::env::args_os().nth(1).is_some_and(|first| first == consilium::worker::COMMAND) {
        return consilium::worker::main();
    }
    consilium::cli::main()
}
