//! What lies outside of the store: environment, host, files, DNS. Only asks `Facts`.

use core::net::IpAddr;
use std::collections::BTreeMap;

use tera::Value;
use tera::value::Key;

use crate::model::generation::PLACEHOLDER;
use crate::nginx::installation::Version;

use super::call::Call;
use super::{Form, Function};
use crate::render::error::Failure;
use crate::render::session::Session;

const HOST: Form = Form::Both("host");
const INTERFACE: Form = Form::Both("name");

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "getenv", alias: None, arguments: &["name", "default?"], form: Form::Function, run: getenv },
    Function { name: "hostname", alias: None, arguments: &[], form: Form::Function, run: hostname },
    Function {
        name: "file_exists",
        alias: Some("fileExists"),
        arguments: &["path"],
        form: Form::Both("path"),
        run: file_exists,
    },
    Function { name: "lookup_ip", alias: Some("lookupIP"), arguments: &["host"], form: HOST, run: lookup_ip },
    Function { name: "lookup_ipv4", alias: Some("lookupIPV4"), arguments: &["host"], form: HOST, run: lookup_ipv4 },
    Function { name: "lookup_ipv6", alias: Some("lookupIPV6"), arguments: &["host"], form: HOST, run: lookup_ipv6 },
    Function {
        name: "lookup_srv",
        alias: Some("lookupSRV"),
        arguments: &["service", "proto", "name"],
        form: Form::Function,
        run: lookup_srv,
    },
    Function {
        name: "lookup_iface_ipv4",
        alias: Some("lookupIfaceIPV4"),
        arguments: &["name"],
        form: INTERFACE,
        run: lookup_iface_ipv4,
    },
    Function {
        name: "lookup_iface_ipv6",
        alias: Some("lookupIfaceIPV6"),
        arguments: &["name"],
        form: INTERFACE,
        run: lookup_iface_ipv6,
    },
    Function { name: "generation", alias: None, arguments: &[], form: Form::Function, run: generation },
    Function {
        name: "nginx_at_least",
        alias: None,
        arguments: &["version"],
        form: Form::Function,
        run: nginx_at_least,
    },
];

fn getenv(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let set = session.env(call.text("name")?).filter(|value| !value.is_empty());
    Ok(match (set, call.optional("default")) {
        (Some(value), _) => Value::from(value),
        (None, Some(default)) => default.clone(),
        (None, None) => Value::from(""),
    })
}

fn hostname(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    session.world().hostname().map(Value::from).map_err(|problem| call.failure(problem))
}

fn file_exists(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(session.world().file_exists(call.text("path")?)))
}

fn lookup_ip(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    addresses(call, session, |_| true)
}

fn lookup_ipv4(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    addresses(call, session, IpAddr::is_ipv4)
}

fn lookup_ipv6(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    addresses(call, session, IpAddr::is_ipv6)
}

/// Sorted as text, as confd has them; the order of a resolver would change with every answer.
fn addresses(call: &Call<'_>, session: &Session, wanted: fn(&IpAddr) -> bool) -> Result<Value, Failure> {
    let host = call.text("host")?;
    let found = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => session.world().lookup_ip(host).map_err(|problem| unanswered(call, session, host, &problem))?,
    };
    let mut texts: Vec<String> = found.into_iter().filter(wanted).map(|address| address.to_string()).collect();
    texts.sort_unstable();
    texts.dedup();
    Ok(Value::from(texts))
}

fn lookup_srv(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let (service, proto, name) = (call.text("service")?, call.text("proto")?, call.text("name")?);
    let found = session.world().lookup_srv(service, proto, name);
    let mut records = found.map_err(|problem| unanswered(call, session, name, &problem))?;
    records.sort_unstable();
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

fn unanswered(call: &Call<'_>, session: &Session, name: &str, problem: &str) -> Failure {
    call.failure(format!("{} cannot be looked up: {problem}", session.origin(name)))
}

fn lookup_iface_ipv4(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    interface_address(call, session, IpAddr::is_ipv4)
}

fn lookup_iface_ipv6(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    interface_address(call, session, IpAddr::is_ipv6)
}

fn interface_address(call: &Call<'_>, session: &Session, wanted: fn(&IpAddr) -> bool) -> Result<Value, Failure> {
    let addresses = session.world().interface_addresses(call.text("name")?);
    Ok(Value::from(addresses.iter().find(|address| wanted(address)).map(IpAddr::to_string).unwrap_or_default()))
}

/// False where no nginx is installed that says its version: what it may not know is then not written.
fn nginx_at_least(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let text = call.text("version")?;
    let least = Version::parse(text).ok_or_else(|| call.failure("version is not one of nginx's, such as 1.27.4"))?;
    Ok(Value::from(session.nginx_version().is_some_and(|version| version >= least)))
}

/// The render puts the file's own generation in its place once it knows the file.
fn generation(_: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    session.prints_generation = true;
    Ok(Value::from(PLACEHOLDER))
}
