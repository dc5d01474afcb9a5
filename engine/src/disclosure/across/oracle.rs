//! The guarantee over several studies, tested on many small ones: whoever sees everything that was released of two to four
//! studies, over patients who come and go, hospitals that take part or not, and cohorts and cuts of the researcher's choice, has no
//! combination of it that is about fewer than k patients, and none that is one hospital's own.
//!
//! It shares with the compiler and the distances nothing but the circuit and what is added up: what a group holds follows from
//! the meaning of its parts, and combinations are looked for by elimination over a prime field.

use consilium_protocol::ids::SubjectId;
use consilium_protocol::study::StudySpec;

use super::super::lattice::oracle::{
    Atom, COUNT, K, Random, group_of, part_of, random_study_of, statistic, study, value, wanted,
};
use super::super::lattice::{Lattice, LatticeError};
use super::{Before, Cohort, Past, Record, again, hold, or_unchanged, repeatable};
use crate::guard::Bar;
use crate::statistics::{Content, Layout, Rows, cuts, summed};

/// One patient.
#[derive(Clone, Debug)]
pub(super) struct Patient {
    pub(super) hospital: usize,
    pub(super) atom: Atom,
}

/// What a study is over.
pub(super) struct Asked {
    pub(super) spec: StudySpec,
    /// The patients of the cohort at this time.
    pub(super) cohort: Vec<usize>,
    /// The hospitals that take part.
    pub(super) roster: Vec<usize>,
}

/// What custodians say of what was released.
#[derive(Clone, Copy)]
pub(super) enum Custodians {
    /// What is so.
    AreHonest,
    /// That nothing was; and whether they are believed.
    DenyAll { are_believed: bool },
}

/// What hospitals and the ledger know.
pub(super) struct World {
    pub(super) patients: Vec<Patient>,
    /// By hospital what each study left behind, with its roster.
    memories: Vec<Vec<(Vec<usize>, Before)>>,
    /// Everything that was released, as rows over patients.
    pub(super) released: Vec<Vec<i64>>,
    /// Of each row what it is.
    names: Vec<(usize, String)>,
    pub(super) shown: usize,
    pub(super) passing: usize,
    /// Whether what was released before is looked at.
    pub(super) is_held: bool,
    pub(super) custodians: Custodians,
}

impl World {
    pub(super) fn new(patients: Vec<Patient>, hospitals: usize) -> Self {
        let memories = vec![Vec::new(); hospitals];
        Self {
            patients,
            memories,
            released: Vec::new(),
            names: Vec::new(),
            shown: 0,
            passing: 0,
            is_held: true,
            custodians: Custodians::AreHonest,
        }
    }

    fn rows(&self, spec: &StudySpec, layout: &Layout, of: &[usize]) -> Rows {
        let (cuts, summed) = (cuts(layout), summed(spec, layout));
        let mut rows = Rows::default();
        for patient in of {
            let atom = &self.patients[*patient].atom;
            rows.parts.extend(cuts.iter().map(|cut| part_of(cut, value(atom, &cut.column)) as u32));
            rows.steps.extend(summed.iter().map(|name| value(atom, name).unwrap_or(-1)));
        }
        rows
    }

