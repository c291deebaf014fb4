//! A control file as CREATE EXTENSION reads it: which parameters there are, what their values must be, and what a
//! secondary file may say (src/backend/commands/extension.c: parse_extension_control_file). Errors carry the server's
//! message and the place of the setting.

mod includes;
mod values;

use std::io;
use std::path::{Path, PathBuf};

use self::values::{parse_bool, split_identifiers};
use super::config_file::{ConfigSyntaxError, Setting, Settings};
use super::encoding::Encoding;
use super::script::read_text;
use crate::error::FileErrorKind;
use crate::fs::Fs;
use crate::limits;
use crate::name::{Shown, path_bytes};

/// The parameters in force for one version of an extension.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Control {
    /// `directory`: where the scripts are.
    pub directory: Option<Vec<u8>>,
    /// `default_version`.
    pub default_version: Option<Vec<u8>>,
    /// `module_pathname`: what `MODULE_PATHNAME` in scripts becomes.
    pub module_pathname: Option<Vec<u8>>,
    /// `comment`.
    pub comment: Option<Vec<u8>>,
    /// `schema`: the only schema the extension can be installed in.
    pub schema: Option<Vec<u8>>,
    /// `relocatable`; false unless said.
    pub relocatable: bool,
    /// `superuser`; true unless said.
    pub superuser: bool,
    /// `trusted`; false unless said.
    pub trusted: bool,
    /// `encoding` of the script files; the database's unless said.
    pub encoding: Option<Vec<u8>>,
    /// `requires`: extensions that must be there first.
    pub requires: Vec<Vec<u8>>,
    /// `no_relocate`: required extensions that must stay in their schema (16 and later).
    pub no_relocate: Vec<Vec<u8>>,
    /// Where each of `requires` was said, for messages.
    pub requires_place: Option<Place>,
    /// Where `default_version` was said.
    pub default_version_place: Option<Place>,
    /// Where `module_pathname` was said.
    pub module_pathname_place: Option<Place>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            directory: None,
            default_version: None,
            module_pathname: None,
            comment: None,
            schema: None,
            relocatable: false,
            superuser: true,
            trusted: false,
            encoding: None,
            requires: Vec::new(),
            no_relocate: Vec::new(),
            requires_place: None,
            default_version_place: None,
            module_pathname_place: None,
        }
    }
}

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

impl Place {
    fn of(setting: &Setting, file: &Path) -> Self {
        Self { path: file.to_owned(), line: setting.line, column: setting.column }
    }
}

/// Which rule a control file broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlErrorKind {
    /// The grammar of configuration files.
    Syntax,
    /// A parameter that the server does not know, or not in this file.
    UnknownKey,
    /// A value that should be true or false.
    Boolean,
    /// A value that should be a list of names.
    List,
    /// An encoding that the server does not know.
    Encoding,
    /// A schema of an extension that can be moved to any.
    SchemaOfRelocatable,
    /// An include directive that names nothing, or leads back to its own file.
    Include,
    /// A file that is included, and cannot be read.
    IncludedFile,
    /// The file cannot be read.
    Unreadable,
    /// A bound of `limits.rs`.
    Limit,
}

/// Why CREATE EXTENSION would refuse a control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlError {
    /// Which rule.
    pub kind: ControlErrorKind,
    /// The server's message after `ERROR:`.
    pub message: String,
    /// Where; `None` when the file could not be opened.
    pub place: Option<Place>,
}

impl ControlError {
    fn new(kind: ControlErrorKind, message: String, place: Option<Place>) -> Self {
        Self { kind, message, place }
    }
}

/// Reads the primary control file at `path`, and what it includes, for a server of this major version.
///
/// # Errors
///
/// What stops CREATE EXTENSION first: the file is not there or cannot be read, the text is none of a configuration file, a
/// parameter or its value is wrong, or a bound of pgsym is reached.
pub fn read_primary(fs: &dyn Fs, path: &Path, major: u32) -> Result<Control, ControlError> {
    let mut control = Control::default();
    ControlFile { path, role: ControlRole::Primary, major }.read(fs, &mut control)?;
    Ok(control)
}

/// Overlays the secondary file at `path`, which need not exist. Errors are those of [`read_primary`].
pub fn read_secondary(
    fs: &dyn Fs,
    path: &Path,
    major: u32,
    primary: &Control,
) -> Result<Control, ControlError> {
    let mut control = primary.clone();
    if fs.metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(control);
    }
    ControlFile { path, role: ControlRole::Secondary, major }.read(fs, &mut control)?;
    Ok(control)
}

