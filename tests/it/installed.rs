//! upstreamd as it is installed: no flag sets the paths of its files, `/etc` is the one of the machine. Each test sees an `/etc`
//! of its own that nobody else sees.

use crate::support::agent::{Sandbox, mounting};

/// An `/etc` with these of the folders, each with a resource that writes the folder's name to `out/of`.
fn installed(folders: &[&str]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let dir = sandbox.text_path("");
    // The rest of /etc (users, name service) stays as it is.
    let mut script = format!(
        "set -e; mkdir {dir}etc-of-its-own; mount -t tmpfs none {dir}etc-of-its-own\n\
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
    let ran = nothing.run(&["--onetime"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("/etc/upstreamd"), "{ran:?}");
}

#[test]
fn without_a_mode_the_store_is_read_every_ten_minutes() {
    let confd = installed(&["confd"]);
    let _agent = confd.start(&[]);
    confd.wait_output("of", "confd one\n");
    confd.wait_log("started (every 600 s) confdir=\"/etc/confd\"");
}
