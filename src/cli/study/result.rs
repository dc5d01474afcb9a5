//! `study result`: opens the joint result.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use consilium_engine::cells::{EncryptedCells, StudySecretKey, open};
use consilium_engine::disclosure::{Released, guarded, private, release};
use consilium_engine::guard::{Disclosed, PadRound, open_guarded};
use consilium_engine::privacy::epsilon;
use consilium_engine::result::table::{self, TableOptions};
use consilium_engine::result::{GuardRoles, NoiseStatement, Provenance, StudyResult, csv, json};
use consilium_engine::statistics::Layout;
use consilium_protocol::genesis::Genesis;
use consilium_protocol::hash;
use consilium_protocol::ids::{ContentHash, Height, HospitalId, RoundNumber, StudyId};
use consilium_protocol::kem::KemPublicKey;
use consilium_protocol::privacy::honest_of;
use consilium_protocol::sealing::{self, Content, Context};
use consilium_protocol::study::{Protection, StudySpec, study_id};
use consilium_protocol::wire::{self, MAX_CIPHERTEXT_BYTES};
use parquet::arrow::ArrowWriter;

use super::submit::sealing_key;
use super::{WhichArgs, fetch, find, folder};
use crate::cli::{Failure, Global, connect, term};
use crate::home::files::{self, Readable};
use crate::home::{Home, Role};
use crate::net::client::{Node, ResultPart};

/// At which δ the ε of a private study is stated.
pub(super) const DELTA: f64 = 1e-6;

/// `study result`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium study result
  consilium study result 3f9a02c1 --format csv --out result.csv")]
pub(crate) struct Args {
    #[command(flatten)]
    which: WhichArgs,
    /// How to write it (default: table, or JSON with --json)
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to write it (default: standard output; Parquet needs a file)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Aligned tables with bars
    Table,
    /// Comma-separated values, one row per measure
    Csv,
    /// One JSON object
    Json,
    /// An Apache Parquet file, one row per measure
    Parquet,
}

/// An opened result, and where it came from.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) result: Released<StudyResult>,
    pub(crate) provenance: Provenance,
    /// How many members said that this is the sum, and how many were asked.
    pub(crate) confirmed: (usize, usize),
}

pub(super) async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    if global.json && args.out.is_none() && args.format.is_some_and(|format| format != Format::Json) {
        return Err(Failure::usage("--json and --format say different things; leave one of them out"));
    }
    if args.format == Some(Format::Parquet) && args.out.is_none() {
        return Err(Failure::usage("a Parquet file is binary; say where with --out"));
    }
    let home = Home::open_as(&global.home, Role::Researcher)?;
    let node = connect(&home, global).await?;
    let study = find(args.which.study.as_deref(), &home, &node).await?;
    let spinner = term::spinner("fetching and opening the joint result");
    let opened = open_result(&home, &node, &study).await;
    spinner.finish_and_clear();
    let opened = opened?;
    let (confirmed, asked) = opened.confirmed;
    if confirmed * 2 <= asked {
        term::warn(format!(
            "only {confirmed} of {asked} members could be asked whether this is the sum; ask again when more answer"
        ));
    }
    let format = args.format.unwrap_or(if global.json { Format::Json } else { Format::Table });
    let text = match format {
        Format::Table => table_text(&opened),
        Format::Csv => csv::render(&opened.result, &opened.provenance),
        Format::Json => json::render(&opened.result, &opened.provenance)?,
        Format::Parquet => {
            let path =
                args.out.as_deref().ok_or_else(|| Failure::usage("a Parquet file is binary; say where with --out"))?;
            return write_parquet(&opened, path, global);
        }
    };
    match &args.out {
        None => term::line(text.trim_end()),
        Some(path) => {
            files::replace(path, text.as_bytes(), Readable::ByOwner)?;
            term::show(global.json, &serde_json::json!({ "file": path }), |_| format!("written to {}", path.display()));
        }
    }
    Ok(())
}

/// The result as tables, with where it came from below.
pub(crate) fn table_text(opened: &Opened) -> String {
    let mut text = table::render(&opened.result, &TableOptions::default());
    text.push_str("\nProvenance\n\n");
    let entries = opened.provenance.entries();
    let width = entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in entries {
        text.push_str(&format!("  {name:<width$}  {value}\n"));
    }
    text
}

fn write_parquet(opened: &Opened, path: &Path, global: &Global) -> Result<(), Failure> {
    let batch = consilium_engine::result::arrow::batch(&opened.result)?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(batch.schema_ref()), None)?;
    writer.write(&batch)?;
    writer.close()?;
    files::replace(path, &bytes, Readable::ByOwner)?;
    term::show(global.json, &serde_json::json!({ "file": path }), |_| format!("written to {}", path.display()));
    Ok(())
}

