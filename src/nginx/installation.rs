//! Finds which nginx a command means, and the pid file, error log and number of workers in its main configuration.
//! Pure: never reads a file; callers pass the text.

use std::fmt;
use std::path::{Path, PathBuf};

use super::tokens;

/// Main configuration in the packages of Debian and nginx.org.
pub const DEFAULT_CONF: &str = "/etc/nginx/nginx.conf";
/// Pid file in the packages of Debian and nginx.org.
pub const DEFAULT_PID_FILE: &str = "/run/nginx.pid";
/// Error log in the packages of Debian and nginx.org.
pub const DEFAULT_ERROR_LOG: &str = "/var/log/nginx/error.log";
/// Base of relative paths in the packages of Debian and nginx.org.
pub const DEFAULT_PREFIX: &str = "/usr/share/nginx";

/// Paths built into an nginx program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildPaths {
    /// Base of relative paths.
    pub prefix: PathBuf,
    /// The main configuration.
    pub conf: PathBuf,
    /// The pid file.
    pub pid_file: PathBuf,
    /// The error log.
    pub error_log: PathBuf,
}

impl Default for BuildPaths {
    fn default() -> BuildPaths {
        BuildPaths {
            prefix: DEFAULT_PREFIX.into(),
            conf: DEFAULT_CONF.into(),
            pid_file: DEFAULT_PID_FILE.into(),
            error_log: DEFAULT_ERROR_LOG.into(),
        }
    }
}

/// Returns the paths in the output of `nginx -V`, with the packages' usual paths as defaults.
pub fn built_with(version_output: &str) -> BuildPaths {
    let defaults = BuildPaths::default();
    let words = words(version_output);
    let argument = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let prefix = argument("--prefix").map(PathBuf::from).unwrap_or(defaults.prefix);
    let path = |name: &str, default: PathBuf| argument(name).map_or(default, |path| prefix.join(path));
    BuildPaths {
        conf: path("--conf-path", defaults.conf),
        pid_file: path("--pid-path", defaults.pid_file),
        error_log: path("--error-log-path", defaults.error_log),
        prefix,
    }
}

/// A version of nginx: major, minor, patch. Decides which directives are available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl Version {
    /// Parses `1.27.4`, or `1.27` as `1.27.0`. Ignores a fourth number, which OpenResty has.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version = [numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?];
        Some(Version(version))
    }

    /// Parses the output of `nginx -v`: `nginx version: nginx/1.22.1 (Debian)`.
    pub fn from_output(version_output: &str) -> Option<Version> {
        let (_, after) = version_output.split_once("nginx version: ")?;
        Version::parse(after.split_whitespace().next()?.rsplit_once('/')?.1)
    }
}

/// Returns the nginx program in a command: its first absolute path that ends in `nginx`, and is not the value of `-p` or `cd`.
pub fn program_named_in(shell_text: &str) -> Option<PathBuf> {
    let words = all_words(shell_text);
    let is_folder = |at: usize| at > 0 && matches!(&*words[at - 1], "-p" | "cd");
    let is_program = |(at, word): &(usize, &Path)| {
        word.file_name().is_some_and(|name| name == "nginx") && word.is_absolute() && !is_folder(*at)
    };
    words.iter().map(Path::new).enumerate().find(is_program).map(|(_, word)| word.to_owned())
}

/// Configured number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerProcesses {
    /// This many.
    Number(usize),
    /// One for each online CPU.
    Auto,
}

/// Returns the main configuration (`-c`) and the prefix (`-p`) that an nginx command names. The options of a program around it are not
/// nginx's: `sh -c 'nginx -t'` and `ionice -c 3 nginx -t` name none.
pub fn files_named_in(shell_text: &str) -> (Option<PathBuf>, Option<PathBuf>) {
    let words = all_words(shell_text);
    // A program of another name may be nginx, too.
    let words = &words[words.iter().position(|word| is_nginx(word)).unwrap_or(0)..];
    let after = |flag: &str| {
        let word = words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1));
        word.filter(|word| !word.starts_with("{{") && !is_nginx(word)).map(PathBuf::from)
    };
    (after("-c"), after("-p"))
}

/// Returns the words of a command, with those of the commands in it that a shell runs: `nginx` and `-t` of `sh -c 'nginx -t'`, too.
fn all_words(shell_text: &str) -> Vec<String> {
    words_within(shell_text, MAX_SHELLS)
}

