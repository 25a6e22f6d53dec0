//! What `servers` prints, in both forms, and the endpoints of its names.

use std::collections::BTreeSet;

use super::*;
use crate::nginx::backend::BackendState;
use crate::nginx::tokens;

fn server(address: &str, change: impl FnOnce(&mut Backend)) -> Arc<UpstreamServer> {
    let address = match address.parse() {
        Ok(SocketAddr::V4(socket)) => SocketOrHost::V4(*socket.ip(), socket.port()),
        Ok(SocketAddr::V6(socket)) => SocketOrHost::V6(*socket.ip(), socket.port()),
        Err(_) => match address.strip_prefix("unix:") {
            Some(path) => SocketOrHost::Unix(path.to_owned()),
            None => SocketOrHost::Name(address.to_owned(), 80),
        },
    };
    let mut backend = Backend {
        name: "a".to_owned(),
        key: "/s/a".to_owned(),
        address,
        weight: 1,
        backup: false,
        down: false,
        state: BackendState::Up,
        max_fails: 1,
        fail_timeout: 10,
        max_conns: 0,
        meta: serde_json::Map::new(),
    };
    change(&mut backend);
    Arc::new(UpstreamServer::new(&backend))
}

fn plain(address: &str) -> Arc<UpstreamServer> {
    server(address, |_| {})
}

fn backup(address: &str) -> Arc<UpstreamServer> {
    server(address, |backend| backend.backup = true)
}

fn down(address: &str) -> Arc<UpstreamServer> {
    server(address, |backend| backend.down = true)
}

fn few(address: &str) -> Arc<UpstreamServer> {
    server(address, |backend| backend.max_conns = 9)
}

fn form() -> NameForm {
    let resolvers = vec!["127.0.0.1:53".to_owned(), "127.0.0.2:53".to_owned()];
    NameForm { resolvers, standby: Some("/var/lib/standby/".to_owned()), owner: "web".to_owned() }
}

#[track_caller]
fn check_lines(servers: &[Arc<UpstreamServer>], expected: &[&str]) {
    let (text, sets) = print(&ServersForm::Lines, "/s/", &Options::default(), servers);
    assert_eq!(text.split(BREAK).collect::<Vec<_>>(), expected);
    assert_eq!(sets, []);
}

#[test]
fn a_line_has_what_nginx_has_to_know() {
    check_lines(&[], &["server 127.0.0.1:1 down; # nginx accepts no upstream without a server"]);
    check_lines(&[plain("10.0.0.1:80")], &["server 10.0.0.1:80 max_fails=1 fail_timeout=10s;"]);
    let all = server("[2001:db8::1]:80", |backend| {
        (backend.weight, backend.backup, backend.down) = (7, true, true);
        (backend.max_fails, backend.fail_timeout, backend.max_conns) = (0, 3600, 65535);
    });
    let all_of_it = "server [2001:db8::1]:80 weight=7 max_fails=0 fail_timeout=3600s max_conns=65535 backup down;";
    let others =
        ["server app.example:80 max_fails=1 fail_timeout=10s;", "server unix:/run/a max_fails=1 fail_timeout=10s;"];
    check_lines(&[all, plain("app.example"), plain("unix:/run/a")], &[all_of_it, others[0], others[1]]);
}

#[test]
fn an_address_is_read_back_from_its_line() {
    for address in ["10.0.0.1:80", "[2001:db8::1]:80", "unix:/run/a.sock"] {
        assert_eq!(server(address, |backend| backend.weight = 3).address(), address);
        assert_eq!(plain(address).address(), address);
    }
    assert_eq!(plain("app.example").address(), "app.example:80");
}

