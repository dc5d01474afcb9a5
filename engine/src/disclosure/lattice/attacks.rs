//! Attacks on what a guarded study shows, with their numbers: what people have tried elsewhere, and what fell here before.
//!
//! Sources: margins of a table with one small cell: complementary suppression; a sum next to a censored mean:
//! OHDSI/CohortDiagnostics issue 658; smallest is largest by a histogram of one bin: EHDEN/CatalogueExport issue 39; as many
//! parameters as patients: `nfilter.glm` of DataSHIELD.

use std::collections::BTreeMap;

use consilium_protocol::study::{StudySpec, Totals};

use super::oracle::{Atom, COUNT, QUERY, Study, fixed, statistic, study};
use super::{Lattice, LatticeError};
use crate::statistics::{Layout, StatisticsError};

/// A study with so many subjects in each atom that is named, and what is shown of it.
struct Case {
    study: Study,
    seeds: Vec<bool>,
    table: Vec<i64>,
}

/// An atom of x, g, h, m and s.
fn atom(x: i64, g: i64, h: i64, m: i64, s: i64) -> Atom {
    [x, g, h, m, s].map(|value| (value >= 0).then_some(value)).into()
}

impl Case {
    fn of(most: i64, statistics: &str, subjects: &[(Atom, i64)]) -> Self {
        Self::of_study(&self::study(most, statistics), subjects)
    }

    fn of_study(spec: &StudySpec, subjects: &[(Atom, i64)]) -> Self {
        let study = Study::of(spec).expect("a study that can be guarded");
        let counts: BTreeMap<&Atom, i64> = subjects.iter().map(|(atom, n)| (atom, *n)).collect();
        let table: Vec<i64> = study.atoms.iter().map(|atom| counts.get(atom).copied().unwrap_or(0)).collect();
        assert_eq!(table.iter().sum::<i64>(), subjects.iter().map(|(_, n)| n).sum::<i64>(), "atoms of the study");
        let seeds = study.seeds(&table, true);
        assert!(fixed(&study, &table, true).is_empty(), "a small group is fixed");
        Self { study, seeds, table }
    }

    fn is_shown(&self, group: usize) -> bool {
        self.seeds[self.study.lattice.padded[group].seed]
    }

    /// By group of a statistic its count where it is shown.
    fn counts(&self, statistic: usize) -> Vec<Option<i64>> {
        let bundles = self.study.layout.blocks()[statistic].bundles.clone();
        let shown = |bundle: usize| {
            self.is_shown(self.study.lattice.places[bundle].count).then(|| self.study.count(bundle, &self.table))
        };
        bundles.map(shown).collect()
    }

    /// By group of a statistic whether its sums are shown.
    fn sums(&self, statistic: usize) -> Vec<bool> {
        let bundles = self.study.layout.blocks()[statistic].bundles.clone();
        bundles.filter_map(|bundle| self.study.lattice.places[bundle].sums).map(|sums| self.is_shown(sums)).collect()
    }
}

fn sum_of_s(name: &str, by: &[&str]) -> String {
    statistic(name, "kind = \"sum\"\nof = \"s\"", by)
}

#[test]
fn a_small_count_does_not_follow_from_two_ordinary_statistics() {
    // Men (1), of whom 40 have it; women (2), of whom 2 have it (the threshold here is 3). Before, the men's sum was shown, 40,
    // and the count of those who have it, 42.
    let both = sum_of_s("by sex", &["g"]) + &statistic("all", COUNT, &["s"]);
    let of = |women: i64| {
        let (men, all) = ([(atom(-1, 1, -1, -1, 1), 40), (atom(-1, 1, -1, -1, 0), 460)], 500);
        let women = [(atom(-1, 2, -1, -1, 1), women), (atom(-1, 2, -1, -1, 0), all - women)];
        Case::of(1, &both, &[men, women].concat())
    };
    let few = of(2);
    assert_eq!(few.counts(1)[..2], [Some(958), Some(42)]);
    assert_eq!(few.sums(0), [false; 4], "the men's sum would leave the women's");
    let many = of(20);
    assert_eq!(many.sums(0)[..2], [true, true]);
    assert_eq!(many.counts(1)[..2], [Some(940), Some(60)]);
}

