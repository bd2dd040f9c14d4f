//! Changes to bytes that formats of lengths, tags and numbers are likely to stumble over.

use mapweave_sim::Rng;

/// Largest input that changes make, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// Bytes with a meaning in one of the formats: tags of structs and values, numbers at their limits, punctuation.
const DICTIONARY: [&[u8]; 30] = [
    &[0],
    &[0, 0],
    &[10],
    &[0x80],
    &[0xc0, 0x84],
    &[0x28, 1],
    &[4, 1],
    &[8, 0],
    &[7, 1],
    &[0x81, 1, 0],
    &[0x27, 0],
    &[117, 1, 117, 1, 117, 1, 117, 1],
    &[118, 1, 0],
    &[119, 1, b'x'],
    &[116, 2, 1, 2],
    &[125, 0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x80, 0x80, 0x08],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xed, 0xa0, 0x80],
    "🌲".as_bytes(),
    &[0, 1],
    &[102, 1, 7],
    &[0x82, 0x80],
    b"null",
    b"[[[",
    b"{\"type\":\"Feature\",",
    b"\"coordinates\":[",
    b"1e308,",
];

/// A changed copy of `input`; `other` is for splicing.
pub(crate) fn mutate(input: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.between(1, 5) {
        change(&mut bytes, other, rng);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = rng.below(bytes.len() + 1);
    let some = at..(at + rng.between(1, 16)).min(bytes.len());
    match rng.below(12) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = rng.bits() as u8;
            }
        }
        3 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = byte.wrapping_add(if rng.chance(50) { 1 } else { 255 });
            }
        }
        4 => {
            bytes.drain(some);
        }
        5 => {
            let copy = bytes.get(some).unwrap_or_default().to_vec();
            bytes.splice(at..at, copy);
        }
        6 => {
            let from = rng.below(other.len() + 1);
            let to = (from + rng.between(1, 64)).min(other.len());
            let piece = other.get(from..to).unwrap_or_default().to_vec();
            bytes.splice(at..at, piece);
        }
        7 => {
            let tail = other.get(rng.below(other.len() + 1)..).unwrap_or_default();
            bytes.truncate(at);
            bytes.extend_from_slice(tail);
        }
        8 => bytes.truncate(at),
        9 | 10 => {
            let word = rng.pick(&DICTIONARY).copied().unwrap_or_default();
            let end = if rng.chance(50) { at } else { some.end };
            bytes.splice(at..end.max(at), word.iter().copied());
        }
        _ => change_var_uint(bytes, at, rng),
    }
}

/// Writes another number where one may stand, in as many bytes as it takes.
fn change_var_uint(bytes: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let length = bytes
        .iter()
        .skip(at)
        .take_while(|byte| **byte >= 0x80)
        .count()
        + 1;
    let end = (at + length).min(bytes.len());
    let mut number = match rng.below(5) {
        0 => rng.below(4) as u64,
        1 => rng.below(300) as u64,
        2 => (1 << 31) - rng.below(3) as u64,
        3 => (1 << 53) - rng.below(3) as u64,
        _ => rng.bits() >> rng.below(64),
    };
    let mut written = Vec::new();
    while number >= 0x80 {
        written.push(number as u8 | 0x80);
        number >>= 7;
    }
    written.push(number as u8);
    bytes.splice(at..end.max(at), written);
}
