//! Which values of a row tell of other days than the row's own.
//!
//! A row is of one day, the one that consent's windows are about, but says more: when a visit ended, how often a drug was
//! given within an era, for how many days it was supplied. Where a patient opens some days and not others, such a value
//! is shown only as far as the days that it tells of are open.

use super::kind::Kind;
use super::table::{Column, Dating, Role, Table};

/// The last day (or the first) that a value tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The value itself.
    Itself,
    /// The date in the column at this position.
    Column(usize),
    /// The last of as many days as the value counts, the row's own being the first.
    Counted,
    /// One that the row does not say.
    Unsaid,
}

/// What a value tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// It tells of the days between the row's own and this one.
    pub(crate) end: End,
    /// Whether it also tells that the patient died on its last day, or had not died before.
    pub(crate) death: bool,
}

/// Up to when the values reach that are no dates: table, column, and the column with the last day.
///
/// An era's numbers count what happened until its end. `gap_days` and the counts would tell, with the end hidden, that
/// there was more. Where somebody went from a visit is known when it ends, and why a plan stopped. `preceding_visit_…` says
/// that there was an earlier visit, and not when; so does an episode's number and parent of another one.
const REACHING: &[(&str, &str, Reaching)] = &[
    ("visit_occurrence", "discharged_to_concept_id", Reaching::Until("visit_end_date")),
    ("visit_occurrence", "preceding_visit_occurrence_id", Reaching::Elsewhere),
    ("visit_detail", "discharged_to_concept_id", Reaching::Until("visit_detail_end_date")),
    ("visit_detail", "preceding_visit_detail_id", Reaching::Elsewhere),
    ("condition_era", "condition_occurrence_count", Reaching::Until("condition_era_end_date")),
    ("drug_exposure", "days_supply", Reaching::Days),
    ("drug_era", "drug_exposure_count", Reaching::Until("drug_era_end_date")),
    ("payer_plan_period", "stop_reason_concept_id", Reaching::Until("payer_plan_period_end_date")),
    ("payer_plan_period", "stop_reason_source_concept_id", Reaching::Until("payer_plan_period_end_date")),
    ("episode", "episode_parent_id", Reaching::Elsewhere),
    ("episode", "episode_number", Reaching::Elsewhere),
    ("drug_era", "gap_days", Reaching::Until("drug_era_end_date")),
];

/// What tells of a death: by OMOP's convention an observation period ends with it at the latest, as a payer's plan does, which
/// it may have stopped; and one of the places to which a visit discharges is death.
const OF_DEATH: &[(&str, &str)] = &[
    ("observation_period", "observation_period_end_date"),
    ("payer_plan_period", "payer_plan_period_end_date"),
    ("payer_plan_period", "stop_reason_concept_id"),
    ("payer_plan_period", "stop_reason_source_concept_id"),
    ("visit_occurrence", "discharged_to_concept_id"),
    ("visit_detail", "discharged_to_concept_id"),
];

enum Reaching {
    Until(&'static str),
    Days,
    Elsewhere,
}

/// What the values of a table's column tell of, if of other days than their row's own. The lists above are about OMOP's
/// tables; of a declared table, whose name is never one of OMOP's, its dates are known to reach, and nothing else.
pub(crate) fn reach(table: &Table, column: usize) -> Option<Reach> {
    let Role::Patients { dating, .. } = table.role else { return None };
    let Column { name, kind, .. } = table.columns.get(column)?;
    if dating == Dating::Column(column) {
        return None;
    }
    let listed = REACHING.iter().find(|(of, reaching, _)| *of == table.name && reaching == name);
    let end = match (listed, kind) {
        (Some((.., Reaching::Until(last))), _) => {
            table.columns.iter().position(|c| c.name == *last).map_or(End::Unsaid, End::Column)
        }
        (Some((.., Reaching::Days)), _) => End::Counted,
        (Some((.., Reaching::Elsewhere)), _) => End::Unsaid,
        (None, Kind::Date | Kind::Moment) => End::Itself,
        (None, _) => return None,
    };
    Some(Reach { end, death: OF_DEATH.contains(&(table.name.as_str(), name.as_str())) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::omop;

    fn of(table: &str, column: &str) -> Option<Reach> {
        let table = Table::empty(omop::definition(table).expect("a table"));
        reach(&table, table.columns.iter().position(|c| c.name == column).expect("a column"))
    }

    #[test]
    fn the_lists_name_columns_that_there_are() {
        let listed = REACHING.iter().map(|(table, column, _)| (*table, *column));
        for (table, column) in listed.chain(OF_DEATH.iter().copied()) {
            assert!(of(table, column).is_some(), "{table}.{column}");
        }
        for (table, column, reaching) in REACHING {
            let Reaching::Until(last) = reaching else { continue };
            let definition = omop::definition(table).expect("a table");
            assert!(definition.columns.contains(&(last, Kind::Date)), "{table}.{column} reaches until {last}");
        }
    }

    #[test]
    fn every_date_but_the_row_s_own_reaches() {
        for definition in omop::TABLES.iter().filter(|definition| !definition.domains.is_empty()) {
            for (column, kind) in
                definition.columns.iter().filter(|(_, kind)| matches!(kind, Kind::Date | Kind::Moment))
            {
                let own = definition.date == Some(column);
                let reach = of(definition.name, column);
                assert_eq!(reach.is_none(), own, "{}.{column}: {kind:?}", definition.name);
                assert!(reach.is_none_or(|reach| reach.end == End::Itself));
            }
        }
        assert_eq!(of("condition_occurrence", "condition_concept_id"), None);
        assert_eq!(of("concept", "valid_end_date"), None);
    }

    #[test]
    fn without_its_last_day_a_value_reaches_who_knows_where() {
        let mut table = Table::empty(omop::definition("drug_era").expect("a table"));
        table.columns.retain(|column| column.name != "drug_era_end_date");
        let gap = table.columns.iter().position(|c| c.name == "gap_days").expect("a column");
        assert_eq!(reach(&table, gap).map(|reach| reach.end), Some(End::Unsaid));
    }
}
