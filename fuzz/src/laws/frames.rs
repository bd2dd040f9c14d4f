use bytes::Bytes;
use mapweave::server::frame::{FrameError, FrameReader, Incoming};
use mapweave_proto::limits::MESSAGES_PER_FRAME_MAX;
use mapweave_proto::yws;

use super::Script;
use crate::saw;

/// A frame is so many messages and perhaps an error at its end; what was read can be written and read again.
///
/// # Panics
/// Where that is not so.
pub fn frame_decoder(data: &[u8]) {
    let mut messages = 0;
    let mut decoder = yws::decode(Bytes::copy_from_slice(data));
    while let Some(message) = decoder.next() {
        messages += 1;
        match message {
            Ok(message) => {
                saw(std::mem::discriminant(&message));
                let again: Vec<_> = yws::decode(yws::encode(&message)).collect();
                assert_eq!(again, [Ok(message)], "written and read again");
            }
            Err(error) => {
                saw(std::mem::discriminant(&error));
                assert!(decoder.next().is_none(), "something follows an error");
                break;
            }
        }
    }
    assert!(messages > 0, "nothing at all is said of a frame");
    assert!(messages <= MESSAGES_PER_FRAME_MAX + 1, "too many messages");
}

/// Frames mean the same however their bytes arrive, and never more is kept than arrived.
///
/// # Panics
/// Where that is not so.
pub fn websocket_frames(data: &[u8]) {
    let mut script = Script(data);
    let step = usize::from(script.byte().unwrap_or(0)).max(1);
    let bytes = script.0;
    let whole = read(bytes, bytes.len().max(1));
    let pieces = read(bytes, step);
    assert_eq!(whole, pieces, "in pieces of {step} bytes");
    for message in &whole.0 {
        saw(std::mem::discriminant(message));
    }
    saw(whole.1.map(|error| error.to_string()));
}

/// Largest message, so that the bound is met.
const MESSAGE_BYTES_MAX: usize = 300;

fn read(bytes: &[u8], step: usize) -> (Vec<Incoming>, Option<FrameError>) {
    let mut reader = FrameReader::new(MESSAGE_BYTES_MAX, &[]);
    let mut messages = Vec::new();
    let mut fed = 0;
    for piece in bytes.chunks(step) {
        reader.feed(piece);
        fed += piece.len();
        loop {
            match reader.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(reader.waiting_bytes() <= fed, "more is kept than came");
        // A header of at most 14 bytes, a message and the control frame that may stand inside it.
        let kept_max = MESSAGE_BYTES_MAX + 14 + 125 + 14;
        assert!(
            reader.waiting_bytes() <= kept_max,
            "{} bytes wait",
            reader.waiting_bytes()
        );
    }
    (messages, None)
}
