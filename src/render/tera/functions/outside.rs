//! Functions that ask outside of the store: environment, host, files, DNS.

use core::net::IpAddr;
use std::collections::BTreeMap;

use tera::Value;
use tera::value::Key;

use super::call::{TeraCall, TeraFunction, both, function};
use crate::model::generation::PLACEHOLDER;
use crate::model::problem::Problem;
use crate::nginx::installation::Version;
use crate::render::library::outside;
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] = &[
    function("getenv", &["name", "default?"], getenv),
    function("hostname", &[], |call, run| call.named(outside::hostname(&run.session)).map(Value::from)),
    both("file_exists", &["path"], |call, run| Ok(Value::from(run.session.world().file_exists(call.text("path")?))))
        .alias("fileExists"),
    both("lookup_ip", &["host"], |call, run| addresses(call, run, |_| true)).alias("lookupIP"),
    both("lookup_ipv4", &["host"], |call, run| addresses(call, run, IpAddr::is_ipv4)).alias("lookupIPV4"),
    both("lookup_ipv6", &["host"], |call, run| addresses(call, run, IpAddr::is_ipv6)).alias("lookupIPV6"),
    function("lookup_srv", &["service", "proto", "name"], lookup_srv).alias("lookupSRV"),
    both("lookup_iface_ipv4", &["name"], |call, run| interface_address(call, run, IpAddr::is_ipv4))
        .alias("lookupIfaceIPV4"),
    both("lookup_iface_ipv6", &["name"], |call, run| interface_address(call, run, IpAddr::is_ipv6))
        .alias("lookupIfaceIPV6"),
    function("generation", &[], generation),
    function("nginx_at_least", &["version"], nginx_at_least),
];

fn getenv(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let set = outside::getenv(&run.session, call.text("name")?).map(Value::from);
    Ok(set.or_else(|| call.optional("default").cloned()).unwrap_or_else(|| Value::from("")))
}

fn addresses(call: &TeraCall<'_>, run: &TeraRun, wanted: fn(&IpAddr) -> bool) -> Result<Value, Problem> {
    call.named(outside::addresses(&run.session, call.text("host")?, wanted)).map(Value::from)
}

fn lookup_srv(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let (service, proto, name) = (call.text("service")?, call.text("proto")?, call.text("name")?);
    let records = call.named(outside::srv_records(&run.session, service, proto, name))?;
    let maps = records.into_iter().map(|srv| {
        Value::from(BTreeMap::from([
            (Key::from("target"), Value::from(srv.target)),
            (Key::from("port"), Value::from(srv.port)),
            (Key::from("priority"), Value::from(srv.priority)),
            (Key::from("weight"), Value::from(srv.weight)),
        ]))
    });
    Ok(Value::from(maps.collect::<Vec<_>>()))
}

fn interface_address(call: &TeraCall<'_>, run: &TeraRun, wanted: fn(&IpAddr) -> bool) -> Result<Value, Problem> {
    Ok(Value::from(outside::interface_address(&run.session, call.text("name")?, wanted)))
}

/// Returns false if the version of nginx is unknown: templates then leave out what nginx may not know.
fn nginx_at_least(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let text = call.text("version")?;
    let least = Version::parse(text).ok_or_else(|| call.failure("version is not one of nginx's, such as 1.27.4"))?;
    Ok(Value::from(run.session.nginx_version().is_some_and(|version| version >= least)))
}

/// Prints a placeholder: the render replaces it with the file's own generation once it knows the file.
fn generation(_: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    run.session.prints_generation = true;
    Ok(Value::from(PLACEHOLDER))
}
