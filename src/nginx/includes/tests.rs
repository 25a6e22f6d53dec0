//! Which files nginx reads, on a disk of a test's own making.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;

/// A disk: files with their texts, and links with their targets.
#[derive(Default)]
struct Disk {
    texts: BTreeMap<&'static str, &'static str>,
    links: BTreeMap<&'static str, &'static str>,
}

impl ConfFiles for Disk {
    fn text(&self, file: &Path) -> Option<String> {
        let real = self.real(file)?;
        self.texts.get(real.to_str()?).map(|text| (*text).to_owned())
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let all = self.texts.keys().chain(self.links.keys()).map(Path::new);
        let below = all.filter_map(|path| path.strip_prefix(folder).ok()?.components().next());
        below.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect()
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        let link = self.links.iter().find_map(|(link, target)| Some((target, path.strip_prefix(link).ok()?)));
        let path = match link {
            Some((target, rest)) if rest.as_os_str().is_empty() => PathBuf::from(target),
            Some((target, rest)) => Path::new(target).join(rest),
            None => path.to_owned(),
        };
        self.texts.keys().any(|file| Path::new(file).starts_with(&path)).then_some(path)
    }
}

const CONF: &str = "/etc/nginx/nginx.conf";
const DEBIAN: &str = "include modules-enabled/*.conf;\nevents {}\nhttp {\n include mime.types;\n include /etc/nginx/conf.d/*.conf;\n # include /etc/nginx/old/*;\n include \"sites-enabled/*\";\n}\nstream { include /etc/nginx/stream.d/*.conf; }\n";

fn debian() -> Disk {
    let texts = [(CONF, DEBIAN), ("/etc/nginx/mime.types", "types { text/html html; }")];
    Disk { texts: texts.into(), ..Disk::default() }
}

/// Returns what is said of one file.
fn said(disk: &Disk, file: &str) -> Option<String> {
    let conf = MainConf { file: Path::new(CONF), prefix: Path::new("/usr/share/nginx") };
    let problem = unread(conf, &[Path::new(file)], disk)?.pop()?.1;
    Some(problem.line())
}

#[test]
fn what_is_included_is_read_whether_it_exists_or_not() {
    let mut disk = debian();
    for file in ["conf.d/web.conf", "sites-enabled/web", "stream.d/web.conf", "mime.types", "nginx.conf"] {
        assert_eq!(said(&disk, &format!("/etc/nginx/{file}")), None, "{file}");
    }
    disk.texts.insert("/etc/nginx/sites-enabled/a", "include /srv/*/[a-c].inc; map $x $y { include /srv/m.map; }");
    disk.texts.insert("/srv/one/a.inc", "include more/x;");
    disk.texts.insert("/srv/m.map", "");
    disk.texts.insert("/etc/nginx/more/x", "");
    for file in ["/srv/one/b.inc", "/srv/m.map", "/etc/nginx/more/x"] {
        assert_eq!(said(&disk, file), None, "{file}");
    }
    assert!(said(&disk, "/srv/one/d.inc").is_some() && said(&disk, "/etc/nginx/old/web").is_some());
}

#[test]
fn the_hint_says_what_to_do() {
    let disk = debian();
    let starts = |file: &str| format!("nginx never reads `/etc/nginx/{file}`: `{CONF}` does not include it (hint: ");
    for (file, hint) in [
        (
            "conf.d/web",
            "`include /etc/nginx/conf.d/*.conf` takes other names only: choose such a name, `web.conf` for example",
        ),
        (
            "conf.d/.web.conf",
            "`include /etc/nginx/conf.d/*.conf` leaves out names that begin with a dot: choose another name",
        ),
        (
            "sites-enabled/.web",
            "`include /etc/nginx/sites-enabled/*` leaves out names that begin with a dot: choose another name",
        ),
        ("sites-available/web", "link it: `ln -s /etc/nginx/sites-available/web /etc/nginx/sites-enabled/`"),
        (
            "other/nginx.conf",
            "if it is the main configuration, name it in both commands: `nginx -c /etc/nginx/other/nginx.conf`",
        ),
        (
            "web.conf",
            "write `include /etc/nginx/web.conf;` into `/etc/nginx/nginx.conf`, or choose a dest that nginx reads already: `/etc/nginx/conf.d/*.conf`, `/etc/nginx/sites-enabled/*`, `/etc/nginx/stream.d/*.conf`",
        ),
    ] {
        assert_eq!(said(&disk, file_of(file)), Some(format!("{}{hint})", starts(file))), "{file}");
    }
    let bare = Disk { texts: [(CONF, "events {}")].into(), ..Disk::default() };
    let hint = "write `include /etc/nginx/web;` into `/etc/nginx/nginx.conf`";
    assert_eq!(said(&bare, "/etc/nginx/web"), Some(format!("{}{hint})", starts("web"))));
}

