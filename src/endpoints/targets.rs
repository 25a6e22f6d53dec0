//! The names that SRV records point at. nginx keeps what it knows of a peer (its failures and connections) as long as the address,
//! the target's name and the weight stay the same; so an address has a name of its own while there are few, and shares one
//! with the same neighbours as long as possible when there are many. A name always means the same addresses. Pure.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::model::dns::Srv;
use crate::model::endpoints::{DOMAIN, Endpoint};

/// Most targets for endpoints of the same port, weight and priority: each costs nginx two questions.
const MAX_TARGETS: usize = 32;
/// Time for which the addresses of a shared name are kept after the last answer that points at it.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The addresses of names that stand for several.
#[derive(Debug, Default)]
pub(super) struct SharedNames {
    by_label: HashMap<String, (Vec<IpAddr>, Instant)>,
    /// When those that nobody asks for were forgotten last.
    forgot_at: Option<Instant>,
}

impl SharedNames {
    /// Returns the SRV records of these endpoints, in the order of their priority.
    pub(super) fn srv_records(&mut self, endpoints: &[Endpoint], now: Instant) -> Vec<Srv> {
        let mut groups: BTreeMap<(bool, u16, u16), Vec<IpAddr>> = BTreeMap::new();
        for endpoint in endpoints {
            let kind = (endpoint.is_backup, endpoint.weight, endpoint.address.port());
            groups.entry(kind).or_default().push(endpoint.address.ip());
        }
        let mut records = Vec::new();
        for ((is_backup, weight, port), addresses) in groups {
            let priority = if is_backup { 2 } else { 1 };
            let record = |target| Srv { priority, weight, port, target };
            if addresses.len() <= MAX_TARGETS {
                records.extend(addresses.into_iter().map(own_name).map(record));
            } else {
                records.extend(self.share(addresses, now).into_iter().map(record));
            }
        }
        records
    }

    /// Returns names for all of these addresses together.
    fn share(&mut self, addresses: Vec<IpAddr>, now: Instant) -> Vec<String> {
        let mut buckets: BTreeMap<u64, Vec<IpAddr>> = BTreeMap::new();
        for address in addresses {
            buckets.entry(hash(&address) % MAX_TARGETS as u64).or_default().push(address);
        }
        let mut names = Vec::with_capacity(buckets.len());
        for mut members in buckets.into_values() {
            members.sort_unstable();
            let label = format!("set-{:016x}", hash(&members));
            names.push(format!("{label}.{DOMAIN}"));
            self.by_label.insert(label, (members, now));
        }
        if self.forgot_at.is_none_or(|at| now.duration_since(at) >= KEPT_FOR) {
            self.forgot_at = Some(now);
            self.by_label.retain(|_, (_, used)| now.duration_since(*used) < KEPT_FOR);
        }
        names
    }

    /// Returns the addresses of the name with this label; `None` if it is not ours.
    pub(super) fn addresses(&self, label: &str) -> Option<Vec<IpAddr>> {
        own_address(label).map(|address| vec![address]).or_else(|| Some(self.by_label.get(label)?.0.clone()))
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Returns the name of one address.
fn own_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("v4-{:08x}.{DOMAIN}", u32::from(address)),
        IpAddr::V6(address) => format!("v6-{:032x}.{DOMAIN}", u128::from(address)),
    }
}

/// Returns the address that a label stands for by itself.
fn own_address(label: &str) -> Option<IpAddr> {
    let (family, digits) = label.split_once('-')?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match (family, digits.len()) {
        ("v4", 8) => Some(IpAddr::V4(Ipv4Addr::from(u32::from_str_radix(digits, 16).ok()?))),
        ("v6", 32) => Some(IpAddr::V6(Ipv6Addr::from(u128::from_str_radix(digits, 16).ok()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn endpoint(address: &str) -> Endpoint {
        Endpoint { address: address.parse().unwrap(), weight: 1, is_backup: false }
    }

    /// Returns all addresses of the targets, as nginx would resolve them.
    fn resolved(names: &SharedNames, records: &[Srv]) -> Vec<IpAddr> {
        let label = |record: &Srv| record.target.strip_suffix(&format!(".{DOMAIN}")).unwrap().to_owned();
        let mut all: Vec<IpAddr> = records.iter().flat_map(|record| names.addresses(&label(record)).unwrap()).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn few_addresses_have_a_name_each() {
        let mut names = SharedNames::default();
        let backup = Endpoint { is_backup: true, weight: 5, ..endpoint("[2001:db8::1]:81") };
        let found = names.srv_records(&[endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80"), backup], Instant::now());
        let records: Vec<_> = found.iter().map(|s| (s.priority, s.weight, s.port, s.target.as_str())).collect();
        assert_eq!(
            records,
            [
                (1, 1, 80, "v4-0a000001.upstreamd.internal"),
                (1, 1, 80, "v4-0a000002.upstreamd.internal"),
                (2, 5, 81, "v6-20010db8000000000000000000000001.upstreamd.internal"),
            ]
        );
        let expected: Vec<IpAddr> = ["10.0.0.1", "10.0.0.2", "2001:db8::1"].map(|text| text.parse().unwrap()).into();
        assert_eq!(resolved(&names, &found), expected);
        for label in ["", "v4-", "v4-0a00000", "v4-0a00000g", "v6-1", "v4-+a000001", "x", "set-0"] {
            assert_eq!(names.addresses(label), None, "{label}");
        }
    }

    #[test]
    fn many_addresses_share_names_and_a_change_touches_one() {
        let mut names = SharedNames::default();
        let now = Instant::now();
        let many: Vec<Endpoint> = (0..5000u32)
            .map(|n| Endpoint { address: (Ipv4Addr::from(0x0a00_0000 + n), 80).into(), weight: 1, is_backup: false })
            .collect();
        let before = names.srv_records(&many, now);
        assert_eq!(before.len(), MAX_TARGETS);
        assert_eq!(resolved(&names, &before).len(), 5000);
        let after = names.srv_records(&many[1..], now);
        assert_eq!(resolved(&names, &after).len(), 4999);
        let targets = |records: &[Srv]| records.iter().map(|s| s.target.clone()).collect::<BTreeSet<_>>();
        assert_eq!(targets(&before).intersection(&targets(&after)).count(), MAX_TARGETS - 1);
        assert_eq!(names.by_label.len(), MAX_TARGETS + 1);
        names.srv_records(&many[1..], now + KEPT_FOR);
        assert_eq!(names.by_label.len(), MAX_TARGETS, "nobody has been given the other name for a while");
    }
}
