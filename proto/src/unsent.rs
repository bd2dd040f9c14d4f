//! Files of unsent edits: what a device kept of a map and no server has acknowledged, for somebody to bring in.
//!
//! The bytes are described in `docs/unsent-edits.md`; the web client's `provider/file.ts` writes and reads the same.
//! What the updates hold is not looked at here: [`scan`](crate::scan()) each before use. Start at [`UnsentEdits::read`].

use bytes::Bytes;

use crate::error::Malformed;
use crate::id::{MapName, NameError};
use crate::varint::{Reader, Writer};

/// The first bytes of every such file; the last of them is the version.
pub const UNSENT_MAGIC: [u8; 8] = *b"MWEDITS\x01";

/// The media type of such a file.
pub const UNSENT_MEDIA_TYPE: &str = "application/vnd.mapweave.edits";

/// Most bytes of a text in the file.
pub const UNSENT_TEXT_BYTES_MAX: usize = 1 << 10;

/// Most edits in one file.
pub const UNSENT_EDITS_MAX: u64 = 1_000_000;

/// Bytes of the checksum at the end: CRC-32C of all before, low byte first.
const CHECKSUM_BYTES: usize = 4;

/// A file of unsent edits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsentEdits {
    /// The map that the edits were made in.
    pub map: MapName,
    /// The address of the server that the device knew the map by.
    pub origin: String,
    /// What the person is called, as they said; may be empty. Proves nothing.
    pub who: String,
    /// When the file was written, in milliseconds since 1970 (UTC), by the device's clock.
    pub written_at_ms: u64,
    /// The edits, oldest first.
    pub edits: Vec<UnsentEdit>,
}

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsentEdit {
    /// When it was made, as above.
    pub made_at_ms: u64,
    /// A Yjs update (v1), not yet looked at.
    pub update: Bytes,
}

