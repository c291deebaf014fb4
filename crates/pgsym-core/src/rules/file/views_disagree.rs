use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::tree::Role;

declare_rule! {
    /// The section headers say something else than what the loader reads.
    ///
    /// ## What it checks
    ///
    /// Addresses, offsets and sizes of the dynamic tables, and the needed libraries, once through the program headers and
    /// `.dynamic`, as the loader sees them, and once through the section headers, as most tools do. A file without
    /// section headers is in order; headers that cannot be read are good to know.
    ///
    /// ## Why it matters
    ///
    /// The loader is not disturbed. But `readelf -d`, `objdump`, `strip` and every scanner that goes by the sections see
    /// another file than the server runs, and `strip` or `objcopy` may then break it.
    ///
    /// ## When it fires
    ///
    /// A tool rewrote the dynamic section and left the section headers, or the file was made to look harmless.
    ///
    /// ## How to fix
    ///
    /// Build or install the file again; write it with one tool only, and run `strip` before `patchelf`, not after.
    ///
    /// ## What it cannot see
    ///
    /// Differences in tables that only one of the two views has.
    ///
    /// ## References
    ///
    /// System V gABI, "Sections" and "Program Loading".
    pub(crate) static VIEWS_DISAGREE = {
        code: "PGS902",
        name: "views-disagree",
        group: File,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if cx.role() == Role::Other {
        return;
    }
    let Some(elf) = cx.elf() else { return };
    if let Some(error) = elf.sections.error() {
        let message = format!("The section headers cannot be read: {error}. The loader does not need them.");
        let finding = sink.finding(cx.path(), "section headers", message).severity(Severity::Info);
        sink.report(finding.help("build or install the file again: its end may be missing"));
        return;
    }
    let Some(view) = elf.sections.get() else { return };
    let Some(first) = view.disagreements.first() else { return };
    let message = format!("Section headers and segments disagree: {first}.");
    let mut finding = sink.finding(cx.path(), "section headers", message);
    for clause in view.disagreements.iter().skip(1) {
        finding = finding.evidence("also", clause);
    }
    sink.report(finding.help("build or install the file again; the loader goes by the segments"));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::Damage;

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().damage(Damage::SectionsDisagree))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().damage(Damage::NoSectionHeaders))
    }

    #[test]
    fn a_table_in_two_places_is_told() {
        let finding = firing().one(&VIEWS_DISAGREE);
        assert!(
            finding
                .message
                .starts_with("Section headers and segments disagree: the section of type SHT_DYNSYM has "),
            "{finding:?}"
        );
    }
}
