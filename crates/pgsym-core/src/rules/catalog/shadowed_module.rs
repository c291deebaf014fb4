use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::Shown;

declare_rule! {
    /// A module is never loaded, because an earlier directory of the search has one of the same name.
    ///
    /// ## What it checks
    ///
    /// For each library that SQL names: whether a later directory of dynamic_library_path holds another
    /// file of the same name.
    ///
    /// ## Why it matters
    ///
    /// The first directory wins. The other file is often the newer one, left behind by an upgrade that went
    /// to another directory.
    ///
    /// ## When it fires
    ///
    /// `dynamic_library_path = '/new:$libdir'`, and both have `x.so`.
    ///
    /// ## How to fix
    ///
    /// Remove the file that is not meant, or order the path so that the wanted one comes first.
    ///
    /// ## What it cannot see
    ///
    /// Whether the two files are of the same build.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/dfmgr.c `find_in_path`.
    pub(crate) static SHADOWED_MODULE = {
        code: "PGS616",
        name: "shadowed-module",
        group: Catalog,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for library in &cx.tree().inventory().libraries {
        let Some(path) = library.path() else { continue };
        for other in library.hidden.iter().filter(|other| other.file_name() == path.file_name()) {
            let message =
                format!("'{}' means this file, which hides {}.", Shown(&library.name), other.display());
            let finding = sink.finding(path, Shown(&library.name), message);
            sink.report(finding.help("remove one of the two, or change dynamic_library_path"));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function};
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        case()
            .extension("", &function("f", "x"))
            .search(|search| search.dynamic_library_path = Some("/pg/new:$libdir".into()))
            .functions("/pg/new/x.so", &["f"])
            .object("x.so", &module())
    }

    pub(crate) fn silent() -> Case {
        case()
            .extension("", &function("f", "x"))
            .search(|search| search.dynamic_library_path = Some("/pg/new:$libdir".into()))
            .functions("x.so", &["f"])
    }

    #[test]
    fn the_earlier_directory_hides_the_later() {
        let case = case()
            .extension("", &function("f", "x"))
            .search(|search| search.dynamic_library_path = Some("/pg/new:$libdir".into()))
            .functions("/pg/new/x.so", &["f"])
            .functions("/pg/lib/x.so", &["f"]);
        let findings = case.run(&SHADOWED_MODULE);
        assert_eq!(findings[0].path, std::path::Path::new("/pg/new/x.so"));
        assert!(findings[0].message.contains("/pg/lib/x.so"), "{}", findings[0].message);
    }

    #[test]
    fn one_file_in_one_directory_hides_nothing() {
        let case = case()
            .extension("", &function("f", "x"))
            .search(|search| search.dynamic_library_path = Some("/pg/new:$libdir".into()))
            .functions("/pg/lib/x.so", &["f"]);
        assert_eq!(case.run(&SHADOWED_MODULE), []);
    }
}
