use std::collections::HashMap;

use crate::check::{Finding, Severity, Sink, TreeCx, declare_rule};
use crate::fs::FileId;
use crate::name::shown_path;
use crate::resolve::{Object, ObjectId, PackedTable, UNANNOUNCED_RELR, lacks_abi_dt_relr, passed_over};
use crate::rules::evidence::{base_name, consequence, listed, told_if_first};
use crate::rules::reach::judged;
use crate::tree::{Load, TreeFile};

declare_rule! {
    /// An object packs its relocations in a way that its loader refuses or does not read.
    ///
    /// ## What it checks
    ///
    /// DT_RELR and DT_ANDROID_REL, DT_ANDROID_RELA and DT_ANDROID_RELR of the tree's files and of what they bring, against
    /// the loader of the process.
    ///
    /// ## Why it matters
    ///
    /// glibc reads DT_RELR since 2.36. It refuses an object that has it, needs `libc.so.6` and versions, and does not need
    /// the version `GLIBC_ABI_DT_RELR`: `DT_RELR without GLIBC_ABI_DT_RELR dependency`. An older glibc knows neither the tag
    /// nor that rule: every pointer of the object keeps its address from the file, and the first constructor that is
    /// called there ends the process. Android's tables no other loader reads.
    ///
    /// ## When it fires
    ///
    /// A module was linked with `lld --pack-dyn-relocs=relr`, which does not write the version dependency, or with
    /// `--pack-dyn-relocs=android`.
    ///
    /// ## How to fix
    ///
    /// Link with `-Wl,-z,pack-relative-relocs` (GNU ld 2.38, lld 15), which writes the dependency, or without
    /// packing.
    ///
    /// ## What it cannot see
    ///
    /// Which version of musl there is: DT_RELR is read since 1.2.4. A glibc that was patched not to ask, as ChromeOS's.
    ///
    /// ## References
    ///
    /// glibc elf/dl-version.c `_dl_check_map_versions`, elf/dl-init.c `call_init`; the generic ABI's `SHT_RELR`.
    pub(crate) static PACKED_RELOCATIONS = {
        code: "PGS108",
        name: "packed-relocations",
        group: Loader,
        severity: Error,
        check: Tree(check),
    }
}

/// What the loader makes of an object's packed relocations.
#[derive(Clone, Copy)]
enum Trouble {
    Refused,
    /// Not read, and a constructor stands in them.
    Called(PackedTable),
    /// Not read.
    Ignored(PackedTable),
}

/// One object in trouble, and the files that bring it.
struct Packed<'t> {
    load: &'t Load,
    object: &'t Object,
    trouble: Trouble,
    files: Vec<&'t TreeFile>,
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let mut found: Vec<Packed<'_>> = Vec::new();
    let mut known: HashMap<FileId, usize> = HashMap::new();
    for (file, load) in judged(tree) {
        let Some(root) = load.root else { continue };
        for id in load.process.closure(root) {
            let Some(object) = load.process.object(id) else { continue };
            if tree.process().is_some_and(|server| server.find_file(object.id()).is_some()) {
                continue;
            }
            let at = match known.get(&object.id()) {
                Some(&at) => at,
                None => {
                    let Some(trouble) = trouble(load, id, object) else { continue };
                    found.push(Packed { load, object, trouble, files: Vec::new() });
                    known.insert(object.id(), found.len() - 1);
                    found.len() - 1
                }
            };
            found[at].files.push(file);
        }
    }
    for packed in found {
        sink.report(finding(cx, sink, &packed));
    }
}

fn trouble(load: &Load, id: ObjectId, object: &Object) -> Option<Trouble> {
    let libc = load.process.env().libc;
    if lacks_abi_dt_relr(object.module(), libc) {
        return Some(Trouble::Refused);
    }
    let table = passed_over(object.module(), libc)?;
    Some(match load.process.unrebased_constructor(id) {
        Some(table) => Trouble::Called(table),
        None => Trouble::Ignored(table),
    })
}