#[test]
fn the_moments_of_a_score_tell_no_small_count() {
    // A score of 0, 1, 2: how many have 2 is (Σx² - Σx)/2.
    let variance = statistic("v", "kind = \"variance\"\nof = \"x\"", &[]);
    let of = |twos: i64| {
        Case::of(
            2,
            &variance,
            &[(atom(0, -1, -1, -1, -1), 50), (atom(1, -1, -1, -1, -1), 30), (atom(2, -1, -1, -1, -1), twos)],
        )
    };
    assert_eq!(of(2).sums(0), [false]);
    assert_eq!(of(3).sums(0), [true]);
    assert_eq!(of(0).sums(0), [true], "that nobody has is no small count");
    // The variance makes the values a cut, for the mean beside it as well.
    let both = variance.clone() + &statistic("m", "kind = \"mean\"\nof = \"x\"", &[]);
    let subjects =
        |twos: i64| [(atom(0, -1, -1, -1, -1), 50), (atom(1, -1, -1, -1, -1), 30), (atom(2, -1, -1, -1, -1), twos)];
    let case = Case::of(2, &both, &subjects(2));
    assert_eq!((case.sums(0), case.sums(1)), (vec![false], vec![false]));
    let case = Case::of(2, &both, &subjects(0));
    assert_eq!((case.sums(0), case.sums(1)), (vec![true], vec![true]));
    // Of a mean alone two of the three values suffice, as long as no statistic counts one of them.
    let mean = statistic("m", "kind = \"mean\"\nof = \"x\"", &[]);
    let counted = mean.clone() + &statistic("h", "kind = \"histogram\"\nof = \"x\"\nedges = [0, 1]", &[]);
    let subjects = [(atom(0, -1, -1, -1, -1), 50), (atom(1, -1, -1, -1, -1), 30), (atom(2, -1, -1, -1, -1), 2)];
    assert_eq!(Case::of(2, &mean, &subjects).sums(0), [true]);
    assert_eq!(
        Case::of(2, &counted, &subjects).sums(0),
        [false],
        "n of 0, and the sum over 1 and 2, tell how many have 2"
    );
}

/// A study whose x is this expression of the query.
fn encoded(most: i64, x: &str, statistics: &str) -> StudySpec {
    let mut spec = study(most, statistics);
    spec.cohort.sql = QUERY.replacen("a.x,", &format!("{x} AS x,"), 1);
    spec
}

#[test]
fn the_digits_of_a_sum_tell_no_small_count() {
    // Of 52 patients 2 are rare, 20 common, 30 neither: the sum is 2 * 1048576 + 20.
    let digits = "CASE WHEN p.race_concept_id = 1 THEN 1048576 WHEN p.race_concept_id = 2 THEN 1 ELSE 0 END";
    let sum = statistic("s", "kind = \"sum\"\nof = \"x\"", &[]);
    let of = |x: &str, subjects: [(i64, i64); 3]| {
        let subjects = subjects.map(|(x, n)| (atom(x, -1, -1, -1, -1), n));
        Case::of_study(&encoded(1_048_576, x, &sum), &subjects)
    };
    let case = of(digits, [(1_048_576, 2), (1, 20), (0, 30)]);
    assert_eq!((case.counts(0), case.sums(0)), (vec![Some(52), Some(0)], vec![false]));
    assert_eq!(of(digits, [(1_048_576, 3), (1, 20), (0, 30)]).sums(0), [true], "which is what its crosstab would tell");
    // The other way round: the rare ones have 1, and the rest the large number.
    let complement = "CASE WHEN p.race_concept_id = 1 THEN 1 WHEN p.race_concept_id = 2 THEN 0 ELSE 1048576 END";
    assert_eq!(of(complement, [(1_048_576, 30), (1, 2), (0, 20)]).sums(0), [false]);
    // Truth values as digits.
    let casts = "1048576 * CAST(p.race_concept_id = 1 AS INT) + CAST(p.race_concept_id = 2 AS INT)";
    assert_eq!(of(casts, [(1_048_576, 2), (1, 20), (0, 30)]).sums(0), [false]);
}

#[test]
fn what_is_no_measurement_is_refused_by_name() {
    let mean = statistic("m", "kind = \"mean\"\nof = \"x\"", &[]);
    for x in ["a.x * (a.x - 1) / 2", "CASE WHEN p.race_concept_id = 1 THEN a.x + 1 ELSE a.x END", "p.race_concept_id"] {
        let refused = Layout::of(&encoded(12, x, &mean)).expect_err(x);
        let StatisticsError::Form { variable, .. } = &refused else { panic!("{x}: {refused}") };
        assert_eq!(variable, "x");
        let said = refused.to_string();
        assert!(said.contains("`x`") && said.ends_with("or set protection = \"private\""), "{said}");
        // A histogram of it is as good as a dimension.
        let histogram = statistic("h", "kind = \"histogram\"\nof = \"x\"\nedges = [0, 5]", &[]);
        assert!(Layout::of(&encoded(12, x, &histogram)).is_ok(), "{x}");
    }
}