/// Fetches, checks and opens the joint result of a study of this home.
pub(crate) async fn open_result(home: &Home, node: &Node, study: &StudyId) -> Result<Opened, Failure> {
    let genesis = home.genesis()?;
    let key = home.signing_key()?;
    let reply = fetch(study, node).await?;
    let spec = StudySpec::from_canonical(&reply.spec)?;
    let summary = reply.summary.clone().unwrap_or_default();
    if summary.researcher != key.researcher().to_string() {
        let whose = format!("{}, {}", summary.researcher_name, summary.organisation);
        return Err(Failure::new(format!(
            "this study is of {whose}; only the home that submitted it opens its result"
        )));
    }
    // The study is what its id says, whatever the node says.
    let sealing = reply.sealing_key[..].try_into().ok().map(KemPublicKey::from_bytes);
    let named =
        sealing.map(|sealing| study_id(&genesis.ledger(), &key.researcher(), &reply.spec, &reply.public_key, &sealing));
    if named != Some(*study) {
        return Err(Failure::integrity(
            "the study that the node gave is not the one of this id; do not trust it, and ask another member with --node",
        ));
    }
    let round = match reply.rounds.iter().find(|r| !r.sum.is_empty()) {
        Some(round) if summary.phase == "released" => round,
        _ if super::is_final(&summary.phase) => {
            return Err(Failure::new(format!("the study is {}, there is no result", summary.phase)));
        }
        _ => {
            return Err(Failure::not_ready(format!(
                "not released yet ({}); follow it with `consilium study watch`",
                super::standing(&reply)
            )));
        }
    };
    let sum = ContentHash::try_from(&round.sum[..])?;
    let confirmed = confirm(&genesis, node, study, round).await?;
    let bytes = fetch_part(&genesis, node, study, ResultPart::Sum, &sum).await?;
    let secret = zeroize::Zeroizing::new(files::read_bytes(&folder(home, study).join("secret.key"), 65_536)?);
    let opening = Opening { genesis: &genesis, spec: &spec, secret: &secret, hospitals: round.roster.len() };
    let joint = EncryptedCells::from_bytes(&bytes)?;
    let result = match &round.guard {
        None => opening.whole(&joint)?,
        Some(guard) => {
            let hash = ContentHash::try_from(&guard.disclosed[..])?;
            let seeds = fetch_part(&genesis, node, study, ResultPart::Seeds, &hash).await?;
            opening.what_passed(*study, round, joint, &seeds)?
        }
    };
    let provenance = Provenance {
        study: *study,
        title: spec.title.clone(),
        roster: round.roster.len(),
        height: Height::new(round.height),
        round: RoundNumber::new(round.number),
        sum,
        policy: genesis.policy,
        threshold: spec.threshold(&genesis.policy),
        protection: spec.protection,
        roles: round.guard.as_ref().map(|guard| roles(&genesis, guard)),
        noise: noise(&spec, round.roster.len()),
        released: Height::new(round.released_height),
        software: format!("consilium {}", env!("CARGO_PKG_VERSION")),
    };
    Ok(Opened { result, provenance, confirmed })
}

/// How many members say the same of the round that gave the result. One that says otherwise stops everything.
async fn confirm(
    genesis: &Genesis,
    node: &Node,
    study: &StudyId,
    round: &wire::Round,
) -> Result<(usize, usize), Failure> {
    let mut confirmed = 0;
    for member in &genesis.member {
        let reply = if member.id == node.member.id {
            fetch(study, node).await.ok()
        } else {
            match Node::connect(&genesis.ledger(), member, None).await {
                Ok(other) => fetch(study, &other).await.ok(),
                Err(_) => None,
            }
        };
        match reply.and_then(|reply| reply.rounds.into_iter().find(|r| !r.sum.is_empty())) {
            Some(said) if said == *round => confirmed += 1,
            Some(_) => {
                return Err(Failure::integrity(format!(
                    "{} and {} disagree on the result of this study; do not use it, and have the ledger audited",
                    node.member.name, member.name
                )));
            }
            // It does not answer, or is behind.
            None => {}
        }
    }
    Ok((confirmed, genesis.member.len()))
}

/// The parts of a study that were kept from everybody but the researcher, opened.
struct Opening<'a> {
    genesis: &'a Genesis,
    spec: &'a StudySpec,
    secret: &'a [u8],
    hospitals: usize,
}

