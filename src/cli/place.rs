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

/// A folder, or a database by its URL. Paths are made absolute.
pub(crate) fn place(store: &OsStr, args: &DatabaseArgs) -> Result<Place, Failure> {
    let text = store.to_str().filter(|text| text.starts_with("postgresql://") || text.starts_with("postgres://"));
    let Some(text) = text else {
        let DatabaseArgs { schema, password_file, tls_root, no_tls } = args;
        if schema.is_some() || password_file.is_some() || tls_root.is_some() || *no_tls {
            return Err(Failure::new(
                "--schema, --password-file, --tls-root and --no-tls are about a database, and --store names a folder; leave them \
                 out, or give --store postgresql://…",
            ));
        }
        return Ok(Place::Folder(std::path::absolute(store)?));
    };
    let url: DatabaseUrl = text.parse().map_err(|error| Failure::new(format!("--store {error}")))?;
    let Some(schema) = args.schema.clone() else {
        return Err(Failure::new("--store names a database; name the schema with the OMOP tables with --schema"));
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
        Failure::new(format!("the store {error} (as options: --tls-root FILE, --no-tls, --store, --schema)"))
    })?;
    Ok(Place::Database(database))
}
