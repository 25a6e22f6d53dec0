//! Parses `upstreamd.toml` and `confd.toml`: flat keys and the table `[nginx]`. Unknown keys are problems.
//! Never reads the file: it takes its text.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeValue;

use crate::config::document::{Document, Field, Fields};
use crate::model::problem::Problem;

use super::raw::{Origin, Raw};
use super::table::{self, Setting, SettingKind};

const OTHERWISE: &str = "`upstreamd --help` lists the settings; in the file they have `_` for `-`";

/// Returns the values in the file by the settings' names, and all problems.
pub(super) fn read_file(path: &Path, text: &str) -> (BTreeMap<&'static str, Raw>, Vec<Problem>) {
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
    let problems = top.finish("setting", special_hint, OTHERWISE);
    (values, document.with_syntax_problems(problems))
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
