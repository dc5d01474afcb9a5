//! `consilium store map`: which file, and which of its columns, a table of the catalogue is.

use std::collections::BTreeMap;

use consilium_engine::store::{Place, Store, StoreConfig, StoreSummary, TableConfig, without_endings};
use consilium_protocol::catalogue::CatalogueTable;
use serde_json::{Value, json};
use toml_edit::{DocumentMut, Item, Table, value};

use crate::cli::{Failure, Global, conclude, term};
use crate::home::config::{self, NodeConfig};
use crate::home::files::{self, Readable};
use crate::home::{Home, Role};

/// `consilium store map`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium store map registry                             how it is read now
  consilium store map registry --file tumours_2025 --column patient=PATNR --column stage=UICC
  consilium store map registry --reset                     forget where it was said to be

Columns that are called the same need not be named; capitals make no difference. Columns are called on the left as in the \
catalogue's entry (`consilium table list`). What reads fewer columns than before is not written.")]
pub(crate) struct Args {
    /// The table of the catalogue
    table: String,
    /// The name of its file or folder within the store, without a path (default: the table's)
    #[arg(long)]
    file: Option<String>,
    /// A column of the table, or its subject, and what the file calls it; again for each
    #[arg(long = "column", value_name = "COLUMN=OWN", value_parser = pair)]
    columns: Vec<(String, String)>,
    /// Forget what was said of the table before; otherwise what is given is added to that
    #[arg(long)]
    reset: bool,
    /// Write it even where columns that were read before are not read any more
    #[arg(long)]
    accept_fewer: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, own)) if !column.is_empty() && !own.is_empty() => Ok((column.to_string(), own.to_string())),
        _ => Err("write the catalogue's name, `=`, and the file's name for the column".to_string()),
    }
}

pub(super) async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let catalogue = home.genesis()?.table;
    let configured = NodeConfig::read(home.path())?.store;
    let says = args.file.is_some() || !args.columns.is_empty();
    let said = configured.tables.get(&args.table);
    if let Some(said) = said.filter(|_| args.reset && !says) {
        return reset(args, global, &home, said).await;
    }
    let Some(table) = catalogue.iter().find(|table| table.name == args.table) else {
        let names = catalogue.iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ");
        let has = if names.is_empty() { "no tables".to_string() } else { names };
        return Err(Failure::new(format!("the catalogue has no table `{}`; it has {has}", args.table)));
    };
    if args.reset && !says {
        let report = json!({ "table": table.name, "forgotten": false });
        let text = format!("nothing is said of `{}` in consilium.toml, so there is nothing to forget", table.name);
        term::show(global.json, &report, |_| text);
        return Ok(());
    }
    let given = given(table, &args.columns)?;
    if let Some(file) = args.file.as_deref().filter(|file| file.contains(['/', '\\'])) {
        return Err(Failure::usage(format!(
            "--file {file}: it is the name of a file or folder within the store, without a path; the store is {}",
            configured.source().place
        )));
    }
    let is_arranged = matches!(configured.place, Place::Arranged { .. });
    // What was arranged has the names of the catalogue already.
    let mut config = configured.source();
    let before = match said {
        Some(_) if says => open(&config, &catalogue).await.ok().map(|summary| Outcome::of(table, &summary)),
        _ => None,
    };
    if says {
        let mapped = config.tables.entry(table.name.clone()).or_default();
        if args.reset {
            *mapped = TableConfig::default();
        }
        let file = args.file.as_deref().map(|file| without_endings(file).to_string());
        mapped.file = file.or(mapped.file.take());
        mapped.columns.extend(given);
    }
    let summary = open(&config, &catalogue).await?;
    let mapping = config.tables.get(&table.name).cloned().unwrap_or_default();
    let outcome = Outcome::of(table, &summary);
    let readable = matches!(outcome, Outcome::Read { .. });
    let lost = before.map(|before| before.lost_in(&outcome)).unwrap_or_default();
    let is_kept = !lost.is_empty() && readable && !args.accept_fewer;
    let writes = says && readable && !is_kept;
    if writes {
        write(&home, &table.name, config.tables.get(&table.name))?;
    }
    let report = json!({ "table": table.name, "readable": readable, "written": writes, "lost": lost, "file": outcome.file(),
        "mapping": mapping, "columns": outcome.columns(table) });
    let text = |_: &Value| {
        let next = match (writes, readable) {
            (true, true) if is_arranged => {
                format!(
                    "\n\nIt stands in consilium.toml. Next: {}, and start the node again",
                    global.next("store arrange")
                )
            }
            (true, true) => {
                "\n\nIt stands in consilium.toml; a node that runs takes it up when it is started again.".to_string()
            }
            (_, false) => format!("\n\nNext: {}", global.next("store map … --file … --column …")),
            (false, true) => String::new(),
        };
        let sought = match outcome {
            Outcome::Absent => sought(&config.place, mapping.file.as_ref().unwrap_or(&table.name), &summary),
            _ => String::new(),
        };
        format!("{}{sought}{next}", outcome.page(table))
    };
    let failure = match outcome {
        Outcome::Read { .. } if is_kept => Some(Failure::new(format!(
            "nothing was written: before, {} could be read, too; correct what is said, or write it with --accept-fewer",
            lost.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
        ))),
        Outcome::Read { .. } => None,
        _ => Some(Failure::new(format!(
            "`{}` cannot be read here, and nothing was written; correct --file or --column, or the file",
            table.name
        ))),
    };
    conclude(global.json, &report, text, failure)
}

