//! The keys that a store refuses to show, and the words for it: who may not read what, and the command that changes that.
//! Pure. Never holds a value.

use super::range::{KeyRange, KeyRanges};

/// Most ranges that are named at once; a message stays readable.
const MAX_NAMED: usize = 4;

/// The wanted keys that a store refuses to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The refused ranges, each as a reader wants it, sorted.
    pub ranges: Vec<KeyRange>,
    /// Name that the store knows us by; `None` if it is not a setting.
    pub user: Option<String>,
    /// Reason, in the store's words.
    pub reason: String,
}

impl Refusal {
    /// Returns the message for a reader of these ranges; `None` if none of them is refused.
    pub fn message(&self, ranges: &KeyRanges) -> Option<String> {
        let refused: Vec<&KeyRange> = ranges.iter().filter(|range| self.ranges.binary_search(range).is_ok()).collect();
        if refused.is_empty() {
            return None;
        }
        let named = refused.iter().take(MAX_NAMED);
        let keys: Vec<String> = named.clone().map(|range| format!("`{range}`")).collect();
        let more = match refused.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let user = self.user.as_ref().map_or("this client".to_owned(), |user| format!("user `{user}`"));
        let grants: Vec<String> = named.map(|range| format!("`{}`", grant(range))).collect();
        Some(format!(
            "the store does not let {user} read {}{more}: {} (hint: {})",
            keys.join(" and "),
            self.reason,
            grants.join(" and ")
        ))
    }
}

/// Returns the command that lets a role of the user read this range.
fn grant(range: &KeyRange) -> String {
    let key = match range.folder() {
        Some(folder) => format!("--prefix {}", quoted(folder)),
        None => match &range.end {
            _ if range.is_one_key() => quoted(&range.start),
            Some(end) => format!("{} {}", quoted(&range.start), quoted(end)),
            None => format!("--from-key {}", quoted(&range.start)),
        },
    };
    format!("etcdctl role grant-permission ROLE read {key}")
}

/// Returns a key as a word for a shell.
fn quoted(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&byte);
    if !key.is_empty() && key.bytes().all(is_plain) {
        return key.to_owned();
    }
    let mut word = "'".to_owned();
    for character in key.chars() {
        match character {
            '\'' => word.push_str(r"'\''"),
            control if control.is_control() => word.extend(control.escape_default()),
            other => word.push(other),
        }
    }
    word + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(refused: &[&str], read: &[&str], user: Option<&str>, expected: Option<&str>) {
        let ranges = KeyRanges::of_directories(refused.iter().copied()).iter().cloned().collect();
        let refusal = Refusal { ranges, user: user.map(str::to_owned), reason: "permission denied".to_owned() };
        let message = refusal.message(&KeyRanges::of_directories(read.iter().copied()));
        assert_eq!(message.as_deref(), expected, "{refused:?} {read:?}");
    }

    #[test]
    fn a_message_names_the_user_the_keys_and_the_command() {
        check(&["/other"], &["/a"], None, None);
        check(
            &["/other", "/b"],
            &["/other", "/a"],
            Some("lb"),
            Some(
                "the store does not let user `lb` read `/other` and `/other/…`: permission denied (hint: `etcdctl role \
                 grant-permission ROLE read /other` and `etcdctl role grant-permission ROLE read --prefix /other/`)",
            ),
        );
        check(
            &["/it's/"],
            &["/it's/"],
            None,
            Some(
                "the store does not let this client read `/it\\'s/…`: permission denied (hint: `etcdctl role \
                 grant-permission ROLE read --prefix '/it'\\''s/'`)",
            ),
        );
        check(
            &[""],
            &[""],
            None,
            Some(
                "the store does not let this client read `every key`: permission denied (hint: `etcdctl role \
                 grant-permission ROLE read --from-key ''`)",
            ),
        );
    }

    #[test]
    fn a_message_stays_short() {
        let many: Vec<String> = (0..100).map(|number| format!("/{number}/")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let ranges = KeyRanges::of_directories(many.iter().copied());
        let refused = ranges.iter().cloned().collect();
        let refusal = Refusal { ranges: refused, user: None, reason: "no".to_owned() };
        let message = refusal.message(&ranges).unwrap();
        assert!(message.contains("and 96 more: no (hint") && message.len() < 600, "{message}");
    }
}
