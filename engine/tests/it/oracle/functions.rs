//! The scalar functions, as either engine writes them.

use super::tree::Type::{self, Day, Int, Moment, Real, Text, Truth};

/// What an argument is drawn as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Arg {
    Of(Type),
    /// A whole number near zero: digits, positions, lengths.
    Small,
    /// A month or day, mostly one that exists.
    Calendar,
    /// A year, mostly of four digits.
    Year,
    /// Of the type of the result.
    Same,
    /// A text that is a date, mostly.
    DayText,
}

use Arg::{Calendar, DayText, Of, Same, Small, Year};

/// A scalar function. In the texts, `$1` stands for the first argument.
#[derive(Debug, PartialEq)]
pub(super) struct Function {
    /// The name by which it is counted.
    pub(super) name: &'static str,
    pub(super) ours: &'static str,
    pub(super) theirs: &'static str,
    pub(super) args: &'static [Arg],
    /// `None` where it yields the type of its arguments.
    pub(super) result: Option<Type>,
}

macro_rules! functions {
    ($($name:literal, $ours:literal, $theirs:literal, [$($arg:expr),*], $result:expr;)*) => {
        pub(super) const FUNCTIONS: &[Function] = &[$(
            Function { name: $name, ours: $ours, theirs: $theirs, args: &[$($arg),*], result: $result },
        )*];
    };
}

