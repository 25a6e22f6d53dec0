//! Functions that ask outside of the store: environment, host, files, DNS, the time.

use core::net::IpAddr;
use std::sync::Arc;

use super::function::{GoFunction, Parameter, TEXT, THREE_TEXTS, native, text, variadic};
use crate::model::generation::PLACEHOLDER;
use crate::model::problem::Problem;
use crate::render::go::run::GoRun;
use crate::render::go::value::{GoValue, ItemType};
use crate::render::library::outside;

pub(super) const FUNCTIONS: &[GoFunction] = &[
    variadic("getenv", TEXT, Parameter::Text, getenv),
    native("hostname", &[], |_, run| outside::hostname(&run.session).map(GoValue::from)),
    native("generation", &[], generation),
    native("fileExists", TEXT, |values, run| Ok(GoValue::Bool(run.session.world().file_exists(text(&values[0]))))),
    native("lookupIP", TEXT, |values, run| addresses(values, run, |_| true)),
    native("lookupIPV4", TEXT, |values, run| addresses(values, run, IpAddr::is_ipv4)),
    native("lookupIPV6", TEXT, |values, run| addresses(values, run, IpAddr::is_ipv6)),
    native("lookupSRV", THREE_TEXTS, lookup_srv),
    native("lookupIfaceIPV4", TEXT, |values, run| interface_address(values, run, IpAddr::is_ipv4)),
    native("lookupIfaceIPV6", TEXT, |values, run| interface_address(values, run, IpAddr::is_ipv6)),
    native("datetime", &[], |_, run| Ok(GoValue::Time(Arc::new(run.session.world().now())))),
];

fn getenv(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let set = outside::getenv(&run.session, text(&values[0])).map(GoValue::from);
    Ok(set.unwrap_or_else(|| GoValue::from(values.get(1).map_or("", text))))
}

/// Prints a placeholder: the render replaces it with the file's own generation once it knows the file.
fn generation(_: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    run.session.prints_generation = true;
    Ok(GoValue::from(PLACEHOLDER))
}

fn addresses(values: &[GoValue], run: &GoRun, wanted: fn(&IpAddr) -> bool) -> Result<GoValue, Problem> {
    outside::addresses(&run.session, text(&values[0]), wanted).map(GoValue::texts)
}

fn interface_address(values: &[GoValue], run: &GoRun, wanted: fn(&IpAddr) -> bool) -> Result<GoValue, Problem> {
    Ok(GoValue::from(outside::interface_address(&run.session, text(&values[0]), wanted)))
}

fn lookup_srv(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let records = outside::srv_records(&run.session, text(&values[0]), text(&values[1]), text(&values[2]))?;
    Ok(GoValue::List(
        ItemType::Srvs,
        Arc::new(records.into_iter().map(|record| GoValue::Srv(Arc::new(record))).collect()),
    ))
}