/// Most shells within each other that a command is looked through.
const MAX_SHELLS: usize = 4;

fn words_within(shell_text: &str, shells: usize) -> Vec<String> {
    let inner = |word: String| {
        let may_be_command = shells > 0 && word.contains(char::is_whitespace) && !is_nginx(&word);
        let inner = if may_be_command { words_within(&word, shells - 1) } else { Vec::new() };
        if inner.iter().any(|word| is_nginx(word)) { inner } else { vec![word] }
    };
    words(shell_text).into_iter().flat_map(inner).collect()
}

fn is_nginx(word: &str) -> bool {
    Path::new(word).file_name().is_some_and(|name| name == "nginx" || name == "openresty")
}

/// Returns the main configuration that a program and its arguments name, if the program is nginx.
pub fn conf_of_program(command: &[String]) -> Option<PathBuf> {
    let program = Path::new(command.first()?).file_name()?;
    let after = |flag: &str| command.iter().position(|word| word == flag).and_then(|at| command.get(at + 1));
    let conf = after("-c").filter(|_| program == "nginx" || program == "openresty")?;
    Some(after("-p").map_or_else(PathBuf::new, PathBuf::from).join(conf))
}

/// Returns whether the nginx that a command means may have other files than those here: it runs in a container, or on another machine.
pub fn runs_elsewhere(shell_text: &str) -> bool {
    const GATES: &[&str] = &[
        "chroot",
        "crictl",
        "ctr",
        "docker",
        "docker-compose",
        "incus",
        "kubectl",
        "lxc",
        "lxc-attach",
        "machinectl",
        "nerdctl",
        "nsenter",
        "podman",
        "ssh",
        "systemd-nspawn",
        "unshare",
    ];
    words(shell_text).iter().filter_map(|word| Path::new(word).file_name()?.to_str()).any(|name| GATES.contains(&name))
}

/// Returns whether the main configuration in the command is the staged file: `nginx -t -c {{.src}}`.
pub fn checks_staged_conf(shell_text: &str) -> bool {
    words(shell_text).into_iter().skip_while(|word| word != "-c").nth(1).is_some_and(|word| word.starts_with("{{"))
}

/// Returns whether the command is just nginx's own signaller, as in `/usr/sbin/nginx -s reload`. It parses the configuration first,
/// so that when it fails, no signal was sent.
pub fn is_plain_signaller(shell_text: &str) -> bool {
    if shell_text.contains(['&', '|', ';', '<', '>', '`', '$', '(', ')', '\n']) {
        return false;
    }
    let words = words(shell_text);
    let program = words.first().and_then(|program| Path::new(program).file_name());
    program.is_some_and(|name| name == "nginx") && words.windows(2).any(|pair| pair == ["-s", "reload"])
}

/// Splits a command line into words and removes quotes. Splits at whitespace if a quote is not closed.
fn words(shell_text: &str) -> Vec<String> {
    shlex::split(shell_text).unwrap_or_else(|| shell_text.split_whitespace().map(str::to_owned).collect())
}

/// Returns the pid file that a main configuration sets; relative paths start at `prefix`.
pub fn pid_file_in(configuration: &str, prefix: &Path) -> Option<PathBuf> {
    main_directive(configuration, "pid").map(|value| prefix.join(value))
}

/// Returns the first error log that a main configuration sets; relative paths start at `prefix`. Returns `None` if it sets no
/// error log, or one that is not a file (`stderr`, `syslog:`, `memory:`).
pub fn error_log_in(configuration: &str, prefix: &Path) -> Option<PathBuf> {
    let value = main_directive(configuration, "error_log")?;
    let is_file = value != "stderr" && !value.starts_with("syslog:") && !value.starts_with("memory:");
    is_file.then(|| prefix.join(value))
}

/// Returns the number of workers that a main configuration sets; nginx's default is one. Returns `None` if the directive is
/// invalid or may be in an included file.
pub fn worker_processes_in(configuration: &str) -> Option<WorkerProcesses> {
    match main_directive(configuration, "worker_processes") {
        Some(value) if value == "auto" => Some(WorkerProcesses::Auto),
        Some(value) => value.parse().ok().map(WorkerProcesses::Number),
        None if main_directive(configuration, "include").is_some() => None,
        None => Some(WorkerProcesses::Number(1)),
    }
}

