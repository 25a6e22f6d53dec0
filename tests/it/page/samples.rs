//! States of an agent that the page is tested and photographed in: good, bad, worst (every kind of condition), and empty.

use upstreamd::model::status::{
    AgentLine, AgentStatus, AnnouncedService, AnnouncedState, AnnouncerStatus, AnnouncerStore, Axis, AxisAnswer,
    BackendFailure, BackendLine, Cause, ChangePhase, ChangeStatus, ChangedFile, Condition, ConditionKind, FORMAT,
    GroupStatus, HeardRevision, KeyLease, KeyList, LeavingWorker, NginxStatus, ProgressStatus, ReceiptLease,
    ResourceStatus, RunningStep, ServiceCheck, ServiceFileProblem, Status, StatusQuestion, StoreMember, StoreStatus,
    UnixTime, UpstreamStatus,
};

pub const NAMES: [&str; 4] = ["good", "bad", "worst", "empty"];

/// The state of this name.
pub fn named(name: &str) -> Status {
    match name {
        "good" => good(),
        "bad" => bad(),
        "worst" => worst(),
        "empty" => empty(),
        _ => panic!("no state is called {name}"),
    }
}

/// A time of the night that all states are about.
pub fn at(time: &str) -> UnixTime {
    day("2026-03-14", time)
}

