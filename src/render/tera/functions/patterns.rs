//! Regular expressions.

use tera::Value;

use super::call::{TeraFunction, both};

pub(super) const FUNCTIONS: &[TeraFunction] = &[
    both("regex_match", &["pattern", "text"], |call, run| {
        let text = call.text("text")?;
        Ok(Value::from(
            call.named(run.patterns.regex(call.text("pattern")?, text, &run.session.budget))?.is_match(text),
        ))
    })
    .subject("text")
    .alias("regexMatch"),
    both("regex_find", &["pattern", "text"], |call, run| {
        let text = call.text("text")?;
        let found = call.named(run.patterns.regex(call.text("pattern")?, text, &run.session.budget))?.find(text);
        Ok(Value::from(found.map_or("", |found| found.as_str())))
    })
    .subject("text")
    .alias("regexFind"),
    both("regex_replace_all", &["pattern", "text", "replacement"], |call, run| {
        let (text, replacement) = (call.text("text")?, call.text("replacement")?);
        let (pattern, budget) = (call.text("pattern")?, &run.session.budget);
        call.named(run.patterns.replace_all(pattern, text, replacement, budget)).map(Value::from)
    })
    .subject("text")
    .alias("regexReplaceAll"),
];
