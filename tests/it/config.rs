//! conf.d texts against the resources and problems that they should give, the page on settings, and random texts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use upstreamd::config::resource::{Defaults, ResourceFile, parse, read};
use upstreamd::config::set::load;
use upstreamd::config::settings::layers::{Flags, Layers};
use upstreamd::config::settings::resolve;
use upstreamd::config::settings::table::{ALL, Effect, Section, Setting, SettingKind};
use upstreamd::model::endpoints::EndpointsChoice;
use upstreamd::model::needs::Needs;
use upstreamd::model::problem::{Place, Problem};
use upstreamd::model::resource::{CommandLine, Reload, Resource, Target};

use crate::support::cases::{self, Case};
use crate::support::package_root;

fn project() -> &'static Path {
    package_root()
}

fn updating() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}

/// Loads a case: conf.d files are its sections `toml NAME`, template names are in `templates`. Says what came of it.
fn loaded(case: &Case) -> (String, usize) {
    let mut files = Vec::new();
    for section in &case.sections {
        if let Some(name) = section.title.strip_prefix("toml ") {
            files.push(ResourceFile { name: name.into(), path: PathBuf::from(name), text: section.text.clone() });
        }
    }
    // A case without templates has those that it names.
    let mut templates: BTreeSet<String> = case.text("templates").split_whitespace().map(str::to_owned).collect();
    if templates.is_empty() {
        let named = files.iter().filter_map(|file| read(file, &Defaults::default()).outline.src);
        templates.extend(named.map(|template| template.name.to_string()));
    }
    let set = load(&files, &templates, &Defaults::default());
    let mut told: String = set.resources.iter().map(described).collect();
    for problem in set.problems.iter() {
        writeln!(told, "{problem}").unwrap();
    }
    (told, set.problems.len())
}

/// Every field of a resource, one in a line.
fn described(resource: &Resource) -> String {
    let Resource {
        id,
        file,
        src,
        backend,
        from_environment: _,
        engine,
        dest,
        prefix,
        other_prefix,
        ranges,
        keys,
        target,
        check,
        reload,
        verify,
        endpoints,
        generation,
        pace,
        output_format,
        escape,
        on_reload_failure,
        guard,
        needs,
        for_each,
    } = resource;
    let Target { owner, group, mode, make_dirs, adopt_existing, is_secret } = target;
    let ranges: Vec<_> =
        ranges.iter().map(|range| format!("{}..{}", range.start, range.end.as_deref().unwrap_or(""))).collect();
    let command = |command: &Option<CommandLine>| match command {
        Some(CommandLine { text: _, parts, timeout }) => format!("{parts:?} within {timeout:?}"),
        None => "none".to_owned(),
    };
    let reload = match reload {
        Some(Reload::Nginx) => "nginx".to_owned(),
        Some(Reload::Command(line)) => command(&Some(line.clone())),
        None => "none".to_owned(),
    };
    let for_each = for_each.as_ref().map(|for_each| format!("  {for_each:?}\n")).unwrap_or_default();
    let needs = if *needs == Needs::default() { String::new() } else { format!("  {needs:?}\n") };
    let other_prefix = other_prefix.as_ref().map(|other| format!("  other prefix: {other:?}\n")).unwrap_or_default();
    let generation = generation.as_ref().map(|at| format!("  generation: {at}\n")).unwrap_or_default();
    let backend = backend.as_ref().map(|backend| format!("  {backend:?}\n")).unwrap_or_default();
    let endpoints = match endpoints {
        EndpointsChoice::Auto => String::new(),
        chosen => format!("  endpoints: {chosen:?}\n"),
    };
    let adopt_existing = if *adopt_existing { "  adopt_existing: true\n" } else { "" };
    let secret = if *is_secret { "  secret: true\n" } else { "" };
    let mode = mode.map_or("unset".to_owned(), |mode| format!("{mode:04o}"));
    format!(
        "{id} ({})\n  {src} ({engine:?}) -> {}\n  keys: {keys:?}\n  prefix: {prefix:?}\n  ranges: {ranges:?}\n  \
         owner: {owner:?}\n  group: {group:?}\n  mode: {mode}\n  check: {}\n  reload: {reload}\n  verify: {verify:?}\n  pace: {pace:?}\n  \
         output_format: {output_format:?}\n  escape: {escape:?}\n  make_dirs: {make_dirs}\n{adopt_existing}{secret}  \
         on_reload_failure: {on_reload_failure:?}\n  {guard:?}\n{other_prefix}{endpoints}{generation}{needs}{for_each}{backend}",
        file.display(),
        dest.display(),
        command(check),
    )
}

