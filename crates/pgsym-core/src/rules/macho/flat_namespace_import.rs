use super::support::{shown, slices, symbol};
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::model::{MachImport, MachO, Ordinal};
use crate::resolve::dyld::DyldProcess;
use crate::rules::evidence::{count, listed};
use crate::tree::Role;

declare_rule! {
    /// A module's symbols are looked up in every loaded image.
    ///
    /// ## What it checks
    ///
    /// Imports of modules that name no library: linked with `-undefined dynamic_lookup` (as pgrx and many hand-written
    /// builds do) or with `-flat_namespace`. Where two loaded images export such a name, that is told as a warning. What the
    /// module exports itself is shadowed-by-server's, and what another module of the tree exports interposed-export's.
    ///
    /// ## Why it matters
    ///
    /// dyld takes the first image in load order that has the name, as ELF does: another module that exports it
    /// captures the call. A missing symbol is told late and without the library that should have had it. With
    /// `-bundle_loader` each of the server's symbols is bound to the server and to nothing else.
    ///
    /// ## When it fires
    ///
    /// `clang -bundle -undefined dynamic_lookup -o x.so x.o`.
    ///
    /// ## How to fix
    ///
    /// Link with `-bundle_loader $(pg_config --bindir)/postgres` instead.
    ///
    /// ## What it cannot see
    ///
    /// Modules outside the tree that a session loads first.
    ///
    /// ## References
    ///
    /// dyld Loader.cpp `resolveSymbol` (BIND_SPECIAL_DYLIB_FLAT_LOOKUP); ld(1) `-bundle_loader`.
    pub(crate) static FLAT_NAMESPACE_IMPORT = {
        code: "PGS707",
        name: "flat-namespace-import",
        group: Macho,
        severity: Info,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if cx.role() != Role::Module {
        return;
    }
    for module in slices(cx) {
        let Some(macho) = module.macho() else { continue };
        let flat: Vec<&MachImport> = flat_imports(macho).collect();
        if flat.is_empty() {
            continue;
        }
        let process = cx.dyld().iter().find(|load| load.arch == macho.slice.arch);
        let process = process.and_then(|load| load.process.as_ref());
        let contested: Vec<(String, Vec<String>)> = process
            .map(|process| {
                let foreign = flat.iter().filter(|import| macho.export(import.name.as_bytes()).is_none());
                foreign.filter_map(|import| contested(process, import)).collect()
            })
            .unwrap_or_default();
        let names = listed(flat.iter().map(|import| symbol(&import.name)));
        let count = count(flat.len(), "import");
        let message = if contested.is_empty() {
            format!("{count} name no library ({names}): the first loaded image that has the name is taken.")
        } else {
            let contested = listed(contested.iter().map(|(name, _)| name));
            format!(
                "{count} name no library, and of {contested} several loaded images have one: the first is taken."
            )
        };
        let severity = if contested.is_empty() { Severity::Info } else { Severity::Warning };
        let mut finding = sink.finding(cx.path(), "dynamic_lookup", message).severity(severity);
        for (name, images) in &contested {
            finding = finding.evidence("exported by", format!("{name}: {}", images.join(", then ")));
        }
        sink.report(finding.help(
            "link with -bundle_loader $(pg_config --bindir)/postgres instead of -undefined dynamic_lookup",
        ));
    }
}

fn flat_imports(macho: &MachO) -> impl Iterator<Item = &MachImport> {
    let all_flat = !macho.is_two_level();
    let imports = macho.imports.get().map_or(&[][..], Vec::as_slice);
    imports.iter().filter(move |import| all_flat || import.from == Ordinal::Flat)
}

/// A name and the images that export it, in load order, if there is more than one.
fn contested(process: &DyldProcess, import: &MachImport) -> Option<(String, Vec<String>)> {
    let images: Vec<String> = process
        .images()
        .filter(|(_, image)| {
            image.macho().is_some_and(|macho| macho.export(import.name.as_bytes()).is_some())
        })
        .map(|(_, image)| shown(image.path()))
        .collect();
    (images.len() > 1).then(|| (symbol(&import.name), images))
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{From, MachImage};

    use super::*;
    use crate::rules::testing::{CPU, Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.so", &bundle().import("palloc", From::Flat))
    }

    pub(crate) fn silent() -> Case {
        Case::mac().image("x.so", &bundle().import("palloc", From::Executable))
    }

    #[test]
    fn a_name_that_two_images_have_is_a_warning() {
        let case = firing()
            .image("x.so", &bundle().library("@loader_path/a.dylib").import("palloc", From::Flat))
            .image("a.dylib", &MachImage::dylib(CPU, "@rpath/a.dylib").export("palloc"));
        let finding = case.one(&FLAT_NAMESPACE_IMPORT);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.texts("exported by"), ["palloc: /pg/bin/postgres, then /pg/lib/a.dylib"]);
    }
}
