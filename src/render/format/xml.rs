//! What it would cost to check an XML text. The parser compares each attribute of an element with all before it, looks through the
//! namespaces that exist there, and expands entities: a text of some hundred kilobytes could keep it busy for hours. Pure.

/// Most steps: comparisons, or bytes of expanded entities.
const MAX_STEPS: usize = 1 << 28;
/// Attributes and namespaces of one element that cost next to nothing.
const FEW: usize = 64;

/// Checks whether an XML text would take too long to check.
pub(super) fn is_too_costly(text: &str) -> bool {
    if has_declarations(text) {
        let count = |mark: char| text.matches(mark).count();
        let (references, marks) = (count('&'), count('=') + count('<'));
        // An entity may refer to others 255 times.
        let uses = references.saturating_mul(1 + references.min(255));
        return marks.saturating_mul(marks).max(text.len()).saturating_mul(uses.max(1)) > MAX_STEPS;
    }
    let mut steps: usize = 0;
    // How many namespaces exist within each element that is open.
    let mut scopes: Vec<usize> = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        rest = &rest[open + 1..];
        let skipped = [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>"), ("!", ">")];
        if let Some((begin, end)) = skipped.iter().find(|(begin, _)| rest.starts_with(begin)) {
            rest = rest[begin.len()..].split_once(end).map_or("", |(_, after)| after);
        } else if rest.starts_with('/') {
            scopes.pop();
        } else {
            let (tag, after) = OpeningTag::read(rest);
            rest = after;
            let namespaces = scopes.last().copied().unwrap_or(0) + tag.namespaces;
            if tag.attributes + namespaces > FEW {
                steps = steps.saturating_add((tag.attributes + 1).saturating_mul(tag.attributes + namespaces));
            }
            if steps > MAX_STEPS {
                return true;
            }
            if !tag.is_closed {
                scopes.push(namespaces);
            }
        }
    }
    false
}

/// Checks whether the text may declare entities: all documents but those with a plain `<!DOCTYPE …>` or none. The first one may stand in
/// a comment.
fn has_declarations(text: &str) -> bool {
    text.split("<!DOCTYPE").skip(1).any(|doctype| {
        let doctype = doctype.split_once('>').map_or(doctype, |(doctype, _)| doctype);
        doctype.contains(['[', '<', '\'']) || !doctype.matches('"').count().is_multiple_of(2)
    })
}

/// A tag like `<a b="c">`.
#[derive(Default)]
struct OpeningTag {
    attributes: usize,
    /// Those of the attributes that declare a namespace.
    namespaces: usize,
    is_closed: bool,
}

impl OpeningTag {
    /// Reads a tag behind its `<`, and returns what follows it.
    fn read(text: &str) -> (OpeningTag, &str) {
        let mut tag = OpeningTag::default();
        let (mut quote, mut name_at) = (None, 0);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if quote == Some(byte) => (quote, name_at) = (None, at + 1),
                _ if quote.is_some() => {}
                b'"' | b'\'' => quote = Some(byte),
                b'=' => {
                    tag.attributes += 1;
                    tag.namespaces += usize::from(text.as_bytes()[name_at..].starts_with(b"xmlns"));
                }
                b'>' => {
                    tag.is_closed = text[..at].ends_with('/');
                    return (tag, &text[at + 1..]);
                }
                _ if byte.is_ascii_whitespace() && !text.as_bytes()[at + 1..].starts_with(b"=") => name_at = at + 1,
                _ => {}
            }
        }
        (tag, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(count: usize, of: impl Fn(usize) -> String) -> String {
        (0..count).map(of).collect()
    }

    #[test]
    fn what_costs_the_square_of_its_length_is_known() {
        let attributes = |count| format!("<a{}/>", joined(count, |index| format!(" b{index}='1>'")));
        let namespaces = joined(5000, |index| format!(" xmlns:b{index}=\"{index}\""));
        let scope = |inner: &str| format!("<a{namespaces}>{}</a>", inner.repeat(60_000));
        for (text, expected) in [
            (attributes(1000), false),
            (attributes(20_000), true),
            (format!("<!-- {} --><a/>", attributes(20_000)), false),
            (format!("<!DOCTYPE a SYSTEM \"<!--\">{}", attributes(20_000)), true),
            (format!("<!DOCTYPE a PUBLIC \"-//b\" \"c\">{}", joined(20_000, |_| "<a b='c'></a>".to_owned())), false),
            (scope("<b1:x/>"), true),
            (scope("</a>"), false),
            (joined(100_000, |_| "<a xmlns:b='c' b:d='e'></a>".to_owned()), false),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;&b;</a>".to_owned(), false),
            (format!("<!DOCTYPE a [<!ENTITY b '{}'>]><a>{}</a>", "c".repeat(9999), "&b;".repeat(9999)), true),
            (
                format!("<!--<!DOCTYPE a>--><!DOCTYPE a [<!ENTITY b '{}'>]>{}", "c".repeat(9999), "&b;".repeat(9999)),
                true,
            ),
            ("<!DOCTYPE".to_owned(), false),
            ("<a b='".to_owned(), false),
        ] {
            assert_eq!(is_too_costly(&text), expected, "{}", &text[..text.len().min(60)]);
        }
    }
}
