//! Which words of a finding are a file's own: the answer spells the paths of the question as it was asked, and must not touch
//! what a file says, nor what a fix would write into it.

use crate::name::{Name, Shown};
use crate::tree::Tree;

/// What the files of a tree say that looks like a path of the question, and is to be shown, and mended, as they say it:
/// what they need, where they have it searched, which library a script names.
pub(super) fn verbatim(tree: &Tree) -> Vec<String> {
    let modules = tree.files().iter().filter_map(|file| file.module.as_ref().ok());
    let of_modules = modules.flat_map(|module| {
        let needed = module.dependencies.get().into_iter().flatten().map(|dependency| &dependency.name);
        needed
            .chain(&module.soname)
            .chain(module.search_paths.iter().map(|path| &path.raw))
            .map(Name::as_bytes)
    });
    let inventory = tree.inventory();
    let controls = inventory.in_scope().filter_map(|record| record.extension.control.as_ref().ok());
    let of_controls = controls.flat_map(|control| control.module_pathname.iter().chain(&control.directory));
    let of_scripts = inventory.libraries.iter().map(|library| &library.name);
    let texts = of_modules.chain(of_controls.chain(of_scripts).map(Vec::as_slice));
    let whole_and_parts = texts.flat_map(|text| {
        let parts = text.split(|&b| b == b':').filter(|part| part.len() < text.len());
        std::iter::once(text).chain(parts).map(|text| Shown(text).to_string()).collect::<Vec<_>>()
    });
    let mut found: Vec<String> = whole_and_parts.filter(|text| tree.roots().respells(text)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use pgsym_testkit::SharedObject;

    use crate::check::Selection;
    use crate::fs::MemoryFs;
    use crate::report::Audit;
    use crate::tree::{Settings, Tree};

    /// What an audit of `.` in `/home/build` says of a module.
    fn audit(module: &SharedObject) -> String {
        let fs = MemoryFs::new().file("/home/build/x.so", module.build());
        let settings = Settings { working_directory: Some("/home/build".into()), ..Settings::default() };
        let tree = Tree::load(Arc::new(fs), &[PathBuf::from(".")], settings).unwrap();
        let audit = Audit::new(&tree, &Selection::default());
        serde_json::to_string(&audit).unwrap()
    }

    #[test]
    fn needed_paths_and_search_paths_stand_as_in_the_file() {
        let answer = audit(&SharedObject::new().needed("/home/build/libdep.so"));
        assert!(answer.contains("DT_NEEDED /home/build/libdep.so"), "{answer}");
        assert!(answer.contains("--replace-needed /home/build/libdep.so"), "{answer}");
        assert!(!answer.contains("./libdep.so"), "{answer}");
        let answer = audit(&SharedObject::new().runpath("/home/build:$LIB/x").needed("libdep.so"));
        assert!(answer.contains("/home/build:$LIB/x"), "{answer}");
        assert!(!answer.contains(".:$LIB"), "{answer}");
    }
}
