//! Addresses that no name may lead to.
//!
//! IPv4 and IPv6 ranges are those of the IANA special-purpose address registries, with the cloud metadata addresses that
//! lie in public ranges. Of IPv6 only global unicast (2000::/3) is public; within it, every range that carries an IPv4
//! address inside is refused, since a translator on the way would unwrap it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Cidr;

/// A range that only a grant of the address itself opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden {
    /// What the range is, in words.
    pub what: &'static str,
    /// The range; a grant that opens it lies within it. `None`: the range is no network, the address must be named.
    pub network: Option<Cidr>,
}

/// A network of the tables below, whose prefix lengths are checked when they are compiled.
const fn network(address: IpAddr, prefix: u8) -> Cidr {
    match Cidr::new(address, prefix) {
        Some(network) => network,
        None => panic!("the prefix is longer than the address"),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Cidr {
    network(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Cidr {
    let [a, b, c, d, e, f, g, h] = segments;
    network(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix)
}

/// The first entry that holds an address names it: the narrower stands before the wider.
const NETWORKS: &[(Cidr, &str)] = &[
    (v4(169, 254, 169, 254, 32), "cloud metadata"),
    (v4(168, 63, 129, 16, 32), "cloud metadata"),
    (v4(100, 100, 100, 200, 32), "cloud metadata"),
    (v4(0, 0, 0, 0, 8), "unspecified"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "carrier-grade NAT"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "IETF protocol assignments"),
    (v4(192, 0, 2, 0, 24), "documentation"),
    (v4(192, 88, 99, 0, 24), "6to4 relay"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "benchmarking"),
    (v4(198, 51, 100, 0, 24), "documentation"),
    (v4(203, 0, 113, 0, 24), "documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (
        v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
        "cloud metadata",
    ),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "IPv4-mapped"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "IPv4-compatible"),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), "IPv4-translated"),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "NAT64"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "local-use NAT64"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discard-only"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique local"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "Teredo"),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), "benchmarking"),
    (
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        "IETF protocol assignments",
    ),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4"),
];

/// Global unicast, outside which no IPv6 address is public (RFC 4291, 2.4, and the IANA registry).
const GLOBAL_UNICAST: Cidr = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// The range that forbids the address, or `None` when it is public.
#[must_use]
pub fn forbidden(ip: IpAddr) -> Option<Forbidden> {
    if let Some((network, what)) = NETWORKS.iter().find(|(network, _)| network.contains(ip)) {
        return Some(Forbidden {
            what,
            network: Some(*network),
        });
    }
    match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(_) if !GLOBAL_UNICAST.contains(ip) => Some(Forbidden {
            what: "not global unicast",
            network: None,
        }),
        IpAddr::V6(ip) if is_isatap(ip) => Some(Forbidden {
            what: "ISATAP",
            network: None,
        }),
        IpAddr::V6(_) => None,
    }
}

/// Whether the interface id carries an IPv4 address (RFC 5214, 6.1).
fn is_isatap(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    matches!(segments[4], 0 | 0x200) && segments[5] == 0x5efe
}
