//! What changed in the control files and scripts of one extension: what CREATE EXTENSION and ALTER EXTENSION do with the
//! new build that they did not with the old one (src/backend/commands/extension.c).

use std::collections::BTreeSet;

use super::change::{Change, ChangeKind};
use super::{ExtensionChanges, Sides, update};
use crate::check::Severity;
use crate::discover::Installation;
use crate::extension::ExtensionRecord;
use crate::extension::control::{Control, read_primary};
use crate::extension::tree::Plan;
use crate::name::{Shown, bytes_as_path};
use crate::rules::evidence::listed;
use crate::tree::Tree;

/// The extensions with changes, by name.
pub(super) fn compare(sides: &Sides<'_>) -> Vec<ExtensionChanges> {
    let mut found = Vec::new();
    let mut updates = update::compare(sides);
    for &(before, after) in &sides.extensions {
        let changes = match (before, after) {
            (Some(before), Some(after)) => {
                let mut changes = both(before, after);
                changes.extend(updates.remove(&after.key()));
                changes
            }
            (Some(before), None) if is_asked(sides, sides.old, before) => vec![removed(sides, before)],
            (None, Some(after)) if is_asked(sides, sides.new, after) => {
                vec![Change::new(ChangeKind::ExtensionAdded, Severity::Info, "The extension is new.")]
            }
            _ => Vec::new(),
        };
        let Some(either) = after.or(before) else { continue };
        if !changes.is_empty() {
            let version = |record: Option<&ExtensionRecord>| default_version(record?).map(<[u8]>::to_vec);
            let (old_version, new_version) = (version(before), version(after));
            found.push(ExtensionChanges {
                name: either.extension.name.clone(),
                old_version,
                new_version,
                changes,
            });
        }
    }
    found
}

/// Whether the other side would have the extension if nothing had changed: its question includes the control files, too.
fn is_asked(sides: &Sides<'_>, tree: &Tree, record: &ExtensionRecord) -> bool {
    let other_tree = if std::ptr::eq(tree, sides.old) { sides.new } else { sides.old };
    let is_installation = other_tree.server().is_some_and(|server| {
        let Installation { pkglibdir, sharedir, .. } = &server.installation;
        sharedir
            .as_ref()
            .is_some_and(|sharedir| other_tree.contains(pkglibdir) || other_tree.contains(sharedir))
    });
    let has_place = is_installation || other_tree.inventory().in_scope().next().is_some();
    !sides.are_files && (tree.contains(&record.extension.control_path) || has_place)
}

fn removed(sides: &Sides<'_>, record: &ExtensionRecord) -> Change {
    let name = Shown(&record.extension.name);
    let change = |severity, message: &str| Change::new(ChangeKind::ExtensionRemoved, severity, message);
    if !matches!(record.extension.plan, Plan::Chain(_)) {
        return change(Severity::Info, "The extension, which could not be created, is gone.");
    }
    // What the server says of a control file that it looks for and does not find.
    let inventory = sides.new.inventory();
    let file = [&record.extension.name, &b".control"[..]].concat();
    let place = inventory.places.control.first().map(|directory| directory.path.join(bytes_as_path(&file)));
    let said = place.and_then(|path| read_primary(sides.new.store().fs(), &path, inventory.major).err());
    let said = said.map_or_else(|| format!("extension \"{name}\" is not available"), |error| error.message);
    let message =
        "The extension is gone: CREATE EXTENSION fails, and with it the restore of every dump that has it.";
    change(Severity::Error, message).server_says(&said)
}

pub(super) fn default_version(record: &ExtensionRecord) -> Option<&[u8]> {
    record.extension.control.as_ref().ok()?.default_version.as_deref()
}

/// The parameters in force when the default version is installed: those of the last script of the chain.
fn control(record: &ExtensionRecord) -> Option<&Control> {
    let last = record.scripts.iter().rfind(|script| script.is_reachable());
    last.and_then(|script| script.control.as_ref().ok()).or(record.extension.control.as_ref().ok())
}

fn both(old: &ExtensionRecord, new: &ExtensionRecord) -> Vec<Change> {
    let mut changes = Vec::new();
    changes.extend(installable(old, new));
    versions(old, new, &mut changes);
    if let (Some(old), Some(new)) = (control(old), control(new)) {
        parameters(old, new, &mut changes);
    }
    changes
}

