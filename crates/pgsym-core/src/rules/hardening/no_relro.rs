use super::loadable;
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::model::Relro;

declare_rule! {
    /// The tables that the loader fills stay writable.
    ///
    /// ## What it checks
    ///
    /// Whether the file has a PT_GNU_RELRO header. Partial RELRO, without immediate binding, is not told.
    ///
    /// ## Why it matters
    ///
    /// With it, the loader makes the GOT, the vtables and the list of destructors read-only after relocation. Without
    /// it, one stray write in any module can redirect calls of the whole server. Nothing fails.
    ///
    /// ## When it fires
    ///
    /// The module was linked with `-Wl,-z,norelro`, or by an old linker that does not write the header by itself.
    ///
    /// ## How to fix
    ///
    /// Link with `-Wl,-z,relro`, and with `-Wl,-z,now` to cover the PLT too (the server binds modules at once anyway).
    ///
    /// ## What it cannot see
    ///
    /// Whether there is anything to protect: a file with neither GOT nor PLT gains nothing.
    ///
    /// ## References
    ///
    /// glibc elf/dl-reloc.c `_dl_protect_relro`; GNU ld manual, `-z relro`.
    pub(crate) static NO_RELRO = {
        code: "PGS403",
        name: "no-relro",
        group: Hardening,
        severity: Info,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some(elf) = loadable(cx) else { return };
    // A static program is not relocated by the loader.
    if elf.relro != Relro::None || elf.dynamic.get().is_none() {
        return;
    }
    let message = "There is no PT_GNU_RELRO: the GOT stays writable in every process that loads the file.";
    sink.report(sink.finding(cx.path(), "PT_GNU_RELRO", message).help("link with -Wl,-z,relro,-z,now"));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::{Bind, Relro};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().relro(Relro::Absent))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().relro(Relro::Present).bind(Bind::Lazy))
    }

    #[test]
    fn a_module_without_the_header_is_good_to_know() {
        assert_eq!(
            firing().one(&NO_RELRO).message,
            "There is no PT_GNU_RELRO: the GOT stays writable in every process that loads the file."
        );
    }
}
