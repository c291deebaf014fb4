use super::support::{Once, library_entry, slices};
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::name::path_bytes;
use crate::resolve::dyld::might_be_in_shared_cache;
use crate::rules::command::{file_word, leaf_word, word};

declare_rule! {
    /// A library is asked for by an absolute path outside the tree.
    ///
    /// ## What it checks
    ///
    /// Libraries with an absolute name that is neither the system's nor below the installation: `/opt/homebrew`,
    /// `/usr/local`, the directory of a build.
    ///
    /// ## Why it matters
    ///
    /// The name is the path: on a machine without that file the load fails, whatever LC_RPATHs say, and on one with
    /// it another copy may be loaded than the one that was shipped.
    ///
    /// ## When it fires
    ///
    /// A module built on a machine with Homebrew needs `/opt/homebrew/opt/geos/lib/libgeos_c.1.dylib`.
    ///
    /// ## How to fix
    ///
    /// Ship the library and ask for it relative to the file:
    /// `install_name_tool -change /opt/homebrew/opt/geos/lib/libgeos_c.1.dylib @loader_path/libgeos_c.1.dylib x.dylib`,
    /// then sign it again.
    ///
    /// ## What it cannot see
    ///
    /// Whether a package manager will put the library there; then the rule can be allowed.
    ///
    /// ## References
    ///
    /// dyld DyldProcessConfig.cpp `forEachPathVariant`; install_name_tool(1).
    pub(crate) static ABSOLUTE_INSTALL_NAME = {
        code: "PGS703",
        name: "absolute-install-name",
        group: Macho,
        severity: Warning,
        check: Module(check),
    }
}

/// Where programs are built, so that nothing of it is there later.
const BUILD_DIRECTORIES: &[&[u8]] = &[
    b"/Users/",
    b"/private/tmp/",
    b"/tmp/",
    b"/var/folders/",
    b"/private/var/folders/",
    b"/home/",
    b"/Volumes/",
];

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    // What the installation itself was configured with is where it belongs.
    let prefix = cx.server().and_then(|server| server.installation.server.parent()?.parent());
    let mut once = Once::default();
    for module in slices(cx) {
        let Some(macho) = module.macho() else { continue };
        for dependency in module.needed() {
            let path = dependency.name.as_path();
            let is_inside = prefix.is_some_and(|prefix| path.starts_with(prefix)) || cx.tree().contains(path);
            if !path.is_absolute()
                || might_be_in_shared_cache(path)
                || is_inside
                || !once.is_new(&dependency.name)
            {
                continue;
            }
            let bytes = path_bytes(path);
            let is_build = BUILD_DIRECTORIES.iter().any(|directory| bytes.starts_with(directory));
            let place = if is_build { "a build's directory" } else { "a path of one machine" };
            let message = format!(
                "{} is {place}: where that file is missing the load fails, and nothing else is searched.",
                library_entry(macho, dependency)
            );
            let file = file_word(cx.path());
            sink.report(sink.finding(cx.path(), &dependency.name, message).severity(Severity::Warning).help(
                format!(
                    "install_name_tool -change {} {} {file} && codesign -f -s - {file}",
                    word(dependency.name.as_bytes()),
                    leaf_word(b"@loader_path/", path)
                ),
            ));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::MachImage;

    use super::*;
    use crate::rules::testing::{CPU, Case, bundle};

    const HOMEBREW: &str = "/opt/homebrew/opt/geos/lib/libgeos.1.dylib";

    pub(crate) fn firing() -> Case {
        Case::mac()
            .image("x.so", &bundle().library(HOMEBREW))
            .image(HOMEBREW, &MachImage::dylib(CPU, HOMEBREW))
    }

    pub(crate) fn silent() -> Case {
        Case::mac()
            .image("x.so", &bundle().library("/usr/lib/libz.1.dylib").library("/pg/lib/own.dylib"))
            .image("own.dylib", &MachImage::dylib(CPU, "/pg/lib/own.dylib"))
    }

    #[test]
    fn the_command_line_changes_the_name() {
        let help = firing().one(&ABSOLUTE_INSTALL_NAME).help;
        assert!(
            help.starts_with(&format!(
                "install_name_tool -change {HOMEBREW} @loader_path/libgeos.1.dylib x.so"
            ))
        );
    }
}