/// The columns that are given, by the catalogue's names for them.
fn given(table: &CatalogueTable, columns: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut given = BTreeMap::new();
    for (column, own) in columns {
        let name = column.to_ascii_lowercase();
        if name != table.subject && table.column(&name).is_none() {
            let names = std::iter::once(&table.subject).chain(table.columns.iter().map(|column| &column.name));
            let names = names.map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("`{column}` is no column of `{}`; it has {names}", table.name)));
        }
        if let Some(other) = given.insert(name, own.clone()) {
            return Err(Failure::usage(format!(
                "--column {column}: it is said to be `{other}` and `{own}`; leave one out"
            )));
        }
    }
    Ok(given)
}

/// What was looked for in vain, and what there is instead.
fn sought(place: &Place, file: &str, summary: &StoreSummary) -> String {
    const SHOWN: usize = 12;
    let mut text = format!("; `{file}` was looked for in {place}");
    let names: Vec<&str> = summary.ignored.iter().map(|file| file.name.as_str()).collect();
    if !names.is_empty() {
        let more = names.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("\n\nThere, and no tables: {}{more}", names[..names.len().min(SHOWN)].join(", ")));
    }
    text
}

/// Forgets what was said of a table, whether it can be read without that or not.
async fn reset(args: &Args, global: &Global, home: &Home, said: &TableConfig) -> Result<(), Failure> {
    write(home, &args.table, None)?;
    let catalogue = home.genesis()?.table;
    let config = NodeConfig::read(home.path())?.store.source();
    let now = match (catalogue.iter().find(|table| table.name == args.table), open(&config, &catalogue).await) {
        (Some(table), Ok(summary)) => Outcome::of(table, &summary).page(table),
        (Some(_), Err(error)) => error.message().to_string(),
        (None, _) => "the catalogue has no such table".to_string(),
    };
    let said: Vec<String> = (said.file.iter().map(|file| format!("its file is {file}")))
        .chain(said.columns.iter().map(|(column, own)| format!("{column}={own}")))
        .collect();
    let report = json!({ "table": args.table, "forgotten": true });
    term::show(global.json, &report, |_| {
        format!("forgotten of `{}`, and gone from consilium.toml: {}\n\nNow: {now}", args.table, said.join(", "))
    });
    Ok(())
}

async fn open(config: &StoreConfig, catalogue: &[CatalogueTable]) -> Result<StoreSummary, Failure> {
    let spinner = term::spinner("reading the tables");
    let opened = Store::open(config, catalogue).await;
    spinner.finish_and_clear();
    Ok(opened?.summary())
}

/// What became of the table.
enum Outcome {
    Read { file: String, readable: Vec<String>, unreadable: BTreeMap<String, String>, withheld: Vec<String> },
    Unreadable(String),
    Absent,
}

impl Outcome {
    fn of(table: &CatalogueTable, summary: &StoreSummary) -> Self {
        if let Some(found) = summary.tables.iter().find(|found| found.name == table.name) {
            return Self::Read {
                file: found.file.clone(),
                readable: found.readable.clone(),
                unreadable: found.unreadable.iter().map(|column| (column.name.clone(), column.what.clone())).collect(),
                withheld: found.withheld.clone(),
            };
        }
        match summary.unreadable.iter().find(|found| found.name == table.name) {
            Some(found) => Self::Unreadable(found.reason.clone()),
            None => Self::Absent,
        }
    }

    /// The columns that are read in this one, and not in a later one.
    fn lost_in(&self, later: &Self) -> Vec<String> {
        let read = |outcome: &Self| match outcome {
            Self::Read { readable, .. } => readable.clone(),
            Self::Unreadable(_) | Self::Absent => Vec::new(),
        };
        let later = read(later);
        read(self).into_iter().filter(|column| !later.contains(column)).collect()
    }

    /// The file or folder that it is, if there is one that can be read.
    fn file(&self) -> Option<&str> {
        match self {
            Self::Read { file, .. } => Some(file),
            Self::Unreadable(_) | Self::Absent => None,
        }
    }

    /// By column of the catalogue, how it is read here.
    fn columns(&self, table: &CatalogueTable) -> BTreeMap<String, String> {
        let Self::Read { readable, unreadable, .. } = self else { return BTreeMap::new() };
        let names = std::iter::once(&table.subject).chain(table.columns.iter().map(|column| &column.name));
        let state = |name: &String| match (readable.contains(name), unreadable.get(name)) {
            (true, _) => "read".to_string(),
            (false, Some(why)) => format!("unreadable: {why}"),
            (false, None) => "not in the file".to_string(),
        };
        names.map(|name| (name.clone(), state(name))).collect()
    }

