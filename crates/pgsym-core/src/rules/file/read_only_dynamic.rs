//! A `.dynamic` that glibc writes to and that a later PT_LOAD made read-only: part of `unreadable-file`, since like a file that
//! is cut off it ends the process without a message.

use crate::check::{Finding, ModuleCx, Sink};
use crate::model::Module;
use crate::resolve::read_only_dynamic;
use crate::tree::Role;

pub(super) fn read_only(cx: &ModuleCx<'_>, sink: &Sink<'_>, module: &Module) -> Option<Finding> {
    let env = cx.load()?.process.env();
    let why = read_only_dynamic(module, env, cx.role() == Role::Program)?;
    let severity = crate::rules::loader::severity(cx.file());
    let finding = sink.finding(cx.path(), "PT_DYNAMIC", format!("{}{}.", why[..1].to_uppercase(), &why[1..]));
    Some(
        finding
            .severity(severity)
            .help("build the file again: a tool that moved the section, such as patchelf, put it there"),
    )
}

#[cfg(test)]
mod tests {
    use pgsym_testkit::{Damage, ProgramHeaderField, SharedObject};

    use crate::check::Severity;
    use crate::postgres::{self, Verdict};
    use crate::rules::file::unreadable_file::UNREADABLE_FILE;
    use crate::rules::testing::{Case, module};

    const PT_LOAD: u64 = 1;
    const PT_DYNAMIC: u32 = 2;
    const PT_GNU_STACK: u32 = 0x6474_e551;

    /// The module with a last PT_LOAD, of the given flags, over the page that its `.dynamic` begins in.
    fn covered(object: SharedObject, flags: u64) -> SharedObject {
        let source = object.build();
        let metadata = crate::fs::Metadata {
            id: crate::fs::FileId { device: 0, inode: 0 },
            kind: crate::fs::FileKind::File,
            len: source.len() as u64,
            mode: 0,
            uid: 0,
        };
        let parsed =
            crate::parse::parse(std::path::Path::new("x"), metadata, &source, crate::parse::Facets::LINK);
        let segments = parsed.unwrap().elf().unwrap().segments.clone();
        let dynamic = segments.iter().find(|segment| segment.kind == PT_DYNAMIC).unwrap();
        let field = |field, value| Damage::ProgramHeader(PT_GNU_STACK, field, value);
        let damage = [
            field(ProgramHeaderField::Offset, dynamic.offset & !0xfff),
            field(ProgramHeaderField::Address, dynamic.address & !0xfff),
            field(ProgramHeaderField::FileSize, 0x10),
            field(ProgramHeaderField::MemorySize, 0x10),
            field(ProgramHeaderField::Flags, flags),
            field(ProgramHeaderField::Align, 0x1000),
            field(ProgramHeaderField::Type, PT_LOAD),
        ];
        damage.into_iter().fold(object, SharedObject::damage)
    }

    fn verdict(case: &Case) -> Verdict {
        let tree = case.tree();
        postgres::load(tree.process().unwrap(), std::path::Path::new("/pg/lib/x.so"), None).0
    }

    #[test]
    fn a_dynamic_section_in_a_page_that_became_read_only_ends_the_process() {
        let case = Case::new().object("x.so", &covered(module(), 4));
        let Verdict::Crashes(why) = verdict(&case) else { panic!("it crashes: {:?}", verdict(&case)) };
        assert!(why.starts_with("/pg/lib/x.so: the loader writes to .dynamic at address 0x"), "{why}");
        let finding = case.one(&UNREADABLE_FILE);
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.message.starts_with("The loader writes to .dynamic at address 0x"), "{finding:?}");
    }

    #[test]
    fn one_that_is_writable_or_that_says_it_is_not_is_left_alone() {
        assert_eq!(verdict(&Case::new().object("x.so", &covered(module(), 6))), Verdict::Loads);
        // glibc looks at p_flags of PT_DYNAMIC since 2.35.
        let read_only = Damage::ProgramHeader(PT_DYNAMIC, ProgramHeaderField::Flags, 4);
        let case =
            |glibc| Case::with_glibc(glibc).object("x.so", &covered(module(), 4).damage(read_only.clone()));
        assert_eq!(verdict(&case("2.35")), Verdict::Loads);
        assert!(matches!(verdict(&case("2.34")), Verdict::Crashes(_)));
    }
}
