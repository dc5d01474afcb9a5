//! The guarantees, tested by linear algebra over the atoms of many small studies and tables. It shares nothing with the
//! compiler: atoms are sample values, and whether a group holds one follows from the meaning of its parts.

use consilium_protocol::study::{CategoryValue, StudySpec};

use super::{BitRef, Dependence, DependenceError, Rings};
use crate::statistics::{Axis, Layout, Part};

pub(super) const K: u64 = 11;

const PRIMES: [u64; 2] = [2_147_483_647, 1_000_000_007];

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// A study of these statistics over the columns x (cut by edges and as a variable), y (a variable), g, h and m.
pub(super) fn study(statistics: &str) -> StudySpec {
    let variable = |name: &str| format!("[[variable]]\nname = \"{name}\"\nmin = 0\nmax = 10\nresolution = 1\n");
    let dimension = |name: &str| format!("[[dimension]]\nname = \"{name}\"\nvalues = [1]\n");
    let text = format!(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\n\
         [cohort]\nsql = \"SELECT 1\"\nsubject = \"id\"\n{}{}\
         [[dimension]]\nname = \"x\"\nedges = [0, 10]\n{}{}{}{statistics}",
        variable("x"),
        variable("y"),
        dimension("g"),
        dimension("h"),
        dimension("m"),
    );
    StudySpec::from_toml(&text).expect("a valid study")
}

pub(super) fn statistic(name: &str, what: &str, by: &[&str]) -> String {
    let by: Vec<String> = by.iter().map(|name| format!("\"{name}\"")).collect();
    format!("[[statistic]]\nname = \"{name}\"\n{what}\nby = [{}]\n", by.join(", "))
}

pub(super) const COUNT: &str = "kind = \"count\"";

/// One value of each column, `None` where it is missing.
type Atom = Vec<Option<i64>>;

const COLUMNS: [&str; 5] = ["x", "y", "g", "h", "m"];

/// A value for each part of the finest cuts, of the columns that are cut.
fn atoms(layout: &Layout) -> Vec<Atom> {
    let axes = || layout.blocks().iter().flat_map(|block| &block.axes);
    let samples = |column: &str| -> Vec<Option<i64>> {
        let cuts: Vec<&Axis> = axes().filter(|axis| axis.column == column).collect();
        let all: &[Option<i64>] = match column {
            "x" => &[Some(-10), Some(-2), Some(2), Some(7), Some(20), None],
            "y" => &[Some(1), None],
            _ => &[Some(1), Some(2), None],
        };
        let mut kept: Vec<Option<i64>> = Vec::new();
        for value in all {
            let told = kept.iter().all(|other| cuts.iter().any(|axis| part_of(axis, *value) != part_of(axis, *other)));
            if told {
                kept.push(*value);
            }
        }
        kept
    };
    COLUMNS.iter().fold(vec![Vec::new()], |atoms: Vec<Atom>, column| {
        let values = samples(column);
        atoms.iter().flat_map(|atom| values.iter().map(|value| [atom.as_slice(), &[*value]].concat())).collect()
    })
}

fn part_of(axis: &Axis, value: Option<i64>) -> usize {
    let holds = |part: &Part| match (part, value) {
        (Part::Missing, value) => value.is_none(),
        (_, None) => false,
        (Part::Present, _) => true,
        (Part::Value(own), Some(value)) => *own == CategoryValue::Integer(value),
        (Part::Other, Some(value)) => !axis.parts.contains(&Part::Value(CategoryValue::Integer(value))),
        (Part::Interval(from, to), Some(value)) => from.to_f64() <= value as f64 && (value as f64) < to.to_f64(),
        (Part::Outside(from, to), Some(value)) => !(from.to_f64() <= value as f64 && (value as f64) < to.to_f64()),
        (Part::Below(to), Some(value)) => (value as f64) < to.to_f64(),
        (Part::AtLeast(from), Some(value)) => from.to_f64() <= value as f64,
    };
    axis.parts.iter().position(holds).expect("every value is in a part")
}

