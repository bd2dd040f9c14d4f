//! What a file is, from its first bytes; above all what it is instead of what its name says.

use serde::de::IgnoredAny;

use super::{Format, csv};

/// A byte order mark in UTF-8, accepted and skipped (RFC 8259 §8.1 allows that).
pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";
/// Starts an SQLite file.
const SQLITE: &[u8] = b"SQLite format 3\0";
/// Starts a zip archive.
const ZIP: &[u8] = b"PK\x03\x04";
/// Starts each record of a JSON text sequence (RFC 7464).
pub(super) const RECORD_SEPARATOR: u8 = 0x1E;

/// Something that is certainly not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// As a noun with its article.
    pub(super) what: &'static str,
    /// What to do with it.
    pub(super) hint: &'static str,
}

/// Signatures at the start of files, the more telling first.
const SIGNATURES: [(&[u8], Foreign); 14] = [
    (
        SQLITE,
        Foreign {
            what: "an SQLite file, perhaps a GeoPackage",
            hint: SAY_SO,
        },
    ),
    (
        ZIP,
        Foreign {
            what: "a zip archive, perhaps a shapefile or KMZ",
            hint: SAY_SO,
        },
    ),
    (
        b"\x1F\x8B",
        Foreign {
            what: "gzip-compressed data",
            hint: "decompress it first: `gunzip FILE`",
        },
    ),
    (
        b"\x28\xB5\x2F\xFD",
        Foreign {
            what: "zstd-compressed data",
            hint: "decompress it first: `zstd -d FILE`",
        },
    ),
    (
        b"BZh",
        Foreign {
            what: "bzip2-compressed data",
            hint: "decompress it first: `bunzip2 FILE`",
        },
    ),
    (
        b"fgb\x03",
        Foreign {
            what: "a FlatGeobuf file",
            hint: SAY_SO,
        },
    ),
    (
        b"\x00\x00\x27\x0A",
        Foreign {
            what: "a shapefile",
            hint: "put all its files (.shp, .dbf, .prj, …) into a zip archive",
        },
    ),
    (
        b"PAR1",
        Foreign {
            what: "a Parquet file",
            hint: CONVERT,
        },
    ),
    (
        b"II*\0",
        Foreign {
            what: "a TIFF image",
            hint: IMAGE,
        },
    ),
    (
        b"MM\0*",
        Foreign {
            what: "a TIFF image",
            hint: IMAGE,
        },
    ),
    (
        b"\x89PNG",
        Foreign {
            what: "a PNG image",
            hint: IMAGE,
        },
    ),
    (
        b"%PDF",
        Foreign {
            what: "a PDF document",
            hint: IMAGE,
        },
    ),
    (
        b"\xFF\xFE",
        Foreign {
            what: "text in UTF-16",
            hint: UTF_8,
        },
    ),
    (
        b"\xFE\xFF",
        Foreign {
            what: "text in UTF-16",
            hint: UTF_8,
        },
    ),
];
const SAY_SO: &str =
    "give the file its usual ending, or say which format it has, as in --format gpkg";
const CONVERT: &str = "convert it first: `ogr2ogr -f GeoJSON out.geojson IN`";
const IMAGE: &str = "it holds no features";
const UTF_8: &str = "save it as UTF-8";

/// What the file is, if it is certainly no JSON.
pub(super) fn foreign(start: &[u8]) -> Option<Foreign> {
    if let Some((_, foreign)) = SIGNATURES
        .iter()
        .find(|(signature, _)| start.starts_with(signature))
    {
        return Some(*foreign);
    }
    let text = start.strip_prefix(BOM).unwrap_or(start).trim_ascii_start();
    if text.starts_with(b"<") {
        let (what, hint) = match text {
            text if contains(text, b"<kml") => ("a KML file", SAY_SO),
            text if contains(text, b"<gpx") => ("a GPX file", SAY_SO),
            text if contains(text, b"FeatureCollection") || contains(text, b"/gml") => {
                ("a GML file", CONVERT)
            }
            text if starts_with_letters(text, b"<!doctype html")
                || starts_with_letters(text, b"<html") =>
            {
                return Some(Foreign {
                    what: "a web page",
                    hint: "download the data itself; the address may need a login",
                });
            }
            _ => ("an XML file", CONVERT),
        };
        return Some(Foreign { what, hint });
    }
    if text.contains(&0) {
        return Some(Foreign {
            what: "binary data",
            hint: "GeoJSON is text in UTF-8",
        });
    }
    None
}

/// The format that the content tells.
pub(super) fn format(start: &[u8]) -> Option<Format> {
    let text = start.strip_prefix(BOM).unwrap_or(start).trim_ascii_start();
    match text.first()? {
        &RECORD_SEPARATOR => Some(Format::GeoJsonSeq),
        b'S' if start.starts_with(SQLITE) => Some(Format::GeoPackage),
        b'f' if start.starts_with(b"fgb\x03fgb") => Some(Format::FlatGeobuf),
        b'P' if start.starts_with(ZIP) => Some(if contains(start, b".kml") {
            Format::Kmz
        } else {
            Format::Shapefile
        }),
        b'<' if contains(text, b"<kml") => Some(Format::Kml),
        b'<' if contains(text, b"<gpx") => Some(Format::Gpx),
        b'{' => {
            let line_end = text
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(text.len());
            let (line, rest) = text.split_at_checked(line_end)?;
            let whole = serde_json::from_slice::<IgnoredAny>(line).is_ok();
            let more = rest.trim_ascii_start().starts_with(b"{");
            Some(if whole && more {
                Format::GeoJsonSeq
            } else {
                Format::GeoJson
            })
        }
        _ => csv::looks_like(text).then_some(Format::Csv),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn starts_with_letters(text: &[u8], part: &[u8]) -> bool {
    text.get(..part.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_json_are_named() {
        let what = |start: &[u8]| foreign(start).map(|foreign| foreign.what);
        assert_eq!(
            what(b"PK\x03\x04rest"),
            Some("a zip archive, perhaps a shapefile or KMZ")
        );
        assert_eq!(
            what(b"SQLite format 3\0..."),
            Some("an SQLite file, perhaps a GeoPackage")
        );
        assert_eq!(
            what(b"<?xml version=\"1.0\"?><gpx version=\"1.1\">"),
            Some("a GPX file")
        );
        assert_eq!(what(b"<!DOCTYPE html><html>"), Some("a web page"));
        assert_eq!(what(b"\x01\x02\0\0"), Some("binary data"));
        assert_eq!(what(b"{\"type\":"), None);
        assert_eq!(what(b"lon,lat\n1,2\n"), None);
        assert_eq!(what(b""), None);
    }
}