/// Returns the first argument of the first directive with this name outside all blocks.
fn main_directive(configuration: &str, name: &str) -> Option<String> {
    let mut directives = tokens::directives(configuration);
    let found = directives.find(|found| found.depth == 0 && found.words.first().is_some_and(|word| word == name))?;
    found.words.into_iter().nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_nginx_and_openresty_are_read() {
        for (output, expected) in [
            ("nginx version: nginx/1.22.1\n", Some([1, 22, 1])),
            ("nginx version: nginx/1.27.4 (Ubuntu)\nbuilt by gcc\n", Some([1, 27, 4])),
            ("nginx version: openresty/1.21.4.1", Some([1, 21, 4])),
            ("nginx version: nginx/1", None),
            ("nginx version: nginx", None),
            ("sh: nginx: not found", None),
        ] {
            assert_eq!(Version::from_output(output), expected.map(Version), "{output}");
        }
        assert!(Version([1, 27, 4]) > Version([1, 9, 15]) && Version::parse("1.28") > Version::parse("1.27.9"));
        for wrong in ["", "1", "1.x", "1.2.-3", "v1.2"] {
            assert_eq!(Version::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn files_come_from_the_command() {
        assert_eq!(
            files_named_in("nginx -p /srv -c '/srv/n.conf' -s reload"),
            (Some("/srv/n.conf".into()), Some("/srv".into()))
        );
        for of_others in [
            "service nginx reload",
            "sh -c 'nginx -t && nginx -s reload'",
            "su www -c \"sh -c 'nginx -s reload'\"",
            "ionice -c 3 nginx -s reload",
            "nginx -t && sh -c 'nginx -s reload'",
        ] {
            assert_eq!(files_named_in(of_others), (None, None), "{of_others}");
        }
        assert_eq!(files_named_in("'nginx\u{a0}-c /n.conf'"), (None, None), "a shell does not split there");
        for of_nginx in ["sh -c 'nginx -c /n.conf -t'", "nginx: master process /opt/edge -c /n.conf"] {
            assert_eq!(files_named_in(of_nginx).0, Some("/n.conf".into()), "{of_nginx}");
        }
        for quoted in
            ["nginx -c '/srv/my site/n.conf' -t", "nginx -c \"/srv/my site/n.conf\"", "nginx -c /srv/my\\ site/n.conf"]
        {
            assert_eq!(files_named_in(quoted).0, Some("/srv/my site/n.conf".into()), "{quoted}");
        }
        assert_eq!(files_named_in("echo 'never ends; nginx -c /n.conf").0, Some("/n.conf".into()));
        assert_eq!(files_named_in("nginx -t -c {{.src}}").0, None);
    }

    #[test]
    fn a_supervised_nginx_names_its_configuration() {
        let conf = |words: &[&str]| conf_of_program(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(conf(&["/usr/sbin/nginx", "-g", "daemon off;", "-c", "/n.conf"]), Some("/n.conf".into()));
        assert_eq!(conf(&["nginx", "-p", "/srv", "-c", "n.conf"]), Some("/srv/n.conf".into()));
        assert_eq!(conf(&["nginx", "-g", "daemon off;"]), None);
        assert_eq!(conf(&["sh", "-c", "nginx"]), None);
        assert_eq!(conf(&[]), None);
    }

    #[test]
    fn an_nginx_elsewhere_is_recognised() {
        for text in ["docker exec web nginx -t", "/usr/bin/kubectl exec web -- nginx -s reload", "ssh lb 'nginx -t'"] {
            assert!(runs_elsewhere(text), "{text}");
        }
        for text in ["nginx -t", "sudo systemctl reload nginx", "nginx -t -c /srv/docker.d/nginx.conf"] {
            assert!(!runs_elsewhere(text), "{text}");
        }
    }

    #[test]
    fn a_check_of_the_staged_file_is_recognised() {
        for text in ["nginx -t -c {{.src}}", "nginx -t -c '{{.src}}'", "/opt/my\\ nginx/nginx -c \"{{ .src }}\" -t"] {
            assert!(checks_staged_conf(text), "{text}");
        }
        for text in ["nginx -t", "nginx -t -c /etc/nginx/nginx.conf", "nginx -t -c"] {
            assert!(!checks_staged_conf(text), "{text}");
        }
    }

    #[test]
    fn built_in_paths_are_read() {
        let output = "nginx version: nginx/1.22.1\nconfigure arguments: --with-cc-opt='-g -O2' --prefix=/opt/nginx --conf-path=/etc/n.conf --error-log-path=logs/e.log --http-log-path=/x";
        let expected = BuildPaths {
            prefix: "/opt/nginx".into(),
            conf: "/etc/n.conf".into(),
            pid_file: DEFAULT_PID_FILE.into(),
            error_log: "/opt/nginx/logs/e.log".into(),
        };
        assert_eq!(built_with(output), expected);
        assert_eq!(built_with(""), BuildPaths::default());
        let quoted = built_with("configure arguments: --prefix='/opt/my nginx' --pid-path=run/n.pid");
        assert_eq!(quoted.pid_file, PathBuf::from("/opt/my nginx/run/n.pid"));
    }

    #[test]
    fn the_program_comes_from_the_command() {
        for (text, program) in [
            ("/usr/sbin/nginx -t", Some("/usr/sbin/nginx")),
            ("sudo \"/opt/nginx/sbin/nginx\" -t", Some("/opt/nginx/sbin/nginx")),
            ("sudo '/opt/my nginx/nginx' -t", Some("/opt/my nginx/nginx")),
            ("nginx -t", None),
            ("sh -c '/opt/nginx -t && /opt/nginx -s reload'", Some("/opt/nginx")),
            ("nginx -t -p /etc/nginx", None),
            ("cd /etc/nginx && /usr/sbin/nginx -t", Some("/usr/sbin/nginx")),
            ("/usr/sbin/service nginx reload", None),
            ("cp x /etc/nginx/y", None),
        ] {
            assert_eq!(program_named_in(text), program.map(PathBuf::from), "{text}");
        }
    }

    #[test]
    fn the_signaller_is_recognised_if_the_command_is_nothing_else() {
        for text in [
            "nginx -s reload",
            "/usr/sbin/nginx -c '/a b' -s reload",
            "\"/usr/sbin/nginx\" -s reload",
            "'/opt/my nginx/nginx' -s reload",
        ] {
            assert!(is_plain_signaller(text), "{text}");
        }
        for text in
            ["service nginx reload", "nginx -t", "nginx -s reload; false", "nginx -s reload && x", "nginx -s quit"]
        {
            assert!(!is_plain_signaller(text), "{text}");
        }
    }

    #[test]
    fn the_pid_directive_is_read() {
        let prefix = Path::new("/usr/share/nginx");
        for (text, expected) in [
            ("user root; pid /run/a.pid;\nevents {}", Some("/run/a.pid")),
            ("# pid /run/no.pid;\npid   logs/b.pid;", Some("/usr/share/nginx/logs/b.pid")),
            ("events {}", None),
            ("http { server { location /pid { } } }", None),
            ("http { pid /run/inside.pid; }", None),
            ("pid \"/run/a b.pid\";", Some("/run/a b.pid")),
            ("pid", None),
        ] {
            assert_eq!(pid_file_in(text, prefix), expected.map(PathBuf::from), "{text}");
        }
    }

    #[test]
    fn the_error_log_is_read_if_it_is_a_file() {
        let prefix = Path::new("/p");
        for (text, expected) in [
            ("error_log /l/e.log notice;", Some("/l/e.log")),
            ("http { error_log /no; }\nerror_log logs/e;", Some("/p/logs/e")),
            ("error_log stderr;", None),
            ("error_log syslog:server=127.0.0.1;", None),
            ("", None),
        ] {
            assert_eq!(error_log_in(text, prefix), expected.map(PathBuf::from), "{text}");
        }
    }

    #[test]
    fn the_number_of_workers_is_read() {
        use WorkerProcesses::{Auto, Number};
        for (text, expected) in [
            ("worker_processes 4;", Some(Number(4))),
            ("worker_processes auto;", Some(Auto)),
            ("worker_processes 0;", Some(Number(0))),
            ("worker_processes many;", None),
            ("events {}", Some(Number(1))),
            ("include /etc/nginx/main.d/*.conf; events {}", None),
            ("http { include x; worker_processes 9; }", Some(Number(1))),
        ] {
            assert_eq!(worker_processes_in(text), expected, "{text}");
        }
    }
}
