use std::collections::BTreeSet;

use crate::check::{Sink, TreeCx, declare_rule};
use crate::rules::evidence::count;
use crate::tree::Role;

declare_rule! {
    /// A module offers SQL functions, and no script that installs an extension declares any of them.
    ///
    /// ## What it checks
    ///
    /// The modules in pkglibdir and along dynamic_library_path that export `pg_finfo_` records: whether the
    /// scripts of any extension name them.
    ///
    /// ## Why it matters
    ///
    /// Either the extension's control file and scripts were not packaged, or the module is left over from
    /// an older release. Modules that are only preloaded export no such records and are not meant.
    ///
    /// ## When it fires
    ///
    /// `x-2.so` beside `x-3.so`, with scripts that name only the latter.
    ///
    /// ## How to fix
    ///
    /// Ship the scripts, or remove the module.
    ///
    /// ## What it cannot see
    ///
    /// Functions that users declare by hand, and modules that other modules load.
    ///
    /// ## References
    ///
    /// PostgreSQL src/include/fmgr.h `PG_FUNCTION_INFO_V1`.
    pub(crate) static ORPHAN_MODULE = {
        code: "PGS620",
        name: "orphan-module",
        group: Catalog,
        severity: Info,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let inventory = cx.tree().inventory();
    if inventory.in_scope().next().is_none() {
        return;
    }
    let named: BTreeSet<_> = inventory
        .libraries
        .iter()
        .filter_map(|library| library.objects().first())
        .map(|(_, module)| module.id)
        .collect();
    for file in cx.files().filter(|file| file.role() == Role::Module) {
        let (Some(module), Some(facts)) = (file.module(), file.postgres()) else { continue };
        if facts.finfo.is_empty() || named.contains(&module.id) {
            continue;
        }
        let name = file.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let offer = count(facts.finfo.len(), "function");
        let message = format!("it offers {offer} to SQL, and the scripts of no extension declare any.");
        let finding = sink.finding(file.path(), name.unwrap_or_default(), message);
        sink.report(finding.help("ship the extension's control file and scripts, or remove the module"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function};
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        case().extension("", &function("f", "x")).functions("x.so", &["f"]).functions("y.so", &["g"])
    }

    pub(crate) fn silent() -> Case {
        case().extension("", &function("f", "x")).functions("x.so", &["f"])
    }

    #[test]
    fn a_module_that_no_script_names_is_an_orphan() {
        let case = case()
            .extension("", &function("f", "x"))
            .functions("/pg/lib/x.so", &["f"])
            .functions("/pg/lib/y.so", &["g"])
            .object("/pg/lib/preloaded.so", &module());
        let findings = case.run(&ORPHAN_MODULE);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, std::path::Path::new("/pg/lib/y.so"));
    }

    #[test]
    fn without_any_extension_there_is_nothing_to_miss() {
        assert_eq!(case().functions("/pg/lib/y.so", &["g"]).run(&ORPHAN_MODULE), []);
    }
}
