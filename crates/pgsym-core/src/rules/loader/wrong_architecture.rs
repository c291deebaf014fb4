use crate::check::{Sink, TreeCx, declare_rule};
use crate::model::DependencyKind;
use crate::resolve::{Edge, LoadErrorKind, Outcome};
use crate::rules::evidence::{consequence, told, told_if_first};
use crate::rules::reach::failed_edges;
use crate::tree::Role;

declare_rule! {
    /// A module, or every library that would satisfy one of its dependencies, is for another machine.
    ///
    /// ## What it checks
    ///
    /// The word size, byte order and machine of each module against the server's; and dependencies for which the search
    /// meets only files of another machine or word size, which the loader skips.
    ///
    /// ## Why it matters
    ///
    /// The loader treats such files as if they were not there, so the message is a bare `No such file or directory` or
    /// `wrong ELF class` for a file that plainly exists.
    ///
    /// ## When it fires
    ///
    /// An image for aarch64 carries the x86_64 build of an extension; a 64-bit module finds only the 32-bit
    /// `libfoo.so.1`.
    ///
    /// ## How to fix
    ///
    /// Install the build for the server's machine: `dpkg --print-architecture`, `rpm --eval %_arch` and `file x.so`
    /// tell which is which.
    ///
    /// ## What it cannot see
    ///
    /// Processor features within one machine: `isa-level`.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `open_verify`.
    pub(crate) static WRONG_ARCHITECTURE = {
        code: "PGS106",
        name: "wrong-architecture",
        group: Loader,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    if let Some(server) = tree.server() {
        let wanted = server.module.target;
        for file in tree.files().iter().filter(|file| file.role == Role::Module) {
            let Ok(module) = &file.module else { continue };
            // The slices of Mach-O files are compared by `missing-slice`, and a file of the other format is another
            // server's.
            if module.macho().is_some()
                || server.module.macho().is_some()
                || module.target.same_machine(wanted)
            {
                continue;
            }
            let message = format!(
                "e_machine says {}, and the server is for {wanted}: it cannot load the module.",
                module.target
            );
            let mut finding = sink.finding(&file.path, module.target, message);
            if let Some(failure) = file.load.as_ref().and_then(|load| load.failure.as_ref()) {
                finding = told(finding, tree, file, &failure.message);
            }
            sink.report(finding.help(format!("install the build for {wanted}")));
        }
    }
    for failed in failed_edges(tree, is_elsewhere) {
        let machines: Vec<String> = failed.first().searched.iter().filter_map(other_machine).collect();
        let message = format!(
            "{} is found only for another machine ({}), which the loader skips: {}.",
            failed.entry(tree),
            machines.first().map_or("", String::as_str),
            consequence(failed.file())
        );
        let finding =
            sink.finding(failed.path(tree), failed.name(), message).severity(super::severity(failed.file()));
        let mut finding = failed.searched(failed.evidence(tree, finding));
        if let Err(error) = &failed.first().target {
            finding = told_if_first(finding, tree, failed.file(), &error.message);
        }
        let machine = failed.load.process.env().target;
        sink.report(finding.help(format!("install {} for {machine}", failed.name())));
    }
}

fn other_machine(probe: &crate::resolve::Probe) -> Option<String> {
    match &probe.outcome {
        Outcome::OtherMachine(arch) => Some(arch.clone()),
        outcome @ Outcome::OtherClass(_) => Some(outcome.to_string()),
        _ => None,
    }
}

/// Whether a search met a file that another machine could use.
pub(super) fn met_another_machine(edge: &Edge) -> bool {
    edge.searched
        .iter()
        .any(|probe| matches!(probe.outcome, Outcome::OtherClass(_) | Outcome::OtherMachine(_)))
}

fn is_elsewhere(edge: &Edge) -> bool {
    matches!(&edge.target, Err(error) if error.kind == LoadErrorKind::NotFound)
        && edge.kind != DependencyKind::Auxiliary
        && !edge.name.has_slash()
        && met_another_machine(edge)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};
    use pgsym_testkit::{Machine, Magic, SharedObject};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &SharedObject::for_machine(Machine::Aarch64).magic(Magic::pg(15)))
    }

    pub(crate) fn silent() -> Case {
        // A file of another machine that the search passes by, and one that nothing loads.
        Case::new()
            .object("x.so", &module().needed("libfoo.so.1").runpath("/opt/32:/opt/64"))
            .object("/opt/32/libfoo.so.1", &SharedObject::for_machine(Machine::I386).soname("libfoo.so.1"))
            .object("/opt/64/libfoo.so.1", &library("libfoo.so.1"))
    }

    #[test]
    fn a_module_for_another_machine_is_refused() {
        let finding = firing().one(&WRONG_ARCHITECTURE);
        assert_eq!(
            finding.message,
            "e_machine says aarch64, and the server is for x86_64: it cannot load the module."
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: cannot open shared object file: No such \
              file or directory"
            ]
        );
    }

    #[test]
    fn a_library_that_is_there_for_another_machine_only_is_told_as_such() {
        let case = Case::new()
            .object("x.so", &module().needed("libfoo.so.1").runpath("/opt/32"))
            .object("/opt/32/libfoo.so.1", &SharedObject::for_machine(Machine::I386).soname("libfoo.so.1"));
        assert_eq!(
            case.one(&WRONG_ARCHITECTURE).message,
            ".dynamic[1] DT_NEEDED libfoo.so.1 is found only for another machine (wrong ELF class (32-bit)), which the \
             loader skips: the server cannot load the module."
        );
    }
}
