//! The proof, for the extension's own tests: the finished module exports what the build script meant it to.
//!
//! ```no_run
//! // tests/exports.rs, with pgsym-build among the dev-dependencies
//! let module = pgsym_build::testing::cdylib("kham_pg");
//! pgsym_build::testing::assert_exports(module);
//! ```

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use pgsym_core::exports::{Difference, ListFormat, ModuleExports};

/// The variable, for tests and while they run, that holds the path of the list of exports.
pub(crate) const MAP_VARIABLE: &str = "PGSYM_EXPORTS_MAP";

/// The variable that is `1` unless the build script said [`strict(false)`](crate::Extension::strict).
pub(crate) const STRICT_VARIABLE: &str = "PGSYM_EXPORTS_STRICT";

/// The path of this package's cdylib, by the name of the library target.
///
/// Cargo builds it for integration tests when `crate-type` names `rlib` (or `lib`) beside `cdylib`; a crate with
/// only a cdylib needs `cargo build` first.
///
/// # Panics
///
/// When there is none.
pub fn cdylib(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a running test has a path");
    let (prefix, suffix) = (env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let file = format!("{prefix}{}{suffix}", name.replace('-', "_"));
    let searched: Vec<PathBuf> =
        test.ancestors().skip(1).take(2).map(|directory| directory.join(&file)).collect();
    match searched.iter().find(|path| path.is_file()) {
        Some(path) => path.clone(),
        None => panic!(
            "{file} is neither in {} nor above; add \"rlib\" to crate-type, so that tests build the library, or \
             run cargo build before",
            searched.first().and_then(|path| path.parent()).unwrap_or(&test).display(),
        ),
    }
}

/// Asserts that a module exports what the build script meant it to.
///
/// A name that is missing or carries a version fails; so does one that is exported without having been meant to, unless the
/// build script said [`strict(false)`](crate::Extension::strict): the answer is that of `pgsym verify` with the same list.
///
/// # Panics
///
/// On any such difference, and when the module or the list cannot be read.
pub fn assert_exports(cdylib: impl AsRef<Path>) {
    let Some(map) = env::var_os(MAP_VARIABLE).map(PathBuf::from) else {
        panic!(
            "{MAP_VARIABLE} is not set: run the test with Cargo, in the package whose build.rs uses pgsym-build"
        )
    };
    let is_strict = env::var_os(STRICT_VARIABLE).is_some_and(|value| value == "1");
    if let Err(message) = check_exports(cdylib.as_ref(), &map, is_strict) {
        panic!("{message}");
    }
}

/// Compares a module with a list of exports, for callers that know where both are.
///
/// # Errors
///
/// One sentence per difference, or why the question cannot be answered.
pub fn check_exports(module: &Path, map: &Path, is_strict: bool) -> Result<(), String> {
    let text = fs::read_to_string(map).map_err(|error| format!("cannot read {}: {error}", map.display()))?;
    let intended =
        ListFormat::guess(&text).read(&text).map_err(|error| format!("{}: {error}", map.display()))?;
    let bytes = fs::read(module).map_err(|error| format!("cannot read {}: {error}", module.display()))?;
    let exports = ModuleExports::read(&bytes).map_err(|error| format!("{}: {error}", module.display()))?;
    let verdict = exports.compare(intended.iter().map(String::as_str));
    let failures: Vec<String> =
        verdict.failures(is_strict).map(|difference| format!("  {difference}\n")).collect();
    if failures.is_empty() {
        return Ok(());
    }
    let is_extra = |difference: &Difference| matches!(difference, Difference::Extra { .. });
    let advice = if verdict.failures(is_strict).any(is_extra) {
        "What Rust code exports with #[unsafe(no_mangle)] is declared with rust_export in build.rs; strict(false) allows \
         whatever else there is.\n"
    } else {
        ""
    };
    let count = failures.len();
    let (module, map) = (module.display(), map.display());
    let exports = if count == 1 { "export" } else { "exports" };
    Err(format!("{module} differs from {map} in {count} {exports}:\n{}{advice}", failures.concat()))
}