/// Reads one control file from its bytes, with no file to include from: an `include` is an error as any parameter that no
/// server knows. `path` is what places and messages call it.
pub fn parse_control(bytes: &[u8], path: &Path, major: u32) -> Result<Control, ControlError> {
    let file = ControlFile { path, role: ControlRole::Primary, major };
    let mut control = Control::default();
    for setting in Settings::new(bytes) {
        let setting = setting.map_err(|error| syntax_error(&error, path))?;
        file.apply(&setting, path, &mut control)?;
    }
    check(&control, path)?;
    Ok(control)
}

/// Which of the control files of an extension it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ControlRole {
    /// `ext.control`.
    Primary,
    /// `ext--version.control`, which changes some parameters for one version.
    Secondary,
}

/// A control file that a server of a major version reads.
#[derive(Clone, Copy)]
struct ControlFile<'a> {
    path: &'a Path,
    role: ControlRole,
    major: u32,
}

impl ControlFile<'_> {
    /// Lays what the file and those that it includes say over `control`.
    fn read(self, fs: &dyn Fs, control: &mut Control) -> Result<(), ControlError> {
        let Self { path, major, .. } = self;
        let bytes = read_text(fs, path, limits::TEXT_FILE_BYTES).map_err(|error| {
            let kind = match error.kind {
                FileErrorKind::Limit => ControlErrorKind::Limit,
                _ => ControlErrorKind::Unreadable,
            };
            // Opening a directory succeeds; it is the scanner's read that fails.
            let message = if error.kind == FileErrorKind::Io(io::ErrorKind::IsADirectory) {
                format!("input in flex scanner failed at file \"{}\" line 1", shown(path))
            } else if error.kind == FileErrorKind::Io(io::ErrorKind::NotFound) && major >= 15 {
                // A link that leads nowhere: no extension, as if the name were not there.
                let name = path.file_stem().map(Path::new).map(path_bytes).unwrap_or_default();
                format!("extension \"{}\" is not available", Shown(name))
            } else {
                format!("could not open extension control file \"{}\": {}", shown(path), error.message)
            };
            ControlError::new(kind, message, None)
        })?;
        for (setting, from) in includes::settings(fs, &bytes, path)? {
            self.apply(&setting, &from, control)?;
        }
        check(control, path)
    }

    /// One setting, which stands in the file `from`, in the order of the server's `if` chain.
    fn apply(self, setting: &Setting, from: &Path, control: &mut Control) -> Result<(), ControlError> {
        let place = Place::of(setting, from);
        let name = Shown(&setting.name);
        let fail = |kind, message| Err(ControlError::new(kind, message, Some(place.clone())));
        let text = || Some(setting.value.clone());
        let boolean = |target: &mut bool| match parse_bool(&setting.value) {
            Some(value) => {
                *target = value;
                Ok(())
            }
            None => fail(ControlErrorKind::Boolean, format!("parameter \"{name}\" requires a Boolean value")),
        };
        let list = |target: &mut Vec<Vec<u8>>| match split_identifiers(&setting.value) {
            Some(names) => {
                *target = names;
                Ok(())
            }
            None => fail(
                ControlErrorKind::List,
                format!("parameter \"{name}\" must be a list of extension names"),
            ),
        };
        match setting.name.as_slice() {
            b"directory" | b"default_version" if self.role == ControlRole::Secondary => {
                return fail(
                    ControlErrorKind::UnknownKey,
                    format!("parameter \"{name}\" cannot be set in a secondary extension control file"),
                );
            }
            b"directory" => control.directory = text(),
            b"default_version" => {
                control.default_version = text();
                control.default_version_place = Some(place);
            }
            b"module_pathname" => {
                control.module_pathname = text();
                control.module_pathname_place = Some(place);
            }
            b"comment" => control.comment = text(),
            b"schema" => control.schema = text(),
            b"relocatable" => boolean(&mut control.relocatable)?,
            b"superuser" => boolean(&mut control.superuser)?,
            b"trusted" => boolean(&mut control.trusted)?,
            b"encoding" if Encoding::named(&setting.value).is_some() => control.encoding = text(),
            b"encoding" => {
                return fail(
                    ControlErrorKind::Encoding,
                    format!("\"{}\" is not a valid encoding name", Shown(&setting.value)),
                );
            }
            b"requires" => {
                list(&mut control.requires)?;
                control.requires_place = Some(place);
            }
            b"no_relocate" if self.major >= 16 => list(&mut control.no_relocate)?,
            _ => {
                return fail(
                    ControlErrorKind::UnknownKey,
                    format!("unrecognized parameter \"{name}\" in file \"{}\"", shown(self.path)),
                );
            }
        }
        Ok(())
    }
}

/// The check behind the list.
fn check(control: &Control, path: &Path) -> Result<(), ControlError> {
    if control.relocatable && control.schema.is_some() {
        let message = "parameter \"schema\" cannot be specified when \"relocatable\" is true".to_owned();
        let place = Place { path: path.to_owned(), line: 1, column: 1 };
        return Err(ControlError::new(ControlErrorKind::SchemaOfRelocatable, message, Some(place)));
    }
    Ok(())
}

