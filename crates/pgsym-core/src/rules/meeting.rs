//! How rules word meetings: the files involved, the symbols, and the commands that keep two definitions apart.

use std::collections::BTreeSet;
use std::path::Path;

use super::command;
use super::evidence::{base_name, listed};
use crate::check::Finding;
use crate::collide::{Capture, Collisions, Member, MemberId};
use crate::fs::FileId;
use crate::name::Name;
use crate::tree::Tree;

/// The file of the tree that a finding about a member belongs to: the member itself, or the first module that
/// brings it.
pub(crate) fn home<'t>(tree: &'t Tree, member: &'t Member) -> &'t Path {
    let file = member.file.or_else(|| member.brought_by.first().copied());
    file.and_then(|file| tree.files().get(file)).map_or(&*member.path, |file| &*file.path)
}

/// Whether a member is a file of the tree, which somebody here can mend.
pub(crate) fn is_of_tree(tree: &Tree, member: &Member) -> bool {
    member.file.is_some() || tree.find(member.module.id).is_some()
}

/// A member by name, and who brings it where that is not itself.
pub(crate) fn who(tree: &Tree, collisions: &Collisions, id: MemberId) -> String {
    let member = collisions.universe.get(id);
    let name = base_name(&member.path);
    if member.is_server || member.file.is_some() {
        return name;
    }
    let by =
        member.brought_by.iter().filter_map(|&file| tree.files().get(file)).map(|file| base_name(&file.path));
    format!("{name} (brought by {})", listed(by))
}

/// The symbols of captures as evidence, each name once, functions and data apart.
pub(crate) fn with_symbols(mut finding: Finding, captures: &[&Capture]) -> Finding {
    for (label, is_data) in [("functions", false), ("data", true)] {
        let names: BTreeSet<String> = captures
            .iter()
            .flat_map(|capture| &capture.symbols)
            .filter(|symbol| symbol.is_data == is_data)
            .map(|symbol| match &symbol.wanted {
                Some(version) => format!("{}@{version}", symbol.name),
                None => symbol.name.to_string(),
            })
            .collect();
        if !names.is_empty() {
            finding = finding.evidence(label, listed(names));
        }
    }
    finding
}

/// How the user of a capture keeps its references at home, by its format.
pub(crate) fn keep_private(collisions: &Collisions, capture: &Capture) -> &'static str {
    match collisions.universe.get(capture.victim).module.macho() {
        Some(_) => KEEP_PRIVATE_MACH,
        None => KEEP_PRIVATE,
    }
}

/// The same for Mach-O.
const KEEP_PRIVATE_MACH: &str = "link with -bundle_loader $(pg_config --bindir)/postgres instead of -undefined \
    dynamic_lookup, so that no other image is searched, or export only the entry points with \
    -exported_symbols_list";

/// The commands that give a library a name of its own. None where it, or one of those who need it, is no file of the
/// tree: nobody is advised to patch what another package installed.
pub(crate) fn rename(
    tree: &Tree,
    collisions: &Collisions,
    path: &Path,
    name: &Name,
    requesters: &[MemberId],
) -> Option<String> {
    let file_of = |id: FileId| tree.find(id).map(|file| &*file.path);
    let module = tree.store().module(path).ok()?;
    file_of(module.id)?;
    let users = requesters.iter().map(|&id| file_of(collisions.universe.get(id).module.id));
    let users = users.collect::<Option<Vec<&Path>>>().filter(|users| !users.is_empty())?;
    Some(match module.macho() {
        Some(_) => command::rename_image(path, name, &users),
        None => command::rename_library(path, name, &users),
    })
}

/// How a module keeps its own definitions to itself.
pub(crate) const KEEP_PRIVATE: &str = "compile the module with -fvisibility=hidden, link static libraries with \
    -Wl,--exclude-libs,ALL, or export only the entry points with -Wl,--version-script";
