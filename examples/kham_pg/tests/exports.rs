//! The finished module exports what build.rs meant it to, and nothing else.

#[test]
fn the_module_exports_exactly_what_the_server_looks_up() {
    let module = pgsym_build::testing::cdylib("kham_pg");
    pgsym_build::testing::assert_exports(module);
}
