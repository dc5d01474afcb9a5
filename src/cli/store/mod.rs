//! `consilium store`: a hospital's tables.

mod arrange;
mod map;

use clap::Subcommand;

use super::{Failure, Global};

/// `consilium store`
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Lay the tables out by patient, so that studies take less time and memory
    Arrange(arrange::Args),
    /// Say where this hospital has a table of the consortium's catalogue, and under which names
    Map(map::Args),
}

/// Runs the command.
pub(crate) async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    match args.command {
        Command::Arrange(args) => arrange::run(&args, global).await,
        Command::Map(args) => map::run(&args, global).await,
    }
}
