use super::loadable;
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::resolve::CpuLevel;
use crate::rules::evidence::{consequence, told};
use crate::rules::loader;

declare_rule! {
    /// The file needs a newer processor than the architecture's oldest.
    ///
    /// ## What it checks
    ///
    /// GNU_PROPERTY_X86_ISA_1_NEEDED: the x86-64 level that the linker recorded. It is an error where `--cpu` names a
    /// processor that lacks it, and good to know where that one has it.
    ///
    /// ## Why it matters
    ///
    /// glibc 2.33 and later compare it with the processor and refuse the file: `CPU ISA level is lower than required`.
    /// An older glibc loads it, and the first newer instruction ends the backend with SIGILL. x86-64-v2 is missing only on
    /// processors before 2009 and in old virtual machine types; v3 (AVX2) on many small servers and in emulators; v4
    /// (AVX-512) on most machines.
    ///
    /// ## When it fires
    ///
    /// The module was built with `-march=x86-64-v3` or `-march=native`, and linked with `-Wl,-z,x86-64-v3`.
    ///
    /// ## How to fix
    ///
    /// Build for the oldest processor that is supported (`-march=x86-64`), or ship the fast build below
    /// `glibc-hwcaps/x86-64-v3/` as well.
    ///
    /// ## What it cannot see
    ///
    /// Instructions that the compiler used without recording a level, which is the default of gcc and clang. Whether
    /// the code asks the processor before it uses them.
    ///
    /// ## References
    ///
    /// x86-64 psABI, "Micro-Architecture Levels"; glibc sysdeps/x86/dl-prop.h `dl_isa_level_check`.
    pub(crate) static ISA_LEVEL = {
        code: "PGS405",
        name: "isa-level",
        group: Hardening,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some(needed) =
        loadable(cx).and_then(|elf| elf.properties.get()).and_then(|properties| properties.x86_isa_needed)
    else {
        return;
    };
    // One bit for each level, the baseline's first.
    let (level, cpu, severity) = match needed >> 1 & 0x7 {
        0 => return,
        1 => ("x86-64-v2", CpuLevel::V2, Severity::Info),
        2 | 3 => ("x86-64-v3", CpuLevel::V3, Severity::Warning),
        _ => ("x86-64-v4", CpuLevel::V4, Severity::Warning),
    };
    let path = crate::name::shown_path(cx.path());
    let refusal = format!("{path}: CPU ISA level is lower than required");
    let help = "build with -march=x86-64";
    let asked = cx.settings().loader.cpu;
    let is_refused = asked.is_some_and(|asked| asked < cpu)
        && cx.load().is_some_and(|load| load.process.env().libc.is_glibc_since(2, 33));
    if is_refused {
        let message = format!(
            "GNU_PROPERTY_X86_ISA_1_NEEDED says {level}, which the processor is not: {}.",
            consequence(cx.file())
        );
        let finding = sink.finding(cx.path(), level, message).severity(loader::severity(cx.file()));
        sink.report(told(finding, cx.tree(), cx.file(), &refusal).help(help));
        return;
    }
    let severity = if asked.is_some_and(|asked| asked >= cpu) { Severity::Info } else { severity };
    let message =
        format!("GNU_PROPERTY_X86_ISA_1_NEEDED says {level}: older processors cannot load the file.");
    sink.report(
        sink.finding(cx.path(), level, message).severity(severity).evidence("the loader", refusal).help(help),
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::Note;

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().note(Note::IsaNeeded(0b100)))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().note(Note::IsaNeeded(0b1)))
    }

    #[test]
    fn a_level_above_the_baseline_is_told() {
        let finding = firing().one(&ISA_LEVEL);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(
            finding.message,
            "GNU_PROPERTY_X86_ISA_1_NEEDED says x86-64-v3: older processors cannot load the file."
        );
    }

    #[test]
    fn a_known_processor_decides() {
        let on = |cpu| firing().settings(|settings| settings.loader.cpu = Some(cpu)).one(&ISA_LEVEL);
        assert_eq!(on(CpuLevel::V3).severity, Severity::Info);
        assert_eq!(on(CpuLevel::V1).severity, Severity::Error);
        let refused = on(CpuLevel::V2);
        assert_eq!(refused.severity, Severity::Error);
        assert_eq!(
            refused.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: CPU ISA level is lower than required"
            ]
        );
    }

    #[test]
    fn the_second_level_is_good_to_know_and_the_baseline_is_nothing() {
        let case = |bits| Case::new().object("x.so", &module().note(Note::IsaNeeded(bits)));
        assert_eq!(case(0b11).one(&ISA_LEVEL).severity, Severity::Info);
        assert_eq!(case(0b1).run(&ISA_LEVEL), []);
    }
}