functions! {
    "abs", "abs($1)", "o_abs($1)", [Of(Int)], Some(Int);
    "abs", "abs($1)", "abs($1)", [Of(Real)], Some(Real);
    "btrim", "btrim($1)", "btrim($1)", [Of(Text)], Some(Text);
    "btrim", "btrim($1, $2)", "btrim($1, $2)", [Of(Text), Of(Text)], Some(Text);
    "trim", "trim($1)", "btrim($1)", [Of(Text)], Some(Text);
    "TRIM BOTH", "TRIM(BOTH $2 FROM $1)", "btrim($1, $2)", [Of(Text), Of(Text)], Some(Text);
    "TRIM LEADING", "TRIM(LEADING $2 FROM $1)", "ltrim($1, $2)", [Of(Text), Of(Text)], Some(Text);
    "TRIM TRAILING", "TRIM(TRAILING $2 FROM $1)", "rtrim($1, $2)", [Of(Text), Of(Text)], Some(Text);
    "ltrim", "ltrim($1)", "ltrim($1)", [Of(Text)], Some(Text);
    "ltrim", "ltrim($1, $2)", "ltrim($1, $2)", [Of(Text), Of(Text)], Some(Text);
    "rtrim", "rtrim($1)", "rtrim($1)", [Of(Text)], Some(Text);
    "rtrim", "rtrim($1, $2)", "rtrim($1, $2)", [Of(Text), Of(Text)], Some(Text);
    "width_bucket", "width_bucket($1, 0, 7, 5)", "width_bucket($1, 0::float8, 7::float8, 5)::bigint", [Of(Real)], Some(Int);
    "cbrt", "cbrt($1)", "cbrt($1)", [Of(Real)], Some(Real);
    "ceil", "ceil($1)", "ceil($1)", [Of(Real)], Some(Real);
    "CEIL TO", "CEIL($1)", "ceil($1)", [Of(Real)], Some(Real);
    "floor", "floor($1)", "floor($1)", [Of(Real)], Some(Real);
    "character_length", "character_length($1)", "char_length($1)::bigint", [Of(Text)], Some(Int);
    "char_length", "char_length($1)", "char_length($1)::bigint", [Of(Text)], Some(Int);
    "length", "length($1)", "char_length($1)::bigint", [Of(Text)], Some(Int);
    "coalesce", "coalesce($1, $2)", "coalesce($1, $2)", [Same, Same], None;
    "coalesce", "coalesce($1, $2, $3)", "coalesce($1, $2, $3)", [Same, Same, Same], None;
    "nvl", "nvl($1, $2)", "coalesce($1, $2)", [Same, Same], None;
    "ifnull", "ifnull($1, $2)", "coalesce($1, $2)", [Same, Same], None;
    "nullif", "nullif($1, $2)", "nullif($1, $2)", [Same, Same], None;
    "greatest", "greatest($1, $2)", "greatest($1, $2)", [Same, Same], None;
    "greatest", "greatest($1, $2, $3)", "greatest($1, $2, $3)", [Same, Same, Same], None;
    "least", "least($1, $2)", "least($1, $2)", [Same, Same], None;
    "least", "least($1, $2, $3)", "least($1, $2, $3)", [Same, Same, Same], None;
    "contains", "contains($1, $2)", "(strpos($1, $2) > 0)", [Of(Text), Of(Text)], Some(Truth);
    "starts_with", "starts_with($1, $2)", "starts_with($1, $2)", [Of(Text), Of(Text)], Some(Truth);
    "ends_with", "ends_with($1, $2)", "(right($1, char_length($2)) = $2)", [Of(Text), Of(Text)], Some(Truth);
    "strpos", "strpos($1, $2)", "strpos($1, $2)::bigint", [Of(Text), Of(Text)], Some(Int);
    "instr", "instr($1, $2)", "strpos($1, $2)::bigint", [Of(Text), Of(Text)], Some(Int);
    "position", "position($1, $2)", "strpos($1, $2)::bigint", [Of(Text), Of(Text)], Some(Int);
    "POSITION IN", "POSITION(($2) IN $1)", "strpos($1, $2)::bigint", [Of(Text), Of(Text)], Some(Int);
    "left", "left($1, $2)", "o_left($1, $2)", [Of(Text), Small], Some(Text);
    "right", "right($1, $2)", "o_right($1, $2)", [Of(Text), Small], Some(Text);
    "lower", "lower($1)", "lower($1)", [Of(Text)], Some(Text);
    "upper", "upper($1)", "upper($1)", [Of(Text)], Some(Text);
    "substr", "substr($1, $2)", "o_substr($1, $2)", [Of(Text), Small], Some(Text);
    "substr", "substr($1, $2, $3)", "o_substr($1, $2, $3)", [Of(Text), Small, Small], Some(Text);
    "substring", "substring($1, $2)", "o_substr($1, $2)", [Of(Text), Small], Some(Text);
    "SUBSTRING FROM", "SUBSTRING($1 FROM $2 FOR $3)", "o_substr($1, $2, $3)", [Of(Text), Small, Small], Some(Text);
    "exp", "exp($1)", "o_exp($1)", [Of(Real)], Some(Real);
    "ln", "ln($1)", "o_ln($1)", [Of(Real)], Some(Real);
    "log", "log($1)", "o_log10($1)", [Of(Real)], Some(Real);
    "log", "log($1, $2)", "o_log($1, $2)", [Of(Real), Of(Real)], Some(Real);
    "log10", "log10($1)", "o_log10($1)", [Of(Real)], Some(Real);
    "log2", "log2($1)", "o_log2($1)", [Of(Real)], Some(Real);
    "power", "power($1, $2)", "o_power($1, $2)", [Of(Real), Of(Real)], Some(Real);
    "pow", "pow($1, $2)", "o_power($1, $2)", [Of(Real), Of(Real)], Some(Real);
    "sqrt", "sqrt($1)", "o_sqrt($1)", [Of(Real)], Some(Real);
    "signum", "signum($1)", "sign($1)", [Of(Real)], Some(Real);
    "round", "round($1)", "o_round($1)", [Of(Real)], Some(Real);
    "round", "round($1, $2)", "o_round($1, $2)", [Of(Real), Small], Some(Real);
    "trunc", "trunc($1)", "trunc($1)", [Of(Real)], Some(Real);
    "trunc", "trunc($1, $2)", "o_trunc($1, $2)", [Of(Real), Small], Some(Real);
    "isnan", "isnan($1)", "o_isnan($1)", [Of(Real)], Some(Truth);
    "make_date", "make_date($1, $2, $3)", "o_make_date($1, $2, $3)", [Year, Calendar, Calendar], Some(Day);
    "to_date", "to_date($1)", "o_day($1)", [DayText], Some(Day);
    "date_part", "date_part('year', $1)", "extract(year FROM $1)::bigint", [Of(Day)], Some(Int);
    "datepart", "datepart('month', $1)", "extract(month FROM $1)::bigint", [Of(Day)], Some(Int);
    "date_part", "date_part('day', $1)", "extract(day FROM $1)::bigint", [Of(Day)], Some(Int);
    "date_part", "date_part('quarter', $1)", "extract(quarter FROM $1)::bigint", [Of(Day)], Some(Int);
    "date_part", "date_part('week', $1)", "extract(week FROM $1)::bigint", [Of(Day)], Some(Int);
    "date_part", "date_part('dow', $1)", "extract(dow FROM $1)::bigint", [Of(Day)], Some(Int);
    "date_part", "date_part('isodow', $1)", "extract(isodow FROM $1)::bigint", [Of(Day)], Some(Int);
    "date_part", "date_part('doy', $1)", "extract(doy FROM $1)::bigint", [Of(Day)], Some(Int);
    "date_part", "date_part('epoch', $1)", "extract(epoch FROM $1)::float8", [Of(Day)], Some(Real);
    "date_part", "date_part('hour', $1)", "extract(hour FROM $1::timestamp)::bigint", [Of(Day)], Some(Int);
    "date_part", "date_part('millisecond', $1)", "extract(millisecond FROM $1)::bigint", [Of(Moment)], Some(Int);
    "date_part", "date_part('week', $1)", "extract(week FROM $1)::bigint", [Of(Moment)], Some(Int);
    "date_part", "date_part('hour', $1)", "extract(hour FROM $1)::bigint", [Of(Moment)], Some(Int);
    "date_part", "date_part('minute', $1)", "extract(minute FROM $1)::bigint", [Of(Moment)], Some(Int);
    "date_part", "date_part('second', $1)", "floor(extract(second FROM $1))::bigint", [Of(Moment)], Some(Int);
    "date_part", "date_part('year', $1)", "extract(year FROM $1)::bigint", [Of(Moment)], Some(Int);
    "date_part", "date_part('doy', $1)", "extract(doy FROM $1)::bigint", [Of(Moment)], Some(Int);
    "date_part", "date_part('epoch', $1)", "extract(epoch FROM $1)::float8", [Of(Moment)], Some(Real);
    "EXTRACT", "EXTRACT(YEAR FROM $1)", "extract(year FROM $1)::bigint", [Of(Day)], Some(Int);
    "EXTRACT", "EXTRACT(MONTH FROM $1)", "extract(month FROM $1)::bigint", [Of(Moment)], Some(Int);
    "EXTRACT", "EXTRACT(DOW FROM $1)", "extract(dow FROM $1)::bigint", [Of(Day)], Some(Int);
    "date_trunc", "date_trunc('year', $1)", "o_date_trunc('year', $1)", [Of(Moment)], Some(Moment);
    "date_trunc", "date_trunc('month', $1)", "o_date_trunc('month', $1)", [Of(Moment)], Some(Moment);
    "date_trunc", "date_trunc('week', $1)", "o_date_trunc('week', $1)", [Of(Moment)], Some(Moment);
    "date_trunc", "date_trunc('quarter', $1)", "o_date_trunc('quarter', $1)", [Of(Moment)], Some(Moment);
    "date_trunc", "date_trunc('day', $1)", "o_date_trunc('day', $1)", [Of(Moment)], Some(Moment);
    "datetrunc", "datetrunc('hour', $1)", "o_date_trunc('hour', $1)", [Of(Moment)], Some(Moment);
    "date_trunc", "date_trunc('month', $1)", "o_date_trunc('month', $1::timestamp)", [Of(Day)], Some(Moment);
}

