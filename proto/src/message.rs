//! The messages, independent of how a protocol frames them.

use bytes::Bytes;

/// One message of the sync protocol and its neighbours (y-protocols `PROTOCOL.md`).
///
/// Payloads are still encoded: a session decodes those that it acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// "Send me what I lack": an encoded [`StateVector`](crate::StateVector).
    SyncStep1(Bytes),
    /// The answer: an update with what was lacking and the whole delete set.
    SyncStep2(Bytes),
    /// A change, as an update.
    Update(Bytes),
    /// Presence: an encoded [`AwarenessUpdate`](crate::AwarenessUpdate).
    Awareness(Bytes),
    /// Something was refused, with the reason.
    AuthDenied(String),
    /// Nothing was refused. Only yrs-based peers send it; it has no consequence.
    AuthGranted,
    /// "Send me everybody's presence."
    QueryAwareness,
    /// From a client: "tell me when all that I sent before is durable"; from a server: it is.
    /// The token is the client's own and comes back verbatim.
    DurableAck(Bytes),
    /// Text of an application's own for everyone in the map, kept by nobody. Only Hocuspocus has it.
    Stateless(String),
    /// What the server itself tells, in JSON. Hocuspocus has it as a stateless text, y-websocket not at all.
    Notice(String),
    /// A message type of somebody's own, with its body.
    Custom {
        /// The message type.
        tag: u64,
        /// Its body.
        body: Bytes,
    },
}