#[test]
fn two_sums_of_one_column_are_refused_by_name() {
    // Their difference is that of the rare ones alone.
    let both = statistic("x", "kind = \"sum\"\nof = \"x\"", &[]) + &statistic("s", "kind = \"sum\"\nof = \"s\"", &[]);
    let mut spec = study(12, &both);
    assert!(Layout::of(&spec).is_ok(), "rows with other concepts");
    spec.cohort.sql = QUERY.replacen("b.s", "CASE WHEN p.race_concept_id <> 1 THEN a.x END AS s", 1);
    let source_column = "measurement.value_as_number".to_string();
    let variables = ["s", "x"].map(String::from);
    assert_eq!(Layout::of(&spec), Err(StatisticsError::CommonSource { variables, source_column }));
}

#[test]
fn a_cut_under_another_name_is_one_of_the_variable() {
    // All who are below 6 have 5, and all others 9, but for two: the sum, and how many are on either side, tell of these.
    let both = statistic("s", "kind = \"sum\"\nof = \"x\"", &[]) + &statistic("g", COUNT, &["g"]);
    let mut spec = study(12, &both);
    let subjects = |others: i64| {
        [(5, 1, 30), (9, 2, 30), (7, 2, others), (11, 2, others)].map(|(x, g, n)| (atom(x, g, -1, -1, -1), n))
    };
    assert_eq!(Case::of_study(&spec, &subjects(1)).sums(0), [true], "a code has nothing to do with it");
    spec.cohort.sql = QUERY.replacen("p.gender_concept_id AS g", "CASE WHEN a.x < 6 THEN 1 ELSE 2 END AS g", 1);
    let few = Case::of_study(&spec, &subjects(1));
    assert_eq!((few.sums(0), few.counts(1)[..2].to_vec()), (vec![false], vec![Some(30), Some(32)]));
    assert_eq!(Case::of_study(&spec, &subjects(3)).sums(0), [true]);
    // So does a row that is there from a value on.
    let flag = "(SELECT DISTINCT person_id, 2 AS g FROM measurement WHERE value_as_number >= 6)";
    let joined = format!(
        "{} LEFT JOIN {flag} f ON f.person_id = p.person_id",
        QUERY.replacen("p.gender_concept_id AS g", "coalesce(f.g, 1) AS g", 1)
    );
    spec.cohort.sql = joined;
    assert_eq!(Case::of_study(&spec, &subjects(1)).sums(0), [false]);
}

#[test]
fn few_who_differ_from_all_others_are_not_told_by_a_sum() {
    // All have 7 but two.
    let mean = statistic("m", "kind = \"mean\"\nof = \"x\"", &["g"]);
    let of = |others: i64| {
        let at = |x, g, n| (atom(x, g, -1, -1, -1), n);
        Case::of(12, &mean, &[at(7, 1, 40), at(12, 1, others), at(3, 2, 30), at(9, 2, 30)])
    };
    assert_eq!(of(2).sums(0)[..2], [false, true], "without a mean over all, each stands alone");
    assert_eq!(of(3).sums(0)[..2], [true, true]);
    let both = mean + &statistic("all", "kind = \"mean\"\nof = \"x\"", &[]);
    let at = |x, g, n| (atom(x, g, -1, -1, -1), n);
    let case = Case::of(12, &both, &[at(7, 1, 40), at(12, 1, 2), at(3, 2, 30), at(9, 2, 30)]);
    assert_eq!((case.sums(0), case.sums(1)), (vec![false; 4], vec![true]), "beside the mean over all, none does");
    assert_eq!(case.counts(0)[0], Some(42), "counts have nothing to do with it");
}

/// So many subjects with each of these values of x, of one g and h.
fn spread_over(g: i64, h: i64, values: &[(i64, i64)]) -> Vec<(Atom, i64)> {
    values.iter().map(|(x, n)| (atom(*x, g, h, -1, -1), *n)).collect()
}

/// All have 7 but two: no sum tells of k.
const FEW: [(i64, i64); 2] = [(7, 40), (12, 2)];
/// In each of three ranges of x.
const SPREAD: [(i64, i64); 3] = [(0, 20), (6, 20), (12, 20)];

fn sums_of_x(name: &str, kind: &str, by: &[&str]) -> String {
    statistic(name, &format!("kind = \"{kind}\"\nof = \"x\""), by)
}

