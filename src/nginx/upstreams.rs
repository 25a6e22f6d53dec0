//! The upstreams of a rendered file: which directives each has, and which servers. Pure: reads text, never judges it; nginx does that.

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

enum Token {
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// The tokens of a text, as nginx separates them.
struct Tokens<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Tokens<'a> {
        Tokens { rest: text.chars().peekable() }
    }

    /// Reads a word up to its end; `quote` is the quote that it begins with.
    fn word(&mut self, quote: Option<char>) -> String {
        let mut word = String::new();
        // `${name}` is one piece.
        let mut in_variable = false;
        while let Some(c) = self.rest.peek().copied() {
            let is_end = match quote {
                Some(quote) => c == quote,
                None if in_variable || c == '{' && word.ends_with('$') => false,
                None => c.is_whitespace() || matches!(c, ';' | '{' | '}'),
            };
            in_variable = quote.is_none() && (in_variable || c == '{') && c != '}';
            if is_end {
                break;
            }
            self.rest.next();
            if c == '\\' {
                word.extend(self.rest.next());
            } else {
                word.push(c);
            }
        }
        if quote.is_some() {
            self.rest.next();
        }
        word
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let c = self.rest.peek().copied()?;
            if c == '#' {
                while self.rest.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            if c.is_whitespace() {
                self.rest.next();
                continue;
            }
            let single = match c {
                ';' => Token::End,
                '{' => Token::Open,
                '}' => Token::Close,
                '"' | '\'' => {
                    self.rest.next();
                    return Some(Token::Word(self.word(Some(c))));
                }
                _ => return Some(Token::Word(self.word(None))),
            };
            self.rest.next();
            return Some(single);
        }
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
        check("# upstream a { server b; }\nlog_format x 'upstream a { server b; }';", &[]);
    }
}
