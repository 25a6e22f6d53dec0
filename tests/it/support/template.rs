//! Builds the lines of a resource's `[template]` table, or the parsed resource.

use std::fmt::{Display, Write};
use std::ops::Deref;

use upstreamd::config::resource::{Defaults, ResourceFile, parse};
use upstreamd::model::resource::Resource;

use super::nginx::Nginx;

/// The lines of a `[template]` table; reads as text.
#[derive(Clone)]
pub struct Table(String);

/// Returns a table with these two fields.
pub fn table(src: impl Display, dest: impl Display) -> Table {
    Table(String::new()).set("src", src).set("dest", dest)
}

impl Table {
    /// Adds a field that is a text.
    pub fn set(mut self, name: &str, value: impl Display) -> Table {
        let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"");
        writeln!(self.0, "{name} = \"{value}\"").unwrap();
        self
    }

    /// Adds the keys.
    pub fn keys(mut self, keys: &[&str]) -> Table {
        writeln!(self.0, "keys = {keys:?}").unwrap();
        self
    }

    /// Adds lines as they are.
    pub fn lines(mut self, lines: impl Display) -> Table {
        writeln!(self.0, "{lines}").unwrap();
        self
    }

    /// Adds the commands that check and reload this nginx.
    pub fn driving(self, nginx: &Nginx) -> Table {
        self.set("check_cmd", nginx.check_command()).set("reload_cmd", nginx.reload_command())
    }

    /// Returns the resource that conf.d has with these lines in the file `name`.
    #[track_caller]
    pub fn resource(&self, name: &str) -> Resource {
        let file = ResourceFile { name: name.into(), path: name.into(), text: format!("[template]\n{}", self.0) };
        parse(&file, &Defaults::default()).unwrap_or_else(|problems| panic!("{}: {problems:?}", file.text))
    }
}

impl Deref for Table {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}