#[test]
fn squares_take_one_range_more_than_sums() {
    let both = sums_of_x("m", "mean", &[]) + &sums_of_x("v", "variance", &[]);
    let two = Case::of(12, &both, &spread_over(-1, -1, &[(0, 40), (12, 20)]));
    assert_eq!((two.sums(0), two.sums(1)), (vec![true], vec![false]));
    let three = Case::of(12, &both, &spread_over(-1, -1, &SPREAD));
    assert_eq!((three.sums(0), three.sums(1)), (vec![true], vec![true]));
}

#[test]
fn sums_are_hidden_with_their_count() {
    let mean = sums_of_x("m", "mean", &["g"]);
    let of = |two: &[(i64, i64)]| Case::of(12, &mean, &[spread_over(1, -1, &SPREAD), spread_over(2, -1, two)].concat());
    let small = of(&[(4, 2)]);
    assert!(small.counts(0).iter().all(Option::is_none));
    assert_eq!(small.sums(0), [false; 4], "however spread the first group is");
    assert_eq!(of(&FEW).sums(0)[..2], [true, false]);
}

#[test]
fn what_other_sums_leave_over_is_hidden_too() {
    // Of those with g = 2 few differ. A mean over all would leave their sum.
    let two = [spread_over(1, 1, &SPREAD), spread_over(2, 1, &FEW)].concat();
    let all = sums_of_x("all", "mean", &[]);
    // The sums by g, which nobody asked for, are what the two breakdowns have in common.
    let crossed = sums_of_x("gh", "mean", &["g", "h"]) + &sums_of_x("gm", "mean", &["g", "m"]);
    let case = Case::of(12, &(crossed.clone() + &all), &two);
    assert!([case.sums(0), case.sums(1)].concat().iter().all(|shown| !shown));
    assert_eq!(case.sums(2), [true]);
    assert!(Case::of(12, &crossed, &two).sums(0)[0], "without the mean over all");
    // Σx is part of a variance.
    let by_g = sums_of_x("v", "variance", &["g"]);
    let two = [spread_over(1, -1, &SPREAD), spread_over(2, -1, &FEW)].concat();
    let case = Case::of(12, &(by_g.clone() + &all), &two);
    assert_eq!((case.sums(0), case.sums(1)), (vec![false; 4], vec![true]));
    assert_eq!(Case::of(12, &by_g, &two).sums(0)[..2], [true, false]);
    // From variances that are all shown Σx over all follows, and by h all but one.
    let two = |g: i64| [spread_over(g, 1, &FEW), spread_over(g, 2, &SPREAD)].concat();
    let by_h = sums_of_x("h", "mean", &["h"]);
    let case = Case::of(12, &(by_h.clone() + &by_g), &two(1));
    assert!(case.sums(0).iter().all(|shown| !shown));
    assert!(case.sums(1)[0]);
    assert_eq!(Case::of(12, &by_h, &two(-1)).sums(0)[..2], [false, true]);
}

#[test]
fn a_group_is_spread_within_one_part_of_a_cut() {
    let histogram = |edges: &str| statistic("h", &format!("kind = \"histogram\"\nof = \"x\"\nedges = [{edges}]"), &[]);
    let shown = |edges: &str, kind: &str, values: &[(i64, i64)]| {
        Case::of(12, &(histogram(edges) + &sums_of_x("s", kind, &[])), &spread_over(-1, -1, values)).sums(1)[0]
    };
    // Σx less a constant for each part is the sum of one part: three ranges of two values have to be there.
    assert!(shown("0, 6, 13", "mean", &[(0, 20), (2, 20), (4, 20)]));
    assert!(!shown("0, 6, 13", "mean", &[(0, 20), (2, 20), (6, 40)]), "two in one part, one in the other");
    assert!(!shown("0, 6, 13", "mean", &[(0, 20), (2, 20)]));
    assert!(!shown("0, 3, 6, 9, 13", "mean", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(|x| (x, 10))), "narrow");
    // Four of three values for Σx².
    assert!(shown("0, 13", "variance", &[(0, 20), (3, 20), (6, 20), (9, 20)]));
    assert!(!shown("0, 13", "variance", &[(0, 20), (3, 20), (6, 20)]));
    assert!(!shown("0, 6, 13", "variance", &[0, 1, 2, 3, 4, 5, 6].map(|x| (x, 10))), "narrow");
}

