//! A check of the whole tree sees every file as it will be, wherever it lies, and nothing is live before. Where it cannot
//! see a file, it says why and runs after the file is in place.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::agent::{Sandbox, mounting, without_mounting};
use crate::support::program;
use crate::support::template::{Table, table};

/// What the agent warns with if a check cannot see the future tree.
const FALLEN_BACK: [&str; 2] = ["cannot see new files before", "no private mount namespace"];

/// The tree as the agent itself sees it, for a check in a namespace. What a check writes elsewhere may go with it.
const OUTSIDE: &str = "/proc/$PPID/root";

/// A check that accepts a file with "good" in it, at `dest`. Notes in `live` what is there
/// meanwhile, outside of the check's namespace.
fn check_of(sandbox: &Sandbox, dest: &str, more: &str) -> String {
    let live = sandbox.text_path("live");
    format!("cat {OUTSIDE}{dest} >> {OUTSIDE}{live} 2>/dev/null; {more} grep -q good {dest}")
}

fn new_file(sandbox: &Sandbox, dest: &str, more_checks: &str) -> Table {
    table("values.tera", dest).keys(&["/v"]).set("check_cmd", check_of(sandbox, dest, more_checks))
}

fn as_root_of_its_own(sandbox: &mut Sandbox) {
    if !nix::unistd::geteuid().is_root() {
        sandbox.wrapper = mounting("exec \"$@\"");
    }
    sandbox.template("values.tera", "{% for pair in gets(pattern=\"/v/*\") %}{{ pair.value }}\n{% endfor %}");
}

/// A bad new file is refused and was never live, the good one that follows goes live.
#[track_caller]
fn only_the_good_one_goes_live(sandbox: &Sandbox, lands_at: &Path) {
    sandbox.set_store("v: {a: bad}\n");
    let ran = sandbox.onetime().expect_code(6);
    assert!(!lands_at.exists(), "{ran:?}");
    assert!(FALLEN_BACK.iter().all(|said| !ran.stderr.contains(said)), "{ran:?}");
    sandbox.set_store("v: {a: good}\n");
    let ran = sandbox.onetime().expect_code(0);
    assert!(FALLEN_BACK.iter().all(|said| !ran.stderr.contains(said)), "{ran:?}");
    assert_eq!(fs::read_to_string(lands_at).unwrap(), "good\n");
    assert_eq!(sandbox.lines("live"), [""; 0], "what was live while it was checked");
}

#[test]
fn the_state_folder_may_lie_below_the_folder_of_a_new_file() {
    let mut sandbox = Sandbox::new();
    as_root_of_its_own(&mut sandbox);
    let dest = sandbox.text_path("new.conf");
    sandbox.resource("new", &new_file(&sandbox, &dest, ""));
    only_the_good_one_goes_live(&sandbox, Path::new(&dest));
    assert!(sandbox.path("state").exists());
}

#[test]
fn without_a_state_folder_a_check_sees_the_new_file_and_all_others() {
    let mut sandbox = Sandbox::new();
    as_root_of_its_own(&mut sandbox);
    sandbox.stateless = true;
    let dest = sandbox.text_path("out/new.conf");
    // Everything in the folder for temporary files is there as well.
    let others = format!("test -e {} || exit 9;", sandbox.text_path("store.yaml"));
    sandbox.resource("new", &new_file(&sandbox, &dest, &others));
    only_the_good_one_goes_live(&sandbox, Path::new(&dest));
}

#[test]
fn a_new_file_behind_links_is_seen_by_each_of_its_names() {
    let mut sandbox = Sandbox::new();
    as_root_of_its_own(&mut sandbox);
    fs::create_dir_all(sandbox.path("out/deep/er")).unwrap();
    fs::create_dir_all(sandbox.path("links")).unwrap();
    symlink("../out/deep", sandbox.path("links/one")).unwrap();
    symlink("one/er", sandbox.path("links/two")).unwrap();
    symlink("../../real.conf", sandbox.path("out/deep/er/new.conf")).unwrap();
    let dest = sandbox.text_path("links/two/new.conf");
    let other_name = format!("grep -q . {} || exit 9;", sandbox.text_path("out/real.conf"));
    sandbox.resource("new", &new_file(&sandbox, &dest, &other_name));
    only_the_good_one_goes_live(&sandbox, &sandbox.path("out/real.conf"));
    assert!(sandbox.path("out/deep/er/new.conf").is_symlink());
}

#[test]
fn the_folder_of_a_new_file_looks_as_it_is_and_its_mounts_stay() {
    let mut sandbox = Sandbox::new();
    as_root_of_its_own(&mut sandbox);
    fs::create_dir(sandbox.path("out/mounted")).unwrap();
    fs::set_permissions(sandbox.path("out"), fs::Permissions::from_mode(0o2751)).unwrap();
    let out = sandbox.text_path("out");
    let mount = format!("mount -t tmpfs -o noexec tmpfs {out}/mounted && touch {out}/mounted/x && exec \"$@\"");
    sandbox.wrapper = mounting(&mount);
    let dest = format!("{out}/new.conf");
    let as_it_is = format!("test $(stat -c %a {out}) = 2751 && test -e {out}/mounted/x || exit 9;");
    sandbox.resource("new", &new_file(&sandbox, &dest, &as_it_is));
    only_the_good_one_goes_live(&sandbox, Path::new(&dest));
}

