//! Files much larger than the memory that reading them takes: how far memory grows at its peak, for each format.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

use std::io::{self, Read};

use mapweave::formats::{ExportFilter, Format, ReadOptions, export, read, read_file};
use mapweave::model::{ImportOptions, MapView, Sid, upsert};
use serde_json::Value;
use yrs::{Doc, Transact};

/// Rows of the generated GeoPackage.
const ROWS: u64 = 100_000;
/// Bytes of the generated files.
const FILE_BYTES: u64 = 512 << 20;
/// Bytes by which memory may grow, beside the 40 to 80 bytes a feature that repeated ids take.
const GROWTH_BYTES: u64 = 96 << 20;

/// A start, a record with its number over and over, and an end.
struct Generated<F> {
    record: F,
    number: u64,
    made: u64,
    ready: Vec<u8>,
    at: usize,
    end: Option<&'static str>,
}

impl<F: FnMut(u64) -> String> Read for Generated<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() {
            self.ready = if self.made < FILE_BYTES {
                self.number += 1;
                (self.record)(self.number).into_bytes()
            } else {
                self.end.take().unwrap_or_default().as_bytes().to_vec()
            };
            self.made += self.ready.len() as u64;
            self.at = 0;
        }
        let count = buffer.len().min(self.ready.len() - self.at);
        buffer[..count].copy_from_slice(&self.ready[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Reads everything and says how far memory grew.
fn growth(records: impl Iterator<Item = bool>) -> (u64, u64) {
    // Forgets the peak so far.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak_bytes();
    let mut count = 0;
    for good in records {
        assert!(good);
        count += 1;
    }
    (count, peak_bytes() - before)
}

fn check(
    format: Format,
    start: &'static str,
    end: &'static str,
    record: impl FnMut(u64) -> String,
) {
    let generated = Generated {
        record,
        number: 0,
        made: 0,
        ready: Vec::new(),
        at: 0,
        end: Some(end),
    };
    let reader = start.as_bytes().chain(generated);
    let (count, grown) = growth(read(reader, format).map(|record| record.is_ok()));
    tell(format, count, grown);
}

/// A line of some hundred positions.
fn positions(number: u64, between: &str, join: impl Fn(f64, f64) -> String) -> String {
    let one = |i: u64| {
        join(
            (number % 170) as f64 + i as f64 / 1000.0,
            (number % 80) as f64 + i as f64 / 1000.0,
        )
    };
    (0..500).map(one).collect::<Vec<_>>().join(between)
}

fn main() {
    check(
        Format::GeoJson,
        "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\"}",
        "]}",
        |n| {
            format!(
                ",{{\"type\":\"Feature\",\"id\":{n},\"geometry\":{{\"type\":\"LineString\",\"coordinates\":[{}]}}}}",
                positions(n, ",", |x, y| format!("[{x},{y}]"))
            )
        },
    );
    check(Format::Csv, "id,WKT\n", "", |n| {
        format!(
            "{n},\"LINESTRING ({})\"\n",
            positions(n, ",", |x, y| format!("{x} {y}"))
        )
    });
    check(Format::Gpx, "<gpx>", "</gpx>", |n| {
        format!(
            "<trk><number>{n}</number><trkseg>{}</trkseg></trk>\n",
            positions(n, "", |x, y| format!("<trkpt lat=\"{y}\" lon=\"{x}\"/>"))
        )
    });
    check(Format::Kml, "<kml>", "</kml>", |n| {
        format!(
            "<Placemark id=\"p{n}\"><LineString><coordinates>{}</coordinates></LineString></Placemark>\n",
            positions(n, " ", |x, y| format!("{x},{y}"))
        )
    });
    let file = package();
    let records = read_file(file.path(), Format::GeoPackage, &ReadOptions::default()).unwrap();
    let (count, grown) = growth(records.map(|record| record.is_ok()));
    tell(Format::GeoPackage, count, grown);
}

/// A GeoPackage of [`ROWS`] features.
fn package() -> tempfile::NamedTempFile {
    let doc = Doc::new();
    let features = (1..=ROWS).map(|n| {
        let name = Value::from(format!("{}{n}", "x".repeat(700)));
        let at = format!("{{\"type\":\"Feature\",\"id\":{n},\"geometry\":{{\"type\":\"Point\",\"coordinates\":[{},{}]}},\"properties\":{{\"name\":{name}}}}}", n % 170, n % 80);
        read(at.as_bytes(), Format::GeoJson).next().unwrap().unwrap()
    });
    let options = ImportOptions {
        layer: Some("roads".to_owned()),
        sid: Sid::parse("bench").unwrap(),
        who: None,
        now_s: 1_795_000_000,
        seed: 1,
        restore: false,
    };
    upsert(&doc, features, &options, &mut |_| {}).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let view = MapView::new(&doc.transact());
    export(
        &view,
        Format::GeoPackage,
        &ExportFilter::default(),
        file.as_file_mut(),
    )
    .unwrap();
    file
}

fn tell(format: Format, count: u64, grown: u64) {
    let (name, grown_mib) = (format.name(), grown >> 20);
    println!("{name}: {count} records, {grown_mib} MiB more at the peak");
    assert!(count > 10_000, "{count}");
    assert!(grown < GROWTH_BYTES + count * 80, "{grown}");
}
