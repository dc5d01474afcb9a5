//! `consilium table`: the tables that a consortium has beside OMOP's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use consilium_engine::store::{self, ProposedColumn};
use consilium_protocol::catalogue::{self, CatalogueColumn, CatalogueTable, ColumnKind, UNLISTED};
use consilium_protocol::consent::Domain;
use serde::Deserialize;
use serde_json::json;

use super::{Failure, Global, term, word};
use crate::home::Home;
use crate::home::files::{self, Readable};

/// `consilium table`
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Draft a table of the catalogue from a file with its columns
    Propose(ProposeArgs),
    /// List the tables that this consortium has beside OMOP's
    List(ListArgs),
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  consilium table propose registry --from tumours.csv --subject PATNR --domain condition \\
      --date diagnosed --out registry.toml

The draft has every column whose type can be told. Remove what identifies patients, write what each column is, list the \
values of categories, and found the consortium with it: consilium genesis --tables registry.toml …")]
struct ProposeArgs {
    /// The table's name, as queries will write it: a-z, 0-9 and _
    name: String,
    /// A CSV or Parquet file, or a folder of such, with the table's columns; values are read to tell types, and not kept
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The column with the patient's person_id; the draft, as of every column, has its name in lower case
    #[arg(long)]
    subject: String,
    /// The kind of data that a consent must open
    #[arg(long)]
    domain: Domain,
    /// The column with the day of a row
    #[arg(long, conflicts_with = "undated")]
    date: Option<String>,
    /// Its rows are of no day
    #[arg(long)]
    undated: bool,
    /// It has at most one row a patient
    #[arg(long)]
    single: bool,
    /// Where to write the draft (default: to the terminal)
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium table list                        those of the consortium that this home joined
  consilium table list --file registry.toml   those of a file, checked")]
struct ListArgs {
    /// A file with [[table]] entries, instead of the consortium's genesis file
    #[arg(long)]
    file: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    match &args.command {
        Command::Propose(args) => propose(args, global),
        Command::List(args) => list(args, global),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    table: Vec<CatalogueTable>,
}

/// The tables of files with `[[table]]` entries, checked, in the order of their names.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<CatalogueTable>, Failure> {
    let mut tables = Vec::new();
    for path in paths {
        let refuse = |what: &str| Failure::new(format!("{}: {what}", path.display()));
        let text = files::read_text(path, 16 << 20)?;
        let file: TableFile = toml::from_str(&text).map_err(|e| refuse(e.to_string().trim_end()))?;
        for table in file.table {
            if store::is_of_omop(&table.name) {
                let name = table.name;
                return Err(refuse(&format!("OMOP defines the table `{name}`; give yours another name")));
            }
            tables.push(table);
        }
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    catalogue::check(&tables)?;
    Ok(tables)
}

fn list(args: &ListArgs, global: &Global) -> Result<(), Failure> {
    let tables = match &args.file {
        Some(file) => read(std::slice::from_ref(file))?,
        None => Home::open(&global.home)?.genesis()?.table,
    };
    term::show(global.json, &json!({ "tables": tables }), |_| match &tables[..] {
        [] => "this consortium has no tables beside OMOP's".to_string(),
        tables => tables.iter().map(page).collect::<Vec<_>>().join("\n\n"),
    });
    Ok(())
}

/// A table, for people.
fn page(table: &CatalogueTable) -> String {
    let day = match (&table.date, table.undated) {
        (Some(date), _) => format!("its rows are of the day `{date}`"),
        (None, true) => "its rows are of no day".to_string(),
        (None, false) => "the day of its rows is not said, so that only consent to all days opens it".to_string(),
    };
    let rows = if table.single { "at most one row a patient" } else { "any number of rows a patient" };
    let about = if table.description.is_empty() { String::new() } else { format!(": {}", table.description) };
    let (name, subject, domain) = (&table.name, &table.subject, table.domain);
    let head = format!(
        "{name}{about}\n  opened by consent to data of kind `{domain}`; {day}; {rows}; `{subject}` is the patient's person_id\n"
    );
    let row = |column: &CatalogueColumn| {
        let values = column.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        [column.name.clone(), column.kind.name().to_string(), column.description.clone(), values]
    };
    let columns = term::table(["column", "type", "what it is", "values"], table.columns.iter().map(row));
    let columns = columns.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
    format!("{head}\n{columns}")
}

fn propose(args: &ProposeArgs, global: &Global) -> Result<(), Failure> {
    if store::is_of_omop(&args.name) {
        return Err(Failure::usage(format!("OMOP defines the table `{}`; give yours another name", args.name)));
    }
    let spinner = term::spinner("reading the file");
    let columns = store::propose(&args.from);
    spinner.finish_and_clear();
    let columns = columns?;
    let subject = own(&columns, &args.subject)?;
    let date = args.date.as_deref().map(|date| day(&columns, date)).transpose()?;
    let known = |column: &&ProposedColumn| column.name != subject.name && column.kind.is_some();
    let table = CatalogueTable {
        name: args.name.clone(),
        description: String::new(),
        subject: subject.name.clone(),
        domain: args.domain,
        date: date.map(|date| date.name.clone()),
        undated: args.undated,
        single: args.single,
        columns: columns.iter().filter(known).filter_map(|column| entry(column, date)).collect(),
    };
    let left_out: Vec<&ProposedColumn> =
        columns.iter().filter(|column| column.kind.is_none() && column.name != subject.name).collect();
    check(&table, &left_out)?;
    let text = draft(&args.from, &table, &columns)?;
    let names: Vec<&str> = left_out.iter().map(|column| column.name.as_str()).collect();
    let Some(out) = &args.out else {
        term::show(global.json, &json!({ "table": table, "left_out": names }), |_| text);
        return Ok(());
    };
    files::create(out, text.as_bytes(), Readable::ByAll)?;
    term::show(global.json, &json!({ "table": table, "left_out": names, "file": out }), |_| {
        format!(
            "a draft of `{}` is in {out}\n\nNext: remove what identifies patients, write what each column is, list the values of \
             categories, look at it with `consilium table list --file {word}`, and found the consortium with it: consilium \
             genesis --tables {word} …",
            table.name,
            out = out.display(),
            word = word(out)
        )
    });
    Ok(())
}

/// The column that a person means, by the file's name for it or the catalogue's.
fn own<'a>(columns: &'a [ProposedColumn], name: &str) -> Result<&'a ProposedColumn, Failure> {
    let plain = store::as_name(name);
    // The first line is not repeated: in a file without names it would be a patient's.
    let none = || Failure::usage(format!("the file has no column `{name}`; see its first line for those that it has"));
    let called = columns.iter().find(|column| column.is_called(name));
    called.or_else(|| columns.iter().find(|column| column.name == plain)).ok_or_else(none)
}

