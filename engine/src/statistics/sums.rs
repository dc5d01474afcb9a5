//! The variables that a guarded study sums up: what they are made of, and whether their sums tell how many have each value.

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::study::{StatisticKind, StudySpec};

use super::{Scale, StatisticsError};
use crate::cohort::form::{Columns, Literal, Refused, Summed};

/// A variable with at most so many values is known by its values where it is cut, too: sums over ranges of a few values leave
/// too little room to hide in.
const FEW_VALUES: i64 = 8;

/// The variables that are summed up.
pub(super) struct Sums {
    /// By name the degree of their sums: 2 with squares.
    degrees: BTreeMap<String, i64>,
    /// What the columns of the cohort are made of.
    made_of: Columns,
}

impl Sums {
    /// Of a guarded study.
    ///
    /// # Errors
    /// [`StatisticsError::Form`] and [`StatisticsError::CommonSource`].
    pub(super) fn of(spec: &StudySpec) -> Result<Self, StatisticsError> {
        let mut degrees: BTreeMap<String, i64> = BTreeMap::new();
        for statistic in &spec.statistics {
            let (of, degree) = match &statistic.kind {
                StatisticKind::Sum { of } | StatisticKind::Mean { of } => (of, 1),
                StatisticKind::Variance { of } => (of, 2),
                _ => continue,
            };
            let known = degrees.entry(of.clone()).or_insert(degree);
            *known = degree.max(*known);
        }
        if degrees.is_empty() {
            return Ok(Self { degrees, made_of: Columns::default() });
        }
        let made_of = Columns::of(&spec.cohort, &spec.tables);
        for variable in degrees.keys() {
            let refused =
                |Refused { what, instead }| StatisticsError::Form { variable: variable.clone(), what, instead };
            made_of.summed(variable).map_err(refused)?;
        }
        let names: Vec<&str> = degrees.keys().map(String::as_str).collect();
        if let Some((variables, source)) = made_of.common(&names) {
            let source_column = format!("{}.{}", source.table(), source.column());
            return Err(StatisticsError::CommonSource { variables: variables.map(String::from), source_column });
        }
        Ok(Self { degrees, made_of })
    }

    /// Whether a column is summed up.
    pub(super) fn has(&self, column: &str) -> bool {
        self.degrees.contains_key(column)
    }

    /// Whether a column cuts a measured variable under another name.
    pub(super) fn cuts(&self, column: &str, variable: &str) -> bool {
        column != variable && self.made_of.depends(column, variable)
    }

    /// The values of a column, if they are a cut: where sums of degree d tell how many have each of at most d + 1 values, where
    /// few values are cut, and where they are a choice of literals.
    pub(super) fn values(&self, spec: &StudySpec, column: &str, cuts: usize) -> Option<Values> {
        let degree = *self.degrees.get(column)?;
        let scale = Scale::of(spec.variable(column)?)?;
        if let Ok(Summed::Literals(literals)) = self.made_of.summed(column) {
            let steps = literals.into_iter().filter_map(Literal::number).flat_map(|value| {
                let exact = (value * scale.denominator() as f64 - scale.min as f64) / scale.step as f64;
                scale.steps_near(exact)
            });
            let steps: BTreeSet<i64> = steps.collect();
            return Some(Values { scale, steps: steps.into_iter().collect() });
        }
        let are_few = scale.range <= degree || (scale.range < FEW_VALUES && cuts > 1);
        are_few.then(|| Values { scale, steps: (0..=scale.range).collect() })
    }
}

/// The steps that a column can have.
pub(super) struct Values {
    pub(super) scale: Scale,
    /// Ascending.
    pub(super) steps: Vec<i64>,
}
