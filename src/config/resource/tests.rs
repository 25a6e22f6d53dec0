//! Fields of a resource, one table for each with corner cases. Whole files and their problems are in `tests/cases/config`.

use super::*;
use crate::model::resource::{CommandPart, Identity, Pace};

fn parse_with(lines: &str, defaults: &Defaults) -> Result<Resource, String> {
    let has = |name: &str| lines.lines().any(|line| line.split('=').next().unwrap().trim().eq_ignore_ascii_case(name));
    let mut text = "[template]\n".to_owned();
    for (name, value) in [("src", "a.conf"), ("dest", "/etc/a.conf")] {
        if !has(name) {
            text.push_str(&format!("{name} = \"{value}\"\n"));
        }
    }
    text.push_str(lines);
    let file = ResourceFile { name: "a.toml".into(), path: "a.toml".into(), text };
    parse(&file, defaults).map_err(|problems| {
        let messages: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
        messages.join("; ")
    })
}

#[track_caller]
fn ok(lines: &str) -> Resource {
    parse_with(lines, &Defaults::default()).unwrap_or_else(|problems| panic!("{lines}: {problems}"))
}

#[track_caller]
fn refused(lines: &str, expected: &str) {
    assert_eq!(parse_with(lines, &Defaults::default()).expect_err(lines), expected, "{lines}");
}

#[test]
fn the_list_of_fields_is_that_of_those_read() {
    let file = |text: &str| ResourceFile { name: "a.toml".into(), path: "a.toml".into(), text: text.to_owned() };
    for field in FIELDS {
        // A date suits no field, so a known one is refused for its type.
        let problems = parse(&file(&format!("[template]\n{field} = 2026-01-01")), &Defaults::default()).unwrap_err();
        let is_reported = problems.iter().any(|problem| problem.message.starts_with(&format!("`{field}` must be")));
        assert!(is_reported, "{field}: {problems:?}");
    }
    let problems = parse(&file("[template]\nzzz = 1"), &Defaults::default()).unwrap_err();
    let unknown = problems.iter().find(|problem| problem.message.starts_with("unknown")).unwrap();
    assert_eq!(unknown.hint.as_deref(), Some(format!("known are {}", FIELDS.join(", ")).as_str()));
}

#[test]
fn modes_are_octal_whatever_stands_in_front() {
    for (written, expected) in [
        ("'0644'", Some(0o644)),
        ("'644'", Some(0o644)),
        ("'0o644'", Some(0o644)),
        ("0o644", Some(0o644)),
        ("'04755'", Some(0o4755)),
        ("'7777'", Some(0o7777)),
        ("'0'", Some(0)),
        ("''", None),
    ] {
        assert_eq!(ok(&format!("mode = {written}")).target.mode, expected, "{written}");
    }
    refused("mode = 644", "`mode` must be a string, found the number 644");
    refused("mode = 0x1a4", "`mode` must be a string, found the number 0x1a4");
    refused("mode = '0844'", "`mode` `0844` is not octal");
    refused("mode = '+644'", "`mode` `+644` is not octal");
    refused("mode = 'u=rw'", "`mode` `u=rw` is not octal");
    refused("mode = '10000'", "`mode` `10000` is more than 7777");
    refused("mode = '777777777777777777'", "`mode` `777777777777777777` is more than 7777");
    refused("mode = 0o20000", "`mode` `20000` is more than 7777");
    refused("mode = true", "`mode` must be a string, found a boolean");
    refused("mode = 0644", "unexpected leading zero, expected nothing");
}

#[test]
fn owners_are_names_or_numbers_and_the_numbers_win() {
    let name = |name: &str| Some(Identity::Name(name.to_owned()));
    let id = |id| Some(Identity::Id(id));
    for (lines, owner) in [
        ("", None),
        ("owner = ''", None),
        ("owner = 'root'", name("root")),
        ("owner = '65534'", id(65534)),
        ("owner = 65534", id(65534)),
        ("uid = 33", id(33)),
        ("uid = 0", id(0)),
        ("uid = -1", None),
        ("uid = -1\nowner = 'root'", name("root")),
        ("uid = 33\nowner = 'www-data'", id(33)),
        ("uid = 33\nowner = '33'", id(33)),
        ("UID = 33\nOwner = 'x'", id(33)),
    ] {
        assert_eq!(ok(lines).target.owner, owner, "{lines}");
        let group =
            lines.replace("owner", "group").replace("Owner", "Group").replace("uid", "gid").replace("UID", "GID");
        assert_eq!(ok(&group).target.group, owner, "{group}");
    }
    refused("uid = 33\nowner = 34", "`uid` is 33 and `owner` is 34");
    refused("gid = 33\ngroup = '34'", "`gid` is 33 and `group` is 34");
    refused("owner = 'a:b'", "`owner` `a:b` is not a name");
    refused("owner = -2", "`owner` `-2` is not a user or group number");
    refused("uid = 4294967295", "`uid` `4294967295` is not a user or group number");
    refused("uid = '33'", "`uid` must be a number, found a string");
    refused("uid = 1.5", "`uid` must be a number, found a fraction");
}