/// Whether CREATE EXTENSION finds its scripts.
fn installable(old: &ExtensionRecord, new: &ExtensionRecord) -> Option<Change> {
    match (old.extension.plan_error(), new.extension.plan_error()) {
        (None, Some(said)) => Some(
            Change::new(
                ChangeKind::Installable,
                Severity::Error,
                "CREATE EXTENSION works with the old build and fails with the new one.",
            )
            .server_says(&said),
        ),
        (Some(said), None) => {
            let message = "CREATE EXTENSION failed with the old build, and finds its scripts in the new one.";
            Some(Change::new(ChangeKind::Installable, Severity::Info, message).evidence("before", said))
        }
        _ => None,
    }
}

fn versions(old: &ExtensionRecord, new: &ExtensionRecord, changes: &mut Vec<Change>) {
    let (from, to) = (default_version(old), default_version(new));
    let words = |version: Option<&[u8]>| version.map(|version| Shown(version).to_string());
    if from != to {
        let none = || "none".to_owned();
        let (from, to) = (words(from), words(to));
        let message = format!(
            "default_version was {} and is {}.",
            from.clone().unwrap_or_else(none),
            to.clone().unwrap_or_else(none)
        );
        changes.push(Change::new(ChangeKind::DefaultVersion, Severity::Info, message).values(from, to));
    }
    // A directory that cannot be listed holds nobody knows what.
    if old.extension.files.is_err() || new.extension.files.is_err() {
        return;
    }
    if let (Some(from), Some(to)) = (from, to) {
        update_paths(old, new, (from, to), changes);
    }
    let installable = |record: &ExtensionRecord| -> BTreeSet<Vec<u8>> {
        let graph = &record.extension.graph;
        let versions = graph.versions().filter(|version| graph.install_chain(version).is_some());
        versions.map(<[u8]>::to_vec).collect()
    };
    let (before, after) = (installable(old), installable(new));
    let differing = |these: &BTreeSet<Vec<u8>>, those: &BTreeSet<Vec<u8>>| -> Vec<Vec<u8>> {
        these.difference(those).cloned().collect()
    };
    let list = |versions: &[Vec<u8>]| listed(versions.iter().map(|version| Shown(version)));
    let lost = differing(&before, &after);
    if !lost.is_empty() {
        let message = format!("CREATE EXTENSION … VERSION takes no longer: {}.", list(&lost));
        changes.push(
            Change::new(ChangeKind::VersionsRemoved, Severity::Info, message)
                .names(lost.iter().map(Vec::as_slice)),
        );
    }
    let won = differing(&after, &before);
    if !won.is_empty() {
        let message = format!("CREATE EXTENSION … VERSION takes now: {}.", list(&won));
        changes.push(
            Change::new(ChangeKind::VersionsAdded, Severity::Info, message)
                .names(won.iter().map(Vec::as_slice)),
        );
    }
}

/// The ways from the versions that databases have to the new default version.
fn update_paths(
    old: &ExtensionRecord,
    new: &ExtensionRecord,
    (from, to): (&[u8], &[u8]),
    changes: &mut Vec<Change>,
) {
    let name = Shown(&old.extension.name);
    let (before, after) = (&old.extension.graph, &new.extension.graph);
    let said = |version: &[u8]| {
        format!(
            "extension \"{name}\" has no update path from version \"{}\" to version \"{}\"",
            Shown(version),
            Shown(to)
        )
    };
    let has_way = |version: &[u8]| version == to || after.update_chain(version, to).is_some();
    // `ExecAlterExtensionStmt`: of the version that is there already it only says so.
    if before.install_chain(from).is_some() && !has_way(from) {
        let message = format!(
            "A database that has the old default version {} cannot be updated: ALTER EXTENSION {name} UPDATE fails.",
            Shown(from)
        );
        changes.push(
            Change::new(ChangeKind::UpdatePath, Severity::Error, message)
                .values(Some(Shown(from).to_string()), Some(Shown(to).to_string()))
                .names([from])
                .server_says(&said(from))
                .help(format!("ship {name}--{}--{}.sql", Shown(from), Shown(to))),
        );
    }
    // Databases that were not updated to the old default version, and could have been.
    // "unpackaged" was no version, but how CREATE EXTENSION … FROM, which 13 dropped, called loose objects.
    let stuck: Vec<&[u8]> = before
        .versions()
        .filter(|version| *version != from && *version != b"unpackaged")
        .filter(|version| before.update_chain(version, from).is_some() && !has_way(version))
        .collect();
    if let Some(first) = stuck.first() {
        let message = format!(
            "Databases that still have {} could be updated with the old build, and cannot be with the new one.",
            listed(stuck.iter().map(|version| Shown(version)))
        );
        changes.push(
            Change::new(ChangeKind::UpdatePath, Severity::Warning, message)
                .server_says(&said(first))
                .names(stuck),
        );
    }
}

