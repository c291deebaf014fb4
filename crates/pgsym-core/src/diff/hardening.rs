//! How a file may be mapped, and on which processor. The severities are those of the audit's rules; what could not be
//! read on one side is not compared.

use object::elf;

use super::change::{Change, ChangeKind};
use crate::check::Severity;
use crate::model::{Elf, Module, Relro};
use crate::resolve::{CpuLevel, needed_level};

/// What is different between two builds of one file.
pub(super) fn compare(old: &Module, new: &Module) -> Vec<Change> {
    let (Some(old_elf), Some(new_elf)) = (old.elf(), new.elf()) else { return Vec::new() };
    let changes = [
        stack(old, new),
        text_relocations(old_elf, new_elf),
        relro(old_elf.relro, new_elf.relro),
        static_tls(old_elf, new_elf),
        isa_level(old_elf, new_elf),
    ];
    changes.into_iter().flatten().collect()
}

fn stack(old: &Module, new: &Module) -> Option<Change> {
    let (before, after) = (old.wants_executable_stack(), new.wants_executable_stack());
    let words = |is_executable| if is_executable { "executable" } else { "not executable" };
    let (severity, message) = if after {
        (
            Severity::Warning,
            "It asks for an executable stack now: the whole process gets one, and glibc 2.41 and later refuse the file.",
        )
    } else {
        (Severity::Info, "It asks for no executable stack any more.")
    };
    changed(ChangeKind::ExecutableStack, severity, [words(before), words(after)], message)
}

fn text_relocations(old: &Elf, new: &Elf) -> Option<Change> {
    let words = |file: &Elf| {
        let is_announced = file.flags & elf::DF_TEXTREL.0 != 0;
        Some(match (is_announced, file.relocations.get()?.text) {
            (true, _) => "yes",
            (false, Some(_)) => "yes, without DF_TEXTREL",
            (false, None) => "no",
        })
    };
    let (from, to) = (words(old)?, words(new)?);
    let (severity, message) = match to {
        "no" => (Severity::Info, "Relocations do not write into code any more."),
        "yes" => (
            Severity::Warning,
            "Relocations write into code now: where SELinux forbids that, the file does not load.",
        ),
        // elf/dl-reloc.c makes code writable for DF_TEXTREL alone.
        _ => (
            Severity::Error,
            "Relocations write into code now, and no DF_TEXTREL says so: the process that loads the file dies with \
             SIGSEGV.",
        ),
    };
    changed(ChangeKind::TextRelocations, severity, [from, to], message)
}

fn relro(old: Relro, new: Relro) -> Option<Change> {
    let word = |relro| match relro {
        Relro::None => "none",
        Relro::Partial => "partial",
        Relro::Full => "full",
    };
    let (from, to) = (word(old), word(new));
    changed(ChangeKind::Relro, Severity::Info, [from, to], &format!("RELRO was {from} and is {to}."))
}

fn static_tls(old: &Elf, new: &Elf) -> Option<Change> {
    let word = |file: &Elf| {
        let relocations = file.relocations.get()?.static_tls > 0;
        let is_static = relocations || file.flags & elf::DF_STATIC_TLS.0 != 0;
        Some(if is_static && file.tls.is_some_and(|tls| tls.size > 0) { "yes" } else { "no" })
    };
    let (from, to) = (word(old)?, word(new)?);
    let (severity, message) = if to == "yes" {
        (
            Severity::Warning,
            "Its thread-local variables must lie in the static TLS block now, the small reserve that all modules share.",
        )
    } else {
        (Severity::Info, "Its thread-local variables need no static TLS block any more.")
    };
    changed(ChangeKind::StaticTls, severity, [from, to], message)
}

fn isa_level(old: &Elf, new: &Elf) -> Option<Change> {
    if old.properties.error().is_some() || new.properties.error().is_some() {
        return None;
    }
    let level = |file| needed_level(file).unwrap_or(CpuLevel::V1);
    let (before, after) = (level(old), level(new));
    let (from, to) = (before.to_string(), after.to_string());
    // x86-64-v2 is missing on processors before 2009 alone.
    let severity = if after > before && after >= CpuLevel::V3 { Severity::Warning } else { Severity::Info };
    let message = if after > before {
        format!("It is for processors of {to} now, and was for {from}: older ones cannot load it.")
    } else {
        format!("It is for processors of {to} now, and was for {from}.")
    };
    changed(ChangeKind::IsaLevel, severity, [&from, &to], &message)
}

/// A change, unless the two values are the same.
fn changed(kind: ChangeKind, severity: Severity, [from, to]: [&str; 2], message: &str) -> Option<Change> {
    (from != to)
        .then(|| Change::new(kind, severity, message).values(Some(from.to_owned()), Some(to.to_owned())))
}
