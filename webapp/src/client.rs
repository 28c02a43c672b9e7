//! The peer's address and forwarded headers in; whom the limits apply to out.
//!
//! A client that could choose its own address could have a rate limit for each word it knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::{
    HeaderMap,
    header::{self, HeaderName},
};
use ipnet::IpNet;

/// Most hops that are followed.
const HOPS_MAX: usize = 16;

/// Most bytes of forwarded headers that are read.
const FORWARDED_BYTES_MAX: usize = 1_024;

/// Headers in which proxies name a client; from anybody else they are noise or an attempt.
static FORWARDED: [HeaderName; 4] = [
    HeaderName::from_static("x-forwarded-for"),
    header::FORWARDED,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("true-client-ip"),
];

/// The proxies in front of webapp.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// `TRUSTED_PROXIES`: networks of our own proxies.
    pub trusted: Vec<IpNet>,
    /// `CLIENT_IP_HEADER`, lower case: the one header that carries the client's address.
    pub header: String,
}

impl Proxies {
    /// Whether that peer is one of our own proxies.
    pub fn is_trusted(&self, peer: Peer) -> bool {
        match peer {
            Peer::Host(address) => self.contain(address),
            Peer::Local => true,
        }
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A host.
    Host(IpAddr),
    /// A process of this host that may open our unix socket: a proxy of ours, without an address.
    Local,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::Host(address.to_canonical())
    }
}

impl Peer {
    /// Its address; the loopback's for a local process, so that limits have somebody to apply to.
    pub fn address(self) -> IpAddr {
        match self {
            Self::Host(address) => address,
            Self::Local => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// Who is on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    address: IpAddr,
    peer: Peer,
    forwarding: Forwarding,
}

/// What the forwarded headers were worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forwarding {
    /// The peer is the client and sent no such header.
    Direct,
    /// The peer is no proxy of ours and sent such a header.
    Spoofed,
    /// The peer is a proxy of ours.
    Trusted,
    /// The peer is a proxy of ours, and its header holds what is no address.
    Malformed,
}

impl Client {
    /// Walks the configured header from the right, past the proxies we run ourselves; the first
    /// address that is none of them is the client. What cannot be read ends the walk at the last
    /// good hop.
    pub fn identify(peer: Peer, headers: &HeaderMap, proxies: &Proxies) -> Self {
        let address = peer.address();
        if !proxies.is_trusted(peer) {
            let sent = FORWARDED.iter().any(|name| headers.contains_key(name))
                || headers.contains_key(proxies.header.as_str());
            let forwarding = if sent { Forwarding::Spoofed } else { Forwarding::Direct };
            return Self { address, peer, forwarding };
        }
        let lines: Vec<&[u8]> =
            headers.get_all(proxies.header.as_str()).iter().map(|line| line.as_bytes()).collect();
        let bytes: usize = lines.iter().map(|line| line.len()).sum();
        let mut client = Self { address, peer, forwarding: Forwarding::Trusted };
        if bytes > FORWARDED_BYTES_MAX {
            client.forwarding = Forwarding::Malformed;
            return client;
        }
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(|b| *b == b','));
        for (hop, text) in hops.enumerate() {
            let address = std::str::from_utf8(text).ok().and_then(|text| spelled(text.trim()));
            let Some(address) = address.filter(|_| hop < HOPS_MAX) else {
                client.forwarding = Forwarding::Malformed;
                break;
            };
            client.address = address;
            if !proxies.contain(address) {
                break;
            }
        }
        client
    }

    /// Whom the limits apply to.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The other end of the connection.
    pub fn peer(self) -> Peer {
        self.peer
    }

    /// Whether the peer is a proxy of ours, so that its other forwarded headers count.
    pub fn is_forwarded(self) -> bool {
        matches!(self.forwarding, Forwarding::Trusted | Forwarding::Malformed)
    }

