//! Parses `upstreamd.toml` and `confd.toml`: flat keys and the table `[nginx]`. Unknown keys are problems in `upstreamd.toml`;
//! in any other file they are passed over with a warning, because confd ignores them.
//! Never reads the file: it takes its text.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeValue;

use crate::config::document::{Document, Field, Fields};
use crate::model::problem::{Place, Problem};
use crate::model::suggest;
use crate::model::text::shown;

use super::raw::{Origin, Raw};
use super::table::{self, Setting, SettingKind};

/// Names of the settings file in a confdir; the second is confd's.
pub(super) const FILE_NAMES: [&str; 2] = ["upstreamd.toml", "confd.toml"];

const OTHERWISE: &str = "`upstreamd --help` lists the settings; in the file they have `_` for `-`";

/// The content of a settings file.
pub(super) struct FileContent {
    /// Values by the settings' names.
    pub(super) values: BTreeMap<&'static str, Raw>,
    pub(super) problems: Vec<Problem>,
    /// Warning about what was passed over.
    pub(super) passed_over: Option<Problem>,
}

/// Parses the text of a settings file.
pub(super) fn read_file(path: &Path, text: &str) -> FileContent {
    let document = Document::parse(path, text);
    let mut values = BTreeMap::new();
    let mut top = document.fields();
    take_settings(&mut top, "", &mut values);
    let mut nginx_problems = Vec::new();
    top.take("nginx", |field| {
        let mut nginx = field.table()?;
        take_settings(&mut nginx, "nginx.", &mut values);
        nginx_problems = nginx.finish("setting of [nginx]", |_| None, OTHERWISE);
        Ok(())
    });
    top.refuse_all(nginx_problems);
    let is_ours = path.file_name().is_some_and(|name| name == FILE_NAMES[0]);
    let passed_over = if is_ours { None } else { passed_over(path, &top.take_rest()) };
    let problems = top.finish("setting", special_hint, OTHERWISE);
    FileContent { values, problems: document.with_syntax_problems(problems), passed_over }
}

/// Settings of confd 0.1 to 0.9 and of its forks, and what does the same today.
const FORMER: &[(&str, &str)] = &[
    ("confd", "the lines below [confd], without that line"),
    ("etcd_nodes", "`nodes`"),
    ("etcd_scheme", "`scheme`"),
    ("debug", "`log_level = \"debug\"`"),
    ("verbose", "`log_level = \"info\"`"),
    ("quiet", "`log_level = \"error\"`"),
    ("pgp_private_key", "nothing, values are taken as they are"),
    ("cert", "`client_cert`"),
    ("key", "`client_key`"),
    ("ca", "`client_cakeys`"),
    ("ca_keys", "`client_cakeys`"),
];

/// Returns the warning about fields that are no settings: what they are, and what was probably meant.
fn passed_over(path: &Path, fields: &[Field<'_>]) -> Option<Problem> {
    let place = fields.first()?.key_place();
    if fields.iter().any(|field| field.name() == "template") {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let message = format!(
            "this is a file for conf.d, so nothing in it is a setting and it is passed over, as confd does; \
             --confdir names the folder that holds conf.d, and --resource {name} uses only this file of it"
        );
        return Some(Problem::new(message).at(Place::file(path)));
    }
    let known: Vec<String> = table::ALL.iter().flat_map(|setting| setting.file_names()).collect();
    let described = |field: &Field<'_>| {
        let name = shown(field.written);
        let near = || suggest::nearest(field.name(), known.iter().map(String::as_str));
        match FORMER.iter().find(|(former, _)| *former == field.name()) {
            Some((_, today)) => format!("{name} (today {today})"),
            None => near().map_or_else(|| name.to_string(), |near| format!("{name} (did you mean `{near}`?)")),
        }
    };
    let names: Vec<String> = fields.iter().map(described).collect();
    Some(
        Problem::new(format!("passed over as confd does, because they are not settings: {}", names.join(", ")))
            .at(place),
    )
}

/// Takes the settings whose names in the file begin with `table`.
fn take_settings(fields: &mut Fields<'_>, table: &str, values: &mut BTreeMap<&'static str, Raw>) {
    for setting in table::ALL {
        let names = setting.file_names();
        let names = names.iter().filter_map(|name| name.strip_prefix(table)).filter(|name| !name.contains('.'));
        let raw = fields.take_one_of(names, |field| {
            Ok(Raw { values: written(setting, field)?, origin: Origin::File(field.value_place()) })
        });
        values.extend(raw.map(|raw| (setting.name, raw)));
    }
}

/// Returns the value as it would be written after the flag.
fn written(setting: &Setting, field: &Field<'_>) -> Result<Vec<String>, Problem> {
    let text = || field.text().map(|text| vec![text.to_owned()]);
    let number = || match field.value() {
        DeValue::Integer(number) if number.radix() == 10 => Ok(vec![number.as_str().to_owned()]),
        _ => text(),
    };
    match setting.kind {
        SettingKind::Switch => Ok(vec![field.boolean()?.to_string()]),
        SettingKind::Seconds => number().map_err(|_| field.not_a("number of seconds")),
        SettingKind::Count => number().map_err(|_| field.not_a("number")),
        SettingKind::Duration => text().map_err(|problem| problem.hint("write a duration such as \"30s\"")),
        SettingKind::OptionalChoice(_) => match field.value().as_bool() {
            Some(wish) => Ok(vec![wish.to_string()]),
            None => text(),
        },
        SettingKind::Text | SettingKind::Secret | SettingKind::Path | SettingKind::Choice(_) => text(),
        SettingKind::Texts | SettingKind::Paths => match field.text() {
            Ok(text) => Ok(vec![text.to_owned()]),
            Err(_) => Ok(field.texts()?.into_iter().map(|(text, _)| text.to_owned()).collect()),
        },
    }
}

fn special_hint(name: &str) -> Option<String> {
    match name {
        "template" => Some("write each resource to a file in conf.d".to_owned()),
        _ => None,
    }
}
