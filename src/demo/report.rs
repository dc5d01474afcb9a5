//! What the demo has to show at its end.

use std::path::Path;

use consilium_engine::disclosure::Released;
use consilium_engine::result::{GuardRoles, Provenance, StudyResult};
use serde::Serialize;
use serde_json::Value;

use super::Phase;
use crate::cli::term;

/// The report for machines.
#[derive(Serialize)]
pub(crate) struct Report {
    /// Whether every opened cell equals the plaintext.
    pub(crate) exact: bool,
    pub(crate) cells: usize,
    pub(crate) equal: usize,
    pub(crate) differing: Vec<String>,
    pub(crate) hospitals: u32,
    pub(crate) patients_per_hospital: u32,
    pub(crate) seed: u64,
    pub(crate) study: String,
    pub(crate) roster: usize,
    pub(crate) result: Released<StudyResult>,
    pub(crate) provenance: Provenance,
    pub(crate) guarded: GuardedStudy,
    pub(crate) consents: Consents,
    pub(crate) history: Value,
    pub(crate) ledger: Ledger,
    pub(crate) audit: Value,
    pub(crate) phases: Vec<Phase>,
    pub(crate) seconds: f64,
}

/// The study whose small groups nobody has seen.
#[derive(Serialize)]
pub(crate) struct GuardedStudy {
    pub(crate) study: String,
    /// Whether every value and every suppression is as the plaintext says.
    pub(crate) exact: bool,
    pub(crate) cells: usize,
    pub(crate) equal: usize,
    pub(crate) differing: Vec<String>,
    /// How many groups were suppressed, and by which rules.
    pub(crate) suppressed: usize,
    pub(crate) rules: Vec<String>,
    pub(crate) roles: Option<GuardRoles>,
}

/// The patients' choices.
#[derive(Serialize)]
pub(crate) struct Consents {
    pub(crate) broad: usize,
    pub(crate) one_disease: usize,
    pub(crate) silent: usize,
    pub(crate) revoked: usize,
    pub(crate) by_wallet: usize,
}

/// The ledger in figures.
#[derive(Serialize)]
pub(crate) struct Ledger {
    pub(crate) height: u64,
    pub(crate) transactions: u64,
    pub(crate) grants: u64,
    pub(crate) bytes_per_grant: f64,
    pub(crate) export_bytes: u64,
    pub(crate) app_hash: String,
    pub(crate) nodes_agree: bool,
}

impl Ledger {
    pub(crate) fn text(&self) -> String {
        term::facts([
            ("blocks", term::number(self.height)),
            ("transactions", term::number(self.transactions)),
            (
                "consents",
                format!("{} granted, {:.1} bytes of ledger each", term::number(self.grants), self.bytes_per_grant),
            ),
            ("whole ledger", term::bytes(self.export_bytes)),
            ("state", self.app_hash.clone()),
        ])
    }
}

/// What to try while the demo's consortium runs on.
pub(crate) fn try_next(folder: &Path, report: &Report, pids: &[u32]) -> String {
    let folder = folder.display();
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    format!(
        "\nEverything runs on. Try:

  consilium status --all --home {folder}/researcher
  consilium study show {study} --home {folder}/researcher
  consilium study result --format csv --home {folder}/researcher
  consilium consent show --home {folder}/patient
  consilium consent revoke --home {folder}/patient
  consilium history --home {folder}/patient
  consilium inbox --home {folder}/north-clinic/home
  consilium export --out {folder}/ledger.export --home {folder}/researcher
  consilium audit {folder}/ledger.export --home {folder}/researcher

Stop it with: kill {pids} && rm -r {folder}",
        study = &report.study[..8],
        pids = pids.join(" "),
    )
}
