use super::support::{Once, slices};
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::model::SearchPathKind;
use crate::resolve::dyld::SDK_WITHOUT_DUPLICATES;
use crate::rules::command::{file_word, word};

declare_rule! {
    /// An image has the same LC_RPATH twice.
    ///
    /// ## What it checks
    ///
    /// LC_RPATH load commands with the same path in one image.
    ///
    /// ## Why it matters
    ///
    /// dyld of macOS 26 refuses an image built with an SDK of 26 or later: `duplicate LC_RPATH`. With an older SDK the
    /// second one only costs probes, until the image is built again.
    ///
    /// ## When it fires
    ///
    /// `-Wl,-rpath,@loader_path` stands in LDFLAGS and in PG_LDFLAGS.
    ///
    /// ## How to fix
    ///
    /// Name it once; in a finished file, `install_name_tool -delete_rpath PATH FILE` takes one away. Sign it again.
    ///
    /// ## What it cannot see
    ///
    /// Two paths that are written differently and lead to one directory, which dyld allows.
    ///
    /// ## References
    ///
    /// dyld mach_o/UnsafeHeader.cpp `validSemanticsRPath`, Policy.cpp `enforceNoDuplicateRPaths`.
    pub(crate) static DUPLICATE_RPATH = {
        code: "PGS702",
        name: "duplicate-rpath",
        group: Macho,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let mut once = Once::default();
    for module in slices(cx) {
        let Some(macho) = module.macho() else { continue };
        let paths: Vec<_> =
            module.search_paths.iter().filter(|path| path.kind == SearchPathKind::LcRpath).collect();
        for (at, path) in paths.iter().enumerate() {
            let same = |other: &&&crate::model::SearchPath| other.raw == path.raw;
            // Told at the second one, however many follow.
            if paths.iter().take(at).filter(same).count() != 1 || !once.is_new(&path.raw) {
                continue;
            }
            let is_refused = macho.platform().is_some_and(|platform| platform.sdk >= SDK_WITHOUT_DUPLICATES);
            let consequence = if is_refused {
                "macOS 26 and later refuse the file"
            } else {
                "built with the SDK of macOS 26, the file would be refused"
            };
            let message = format!(
                "load command {}, LC_RPATH {}, is there already: {consequence}.",
                path.entry, path.raw
            );
            let severity = if is_refused { Severity::Error } else { Severity::Warning };
            let name = file_word(cx.path());
            sink.report(sink.finding(cx.path(), &path.raw, message).severity(severity).help(format!(
                "install_name_tool -delete_rpath {} {name} && codesign -f -s - {name}",
                word(path.raw.as_bytes())
            )));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.so", &bundle().rpath("@loader_path").rpath("@loader_path"))
    }

    pub(crate) fn silent() -> Case {
        Case::mac().image("x.so", &bundle().rpath("@loader_path").rpath("@loader_path/../lib"))
    }

    #[test]
    fn the_sdk_decides_how_bad_it_is() {
        assert_eq!(firing().one(&DUPLICATE_RPATH).severity, Severity::Warning);
        let new = bundle().rpath("@loader_path").rpath("@loader_path").macos((13, 0), (26, 0));
        assert_eq!(Case::mac().image("x.so", &new).one(&DUPLICATE_RPATH).severity, Severity::Error);
    }
}
