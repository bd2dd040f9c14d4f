//! WebSocket frames as a client writes and reads them. The server's side is the real one.

/// A masked binary message, in one frame or in two.
pub(crate) fn masked(payload: &[u8], mask: [u8; 4], split_at: Option<usize>) -> Vec<u8> {
    let Some(at) = split_at.filter(|at| *at < payload.len()) else {
        return frame(0x82, payload, mask);
    };
    let (first, second) = payload.split_at(at);
    let mut bytes = frame(0x02, first, mask);
    bytes.extend(frame(0x80, second, mask));
    bytes
}

fn frame(head: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![head];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        middle @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

/// What the server sent, frame by frame.
#[derive(Debug, Default)]
pub(crate) struct ClientReader {
    buffer: Vec<u8>,
}

/// One frame of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    Binary(Vec<u8>),
    Close(u16),
    /// A frame that our server never sends.
    Unknown(u8),
}

impl ClientReader {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub(crate) fn next_frame(&mut self) -> Option<FromServer> {
        let (&head, &short) = (self.buffer.first()?, self.buffer.get(1)?);
        let (start, length) = match short {
            126 => (
                4,
                usize::from(u16::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?)),
            ),
            127 => (
                10,
                u64::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?) as usize,
            ),
            short => (2, usize::from(short)),
        };
        let payload = self.buffer.get(start..start + length)?.to_vec();
        self.buffer.drain(..start + length);
        Some(match (head, payload.first_chunk::<2>()) {
            (0x82, _) => FromServer::Binary(payload),
            (0x88, Some(code)) => FromServer::Close(u16::from_be_bytes(*code)),
            (head, _) => FromServer::Unknown(head),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mapweave::server::frame::{FrameReader, Incoming, binary};

    use super::*;

    #[test]
    fn client_and_server_read_each_other() {
        for length in [0, 1, 125, 126, 70_000] {
            let payload = vec![7; length];
            let mut reader = ClientReader::default();
            reader.feed(&binary(&payload));
            assert_eq!(
                reader.next_frame(),
                Some(FromServer::Binary(payload.clone()))
            );
            for split_at in [None, Some(length / 2)] {
                let mut server =
                    FrameReader::new(1 << 20, &masked(&payload, [1, 2, 3, 4], split_at));
                assert_eq!(
                    server.next_message().unwrap(),
                    Some(Incoming::Binary(payload.clone().into()))
                );
            }
        }
    }
}
