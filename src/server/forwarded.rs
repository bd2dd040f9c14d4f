//! Who asks, and over which scheme, where a proxy stands between. Pure.
//!
//! Anybody can send the headers in which proxies tell this, so they count only on connections from proxies that are
//! trusted, and of a list only what trusted proxies added: it is read from its end. One kind of header counts and the
//! other does not, since a proxy that sets one hands on the other as the client wrote it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use warp::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::accept::{PeerAddress, Scheme};
use crate::config::ProxyHeader;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Most proxies in a row that are looked through.
const HOPS_MAX: usize = 16;

/// Proxies that are believed, and how they speak.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: ProxyHeader,
}

impl Proxies {
    /// Believes what proxies in these networks say in this kind of header.
    pub fn new(trusted: Vec<IpNet>, header: ProxyHeader) -> Self {
        Self { trusted, header }
    }

    /// Who sent a request with these headers, over a connection from `peer` that speaks `scheme`. A client that is
    /// told without its port has port 0.
    pub fn look_through(
        &self,
        peer: SocketAddr,
        scheme: Scheme,
        headers: &HeaderMap,
    ) -> (PeerAddress, Scheme) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if !self.trusts(peer.ip()) {
            return (PeerAddress(peer), scheme);
        }
        let (hops, told) = match self.header {
            ProxyHeader::XForwardedFor => x_forwarded(headers),
            ProxyHeader::Forwarded => forwarded(headers),
        };
        let mut client = peer;
        for hop in hops {
            // What cannot be read (`unknown`, `_hidden`) hides everybody behind it.
            let Some(address) = hop else { break };
            client = address;
            if !self.trusts(address.ip()) {
                break;
            }
        }
        (PeerAddress(client), told.unwrap_or(scheme))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }
}

type Hops = Vec<Option<SocketAddr>>;

/// Clients from the nearest on, and the scheme that the nearest proxy was asked by.
fn x_forwarded(headers: &HeaderMap) -> (Hops, Option<Scheme>) {
    let hops = items(headers, &X_FORWARDED_FOR).map(address).take(HOPS_MAX);
    let proto = items(headers, &X_FORWARDED_PROTO).next();
    (hops.collect(), proto.and_then(scheme))
}

/// The same of RFC 7239.
fn forwarded(headers: &HeaderMap) -> (Hops, Option<Scheme>) {
    let (mut hops, mut told) = (Vec::new(), None);
    for (place, item) in items(headers, &header::FORWARDED)
        .take(HOPS_MAX)
        .enumerate()
    {
        let pairs = item.split(';').filter_map(|pair| pair.split_once('='));
        let mut client = None;
        for (name, value) in pairs {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => client = address(value),
                "proto" if place == 0 => told = scheme(value),
                _ => {}
            }
        }
        hops.push(client);
    }
    (hops, told)
}

/// The items of a list that may be spread over several headers, last one first.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    let texts = values
        .into_iter()
        .rev()
        .map(|value| value.to_str().unwrap_or(""));
    texts.flat_map(|text| text.rsplit(',')).map(str::trim)
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let alone = bare
        .unwrap_or(text)
        .parse()
        .map(|ip| SocketAddr::new(ip, 0));
    let address: SocketAddr = alone.or_else(|_| text.parse()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn scheme(text: &str) -> Option<Scheme> {
    match text.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(Scheme::Https),
        "http" | "ws" => Some(Scheme::Http),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(kind: ProxyHeader, peer: &str, headers: &[(&'static str, &str)]) -> (String, Scheme) {
        let networks = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"];
        let networks = networks.map(|network| network.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let proxies = Proxies::new(networks.to_vec(), kind);
        let (address, scheme) = proxies.look_through(peer.parse().unwrap(), Scheme::Http, &map);
        (address.0.to_string(), scheme)
    }

    #[test]
    fn strangers_are_not_believed() {
        let headers = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
        ];
        let told = seen(ProxyHeader::XForwardedFor, "192.0.2.9:99", &headers);
        assert_eq!(told, ("192.0.2.9:99".to_owned(), Scheme::Http));
    }

    #[test]
    fn the_nearest_address_that_is_no_proxy_is_the_client() {
        let client = |list: &str| {
            seen(
                ProxyHeader::XForwardedFor,
                "127.0.0.1:5",
                &[("x-forwarded-for", list)],
            )
            .0
        };
        assert_eq!(client("192.0.2.1"), "192.0.2.1:0");
        assert_eq!(client("6.6.6.6, 192.0.2.1, 10.0.0.7"), "192.0.2.1:0");
        assert_eq!(client("10.0.0.8, 10.0.0.7"), "10.0.0.8:0");
        assert_eq!(client("6.6.6.6, nonsense, 10.0.0.7"), "10.0.0.7:0");
        assert_eq!(client("nonsense"), "127.0.0.1:5");
        assert_eq!(client("2001:db8::1"), "[2001:db8::1]:0");
        assert_eq!(client("::ffff:192.0.2.1"), "192.0.2.1:0");
        assert_eq!(client(""), "127.0.0.1:5");
        let twice = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(
            seen(ProxyHeader::XForwardedFor, "[fd00::1]:5", &twice).0,
            "192.0.2.1:0"
        );
        assert_eq!(
            seen(ProxyHeader::XForwardedFor, "[::ffff:10.0.0.1]:5", &twice).0,
            "192.0.2.1:0"
        );
    }

    #[test]
    fn the_scheme_is_the_one_that_the_nearest_proxy_was_asked_by() {
        let scheme = |kind, headers: &[(&'static str, &str)]| seen(kind, "127.0.0.1:5", headers).1;
        let x = ProxyHeader::XForwardedFor;
        assert_eq!(scheme(x, &[("x-forwarded-proto", "HTTPS")]), Scheme::Https);
        assert_eq!(
            scheme(x, &[("x-forwarded-proto", "http, https")]),
            Scheme::Https
        );
        assert_eq!(scheme(x, &[("x-forwarded-proto", "gopher")]), Scheme::Http);
        assert_eq!(scheme(x, &[("forwarded", "proto=https")]), Scheme::Http);
    }

    #[test]
    fn the_standard_header_is_read_where_it_is_chosen() {
        let of = |list: &str| {
            seen(
                ProxyHeader::Forwarded,
                "127.0.0.1:5",
                &[("forwarded", list), ("x-forwarded-for", "6.6.6.6")],
            )
        };
        assert_eq!(
            of("for=192.0.2.1;proto=https"),
            ("192.0.2.1:0".to_owned(), Scheme::Https)
        );
        assert_eq!(
            of("For=\"[2001:db8::1]:4711\""),
            ("[2001:db8::1]:4711".to_owned(), Scheme::Http)
        );
        assert_eq!(
            of("for=6.6.6.6, for=192.0.2.1;by=10.0.0.2, for=10.0.0.3").0,
            "192.0.2.1:0"
        );
        assert_eq!(of("for=unknown, for=10.0.0.3").0, "10.0.0.3:0");
    }

    #[test]
    fn a_long_list_is_not_walked_to_its_end() {
        let list = vec!["10.0.0.7"; 10_000].join(",");
        assert_eq!(
            seen(
                ProxyHeader::XForwardedFor,
                "127.0.0.1:5",
                &[("x-forwarded-for", &list)]
            )
            .0,
            "10.0.0.7:0"
        );
    }
}
