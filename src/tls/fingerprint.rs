//! The name of a certificate that people can compare.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;

/// SHA-256 of a certificate as it is sent (DER), as browsers and `openssl x509 -fingerprint -sha256` show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of no certificate.
    pub(super) const NONE: Self = Self([0; 32]);

    /// That of `certificate`.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; 32];
        let hash = digest(&SHA256, certificate);
        for (byte, hashed) in bytes.iter_mut().zip(hash.as_ref()) {
            *byte = *hashed;
        }
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Takes it with or without colons, in small or capital letters, with or without `sha256:` before it.
impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no fingerprint: write the 64 hexadecimal digits of the certificate's SHA-256, with or without colons"
            )
        };
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.strip_prefix("sha256:").unwrap_or(&lower);
        let digits = digits.chars().filter(|c| *c != ':');
        let digits: Option<Vec<u32>> = digits.map(|c| c.to_digit(16)).collect();
        let digits = digits
            .filter(|digits| digits.len() == 64)
            .ok_or_else(wrong)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = pair.iter().fold(0, |value, digit| value * 16 + digit);
            *byte = u8::try_from(value).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_people_copy_them() {
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        let print = Fingerprint::of(&CertificateDer::from_slice(b"abc"));
        let text = print.to_string();
        assert!(text.starts_with("BA:78:16:BF:8F:01") && text.ends_with(":15:AD"));
        let plain = text.replace(':', "").to_ascii_lowercase();
        for written in [
            text.clone(),
            plain.clone(),
            format!("SHA256:{text}"),
            format!(" {plain}\n"),
        ] {
            assert_eq!(written.parse::<Fingerprint>().unwrap(), print, "{written}");
        }
        for bad in ["", "AB:CD", "zz", plain.get(1..).unwrap(), "sha256:"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
