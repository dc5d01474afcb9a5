//! A private study as an attacker meets it: who is in the cohort goes in, joint cells come out, again and again.

use consilium_engine::privacy::NoisePlan;
use consilium_engine::statistics::Layout;
use consilium_protocol::privacy::honest_of;
use consilium_protocol::study::{StatisticKind, StudySpec};
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

/// The largest x in steps: the study's variable runs from 0 to 100 in ones.
pub const RANGE: i64 = 100;

/// One row of a cohort: what the study's query yields for one subject.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The variable, not clamped.
    pub x: Option<f64>,
    /// The hospital, from 0.
    pub hospital: usize,
}

/// A row of the first hospital.
pub fn row(x: f64) -> Row {
    Row { x: Some(x), hospital: 0 }
}

/// A study over x with these statistics, for example `["count", "mean"]`, and the dimension g if it is by any.
pub fn study(kinds: &[&str], by: &str) -> (StudySpec, Layout) {
    study_over(kinds, by, RANGE)
}

/// The same with another range of x.
pub fn study_over(kinds: &[&str], by: &str, range: i64) -> (StudySpec, Layout) {
    let statistic = |(position, kind): (usize, &&str)| {
        let of = match *kind {
            "count" => "",
            "histogram" => "of = \"x\"\nedges = [10, 50]",
            _ => "of = \"x\"",
        };
        format!("[[statistic]]\nname = \"s{position}\"\nkind = \"{kind}\"\n{of}\n{by}\n")
    };
    let categories: Vec<String> = (0..250).map(|value| value.to_string()).collect();
    let text = format!(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"private\"\nrho = 0.1\n\
         [cohort]\nsql = \"SELECT 1\"\nsubject = \"id\"\n\
         [[variable]]\nname = \"x\"\nmin = 0\nmax = {range}\nresolution = 1\n\
         [[dimension]]\nname = \"g\"\nvalues = [{}]\n{}",
        categories.join(", "),
        kinds.iter().enumerate().map(statistic).collect::<String>()
    );
    let spec = StudySpec::from_toml(&text).expect("a valid study");
    let layout = Layout::of(&spec).expect("a valid study");
    (spec, layout)
}

/// Clamped to the study's bounds and rounded to steps.
pub fn clamped(x: f64) -> i64 {
    x.clamp(0.0, RANGE as f64).round() as i64
}

/// A hospital's cells of a study by no dimension, with `x` in steps as given: a model of the engine's plan.
pub fn cells_of(spec: &StudySpec, layout: &Layout, rows: &[Option<i64>]) -> Vec<i64> {
    let mut cells = vec![0; layout.cells()];
    for block in layout.blocks() {
        for x in rows {
            let position = match (&spec.statistics[block.statistic].kind, x) {
                (StatisticKind::Count, _) => 0,
                (StatisticKind::Histogram { .. }, Some(x)) => [10, 50].iter().filter(|edge| x >= *edge).count(),
                (StatisticKind::Histogram { .. }, None) => 3,
                (_, Some(_)) => 0,
                (_, None) => 1,
            };
            let bundle = layout.bundles()[block.bundles.start + position];
            let sums = [1, x.unwrap_or(0), x.unwrap_or(0).pow(2)];
            let cells = &mut cells[bundle.first_cell..bundle.withheld()];
            cells.iter_mut().zip(sums).for_each(|(cell, sum)| *cell += sum);
        }
    }
    cells
}

/// Shares of noise, drawn beforehand: that of each hospital of the honest half, for each run.
///
/// Runs on neighbouring cohorts may use the same noise, since the audit looks at each cohort's results by themselves.
pub struct Shares(Vec<Vec<Vec<i64>>>);

impl Shares {
    /// Draws on all processors, by the planner's own sampler.
    pub fn draw(plan: &NoisePlan, runs: usize, seed: u64) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = |thread: usize| {
            let mut chance = ChaCha20Rng::seed_from_u64(seed * 1_000 + thread as u64);
            let hospitals = honest_of(plan.roster());
            let mut run = || (0..hospitals).map(|_| plan.share(&mut chance).to_vec()).collect();
            (0..runs.div_ceil(threads)).map(|_| run()).collect::<Vec<_>>()
        };
        std::thread::scope(|scope| {
            let parts: Vec<_> = (0..threads).map(|thread| scope.spawn(move || part(thread))).collect();
            Self(parts.into_iter().flat_map(|part| part.join().expect("a share")).collect())
        })
    }

    /// Each hospital's share in a run.
    pub fn of_run(&self, run: usize) -> &[Vec<i64>] {
        &self.0[run]
    }
}

/// The sum of hospitals' cells.
pub fn joint<'a>(hospitals: impl IntoIterator<Item = &'a Vec<i64>>) -> Vec<i64> {
    let add = |sum: Vec<i64>, cells: &Vec<i64>| sum.iter().zip(cells).map(|(a, b)| a.wrapping_add(*b)).collect();
    hospitals
        .into_iter()
        .fold(None, |sum, cells| Some(sum.map_or(cells.clone(), |sum| add(sum, cells))))
        .unwrap_or_default()
}

/// The mechanism as it should be: clamped rows, one share from each hospital of the honest half.
pub fn honest<'a>(
    spec: &'a StudySpec,
    layout: &'a Layout,
    shares: &'a Shares,
) -> impl Fn(&[Row], usize) -> Vec<i64> + Sync + 'a {
    move |rows, run| {
        let noisy = shares.of_run(run).iter().enumerate().map(|(hospital, share)| {
            let own = rows.iter().filter(|row| row.hospital == hospital);
            let steps: Vec<_> = own.map(|row| row.x.map(clamped)).collect();
            joint([&cells_of(spec, layout, &steps), share])
        });
        joint(&noisy.collect::<Vec<_>>())
    }
}