#[test]
fn few_values_that_are_cut_are_known_by_value() {
    let cut = statistic("h", "kind = \"histogram\"\nof = \"x\"\nedges = [0, 1]", &[]) + &sums_of_x("m", "mean", &[]);
    let of = |most: i64, last: i64| {
        let values: Vec<(i64, i64)> = [0, 1, 3, 5, 6].map(|x| (x, 20)).into_iter().chain([(7, last)]).collect();
        Case::of(most, &cut, &spread_over(-1, -1, &values)).sums(1)
    };
    assert_eq!(of(7, 2), [false], "eight values, of which two have the last");
    assert_eq!(of(7, 3), [true]);
    assert_eq!(of(8, 2), [true], "nine");
}

#[test]
fn a_mean_by_intervals_of_its_own_variable() {
    let mean = sums_of_x("m", "mean", &["x"]);
    let of = |tens: i64| {
        let values = [(0, 20), (2, 20), (4, 20), (6, 20), (8, 20), (10, tens), (-1, 4)];
        Case::of(12, &mean, &spread_over(-1, -1, &values))
    };
    // 0 to <6, 6 to <13, other, missing, each with those who have a value and those who have none.
    let case = of(20);
    let count = Some;
    let counts = [count(60), count(0), count(60), count(0), count(0), count(0), count(0), count(4)];
    assert_eq!(case.counts(0), counts);
    assert_eq!(case.sums(0), [true; 4]);
    let bundles = case.study.layout.blocks()[0].bundles.clone();
    let empty: Vec<bool> = case.study.lattice.places[bundles].iter().map(|places| places.is_empty).collect();
    assert_eq!(empty, [false, true, false, true, false, true, true, false]);
    let few = of(2);
    assert_eq!((few.counts(0)[0], few.counts(0)[2]), (Some(60), Some(42)));
    assert_eq!(few.sums(0), [false, false, false, true], "together they are spread, alone the second is not");
}

#[test]
fn a_table_that_is_too_large_to_count_is_refused() {
    let values: Vec<String> = (0..22).map(|value| value.to_string()).collect();
    let dimensions: String =
        ["a", "b"].map(|name| format!("[[dimension]]\nname = \"{name}\"\nvalues = [{}]\n", values.join(", "))).concat();
    let of = |edges: i64| {
        let edges: Vec<String> = (0..edges).map(|edge| (10 * edge).to_string()).collect();
        let histogram = format!("kind = \"histogram\"\nof = \"x\"\nedges = [{}]", edges.join(", "));
        let statistics = sums_of_x("m", "mean", &["a", "b"]) + &statistic("h", &histogram, &[]);
        let spec = study(10_000, &(dimensions.clone() + &statistics));
        Lattice::of(&spec, &Layout::of(&spec).expect("nested")).err()
    };
    // Of 576 groups by the parts of x by 34 ranges.
    assert_eq!(of(4), None);
    assert_eq!(of(256), Some(LatticeError::TooLarge));
}

#[test]
fn margins_with_one_small_cell_are_shown_and_the_cell_follows_from_nothing() {
    let three = statistic("gm", "kind = \"crosstab\"", &["g", "m"])
        + &statistic("g", COUNT, &["g"])
        + &statistic("m", COUNT, &["m"])
        + &statistic("all", COUNT, &[]);
    let at = |g, m, n| (atom(-1, g, -1, m, -1), n);
    let case = Case::of(1, &three, &[at(1, 1, 30), at(1, 9, 40), at(2, 1, 50), at(2, 9, 2)]);
    assert!(case.counts(0).iter().all(Option::is_none), "the table");
    assert_eq!(case.counts(1)[..2], [Some(70), Some(52)]);
    assert_eq!(case.counts(2)[..2], [Some(80), Some(42)]);
    assert_eq!(case.counts(3), [Some(122)]);
}

#[test]
fn a_sum_next_to_a_censored_mean() {
    // The mean by g, and the sum over all: the sum of the small group would be the difference.
    let two =
        statistic("m", "kind = \"mean\"\nof = \"x\"", &["g"]) + &statistic("s", "kind = \"sum\"\nof = \"x\"", &[]);
    let at = |x, g, n| (atom(x, g, -1, -1, -1), n);
    let case = Case::of(12, &two, &[at(2, 1, 20), at(9, 1, 20), at(4, 2, 1), at(5, 2, 1)]);
    assert_eq!((case.sums(0), case.sums(1)), (vec![false; 4], vec![true]));
    assert_eq!(case.counts(1), [Some(42), Some(0)]);
}

