//! What people have tried elsewhere, over two to four studies: each tells of fewer than k patients, or of one hospital, where every
//! study is looked at alone, and of neither here.

use consilium_protocol::study::StudySpec;

use super::super::lattice::oracle::{Atom, COUNT, statistic, study};
use super::oracle::{Asked, Custodians, Patient, World, told_together};

const HOSPITALS: usize = 4;
const ALL: &[usize] = &[0, 1, 2, 3];

/// Patients of all four hospitals: of each hospital, sex g (1 or 2) and region h (1 to 3) six, of whom two have m; x goes from 0 to
/// 12, and half have s. Beside them two whose sex is not known, at the first hospital; and one at the second whose region is none of
/// those.
fn patients() -> Vec<Patient> {
    let mut patients = Vec::new();
    for hospital in 0..HOSPITALS {
        for g in 1..=2 {
            for h in 1..=3 {
                for n in 0..6i64 {
                    let x = (5 * n + 3 * h + 7 * g + hospital as i64) % 13;
                    let m = if n < 2 { 1 } else { 9 };
                    patients.push(Patient { hospital, atom: vec![Some(x), Some(g), Some(h), Some(m), Some(n % 2)] });
                }
            }
        }
    }
    let rare = |hospital, g, h| Patient { hospital, atom: vec![Some(4), g, Some(h), Some(9), Some(1)] };
    patients.extend([rare(0, None, 1), rare(0, None, 2), rare(1, Some(1), 9)]);
    patients
}

fn g(atom: &Atom) -> Option<i64> {
    atom[1]
}

fn h(atom: &Atom) -> i64 {
    atom[2].unwrap_or(0)
}

fn m(atom: &Atom) -> bool {
    atom[3] == Some(1)
}

fn x(atom: &Atom) -> i64 {
    atom[0].unwrap_or(0)
}

/// One study of an attack.
struct Step {
    statistics: String,
    roster: &'static [usize],
    /// Whether a patient, by number and values, is in the cohort.
    cohort: fn(usize, &Atom) -> bool,
    /// How the edges of h are changed.
    edges: Option<&'static str>,
}

fn step(statistics: &[(&str, &[&str])], cohort: fn(usize, &Atom) -> bool) -> Step {
    let statistics: String =
        statistics.iter().enumerate().map(|(name, (what, by))| statistic(&name.to_string(), what, by)).collect();
    Step { statistics, roster: ALL, cohort, edges: None }
}

fn count(by: &'static [&'static str], cohort: fn(usize, &Atom) -> bool) -> Step {
    step(&[(COUNT, by)], cohort)
}

impl Step {
    fn among(self, roster: &'static [usize]) -> Self {
        Self { roster, ..self }
    }

    fn with_edges(self, edges: &'static str) -> Self {
        Self { edges: Some(edges), ..self }
    }

    fn spec(&self) -> StudySpec {
        let mut spec = study(12, &self.statistics);
        if let Some(edges) = self.edges {
            let text = format!("[[dimension]]\nname = \"h\"\nedges = {edges}\n");
            let other = StudySpec::from_toml(&format!(
                "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\n[cohort]\nsql = \"SELECT id, h FROM \
                 person\"\nsubject = \"id\"\n{text}{}",
                statistic("0", COUNT, &["h"])
            ));
            let other = other.unwrap_or_else(|error| panic!("{error}"));
            let at = spec.dimensions.iter().position(|dimension| dimension.name == "h").expect("a dimension");
            spec.dimensions[at] = other.dimensions[0].clone();
        }
        spec
    }
}

/// What an attack tells with and without looking at what was released before.
fn run(steps: &[Step]) -> [bool; 2] {
    [true, false].map(|is_held| tells(steps, is_held, Custodians::AreHonest))
}

fn tells(steps: &[Step], is_held: bool, custodians: Custodians) -> bool {
    let mut world = World::new(patients(), HOSPITALS);
    (world.is_held, world.custodians) = (is_held, custodians);
    for step in steps {
        let is_in = |patient: &usize| (step.cohort)(*patient, &world.patients[*patient].atom);
        let cohort = (0..world.patients.len()).filter(is_in).collect();
        let asked = Asked { spec: step.spec(), cohort, roster: step.roster.to_vec() };
        world.run(&asked).expect("a study that can be guarded");
    }
    let told = told_together(&world, HOSPITALS);
    !told.few.is_empty() || !told.hospitals.is_empty()
}

const MEAN: &str = "kind = \"mean\"\nof = \"x\"";
const VARIANCE: &str = "kind = \"variance\"\nof = \"x\"";

fn everybody(_: usize, _: &Atom) -> bool {
    true
}

/// Without the first patient of the first hospital.
fn but_one(patient: usize, _: &Atom) -> bool {
    patient != 0
}

#[test]
fn what_a_custodian_denies_is_not_new_where_it_is_not_believed() {
    let steps = [count(&[], everybody), count(&[], but_one)];
    let tells = |are_believed| tells(&steps, true, Custodians::DenyAll { are_believed });
    assert!(tells(true) && !tells(false));
}

