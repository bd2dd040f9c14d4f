//! Hocuspocus, providers 2.x to 4.x: many maps on one socket. A frame is the address of a map, a type and a
//! body; only ping and pong are a single byte without an address. Start from [`decode`] and [`encode`].

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::yws::{
    AUTH, AWARENESS, QUERY_AWARENESS, SYNC, SYNC_STEP_1, SYNC_STEP_2, SYNC_UPDATE, at_most, buf,
    shortened, sync,
};
use crate::error::DecodeError;
use crate::limits::{ADDRESS_BYTES_MAX, STATELESS_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::message::Message;
use crate::varint::{Reader, Writer, var_uint_bytes};

pub(super) const STATELESS: u64 = 5;
const CLOSE: u64 = 7;
const SYNC_STATUS: u64 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const AUTH_TOKEN: u64 = 0;
const AUTH_DENIED: u64 = 1;
const AUTH_GRANTED: u64 = 2;

/// Room for two tags and two lengths, beside an address and a payload.
const TAGS_BYTES: usize = 2 + 2 * 8;

/// Which map of the socket a message is for: the map's name, or name, `\0` and a session of the client's.
///
/// Kept as it came, since the client looks its provider up by exactly these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Arc<str>);

impl Address {
    /// An address of these characters.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The map's name as the client has it: not checked, nor normalised.
    pub fn name(&self) -> &str {
        self.0.split_once('\0').map_or(&*self.0, |(name, _)| name)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a frame from a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A sign of life that wants to be answered with [`pong`].
    Ping,
    /// The answer to a [`ping`].
    Pong,
    /// Something for one map.
    For(Address, Said),
}

/// What a client says to one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Who it is. Providers from 4.0 on add their version.
    Token {
        /// The token, perhaps empty.
        token: String,
        /// The provider's version, such as `4.8.0`.
        version: Option<String>,
    },
    /// Sync, presence, or a stateless text.
    Message(Message),
    /// It leaves this map and keeps the socket.
    Detach,
    /// A type that clients do not send, or that only later versions know.
    Unknown {
        /// The type.
        tag: u64,
    },
}

/// What the server says beside [`Message`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The token is taken; the client may only read, or write too.
    Granted {
        /// Whether it may only read.
        read_only: bool,
    },
    /// The client may not have this map: why.
    Denied(String),
    /// One update, a SyncStep2 or a change, is durable.
    Applied,
    /// One update was not taken.
    Refused,
    /// The token is about to expire: send a new one. Providers before 3.0 pass over it.
    AskToken,
    /// Why updates of this client are not taken: a stateless text in JSON, since no other message has room for words.
    Why {
        /// For people.
        reason: String,
        /// Whether the server keeps them for an owner to decide about.
        kept: bool,
    },
    /// The map is gone from this socket: why. Providers before 3.0 throw on it.
    Closed(String),
}

/// Reads a frame. Payloads are slices of it.
///
/// # Errors
/// What is malformed or beyond its bound. An unknown type is none: its body is passed over.
pub fn decode(frame: Bytes) -> Result<Incoming, DecodeError> {
    match *frame {
        [PING] => return Ok(Incoming::Ping),
        [PONG] => return Ok(Incoming::Pong),
        _ => {}
    }
    let mut reader = Reader::new(frame);
    let address = text(&mut reader, "address", ADDRESS_BYTES_MAX)?;
    let address = Address(Arc::from(address));
    let tag = reader
        .var_uint()
        .map_err(DecodeError::malformed("message type"))?;
    let said = said(tag, &mut reader)?;
    match reader.left() {
        0 => Ok(Incoming::For(address, said)),
        bytes => Err(DecodeError::TrailingBytes {
            what: "message",
            at: reader.at(),
            bytes,
        }),
    }
}

fn said(tag: u64, reader: &mut Reader) -> Result<Said, DecodeError> {
    match tag {
        SYNC => sync(reader).map(Said::Message),
        AWARENESS => {
            buf(reader, "awareness").map(|awareness| Said::Message(Message::Awareness(awareness)))
        }
        AUTH => token(reader),
        QUERY_AWARENESS => {
            reader.skip_rest();
            Ok(Said::Message(Message::QueryAwareness))
        }
        STATELESS => {
            let payload = text(reader, "stateless text", STATELESS_BYTES_MAX)?;
            Ok(Said::Message(Message::Stateless(payload.to_owned())))
        }
        CLOSE => {
            reader.skip_rest();
            Ok(Said::Detach)
        }
        tag => {
            reader.skip_rest();
            Ok(Said::Unknown { tag })
        }
    }
}

/// Later versions may add to what providers 4.x send with a token.
fn token(reader: &mut Reader) -> Result<Said, DecodeError> {
    let at = reader.at();
    let kind = reader
        .var_uint()
        .map_err(DecodeError::malformed("auth kind"))?;
    if kind != AUTH_TOKEN {
        return Err(DecodeError::UnknownKind {
            what: "auth",
            tag: kind,
            at,
        });
    }
    let token = text(reader, "token", TOKEN_BYTES_MAX)?.to_owned();
    let version = match reader.left() {
        0 => None,
        _ => Some(text(reader, "provider version", ADDRESS_BYTES_MAX)?.to_owned()),
    };
    reader.skip_rest();
    Ok(Said::Token { token, version })
}