#[test]
fn smallest_is_largest_by_a_histogram_of_one_bin() {
    let two = statistic("h", "kind = \"histogram\"\nof = \"x\"\nedges = [5, 6]", &[])
        + &statistic("m", "kind = \"mean\"\nof = \"x\"", &[]);
    let at = |x, n| (atom(x, -1, -1, -1, -1), n);
    let case = Case::of(12, &two, &[at(0, 20), at(3, 20), at(5, 1), at(7, 10), at(9, 30), at(12, 15)]);
    // Below 5, 5, from 6 on, missing.
    assert_eq!(case.counts(0), [Some(40), None, None, Some(0)], "the one is merged with those above");
    assert_eq!(case.sums(1), [true], "the mean tells of 96 together");
}

#[test]
fn as_many_groups_as_patients() {
    let all = statistic("h", "kind = \"histogram\"\nof = \"x\"\nedges = [0, 3, 6, 9]", &["g"]);
    let at = |x, g| (atom(x, g, -1, -1, -1), 1);
    let case = Case::of(12, &all, &[at(1, 1), at(4, 1), at(7, 1), at(12, 1), at(1, 2), at(4, 2), at(7, 2)]);
    assert!(case.counts(0).iter().all(Option::is_none));
}

#[test]
fn rare_categories_are_merged_and_the_others_shown() {
    let by_h = statistic("h", COUNT, &["h"]);
    let at = |h, n| (atom(-1, -1, h, -1, -1), n);
    // Three intervals, other, missing.
    let case = Case::of(1, &by_h, &[at(1, 40), at(2, 30), at(3, 20), at(9, 1), at(-1, 1)]);
    assert_eq!(case.counts(0), [None, Some(30), Some(20), None, None]);
    let merged: Vec<(String, i64)> = case
        .study
        .layout
        .coarser()
        .iter()
        .flat_map(|block| block.bundles.clone().map(move |bundle| (block, bundle)))
        .filter(|(_, bundle)| case.is_shown(case.study.lattice.places[*bundle].count))
        .map(|(block, bundle)| {
            (block.axes[0].label(bundle - block.bundles.start), case.study.count(bundle, &case.table))
        })
        .collect();
    assert!(merged.contains(&("1 to <2, other, missing".to_string(), 42)), "{merged:?}");
}

#[test]
fn a_study_says_itself_how_categories_are_merged() {
    let mut spec = study(1, &statistic("h", COUNT, &["h"]));
    let at = |h, n| (atom(-1, -1, h, -1, -1), n);
    let subjects = [at(1, 40), at(2, 2), at(3, 30)];
    let together = |case: &Case| -> Vec<(String, i64)> {
        let shown = |bundle: &usize| case.is_shown(case.study.lattice.places[*bundle].count);
        let blocks = case.study.layout.coarser().iter();
        let bundles = blocks.flat_map(|block| block.bundles.clone().map(move |bundle| (block, bundle)));
        let shown = bundles.filter(|(_, bundle)| shown(bundle));
        shown
            .map(|(block, bundle)| {
                (block.axes[0].label(bundle - block.bundles.start), case.study.count(bundle, &case.table))
            })
            .collect()
    };
    let both = ("2 to <3, 3 to <4".to_string(), 32);
    let dimension = spec.dimensions.iter_mut().find(|dimension| dimension.name == "h").expect("a dimension");
    dimension.coarser = vec![vec![0, 1, 2, 3, 3], vec![0, 1, 1, 2, 2]];
    assert!(spec.problems().is_empty(), "{:?}", spec.problems());
    let case = Case::of_study(&spec, &subjects);
    assert_eq!(case.counts(0), [Some(40), None, None, Some(0), Some(0)], "class by class of the coarser level");
    assert!(together(&case).contains(&both), "{:?}", together(&case));
    let dimension = spec.dimensions.iter_mut().find(|dimension| dimension.name == "h").expect("a dimension");
    dimension.coarser = vec![vec![0, 1, 0, 2, 2]];
    let case = Case::of_study(&spec, &subjects);
    assert!(!together(&case).contains(&both), "{:?}", together(&case));
}

/// A study of counts whose totals are hidden.
fn without_totals(statistics: &str) -> StudySpec {
    let mut spec = study(1, statistics);
    spec.totals = Totals::Hidden;
    assert!(spec.problems().is_empty(), "{:?}", spec.problems());
    spec
}

