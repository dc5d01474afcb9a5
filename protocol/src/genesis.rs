//! The founding document of a consortium: its members, its rules, its vocabulary. Every member starts from the same
//! bytes; their hash is the parent of the first block.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::catalogue::{self, CatalogueError, CatalogueTable};
use crate::consent::{Base, DiseaseTree, Diseases};
use crate::hash::tagged;
use crate::ids::{BlockHash, ChainId, ContentHash, HospitalId, LedgerId, Timestamp};
use crate::keys::{Signature, SigningKey};
use crate::lots::is_lot_key;
use crate::policy::{DisclosurePolicy, PolicyError};

/// The version of the genesis file that this program reads.
pub const GENESIS_VERSION: u16 = 1;
/// The most members of a consortium: what the encoding of cells has headroom for.
pub const MAX_MEMBERS: usize = 1_024;
/// How many slots of [`DisclosurePolicy::slot_seconds`] a round has at least: a hospital that just misses one must not miss
/// the round.
pub const MIN_SLOTS: u64 = 4;

/// The founding document.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// [`GENESIS_VERSION`].
    pub version: u16,
    /// The name of the ledger.
    pub chain_id: ChainId,
    /// When the consortium was founded, in milliseconds since 1970.
    pub time_ms: Timestamp,
    /// What may be released.
    pub policy: DisclosurePolicy,
    /// The base decisions that documents may have: `deny` for opt-in alone, `permit` where law allows opt-out.
    pub consent_base: Base,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// The disease vocabulary that purposes are matched with.
    #[serde(default)]
    pub disease: Vec<Diseases>,
    /// The tables that it has beside OMOP's, in ascending order of their names.
    #[serde(default)]
    pub table: Vec<CatalogueTable>,
    /// The founding members, in ascending order of their ids.
    pub member: Vec<Member>,
}

/// How long the steps of a study may take, by the time of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// From proposal until the study expires when too few hospitals have decided, in milliseconds.
    pub approval_ms: u64,
    /// From the moment that more than half approved until the round may open without the undecided, in milliseconds.
    pub grace_ms: u64,
    /// From the opening of a round until it may be failed, in milliseconds.
    pub round_ms: u64,
    /// From the day on which the desk gives a patient a new key until that key counts, in milliseconds.
    pub key_wait_ms: u64,
}

impl Default for Deadlines {
    /// Four weeks to decide, a day for latecomers, an hour to compute, three days to object.
    fn default() -> Self {
        Self { approval_ms: 28 * 86_400_000, grace_ms: 86_400_000, round_ms: 3_600_000, key_wait_ms: 3 * 86_400_000 }
    }
}

/// A founding member, as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The member's name for machines: its signing key.
    pub id: HospitalId,
    /// The member's name for people.
    pub name: String,
    /// Ed25519 key that signs blocks.
    #[serde(with = "hex_bytes")]
    pub consensus_key: [u8; 32],
    /// Ed25519 key of the member's consensus network identity.
    #[serde(with = "hex_bytes")]
    pub peer_key: [u8; 32],
    /// Key by which the member's lots are checked, when roles are drawn ([`crate::lots`]).
    #[serde(with = "hex_bytes")]
    pub lot_key: [u8; 32],
    /// SHA-256 of the member's TLS certificate in DER.
    pub tls_certificate: ContentHash,
    /// Where the member's gRPC services listen, `host:port`.
    pub address: String,
    /// Where the member's consensus listens, `host:port`.
    pub consensus_address: String,
    /// The member's signature over all of the above.
    #[serde(with = "hex_signature")]
    pub proof: Signature,
}

/// A genesis file that founds nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// Not TOML of the expected form; the text says where.
    #[error("{0}")]
    Toml(String),
    /// Of another version.
    #[error("the genesis file is of version {0}, this program reads version {GENESIS_VERSION}; use a matching release")]
    Version(u16),
    /// Too few or too many members.
    #[error("a consortium has 3 to {MAX_MEMBERS} members, the file lists {0}; collect every member's file again")]
    Members(usize),
    /// Members out of order or twice.
    #[error("members must be listed once each, in ascending order of id; make the file with `consilium genesis`")]
    Order,
    /// Two members with the same key, certificate or address.
    #[error("two members have the same {0}; ask them which of them is right")]
    Shared(&'static str),
    /// A member whose proof does not fit.
    #[error("the entry of member {0} was changed after its owner signed it; ask for the member file again")]
    Proof(HospitalId),
    /// A key that no lot can be checked by.
    #[error("the lot key of member {0} is none; ask for the member file again")]
    LotKey(HospitalId),
    /// A text that is empty or too long.
    #[error("member {0}: name and addresses have 1 to 200 bytes, addresses are host:port; ask for the file again")]
    Text(HospitalId),
    /// A policy that does not protect.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A table of its own that cannot be one.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A minimum that the founding members cannot reach.
    #[error(
        "the policy wants {wanted} hospitals a round, but there are only {members} members; lower it or wait for more"
    )]
    Unreachable {
        /// The policy's minimum.
        wanted: u32,
        /// How many members there are.
        members: usize,
    },
    /// A round that ends before hospitals can contribute to it.
    #[error(
        "a round of {round_ms} ms has fewer than {MIN_SLOTS} slots of {slot_seconds} s, at whose ends hospitals contribute; \
         make round_ms larger or slot_seconds smaller"
    )]
    Slots {
        /// How long a round may take.
        round_ms: u64,
        /// How long a slot is.
        slot_seconds: u32,
    },
}

