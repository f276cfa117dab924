//! Which addresses no proxy is for, by the rules that Go's programs have for `NO_PROXY` (package httpproxy of
//! golang.org/x/net).

use std::net::IpAddr;

use ureq::http::Uri;

use super::address::scheme_of;
use super::host::is_loopback;

/// The addresses to connect to without a proxy. This machine is always one.
#[derive(Debug, Clone, Default)]
pub(super) struct NoProxy(Vec<Exception>);

#[derive(Debug, Clone)]
struct Exception {
    hosts: Hosts,
    /// The only port that it is for, if there is one.
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Hosts {
    All,
    /// An address, or all whose first bits are the same.
    Network(IpAddr, u32),
    /// A name, and those below it.
    Name(String),
    /// Names below this one, which begins with a dot.
    Below(String),
}

impl NoProxy {
    /// Parses entries that are separated by commas: `*`, names, `.NAME`, addresses, and networks such as `10.0.0.0/8`.
    /// Names and addresses may have a port. Entries of another form count for nothing.
    pub(super) fn parse(text: &str) -> Self {
        let entries = text.split(',').map(str::trim);
        let entries = entries.filter(|entry| !entry.is_empty());
        Self(entries.filter_map(Exception::parse).collect())
    }

    /// Whether to connect to an address without a proxy.
    pub(super) fn covers(&self, address: &Uri) -> bool {
        let host = address.host().unwrap_or_default().to_ascii_lowercase();
        let usual = if scheme_of(address) == "https" {
            443
        } else {
            80
        };
        let port = address.port_u16().unwrap_or(usual);
        is_loopback(&host) || self.0.iter().any(|it| it.covers(&host, port))
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.to_ascii_lowercase();
        if let Some((network, bits)) = entry.split_once('/') {
            let (network, bits) = (ip(network)?, bits.parse().ok()?);
            let most = if network.is_ipv4() { 32 } else { 128 };
            let hosts = Hosts::Network(network, bits);
            return (bits <= most).then_some(Self { hosts, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            // The last colon of an address without brackets is part of the address.
            Some((host, port)) if ip(&entry).is_none() => (host, Some(port.parse().ok()?)),
            _ => (&*entry, None),
        };
        let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
        let hosts = match (below, ip(host)) {
            _ if entry == "*" => Hosts::All,
            (Some(name), _) => Hosts::Below(format!(".{name}")),
            (None, Some(address)) => Hosts::Network(address, u128::BITS),
            (None, None) if host.is_empty() || host.contains('*') => return None,
            (None, None) => Hosts::Name(host.to_owned()),
        };
        Some(Self { hosts, port })
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let is_below = |name: &str| host.strip_suffix(name).is_some_and(|rest| !rest.is_empty());
        self.port.is_none_or(|only| only == port)
            && match &self.hosts {
                Hosts::All => true,
                Hosts::Network(network, bits) => {
                    ip(host).is_some_and(|address| begins_alike(address, *network, *bits))
                }
                Hosts::Name(name) => host == name || is_below(&format!(".{name}")),
                Hosts::Below(name) => is_below(name),
            }
    }
}

/// An address, perhaps in the brackets of RFC 3986.
fn ip(text: &str) -> Option<IpAddr> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

/// Whether two addresses of one family have the same first bits.
fn begins_alike(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    let (one, other, length) = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    let differing: u128 = one ^ other;
    differing
        .checked_shr(length - bits.min(length))
        .unwrap_or(0)
        == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(text: &str, address: &str) -> bool {
        NoProxy::parse(text).covers(&address.parse().unwrap())
    }

    #[test]
    fn what_an_entry_covers() {
        for (text, address) in [
            ("example.com", "https://example.com/v2/"),
            ("example.com", "https://a.b.EXAMPLE.com/"),
            (" .corp ,x", "https://registry.corp:5000/"),
            ("*.corp", "https://registry.corp/"),
            ("*", "https://example.com/"),
            ("example.com:5000", "http://example.com:5000/"),
            ("example.com:443", "https://example.com/"),
            ("10.1.2.3", "http://10.1.2.3:5000/"),
            ("10.0.0.0/8", "https://10.200.0.1/"),
            ("10.1.2.3:5000", "http://10.1.2.3:5000/"),
            ("2001:db8::/32", "https://[2001:db8:1::7]:5000/"),
            ("2001:db8::7", "https://[2001:db8::7]/"),
            ("0.0.0.0/0", "https://192.0.2.1/"),
            ("", "http://localhost:5000/"),
            ("", "http://127.0.0.1:5000/"),
            ("", "http://[::1]:5000/"),
        ] {
            assert!(covers(text, address), "{text} {address}");
        }
    }

    #[test]
    fn what_an_entry_does_not_cover() {
        for (text, address) in [
            ("", "https://example.com/"),
            (",", "https://example.com/"),
            ("example.com", "https://notexample.com/"),
            (".corp", "https://corp/"),
            ("example.com:5000", "https://example.com/"),
            ("10.0.0.0/8", "https://11.0.0.1/"),
            ("10.0.0.0/8", "https://ten.example.com/"),
            ("10.1.2.3", "https://10.1.2.4/"),
            ("2001:db8::/32", "https://[2001:db9::1]/"),
            ("0.0.0.0/0", "https://[2001:db9::1]/"),
            (":443", "https://example.com/"),
            ("*:443", "https://example.com/"),
            ("**", "https://example.com/"),
            ("*corp", "https://corp/"),
            ("example.com:abc", "https://example.com/"),
            ("10.1.2.3/99", "https://10.1.2.3/"),
        ] {
            assert!(!covers(text, address), "{text} {address}");
        }
    }
}
