//! Literal paths that a Go template asks the store for, found by its words. Pure.

use super::lexer::{GoToken, TokenKind, tokens};
use crate::model::problem::Positions;
use crate::render::asks::Ask;

/// Returns each call of a store function with a literal path, in the order of the text; none of a broken template.
pub(super) fn asks(source: &str) -> Vec<Ask> {
    let tokens = tokens(source).unwrap_or_default();
    let tokens: Vec<GoToken<'_>> = tokens.into_iter().filter(|token| token.kind != TokenKind::Space).collect();
    let positions = Positions::new(source);
    let ask = |(at, pair): (usize, &[GoToken<'_>])| match pair {
        [function, GoToken { kind: TokenKind::Literal(path), .. }] if function.kind == TokenKind::Word => {
            // A second argument, or a value that comes through a pipe.
            let is_last = tokens
                .get(at + 2)
                .is_none_or(|next| matches!(next.kind, TokenKind::Close | TokenKind::Right | TokenKind::Pipe));
            let is_first = at == 0 || tokens[at - 1].kind != TokenKind::Pipe;
            Ask::new(function.text, path, !(is_first && is_last), positions.of(function.at))
        }
        _ => None,
    };
    tokens.windows(2).enumerate().filter_map(ask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let shown =
            |ask: Ask| format!("{} {} {}{}", ask.place, ask.function, ask.path, if ask.optional { "?" } else { "" });
        assert_eq!(asks(source).into_iter().map(shown).collect::<Vec<_>>(), expected, "{source}");
    }

    #[test]
    fn literal_paths_are_found_where_the_function_stands() {
        check("a\n {{range gets \"/a/*\"}}{{.Key}}{{end}}", &["2:10 gets /a/*"]);
        check(
            "{{getv `/a`}}{{getv \"/b\" \"x\"}}{{\"x\" | getv \"/c\"}}",
            &["1:3 getv /a", "1:16 getv /b?", "1:39 getv /c?"],
        );
        check("{{if exists \"/a\"}}{{end}}{{(get \"/b\").Value}}", &["1:6 exists /a?", "1:29 get /b"]);
        check("{{getvs \"/a/*\" | join \",\"}}{{ls \"/\"}}", &["1:3 getvs /a/*", "1:30 ls /"]);
        check("{{servers \"/s\"}}{{servers \"/t\" \"port\" 80}}", &["1:3 servers /s", "1:19 servers /t"]);
        for source in
            ["{{getv $x}}", "{{gets (printf \"/a/%s\" .)}}", "getv \"/a\"", "{{/* getv \"/a\" */}}", "{{ \"unclosed"]
        {
            check(source, &[]);
        }
    }

    /// With a look at the whole text for each call, this would take minutes.
    #[test]
    fn the_calls_of_a_large_template_are_found_in_linear_time() {
        let asks = asks(&"{{getv \"/a\"}}\n".repeat(30_000));
        assert!(asks.iter().zip(1..).all(|(ask, line)| ask.place.line == line) && asks.len() == 30_000);
    }
}
