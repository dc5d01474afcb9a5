//! How a hospital's tables were read, as a page for whoever made the export.

use std::fmt::Write as _;

use consilium_engine::store::{Column, DatabaseSummary, LeftOut, Place, StoreSummary, TableSummary, is_of_omop};

use crate::cli::{counted, term};

/// Whether there is something in a store that somebody should look at.
pub(super) fn has_warnings(summary: &StoreSummary) -> bool {
    let of_the_role = |database: &DatabaseSummary| !database.warnings.is_empty() || !database.grants.is_empty();
    !summary.unreadable.is_empty()
        || summary.database.as_ref().is_some_and(of_the_role)
        || summary.tables.iter().any(|table| !remarks(table).is_empty())
}

/// What a data manager should look at in a table, columns aside.
fn remarks(table: &TableSummary) -> Vec<String> {
    let mut remarks = Vec::new();
    match (table.format, table.rows) {
        ("empty", _) => remarks.push("its file has 0 bytes; export it".to_string()),
        (_, Some(0)) => remarks.push("0 rows; is the export complete?".to_string()),
        _ => {}
    }
    if table.day_unsaid {
        let what = match &table.date_of_omop {
            Some(date) => format!("the day of a row, `{date}`, is missing or unreadable, so only consent to all days opens it"),
            None => "it has dates, and which of them is the day of a row is not said, so only consent to all days opens it; \
                     where a row has one, the consortium's catalogue should name it (`date`)"
                .to_string(),
        };
        remarks.push(what);
    }
    if let Some(LeftOut { nobodys, strangers }) = table.unseen {
        let said = [(nobodys, "without a `person_id`"), (strangers, "of people who are not in PERSON")];
        let said = said.iter().filter(|(rows, _)| *rows > 0);
        let said: Vec<String> = said.map(|(rows, whose)| format!("{} {whose}", counted(*rows, "row"))).collect();
        if !said.is_empty() {
            remarks.push(format!("{}, which no study sees", said.join(", ")));
        }
    }
    if let Some(repeated) = table.repeated.filter(|repeated| *repeated > 0) {
        remarks.push(format!("{} of `{}_id` in more than one row", counted(repeated, "number"), table.name));
    }
    if !table.strange.is_empty() && !table.missing.is_empty() {
        let (strange, missing) = (some(&table.strange), some(&table.missing));
        remarks.push(format!("not OMOP's: {strange}; of OMOP's, missing: {missing}"));
    }
    if let (Some(count), Some(lines)) = (table.left_out, &table.left_out_lines) {
        remarks.push(format!(
            "{} left out, which {} no rows: {lines}",
            counted(count, "line"),
            if count == 1 { "is" } else { "are" }
        ));
    }
    for Column { name, what } in &table.unreadable {
        remarks.push(format!("`{name}` is unreadable: {what}"));
    }
    remarks
}

/// The tables that are not there in one line, with what else is not computed for want of them; none where all are there.
fn absent(names: &[String]) -> Option<String> {
    let shown = |name: &String| match name.as_str() {
        "concept_ancestor" => format!("{name} (sets of concepts with `descendants`)"),
        _ => name.clone(),
    };
    (!names.is_empty()).then(|| names.iter().map(shown).collect::<Vec<_>>().join(", "))
}

/// The first of some names, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let first = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The page.
pub(super) fn page(place: &Place, summary: &StoreSummary) -> String {
    let numbers = |numbers: &dyn Fn(&TableSummary) -> Option<usize>, header: &str| {
        let shown = |table| numbers(table).map_or_else(|| "?".to_string(), |number| term::number(number as u64));
        term::to_the_right(header, summary.tables.iter().map(shown).collect())
    };
    let rows = numbers(&|table| table.rows, "rows");
    let readable = numbers(&|table| Some(table.readable.len()), "readable");
    let mended = numbers(&|table| Some(table.mended.len()), "mended");
    let unreadable = numbers(&|table| Some(table.unreadable.len()), "unreadable");
    let never = numbers(&|table| Some(table.withheld.len()), "never");
    let header = ["", "table", "file", &rows.0, &readable.0, &mended.0, &unreadable.0, &never.0];
    let row = |(i, table): (usize, &TableSummary)| {
        let mark = if remarks(table).is_empty() { "ok" } else { "??" };
        let file = match table.files {
            0 | 1 => table.file.clone(),
            files => format!("{} ({})", table.file, counted(files as u64, "file")),
        };
        let cells = [mark, &table.name, &file, &rows.1[i], &readable.1[i], &mended.1[i], &unreadable.1[i], &never.1[i]];
        cells.map(str::to_string)
    };
    let mut text = format!(
        "Tables in {}

{}

Columns: readable by studies, and mended of these; unreadable, so that a study that names them is not \
         computed here; never read by any.
",
        place,
        term::table(header, summary.tables.iter().enumerate().map(row))
    );
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(text, "\n{title}\n");
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
    };
    section(
        "Unreadable tables: a study that names one is not computed here",
        summary.unreadable.iter().map(|table| format!("{}: {}", table.name, table.reason)).collect(),
    );
    let of = |lines: &dyn Fn(&TableSummary) -> Vec<String>| -> Vec<String> {
        let named = |table: &TableSummary| {
            lines(table).into_iter().map(|line| format!("{}: {line}", table.name)).collect::<Vec<_>>()
        };
        summary.tables.iter().flat_map(named).collect()
    };
    section("To look at", of(&remarks));
    section(
        "Mended: read all the same",
        of(&|table| {
            let under = table.prefix.iter().map(|prefix| format!("its file's name begins with `{prefix}`"));
            under.chain(table.mended.iter().map(|Column { name, what }| format!("`{name}`: {what}"))).collect()
        }),
    );
    section(
        "Never read by any study",
        of(&|table| if table.withheld.is_empty() { Vec::new() } else { vec![table.withheld.join(", ")] }),
    );
    let (of_omop, own): (Vec<_>, Vec<_>) = summary.absent.iter().cloned().partition(|name| is_of_omop(name));
    section(
        "Not here: tables of the consortium's catalogue without a file; say where they are with `consilium store map`",
        own,
    );
    section(
        "Not there: OMOP's tables without a file; a study that names one is not computed here",
        absent(&of_omop).into_iter().collect(),
    );
    if let Some(DatabaseSummary { warnings, grants, .. }) = &summary.database {
        section("The role: it needs to read, and nothing else", warnings.clone());
        section("Grants that are missing, for the administrator to run", grants.clone());
    }
    section("No tables", summary.ignored.iter().map(|file| format!("{}: {}", file.name, file.reason)).collect());
    text
}
