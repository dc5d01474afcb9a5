//! What is released of a guarded study: the groups that were opened, if they are what the guard lets pass.

use std::collections::BTreeSet;

use consilium_engine::disclosure::guarded::{plan, release};
use consilium_engine::disclosure::{DisclosureError, Rule};
use consilium_engine::result::Estimate;
use consilium_engine::statistics::Layout;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Protection, StudySpec};

use super::cohorts::study;
use super::round::{open_passed, policy};

const K: u32 = 11;
/// All, then women, men, other, missing.
const ALL_PASSED: [bool; 5] = [true; 5];

/// How many there are, and how many of each sex.
fn guarded() -> StudySpec {
    StudySpec { protection: Protection::Guarded, ..study(&[("count", vec![]), ("count", vec!["sex"])]) }
}

/// The numbers released for three hospitals: all, then by sex.
fn released(
    policy: &DisclosurePolicy,
    counts: [i64; 5],
    withheld: [i64; 5],
    passed: [bool; 5],
) -> Result<Vec<Estimate>, DisclosureError> {
    let spec = guarded();
    let plan = plan(&spec, policy, 3).expect("a study that can be guarded");
    let joint = counts.into_iter().zip(withheld).flat_map(|(count, withheld)| [count, withheld]).collect();
    let opened = open_passed(joint, &plan.groups, &passed);
    let result = release(&spec, policy, 3, &opened)?;
    let rows = result.get().statistics.iter().flat_map(|statistic| &statistic.rows);
    Ok(rows.map(|row| row.measures[0].value).collect())
}

#[test]
fn what_passed_is_released_and_the_rest_says_which_rule_hides_it() {
    let policy = policy(K, 5);
    let all = released(&policy, [100, 60, 40, 0, 0], [0; 5], ALL_PASSED);
    assert_eq!(all, Ok([100, 60, 40, 0, 0].map(Estimate::Count).to_vec()));
    // Hidden cells are not opened, so whatever stands in them changes nothing.
    let some = released(&policy, [100, 91, 9, -7, 55], [0; 5], [false, true, false, true, false]);
    let (part, small) = (Estimate::Suppressed(Rule::SmallCountOrPart), Estimate::Suppressed(Rule::SmallCount));
    assert!(matches!(some, Err(DisclosureError::Broken { .. })), "a negative count was opened");
    let some = released(&policy, [100, 91, 9, 0, -55], [0; 5], [false, true, false, true, false]);
    assert_eq!(some, Ok(vec![part, Estimate::Count(91), small, Estimate::Count(0), small]));
}

#[test]
fn a_total_waits_for_its_parts() {
    let (spec, policy) = (guarded(), policy(K, 5));
    let layout = Layout::of(&spec).expect("a valid study");
    let waits = plan(&spec, &policy, 3).expect("a study that can be guarded").waits_for(&layout);
    assert_eq!(waits, [BTreeSet::from([1]), BTreeSet::new()]);
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
    assert_eq!(released(&policy, [10, 0, 0, 0, 0], [0; 5], [true, false, false, false, false]), broken("count 0"));
    let hidden = DisclosurePolicy { show_zeros: false, ..policy };
    assert_eq!(released(&hidden, [100, 100, 0, 0, 0], [0; 5], ALL_PASSED), broken("count 1"));
    let shown = [true, true, false, false, false];
    assert!(released(&hidden, [100, 100, 0, 0, 0], [0; 5], shown).is_ok());
}

#[test]
fn numbers_that_guarded_cohorts_cannot_add_up_to_are_not_released() {
    let policy = policy(K, 5);
    let broken = |statistic: &str| Err(DisclosureError::Broken { statistic: statistic.to_string() });
    let counts = [100, 60, 40, 0, 0];
    assert_eq!(released(&policy, counts, [0, 0, 1, 0, 0], ALL_PASSED), broken("count 1"), "nothing is held back");
    assert_eq!(released(&policy, [100, 60, 41, 0, 0], [0; 5], ALL_PASSED), broken("count 1"), "more than all");
    let unseen = [true, true, false, true, true];
    assert!(released(&policy, [100, 60, 41, 0, 0], [0; 5], unseen).is_ok(), "nobody can see that");
}

#[test]
fn groups_of_another_study_roster_or_protection_are_refused() {
    let (spec, policy) = (guarded(), policy(K, 5));
    let groups = plan(&spec, &policy, 3).expect("a study that can be guarded").groups;
    let opened = |groups: &[std::ops::Range<usize>]| {
        let joint = [100, 60, 40, 0, 0].into_iter().flat_map(|count| [count, 0]).collect();
        open_passed(joint, groups, &vec![true; groups.len()])
    };
    let refused = |spec: &StudySpec, roster, groups: &[std::ops::Range<usize>]| {
        release(spec, &policy, roster, &opened(groups)).err()
    };
    assert_eq!(refused(&spec, 3, &groups), None);
    assert_eq!(refused(&spec, 4, &groups), Some(DisclosureError::Roster));
    assert_eq!(refused(&spec, 3, &groups[..4]), Some(DisclosureError::Layout));
    let shorter = [0..1, 2..4, 4..6, 6..8, 8..10];
    assert_eq!(refused(&spec, 3, &shorter), Some(DisclosureError::Layout));
    let open = StudySpec { protection: Protection::Open, ..spec };
    assert_eq!(refused(&open, 3, &groups), Some(DisclosureError::Protection));
}
