//! nginx's messages without the values that they quote: a message keeps its words, the directive, the file and the line. Pure. Never
//! touches what is not a message of nginx.

/// Characters of a quoted text that are shown, if it is long enough to stay unknown.
const SHOWN_CHARS: usize = 3;
/// Characters from which on the first ones are shown.
const LONG_CHARS: usize = 8;
/// Parameters that nginx quotes as it does values.
const OWN_WORDS: [&str; 4] = ["backup", "down", "drain", "resolve"];
/// The separator between the texts of messages that quote several.
const JOINERS: &[&str] =
    &[" uses the ", " key while previously it used the ", " cache path while previously it used the ", " or "];

/// Returns the output of a command with the quoted texts of nginx's messages shortened: they may come from the store.
pub fn masked(output: &str) -> String {
    let mut lines = output.lines().peekable();
    let mut texts: Vec<String> = Vec::new();
    while let Some(line) = lines.next() {
        if !begins_message(line) {
            texts.push(line.to_owned());
            continue;
        }
        // A quoted text may have lines and quotes of its own: its end is not known.
        let mut message = line.to_owned();
        while message.contains('"')
            && lines.peek().is_some_and(|next| !begins_message(next) && !next.starts_with("nginx: "))
        {
            message.push('\n');
            message.push_str(lines.next().unwrap_or_default());
        }
        texts.push(masked_message(&message));
    }
    texts.join("\n")
}

/// Returns one message with its quoted texts shortened.
pub fn masked_message(message: &str) -> String {
    let message = &without_opened(message);
    let (head, place) = message.split_at(message.len() - place_at_end(message).len());
    if names_directives_only(head) {
        return without_socket(message);
    }
    let Some((before, rest)) = head.split_once('"') else { return without_socket(message) };
    let tail = known_tail(rest);
    let rest = rest.strip_suffix(tail).unwrap_or(rest);
    // Up to the last quote: a quoted text may have some itself.
    let (quoted, after) = rest.rsplit_once('"').unwrap_or((rest, ""));
    let texts = separated(quoted);
    let shown = texts.iter().map(|text| short_quote(text));
    let joined = joiners(quoted).chain([""]).zip(shown).map(|(joiner, text)| match joiner {
        "" => format!("\"{text}\""),
        joiner => format!("\"{text}\"{joiner}"),
    });
    // What a library says behind it may have the text once more.
    let after =
        texts.iter().filter(|text| text.len() > 1).fold(after.to_owned(), |after, text| after.replace(text, "…"));
    format!("{}{}{after}{tail}{place}", without_socket(before), joined.collect::<String>())
}

/// Returns a text without the path that OpenSSL names when it cannot open a file: nginx has quoted it before, and this one has no quotes.
fn without_opened(text: &str) -> String {
    const CALL: &str = "fopen(";
    let Some((before, rest)) = text.split_once(CALL) else { return text.to_owned() };
    let end = [", r)", ",'r')"].into_iter().filter_map(|end| rest.rfind(end)).max();
    format!("{before}{CALL}…{}", end.and_then(|at| rest.get(at..)).unwrap_or_default())
}

/// Returns a text whose path behind `unix:` is shortened: nginx does not quote it.
fn without_socket(text: &str) -> String {
    let Some((before, path)) = text.split_once("bind() to unix:") else { return text.to_owned() };
    match path.rsplit_once(" failed (") {
        Some((path, after)) => format!("{before}bind() to unix:{} failed ({after}", short_quote(path)),
        None => format!("{before}bind() to unix:{}", short_quote(path)),
    }
}

