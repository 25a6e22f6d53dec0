//! `dest`, `mode`, `owner`, `group`, `uid`, `gid`, `make_dirs`, `adopt_existing` and `secret`: the file to write, its mode and its
//! owner.
//! Never looks a name up.

use std::path::PathBuf;

use toml::de::DeValue;

use crate::config::document::{Field, Fields};
use crate::model::problem::{Place, Problem};
use crate::model::resource::{Identity, Target};
use crate::model::text::shown;

use super::outline::{Account, AccountKind};

pub(super) struct Destination {
    pub(super) path: PathBuf,
    pub(super) place: Place,
}

pub(super) fn destination(field: &Field<'_>) -> Result<Destination, Problem> {
    let text = field.text()?;
    if text.is_empty() {
        return Err(Problem::new("`dest` is empty").hint("name the file to write"));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::new(format!("`dest` {} has a control character", shown(text))));
    }
    if !text.starts_with('/') {
        let problem = Problem::new(format!("`dest` {} is relative", shown(text)));
        return Err(
            problem.hint("write the whole path from /, so that it means the same wherever upstreamd is started")
        );
    }
    if text.ends_with(['/', '.']) && matches!(text.rsplit('/').next(), Some("" | "." | "..")) {
        let problem = Problem::new(format!("`dest` {} is a folder", shown(text)));
        return Err(problem.hint("name the file in it"));
    }
    Ok(Destination { path: PathBuf::from(text), place: field.value_place() })
}

/// Reads how the file is written; a refused field is reported and left unset. Names in effect are added to `accounts`.
pub(super) fn read(fields: &mut Fields<'_>, accounts: &mut Vec<Account>) -> Target {
    let mode = fields.take("mode", mode).flatten();
    let (owner, owner_place) = placed_identity(fields, "owner");
    let (group, group_place) = placed_identity(fields, "group");
    // The numbers win, as in confd. A name beside a number is not looked up here, so a contradiction cannot be reported.
    let uid = fields.take("uid", |field| number_beside(field, "owner", owner.as_ref())).flatten();
    let gid = fields.take("gid", |field| number_beside(field, "group", group.as_ref())).flatten();
    let make_dirs = fields.take("make_dirs", Field::boolean).unwrap_or(false);
    let adopt_existing = fields.take("adopt_existing", Field::boolean).unwrap_or(false);
    let is_secret = fields.take("secret", Field::boolean).unwrap_or(false);
    let (owner, group) = (uid.map(Identity::Id).or(owner), gid.map(Identity::Id).or(group));
    let target = Target { owner, group, mode, make_dirs, adopt_existing, is_secret };
    let user = (AccountKind::User, &target.owner, owner_place);
    let group = (AccountKind::Group, &target.group, group_place);
    for (kind, identity, place) in [user, group] {
        if let (Some(Identity::Name(name)), Some(place)) = (identity, place) {
            accounts.push(Account { kind, name: name.clone(), place });
        }
    }
    target
}

/// Reads a name or number, and its place.
fn placed_identity(fields: &mut Fields<'_>, name: &str) -> (Option<Identity>, Option<Place>) {
    let found = fields.take(name, |field| Ok((identity(field)?, field.value_place())));
    found.map_or((None, None), |(identity, place)| (identity, Some(place)))
}

/// Reads an octal mode, with or without `0` or `0o` in front; empty is unset.
fn mode(field: &Field<'_>) -> Result<Option<u32>, Problem> {
    let digits = match field.value() {
        DeValue::String(text) if text.is_empty() => return Ok(None),
        DeValue::String(text) => text.strip_prefix("0o").unwrap_or(text),
        // TOML knows that 0o644 is octal; it reads 644 as six hundred and forty-four, which nobody means.
        DeValue::Integer(number) if number.radix() == 8 => number.as_str(),
        DeValue::Integer(number) => {
            let hint = format!("a TOML number is decimal; write mode = \"0{}\"", number.as_str());
            return Err(Problem::new(format!("`mode` must be a string, found the number {number}")).hint(hint));
        }
        _ => return Err(field.not_a("string")),
    };
    // from_str_radix alone would accept a sign.
    if digits.is_empty() || !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        let problem = Problem::new(format!("`mode` {} is not octal", shown(digits)));
        return Err(problem.hint("write octal digits, as in \"0644\""));
    }
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(Some(mode)),
        _ => {
            Err(Problem::new(format!("`mode` {} is more than 7777", shown(digits))).hint("write for example \"0644\""))
        }
    }
}

/// Reads a name or a number, as a string or an integer; empty is unset.
fn identity(field: &Field<'_>) -> Result<Option<Identity>, Problem> {
    match field.value() {
        DeValue::String(text) if text.is_empty() => Ok(None),
        DeValue::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            id(text).map(|id| Some(Identity::Id(id))).ok_or_else(|| not_an_id(field, text))
        }
        DeValue::String(text)
            if text.contains(|c: char| c == ':' || c == '/' || c.is_whitespace() || c.is_control()) =>
        {
            let problem = Problem::new(format!("`{}` {} is not a name", field.name(), shown(text)));
            Err(problem.hint("owner and group are two fields, each a name or a number"))
        }
        DeValue::String(text) => Ok(Some(Identity::Name(text.to_string()))),
        DeValue::Integer(_) => Ok(number(field)?.map(Identity::Id)),
        _ => Err(field.not_a("string")),
    }
}

/// Reads `uid` or `gid`, which must not contradict a number in `owner` or `group`.
fn number_beside(field: &Field<'_>, other_field: &str, other: Option<&Identity>) -> Result<Option<u32>, Problem> {
    let id = number(field)?;
    match (id, other) {
        (Some(id), Some(Identity::Id(other))) if id != *other => {
            let problem = Problem::new(format!("`{}` is {id} and `{other_field}` is {other}", field.name()));
            Err(problem.hint("leave one of the two out"))
        }
        _ => Ok(id),
    }
}

/// Reads the number of a user or group; confd's -1 is unset.
fn number(field: &Field<'_>) -> Result<Option<u32>, Problem> {
    match field.value() {
        DeValue::Integer(number) if number.radix() == 10 && number.as_str() == "-1" => Ok(None),
        DeValue::Integer(number) if number.radix() == 10 => {
            id(number.as_str()).map(Some).ok_or_else(|| not_an_id(field, number.as_str()))
        }
        DeValue::String(text) => Err(field
            .not_a("number")
            .hint(format!("names go into owner and group; a number is written {}", digits(text)))),
        _ => Err(field.not_a("number")),
    }
}

fn digits(text: &str) -> &str {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) { text } else { "without quotes" }
}

/// Parses an id. The kernel reserves the highest number for "leave as it is".
fn id(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|id| *id != u32::MAX)
}

fn not_an_id(field: &Field<'_>, text: &str) -> Problem {
    Problem::new(format!("`{}` {} is not a user or group number", field.name(), shown(text)))
        .hint("from 0 to 4294967294")
}
