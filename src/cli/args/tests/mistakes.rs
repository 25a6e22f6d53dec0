//! What is wrong on a command line, and the words for it.

use super::*;

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
        "upstreamd announce --name web reflector --port 8080",
        expect![[r#"
        `announce` does not take the word `reflector`
          hint: a command of its own comes behind `--`
        try `upstreamd announce --help`
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
fn no_command_line_panics() {
    // Every flag alone, with junk, and with junk behind `=`, each with one and two dashes.
    for setting in table::ALL {
        for junk in ["", " -1", "=", "=é\u{1}"] {
            parse_with(&format!("upstreamd -{}{junk}", setting.name), &[], &[]).ok();
        }
    }
}