/// Returns whether a line is the first of a message: `nginx: [emerg] …`, or `DATE TIME [emerg] …` of a log.
fn begins_message(line: &str) -> bool {
    let level = line.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once("] ")?.0)));
    level.is_some_and(|(before, level)| {
        let is_level = !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_lowercase());
        is_level && (before == "nginx: " || before.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Returns ` in FILE:LINE` at the end of a message, or nothing.
fn place_at_end(message: &str) -> &str {
    let place = message.rfind(" in /").and_then(|at| message.get(at..)).unwrap_or_default();
    let line = place.rsplit(':').next().unwrap_or_default();
    let is_place = !place.contains('"') && !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    if is_place { place } else { "" }
}

/// Returns whether every quoted text is the name of a directive: `"listen" directive is duplicate`.
fn names_directives_only(head: &str) -> bool {
    let parts: Vec<&str> = head.split('"').collect();
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || "_. ".contains(c));
    parts.len() % 2 == 1
        && parts
            .chunks_exact(2)
            .zip(parts.iter().skip(2).step_by(2))
            .all(|(pair, after)| !pair[0].ends_with("unknown ") && is_name(pair[1]) && after.starts_with(" directive"))
}

/// Returns what nginx itself quotes behind a quoted text: ` is not terminated by ";"`, ` of the "listen" directive`.
fn known_tail(text: &str) -> &str {
    let of_directive = || {
        let at = text.strip_suffix("\" directive")?.rfind('"')?;
        let words = [" of the ", " in the ", " in ", " for the "];
        let before = words.into_iter().find(|words| text.get(..at).is_some_and(|text| text.ends_with(words)))?;
        text.get(at - before.len()..)
    };
    let end = " is not terminated by \";\"";
    if text.ends_with(end) { end } else { of_directive().unwrap_or_default() }
}

/// Returns the joiners of a message that quotes several texts, in order, each without its quotes.
fn joiners(quoted: &str) -> impl Iterator<Item = &'static str> {
    let mut found: Vec<(usize, &'static str)> = Vec::new();
    for joiner in JOINERS {
        found.extend(quoted.match_indices(&format!("\"{joiner}\"")).map(|(at, _)| (at, *joiner)));
    }
    found.sort_unstable();
    found.into_iter().map(|(_, joiner)| joiner)
}

/// Returns the quoted texts between the joiners.
fn separated(quoted: &str) -> Vec<&str> {
    let mut texts = Vec::new();
    let mut rest = quoted;
    for joiner in joiners(quoted) {
        let Some((text, after)) = rest.split_once(&format!("\"{joiner}\"")) else { break };
        texts.push(text);
        rest = after;
    }
    texts.push(rest);
    texts
}

fn short_quote(quoted: &str) -> String {
    let count = quoted.chars().count();
    if count <= 1 || OWN_WORDS.contains(&quoted) {
        // nginx names a brace or a semicolon like this.
        return quoted.to_owned();
    }
    let shown: String =
        quoted.chars().take(if count < LONG_CHARS { 0 } else { SHOWN_CHARS }).filter(|c| !c.is_control()).collect();
    format!("{shown}… ({count} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: &str) {
        assert_eq!(masked(output), expected);
    }

    #[test]
    fn quoted_texts_are_shortened_and_the_rest_stays() {
        check(
            "nginx: [emerg] unknown directive \"hunter2-secret\" in /etc/nginx/conf.d/a.conf:3\nnginx: configuration file /etc/nginx/nginx.conf test failed",
            "nginx: [emerg] unknown directive \"hun… (14 characters)\" in /etc/nginx/conf.d/a.conf:3\nnginx: configuration file /etc/nginx/nginx.conf test failed",
        );
        check(
            "nginx: [emerg] unknown directive \"secret\" in /a:3",
            "nginx: [emerg] unknown directive \"… (6 characters)\" in /a:3",
        );
        check(
            "2026/11/21 10:00:00 [emerg] 17#17: host not found in upstream \"db.internal:80\" in /a:3",
            "2026/11/21 10:00:00 [emerg] 17#17: host not found in upstream \"db.… (14 characters)\" in /a:3",
        );
        check(
            "nginx: [emerg] directive \"secret word\" is not terminated by \";\" in /a:3",
            "nginx: [emerg] directive \"sec… (11 characters)\" is not terminated by \";\" in /a:3",
        );
        check(
            "limit_req \"z1\" uses the \"$server_name\" key while previously it used the \"$remote\" key",
            "limit_req \"z1\" uses the \"$server_name\" key while previously it used the \"$remote\" key",
        );
        assert_eq!(
            masked_message(
                "limit_req \"z1\" uses the \"$server_name\" key while previously it used the \"$remote\" key"
            ),
            "limit_req \"… (2 characters)\" uses the \"$se… (12 characters)\" key while previously it used the \"… (7 characters)\" key",
        );
        check(
            "nginx: [emerg] invalid port in \"127.0.0.1:x\" of the \"listen\" directive in /a:3",
            "nginx: [emerg] invalid port in \"127… (11 characters)\" of the \"listen\" directive in /a:3",
        );
    }

    #[test]
    fn paths_may_hold_values_too() {
        check(
            "nginx: [emerg] cannot load certificate \"/tmp/hunter2.pem\": BIO_new_file() failed (SSL: calling fopen(/tmp/hunter2.pem, r)) in /a:3",
            "nginx: [emerg] cannot load certificate \"/tm… (16 characters)\": BIO_new_file() failed (SSL: calling fopen(…, r)) in /a:3",
        );
        check(
            "nginx: [emerg] open() \"/none/hunter2\" failed (2: No such file or directory)",
            "nginx: [emerg] open() \"/no… (13 characters)\" failed (2: No such file or directory)",
        );
        check(
            "nginx: [emerg] bind() to unix:/none/hunter2 failed (2: No such file or directory)",
            "nginx: [emerg] bind() to unix:/no… (13 characters) failed (2: No such file or directory)",
        );
    }

    #[test]
    fn quotes_and_lines_within_a_text_hide_nothing() {
        check(
            "nginx: [emerg] cannot load certificate \"/p/x\" hunter\ntwo\": BIO_new_file() failed (SSL: calling fopen(/p/x\" hunter\ntwo, r) error:1) in /a:3",
            "nginx: [emerg] cannot load certificate \"/p/… (16 characters)\": BIO_new_file() failed (SSL: calling fopen(…, r) error:1) in /a:3",
        );
        check(
            "nginx: [emerg] invalid zone size \"zone=\"x\nhunter\"\" in /a:3\nnginx: configuration file /n test failed",
            "nginx: [emerg] invalid zone size \"zon… (15 characters)\" in /a:3\nnginx: configuration file /n test failed",
        );
        check(
            "nginx: [emerg] unknown directive \"a\" in /x:1\nhunter\" in /a:3",
            "nginx: [emerg] unknown directive \"a\" … (17 characters)\" in /a:3",
        );
        check(
            "nginx: [emerg] unknown directive \"a\" secret \"b\" in /a:3",
            "nginx: [emerg] unknown directive \"a\" … (12 characters)\" in /a:3",
        );
        check(
            "nginx: [emerg] unknown directive \"sec\nret\" in /a:3\nnext",
            "nginx: [emerg] unknown directive \"… (7 characters)\" in /a:3\nnext",
        );
        check(
            "nginx: [emerg] unexpected end of file, expecting \"secret\nsecret",
            "nginx: [emerg] unexpected end of file, expecting \"sec… (13 characters)\"",
        );
    }

    #[test]
    fn what_is_no_value_stays() {
        for text in [
            "nginx: [emerg] invalid number of arguments in \"listen\" directive in /a:3",
            "nginx: [emerg] \"server\" directive is not allowed here in /a:3",
            "nginx: [warn] the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead in /a:3",
            "nginx: [emerg] unexpected \"}\" in /a:3",
            "nginx: [emerg] balancing method does not support parameter \"backup\" in /a:3",
            "nginx: [emerg] unexpected end of file, expecting \";\" or \"}\" in /a:3",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
            "a command of the user's: \"value\"",
        ] {
            check(text, text);
        }
    }
}
