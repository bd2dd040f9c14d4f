//! Every bound of the wire in one place, each with its unit and its reason.
//!
//! A bound is here if a peer could otherwise choose the number. What a deployment may want to change is also
//! a field of [`SessionLimits`](crate::SessionLimits), with the value here as its default.

/// Largest unsigned integer on the wire: 2^53 − 1, the last one that JavaScript holds exactly.
pub const VAR_UINT_MAX: u64 = (1 << 53) - 1;

/// Longest encoding of an unsigned integer, in bytes: eight groups of seven bits hold 56.
pub const VAR_UINT_BYTES_MAX: usize = 8;

/// End of the clocks of one client. yrs counts clocks in 32 bits and subtracts them as signed numbers, so
/// from 2^31 on a document would no longer be read as it was written.
pub const CLOCK_MAX: u64 = (1 << 31) - 1;

/// Largest update in bytes (64 MiB), on every path. A whole map of 400 000 features fits.
pub const UPDATE_BYTES_MAX: usize = 64 << 20;

/// Largest WebSocket message in bytes: an update, its two tags and its length.
pub const FRAME_BYTES_MAX: usize = UPDATE_BYTES_MAX + 16;

/// Most clients in one update, state vector or document. Every session of every editor is one, for ever:
/// a million is a hundred people who open a map ten times a day for three years.
pub const CLIENTS_MAX: usize = 1 << 20;

/// Largest state vector in bytes: [`CLIENTS_MAX`] entries of at most thirteen bytes.
pub const STATE_VECTOR_BYTES_MAX: usize = 16 << 20;

/// Largest awareness message in bytes (64 KiB): a name, a cursor and the geometry being dragged.
/// Clients send back what they receive, so nobody should send more than half of it in one message.
pub const AWARENESS_BYTES_MAX: usize = 64 << 10;

/// What a byte of awareness costs beside itself, in bytes that its session may send: each is checked, compared and told to
/// everybody. Four times as much in all leaves 16 MiB a second, of which far less is told.
pub const AWARENESS_COST: u64 = 3;

/// Most clients in one awareness message.
pub const AWARENESS_ENTRIES_MAX: usize = 1024;

/// Longest token of a durable acknowledgement in bytes. y-sweet sends a counter of at most eight.
pub const ACK_TOKEN_BYTES_MAX: usize = 32;

/// Most tokens that wait for an acknowledgement; beyond it the newest one replaces the one before.
pub const ACK_TOKENS_MAX: usize = 64;

/// Deepest nesting of shared types in a document, and of arrays and objects in one value. yrs deletes and
/// reads them by recursion: a depth of 12 000 overflows a stack of 2 MB, 5 000 stops every Yjs client.
pub const NESTING_MAX: usize = 64;

/// Most clients of one update that wait for each other, or of which the others have used up everything before
/// their own turn comes. yrs 0.28.1 recurses once for each of the latter (24 000 overflow a stack of 2 MB, in
/// an update of 240 kB) and searches through all of the former for each of them.
pub const CLIENTS_CHAINED_MAX: usize = 4096;

/// Most messages packed into one frame. Stock clients send one, yrs-based ones two or three.
pub const MESSAGES_PER_FRAME_MAX: usize = 64;

/// Longest reason in bytes that we send or read in an Auth message.
pub const REASON_BYTES_MAX: usize = 1024;

/// Longest close reason in bytes: a control frame holds 125, two of them the code (RFC 6455 §5.5).
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Most bytes of frames that a session keeps while the room has not taken it in yet. Must hold one frame.
pub const GREETING_BYTES_MAX: usize = FRAME_BYTES_MAX + (1 << 20);

/// Most frames that a session keeps while the room has not taken it in yet.
pub const GREETING_FRAMES_MAX: usize = 1024;

/// Milliseconds without anything sent after which a keepalive goes out. Clients drop a socket that was
/// silent for 30 s and look every 3 s; proxies drop it after 15 to 60 s.
pub const KEEPALIVE_MS: u64 = 12_000;

/// Messages a second that one session may send for long. Dragging makes sixty; a script far more.
pub const MESSAGES_PER_S: u64 = 20_000;

/// Messages that one session may send at once, on top.
pub const MESSAGES_BURST: u64 = 2 * MESSAGES_PER_S;

/// Bytes a second that one session may send for long (64 MiB): one largest update.
pub const BYTES_PER_S: u64 = UPDATE_BYTES_MAX as u64;

/// Bytes that one session may send at once, on top: days of offline edits, twice the largest update.
pub const BYTES_BURST: u64 = 2 * BYTES_PER_S;

/// Longest address of a Hocuspocus message in bytes: a map's name before it is normalised, and a session's.
pub const ADDRESS_BYTES_MAX: usize = 1024;

/// What a Hocuspocus message has around its update at most, in bytes: the address, two tags and two lengths.
pub const ADDRESSING_BYTES_MAX: usize = ADDRESS_BYTES_MAX + 32;

/// Longest token in bytes. A signed one with a dozen map patterns has two thousand.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Longest text of a stateless message in bytes (64 KiB): it is sent on to everyone in the map at once.
pub const STATELESS_BYTES_MAX: usize = 64 << 10;

/// Bytes a second of such texts that one session may send for long (256 KiB): each goes out as often as there are people in
/// the map.
pub const STATELESS_BYTES_PER_S: u64 = 256 << 10;

/// Bytes of them that it may send at once, on top: sixteen of the largest.
pub const STATELESS_BYTES_BURST: u64 = 16 * STATELESS_BYTES_MAX as u64;

/// Most maps on one Hocuspocus socket. Each is a connection of its map, with a queue of its own.
pub const MAPS_PER_SOCKET_MAX: usize = 256;

/// Most clients in the state vector of a Hocuspocus provider for its queued edits to be told from new ones. With more, all
/// that comes before its first SyncStep2 is taken for queued.
pub const COUNTED_CLIENTS_MAX: usize = 16_384;

/// Most runs of updates of one map of a socket that get no status while one before them is not durable yet; what lies
/// between more of them gets none either. Edits, a queue, edits are two runs.
pub const UNCOUNTED_RUNS_MAX: usize = 64;

/// Most updates of one map of a socket that were refused while one before them is not durable yet.
pub const REFUSED_WAITING_MAX: usize = 4096;

/// Most bytes that a Hocuspocus socket may send to maps that it waits to be let into (5 MiB), over all of them.
pub const WAITING_BYTES_MAX: usize = 5 << 20;

/// Most messages of the same kind.
pub const WAITING_MESSAGES_MAX: usize = 1000;

/// Most maps that a Hocuspocus socket waits to be let into.
pub const WAITING_MAPS_MAX: usize = 100;

/// Milliseconds within which a Hocuspocus socket must be let into its first map, and within which it is known whether
/// somebody may have a map.
pub const ENTERING_MS: u64 = 60_000;

/// A token is asked for anew so many milliseconds before it expires, or in the last quarter of a shorter life.
pub const TOKEN_RENEWAL_MS: u64 = 60_000;

/// A token that lives no longer than so many milliseconds is not asked for anew: the answer would come too late.
pub const TOKEN_RENEWAL_MIN_MS: u64 = 2_000;
