//! Names of the store, asked for with `dig` and `kdig` as people and other programs ask: what `announce --layout skydns` and others
//! wrote into a real etcd, which is then gone.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::dns::Dns;
use crate::support::etcd::Etcd;
use crate::support::nginx::Nginx;
use crate::support::template::table;
use crate::support::{Daemon, free_port, wait_or, wait_until};

/// An etcd, an agent that answers, and its port.
struct Names {
    etcd: Etcd,
    sandbox: Sandbox,
    port: u16,
    agent: Daemon,
}

impl Names {
    fn start(more: &[&str]) -> Names {
        let etcd = Etcd::start();
        let sandbox = Sandbox::on_etcd(&etcd.url());
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let own = [
            "--watch",
            "--dns-domain",
            "WebApp.dev.",
            "--dns-services-domain",
            "svc.internal",
            "--dns-listen",
            &listen,
        ];
        let agent = sandbox.start(&[&own, more].concat());
        sandbox.wait_log("answering questions for names in webapp.dev and svc.internal at 127.0.0.1:");
        Names { etcd, sandbox, port, agent }
    }

    /// What a program says to these words.
    fn ask(&self, program: &str, words: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new(program).args(["@127.0.0.1", "-p", &port]).args(words).output();
        let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error} (`make setup` installs it)"));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The sorted lines of `dig +short`.
    fn short(&self, words: &[&str]) -> Vec<String> {
        let said = self.ask("dig", &[&["+short", "+tries=1", "+timeout=2"], words].concat());
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[track_caller]
    fn wait_short(&self, words: &[&str], expected: &[&str]) {
        let is_so = || (self.short(words) == expected).then_some(());
        wait_or(DEADLINE, is_so, || format!("{words:?}: {:?}\n{}", self.short(words), self.sandbox.log()));
    }
}

#[test]
fn what_the_announcer_writes_is_answered_and_stays_while_etcd_is_away() {
    let mut names = Names::start(&["--dns-forward", ""]);
    let backends = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = backends.each_ref().map(|backend| backend.local_addr().unwrap().port());
    let announce = |id: &str, port: u16, weight: &str| {
        let address = format!("127.0.0.1:{port}");
        let words = ["announce", "--name", "redis.webapp.dev", "--layout", "skydns", "--id", id, "--address", &address];
        names.sandbox.start(&[&words[..], &["--weight", weight, "--ttl", "15s"]].concat())
    };
    let _announcers = [announce("one", ports[0], "50"), announce("two", ports[1], "150")];
    let [one, two] = [("25", ports[0], "one"), ("75", ports[1], "two")]
        .map(|(weight, port, id)| format!("10 {weight} {port} {id}.redis.webapp.dev."));
    names.wait_short(&["redis.webapp.dev", "SRV"], &[&one, &two]);
    names.etcd.put("/skydns/dev/webapp/redis/text", r#"{"text":"a note"}"#);
    names.etcd.put("/skydns/dev/webapp/redis/broken", "{");
    names.etcd.put("/skydns/arpa/in-addr/127/0/0/1", r#"{"host":"one.redis.webapp.dev"}"#);
    names.wait_short(&["-x", "127.0.0.1"], &["one.redis.webapp.dev."]);
    names.etcd.kill();
    names.sandbox.wait_log("cannot follow the store");

    assert_eq!(names.short(&["one.redis.webapp.dev", "A"]), ["127.0.0.1"]);
    assert_eq!(names.short(&["*.redis.webapp.dev", "TXT"]), ["\"a note\""]);
    assert_eq!(
        names.short(&["+tcp", "two.any.webapp.dev", "SRV"]),
        [format!("10 100 {} two.redis.webapp.dev.", ports[1])]
    );
    assert_eq!(names.short(&["-x", "127.0.0.1"]), ["one.redis.webapp.dev."]);
    let whole = names.ask("dig", &["redis.webapp.dev", "SRV"]);
    for part in ["flags: qr aa rd ra;", "ANSWER: 2", "ADDITIONAL: 3", "\tIN\tA\t127.0.0.1"] {
        assert!(whole.contains(part), "{part}\n{whole}");
    }
    let nothing = names.ask("dig", &["nobody.webapp.dev"]);
    assert!(
        nothing.contains("status: NXDOMAIN") && nothing.contains("ns.dns.webapp.dev. hostmaster.webapp.dev."),
        "{nothing}"
    );
    let over_tcp = names.ask("kdig", &["+tcp", "redis.webapp.dev", "SRV"]);
    assert!(
        over_tcp.contains("status: NOERROR") && over_tcp.contains(&one) && over_tcp.contains("(TCP)"),
        "{over_tcp}"
    );
    for refused in
        [&["example.org"][..], &["redis.webapp.dev", "ANY"], &["x.upstreamd.internal"], &["+tcp", "example.org"]]
    {
        let said = names.ask("dig", refused);
        assert!(said.contains("status: REFUSED"), "{said}");
    }
    names
        .sandbox
        .wait_log("no name is made from the key /skydns/dev/webapp/redis/broken: the value is not a JSON object");
    assert!(!names.sandbox.log().contains("a note"));
}

#[test]
fn no_answer_is_promised_for_longer_than_the_lease_of_its_key_lasts() {
    let names = Names::start(&["--dns-forward", ""]);
    let left = |lease: &str| -> u64 {
        let said = names.etcd.ctl(&["lease", "timetolive", lease]);
        said.rsplit("remaining(").next().unwrap().split('s').next().unwrap().parse().unwrap()
    };
    let ttl = |name: &str| -> u64 {
        let said = names.ask("dig", &["+noall", "+answer", name]);
        said.split_whitespace().nth(1).unwrap_or_else(|| panic!("no answer: {said}")).parse().unwrap()
    };
    let grant = |seconds: &str| names.etcd.ctl(&["lease", "grant", seconds]).split(' ').nth(1).unwrap().to_owned();
    let put = |key: &str, lease: &str| {
        names.etcd.ctl(&["put", key, r#"{"host":"10.0.0.1","port":80}"#, &format!("--lease={lease}")]);
    };
    let (short, long) = (grant("30"), grant("600"));
    put("/skydns/dev/webapp/web/1", &short);
    names.wait_short(&["web.webapp.dev"], &["10.0.0.1"]);
    wait_until("a TTL that is not 0", DEADLINE, || ttl("web.webapp.dev") > 0);
    for _ in 0..10 {
        let before = left(&short);
        let promised = ttl("web.webapp.dev");
        assert!(promised <= before, "{promised} s are promised, {before} s are left");
    }
    // The same value under another lease.
    put("/skydns/dev/webapp/web/1", &long);
    wait_until("the TTL of the longer lease", DEADLINE, || (500..=600).contains(&ttl("web.webapp.dev")));
    names.etcd.put("/skydns/dev/webapp/web/1", r#"{"host":"10.0.0.1","port":80}"#);
    wait_until("the TTL of a key without a lease", DEADLINE, || ttl("web.webapp.dev") == 3600);
    // What nobody asks for costs etcd nothing, and what is asked for often costs one question each half time.
    put("/services/web/a", &long);
    wait_until("the TTL of the service", DEADLINE, || ttl("web.svc.internal") == 30);
    let asked = || names.etcd.metric("grpc_server_handled_total", "grpc_method=\"LeaseTimeToLive\"");
    let before = asked();
    (0..20).for_each(|_| assert_eq!(ttl("web.svc.internal"), 30));
    assert_eq!(asked(), before);
}

#[test]
fn services_have_names_of_their_own_and_many_come_over_tcp() {
    let names = Names::start(&["--dns-forward", ""]);
    let mut writer = names.etcd.writer();
    for n in 0..200 {
        writer.put(format!("/services/web/h{n}:web:80"), format!("10.0.0.{n}:{}", 8000 + n));
    }
    names.wait_short(&["h199-web-80.web.svc.internal"], &["10.0.0.199"]);
    // dig comes again by TCP if an answer says that there is more.
    let expected: Vec<String> = names.short(&["web.svc.internal", "SRV"]);
    assert_eq!(expected.len(), 200);
    let cut = names.ask("dig", &["+ignore", "+noedns", "web.svc.internal", "SRV"]);
    assert!(cut.contains("flags: qr aa tc rd ra;"), "{cut}");
    names.etcd.delete("/services/web/h199:web:80");
    names.wait_short(&["h199-web-80.web.svc.internal"], &[]);
}

#[test]
fn names_outside_our_domains_are_passed_on() {
    let other = Dns::start();
    other.add_host("db.example.org.");
    let forward = other.address().to_string();
    let names = Names::start(&["--dns-forward", &forward]);
    names.etcd.put("/skydns/dev/webapp/web", r#"{"host":"10.0.0.1"}"#);
    names.wait_short(&["web.webapp.dev"], &["10.0.0.1"]);
    assert_eq!(names.short(&["db.example.org"]), ["127.0.0.1"]);
    // A name of ours that leads to one of others comes with its address.
    names.etcd.put("/skydns/dev/webapp/db", r#"{"host":"db.example.org"}"#);
    names.wait_short(&["db.webapp.dev"], &["127.0.0.1", "db.example.org."]);
    let not_wanted = names.ask("dig", &["+norecurse", "db.example.org"]);
    assert!(not_wanted.contains("status: REFUSED"), "{not_wanted}");
    let nginxs = names.ask("dig", &["web.upstreamd.internal"]);
    assert!(nginxs.contains("status: REFUSED"), "{nginxs}");
    // It answers no connections.
    assert!(names.ask("dig", &["+tcp", "db.example.org"]).contains("status: SERVFAIL"));
}

#[test]
fn after_a_name_server_that_refuses_the_next_one_is_asked() {
    let (refusing, other) = (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), Dns::start());
    other.add_host("db.example.org.");
    let (first, second) = (refusing.local_addr().unwrap().to_string(), other.address().to_string());
    std::thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, from)) = refusing.recv_from(&mut message) {
            message[2] |= 0x80;
            message[3] = 5;
            refusing.send_to(&message[..length], from).ok();
        }
    });
    let names = Names::start(&["--dns-forward", &first, "--dns-forward", &second]);
    assert_eq!(names.short(&["db.example.org"]), ["127.0.0.1"]);
    let names = Names::start(&["--dns-forward", &first]);
    let said = names.ask("dig", &["db.example.org"]);
    assert!(said.contains("status: REFUSED"), "{said}");
}

#[test]
fn a_silent_name_server_fails_its_names_and_no_others() {
    let [silent, deaf] = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let [first, second] = [&silent, &deaf].map(|socket| socket.local_addr().unwrap().to_string());
    let names = Names::start(&["--dns-forward", &first, "--dns-forward", &second]);
    names.etcd.put("/skydns/dev/webapp/web", r#"{"host":"10.0.0.1"}"#);
    names.etcd.put("/skydns/dev/webapp/db", r#"{"host":"db.example.org"}"#);
    names.wait_short(&["web.webapp.dev"], &["10.0.0.1"]);
    let said = names.ask("dig", &["+tries=1", "+timeout=20", "example.org"]);
    assert!(said.contains("status: SERVFAIL"), "{said}");
    // What is known is said.
    let said = names.ask("dig", &["+short", "+tries=1", "+timeout=20", "db.webapp.dev"]);
    assert_eq!(said, "db.example.org.\n");
    assert_eq!(names.short(&["web.webapp.dev"]), ["10.0.0.1"]);
}

#[test]
fn a_question_that_came_over_tcp_is_passed_on_over_tcp() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = other.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut connection, _) = other.accept().unwrap();
        let mut length = [0; 2];
        connection.read_exact(&mut length).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        connection.read_exact(&mut message).unwrap();
        // The question as an answer: there is no such name.
        message[2] |= 0x80;
        message[3] = 3;
        connection.write_all(&[&length, message.as_slice()].concat()).unwrap();
    });
    let names = Names::start(&["--dns-forward", &forward]);
    let said = names.ask("kdig", &["+tcp", "db.example.org"]);
    assert!(said.contains("status: NXDOMAIN"), "{said}");
}

#[test]
fn a_taken_address_is_an_error_until_it_is_free_and_all_else_goes_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {a: one}\n");
    sandbox.plain_resource("a", "");
    let _agent = sandbox.start(&["--watch", "--dns-domain", "webapp.dev", "--dns-listen", &listen]);
    sandbox.wait_log("cannot answer questions for names of the store: cannot listen at");
    sandbox.wait_output("a", "one\n");
    drop(taken);
    sandbox.wait_log("answering questions for names in webapp.dev at");
    assert_eq!(sandbox.log().matches("cannot answer questions for names").count(), 1);
}