fn file_of(name: &str) -> &'static str {
    Box::leak(format!("/etc/nginx/{name}").into_boxed_str())
}

#[test]
fn links_are_followed() {
    let mut disk = debian();
    disk.texts.insert("/etc/nginx/sites-available/web", "");
    disk.texts.insert("/srv/nginx/x.conf", "");
    disk.links.insert("/etc/nginx/sites-enabled/web", "/etc/nginx/sites-available/web");
    disk.links.insert("/etc/nginx/conf.d", "/srv/nginx");
    for file in ["/etc/nginx/sites-available/web", "/srv/nginx/new.conf", "/srv/nginx/x.conf"] {
        assert_eq!(said(&disk, file), None, "{file}");
    }
    assert!(said(&disk, "/srv/nginx/new").is_some_and(|line| line.contains("`new.conf` for example")));
}

/// A disk that counts what it is asked.
struct CountingDisk(Disk, Cell<usize>);

impl CountingDisk {
    fn asked(&self) -> &Disk {
        self.1.set(self.1.get() + 1);
        &self.0
    }
}

impl ConfFiles for CountingDisk {
    fn text(&self, file: &Path) -> Option<String> {
        self.asked().text(file)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        self.asked().names(folder)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.asked().real(path)
    }
}

#[test]
fn the_disk_is_asked_once_for_each_file_and_each_pattern() {
    let asked_for = |count: usize| {
        let mut disk = debian();
        let files = (0..count).map(|n| (file_of(&format!("conf.d/{n}.conf")), "server { root x; }"));
        disk.texts.extend(files);
        let disk = CountingDisk(disk, Cell::new(0));
        let wanted: Vec<PathBuf> = (0..count).map(|n| PathBuf::from(format!("/srv/{n}"))).collect();
        let wanted: Vec<&Path> = wanted.iter().map(PathBuf::as_path).collect();
        let conf = MainConf { file: Path::new(CONF), prefix: Path::new("/usr/share/nginx") };
        assert_eq!(unread(conf, &wanted, &disk).unwrap().len(), count);
        disk.1.get()
    };
    let (few, many) = (asked_for(10), asked_for(100));
    assert!(many <= 10 * few, "{few} questions for 10 files, {many} for 100");
}

#[test]
fn files_that_a_directive_names_are_read() {
    let mut disk = debian();
    let site = "ssl_certificate /etc/ssl/a.pem; auth_basic_user_file htpasswd; root /srv/www; ssl_certificate_key /keys/$ssl_server_name.key;";
    disk.texts.insert("/etc/nginx/sites-enabled/a", site);
    for file in ["/etc/ssl/a.pem", "/etc/nginx/htpasswd", "/srv/www/50x.html", "/keys/a.key"] {
        assert_eq!(said(&disk, file), None, "{file}");
    }
    assert!(said(&disk, "/etc/ssl/b.pem").is_some() && said(&disk, "/srv/wwwx").is_some());
}

#[test]
fn nothing_is_said_where_it_is_not_certain() {
    assert_eq!(said(&Disk::default(), "/x"), None, "no nginx.conf");
    let lua = "events {} http { content_by_lua_block { return 'it is }' } include /x; }";
    assert_eq!(said(&Disk { texts: [(CONF, lua)].into(), ..Disk::default() }, "/y"), None);
    let gap = "events {} http { include /unreadable; }";
    assert_eq!(said(&Disk { texts: [(CONF, gap)].into(), ..Disk::default() }, "/y"), None);
    let circle = "include nginx.conf;";
    assert!(said(&Disk { texts: [(CONF, circle)].into(), ..Disk::default() }, "/y").is_some());
}
