//! What of the sets is on disk, and when.

use super::*;
use crate::model::endpoints::Endpoint;

#[test]
fn what_could_not_be_written_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let listener = DnsListener::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
    let refuge = SocketAddr::from(([127, 0, 0, 1], 503));
    let state_folder = folder.path().join("state");
    let service = EndpointService::start(listener, refuge, Some(state_folder.clone())).unwrap();
    let place = NamedIn { resource: "web.toml".into(), dest: folder.path().join("conf.d/web.conf") };
    let name = EndpointName::new("web-1");
    let lines = saved::lines_path(&place.dest, &name).unwrap();
    let endpoint = Endpoint { address: SocketAddr::from(([10, 0, 0, 1], 80)), weight: 1, is_backup: false };
    let set = EndpointSet { name, endpoints: vec![endpoint] };
    service.publish(&place, vec![PublishedSet { set: set.clone(), knows_backups: true }]);
    let (soon, later) = (clock::now(), clock::now() + Duration::from_secs(3600));
    assert!(service.look(soon));
    service.save();
    assert!(!service.look(soon), "it is tried again after a pause");
    assert!(service.look(later));
    std::fs::create_dir(folder.path().join("conf.d")).unwrap();
    service.save();
    assert_eq!(std::fs::read_to_string(&lines).unwrap(), "server 10.0.0.1:80 backup;\n");
    assert!(!service.look(later));
    // The record is of live files.
    assert_eq!(saved::load(&state_folder), []);
    service.went_live(&place.dest, &BTreeSet::from([set.name.clone()]));
    service.save();
    assert_eq!(saved::load(&state_folder).into_iter().map(|saved| saved.set).collect::<Vec<_>>(), [set]);
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
