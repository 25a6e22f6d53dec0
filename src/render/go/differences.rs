//! Differences of a Go template's output from confd's: found by the words in it, reported with their place. Pure.

use super::lexer::{GoToken, TokenKind, tokens};
use crate::model::problem::{Position, Positions};

const LOOKUP: &str =
    "if no answer comes, confd renders an empty list; here the render fails, and the last good file stays";
const SORT: &str =
    "confd sorts its argument in place, equals by chance; here the argument stays, and equals stay in order";
const ROOT: &str = "of the root, confd lists keys at the top or nothing; here it lists what there is";
const REVERSE: &str = "confd returns what gets gives as it was; here it is reversed";

/// Returns each difference with its place, in the order of the text. A broken template has no differences: its mistakes are
/// reported elsewhere.
pub(super) fn differences(source: &str) -> Vec<(Position, &'static str)> {
    let tokens = tokens(source).unwrap_or_default();
    let tokens: Vec<GoToken<'_>> = tokens.into_iter().filter(|token| token.kind != TokenKind::Space).collect();
    let words = tokens.iter().enumerate().filter(|(_, token)| token.kind == TokenKind::Word);
    let positions = Positions::new(source);
    let found = words.filter_map(|(at, token)| Some((positions.of(token.at), difference(&tokens, at)?)));
    found.collect()
}

/// Returns what is different about the word at this position.
fn difference(tokens: &[GoToken<'_>], at: usize) -> Option<&'static str> {
    let next = |n: usize| tokens.get(at + n);
    match tokens[at].text {
        "exists" => Some("true for a directory too; confd knows only keys"),
        "ls" | "lsdir" => match &next(1)?.kind {
            TokenKind::Literal(directory) if matches!(directory.as_str(), "" | "/") => Some(ROOT),
            _ => None,
        },
        "lookupIP" | "lookupIPV4" | "lookupIPV6" | "lookupSRV" => Some(LOOKUP),
        "sortByLength" | "sortKVByLength" => Some(SORT),
        "datetime" if !has_method(tokens, at) => {
            Some("printed without the reading of a monotonic clock, which confd adds (m=+…)")
        }
        "reverse" => {
            let called = next(1).is_some_and(|token| token.kind == TokenKind::Left)
                && next(2).is_some_and(|token| token.kind == TokenKind::Word && token.text == "gets");
            // In a pipe, the command before it counts.
            let before = tokens[..at].iter().rposition(|token| matches!(token.kind, TokenKind::Open | TokenKind::Left));
            let piped = at > 0
                && tokens[at - 1].kind == TokenKind::Pipe
                && before.is_some_and(|open| tokens[open..at].iter().any(|token| token.text == "gets"));
            (called || piped).then_some(REVERSE)
        }
        _ => None,
    }
}

/// Returns whether a method of the value is called, as in `datetime.Year`: only a sum keeps the reading of a clock.
fn has_method(tokens: &[GoToken<'_>], at: usize) -> bool {
    let in_brackets = tokens.get(at + 1).is_some_and(|token| token.kind == TokenKind::Right);
    let next = tokens.get(at + 1 + usize::from(in_brackets));
    next.is_some_and(|token| token.kind == TokenKind::Field && !matches!(token.text, ".Add" | "Add"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[(usize, usize, &str)]) {
        let found = differences(source);
        let found: Vec<(usize, usize, &str)> =
            found.iter().map(|(place, message)| (place.line, place.column, &message[..7])).collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn words_that_mean_something_else_are_found_where_they_stand() {
        check("{{getv \"/a\"}} exists reverse\n{{range gets \"/b/*\"}}{{.Key}}{{end}}", &[]);
        check("a\n  {{if exists \"/a\"}}{{end}}", &[(2, 8, "true fo")]);
        check("{{ls \"/\"}}{{lsdir `/`}}{{ls \"/a\"}}{{ls $x}}", &[(1, 3, "of the "), (1, 13, "of the ")]);
        check("{{range reverse (gets \"/a/*\")}}{{end}}", &[(1, 9, "confd r")]);
        check("{{range gets \"/a/*\" | reverse}}{{end}}", &[(1, 23, "confd r")]);
        check("{{range reverse (getvs \"/a/*\")}}{{end}}{{gets \"/b\"}}", &[]);
        check("{{range lookupIP \"a\"}}{{end}}{{datetime}}", &[(1, 9, "if no a"), (1, 32, "printed")]);
        check("{{datetime.Year}}{{(datetime).Unix}}{{datetime.Format \"2006\"}}", &[]);
        check("{{datetime.Add 1}}{{print datetime}}", &[(1, 3, "printed"), (1, 27, "printed")]);
        check("{{ \"unclosed", &[]);
    }
}
