use super::{Concern, concerning, entry, evidence, without};
use crate::check::{ModuleCx, Sink, declare_rule};

declare_rule! {
    /// A search path holds a directory of the machine that the file was built on.
    ///
    /// ## What it checks
    ///
    /// Absolute elements of DT_RPATH and DT_RUNPATH that name places where software is built: home directories,
    /// `/build`, `/builds`, `/tmp`, `/usr/src`, CI workspaces, a `buildroot` or `.libs` directory. The text counts, not
    /// where the file lies today: an element that begins with `$ORIGIN` moves with the file and is none. Installations
    /// that lie in such a place themselves are left alone.
    ///
    /// ## Why it matters
    ///
    /// At best the element is dead weight; at worst a user of that name on the target machine decides what runs as
    /// the server. The build is not reproducible either.
    ///
    /// ## When it fires
    ///
    /// The module was linked with `-Wl,-rpath,/home/builder/geos/lib`, or libtool's `.libs` path was not relinked at
    /// installation.
    ///
    /// ## How to fix
    ///
    /// Write the path without it (`patchelf --set-rpath` with the other elements, `--remove-rpath` where there are none),
    /// or link with the final directory. CMake: `CMAKE_INSTALL_RPATH`; libtool:
    /// `libtool --mode=install`; PGXS: `rpathdir=`.
    ///
    /// ## What it cannot see
    ///
    /// Build directories with names that say nothing. An element that everybody may write to is
    /// `writable-search-path` instead.
    ///
    /// ## References
    ///
    /// Debian policy 10.2; rpm scripts/check-buildroot, scripts/check-rpaths.
    pub(crate) static BUILD_PATH_IN_SEARCH_PATH = {
        code: "PGS504",
        name: "build-path-in-search-path",
        group: Packaging,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for (element, _) in concerning(cx, |concern| *concern == Concern::BuildPath) {
        let message = format!(
            "{} has {}, a directory of the machine that built the file: it serves nobody who installs it.",
            entry(element),
            element.text
        );
        let finding = evidence(cx, element, sink.finding(cx.path(), &element.text, message));
        sink.report(finding.help(without(cx, element)));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().runpath("/home/builder/geos/lib"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().runpath("/opt/geos/lib")).fs(|fs| fs.directory("/opt/geos/lib"))
    }

    #[test]
    fn what_starts_at_the_file_itself_is_no_build_path_wherever_it_lies() {
        let object = module().runpath("$ORIGIN/../deps:${ORIGIN}");
        let case = Case::new()
            .object("/home/runner/work/x/bundle/lib/x.so", &object)
            .fs(|fs| fs.directory("/home/runner/work/x/bundle/deps"))
            .roots(&["/home/runner/work/x/bundle/lib", "/pg/lib"]);
        assert_eq!(case.run(&BUILD_PATH_IN_SEARCH_PATH), []);
    }

    #[test]
    fn a_link_to_such_a_place_is_no_build_path() {
        let case = Case::new()
            .object("x.so", &module().runpath("/opt/geos"))
            .fs(|fs| fs.directory("/home/builder/geos").symlink("/opt/geos", "/home/builder/geos"));
        assert_eq!(case.run(&BUILD_PATH_IN_SEARCH_PATH), []);
    }

    #[test]
    fn the_directory_of_cibuildwheel_is_one() {
        let case = Case::new().object("x.so", &module().runpath("/project/pginstall/lib"));
        assert!(case.one(&BUILD_PATH_IN_SEARCH_PATH).message.contains("/project/pginstall/lib"));
    }

    #[test]
    fn a_home_directory_is_told() {
        assert_eq!(
            firing().one(&BUILD_PATH_IN_SEARCH_PATH).message,
            ".dynamic[1] DT_RUNPATH has /home/builder/geos/lib, a directory of the machine that built the file: it serves \
             nobody who installs it."
        );
    }
}
