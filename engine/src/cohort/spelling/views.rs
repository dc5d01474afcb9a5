//! Tables that epidemiologists make again and again, under a name each.
//!
//! | written in FROM | has a row for | with |
//! |---|---|---|
//! | `persons` | every patient | `person_id`, `gender_concept_id`, `year_of_birth`, `observation_start`, `observation_end`, `observation_days` |
//! | `persons(DATE '2020-01-01')` | every patient | the same, `age` in the year of that day, and whether it is `observed`, as far as is known |
//! | `first_condition(s)`, `first_drug(s)`, … | who has a record of a concept of the set `s` | `person_id`, `first_date`, `last_date`, `records` |
//! | `latest_measurement(s)`, `…(s, DATE '…')` | who has a measured number of `s`, up to a day | `person_id`, `measurement_date`, `value`, `unit_concept_id` |
//! | `follow_up(first_…(s), first_…(t))`, `follow_up(first_…(s), death)` | who is known to have been observed on the first day of `s` | `person_id`, `start_date`, `end_date`, `days`, `event`, `died`, `prior` |
//!
//! Each is a query over OMOP's tables that stands in the place of its name, before anything else looks at the query, so that it
//! is gated, proved and refused like any other.

use std::ops::ControlFlow;

use consilium_protocol::study::ConceptSet;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Query, Statement,
    TableAlias, TableFactor, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::{Flow, Names, refuse};
use crate::cohort::dialect::CohortDialect;
use crate::cohort::error::CohortError;
use crate::cohort::parse::normal;
use crate::store::is_of_omop;

/// What comes first: the word, the table, its concept, its day.
const FIRST: &[(&str, &str, &str, &str)] = &[
    ("condition", "condition_occurrence", "condition_concept_id", "condition_start_date"),
    ("device", "device_exposure", "device_concept_id", "device_exposure_start_date"),
    ("drug", "drug_exposure", "drug_concept_id", "drug_exposure_start_date"),
    ("measurement", "measurement", "measurement_concept_id", "measurement_date"),
    ("observation", "observation", "observation_concept_id", "observation_date"),
    ("procedure", "procedure_occurrence", "procedure_concept_id", "procedure_date"),
    ("visit", "visit_occurrence", "visit_concept_id", "visit_start_date"),
];

/// Puts the query of a view in the place of its name.
pub(super) fn view(factor: &mut TableFactor, names: &Names, sets: &[ConceptSet]) -> Flow {
    let TableFactor::Table {
        name,
        args,
        alias,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        json_path: None,
        sample: None,
        index_hints,
    } = factor
    else {
        return ControlFlow::Continue(());
    };
    let [part] = name.0.as_slice() else { return ControlFlow::Continue(()) };
    let Some(ident) = part.as_ident() else { return ControlFlow::Continue(()) };
    let name = normal(ident);
    if names.has(&name) || !(with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty()) {
        return ControlFlow::Continue(());
    }
    let args = args.as_ref().map(|args| args.args.as_slice());
    let Some(text) = text(&name, args)? else { return ControlFlow::Continue(()) };
    let Some(subquery) = query(&text) else { return ControlFlow::Break(CohortError::Internal) };
    subquery.visit(&mut Read { names, sets })?;
    let own = TableAlias { explicit: true, name: ident.clone(), columns: Vec::new(), at: None };
    let alias = Some(alias.take().unwrap_or(own));
    *factor = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
    ControlFlow::Continue(())
}

/// What a view reads: OMOP's tables, none of which the query has given a name of its own, and sets that there are.
struct Read<'a> {
    names: &'a Names,
    sets: &'a [ConceptSet],
}

