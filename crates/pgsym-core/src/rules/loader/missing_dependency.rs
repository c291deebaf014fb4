use crate::check::{Finding, ModuleCx, Sink, declare_rule};
use crate::model::DependencyKind;
use crate::resolve::{Edge, LoadErrorKind, Process};

declare_rule! {
    /// A library that the module needs is found nowhere.
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
    /// or the start of the server fails with `cannot open shared object file: No such file or directory`.
    ///
    /// ## When it fires
    ///
    /// A module needs `libgeos_c.so.1`, which is in no directory that the loader searches.
    ///
    /// ## How to fix
    ///
    /// Install the package with the library, or ship it beside the module and give the object that needs it a search
    /// path: `patchelf --set-rpath '$ORIGIN' x.so`.
    ///
    /// ## What it cannot see
    ///
    /// Libraries that the code opens by itself with `dlopen`; `pgsym inspect` lists those that a `.note.dlopen`
    /// declares.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object`; PostgreSQL src/backend/utils/fmgr/dfmgr.c `internal_load_library`.
    pub(crate) static MISSING_DEPENDENCY = {
        code: "PGS101",
        name: "missing-dependency",
        group: Loader,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some(load) = cx.load() else { return };
    let Some(root) = load.root else { return };
    for id in load.process.closure(root) {
        let Some(object) = load.process.object(id) else { continue };
        for edge in object.edges() {
            let is_missing = matches!(&edge.target, Err(error) if error.kind == LoadErrorKind::NotFound);
            if is_missing && edge.kind != DependencyKind::Auxiliary {
                sink.report(finding(cx, sink, &load.process, edge));
            }
        }
    }
}

fn finding(cx: &ModuleCx<'_>, sink: &Sink<'_>, process: &Process, edge: &Edge) -> Finding {
    let requester = process.object(edge.requester).map(|object| object.path().display().to_string());
    let by = requester.unwrap_or_default();
    let mut finding = sink.finding(
        cx.path(),
        &edge.name,
        format!("{} is found nowhere, and {by} needs it: the module does not load.", edge.name),
    );
    for probe in &edge.searched {
        finding = finding.evidence(
            "searched",
            format!("{} {}: {}", probe.via.as_str(), probe.path.display(), probe.outcome),
        );
    }
    finding.help(format!("install the package that has {}, or ship it and set a search path: patchelf --set-rpath '$ORIGIN' FILE", edge.name))
}
