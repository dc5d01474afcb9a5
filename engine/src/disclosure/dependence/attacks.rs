//! What people have tried elsewhere, and what is released of ordinary studies.

use consilium_protocol::study::StudySpec;

use super::oracle::{COUNT, Case, statistic, study};
use super::{BitRef, Dependence, DependenceError, Rings};
use crate::statistics::Layout;

const MEAN_X: &str = "kind = \"mean\"\nof = \"x\"";

fn dependence(spec: &StudySpec) -> Result<(Layout, Dependence), DependenceError> {
    let layout = Layout::of(spec).expect("a valid study");
    let dependence = Dependence::of(spec, &layout, Rings::Refuse)?;
    Ok((layout, dependence))
}

fn shown(statistics: &str, table: &[u64]) -> Vec<usize> {
    let case = Case::by_hand(statistics, table);
    assert!(case.hides_small_groups() && case.leaves_small_groups_open());
    (0..case.released.len()).filter(|group| case.released[*group]).collect()
}

#[test]
fn margins_with_one_small_cell_are_kept_back() {
    let three = statistic("g", COUNT, &["g"])
        + &statistic("h", COUNT, &["h"])
        + &statistic("gh", "kind = \"crosstab\"", &["g", "h"]);
    // g 1, other, missing (0 to 2); h the same (3 to 5); their table (6 to 14), of which (other, other) is small.
    let table = [30, 40, 0, 50, 5, 0, 0, 0, 0];
    assert_eq!(shown(&three, &table), [0, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14]);
    let (_, dependence) = dependence(&study(&three)).expect("nested");
    assert_eq!(dependence.waits_for(1), [9, 10, 11]);
    assert_eq!(dependence.waits_for(10), [10]);
    assert!(dependence.stands_alone(10) && !dependence.stands_alone(1));
    // The margins' own bits are never needed.
    assert_eq!(dependence.inputs(), (6..15).collect::<Vec<_>>());
    assert_eq!((dependence.sets.len(), dependence.and_inputs()), (6, 18));
}

#[test]
fn a_total_waits_for_its_breakdown() {
    let two = statistic("t", COUNT, &[]) + &statistic("g", COUNT, &["g"]);
    assert_eq!(shown(&two, &[50, 40, 0]), [0, 1, 2, 3]);
    assert_eq!(shown(&two, &[50, 5, 0]), [1, 3]);
}

#[test]
fn breakdowns_that_share_a_total_nobody_asked_for() {
    let two = statistic("g", COUNT, &["g"]) + &statistic("h", COUNT, &["h"]);
    // By g all pass, by h one is small: it would follow from the total.
    let by_h_small = [30, 3, 0, 40, 2, 0, 0, 0, 0];
    assert_eq!(shown(&two, &by_h_small), [0, 1, 2]);
    let by_g_small = [30, 40, 0, 2, 3, 0, 0, 0, 0];
    assert_eq!(shown(&two, &by_g_small), [0, 2]);
}

#[test]
fn a_sum_next_to_a_censored_mean() {
    // The mean of x by g, and the sum of x over all: the sum of the small group would be the difference.
    let two = statistic("m", MEAN_X, &["g"]) + &statistic("s", "kind = \"sum\"\nof = \"x\"", &[]);
    // Atoms: present by g, then missing by g. Groups: (1 present, 1 missing, other present, ...), then present, missing.
    assert_eq!(shown(&two, &[30, 4, 0, 20, 20, 0]), [0, 1, 3, 4, 5, 7]);
    assert_eq!(shown(&two, &[30, 14, 0, 20, 20, 0]), (0..8).collect::<Vec<_>>());
    // The same statistic twice is one question.
    let twice = statistic("a", MEAN_X, &["g"]) + &statistic("b", "kind = \"variance\"\nof = \"x\"", &["g"]);
    let (_, dependence) = dependence(&study(&twice)).expect("nested");
    assert_eq!(dependence.release[..6], dependence.release[6..]);
    assert!(dependence.sets.is_empty());
}

#[test]
fn smallest_is_largest_by_a_histogram_of_one_bin() {
    // A histogram that leaves one subject in its last bin, and a mean that the others' bins would leave it with.
    let two = statistic("h", "kind = \"histogram\"\nof = \"x\"\nedges = [0, 10]", &[]) + &statistic("m", MEAN_X, &[]);
    // Below, within, from 10 on, missing (0 to 3); present, missing (4, 5). The atoms come as -10, 2, 20, missing.
    assert_eq!(shown(&two, &[0, 40, 1, 15]), [0, 1, 3, 5]);
    assert_eq!(shown(&two, &[0, 40, 0, 15]), [0, 1, 2, 3, 4, 5]);
    let (_, dependence) = dependence(&study(&two)).expect("nested");
    assert_eq!(dependence.waits_for(4), [0, 1, 2]);
    assert_eq!(dependence.release[5], BitRef::Group(3));
}

