//! What can be said of a command without running it: the programs that it starts first, and whether it hands nginx a file
//! as its whole configuration. Pure: reads shell text roughly, and says nothing where it is not sure.

use crate::model::resource::{CommandLine, CommandPart};

/// Words that the shell itself knows.
const OF_THE_SHELL: &[&str] = &[
    "!", ".", ":", "[", "[[", "alias", "break", "case", "cd", "command", "echo", "eval", "exec", "exit", "export",
    "false", "for", "function", "if", "kill", "printf", "pwd", "read", "readonly", "return", "set", "shift", "test",
    "time", "times", "trap", "true", "type", "ulimit", "umask", "unset", "until", "wait", "while", "{", "}",
];

/// Programs that start the one that follows, with those of their options that take a value.
const STARTERS: &[(&str, &[&str])] = &[
    ("sudo", &["-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U"]),
    ("env", &["-u", "-C"]),
    ("exec", &[]),
    ("command", &[]),
    ("nohup", &[]),
    ("nice", &["-n"]),
];

impl CommandLine {
    /// Returns the programs that the command starts first: one, or `sudo` and the like with the one behind it.
    pub fn programs(&self) -> Vec<&str> {
        let Some(CommandPart::Literal(text)) = self.parts.first() else { return Vec::new() };
        let is_alone = self.parts.len() == 1;
        let mut words = text.split_inclusive(char::is_whitespace).peekable();
        let mut found = Vec::new();
        let mut starter: Option<&[&str]> = None;
        while let Some(word) = words.next() {
            // The last word may go on with a path that is put in.
            let is_whole = is_alone || words.peek().is_some() || word.ends_with(char::is_whitespace);
            let word = word.trim_end().trim_end_matches(';');
            if word.is_empty() || is_assignment(word) {
                continue;
            }
            if let Some(with_value) = starter.filter(|_| word.starts_with('-')) {
                if with_value.contains(&word) {
                    words.next();
                }
                continue;
            }
            if !is_whole || !word.chars().all(is_plain) {
                break;
            }
            let base = word.rsplit('/').next().unwrap_or(word);
            starter = STARTERS.iter().find(|(name, _)| *name == base).map(|(_, with_value)| *with_value);
            if !OF_THE_SHELL.contains(&word) {
                found.push(word);
            }
            if starter.is_none() {
                break;
            }
        }
        found
    }

    /// Returns whether nginx checks the staged file as if it were nginx.conf: `nginx -t -c {{.src}}`.
    pub fn checks_file_as_nginx_conf(&self) -> bool {
        let is_config = |pair: &[CommandPart]| {
            let [CommandPart::Literal(before), CommandPart::Src] = pair else { return false };
            let before = before.trim_end_matches(['"', '\'']).trim_end();
            let last = before.rsplit(char::is_whitespace).next().unwrap_or_default();
            let tests =
                before.split_whitespace().any(|word| matches!(word, "-t" | "-T" | "-tc" | "-qt" | "-tq" | "-tqc"));
            tests && last.starts_with('-') && last.ends_with('c')
        };
        self.mentions_nginx() && self.parts.windows(2).any(is_config)
    }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-+![]{}:".contains(c)
}

/// Returns whether text is part of an nginx configuration that cannot stand alone: it has blocks, and no `events`, which
/// every whole configuration has.
pub fn is_nginx_fragment(text: &str) -> bool {
    let lines = || text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = || lines().flat_map(|line| line.split(|c: char| c.is_whitespace() || matches!(c, ';' | '{' | '}')));
    words().any(|word| matches!(word, "server" | "upstream" | "location" | "map"))
        && !words().any(|word| word == "events")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::command::parse;

    fn line(text: &str) -> CommandLine {
        CommandLine { text: text.to_owned(), parts: parse(text).unwrap(), timeout: None }
    }

    #[test]
    fn the_first_program_is_found_behind_what_starts_it() {
        for (text, expected) in [
            ("nginx -t", &["nginx"][..]),
            ("/usr/sbin/nginx -t -c {{.src}}", &["/usr/sbin/nginx"]),
            ("sudo nginx -t", &["sudo", "nginx"]),
            ("/usr/bin/sudo -n -u root systemctl reload x", &["/usr/bin/sudo", "systemctl"]),
            ("env -i A=b nginx -t", &["env", "nginx"]),
            ("A=b nginx; true", &["nginx"]),
            ("exec nginx -t", &["nginx"]),
            ("  haproxy -c", &["haproxy"]),
            ("test -s {{.src}}", &[]),
            ("if true; then nginx -t; fi", &[]),
            ("! grep x {{.src}}", &[]),
            ("{{.src}} check", &[]),
            ("/opt/check-{{.src}}", &[]),
            ("$TOOL check", &[]),
            ("(nginx -t)", &[]),
            ("\"my tool\" x", &[]),
            ("sudo", &["sudo"]),
            ("", &[]),
        ] {
            assert_eq!(line(text).programs(), expected, "{text}");
        }
    }

    #[test]
    fn a_file_given_to_nginx_as_a_whole_is_recognised() {
        for (text, expected) in [
            ("nginx -t -c {{.src}}", true),
            ("/usr/sbin/nginx -t -q -c '{{ .src }}'", true),
            ("nginx -tc {{.src}}", true),
            ("nginx -t", false),
            ("nginx -t -c /etc/nginx/nginx.conf", false),
            ("nginx -c {{.src}}", false),
            ("haproxy -c -f {{.src}}", false),
            ("test -s {{.src}} && nginx -t", false),
            ("sh -c 'nginx -t -c {{.src}}'", true),
        ] {
            assert_eq!(line(text).checks_file_as_nginx_conf(), expected, "{text}");
        }
    }

    #[test]
    fn a_fragment_has_blocks_and_no_events() {
        for (text, expected) in [
            ("upstream app {\n server 1.2.3.4;\n}\n", true),
            ("server{listen 80;}", true),
            ("# events\nserver { }", true),
            ("events {}\nhttp { server { } }", false),
            ("events{} http{server{}}", false),
            ("user www;\n", false),
            ("backend_server app", false),
        ] {
            assert_eq!(is_nginx_fragment(text), expected, "{text}");
        }
    }
}
