//! What people have tried elsewhere: subtracting one cohort from another.

use consilium_protocol::ids::{ContentHash, RoundNumber, StudyId, SubjectId};

use std::convert::Infallible;

use super::{Basis, CohortMemory, Placed, RerunError, Standing, SubjectSet, union};

const K: u32 = 11;
const FIRST: RoundNumber = RoundNumber::new(0);
/// All hospitals, and all but one.
const ROSTER: Basis = Basis { roster: ContentHash::from_bytes([4; 32]), terms: ContentHash::from_bytes([1; 32]) };
const SMALLER: Basis = Basis { roster: ContentHash::from_bytes([3; 32]), ..ROSTER };

fn study(number: u8) -> StudyId {
    StudyId::from_bytes([number; 32])
}

/// A memory, and its subjects, which are in its file otherwise.
#[derive(Default)]
struct Remembered {
    memory: CohortMemory,
    subjects: Vec<SubjectId>,
}

impl Remembered {
    fn known(&self) -> impl Iterator<Item = Result<SubjectId, Infallible>> {
        self.subjects.iter().map(|subject| Ok(*subject))
    }

    fn placed(&self, cohort: &SubjectSet) -> Placed {
        let Ok(placed) = Placed::among(self.known(), cohort);
        placed
    }

    fn check(&self, cohort: &SubjectSet, basis: &Basis, k: u32) -> Result<Vec<StudyId>, RerunError> {
        self.memory.check(&self.placed(cohort), basis, k)
    }

    fn contribute(
        &mut self,
        study: StudyId,
        round: RoundNumber,
        basis: &Basis,
        cohort: &SubjectSet,
        k: u32,
    ) -> Result<Vec<StudyId>, RerunError> {
        let same = self.memory.contribute(study, round, basis, &self.placed(cohort), k)?;
        let Ok(subjects) = union(self.known(), cohort).collect();
        self.subjects = subjects;
        Ok(same)
    }
}

/// Subjects by number, in no order.
fn subject(number: u64) -> SubjectId {
    let scattered = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    SubjectId::from_bytes(scattered.to_be_bytes())
}

fn cohort(numbers: impl Iterator<Item = u64>) -> SubjectSet {
    numbers.map(subject).collect()
}

/// A memory of these cohorts, of studies 0, 1, …, all released.
fn memory(cohorts: &[SubjectSet]) -> Remembered {
    let mut memory = Remembered::default();
    for (number, cohort) in (0..).zip(cohorts) {
        memory.contribute(study(number), FIRST, &ROSTER, cohort, K).expect("far from all others");
        assert!(memory.memory.released(study(number), FIRST));
    }
    memory
}

fn too_close(number: u8) -> Result<Vec<StudyId>, RerunError> {
    Err(RerunError::TooClose { study: study(number) })
}

fn complement(pair: [u8; 2]) -> Result<Vec<StudyId>, RerunError> {
    Err(RerunError::Complement { studies: pair.map(study) })
}

#[test]
fn one_patient_more_or_less() {
    let memory = memory(&[cohort(0..1000), cohort(2000..2500)]);
    assert_eq!(memory.check(&cohort(0..999), &ROSTER, K), too_close(0));
    assert_eq!(memory.check(&cohort(0..1001), &ROSTER, K), too_close(0));
    assert_eq!(memory.check(&cohort(2000..2490), &ROSTER, K), too_close(1));
    // Ten are one too few, eleven are enough.
    assert_eq!(memory.check(&cohort(0..990), &ROSTER, K), too_close(0));
    assert_eq!(memory.check(&cohort(0..989), &ROSTER, K), Ok(vec![]));
    assert_eq!(memory.check(&cohort(0..1011), &ROSTER, K), Ok(vec![]));
    // One for another: neither holds the other, but groups may.
    assert_eq!(memory.check(&cohort(1..1001), &ROSTER, K), too_close(0));
}

#[test]
fn the_same_cohort_again() {
    let mut memory = memory(&[cohort(0..1000)]);
    assert_eq!(memory.check(&cohort((500..1000).chain(0..600)), &ROSTER, K), Ok(vec![study(0)]));
    assert_eq!(memory.contribute(study(9), FIRST, &ROSTER, &cohort(0..1000), K), Ok(vec![study(0)]));
    assert_eq!(memory.check(&cohort(0..1000), &ROSTER, K), Ok(vec![study(0), study(9)]));
}