#[test]
fn none_of_these_tells_of_few_or_of_one_hospital() {
    let attacks: Vec<(&str, Vec<Step>)> = vec![
        ("one patient revokes", vec![count(&[], everybody), count(&[], but_one)]),
        (
            "one revokes, and many leave in another group",
            vec![
                count(&["g"], everybody),
                count(&["g"], |patient, atom| patient != 0 && !(g(atom) == Some(2) && m(atom))),
            ],
        ),
        (
            "a hospital is subtracted, with another restriction",
            vec![count(&["m"], everybody), count(&["m"], |_, atom| !m(atom)).among(&[0, 1, 2])],
        ),
        (
            "a hospital joins that has nobody in the group that one left",
            vec![
                count(&["g"], everybody).among(&[0, 1, 2]),
                count(&["g"], |patient, atom| patient != 0 && !(patient / 36 == 3 && g(atom) == Some(1))),
            ],
        ),
        ("a hospital leaves", vec![count(&["g"], everybody), count(&["g"], everybody).among(&[1, 2, 3])]),
        (
            "three rosters",
            vec![
                count(&[], everybody).among(&[0, 1, 2]),
                count(&[], everybody).among(&[1, 2, 3]),
                count(&[], everybody),
            ],
        ),
        (
            "edges at 2 and at 3, with one patient between",
            vec![
                count(&["h"], |patient, atom| h(atom) != 2 || patient == 6).with_edges("[1, 2, 4]"),
                count(&["h"], |patient, atom| h(atom) != 2 || patient == 6).with_edges("[1, 3, 4]"),
            ],
        ),
        (
            "women, men, and all with two of unknown sex",
            vec![
                count(&[], |_, atom| g(atom) == Some(1)),
                count(&[], |_, atom| g(atom) == Some(2)),
                count(&[], everybody),
            ],
        ),
        (
            "a padded target next to its padding",
            vec![count(&[], |patient, atom| h(atom) == 3 || patient == 0), count(&[], |_, atom| h(atom) == 3)],
        ),
        (
            "the general tracker",
            vec![
                count(&[], everybody),
                count(&[], |patient, atom| patient == 0 || g(atom) == Some(1)),
                count(&[], |patient, atom| patient == 0 || g(atom) != Some(1)),
            ],
        ),
        (
            "a complement within a larger cohort",
            vec![
                count(&[], everybody),
                count(&[], |patient, atom| h(atom) == 1 && patient != 0),
                count(&[], |_, atom| h(atom) != 1),
            ],
        ),
        (
            "hidden for its class, then asked as a cohort",
            vec![
                count(&["g", "h"], everybody),
                count(&["h"], |_, atom| g(atom).is_none() || g(atom) == Some(1)),
                count(&["h"], |_, atom| g(atom) == Some(1)),
            ],
        ),
        (
            "a merged tail, and a cohort of it",
            vec![
                count(&["h"], everybody),
                count(&[], |_, atom| h(atom) == 3 || h(atom) == 9),
                count(&[], |_, atom| h(atom) == 3),
            ],
        ),
        ("a mean with and without one", vec![step(&[(MEAN, &[])], everybody), step(&[(MEAN, &[])], but_one)]),
        (
            "a variance with and without one, in one group",
            vec![
                step(&[(VARIANCE, &["g"])], everybody),
                step(&[(VARIANCE, &["g"])], |patient, atom| patient != 0 && !(g(atom) == Some(2) && m(atom))),
            ],
        ),
        (
            "a mean over halves and the whole but one",
            vec![
                step(&[(MEAN, &[])], |_, atom| g(atom) == Some(1)),
                step(&[(MEAN, &[])], |_, atom| g(atom) != Some(1)),
                step(&[(MEAN, &[])], but_one),
            ],
        ),
        (
            "thirds, and the whole but two",
            vec![
                count(&[], |_, atom| h(atom) == 1),
                count(&[], |_, atom| h(atom) == 2),
                count(&[], |_, atom| h(atom) == 3 || h(atom) == 9),
                count(&[], |patient, _| patient > 1),
            ],
        ),
        (
            "a table by two columns, and its margin without one",
            vec![count(&["g", "m"], everybody), count(&["m"], but_one)],
        ),
        (
            "a table by other columns, with one patient less",
            vec![
                step(&[(COUNT, &["g"]), (COUNT, &["h"])], everybody),
                step(&[(COUNT, &["m"]), (COUNT, &["s"])], but_one),
            ],
        ),
        (
            "a histogram at other edges, with one patient between",
            vec![
                step(&[("kind = \"histogram\"\nof = \"x\"\nedges = [4, 8]", &[])], |p, atom| x(atom) != 4 || p == 145),
                step(&[("kind = \"histogram\"\nof = \"x\"\nedges = [5, 8]", &[])], |p, atom| x(atom) != 4 || p == 145),
            ],
        ),
        (
            "a neighbour that grew by one",
            vec![count(&["g"], |patient, _| patient < 144), count(&["g"], |patient, _| patient < 145)],
        ),
        (
            "the same hospital's cohort and table",
            vec![
                count(&["h"], everybody),
                count(&["g"], |patient, atom| h(atom) == 1 && patient != 0),
                count(&["g"], |_, atom| h(atom) == 1),
            ],
        ),
        (
            "half leave every group of a table but one, whom one leaves",
            vec![
                count(&["g", "h"], everybody),
                step(&[(COUNT, &["g"]), (COUNT, &["h"]), (COUNT, &["g", "h"])], |patient, atom| {
                    let is_last = g(atom) == Some(2) && h(atom) == 3;
                    if is_last { patient != 30 } else { patient % 2 == 0 }
                }),
            ],
        ),
        (
            "two leave, one after the other",
            vec![count(&["h"], everybody), count(&["h"], but_one), count(&["h"], |patient, _| patient > 1)],
        ),
    ];
    let mut silent = Vec::new();
    for (name, steps) in &attacks {
        let [with, without] = run(steps);
        assert!(!with, "{name}");
        if !without {
            silent.push(*name);
        }
    }
    assert!(attacks.len() >= 20 && silent.is_empty(), "these are no attacks: {silent:?}");
}
