//! upstreamd as it is installed: no flag sets the paths of its files, `/etc` is the one of the machine. Each test sees an `/etc`
//! of its own that nobody else sees.

use std::process::Command;

use crate::support::agent::{Sandbox, mounting};
use crate::support::program;

/// An `/etc` with these of the folders, each with a resource that writes the folder's name to `out/of`.
fn installed(folders: &[&str]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let dir = sandbox.text_path("");
    // The rest of /etc (users, name service) stays as it is.
    let mut script = format!(
        "set -e; mkdir -p {dir}etc-of-its-own; mount -t tmpfs none {dir}etc-of-its-own\n\
         cd {dir}etc-of-its-own; mkdir new work\n\
         mount -t overlay overlay -o lowerdir=/etc,upperdir=new,workdir=work /etc\n\
         rm -rf /etc/confd /etc/upstreamd\n"
    );
    for folder in folders {
        script.push_str(&format!(
            "mkdir -p /etc/{folder}/conf.d /etc/{folder}/templates\n\
             printf '[template]\\nsrc = \"of.tmpl\"\\ndest = \"{dir}out/of\"\\nkeys = [\"/\"]\\n' >/etc/{folder}/conf.d/of.toml\n\
             printf '{folder} {{{{getv \"/a\"}}}}\\n' >/etc/{folder}/templates/of.tmpl\n"
        ));
    }
    script.push_str("exec \"$@\"");
    sandbox.wrapper = mounting(&script);
    sandbox.installed = true;
    sandbox.set_store("a: one\n");
    sandbox
}

#[test]
fn confd_s_own_folder_serves_where_only_that_exists() {
    let confd = installed(&["confd"]);
    confd.run(&["--onetime"]).expect_code(0);
    assert_eq!(confd.output("of").as_deref(), Some("confd one\n"));

    let both = installed(&["confd", "upstreamd"]);
    both.run(&["--onetime"]).expect_code(0);
    assert_eq!(both.output("of").as_deref(), Some("upstreamd one\n"));
}

#[test]
fn without_any_folder_the_one_that_is_missing_is_named() {
    let nothing = installed(&[]);
    for (arguments, folder) in [
        (&["--onetime"][..], "/etc/upstreamd/conf.d"),
        (&[], "/etc/upstreamd/conf.d"),
        (&["--watch"], "/etc/upstreamd"),
    ] {
        let ran = nothing.run(arguments).expect_code(3);
        let said = format!("there are no resources: the folder `{folder}` does not exist (hint: ");
        assert!(ran.stderr.contains(&said), "{ran:?}");
    }
    // A confdir that exists may get its conf.d later.
    let empty = Sandbox::new();
    std::fs::remove_dir(empty.path("etc/conf.d")).unwrap();
    assert!(empty.run(&[]).expect_code(3).stderr.contains("/etc/conf.d` does not exist"));
    let _agent = empty.watch();
    empty.wait_log("started (watching)");
    std::fs::create_dir(empty.path("etc/conf.d")).unwrap();
    empty.plain_resource("a", "");
    empty.wait_for_file("out/a");
}

#[test]
fn the_first_line_of_the_log_names_the_settings_file_and_the_prefix() {
    let mut confd = installed(&["confd"]);
    let settings = "prefix = \"/prod\"";
    let script = confd.wrapper.iter_mut().find(|word| word.contains("exec \"$@\"")).unwrap();
    *script = script.replace("exec \"$@\"", &format!("echo '{settings}' >/etc/confd/confd.toml\nexec \"$@\""));
    confd.set_store("prod: {a: two}\na: one\n");
    let ran = confd.run(&["--onetime"]).expect_code(0);
    assert_eq!(confd.output("of").as_deref(), Some("confd two\n"));
    let first = ran.stderr.lines().next().unwrap();
    assert!(first.contains("config_file=\"/etc/confd/confd.toml\"") && first.contains(" prefix=\"/prod\""), "{ran:?}");
    // A confdir that is given has settings of its own, or none.
    confd.plain_resource("a", "");
    confd.set_store("prod: {v: {x: two}}\nv: {x: one}\n");
    let ran = confd.run(&["--onetime", "--confdir", &confd.text_path("etc")]).expect_code(0);
    assert_eq!(confd.output("a").as_deref(), Some("one\n"));
    let first = ran.stderr.lines().next().unwrap();
    assert!(first.contains("config_file=\"none\"") && first.contains(" prefix=\"/\""), "{ran:?}");
}

#[test]
fn without_a_mode_the_store_is_read_every_ten_minutes() {
    let confd = installed(&["confd"]);
    let _agent = confd.start(&[]);
    confd.wait_output("of", "confd one\n");
    confd.wait_log("started (every 600 s) confdir=/etc/confd ");
}

