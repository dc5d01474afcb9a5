//! Both sides of the pipe in one process.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use consilium_protocol::consent::{
    Action, AllowedData, ClassList, DiseaseTree, DocumentTerms, Domain, Effect, Establishment, Permissions, Purpose,
    Requester, Roll, Rule, Scope, Terms, Use, evaluate,
};
use consilium_protocol::ids::{DocumentId, Height, ResearcherId, StudyId, SubjectId};
use consilium_protocol::study::StudySpec;
use tokio::runtime::Runtime;

use super::frame::{self, Caps};
use super::{Counted, Isolation, Probe, Refusal, Reply, Request, Start, StudyJob, VERSION, serve};
use crate::cohort::{self, CohortError, Limits};
use crate::pseudonym::LinkSecret;
use crate::rerun::SubjectSet;
use crate::statistics::{Compared, Layout, compute};
use crate::store::{Store, StoreConfig, StoreError};

const PEOPLE: i64 = 300;

struct Hospital {
    folder: tempfile::TempDir,
}

impl Hospital {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut person = String::from("person_id,gender_concept_id,year_of_birth\n");
        let mut measurement = String::from("measurement_id,person_id,measurement_date,value_as_number\n");
        for id in 1..=PEOPLE {
            person.push_str(&format!("{id},{},{}\n", 8507 + 25 * (id % 2), 1930 + id % 80));
            for row in 0..id % 4 {
                measurement.push_str(&format!("{},{id},2020-0{}-01,{}\n", 10 * id + row, row + 1, (id * 7 + row) % 11));
            }
        }
        fs::write(folder.path().join("person.csv"), person).expect("a file");
        fs::write(folder.path().join("measurement.csv"), measurement).expect("a file");
        Self { folder }
    }

    fn config(&self) -> StoreConfig {
        StoreConfig::of(self.folder.path().to_path_buf())
    }

    fn start(&self) -> Start {
        Start {
            version: VERSION,
            store: Some(self.config()),
            catalogue: Vec::new(),
            access: None,
            link: Some((&link()).into()),
            threads: 2,
        }
    }
}

fn link() -> LinkSecret {
    LinkSecret::from_seed([9; 32])
}

fn allowed(data: Scope<Domain>) -> AllowedData {
    let mut rule = Rule::new(Effect::Permit, Action::Aggregate, Scope::Any);
    rule.data = data;
    let terms = Terms::opt_in(vec![rule]);
    let establishment = Establishment::not_for_profit("DE").expect("a country");
    let by = Requester::researcher(ResearcherId::from_public_key([1; 32]), None, String::new(), establishment);
    let asked = Use::of_study(
        StudyId::from_bytes([2; 32]),
        vec![Purpose::HealthResearch],
        by,
        "2026-06-01".parse().expect("a date"),
    );
    let document = DocumentTerms { document: DocumentId::from_bytes([3; 32]), terms: &terms };
    evaluate(&[document], &asked, &DiseaseTree::new(&[])).allowed
}

/// Most of the store's people, some of them closed, and subjects that no person of the store has.
fn roll() -> Roll {
    let own = (1..=PEOPLE).filter(|id| id % 13 != 0).map(|id| (link().subject(id), Some(id)));
    let foreign = (0..40u8).map(|name| (SubjectId::from_bytes([name * 6; 16]), None));
    let mut subjects: Vec<(SubjectId, Option<i64>)> = own.chain(foreign).collect();
    subjects.sort_unstable();
    let class = |person: &Option<i64>| match person {
        Some(id) if id % 3 == 0 => Some(1),
        Some(id) if id % 5 == 0 => None,
        _ => Some(0),
    };
    Roll {
        height: Height::new(5),
        day: consilium_protocol::ids::Date::from_days(20_000),
        classes: vec![allowed(Scope::Any), allowed(Scope::Only(vec![Domain::Person]))],
        class_of: subjects.iter().map(|(_, person)| class(person)).collect(),
        subjects: Arc::new(subjects.into_iter().map(|(subject, _)| subject).collect()),
    }
}

