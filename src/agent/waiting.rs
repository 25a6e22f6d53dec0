//! Which resources still wait for their keys (`wait_for`), and until when. Pure: the time and what is missing go in, a
//! decision comes out. What has gone live once does not wait again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::model::resource::Resource;

/// The resources that wait or have waited.
#[derive(Debug, Default)]
pub struct Waiting {
    by_name: BTreeMap<Arc<str>, Wait>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Until(Instant),
    /// Long enough; not decided on since.
    Lapsed,
    Over,
}

/// Whether a resource may go live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It may.
    Ready,
    /// It may, although keys are missing: it has waited long enough. Told once.
    GivenUp,
    /// It may not yet. True the first time.
    Waits(bool),
}

impl Waiting {
    /// Decides for a resource of whose `wait_for` some keys are missing, or none.
    pub fn decide(&mut self, resource: &Resource, any_missing: bool, now: Instant) -> Readiness {
        let is_new = !self.by_name.contains_key(&resource.name);
        let until = Wait::Until(now + resource.needs.wait_timeout);
        let wait = self.by_name.entry(Arc::clone(&resource.name)).or_insert(until);
        match *wait {
            Wait::Over => Readiness::Ready,
            Wait::Until(at) if any_missing && now < at => Readiness::Waits(is_new),
            Wait::Until(_) | Wait::Lapsed => {
                *wait = Wait::Over;
                if any_missing { Readiness::GivenUp } else { Readiness::Ready }
            }
        }
    }

    /// Forgets resources that are gone.
    pub fn keep_those_of<'a>(&mut self, resources: impl Iterator<Item = &'a Arc<Resource>>) {
        let mut old = std::mem::take(&mut self.by_name);
        self.by_name = resources.filter_map(|resource| old.remove_entry(&resource.name)).collect();
    }

    /// Resources that have waited long enough: they are to be decided on again.
    pub fn lapsed(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut lapsed = Vec::new();
        for (name, wait) in &mut self.by_name {
            if matches!(wait, Wait::Until(at) if *at <= now) {
                *wait = Wait::Lapsed;
                lapsed.push(Arc::clone(name));
            }
        }
        lapsed
    }

    /// When `lapsed` has something next.
    pub fn wake_at(&self) -> Option<Instant> {
        let until = |wait: &Wait| if let Wait::Until(at) = wait { Some(*at) } else { None };
        self.by_name.values().filter_map(until).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::resource::{Defaults, ResourceFile, parse};

    #[test]
    fn a_resource_waits_once_for_its_keys_or_until_its_time_is_over() {
        let text = "[template]\nsrc = 'a'\ndest = '/a'\nkeys = ['/a']\nwait_for = true\nwait_timeout = '10s'\n";
        let file = ResourceFile { name: "a.toml".into(), path: "a.toml".into(), text: text.to_owned() };
        let resource = Arc::new(parse(&file, &Defaults::default()).unwrap());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waiting = Waiting::default();
        assert_eq!(waiting.decide(&resource, true, at(0)), Readiness::Waits(true));
        assert_eq!(waiting.decide(&resource, true, at(9)), Readiness::Waits(false));
        assert_eq!((waiting.wake_at(), waiting.lapsed(at(9))), (Some(at(10)), vec![]));
        assert_eq!(waiting.lapsed(at(10)), [Arc::from("a.toml")]);
        assert_eq!((waiting.lapsed(at(10)), waiting.wake_at()), (vec![], None), "said once");
        assert_eq!(waiting.decide(&resource, true, at(10)), Readiness::GivenUp);
        assert_eq!(waiting.decide(&resource, true, at(11)), Readiness::Ready);
        assert_eq!(waiting.wake_at(), None);
        waiting.keep_those_of([].into_iter());
        assert_eq!(waiting.decide(&resource, true, at(20)), Readiness::Waits(true));
        waiting.keep_those_of([&resource].into_iter());
        assert_eq!(waiting.decide(&resource, false, at(21)), Readiness::Ready);
        assert_eq!(waiting.decide(&resource, true, at(22)), Readiness::Ready, "it has gone live");
    }
}
