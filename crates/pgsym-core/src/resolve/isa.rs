//! The x86-64 level that a file asks for against that of the processor: glibc 2.33 and later refuse it when all is opened
//! and nothing is relocated (`_dl_open_check`, `dl_isa_level_check`, sysdeps/x86/dl-prop.h).

use super::environment::CpuLevel;
use super::process::{ObjectId, Process};
use super::trace::{LoadError, LoadErrorKind};
use crate::model::Elf;
use crate::name::{Name, path_bytes};

/// The level that GNU_PROPERTY_X86_ISA_1_NEEDED says, one bit for each, the baseline's first; none where it says nothing or
/// was not read.
pub(crate) fn needed_level(elf: &Elf) -> Option<CpuLevel> {
    Some(match elf.properties.get()?.x86_isa_needed? >> 1 & 0x7 {
        0 => CpuLevel::V1,
        1 => CpuLevel::V2,
        2 | 3 => CpuLevel::V3,
        _ => CpuLevel::V4,
    })
}

impl Process {
    /// The first of the objects that `root` brought which asks for more than a known processor has.
    pub(super) fn isa_failure(&self, root: ObjectId, new_from: usize) -> Option<LoadError> {
        let cpu = self.env().cpu?;
        if !self.env().libc.is_glibc_since(2, 33) {
            return None;
        }
        self.relocation_order(root, new_from).into_iter().find_map(|id| {
            let object = self.object(id)?;
            (needed_level(object.module().elf()?)? > cpu).then(|| LoadError {
                message: format!(
                    "{}: CPU ISA level is lower than required",
                    Name::from(path_bytes(object.path()))
                ),
                kind: LoadErrorKind::IsaLevel,
                requester: Some(id),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use pgsym_testkit::Note;

    use super::*;
    use crate::postgres::Verdict;
    use crate::resolve::Libc;
    use crate::rules::testing::{Case, Uses as _, library, module};

    fn verdict(case: &Case, cpu: Option<CpuLevel>) -> Verdict {
        let tree = case.clone().settings(|settings| settings.loader.cpu = cpu).tree();
        let file = tree.files().iter().find(|file| file.path.ends_with("x.so")).unwrap();
        file.load.as_ref().unwrap().verdict.clone().unwrap()
    }

    #[test]
    fn a_file_or_its_library_for_a_newer_processor_is_refused_where_the_processor_is_known() {
        let v3 = || Note::IsaNeeded(0b100);
        let own = Case::new().object("x.so", &module().note(v3()));
        let brought = Case::new()
            .object("x.so", &module().uses("libfast.so.1").runpath("$ORIGIN"))
            .object("libfast.so.1", &library("libfast.so.1").note(v3()));
        for (case, name) in [(own, "x.so"), (brought, "libfast.so.1")] {
            for cpu in [CpuLevel::V1, CpuLevel::V2] {
                let Verdict::Fails(message) = verdict(&case, Some(cpu)) else { panic!("{name} on {cpu}") };
                assert_eq!(
                    message.primary,
                    format!(
                        "could not load library \"/pg/lib/x.so\": /pg/lib/{name}: CPU ISA level is lower than required"
                    )
                );
            }
            assert_eq!(verdict(&case, Some(CpuLevel::V3)), Verdict::Loads);
            assert_eq!(verdict(&case, None), Verdict::Loads);
            let old = case.settings(|settings| settings.loader.libc = Some(Libc::Glibc(2, 32)));
            assert_eq!(verdict(&old, Some(CpuLevel::V1)), Verdict::Loads);
        }
    }
}
