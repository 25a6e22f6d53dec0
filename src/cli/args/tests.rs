//! Command lines as people type them, and their invocations.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::{Expect, expect};

use super::*;
use crate::config::settings::{Color, LogLevel, Mode, StateDir};
use crate::model::glob::Glob;
use crate::model::store::{EtcdSettings, FileSettings, StoreLimits, StoreSettings};

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
    assert_eq!(etcd("upstreamd").endpoints, ["127.0.0.1:2379"]);
    assert!(settings.warnings.is_empty());
}

#[test]
fn the_older_confds_lines_work() {
    let line =
        "confd -onetime -backend etcdv3 -node http://10.0.0.1:2379 -node=http://10.0.0.2:2379 -confdir /srv/confd";
    assert_eq!(settings(line).mode, Mode::Onetime);
    assert_eq!(settings(line).conf_d.confdirs, [Path::new("/srv/confd")]);
    assert!(settings(line).conf_d.confdirs_given);
    assert_eq!(etcd(line).endpoints, ["http://10.0.0.1:2379", "http://10.0.0.2:2379"]);

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
    assert_eq!(etcd(line).endpoints, ["http://a:2379", "http://b:2379"]);
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
    assert_eq!(etcd("confd --node=a:1 etcd -n b:2 -n=c:3").endpoints, ["a:1", "b:2", "c:3"]);
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
fn the_help_and_the_manual_of_diff_say_what_its_exit_code_means() {
    for line in ["upstreamd diff --help", "upstreamd man diff"] {
        let text = early(line).text;
        assert!(text.contains("exit code 1 if anything would"), "{line}: {text}");
    }
}

#[test]
fn what_is_not_understood_is_a_usage_error() {
    check_refused(
        "upstreamd -noed http://a:1",
        expect![[r#"
        there is no flag `--noed`
          hint: did you mean `--node`?
        try `upstreamd --help`
    "#]],
    );
    check_refused(
        "upstreamd chekc",
        expect![[r#"
        there is no command `chekc`
          hint: did you mean `check`?
        try `upstreamd --help`
    "#]],
    );
    check_refused(
        "upstreamd --watch nginx -g x",
        expect![[r#"
        there is no command `nginx`
          hint: to start and supervise a program, put `--` before it: upstreamd --watch -- nginx …
        try `upstreamd --help`
    "#]],
    );
    check_refused(
        "upstreamd help chekc",
        expect![[r#"
        there is no command `chekc`
          hint: did you mean `check`?
        try `upstreamd --help`
    "#]],
    );
    check_refused(
        "upstreamd check a b",
        expect![[r#"
        `check` does not take the word `b`
        try `upstreamd check --help`
    "#]],
    );
    check_refused(
        "upstreamd diff --quiet",
        expect![[r#"
        there is no flag `--quiet`
          hint: write --log-level error
        try `upstreamd diff --help`
    "#]],
    );
    check_refused(
        "upstreamd render",
        expect![[r#"
        `render` needs <RESOURCE>
          hint: its file below conf.d, as in app.toml
        try `upstreamd render --help`
    "#]],
    );
    check_refused(
        "upstreamd completions tcsh",
        expect![[r#"
        <shell>: `tcsh` is not known
          hint: it is one of bash, elvish, fish, powershell, zsh
        try `upstreamd completions --help`
    "#]],
    );
    check_refused(
        "upstreamd --node",
        expect![[r#"
        --node <TEXT> needs a value
        try `upstreamd --help`
    "#]],
    );
    check_refused(
        "confd --onetime consul --node a",
        expect![[r#"
        the backend `consul` is not supported
          hint: supported are etcd (or etcdv3), file and env
        try `upstreamd --help`
    "#]],
    );
    check_refused(
        "confd -backend vault",
        expect![[r#"
        backend: the backend `vault` is not supported (from flag --backend)
          hint: supported are etcd (or etcdv3), file and env
        try `upstreamd --help`
    "#]],
    );
    check_refused(
        "confd --backend file etcd",
        expect![[r#"
        both the backend `etcd` and --backend file are given
          hint: leave one of the two out
        try `upstreamd --help`
    "#]],
    );
    check_refused(
        "confd env etcd",
        expect![[r#"
        the backend is named twice, first as `env`
        try `upstreamd --help`
    "#]],
    );
    assert_eq!(ok("confd --preflight etcd").command, Command::Preflight);
    assert_eq!(ok("confd --preflight --check-config etcd").command, Command::Check, "as in confd, the first of them");
    for line in
        ["upstreamd render", "upstreamd check now then", "upstreamd -x", "upstreamd --", "upstreamd completions tcsh"]
    {
        assert_eq!(early(line).exit, Exit::Usage, "{line}");
    }
}

#[test]
fn a_likely_mistake_gets_the_words_to_write() {
    for (line, hint) in [
        ("upstreamd validate", "write upstreamd check"),
        ("upstreamd watch", "write upstreamd --watch"),
        ("upstreamd stop", "send the daemon SIGTERM, as in systemctl stop upstreamd"),
        ("upstreamd logs", "the daemon logs to standard error: journalctl -u upstreamd"),
        ("upstreamd config", "write upstreamd check; `upstreamd --help` lists the settings"),
        ("upstreamd --once", "write --onetime"),
        ("upstreamd --dry-run", "write --noop"),
        ("upstreamd -v", "write --version, or --log-level debug for a log of each step"),
        ("upstreamd announce -q", "write --log-level error"),
        ("upstreamd --helpp", "did you mean `--help`?"),
        ("upstreamd diff --helpp", "did you mean `--help`?"),
        ("confd -debug -onetime", "write --log-level debug"),
        ("confd -verbose", "write --log-level info"),
        ("confd -quiet=true", "write --log-level error"),
        ("upstreamd --watch --", "write a program and its arguments after it, or leave `--` out"),
        ("upstreamd announce --name a --", "write a program and its arguments after it, or leave `--` out"),
        (
            "upstreamd --onetime --node a:1 echo hello",
            "to become a program after the pass, put `--` before it: upstreamd --onetime -- echo …",
        ),
        ("upstreamd completions", "it is one of bash, elvish, fish, powershell, zsh"),
        ("upstreamd render", "its file below conf.d, as in app.toml"),
    ] {
        let early = early(line);
        assert!(early.exit == Exit::Usage && early.text.contains(&format!("  hint: {hint}\n")), "{line}: {early:?}");
    }
}

#[test]
fn an_error_points_to_the_help_of_its_command() {
    for (line, help) in [
        ("upstreamd announce --nme x", "upstreamd announce --help"),
        ("upstreamd announce --name x", "upstreamd announce --help"),
        ("upstreamd --interval x diff", "upstreamd diff --help"),
        ("upstreamd etcd --interval x", "upstreamd --help"),
        ("upstreamd --interval x -- check", "upstreamd --help"),
    ] {
        let early = early(line);
        assert!(early.text.ends_with(&format!("try `{help}`\n")), "{line}: {early:?}");
    }
}

#[test]
fn the_help_says_what_an_interval_is_and_what_mock_data_goes_with() {
    assert!(early("upstreamd --help").text.contains("--interval <DURATION>"));
    assert!(early("upstreamd check --help").text.contains("with check or --validate"));
}

#[test]
fn every_wrong_value_is_reported_at_once() {
    check_refused(
        "upstreamd --interval 0 --log-level loud --backend-timeout 30 --onetime=maybe --color=pink --diff-context -1",
        expect![[r#"
            backend-timeout: duration `30` has no unit (from flag --backend-timeout)
              hint: write "30s" for seconds or "30ms" for milliseconds
            color: `pink` is not known (from flag --color)
              hint: it is one of always, auto, never
            diff-context: `-1` is not a number from 0 on (from flag --diff-context)
            interval: must be more than 0 (from flag --interval)
            log-level: `loud` is not known (from flag --log-level)
              hint: it is one of error, warn, info, debug, trace, warning, fatal, panic
            onetime: `maybe` is neither true nor false (from flag --onetime)
            try `upstreamd --help`
        "#]],
    );
}

#[test]
fn help_and_version_succeed() {
    for line in ["upstreamd -h", "upstreamd --help", "upstreamd -help", "upstreamd etcd --help", "upstreamd help check"]
    {
        let early = early(line);
        assert_eq!(early.exit, Exit::Done, "{line}");
        assert!(early.text.contains("Usage: upstreamd"), "{line}: {}", early.text);
    }
    for line in ["upstreamd -version", "upstreamd --version", "upstreamd -V"] {
        let early = early(line);
        assert_eq!(early.exit, Exit::Done, "{line}");
        assert!(early.text.starts_with("upstreamd 0.1.0 (Git SHA: "), "{}", early.text);
    }
}

#[test]
fn the_help_has_every_setting_and_every_exit_code() {
    let help = early("upstreamd --help").text;
    for setting in table::ALL {
        let flag = format!("--{}", setting.name);
        let shown = help.split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).any(|word| word == flag);
        let works = setting.effect == table::Effect::Works;
        assert_eq!(shown, works, "{}", setting.name);
    }
    for exit in Exit::ALL {
        assert!(help.contains(exit.meaning()), "{exit:?}");
    }
}

#[test]
fn exit_codes_are_distinct_and_ordered_as_documented() {
    let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    assert_eq!(codes, (0..16).collect::<Vec<u8>>());
    assert!(Exit::ALL.is_sorted());
}

#[test]
fn completions_and_man_page_come_from_the_same_definition() {
    let broken = [("UPSTREAMD_INTERVAL", "never")];
    for (line, expected) in [
        ("upstreamd completions bash", "--keep-stage-file"),
        ("upstreamd completions zsh", "--keep-stage-file"),
        ("upstreamd completions fish", "keep-stage-file"),
        ("upstreamd man", r"\-\-keep\-stage\-file"),
    ] {
        let early = parse_with(line, &broken, &[]).expect_err(line);
        assert_eq!(early.exit, Exit::Done, "{line}");
        assert!(early.text.contains(expected), "{line}");
    }
}

#[test]
fn every_shell_completes_the_names_of_resources() {
    let script = |shell: &str| early(&format!("upstreamd completions {shell}")).text;
    assert!(script("bash").contains("_upstreamd_with_resources"));
    assert!(script("fish").contains("from render keys diff"));
    let zsh = script("zsh");
    assert!(zsh.starts_with("#compdef upstreamd\n"), "the shell reads the first line");
    // render, diff and keys.
    assert_eq!(zsh.matches(":_upstreamd_resources'").count(), 3, "{zsh}");
    assert!(zsh.contains("case $line[1] in") && !zsh.contains("line[2]"), "the first word is the subcommand: {zsh}");
    assert!(zsh.find("_upstreamd_resources() {") < zsh.find("_upstreamd() {"), "{zsh}");
    assert!(zsh.contains("\n_upstreamd() {\n    local -a upstreamd_line\n"), "{zsh}");
    let own = definition::definition();
    let with_page = own
        .get_subcommands()
        .map(clap::Command::get_name)
        .filter(|name| !definition::BACKEND_WORDS.iter().any(|(word, _)| word == name));
    assert_eq!(with_page.collect::<BTreeSet<_>>(), definition::WITH_PAGE.iter().copied().collect());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(!script(shell).contains("auth-token"), "{shell}: it has no effect");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = script(shell);
        for place in ["-confdir=", "UPSTREAMD_CONFDIR", "CONFD_CONFDIR", "/etc/upstreamd", "/etc/confd"] {
            assert!(script.contains(place), "{shell} {place}");
        }
    }
}

#[test]
fn the_manual_pages_begin_with_a_short_synopsis() {
    for (line, expected) in [
        (
            "upstreamd man",
            "upstreamd [OPTIONS]\nupstreamd [OPTIONS] -- PROGRAM [ARGUMENT]...\nupstreamd COMMAND [OPTIONS] [ARGUMENT]...\n",
        ),
        ("upstreamd man check", "upstreamd check [OPTIONS] [DIR]\n"),
        ("upstreamd man render", "upstreamd render [OPTIONS] <RESOURCE>\n"),
    ] {
        let page = early(line).text;
        let (_, rest) = page.split_once(".SH SYNOPSIS\n").unwrap();
        let lines = rest.split_once(".SH ").unwrap().0.lines().filter(|line| !line.starts_with('.'));
        let synopsis: String = lines.map(|line| format!("{line}\n")).collect();
        let plain = ["\\fB", "\\fI", "\\fR"].iter().fold(synopsis, |text, font| text.replace(font, ""));
        assert_eq!(plain.replace('\\', ""), expected, "{line}");
    }
}

/// Returns the paths that are tried if none of them exists.
fn files_tried(line: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let tried = RefCell::new(Vec::new());
    let argv = line.split_whitespace().map(OsString::from);
    let environment =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    parse(argv, &environment, &mut |path| {
        tried.borrow_mut().push(path.display().to_string());
        Err(io::Error::from(io::ErrorKind::NotFound))
    })
    .ok();
    tried.into_inner()
}

#[test]
fn the_settings_file_is_looked_for_in_a_given_confdir_and_nowhere_else() {
    let everywhere = ["/etc/upstreamd/upstreamd.toml", "/etc/confd/confd.toml"];
    assert_eq!(files_tried("upstreamd", &[]), everywhere);
    let own = ["/srv/upstreamd.toml", "/srv/confd.toml"];
    assert_eq!(files_tried("upstreamd --confdir /srv", &[]), own);
    assert_eq!(files_tried("upstreamd", &[("CONFD_CONFDIR", "/srv")]), own);
    let both = [own[0], own[1], "/opt/upstreamd.toml", "/opt/confd.toml"];
    assert_eq!(files_tried("upstreamd --confdir /srv --confdir /opt", &[]), both);
    assert_eq!(files_tried("upstreamd --confdir /srv --config-file /c.toml", &[]), ["/c.toml"]);
}

#[test]
fn a_settings_file_that_was_named_has_to_be_there() {
    let early = early("upstreamd --config-file /c.toml");
    assert_eq!(early.exit, Exit::Configuration);
    expect![[r#"
        /c.toml: cannot read the settings file (from flag --config-file): entity not found
    "#]]
    .assert_eq(&early.text);
}

#[test]
fn a_wrong_settings_file_is_reported_whole_and_check_does_the_rest() {
    let files = [("/u/upstreamd.toml", "interval = 0\nlog_lvl = \"info\"\nnodes = [\"a\"]\n[nginx]\nbinray = \"x\"\n")];
    let expected = expect![[r#"
        /u/upstreamd.toml:1:12: interval: must be more than 0
        /u/upstreamd.toml:2:1: unknown setting: `log_lvl`
          hint: did you mean `log_level`?
        /u/upstreamd.toml:3:9: node: endpoint `a` has no port
          hint: write host:port or http(s)://host:port
        /u/upstreamd.toml:5:1: unknown setting of [nginx]: `binray`
          hint: did you mean `binary`?
    "#]];
    let early = parse_with("upstreamd -config-file /u/upstreamd.toml", &[], &files).expect_err("broken file");
    assert_eq!(early.exit, Exit::Configuration);
    expected.assert_eq(&early.text);

    let invocation = parse_with("upstreamd check -config-file /u/upstreamd.toml", &[], &files).expect("check goes on");
    expected.assert_eq(&format!("{}\n", invocation.problems));
}

#[test]
fn a_settings_file_that_is_not_text_is_reported() {
    let mut read = |_: &Path| Ok(b"interval = 5\nprefix = \"\xff\"".to_vec());
    let early = parse([OsString::from("upstreamd")], &|_| None, &mut read).expect_err("not UTF-8");
    assert!(early.text.starts_with("/etc/upstreamd/upstreamd.toml:2:11: not UTF-8"), "{}", early.text);
}

#[test]
fn no_command_line_panics() {
    // Every flag alone, with junk, and with junk behind `=`, each with one and two dashes.
    for setting in table::ALL {
        for junk in ["", " -1", "=", "=é\u{1}"] {
            parse_with(&format!("upstreamd -{}{junk}", setting.name), &[], &[]).ok();
        }
    }
}

#[test]
fn each_command_has_a_help_of_its_own_and_a_page_that_is_installed() {
    let names: Vec<String> = definition().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let script = include_str!("../../../scripts/pages.sh");
    let listed = script.split_once("for command in ").and_then(|(_, rest)| rest.split_once(';')).unwrap().0;
    let mut expected: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.starts_with("etcd")).collect();
    expected.retain(|name| !matches!(*name, "file" | "env"));
    expected.sort_unstable();
    assert_eq!(listed.split(' ').collect::<Vec<_>>(), expected);
    for name in expected {
        let page = early(&format!("upstreamd man {name}")).text;
        assert!(page.contains(&format!("upstreamd\\-{name}")), "{page}");
        assert!(page.contains(".SH \"SEE ALSO\"\n") && !page.contains("EXTRA"), "{page}");
        for line in [format!("upstreamd {name} --help"), format!("upstreamd help {name}")] {
            let help = early(&line).text;
            assert!(help.contains(&format!("Usage: upstreamd {name}")), "{help}");
            let takes_settings = !matches!(name, "completions" | "convert" | "man");
            assert_eq!(help.contains("`upstreamd --help` lists all settings"), takes_settings, "{help}");
            assert!(!help.contains("--keep-stage-file") && !help.contains("each works here"), "{help}");
        }
    }
    let announce = early("upstreamd announce --help").text;
    assert!(announce.contains("--stop-timeout") && !announce.contains("--backend ") && !announce.contains("--file"));
    assert!(early("upstreamd check --help").text.contains("--mock-data"));
    assert!(early("upstreamd diff --help").text.contains("--node"));
    assert!(early("upstreamd --help").text.starts_with("Start here:"));
    assert_eq!(early("upstreamd man nothing").exit, Exit::Usage);
    let main = early("upstreamd man").text;
    for section in ["EXAMPLES", "FILES", "SIGNALS", "\"EXIT STATUS\""] {
        assert!(main.contains(&format!(".SH {section}\n")), "{section}: {main}");
    }
}

#[test]
fn the_layouts_offered_are_those_that_there_are() {
    let known: Vec<&str> = crate::model::service::Layout::ALL.iter().map(|(word, _)| *word).collect();
    assert_eq!(announce::LAYOUTS, known);
}