#[test]
fn without_totals_every_group_of_a_sparse_table_stands_for_itself() {
    let table = statistic("gh", "kind = \"crosstab\"", &["g", "h"]);
    let spec = without_totals(&(table + &statistic("g", COUNT, &["g"]) + &statistic("all", COUNT, &[])));
    let at = |g, h, n| (atom(-1, g, h, -1, -1), n);
    let few = Case::of_study(&spec, &[at(1, 1, 30), at(1, 2, 2), at(1, 3, 5), at(2, 1, 9), at(2, 2, 4)]);
    assert_eq!(few.counts(0)[..5], [Some(30), None, Some(5), Some(0), Some(0)]);
    assert_eq!(few.counts(1)[..2], [None, Some(13)], "the union of one that is hidden");
    assert_eq!(few.counts(2), [None]);
    let many = Case::of_study(&spec, &[at(1, 1, 30), at(1, 2, 3), at(1, 3, 5), at(2, 1, 9), at(2, 2, 4)]);
    assert_eq!(many.counts(2), [Some(51)]);
    // Two tables have a total in common, whether or not it is asked for.
    let two = without_totals(&(statistic("g", COUNT, &["g"]) + &statistic("h", COUNT, &["h"])));
    let refused = Lattice::of(&two, &Layout::of(&two).expect("nested")).expect_err("two tables");
    let LatticeError::NotOneTable { mut statistics } = refused else { panic!("{refused}") };
    statistics.sort();
    assert_eq!(statistics, ["g", "h"]);
}

#[test]
fn cuts_that_overlap_are_refused_by_name() {
    let histogram =
        |name: &str, edges: &str| statistic(name, &format!("kind = \"histogram\"\nof = \"x\"\nedges = [{edges}]"), &[]);
    let refused = |statistics: String| Layout::of(&study(12, &statistics));
    let nested =
        StatisticsError::NotNested { column: "x".to_string(), statistics: ["coarse", "shifted"].map(String::from) };
    assert_eq!(refused(histogram("coarse", "0, 10") + &histogram("shifted", "0, 9, 11")), Err(nested));
    // One edge moved by one: two histograms whose difference is the subjects of one value.
    assert!(refused(histogram("a", "0, 5, 10") + &histogram("b", "0, 6, 10")).is_err());
    assert!(refused(histogram("a", "0, 5, 10") + &histogram("b", "0, 10")).is_ok());
}

#[test]
fn a_ring_is_shown_whole_or_not_at_all() {
    let ring: String =
        [["g", "h"], ["h", "m"], ["g", "m"]].iter().map(|by| statistic(&by.concat(), COUNT, by)).collect();
    let atoms = |odd: i64| {
        let mut atoms = Vec::new();
        for (g, h, m) in
            [1, 2].iter().flat_map(|g| [1, 2].map(|h| (*g, h))).flat_map(|(g, h)| [1, 9].map(|m| (g, h, m)))
        {
            // From three tables whose groups all pass, how many are in these two cells follows.
            let is_odd = (g, h, m) == (1, 1, 9) || (g, h, m) == (2, 2, 1);
            atoms.push((atom(-1, g, h, m, -1), if is_odd { odd } else { 20 }));
        }
        atoms
    };
    let few = Case::of(1, &ring, &atoms(1));
    assert!(few.study.lattice.is_tied);
    assert!((0..3).all(|statistic| few.counts(statistic).iter().all(Option::is_none)));
    let many = Case::of(1, &ring, &atoms(5));
    assert!((0..3).all(|statistic| many.counts(statistic).iter().all(Option::is_some)));
}

#[test]
fn a_table_that_refines_a_ring_is_shown_by_the_classes_of_others() {
    // A table of three columns and its merged tables are a ring.
    let both = statistic("ghs", COUNT, &["g", "h", "s"]) + &statistic("s", COUNT, &["s"]);
    let at = |g, h, s, n| (atom(-1, g, h, -1, s), n);
    let case = Case::of(1, &both, &[at(1, 1, 0, 40), at(2, 2, 0, 30), at(1, 1, 1, 2), at(1, 2, 1, 10)]);
    assert!(case.study.lattice.is_tied);
    // By g, five groups of h, and four of s.
    let counts = case.counts(0);
    assert_eq!([counts[0], counts[24], counts[4]], [Some(40), Some(30), Some(0)]);
    assert_eq!([counts[1], counts[5], counts[25]], [None; 3], "of those with s = 1");
    assert_eq!(case.counts(1)[..2], [Some(70), Some(12)]);
}

