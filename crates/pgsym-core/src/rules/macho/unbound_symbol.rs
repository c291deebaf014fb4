use super::support::{Once, base, consequence, severity, shown, symbol, with_verdict};
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::resolve::dyld::{DyldProcess, Image, ImageId, Provider};

declare_rule! {
    /// A symbol is exported by no image that dyld asks.
    ///
    /// ## What it checks
    ///
    /// Every import of the file and of what it brings, as dyld binds it: in the library that the import names and what that
    /// one re-exports, in the program for symbols of `-bundle_loader`, in every image for flat lookup.
    ///
    /// ## Why it matters
    ///
    /// PostgreSQL opens modules with RTLD_NOW: one symbol that nobody has, and the load fails with `Symbol not found`.
    /// That another loaded image has it does not help, where the import names a library.
    ///
    /// ## When it fires
    ///
    /// A module built against PostgreSQL 17 calls a function that 18 took away.
    ///
    /// ## How to fix
    ///
    /// Build the module for the server that loads it, with the libraries that are shipped.
    ///
    /// ## What it cannot see
    ///
    /// What the system's libraries export: a symbol that names one of them counts as found. With `--sdk` it is looked for in
    /// the stub, and one that is not listed there is a warning: stubs list what may be linked, and a library may have
    /// more.
    ///
    /// ## References
    ///
    /// dyld Loader.cpp `resolveSymbol`.
    pub(crate) static UNBOUND_SYMBOL = {
        code: "PGS714",
        name: "unbound-symbol",
        group: Macho,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let mut once = Once::default();
    for load in cx.dyld() {
        let Some(process) = &load.process else { continue };
        // A library on its own says nothing of the program that it will meet.
        let is_alone = !load.in_server;
        for (id, image) in process.images().skip(load.before) {
            for binding in process.bindings(id) {
                if let Provider::Unlisted(library) = binding.provider
                    && !binding.import.is_weak
                {
                    let name = symbol(&binding.import.name);
                    if once.is_new(&format!("{}\0{name}", shown(image.path()))) {
                        unlisted(cx, sink, process, (image, &name), library);
                    }
                    continue;
                }
                let Provider::Missing(expected) = binding.provider else { continue };
                let needs_program = matches!(
                    binding.import.from,
                    crate::model::Ordinal::Executable | crate::model::Ordinal::Flat
                );
                // What a missing library should have had is that library's finding.
                if (is_alone && needs_program) || (expected.is_none() && !needs_program) {
                    continue;
                }
                let name = symbol(&binding.import.name);
                if !once.is_new(&format!("{}\0{name}", shown(image.path()))) {
                    continue;
                }
                let place = expected.and_then(|expected| process.image(expected)).map_or_else(
                    || "no loaded image exports it".to_owned(),
                    |expected| format!("{} does not export it", shown(expected.path())),
                );
                let message =
                    format!("{} imports {name}, and {place}: {}.", base(image.path()), consequence(cx));
                let failure = process.unbound(id, &binding);
                let finding = sink.finding(cx.path(), &name, message).severity(severity(cx));
                let finding = with_verdict(finding, load, failure.as_deref().or(Some("")));
                sink.report(
                    finding.help("build the file for the server and the libraries that it is shipped with"),
                );
            }
        }
    }
}

/// A symbol that the stub of a library of the system does not list.
fn unlisted(
    cx: &ModuleCx<'_>,
    sink: &mut Sink<'_>,
    process: &DyldProcess,
    (image, name): (&Image, &str),
    library: Option<ImageId>,
) {
    let place = library.and_then(|library| process.image(library)).map_or_else(
        || "no loaded image exports it, nor does a stub of the SDK list it".to_owned(),
        |library| format!("the SDK's stub of {} does not list it", shown(library.path())),
    );
    let message =
        format!("{} imports {name}, and {place}: on that macOS the file may not load.", base(image.path()));
    let finding = sink.finding(cx.path(), name, message).severity(Severity::Warning);
    sink.report(
        finding.help("build against this SDK, or name the one of the oldest macOS that it must run on"),
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{From, MachImage};

    use super::*;
    use crate::rules::testing::{Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.so", &bundle().import("gone", From::Executable))
    }

    pub(crate) fn silent() -> Case {
        Case::mac()
            .image("x.so", &bundle().import("palloc", From::Executable).import("malloc", From::Library(1)))
    }

    #[test]
    fn who_should_have_it_is_named() {
        let finding = firing().one(&UNBOUND_SYMBOL);
        assert_eq!(
            finding.message,
            "x.so imports gone, and /pg/bin/postgres does not export it: the server cannot load the module."
        );
        assert!(finding.texts("the server")[0].contains("Symbol not found: _gone"));
    }

    #[test]
    fn with_an_sdk_the_stubs_say_what_the_system_lists() {
        let stub = "--- !tapi-tbd\ntargets: [ x86_64-macos ]\ninstall-name: /usr/lib/libSystem.B.dylib\n\
            reexported-libraries:\n  - targets: [ x86_64-macos ]\n    libraries: [ /usr/lib/system/libc.dylib ]\n\
            exports:\n  - targets: [ x86_64-macos ]\n    symbols: [ _exit ]\n\
            --- !tapi-tbd\ntargets: [ x86_64-macos ]\ninstall-name: /usr/lib/system/libc.dylib\n\
            exports:\n  - targets: [ x86_64-macos ]\n    symbols: [ _malloc ]\n";
        let case = |image: MachImage| {
            Case::mac()
                .image("x.so", &image)
                .file("/sdk/usr/lib/libSystem.B.tbd", stub)
                .settings(|settings| settings.sdk = Some("/sdk".into()))
        };
        let fine = bundle().import("exit", From::Library(1)).import("malloc", From::Library(1));
        assert!(case(fine.clone()).run(&UNBOUND_SYMBOL).is_empty());
        let finding = case(fine.import("gone", From::Library(1))).one(&UNBOUND_SYMBOL);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding.message.contains("the SDK's stub of /usr/lib/libSystem.B.dylib"),
            "{}",
            finding.message
        );
        // A lookup in every image finds it there, too, and what may be missing is not told.
        assert!(case(bundle().import("malloc", From::Flat)).run(&UNBOUND_SYMBOL).is_empty());
        assert!(case(bundle().import_weakly("gone", From::Library(1))).run(&UNBOUND_SYMBOL).is_empty());
        // A stub that cannot be read says nothing.
        let damaged = case(bundle().import("gone", From::Library(1)))
            .file("/sdk/usr/lib/libSystem.B.tbd", "--- !tapi-tbd\n[");
        assert!(damaged.run(&UNBOUND_SYMBOL).is_empty());
    }
}
