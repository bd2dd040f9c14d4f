//! KML 2.2 and KMZ: placemarks in folders.
//!
//! A folder is a layer; folders in folders are one layer each, named by their path. Names, descriptions and extended
//! data are properties, `gx:Track` is a line with the property `times`. Styles, views, overlays and links to other
//! files are not read; `styleUrl` stays as a property.

mod geometry;
mod reader;
mod writer;

use std::io::{self, Read, Seek, Write};

use tempfile::SpooledTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::archive::{Archive, MEMORY_BYTES_MAX};
use super::crs::FileCrs;
use super::error::Fault;
use super::table::Table;
use crate::model::Feature;

pub(super) use reader::Reader;
pub(super) use writer::write;

/// The name of the main file in a KMZ archive.
const MAIN: &str = "doc.kml";

/// A reader of the main file of a KMZ archive: `doc.kml`, else the first of that ending.
pub(super) fn packed(reader: impl Read, crs: FileCrs) -> Result<Reader<SpooledTempFile>, Fault> {
    let mut archive = Archive::open(reader)?;
    let names = archive.names();
    let ends = |name: &&String| name.to_ascii_lowercase().ends_with(".kml");
    let main = names
        .iter()
        .find(|name| name.as_str() == MAIN)
        .or_else(|| names.iter().find(ends));
    let Some(main) = main else {
        return Err(Fault::Unreadable {
            what: "the archive has no file that ends in .kml".to_owned(),
            hint: "a KMZ file is a zip archive with doc.kml in it; for a shapefile say --format shp",
        });
    };
    Ok(Reader::new(archive.unpack(main)?, crs))
}

/// Writes a KMZ archive of one file; how many features it has.
pub(super) fn write_packed(
    tables: &[Table],
    feature: &mut dyn FnMut(&str) -> Option<Feature>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    // Sizes stand before the content, which not every program can do without.
    let mut zip = ZipWriter::new(SpooledTempFile::new(MEMORY_BYTES_MAX));
    // Without a time the bytes depend on the content alone.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file(MAIN, options).map_err(io::Error::other)?;
    let count = write(tables, feature, &mut zip)?;
    let mut file = zip.finish().map_err(io::Error::other)?;
    file.rewind()?;
    io::copy(&mut file, out)?;
    Ok(count)
}
