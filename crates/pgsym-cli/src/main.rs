//! `pgsym`.
fn main() {}
