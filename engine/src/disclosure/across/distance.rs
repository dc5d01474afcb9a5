//! How far the groups of a study are from what was released before.

use std::collections::{BTreeMap, HashMap};

use consilium_protocol::study::{Protection, StudySpec};

use super::super::lattice::node::{Key, Levels, Sets};
use super::super::lattice::{Decided, Lattice};
use super::contrast::{Tells, contrasts};
use super::record::{Places, Record, mark};
use super::span::{Function, Span, Stands};
use crate::statistics::{Column, Layout, Scale, StatisticsError, cuts, summed};

/// The most functions that are looked at; where there are more, nothing is far.
const MOST: usize = 6_000;

/// Rounding of what is a whole number most often.
const ROUNDING: f64 = 1e-4;

/// An earlier contribution, with the study that it was to.
pub(super) struct Remembered<'a> {
    pub(super) spec: &'a StudySpec,
    pub(super) layout: Layout,
    /// Which groups of cells were released; all of them where it is not known.
    pub(super) released: Option<Vec<bool>>,
    pub(super) record: &'a Record,
}

/// A function over the patients, by name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Name {
    /// The sum of x^degree over a bundle of an earlier study.
    Earlier { study: usize, bundle: usize, degree: u8 },
    /// A group of a partition.
    Group { partition: usize, group: Key },
    /// The sum of x^degree over a group of a partition.
    Sum { partition: usize, group: Key, column: usize, degree: u8 },
}

/// Of a sum the column and the degree; none of a count.
type OfSum = Option<(usize, u8)>;

