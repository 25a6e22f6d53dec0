//! The completions in their shells: zsh and fish read the program's scripts and offer what belongs at the end of a line.

use std::fs;
use std::process::{Command, Output};

use crate::support::agent::Sandbox;
use crate::support::program;

/// Lines, and words that have to be offered at their ends. A word with a `!` in front must not be.
const LINES: &[(&str, &[&str])] = &[
    ("upstreamd ", &["check", "render", "announce", "etcd", "!app.toml"]),
    ("upstreamd rend", &["render", "!check"]),
    ("upstreamd render ", &["app.toml", "web.toml", "!notes.txt", "!check"]),
    ("upstreamd render w", &["web.toml", "!app.toml"]),
    ("upstreamd --noop diff ", &["app.toml", "!true"]),
    ("upstreamd diff --noop ", &["app.toml", "!true"]),
    ("upstreamd --noop ", &["diff", "!true"]),
    ("upstreamd --onetime=", &["true", "false"]),
    ("upstreamd --log-level ", &["debug", "warn", "!check"]),
    ("upstreamd --log-level debug ke", &["keys"]),
    ("upstreamd --log-level=", &["debug"]),
    ("upstreamd keys --engine ", &["tera", "go", "!app.toml"]),
    ("upstreamd keys --lo", &["--log-level", "--log-format"]),
    ("upstreamd agents --format ", &["table", "json"]),
    ("upstreamd announce --layout ", &["sidekick", "skydns"]),
    ("upstreamd completions ", &["bash", "zsh", "fish", "!check"]),
    ("upstreamd man ", &["check", "render", "!etcd"]),
    ("upstreamd check ", &["etc", "!log"]),
    ("upstreamd --confdir other render ", &["other.toml", "!app.toml"]),
    ("upstreamd render --confdir=other ", &["other.toml", "!app.toml"]),
    ("upstreamd --watch -- mountpoin", &["mountpoint"]),
];

/// A sandbox with resources in `etc` and `other`, in which the shells run.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for file in ["etc/conf.d/app.toml", "etc/conf.d/web.toml", "etc/conf.d/notes.txt", "other/conf.d/other.toml", "log"]
    {
        let path = sandbox.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    sandbox
}

/// Runs a shell with these arguments in a folder of its own.
#[track_caller]
fn shell(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Output {
    let folder = sandbox.path("");
    let mut command = Command::new("timeout");
    command.args(["60", name]).args(arguments).current_dir(&folder).env("UPSTREAMD_CONFDIR", folder.join("etc"));
    command.env("TMPDIR", &folder).env("HOME", &folder).env("XDG_CONFIG_HOME", &folder).env("XDG_DATA_HOME", &folder);
    let ran = command.env_remove("CONFD_CONFDIR").output().unwrap();
    assert!(ran.status.success(), "is {name} installed? `make setup` does that: {ran:?}");
    ran
}

/// Checks what was offered for each line: `> LINE`, then the words.
#[track_caller]
fn check(ran: &Output) {
    let text = String::from_utf8_lossy(&ran.stdout);
    let mut answers = text.split("> upstreamd ").skip(1);
    for (line, expected) in LINES {
        let answer = answers.next().unwrap_or_else(|| panic!("no answer for {line:?}: {ran:?}"));
        let last =
            line.rsplit(' ').next().unwrap().split_once('=').map(|(flag, _)| format!("{flag}=")).unwrap_or_default();
        let words: Vec<&str> = answer.lines().skip(1).map(|word| word.split('\t').next().unwrap()).collect();
        let offers = |word: &str| {
            words.iter().any(|offered| {
                let offered = offered.strip_prefix(last.as_str()).unwrap_or(offered);
                offered.trim_end_matches('/') == word
            })
        };
        for word in *expected {
            let (word, wanted) = word.strip_prefix('!').map_or((*word, true), |word| (word, false));
            assert_eq!(offers(word), wanted, "{line:?}: {word}: {words:?} {}", String::from_utf8_lossy(&ran.stderr));
        }
    }
}

#[test]
fn zsh_offers_subcommands_resources_and_choices() {
    let sandbox = sandbox();
    let script = Command::new(program("upstreamd")).args(["completions", "zsh"]).output().unwrap().stdout;
    fs::create_dir(sandbox.path("functions")).unwrap();
    fs::write(sandbox.path("functions/_upstreamd"), script).unwrap();
    fs::write(sandbox.path("inner.zsh"), ZSH_INNER).unwrap();
    fs::write(sandbox.path("driver.zsh"), ZSH_DRIVER).unwrap();
    let lines: Vec<&str> = LINES.iter().map(|(line, _)| *line).collect();
    check(&shell(&sandbox, "zsh", &[&["-f", "driver.zsh"], &lines[..]].concat()));
}

/// Starts an interactive zsh for each line, types it and Tab, and prints what was offered.
const ZSH_DRIVER: &str = r#"
zmodload zsh/zpty
for line; do
    : >offered
    zpty shell 'TERM=dumb zsh -f -i'
    zpty -w shell 'source ./inner.zsh; echo rea""dy'
    zpty -r shell seen '*ready*'
    zpty -w -n shell "$line"$'\t'
    until grep -q '^>end' offered; do
        zpty -r -t shell seen
        sleep 0.02
    done
    zpty -d shell
    print -r -- "> $line"
    grep -v '^>end' offered
done
exit 0
"#;

/// Makes Tab write down what is offered.
const ZSH_INNER: &str = r#"
PS1=
unsetopt beep
fpath=($PWD/functions $fpath)
autoload -U compinit && compinit -D -u
compadd() {
    local -a offered
    # What goes into an array is not offered yet.
    if [[ ${@[1,(i)(-|--)]} != *-[OAD]* ]]; then
        builtin compadd -O offered "$@"
        (( $#offered )) && print -rl -- $offered >>$TMPDIR/offered
    fi
    builtin compadd "$@"
}
offer() {
    _main_complete
    print -r -- '>end' >>$TMPDIR/offered
}
zle -C offer list-choices offer
bindkey '^I' offer
"#;

#[test]
fn fish_offers_subcommands_resources_and_choices() {
    let sandbox = sandbox();
    let script = Command::new(program("upstreamd")).args(["completions", "fish"]).output().unwrap().stdout;
    fs::write(sandbox.path("upstreamd.fish"), script).unwrap();
    let each = "source upstreamd.fish; for line in $argv; echo \"> $line\"; complete -C $line; end";
    let lines: Vec<&str> = LINES.iter().map(|(line, _)| *line).collect();
    let ran = shell(&sandbox, "fish", &[&["--no-config", "-c", each], &lines[..]].concat());
    assert!(ran.stderr.is_empty(), "{ran:?}");
    check(&ran);
}
