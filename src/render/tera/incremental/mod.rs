//! Loops that are printed piece by piece, so that a render after one changed key prints what changed, and not ten thousand
//! items.
//!
//! Conditions: they are outermost loops of a resource's own template (not of one that it includes), read no variable but
//! their item, and call nothing that depends on more than its arguments and the store. A template that defines a component
//! is left as it is. A resource's first render prints whole loops: what is rendered once only, as in a single pass, gains
//! nothing.
//!
//! How it works: `rewrite` replaces such a loop in the template with a call of `each` when the template is compiled.
//! `each` cuts the loop's items into pieces, prints those that `pieces` does not have from an earlier render, and notes
//! what each has read; a changed key makes the pieces that read it be printed again. If anything fails, the template is
//! rendered as it was written, and that result counts: an error never names a rewritten loop.
//!
//! Gain, in pairs with a build that rewrites nothing (`cargo bench --bench render`, `--bench end_to_end`), medians:
//!
//! | loop | render alone | from the put to the file |
//! |---|---|---|
//! | 1,000 backends | 0.11 to 0.02 ms | 0.86 to 0.86 ms |
//! | 10,000 backends | 1.11 to 0.08 ms | 2.7 to 1.5 ms |
//! | 2,000 services of 5 keys, nested | 5.5 to 1.15 ms | 6.6 to 2.8 ms |

mod each;
pub(super) mod pieces;
mod rewrite;

use tera::Tera;

pub(super) use rewrite::{Rewritten, rewrite};

/// Registers the function that rewritten templates call.
pub(super) fn register(tera: &mut Tera) {
    tera.register_function(rewrite::EACH, each::Each);
}