#[test]
fn resources_of_confd_that_an_empty_folder_hides_are_named() {
    let mut hidden = installed(&["confd", "upstreamd"]);
    // As `install -d` leaves it.
    for word in &mut hidden.wrapper {
        *word = word.replace("exec \"$@\"", "rm /etc/upstreamd/conf.d/*\nexec \"$@\"");
    }
    let says = "the resources in `/etc/confd` are not read, because `/etc/upstreamd` exists and has none";
    for arguments in [["check"], ["--onetime"]] {
        let ran = hidden.run(&arguments);
        assert!(ran.stderr.contains(says) || ran.stdout.contains(says), "{arguments:?}: {ran:?}");
    }
    let both = installed(&["confd", "upstreamd"]);
    let ran = both.run(&["check"]);
    assert!(!ran.stderr.contains("are not read") && !ran.stdout.contains("are not read"), "{ran:?}");
}

/// Completes the last of these words, as bash with the program's script does, and returns what it offers.
fn bash_completes(sandbox: &Sandbox, environment: &[(&str, &str)], words: &[&str]) -> Vec<String> {
    let script = "eval \"$(\"$0\" completions bash)\"; COMP_WORDS=(upstreamd \"$@\"); COMP_CWORD=$#\n\
                  _upstreamd_with_resources upstreamd \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n\
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new(&sandbox.wrapper[0]);
    bash.args(&sandbox.wrapper[1..]).args(["bash", "--norc", "-c", script, &program("upstreamd")]).args(words);
    for name in ["UPSTREAMD_CONFDIR", "CONFD_CONFDIR"] {
        bash.env_remove(name);
    }
    let ran = bash.envs(environment.iter().copied()).output().unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_the_resources_of_the_confdir_that_the_program_reads() {
    let confd = installed(&["confd"]);
    let both = installed(&["confd", "upstreamd"]);
    for folder in ["one", "two", "sp ace"] {
        std::fs::create_dir_all(confd.path(folder).join("conf.d")).unwrap();
        std::fs::write(confd.path(folder).join(format!("conf.d/{folder}.toml")), "").unwrap();
        std::fs::write(confd.path(folder).join("conf.d/README"), "").unwrap();
    }
    let [one, two, space] = ["one", "two", "sp ace"].map(|folder| confd.text_path(folder));
    let quoted = format!("\"{space}\"");
    let with_equals = format!("--confdir={one}");
    let home = confd.text_path("");
    let several = format!("{one},{two}");
    type Case<'a> = (&'a Sandbox, &'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&confd, &[], &["render", ""], &["of.toml"]),
        (&both, &[], &["diff", "o"], &["of.toml"]),
        (&confd, &[], &["render", "x"], &[]),
        (&confd, &[], &["--confdir", &one, "render", ""], &["one.toml"]),
        (&confd, &[], &["render", "--confdir", &one, ""], &["one.toml"]),
        (&confd, &[], &["-confdir", &one, "keys", "o"], &["one.toml"]),
        // As readline splits `--confdir=DIR`, and as it does where `=` breaks no word.
        (&confd, &[], &["-confdir", "=", &one, "diff", ""], &["one.toml"]),
        (&confd, &[], &[&with_equals, "diff", ""], &["one.toml"]),
        (&confd, &[], &["--confdir", &quoted, "render", ""], &["sp ace.toml"]),
        (&confd, &[("HOME", &home)], &["--confdir", "~/two", "render", ""], &["two.toml"]),
        (&confd, &[], &["--confdir", &one, "--confdir", &two, "render", ""], &["one.toml", "two.toml"]),
        (&confd, &[("UPSTREAMD_CONFDIR", &two), ("CONFD_CONFDIR", &one)], &["render", ""], &["two.toml"]),
        (&confd, &[("CONFD_CONFDIR", &several)], &["render", ""], &["one.toml", "two.toml"]),
        (&confd, &[("UPSTREAMD_CONFDIR", &two)], &["--confdir", &one, "render", ""], &["one.toml"]),
        // Other words are completed as before.
        (&confd, &[], &["rend"], &["render"]),
        (&confd, &[], &["man", "di"], &["diff"]),
        (&confd, &[], &["--auth"], &[]),
        (&confd, &[], &["--watch", "--", "mountpoin"], &["mountpoint"]),
        (&confd, &[], &["--watch", "--", "nginx", "rend"], &[]),
        (&confd, &[], &["render", "--backend", "fi"], &["file"]),
    ];
    for (sandbox, environment, words, expected) in cases {
        assert_eq!(bash_completes(sandbox, environment, words), *expected, "{environment:?} {words:?}");
    }
}
