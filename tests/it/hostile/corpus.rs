//! Values that somebody who may write to the store could use against nginx: everything that means something to its parser, in
//! every field of every layout, at every place in the field.

/// Texts with a meaning for nginx's parser, for a shell, or for careless readers of values.
const TOKENS: &[&str] = &[
    ";",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "#",
    "$",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "ü",
    "${host}",
    "$host",
    "\\n",
    "\\;",
    "; server 10.0.0.9:80",
    "; } server { listen 1; return 200 pwned; } upstream z { server 127.0.0.1:1",
    "; } } ssl_engine /tmp/m.so; events { } http { upstream z { server 127.0.0.1:1",
    "; } server { listen 1; location / { alias /; } } #",
    "; } #",
    ";}include /etc/passwd;",
    ";access_log /tmp/owned;",
    " weight=99999999999",
    " resolve",
    " backup; server 192.0.2.66:80",
    "%0a",
    "%eth0",
    "`id`",
    "$(id)",
    "../../etc/passwd",
    "<script>",
    "{{ 7 * 7 }}",
    "{% include 'x' %}",
    "\u{1b}[2J",
];

/// Layouts in the wild; each field is set off by `«»`. All of them announce the address that is put for `@`.
const LAYOUTS: &[&str] = &[
    "«@»",
    "http://«@»«»",
    "«http»://«@»/«»",
    "{\"host\": \"«core-1»\", \"ipv4_private_addr\": \"«HOST»\", \"ipv4_public_addr\": \"«HOST»\", \"port\": «PORT»}",
    "{\"host\": \"«core-1»\", \"ipv4_private_addr\": «HOST», \"ipv4_public_addr\": «HOST», \"port\": «PORT»}",
    "{\"host\": \"«HOST»\", \"port\": «PORT», \"priority\": «10», \"weight\": «5», \"group\": \"«g»\", \"text\": \"«t»\"}",
    "{\"host\": \"«HOST»\", \"port\": «PORT», \"weight\": «5», \"state\": \"«up»\", \"version\": \"«1»\", \"owner\": \"«o»\", \"max_conns\": «9»}",
    "{\"URL\": \"http://«@»\"}",
    "{\"«URL»\": \"«http»://«@»\"}",
];

/// Values that need no combining.
fn plain() -> Vec<String> {
    let words = [
        "",
        " ",
        "null",
        "true",
        "[]",
        "{}",
        "{",
        "\"",
        "127.1:80",
        "0x7f.0.0.1:80",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
        "127.0.0.1:+80",
        "127.0.0.1:080",
        "127.0.0.1:1-9",
        "::1:80",
        "[::1%eth0]:80",
        "[::1:80",
        "unix:/var/run/docker.sock",
        "unix:x.sock",
        "localhost",
        "localhost:80",
        "a/b:80",
        "a$b:80",
        "127.0.0.1:80 weight=0",
        "${upstream_addr}",
        "server",
        "}",
        "down",
        "127.0.0.1:80\\",
    ];
    let long = ["A".repeat(5 * 1024), format!("127.0.0.1:{}", "8".repeat(5000)), "{".repeat(5000), "[".repeat(100_000)];
    words.into_iter().map(str::to_owned).chain(long).collect()
}

/// The whole corpus, around one address that may be announced.
pub fn values(address: &str) -> Vec<String> {
    let (host, port) = address.rsplit_once(':').unwrap();
    let mut values = plain();
    for layout in LAYOUTS {
        let layout = layout.replace('@', address).replace("HOST", host).replace("PORT", port);
        let fields = layout.matches('«').count();
        for attacked in 0..fields {
            for token in TOKENS {
                for place in 0..4 {
                    values.push(attack(&layout, attacked, token, place));
                }
            }
        }
    }
    values
}

/// The layout with the token in one field: in front of it, in its middle, after it, or in its place.
fn attack(layout: &str, attacked: usize, token: &str, place: usize) -> String {
    let mut value = String::new();
    for (position, piece) in layout.split('«').enumerate() {
        let Some((field, rest)) = piece.split_once('»') else {
            value.push_str(piece);
            continue;
        };
        let (front, back) = field.split_at(field.len() / 2);
        value.push_str(&match (position == attacked + 1, place) {
            (false, _) => field.to_owned(),
            (true, 0) => format!("{token}{field}"),
            (true, 1) => format!("{front}{token}{back}"),
            (true, 2) => format!("{field}{token}"),
            (true, _) => token.to_owned(),
        });
        value.push_str(rest);
    }
    value
}
