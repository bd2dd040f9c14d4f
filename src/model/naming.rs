//! Names for segments and parts that are added: behind those that are there (`map-document` §5).

use std::collections::BTreeMap;

use super::key::{End, is_key};
use super::structure::Structure;
use super::writer::Writer;

/// The last added part, and the last added segment of each part.
pub(super) struct Names {
    /// `fid/gen/`
    prefix: String,
    last_part: Option<String>,
    last_segments: BTreeMap<String, String>,
}

impl Names {
    /// What the structure of a generation of a feature's geometry has.
    pub(super) fn new(fid: &str, generation: &str, structure: &Structure<'_>) -> Self {
        let mut names = Self {
            prefix: format!("{fid}/{generation}/"),
            last_part: None,
            last_segments: BTreeMap::new(),
        };
        // They come in order, base ones first.
        for named in structure.iter().flatten() {
            if is_added(&named.part) {
                names.last_part = Some(named.part.to_string());
            }
            if is_added(&named.segment) {
                let segment = named.segment.to_string();
                names.last_segments.insert(named.part.to_string(), segment);
            }
        }
        names
    }

    /// A name for a new part; `None` at the end of the key space.
    pub(super) fn part(&mut self, writer: &mut Writer) -> Option<String> {
        let last = self.last_part.as_deref();
        let name = writer.beyond_end(&self.prefix, last, End::Back)?;
        self.last_part = Some(name.clone());
        Some(name)
    }

    /// A name for a new segment of a part; `None` at the end of the key space.
    pub(super) fn segment(&mut self, writer: &mut Writer, part: &str) -> Option<String> {
        let prefix = format!("{}{part}.", self.prefix);
        let last = self.last_segments.get(part).map(String::as_str);
        let name = writer.beyond_end(&prefix, last, End::Back)?;
        self.last_segments.insert(part.to_owned(), name.clone());
        Some(name)
    }
}

/// Whether a part or segment was added to the base: its name is an order key and no index.
pub(super) fn is_added(name: &str) -> bool {
    name.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && is_key(name)
}
