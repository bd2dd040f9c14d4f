//! Passes over the content of one item and says how many clocks it takes.

use super::error::ScanError;
use super::json::{self, JsonFault};
use crate::limits::{CLOCK_MAX, NESTING_MAX};
use crate::varint::Cursor;

pub(super) const GC: u8 = 0;
pub(super) const DELETED: u8 = 1;
pub(super) const BINARY: u8 = 3;
pub(super) const STRING: u8 = 4;
pub(super) const EMBED: u8 = 5;
pub(super) const FORMAT: u8 = 6;
pub(super) const TYPE: u8 = 7;
pub(super) const ANY: u8 = 8;
pub(super) const SKIP: u8 = 10;

/// Passes over content of kind `tag`, which stands at `at`, and gives its length in clocks.
pub(super) fn skip(cursor: &mut Cursor<'_>, tag: u8, at: usize) -> Result<u32, ScanError> {
    match tag {
        DELETED => length(cursor, "deleted content"),
        STRING => {
            let at = cursor.at();
            let units = utf16_units(cursor.string()?);
            u32::try_from(units)
                .ok()
                .filter(|units| *units > 0)
                .ok_or(ScanError::Empty { what: "string", at })
        }
        ANY => anys(cursor),
        BINARY => cursor.buf().map(|_| 1).map_err(ScanError::from),
        EMBED => json_text(cursor).map(|()| 1),
        FORMAT => {
            cursor.string()?;
            json_text(cursor).map(|()| 1)
        }
        TYPE => shared_type(cursor).map(|()| 1),
        // yrs 0.28.1 reads one text more than JSON content has; Yjs has not written it since version 13.0.
        // Of subdocuments that lie beside each other and are deleted together, yrs reads freed memory.
        tag => Err(ScanError::Unsupported {
            what: "content",
            tag: u64::from(tag),
            at,
        }),
    }
}

/// A length in clocks, above 0 and at most [`CLOCK_MAX`].
pub(super) fn length(cursor: &mut Cursor<'_>, what: &'static str) -> Result<u32, ScanError> {
    let at = cursor.at();
    match cursor.var_uint()? {
        0 => Err(ScanError::Empty { what, at }),
        length if length > CLOCK_MAX => Err(ScanError::ClockTooLarge { at }),
        length => Ok(length as u32),
    }
}

/// How many UTF-16 code units `text` takes, which is how Yjs counts it.
pub(super) fn utf16_units(text: &str) -> usize {
    // One unit for each character, that is each byte that continues none, and one more for four-byte ones.
    text.bytes()
        .map(|byte| usize::from(byte & 0xc0 != 0x80) + usize::from(byte >= 0xf0))
        .sum()
}

/// Passes over one `Any` value (lib0 `readAny`) of which every array and object nests at most
/// [`NESTING_MAX`] deep.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
    let mut open = [Level {
        left: 0,
        keyed: false,
    }; NESTING_MAX];
    let mut depth = 0;
    loop {
        if let Some(level) = value_head(cursor)? {
            let slot = open
                .get_mut(depth)
                .ok_or(ScanError::NestedTooDeep { at: cursor.at() })?;
            *slot = level;
            depth += 1;
        }
        // Find the next value: of the innermost level that has one left.
        loop {
            let Some(level) = depth.checked_sub(1).and_then(|inner| open.get_mut(inner)) else {
                return Ok(());
            };
            if level.left > 0 {
                level.left -= 1;
                if level.keyed {
                    cursor.string()?;
                }
                break;
            }
            depth -= 1;
        }
    }
}

/// An array or object that is being read.
#[derive(Clone, Copy)]
struct Level {
    left: u64,
    keyed: bool,
}

/// Reads a value up to its first inner value, if it is one that has some.
fn value_head(cursor: &mut Cursor<'_>) -> Result<Option<Level>, ScanError> {
    let at = cursor.at();
    match cursor.byte()? {
        127 | 126 | 121 | 120 => {}
        125 => _ = cursor.var_int()?,
        124 => _ = cursor.take(4)?,
        123 | 122 => _ = cursor.take(8)?,
        119 => _ = cursor.string()?,
        116 => _ = cursor.buf()?,
        // An entry takes at least two bytes: the length of its key and its value's tag.
        118 => {
            return count(cursor, "entries of an object", 2)
                .map(|left| Some(Level { left, keyed: true }));
        }
        117 => {
            return count(cursor, "elements of an array", 1)
                .map(|left| Some(Level { left, keyed: false }));
        }
        tag => {
            return Err(ScanError::Unsupported {
                what: "value",
                tag: u64::from(tag),
                at,
            });
        }
    }
    Ok(None)
}

