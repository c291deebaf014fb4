//! Finds `pg_config`, runs it once, and keeps what a compilation needs: the server's headers, its major version and
//! the flags that its own sources rely on.
//!
//! The order: the builder's path, `PG_CONFIG`, pgrx's variables (`PGRX_PG_CONFIG_AS_ENV` with its
//! `PGRX_PG_CONFIG_*` values, `PGRX_PG_CONFIG_PATH`, then `config.toml` of `PGRX_HOME` for the one `pgNN` Cargo feature
//! that is on), and `PATH`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::Env;
use crate::error::{Error, ErrorKind};

/// Bytes of output that are looked at; the real one prints about 3,000.
const OUTPUT_BYTES: usize = 1 << 20;

/// A PostgreSQL installation to compile against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgConfig {
    /// Where the answers come from: the path of `pg_config`, or the name of a variable.
    pub source: String,
    /// `VERSION`, such as `PostgreSQL 17.2`.
    pub version: String,
    /// The major version: 17.
    pub major: u32,
    /// `INCLUDEDIR-SERVER`: where `postgres.h` is.
    pub include_server: PathBuf,
    /// `BINDIR`: where `postgres` is.
    pub bindir: Option<PathBuf>,
    /// `-I`, `-isystem`, `-D` and `-U` of `CPPFLAGS`.
    pub preprocessor_flags: Vec<String>,
    /// The flags of `CFLAGS` that change what C code means.
    pub semantic_flags: Vec<String>,
}

/// Flags that the server's headers and macros rely on: it reads memory through other types, counts on
/// wrap-around, and compares floats without excess precision (configure.ac).
const SEMANTIC_FLAGS: [&str; 3] = ["-fno-strict-aliasing", "-fwrapv", "-fexcess-precision=standard"];

impl PgConfig {
    /// Finds an installation.
    pub(crate) fn find(env: &Env, given: Option<&Path>) -> Result<Self, Error> {
        let config = Self::find_unchecked(env, given)?;
        let header = config.include_server.join("postgres.h");
        if header.is_file() {
            return Ok(config);
        }
        let message = format!(
            "the server headers are not installed: {} says they are in {}, where there is no postgres.h; install \
             the development package (Debian: postgresql-server-dev-{}, RPM: postgresql{}-devel), or point \
             PG_CONFIG at the installation to build for",
            config.source,
            config.include_server.display(),
            config.major,
            config.major,
        );
        Err(Error::new(ErrorKind::HeadersNotFound, message))
    }

    fn find_unchecked(env: &Env, given: Option<&Path>) -> Result<Self, Error> {
        if let Some(path) = given {
            return Self::run(path);
        }
        if let Some(path) = env.tracked("PG_CONFIG") {
            return Self::run(Path::new(&path));
        }
        if env.tracked_text("PGRX_PG_CONFIG_AS_ENV").as_deref() == Some("true") {
            return Self::from_pgrx_variables(env);
        }
        if let Some(path) = env.tracked("PGRX_PG_CONFIG_PATH") {
            return Self::run(Path::new(&path));
        }
        let mut searched = vec!["PG_CONFIG (not set)".to_owned(), "PGRX_PG_CONFIG_PATH (not set)".to_owned()];
        match pgrx_home_entry(env) {
            Ok(path) => return Self::run(&path),
            Err(why_not) => searched.push(why_not),
        }
        let path = env.tracked("PATH").unwrap_or_default();
        for directory in std::env::split_paths(&path) {
            let candidate = directory.join("pg_config");
            if candidate.is_file() {
                return Self::run(&candidate);
            }
        }
        searched.push(format!("PATH ({})", path.to_string_lossy()));
        let message = format!(
            "no pg_config was found; searched {}; install the development package (Debian: \
             postgresql-server-dev-NN, RPM: postgresqlNN-devel, Homebrew: postgresql@NN) or set PG_CONFIG to \
             the path of the pg_config to build for",
            searched.join(", "),
        );
        Err(Error::new(ErrorKind::PgConfigNotFound, message))
    }

