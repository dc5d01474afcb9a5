//! What a worker takes away from itself.

use std::fs;
use std::path::Path;

use consilium_engine::worker::Isolation;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior, setpriority_process};

/// As much as the kernel can: to read this folder, and no other file; no TCP but over sockets that it is given; the lowest
/// priority.
pub(super) fn restrict(folder: Option<&Path>) -> Isolation {
    // First, while there are still files to write: whoever is not dumpable does not own these.
    let first_to_go = fs::write("/proc/self/oom_score_adj", "1000").is_ok();
    Isolation {
        first_to_go,
        lowest_priority: setpriority_process(None, 19).is_ok(),
        not_dumpable: set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok(),
        landlock: landlock(folder).unwrap_or(0),
    }
}

/// The version of Landlock's interface that is in force.
fn landlock(folder: Option<&Path>) -> Result<u32, RulesetError> {
    let abi = ABI::V6;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?;
    // A folder that is not there is reported by whoever opens the store.
    if let Some(folder) = folder.and_then(|folder| PathFd::new(folder).ok()) {
        rules = rules.add_rule(PathBeneath::new(folder, AccessFs::ReadFile | AccessFs::ReadDir))?;
    }
    let status = rules.restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.no_new_privs => effective_abi as u32,
        LandlockStatus::Available { .. } | LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    })
}