#[test]
fn without_a_watch_no_question_is_answered_and_the_log_says_so() {
    let sandbox = Sandbox::new();
    let domain = ["--dns-domain", "webapp.dev", "--dns-listen", "127.0.0.1:1"];
    let _agent = sandbox.start(&[&["--interval", "1"], &domain[..]].concat());
    sandbox.wait_log("the store is not watched (hint: --watch)");
    // A single run may share the settings of the agent that answers.
    let ran = Sandbox::new().run(&[&["--onetime"], &domain[..]].concat()).expect_code(0);
    assert!(!ran.stderr.contains("questions"), "{}", ran.stderr);
}

#[test]
fn a_store_that_hides_the_keys_makes_questions_fail_and_denies_nothing() {
    let etcd = Etcd::start();
    etcd.put("/v/a", "one");
    etcd.enable_auth(&["/v"]);
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.plain_resource("a", "");
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let login = ["--username", "reader", "--password", "reader", "--watch"];
    let agent = sandbox.start(&[&login[..], &["--dns-domain", "webapp.dev", "--dns-listen", &listen]].concat());
    sandbox.wait_log("the store does not show the keys that names are made from");
    sandbox.wait_output("a", "one\n");
    let names = Names { etcd, sandbox, port, agent };
    let said = names.ask("dig", &["web.webapp.dev"]);
    assert!(said.contains("status: SERVFAIL"), "{said}");
}

