use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::model::Symbol;
use crate::name::{Shown, shown_path};
use crate::postgres::Verdict;
use crate::resolve::{Edge, LoadErrorKind, Object, ObjectId, Process, Via, accepts};
use crate::rules::evidence::{base_name, count, listed};
use crate::rules::lead::{Place, lead_to, named};
use crate::tree::{Load, Role, Tree, TreeFile};

declare_rule! {
    /// A symbol that the module imports is defined neither by the server nor by what the module brings.
    ///
    /// ## What it checks
    ///
    /// Every reference that a relocation of the module, or of a library that it brings, makes: looked up as the loader
    /// does, in the server, its libraries, the preloaded modules, and what the module brings itself, versions included.
    ///
    /// ## Why it matters
    ///
    /// The server opens modules with RTLD_NOW: one symbol without a definition, and the module does not load, even if
    /// the function were never called. Such modules were built for another major version, forgot a library on the link
    /// line, or expect another module to be loaded before them.
    ///
    /// The built-in server of `--pg-version` is of one minor release. A name that no built-in server of any major has may be one
    /// that a later minor release added, and is a warning then: the server itself, or `pgsym profile` of it, makes it certain.
    ///
    /// ## When it fires
    ///
    /// A module calls `get_extension_schema`, which PostgreSQL 15 does not export.
    ///
    /// ## How to fix
    ///
    /// Where the tree has another file of a library that the module needs, and that one defines the symbol, lead the module there:
    /// the finding has the command. Where another module of the tree defines the symbol, load that one first: it stands in the finding. Else link the
    /// library that defines it (`-lfoo` behind the objects), or build for the server's major version.
    ///
    /// ## What it cannot see
    ///
    /// Weak references, which stay zero: whether the code tests for that. Symbols of a module that lacks a whole library:
    /// missing-dependency and bad-candidate own that, and the symbols are looked at once the library is there.
    ///
    /// ## References
    ///
    /// glibc elf/dl-lookup.c `_dl_lookup_symbol_x`; PostgreSQL src/backend/utils/fmgr/dfmgr.c.
    pub(crate) static UNRESOLVED_IMPORT = {
        code: "PGS201",
        name: "unresolved-import",
        group: Symbols,
        severity: Error,
        check: Tree(check),
    }
}

/// The unresolved symbols of one object.
struct Unresolved {
    /// As they are told, versions included.
    symbols: BTreeSet<String>,
    /// Modules of the tree that define one of them.
    providers: BTreeSet<String>,
    /// Files of the tree that bring the object, in path order.
    files: Vec<usize>,
    /// What the server says of the first of them.
    said: Option<String>,
    /// A library that the object needs, as it is found and as the tree has it with the symbols.
    other: Option<Other>,
    /// Whether a later minor release of the server may have them all.
    is_in_doubt: bool,
}

/// Another file of a library: what is found lacks the symbols, the tree's has them.
struct Other {
    found: PathBuf,
    has_them: PathBuf,
    /// What leads there.
    commands: Option<String>,
}

/// The file of the tree that has all symbols which an object lacks, under a name that the object needs and that leads to
/// another file.
fn other_file(tree: &Tree, load: &Load, id: ObjectId) -> Option<Other> {
    let (process, object) = (&load.process, load.process.object(id)?);
    let target = process.env().target;
    let libc = process.env().libc;
    let bindings = process.bindings(id);
    let lacking: Vec<Symbol<'_>> = bindings
        .iter()
        .filter(|binding| binding.is_unresolved())
        .map(|binding| binding.reference.symbol)
        .collect();
    object.edges().iter().find_map(|edge| {
        let found = process.object(*edge.target.as_ref().ok()?)?;
        let fits = |file: &&TreeFile| {
            let Ok(module) = &file.module else { return false };
            let is_of_name =
                || module.soname.as_ref() == Some(&edge.name) || named(tree, file, &edge.name).is_some();
            module.id != found.id()
                && module.target.same_machine(target)
                && lacking.iter().all(|symbol| accepts(module, *symbol, libc).is_some())
                && is_of_name()
        };
        let other = tree.files().iter().find(fits)?;
        // Who searched for it, which need not be the one who lacks the symbols.
        let searching = process.load_order().find_map(|(id, object)| {
            let is_search = |edge: &&Edge| {
                edge.via != Some(Via::Loaded)
                    && edge.target.as_ref().ok().and_then(|&id| process.object(id)).map(Object::id)
                        == Some(found.id())
            };
            object.edges().iter().find(is_search).map(|edge| (id, edge))
        });
        let commands = searching.and_then(|(id, edge)| {
            let requester = tree.find(process.object(id)?.id())?;
            lead_to(tree, requester, &edge.name, other, Some(Place::First))
        });
        let has_them = named(tree, other, &edge.name).unwrap_or_else(|| other.path.clone());
        Some(Other { found: found.path().to_owned(), has_them, commands })
    })
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(server) = tree.process() else { return };
    for (path, unresolved) in unresolved_objects(tree, server) {
        report(tree, &path, &unresolved, sink);
    }
}

