//! Makes a differing tree smaller: one statement after the other is taken away, as long as the loader and the prediction still
//! differ. What remains is the case for a regression test.

use super::describe::{Content, Library, Search, Tree};

/// The smallest tree reached by taking single things away. `differs` tells whether a tree still shows a
/// difference; a tree that cannot be laid does not.
pub(super) fn shrink(tree: &Tree, mut differs: impl FnMut(&Tree) -> bool) -> Tree {
    let mut best = tree.clone();
    loop {
        let Some(smaller) = smaller(&best).into_iter().find(|candidate| differs(candidate)) else {
            return best;
        };
        best = smaller;
    }
}

/// Every tree with one thing less.
fn smaller(tree: &Tree) -> Vec<Tree> {
    let mut list = Vec::new();
    let mut with = |change: &dyn Fn(&mut Tree)| {
        let mut candidate = tree.clone();
        change(&mut candidate);
        list.push(candidate);
    };
    for position in 0..tree.opens.len() {
        with(&|tree| {
            tree.opens.remove(position);
        });
    }
    for position in (0..tree.entries.len()).rev() {
        with(&|tree| {
            tree.entries.remove(position);
        });
    }
    if tree.library_path.is_some() {
        with(&|tree| tree.library_path = None);
    }
    for position in 0..tree.host.needed.len() {
        with(&|tree| {
            tree.host.needed.remove(position);
        });
    }
    for search in smaller_searches(&tree.host.search) {
        with(&|tree| tree.host.search = search.clone());
    }
    if tree.host.no_default_libraries {
        with(&|tree| tree.host.no_default_libraries = false);
    }
    for (position, entry) in tree.entries.iter().enumerate() {
        let Content::Library(library) = &entry.content else { continue };
        let replace = |tree: &mut Tree, library| {
            tree.entries[position].content = Content::Library(library);
        };
        for needed in 0..library.needed.len() {
            let mut library = library.clone();
            library.needed.remove(needed);
            with(&|tree| replace(tree, library.clone()));
        }
        for used in 0..library.uses.len() {
            let mut library = library.clone();
            library.uses.remove(used);
            with(&|tree| replace(tree, library.clone()));
        }
        for defined in 0..library.defines.len() {
            let mut library = library.clone();
            library.defines.remove(defined);
            with(&|tree| replace(tree, library.clone()));
        }
        for search in smaller_searches(&library.search) {
            with(&|tree| replace(tree, Library { search: search.clone(), ..library.clone() }));
        }
        if library.soname.is_some() {
            with(&|tree| replace(tree, Library { soname: None, ..library.clone() }));
        }
        if library.no_default_libraries {
            let library = Library { no_default_libraries: false, ..library.clone() };
            with(&|tree| replace(tree, library.clone()));
        }
    }
    list
}

fn smaller_searches(search: &Search) -> Vec<Search> {
    let rpaths = smaller_lists(search.rpath.as_deref());
    let runpaths = smaller_lists(search.runpath.as_deref());
    let from_rpath = rpaths.into_iter().map(|rpath| Search { rpath, runpath: search.runpath.clone() });
    let from_runpath = runpaths.into_iter().map(|runpath| Search { rpath: search.rpath.clone(), runpath });
    from_rpath.chain(from_runpath).collect()
}

/// No list, then the lists with one element less.
fn smaller_lists(list: Option<&str>) -> Vec<Option<String>> {
    let Some(list) = list else { return Vec::new() };
    let elements: Vec<&str> = list.split(':').collect();
    let mut smaller = vec![None];
    if elements.len() > 1 {
        smaller.extend((0..elements.len()).map(|gone| {
            let rest: Vec<&str> = elements
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != gone)
                .map(|(_, element)| *element)
                .collect();
            Some(rest.join(":"))
        }));
    }
    smaller
}
