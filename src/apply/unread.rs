//! Finds files that their group calls nginx's and that nginx never reads: no check and no reload notices. Looks at each file once,
//! and again when conf.d was read again. Reads nginx's files through `world`, and changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::problem::Problem;
use crate::model::resource::Reload;
use crate::nginx::includes::{self, ConfFiles, MainConf};
use crate::nginx::installation;
use crate::world::{fs, nginx_process};

use super::Context;
use super::group::Group;
use super::nginx::{self, Nginx};
use super::staging::StagedFile;

/// The disk as it is.
struct RealDisk;

impl ConfFiles for RealDisk {
    fn text(&self, file: &Path) -> Option<String> {
        nginx_process::configuration(file)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        fs::names_in(folder)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        fs::canonical(path)
    }
}

/// Returns a problem for each of these files of a group that its nginx never reads.
pub async fn unread<'f>(context: &Context, group: &Group, files: &[&'f Path]) -> Vec<(&'f Path, Problem)> {
    if files.is_empty() || !group.drives_nginx() {
        return Vec::new();
    }
    of_nginx(&nginx::find(context, group).await, group, files)
}

fn of_nginx<'f>(nginx: &Nginx, group: &Group, files: &[&'f Path]) -> Vec<(&'f Path, Problem)> {
    let commands = [group.check.as_ref(), group.reload.as_ref().and_then(Reload::command)];
    let text: String = commands.into_iter().flatten().map(|command| format!("{}\n", command.text)).collect();
    // An option of nginx may include files too.
    if installation::runs_elsewhere(&text) || text.contains("include ") {
        return Vec::new();
    }
    let Some((conf, prefix)) = nginx.conf_in_use() else { return Vec::new() };
    includes::unread(MainConf { file: &conf, prefix: &prefix }, files, &RealDisk)
}

/// Returns a warning for each of these files that nginx never reads; of a `for_each`, one for each folder, because its names come from
/// the store. A file is looked at once.
pub(super) fn warnings<'f>(
    context: &Context,
    nginx: &Nginx,
    group: &Group,
    files: impl Iterator<Item = &'f StagedFile>,
) -> Vec<String> {
    let new: Vec<&StagedFile> = files.filter(|file| context.nginx.looked_at.is_new(file.dest())).collect();
    if new.is_empty() {
        return Vec::new();
    }
    new.iter().for_each(|file| context.nginx.looked_at.add(file.dest()));
    let dests: Vec<&Path> = new.iter().map(|file| file.dest().as_path()).collect();
    let has_many: BTreeMap<&Path, bool> =
        new.iter().map(|file| (file.dest().as_path(), file.resource.id.item.is_some())).collect();
    let found = of_nginx(nginx, group, &dests).into_iter();
    let warnings = found.filter_map(|(dest, problem)| {
        let folder = dest.parent().filter(|_| has_many.get(dest).is_some_and(|has_many| *has_many));
        match folder {
            Some(folder) => context.once_for(format!("unread {}", folder.display()), problem.line()),
            None => context.once(problem.line()),
        }
    });
    warnings.collect()
}
