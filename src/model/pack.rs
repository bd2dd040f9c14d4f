//! Packed coordinates: a whole shape as a few bytes per vertex, without loss (`map-document` §4).
//!
//! ```text
//! byte 0     bits 0-3: decimals 0..13, or 15 = raw doubles; bit 4: three dimensions; bits 5-7: 0
//! varuint    number of parts; per part: number of segments; per segment: number of vertices
//! numbers    zigzag varint of the difference to the previous number of the same dimension, × 10^decimals;
//!            or, raw, little-endian IEEE 754 doubles
//! ```

use crate::geometry::{Dims, Part, Segment};

/// Decimals that packing can express as integers.
const DECIMALS_MAX: usize = 13;
/// In the header: doubles follow as they are.
const RAW: u8 = 15;
/// In the header: heights are present.
const THREE_DIMS: u8 = 16;
/// Scaled numbers are at most this great, so that they and their differences are exact doubles.
const SCALED_MAX: i64 = 1 << 51;
/// 10^0 to 10^13, all exact.
const POWERS: [f64; DECIMALS_MAX + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
];
/// A varuint of 64 bits is read up to this shift; beyond, it is malformed.
const SHIFT_MAX: u32 = 56;

/// Packs parts whose numbers are finite and whose segments are whole vertices.
#[must_use]
pub fn pack(dims: Dims, parts: &[Part]) -> Vec<u8> {
    let decimals = decimals(parts);
    let mut out = Vec::with_capacity(8 + parts.iter().flatten().map(Vec::len).sum::<usize>() * 2);
    let code = decimals
        .and_then(|decimals| u8::try_from(decimals).ok())
        .unwrap_or(RAW);
    out.push(code | if dims == Dims::Three { THREE_DIMS } else { 0 });
    write_varuint(&mut out, parts.len() as u64);
    for part in parts {
        write_varuint(&mut out, part.len() as u64);
        part.iter()
            .for_each(|segment| write_varuint(&mut out, (segment.len() / dims.numbers()) as u64));
    }
    match decimals.and_then(|decimals| POWERS.get(decimals)) {
        None => parts
            .iter()
            .flatten()
            .flatten()
            .for_each(|number| out.extend_from_slice(&number.to_le_bytes())),
        Some(power) => {
            let mut previous = [0_i64; 3];
            for vertex in parts
                .iter()
                .flatten()
                .flat_map(|segment| segment.chunks_exact(dims.numbers()))
            {
                for (number, previous) in vertex.iter().zip(&mut previous) {
                    let scaled = scale(*number, *power);
                    write_varuint(&mut out, zigzag(scaled - *previous));
                    *previous = scaled;
                }
            }
        }
    }
    out
}

/// Unpacks bytes from anywhere. `None` if they are cut short or too long, a count exceeds the byte length, a scaled
/// number exceeds 2^51 or a double is not finite.
///
/// Allocates at most 24 bytes per byte of input.
#[must_use]
pub fn unpack(bytes: &[u8]) -> Option<(Dims, Vec<Part>)> {
    let mut reader = Reader { rest: bytes };
    let (dims, code, shape) = header(&mut reader, bytes.len())?;
    let mut numbers = Numbers::new(code)?;
    let mut parts = Vec::with_capacity(shape.len());
    for counts in shape {
        let mut part = Part::with_capacity(counts.len());
        for count in counts {
            let mut segment = Segment::with_capacity(count * dims.numbers());
            for _ in 0..count {
                for dimension in 0..dims.numbers() {
                    segment.push(numbers.next(&mut reader, dimension)?);
                }
            }
            part.push(segment);
        }
        parts.push(part);
    }
    reader.rest.is_empty().then_some((dims, parts))
}

/// How many vertices packed bytes say they have, from their header alone; 0 if it is malformed.
#[must_use]
pub(super) fn vertex_count(bytes: &[u8]) -> u64 {
    let counts = header(&mut Reader { rest: bytes }, bytes.len());
    counts.map_or(0, |(.., shape)| {
        shape.into_iter().flatten().map(|count| count as u64).sum()
    })
}

/// Dimensions, code of decimals, and vertices per segment per part, all within `length`.
fn header(reader: &mut Reader<'_>, length: usize) -> Option<(Dims, u8, Vec<Vec<usize>>)> {
    let head = reader.byte()?;
    let dims = if head & THREE_DIMS == 0 {
        Dims::Two
    } else {
        Dims::Three
    };
    let mut numbers = 0_usize;
    let count = |reader: &mut Reader<'_>| {
        usize::try_from(reader.varuint()?)
            .ok()
            .filter(|count| *count <= length)
    };
    let part_count = count(reader)?;
    let mut shape = Vec::with_capacity(part_count.min(reader.rest.len()));
    for _ in 0..part_count {
        let segment_count = count(reader)?;
        let mut segments = Vec::with_capacity(segment_count.min(reader.rest.len()));
        for _ in 0..segment_count {
            let vertices = count(reader)?;
            numbers = numbers
                .checked_add(vertices.checked_mul(dims.numbers())?)
                .filter(|numbers| *numbers <= length)?;
            segments.push(vertices);
        }
        shape.push(segments);
    }
    (head & 0b1110_0000 == 0).then_some((dims, head & 0b1111, shape))
}

