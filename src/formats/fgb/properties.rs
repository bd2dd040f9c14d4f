//! Properties of a feature: the number of a column and its value, one after the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flatgeobuf::ColumnType as Kind;
use serde_json::Value;

use crate::formats::error::Fault;
use crate::formats::table::{ColumnType, row_id};
use crate::formats::value;
use crate::geometry::{json_number, whole};
use crate::model::SourceId;

/// A column as the file describes it.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// The values in `bytes`, each with its column.
pub(super) fn read<'c>(
    mut bytes: &[u8],
    columns: &'c [Column],
) -> Result<Vec<(&'c str, Value)>, Fault> {
    let mut found = Vec::new();
    while bytes.len() > 1 {
        let number = u16::from_le_bytes(take(&mut bytes)?);
        let column = columns
            .get(usize::from(number))
            .ok_or_else(|| broken("a property belongs to no column"))?;
        found.push((column.name.as_str(), one(&mut bytes, column.kind)?));
    }
    Ok(found)
}

fn one(bytes: &mut &[u8], kind: Kind) -> Result<Value, Fault> {
    let integer = |number: i64| match row_id(number) {
        SourceId::Number(number) => Value::Number(json_number(number)),
        SourceId::Text(text) => Value::String(text),
    };
    let real = |number: f64| {
        if number.is_finite() {
            Value::Number(json_number(number))
        } else {
            Value::String(number.to_string())
        }
    };
    Ok(match kind {
        Kind::Byte => integer(i64::from(i8::from_le_bytes(take(bytes)?))),
        Kind::UByte => integer(i64::from(u8::from_le_bytes(take(bytes)?))),
        Kind::Bool => Value::Bool(u8::from_le_bytes(take(bytes)?) != 0),
        Kind::Short => integer(i64::from(i16::from_le_bytes(take(bytes)?))),
        Kind::UShort => integer(i64::from(u16::from_le_bytes(take(bytes)?))),
        Kind::Int => integer(i64::from(i32::from_le_bytes(take(bytes)?))),
        Kind::UInt => integer(i64::from(u32::from_le_bytes(take(bytes)?))),
        Kind::Long => integer(i64::from_le_bytes(take(bytes)?)),
        Kind::ULong => {
            let number = u64::from_le_bytes(take(bytes)?);
            i64::try_from(number).map_or_else(|_| Value::String(number.to_string()), integer)
        }
        Kind::Float => {
            // The decimal that was meant, not the digits that a double adds to it.
            let number = f32::from_le_bytes(take(bytes)?);
            real(number.to_string().parse().unwrap_or(f64::NAN))
        }
        Kind::Double => real(f64::from_le_bytes(take(bytes)?)),
        Kind::String | Kind::DateTime => Value::String(text(bytes)?),
        Kind::Json => {
            let text = text(bytes)?;
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        Kind::Binary => Value::String(STANDARD.encode(counted(bytes)?)),
        _ => return Err(broken("a column is of an unknown type")),
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or_else(|| broken("its properties are cut short"))?;
    *bytes = rest;
    Ok(*taken)
}

fn counted<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], Fault> {
    let count = usize::try_from(u32::from_le_bytes(take(bytes)?)).unwrap_or(usize::MAX);
    let (taken, rest) = bytes
        .split_at_checked(count)
        .ok_or_else(|| broken("its properties are cut short"))?;
    *bytes = rest;
    Ok(taken)
}

fn text(bytes: &mut &[u8]) -> Result<String, Fault> {
    let bytes = counted(bytes)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Fault::Encoding)
}

fn broken(what: &str) -> Fault {
    Fault::Unreadable {
        what: what.to_owned(),
        hint: "copy or download the file again",
    }
}

/// The type that a column of a table has in the file.
pub(super) fn kind(column: ColumnType) -> Kind {
    match column {
        ColumnType::Bool => Kind::Bool,
        ColumnType::Integer => Kind::Long,
        ColumnType::Real => Kind::Double,
        ColumnType::Text => Kind::String,
        ColumnType::Json => Kind::Json,
    }
}

/// Adds a value to the properties; nothing for null.
pub(super) fn write(number: u16, column: ColumnType, value: &Value, out: &mut Vec<u8>) {
    if value.is_null() {
        return;
    }
    out.extend(number.to_le_bytes());
    match (column, value) {
        (ColumnType::Bool, Value::Bool(value)) => out.push(u8::from(*value)),
        (ColumnType::Integer, Value::Number(number)) => {
            let number = number.as_f64().and_then(whole).unwrap_or_default();
            out.extend(number.to_le_bytes());
        }
        (ColumnType::Real, Value::Number(number)) => {
            out.extend(number.as_f64().unwrap_or_default().to_le_bytes());
        }
        (ColumnType::Json, value) => put_text(&value.to_string(), out),
        (_, value) => put_text(&value::text(value).unwrap_or_default(), out),
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(text.as_bytes());
}
