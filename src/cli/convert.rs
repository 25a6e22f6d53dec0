//! `convert`: prints a Go template as a Tera template, or the reasons why it cannot. Never writes a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::settings::Settings;
use crate::model::problem::Problem;
use crate::model::resource::Escape;
use crate::render::{self, Root, TemplateSources};
use crate::world::{fs, terminal};

use super::exit::Exit;
use super::run;

/// Prints the template in Tera, or every place without a safe equivalent.
pub(super) fn convert(settings: &Settings, path: &Path) -> Exit {
    let name = path.display().to_string();
    let source = match fs::read_bytes(path).map(String::from_utf8) {
        Ok(Ok(source)) => source,
        Ok(Err(_)) => return refuse(&[format!("{name}: the template is not UTF-8")]),
        Err(error) => return refuse(&[format!("{name}: cannot read the template: {error}")]),
    };
    match render::convert(&name, &source) {
        Ok(converted) => match misread(settings, &name, &converted) {
            None => {
                terminal::print(&converted);
                Exit::Done
            }
            Some(problem) => {
                refuse(&[format!("{name}: cannot be converted, because Tera rejects the result: {}", problem.message)])
            }
        },
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            refuse(&lines)
        }
    }
}

/// Returns Tera's error for the converted template, if it does not compile.
fn misread(settings: &Settings, name: &str, converted: &str) -> Option<Problem> {
    let sources: TemplateSources = BTreeMap::from([(name.to_owned(), Arc::from(converted))]);
    let (_, problems) = render::compile(&sources, &[Root::tera(name, Escape::None)], run::facts(settings));
    problems.into_iter().map(|(_, problem)| problem).next()
}

/// Prints the problems of the template.
fn refuse(lines: &[String]) -> Exit {
    for line in lines {
        terminal::print_error(&format!("{line}\n"));
    }
    Exit::Configuration
}
