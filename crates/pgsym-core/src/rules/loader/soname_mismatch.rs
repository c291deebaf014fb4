use crate::check::{Finding, ModuleCx, Severity, Sink, declare_rule};
use crate::name::shown_path;
use crate::rules::command::{file_word, path_word};
use crate::rules::evidence::needed_entry;
use crate::tree::Role;

declare_rule! {
    /// A library's DT_SONAME is not the name that it is found by.
    ///
    /// ## What it checks
    ///
    /// Two things. Of each dependency of the tree's files: whether the library that the name leads to calls itself
    /// by another one. Of each library in the tree: whether its directory has a file of the name in its DT_SONAME.
    ///
    /// ## Why it matters
    ///
    /// A symbolic link such as `libfoo.so.1 -> libfoo.so.2` lets the loader start and the code call functions of
    /// another ABI. And since the process now knows one library by two names, a later module that needs
    /// `libfoo.so.2` shares it. A library without a file of its DT_SONAME is not found by anything that is linked with
    /// it, because the linker records the DT_SONAME and not the file's name.
    ///
    /// ## When it fires
    ///
    /// The module needs `libfoo.so.1`; the file of that name says DT_SONAME `libfoo.so.2`.
    ///
    /// ## How to fix
    ///
    /// Link against the version that is shipped, or ship the version that was linked against; ship the symbolic link
    /// that `ldconfig -n DIR` makes.
    ///
    /// ## What it cannot see
    ///
    /// Whether the two versions happen to be compatible.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object` (the test of DT_SONAME); System V ABI, "Shared Object Dependencies".
    pub(crate) static SONAME_MISMATCH = {
        code: "PGS105",
        name: "soname-mismatch",
        group: Loader,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for finding in misnamed_dependencies(cx, sink).into_iter().chain(without_sibling(cx, sink)) {
        sink.report(finding);
    }
}

fn misnamed_dependencies(cx: &ModuleCx<'_>, sink: &Sink<'_>) -> Vec<Finding> {
    let Some(load) = cx.load() else { return Vec::new() };
    let root = load.root.and_then(|root| load.process.object(root));
    let edges = root.map_or(&[][..], |root| root.edges());
    let mut findings = Vec::new();
    for edge in edges.iter().filter(|edge| !edge.name.has_slash()) {
        let Some(target) = edge.target.as_ref().ok().and_then(|&id| load.process.object(id)) else {
            continue;
        };
        // musl's loader is the C library by many names.
        if target.loader().is_none() {
            continue;
        }
        let Some(soname) = target.module().soname.as_ref().filter(|soname| **soname != edge.name) else {
            continue;
        };
        let entry = root.and_then(|root| root.module().needed().get(edge.dependency)).map(needed_entry);
        let message = format!(
            "{} leads to {}, which calls itself {soname}: the code runs with another library than it was linked with.",
            entry.unwrap_or_default(),
            shown_path(target.path())
        );
        findings.push(
            sink.finding(cx.path(), &edge.name, message).evidence("DT_SONAME", soname).help(format!(
                "link again with {soname}, or install the library that is called {}",
                edge.name
            )),
        );
    }
    findings
}

fn without_sibling(cx: &ModuleCx<'_>, sink: &Sink<'_>) -> Option<Finding> {
    let soname = cx.module()?.soname.as_ref()?;
    if cx.role() != Role::Library || cx.file().has_soname_sibling || soname.has_slash() || soname.is_empty() {
        return None;
    }
    let message = format!(
        "DT_SONAME is {soname}, and the directory has no file of that name: what is linked with this library does not \
         find it here."
    );
    Some(sink.finding(cx.path(), soname, message).severity(Severity::Info).help(format!(
        "ln -s {} {}",
        file_word(cx.path()),
        path_word(soname.as_path())
    )))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, Uses as _, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("x.so", &module().uses("libfoo.so.1"))
            .object("/usr/lib/libfoo.so.1", &library("libfoo.so.1").soname("libfoo.so.2"))
    }

    pub(crate) fn silent() -> Case {
        firing().object("/usr/lib/libfoo.so.1", &library("libfoo.so.1"))
    }

    #[test]
    fn a_name_that_leads_to_another_version_is_told() {
        let finding = firing().one(&SONAME_MISMATCH);
        assert_eq!(
            finding.message,
            ".dynamic[1] DT_NEEDED libfoo.so.1 leads to /usr/lib/libfoo.so.1, which calls itself libfoo.so.2: the code \
             runs with another library than it was linked with."
        );
    }

    #[test]
    fn a_library_without_a_file_of_its_soname_is_good_to_know() {
        let case = Case::new().object("libfoo.so.1.4", &library("libfoo.so.1"));
        let finding = case.one(&SONAME_MISMATCH);
        assert_eq!((finding.severity, &*finding.help), (Severity::Info, "ln -s libfoo.so.1.4 libfoo.so.1"));
        let linked = case.fs(|fs| fs.symlink("/pg/lib/libfoo.so.1", "libfoo.so.1.4"));
        assert_eq!(linked.run(&SONAME_MISMATCH), []);
    }
}