    /// Why this client's forwarded headers are suspicious, if they are.
    pub fn suspicion(self) -> Option<&'static str> {
        match self.forwarding {
            Forwarding::Direct | Forwarding::Trusted => None,
            Forwarding::Spoofed => Some("forwarded header from a peer that is no trusted proxy"),
            Forwarding::Malformed => Some("forwarded header that holds no address"),
        }
    }
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80`, `fe80::1%eth0`; not `unknown`, `_hidden` or `0.0.0.0`.
fn spelled(text: &str) -> Option<IpAddr> {
    let address: IpAddr = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            if !port.is_empty() {
                port.strip_prefix(':')?.parse::<u16>().ok()?;
            }
            without_zone(address).parse::<Ipv6Addr>().ok()?.into()
        }
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => {
                port.parse::<u16>().ok()?;
                address.parse::<Ipv4Addr>().ok()?.into()
            }
            Some(_) => without_zone(text).parse::<Ipv6Addr>().ok()?.into(),
            None => text.parse::<Ipv4Addr>().ok()?.into(),
        },
    };
    let address = address.to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// A zone names an interface of the host that wrote it (RFC 4007 §11).
fn without_zone(address: &str) -> &str {
    address.split_once('%').map_or(address, |(address, _zone)| address)
}

/// The network that counts as one client: an IPv4 address, or that many bits of an IPv6 address.
///
/// A single IPv6 customer usually holds a /64, 2^64 addresses: each of them a fresh limit otherwise.
pub fn network(address: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let host_bits = 128_u32.saturating_sub(u32::from(ipv6_prefix)).min(127);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits))
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn proxies() -> Proxies {
        Proxies {
            trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            header: "x-forwarded-for".to_owned(),
        }
    }

    fn client(peer: &str, lines: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(HeaderName::from_static("x-forwarded-for"), value);
        }
        let peer = match peer {
            "local" => Peer::Local,
            address => Peer::from(address.parse::<IpAddr>().unwrap()),
        };
        Client::identify(peer, &headers, &proxies())
    }

    #[track_caller]
    fn check(peer: &str, lines: &[&str], address: &str, forwarding: Forwarding) {
        let found = client(peer, lines);
        assert_eq!((found.address.to_string().as_str(), found.forwarding), (address, forwarding));
    }

    #[test]
    fn forwarded_for_counts_only_behind_a_trusted_proxy() {
        check("192.0.2.1", &[], "192.0.2.1", Forwarding::Direct);
        check("192.0.2.1", &["198.51.100.7"], "192.0.2.1", Forwarding::Spoofed);
        check("10.0.0.1", &["198.51.100.7"], "198.51.100.7", Forwarding::Trusted);
        check("10.0.0.1", &[], "10.0.0.1", Forwarding::Trusted);
        check("local", &["198.51.100.7"], "198.51.100.7", Forwarding::Trusted);
        check("local", &[], "127.0.0.1", Forwarding::Trusted);
    }

    #[test]
    fn the_right_most_stranger_is_the_client() {
        check("10.0.0.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7", Forwarding::Trusted);
        check(
            "10.0.0.1",
            &["1.1.1.1, 198.51.100.7, 10.2.2.2"],
            "198.51.100.7",
            Forwarding::Trusted,
        );
        check("10.0.0.1", &["1.1.1.1", "198.51.100.7"], "198.51.100.7", Forwarding::Trusted);
        check("10.0.0.1", &["10.3.3.3, 10.2.2.2"], "10.3.3.3", Forwarding::Trusted);
    }

    #[test]
    fn what_is_no_address_ends_the_walk_at_the_last_good_hop() {
        check("10.0.0.1", &["unknown"], "10.0.0.1", Forwarding::Malformed);
        check("10.0.0.1", &["1.1.1.1, _hidden, 10.2.2.2"], "10.2.2.2", Forwarding::Malformed);
        check("10.0.0.1", &["0.0.0.0"], "10.0.0.1", Forwarding::Malformed);
        check("10.0.0.1", &["1.1.1.1%eth0"], "10.0.0.1", Forwarding::Malformed);
        check("10.0.0.1", &["[1.1.1.1]:80"], "10.0.0.1", Forwarding::Malformed);
        check("10.0.0.1", &[""], "10.0.0.1", Forwarding::Malformed);
        let long = "1.1.1.1,".repeat(200);
        check("10.0.0.1", &[&long], "10.0.0.1", Forwarding::Malformed);
        let hops = vec!["10.0.0.9"; 17].join(",");
        check("10.0.0.1", &[&hops], "10.0.0.9", Forwarding::Malformed);
    }

    #[test]
    fn spellings_of_an_address() {
        for (text, address) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("fe80::7%eth0", "fe80::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            check("10.0.0.1", &[text], address, Forwarding::Trusted);
        }
        check("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7", Forwarding::Trusted);
    }

    #[test]
    fn a_network_is_a_client() {
        for (address, prefix, expected) in [
            ("198.51.100.7", 64, "198.51.100.7"),
            ("2001:db8:1:2:3::7", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:3::7", 48, "2001:db8:1::"),
            ("::ffff:198.51.100.7", 64, "198.51.100.7"),
        ] {
            let network = network(address.parse().unwrap(), prefix);
            assert_eq!(network.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn an_untrusted_peers_header_never_changes_the_answer(line in "[ -~]{0,64}") {
            prop_assert_eq!(client("192.0.2.1", &[&line]).address, client("192.0.2.1", &[]).address);
        }
    }
}
