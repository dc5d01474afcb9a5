//! What is released of a guarded study: the groups that were opened, if they are what the guard lets pass.

use consilium_engine::disclosure::guarded::{plan, release};
use consilium_engine::disclosure::{DisclosureError, Rule};
use consilium_engine::guard::Padded;
use consilium_engine::result::Estimate;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Protection, StudySpec};

use super::cohorts::study;
use super::round::{open_passed, policy};

const K: u32 = 11;
/// What is sealed: the total; women, other, and missing; women with other and missing, and men.
const ALL_PASSED: [bool; 3] = [true; 3];

/// How many there are, and how many of each sex.
fn guarded() -> StudySpec {
    StudySpec { protection: Protection::Guarded, ..study(&[("count", vec![]), ("count", vec!["sex"])]) }
}

/// The cells of these counts: all; women, men, other, missing; women with other and missing, and men.
fn cells(counts: [i64; 5], withheld: [i64; 5]) -> Vec<i64> {
    let merged = |of: [i64; 5]| [of[1] + of[3] + of[4], of[2]];
    let counts = counts.into_iter().chain(merged(counts));
    counts.zip(withheld.into_iter().chain(merged(withheld))).flat_map(|(count, withheld)| [count, withheld]).collect()
}

/// The numbers released for three hospitals: all, then by sex, then what is shown together.
fn released(
    policy: &DisclosurePolicy,
    counts: [i64; 5],
    withheld: [i64; 5],
    passed: [bool; 3],
) -> Result<Vec<Estimate>, DisclosureError> {
    let spec = guarded();
    let plan = plan(&spec, policy, 3, &[]).expect("a study that can be guarded");
    let opened = open_passed(cells(counts, withheld), &plan.groups, &passed);
    let result = release(&spec, policy, 3, &opened)?;
    let rows = result.get().statistics.iter().flat_map(|statistic| statistic.rows.iter().chain(&statistic.together));
    Ok(rows.map(|row| row.measures[0].value).collect())
}

#[test]
fn what_passed_is_released_and_the_rest_says_which_rule_hides_it() {
    let policy = policy(K, 5);
    let all = released(&policy, [100, 60, 40, 0, 0], [0; 5], ALL_PASSED);
    assert_eq!(all, Ok([100, 60, 40, 0, 0].map(Estimate::Count).to_vec()));
    // Hidden cells are not opened, so whatever stands in them changes nothing.
    let some = released(&policy, [100, 91, 40, -7, -24], [0; 5], [true, false, true]);
    let part = Estimate::Suppressed(Rule::SmallCountOrPart);
    let count = Estimate::Count;
    assert_eq!(some, Ok(vec![count(100), part, count(40), part, part, count(60)]), "women, other and missing together");
    assert!(matches!(
        released(&policy, [100, 91, -9, 0, 0], [0; 5], [true, false, true]),
        Err(DisclosureError::Broken { .. })
    ));
    let none = released(&policy, [5, 60, 9, 0, -55], [0; 5], [false; 3]);
    assert_eq!(none, Ok(vec![Estimate::Suppressed(Rule::SmallCount), part, part, part, part]));
}

#[test]
fn groups_wait_for_what_they_have_in_common_and_never_the_total_for_its_parts() {
    let policy = policy(K, 5);
    let by = |statistics: &[(&str, Vec<&str>)]| StudySpec { protection: Protection::Guarded, ..study(statistics) };
    let waits =
        |spec: &StudySpec| plan(spec, &policy, 3, &[]).expect("a study that can be guarded").waits_for().to_vec();
    assert_eq!(waits(&guarded()), [Vec::<String>::new(), vec![]]);
    let shared = by(&[("count", vec!["sex", "age"]), ("count", vec!["sex", "smoker"])]);
    assert_eq!(waits(&shared), [["sex".to_string()], ["sex".to_string()]]);
}

#[test]
fn small_groups_that_were_opened_all_the_same_are_not_released() {
    let policy = policy(K, 5);
    let broken = |statistic: &str| Err(DisclosureError::Broken { statistic: statistic.to_string() });
    let parts = |own: i64| released(&policy, [100, 100 - own, own, 0, 0], [0; 5], ALL_PASSED);
    for small in [1, 10] {
        assert_eq!(parts(small), broken("count 1"), "{small}");
    }
    for large in [0, 11] {
        assert!(parts(large).is_ok(), "{large}");
    }
    assert_eq!(released(&policy, [10, 0, 0, 0, 0], [0; 5], [true, false, false]), broken("count 0"));
    let hidden = DisclosurePolicy { show_zeros: false, ..policy };
    assert_eq!(released(&hidden, [100, 60, 40, 0, 0], [0; 5], ALL_PASSED), broken("count 1"));
    assert!(released(&hidden, [100, 60, 40, 0, 0], [0; 5], [true, false, true]).is_ok());
}

#[test]
fn numbers_that_guarded_cohorts_cannot_add_up_to_are_not_released() {
    let policy = policy(K, 5);
    let broken = |statistic: &str| Err(DisclosureError::Broken { statistic: statistic.to_string() });
    let counts = [100, 60, 40, 0, 0];
    assert_eq!(released(&policy, counts, [0, 0, 1, 0, 0], ALL_PASSED), broken("count 1"), "nothing is held back");
    assert_eq!(released(&policy, [100, 60, 41, 0, 0], [0; 5], ALL_PASSED), broken("count 1"), "more than all");
    assert_eq!(released(&policy, [100, 60, 41, 0, 0], [0; 5], [true, false, true]), broken("count 1"), "more than all");
    assert!(released(&policy, [100, 60, 41, 0, 0], [0; 5], [true, false, false]).is_ok(), "nobody can see that");
    let other_sum = |merged: i64| {
        let (spec, mut cells) = (guarded(), cells(counts, [0; 5]));
        cells[10] += merged;
        let plan = plan(&spec, &policy, 3, &[]).expect("a study that can be guarded");
        release(&spec, &policy, 3, &open_passed(cells, &plan.groups, &ALL_PASSED)).map(|_| ())
    };
    assert_eq!(other_sum(0), Ok(()));
    assert_eq!(other_sum(1), Err(DisclosureError::Broken { statistic: "count 1".to_string() }), "more than its parts");
}

#[test]
fn groups_of_another_study_roster_or_protection_are_refused() {
    let (spec, policy) = (guarded(), policy(K, 5));
    let groups = plan(&spec, &policy, 3, &[]).expect("a study that can be guarded").groups;
    let opened = |groups: &[Padded]| {
        let seeds = groups.iter().map(|group| group.seed + 1).max().unwrap_or(0);
        open_passed(cells([100, 60, 40, 0, 0], [0; 5]), groups, &vec![true; seeds])
    };
    let refused = |spec: &StudySpec, roster, groups: &[Padded]| release(spec, &policy, roster, &opened(groups)).err();
    assert_eq!(refused(&spec, 3, &groups), None);
    assert_eq!(refused(&spec, 4, &groups), Some(DisclosureError::Roster));
    assert_eq!(refused(&spec, 3, &groups[..4]), Some(DisclosureError::Layout));
    let mut shorter = groups.clone();
    shorter[0].cells = 0..1;
    assert_eq!(refused(&spec, 3, &shorter), Some(DisclosureError::Layout));
    let open = StudySpec { protection: Protection::Open, ..spec };
    assert_eq!(refused(&open, 3, &groups), Some(DisclosureError::Protection));
}
