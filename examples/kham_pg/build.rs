//! Compiles the shim and exports its four functions with their records, and the magic function.

fn main() {
    pgsym_build::Extension::new()
        .file("src/shim.c")
        .rust_export("kham_parser_new")
        .rust_export("kham_parser_next")
        .rust_export("kham_parser_free")
        .sql_dir("extension")
        .map_path("src/pg_exports.map")
        .strict(true)
        .emit();
}
