//! The guarantee, tested on many small studies and tables: whoever sees everything that is released, and which of the rest is
//! hidden, can fix the count of no group that is small.
//!
//! For each such group another table is looked for, with the same released counts and sums, the same groups hidden, and another
//! number in that group. It shares nothing with the compiler but the circuit: what a group holds follows from the meaning of its
//! parts, and another table is another table whoever finds it.

use std::collections::BTreeMap;

use consilium_protocol::study::{CategoryValue, StudySpec};

use super::{Lattice, LatticeError};
use crate::statistics::{Axis, Content, CountAxis, CountTable, Layout, Part, Scale, StatisticsError};

/// The threshold: small, so that small tables have groups on either side of it.
pub(in crate::disclosure) const K: i64 = 3;

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
pub(in crate::disclosure) struct Random(pub(in crate::disclosure) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(in crate::disclosure) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From 0 to 1.
    pub(in crate::disclosure) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(in crate::disclosure) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// Two measured variables, and codes to break down by.
pub(crate) const QUERY: &str = "SELECT p.person_id AS id, a.x, b.s, p.gender_concept_id AS g, p.race_concept_id AS h, \
    p.ethnicity_concept_id AS m FROM person p LEFT JOIN (SELECT person_id, max(value_as_number) AS x FROM measurement WHERE \
    measurement_concept_id = 1 GROUP BY person_id) a ON a.person_id = p.person_id LEFT JOIN (SELECT person_id, \
    max(value_as_number) AS s FROM measurement WHERE measurement_concept_id = 2 GROUP BY person_id) b ON b.person_id = p.person_id";

const COLUMNS: [&str; 5] = ["x", "g", "h", "m", "s"];

/// A study of these statistics over the columns x (a variable from 0 to `most`), g, h (cut by edges), m and s (a variable that
/// is 0 or 1, and a dimension).
pub(in crate::disclosure) fn study(most: i64, statistics: &str) -> StudySpec {
    let text = format!(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"guarded\"\n\
         [cohort]\nsql = \"{QUERY}\"\nsubject = \"id\"\n\
         [[variable]]\nname = \"x\"\nmin = 0\nmax = {most}\nresolution = 1\n\
         [[variable]]\nname = \"s\"\nmin = 0\nmax = 1\nresolution = 1\n\
         [[dimension]]\nname = \"x\"\nedges = [0, {}, {}]\n\
         [[dimension]]\nname = \"g\"\nvalues = [1, 2]\n\
         [[dimension]]\nname = \"h\"\nedges = [1, 2, 3, 4]\n\
         [[dimension]]\nname = \"m\"\nvalues = [1]\n\
         [[dimension]]\nname = \"s\"\nvalues = [0, 1]\n{statistics}",
        (most + 1) / 2,
        most + 1,
    );
    StudySpec::from_toml(&text).unwrap_or_else(|error| panic!("{error}"))
}

pub(in crate::disclosure) fn statistic(name: &str, what: &str, by: &[&str]) -> String {
    let by: Vec<String> = by.iter().map(|name| format!("\"{name}\"")).collect();
    format!("[[statistic]]\nname = \"{name}\"\n{what}\nby = [{}]\n", by.join(", "))
}

pub(in crate::disclosure) const COUNT: &str = "kind = \"count\"";

/// One value of each column, `None` where it is missing.
pub(in crate::disclosure) type Atom = Vec<Option<i64>>;

/// A value of each kind that the study tells apart, of the columns that it uses.
fn atoms(spec: &StudySpec, layout: &Layout) -> Vec<Atom> {
    let used = |column: &str| layout.blocks().iter().flat_map(|block| &block.axes).any(|axis| axis.column == column);
    let values = |column: &str| -> Vec<Option<i64>> {
        if !used(column) {
            return vec![None];
        }
        let end = match column {
            "x" => spec.variable("x").and_then(Scale::of).expect("a scale").range,
            "g" => return vec![Some(1), Some(2), Some(9), None],
            "h" => return vec![Some(1), Some(2), Some(3), Some(9), None],
            "m" => return vec![Some(1), Some(9), None],
            _ => 1,
        };
        // What is wider than a score is a choice of literals in the query.
        let steps = if end > 64 { vec![0, 1, end] } else { (0..=end).collect() };
        steps.into_iter().map(Some).chain([None]).collect()
    };
    COLUMNS.iter().fold(vec![Vec::new()], |atoms: Vec<Atom>, column| {
        let values = values(column);
        atoms.iter().flat_map(|atom| values.iter().map(|value| [atom.as_slice(), &[*value]].concat())).collect()
    })
}

pub(in crate::disclosure) fn value(atom: &Atom, column: &str) -> Option<i64> {
    atom[COLUMNS.iter().position(|name| *name == column).expect("a known column")]
}

pub(in crate::disclosure) fn part_of(axis: &Axis, value: Option<i64>) -> usize {
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

/// The group of a table that an atom is in.
pub(in crate::disclosure) fn group_of(table: &CountTable, atom: &Atom) -> usize {
    table.axes.iter().fold(0, |place, axis| {
        let class = match axis {
            CountAxis::Column(axis) => part_of(axis, value(atom, &axis.column)),
            CountAxis::Steps { variable, starts } => match value(atom, variable) {
                None => starts.len(),
                Some(x) => starts.iter().rposition(|start| *start <= x).expect("the first is 0"),
            },
        };
        place * axis.classes() + class
    })
}

/// A study with what is known of every atom.
pub(in crate::disclosure) struct Study {
    pub(in crate::disclosure) layout: Layout,
    pub(in crate::disclosure) lattice: Lattice,
    pub(in crate::disclosure) atoms: Vec<Atom>,
    /// For each number the atoms that it counts.
    numbers: Vec<Vec<usize>>,
    /// For each group of cells what an atom adds to each cell: at most n, or Σx and Σx².
    cells: Vec<Vec<Vec<i64>>>,
    /// For each bundle the atoms that it counts.
    pub(in crate::disclosure) bundles: Vec<Vec<usize>>,
}

impl Study {
    pub(in crate::disclosure) fn of(spec: &StudySpec) -> Result<Self, LatticeError> {
        let layout = Layout::of(spec).expect("a valid study");
        let lattice = Lattice::of(spec, &layout)?;
        let atoms = atoms(spec, &layout);
        let tables: Vec<Vec<usize>> = lattice
            .compared
            .tables
            .iter()
            .map(|table| atoms.iter().map(|atom| group_of(table, atom)).collect())
            .collect();
        let numbers = lattice.compared.numbers.iter().map(|number| {
            let held = |atom: &usize| number.groups.contains(&tables[number.table][*atom]);
            (0..atoms.len()).filter(held).collect()
        });
        let numbers = numbers.collect();
        let (mut cells, mut bundles) = (vec![Vec::new(); lattice.padded.len()], Vec::new());
        let mut places = lattice.places.iter();
        for block in layout.all_blocks() {
            for position in 0..block.bundles.len() {
                let classes = block.parts_of(position);
                let holds = |atom: &usize| {
                    block.axes.iter().zip(&classes).all(|(axis, class)| {
                        axis.parts_in(*class).contains(&part_of(axis, value(&atoms[*atom], &axis.column)))
                    })
                };
                let held: Vec<usize> = (0..atoms.len()).filter(holds).collect();
                let place = places.next().expect("a place for each bundle");
                let row = |add: &dyn Fn(usize) -> i64| {
                    let mut row = vec![0; atoms.len()];
                    held.iter().for_each(|atom| row[*atom] = add(*atom));
                    row
                };
                cells[place.count].push(row(&|_| 1));
                if let Some(sums) = place.sums {
                    let of = spec.statistics[block.statistic].kind.variable().expect("a variable");
                    let x = |atom: usize| value(&atoms[atom], of).expect("present");
                    cells[sums].push(row(&|atom| x(atom)));
                    if layout.bundles()[block.bundles.start + position].content == Content::Squares {
                        cells[sums].push(row(&|atom| x(atom) * x(atom)));
                    }
                }
                bundles.push(held);
            }
        }
        Ok(Self { layout, lattice, atoms, numbers, cells, bundles })
    }

    /// Which seeds are released for this table.
    pub(in crate::disclosure) fn seeds(&self, table: &[i64], zeros: bool) -> Vec<bool> {
        let counts = self.numbers.iter().map(|atoms| atoms.iter().map(|atom| table[*atom]).sum::<i64>());
        let large: Vec<bool> = counts.clone().map(|n| n >= K).collect();
        let passes: Vec<bool> = counts.map(|n| n >= K || (zeros && n == 0)).collect();
        self.lattice.gates.evaluate(&passes, &large)
    }

    pub(in crate::disclosure) fn count(&self, bundle: usize, table: &[i64]) -> i64 {
        self.bundles[bundle].iter().map(|atom| table[*atom]).sum()
    }

    /// What is released, as a row over atoms for each number.
    fn released<'a>(&'a self, seeds: &'a [bool]) -> impl Iterator<Item = &'a Vec<i64>> {
        let groups = self.lattice.padded.iter().zip(&self.cells);
        groups.filter(|(group, _)| seeds[group.seed]).flat_map(|(_, rows)| rows)
    }
}

/// Tables that agree with one on everything that is seen of it.
pub(in crate::disclosure) struct Others<'a> {
    study: &'a Study,
    table: &'a [i64],
    zeros: bool,
    seeds: Vec<bool>,
    /// By atom a random linear function of what it adds to everything that is released: sets of atoms with the same sum of these
    /// can be exchanged.
    hashes: Vec<u64>,
    pairs: BTreeMap<u64, Vec<[usize; 2]>>,
    triples: Option<BTreeMap<u64, Vec<[usize; 3]>>>,
}

impl<'a> Others<'a> {
    pub(in crate::disclosure) fn new(study: &'a Study, table: &'a [i64], zeros: bool) -> Self {
        let seeds = study.seeds(table, zeros);
        let mut random = Random(7);
        let mut hashes = vec![0u64; study.atoms.len()];
        for row in study.released(&seeds) {
            let factor = random.next();
            hashes
                .iter_mut()
                .zip(row)
                .for_each(|(hash, add)| *hash = hash.wrapping_add(factor.wrapping_mul(add.cast_unsigned())));
        }
        let mut pairs: BTreeMap<u64, Vec<[usize; 2]>> = BTreeMap::new();
        for a in 0..hashes.len() {
            for b in a..hashes.len() {
                pairs.entry(hashes[a].wrapping_add(hashes[b])).or_default().push([a, b]);
            }
        }
        Self { study, table, zeros, seeds, hashes, pairs, triples: None }
    }

    /// Whether in some other table the bundle has another number: with one to three subjects who are otherwise.
    pub(in crate::disclosure) fn differ(&mut self, bundle: usize) -> bool {
        self.by_one(bundle) || self.by_two(bundle) || self.by_three(bundle)
    }

    fn is_other(&self, bundle: usize, from: &[usize], to: &[usize]) -> bool {
        let held = |atoms: &[usize]| {
            atoms.iter().filter(|atom| self.study.bundles[bundle].binary_search(atom).is_ok()).count()
        };
        if held(from) == held(to) {
            return false;
        }
        let mut other = self.table.to_vec();
        from.iter().for_each(|atom| other[*atom] -= 1);
        to.iter().for_each(|atom| other[*atom] += 1);
        other.iter().all(|n| *n >= 0) && self.study.seeds(&other, self.zeros) == self.seeds
    }

    fn by_one(&self, bundle: usize) -> bool {
        let atoms = self.hashes.len();
        // One subject elsewhere, or where nothing is known of the total one more or one less.
        let pairs = (0..atoms).flat_map(|a| (0..atoms).map(move |b| (a, b)));
        let mut moved = pairs.filter(|(a, b)| self.hashes[*a] == self.hashes[*b] && self.table[*a] > 0);
        moved.any(|(a, b)| self.is_other(bundle, &[a], &[b]))
            || (0..atoms).any(|atom| {
                self.hashes[atom] == 0 && (self.is_other(bundle, &[atom], &[]) || self.is_other(bundle, &[], &[atom]))
            })
    }

    fn by_two(&self, bundle: usize) -> bool {
        let full: Vec<usize> = (0..self.hashes.len()).filter(|atom| self.table[*atom] > 0).collect();
        full.iter().any(|a| {
            full.iter().any(|b| {
                let same = &self.pairs[&self.hashes[*a].wrapping_add(self.hashes[*b])];
                same.iter().any(|to| self.is_other(bundle, &[*a, *b], to))
            })
        })
    }

    fn by_three(&mut self, bundle: usize) -> bool {
        let hashes = &self.hashes;
        let triples = self.triples.take().unwrap_or_else(|| {
            let mut triples: BTreeMap<u64, Vec<[usize; 3]>> = BTreeMap::new();
            for (sum, pairs) in &self.pairs {
                for [a, b] in pairs {
                    for (c, hash) in hashes.iter().enumerate().skip(*b) {
                        triples.entry(sum.wrapping_add(*hash)).or_default().push([*a, *b, c]);
                    }
                }
            }
            triples
        });
        let found = triples.values().any(|same| {
            same.len() > 1
                && same.iter().any(|from| {
                    from.iter().all(|atom| self.table[*atom] > 0)
                        && same.iter().any(|to| self.is_other(bundle, from, to))
                })
        });
        self.triples = Some(triples);
        found
    }
}

/// The small groups that are the same in all other tables that were found.
pub(in crate::disclosure) fn fixed(study: &Study, table: &[i64], zeros: bool) -> Vec<usize> {
    let mut others = Others::new(study, table, zeros);
    let small = |bundle: &usize| (1..K).contains(&study.count(*bundle, table));
    (0..study.bundles.len()).filter(small).filter(|bundle| !others.differ(*bundle)).collect()
}

/// A study of one to four statistics.
fn random_study(random: &mut Random) -> StudySpec {
    let most: i64 = *random.pick(&[1, 2, 3, 4, 6, 9, 12]);
    random_study_of(random, most)
}

/// Likewise, over an x from 0 to `most`.
pub(in crate::disclosure) fn random_study_of(random: &mut Random, most: i64) -> StudySpec {
    let middle = (most + 1) / 2;
    let of_x = [
        "kind = \"mean\"\nof = \"x\"".to_string(),
        "kind = \"variance\"\nof = \"x\"".to_string(),
        "kind = \"sum\"\nof = \"s\"".to_string(),
        format!("kind = \"histogram\"\nof = \"x\"\nedges = [0, {middle}, {}]", most + 1),
        format!("kind = \"histogram\"\nof = \"x\"\nedges = [0, {}]", most + 1),
    ];
    let mut free = 40u64;
    let count = 1 + random.below(4);
    let mut statistics = String::new();
    for name in 0..count {
        let what = if random.below(2) == 0 { random.pick(&of_x).as_str() } else { COUNT };
        let dimensions = ["g", "h", "m", "s", "x"];
        let mut by: Vec<&str> = (0..random.below(3)).map(|_| *random.pick(&dimensions)).collect();
        by.sort_unstable();
        by.dedup();
        // A histogram of a column by the same column is refused as a study.
        if what.contains("histogram") {
            by.retain(|name| *name != "x");
        }
        let weight = by.len() as u64 + 1;
        if free < weight {
            break;
        }
        free -= weight;
        statistics += &statistic(&name.to_string(), what, &by);
    }
    study(most, &statistics)
}

/// A table from full to sparse; where it is concentrated, a group has but one value of x.
fn random_table(random: &mut Random, atoms: &[Atom]) -> Vec<i64> {
    let (empty, tiny) = (random.below(75), random.below(30));
    let concentrated = random.below(3) == 0;
    let favourites: Vec<i64> = (0..16).map(|_| random.below(13).cast_signed()).collect();
    let one = |atom: &Atom| {
        let group = atom[1..].iter().flatten().sum::<i64>().unsigned_abs() as usize % favourites.len();
        let off = concentrated && atom[0].is_some_and(|x| x != favourites[group]) && random.below(10) < 8;
        match random.below(100) {
            _ if off => 0,
            n if n < empty => 0,
            n if n < empty + tiny => 1 + random.below(2).cast_signed(),
            _ => K + random.below(6).cast_signed(),
        }
    };
    atoms.iter().map(one).collect()
}

/// How many studies a run takes: 100,000 with `CONSILIUM_LATTICE_STUDIES`, of the seeds from `CONSILIUM_LATTICE_SEED` on.
pub(in crate::disclosure) fn wanted(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn no_small_group_is_fixed_by_what_is_released_and_what_is_not() {
    let (studies, first) = (wanted("CONSILIUM_LATTICE_STUDIES", 2_000), wanted("CONSILIUM_LATTICE_SEED", 1));
    let (mut small, mut shown, mut sums, mut large, mut tied) = (0u64, 0u64, 0u64, 0, 0);
    for seed in first..first + studies {
        let mut random = Random(seed.wrapping_mul(0x5851_F42D_4C95_7F2D));
        let study = loop {
            let spec = random_study(&mut random);
            if let Err(StatisticsError::NotNested { .. }) = Layout::of(&spec) {
                continue;
            }
            match Study::of(&spec) {
                Ok(study) if study.atoms.len() <= 150 => break study,
                Ok(_) | Err(LatticeError::Ring { .. }) => large += 1,
                Err(other) => panic!("seed {seed}: {other}"),
            }
        };
        tied += usize::from(study.lattice.is_tied);
        let table = random_table(&mut random, &study.atoms);
        let zeros = random.below(4) > 0;
        let seeds = study.seeds(&table, zeros);
        let is_shown = |group: usize| seeds[study.lattice.padded[group].seed];
        for (bundle, places) in study.lattice.places.iter().enumerate() {
            let n = study.count(bundle, &table);
            small += u64::from((1..K).contains(&n));
            shown += u64::from(is_shown(places.count));
            sums += u64::from(places.sums.is_some_and(is_shown));
            assert!(
                !is_shown(places.count) || n >= K || (n == 0 && (zeros || places.is_empty)),
                "seed {seed}: {n} is shown"
            );
        }
        let fixed = fixed(&study, &table, zeros);
        assert!(
            fixed.is_empty(),
            "seed {seed}: bundles {fixed:?} of {:?} by {table:?}, zeros {zeros}",
            study.layout.blocks()
        );
    }
    println!(
        "{studies} studies ({tied} with rings, {large} too large for a trial): {small} small groups, none fixed; {shown} counts and \
         {sums} sums shown"
    );
    assert!(small > studies && shown > studies && sums > studies / 20, "too few cases say anything");
}

#[test]
fn no_small_group_is_fixed_where_totals_are_hidden() {
    let (mut small, mut shown) = (0, 0);
    for seed in 0..wanted("CONSILIUM_LATTICE_STUDIES", 500) {
        let mut random = Random(seed.wrapping_mul(0x5851_F42D_4C95_7F2D) + 3);
        // A table, coarser ones of it, and sometimes the total.
        let mut by: Vec<&str> = ["g", "h", "m", "s"].into_iter().filter(|_| random.below(2) == 0).collect();
        by.truncate(3);
        let mut statistics = statistic("table", COUNT, &by);
        for name in 0..random.below(3) {
            by.retain(|_| random.below(3) > 0);
            statistics += &statistic(&name.to_string(), COUNT, &by);
        }
        let mut spec = study(1, &statistics);
        spec.totals = consilium_protocol::study::Totals::Hidden;
        let study = Study::of(&spec).expect("one table");
        let table = random_table(&mut random, &study.atoms);
        let seeds = study.seeds(&table, true);
        for (bundle, places) in study.lattice.places.iter().enumerate() {
            let n = study.count(bundle, &table);
            let is_shown = seeds[study.lattice.padded[places.count].seed];
            small += u64::from((1..K).contains(&n));
            shown += u64::from(is_shown);
            assert!(!is_shown || n >= K || n == 0, "seed {seed}: {n} is shown");
        }
        assert!(fixed(&study, &table, true).is_empty(), "seed {seed}: {statistics} by {table:?}");
    }
    assert!(small > 500 && shown > 500, "{small} small groups, {shown} shown: too few cases say anything");
}
