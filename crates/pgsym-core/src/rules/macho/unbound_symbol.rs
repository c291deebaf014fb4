use super::support::{Once, base, consequence, severity, shown, symbol, with_verdict};
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::resolve::dyld::Provider;

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
    /// What the system's libraries export: a symbol that names one of them counts as found.
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

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::From;

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
}