/// The column with the day of a row.
fn day<'a>(columns: &'a [ProposedColumn], name: &str) -> Result<&'a ProposedColumn, Failure> {
    let column = own(columns, name)?;
    match column.kind {
        Some(ColumnKind::Date | ColumnKind::Datetime) => Ok(column),
        _ => Err(Failure::usage(format!(
            "--date: `{name}` has other values than days as 2024-02-29; export it with such, name another column, or leave \
             --date out"
        ))),
    }
}

/// A column whose type is known, as the catalogue lists it. The day of a row is one without its time.
fn entry(column: &ProposedColumn, date: Option<&ProposedColumn>) -> Option<CatalogueColumn> {
    let kind = if date == Some(column) { ColumnKind::Date } else { column.kind? };
    Some(CatalogueColumn { name: column.name.clone(), kind, description: String::new(), values: Vec::new() })
}

/// Refuses a table that no finishing of its draft would make one.
fn check(table: &CatalogueTable, left_out: &[&ProposedColumn]) -> Result<(), Failure> {
    let mut finished = table.clone();
    if let (true, Some(first)) = (table.columns.is_empty(), left_out.first()) {
        finished.columns = vec![CatalogueColumn {
            name: first.name.clone(),
            kind: ColumnKind::Integer,
            description: String::new(),
            values: Vec::new(),
        }];
    }
    finished.check().map_err(|error| Failure::usage(error.to_string()))
}

