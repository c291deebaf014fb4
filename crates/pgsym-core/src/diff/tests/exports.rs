//! Exports by class, and who asks for those that are gone.

use pgsym_testkit::{Binding, Export, ExportKind, SharedObject, VersionDefault};

use super::{compared, lines, of_kind, one};
use crate::check::Severity;
use crate::diff::ChangeKind;
use crate::rules::testing::{Case, library, module};

fn with(object: &SharedObject) -> Case {
    Case::new().object("x.so", object)
}

#[test]
fn functions_for_sql_that_nothing_names_are_a_warning() {
    let change = one(with(&module().pg_function("f").pg_function("g")), with(&module().pg_function("g")));
    assert_eq!((change.kind, change.severity), (ChangeKind::FunctionRemoved, Severity::Warning));
    assert_eq!(change.shown_names(), ["f"]);
    let back = one(with(&module().pg_function("g")), with(&module().pg_function("f").pg_function("g")));
    assert_eq!((back.kind, back.severity), (ChangeKind::FunctionAdded, Severity::Info));
}

#[test]
fn a_record_that_is_gone_is_told_apart_from_its_function() {
    let change = one(with(&module().pg_function("f")), with(&module().export("f")));
    assert_eq!((change.kind, change.severity), (ChangeKind::FinfoRemoved, Severity::Warning));
}

#[test]
fn entry_points_by_what_the_server_does_without_them() {
    let gone = |name: &str| one(with(&module().export(name)), with(&module()));
    assert_eq!(gone("_PG_init").severity, Severity::Warning);
    let plugin = gone("_PG_output_plugin_init");
    assert_eq!((plugin.kind, plugin.severity), (ChangeKind::EntryPointRemoved, Severity::Error));
    assert_eq!(
        plugin.texts("the server"),
        ["ERROR:  output plugins have to declare the _PG_output_plugin_init symbol"]
    );
    let back = one(with(&module()), with(&module().export("_PG_init")));
    assert_eq!((back.kind, back.severity), (ChangeKind::EntryPointAdded, Severity::Info));
}

#[test]
fn other_exports_are_an_error_only_where_the_new_tree_imports_them() {
    let old = || with(&module().export("shared"));
    let change = one(old(), with(&module()));
    assert_eq!((change.kind, change.severity), (ChangeKind::ExportRemoved, Severity::Warning));
    let user = module().import("shared");
    let found = compared(old().object("user.so", &user), with(&module()).object("user.so", &user));
    assert_eq!(lines(&found), ["x.so: export-removed error"]);
    assert_eq!(of_kind(&found, ChangeKind::ExportRemoved).texts("imported by"), ["shared: user.so"]);
    // Where another file has taken it over, and where the importer is new, nothing that worked fails.
    let moved = with(&module()).object("user.so", &user).object("y.so", &module().export("shared"));
    let found = compared(old().object("user.so", &user).object("y.so", &module()), moved);
    assert_eq!(lines(&found), ["x.so: export-removed warning", "y.so: export-added info"]);
    let found = compared(old(), with(&module()).object("user.so", &user));
    assert_eq!(lines(&found), ["user.so: added info", "x.so: export-removed warning"]);
    // A weak reference stays zero.
    let weak = module().weak_import("shared");
    let found = compared(old().object("user.so", &weak), with(&module()).object("user.so", &weak));
    assert_eq!(lines(&found), ["x.so: export-removed warning"]);
}

#[test]
fn variables_are_a_class_of_their_own_and_have_a_size() {
    let change = one(with(&module().export_object("table", 64)), with(&module()));
    assert_eq!(change.kind, ChangeKind::DataRemoved);
    let of = |size| with(&module().export_object("table", size));
    let change = one(of(64), of(96));
    assert_eq!((change.kind, change.severity), (ChangeKind::DataSize, Severity::Info));
    assert!(change.message.contains("table (64 bytes, now 96)"), "{}", change.message);
    let library = |size| Case::new().object("libx.so.1", &library("libx.so.1").export_object("table", size));
    assert_eq!(one(library(64), library(96)).severity, Severity::Warning);
}

#[test]
fn a_variable_in_the_place_of_a_function_is_a_warning() {
    let change = one(with(&module().export("x")), with(&module().export_object("x", 8)));
    assert_eq!((change.kind, change.severity), (ChangeKind::ExportKind, Severity::Warning));
}

#[test]
fn binding_and_version_of_an_export() {
    let weak = Export::new("x", ExportKind::Function(0)).binding(Binding::Weak);
    let change = one(with(&module().export("x")), with(&module().add_export(weak)));
    assert_eq!((change.kind, change.severity), (ChangeKind::ExportBinding, Severity::Info));
    let of = |version: &str| {
        let lib =
            ["V_1", "V_2"].iter().fold(library("libx.so.1"), |lib, name| lib.version_definition(*name, &[]));
        Case::new().object("libx.so.1", &lib.export_versioned("x", version, VersionDefault::Default))
    };
    let change = one(of("V_1"), of("V_2"));
    assert_eq!((change.kind, change.severity), (ChangeKind::ExportVersion, Severity::Warning));
    assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some("V_1"), Some("V_2")));
}

#[test]
fn versions_that_are_not_defined_any_more_are_a_warning() {
    let of = |versions: &[&str]| {
        let lib = versions.iter().fold(library("libx.so.1"), |lib, name| lib.version_definition(*name, &[]));
        Case::new().object("libx.so.1", &lib)
    };
    let change = one(of(&["V_1", "V_2"]), of(&["V_1"]));
    assert_eq!((change.kind, change.severity), (ChangeKind::ExportVersion, Severity::Warning));
    assert_eq!(change.shown_names(), ["V_2"]);
}

#[test]
fn an_api_version_that_no_server_knows_is_a_warning() {
    let of = |version| with(&module().export("f").pg_finfo("f", version));
    let change = one(of(1), of(2));
    assert_eq!((change.kind, change.severity), (ChangeKind::ApiVersion, Severity::Warning));
    assert_eq!(one(of(2), of(1)).severity, Severity::Info);
}
