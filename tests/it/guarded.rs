//! Folders that others may write, files that others have written, state that is broken: root touches nothing that it was not asked
//! for, and the agent gets on. The folder's owner is `nobody`; without root these tests say so and do nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::stat::Mode;
use upstreamd::world::fs::entry::Folders;

use crate::support::agent::Sandbox;
use crate::support::template::table;

const NOBODY: u32 = 65534;

/// A sandbox whose folder `out` belongs to `nobody`; `None` if we may not give it away.
fn foreign_folder() -> Option<Sandbox> {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {x: one}\n");
    sandbox.plain_resource("app", "");
    match chown(sandbox.path("out"), Some(NOBODY), Some(NOBODY)) {
        Ok(()) => Some(sandbox),
        Err(error) => {
            assert!(!nix::unistd::geteuid().is_root(), "{error}");
            eprintln!("this test needs root: nothing was tested");
            None
        }
    }
}

/// Makes a file of root beside the folders of the sandbox.
fn precious(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.path("precious");
    fs::write(&path, "root's own\n").unwrap();
    path
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_link_in_a_folder_of_others_leads_nowhere() {
    let Some(sandbox) = foreign_folder() else { return };
    let precious = precious(&sandbox);
    symlink(&precious, sandbox.path("out/app")).unwrap();
    let ran = sandbox.onetime();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "root's own\n");
    assert!(ran.stderr.contains("it is a link, and other users may change its folder"), "{}", ran.stderr);
    let checked = sandbox.run(&["check"]);
    assert_eq!(checked.code, Some(3), "{checked:?}");
    assert!(checked.stdout.contains("it is a link") || checked.stderr.contains("it is a link"), "{checked:?}");
    let diff = sandbox.run(&["diff"]);
    assert!(diff.stderr.contains("it is a link"), "{diff:?}");

    // A sticky folder of everybody's, such as /tmp: their links are refused, and ours are followed.
    for (owner, follows) in [(NOBODY, false), (0, true)] {
        fs::set_permissions(sandbox.path("out"), fs::Permissions::from_mode(0o1777)).unwrap();
        chown(sandbox.path("out"), Some(0), Some(0)).unwrap();
        std::os::unix::fs::lchown(sandbox.path("out/app"), Some(owner), Some(owner)).unwrap();
        let ran = sandbox.onetime();
        assert_eq!(
            (ran.code == Some(0), fs::read_to_string(&precious).unwrap() == "one\n"),
            (follows, follows),
            "{ran:?}"
        );
    }
}

#[test]
fn a_folder_of_others_cannot_be_led_elsewhere() {
    let Some(sandbox) = foreign_folder() else { return };
    // `out/sub` is made by its owner to lead to a folder of root.
    fs::create_dir(sandbox.path("cron.d")).unwrap();
    symlink(sandbox.path("cron.d"), sandbox.path("out/sub")).unwrap();
    std::os::unix::fs::lchown(sandbox.path("out/sub"), Some(NOBODY), Some(NOBODY)).unwrap();
    let dest = sandbox.text_path("out/sub/app");
    for more in ["", "make_dirs = true"] {
        sandbox.resource("app", &table("values.tera", &dest).keys(&["/v"]).lines(more));
        let ran = sandbox.onetime();
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert_eq!(fs::read_dir(sandbox.path("cron.d")).unwrap().count(), 0);
    }
    // Into another folder of the same user it gives that user nothing.
    chown(sandbox.path("cron.d"), Some(NOBODY), Some(NOBODY)).unwrap();
    let ran = sandbox.onetime();
    assert_eq!(
        (ran.code, fs::read_to_string(sandbox.path("cron.d/app")).unwrap().as_str()),
        (Some(0), "one\n"),
        "{ran:?}"
    );
}

