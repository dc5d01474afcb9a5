//! How text is fitted into a width: a line that is too long goes on below, further in than it began.

/// The least that a column of a table is squeezed to, whatever stands in it.
const LEAST: usize = 4;
/// The longest word that a column keeps whole when another could give way.
const KEPT_WHOLE: usize = 24;
/// The space between two columns.
pub(crate) const GAP: usize = 2;

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// Breaks one line at its spaces. What goes on below starts `hang` further in than the line itself. Words that are longer
/// than the width are broken only where `break_words` says so.
pub(crate) fn wrap(line: &str, width: usize, hang: usize, break_words: bool) -> Vec<String> {
    if chars(line) <= width {
        return vec![line.to_string()];
    }
    let indent = chars(line) - chars(line.trim_start_matches(' '));
    let below = " ".repeat(indent + hang);
    let mut lines = Vec::new();
    let mut current = " ".repeat(indent);
    let mut empty = true;
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        if !empty && chars(&current) + 1 + chars(word) > width {
            lines.push(std::mem::replace(&mut current, below.clone()));
            empty = true;
        }
        if !empty {
            current.push(' ');
        }
        let mut rest = word;
        while break_words && chars(&current) + chars(rest) > width {
            let room = width.saturating_sub(chars(&current)).max(1);
            let (head, tail) = split(rest, room);
            current.push_str(head);
            lines.push(std::mem::replace(&mut current, below.clone()));
            rest = tail;
        }
        current.push_str(rest);
        empty = rest.is_empty();
    }
    lines.push(current);
    lines
}

/// Where a word may be broken: after a joint between parts of a name, but not within a date or a time.
fn joints(word: &str) -> impl Iterator<Item = usize> {
    let pairs = word.char_indices().zip(word.char_indices().skip(1));
    pairs.filter_map(|((_, before), (at, joint))| {
        (before.is_alphabetic() && matches!(joint, ':' | '_' | '-' | '/')).then_some(at + joint.len_utf8())
    })
}

fn split(word: &str, room: usize) -> (&str, &str) {
    let hard = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
    let at = joints(word).take_while(|at| *at <= hard).last().unwrap_or(hard);
    word.split_at(at)
}

/// The longest part of a text that should not be broken.
fn longest_part(text: &str) -> usize {
    let parts = text.split_whitespace().flat_map(|word| {
        let mut start = 0;
        let ends: Vec<usize> = joints(word).chain([word.len()]).collect();
        ends.into_iter().map(move |end| chars(&word[std::mem::replace(&mut start, end)..end]))
    });
    parts.max().unwrap_or(0)
}

/// The widths of a table's columns, so that all of it fits where it can: the widest column gives way first, and no word
/// is broken as long as some column has another to give.
pub(crate) fn widths<const N: usize>(rows: &[[String; N]], room: usize) -> [usize; N] {
    let most = |measure: fn(&str) -> usize| -> [usize; N] {
        std::array::from_fn(|column| rows.iter().flat_map(|row| row[column].lines()).map(measure).max().unwrap_or(0))
    };
    let natural = most(chars);
    let mut widths = natural;
    let least = most(longest_part).map(|part| part.min(KEPT_WHOLE));
    let room = room.saturating_sub(GAP * N);
    while widths.iter().sum::<usize>() > room {
        let widest = |least: &dyn Fn(usize) -> usize| {
            // Of two that are as wide, the one with more to say is broken already.
            let wide = (0..N).filter(|column| widths[*column] > least(*column));
            wide.max_by_key(|column| (widths[*column], natural[*column]))
        };
        match widest(&|column| least[column]).or_else(|| widest(&|_| LEAST)) {
            Some(column) => widths[column] -= 1,
            None => break,
        }
    }
    widths
}

/// A cell, broken into its column.
pub(crate) fn cell(text: &str, width: usize) -> String {
    text.lines().flat_map(|line| wrap(line, width, 0, true)).collect::<Vec<_>>().join("\n")
}

/// A text beside something, broken without going further in.
pub(crate) fn paragraph(text: &str, width: usize) -> String {
    text.lines().flat_map(|line| wrap(line, width, 0, false)).collect::<Vec<_>>().join("\n")
}

/// A text of several lines. Lines with a command are left for the terminal to break: they are there to be copied.
pub(crate) fn text(text: &str, width: usize) -> String {
    let lines = text.lines().flat_map(|line| match line.contains("consilium ") {
        true => vec![line.to_string()],
        // Lists go on further in, paragraphs do not.
        false => wrap(line, width, if line.starts_with(' ') { 2 } else { 0 }, false),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_further_in() {
        assert_eq!(wrap("  a line that is long", 12, 2, false), ["  a line", "    that is", "    long"]);
        assert_eq!(wrap("fits as  it is", 14, 2, false), ["fits as  it is"]);
        assert_eq!(wrap("a 0123456789 b", 6, 0, false), ["a", "0123456789", "b"]);
        assert_eq!(wrap("a 0123456789 b", 6, 0, true), ["a", "012345", "6789 b"]);
        assert_eq!(cell("allows only:\n  counting for research", 14), "allows only:\n  counting for\n  research");
    }

    #[test]
    fn names_break_at_their_joints_and_times_do_not() {
        assert_eq!(cell("DS-MONDO:0005148", 12), "DS-MONDO:\n0005148");
        assert_eq!(longest_part("2026-11-23 07:58:13Z"), 10);
        assert_eq!(longest_part("DS-MONDO:0005148"), 7);
    }

    #[test]
    fn commands_stay_whole() {
        let line = "Next: consilium study submit a-file-with-a-long-name.toml";
        assert_eq!(text(line, 20), line);
        assert_eq!(text("one two three", 8), "one two\nthree");
    }

    #[test]
    fn the_widest_column_gives_way_first_and_words_last() {
        let rows = [["id".to_string(), "a title of many words".to_string()], ["12345678".to_string(), "x".to_string()]];
        assert_eq!(widths(&rows, 80), [8, 21]);
        assert_eq!(widths(&rows, 24), [8, 12]);
        assert_eq!(widths(&rows, 17), [8, 5]);
        assert_eq!(widths(&rows, 15), [6, 5]);
        // Nothing is squeezed to nothing.
        assert_eq!(widths(&rows, 1), [4, 4]);
    }
}