/// For each number of a study how many patients of the hospital its counts and sums are apart from everything released
/// before, or `enough`.
pub(super) fn distances(
    spec: &StudySpec,
    layout: &Layout,
    lattice: &Lattice,
    own: &Record,
    earlier: &[Remembered<'_>],
    enough: u64,
) -> Result<Vec<u64>, StatisticsError> {
    let world = World::of(spec, layout, lattice, own, earlier)?;
    let mut span = Span::new(world.weights.clone());
    for (_, function) in world.functions.iter().filter(|(name, _)| matches!(name, Name::Earlier { .. })) {
        span.push(function.clone());
        if span.len() > MOST {
            // Not looked at to the end: it would take hours.
            let is_free = |decided: &Vec<Decided>| if decided.is_empty() { u64::MAX } else { 0 };
            return Ok(lattice.decided.iter().map(is_free).collect());
        }
    }
    let base = span.len();
    // What hangs on one partition, of counts and of each sum, is looked at together.
    let mut wanted: BTreeMap<(&Levels, OfSum), Vec<(usize, &Decided)>> = BTreeMap::new();
    for (number, decided) in lattice.decided.iter().enumerate() {
        for one in decided {
            wanted.entry((&one.levels, one.sum)).or_default().push((number, one));
        }
    }
    let mut least = vec![u64::MAX; lattice.decided.len()];
    for ((levels, sum), decided) in wanted {
        span.truncate(base);
        let mut names: HashMap<&Key, Stands> = HashMap::new();
        let own_partition = |partition: usize| world.partitions[partition] == *levels;
        // The own groups come last.
        for (name, function) in world.others(levels, sum) {
            let is_own = match (name, sum) {
                (Name::Group { partition, .. }, None) => own_partition(*partition),
                (Name::Sum { partition, column, degree, .. }, Some(sum)) => {
                    own_partition(*partition) && (*column, *degree) == sum
                }
                _ => false,
            };
            if !is_own {
                span.push(function.clone());
            }
        }
        for (name, function) in world.functions.iter() {
            let group = match (name, sum) {
                (Name::Group { partition, group }, None) if own_partition(*partition) => group,
                (Name::Sum { partition, group, column, degree }, Some(sum))
                    if own_partition(*partition) && (*column, *degree) == sum =>
                {
                    group
                }
                _ => continue,
            };
            if let Some(name) = span.push(function.clone()) {
                names.insert(group, name);
            }
        }
        let mut of_class: HashMap<usize, HashMap<&Key, Tells>> = HashMap::new();
        let mut known: HashMap<(&Key, Option<usize>), u64> = HashMap::new();
        for (number, one) in decided {
            let contrast = match one.class {
                None => Vec::new(),
                Some(class) => {
                    let groups = &lattice.classes[class].groups;
                    let tells = || groups.iter().zip(contrasts(&lattice.classes[class])).collect();
                    match of_class.entry(class).or_insert_with(tells).get(&one.group) {
                        Some(Tells::Contrast(contrast)) => {
                            contrast.iter().map(|(at, by)| (&groups[*at], *by)).collect()
                        }
                        Some(Tells::Nothing) => continue,
                        Some(Tells::Unknown) | None => {
                            least[number] = 0;
                            continue;
                        }
                    }
                }
            };
            let distance = *known.entry((&one.group, one.class)).or_insert_with(|| {
                let against =
                    contrast.into_iter().map(|(group, by)| Some((*names.get(group)?, by))).collect::<Option<Vec<_>>>();
                match (names.get(&one.group), against) {
                    (Some(of), Some(against)) if span.len() <= MOST => {
                        whole(span.distance(*of, &against, enough as f64))
                    }
                    // Nobody is in it, or where patients would be exchanged with.
                    _ => 0,
                }
            });
            least[number] = least[number].min(distance);
        }
    }
    Ok(least)
}

fn whole(distance: f64) -> u64 {
    (distance + ROUNDING).floor() as u64
}

/// All functions over the remembered patients. Patients that no function tells apart share a place.
struct World {
    weights: Vec<f64>,
    functions: BTreeMap<Name, Function>,
    partitions: Vec<Levels>,
}

impl World {
    fn of(
        spec: &StudySpec,
        layout: &Layout,
        lattice: &Lattice,
        own: &Record,
        earlier: &[Remembered<'_>],
    ) -> Result<Self, StatisticsError> {
        let records = || earlier.iter().map(|one| (one.spec, &one.layout, one.record)).chain([(spec, layout, own)]);
        if records().any(|(spec, layout, record)| !record.fits(spec, layout)) {
            return Err(StatisticsError::Guarding);
        }
        let mut rows: BTreeMap<&[u8; 16], Vec<(usize, usize)>> = BTreeMap::new();
        for (study, (_, _, record)) in records().enumerate() {
            // Who is not remembered now would look like one who has left: where the hospital grows, earlier samples are larger.
            let sampled = record.subjects.iter().enumerate().filter(|(_, subject)| mark(subject) <= own.most);
            for (row, subject) in sampled {
                rows.entry(subject).or_default().push((study, row));
            }
        }
        let of_earlier: Vec<EarlierFunctions> =
            earlier.iter().map(EarlierFunctions::of).collect::<Option<_>>().ok_or(StatisticsError::Guarding)?;
        let new = NewFunctions::of(spec, layout, lattice).ok_or(StatisticsError::Guarding)?;
        let mut names: Vec<Name> = Vec::new();
        let mut known: HashMap<Name, u32> = HashMap::new();
        let mut places: HashMap<Vec<(u32, u64)>, usize> = HashMap::new();
        let mut found: Vec<(f64, Vec<(u32, f64)>)> = Vec::new();
        for at in rows.values() {
            let mut values: Vec<(u32, f64)> = Vec::new();
            let mut add = |name: Name, value: f64| {
                if value != 0.0 {
                    let number = *known.entry(name.clone()).or_insert_with(|| {
                        names.push(name);
                        names.len() as u32 - 1
                    });
                    values.push((number, value));
                }
            };
            for (study, row) in at {
                match earlier.get(*study) {
                    Some(one) => of_earlier[*study].each(one, *study, *row, &mut add),
                    None => new.each(own, *row, &mut add)?,
                }
            }
            // The same patients to every function, whatever the order of their names.
            values.sort_by_key(|(name, _)| *name);
            let key: Vec<(u32, u64)> = values.iter().map(|(name, value)| (*name, value.to_bits())).collect();
            let place = *places.entry(key).or_insert_with(|| {
                found.push((0.0, values));
                found.len() - 1
            });
            found[place].0 += 1.0;
        }
        let mut functions: Vec<Function> = vec![Vec::new(); names.len()];
        for (place, (_, values)) in found.iter().enumerate() {
            values.iter().for_each(|(name, value)| functions[*name as usize].push((place as u32, *value)));
        }
        Ok(Self {
            weights: found.iter().map(|(weight, _)| *weight).collect(),
            functions: names.into_iter().zip(functions).collect(),
            partitions: new.partitions,
        })
    }

    /// What the study itself releases beside the counts of a partition, or a sum of it: of counts everything by later partitions of
    /// which neither refines the other; of sums all counts, lower powers, and sums of other variables as well.
    fn others<'a>(&'a self, levels: &'a Levels, sum: OfSum) -> impl Iterator<Item = (&'a Name, &'a Function)> {
        let own_place = self.partitions.iter().position(|other| other == levels);
        let beside = move |partition: usize| {
            let other = &self.partitions[partition];
            Some(partition) > own_place && !other.refines(levels) && !levels.refines(other)
        };
        self.functions.iter().filter(move |(name, _)| match (name, sum) {
            (Name::Earlier { .. }, _) | (Name::Sum { .. }, None) => false,
            (Name::Group { partition, .. }, None) => beside(*partition),
            (Name::Group { .. }, Some(_)) => true,
            (Name::Sum { partition, column, degree, .. }, Some((of, own))) => {
                *column != of || *degree < own || (*degree == own && beside(*partition))
            }
        })
    }
}

/// What an earlier study released.
struct EarlierFunctions {
    places: Places,
    /// By bundle whether its count and its sums were released.
    released: Vec<(bool, bool)>,
    /// By bundle the range of its variable, in steps.
    ranges: Vec<i64>,
    /// By bundle how many powers of x are summed up.
    powers: Vec<u8>,
}

impl EarlierFunctions {
    fn of(one: &Remembered<'_>) -> Option<Self> {
        let layout = &one.layout;
        let all = (true, true);
        let mut released = vec![all; layout.bundles().len()];
        if let (Protection::Guarded, Some(groups)) = (&one.spec.protection, &one.released) {
            let lattice = Lattice::of(one.spec, layout).ok()?;
            for (bundle, places) in lattice.places.iter().enumerate() {
                let is = |group: usize| groups.get(group).copied().unwrap_or(true);
                released[bundle] = (is(places.count), places.sums.is_some_and(is));
            }
        }
        let mut ranges = vec![1; layout.bundles().len()];
        for block in layout.all_blocks() {
            let variable =
                one.spec.statistics[block.statistic].kind.variable().and_then(|name| one.spec.variable(name));
            if let Some(scale) = variable.and_then(Scale::of) {
                block.bundles.clone().for_each(|bundle| ranges[bundle] = scale.range.max(1));
            }
        }
        let powers = layout.bundles().iter().map(|bundle| powers(bundle.content)).collect();
        Some(Self { places: Places::of(one.spec, layout), released, ranges, powers })
    }

    fn each(&self, one: &Remembered<'_>, study: usize, row: usize, add: &mut impl FnMut(Name, f64)) {
        let (cuts, summed) = self.places.width();
        let parts = &one.record.parts[row * cuts..(row + 1) * cuts];
        let steps = &one.record.steps[row * summed..(row + 1) * summed];
        self.places.each(&one.layout, parts, steps, |bundle, step| {
            let (count, sums) = self.released[bundle];
            if count {
                add(Name::Earlier { study, bundle, degree: 0 }, 1.0);
            }
            if let (true, Some(step)) = (sums, step) {
                let x = step as f64 / self.ranges[bundle] as f64;
                for degree in 1..=self.powers[bundle] {
                    add(Name::Earlier { study, bundle, degree }, x.powi(i32::from(degree)));
                }
            }
        });
    }
}

const fn powers(content: crate::statistics::Content) -> u8 {
    match content {
        crate::statistics::Content::Count => 0,
        crate::statistics::Content::Sum => 1,
        crate::statistics::Content::Squares => 2,
    }
}

/// Where a column is in a record: the cut of its parts, and for its values the variable and its range.
struct Found {
    cut: usize,
    variable: Option<(usize, i64)>,
}

/// What a study releases at most.
struct NewFunctions<'a> {
    sets: Sets<'a>,
    partitions: Vec<Levels>,
    columns: Vec<Found>,
    cuts: usize,
    summed: usize,
    /// Partition, column and degree of each sum.
    sums: Vec<(usize, usize, u8)>,
}