    /// Runs a study as hospitals, aggregator and custodian would. The sets that are released.
    pub(super) fn run(&mut self, asked: &Asked) -> Result<Vec<bool>, LatticeError> {
        let layout = Layout::of(&asked.spec).expect("a valid study");
        let lattice = Lattice::of(&asked.spec, &layout)?;
        let bar = Bar::of(K.unsigned_abs(), 0, asked.roster.len());
        let of = |hospital: usize| -> Vec<Before> {
            let same = |roster: &Vec<usize>, of: &Before| of.repeatable.clone().filter(|_| *roster == asked.roster);
            let before = self.memories[hospital].iter();
            before.map(|(roster, of)| Before { repeatable: same(roster, of), ..of.clone() }).collect()
        };
        let again = again(&asked.spec, &layout, &lattice, &repeatable(&of(asked.roster[0])));
        let is_first = asked.roster.iter().all(|hospital| self.memories[*hospital].is_empty());
        let numbers = lattice.compared.numbers.len();
        let (mut counts, mut weights, mut changed) = (vec![0; numbers], vec![0; numbers], vec![0; again.len()]);
        let mut records: Vec<(usize, Record)> = Vec::new();
        for hospital in &asked.roster {
            let own: Vec<usize> =
                asked.cohort.iter().copied().filter(|patient| self.patients[*patient].hospital == *hospital).collect();
            let name = |patient: &usize| SubjectId::from_bytes((*patient as u128).to_be_bytes());
            let subjects: Vec<SubjectId> = own.iter().map(name).collect();
            let before = of(*hospital);
            let rows = self.rows(&asked.spec, &layout, &own);
            let whom = Cohort { rows: &rows, subjects: &subjects, patients: 100 };
            let past = Past { before: &before, is_first };
            let held = hold(&asked.spec, &layout, &whom, past, bar.cap).expect("what fits");
            for (number, of) in lattice.compared.numbers.iter().enumerate() {
                let table = &lattice.compared.tables[of.table];
                let counted = |patient: &&usize| of.groups.contains(&group_of(table, &self.patients[**patient].atom));
                let n = own.iter().filter(counted).count() as u64;
                counts[number] += n;
                let at_most = if self.is_held { held.at_most[number] } else { u64::MAX };
                weights[number] += n.min(bar.cap).min(at_most);
            }
            changed.iter_mut().zip(&held.changed).for_each(|(sum, own)| *sum += u64::from(*own));
            records.push((*hospital, held.record.expect("remembered")));
        }
        let gates = or_unchanged(&asked.spec, &layout, &lattice, &again)?;
        let mut large: Vec<bool> = weights.iter().map(|weight| *weight >= bar.least).collect();
        let mut passes: Vec<bool> = large.iter().zip(&counts).map(|(large, n)| *large || *n == 0).collect();
        large.extend(changed.iter().map(|_| false));
        passes.extend(changed.iter().map(|changed| *changed == 0));
        let seeds = gates.evaluate(&passes, &large);
        self.passing += counts.iter().filter(|n| **n >= bar.least).count();
        self.shown += large.iter().filter(|large| **large).count();
        self.publish(asked, &layout, &lattice, &seeds);
        let nothing = vec![false; seeds.len()];
        let (said, believed) = match self.custodians {
            Custodians::AreHonest => (seeds.clone(), Some(seeds.clone())),
            Custodians::DenyAll { are_believed } => (nothing.clone(), are_believed.then_some(nothing)),
        };
        for (hospital, record) in records {
            let before =
                Before { spec: asked.spec.clone(), released: believed.clone(), repeatable: Some(said.clone()), record };
            self.memories[hospital].push((asked.roster.clone(), before));
        }
        Ok(seeds)
    }

    /// Adds everything that was released.
    fn publish(&mut self, asked: &Asked, layout: &Layout, lattice: &Lattice, seeds: &[bool]) {
        let takes_part = |patient: &&usize| asked.roster.contains(&self.patients[**patient].hospital);
        let cohort: Vec<usize> = asked.cohort.iter().filter(takes_part).copied().collect();
        let mut places = lattice.places.iter();
        let study = self.memories[asked.roster[0]].len();
        for block in layout.all_blocks() {
            for (position, bundle) in block.bundles.clone().enumerate() {
                let places = places.next().expect("a place for each bundle");
                let classes = block.parts_of(position);
                let holds = |patient: &&usize| {
                    block.axes.iter().zip(&classes).all(|(axis, class)| {
                        let part = part_of(axis, value(&self.patients[**patient].atom, &axis.column));
                        axis.parts_in(*class).contains(&part)
                    })
                };
                let own: Vec<usize> = cohort.iter().filter(holds).copied().collect();
                let row = |add: &dyn Fn(i64) -> i64, of: Option<&str>| {
                    let mut row = vec![0; self.patients.len()];
                    for patient in &own {
                        row[*patient] =
                            of.map_or(1, |of| add(value(&self.patients[*patient].atom, of).expect("present")));
                    }
                    row
                };
                let mut rows = Vec::new();
                if seeds[lattice.padded[places.count].seed] {
                    rows.push(row(&|_| 1, None));
                }
                if let Some(sums) = places.sums.filter(|sums| seeds[lattice.padded[*sums].seed]) {
                    debug_assert!(sums > places.count);
                    let of = asked.spec.statistics[block.statistic].kind.variable();
                    rows.push(row(&|x| x, of));
                    if layout.bundles()[bundle].content == Content::Squares {
                        rows.push(row(&|x| x * x, of));
                    }
                }
                let what = |axis: &crate::statistics::Axis, class: &usize| {
                    format!(
                        "{} in {:?}",
                        axis.column,
                        axis.parts_in(*class).iter().map(|part| &axis.parts[*part]).collect::<Vec<_>>()
                    )
                };
                let of: Vec<String> = block.axes.iter().zip(&classes).map(|(axis, class)| what(axis, class)).collect();
                for degree in 0..rows.len() {
                    self.names.push((study, format!("row {degree} of {}", of.join(" and "))));
                }
                self.released.extend(rows);
            }
        }
    }
}

