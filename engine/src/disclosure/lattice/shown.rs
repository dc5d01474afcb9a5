//! How much of ordinary studies is shown, over many cohorts drawn at random.

use consilium_protocol::study::{CategoryValue, StudySpec};

use super::Lattice;
use super::oracle::Random;
use crate::statistics::{Axis, CountAxis, Layout, Part, Scale};

const K: usize = 11;

/// A patient's value of each column, by name.
type Row = Vec<(&'static str, Option<f64>)>;

fn value(row: &Row, column: &str) -> Option<f64> {
    row.iter().find(|(name, _)| *name == column).and_then(|(_, value)| *value)
}

fn part_of(axis: &Axis, value: Option<f64>) -> usize {
    let holds = |part: &Part| match (part, value) {
        (Part::Missing, value) => value.is_none(),
        (_, None) => false,
        (Part::Present, _) => true,
        (Part::Value(own), Some(value)) => *own == CategoryValue::Integer(value as i64),
        (Part::Other, Some(value)) => !axis.parts.contains(&Part::Value(CategoryValue::Integer(value as i64))),
        (Part::Interval(from, to), Some(value)) => from.to_f64() <= value && value < to.to_f64(),
        (Part::Outside(from, to), Some(value)) => !(from.to_f64() <= value && value < to.to_f64()),
        (Part::Below(to), Some(value)) => value < to.to_f64(),
        (Part::AtLeast(from), Some(value)) => from.to_f64() <= value,
    };
    axis.parts.iter().position(holds).expect("every value is in a part")
}

/// Of the groups with k patients or more how many are shown by themselves, and of all sums over as many.
#[derive(Default)]
struct Shown {
    groups: [usize; 2],
    sums: [usize; 2],
    total: [usize; 2],
}

impl Shown {
    fn add(&mut self, spec: &StudySpec, layout: &Layout, lattice: &Lattice, rows: &[Row]) {
        let counts: Vec<Vec<usize>> = lattice
            .compared
            .tables
            .iter()
            .map(|table| {
                let mut counts = vec![0; table.groups()];
                for row in rows {
                    let place = table.axes.iter().fold(0, |place, axis| {
                        let class = match axis {
                            CountAxis::Column(axis) => part_of(axis, value(row, &axis.column)),
                            CountAxis::Steps { variable, starts } => {
                                let scale = Scale::of(spec.variable(variable).expect("declared")).expect("a scale");
                                value(row, variable).map_or(starts.len(), |x| {
                                    let step = (x * scale.denominator() as f64 - scale.min as f64) / scale.step as f64;
                                    let step = step.clamp(0.0, scale.range as f64).round() as i64;
                                    starts.iter().rposition(|start| *start <= step).expect("the first is 0")
                                })
                            }
                        };
                        place * axis.classes() + class
                    });
                    counts[place] += 1;
                }
                counts
            })
            .collect();
        let n = lattice
            .compared
            .numbers
            .iter()
            .map(|number| number.groups.iter().map(|group| counts[number.table][*group]).sum::<usize>());
        let large: Vec<bool> = n.clone().map(|n| n >= K).collect();
        let passes: Vec<bool> = n.map(|n| n >= K || n == 0).collect();
        let seeds = lattice.gates.evaluate(&passes, &large);
        let is_shown = |group: usize| seeds[lattice.padded[group].seed];
        for block in layout.blocks() {
            let mut own = vec![0; block.bundles.len()];
            for row in rows {
                own[block
                    .axes
                    .iter()
                    .fold(0, |place, axis| place * axis.classes() + part_of(axis, value(row, &axis.column)))] += 1;
            }
            for (bundle, n) in block.bundles.clone().zip(own).filter(|(_, n)| *n >= K) {
                let places = lattice.places[bundle];
                let of = if block.axes.is_empty() { &mut self.total } else { &mut self.groups };
                of[0] += usize::from(is_shown(places.count));
                of[1] += 1;
                let (shown, all) = (places.sums.is_some_and(is_shown), places.sums.is_some());
                self.sums[0] += usize::from(shown);
                self.sums[1] += usize::from(all);
                assert!(n < K || places.count < lattice.padded.len());
            }
        }
    }

    fn percent([shown, all]: [usize; 2]) -> f64 {
        if all == 0 { 100.0 } else { 100.0 * shown as f64 / all as f64 }
    }
}

/// What is shown over so many cohorts of a size.
fn shown(text: &str, size: usize, draw: impl Fn(&mut Random) -> Row) -> Shown {
    let head = "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\n";
    // Sex and age have nothing to do with what is measured.
    let cohort = "[cohort]\nsql = \"SELECT p.person_id AS id, p.gender_concept_id AS sex, p.year_of_birth AS age, m.x FROM person p \
                  LEFT JOIN (SELECT person_id, max(value_as_number) AS x FROM measurement GROUP BY person_id) m \
                  ON m.person_id = p.person_id\"\nsubject = \"id\"\n";
    let spec = StudySpec::from_toml(&format!("{head}{cohort}{text}")).unwrap_or_else(|error| panic!("{error}"));
    let layout = Layout::of(&spec).expect("nested");
    let lattice = Lattice::of(&spec, &layout).expect("a study that can be guarded");
    println!(
        "  {} numbers and {} seeds for {} groups",
        lattice.compared.numbers.len(),
        lattice.gates.release.len(),
        layout.blocks().iter().map(|block| block.bundles.len()).sum::<usize>()
    );
    let (mut random, mut shown) = (Random(size as u64), Shown::default());
    for _ in 0..100 {
        let rows: Vec<Row> = (0..size).map(|_| draw(&mut random)).collect();
        shown.add(&spec, &layout, &lattice, &rows);
    }
    shown
}

/// A standard normal number, nearly: the sum of twelve uniform ones.
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
}

