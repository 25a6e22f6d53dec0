//! Several services in one process: files are followed, a broken one keeps what it said, an edit disturbs nobody else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::{Backend, World};
use crate::slow::hold_open;
use crate::support::Daemon;
use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::{wait_for, wait_or, wait_until};

struct Folder {
    world: World,
    path: PathBuf,
    backend: Backend,
}

impl Folder {
    fn new() -> Folder {
        let world = World::new();
        let path = world.sandbox.path("announce.d");
        fs::create_dir(&path).unwrap();
        Folder { world, path, backend: Backend::silent() }
    }

    fn service(&self, name: &str, more: &str) -> String {
        format!(
            "[[service]]\nname = \"{name}\"\nid = \"one\"\naddress = \"{}\"\ninterval = \"300ms\"\ntimeout = \"250ms\"\n\
             ttl = \"3s\"\nrise = 1\n{more}\n",
            self.backend.address()
        )
    }

    fn write(&self, name: &str, text: &str) {
        let staged = self.path.join(format!(".{name}.new"));
        fs::write(&staged, text).unwrap();
        fs::rename(staged, self.path.join(name)).unwrap();
    }

    fn start(&self) -> Daemon {
        self.world.sandbox.start(&["announce", "--config-dir", self.path.to_str().unwrap()])
    }

    #[track_caller]
    fn wait_keys(&mut self, expected: &[&str]) {
        let Folder { world, .. } = self;
        let are_there = || (world.reader.keys("/services/") == expected).then_some(());
        wait_or(DEADLINE, are_there, || format!("the keys are not {expected:?}:\n{}", world.sandbox.log()));
    }
}

