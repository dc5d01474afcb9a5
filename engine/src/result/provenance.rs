//! Where a result came from, so that anyone can check it against the ledger.

use consilium_protocol::ids::{AppHash, ContentHash, Height, RoundNumber, StudyId};
use consilium_protocol::policy::DisclosurePolicy;
use serde::Serialize;

/// What the ledger says about a result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    /// The study.
    pub study: StudyId,
    /// Its title.
    pub title: String,
    /// How many hospitals contributed.
    pub roster: usize,
    /// The height at which consent was read.
    pub height: Height,
    /// The attempt that succeeded.
    pub round: RoundNumber,
    /// The hash of the encrypted sum that was attested.
    pub sum: ContentHash,
    /// The consortium's policy that the result was released under.
    pub policy: DisclosurePolicy,
    /// The ledger's application hash at the release.
    pub app_hash: AppHash,
    /// The program and version that opened the result.
    pub software: String,
}

impl Provenance {
    /// Every entry by name, as text.
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        vec![
            ("study", self.study.to_string()),
            ("title", self.title.clone()),
            ("hospitals", self.roster.to_string()),
            ("consent read at height", self.height.to_string()),
            ("round", self.round.to_string()),
            ("sum", self.sum.to_string()),
            ("joint counts suppressed below", self.policy.min_joint_count.to_string()),
            ("own counts held back below", self.policy.min_site_count.to_string()),
            ("hospitals at least", self.policy.min_hospitals.to_string()),
            ("application hash", self.app_hash.to_string()),
            ("software", self.software.clone()),
        ]
    }
}
