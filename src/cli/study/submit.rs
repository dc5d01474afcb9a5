//! `study new` and `study submit`.

use std::path::PathBuf;

use consilium_engine::cells::StudySecretKey;
use consilium_protocol::study::study_id;
use consilium_protocol::tx::{Payload, ProposeStudy, Signer};
use serde_json::json;

use super::{folder, read_spec};
use crate::cli::{Failure, Global, connect, term};
use crate::home::files::{self, Readable};
use crate::home::{Home, Role};

/// The example that `study new` writes; the demo runs the same file.
pub(crate) const EXAMPLE: &str = include_str!("../../../examples/studies/glycaemia.toml");

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
    files::create(&args.file, EXAMPLE.as_bytes(), Readable::ByAll)?;
    term::show(global.json, &json!({ "file": args.file }), |_| {
        format!("{} is an example over OMOP tables. Change it, then: consilium study check {0}", args.file.display())
    });
    Ok(())
}

pub(super) async fn submit(args: &SubmitArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Researcher)?;
    let spec = read_spec(&args.file)?;
    consilium_engine::cohort::check(&spec).await.map_err(|e| {
        Failure::new(format!("{} cannot be used: {e}\nsee `consilium study check {0}`", args.file.display()))
    })?;
    let node = connect(&home, global).await?;
    let key = home.signing_key()?;
    let (secret, public) = StudySecretKey::generate()?;
    let canonical = spec.to_canonical();
    let public = public.to_bytes();
    let study = study_id(node.chain(), &key.researcher(), &canonical, &public);
    // The key is kept before the ledger knows of the study: a result that nobody can open helps nobody.
    let folder = folder(&home, &study);
    files::create_private_dir(&folder)?;
    files::create(&folder.join("secret.key"), &secret.to_bytes(), Readable::ByOwner)?;
    files::create(&folder.join("study.bin"), &canonical, Readable::ByAll)?;
    let spinner = term::spinner(format!("waiting until {} has it in a block", node.member.name));
    let payload = Payload::ProposeStudy(ProposeStudy { spec: canonical, public_key: public });
    let submitted = node.submit(Signer::Researcher(key.researcher()), &key, payload).await;
    spinner.finish_and_clear();
    let included = match submitted {
        Ok(included) => included,
        Err(error @ crate::net::client::ClientError::Rejected { .. }) => {
            // It will never be computed; its key opens nothing.
            let _ = std::fs::remove_dir_all(&folder);
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    term::show(global.json, &json!({ "study": study, "height": included.height, "tx": included.hash }), |_| {
        format!(
            "submitted in block {}\n\n  study  {study}\n\nThe key that opens its result is in {}; keep a copy.\n\
             Next: consilium study watch",
            included.height,
            folder.display()
        )
    });
    Ok(())
}