#[test]
fn keys_are_cleaned_and_prefixed_and_stay_inside() {
    let store_keys = |lines: &str, global: &str, mode| {
        let defaults = Defaults { prefix: global.to_owned(), prefix_mode: mode, ..Defaults::default() };
        let resource = parse_with(lines, &defaults).unwrap();
        let starts: Vec<String> = resource.ranges.iter().map(|range| range.start.clone()).collect();
        (resource.prefix.to_string(), resource.keys.join(" "), starts.join(" "))
    };
    use PrefixMode::{Concatenate, Replace};
    for (lines, global, mode, prefix, keys, starts) in [
        ("keys = ['services']", "", Concatenate, "", "/services", "/services /services/"),
        (
            "keys = ['/services/', '//a/./b/../c']",
            "",
            Concatenate,
            "",
            "/services /a/c",
            "/a/c /a/c/ /services /services/",
        ),
        ("keys = ['/']", "", Concatenate, "", "/", "/"),
        ("keys = []", "", Concatenate, "", "", ""),
        ("", "", Concatenate, "", "", ""),
        ("keys = ['k']\nprefix = 'myapp/'", "", Concatenate, "/myapp", "/k", "/myapp/k /myapp/k/"),
        ("keys = ['k']\nprefix = '/myapp'", "/production", Concatenate, "/production/myapp", "/k", {
            "/production/myapp/k /production/myapp/k/"
        }),
        (
            "keys = ['k']\nprefix = '/myapp'",
            "/production",
            Replace,
            "/production",
            "/k",
            "/production/k /production/k/",
        ),
        ("keys = ['k']\nprefix = '/myapp'", "", Replace, "/myapp", "/k", "/myapp/k /myapp/k/"),
        ("keys = ['/']", "/production", Concatenate, "/production", "/", "/production/"),
        ("keys = ['k']\nprefix = '/'", "", Concatenate, "", "/k", "/k /k/"),
        ("keys = ['stolon', 'a//b/']\nraw_keys = true", "/production", Concatenate, "", "stolon a//b/", {
            "a//b/ stolon stolon/"
        }),
        ("keys = ['']\nraw_keys = true\nprefix = ''", "", Concatenate, "", "", ""),
    ] {
        let expected = (prefix.to_owned(), keys.to_owned(), starts.to_owned());
        assert_eq!(store_keys(lines, global, mode), expected, "{lines} {global} {mode:?}");
    }
    refused("keys = ['../other']", "key `../other` leaves its prefix");
    refused("keys = ['a/../../b', 'c']", "key `a/../../b` leaves its prefix");
    refused("keys = '/services'", "`keys` must be an array of strings, found a string");
    refused("keys = ['/a', 1]", "`keys` must hold strings only, found a number");
    refused("prefix = '/..'", "prefix `/..` leaves its prefix");
    refused("raw_keys = true\nprefix = '/a'", "`prefix` cannot go with raw_keys, which takes keys as they are");
}

#[test]
fn sources_stay_below_the_templates_folder_and_tell_their_language() {
    for (written, expected) in [("a.conf", "a.conf"), ("/sub//a.conf", "sub/a.conf"), ("sub/../b", "b"), ("./c", "c")] {
        assert_eq!(&*ok(&format!("src = '{written}'")).src, expected);
    }
    for (written, expected) in [
        ("", Engine::Go),
        ("src = 'a.tmpl'", Engine::Go),
        ("src = 'a.conf.tera'", Engine::Tera),
        ("src = 'a.tera.conf'", Engine::Go),
        ("src = 'a.tera'\nengine = 'go'", Engine::Go),
        ("src = 'a.tmpl'\nengine = 'tera'", Engine::Tera),
    ] {
        assert_eq!(ok(written).engine, expected, "{written}");
    }
    refused("src = ''", "`src` is empty");
    refused("src = '/'", "`src` is empty");
    refused("src = '../a'", "`src` `../a` leaves the templates folder");
    refused("src = 'a/../../b'", "`src` `a/../../b` leaves the templates folder");
    refused("engine = 'jinja'", "`engine` cannot be `jinja`");
}

#[test]
fn destinations_are_absolute_files() {
    assert_eq!(ok("dest = '/etc/../etc/x y'").dest, Path::new("/etc/../etc/x y"));
    refused("dest = ''", "`dest` is empty");
    refused("dest = 'a.conf'", "`dest` `a.conf` is relative");
    for folder in ["/", "/etc/", "/etc/.", "/etc/.."] {
        refused(&format!("dest = '{folder}'"), &format!("`dest` `{folder}` is a folder"));
    }
    refused("dest = \"/a\\nb\"", "`dest` `/a\\nb` has a control character");
}

