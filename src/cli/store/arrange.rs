//! `consilium store arrange`: the same tables, laid out by patient.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use consilium_engine::cohort::{Limits, Trial, trial};
use consilium_engine::store::{
    ArrangeError, Arrangement, ArrangementTable, Options, Place, Progress, Store, StoreConfig, UnreadableTable, arrange,
};
use consilium_protocol::catalogue::CatalogueTable;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::node::stop_on_signal;
use crate::cli::place::{DatabaseArgs, check_folder, place};
use crate::cli::{Failure, Global, counted, term};
use crate::home::config::NodeConfig;
use crate::home::{Home, Role};

/// `consilium store arrange`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium store arrange --to /srv/arranged                   the tables of this hospital's home
  consilium store arrange                                      again, into the configured folder
  consilium store arrange --store export/ --to /srv/arranged   those of a folder, without any home

Run it again after every export: only what has changed is written. Columns and rows that no study may read are left out. \
Where a table that is laid out is missing, unreadable or empty in the export, or has lost more than half of its rows, nothing \
is changed, and it ends with 1; --accept-fewer accepts that. Only you can read the files, as patients' rows are in them: run \
it as the user whom the node runs as.")]
pub(super) struct Args {
    /// The folder to write: empty, not there yet, or arranged before (default: `arranged` in the [store] section of the home's
    /// consilium.toml)
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// The tables of this folder or database instead of the home's
    #[arg(long, value_name = "DIR|URL")]
    store: Option<OsString>,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Replace what is laid out even where a table is gone, or has less than half of its rows
    #[arg(long)]
    accept_fewer: bool,
    /// The memory that sorting may take, in mebibytes; what does not fit is put on disk, in the folder that is written. The files
    /// are the same, whatever it is
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(64..=1_048_576))]
    memory: u64,
}

pub(super) async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let Job { config, catalogue, to, is_configured } = job(args, global)?;
    let to = &to;
    let signalled = CancellationToken::new();
    tokio::spawn(stop_on_signal(signalled.clone()));
    let spinner = term::spinner("reading the tables");
    let opened = tokio::select! {
        opened = Store::open(&config, &catalogue) => opened.map_err(ArrangeError::from),
        () = signalled.cancelled() => Err(ArrangeError::Stopped),
    };
    spinner.finish_and_clear();
    let store = opened?;
    let memory_bytes = usize::try_from(args.memory << 20).unwrap_or(usize::MAX);
    let options = Options { memory_bytes, careful: !args.accept_fewer, ..Options::default() };
    let (stop, signal) = (Arc::clone(&options.stop), signalled.clone());
    tokio::spawn(async move {
        signal.cancelled().await;
        stop.store(true, Ordering::Relaxed);
    });
    let arrangement = arranged(&store, to, &options).await?;
    let spinner = term::spinner("trying what it saves");
    let place = Place::Arranged { folder: to.clone(), of: Box::new(config.place.clone()) };
    let after = StoreConfig { place, ..config };
    let tried = tokio::select! {
        tried = tried(&store, &catalogue, &after) => tried,
        () = signalled.cancelled() => None,
    };
    spinner.finish_and_clear();
    let milliseconds = |trial: &Trial| u64::try_from(trial.took.as_millis()).unwrap_or(u64::MAX);
    let trial = tried.as_ref().map(|(before, after)| {
        json!({ "table": before.table, "before_ms": milliseconds(before), "after_ms": milliseconds(after) })
    });
    let unreadable = arrangement.unreadable.iter().map(|UnreadableTable { name, reason, .. }| {
        format!("`{name}` is not laid out, and no study can read it: {reason}")
    });
    let empty = arrangement.tables.iter().filter(|table| table.rows == 0);
    let empty = empty.map(|table| format!("`{}` has no rows; is the export complete?", table.name));
    let warnings: Vec<String> = unreadable.chain(empty).collect();
    let shown = json!({ "folder": to, "arranged": arrangement, "trial": trial, "warnings": warnings });
    term::show(global.json, &shown, |_| {
        let mut text = page(to, &arrangement, tried.as_ref());
        if !is_configured {
            let _ = write!(
                text,
                "\nNext: add `arranged = \"{}\"` to the [store] section of the node's consilium.toml, and run `{}` after every \
                 export.\n",
                to.display(),
                global.next("store arrange")
            );
        }
        text
    });
    warnings.iter().for_each(term::warn);
    Ok(())
}

/// What is arranged, and where to.
struct Job {
    config: StoreConfig,
    catalogue: Vec<CatalogueTable>,
    to: PathBuf,
    /// Whether a node reads it there.
    is_configured: bool,
}

fn job(args: &Args, global: &Global) -> Result<Job, Failure> {
    if let Some(store) = &args.store {
        let Some(to) = args.to.clone() else {
            return Err(Failure::usage("--store: name the folder to write, too, with --to"));
        };
        let to = std::path::absolute(to)?;
        let place = place(store, &args.database)?;
        check_folder(&place)?;
        return Ok(Job { config: StoreConfig::at(place), catalogue: Vec::new(), to, is_configured: false });
    }
    args.database.check_unused()?;
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let store = NodeConfig::read(home.path())?.store;
    let configured = if let Place::Arranged { folder, .. } = &store.place { Some(folder.clone()) } else { None };
    let to = args.to.as_ref().map(std::path::absolute).transpose()?.or_else(|| configured.clone());
    let Some(to) = to else {
        return Err(Failure::usage(
            "name the folder to write with --to; the configuration names none (`arranged` in [store])",
        ));
    };
    let is_configured = configured.as_ref() == Some(&to);
    Ok(Job { config: store.source(), catalogue: home.catalogue()?, to, is_configured })
}

