//! What is refused: cohorts that do not fit, and cells that no cohorts add up to.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt8Array};
use consilium_engine::disclosure::{DisclosureError, private, release};
use consilium_engine::statistics::{Compared, Layout, OFFLINE_SUBJECTS, StatisticsError, compute};
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::{Protection, StudySpec};

use super::cohorts::{Chance, cohort, study};
use super::round::{open_cells, open_joint, policy};

fn released(spec: &StudySpec, joint: &[i64]) -> Result<(), DisclosureError> {
    let layout = Layout::of(spec).expect("a valid study");
    release(spec, &layout, &policy(11, 5), 3, open_joint(joint.to_vec())).map(|_| ())
}

#[test]
fn cells_that_no_cohorts_add_up_to_are_refused() {
    // n, Σx, Σx², withheld of those with a number of visits from 0 to 20; n, withheld of those without.
    let spec = study(&[("variance visits", vec![])]);
    let broken = Err(DisclosureError::Broken { statistic: "variance 0".to_string() });
    assert_eq!(released(&spec, &[20, 100, 600, 1, 12, 0]), Ok(()));
    assert_eq!(released(&spec, &[20, 400, 8_000, 0, 0, 0]), Ok(()), "everyone at the maximum");
    for cells in [
        [-1, 0, 0, 0, 12, 0],
        [20, -1, 600, 0, 12, 0],
        [20, 401, 8_020, 0, 12, 0],
        [20, 100, 499, 0, 12, 0],
        [20, 100, 2_001, 0, 12, 0],
        [20, 100, 600, 4, 12, 0],
        [20, 100, 600, 3, 12, 0],
        [20, 100, 600, -1, 12, 0],
        [20, 100, 600, 0, -12, 0],
        [0, 5, 5, 0, 12, 0],
        [i64::MAX, i64::MAX, i64::MIN, 0, 12, 0],
    ] {
        assert_eq!(released(&spec, &cells), broken, "{cells:?}");
    }
}

#[test]
fn parts_that_exceed_their_whole_are_refused() {
    let spec = study(&[("count", vec![]), ("count", vec!["sex"]), ("count", vec![])]);
    let joint = |whole, parts: [i64; 4], again| {
        let parts = parts.into_iter().flat_map(|n| [n, 0]);
        [whole, 0].into_iter().chain(parts).chain([again, 0]).collect::<Vec<_>>()
    };
    assert_eq!(released(&spec, &joint(100, [50, 50, 0, 0], 100)), Ok(()));
    assert_eq!(released(&spec, &joint(100, [50, 20, 0, 0], 100)), Ok(()), "the rest was held back");
    let broken = |statistic: &str| Err(DisclosureError::Broken { statistic: statistic.to_string() });
    assert_eq!(released(&spec, &joint(100, [50, 51, 0, 0], 100)), broken("count 1"));
    assert_eq!(released(&spec, &joint(100, [50, 50, 0, 0], 101)), broken("count 2"));
}

#[test]
fn cells_of_another_study_or_roster_are_refused() {
    let (spec, other) = (study(&[("count", vec![])]), study(&[("count", vec!["sex"])]));
    let layout = Layout::of(&spec).expect("a valid study");
    let opened = || open_joint(vec![50, 0]);
    let policy = policy(11, 5);
    assert_eq!(release(&spec, &layout, &policy, 4, opened()).err(), Some(DisclosureError::Roster));
    assert_eq!(release(&other, &layout, &policy, 3, opened()).err(), Some(DisclosureError::Layout));
    let longer = open_cells(&[vec![50, 0, 0], vec![0; 3], vec![0; 3]]);
    assert_eq!(release(&spec, &layout, &policy, 3, longer).err(), Some(DisclosureError::Layout));
    let toothless = consilium_protocol::policy::DisclosurePolicy { min_joint_count: 1, ..policy };
    assert!(matches!(release(&spec, &layout, &toothless, 3, opened()), Err(DisclosureError::Policy(_))));

    let noisy = StudySpec { protection: Protection::Private { rho: MicroRho::new(1_000) }, ..spec };
    let refused = |roster, opened| private::release(&noisy, &layout, &policy, roster, opened).err();
    assert_eq!(refused(3, opened()), None);
    assert_eq!(refused(4, opened()), Some(DisclosureError::Roster));
    assert_eq!(refused(2, opened()), Some(DisclosureError::TooFewHospitals { roster: 2, needed: 3 }));
    let longer = open_cells(&[vec![50, 0, 0], vec![0; 3], vec![0; 3]]);
    assert_eq!(refused(3, longer), Some(DisclosureError::Layout));
}

