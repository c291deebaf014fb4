use crate::check::{Sink, TreeCx, declare_rule};
use crate::model::DependencyKind;
use crate::name::shown_path;
use crate::resolve::{Edge, LoadErrorKind};
use crate::rules::command::{add_to_search_path, file_word, search_path_of};
use crate::rules::evidence::{consequence, listed, told_if_first};
use crate::rules::lead::{self, Place, directory_of, is_called, named};
use crate::rules::reach::{Failed, failed_edges};
use crate::tree::{Role, Tree, TreeFile};

declare_rule! {
    /// A library that a module needs is found nowhere.
    ///
    /// ## What it checks
    ///
    /// Every DT_NEEDED and DT_FILTER entry of the file and of each library that it brings, searched as the loader of
    /// the server would: objects already in the process, DT_RPATH of the requester and its loaders,
    /// LD_LIBRARY_PATH, DT_RUNPATH, `ld.so.cache`, the default directories.
    ///
    /// ## Why it matters
    ///
    /// The server opens modules with RTLD_NOW. One missing library, however deep, and `LOAD`, `CREATE EXTENSION`
    /// or, for a preloaded module, the start of the server fails with `cannot open shared object file: No such file
    /// or directory`.
    ///
    /// ## When it fires
    ///
    /// A module needs `libgeos_c.so.1`, which is in no directory that the loader searches. One finding for each name
    /// and each set of libraries that ask for it: when forty modules bring a library that misses another one, that is
    /// one finding, which lists them.
    ///
    /// ## How to fix
    ///
    /// Install the package with the library, or ship it beside the module and give the object that asks for it a search
    /// path that leads there: `patchelf --set-rpath '$ORIGIN' x.so`, or `-Wl,-rpath,'$ORIGIN'` when linking. `--set-rpath`
    /// replaces the whole path: repeat the elements that the file has. Where the library is in a searched directory under
    /// another name, the link is missing: `ln -s libfoo.so.1.2 libfoo.so.1`.
    ///
    /// ## What it cannot see
    ///
    /// Libraries that the code opens by itself with `dlopen`; `pgsym inspect` lists those that a `.note.dlopen`
    /// declares. A library of the tree that nothing in it needs is judged as if the server opened it; that is a
    /// warning. Candidates of another machine are `wrong-architecture`, names with a slash `needed-with-slash`.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object`; PostgreSQL src/backend/utils/fmgr/dfmgr.c `internal_load_library`.
    pub(crate) static MISSING_DEPENDENCY = {
        code: "PGS101",
        name: "missing-dependency",
        group: Loader,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    for failed in failed_edges(tree, is_missing) {
        let (file, name) = (failed.file(), failed.name());
        let message = format!(
            "{} is in no directory that the loader searches: {}.",
            failed.entry(tree),
            consequence(file)
        );
        let mut finding = sink.finding(failed.path(tree), name, message).severity(super::severity(file));
        finding = failed.searched(failed.evidence(tree, finding));
        let here = providers(tree, &failed);
        if !here.is_empty() {
            finding = finding.evidence(
                "in the tree",
                listed(here.iter().map(|file| {
                    // By the name that is asked for, where a link has it.
                    shown_path(&named(tree, file, name).unwrap_or_else(|| file.path.clone())).to_string()
                })),
            );
        }
        if let Err(error) = &failed.first().target {
            finding = told_if_first(finding, tree, file, &error.message);
        }
        sink.report(finding.help(if failed.is_mendable(tree) {
            // A link alone changes less than a search path.
            let ways = here.iter().filter_map(|provider| lead_to(tree, &failed, provider));
            let way = ways.min_by_key(|commands| commands.contains("patchelf"));
            way.unwrap_or_else(|| install(tree, &failed))
        } else {
            format!(
                "install the package that has {name}: it is missing below a library that is not of this tree"
            )
        }));
    }
}

/// Missing for everybody, and for no reason that another rule explains.
pub(super) fn is_missing(edge: &Edge) -> bool {
    matches!(&edge.target, Err(error) if error.kind == LoadErrorKind::NotFound)
        && edge.kind != DependencyKind::Auxiliary
        && !edge.name.has_slash()
        && !super::wrong_architecture::met_another_machine(edge)
}

/// The commands that lead the requester to a file of the tree.
fn lead_to(tree: &Tree, failed: &Failed<'_>, provider: &TreeFile) -> Option<String> {
    let requester = tree.files().iter().find(|file| file.path == failed.path(tree))?;
    let to = directory_of(tree, &provider.path)?;
    let is_searched =
        failed.first().searched.iter().any(|probe| directory_of(tree, &probe.path).as_ref() == Some(&to));
    lead::lead_to(tree, requester, failed.name(), provider, (!is_searched).then_some(Place::Last))
}

/// What to do about a library that the tree does not have.
fn install(tree: &Tree, failed: &Failed<'_>) -> String {
    let name = failed.name();
    let requester = tree.files().iter().find(|file| file.path == failed.path(tree));
    let module = requester.and_then(|file| file.module.as_ref().ok());
    let ship = format!("install the package that has {name}, or ship it beside this file");
    let is_origin = |element: &Vec<u8>| matches!(&element[..], b"$ORIGIN" | b"${ORIGIN}");
    match module {
        Some(module) if !search_path_of(module).iter().any(is_origin) => {
            let command = add_to_search_path(module, b"$ORIGIN".to_vec(), &file_word(failed.path(tree)));
            format!("{ship} and run: {command}")
        }
        _ => ship,
    }
}

/// Files of the tree that would do, were they searched for: those of the name, then those of the DT_SONAME.
fn providers<'t>(tree: &'t Tree, failed: &Failed<'_>) -> Vec<&'t TreeFile> {
    let (name, target) = (failed.name(), failed.load.process.env().target);
    let soname = |file: &TreeFile| file.module.as_ref().ok().and_then(|module| module.soname.clone());
    let fitting = || {
        tree.files().iter().filter(|file| {
            let is_usable = matches!(file.role, Role::Library | Role::Module);
            is_usable && file.module.as_ref().is_ok_and(|module| module.target.same_machine(target))
        })
    };
    let called = fitting().filter(|file| is_called(file, name));
    let has_soname = fitting().filter(|file| !is_called(file, name) && soname(file).as_ref() == Some(name));
    called.chain(has_soname).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use pgsym_testkit::{Machine, SharedObject};

    use crate::check::Severity;
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("geo.so", &module().needed("libgeos_c.so.1").runpath("$ORIGIN/deps"))
    }

    pub(crate) fn silent() -> Case {
        firing().object("deps/libgeos_c.so.1", &library("libgeos_c.so.1"))
    }

    #[test]
    fn a_library_found_nowhere_is_an_error_with_every_place_searched() {
        let finding = firing().one(&MISSING_DEPENDENCY);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            ".dynamic[1] DT_NEEDED libgeos_c.so.1 is in no directory that the loader searches: the server cannot \
             load the module."
        );
        assert_eq!(
            finding.texts("searched")[..2],
            [
                "DT_RUNPATH $ORIGIN/deps: /pg/lib/deps: no such directory",
                "ld.so.cache: skipped: there is no ld.so.cache"
            ]
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/geo.so\": libgeos_c.so.1: cannot open shared object file: No \
              such file or directory"
            ]
        );
    }

    #[test]
    fn what_the_search_path_leads_to_already_stays_in_it() {
        assert_eq!(
            firing().one(&MISSING_DEPENDENCY).help,
            "install the package that has libgeos_c.so.1, or ship it beside this file and run: patchelf --set-rpath \
             '$ORIGIN/deps:$ORIGIN' geo.so"
        );
    }

    #[test]
    fn a_file_of_another_name_in_a_searched_directory_needs_a_link_only() {
        let case = firing().object("deps/libgeos_c.so.1.17.1", &library("libgeos_c.so.1"));
        assert_eq!(
            case.one(&MISSING_DEPENDENCY).help,
            "ln -s libgeos_c.so.1.17.1 /pg/lib/deps/libgeos_c.so.1"
        );
    }

    #[test]
    fn a_link_that_is_there_is_not_made_again() {
        let case = firing()
            .object("lib/libgeos_c.so.1.17.1", &library("libgeos_c.so.1"))
            .symlink("/pg/lib/lib/libgeos_c.so.1", "libgeos_c.so.1.17.1");
        let finding = case.one(&MISSING_DEPENDENCY);
        assert_eq!(finding.texts("in the tree"), ["/pg/lib/lib/libgeos_c.so.1"]);
        assert_eq!(finding.help, "patchelf --set-rpath '$ORIGIN/deps:$ORIGIN/lib' /pg/lib/geo.so");
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_replaced() {
        let case = firing()
            .object("deps/libgeos_c.so.1.17.1", &library("libgeos_c.so.1"))
            .symlink("/pg/lib/deps/libgeos_c.so.1", "gone");
        assert_eq!(
            case.one(&MISSING_DEPENDENCY).help,
            "ln -sf libgeos_c.so.1.17.1 /pg/lib/deps/libgeos_c.so.1"
        );
    }

    #[test]
    fn a_file_for_another_machine_is_no_way_out() {
        let other = SharedObject::for_machine(Machine::Aarch64).soname("libgeos_c.so.1");
        let finding = firing().object("arm/libgeos_c.so.1", &other).one(&MISSING_DEPENDENCY);
        assert!(finding.help.starts_with("install the package"), "{}", finding.help);
        assert!(finding.texts("in the tree").is_empty());
    }

    #[test]
    fn a_link_goes_before_a_longer_search_path() {
        let case = firing()
            .object("other/libgeos_c.so.1", &library("libgeos_c.so.1"))
            .object("deps/libgeos_c.so.1.17.1", &library("libgeos_c.so.1"));
        assert_eq!(
            case.one(&MISSING_DEPENDENCY).help,
            "ln -s libgeos_c.so.1.17.1 /pg/lib/deps/libgeos_c.so.1"
        );
    }

    #[test]
    fn a_directory_of_the_tree_that_is_not_searched_is_added() {
        let case = firing().object("other/libgeos_c.so.1", &library("libgeos_c.so.1"));
        assert_eq!(
            case.one(&MISSING_DEPENDENCY).help,
            "patchelf --set-rpath '$ORIGIN/deps:$ORIGIN/other' /pg/lib/geo.so"
        );
    }

    #[test]
    fn one_cause_is_one_finding_however_many_modules_it_hits() {
        let case = Case::new()
            .object("/usr/lib/libgdal.so.32", &library("libgdal.so.32").needed("libhdf5.so.103"))
            .object("a.so", &module().needed("libgdal.so.32"))
            .object("b.so", &module().needed("libgdal.so.32"));
        let finding = case.one(&MISSING_DEPENDENCY);
        assert_eq!(finding.path.to_str(), Some("/pg/lib/a.so"));
        assert_eq!(
            finding.message,
            "/usr/lib/libgdal.so.32 .dynamic[1] DT_NEEDED libhdf5.so.103 is in no directory that the loader searches: \
             the server cannot load the module."
        );
        assert_eq!(finding.texts("brought by"), ["a.so → libgdal.so.32"]);
        assert_eq!(finding.texts("keeps out"), ["b.so"]);
    }

    #[test]
    fn a_library_that_only_works_with_its_module_is_judged_there() {
        let case = Case::new()
            .object("deps/liba.so.1", &library("liba.so.1").needed("libb.so.1"))
            .object("deps/libb.so.1", &library("libb.so.1"))
            .object("x.so", &module().needed("liba.so.1").rpath("$ORIGIN/deps"));
        assert_eq!(case.run(&MISSING_DEPENDENCY), []);
    }

    #[test]
    fn a_library_that_nothing_brings_is_a_warning() {
        let case = Case::new().object("libalone.so.1", &library("libalone.so.1").needed("libb.so.1"));
        assert_eq!(case.one(&MISSING_DEPENDENCY).severity, Severity::Warning);
    }
}
