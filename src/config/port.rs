//! What is said of a port number that is too large. Never judges what is no number.

use crate::model::problem::Problem;
use crate::model::text::shown;

/// Returns the problem of an address or URL whose port is a number above 65535.
pub(super) fn too_large(address: &str, port: &str) -> Option<Problem> {
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && port.parse::<u16>().is_err()).then(|| {
        Problem::new(format!("the port of {} is too large", shown(address))).hint("a port is a number from 1 to 65535")
    })
}
