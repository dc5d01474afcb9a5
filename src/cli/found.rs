//! `consilium genesis` and `consilium join`: founding and joining a consortium.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use consilium_protocol::consent::{Base, Diseases};
use consilium_protocol::genesis::{Deadlines, GENESIS_VERSION, Genesis, Member};
use consilium_protocol::ids::{ChainId, Timestamp};
use consilium_protocol::policy::DisclosurePolicy;
use serde::Deserialize;
use serde_json::json;

use super::{Failure, Global, term};
use crate::home::files::{self, Readable};
use crate::home::{self, Home};

/// `consilium genesis`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  consilium genesis --chain-id north-sea --out genesis.toml north/member.toml south/member.toml west/member.toml

Give the file to every member, researcher and patient, and its fingerprint by another way (telephone, paper).")]
pub struct GenesisArgs {
    /// The name of the ledger: a-z, 0-9 and -
    #[arg(long)]
    pub(crate) chain_id: String,
    /// Where to write the genesis file
    #[arg(long, default_value = "genesis.toml")]
    pub(crate) out: PathBuf,
    /// Joint counts below this are suppressed
    #[arg(long, default_value_t = DisclosurePolicy::default().min_joint_count)]
    pub(crate) min_joint_count: u32,
    /// A hospital keeps its own counts below this to itself
    #[arg(long, default_value_t = DisclosurePolicy::default().min_site_count)]
    pub(crate) min_site_count: u32,
    /// How many hospitals must contribute to a round
    #[arg(long, default_value_t = DisclosurePolicy::default().min_hospitals)]
    pub(crate) min_hospitals: u32,
    /// Law allows opt-out: documents may permit by default
    #[arg(long)]
    pub(crate) opt_out: bool,
    /// Hours until an undecided study expires
    #[arg(long, default_value_t = Deadlines::default().approval_ms / 3_600_000)]
    pub(crate) approval_hours: u64,
    /// Seconds that undecided hospitals still have once more than half approved
    #[arg(long, default_value_t = Deadlines::default().grace_ms / 1_000)]
    pub(crate) grace_seconds: u64,
    /// Seconds that a round may take before it may be opened again without the late
    #[arg(long, default_value_t = Deadlines::default().round_ms / 1_000)]
    pub(crate) round_seconds: u64,
    /// A TOML file with [[disease]] entries (code, name, parents)
    #[arg(long, value_name = "FILE")]
    pub(crate) diseases: Option<PathBuf>,
    /// The members' files
    #[arg(required = true)]
    pub(crate) members: Vec<PathBuf>,
}

/// `consilium join`
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  consilium join genesis.toml --fingerprint 6f1e…")]
pub struct JoinArgs {
    /// The genesis file
    genesis: PathBuf,
    /// Refuse a file with another fingerprint than this
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiseaseFile {
    disease: Vec<Diseases>,
}

/// Makes a genesis file.
pub(crate) fn genesis(args: &GenesisArgs, global: &Global) -> Result<(), Failure> {
    let mut members = Vec::with_capacity(args.members.len());
    for path in &args.members {
        let text = files::read_text(path, 65_536)?;
        let member: Member = toml::from_str(&text).map_err(|e| {
            Failure::new(format!(
                "{}: {}\nask this member for its member.toml again",
                path.display(),
                e.to_string().trim_end()
            ))
        })?;
        members.push(member);
    }
    members.sort_by_key(|m| m.id);
    let disease = match &args.diseases {
        Some(path) => {
            let file: DiseaseFile = toml::from_str(&files::read_text(path, 16 * 1024 * 1024)?)
                .map_err(|e| Failure::new(format!("{}: {}", path.display(), e.to_string().trim_end())))?;
            file.disease
        }
        None => crate::vocabulary::diseases(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let genesis = Genesis {
        version: GENESIS_VERSION,
        chain_id: ChainId::new(&args.chain_id)?,
        time_ms: Timestamp::new(now),
        policy: DisclosurePolicy {
            min_joint_count: args.min_joint_count,
            min_site_count: args.min_site_count,
            min_hospitals: args.min_hospitals,
        },
        consent_base: if args.opt_out { Base::Permit } else { Base::Deny },
        deadlines: Deadlines {
            approval_ms: args.approval_hours.saturating_mul(3_600_000),
            grace_ms: args.grace_seconds.saturating_mul(1_000),
            round_ms: args.round_seconds.saturating_mul(1_000),
        },
        disease,
        member: members,
    };
    genesis.check()?;
    files::create(&args.out, genesis.to_toml()?.as_bytes(), Readable::ByAll)?;
    let report = json!({ "genesis": args.out, "fingerprint": genesis.hash(), "chain_id": genesis.chain_id,
        "members": genesis.member.iter().map(|m| &m.name).collect::<Vec<_>>() });
    term::show(global.json, &report, |_| {
        format!(
            "{} founds `{}` with {} members\n\n  fingerprint  {}\n\nNext: give the file to everybody, and the fingerprint by \
             another way; then: consilium join {0} --fingerprint …",
            args.out.display(),
            genesis.chain_id,
            genesis.member.len(),
            genesis.hash()
        )
    });
    Ok(())
}

/// Joins a consortium.
pub(crate) fn join(args: &JoinArgs, global: &Global) -> Result<(), Failure> {
    let own = Home::open(&global.home)?;
    let genesis = home::read_genesis(&args.genesis)?;
    if let Some(expected) = &args.fingerprint
        && genesis.hash().to_string() != expected.trim().to_lowercase()
    {
        return Err(Failure::integrity(format!(
            "the file has fingerprint {}, not the one you expect; do not use it, ask for it again",
            genesis.hash()
        )));
    }
    own.join(&genesis)?;
    term::show(global.json, &json!({ "chain_id": genesis.chain_id, "fingerprint": genesis.hash() }), |_| {
        format!(
            "{} joined `{}`\n\n  fingerprint  {}\n\nCompare the fingerprint with the one you were told by another way.",
            own.name(),
            genesis.chain_id,
            genesis.hash()
        )
    });
    Ok(())
}
