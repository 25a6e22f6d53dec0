//! Literal paths that a Tera template asks the store for, found in its tags. Pure.

use super::calls;
use crate::model::problem::Positions;
use crate::render::asks::Ask;

/// Arguments that name a path.
const PATHS: [&str; 4] = ["key", "pattern", "dir", "prefix"];

/// Returns each call of a store function with a literal path, in the order of the text.
pub(super) fn asks(source: &str) -> Vec<Ask> {
    let positions = Positions::new(source);
    // A filter has the name of a function, as `get` does.
    let functions = calls::calls(source).filter(|call| !call.is_filter);
    let ask = |call: calls::WrittenCall<'_>| {
        let path = call.arguments.iter().find(|argument| PATHS.contains(&argument.name))?.literal.as_deref()?;
        let has_default = call.arguments.iter().any(|argument| argument.name == "default");
        Ask::new(call.name, path, has_default, positions.of(call.offset))
    };
    functions.filter_map(ask).collect()
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
        check("a\n{% for p in gets(pattern=\"/a/*\") %}", &["2:13 gets /a/*"]);
        check("{{ getv(key='/a') }}{{ getv ( default=[1, 2], key=`/b` ) }}", &["1:4 getv /a", "1:24 getv /b?"]);
        check("{%- if exists(key=\"/ü/b\") and ls(dir=\"/c\") -%}", &["1:8 exists /ü/b?", "1:31 ls /c"]);
        check("{{ f(x=getv(key=\"/a\")) | get(key=\"b\") }}", &["1:8 getv /a"]);
        check("{% for b in backends(prefix=\"/s\", max=[1][0]) %}", &["1:13 backends /s"]);
        check("{{ servers(prefix=\"/s\", port=80) }}", &["1:4 servers /s"]);
    }

    #[test]
    fn what_is_no_literal_or_no_call_is_left_alone() {
        for source in [
            "{{ getv(key=name) }}{{ getv(key=\"/a/\" ~ name) }}{{ getv(key=f(x=\"/a\")) }}",
            "{{ \"getv(key='/a')\" }}{# getv(key=\"/a\") #}{% raw %}{{ getv(key=\"/a\") }}{% endraw %}",
            "{{ x.getv(key=\"/a\") }}{{ my_getv(key=\"/a\") }}{{ getv }}{{ getv() }}{{ getv(\"/a\") }}",
            "{{ getv(key=\"/a",
        ] {
            check(source, &[]);
        }
    }

    /// With a look at the whole text for each call, this would take minutes.
    #[test]
    fn the_calls_of_a_large_template_are_found_in_linear_time() {
        let asks = asks(&"{{ getv(key=\"/a\") }}\n".repeat(30_000));
        assert!(asks.iter().zip(1..).all(|(ask, line)| ask.place.line == line) && asks.len() == 30_000);
    }
}
