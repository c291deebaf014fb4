use std::collections::BTreeMap;
use std::path::Path;

use crate::check::{Sink, TreeCx, declare_rule};
use crate::collide::MemberId;
use crate::name::{Name, shown_path};
use crate::rules::command::{file_word, leaf_word, path_word};
use crate::rules::meeting::{home, who};

declare_rule! {
    /// Two files with one soname are asked for by different names.
    ///
    /// ## What it checks
    ///
    /// The sonames of everything that the modules bring. Files that are asked for by the same name are
    /// search-path-collision's and private-copy-never-used's; here a path, or a name that is not the soname, brings the
    /// second one in.
    ///
    /// ## Why it matters
    ///
    /// An object in the process answers to its soname. Once the file that calls itself `libfoo.so.1` is loaded, by
    /// whatever name, everybody who needs `libfoo.so.1` is given it.
    ///
    /// ## When it fires
    ///
    /// A module needs `libfoo-private.so`, a copy whose soname still says `libfoo.so.1`; another module needs libfoo.so.1.
    ///
    /// ## How to fix
    ///
    /// Let the soname of each file be its own name: `patchelf --set-soname libfoo-private.so libfoo-private.so`. Whoever
    /// needs it asks by that name already.
    ///
    /// ## What it cannot see
    ///
    /// Which of the modules are ever used in the same session.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object`, the test of DT_SONAME.
    pub(crate) static SONAME_COLLISION = {
        code: "PGS212",
        name: "soname-collision",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(collisions) = tree.collisions() else { return };
    let mut by_soname: BTreeMap<&Name, Vec<MemberId>> = BTreeMap::new();
    for (id, member) in collisions.universe.members() {
        // What begins with another token is a path by the time that anybody is asked.
        let is_asked_for = |soname: &&Name| {
            member.module.macho().is_none()
                || !soname.as_bytes().starts_with(b"@")
                || soname.as_bytes().starts_with(b"@rpath/")
        };
        if let Some(soname) = member.module.soname.as_ref().filter(is_asked_for) {
            by_soname.entry(soname).or_default().push(id);
        }
    }
    for (soname, members) in by_soname.iter().filter(|(_, members)| members.len() > 1) {
        if collisions.names.iter().any(|name| name.name == **soname) {
            continue;
        }
        let (first, rest) = (members[0], &members[1..]);
        for &second in rest {
            let (one, other) = (collisions.universe.get(first), collisions.universe.get(second));
            let finding = sink
                .finding(
                    home(tree, other),
                    soname,
                    format!(
                        "{} calls itself {soname}, and so does {}: whoever needs {soname} is given the one that is loaded first.",
                        shown_path(&other.path),
                        shown_path(&one.path)
                    ),
                )
                .evidence("first", who(tree, collisions, first))
                .evidence("second", who(tree, collisions, second));
            let help = [second, first].into_iter().find_map(|id| {
                let member = collisions.universe.get(id);
                // Others ask for it by its file's name already: the soname alone is to follow.
                tree.find(member.module.id).filter(|_| !is_called(&member.path, soname))?;
                let path = path_word(&member.path);
                Some(match member.module.macho() {
                    Some(_) => {
                        let name = leaf_word(b"@rpath/", &member.path);
                        format!("install_name_tool -id {name} {path} && codesign -f -s - {path}")
                    }
                    None => format!("patchelf --set-soname {} {path}", file_word(&member.path)),
                })
            });
            sink.report(finding.help(help.unwrap_or_default()));
        }
    }
}

/// Whether a file's name is its soname.
fn is_called(path: &Path, soname: &Name) -> bool {
    path.file_name().is_some_and(|name| name == soname.as_path())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        silent().object("private/libfoo-private.so", &library("libfoo.so.1").export("foo"))
    }

    pub(crate) fn silent() -> Case {
        Case::new()
            .object("a.so", &module().needed("libfoo-private.so").runpath("$ORIGIN/private").import("foo"))
            .object("b.so", &module().needed("libfoo.so.1").import("foo"))
            .object("private/libfoo-private.so", &library("libfoo-private.so").export("foo"))
            .object("/lib/x86_64-linux-gnu/libfoo.so.1", &library("libfoo.so.1").export("foo"))
    }

    #[test]
    fn the_command_that_mends_it_is_given() {
        let finding = firing().one(&SONAME_COLLISION);
        assert_eq!(finding.help, "patchelf --set-soname libfoo-private.so /pg/lib/private/libfoo-private.so");
    }

    #[test]
    fn a_file_of_the_system_is_not_to_be_patched() {
        let case = Case::new()
            .object("a.so", &module().needed("libfoo-private.so").import("foo"))
            .object("b.so", &module().needed("libfoo.so.1").import("foo"))
            .object("/usr/lib/libfoo-private.so", &library("libfoo.so.1").export("foo"))
            .object("/lib/x86_64-linux-gnu/libfoo.so.1", &library("libfoo.so.1").export("foo"));
        assert_eq!(case.one(&SONAME_COLLISION).help, "");
    }
}
