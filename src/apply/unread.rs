//! Finds files that their group calls nginx's and that nginx never reads: no check and no reload notices. Looks at each file once,
//! again when conf.d was read again, and keeps looking at those that nginx does not read. Reads nginx's files through `world`, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
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
        fs::names_in(folder).unwrap_or_default()
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        fs::canonical(path)
    }
}

/// The result of a look at some files.
#[derive(Debug, Default)]
pub struct FoundFiles<'f> {
    /// Those that their nginx never reads.
    pub unread: Vec<(&'f Path, Problem)>,
    /// Those of which that is uncertain.
    pub uncertain: Vec<&'f Path>,
}

/// Looks whether their nginx reads these files of groups. Each nginx's configuration is read once.
pub async fn find<'f>(context: &Context, groups: impl Iterator<Item = (&Group, Vec<&'f Path>)>) -> FoundFiles<'f> {
    let (mut found, mut wanted) = (FoundFiles::default(), BTreeMap::<(PathBuf, PathBuf), Vec<&Path>>::new());
    for (group, files) in groups.filter(|(group, files)| !files.is_empty() && group.drives_nginx()) {
        match conf_of(&nginx::find(context, group).await, group) {
            Some(conf) => wanted.entry(conf).or_default().extend(files),
            None => found.uncertain.extend(files),
        }
    }
    for (conf, files) in wanted {
        match in_conf(&conf, &files) {
            Some(unread) => found.unread.extend(unread),
            None => found.uncertain.extend(files),
        }
    }
    found
}

fn in_conf<'f>((file, prefix): &(PathBuf, PathBuf), files: &[&'f Path]) -> Option<Vec<(&'f Path, Problem)>> {
    includes::unread(MainConf { file, prefix }, files, &RealDisk)
}

/// Returns the configuration of a group's nginx and its prefix, if both are certain.
fn conf_of(nginx: &Nginx, group: &Group) -> Option<(PathBuf, PathBuf)> {
    let commands = [group.check.as_ref(), group.reload.as_ref().and_then(Reload::command)];
    let text: String = commands.into_iter().flatten().map(|command| format!("{}\n", command.text)).collect();
    // An option of nginx may include files too.
    if installation::runs_elsewhere(&text) || text.contains("include ") {
        return None;
    }
    nginx.conf_in_use()
}

/// Looks again at each file that nginx was found not to read, and forgets those that it certainly reads now, or that are gone. May block.
pub async fn look_again(context: &Context) {
    let mut groups: BTreeMap<String, (Arc<Group>, Vec<PathBuf>)> = BTreeMap::new();
    for (file, unread) in context.nginx.unread.all() {
        groups.entry(unread.group.id.clone()).or_insert_with(|| (unread.group, Vec::new())).1.push(file);
    }
    let mut there = Vec::new();
    for (group, files) in groups.values() {
        there.push((&**group, files.iter().map(PathBuf::as_path).filter(|file| host::exists(file)).collect()));
    }
    let found = find(context, there.into_iter()).await;
    let unread: BTreeSet<&Path> = found.unread.iter().map(|(file, _)| *file).chain(found.uncertain).collect();
    for file in groups.values().flat_map(|(_, files)| files).filter(|file| !unread.contains(file.as_path())) {
        context.nginx.unread.with(|files| files.remove(file));
        // An edit may take it out again.
        context.nginx.looked_at.remove(file);
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
    let Some(conf) = conf_of(nginx, group) else { return Vec::new() };
    for (dest, problem) in in_conf(&conf, &new.keys().copied().collect::<Vec<_>>()).unwrap_or_default() {
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