/// The objects with unresolved symbols, by their paths.
fn unresolved_objects(tree: &Tree, server: &Process) -> BTreeMap<PathBuf, Unresolved> {
    let mut objects: BTreeMap<PathBuf, Unresolved> = BTreeMap::new();
    for (index, file) in tree.files().iter().enumerate() {
        let Some(load) = file.load.as_ref().filter(|_| file.role == Role::Module) else { continue };
        // What loads has every symbol, and what a library that is not there would define cannot be told: that library
        // is the finding.
        let Some(failure) = load.failure.as_ref().filter(|failure| !failure.kind.is_of_a_file()) else {
            continue;
        };
        for (id, object) in load.process.added_since(server) {
            let bindings = load.process.bindings(id);
            let path = tree.find(object.id()).map_or_else(|| object.path(), |own| &own.path);
            for binding in bindings.iter().filter(|binding| binding.is_unresolved()) {
                let entry = objects.entry(path.to_owned()).or_insert_with(|| Unresolved {
                    symbols: BTreeSet::new(),
                    providers: BTreeSet::new(),
                    files: Vec::new(),
                    said: None,
                    other: other_file(tree, load, id),
                    is_in_doubt: true,
                });
                entry.is_in_doubt &= failure.kind == LoadErrorKind::LaterMinor;
                if entry.files.last() != Some(&index) {
                    entry.files.push(index);
                }
                let symbol = binding.reference.symbol;
                let version =
                    symbol.version().map_or_else(String::new, |version| format!("@{}", version.name));
                entry.symbols.insert(format!("{}{version}", Shown(symbol.name())));
                let modules = tree.providers(symbol, file).filter(|other| other.role == Role::Module);
                entry.providers.extend(modules.map(|other| base_name(&other.path)));
                if entry.said.is_none()
                    && let Some(Verdict::Fails(message)) = &load.verdict
                {
                    entry.said = Some(message.to_string());
                }
            }
        }
    }
    objects
}