/// The smallest number of decimals that expresses every number exactly; `None` if there is none up to 13.
fn decimals(parts: &[Part]) -> Option<usize> {
    let numbers = || parts.iter().flatten().flatten();
    let fits = |number: f64, power: f64| {
        let scaled = (number * power).round();
        scaled.abs() <= SCALED_MAX as f64 && scaled / power == number
    };
    let mut least = 0;
    for number in numbers() {
        while !fits(*number, *POWERS.get(least)?) {
            least += 1;
        }
    }
    // A number that fits fewer decimals need not fit more: its scaled value may be too great.
    (least..=DECIMALS_MAX).find(|decimals| {
        POWERS
            .get(*decimals)
            .is_some_and(|power| numbers().all(|number| fits(*number, *power)))
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "`decimals` made sure that it is whole and within 51 bits"
)]
fn scale(number: f64, power: f64) -> i64 {
    (number * power).round() as i64
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

fn write_varuint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7F) as u8);
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn varuint(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
            if shift > SHIFT_MAX {
                return None;
            }
        }
    }

    fn double(&mut self) -> Option<f64> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(f64::from_le_bytes(*bytes)).filter(|number| number.is_finite())
    }
}

/// The numbers that follow the header.
struct Numbers {
    /// 10^decimals, or none for raw doubles.
    power: Option<f64>,
    previous: [i64; 3],
}

impl Numbers {
    fn new(code: u8) -> Option<Self> {
        let power = POWERS.get(usize::from(code)).copied();
        (power.is_some() || code == RAW).then_some(Self {
            power,
            previous: [0; 3],
        })
    }

    fn next(&mut self, reader: &mut Reader<'_>, dimension: usize) -> Option<f64> {
        let Some(power) = self.power else {
            return reader.double();
        };
        let zigzag = reader.varuint()?;
        let half = i64::try_from(zigzag >> 1).ok()?;
        let difference = if zigzag & 1 == 1 {
            half.checked_neg()?.checked_sub(1)?
        } else {
            half
        };
        let previous = self.previous.get_mut(dimension)?;
        *previous = previous
            .checked_add(difference)
            .filter(|scaled| scaled.unsigned_abs() <= SCALED_MAX.unsigned_abs())?;
        Some(*previous as f64 / power)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_format_packs_to_its_bytes() {
        let ring = vec![8.5, 47.3, 8.6, 47.3, 8.6, 47.4];
        let bytes = [
            0x01, 0x01, 0x01, 0x03, 0xaa, 0x01, 0xb2, 0x07, 0x02, 0x00, 0x00, 0x02,
        ];
        assert_eq!(pack(Dims::Two, &[vec![ring.clone()]]), bytes);
        assert_eq!(unpack(&bytes), Some((Dims::Two, vec![vec![ring]])));
        assert_eq!(vertex_count(&bytes), 3);
    }

    #[test]
    fn the_smallest_number_of_decimals_is_taken_and_else_raw_doubles() {
        let head = |numbers: &[f64]| pack(Dims::Two, &[vec![numbers.to_vec()]])[0];
        assert_eq!(head(&[8.0, 47.0]), 0);
        assert_eq!(head(&[8.1234567, 47.1]), 7);
        assert_eq!(head(&[1e-13, 1.0]), 13);
        assert_eq!(head(&[0.1 + 0.2, 1e-14]), RAW);
        assert_eq!(head(&[1e15, 0.1]), RAW, "10^16 exceeds 2^51");
        assert_eq!(
            pack(Dims::Three, &[vec![vec![1.0, 2.0, 3.0]]])[0],
            THREE_DIMS
        );
    }

    #[test]
    fn bytes_that_lie_about_their_counts_are_refused() {
        for bad in [
            &[][..],
            &[0x01],
            &[0x0e, 1, 1, 1, 2, 2],
            &[0x21, 1, 1, 1, 2, 2],
            &[0x01, 1, 1, 1, 2],
            &[0x01, 1, 1, 1, 2, 2, 2],
            &[0x01, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x01, 1, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[
                0x01, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ],
            &[
                0x0f, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        ] {
            assert_eq!(unpack(bad), None, "{bad:?}");
        }
        let mut beyond = vec![0x00, 1, 1, 1];
        write_varuint(&mut beyond, zigzag(SCALED_MAX + 1));
        beyond.push(0);
        assert_eq!(unpack(&beyond), None);
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-1_800_000_000_i64..1_800_000_000, 0_u32..14)
                .prop_map(|(n, d)| n as f64 / 10_f64.powi(d as i32)),
            -180.0..180.0_f64,
            Just(0.0),
            any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(|number| number + 0.0),
        ]
    }

    proptest! {
        #[test]
        fn packing_loses_nothing(
            three in any::<bool>(),
            shape in prop::collection::vec(prop::collection::vec(prop::collection::vec((number(), number(), number()), 0..5), 0..4), 0..4),
        ) {
            let dims = if three { Dims::Three } else { Dims::Two };
            let flat = |segment: Vec<(f64, f64, f64)>| -> Segment {
                segment.into_iter().flat_map(|(x, y, z)| [x, y, z].into_iter().take(dims.numbers())).collect()
            };
            let parts: Vec<Part> = shape.into_iter().map(|part| part.into_iter().map(flat).collect()).collect();
            let bytes = pack(dims, &parts);
            prop_assert_eq!(vertex_count(&bytes), parts.iter().flatten().map(|s| (s.len() / dims.numbers()) as u64).sum::<u64>());
            prop_assert_eq!(unpack(&bytes), Some((dims, parts)));
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some((dims, parts)) = unpack(&bytes) {
                prop_assert!(parts.iter().flatten().flatten().count() <= bytes.len());
                prop_assert_eq!(unpack(&pack(dims, &parts)), Some((dims, parts)));
            }
        }

        #[test]
        fn a_damaged_shape_is_unpacked_or_refused(at in 0_usize..12, byte in any::<u8>()) {
            let mut bytes = pack(Dims::Two, &[vec![vec![8.5, 47.3, 8.6, 47.3, 8.6, 47.4]]]);
            bytes[at] = byte;
            let _ = unpack(&bytes);
            let _ = unpack(&bytes[..at]);
        }
    }
}