/// Compares what is printed: `NAME` stands for each name in the order of the text, after the resolver's lines, and each include stands
/// behind its line.
#[track_caller]
fn check_names(servers: &[Arc<UpstreamServer>], expected: &[&str], endpoints: &[&[&str]]) {
    let options = Options::default();
    let (text, sets) = print(&ServersForm::Names(Arc::new(form())), "/services/web/", &options, servers);
    let mut lines: Vec<String> = text.split(BREAK).map(str::to_owned).collect();
    if !sets.is_empty() {
        assert_eq!(lines[..2], ["resolver 127.0.0.1:53 127.0.0.2:53;", "resolver_timeout 12s;"]);
        lines.drain(..2);
    }
    for set in &sets {
        let label = set.name.label();
        let include = format!("include /var/lib/standby/{label}.peers*;");
        let at = lines.iter().position(|line| *line == include).unwrap_or_else(|| panic!("{include}: {lines:?}"));
        let whole = format!("server {label}.upstreamd.internal service=peers resolve ");
        assert!(label.starts_with("services-web-") && lines[at - 1].starts_with(&whole), "{lines:?}");
        lines[at - 1] = format!("NAME {}", &lines[at - 1][whole.len()..]);
        lines.remove(at);
    }
    assert_eq!(lines, expected);
    let shown = |endpoint: &Endpoint| {
        let Endpoint { address, weight, is_backup } = endpoint;
        let weight = if *weight == 1 { String::new() } else { format!(" {weight}") };
        format!("{address}{weight}{}", if *is_backup { " backup" } else { "" })
    };
    let sets: Vec<Vec<String>> = sets.iter().map(|set| set.endpoints.iter().map(shown).collect()).collect();
    assert_eq!(sets, endpoints);
}

const NAME: &str = "NAME max_fails=1 fail_timeout=10s;";
const NAME_BACKUP: &str = "NAME max_fails=1 fail_timeout=10s backup;";
const FEW: &str = "NAME max_fails=1 fail_timeout=10s max_conns=9;";
const FEW_BACKUP: &str = "NAME max_fails=1 fail_timeout=10s max_conns=9 backup;";

#[test]
fn one_set_of_limits_is_one_name_and_what_gets_no_traffic_is_not_in_it() {
    check_names(&[], &[NAME], &[&[]]);
    check_names(&[down("10.0.0.1:80")], &[NAME], &[&[]]);
    let heavy = server("[2001:db8::1]:80", |backend| backend.weight = 256);
    let servers = [plain("10.0.0.1:80"), down("10.0.0.2:80"), backup("10.0.0.3:80"), heavy];
    check_names(&servers, &[NAME], &[&["10.0.0.1:80", "10.0.0.3:80 backup", "[2001:db8::1]:80 256"]]);
    check_names(&[down("10.0.0.1:80"), backup("10.0.0.2:80")], &[NAME], &[&["10.0.0.2:80 backup"]]);
}

#[test]
fn beside_another_line_backups_have_their_own() {
    let servers = [plain("10.0.0.1:80"), few("10.0.0.2:80"), plain("10.0.0.3:80")];
    check_names(&servers, &[NAME, FEW], &[&["10.0.0.1:80", "10.0.0.3:80"], &["10.0.0.2:80"]]);
    let few_backup = server("10.0.0.4:80", |backend| (backend.max_conns, backend.backup) = (9, true));
    let servers = [plain("10.0.0.1:80"), few("10.0.0.2:80"), backup("10.0.0.3:80"), few_backup.clone()];
    let endpoints: [&[&str]; 4] =
        [&["10.0.0.1:80"], &["10.0.0.3:80 backup"], &["10.0.0.2:80"], &["10.0.0.4:80 backup"]];
    check_names(&servers, &[NAME, NAME_BACKUP, FEW, FEW_BACKUP], &endpoints);
    // nginx accepts no upstream of backups only.
    let lines = [NAME_BACKUP, FEW_BACKUP, NO_SERVER];
    let servers = [down("10.0.0.1:80"), backup("10.0.0.3:80"), few_backup];
    check_names(&servers, &lines, &[&["10.0.0.3:80 backup"], &["10.0.0.4:80 backup"]]);
}

