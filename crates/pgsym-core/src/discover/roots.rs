//! The paths of a question, each in two spellings: as it was given, which is how answers show it, and where it
//! stands, which is what everything else works on. A server opens modules by absolute path, rules look at what is above a
//! file, and `..` behind a symbolic link is not the directory that the name says: none of them can work on a
//! relative path, and the answer to a question does not depend on the directory that it was asked in.

use std::path::{Component, Path, PathBuf};

use crate::fs::{FileKind, Fs};
use crate::hash::HashMap;
use crate::name::shown_path;

/// The paths that were asked about.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    given: Vec<PathBuf>,
    paths: Vec<PathBuf>,
    /// The root at each place; of two spellings of one root, the first.
    at: HashMap<PathBuf, usize>,
}

impl Roots {
    /// Roots as a caller names them; the relative ones stand in `working_directory`.
    pub fn new(fs: &dyn Fs, given: &[PathBuf], working_directory: Option<&Path>) -> Self {
        let paths: Vec<PathBuf> = given.iter().map(|path| standing(fs, path, working_directory)).collect();
        let mut at = HashMap::default();
        for (index, path) in paths.iter().enumerate() {
            at.entry(path.clone()).or_insert(index);
        }
        Self { given: given.to_vec(), paths, at }
    }

    /// As the caller named them.
    pub fn given(&self) -> &[PathBuf] {
        &self.given
    }

    /// Where they stand, in the same order.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// A path as the caller would name it: below the nearest root, in the spelling of that root; as it is where it
    /// is below none.
    pub fn shown(&self, path: &Path) -> PathBuf {
        let root = path.ancestors().find_map(|above| Some((above, self.given.get(*self.at.get(above)?)?)));
        let Some((root, given)) = root else { return path.to_owned() };
        match path.strip_prefix(root) {
            Ok(rest) if !rest.as_os_str().is_empty() => given.join(rest),
            _ => given.clone(),
        }
    }

    /// A text with the paths in it as the caller would name them. Below `/`, given by another name, they stay as they
    /// are; so do the words of `verbatim`, which a file holds and no spelling of the question can change.
    pub fn shown_in(&self, text: &str, verbatim: &[String]) -> String {
        // The longest first: a search path has its own elements in it.
        let found = verbatim.iter().filter_map(|word| Some((find_path(text, word, Whole::Yes)?, word)));
        if let Some((at, word)) = found.min_by_key(|(at, word)| (*at, std::cmp::Reverse(word.len()))) {
            let (before, rest) = text.split_at(at);
            let after = rest.get(word.len()..).unwrap_or_default();
            return self.respelt(before) + word + &self.shown_in(after, verbatim);
        }
        self.respelt(text)
    }

    /// Whether a text has a path in it that the caller would name otherwise.
    pub fn respells(&self, text: &str) -> bool {
        self.respelt(text) != text
    }

    fn respelt(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for (given, root) in self.given.iter().zip(&self.paths) {
            if given == root || root.parent().is_none() {
                continue;
            }
            let (given, root) = (shown_path(given).to_string(), shown_path(root).to_string());
            shown = replace_path(&shown, &root, given.trim_end_matches('/'));
        }
        shown
    }
}

/// Replaces a path, and the start of longer paths, where it stands as a word of its own.
fn replace_path(text: &str, path: &str, with: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = find_path(text.get(from..).unwrap_or_default(), path, Whole::OrStart) {
        replaced.push_str(text.get(from..from + at).unwrap_or_default());
        replaced.push_str(with);
        from += at + path.len();
    }
    replaced + text.get(from..).unwrap_or_default()
}

/// Whether a path has to stand alone, or may begin a longer one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    OrStart,
}

/// Where a path stands as a word of its own.
fn find_path(text: &str, path: &str, whole: Whole) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || "/._-+~".contains(c);
    text.match_indices(path).map(|(at, _)| at).find(|&at| {
        let (before, after) =
            (text.get(..at).unwrap_or_default(), text.get(at + path.len()..).unwrap_or_default());
        let starts = !before.ends_with(is_part);
        // A full stop behind it ends the sentence.
        let ends = !after.starts_with(is_part) || matches!(after, "." | "/") || after.starts_with(". ");
        starts && (ends || (whole == Whole::OrStart && after.starts_with('/')))
    })
}

