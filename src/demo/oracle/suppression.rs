//! Which cells must be hidden.

use std::collections::BTreeSet;

use super::Table;
use super::rows::{Cut, Value};

/// A cell: the table, and its position there.
type Place = (usize, usize);

/// Two sets of cells, of two tables, that are about the same subjects whatever the data.
type Line = [Vec<Place>; 2];

/// Hides what must be; says whether the hidden must not tell which of them are small.
pub(super) fn hide(tables: &mut [Table], k: i128) -> bool {
    let lines = lines(tables);
    let cells: Vec<Vec<(i128, i128)>> =
        tables.iter().map(|table| table.cells.values().map(|cell| (cell.n, cell.withheld)).collect()).collect();
    let at = |place: &Place| cells[place.0][place.1];
    let small = |place: &Place| match at(place) {
        (0, withheld) => withheld > 0,
        (n, _) => n < k,
    };
    let everywhere = || cells.iter().enumerate().flat_map(|(t, cells)| (0..cells.len()).map(move |c| (t, c)));
    let mut hidden: BTreeSet<Place> = everywhere().filter(small).collect();
    let first = hidden.len();
    loop {
        let mut more = BTreeSet::new();
        for (known, other) in lines.iter().flat_map(|[a, b]| [(a, b), (b, a)]) {
            if known.iter().any(|place| hidden.contains(place)) {
                continue;
            }
            let (lost, seen): (Vec<Place>, Vec<Place>) = other.iter().partition(|place| hidden.contains(place));
            let total = |places: &[Place]| places.iter().map(|place| at(place).0).sum::<i128>();
            let rest = total(known) - total(&seen);
            let little = rest > 0 && rest < k;
            let vague = known.len() > 1 && known.iter().any(|place| at(place).1 > 0);
            let exposed = match lost.len() {
                0 => little && !vague,
                1 => little || small(&lost[0]) || rest <= total(&lost),
                _ => little,
            };
            if exposed {
                let smallest = |places: &[Place]| {
                    places.iter().filter(|place| at(place).0 > 0).min_by_key(|place| (at(place).0, **place)).copied()
                };
                more.extend(smallest(&seen).or_else(|| smallest(known)));
            }
        }
        if more.is_subset(&hidden) {
            break;
        }
        hidden.extend(more);
    }
    let any = |side: &[Place]| side.iter().any(|place| hidden.contains(place));
    let indistinct = hidden.len() > first || lines.iter().any(|[a, b]| any(a) != any(b));
    for (t, table) in tables.iter_mut().enumerate() {
        for (c, cell) in table.cells.values_mut().enumerate() {
            cell.hidden = hidden.contains(&(t, c));
        }
    }
    indistinct
}

/// Hides what is small; whether anything is, so that other cells of a guarded study may be hidden for its sake.
pub(super) fn hide_small(tables: &mut [Table], k: i128) -> bool {
    let mut any = false;
    for cell in tables.iter_mut().flat_map(|table| table.cells.values_mut()) {
        cell.hidden = (1..k).contains(&cell.n);
        any |= cell.hidden;
    }
    any
}

fn lines(tables: &[Table]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (i, a) in tables.iter().enumerate() {
        for (j, b) in tables.iter().enumerate().skip(i + 1) {
            lines.extend(between((i, a), (j, b)));
        }
    }
    lines
}

/// Cells that some subject could be in both of belong to one line, and so on from cell to cell.
fn between((i, a): (usize, &Table), (j, b): (usize, &Table)) -> Vec<Line> {
    let shared = shared(a, b);
    let keys = |table: &Table| table.cells.keys().cloned().collect::<Vec<_>>();
    let (keys_a, keys_b) = (keys(a), keys(b));
    let meet = |x: &[usize], y: &[usize]| shared.iter().all(|s| s.pairs.contains(&(x[s.place_a], y[s.place_b])));
    let mut line_of_a: Vec<Option<usize>> = vec![None; keys_a.len()];
    let mut line_of_b: Vec<Option<usize>> = vec![None; keys_b.len()];
    let mut lines: Vec<Line> = Vec::new();
    for start in 0..keys_a.len() {
        if line_of_a[start].is_some() {
            continue;
        }
        let number = lines.len();
        let mut line: Line = [Vec::new(), Vec::new()];
        let mut reached = vec![start];
        line_of_a[start] = Some(number);
        while let Some(x) = reached.pop() {
            line[0].push((i, x));
            for y in 0..keys_b.len() {
                if line_of_b[y].is_none() && meet(&keys_a[x], &keys_b[y]) {
                    line_of_b[y] = Some(number);
                    line[1].push((j, y));
                    for z in 0..keys_a.len() {
                        if line_of_a[z].is_none() && meet(&keys_a[z], &keys_b[y]) {
                            line_of_a[z] = Some(number);
                            reached.push(z);
                        }
                    }
                }
            }
        }
        lines.push(line);
    }
    lines
}

/// A column that both tables are cut by, and which of its parts have a value in common.
struct Shared {
    place_a: usize,
    place_b: usize,
    pairs: BTreeSet<(usize, usize)>,
}

fn shared(a: &Table, b: &Table) -> Vec<Shared> {
    let mut shared: Vec<Shared> = Vec::new();
    for (place_a, (column, cut_a)) in a.cuts.iter().enumerate() {
        let first = a.cuts.iter().position(|(name, _)| name == column);
        let other = b.cuts.iter().position(|(name, _)| name == column);
        if let (true, Some(place_b)) = (first == Some(place_a), other) {
            let cut_b = &b.cuts[place_b].1;
            shared.push(Shared { place_a, place_b, pairs: pairs(cut_a, cut_b) });
        }
    }
    shared
}

fn pairs(a: &Cut, b: &Cut) -> BTreeSet<(usize, usize)> {
    let mut values = vec![Value::Missing];
    // Whether a column holds numbers or texts, the cut that names values knows.
    let naming = if matches!(a, Cut::Values(_)) { a } else { b };
    values.push(naming.stranger());
    values.extend(a.samples());
    values.extend(b.samples());
    let numeric = |cut: &Cut| matches!(cut, Cut::Intervals(_) | Cut::Histogram(_));
    if numeric(a) || numeric(b) {
        values.retain(|value| matches!(value, Value::Missing) || value.number().is_some());
    }
    values.iter().map(|value| (a.part_of(value), b.part_of(value))).collect()
}
