use super::support::{Once, library_entry, slices};
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::name::Name;
use crate::rules::command::{file_word, leaf_word, word};

declare_rule! {
    /// A library's name is neither a path nor an `@` path.
    ///
    /// ## What it checks
    ///
    /// Names of libraries that begin with neither `/` nor `@`, in load commands and in a library's own LC_ID_DYLIB.
    ///
    /// ## Why it matters
    ///
    /// dyld looks for such a name in the current directory, which for a server is its data directory; a hardened program
    /// refuses it (`relative path not allowed in hardened program`).
    ///
    /// ## When it fires
    ///
    /// A library was linked without `-install_name`: its name is what stood behind `-o`, and everything linked with it
    /// asks for `libfoo.dylib`.
    ///
    /// ## How to fix
    ///
    /// `install_name_tool -id @rpath/libfoo.dylib libfoo.dylib`, and in what is linked already
    /// `install_name_tool -change libfoo.dylib @rpath/libfoo.dylib x.so`; then sign both again.
    ///
    /// ## What it cannot see
    ///
    /// What lies in the data directory.
    ///
    /// ## References
    ///
    /// dyld Loader.cpp `getLoader`; mysql_fdw issue 263.
    pub(crate) static RELATIVE_INSTALL_NAME = {
        code: "PGS712",
        name: "relative-install-name",
        group: Macho,
        severity: Error,
        check: Module(check),
    }
}

fn is_relative(name: &[u8]) -> bool {
    !matches!(name.first(), None | Some(b'/' | b'@'))
}

/// The name below `@rpath`, as an argument.
fn by_rpath(name: &Name) -> String {
    leaf_word(b"@rpath/", name.as_path())
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let file = file_word(cx.path());
    let mut once = Once::default();
    for module in slices(cx) {
        let Some(macho) = module.macho() else { continue };
        for dependency in module.needed().iter().filter(|dependency| is_relative(dependency.name.as_bytes()))
        {
            if !once.is_new(&dependency.name) {
                continue;
            }
            let message = format!(
                "{} is relative: dyld looks for it in the server's data directory.",
                library_entry(macho, dependency)
            );
            let name = &dependency.name;
            sink.report(sink.finding(cx.path(), name, message).help(format!(
                "install_name_tool -change {} {} {file} && codesign -f -s - {file}",
                word(name.as_bytes()),
                by_rpath(name)
            )));
        }
        if let Some(name) =
            module.soname.as_ref().filter(|name| is_relative(name.as_bytes()) && once.is_new(*name))
        {
            let message = format!(
                "LC_ID_DYLIB is {name}, which is relative: what links the library looks for it in the current directory."
            );
            sink.report(
                sink.finding(cx.path(), name, message).severity(Severity::Warning).help(format!(
                    "install_name_tool -id {} {file} && codesign -f -s - {file}",
                    by_rpath(name)
                )),
            );
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::MachImage;

    use super::*;
    use crate::rules::testing::{CPU, Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("liba.dylib", &MachImage::dylib(CPU, "liba.dylib"))
    }

    pub(crate) fn silent() -> Case {
        Case::mac()
            .image("x.so", &bundle().library("@loader_path/liba.dylib"))
            .image("liba.dylib", &MachImage::dylib(CPU, "@rpath/liba.dylib"))
    }

    #[test]
    fn a_dependent_is_an_error_and_the_library_a_warning() {
        let findings = firing().image("x.so", &bundle().library("liba.dylib")).run(&RELATIVE_INSTALL_NAME);
        let severities: Vec<Severity> = findings.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Warning, Severity::Error]);
    }
}
