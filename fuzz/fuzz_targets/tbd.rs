#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgsym_fuzz::tbd::read_everything(bytes));
