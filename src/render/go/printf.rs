//! `printf`: Go's verbs, flags, widths and complaints (`%!d(string=x)`), which are output and not errors.

use super::number;
use super::print;
use super::quote;
use super::value::Value;

/// Larger widths and precisions are refused, as in Go.
const WIDEST: usize = 1_000_000;

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats `values`.
pub(super) fn format(format: &str, values: &[Value]) -> String {
    let mut formatter = Formatter { values, next: 0, reordered: false, bad_index: false, output: String::new() };
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        formatter.output.push_str(&rest[..percent]);
        rest = formatter.verb(&rest[percent + 1..]);
    }
    formatter.output.push_str(rest);
    formatter.extra();
    formatter.output
}

struct Formatter<'a> {
    values: &'a [Value],
    next: usize,
    /// An index like `[2]` was used: then values may be left over.
    reordered: bool,
    bad_index: bool,
    output: String,
}

impl<'a> Formatter<'a> {
    /// Formats by what follows a `%`, and returns what follows that.
    fn verb<'f>(&mut self, format: &'f str) -> &'f str {
        let mut spec = Spec::default();
        let flags = format.len() - format.trim_start_matches(['-', '+', '#', ' ', '0']).len();
        for flag in format[..flags].chars() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        self.bad_index = false;
        let mut rest = self.index(&format[flags..]);
        (spec.width, rest) = self.size(rest, "%!(BADWIDTH)", |value| {
            spec.minus |= value < 0;
            u64::try_from(value.unsigned_abs()).ok()
        });
        spec.zero &= !spec.minus;
        if let Some(after) = rest.strip_prefix('.') {
            rest = self.index(after);
            let (precision, after) = self.size(rest, "%!(BADPREC)", |value| u64::try_from(value).ok());
            spec.precision = Some(precision.unwrap_or(0));
            rest = after;
        }
        rest = self.index(rest);
        let Some(verb) = rest.chars().next() else {
            self.output.push_str("%!(NOVERB)");
            return "";
        };
        if verb == '%' {
            self.output.push('%');
        } else if self.bad_index {
            self.output.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            value_by_verb(value, verb, spec, &mut self.output);
        } else {
            self.output.push_str(&format!("%!{verb}(MISSING)"));
        }
        &rest[verb.len_utf8()..]
    }

    /// `[n]`: which value comes next.
    fn index<'f>(&mut self, format: &'f str) -> &'f str {
        let Some(inside) = format.strip_prefix('[') else { return format };
        self.reordered = true;
        let Some((number, rest)) = inside.split_once(']') else {
            self.bad_index = true;
            return inside;
        };
        match number.parse::<usize>() {
            Ok(number) if (1..=self.values.len()).contains(&number) => self.next = number - 1,
            _ => self.bad_index = true,
        }
        rest
    }

    /// A width or a precision: digits, or `*` for a value.
    fn size<'f>(
        &mut self,
        format: &'f str,
        complaint: &str,
        accept: impl FnOnce(i128) -> Option<u64>,
    ) -> (Option<usize>, &'f str) {
        let fits = |number: u64| usize::try_from(number).ok().filter(|number| *number <= WIDEST);
        if let Some(rest) = format.strip_prefix('*') {
            let value = self.values.get(self.next).and_then(Value::as_integer);
            self.next += usize::from(self.next < self.values.len());
            let size = value.and_then(accept).and_then(fits);
            if size.is_none() {
                self.output.push_str(complaint);
            }
            return (size, rest);
        }
        let digits = format.len() - format.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (digits, rest) = format.split_at(digits);
        (digits.parse().ok().and_then(fits), rest)
    }

    fn extra(&mut self) {
        if self.reordered || self.next >= self.values.len() {
            return;
        }
        let extra: Vec<String> =
            self.values[self.next..]
                .iter()
                .map(|value| {
                    if value.is_nil() { "<nil>".to_owned() } else { format!("{}={}", value.type_name(), plain(value)) }
                })
                .collect();
        self.output.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
}

fn plain(value: &Value) -> String {
    let mut text = String::new();
    print::plain(value, &mut text);
    text
}

