//! `printf`: Go's verbs, flags, widths and complaints (`%!d(string=x)`), which are output and not errors. This file reads
//! the format. Never makes more than [`MAX_BYTES`]: formats and lists can come from the store.

mod numbers;
mod spec;
mod values;

use spec::Spec;

use super::print;
use super::value::GoValue;
use crate::render::library::text::MAX_BYTES;

/// Largest width and precision, as in Go.
const WIDEST: usize = 1_000_000;

/// Formats `values`; `None` if that becomes longer than [`MAX_BYTES`].
pub(super) fn format(format: &str, values: &[GoValue]) -> Option<String> {
    let mut formatter = Formatter {
        values,
        next: 0,
        reordered: false,
        bad_index: false,
        after_index: false,
        unclosed: false,
        output: String::new(),
    };
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        formatter.output.push_str(&rest[..percent]);
        rest = formatter.verb(&rest[percent + 1..]);
        if formatter.output.len() > MAX_BYTES {
            return None;
        }
    }
    formatter.output.push_str(rest);
    formatter.extra();
    (formatter.output.len() <= MAX_BYTES).then_some(formatter.output)
}

struct Formatter<'a> {
    values: &'a [GoValue],
    next: usize,
    /// Whether an index like `[2]` was used: then values may be left over.
    reordered: bool,
    bad_index: bool,
    /// Whether an index was read last: only the verb or a `*` may follow it.
    after_index: bool,
    /// Whether no `]` is left in the format: looking for one at each `[` would cost the square of its length.
    unclosed: bool,
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
        (self.bad_index, self.after_index) = (false, false);
        let mut rest = self.index(&format[flags..]);
        if let Some(after) = rest.strip_prefix('*') {
            let width = self.star("%!(BADWIDTH)");
            spec.minus |= width.is_some_and(|width| width < 0);
            spec.width = width.and_then(|width| usize::try_from(width.unsigned_abs()).ok());
            rest = after;
        } else {
            (spec.width, rest) = digits(rest);
            self.bad_index |= self.after_index && spec.width.is_some();
        }
        if let Some(after) = rest.strip_prefix('.').filter(|after| !after.is_empty()) {
            self.bad_index |= self.after_index;
            rest = self.index(after);
            if let Some(after) = rest.strip_prefix('*') {
                let size = self.star("");
                spec.precision = size.and_then(|size| usize::try_from(size).ok());
                if spec.precision.is_none() {
                    self.output.push_str("%!(BADPREC)");
                }
                rest = after;
            } else {
                let (precision, after) = digits(rest);
                spec.precision = Some(precision.unwrap_or(0));
                rest = after;
            }
        }
        if !self.after_index {
            rest = self.index(rest);
        }
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
            if verb == 'v' {
                (spec.go_syntax, spec.named) = (spec.sharp, spec.plus);
                (spec.sharp, spec.plus) = (false, false);
            }
            values::value(value, verb, spec, &mut self.output);
        } else {
            self.output.push_str(&format!("%!{verb}(MISSING)"));
        }
        &rest[verb.len_utf8()..]
    }

    /// Reads `[n]`, the number of the next value.
    fn index<'f>(&mut self, format: &'f str) -> &'f str {
        self.after_index = false;
        let Some(inside) = format.strip_prefix('[') else { return format };
        self.reordered = true;
        let closed = if self.unclosed { None } else { inside.split_once(']') };
        let Some((number, rest)) = closed else {
            self.unclosed = true;
            self.bad_index = true;
            return inside;
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        self.after_index = is_number;
        match number.parse::<usize>() {
            Ok(number) if is_number && (1..=self.values.len()).contains(&number) => self.next = number - 1,
            _ => self.bad_index = true,
        }
        rest
    }

    /// Reads a width or a precision from the values; complains if it is not a whole number of at most [`WIDEST`].
    fn star(&mut self, complaint: &str) -> Option<i64> {
        self.after_index = false;
        let size = self.values.get(self.next).and_then(GoValue::as_integer);
        self.next += usize::from(self.next < self.values.len());
        let size = size.and_then(|size| i64::try_from(size).ok()).filter(|size| size.unsigned_abs() <= WIDEST as u64);
        if size.is_none() {
            self.output.push_str(complaint);
        }
        size
    }

    fn extra(&mut self) {
        if self.reordered || self.next >= self.values.len() {
            return;
        }
        self.output.push_str("%!(EXTRA ");
        for (index, value) in self.values[self.next..].iter().enumerate() {
            if index > 0 {
                self.output.push_str(", ");
            }
            if !value.is_nil() {
                self.output.push_str(value.type_name());
                self.output.push('=');
            }
            print::plain(value, &mut self.output);
            // The caller refuses it.
            if self.output.len() > MAX_BYTES {
                return;
            }
        }
        self.output.push(')');
    }
}

/// Reads the number that a text begins with, and returns the rest: nothing, as in Go, if it is larger than [`WIDEST`].
fn digits(format: &str) -> (Option<usize>, &str) {
    let (digits, rest) = format.split_at(format.len() - format.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    match digits.parse() {
        Ok(number) if number <= WIDEST => (Some(number), rest),
        _ if digits.is_empty() => (None, rest),
        _ => (None, ""),
    }
}