fn finding(cx: &TreeCx<'_>, sink: &Sink<'_>, packed: &Packed<'_>) -> Finding {
    let (tree, file) = (cx.tree(), packed.files[0]);
    let libc = packed.load.process.env().libc;
    let own = tree.find(packed.object.id()).map(|own| &own.path);
    let path = own.unwrap_or(&file.path);
    let who = if own.is_some() { String::new() } else { format!("{}: ", shown_path(packed.object.path())) };
    let severity = crate::rules::loader::severity(file);
    let mut finding = match packed.trouble {
        Trouble::Refused => {
            let message = format!(
                "{who}DT_RELR, and no DT_VERNEED of GLIBC_ABI_DT_RELR beside libc.so.6: {libc} refuses it, so {}.",
                consequence(file)
            );
            let told = format!("{}: {UNANNOUNCED_RELR}", shown_path(packed.object.path()));
            let finding = sink.finding(path, "DT_RELR", message).severity(severity);
            told_if_first(finding, tree, file, &told)
        }
        Trouble::Called(table) => {
            let message = format!("{who}{}: calling it ends the process (SIGSEGV).", table.leaves(libc));
            sink.finding(path, subject(table), message).severity(severity)
        }
        Trouble::Ignored(table) => {
            let message = format!(
                "{who}{libc} does not read {}: what they rebase keeps its address from the file.",
                subject(table)
            );
            sink.finding(path, subject(table), message).severity(Severity::Warning)
        }
    };
    let others: Vec<&&TreeFile> = packed.files.iter().filter(|file| file.path != *path).collect();
    if !others.is_empty() {
        finding = finding.evidence("brought by", listed(others.iter().map(|file| base_name(&file.path))));
    }
    finding.help(match packed.trouble {
        Trouble::Refused => {
            "link with -Wl,-z,pack-relative-relocs (GNU ld 2.38, lld 15), which writes the dependency, or without \
             --pack-dyn-relocs"
        }
        _ => "link without --pack-dyn-relocs and -z pack-relative-relocs",
    })
}

fn subject(table: PackedTable) -> &'static str {
    match table {
        PackedTable::Relr => "the relocations of DT_RELR",
        PackedTable::Android => "Android's packed relocations",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};
    use pgsym_testkit::{RelativeStyle, SharedObject, VersionDefault, VersionNeed};

    const DT_INIT_ARRAY: u64 = 25;
    const DT_INIT_ARRAYSZ: u64 = 27;
    const DT_ANDROID_RELA: u64 = 0x6000_0011;

    fn relr(version: &str) -> SharedObject {
        module().relative_words(4).relative_style(RelativeStyle::Packed).version_requirement(
            "libc.so.6",
            version,
            VersionNeed::Weak,
        )
    }

    fn android() -> SharedObject {
        module().dynamic_entry(DT_ANDROID_RELA, 0x10)
    }

    pub(crate) fn firing() -> Case {
        let libc = SharedObject::new().soname("libc.so.6").export_versioned(
            "exit",
            "GLIBC_2.2.5",
            VersionDefault::Default,
        );
        Case::new().object("/lib/x86_64-linux-gnu/libc.so.6", &libc).object("x.so", &relr("GLIBC_2.2.5"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &relr("GLIBC_ABI_DT_RELR"))
    }

    #[test]
    fn relr_without_its_version_is_refused_in_the_servers_words() {
        let finding = firing().one(&PACKED_RELOCATIONS);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "DT_RELR, and no DT_VERNEED of GLIBC_ABI_DT_RELR beside libc.so.6: glibc 2.36 refuses it, so the server cannot \
             load the module."
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: DT_RELR without GLIBC_ABI_DT_RELR \
                 dependency"
            ]
        );
    }

    #[test]
    fn relr_of_what_needs_no_versions_or_no_c_library_is_not_asked_for_one() {
        let packed = |object: SharedObject| object.relative_words(4).relative_style(RelativeStyle::Packed);
        let no_versions = Case::new().object("x.so", &packed(module()));
        assert!(no_versions.run(&PACKED_RELOCATIONS).is_empty());
        let through = packed(SharedObject::new().magic(pgsym_testkit::Magic::pg(15)))
            .needed("libfoo.so.1")
            .version_requirement("libfoo.so.1", "V1", VersionNeed::Weak);
        let no_libc =
            Case::new().object("x.so", &through).object("/usr/lib/libfoo.so.1", &library("libfoo.so.1"));
        assert!(no_libc.run(&PACKED_RELOCATIONS).is_empty());
    }

    #[test]
    fn a_glibc_before_2_36_does_not_read_relr() {
        let finding = Case::with_glibc("2.35").object("x.so", &relr("GLIBC_2.2.5")).one(&PACKED_RELOCATIONS);
        assert_eq!(finding.severity, Severity::Warning, "no constructor stands in it");
    }

    #[test]
    fn a_constructor_in_androids_table_is_called_where_nothing_is() {
        let module = android().dynamic_entry(DT_INIT_ARRAY, 0x100).dynamic_entry(DT_INIT_ARRAYSZ, 8);
        let finding = Case::new().object("x.so", &module).one(&PACKED_RELOCATIONS);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "a constructor's address stands in Android's packed relocations, which glibc 2.36 does not read: calling it \
             ends the process (SIGSEGV)."
        );
        let without = Case::new().object("x.so", &android()).one(&PACKED_RELOCATIONS);
        assert_eq!(without.severity, Severity::Warning);
    }
}