fn report(tree: &Tree, path: &Path, unresolved: &Unresolved, sink: &mut Sink<'_>) {
    let Unresolved { symbols, providers, said, other, is_in_doubt, .. } = unresolved;
    let files: Vec<&TreeFile> =
        unresolved.files.iter().filter_map(|&index| tree.files().get(index)).collect();
    let (Some(first), Some(subject)) = (files.first(), symbols.first()) else { return };
    let is_own = tree.files().iter().any(|file| file.path == path);
    let more = symbols.len() - 1;
    let names =
        if more == 0 { subject.clone() } else { format!("{subject} and {}", count(more, "more symbol")) };
    let who = if is_own { String::new() } else { format!(" of {}", shown_path(path)) };
    let verb = if more == 0 { "is" } else { "are" };
    let leads = if *is_in_doubt {
        "only a server of a later minor release may have what the built-in one lacks."
    } else {
        "the server cannot load the module."
    };
    let mut finding = sink.finding(
        if is_own { path } else { &first.path },
        subject,
        format!("{names}{who} {verb} defined by nothing that is loaded before: {leads}"),
    );
    if *is_in_doubt {
        finding = finding.severity(Severity::Warning);
    }
    if more > 0 {
        finding = finding.evidence("symbols", listed(symbols));
    }
    if files.len() > 1 {
        finding = finding.evidence("modules", listed(files.iter().map(|file| base_name(&file.path))));
    }
    if let Some(said) = said {
        finding = finding.evidence("the server", said.clone());
    }
    if let Some(other) = other {
        finding = finding
            .evidence("takes", shown_path(&other.found).to_string())
            .evidence("defined by", format!("{}, which is not found", shown_path(&other.has_them)));
        if let Some(commands) = &other.commands {
            return sink.report(finding.help(commands.clone()));
        }
    }
    let help = match providers.first() {
        Some(provider) => {
            finding = finding.evidence(
                "defined by",
                format!("{}, which would have to be loaded first", listed(providers)),
            );
            let module = base_name(&first.path);
            format!(
                "shared_preload_libraries = '{},{}'",
                provider.trim_end_matches(".so"),
                module.trim_end_matches(".so")
            )
        }
        None => {
            let help = "link the library that defines it, or build for this major version of the server";
            match tree.server().and_then(|server| server.facts.version.as_ref()) {
                Some(version) if *is_in_doubt => format!(
                    "name your server with --server, in the place of the built-in {version}; if it has it not: \
                     {help}"
                ),
                _ => help.to_owned(),
            }
        }
    };
    sink.report(finding.help(help));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().import("nobody_has_this"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().weak_import("nobody_has_this"))
    }

    #[test]
    fn a_built_in_server_is_of_a_minor_release() {
        let built_in = |import: &str| {
            let case = Case::new().object("x.so", &module().import("nobody_has_this").import(import));
            case.settings(|settings| settings.server = crate::tree::ServerChoice::Version(15))
                .one(&UNRESOLVED_IMPORT)
        };
        let doubt = built_in("palloc");
        assert_eq!(doubt.severity, Severity::Warning);
        assert!(doubt.message.contains("a later minor release"), "{}", doubt.message);
        assert!(doubt.help.contains("--server"), "{}", doubt.help);
        // 16 has the first of these; the second is C++, which no server exports.
        for certain in ["get_extension_schema", "_ZN4geos4geomE"] {
            assert_eq!(built_in(certain).severity, Severity::Error, "{certain}");
        }
        assert_eq!(firing().one(&UNRESOLVED_IMPORT).severity, Severity::Error);
    }

    #[test]
    fn the_message_of_the_server_is_shown() {
        let finding = firing().one(&UNRESOLVED_IMPORT);
        assert_eq!(
            finding.message,
            "nobody_has_this is defined by nothing that is loaded before: the server cannot load the module."
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: undefined symbol: nobody_has_this"
            ]
        );
    }

    #[test]
    fn a_module_that_lacks_a_library_is_the_business_of_another_rule() {
        let case = Case::new().object("x.so", &module().needed("libgone.so.1").import("nobody_has_this"));
        assert_eq!(case.run(&UNRESOLVED_IMPORT), []);
    }

    #[test]
    fn a_module_that_would_cure_it_is_named() {
        let case = firing().object("a.so", &module().export("nobody_has_this"));
        let finding = case.one(&UNRESOLVED_IMPORT);
        assert_eq!(finding.texts("defined by"), ["a.so, which would have to be loaded first"]);
        assert_eq!(finding.help, "shared_preload_libraries = 'a,x'");
    }

    #[test]
    fn a_preloaded_module_cures_it() {
        let case = firing()
            .object("a.so", &module().export("nobody_has_this"))
            .settings(|settings| settings.preload = vec!["a".to_owned()]);
        assert_eq!(case.run(&UNRESOLVED_IMPORT), []);
    }

    /// A module whose search path is that of another machine takes the system's library, which is older than its own.
    fn with_older_library() -> Case {
        let old = library("libpq.so.5").export("PQold");
        Case::new()
            .object("/lib/x86_64-linux-gnu/libpq.so.5", &old)
            .object("libpq.so.5.18", &old.clone().export("PQcancelCreate"))
            .symlink("/pg/lib/libpq.so.5", "libpq.so.5.18")
            .object(
                "x.so",
                &module().needed("libpq.so.5").runpath("/opt/gone").import("PQold").import("PQcancelCreate"),
            )
    }

    #[test]
    fn a_file_of_the_tree_that_has_the_symbol_is_led_to() {
        let finding = with_older_library().one(&UNRESOLVED_IMPORT);
        assert_eq!(finding.texts("takes"), ["/lib/x86_64-linux-gnu/libpq.so.5"]);
        assert_eq!(finding.texts("defined by"), ["/pg/lib/libpq.so.5, which is not found"]);
        assert_eq!(finding.help, "patchelf --set-rpath '$ORIGIN:/opt/gone' /pg/lib/x.so");
    }

    #[test]
    fn a_file_of_the_tree_that_lacks_it_too_is_no_way_out() {
        let finding =
            with_older_library().object("libpq.so.5.18", &library("libpq.so.5")).one(&UNRESOLVED_IMPORT);
        assert!(finding.texts("takes").is_empty());
        assert!(finding.help.starts_with("link the library"), "{}", finding.help);
    }
}