#[test]
fn a_group_is_shown_with_the_coarsest_table_that_has_it() {
    // Those without a value are the same groups in a table by value, which waits for a histogram over all.
    let histogram = |name: &str, edges: &str, by: &[&str]| {
        statistic(name, &format!("kind = \"histogram\"\nof = \"x\"\nedges = [{edges}]"), by)
    };
    let all =
        sums_of_x("v", "variance", &["h", "m"]) + &histogram("all", "0, 1, 3", &[]) + &histogram("m", "0, 3", &["m"]);
    let at = |h, m, n| (atom(-1, -1, h, m, -1), n);
    let case = Case::of(2, &all, &[at(1, 1, 30), at(2, 1, 20), at(3, 1, 20), at(1, 9, 10), at(2, 9, 2)]);
    // By h, three groups of m, and whether there is a value.
    let counts = case.counts(0);
    assert_eq!([counts[1], counts[7], counts[13]], [Some(30), Some(20), Some(20)], "of those with m = 1");
    assert_eq!([counts[3], counts[9]], [None; 2]);
}

#[test]
fn a_ring_of_too_many_groups_is_refused_by_name() {
    let ring: String =
        [["a", "b"], ["b", "c"], ["a", "c"]].iter().map(|by| statistic(&by.concat(), COUNT, by)).collect();
    // With so many groups of a, b and c, of which two are other and missing.
    let refused = |groups: [usize; 3]| {
        let dimension = |(name, groups): (&str, usize)| {
            let values: Vec<String> = (2..groups).map(|value| value.to_string()).collect();
            format!("[[dimension]]\nname = \"{name}\"\nvalues = [{}]\n", values.join(", "))
        };
        let dimensions: String = ["a", "b", "c"].into_iter().zip(groups).map(dimension).collect();
        let spec = study(1, &(dimensions + &ring));
        Lattice::of(&spec, &Layout::of(&spec).expect("nested")).err()
    };
    let listed = |names: [&str; 3]| names.map(String::from).to_vec();
    let named = LatticeError::Ring { statistics: listed(["ab", "bc", "ac"]), columns: listed(["a", "b", "c"]) };
    assert_eq!(refused([42, 42, 42]), Some(named.clone()));
    assert_eq!(refused([16, 16, 17]), Some(named));
    assert_eq!(refused([16, 16, 16]), None);
}

#[test]
fn a_study_that_asks_for_too_much_is_refused_before_it_is_compiled() {
    // A mean by 3,844 groups, each of which would be compared in ranges.
    let values: Vec<String> = (0..60).map(|value| value.to_string()).collect();
    let dimensions: String =
        ["a", "b"].map(|name| format!("[[dimension]]\nname = \"{name}\"\nvalues = [{}]\n", values.join(", "))).concat();
    let edges: Vec<String> = (0..=19).map(|edge| (10 * edge).to_string()).collect();
    let histogram = statistic("h", &format!("kind = \"histogram\"\nof = \"x\"\nedges = [{}]", edges.join(", ")), &[]);
    let spec = study(200, &(dimensions + &histogram + &sums_of_x("m", "mean", &["a", "b"])));
    let started = std::time::Instant::now();
    assert_eq!(Lattice::of(&spec, &Layout::of(&spec).expect("nested")).err(), Some(LatticeError::TooLarge));
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_layout_of_another_study_is_refused() {
    let [one, two] = ["g", "h"].map(|by| study(1, &statistic("s", COUNT, &[by])));
    let layout = Layout::of(&one).expect("a valid study");
    assert_eq!(Lattice::of(&two, &layout).err(), Some(LatticeError::Layout));
}

#[test]
fn the_largest_study_compiles() {
    // 16,384 groups in all is what a study may have.
    let values: Vec<String> = (0..116).map(|value| value.to_string()).collect();
    let dimensions: String =
        ["a", "b"].map(|name| format!("[[dimension]]\nname = \"{name}\"\nvalues = [{}]\n", values.join(", "))).concat();
    let statistics = statistic("ab", COUNT, &["a", "b"])
        + &statistic("a", COUNT, &["a"])
        + &statistic("b", COUNT, &["b"])
        + &statistic("t", COUNT, &[])
        + &statistic("am", COUNT, &["a", "m"]);
    let spec = study(1, &(dimensions + &statistics));
    let layout = Layout::of(&spec).expect("nested");
    let started = std::time::Instant::now();
    let lattice = Lattice::of(&spec, &layout).expect("a study that can be guarded");
    println!(
        "{} numbers, {} seeds, {:?}",
        lattice.compared.numbers.len(),
        lattice.gates.release.len(),
        started.elapsed()
    );
    let numbers = lattice.compared.numbers.len();
    assert!(lattice.gates.evaluate(&vec![true; numbers], &vec![true; numbers]).iter().all(|seed| *seed));
    let inputs: usize = lattice.gates.sets.iter().map(|gate| gate.inputs.len()).sum();
    assert!(inputs < 3 * numbers, "{inputs} inputs");
}
