//! Finds files that their group calls nginx's and that nginx never reads: no check and no reload notices. Looks at each file once,
//! again when conf.d was read again, and again and again at one that nginx does not read. Reads nginx's files through `world`, and changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::problem::Problem;
use crate::model::resource::Reload;
use crate::nginx::includes::{self, ConfFiles, MainConf};
use crate::nginx::installation;
use crate::world::{fs, host, nginx_process};

use super::Context;
use super::group::Group;
use super::nginx::{self, Nginx};
use super::staging::StagedFile;
use super::unread_files::UnreadFile;

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

/// Looks again at each file that nginx was found not to read, and forgets those that it reads now, or that are gone. May block.
pub async fn look_again(context: &Context) {
    let mut groups: BTreeMap<String, (Arc<Group>, Vec<PathBuf>)> = BTreeMap::new();
    for (file, unread) in context.nginx.unread.all() {
        groups.entry(unread.group.id.clone()).or_insert_with(|| (unread.group, Vec::new())).1.push(file);
    }
    for (group, files) in groups.values() {
        let there: Vec<&Path> = files.iter().map(PathBuf::as_path).filter(|file| host::exists(file)).collect();
        let found = unread(context, group, &there).await;
        for file in files.iter().filter(|file| !found.iter().any(|(unread, _)| unread == file)) {
            context.nginx.unread.with(|files| files.remove(file));
            // What was uncertain this time may be so no longer.
            context.nginx.looked_at.remove(file);
        }
    }
}

/// Returns a warning for each of these files that nginx never reads; of a `for_each`, one for each folder, because its names come from
/// the store. A file is looked at once.
pub(super) fn warnings<'f>(
    context: &Context,
    nginx: &Nginx,
    group: &Arc<Group>,
    files: impl Iterator<Item = &'f StagedFile>,
) -> Vec<String> {
    let new: BTreeMap<&Path, &StagedFile> = files
        .filter(|file| context.nginx.looked_at.is_new(file.dest()))
        .map(|file| (file.dest().as_path(), file))
        .collect();
    if new.is_empty() {
        return Vec::new();
    }
    new.keys().for_each(|dest| context.nginx.looked_at.add(dest));
    let mut warnings = Vec::new();
    for (dest, problem) in of_nginx(nginx, group, &new.keys().copied().collect::<Vec<_>>()) {
        let (line, Some(file)) = (problem.line(), new.get(dest)) else { continue };
        let resource = Arc::clone(file.resource.name());
        context.nginx.unread.add(dest, UnreadFile { resource, line: line.clone(), group: Arc::clone(group) });
        warnings.extend(match dest.parent().filter(|_| file.resource.id.item.is_some()) {
            Some(folder) => context.once_for(format!("unread {}", folder.display()), line),
            None => context.once(line),
        });
    }
    warnings
}
