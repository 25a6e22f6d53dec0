//! Every flag of both confds, walked: with one dash and two, with `=` and without, before the backend's word and after it,
//! as the maintained confd's environment variable and as a key of confd.toml. All ways must come to the same settings.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use upstreamd::cli::args::{self, Invocation};
use upstreamd::config::settings::Settings;
use upstreamd::config::settings::table;
use upstreamd::model::problem::Problems;

/// The effect of a flag in this program.
#[derive(Clone, Copy, PartialEq)]
enum Here {
    /// It does what it does there.
    Works,
    /// It is taken, and warned of: there is nothing for it to do.
    Warned,
    /// It requests the default.
    Default,
}
use crate::support::package_root;
use Here::{Default, Warned, Works};

/// Name, a value (empty for a switch), the maintained confd's variable (if it has one), keys of either confd.toml.
type Row = (&'static str, Option<&'static str>, Option<&'static str>, &'static [&'static str], Here);

const FLAGS: &[Row] = &[
    ("confdir", Some("/srv/confd"), Some("CONFD_CONFDIR"), &["confdir"], Works),
    ("interval", Some("60"), Some("CONFD_INTERVAL"), &["interval"], Works),
    ("log-level", Some("debug"), Some("CONFD_LOG_LEVEL"), &["log-level", "log_level"], Works),
    ("log-format", Some("json"), Some("CONFD_LOG_FORMAT"), &["log-format", "log_format"], Works),
    ("noop", None, Some("CONFD_NOOP"), &["noop"], Works),
    ("onetime", None, Some("CONFD_ONETIME"), &["onetime"], Works),
    ("prefix", Some("/production"), Some("CONFD_PREFIX"), &["prefix"], Works),
    ("sync-only", None, Some("CONFD_SYNC_ONLY"), &["sync-only", "sync_only"], Works),
    ("watch", None, Some("CONFD_WATCH"), &["watch"], Works),
    ("keep-stage-file", None, Some("CONFD_KEEP_STAGE_FILE"), &["keep_stage_file"], Works),
    ("srv-domain", Some("example.com"), Some("CONFD_SRV_DOMAIN"), &["srv_domain"], Works),
    ("srv-record", Some("_etcd._tcp.example.com."), Some("CONFD_SRV_RECORD"), &["srv_record"], Works),
    ("scheme", Some("https"), None, &["scheme"], Works),
    ("node", Some("http://10.0.0.1:2379"), None, &["nodes"], Works),
    ("failure-mode", Some("fail-fast"), Some("CONFD_FAILURE_MODE"), &["failure_mode"], Works),
    ("check-config", None, None, &[], Works),
    ("validate", None, None, &[], Works),
    ("mock-data", Some("/tmp/mock.json"), None, &[], Works),
    ("resource", Some("app.toml"), None, &[], Works),
    ("preflight", None, None, &[], Works),
    ("diff", None, None, &[], Works),
    ("diff-context", Some("5"), None, &[], Works),
    ("color", None, None, &[], Works),
    ("debounce", Some("2s"), Some("CONFD_DEBOUNCE"), &["debounce"], Works),
    ("batch-interval", Some("5s"), Some("CONFD_BATCH_INTERVAL"), &["batch_interval"], Warned),
    ("template-cache", None, Some("CONFD_TEMPLATE_CACHE"), &["template_cache"], Warned),
    ("no-template-cache", None, None, &[], Warned),
    ("stat-cache-ttl", Some("2s"), Some("CONFD_STAT_CACHE_TTL"), &["stat_cache_ttl"], Warned),
    ("backend-timeout", Some("7s"), Some("CONFD_BACKEND_TIMEOUT"), &["backend_timeout"], Works),
    ("check-cmd-timeout", Some("7s"), Some("CONFD_CHECK_CMD_TIMEOUT"), &["check_cmd_timeout"], Works),
    ("reload-cmd-timeout", Some("7s"), Some("CONFD_RELOAD_CMD_TIMEOUT"), &["reload_cmd_timeout"], Works),
    ("dial-timeout", Some("7s"), Some("CONFD_DIAL_TIMEOUT"), &["dial_timeout"], Works),
    ("read-timeout", Some("7s"), Some("CONFD_READ_TIMEOUT"), &["read_timeout"], Warned),
    ("write-timeout", Some("7s"), Some("CONFD_WRITE_TIMEOUT"), &["write_timeout"], Warned),
    ("retry-max-attempts", Some("7"), Some("CONFD_RETRY_MAX_ATTEMPTS"), &["retry_max_attempts"], Warned),
    ("retry-base-delay", Some("7s"), Some("CONFD_RETRY_BASE_DELAY"), &["retry_base_delay"], Warned),
    ("retry-max-delay", Some("7s"), Some("CONFD_RETRY_MAX_DELAY"), &["retry_max_delay"], Warned),
    ("watch-error-backoff", Some("7s"), Some("CONFD_WATCH_ERROR_BACKOFF"), &["watch_error_backoff"], Works),
    ("preflight-timeout", Some("7s"), Some("CONFD_PREFLIGHT_TIMEOUT"), &["preflight_timeout"], Works),
    ("shutdown-timeout", Some("7s"), Some("CONFD_SHUTDOWN_TIMEOUT"), &["shutdown_timeout"], Works),
    ("systemd-notify", None, Some("CONFD_SYSTEMD_NOTIFY"), &["systemd_notify"], Warned),
    ("watchdog-interval", Some("7s"), Some("CONFD_WATCHDOG_INTERVAL"), &["watchdog_interval"], Warned),
    ("metrics-addr", Some(":9100"), Some("CONFD_METRICS_ADDR"), &["metrics_addr"], Works),
    ("client-cert", Some("/c.pem"), Some("CONFD_CLIENT_CERT"), &["client_cert"], Works),
    ("client-key", Some("/k.pem"), Some("CONFD_CLIENT_KEY"), &["client_key"], Works),
    ("client-ca-keys", Some("/ca.pem"), Some("CONFD_CLIENT_CAKEYS"), &["client_cakeys"], Works),
    ("client-insecure", None, None, &["client_insecure"], Works),
    ("basic-auth", None, None, &["basic_auth"], Default),
    ("username", Some("root"), None, &["username"], Works),
    ("password", Some("s3cret"), None, &["password"], Works),
    ("auth-token", Some("t"), None, &["auth_token"], Warned),
    ("auth-type", Some("token"), None, &["auth_type"], Warned),
    ("app-id", Some("x"), None, &["app_id"], Warned),
    ("user-id", Some("x"), None, &["user_id"], Warned),
    ("role-id", Some("x"), None, &["role_id"], Warned),
    ("secret-id", Some("x"), None, &["secret_id"], Warned),
    ("path", Some("x"), None, &["path"], Warned),
    ("table", Some("x"), None, &["table"], Warned),
    ("separator", Some("_"), None, &["separator"], Warned),
    ("file", Some("/keys.yaml"), None, &["file"], Works),
    ("filter", Some("*.yaml"), None, &["filter"], Works),
    ("secret-keyring", Some("/ring"), None, &[], Warned),
    ("acm-export-private-key", None, None, &["acm_export_private_key"], Warned),
    ("secretsmanager-version-stage", Some("AWSPREVIOUS"), None, &["secretsmanager_version_stage"], Warned),
    ("secretsmanager-no-flatten", None, None, &["secretsmanager_no_flatten"], Warned),
    ("imds-cache-ttl", Some("7s"), None, &["imds_cache_ttl"], Warned),
];

/// Other flags that the flag requires.
fn companions(name: &str) -> (&'static str, &'static [&'static str]) {
    match name {
        "username" => ("etcd", &["--password=p"]),
        "password" | "basic-auth" => ("etcd", &["--username=root", "--password=p"]),
        "client-cert" => ("etcd", &["--client-key=/k.pem"]),
        "client-key" => ("etcd", &["--client-cert=/c.pem"]),
        "filter" | "file" => ("file", &["--file=/other.yaml"]),
        _ => ("etcd", &[]),
    }
}

fn parse(words: &[&str], variable: Option<(&str, &str)>, file: Option<&str>) -> Result<Invocation, String> {
    let environment = |name: &str| variable.filter(|(set, _)| *set == name).map(|(_, value)| value.to_owned());
    let mut read_file = |path: &Path| match file.filter(|_| path == Path::new("/etc/confd/confd.toml")) {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    args::parse(words.iter().map(OsString::from), &environment, &mut read_file).map_err(|early| early.text)
}

/// The result that all spellings of one setting must share.
fn meaning(invocation: Invocation) -> Settings {
    Settings { config_file: None, warnings: Problems::default(), ..invocation.settings }
}

#[test]
fn every_flag_of_both_confds_is_taken_in_every_spelling() {
    let mut wrong = Vec::new();
    for (name, value, variable, keys, here) in FLAGS {
        let (backend, with) = companions(name);
        // Repeated flags of a list add up, others do not stand twice.
        let with: Vec<&str> = with.iter().filter(|flag| !flag.starts_with(&format!("--{name}="))).copied().collect();
        let mut ways: Vec<(String, Result<Invocation, String>)> = Vec::new();
        let mut add = |words: Vec<String>, variable: Option<(&str, &str)>, file: Option<&str>| {
            let told = format!("{} {variable:?} {file:?}", words.join(" "));
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            ways.push((told, parse(&words, variable, file)));
        };
        let line = |before: &[String], after: &[String]| -> Vec<String> {
            let mut words = vec!["confd".to_owned()];
            words.extend(before.iter().cloned());
            words.push(backend.to_owned());
            words.extend(with.iter().map(|flag| (*flag).to_owned()));
            words.extend(after.iter().cloned());
            words
        };
        for dashes in ["-", "--"] {
            let spellings: Vec<Vec<String>> = match value {
                Some(value) => {
                    vec![vec![format!("{dashes}{name}={value}")], vec![format!("{dashes}{name}"), (*value).to_owned()]]
                }
                None => vec![vec![format!("{dashes}{name}")], vec![format!("{dashes}{name}=true")]],
            };
            for spelling in &spellings {
                add(line(spelling, &[]), None, None);
                add(line(&[], spelling), None, None);
                // The older confd names the backend by a flag.
                let mut words = vec!["confd".to_owned(), "-backend".to_owned(), backend.to_owned()];
                words.extend(with.iter().map(|flag| (*flag).to_owned()).chain(spelling.iter().cloned()));
                add(words, None, None);
            }
        }
        let said = value.unwrap_or("true");
        if let Some(variable) = variable {
            add(line(&[], &[]), Some((variable, said)), None);
        }
        for key in *keys {
            // Quotes around numbers and booleans would be another type; lists are lists.
            let text = match (value, *name) {
                (None, _) => format!("{key} = true\n"),
                (Some(value), "interval" | "retry-max-attempts" | "diff-context") => format!("{key} = {value}\n"),
                (Some(value), "node" | "file") => format!("{key} = [\"{value}\"]\n"),
                (Some(value), _) => format!("{key} = \"{value}\"\n"),
            };
            // A flag goes over the file: what the flag needs beside it must not be the flag itself.
            let words = if *name == "file" { vec!["confd".to_owned(), "file".to_owned()] } else { line(&[], &[]) };
            add(words, None, Some(&text));
        }
        let without = line(&[], &[]);
        let without: Vec<&str> = without.iter().map(String::as_str).collect();
        // What cannot be without the flag is compared with nothing said at all.
        let plain = parse(&without, None, None).or_else(|_| parse(&["confd"], None, None));
        let plain = meaning(plain.unwrap());
        let mut first: Option<Settings> = None;
        for (told, parsed) in ways {
            let invocation = match parsed {
                Ok(invocation) => invocation,
                Err(text) => {
                    wrong.push(format!("{told}: {text}"));
                    continue;
                }
            };
            let warned = invocation.settings.warnings.to_string().contains(&format!("{name} has no effect"));
            if warned != (*here == Warned) {
                wrong.push(format!("{told}: warned: {warned}"));
            }
            let settings = meaning(invocation);
            if (settings == plain) == (*here == Works) {
                wrong.push(format!("{told}: makes {} difference", if settings == plain { "no" } else { "a" }));
            }
            let (confdirs_given, from_file) = (settings.conf_d.confdirs_given, settings.conf_d.confdirs_from_file);
            let expected = first.get_or_insert_with(|| settings.clone());
            // Whether somebody asked for the confdir is known of a file too.
            expected.conf_d.confdirs_given = confdirs_given;
            expected.conf_d.confdirs_from_file = from_file;
            if *expected != settings {
                wrong.push(format!("{told}: comes to something else than the first spelling"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_help_and_the_docs_know_every_flag() {
    let command = args::definition();
    let known: BTreeSet<&str> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
    let docs = std::fs::read_to_string(package_root().join("docs/settings.md")).unwrap();
    for (name, ..) in FLAGS {
        assert!(known.contains(name), "{name} is no flag");
        assert!(docs.contains(&format!("`--{name}`")), "docs/settings.md does not know --{name}");
    }
    // The other way: what is not confd's is ours.
    let ours = table::ALL.iter().map(|setting| setting.name).filter(|name| FLAGS.iter().all(|(flag, ..)| flag != name));
    let ours: BTreeSet<&str> = ours.collect();
    assert!(ours.contains("state-dir") && ours.contains("prefix-mode") && ours.contains("backend"), "{ours:?}");
}

#[test]
fn a_global_prefix_is_concatenated_or_replaces_by_a_switch() {
    for (words, mode) in [
        (vec!["confd", "--prefix=/p", "etcd"], "Concatenate"),
        (vec!["confd", "-prefix", "/p", "-prefix-mode", "replace", "-backend", "etcdv3"], "Replace"),
    ] {
        assert_eq!(format!("{:?}", parse(&words, None, None).unwrap().settings.conf_d.defaults.prefix_mode), mode);
    }
    assert!(parse(&["confd", "etcd"], Some(("CONFD_PREFIX_MODE", "replace")), None).is_ok());
}
