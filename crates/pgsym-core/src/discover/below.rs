//! Servers below the paths of a question, where none is above them: an unpacked package has its `bin/postgres` some
//! levels down, and `--root DIR /` has everything below.

use std::path::{Path, PathBuf};

use super::{Candidate, Installation, find_installation, has_library_name};
use crate::fs::Fs;

/// The installations whose server is among the files of a walk, in path order, each once however many links lead to it.
pub fn installations_below(fs: &dyn Fs, candidates: &[Candidate]) -> Vec<Installation> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut found = Vec::new();
    for candidate in candidates.iter().filter(|candidate| is_server_path(&candidate.path)) {
        // A symbolic link to the server says nothing of the directories around it.
        let Ok(resolved) = fs.canonicalize(&candidate.path) else { continue };
        if candidate.format.is_err() || !is_server_path(&resolved) || seen.contains(&resolved) {
            continue;
        }
        seen.push(resolved);
        found.extend(find_installation(fs, &candidate.path));
    }
    found
}

/// Whether a file has a server's place: Alpine's is `libexec/postgresql15/postgres`, nixpkgs' is beside its wrapper.
fn is_server_path(path: &Path) -> bool {
    let is_in_libexec = || path.ancestors().nth(2).is_some_and(|above| above.ends_with("libexec"));
    path.ends_with("bin/postgres")
        || path.ends_with("bin/.postgres-wrapped")
        || (path.ends_with("postgres") && is_in_libexec())
}

/// Which of several installations serves the files of a walk: the only one, or the only one whose module directory has
/// libraries among them. Where several have, a module of one is nothing for the server of another, and no server is the
/// one for all.
pub fn serving(installations: &[Installation], candidates: &[Candidate]) -> Option<usize> {
    let holds = |installation: &Installation| {
        candidates.iter().any(|candidate| {
            candidate.path.starts_with(&installation.pkglibdir) && has_library_name(&candidate.path)
        })
    };
    if installations.len() == 1 {
        return Some(0);
    }
    let mut holders = installations.iter().enumerate().filter(|(_, installation)| holds(installation));
    let (index, _) = holders.next()?;
    holders.next().is_none().then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{Roots, discover};
    use crate::fs::MemoryFs;

    const ELF: &[u8] = b"\x7fELF";

    fn servers(fs: &MemoryFs) -> (Vec<PathBuf>, Option<usize>) {
        let candidates = discover(fs, &Roots::new(fs, &["/".into()], None)).unwrap().candidates;
        let found = installations_below(fs, &candidates);
        let serving = serving(&found, &candidates);
        (found.into_iter().map(|installation| installation.server).collect(), serving)
    }

    #[test]
    fn the_installation_that_holds_the_modules_serves_them() {
        let fs = MemoryFs::new()
            .file("/pkg/a/bin/postgres", ELF)
            .symlink("/usr/bin/postgres", "/pkg/a/bin/postgres")
            .symlink("/else/bin/postgres", "/pkg/a/bin/postgres");
        assert_eq!(servers(&fs), (vec!["/pkg/a/bin/postgres".into()], Some(0)));
        let fs = fs.file("/pkg/b/bin/postgres", ELF);
        assert_eq!(servers(&fs).1, None);
        let fs = fs.file("/pkg/b/lib/x.so", ELF);
        assert_eq!(servers(&fs), (vec!["/pkg/a/bin/postgres".into(), "/pkg/b/bin/postgres".into()], Some(1)));
        let fs = fs.file("/pkg/a/lib/postgresql/y.so", ELF);
        assert_eq!(servers(&fs).1, None);
    }
}
