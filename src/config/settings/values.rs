//! Parses raw values into typed ones. Keeps every problem with its origin and replaces a refused value by its default, so
//! that one run reports all problems. Never shows a secret.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::duration;
use crate::model::problem::Problem;
use crate::model::suggest;
use crate::model::text::shown;

use super::layers::Layers;
use super::raw::{Origin, Raw};
use super::table::{Setting, SettingKind};

/// Reader of settings that collects their problems.
pub(super) struct Values<'l> {
    pub(super) layers: &'l Layers<'l>,
    pub(super) problems: Vec<Problem>,
}

impl Values<'_> {
    /// Returns whether the setting was given.
    pub(super) fn is_given(&self, setting: &Setting) -> bool {
        self.layers.raw(setting).origin != Origin::Default
    }

    /// Returns the value after `parse`, or the default if `parse` refuses it; `None` if neither exists.
    pub(super) fn parsed<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        let Raw { values, origin } = self.layers.raw(setting);
        // The last one of a repeated flag counts, as in Go.
        match parse(values.last()?) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(origin.blame(named(setting, problem)));
                parse(setting.default?).ok()
            }
        }
    }

    /// Returns all values of a list after `parse`, without those that it refuses.
    pub(super) fn each_parsed<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Result<T, Problem>) -> Vec<T> {
        let Raw { values, origin } = self.layers.raw(setting);
        let mut parsed = Vec::new();
        for value in &values {
            match parse(value) {
                Ok(value) => parsed.push(value),
                Err(problem) => self.problems.push(origin.blame(named(setting, problem))),
            }
        }
        parsed
    }

    /// Adds a problem of this setting, and perhaps of others, with this one's origin.
    pub(super) fn refuse(&mut self, setting: &Setting, problem: Problem) {
        let origin = self.layers.raw(setting).origin;
        self.problems.push(origin.blame(problem));
    }

    pub(super) fn switch(&mut self, setting: &Setting) -> bool {
        self.optional_switch(setting).unwrap_or(false)
    }

    pub(super) fn optional_switch(&mut self, setting: &Setting) -> Option<bool> {
        self.parsed(setting, switch)
    }

    pub(super) fn text(&mut self, setting: &Setting) -> Option<String> {
        self.parsed(setting, |text| Ok(text.to_owned()))
    }

    pub(super) fn path(&mut self, setting: &Setting) -> Option<PathBuf> {
        self.parsed(setting, path)
    }

    pub(super) fn paths(&mut self, setting: &Setting) -> Vec<PathBuf> {
        self.each_parsed(setting, path)
    }

    pub(super) fn optional_duration(&mut self, setting: &Setting) -> Option<Duration> {
        self.parsed(setting, duration::parse)
    }

    /// Reads a duration; zero if it is absent, which a setting with a default never is.
    pub(super) fn duration(&mut self, setting: &Setting) -> Duration {
        self.optional_duration(setting).unwrap_or_default()
    }

    /// Reads a duration that must not be zero.
    pub(super) fn positive_duration(&mut self, setting: &Setting) -> Duration {
        self.parsed(setting, |text| positive(duration::parse(text)?)).unwrap_or_default()
    }

    /// Reads a timeout; zero is no limit.
    pub(super) fn timeout(&mut self, setting: &Setting) -> Option<Duration> {
        self.optional_duration(setting).filter(|limit| !limit.is_zero())
    }

    /// Reads seconds without a unit, or a duration; not zero.
    pub(super) fn interval(&mut self, setting: &Setting) -> Duration {
        self.parsed(setting, |text| {
            let seconds = text.trim();
            let bare = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
            positive(duration::parse(if bare { format!("{seconds}s") } else { seconds.to_owned() }.as_str())?)
        })
        .unwrap_or_default()
    }

    pub(super) fn count(&mut self, setting: &Setting) -> usize {
        self.parsed(setting, |text| number(text, 0)).unwrap_or_default()
    }

    pub(super) fn positive_count(&mut self, setting: &Setting) -> usize {
        self.parsed(setting, |text| number(text, 1)).unwrap_or_default()
    }

    /// Returns the value that belongs to the word; `None` if the setting has no default.
    pub(super) fn choice<T: Copy>(&mut self, setting: &Setting, choices: &[(&'static str, T)]) -> Option<T> {
        self.parsed(setting, |text| {
            let word = text.trim().to_ascii_lowercase();
            let found = choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
            found.ok_or_else(|| not_among(setting, text))
        })
    }
}

/// Returns the problem of a word that the setting does not have.
pub(super) fn not_among(setting: &Setting, text: &str) -> Problem {
    let words = match setting.kind {
        SettingKind::Choice(words) | SettingKind::OptionalChoice(words) => words,
        _ => &[],
    };
    let hint = suggest::did_you_mean(text, words.iter().copied())
        .unwrap_or_else(|| format!("it is one of {}", words.join(", ")));
    Problem::new(format!("{} is not known", shown(text))).hint(hint)
}

/// Returns `problem` with the setting's name in front.
fn named(setting: &Setting, problem: Problem) -> Problem {
    Problem { message: format!("{}: {}", setting.name, problem.message), ..problem }
}

/// Returns the meaning of a switch.
pub(crate) fn switch(text: &str) -> Result<bool, Problem> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "y" | "on" => Ok(true),
        "false" | "f" | "0" | "no" | "n" | "off" => Ok(false),
        _ => Err(Problem::new(format!("{} is neither true nor false", shown(text)))),
    }
}

fn number(text: &str, least: usize) -> Result<usize, Problem> {
    let number = text.trim().parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| Problem::new(format!("{} is not a number from {least} on", shown(text))))
}

fn path(text: &str) -> Result<PathBuf, Problem> {
    match text.contains('\0') {
        true => Err(Problem::new(format!("{} is not a path", shown(text)))),
        false => Ok(PathBuf::from(text)),
    }
}

fn positive(duration: Duration) -> Result<Duration, Problem> {
    if duration.is_zero() { Err(Problem::new("must be more than 0")) } else { Ok(duration) }
}
