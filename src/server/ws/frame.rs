//! WebSocket frames (RFC 6455) as a server reads and writes them, without IO.
//!
//! Written for two things that general libraries do not give: a message is framed once and the same bytes go
//! to every receiver, and a silent connection keeps no buffer. Start at [`FrameReader`] and [`binary`].

use std::io::Cursor;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Most bytes in the payload of a control frame (RFC 6455 §5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// Most bytes of a server's frame header: two, and eight for a long length.
const HEADER_BYTES_MAX: usize = 10;

/// What a peer sent, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A binary message, put together from its fragments.
    Binary(Bytes),
    /// A text message, checked. No protocol of ours uses one.
    Text(Bytes),
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    /// An answer that nobody needs.
    Pong,
    /// The peer closes; its code, if it gave one.
    Close(Option<u16>),
}

/// Why a connection cannot go on. [`FrameError::code`] tells the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer breaks the protocol.
    #[error("the WebSocket protocol was broken: {0}")]
    Protocol(&'static str),
    /// A message over the limit.
    #[error("a message has more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// Text that is no UTF-8.
    #[error("a text message is not UTF-8")]
    NotUtf8,
}

impl FrameError {
    /// The close code for the peer (RFC 6455 §7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::TooLarge { .. } => 1009,
            Self::NotUtf8 => 1007,
        }
    }
}

/// Puts messages together from what arrives. Holds memory only while a message is incomplete.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    partial: Option<Partial>,
    message_bytes_max: usize,
    /// Of a frame of text that is not whole yet: how much of its payload is known to be UTF-8.
    text_ahead: usize,
    /// Frames of any kind, counted until somebody asks.
    frames: u64,
}

/// A fragmented message so far.
#[derive(Debug)]
struct Partial {
    payload: BytesMut,
    /// Of a text, how much of it is known to be UTF-8.
    text: Option<usize>,
}

impl FrameReader {
    /// A reader that refuses messages over `message_bytes_max`; `early` is what came with the handshake.
    pub fn new(message_bytes_max: usize, early: &[u8]) -> Self {
        Self {
            buffer: BytesMut::from(early),
            partial: None,
            message_bytes_max,
            text_ahead: 0,
            frames: 0,
        }
    }

    /// Takes in bytes from the wire.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of a message.
    pub fn waiting_bytes(&self) -> usize {
        self.buffer.len() + self.partial_bytes()
    }

    /// [`FrameReader::next_message`], and how many frames were read for it that are no message of a session: fragments and
    /// control frames take work too, also where no message comes of them.
    pub fn next_counted(&mut self) -> (Result<Option<Incoming>, FrameError>, u64) {
        let next = self.next_message();
        let is_message = matches!(next, Ok(Some(Incoming::Binary(_))));
        let frames = std::mem::take(&mut self.frames);
        (next, frames.saturating_sub(u64::from(is_message)))
    }