impl<'a> NewFunctions<'a> {
    fn of(spec: &StudySpec, layout: &'a Layout, lattice: &Lattice) -> Option<Self> {
        let sets = Sets::of(layout.columns());
        let (cuts, summed) = (cuts(layout), summed(spec, layout));
        let column = |column: &Column| {
            let cut = cuts.iter().position(|cut| cut.column == column.name && cut.parts == column.parts)?;
            let variable = summed.iter().position(|name| *name == column.name);
            let scale = spec.variable(&column.name).and_then(Scale::of);
            Some(Found { cut, variable: variable.zip(scale.map(|scale| scale.range.max(1))) })
        };
        let columns = layout.columns().iter().map(column).collect::<Option<Vec<_>>>()?;
        let partitions = lattice.partitions.clone();
        let mut sums: Vec<(usize, usize, u8)> = Vec::new();
        for decided in lattice.decided.iter().flatten() {
            if let Some((column, degree)) = decided.sum {
                let partition = partitions.iter().position(|levels| *levels == decided.levels)?;
                if !sums.contains(&(partition, column, degree)) {
                    sums.push((partition, column, degree));
                }
            }
        }
        Some(Self { sets, partitions, columns, cuts: cuts.len(), summed: summed.len(), sums })
    }

    fn each(&self, own: &Record, row: usize, add: &mut impl FnMut(Name, f64)) -> Result<(), StatisticsError> {
        let parts = &own.parts[row * self.cuts..(row + 1) * self.cuts];
        let steps = &own.steps[row * self.summed..(row + 1) * self.summed];
        let atom = |(column, found): (&Column, &Found)| {
            let part = parts[found.cut] as usize;
            let step = found.variable.map(|(variable, _)| steps[variable]);
            column.atoms.iter().position(|atom| atom.part == part && (atom.step.is_none() || atom.step == step))
        };
        let atoms: Vec<usize> = self
            .sets
            .columns
            .iter()
            .zip(&self.columns)
            .map(atom)
            .collect::<Option<_>>()
            .ok_or(StatisticsError::Guarding)?;
        let group = |levels: &Levels| -> Key {
            let class = |(column, level): (usize, &usize)| {
                self.sets.set(column, *level, self.sets.columns[column].levels[*level].class_of[atoms[column]])
            };
            levels.0.iter().enumerate().map(class).collect()
        };
        for (partition, levels) in self.partitions.iter().enumerate() {
            add(Name::Group { partition, group: group(levels) }, 1.0);
        }
        for (partition, column, degree) in self.sums.iter().copied() {
            if let Some((variable, range)) = self.columns[column].variable
                && steps[variable] >= 0
            {
                let x = steps[variable] as f64 / range as f64;
                let group = group(&self.partitions[partition]);
                add(Name::Sum { partition, group, column, degree }, x.powi(i32::from(degree)));
            }
        }
        Ok(())
    }
}
