//! Which linker will link the module, and whether it can add exports to rustc's.
//!
//! rustc gives a cdylib its own version script, `{ global: <Rust's names>; local: *; };`. What a second script does to
//! it was measured with rustc 1.95: lld 14 and 22, mold 1.10 and gold 1.16 merge the two; GNU ld 2.40 always refuses
//! ("anonymous version tag cannot be combined with other version tags"), and it has no other option that would
//! export a C symbol against `local: *` (`--dynamic-list` and `--export-dynamic-symbol` link and do nothing).
//!
//! rustc itself is asked for the link command it would run ([`rustc`]), because that command is where the target's
//! default, RUSTFLAGS, Cargo's configuration and the CARGO_TARGET_*_LINKER variables meet. Then the driver in
//! that command is asked which linker answers.

mod rustc;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::Env;
use crate::error::{Error, ErrorKind};

/// A linker, as far as exports go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Linker {
    /// LLVM's `ld.lld`, rustc's bundled `rust-lld` among them.
    Lld,
    /// mold.
    Mold,
    /// GNU gold.
    Gold,
    /// GNU ld.
    Bfd,
    /// Apple's `ld` or LLVM's `ld64.lld`: both add to rustc's list of exported symbols.
    Apple,
    /// Another one, by what it says its version is.
    Other(String),
}

/// The linker for the module, and what must be passed to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The linker that will run.
    pub(crate) linker: Linker,
    /// Its version, as it says it.
    pub(crate) version: String,
    /// How arguments reach it.
    pub(crate) style: Style,
    /// Arguments that select it, when it is not the one rustc would take.
    pub(crate) selecting: Vec<String>,
    /// The linker that rustc would take, when it is another one.
    pub(crate) instead_of: Option<Linker>,
}

/// How arguments reach the linker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Through a compiler driver: `-Wl,--option`.
    Driver,
    /// Directly: `--option`.
    Raw,
}

/// The command that rustc links with, reduced to what decides which linker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkCommand {
    program: PathBuf,
    selecting: Vec<String>,
    style: Style,
}

impl Linker {
    /// Its name in `PGSYM_LINKER`.
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "lld" => Self::Lld,
            "mold" => Self::Mold,
            "gold" => Self::Gold,
            "bfd" => Self::Bfd,
            _ => return None,
        })
    }

    /// Whether it adds a second version script to rustc's.
    fn adds_exports(&self) -> bool {
        matches!(self, Self::Lld | Self::Mold | Self::Gold | Self::Apple)
    }

    /// A name for people.
    fn name(&self) -> &str {
        match self {
            Self::Lld => "lld",
            Self::Mold => "mold",
            Self::Gold => "gold",
            Self::Bfd => "GNU ld",
            Self::Apple => "Apple's ld",
            Self::Other(version) => version,
        }
    }
}

/// Finds the linker that an ELF module will be linked with, and another one where that cannot do it.
pub(crate) fn choose(env: &Env, given: Option<&Linker>) -> Result<Choice, Error> {
    let command = rustc::link_command(env)?;
    let named = match env.tracked_text("PGSYM_LINKER") {
        Some(name) => Some(Linker::from_name(&name).ok_or_else(|| {
            let message = format!("PGSYM_LINKER is {name:?}: it must be lld, mold, gold or bfd");
            Error::new(ErrorKind::Linker, message)
        })?),
        None => given.cloned(),
    };
    let (linker, version) = match named {
        Some(linker) => (linker, "as the build was told".to_owned()),
        None => ask(env, &command, &[])?,
    };
    if linker.adds_exports() {
        let style = command.style;
        return Ok(Choice { linker, version, style, selecting: Vec::new(), instead_of: None });
    }
    switch_to_bundled_lld(env, &command, linker)
}

/// Takes the lld that comes with rustc, where there is one and the driver accepts it.
fn switch_to_bundled_lld(env: &Env, command: &LinkCommand, unable: Linker) -> Result<Choice, Error> {
    let why_not = if command.style == Style::Raw {
        "the linker is called directly, without a compiler driver that could be told another one".to_owned()
    } else {
        match rustc::bundled_lld(env) {
            Ok(directory) => {
                let selecting = vec![format!("-B{}", directory.display()), "-fuse-ld=lld".to_owned()];
                match ask(env, command, &selecting) {
                    Ok((Linker::Lld, version)) => {
                        let style = command.style;
                        let instead_of = Some(unable);
                        return Ok(Choice { linker: Linker::Lld, version, style, selecting, instead_of });
                    }
                    Ok((other, _)) => {
                        format!("{} answers -fuse-ld=lld with {}", command.program.display(), other.name())
                    }
                    Err(error) => error.to_string(),
                }
            }
            Err(why_not) => why_not,
        }
    };
    let what = match &unable {
        Linker::Bfd => "GNU ld refuses the second version script that exporting C symbols takes",
        _ => "it is not known whether this linker adds a second version script to rustc's",
    };
    let message = format!(
        "the module would be linked with {} (by {}), and {what}; the lld that comes with rustc cannot be taken \
         instead: {why_not}. Three remedies:\n  \
         1. install lld or mold and choose it: rustflags = [\"-Clink-arg=-fuse-ld=lld\"] for this target in \
         .cargo/config.toml;\n  \
         2. build with a toolchain that bundles rust-lld, as those of rustup do;\n  \
         3. make the crate a staticlib and link the module yourself, with --whole-archive and the one version \
         script that `pgsym exports` writes from the archive.",
        unable.name(),
        command.program.display(),
    );
    Err(Error::new(ErrorKind::Linker, message))
}

