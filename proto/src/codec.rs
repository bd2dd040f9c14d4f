//! Frames ↔ messages. y-websocket's framing is [`yws`]; y-sweet's is the same; Hocuspocus puts an address
//! before it and has message types of its own, in the sibling module [`hocuspocus`] over the same bodies.

pub mod hocuspocus;

/// y-websocket and y-sweet: a frame is `varUint type` and a body, packed frames several of them.
pub mod yws {
    use bytes::Bytes;

    use crate::error::DecodeError;
    use crate::limits::{ACK_TOKEN_BYTES_MAX, MESSAGES_PER_FRAME_MAX, REASON_BYTES_MAX};
    use crate::message::Message;
    use crate::varint::{Reader, Writer, var_uint_bytes};

    pub(super) const SYNC: u64 = 0;
    pub(super) const AWARENESS: u64 = 1;
    pub(super) const AUTH: u64 = 2;
    pub(super) const QUERY_AWARENESS: u64 = 3;
    const STATELESS: u64 = super::hocuspocus::STATELESS;
    const DURABLE_ACK: u64 = 102;

    pub(super) const SYNC_STEP_1: u64 = 0;
    pub(super) const SYNC_STEP_2: u64 = 1;
    pub(super) const SYNC_UPDATE: u64 = 2;

    const AUTH_DENIED: u64 = 0;
    const AUTH_GRANTED: u64 = 1;

    /// Reads the messages of one frame, at most [`MESSAGES_PER_FRAME_MAX`]. Payloads are slices of `frame`.
    ///
    /// After a QueryAwareness the rest of the frame is passed over, since y-sweet puts a payload there.
    /// After an error nothing more comes.
    pub fn decode(frame: Bytes) -> Decoder {
        Decoder {
            reader: Reader::new(frame),
            messages: 0,
        }
    }

    /// The messages of a frame, in their order.
    #[derive(Debug)]
    pub struct Decoder {
        reader: Reader,
        messages: usize,
    }

    impl Iterator for Decoder {
        type Item = Result<Message, DecodeError>;

        fn next(&mut self) -> Option<Self::Item> {
            let empty_frame = self.messages == 0 && self.reader.at() == 0;
            if self.reader.left() == 0 && !empty_frame {
                return None;
            }
            self.messages += 1;
            let message = if self.messages > MESSAGES_PER_FRAME_MAX {
                Err(DecodeError::TooLarge {
                    what: "messages in one frame",
                    size: self.messages as u64,
                    size_max: MESSAGES_PER_FRAME_MAX as u64,
                })
            } else {
                self.message()
            };
            if message.is_err() {
                self.reader.skip_rest();
            }
            Some(message)
        }
    }

    impl Decoder {
        fn message(&mut self) -> Result<Message, DecodeError> {
            let reader = &mut self.reader;
            let tag = reader
                .var_uint()
                .map_err(DecodeError::malformed("message type"))?;
            match tag {
                SYNC => sync(reader),
                AWARENESS => buf(reader, "awareness").map(Message::Awareness),
                AUTH => auth(reader),
                QUERY_AWARENESS => {
                    reader.skip_rest();
                    Ok(Message::QueryAwareness)
                }
                DURABLE_ACK => {
                    let token = buf(reader, "acknowledgement")?;
                    at_most(
                        "bytes of an acknowledgement token",
                        token.len(),
                        ACK_TOKEN_BYTES_MAX,
                    )?;
                    Ok(Message::DurableAck(token))
                }
                tag => match reader.buf() {
                    Ok(body) => Ok(Message::Custom { tag, body }),
                    Err(_) => Err(DecodeError::UnknownMessage { tag }),
                },
            }
        }
    }

    /// The frame of exactly one message: JavaScript clients read only the first of a frame.
    pub fn encode(message: &Message) -> Bytes {
        match message {
            Message::SyncStep1(vector) => framed(&[SYNC, SYNC_STEP_1], vector),
            Message::SyncStep2(update) => framed(&[SYNC, SYNC_STEP_2], update),
            Message::Update(update) => framed(&[SYNC, SYNC_UPDATE], update),
            Message::Awareness(awareness) => framed(&[AWARENESS], awareness),
            Message::AuthDenied(reason) => {
                framed(&[AUTH, AUTH_DENIED], shortened(reason).as_bytes())
            }
            Message::AuthGranted => tags(&[AUTH, AUTH_GRANTED], 0).finish(),
            Message::QueryAwareness => tags(&[QUERY_AWARENESS], 0).finish(),
            Message::DurableAck(token) => framed(&[DURABLE_ACK], token),
            Message::Custom { tag, body } => framed(&[*tag], body),
            // y-websocket has no such message: its clients pass over the type.
            Message::Stateless(payload) | Message::Notice(payload) => {
                framed(&[STATELESS], payload.as_bytes())
            }
        }
    }