fn parameters(old: &Control, new: &Control, changes: &mut Vec<Change>) {
    let text = |value: &Option<Vec<u8>>| value.as_deref().map(|value| Shown(value).to_string());
    let mut value = |kind, what: &str, from: Option<String>, to: Option<String>, severity, leads: &str| {
        if from != to {
            let words = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
            let message = format!("{what} was {} and is {}{leads}.", words(&from), words(&to));
            changes.push(Change::new(kind, severity, message).values(from, to));
        }
    };
    let (from, to) = (text(&old.module_pathname), text(&new.module_pathname));
    value(ChangeKind::ModulePathname, "module_pathname", from, to, Severity::Info, "");
    let (severity, leads) = match &new.schema {
        Some(_) => (Severity::Warning, ": CREATE EXTENSION with another SCHEMA fails"),
        None => (Severity::Info, ""),
    };
    value(ChangeKind::Schema, "schema", text(&old.schema), text(&new.schema), severity, leads);
    let mut flag = |kind, what, old: bool, new: bool, is_worse: bool, leads| {
        let severity = if is_worse { Severity::Warning } else { Severity::Info };
        let words = |value: bool| Some(value.to_string());
        value(kind, what, words(old), words(new), severity, if is_worse { leads } else { "" });
    };
    let leads = ": who is no superuser cannot create or update it any more";
    let worse = new.superuser && !old.superuser && !new.trusted;
    flag(ChangeKind::Superuser, "superuser", old.superuser, new.superuser, worse, leads);
    let worse = old.trusted && !new.trusted && new.superuser;
    flag(ChangeKind::Trusted, "trusted", old.trusted, new.trusted, worse, leads);
    let leads = ": ALTER EXTENSION … SET SCHEMA fails";
    let worse = old.relocatable && !new.relocatable;
    flag(ChangeKind::Relocatable, "relocatable", old.relocatable, new.relocatable, worse, leads);
    requires(old, new, changes);
}

fn requires(old: &Control, new: &Control, changes: &mut Vec<Change>) {
    let set = |control: &Control| -> BTreeSet<Vec<u8>> { control.requires.iter().cloned().collect() };
    let (before, after) = (set(old), set(new));
    let words = |names: &BTreeSet<Vec<u8>>| {
        (!names.is_empty())
            .then(|| names.iter().map(|name| Shown(name).to_string()).collect::<Vec<_>>().join(", "))
    };
    let more: Vec<&[u8]> = after.difference(&before).map(Vec::as_slice).collect();
    let less: Vec<&[u8]> = before.difference(&after).map(Vec::as_slice).collect();
    let list = |names: &[&[u8]]| listed(names.iter().map(|name| Shown(name)));
    if let Some(first) = more.first() {
        // `get_required_extension`, which ALTER EXTENSION UPDATE runs too, without CASCADE.
        let message = format!(
            "It requires {} now: CREATE EXTENSION without CASCADE, and ALTER EXTENSION UPDATE, fail in a database that \
             lacks it.",
            list(&more)
        );
        changes.push(
            Change::new(ChangeKind::Requires, Severity::Warning, message)
                .values(words(&before), words(&after))
                .server_says(&format!("required extension \"{}\" is not installed", Shown(first)))
                .names(more),
        );
    }
    if !less.is_empty() {
        let message = format!("It does not require {} any more.", list(&less));
        changes.push(
            Change::new(ChangeKind::Requires, Severity::Info, message)
                .values(words(&before), words(&after))
                .names(less),
        );
    }
}