#[test]
fn files_are_followed() {
    let mut folder = Folder::new();
    folder.write("a.toml", &format!("{}{}", folder.service("web", ""), folder.service("db", "")));
    let _announcer = folder.start();
    folder.wait_keys(&["/services/db/one", "/services/web/one"]);
    let (_, before) = folder.world.reader.read("/services/db/").unwrap();
    folder.write("b.toml", &folder.service("mail", ""));
    folder.wait_keys(&["/services/db/one", "/services/mail/one", "/services/web/one"]);
    folder.write("a.toml", &format!("{}{}", folder.service("web", "weight = 7"), folder.service("db", "")));
    let web = |folder: &mut Folder| folder.world.reader.read("/services/web/").unwrap().1.remove(0);
    let first = web(&mut folder).created;
    wait_until("the new weight", DEADLINE, || web(&mut folder).value.contains(r#""weight":7,"#));
    assert_eq!(web(&mut folder).created, first, "it was taken away for an edit of its weight");
    fs::remove_file(folder.path.join("b.toml")).unwrap();
    folder.wait_keys(&["/services/db/one", "/services/web/one"]);
    assert_eq!(folder.world.reader.read("/services/db/").unwrap().1, before, "it was disturbed by the others");
}

#[test]
fn what_a_restored_etcd_brings_back_is_put_right() {
    let mut folder = Folder::new();
    folder.write("a.toml", &folder.service("web", ""));
    folder.write("b.toml", &folder.service("db", ""));
    let _announcer = folder.start();
    folder.wait_keys(&["/services/db/one", "/services/web/one"]);
    let copy = folder.world.etcd.dir.path().join("copy");
    folder.world.etcd.save_copy(&copy);
    folder.write("a.toml", &folder.service("web", "weight = 7"));
    fs::remove_file(folder.path.join("b.toml")).unwrap();
    let wait_edited = |world: &mut World| {
        let World { reader, sandbox, .. } = world;
        let is_edited = || {
            let (_, entries) = reader.read("/services/")?;
            (entries.len() == 1 && entries[0].value.contains(r#""weight":7,"#)).then_some(())
        };
        wait_or(DEADLINE, is_edited, || format!("the store is not as the files say:\n{}", sandbox.log()));
    };
    wait_edited(&mut folder.world);
    folder.world.etcd.kill();
    folder.world.etcd.restore_copy(&copy);
    folder.world.etcd.restart();
    wait_edited(&mut folder.world);
}

#[test]
fn a_file_that_hangs_holds_up_nothing() {
    let mut folder = Folder::new();
    folder.write("a.toml", &folder.service("web", "fall = 1"));
    let mut announcer = folder.start();
    folder.wait_keys(&["/services/web/one"]);
    let _holder = hold_open(&folder.world.sandbox, &folder.path.join("a.toml"));
    announcer.signal(Signal::SIGHUP);
    // The backend ends, and its key with it.
    folder.backend = Backend::silent();
    folder.world.sandbox.wait_log(", removing it: ");
    folder.wait_keys(&[]);
    announcer.signal(Signal::SIGTERM);
    wait_for("the end", DEADLINE, || announcer.child.try_wait().unwrap());
}

#[test]
fn a_broken_file_keeps_what_it_said() {
    let mut folder = Folder::new();
    folder.write("a.toml", &folder.service("web", ""));
    folder.write("broken.toml", "[[service]]\nname = \"a/b\"\n");
    let _announcer = folder.start();
    folder.wait_keys(&["/services/web/one"]);
    let log = folder.world.sandbox.log();
    assert!(log.contains("broken.toml:2:8: name: `a/b` contains `/`") && log.contains("address: is missing"), "{log}");
    folder.write("a.toml", &folder.service("web", "interwal = \"1s\""));
    folder.world.sandbox.wait_log("did you mean `interval`?");
    folder.write("broken.toml", &folder.service("db", ""));
    folder.wait_keys(&["/services/db/one", "/services/web/one"]);
}

#[test]
fn a_check_that_hangs_ends_with_an_edit_and_with_the_announcer() {
    let folder = Folder::new();
    let (path, backend) = (folder.path.display(), folder.backend.address());
    let write = |more: &str| {
        let service = format!(
            "[[service]]\nname = \"web\"\nid = \"one\"\naddress = \"{backend}\"\ninterval = \"100s\"\ntimeout = \"90s\"\n\
             ttl = \"1h\"\ncheck = \"exec:echo $$ > '{path}/.new'; mv '{path}/.new' '{path}/pid'; exec sleep 1000\"\n{more}"
        );
        folder.write("a.toml", &service);
    };
    let pid = |known: &str| {
        let read = || fs::read_to_string(folder.path.join("pid")).ok().filter(|pid| pid != known);
        wait_for("a check to begin", DEADLINE, read)
    };
    let wait_end = |pid: &str| {
        wait_until("the check to end", DEADLINE, || {
            let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        });
    };
    write("");
    let mut announcer = folder.start();
    let first = pid("");
    write("weight = 7");
    let second = pid(&first);
    wait_end(&first);
    announcer.signal(Signal::SIGTERM);
    wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
    wait_end(&second);
}

#[test]
fn an_empty_folder_is_said_and_waited_for() {
    let mut folder = Folder::new();
    let _announcer = folder.start();
    let said = format!("no services in `{}`: nothing is announced", folder.path.display());
    folder.world.sandbox.wait_log(&said);
    assert!(folder.world.sandbox.log().contains(" WARN "), "{}", folder.world.sandbox.log());
    folder.write("a.toml", &folder.service("web", ""));
    folder.wait_keys(&["/services/web/one"]);
    let mark = folder.world.sandbox.mark();
    fs::remove_file(folder.path.join("a.toml")).unwrap();
    folder.world.sandbox.wait_log_since(mark, &said);
}

#[test]
fn a_folder_that_does_not_exist_yet_is_waited_for() {
    let mut folder = Folder::new();
    fs::remove_dir(&folder.path).unwrap();
    let _announcer = folder.start();
    let path = folder.path.display().to_string();
    let is_said =
        |line: &str| line.contains(" WARN ") && line.contains(&path) && line.contains(": nothing is announced (hint");
    folder.world.sandbox.wait_log("failed to read the folder");
    let log = folder.world.sandbox.log();
    assert!(log.lines().any(is_said) && !log.contains("ERROR") && !log.contains("read the services"), "{log}");
    let staged = folder.world.sandbox.path("staged.d");
    fs::create_dir(&staged).unwrap();
    fs::write(staged.join("a.toml"), folder.service("web", "")).unwrap();
    fs::rename(staged, &folder.path).unwrap();
    folder.wait_keys(&["/services/web/one"]);
}

#[test]
fn a_folder_that_cannot_be_read_withdraws_nothing() {
    let mut folder = Folder::new();
    fs::create_dir(folder.path.join("sub")).unwrap();
    folder.write("a.toml", &folder.service("web", ""));
    fs::write(folder.path.join("sub/b.toml"), folder.service("db", "")).unwrap();
    let _announcer = folder.start();
    folder.wait_keys(&["/services/db/one", "/services/web/one"]);
    // Even root cannot follow a link to itself.
    let away = folder.world.sandbox.path("away");
    fs::rename(folder.path.join("sub"), &away).unwrap();
    symlink("sub", folder.path.join("sub")).unwrap();
    folder.world.sandbox.wait_log("/sub`: Too many levels of symbolic links");
    folder
        .world
        .wait_status(3, &["folder not read", "2 of 2 announced", "cannot be read; the services that were read"]);
    folder.write("a.toml", &folder.service("api", ""));
    folder.wait_keys(&["/services/api/one", "/services/db/one"]);
    let mark = folder.world.sandbox.mark();
    let all = folder.world.sandbox.path("all");
    fs::rename(&folder.path, &all).unwrap();
    folder.world.sandbox.wait_log_since(mark, "the services that were read from it stay announced");
    folder.wait_keys(&["/services/api/one", "/services/db/one"]);
    fs::remove_file(all.join("sub")).unwrap();
    fs::rename(all, &folder.path).unwrap();
    folder.wait_keys(&["/services/api/one"]);
}

#[test]
fn the_files_are_checked_without_etcd_and_all_at_once() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("announce.d");
    fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let good = "[[service]]\nname = \"web\"\naddress = \"10.0.0.5:80\"\nid = \"one\"\n";
    write("a.toml", good);
    let check = |path: &str| sandbox.run(&["check", "--config-dir", sandbox.path(path).to_str().unwrap()]);
    let ran = check("announce.d").expect_code(0);
    assert_eq!(ran.stdout, format!("1 service in {}: no problem\n", folder.display()));
    write("b.toml", "[[service]]\nname = \"db\"\naddress = \"10.0.0.5\"\nttl = \"1s\"\nwieght = 5\n");
    write("c.toml", &format!("{good}\n{good}name = \"twice\"\n"));
    write("d.tml", good);
    let ran = check("announce.d").expect_code(3);
    for said in [
        "b.toml:3:11: address: ",
        "b.toml:4:7: ttl: ",
        "b.toml:5:1: ",
        "did you mean `weight`?",
        "c.toml:10:1: `name` is given twice\n  hint: leave one of the two out; the first is on line 7\n",
        "d.tml: this file is not read, because its name does not end in .toml",
        "4 problems; 1 service OK",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    }
    check("announce.d/a.toml").expect_code(0);
    let ran = check("announce.d/b.toml").expect_code(3);
    assert!(ran.stderr.contains("3 problems; 0 services OK"), "{ran:?}");
    write("c.toml", good);
    fs::remove_file(folder.join("b.toml")).unwrap();
    let ran = check("announce.d").expect_code(3);
    assert!(ran.stderr.contains("c.toml:1:1: another service is already announced as `/services/web/one`"), "{ran:?}");
    let ran = check("nowhere").expect_code(3);
    assert!(ran.stderr.contains("nowhere`: No such file"), "{ran:?}");
}