#[test]
fn what_has_no_address_stays_a_line() {
    let socket = "server unix:/run/a max_fails=1 fail_timeout=10s;";
    check_names(&[plain("unix:/run/a")], &[socket], &[]);
    check_names(&[plain("10.0.0.1:80"), plain("unix:/run/a")], &[NAME, socket], &[&["10.0.0.1:80"]]);
    let servers = [plain("10.0.0.1:80"), backup("10.0.0.2:80"), plain("unix:/run/a")];
    check_names(&servers, &[NAME, NAME_BACKUP, socket], &[&["10.0.0.1:80"], &["10.0.0.2:80 backup"]]);
    let host = "server app.example:80 max_fails=1 fail_timeout=10s backup;";
    check_names(&[down("10.0.0.1:80"), backup("app.example")], &[host, NO_SERVER], &[]);
    let host_down = "server app.example:80 max_fails=1 fail_timeout=10s down;";
    check_names(&[down("10.0.0.1:80"), down("app.example")], &[host_down], &[]);
}

#[test]
fn a_path_that_is_not_plain_is_quoted() {
    let quoted = "/var/lib/we b;{ü}$a'#/.x.";
    for (standby, quote) in [("/var/lib/standby/.web.conf.", ""), ("/srv/a@b:c,d~e=f%g&h!(i)/.x.", ""), (quoted, "\"")]
    {
        let form = NameForm { standby: Some(standby.to_owned()), ..form() };
        let (text, sets) = print(&ServersForm::Names(Arc::new(form)), "/s/", &Options::default(), &[]);
        let path = format!("{standby}{}.peers*", sets[0].name.label());
        let (_, include) = text.rsplit_once(BREAK).unwrap();
        assert_eq!(include, format!("include {quote}{path}{quote};"));
        let words = tokens::directives(include).map(|directive| directive.words).collect::<Vec<_>>();
        assert_eq!(words, [vec!["include".to_owned(), path]]);
    }
}

fn names_of(form: NameForm, folder: &str, options: &Options, servers: &[Arc<UpstreamServer>]) -> Vec<EndpointSet> {
    print(&ServersForm::Names(Arc::new(form)), folder, options, servers).1
}

#[test]
fn many_endpoints_are_spread_over_names() {
    let many = |count: u32| -> Vec<Arc<UpstreamServer>> {
        let address = |n: u32| format!("10.0.{}.{}:80", n / 250, n % 250);
        (0..count).map(|n| if n % 10 == 0 { backup(&address(n)) } else { plain(&address(n)) }).collect()
    };
    for (count, expected) in [(700, 1), (701, 2), (777, 2), (790, 3), (2_300, 5), (10_000, 18)] {
        let sets = names_of(form(), "/s/", &Options::default(), &many(count));
        assert_eq!(sets.len(), expected, "{count}");
        let names: BTreeSet<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!(names.len(), expected);
        let mut all: Vec<Endpoint> = sets.iter().flat_map(|set| set.endpoints.clone()).collect();
        assert!(sets.iter().all(|set| set.endpoints.is_sorted() && set.endpoints.len() < 800));
        all.sort();
        assert!(all.len() == count as usize && all.windows(2).all(|pair| pair[0].address < pair[1].address));
        let is_split = |set: &EndpointSet| set.endpoints.iter().all(|one| one.is_backup == set.endpoints[0].is_backup);
        assert!(expected == 1 || sets.iter().all(is_split));
    }
    // A power of two of full names: about half of them would have more than an answer takes.
    for count in [1_400, 2_800, 5_600] {
        let all: Vec<_> = many(count).into_iter().map(|server| plain(server.address())).collect();
        let sets = names_of(form(), "/s/", &Options::default(), &all);
        assert!(sets.iter().all(|set| set.endpoints.len() <= MAX_ENDPOINTS_OF_NAME), "{count}");
        assert_eq!(sets.iter().map(|set| set.endpoints.len()).sum::<usize>(), count as usize);
    }
    // An endpoint that goes moves no other.
    let (before, after) = (many(2_300), many(2_299));
    let [before, after] = [before, after].map(|servers| names_of(form(), "/s/", &Options::default(), &servers));
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
}

