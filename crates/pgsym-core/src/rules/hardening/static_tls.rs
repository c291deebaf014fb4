use object::elf;

use super::loadable;
use crate::check::{ModuleCx, Severity, Sink, TreeCx, declare_rule};
use crate::fs::FileId;
use crate::name::shown_path;
use crate::resolve::{Libc, STATIC_TLS_RESERVE, STATIC_TLS_SURPLUS};
use crate::rules::evidence::{consequence, told};
use crate::rules::reach::brought_by;
use crate::tree::Role;

/// What glibc keeps for objects opened after the start (`rtld.optional_static_tls`): beyond it a module takes from a
/// reserve that others may need.
const GUARANTEED: u64 = 512;

/// The value of `glibc.rtld.optional_static_tls` with which objects that need this many bytes all find room: the reserve
/// is 1152 bytes and that value (elf/dl-tls.c `_dl_tls_static_surplus_init`). Measured with glibc 2.36: 4200 bytes
/// want 3048.
pub(crate) fn sufficient_tunable(bytes: u64) -> u64 {
    bytes.saturating_sub(STATIC_TLS_SURPLUS - GUARANTEED).max(GUARANTEED)
}

/// How to make room for objects that need this many bytes; glibc has the tunable since 2.33.
pub(crate) fn make_room(libc: Option<Libc>, bytes: u64) -> String {
    let compile = "compile with -ftls-model=global-dynamic, the default of -fPIC";
    if bytes <= STATIC_TLS_RESERVE || !libc.is_some_and(|libc| libc.is_glibc_since(2, 33)) {
        return compile.to_owned();
    }
    format!(
        "{compile}, or set GLIBC_TUNABLES=glibc.rtld.optional_static_tls={} in the server's environment",
        sufficient_tunable(bytes)
    )
}