fn study(sql: &str) -> StudySpec {
    let text = format!(
        "version = 1\ntitle = \"t\"\ndescription = \"d\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"open\"\n\
         [cohort]\nsubject = \"person_id\"\nsql = '''{sql}'''\n\
         [[variable]]\nname = \"x\"\nmin = 0\nmax = 20\nresolution = 0.5\n\
         [[dimension]]\nname = \"sex\"\nvalues = [8507, 8532]\n\
         [[statistic]]\nname = \"s\"\nkind = \"variance\"\nof = \"x\"\nby = [\"sex\"]\n"
    );
    StudySpec::from_toml(&text).expect("a valid study")
}

const AVERAGES: &str = "SELECT p.person_id, p.gender_concept_id AS sex, avg(m.value_as_number) AS x \
    FROM person p JOIN measurement m ON m.person_id = p.person_id GROUP BY p.person_id, p.gender_concept_id";

/// A worker in a thread, and the node's end of its pipe.
struct Served {
    pipe: UnixStream,
    gone: mpsc::Receiver<()>,
}

impl Served {
    fn new(start: Start) -> Self {
        let (pipe, other) = UnixStream::pair().expect("a pair");
        let (tell, gone) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = Runtime::new().expect("a runtime");
            let input = other.try_clone().expect("a second end");
            let end = move || tell.send(()).expect("the test waits");
            let _ = serve(&runtime, &start, Isolation::default(), None, input, &mut &other, end);
        });
        pipe.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        Self { pipe, gone }
    }

    fn reply(&mut self) -> (Reply, Vec<u8>) {
        let caps = Caps { head: 1 << 20, body: 1 << 20 };
        frame::read(&mut self.pipe, caps).expect("a message").expect("an answer")
    }

    fn ask(&mut self, request: &Request, body: &[u8]) -> (Reply, Vec<u8>) {
        frame::write(&mut self.pipe, request, body).expect("written");
        self.reply()
    }

    fn list(&mut self, roll: &Roll) {
        let body: Vec<u8> = roll.subjects.iter().flat_map(|subject| *subject.as_bytes()).collect();
        assert!(matches!(self.ask(&Request::Subjects, &body), (Reply::Enrolled, _)));
    }
}

fn job(spec: &StudySpec, roll: &Roll) -> Request {
    Request::Study(StudyJob {
        as_of: roll.day,
        spec: spec.to_canonical(),
        classes: roll.classes.clone(),
        class_width: roll.class_of.width(),
        min_site_count: 4,
        subjects_bound: 10_000,
        memory_bytes: 64 << 20,
        rows: 10_000,
        held: None,
    })
}

/// The same study without a pipe: its cells, and who is in its cohort.
fn beside(hospital: &Hospital, roll: &Roll, spec: &StudySpec) -> (Vec<i64>, SubjectSet) {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&hospital.config(), &[]).await.expect("a store");
        let listed = roll.subjects.iter().enumerate();
        let permissions = Permissions {
            day: roll.day,
            height: roll.height,
            classes: roll.classes.clone(),
            subjects: listed.filter_map(|(at, subject)| Some((*subject, roll.class_of.get(at)?))).collect(),
        };
        let limits = Limits {
            memory_bytes: 64 << 20,
            rows: 10_000,
            time: Duration::from_secs(60),
            threads: 2,
            ..Limits::default()
        };
        let cohort = cohort::run(&store, &link(), &permissions, spec, &limits).await.expect("a cohort");
        let layout = Layout::of(spec).expect("a layout");
        let cells = compute(spec, &layout, &Compared::default(), &cohort.batches, 4, 10_000).await.expect("cells");
        let members = (1..=PEOPLE).filter(|id| cohort.has(*id)).map(|id| link().subject(id));
        (cells.values().to_vec(), members.collect())
    })
}

