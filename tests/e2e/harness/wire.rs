//! The y-websocket wire, written out once more: the tests do not take the server's own codec as their witness.

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The server asks for what it lacks, with its state vector.
    SyncStep1(Vec<u8>),
    /// The server answers with what we lack.
    SyncStep2(Vec<u8>),
    /// A change.
    Update(Vec<u8>),
    /// Who is here: client, clock and state as JSON text (`null` for one who left).
    Awareness(Vec<(u64, u64, String)>),
    /// Something was refused.
    Denied(String),
    /// Everything sent before this token is durable.
    Durable(Vec<u8>),
}

/// "Send me what I lack."
pub fn sync_step1(vector: &[u8]) -> Vec<u8> {
    tagged(&[0, 0], vector)
}

/// What the other side lacks.
pub fn sync_step2(update: &[u8]) -> Vec<u8> {
    tagged(&[0, 1], update)
}

/// A change.
pub fn update(update: &[u8]) -> Vec<u8> {
    tagged(&[0, 2], update)
}

/// Presence of some clients.
pub fn awareness(entries: &[(u64, u64, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    number(&mut body, entries.len() as u64);
    for (client, clock, state) in entries {
        number(&mut body, *client);
        number(&mut body, *clock);
        bytes(&mut body, state.as_bytes());
    }
    tagged(&[1], &body)
}

/// "Send me everybody's presence."
pub fn query_awareness() -> Vec<u8> {
    vec![3]
}

/// "Tell me when everything I sent before is durable."
pub fn durable(token: &[u8]) -> Vec<u8> {
    tagged(&[102], token)
}

/// Types or kinds, then `body` with its length before it.
pub fn tagged(tags: &[u8], body: &[u8]) -> Vec<u8> {
    let mut frame = tags.to_vec();
    bytes(&mut frame, body);
    frame
}

/// What stands behind its length.
pub fn body(mut bytes: &[u8]) -> &[u8] {
    let length = read_number(&mut bytes) as usize;
    &bytes[..length]
}

/// A varUint.
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, body: &[u8]) {
    number(out, body.len() as u64);
    out.extend_from_slice(body);
}

/// Reads a frame of exactly one message, as JavaScript clients do, who would lose a second one.
///
/// # Panics
/// Where the frame holds anything else: the server never sends that.
pub fn read(frame: &[u8]) -> Message {
    let mut rest = frame;
    let message = match read_number(&mut rest) {
        0 => match read_number(&mut rest) {
            0 => Message::SyncStep1(read_bytes(&mut rest)),
            1 => Message::SyncStep2(read_bytes(&mut rest)),
            2 => Message::Update(read_bytes(&mut rest)),
            kind => panic!("sync kind {kind} in {frame:?}"),
        },
        1 => Message::Awareness(read_awareness(&read_bytes(&mut rest))),
        2 => {
            assert_eq!(read_number(&mut rest), 0, "auth kind in {frame:?}");
            Message::Denied(read_text(&mut rest))
        }
        102 => Message::Durable(read_bytes(&mut rest)),
        kind => panic!("message type {kind} in {frame:?}"),
    };
    assert!(
        rest.is_empty(),
        "more than one message in a frame: {rest:?} follows {message:?}"
    );
    message
}

/// The number in an acknowledgement token of ours.
pub fn token_number(token: &[u8]) -> u64 {
    let mut rest = token;
    let number = read_number(&mut rest);
    assert!(rest.is_empty(), "a token that is not ours: {token:?}");
    number
}

fn read_awareness(body: &[u8]) -> Vec<(u64, u64, String)> {
    let mut rest = body;
    let count = read_number(&mut rest);
    let entries = (0..count)
        .map(|_| {
            (
                read_number(&mut rest),
                read_number(&mut rest),
                read_text(&mut rest),
            )
        })
        .collect();
    assert!(rest.is_empty(), "bytes after awareness: {rest:?}");
    entries
}

fn read_number(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, tail) = rest.split_first().expect("a whole number");
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn read_bytes(rest: &mut &[u8]) -> Vec<u8> {
    let length = read_number(rest) as usize;
    let (body, tail) = rest.split_at(length);
    *rest = tail;
    body.to_vec()
}

fn read_text(rest: &mut &[u8]) -> String {
    String::from_utf8(read_bytes(rest)).expect("a text in UTF-8")
}
