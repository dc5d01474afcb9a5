//! Known attacks on released statistics, each against the public interface, each failing. Those on a guarded study's groups, by
//! what is shown of them, stand in the engine (`disclosure/lattice/attacks.rs`).
//!
//! 1 and 2, 6, 7: D. E. Denning, P. J. Denning, M. D. Schwartz, "The Tracker", ACM TODS 4, 1979, and re-runs; 8: averaging of
//! fresh noise, the reason for SHRINE's lock-out; 9: datashield/dsBase issue 250.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use consilium_engine::privacy::NoisePlan;
use consilium_engine::rerun::{Basis, CohortMemory, MemoryKey, Placed, RerunError, SubjectSet, union};
use consilium_engine::result::Estimate;
use consilium_engine::statistics::Layout;
use consilium_protocol::ids::{ContentHash, RoundNumber, StudyId, SubjectId};
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::StudySpec;

use crate::statistics::{joint, policy};

const K: u32 = 11;
const ROSTER: Basis = Basis { roster: ContentHash::from_bytes([4; 32]), terms: ContentHash::from_bytes([1; 32]) };

fn spec(protection: &str, statistics: &str) -> StudySpec {
    let text = format!(
        "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\n{protection}\n\
         [cohort]\nsql = \"SELECT id, x, sex, age FROM t\"\nsubject = \"id\"\n\
         [[variable]]\nname = \"x\"\nmin = 0\nmax = 100\nresolution = 1\n\
         [[dimension]]\nname = \"sex\"\nvalues = [\"f\", \"m\"]\n\
         [[dimension]]\nname = \"age\"\nedges = [0, 40, 80, 120]\n{statistics}"
    );
    StudySpec::from_toml(&text).expect("a study")
}

fn statistic(name: &str, rest: &str) -> String {
    format!("[[statistic]]\nname = \"{name}\"\n{rest}\n")
}

fn study(name: u8) -> StudyId {
    StudyId::from_bytes([name; 32])
}

fn cohort(people: impl IntoIterator<Item = u32>) -> SubjectSet {
    let subject = |person: u32| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&person.to_be_bytes());
        SubjectId::from_bytes(bytes)
    };
    people.into_iter().map(subject).collect()
}

/// A memory as a hospital has it: in a file that is written anew for each cohort.
struct Remembered {
    key: MemoryKey,
    file: Vec<u8>,
}

impl Remembered {
    fn check(&self, cohort: &SubjectSet, basis: &Basis, k: u32) -> Result<Vec<StudyId>, RerunError> {
        let (memory, known) = CohortMemory::open(&self.key, self.file.as_slice()).expect("a memory");
        memory.check(&Placed::among(known, cohort).expect("a whole file"), basis, k)
    }

    fn contribute(&mut self, study: StudyId, cohort: &SubjectSet) -> Result<Vec<StudyId>, RerunError> {
        let open = || CohortMemory::open(&self.key, self.file.as_slice()).expect("a memory");
        let (mut memory, known) = open();
        let placed = Placed::among(known, cohort).expect("a whole file");
        let same = memory.contribute(study, RoundNumber::new(0), &ROSTER, &placed, K)?;
        let mut file = Vec::new();
        memory.save(&self.key, union(open().1, cohort), &mut file).expect("a memory");
        self.file = file;
        Ok(same)
    }
}

fn remember(cohorts: &[SubjectSet]) -> Remembered {
    let key = MemoryKey::from_seed([7; 32]);
    let mut file = Vec::new();
    CohortMemory::new().save(&key, [], &mut file).expect("an empty memory");
    let mut remembered = Remembered { key, file };
    for (name, cohort) in (1..).zip(cohorts) {
        remembered.contribute(study(name), cohort).expect("far enough from those before");
    }
    remembered
}

#[test]
fn attack_1_two_cohorts_that_differ_by_one_patient() {
    let memory = remember(&[cohort(0..100)]);
    assert_eq!(memory.check(&cohort(0..101), &ROSTER, K), Err(RerunError::TooClose { study: study(1) }));
    assert_eq!(memory.check(&cohort(1..100), &ROSTER, K), Err(RerunError::TooClose { study: study(1) }));
    assert!(memory.check(&cohort(0..111), &ROSTER, K).is_ok(), "eleven more are a group of their own");
}

#[test]
fn attack_2_a_complement_within_a_larger_cohort() {
    // Everybody, and then everybody but a few, put together from the other side.
    let memory = remember(&[cohort(0..200), cohort(0..120)]);
    let complement = RerunError::Complement { studies: [study(1), study(2)] };
    assert_eq!(memory.check(&cohort(123..200), &ROSTER, K), Err(complement));
}

#[test]
fn attack_6_a_revocation_between_two_runs() {
    let before = cohort(0..500);
    let mut memory = remember(std::slice::from_ref(&before));
    assert_eq!(memory.check(&before, &ROSTER, K), Ok(vec![study(1)]), "the same again says nothing new");
    let after = cohort((0..500).filter(|person| *person != 250));
    let again = memory.contribute(study(2), &after);
    assert_eq!(again, Err(RerunError::TooClose { study: study(1) }));
}

#[test]
fn attack_7_a_tracker_with_padding() {
    // Whom one looks for: 3 people. The padding: 100 others.
    let (target, padding) = (0..3, 100..200);
    let memory = remember(&[cohort(padding.clone())]);
    assert_eq!(memory.check(&cohort(target.chain(padding)), &ROSTER, K), Err(RerunError::TooClose { study: study(1) }));
}

#[test]
fn attack_8_averaging_noisy_runs() {
    // However a budget is cut up, the average of all runs is no better than one run of the whole budget.
    let spec = spec("protection = \"private\"\nrho = 0.1", &statistic("all", "kind = \"count\""));
    let layout = Layout::of(&spec).expect("a layout");
    let sigma = |rho: u64| NoisePlan::of(&spec, &layout, MicroRho::new(rho), 4).expect("a plan").sigma(0);
    // What one run of a count may not be below when three of four hospitals' shares must suffice (docs/privacy.md).
    let whole = (4.0 / 3.0 / (2.0 * 0.1f64)).sqrt();
    for runs in [1u64, 2, 10, 100] {
        let averaged = sigma(100_000 / runs) / (runs as f64).sqrt();
        assert!(averaged >= whole, "{runs} runs: {averaged} against {whole}");
    }
}

#[tokio::test]
async fn attack_9_one_patient_dominates_a_sum() {
    let spec = spec("protection = \"open\"", &statistic("sum", "kind = \"sum\"\nof = \"x\""));
    let of = |last: f64| {
        let values: ArrayRef = Arc::new(Float64Array::from_iter_values((0..39).map(f64::from).chain([last])));
        let batch = RecordBatch::try_from_iter([("x", values)]).expect("a batch");
        let others = |from: f64| {
            let values: ArrayRef = Arc::new(Float64Array::from_iter_values((0..40).map(|i| from + f64::from(i))));
            vec![RecordBatch::try_from_iter([("x", values)]).expect("a batch")]
        };
        vec![vec![batch], others(1.0), others(2.0)]
    };
    let sum = async |last: f64| {
        let released = joint(&spec, &of(last), &policy(K, 5)).await.expect("honest cells");
        released.get().statistics[0].rows[0].measure("sum").and_then(Estimate::value).expect("a sum")
    };
    let declared = sum(100.0).await;
    assert_eq!(sum(1e12).await, declared, "a billionaire counts as the declared maximum");
    assert_eq!(sum(f64::INFINITY).await, declared);
    assert_eq!(declared - sum(-1e12).await, 100.0, "and moves the sum by no more than the declared range");
}