#[test]
fn a_study_through_the_pipe_is_the_study_beside_it() {
    let (hospital, roll, spec) = (Hospital::new(), roll(), study(AVERAGES));
    let layout = Layout::of(&spec).expect("a layout");
    let mut served = Served::new(hospital.start());
    let (Reply::Ready { version: VERSION, summary: Some(summary), .. }, _) = served.reply() else {
        panic!("not ready")
    };
    assert_eq!(summary.tables.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["measurement", "person"]);
    served.list(&roll);
    let (cells, members) = beside(&hospital, &roll, &spec);
    assert!(members.len() > 50 && cells.iter().sum::<i64>() > 1_000);
    // Twice, and after another roll over the same subjects.
    for _ in 0..2 {
        let (reply, body) = served.ask(&job(&spec, &roll), roll.class_of.as_bytes());
        assert_eq!(body.len(), Counted::body_bytes(&layout, &Compared::default(), roll.subjects.len()));
        let counted =
            Counted::read(&reply, &body, &layout, &Compared::default(), roll.subjects.len()).expect("counted");
        assert_eq!(counted.cells.values(), cells);
        let set = SubjectSet::chosen(roll.subjects.clone(), counted.members).expect("as many bits");
        assert_eq!(set, members);
        let closed = Roll { class_of: roll.subjects.iter().map(|_| None).collect(), ..roll.clone() };
        let (Reply::Counted { .. }, body) = served.ask(&job(&spec, &closed), closed.class_of.as_bytes()) else {
            panic!("not counted")
        };
        assert!(body.iter().all(|byte| *byte == 0), "nobody allows anything");
    }
    assert!(served.gone.try_recv().is_err());
    drop(served.pipe);
    served.gone.recv_timeout(Duration::from_secs(10)).expect("the worker notices that its node is gone");
}

#[test]
fn cells_that_are_not_as_many_as_the_study_has_are_none() {
    let spec = study(AVERAGES);
    let layout = Layout::of(&spec).expect("a layout");
    let bytes = Counted::body_bytes(&layout, &Compared::default(), 100);
    let reply = Reply::Counted { duplicates: 0, strays: 0, remembered: 0 };
    assert!(Counted::read(&reply, &vec![0; bytes], &layout, &Compared::default(), 100).is_some());
    for wrong in [0, 12, 13, bytes - 1, bytes + 1, bytes + 8] {
        assert!(Counted::read(&reply, &vec![0; wrong], &layout, &Compared::default(), 100).is_none(), "{wrong}");
    }
    assert!(Counted::read(&Reply::Enrolled, &vec![0; bytes], &layout, &Compared::default(), 100).is_none());
}

#[test]
fn what_is_refused_arrives_as_it_was_said() {
    let (hospital, roll) = (Hospital::new(), roll());
    let mut served = Served::new(hospital.start());
    served.reply();
    served.list(&roll);
    let mut refused = |sql: &str| {
        let spec = study(sql);
        match served.ask(&job(&spec, &roll), roll.class_of.as_bytes()) {
            (Reply::Refused(Refusal::Cohort(error)), body) if body.is_empty() => error,
            _ => panic!("`{sql}` is not refused"),
        }
    };
    let syntax = CohortError::Syntax { line: 1, column: 8 };
    assert_eq!(refused("SELECT ,"), syntax);
    let unknown = refused("SELECT person_id, 1 AS sex, 2 AS x FROM nowhere");
    assert_eq!(unknown, CohortError::UnknownTable { name: "nowhere".to_string(), near: None });
    let construct = refused("SELECT person_id, 1 AS sex, 2 AS x FROM person LIMIT 5");
    assert_eq!(construct, CohortError::PicksPatients { what: "LIMIT or OFFSET" });
    let typed = refused("SELECT person_id, 1 AS sex, 'a' AS x FROM person");
    assert!(matches!(&typed, CohortError::ColumnType { name, .. } if name == "x"), "{typed:?}");

    // A query is checked in the same way.
    let (Reply::Reads(reads), _) = served.ask(&Request::Try(study(AVERAGES).to_canonical()), &[]) else {
        panic!("not tried")
    };
    let (Reply::Reads(checked), _) = served.ask(&Request::Check(study(AVERAGES).to_canonical()), &[]) else {
        panic!("not checked")
    };
    assert_eq!(reads, checked);
    assert_eq!(reads.tables().iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["measurement", "person"]);
}

