//! What of the sets is on disk, and when.

use super::*;
use crate::model::endpoints::Endpoint;

/// A service with its state folder and a place for a file, all below a folder.
struct Bed {
    folder: tempfile::TempDir,
    place: NamedIn,
}

impl Bed {
    fn new() -> Bed {
        let folder = tempfile::tempdir().unwrap();
        let place = NamedIn { resource: "web.toml".into(), dest: folder.path().join("conf.d/web.conf") };
        Bed { folder, place }
    }

    fn state_folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn start(&self) -> Arc<EndpointService> {
        let listener = DnsListener::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
        EndpointService::start(listener, SocketAddr::from(([127, 0, 0, 1], 503)), Some(self.state_folder())).unwrap()
    }
}

fn set() -> EndpointSet {
    set_of(1)
}

/// Returns the same name with another backend.
fn other_set() -> EndpointSet {
    set_of(2)
}

fn set_of(host: u8) -> EndpointSet {
    let endpoint = Endpoint { address: SocketAddr::from(([10, 0, 0, host], 80)), weight: 1, is_backup: false };
    EndpointSet { name: EndpointName::new("web-1"), endpoints: vec![endpoint] }
}

#[test]
fn lines_of_a_name_that_goes_while_nobody_runs_are_removed() {
    let bed = Bed::new();
    std::fs::create_dir(bed.folder.path().join("conf.d")).unwrap();
    let lines = saved::lines_path(&bed.place.dest, &set().name).unwrap();
    let service = bed.start();
    service.publish(
        &bed.place,
        vec![PublishedSet { set: set(), traits: UpstreamTraits { knows_backups: true, upstreams: 1 } }],
    );
    service.went_live(&bed.place.dest, &BTreeSet::from([set().name]));
    service.save();
    assert!(lines.exists());
    // The next run finds that the file is gone.
    let service = bed.start();
    service.keep_files("web.toml", &BTreeSet::new());
    service.look(clock::now());
    service.save();
    assert!(lines.exists(), "a worker of nginx that is leaving may still ask");
    assert!(service.look(clock::now() + Duration::from_secs(8)));
    service.save();
    assert!(!lines.exists());
    assert_eq!(saved::load(&bed.state_folder()).sets, []);
}

#[test]
fn writes_do_not_follow_each_other_without_a_pause() {
    let bed = Bed::new();
    let (service, now) = (bed.start(), clock::now() + Duration::from_secs(3600));
    service.publish(
        &bed.place,
        vec![PublishedSet { set: set(), traits: UpstreamTraits { knows_backups: true, upstreams: 1 } }],
    );
    assert!(service.look(now), "the first at once");
    std::fs::create_dir(bed.folder.path().join("conf.d")).unwrap();
    let saved_after = clock::now();
    service.save();
    let next = service.inner().save_at.unwrap();
    assert!(next >= saved_after + SAVE_PAUSE);
    service.publish(
        &bed.place,
        vec![PublishedSet { set: other_set(), traits: UpstreamTraits { knows_backups: true, upstreams: 1 } }],
    );
    assert!(!service.look(next - Duration::from_millis(1)));
    assert!(service.look(next));
    service.save();
    let lines = saved::lines_path(&bed.place.dest, &set().name).unwrap();
    assert_eq!(std::fs::read_to_string(lines).unwrap(), "server 10.0.0.2:80 max_fails=0 backup;\n");
}

#[test]
fn names_that_only_old_workers_ask_for_are_known_after_a_restart() {
    let bed = Bed::new();
    let service = bed.start();
    let names = |labels: &[&str]| labels.iter().map(|label| EndpointName::new(label)).collect::<BTreeSet<_>>();
    for label in ["web-1", "web-2"] {
        let set = EndpointSet { name: EndpointName::new(label), ..set() };
        service.publish(
            &bed.place,
            vec![PublishedSet { set, traits: UpstreamTraits { knows_backups: true, upstreams: 1 } }],
        );
        service.went_live(&bed.place.dest, &names(&[label]));
    }
    service.save();
    let saved = || saved::load(&bed.state_folder()).sets.into_iter().map(|saved| (saved.set.name, saved.is_over));
    let name = EndpointName::new;
    assert_eq!(saved().collect::<Vec<_>>(), [(name("web-1"), true), (name("web-2"), false)]);
    let service = bed.start();
    let live = |service: &EndpointService| -> BTreeSet<EndpointName> {
        service.inner().ledger.live_names().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(live(&service), names(&["web-2"]));
    service.publish(
        &bed.place,
        vec![PublishedSet { set: set(), traits: UpstreamTraits { knows_backups: true, upstreams: 1 } }],
    );
    service.went_live(&bed.place.dest, &names(&["web-1"]));
    assert_eq!(live(&service), names(&["web-1"]), "it is back");
}

#[test]
fn what_could_not_be_written_is_written_later() {
    let bed = Bed::new();
    let (service, state_folder, set) = (bed.start(), bed.state_folder(), set());
    let Bed { folder, place } = &bed;
    let lines = saved::lines_path(&place.dest, &set.name).unwrap();
    service.publish(
        place,
        vec![PublishedSet { set: set.clone(), traits: UpstreamTraits { knows_backups: true, upstreams: 1 } }],
    );
    let (soon, later) = (clock::now(), clock::now() + Duration::from_secs(3600));
    assert!(service.look(soon));
    service.save();
    assert!(!service.look(soon), "it is tried again after a pause");
    assert!(service.look(later));
    std::fs::create_dir(folder.path().join("conf.d")).unwrap();
    service.save();
    assert_eq!(std::fs::read_to_string(&lines).unwrap(), "server 10.0.0.1:80 max_fails=0 backup;\n");
    assert!(!service.look(later));
    // The record is of live files.
    assert_eq!(saved::load(&state_folder).sets, []);
    service.went_live(&place.dest, &BTreeSet::from([set.name.clone()]));
    service.save();
    assert_eq!(saved::load(&state_folder).sets.into_iter().map(|saved| saved.set).collect::<Vec<_>>(), [set]);
    // Now they cannot be removed.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&lines, &elsewhere).unwrap();
    std::fs::create_dir(&lines).unwrap();
    service.keep_files("web.toml", &BTreeSet::new());
    assert!(service.look(later + Duration::from_secs(60)));
    service.save();
    std::fs::remove_dir(&lines).unwrap();
    std::fs::rename(&elsewhere, &lines).unwrap();
    assert!(service.look(later + Duration::from_secs(3600)));
    service.save();
    assert!(!lines.exists());
}
