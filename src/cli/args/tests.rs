//! Command lines as people type them, and their invocations.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::{Expect, expect};

use super::*;
use crate::config::settings::{Color, LogLevel, Mode, StateDir};
use crate::model::glob::Glob;
use crate::model::store::{EtcdSettings, FileSettings, StoreLimits, StoreSettings};

mod help;
mod mistakes;
mod settings_file;

/// Parses a line, split at spaces (`''` is an empty argument), with these variables and files.
fn parse_with(line: &str, environment: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Invocation, EarlyExit> {
    let argv = line.split_whitespace().map(|arg| OsString::from(if arg == "''" { "" } else { arg }));
    let environment =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let mut read_file = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        file.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    parse(argv, &environment, &mut read_file)
}

#[track_caller]
fn ok(line: &str) -> Invocation {
    parse_with(line, &[], &[]).unwrap_or_else(|early| panic!("{line}: {early:?}"))
}

#[track_caller]
fn settings(line: &str) -> Settings {
    ok(line).settings
}

#[track_caller]
fn early(line: &str) -> EarlyExit {
    parse_with(line, &[], &[]).expect_err(line)
}

#[track_caller]
fn etcd(line: &str) -> EtcdSettings {
    match settings(line).store {
        StoreSettings::Etcd(etcd) => etcd,
        other => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn login(line: &str) -> Option<(String, String)> {
    etcd(line).login.map(|login| (login.user, login.password))
}

#[track_caller]
fn check_refused(line: &str, expected: Expect) {
    let early = early(line);
    assert_eq!(early.exit, Exit::Usage, "{line}");
    expected.assert_eq(&early.text);
}

#[test]
fn without_arguments_it_polls_etcd_on_this_machine() {
    let invocation = ok("upstreamd");
    assert_eq!(invocation.command, Command::Run);
    let settings = invocation.settings;
    assert_eq!(settings.mode, Mode::Interval(Duration::from_secs(600)));
    assert_eq!(settings.conf_d.confdirs, [Path::new("/etc/upstreamd")]);
    assert!(!settings.conf_d.confdirs_given);
    assert_eq!(settings.agent.state_dir, StateDir::Auto);
    assert_eq!(etcd("upstreamd").members, ["127.0.0.1:2379"]);
    assert!(settings.warnings.is_empty());
}

#[test]
fn the_older_confds_lines_work() {
    let line =
        "confd -onetime -backend etcdv3 -node http://10.0.0.1:2379 -node=http://10.0.0.2:2379 -confdir /srv/confd";
    assert_eq!(settings(line).mode, Mode::Onetime);
    assert_eq!(settings(line).conf_d.confdirs, [Path::new("/srv/confd")]);
    assert!(settings(line).conf_d.confdirs_given);
    assert_eq!(etcd(line).members, ["http://10.0.0.1:2379", "http://10.0.0.2:2379"]);

    assert_eq!(settings("confd -onetime=true").mode, Mode::Onetime);
    assert_eq!(settings("confd --onetime=false -watch").mode, Mode::Watch { resync: None });
    assert_eq!(settings("confd -interval 60 -backend env").mode, Mode::Interval(Duration::from_secs(60)));
    assert_eq!(settings("confd -interval 60 -interval=5").mode, Mode::Interval(Duration::from_secs(5)));
    assert_eq!(settings("confd -watch -onetime").mode, Mode::Onetime);
    assert_eq!(settings("confd -log-level debug").log.level, LogLevel::Debug);
    assert_eq!(settings("confd -prefix production/").conf_d.defaults.prefix, "/production");
    let line = "confd -noop -sync-only -keep-stage-file -config-file=/c.toml";
    let settings = parse_with(line, &[], &[("/c.toml", "")]).unwrap().settings;
    assert!(settings.preview.noop && settings.conf_d.defaults.sync_only && settings.agent.keep_stage_file);
}

#[test]
fn words_after_two_dashes_are_a_command_to_supervise() {
    let nginx = || Command::Supervise { command: ["nginx", "-g", "daemon off;"].map(str::to_owned).to_vec() };
    for words in [
        ["upstreamd", "--watch", "--", "nginx", "-g", "daemon off;"].as_slice(),
        &["upstreamd", "-watch", "etcd", "--node", "a:1", "--", "nginx", "-g", "daemon off;"],
        &["upstreamd", "--", "nginx", "-g", "daemon off;"],
    ] {
        let mut no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
        let parsed = parse(words.iter().map(OsString::from), &|_| None, &mut no_file).unwrap();
        assert_eq!(parsed.command, nginx(), "{words:?}");
    }
    assert_eq!(ok("upstreamd --watch -- etcd").command, Command::Supervise { command: vec!["etcd".to_owned()] });
    assert!(ok("upstreamd --onetime -- nginx").becomes_command());
    check_refused(
        "upstreamd --watch --noop -- nginx",
        expect![[r#"
            a command after `--` runs only beside --watch or an interval
              hint: to see what would change, leave out `--` and the command; to start the command, leave out --noop
            try `upstreamd --help`
        "#]],
    );
}

#[test]
fn the_newer_confds_lines_work() {
    let line = "confd --watch --log-format json etcd --node http://a:2379 -n http://b:2379 --basic-auth --username root --password s";
    assert_eq!(settings(line).mode, Mode::Watch { resync: None });
    assert_eq!(etcd(line).members, ["http://a:2379", "http://b:2379"]);
    assert_eq!(login(line), Some(("root".to_owned(), "s".to_owned())));

    assert_eq!(settings("confd etcd --onetime").mode, Mode::Onetime);
    assert_eq!(settings("confd --onetime etcd").mode, Mode::Onetime);
    assert_eq!(settings("confd env --onetime").store, StoreSettings::Env);
    let file = FileSettings {
        paths: vec!["/a.yaml".into(), "/b".into()],
        filter: Glob::parse("*.json").unwrap(),
        limits: StoreLimits::default(),
    };
    let file = StoreSettings::File(file);
    assert_eq!(settings("confd --interval=5 file --file /a.yaml --file=/b --filter *.json").store, file);
    // Flags of one kind on both sides of the word add up.
    assert_eq!(etcd("confd --node=a:1 etcd -n b:2 -n=c:3").members, ["a:1", "b:2", "c:3"]);
    assert_eq!(ok("confd --check-config --resource app.toml env").command, Command::Check);
    assert_eq!(settings("confd --check-config --resource app.toml env").conf_d.only.as_deref(), Some("app.toml"));
}

#[test]
fn values_are_taken_whatever_they_look_like() {
    let line = "upstreamd --username u --password -x --prefix=-p";
    assert_eq!(login(line), Some(("u".to_owned(), "-x".to_owned())));
    assert_eq!(settings(line).conf_d.defaults.prefix, "/-p");
    assert_eq!(settings("upstreamd --state-dir ''").agent.state_dir, StateDir::Off);
    assert_eq!(settings("upstreamd --state-dir=").agent.state_dir, StateDir::Off);
    assert_eq!(settings("upstreamd --color").preview.color, Color::Always);
    assert_eq!(settings("upstreamd --color=never").preview.color, Color::Never);
    assert_eq!(settings("upstreamd --log-level ''").log.level, LogLevel::Info);
}

#[test]
fn subcommands_take_flags_on_either_side() {
    assert_eq!(ok("upstreamd check").command, Command::Check);
    assert_eq!(
        ok("upstreamd --confdir x check --confdir y").settings.conf_d.confdirs,
        [Path::new("x"), Path::new("y")]
    );
    let render = ok("upstreamd -backend env render -prefix /p app.toml");
    assert_eq!(render.command, Command::Render { resource: "app.toml".to_owned(), line: None });
    assert_eq!((render.settings.store, render.settings.conf_d.defaults.prefix.as_str()), (StoreSettings::Env, "/p"));
    assert_eq!(ok("upstreamd env render app.toml").settings.store, StoreSettings::Env);
    assert_eq!(ok("upstreamd render env").command, Command::Render { resource: "env".to_owned(), line: None });
    assert_eq!(ok("upstreamd diff --diff-context 0").command, Command::Diff { resource: None });
    assert_eq!(ok("upstreamd diff a").command, Command::Diff { resource: Some("a".to_owned()) });
    assert_eq!(ok("upstreamd check x").settings.conf_d.confdirs, [Path::new("x")]);
    assert_eq!(ok("upstreamd diff --color never a").settings.preview.color, Color::Never);
    assert_eq!(ok("upstreamd --color auto diff a").command, Command::Diff { resource: Some("a".to_owned()) });
    let services = Command::CheckServices { path: "x".into() };
    assert_eq!(ok("upstreamd check --config-dir x").command, services);
    assert!(early("upstreamd check y --config-dir x").text.contains("--config-dir"));
    let supervise = |line: &str| ok(line).settings.nginx.conf;
    assert_eq!(supervise("upstreamd --watch -- nginx -c /n.conf"), Some("/n.conf".into()));
    assert_eq!(supervise("upstreamd --watch --nginx-conf /m.conf -- nginx -c /n.conf"), Some("/m.conf".into()));
    assert_eq!(ok("upstreamd render a --line 9").command, Command::Render { resource: "a".to_owned(), line: Some(9) });
    for value in ["0", "x"] {
        let text = early(&format!("upstreamd render a --line {value}")).text;
        assert!(text.starts_with(&format!("--line <NUMBER>: `{value}` is not a number of 1 or more\n")), "{text}");
    }
    assert_eq!(ok("upstreamd keys").command, Command::Keys { resource: None });
    assert_eq!(ok("upstreamd keys a.toml").command, Command::Keys { resource: Some("a.toml".to_owned()) });
}

#[test]
fn exit_codes_are_distinct_and_ordered_as_documented() {
    let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    assert_eq!(codes, (0..16).collect::<Vec<u8>>());
    assert!(Exit::ALL.is_sorted());
}

#[test]
fn a_status_is_watched_if_its_own_flag_says_so() {
    let watches = |line: &str, file: &str| match parse_with(line, &[], &[("/etc/upstreamd/upstreamd.toml", file)]) {
        Ok(Invocation { command: Command::Status { watches, .. }, .. }) => watches,
        other => panic!("{line}: {other:?}"),
    };
    assert!(watches("upstreamd status --watch", ""));
    assert!(watches("upstreamd status -watch=true", "watch = false"));
    assert!(!watches("upstreamd status --watch=false", ""));
    assert!(!watches("upstreamd status --watch --watch=no", ""));
    assert!(!watches("upstreamd status", "watch = true"));
}
