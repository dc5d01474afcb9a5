//! What a person, or a machine, sees.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::layout;

/// Prints a line.
pub fn line(text: impl Display) {
    put(std::io::stdout(), &text);
}

/// Prints an error.
pub fn error(text: &str) {
    put(std::io::stderr(), &format_args!("error: {}", printable(text)));
}

/// Prints a warning.
pub fn warn(text: impl Display) {
    put(std::io::stderr(), &format_args!("warning: {}", printable(&text.to_string())));
}

/// A closed pipe, as of `| head`, ends the output, not the program.
fn put(mut to: impl Write, text: &dyn Display) {
    let _ = writeln!(to, "{text}");
}

/// Prints a value as JSON, or the text made of it.
pub fn show<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) {
    if json {
        line(serde_json::to_string_pretty(value).unwrap_or_default());
    } else {
        say(text(value).trim_end());
    }
}

/// Prints a text, its lines broken at words where the terminal is narrow.
pub fn say(text: &str) {
    let text = printable(text);
    match width() {
        Some(width) => line(layout::text(&text, width)),
        None => line(text),
    }
}

/// A text with control characters written out, as names of columns and files may have them: a terminal would carry them out.
fn printable(text: &str) -> String {
    let of = |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(of).collect()
}

/// The day by this machine's clock.
pub fn today() -> consilium_protocol::ids::Date {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    consilium_protocol::ids::Timestamp::new(now).date()
}

/// Shows what is about to happen and asks. Where nobody could answer it is shown, and goes on.
///
/// # Errors
/// When the answer cannot be read.
pub fn agrees(what: &str, question: &str) -> std::io::Result<bool> {
    say(what.trim_end());
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        line("");
        return Ok(true);
    }
    let mut screen = std::io::stdout();
    write!(screen, "\n{question} [y/N] ")?;
    screen.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    line("");
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

/// Prints a numbered step with what it took at the right, as wide as the terminal and no wider than reads well.
pub fn step(number: usize, text: &str, seconds: f64) {
    const WIDEST: usize = 104;
    let time = format!("{seconds:>6.1} s");
    let room = width().unwrap_or(WIDEST).min(WIDEST).saturating_sub(4 + 1 + time.len()).max(24);
    let text = layout::paragraph(text, room);
    for (position, part) in text.lines().enumerate() {
        match position {
            0 => line(format!("{number:>2}  {part:<room$} {time}")),
            _ => line(format!("    {part}")),
        }
    }
}

/// How wide the terminal is; `None` where the output is read by a program, which gets whole lines.
fn width() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| Table::new().width()).flatten().map(usize::from)
}

/// An aligned table without frame, as wide as the terminal allows.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_uppercase)).chain(rows).collect();
    let widths = layout::widths(&rows, width().unwrap_or(160));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(std::array::from_fn::<String, N, _>(|column| layout::cell(&row[column], widths[column])));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, layout::GAP as u16));
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A column of numbers for a [`table`], right-aligned with its header.
pub fn to_the_right(header: &str, cells: Vec<String>) -> (String, Vec<String>) {
    let width = cells.iter().map(|cell| cell.chars().count()).chain([header.chars().count()]).max().unwrap_or_default();
    (format!("{header:>width$}"), cells.into_iter().map(|cell| format!("{cell:>width$}")).collect())
}

/// Names and values below each other.
pub fn facts<const N: usize>(facts: [(&str, String); N]) -> String {
    let names = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let room = width().map_or(usize::MAX, |width| width.saturating_sub(names + 2));
    let mut text = String::new();
    for (name, value) in facts {
        let value = layout::paragraph(&value, room);
        let mut lines = value.lines();
        text.push_str(&format!("{name:<names$}  {}\n", lines.next().unwrap_or_default()));
        for more in lines {
            text.push_str(&format!("{:<names$}  {more}\n", ""));
        }
    }
    text
}

/// A spinner that shows after a moment what takes so long; silent when nobody watches.
pub fn spinner(text: impl Into<String>) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}") {
        bar.set_style(style);
    }
    bar.set_message(text.into());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A bar for work of a known size; silent when nobody watches.
pub fn progress(text: impl Into<String>, total: u64) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar:.dim} {human_pos}/{human_len} {eta:.dim}") {
        bar.set_style(style);
    }
    bar.set_message(text.into());
    bar
}

/// A moment in UTC, to the second.
pub fn moment(milliseconds: u64) -> String {
    if milliseconds == 0 {
        return "-".to_string();
    }
    let date = consilium_protocol::ids::Timestamp::new(milliseconds).date();
    let seconds = milliseconds / 1_000 % 86_400;
    format!("{date} {:02}:{:02}:{:02}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A number with thin groups of three digits.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes, for people.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = value as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit < UNITS.len() - 1 {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_carry_out_is_written_out() {
        assert_eq!(printable("size\u{1b}[2J\r\nä"), "size\\u{1b}[2J\\r\nä");
    }
}
