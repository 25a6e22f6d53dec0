//! `[backend]`: a resource's own store, as in the active fork of confd. Never connects to it and never shows a password.

use std::path::PathBuf;

use crate::config::document::{Field, Fields};
use crate::config::settings::{FOREIGN_BACKENDS, file_filter, members_of};
use crate::model::glob::Glob;
use crate::model::problem::{Place, Problem};
use crate::model::store::{EtcdSettings, FileSettings, Login, Scheme, StoreLimits, StoreSettings, TlsSettings};
use crate::model::text::shown;

use super::choice;
use super::commands::optional_duration;

/// Every field that has an effect.
pub(super) const FIELDS: &[&str] = &[
    "backend",
    "nodes",
    "scheme",
    "srv_domain",
    "srv_record",
    "client_cert",
    "client_key",
    "client_cakeys",
    "client_insecure",
    "basic_auth",
    "username",
    "password",
    "insecure_login",
    "dial_timeout",
    "request_timeout",
    "file",
    "filter",
];

/// Fields that are ignored: the fork has them for other backends, or for retries, which work differently here.
const PASSED_OVER: &[&str] = &[
    "auth_token",
    "auth_type",
    "app_id",
    "user_id",
    "role_id",
    "secret_id",
    "path",
    "table",
    "separator",
    "read_timeout",
    "write_timeout",
    "retry_max_attempts",
    "retry_base_delay",
    "retry_max_delay",
];

#[derive(Clone, Copy)]
enum StoreKind {
    Etcd,
    File,
    Env,
}

/// Reads the table; `None` if there was a problem. `limits` are those of every store.
pub(super) fn read(fields: &mut Fields<'_>, table: &Place, limits: StoreLimits) -> Option<StoreSettings> {
    for name in PASSED_OVER {
        fields.take(name, |_| Ok(()));
    }
    let hint = "name it, as in backend = \"etcd\"";
    let kind = fields.require("backend", table, hint, kind);
    let etcd = etcd(fields, table, matches!(kind, Some(StoreKind::Etcd)));
    let paths = fields.take("file", files).unwrap_or_default();
    let filter = fields.take("filter", |field| file_filter(field.text()?)).unwrap_or_else(Glob::any);
    Some(match kind? {
        StoreKind::Etcd => StoreSettings::Etcd(EtcdSettings { limits, ..etcd? }),
        StoreKind::File if paths.is_empty() => {
            let problem = Problem::new("the backend `file` needs a file").at(table.clone());
            fields.refuse(problem.hint("name it, as in file = [\"/etc/keys.yaml\"]"));
            return None;
        }
        StoreKind::File => StoreSettings::File(FileSettings { paths, filter, limits }),
        StoreKind::Env => StoreSettings::Env,
    })
}

fn kind(field: &Field<'_>) -> Result<StoreKind, Problem> {
    let word = field.text()?;
    if FOREIGN_BACKENDS.contains(&word) {
        return Err(Problem::new(format!("the backend `{word}` is not supported"))
            .hint("supported are etcd (or etcdv3), file and env"));
    }
    choice(
        field,
        &[("etcd", StoreKind::Etcd), ("etcdv3", StoreKind::Etcd), ("file", StoreKind::File), ("env", StoreKind::Env)],
    )
}

fn etcd(fields: &mut Fields<'_>, table: &Place, is_meant: bool) -> Option<EtcdSettings> {
    let names_nodes = fields.has("nodes");
    let members = fields.take("nodes", |field| {
        let nodes = one_or_more(field)?.into_iter().map(|(node, place)| {
            members_of(node).map_err(|problem| match place {
                Some(place) => problem.at(place),
                None => problem,
            })
        });
        Ok(nodes.collect::<Result<Vec<_>, Problem>>()?.concat())
    });
    let scheme = fields.take("scheme", |field| choice(field, &[("http", Scheme::Http), ("https", Scheme::Https)]));
    let srv_domain = text(fields, "srv_domain").map(|domain| domain.trim_end_matches('.').to_owned());
    let srv_record = text(fields, "srv_record");
    let no_nodes = if names_nodes { members.as_ref().is_some_and(Vec::is_empty) } else { true };
    if is_meant && no_nodes && srv_domain.is_none() && srv_record.is_none() {
        let problem = Problem::new("the backend `etcd` needs nodes").at(table.clone());
        fields.refuse(problem.hint("name them, as in nodes = [\"http://10.0.0.1:2379\"]"));
    }
    let tls = TlsSettings {
        ca: text(fields, "client_cakeys").map(PathBuf::from),
        cert: text(fields, "client_cert").map(PathBuf::from),
        key: text(fields, "client_key").map(PathBuf::from),
        insecure: fields.take("client_insecure", Field::boolean).unwrap_or(false),
    };
    if tls.cert.is_some() != tls.key.is_some() {
        let problem = Problem::new("`client_cert` and `client_key` need each other").at(table.clone());
        fields.refuse(problem.hint("give both or none"));
    }
    let login = login(fields, table);
    let standard = EtcdSettings::default();
    let dial_timeout = fields.take("dial_timeout", optional_duration).flatten();
    let request_timeout = fields.take("request_timeout", optional_duration).flatten();
    Some(EtcdSettings {
        members: if names_nodes { members? } else { standard.members.clone() },
        scheme,
        srv_domain,
        srv_record,
        tls: (tls != TlsSettings::default()).then_some(tls),
        login,
        dial_timeout: dial_timeout.filter(|limit| !limit.is_zero()).unwrap_or(standard.dial_timeout),
        request_timeout: request_timeout.filter(|limit| !limit.is_zero()).unwrap_or(standard.request_timeout),
        ..standard
    })
}

/// Reads the login. As in the settings, a user name is enough to ask for one.
fn login(fields: &mut Fields<'_>, table: &Place) -> Option<Login> {
    let basic_auth = fields.take("basic_auth", Field::boolean);
    let may_be_read = fields.take("insecure_login", Field::boolean).unwrap_or(false);
    let (user, password) = (text(fields, "username"), text(fields, "password"));
    match (basic_auth, user, password) {
        (Some(false), _, _) | (None, None, None) => None,
        (_, Some(user), Some(password)) => Some(Login { user, password, may_be_read }),
        _ => {
            let problem = Problem::new("a login needs `username` and `password`").at(table.clone());
            fields.refuse(problem.hint("give both, or basic_auth = false"));
            None
        }
    }
}

/// Reads a text; an empty one is unset.
fn text(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    fields.take(name, |field| Ok(field.text()?.to_owned())).filter(|text| !text.is_empty())
}

fn files(field: &Field<'_>) -> Result<Vec<PathBuf>, Problem> {
    Ok(one_or_more(field)?.into_iter().map(|(path, _)| PathBuf::from(path)).collect())
}

/// Reads an array of strings, or one string.
fn one_or_more<'t>(field: &Field<'t>) -> Result<Vec<(&'t str, Option<Place>)>, Problem> {
    match field.text() {
        Ok(text) => Ok(vec![(text, None)]),
        Err(_) => Ok(field.texts()?.into_iter().map(|(text, place)| (text, Some(place))).collect()),
    }
}

/// Returns the hint for an unknown field, if it has its own.
pub(super) fn hint(name: &str) -> Option<String> {
    let is_of_template = super::FIELDS.contains(&name);
    is_of_template.then(|| format!("{} belongs below the line [template]", shown(name)))
}
