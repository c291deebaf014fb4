//! The include directives of a control file, which `ParseConfigFp` honours there too (src/backend/utils/misc/guc-file.l:
//! ParseConfigFp, ParseConfigFile, ParseConfigDirectory, AbsoluteConfigLocation).

use std::path::{Path, PathBuf};

use super::super::config_file::{Setting, Settings};
use super::super::library_path::canonicalize;
use super::{ControlError, ControlErrorKind, Place, shown, syntax_error};
use crate::error::{FileErrorKind, os_text};
use crate::fs::{FileKind, Fs};
use crate::limits;
use crate::name::{Shown, bytes_as_path, path_bytes, path_from_bytes};

/// The settings of the file at `path`, of which `bytes` are the content, and of those that it includes, each with the file
/// that it stands in, in the order in which the server applies them.
pub(super) fn settings(
    fs: &dyn Fs,
    bytes: &[u8],
    path: &Path,
) -> Result<Vec<(Setting, PathBuf)>, ControlError> {
    let mut reader = Reader { fs, files: 0, found: Vec::new() };
    reader.file(bytes, path, 0)?;
    Ok(reader.found)
}

struct Reader<'a> {
    fs: &'a dyn Fs,
    /// How many were included so far.
    files: usize,
    found: Vec<(Setting, PathBuf)>,
}

/// An include directive.
#[derive(Clone, Copy)]
struct Directive<'a> {
    setting: &'a Setting,
    /// The file that it stands in.
    from: &'a Path,
    /// How many directives lead to what it names, itself included.
    depth: usize,
}

impl Directive<'_> {
    fn error(self, kind: ControlErrorKind, message: String) -> ControlError {
        ControlError::new(kind, message, Some(Place::of(self.setting, self.from)))
    }
}

/// What becomes of a directive whose file cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    IsPassedOver,
}

impl Reader<'_> {
    /// The settings of one file and of those that it includes. Recursion is bounded by
    /// [`limits::CONTROL_INCLUDE_DEPTH`], the server's own bound.
    fn file(&mut self, bytes: &[u8], path: &Path, depth: usize) -> Result<(), ControlError> {
        for setting in Settings::new(bytes) {
            let setting = setting.map_err(|error| syntax_error(&error, path))?;
            let is = |name: &[u8]| setting.name.eq_ignore_ascii_case(name);
            let directive = Directive { setting: &setting, from: path, depth: depth + 1 };
            if is(b"include_dir") {
                self.include_directory(directive)?;
            } else if is(b"include_if_exists") {
                self.include(&setting.value, Missing::IsPassedOver, directive)?;
            } else if is(b"include") {
                self.include(&setting.value, Missing::Fails, directive)?;
            } else {
                self.found.push((setting, path.to_owned()));
            }
        }
        Ok(())
    }

    /// `ParseConfigFile`.
    fn include(
        &mut self,
        written: &[u8],
        missing: Missing,
        directive: Directive<'_>,
    ) -> Result<(), ControlError> {
        let refuse = |message: String| Err(directive.error(ControlErrorKind::Include, message));
        if is_blank(written) {
            return refuse(format!("empty configuration file name: \"{}\"", Shown(written)));
        }
        if directive.depth > limits::CONTROL_INCLUDE_DEPTH {
            return refuse(format!(
                "could not open configuration file \"{}\": maximum nesting depth exceeded",
                Shown(written)
            ));
        }
        let path = absolute_location(written, directive.from);
        if path == directive.from {
            return refuse(format!("configuration file recursion in \"{}\"", shown(directive.from)));
        }
        self.files += 1;
        if self.files > limits::CONTROL_INCLUDES {
            let message = format!("the control file includes more than {} files", limits::CONTROL_INCLUDES);
            return Err(directive.error(ControlErrorKind::Limit, message));
        }
        match self.fs.read_small(&path, limits::TEXT_FILE_BYTES) {
            Ok(bytes) => self.file(&bytes, &path, directive.depth),
            Err(_) if missing == Missing::IsPassedOver => Ok(()),
            Err(error) => {
                let kind = match error.kind {
                    FileErrorKind::Limit => ControlErrorKind::Limit,
                    _ => ControlErrorKind::IncludedFile,
                };
                let message =
                    format!("could not open configuration file \"{}\": {}", shown(&path), error.message);
                Err(directive.error(kind, message))
            }
        }
    }

    /// `ParseConfigDirectory`: the `*.conf` files, in byte order, hidden ones left out.
    fn include_directory(&mut self, directive: Directive<'_>) -> Result<(), ControlError> {
        let written = &directive.setting.value;
        if is_blank(written) {
            let message = format!("empty configuration directory name: \"{}\"", Shown(written));
            return Err(directive.error(ControlErrorKind::Include, message));
        }
        let directory = absolute_location(written, directive.from);
        let entries = self.fs.read_dir(&directory).map_err(|error| {
            let message = format!(
                "could not open configuration directory \"{}\": {}",
                shown(&directory),
                os_text(&error)
            );
            directive.error(ControlErrorKind::IncludedFile, message)
        })?;
        for entry in entries {
            let name = path_bytes(Path::new(&entry.name));
            let file = directory.join(&entry.name);
            let is_config = name.len() >= 6 && !name.starts_with(b".") && name.ends_with(b".conf");
            if is_config && !self.fs.metadata(&file).is_ok_and(|found| found.kind == FileKind::Directory) {
                self.include(path_bytes(&file), Missing::Fails, directive)?;
            }
        }
        Ok(())
    }
}

