use std::collections::BTreeMap;

use super::{is_of_c_library, loaded};
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::name::{Shown, shown_path};
use crate::resolve::ObjectId;
use crate::rules::evidence::{LISTED, base_name, count, listed};
use crate::tree::Role;

declare_rule! {
    /// A file uses a library that it does not say it needs.
    ///
    /// ## What it checks
    ///
    /// Imports of the tree's modules and libraries that are bound to a library which no DT_NEEDED entry of the file leads
    /// to: another library brings it, or the server does. Symbols of the server's own binary are what modules are for,
    /// and the parts of the C library (`libm` among them) are never without each other.
    ///
    /// ## Why it matters
    ///
    /// It works as long as the other one keeps needing the library. When a new release of it does not, or the server is
    /// built without the feature, the module fails with `undefined symbol`; and no package dependency is recorded.
    ///
    /// ## When it fires
    ///
    /// The module calls `SSL_new` and is linked with `-lpq` only: libpq brings libssl today.
    ///
    /// ## How to fix
    ///
    /// Name the library when linking: `-lssl`. `-Wl,--no-undefined` does not tell, since modules refer to the server; the
    /// list below does.
    ///
    /// ## What it cannot see
    ///
    /// Weak references, which may stay unresolved. Symbols that the code looks up by `dlsym`.
    ///
    /// ## References
    ///
    /// GNU ld manual, `--copy-dt-needed-entries`; dpkg-shlibdeps(1).
    pub(crate) static UNDECLARED_DEPENDENCY = {
        code: "PGS205",
        name: "undeclared-dependency",
        group: Symbols,
        severity: Info,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if !matches!(cx.role(), Role::Module | Role::Library) {
        return;
    }
    let Some((process, root, object)) = loaded(cx) else { return };
    let direct: Vec<ObjectId> = object.edges().iter().filter_map(|edge| edge.target.clone().ok()).collect();
    let mut borrowed: BTreeMap<ObjectId, Vec<String>> = BTreeMap::new();
    for binding in cx.bindings() {
        let symbol = binding.reference.symbol;
        let Some(definition) = binding.definition else { continue };
        let provider = definition.object;
        if !symbol.is_import() || symbol.binding() == crate::model::Binding::Weak {
            continue;
        }
        // Most references are the server's business, or that of a library that was named.
        if provider == root || direct.contains(&provider) {
            continue;
        }
        // The program and the loader are nobody's dependency; another module is a matter of preloading.
        let is_library =
            process.object(provider).filter(|provider| provider.loader().is_some()).is_some_and(|provider| {
                let role = cx.tree().find(provider.id()).map(|file| file.role);
                let name = provider.path().file_name().map_or(&[][..], |name| name.as_encoded_bytes());
                role != Some(Role::Module) && !is_of_c_library(name)
            });
        if is_library {
            borrowed.entry(provider).or_default().push(Shown(symbol.name()).to_string());
        }
    }
    let libraries: Vec<(String, String, &Vec<String>)> = borrowed
        .iter()
        .filter_map(|(&id, names)| {
            let library = process.object(id)?;
            let by = library.loader().and_then(|loader| process.object(loader));
            let by = by.map_or_else(String::new, |by| base_name(by.path()));
            Some((shown_path(library.path()).to_string(), by, names))
        })
        .collect();
    let Some((first, by, names)) = libraries.first() else { return };
    let message = if libraries.len() == 1 {
        format!(
            "The file uses {} of {first}, which it does not need by DT_NEEDED: {by} brings it.",
            count(names.len(), "symbol")
        )
    } else {
        format!(
            "The file uses {} libraries that it does not need by DT_NEEDED: others bring them.",
            libraries.len()
        )
    };
    let subject = base_name(std::path::Path::new(first));
    let mut finding = sink.finding(cx.path(), &subject, message);
    for (library, by, names) in libraries.iter().take(LISTED) {
        let library = base_name(std::path::Path::new(library));
        finding = finding.evidence("uses", format!("{library} (by {by}): {}", listed(*names)));
    }
    sink.report(finding.help("name the library when linking"));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("x.so", &module().needed("libpq.so.5").import("PQexec").import("SSL_new"))
            .object("/usr/lib/libpq.so.5", &library("libpq.so.5").needed("libssl.so.3").export("PQexec"))
            .object("/usr/lib/libssl.so.3", &library("libssl.so.3").export("SSL_new"))
    }

    pub(crate) fn silent() -> Case {
        let object = module().needed("libpq.so.5").needed("libssl.so.3").import("PQexec").import("SSL_new");
        firing().object("x.so", &object)
    }

    #[test]
    fn a_symbol_of_a_library_that_another_one_brings_is_good_to_know() {
        let finding = firing().one(&UNDECLARED_DEPENDENCY);
        assert_eq!(
            finding.message,
            "The file uses 1 symbol of /usr/lib/libssl.so.3, which it does not need by DT_NEEDED: libpq.so.5 brings it."
        );
        assert_eq!(finding.texts("uses"), ["libssl.so.3 (by libpq.so.5): SSL_new"]);
    }
}
