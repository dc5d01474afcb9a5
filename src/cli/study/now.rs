//! What of the ledger bounds a study now: how many subjects are enrolled, and what is left of privacy budgets.

use std::collections::BTreeMap;

use consilium_engine::statistics::{Layout, StatisticsError, prove_bounds};
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::HospitalId;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::StudySpec;
use consilium_protocol::wire;

use crate::cli::Failure;
use crate::net::client::{Node, refused};

/// The ledger's bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// How many subjects are enrolled at all hospitals: no sum is over more.
    pub(crate) subjects: u64,
    spent: BTreeMap<String, MicroRho>,
}

impl Now {
    /// Asks a node.
    pub(crate) async fn ask(node: &Node) -> Result<Self, Failure> {
        let status = node.ledger().status(wire::StatusRequest {}).await.map_err(refused)?.into_inner();
        Ok(Self::of(&status))
    }

    fn of(status: &wire::StatusReply) -> Self {
        let spent = status.privacy_spent.iter().map(|spent| (spent.hospital.clone(), MicroRho::new(spent.micro_rho)));
        Self { subjects: status.subjects, spent: spent.collect() }
    }

    /// What private studies have spent of a hospital's budget.
    pub(crate) fn spent_by(&self, hospital: &HospitalId) -> MicroRho {
        self.spent.get(&hospital.to_string()).copied().unwrap_or_default()
    }

    /// The most that a study may spend, so that enough hospitals can still take part.
    pub(crate) fn left(&self, genesis: &Genesis) -> MicroRho {
        let DisclosurePolicy { privacy_budget, min_hospitals, .. } = genesis.policy;
        let left = |member| privacy_budget.saturating_sub(self.spent_by(member));
        let mut left: Vec<MicroRho> = genesis.member.iter().map(|member| left(&member.id)).collect();
        left.sort_unstable_by(|a, b| b.cmp(a));
        let needed = (genesis.member.len() / 2 + 1).max(min_hospitals as usize);
        left.get(needed - 1).copied().unwrap_or_default()
    }

    /// That no sum of the study can overflow over those who are enrolled.
    pub(crate) fn prove_bounds(&self, spec: &StudySpec) -> Result<(), StatisticsError> {
        prove_bounds(spec, &Layout::of(spec)?, self.subjects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Consortium, spec};

    fn now(spent: &[(usize, u64)], consortium: &Consortium) -> Now {
        let spent = spent.iter().map(|(i, millionths)| wire::PrivacySpent {
            hospital: consortium.hospital(*i).to_string(),
            micro_rho: *millionths,
        });
        Now::of(&wire::StatusReply { subjects: 1 << 24, privacy_spent: spent.collect(), ..Default::default() })
    }

    #[test]
    fn what_is_left_is_left_at_enough_hospitals() {
        let mut consortium = Consortium::new(4);
        consortium.genesis.policy.privacy_budget = MicroRho::new(100);
        let left =
            |spent: &[(usize, u64)], consortium: &Consortium| now(spent, consortium).left(&consortium.genesis).get();
        assert_eq!(left(&[], &consortium), 100);
        assert_eq!(left(&[(1, 90)], &consortium), 100, "three others are enough");
        assert_eq!(left(&[(0, 30), (1, 90)], &consortium), 70);
        consortium.genesis.policy.min_hospitals = 4;
        assert_eq!(left(&[(0, 30), (1, 90)], &consortium), 10);
    }

    #[test]
    fn sums_are_proved_for_those_who_are_enrolled() {
        let consortium = Consortium::new(3);
        let variance = r#"
            version = 1
            title = "T"
            description = "D"
            purpose = "HMB"
            declares = []
            [cohort]
            sql = "SELECT person_id, year_of_birth AS x FROM person"
            subject = "person_id"
            [[variable]]
            name = "x"
            min = 0
            max = 60000000
            resolution = 1
            [[statistic]]
            name = "V"
            kind = "variance"
            of = "x"
            by = []
        "#;
        let wide = StudySpec::from_toml(variance).expect("a valid study");
        let mut now = now(&[], &consortium);
        assert_eq!(now.prove_bounds(&spec(1)), Ok(()));
        assert!(matches!(now.prove_bounds(&wide), Err(StatisticsError::Overflow { .. })));
        now.subjects = 1_000;
        assert_eq!(now.prove_bounds(&wide), Ok(()));
    }
}
