use object::elf;

use super::loadable;
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::rules::evidence::count;

declare_rule! {
    /// The loader has to patch the code of the file.
    ///
    /// ## What it checks
    ///
    /// Dynamic relocations that write into a segment without PF_W, and whether DF_TEXTREL announces them.
    ///
    /// ## Why it matters
    ///
    /// For announced ones the loader makes the code writable for a moment, so its pages are no longer shared between
    /// backends, and SELinux (`execmod`) or `MemoryDenyWriteExecute` refuses it: `cannot restore segment prot after
    /// reloc: Permission denied`. Unannounced ones write to read-only memory: the backend that says `LOAD` dies with
    /// SIGSEGV, and the server restarts all others.
    ///
    /// ## When it fires
    ///
    /// An object compiled without `-fPIC`, often hand-written assembler, is linked into a shared library.
    ///
    /// ## How to fix
    ///
    /// Compile everything with `-fPIC`; `-Wl,-z,text` makes the linker name the culprit.
    ///
    /// ## What it cannot see
    ///
    /// Relocations of machines whose tables are not read (MIPS); there only the flag counts.
    ///
    /// ## References
    ///
    /// glibc elf/dl-reloc.c `_dl_relocate_object`; gABI, DT_TEXTREL.
    pub(crate) static TEXT_RELOCATIONS = {
        code: "PGS402",
        name: "text-relocations",
        group: Hardening,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some(elf_file) = loadable(cx) else { return };
    let is_announced = elf_file.flags & elf::DF_TEXTREL.0 != 0;
    let relocations = elf_file.relocations.get();
    let help = "compile every object with -fPIC; link with -Wl,-z,text to find the one that is not";
    match relocations.map(|relocations| relocations.text) {
        Some(Some(text)) => {
            let number = count(usize::try_from(text.count).unwrap_or(usize::MAX), "relocation");
            let (leads, severity) = if is_announced {
                ("the loader makes the code writable to apply them", Severity::Warning)
            } else {
                let leads = "without DF_TEXTREL the loader writes to read-only memory, and the process that loads the \
                             file dies with SIGSEGV";
                (leads, crate::rules::loader::severity(cx.file()))
            };
            let verb = if text.count == 1 { "writes" } else { "write" };
            let message =
                format!("{number} {verb} into code, the first at address {:#x}: {leads}.", text.first);
            sink.report(sink.finding(cx.path(), "DF_TEXTREL", message).severity(severity).help(help));
        }
        Some(None) if is_announced => {
            let message = "DF_TEXTREL is set though no relocation writes into code: the loader makes the code writable \
                           for nothing.";
            sink.report(sink.finding(cx.path(), "DF_TEXTREL", message).severity(Severity::Info).help(help));
        }
        None if is_announced => {
            let message = "DF_TEXTREL is set: the loader makes the code writable to relocate it.";
            sink.report(sink.finding(cx.path(), "DF_TEXTREL", message).help(help));
        }
        Some(None) | None => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::TextRelocations;

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().text_relocations(TextRelocations::Tagged))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().relative_words(2))
    }

    #[test]
    fn announced_ones_are_a_warning() {
        let finding = firing().one(&TEXT_RELOCATIONS);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding.message.starts_with("1 relocation writes into code, the first at address 0x"),
            "{finding:?}"
        );
        assert!(
            finding.message.ends_with(": the loader makes the code writable to apply them."),
            "{finding:?}"
        );
    }

    #[test]
    fn unannounced_ones_kill_the_process() {
        let case = Case::new().object("x.so", &module().text_relocations(TextRelocations::Silent));
        let finding = case.one(&TEXT_RELOCATIONS);
        assert_eq!(finding.severity, Severity::Error);
        assert!(
            finding.message.ends_with(
                ": without DF_TEXTREL the loader writes to read-only memory, and the process that loads the file dies \
                 with SIGSEGV."
            ),
            "{finding:?}"
        );
    }
}
