use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::check::{Finding, Severity, Sink, TreeCx, declare_rule};
use crate::fs::FileId;
use crate::model::NameHash;
use crate::name::{Name, Shown, shown_path};
use crate::resolve::{Libc, Object, UNLOADED, VersionMatch, checks_of, unloaded_file};
use crate::rules::command::file_word;
use crate::rules::evidence::{base_name, consequence, listed, told_if_first};
use crate::rules::reach::judged;
use crate::tree::{Load, Tree, TreeFile};

declare_rule! {
    /// A library lacks a symbol version that an object needs of it.
    ///
    /// ## What it checks
    ///
    /// Every DT_VERNEED entry of the file and of what it brings against the DT_VERDEF of the library that is really
    /// chosen, which may be one that the server loaded before.
    ///
    /// ## Why it matters
    ///
    /// glibc refuses the object: ``version `V' not found (required by x.so)``. A library without any versions is taken
    /// without a word under `dlopen`, although it is another build than the one that was linked with; up to glibc
    /// 2.36 the whole process aborts when such a library has no version table at all and one of the versioned symbols is
    /// bound to it. It aborts as well where nothing has loaded the library that the entry names. musl does not look at
    /// versions.
    ///
    /// ## When it fires
    ///
    /// The module was built against libssl 3.2 and needs `OPENSSL_3.2.0`; the server has loaded the system's libssl 3.0,
    /// and a private copy beside the module is never opened. Or `patchelf --remove-needed` took a library away whose
    /// versions are still needed.
    ///
    /// ## How to fix
    ///
    /// Build against the oldest version of the library that is supported, or install the newer one for the whole server.
    ///
    /// ## What it cannot see
    ///
    /// Whether a library without versions has the right functions all the same.
    ///
    /// ## References
    ///
    /// glibc elf/dl-version.c `_dl_check_map_versions`, elf/dl-lookup.c `check_match`.
    pub(crate) static VERSION_NOT_PROVIDED = {
        code: "PGS202",
        name: "version-not-provided",
        group: Symbols,
        severity: Error,
        check: Tree(check),
    }
}

/// What one requester needs of one library in vain.
struct Lacking<'t> {
    load: &'t Load,
    requester: &'t Object,
    provider: &'t Object,
    missing: Vec<&'t Name>,
    unversioned: Vec<&'t Name>,
    files: Vec<&'t TreeFile>,
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    for lacking in lacking(tree) {
        let finding = if lacking.missing.is_empty() {
            unversioned(tree, sink, &lacking)
        } else {
            missing(tree, sink, &lacking)
        };
        sink.report(finding);
    }
    let mut told: BTreeSet<FileId> = BTreeSet::new();
    for (file, load) in judged(tree).filter(|(_, load)| load.process.env().libc != Libc::Musl) {
        let closure = load.root.map(|root| load.process.closure(root)).unwrap_or_default();
        for id in closure {
            if let (Some(object), Some(name)) = (load.process.object(id), unloaded_file(&load.process, id))
                && told.insert(object.id())
            {
                sink.report(unloaded(tree, sink, file, object, name));
            }
        }
    }
}

/// DT_VERNEED names a file that is none of the dependencies.
fn unloaded(tree: &Tree, sink: &Sink<'_>, file: &TreeFile, object: &Object, name: &Name) -> Finding {
    let own = tree.find(object.id()).map(|own| &own.path);
    let who = if own.is_some() { String::new() } else { format!("{} ", shown_path(object.path())) };
    let message = format!(
        "{who}DT_VERNEED asks {name} for versions, and nothing loads {name}: the loader ends the process."
    );
    sink.finding(own.unwrap_or(&file.path), name, message)
        .severity(crate::rules::loader::severity(file))
        .evidence("the loader", UNLOADED)
        .help(format!("patchelf --add-needed {name} {}, or link it anew", file_word(object.path())))
}

