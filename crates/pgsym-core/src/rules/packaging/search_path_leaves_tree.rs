use super::{Concern, concerning, entry, evidence, found_in, without};
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::name::shown_path;
use crate::resolve::Meaning;
use crate::rules::evidence::listed;

declare_rule! {
    /// A search path climbs from the file's own directory out of the tree.
    ///
    /// ## What it checks
    ///
    /// Elements with `$ORIGIN` that end outside of the directories that were asked about and of the server's
    /// installation. Default directories of the loader are left alone.
    ///
    /// ## Why it matters
    ///
    /// A tree that is meant to be moved as a whole then depends on what lies beside it: the module works where it was
    /// built and finds nothing, or something else, elsewhere.
    ///
    /// ## When it fires
    ///
    /// DT_RUNPATH `$ORIGIN/../../../shared/lib` in a module two levels below the top of its bundle.
    ///
    /// ## How to fix
    ///
    /// Where the directory belongs to what is shipped, audit all of it. Else ship the library inside the tree and shorten
    /// the path, or name an absolute directory that a package owns.
    ///
    /// ## What it cannot see
    ///
    /// Whether the tree is meant to be moved. When single files are audited there is no tree, and nothing is said.
    ///
    /// ## References
    ///
    /// ld.so(8), "Dynamic string tokens".
    pub(crate) static SEARCH_PATH_LEAVES_TREE = {
        code: "PGS508",
        name: "search-path-leaves-tree",
        group: Packaging,
        severity: Info,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for (element, _) in concerning(cx, |concern| *concern == Concern::Outside) {
        let Meaning::Directory(directory) = &element.meaning else { continue };
        let message = format!(
            "{} has {}, which leads out of the tree to {}.",
            entry(element),
            element.text,
            shown_path(&directory.resolved)
        );
        let finding = evidence(cx, element, sink.finding(cx.path(), &element.text, message));
        let found = found_in(cx, element);
        let directory = shown_path(&directory.resolved);
        sink.report(finding.help(if found.is_empty() {
            format!(
                "audit {directory} too, if it belongs to the tree, or do without it: {}",
                without(cx, element)
            )
        } else {
            format!(
                "audit {directory} too, if it belongs to the tree, or ship {} inside the tree",
                listed(found)
            )
        }));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().runpath("$ORIGIN/../../shared")).fs(|fs| fs.directory("/shared"))
    }

    pub(crate) fn silent() -> Case {
        // The server's own installation is as good as the tree.
        Case::new().object("x.so", &module().runpath("$ORIGIN/../share")).fs(|fs| fs.directory("/pg/share"))
    }

    #[test]
    fn a_path_out_of_the_tree_is_good_to_know() {
        assert_eq!(
            firing().one(&SEARCH_PATH_LEAVES_TREE).message,
            ".dynamic[1] DT_RUNPATH has $ORIGIN/../../shared, which leads out of the tree to /shared."
        );
    }
}
