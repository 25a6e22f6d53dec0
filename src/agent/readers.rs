//! The resources that read a changed key, found by the ancestors of the key: the cost is the depth of the key, not the
//! number of resources. Pure.

use std::collections::HashMap;

use crate::model::resource::Resource;

/// Resources by the store directories that they read.
#[derive(Debug, Default)]
pub struct Readers {
    by_directory: HashMap<String, Vec<usize>>,
}

impl Readers {
    /// Indexes resources by their position.
    pub fn index<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Readers {
        let mut by_directory: HashMap<String, Vec<usize>> = HashMap::new();
        for (position, resource) in resources.into_iter().enumerate() {
            for key in &resource.keys {
                let directory = format!("{}{key}", resource.prefix);
                let trimmed = directory.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(&directory);
                let members = by_directory.entry(trimmed.to_owned()).or_default();
                if members.last() != Some(&position) {
                    members.push(position);
                }
            }
        }
        Readers { by_directory }
    }

    /// Returns the positions of the resources that see `key`, a store key with its prefix; some may come twice.
    pub fn of(&self, key: &str) -> impl Iterator<Item = usize> {
        let ancestors = key.match_indices('/').map(|(at, _)| if at == 0 { "/" } else { &key[..at] });
        ancestors
            .chain(["", key])
            .filter_map(|directory| self.by_directory.get(directory))
            .flatten()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::guard::Guard;
    use crate::model::needs::Needs;
    use crate::model::range::KeyRanges;
    use crate::model::resource::{Engine, Escape, OnReloadFailure, Pace, Target};
    use std::sync::Arc;

    fn resource(prefix: &str, keys: &[&str]) -> Resource {
        Resource {
            id: "r.toml".into(),
            file: "r.toml".into(),
            src: Arc::from("r.tera"),
            backend: None,
            from_environment: false,
            engine: Engine::Tera,
            dest: "/r".into(),
            prefix: Arc::from(prefix),
            other_prefix: None,
            ranges: KeyRanges::default(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            target: Target::default(),
            check: None,
            reload: None,
            verify: Default::default(),
            endpoints: Default::default(),
            generation: None,
            pace: Pace::default(),
            output_format: None,
            escape: Escape::None,
            on_reload_failure: OnReloadFailure::Auto,
            guard: Guard::default(),
            needs: Needs::default(),
            for_each: None,
        }
    }

    #[test]
    fn a_key_touches_those_who_list_it_or_a_folder_above_it() {
        let resources = [
            resource("", &["/services", "/services/web"]),
            resource("", &["/"]),
            resource("/prod", &["/app"]),
            resource("", &[""]),
        ];
        let index = Readers::index(&resources);
        let check = |key: &str, expected: &[usize]| {
            let mut touched: Vec<usize> = index.of(key).collect();
            touched.sort();
            touched.dedup();
            assert_eq!(touched, expected, "{key}");
        };
        check("/services/web/1", &[0, 1, 3]);
        check("/services", &[0, 1, 3]);
        check("/services2/web", &[1, 3]);
        check("/prod/app/x/y", &[1, 2, 3]);
        check("stolon/x", &[3]);
    }
}
