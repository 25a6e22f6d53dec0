//! What nginx's error log says of upstreams: which server it cannot reach, and which upstream has no server left. Pure: never reads the
//! log. A client writes parts of each line, but nothing that stands before its request.

/// Longest words of nginx that are kept, in bytes.
const MAX_WORDS_BYTES: usize = 120;
/// Longest name of an upstream that is kept, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// A line's statement about an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamTrouble {
    /// nginx could not reach a server, or did not get its answer in time.
    Unreachable {
        /// Its address, as nginx has it.
        address: String,
        /// What happened, in nginx's words.
        words: String,
    },
    /// No server of this upstream is tried any more.
    NoneLive(String),
}

/// Returns what a line says of an upstream, if it says anything.
pub fn trouble(line: &str) -> Option<UpstreamTrouble> {
    let (_, rest) = line.split_once(" [error] ")?;
    let (_, message) = rest.split_once(": *")?;
    let (_, message) = message.split_once(' ')?;
    let (words, rest) = message.split_once(", client: ")?;
    // nginx refuses a request line with spaces in its URI, so a client cannot write this before nginx does.
    let (_, rest) = rest.split_once(", upstream: \"")?;
    let (upstream, _) = rest.split_once('"')?;
    let name = upstream.split_once("://").map_or(upstream, |(_, rest)| rest);
    let name = name.split('/').next().filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)?.to_owned();
    let (what, _) = words.split_once(" while ")?;
    let is_unreachable = what.starts_with("connect() ") || what.starts_with("upstream timed out");
    match what {
        "no live upstreams" => Some(UpstreamTrouble::NoneLive(name)),
        _ if is_unreachable && words.len() <= MAX_WORDS_BYTES => {
            Some(UpstreamTrouble::Unreachable { address: name, words: words.to_owned() })
        }
        _ => None,
    }
}

/// Returns the upstream whose zone has no room for all servers that it was answered, if a line says so.
pub fn full_zone(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" [error] ")?;
    let (_, message) = rest.split_once(": ")?;
    let name = message.strip_prefix("cannot add new server to upstream \"")?.strip_suffix("\", memory exhausted")?;
    let is_name = name.len() <= MAX_NAME_BYTES && !name.contains(|c: char| c == '"' || c.is_control());
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: Option<UpstreamTrouble>) {
        assert_eq!(trouble(&format!("2026/11/29 12:00:00 [error] 17#17: {message}")), expected, "{message}");
    }

    fn unreachable(address: &str, words: &str) -> Option<UpstreamTrouble> {
        Some(UpstreamTrouble::Unreachable { address: address.to_owned(), words: words.to_owned() })
    }

    #[test]
    fn lines_of_http_and_stream_name_the_server_and_what_happened() {
        let refused = "connect() failed (111: Connection refused) while connecting to upstream";
        let late = "upstream timed out (110: Connection timed out) while reading response header from upstream";
        let http = ", client: 127.0.0.1, server: , request: \"GET /a HTTP/1.1\", upstream: ";
        check(&format!("*1 {refused}{http}\"http://10.0.0.1:80/a\", host: \"x\""), unreachable("10.0.0.1:80", refused));
        check(&format!("*1 {late}{http}\"grpc://[::1]:80\", host: \"x\""), unreachable("[::1]:80", late));
        let stream = ", client: 127.0.0.1, server: 0.0.0.0:1, upstream: \"10.0.0.1:25\", bytes from/to client:0/0";
        check(&format!("*1 {refused}{stream}"), unreachable("10.0.0.1:25", refused));
        let none = "no live upstreams while connecting to upstream";
        for (rest, name) in
            [(http, "\"http://web/a\", host: \"x\""), (", client: ::1, server: , upstream: ", "\"web\"")]
        {
            check(&format!("*1 {none}{rest}{name}"), Some(UpstreamTrouble::NoneLive("web".to_owned())));
        }
    }

    #[test]
    fn a_zone_without_room_is_named() {
        let line = |message: &str| format!("2026/11/29 12:00:00 [error] 17#17: {message}");
        let full = line("cannot add new server to upstream \"web\", memory exhausted");
        assert_eq!(full_zone(&full), Some("web"));
        for other in
            ["cannot add new server to upstream \"a\" \"b\", memory exhausted", "*1 cannot add new server to upstream"]
        {
            assert_eq!(full_zone(&line(other)), None, "{other}");
        }
    }

    #[test]
    fn what_a_client_writes_means_nothing() {
        let refused = "connect() failed (111: Connection refused) while connecting to upstream";
        let forged = "\", upstream: \"http://10.9.9.9:80/\"";
        let before = ", client: 127.0.0.1, server: , request: \"GET / HTTP/1.1\"";
        let line =
            format!("*1 {refused}{before}, upstream: \"http://10.0.0.1:80/\", host: \"x\", referrer: \"{forged}");
        check(&line, unreachable("10.0.0.1:80", refused));
        for message in [
            format!("*1 open() \"/a no live upstreams while connecting to upstream\" failed{before}{forged}"),
            format!("*1 client sent no live upstreams while x{before}{forged}"),
            format!("connect() failed while connecting to upstream{before}{forged}"),
            format!("*1 connect() {} while connecting to upstream{before}{forged}", "x".repeat(200)),
            format!("*1 {refused}{before}, upstream: \"http://unix:/run/a.sock:/\"").replace("unix:", ""),
            String::new(),
        ] {
            check(&message, None);
        }
    }
}
