//! `consilium genesis` and `consilium join`: founding and joining a consortium.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use consilium_protocol::consent::{Base, Diseases};
use consilium_protocol::genesis::{Deadlines, GENESIS_VERSION, Genesis, Member};
use consilium_protocol::ids::{ChainId, Timestamp};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use serde::Deserialize;
use serde_json::json;

use super::{Failure, Global, counted, term};
use crate::home::files::{self, Readable};
use crate::home::{self, Home};

/// The consortium's disclosure policy.
#[derive(clap::Args, Debug)]
struct PolicyArgs {
    /// Joint counts below this are suppressed
    #[arg(long, default_value_t = DisclosurePolicy::default().min_joint_count)]
    min_joint_count: u32,
    /// In open studies, a hospital keeps its own counts below this to itself
    #[arg(long, default_value_t = DisclosurePolicy::default().min_site_count)]
    min_site_count: u32,
    /// How many hospitals must contribute to a round
    #[arg(long, default_value_t = DisclosurePolicy::default().min_hospitals)]
    min_hospitals: u32,
    /// Against how many hospitals of a round, who work together, joint counts stay large without theirs
    #[arg(long, value_name = "HOSPITALS", default_value_t = DisclosurePolicy::default().insiders)]
    insiders: u32,
    /// Have a third hospital repeat what is decided under encryption in guarded studies
    #[arg(long)]
    witness: bool,
    /// Have custodians of guarded rounds register so many sets of keys, 1 to 16: one is drawn, and every hospital makes the others
    /// again, which takes it a second each (8 is usual; 1 opens none)
    #[arg(long, value_name = "SETS", default_value_t = DisclosurePolicy::default().key_sets)]
    key_sets: u32,
    /// Suppress joint counts of 0, too
    #[arg(long)]
    hide_zeros: bool,
    /// Show counts rounded to multiples of this
    #[arg(long, value_name = "BASE", default_value_t = DisclosurePolicy::default().rounding)]
    rounding: u32,
    /// How many studies a researcher may propose within the quota's days
    #[arg(long, value_name = "STUDIES", default_value_t = DisclosurePolicy::default().studies_per_researcher)]
    studies_per_researcher: u32,
    /// Over how many days the quota counts
    #[arg(long, value_name = "DAYS", default_value_t = DisclosurePolicy::default().quota_days)]
    quota_days: u32,
    /// Allow open studies, beside guarded and private ones
    #[arg(long)]
    open_studies: bool,
    /// The privacy that each hospital's patients may lose to private studies in all, as rho
    #[arg(long, value_name = "RHO", default_value_t = DisclosurePolicy::default().privacy_budget)]
    privacy_budget: MicroRho,
    /// A hospital contributes at the end of a whole slot of so many seconds, whatever its query took
    #[arg(long, value_name = "SECONDS", default_value_t = DisclosurePolicy::default().slot_seconds)]
    slot_seconds: u32,
}

impl PolicyArgs {
    const fn policy(&self) -> DisclosurePolicy {
        DisclosurePolicy {
            min_joint_count: self.min_joint_count,
            min_site_count: self.min_site_count,
            min_hospitals: self.min_hospitals,
            insiders: self.insiders,
            witness: self.witness,
            key_sets: self.key_sets,
            show_zeros: !self.hide_zeros,
            rounding: self.rounding,
            studies_per_researcher: self.studies_per_researcher,
            quota_days: self.quota_days,
            open_studies: self.open_studies,
            privacy_budget: self.privacy_budget,
            slot_seconds: self.slot_seconds,
        }
    }
}

/// How many members a consortium with witnesses has at least.
const WITNESSED: usize = 4;

/// `consilium genesis`
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  consilium genesis --chain-id north-sea --out genesis.toml north/member.toml south/member.toml …

