//! Who a request is from: `webapp::client`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use webapp::client::{Client, Peer, Proxies, network};

/// The last one is a process of this host.
const PEERS: [&str; 6] =
    ["192.0.2.1", "10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "::ffff:192.0.2.1", ""];

const HEADERS: [&str; 3] = ["x-forwarded-for", "x-real-ip", "x-client"];

/// A flag byte, then lines: each a header of forwarded addresses, or with `~` before it one in which
/// our proxies do not name clients.
///
/// # Panics
/// A header of an untrusted peer counts, or a trusted one's is read otherwise than by the model.
pub fn client(data: &[u8]) {
    let Some((flags, text)) = data.split_first() else { return };
    let flags = usize::from(*flags);
    let peer = PEERS[flags % PEERS.len()].parse().map_or(Peer::Local, |ip: IpAddr| Peer::from(ip));
    let header = HEADERS[flags / PEERS.len() % HEADERS.len()];
    let mut trusted = vec!["10.0.0.0/8", "fd00::/8"];
    if flags / PEERS.len() / HEADERS.len() % 2 == 1 {
        trusted = vec!["10.0.0.1/32", "172.16.0.0/12", "fe80::/10"];
    }
    let trusted = trusted.iter().map(|network| network.parse().expect("a network")).collect();
    let proxies = Proxies { trusted, header: header.to_owned() };

    let mut headers = HeaderMap::new();
    let mut lines = Vec::new();
    let mut others = false;
    for line in text.split(|b| *b == b'\n').take(32) {
        let (name, line) = match line.strip_prefix(b"~") {
            Some(line) => ("forwarded", line),
            None => (header, line),
        };
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        headers.append(HeaderName::from_static(name), value);
        if name == header { lines.push(line) } else { others = true }
    }
    let found = Client::identify(peer, &headers, &proxies);
    assert_eq!((found.peer(), peer.address().to_canonical()), (peer, peer.address()));

    if !proxies.is_trusted(peer) {
        assert_eq!(found.address(), peer.address(), "an untrusted peer chose its address");
        assert!(!found.is_forwarded());
        assert_eq!(found.suspicion().is_some(), others || !lines.is_empty());
        return;
    }
    assert!(found.is_forwarded());
    let (address, odd) = model(peer.address(), &lines, &proxies);
    assert_eq!((found.address(), found.suspicion().is_some()), (address, odd));

    // What a client writes to the left of the address that our proxy saw changes nothing.
    let outside = !lines.is_empty() && !odd && !proxies.is_trusted(address.into());
    if outside && lines.concat().len() < 1_000 {
        let mut forged = HeaderMap::new();
        for line in [b"203.0.113.9, unknown".as_slice()].iter().chain(&lines) {
            forged.append(
                HeaderName::from_static(header),
                HeaderValue::from_bytes(line).expect("it was valid before"),
            );
        }
        assert_eq!(Client::identify(peer, &forged, &proxies), found);
    }
    check_network(address);
}

/// All lines as one list, read from its end.
fn model(peer: IpAddr, lines: &[&[u8]], proxies: &Proxies) -> (IpAddr, bool) {
    if lines.concat().len() > 1_024 {
        return (peer, true);
    }
    let joined = lines.join(b",".as_slice());
    let mut hops: Vec<&[u8]> = joined.split(|b| *b == b',').collect();
    if lines.is_empty() {
        hops.clear();
    }
    let mut last = peer;
    for n in 0.. {
        let Some(hop) = hops.pop() else { break };
        let Some(address) = std::str::from_utf8(hop).ok().and_then(parse).filter(|_| n < 16) else {
            return (last, true);
        };
        last = address;
        if !proxies.is_trusted(address.into()) {
            break;
        }
    }
    (last, false)
}

/// `a.b.c.d[:port]`, `v6[%zone]`, `[v6[%zone]][:port]`; blanks around it.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let v6 = |text: &str| text.split('%').next()?.parse::<Ipv6Addr>().ok().map(IpAddr::from);
    let address = if let Some(rest) = hop.strip_prefix('[') {
        let end = rest.find(']')?;
        let (inside, after) = rest.split_at(end);
        let after = after.strip_prefix(']')?;
        let good = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        v6(inside).filter(|_| good)?
    } else if hop.matches(':').count() == 1 {
        let (address, port) = hop.split_once(':')?;
        address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port))?.into()
    } else {
        v6(hop).or_else(|| hop.parse::<Ipv4Addr>().ok().map(IpAddr::from))?
    };
    Some(address.to_canonical()).filter(|address| !address.is_unspecified())
}

fn check_network(address: IpAddr) {
    for prefix in 48..=64 {
        let found = network(address, prefix);
        assert_eq!(network(found, prefix), found);
        match (address, found) {
            (IpAddr::V4(_), _) => assert_eq!(found, address),
            (IpAddr::V6(address), IpAddr::V6(found)) => {
                let shift = 128 - u32::from(prefix);
                assert_eq!(found.to_bits() >> shift, address.to_bits() >> shift);
                assert_eq!(found.to_bits() << prefix, 0);
            }
            (IpAddr::V6(_), IpAddr::V4(_)) => panic!("{address} became {found}"),
        }
    }
}