/// For each group of the layout, 1 for each atom that it holds.
fn rows(layout: &Layout, atoms: &[Atom]) -> Vec<Vec<u64>> {
    let mut rows = vec![vec![0; atoms.len()]; layout.bundles().len()];
    for block in layout.blocks() {
        for (position, atom) in atoms.iter().enumerate() {
            let bundle = block.axes.iter().fold(0, |bundle, axis| {
                let column = COLUMNS.iter().position(|name| *name == axis.column).expect("a known column");
                bundle * axis.parts.len() + part_of(axis, atom[column])
            });
            rows[block.bundles.start + bundle][position] = 1;
        }
    }
    rows
}

/// A space of rows modulo a prime, each with a leading 1 where no other row has anything.
struct Space {
    prime: u64,
    basis: Vec<(usize, Vec<u64>)>,
}

impl Space {
    fn spanned_by<'a>(prime: u64, rows: impl IntoIterator<Item = &'a Vec<u64>>) -> Self {
        let mut space = Self { prime, basis: Vec::new() };
        rows.into_iter().for_each(|row| space.add(row));
        space
    }

    fn reduce(&self, row: &[u64]) -> Vec<u64> {
        let mut row = row.to_vec();
        self.basis.iter().for_each(|(lead, basis)| clear(&mut row, basis, *lead, self.prime));
        row
    }

    fn holds(&self, row: &[u64]) -> bool {
        self.reduce(row).iter().all(|entry| *entry == 0)
    }

    fn add(&mut self, row: &[u64]) {
        let mut row = self.reduce(row);
        let Some(lead) = row.iter().position(|entry| *entry != 0) else { return };
        let inverse = power(row[lead], self.prime - 2, self.prime);
        row.iter_mut().for_each(|entry| *entry = *entry * inverse % self.prime);
        self.basis.iter_mut().for_each(|(_, basis)| clear(basis, &row, lead, self.prime));
        self.basis.push((lead, row));
    }
}

/// Subtracts the multiple of `basis` that leaves a 0 at `lead`.
fn clear(row: &mut [u64], basis: &[u64], lead: usize, prime: u64) {
    let factor = row[lead];
    if factor != 0 {
        row.iter_mut().zip(basis).for_each(|(entry, other)| *entry = (*entry + (prime - factor) * other) % prime);
    }
}

fn power(mut base: u64, mut exponent: u64, prime: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % prime;
        }
        base = base * base % prime;
        exponent >>= 1;
    }
    result
}

/// A study with a table of counts, and what of it is released.
pub(super) struct Case {
    blocks: Vec<std::ops::Range<usize>>,
    rows: Vec<Vec<u64>>,
    table: Vec<u64>,
    counts: Vec<u64>,
    passes: Vec<bool>,
    pub(super) released: Vec<bool>,
}

impl Case {
    /// The study with so many subjects in each atom, in the order x, y, g, h, m of the columns, the last fastest.
    fn of(layout: &Layout, dependence: &Dependence, table: Vec<u64>, zeros_are_shown: bool) -> Self {
        let rows = rows(layout, &atoms(layout));
        let counts: Vec<u64> = rows.iter().map(|row| row.iter().zip(&table).map(|(held, n)| held * n).sum()).collect();
        let passes: Vec<bool> = counts.iter().map(|n| *n >= K || (*n == 0 && zeros_are_shown)).collect();
        let released = dependence.evaluate(&passes);
        let blocks = layout.blocks().iter().map(|block| block.bundles.clone()).collect();
        Self { blocks, rows, table, counts, passes, released }
    }