fn lacking(tree: &Tree) -> Vec<Lacking<'_>> {
    let mut found: Vec<Lacking<'_>> = Vec::new();
    let mut known: HashMap<(FileId, FileId), usize> = HashMap::new();
    for (file, load) in judged(tree) {
        if load.process.env().libc == Libc::Musl {
            continue;
        }
        let Some(root) = load.root else { continue };
        for id in load.process.closure(root) {
            let Some(requester) = load.process.object(id) else { continue };
            let mut here: Vec<usize> = Vec::new();
            for check in checks_of(&load.process, id) {
                if !matches!(check.result, VersionMatch::Missing | VersionMatch::Unversioned) {
                    continue;
                }
                let Some(provider) = load.process.object(check.provider) else { continue };
                let key = (requester.id(), provider.id());
                let is_new = !known.contains_key(&key);
                let at = *known.entry(key).or_insert_with(|| {
                    let (missing, unversioned, files) = (Vec::new(), Vec::new(), vec![file]);
                    found.push(Lacking { load, requester, provider, missing, unversioned, files });
                    found.len() - 1
                });
                if is_new {
                    here.push(at);
                }
                let lacking = &mut found[at];
                if here.contains(&at) {
                    let list = match check.result {
                        VersionMatch::Missing => &mut lacking.missing,
                        _ => &mut lacking.unversioned,
                    };
                    list.push(&check.version.name);
                } else if lacking.files.last().is_none_or(|last| last.path != file.path) {
                    lacking.files.push(file);
                }
            }
        }
    }
    found
}

impl<'t> Lacking<'t> {
    fn file(&self) -> &'t TreeFile {
        self.files[0]
    }

    /// The requester where it is a file of the tree, else the first file that brings it.
    fn path(&self, tree: &'t Tree) -> &'t Path {
        tree.find(self.requester.id()).map_or(&self.file().path, |file| &file.path)
    }

    fn who(&self, tree: &Tree) -> String {
        match tree.find(self.requester.id()) {
            Some(_) => String::new(),
            None => format!("{} ", shown_path(self.requester.path())),
        }
    }

    fn evidence(&self, tree: &'t Tree, mut finding: Finding) -> Finding {
        let path = self.path(tree);
        let defined: Vec<&Name> = self
            .provider
            .module()
            .elf()
            .and_then(|elf| elf.version_definitions.get())
            .into_iter()
            .flatten()
            .filter(|definition| !definition.is_base)
            .map(|definition| &definition.name)
            .collect();
        if !defined.is_empty() {
            finding = finding.evidence("it defines", listed(defined));
        }
        let others: Vec<&&TreeFile> = self.files.iter().filter(|file| file.path != path).collect();
        if others.is_empty() {
            finding
        } else {
            finding.evidence("brought by", listed(others.iter().map(|file| base_name(&file.path))))
        }
    }
}

fn missing(tree: &Tree, sink: &Sink<'_>, lacking: &Lacking<'_>) -> Finding {
    let (file, provider) = (lacking.file(), lacking.provider.path());
    let message = format!(
        "{}DT_VERNEED asks {} for {}, and {} does not define {}: {}.",
        lacking.who(tree),
        base_name(provider),
        listed(&lacking.missing),
        shown_path(provider),
        if lacking.missing.len() == 1 { "it" } else { "them" },
        consequence(file)
    );
    let finding = sink
        .finding(lacking.path(tree), lacking.missing[0], message)
        .severity(crate::rules::loader::severity(file));
    let finding = lacking.evidence(tree, finding);
    // `_dl_check_map_versions`.
    let told = format!(
        "{}: version `{}' not found (required by {})",
        shown_path(provider),
        lacking.missing[0],
        shown_path(lacking.requester.path())
    );
    told_if_first(finding, tree, file, &told).help(format!(
        "build with the {} of the oldest system that is supported, or install the newer one",
        base_name(provider)
    ))
}

fn unversioned(tree: &Tree, sink: &Sink<'_>, lacking: &Lacking<'_>) -> Finding {
    let (file, provider) = (lacking.file(), lacking.provider.path());
    let libc = lacking.load.process.env().libc;
    let aborts = !libc.is_glibc_since(2, 37)
        && lacking.provider.module().elf().is_some_and(|elf| !elf.has_version_symbols);
    let bound = if aborts { bound_symbol(lacking) } else { None };
    let asked = format!(
        "{}DT_VERNEED asks {} for {}, and {} defines no versions at all",
        lacking.who(tree),
        base_name(provider),
        listed(&lacking.unversioned),
        shown_path(provider)
    );
    let finding = if let Some(symbol) = &bound {
        let message = format!("{asked} and has no version table: {libc} aborts the process at {symbol}.");
        sink.finding(lacking.path(tree), lacking.unversioned[0], message)
            .severity(crate::rules::loader::severity(file))
            .evidence(
                "the loader",
                "Inconsistency detected by ld.so: dl-lookup.c: check_match: Assertion `version->filename == NULL || ! \
                 _dl_name_match_p (version->filename, map)' failed!",
            )
    } else {
        let message = format!("{asked}: the loader takes another build of the library without a word.");
        sink.finding(lacking.path(tree), lacking.unversioned[0], message).severity(Severity::Warning)
    };
    let finding = lacking.evidence(tree, finding);
    finding.help(format!("install the build of {} that was linked with", base_name(provider)))
}

