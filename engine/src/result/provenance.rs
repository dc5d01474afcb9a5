//! Where a result came from, so that anyone can check it against the ledger.

use consilium_protocol::ids::{ContentHash, Height, RoundNumber, StudyId};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::Protection;
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
    /// How small groups are protected.
    pub protection: Protection,
    /// Joint counts from 1 up to one less than this are suppressed: the policy's threshold, or the study's own.
    pub threshold: u32,
    /// Who took the roles of a guarded round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<GuardRoles>,
    /// What the noise of a private study promises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseStatement>,
    /// The consortium's policy that the result was released under.
    pub policy: DisclosurePolicy,
    /// The block that released it.
    pub released: Height,
    /// The program and version that opened the result.
    pub software: String,
}

/// Who took the roles of a guarded round, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuardRoles {
    /// Who added up, and compared under encryption.
    pub aggregator: String,
    /// Who learnt which groups passed.
    pub custodian: String,
    /// Who repeated what was decided, where the policy asks for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<String>,
}

/// What the noise of a private study promises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoiseStatement {
    /// What the study may lose, in ρ of zero-concentrated differential privacy.
    pub rho: MicroRho,
    /// How many hospitals of the roster must have added their noise for that.
    pub honest: usize,
    /// The same promise in ε,
    pub epsilon: f64,
    /// at this δ.
    pub delta: f64,
}

impl Provenance {
    /// Every entry by name, as text.
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = vec![
            ("study", self.study.to_string()),
            ("title", self.title.clone()),
            ("hospitals", self.roster.to_string()),
            ("consent read at height", self.height.to_string()),
            ("round", self.round.to_string()),
            ("sum", self.sum.to_string()),
            ("protection", self.protection.name().to_string()),
            ("joint counts suppressed below", self.threshold.to_string()),
        ];
        match (self.protection, &self.roles, &self.noise) {
            (Protection::Open, ..) => {
                entries.push(("own counts held back below", self.policy.min_site_count.to_string()));
            }
            (Protection::Guarded, Some(roles), _) => {
                entries.push(("aggregator", roles.aggregator.clone()));
                entries.push(("custodian", roles.custodian.clone()));
                entries.extend(roles.witness.clone().map(|witness| ("witness", witness)));
            }
            (Protection::Private { .. }, _, Some(noise)) => {
                entries.push(("privacy loss", format!("rho = {} (zero-concentrated)", noise.rho)));
                entries.push(("the same as", format!("epsilon = {:.3} at delta = {:e}", noise.epsilon, noise.delta)));
                entries.push(("if noise was added by", format!("{} hospitals or more", noise.honest)));
            }
            (Protection::Guarded | Protection::Private { .. }, ..) => {}
        }
        if !matches!(self.protection, Protection::Private { .. }) {
            let zeros = if self.policy.show_zeros { "shown" } else { "suppressed" };
            entries.push(("joint counts of 0", zeros.to_string()));
        }
        if self.policy.rounding > 1 {
            entries.push(("counts rounded to", self.policy.rounding.to_string()));
        }
        entries.extend([
            ("hospitals at least", self.policy.min_hospitals.to_string()),
            ("insiders", self.policy.insiders.to_string()),
            ("released at height", self.released.to_string()),
            ("software", self.software.clone()),
        ]);
        entries
    }
}