/// The aggregates of one argument, with the types that they take and yield.
pub(super) const AGGREGATES: &[(&str, Type, Type)] = &[
    ("avg", Int, Real),
    ("avg", Real, Real),
    ("mean", Real, Real),
    ("bool_and", Truth, Truth),
    ("bool_or", Truth, Truth),
    ("corr", Real, Real),
    ("count", Int, Int),
    ("count", Text, Int),
    ("count", Day, Int),
    ("first_value", Int, Int),
    ("first_value", Real, Real),
    ("first_value", Day, Day),
    ("last_value", Int, Int),
    ("last_value", Text, Text),
    ("max", Int, Int),
    ("max", Real, Real),
    ("max", Text, Text),
    ("max", Truth, Truth),
    ("max", Day, Day),
    ("max", Moment, Moment),
    ("min", Int, Int),
    ("min", Real, Real),
    ("min", Text, Text),
    ("min", Truth, Truth),
    ("min", Day, Day),
    ("min", Moment, Moment),
    ("median", Int, Real),
    ("median", Real, Real),
    ("stddev", Real, Real),
    ("stddev_samp", Real, Real),
    ("stddev_pop", Real, Real),
    ("sum", Int, Int),
    ("sum", Real, Real),
    ("var", Real, Real),
    ("var_samp", Real, Real),
    ("var_sample", Real, Real),
    ("var_pop", Real, Real),
    ("var_population", Real, Real),
];