#[test]
fn right_files_give_resources() {
    cases::run("config/ok", |case| {
        let (told, n_problems) = loaded(case);
        assert_eq!(n_problems, 0, "{}:\n{told}", case.path.display());
        told
    });
}

#[test]
fn wrong_files_give_problems() {
    cases::run("config/err", |case| {
        let (told, n_problems) = loaded(case);
        assert_ne!(n_problems, 0, "{}", case.path.display());
        told
    });
}

#[test]
fn five_mistakes_are_five_problems_each_with_file_line_and_hint() {
    let file = |name: &str, text: &str| ResourceFile {
        name: name.into(),
        path: Path::new("/etc/upstreamd/conf.d").join(name),
        text: text.to_owned(),
    };
    let right = "[template]\nsrc = \"app.conf\"\nkeys = [\"/services\"]\n";
    let files = [
        file("a.toml", &format!("{right}dest = \"/etc/a\"\nmode = 644\n")),
        file("b.toml", &format!("{right}dest = \"/etc/b\"\ncheck_command = \"false\"\n")),
        file("c.toml", &format!("{right}dest = \"/etc/c\"\nreload_cmd = \"cat {{{{.scr}}}}\"\n")),
        file("d.toml", "[template]\nsrc = \"ap.conf\"\ndest = \"/etc/d\"\n"),
        file("e.toml", "[template]\nsrc = \"app.conf\"\ndest = \"/etc/e\"\nkeys = \"/services\"\n"),
        file("f.toml", &format!("{right}dest = \"/etc/f\"\n")),
    ];
    let set = load(&files, &BTreeSet::from(["app.conf".to_owned()]), &Defaults::default());
    expect_test::expect![[r#"
        /etc/upstreamd/conf.d/a.toml:5:8: `mode` must be a string, found the number 644
          hint: a TOML number is decimal; write mode = "0644"
        /etc/upstreamd/conf.d/b.toml:5:1: unknown field of [template]: `check_command`
          hint: did you mean `check_cmd`?
        /etc/upstreamd/conf.d/c.toml:5:19: `{{.scr}}` is not known in a command
          hint: did you mean {{.src}}?
        /etc/upstreamd/conf.d/d.toml:2:7: there is no template `ap.conf`
          hint: did you mean `app.conf`?
        /etc/upstreamd/conf.d/e.toml:4:8: `keys` must be an array of strings, found a string
          hint: write keys = ["/services"]
    "#]]
    .assert_eq(&format!("{}\n", set.problems));
    assert_eq!(set.problems.len(), 5);
    assert!(set.problems.iter().all(|problem| problem.hint.is_some()));
    let names: Vec<&str> = set.resources.iter().map(|resource| &**resource.name()).collect();
    assert_eq!(names, ["f.toml"], "the right one stays");
}

/// A settings file for the page.
const SAMPLE: &str = r#"node = ["https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"]
client_ca_keys = "/etc/upstreamd/etcd-ca.pem"
username = "upstreamd"
password = "secret"               # make the file readable for upstreamd's user only
prefix = "/production"            # in front of the keys of all resources
receipts = true                   # record in etcd what is applied and drained
metrics_addr = "127.0.0.1:9100"   # /ready, /ready/detailed, /metrics
endpoints = "auto"                # changes of backends by DNS where nginx can
log_level = "info"

[nginx]                           # only if nginx's own files do not say so
pid_file = "/run/nginx.pid"
error_log = "/var/log/nginx/error.log"
"#;

#[test]
fn the_settings_file_of_the_page_is_taken_without_a_warning() {
    let flags = Flags::new();
    let layers = Layers::new(&flags, &|_| None).with_file(Path::new("upstreamd.toml"), SAMPLE);
    let (settings, problems) = resolve(&layers);
    assert!(problems.is_empty() && settings.warnings.is_empty(), "{problems:?} {:?}", settings.warnings);
    assert_eq!((settings.nginx.pid_file.is_some(), settings.agent.receipts), (true, true));
}

/// The rows of the page, made from the table.
fn settings_page() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         Each setting is a flag, an environment variable and a key of `upstreamd.toml`. Flags come first, then \
         `UPSTREAMD_*`, `CONFD_*`, the file and the default; a flag on the command line counts even if it equals the \
         default. Flags may have one dash or two; in the file `-` and `_` are the same. An empty flag or file value \
         stands for the default, and an empty variable is ignored, unless the table says *may be empty*. For a list, \
         repeat the flag or put commas between the values of the variable. Write durations as `1m30s` or `500ms`.\n\n\
         This page is made from the table in `src/config/settings/table.rs`; a test keeps the two the same.\n\n\
         A whole `/etc/upstreamd/upstreamd.toml`, each line of which may be left out:\n\n",
    );
    write!(page, "```toml\n{SAMPLE}```\n").unwrap();
    for section in Section::ALL {
        write!(page, "\n## {}\n\n", section.title()).unwrap();
        page.push_str(
            "| flag | variables | in the file | value | default | what it does |\n|---|---|---|---|---|---|\n",
        );
        for setting in ALL.iter().filter(|setting| setting.section == section) {
            page.push_str(&settings_row(setting));
        }
    }
    page
}