impl Visitor for Read<'_> {
    type Break = CohortError;

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Flow {
        let Some(name) = relation.0.last().and_then(|part| part.as_ident()).map(normal) else {
            return ControlFlow::Continue(());
        };
        match (self.names.has(&name), is_of_omop(&name)) {
            (true, true) => refuse(
                "a view that reads a table after WITH gave the table's name to a query (instead of another name for the query)",
            ),
            (false, false) if self.sets.iter().all(|set| set.name != name) => {
                ControlFlow::Break(CohortError::UnknownSet { name })
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn query(text: &str) -> Option<Box<Query>> {
    match Parser::parse_sql(&CohortDialect, text).ok()?.into_iter().next()? {
        Statement::Query(query) => Some(query),
        _ => None,
    }
}

/// The text of a view's query; none where the name is none of a view.
fn text(name: &str, args: Option<&[FunctionArg]>) -> Flow<Option<String>> {
    // None for what no view takes, such as a named argument.
    let args: Option<Vec<Option<&Expr>>> = args.map(|args| args.iter().map(plain).collect());
    let text = match (name, args.as_deref()) {
        ("persons", None | Some([])) => Some(persons(None)),
        ("persons", Some([of])) => of.and_then(day).map(|day| persons(Some(&day))),
        ("latest_measurement", Some([of])) => of.and_then(set).map(|set| latest(&set, None)),
        ("latest_measurement", Some([of, until])) => {
            of.and_then(set).zip(until.and_then(day)).map(|(set, day)| latest(&set, Some(&day)))
        }
        ("follow_up", Some([from, to])) => {
            from.and_then(first_of).zip(to.and_then(event)).map(|(from, to)| follow_up(&from, &to))
        }
        (_, Some([of])) => of.and_then(set).and_then(|set| first(name, &set)),
        _ => None,
    };
    match (text, name) {
        (Some(text), _) => ControlFlow::Continue(Some(text)),
        (None, "persons") => refuse(PERSONS),
        (None, "latest_measurement") => refuse(LATEST),
        (None, "follow_up") => refuse(FOLLOW_UP),
        (None, name) if is_first(name) => refuse(OF_SET),
        (None, _) => ControlFlow::Continue(None),
    }
}

const PERSONS: &str = "persons of anything but a day (instead of persons(DATE '2020-01-01') or persons(as_of()))";

const LATEST: &str = "latest_measurement without a concept set (instead of latest_measurement(hba1c), with a [[concept_set]] \
                      named hba1c, or latest_measurement(hba1c, DATE '2020-01-01'))";

const OF_SET: &str = "first_condition or the like without a concept set (instead of first_condition(diabetes), with a \
                      [[concept_set]] named diabetes)";

const FOLLOW_UP: &str = "follow_up of anything but the first of something and of another, or death (instead of \
                         follow_up(first_drug(metformin), first_condition(stroke)) or follow_up(first_drug(metformin), death))";

fn plain(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// The name of a set, which has plain letters alone.
fn set(expr: &Expr) -> Option<String> {
    let Expr::Identifier(ident) = expr else { return None };
    let name = normal(ident);
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_plain.then_some(name)
}

/// A day as it can be written.
fn day(expr: &Expr) -> Option<String> {
    let text = |value: &Value| match value {
        Value::SingleQuotedString(text) => text.parse::<consilium_protocol::ids::Date>().ok(),
        _ => None,
    };
    match expr {
        Expr::Value(value) => text(&value.value).map(|day| format!("DATE '{day}'")),
        Expr::TypedString(typed) if typed.data_type == DataType::Date => {
            text(&typed.value.value).map(|day| format!("DATE '{day}'"))
        }
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("as_of") => {
            Some("as_of()".to_string())
        }
        _ => None,
    }
}

fn is_first(name: &str) -> bool {
    FIRST.iter().any(|(word, ..)| name.strip_prefix("first_") == Some(word))
}

/// The query of a `first_…` that stands among arguments.
fn first_of(expr: &Expr) -> Option<String> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), over: None, .. }) = expr else {
        return None;
    };
    let [arg] = list.args.as_slice() else { return None };
    first(&name.to_string().to_ascii_lowercase(), &set(plain(arg)?)?)
}

/// What ends a follow-up beside the end of observation.
fn event(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) if normal(ident) == "death" => {
            Some("SELECT person_id, min(death_date) AS first_date FROM death GROUP BY person_id".to_string())
        }
        other => first_of(other),
    }
}

