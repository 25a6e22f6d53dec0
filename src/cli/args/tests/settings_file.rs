//! Which settings file is read, and what happens if it is wrong.

use super::*;

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