    fn partial_bytes(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.payload.len())
    }

    /// The next whole message, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// The connection has to be closed with the error's code; calls after that are meaningless.
    pub fn next_message(&mut self) -> Result<Option<Incoming>, FrameError> {
        loop {
            let Some((header, payload)) = self.next_frame()? else {
                if self.buffer.is_empty() {
                    self.buffer = BytesMut::new();
                }
                return Ok(None);
            };
            self.frames += 1;
            if let Some(message) = self.message(&header, payload)? {
                return Ok(Some(message));
            }
        }
    }

    fn next_frame(&mut self) -> Result<Option<(FrameHeader, BytesMut)>, FrameError> {
        let mut cursor = Cursor::new(&self.buffer);
        let parsed =
            FrameHeader::parse(&mut cursor).map_err(|_| FrameError::Protocol("reserved opcode"))?;
        let Some((header, length)) = parsed else {
            return Ok(None);
        };
        let header_bytes = cursor.position() as usize;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(FrameError::Protocol("a reserved bit is set"));
        }
        let Some(mask) = header.mask else {
            return Err(FrameError::Protocol("a client's frame is not masked"));
        };
        self.check_length(&header, length)?;
        let length = length as usize;
        if self.buffer.len() < header_bytes + length {
            self.check_text_ahead(header.opcode, header_bytes, mask)?;
            return Ok(None);
        }
        self.text_ahead = 0;
        self.buffer.advance(header_bytes);
        let mut payload = self.buffer.split_to(length);
        unmask(&mut payload, mask);
        Ok(Some((header, payload)))
    }

    /// What is no UTF-8 is said as soon as it is there (RFC 6455 §8.1), not once its frame has come to an end.
    fn check_text_ahead(
        &mut self,
        opcode: OpCode,
        header_bytes: usize,
        mask: [u8; 4],
    ) -> Result<(), FrameError> {
        let before = match (opcode, &self.partial) {
            (OpCode::Data(Data::Text), _) => &[][..],
            (
                OpCode::Data(Data::Continue),
                Some(Partial {
                    payload,
                    text: Some(checked),
                }),
            ) => payload.get(*checked..).unwrap_or_default(),
            _ => return Ok(()),
        };
        // The end of the fragments before may be the beginning of a character that goes on here.
        let before = if self.text_ahead == 0 {
            before
        } else {
            &[][..]
        };
        let arrived = self
            .buffer
            .get(header_bytes + self.text_ahead..)
            .unwrap_or_default();
        let keys = mask.iter().cycle().skip(self.text_ahead % 4);
        let mut text = before.to_vec();
        text.extend(arrived.iter().zip(keys).map(|(byte, key)| byte ^ key));
        let known = checked_upto(&text, 0)?;
        self.text_ahead += known.saturating_sub(before.len());
        Ok(())
    }

    fn check_length(&self, header: &FrameHeader, length: u64) -> Result<(), FrameError> {
        if matches!(header.opcode, OpCode::Control(_)) {
            if length > CONTROL_BYTES_MAX as u64 {
                return Err(FrameError::Protocol("a control frame is too long"));
            }
            if !header.is_final {
                return Err(FrameError::Protocol("a control frame is fragmented"));
            }
        }
        let before = self.partial_bytes() as u64;
        let limit_bytes = self.message_bytes_max;
        let total = before
            .checked_add(length)
            .ok_or(FrameError::TooLarge { limit_bytes })?;
        if total > limit_bytes as u64 {
            Err(FrameError::TooLarge { limit_bytes })
        } else {
            Ok(())
        }
    }

    fn message(
        &mut self,
        header: &FrameHeader,
        payload: BytesMut,
    ) -> Result<Option<Incoming>, FrameError> {
        match header.opcode {
            OpCode::Control(Control::Ping) => Ok(Some(Incoming::Ping(payload.freeze()))),
            OpCode::Control(Control::Pong) => Ok(Some(Incoming::Pong)),
            OpCode::Control(Control::Close) => close(&payload).map(Some),
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                Err(FrameError::Protocol("reserved opcode"))
            }
            OpCode::Data(Data::Continue) => self.continuation(header.is_final, &payload),
            OpCode::Data(kind) => self.first(kind == Data::Text, header.is_final, payload),
        }
    }

    fn first(
        &mut self,
        text: bool,
        last: bool,
        payload: BytesMut,
    ) -> Result<Option<Incoming>, FrameError> {
        if self.partial.is_some() {
            return Err(FrameError::Protocol("a message begins inside another"));
        }
        if last {
            return whole(payload, text).map(Some);
        }
        self.partial = Some(Partial {
            text: text.then(|| checked_upto(&payload, 0)).transpose()?,
            payload,
        });
        Ok(None)
    }

    fn continuation(&mut self, last: bool, payload: &[u8]) -> Result<Option<Incoming>, FrameError> {
        let Some(mut partial) = self.partial.take() else {
            return Err(FrameError::Protocol("a continuation without a beginning"));
        };
        partial.payload.extend_from_slice(payload);
        if last {
            return whole(partial.payload, partial.text.is_some()).map(Some);
        }
        if let Some(checked) = &mut partial.text {
            *checked = checked_upto(&partial.payload, *checked)?;
        }
        self.partial = Some(partial);
        Ok(None)
    }
}

/// How much of a text is UTF-8, of which so much was known to be; the last character may be incomplete.
fn checked_upto(text: &[u8], known: usize) -> Result<usize, FrameError> {
    match std::str::from_utf8(text.get(known..).unwrap_or_default()) {
        Ok(_) => Ok(text.len()),
        Err(error) if error.error_len().is_some() => Err(FrameError::NotUtf8),
        Err(error) => Ok(known + error.valid_up_to()),
    }
}

fn whole(payload: BytesMut, text: bool) -> Result<Incoming, FrameError> {
    if !text {
        return Ok(Incoming::Binary(payload.freeze()));
    }
    std::str::from_utf8(&payload).map_err(|_| FrameError::NotUtf8)?;
    Ok(Incoming::Text(payload.freeze()))
}

