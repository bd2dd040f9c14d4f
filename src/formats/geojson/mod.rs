//! GeoJSON (RFC 7946), read as a stream and written in stable bytes.

mod feature;
mod raw;
mod reader;
mod writer;

pub(super) use feature::from_cut;
pub(super) use reader::Reader;
pub(super) use writer::{write_collection, write_feature};

pub use writer::feature_json;