/// A POSIX access control list that lets `nobody` write, and nobody else whom the mode does not name.
fn list_for_nobody() -> Vec<u8> {
    const ANYBODY: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 5] =
        [(1, 7, ANYBODY), (2, 7, NOBODY), (4, 5, ANYBODY), (0x10, 7, ANYBODY), (0x20, 5, ANYBODY)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend([tag.to_le_bytes(), rights.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    list
}

#[test]
fn a_link_of_others_to_the_root_is_not_followed_either() {
    let Some(sandbox) = foreign_folder() else { return };
    let link = sandbox.path("out/conf");
    for target in ["/", "/.", "//"] {
        symlink(target, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(NOBODY), Some(NOBODY)).unwrap();
        // Only opened: nothing is written to the root of this machine.
        let error = Folders::default().entry(&link.join("app.conf")).unwrap_err();
        assert!(error.source.to_string().contains("it is a link, and other users may change its folder"), "{error}");
        assert!(error.source.to_string().contains("/out`"), "{error}");
        fs::remove_file(&link).unwrap();
    }
    symlink(".", &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(NOBODY), Some(NOBODY)).unwrap();
    Folders::default().entry(&link.join("app.conf")).expect("a folder of the same user");
}

#[test]
fn who_may_write_to_a_folder_is_also_in_its_group_and_its_access_list() {
    let Some(sandbox) = foreign_folder() else { return };
    let precious = precious(&sandbox);
    symlink(&precious, sandbox.path("out/app")).unwrap();
    let name = "system.posix_acl_access";
    for (group, mode, has_list, is_refused) in [
        (0, 0o755, false, false),
        (0, 0o775, false, false),
        (NOBODY, 0o755, false, false),
        (NOBODY, 0o775, false, true),
        (0, 0o757, false, true),
        (0, 0o755, true, true),
    ] {
        let out = sandbox.path("out");
        chown(&out, Some(0), Some(group)).unwrap();
        fs::set_permissions(&out, fs::Permissions::from_mode(mode)).unwrap();
        if has_list {
            let list = list_for_nobody();
            rustix::fs::setxattr(&out, name, &list, rustix::fs::XattrFlags::empty()).expect("access control lists");
        }
        fs::write(&precious, "root's own\n").unwrap();
        let ran = sandbox.onetime();
        assert_eq!(ran.code != Some(0), is_refused, "{mode:o} {ran:?}");
        assert_eq!(fs::read_to_string(&precious).unwrap() == "root's own\n", is_refused, "{mode:o}");
        assert_eq!(ran.stderr.contains("it is a link, and other users may change its folder"), is_refused, "{ran:?}");
        if has_list {
            // As far as its mask goes.
            fs::set_permissions(&out, fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(sandbox.onetime().code, Some(0));
        }
    }
}

#[test]
fn folders_that_are_made_are_never_made_where_a_link_leads_in_between() {
    let Some(sandbox) = foreign_folder() else { return };
    let (out, victim) = (sandbox.path("out"), sandbox.path("cron.d"));
    fs::create_dir(&victim).unwrap();
    let stop = AtomicBool::new(false);
    let mut made = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The owner of `out` exchanges what is made there: for a link, for a folder of its own, for nothing.
            let (link, folder, place) = (out.join("link"), out.join("folder"), out.join("sub"));
            while !stop.load(Ordering::Relaxed) {
                symlink(&victim, &link).unwrap();
                std::os::unix::fs::lchown(&link, Some(NOBODY), Some(NOBODY)).unwrap();
                fs::rename(&place, out.join("away")).ok();
                fs::rename(&link, &place).ok();
                fs::remove_file(&place).ok();
                fs::remove_file(&link).ok();
                fs::create_dir_all(&folder).ok();
                chown(&folder, Some(NOBODY), Some(NOBODY)).ok();
                fs::rename(&folder, &place).ok();
                fs::remove_dir_all(out.join("away")).ok();
                fs::remove_dir_all(&place).ok();
            }
        });
        for _ in 0..3000 {
            let dest = out.join("sub/deep/app");
            let mut folders = Folders::default();
            let is_made = folders.make_folder_of(&dest).and_then(|()| folders.entry(&dest)).is_ok();
            made += usize::from(is_made);
            assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(made > 0, "never made");
}

#[test]
fn no_file_becomes_a_program_of_root() {
    let Some(sandbox) = foreign_folder() else { return };
    let dest = sandbox.path("out/app");
    sandbox.plain_resource("app", "owner = \"0\"");
    for round in 1..3 {
        fs::write(&dest, "of nobody").unwrap();
        chown(&dest, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(&dest, fs::Permissions::from_mode(0o6755)).unwrap();
        sandbox.set_store(&format!("v: {{x: {round}}}\n"));
        assert_eq!(sandbox.onetime().code, Some(0));
        assert_eq!((fs::metadata(&dest).unwrap().uid(), mode_of(&dest)), (0, 0o755));
    }
}

#[test]
fn a_pipe_in_the_way_holds_nothing_up() {
    let Some(sandbox) = foreign_folder() else { return };
    nix::unistd::mkfifo(&sandbox.path("out/app"), Mode::S_IRWXU).unwrap();
    let other = sandbox.text_path("other");
    sandbox.resource("other", &table("values.tera", &other).keys(&["/v"]).lines(""));
    let ran = sandbox.onetime();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("not a regular file"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(other).unwrap(), "one\n", "the other resource is as it would be");
}

#[test]
fn a_backup_that_anybody_may_have_put_there_is_not_restored() {
    let Some(mut sandbox) = foreign_folder() else { return };
    sandbox.stateless = true;
    assert_eq!(sandbox.onetime().code, Some(0));
    // The number of a process that is gone.
    let planted = sandbox.path("out/.app.upstreamd-backup-4194999-0");
    fs::write(&planted, "planted\n").unwrap();
    let ran = sandbox.onetime();
    assert_eq!((ran.code, sandbox.output("app").as_deref()), (Some(0), Some("one\n")), "{ran:?}");
    assert!(ran.stderr.contains("other users may write to that folder"), "{}", ran.stderr);
}

/// A resource that makes `out/NAME.conf` for each name below `/sites`.
fn for_each(sandbox: &Sandbox, more: &str) {
    sandbox.template("site.tera", "site {{ item }}: {{ getv(key=\"/sites/\" ~ item) }}\n");
    let dest = sandbox.text_path("out/{{ item }}.conf");
    sandbox.resource(
        "sites",
        &table("site.tera", &dest).keys(&["/sites"]).lines(format!("for_each = \"/sites/*\"\n{more}")),
    );
}

#[test]
fn a_name_from_the_store_never_takes_somebody_elses_file() {
    let sandbox = Sandbox::new();
    for_each(&sandbox, "");
    let admin = sandbox.path("out/admin.conf");
    let linked = sandbox.path("out/linked.conf");
    fs::write(&admin, "the administrator's own\n").unwrap();
    fs::write(sandbox.path("available.conf"), "the administrator's too\n").unwrap();
    symlink(sandbox.path("available.conf"), &linked).unwrap();
    fs::write(sandbox.path("out/same.conf"), "site same: 1\n").unwrap();
    sandbox.set_store("sites: {admin: 1, linked: 1, same: 1, web: 1}\n");
    let diff = sandbox.run(&["diff"]);
    assert!(diff.stderr.contains("upstreamd has not written it"), "{diff:?}");
    for _ in 0..2 {
        let ran = sandbox.onetime();
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(
            ran.stderr.contains("admin.conf` is there already, and upstreamd has not written it"),
            "{}",
            ran.stderr
        );
        assert_eq!(fs::read_to_string(&admin).unwrap(), "the administrator's own\n");
        assert_eq!(fs::read_to_string(&linked).unwrap(), "the administrator's too\n");
        assert_eq!(sandbox.output("web.conf").as_deref(), Some("site web: 1\n"));
    }
    // What upstreamd wrote, and what had the same bytes, goes on being kept, also by a new process.
    sandbox.set_store("sites: {same: 2, web: 2}\n");
    assert_eq!(sandbox.onetime().code, Some(0));
    assert_eq!(sandbox.output("same.conf").as_deref(), Some("site same: 2\n"));
    assert_eq!(sandbox.output("web.conf").as_deref(), Some("site web: 2\n"));
    sandbox.set_store("sites: {web: 2}\n");
    assert_eq!(sandbox.onetime().code, Some(0));
    assert_eq!(
        (sandbox.output("same.conf"), fs::read_to_string(&admin).unwrap().as_str()),
        (None, "the administrator's own\n")
    );
    // Other commands make another group of it: its files stay known.
    for_each(&sandbox, "check_cmd = \"true\"");
    sandbox.set_store("sites: {web: 3}\n");
    assert_eq!(sandbox.onetime().code, Some(0));
    assert_eq!(sandbox.output("web.conf").as_deref(), Some("site web: 3\n"));

    for_each(&sandbox, "adopt_existing = true");
    sandbox.set_store("sites: {admin: 1, web: 1}\n");
    assert_eq!(sandbox.onetime().code, Some(0));
    assert_eq!(sandbox.output("admin.conf").as_deref(), Some("site admin: 1\n"));
}

#[test]
fn a_name_never_becomes_a_command() {
    let sandbox = Sandbox::new();
    let proof = sandbox.text_path("proof");
    for_each(
        &sandbox,
        "check_cmd = \"sh -c \\\"test -f {{.src}}\\\"\"\nreload_cmd = \"eval \\\"test -f {{.dest}}\\\"\"",
    );
    let hostile =
        ["$(touch proof)", "`touch proof`", "x'; touch proof; '", "a b", "x\\\"; touch proof #", "x|touch proof"];
    let names = hostile.map(|name| format!("\"{name}\": 1")).join(", ");
    sandbox.set_store(&format!("sites: {{{names}, good: 1}}\n"));
    let mut command = sandbox.command(&["--onetime"]);
    let output = command.current_dir(sandbox.dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!Path::new(&proof).exists(), "{said}");
    assert!(said.contains("it has a character that means something to a shell"), "{said}");
    assert_eq!(sandbox.output("good.conf").as_deref(), Some("site good: 1\n"), "{said}");
}

#[test]
fn a_name_that_was_made_before_becomes_no_command_when_it_goes() {
    let sandbox = Sandbox::new();
    for_each(&sandbox, "");
    sandbox.set_store("sites: {\"$(touch proof)\": 1, \"x;touch proof;\": 1, good: 1, gone: 1}\n");
    sandbox.onetime().expect_code(0);
    assert!(sandbox.path("out/$(touch proof).conf").exists());
    let ran = sandbox.text_path("ran");
    for_each(&sandbox, &format!("reload_cmd = \"sh -c \\\"echo {{{{.dest}}}} >> {ran}\\\"\""));
    sandbox.set_store("sites: {\"$(touch proof)\": 1, \"x;touch proof;\": 1, good: 2}\n");
    let output = sandbox.command(&["--onetime"]).current_dir(sandbox.dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!sandbox.path("proof").exists(), "{said}");
    assert!(said.contains("reload_cmd is not run for `") && said.contains("$(touch proof).conf`"), "{said}");
    let ran = fs::read_to_string(ran).unwrap();
    assert!(ran.contains("/good.conf") && ran.contains("/gone.conf"), "{ran}\n{said}");
}

#[test]
fn a_link_of_others_becomes_no_command_when_a_reload_is_owed() {
    let Some(sandbox) = foreign_folder() else { return };
    let (ok, ran) = (sandbox.text_path("ok"), sandbox.text_path("ran"));
    let reload = format!("sh -c \\\"echo {{{{.src}}}} >> {ran}; test -e {ok}\\\"");
    let lines = format!("reload_cmd = \"{reload}\"\non_reload_failure = \"keep\"\n");
    sandbox.plain_resource("app", &lines);
    sandbox.plain_resource("other", &lines);
    assert_ne!(sandbox.onetime().code, Some(0));
    fs::write(&ok, "").unwrap();
    fs::remove_file(sandbox.path("out/app")).unwrap();
    symlink("$(touch proof)", sandbox.path("out/app")).unwrap();
    std::os::unix::fs::lchown(sandbox.path("out/app"), Some(NOBODY), Some(NOBODY)).unwrap();
    let output = sandbox.command(&["--onetime"]).current_dir(sandbox.dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!sandbox.path("proof").exists() && !sandbox.path("out/proof").exists(), "{said}");
    assert!(said.contains("reload_cmd is not run for `"), "{said}");
    let ran = fs::read_to_string(ran).unwrap();
    assert!(!ran.contains("touch") && ran.contains("/other"), "{ran}\n{said}");
}

#[test]
fn a_command_gets_none_of_our_variables() {
    let mut sandbox = Sandbox::new();
    sandbox.set_store("v: {x: one}\n");
    let env = |name: &str| format!("sh -c 'env > {}'", sandbox.text_path(name));
    sandbox.plain_resource("app", &format!("check_cmd = \"{}\"\nreload_cmd = \"{}\"", env("check"), env("reload")));
    let pairs = [
        ("UPSTREAMD_PASSWORD", "secret"),
        ("CONFD_PASSWORD", "secret"),
        ("UPSTREAMD_X", "1"),
        ("NOTIFY_SOCKET", "/none"),
    ];
    sandbox.environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    sandbox.environment.push(("CONFD_OF_SOMEBODY_ELSE".to_owned(), "stays".to_owned()));
    let script = format!("env > {0}.new; mv {0}.new {0}; exec sleep 0", sandbox.text_path("becomes"));
    let mut agent = sandbox.start_with_command(&["--onetime", "--", "/bin/sh", "-c", &script]);
    sandbox.wait_for_file("becomes");
    agent.child.wait().unwrap();
    let script = format!("env > {0}.new; mv {0}.new {0}; exec sleep 1000", sandbox.text_path("supervised"));
    let agent = sandbox.start_with_command(&["--watch", "--", "/bin/sh", "-c", &script]);
    sandbox.wait_for_file("supervised");
    for name in ["check", "reload", "becomes", "supervised"] {
        let found = fs::read_to_string(sandbox.path(name)).unwrap();
        assert!(found.contains("CONFD_OF_SOMEBODY_ELSE=stays"), "{name}: {found}");
        for (ours, _) in pairs {
            assert!(!found.contains(ours), "{name}: {found}");
        }
    }
    drop(agent);
}

/// Breaks a journal.
type Break = fn(&Path);

#[test]
fn a_broken_state_folder_heals() {
    let breaks: [(&str, Break); 6] = [
        ("not UTF-8", |journal| fs::write(journal, b"{\"files\": \"\xff\xfe\"}").unwrap()),
        ("a folder", |journal| {
            fs::remove_file(journal).unwrap();
            fs::create_dir(journal).unwrap();
        }),
        ("a pipe", |journal| {
            fs::remove_file(journal).unwrap();
            nix::unistd::mkfifo(journal, Mode::S_IRWXU).unwrap();
        }),
        ("half done, its folder gone", |journal| {
            let text = fs::read_to_string(journal).unwrap();
            let plan = "{\"files\": [{\"target\": \"/none/such/file\", \"new_hash\": \"0\", \"backup\": \"/none/such/.file.upstreamd-backup-1-0\", \"in_place\": false}]}";
            fs::write(journal, text.replace("\"in_flight\": null", &format!("\"in_flight\": {plan}"))).unwrap();
        }),
        ("half done, its folder a loop of links", |journal| {
            let text = fs::read_to_string(journal).unwrap();
            let link = journal.parent().unwrap().join("loop");
            symlink("loop", &link).unwrap();
            let target = link.join("file").display().to_string();
            let plan = format!(
                "{{\"files\": [{{\"target\": \"{target}\", \"new_hash\": \"0\", \"backup\": null, \"in_place\": false}}]}}"
            );
            fs::write(journal, text.replace("\"in_flight\": null", &format!("\"in_flight\": {plan}"))).unwrap();
        }),
        ("half done, another kind of file there now", |journal| {
            let text = fs::read_to_string(journal).unwrap();
            let folder = journal.parent().unwrap().display().to_string();
            let plan = format!(
                "{{\"files\": [{{\"target\": \"{folder}\", \"new_hash\": \"0\", \"backup\": null, \"in_place\": false}}]}}"
            );
            fs::write(journal, text.replace("\"in_flight\": null", &format!("\"in_flight\": {plan}"))).unwrap();
        }),
    ];
    for (what, break_it) in breaks {
        let sandbox = Sandbox::new();
        sandbox.set_store("v: {x: one}\n");
        sandbox.plain_resource("app", "reload_cmd = \"true\"");
        assert_eq!(sandbox.onetime().code, Some(0));
        let journal = fs::read_dir(sandbox.path("state/groups")).unwrap().next().unwrap().unwrap().path();
        break_it(&journal);
        sandbox.set_store("v: {x: two}\n");
        let ran = sandbox.onetime();
        assert_eq!((ran.code, sandbox.output("app").as_deref()), (Some(0), Some("two\n")), "{what}: {ran:?}");
        let says = ["cannot be read", "could not be put back", "is no longer a regular file"];
        assert!(says.iter().any(|text| ran.stderr.contains(text)), "{what}: {}", ran.stderr);
        assert_eq!(sandbox.onetime().code, Some(0), "{what}");
    }
}

#[test]
fn what_nginx_quotes_of_a_value_is_not_logged() {
    let balancer = crate::support::nginx::Nginx::started();
    let sandbox = Sandbox::new();
    sandbox.template("site.conf", "{{getv \"/v/x\"}}\n");
    let dest = balancer.http_file("site.conf");
    let check = format!("check_cmd = \"{}\"", balancer.check_command());
    sandbox.resource("site", &table("site.conf", dest.to_str().unwrap()).keys(&["/v"]).lines(&check));
    for value in
        ["hunter2-of-the-store", "server { listen hunter2-of-the-store; }", "log_format x '$hunter2_of_the_store';"]
    {
        sandbox.set_store(&format!("v: {{x: \"{value}\"}}\n"));
        let ran = sandbox.onetime();
        assert_eq!(ran.code, Some(6), "{ran:?}");
        assert!(!ran.stderr.contains("ter2"), "{}", ran.stderr);
        assert!(value.contains('$') || ran.stderr.contains("/site.conf:"), "file and line stay: {}", ran.stderr);
    }
}

#[test]
fn other_kinds_of_files_in_the_state_folder_are_put_aside() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {x: one}\n");
    sandbox.plain_resource("app", "reload_cmd = \"true\"");
    fs::create_dir_all(sandbox.path("state/transaction.lock")).unwrap();
    fs::write(sandbox.path("state/groups"), "a file").unwrap();
    symlink("/none/such", sandbox.path("state/live")).unwrap();
    let ran = sandbox.onetime();
    assert_eq!((ran.code, sandbox.output("app").as_deref()), (Some(0), Some("one\n")), "{ran:?}");
    assert_eq!(fs::read_to_string(sandbox.path("state/groups.unreadable")).unwrap(), "a file");
    assert!(ran.stderr.contains("is not a folder: it is kept as"), "{}", ran.stderr);
    assert!(ran.stderr.contains("is not a regular file: it is kept as"), "{}", ran.stderr);
}
