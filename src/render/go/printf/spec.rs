//! Flags, width and precision between `%` and the verb, and what a width does. Pure.

/// Flags, width and precision of one verb.
#[derive(Clone, Copy, Default)]
pub(super) struct Spec {
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`: members with their names. `plus` is then not set, as `sharp` is not with `go_syntax`.
    pub(super) named: bool,
    /// `%#v`: values as they are written in Go.
    pub(super) go_syntax: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// Fills up to the width.
pub(super) fn pad(content: &str, spec: Spec, output: &mut String) {
    let missing = spec.width.unwrap_or(0).saturating_sub(content.chars().count());
    if spec.minus {
        output.push_str(content);
        output.extend(std::iter::repeat_n(' ', missing));
    } else {
        output.extend(std::iter::repeat_n(if spec.zero { '0' } else { ' ' }, missing));
        output.push_str(content);
    }
}
