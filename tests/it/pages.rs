//! The pages hold together: links lead somewhere, the index lists every page, and what pages quote is in the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use upstreamd::config::resource::{Defaults, ResourceFile, parse};

use crate::support::package_root;

fn root() -> PathBuf {
    package_root().to_owned()
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The files of a folder that end like this, by their path from the root.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap().flatten() {
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        match entry.path().is_dir() {
            true => files.extend(self::files(&name, extension)),
            false => files.extend(Some(name).filter(|name| name.ends_with(extension))),
        }
    }
    files.sort();
    files
}

/// Every document for people.
fn pages() -> Vec<String> {
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "ARCHITECTURE.md"].map(str::to_owned);
    top.into_iter().chain(files("docs", ".md")).collect()
}

/// The targets of a page's links within the repository, without their headings.
fn linked(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let files = links.filter(|link| !link.starts_with("http")).map(|link| link.split('#').next().unwrap());
    files.filter(|path| !path.is_empty())
}

#[test]
fn links_of_the_readme_lead_somewhere_in_the_tarball_too() {
    let packed = read("scripts/dist.sh");
    let packed: Vec<&str> =
        packed.lines().filter(|line| line.starts_with("cp -R ")).flat_map(str::split_whitespace).collect();
    let readme = read("README.md");
    let is_missing = |path: &&str| !packed.iter().any(|packed| Path::new(path).starts_with(packed));
    assert_eq!(linked(&readme).filter(is_missing).collect::<Vec<_>>(), Vec::<&str>::new());
}