    fn random(random: &mut Random, small: bool, rings: Rings) -> Result<(Self, usize), DependenceError> {
        loop {
            let spec = random_study(random, small);
            let layout = Layout::of(&spec).expect("a valid study");
            let atoms = atoms(&layout).len();
            if small && atoms > 12 {
                continue;
            }
            let dependence = Dependence::of(&spec, &layout, rings)?;
            // From tables full of large cells to sparse ones.
            let (empty, tiny) = (random.below(60), random.below(15));
            let mut count = || match random.below(100) {
                n if n < empty => 0,
                n if n < empty + tiny => 1 + random.below(6),
                _ => 11 + random.below(20),
            };
            let table = (0..atoms).map(|_| count()).collect();
            let zeros_are_shown = random.below(4) > 0;
            return Ok((Self::of(&layout, &dependence, table, zeros_are_shown), dependence.sets.len()));
        }
    }

    pub(super) fn by_hand(statistics: &str, table: &[u64]) -> Self {
        let spec = study(statistics);
        let layout = Layout::of(&spec).expect("a valid study");
        assert_eq!(atoms(&layout).len(), table.len(), "the atoms of the study");
        let dependence = Dependence::of(&spec, &layout, Rings::Refuse).expect("a study that can be guarded");
        Self::of(&layout, &dependence, table.to_vec(), true)
    }

    fn small_groups(&self) -> impl Iterator<Item = usize> {
        (0..self.rows.len()).filter(|group| !self.passes[*group] && self.counts[*group] > 0)
    }

    fn shown(&self) -> impl Iterator<Item = &Vec<u64>> {
        self.rows.iter().zip(&self.released).filter(|(_, released)| **released).map(|(row, _)| row)
    }

    /// What is known: the released counts, and each atom of released groups that are empty.
    fn known(&self, prime: u64) -> Space {
        let mut space = Space::spanned_by(prime, self.shown());
        for (row, _) in self
            .rows
            .iter()
            .zip(&self.counts)
            .zip(&self.released)
            .filter(|((_, n), shown)| **n == 0 && **shown)
            .map(|(pair, _)| pair)
        {
            for atom in (0..row.len()).filter(|atom| row[*atom] == 1) {
                let mut unit = vec![0; row.len()];
                unit[atom] = 1;
                space.add(&unit);
            }
        }
        space
    }

    /// Whether no small group follows from what is known by linear combination.
    pub(super) fn hides_small_groups(&self) -> bool {
        PRIMES.iter().all(|prime| {
            let known = self.known(*prime);
            self.small_groups().all(|group| !known.holds(&self.rows[group]))
        })
    }

    /// Whether each small group would be another number in a table that agrees on all that is released: with a subject
    /// less, or one elsewhere.
    pub(super) fn leaves_small_groups_open(&self) -> bool {
        let held: Vec<Vec<u64>> =
            (0..self.table.len()).map(|atom| self.shown().map(|row| row[atom]).collect()).collect();
        self.small_groups().all(|group| {
            let row = &self.rows[group];
            let inside = (0..row.len()).filter(|atom| row[*atom] == 1 && self.table[*atom] > 0);
            let mut open = inside.map(|atom| {
                held[atom].iter().all(|held| *held == 0)
                    || (0..row.len()).any(|other| row[other] == 0 && held[other] == held[atom])
            });
            open.any(|open| open)
        })
    }

    /// The smallest count that is not zero of any set of atoms whose count follows from what is known.
    fn smallest_that_follows(&self) -> Option<u64> {
        let known = self.known(PRIMES[0]);
        let atoms = self.table.len();
        let follows = |set: &u32| {
            let row: Vec<u64> = (0..atoms).map(|atom| u64::from(set >> atom & 1)).collect();
            known.holds(&row)
        };
        let count = |set: u32| (0..atoms).filter(|atom| set >> atom & 1 == 1).map(|atom| self.table[atom]).sum::<u64>();
        (1..1u32 << atoms).filter(follows).map(count).filter(|n| *n > 0).min()
    }

