use super::{Concern, concerning, current_directory, entry, evidence, set_path};
use crate::check::{ModuleCx, Sink, declare_rule};

declare_rule! {
    /// A search path has a dollar sign that begins no token.
    ///
    /// ## What it checks
    ///
    /// Elements of DT_RPATH and DT_RUNPATH with a `$` that is none of `$ORIGIN`, `$LIB`, `$PLATFORM` or the same in
    /// braces, each followed by no letter, digit or underscore.
    ///
    /// ## Why it matters
    ///
    /// The loader takes such text literally: `$ORIGINlib` is a directory of that very name below the server's current
    /// directory, the data directory. The library is not found, and whoever can write there can place one.
    ///
    /// ## When it fires
    ///
    /// `-Wl,-rpath,$ORIGIN/lib` where make or the shell ate a part (`RIGIN/lib`, `$$ORIGIN/lib`), `${ORIGIN/lib`
    /// without its brace, `$origin`.
    ///
    /// ## How to fix
    ///
    /// In a makefile write `-Wl,-rpath,'$$ORIGIN/lib'`; on a finished file `patchelf --set-rpath '$ORIGIN/lib' x.so`.
    ///
    /// ## What it cannot see
    ///
    /// A token that was eaten whole leaves `/lib` or `RIGIN/lib` behind, which is an ordinary directory.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `is_dst`, `_dl_dst_substitute`; ld.so(8), "Dynamic string tokens".
    pub(crate) static MALFORMED_ORIGIN = {
        code: "PGS507",
        name: "malformed-origin",
        group: Packaging,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for (element, _) in concerning(cx, |concern| *concern == Concern::Malformed) {
        let below = if element.text.as_bytes().starts_with(b"/") {
            String::new()
        } else {
            format!(" below {}", current_directory(cx))
        };
        let message = format!(
            "{} has {}, which is no token: the loader searches a directory of that very name{below}.",
            entry(element),
            element.text
        );
        let finding = evidence(cx, element, sink.finding(cx.path(), &element.text, message));
        sink.report(finding.help(set_path(cx)));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().runpath("$ORIGINlib"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().runpath("${ORIGIN}"))
    }

    #[test]
    fn a_near_miss_is_literal_text() {
        assert_eq!(
            firing().one(&MALFORMED_ORIGIN).message,
            ".dynamic[1] DT_RUNPATH has $ORIGINlib, which is no token: the loader searches a directory of that very name \
             below the server's current directory, the data directory."
        );
    }
}