Give the file to every member, researcher and patient, and its fingerprint by another way (telephone, paper).")]
pub struct GenesisArgs {
    /// The name of the ledger: a-z, 0-9 and -
    #[arg(long)]
    pub(crate) chain_id: String,
    /// Where to write the genesis file
    #[arg(long, default_value = "genesis.toml")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    policy: PolicyArgs,
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
    /// Hours that a new key of a patient's waits, open to objections, before it takes the place of a lost one
    #[arg(long, default_value_t = Deadlines::default().key_wait_ms / 3_600_000)]
    pub(crate) key_wait_hours: u64,
    /// A TOML file with [[disease]] entries (code, name, parents)
    #[arg(long, value_name = "FILE")]
    pub(crate) diseases: Option<PathBuf>,
    /// Files with [[table]] entries: tables of the consortium's own, see `consilium table`
    #[arg(long, value_name = "FILE")]
    pub(crate) tables: Vec<PathBuf>,
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
    if let Some(twice) = twice(&args.members, &members) {
        return Err(Failure::new(twice));
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
        policy: args.policy.policy(),
        consent_base: if args.opt_out { Base::Permit } else { Base::Deny },
        deadlines: Deadlines {
            approval_ms: args.approval_hours.saturating_mul(3_600_000),
            grace_ms: args.grace_seconds.saturating_mul(1_000),
            round_ms: args.round_seconds.saturating_mul(1_000),
            key_wait_ms: args.key_wait_hours.saturating_mul(3_600_000),
        },
        disease,
        table: super::table::read(&args.tables)?,
        member: members,
    };
    genesis.check()?;
    if genesis.policy.witness && genesis.member.len() < WITNESSED {
        return Err(Failure::new(format!(
            "with --witness a guarded round takes three hospitals that are not the researcher's own; found it with {WITNESSED} \
             members or more, or leave --witness out"
        )));
    }
    files::create(&args.out, genesis.to_toml()?.as_bytes(), Readable::ByAll)?;
    let report = json!({ "genesis": args.out, "fingerprint": genesis.hash(), "chain_id": genesis.chain_id,
        "members": genesis.member.iter().map(|m| &m.name).collect::<Vec<_>>() });
    term::show(global.json, &report, |_| {
        format!(
            "{} founds `{}` with {}\n\n  fingerprint  {}\n\nNext: give the file to everybody, and the fingerprint by \
             another way; then everybody runs: consilium join {0} --fingerprint …",
            args.out.display(),
            genesis.chain_id,
            counted(genesis.member.len() as u64, "member"),
            genesis.hash()
        )
    });
    Ok(())
}

/// The first two files that cannot stand beside each other, and what to do. The genesis file's own check knows no files.
fn twice(paths: &[PathBuf], members: &[Member]) -> Option<String> {
    let files = |first: usize, second: usize| match paths[first] == paths[second] {
        true => format!("{} is named twice", paths[first].display()),
        false => format!("{} and {}", paths[first].display(), paths[second].display()),
    };
    for (second, member) in members.iter().enumerate() {
        for (first, other) in members[..second].iter().enumerate() {
            let files = files(first, second);
            if paths[first] == paths[second] {
                return Some(format!("{files}; name every member's file once"));
            }
            if other.id == member.id {
                let (name, id) = (&member.name, member.id.short());
                return Some(format!("{files} introduce the same member, {name} ({id}); name only the newer of them"));
            }
            let same = [
                ("name", other.name == member.name),
                ("address", other.address == member.address),
                ("consensus address", other.consensus_address == member.consensus_address),
            ];
            if let Some((what, _)) = same.into_iter().find(|(_, same)| *same) {
                let (a, b) = (&other.name, &member.name);
                return Some(format!(
                    "{files} have the same {what} ({a} and {b}); have one of the members run `consilium init hospital` again \
                     with another"
                ));
            }
            let keys = other.consensus_key == member.consensus_key
                || other.peer_key == member.peer_key
                || other.lot_key == member.lot_key
                || other.tls_certificate == member.tls_certificate;
            if keys {
                let (a, b) = (&other.name, &member.name);
                return Some(format!(
                    "{files} share a key ({a} and {b}), so one home was copied; have one of the members make a new home \
                     with `consilium init hospital`"
                ));
            }
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use consilium_protocol::keys::{Signature, SigningKey};

    use super::*;

    fn member(seed: u8) -> Member {
        let key = |offset: u8| SigningKey::from_seed(&[seed + offset; 32]);
        Member {
            id: key(0).hospital(),
            name: format!("Hospital {seed}"),
            consensus_key: key(1).public_key(),
            peer_key: key(2).public_key(),
            lot_key: [seed; 32],
            tls_certificate: consilium_protocol::ids::ContentHash::from_bytes([seed; 32]),
            address: format!("h{seed}.example:7400"),
            consensus_address: format!("h{seed}.example:7401"),
            proof: Signature::from_bytes([0; 64]),
        }
    }

    #[test]
    fn members_that_cannot_stand_beside_each_other_are_named() {
        let paths: Vec<PathBuf> = ["a.toml", "b.toml", "c.toml"].map(PathBuf::from).to_vec();
        let good = vec![member(10), member(20), member(30)];
        assert_eq!(twice(&paths, &good), None);

        let text = twice(&paths, &[member(10), member(20), member(10)]).expect("twice");
        assert!(text.contains("a.toml and c.toml introduce the same member, Hospital 10"), "{text}");

        let same = vec![paths[0].clone(), paths[1].clone(), paths[0].clone()];
        assert!(twice(&same, &good).expect("twice").contains("a.toml is named twice"));

        let mut named = good.clone();
        named[2].name = "Hospital 20".to_string();
        assert!(twice(&paths, &named).expect("twice").contains("b.toml and c.toml have the same name"));

        let mut copied = good;
        copied[1].peer_key = copied[0].peer_key;
        assert!(twice(&paths, &copied).expect("twice").contains("share a key"));
    }
}
