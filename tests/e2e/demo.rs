//! The happy path: the demo itself, small.

use std::process::Command;

use serde_json::Value;

use crate::support::{alone, program};

#[test]
fn the_demo_is_exact_and_leaves_nothing_behind() {
    alone(async || {
        let folder = tempfile::tempdir()?;
        let inside = folder.path().join("demo");
        let output = Command::new(program())
            .args(["demo", "--json", "--patients", "1500", "--seed", "3", "--folder"])
            .arg(&inside)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_str(&text)?;
        assert_eq!(report["exact"], true, "{:?}", report["differing"]);
        assert_eq!(report["cells"], report["equal"]);
        assert!(report["cells"].as_u64().unwrap() > 50);
        assert_eq!(report["roster"], 3, "one of four hospitals rejects");
        assert_eq!(report["audit"]["intact"], true);
        assert_eq!(report["ledger"]["nodes_agree"], true);
        assert!(report["history"]["uses"][0]["allowed"].as_bool().unwrap());
        // Every process is gone: nobody answers where the nodes were.
        let genesis = consilium::home::read_genesis(&inside.join("genesis.toml"))?;
        for member in &genesis.member {
            assert!(std::net::TcpStream::connect(&member.address).is_err(), "{} still runs", member.name);
        }
        Ok(())
    });
}