/// Asks the program of a link command which linker it runs.
fn ask(env: &Env, command: &LinkCommand, more: &[String]) -> Result<(Linker, String), Error> {
    let program = command.program.display();
    let question = match command.style {
        Style::Driver => "-Wl,--version",
        Style::Raw => "--version",
    };
    let output = Command::new(&command.program)
        .args(&command.selecting)
        .args(more)
        .arg(question)
        .current_dir(env.out_dir()?)
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| {
            let message = format!("cannot run {program}, which rustc links with: {error}");
            Error::new(ErrorKind::Linker, message)
        })?;
    // The driver may echo its own command line on stderr; the linker answers on stdout.
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) {
        return Ok((identify(line), line.to_owned()));
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words = words.lines().last().unwrap_or("it printed nothing");
    let message =
        format!("{program} does not say which linker it runs ({question}, {}): {words}", output.status);
    Err(Error::new(ErrorKind::Linker, message))
}

/// Tells a linker by the first line of its version.
fn identify(version: &str) -> Linker {
    if version.contains("LLD") {
        Linker::Lld
    } else if version.starts_with("mold") {
        Linker::Mold
    } else if version.starts_with("GNU gold") {
        Linker::Gold
    } else if version.starts_with("GNU ld") {
        Linker::Bfd
    } else {
        Linker::Other(version.to_owned())
    }
}

impl LinkCommand {
    /// Reduces a full command line.
    fn from_words(words: Vec<String>) -> Option<Self> {
        let mut words = words.into_iter();
        let program = PathBuf::from(words.next()?);
        let words: Vec<String> = words.collect();
        let style = if words.iter().any(|word| word.starts_with("--version-script") || word == "-flavor") {
            Style::Raw
        } else {
            Style::Driver
        };
        let selecting = selecting(&words, style);
        Some(Self { program, selecting, style })
    }

    /// The command for a driver with flags, when rustc could not be asked.
    fn from_flags(program: &Path, flags: &[String]) -> Self {
        Self { program: program.to_owned(), selecting: selecting(flags, Style::Driver), style: Style::Driver }
    }
}

/// The arguments that decide which linker a driver runs.
fn selecting(words: &[String], style: Style) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let with_value = match style {
            Style::Raw => word == "-flavor",
            Style::Driver => matches!(word.as_str(), "-B" | "-target" | "--sysroot" | "--gcc-toolchain"),
        };
        if with_value {
            kept.push(word.clone());
            kept.extend(words.next().cloned());
        } else if style == Style::Driver && is_selecting(word) {
            kept.push(word.clone());
        }
    }
    kept
}

fn is_selecting(word: &str) -> bool {
    const PREFIXES: [&str; 6] =
        ["-fuse-ld=", "--ld-path=", "-B", "--target=", "--sysroot=", "--gcc-toolchain="];
    matches!(word, "-m32" | "-m64" | "-mx32") || PREFIXES.iter().any(|prefix| word.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn linkers_are_told_by_their_first_line() {
        let cases = [
            ("Debian LLD 14.0.6 (compatible with GNU linkers)", Linker::Lld),
            (
                "LLD 22.1.2 (/checkout/src/llvm-project/llvm 1cb4e38) (compatible with GNU linkers)",
                Linker::Lld,
            ),
            ("mold 1.10.1 (compatible with GNU ld)", Linker::Mold),
            ("GNU gold (GNU Binutils for Debian 2.40) 1.16", Linker::Gold),
            ("GNU ld (GNU Binutils for Debian) 2.40", Linker::Bfd),
        ];
        for (line, linker) in cases {
            assert_eq!(identify(line), linker);
        }
        assert_eq!(identify("Wild 0.8"), Linker::Other("Wild 0.8".to_owned()));
    }

    #[test]
    fn a_command_keeps_what_selects_the_linker_and_nothing_else() {
        let line = "cc -Wl,--version-script=/tmp/list -m64 a.o -Wl,-Bstatic -L /x -B/sysroot/gcc-ld \
                    -fuse-ld=lld -o libx.so -shared -fuse-ld=bfd";
        let command = LinkCommand::from_words(words(line)).unwrap();
        assert_eq!(command.selecting, ["-m64", "-B/sysroot/gcc-ld", "-fuse-ld=lld", "-fuse-ld=bfd"]);
        assert_eq!(command.style, Style::Driver);
    }

    #[test]
    fn a_linker_without_a_driver_is_asked_directly() {
        let line = "rust-lld -flavor gnu --version-script=/tmp/list a.o -o libx.so -shared -Bdynamic";
        let command = LinkCommand::from_words(words(line)).unwrap();
        assert_eq!((command.style, command.selecting), (Style::Raw, words("-flavor gnu")));
    }
}
