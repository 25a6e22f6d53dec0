//! Precedence of the sources: flags, then `UPSTREAMD_*`, `CONFD_*`, the file, defaults; the same for every setting.
//! A flag counts because it was given, not because it differs from the default. Never judges a value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::problem::Problem;

use super::file::{FILE_NAMES, FileContent, read_file};
use super::raw::{Origin, Raw};
use super::table::{CONFDIR, CONFIG_FILE, Setting};

/// Default confdir.
pub const DEFAULT_CONFDIR: &str = "/etc/upstreamd";

/// confd's confdir, used if only that exists.
pub const CONFD_CONFDIR: &str = "/etc/confd";

/// A lookup of environment variables; `None` if the variable is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The given flags and their values, by the names of their settings.
pub type Flags = BTreeMap<&'static str, Vec<String>>;

/// Location of the settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// This file was given, so it has to exist.
    Named(PathBuf, Origin),
    /// The first of these that exists, if any.
    FirstOf(Vec<PathBuf>),
}

/// All sources of settings.
pub struct Layers<'a> {
    flags: &'a Flags,
    environment: Environment<'a>,
    file: BTreeMap<&'static str, Raw>,
    /// The settings file that was read, if any.
    pub(crate) file_path: Option<PathBuf>,
    /// Problems of the file itself.
    pub(crate) file_problems: Vec<Problem>,
    /// Warning about what the file has that is no setting.
    pub(crate) passed_over: Option<Problem>,
}

impl<'a> Layers<'a> {
    /// Makes the layers above the file.
    pub fn new(flags: &'a Flags, environment: Environment<'a>) -> Layers<'a> {
        let file = BTreeMap::new();
        Layers { flags, environment, file, file_path: None, file_problems: Vec::new(), passed_over: None }
    }

    /// Returns the settings file to read. With a given confdir (not one from a file) it is there or nowhere.
    pub fn config_file(&self) -> ConfigFile {
        if let Raw { values, origin } = self.raw(&CONFIG_FILE)
            && let Some(path) = values.first()
        {
            return ConfigFile::Named(PathBuf::from(path), origin);
        }
        let confdirs = self.raw(&CONFDIR);
        let [own, confd] = FILE_NAMES;
        if confdirs.origin == Origin::Default {
            let everywhere = [Path::new(DEFAULT_CONFDIR).join(own), Path::new(CONFD_CONFDIR).join(confd)];
            return ConfigFile::FirstOf(everywhere.into());
        }
        let in_confdir = |confdir: &String| FILE_NAMES.map(|name| Path::new(confdir).join(name));
        ConfigFile::FirstOf(confdirs.values.iter().flat_map(in_confdir).collect())
    }

    /// Adds the settings file.
    pub fn with_file(self, path: &Path, text: &str) -> Layers<'a> {
        let FileContent { values, problems, passed_over } = read_file(path, text);
        Layers { file: values, file_path: Some(path.to_owned()), file_problems: problems, passed_over, ..self }
    }

    /// Adds a problem of the file as a whole.
    pub fn with_file_problem(mut self, problem: Problem) -> Layers<'a> {
        self.file_problems.push(problem);
        self
    }

    /// Returns a variable that belongs to no setting.
    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    /// Returns the value in the highest layer. An empty flag or file value asks for the default, as if nobody had given one, an
    /// empty variable is unset, unless the setting accepts an empty value.
    pub fn raw(&self, setting: &Setting) -> Raw {
        let default = || setting.default.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let or_default = |mut raw: Raw| {
            if !setting.may_be_empty {
                raw.values.retain(|value| !value.is_empty());
                if raw.values.is_empty() {
                    raw.origin = Origin::Default;
                }
            }
            if raw.values.is_empty() {
                raw.values = default();
            }
            raw
        };
        if let Some((name, values)) = self.flags.get_key_value(setting.name) {
            return or_default(Raw { values: values.clone(), origin: Origin::Flag(name) });
        }
        for name in setting.environment_names() {
            let Some(text) = (self.environment)(&name).filter(|text| setting.may_be_empty || !text.is_empty()) else {
                continue;
            };
            let values = match setting.kind.is_list() {
                true => text.split(',').map(|value| value.trim().to_owned()).collect(),
                false => vec![text],
            };
            return or_default(Raw { values, origin: Origin::Environment(name) });
        }
        match self.file.get(setting.name) {
            Some(raw) => or_default(raw.clone()),
            None => Raw { values: default(), origin: Origin::Default },
        }
    }
}
