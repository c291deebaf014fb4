//! The rules of resolution, one test each, on trees in memory. They are what `cargo xtask oracle loader` and `oracle
//! trees` find true of the real loaders, kept small enough to be read.

mod candidates;
mod identity;
mod musl;
mod search_order;
mod search_paths;
mod support;
mod weird_trees;
