//! Text: cutting, joining, case, quoting, encoding.

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD};
use sha2::{Digest, Sha256};
use tera::Value;

use crate::nginx::quote;

use crate::model::path;

use super::super::error::Failure;
use super::super::session::Session;
use super::call::Call;
use super::{Form, Function};

const TEXT: Form = Form::Both("text");

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "base", alias: None, arguments: &["path"], form: Form::Both("path"), run: base },
    Function { name: "dir", alias: None, arguments: &["path"], form: Form::Both("path"), run: dir },
    Function { name: "to_upper", alias: Some("toUpper"), arguments: &["text"], form: TEXT, run: to_upper },
    Function { name: "to_lower", alias: Some("toLower"), arguments: &["text"], form: TEXT, run: to_lower },
    Function { name: "contains", alias: None, arguments: &["text", "sub"], form: TEXT, run: contains },
    Function {
        name: "replace",
        alias: None,
        arguments: &["text", "old", "new", "n?"],
        form: Form::Function,
        run: replace,
    },
    Function {
        name: "trim_prefix",
        alias: Some("trimPrefix"),
        arguments: &["text", "prefix"],
        form: TEXT,
        run: trim_prefix,
    },
    Function {
        name: "trim_suffix",
        alias: Some("trimSuffix"),
        arguments: &["text", "suffix"],
        form: TEXT,
        run: trim_suffix,
    },
    Function { name: "repeat", alias: None, arguments: &["text", "n"], form: TEXT, run: repeat },
    Function { name: "indent", alias: None, arguments: &["text", "spaces"], form: Form::Function, run: indent },
    Function { name: "nindent", alias: None, arguments: &["text", "spaces"], form: TEXT, run: nindent },
    Function { name: "quote", alias: None, arguments: &["text"], form: TEXT, run: quote_go },
    Function { name: "squote", alias: None, arguments: &["text"], form: TEXT, run: squote },
    Function { name: "nospace", alias: None, arguments: &["text"], form: TEXT, run: nospace },
    Function { name: "snakecase", alias: None, arguments: &["text"], form: TEXT, run: snakecase },
    Function { name: "kebabcase", alias: None, arguments: &["text"], form: TEXT, run: kebabcase },
    Function { name: "camelcase", alias: None, arguments: &["text"], form: TEXT, run: camelcase },
    Function {
        name: "base64_encode",
        alias: Some("base64Encode"),
        arguments: &["text"],
        form: TEXT,
        run: base64_encode,
    },
    Function {
        name: "base64_decode",
        alias: Some("base64Decode"),
        arguments: &["text"],
        form: TEXT,
        run: base64_decode,
    },
    Function { name: "sha256sum", alias: None, arguments: &["text"], form: TEXT, run: sha256sum },
    Function { name: "nginx_string", alias: None, arguments: &["text"], form: TEXT, run: nginx_string },
];

/// Longest text that one call may make, in bytes: a count out of the store must not exhaust memory.
const MOST_BYTES: usize = 16 << 20;

fn base(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(base_name(call.text("path")?)))
}

/// Go's `path.Base`.
pub(in crate::render) fn base_name(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        trimmed => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

fn dir(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(parent(call.text("path")?)))
}

/// Go's `path.Dir`.
pub(in crate::render) fn parent(path: &str) -> String {
    clean(path.rfind('/').map_or("", |slash| &path[..=slash]))
}

/// Go's `path.Clean`: a relative path stays one.
fn clean(path: &str) -> String {
    if path.starts_with('/') {
        return path::rooted(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    let climbs = path::add_parts(&mut parts, path);
    let whole: Vec<&str> = std::iter::repeat_n("..", climbs).chain(parts).collect();
    if whole.is_empty() { ".".to_owned() } else { whole.join("/") }
}

fn to_upper(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(call.text("text")?.chars().map(upper).collect::<String>()))
}

fn to_lower(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(call.text("text")?.chars().map(lower).collect::<String>()))
}

/// As Go: letter by letter, and one that would become two is left alone.
pub(in crate::render) fn upper(c: char) -> char {
    let mut changed = c.to_uppercase();
    if changed.len() == 1 { changed.next().unwrap_or(c) } else { c }
}

/// As Go: letter by letter.
pub(in crate::render) fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

fn contains(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(call.text("text")?.contains(call.text("sub")?)))
}

fn replace(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let (text, old, new) = (call.text("text")?, call.text("old")?, call.text("new")?);
    let occurrences = text.matches(old).count();
    let count = usize::try_from(call.optional_integer("n")?.unwrap_or(-1)).unwrap_or(occurrences).min(occurrences);
    check_size(call, text.len(), count, new.len())?;
    Ok(Value::from(text.replacen(old, new, count)))
}