declare_rule! {
    /// Thread-local variables of the file must lie in the static TLS block.
    ///
    /// ## What it checks
    ///
    /// Relocations that need an offset from the thread pointer, or DF_STATIC_TLS, in a library or module with a PT_TLS
    /// segment, and its size. Libraries that only programs bring, at their start, are left alone.
    ///
    /// ## Why it matters
    ///
    /// The static TLS block is laid out when the server starts. A library opened later gets room from a small reserve:
    /// glibc guarantees 512 bytes and has about 1,700 for all that ask. When it is used up, `LOAD` fails with
    /// `cannot allocate memory in static TLS block`, and which module fails depends on the order of loading. musl
    /// has no reserve.
    ///
    /// ## When it fires
    ///
    /// The code is compiled with `-ftls-model=initial-exec`, as jemalloc, OpenMP runtimes and some language runtimes are.
    ///
    /// ## How to fix
    ///
    /// Compile with `-ftls-model=global-dynamic`, the default of `-fPIC`. To make room on glibc 2.33 and later: in the
    /// server's environment, `GLIBC_TUNABLES=glibc.rtld.optional_static_tls=N`, where N is what all modules of a session
    /// need together, less 1,152 bytes; 512 is the default. Variables that are aligned to more than 64 bytes find no room in
    /// any reserve.
    ///
    /// ## What it cannot see
    ///
    /// What modules loaded before have taken; the size is judged by itself.
    ///
    /// ## References
    ///
    /// glibc elf/dl-reloc.c `_dl_try_allocate_static_tls`, elf/dl-tls.c `_dl_tls_static_surplus_init`; musl
    /// ldso/dynlink.c `do_relocs`.
    pub(crate) static STATIC_TLS = {
        code: "PGS404",
        name: "static-tls",
        group: Hardening,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let (late, early) = (brought_by(tree, Role::Module), brought_by(tree, Role::Program));
    // What is there when a program starts has its room in the block.
    let at_start = |id: FileId| {
        !late.contains(&id)
            && (early.contains(&id) || tree.process().is_some_and(|server| server.find_file(id).is_some()))
    };
    for file in cx.files().filter(|file| !file.module().is_some_and(|module| at_start(module.id))) {
        check_file(&file, sink);
    }
}

fn check_file(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some(elf_file) = loadable(cx) else { return };
    // A program's own TLS is laid out before anything runs.
    if cx.role() == Role::Program {
        return;
    }
    let Some(tls) = elf_file.tls.filter(|tls| tls.size > 0) else { return };
    let relocations = elf_file.relocations.get().map_or(0, |relocations| relocations.static_tls);
    if relocations == 0 && elf_file.flags & elf::DF_STATIC_TLS.0 == 0 {
        return;
    }
    let libc = cx.load().map(|load| load.process.env().libc);
    let most = cx.load().map(|load| load.process.static_tls_align());
    let is_too_aligned = matches!(libc, Some(Libc::Glibc(..))) && most.is_some_and(|most| tls.align > most);
    let is_refused = is_too_aligned || tls.size >= STATIC_TLS_RESERVE;
    let (leads, severity) = match libc {
        Some(Libc::Musl) if relocations > 0 => {
            (consequence(cx.file()), crate::rules::loader::severity(cx.file()))
        }
        Some(Libc::Musl) | None => ("it takes from a small reserve", Severity::Info),
        Some(Libc::Glibc(..)) if is_refused => {
            (consequence(cx.file()), crate::rules::loader::severity(cx.file()))
        }
        Some(Libc::Glibc(..)) if tls.size > GUARANTEED => (
            "that is more than glibc guarantees, and whether it loads depends on what was loaded before",
            Severity::Warning,
        ),
        Some(Libc::Glibc(..)) => ("it takes from the small reserve that all modules share", Severity::Info),
    };
    let aligned = if is_too_aligned {
        format!(", aligned to {} where the block is to {},", tls.align, most.unwrap_or_default())
    } else {
        String::new()
    };
    let message = format!("{} bytes of PT_TLS{aligned} must lie in the static TLS block: {leads}.", tls.size);
    let mut finding = sink.finding(cx.path(), "PT_TLS", message).severity(severity);
    if relocations > 0 {
        finding =
            finding.evidence("relocations", format!("{relocations} with an offset from the thread pointer"));
    }
    if matches!(libc, Some(Libc::Glibc(..))) && is_refused {
        let path = shown_path(cx.path());
        finding = told(
            finding,
            cx.tree(),
            cx.file(),
            &format!("{path}: cannot allocate memory in static TLS block"),
        );
    }
    sink.report(finding.help(make_room(libc, if is_too_aligned { 0 } else { tls.size })));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::{Damage, Export, ExportKind, Kind, ProgramHeaderField, SharedObject};

    fn with_tls(size: u32) -> SharedObject {
        module().add_export(Export::new("thread_state", ExportKind::Tls(size))).flags(0x10)
    }

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &with_tls(64))
    }

    pub(crate) fn silent() -> Case {
        // The same variable, reached dynamically.
        Case::new().object("x.so", &module().add_export(Export::new("thread_state", ExportKind::Tls(4096))))
    }

    fn found(size: u32) -> (Severity, String) {
        let finding = Case::new().object("x.so", &with_tls(size)).one(&STATIC_TLS);
        (finding.severity, finding.message)
    }

    #[test]
    fn a_library_that_a_program_starts_with_has_its_room() {
        let program = SharedObject::new()
            .kind(Kind::PieExecutable)
            .interp("/lib64/ld-linux-x86-64.so.2")
            .needed("libtls.so.1")
            .runpath("$ORIGIN");
        let library = with_tls(4096).soname("libtls.so.1");
        let case = Case::new().object("libtls.so.1", &library);
        assert_eq!(case.run(&STATIC_TLS).len(), 1);
        assert_eq!(case.object("tool", &program).run(&STATIC_TLS), []);
    }

    #[test]
    fn the_tunable_that_suffices_is_named_where_the_reserve_does_not() {
        let help = |size| Case::new().object("x.so", &with_tls(size)).one(&STATIC_TLS).help;
        assert!(
            help(4096).ends_with("glibc.rtld.optional_static_tls=2944 in the server's environment"),
            "{}",
            help(4096)
        );
        assert!(!help(1024).contains("GLIBC_TUNABLES"), "{}", help(1024));
        let old = Case::with_glibc("2.31").object("x.so", &with_tls(4096)).one(&STATIC_TLS).help;
        assert!(!old.contains("GLIBC_TUNABLES"), "{old}");
    }

    #[test]
    fn more_alignment_than_the_block_has_finds_no_room() {
        let aligned = |bytes| {
            let align = Damage::ProgramHeader(elf::PT_TLS.0, ProgramHeaderField::Align, bytes);
            Case::new().object("x.so", &with_tls(64).damage(align)).one(&STATIC_TLS)
        };
        assert_eq!(aligned(64).severity, Severity::Info);
        let finding = aligned(128);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "64 bytes of PT_TLS, aligned to 128 where the block is to 64, must lie in the static TLS block: the server \
             cannot load the module."
        );
        assert!(!finding.help.contains("GLIBC_TUNABLES"), "{}", finding.help);
    }

    #[test]
    fn severity_follows_the_size() {
        assert_eq!(
            found(64),
            (
                Severity::Info,
                "64 bytes of PT_TLS must lie in the static TLS block: it takes from the small reserve that all modules \
                 share."
                    .to_owned()
            )
        );
        assert_eq!(found(1024).0, Severity::Warning);
        assert_eq!(
            found(4096),
            (
                Severity::Error,
                "4096 bytes of PT_TLS must lie in the static TLS block: the server cannot load the module."
                    .to_owned()
            )
        );
    }
}
