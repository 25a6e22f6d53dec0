//! The rules of ARCHITECTURE.md and CONTRIBUTING.md that a machine can check. Each file here holds one kind of rule; lists of
//! exceptions only shrink: an entry that excuses nothing fails too.

mod circles;
mod code;
mod imports;
mod names;
mod purity;
mod ranks;
mod sizes;
mod texts;