/// Why bytes are no file of unsent edits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsentError {
    /// It begins otherwise.
    #[error("this is no file of unsent edits")]
    Stranger,
    /// A later version of the format.
    #[error("the file has version {version}, this program reads version 1: use a newer one")]
    Version {
        /// The version that it names.
        version: u8,
    },
    /// The checksum differs.
    #[error(
        "the file is damaged or not whole (its checksum differs): copy it from the device again"
    )]
    Damaged,
    /// A part cannot be read although the checksum is right.
    #[error("the {what} cannot be read: {cause}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// What is wrong.
        cause: Malformed,
    },
    /// The name of the map is none.
    #[error("the name of the map: {0}")]
    Name(#[from] NameError),
    /// A text or a number of edits is beyond its bound.
    #[error("the {what} is larger than {max}")]
    TooMuch {
        /// Which.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// Bytes between the last edit and the checksum.
    #[error("{bytes} bytes follow the last edit")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl UnsentEdits {
    /// Whether `bytes` begin as such a file does, of whatever version.
    pub fn is_one(bytes: &[u8]) -> bool {
        let [name @ .., _] = UNSENT_MAGIC;
        bytes.starts_with(&name)
    }

    /// Reads a whole file. Its updates share its memory.
    ///
    /// # Errors
    /// [`UnsentError`]: where it is of another kind, damaged or cannot be read.
    pub fn read(file: Bytes) -> Result<Self, UnsentError> {
        if !Self::is_one(&file) {
            return Err(UnsentError::Stranger);
        }
        let [.., known] = UNSENT_MAGIC;
        let version = file.get(UNSENT_MAGIC.len() - 1).copied();
        match version {
            Some(version) if version == known => {}
            Some(version) => return Err(UnsentError::Version { version }),
            None => return Err(UnsentError::Damaged),
        }
        let body = checked(&file)?;
        let mut reader = Reader::new(body);
        let map = MapName::parse(&text(&mut reader, "name of the map")?)?;
        let origin = text(&mut reader, "address of the server")?;
        let who = text(&mut reader, "name of the person")?;
        let written_at_ms = number(&mut reader, "time of the file")?;
        let count = number(&mut reader, "number of edits")?;
        if count > UNSENT_EDITS_MAX {
            return Err(UnsentError::TooMuch {
                what: "number of edits",
                max: UNSENT_EDITS_MAX,
            });
        }
        let mut edits = Vec::new();
        for _ in 0..count {
            let made_at_ms = number(&mut reader, "time of an edit")?;
            let update = reader.buf().map_err(|cause| UnsentError::Malformed {
                what: "update of an edit",
                cause,
            })?;
            edits.push(UnsentEdit { made_at_ms, update });
        }
        match reader.left() {
            0 => Ok(Self {
                map,
                origin,
                who,
                written_at_ms,
                edits,
            }),
            bytes => Err(UnsentError::Trailing { bytes }),
        }
    }

    /// The file.
    pub fn write(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.raw(&UNSENT_MAGIC);
        writer.string(self.map.as_str());
        writer.string(&self.origin);
        writer.string(&self.who);
        writer.var_uint(self.written_at_ms);
        writer.var_uint(self.edits.len() as u64);
        for edit in &self.edits {
            writer.var_uint(edit.made_at_ms);
            writer.buf(&edit.update);
        }
        let mut file = writer.finish().to_vec();
        let checksum = crc32c::crc32c(&file);
        file.extend_from_slice(&checksum.to_le_bytes());
        file.into()
    }
}

/// What lies between magic and checksum, if that is right.
fn checked(file: &Bytes) -> Result<Bytes, UnsentError> {
    let end = file
        .len()
        .checked_sub(CHECKSUM_BYTES)
        .filter(|end| *end >= UNSENT_MAGIC.len())
        .ok_or(UnsentError::Damaged)?;
    let (before, checksum) = file.split_at_checked(end).ok_or(UnsentError::Damaged)?;
    if crc32c::crc32c(before).to_le_bytes() == checksum {
        Ok(file.slice(UNSENT_MAGIC.len()..end))
    } else {
        Err(UnsentError::Damaged)
    }
}

fn text(reader: &mut Reader, what: &'static str) -> Result<String, UnsentError> {
    let text = reader
        .string()
        .map_err(|cause| UnsentError::Malformed { what, cause })?;
    if text.len() > UNSENT_TEXT_BYTES_MAX {
        return Err(UnsentError::TooMuch {
            what,
            max: UNSENT_TEXT_BYTES_MAX as u64,
        });
    }
    Ok(text.to_owned())
}

fn number(reader: &mut Reader, what: &'static str) -> Result<u64, UnsentError> {
    reader
        .var_uint()
        .map_err(|cause| UnsentError::Malformed { what, cause })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `web/src/provider/file.test.ts` has it.
    fn example() -> UnsentEdits {
        UnsentEdits {
            map: MapName::parse("fields/north 1").unwrap(),
            origin: "https://maps.example.org".to_owned(),
            who: "Änne".to_owned(),
            written_at_ms: 1_795_000_000_000,
            edits: vec![
                UnsentEdit {
                    made_at_ms: 1_794_999_999_000,
                    update: Bytes::from_static(&[0, 0]),
                },
                UnsentEdit {
                    made_at_ms: 1_794_999_999_500,
                    update: Bytes::from_static(&[
                        1, 1, 7, 0, 0x28, 1, 3, b'm', b'a', b'p', 1, b'k', 1, 126, 0,
                    ]),
                },
            ],
        }
    }

    #[test]
    fn the_example_of_both_languages_is_read_and_written_alike() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/wire/unsent-edits.bin"
        );
        let fixture = Bytes::from(std::fs::read(path).unwrap());
        assert_eq!(example().write(), fixture);
        assert_eq!(UnsentEdits::read(fixture), Ok(example()));
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let file = example().write();
        for at in 0..file.len() {
            let mut changed = file.to_vec();
            changed[at] ^= 0x40;
            assert!(UnsentEdits::read(changed.into()).is_err(), "byte {at}");
            assert!(UnsentEdits::read(file.slice(..at)).is_err(), "{at} bytes");
        }
        let longer = [file.as_ref(), &[0]].concat();
        assert_eq!(UnsentEdits::read(longer.into()), Err(UnsentError::Damaged));
    }

    /// The file with other bytes between magic and checksum.
    fn forged(body: &[u8]) -> Bytes {
        let mut file = [&UNSENT_MAGIC, body].concat();
        let checksum = crc32c::crc32c(&file);
        file.extend_from_slice(&checksum.to_le_bytes());
        file.into()
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            UnsentEdits::read(Bytes::from_static(b"PK\x03\x04")),
            Err(UnsentError::Stranger)
        );
        let mut later = example().write().to_vec();
        later[7] = 2;
        assert_eq!(
            UnsentEdits::read(later.into()),
            Err(UnsentError::Version { version: 2 })
        );
        let cut = forged(&[1, b'm', 0, 0, 0, 1, 0, 200]);
        assert!(matches!(
            UnsentEdits::read(cut),
            Err(UnsentError::Malformed {
                what: "update of an edit",
                ..
            })
        ));
        let many = forged(&[1, b'm', 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(matches!(
            UnsentEdits::read(many),
            Err(UnsentError::TooMuch { .. })
        ));
        let nameless = forged(&[0, 0, 0, 0, 0]);
        assert!(matches!(
            UnsentEdits::read(nameless),
            Err(UnsentError::Name(_))
        ));
        let trailing = forged(&[1, b'm', 0, 0, 0, 0, 9]);
        assert_eq!(
            UnsentEdits::read(trailing),
            Err(UnsentError::Trailing { bytes: 1 })
        );
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_reading_ends_and_what_is_written_comes_back(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            edits in proptest::collection::vec((0_u64..1 << 53, proptest::collection::vec(any::<u8>(), 0..50)), 0..9),
        ) {
            let _ = UnsentEdits::read(forged(&body));
            let edits = edits.into_iter().map(|(made_at_ms, update)| UnsentEdit { made_at_ms, update: update.into() });
            let file = UnsentEdits { edits: edits.collect(), ..example() };
            prop_assert_eq!(UnsentEdits::read(file.write()), Ok(file));
        }
    }
}
