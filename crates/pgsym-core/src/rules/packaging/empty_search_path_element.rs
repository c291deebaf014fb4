use super::{Concern, concerning, current_directory, entry, evidence, without};
use crate::check::{ModuleCx, Sink, declare_rule};

declare_rule! {
    /// A search path has an element without characters, which is the server's data directory.
    ///
    /// ## What it checks
    ///
    /// DT_RPATH and DT_RUNPATH of the tree's files: a colon at the beginning or the end, and two in a row. A path
    /// that is empty as a whole is none.
    ///
    /// ## Why it matters
    ///
    /// To glibc an empty element is the current directory, for a server its data directory: whoever can write files
    /// as the server can place a library there that the next backend runs. musl skips empty elements, and so does
    /// this rule for it.
    ///
    /// ## When it fires
    ///
    /// `-Wl,-rpath,$(LIBDIR):/opt/x` with an empty `LIBDIR`; a script that appends `:$ORIGIN` to nothing.
    ///
    /// ## How to fix
    ///
    /// Write the path without it: `patchelf --set-rpath '$ORIGIN/deps' x.so` for `:$ORIGIN/deps`.
    ///
    /// ## What it cannot see
    ///
    /// LD_LIBRARY_PATH, where the same holds. Libraries outside of the tree are not judged.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `fillin_rpath`, `open_path`; musl ldso/dynlink.c `path_open`.
    pub(crate) static EMPTY_SEARCH_PATH_ELEMENT = {
        code: "PGS502",
        name: "empty-search-path-element",
        group: Packaging,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for (element, _) in concerning(cx, |concern| *concern == Concern::Empty) {
        let raw = cx.module().and_then(|module| module.search_path(element.kind));
        let raw = raw.map(|path| path.raw.to_string()).unwrap_or_default();
        let message =
            format!("{} {raw} has an empty element, which is {}.", entry(element), current_directory(cx));
        let finding = evidence(cx, element, sink.finding(cx.path(), raw, message));
        sink.report(finding.help(without(cx, element)));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::resolve::Libc;
    use crate::rules::testing::{Case, Uses as _, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("x.so", &module().uses("libfoo.so.1").runpath(":$ORIGIN/deps"))
            .object("deps/libfoo.so.1", &library("libfoo.so.1"))
    }

    pub(crate) fn silent() -> Case {
        firing().object("x.so", &module().uses("libfoo.so.1").runpath("$ORIGIN/deps"))
    }

    #[test]
    fn a_colon_too_many_is_the_data_directory() {
        let finding = firing().one(&EMPTY_SEARCH_PATH_ELEMENT);
        assert_eq!(
            finding.message,
            ".dynamic[2] DT_RUNPATH :$ORIGIN/deps has an empty element, which is the server's current directory, the \
             data directory."
        );
        assert_eq!(finding.texts("searched for"), ["libfoo.so.1"]);
        assert_eq!(finding.help, "patchelf --set-rpath '$ORIGIN/deps' x.so");
    }

    #[test]
    fn musl_skips_it() {
        let case = firing().settings(|settings| settings.loader.libc = Some(Libc::Musl));
        assert_eq!(case.run(&EMPTY_SEARCH_PATH_ELEMENT), []);
    }
}
