use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::{Shown, shown_path};

declare_rule! {
    /// A module is never loaded, because an earlier directory of the search has one of the same name.
    ///
    /// ## What it checks
    ///
    /// For each library that SQL names: whether a later directory of dynamic_library_path holds another
    /// file of the same name. A staging tree's module hides nothing: it takes the place of the installed one.
    /// Nor does one in an image volume, unless `--dynamic-library-path` says what comes first.
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
                format!("'{}' means this file, which hides {}.", Shown(&library.name), shown_path(other));
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
    use crate::tree::ServerChoice;

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

    /// A package's tree with a newer release of an installed extension.
    fn upgrade(staged: &str, installed: &str) -> Case {
        case()
            .extension("module_pathname = '$libdir/x'", &function("r_old", "MODULE_PATHNAME"))
            .functions("/pg/lib/x.so", &[installed])
            .file("/stage/opt/share/extension/x.control", "default_version = 2")
            .file(
                "/stage/opt/share/extension/x--2.sql",
                function("r_new", "x") + &function("r_new", "$libdir/x"),
            )
            .functions("/stage/opt/lib/x.so", &[staged])
            .roots(&["/stage"])
            .settings(|settings| settings.server = ServerChoice::At("/pg".into()))
    }

    #[test]
    fn a_staged_module_takes_the_place_of_the_installed_one() {
        assert_eq!(upgrade("r_new", "r_old").run_all(), []);
        let codes = |case: Case| {
            let findings = case.run_all();
            findings.iter().map(|finding| (finding.rule.code, finding.path.clone())).collect::<Vec<_>>()
        };
        // By either of the two names.
        let missing = ("PGS611", std::path::PathBuf::from("/stage/opt/lib/x.so"));
        assert_eq!(codes(upgrade("r_old", "r_new")), [missing.clone(), missing]);
    }

    #[test]
    fn what_lies_elsewhere_in_the_image_of_18_neither_hides_nor_helps() {
        let image = |installed: &[&str], place: &str, control: &str| {
            case()
                .major(18)
                .extension("module_pathname = '$libdir/x'", &function("f", "MODULE_PATHNAME"))
                .functions("/pg/lib/other.so", installed)
                .file(&format!("{control}/x.control"), "default_version = 1\nmodule_pathname = '$libdir/x'")
                .file(&format!("{control}/x--1.sql"), function("f", "MODULE_PATHNAME"))
                .functions(place, &["f"])
                .roots(&["/"])
        };
        let codes = |case: Case| {
            let codes = case.run_all().iter().map(|finding| finding.rule.code).collect::<Vec<_>>();
            codes.into_iter().filter(|code| code.starts_with("PGS6")).collect::<Vec<_>>()
        };
        for (place, control) in [
            ("/usr/src/x/x.so", "/usr/src/x"),
            ("/volume/lib/x.so", "/volume/share/extension"),
            ("/opt/share/postgresql/x/lib/x.so", "/opt/share/postgresql/x"),
        ] {
            assert_eq!(codes(image(&[], place, control)), ["PGS610"], "{control}");
            let whole = image(&[], place, control).functions("/pg/lib/x.so", &["f"]);
            assert_eq!(codes(whole), [""; 0], "{control}");
        }
    }

    #[test]
    fn installations_below_one_path_are_not_mixed() {
        let of = |case: Case, prefix: &str, function_name: &str| {
            let script = function(function_name, "MODULE_PATHNAME");
            case.file(
                &format!("{prefix}/share/extension/x.control"),
                "default_version = 1\nmodule_pathname = '$libdir/x'",
            )
            .file(&format!("{prefix}/share/extension/x--1.sql"), script)
            .file(&format!("{prefix}/bin/postgres"), "")
            .functions(&format!("{prefix}/lib/x.so"), &[function_name])
        };
        let both = of(of(Case::new(), "/both/a", "f"), "/both/b", "g").roots(&["/both"]);
        assert_eq!(both.run_all(), []);
        // Each is looked at: what one lacks is not taken from the other.
        let lacking = both.functions("/both/b/lib/x.so", &["f"]).run_all();
        let found: Vec<_> = lacking.iter().map(|finding| (finding.rule.code, &*finding.path)).collect();
        assert_eq!(found, [("PGS611", std::path::Path::new("/both/b/lib/x.so"))]);
    }

    #[test]
    fn paths_in_several_installations_have_no_server_in_common() {
        let second = |case: Case| {
            let server = case.tree().store().fs().read_small("/pg/bin/postgres".as_ref(), 1 << 20).unwrap();
            case.file("/new/bin/postgres", server)
                .object("/new/lib/x.so", &module())
                .object("x.so", &module())
        };
        let others = |roots: &[&str]| {
            let tree = second(Case::new()).roots(roots).tree();
            (tree.server().is_some(), tree.other_servers().len())
        };
        assert_eq!(others(&["/pg", "/new"]), (false, 2));
        assert_eq!(others(&["/pg/lib", "/new"]), (false, 2));
        assert_eq!(others(&["/pg/lib", "/pg/bin"]), (true, 0));
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