    /// Whether each released group that is a union of groups of some block is a union of groups that pass.
    fn keeps_the_rule_of_unions(&self) -> bool {
        let released = (0..self.rows.len()).filter(|group| self.released[*group]);
        released.flat_map(|whole| self.blocks.iter().map(move |block| (whole, block.clone()))).all(|(whole, block)| {
            let whole = &self.rows[whole];
            let held = |group: &usize| self.rows[*group].iter().zip(whole).any(|(part, whole)| part * whole > 0);
            let parts: Vec<usize> = block.filter(held).collect();
            let is_within = |group: &usize| self.rows[*group].iter().zip(whole).all(|(part, whole)| part <= whole);
            !parts.iter().all(is_within) || parts.iter().all(|part| self.passes[*part])
        })
    }

    fn nested_differences(&self) -> impl Iterator<Item = u64> {
        let shown: Vec<(&Vec<u64>, u64)> = (0..self.rows.len())
            .filter(|group| self.released[*group])
            .map(|group| (&self.rows[group], self.counts[group]))
            .collect();
        let within = |part: &[u64], whole: &[u64]| part.iter().zip(whole).all(|(part, whole)| part <= whole);
        let pairs =
            shown.clone().into_iter().flat_map(move |whole| shown.clone().into_iter().map(move |part| (part, whole)));
        pairs.filter(move |(part, whole)| within(part.0, whole.0)).map(|(part, whole)| whole.1 - part.1)
    }
}

fn random_study(random: &mut Random, small: bool) -> StudySpec {
    let of_x = [
        "kind = \"mean\"\nof = \"x\"",
        "kind = \"histogram\"\nof = \"x\"\nedges = [0, 10]",
        "kind = \"histogram\"\nof = \"x\"\nedges = [0, 5, 10]",
        "kind = \"histogram\"\nof = \"x\"\nedges = [-5, 0, 5, 10]",
    ];
    let count = 1 + random.below(4);
    let statistics = (0..count).map(|name| {
        let what = match random.below(10) {
            0..3 => of_x[random.below(if small { 2 } else { 4 }) as usize],
            3..5 => "kind = \"variance\"\nof = \"y\"",
            _ => COUNT,
        };
        let dimensions: &[&str] = if small { &["g", "h"] } else { &["g", "h", "x", "m"] };
        let mut by: Vec<&str> =
            (0..random.below(if small { 3 } else { 4 })).map(|_| *random.pick(dimensions)).collect();
        by.sort_unstable();
        by.dedup();
        statistic(&name.to_string(), what, &by)
    });
    study(&statistics.collect::<String>())
}

#[test]
fn nothing_small_follows_whatever_the_study_and_the_table() {
    let mut random = Random(1);
    let (mut cases, mut rings, mut mixed, mut sets) = (0, 0, 0, 0);
    for _ in 0..1500 {
        match Case::random(&mut random, false, Rings::Refuse) {
            Ok((case, shared)) => {
                assert!(case.hides_small_groups(), "a small group follows: {:?}", case.table);
                assert!(case.leaves_small_groups_open(), "a small group is fixed: {:?}", case.table);
                assert!(case.nested_differences().all(|n| n == 0 || n >= K), "a small difference: {:?}", case.table);
                assert!(case.keeps_the_rule_of_unions(), "a union of small groups: {:?}", case.table);
                cases += 1;
                sets += usize::from(shared > 0);
                let released = case.released.iter().filter(|released| **released).count();
                mixed += usize::from(case.small_groups().next().is_some() && released > 0);
            }
            Err(DependenceError::Ring { .. }) => rings += 1,
            Err(other) => panic!("these cuts are nested: {other}"),
        }
    }
    println!("{cases} studies, {rings} rings refused, {sets} with sets, {mixed} with small and with released groups");
    assert!(cases > 1000 && rings > 20 && sets > 700 && mixed > 400, "too few cases say anything");
}

