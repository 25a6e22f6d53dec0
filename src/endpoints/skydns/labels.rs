//! Names as labels, from the last to the first, as keys have them: `/skydns/dev/webapp/redis/1` is `1.redis.webapp.dev`. Pure.

use hickory_proto::rr::Name;

use crate::model::dns::{self, LONGEST_LABEL};

/// Between two labels in a place: less than any character of a label, so that all below a name stand together.
const BETWEEN: char = '\u{1}';
/// After the last label: less than what is between two, so that a name stands before those below it.
const END: char = '\u{0}';
/// After all below a name.
const AFTER: char = '\u{2}';

/// A domain whose names we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDomain {
    pub(super) name: Name,
    /// Its labels, the last first.
    pub(super) labels: Vec<String>,
}

impl OwnDomain {
    /// Returns the domain of this text, with or without a final dot; `None` if it is no name of letters, digits, `-` and `_`.
    pub fn parse(text: &str) -> Option<OwnDomain> {
        let name = host_name(text)?;
        let labels = of_name(&name)?.into_iter().map(str::to_owned).collect();
        Some(OwnDomain { name, labels })
    }

    /// Returns whether a name is this domain or below it.
    pub(super) fn has(&self, labels: &[&str]) -> bool {
        labels.len() >= self.labels.len() && self.labels.iter().zip(labels).all(|(own, label)| own == label)
    }
}

/// Returns the labels of a name in lower case, the last first; `None` if one is no text that a key could have.
pub(super) fn of_name(name: &Name) -> Option<Vec<&str>> {
    let text = |label| std::str::from_utf8(label).ok().filter(|text: &&str| !text.contains(char::is_control));
    let mut labels = name.iter().map(text).collect::<Option<Vec<&str>>>()?;
    labels.reverse();
    Some(labels)
}

/// Returns the part of a key as a label: in lower case, with `-` for what no label has; `None` if it is empty or too long.
pub(super) fn of_key_part(part: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    (1..=LONGEST_LABEL).contains(&part.chars().count()).then(|| part.chars().map(plain).collect())
}

/// Returns the name with these labels, the last first; `None` if it is too long.
pub(super) fn name(labels: &[String]) -> Option<Name> {
    let mut name = Name::from_labels(labels.iter().rev().map(|label| label.as_bytes())).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Returns the name of a host, in lower case; `None` if it is none: one whose last label is a number is a mistyped address.
pub(super) fn host_name(text: &str) -> Option<Name> {
    let text = dns::plain_name(text)?;
    let is_number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let mut name = Name::from_ascii(text).ok().filter(|_| !is_number)?;
    name.set_fqdn(true);
    Some(name)
}

/// Returns the place of a key in the table: below its labels.
pub(super) fn place(labels: &[String], key: &str) -> String {
    let between = BETWEEN.to_string();
    format!("{}{END}{key}", labels.join(&between))
}

/// Returns the key at this place, which may have any characters.
pub(super) fn key_of(place: &str) -> Option<&str> {
    place.split_once(END).map(|(_, key)| key)
}

/// Returns the label of the child of `beginning` in which this place is; `None` if it is at `beginning` itself.
pub(super) fn child<'a>(beginning: &str, place: &'a str) -> Option<&'a str> {
    place.strip_prefix(beginning)?.strip_prefix(BETWEEN)?.split([BETWEEN, END]).next()
}

/// Appends a label to the beginning of places.
pub(super) fn push(beginning: &mut String, label: &str) {
    if !beginning.is_empty() {
        beginning.push(BETWEEN);
    }
    beginning.push_str(label);
}

/// Returns the first place of a name, and the first that is below it or behind.
pub(super) fn at(beginning: &str) -> (String, String) {
    (format!("{beginning}{END}"), format!("{beginning}{BETWEEN}"))
}

/// Returns the first place of a name, and the first behind all below it.
pub(super) fn at_or_below(beginning: &str) -> (String, String) {
    (format!("{beginning}{END}"), format!("{beginning}{AFTER}"))
}

/// Returns the first place below a name.
pub(super) fn first_below(beginning: &str) -> String {
    format!("{beginning}{BETWEEN}")
}
