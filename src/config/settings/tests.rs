//! Precedence for every setting of the table, the settings that the layers add up to, and the messages for mistakes.

use std::path::Path;

use expect_test::{Expect, expect};

use super::layers::Flags;
use super::raw::Raw;
use super::table::{ALL, Section, Setting, SettingKind};
use super::*;
use crate::model::dns::NameServers;
use crate::model::glob::Glob;
use crate::model::store::{EtcdSettings, FileSettings, Scheme, StoreLimits};

/// Layers made from texts.
#[derive(Default)]
struct Said {
    flags: Flags,
    environment: Vec<(String, String)>,
    file: String,
    /// Name of the file, if it is not `confd.toml`.
    file_name: Option<&'static str>,
}

impl Said {
    fn flag(mut self, setting: &Setting, value: &str) -> Said {
        self.flags.insert(setting.name, vec![value.to_owned()]);
        self
    }

    fn environment(mut self, name: &str, value: &str) -> Said {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn file(mut self, text: &str) -> Said {
        self.file.push_str(text);
        self
    }

    fn with_layers<T>(&self, read: impl FnOnce(&Layers<'_>) -> T) -> T {
        let lookup =
            |name: &str| self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        read(
            &Layers::new(&self.flags, &lookup).with_file(Path::new(self.file_name.unwrap_or("confd.toml")), &self.file),
        )
    }

    fn raw(&self, setting: &Setting) -> Raw {
        self.with_layers(|layers| {
            assert!(layers.file_problems.is_empty(), "{:?}", layers.file_problems);
            layers.raw(setting)
        })
    }

    fn resolve(&self) -> (Settings, Problems) {
        self.with_layers(resolve)
    }

    #[track_caller]
    fn settings(&self) -> Settings {
        let (settings, problems) = self.resolve();
        assert!(problems.is_empty(), "{problems}");
        settings
    }

    #[track_caller]
    fn check_problems(&self, expected: Expect) {
        expected.assert_eq(&self.resolve().1.to_string());
    }
}

/// Returns four values of the setting's kind, as people would write them; all differ from the default.
fn samples(setting: &Setting) -> [&'static str; 4] {
    match setting.kind {
        SettingKind::Switch if setting.default == Some("false") || setting.default.is_none() => {
            ["true", "false", "true", "false"]
        }
        SettingKind::Switch => ["false", "true", "false", "true"],
        SettingKind::Text | SettingKind::Secret | SettingKind::Texts => ["host1:1", "host2:2", "host3:3", "host4:4"],
        SettingKind::Path | SettingKind::Paths => ["/one", "/two", "/three", "/four"],
        SettingKind::Seconds => ["1", "2", "3", "4"],
        SettingKind::Duration => ["1s", "2s", "3s", "4s"],
        SettingKind::Count => ["10", "20", "30", "40"],
        SettingKind::Choice(words) | SettingKind::OptionalChoice(words) => {
            let others: Vec<_> = words.iter().copied().filter(|word| Some(*word) != setting.default).collect();
            std::array::from_fn(|index| others[index % others.len()])
        }
    }
}

/// Returns the setting's line in the file, under the `nth` of its names.
fn file_line(setting: &Setting, nth: usize, value: &str) -> String {
    let value = match setting.kind {
        SettingKind::Switch | SettingKind::Count | SettingKind::Seconds => value.to_owned(),
        SettingKind::Texts | SettingKind::Paths => format!("[\"{value}\"]"),
        _ => format!("\"{value}\""),
    };
    match setting.file_names()[nth].split_once('.') {
        Some((table, name)) => format!("[{table}]\n{name} = {value}\n"),
        None => format!("{} = {value}\n", setting.file_names()[nth]),
    }
}

fn environment_name(setting: &Setting, program: &str) -> String {
    format!("{program}_{}", setting.name.replace('-', "_").to_uppercase())
}

#[test]
fn flags_beat_environment_beats_file_beats_default_for_every_setting() {
    for setting in ALL {
        let [flag, ours, confds, file] = samples(setting);
        let mut said = Said::default();
        let expect = |said: &Said, value: Option<&str>, origin: &str| {
            let raw = said.raw(setting);
            assert_eq!(raw.values.first().map(String::as_str), value, "{}", setting.name);
            let shown = raw.origin.to_string();
            assert!(shown.starts_with(origin), "{}: {shown}", setting.name);
        };
        expect(&said, setting.default, "by default");
        said = said.file(&file_line(setting, 0, file));
        expect(&said, Some(file), "confd.toml:");
        said = said.environment(&environment_name(setting, "CONFD"), confds);
        expect(&said, Some(confds), "from environment CONFD_");
        said = said.environment(&environment_name(setting, "UPSTREAMD"), ours);
        expect(&said, Some(ours), "from environment UPSTREAMD_");
        said = said.flag(setting, flag);
        expect(&said, Some(flag), "from flag --");
        // A flag counts because it is given, even if it gives the default.
        let default = setting.default.unwrap_or_default();
        if setting.default.is_some() || setting.may_be_empty {
            said = said.flag(setting, default);
            expect(&said, Some(default), "from flag --");
        }
    }
}

#[test]
fn every_spelling_in_file_and_environment_counts() {
    for setting in ALL {
        let value = samples(setting)[0];
        for nth in 0..setting.file_names().len() {
            let line = file_line(setting, nth, value);
            let dashed = match line.split_once('=') {
                Some((name, rest)) => format!("{}={rest}", name.replace('_', "-").to_uppercase()),
                None => line.clone(),
            };
            for text in [line, dashed] {
                assert_eq!(Said::default().file(&text).raw(setting).values, [value], "{text}");
            }
        }
        for name in setting.environment_names() {
            assert_eq!(Said::default().environment(&name, value).raw(setting).values, [value], "{name}");
        }
    }
}

/// Returns the other settings that this one needs to have an effect.
fn context(setting: &Setting) -> Said {
    let said = Said::default();
    match setting.name {
        "file" | "filter" => said.flag(&table::BACKEND, "file").flag(&table::FILE, "/keys"),
        "client-cert" | "client-key" => said.flag(&table::CLIENT_CERT, "/cert").flag(&table::CLIENT_KEY, "/key"),
        "username" | "password" | "basic-auth" | "insecure-login" => {
            said.flag(&table::USERNAME, "name").flag(&table::PASSWORD, "secret")
        }
        "dns-domain" | "dns-services-domain" => said.flag(&table::DNS_LISTEN, "127.0.0.1:5353"),
        _ => said,
    }
}

#[test]
fn every_setting_makes_a_difference_or_a_warning() {
    for setting in ALL {
        let without = context(setting).resolve();
        let value = match setting.name {
            "basic-auth" => "false",
            "backend" => "env",
            "scheme" => "https",
            "agent-id" => "edge-1",
            "endpoints-listen" | "dns-listen" | "dns-forward" => "127.0.0.1:5353",
            "dns-domain" | "dns-services-domain" => "a.example",
            _ => samples(setting)[0],
        };
        let (settings, problems) = context(setting).flag(setting, value).resolve();
        match setting.effect {
            Effect::Works => {
                assert!(problems.is_empty(), "{}: {problems}", setting.name);
                assert!(settings.warnings.is_empty(), "{}: {}", setting.name, settings.warnings);
                // The path of the settings file is known only after reading it, so this one is not among the settings.
                assert_eq!(settings == without.0, setting.name == "config-file", "{}", setting.name);
            }
            Effect::Nothing(reason) => {
                assert!(settings.warnings.to_string().contains(reason), "{}", setting.name);
                assert_eq!(Settings { warnings: Problems::default(), ..settings }, without.0);
            }
        }
    }
}

#[test]
fn the_table_is_sound() {
    let (_, problems) = Said::default().resolve();
    assert!(problems.is_empty(), "a default is refused: {problems}");
    let mut names: Vec<String> = ALL.iter().flat_map(|setting| setting.file_names()).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "two settings share a name");
    for setting in ALL {
        assert!(!setting.help.ends_with('.') && !setting.help.is_empty(), "{}", setting.name);
        assert_eq!(setting.section == Section::Confd, matches!(setting.effect, Effect::Nothing(_)), "{}", setting.name);
    }
}

#[test]
fn an_interval_beside_watch_is_a_resync_only_where_somebody_asked() {
    let minute = Duration::from_secs(60);
    let watch = || Said::default().flag(&table::WATCH, "true");
    assert_eq!(watch().settings().mode, Mode::Watch { resync: None });
    assert_eq!(watch().flag(&table::INTERVAL, "60").settings().mode, Mode::Watch { resync: Some(minute) });
    assert_eq!(watch().file("interval = 60").settings().mode, Mode::Watch { resync: Some(minute) });
    assert_eq!(watch().environment("CONFD_INTERVAL", "1m").settings().mode, Mode::Watch { resync: Some(minute) });
    assert_eq!(watch().environment("CONFD_ONETIME", "1").settings().mode, Mode::Onetime);
    assert_eq!(Said::default().file("interval = 60").settings().mode, Mode::Interval(minute));
}

#[test]
fn empty_texts_ask_for_the_default_or_are_no_variable() {
    let said = || Said::default().file("log-level = \"debug\"\nprefix = \"/p\"");
    assert_eq!(said().settings().log.level, LogLevel::Debug);
    assert_eq!(said().environment("CONFD_LOG_LEVEL", "").settings().log.level, LogLevel::Debug);
    assert_eq!(said().flag(&table::LOG_LEVEL, "").settings().log.level, LogLevel::Info);
    assert_eq!(said().settings().conf_d.defaults.prefix, "/p");
    assert_eq!(said().environment("UPSTREAMD_PREFIX", "").settings().conf_d.defaults.prefix, "");
    assert_eq!(Said::default().environment("UPSTREAMD_STATE_DIR", "").settings().agent.state_dir, StateDir::Off);
    assert_eq!(Said::default().file("state_dir = \"\"").settings().agent.state_dir, StateDir::Off);
    assert_eq!(Said::default().file("state_dir = \"s\"").settings().agent.state_dir, StateDir::Path("s".into()));
}

#[test]
fn what_asks_for_the_default_was_not_given() {
    for setting in ALL.iter().filter(|setting| !setting.may_be_empty) {
        let said = Said::default().flag(setting, "");
        assert_eq!(said.raw(setting).origin.to_string(), "by default", "{}", setting.name);
    }
    let watch = Said::default().flag(&table::WATCH, "true").flag(&table::INTERVAL, "");
    assert_eq!(watch.settings().mode, Mode::Watch { resync: None });
    assert!(!Said::default().flag(&table::CONFDIR, "").settings().conf_d.confdirs_given);
    let peers = Said::default().environment("ETCDCTL_PEERS", "http://a:4001").flag(&table::NODE, "");
    assert_eq!(etcd(&peers.flag(&table::BACKEND, "etcd")).members, ["http://a:4001"]);
    let none = Said::default().file("dns_listen = []\ndns_forward = []").settings().names;
    assert_eq!((none.listen, none.forward), (Vec::new(), NameServers::These(Vec::new())));
}

#[test]
fn zero_is_no_timeout_where_that_makes_sense() {
    let none = Said::default().flag(&table::CHECK_CMD_TIMEOUT, "0").flag(&table::RELOAD_CMD_TIMEOUT, "0s").settings();
    assert_eq!((none.conf_d.defaults.check_cmd_timeout, none.conf_d.defaults.reload_cmd_timeout), (None, None));
    let defaults = Said::default().settings();
    assert_eq!(defaults.conf_d.defaults.check_cmd_timeout, Some(Duration::from_secs(30)));
    assert_eq!(defaults.conf_d.defaults.reload_cmd_timeout, Some(Duration::from_secs(60)));
    assert_eq!(defaults.conf_d.defaults, Defaults::default());
    Said::default()
        .flag(&table::BACKEND_TIMEOUT, "0s")
        .flag(&table::DIAL_TIMEOUT, "0s")
        .flag(&table::INTERVAL, "0")
        .check_problems(expect![[r#"
            backend-timeout: must be more than 0 (from flag --backend-timeout)
            dial-timeout: must be more than 0 (from flag --dial-timeout)
            interval: must be more than 0 (from flag --interval)"#]]);
}

fn etcd(said: &Said) -> EtcdSettings {
    match said.settings().store {
        StoreSettings::Etcd(etcd) => etcd,
        other => panic!("{other:?}"),
    }
}

#[test]
fn endpoints_come_from_flags_or_file_or_the_old_variable_or_srv_records() {
    assert_eq!(etcd(&Said::default()).members, ["127.0.0.1:2379"]);
    let peers = || Said::default().environment("ETCDCTL_PEERS", "http://a:4001, http://b:4001/");
    assert_eq!(etcd(&peers()).members, ["http://a:4001", "http://b:4001"]);
    assert_eq!(etcd(&peers().flag(&table::BACKEND, "etcdv3")).members, ["127.0.0.1:2379"]);
    assert_eq!(etcd(&peers().file("nodes = [\"[::1]:2379\", \"https://c\"]")).members, ["[::1]:2379", "https://c"]);
    assert_eq!(etcd(&peers().environment("UPSTREAMD_NODES", "a:1,b:2")).members, ["a:1", "b:2"]);

    let srv = etcd(&Said::default().flag(&table::SRV_DOMAIN, "example.org.").flag(&table::SRV_RECORD, "_x._tcp.y."));
    assert_eq!((srv.srv_domain.as_deref(), srv.srv_record.as_deref()), (Some("example.org"), Some("_x._tcp.y.")));
}

#[test]
fn endpoints_that_cannot_be_are_refused_without_showing_a_password() {
    for (node, message) in [
        ("localhost", "endpoint `localhost` has no port"),
        ("localhost:0", "endpoint `localhost:0` has a port that is not a number from 1 to 65535"),
        ("localhost:", "endpoint `localhost:` has a port that is not a number from 1 to 65535"),
        (":2379", "endpoint `:2379` has no host, or an IPv6 address without brackets"),
        ("::1:2379", "endpoint `::1:2379` has no host, or an IPv6 address without brackets"),
        ("http://", "endpoint `http://` has no host, or an IPv6 address without brackets"),
        ("ftp://a:1", "endpoint `ftp://a:1` has an unknown scheme"),
        ("http://a:1/v2", "endpoint `http://a:1/v2` has more than a host and a port"),
        ("http://root:hunter2@a:1", "an endpoint has a user name in it"),
        ("http://a:1/?password=hunter2", "an endpoint has a query in it, which is not shown"),
    ] {
        let (_, problems) = Said::default().flag(&table::NODE, node).resolve();
        assert_eq!(problems.len(), 1, "{node}");
        assert!(problems.to_string().starts_with(&format!("node: {message} (from flag --node)")), "{problems}");
        assert!(!problems.to_string().contains("hunter2"));
    }
}

#[test]
fn addresses_to_listen_at_have_a_port_that_others_can_know() {
    for (setting, address, is_right) in [
        (&table::ENDPOINTS_LISTEN, "127.0.0.153:1", true),
        (&table::ENDPOINTS_LISTEN, "127.0.0.153:0", false),
        (&table::ENDPOINTS_LISTEN, "[::1]:0", false),
        (&table::ENDPOINTS_LISTEN, "0.0.0.0:53", false),
        (&table::METRICS_ADDR, ":1", true),
        (&table::METRICS_ADDR, ":0", false),
        (&table::STATUS_ADDR, "localhost:0", false),
    ] {
        let (_, problems) = Said::default().flag(setting, address).resolve();
        assert_eq!(problems.is_empty(), is_right, "{address}: {problems}");
        let refused = format!("{}: `{address}` is not an address to ", setting.name);
        assert!(is_right || problems.to_string().starts_with(&refused), "{problems}");
    }
}

#[test]
fn tls_needs_both_halves_of_a_pair_and_insecure_works_alone() {
    let insecure = etcd(&Said::default().file("client_insecure = true"));
    assert!(insecure.tls.is_some_and(|tls| tls.insecure && tls.ca.is_none()));
    assert_eq!(insecure.scheme, None);
    let ca = etcd(&Said::default().environment("CONFD_CLIENT_CAKEYS", "/ca.pem").flag(&table::SCHEME, "http"));
    assert_eq!(ca.tls.unwrap().ca.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(ca.scheme, Some(Scheme::Http));
    assert_eq!(etcd(&Said::default().flag(&table::CLIENT_INSECURE, "false")).tls, None);
    Said::default().file("client_cert = \"/c\"").check_problems(expect![[r#"
        confd.toml:1:15: client-cert: there is no key
          hint: give it with --client-key"#]]);
    Said::default().environment("CONFD_CLIENT_KEY", "/k").check_problems(expect![[r#"
        client-key: there is no certificate (from environment CONFD_CLIENT_KEY)
          hint: give it with --client-cert"#]]);
}

#[test]
fn a_login_needs_a_name_and_a_password_and_no_switch() {
    let login = |said: &Said| etcd(said).login.map(|login| (login.user, login.password));
    let both = || Said::default().flag(&table::USERNAME, "root").environment("UPSTREAMD_PASSWORD", "hunter2");
    let expected = Some(("root".to_owned(), "hunter2".to_owned()));
    assert_eq!(login(&both()), expected);
    assert_eq!(login(&both().flag(&table::BASIC_AUTH, "true")), expected);
    assert_eq!(login(&both().flag(&table::BASIC_AUTH, "false")), None);
    Said::default().flag(&table::USERNAME, "root").check_problems(expect![[r#"
        username: there is no password (from flag --username)
          hint: give it with UPSTREAMD_PASSWORD or in the settings file"#]]);
    Said::default().file("password = \"hunter2\"").check_problems(expect![[r#"
        confd.toml:1:12: password: there is no user name
          hint: give it with --username"#]]);
    Said::default().flag(&table::BASIC_AUTH, "true").check_problems(expect![[r#"
        basic-auth: there is no user name (from flag --basic-auth)
          hint: give it with --username and --password"#]]);
}

#[test]
fn a_password_is_never_shown() {
    let said = || Said::default().flag(&table::USERNAME, "root").flag(&table::INTERVAL, "0");
    let (settings, problems) = said().flag(&table::PASSWORD, "hunter2").resolve();
    assert!(!format!("{settings:?}{problems}{problems:?}").contains("hunter2"), "{settings:?}");
    assert!(format!("{settings:?}").contains("root"));
    // Not even if it is written wrongly.
    let (_, problems) = said().file("password = 5318008\n").resolve();
    assert!(problems.to_string().contains("`password` must be a string, found a number"), "{problems}");
    assert!(!problems.to_string().contains("5318008"));
    let (settings, _) = said().flag(&table::AUTH_TOKEN, "hunter2").resolve();
    assert!(settings.warnings.to_string().contains("auth-token") && !format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_file_store_needs_a_file() {
    Said::default().flag(&table::BACKEND, "file").check_problems(expect![[r#"
        the backend `file` needs a file (from flag --backend)
          hint: name it with --file, or file = ["…"] in the settings file"#]]);
    let said = Said::default().file("backend = \"file\"\nfile = \"/keys.yaml\"\nnodes = [\"not looked at\"]");
    let expected =
        FileSettings { paths: vec!["/keys.yaml".into()], filter: Glob::any(), limits: StoreLimits::default() };
    assert_eq!(said.settings().store, StoreSettings::File(expected));
}

#[test]
fn a_filter_must_be_a_pattern() {
    let said = || Said::default().flag(&table::BACKEND, "file").flag(&table::FILE, "/keys");
    said().flag(&table::FILTER, "[").check_problems(expect![[r#"
        filter: `[` is not a pattern (from flag --filter)
          hint: write one like *.yaml; `\[` stands for a `[`"#]]);
}

#[test]
fn both_confds_files_are_read() {
    let older = "backend = \"etcdv3\"\nconfdir = \"/srv/confd\"\ninterval = 30\nlog-level = \"warn\"\nsync-only = true\n\
                 nodes = [\"http://a:2379\"]\nprefix = \"/p\"\nsrv_domain = \"\"\nscheme = \"http\"\nwatch = true\n\
                 client_cakeys = \"\"\nbasic_auth = false\nusername = \"\"\npassword = \"\"\n";
    let settings = Said::default().file(older).settings();
    assert_eq!(settings.conf_d.confdirs, [Path::new("/srv/confd")]);
    assert_eq!(settings.mode, Mode::Watch { resync: Some(Duration::from_secs(30)) });
    assert_eq!((settings.log.level, settings.conf_d.defaults.sync_only), (LogLevel::Warn, true));
    assert!(settings.warnings.is_empty(), "{}", settings.warnings);
    let newer = "log_level = \"error\"\nlog_format = \"json\"\nsync_only = true\nreload_cmd_timeout = \"2m\"\n\
                 debounce = \"3s\"\nkeep_stage_file = true\ntemplate_cache = true\nfailure_mode = \"fail-fast\"\n";
    let settings = Said::default().file(newer).settings();
    assert_eq!((settings.log.level, settings.log.format), (LogLevel::Error, LogFormat::Json));
    assert_eq!(settings.conf_d.defaults.reload_cmd_timeout, Some(Duration::from_secs(120)));
    assert_eq!(settings.conf_d.defaults.debounce, Some(Duration::from_secs(3)));
    assert!(settings.agent.fail_fast);
    expect!["confd.toml:7:18: template-cache has no effect: templates are read again when they change"]
        .assert_eq(&settings.warnings.to_string());
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let said = || Said { file_name: Some("upstreamd.toml"), ..Said::default() };
    said()
        .file(
            "interval = \"soon\"\nnodes = [1]\nnode = [\"a:1\"]\nonetime = \"yes\"\nbackend_timeout = 30\n\
             sync_only = true\nsync-only = false\nfoo = 1\nnginx = 3\n[template]\nsrc = \"x\"\n",
        )
        .check_problems(expect![[r#"
            upstreamd.toml:1:12: interval: `soon` is not a duration
              hint: write for example "500ms", "30s" or "1m30s"
            upstreamd.toml:2:10: `nodes` must hold strings only, found a number
            upstreamd.toml:3:1: `node` and `nodes` are the same
              hint: leave one of the two out; the first is on line 2
            upstreamd.toml:4:11: `onetime` must be a boolean, found a string
              hint: write true or false, without quotes
            upstreamd.toml:5:19: `backend_timeout` must be a string, found a number
              hint: write a duration such as "30s"
            upstreamd.toml:7:1: `sync-only` is given twice
              hint: leave one of the two out; the first is on line 6
            upstreamd.toml:8:1: unknown setting: `foo`
              hint: `upstreamd --help` lists the settings; in the file they have `_` for `-`
            upstreamd.toml:9:1: `nginx` must be a table, found a number
            upstreamd.toml:10:2: unknown setting: `template`
              hint: write each resource to a file in conf.d"#]]);
    said().file("interval = 5\nnodes = [\"a:1\"\nwatch = true\nprefix = \"../x\"").check_problems(expect![[r#"
        upstreamd.toml:3:1: missing comma between array elements, expected `,`
        upstreamd.toml:4:1: missing comma between array elements, expected `,`"#]]);
}

#[test]
fn what_is_no_setting_is_passed_over_in_confds_file_in_one_line() {
    let warning = |file_name: Option<&'static str>, text: &str| {
        let settings = Said { file_name, ..Said::default().file(text) }.settings();
        settings.warnings.to_string()
    };
    let old = "interval = 30\ndebug = true\netcd_nodes = [\"http://a:2379\"]\nEtcd-Scheme = \"https\"\nverbose = 1\n\
               pgp-private-key = \"/k\"\nlog-lvel = \"debug\"\ncert = \"/c\"\n[confd]\nprefix = \"/p\"\n";
    let expected = expect![[
        r#"confd.toml:2:1: ignored, as in confd, because they are not settings: `debug` (now `log_level = "debug"`), `etcd_nodes` (now `nodes`), `Etcd-Scheme` (now `scheme`), `verbose` (now `log_level = "info"`), `pgp-private-key` (now nothing, values are taken as they are), `log-lvel` (did you mean `log_level`?), `cert` (now `client_cert`), `confd` (now the lines below [confd], without that line); keys are read from etcd at 127.0.0.1:2379"#
    ]];
    expected.assert_eq(&warning(None, old));
    let resource = "[template]\nsrc = \"a.tmpl\"\ndest = \"/a\"\nkeys = [\"/a\"]\n";
    let expected = expect![[
        r#"/etc/confd/conf.d/a.toml: this is a file for conf.d, so nothing in it is a setting and it is ignored, as in confd; --confdir names the folder that holds conf.d, and --resource a.toml uses only this file of it; keys are read from etcd at 127.0.0.1:2379"#
    ]];
    expected.assert_eq(&warning(Some("/etc/confd/conf.d/a.toml"), resource));
    assert_eq!(warning(None, "\u{feff}interval = 30\r\nwatch = true\r\n"), "");
}
