use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::model::SearchPathKind;
use crate::rules::command::{file_word, word};

declare_rule! {
    /// A file has both DT_RPATH and DT_RUNPATH, and the loader forgets the first.
    ///
    /// ## What it checks
    ///
    /// Files of the tree with both tags. It is only good to know where both hold the same.
    ///
    /// ## Why it matters
    ///
    /// With a DT_RUNPATH in it, an object contributes no DT_RPATH: neither to its own dependencies nor to those of
    /// the libraries that it brings, which inherit DT_RPATH only. A library that only the DT_RPATH leads to is not
    /// found.
    ///
    /// ## When it fires
    ///
    /// An old GNU ld wrote both tags for `--enable-new-dtags`, or a step of the build added the one and left the other.
    /// (patchelf turns a DT_RPATH into a DT_RUNPATH.)
    ///
    /// ## How to fix
    ///
    /// Decide for one: `patchelf --remove-rpath x.so`, then `--set-rpath`, with `--force-rpath` for a DT_RPATH.
    ///
    /// ## What it cannot see
    ///
    /// Loaders other than those of glibc and musl.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object` (`l_info[DT_RUNPATH] == NULL`); musl ldso/dynlink.c `decode_dyn`.
    pub(crate) static RPATH_AND_RUNPATH = {
        code: "PGS506",
        name: "rpath-and-runpath",
        group: Packaging,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some(module) = cx.module() else { return };
    let (Some(rpath), Some(runpath)) =
        (module.search_path(SearchPathKind::Rpath), module.search_path(SearchPathKind::Runpath))
    else {
        return;
    };
    let message = format!(
        ".dynamic[{}] DT_RPATH {} is forgotten, because .dynamic[{}] DT_RUNPATH {} is there too.",
        rpath.entry, rpath.raw, runpath.entry, runpath.raw
    );
    let finding = sink.finding(cx.path(), &rpath.raw, message);
    let severity = if rpath.raw == runpath.raw { Severity::Info } else { Severity::Warning };
    sink.report(finding.severity(severity).help(format!(
        "patchelf --remove-rpath {file} && patchelf --set-rpath {} {file}",
        word(runpath.raw.as_bytes()),
        file = file_word(cx.path())
    )));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().rpath("$ORIGIN/..").runpath("$ORIGIN"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().rpath("$ORIGIN"))
    }

    #[test]
    fn the_path_that_is_forgotten_is_named() {
        let finding = firing().one(&RPATH_AND_RUNPATH);
        assert_eq!(
            finding.message,
            ".dynamic[1] DT_RPATH $ORIGIN/.. is forgotten, because .dynamic[2] DT_RUNPATH $ORIGIN is there too."
        );
        assert_eq!(finding.help, "patchelf --remove-rpath x.so && patchelf --set-rpath '$ORIGIN' x.so");
    }

    #[test]
    fn the_same_path_twice_is_good_to_know() {
        let case = Case::new().object("x.so", &module().rpath("$ORIGIN").runpath("$ORIGIN"));
        assert_eq!(case.one(&RPATH_AND_RUNPATH).severity, Severity::Info);
    }
}
