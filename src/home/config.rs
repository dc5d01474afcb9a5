//! A hospital node's configuration, `consilium.toml` in its home. Unknown fields are refused; whatever is left out has a
//! safe default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use consilium_engine::store::StoreConfig;
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use serde::{Deserialize, Serialize};

use super::files::{self, FileError};
use crate::worker::Bounds;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not TOML, or has fields that do not exist; the text says where.
    #[error("{path}: {text}\ncorrect the file, then run `consilium config check`")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        text: String,
    },
    /// A value that makes no sense.
    #[error("{path}: {field} {what}; correct the file, then run `consilium config check`")]
    Value {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

/// The whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Where to listen.
    pub listen: Listen,
    /// Where the hospital's tables are.
    pub store: StoreConfig,
    /// Stricter thresholds than the consortium's; left out, the consortium's hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<OwnPolicy>,
    /// What a study may use up.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How consensus is timed.
    #[serde(default)]
    pub consensus: ConsensusTiming,
    /// What is logged.
    #[serde(default)]
    pub log: LogConfig,
}

/// Thresholds that a hospital sets stricter than the consortium; what is left out stays as the consortium has it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnPolicy {
    /// See [`DisclosurePolicy::min_joint_count`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_joint_count: Option<u32>,
    /// See [`DisclosurePolicy::min_site_count`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_site_count: Option<u32>,
    /// See [`DisclosurePolicy::min_hospitals`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_hospitals: Option<u32>,
    /// See [`DisclosurePolicy::open_studies`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_studies: Option<bool>,
    /// See [`DisclosurePolicy::privacy_budget`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy_budget: Option<MicroRho>,
}

impl OwnPolicy {
    /// The policy that holds at this hospital.
    pub fn over(&self, consortium: &DisclosurePolicy) -> DisclosurePolicy {
        DisclosurePolicy {
            min_joint_count: self.min_joint_count.unwrap_or(consortium.min_joint_count),
            min_site_count: self.min_site_count.unwrap_or(consortium.min_site_count),
            min_hospitals: self.min_hospitals.unwrap_or(consortium.min_hospitals),
            open_studies: self.open_studies.unwrap_or(consortium.open_studies),
            privacy_budget: self.privacy_budget.unwrap_or(consortium.privacy_budget),
            ..*consortium
        }
    }
}

/// Addresses to bind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// gRPC, for people's programs and other members.
    pub grpc: SocketAddr,
    /// Consensus.
    pub consensus: SocketAddr,
    /// Prometheus metrics and health over HTTP; best kept on loopback.
    pub metrics: SocketAddr,
}

/// What one study may use up at this hospital.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Memory of a study's worker beside what it holds of the store, in mebibytes.
    pub memory_mib: u64,
    /// Time of a study, from planning to counting, in seconds.
    pub seconds: u64,
    /// Threads of the worker; left out, all cores but one, which is consensus's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
}

impl LimitsConfig {
    /// What a worker may use up.
    pub fn bounds(&self) -> Bounds {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = self.threads.unwrap_or(cores.saturating_sub(1)).max(1);
        let time = Duration::from_secs(self.seconds);
        Bounds {
            memory_bytes: self.memory_mib.saturating_mul(1 << 20),
            time,
            processor: time.saturating_mul(u32::try_from(threads).unwrap_or(u32::MAX)),
            threads,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { memory_mib: 2_048, seconds: 600, threads: None }
    }
}

/// How consensus is timed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsensusTiming {
    /// An empty block is made after so long without transactions, in milliseconds.
    pub heartbeat_ms: u64,
}

impl Default for ConsensusTiming {
    fn default() -> Self {
        Self { heartbeat_ms: 10_000 }
    }
}

/// What is logged.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A filter of the `tracing` form, for example `info` or `warn,consilium=debug`.
    pub filter: String,
    /// One JSON object a line instead of text.
    pub json: bool,
}

/// What this program says, and what goes wrong elsewhere; but not the consensus network's account of every attempt to
/// reach a member that is down, nor of its own end: the node says who is connected.
const QUIET: &str = "warn,consilium=info,arc_malachitebft_discovery=off,arc_malachitebft_network=off,\
                     arc_malachitebft_engine::network=off,arc_malachitebft_engine::node=error";

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: QUIET.to_string(), json: false }
    }
}

/// What is wrong with a file, and in which line. The line itself may have a password in it, and is not repeated.
fn without_lines(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_string(),
    }
}

/// The file's name in a home.
pub const FILE: &str = "consilium.toml";

impl NodeConfig {
    /// Reads and checks the configuration of a home. Relative paths of the store are taken from the home.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(home: &Path) -> Result<Self, ConfigError> {
        let path = home.join(FILE);
        let text = files::read_text(&path, 1_048_576)?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|e| ConfigError::Toml { path: path.clone(), text: without_lines(&e, &text) })?;
        config.check(&path)?;
        config.store.place.within(home);
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let refuse = |field, what| Err(ConfigError::Value { path: path.to_path_buf(), field, what });
        if self.limits.memory_mib < 64 {
            return refuse("limits.memory_mib", "is below 64, too little for any query");
        }
        if self.limits.seconds == 0 {
            return refuse("limits.seconds", "is 0, so that every query would be stopped at once");
        }
        if self.limits.threads.is_some_and(|threads| !(1..=1_024).contains(&threads)) {
            return refuse("limits.threads", "must be from 1 to 1024; leave it out for all cores but one");
        }
        if !(100..=600_000).contains(&self.consensus.heartbeat_ms) {
            return refuse("consensus.heartbeat_ms", "must be from 100 to 600000");
        }
        if tracing_subscriber::EnvFilter::try_new(&self.log.filter).is_err() {
            return refuse("log.filter", "is no filter; `info` is usual");
        }
        let ports = [self.listen.grpc, self.listen.consensus, self.listen.metrics];
        let same = |a: SocketAddr, b: SocketAddr| a == b && a.port() != 0;
        if same(ports[0], ports[1]) || same(ports[0], ports[2]) || same(ports[1], ports[2]) {
            return refuse("listen", "uses one address twice");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_password_is_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let listen = "[listen]\ngrpc = \"127.0.0.1:1\"\nconsensus = \"127.0.0.1:2\"\nmetrics = \"127.0.0.1:3\"\n";
        for url in ["postgresql://u:SECRET@h/d", "postgresql://u@h/d?password=SECRET"] {
            let text = format!("{listen}[store]\nschema = \"cdm\"\nurl = \"{url}\"\n");
            std::fs::write(folder.path().join(FILE), text).expect("written");
            let error = NodeConfig::read(folder.path()).expect_err("a password in an URL").to_string();
            assert!(error.contains("line ") && !error.contains("SECRET"), "{error}");
        }
    }
}
