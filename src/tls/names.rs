//! By which names and addresses this machine is reached.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most names in one certificate: a machine with more addresses has them from containers and bridges.
const NAMES_MAX: usize = 100;

/// Names for a certificate of a server that listens on `listen` and answers to `hosts`: those, loopback, this
/// machine's own name, and its addresses where it listens on all of them.
pub(super) fn of_machine(listen: IpAddr, hosts: &[String]) -> BTreeSet<String> {
    let own = rustix::system::uname();
    let addresses = if listen.is_unspecified() {
        interfaces()
    } else {
        vec![listen]
    };
    collect(own.nodename().to_str().unwrap_or(""), &addresses, hosts)
}

fn collect(own: &str, addresses: &[IpAddr], hosts: &[String]) -> BTreeSet<String> {
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let mut names = BTreeSet::from(["localhost".to_owned()]);
    names.extend(loopback.iter().map(IpAddr::to_string));
    let hosts = hosts.iter().map(|host| host.trim_matches(['[', ']']));
    // What a certificate cannot say is left out; it would make the whole impossible.
    names.extend(
        hosts
            .filter(|host| is_name(host))
            .map(str::to_ascii_lowercase),
    );
    if is_name(own) {
        let own = own.to_ascii_lowercase();
        if !own.contains('.') {
            // As phones and laptops find it by multicast DNS.
            names.insert(format!("{own}.local"));
        }
        names.insert(own);
    }
    for address in addresses {
        if names.len() < NAMES_MAX {
            names.insert(address.to_string());
        }
    }
    names
}

/// Addresses by which other machines may reach this one. Those of one link only have a zone, which no certificate
/// can name.
fn interfaces() -> Vec<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of this machine cannot be listed; the certificate names none of them");
        Vec::new()
    });
    let addresses = found.iter().map(if_addrs::Interface::ip);
    let mut addresses: Vec<IpAddr> = addresses
        .filter(|address| !is_link_local(*address))
        .collect();
    addresses.sort_unstable();
    addresses
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether it is a DNS name or an address, in letters that certificates have.
fn is_name(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:_".contains(c);
    !host.is_empty() && host.len() <= 253 && host.chars().all(plain) && host != "(none)"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_its_names_and_addresses() {
        let addresses = [IpAddr::from([192, 168, 7, 20])];
        let hosts = [
            "Maps.Example.org".to_owned(),
            "[fd00::7]".to_owned(),
            "mäps".to_owned(),
        ];
        let names = collect("Truck7", &addresses, &hosts);
        let expected = [
            "127.0.0.1",
            "192.168.7.20",
            "::1",
            "fd00::7",
            "localhost",
            "maps.example.org",
            "truck7",
            "truck7.local",
        ];
        assert_eq!(names, expected.map(str::to_owned).into());
        assert!(!collect("host.example.org", &[], &[]).contains("host.example.org.local"));
    }

    #[test]
    fn this_machine_has_a_name_for_itself() {
        assert!(of_machine(Ipv4Addr::UNSPECIFIED.into(), &[]).len() >= 3);
    }
}
