use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Serialize, Serializer};

use crate::problem::quoted;

/// A network of addresses, in CIDR notation: `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits of an address decide whether it is in the network.
    pub fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }

    /// Reads `ADDRESS/BITS`, an IPv6 address with or without brackets. Bits of the address beyond the prefix are cut
    /// off, as Spin does.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(address, bits)| {
            let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
            if digits {
                Some((parse_address(address)?, bits.parse().ok()?))
            } else {
                None
            }
        });
        let Some((address, prefix_bits)) = parts else {
            return Err(format!(
                "{} is neither a host nor a network such as `10.0.0.0/8`",
                quoted(text)
            ));
        };
        let width = width_bits(address);
        if prefix_bits > width {
            return Err(format!(
                "{}: a prefix has at most {width} bits",
                quoted(text)
            ));
        }
        Ok(Self {
            address: cut(address, prefix_bits),
            prefix_bits,
        })
    }

    /// Whether an address lies in the network. An IPv4 address never lies in an IPv6 network, nor the reverse.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && cut(address, self.prefix_bits) == self.address
    }

    /// Whether each address of `other` lies in the network.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix_bits <= other.prefix_bits && self.contains(other.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn parse_address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => {
            let address: Ipv6Addr = rest.strip_suffix(']')?.parse().ok()?;
            Some(address.into())
        }
        None => text.parse().ok(),
    }
}

fn width_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Sets all bits beyond the first `bits` to 0.
fn cut(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(bits.min(32)))
                .unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(bits.min(128)))
                .unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}
