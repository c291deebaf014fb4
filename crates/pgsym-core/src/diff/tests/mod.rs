//! Pairs of small trees in memory: each class of change once with it and once without.

mod catalogs;
mod exports;
mod extensions;
mod files;
mod modules;

use super::{Change, Diff, diff};
use crate::check::Severity;
use crate::rules::testing::Case;
use crate::tree::Reading;

/// What changed between two cases.
fn compared(old: Case, new: Case) -> Diff {
    let tree = |case: Case| case.settings(|settings| settings.reading = Reading::Comparing).tree();
    diff(&tree(old), &tree(new))
}

/// The changes as "place: change severity", in order.
fn lines(found: &Diff) -> Vec<String> {
    let line =
        |of: &str, change: &Change| format!("{of}: {} {}", change.kind.as_str(), change.severity.as_str());
    let of_files = found.files.iter().flat_map(|file| {
        let place = file.place.display().to_string();
        file.changes.iter().map(move |change| line(&place, change)).collect::<Vec<_>>()
    });
    let of_extensions = found.extensions.iter().flat_map(|extension| {
        let name = String::from_utf8_lossy(&extension.name).into_owned();
        extension.changes.iter().map(move |change| line(&name, change)).collect::<Vec<_>>()
    });
    of_files.chain(of_extensions).collect()
}

/// The only change.
fn one(old: Case, new: Case) -> Change {
    let found = compared(old, new);
    assert_eq!(found.changes().count(), 1, "{found:#?}");
    found.changes().next().cloned().unwrap()
}

/// The worst change of a kind.
fn of_kind(found: &Diff, kind: super::ChangeKind) -> Change {
    let mut changes: Vec<&Change> = found.changes().filter(|change| change.kind == kind).collect();
    changes.sort_by_key(|change| change.severity);
    (*changes.last().unwrap_or_else(|| panic!("no {kind:?} in {found:#?}"))).clone()
}

impl Change {
    /// The texts under one label.
    fn texts(&self, label: &str) -> Vec<&str> {
        self.evidence.iter().filter(|seen| seen.label == label).map(|seen| &*seen.text).collect()
    }

    /// Its names.
    fn shown_names(&self) -> Vec<String> {
        self.names.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn the_same_tree_has_no_change() {
    let case = || {
        catalogs::extension("1.0", &["f", "g"])
            .object("broken.so", &crate::rules::testing::module().needed("libnowhere.so"))
            .file("short.so", b"\x7fELF")
    };
    let found = compared(case(), case());
    assert_eq!(lines(&found), [""; 0]);
    assert_eq!(found.count_from(Severity::Info), 0);
    // A file that nobody can read is told, on both sides, and is no change.
    let uncompared: Vec<_> =
        found.uncompared.iter().map(|one| (one.path.display().to_string(), one.side)).collect();
    let path = || "/pg/lib/short.so".to_owned();
    assert_eq!(uncompared, [(path(), super::Side::Old), (path(), super::Side::New)]);
}
