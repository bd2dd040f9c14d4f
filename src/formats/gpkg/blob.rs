//! The binary form of geometries in a GeoPackage (OGC 12-128r17 §2.1.3): a header before well-known binary.

use super::WGS84_SRS;
use crate::formats::notes::NoteSet;
use crate::formats::shape::{Plain, Raw};
use crate::formats::wkb::{self, WkbFault};

const MAGIC: &[u8; 2] = b"GP";
/// Bit 0 of the flags: little-endian. Bits 1–3: the envelope. Bit 4: empty. Bit 5: not standard.
const LITTLE_ENDIAN: u8 = 1;
const ENVELOPE_XY: u8 = 1 << 1;
const EMPTY: u8 = 1 << 4;
const EXTENDED: u8 = 1 << 5;
const HEADER_BYTES: usize = 8;

/// Why a blob is no geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlobFault {
    #[error("the geometry does not start with GP")]
    Magic,
    #[error("the geometry is of an extended type")]
    Extended,
    #[error("the geometry's envelope is of an unknown kind")]
    Envelope,
    #[error(transparent)]
    Wkb(#[from] WkbFault),
}

/// The geometry of a blob.
pub(super) fn read(bytes: &[u8], notes: &mut NoteSet) -> Result<Raw, BlobFault> {
    let header = bytes
        .first_chunk::<HEADER_BYTES>()
        .ok_or(BlobFault::Wkb(WkbFault::Short))?;
    let [g, p, _, flags, ..] = *header;
    if [g, p] != *MAGIC {
        return Err(BlobFault::Magic);
    }
    if flags & EXTENDED != 0 {
        return Err(BlobFault::Extended);
    }
    let envelope = match (flags >> 1) & 7 {
        0 => 0,
        1 => 32,
        2 | 3 => 48,
        4 => 64,
        _ => return Err(BlobFault::Envelope),
    };
    let geometry = bytes
        .get(HEADER_BYTES + envelope..)
        .ok_or(BlobFault::Wkb(WkbFault::Short))?;
    Ok(wkb::read(geometry, notes)?)
}

/// The blob of a geometry in WGS 84.
pub(super) fn write(plain: &Plain) -> Vec<u8> {
    let bounds = plain.bounds();
    let flags = match bounds {
        Some(_) => LITTLE_ENDIAN | ENVELOPE_XY,
        None => LITTLE_ENDIAN | EMPTY,
    };
    let mut out = MAGIC.to_vec();
    out.extend([0, flags]);
    out.extend(i32::try_from(WGS84_SRS).unwrap_or_default().to_le_bytes());
    if let Some([west, south, east, north]) = bounds {
        for number in [west, east, south, north] {
            out.extend(number.to_le_bytes());
        }
    }
    out.extend(wkb::write(plain));
    out
}
