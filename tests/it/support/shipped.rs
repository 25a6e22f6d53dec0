//! The shipped templates with other settings: the `{%- set name = "…" -%}` lines at their top, rewritten.
//! Everything else stays as it ships, so that what is tested and shown is what users get.

/// `template` with each of `settings` (name, value) instead of the shipped value; panics if the template does not set a name.
#[track_caller]
pub fn with_settings(template: &str, settings: &[(&str, &str)]) -> String {
    settings.iter().fold(template.to_owned(), |text, (name, value)| {
        let start = format!("{{%- set {name} = \"");
        let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("the template has no setting {name:?}"));
        let (_, after) = rest.split_once('"').unwrap();
        format!("{before}{start}{value}\"{after}")
    })
}