/// A count of things of which each takes at least `bytes_min` of the bytes left.
pub(super) fn count(
    cursor: &mut Cursor<'_>,
    what: &'static str,
    bytes_min: usize,
) -> Result<u64, ScanError> {
    let at = cursor.at();
    let count = cursor.var_uint()?;
    let count_max = (cursor.left() / bytes_min) as u64;
    if count <= count_max {
        Ok(count)
    } else {
        Err(ScanError::TooMany {
            what,
            count,
            count_max,
            at,
        })
    }
}

fn anys(cursor: &mut Cursor<'_>) -> Result<u32, ScanError> {
    let at = cursor.at();
    let values = count(cursor, "values", 1)?;
    for _ in 0..values {
        value(cursor)?;
    }
    match u32::try_from(values) {
        Ok(0) => Err(ScanError::Empty {
            what: "list of values",
            at,
        }),
        Ok(values) => Ok(values),
        Err(_) => Err(ScanError::ClockTooLarge { at }),
    }
}

fn json_text(cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
    let text = cursor.string()?;
    let start = cursor.at() - text.len();
    json::check(text).map_err(|fault| match fault {
        JsonFault::Syntax(at) => ScanError::NotJson { at: start + at },
        JsonFault::TooDeep(at) => ScanError::NestedTooDeep { at: start + at },
    })
}

/// Array, map, text, XML element (with its name), fragment or text. Yjs reads a key after an XML hook (5) and
/// yrs does not; weak links (7), 9 and 15 are yrs's own.
fn shared_type(cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
    let at = cursor.at();
    match cursor.byte()? {
        0..=2 | 4 | 6 => Ok(()),
        3 => cursor.string().map(|_| ()).map_err(ScanError::from),
        tag => Err(ScanError::Unsupported {
            what: "shared type",
            tag: u64::from(tag),
            at,
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;
    use yrs::encoding::read::Cursor as YrsCursor;

    use super::*;

    fn scan_any(bytes: &[u8]) -> Result<usize, ScanError> {
        let mut cursor = Cursor::new(bytes, 0);
        value(&mut cursor).map(|()| cursor.at())
    }

    #[test]
    fn values_nest_to_the_bound_and_no_deeper() {
        let nested = |n: usize| [[117, 1].repeat(n), vec![126]].concat();
        assert_eq!(scan_any(&nested(NESTING_MAX)), Ok(2 * NESTING_MAX + 1));
        assert!(matches!(
            scan_any(&nested(NESTING_MAX + 1)),
            Err(ScanError::NestedTooDeep { .. })
        ));
        assert!(matches!(
            scan_any(&nested(1_000_000)),
            Err(ScanError::NestedTooDeep { .. })
        ));
    }

    #[test]
    fn an_empty_array_below_many_is_closed_before_the_next_value() {
        assert_eq!(
            scan_any(&[117, 2, 117, 0, 118, 1, 1, b'a', 126, 127]),
            Ok(9)
        );
    }

    #[test]
    fn strings_are_counted_in_utf_16() {
        for text in ["", "a", "ü", "€", "😀", "a😀ü€"] {
            assert_eq!(utf16_units(text), text.encode_utf16().count());
        }
    }

    fn any_value() -> impl Strategy<Value = yrs::Any> {
        let leaf = prop_oneof![
            Just(yrs::Any::Null),
            Just(yrs::Any::Undefined),
            any::<bool>().prop_map(yrs::Any::from),
            any::<f64>().prop_map(yrs::Any::from),
            any::<i64>().prop_map(yrs::Any::from),
            any::<String>().prop_map(yrs::Any::from),
            any::<Vec<u8>>().prop_map(yrs::Any::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(yrs::Any::from),
                prop::collection::hash_map(any::<String>(), inner, 0..6).prop_map(yrs::Any::from),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_of_yrs_is_passed_over_whole(value in any_value()) {
            let mut bytes = Vec::new();
            value.encode(&mut bytes);
            prop_assert_eq!(scan_any(&bytes), Ok(bytes.len()));
        }

        #[test]
        fn what_passes_yrs_reads_to_the_same_place(bytes in prop::collection::vec(
            prop_oneof![Just(0u8), Just(1), Just(2), 114u8..=127, any::<u8>()], 0..40)) {
            if let Ok(end) = scan_any(&bytes) {
                let mut cursor = YrsCursor::new(&bytes);
                prop_assert!(yrs::Any::decode(&mut cursor).is_ok());
                prop_assert_eq!(cursor.next, end);
            }
        }
    }
}
