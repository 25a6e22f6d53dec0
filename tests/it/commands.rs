//! Paths in commands, as a real `/bin/sh` sees them: whatever their characters, they arrive whole and run nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use upstreamd::config::resource::{Defaults, ResourceFile, parse};
use upstreamd::model::resource::CommandLine;

use crate::support::temp_dir;

/// The command of a resource, as written in TOML.
fn command(text: &str) -> Option<CommandLine> {
    let value = toml::Value::String(text.to_owned());
    let toml = format!("[template]\nsrc = 'a'\ndest = '/etc/a'\nreload_cmd = {value}\n");
    let file = ResourceFile { name: "a.toml".into(), path: "a.toml".into(), text: toml };
    parse(&file, &Defaults::default()).unwrap().reload.and_then(|reload| reload.command().cloned())
}

fn run(text: &str, folder: &Path) -> String {
    let output = Command::new("/bin/sh").arg("-c").arg(text).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Paths that would do harm, or come apart, if the shell read them.
const ODD_PATHS: &[&str] = &[
    "/t/plain.conf",
    "/t/with space",
    "/t/it's",
    "/t/say \"hi\"",
    "/t/$(touch pwned)",
    "/t/`touch pwned`",
    "/t/;touch pwned;",
    "/t/';touch pwned;'",
    "/t/\";touch pwned;\"",
    "/t/a\\",
    "/t/*",
    "/t/~",
    "/t/#x",
    "/t/&|<>(){}[]!?$x",
    "/t/ümlaut→",
];

#[test]
fn paths_arrive_whole_in_every_surrounding() {
    let folder = temp_dir();
    for path in ODD_PATHS {
        for (text, before, after) in [
            ("printf '%s' {{.src}}", "", ""),
            ("printf '%s' '{{.src}}'", "", ""),
            ("printf '%s' \"{{src}}\"", "", ""),
            ("printf '%s' x{{.src}}y", "x", "y"),
            ("printf '%s' 'x {{.src}} y'", "x ", " y"),
            ("printf '%s' \"x {{.src}} y\"", "x ", " y"),
            ("printf '%s' \"it's {{.src}}\"", "it's ", ""),
            ("printf '%s' \"$(printf '%s' {{.src}})\"", "", ""),
            ("printf '%s' \"$(printf '%s' \"{{.src}}\")\"", "", ""),
            ("printf '%s' \"$(printf '%s' '{{.src}}')\" # don't", "", ""),
            ("# it's a comment\nprintf '%s' {{.src}}", "", ""),
            ("f() { printf '%s' {{.src}}; }; f", "", ""),
            ("printf '%s' \"`printf '%s' {{.src}}`\"", "", ""),
            ("printf '%s' \\'{{.src}}\\'", "'", "'"),
        ] {
            let shell_text = command(text).unwrap().shell_text(Path::new(path), Path::new("/etc/a"));
            assert_eq!(run(&shell_text, folder.path()), format!("{before}{path}{after}"), "{text} with {path}");
        }
    }
    assert!(!folder.path().join("pwned").exists());
}

#[test]
fn both_paths_are_there_in_both_places() {
    let folder = temp_dir();
    let shell_text = command("printf '%s|' {{.src}} {{.dest}} '{{dest}}'").unwrap();
    let told = run(&shell_text.shell_text(Path::new("/a b"), Path::new("/c'd")), folder.path());
    assert_eq!(told, "/a b|/c'd|/c'd|");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Surroundings that no reader of shell text gets right, and paths made to break out of them.
    #[test]
    fn no_path_ever_runs_anything(
        before in surroundings(),
        after in surroundings(),
        path in proptest::collection::vec(
            proptest::sample::select(vec![
                "';touch pwned;'", "\";touch pwned;\"", "$(touch pwned)", "`touch pwned`", ";touch pwned;", "\ntouch pwned\n",
                "'", "\"", "\\", ")", "#", " ",
            ]),
            1..4,
        ),
    ) {
        let folder = temp_dir();
        let path = PathBuf::from(format!("/t/{}", path.concat()));
        let text = format!("echo {before}{{{{.src}}}}{after}");
        let shell_text = command(&text).unwrap().shell_text(&path, &path);
        // Often a syntax error; that is the command's own.
        Command::new("/bin/sh").arg("-c").arg(&shell_text).current_dir(folder.path()).output().unwrap();
        prop_assert!(!folder.path().join("pwned").exists(), "{shell_text}");
    }
}

fn surroundings() -> impl Strategy<Value = String> {
    let pieces = vec![
        "'",
        "\"",
        "`",
        "$(",
        ")",
        "(",
        "\\",
        " ",
        "#",
        "\n",
        "$'",
        "${x:-",
        "}",
        "<<E\n",
        "\nE\n",
        "case x in x)",
        ";;",
        "esac",
        "echo ",
        "$((",
        "))",
        "{{.src}}",
        "{{.dest}}",
    ];
    proptest::collection::vec(proptest::sample::select(pieces), 0..4).prop_map(|pieces| pieces.concat())
}