/// A name that another release makes otherwise is one that the running nginx does not know.
#[test]
fn a_name_is_the_same_in_every_release() {
    let mut every = Options { port: Some(80), hostnames: true, draining: true, max: 7, ..Options::default() };
    every.wanted = WantedAddress::Public;
    every.unix = UnixSockets::Below(vec!["/run".to_owned()]);
    every.allow = Some(crate::nginx::backend::Networks::parse(["10.0.0.0/8", "2001:db8::/32"]).unwrap());
    every.group = Some("blue".to_owned());
    every.subfolders = Subfolders::Named(vec!["app".to_owned()]);
    for (folder, options, expected) in [
        ("/services/web/", Options::default(), "services-web-d0ea3e5ef3475382"),
        ("/services/web/", every, "services-web-c84eb138961388e4"),
        ("/", Options::default(), "root-5bae2cca7554e3cd"),
        ("//Über.Straße__X/", Options::default(), "ber-stra-e-x-b931db025e0d02a5"),
        (
            "/a234567890/b234567890/c234567890/d23456/890/",
            Options::default(),
            "a234567890-b234567890-c234567890-d23456-208c2f3fadef20da",
        ),
    ] {
        let sets = names_of(form(), folder, &options, &[plain("10.0.0.1:80")]);
        assert_eq!(sets.iter().map(|set| set.name.label()).collect::<Vec<_>>(), [expected], "{folder}");
    }
}

#[test]
fn whatever_makes_two_lines_different_is_in_their_names() {
    let networks = |text: &str| Some(crate::nginx::backend::Networks::parse([text]).unwrap());
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        options
    };
    let options = [
        Options::default(),
        with(&|options| options.port = Some(80)),
        with(&|options| options.wanted = WantedAddress::Host),
        with(&|options| options.wanted = WantedAddress::Public),
        with(&|options| options.hostnames = true),
        with(&|options| options.unix = UnixSockets::Anywhere),
        with(&|options| options.unix = UnixSockets::Below(vec!["/a".to_owned()])),
        with(&|options| options.allow = networks("10.0.0.0/8")),
        with(&|options| options.deny = networks("10.0.0.0/8")),
        with(&|options| options.draining = true),
        with(&|options| options.group = Some(String::new())),
        with(&|options| options.group = Some("a".to_owned())),
        with(&|options| options.subfolders = Subfolders::None),
        with(&|options| options.subfolders = Subfolders::Named(vec!["a".to_owned()])),
        with(&|options| options.max = 1),
        with(&|options| options.limits.max_fails = 2),
        with(&|options| options.limits.fail_timeout = 2),
        with(&|options| options.limits.max_conns = 2),
    ];
    let servers = [plain("10.0.0.1:80"), few("10.0.0.2:80"), backup("10.0.0.3:80")];
    let mut names = BTreeSet::new();
    for options in &options {
        for folder in ["/a/", "/b/", "/A/"] {
            for owner in ["web", "app"] {
                let form = NameForm { owner: owner.to_owned(), ..form() };
                names.extend(names_of(form, folder, options, &servers).into_iter().map(|set| set.name));
            }
        }
    }
    assert_eq!(names.len(), options.len() * 3 * 2 * 3);
    let other_resolver = NameForm { resolvers: vec!["127.0.0.9:53".to_owned()], standby: None, ..form() };
    assert_eq!(names_of(other_resolver, "/a/", &options[0], &servers), names_of(form(), "/a/", &options[0], &servers));
}