#[test]
fn new_files_in_several_folders_and_removed_ones_are_seen_together() {
    let mut sandbox = Sandbox::new();
    as_root_of_its_own(&mut sandbox);
    let (above, below) = (sandbox.text_path("{{ item }}.conf"), sandbox.text_path("out/made/{{ item }}.conf"));
    let check = format!(
        "cd {0} && echo *.conf out/made/*.conf >> {OUTSIDE}{0}seen && \
         ls {OUTSIDE}{0} {OUTSIDE}{0}out/made >> {OUTSIDE}{0}live",
        sandbox.text_path(""),
    );
    sandbox.template("site.tera", "{{ getv(key=\"/s/\" ~ item) }}\n");
    for (name, dest) in [("above", &above), ("below", &below)] {
        let lines = table("site.tera", dest).keys(&["/s"]).set("for_each", "/s/*").set("check_cmd", &check);
        sandbox.resource(name, &lines.lines("make_dirs = true"));
    }
    sandbox.set_store("s: {a: one, b: one}\n");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.lines("seen"), ["a.conf b.conf out/made/a.conf out/made/b.conf"]);
    let live = sandbox.lines("live").join(" ");
    assert!(!live.contains(".conf"), "{live}");
    sandbox.set_store("s: {b: two, c: two}\n");
    let ran = sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.lines("seen")[1..], ["b.conf c.conf out/made/b.conf out/made/c.conf"], "{ran:?}");
}

/// Mounts for a script: `$root` is an overlay, as a container's root is, with nothing of this machine but its programs.
fn overlay_root(sandbox: &Sandbox) -> String {
    let (own, programs) = (sandbox.text_path(""), program("upstreamd"));
    let programs = Path::new(&programs).parent().unwrap().to_str().unwrap();
    format!(
        "set -e; top={own}root; root=$top/merged; mkdir $top; mount -t tmpfs tmpfs $top
        mkdir $top/lower $top/upper $top/work $root
        mount -t overlay overlay -o lowerdir=$top/lower,upperdir=$top/upper,workdir=$top/work $root
        for folder in /usr /proc; do mkdir -p $root$folder; mount --rbind $folder $root$folder; done
        for folder in {own} {programs}; do mkdir -p $root$folder; mount --bind $folder $root$folder; done
        mkdir $root/dev; touch $root/dev/null; mount --bind /dev/null $root/dev/null
        for name in bin lib lib64 sbin; do ln -s usr/$name $root/$name; done
        "
    )
}

#[test]
fn a_new_file_at_the_top_of_an_overlay_is_checked() {
    let mut sandbox = Sandbox::new();
    let (store, seen) = (sandbox.text_path("store.yaml"), sandbox.text_path("seen"));
    let runs = format!(
        "run() {{ echo \"$values\" >{store}; chroot $root \"$@\" || echo exit $?; (cd $root; echo *.conf); }}
        values='v: {{a: bad}}'; run \"$@\"
        values='v: {{a: good, b: good}}'; run \"$@\"
        values='v: {{b: good}}'; run \"$@\""
    );
    sandbox.wrapper = mounting(&(overlay_root(&sandbox) + &runs));
    sandbox.template("site.tera", "{{ getv(key=\"/v/\" ~ item) }}\n");
    let check = format!("test -e {store} && echo /*.conf >>{OUTSIDE}{seen} && ! grep bad /*.conf");
    let lines = table("site.tera", "/{{ item }}.conf").keys(&["/v"]).set("for_each", "/v/*").set("check_cmd", check);
    sandbox.resource("new", &lines);
    let ran = sandbox.onetime().expect_code(0);
    assert_eq!(ran.stdout, "exit 6\n*.conf\na.conf b.conf\nb.conf\n", "{ran:?}");
    assert_eq!(sandbox.lines("seen"), ["/a.conf", "/a.conf /b.conf", "/b.conf"], "{ran:?}");
    assert!(FALLEN_BACK.iter().all(|said| !ran.stderr.contains(said)), "{ran:?}");
}

#[test]
fn a_check_that_cannot_see_a_new_file_says_why_and_runs_afterwards() {
    let mut sandbox = Sandbox::new();
    as_root_of_its_own(&mut sandbox);
    // The kernel stacks two overlays, not three.
    let out = sandbox.text_path("out");
    let stack = format!(
        "set -e; mount -t tmpfs tmpfs {out}; cd {out}; for n in 1 2; do mkdir l$n u$n w$n m$n; done
        mount -t overlay overlay -o lowerdir=l1,upperdir=u1,workdir=w1 m1
        mount -t overlay overlay -o lowerdir=m1,upperdir=u2,workdir=w2 m2
        \"$@\" || echo exit $?; ls m2"
    );
    sandbox.wrapper = mounting(&stack);
    sandbox.set_store("v: {a: bad}\n");
    sandbox.resource("new", &new_file(&sandbox, &format!("{out}/m2/new.conf"), ""));
    let ran = sandbox.onetime().expect_code(0);
    assert_eq!(ran.stdout, "exit 6\n", "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("{} they are in place (cannot overlay `{out}/m2`: ", FALLEN_BACK[0])),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("CAP_SYS_ADMIN") && sandbox.lines("live") == ["bad"], "{ran:?}");
}

#[test]
fn only_a_process_that_may_not_mount_hears_of_the_right_to() {
    let mut sandbox = Sandbox::new();
    as_root_of_its_own(&mut sandbox);
    sandbox.wrapper = without_mounting();
    sandbox.set_store("v: {a: bad}\n");
    sandbox.resource("new", &new_file(&sandbox, &sandbox.text_path("out/new.conf"), ""));
    let ran = sandbox.onetime().expect_code(6);
    assert!(ran.stderr.contains(FALLEN_BACK[1]) && ran.stderr.contains("CAP_SYS_ADMIN"), "{ran:?}");
    assert_eq!(sandbox.output("new.conf"), None, "{ran:?}");
}
