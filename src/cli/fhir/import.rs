//! `consilium consent import`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use consilium_protocol::consent::{Base, Recipient};
use consilium_protocol::fhir::{self, HOSPITAL, ORGANISATION, Options, RESEARCHER, STUDY};
use consilium_protocol::ids::{Date, Timestamp};

use super::super::failure::conclude;
use super::super::{Failure, Global, connect, counted, term};
use super::books::Books;
use super::carry::Desk;
use super::item::Item;
use super::persons::Persons;
use super::plan::{Told, plan, to_ask};
use super::register::{Register, Standing};
use super::report;
use super::verdict::{Facts, Remark, Verdict};
use crate::home::{Home, Role, files};

/// No file is larger; whoever has more gives several.
const MOST_BYTES: u64 = 1 << 30;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium consent import consents.ndjson --dry-run    what would come of each
  consilium consent import consents.ndjson --map persons.csv
  consilium consent import bundle.json --base deny      of forms that do not say what else holds

persons.csv has the columns patient and person_id: how the consents name a patient (Patient/a1, system|value or the value alone) and their id in the hospital's own tables. Without it, Patient/4711 is the patient 4711.

A consent that was imported before and is the same is left alone; a changed one takes the place of the earlier version; an inactive one ends it. What cannot be said here is refused, and nothing of its patient may be read until you have decided: see `consilium consent suspended`.")]
pub(crate) struct ImportArgs {
    /// FHIR R4 or R5 in JSON: a consent, a bundle, or one resource on each line
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whom the consents name: a CSV file with the columns patient and person_id
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// What holds without exceptions where a document of R4 does not say it; its policy rule never does
    #[arg(long, value_enum)]
    base: Option<BaseArg>,
    /// Import a deny whose condition cannot be said here without the condition, so that it forbids more
    #[arg(long)]
    widen_denies: bool,
    /// A name of this hospital as custodian: a reference, or an identifier as system|value; repeat for several
    #[arg(long, value_name = "NAME")]
    custodian: Vec<String>,
    /// Say what would come of each, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum BaseArg {
    /// Everything that no rule denies
    Permit,
    /// Nothing that no rule permits
    Deny,
}

/// The day, by this machine's clock.
pub(super) fn today() -> Date {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    Timestamp::new(now).date()
}

/// Whom a name of FHIR's names, by the identifiers that an export of this program writes.
fn recipient(name: &str) -> Option<Recipient> {
    let (system, value) = name.rsplit_once('|')?;
    match system {
        ORGANISATION => Some(Recipient::Organisation(value.to_string())),
        RESEARCHER => value.parse().ok().map(Recipient::Researcher),
        HOSPITAL => value.parse().ok().map(Recipient::Hospital),
        STUDY => value.parse().ok().map(Recipient::Study),
        _ => None,
    }
}

/// Reads the files: their consents, and how many other resources there are.
fn read(args: &ImportArgs, persons: &Persons, own: &str) -> Result<(Vec<Item>, BTreeMap<String, usize>), Failure> {
    let is_own = |name: &str| name == own || args.custodian.iter().any(|other| other == name);
    let base = args.base.map(|base| match base {
        BaseArg::Permit => Base::Permit,
        BaseArg::Deny => Base::Deny,
    });
    let options = Options {
        base,
        widen_denies: args.widen_denies,
        jurisdiction: None,
        recipients: &recipient,
        custodians: &is_own,
    };
    let (mut items, mut skipped) = (Vec::new(), BTreeMap::new());
    let bar = term::progress("reading", args.files.len() as u64);
    for path in &args.files {
        let text = files::read_text(path, MOST_BYTES)?;
        let import = fhir::import(&text, &options).map_err(|error| Failure::from(error).of_file(path))?;
        let name = short(path);
        items.extend(import.consents.into_iter().map(|imported| Item {
            place: format!("{name}, {}", imported.place),
            subject: imported.patient.as_ref().and_then(|patient| persons.subject(patient)),
            imported,
        }));
        for (kind, count) in import.skipped {
            *skipped.entry(kind).or_default() += count;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((items, skipped))
}

fn short(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

pub(crate) async fn run(args: &ImportArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let key = home.signing_key()?;
    let persons = Persons::read(super::super::patients::link(&home)?, args.map.as_deref())?;
    let own = format!("{HOSPITAL}|{}", key.hospital());
    let (items, skipped) = read(args, &persons, &own)?;
    let desk = Desk { node: connect(&home, global).await?, key };
    let mut books = if args.dry_run { Books::look(home.path())? } else { Some(Books::open(home.path())?) };
    let unknown = Register::default();
    if let Some(books) = books.as_mut().filter(|_| !args.dry_run) {
        desk.settle(books).await?;
    }
    let register = books.as_ref().map_or(&unknown, |books| &books.register);
    let facts = Facts {
        today: today(),
        permits_by_silence: home.genesis()?.consent_base == Base::Permit,
        subjects: desk.ask(to_ask(&items, register)).await?,
    };
    let mut plan = plan(&items, register, &facts);
    if let Some(books) = books.as_mut().filter(|_| !args.dry_run) {
        let original = |item: usize| items[item].imported.original.json().to_string();
        let rejected = desk.grant(books, &plan.drafts, original).await?;
        // What a summary was to stand for stays if there is no summary.
        let is_missing = |item: usize| rejected.iter().any(|rejected| rejected.item == item);
        plan.leaving.retain(|leaving| leaving.standing != Standing::Silenced || !is_missing(leaving.item));
        for rejected in rejected {
            let told = &mut plan.told[rejected.item];
            *told = Told {
                place: told.place.clone(),
                verdict: Verdict::Refuse,
                remarks: vec![Remark::new(format!("refused by the ledger: {}", rejected.message))],
            };
        }
        Desk::leave(books, plan.leaving, original)?;
        desk.end(books, facts.today).await?;
    }
    let open = plan.told.iter().filter(|told| report::is_open(told)).count() as u64;
    let failure = (open > 0).then(|| {
        Failure::new(format!(
            "{} of {} could not be imported; see above for each what to do",
            term::number(open),
            counted(plan.told.len() as u64, "consent")
        ))
    });
    let in_json = report::in_json(&plan.told, &skipped, args.dry_run);
    conclude(global.json, &in_json, |_| report::in_words(&plan.told, &skipped, args.dry_run), failure)
}