fn day(date: &str, time: &str) -> UnixTime {
    let time: jiff::Timestamp = format!("{date}T{time}Z").parse().unwrap();
    UnixTime(time.as_second().try_into().unwrap())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub fn empty() -> Status {
    Status {
        format: FORMAT,
        at: at("03:16:25"),
        agent: AgentStatus {
            host: "lb-1".to_owned(),
            version: "0.1.0 (d262ac5)".into(),
            pid: 812,
            started: day("2026-03-11", "17:04:11"),
            confdirs: texts(&["/etc/upstreamd"]),
            settings_file: Some("/etc/upstreamd/upstreamd.toml".into()),
            stopping: false,
        },
        sync: Axis::new(AxisAnswer::NothingToSync, "conf.d has no resource", None),
        service: Axis::new(AxisAnswer::NotAsked, "no resource reloads an nginx", None),
        conditions: Vec::new(),
        stores: Vec::new(),
        groups: Vec::new(),
        upstreams: Vec::new(),
        nginx: Vec::new(),
        changes: Vec::new(),
        fleet: Vec::new(),
        fleet_reading: None,
        announced: Vec::new(),
    }
}

fn backend(address: &str, key: &str, state: &str, since: UnixTime, connections: usize) -> BackendLine {
    BackendLine {
        address: address.into(),
        key: key.into(),
        state: state.into(),
        since,
        weight: if state == "backup" { 1 } else { 10 },
        announcer: Some(format!("node-{}", &address[7..8])),
        connections: Some(connections),
        last_failure: None,
        is_gone: false,
    }
}

fn web() -> UpstreamStatus {
    let since = day("2026-03-11", "17:04:12");
    let key = |name: &str| format!("/services/web/{name}");
    UpstreamStatus {
        folder: "/services/web".into(),
        resource: "web.toml".into(),
        dest: "/etc/nginx/conf.d/web.conf".into(),
        driven_by: "dns".into(),
        total: 3,
        serving: 3,
        in_store: None,
        backends: vec![
            backend("10.0.0.1:8080", &key("a1"), "up", since, 41),
            backend("10.0.0.2:8080", &key("a2"), "up", since, 38),
            backend("10.0.0.3:8080", &key("a3"), "up", at("03:02:40"), 12),
        ],
    }
}

fn api() -> UpstreamStatus {
    let since = day("2026-03-13", "09:30:00");
    let line = |number: usize| {
        let mut line = backend("10.0.1.1:9000", "", "up", since, 7);
        line.address = format!("10.0.1.{number}:9000");
        line.key = format!("/services/api/{number:02}");
        line
    };
    UpstreamStatus {
        folder: "/services/api".into(),
        resource: "api.toml".into(),
        dest: "/etc/nginx/conf.d/api.conf".into(),
        driven_by: "reload".into(),
        total: 24,
        serving: 24,
        in_store: None,
        backends: (1..=24).map(line).collect(),
    }
}

fn resource(name: &str, key: &str, revision: i64) -> ResourceStatus {
    let revision = Some(revision);
    ResourceStatus {
        name: format!("{name}.toml"),
        src: format!("{name}.conf.tera"),
        dest: format!("/etc/nginx/conf.d/{name}.conf"),
        state: "in_sync".into(),
        keys: texts(&[key]),
        progress: ProgressStatus {
            wanted_revision: revision,
            applied_revision: revision,
            converged_revision: revision,
            drained_revision: revision,
            ..ProgressStatus::default()
        },
        ..ResourceStatus::default()
    }
}

fn group(resources: Vec<ResourceStatus>) -> GroupStatus {
    GroupStatus {
        name: resources[0].name.clone(),
        state: "in_sync".into(),
        nginx: None,
        applied_revision: resources[0].progress.applied_revision,
        applied_at: Some(at("03:02:40")),
        running: None,
        next_try: None,
        resources,
    }
}

fn phases(phases: &[(&str, f64)]) -> Vec<ChangePhase> {
    phases
        .iter()
        .map(|(step, milliseconds)| ChangePhase { step: (*step).to_owned(), milliseconds: *milliseconds })
        .collect()
}

const DIFF: &str = "--- /etc/nginx/conf.d/api.conf\n+++ /etc/nginx/conf.d/api.conf\n@@ -24,4 +24,5 @@\n     server 10.0.1.22:9000;\n     \
                    server 10.0.1.23:9000;\n-    keepalive 16;\n+    server 10.0.1.24:9000;\n+    keepalive 32;\n }\n";

fn changes() -> Vec<ChangeStatus> {
    let web = ChangeStatus {
        number: 18,
        at: at("03:02:40"),
        revision: 90_412,
        resources: texts(&["web.toml"]),
        keys: KeyList { named: texts(&["/services/web/a3"]), more: 0 },
        files: vec![ChangedFile {
            dest: "/etc/nginx/conf.d/web.conf".into(),
            backends: "3 backends, +10.0.0.3:8080".into(),
            diff: String::new(),
        }],
        phases: phases(&[("taken by nginx", 612.0)]),
        milliseconds: 1.3,
        result: "taken".into(),
        problem: String::new(),
        attempts: 1,
    };
    let api = ChangeStatus {
        number: 17,
        at: day("2026-03-13", "09:30:00"),
        revision: 90_377,
        resources: texts(&["api.toml", "api-admin.toml"]),
        keys: KeyList { named: texts(&["/services/api/24", "/config/api/keepalive"]), more: 3 },
        files: vec![
            ChangedFile {
                dest: "/etc/nginx/conf.d/api.conf".into(),
                backends: "24 backends, +10.0.1.24:9000".into(),
                diff: DIFF.into(),
            },
            ChangedFile {
                dest: "/etc/nginx/conf.d/api-admin.conf".into(),
                backends: String::new(),
                diff: DIFF.replace("api.conf", "api-admin.conf"),
            },
        ],
        phases: phases(&[("check", 22.6), ("reload", 3.1), ("new workers", 41.0), ("only new workers", 96.4)]),
        milliseconds: 168.2,
        result: "applied".into(),
        problem: String::new(),
        attempts: 1,
    };
    let first = ChangeStatus {
        number: 16,
        at: day("2026-03-11", "17:04:12"),
        keys: KeyList::default(),
        result: "reload_owed".into(),
        problem: "reload not done: nginx does not run".into(),
        attempts: 3,
        ..api.clone()
    };
    vec![web, api, first]
}

pub fn good() -> Status {
    Status {
        sync: Axis::new(AxisAnswer::Yes, "in sync at revision 90412", None),
        service: Axis::new(AxisAnswer::Yes, "serving with 4 workers", None),
        stores: vec![StoreStatus {
            name: "etcd".into(),
            places: texts(&["https://etcd-1:2379", "https://etcd-2:2379", "https://etcd-3:2379"]),
            followed: true,
            revision: Some(90_415),
            member: Some(StoreMember { address: "https://etcd-2:2379".into(), since: at("01:00:00") }),
            heard: Some(HeardRevision { revision: 90_421, at: at("03:14:40") }),
            receipt_lease: Some(ReceiptLease { id: "694d5765fc71500b".into(), ttl_seconds: 15, left_seconds: 12 }),
            ..StoreStatus::default()
        }],
        groups: vec![
            group(vec![resource("web", "/services/web", 90_412)]),
            group(vec![resource("api", "/services/api", 90_377), resource("api-admin", "/config/api", 90_377)]),
        ],
        upstreams: vec![web(), api()],
        nginx: vec![NginxStatus {
            pid_file: "/run/nginx.pid".into(),
            program: "/usr/sbin/nginx".into(),
            version: Some("1.29.3".into()),
            master: Some(640),
            started: Some(at("01:40:00")),
            away_since: None,
            workers: vec![2210, 2211, 2212, 2213],
            leaving: Vec::new(),
        }],
        changes: changes(),
        ..empty()
    }
}

fn condition(kind: ConditionKind, subject: &str, summary: &str, since: UnixTime) -> Condition {
    Condition {
        kind,
        question: kind.question(),
        subject: subject.to_owned(),
        resources: Vec::new(),
        summary: summary.to_owned(),
        reason: String::new(),
        step: None,
        causes: Vec::new(),
        since,
        next_try: None,
        advice: String::new(),
    }
}

fn refused() -> Condition {
    Condition {
        reason: "nginx: [emerg] host not found in upstream \"10.0.1.l4:9000\" in /etc/nginx/conf.d/api.conf:14".into(),
        causes: vec![Cause::Key("/services/api/14".into()), Cause::File("/etc/nginx/conf.d/api.conf:14".into())],
        next_try: Some(at("03:16:37")),
        advice: "Fix the named key or the template; the agent retries on every change, and automatically.".into(),
        ..condition(
            ConditionKind::CheckRefused,
            "api.toml",
            "api.toml: check failed; the last good file stays live",
            at("03:12:05"),
        )
    }
}

fn held() -> Condition {
    Condition {
        reason: "2 of 3 backends would go (66 %), the limit is 50 %".into(),
        causes: vec![Cause::Key("/services/web".into())],
        next_try: Some(at("03:20:00")),
        advice: "If the removal is intended, wait, or loosen the guard that the reason names. If not, find out why these keys are gone."
            .into(),
        ..condition(ConditionKind::Held, "web.toml", "web.toml: a guard keeps the last good file", at("03:15:58"))
    }
}

fn old_workers() -> Condition {
    Condition {
        causes: vec![Cause::Process("nginx worker 1790".into()), Cause::Process("nginx worker 1791".into())],
        advice: "Nothing: each ends with its last connection. worker_shutdown_timeout in nginx.conf caps how long that takes.".into(),
        ..condition(
            ConditionKind::OldWorkers,
            "nginx",
            "2 nginx workers on an old configuration still have connections",
            at("02:11:09"),
        )
    }
}

fn none_serve() -> Condition {
    Condition {
        causes: vec![Cause::Key("/services/mail".into())],
        advice: "Announce a backend under the named keys, or find out why none of them is up.".into(),
        ..condition(
            ConditionKind::NoBackends,
            "mail.toml",
            "mail.toml: no backend of /services/mail gets traffic",
            at("03:14:31"),
        )
    }
}

pub fn bad() -> Status {
    let mut status = good();
    status.conditions = vec![none_serve(), refused(), held(), old_workers()];
    status.sync = Axis::new(AxisAnswer::No, "check refused, removal held", Some(at("03:12:05")));
    status.service = Axis::new(AxisAnswer::No, "no backends", Some(at("03:14:31")));
    let mail = |number: usize, state: &str| BackendLine {
        announcer: None,
        ..backend(&format!("10.0.2.{number}:25"), &format!("/services/mail/{number}"), state, at("03:14:31"), 0)
    };
    status.upstreams.push(UpstreamStatus {
        folder: "/services/mail".into(),
        resource: "mail.toml".into(),
        dest: "/etc/nginx/stream.d/mail.conf".into(),
        driven_by: "dns".into(),
        total: 2,
        serving: 0,
        in_store: None,
        backends: vec![mail(1, "down"), mail(2, "down")],
    });
    status.upstreams[0].serving = 2;
    status.upstreams[0].in_store = Some(1);
    let said = "connect() failed (111: Connection refused) while connecting to upstream".to_owned();
    status.upstreams[0].backends[1].last_failure = Some(BackendFailure { at: at("03:16:20"), said });
    status.upstreams[0].backends.rotate_right(1);
    status.upstreams[0].backends[0] = backend("10.0.0.3:8080", "/services/web/a3", "draining", at("03:16:11"), 12);
    status.groups.push(group(vec![resource("mail", "/services/mail", 90_414)]));
    status.groups[2].resources[0].conditions = vec![ConditionKind::NoBackends];
    status.upstreams[0].backends.iter_mut().take(2).for_each(|backend| backend.is_gone = true);
    let web = &mut status.groups[0].resources[0];
    (web.progress.wanted_revision, web.progress.behind_since) = (Some(90_419), Some(at("03:15:58")));
    (web.progress.behind_changes, web.conditions) = (2, vec![ConditionKind::Held]);
    status.groups[1].state = "incomplete".into();
    status.groups[1].next_try = Some(at("03:16:37"));
    let api = &mut status.groups[1].resources[0];
    (api.progress.wanted_revision, api.progress.behind_since) = (Some(90_413), Some(at("03:12:05")));
    api.progress.behind_changes = 1;
    api.conditions = vec![ConditionKind::CheckRefused];
    status.groups[1].resources[1].progress.drained_revision = Some(90_301);
    status.nginx[0].leaving = vec![
        LeavingWorker { pid: 1790, since: at("02:11:09"), sockets: Some(14) },
        LeavingWorker { pid: 1791, since: at("02:11:09"), sockets: Some(2) },
    ];
    status.changes.insert(
        0,
        ChangeStatus {
            number: 19,
            at: at("03:16:22"),
            revision: 90_413,
            resources: texts(&["api.toml"]),
            keys: KeyList { named: texts(&["/services/api/14"]), more: 0 },
            files: Vec::new(),
            phases: phases(&[("check", 21.8)]),
            milliseconds: 23.0,
            result: "rejected".into(),
            problem: format!("check failed: {}", refused().reason),
            attempts: 9,
        },
    );
    let agent = |id: &str| AgentLine { id: id.into(), version: "0.1.0".into(), ..AgentLine::default() };
    status.fleet = vec![
        AgentLine { problem: Some("not JSON: expected value at line 1".into()), ..agent("lb-4") },
        AgentLine { lagging: texts(&["api.toml"]), held: texts(&["web.toml"]), ..agent("lb-1") },
        AgentLine { lagging: texts(&["api.toml"]), ..agent("lb-2") },
        agent("lb-3"),
    ];
    status
}

/// An announcer with a service in each state and more than a page shows, and one that does not answer.
pub fn announcers() -> Vec<AnnouncerStatus> {
    let service = |number: usize, state: AnnouncedState, problem: Option<&str>| AnnouncedService {
        key: format!("/services/api/{number:02}"),
        address: format!("10.0.1.{number}:9000"),
        state,
        since: at("03:15:25"),
        reason: problem.unwrap_or_default().to_owned(),
        check: ServiceCheck {
            what: format!("http://10.0.1.{number}:9000/healthz"),
            at: (state != AnnouncedState::Starting).then(|| at("03:16:23")),
            problem: problem.map(str::to_owned),
        },
        lease: (state == AnnouncedState::Announced)
            .then(|| KeyLease { id: "694d7c1f0e1b2a07".to_owned(), expires: at("03:16:36") }),
    };
    let bad = [
        (AnnouncedState::Unhealthy, Some("cannot connect to 10.0.1.1:9000: Connection refused")),
        (AnnouncedState::Held, None),
        (AnnouncedState::Denied, None),
        (AnnouncedState::Waiting, None),
        (AnnouncedState::Starting, None),
        (AnnouncedState::Draining, None),
        (AnnouncedState::Leaving, None),
    ];
    let bad = bad.into_iter().enumerate().map(|(number, (state, problem))| service(number + 1, state, problem));
    let good = (8..=30).map(|number| service(number, AnnouncedState::Announced, None));
    let problem = "/etc/upstreamd/announce.d/api.toml:3:1: unknown key `adress` (hint: address)";
    let many = AnnouncerStatus {
        format: FORMAT,
        pid: 901,
        version: "0.1.0".into(),
        folder: Some("/etc/upstreamd/announce.d".into()),
        etcd: AnnouncerStore { away_since: Some(at("03:15:25")), problem: "no route to host".into(), member: None },
        problems: vec![ServiceFileProblem {
            text: problem.into(),
            since: at("03:15:25"),
            ..ServiceFileProblem::default()
        }],
        total: 30,
        announced: 23,
        services: bad.chain(good).collect(),
        ..AnnouncerStatus::default()
    };
    let silent = AnnouncerStatus { pid: 902, silent: Some("no answer in 1s".into()), ..AnnouncerStatus::default() };
    vec![many, silent]
}

/// Every kind of condition, a store away, nginx away, a step that hangs, and more of everything than a page shows.
pub fn worst() -> Status {
    let mut status = bad();
    status.agent.stopping = true;
    let of_kind = |kind: ConditionKind| Condition {
        reason: format!("the words of whoever is the cause of `{}`\nand a second line", kind.word()),
        causes: (1..=8).map(|number| Cause::Key(format!("/services/{}/{number}", kind.word()))).collect(),
        next_try: (kind.question() == StatusQuestion::Sync).then(|| at("03:16:20")),
        advice: "Do the right thing.".into(),
        ..condition(kind, "web.toml", &format!("web.toml: is {}", kind.label()), at("03:15:25"))
    };
    status.conditions = ConditionKind::ALL.into_iter().flat_map(|kind| vec![of_kind(kind); 2]).collect();
    status.stores[0].followed = false;
    status.stores[0].problem = Some("no route to host".into());
    status.stores[0].lost_since = Some(at("03:15:25"));
    status.nginx[0] = NginxStatus {
        master: None,
        started: None,
        away_since: Some(at("03:15:25")),
        version: None,
        workers: Vec::new(),
        ..status.nginx[0].clone()
    };
    status.groups[0].running = Some(RunningStep { step: "check".into(), since: at("03:16:00") });
    let web = status.groups[0].clone();
    let upstream = status.upstreams[0].clone();
    let change = status.changes[0].clone();
    for number in 1_u64..=40 {
        let name = format!("site-{number}");
        status.groups.push(GroupStatus { resources: vec![resource(&name, "/sites", 90_412)], ..web.clone() });
        status.upstreams.push(UpstreamStatus { folder: format!("/sites/{name}"), ..upstream.clone() });
        status.changes.push(ChangeStatus { number: 100 + number, ..change.clone() });
        let agent = AgentLine { id: name, ..status.fleet[1].clone() };
        status.fleet.insert(1 + usize::try_from(number).unwrap_or_default(), agent);
    }
    status.announced = announcers();
    status
}
