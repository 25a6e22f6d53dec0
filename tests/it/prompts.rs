//! What a person at a prompt is told: by a store that is away or refuses us, and by a command line with a mistake in it.

use crate::support::agent::{Ran, Sandbox};
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options};
use crate::support::{free_port, program, temp_dir};

/// Runs each command that reads the store once, with these flags, and expects it to end without the store, and to say these words.
#[track_caller]
fn check_all(sandbox: &Sandbox, flags: &[&str], words: &[&str], check: impl Fn(&str, &Ran)) {
    for command in [["diff"].as_slice(), &["render", "a"], &["keys"], &["agents"], &["--onetime"], &["--preflight"]] {
        let ran = sandbox.run(&[command, flags].concat()).expect_code(4);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(words.iter().all(|word| said.contains(word)), "{command:?}: {said}");
        check(command[0], &ran);
    }
}

#[test]
fn a_store_that_is_away_is_reported_after_a_second() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let sandbox = Sandbox::on_etcd(&url);
    sandbox.plain_resource("a", "");
    check_all(&sandbox, &["--backend-timeout", "2s"], &[&url, "Connection refused"], |command, ran| {
        // It asks for the store's health first, and ends.
        let times = usize::from(command != "--preflight");
        assert_eq!(ran.stderr.matches("; trying for another 1 s (--backend-timeout)").count(), times, "{ran:?}");
        assert_eq!(ran.stderr.matches(" yet: cannot connect to ").count(), times, "{ran:?}");
    });
}

/// Expects single runs to end long before the time limit, with these words.
#[track_caller]
fn check_no_retry(etcd: &Etcd, flags: &[&str], words: &[&str]) {
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.plain_resource("a", "");
    let flags = [["--backend-timeout", "10m"].as_slice(), flags].concat();
    check_all(&sandbox, &flags, words, |_, ran| assert!(!ran.stderr.contains("trying for another"), "{ran:?}"));
}

#[test]
fn a_login_that_never_works_is_not_tried_again() {
    let etcd = Etcd::start();
    etcd.enable_auth(&["/v"]);
    let wrong = ["--username", "reader", "--password", "x"];
    check_no_retry(&etcd, &wrong, &["authentication failed, invalid user ID or password"]);
    check_no_retry(&etcd, &[], &["user name is empty"]);
}

#[test]
fn certificates_that_never_work_are_not_tried_again() {
    let folder = temp_dir();
    let certs = Certs::new(folder.path(), &[]);
    let etcd = Etcd::start_with(Options { certs: Some(certs.clone()), needs_client_cert: true, ..Options::default() });
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (ca, cert, key) = (text(&certs.ca), text(&certs.client_cert), text(&certs.server_key));
    check_no_retry(&etcd, &["--client-ca-keys", "/missing.pem"], &["cannot read the CA file", "/missing.pem"]);
    check_no_retry(&etcd, &["--client-cert", &cert, "--client-key", &key, "--client-ca-keys", &ca], &["key"]);
    check_no_retry(&etcd, &[], &["which is not among the system's certificate authorities"]);
    // The server's word on that comes after the handshake, while we write already.
    for _ in 0..5 {
        check_no_retry(&etcd, &["--client-ca-keys", &ca], &["client certificate"]);
    }
}

#[test]
fn a_daemon_goes_on_with_a_wrong_password() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    etcd.enable_auth(&["/v"]);
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.plain_resource("a", "");
    let _daemon = sandbox.start(&["--watch", "--username", "reader", "--password", "later"]);
    sandbox.wait_log("invalid user ID or password");
    etcd.ctl_as(Some("root:root"), &["user", "delete", "reader"]);
    etcd.ctl_as(Some("root:root"), &["user", "add", "reader:later"]);
    etcd.ctl_as(Some("root:root"), &["user", "grant-role", "reader", "reader"]);
    sandbox.wait_output("a", "one\n");
}

#[test]
fn commands_for_people_say_which_store_and_settings_they_read() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let store = format!("reading file {}", sandbox.text_path("store.yaml"));
    for (command, code) in [(["diff"].as_slice(), 1), (&["render", "a"], 0), (&["keys"], 0)] {
        let ran = sandbox.run(command).expect_code(code);
        assert!(ran.stderr.contains(&format!("{store} (no settings file)\n")), "{ran:?}");
        assert!(!ran.stdout.contains("reading"), "{ran:?}");
        let quiet = sandbox.run(&[command, &["--log-level", "warn"]].concat()).expect_code(code);
        assert!(!quiet.stderr.contains("reading"), "{quiet:?}");
    }
    let file = sandbox.text_path("etc/upstreamd.toml");
    std::fs::write(&file, "").unwrap();
    let ran = sandbox.run(&["keys"]).expect_code(0);
    assert!(ran.stderr.contains(&format!("{store} (settings file {file})\n")), "{ran:?}");
}