#[test]
fn sockets_that_systemd_passes_are_told_apart_by_their_addresses() {
    let etcd = Etcd::start();
    let mut sandbox = Sandbox::on_etcd(&etcd.url());
    let [names, questions] = [(); 2].map(|()| {
        let port = free_port();
        (format!("127.7.{}.{}:{port}", port >> 8, port & 255), port)
    });
    // The sockets stay bound by whom passes them, so nobody could bind these addresses a second time.
    sandbox.pass_sockets(&[&questions.0, &names.0]);
    let elsewhere = format!("127.7.0.1:{}", free_port());
    let nginx = Nginx::recent().build();
    sandbox.template("web.tera", "upstream web { zone web 64k;\n{{ servers(prefix=\"/services/web\") }}\n}\n");
    sandbox.resource(
        "web",
        &table("web.tera", nginx.http_file("web.conf").display()).keys(&["/services"]).driving(&nginx),
    );
    etcd.put("/skydns/dev/webapp/web", r#"{"host":"10.0.0.1"}"#);
    let names_at = ["--dns-domain", "webapp.dev", "--dns-listen", &names.0, "--endpoints-listen", &elsewhere];
    let _agent = sandbox.start(&[&["--watch"][..], &names_at].concat());
    sandbox.wait_log(&format!("answering nginx's questions for endpoints at {}", questions.0));
    sandbox.wait_log(&format!("answering questions for names in webapp.dev at {}", names.0));
    let ask = |(at, port): &(String, u16), words: &[&str]| {
        let server = format!("@{}", at.split(':').next().unwrap());
        let output = Command::new("dig").args([&server, "-p", &port.to_string()]).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for way in ["+notcp", "+tcp"] {
        let is_so = || (ask(&names, &[way, "+short", "web.webapp.dev"]) == "10.0.0.1\n").then_some(());
        wait_or(DEADLINE, is_so, || format!("{way}: {}", sandbox.log()));
        let target = "v4-0a000001.upstreamd.internal";
        assert_eq!(ask(&questions, &[way, "+short", target]), "10.0.0.1\n", "{way}");
        assert!(ask(&names, &[way, target]).contains("status: REFUSED"), "{way}");
    }
}

/// The descriptors that a process has open, and its resident memory in kilobytes.
fn holdings(daemon: &Daemon) -> (usize, u64) {
    let folder = format!("/proc/{}", daemon.child.id());
    let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes = resident.trim().split(' ').next().unwrap().parse().unwrap();
    (std::fs::read_dir(format!("{folder}/fd")).unwrap().count(), kilobytes)
}

#[test]
fn ten_thousand_connections_cost_nothing_and_stop_nothing() {
    let names = Names::start(&["--dns-forward", ""]);
    names.etcd.put("/skydns/dev/webapp/web", r#"{"host":"10.0.0.1"}"#);
    names.wait_short(&["web.webapp.dev"], &["10.0.0.1"]);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let (descriptors, kilobytes) = holdings(&names.agent);
    let mut open = Vec::new();
    for n in 0..10_000_u32 {
        // Some say nothing, some promise a long message, some the beginning of a question, some more than a question is long.
        let mut connection = std::net::TcpStream::connect(("127.0.0.1", names.port)).unwrap();
        let said: &[u8] = [&[][..], &[0x0f, 0xff], &[0, 30, 0, 7, 1], &[0xff, 0xff, 1]][n as usize % 4];
        connection.write_all(said).ok();
        // Without a limit that lets us have all of them, those that the agent has closed go.
        open.push(connection);
        if open.len() as u64 + 1000 > limit.maximum.unwrap_or(u64::MAX) {
            open.remove(0);
        }
        if n % 1000 == 999 {
            assert_eq!(names.short(&["+tries=1", "web.webapp.dev"]), ["10.0.0.1"], "after {n} connections");
            assert_eq!(names.short(&["+tries=1", "+tcp", "web.webapp.dev"]), ["10.0.0.1"], "after {n} connections");
            let now = holdings(&names.agent);
            assert!(now.0 < descriptors + 300, "{} descriptors, {descriptors} before", now.0);
            assert!(now.1 < kilobytes + 8192, "{} kilobytes, {kilobytes} before", now.1);
        }
    }
}