#[test]
fn a_revocation_between_two_runs() {
    let mut memory = Remembered::default();
    let (before, after) = (cohort(0..300), cohort((0..120).chain(121..300)));
    memory.contribute(study(1), FIRST, &ROSTER, &before, K).expect("the first");
    // Pending is as good as released: the result may come any moment.
    assert_eq!(memory.contribute(study(2), FIRST, &ROSTER, &after, K), too_close(1));
    assert_eq!(memory.memory.standing(study(2), FIRST), None);
    // When the round failed, nobody has seen anything.
    assert!(memory.memory.failed(study(1), FIRST));
    assert_eq!(memory.contribute(study(1), RoundNumber::new(1), &ROSTER, &after, K), Ok(vec![]));
    assert!(memory.memory.released(study(1), RoundNumber::new(1)));
    assert!(!memory.memory.failed(study(1), RoundNumber::new(1)), "what was released is not forgotten");
    assert_eq!(memory.check(&before, &ROSTER, K), too_close(1));
}

#[test]
fn the_only_patient_of_a_hospital_revokes() {
    let memory = memory(&[cohort(5..6)]);
    assert_eq!(memory.check(&cohort(0..0), &ROSTER, K), too_close(0));
}

#[test]
fn a_hospital_is_not_what_two_rosters_differ_by() {
    let memory = memory(&[cohort(0..400), cohort(400..1000), cohort(0..0)]);
    let elsewhere = |number| Err(RerunError::OtherRoster { study: study(number) });
    assert_eq!(memory.check(&cohort(0..400), &SMALLER, K), elsewhere(0), "the same cohort");
    assert_eq!(
        memory.check(&cohort(0..1000), &SMALLER, K),
        elsewhere(0),
        "all that two cohorts were put together from"
    );
    assert_eq!(memory.check(&cohort(0..390), &SMALLER, K), too_close(0));
    assert_eq!(memory.check(&cohort(100..500), &SMALLER, K), Ok(vec![]), "another cohort");
    assert_eq!(memory.check(&cohort(0..0), &SMALLER, K), Ok(vec![study(2)]), "nobody is nobody among any hospitals");
    // What failed before all had contributed was not seen: the next round may have fewer hospitals.
    let mut memory = Remembered::default();
    memory.contribute(study(1), FIRST, &ROSTER, &cohort(0..300), K).expect("the first");
    assert!(memory.memory.failed(study(1), FIRST));
    let second = RoundNumber::new(1);
    assert_eq!(memory.contribute(study(1), second, &SMALLER, &cohort(0..300), K), Ok(vec![]));
    assert_eq!(memory.contribute(study(2), FIRST, &ROSTER, &cohort(0..300), K), elsewhere(1));
}

#[test]
fn a_revocation_of_some_data_between_two_runs() {
    let memory = memory(&[cohort(0..300), cohort(0..0)]);
    let changed = Basis { terms: ContentHash::from_bytes([2; 32]), ..ROSTER };
    assert_eq!(memory.check(&cohort(0..300), &changed, K), too_close(0));
    assert_eq!(memory.check(&cohort(0..0), &changed, K), Ok(vec![study(1)]));
    assert_eq!(memory.check(&cohort(300..600), &changed, K), Ok(vec![]));
}

#[test]
fn a_complement_within_a_larger_cohort() {
    let (all, women) = (cohort(0..1000), cohort(0..480));
    let memory = memory(&[all, women]);
    assert_eq!(memory.check(&cohort(480..1000), &ROSTER, K), Ok(vec![]), "exactly the rest says nothing new");
    assert_eq!(memory.check(&cohort(481..1000), &ROSTER, K), complement([0, 1]));
    assert_eq!(memory.check(&cohort(479..1000), &ROSTER, K), complement([0, 1]));
    assert_eq!(memory.check(&cohort(491..1000), &ROSTER, K), Ok(vec![]));
}

#[test]
fn two_cohorts_put_together_but_for_one() {
    let memory = memory(&[cohort(0..400), cohort(400..1000)]);
    assert_eq!(memory.check(&cohort(0..1000), &ROSTER, K), Ok(vec![]));
    assert_eq!(memory.check(&cohort(0..1001), &ROSTER, K), complement([0, 1]));
    assert_eq!(memory.check(&cohort((0..399).chain(400..1000)), &ROSTER, K), complement([0, 1]));
}

#[test]
fn trackers_with_padding() {
    // The target is 0..3. Padded, next to the padding alone:
    let padding = memory(&[cohort(3..200)]);
    assert_eq!(padding.check(&cohort(0..200), &ROSTER, K), too_close(0));
    // The general tracker of Denning and others: with T = 100..500, q(target) = q(target or T) + q(target or not T) -
    // q(all).
    let general = memory(&[cohort(0..1000), cohort((0..3).chain(100..500))]);
    assert_eq!(general.check(&cohort((0..100).chain(500..1000)), &ROSTER, K), complement([0, 1]));
    let other_order = memory(&[cohort((0..3).chain(100..500)), cohort((0..100).chain(500..1000))]);
    assert_eq!(other_order.check(&cohort(0..1000), &ROSTER, K), complement([0, 1]));
}

