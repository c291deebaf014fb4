//! Which file became which, and files that are gone, new, or cannot be read.

use pgsym_testkit::{Damage, Kind, SharedObject};

use super::{compared, lines, one};
use crate::check::Severity;
use crate::diff::{ChangeKind, Side};
use crate::rules::testing::{Case, library, module};
use crate::tree::ServerChoice;

#[test]
fn a_module_that_is_gone_is_missed_by_whoever_names_it() {
    let change = one(Case::new().object("x.so", &module()), Case::new());
    assert_eq!((change.kind, change.severity), (ChangeKind::Removed, Severity::Error));
    assert_eq!(
        change.texts("the server"),
        ["ERROR:  could not access file \"$libdir/x\": No such file or directory"]
    );
    let broken = Case::new().object("x.so", &module().needed("libnowhere.so"));
    assert_eq!(one(broken, Case::new()).severity, Severity::Info);
    let change = one(Case::new(), Case::new().object("x.so", &module()));
    assert_eq!((change.kind, change.severity), (ChangeKind::Added, Severity::Info));
}

#[test]
fn a_library_that_is_gone_is_missed_unless_another_answers_to_its_soname() {
    let old = || Case::new().object("libx.so.1.1", &library("libx.so.1"));
    assert_eq!(one(old(), Case::new()).severity, Severity::Warning);
    // A minor version: the same library under another name.
    let change = one(old(), Case::new().object("libx.so.1.2", &library("libx.so.1")));
    assert_eq!((change.kind, change.severity), (ChangeKind::Renamed, Severity::Info));
    let both = old().object("libx.so.1.2", &library("libx.so.1"));
    let change = one(both, Case::new().object("libx.so.1.2", &library("libx.so.1")));
    assert_eq!((change.kind, change.severity), (ChangeKind::Removed, Severity::Info));
}

#[test]
fn a_link_under_the_old_name_keeps_it() {
    let new = Case::new().object("x-2.so", &module()).fs(|fs| fs.symlink("/pg/lib/x.so", "x-2.so"));
    let found = compared(Case::new().object("x.so", &module()), new);
    assert!(found.changes().all(|change| change.severity == Severity::Info), "{found:#?}");
}

#[test]
fn modules_are_joined_below_libdir_wherever_it_is() {
    let staged = |path: &str, functions: &[&str]| {
        let object = functions.iter().fold(module(), |object, name| object.pg_function(name));
        Case::new()
            .object(&format!("{path}/x.so"), &object)
            .roots(&["/stage"])
            .settings(|settings| settings.server = ServerChoice::None)
    };
    let old = || staged("/stage/usr/lib/postgresql/15/lib", &["f"]);
    let new = |functions: &[&str]| staged("/stage/usr/pgsql-15/lib", functions);
    assert_eq!(lines(&compared(old(), new(&["f"]))), [""; 0]);
    assert_eq!(lines(&compared(old(), new(&["f", "g"]))), ["x.so: function-added info"]);
}

#[test]
fn a_directory_of_modules_is_joined_with_the_installed_one() {
    let old = || Case::new().object("x.so", &module().pg_function("f")).object("sub/y.so", &module());
    let new = |functions: &[&str]| {
        let object = functions.iter().fold(module(), |object, name| object.pg_function(name));
        Case::new()
            .object("/unpacked/plpgsql.so", &module())
            .object("/unpacked/x.so", &object)
            .object("/unpacked/sub/y.so", &module())
            .roots(&["/unpacked"])
            .settings(|settings| settings.server = ServerChoice::DetectOr("/pg".into()))
    };
    assert_eq!(lines(&compared(old(), new(&["f"]))), [""; 0]);
    assert_eq!(lines(&compared(new(&["f"]), old())), [""; 0]);
    assert_eq!(lines(&compared(old(), new(&["f", "g"]))), ["x.so: function-added info"]);
    // The whole installation has more than its modules.
    assert_eq!(lines(&compared(old().roots(&["/pg"]), new(&["f"]))), ["bin/postgres: removed warning"]);
}

#[test]
fn two_named_files_are_one_whatever_they_are_called() {
    let of = |name: &str, object: &SharedObject| {
        let path = format!("/build/{name}");
        Case::new()
            .object(&path, object)
            .roots(&[&path])
            .settings(|settings| settings.server = ServerChoice::None)
    };
    let found = compared(of("x-1.so", &module().pg_function("f")), of("x-2.so", &module().pg_function("g")));
    assert_eq!(
        lines(&found),
        ["x-2.so: function-removed warning", "x-2.so: renamed info", "x-2.so: function-added info"]
    );
}

#[test]
fn a_file_that_cannot_be_read_any_more_is_not_gone() {
    let old = || Case::new().object("x.so", &module().pg_function("f"));
    let change = one(old(), Case::new().file("x.so", "not a module"));
    assert_eq!((change.kind, change.severity), (ChangeKind::Unreadable, Severity::Error));
    let change = one(Case::new().file("x.so", "not a module"), old());
    assert_eq!((change.kind, change.severity), (ChangeKind::Unreadable, Severity::Info));
}

#[test]
fn a_file_of_another_kind_is_no_module() {
    let old = Case::new().object("x.so", &module());
    let change = one(old, Case::new().object("x.so", &SharedObject::new().kind(Kind::Relocatable)));
    assert_eq!((change.kind, change.severity), (ChangeKind::ObjectKind, Severity::Error));
}

#[test]
fn a_table_that_cannot_be_read_loses_nothing() {
    let object = || module().pg_function("f").needed("libz.so.1").runpath("/r");
    let damaged = object().damage(Damage::DynamicOutside);
    let zlib = |case: Case| case.object("/lib/x86_64-linux-gnu/libz.so.1", &library("libz.so.1"));
    let found =
        compared(zlib(Case::new().object("x.so", &object())), zlib(Case::new().object("x.so", &damaged)));
    let is_loss = |kind| {
        matches!(
            kind,
            ChangeKind::FunctionRemoved
                | ChangeKind::NeededRemoved
                | ChangeKind::SearchPath
                | ChangeKind::Removed
        )
    };
    assert!(!found.changes().any(|change| is_loss(change.kind)), "{found:#?}");
    assert_eq!(lines(&found), ["x.so: unreadable error"]);
    let found = compared(Case::new().object("x.so", &damaged), Case::new().object("x.so", &damaged));
    assert_eq!(lines(&found), [""; 0]);
    assert!(found.uncompared.iter().any(|one| one.side == Side::New), "{found:#?}");
}
