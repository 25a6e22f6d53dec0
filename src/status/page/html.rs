//! A document in HTML that grows piece by piece. Markup is text of this program, by its type; whatever else comes in is escaped.
//! Pure. Never lets a character of data act as markup, or mislead whoever reads it.

use std::fmt::Write as _;

use crate::model::text;

/// Longest text that is shown, in characters.
const MAX_CHARACTERS: usize = 1000;
/// Longest text of several lines that is shown, in characters.
const MAX_CHARACTERS_OF_LINES: usize = 20_000;

/// A document, or a part of one.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Returns the document.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Adds markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Adds text on one line, fit for an attribute between double quotes too.
    pub(super) fn text(&mut self, text: &str) -> &mut Html {
        self.escaped(text, MAX_CHARACTERS, &[])
    }

    /// Adds text that may have several lines.
    pub(super) fn lines(&mut self, text: &str) -> &mut Html {
        self.escaped(text, MAX_CHARACTERS_OF_LINES, &['\n', '\t'])
    }

    /// Adds an element with a text: a tag such as `<td class="number">`, the text, and the end tag.
    pub(super) fn put(&mut self, tag: &'static str, text: &str) -> &mut Html {
        self.raw(tag).text(text).end(tag)
    }

    /// Adds an element with what `fill` adds.
    pub(super) fn within(&mut self, tag: &'static str, fill: impl FnOnce(&mut Html)) -> &mut Html {
        self.raw(tag);
        fill(self);
        self.end(tag)
    }

    fn end(&mut self, tag: &'static str) -> &mut Html {
        let name = tag.trim_start_matches('<').split([' ', '>']).next().unwrap_or_default();
        self.raw("</").raw(name).raw(">")
    }

    fn escaped(&mut self, text: &str, max_characters: usize, but: &[char]) -> &mut Html {
        for character in text::shortened(text, max_characters).chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ if text::misleads(character) && !but.contains(&character) => {
                    // Writing to a String does not fail.
                    write!(self.0, "{}", character.escape_default()).unwrap_or_default();
                }
                _ => self.0.push(character),
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let mut html = Html::default();
        html.put("<b title=\"x\">", text).raw("|").within("<pre>", |html| {
            html.lines(text);
        });
        html.into_text()
    }

    #[test]
    fn data_is_text_and_shows_what_hides() {
        assert_eq!(of("<i>&\"'"), "<b title=\"x\">&lt;i&gt;&amp;&quot;&#39;</b>|<pre>&lt;i&gt;&amp;&quot;&#39;</pre>");
        assert_eq!(
            of("a\n\tb\0\u{202e}\u{200b}ü"),
            "<b title=\"x\">a\\n\\tb\\u{0}\\u{202e}\\u{200b}ü</b>|<pre>a\n\tb\\u{0}\\u{202e}\\u{200b}ü</pre>"
        );
    }

    #[test]
    fn long_data_is_cut() {
        let long = "<".repeat(100_000);
        assert!(of(&long).len() < 4 * (MAX_CHARACTERS + MAX_CHARACTERS_OF_LINES) + 100);
    }
}
