//! Types as other databases call them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, CharLengthUnits, CharacterLength, DataType, ExactNumberInfo, Expr, TimezoneInfo,
};

use super::{Flow, call, cast, number, refuse};

/// The type of cohorts that a type of another database is.
pub(super) fn plain(written: &DataType) -> Flow<DataType> {
    const SECONDS: &str =
        "a time of fewer than six digits after the second (instead of TIMESTAMP, or date_trunc('second', …) of it)";
    const DIGITS: &str = "a DOUBLE or FLOAT of so many digits (instead of NUMERIC(10, 2))";
    let moment = || DataType::Timestamp(None, TimezoneInfo::None);
    ControlFlow::Continue(match written {
        DataType::Int2(_) | DataType::Int16 => DataType::SmallInt(None),
        DataType::Int4(_) | DataType::Int32 | DataType::MediumInt(_) => DataType::Int(None),
        DataType::Int8(_) | DataType::Int64 | DataType::Signed | DataType::SignedInteger => DataType::BigInt(None),
        DataType::Float4 | DataType::Float32 | DataType::Float8 | DataType::Float64 => DataType::DoublePrecision,
        DataType::Float(ExactNumberInfo::PrecisionAndScale(..))
        | DataType::Double(ExactNumberInfo::Precision(_) | ExactNumberInfo::PrecisionAndScale(..)) => {
            return refuse(DIGITS);
        }
        DataType::Dec(info) | DataType::BigNumeric(info) | DataType::BigDecimal(info) => DataType::Numeric(*info),
        DataType::Datetime(Some(0..6)) | DataType::Timestamp(Some(0..6), _) | DataType::TimestampNtz(Some(0..6)) => {
            return refuse(SECONDS);
        }
        DataType::Datetime(_) | DataType::TimestampNtz(_) => moment(),
        DataType::Char(_)
        | DataType::Character(_)
        | DataType::CharVarying(_)
        | DataType::CharacterVarying(_)
        | DataType::Varchar(_)
        | DataType::Nvarchar(_)
        | DataType::String(_)
        | DataType::TinyText
        | DataType::MediumText
        | DataType::LongText => DataType::Varchar(None),
        DataType::Bit(None) => DataType::Boolean,
        DataType::Custom(name, modifiers) => {
            let numbers: Option<Vec<u64>> = modifiers.iter().map(|modifier| modifier.parse().ok()).collect();
            match (name.to_string().to_ascii_lowercase().as_str(), numbers.as_deref()) {
                ("datetime2", Some([] | [(6..)])) => moment(),
                ("datetime2", _) => return refuse(SECONDS),
                ("smalldatetime", _) => return refuse("SMALLDATETIME, which rounds to minutes (instead of TIMESTAMP)"),
                ("nchar" | "bpchar" | "ntext", _) => DataType::Varchar(None),
                ("number", Some([])) => DataType::DoublePrecision,
                ("number", Some([precision])) => DataType::Numeric(ExactNumberInfo::Precision(*precision)),
                ("number", Some([precision, scale])) => match i64::try_from(*scale) {
                    Ok(scale) => DataType::Numeric(ExactNumberInfo::PrecisionAndScale(*precision, scale)),
                    Err(_) => written.clone(),
                },
                ("money", Some([])) => DataType::Numeric(ExactNumberInfo::PrecisionAndScale(19, 4)),
                _ => written.clone(),
            }
        }
        _ => written.clone(),
    })
}

/// How many characters a type keeps of a text, if it does not keep all.
pub(super) fn length(written: &DataType) -> Flow<Option<u64>> {
    const NONE: &str = "CHAR without a length (instead of VARCHAR)";
    let of = |length: &Option<CharacterLength>| match length {
        None | Some(CharacterLength::Max) => ControlFlow::Continue(None),
        Some(CharacterLength::IntegerLength { length, unit: None | Some(CharLengthUnits::Characters) }) => {
            ControlFlow::Continue(Some(*length))
        }
        Some(CharacterLength::IntegerLength { .. }) => refuse("a length in octets (instead of characters)"),
    };
    match written {
        DataType::Char(None) | DataType::Character(None) => refuse(NONE),
        DataType::Char(length)
        | DataType::Character(length)
        | DataType::CharVarying(length)
        | DataType::CharacterVarying(length)
        | DataType::Varchar(length)
        | DataType::Nvarchar(length) => of(length),
        DataType::String(length) => ControlFlow::Continue(*length),
        DataType::Custom(name, modifiers) => {
            match (name.to_string().to_ascii_lowercase().as_str(), modifiers.as_slice()) {
                ("nchar", []) => refuse(NONE),
                ("nchar" | "bpchar", [length]) => ControlFlow::Continue(length.parse().ok()),
                _ => ControlFlow::Continue(None),
            }
        }
        _ => ControlFlow::Continue(None),
    }
}

/// What a CAST gives, whose text is cut to the length of its type.
pub(super) fn converted(kind: CastKind, inner: Expr, written: &DataType) -> Flow<Expr> {
    let cast = cast(kind, inner, plain(written)?);
    ControlFlow::Continue(match length(written)? {
        Some(length) => call("left", vec![cast, number(&length.to_string())]),
        None => cast,
    })
}
