//! A Tera without templates, that knows every function of ours and lets only harmless texts into nginx files.

use std::io::{self, Write};
use std::sync::LazyLock;

use tera::Tera;

use super::functions;
use super::incremental;
use super::limits;
use super::run::TeraRun;
use crate::model::resource::Escape;
use crate::nginx::quote;

/// Returns a Tera without templates.
pub(super) fn empty(mode: Escape) -> Tera {
    static EMPTY: LazyLock<Tera> = LazyLock::new(|| {
        let mut tera = Tera::default();
        tera.autoescape_on(Vec::<&str>::new());
        functions::register(&mut tera);
        incremental::register(&mut tera);
        limits::register(&mut tera);
        tera
    });
    let mut tera = EMPTY.clone();
    if mode == Escape::Nginx {
        tera.set_escape_fn(only_harmless);
        // Every name ends like this: all templates are escaped.
        tera.autoescape_on([""]);
    }
    tera
}

/// Writes a text unchanged if it is harmless in an nginx file, and stops the render if not. Tera's escape function.
/// Tera never calls it for what has its mark: what the template marks `| safe`, and what `nginx_string` and `servers` return.
fn only_harmless(text: &str, output: &mut dyn Write) -> io::Result<()> {
    if quote::is_harmless(text) {
        return output.write_all(text.as_bytes());
    }
    TeraRun::refuse(text);
    Err(io::ErrorKind::InvalidData.into())
}
