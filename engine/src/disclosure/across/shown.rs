//! How much of ordinary studies is shown after others, and how long that takes.

use std::time::{Duration, Instant};

use consilium_protocol::ids::SubjectId;
use consilium_protocol::study::StudySpec;

use super::super::lattice::Lattice;
use super::super::lattice::oracle::{Random, part_of, wanted};
use super::{Before, Cohort, Past, Record, again, hold, or_unchanged, repeatable};
use crate::guard::Bar;
use crate::statistics::{CountAxis, Layout, Rows, cuts, summed};

const HOSPITALS: usize = 4;
const K: u64 = 11;
/// Columns, and how common the values of each are, from 0 on.
const COLUMNS: [(&str, &[u32]); 8] = [
    ("arm", &[50, 50]),
    ("sex", &[52, 48]),
    ("age", &[5, 8, 12, 15, 18, 17, 14, 11]),
    ("smokes", &[55, 30, 15]),
    ("region", &[40, 30, 20, 10]),
    ("stage", &[45, 25, 15, 10, 5]),
    ("ill", &[70, 30]),
    ("year", &[10, 10, 10, 10, 10, 10, 10, 10, 10, 10]),
];

type Person = Vec<i64>;

fn value(person: &Person, column: &str) -> Option<i64> {
    person[COLUMNS.iter().position(|(name, _)| *name == column).expect("a known column")].into()
}

fn study(tables: &[&[&str]]) -> StudySpec {
    let mut text = String::from(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\n[cohort]\nsql = \"SELECT person_id AS id FROM person\"\n\
         subject = \"id\"\n",
    );
    for (name, shares) in COLUMNS {
        let values: Vec<String> = (0..shares.len()).map(|value| value.to_string()).collect();
        text += &format!("[[dimension]]\nname = \"{name}\"\nvalues = [{}]\n", values.join(", "));
    }
    text += "[[statistic]]\nname = \"all\"\nkind = \"count\"\n";
    for by in tables {
        let kind = if by.len() > 1 { "crosstab" } else { "count" };
        text += &format!("[[statistic]]\nname = \"{}\"\nkind = \"{kind}\"\nby = {by:?}\n", by.join(" "));
    }
    StudySpec::from_toml(&text).unwrap_or_else(|error| panic!("{error}"))
}

struct World {
    people: Vec<Person>,
    present: Vec<bool>,
    before: Vec<Vec<Before>>,
    random: Random,
    /// Of the slowest hospital in the last study.
    took: Duration,
}

impl World {
    fn new(size: u64) -> Self {
        let mut random = Random(size);
        let one = |random: &mut Random| -> Person {
            let draw = |shares: &[u32], random: &mut Random| {
                let mut at = random.below(100) as u32;
                let found = shares.iter().position(|share| {
                    let is_here = at < *share;
                    at = at.saturating_sub(*share);
                    is_here
                });
                found.unwrap_or(0) as i64
            };
            COLUMNS.iter().map(|(_, shares)| draw(shares, random)).collect()
        };
        let people: Vec<Person> = (0..size).map(|_| one(&mut random)).collect();
        let present = people.iter().map(|_| random.below(10) > 0).collect();
        Self { people, present, before: vec![Vec::new(); HOSPITALS], random, took: Duration::ZERO }
    }

    /// So many in a thousand come or go.
    fn change(&mut self, in_a_thousand: u64) {
        for is_present in &mut self.present {
            *is_present ^= self.random.below(1_000) < in_a_thousand;
        }
    }

    /// How many groups that pass by themselves are shown, and how many pass.
    fn run(&mut self, spec: &StudySpec, is_in: impl Fn(&Person) -> bool) -> (usize, usize) {
        let layout = Layout::of(spec).expect("a valid study");
        let lattice = Lattice::of(spec, &layout).expect("a study that can be guarded");
        let (cuts, summed) = (cuts(&layout), summed(spec, &layout));
        assert!(summed.is_empty(), "counts alone");
        let again = again(spec, &layout, &lattice, &repeatable(&self.before[0]));
        let bar = Bar::of(K, 0, HOSPITALS);
        let numbers = lattice.compared.numbers.len();
        let (mut counts, mut capped, mut weights) = (vec![0u64; numbers], vec![0; numbers], vec![0; numbers]);
        let mut changed = vec![0u64; again.len()];
        let mut records: Vec<Record> = Vec::new();
        self.took = Duration::ZERO;
        for (hospital, before) in self.before.iter().enumerate() {
            let is_own = |at: &usize| at % HOSPITALS == hospital && self.present[*at] && is_in(&self.people[*at]);
            let own: Vec<usize> = (0..self.people.len()).filter(is_own).collect();
            let part = |at: &usize, cut: &crate::statistics::Axis| part_of(cut, value(&self.people[*at], &cut.column));
            let parts = own.iter().flat_map(|at| cuts.iter().map(move |cut| part(at, cut) as u32)).collect();
            let rows = Rows { parts, steps: Vec::new() };
            let name = |at: &usize| SubjectId::from_bytes((*at as u128).to_be_bytes());
            let subjects: Vec<SubjectId> = own.iter().map(name).collect();
            let patients = self.people.len() / HOSPITALS;
            let started = Instant::now();
            let past = Past { before, is_first: before.is_empty() };
            let held = hold(spec, &layout, &Cohort { rows: &rows, subjects: &subjects, patients }, past, bar.cap);
            self.took = self.took.max(started.elapsed());
            let held = held.expect("what fits");
            for (number, of) in lattice.compared.numbers.iter().enumerate() {
                let axes = &lattice.compared.tables[of.table].axes;
                let place = |at: &usize| {
                    axes.iter().fold(0, |place, axis| match axis {
                        CountAxis::Column(cut) => place * axis.classes() + part(at, cut),
                        CountAxis::Steps { .. } => place,
                    })
                };
                let n = own.iter().filter(|at| of.groups.binary_search(&place(at)).is_ok()).count() as u64;
                counts[number] += n;
                capped[number] += n.min(bar.cap);
                weights[number] += n.min(bar.cap).min(held.at_most[number]);
            }
            changed.iter_mut().zip(&held.changed).for_each(|(sum, own)| *sum += u64::from(*own));
            records.push(held.record.expect("remembered"));
        }
        let gates = or_unchanged(spec, &layout, &lattice, &again).expect("as before");
        let seeds = |weights: &[u64], changed: &[u64]| {
            let mut large: Vec<bool> = weights.iter().map(|weight| *weight >= bar.least).collect();
            let mut passes: Vec<bool> = large.iter().zip(&counts).map(|(large, n)| *large || *n == 0).collect();
            large.extend(changed.iter().map(|_| false));
            passes.extend(changed.iter().map(|changed| *changed == 0));
            gates.evaluate(&passes, &large)
        };
        let (first, now) = (seeds(&capped, &vec![1; again.len()]), seeds(&weights, &changed));
        for (before, record) in self.before.iter_mut().zip(records) {
            before.push(Before {
                spec: spec.clone(),
                released: Some(now.clone()),
                repeatable: Some(now.clone()),
                record,
            });
        }
        let own =
            layout.blocks().iter().flat_map(|block| block.bundles.clone()).map(|bundle| lattice.places[bundle].count);
        let shown = |seeds: &[bool]| own.clone().filter(|group| seeds[lattice.padded[*group].seed]).count();
        (shown(&now), shown(&first))
    }
}

