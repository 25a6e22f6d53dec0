//! Confdirs with the shapes that real ones have, one folder below `tests/confdirs` each, run as confd is run: every file comes out
//! as confd writes it, byte for byte. The expected files were written by Go's text/template with the maintained confd's functions
//! and store.

use std::fs;
use std::path::Path;

use crate::support::agent::Sandbox;
use crate::support::package_root;

/// Copies the files below `from`, with the destinations' folder put in.
fn copy(from: &Path, to: &Path, out: &str) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy(&from, &to, out),
            false => fs::write(to, fs::read_to_string(from).unwrap().replace("@OUT@", out)).unwrap(),
        }
    }
}

#[test]
fn real_shapes_of_confdirs_give_the_bytes_that_confd_gives() {
    let mut differences = Vec::new();
    let mut confdirs = 0;
    for entry in fs::read_dir(package_root().join("tests/confdirs")).unwrap().map(Result::unwrap) {
        let (folder, name) = (entry.path(), entry.file_name());
        let Ok(store) = fs::read_to_string(folder.join("store.yaml")) else { continue };
        confdirs += 1;
        let mut sandbox = Sandbox::new();
        copy(&folder.join("conf.d"), &sandbox.path("etc/conf.d"), &sandbox.text_path("out"));
        copy(&folder.join("templates"), &sandbox.path("etc/templates"), "");
        sandbox.set_store(&store);
        let environment = fs::read_to_string(folder.join("environment")).unwrap_or_default();
        let variables = environment.lines().filter_map(|line| line.split_once('='));
        sandbox.environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let ran = sandbox.run(&["-onetime"]);
        assert_eq!(ran.code, Some(0), "{name:?}: {ran:?}");
        for expected in fs::read_dir(folder.join("expected")).unwrap().map(Result::unwrap) {
            let file = expected.file_name().into_string().unwrap();
            let (expected, written) = (fs::read_to_string(expected.path()).unwrap(), sandbox.output(&file));
            if written.as_ref() != Some(&expected) {
                differences.push(format!("{name:?}, {file}:\n{written:?}\nand not\n{expected:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(confdirs >= 11, "{confdirs} confdirs");
}