#[test]
fn nothing_asked_for_and_small_follows_from_a_ring_that_is_tied() {
    let mut random = Random(3);
    let mut rings = 0;
    for _ in 0..3000 {
        let mut again = Random(random.0);
        if Case::random(&mut random, false, Rings::Refuse).is_ok() {
            continue;
        }
        let (case, _) = Case::random(&mut again, false, Rings::Together).expect("tied");
        assert!(case.hides_small_groups() && case.leaves_small_groups_open(), "{:?}", case.table);
        assert!(case.nested_differences().all(|n| n == 0 || n >= K), "a small difference: {:?}", case.table);
        assert!(case.keeps_the_rule_of_unions(), "{:?}", case.table);
        rings += 1;
    }
    assert!(rings > 40, "too few cases say anything");
}

#[test]
fn no_set_of_atoms_that_follows_is_small() {
    let mut random = Random(2);
    let (mut cases, mut several) = (0, 0);
    for _ in 0..1500 {
        if let Ok((case, _)) = Case::random(&mut random, true, Rings::Refuse) {
            cases += 1;
            several += usize::from(case.shown().count() > 3 && case.small_groups().next().is_some());
            assert!(case.smallest_that_follows().is_none_or(|n| n >= K), "{:?} of {:?}", case.counts, case.table);
        }
    }
    println!("{cases} studies, {several} with small and several released groups");
    assert!(cases > 1000 && several > 200, "too few cases say anything");
}

#[test]
fn from_a_ring_groups_would_follow_that_nobody_asked_for() {
    let ring = [["g", "h"], ["h", "m"], ["g", "m"]];
    let statistics: String = ring.iter().map(|by| statistic(&by.concat(), COUNT, by)).collect();
    let spec = study(&statistics);
    let layout = Layout::of(&spec).expect("a valid study");
    let Err(DependenceError::Ring { statistics, columns }) = Dependence::of(&spec, &layout, Rings::Refuse) else {
        panic!("a ring");
    };
    assert_eq!(
        (statistics, columns),
        (["gh", "hm", "gm"].map(String::from).to_vec(), ["g", "h", "m"].map(String::from).to_vec())
    );
    // What it is refused for: (1, 1, 2) and (2, 2, 1) have two subjects each, every two-way group passes, and yet
    // n(g1,h1) - n(h1,m1) + n(g2,m1) = 4. Missing is nowhere.
    let atoms = atoms(&layout);
    let table = atoms.iter().map(|atom| match atom.as_slice() {
        [.., Some(1), Some(1), Some(2)] | [.., Some(2), Some(2), Some(1)] => 2,
        [.., g, h, m] if g.is_some() && h.is_some() && m.is_some() => 20,
        _ => 0,
    });
    let table: Vec<u64> = table.collect();
    let naive = Dependence { sets: Vec::new(), release: (0..layout.bundles().len()).map(BitRef::Group).collect() };
    let case = Case::of(&layout, &naive, table, true);
    assert!(case.released.iter().all(|released| *released), "every group passes");
    let known = case.known(PRIMES[0]);
    let odd: Vec<u64> = case.table.iter().map(|n| u64::from(*n == 2)).collect();
    assert!(known.holds(&odd), "four subjects follow");
}

#[test]
fn a_gate_without_dependence_is_found_out() {
    let total_and_parts = statistic("t", COUNT, &[]) + &statistic("g", COUNT, &["g"]);
    let spec = study(&total_and_parts);
    let layout = Layout::of(&spec).expect("a valid study");
    let naive = Dependence { sets: Vec::new(), release: (0..4).map(BitRef::Group).collect() };
    let case = Case::of(&layout, &naive, vec![50, 5, 0], true);
    assert!(!case.hides_small_groups() && !case.leaves_small_groups_open());
    assert_eq!(case.smallest_that_follows(), Some(5));
    assert!(case.nested_differences().any(|n| n == 5));
}
