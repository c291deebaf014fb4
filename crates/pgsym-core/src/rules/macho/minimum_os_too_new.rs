use super::support::slices;
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::model::MachVersion;
use crate::tree::Role;

declare_rule! {
    /// A file needs a newer macOS than the server.
    ///
    /// ## What it checks
    ///
    /// The oldest macOS of LC_BUILD_VERSION (or LC_VERSION_MIN_MACOSX) of modules and libraries against the server's,
    /// slice by slice.
    ///
    /// ## Why it matters
    ///
    /// A package runs on the oldest system of its newest part. dyld does not compare the numbers; it fails later, when a
    /// symbol of the newer system is missing, with `(built for macOS 14.0 which is newer than running OS)`.
    ///
    /// ## When it fires
    ///
    /// `postgres` is built for macOS 11 and a library beside it for macOS 14, because it came from a package manager of
    /// the build machine.
    ///
    /// ## How to fix
    ///
    /// Build everything with the same MACOSX_DEPLOYMENT_TARGET.
    ///
    /// ## What it cannot see
    ///
    /// Whether the file uses anything that the older system lacks.
    ///
    /// ## References
    ///
    /// dyld Loader.cpp `tooNewErrorAddendum`; clang `-mmacosx-version-min`.
    pub(crate) static MINIMUM_OS_TOO_NEW = {
        code: "PGS706",
        name: "minimum-os-too-new",
        group: Macho,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if !matches!(cx.role(), Role::Module | Role::Library) {
        return;
    }
    for module in slices(cx) {
        let Some(own) = module.macho().and_then(|macho| Some((macho.slice.arch, macho.platform()?.minimum)))
        else {
            continue;
        };
        let servers =
            cx.tree().dyld_processes().iter().filter(|process| own.0.grade(process.env().arch).is_some());
        let oldest: Option<MachVersion> = servers
            .filter_map(|process| {
                process.image(process.main()?)?.macho()?.platform().map(|entry| entry.minimum)
            })
            .min();
        let Some(server) = oldest.filter(|&server| server < own.1) else { continue };
        let message = format!(
            "The file is built for macOS {} and later, the server for {server}: between the two it may not load.",
            own.1
        );
        sink.report(
            sink.finding(cx.path(), format!("macOS {}", own.1), message)
                .help(format!("build it with MACOSX_DEPLOYMENT_TARGET={server}")),
        );
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.so", &bundle().macos((14, 2), (14, 5)))
    }

    pub(crate) fn silent() -> Case {
        Case::mac().image("x.so", &bundle().macos((12, 0), (14, 5)))
    }

    #[test]
    fn both_versions_are_named() {
        let message = firing().one(&MINIMUM_OS_TOO_NEW).message;
        assert!(
            message.starts_with("The file is built for macOS 14.2 and later, the server for 13.0"),
            "{message}"
        );
    }
}
