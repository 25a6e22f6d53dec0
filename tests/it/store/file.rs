//! The file store: every way in which editors, deployments and ConfigMaps change files, and broken edits.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use upstreamd::model::glob::Glob;
use upstreamd::model::store::{FileSettings, StoreLimits, StoreSettings};

use super::follower::Follower;
use crate::support::temp_dir;

fn settings(paths: &[&Path]) -> StoreSettings {
    filtered(paths, "*")
}

fn filtered(paths: &[&Path], filter: &str) -> StoreSettings {
    let paths = paths.iter().map(|path| path.to_path_buf()).collect();
    StoreSettings::File(FileSettings { paths, filter: Glob::parse(filter).unwrap(), limits: StoreLimits::default() })
}

/// Replaces a file as editors do: write beside it, rename over it.
fn replace(path: &Path, content: &str) {
    let beside = path.with_file_name(".replacement");
    fs::write(&beside, content).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn a_file_is_followed_through_writing_renaming_and_removal() {
    let dir = temp_dir();
    let path = dir.path().join("store.yaml");
    fs::write(&path, "a: {x: 1}\nb: 1\n").unwrap();
    let follower = Follower::start(settings(&[&path]), &["/a"]);
    follower.wait_value("/a/x", Some("1"));
    assert_eq!(follower.seen().tree.len(), 1, "only the keys asked for");
    fs::write(&path, "a: {x: 2}\n").unwrap();
    follower.wait_value("/a/x", Some("2"));
    replace(&path, "a: {x: 3}\n");
    follower.wait_value("/a/x", Some("3"));
    fs::remove_file(&path).unwrap();
    follower.wait("the loss", |seen| seen.lost > 0);
    follower.wait_value("/a/x", Some("3"));
    fs::write(&path, "a: {x: 4}\n").unwrap();
    follower.wait_value("/a/x", Some("4"));
}

#[test]
fn a_broken_edit_is_reported_with_its_place_and_changes_nothing() {
    let dir = temp_dir();
    let path = dir.path().join("store.yaml");
    fs::write(&path, "a: {x: 1}\n").unwrap();
    let follower = Follower::start(settings(&[&path]), &["/a"]);
    follower.wait_value("/a/x", Some("1"));
    fs::write(&path, "a:\n  x: [secret\n").unwrap();
    follower.wait("the problem", |seen| seen.lost > 0);
    let problem = follower.seen().problems[0].clone();
    assert!(problem.starts_with(&format!("{}:3:1: ", path.display())) && !problem.contains("secret"), "{problem}");
    follower.wait_value("/a/x", Some("1"));
    fs::write(&path, "a: {x: 1}\n").unwrap();
    follower.wait("the return", |seen| seen.regained == 1);
    assert_eq!(follower.seen().snapshots, 1, "nothing had changed");
    fs::write(&path, "a: {x: 2}\n").unwrap();
    follower.wait_value("/a/x", Some("2"));
}

#[test]
fn a_file_that_is_written_slowly_is_read_when_it_is_complete() {
    let dir = temp_dir();
    let path = dir.path().join("store.yaml");
    fs::write(&path, "a: {x: 1}\n").unwrap();
    let follower = Follower::start(settings(&[&path]), &["/a"]);
    follower.wait_value("/a/x", Some("1"));
    let mut file = fs::File::create(&path).unwrap();
    for part in ["", "a: {x", ": 2", "}\n"] {
        file.write_all(part.as_bytes()).unwrap();
        // This is how slow the writer is; nothing is waited for.
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(file);
    follower.wait_value("/a/x", Some("2"));
    let seen = follower.seen();
    assert_eq!((seen.snapshots, seen.lost), (2, 0));
}

#[test]
fn files_of_a_folder_are_merged_in_path_order_and_filtered_by_name() {
    let dir = temp_dir();
    let file = |name: &str, content: &str| fs::write(dir.path().join(name), content).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    file("10-base.yaml", "a: {x: base, y: base}\n");
    file("20-over.json", r#"{"a": {"x": "over"}}"#);
    file("sub/30.toml", "[a]\nz = \"sub\"\n");
    file(".hidden.yaml", "a: {x: hidden}\n");
    file("30-backup.yaml~", "a: {x: backup}\n");
    fs::create_dir(dir.path().join(".git")).unwrap();
    file(".git/40.yaml", "a: {x: hidden}\n");
    file("#50.yaml#", "a: {x: unsaved}\n");
    let follower = Follower::start(settings(&[dir.path()]), &["/a"]);
    follower.wait_value("/a/x", Some("over"));
    follower.wait_value("/a/y", Some("base"));
    follower.wait_value("/a/z", Some("sub"));
    fs::create_dir_all(dir.path().join("new/deep")).unwrap();
    file("new/deep/40.yaml", "a: {new: 1}\n");
    follower.wait_value("/a/new", Some("1"));
    file("new/deep/40.yaml", "a: {new: 2}\n");
    follower.wait_value("/a/new", Some("2"));
    let json_only = Follower::start(filtered(&[dir.path()], "*.json"), &["/a"]);
    json_only.wait("the snapshot", |seen| seen.snapshots == 1);
    assert_eq!(json_only.seen().tree.len(), 1);
}

#[test]
fn all_broken_files_are_reported_at_once() {
    let dir = temp_dir();
    fs::write(dir.path().join("a.yaml"), "x: [\n").unwrap();
    fs::write(dir.path().join("b.json"), "{\n").unwrap();
    fs::write(dir.path().join("c.toml"), "x = 1\n").unwrap();
    let follower = Follower::start(settings(&[dir.path(), Path::new("/nowhere/to/be/found")]), &["/"]);
    follower.wait("the problems", |seen| seen.lost > 0);
    let seen = follower.seen();
    let problem = &seen.problems[0];
    for part in ["a.yaml:2:1: ", "b.json:2:1: ", "cannot read /nowhere/to/be/found: No such file"] {
        assert!(problem.contains(part), "{problem}");
    }
    assert_eq!(seen.snapshots, 0);
}

/// A ConfigMap as kubelet mounts it: the files are links into `..data`, which is a link to a folder that is swapped.
struct ConfigMap {
    dir: tempfile::TempDir,
    generation: u32,
}

impl ConfigMap {
    fn new(content: &str) -> ConfigMap {
        let mut map = ConfigMap { dir: temp_dir(), generation: 0 };
        map.swap(content);
        symlink("..data/store.yaml", map.file()).unwrap();
        map
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("store.yaml")
    }

    fn swap(&mut self, content: &str) {
        let old = format!("..{}", self.generation);
        self.generation += 1;
        let new = format!("..{}", self.generation);
        fs::create_dir(self.dir.path().join(&new)).unwrap();
        fs::write(self.dir.path().join(&new).join("store.yaml"), content).unwrap();
        fs::write(self.dir.path().join(&new).join("unlinked.yaml"), "a: {unlinked: 1}\n").unwrap();
        symlink(&new, self.dir.path().join("..data_tmp")).unwrap();
        fs::rename(self.dir.path().join("..data_tmp"), self.dir.path().join("..data")).unwrap();
        fs::remove_dir_all(self.dir.path().join(old)).ok();
    }
}

#[test]
fn a_config_map_is_followed_by_file_and_by_folder() {
    let mut map = ConfigMap::new("a: {x: 1}\n");
    let by_file = Follower::start(settings(&[&map.file()]), &["/a"]);
    let by_folder = Follower::start(settings(&[map.dir.path()]), &["/a"]);
    by_file.wait_value("/a/x", Some("1"));
    by_folder.wait_value("/a/x", Some("1"));
    for number in 2..5 {
        map.swap(&format!("a: {{x: {number}}}\n"));
        by_file.wait_value("/a/x", Some(&number.to_string()));
        by_folder.wait_value("/a/x", Some(&number.to_string()));
    }
    assert_eq!(by_folder.seen().tree.len(), 1, "what lies behind `..data` is none of our business");
}

#[test]
fn a_linked_file_is_followed_where_it_lies() {
    let (here, there) = (temp_dir(), temp_dir());
    let target = there.path().join("real.yaml");
    fs::write(&target, "a: 1\n").unwrap();
    let link = here.path().join("link.yaml");
    symlink(&target, &link).unwrap();
    let follower = Follower::start(settings(&[&link]), &["/"]);
    follower.wait_value("/a", Some("1"));
    replace(&target, "a: 2\n");
    follower.wait_value("/a", Some("2"));
    let other = there.path().join("other.yaml");
    fs::write(&other, "a: 3\n").unwrap();
    let beside = here.path().join("new-link");
    symlink(&other, &beside).unwrap();
    fs::rename(&beside, &link).unwrap();
    follower.wait_value("/a", Some("3"));
}

#[test]
fn without_following_a_file_is_read_once_per_wish() {
    let dir = temp_dir();
    let path = dir.path().join("store.json");
    fs::write(&path, r#"{"a": 1}"#).unwrap();
    let follower = Follower::start_with(settings(&[&path]), &["/"], false, Box::new(|_| Ok(())));
    follower.wait_value("/a", Some("1"));
    fs::write(&path, r#"{"a": 2}"#).unwrap();
    follower.resync();
    follower.wait_value("/a", Some("2"));
    follower.resync();
    follower.wait("a third snapshot", |seen| seen.snapshots == 3);
    follower.set_directories(&["/b"]);
    follower.wait("an empty tree", |seen| seen.tree.is_empty());
}