/// A symbol that the requester wants in a version of the library, and that the library defines without any.
fn bound_symbol(lacking: &Lacking<'_>) -> Option<String> {
    let provider = lacking.provider;
    let exports = provider.module().symbols.get()?;
    let needs = lacking.requester.module().elf()?.version_needs.get()?;
    let imports = lacking.requester.module().symbols.get()?.imports();
    imports
        .filter(|symbol| {
            let need = symbol.version().and_then(|version| version.need);
            need.and_then(|need| needs.get(need as usize)).is_some_and(|need| {
                provider.module().soname.as_ref() == Some(&need.file)
                    || provider.path().file_name().is_some_and(|name| name == need.file.as_path())
            })
        })
        .find(|symbol| exports.lookup(symbol.name(), NameHash::of(symbol.name())).next().is_some())
        .map(|symbol| Shown(symbol.name()).to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};
    use pgsym_testkit::{SharedObject, VersionDefault, VersionNeed};

    fn needs(version: &str) -> SharedObject {
        module().needed("libfoo.so.1").version_requirement("libfoo.so.1", version, VersionNeed::Strong)
    }

    fn defines(version: &str) -> SharedObject {
        library("libfoo.so.1").export_versioned("foo", version, VersionDefault::Default)
    }

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &needs("FOO_2")).object("/usr/lib/libfoo.so.1", &defines("FOO_1"))
    }

    pub(crate) fn silent() -> Case {
        firing().object("/usr/lib/libfoo.so.1", &defines("FOO_2"))
    }

    #[test]
    fn a_version_that_the_library_lacks_is_refused_in_the_servers_words() {
        let finding = firing().one(&VERSION_NOT_PROVIDED);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "DT_VERNEED asks libfoo.so.1 for FOO_2, and /usr/lib/libfoo.so.1 does not define it: the server cannot load \
             the module."
        );
        assert_eq!(finding.texts("it defines"), ["FOO_1"]);
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": /usr/lib/libfoo.so.1: version `FOO_2' not found \
              (required by /pg/lib/x.so)"
            ]
        );
    }

    #[test]
    fn versions_of_a_file_that_nobody_loads_end_the_process() {
        let module = module().version_requirement("libgone.so.1", "V1", VersionNeed::Weak);
        let finding = Case::new().object("x.so", &module).one(&VERSION_NOT_PROVIDED);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "DT_VERNEED asks libgone.so.1 for versions, and nothing loads libgone.so.1: the loader ends the process."
        );
        // A library that is missing is a finding of its own.
        let missing = module.needed("libgone.so.1");
        assert!(Case::new().object("x.so", &missing).run(&VERSION_NOT_PROVIDED).is_empty());
    }

    #[test]
    fn a_library_without_versions_is_taken_without_a_word() {
        let case = firing().object("/usr/lib/libfoo.so.1", &library("libfoo.so.1").export("bar"));
        let finding = case.one(&VERSION_NOT_PROVIDED);
        assert_eq!(finding.severity, Severity::Warning);
    }

    #[test]
    fn an_old_glibc_aborts_at_a_versioned_symbol_of_a_library_without_a_table() {
        let object = module().needed("libfoo.so.1").import_versioned("foo", "libfoo.so.1", "FOO_2");
        let case = |glibc: &str| {
            Case::with_glibc(glibc)
                .object("x.so", &object)
                .object("/usr/lib/libfoo.so.1", &library("libfoo.so.1").export("foo"))
        };
        let finding = case("2.36").one(&VERSION_NOT_PROVIDED);
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.message.ends_with("glibc 2.36 aborts the process at foo."), "{finding:?}");
        assert_eq!(case("2.41").one(&VERSION_NOT_PROVIDED).severity, Severity::Warning);
    }
}
