//! The real answers to what templates ask: `render::Facts` by way of `world`. Never decides what an answer means.

use std::net::IpAddr;
use std::path::Path;

use jiff::Zoned;

use crate::render::{Facts, Srv};
use crate::world::dns::{DEADLINE, Dns, Sources};
use crate::world::host;

/// This host, as it is when asked.
pub struct WorldFacts {
    dns: Dns,
}

impl WorldFacts {
    /// This host, with the system's resolver and the default deadline.
    pub fn new() -> WorldFacts {
        WorldFacts::with_dns(Dns::new(Sources::default(), DEADLINE))
    }

    /// This host, with another resolver.
    pub fn with_dns(dns: Dns) -> WorldFacts {
        WorldFacts { dns }
    }
}

impl Default for WorldFacts {
    fn default() -> WorldFacts {
        WorldFacts::new()
    }
}

impl Facts for WorldFacts {
    fn env(&self, name: &str) -> Option<String> {
        host::env(name)
    }

    fn now(&self) -> Zoned {
        host::now()
    }

    fn file_exists(&self, path: &str) -> bool {
        host::exists(Path::new(path))
    }

    fn hostname(&self) -> Result<String, String> {
        host::hostname()
    }

    fn lookup_ip(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        self.dns.addresses(name)
    }

    fn lookup_srv(&self, service: &str, proto: &str, name: &str) -> Result<Vec<Srv>, String> {
        let full = if service.is_empty() && proto.is_empty() {
            name.to_owned()
        } else {
            format!("_{service}._{proto}.{name}")
        };
        let services = self.dns.services(&full)?;
        Ok(services
            .into_iter()
            .map(|found| Srv { target: found.target, port: found.port, priority: found.priority, weight: found.weight })
            .collect())
    }

    fn interface_addresses(&self, name: &str) -> Vec<IpAddr> {
        host::interface_addresses(name)
    }
}