impl Opening<'_> {
    /// An open or private study.
    fn whole(&self, joint: &EncryptedCells) -> Result<Released<StudyResult>, Failure> {
        let (spec, policy) = (self.spec, &self.genesis.policy);
        let layout = Layout::of(spec)?;
        let cells = open(joint, &StudySecretKey::from_bytes(self.secret)?, self.hospitals)?;
        Ok(match spec.protection {
            Protection::Private { .. } => private::release(spec, &layout, policy, self.hospitals, cells)?,
            _ => release(spec, &layout, policy, self.hospitals, cells)?,
        })
    }

    /// A guarded study: only the groups whose seeds the custodian disclosed.
    fn what_passed(
        &self,
        study: StudyId,
        round: &wire::Round,
        joint: EncryptedCells,
        sealed: &[u8],
    ) -> Result<Released<StudyResult>, Failure> {
        let custodian: HospitalId = round.guard.as_ref().map_or("", |guard| &guard.custodian).parse()?;
        let number = RoundNumber::new(round.number);
        let ledger = &self.genesis.ledger();
        let context = Context { content: Content::Seeds, ledger, study, round: number, from: custodian };
        let plain = sealing::open(&sealing_key(self.secret), &context, sealed)?;
        // What it repeats decides what passed, not what is read of it.
        let plan = guarded::plan(self.spec, &self.genesis.policy, self.hospitals, &[])?;
        // In the order of the roster, which is that of the hospitals' names as the ledger sorts them.
        let commitment = |hospital: &String| {
            let of = round.contributions.iter().find(|contribution| contribution.hospital == *hospital);
            Ok::<_, Failure>(ContentHash::try_from(of.map_or(&[][..], |of| &of.veil))?)
        };
        let committed = round.roster.iter().map(commitment).collect::<Result<Vec<_>, _>>()?;
        let disclosed = Disclosed::from_bytes(&plain, plan.shape.seeds(), &committed)?;
        // Later studies are held against what the custodian said of it to everybody.
        let said = round.guard.as_ref().map_or(&[][..], |guard| &guard.passed);
        let passed = |set: usize| said.get(set / 8).is_some_and(|byte| byte >> (set % 8) & 1 == 1);
        if (0..disclosed.sets()).any(|set| disclosed.has(set) != passed(set)) {
            return Err(Failure::integrity(format!(
                "the custodian, {}, gave other groups than it told the ledger; tell the hospitals, since later studies are held \
                 against what stands there",
                name_of(self.genesis, &custodian)
            )));
        }
        let secret = StudySecretKey::from_bytes(self.secret)?;
        let pads = PadRound { study, round: number };
        let opened = open_guarded(joint, &secret, self.hospitals, &plan.groups, &disclosed, &pads)?;
        Ok(guarded::release(self.spec, &self.genesis.policy, self.hospitals, &opened)?)
    }
}

fn name_of(genesis: &Genesis, id: &HospitalId) -> String {
    genesis.member(id).map_or_else(|| id.to_string(), |member| member.name.clone())
}

fn roles(genesis: &Genesis, guard: &wire::Guard) -> GuardRoles {
    let name = |id: &str| id.parse().map_or_else(|_| id.to_string(), |id: HospitalId| name_of(genesis, &id));
    let witness = Some(&guard.witness).filter(|id| !id.is_empty()).map(|id| name(id));
    GuardRoles { aggregator: name(&guard.aggregator), custodian: name(&guard.custodian), witness }
}

fn noise(spec: &StudySpec, hospitals: usize) -> Option<NoiseStatement> {
    let Protection::Private { rho } = spec.protection else { return None };
    let honest = honest_of(hospitals);
    Some(NoiseStatement { rho, honest, delta: DELTA, epsilon: epsilon(rho, DELTA) })
}

/// A part of the result, from the first member that has the right bytes.
async fn fetch_part(
    genesis: &Genesis,
    node: &Node,
    study: &StudyId,
    part: ResultPart,
    sum: &ContentHash,
) -> Result<Vec<u8>, Failure> {
    let limit = MAX_CIPHERTEXT_BYTES as usize;
    if let Ok(bytes) = node.result(study, part, limit).await
        && hash::content(&bytes) == *sum
    {
        return Ok(bytes);
    }
    for member in genesis.member.iter().filter(|m| m.id != node.member.id) {
        let Ok(other) = Node::connect(&genesis.ledger(), member, None).await else { continue };
        if let Ok(bytes) = other.result(study, part, limit).await
            && hash::content(&bytes) == *sum
        {
            return Ok(bytes);
        }
    }
    Err(Failure::not_ready(format!("no member gave the joint result with hash {}; try again in a moment", sum.short())))
}
