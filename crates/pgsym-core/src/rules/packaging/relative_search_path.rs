use super::{Concern, concerning, current_directory, entry, evidence, with_another, without};
use crate::check::{ModuleCx, Sink, declare_rule};

declare_rule! {
    /// A search path leads below the server's data directory.
    ///
    /// ## What it checks
    ///
    /// Elements of DT_RPATH and DT_RUNPATH in the tree's files that are not absolute after `$ORIGIN`, `$LIB` and
    /// `$PLATFORM` are expanded.
    ///
    /// ## Why it matters
    ///
    /// The loader takes a relative element from the current directory, which for a server is its data directory.
    /// Nothing is installed there, so the element does not do what it was meant for; and whoever can write files as
    /// the server can place a library there that the next backend runs.
    ///
    /// ## When it fires
    ///
    /// `-Wl,-rpath,lib` or `-Wl,-rpath,../lib` on the linker's command line.
    ///
    /// ## How to fix
    ///
    /// Anchor it at the file: `patchelf --set-rpath '$ORIGIN/../lib' x.so`, with the elements that are right; when linking
    /// `-Wl,-rpath,'$ORIGIN/../lib'` with the dollar quoted from the shell and, in a makefile, doubled.
    ///
    /// ## What it cannot see
    ///
    /// Programs that change their directory before they load libraries. Libraries outside of the tree are not judged.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `fillin_rpath`, `open_path`; musl ldso/dynlink.c `path_open`.
    pub(crate) static RELATIVE_SEARCH_PATH = {
        code: "PGS501",
        name: "relative-search-path",
        group: Packaging,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for (element, _) in concerning(cx, |concern| *concern == Concern::Relative) {
        let message =
            format!("{} has {}, which leads below {}.", entry(element), element.text, current_directory(cx));
        let finding = evidence(cx, element, sink.finding(cx.path(), &element.text, message));
        let anchored = [b"$ORIGIN/", element.text.as_bytes()].concat();
        sink.report(finding.help(format!(
            "anchor it at the file: {}; or leave it out: {}",
            with_another(cx, element, Some(&anchored)),
            without(cx, element)
        )));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, Uses as _, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("x.so", &module().uses("libfoo.so.1").runpath("../deps"))
            .object("/usr/lib/libfoo.so.1", &library("libfoo.so.1"))
    }

    pub(crate) fn silent() -> Case {
        Case::new()
            .object("x.so", &module().uses("libfoo.so.1").runpath("$ORIGIN/deps"))
            .object("deps/libfoo.so.1", &library("libfoo.so.1"))
    }

    #[test]
    fn a_relative_element_is_told_with_what_is_searched_there() {
        let finding = firing().one(&RELATIVE_SEARCH_PATH);
        assert_eq!(
            finding.message,
            ".dynamic[2] DT_RUNPATH has ../deps, which leads below the server's current directory, the data directory."
        );
        assert_eq!(finding.texts("searched for"), ["libfoo.so.1"]);
        assert_eq!(
            finding.help,
            "anchor it at the file: patchelf --set-rpath '$ORIGIN/../deps' x.so; or leave it out: patchelf \
             --remove-rpath x.so"
        );
    }
}
