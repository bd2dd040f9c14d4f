//! Mapweave's wire protocol: messages, bounds, sessions and the update scanner, without IO.
//!
//! No socket, clock, task or thread, and no CRDT: what is here decides, a shell around it carries out. Every
//! byte from outside passes through here first; nothing recurses, panics or reserves memory on a peer's word.
//! The bytes are described in `docs/protocol.md`.
//!
//! | Message | Type | Body | From a peer, a session … |
//! |---|---|---|---|
//! | [`Message::SyncStep1`] | 0, 0 | buf of a [`StateVector`] | asks the room for what the peer lacks |
//! | [`Message::SyncStep2`] | 0, 1 | buf of an update | scans it and hands it to the room |
//! | [`Message::Update`] | 0, 2 | buf of an update | scans it and hands it to the room |
//! | [`Message::Awareness`] | 1 | buf of an [`AwarenessUpdate`] | hands it to the room |
//! | [`Message::AuthDenied`] | 2, 0 | string | passes over it; sends it when an edit is refused |
//! | [`Message::AuthGranted`] | 2, 1 | | passes over it |
//! | [`Message::QueryAwareness`] | 3 | the rest of the frame is ignored | asks the room for everybody's presence |
//! | [`Message::DurableAck`] | 102 | buf of a token | sends it back once all that came before is durable |
//! | [`Message::Stateless`] | Hocuspocus 5 | string | hands it to the room, for everyone |
//! | [`Message::Custom`] | other | buf | passes over it and counts it |
//!
//! Start from [`Session`] for a connection, from [`scan`] and [`Ledger`] for updates that come another way.
//!
//! ```
//! use mapweave_proto::{Ledger, Message, Verdict, limits, scan, yws};
//!
//! // One item: client 7 sets "k" in the root type "map" to null.
//! let update = vec![1, 1, 7, 0, 0x28, 1, 3, b'm', b'a', b'p', 1, b'k', 1, 126, 0];
//! let frame = yws::encode(&Message::Update(update.into()));
//!
//! let Some(Ok(Message::Update(update))) = yws::decode(frame).next() else { panic!() };
//! let update = scan(update, limits::UPDATE_BYTES_MAX)?;
//! let mut ledger = Ledger::default();
//! assert_eq!(ledger.judge(&update)?, Verdict::Fresh);
//! ledger.admit(&update); // after the document has applied it
//! assert_eq!(ledger.judge(&update)?, Verdict::Nothing);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod awareness;
mod codec;
mod error;
mod id;
pub mod limits;
mod message;
mod session;
mod state_vector;
mod unsent;
mod update;
mod varint;

pub use awareness::{AwarenessEntry, AwarenessUpdate};
pub use codec::{hocuspocus, yws};
pub use error::{CloseReason, DecodeError, Fault, Malformed, TERMINAL_CODES, TOO_LARGE_CODE};
pub use id::{ClientId, DocId, MAP_NAME_BYTES_MAX, MapName, NameError, Seq, SessionId};
pub use message::Message;
pub use session::{
    Access, Bucket, Effect, Event, Granted, LaneId, Phase, Refusal, Session, SessionLimits,
    SocketClose, SocketEffect, SocketEvent, Switchboard, ToRoom,
};
pub use state_vector::StateVector;
pub use unsent::{
    UNSENT_EDITS_MAX, UNSENT_MAGIC, UNSENT_MEDIA_TYPE, UNSENT_TEXT_BYTES_MAX, UnsentEdit,
    UnsentEdits, UnsentError,
};
pub use update::{
    COMMENT_ROOTS, CommentError, ConcatError, DeleteRange, DoorError, LARGE_DELETE_RANGES_MAX,
    LargeError, LargeUpdate, Ledger, Outline, PieceLimits, Pieces, ReadAt, ScanError, Scanned,
    Verdict, concat, extend, scan,
};
pub use varint::{Reader, Writer};