impl Member {
    /// What the proof is over.
    fn message(&self) -> [u8; 32] {
        let mut unsigned = self.clone();
        unsigned.proof = Signature::from_bytes([0; 64]);
        // Writing to a vector cannot fail.
        tagged("consilium/member/v1", &[&borsh::to_vec(&unsigned).unwrap_or_default()])
    }

    /// Signs the entry with the member's own key.
    pub fn prove(&mut self, key: &SigningKey) {
        self.proof = key.sign(&self.message());
    }

    /// Whether the proof fits the entry.
    pub fn is_proven(&self) -> bool {
        self.proof.verifies(self.id.public_key(), &self.message())
    }
}

impl Genesis {
    /// Reads and checks a genesis file.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn from_toml(text: &str) -> Result<Self, GenesisError> {
        let genesis: Self =
            toml::from_str(text).map_err(|e| GenesisError::Toml(e.to_string().trim_end().to_string()))?;
        genesis.check()?;
        Ok(genesis)
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`GenesisError::Toml`] when a value has no TOML form.
    pub fn to_toml(&self) -> Result<String, GenesisError> {
        toml::to_string(self).map_err(|e| GenesisError::Toml(e.to_string()))
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// The first that is broken.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.version != GENESIS_VERSION {
            return Err(GenesisError::Version(self.version));
        }
        self.policy.check()?;
        catalogue::check(&self.table)?;
        let (round_ms, slot_seconds) = (self.deadlines.round_ms, self.policy.slot_seconds);
        if self.policy.slot_ms().saturating_mul(MIN_SLOTS) > round_ms {
            return Err(GenesisError::Slots { round_ms, slot_seconds });
        }
        let members = &self.member;
        if !(3..=MAX_MEMBERS).contains(&members.len()) {
            return Err(GenesisError::Members(members.len()));
        }
        if u64::from(self.policy.min_hospitals) > members.len() as u64 {
            return Err(GenesisError::Unreachable { wanted: self.policy.min_hospitals, members: members.len() });
        }
        if !members.windows(2).all(|pair| pair[0].id < pair[1].id) {
            return Err(GenesisError::Order);
        }
        for member in members {
            let fits = |text: &str| (1..=200).contains(&text.len()) && !text.contains(['\n', '\r']);
            let address =
                |text: &str| fits(text) && text.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
            if !fits(&member.name) || !address(&member.address) || !address(&member.consensus_address) {
                return Err(GenesisError::Text(member.id));
            }
            // The member could never approve a study.
            if !is_lot_key(&member.lot_key) {
                return Err(GenesisError::LotKey(member.id));
            }
            if !member.is_proven() {
                return Err(GenesisError::Proof(member.id));
            }
        }
        distinct(members.iter().map(|m| m.consensus_key), "consensus key")?;
        distinct(members.iter().map(|m| m.peer_key), "network key")?;
        distinct(members.iter().map(|m| m.lot_key), "lot key")?;
        distinct(members.iter().map(|m| m.tls_certificate), "TLS certificate")?;
        distinct(members.iter().map(|m| &m.address), "address")?;
        distinct(members.iter().map(|m| &m.consensus_address), "consensus address")?;
        distinct(members.iter().map(|m| &m.name), "name")
    }

    /// The hash of the founding document, parent of the first block.
    pub fn hash(&self) -> BlockHash {
        // Writing to a vector cannot fail.
        BlockHash::from_bytes(tagged("consilium/genesis/v1", &[&borsh::to_vec(self).unwrap_or_default()]))
    }

    /// The ledger that this founds.
    pub fn ledger(&self) -> LedgerId {
        LedgerId::from_bytes(*self.hash().as_bytes())
    }

    /// The member of this id.
    pub fn member(&self, id: &HospitalId) -> Option<&Member> {
        self.member.iter().find(|m| m.id == *id)
    }

    /// The disease vocabulary.
    pub fn diseases(&self) -> DiseaseTree {
        DiseaseTree::new(&self.disease)
    }
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>, what: &'static str) -> Result<(), GenesisError> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value) {
            return Err(GenesisError::Shared(what));
        }
    }
    Ok(())
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        let mut bytes = [0u8; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| serde::de::Error::custom("expected 64 hexadecimal digits; copy the member file again"))?;
        Ok(bytes)
    }
}

mod hex_signature {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::keys::Signature;