fn close(payload: &[u8]) -> Result<Incoming, FrameError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok(Incoming::Close(None))
        } else {
            Err(FrameError::Protocol("a close frame of one byte"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(FrameError::Protocol("a close code that must not be sent"));
    }
    std::str::from_utf8(reason)
        .map(|_| Incoming::Close(Some(code)))
        .map_err(|_| FrameError::NotUtf8)
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from(u32::from_ne_bytes(mask)) * 0x1_0000_0001;
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// A binary message in one frame, ready for the wire, to be made once and sent to many.
pub fn binary(payload: &[u8]) -> Bytes {
    framed(0x82, payload)
}

/// The same of a text.
pub fn text(payload: &[u8]) -> Bytes {
    framed(0x81, payload)
}

/// The answer to a ping.
pub fn pong(payload: &[u8]) -> Bytes {
    framed(0x8a, payload)
}

/// A close frame. A reason too long for a control frame is cut at a character.
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(end + 2);
    payload.put_u16(code);
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    framed(0x88, &payload)
}

/// The answer to a close frame, with its code (RFC 6455 §5.5.1).
pub fn close_echo(code: Option<u16>) -> Bytes {
    code.map_or_else(|| framed(0x88, &[]), |code| close_frame(code, ""))
}

fn framed(first: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES_MAX + payload.len());
    out.put_u8(first);
    match payload.len() {
        short @ 0..=125 => out.put_u8(short as u8),
        middle @ 126..=65_535 => {
            out.put_u8(126);
            out.put_u16(middle as u16);
        }
        long => {
            out.put_u8(127);
            out.put_u64(long as u64);
        }
    }
    out.put_slice(payload);
    out.freeze()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let plain = framed(first, payload);
        let header = plain.len() - payload.len();
        let mut out = plain[..header].to_vec();
        out[1] |= 0x80;
        out.extend(MASK);
        out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
        out
    }

    fn read_all(bytes: &[u8], step: usize) -> Result<Vec<Incoming>, FrameError> {
        let mut reader = FrameReader::new(100_000, &[]);
        let mut out = Vec::new();
        for piece in bytes.chunks(step.max(1)) {
            reader.feed(piece);
            while let Some(message) = reader.next_message()? {
                out.push(message);
            }
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn messages_come_through_in_any_pieces(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70_000), 0..4),
            step in 1usize..5_000,
        ) {
            let wire: Vec<u8> = messages.iter().flat_map(|m| masked(0x82, m)).collect();
            let expected: Vec<_> = messages.into_iter().map(|m| Incoming::Binary(m.into())).collect();
            prop_assert_eq!(read_all(&wire, step).unwrap(), expected);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..9) {
            let _ = read_all(&bytes, step);
        }
    }

    #[test]
    fn fragments_become_one_message_with_control_frames_in_between() {
        let wire = [
            masked(0x02, b"ab"),
            masked(0x89, b"p"),
            masked(0x00, b"c"),
            masked(0x80, b"d"),
        ]
        .concat();
        let expected = vec![
            Incoming::Ping(Bytes::from_static(b"p")),
            Incoming::Binary(Bytes::from_static(b"abcd")),
        ];
        assert_eq!(read_all(&wire, 1), Ok(expected));
    }

    #[test]
    fn what_is_no_text_is_said_before_its_frame_has_ended() {
        let text = "κόσμε-\u{10FFFF}-".as_bytes();
        let wrong = [text, &[0xf4, 0x90, 0x80, 0x80], text].concat();
        for cut in 0..text.len() {
            let (first, rest) = wrong.split_at(cut);
            let wire = [masked(0x01, first), masked(0x80, rest)].concat();
            let mut reader = FrameReader::new(1_000, &[]);
            let told = wire.iter().position(|byte| {
                reader.feed(&[*byte]);
                reader.next_message().is_err()
            });
            assert!(told.unwrap() < wire.len() - text.len(), "cut at {cut}");
            let fine = [masked(0x01, &text[..cut]), masked(0x80, &text[cut..])].concat();
            let whole = Incoming::Text(Bytes::copy_from_slice(text));
            assert_eq!(read_all(&fine, 1), Ok(vec![whole]), "cut at {cut}");
        }
    }

    #[test]
    fn a_broken_peer_is_told_why() {
        let too_long = [0x82, 0xff, 0, 0, 0, 0, 0, 2, 0, 0, 1, 2, 3, 4];
        let cases: [(Vec<u8>, u16); 9] = [
            (framed(0x82, b"x").to_vec(), 1002),
            (masked(0x92, b"x"), 1002),
            (masked(0x83, b"x"), 1002),
            (masked(0x80, b"x"), 1002),
            (masked(0x09, b"x"), 1002),
            (masked(0x89, &[0; 126]), 1002),
            (masked(0x88, &[0]), 1002),
            (masked(0x81, &[0xff]), 1007),
            (too_long.to_vec(), 1009),
        ];
        for (wire, code) in cases {
            assert_eq!(
                read_all(&wire, 100).map_err(FrameError::code),
                Err(code),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn a_silent_reader_holds_no_memory() {
        let mut reader = FrameReader::new(100, &[]);
        reader.feed(&masked(0x82, b"abc"));
        while reader.next_message().unwrap().is_some() {}
        assert_eq!((reader.waiting_bytes(), reader.buffer.capacity()), (0, 0));
    }

    #[test]
    fn a_long_close_reason_is_cut_at_a_character() {
        let frame = close_frame(4422, &"ü".repeat(100));
        assert_eq!(frame.len(), 2 + 2 + 122);
    }
}