/// A prime below 2^31.
const PRIME: i64 = 2_147_483_629;

fn inverse(of: i64) -> i64 {
    let (mut base, mut exponent, mut result) = (of.rem_euclid(PRIME), PRIME - 2, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % PRIME;
        }
        base = base * base % PRIME;
        exponent >>= 1;
    }
    result
}

/// Rows in reduced form, with the column that each leads.
fn reduced(rows: &[Vec<i64>], columns: &[usize]) -> Vec<(usize, Vec<i64>)> {
    let mut found: Vec<(usize, Vec<i64>)> = Vec::new();
    for row in rows {
        let mut row: Vec<i64> = columns.iter().map(|column| row[*column].rem_euclid(PRIME)).collect();
        for (lead, other) in &found {
            let factor = row[*lead];
            if factor != 0 {
                row.iter_mut().zip(other).for_each(|(a, b)| *a = (*a - factor * b % PRIME).rem_euclid(PRIME));
            }
        }
        let Some(lead) = row.iter().position(|value| *value != 0) else { continue };
        let scale = inverse(row[lead]);
        row.iter_mut().for_each(|value| *value = *value * scale % PRIME);
        for (_, other) in &mut found {
            let factor = other[lead];
            if factor != 0 {
                other.iter_mut().zip(&row).for_each(|(a, b)| *a = (*a - factor * b % PRIME).rem_euclid(PRIME));
            }
        }
        found.push((lead, row));
    }
    found
}

/// What follows from everything that was released.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Sets of fewer than k patients that some combination is about.
    pub(super) few: Vec<Vec<usize>>,
    /// Hospitals that some combination is about alone.
    pub(super) hospitals: Vec<usize>,
}

/// What follows from several studies and from none of them alone. Within one study, sets of unrelated columns may happen to be nearly
/// the same, which nobody knows who does not know the patients.
pub(super) fn told_together(world: &World, hospitals: usize) -> Told {
    let mut all = told(world, hospitals);
    let studies: std::collections::BTreeSet<usize> = world.names.iter().map(|(study, _)| *study).collect();
    for study in studies {
        let mut alone = World::new(world.patients.clone(), 0);
        let own = world.names.iter().zip(&world.released).filter(|((of, _), _)| *of == study);
        (alone.names, alone.released) = own.map(|(name, row)| (name.clone(), row.clone())).unzip();
        let alone = told(&alone, hospitals);
        all.few.retain(|few| !alone.few.contains(few));
        all.hospitals.retain(|hospital| !alone.hospitals.contains(hospital));
    }
    all
}

