//! The questions that templates may ask about the world besides the store. Rendering never answers them itself, so that the
//! same tree and the same answers give the same bytes.

use core::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Zoned;

use crate::model::dns::Srv;
use crate::nginx::installation::Version;

/// Facts that templates can query. Every answer must come within the implementation's own deadline.
pub trait Facts: Send + Sync {
    /// Returns the present instant.
    fn instant(&self) -> Instant;

    /// Returns how long a render may take; `None` if there is no limit.
    fn render_timeout(&self) -> Option<Duration> {
        None
    }

    /// Returns an environment variable; `None` if it is unset or not UTF-8.
    fn env(&self, name: &str) -> Option<String>;

    /// Returns the current time, in the system's time zone.
    fn now(&self) -> Zoned;

    /// Checks whether a file or folder exists at `path`; false if that cannot be found out.
    fn file_exists(&self, path: &str) -> bool;

    /// Returns the kernel's host name.
    ///
    /// # Errors
    /// A phrase for people: the name cannot be read.
    fn hostname(&self) -> Result<String, String>;

    /// Returns all addresses of a host name, in any order; empty if the name does not exist. Takes no longer than `within`.
    ///
    /// # Errors
    /// A phrase for people: it is unknown whether the name exists. It must fail the render: an outage of the
    /// resolver is not an empty upstream.
    fn lookup_ip(&self, host: &str, within: Option<Duration>) -> Result<Vec<IpAddr>, String>;

    /// Returns the SRV records of `_service._proto.name`, in any order; with empty `service` and `proto`, of `name` itself.
    /// Empty if the name does not exist. Takes no longer than `within`.
    ///
    /// # Errors
    /// As `lookup_ip`.
    fn lookup_srv(&self, service: &str, proto: &str, name: &str, within: Option<Duration>) -> Result<Vec<Srv>, String>;

    /// Returns the addresses of a network interface, in the kernel's order; empty if there is no such interface.
    fn interface_addresses(&self, name: &str) -> Vec<IpAddr>;

    /// Returns the version of this nginx program, or of the one that is set; `None` if there is none or it does not report one.
    fn nginx_version(&self, program: Option<&Path>) -> Option<Version>;
}

/// Fixed answers, for tests that do not ask the world.
#[cfg(test)]
pub(super) struct NoWorld;

#[cfg(test)]
impl Facts for NoWorld {
    fn instant(&self) -> Instant {
        Instant::now()
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
    fn now(&self) -> jiff::Zoned {
        jiff::Zoned::default()
    }
    fn file_exists(&self, _: &str) -> bool {
        false
    }
    fn hostname(&self) -> Result<String, String> {
        Ok("host".to_owned())
    }
    fn lookup_ip(&self, _: &str, _: Option<Duration>) -> Result<Vec<IpAddr>, String> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
    fn lookup_srv(&self, _: &str, _: &str, _: &str, _: Option<Duration>) -> Result<Vec<Srv>, String> {
        Ok(vec![Srv { target: "a.".to_owned(), port: 1, priority: 2, weight: 3 }])
    }
    fn interface_addresses(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
    fn nginx_version(&self, _: Option<&Path>) -> Option<Version> {
        None
    }
}
