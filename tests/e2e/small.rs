//! A worker over a small store, asked without nodes and a ledger.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use consilium::worker::{Bounds, Job, Program, Settings, Trouble, Worker};
use consilium_engine::pseudonym::LinkSecret;
use consilium_engine::statistics::{Compared, Layout};
use consilium_engine::store::StoreConfig;
use consilium_engine::worker::Counted;
use consilium_protocol::consent::{
    AllowedData, DiseaseTree, DocumentTerms, Establishment, Purpose, Requester, Roll, Use, evaluate,
};
use consilium_protocol::ids::{Date, DocumentId, Height, ResearcherId, StudyId, SubjectId};
use consilium_protocol::study::StudySpec;

use crate::support::{program, research};

pub const MINUTE: Duration = Duration::from_secs(60);
pub const BOUNDS: Bounds = Bounds { memory_bytes: 256 << 20, time: MINUTE, processor: MINUTE, threads: 2 };

/// Everything, for any research.
pub fn everything() -> AllowedData {
    let terms = research();
    let establishment = Establishment::not_for_profit("DE").expect("a country");
    let by = Requester::researcher(ResearcherId::from_public_key([1; 32]), None, String::new(), establishment);
    let asked = Use::of_study(StudyId::from_bytes([2; 32]), vec![Purpose::HealthResearch], by, Date::from_days(20_000));
    let document = DocumentTerms { document: DocumentId::from_bytes([3; 32]), terms: &terms };
    evaluate(&[document], &asked, &DiseaseTree::new(&[])).allowed
}

/// These persons, all of whom allow everything, and some subjects of nobody.
pub fn roll(link: &LinkSecret, persons: &[i64]) -> Roll {
    let nobody = (0..100u8).map(|name| SubjectId::from_bytes([name; 16]));
    let mut subjects: Vec<SubjectId> = persons.iter().map(|person| link.subject(*person)).chain(nobody).collect();
    subjects.sort_unstable();
    Roll {
        height: Height::new(1),
        day: Date::from_days(20_000),
        classes: vec![everything()],
        class_of: subjects.iter().map(|_| Some(0)).collect(),
        subjects: Arc::new(subjects),
    }
}

/// A worker over a small store.
pub struct Small {
    pub folder: tempfile::TempDir,
    pub worker: Worker,
    pub roll: Roll,
}

impl Small {
    /// Ten persons, one of them with so many measurements, all different.
    pub fn new(rows: usize, bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut measurement = String::from("measurement_id,person_id,measurement_date,value_as_number\n");
        for row in 0..rows {
            measurement.push_str(&format!("{row},7,2020-01-01,{row}\n"));
        }
        let person: String = (1..=10).map(|id| format!("{id},8507,{}\n", 1940 + id)).collect();
        fs::write(folder.path().join("person.csv"), format!("person_id,gender_concept_id,year_of_birth\n{person}"))
            .unwrap();
        fs::write(folder.path().join("measurement.csv"), measurement).unwrap();
        let worker = worker(folder.path(), bounds);
        let roll = roll(&link(), &(1..=10).collect::<Vec<_>>());
        Self { folder, worker, roll }
    }

    pub async fn ask(&self, sql: &str) -> Result<Counted, Trouble> {
        study(&self.worker, sql, &self.roll, Duration::from_secs(3_600)).await
    }

    /// Everybody is counted, as if nothing had been before.
    pub async fn counts(&self) {
        let counted = self.ask(PLAIN).await.unwrap();
        assert_eq!(counted.members.iter().map(|byte| byte.count_ones()).sum::<u32>(), 10);
    }
}

pub const PLAIN: &str = "SELECT person_id, year_of_birth AS x FROM person";

pub fn link() -> LinkSecret {
    LinkSecret::from_seed([5; 32])
}

pub fn worker(store: &Path, bounds: Bounds) -> Worker {
    Worker::new(Settings {
        program: Program::at(program()),
        store: StoreConfig::of(store),
        catalogue: Vec::new(),
        link: link(),
        bounds,
    })
}

fn spec(sql: &str) -> StudySpec {
    StudySpec::from_toml(&format!(
        "version = 1\ntitle = \"t\"\ndescription = \"d\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"open\"\n\
         [cohort]\nsubject = \"person_id\"\nsql = '''{sql}'''\n\
         [[variable]]\nname = \"x\"\nmin = 0\nmax = 2030\nresolution = 1\n\
         [[statistic]]\nname = \"s\"\nkind = \"mean\"\nof = \"x\"\n"
    ))
    .unwrap()
}

pub async fn study(worker: &Worker, sql: &str, roll: &Roll, left: Duration) -> Result<Counted, Trouble> {
    let spec = spec(sql);
    let layout = Layout::of(&spec).unwrap();
    let compared = &Compared::default();
    let (spec, layout, subjects_bound) = (&spec, &layout, 10_000_000);
    let job = Job { spec, layout, compared, roll, min_site_count: 1, subjects_bound, left, held: None };
    worker.study(&job).await
}

/// One patient's rows, joined with themselves again and again.
pub fn exploding(times: usize) -> String {
    let joins: String = (0..times).map(|n| format!(" JOIN measurement m{n} ON m{n}.person_id = p.person_id")).collect();
    format!("SELECT p.person_id, sum(m0.value_as_number) AS x FROM person p{joins} GROUP BY p.person_id")
}

/// Looks at every pair of one patient's rows, and finds none: no batch ever comes, and no memory is needed.
pub const ENDLESS: &str = "SELECT m.person_id, count(*) AS x FROM measurement m JOIN measurement n ON n.person_id = m.person_id \
                       AND n.value_as_number + m.value_as_number < 0 GROUP BY m.person_id";
