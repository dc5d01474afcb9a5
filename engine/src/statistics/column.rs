//! The cuts of each column of a guarded study, from uncut to the finest.
//!
//! In a guarded study all cuts of one column are *nested*: of any two, one refines the other. Overlapping cuts would have
//! differences that are groups nobody asked for, and that no bit guards. Where containment cannot be told from the study
//! alone, it is taken not to hold, and the study is refused.
//!
//! Between the cuts that statistics ask for stand coarser ones, so that what is too rare to be shown alone is shown together
//! with something else. They follow from the study, not from counts: they are those that it declares, or *other* and *missing*
//! join the first category; then the tail of a list of values, or the outermost intervals of a list of edges, is merged, a
//! quarter of the groups a step.
//!
//! A variable of few values tells by its sums how many have each value, so its values are one more cut, the finest. So are those
//! of a variable that is a choice of literals in the query, however many.

use consilium_protocol::study::{CategoryValue, Decimal, StudySpec};

use super::block::{Axis, Block, Part};
use super::spans::spans;
use super::sums::{Sums, Values};
use super::{Scale, StatisticsError};

/// One of the finest classes of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Atom {
    /// The part of the finest cut that a statistic asks for; everything where none cuts the column.
    pub(crate) part: usize,
    /// The value in steps, where the column's values are a cut.
    pub(crate) step: Option<i64>,
}

/// One cut: the class of each atom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) class_of: Vec<usize>,
    pub(crate) classes: usize,
    /// Whether it is one small step from the next finer level: nothing but *other* and *missing* put to the first category, or the
    /// first that the study declares.
    pub(crate) is_first_step: bool,
}

/// A column with its cuts. Level 0 is the column uncut; each level refines the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name in the cohort.
    pub(crate) name: String,
    /// The parts of the finest cut that a statistic asks for.
    pub(crate) parts: Vec<Part>,
    pub(crate) atoms: Vec<Atom>,
    pub(crate) levels: Vec<Level>,
    /// The level of each cut that a statistic asks for.
    asked: Vec<(Vec<Part>, usize)>,
    /// The level by values, if there is one.
    pub(crate) by_values: Option<usize>,
    /// Other columns that depend on what this one, a measured variable that is summed up, is made of: their positions.
    pub(crate) related: Vec<usize>,
}

impl Column {
    /// The level of a cut of this column that a statistic asks for.
    pub(crate) fn level(&self, parts: &[Part]) -> Option<usize> {
        self.asked.iter().find(|(cut, _)| cut == parts).map(|(_, level)| *level)
    }

    /// For each part of a cut at `from`, the class at the coarser level `to` that holds it.
    pub(crate) fn classes_of(&self, from: usize, to: usize) -> Vec<usize> {
        let mut classes = vec![0; self.levels[from].classes];
        for (atom, class) in self.levels[from].class_of.iter().enumerate() {
            classes[*class] = self.levels[to].class_of[atom];
        }
        classes
    }
}

struct Cut {
    parts: Vec<Part>,
    statistic: usize,
    /// The part of the next coarser cut that each part is in.
    coarser: Vec<usize>,
    /// How the study merges its parts, finer first, where it says so.
    declared: Vec<Vec<usize>>,
}

/// All columns that the study cuts, in the order of their first use.
///
/// # Errors
/// [`StatisticsError::NotNested`] for the first column with two cuts neither of which refines the other;
/// [`StatisticsError::Form`] and [`StatisticsError::CommonSource`] for variables whose sums could tell small counts.
pub(crate) fn columns(spec: &StudySpec, blocks: &[Block]) -> Result<Vec<Column>, StatisticsError> {
    let summed = Sums::of(spec)?;
    let mut found: Vec<(String, Vec<Cut>)> = Vec::new();
    for block in blocks {
        for Axis { column, parts, .. } in &block.axes {
            let position = found.iter().position(|(name, _)| name == column).unwrap_or_else(|| {
                found.push((column.clone(), Vec::new()));
                found.len() - 1
            });
            let cuts = &mut found[position].1;
            if cuts.iter().all(|cut| cut.parts != *parts) {
                let declared = declared(spec, column, parts);
                cuts.push(Cut { parts: parts.clone(), statistic: block.statistic, coarser: Vec::new(), declared });
            }
        }
    }
    let column = |(name, mut cuts): (String, Vec<Cut>)| {
        nest(&mut cuts).map_err(|statistics| StatisticsError::NotNested {
            column: name.clone(),
            statistics: statistics.map(|statistic| spec.statistics[statistic].name.clone()),
        })?;
        let values = summed.values(spec, &name, cuts.len());
        Ok(compile(name, &cuts, values.as_ref()))
    };
    let mut columns = found.into_iter().map(column).collect::<Result<Vec<_>, StatisticsError>>()?;
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    for column in columns.iter_mut().filter(|column| column.by_values.is_none() && summed.has(&column.name)) {
        let depends = |(_, other): &(usize, &String)| summed.cuts(other, &column.name);
        column.related = names.iter().enumerate().filter(depends).map(|(position, _)| position).collect();
    }
    Ok(columns)
}