/// Twelve categorical variables, and how common their categories are.
const TABLE_ONE: [(&str, &[u32]); 12] = [
    ("v0", &[55, 45]),
    ("v1", &[80, 20]),
    ("v2", &[90, 10]),
    ("v3", &[60, 30, 10]),
    ("v4", &[70, 20, 10]),
    ("v5", &[50, 40, 10]),
    ("v6", &[40, 30, 20, 10]),
    ("v7", &[60, 25, 10, 5]),
    ("v8", &[35, 25, 20, 12, 8]),
    ("v9", &[60, 20, 12, 5, 3]),
    ("v10", &[30, 25, 20, 12, 8, 5]),
    ("v11", &[40, 20, 15, 10, 8, 4, 2, 1]),
];

fn table_one(size: usize) -> Shown {
    let mut text = String::from("[[dimension]]\nname = \"arm\"\nvalues = [0, 1]\n");
    for (name, shares) in TABLE_ONE {
        let values: Vec<String> = (0..shares.len()).map(|value| value.to_string()).collect();
        text += &format!("[[dimension]]\nname = \"{name}\"\nvalues = [{}]\n", values.join(", "));
    }
    text += "[[statistic]]\nname = \"all\"\nkind = \"count\"\n";
    for (name, _) in TABLE_ONE {
        text += &format!("[[statistic]]\nname = \"{name}\"\nkind = \"crosstab\"\nby = [\"arm\", \"{name}\"]\n");
    }
    shown(&text, size, |random| {
        let mut row: Row = vec![("arm", Some(random.below(2) as f64))];
        for (position, (name, shares)) in TABLE_ONE.into_iter().enumerate() {
            let mut at = random.below(100) as u32;
            let category = shares.iter().position(|share| {
                let is_here = at < *share;
                at = at.saturating_sub(*share);
                is_here
            });
            // Of every third variable one patient in a hundred has no value.
            let is_missing = position % 3 == 0 && random.below(100) == 0;
            row.push((name, category.map(|category| category as f64).filter(|_| !is_missing)));
        }
        row
    })
}

#[test]
fn much_of_ordinary_studies_is_shown() {
    for (size, groups) in [(300, 70.0), (1_000, 80.0), (5_000, 90.0)] {
        let shown = table_one(size);
        let (of_groups, total) = (Shown::percent(shown.groups), Shown::percent(shown.total));
        println!("table one, {size} patients: {of_groups:.0} % of groups, its total {total:.0} %");
        assert!(of_groups >= groups && total >= 100.0, "{size}: {of_groups} % of groups, {total} % of totals");
    }
    let hba1c = |random: &mut Random| 6.0 + normal(random) + 0.8 * normal(random).max(0.0);
    let edges = "[5, 5.5, 6, 6.5, 7, 7.5, 8, 9, 10, 12]";
    let histogram = format!(
        "[[variable]]\nname = \"x\"\nmin = 3\nmax = 20\nresolution = 0.1\n\
         [[statistic]]\nname = \"all\"\nkind = \"count\"\n\
         [[statistic]]\nname = \"h\"\nkind = \"histogram\"\nof = \"x\"\nedges = {edges}\n\
         [[statistic]]\nname = \"m\"\nkind = \"mean\"\nof = \"x\"\n"
    );
    for (size, sums) in [(200, 30.0), (300, 70.0), (1_000, 100.0), (5_000, 100.0)] {
        let shown = shown(&histogram, size, |random| vec![("x", Some(hba1c(random)))]);
        let (of_sums, groups) = (Shown::percent(shown.sums), Shown::percent(shown.groups));
        println!("histogram and mean, {size} patients: the mean {of_sums:.0} %, {groups:.0} % of groups");
        assert!(of_sums >= sums, "{size}: {of_sums}");
    }
    let by = "[[variable]]\nname = \"x\"\nmin = 3\nmax = 20\nresolution = 0.1\n\
              [[dimension]]\nname = \"sex\"\nvalues = [0, 1]\n[[dimension]]\nname = \"age\"\nedges = [18, 40, 50, 60, 70, 80, 120]\n\
              [[statistic]]\nname = \"m\"\nkind = \"mean\"\nof = \"x\"\nby = [\"sex\", \"age\"]\n";
    for (size, of_groups, of_sums) in [(300, 80.0, 0.0), (1_000, 95.0, 40.0), (5_000, 99.0, 99.0)] {
        let shown = shown(by, size, |random| {
            let age = (60.0 + 14.0 * normal(random)).clamp(18.0, 110.0);
            vec![("sex", Some(random.below(2) as f64)), ("age", Some(age)), ("x", Some(hba1c(random)))]
        });
        let (groups, sums) = (Shown::percent(shown.groups), Shown::percent(shown.sums));
        println!("mean by sex and age, {size} patients: {groups:.0} % of groups, {sums:.0} % of means");
        assert!(groups >= of_groups && sums >= of_sums, "{size}: {groups}, {sums}");
    }
    // A score from 0 to 27, as PHQ-9.
    for (kind, sums) in [("mean", 99.0), ("variance", 95.0)] {
        let score = format!(
            "[[variable]]\nname = \"x\"\nmin = 0\nmax = 27\nresolution = 1\n[[statistic]]\nname = \"s\"\nkind = \"{kind}\"\nof = \"x\"\n"
        );
        let shown =
            shown(&score, 100, |random| vec![("x", Some((7.0 + 5.0 * normal(random)).clamp(0.0, 27.0).round()))]);
        println!("{kind} of a score, 100 patients: {:.0} %", Shown::percent(shown.sums));
        assert!(Shown::percent(shown.sums) >= sums, "{kind}");
    }
}
