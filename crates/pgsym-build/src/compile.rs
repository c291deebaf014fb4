//! Compiles the C and C++ files with the `cc` crate and packs the objects into one archive.
//!
//! Visibility follows the server's major version: before 16 PGDLLEXPORT is empty on Unix, so everything is compiled
//! visible and the map decides; from 16 on, PGDLLEXPORT marks what is public and the rest is compiled hidden, as
//! PGXS does (`CFLAGS_SL_MODULE`).

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cc::{BuildMessage, BuildMessageKind, BuildMessageLogger};

use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::pg_config::PgConfig;

/// What was compiled.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The archive with all objects.
    pub(crate) archive: PathBuf,
    /// The source of each archive member, by the member's name.
    pub(crate) sources: BTreeMap<String, String>,
    /// Every file that the compiler read, system headers apart.
    pub(crate) inputs: Vec<PathBuf>,
    /// What the compiler said about code that it accepted.
    pub(crate) warnings: Vec<String>,
    /// The build whose language decides which runtime library is linked.
    pub(crate) linking: cc::Build,
}

/// Compiles what `builds` name into `lib<name>.a`. Several builds are several languages of one module.
pub(crate) fn compile(
    mut builds: Vec<cc::Build>,
    name: &str,
    pg: &PgConfig,
    env: &Env,
) -> Result<Compiled, Error> {
    let words = Arc::new(CompilerWords::default());
    let mut objects = Vec::new();
    let mut sources = BTreeMap::new();
    let mut inputs = Vec::new();
    for build in &mut builds {
        configure(build, pg);
        build.message_logger(Some(words.clone())).cargo_warnings(false);
        let files: Vec<PathBuf> = build.get_files().map(Path::to_path_buf).collect();
        inputs.extend(files.iter().cloned());
        let compiled = build.try_compile_intermediates().map_err(|error| words.error(&error, env))?;
        for (object, source) in compiled.iter().zip(&files) {
            if let Some(member) = object.file_name() {
                sources.insert(member.to_string_lossy().into_owned(), source.display().to_string());
            }
            inputs.extend(dependencies(&object.with_extension("d")));
        }
        objects.extend(compiled);
    }
    // The last build is the C++ one where there are several; its runtime library serves all.
    let Some(linking) = builds.pop() else {
        return Err(Error::new(ErrorKind::Compile, "there is nothing to compile"));
    };
    let archive = linking.try_create_archive(name, &objects).map_err(|error| words.error(&error, env))?;
    inputs.sort();
    inputs.dedup();
    let warnings = words.take();
    Ok(Compiled { archive, sources, inputs, warnings, linking })
}

fn configure(build: &mut cc::Build, pg: &PgConfig) {
    for flag in &pg.semantic_flags {
        if flag.starts_with("-fexcess-precision") {
            // GCC's C++ front end does not know it before 13, older clangs not at all.
            build.flag_if_supported(flag);
        } else {
            build.flag(flag);
        }
    }
    build.include(&pg.include_server);
    for flag in &pg.preprocessor_flags {
        build.flag(flag);
    }
    build.pic(true);
    build.flag(if pg.major < 16 { "-fvisibility=default" } else { "-fvisibility=hidden" });
    // Beside each object a .d file with the headers that it was made from.
    build.flag("-MMD");
}

/// Whether a file is C++, by the extensions that GCC takes for it.
pub(crate) fn is_cpp(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("cc" | "cp" | "cxx" | "cpp" | "CPP" | "c++" | "C"))
}

/// The files that a make rule of the compiler (`-MMD`) names: words after the first colon, blanks escaped by a
/// backslash, lines continued by one. No file, no dependencies: they only save Cargo a build.
fn dependencies(rule: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(rule).unwrap_or_default();
    let Some((_, files)) = text.split_once(": ") else { return Vec::new() };
    let mut found = Vec::new();
    let mut file = String::new();
    let mut characters = files.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('\\', Some(' ' | '#')) => file.extend(characters.next()),
            ('\\', Some('\n')) => {}
            (c, _) if c.is_whitespace() => {
                if !file.is_empty() {
                    found.push(PathBuf::from(std::mem::take(&mut file)));
                }
            }
            (c, _) => file.push(c),
        }
    }
    if !file.is_empty() {
        found.push(PathBuf::from(file));
    }
    found
}

/// The system's sentence without the number that Rust puts behind it.
fn without_number(text: &str) -> &str {
    text.split_once(" (os error ").map_or(text, |(sentence, _)| sentence)
}

/// What the compiler writes to stderr, kept to be shown as a warning or inside an error.
#[derive(Debug, Default)]
struct CompilerWords(Mutex<Vec<String>>);

impl BuildMessageLogger for CompilerWords {
    fn log(&self, kind: BuildMessageKind, message: BuildMessage<'_>, _: &dyn Any) {
        if matches!(kind, BuildMessageKind::StderrForwarding | BuildMessageKind::GeneralWarning) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_string());
        }
    }
}

impl CompilerWords {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where there is no compiler, one sentence with the way out; else what the compiler said, and only where it said nothing
    /// what came of its command.
    fn error(&self, error: &cc::Error, env: &Env) -> Error {
        const WHAT: &str = "cannot compile the C part of the module";
        let error = error.to_string();
        // cc's Display begins with the name of its kind, which it does not give otherwise.
        let (kind, text) = error.split_once(": ").unwrap_or(("", &error));
        let text = if kind == "ToolNotFound" {
            let (target, host) = (env.text("TARGET").unwrap_or_default(), env.text("HOST"));
            let (whose, suffix) = match host {
                Some(host) if host == target => (String::new(), String::new()),
                _ => (format!(" for {target}"), format!("_{}", target.replace(['-', '.'], "_"))),
            };
            let text = without_number(text);
            format!(
                "{WHAT}: {text}; install a compiler{whose}, or name the one to take with CC{suffix} (for C++ with \
                 CXX{suffix})"
            )
        } else {
            // What cc tries before it compiles is no word of the compiler's.
            let is_said = |line: &String| !line.starts_with("Compiler family detection failed");
            let said: Vec<String> = self.take().into_iter().filter(is_said).collect();
            if said.is_empty() { format!("{WHAT}: {text}") } else { format!("{WHAT}:\n{}", said.join("\n")) }
        };
        Error::new(ErrorKind::Compile, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_make_rule_gives_its_files() {
        let directory = std::env::temp_dir().join(format!("pgsym-rule-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let rule = directory.join("shim.d");
        fs::write(&rule, "/out/shim.o: src/shim.c src/with\\ blank.h \\\n /usr/include/postgres.h\n")
            .unwrap();
        let files = dependencies(&rule);
        fs::remove_dir_all(&directory).unwrap();
        let expected = ["src/shim.c", "src/with blank.h", "/usr/include/postgres.h"].map(PathBuf::from);
        assert_eq!(files, expected);
        assert_eq!(dependencies(&rule), Vec::<PathBuf>::new());
    }

    #[test]
    fn cpp_is_told_by_extension() {
        assert!(is_cpp(Path::new("a.cpp")) && is_cpp(Path::new("a.cc")) && is_cpp(Path::new("a.C")));
        assert!(!is_cpp(Path::new("a.c")) && !is_cpp(Path::new("cpp")));
    }
}
