//! Clients over http and https: how they connect, and why they do not reach whom they should. Start at [`Service`].

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, Uri, header, http};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{TlsError, Trust, client_config};

/// Sends whole bodies over http or https.
pub type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that speaks to whom `trust` covers, and makes a connection within `connect_limit` or not at all.
///
/// # Errors
/// Where a file cannot be read, or there is nobody to trust.
pub fn http_client(trust: &Trust, connect_limit: Duration) -> Result<HttpClient, TlsError> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect_limit));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let tls = HttpsConnectorBuilder::new().with_tls_config(client_config(trust)?);
    let connector = tls.https_or_http().enable_http1().wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// Why nobody was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// Whoever is there shows no certificate that is trusted, or TLS fails in another way.
    Untrusted(String),
    /// Nobody is there, or the connection broke.
    Unreachable(String),
}

impl Unreached {
    /// What a client's error comes down to: the outermost message only says that it did not work, the innermost why.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut innermost = error;
        loop {
            if let Some(error) = innermost.downcast_ref::<rustls::Error>() {
                return Self::Untrusted(error.to_string());
            }
            // An error of the system hides another one that it carries from its sources.
            let carried = innermost.downcast_ref::<io::Error>();
            let carried = carried.and_then(io::Error::get_ref);
            let carried = carried.map(|error| error as &(dyn Error + 'static));
            match carried.or_else(|| innermost.source()) {
                Some(source) => innermost = source,
                None => return Self::Unreachable(innermost.to_string()),
            }
        }
    }
}

/// A service of the operator's, as the configuration has it.
#[derive(Debug, Clone, Copy)]
pub struct ServiceAt<'a> {
    /// Its address.
    pub url: &'a str,
    /// File in PEM with the authorities that vouch for it, and no others; those that this machine trusts without one.
    pub ca_file: Option<&'a Path>,
    /// The key of that, for whoever has to set it.
    pub ca_key: &'static str,
    /// How long a connection may take to be made.
    pub connect_limit: Duration,
}

/// Why a service can never be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The address is none.
    #[error("{0:?} is no address like https://people.example.org/mapweave")]
    Url(String),
    /// There is nobody to trust, or TLS cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A service of the operator's.
pub struct Service {
    url: Uri,
    client: HttpClient,
    ca_key: &'static str,
}

impl Service {
    /// The service; nothing is sent yet.
    ///
    /// # Errors
    /// Where its address is none, or there is nobody to trust.
    pub fn new(at: ServiceAt<'_>) -> Result<Self, ServiceError> {
        let wrong = || ServiceError::Url(at.url.to_owned());
        let url: Uri = at.url.parse().map_err(|_| wrong())?;
        let trust = match (url.scheme_str(), url.authority()) {
            (Some("http"), Some(_)) => Trust::nobody(),
            (Some("https"), Some(_)) => Trust {
                authorities: at.ca_file.map(Path::to_owned).into_iter().collect(),
                pin: None,
            },
            _ => return Err(wrong()),
        };
        let client = http_client(&trust, at.connect_limit)?;
        let ca_key = at.ca_key;
        Ok(Self {
            url,
            client,
            ca_key,
        })
    }

    /// A POST of JSON to it.
    pub fn post(&self) -> http::request::Builder {
        Request::post(self.url.clone()).header(header::CONTENT_TYPE, "application/json")
    }

    /// Sends a request of [`Service::post`].
    ///
    /// # Errors
    /// What went wrong, and what to do where that is known.
    ///
    /// # Cancel safety
    /// The service may have it nevertheless.
    pub async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Silent> {
        let asked = self.client.request(request).await;
        asked.map_err(|error| Silent {
            why: Unreached::of(&error),
            ca_key: self.ca_key,
        })
    }
}

/// Why a service says nothing, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    why: Unreached,
    ca_key: &'static str,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Unreached::Unreachable(why) => write!(f, "{why}"),
            Unreached::Untrusted(why) => write!(
                f,
                "{why}: where an authority of your own vouches for it, name the file with its certificate in {}",
                self.ca_key
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(url: &str) -> ServiceAt<'_> {
        ServiceAt {
            url,
            ca_file: Some(Path::new("/nowhere/ca.pem")),
            ca_key: "some.ca_file",
            connect_limit: Duration::from_secs(1),
        }
    }

    #[test]
    fn an_address_is_http_or_https_and_only_the_latter_needs_somebody_to_trust() {
        assert!(Service::new(at("http://127.0.0.1:9/told")).is_ok());
        for bad in ["", "/told", "ftp://example.org", "example.org", "http://"] {
            let error = Service::new(at(bad)).err().unwrap();
            assert!(matches!(error, ServiceError::Url(_)), "{bad}");
        }
        let error = Service::new(at("https://127.0.0.1:9")).err().unwrap();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn the_innermost_error_says_why_and_the_operator_what_to_set() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::other(unknown));
        let why = Unreached::of(&wrapped);
        assert!(matches!(why, Unreached::Untrusted(_)), "{why:?}");
        let ca_key = "some.ca_file";
        let said = Silent { why, ca_key }.to_string();
        assert!(
            said.contains("UnknownIssuer") && said.contains(ca_key),
            "{said}"
        );
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let why = Unreached::of(&refused);
        assert_eq!(why, Unreached::Unreachable(refused.to_string()));
    }
}
