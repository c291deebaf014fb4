//! The bodies of the fuzz targets. `cargo +nightly fuzz run elf` runs them on what libFuzzer makes up; the tests
//! of pgsym-core run them on damaged copies of real files.

pub mod elf;
pub mod macho;
pub mod tbd;
