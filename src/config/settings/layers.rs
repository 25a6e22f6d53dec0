//! Who said what: flags over `UPSTREAMD_*` over `CONFD_*` over the file over defaults, for every setting alike.
//! A flag counts because it was given, not because it differs from the default. Never judges a value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::problem::{Place, Problem};

use super::file::read_file;
use super::table::{CONFDIR, CONFIG_FILE, Setting};

/// The confdir where none is given.
pub const DEFAULT_CONFDIR: &str = "/etc/upstreamd";

/// confd's, for where only that exists.
pub const CONFD_CONFDIR: &str = "/etc/confd";

/// The settings file's name in a confdir; the second is confd's.
const FILE_NAMES: [&str; 2] = ["upstreamd.toml", "confd.toml"];

/// Looks an environment variable up; `None` where it is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The flags that were given, by the name of their setting, with their values.
pub type Flags = BTreeMap<&'static str, Vec<String>>;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, by its name without dashes.
    Flag(&'static str),
    /// An environment variable.
    Environment(String),
    /// A settings file.
    File(Place),
    /// Nobody said anything.
    Default,
}

impl Origin {
    /// `problem` with the origin: as its place where that is in a file, in its message otherwise.
    pub(crate) fn blame(&self, problem: Problem) -> Problem {
        match self {
            Origin::File(place) => problem.at(place.clone()),
            Origin::Default => problem,
            _ => Problem { message: format!("{} ({self})", problem.message), ..problem },
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(f, "from flag --{name}"),
            Origin::Environment(name) => write!(f, "from environment {name}"),
            Origin::File(place) => place.fmt(f),
            Origin::Default => f.write_str("by default"),
        }
    }
}

/// What was written for a setting. No `Debug`: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    /// The values; one, or any number for a list, or none where there is no default.
    pub values: Vec<String>,
    /// Who wrote them.
    pub origin: Origin,
}

/// Where the settings file is to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// This one was asked for, so it has to be there.
    Named(PathBuf, Origin),
    /// The first of these that exists, if any.
    FirstOf(Vec<PathBuf>),
}

/// All that was said, by whom.
pub struct Layers<'a> {
    flags: &'a Flags,
    environment: Environment<'a>,
    file: BTreeMap<&'static str, Raw>,
    /// The settings file that was read.
    pub(crate) file_path: Option<PathBuf>,
    /// What is wrong with the file itself.
    pub(crate) file_problems: Vec<Problem>,
}

impl<'a> Layers<'a> {
    /// The layers above the file.
    pub fn new(flags: &'a Flags, environment: Environment<'a>) -> Layers<'a> {
        Layers { flags, environment, file: BTreeMap::new(), file_path: None, file_problems: Vec::new() }
    }

    /// Which file to read. A confdir that is given (not in a file) is looked into first.
    pub fn config_file(&self) -> ConfigFile {
        if let Raw { values, origin } = self.raw(&CONFIG_FILE)
            && let Some(path) = values.first()
        {
            return ConfigFile::Named(PathBuf::from(path), origin);
        }
        let confdirs = self.raw(&CONFDIR);
        let given = if confdirs.origin == Origin::Default { Vec::new() } else { confdirs.values };
        let mut candidates: Vec<PathBuf> =
            given.iter().flat_map(|confdir| FILE_NAMES.map(|name| Path::new(confdir).join(name))).collect();
        candidates.push(Path::new(DEFAULT_CONFDIR).join(FILE_NAMES[0]));
        candidates.push(Path::new(CONFD_CONFDIR).join(FILE_NAMES[1]));
        ConfigFile::FirstOf(candidates)
    }

    /// Adds the settings file.
    pub fn with_file(self, path: &Path, text: &str) -> Layers<'a> {
        let (file, file_problems) = read_file(path, text);
        Layers { file, file_path: Some(path.to_owned()), file_problems, ..self }
    }

    /// Adds a problem of the file as a whole.
    pub fn with_file_problem(mut self, problem: Problem) -> Layers<'a> {
        self.file_problems.push(problem);
        self
    }

    /// The environment, for variables that belong to no setting.
    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    /// What the highest layer says. An empty flag or file value asks for the default, an empty variable is as good as
    /// none, unless empty is a value of the setting's own.
    pub fn raw(&self, setting: &Setting) -> Raw {
        let default = || setting.default.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let or_default = |mut raw: Raw| {
            if !setting.may_be_empty {
                raw.values.retain(|value| !value.is_empty());
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
