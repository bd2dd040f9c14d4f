//! Mapweave's wire protocol: messages, bounds, sessions and the update scanner, without IO.

mod id;

pub use id::{ClientId, DocId, MAP_NAME_BYTES_MAX, MapName, NameError, Seq, SessionId};
