//! What two relays say to each other: bytes ↔ [`Message`]. Bounded by the names below; nothing here panics or reserves
//! memory on a peer's word. The table is in `docs/protocol.md`.

use bytes::Bytes;
use mapweave_proto::{DocId, Malformed, MapName, Reader, Seq, Writer};
use mapweave_storage::{Known, LogId};

/// Version of what relays say. Another one is refused with the words of [`Message::Hello`].
pub const VERSION: u64 = 1;

/// Largest message, in bytes of one WebSocket frame.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Most logs that one message names.
pub const LOGS_MAX: usize = 16_384;

/// Longest reason, in bytes.
pub const WHY_BYTES_MAX: usize = 1_024;

/// Most bytes of one part of a batch: small, so that a link that dies has brought most of what it carried.
pub const PART_BYTES: usize = 32 << 10;

/// What a relay says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Who this is; the first message of both ends.
    Hello {
        /// See [`VERSION`].
        version: u64,
        /// Id of the store.
        store: [u8; 16],
        /// Its life.
        epoch: u64,
    },
    /// A map that is here. Said again when its name or its being there changes.
    Offer {
        /// Its id here.
        doc: DocId,
        /// Its name here.
        name: MapName,
        /// Whether it is there or deleted.
        state: MapState,
        /// What it holds.
        known: Known,
    },
    /// All maps that were here at the beginning have been offered.
    Listed,
    /// The answer to an offer: what is held of that map, records of it may come.
    Have {
        /// The map's id at the other end, as offered.
        doc: DocId,
        /// Counts the answers for this map; batches name the one that they follow.
        round: u64,
        /// What is held.
        known: Known,
    },
    /// The answer to an offer of which nothing is taken for now.
    Wait {
        /// The map's id at the other end.
        doc: DocId,
        /// Why, for people.
        why: String,
    },
    /// A batch begins; its parts follow, at once where it has at most [`PART_BYTES`], else after [`Message::Resume`].
    Begin(Begin),
    /// The batch begun last goes on from here: bytes before were received over an earlier connection.
    Resume {
        /// Number of the batch.
        number: u64,
        /// Bytes that are here already.
        offset: u64,
    },
    /// The next bytes of the batch begun last.
    Part(Bytes),
    /// What became of a batch. Said for each, in their order.
    Done {
        /// Number of the batch.
        number: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// Of this map there is nothing more to send for now.
    Reached {
        /// The map's id here.
        doc: DocId,
        /// Last record of its log here.
        upto: Seq,
    },
    /// Asks for what the document holds beyond a Yjs state vector. Answered by a batch of [`Content::State`].
    Ask {
        /// The map's id at the other end.
        doc: DocId,
        /// The state vector, as Yjs encodes it.
        vector: Bytes,
    },
    /// Everything here was sent and taken.
    Level,
}

/// Whether a map is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapState {
    /// It is.
    Live,
    /// It was deleted, and can be restored.
    Deleted,
}

/// The head of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// Counts the batches of a connection, from 1.
    pub number: u64,
    /// The map's id at the sender.
    pub doc: DocId,
    /// The [`Message::Have`] that this follows.
    pub round: u64,
    /// What it holds.
    pub content: Content,
    /// With it, the sender's log is sent up to here.
    pub upto: Seq,
    /// Records that the sender has yet to send after it, over all maps.
    pub left: u64,
    /// Length of the batch, in bytes.
    pub bytes: u64,
    /// First bytes of the BLAKE3 of the batch.
    pub hash: [u8; 16],
    /// How far each log is held by whoever has taken the batch.
    pub reach: Known,
}

/// What a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Records.
    Records,
    /// A Yjs update with what a document lacked ([`Message::Ask`]).
    State,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is held durably.
    Taken,
    /// It follows an answer that holds no more.
    Passed,
    /// A record in it cannot be taken; this map has to wait.
    Refused(String),
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Cut short, or a number or text out of bounds.
    #[error("a message is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// A field that cannot be.
    #[error("a message has {0}")]
    Field(&'static str),
}

