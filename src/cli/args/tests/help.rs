//! Help, manual pages and completions: made from one definition.

use super::*;

#[test]
fn the_help_and_the_manual_of_diff_say_what_its_exit_code_means() {
    for line in ["upstreamd diff --help", "upstreamd man diff"] {
        let text = early(line).text;
        assert!(text.contains("exit code 1 if anything would"), "{line}: {text}");
    }
}

#[test]
fn the_help_says_what_an_interval_is_and_what_mock_data_goes_with() {
    assert!(early("upstreamd --help").text.contains("--interval <DURATION>"));
    assert!(early("upstreamd check --help").text.contains("with check or --validate"));
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

#[test]
fn each_command_has_a_help_of_its_own_and_a_page_that_is_installed() {
    let names: Vec<String> = definition().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let script = include_str!("../../../../scripts/pages.sh");
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