#[test]
fn commands_are_cut_at_placeholders_and_blank_ones_are_none() {
    let check = ok("check_cmd = 'nginx -t -c {{.src}}'").check.unwrap();
    assert_eq!(check.parts, [CommandPart::Literal("nginx -t -c ".to_owned()), CommandPart::Src]);
    assert_eq!(check.text, "nginx -t -c {{.src}}");
    assert_eq!(check.timeout, Some(Duration::from_secs(30)));
    assert_eq!(ok("reload_cmd = 'x'").reload.unwrap().command().unwrap().timeout, Some(Duration::from_secs(60)));
    assert_eq!(ok("check_cmd = 'x'\ncheck_cmd_timeout = '0s'").check.unwrap().timeout, None);
    assert_eq!(
        ok("reload_cmd = 'x'\nreload_cmd_timeout = '1m30s'").reload.unwrap().command().unwrap().timeout,
        Some(Duration::from_secs(90))
    );
    assert_eq!(
        ok("reload_cmd = 'x'\nreload_cmd_timeout = ''").reload.unwrap().command().unwrap().timeout,
        Some(Duration::from_secs(60))
    );
    let blank = ok("check_cmd = ''\nreload_cmd = '  '");
    assert_eq!((blank.check, blank.reload), (None, None));
    refused("check_cmd = 'cat {{.scr}}'", "`{{.scr}}` is not known in a command");
    refused("reload_cmd = 'cat {{.src'", "`{{` is not closed");
    refused("check_cmd_timeout = 30", "`check_cmd_timeout` must be a string, found a number");
    refused("check_cmd_timeout = '30'", "duration `30` has no unit");
}

#[test]
fn sync_only_drops_the_commands_but_not_what_they_tell() {
    let defaults = Defaults { sync_only: true, ..Defaults::default() };
    let resource = parse_with("engine = 'tera'\ncheck_cmd = 'nginx -t'\nreload_cmd = 'x'", &defaults).unwrap();
    assert_eq!((resource.check, resource.reload, resource.escape), (None, None, Escape::Nginx));
}

#[test]
fn an_explicit_pace_differs_from_the_built_in_one() {
    let millis = Duration::from_millis;
    assert_eq!(ok("").pace, Pace::default());
    let explicit = Pace { debounce: millis(300), debounce_first: true, debounce_max: millis(3000), ..Pace::default() };
    assert_eq!(ok("debounce = '300ms'").pace, explicit);
    let defaults = Defaults { debounce: Some(millis(300)), ..Defaults::default() };
    assert_eq!(parse_with("", &defaults).unwrap().pace, explicit);
    let none = Pace { debounce: millis(0), debounce_first: false, debounce_max: millis(0), ..Pace::default() };
    assert_eq!(parse_with("debounce = '0s'", &defaults).unwrap().pace, none);
    assert_eq!(ok("min_reload_interval = '0s'").pace.min_reload_interval, millis(0));
    assert_eq!(ok("min_reload_interval = '5s'").pace.min_reload_interval, millis(5000));
}

#[test]
fn nginx_files_are_escaped_by_default() {
    for (lines, expected) in [
        ("", Escape::None),
        ("engine = 'go'\nreload_cmd = 'nginx -s reload'", Escape::None),
        ("output_format = 'nginx'", Escape::Nginx),
        ("output_format = 'json'", Escape::None),
        ("check_cmd = '/usr/sbin/nginx -t'", Escape::Nginx),
        ("reload_cmd = '/usr/sbin/service nginx reload'", Escape::Nginx),
        ("reload_cmd = 'nginxctl'", Escape::None),
        ("reload_cmd = 'service nginx reload'\nescape = 'none'", Escape::None),
        ("escape = 'nginx'", Escape::Nginx),
    ] {
        let engine = if lines.contains("engine") { "" } else { "engine = 'tera'\n" };
        assert_eq!(ok(&format!("{engine}{lines}")).escape, expected, "{lines}");
    }
}

#[test]
fn the_other_fields_take_their_words() {
    assert_eq!(ok("output_format = 'yml'").output_format, Some(OutputFormat::Yaml));
    assert_eq!(ok("output_format = ''").output_format, None);
    assert_eq!(ok("on_reload_failure = 'keep'").on_reload_failure, OnReloadFailure::Keep);
    assert_eq!(ok("").on_reload_failure, OnReloadFailure::Auto);
    assert!(ok("make_dirs = true").target.make_dirs);
    refused("output_format = 'jsn'", "`output_format` cannot be `jsn`");
    refused("on_reload_failure = 'ignore'", "`on_reload_failure` cannot be `ignore`");
    refused("make_dirs = 'yes'", "`make_dirs` must be a boolean, found a string");
    refused("escape = ''", "`escape` cannot be ``");
}

#[test]
fn bytes_that_are_not_text_are_reported_at_their_place() {
    let problem = ResourceFile::from_bytes("a.toml".into(), "a.toml".into(), b"[template]\nsrc = \"\xff\"".to_vec());
    assert!(problem.unwrap_err().to_string().starts_with("a.toml:2:8: not UTF-8"));
}
