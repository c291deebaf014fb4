use object::elf;

use crate::check::{Sink, TreeCx, declare_rule};
use crate::resolve::{Libc, Object, STATIC_TLS_SURPLUS};
use crate::rules::evidence::base_name;
use crate::rules::hardening::static_tls::make_room;

declare_rule! {
    /// The preloaded modules need more static thread-local storage together than the loader keeps free.
    ///
    /// ## What it checks
    ///
    /// The PT_TLS sizes of everything that `--preload` brings and that uses the initial-exec model (DF_STATIC_TLS, or
    /// relocations of the thread pointer), added up in the order of loading.
    ///
    /// ## Why it matters
    ///
    /// glibc reserves 1,664 bytes for objects that come after the start of the program. Each such object takes its share
    /// for good, and the first that finds none left fails with `cannot allocate memory in static TLS block`.
    ///
    /// ## When it fires
    ///
    /// `shared_preload_libraries` names two modules with a jemalloc of their own.
    ///
    /// ## How to fix
    ///
    /// Compile with `-ftls-model=global-dynamic`, or, on glibc 2.33 and later, set
    /// `GLIBC_TUNABLES=glibc.rtld.optional_static_tls=N` in the server's environment, where N is what all of them need
    /// together, less 1,152 bytes; the finding says the number.
    ///
    /// ## What it cannot see
    ///
    /// The tunable in the server's environment, and what sessions load on demand.
    ///
    /// ## References
    ///
    /// glibc elf/dl-tls.c `_dl_tls_static_surplus_init`, `_dl_try_allocate_static_tls`.
    pub(crate) static STATIC_TLS_BUDGET = {
        code: "PGS218",
        name: "static-tls-budget",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let (Some(process), Some(server)) = (tree.process(), tree.server()) else { return };
    if tree.settings().preload.is_empty() || process.env().libc == Libc::Musl {
        return;
    }
    // What the program itself needs is not taken from the surplus.
    let start = process
        .main()
        .and_then(|_| process.load_order().next())
        .map(|(id, _)| process.closure(id))
        .unwrap_or_default();
    let mut taken = 0;
    let mut users = Vec::new();
    let mut first_without_room = None;
    for (_, object) in process.load_order().filter(|(id, _)| !start.contains(id)) {
        let Some(size) = static_tls(object) else { continue };
        taken += size;
        let name = base_name(object.path());
        if taken > STATIC_TLS_SURPLUS && first_without_room.is_none() {
            first_without_room = Some((name.clone(), taken));
        }
        users.push((name, size));
    }
    let Some((first, with_it)) = first_without_room else { return };
    let mut finding = sink.finding(
        &server.installation.server,
        "shared_preload_libraries",
        format!(
            "{first} is the first of the preloaded objects that finds no room: up to it they need {with_it} bytes of static \
             thread-local storage, and glibc keeps {STATIC_TLS_SURPLUS} free."
        ),
    );
    for (name, size) in users {
        finding = finding.evidence("needs", format!("{name}: {size} bytes"));
    }
    sink.report(finding.help(make_room(Some(process.env().libc), taken)));
}

/// The bytes that an object takes from the surplus, its alignment included.
fn static_tls(object: &Object) -> Option<u64> {
    let elf_file = object.module().elf()?;
    let is_static = elf_file.flags & elf::DF_STATIC_TLS.0 != 0
        || elf_file.relocations.get().is_some_and(|relocations| relocations.static_tls > 0);
    let tls = elf_file.tls.filter(|_| is_static)?;
    Some(tls.size.checked_next_multiple_of(tls.align.max(1))?.min(u64::from(u32::MAX)))
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{Export, ExportKind};

    use super::*;
    use crate::rules::testing::{Case, module};

    #[test]
    fn the_first_that_does_not_fit_is_named_and_the_tunable_is_enough_for_all() {
        let of = |size: u32, name: &str| {
            module().add_export(Export::new(name, ExportKind::Tls(size))).flags(elf::DF_STATIC_TLS.0)
        };
        let case = |names: [&str; 3]| {
            Case::new()
                .object("small.so", &of(64, "a"))
                .object("large.so", &of(3008, "b"))
                .object("medium.so", &of(1200, "c"))
                .settings(|settings| settings.preload = names.map(str::to_owned).to_vec())
        };
        let finding = case(["small", "large", "medium"]).one(&STATIC_TLS_BUDGET);
        assert_eq!(
            finding.message,
            "large.so is the first of the preloaded objects that finds no room: up to it they need 3072 bytes of static \
             thread-local storage, and glibc keeps 1664 free."
        );
        assert!(finding.help.contains("optional_static_tls=3120 "), "{}", finding.help);
        let finding = case(["small", "medium", "large"]).one(&STATIC_TLS_BUDGET);
        assert!(finding.message.starts_with("large.so is the first"), "{}", finding.message);
    }

    fn with(size: u32) -> Case {
        let tls =
            module().add_export(Export::new("state", ExportKind::Tls(size))).flags(elf::DF_STATIC_TLS.0);
        Case::new().object("x.so", &tls).settings(|settings| settings.preload = vec!["x".to_owned()])
    }

    pub(crate) fn firing() -> Case {
        with(8192)
    }

    pub(crate) fn silent() -> Case {
        with(64)
    }

    #[test]
    fn each_user_is_listed_with_its_bytes() {
        assert_eq!(firing().one(&STATIC_TLS_BUDGET).texts("needs"), ["x.so: 8192 bytes"]);
    }
}
