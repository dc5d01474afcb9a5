//! `study new` and `study submit`.

use std::path::PathBuf;

use consilium_engine::cells::StudySecretKey;
use consilium_protocol::hash;
use consilium_protocol::ids::StudyId;
use consilium_protocol::kem::KemSecretKey;
use consilium_protocol::study::{StudySpec, study_id};
use consilium_protocol::tx::{Payload, ProposeStudy, Signer};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Now, folder, read_spec};
use crate::cli::{Failure, Global, connect, term, word};
use crate::home::files::{self, Readable};
use crate::home::{Home, Role};
use crate::net::client::{ClientError, Included, Node};

/// The open study that the demo runs.
pub(crate) const OPEN: &str = include_str!("../../../examples/studies/glycaemia.toml");
/// The guarded study that the demo runs, and `study new` writes: every consortium allows it.
pub(crate) const GUARDED: &str = include_str!("../../../examples/studies/stroke.toml");

/// `study new`
#[derive(clap::Args, Debug)]
pub(crate) struct NewArgs {
    /// Where to write it
    #[arg(default_value = "study.toml")]
    file: PathBuf,
}

/// `study submit`
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  consilium study submit study.toml && consilium study watch")]
pub(crate) struct SubmitArgs {
    /// The study file
    file: PathBuf,
}

pub(super) fn new(args: &NewArgs, global: &Global) -> Result<(), Failure> {
    files::create(&args.file, GUARDED.as_bytes(), Readable::ByAll)?;
    term::show(global.json, &json!({ "file": args.file }), |_| {
        let next = global.next(&format!("study check {}", word(&args.file)));
        format!("{} is an example over OMOP tables. Change it, then: {next}", args.file.display())
    });
    Ok(())
}

pub(super) async fn submit(args: &SubmitArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Researcher)?;
    let (spec, _) = read_spec(&args.file, global, None).await?;
    let node = connect(&home, global).await?;
    let genesis = home.genesis()?;
    let of_file = |failure: Failure| failure.of_file(&args.file);
    super::protection::possible(&spec, &genesis).map_err(of_file)?;
    let now = Now::ask(&node).await?;
    now.prove_bounds(&spec).map_err(|error| of_file(error.into()))?;
    super::protection::affordable(&spec, &genesis, &now).map_err(of_file)?;
    if let Some(earlier) = submitted_before(&home, &spec) {
        term::warn(format!("the same study was submitted before, as {earlier}; withdraw the one that is not needed"));
    }
    let spinner = term::spinner(format!("waiting until {} has it in a block", node.member.name));
    let proposed = propose(&home, &node, &spec).await;
    spinner.finish_and_clear();
    let (study, included) = proposed?;
    let folder = folder(&home, &study);
    term::show(global.json, &json!({ "study": study, "height": included.height, "tx": included.hash }), |_| {
        format!(
            "submitted in block {}\n\n  study        {study}\n  transaction  {}\n\nThe key that opens its result is in {}; \
             keep a copy.\nNext: {}",
            included.height,
            included.hash,
            folder.display(),
            global.next("study watch")
        )
    });
    Ok(())
}

/// The folder's name of a study of this home that asks for the same.
fn submitted_before(home: &Home, spec: &StudySpec) -> Option<String> {
    let canonical = spec.to_canonical();
    let studies = std::fs::read_dir(home.path().join("studies")).ok()?;
    let same =
        |folder: &std::fs::DirEntry| std::fs::read(folder.path().join("study.bin")).is_ok_and(|b| b == canonical);
    let earlier = studies.filter_map(Result::ok).find(same)?;
    Some(earlier.file_name().to_string_lossy().into_owned())
}

/// Proposes a study; the key that opens its result stays in the researcher's home.
///
/// # Errors
/// [`Failure`] when the ledger refuses or does not answer.
pub async fn propose(home: &Home, node: &Node, spec: &StudySpec) -> Result<(StudyId, Included), Failure> {
    let key = home.signing_key()?;
    let (secret, public) = StudySecretKey::generate()?;
    let (canonical, public_key) = (spec.to_canonical(), public.to_bytes());
    let secret = secret.to_bytes();
    let sealing_key = sealing_key(&secret).public_key();
    let study = study_id(node.ledger_id(), &key.researcher(), &canonical, &public_key, &sealing_key);
    // The key is kept before the ledger knows of the study: a result that nobody can open helps nobody.
    let folder = folder(home, &study);
    files::create_private_dir(&folder)?;
    files::create(&folder.join("secret.key"), &secret, Readable::ByOwner)?;
    files::create(&folder.join("study.bin"), &canonical, Readable::ByAll)?;
    let payload = Payload::ProposeStudy(ProposeStudy { spec: canonical, public_key, sealing_key });
    match node.submit(Signer::Researcher(key.researcher()), &key, payload).await {
        Ok(included) => Ok((study, included)),
        Err(error @ ClientError::Rejected { .. }) => {
            // It will never be computed; its key opens nothing.
            let _ = std::fs::remove_dir_all(&folder);
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The key to which a custodian seals what passed, of the bytes of the study's secret key: who has one has both.
pub(crate) fn sealing_key(secret: &[u8]) -> KemSecretKey {
    KemSecretKey::from_seed(Zeroizing::new(hash::tagged("consilium/study-sealing-key/v1", &[secret])))
}
