//! A function that gives a value or NULL for whatever it is given.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::cast;
use super::columns::Call;
use crate::cohort::refusal::{unfit, unfit_for};

/// The types that a function takes for arguments of the types that are there, and the type that it gives.
pub(super) struct Shape {
    pub(super) takes: Vec<DataType>,
    pub(super) gives: DataType,
}

impl Shape {
    /// Of arguments and result.
    pub(super) fn of(takes: &[DataType], gives: DataType) -> Option<Self> {
        Some(Self { takes: takes.to_vec(), gives })
    }
}

/// A function by its name.
pub(super) struct Total {
    pub(super) name: &'static str,
    pub(super) aliases: Vec<String>,
    /// How it is written between its two arguments, if it is.
    pub(super) operator: Option<&'static str>,
    /// `None` where it is not for arguments of these types. The literals among the arguments come with them, where they
    /// are known.
    pub(super) shape: fn(&[DataType], &[Option<&ScalarValue>]) -> Option<Shape>,
    pub(super) evaluate: fn(&Call<'_>) -> Result<ColumnarValue>,
    signature: Signature,
}

type ShapeOf = fn(&[DataType], &[Option<&ScalarValue>]) -> Option<Shape>;
type Evaluate = fn(&Call<'_>) -> Result<ColumnarValue>;

impl Total {
    pub(super) fn new(name: &'static str, aliases: &[&str], shape: ShapeOf, evaluate: Evaluate) -> Self {
        let aliases = aliases.iter().map(ToString::to_string).collect();
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { name, aliases, operator: None, shape, evaluate, signature }
    }

    pub(super) fn operator(name: &'static str, sign: &'static str, shape: ShapeOf, evaluate: Evaluate) -> Self {
        Self { operator: Some(sign), ..Self::new(name, &[], shape, evaluate) }
    }

    pub(super) fn shared(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }

    fn shape_for(&self, types: &[DataType], literals: &[Option<&ScalarValue>]) -> Result<Shape> {
        // Until conversions are total, a plan has other types of the same kinds.
        let kinds: Option<Vec<DataType>> = types.iter().map(cast::kind).collect();
        if let Some(shape) = kinds.as_ref().and_then(|kinds| (self.shape)(kinds, literals)) {
            return Ok(shape);
        }
        let written = self.operator.unwrap_or(if self.name == "negative" { "-" } else { self.name });
        let fits_by_type = kinds.is_some_and(|kinds| (self.shape)(&kinds, &[]).is_some());
        Err(if fits_by_type { unfit_for(written, "this literal") } else { unfit(written, types) })
    }
}

impl std::fmt::Debug for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Total({})", self.name)
    }
}

// There is one of each name.
impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Total {}

impl Hash for Total {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Total {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(match (self.operator, args.as_slice()) {
            (Some(sign), [left, right]) => format!("({left} {sign} {right})"),
            _ => format!("{}({})", self.name, args.join(",")),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.shape_for(types, &[]).map(|shape| shape.takes)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.shape_for(types, &[]).map(|shape| shape.gives)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let shape = self.shape_for(&types, args.scalar_arguments)?;
        Ok(Arc::new(Field::new(self.name, shape.gives, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let call = Call { args: &args.args, rows: args.number_rows, result: args.return_field.data_type() };
        (self.evaluate)(&call)
    }
}
