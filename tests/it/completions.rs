//! The completions in their shells: zsh and fish read the program's scripts and offer what belongs at the end of a line.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::template::table;
use crate::support::{program, wait_or, wait_until};

/// Lines, and words that have to be offered at their ends. A word with a `!` in front must not be.
type Lines<'a> = &'a [(&'a str, &'a [&'a str])];

const LINES: Lines<'_> = &[
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

/// The same for a running agent, and for one that does not run.
const OF_THE_AGENT: Lines<'_> = &[
    ("upstreamd explain ", &["plain.toml", "/v", "!/v/$(touch hit)", "!check"]),
    ("upstreamd explain pl", &["plain.toml", "!/v"]),
];
const OF_NOBODY: Lines<'_> = &[("upstreamd explain ", &["!plain.toml", "!/v"])];

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
    let programs = Path::new(&program("upstreamd")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let path = [programs].into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(path).unwrap()).env("UPSTREAMD_STATE_DIR", folder.join("state"));
    command.env("TMPDIR", &folder).env("HOME", &folder).env("XDG_CONFIG_HOME", &folder).env("XDG_DATA_HOME", &folder);
    let ran = command.env_remove("CONFD_CONFDIR").output().unwrap();
    assert!(ran.status.success(), "is {name} installed? `make setup` does that: {ran:?}");
    ran
}

/// Returns what is wrong with what was offered for each line: `> LINE`, then the words.
fn judge(ran: &Output, lines: Lines<'_>) -> Result<(), String> {
    let text = String::from_utf8_lossy(&ran.stdout);
    let mut answers = text.split("> upstreamd ").skip(1);
    for (line, expected) in lines {
        let answer = answers.next().ok_or_else(|| format!("no answer for {line:?}: {ran:?}"))?;
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
            if offers(word) != wanted {
                return Err(format!("{line:?}: {word}: {words:?} {}", String::from_utf8_lossy(&ran.stderr)));
            }
        }
    }
    Ok(())
}

#[test]
fn zsh_offers_subcommands_resources_and_choices() {
    zsh(&sandbox(), LINES).unwrap();
}

/// Judges what zsh offers.
fn zsh(sandbox: &Sandbox, lines: Lines<'_>) -> Result<(), String> {
    let script = Command::new(program("upstreamd")).args(["completions", "zsh"]).output().unwrap().stdout;
    fs::create_dir_all(sandbox.path("functions")).unwrap();
    fs::write(sandbox.path("functions/_upstreamd"), script).unwrap();
    fs::write(sandbox.path("inner.zsh"), ZSH_INNER).unwrap();
    fs::write(sandbox.path("driver.zsh"), ZSH_DRIVER).unwrap();
    let typed: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    judge(&shell(sandbox, "zsh", &[&["-f", "driver.zsh"], &typed[..]].concat()), lines)
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
    fish(&sandbox(), LINES).unwrap();
}

/// Judges what fish offers.
fn fish(sandbox: &Sandbox, lines: Lines<'_>) -> Result<(), String> {
    let script = Command::new(program("upstreamd")).args(["completions", "fish"]).output().unwrap().stdout;
    fs::write(sandbox.path("upstreamd.fish"), script).unwrap();
    let each = "source upstreamd.fish; for line in $argv; echo \"> $line\"; complete -C $line; end";
    let typed: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    let ran = shell(sandbox, "fish", &[&["--no-config", "-c", each], &typed[..]].concat());
    assert!(ran.stderr.is_empty(), "{ran:?}");
    judge(&ran, lines)
}

/// Judges what bash offers.
fn bash(sandbox: &Sandbox, lines: Lines<'_>) -> Result<(), String> {
    let script = "eval \"$(upstreamd completions bash)\"
        for line; do
            read -ra COMP_WORDS <<<\"$line\"
            [[ \"$line\" == *' ' ]] && COMP_WORDS+=('')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
            _upstreamd_with_resources upstreamd \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
            printf '%s\\n' \"> $line\" \"${COMPREPLY[@]}\"
        done";
    let typed: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    judge(&shell(sandbox, "bash", &[&["--norc", "-c", script, "bash"], &typed[..]].concat()), lines)
}

#[test]
fn every_shell_offers_what_the_running_agent_can_explain() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("plain", "");
    let more = "{{ servers(prefix=\"/v\") }}{{ servers(prefix=\"/v/$(touch hit)\") }}\n";
    sandbox.template("list.tera", more);
    sandbox.resource("list", &table("list.tera", sandbox.text_path("out/list")).keys(&["/v"]));
    sandbox.set_store("v: {a: '127.0.0.1:9001', '$(touch hit)': {b: '127.0.0.1:9002'}}\n");
    for shell in [bash, zsh, fish] {
        shell(&sandbox, OF_NOBODY).unwrap();
    }
    let _agent = sandbox.watch();
    sandbox.wait_for_file("out/list");
    wait_until("the lists", DEADLINE, || sandbox.run(&["status"]).stdout.contains("/v/$(touch hit)"));
    // A shell does not wait long for the agent.
    for shell in [bash, zsh, fish] {
        let wrong = RefCell::new(String::new());
        wait_or(DEADLINE, || shell(&sandbox, OF_THE_AGENT).map_err(|found| wrong.replace(found)).ok(), || wrong.take());
    }
}
