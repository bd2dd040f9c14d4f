//! The certificate that the server shows, kept up to date while it runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;

use super::authority::{Authority, expired};
use super::files::{Pair, Stamp, read_pair};
use super::{Fingerprint, TlsError, names, provider};
use crate::config::Config;

/// How often files are looked at for a change, and the machine for another address.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// From so long before its time is over on, every start and renewal warns of it.
pub const WARN_BEFORE_DAYS: i64 = 14;

const DAY_S: i64 = 24 * 60 * 60;

/// The server's certificate and key, and where they come from.
pub struct Identity {
    source: Source,
    current: RwLock<Pair>,
}

enum Source {
    /// Files that somebody else looks after.
    Files {
        cert: PathBuf,
        key: PathBuf,
        /// The files as they were when they were read last.
        seen: Mutex<[Option<Stamp>; 2]>,
    },
    /// Our own authority.
    Own {
        authority: Box<Authority>,
        /// Where the server listens, and what it is called besides.
        listen: std::net::IpAddr,
        hosts: Vec<String>,
    },
}

/// What a look at the source brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Nothing has changed.
    Same,
    /// New connections get another certificate from now on.
    Changed,
}

impl Identity {
    /// What `config` says that the server should be; `None` where it speaks plain HTTP. Makes our own authority and
    /// certificate where that is asked for.
    ///
    /// # Errors
    /// What is wrong with the files; a certificate whose time is over is among it.
    pub fn open(config: &Config) -> Result<Option<Arc<Self>>, TlsError> {
        Self::open_at(config, now_s())
    }

    fn open_at(config: &Config, now_s: i64) -> Result<Option<Arc<Self>>, TlsError> {
        let tls = &config.tls;
        let (source, pair) = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => {
                let seen = [Stamp::of(cert), Stamp::of(key)];
                let pair = read_valid(cert, key, now_s)?;
                let (cert, key, seen) = (cert.clone(), key.clone(), Mutex::new(seen));
                (Source::Files { cert, key, seen }, pair)
            }
            _ if tls.self_signed => {
                let authority = Box::new(Authority::open(&config.data, now_s)?);
                let (listen, hosts) = (config.listen.ip(), config.server.allowed_hosts.clone());
                let (pair, _) = authority.server(&names::of_machine(listen, &hosts), now_s)?;
                let source = Source::Own {
                    authority,
                    listen,
                    hosts,
                };
                (source, pair)
            }
            _ => return Ok(None),
        };
        tell_expiry(&pair, now_s);
        Ok(Some(Arc::new(Self {
            source,
            current: RwLock::new(pair),
        })))
    }

    /// The settings of TLS connections that show this certificate.
    ///
    /// # Errors
    /// [`TlsError::Protocol`], for which there is no known reason.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(Shown(self.clone())));
        // HTTP/2 would gain little, since every socket is a connection of its own, and has attacks of its own.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Tickets instead of a cache: a thousand clients that come back resume, and none costs memory meanwhile.
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        Ok(Arc::new(config))
    }

    /// Looks whether the source has another certificate, or should make one, and shows that from now on. Blocks.
    ///
    /// # Errors
    /// What is wrong with the new one. The old one is shown further on.
    pub fn look(&self) -> Result<Looked, TlsError> {
        self.look_at(now_s())
    }

    fn look_at(&self, now_s: i64) -> Result<Looked, TlsError> {
        let pair = match &self.source {
            Source::Files { cert, key, seen } => {
                let found = [Stamp::of(cert), Stamp::of(key)];
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::replace(&mut *seen, found) == found {
                    return Ok(Looked::Same);
                }
                read_valid(cert, key, now_s)?
            }
            Source::Own {
                authority,
                listen,
                hosts,
            } => match authority.server(&names::of_machine(*listen, hosts), now_s)? {
                (_, false) => return Ok(Looked::Same),
                (pair, true) => pair,
            },
        };
        tell_expiry(&pair, now_s);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(Looked::Changed)
    }

    /// Looks every half a minute, and whenever `asked` rings. Never completes; says in the log what it finds.
    pub async fn keep(self: Arc<Self>, asked: &Notify) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = asked.notified() => {}
            }
            let identity = self.clone();
            match tokio::task::spawn_blocking(move || identity.look()).await {
                Ok(Ok(Looked::Same)) => {}
                Ok(Ok(Looked::Changed)) => {
                    tracing::info!(certificate = %self.fingerprint(), "new connections get a new certificate");
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the certificate was not changed; the one before is used further on");
                }
                Err(error) => tracing::error!(%error, "looking at the certificate broke off"),
            }
        }
    }

    /// The authority of our own making, for those who shall trust it; `None` where somebody else issued the
    /// certificate.
    pub fn authority(&self) -> Option<CertificateDer<'static>> {
        match &self.source {
            Source::Files { .. } => None,
            Source::Own { authority, .. } => Some(authority.certificate().clone()),
        }
    }

    /// That of the authority of our own, else of the server's certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        match self.authority() {
            Some(authority) => Fingerprint::of(&authority),
            None => {
                let certified = self.certified();
                let none = CertificateDer::from_slice(&[]);
                Fingerprint::of(certified.cert.first().unwrap_or(&none))
            }
        }
    }

    /// Names that the certificate is for, but for wildcards. A page of another name cannot reach the server by one of
    /// them, since its browser asks for a certificate of its own name.
    pub fn names(&self) -> BTreeSet<String> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let names = current
            .facts
            .names
            .iter()
            .filter(|name| !name.contains('*'));
        names.cloned().collect()
    }

    /// When the time of the certificate is over, in seconds since 1970.
    pub fn expires_s(&self) -> i64 {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.facts.expires_s
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.certified.clone()
    }
}