#[test]
fn a_result_is_released_only_in_the_way_of_its_studys_protection() {
    let noisy = Protection::Private { rho: MicroRho::new(1_000) };
    for protection in [Protection::Open, Protection::Guarded, noisy] {
        let spec = StudySpec { protection, ..study(&[("count", vec![])]) };
        let layout = Layout::of(&spec).expect("a valid study");
        let (policy, opened) = (policy(11, 5), || open_joint(vec![50, 0]));
        let refused = |way| (protection != way).then_some(DisclosureError::Protection);
        assert_eq!(release(&spec, &layout, &policy, 3, opened()).err(), refused(Protection::Open));
        assert_eq!(private::release(&spec, &layout, &policy, 3, opened()).err(), refused(noisy));
    }
}

#[tokio::test]
async fn cohorts_that_do_not_fit_are_refused_by_column() {
    let spec = study(&[("mean bmi", vec!["sex"])]);
    let layout = Layout::of(&spec).expect("a valid study");
    let text = || Arc::new(StringArray::from(vec!["17"])) as ArrayRef;
    let number = || Arc::new(Float64Array::from(vec![17.0])) as ArrayRef;
    let attempt = async |columns: Vec<(&str, ArrayRef)>| {
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        compute(&spec, &layout, &Compared::default(), &[batch], 5, OFFLINE_SUBJECTS).await.err()
    };
    let missing = |column: &str| Some(StatisticsError::Column { column: column.to_string() });
    let unfit = |column: &str| Some(StatisticsError::ColumnType { column: column.to_string() });
    assert_eq!(attempt(vec![("bmi", number())]).await, missing("sex"));
    assert_eq!(attempt(vec![("sex", text())]).await, missing("bmi"));
    assert_eq!(attempt(vec![("bmi", text()), ("sex", text())]).await, unfit("bmi"));
    assert_eq!(attempt(vec![("bmi", number()), ("sex", number())]).await, unfit("sex"));
    assert_eq!(attempt(vec![("bmi", number()), ("sex", text())]).await, None);
}

#[tokio::test]
async fn values_that_a_column_cannot_hold_are_in_nobody() {
    // -7 is no UInt8, 12 is.
    let spec = study(&[("count", vec!["ward"])]);
    let ward = Arc::new(UInt8Array::from(vec![12; 20])) as ArrayRef;
    let cohort = vec![RecordBatch::try_from_iter([("ward", ward)]).expect("one column")];
    let cohorts = [cohort.clone(), cohort.clone(), cohort];
    let released = super::round::joint(&spec, &cohorts, &policy(11, 5)).await.expect("honest cells");
    let comparison = super::oracle::compare(released.get(), &super::oracle::pooled(&spec, &cohorts, &policy(11, 5)));
    assert_eq!(comparison.differing, Vec::<String>::new());
}

#[tokio::test]
async fn more_rows_than_subjects_are_refused() {
    let spec = study(&[("count", vec![])]);
    let layout = Layout::of(&spec).expect("a valid study");
    let rows = cohort(&mut Chance(1), 100);
    assert!(compute(&spec, &layout, &Compared::default(), &rows, 5, 100).await.is_ok());
    assert_eq!(
        compute(&spec, &layout, &Compared::default(), &rows, 5, 99).await.err(),
        Some(StatisticsError::TooManyRows)
    );
    let other = Layout::of(&study(&[("count", vec!["sex"])])).expect("a valid study");
    assert_eq!(compute(&spec, &other, &Compared::default(), &rows, 5, 100).await.err(), Some(StatisticsError::Layout));
}
