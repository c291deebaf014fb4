use super::support::slices;
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::model::{HashKind, MachO, Table};
use crate::rules::command::file_word;
use crate::rules::evidence::count;
use crate::tree::Role;

declare_rule! {
    /// A file was changed after it was signed, or an arm64 file is not signed.
    ///
    /// ## What it checks
    ///
    /// Every page that a code directory covers is hashed again (SHA-1 and SHA-256) and compared; and every arm64 slice
    /// must have a signature, be it ad hoc.
    ///
    /// ## Why it matters
    ///
    /// On Apple silicon the kernel kills a process that maps a page with another hash, or refuses the file:
    /// `code signature invalid`. Everything that edits load commands does that: `install_name_tool`, `strip`, a
    /// binary patch. On Intel it matters under the hardened runtime.
    ///
    /// ## When it fires
    ///
    /// `install_name_tool -id …` on a signed library by an older tool that does not sign again, or any edit of the bytes.
    ///
    /// ## How to fix
    ///
    /// `codesign --force --sign - FILE` after the last edit; with a Developer ID where the package is notarised.
    ///
    /// ## What it cannot see
    ///
    /// Whether the certificate is one that the machine trusts.
    ///
    /// ## References
    ///
    /// xnu bsd/kern/ubc_subr.c `cs_validate_page`; codesign(1).
    pub(crate) static STALE_CODE_SIGNATURE = {
        code: "PGS709",
        name: "stale-code-signature",
        group: Macho,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if cx.role() == Role::Other {
        return;
    }
    for macho in slices(cx).into_iter().filter_map(|module| module.macho()) {
        let arch = macho.slice.arch;
        let is_arm = arch.cpu_type == object::macho::CPU_TYPE_ARM64.0;
        let Some(fault) = fault(macho, is_arm) else { continue };
        let consequence = if is_arm { "Apple silicon refuses it" } else { "the hardened runtime refuses it" };
        let severity = if is_arm { Severity::Error } else { Severity::Warning };
        let message = format!("The {arch} slice {fault}: {consequence}.");
        sink.report(
            sink.finding(cx.path(), arch, message)
                .severity(severity)
                .help(format!("codesign --force --sign - {}", file_word(cx.path()))),
        );
    }
}

fn fault(macho: &MachO, is_arm: bool) -> Option<String> {
    match &macho.signature {
        Table::Read(signature) => {
            let stale =
                signature.directories.iter().find_map(|directory| Some((directory, directory.stale?)))?;
            let (directory, pages) = stale;
            let hash = match directory.hash {
                HashKind::Sha1 => "SHA-1",
                HashKind::Sha256 | HashKind::Other(_) => "SHA-256",
            };
            Some(format!(
                "was changed after it was signed ({} of {} with another {hash}, the first is {})",
                pages.count,
                count(directory.pages as usize, "page"),
                pages.first
            ))
        }
        Table::Absent if is_arm => Some("is not signed".to_owned()),
        Table::Absent | Table::NotRead | Table::Unreadable(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::SignatureHash;

    use super::*;
    use crate::rules::testing::{Case, bundle};

    pub(crate) fn firing() -> Case {
        let mut bytes = bundle().signed(SignatureHash::Sha256).build();
        // Inside the padding behind the load commands.
        bytes[0x3f0] ^= 1;
        Case::mac().file("x.so", bytes)
    }

    pub(crate) fn silent() -> Case {
        Case::mac().image("x.so", &bundle().signed(SignatureHash::Sha256))
    }

    #[test]
    fn the_page_is_named() {
        let finding = firing().one(&STALE_CODE_SIGNATURE);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.message.contains("with another SHA-256, the first is 0"), "{}", finding.message);
    }

    #[test]
    fn an_unsigned_arm64_library_is_an_error() {
        let library = pgsym_testkit::MachImage::dylib(pgsym_testkit::MachCpu::Arm64, "@rpath/a.dylib");
        let finding = Case::mac().image("a.dylib", &library).one(&STALE_CODE_SIGNATURE);
        assert_eq!(
            (finding.severity, &*finding.message),
            (Severity::Error, "The arm64 slice is not signed: Apple silicon refuses it.")
        );
    }
}