/// One value: lists, maps and records have the verb applied to each of their parts.
fn value_by_verb(value: &Value, verb: char, spec: Spec, output: &mut String) {
    let go_syntax = verb == 'v' && spec.sharp;
    match value {
        _ if verb == 'T' => {
            let name = if value.is_nil() { "<nil>" } else { value.type_name() };
            text(name, 's', spec, output);
        }
        Value::Missing | Value::Nil if verb == 'v' => pad("<nil>", spec, output),
        Value::Missing | Value::Nil => output.push_str(&format!("%!{verb}(<nil>)")),
        Value::List(_, items) => {
            let (open, between, close) = if go_syntax { ("{", ", ", "}") } else { ("[", " ", "]") };
            if go_syntax {
                output.push_str(value.type_name());
            }
            parts(open, between, close, items.iter().map(|item| ("", item.clone())), verb, spec, output);
        }
        Value::Map(map) => {
            output.push_str(if go_syntax { value.type_name() } else { "map" });
            output.push(if go_syntax { '{' } else { '[' });
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    output.push_str(if go_syntax { ", " } else { " " });
                }
                text(key, verb, spec, output);
                output.push(':');
                part(item, verb, spec, output);
            }
            output.push(if go_syntax { '}' } else { ']' });
        }
        Value::Pair(pair) => {
            let members = [("Key", Value::Text(pair.key.clone())), ("Value", Value::Text(pair.value.clone()))];
            record(value, members, verb, spec, output);
        }
        Value::Srv(srv) => {
            let number = |number: u16| Value::Unsigned(u64::from(number), "uint16");
            let members = [
                ("Target", Value::from(srv.target.as_str())),
                ("Port", number(srv.port)),
                ("Priority", number(srv.priority)),
                ("Weight", number(srv.weight)),
            ];
            record(value, members, verb, spec, output);
        }
        Value::Text(content) | Value::Safe(content) => text(content, verb, spec, output),
        Value::Named(name, ..) if matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') => text(name, verb, spec, output),
        Value::Time(time) if matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') => {
            text(&super::time::text(time), verb, spec, output);
        }
        Value::Int(number) | Value::Named(_, number, _) => integer(value, i128::from(*number), verb, spec, output),
        Value::Unsigned(number, _) => integer(value, i128::from(*number), verb, spec, output),
        Value::Float(number) => float(value, *number, verb, spec, output),
        Value::Bool(truth) if matches!(verb, 't' | 'v') => pad(if *truth { "true" } else { "false" }, spec, output),
        Value::Bool(_) | Value::Time(_) => bad_verb(value, verb, spec, output),
    }
}

/// A part of a list, map or record: nil there has no verb.
fn part(value: &Value, verb: char, spec: Spec, output: &mut String) {
    if value.is_nil() {
        output.push_str("<nil>");
    } else {
        value_by_verb(value, verb, spec, output);
    }
}

