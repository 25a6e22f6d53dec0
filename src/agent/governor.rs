//! The distance between reloads while workers of earlier configurations pile up. Pure.
//!
//! Each reload leaves the old workers behind until their last connection ends: a long-lived connection pins a whole worker,
//! with its memory, and nginx forks no more than 1,024 processes in all.

/// Beyond this many leaving workers no reload is started: nginx would soon fork fewer workers than it should.
pub const MAX_LEAVING: usize = 512;
/// Most leaving workers for each serving worker before reloads are spread.
const FREE_GENERATIONS: usize = 4;
/// Longest stretch.
const MAX_STRETCH: u32 = 16;

/// The distance between reloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// The least interval of the pace.
    #[default]
    Usual,
    /// This many times the least interval. A change that removes a server does not wait for it.
    Stretched(u32),
    /// No reloads until old workers have ended.
    Paused,
}

impl Load {
    /// Returns the factor on the least interval between reloads; `None` if there must be no reload.
    pub fn stretch(self) -> Option<u32> {
        match self {
            Load::Usual => Some(1),
            Load::Stretched(stretch) => Some(stretch),
            Load::Paused => None,
        }
    }
}

/// Returns the load for this many leaving workers beside `serving` ones.
pub fn load(leaving: usize, serving: usize) -> Load {
    if leaving >= MAX_LEAVING {
        return Load::Paused;
    }
    let mut stretch = 1;
    let mut limit = FREE_GENERATIONS * serving.max(1);
    while leaving > limit && stretch < MAX_STRETCH {
        stretch *= 2;
        limit *= 2;
    }
    if stretch == 1 { Load::Usual } else { Load::Stretched(stretch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stretch_doubles_with_the_leaving_workers() {
        for (leaving, serving, expected) in [
            (0, 0, Load::Usual),
            (8, 2, Load::Usual),
            (9, 2, Load::Stretched(2)),
            (16, 2, Load::Stretched(2)),
            (17, 2, Load::Stretched(4)),
            (500, 2, Load::Stretched(16)),
            (60, 16, Load::Usual),
            (512, 200, Load::Paused),
        ] {
            assert_eq!(load(leaving, serving), expected, "{leaving} {serving}");
        }
    }
}
