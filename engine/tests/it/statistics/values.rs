//! Every number of a released result is what the pooled rows yield, and hidden exactly where the rules demand.

use arrow::array::RecordBatch;
use consilium_engine::disclosure::{DisclosureError, Rule};
use consilium_engine::result::{Estimate, StudyResult};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::StudySpec;

use super::cohorts::{Chance, DIMENSIONS, KINDS, cohort, some_dimensions, study};
use super::oracle::{compare, pooled};
use super::round::{joint, policy};

/// Releases, compares with the oracle, and says how many numbers are shown and how many hidden.
async fn agree(spec: &StudySpec, cohorts: &[Vec<RecordBatch>], policy: &DisclosurePolicy) -> (usize, usize) {
    let released = joint(spec, cohorts, policy).await.expect("honest cells");
    let comparison = compare(released.get(), &pooled(spec, cohorts, policy));
    assert!(comparison.differing.is_empty(), "{}", comparison.differing.join("\n"));
    assert_eq!(comparison.cells, comparison.equal);
    let hidden = released.get().estimates().filter(|value| value.suppressed_by().is_some()).count();
    (comparison.cells - hidden, hidden)
}

#[tokio::test]
async fn every_statistic_by_up_to_three_dimensions() {
    let mut chance = Chance(1);
    let cohorts: Vec<_> = (0..3).map(|_| cohort(&mut chance, 4_000)).collect();
    for dimensions in 0..=3 {
        let by = DIMENSIONS[..dimensions].to_vec();
        let mut statistics: Vec<_> = KINDS.iter().map(|kind| (*kind, by.clone())).collect();
        if dimensions >= 2 {
            statistics.push(("crosstab", by));
        }
        let (shown, _) = agree(&study(&statistics), &cohorts, &policy(2, 2)).await;
        assert!(shown > 100 * dimensions, "{dimensions} dimensions show {shown} numbers");
    }
}

#[tokio::test]
async fn random_studies_of_random_cohorts() {
    let (mut shown, mut hidden) = (0, 0);
    for seed in 0..60 {
        let mut chance = Chance(seed * 1_000);
        let kinds = chance.below(4) + 1;
        let statistics: Vec<_> = (0..kinds).map(|_| (chance.pick(&KINDS), some_dimensions(&mut chance, 2))).collect();
        let sizes = [0, 1, 9, 60, 300, 1_200];
        let hospitals = chance.below(3) + 3;
        let cohorts: Vec<_> = (0..hospitals)
            .map(|_| {
                let rows = chance.pick(&sizes);
                cohort(&mut chance, rows)
            })
            .collect();
        let policy = policy(chance.below(15) as u32 + 2, chance.below(7) as u32 + 2);
        let (more_shown, more_hidden) = agree(&study(&statistics), &cohorts, &policy).await;
        shown += more_shown;
        hidden += more_hidden;
    }
    assert!(shown > 2_000 && hidden > 500, "shown {shown}, hidden {hidden}");
}

/// Three hospitals with so many women each, and the count of them that comes out.
async fn count_of(sizes: [usize; 3], policy: &DisclosurePolicy) -> (Estimate, Estimate) {
    let spec = study(&[("count", vec![])]);
    let cohorts = sizes.map(|rows| cohort(&mut Chance(5), rows));
    let released = joint(&spec, &cohorts, policy).await.expect("honest cells");
    let row = &released.get().statistics[0].rows[0];
    (row.measure("count").expect("a count"), row.measure("withheld").expect("a count of hospitals"))
}

#[tokio::test]
async fn thresholds_are_exact() {
    let small = (Estimate::Suppressed(Rule::SmallCount), Estimate::Suppressed(Rule::SmallCount));
    let counts = |n, withheld| (Estimate::Count(n), Estimate::Count(withheld));
    let of = |sizes| async move { count_of(sizes, &policy(11, 5)).await };
    assert_eq!(of([0, 0, 0]).await, counts(0, 0));
    assert_eq!(of([10, 0, 0]).await, small);
    assert_eq!(of([11, 0, 0]).await, counts(11, 0));
    assert_eq!(of([20, 4, 0]).await, counts(20, 1));
    assert_eq!(of([20, 5, 0]).await, counts(25, 0));
    assert_eq!(of([20, 4, 1]).await, counts(20, 2));
    assert_eq!(of([4, 4, 4]).await, small, "twelve subjects, all held back");
    assert_eq!(of([6, 4, 1]).await, small, "eleven subjects, six of them told");
}

#[tokio::test]
async fn too_few_hospitals_release_nothing() {
    let spec = study(&[("count", vec![])]);
    let cohorts = [5, 6, 7].map(|seed| cohort(&mut Chance(seed), 50));
    let policy = DisclosurePolicy { min_hospitals: 4, ..policy(11, 5) };
    let refused = joint(&spec, &cohorts, &policy).await;
    assert_eq!(refused.err(), Some(DisclosureError::TooFewHospitals { roster: 3, needed: 4 }));
}

#[tokio::test]
async fn the_oracle_notices() {
    let spec = study(&[("mean bmi", vec!["sex"]), ("count", vec!["sex"])]);
    let cohorts = [5, 6, 7].map(|seed| cohort(&mut Chance(seed), 200));
    let released = joint(&spec, &cohorts, &policy(11, 5)).await.expect("honest cells");
    let fewer = [cohorts[0].clone(), cohorts[1].clone(), cohorts[1].clone()];
    for other in [pooled(&spec, &fewer, &policy(11, 5)), pooled(&spec, &cohorts, &policy(150, 5))] {
        let comparison = compare(released.get(), &other);
        assert!(!comparison.differing.is_empty() && comparison.equal < comparison.cells);
    }
    let mut result: StudyResult = released.get().clone();
    result.statistics[1].rows.pop();
    let expected = pooled(&spec, &cohorts, &policy(11, 5));
    assert!(compare(&result, &expected).differing.iter().any(|place| place.ends_with("left out")));
}
