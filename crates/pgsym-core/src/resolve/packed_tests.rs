//! What opening an object with packed relocations ends at. Each was seen on glibc 2.36 first.

use std::path::Path;

use pgsym_testkit::{RelativeStyle, SharedObject, VersionNeed};

use crate::postgres::{self, Verdict};
use crate::rules::testing::{Case, module};

fn verdict(case: &Case) -> Verdict {
    let tree = case.tree();
    let expected = tree.server().unwrap().facts.magic.as_ref();
    postgres::load(tree.process().unwrap(), Path::new("/pg/lib/x.so"), expected).0
}

fn relr() -> SharedObject {
    let module = module().relative_words(4).relative_style(RelativeStyle::Packed);
    module.version_requirement("libc.so.6", "GLIBC_2.2.5", VersionNeed::Weak)
}

#[test]
fn glibc_refuses_relr_without_its_version_since_it_reads_it() {
    let Verdict::Fails(message) = verdict(&Case::new().object("x.so", &relr())) else {
        panic!("it is refused")
    };
    assert_eq!(
        message.primary,
        "could not load library \"/pg/lib/x.so\": /pg/lib/x.so: DT_RELR without GLIBC_ABI_DT_RELR dependency"
    );
    assert_eq!(verdict(&Case::with_glibc("2.35").object("x.so", &relr())), Verdict::Loads);
}

#[test]
fn a_constructor_that_nothing_rebases_ends_the_process() {
    const DT_INIT_ARRAY: u64 = 25;
    const DT_INIT_ARRAYSZ: u64 = 27;
    const DT_ANDROID_RELA: u64 = 0x6000_0011;
    let packed = module().dynamic_entry(DT_ANDROID_RELA, 0x10);
    assert_eq!(verdict(&Case::new().object("x.so", &packed)), Verdict::Loads);
    let called = packed.dynamic_entry(DT_INIT_ARRAY, 0x100).dynamic_entry(DT_INIT_ARRAYSZ, 8);
    let Verdict::Crashes(why) = verdict(&Case::new().object("x.so", &called)) else { panic!("it crashes") };
    assert!(
        why.starts_with("/pg/lib/x.so: a constructor's address stands in Android's packed relocations"),
        "{why}"
    );
}

#[test]
fn versions_of_a_file_that_nobody_loads_fail_an_assertion() {
    let module = module().version_requirement("libgone.so.1", "V1", VersionNeed::Weak);
    let Verdict::Crashes(why) = verdict(&Case::new().object("x.so", &module)) else { panic!("it crashes") };
    assert!(why.contains("_dl_check_map_versions: Assertion `needed != NULL' failed!"), "{why}");
}