fn is_blank(written: &[u8]) -> bool {
    written.iter().all(|b| b" \t\r\n".contains(b))
}

/// `AbsoluteConfigLocation`: relative to the directory of the file that names it.
fn absolute_location(written: &[u8], from: &Path) -> PathBuf {
    if written.starts_with(b"/") {
        return bytes_as_path(written).to_owned();
    }
    let directory = from.parent().unwrap_or(Path::new("."));
    path_from_bytes(canonicalize(path_bytes(&directory.join(bytes_as_path(written)))))
}

#[cfg(test)]
mod tests {
    use super::super::read_primary;
    use super::super::tests::PATH;
    use super::*;
    use crate::fs::MemoryFs;

    #[test]
    fn includes_are_followed_as_far_as_the_server_follows_them() {
        let read = |fs: MemoryFs| read_primary(&fs, Path::new(PATH), 15).map_err(|error| error.message);
        let fs = MemoryFs::new()
            .file(PATH, "include 'more.conf'\nINCLUDE_DIR = d\ninclude_if_exists = nothing")
            .file("/share/extension/more.conf", "comment = a")
            .file("/share/extension/d/b.conf", "comment = b")
            .file("/share/extension/d/a.conf", "schema = s")
            .file("/share/extension/d/.c.conf", "nonsense")
            .file("/share/extension/d/c.txt", "nonsense");
        let control = read(fs).unwrap();
        assert_eq!((control.comment.unwrap(), control.schema.unwrap()), (b"b".to_vec(), b"s".to_vec()));

        let own = MemoryFs::new().file(PATH, "include = 'x.control'");
        assert_eq!(read(own).unwrap_err(), format!("configuration file recursion in \"{PATH}\""));
        let cycle = MemoryFs::new()
            .file(PATH, "include = a")
            .file("/share/extension/a", "include = b")
            .file("/share/extension/b", "include = a");
        assert_eq!(
            read(cycle).unwrap_err(),
            "could not open configuration file \"a\": maximum nesting depth exceeded"
        );
        let missing = MemoryFs::new().file(PATH, "include = a");
        assert_eq!(
            read(missing).unwrap_err(),
            "could not open configuration file \"/share/extension/a\": No such file or directory"
        );
    }

    #[test]
    fn a_fan_of_includes_ends() {
        let mut fs = MemoryFs::new().file(PATH, "include = f1\n".repeat(100));
        for level in 1..10 {
            let body = format!("include = f{}\n", level + 1).repeat(100);
            fs = fs.file(format!("/share/extension/f{level}"), body);
        }
        let fs = fs.file("/share/extension/f10", "");
        let error = read_primary(&fs, Path::new(PATH), 15).unwrap_err();
        assert_eq!(error.kind, ControlErrorKind::Limit);
    }
}