fn told(world: &World, hospitals: usize) -> Told {
    // Patients that nothing tells apart stand and fall together.
    let mut classes: std::collections::BTreeMap<Vec<i64>, Vec<usize>> = std::collections::BTreeMap::new();
    for patient in 0..world.patients.len() {
        let column: Vec<i64> = world.released.iter().map(|row| row[patient]).collect();
        if column.iter().any(|value| *value != 0) {
            classes.entry(column).or_default().push(patient);
        }
    }
    let classes: Vec<Vec<usize>> = classes.into_values().collect();
    let columns: Vec<usize> = classes.iter().map(|class| class[0]).collect();
    let all = reduced(&world.released, &columns);
    // A function is a combination exactly when it is orthogonal to what all combinations are orthogonal to.
    let leads: Vec<usize> = all.iter().map(|(lead, _)| *lead).collect();
    let free: Vec<usize> = (0..columns.len()).filter(|column| !leads.contains(column)).collect();
    let of_column = |column: usize| -> Vec<i64> {
        match all.iter().find(|(lead, _)| *lead == column) {
            Some((_, row)) => free.iter().map(|free| (PRIME - row[*free]) % PRIME).collect(),
            None => free.iter().map(|free| i64::from(*free == column)).collect(),
        }
    };
    let mut told = Told::default();
    let mut known: std::collections::BTreeMap<Vec<i64>, usize> = std::collections::BTreeMap::new();
    for (column, class) in classes.iter().enumerate() {
        if class.len() as i64 >= K {
            continue;
        }
        let mut own = of_column(column);
        let Some(first) = own.iter().find(|value| **value != 0).copied() else {
            told.few.push(class.clone());
            continue;
        };
        let scale = inverse(first);
        own.iter_mut().for_each(|value| *value = *value * scale % PRIME);
        if class.len() == 1 {
            if let Some(other) = known.get(&own) {
                told.few.push(vec![(*other).min(class[0]), (*other).max(class[0])]);
            }
            known.insert(own, class[0]);
        }
    }
    for hospital in 0..hospitals {
        let elsewhere: Vec<usize> =
            (0..world.patients.len()).filter(|patient| world.patients[*patient].hospital != hospital).collect();
        if reduced(&world.released, &elsewhere).len() < all.len() {
            told.hospitals.push(hospital);
        }
    }
    told
}

/// Rows of which all are needed to tell as much.
fn explain(world: &World, hospitals: usize) -> String {
    let mut left = World::new(world.patients.clone(), 0);
    (left.released, left.names) = (world.released.clone(), world.names.clone());
    for at in (0..left.released.len()).rev() {
        let (row, name) = (left.released.remove(at), left.names.remove(at));
        let told = told_together(&left, hospitals);
        if told.few.is_empty() && told.hospitals.is_empty() {
            left.released.insert(at, row);
            left.names.insert(at, name);
        }
    }
    let row = |((study, name), row): (&(usize, String), &Vec<i64>)| {
        let by: Vec<i64> = (0..hospitals)
            .map(|hospital| {
                row.iter().zip(&left.patients).filter(|(_, of)| of.hospital == hospital).map(|(n, _)| n).sum()
            })
            .collect();
        format!("  study {study}, {name}: {by:?}")
    };
    let rows: Vec<String> = left.names.iter().zip(&left.released).map(row).collect();
    format!("{:?}\n{}", told_together(&left, hospitals), rows.join("\n"))
}

const HOSPITALS: usize = 4;

#[test]
fn who_is_not_in_a_smaller_sample_is_not_taken_for_one_who_left() {
    let mut random = Random(5);
    let world = World::new(population(&mut random, 4), HOSPITALS);
    let spec = study(4, &statistic("g", COUNT, &["g"]));
    let layout = Layout::of(&spec).expect("a valid study");
    let all: Vec<usize> = (0..world.patients.len()).collect();
    let subjects: Vec<SubjectId> = all.iter().map(|of| SubjectId::from_bytes((*of as u128).to_be_bytes())).collect();
    let rows = world.rows(&spec, &layout, &all);
    // A hospital that has grown remembers half of its patients from then on.
    let of = |patients: usize, before: &[Before]| {
        let past = Past { before, is_first: true };
        hold(&spec, &layout, &Cohort { rows: &rows, subjects: &subjects, patients }, past, 2).expect("what fits")
    };
    let record = of(100, &[]).record.expect("remembered");
    let before = Before { spec: spec.clone(), released: None, repeatable: None, record };
    let again = of(40_000, &[before]);
    let sampled = again.record.expect("remembered").subjects.len();
    assert!(sampled > 5 && sampled + 5 < all.len(), "{sampled} of {}", all.len());
    assert!(again.at_most.contains(&0) && again.at_most.iter().all(|most| [0, u64::MAX].contains(most)));
}