    fn page(&self, table: &CatalogueTable) -> String {
        let name = &table.name;
        match self {
            Self::Absent => format!("there is no file for `{name}` in the store"),
            Self::Unreadable(why) => format!("`{name}` cannot be read: {why}"),
            Self::Read { file, withheld, .. } => {
                let kind = |column: &str| table.column(column).map_or("person_id", |column| column.kind.name());
                let rows = self.columns(table);
                let rows = rows.iter().map(|(column, state)| [column.clone(), kind(column).to_string(), state.clone()]);
                let mut text = format!("`{name}` is {file}\n\n{}", term::table(["column", "type", "here"], rows));
                if !withheld.is_empty() {
                    text.push_str(&format!("\n\nNo column of the table, and never read: {}", withheld.join(", ")));
                }
                text
            }
        }
    }
}

/// Puts the section into the configuration, or takes it out; other lines stay as they are.
fn write(home: &Home, table: &str, mapping: Option<&TableConfig>) -> Result<(), Failure> {
    let path = home.path().join(config::FILE);
    let text = with_section(&files::read_text(&path, 1 << 20)?, table, mapping)?;
    files::replace(&path, text.as_bytes(), Readable::ByAll)?;
    Ok(())
}

fn with_section(text: &str, name: &str, mapping: Option<&TableConfig>) -> Result<String, Failure> {
    let odd = || Failure::new("[store] in consilium.toml is no section of its own; write it as one, then try again");
    let mut document: DocumentMut = text.parse().map_err(|_| odd())?;
    let store = document.get_mut("store").and_then(Item::as_table_mut).ok_or_else(odd)?;
    let mut own = Table::new();
    own.set_implicit(true);
    let tables = store.entry("tables").or_insert(Item::Table(own)).as_table_mut().ok_or_else(odd)?;
    let Some(mapping) = mapping else {
        tables.remove(name);
        return Ok(document.to_string());
    };
    let mut section = Table::new();
    if let Some(file) = &mapping.file {
        section.insert("file", value(file));
    }
    if !mapping.columns.is_empty() {
        let columns = mapping.columns.iter().map(|(column, own)| (column.as_str(), own.as_str()));
        section.insert("columns", value(columns.collect::<toml_edit::InlineTable>()));
    }
    tables.insert(name, Item::Table(section));
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_put_in_and_nothing_else_changes() {
        let before = "# Ours.\n[listen]\ngrpc = \"127.0.0.1:1\" # here\n\n[store]\nfolder = \"data\" # the export\n\n[log]\nfilter = \"info\"\n";
        let columns = BTreeMap::from([("stage".to_string(), "UICC \"8\"".to_string())]);
        let mapping = TableConfig { file: Some("tumours".to_string()), columns };
        let after = with_section(before, "registry", Some(&mapping)).expect("a document");
        for line in before.lines() {
            assert!(after.contains(line), "{line} in {after}");
        }
        #[derive(serde::Deserialize)]
        struct File {
            store: StoreConfig,
        }
        let read = |text: &str| toml::from_str::<File>(text).expect("a configuration").store.tables;
        assert_eq!(read(&after), BTreeMap::from([("registry".to_string(), mapping)]));
        let other = TableConfig { file: None, columns: BTreeMap::new() };
        let again = with_section(&after, "registry", Some(&other)).expect("a document");
        assert_eq!(read(&again)["registry"], other, "{again}");
        assert_eq!(with_section(&after, "registry", None).expect("a document"), before);
        assert!(with_section("store = 1\n", "registry", Some(&other)).is_err());
    }

    #[test]
    fn columns_are_the_catalogue_s_whatever_the_capitals_and_named_once() {
        let table: CatalogueTable = toml::from_str(
            "name = \"registry\"\nsubject = \"patnr\"\ndomain = \"condition\"\n[[column]]\nname = \"stage\"\ntype = \"integer\"\n",
        )
        .expect("a table");
        let of = |columns: &[(&str, &str)]| {
            let columns: Vec<_> = columns.iter().map(|(one, own)| (one.to_string(), own.to_string())).collect();
            given(&table, &columns).map_err(|error| error.message().to_string())
        };
        let expected = [("patnr", "P"), ("stage", "UICC")].map(|(one, own)| (one.to_string(), own.to_string()));
        assert_eq!(of(&[("PATNR", "P"), ("Stage", "UICC")]), Ok(BTreeMap::from(expected)));
        assert_eq!(of(&[("foo", "x")]), Err("`foo` is no column of `registry`; it has patnr, stage".to_string()));
        assert!(of(&[("patnr", "A"), ("PATNR", "B")]).expect_err("twice").contains("`A` and `B`"));
    }

    #[test]
    fn a_pair_has_two_sides() {
        assert_eq!(pair("a=B c").expect("a pair"), ("a".to_string(), "B c".to_string()));
        for text in ["a", "=b", "a=", "="] {
            assert!(pair(text).is_err(), "{text}");
        }
    }
}
