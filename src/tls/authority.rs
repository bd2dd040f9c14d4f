//! An authority of our own, in the data folder, and the certificates that it issues.
//!
//! A phone trusts the authority once; the server's own certificate is then made anew whenever its time runs out or
//! the machine has another address. Whoever has the authority's key can pretend to be any server to those who trust
//! it: it never leaves the folder, and only its owner may read it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use super::TlsError;
use super::files::{self, Pair};

/// The folder, in the data folder.
pub const FOLDER: &str = "tls";

/// The authority's certificate, in the folder: for `--ca`, and for whoever shall trust it.
pub const AUTHORITY_FILE: &str = "authority.pem";

const AUTHORITY_KEY: &str = "authority.key";
const SERVER_FILE: &str = "server.pem";
const SERVER_KEY: &str = "server.key";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long devices can trust it without being asked again.
const AUTHORITY_TIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How long a server's certificate is good. Some clients refuse one that is good for more than 398 days.
const SERVER_TIME: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// So long before its time is over a new one is made.
const RENEW_BEFORE_S: i64 = 30 * 24 * 60 * 60;

/// The authority's certificate and key, read or made.
pub(super) struct Authority {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
    /// The certificate as it is in its file.
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The authority in the data folder `data`; made if there is none.
    ///
    /// # Errors
    /// Where it is damaged, its time is over, or files cannot be read or written.
    pub(super) fn open(data: &Path, now_s: i64) -> Result<Self, TlsError> {
        let folder = data.join(FOLDER);
        let exists = folder.join(AUTHORITY_FILE).exists() || folder.join(AUTHORITY_KEY).exists();
        if !exists {
            make(&folder, now_s)?;
        }
        read(&folder, now_s).map_err(|why| TlsError::Authority {
            folder: folder.clone(),
            why: Box::new(why),
        })
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The server's certificate for `names`: the one in the folder while it will do, else a new one. The second
    /// value tells whether it is new.
    ///
    /// # Errors
    /// Where none can be made or stored.
    pub(super) fn server(
        &self,
        names: &BTreeSet<String>,
        now_s: i64,
    ) -> Result<(Pair, bool), TlsError> {
        let (cert, key) = (self.folder.join(SERVER_FILE), self.folder.join(SERVER_KEY));
        // Whatever is wrong with the one that is there, a new one mends it.
        let stored = files::read_pair(&cert, &key).ok();
        if let Some(pair) = stored.filter(|pair| self.will_do(pair, names, now_s)) {
            return Ok((pair, false));
        }
        let (issued, private) = self.issue(names, now_s).map_err(make_error)?;
        files::write_private(&key, &private.serialize_pem())?;
        files::write_private(&cert, &(issued.pem() + &self.pem))?;
        let chain = vec![issued.der().clone(), self.certificate.clone()];
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(private.serialize_der()));
        let facts = files::facts(&chain).map_err(TlsError::Make)?;
        let certified = files::certify(chain, private)?;
        Ok((Pair { certified, facts }, true))
    }

    fn will_do(&self, pair: &Pair, names: &BTreeSet<String>, now_s: i64) -> bool {
        let ours = pair.certified.cert.get(1) == Some(&self.certificate);
        let lasts = pair.facts.expires_s.saturating_sub(now_s) > RENEW_BEFORE_S;
        ours && lasts && names.iter().all(|name| pair.facts.names.contains(name))
    }

