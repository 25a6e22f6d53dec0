//! `backends`: the typed list of a folder's backends; `servers`: what an upstream prints of them. Reads arguments and writes
//! values; `nginx::backend` decides what a key means. Keys that do not decode are skipped and recorded in the session; they never
//! fail the render.

use serde_json::Value as Json;
use tera::Value;
use tera::value::{Key, Map};

use super::call::{TeraCall, TeraFunction, function, kind};
use super::json::to_tera;
use crate::model::problem::Problem;
use crate::nginx::backend::Backend;
use crate::render::backends::{self, ARGUMENTS, BackendArguments};
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] =
    &[function("backends", ARGUMENTS, backends), function("servers", ARGUMENTS, servers)];

fn backends(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let prefix = call.text("prefix")?;
    let options = backends::options(call)?;
    let TeraRun { session, memory, .. } = run;
    let folder = call.named(backends::folder(session, prefix))?;
    let blank = blank();
    let make = |backend| to_value(backend, &blank);
    let backends = memory.folders.list(session.view.view(), &folder, options, &mut session.found, make);
    Ok(if session.withholds_backends { Value::from(Vec::<Value>::new()) } else { backends })
}

/// Returns directives. They may be printed as they are: nothing in them is copied from a value.
fn servers(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let prefix = call.text("prefix")?;
    let options = backends::options(call)?;
    let text = call.named(backends::servers(&mut run.session, &mut run.memory.servers, prefix, options))?;
    Ok(Value::safe_string(&text))
}

impl BackendArguments for TeraCall<'_> {
    fn has(&self, name: &'static str) -> bool {
        self.optional(name).is_some()
    }

    fn text(&self, name: &'static str) -> Result<&str, Problem> {
        TeraCall::text(self, name)
    }

    fn integer(&self, name: &'static str) -> Result<i128, Problem> {
        TeraCall::integer(self, name)
    }

    fn boolean(&self, name: &'static str) -> Result<bool, Problem> {
        TeraCall::boolean(self, name)
    }

    fn texts(&self, name: &'static str) -> Result<Vec<&str>, Problem> {
        let value = self.value(name)?;
        if let Some(text) = value.as_str() {
            return Ok(vec![text]);
        }
        let is_none = |item| self.failure(format!("argument `{name}` must list texts, not {}", kind(item)));
        self.list(name)?.iter().map(|item| item.as_str().ok_or_else(|| is_none(item))).collect()
    }

    fn truth(&self, name: &'static str) -> Option<bool> {
        self.optional(name)?.as_bool()
    }

    fn failure(&self, what: String) -> Problem {
        TeraCall::failure(self, what)
    }
}

/// The members of a backend as templates see it, in their order.
const MEMBERS: [&str; 13] = [
    "name",
    "key",
    "host",
    "port",
    "address",
    "weight",
    "backup",
    "down",
    "state",
    "max_fails",
    "fail_timeout",
    "max_conns",
    "meta",
];

/// Returns a backend without values: copying it is cheaper than hashing every name again for each backend.
fn blank() -> Map {
    MEMBERS.iter().map(|name| (Key::from(*name), Value::none())).collect()
}

fn to_value(backend: Backend, blank: &Map) -> Value {
    let mut members = blank.clone();
    let values = [
        Value::from(backend.name),
        Value::from(backend.key),
        Value::from(backend.address.host()),
        backend.address.port().map_or_else(Value::none, Value::from),
        Value::from(backend.address.to_string()),
        Value::from(backend.weight),
        Value::from(backend.backup),
        Value::from(backend.down),
        Value::from(backend.state.word()),
        Value::from(backend.max_fails),
        Value::from(backend.fail_timeout),
        Value::from(backend.max_conns),
        to_tera(Json::Object(backend.meta)),
    ];
    for (member, value) in members.values_mut().zip(values) {
        *member = value;
    }
    Value::from(members)
}
