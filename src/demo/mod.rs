//! `consilium demo`: the whole life of a study between real node processes on this machine, and at its end what only a
//! demo can show: the same statistics in plaintext beside the opened ones, cell by cell.

pub mod acts;
mod consents;
pub mod consortium;
pub mod oracle;
pub mod plain;
mod report;
mod scenes;
mod stage;
pub mod synthetic;

use std::path::PathBuf;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::{Failure, Global, term};

/// `consilium demo`
#[derive(clap::Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  consilium demo
  consilium demo --patients 100000 --hospitals 5
  consilium demo --json > report.json
  consilium demo --keep")]
pub struct Args {
    /// Patients of each hospital, 100 to 1,000,000
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    patients: u32,
    /// Hospitals, 4 to 16
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(4..=16))]
    hospitals: u32,
    /// Where all chance comes from
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Leave everything running, and say what to try next
    #[arg(long)]
    keep: bool,
    /// Where the homes go (default: a new temporary folder, removed at the end unless --keep)
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// How long a step took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) seconds: f64,
}

/// Runs the demo.
pub(crate) async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let signalled = tokio::spawn(crate::cli::node::stop_on_signal(stop.clone()));
    let temporary = match &args.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            if std::fs::read_dir(folder)?.next().is_some() {
                return Err(Failure::new(format!("{} is not empty; name a new folder", folder.display())));
            }
            None
        }
        None => Some(tempfile::Builder::new().prefix("consilium-demo-").tempdir()?),
    };
    let folder = match (&args.folder, &temporary) {
        (Some(folder), _) => std::path::absolute(folder)?,
        (None, Some(temporary)) => temporary.path().to_path_buf(),
        (None, None) => return Err(Failure::new("no folder; name one with --folder")),
    };
    // Dropping what plays stops every process it started, whatever the reason.
    let played = tokio::select! {
        played = scenes::play(&args, &folder, global) => played,
        () = stop.cancelled() => Err(Failure::new("interrupted; every process of the demo has been stopped")),
    };
    signalled.abort();
    let (report, mut consortium) = played?;
    if args.keep {
        let folder = temporary.map_or(folder, tempfile::TempDir::keep);
        let pids = consortium.leave_running();
        if !global.json {
            term::line(report::try_next(&folder, &report, &pids));
        }
    } else {
        consortium.stop_all().await;
    }
    if global.json {
        term::show(true, &report, |_| String::new());
    }
    if report.exact {
        Ok(())
    } else {
        Err(Failure::integrity("the opened result differs from the plaintext; please report this"))
    }
}