/// Where a path stands: absolute, without `.` and `..`; symbolic links stay, except before a `..`, which means the
/// directory above what the link leads to.
pub fn standing(fs: &dyn Fs, path: &Path, working_directory: Option<&Path>) -> PathBuf {
    let whole = working_directory.map_or_else(|| path.to_owned(), |directory| directory.join(path));
    let mut plain = PathBuf::new();
    for component in whole.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match directory(fs, &plain) {
                Some(mut above) => {
                    above.pop();
                    plain = above;
                }
                // The system finds nothing behind it, and says so itself.
                None => plain.push(component),
            },
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
    }
    plain
}

/// The directory that a path leads to, by its own name.
fn directory(fs: &dyn Fs, path: &Path) -> Option<PathBuf> {
    let metadata = fs.metadata(path).ok()?;
    (metadata.kind == FileKind::Directory).then(|| fs.canonicalize(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    fn fs() -> MemoryFs {
        MemoryFs::new().file("/opt/pg/lib/x.so", "").symlink("/home/me/link", "/opt/pg/lib")
    }

    #[test]
    fn every_spelling_of_a_directory_stands_in_the_same_place() {
        let stand = |path: &str, from: &str| standing(&fs(), path.as_ref(), Some(from.as_ref()));
        let lib = PathBuf::from("/opt/pg/lib");
        for (path, from) in [
            ("/opt/pg/lib", "/"),
            ("lib", "/opt/pg"),
            ("./lib/", "/opt/pg"),
            (".", "/opt/pg/lib"),
            ("../lib", "/opt/pg/lib"),
            ("../home/../opt/./pg//lib", "/opt"),
            ("link/../lib", "/home/me"),
            ("../../../opt/pg/lib", "/opt"),
        ] {
            assert_eq!(stand(path, from), lib, "{path} in {from}");
        }
        // A link in the last place keeps its name, as the server that opens it would.
        assert_eq!(stand("link", "/home/me"), Path::new("/home/me/link"));
        // Nothing is found there, and nothing is made up.
        assert_eq!(stand("nowhere/../lib", "/opt/pg"), Path::new("/opt/pg/nowhere/../lib"));
    }

    #[test]
    fn a_path_is_shown_as_its_root_was_given() {
        let given = ["lib", "lib/x.so", "/opt"].map(PathBuf::from);
        let roots = Roots::new(&fs(), &given, Some("/opt/pg".as_ref()));
        let shown = |path: &str| roots.shown(path.as_ref());
        assert_eq!(shown("/opt/pg/lib/y.so"), Path::new("lib/y.so"));
        assert_eq!(shown("/opt/pg/lib/x.so"), Path::new("lib/x.so"));
        assert_eq!(shown("/opt/other"), Path::new("/opt/other"));
        assert_eq!(shown("/usr/lib/x.so"), Path::new("/usr/lib/x.so"));
    }

    #[test]
    fn what_a_file_says_is_not_respelt() {
        let roots = Roots::new(&fs(), &["lib/".into()], Some("/opt/pg".as_ref()));
        let verbatim = ["/opt/pg/lib", "/opt/pg/lib:$LIB/x", "/opt/pg/lib/dep.so"].map(str::to_owned);
        let text = "the whole path /opt/pg/lib:$LIB/x of /opt/pg/lib/x.so needs /opt/pg/lib/dep.so: /opt/pg/lib/dep.so.1";
        let shown = "the whole path /opt/pg/lib:$LIB/x of lib/x.so needs /opt/pg/lib/dep.so: lib/dep.so.1";
        assert_eq!(roots.shown_in(text, &verbatim), shown);
        let fix = "patchelf --set-rpath '/opt/pg/lib:$ORIGIN' /opt/pg/lib/x.so.";
        assert_eq!(roots.shown_in(fix, &verbatim), "patchelf --set-rpath '/opt/pg/lib:$ORIGIN' lib/x.so.");
    }

    #[test]
    fn a_text_shows_whole_paths_only() {
        let roots = Roots::new(&fs(), &["lib/".into()], Some("/opt/pg".as_ref()));
        let text = "\"/opt/pg/lib/x.so\": /opt/pg/lib, /opt/pg/lib64/x.so, /home/opt/pg/lib/x.so";
        assert_eq!(roots.shown_in(text, &[]), "\"lib/x.so\": lib, /opt/pg/lib64/x.so, /home/opt/pg/lib/x.so");
    }
}
