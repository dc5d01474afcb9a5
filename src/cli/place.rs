//! Where a hospital's tables are, as commands are told.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use consilium_engine::store::{DatabaseConfig, DatabaseUrl, Place, Tls};

use super::Failure;

/// How a database is reached; of no use with a folder.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct DatabaseArgs {
    /// The schema with the OMOP tables, where the store is a database
    #[arg(long, value_name = "NAME")]
    pub(crate) schema: Option<String>,
    /// The file with the database's password (default: the environment's CONSILIUM_STORE_PASSWORD)
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The PEM file with the certificate that the database server's is issued by
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_root: Option<PathBuf>,
    /// Reach a database at a loopback address without TLS
    #[arg(long)]
    pub(crate) no_tls: bool,
}

/// Refuses a folder that was given and is none.
pub(crate) fn check_folder(place: &Place) -> Result<(), Failure> {
    let Place::Folder(folder) = place else { return Ok(()) };
    let shown = folder.display();
    if folder.is_file() {
        let parent = folder.parent().unwrap_or(folder).display();
        return Err(Failure::new(format!("{shown} is a file; give its folder, {parent}, with --store")));
    }
    if !folder.is_dir() {
        return Err(Failure::new(format!("there is no folder {shown}; name the one with the tables with --store")));
    }
    Ok(())
}

/// The scheme of an URL that is no database's which is read here; none of a path.
fn other_scheme(store: &str) -> Option<&str> {
    let (scheme, _) = store.split_once(':')?;
    let is_scheme =
        scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_read = ["postgresql://", "postgres://"].iter().any(|known| store.starts_with(known));
    (is_scheme && !is_read && !Path::new(store).exists()).then(|| &store[..=scheme.len()])
}

impl DatabaseArgs {
    /// Refuses what is about a database where no store is named at all.
    pub(crate) fn check_unused(&self) -> Result<(), Failure> {
        let Self { schema, password_file, tls_root, no_tls } = self;
        match schema.is_some() || password_file.is_some() || tls_root.is_some() || *no_tls {
            false => Ok(()),
            true => Err(Failure::usage(
                "--schema, --password-file, --tls-root and --no-tls go with --store postgresql://…; name the database, or leave \
                 them out",
            )),
        }
    }
}

/// A folder, or a database by its URL. Paths are made absolute.
pub(crate) fn place(store: &OsStr, args: &DatabaseArgs) -> Result<Place, Failure> {
    if let Some(scheme) = store.to_str().and_then(other_scheme) {
        return Err(Failure::usage(format!(
            "--store {scheme}… is nothing that is read here; give a folder, or a database as postgresql://USER@HOST/DATABASE"
        )));
    }
    let text = store.to_str().filter(|text| text.starts_with("postgresql://") || text.starts_with("postgres://"));
    let Some(text) = text else {
        let DatabaseArgs { schema, password_file, tls_root, no_tls } = args;
        if schema.is_some() || password_file.is_some() || tls_root.is_some() || *no_tls {
            return Err(Failure::usage(
                "--schema, --password-file, --tls-root and --no-tls are about a database, and --store names a folder; leave them \
                 out, or give --store postgresql://…",
            ));
        }
        return Ok(Place::Folder(std::path::absolute(store)?));
    };
    let url: DatabaseUrl = text.parse().map_err(|error| Failure::usage(format!("--store {error}")))?;
    let Some(schema) = args.schema.clone() else {
        return Err(Failure::usage("--store names a database; name the schema with the OMOP tables with --schema"));
    };
    let absolute = |path: &Option<PathBuf>| path.as_deref().map(|path: &Path| std::path::absolute(path)).transpose();
    let database = DatabaseConfig {
        url,
        schema,
        password_file: absolute(&args.password_file)?,
        tls_root: absolute(&args.tls_root)?,
        tls: args.no_tls.then_some(Tls::Off),
        connections: DatabaseConfig::CONNECTIONS,
    };
    database.check().map_err(|error| {
        Failure::usage(format!("the store {error} (as options: --tls-root FILE, --no-tls, --store, --schema)"))
    })?;
    Ok(Place::Database(database))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    #[test]
    fn what_is_at_odds_is_wrong_usage() {
        let of = |store: &str, args: &DatabaseArgs| place(OsStr::new(store), args).map_err(|error| error.exit);
        let (none, schema) =
            (DatabaseArgs::default(), DatabaseArgs { schema: Some("cdm".to_string()), ..Default::default() });
        let no_tls = DatabaseArgs { no_tls: true, ..Default::default() };
        for (store, args) in [
            ("postgresql://u@db.example/omop", &none),
            ("postgresql://u:secret@db.example/omop", &schema),
            ("/srv/omop", &schema),
            ("/srv/omop", &no_tls),
            ("jdbc:postgresql://db/omop", &schema),
            ("mysql://db/omop", &schema),
            ("file:///srv/omop", &none),
        ] {
            assert_eq!(of(store, args), Err(Exit::Usage), "{store}");
        }
        assert!(of("/srv/omop", &none).is_ok() && of("C:\\omop", &none).is_ok());
        assert_eq!(schema.check_unused().map_err(|error| error.exit), Err(Exit::Usage));
        assert!(none.check_unused().is_ok());
    }
}