    /// The shortest legal frame without meaning: awareness with no entries. Clients count it as a sign of life.
    pub fn keepalive() -> Bytes {
        Bytes::from_static(&[0x01, 0x01, 0x00])
    }

    pub(super) fn sync(reader: &mut Reader) -> Result<Message, DecodeError> {
        let at = reader.at();
        let kind = reader
            .var_uint()
            .map_err(DecodeError::malformed("sync kind"))?;
        match kind {
            SYNC_STEP_1 => buf(reader, "state vector").map(Message::SyncStep1),
            SYNC_STEP_2 => buf(reader, "sync step 2").map(Message::SyncStep2),
            SYNC_UPDATE => buf(reader, "update").map(Message::Update),
            tag => Err(DecodeError::UnknownKind {
                what: "sync",
                tag,
                at,
            }),
        }
    }

    fn auth(reader: &mut Reader) -> Result<Message, DecodeError> {
        let at = reader.at();
        let kind = reader
            .var_uint()
            .map_err(DecodeError::malformed("auth kind"))?;
        match kind {
            AUTH_DENIED => {
                let reason = reader
                    .string()
                    .map_err(DecodeError::malformed("auth reason"))?;
                at_most("bytes of an auth reason", reason.len(), REASON_BYTES_MAX)?;
                Ok(Message::AuthDenied(reason.to_owned()))
            }
            AUTH_GRANTED => Ok(Message::AuthGranted),
            tag => Err(DecodeError::UnknownKind {
                what: "auth",
                tag,
                at,
            }),
        }
    }

    pub(super) fn buf(reader: &mut Reader, what: &'static str) -> Result<Bytes, DecodeError> {
        reader.buf().map_err(DecodeError::malformed(what))
    }

    pub(super) fn at_most(
        what: &'static str,
        size: usize,
        size_max: usize,
    ) -> Result<(), DecodeError> {
        if size <= size_max {
            return Ok(());
        }
        Err(DecodeError::TooLarge {
            what,
            size: size as u64,
            size_max: size_max as u64,
        })
    }

    fn framed(tag: &[u64], payload: &[u8]) -> Bytes {
        let mut writer = tags(tag, var_uint_bytes(payload.len() as u64) + payload.len());
        writer.buf(payload);
        writer.finish()
    }

    pub(super) fn tags(tags: &[u64], more_bytes: usize) -> Writer {
        let tag_bytes: usize = tags.iter().map(|tag| var_uint_bytes(*tag)).sum();
        let mut writer = Writer::with_capacity(tag_bytes + more_bytes);
        for tag in tags {
            writer.var_uint(*tag);
        }
        writer
    }

    pub(super) fn shortened(reason: &str) -> &str {
        let end = (0..=REASON_BYTES_MAX.min(reason.len()))
            .rev()
            .find(|end| reason.is_char_boundary(*end));
        reason.get(..end.unwrap_or(0)).unwrap_or_default()
    }

    #[cfg(test)]
    #[allow(clippy::unwrap_used, clippy::expect_used)]
    mod tests {
        use proptest::prelude::*;

        use super::*;
        use crate::error::{Fault, Malformed};

        fn all(frame: &[u8]) -> Vec<Result<Message, DecodeError>> {
            decode(Bytes::copy_from_slice(frame)).collect()
        }

        fn any_message() -> impl Strategy<Value = Message> {
            let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
            prop_oneof![
                bytes().prop_map(Message::SyncStep1),
                bytes().prop_map(Message::SyncStep2),
                bytes().prop_map(Message::Update),
                bytes().prop_map(Message::Awareness),
                ".{0,40}".prop_map(Message::AuthDenied),
                Just(Message::AuthGranted),
                prop::collection::vec(any::<u8>(), 0..=ACK_TOKEN_BYTES_MAX)
                    .prop_map(|token| Message::DurableAck(token.into())),
                (4u64..100, bytes()).prop_map(|(tag, body)| Message::Custom { tag, body }),
            ]
        }

