use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::{Shown, shown_path};

declare_rule! {
    /// A name that begins with `$libdir/` keeps the server from the module that dynamic_library_path would find.
    ///
    /// ## What it checks
    ///
    /// Each library name that begins with `$libdir/`: whether a search for the rest of it along
    /// dynamic_library_path would end at another file. PostgreSQL 18 takes the prefix off a C function's
    /// library itself, but not off the name in LOAD and in the preload settings, nor off names with a
    /// further directory.
    ///
    /// ## Why it matters
    ///
    /// A module in its own directory (an image volume, a staging tree) is only found by its bare name. With
    /// the prefix the server looks in pkglibdir alone, and finds nothing, or an older copy.
    ///
    /// ## When it fires
    ///
    /// `module_pathname = '$libdir/x'` under PostgreSQL 17, with the module in `/extensions/x/lib`.
    ///
    /// ## How to fix
    ///
    /// Write `module_pathname = 'x'`: it works with every server.
    ///
    /// ## What it cannot see
    ///
    /// Names that are put together at run time.
    ///
    /// ## References
    ///
    /// PostgreSQL 18 src/backend/utils/fmgr/dfmgr.c `load_external_function`.
    pub(crate) static LIBDIR_DEFEATS_SEARCH_PATH = {
        code: "PGS617",
        name: "libdir-defeats-search-path",
        group: Catalog,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for library in &cx.tree().inventory().libraries {
        let Some(wanted) = &library.defeated else { continue };
        let instead = match library.path() {
            Some(path) => format!("the server takes {}", shown_path(path)),
            None => "the server finds nothing".to_owned(),
        };
        let message = format!(
            "'{}' does not lead here, though dynamic_library_path does: {instead}.",
            Shown(&library.name)
        );
        let bare = library.name.strip_prefix(b"$libdir/").unwrap_or(&library.name);
        let finding = sink.finding(wanted, Shown(&library.name), message);
        sink.report(finding.help(format!("write '{}' instead", Shown(bare))));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case()
            .extension("", &function("f", "$libdir/x"))
            .search(|search| search.dynamic_library_path = Some("/pg/new:$libdir".into()))
            .functions("/pg/new/x.so", &["f"])
            .functions("x.so", &["f"])
    }

    pub(crate) fn silent() -> Case {
        case()
            .extension("", &function("f", "x"))
            .search(|search| search.dynamic_library_path = Some("/pg/new:$libdir".into()))
            .functions("/pg/new/x.so", &["f"])
    }

    fn volume(major: u32) -> Case {
        case()
            .major(major)
            .extension("module_pathname = '$libdir/x'", &function("f", "MODULE_PATHNAME"))
            .search(|search| search.dynamic_library_path = Some("/pg/volume:$libdir".into()))
            .functions("/pg/volume/x.so", &["f"])
    }

    #[test]
    fn before_18_the_prefix_hides_the_volume() {
        let findings = volume(17).run(&LIBDIR_DEFEATS_SEARCH_PATH);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].help, "write 'x' instead");
    }

    #[test]
    fn from_18_on_the_prefix_is_taken_off() {
        assert_eq!(volume(18).run(&LIBDIR_DEFEATS_SEARCH_PATH), []);
    }
}