fn shown(path: &Path) -> Shown<'_> {
    Shown(path_bytes(path))
}

fn syntax_error(error: &ConfigSyntaxError, path: &Path) -> ControlError {
    let place = Place { path: path.to_owned(), line: error.line, column: error.column };
    ControlError::new(ControlErrorKind::Syntax, error.message(path_bytes(path)), Some(place))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    pub(super) const PATH: &str = "/share/extension/x.control";

    fn parse(text: &str) -> Result<Control, String> {
        read_primary(&MemoryFs::new().file(PATH, text), Path::new(PATH), 15).map_err(|error| error.message)
    }

    #[test]
    fn a_real_control_file_is_read() {
        let control = parse(
            "# x\ncomment = 'it''s'\ndefault_version = 1.0\nmodule_pathname = '$libdir/x'\n\
             relocatable = ON\nrequires = 'cube, \"Upper\"\"x\" , PLPGSQL'\nencoding = UTF-8\n",
        )
        .unwrap();
        assert_eq!(control.default_version.as_deref(), Some(&b"1.0"[..]));
        assert_eq!(control.module_pathname.as_deref(), Some(&b"$libdir/x"[..]));
        assert_eq!(control.requires, [&b"cube"[..], b"Upper\"x", b"plpgsql"]);
        assert!(control.relocatable && control.superuser && !control.trusted);
    }

    #[test]
    fn the_last_of_repeated_parameters_wins() {
        assert_eq!(parse("comment = a\ncomment = b").unwrap().comment.as_deref(), Some(&b"b"[..]));
    }

    #[test]
    fn wrong_parameters_are_refused_in_the_servers_words() {
        let error = |text: &str| parse(text).unwrap_err();
        assert_eq!(error("Comment = a"), format!("unrecognized parameter \"Comment\" in file \"{PATH}\""));
        assert_eq!(error("trusted = maybe"), "parameter \"trusted\" requires a Boolean value");
        assert_eq!(error("trusted = o"), "parameter \"trusted\" requires a Boolean value");
        assert_eq!(error("requires = 'a b'"), "parameter \"requires\" must be a list of extension names");
        assert_eq!(error("requires = 'a,'"), "parameter \"requires\" must be a list of extension names");
        assert_eq!(error("encoding = big5"), "\"big5\" is not a valid encoding name");
        assert_eq!(
            error("relocatable = 1\nschema = s"),
            "parameter \"schema\" cannot be specified when \"relocatable\" is true"
        );
        assert_eq!(
            error("no_relocate = a"),
            format!("unrecognized parameter \"no_relocate\" in file \"{PATH}\"")
        );
        assert_eq!(parse_control(b"no_relocate = a", Path::new(PATH), 16).unwrap().no_relocate, [b"a"]);
    }

    #[test]
    fn an_error_tells_its_place() {
        let fs = MemoryFs::new().file(PATH, "comment = x\n  superuser = 2\n");
        let error = read_primary(&fs, Path::new(PATH), 15).unwrap_err();
        assert_eq!(error.kind, ControlErrorKind::Boolean);
        assert_eq!(error.place, Some(Place { path: PATH.into(), line: 2, column: 3 }));
    }

    #[test]
    fn a_secondary_file_overlays_all_but_two_parameters() {
        let secondary = "/share/extension/x--1.0.control";
        let primary = parse("default_version = 1.0\nmodule_pathname = a\ncomment = c").unwrap();
        let read = |text: &str| {
            let fs = MemoryFs::new().file(secondary, text);
            read_secondary(&fs, Path::new(secondary), 15, &primary).map_err(|error| error.message)
        };
        let control = read("module_pathname = b").unwrap();
        assert_eq!(control.module_pathname.as_deref(), Some(&b"b"[..]));
        assert_eq!(control.comment, primary.comment);
        assert_eq!(
            read("default_version = 2.0").unwrap_err(),
            "parameter \"default_version\" cannot be set in a secondary extension control file"
        );
        let missing = read_secondary(&MemoryFs::new(), Path::new(secondary), 15, &primary).unwrap();
        assert_eq!(missing, primary);
    }

    #[test]
    fn what_cannot_be_read_is_told_as_the_server_tells_it() {
        let read = |fs: MemoryFs| read_primary(&fs, Path::new(PATH), 15).unwrap_err().message;
        assert_eq!(read(MemoryFs::new()), "extension \"x\" is not available");
        assert_eq!(
            read_primary(&MemoryFs::new(), Path::new(PATH), 14).unwrap_err().message,
            format!("could not open extension control file \"{PATH}\": No such file or directory")
        );
        assert_eq!(
            read(MemoryFs::new().directory(PATH)),
            format!("input in flex scanner failed at file \"{PATH}\" line 1")
        );
    }
}