fn text<'a>(
    reader: &'a mut Reader,
    what: &'static str,
    bytes_max: usize,
) -> Result<&'a str, DecodeError> {
    let text = reader.string().map_err(DecodeError::malformed(what))?;
    at_most(what, text.len(), bytes_max)?;
    Ok(text)
}

/// The frame of a message for the client's provider at `address`. `None` for what this protocol does not have.
pub fn encode(address: &Address, message: &Message) -> Option<Bytes> {
    let (tags, payload): (&[u64], &[u8]) = match message {
        Message::SyncStep1(vector) => (&[SYNC, SYNC_STEP_1], vector),
        Message::SyncStep2(update) => (&[SYNC, SYNC_STEP_2], update),
        Message::Update(update) => (&[SYNC, SYNC_UPDATE], update),
        Message::Awareness(awareness) => (&[AWARENESS], awareness),
        Message::Stateless(payload) | Message::Notice(payload) => {
            (&[STATELESS], payload.as_bytes())
        }
        Message::QueryAwareness => return Some(tagged(address, &[QUERY_AWARENESS], 0).finish()),
        Message::AuthDenied(_)
        | Message::AuthGranted
        | Message::DurableAck(_)
        | Message::Custom { .. } => return None,
    };
    Some(with_payload(address, tags, payload))
}

/// The frame of an answer for the client's provider at `address`.
pub fn encode_answer(address: &Address, answer: &Answer) -> Bytes {
    match answer {
        Answer::Granted { read_only } => {
            let scope = if *read_only { "readonly" } else { "read-write" };
            with_payload(address, &[AUTH, AUTH_GRANTED], scope.as_bytes())
        }
        Answer::Denied(reason) => {
            with_payload(address, &[AUTH, AUTH_DENIED], shortened(reason).as_bytes())
        }
        Answer::AskToken => tagged(address, &[AUTH, AUTH_TOKEN], 0).finish(),
        // Clients read this number as a varInt; up to 63 it is the same byte.
        Answer::Applied => tagged(address, &[SYNC_STATUS, 1], 0).finish(),
        Answer::Refused => tagged(address, &[SYNC_STATUS, 0], 0).finish(),
        Answer::Why { reason, kept } => with_payload(
            address,
            &[STATELESS],
            why(shortened(reason), *kept).as_bytes(),
        ),
        Answer::Closed(reason) => with_payload(address, &[CLOSE], shortened(reason).as_bytes()),
    }
}

/// The text of [`Answer::Why`], a notice as the server's others are: `{"mapweave":1,"kind":"denied","reason":"…","kept":false}`.
fn why(reason: &str, kept: bool) -> String {
    let mut text = String::from(r#"{"mapweave":1,"kind":"denied","reason":""#);
    for character in reason.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            control if control.is_control() => text.push(' '),
            other => text.push(other),
        }
    }
    text.push_str(if kept {
        r#"","kept":true}"#
    } else {
        r#"","kept":false}"#
    });
    text
}

/// A sign of life for providers from 4.0 on, which answer it with a pong. Earlier ones do not know it.
pub fn ping() -> Bytes {
    Bytes::from_static(&[PING])
}

/// The answer to a ping.
pub fn pong() -> Bytes {
    Bytes::from_static(&[PONG])
}

/// The shortest frame without meaning that providers of all versions take for a sign of life: awareness with no
/// entries.
pub fn keepalive(address: &Address) -> Bytes {
    with_payload(address, &[AWARENESS], &[0])
}

fn with_payload(address: &Address, tags: &[u64], payload: &[u8]) -> Bytes {
    let mut writer = tagged(
        address,
        tags,
        var_uint_bytes(payload.len() as u64) + payload.len(),
    );
    writer.buf(payload);
    writer.finish()
}