/// The fenced blocks of a page in this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A heading as its link says it: lower case, blanks as dashes, nothing but letters, digits, dashes and underscores.
fn anchor(heading: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_');
    heading.trim().to_lowercase().replace(' ', "-").chars().filter(is_kept).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    prose.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_it() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("http") {
                continue;
            }
            let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
            let target = if path.is_empty() { PathBuf::from(&page) } else { folder.join(path) };
            let there = root().join(&target);
            let has_heading = |heading: &str| anchors(&fs::read_to_string(&there).unwrap()).contains(heading);
            if !there.exists() || heading.is_some_and(|heading| !has_heading(heading)) {
                wrong.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_index_lists_every_page() {
    let index = read("docs/README.md");
    for page in files("docs", ".md").iter().filter(|page| *page != "docs/README.md") {
        let name = page.strip_prefix("docs/").unwrap();
        assert!(index.contains(&format!("]({name})")), "docs/README.md does not list {name}");
    }
}

#[test]
fn the_page_on_resources_lists_every_field() {
    // A field that does not exist is refused with the list of those that do.
    let text = "[template]\nsrc = \"a\"\ndest = \"/a\"\nqqqqqqqq = 1\n".to_owned();
    let file = ResourceFile { name: "a.toml".into(), path: "a.toml".into(), text };
    let problems = parse(&file, &Defaults::default()).unwrap_err();
    let known = problems[0].hint.clone().unwrap();
    let page = read("docs/resources.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let documented: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    let fields: BTreeSet<&str> = known.strip_prefix("known are ").unwrap().split(", ").collect();
    assert_eq!(documented, fields);
}

#[test]
fn every_path_and_test_that_the_recipes_name_exists() {
    let recipes = read("CONTRIBUTING.md");
    let tests: String = files("src", ".rs").iter().chain(&files("tests/it", ".rs")).map(|file| read(file)).collect();
    let mut wrong = Vec::new();
    for code in recipes.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2)) {
        let is_path = ["src/", "tests/", "docs/"].iter().any(|folder| code.starts_with(folder));
        let is_test = code.contains('_') && code.matches("_").count() > 3 && !code.contains(' ');
        let function = format!("fn {}(", code.rsplit("::").next().unwrap());
        if (is_path && !root().join(code).exists()) || (is_test && !tests.contains(&function)) {
            wrong.push(code);
        }
    }
    assert!(wrong.is_empty(), "CONTRIBUTING.md names {wrong:?}");
}

#[test]
fn every_function_that_the_map_names_is_in_the_file_beside_it() {
    let map = read("ARCHITECTURE.md");
    let parts: Vec<&str> = map.split('`').collect();
    let (mut wrong, mut found) = (Vec::new(), 0);
    // Words in backticks are every second part. What is meant: `file.rs` (`one`, `another`).
    for (at, file) in parts.iter().enumerate().filter(|(at, part)| at % 2 == 1 && part.ends_with(".rs")) {
        if parts.get(at + 1) != Some(&" (") {
            continue;
        }
        let text = std::fs::read_to_string(root().join("src").join(file)).unwrap_or_default();
        for name in (at + 2..parts.len()).step_by(2) {
            found += 1;
            let word = parts[name];
            let forms =
                ["fn _(", "fn _<", "const _:", "struct _", "enum _", "    _,\n"].map(|form| form.replace('_', word));
            if !forms.iter().any(|form| text.contains(form)) {
                wrong.push(format!("{file} ({})", parts[name]));
            }
            if !matches!(parts.get(name + 1), Some(&", " | &"; ")) {
                break;
            }
        }
    }
    assert!(wrong.is_empty() && found > 40, "of {found}: {wrong:#?}");
}

#[test]
fn the_figures_in_the_readme_are_those_of_the_page_on_performance() {
    let (readme, page) = (read("README.md"), read("docs/performance.md"));
    let table = readme.split("## How fast").nth(1).unwrap().split("\n\n").nth(1).unwrap();
    let cells = table.lines().skip(2).map(|row| row.split('|').nth(2).unwrap());
    let is_figure = |words: &[&str]| words[0].parse::<f64>().is_ok() && ["ms", "MB"].contains(&words[1]);
    let words: Vec<&str> = cells.flat_map(|cell| cell.split([' ', ','])).filter(|word| !word.is_empty()).collect();
    let figures: Vec<String> = words.windows(2).filter(|pair| is_figure(pair)).map(|pair| pair.join(" ")).collect();
    assert!(figures.len() > 3, "{figures:?}");
    let has = |text: &str, figure: &str| {
        let is_inside = |at: usize| text[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.');
        text.match_indices(figure).any(|(at, _)| !is_inside(at))
    };
    for figure in figures.iter().map(String::as_str).chain(["990"]) {
        assert!(has(&page, figure) && has(&readme, figure), "{figure}");
    }
}

/// The source as one text in which a string that goes over several lines, or has quotes, stands as it is printed.
fn source() -> String {
    let mut all = String::new();
    for file in files("src", ".rs") {
        let text = read(&file);
        let mut lines = text.split("\\\n");
        all.push_str(lines.next().unwrap());
        lines.for_each(|line| all.push_str(line.trim_start()));
    }
    all.replace("\\\"", "\"")
}

#[test]
fn every_log_line_that_a_page_quotes_is_one_of_the_program() {
    let source = source();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for page in files("docs", ".md") {
        for line in blocks(&read(&page), "log").iter().flat_map(|block| block.lines()) {
            // `…` stands for what varies.
            for piece in line.split('…').filter(|piece| piece.chars().any(char::is_alphabetic)) {
                seen += 1;
                // A colon before what varies may be of another text than what is before it.
                if !source.contains(piece.trim_end_matches([':', ' '])) {
                    wrong.push(format!("{page}: `{piece}` of `{line}`"));
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} pieces of log lines are quoted");
    assert!(wrong.is_empty(), "no source prints:\n{}", wrong.join("\n"));
}

/// The names behind `${` in a text.
fn variables(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    text.split("${").skip(1).filter_map(|rest| rest.split(|c| !is_name(c)).next()).collect()
}

#[test]
fn the_page_on_containers_names_what_the_compose_files_can_be_told() {
    let page = read("docs/containers.md");
    for file in ["docker/compose.yaml", "docker/compose.sidecar.yaml", "docker/compose.readonly.yaml"] {
        let text = read(file);
        let found = variables(&text);
        assert!(found.contains("UPSTREAMD_BASE") && found.contains("UPSTREAMD_BUILDER"), "{file}: {found:?}");
        for name in found {
            assert!(page.contains(&format!("`{name}`")), "docs/containers.md does not name {name} of {file}");
        }
        // A second copy on the same machine would collide.
        assert!(!text.contains("subnet:") && !text.contains("ipv4_address:"), "{file} fixes an address");
    }
}

#[test]
fn units_find_the_program_of_the_package_and_of_the_tarball() {
    for unit in ["upstreamd.service", "upstreamd@.service", "app-announce@.service"] {
        let text = read(&format!("systemd/{unit}"));
        assert!(text.lines().any(|line| line.starts_with("ExecStart=upstreamd ")), "{unit} names a folder:\n{text}");
    }
}

#[test]
fn pages_say_how_far_apart_reloads_are_and_that_daemons_share_no_state() {
    let page = read("docs/resources.md");
    let row = page.lines().find(|line| line.starts_with("| `min_reload_interval`")).unwrap();
    assert!(row.contains("](nginx.md#pace)"), "{row}");
    let running = read("docs/running.md").replace('\n', " ");
    assert!(running.contains("Two daemons on one machine need two state folders"));
}

#[test]
fn installing_begins_with_the_tarball_that_two_scripts_make_and_try() {
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Install\n").expect("the README has a section Install");
    let first = blocks(section, "sh")[0].lines().next().unwrap().to_owned();
    assert!(first.starts_with("make dist "), "{first}");
    let makefile = read("Makefile");
    for (target, script) in [("dist", "scripts/dist.sh"), ("dist-test", "scripts/dist-test.sh")] {
        assert!(makefile.contains(&format!("\n{target}: setup")) && makefile.contains(&format!("@sh {script}\n")));
        assert!(root().join(script).exists());
    }
    let dist = read("scripts/dist.sh");
    assert!(dist.contains("target-feature=+crt-static") && dist.contains("getrandom_backend"));
    let tried = read("scripts/dist-test.sh");
    // An empty image, one without a C library, an older Debian; and the size that it may have.
    for words in ["FROM scratch", "busybox", "debian:bullseye", "limit=9000000", "sha256sum --quiet -c"] {
        assert!(tried.contains(words), "scripts/dist-test.sh does not try: {words}");
    }
}
