use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::{Shown, shown_path};

declare_rule! {
    /// A library name leads to one file with the suffix and to another without.
    ///
    /// ## What it checks
    ///
    /// For each library that SQL names: whether both `x` and `x.so` exist among the places that the server
    /// searches.
    ///
    /// ## Why it matters
    ///
    /// The server first tries every directory without the suffix, then every directory with it. A file `x`
    /// in the last directory therefore wins over `x.so` in the first, which is not what the order of the
    /// path suggests.
    ///
    /// ## When it fires
    ///
    /// `dynamic_library_path = '/a:/b'`, the function is in `x`, and there are `/a/x.so` and `/b/x`.
    ///
    /// ## How to fix
    ///
    /// Remove or rename the file without the suffix, or write the suffix in SQL.
    ///
    /// ## What it cannot see
    ///
    /// Whether the two files are of the same build.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/dfmgr.c `expand_dynamic_library_name`.
    pub(crate) static AMBIGUOUS_MODULE_NAME = {
        code: "PGS614",
        name: "ambiguous-module-name",
        group: Catalog,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for library in &cx.tree().inventory().libraries {
        let Some(path) = library.path() else { continue };
        for other in library.hidden.iter().filter(|other| other.file_name() != path.file_name()) {
            let message = format!(
                "'{}' means this file; {} has the same name but for the suffix and is not taken.",
                Shown(&library.name),
                shown_path(other)
            );
            let finding = sink.finding(path, Shown(&library.name), message);
            sink.report(finding.help("remove one of the two, or write the suffix in SQL"));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case()
            .extension("", &function("f", "x"))
            .search(|search| search.dynamic_library_path = Some("/pg/new:$libdir".into()))
            .functions("/pg/new/x.so", &["f"])
            .functions("x", &["f"])
    }

    pub(crate) fn silent() -> Case {
        case().extension("", &function("f", "x")).functions("x.so", &["f"])
    }

    #[test]
    fn the_file_without_the_suffix_wins_from_a_later_directory() {
        let case = case()
            .extension("", &function("f", "x"))
            .search(|search| search.dynamic_library_path = Some("/pg/a:/pg/lib".into()))
            .functions("/pg/a/x.so", &["f"])
            .functions("/pg/lib/x", &["f"]);
        let findings = case.run(&AMBIGUOUS_MODULE_NAME);
        assert_eq!(findings[0].path, std::path::Path::new("/pg/lib/x"));
        assert!(findings[0].message.contains("/pg/a/x.so"), "{}", findings[0].message);
    }

    #[test]
    fn a_second_name_of_the_same_file_is_no_other_file() {
        let case = case()
            .extension("", &function("f", "x"))
            .functions("/pg/lib/x.so", &["f"])
            .fs(|fs| fs.symlink("/pg/lib/x", "x.so"));
        assert_eq!(case.run(&AMBIGUOUS_MODULE_NAME), []);
    }
}
