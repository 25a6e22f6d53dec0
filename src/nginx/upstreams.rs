//! The upstreams of a rendered file: which directives each has, and which servers. Pure: reads text, never judges it; nginx does that.

use super::tokens::{Token, Tokens};

/// One `upstream` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamBlock {
    /// Its name.
    pub name: String,
    /// The first words of its directives.
    directives: Vec<String>,
    /// The first arguments of its `server` lines.
    servers: Vec<String>,
}

/// Methods that send nothing to a backup. `least_time` and `sticky` know backups.
const WITHOUT_BACKUPS: [&str; 3] = ["hash", "ip_hash", "random"];

impl UpstreamBlock {
    /// Returns the first arguments of its `server` lines.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// Returns whether its peers are in memory that all workers share.
    pub fn has_zone(&self) -> bool {
        self.has("zone")
    }

    /// Returns whether it says more than once whom it asks, which nginx refuses.
    pub fn has_two_resolvers(&self) -> bool {
        self.directives.iter().filter(|directive| *directive == "resolver").count() > 1
    }

    /// Returns the method that never sends anything to a backup, if it has one of these.
    pub fn method_without_backups(&self) -> Option<&'static str> {
        WITHOUT_BACKUPS.into_iter().find(|method| self.has(method))
    }

    fn has(&self, directive: &str) -> bool {
        self.directives.iter().any(|found| found == directive)
    }
}

/// Returns the `upstream` blocks of a configuration, or of a part of one, in their order, one at a time.
pub fn upstreams(text: &str) -> impl Iterator<Item = UpstreamBlock> {
    let mut tokens = Tokens::of(text);
    let mut words: Vec<String> = Vec::new();
    std::iter::from_fn(move || {
        let mut current: Option<UpstreamBlock> = None;
        let mut depth = 0_usize;
        loop {
            match tokens.next()? {
                Token::Word(word) => words.push(word),
                Token::End => {
                    if let Some(block) = current.as_mut().filter(|_| depth == 1) {
                        block.take(&words);
                    }
                    words.clear();
                }
                Token::Open => {
                    match (&mut current, words.as_slice()) {
                        (None, [directive, name]) if directive == "upstream" => {
                            current = Some(UpstreamBlock { name: name.clone(), ..UpstreamBlock::default() });
                            depth = 1;
                        }
                        (None, _) => {}
                        (Some(block), _) => {
                            if depth == 1 {
                                block.take(&words);
                            }
                            depth += 1;
                        }
                    }
                    words.clear();
                }
                Token::Close => {
                    words.clear();
                    depth = depth.saturating_sub(1);
                    if depth == 0 && current.is_some() {
                        return current;
                    }
                }
            }
        }
    })
}

impl UpstreamBlock {
    fn take(&mut self, words: &[String]) {
        let [directive, arguments @ ..] = words else { return };
        if directive == "server" {
            self.servers.extend(arguments.first().cloned());
        }
        self.directives.push(directive.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks each upstream's name, whether it has a zone, its method without backups, and its servers.
    #[track_caller]
    fn check(text: &str, expected: &[(&str, bool, Option<&str>, &[&str])]) {
        let found: Vec<UpstreamBlock> = upstreams(text).collect();
        let found: Vec<_> = found
            .iter()
            .map(|block| {
                let servers: Vec<&str> = block.servers.iter().map(String::as_str).collect();
                (block.name.as_str(), block.has_zone(), block.method_without_backups(), servers)
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(name, zone, method, servers)| (*name, *zone, *method, servers.to_vec())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn upstreams_are_found_wherever_they_stand() {
        check("", &[]);
        check("server { listen 80; }", &[]);
        check("upstream a { server b; }", &[("a", false, None, &["b"])]);
        check(
            "http {\n upstream \"a\" {\n  zone a 64k; # zone b {\n  hash $uri consistent;\n  server b resolve;\n }\n}\n",
            &[("a", true, Some("hash"), &["b"])],
        );
        check(
            "upstream a{random two least_conn;server 'x y';}upstream b {\n ip_hash;\n}\nserver { location / { } }",
            &[("a", false, Some("random"), &["x y"]), ("b", false, Some("ip_hash"), &[])],
        );
        check("upstream a { server ${x}:80; sticky cookie s; }", &[("a", false, None, &["${x}:80"])]);
        check("upstream a { match { zone x; } server b; }", &[("a", false, None, &["b"])]);
        check("} } upstream a { server \\;b", &[]);
        let resolvers = |text| upstreams(text).map(|block| block.has_two_resolvers()).collect::<Vec<_>>();
        let two = "upstream a { resolver a; resolver_timeout 1s; } upstream b { resolver a; server c; resolver b; }";
        assert_eq!(resolvers(two), [false, true]);
        check("# upstream a { server b; }\nlog_format x 'upstream a { server b; }';", &[]);
    }
}
