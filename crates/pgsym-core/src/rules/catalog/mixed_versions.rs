use std::collections::BTreeMap;

use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::extension::{ExtensionRecord, Function, Library, Status};
use crate::name::{Name, Shown};
use crate::postgres::FINFO_PREFIX;

declare_rule! {
    /// The scripts are of one release of the extension, and the module is of another.
    ///
    /// ## What it checks
    ///
    /// Two signs. The module names itself and its version in its magic block (PostgreSQL 18,
    /// PG_MODULE_MAGIC_EXT), the name is that of the extension or of the module, and the version is not
    /// `default_version`. Or the module exports some of the functions that the scripts declare and lacks
    /// others.
    ///
    /// ## Why it matters
    ///
    /// Scripts and modules live in different directories and often in different packages. A module of
    /// another release may load, export nearly everything, and disagree about the rest.
    ///
    /// ## When it fires
    ///
    /// `default_version = '2.1'`, and `x.so` says `x 2.0` of itself.
    ///
    /// ## How to fix
    ///
    /// Install both of one release; rebuild with the version that the control file names.
    ///
    /// ## What it cannot see
    ///
    /// Modules that say nothing of their version and export everything. Modules that give the server's
    /// version, as contrib's do, or only the leading parts of the extension's, are not reported.
    ///
    /// ## References
    ///
    /// PostgreSQL 18 src/include/fmgr.h `PG_MODULE_MAGIC_EXT`.
    pub(crate) static MIXED_VERSIONS = {
        code: "PGS618",
        name: "mixed-versions",
        group: Catalog,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let major = cx.tree().inventory().major;
    for record in cx.tree().inventory().in_scope() {
        let mut libraries: BTreeMap<&[u8], (&Library, Vec<&[u8]>, usize)> = BTreeMap::new();
        for function in record.functions.iter().filter(|function| function.is_installed) {
            let entry = libraries.entry(&function.probin).or_insert((&function.library, Vec::new(), 0));
            if function.status == Status::MissingFunction && !is_hidden(function) {
                entry.1.push(&function.prosrc);
            }
            entry.2 += 1;
        }
        for (library, missing, all) in libraries.into_values() {
            // One that is there under nearly the same name is of this release.
            let missing = if missing.is_empty() {
                0
            } else {
                let near = library.near_exports();
                missing.into_iter().filter(|symbol| near.of(symbol).is_none()).count()
            };
            let Some(path) = library.path() else { continue };
            let name = Shown(&record.extension.name);
            if let Some((seen, version)) = other_version(record, library, major) {
                let message =
                    format!("the module says that it is version {seen}, and the scripts are of {version}.");
                let finding = sink.finding(path, name, message);
                sink.report(finding.help("install scripts and module of one release"));
            } else if missing > 0 && missing < all {
                let message = format!(
                    "the module has {} of the {all} functions that the scripts of {name} declare: it is of another \
                     release, or built with other options.",
                    all - missing
                );
                let finding = sink.finding(path, name, message).severity(Severity::Warning);
                sink.report(finding.help("install scripts and module of one release"));
            }
        }
    }
}

/// Whether the module has the function and does not export it, which another rule (hidden-entry-point) tells.
fn is_hidden(function: &Function) -> bool {
    let view = function.library.objects().first().and_then(|(_, module)| module.elf()?.sections.get());
    let hidden = view.and_then(|view| view.hidden_entry_points.get());
    let record = [FINFO_PREFIX, function.prosrc.as_slice()].concat();
    let is_meant = |name: &Name| name.as_bytes() == function.prosrc || name.as_bytes() == record;
    hidden.is_some_and(|hidden| hidden.iter().any(is_meant))
}

/// The module's version of itself and the default version, when they contradict each other.
fn other_version(record: &ExtensionRecord, library: &Library, major: u32) -> Option<(String, String)> {
    let control = record.extension.control.as_ref().ok()?;
    let wanted = control.default_version.as_deref()?;
    let (path, module) = library.objects().first()?;
    let block = module.postgres.get()?.magic.block()?;
    let (name, version) = (block.module_name.as_ref()?, block.module_version.as_ref()?.as_bytes());
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let is_own = name.as_bytes() == record.extension.name || name.as_bytes() == stem.as_bytes();
    let servers = major.to_string().into_bytes();
    let rest = version.strip_prefix(servers.as_slice());
    // 18.1, 18beta1, 18: PG_VERSION, which says nothing of the extension.
    let is_servers = rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit));
    let is_shorter =
        |long: &[u8], short: &[u8]| long.strip_prefix(short).is_some_and(|rest| rest.starts_with(b"."));
    let agrees = version == wanted || is_shorter(version, wanted) || is_shorter(wanted, version);
    (is_own && !is_servers && !agrees).then(|| (Shown(version).to_string(), Shown(wanted).to_string()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function};
    use crate::rules::testing::{Case, module};

    use pgsym_testkit::{Magic, SharedObject};

    pub(crate) fn firing() -> Case {
        with_version("0.9")
    }

    pub(crate) fn silent() -> Case {
        with_version("1.0")
    }

    fn with_version(version: &str) -> Case {
        let magic = Magic::pg(18).name("x").module_version(version);
        case()
            .major(18)
            .object("plpgsql.so", &SharedObject::new().magic(Magic::pg(18)))
            .extension("", &function("f", "x"))
            .object("/pg/lib/x.so", &SharedObject::new().magic(magic).pg_function("f"))
    }

    #[test]
    fn a_module_that_says_another_version_is_of_another_release() {
        let findings = with_version("0.9").run(&MIXED_VERSIONS);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].message.contains("version 0.9, and the scripts are of 1.0"),
            "{}",
            findings[0].message
        );
    }

    #[test]
    fn the_servers_version_and_a_patch_level_are_no_contradiction() {
        for version in ["1.0", "1.0.3", "1", "18.1", "18beta2"] {
            assert_eq!(with_version(version).run(&MIXED_VERSIONS), [], "{version}");
        }
    }

    #[test]
    fn a_module_with_some_of_the_functions_is_of_another_release() {
        let script = function("f", "x") + &function("g", "x");
        let some = case().extension("", &script).functions("/pg/lib/x.so", &["f"]);
        assert_eq!(some.run(&MIXED_VERSIONS).len(), 1);
        let folded = module().pg_function("f").pg_function("G");
        assert_eq!(case().extension("", &script).object("/pg/lib/x.so", &folded).run(&MIXED_VERSIONS), []);
        let none = case().extension("", &script).object("/pg/lib/x.so", &module());
        assert_eq!(none.run(&MIXED_VERSIONS), []);
    }
}
