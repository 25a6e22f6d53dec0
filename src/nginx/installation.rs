//! Which nginx a resource talks about: found from its commands and from nginx's own configuration text.
//! Pure text: reading the files is the caller's business.

use std::path::{Path, PathBuf};

/// Where Debian and nginx.org packages keep the main configuration.
pub const DEFAULT_CONF: &str = "/etc/nginx/nginx.conf";
/// Where Debian and nginx.org packages keep the pid file.
pub const DEFAULT_PID_FILE: &str = "/run/nginx.pid";

/// The main configuration file that a command of nginx's names with `-c`, and the prefix it names with `-p`.
pub fn files_named_in(shell_text: &str) -> (Option<PathBuf>, Option<PathBuf>) {
    let words: Vec<&str> = shell_text.split_whitespace().map(|word| word.trim_matches(['\'', '"'])).collect();
    let after =
        |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1)).map(PathBuf::from);
    (after("-c"), after("-p"))
}

/// The pid file that a main configuration sets: its `pid` directive, resolved against `prefix` where relative.
pub fn pid_file_in(configuration: &str, prefix: &Path) -> Option<PathBuf> {
    configuration
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.split(';'))
        .find_map(|statement| {
            let mut words = statement.split_whitespace();
            let value = (words.next() == Some("pid")).then(|| words.next()).flatten()?;
            Some(prefix.join(value.trim_matches(['\'', '"'])))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_from_the_command() {
        assert_eq!(
            files_named_in("nginx -p /srv -c '/srv/n.conf' -s reload"),
            (Some("/srv/n.conf".into()), Some("/srv".into()))
        );
        assert_eq!(files_named_in("service nginx reload"), (None, None));
    }

    #[test]
    fn the_pid_directive_is_read() {
        let prefix = Path::new("/usr/share/nginx");
        for (text, expected) in [
            ("user root; pid /run/a.pid;\nevents {}", Some("/run/a.pid")),
            ("# pid /run/no.pid;\npid   logs/b.pid;", Some("/usr/share/nginx/logs/b.pid")),
            ("events {}", None),
            ("http { server { location /pid { } } }", None),
        ] {
            assert_eq!(pid_file_in(text, prefix), expected.map(PathBuf::from), "{text}");
        }
    }
}
