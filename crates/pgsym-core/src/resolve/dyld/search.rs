//! The candidates for one name, in dyld's order (`forEachPathVariant` composed with `forEachResolvedAtPathVar`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::{CRYPTEX, SDK_WITHOUT_FALLBACKS};
use super::image::{ImageId, slice_for};
use super::process::{DyldProcess, refusal};
use super::trace::{DyldOutcome, DyldProbe, DyldVia};
use crate::fs::FileId;
use crate::limits;
use crate::model::{Module, SearchPathKind};
use crate::name::{Name, path_bytes, path_from_bytes};

/// One path that dyld would look at.
pub(super) struct Candidate {
    pub(super) via: DyldVia,
    pub(super) path: PathBuf,
    /// Whether the shared cache counts too; the first look at an absolute path is at the disk alone.
    pub(super) cache_counts: bool,
}

/// Who asks for a name.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    /// The images whose LC_RPATHs count, innermost first; the first is the one that asks.
    pub(super) chain: &'a [ImageId],
    /// Whether a load command asks, and not `dlopen`.
    pub(super) is_static: bool,
}

/// The candidates for a name.
pub(super) fn candidates(process: &DyldProcess, request: Request<'_>, name: &[u8]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let leaf = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    for directory in &process.env().library_path {
        push(&mut found, DyldVia::LibraryPath, join(path_bytes(directory), leaf), true);
    }
    if name.first() == Some(&b'@') {
        resolved(process, request, name, &mut found);
    } else {
        // On the disk, in the cryptex (put before relative names too, without a slash between), and once more with
        // the cache.
        push(&mut found, DyldVia::Path, name.to_vec(), false);
        push(&mut found, DyldVia::Path, [CRYPTEX.as_bytes(), name].concat(), true);
        push(&mut found, DyldVia::Path, name.to_vec(), true);
    }
    // `dlopen` of a path has no fallbacks.
    if request.is_static || !name.contains(&b'/') {
        for directory in fallbacks(process, request) {
            let path = join(path_bytes(&directory), leaf);
            if path != name {
                push(&mut found, DyldVia::Fallback, path, true);
            }
        }
    }
    found.truncate(limits::DYLD_PROBES);
    found
}

impl DyldProcess {
    /// What an image would find under the name of a library if no image answered to it: the file, what its slice
    /// says, and the way there. None where only the shared cache has it.
    pub fn search_afresh(&self, id: ImageId, name: &Name) -> Option<(FileId, Arc<Module>, Vec<DyldProbe>)> {
        let request = Request { chain: self.image(id)?.rpath_stack(), is_static: true };
        let mut searched = Vec::new();
        for Candidate { via, path, .. } in candidates(self, request, name.as_bytes()) {
            let (outcome, found) = match self.file(&path) {
                Err(outcome) => (outcome, None),
                Ok((id, module)) => match slice_for(&module, self.env().arch) {
                    Some(slice) if refusal(&slice, &path, true).is_none() => {
                        (DyldOutcome::Found, Some((id, slice)))
                    }
                    _ => (DyldOutcome::Refused("it cannot be loaded".to_owned()), None),
                },
            };
            searched.push(DyldProbe { via, path, outcome });
            if let Some((id, module)) = found {
                return Some((id, module, searched));
            }
        }
        None
    }
}

