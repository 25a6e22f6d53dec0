//! What the upstreams of a rendered file can do with sets of endpoints. Pure: reads text, and only if it has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::endpoints::EndpointSet;
use crate::model::problem::Problem;
use crate::nginx::upstreams::{self, UpstreamBlock};

/// Abilities of the upstreams of a file. A change of endpoints leaves the file as it is, so that it need not be read again.
#[derive(Debug, Default)]
pub struct KnownUpstreams {
    /// Hash of the file that was read.
    of: Option<u64>,
    /// The names in upstreams whose method knows no backups.
    without_backups: BTreeSet<String>,
    /// Number of the upstreams with a name.
    upstreams: BTreeMap<String, usize>,
    /// Whether an upstream with a name has more than one `resolver`.
    has_two_resolvers: bool,
}

impl KnownUpstreams {
    /// Returns whether the upstream of this set knows backups.
    pub fn knows_backups(&self, set: &EndpointSet) -> bool {
        !self.without_backups.contains(set.name.as_str())
    }

    /// Returns how many upstreams ask for this set, each for itself.
    pub fn upstreams(&self, set: &EndpointSet) -> usize {
        self.upstreams.get(set.name.as_str()).copied().unwrap_or(1)
    }

    /// Returns whether nginx would refuse the file because an upstream with a set has more than one `resolver`.
    pub fn has_two_resolvers(&mut self, sets: &[EndpointSet], bytes: &[u8]) -> bool {
        if sets.is_empty() {
            return false;
        }
        // Reported when the sets are published.
        let _problem = self.look(sets, bytes);
        self.has_two_resolvers
    }

    /// Reads the file, if it is not the one that was read last. A name that stands outside its upstreams may have backups.
    ///
    /// # Errors
    /// nginx could not use the sets as the file is written.
    pub fn look(&mut self, sets: &[EndpointSet], bytes: &[u8]) -> Result<(), Problem> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
        if self.of == Some(hash) {
            return Ok(());
        }
        *self = KnownUpstreams::default();
        let names: BTreeSet<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        // The same call in two upstreams has the same names: what one of them cannot do, the set must not ask for.
        for block in upstreams::upstreams(&String::from_utf8_lossy(bytes)) {
            let of_block: BTreeSet<&String> =
                block.servers().iter().filter(|server| names.contains(server.as_str())).collect();
            self.has_two_resolvers |= !of_block.is_empty() && block.has_two_resolvers();
            for server in of_block {
                check_block(&block)?;
                *self.upstreams.entry(server.clone()).or_default() += 1;
                if block.method_without_backups().is_some() {
                    self.without_backups.insert(server.clone());
                }
            }
        }
        self.of = Some(hash);
        Ok(())
    }
}

/// Refuses an upstream whose servers nginx could not change while it runs.
fn check_block(block: &UpstreamBlock) -> Result<(), Problem> {
    if block.has_zone() {
        return Ok(());
    }
    let name = &block.name;
    let problem = Problem::new(format!("upstream `{name}` asks for its endpoints and has no `zone`"));
    Err(problem.hint(format!("write `zone {name} 256k;` into it (docs/endpoints.md says how large it should be)")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoints::EndpointName;

    #[test]
    fn every_upstream_with_a_name_counts() {
        let set = EndpointSet { name: EndpointName::new("a"), endpoints: Vec::new() };
        let check = |of_blocks: [&str; 2], knows_backups: bool, problem: Option<&str>| {
            let server = format!("server {} service=peers resolve;", set.name);
            let [first, second] = of_blocks;
            let text = format!("upstream first {{ {first} {server} }} upstream second {{ {second} {server} }}");
            let mut known = KnownUpstreams::default();
            let found = known.look(std::slice::from_ref(&set), text.as_bytes()).err().map(|problem| problem.line());
            assert_eq!(found.is_some(), problem.is_some(), "{found:?}");
            assert!(found.iter().zip(problem).all(|(found, problem)| found.contains(problem)), "{found:?}");
            assert_eq!(known.knows_backups(&set), knows_backups, "{text}");
            assert_eq!(known.upstreams(&set), if problem.is_some() { 1 } else { 2 }, "{text}");
        };
        check(["zone x 64k;", "zone y 64k; least_conn;"], true, None);
        check(["zone x 64k;", "zone y 64k; hash $uri;"], false, None);
        check(["zone x 64k; ip_hash;", "zone y 64k;"], false, None);
        check(["zone x 64k;", "random;"], true, Some("upstream `second`"));
        check(["", "zone y 64k;"], true, Some("upstream `first`"));
        let resolvers = "zone x 64k; resolver 127.0.0.1; resolver 127.0.0.1;";
        for (of_blocks, expected) in
            [([resolvers, ""], true), (["", resolvers], false), (["zone x 64k;", resolvers], true)]
        {
            let server = format!("server {} service=peers resolve;", set.name);
            let [first, second] = of_blocks;
            let text = format!(
                "upstream a {{ {first} {server} }} upstream b {{ {second} {server} }} upstream c {{ {resolvers} }}"
            );
            let found = KnownUpstreams::default().has_two_resolvers(std::slice::from_ref(&set), text.as_bytes());
            assert_eq!(found, expected, "{text}");
        }
        let twice = format!("upstream a {{ zone a 64k; server {0}; server {0}; }}", set.name);
        let mut known = KnownUpstreams::default();
        known.look(std::slice::from_ref(&set), twice.as_bytes()).unwrap();
        assert_eq!(known.upstreams(&set), 1, "it asks once");
    }

    #[test]
    fn a_file_is_read_again_when_it_is_another_one() {
        let set = |name: &str| EndpointSet { name: EndpointName::new(name), endpoints: Vec::new() };
        let sets = [set("a"), set("b")];
        let server = |set: &EndpointSet| format!("server {} service=peers resolve;", set.name);
        let file = |method: &str, zone: &str| {
            let [a, b] = sets.each_ref().map(server);
            format!("upstream a {{ {method} zone a 64k; {a} }} upstream b {{ {zone} {b} }}")
        };
        let mut known = KnownUpstreams::default();
        let mut look = |text: String| {
            let problem = known.look(&sets, text.as_bytes()).err().map(|problem| problem.line());
            (known.without_backups.iter().cloned().collect::<Vec<_>>(), problem)
        };
        let name = sets[0].name.as_str().to_owned();
        for _ in 0..2 {
            assert_eq!(look(file("ip_hash;", "zone b 64k;")), (vec![name.clone()], None));
        }
        assert_eq!(look(file("", "zone b 64k;")), (Vec::new(), None));
        for _ in 0..2 {
            let (_, problem) = look(file("", ""));
            assert!(problem.is_some_and(|problem| problem.contains("upstream `b`")), "each time");
        }
    }
}