/// The draft, with what it leaves out as remarks.
fn draft(from: &Path, table: &CatalogueTable, columns: &[ProposedColumn]) -> Result<String, Failure> {
    #[derive(serde::Serialize)]
    struct Draft<'a> {
        table: [&'a CatalogueTable; 1],
    }
    const HEADING: &str = "[[table.column]]\n";
    let listed = toml::to_string(&Draft { table: [table] }).map_err(|e| Failure::new(e.to_string()))?;
    let column = |name: &str| columns.iter().find(|column| column.name == name);
    let mut parts = listed.split(HEADING);
    let mut text = format!(
        "# Drafted of {}. Remove every column that identifies patients, and write what each of the others is.\n\
         # Types: integer, number, date, datetime, boolean, category (lists its values), concept (an OMOP concept id),\n\
         # key (a record's or visit's number: joins rows, and is never a result).\n\n{}{}",
        from.file_name().unwrap_or_default().to_string_lossy().escape_debug(),
        column(&table.subject).map(|subject| renamed(subject, table)).unwrap_or_default(),
        parts.next().unwrap_or_default()
    );
    for (of, part) in table.columns.iter().zip(parts) {
        if let Some(column) = column(&of.name) {
            text.push_str(&renamed(column, table));
            if of.kind == ColumnKind::Date && column.kind == Some(ColumnKind::Datetime) {
                let _ = writeln!(text, "# The day of a row: its times of day are not read.");
            }
        }
        let _ = write!(text, "{HEADING}{part}");
    }
    if table.columns.is_empty() {
        text.push_str("\n# No column's type could be told: finish one of those below, at least.\n");
    }
    for column in columns.iter().filter(|column| column.kind.is_none() && column.name != table.subject) {
        let holds = match column.is_of_codes {
            true => "numbers with zeros in front, which are texts",
            false => "texts",
        };
        let _ = write!(
            text,
            "\n{}# `{name}` holds {holds}. If it is a category, list its values; free text has no place in a catalogue.\n\
             # {HEADING}# name = \"{name}\"\n# type = \"{}\"\n# values = [\"{UNLISTED}\"]\n",
            renamed(column, table),
            ColumnKind::Category.name(),
            name = column.name
        );
    }
    Ok(text)
}

/// A remark on a column that the file calls otherwise; none where its name is the same.
fn renamed(column: &ProposedColumn, table: &CatalogueTable) -> String {
    let ProposedColumn { name, called, .. } = column;
    if name == called {
        return String::new();
    }
    format!(
        "# `{name}` is `{}` in the file: consilium store map {} --column '{name}={0}'\n",
        called.escape_debug(),
        table.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_a_table_without_texts_and_without_values() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = folder.path().join("tumours.csv");
        std::fs::write(&from, "PATNR;Found;Stage;Remark\n1;2020-01-01;3;CANARY\n2;2020-01-02;4;CANARY\n")
            .expect("written");
        let columns = store::propose(&from).expect("columns");
        let table = CatalogueTable {
            name: "registry".to_string(),
            description: String::new(),
            subject: own(&columns, "PATNR").expect("the subject").name.clone(),
            domain: Domain::Condition,
            date: Some("found".to_string()),
            undated: false,
            single: false,
            columns: columns.iter().skip(1).filter_map(|column| entry(column, None)).collect(),
        };
        let text = draft(&from, &table, &columns).expect("a draft");
        assert!(!text.contains("CANARY") && text.contains("# name = \"remark\""), "{text}");
        let file = folder.path().join("registry.toml");
        std::fs::write(&file, &text).expect("written");
        assert_eq!(read(std::slice::from_ref(&file)).expect("a catalogue"), [table]);
        let unfinished = text.replace("# [[table", "[[table").replace("# name", "name").replace("# type", "type");
        std::fs::write(&file, unfinished.replace("# values", "values")).expect("written");
        let refused = read(std::slice::from_ref(&file)).expect_err("a draft");
        assert!(refused.message().contains("`remark` is a draft: list its values"), "{}", refused.message());
        std::fs::write(&file, text.replace("\"registry\"", "\"person\"")).expect("written");
        assert!(read(&[file]).expect_err("OMOP's").message().contains("OMOP defines"));
        let none = own(&columns, "gone").expect_err("none");
        assert!(none.message().contains("no column `gone`") && !none.message().contains("patnr"), "{}", none.message());
    }

    #[test]
    fn a_file_of_codes_alone_has_a_draft_that_is_to_be_finished() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, out) = (folder.path().join("codes.csv"), folder.path().join("codes.toml"));
        std::fs::write(&from, "patnr,Größe,icd\n1,C50,007\n").expect("written");
        let columns = store::propose(&from).expect("columns");
        let table = CatalogueTable {
            name: "codes".to_string(),
            description: String::new(),
            subject: "patnr".to_string(),
            domain: Domain::Condition,
            date: None,
            undated: true,
            single: false,
            columns: Vec::new(),
        };
        check(&table, &[&columns[1]]).expect("a table, once it is finished");
        let text = draft(&from, &table, &columns).expect("a draft");
        assert!(
            text.contains("finish one of those below") && text.contains("`icd` holds numbers with zeros"),
            "{text}"
        );
        assert!(text.contains("# `gr__e` is `größe` in the file"), "{text}");
        let finished = text.replace("# [[table", "[[table").replace("# name", "name").replace("# type", "type");
        std::fs::write(&out, finished.replace("# values = [\"…\"]", "values = [\"a\"]")).expect("written");
        assert_eq!(read(&[out]).expect("a catalogue")[0].columns.len(), 2);
        assert!(day(&columns, "icd").expect_err("no days").message().contains("--date: `icd`"));
    }
}