/// Sorts the cuts and links each to the next coarser one; else the statistics of two that are not nested.
fn nest(cuts: &mut [Cut]) -> Result<(), [usize; 2]> {
    // What refines another cut, and is not the same, has more parts.
    cuts.sort_by_key(|cut| cut.parts.len());
    for level in 0..cuts.len() {
        let fine = &cuts[level];
        let coarser = match level.checked_sub(1).map(|level| &cuts[level]) {
            None => vec![0; fine.parts.len()],
            Some(coarse) => refinement(&fine.parts, &coarse.parts).ok_or([coarse.statistic, fine.statistic])?,
        };
        cuts[level].coarser = coarser;
    }
    Ok(())
}

/// For each part of `fine` the part of `coarse` that holds it, if there is one for each.
pub(crate) fn refinement(fine: &[Part], coarse: &[Part]) -> Option<Vec<usize>> {
    fine.iter().map(|part| coarse.iter().position(|whole| is_within(part, whole))).collect()
}

/// Whether every value of one part is certainly in the other, a part of another cut of the column.
///
/// *Other* is whatever a list of values leaves over: it is within *present*, and nothing of another cut is within it.
fn is_within(part: &Part, whole: &Part) -> bool {
    match (part, whole) {
        (Part::Missing, _) | (_, Part::Missing) => part == whole,
        (_, Part::Present) => true,
        (Part::Value(value), Part::Value(same)) => value == same,
        _ => match (spans(part), spans(whole)) {
            (Some(parts), Some(wholes)) => parts.iter().all(|part| wholes.iter().any(|whole| part.is_within(whole))),
            _ => false,
        },
    }
}

fn compile(name: String, cuts: &[Cut], values: Option<&Values>) -> Column {
    let finest = &cuts[cuts.len() - 1].parts;
    let atoms: Vec<Atom> = match values {
        None => (0..finest.len()).map(|part| Atom { part, step: None }).collect(),
        Some(values) => (0..finest.len()).flat_map(|part| with_steps(part, &finest[part], values)).collect(),
    };
    // The class of each part of the finest cut, from level to level.
    let mut levels = vec![Level { class_of: vec![0; finest.len()], classes: 1, is_first_step: false }];
    let mut asked = Vec::new();
    for position in 0..cuts.len() {
        let cut = &cuts[position];
        let from_finest =
            |part: usize| (position + 1..cuts.len()).rev().fold(part, |part, finer| cuts[finer].coarser[part]);
        let part_of: Vec<usize> = (0..finest.len()).map(from_finest).collect();
        for (classes, is_first_step) in steps_between(cut) {
            let class_of: Vec<usize> = part_of.iter().map(|part| classes[*part]).collect();
            levels.push(Level { classes: count(&class_of), class_of, is_first_step });
        }
        asked.push((cut.parts.clone(), levels.len()));
        levels.push(Level { classes: cut.parts.len(), class_of: part_of, is_first_step: false });
    }
    for level in &mut levels {
        level.class_of = atoms.iter().map(|atom| level.class_of[atom.part]).collect();
    }
    let by_values = values.map(|_| {
        levels.push(Level { class_of: (0..atoms.len()).collect(), classes: atoms.len(), is_first_step: false });
        levels.len() - 1
    });
    Column { name, parts: finest.clone(), atoms, levels, asked, by_values, related: Vec::new() }
}

fn count(class_of: &[usize]) -> usize {
    class_of.iter().max().map_or(0, |most| most + 1)
}

/// The values that a part can have; nobody without a value has any.
fn with_steps(part: usize, of: &Part, values: &Values) -> Vec<Atom> {
    if *of == Part::Missing {
        return vec![Atom { part, step: None }];
    }
    let possible = steps_of(of, &values.scale);
    let mut steps: Vec<i64> = values.steps.iter().copied().filter(|step| possible.contains(step)).collect();
    if steps.is_empty() {
        // Nobody is in it, but a part is never without a value.
        steps.push(*possible.start());
    }
    steps.into_iter().map(|step| Atom { part, step: Some(step) }).collect()
}