fn record(
    value: &Value,
    members: impl IntoIterator<Item = (&'static str, Value)>,
    verb: char,
    spec: Spec,
    output: &mut String,
) {
    let go_syntax = verb == 'v' && spec.sharp;
    if go_syntax {
        output.push_str(value.type_name());
    }
    let named = go_syntax || (verb == 'v' && spec.plus);
    let members = members.into_iter().map(|(name, member)| (if named { name } else { "" }, member));
    parts("{", if go_syntax { ", " } else { " " }, "}", members, verb, spec, output);
}

fn parts(
    open: &str,
    between: &str,
    close: &str,
    items: impl Iterator<Item = (&'static str, Value)>,
    verb: char,
    spec: Spec,
    output: &mut String,
) {
    output.push_str(open);
    for (index, (name, item)) in items.enumerate() {
        if index > 0 {
            output.push_str(between);
        }
        if !name.is_empty() {
            output.push_str(name);
            output.push(':');
        }
        part(&item, verb, spec, output);
    }
    output.push_str(close);
}

fn bad_verb(value: &Value, verb: char, spec: Spec, output: &mut String) {
    output.push_str(&format!("%!{verb}({}=", value.type_name()));
    value_by_verb(value, 'v', spec, output);
    output.push(')');
}

/// Fills up to the width.
fn pad(content: &str, spec: Spec, output: &mut String) {
    let missing = spec.width.unwrap_or(0).saturating_sub(content.chars().count());
    if spec.minus {
        output.push_str(content);
        output.extend(std::iter::repeat_n(' ', missing));
    } else {
        output.extend(std::iter::repeat_n(if spec.zero { '0' } else { ' ' }, missing));
        output.push_str(content);
    }
}

/// As `pad`, with zeros between the sign and the digits.
fn pad_number(content: &str, spec: Spec, output: &mut String) {
    match content.strip_prefix(['+', '-', ' ']) {
        Some(digits) if spec.zero && spec.width.is_some() => {
            output.push_str(&content[..1]);
            let width = spec.width.map(|width| width.saturating_sub(1));
            pad(digits, Spec { width, ..spec }, output);
        }
        _ => pad(content, spec, output),
    }
}

fn text(content: &str, verb: char, spec: Spec, output: &mut String) {
    let cut: String;
    let content = match spec.precision {
        Some(precision) if verb != 'x' && verb != 'X' => {
            cut = content.chars().take(precision).collect();
            &cut
        }
        _ => content,
    };
    match verb {
        'v' if spec.sharp => pad(&quote::double(content, false), spec, output),
        's' | 'v' => pad(content, spec, output),
        'q' if spec.sharp && quote::can_be_raw(content) => pad(&format!("`{content}`"), spec, output),
        'q' => pad(&quote::double(content, spec.plus), spec, output),
        'x' | 'X' => {
            let bytes = &content.as_bytes()[..spec.precision.unwrap_or(content.len()).min(content.len())];
            let prefix = if spec.sharp { "0x" } else { "" };
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let joined = match (spec.space, digits.is_empty()) {
                (_, true) => String::new(),
                (true, false) => format!("{prefix}{}", digits.join(&format!(" {prefix}"))),
                (false, false) => format!("{prefix}{}", digits.concat()),
            };
            pad(&if verb == 'X' { joined.to_uppercase() } else { joined }, spec, output);
        }
        _ => bad_verb(&Value::from(content), verb, spec, output),
    }
}

fn integer(value: &Value, number: i128, verb: char, spec: Spec, output: &mut String) {
    let (digits, prefix) = match verb {
        'd' | 'v' => (number.unsigned_abs().to_string(), ""),
        'b' => (format!("{:b}", number.unsigned_abs()), "0b"),
        'o' => (format!("{:o}", number.unsigned_abs()), "0"),
        'O' => (format!("0o{:o}", number.unsigned_abs()), ""),
        'x' => (format!("{:x}", number.unsigned_abs()), "0x"),
        'X' => (format!("{:X}", number.unsigned_abs()), "0X"),
        'c' | 'q' | 'U' => return character(number, verb, spec, output),
        _ => return bad_verb(value, verb, spec, output),
    };
    let mut content = String::new();
    if number < 0 {
        content.push('-');
    } else if spec.plus && verb != 'v' {
        content.push('+');
    } else if spec.space {
        content.push(' ');
    }
    if spec.sharp && verb != 'v' {
        content.push_str(prefix);
    }
    if spec.precision == Some(0) && number == 0 {
        return pad("", Spec { zero: false, ..spec }, output);
    }
    content.extend(std::iter::repeat_n('0', spec.precision.unwrap_or(0).saturating_sub(digits.len())));
    content.push_str(&digits);
    let zero = spec.zero && spec.precision.is_none();
    pad_number(&content, Spec { zero, ..spec }, output);
}

fn character(number: i128, verb: char, spec: Spec, output: &mut String) {
    let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    match verb {
        'c' => pad(&c.to_string(), spec, output),
        'q' => pad(&quote::single(c, spec.plus), spec, output),
        _ if spec.sharp => pad(&format!("U+{number:04X} '{c}'"), Spec { zero: false, ..spec }, output),
        _ => pad(&format!("U+{number:04X}"), Spec { zero: false, ..spec }, output),
    }
}

fn float(value: &Value, number: f64, verb: char, spec: Spec, output: &mut String) {
    let content = match verb {
        'v' => number::general(number, spec.precision, false),
        'g' | 'G' => number::general(number, spec.precision, spec.sharp),
        'e' | 'E' => number::scientific(number, spec.precision.unwrap_or(6)),
        'f' | 'F' => number::fixed(number, spec.precision.unwrap_or(6)),
        _ => return bad_verb(value, verb, spec, output),
    };
    let content = if verb.is_uppercase() && verb != 'F' { content.to_uppercase() } else { content };
    // With `v` it asks for the names of members.
    let plus = spec.plus && verb != 'v';
    let content = match (content.starts_with(['+', '-']), number.is_finite()) {
        (true, _) if !plus => content.trim_start_matches('+').to_owned(),
        (false, _) if plus => format!("+{content}"),
        (false, _) if spec.space => format!(" {content}"),
        _ => content,
    };
    let content = if content == "Inf" { "+Inf".to_owned() } else { content };
    pad_number(&content, Spec { zero: spec.zero && number.is_finite(), ..spec }, output);
}