fn trim_prefix(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    Ok(Value::from(text.strip_prefix(call.text("prefix")?).unwrap_or(text)))
}

fn trim_suffix(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    Ok(Value::from(text.strip_suffix(call.text("suffix")?).unwrap_or(text)))
}

fn repeat(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let (text, count) = (call.text("text")?, count(call, "n")?);
    check_size(call, 0, count, text.len())?;
    Ok(Value::from(text.repeat(count)))
}

fn indent(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(indented(call)?))
}

fn nindent(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(format!("\n{}", indented(call)?)))
}

fn indented(call: &Call<'_>) -> Result<String, Failure> {
    let (text, spaces) = (call.text("text")?, count(call, "spaces")?);
    if text.is_empty() {
        return Ok(String::new());
    }
    check_size(call, text.len(), text.matches('\n').count() + 1, spaces)?;
    let pad = " ".repeat(spaces);
    Ok(text.split('\n').map(|line| format!("{pad}{line}")).collect::<Vec<_>>().join("\n"))
}

/// A count; anything below zero is none.
fn count(call: &Call<'_>, name: &'static str) -> Result<usize, Failure> {
    Ok(usize::try_from(call.integer(name)?.max(0)).unwrap_or(usize::MAX))
}

fn check_size(call: &Call<'_>, already: usize, count: usize, each: usize) -> Result<(), Failure> {
    if count.saturating_mul(each).saturating_add(already) > MOST_BYTES {
        return Err(call.failure(format!("would make a text of more than {MOST_BYTES} bytes")));
    }
    Ok(())
}

/// Double quotes with Go's escapes.
fn quote_go(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(Value::from(quoted))
}

fn squote(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(format!("'{}'", call.text("text")?.replace('\'', "''"))))
}

fn nospace(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(call.text("text")?.chars().filter(|c| !c.is_whitespace()).collect::<String>()))
}

fn snakecase(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(words(call.text("text")?).join("_").chars().map(lower).collect::<String>()))
}

fn kebabcase(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(words(call.text("text")?).join("-").chars().map(lower).collect::<String>()))
}

fn camelcase(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let mut joined = String::new();
    for (index, word) in words(call.text("text")?).into_iter().enumerate() {
        let mut chars = word.chars();
        joined.extend(chars.next().map(if index > 0 { upper } else { lower }));
        joined.extend(chars.map(lower));
    }
    Ok(Value::from(joined))
}

/// The words of a name: cut at `_`, `-` and blanks, before an upper-case letter after any other, and before the last of
/// a row of upper-case letters where a lower-case one follows (`HTTPServer` is `HTTP`, `Server`). All else stays.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words: Vec<String> = vec![String::new()];
    for (at, &c) in chars.iter().enumerate() {
        let separates = matches!(c, '_' | '-' | ' ');
        let starts_word = c.is_uppercase()
            && at > 0
            && (!chars[at - 1].is_uppercase() || chars.get(at + 1).is_some_and(|next| next.is_lowercase()));
        if separates || starts_word {
            words.push(String::new());
        }
        if let (false, Some(word)) = (separates, words.last_mut()) {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn base64_encode(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(STANDARD.encode(call.text("text")?)))
}

fn base64_decode(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    let failure = |what: &str| call.failure(format!("{} {what}", session.origin(text)));
    // As Go decodes: line breaks anywhere, and whatever bits are left over.
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let lenient = GeneralPurpose::new(&STANDARD_ALPHABET, PAD.with_decode_allow_trailing_bits(true));
    let bytes = lenient.decode(joined).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, _) => failure(&format!("is not base64: byte {at} is not of its alphabet")),
        base64::DecodeError::InvalidLastSymbol(at, _) => {
            failure(&format!("is not base64: byte {at} cannot be the last"))
        }
        base64::DecodeError::InvalidLength(_) => failure("is not base64: its length cannot be right"),
        base64::DecodeError::InvalidPadding => failure("is not base64: its padding is missing or wrong"),
    })?;
    String::from_utf8(bytes).map(Value::from).map_err(|_| failure("decodes to bytes that are not UTF-8 text"))
}

fn sha256sum(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let digest = Sha256::digest(call.text("text")?);
    Ok(Value::from(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

fn nginx_string(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    let quoted = quote::quoted(text).map_err(|harm| {
        call.failure(format!("{} {harm}, and cannot be quoted in an nginx file", session.origin(text)))
    })?;
    Ok(Value::safe_string(&quoted))
}
