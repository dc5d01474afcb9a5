//! `sum` and `avg`, also over windows, also of different values only.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Int64Array, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use super::tally::{Double, Tally, Whole};
use crate::cohort::refusal::unfit;

/// What is made of a tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Measure {
    Sum,
    Mean,
}

/// `sum` or `avg`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Added {
    measure: Measure,
    aliases: Vec<String>,
    signature: Signature,
}

/// Both, by their names.
pub(super) fn functions() -> [Arc<AggregateUDF>; 2] {
    [(Measure::Sum, None), (Measure::Mean, Some("mean"))].map(|(measure, alias)| {
        let aliases = alias.iter().map(ToString::to_string).collect();
        let added = Added { measure, aliases, signature: Signature::user_defined(Volatility::Immutable) };
        Arc::new(AggregateUDF::new_from_impl(added))
    })
}

impl Added {
    fn build<T: Tally>(&self, is_distinct: bool) -> Box<dyn Accumulator> {
        let measure = self.measure;
        if is_distinct {
            Box::new(Different::<T> { measure, values: BTreeMap::new(), of: std::marker::PhantomData })
        } else {
            Box::new(One::<T> { measure, tally: T::default() })
        }
    }
}

impl AggregateUDFImpl for Added {
    fn name(&self) -> &str {
        match self.measure {
            Measure::Sum => "sum",
            Measure::Mean => "avg",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Int64 | DataType::Float64] => Ok(types.to_vec()),
            [DataType::Null] => Ok(vec![DataType::Int64]),
            _ => Err(unfit(self.name(), types)),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let taken = self.coerce_types(types)?;
        Ok(if self.measure == Measure::Mean { DataType::Float64 } else { taken[0].clone() })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match args.expr_fields[0].data_type() {
            DataType::Int64 => Ok(self.build::<Whole>(args.is_distinct)),
            DataType::Float64 => Ok(self.build::<Double>(args.is_distinct)),
            _ => internal_err!("a sum of another type"),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = |part| format_state_name(args.name, part);
        Ok(if args.is_distinct {
            let item = Field::new_list_field(DataType::Int64, true);
            vec![Arc::new(Field::new_list(name("values"), item, true))]
        } else {
            ["first", "second", "third"].map(|part| Arc::new(Field::new(name(part), DataType::Int64, true))).to_vec()
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let measure = self.measure;
        match args.expr_fields[0].data_type() {
            DataType::Int64 => Ok(Box::new(Many::<Whole> { measure, tallies: Vec::new() })),
            DataType::Float64 => Ok(Box::new(Many::<Double> { measure, tallies: Vec::new() })),
            _ => internal_err!("a sum of another type"),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>> {
    match array.as_primitive_opt::<T>() {
        Some(array) => Ok(array),
        None => internal_err!("a sum of another type"),
    }
}

fn scalar<T: Tally>(measure: Measure, tally: &T) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&column(measure, std::slice::from_ref(tally)), 0)
}

fn column<T: Tally>(measure: Measure, tallies: &[T]) -> ArrayRef {
    match measure {
        Measure::Sum => Arc::new(tallies.iter().map(T::sum).collect::<PrimitiveArray<T::Of>>()),
        Measure::Mean => Arc::new(tallies.iter().map(T::mean).collect::<PrimitiveArray<Float64Type>>()),
    }
}

fn parts<T: Tally>(tallies: &[T]) -> Vec<ArrayRef> {
    let part =
        |part: usize| Arc::new(tallies.iter().map(|tally| tally.parts()[part]).collect::<Int64Array>()) as ArrayRef;
    vec![part(0), part(1), part(2)]
}

/// The tallies that another stage counted.
fn states<T: Tally>(states: &[ArrayRef]) -> Result<impl Iterator<Item = T> + '_> {
    let [first, second, third] = states else { return internal_err!("a state of another shape") };
    let (first, second, third) =
        (primitive::<Int64Type>(first)?, primitive::<Int64Type>(second)?, primitive::<Int64Type>(third)?);
    let values = first.values().iter().zip(second.values()).zip(third.values());
    Ok(values.map(|((first, second), third)| T::of_parts([*first, *second, *third])))
}

/// Of one group, or of a window.
#[derive(Debug)]
struct One<T> {
    measure: Measure,
    tally: T,
}

impl<T: Tally> Accumulator for One<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        primitive::<T::Of>(&values[0])?.iter().flatten().for_each(|value| self.tally.add(value));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        primitive::<T::Of>(&values[0])?.iter().flatten().for_each(|value| self.tally.remove(value));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        scalar(self.measure, &self.tally)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self.tally.parts().map(ScalarValue::from).to_vec())
    }

    fn merge_batch(&mut self, others: &[ArrayRef]) -> Result<()> {
        states::<T>(others)?.for_each(|other| self.tally.merge(other));
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Of different values, in their order, so that the same rows always give the same sum.
#[derive(Debug)]
struct Different<T> {
    measure: Measure,
    /// How often each is there.
    values: BTreeMap<i64, u64>,
    of: std::marker::PhantomData<T>,
}

impl<T: Tally> Accumulator for Different<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in primitive::<T::Of>(&values[0])?.iter().flatten() {
            *self.values.entry(T::key(value)).or_default() += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in primitive::<T::Of>(&values[0])?.iter().flatten() {
            let key = T::key(value);
            match self.values.get_mut(&key) {
                Some(times) if *times > 1 => *times -= 1,
                _ => drop(self.values.remove(&key)),
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut tally = T::default();
        self.values.keys().for_each(|key| tally.add(T::of_key(*key)));
        scalar(self.measure, &tally)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.keys().map(|key| ScalarValue::from(*key)).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list(&values, &DataType::Int64, true))])
    }

    fn merge_batch(&mut self, others: &[ArrayRef]) -> Result<()> {
        for list in others[0].as_list::<i32>().iter().flatten() {
            for key in primitive::<Int64Type>(&list)?.iter().flatten() {
                *self.values.entry(key).or_default() += 1;
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        // A tree's nodes are at least half full.
        size_of_val(self) + self.values.len() * 2 * size_of::<(i64, u64)>()
    }
}

/// Of many groups.
struct Many<T> {
    measure: Measure,
    tallies: Vec<T>,
}

impl<T: Tally> GroupsAccumulator for Many<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let values = primitive::<T::Of>(&values[0])?;
        self.tallies.resize(total, T::default());
        if values.null_count() == 0 && filter.is_none() {
            for (group, value) in groups.iter().zip(values.values()) {
                self.tallies[*group].add(*value);
            }
            return Ok(());
        }
        for (row, group) in groups.iter().enumerate() {
            if values.is_valid(row) && passes(filter, row) {
                self.tallies[*group].add(values.value(row));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok(column(self.measure, &emit.take_needed(&mut self.tallies)))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(parts(&emit.take_needed(&mut self.tallies)))
    }

    fn merge_batch(&mut self, others: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.tallies.resize(total, T::default());
        for (group, other) in groups.iter().zip(states::<T>(others)?) {
            self.tallies[*group].merge(other);
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = primitive::<T::Of>(&values[0])?;
        let alone = |row: usize| {
            let mut tally = T::default();
            if values.is_valid(row) && passes(filter, row) {
                tally.add(values.value(row));
            }
            tally
        };
        Ok(parts(&(0..values.len()).map(alone).collect::<Vec<T>>()))
    }

    fn size(&self) -> usize {
        self.tallies.capacity() * size_of::<T>()
    }
}

fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}