fn persons(day: Option<&str>) -> String {
    let (age, observed) = match day {
        Some(day) => {
            let within = format!("observation_period_start_date <= {day} AND observation_period_end_date >= {day}");
            (
                format!(
                    ", CAST(date_part('year', {day}) AS BIGINT) - p.year_of_birth AS age, CASE WHEN o.within THEN TRUE \
                     WHEN o.unsure THEN NULL ELSE FALSE END AS observed"
                ),
                format!(", bool_or({within}) AS within, bool_or(({within}) IS NULL) AS unsure"),
            )
        }
        None => (String::new(), String::new()),
    };
    // Where the beginning of one is not told, neither is the first; of ends the last; nor how many days they are together.
    let (begin, end) =
        ["start", "end"].map(|which| format!("count(observation_period_{which}_date) = count(*)")).into();
    format!(
        "SELECT p.person_id, p.gender_concept_id, p.year_of_birth, o.observation_start, o.observation_end, o.observation_days{age} \
         FROM person p LEFT JOIN (SELECT person_id, \
         CASE WHEN {begin} THEN min(observation_period_start_date) END AS observation_start, \
         CASE WHEN {end} THEN max(observation_period_end_date) END AS observation_end, \
         CASE WHEN {begin} AND {end} THEN sum(observation_period_end_date - observation_period_start_date + 1) END AS observation_days{observed} \
         FROM observation_period GROUP BY person_id) o ON o.person_id = p.person_id"
    )
}

fn first(name: &str, set: &str) -> Option<String> {
    let word = name.strip_prefix("first_")?;
    let (_, table, concept, day) = FIRST.iter().find(|(own, ..)| *own == word)?;
    Some(format!(
        "SELECT person_id, min({day}) AS first_date, max({day}) AS last_date, count(*) AS records FROM {table} \
         WHERE {concept} IN (SELECT concept_id FROM \"{set}\") GROUP BY person_id"
    ))
}

fn latest(set: &str, until: Option<&str>) -> String {
    let until = until.map(|day| format!(" AND measurement_date <= {day}")).unwrap_or_default();
    format!(
        "SELECT person_id, measurement_date, value, unit_concept_id FROM (SELECT person_id, measurement_date, \
         value_as_number AS value, unit_concept_id, row_number() OVER (PARTITION BY person_id ORDER BY measurement_date DESC \
         NULLS LAST, measurement_id DESC) AS place FROM measurement \
         WHERE measurement_concept_id IN (SELECT concept_id FROM \"{set}\") AND value_as_number IS NOT NULL{until}) m WHERE place = 1"
    )
}

fn follow_up(from: &str, to: &str) -> String {
    // Observed from the first day on, until observation or life ends; the event counts if it comes before that.
    let observed = format!(
        "SELECT i.person_id, i.first_date AS start_date, max(o.observation_period_end_date) AS observation_end \
         FROM ({from}) i JOIN observation_period o ON o.person_id = i.person_id AND o.observation_period_start_date <= i.first_date \
         AND o.observation_period_end_date >= i.first_date GROUP BY i.person_id, i.first_date"
    );
    let censored = format!(
        "SELECT s.person_id, s.start_date, e.first_date AS event_date, d.death_date, \
         least(d.death_date, s.observation_end) AS censor_date FROM ({observed}) s \
         LEFT JOIN ({to}) e ON e.person_id = s.person_id LEFT JOIN (SELECT person_id, min(death_date) AS death_date FROM death \
         GROUP BY person_id) d ON d.person_id = s.person_id"
    );
    let ended = format!(
        "SELECT person_id, start_date, censor_date, death_date, event_date, (event_date IS NOT NULL AND event_date >= start_date \
         AND event_date <= censor_date) AS event, \
         least(CASE WHEN event_date >= start_date THEN event_date END, censor_date) AS end_date FROM ({censored}) c WHERE censor_date >= start_date"
    );
    format!(
        "SELECT person_id, start_date, end_date, end_date - start_date AS days, event, (death_date IS NOT NULL AND death_date = \
         end_date) AS died, (event_date IS NOT NULL AND event_date < start_date) AS prior FROM ({ended}) f"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_is_one_by_its_name() {
        let own: Vec<String> = FIRST.iter().map(|(word, ..)| format!("first_{word}")).collect();
        let mut own: Vec<&str> =
            own.iter().map(String::as_str).chain(["persons", "latest_measurement", "follow_up"]).collect();
        own.sort_unstable();
        assert_eq!(own, consilium_protocol::catalogue::VIEWS);
    }
}