/// The steps that values of a part may round to, one more where binary fractions leave it open; a value that no category names
/// may be any.
pub(crate) fn steps_of(part: &Part, scale: &Scale) -> std::ops::RangeInclusive<i64> {
    let exact = |value: Decimal| (value.to_f64() * scale.denominator() as f64 - scale.min as f64) / scale.step as f64;
    let from = |value: Decimal| *scale.steps_near(exact(value)).start();
    let to = |value: Decimal| *scale.steps_near(exact(value)).end();
    match part {
        Part::Interval(first, end) => from(*first)..=to(*end),
        Part::Below(end) => 0..=to(*end),
        Part::AtLeast(first) => from(*first)..=scale.range,
        Part::Value(CategoryValue::Integer(value)) => match Decimal::new(*value, 0) {
            Ok(value) => from(value)..=to(value),
            Err(_) => 0..=scale.range,
        },
        _ => 0..=scale.range,
    }
}

/// How the study merges these parts, if they are those of a dimension for which it says so.
fn declared(spec: &StudySpec, column: &str, parts: &[Part]) -> Vec<Vec<usize>> {
    let is_dimension = parts.iter().any(|part| matches!(part, Part::Other | Part::Outside(..)));
    let of = spec.dimension(column).filter(|dimension| is_dimension && parts.len() == dimension.len() + 2);
    let levels = of.into_iter().flat_map(|dimension| &dimension.coarser);
    levels.map(|level| level.iter().map(|class| usize::from(*class)).collect()).collect()
}

/// The cuts between one and the next coarser one, coarsest first: as the study declares them, as far as they are between, or as
/// they come.
fn steps_between(cut: &Cut) -> Vec<(Vec<usize>, bool)> {
    if cut.declared.is_empty() {
        return between(&cut.parts, &cut.coarser);
    }
    // Each class within one of the coarser cut, and not the same as that.
    let is_between = |level: &&Vec<usize>| {
        let first = |part: usize| level.iter().position(|class| *class == level[part]).unwrap_or(part);
        (0..level.len()).all(|part| cut.coarser[first(part)] == cut.coarser[part])
            && !same_partition(level, &cut.coarser)
    };
    let levels: Vec<&Vec<usize>> = cut.declared.iter().filter(is_between).collect();
    levels.into_iter().enumerate().map(|(place, level)| (level.clone(), place == 0)).rev().collect()
}

/// The cuts between one and the next coarser one, coarsest first: each gives every part a class. `coarser` is the class of
/// each part there. Neither of the two is among them.
fn between(parts: &[Part], coarser: &[usize]) -> Vec<(Vec<usize>, bool)> {
    let is_rest = |part: &Part| matches!(part, Part::Other | Part::Outside(..) | Part::Missing);
    let by_edges = parts.iter().any(|part| matches!(part, Part::Interval(..) | Part::Below(_) | Part::AtLeast(_)));
    // Of each coarse class its categories in order, and the rest.
    let mut classes: Vec<(Vec<usize>, Vec<usize>)> = vec![(Vec::new(), Vec::new()); count(coarser)];
    for (part, class) in coarser.iter().enumerate() {
        let (own, rest) = &mut classes[*class];
        if is_rest(&parts[part]) { rest.push(part) } else { own.push(part) }
    }
    let most = classes.iter().map(|(own, _)| own.len()).max().unwrap_or(0);
    let mut found: Vec<(Vec<usize>, bool)> = Vec::new();
    let merged = |removed: usize| {
        // A part stands for its class.
        let mut leader: Vec<usize> = (0..parts.len()).collect();
        for (own, rest) in &classes {
            let Some((first, last)) = own.first().zip(own.last()) else { continue };
            rest.iter().for_each(|part| leader[*part] = *first);
            // At least one class is left.
            let removed = removed.min(own.len() - 1);
            // The highest are the rarest more often than the lowest.
            let front = if by_edges { removed / 2 } else { 0 };
            let back = removed - front;
            own[..=front].iter().for_each(|part| leader[*part] = *first);
            own[own.len() - 1 - back..]
                .iter()
                .for_each(|part| leader[*part] = if front + back + 1 == own.len() { *first } else { *last });
        }
        renumbered(&leader)
    };
    let mut size = most;
    loop {
        let classes_now = merged(most - size);
        let known = found.last().map_or_else(|| (0..parts.len()).collect::<Vec<_>>(), |(last, _)| last.clone());
        if classes_now != known && !same_partition(&classes_now, coarser) {
            found.push((classes_now, size == most));
        }
        if size <= 2 {
            break;
        }
        size = (3 * size / 4).max(2);
    }
    found.reverse();
    found
}

