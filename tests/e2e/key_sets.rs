//! Of a custodian's sets of keys one is drawn, and everybody looks at the others before anything is encrypted for it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use consilium::cli::{opened, propose};
use consilium::demo::acts::follow;
use consilium_protocol::genesis::Deadlines;

use crate::guarded::{by_age, roles, study};
use crate::support::{QUICK, World, alone, assert_phase};

const PATIENT: Deadlines = Deadlines { round_ms: 60_000, ..QUICK };

/// The file of a home that says what its keys for a guarded round are made of, once it is there.
async fn secrets(home: &Path) -> PathBuf {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found = std::fs::read_dir(home.join("secrets").join("guard")).into_iter().flatten();
        let is_set = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "set");
        if let Some(path) = found.filter_map(|entry| Some(entry.ok()?.path())).find(is_set) {
            return path;
        }
        assert!(Instant::now() < deadline, "no keys are made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Writes a file in one step, readable by its owner alone.
fn write(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes).expect("written");
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).expect("private");
    std::fs::rename(&beside, path).expect("in its place");
}

#[test]
fn a_custodian_whose_other_keys_are_not_what_they_should_be_is_named() {
    alone(async || {
        let mut world = World::found_as([200; 4], PATIENT, |policy| policy.key_sets = 3)?;
        world.open().await?;
        let node = world.node().await?;
        let id = propose(&world.researcher, &node, &by_age("protection = \"guarded\"")).await?.0;
        // Whoever becomes custodian gives other seeds than those that its keys are made of, as one would whose keys are crafted.
        let mut homes = Vec::new();
        for hospital in &world.consortium.hospitals {
            let path = secrets(&hospital.home).await;
            let bytes = std::fs::read(&path).expect("a file");
            let mut other = bytes.clone();
            // Three seeds after their number, of which the first stays: whichever is drawn, one that is opened is another.
            for at in [36, 68] {
                other[at] ^= 1;
            }
            write(&path, &other);
            homes.push((path, bytes));
        }
        for position in 0..4 {
            world.consortium.approve(position, id).await?;
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        let first = loop {
            if let Some(round) = study(&node, &id).await?.rounds.first() {
                break round.clone();
            }
            assert!(Instant::now() < deadline, "no round opens");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let (_, custodian) = roles(&world, &first);
        for (position, (path, bytes)) in homes.iter().enumerate().filter(|(position, _)| *position != custodian) {
            assert!(path.exists(), "hospital {position} has its keys");
            write(path, bytes);
        }

        let reply = follow(&node, &id, Duration::from_secs(180)).await?;
        assert_phase(&reply, "released");
        let rosters: Vec<usize> = reply.rounds.iter().map(|round| round.roster.len()).collect();
        assert_eq!(rosters, [4, 3], "{:?}", reply.rounds[0].accusations);
        let accused = world.consortium.hospitals[custodian].member.id.to_string();
        // The custodian's node trusts its own keys, and may have contributed while the others looked at them.
        assert!(
            reply.rounds[0].contributions.iter().all(|contribution| contribution.hospital == accused),
            "something was encrypted for keys that are not what they should be"
        );
        let [said] = &reply.rounds[0].accusations[..] else { panic!("{:?}", reply.rounds[0].accusations) };
        assert_eq!((&said.accused, said.fault.as_str(), said.blamed), (&accused, "key_sets", true));
        let guard = reply.rounds[1].guard.clone().expect("a guard");
        assert_eq!(
            (guard.spare_key_sets, guard.closed_key_sets),
            (2, 0),
            "the others' were looked at, and found right"
        );
        let result = opened(&world.researcher, &node, &id).await?;
        assert_eq!(result.get().statistics[0].rows[0].measures[0].value.value(), Some(600.0), "three hospitals of 200");
        Ok(())
    });
}