async fn arranged(store: &Store, to: &Path, options: &Options) -> Result<Arrangement, Failure> {
    let mut bar: Option<indicatif::ProgressBar> = None;
    let mut before = 0;
    // Every row is read once and written once; the bar shows after the first tick, which is not before a moment has passed.
    let mut progress = |progress: Progress| match progress {
        Progress::Opened { rows } => bar = Some(term::progress("arranging", 2 * rows)),
        Progress::Table { name, rows, read, done } => {
            if let Some(bar) = &bar {
                bar.set_message(format!("arranging {name}"));
                bar.set_position(before + read.min(rows) + done);
                if done >= rows {
                    before += 2 * rows;
                }
            }
        }
        _ => {}
    };
    let arranged = arrange(store, to, options, &mut progress).await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    arranged.map_err(|error| match error {
        ArrangeError::SameFolder { .. } => Failure::usage(format!("--to {error}")),
        error => error.into(),
    })
}

/// A query over the tables as they were and as they are now; none where there are no rows. That it fails is no reason to say
/// that the store was not arranged.
async fn tried(before: &Store, catalogue: &[CatalogueTable], after: &StoreConfig) -> Option<(Trial, Trial)> {
    let limits = Limits::default();
    let before = trial(before, None, &limits).await.ok()??;
    let after = trial(&Store::open(after, catalogue).await.ok()?, Some(&before.table), &limits).await.ok()??;
    Some((before, after))
}

fn page(to: &Path, arrangement: &Arrangement, tried: Option<&(Trial, Trial)>) -> String {
    let Arrangement { patients, buckets, tables, unreadable } = arrangement;
    let left_out = |table: &ArrangementTable| table.left_out.nobodys + table.left_out.strangers;
    let numbers = |header: &str, number: &dyn Fn(&ArrangementTable) -> String| {
        term::to_the_right(header, tables.iter().map(number).collect())
    };
    let columns = [
        numbers("rows", &|table| term::number(table.rows as u64)),
        numbers("left out", &|table| term::number(left_out(table))),
        numbers("before", &|table| table.bytes_before.map_or_else(|| "-".to_string(), term::bytes)),
        numbers("now", &|table| term::bytes(table.bytes)),
        numbers("files written", &|table| {
            format!("{} of {}", term::number(table.files_written as u64), term::number(table.files as u64))
        }),
    ];
    let [rows, left_out_rows, before, now, files] = &columns;
    let header = ["table", &rows.0, &left_out_rows.0, &before.0, &now.0, &files.0];
    let row = |(at, table): (usize, &ArrangementTable)| {
        [&table.name, &rows.1[at], &left_out_rows.1[at], &before.1[at], &now.1[at], &files.1[at]].map(String::clone)
    };
    let mut text = format!(
        "{} in {}, in {}\n\n{}\n",
        counted(*patients as u64, "patient"),
        counted(*buckets as u64, "bucket"),
        to.display(),
        term::table(header, tables.iter().enumerate().map(row))
    );
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(text, "\n{title}\n");
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
    };
    let rows_of = |table: &ArrangementTable| {
        let nobodys =
            (table.left_out.nobodys > 0).then(|| format!("{} without a person", term::number(table.left_out.nobodys)));
        let strangers = (table.left_out.strangers > 0)
            .then(|| format!("{} of people who are not in PERSON", term::number(table.left_out.strangers)));
        let said: Vec<String> = nobodys.into_iter().chain(strangers).collect();
        (!said.is_empty()).then(|| format!("{}: {}", table.name, said.join(", ")))
    };
    section("Rows that nobody could ever see, left out", tables.iter().filter_map(rows_of).collect());
    let columns_of = |table: &ArrangementTable| {
        (!table.withheld.is_empty()).then(|| format!("{}: {}", table.name, table.withheld.join(", ")))
    };
    section("Columns that no study may read, left out", tables.iter().filter_map(columns_of).collect());
    let unreadable_of = |table: &ArrangementTable| {
        table
            .unreadable
            .iter()
            .map(|column| format!("{}: `{}`: {}", table.name, column.name, column.what))
            .collect::<Vec<_>>()
    };
    section("Columns that could not be read, left out", tables.iter().flat_map(unreadable_of).collect());
    section(
        "Tables that could not be read, and are not laid out",
        // Why is warned of.
        unreadable.iter().map(|table| table.name.clone()).collect(),
    );
    if let Some((before, after)) = tried {
        let _ = write!(
            text,
            "\nCounting the rows of every patient in `{}` took {:.2} s over the tables as they were, and {:.2} s over these.\n",
            before.table,
            before.took.as_secs_f64(),
            after.took.as_secs_f64()
        );
    }
    text
}