impl Message {
    /// The bytes of one WebSocket message.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.byte(self.code());
        match self {
            Self::Hello {
                version,
                store,
                epoch,
            } => {
                out.var_uint(*version);
                out.raw(store);
                out.var_uint(*epoch);
            }
            Self::Offer {
                doc,
                name,
                state,
                known,
            } => {
                out.raw(&doc.to_bytes());
                out.string(name.as_str());
                out.byte(u8::from(*state == MapState::Deleted));
                put_known(&mut out, known);
            }
            Self::Listed | Self::Level => {}
            Self::Have { doc, round, known } => {
                out.raw(&doc.to_bytes());
                out.var_uint(*round);
                put_known(&mut out, known);
            }
            Self::Wait { doc, why } => {
                out.raw(&doc.to_bytes());
                put_why(&mut out, why);
            }
            Self::Begin(begin) => begin.encode(&mut out),
            Self::Resume { number, offset } => {
                out.var_uint(*number);
                out.var_uint(*offset);
            }
            Self::Part(bytes) => out.raw(bytes),
            Self::Done { number, outcome } => {
                out.var_uint(*number);
                match outcome {
                    Outcome::Taken => out.byte(0),
                    Outcome::Passed => out.byte(1),
                    Outcome::Refused(why) => {
                        out.byte(2);
                        put_why(&mut out, why);
                    }
                }
            }
            Self::Reached { doc, upto } => {
                out.raw(&doc.to_bytes());
                out.var_uint(upto.0);
            }
            Self::Ask { doc, vector } => {
                out.raw(&doc.to_bytes());
                out.raw(vector);
            }
        }
        out.finish()
    }

    /// Reads one WebSocket message.
    ///
    /// # Errors
    /// [`MessageError`]; the connection is beyond use.
    pub fn decode(bytes: Bytes) -> Result<Self, MessageError> {
        let mut input = Reader::new(bytes.clone());
        let message = match input.byte()? {
            0 => Self::Hello {
                version: input.var_uint()?,
                store: array(&mut input)?,
                epoch: input.var_uint()?,
            },
            1 => Self::Offer {
                doc: doc(&mut input)?,
                name: MapName::parse(input.string()?)
                    .map_err(|_| MessageError::Field("a bad map name"))?,
                state: match input.byte()? {
                    0 => MapState::Live,
                    1 => MapState::Deleted,
                    _ => return Err(MessageError::Field("an unknown state of a map")),
                },
                known: known(&mut input)?,
            },
            2 => Self::Listed,
            3 => Self::Have {
                doc: doc(&mut input)?,
                round: input.var_uint()?,
                known: known(&mut input)?,
            },
            4 => Self::Wait {
                doc: doc(&mut input)?,
                why: why(&mut input)?,
            },
            5 => Self::Begin(Begin::decode(&mut input)?),
            6 => Self::Resume {
                number: input.var_uint()?,
                offset: input.var_uint()?,
            },
            7 => Self::Part(rest(&bytes, &mut input)),
            8 => Self::Done {
                number: input.var_uint()?,
                outcome: match input.byte()? {
                    0 => Outcome::Taken,
                    1 => Outcome::Passed,
                    2 => Outcome::Refused(why(&mut input)?),
                    _ => return Err(MessageError::Field("an unknown outcome")),
                },
            },
            9 => Self::Reached {
                doc: doc(&mut input)?,
                upto: Seq(input.var_uint()?),
            },
            10 => Self::Ask {
                doc: doc(&mut input)?,
                vector: rest(&bytes, &mut input),
            },
            11 => Self::Level,
            _ => return Err(MessageError::Field("an unknown type")),
        };
        if input.left() == 0 {
            Ok(message)
        } else {
            Err(MessageError::Field("bytes behind its end"))
        }
    }

    /// The first byte of the message.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Hello { .. } => 0,
            Self::Offer { .. } => OFFER,
            Self::Listed => 2,
            Self::Have { .. } => 3,
            Self::Wait { .. } => 4,
            Self::Begin(_) => BEGIN,
            Self::Resume { .. } => 6,
            Self::Part(_) => 7,
            Self::Done { .. } => 8,
            Self::Reached { .. } => 9,
            Self::Ask { .. } => 10,
            Self::Level => LEVEL,
        }
    }
}

/// First byte of [`Message::Level`].
pub const LEVEL: u8 = 11;

/// First byte of [`Message::Offer`].
pub const OFFER: u8 = 1;

/// First byte of [`Message::Begin`].
pub const BEGIN: u8 = 5;

impl Begin {
    fn encode(&self, out: &mut Writer) {
        out.var_uint(self.number);
        out.raw(&self.doc.to_bytes());
        out.var_uint(self.round);
        out.byte(u8::from(self.content == Content::State));
        for number in [self.upto.0, self.left, self.bytes] {
            out.var_uint(number);
        }
        out.raw(&self.hash);
        put_known(out, &self.reach);
    }

    fn decode(input: &mut Reader) -> Result<Self, MessageError> {
        Ok(Self {
            number: input.var_uint()?,
            doc: doc(input)?,
            round: input.var_uint()?,
            content: match input.byte()? {
                0 => Content::Records,
                1 => Content::State,
                _ => return Err(MessageError::Field("an unknown content")),
            },
            upto: Seq(input.var_uint()?),
            left: input.var_uint()?,
            bytes: input.var_uint()?,
            hash: array(input)?,
            reach: known(input)?,
        })
    }
}

/// Writes the name of a log.
pub(super) fn put_log(out: &mut Writer, log: &LogId) {
    out.raw(&log.store);
    out.var_uint(log.epoch);
    out.raw(&log.doc.to_bytes());
}

/// Reads the name of a log.
pub(super) fn log_id(input: &mut Reader) -> Result<LogId, MessageError> {
    Ok(LogId {
        store: array(input)?,
        epoch: input.var_uint()?,
        doc: doc(input)?,
    })
}

fn put_known(out: &mut Writer, known: &Known) {
    out.var_uint(known.len() as u64);
    for (log, seq) in known.iter() {
        put_log(out, &log);
        out.var_uint(seq.0);
    }
}

