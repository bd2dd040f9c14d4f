//! Records of any format as features to import: ids are derived and repeated ones found here, once for all formats.

use std::collections::HashMap;
use std::io::Read;

use super::error::{Fault, RecordError};
use super::{Format, geojson, geojsonseq};
use crate::model::{Content, Fid, InputFeature, Place};

/// A record as its format reads it.
pub(super) type Record = Result<(Content, Place), RecordError>;

/// Reads features from a file, record by record.
///
/// A wrong record yields an error and reading goes on, unless the error is fatal. Ids must be unique in a file;
/// a feature without id gets one from its content and from how many equal ones came before it. Memory is bounded by
/// the largest record, plus about 40 bytes per feature for its id.
pub fn read<R: Read>(reader: R, format: Format) -> Records<R> {
    let inner = match format {
        Format::GeoJson => Inner::GeoJson(geojson::Reader::new(reader)),
        Format::GeoJsonSeq => Inner::GeoJsonSeq(geojsonseq::Reader::new(reader)),
    };
    Records {
        inner,
        ids: HashMap::new(),
        equal: HashMap::new(),
        ended: false,
    }
}

/// The iterator that [`read`] returns. After a fatal error or the end it yields nothing more.
pub struct Records<R> {
    inner: Inner<R>,
    /// The record that first used an id, by a hash of the id.
    ids: HashMap<[u8; 16], u64>,
    /// How many features without id have had this content, by its hash.
    equal: HashMap<[u8; 16], u64>,
    ended: bool,
}

enum Inner<R> {
    GeoJson(geojson::Reader<R>),
    GeoJsonSeq(geojsonseq::Reader<R>),
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<InputFeature, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = match &mut self.inner {
            Inner::GeoJson(reader) => reader.next(),
            Inner::GeoJsonSeq(reader) => reader.next(),
        };
        self.ended = match &next {
            Some(Err(error)) => error.fatal,
            Some(Ok(_)) => false,
            None => true,
        };
        next.map(|record| record.and_then(|(content, place)| self.identify(content, place)))
    }
}

impl<R> Records<R> {
    fn identify(&mut self, content: Content, place: Place) -> Result<InputFeature, RecordError> {
        let id = content.id.as_ref().map(ToString::to_string);
        let error = |fault| RecordError {
            place,
            id: id.clone(),
            fault,
            fatal: false,
        };
        let content = content
            .checked()
            .map_err(|fault| error(Fault::Content(fault)))?;
        let fid = match &content.id {
            None => {
                let hash = content.hash();
                let count = self.equal.entry(short(&hash)).or_default();
                *count += 1;
                Fid::of_content(&hash, *count - 1)
            }
            Some(id) => {
                let fid = Fid::of_source(id);
                let first = *self
                    .ids
                    .entry(short(blake3::hash(fid.as_str().as_bytes()).as_bytes()))
                    .or_insert(place.record);
                if first != place.record {
                    return Err(error(Fault::DuplicateId { first }));
                }
                fid
            }
        };
        Ok(InputFeature::assemble(fid, content, place))
    }
}

/// Half of a hash tells a billion features apart.
fn short(hash: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    half
}
