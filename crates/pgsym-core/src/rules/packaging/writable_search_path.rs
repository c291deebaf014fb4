use super::{Concern, concerning, entry, evidence, searched_for, without};
use crate::check::{ModuleCx, Severity, Sink, declare_rule};

declare_rule! {
    /// Others than the owner of the file may put libraries where the loader looks for them.
    ///
    /// ## What it checks
    ///
    /// The directories that the search paths of the tree's files lead to, and those above them: permission bits for
    /// everybody, owners other than root and the file's own. Of a directory that does not exist, the nearest one
    /// above that does: who may write there may make it.
    ///
    /// ## Why it matters
    ///
    /// A search path is an order to run what lies there. Whoever may write to the directory decides what runs as the
    /// server's user, with access to all its data. It is an error when everybody may, and the loader really looks
    /// there for a library; else a warning.
    ///
    /// ## When it fires
    ///
    /// The module was linked with `-Wl,-rpath,/tmp/build/lib`; the directory is gone, and every local user can make
    /// it.
    ///
    /// ## How to fix
    ///
    /// Write the path without the element, or with the place where the library is installed: `patchelf --set-rpath`
    /// with the other elements, `--remove-rpath` where there are none. Where the directory is right, `chmod o-w` it.
    ///
    /// ## What it cannot see
    ///
    /// Permissions for a group, access control lists, and what the permissions are on the machine that the tree is
    /// installed on.
    ///
    /// ## References
    ///
    /// SEI CERT FIO15-C; ld.so(8), "Rpath token expansion"; path_resolution(7).
    pub(crate) static WRITABLE_SEARCH_PATH = {
        code: "PGS503",
        name: "writable-search-path",
        group: Packaging,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let is_writable = |concern: &Concern| matches!(concern, Concern::Writable(_));
    for (element, concern) in concerning(cx, is_writable) {
        let Concern::Writable(danger) = concern else { continue };
        let is_met = danger.is_everybody && !searched_for(cx, element).is_empty();
        let message = format!(
            "{} has {}: {}, and a library there runs as the server.",
            entry(element),
            element.text,
            danger.reason
        );
        let finding = sink.finding(cx.path(), &element.text, message).severity(if is_met {
            Severity::Error
        } else {
            Severity::Warning
        });
        sink.report(evidence(cx, element, finding).help(without(cx, element)));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, Uses as _, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("x.so", &module().uses("libfoo.so.1").runpath("/tmp/build/lib"))
            .object("/usr/lib/libfoo.so.1", &library("libfoo.so.1"))
            .fs(|fs| fs.directory("/tmp").mode("/tmp", 0o1777))
    }

    pub(crate) fn silent() -> Case {
        // Below a sticky directory, what exists cannot be replaced.
        firing()
            .object("x.so", &module().uses("libfoo.so.1").runpath("/srv/pool/lib"))
            .fs(|fs| fs.directory("/srv/pool/lib").mode("/srv/pool", 0o1777))
    }

    #[test]
    fn a_missing_directory_that_everybody_may_make_is_an_error() {
        let finding = firing().one(&WRITABLE_SEARCH_PATH);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            ".dynamic[2] DT_RUNPATH has /tmp/build/lib: everybody may make it (/tmp has mode 1777), and a library there \
             runs as the server."
        );
        assert_eq!(finding.texts("searched for"), ["libfoo.so.1"]);
        assert_eq!(finding.help, "patchelf --remove-rpath x.so");
    }

    #[test]
    fn a_library_that_is_found_there_needs_another_place() {
        let object = module().uses("libfoo.so.1").runpath("$ORIGIN/a b:/srv/lib");
        let case = firing()
            .object("x.so", &object)
            .object("/srv/lib/libfoo.so.1", &library("libfoo.so.1"))
            .fs(|fs| fs.mode("/srv/lib", 0o777));
        assert_eq!(
            case.one(&WRITABLE_SEARCH_PATH).help,
            "put libfoo.so.1 beside the file, and: patchelf --set-rpath '$ORIGIN/a b:$ORIGIN' x.so"
        );
    }

    #[test]
    fn a_path_for_dependencies_stays_one() {
        let case = firing().object("x.so", &module().rpath("/tmp/build/lib:/opt/foo"));
        assert_eq!(case.one(&WRITABLE_SEARCH_PATH).help, "patchelf --force-rpath --set-rpath /opt/foo x.so");
    }

    #[test]
    fn another_users_directory_is_a_warning() {
        let case = firing()
            .object("x.so", &module().uses("libfoo.so.1").runpath("/opt/app/lib"))
            .fs(|fs| fs.directory("/opt/app/lib").owner("/opt/app", 1001));
        let finding = case.one(&WRITABLE_SEARCH_PATH);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.message.contains("user 1001 owns /opt/app"), "{finding:?}");
    }

    #[test]
    fn a_directory_that_nothing_is_searched_in_is_a_warning() {
        let case = firing().object("x.so", &module().runpath("/tmp/build/lib"));
        assert_eq!(case.one(&WRITABLE_SEARCH_PATH).severity, Severity::Warning);
    }
}