/// An identity, as rustls asks for it at every handshake.
struct Shown(Arc<Identity>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.certified())
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown({})", self.0.fingerprint())
    }
}

fn read_valid(cert: &Path, key: &Path, now_s: i64) -> Result<Pair, TlsError> {
    let pair = read_pair(cert, key)?;
    if pair.facts.expires_s < now_s {
        return Err(expired(cert.to_owned(), pair.facts.expires_s));
    }
    Ok(pair)
}

fn tell_expiry(pair: &Pair, now_s: i64) {
    let days = pair.facts.expires_s.saturating_sub(now_s) / DAY_S;
    if days < WARN_BEFORE_DAYS {
        tracing::warn!(
            days,
            "the time of the certificate is nearly over: have it renewed"
        );
    }
}

/// For how many days the certificate of `config` is still good; `None` where no files are configured.
///
/// # Errors
/// What is wrong with the files.
pub fn days_left(config: &Config) -> Option<Result<i64, TlsError>> {
    let (cert, key) = (config.tls.cert.as_ref()?, config.tls.key.as_ref()?);
    let now_s = now_s();
    let pair = read_valid(cert, key, now_s);
    Some(pair.map(|pair| pair.facts.expires_s.saturating_sub(now_s) / DAY_S))
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    /// A folder with a certificate for `names` and its key, good from `NOW_S` on.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), names);
        folder
    }

    fn put(folder: &Path, names: &[&str]) {
        let data = tempfile::tempdir().unwrap();
        let authority = Authority::open(data.path(), NOW_S).unwrap();
        let names = names.iter().map(|&name| name.to_owned()).collect();
        authority.server(&names, NOW_S).unwrap();
        for file in ["server.pem", "server.key"] {
            let from = data.path().join(super::super::FOLDER).join(file);
            std::fs::copy(from, folder.join(file)).unwrap();
        }
    }

    fn config(folder: &Path) -> Config {
        let mut config = Config::default();
        config.tls.cert = Some(folder.join("server.pem"));
        config.tls.key = Some(folder.join("server.key"));
        config
    }

    fn open(folder: &Path, now_s: i64) -> Result<Arc<Identity>, TlsError> {
        Identity::open_at(&config(folder), now_s).map(Option::unwrap)
    }

    #[test]
    fn a_certificate_that_was_replaced_is_shown_and_a_broken_one_is_not() {
        let folder = folder(&["one.example"]);
        let identity = open(folder.path(), NOW_S).unwrap();
        let first = identity.fingerprint();
        assert_eq!(identity.look_at(NOW_S).unwrap(), Looked::Same);

        put(folder.path(), &["two.example"]);
        assert_eq!(identity.look_at(NOW_S).unwrap(), Looked::Changed);
        assert_ne!(identity.fingerprint(), first);
        assert_eq!(identity.names(), BTreeSet::from(["two.example".to_owned()]));

        let second = identity.fingerprint();
        std::fs::write(folder.path().join("server.pem"), "rubbish").unwrap();
        assert!(identity.look_at(NOW_S).is_err());
        assert_eq!(
            identity.look_at(NOW_S).unwrap(),
            Looked::Same,
            "it was told once"
        );
        assert_eq!(identity.fingerprint(), second);
    }

    #[test]
    fn what_is_wrong_with_the_files_is_told_by_name() {
        let told = |folder: &Path, now_s| open(folder, now_s).err().unwrap().to_string();
        let (one, other) = (folder(&["one.example"]), folder(&["other.example"]));
        let late = NOW_S + 3 * 365 * 24 * 60 * 60;
        let expired = told(one.path(), late);
        assert!(expired.contains("expired at 2028-"), "{expired}");

        std::fs::copy(
            other.path().join("server.key"),
            one.path().join("server.key"),
        )
        .unwrap();
        let mismatch = told(one.path(), NOW_S);
        assert!(
            mismatch.contains("is not that of the certificate"),
            "{mismatch}"
        );

        std::fs::copy(one.path().join("server.pem"), one.path().join("server.key")).unwrap();
        let no_key = told(one.path(), NOW_S);
        assert!(
            no_key.contains("server.key") && no_key.contains("PRIVATE KEY"),
            "{no_key}"
        );

        std::fs::remove_file(one.path().join("server.pem")).unwrap();
        let missing = told(one.path(), NOW_S);
        assert!(
            missing.contains("cannot read") && missing.contains("server.pem"),
            "{missing}"
        );
    }
}