#[test]
fn check_takes_a_folder_and_warns_of_what_is_passed_over() {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.installed = true;
    let folder = sandbox.text_path("etc");
    assert!(
        sandbox.run(&["check", &folder]).expect_code(0).stdout.contains(&format!("1 resource in {folder}: no problem"))
    );
    let missing = sandbox.run(&["check", "/missing"]).expect_code(3);
    assert!(missing.stderr.contains("/missing/conf.d"), "{missing:?}");
    std::fs::write(sandbox.path("etc/conf.d/b.tml"), "").unwrap();
    sandbox.environment = vec![("UPSTREAMD_INTERVL".into(), "x".into())];
    let ran = sandbox.run(&["check", &folder]).expect_code(0);
    let variable = "warning: the environment variable `UPSTREAMD_INTERVL` is not a setting\n  hint: did you mean \
                    `UPSTREAMD_INTERVAL`?\n";
    let file =
        format!("warning: {folder}/conf.d/b.tml: this file is not read, because its name does not end in .toml\n");
    assert!(ran.stderr.contains(variable) && ran.stderr.contains(&file), "{ran:?}");
}

#[test]
fn a_missing_confdir_is_hinted_at_and_so_is_the_file_that_names_it() {
    let sandbox = Sandbox::new();
    let (none, file) = (sandbox.text_path("none"), sandbox.text_path("own.toml"));
    std::fs::write(&file, format!("confdir = \"{none}\"\n")).unwrap();
    let hint = "put a resource into conf.d there, as in the quick start of README.md, or name a different folder";
    for words in [&["check"][..], &["diff"], &["--onetime"]] {
        for (flag, value, named) in [("--confdir", &none, false), ("--config-file", &file, true)] {
            let mut command = std::process::Command::new(program("upstreamd"));
            let ran = command.args(words).args(["--backend", "env", flag, value]).output().unwrap();
            let said = String::from_utf8(ran.stderr).unwrap();
            assert!(ran.status.code() == Some(3) && said.contains(hint), "{words:?}: {said}");
            assert_eq!(said.contains(&format!("the confdir is that of {file}; ")), named, "{words:?}: {said}");
        }
    }
}

#[test]
fn check_warns_of_keys_that_no_variable_has() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.template("values.tera", "{{ getv(key=\"/v/x\") }}{{ getv(key=\"/v/dB_Host\") }}");
    let check = |backend: &str| {
        let mut command = std::process::Command::new(program("upstreamd"));
        let confdir = sandbox.text_path("etc");
        let ran = command.args(["check", "--confdir", &confdir, "--backend", backend]).output().unwrap();
        String::from_utf8(ran.stderr).unwrap()
    };
    let place = sandbox.text_path("etc/templates/values.tera:1:26");
    let warning = format!("warning: {place}: `getv` of `/v/dB_Host` never finds anything in the environment");
    let said = check("env");
    assert!(said.contains(&warning) && said.contains("hint: ask for `/v/db/host`"), "{said}");
    assert_eq!(said.matches("never finds").count(), 1, "{said}");
    assert!(!check("etcd").contains("never finds"));
}

#[test]
fn a_confdir_that_is_a_conf_d_is_hinted_at_the_folder_above() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "");
    let (conf_d, above) = (sandbox.text_path("etc/conf.d"), sandbox.text_path("etc"));
    for words in [&["check"][..], &["diff"], &["--onetime"]] {
        let mut command = std::process::Command::new(program("upstreamd"));
        let ran = command.args(words).args(["--backend", "env", "--confdir", &conf_d]).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        let hint = format!("hint: name the folder above conf.d: {above}");
        assert!(ran.status.code() == Some(3) && said.contains(&hint), "{words:?}: {said}");
    }
}

#[test]
fn diff_shows_one_resource_by_name() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.plain_resource("b", "");
    sandbox.set_store("v: {x: one}\n");
    let ran = sandbox.run(&["diff", "b", "--color", "never"]).expect_code(1);
    assert!(ran.stdout.contains("out/b") && !ran.stdout.contains("out/a"), "{ran:?}");
    sandbox.run(&["diff", "c"]).expect_code(3);
}

#[test]
fn a_mistyped_function_is_recognised_in_both_languages() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.template("values.tera", "{{ gotv(key=\"/v\") }}");
    sandbox.template("b.tmpl", "{{ gotv \"/v\" }}");
    sandbox.resource("b", &crate::support::template::table("b.tmpl", sandbox.text_path("out/b")).keys(&["/v"]));
    let ran = sandbox.run(&["check"]).expect_code(3);
    assert_eq!(ran.stderr.matches("did you mean `getv`?").count(), 2, "{ran:?}");
}
