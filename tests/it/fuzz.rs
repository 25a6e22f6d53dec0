//! Every parser that meets a stranger's bytes, with a bounded number of made-up inputs, the same in every run. `make fuzz` goes on from
//! there.

#[path = "../../fuzz/bytes.rs"]
mod bytes;
#[path = "../../fuzz/targets.rs"]
mod targets;

use crate::support::package_root;

/// Inputs for each parser.
const INPUTS: u32 = 1500;

#[test]
fn no_strangers_bytes_make_a_parser_panic() {
    for target in targets::all() {
        let seeds = target.seeds(&package_root().join("fuzz/corpus").join(target.name));
        assert!(!seeds.is_empty(), "{} has nothing to start from", target.name);
        for seed in &seeds {
            (target.run)(seed);
        }
        let mut source = bytes::Source::new(1, seeds);
        for number in 0..INPUTS {
            let input = source.next();
            let result = std::panic::catch_unwind(|| (target.run)(&input));
            let shown = String::from_utf8_lossy(&input);
            assert!(result.is_ok(), "{} panicked at input {number}: {shown:?}", target.name);
        }
    }
}