fn tagged(address: &Address, tags: &[u64], more_bytes: usize) -> Writer {
    let mut writer = Writer::with_capacity(address.0.len() + TAGS_BYTES + more_bytes);
    writer.string(&address.0);
    for tag in tags {
        writer.var_uint(*tag);
    }
    writer
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(frame: &[u8]) -> Result<Incoming, DecodeError> {
        decode(Bytes::copy_from_slice(frame))
    }

    fn said_of(frame: &[u8]) -> Said {
        match read(frame).unwrap() {
            Incoming::For(address, said) => {
                assert_eq!(address.as_str(), "A");
                said
            }
            other => panic!("{other:?} has no address"),
        }
    }

    #[test]
    fn the_handshake_of_provider_4_is_read_as_it_was_captured() {
        let auth = [
            1, b'A', 2, 0, 2, b'o', b'k', 5, b'4', b'.', b'8', b'.', b'0',
        ];
        let token = Said::Token {
            token: "ok".into(),
            version: Some("4.8.0".into()),
        };
        assert_eq!(said_of(&auth), token);
        let step1 = Said::Message(Message::SyncStep1(Bytes::from_static(&[0])));
        assert_eq!(said_of(&[1, b'A', 0, 0, 1, 0]), step1);
    }

    #[test]
    fn earlier_providers_send_a_token_without_a_version() {
        let token = Said::Token {
            token: String::new(),
            version: None,
        };
        assert_eq!(said_of(&[1, b'A', 2, 0, 0]), token);
    }

    #[test]
    fn ping_and_pong_are_whole_frames_of_one_byte() {
        assert_eq!(read(&ping()), Ok(Incoming::Ping));
        assert_eq!(read(&pong()), Ok(Incoming::Pong));
        // The same types behind an address are none.
        assert_eq!(said_of(&[1, b'A', 9]), Said::Unknown { tag: 9 });
    }

    #[test]
    fn a_client_leaves_one_map_with_type_7() {
        assert_eq!(said_of(&[1, b'A', 7]), Said::Detach);
        assert_eq!(said_of(&[1, b'A', 7, 0]), Said::Detach);
    }

    #[test]
    fn what_only_servers_say_to_each_other_is_unknown_from_a_client() {
        for tag in [4, 6, 8, 11] {
            let unknown = Said::Unknown {
                tag: u64::from(tag),
            };
            assert_eq!(said_of(&[1, b'A', tag, 1, 2, 3]), unknown);
        }
    }

    #[test]
    fn the_bytes_of_every_answer_are_as_documented() {
        let address = Address::new("A");
        let answer = |answer: &Answer| encode_answer(&address, answer).to_vec();
        let read_only = |read_only| answer(&Answer::Granted { read_only });
        assert_eq!(read_only(true), b"\x01A\x02\x02\x08readonly");
        assert_eq!(read_only(false), b"\x01A\x02\x02\x0aread-write");
        assert_eq!(answer(&Answer::Denied("no".into())), b"\x01A\x02\x01\x02no");
        assert_eq!(answer(&Answer::Applied), b"\x01A\x08\x01");
        assert_eq!(answer(&Answer::Refused), b"\x01A\x08\x00");
        let why = Answer::Why {
            reason: "no \"x\"\n".into(),
            kept: true,
        };
        let said = br#"{"mapweave":1,"kind":"denied","reason":"no \"x\" ","kept":true}"#;
        assert_eq!(
            answer(&why),
            [&[1, b'A', 5, said.len() as u8], &said[..]].concat()
        );
        assert_eq!(answer(&Answer::Closed("gone".into())), b"\x01A\x07\x04gone");
        assert_eq!(keepalive(&address).to_vec(), b"\x01A\x01\x01\x00");
    }

    #[test]
    fn a_session_behind_the_name_is_part_of_the_address_and_not_of_the_name() {
        let Ok(Incoming::For(address, _)) = read(b"\x05a/b\0s\x03") else {
            panic!("no address")
        };
        assert_eq!((address.as_str(), address.name()), ("a/b\0s", "a/b"));
    }

    #[test]
    fn what_is_cut_short_too_long_or_goes_on_is_refused() {
        for frame in [
            &[][..],
            &[5, b'A'],
            &[1, b'A'],
            &[1, b'A', 0, 1],
            &[1, 0xff, 3],
        ] {
            assert!(
                matches!(read(frame), Err(DecodeError::Malformed { .. })),
                "{frame:?}"
            );
        }
        assert!(matches!(
            read(&[1, b'A', 0, 2, 1, 7, 7]),
            Err(DecodeError::TrailingBytes { bytes: 1, .. })
        ));
        assert!(matches!(
            read(&[1, b'A', 2, 2, 0]),
            Err(DecodeError::UnknownKind { tag: 2, .. })
        ));
        let long = Address::new(&"x".repeat(ADDRESS_BYTES_MAX + 1));
        assert!(matches!(
            decode(keepalive(&long)),
            Err(DecodeError::TooLarge { .. })
        ));
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        prop_oneof![
            bytes().prop_map(Message::SyncStep1),
            bytes().prop_map(Message::SyncStep2),
            bytes().prop_map(Message::Update),
            bytes().prop_map(Message::Awareness),
            ".{0,40}".prop_map(Message::Stateless),
            Just(Message::QueryAwareness),
        ]
    }

    proptest! {
        #[test]
        fn every_message_is_read_as_it_was_written(name in ".{0,40}", message in any_message()) {
            let address = Address::new(&name);
            let frame = encode(&address, &message).unwrap();
            prop_assert_eq!(decode(frame), Ok(Incoming::For(address, Said::Message(message))));
        }

        #[test]
        fn any_bytes_are_read_or_refused(frame in prop::collection::vec(0u8..12, 0..40)) {
            let _ = read(&frame);
        }
    }
}