    /// Runs a `pg_config`.
    fn run(path: &Path) -> Result<Self, Error> {
        let output = Command::new(path).output().map_err(|error| {
            let message =
                format!("cannot run {}: {error}; PG_CONFIG must be the path of a pg_config", path.display());
            Error::new(ErrorKind::PgConfigNotFound, message)
        })?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let words = words.lines().next().unwrap_or("it printed nothing");
            let message = format!("{} failed ({}): {words}", path.display(), output.status);
            return Err(Error::new(ErrorKind::PgConfigOutput, message));
        }
        let bytes = output.stdout.get(..OUTPUT_BYTES).unwrap_or(&output.stdout);
        Self::from_output(&path.display().to_string(), &String::from_utf8_lossy(bytes))
    }

    /// Reads what `pg_config` without arguments prints: `NAME = value` lines.
    fn from_output(source: &str, text: &str) -> Result<Self, Error> {
        let values: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once(" ="))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        Self::from_values(source, |name| values.get(name).map(|value| (*value).to_owned()))
    }

    /// pgrx's way to describe an installation without a `pg_config` that runs, as a cross build needs it.
    fn from_pgrx_variables(env: &Env) -> Result<Self, Error> {
        Self::from_values("PGRX_PG_CONFIG_AS_ENV", |name| {
            let name = format!("PGRX_PG_CONFIG_{name}");
            env.tracked_text(&name).or_else(|| env.tracked_text(&name.replace('-', "_")))
        })
    }

    fn from_values(source: &str, value: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let required = |name: &str| {
            value(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                let message = format!(
                    "{source} does not answer as pg_config does: there is no {name} in what it says; \
                     set PG_CONFIG to the path of a pg_config"
                );
                Error::new(ErrorKind::PgConfigOutput, message)
            })
        };
        let version = required("VERSION")?;
        let major = major_of(&version).ok_or_else(|| {
            let message = format!("{source} says VERSION is {version:?}, which is no PostgreSQL version");
            Error::new(ErrorKind::PgConfigOutput, message)
        })?;
        let flags = |name| words(&value(name).unwrap_or_default());
        Ok(Self {
            source: source.to_owned(),
            major,
            include_server: PathBuf::from(required("INCLUDEDIR-SERVER")?),
            bindir: value("BINDIR").filter(|value| !value.is_empty()).map(PathBuf::from),
            preprocessor_flags: preprocessor_flags(flags("CPPFLAGS")),
            semantic_flags: flags("CFLAGS")
                .into_iter()
                .filter(|flag| SEMANTIC_FLAGS.contains(&flag.as_str()))
                .collect(),
            version,
        })
    }

    /// The `postgres` binary, for `-bundle_loader`.
    pub(crate) fn postgres(&self) -> Option<PathBuf> {
        self.bindir.as_ref().map(|bindir| bindir.join("postgres"))
    }
}

/// The major version in `PostgreSQL 17.2 (Debian …)`, `PostgreSQL 19beta1`, `EnterpriseDB 16.1.0`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(1)?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    // 9.6 and older counted majors in two numbers and are long unsupported.
    digits.parse().ok().filter(|major| (10..1000).contains(major))
}

/// Keeps what tells the preprocessor where to look and what is defined. `_FORTIFY_SOURCE` stays out: it warns in
/// every file of an unoptimised build.
fn preprocessor_flags(flags: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut flags = flags.into_iter();
    while let Some(flag) = flags.next() {
        if matches!(flag.as_str(), "-I" | "-isystem" | "-D" | "-U") {
            kept.push(flag);
            kept.extend(flags.next());
        } else if ["-I", "-isystem", "-D", "-U"].iter().any(|prefix| flag.starts_with(prefix))
            && !flag.contains("_FORTIFY_SOURCE")
        {
            kept.push(flag);
        }
    }
    kept
}