    fn issue(
        &self,
        names: &BTreeSet<String>,
        now_s: i64,
    ) -> Result<(Certificate, KeyPair), rcgen::Error> {
        let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        params.distinguished_name = named("Mapweave");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = times(now_s, SERVER_TIME);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

fn read(folder: &Path, now_s: i64) -> Result<Authority, TlsError> {
    let (cert, key) = (folder.join(AUTHORITY_FILE), folder.join(AUTHORITY_KEY));
    let pair = files::read_pair(&cert, &key)?;
    if pair.facts.expires_s < now_s {
        return Err(expired(cert, pair.facts.expires_s));
    }
    let text =
        |path| Ok::<_, TlsError>(String::from_utf8_lossy(&files::read_bounded(path)?).into_owned());
    let private = KeyPair::from_pem(&text(&key)?).map_err(make_error)?;
    let certificate = pair.certified.cert.first().cloned();
    let certificate = certificate.ok_or_else(|| TlsError::Make("no certificate".to_owned()))?;
    let issuer = Issuer::from_ca_cert_der(&certificate, private).map_err(make_error)?;
    Ok(Authority {
        folder: folder.to_owned(),
        certificate,
        pem: text(&cert)?,
        issuer,
    })
}

fn make(folder: &Path, now_s: i64) -> Result<(), TlsError> {
    std::fs::create_dir_all(folder).map_err(|source| TlsError::Write {
        path: folder.to_owned(),
        source,
    })?;
    let own = rustix::system::uname();
    let name = format!("Mapweave authority of {}", own.nodename().to_string_lossy());
    let made = || {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&name);
        // It signs servers' certificates and no other authority's.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = times(now_s, AUTHORITY_TIME);
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) = made().map_err(make_error)?;
    // The key first: without it, nobody should be asked to trust the certificate.
    files::write_private(&folder.join(AUTHORITY_KEY), &key.serialize_pem())?;
    files::write_private(&folder.join(AUTHORITY_FILE), &certificate.pem())?;
    tracing::info!(folder = %folder.display(), "made an authority for this server's certificates");
    Ok(())
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished.push(DnType::OrganizationName, "Mapweave");
    distinguished
}

/// From a day ago, since clocks in the field are not right, to `time` from now.
fn times(now_s: i64, time: Duration) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::from_unix_timestamp(now_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let from = now.checked_sub(time::Duration::seconds(DAY.as_secs() as i64));
    let to = now.checked_add(time::Duration::seconds(time.as_secs() as i64));
    (from.unwrap_or(now), to.unwrap_or(now))
}

pub(super) fn expired(path: PathBuf, expires_s: i64) -> TlsError {
    let ms = u64::try_from(expires_s).unwrap_or(0).saturating_mul(1_000);
    TlsError::Expired {
        path,
        at: crate::time::rfc3339_ms(ms),
    }
}

fn make_error(error: rcgen::Error) -> TlsError {
    TlsError::Make(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn an_authority_stays_and_its_certificates_are_made_anew_when_needed() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (
            names(&["localhost", "10.0.0.1"]),
            names(&["localhost", "10.0.0.2"]),
        );
        let authority = Authority::open(folder.path(), NOW_S).unwrap();
        let (first, new) = authority.server(&here, NOW_S).unwrap();
        assert!(new && first.facts.names == ["10.0.0.1", "localhost"]);

        let again = Authority::open(folder.path(), NOW_S + 1).unwrap();
        assert_eq!(again.certificate(), authority.certificate());
        let (same, new) = again.server(&here, NOW_S + 1).unwrap();
        assert!(!new && same.certified.cert == first.certified.cert);

        let (_, new) = again.server(&there, NOW_S + 2).unwrap();
        assert!(new, "another address");
        let late = NOW_S + 370 * 24 * 60 * 60;
        let (renewed, new) = again.server(&there, late).unwrap();
        assert!(new && renewed.facts.expires_s > late, "its time runs out");
    }

    #[test]
    fn only_the_owner_may_read_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), NOW_S).unwrap();
        authority.server(&names(&["localhost"]), NOW_S).unwrap();
        for file in std::fs::read_dir(folder.path().join(FOLDER)).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_server_certificate_is_replaced_and_a_damaged_authority_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), NOW_S).unwrap();
        let localhost = names(&["localhost"]);
        authority.server(&localhost, NOW_S).unwrap();
        let file = |name: &str| folder.path().join(FOLDER).join(name);
        std::fs::write(file(SERVER_KEY), "rubbish").unwrap();
        assert!(authority.server(&localhost, NOW_S).unwrap().1);
        std::fs::write(file(AUTHORITY_KEY), "rubbish").unwrap();
        let told = Authority::open(folder.path(), NOW_S).err().unwrap();
        assert!(told.to_string().contains("remove the folder"), "{told}");
    }
}