    pub(super) fn serialize<S: Serializer>(signature: &Signature, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(signature.as_bytes()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        let mut bytes = [0u8; 64];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| serde::de::Error::custom("expected 128 hexadecimal digits; copy the member file again"))?;
        Ok(Signature::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(seed: u8) -> Member {
        let key = SigningKey::from_seed(&[seed; 32]);
        let mut member = Member {
            id: key.hospital(),
            name: format!("Hospital {seed}"),
            consensus_key: [seed; 32],
            peer_key: [seed; 32],
            lot_key: lot_key(seed),
            tls_certificate: ContentHash::from_bytes([seed; 32]),
            address: format!("127.0.0.1:{}", 7000 + u16::from(seed)),
            consensus_address: format!("127.0.0.1:{}", 8000 + u16::from(seed)),
            proof: Signature::from_bytes([0; 64]),
        };
        member.prove(&key);
        member
    }

    fn lot_key(seed: u8) -> [u8; 32] {
        let mut bytes = zeroize::Zeroizing::new([seed; 32]);
        bytes[31] = 0;
        crate::lots::LotKey::from_seed(bytes).expect("a scalar").public_key()
    }

    fn genesis() -> Genesis {
        let mut members: Vec<Member> = (1..=3).map(member).collect();
        members.sort_by_key(|m| m.id);
        Genesis {
            version: GENESIS_VERSION,
            chain_id: ChainId::new("test").expect("a chain id"),
            time_ms: Timestamp::new(1),
            policy: DisclosurePolicy::default(),
            consent_base: Base::Deny,
            deadlines: Deadlines::default(),
            disease: Vec::new(),
            table: Vec::new(),
            member: members,
        }
    }

    /// Changes a member and has it sign its entry again.
    fn with(position: usize, change: impl FnOnce(&mut Member)) -> Genesis {
        let mut genesis = genesis();
        change(&mut genesis.member[position]);
        for seed in 1..=3 {
            let key = SigningKey::from_seed(&[seed; 32]);
            if key.hospital() == genesis.member[position].id {
                genesis.member[position].prove(&key);
            }
        }
        genesis
    }

    #[test]
    fn a_genesis_file_reads_back() {
        let text = genesis().to_toml().expect("a file");
        let again = Genesis::from_toml(&text).expect("a genesis file");
        assert_eq!(again, genesis());
        assert_eq!(again.hash(), genesis().hash());
        assert!(Genesis::from_toml(&text.replace("version = 1", "version = 1\nextra = 2")).is_err());
    }

    #[test]
    fn every_rule_is_checked() {
        assert_eq!(genesis().check(), Ok(()));
        let mut version = genesis();
        version.version = 2;
        assert_eq!(version.check(), Err(GenesisError::Version(2)));
        let mut few = genesis();
        few.member.pop();
        assert_eq!(few.check(), Err(GenesisError::Members(2)));
        let mut order = genesis();
        order.member.swap(0, 1);
        assert_eq!(order.check(), Err(GenesisError::Order));
        let mut changed = genesis();
        changed.member[1].address = "127.0.0.1:1".to_string();
        assert_eq!(changed.check(), Err(GenesisError::Proof(changed.member[1].id)));
        let id = genesis().member[1].id;
        assert_eq!(with(1, |m| m.name = String::new()).check(), Err(GenesisError::Text(id)));
        assert_eq!(with(1, |m| m.address = "nowhere".to_string()).check(), Err(GenesisError::Text(id)));
        assert_eq!(with(1, |m| m.lot_key = [0; 32]).check(), Err(GenesisError::LotKey(id)));
        let other = genesis().member[0].clone();
        assert_eq!(
            with(1, |m| m.consensus_key = other.consensus_key).check(),
            Err(GenesisError::Shared("consensus key"))
        );
        assert_eq!(with(1, |m| m.lot_key = other.lot_key).check(), Err(GenesisError::Shared("lot key")));
        assert_eq!(with(1, |m| m.name.clone_from(&other.name)).check(), Err(GenesisError::Shared("name")));
        let mut policy = genesis();
        policy.policy.min_hospitals = 2;
        assert_eq!(policy.check(), Err(GenesisError::Policy(PolicyError::TooFewHospitals)));
        policy.policy.min_hospitals = 4;
        assert_eq!(policy.check(), Err(GenesisError::Unreachable { wanted: 4, members: 3 }));
        let mut table = genesis();
        let text = "name = \"Labs\"\nsubject = \"patient\"\ndomain = \"measurement\"";
        table.table.push(toml::from_str(text).expect("a table"));
        assert!(matches!(table.check(), Err(GenesisError::Catalogue(_))));
        let mut slots = genesis();
        slots.deadlines.round_ms = 60_000;
        assert_eq!(slots.check(), Ok(()));
        slots.policy.slot_seconds = 16;
        assert_eq!(slots.check(), Err(GenesisError::Slots { round_ms: 60_000, slot_seconds: 16 }));
    }
}
