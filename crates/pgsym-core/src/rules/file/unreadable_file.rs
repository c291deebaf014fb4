use std::collections::HashSet;
use std::io;
use std::path::Path;

use object::elf;

use super::in_place::{is_in_place_of_module, module_directories, no_shared_object};
use super::read_only_dynamic::read_only;
use crate::check::{Finding, ModuleCx, Severity, Sink, TreeCx, declare_rule};
use crate::discover::{Format, has_library_name, named_pkglibdir, staged_root};
use crate::error::{FileError, FileErrorKind};
use crate::model::{Module, Segment};
use crate::name::shown_path;
use crate::parse::elf::memory::loses_a_page;
use crate::resolve::{LoadErrorKind, Outcome};
use crate::rules::evidence::{base_name, count, name_root, told};
use crate::tree::{Role, Tree};

declare_rule! {
    /// A file that looks like a library cannot be read as one.
    ///
    /// ## What it checks
    ///
    /// Files with a library's name that are empty, text, no regular files, or symbolic links that lead nowhere or to
    /// themselves; directories that cannot be entered; files that end before their segments do; files that the loader
    /// refuses though they are ELF; object files and programs with a module's name (`x.so`) that were asked about or stand
    /// among modules; and tables inside a file that point outside of it. What cannot be read is never taken for empty.
    /// Symbolic links to directories outside of the tree are good to know: they are not entered.
    ///
    /// ## Why it matters
    ///
    /// `LOAD` fails on such a file with `file too short`, `invalid ELF header` or the like. A file that ends too early, or
    /// whose PT_DYNAMIC leads nowhere, kills the backend that loads it with SIGBUS or SIGSEGV; so does a `.dynamic` in a page
    /// that a later PT_LOAD makes read-only, as patchelf has left some, since the loader writes to it. Of another table
    /// that cannot be read nothing is known, so the other rules are silent about it.
    ///
    /// ## When it fires
    ///
    /// A copy onto a full disk left an empty `x.so`; a symbolic link survived the package that its target was in.
    ///
    /// ## How to fix
    ///
    /// Install the file again: `dpkg --verify PACKAGE` or `rpm -V PACKAGE` tells whose it is. Remove links that lead
    /// nowhere. Name the directories behind links as well, where they belong to the tree.
    ///
    /// ## What it cannot see
    ///
    /// Damage inside code and data. A file that only the current user may not read is a warning: the server may be allowed
    /// to. A linker script (`libx.so` as text) is good to know, since the linker wants it; where the loader meets it,
    /// `bad-candidate` tells. FIFOs, sockets and devices are not opened. Files of debug information that was split from a
    /// binary (`x.so.debug`) are left alone where no server takes them for modules. Windows binaries are counted, once.
    /// A link `libx.so` without its target is good to know where no server takes files for modules: a package with headers has
    /// it for the linker, and the target is in the package of the library. An absolute link that finds its target in the staging tree around it is a warning: `--root` tells where the tree is
    /// meant to stand.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `open_verify`; PostgreSQL src/backend/utils/fmgr/dfmgr.c `internal_load_library`.
    pub(crate) static UNREADABLE_FILE = {
        code: "PGS901",
        name: "unreadable-file",
        group: File,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let met = met_by_searches(cx.tree());
    let module_directories = module_directories(cx.tree());
    for file in cx.files() {
        check_file(&file, sink, &met, &module_directories);
    }
    windows(cx, sink);
}

/// Windows binaries among others: told once.
fn windows(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let windows = cx.tree().windows();
    if let Some(first) = &windows.first {
        let others = match windows.count {
            1 => String::new(),
            count => format!(", one of {count}"),
        };
        let message = format!("The file is a Windows binary (PE){others}: Windows builds are not read.");
        sink.report(sink.finding(first, base_name(first), message).severity(Severity::Info));
    }
}

/// The files at which a search ends in vain: `bad-candidate` tells of them.
fn met_by_searches(tree: &Tree) -> HashSet<&Path> {
    let loads = tree.files().iter().filter_map(|file| file.load.as_ref());
    let edges = loads.flat_map(|load| load.process.load_order()).flat_map(|(_, object)| object.edges());
    edges
        .filter(|edge| edge.target.is_err())
        .flat_map(|edge| &edge.searched)
        .filter(|probe| matches!(probe.outcome, Outcome::Refused(_)))
        .map(|probe| probe.path.as_path())
        .collect()
}

fn check_file(
    cx: &ModuleCx<'_>,
    sink: &mut Sink<'_>,
    met: &HashSet<&Path>,
    module_directories: &HashSet<&Path>,
) {
    let file = cx.file();
    if file.format == Ok(Format::Windows) && !has_library_name(cx.path()) {
        return;
    }
    if let Err(error) = file.module.as_ref().map(|_| ()).and_then(|()| file.format.as_ref().map(|_| ())) {
        if error.kind != FileErrorKind::Limit && !met.contains(cx.path()) {
            let is_development_link = is_development_link(cx, error, module_directories);
            sink.report(if is_development_link {
                development_link(cx, sink)
            } else {
                whole_file(cx, sink, error)
            });
        }
        return;
    }
    let is_in_place = is_in_place_of_module(cx, module_directories);
    if is_in_place && let Some(finding) = no_shared_object(cx, sink) {
        sink.report(finding);
        return;
    }
    if cx.module().is_some_and(|module| module.is_debug_file()) {
        return;
    }
    if let Some(failure) = cx.load().and_then(|load| load.failure.as_ref().filter(|_| load.root.is_none()))
        && matches!(failure.kind, LoadErrorKind::Refused | LoadErrorKind::Unreadable)
        && matches!(cx.role(), Role::Module | Role::Library)
    {
        let reason = failure.message.rsplit_once(": ").map_or(&*failure.message, |(_, reason)| reason);
        let message = format!("The loader refuses the file ({reason}).");
        let finding = sink.finding(cx.path(), "ELF header", message);
        // What the damage left does not tell what the file was for; its place does.
        let severity = if is_in_place { Severity::Error } else { crate::rules::loader::severity(file) };
        let finding = finding.severity(severity);
        sink.report(told(finding, cx.tree(), file, &failure.message).help("build or install the file again"));
    }
    let Some(module) = cx.module() else { return };
    if let Some(finding) = cut_off(cx, sink, module) {
        sink.report(finding);
        return;
    }
    if let Some(finding) = read_only(cx, sink, module) {
        sink.report(finding);
    }
    let mut tables = super::unreadable_tables(module);
    tables.retain(|(_, error)| error.kind != FileErrorKind::Limit);
    if let Some((first, error)) = tables.first() {
        let more = if tables.len() > 1 {
            format!(", and {} more,", count(tables.len() - 1, "table"))
        } else {
            String::new()
        };
        let message = format!("{error}: what {first} says{more} is not known.");
        // The loader follows PT_DYNAMIC without looking: the process that loads the file dies.
        let severity = if *first == "PT_DYNAMIC" { Severity::Error } else { Severity::Warning };
        let mut finding = sink.finding(cx.path(), first, message).severity(severity);
        for (name, error) in &tables {
            finding = finding.evidence("cannot read", format!("{name}: {error}"));
        }
        sink.report(finding.help("build or install the file again; pgsym inspect shows what can be read"));
    }
}

/// A file that ends before its segments do. The loader maps it all the same; touching a page that lies wholly behind
/// the end is SIGBUS, and the rest of a page that is cut is zeros.
fn cut_off(cx: &ModuleCx<'_>, sink: &Sink<'_>, module: &Module) -> Option<Finding> {
    if cx.role() == Role::Other {
        return None;
    }
    let end = |segment: &Segment| segment.offset.saturating_add(segment.file_size);
    let loses_a_page = |segment: &Segment| loses_a_page(segment, module.len);
    let cut = || {
        let loads = module.elf().map_or(&[][..], |elf| &elf.segments).iter().enumerate();
        loads.filter(|(_, segment)| {
            segment.kind == elf::PT_LOAD.0 && segment.file_size > 0 && end(segment) > module.len
        })
    };
    let (index, segment) = cut().find(|(_, segment)| loses_a_page(segment)).or_else(|| cut().next())?;
    let (end, loses_a_page) = (end(segment), loses_a_page(segment));
    let leads = if loses_a_page {
        "the process that touches what is missing dies with SIGBUS"
    } else {
        "the loader reads zeros in place of what is missing"
    };
    let message = format!(
        "The file is cut off: program header {index} (PT_LOAD) ends at offset {end:#x}, the file at {:#x}: {leads}.",
        module.len
    );
    // What a file was for can hardly be told of a part of it: damage is damage, whoever loads it.
    let severity = if loses_a_page { Severity::Error } else { Severity::Warning };
    Some(
        sink.finding(cx.path(), "PT_LOAD", message)
            .severity(severity)
            .help("build or install the file again"),
    )
}

/// Whether a symbolic link that leads nowhere is there for a linker: `libx.so` of a package with headers, whose target is in
/// another one. Where the server takes files for modules, it would meet it.
fn is_development_link(cx: &ModuleCx<'_>, error: &FileError, module_directories: &HashSet<&Path>) -> bool {
    let path = cx.path();
    let is_library = base_name(path).starts_with("lib");
    let has_no_version = path.extension().is_some_and(|suffix| suffix == "so" || suffix == "dylib");
    let is_module = || {
        let directory = path.parent();
        cx.file().is_named
            || directory.is_some_and(|directory| module_directories.contains(directory))
            || named_pkglibdir(path).map(|(pkglibdir, _)| pkglibdir) == directory
    };
    let is_link_to_nothing = error.kind == FileErrorKind::Io(io::ErrorKind::NotFound)
        && staged_root(cx.tree().store().fs(), path).is_none();
    is_link_to_nothing && is_library && has_no_version && !is_module()
}

fn development_link(cx: &ModuleCx<'_>, sink: &Sink<'_>) -> Finding {
    let target = cx.tree().store().fs().read_link(cx.path());
    let target = target.map_or_else(|_| String::new(), |target| format!(" {}", shown_path(&target)));
    let message = format!("The symbolic link leads to{target}, which is not here: only a linker follows it.");
    let finding = sink.finding(cx.path(), base_name(cx.path()), message).severity(Severity::Info);
    finding.help("see that whoever builds against the package gets the library too")
}

fn whole_file(cx: &ModuleCx<'_>, sink: &Sink<'_>, error: &FileError) -> Finding {
    let path = shown_path(cx.path());
    if error.kind == FileErrorKind::LinkedDirectory {
        let message = format!("It is {error}: what lies there is not looked at.");
        return sink
            .finding(cx.path(), base_name(cx.path()), message)
            .severity(Severity::Info)
            .help("name that directory too, if it belongs to the tree");
    }
    if error.kind == FileErrorKind::Io(io::ErrorKind::NotFound)
        && let Some(root) = staged_root(cx.tree().store().fs(), cx.path())
    {
        let message =
            "The symbolic link leads to a file of this tree only where the tree is installed at its root.";
        let finding = sink.finding(cx.path(), base_name(cx.path()), message.to_owned());
        return finding.severity(Severity::Warning).help(name_root(&root));
    }
    let is_linker_script = matches!(cx.file().format, Ok(Format::LinkerScript));
    let mut finding =
        sink.finding(cx.path(), base_name(cx.path()), format!("The file cannot be read: {error}."));
    let (severity, server) = match error.kind {
        _ if is_linker_script => (Severity::Info, None),
        // src/backend/utils/fmgr/dfmgr.c: stat comes before dlopen.
        FileErrorKind::Io(io::ErrorKind::NotFound) | FileErrorKind::LinkLoop => {
            (Severity::Error, Some(format!("could not access file \"{path}\": {error}")))
        }
        FileErrorKind::Io(_) | FileErrorKind::NotRegular => (Severity::Warning, None),
        FileErrorKind::Unsupported | FileErrorKind::LinkedDirectory => (Severity::Info, None),
        FileErrorKind::TooShort if cx.file().metadata.is_some_and(|metadata| metadata.len < 64) => {
            (Severity::Error, Some(format!("could not load library \"{path}\": {path}: file too short")))
        }
        FileErrorKind::NotAnObject if cx.file().metadata.is_some_and(|metadata| metadata.len >= 64) => {
            (Severity::Error, Some(format!("could not load library \"{path}\": {path}: invalid ELF header")))
        }
        FileErrorKind::NotAnObject => {
            (Severity::Error, Some(format!("could not load library \"{path}\": {path}: file too short")))
        }
        FileErrorKind::TooShort | FileErrorKind::Malformed | FileErrorKind::Limit => (Severity::Error, None),
    };
    finding = finding.severity(severity);
    if let Some(server) = server.filter(|_| cx.server().is_some()) {
        finding = finding.evidence("the server", format!("ERROR:  {server}"));
    }
    finding.help(match error.kind {
        _ if is_linker_script => "leave it to the package with the headers; nothing loads it",
        FileErrorKind::Io(io::ErrorKind::NotFound) => "remove the link, or install what it leads to",
        FileErrorKind::LinkLoop => "remove the link: it leads to itself",
        FileErrorKind::NotRegular | FileErrorKind::Io(io::ErrorKind::IsADirectory) => {
            "remove or rename it: a module is a regular file"
        }
        FileErrorKind::Io(_) => "run as a user who may read it",
        FileErrorKind::Unsupported => "",
        _ => "build or install the file again, or remove it",
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};
    use pgsym_testkit::{Damage, Export, ExportKind, Kind, ProgramHeaderField, SharedObject};

    pub(crate) fn firing() -> Case {
        Case::new().file("x.so", "")
    }

    pub(crate) fn silent() -> Case {
        // No library's name, and no ELF file: no business of ours.
        Case::new().file("README", "text").object("x.so", &module())
    }

    /// What `objcopy --only-keep-debug` leaves: the headers, and an empty PT_DYNAMIC.
    fn debug_information() -> SharedObject {
        library("libx.so.1").damage(Damage::ProgramHeader(2, ProgramHeaderField::FileSize, 0))
    }

    #[test]
    fn split_debug_information_is_left_alone_where_no_module_belongs() {
        let case = Case::new()
            .object("/pg/debug/usr/lib/x.so", &debug_information())
            .object("/pg/debug/.build-id/ab/cdef.debug", &debug_information())
            .roots(&["/pg/debug"]);
        assert!(case.run_all().is_empty(), "{:?}", case.run_all());
    }

    #[test]
    fn split_debug_information_in_a_modules_place_is_refused() {
        let finding = Case::new().object("x.so", &debug_information()).one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: object file has no dynamic section"
            ]
        );
    }

    #[test]
    fn windows_binaries_among_others_are_told_once() {
        let mut pe = vec![0; 0x84];
        pe[..2].copy_from_slice(b"MZ");
        pe[0x3c] = 0x80;
        pe[0x80..].copy_from_slice(b"PE\0\0");
        let case = Case::new().object("x.so", &module()).file("win/a.dll", pe.clone()).file("win/b.exe", pe);
        let finding = case.one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Info);
        assert_eq!(
            finding.message,
            "The file is a Windows binary (PE), one of 2: Windows builds are not read."
        );
    }

    #[test]
    fn an_empty_module_is_refused_in_the_servers_words() {
        let finding = firing().one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.message, "The file cannot be read: the file is empty.");
        assert_eq!(
            finding.texts("the server"),
            ["ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: file too short"]
        );
    }

    #[test]
    fn a_link_that_leads_nowhere_is_an_error() {
        let finding = Case::new().fs(|fs| fs.symlink("/pg/lib/x.so", "gone.so")).one(&UNREADABLE_FILE);
        assert_eq!(
            finding.texts("the server"),
            ["ERROR:  could not access file \"/pg/lib/x.so\": No such file or directory"]
        );
    }

    #[test]
    fn a_development_link_is_good_to_know_where_no_module_belongs() {
        let severity = |link: &str, target: &str| {
            let tree = Case::new().fs(|fs| fs.symlink(link, target)).roots(&["/dev", "/pg/lib"]);
            tree.fs(|fs| fs.directory("/dev")).one(&UNREADABLE_FILE).severity
        };
        assert_eq!(severity("/dev/usr/lib/x86_64-linux-gnu/libx.so", "libx.so.5.15"), Severity::Info);
        assert_eq!(severity("/dev/usr/lib/libx.dylib", "libx.5.dylib"), Severity::Info);
        // No linker follows these, and here a server would.
        assert_eq!(severity("/dev/usr/lib/x86_64-linux-gnu/x.so", "gone.so"), Severity::Error);
        assert_eq!(severity("/dev/usr/lib/postgresql/17/lib/libx.so", "libx.so.5.15"), Severity::Error);
        assert_eq!(severity("/pg/lib/libx.so", "libx.so.5.15"), Severity::Error);
    }

    #[test]
    fn an_absolute_link_into_its_own_stage_is_no_error() {
        let stage = Case::new()
            .object("/stage/usr/lib/x/x-1.so", &module())
            .fs(|fs| fs.symlink("/stage/usr/lib/pg/x.so", "/usr/lib/x/x-1.so"))
            .roots(&["/stage"]);
        let finding = stage.one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.help, "name the tree as the root of its paths: --root /stage");
    }

    #[test]
    fn a_link_to_itself_is_an_error_with_its_own_advice() {
        let finding = Case::new().fs(|fs| fs.symlink("/pg/lib/x.so", "x.so")).one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.texts("the server"),
            ["ERROR:  could not access file \"/pg/lib/x.so\": Too many levels of symbolic links"]
        );
        assert_eq!(finding.help, "remove the link: it leads to itself");
    }

    #[test]
    fn object_files_and_programs_among_modules_are_refused_in_the_servers_words() {
        let program = SharedObject::new().kind(Kind::PieExecutable).needed("libc.so.6");
        let finding = Case::new().object("x.so", &program).one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "The file has a module's name and is a program: the server does not load it as a module."
        );
        assert_eq!(
            finding.texts("the server"),
            ["ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: cannot dynamically load \
              position-independent executable"]
        );
    }

    #[test]
    fn programs_by_their_own_name_or_among_themselves_are_none_of_this_rules_business() {
        let program = SharedObject::new().kind(Kind::PieExecutable).needed("libc.so.6");
        let case = Case::new().object("x", &program).object("tools/x.so", &program);
        assert_eq!(case.run(&UNREADABLE_FILE), []);
    }

    #[test]
    fn damage_that_the_loader_refuses_is_an_error_in_the_place_of_a_module() {
        let refused = |path: &str| {
            let library = library("libx.so").damage(Damage::ProgramHeader(
                elf::PT_LOAD.0,
                ProgramHeaderField::Offset,
                0x123,
            ));
            Case::new().object(path, &library).run(&UNREADABLE_FILE)
        };
        assert_eq!(refused("x.so").iter().map(|finding| finding.severity).max(), Some(Severity::Error));
        assert_eq!(
            refused("sub/libx.so.1").iter().map(|finding| finding.severity).max(),
            Some(Severity::Warning)
        );
    }

    #[test]
    fn a_link_to_a_directory_elsewhere_is_named_with_its_target() {
        let case = Case::new().fs(|fs| fs.directory("/srv/more").symlink("/pg/lib/more", "/srv/more"));
        let finding = case.one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Info);
        assert_eq!(
            finding.message,
            "It is a symbolic link to the directory /srv/more, which is not entered: what lies there is not looked at."
        );
        let inside = Case::new().fs(|fs| fs.directory("/pg/lib/a").symlink("/pg/lib/b", "a"));
        assert_eq!(inside.run(&UNREADABLE_FILE), []);
    }

    #[test]
    fn a_linker_script_is_good_to_know() {
        let text = "/* GNU ld script */ INPUT ( libx.so.1 ) /* long enough to be a header of an ELF file, were it one */";
        let finding = Case::new().file("libx.so", text).one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Info);
    }

    #[test]
    fn a_file_that_parses_and_that_the_loader_refuses_is_told() {
        let finding = Case::new().object("x.so", &module().damage(Damage::Ident(7, 9))).one(&UNREADABLE_FILE);
        assert_eq!(finding.message, "The loader refuses the file (ELF file OS ABI invalid).");
    }

    #[test]
    fn a_file_that_ends_before_its_segments_kills_who_touches_the_rest() {
        let bytes = module().add_export(Export::new("table", ExportKind::Object(20_000))).build();
        let cut = bytes[..bytes.len() - 16_000].to_vec();
        let finding = Case::new().file("x.so", cut).one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Error);
        assert!(
            finding.message.ends_with("the process that touches what is missing dies with SIGBUS."),
            "{finding:?}"
        );
    }

    #[test]
    fn what_a_search_ends_at_is_told_there() {
        let case = Case::new()
            .object("x.so", &module().needed("libfoo.so").runpath("$ORIGIN"))
            .file("libfoo.so", "");
        assert_eq!(case.run(&UNREADABLE_FILE), []);
    }

    #[test]
    fn a_table_that_cannot_be_read_is_never_empty() {
        // DT_VERNEED outside of the file.
        let object = module()
            .import_versioned("memcpy", "libc.so.6", "GLIBC_2.14")
            .damage(Damage::Dynamic(0x6fff_fffe, 0x7000_0000));
        let finding = Case::new().object("x.so", &object).one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding.texts("cannot read").iter().any(|text| text.starts_with("DT_VERNEED: ")),
            "{finding:?}"
        );
    }
}