#[test]
fn cuts_that_overlap_are_refused_by_name() {
    let histogram =
        |name: &str, edges: &str| statistic(name, &format!("kind = \"histogram\"\nof = \"x\"\nedges = [{edges}]"), &[]);
    let refused =
        |statistics: String| dependence(&study(&statistics)).map(|_| ()).expect_err("overlapping").to_string();
    let text = refused(histogram("coarse", "0, 10") + &histogram("shifted", "0, 9, 11"));
    assert_eq!(
        text,
        "statistics `coarse` and `shifted` cut column `x` in ways that are not nested, so that their differences could \
         be small groups; give both the same edges, or the finer one every edge of the coarser"
    );
    // One edge moved by one: two histograms whose difference is the subjects of one value.
    refused(histogram("a", "0, 5, 10") + &histogram("b", "0, 6, 10"));
    // Intervals of a dimension and of a histogram that share no outer edges.
    refused(statistic("d", COUNT, &["x"]) + &histogram("h", "1, 10"));
    assert!(dependence(&study(&(statistic("d", COUNT, &["x"]) + &histogram("h", "-1, 0, 10, 20")))).is_ok());
}

#[test]
fn a_variable_by_its_own_intervals() {
    // The mean of x by x: who lacks x is in no interval, so some groups are nobody's, and keep nothing back.
    let two = statistic("m", MEAN_X, &["x"]) + &statistic("t", COUNT, &[]);
    // Within and present, within and missing, outside and present, outside and missing, missing and present, missing twice.
    let (_, dependence) = dependence(&study(&two)).expect("nested");
    assert_eq!(dependence.waits_for(6), [0, 2, 5]);
}

#[test]
fn a_layout_of_another_study_is_refused() {
    let [one, two] = [&["g"][..], &["h"]].map(|by| study(&statistic("s", COUNT, by)));
    let layout = Layout::of(&one).expect("a valid study");
    assert_eq!(Dependence::of(&two, &layout, Rings::Refuse), Err(DependenceError::Layout));
}

#[test]
fn the_largest_study_compiles() {
    // 16,384 groups in all is what a study may have.
    let values: Vec<String> = (0..116).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    let statistics = statistic("gh", COUNT, &["g", "h"])
        + &statistic("g", COUNT, &["g"])
        + &statistic("h", COUNT, &["h"])
        + &statistic("t", COUNT, &[])
        + &statistic("g m", COUNT, &["g", "m"]);
    let mut text = String::new();
    for name in ["g", "h"] {
        text += &format!("[[dimension]]\nname = \"{name}\"\nvalues = [{values}]\n");
    }
    let text = format!(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\n[cohort]\nsql = \"SELECT 1\"\n\
         subject = \"id\"\n{text}[[dimension]]\nname = \"m\"\nvalues = [1]\n{statistics}"
    );
    let spec = StudySpec::from_toml(&text).expect("a valid study");
    let (layout, dependence) = dependence(&spec).expect("nested");
    let released = dependence.evaluate(&vec![true; layout.bundles().len()]);
    assert!(released.iter().all(|released| *released));
    // By g and m waits for by g and h, class by class; each total and margin is written with at most one set a class.
    println!("{} groups, {} sets, {} inputs", layout.bundles().len(), dependence.sets.len(), dependence.and_inputs());
    assert!(dependence.and_inputs() < 2 * layout.bundles().len() + 1000);
}

#[test]
fn what_hangs_on_a_ring_waits_for_all_of_it() {
    let by: [&[&str]; 4] = [&["g", "h"], &["h", "m"], &["g", "m"], &["m", "x"]];
    let statistics: String = by.iter().map(|by| statistic(&by.concat(), COUNT, by)).collect();
    let spec = study(&statistics);
    let layout = Layout::of(&spec).expect("a valid study");
    let tied = Dependence::of(&spec, &layout, Rings::Together).expect("tied");
    let ring: Vec<usize> = (0..27).collect();
    assert!(ring.iter().all(|group| tied.waits_for(*group) == ring));
    // By m and x: of one class are the three groups of one m.
    assert_eq!(tied.waits_for(27), [ring, vec![27, 28, 29]].concat());
    assert_eq!((tied.sets.len(), tied.and_inputs()), (4, 27 + 3 * 4));
    let text = Dependence::of(&spec, &layout, Rings::Refuse).expect_err("a ring").to_string();
    assert_eq!(
        text,
        "statistics `gh`, `hm`, `gm` are broken down by `g`, `h`, `m` in a ring, from which counts of groups follow that \
         were not asked for; leave one of them out, or add one by all of these columns together"
    );
}
