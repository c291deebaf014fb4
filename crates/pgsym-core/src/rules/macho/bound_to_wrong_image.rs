use super::support::{shown, symbol};
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::model::Ordinal;
use crate::resolve::dyld::{Provider, might_be_in_shared_cache};
use crate::tree::Role;

declare_rule! {
    /// A function of the server is bound to a library of the system.
    ///
    /// ## What it checks
    ///
    /// Imports of modules that name a library of the system, though the server exports the same name.
    ///
    /// ## Why it matters
    ///
    /// The linker takes a name from the first library that has it. A function that both PostgreSQL and libSystem have,
    /// such as `hash_create` or `hash_search`, is then bound to the system's, which has other parameters: the server
    /// crashes at the first call, and no build warns.
    ///
    /// ## When it fires
    ///
    /// A module is linked with `-undefined dynamic_lookup`, so that the linker sees libSystem and not `postgres`, and
    /// calls `hash_create`.
    ///
    /// ## How to fix
    ///
    /// Link with `-bundle_loader $(pg_config --bindir)/postgres` before the libraries.
    ///
    /// ## What it cannot see
    ///
    /// Whether the two functions are the same after all; some servers export copies of what the system has too.
    ///
    /// ## References
    ///
    /// ld(1) "Two-level namespace"; PostgreSQL src/backend/utils/hash/dynahash.c.
    pub(crate) static BOUND_TO_WRONG_IMAGE = {
        code: "PGS708",
        name: "bound-to-wrong-image",
        group: Macho,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if cx.role() != Role::Module {
        return;
    }
    for load in cx.dyld().iter().filter(|load| load.in_server) {
        let Some(process) = &load.process else { continue };
        let image = load.root.and_then(|root| process.image(root));
        let server = process.main().and_then(|main| process.image(main));
        let (Some(image), Some(server)) = (image, server) else { continue };
        let (Some(macho), Some(exports)) = (image.macho(), server.macho()) else { continue };
        for import in macho.imports.get().into_iter().flatten() {
            let Ordinal::Library(number) = import.from else { continue };
            let library = image.library(number);
            let Some(library) = library.filter(|edge| might_be_in_shared_cache(edge.name.as_path())) else {
                continue;
            };
            if exports.export(import.name.as_bytes()).is_none() {
                continue;
            }
            // One that the SDK's stub does not list is unbound-symbol's.
            if load.root.is_some_and(|root| matches!(process.provider(root, import), Provider::Unlisted(_))) {
                continue;
            }
            let name = symbol(&import.name);
            let message = format!(
                "{name} is bound to {}, and {} has a {name} of its own: the call goes to the system's.",
                library.name,
                shown(server.path())
            );
            sink.report(
                sink.finding(cx.path(), &name, message)
                    .help("link with -bundle_loader $(pg_config --bindir)/postgres, before any library"),
            );
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::From;

    use super::*;
    use crate::rules::testing::{Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.so", &bundle().import("hash_create", From::Library(1)))
    }

    pub(crate) fn silent() -> Case {
        Case::mac().image(
            "x.so",
            &bundle().import("hash_create", From::Executable).import("malloc", From::Library(1)),
        )
    }

    #[test]
    fn both_sides_are_named() {
        assert_eq!(
            firing().one(&BOUND_TO_WRONG_IMAGE).message,
            "hash_create is bound to /usr/lib/libSystem.B.dylib, and /pg/bin/postgres has a hash_create of its own: \
             the call goes to the system's."
        );
    }
}