#[test]
fn what_is_not_seen() {
    // Three cohorts of which the new one is the union, but for one patient.
    let thirds = memory(&[cohort(0..300), cohort(300..600), cohort(600..900)]);
    assert_eq!(thirds.check(&cohort(0..899), &ROSTER, K), Ok(vec![]));
}

#[test]
fn a_round_takes_one_cohort() {
    let mut memory = Remembered::default();
    memory.contribute(study(1), FIRST, &ROSTER, &cohort(0..50), K).expect("the first");
    assert_eq!(memory.contribute(study(1), FIRST, &ROSTER, &cohort(0..50), K), Ok(vec![study(1)]));
    let again = memory.contribute(study(1), FIRST, &ROSTER, &cohort(100..150), K);
    assert_eq!(again, Err(RerunError::AlreadyContributed { study: study(1), round: FIRST }));
    assert_eq!(memory.memory.standing(study(1), FIRST), Some(Standing::Pending));
    assert!(!memory.memory.released(study(1), RoundNumber::new(1)) && !memory.memory.failed(study(2), FIRST));
}

#[test]
fn forgetting_one_leaves_the_others() {
    let mut memory = Remembered::default();
    for (number, part) in (0..).zip([0..100, 200..300, 400..500]) {
        memory.contribute(study(number), FIRST, &ROSTER, &cohort(part), K).expect("apart");
    }
    memory.contribute(study(3), FIRST, &ROSTER, &cohort(200..300), K).expect("the same");
    assert!(memory.memory.failed(study(0), FIRST) && memory.memory.failed(study(1), FIRST));
    assert_eq!(memory.check(&cohort(0..99), &ROSTER, K), Ok(vec![]));
    assert_eq!(memory.check(&cohort(200..299), &ROSTER, K), too_close(3));
    assert_eq!(memory.check(&cohort(400..499), &ROSTER, K), too_close(2));
}

#[test]
fn nothing_of_a_cohort_is_said() {
    let memory = memory(&[cohort(0..1000)]);
    let error = memory.check(&cohort(0..997), &ROSTER, K).expect_err("too close");
    assert_eq!(
        error.to_string(),
        format!(
            "the cohort is nearly that of study {}, so a few patients could be told from the two results; ask the \
             researcher for a cohort that is the same, or differs by more patients",
            study(0)
        )
    );
    assert_eq!(format!("{:?}", cohort(0..3)), "SubjectSet(..)");
}

/// Random cohorts against sets and arithmetic.
#[test]
fn as_a_plain_count_over_sets_says() {
    let mut state = 7u64;
    let mut random = move |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let (mut fine, mut refused) = (0, 0);
    for _ in 0..3000 {
        // Few patients and a small k, so that combinations are often close.
        let k = 2 + random(4) as u32;
        let mut draw = || (0..14u64).map(|_| random(2) as i64).collect::<Vec<i64>>();
        let sets = [draw(), draw(), draw()];
        let of = |set: &[i64]| -> SubjectSet {
            (0u64..).zip(set).filter(|(_, held)| **held == 1).map(|(number, _)| subject(number)).collect()
        };
        let [x, y, n] = &sets;
        let support = |f: &dyn Fn(usize) -> i64| (0..14).filter(|place| f(*place) != 0).count() as u32;
        let close = |support: u32| (1..k).contains(&support);
        if support(&|p| x[p] - y[p]) < k {
            continue;
        }
        let memory = memory_with(&[of(x), of(y)]);
        let (to_x, to_y) = (support(&|p| n[p] - x[p]), support(&|p| n[p] - y[p]));
        let triples =
            [support(&|p| n[p] + x[p] - y[p]), support(&|p| n[p] + y[p] - x[p]), support(&|p| x[p] + y[p] - n[p])];
        let expected = if to_x == 0 || to_y == 0 {
            Ok(vec![study(u8::from(to_x != 0))])
        } else if close(to_x) || close(to_y) {
            too_close(u8::from(!close(to_x)))
        } else if triples.into_iter().any(close) {
            complement([0, 1])
        } else {
            Ok(vec![])
        };
        if expected.is_ok() {
            fine += 1
        } else {
            refused += 1
        }
        assert_eq!(memory.check(&of(n), &ROSTER, k), expected);
    }
    assert!(fine > 500 && refused > 100, "{fine} {refused}");
}

fn memory_with(cohorts: &[SubjectSet]) -> Remembered {
    let mut memory = Remembered::default();
    for (number, cohort) in (0..).zip(cohorts) {
        memory.contribute(study(number), FIRST, &ROSTER, cohort, 1).expect("a threshold of 1 refuses nothing");
    }
    memory
}
