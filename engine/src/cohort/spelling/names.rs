//! The names that WITH gives, each where it stands for its query.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::Query;

use crate::cohort::parse::normal;

/// Follows a visit from query to query.
#[derive(Default)]
pub(in crate::cohort) struct Names(Vec<Open>);

/// A query around the place that is visited.
struct Open {
    /// The names whose queries are still to come, the last first: none of these knows itself or one after it.
    coming: Vec<String>,
    known: BTreeSet<String>,
}

impl Names {
    /// A query begins.
    pub(in crate::cohort) fn enter(&mut self, query: &Query) {
        let names = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| normal(&cte.alias.name));
        self.0.push(Open { coming: names.rev().collect(), known: BTreeSet::new() });
    }

    /// A query ends. Those of WITH come before all others of the query around.
    pub(in crate::cohort) fn leave(&mut self) {
        self.0.pop();
        if let Some(around) = self.0.last_mut()
            && let Some(name) = around.coming.pop()
        {
            around.known.insert(name);
        }
    }

    /// Whether a table of this name is such a query.
    pub(in crate::cohort) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|open| open.known.contains(name))
    }
}
