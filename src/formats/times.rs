//! The times of a line's vertices: the property `times`.
//!
//! It is an array as long as the line has vertices; for several lines an array of such arrays. Each entry is a time as
//! text (RFC 3339), a number of seconds after the time before it, or `null`. All entries are texts where that is short;
//! a long track has its first time as text and the others as seconds, which takes a tenth of the space.

use serde_json::{Value, json};

use crate::geometry::json_number;
use crate::model::VALUE_BYTES_MAX;
use crate::time::rfc3339_ms;

/// The property's name.
pub(super) const TIMES: &str = "times";
/// Bytes of times as texts, at most; beyond that they are written as seconds.
const TEXT_BYTES_MAX: usize = VALUE_BYTES_MAX / 4;
/// Bytes of one entry beside its text: quotes and a comma.
const ENTRY_BYTES: usize = 3;

/// The property's value for the times of some lines; none if there is no time at all.
pub(super) fn value(lines: &[Vec<Option<String>>], nested: bool) -> Option<Value> {
    if lines.iter().flatten().all(Option::is_none) {
        return None;
    }
    let bytes: usize = lines
        .iter()
        .flatten()
        .map(|time| time.as_ref().map_or(4, String::len) + ENTRY_BYTES)
        .sum();
    let values: Vec<Value> = lines
        .iter()
        .map(|line| {
            Value::Array(if bytes > TEXT_BYTES_MAX {
                seconds(line)
            } else {
                line.iter().map(|time| json!(time)).collect()
            })
        })
        .collect();
    if nested {
        Some(Value::Array(values))
    } else {
        values.into_iter().next()
    }
}

fn seconds(line: &[Option<String>]) -> Vec<Value> {
    let mut before: Option<i64> = None;
    line.iter()
        .map(|time| {
            let Some(text) = time else { return Value::Null };
            let now = parse_ms(text);
            let step = before
                .zip(now)
                .and_then(|(before, now)| now.checked_sub(before));
            before = now.or(before);
            match step {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "steps of a track are far below 2^53 ms"
                )]
                Some(step) => Value::Number(json_number(step as f64 / 1000.0)),
                None => Value::String(text.clone()),
            }
        })
        .collect()
}

/// The times of lines of so many vertices, as far as the value says them.
pub(super) fn read(value: Option<&Value>, vertices: &[usize]) -> Vec<Vec<Option<String>>> {
    let entries = value.and_then(Value::as_array).map(Vec::as_slice);
    let entries = entries.unwrap_or_default();
    let nested = entries.iter().any(Value::is_array);
    vertices
        .iter()
        .enumerate()
        .map(|(at, count)| {
            let line = if nested {
                entries.get(at).and_then(Value::as_array).map(Vec::as_slice)
            } else {
                Some(entries).filter(|_| at == 0)
            };
            let mut times = resolved(line.unwrap_or_default());
            times.resize(*count, None);
            times
        })
        .collect()
}

fn resolved(entries: &[Value]) -> Vec<Option<String>> {
    let mut before: Option<i64> = None;
    entries
        .iter()
        .map(|entry| match entry {
            Value::String(text) => {
                let now = parse_ms(text);
                before = now.or(before);
                now.map(|_| text.clone())
            }
            Value::Number(seconds) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "checked to be far within i64"
                )]
                let step = seconds
                    .as_f64()
                    .map(|seconds| (seconds * 1000.0).round())
                    .filter(|ms| ms.abs() < 1e15)
                    .map(|ms| ms as i64);
                let now = before?.checked_add(step?)?;
                before = Some(now);
                u64::try_from(now)
                    .ok()
                    .map(|now| shortened(&rfc3339_ms(now)))
            }
            _ => None,
        })
        .collect()
}

/// Without a fraction that says nothing.
fn shortened(text: &str) -> String {
    text.replace(".000Z", "Z")
}

/// Milliseconds since 1970 (UTC) of a time as RFC 3339 or as XML Schema writes it; without a zone it is UTC.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut fields = date.splitn(3, '-');
    let mut field = || fields.next()?.parse::<u32>().ok();
    let (year, month, day) = (field()?, field()?, field()?);
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut fields = clock.splitn(3, ':');
    let mut field = || fields.next()?.parse::<u32>().ok();
    let (hour, minute, second) = (field()?, field()?, field().unwrap_or(0));
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && year <= 9999
        && hour <= 24
        && minute <= 59
        && second <= 60
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !valid {
        return None;
    }
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let days = days_from_civil(i64::from(year), i64::from(month), i64::from(day));
    let seconds = days * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    Some((seconds - offset_s(zone)?) * 1000 + ms)
}

fn offset_s(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone
        .get(1..)?
        .split_once(':')
        .unwrap_or((zone.get(1..)?, "0"));
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours.abs() <= 18 && minutes.abs() < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970-01-01, by Howard Hinnant's `days_from_civil` (public domain).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_of_every_usual_form_are_read() {
        let ms = |text: &str| parse_ms(text).unwrap();
        assert_eq!(ms("1970-01-01T00:00:00Z"), 0);
        assert_eq!(ms("2000-03-01T00:00:00Z"), 951_868_800_000);
        assert_eq!(ms("2026-11-21T13:00:00.25Z"), 1_795_266_000_250);
        assert_eq!(ms("2026-11-21T14:00:00+01:00"), ms("2026-11-21T13:00:00Z"));
        assert_eq!(ms("2026-11-21T13:00:00"), ms("2026-11-21T13:00:00Z"));
        for wrong in [
            "",
            "2026",
            "2026-13-01T00:00:00Z",
            "2026-01-01T99:00:00Z",
            "x-y-zTa:b:c",
            "2026-01-01T00:00:00+99:00",
            "2026-01-01Tä",
        ] {
            assert_eq!(parse_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn short_and_long_tracks_give_their_times_back() {
        let line = |count: u64| -> Vec<Option<String>> {
            let time =
                |i: u64| (i % 7 != 3).then(|| shortened(&rfc3339_ms(1_795_266_000_000 + i * 1500)));
            (0..count).map(time).collect()
        };
        for count in [3, 20_000] {
            let lines = vec![line(count), line(5)];
            let value = value(&lines, true).unwrap();
            assert!(value.to_string().len() < VALUE_BYTES_MAX);
            assert_eq!(
                read(Some(&value), &[usize::try_from(count).unwrap(), 5]),
                lines
            );
        }
        assert_eq!(value(&[vec![None, None]], false), None);
        assert_eq!(
            read(Some(&json!(["x", 5, null, 1])), &[2, 1]),
            vec![vec![None, None], vec![None]]
        );
    }
}
