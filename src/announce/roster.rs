//! The services to announce, by their keys: from one service, or from all files of a folder. A file that is broken now keeps
//! its last good content. Pure: names and texts go in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::service::{PlacedService, parse_file};
use crate::model::problem::{Place, Problem, Problems};
use crate::model::service::Service;

use super::layout::{Announcer, key};

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct ServiceFile {
    /// Path.
    pub path: PathBuf,
    /// Content, or the reason why it could not be read.
    pub text: Result<String, String>,
}

/// The services to announce.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    /// Services by their keys.
    pub services: BTreeMap<String, Service>,
    /// All problems of the files.
    pub problems: Problems,
    /// Why folders of files cannot be read.
    pub unread: Vec<String>,
    /// Services of each file, in its last good form.
    files: BTreeMap<PathBuf, Vec<PlacedService>>,
    /// File of each key.
    files_of_keys: BTreeMap<String, PathBuf>,
}

impl Roster {
    /// Returns a roster of one service without a file.
    pub fn of_one(service: Service, announcer: &Announcer) -> Roster {
        Roster { services: [(key(&service, announcer), service)].into(), ..Roster::default() }
    }

    /// Returns the roster for the present files, and for the earlier ones in the folders that are `unread` now. If two services have
    /// one key, the earlier roster's one is kept, else the first.
    pub fn read(&self, files: &[ServiceFile], unread: BTreeMap<PathBuf, String>, announcer: &Announcer) -> Roster {
        let mut problems = Vec::new();
        let mut roster = Roster::default();
        let may_be_there = |path: &Path| unread.keys().any(|folder| path.starts_with(folder));
        roster.files.extend(self.files.clone().into_iter().filter(|(path, _)| may_be_there(path)));
        for ServiceFile { path, text } in files {
            let parsed = match text {
                Ok(text) => parse_file(path, text),
                Err(problem) => {
                    let problem = Problem::new(format!("cannot read the file: {problem}"));
                    Err(problem.at(Place::file(path)).into())
                }
            };
            let services = match parsed {
                Ok(services) => services,
                Err(found) => {
                    problems.extend(found);
                    self.files.get(path).cloned().unwrap_or_default()
                }
            };
            roster.files.insert(path.clone(), services);
        }
        for was_there in [true, false] {
            for (path, placed) in &roster.files {
                for PlacedService { service, place } in placed {
                    let key = key(service, announcer);
                    if (self.files_of_keys.get(&key) == Some(path)) != was_there {
                        continue;
                    }
                    if roster.services.contains_key(&key) {
                        let problem = Problem::new(format!("another service is already announced as `{key}`"));
                        problems.push(problem.at(place.clone()).hint("give each service its own id"));
                        continue;
                    }
                    roster.services.insert(key.clone(), service.clone());
                    roster.files_of_keys.insert(key, path.clone());
                }
            }
        }
        roster.problems = problems.into_iter().collect();
        roster.unread = unread.into_values().collect();
        roster
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcer() -> Announcer {
        Announcer { host_name: "h".to_owned(), owner: "h pid 1".to_owned(), prefix: String::new() }
    }

    fn service(name: &str, port: u16) -> String {
        format!("[[service]]\nname = \"{name}\"\naddress = \"10.0.0.5:{port}\"\nid = \"{name}\"\n")
    }

    fn files(texts: &[(&str, &str)]) -> Vec<ServiceFile> {
        texts.iter().map(|(path, text)| ServiceFile { path: path.into(), text: Ok((*text).to_owned()) }).collect()
    }

    fn read(roster: &Roster, files: &[ServiceFile]) -> Roster {
        roster.read(files, BTreeMap::new(), &announcer())
    }

    fn ports(roster: &Roster) -> Vec<(&str, u16)> {
        roster.services.iter().map(|(key, service)| (key.as_str(), service.address.port())).collect()
    }

    #[test]
    fn a_broken_file_keeps_what_it_said_and_a_deleted_one_does_not() {
        let (web, db) = (service("web", 1), service("db", 2));
        let first = read(&Roster::default(), &files(&[("a", &web), ("b", &db)]));
        assert_eq!(ports(&first), [("/services/db/db", 2), ("/services/web/web", 1)]);
        let broken = read(&first, &files(&[("a", "[[service]"), ("b", &service("db", 3))]));
        assert_eq!(ports(&broken), [("/services/db/db", 3), ("/services/web/web", 1)]);
        assert_eq!(broken.problems.len(), 1);
        let unreadable = ServiceFile { path: "a".into(), text: Err("not UTF-8".to_owned()) };
        let unreadable = read(&broken, &[unreadable]);
        assert_eq!(ports(&unreadable), [("/services/web/web", 1)]);
        let gone = read(&unreadable, &[]);
        assert!(gone.services.is_empty() && gone.problems.is_empty());
    }

    #[test]
    fn what_is_in_a_folder_that_cannot_be_read_stays() {
        let (web, db, api) = (service("web", 1), service("db", 2), service("api", 3));
        let first = read(&Roster::default(), &files(&[("/d/web", &web), ("/d/sub/db", &db)]));
        let unread = |folder: &str, texts: &[(&str, &str)]| {
            first.read(&files(texts), [(folder.into(), "closed".to_owned())].into(), &announcer())
        };
        let below = unread("/d/sub", &[("/d/api", &api)]);
        assert_eq!(ports(&below), [("/services/api/api", 3), ("/services/db/db", 2)]);
        assert_eq!(ports(&unread("/d", &[])), ports(&first));
        assert_eq!(ports(&read(&unread("/d", &[]), &[])), []);
        // What could be read of it counts.
        assert_eq!(
            ports(&unread("/d", &[("/d/web", &service("web", 4))])),
            [("/services/db/db", 2), ("/services/web/web", 4)]
        );
    }

    #[test]
    fn of_two_with_one_key_the_one_that_was_there_stays() {
        let both = files(&[("a", &service("web", 1)), ("b", &service("web", 2))]);
        let fresh = read(&Roster::default(), &both);
        assert_eq!(ports(&fresh), [("/services/web/web", 1)]);
        assert!(
            fresh.problems.to_string().contains("b:1:1: another service is already announced as `/services/web/web`")
        );
        let before = read(&Roster::default(), &files(&[("b", &service("web", 2))]));
        assert_eq!(ports(&read(&before, &both)), [("/services/web/web", 2)]);
    }
}