fn settings_row(setting: &Setting) -> String {
    let code = |names: Vec<String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let short = setting.short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let value = match setting.kind {
        SettingKind::Choice(words) | SettingKind::OptionalChoice(words) => words.join(", "),
        kind if kind.is_list() => format!("{}, a list", kind.value_name()),
        kind => kind.value_name().to_owned(),
    };
    let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
    let help = match setting.effect {
        Effect::Nothing(reason) => format!("nothing: {reason}"),
        Effect::Works => setting.help.to_owned(),
    };
    let empty = if setting.may_be_empty { " (may be empty)" } else { "" };
    let variables = code(setting.environment_names());
    let file = code(setting.file_names());
    format!("| {short}`--{}` | {variables} | {file} | {value}{empty} | {default} | {help} |\n", setting.name)
}

#[test]
fn the_page_on_settings_is_that_of_the_table() {
    let path = project().join("docs/settings.md");
    let page = settings_page();
    if updating() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == page, "docs/settings.md is not what the table says; UPDATE_EXPECT=1 rewrites it");
}

/// Texts that look like TOML resources, right and wrong: lines of known and unknown fields with values of every kind.
fn resource_like() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            "src",
            "dest",
            "keys",
            "prefix",
            "owner",
            "group",
            "uid",
            "gid",
            "mode",
            "check_cmd",
            "RELOAD_CMD",
            "check_cmd_timeout",
            "reload-cmd-timeout",
            "min_reload_interval",
            "debounce",
            "output_format",
            "engine",
            "escape",
            "make_dirs",
            "adopt_existing",
            "secret",
            "raw_keys",
            "on_reload_failure",
            "template",
            "nodes",
            "interval",
            "log-level",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z_.\"-]{0,8}",
    ];
    let value = prop_oneof![
        "\"[ -~]{0,20}\"",
        "'[^'\n]{0,20}'",
        "-?[0-9]{1,20}",
        "0[ox][0-9a-f]{1,8}",
        "\\[(\"[a-z./*{}]{0,8}\",? ?){0,4}\\]",
        "\"(\\{\\{|\\}\\}|\\.src|\\.dest|'|`| |\\\\\\\\|\\$\\(|é){0,8}\"",
        "\"([0-9.]{0,25}(ns|us|µs|ms|s|m|h|d)?){0,3}\"",
        "true|false|nan|inf|1979-05-27|\\{a = 1\\}",
        ".{0,12}",
    ];
    let line = prop_oneof![
        8 => (name, value).prop_map(|(name, value)| format!("{name} = {value}")),
        1 => proptest::sample::select(vec!["[template]", "[[template]]", "[nginx]", "[template", "#", "\u{feff}", "\r"])
            .prop_map(str::to_owned),
        1 => ".{0,30}",
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| format!("[template]\n{}", lines.join("\n")))
}

/// A problem in a file has its place inside the text.
fn assert_inside(problem: &Problem, text: &str) {
    if let Some(Place { position: Some(position), .. }) = &problem.place {
        let line = text.split('\n').nth(position.line - 1);
        let line = line.unwrap_or_else(|| panic!("{problem} is beyond the text\n{text}"));
        assert!(position.column <= line.chars().count() + 1, "{problem} is beyond its line\n{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_every_problem_lies_in_it(text in prop_oneof![resource_like(), ".{0,200}"]) {
        let file = ResourceFile { name: "a.toml".into(), path: "a.toml".into(), text: text.clone() };
        let set = load(std::slice::from_ref(&file), &BTreeSet::new(), &Defaults::default());
        prop_assert!(set.resources.is_empty() && !set.problems.is_empty(), "there are no templates, yet it loads");
        for problem in set.problems.iter() {
            assert_inside(problem, &text);
        }
        if let Ok(resource) = parse(&file, &Defaults::default()) {
            let odd = Path::new("/tmp/a b'c");
            let reload = resource.reload.as_ref().and_then(Reload::command);
            for command in [resource.check.as_ref(), reload].into_iter().flatten() {
                prop_assert!(!command.shell_text(odd, odd).is_empty());
            }
        }
        let flags = Flags::new();
        let (_, problems) = resolve(&Layers::new(&flags, &|_| None).with_file(Path::new("upstreamd.toml"), &text));
        for problem in problems.iter() {
            assert_inside(problem, &text);
        }
    }
}
