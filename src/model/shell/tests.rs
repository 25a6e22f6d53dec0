//! The paths that reach a command, in every surrounding; the integration tests run a real shell.

use super::*;

/// Returns the command in `text`, with `<src>` and `<dest>` for the placeholders.
fn command(text: &str) -> CommandLine {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').unwrap();
        parts.push(CommandPart::Literal(rest[..start].to_owned()));
        parts.push(if &rest[start..=end] == "<src>" { CommandPart::Src } else { CommandPart::Dest });
        rest = &rest[end + 1..];
    }
    parts.push(CommandPart::Literal(rest.to_owned()));
    CommandLine { text: text.to_owned(), parts, timeout: None }
}

fn check(text: &str, src: &str, expected: &str) {
    assert_eq!(command(text).shell_text(Path::new(src), Path::new("/etc/app.conf")), expected, "{text}");
}

#[test]
fn plain_paths_go_in_as_they_are() {
    check("nginx -t -c <src>", "/etc/.app.conf123", "nginx -t -c /etc/.app.conf123");
    check("cat '<src>' \"<src>\" <src>.bak", "/a/b-1_2+c@d%e,f=g:h", {
        "cat '/a/b-1_2+c@d%e,f=g:h' \"/a/b-1_2+c@d%e,f=g:h\" /a/b-1_2+c@d%e,f=g:h.bak"
    });
    check("cp <src> <dest>", "/x", "cp /x /etc/app.conf");
}

#[test]
fn odd_paths_become_a_variable_quoted_for_its_surroundings() {
    check("cat <src>", "/a b", "upstreamd_src='/a b'; cat \"${upstreamd_src}\"");
    check("cat '<src>'", "/a b", "upstreamd_src='/a b'; cat ''\"${upstreamd_src}\"''");
    check("cat \"<src>\"", "/a b", "upstreamd_src='/a b'; cat \"${upstreamd_src}\"");
    check("cat <src>", "/it's", r#"upstreamd_src='/it'\''s'; cat "${upstreamd_src}""#);
    check("cat <src> <src>", "/a;b", "upstreamd_src='/a;b'; cat \"${upstreamd_src}\" \"${upstreamd_src}\"");
}

#[test]
fn the_surroundings_are_followed_through_shell_text() {
    for (text, expected) in [
        ("a \\\" <src>", Quotes::None),
        ("a \"\\\"<src>", Quotes::Double),
        ("a 'b\\'<src>", Quotes::None),
        ("a # don't\n <src>", Quotes::None),
        ("a#'<src>", Quotes::Single),
        ("a \"$(b <src>", Quotes::None),
        ("a \"$(b '(' \"c\") <src>", Quotes::Double),
        ("a \"$(b $(c) (d)) <src>", Quotes::Double),
        ("a \"`b <src>", Quotes::None),
        ("a \"`b` <src>", Quotes::Double),
        ("a ) ) '<src>", Quotes::Single),
        ("a \"\\$(b <src>", Quotes::Double),
        ("a \\  # '<src>", Quotes::None),
        ("a \\#'<src>", Quotes::Single),
    ] {
        let mut shell = ShellState::default();
        shell.read(text.strip_suffix("<src>").unwrap());
        assert_eq!(shell.quotes(), expected, "{text}");
    }
}
