//! Environment variables as keys: `A_B` is `/a/b`. Pure.

/// Returns the key of a variable.
pub fn key_of(name: &str) -> String {
    format!("/{}", name.to_lowercase().replace('_', "/"))
}

/// Returns the variable, in upper case, that has this key; `None` if no variable has it.
pub fn name_of(key: &str) -> Option<String> {
    let name = key.strip_prefix('/')?.replace('/', "_").to_uppercase();
    (key_of(&name) == key).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_the_variable_that_has_it_if_there_can_be_one() {
        for (key, name) in [
            ("/a", Some("A")),
            ("/a/b/c", Some("A_B_C")),
            ("/a/b-c", Some("A_B-C")),
            ("/a_b", None),
            ("/A", None),
            ("a", None),
        ] {
            assert_eq!(name_of(key).as_deref(), name, "{key}");
        }
    }
}