/// What an `@` path stands for.
fn resolved(process: &DyldProcess, request: Request<'_>, name: &[u8], found: &mut Vec<Candidate>) {
    let asker = request.chain.first().copied();
    if let Some(rest) = token(name, b"@loader_path") {
        if let Some(path) = asker.and_then(|asker| from_loader(process, asker, rest)) {
            push(found, DyldVia::LoaderPath, path, true);
        }
        return;
    }
    if let Some(rest) = token(name, b"@executable_path") {
        if let Some(path) = from_executable(process, rest) {
            push(found, DyldVia::ExecutablePath, path, true);
        }
        return;
    }
    let Some(tail) = name.strip_prefix(b"@rpath/") else {
        // Nothing else is a token: dyld looks for a file of that name.
        push(found, DyldVia::Path, name.to_vec(), true);
        return;
    };
    for &owner in request.chain {
        let Some(module) = process.image(owner).and_then(|image| image.module()) else { continue };
        let paths = module.search_paths.iter().enumerate();
        for (entry, path) in paths.filter(|(_, path)| path.kind == SearchPathKind::LcRpath) {
            let via = DyldVia::Rpath { owner, entry: entry as u32 };
            let raw = path.raw.as_bytes();
            let directory = if let Some(rest) = token(raw, b"@loader_path") {
                from_loader(process, owner, rest)
            } else if let Some(rest) = token(raw, b"@executable_path") {
                from_executable(process, rest)
            } else {
                Some(raw.to_vec())
            };
            let Some(directory) = directory else { continue };
            push(found, via, join(&directory, tail), true);
            if raw.first() == Some(&b'/') {
                push(found, via, [CRYPTEX.as_bytes(), &join(raw, tail)].concat(), true);
            }
            if found.len() > limits::DYLD_PROBES {
                return;
            }
        }
    }
}

/// What follows a token that stands at the start and ends there or with a slash.
fn token<'n>(name: &'n [u8], token: &[u8]) -> Option<&'n [u8]> {
    name.strip_prefix(token).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// `@loader_path`: the directory of the image's resolved path.
fn from_loader(process: &DyldProcess, owner: ImageId, rest: &[u8]) -> Option<Vec<u8>> {
    let path = path_bytes(process.image(owner)?.path());
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    Some([path.get(..slash)?, rest].concat())
}

/// `@executable_path`: the program's directory, with leading `/..` taken off it, since its path has no links
/// (`expandAndNormalizeAtExecutablePath`).
fn from_executable(process: &DyldProcess, mut rest: &[u8]) -> Option<Vec<u8>> {
    let path = path_bytes(process.image(process.main()?)?.path());
    let mut end = path.iter().rposition(|&byte| byte == b'/')?;
    if rest.is_empty() {
        return Some(path.get(..=end)?.to_vec());
    }
    while let Some(after) = rest.strip_prefix(b"/..") {
        // dyld compares three bytes and so takes "/..x" for "/.." too; no name has that.
        let Some(parent) = path.get(..end)?.iter().rposition(|&byte| byte == b'/').filter(|&at| at > 0)
        else {
            break;
        };
        (end, rest) = (parent, after);
    }
    Some([path.get(..end)?, rest].concat())
}

/// A directory and a name below it, with one slash between.
fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    let name = name.strip_prefix(b"/").unwrap_or(name);
    [directory, b"/", name].concat()
}

fn push(found: &mut Vec<Candidate>, via: DyldVia, path: Vec<u8>, cache_counts: bool) {
    found.push(Candidate { via, path: path_from_bytes(path), cache_counts });
}

/// The fallback directories for what the asking image asks.
fn fallbacks(process: &DyldProcess, request: Request<'_>) -> Vec<PathBuf> {
    if let Some(directories) = &process.env().fallback_library_path {
        return directories.clone();
    }
    let platform = request
        .chain
        .first()
        .and_then(|&asker| process.image(asker))
        .and_then(|image| image.macho())
        .and_then(|macho| macho.platform().copied());
    // An image without a platform is older than platforms.
    if platform.is_some_and(|platform| platform.sdk >= SDK_WITHOUT_FALLBACKS) {
        return Vec::new();
    }
    ["/usr/local/lib", "/usr/lib"].iter().map(|directory| Path::new(directory).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_with_a_slash_or_the_name() {
        assert_eq!(token(b"@loader_path/../x", b"@loader_path"), Some(&b"/../x"[..]));
        assert_eq!(token(b"@loader_path", b"@loader_path"), Some(&b""[..]));
        assert_eq!(token(b"@loader_pathx/y", b"@loader_path"), None);
    }

    #[test]
    fn joining_leaves_one_slash() {
        assert_eq!(join(b"/a/", b"/b"), b"/a/b");
        assert_eq!(join(b"/a", b"b"), b"/a/b");
    }
}
