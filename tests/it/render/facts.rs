//! A fixed world for templates to ask about.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use upstreamd::model::dns::Srv;
use upstreamd::nginx::installation::Version;
use upstreamd::render::Facts;

pub struct FixedFacts;

impl Facts for FixedFacts {
    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn env(&self, name: &str) -> Option<String> {
        match name {
            "APP" => Some("prod".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn now(&self) -> jiff::Zoned {
        "2026-01-02T03:04:05+01:00[+01:00]".parse().unwrap()
    }

    fn file_exists(&self, path: &str) -> bool {
        path == "/etc/hosts"
    }

    fn hostname(&self) -> Result<String, String> {
        Ok("web1".to_owned())
    }

    fn lookup_ip(&self, host: &str, _: Option<Duration>) -> Result<Vec<IpAddr>, String> {
        match host {
            "db.example" => Ok(["10.0.0.9", "10.0.0.10", "2001:db8::1"].map(|ip| ip.parse().unwrap()).to_vec()),
            "gone.example" => Ok(Vec::new()),
            _ => Err("no answer within 5 s".to_owned()),
        }
    }

    fn lookup_srv(&self, service: &str, proto: &str, name: &str, _: Option<Duration>) -> Result<Vec<Srv>, String> {
        let srv = |target: &str, port| Srv { target: target.to_owned(), port, priority: 10, weight: 5 };
        match (service, proto, name) {
            ("http", "tcp", "example") => Ok(vec![srv("b.example.", 80), srv("a.example.", 8080)]),
            ("http", "tcp", "gone.example") => Ok(Vec::new()),
            _ => Err("no answer within 5 s".to_owned()),
        }
    }

    fn interface_addresses(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "eth0" => ["192.168.0.5", "192.168.0.6", "fe80::1"].map(|ip| ip.parse().unwrap()).to_vec(),
            _ => Vec::new(),
        }
    }

    fn nginx_version(&self, _: Option<&std::path::Path>) -> Option<Version> {
        Some(Version([1, 27, 4]))
    }
}
