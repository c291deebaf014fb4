use super::support::{severity, with_verdict};
use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::model::MachArch;
use crate::tree::Role;
use crate::tree::dyld::architectures_of;

declare_rule! {
    /// A file lacks an architecture that the server has.
    ///
    /// ## What it checks
    ///
    /// The slices of modules and libraries against those of `postgres`. A server of one architecture needs that one; a
    /// universal server runs as any of its own. arm64e is none of them: a server that is not Apple's runs as arm64.
    ///
    /// ## Why it matters
    ///
    /// `LOAD` fails with `incompatible architecture (have 'x86_64', need 'arm64')` on half of the machines that the
    /// package is meant for.
    ///
    /// ## When it fires
    ///
    /// A universal `postgres` with a module that was built on an Intel Mac alone.
    ///
    /// ## How to fix
    ///
    /// Build with `-arch x86_64 -arch arm64`, or join two builds: `lipo -create x86.so arm.so -output x.so`.
    ///
    /// ## What it cannot see
    ///
    /// Which of its architectures the server will be run as; `--arch` says it.
    ///
    /// ## References
    ///
    /// dyld common/MachOFile.cpp `compatibleSlice`; lipo(1).
    pub(crate) static MISSING_SLICE = {
        code: "PGS705",
        name: "missing-slice",
        group: Macho,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if cx.macho().is_none() || !matches!(cx.role(), Role::Module | Role::Library) {
        return;
    }
    let own = architectures_of(cx.file());
    let fits = |process: MachArch| own.iter().any(|slice| slice.grade(process).is_some());
    let servers: Vec<MachArch> =
        cx.tree().dyld_processes().iter().map(|process| process.env().arch).collect();
    let missing: Vec<MachArch> = servers.iter().copied().filter(|&server| !fits(server)).collect();
    if missing.is_empty() {
        return;
    }
    let list = |archs: &[MachArch]| archs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message = format!(
        "The file is for {}, the server for {}: a server that runs as {} cannot load it.",
        list(&own),
        list(&servers),
        list(&missing)
    );
    let is_useless = missing.len() == servers.len();
    let severity = if is_useless { severity(cx) } else { Severity::Warning };
    let mut finding = sink.finding(cx.path(), list(&missing), message).severity(severity);
    if let Some(load) = cx.dyld().iter().find(|load| missing.contains(&load.arch)) {
        finding = with_verdict(finding, load, None);
    }
    sink.report(
        finding.help(format!("build it for {} too, and join the slices with lipo -create", list(&missing))),
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{FatWidth, MachCpu, MachImage, SignatureHash, fat};

    use super::*;
    use crate::rules::testing::{Case, bundle};

    fn arm() -> MachImage {
        MachImage::bundle(MachCpu::Arm64)
            .library("/usr/lib/libSystem.B.dylib")
            .magic(15)
            .signed(SignatureHash::Sha256)
    }

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.so", &arm())
    }

    pub(crate) fn silent() -> Case {
        let slices = [(MachCpu::Arm64, arm().build()), (MachCpu::X86_64, bundle().build())];
        Case::mac().file("x.so", fat(FatWidth::Bits32, &slices))
    }

    #[test]
    fn the_servers_words_are_told() {
        let finding = firing().one(&MISSING_SLICE);
        assert_eq!(
            finding.message,
            "The file is for arm64, the server for x86_64: a server that runs as x86_64 cannot load it."
        );
        assert!(finding.texts("the server")[0].contains("(have 'arm64', need 'x86_64')"));
    }
}