/// Classes in the order in which they first appear.
fn renumbered(leader: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    leader
        .iter()
        .map(|leader| {
            order.iter().position(|known| known == leader).unwrap_or_else(|| {
                order.push(*leader);
                order.len() - 1
            })
        })
        .collect()
}

fn same_partition(a: &[usize], b: &[usize]) -> bool {
    renumbered(a) == renumbered(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(value: i64) -> Decimal {
        Decimal::new(value, 0).expect("few digits")
    }

    fn histogram(edges: &[i64]) -> Vec<Part> {
        let edges: Vec<Decimal> = edges.iter().map(|edge| decimal(*edge)).collect();
        let inner = edges.windows(2).map(|edge| Part::Interval(edge[0], edge[1]));
        let last = [Part::AtLeast(edges[edges.len() - 1]), Part::Missing];
        [Part::Below(edges[0])].into_iter().chain(inner).chain(last).collect()
    }

    fn dimension(edges: &[i64]) -> Vec<Part> {
        let edges: Vec<Decimal> = edges.iter().map(|edge| decimal(*edge)).collect();
        let inner = edges.windows(2).map(|edge| Part::Interval(edge[0], edge[1]));
        inner.chain([Part::Outside(edges[0], edges[edges.len() - 1]), Part::Missing]).collect()
    }

    fn values(values: &[i64]) -> Vec<Part> {
        let values = values.iter().map(|value| Part::Value(CategoryValue::Integer(*value)));
        values.chain([Part::Other, Part::Missing]).collect()
    }

    fn presence() -> Vec<Part> {
        vec![Part::Present, Part::Missing]
    }

    #[test]
    fn edges_among_edges_are_nested() {
        let refined = |fine: Vec<Part>, coarse: Vec<Part>| refinement(&fine, &coarse);
        assert_eq!(refined(histogram(&[0, 5, 10]), histogram(&[0, 10])), Some(vec![0, 1, 1, 2, 3]));
        assert_eq!(refined(histogram(&[-5, 0, 5, 10]), histogram(&[0, 10])), Some(vec![0, 0, 1, 1, 2, 3]));
        assert_eq!(refined(histogram(&[0, 5, 10]), dimension(&[0, 10])), Some(vec![1, 0, 0, 1, 2]));
        assert_eq!(refined(dimension(&[0, 5, 10]), dimension(&[0, 10])), Some(vec![0, 0, 1, 2]));
        assert_eq!(refined(histogram(&[0, 10]), presence()), Some(vec![0, 0, 0, 1]));
        assert_eq!(refined(dimension(&[0, 10]), presence()), Some(vec![0, 0, 1]));
        assert_eq!(refined(values(&[1, 2]), presence()), Some(vec![0, 0, 0, 1]));
    }

    #[test]
    fn anything_else_is_not() {
        let refined = |fine: Vec<Part>, coarse: Vec<Part>| refinement(&fine, &coarse);
        // One edge more, but not the other's.
        assert_eq!(refined(histogram(&[0, 6, 12]), histogram(&[0, 10])), None);
        // *Other* of a dimension is below and above at once, and so holds no part of its own of a histogram.
        assert_eq!(refined(dimension(&[0, 5, 10]), histogram(&[0, 10])), None);
        // Wider inside: a part of the inner cut's *other* is an interval here.
        assert_eq!(refined(dimension(&[0, 10, 20]), dimension(&[0, 10])), Some(vec![0, 1, 1, 2]));
        assert_eq!(refined(dimension(&[0, 10]), dimension(&[0, 10, 20])), None);
        assert_eq!(refined(dimension(&[5, 10, 20]), dimension(&[0, 10])), None);
        // What a list of values leaves over may be anywhere.
        assert_eq!(refined(values(&[1, 2]), histogram(&[0, 10])), None);
        assert_eq!(refined(histogram(&[0, 10]), values(&[1])), None);
        assert_eq!(refined(values(&[1, 2]), values(&[1])), None);
        assert_eq!(refined(values(&[1]), values(&[1, 2])), None);
        assert_eq!(refined(presence(), histogram(&[0, 10])), None);
    }

    #[test]
    fn rare_categories_are_merged_step_by_step() {
        let steps = |parts: Vec<Part>, coarser: &[usize]| -> Vec<Vec<usize>> {
            between(&parts, coarser).into_iter().map(|(classes, _)| classes).collect()
        };
        // Coarsest first. Six values, other, missing: two classes, three, four; and all six, with the rest in the first.
        let six = steps(values(&[1, 2, 3, 4, 5, 6]), &[0; 8]);
        let merged =
            [[0, 1, 1, 1, 1, 1, 0, 0], [0, 1, 2, 2, 2, 2, 0, 0], [0, 1, 2, 3, 3, 3, 0, 0], [0, 1, 2, 3, 4, 5, 0, 0]];
        assert_eq!(six, merged);
        // Three intervals: the highest two; five: one at either end.
        assert_eq!(steps(dimension(&[0, 1, 2, 3]), &[0; 5]), [[0, 1, 1, 0, 0], [0, 1, 2, 0, 0]]);
        let five = steps(dimension(&[0, 1, 2, 3, 4, 5]), &[0; 7]);
        assert_eq!(five, [[0, 0, 1, 1, 1, 0, 0], [0, 0, 1, 2, 2, 0, 0], [0, 1, 2, 3, 4, 0, 0]]);
        // Two intervals are one class of the coarser cut, four another: the two are merged at once.
        let coarser = [0, 1, 1, 2, 2, 2, 2, 3, 4];
        let both = [[0, 1, 1, 2, 2, 3, 3, 4, 5], [0, 1, 1, 2, 3, 4, 4, 5, 6]];
        assert_eq!(steps(histogram(&[0, 1, 2, 3, 4, 5, 6]), &coarser), both);
        // Those without a value stay apart where another statistic tells them apart.
        assert_eq!(steps(values(&[1, 2]), &[0, 0, 0, 1]), [[0, 1, 0, 2]]);
        // One value and the rest: everybody.
        assert!(steps(values(&[1]), &[0; 3]).is_empty());
    }

    #[test]
    fn declared_steps_are_taken_where_they_are_between() {
        let steps = |coarser: &[usize]| {
            let declared = vec![vec![0, 1, 1, 2, 3], vec![0, 1, 1, 0, 0]];
            steps_between(&Cut { parts: values(&[1, 2, 3]), statistic: 0, coarser: coarser.to_vec(), declared })
        };
        let (first, second) = (vec![0, 1, 1, 2, 3], vec![0, 1, 1, 0, 0]);
        assert_eq!(steps(&[0; 5]), [(second, false), (first.clone(), true)]);
        // Those without a value stay apart where another statistic tells them apart.
        assert_eq!(steps(&[0, 0, 0, 0, 1]), [(first.clone(), true)]);
        assert!(steps(&first).is_empty(), "it is asked for");
    }

    #[test]
    fn steps_of_a_part_are_those_its_values_may_round_to() {
        let scale = |min: &str, max: &str, resolution: &str| {
            let decimal = |text: &str| text.parse().expect("a decimal");
            let (min, max, resolution) = (decimal(min), decimal(max), decimal(resolution));
            let variable =
                consilium_protocol::study::Variable { name: "x".into(), min, max, resolution, unit: String::new() };
            Scale::of(&variable).expect("a valid variable")
        };
        let of = |part: &Part, scale: &Scale| steps_of(part, scale);
        let tens = scale("0", "100", "10");
        assert_eq!(of(&Part::Interval(decimal(20), decimal(50)), &tens), 2..=5, "49 rounds to 50");
        assert_eq!(of(&Part::Interval(decimal(24), decimal(26)), &tens), 2..=3);
        assert_eq!(
            of(&Part::Interval(decimal(25), decimal(44)), &tens),
            2..=4,
            "25 is halfway, and a double may be below"
        );
        assert_eq!(of(&Part::Below(decimal(-5)), &tens), 0..=0, "what is below the minimum counts as it");
        assert_eq!(of(&Part::AtLeast(decimal(500)), &tens), 10..=10);
        assert_eq!(of(&Part::Value(CategoryValue::Integer(30)), &tens), 3..=3);
        assert_eq!(of(&Part::Other, &tens), 0..=10);
        // As a double, 1.005 is 100.49999999999999 hundredths, just below what rounds to 101.
        let below = Part::Below("1.005".parse().expect("a decimal"));
        assert_eq!(of(&below, &scale("0", "9", "0.01")), 0..=101);
    }
}