#[test]
fn what_does_not_fit_is_refused_and_the_worker_goes_on() {
    let (hospital, roll, spec) = (Hospital::new(), roll(), study(AVERAGES));
    let mut served = Served::new(hospital.start());
    served.reply();
    let is_order = |reply: (Reply, Vec<u8>)| matches!(reply, (Reply::Refused(Refusal::Order), _));
    assert!(is_order(served.ask(&job(&spec, &roll), roll.class_of.as_bytes())), "before any subjects");
    served.list(&roll);
    let short = ClassList::from_iter([Some(0)]);
    assert!(is_order(served.ask(&job(&spec, &roll), short.as_bytes())), "too few classes");
    assert!(is_order(served.ask(&Request::Check(vec![1, 2, 3]), &[])), "no study");
    assert!(is_order(served.ask(&Request::Subjects, &[7; 17])), "no subjects");
    let unsorted = [[2u8; 16], [1; 16]].concat();
    assert!(is_order(served.ask(&Request::Subjects, &unsorted)));
    let panicked = served.ask(&Request::Probe(Probe::Panic), &[]);
    assert!(matches!(panicked, (Reply::Refused(Refusal::Panicked), _)));
    let counted = served.ask(&job(&spec, &roll), roll.class_of.as_bytes());
    assert!(matches!(counted, (Reply::Counted { .. }, _)), "the list before holds");
}

fn nothing() -> Start {
    Start { version: VERSION, store: None, catalogue: Vec::new(), access: None, link: None, threads: 1 }
}

#[test]
fn what_cannot_be_opened_is_said_at_once() {
    let missing = StoreConfig::of(PathBuf::from("/there/is/no/such/folder"));
    let mut served = Served::new(Start { version: VERSION, store: Some(missing), ..nothing() });
    let (Reply::Refused(Refusal::Store(error)), _) = served.reply() else { panic!("opened") };
    assert_eq!(error, StoreError::NoFolder { folder: "/there/is/no/such/folder".to_string() });

    let mut other = Served::new(Start { version: VERSION + 1, ..nothing() });
    assert!(matches!(other.reply(), (Reply::Refused(Refusal::Version), _)));
    let end = frame::read::<Reply>(&mut other.pipe, Caps { head: 1, body: 1 });
    assert!(matches!(end, Ok(None) | Err(_)), "and nothing else");
}

#[test]
fn an_error_that_a_pipe_carries_is_the_same_error() {
    let errors = [
        Refusal::Cohort(CohortError::TooLarge { what: "text (more than 16 KiB)" }),
        Refusal::Cohort(CohortError::Memory { limit_mib: 7 }),
        Refusal::Cohort(CohortError::Store(StoreError::NoPerson)),
        Refusal::Store(StoreError::Column {
            file: "PERSON.csv".to_string(),
            column: "person_id".to_string(),
            why: "1 value is not a whole number (line 3)".to_string(),
        }),
        Refusal::Panicked,
    ];
    for error in errors {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, &Reply::Refused(error.clone()), &[]).expect("a vector");
        let read: io::Result<Option<(Reply, Vec<u8>)>> = frame::read(&mut &bytes[..], Caps { head: 1_000, body: 0 });
        let Ok(Some((Reply::Refused(arrived), _))) = read else { panic!("{error} does not arrive") };
        assert_eq!((arrived.to_string(), &arrived), (error.to_string(), &error));
    }
}
