//! Mapweave's wire protocol: messages, bounds, sessions and the update scanner, without IO.

mod awareness;
mod codec;
mod error;
mod id;
pub mod limits;
mod message;
mod session;
mod state_vector;
mod update;
mod varint;

pub use awareness::{AwarenessEntry, AwarenessUpdate};
pub use codec::yws;
pub use error::{CloseReason, DecodeError, Fault, Malformed};
pub use id::{ClientId, DocId, MAP_NAME_BYTES_MAX, MapName, NameError, Seq, SessionId};
pub use message::Message;
pub use session::{Access, Effect, Event, Phase, Refusal, Session, SessionLimits, ToRoom};
pub use state_vector::StateVector;
pub use update::{
    ConcatError, DeleteRange, DoorError, Ledger, Outline, ScanError, Scanned, Verdict, concat,
    extend, scan,
};
pub use varint::{Reader, Writer};