/// Patients from all over the columns, or like each other.
fn population(random: &mut Random, most: i64) -> Vec<Patient> {
    let each = 6 + random.below(30) as usize;
    let like = random.below(70);
    let one = |random: &mut Random, hospital: usize| {
        let mut of = |values: &[Option<i64>]| {
            if random.below(100) < like { values[0] } else { values[random.below(values.len() as u64) as usize] }
        };
        let xs: Vec<Option<i64>> = (0..=most).map(Some).chain([None]).collect();
        let atom = vec![
            of(&xs),
            of(&[Some(1), Some(2), Some(9), None]),
            of(&[Some(1), Some(2), Some(3), Some(9), None]),
            of(&[Some(1), Some(9), None]),
            of(&[Some(0), Some(1), None]),
        ];
        Patient { hospital, atom }
    };
    (0..HOSPITALS).flat_map(|hospital| (0..each).map(move |_| hospital)).map(|hospital| one(random, hospital)).collect()
}

/// A cohort by a column, or all; without those who are not there.
fn cohort(random: &mut Random, world: &World, present: &[bool]) -> Vec<usize> {
    let (column, code) = (*random.pick(&["g", "h", "m", "s", "x"]), random.below(4).cast_signed());
    let by = random.below(4);
    let keeps = |patient: &usize| match by {
        0 | 1 => true,
        2 => value(&world.patients[*patient].atom, column) == Some(code),
        _ => value(&world.patients[*patient].atom, column) != Some(code),
    };
    (0..world.patients.len()).filter(|patient| present[*patient]).filter(keeps).collect()
}

#[test]
fn no_few_patients_and_no_hospital_follow_from_several_studies() {
    let (sequences, first) = (wanted("CONSILIUM_ACROSS_SEQUENCES", 150), wanted("CONSILIUM_LATTICE_SEED", 1));
    let (mut shown, mut passing, mut studies, mut few, mut own) = (0, 0, 0, 0, 0);
    for seed in first..first + sequences {
        let mut random = Random(seed.wrapping_mul(0x5851_F42D_4C95_7F2D) + 11);
        let most = *random.pick(&[1, 2, 4, 9, 12, 30]);
        let patients = population(&mut random, most);
        let mut present: Vec<bool> = patients.iter().map(|_| random.below(20) > 0).collect();
        let mut world = World::new(patients, HOSPITALS);
        if seed % 3 == 0 {
            world.custodians = Custodians::DenyAll { are_believed: false };
        }
        let mut last: Option<StudySpec> = None;
        for _ in 0..2 + random.below(3) {
            // Some leave or come, most often one or two.
            for _ in 0..*random.pick(&[0, 0, 1, 1, 2, 3, 8]) {
                let patient = random.below(world.patients.len() as u64) as usize;
                present[patient] = !present[patient];
            }
            // A record is corrected.
            for _ in 0..*random.pick(&[0, 0, 1, 1, 4]) {
                let (patient, like) =
                    (random.below(world.patients.len() as u64), random.below(world.patients.len() as u64));
                let column = *random.pick(&[0, 0, 1, 2, 3, 4]);
                world.patients[patient as usize].atom[column] = world.patients[like as usize].atom[column];
            }
            let without = random.below(8) as usize;
            let roster: Vec<usize> = (0..HOSPITALS).filter(|hospital| *hospital != without).collect();
            let spec = match &last {
                Some(last) if random.below(3) == 0 => last.clone(),
                _ => random_study_of(&mut random, most),
            };
            if Layout::of(&spec).is_err() {
                continue;
            }
            let asked = Asked { cohort: cohort(&mut random, &world, &present), roster, spec: spec.clone() };
            if world.run(&asked).is_ok() {
                studies += 1;
                last = Some(spec);
            }
        }
        let told = told_together(&world, HOSPITALS);
        few += usize::from(!told.few.is_empty());
        own += usize::from(!told.hospitals.is_empty());
        if !told.few.is_empty() || !told.hospitals.is_empty() {
            println!("seed {seed}: {told:?}\n{}", explain(&world, HOSPITALS));
        }
        shown += world.shown;
        passing += world.passing;
    }
    println!("{sequences} sequences, {studies} studies: {shown} of {passing} numbers shown; few {few}, own {own}");
    assert!(shown > studies, "too few cases say anything");
    assert_eq!((few, own), (0, 0));
}