        #[test]
        fn the_bytes_of_every_message_are_as_documented() {
            let body = Bytes::from_static(&[7]);
            for (message, bytes) in [
                (Message::SyncStep1(body.clone()), &[0, 0, 1, 7][..]),
                (Message::SyncStep2(body.clone()), &[0, 1, 1, 7]),
                (Message::Update(body.clone()), &[0, 2, 1, 7]),
                (Message::Awareness(body.clone()), &[1, 1, 7]),
                (Message::AuthDenied("no".into()), &[2, 0, 2, b'n', b'o']),
                (Message::AuthGranted, &[2, 1]),
                (Message::QueryAwareness, &[3]),
                (Message::DurableAck(body.clone()), &[102, 1, 7]),
                (Message::Custom { tag: 200, body }, &[0xc8, 1, 1, 7]),
            ] {
                assert_eq!(encode(&message), bytes);
                assert_eq!(all(bytes), [Ok(message)]);
            }
        }

        #[test]
        fn the_keepalive_is_an_awareness_message_without_entries() {
            assert_eq!(
                all(&keepalive()),
                [Ok(Message::Awareness(Bytes::from_static(&[0])))]
            );
        }

        #[test]
        fn after_query_awareness_the_rest_is_ignored() {
            assert_eq!(all(&[3, 0xff, 0xff]), [Ok(Message::QueryAwareness)]);
        }

        #[test]
        fn an_unknown_type_with_a_buffer_is_custom_and_without_one_is_named() {
            let unknown = Err(DecodeError::UnknownMessage { tag: 5 });
            assert_eq!(all(&[5]), std::slice::from_ref(&unknown));
            assert_eq!(all(&[5, 9, 1]), [unknown]);
            let custom = Message::Custom {
                tag: 5,
                body: Bytes::from_static(&[1]),
            };
            assert_eq!(
                all(&[5, 1, 1, 3]),
                [Ok(custom), Ok(Message::QueryAwareness)]
            );
        }

        #[test]
        fn an_empty_frame_is_refused() {
            let cause = Malformed {
                at: 0,
                fault: Fault::Ends,
            };
            assert_eq!(
                all(&[]),
                [Err(DecodeError::Malformed {
                    what: "message type",
                    cause
                })]
            );
        }

        #[test]
        fn a_frame_of_too_many_messages_is_refused_at_the_first_one_too_many() {
            let frame = keepalive().repeat(MESSAGES_PER_FRAME_MAX + 10);
            let messages = all(&frame);
            assert_eq!(messages.len(), MESSAGES_PER_FRAME_MAX + 1);
            assert!(matches!(
                messages.last(),
                Some(Err(DecodeError::TooLarge { .. }))
            ));
        }

        #[test]
        fn a_token_of_more_than_32_bytes_is_refused() {
            let token = |bytes: usize| encode(&Message::DurableAck(vec![1; bytes].into()));
            assert!(matches!(all(&token(32))[..], [Ok(_)]));
            assert!(matches!(
                all(&token(33))[..],
                [Err(DecodeError::TooLarge { size: 33, .. })]
            ));
        }

        #[test]
        fn a_long_reason_is_shortened_when_written() {
            let frame = encode(&Message::AuthDenied("ü".repeat(600)));
            assert!(
                matches!(&all(&frame)[..], [Ok(Message::AuthDenied(reason))] if reason.len() == 1024)
            );
        }

        proptest! {
            #[test]
            fn packed_frames_are_read_message_by_message(messages in prop::collection::vec(any_message(), 1..9)) {
                let frame: Vec<u8> = messages.iter().flat_map(encode).collect();
                let expected: Vec<_> = messages.into_iter().map(Ok).collect();
                prop_assert_eq!(all(&frame), expected);
            }

            #[test]
            fn any_bytes_give_some_messages_and_an_end(frame in prop::collection::vec(0u8..8, 0..60)) {
                let messages = all(&frame);
                prop_assert!(!messages.is_empty() && messages.len() <= MESSAGES_PER_FRAME_MAX + 1);
                let errors = messages.iter().filter(|m| m.is_err()).count();
                prop_assert!(errors == 0 || (errors == 1 && messages.last().unwrap().is_err()));
            }
        }
    }
}
