//! How long a store takes for a query as most studies begin.

use std::sync::Arc;
use std::time::{Duration, Instant};

use consilium_protocol::consent::{AllowedData, Domain, Opened};
use consilium_protocol::study::StudySpec;

use super::error::CohortError;
use super::run::{Limits, run_through};
use super::spelling::any_day;
use crate::gate::Gate;
use crate::store::table::{Role, Table};
use crate::store::{Store, Subjects, omop};

/// What was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The table.
    pub table: String,
    /// How long it took.
    pub took: Duration,
}

/// Counts the rows of every patient of one table, or of the largest of OMOP's, as if everybody consented, and forgets the result: the
/// second of two times, when the files have been read once. None where there is no such table with rows of patients.
///
/// # Errors
/// [`CohortError`].
pub async fn trial(store: &Store, table: Option<&str>, limits: &Limits) -> Result<Option<Trial>, CohortError> {
    let rows = |table: &&Arc<Table>| (table.rows, table.name.clone());
    let has_rows = |of: &&Arc<Table>| {
        table.is_none_or(|table| of.name == table)
            && omop::definition(&of.name).is_some()
            && !of.domains().is_empty()
            && of.rows.is_some_and(|rows| rows > 0)
    };
    let Some(table) = store.tables().filter(has_rows).max_by_key(rows) else { return Ok(None) };
    let Role::Patients { subject, .. } = table.role else { return Ok(None) };
    let (name, subject) = (&table.name, &table.columns[subject].name);
    let text = format!(
        "version = 1\ntitle = \"trial\"\ndescription = \"trial\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"open\"\n[cohort]\n\
         subject = \"{subject}\"\nsql = '''SELECT {subject}, count(*) AS n FROM {name} GROUP BY {subject}'''\n\
         [[variable]]\nname = \"n\"\nmin = 0\nmax = 1\nresolution = 1\n[[statistic]]\nname = \"n\"\nkind = \"count\"\n"
    );
    let spec = StudySpec::from_toml(&text).map_err(|_| CohortError::Internal)?;
    let everything: AllowedData = Domain::ALL.iter().map(|domain| (*domain, Opened::everything())).collect();
    let everybody: Vec<(i64, u32)> = store.people().iter().map(|person| (*person, 0)).collect();
    let gate = Gate::of(&everybody, &[everything]);
    let mut took = Duration::ZERO;
    for _ in 0..2 {
        let began = Instant::now();
        run_through(store, Arc::new(Subjects::none()), gate.clone(), &spec, any_day(), limits).await?;
        took = began.elapsed();
    }
    Ok(Some(Trial { table: name.clone(), took }))
}