const TABLES: &[&[&str]] =
    &[&["arm", "sex"], &["arm", "age"], &["arm", "smokes"], &["arm", "region"], &["arm", "stage"]];

#[test]
fn much_of_ordinary_studies_is_shown_after_others() {
    let size = wanted("CONSILIUM_ACROSS_PATIENTS", 2_000);
    let all = |_: &Person| true;
    let after = |change: u64, tables: &[&[&str]], is_in: &dyn Fn(&Person) -> bool| {
        let mut world = World::new(size);
        let (shown, of) = world.run(&study(TABLES), all);
        assert_eq!(shown, of, "the first is held against nothing");
        world.change(change);
        let (shown, of) = world.run(&study(tables), is_in);
        100 * shown / of
    };
    let others: &[&[&str]] = &[&["sex", "age"], &["region", "smokes"]];
    let coarser: &[&[&str]] = &[&["arm"], &["sex"], &["age"], &["stage"]];
    let with_known: &[&[&str]] = &[&["arm"], &["arm", "ill"], &["arm", "year"]];
    let without: &[&[&str]] = &[&["arm", "ill"], &["arm", "year"]];
    let with_margins: &[&[&str]] =
        &[&["sex"], &["age"], &["sex", "age"], &["region"], &["smokes"], &["region", "smokes"]];
    let rows: [(&str, usize, usize); 14] = [
        ("run again, nothing changed", after(0, TABLES, &all), 100),
        ("run again, one in a hundred changed", after(10, TABLES, &all), 0),
        ("run again, one in ten changed", after(100, TABLES, &all), 40),
        ("of those who are ill", after(0, TABLES, &|person| value(person, "ill") == Some(1)), 60),
        ("of seven years in ten", after(0, TABLES, &|person| value(person, "year") < Some(7)), 80),
        ("by one column of each table", after(0, coarser, &all), 100),
        ("by one column of each table, one in a hundred changed", after(10, coarser, &all), 0),
        ("by arm and new columns, and by arm", after(0, with_known, &all), 90),
        ("by arm and new columns alone", after(0, without, &all), 0),
        ("by other columns", after(0, others, &all), 0),
        ("by other columns, one in a hundred changed", after(10, others, &all), 0),
        ("by other columns and each of them", after(0, with_margins, &all), 90),
        ("by other columns and each of them, one in a hundred changed", after(10, with_margins, &all), 0),
        (
            "by other columns and each of them, of those who are ill",
            after(0, with_margins, &|person| value(person, "ill") == Some(1)),
            0,
        ),
    ];
    for (what, shown, least) in rows {
        println!("{size} patients, {what}: {shown} %");
        assert!(shown >= least, "{what}: {shown} %");
    }
}

#[test]
fn studies_one_after_the_other_come_to_an_end_at_last() {
    let (size, studies) = (wanted("CONSILIUM_ACROSS_PATIENTS", 2_000), wanted("CONSILIUM_ACROSS_STUDIES", 6));
    let mut world = World::new(size);
    let columns: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).filter(|name| *name != "ill").collect();
    let mut said = Vec::new();
    for number in 0..studies {
        world.change(10);
        let mut pick = || columns[world.random.below(columns.len() as u64) as usize];
        let (by, then) = ([pick()], [pick()]);
        let (column, code) = (pick(), world.random.below(2) as i64);
        let tables: Vec<&[&str]> = if by == then { vec![&by] } else { vec![&by, &then] };
        let restricted = number % 2 == 1;
        let (shown, of) = world.run(&study(&tables), |person| !restricted || value(person, column) == Some(code));
        said.push((shown, of));
        println!("{size} patients, study {number}: {shown} of {of} groups, {:?}", world.took);
    }
    assert!(said[0].0 == said[0].1 && said.iter().map(|(shown, _)| shown).sum::<usize>() > said[0].0);
}