/// Splits flags as a shell would: blanks separate, quotes and backslashes protect.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// `pgNN` of pgrx's `config.toml`, for the one `pgNN` feature of the crate that is on; else why there is none.
fn pgrx_home_entry(env: &Env) -> Result<PathBuf, String> {
    let home = env.tracked("PGRX_HOME").map(PathBuf::from);
    let home = home.or_else(|| env.get("HOME").map(|home| PathBuf::from(home).join(".pgrx")));
    let file = home.unwrap_or_default().join("config.toml");
    let majors: Vec<u32> =
        (10..100).filter(|major| env.get(&format!("CARGO_FEATURE_PG{major}")).is_some()).collect();
    let [major] = majors.as_slice() else {
        let file = file.display();
        return Err(format!("{file} (looked at only when exactly one feature pgNN is on)"));
    };
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{} ({error})", file.display()))?;
    let name = format!("pg{major}");
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .and_then(|(_, value)| value.trim().strip_prefix('"')?.split('"').next())
        .map(|path| PathBuf::from(OsString::from(path)))
        .ok_or_else(|| format!("{} (has no {name})", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "BINDIR = /usr/lib/postgresql/15/bin\n\
        INCLUDEDIR-SERVER = /usr/include/postgresql/15/server\n\
        CPPFLAGS = -Wdate-time -D_FORTIFY_SOURCE=2 -D_GNU_SOURCE -I /usr/include/libxml2\n\
        CFLAGS = -Wall -fno-strict-aliasing -fwrapv -fexcess-precision=standard -g -O2\n\
        VERSION = PostgreSQL 15.20 (Debian 15.20-0+deb12u1)\n";

    #[test]
    fn debians_answer_is_understood() {
        let config = PgConfig::from_output("pg_config", DEBIAN).unwrap();
        assert_eq!(config.major, 15);
        assert_eq!(config.include_server, Path::new("/usr/include/postgresql/15/server"));
        assert_eq!(config.preprocessor_flags, ["-D_GNU_SOURCE", "-I", "/usr/include/libxml2"]);
        assert_eq!(config.semantic_flags, SEMANTIC_FLAGS);
        assert_eq!(config.postgres().unwrap(), Path::new("/usr/lib/postgresql/15/bin/postgres"));
    }

    #[test]
    fn versions_of_betas_and_forks_have_a_major() {
        assert_eq!(major_of("PostgreSQL 19beta1"), Some(19));
        assert_eq!(major_of("PostgreSQL 18devel"), Some(18));
        assert_eq!(major_of("EnterpriseDB 16.1.0"), Some(16));
        assert_eq!(major_of("PostgreSQL 9.6.24"), None);
        assert_eq!(major_of("hello world"), None);
    }

    #[test]
    fn rubbish_is_refused_with_what_is_missing() {
        for (text, words) in [
            ("usage: pg_config", "no VERSION"),
            ("VERSION = fish", "no PostgreSQL version"),
            ("VERSION = PostgreSQL 15.1", "no INCLUDEDIR-SERVER"),
        ] {
            let error = PgConfig::from_output("/opt/pg_config", text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PgConfigOutput);
            assert!(error.to_string().contains(words), "{words:?} is not in {error}");
        }
    }

    #[test]
    fn pgrx_variables_describe_an_installation() {
        let env = Env::fixed(&[
            ("PGRX_PG_CONFIG_AS_ENV", "true"),
            ("PGRX_PG_CONFIG_VERSION", "PostgreSQL 17.2"),
            ("PGRX_PG_CONFIG_INCLUDEDIR-SERVER", "/x/server"),
        ]);
        let config = PgConfig::find_unchecked(&env, None).unwrap();
        assert_eq!((config.major, config.include_server), (17, PathBuf::from("/x/server")));
        assert!(env.tracked_names().contains(&"PGRX_PG_CONFIG_VERSION".to_owned()));
    }

    #[test]
    fn the_search_is_told_when_nothing_is_found() {
        let env = Env::fixed(&[("PATH", "/nonexistent/bin"), ("HOME", "/nonexistent")]);
        let error = PgConfig::find(&env, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PgConfigNotFound);
        for words in
            ["PG_CONFIG (not set)", "/nonexistent/.pgrx/config.toml", "PATH (/nonexistent/bin)", "install"]
        {
            assert!(error.to_string().contains(words), "{words:?} is not in {error}");
        }
        assert!(env.tracked_names().contains(&"PATH".to_owned()));
    }

    #[test]
    fn quotes_keep_blanks_in_a_flag() {
        assert_eq!(words(r#"-I/a  '-I/b c' -DX=\"y\" "-Dz w""#), ["-I/a", "-I/b c", "-DX=\"y\"", "-Dz w"]);
    }
}
