//! A confdir as confd's users have it, unchanged, by both confds' command lines and from each store: every file comes out as confd
//! writes it, byte for byte. The expected files were held against Go's text/template with confd's functions; confd itself is
//! not run.

use std::fs;
use std::path::PathBuf;

use crate::support::agent::Sandbox;
use crate::support::etcd::Etcd;
use crate::support::package_root;
use crate::support::template::table;

/// The keys of the store.
const KEYS: &[(&str, &str)] = &[
    ("/stock/services/web/b", "10.0.0.1:8080"),
    ("/stock/services/web/a", "10.0.0.2:8080"),
    ("/stock/services/api/x", "10.0.1.1:9000"),
    ("/stock/site/name", "shop.example"),
    ("/stock/site/limits", "{\"rate\": 10, \"size\": 1000000}"),
    ("/stock/site/words", "one,two"),
    ("/stock/flags/tls", ""),
];

/// More keys than confd reads in one transaction.
const MANY: usize = 192;

fn stock(path: &str) -> PathBuf {
    package_root().join("tests/confdirs/stock").join(path)
}

fn many() -> impl Iterator<Item = (String, String)> {
    (0..MANY).map(|n| (format!("/stock/many/k{n:03}"), format!("v{n}")))
}

fn keys() -> Vec<(String, String)> {
    KEYS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).chain(many()).collect()
}

/// The confdir, its destinations and owner put in; one resource lists its 192 keys.
fn set_up(sandbox: &Sandbox) {
    let put_in = |text: String| {
        let (uid, gid) = (nix::unistd::geteuid().to_string(), nix::unistd::getegid().to_string());
        text.replace("@OUT@", &sandbox.text_path("out")).replace("@UID@", &uid).replace("@GID@", &gid)
    };
    fs::create_dir_all(sandbox.path("etc/templates/sites")).unwrap();
    for folder in ["conf.d", "templates", "templates/sites"] {
        for file in
            fs::read_dir(stock(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
        {
            let to = sandbox.path("etc").join(folder).join(file.file_name().unwrap());
            fs::write(to, put_in(fs::read_to_string(&file).unwrap())).unwrap();
        }
    }
    let keys: Vec<String> = many().map(|(key, _)| key).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    sandbox.resource("many", &table("many.tmpl", sandbox.text_path("out/many.conf")).keys(&keys));
}

#[track_caller]
fn expect_all(sandbox: &Sandbox, how: &str) {
    for name in ["upstreams.conf", "site.conf", "host.conf"] {
        let expected = fs::read_to_string(stock("expected").join(name)).unwrap();
        assert_eq!(sandbox.output(name), Some(expected), "{name}, {how}");
    }
    let expected: String = many().map(|(key, value)| format!("{}={value} {value}\n", &key[12..])).collect();
    assert_eq!(sandbox.output("many.conf"), Some(expected), "{how}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(sandbox.path("out/upstreams.conf")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o7777, 0o640);
}

/// The keys as a YAML file.
fn yaml() -> String {
    let mut text = String::from("stock:\n");
    let mut open: Vec<String> = Vec::new();
    let mut sorted = keys();
    sorted.sort();
    for (key, value) in sorted {
        let parts: Vec<&str> = key.trim_start_matches("/stock/").split('/').collect();
        let (folders, name) = parts.split_at(parts.len() - 1);
        let shared = folders.iter().zip(&open).take_while(|(ours, theirs)| *ours == theirs).count();
        open.truncate(shared);
        for folder in &folders[shared..] {
            text.push_str(&format!("{}{folder}:\n", "  ".repeat(open.len() + 1)));
            open.push((*folder).to_owned());
        }
        text.push_str(&format!("{}{}: {value:?}\n", "  ".repeat(open.len() + 1), name[0]));
    }
    text
}

#[test]
fn a_stock_confdir_gives_the_same_bytes_from_each_store() {
    let etcd = Etcd::start();
    for (key, value) in keys() {
        etcd.put(&key, &value);
    }
    let url = etcd.url();
    for store in ["etcd", "file", "env"] {
        // The older confd's flags have one dash and name the backend, the newer one's is a subcommand.
        let older: Vec<&str> = match store {
            "etcd" => vec!["-backend", "etcdv3", "-node", &url],
            "file" => vec!["-backend=file", "-file", "@FILE@"],
            _ => vec!["-backend", "env"],
        };
        let newer: Vec<&str> = match store {
            "etcd" => vec!["etcd", "--node", &url],
            "file" => vec!["file", "--file=@FILE@"],
            _ => vec!["env"],
        };
        for (once, words) in [("-onetime", older), ("--onetime", newer)] {
            let mut sandbox = Sandbox::new();
            set_up(&sandbox);
            sandbox.set_store(&yaml());
            sandbox.environment = vec![("STOCKREGION".to_owned(), "eu-1".to_owned())];
            if store == "env" {
                let variable = |key: &str| key.trim_start_matches('/').replace('/', "_").to_uppercase();
                sandbox.environment.extend(keys().into_iter().map(|(key, value)| (variable(&key), value)));
            }
            let file = sandbox.text_path("store.yaml");
            sandbox.store = words.iter().map(|word| word.replace("@FILE@", &file)).collect();
            let how = format!("{once} {}", sandbox.store.join(" "));
            sandbox.run(&[once]).expect_code(0);
            expect_all(&sandbox, &how);
            // And again: nothing is left to do.
            let ran = sandbox.run(&[once]).expect_code(0);
            assert!(!ran.stderr.contains("updated /"), "{how}: {ran:?}");
        }
    }
}

#[test]
fn the_two_confds_prefixes_are_one_switch() {
    let etcd = Etcd::start();
    for prefix in ["/production", "/production/stock"] {
        etcd.put(&format!("{prefix}/services/web/a"), prefix);
    }
    let sandbox = Sandbox::on_etcd(&etcd.url());
    set_up(&sandbox);
    let rendered =
        |arguments: &[&str]| sandbox.run(&[&["render", "upstreams"], arguments].concat()).expect_code(0).stdout;
    assert!(rendered(&["--prefix", "/production"]).contains("server /production/stock;"));
    assert!(rendered(&["-prefix", "/production", "--prefix-mode", "replace"]).contains("server /production;"));
}