fn known(input: &mut Reader) -> Result<Known, MessageError> {
    let count = input.var_uint()?;
    if count > LOGS_MAX as u64 {
        return Err(MessageError::Field("more logs than one may have"));
    }
    let mut known = Known::default();
    for _ in 0..count {
        let log = log_id(input)?;
        known.raise(log, Seq(input.var_uint()?));
    }
    Ok(known)
}

fn put_why(out: &mut Writer, why: &str) {
    let mut end = why.len().min(WHY_BYTES_MAX);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    out.string(why.get(..end).unwrap_or_default());
}

fn why(input: &mut Reader) -> Result<String, MessageError> {
    let why = input.string()?;
    if why.len() > WHY_BYTES_MAX {
        return Err(MessageError::Field("too long a reason"));
    }
    // It goes to people's terminals and logs.
    Ok(why.chars().filter(|c| !c.is_control()).collect())
}

fn doc(input: &mut Reader) -> Result<DocId, MessageError> {
    array(input).map(DocId::from_bytes)
}

pub(super) fn array<const N: usize>(input: &mut Reader) -> Result<[u8; N], MessageError> {
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *byte = input.byte()?;
    }
    Ok(bytes)
}

fn rest(bytes: &Bytes, input: &mut Reader) -> Bytes {
    let rest = bytes.slice(input.at().min(bytes.len())..);
    input.skip_rest();
    rest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BIG: u64 = (1 << 53) - 1;

    prop_compose! {
        fn log()(store: [u8; 16], epoch in 0..=BIG, doc: [u8; 16]) -> LogId {
            LogId { store, epoch, doc: DocId::from_bytes(doc) }
        }
    }

    fn knowns() -> impl Strategy<Value = Known> {
        prop::collection::vec((log(), (1..=BIG).prop_map(Seq)), 0..5)
            .prop_map(|items| items.into_iter().collect())
    }

    fn docs() -> impl Strategy<Value = DocId> {
        any::<[u8; 16]>().prop_map(DocId::from_bytes)
    }

    fn payloads() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from)
    }

    prop_compose! {
        fn begins()(
            number in 0..=BIG, doc in docs(), round in 0..=BIG, state: bool, upto in 0..=BIG, left in 0..=BIG,
            bytes in 0..=BIG, hash: [u8; 16], reach in knowns(),
        ) -> Begin {
            let content = if state { Content::State } else { Content::Records };
            Begin { number, doc, round, content, upto: Seq(upto), left, bytes, hash, reach }
        }
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Taken),
            Just(Outcome::Passed),
            "[ -~]{0,99}".prop_map(Outcome::Refused)
        ]
    }

    fn messages() -> impl Strategy<Value = Message> {
        prop_oneof![
            (0..=BIG, any::<[u8; 16]>(), 0..=BIG).prop_map(|(version, store, epoch)| {
                Message::Hello {
                    version,
                    store,
                    epoch,
                }
            }),
            (docs(), "[a-z]{1,9}", any::<bool>(), knowns()).prop_map(|(doc, name, gone, known)| {
                let state = if gone {
                    MapState::Deleted
                } else {
                    MapState::Live
                };
                let name = MapName::parse(&name).unwrap();
                Message::Offer {
                    doc,
                    name,
                    state,
                    known,
                }
            }),
            Just(Message::Listed),
            Just(Message::Level),
            (docs(), 0..=BIG, knowns()).prop_map(|(doc, round, known)| Message::Have {
                doc,
                round,
                known
            }),
            (docs(), "[ -~]{0,99}").prop_map(|(doc, why)| Message::Wait { doc, why }),
            begins().prop_map(Message::Begin),
            (0..=BIG, 0..=BIG).prop_map(|(number, offset)| Message::Resume { number, offset }),
            payloads().prop_map(Message::Part),
            (0..=BIG, outcomes()).prop_map(|(number, outcome)| Message::Done { number, outcome }),
            (docs(), 0..=BIG).prop_map(|(doc, upto)| Message::Reached {
                doc,
                upto: Seq(upto)
            }),
            (docs(), payloads()).prop_map(|(doc, vector)| Message::Ask { doc, vector }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_said_is_heard(message in messages()) {
            let bytes = message.encode();
            prop_assert_eq!(bytes.first().copied(), Some(message.code()));
            prop_assert_eq!(Message::decode(bytes), Ok(message));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(code in 0..14u8, mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            bytes.insert(0, code);
            let _ = Message::decode(bytes.into());
        }

        #[test]
        fn what_is_cut_short_is_no_message(message in messages(), cut: prop::sample::Index) {
            let bytes = message.encode();
            let cut = bytes.slice(..cut.index(bytes.len()));
            // The end of a part or a vector is the end of the message.
            let open = matches!(message, Message::Part(_) | Message::Ask { .. });
            prop_assert!(Message::decode(cut.clone()) != Ok(message) );
            prop_assert!(open || Message::decode(cut).is_err());
        }
    }
}
