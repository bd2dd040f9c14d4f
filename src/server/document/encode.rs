//! States made smaller on their way: gzip or zstd, for clients that take the whole.

use std::io::Write;

use bytes::Bytes;
use tokio::sync::Semaphore;

/// Smaller bodies go as they are: they fit into one packet or two.
const ENCODED_BYTES_MIN: usize = 1 << 10;

/// Bodies that are being made smaller at once, each on a thread of its own; who comes meanwhile gets the bytes as they are.
const ENCODING_MAX: usize = 2;
static PLACES: Semaphore = Semaphore::const_new(ENCODING_MAX);

/// Updates are dense already: more effort takes far longer than it saves on the way.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: u32 = 1;

/// How bytes are encoded for the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Encoding {
    /// The best of those that an `Accept-Encoding` allows; none where it wants the bytes as they are.
    pub fn choose(accepted: &str) -> Option<Self> {
        let weight = |name: &str| {
            let named = accepted.split(',').find_map(|item| {
                let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
                coding
                    .trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| quality(parameters))
            });
            named.unwrap_or(0.0)
        };
        let (zstd, gzip) = (weight("zstd"), weight("gzip"));
        match (zstd > 0.0, gzip > 0.0) {
            (true, _) if zstd >= gzip => Some(Self::Zstd),
            (_, true) => Some(Self::Gzip),
            _ => None,
        }
    }

    /// As `Content-Encoding` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The bytes encoded; none where that is not worth it, or too many are at it.
    pub async fn encode(self, bytes: &Bytes) -> Option<Bytes> {
        if bytes.len() < ENCODED_BYTES_MIN {
            return None;
        }
        let place = PLACES.try_acquire().ok()?;
        let from = bytes.clone();
        let encoded = tokio::task::spawn_blocking(move || {
            let encoded = self.encode_now(&from);
            drop(place);
            encoded
        });
        let encoded = encoded.await.ok()?.ok()?;
        (encoded.len() < bytes.len()).then(|| encoded.into())
    }

    fn encode_now(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
            Self::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

/// `;q=0.5`, 1 where there is none; what cannot be read is 0.
fn quality(parameters: &str) -> f32 {
    let given = parameters
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("q="));
    given.map_or(1.0, |given| given.trim().parse().unwrap_or(0.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_encoding_is_one_that_the_client_takes() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Some(Encoding::Zstd)),
            ("gzip;q=1.0, zstd;q=0.5", Some(Encoding::Gzip)),
            ("gzip;q=0, zstd; q=0.1", Some(Encoding::Zstd)),
            ("GZIP", Some(Encoding::Gzip)),
            ("br", None),
            ("identity", None),
            ("", None),
            ("gzip;q=x", None),
        ] {
            assert_eq!(Encoding::choose(accepted), expected, "{accepted}");
        }
    }

    #[tokio::test]
    async fn encoded_bytes_come_back_and_are_fewer() {
        let bytes = Bytes::from(b"meadow ".repeat(1_000));
        let zstd = Encoding::Zstd.encode(&bytes).await.unwrap();
        assert_eq!(zstd::bulk::decompress(&zstd, bytes.len()).unwrap(), bytes);
        let gzip = Encoding::Gzip.encode(&bytes).await.unwrap();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(gzip.as_ref())
            .read_to_end(&mut back)
            .unwrap();
        assert_eq!(back, bytes);
        assert_eq!(Encoding::Gzip.encode(&bytes.slice(..100)).await, None);
    }
}
