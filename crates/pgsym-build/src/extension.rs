//! The builder, and the steps of one build in order: target, server, compilation, exports, lists, linker, Cargo.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pgsym_core::exports::{self, ExportSet, ListFormat, ObjectFile, Problem, Request};

use crate::cargo_output::CargoOutput;
use crate::compile::{self, Compiled};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::link_args::{self, Exports, MacUndefined};
use crate::linker::{self, Linker};
use crate::map::{self, Maps};
use crate::pg_config::PgConfig;
use crate::sql;
use crate::summary::Summary;
use crate::target::{Format, Target};
use crate::testing::{MAP_VARIABLE, STRICT_VARIABLE};

/// Builds the C parts of an extension and makes their symbols exported.
///
/// ```no_run
/// // in main of build.rs
/// pgsym_build::Extension::new().file("src/shim.c").emit();
/// ```
#[derive(Debug, Clone)]
pub struct Extension {
    files: Vec<PathBuf>,
    archives: Vec<PathBuf>,
    given_build: Option<cc::Build>,
    includes: Vec<PathBuf>,
    defines: Vec<(String, Option<String>)>,
    flags: Vec<String>,
    name: String,
    request: Request,
    sql_dirs: Vec<PathBuf>,
    dependencies: Vec<String>,
    map_path: Option<PathBuf>,
    pg_config: Option<PathBuf>,
    linker: Option<Linker>,
    mac_undefined: MacUndefined,
    is_strict: bool,
    is_part: bool,
}

impl Default for Extension {
    fn default() -> Self {
        Self::new()
    }
}

impl Extension {
    /// A module without any C yet.
    pub fn new() -> Self {
        Self {
            files: Vec::new(),
            archives: Vec::new(),
            given_build: None,
            includes: Vec::new(),
            defines: Vec::new(),
            flags: Vec::new(),
            name: "pgsym_shim".to_owned(),
            request: Request::default(),
            sql_dirs: Vec::new(),
            dependencies: Vec::new(),
            map_path: None,
            pg_config: None,
            linker: None,
            mac_undefined: MacUndefined::default(),
            is_strict: true,
            is_part: false,
        }
    }

    /// A module whose C is described by a [`cc::Build`]: files, objects, language and flags as they stand there. The
    /// archive becomes `lib<name>.a`.
    ///
    /// The server's include directories, its flags and the visibility that its version needs are added. A message
    /// logger set on the build is replaced.
    pub fn from_cc(build: cc::Build, name: &str) -> Self {
        Self { given_build: Some(build), name: name.to_owned(), ..Self::new() }
    }

    /// Adds a C or C++ file (`.cpp`, `.cc`, `.cxx`, `.C`), relative to the package.
    pub fn file(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.files.push(path.as_ref().to_owned());
        self
    }

    /// Adds files.
    pub fn files<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>) -> &mut Self {
        self.files.extend(paths.into_iter().map(|path| path.as_ref().to_owned()));
        self
    }

    /// Adds a static archive that is already built (`lib<name>.a`). It is linked, and what PostgreSQL looks up in it
    /// is exported.
    pub fn archive(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.archives.push(path.as_ref().to_owned());
        self
    }

    /// Adds an include directory, before the server's.
    pub fn include(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.includes.push(directory.as_ref().to_owned());
        self
    }

    /// Defines a macro.
    pub fn define<'a>(&mut self, name: &str, value: impl Into<Option<&'a str>>) -> &mut Self {
        self.defines.push((name.to_owned(), value.into().map(str::to_owned)));
        self
    }

    /// Adds a flag for the compiler.
    pub fn flag(&mut self, flag: &str) -> &mut Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Exports a C symbol that PostgreSQL learns by a string at run time: a background worker's main function, a
    /// parallel entry point. That it is defined is checked.
    pub fn export(&mut self, name: &str) -> &mut Self {
        self.request.add.insert(name.to_owned());
        self
    }

    /// Counts a symbol among the exports that Rust code defines with `#[unsafe(no_mangle)]` or
    /// `#[unsafe(export_name)]`, functions that only the C part calls among them. rustc exports it by itself, whatever a
    /// linker is told; here it completes a `PG_FUNCTION_INFO_V1` in C, a declaration in SQL, and the list that the module
    /// is verified against.
    pub fn rust_export(&mut self, name: &str) -> &mut Self {
        self.request.rust.insert(name.to_owned());
        self
    }

    /// Keeps a symbol inside that would be exported. A name that no object defines fails the build.
    pub fn hide(&mut self, name: &str) -> &mut Self {
        self.request.hide.insert(name.to_owned());
        self
    }

    /// Checks the module against a directory of extension scripts, relative to the package: each C function that a
    /// `*.sql` file there declares for this module must be exported with its record, or the build fails with script
    /// and line. Functions in Rust code are declared with [`rust_export`](Self::rust_export).
    pub fn sql_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.sql_dirs.push(directory.as_ref().to_owned());
        self
    }

    /// Takes over what a dependency with `links = "<links>"` brings; its build script calls
    /// [`part_of_module`](Self::part_of_module). The crate must use the dependency (`use shim as _;`), or rustc does
    /// not link it.
    pub fn dependency(&mut self, links: &str) -> &mut Self {
        self.dependencies.push(links.to_owned());
        self
    }

    /// This package is a library that brings C code for the module of another package: nothing is linked here, and
    /// the names are left for that package's build script. `links` must be set in Cargo.toml.
    pub fn part_of_module(&mut self, is_part: bool) -> &mut Self {
        self.is_part = is_part;
        self
    }

    /// Keeps a copy of the list of exports, relative to the package, equal: a version script to be reviewed with the
    /// code. With `PGSYM_MAP=check` in the environment a difference is an error instead.
    pub fn map_path(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.map_path = Some(path.as_ref().to_owned());
        self
    }

    /// The `pg_config` to ask, before anything that the environment says.
    pub fn pg_config(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.pg_config = Some(path.as_ref().to_owned());
        self
    }

    /// The linker, where it is chosen in a way that the build script cannot see (`cargo rustc -- -Clink-arg=…`).
    /// `PGSYM_LINKER` in the environment goes before.
    pub fn linker(&mut self, linker: Linker) -> &mut Self {
        self.linker = Some(linker);
        self
    }

    /// How a macOS module leaves the server's symbols undefined.
    pub fn mac_undefined(&mut self, undefined: MacUndefined) -> &mut Self {
        self.mac_undefined = undefined;
        self
    }

    /// Whether [`testing::assert_exports`](crate::testing::assert_exports) fails on exports that were not meant, as `pgsym verify`
    /// does: a static OpenSSL, mangled names, a `#[unsafe(no_mangle)]` that [`rust_export`](Self::rust_export) does not
    /// name. It does; `false` is what `--allow-extra` is to `pgsym verify`.
    pub fn strict(&mut self, is_strict: bool) -> &mut Self {
        self.is_strict = is_strict;
        self
    }

    /// Does everything and tells Cargo; on an error prints it and exits with status 1, which fails the build.
    #[expect(clippy::print_stderr, reason = "this is how a build script fails")]
    pub fn emit(&self) -> Summary {
        self.try_emit().unwrap_or_else(|error| {
            eprintln!("\npgsym-build: {error}\n");
            std::process::exit(1)
        })
    }

    /// Does everything and tells Cargo.
    ///
    /// # Errors
    ///
    /// Whatever would make a module that lacks an export, or none at all; Cargo is then told nothing.
    pub fn try_emit(&self) -> Result<Summary, Error> {
        let env = Env::of_process();
        let target = Target::from_env(&env)?;
        let mut output = CargoOutput::default();
        let has_sources = !self.files.is_empty() || self.given_build.is_some();
        let pg = has_sources.then(|| PgConfig::find(&env, self.pg_config.as_deref())).transpose()?;
        let compiled =
            pg.as_ref().map(|pg| compile::compile(self.builds(), &self.name, pg, &env)).transpose()?;
        let objects = self.read_objects(compiled.as_ref(), &target, &mut output)?;
        let exports = self.plan(&env, &objects, &mut output)?;
        let maps = map::write(&env.out_dir()?, &exports, target.format)?;
        if let Some(path) = &self.map_path {
            map::keep_copy(&env, path, &exports)?;
            output.rerun_if_changed(path)?;
        }
        let mut summary = Summary {
            pg_config: pg,
            exports,
            linker: None,
            instead_of: None,
            link_args: Vec::new(),
            map: maps.whole.clone(),
            warnings: compiled.as_ref().map(|compiled| compiled.warnings.clone()).unwrap_or_default(),
        };
        if self.is_part {
            if env.text("CARGO_MANIFEST_LINKS").is_none() {
                let message = "a part of a module hands its exports on through Cargo's metadata, which takes a \
                               `links` key in Cargo.toml's [package]; add one";
                return Err(Error::new(ErrorKind::Dependency, message));
            }
            output.metadata("pgsym_exports", &maps.forced.display().to_string())?;
        } else {
            self.link(&env, &target, &maps, &mut summary)?;
            if target.drops_cdylib {
                output.warning("musl with crt-static has no cdylib: build with -Ctarget-feature=-crt-static");
            }
        }
        for argument in &summary.link_args {
            output.cdylib_link_arg(argument)?;
        }
        output.rustc_env(MAP_VARIABLE, &summary.map.display().to_string())?;
        output.rustc_env(STRICT_VARIABLE, if self.is_strict { "1" } else { "0" })?;
        for warning in &summary.warnings {
            output.warning(warning);
        }
        for name in env.tracked_names() {
            output.rerun_if_env_changed(&name)?;
        }
        if let Some(compiled) = compiled {
            for input in &compiled.inputs {
                output.rerun_if_changed(input)?;
            }
            output.link_compiled(compiled.linking, compiled.archive);
        }
        output.rerun_if_changed(Path::new("build.rs"))?;
        output.print()?;
        Ok(summary)
    }

    /// The given build, or one per language, C first.
    fn builds(&self) -> Vec<cc::Build> {
        let (cpp, c): (Vec<&PathBuf>, Vec<_>) = self.files.iter().partition(|file| compile::is_cpp(file));
        let mut builds: Vec<cc::Build> = self.given_build.iter().cloned().collect();
        if !c.is_empty() {
            let mut build = cc::Build::new();
            // -Wall is what PostgreSQL compiles itself with; its headers are not made for -Wextra.
            build.extra_warnings(false).files(c);
            builds.push(build);
        }
        if !cpp.is_empty() {
            let mut build = cc::Build::new();
            build.extra_warnings(false).cpp(true).files(cpp).flag("-fvisibility-inlines-hidden");
            builds.push(build);
        }
        for build in &mut builds {
            build.includes(&self.includes);
            for (name, value) in &self.defines {
                build.define(name, value.as_deref());
            }
            for flag in &self.flags {
                build.flag(flag);
            }
        }
        builds
    }

    /// Reads the compiled archive and the given ones, each checked against the target.
    fn read_objects(
        &self,
        compiled: Option<&Compiled>,
        target: &Target,
        output: &mut CargoOutput,
    ) -> Result<Vec<ObjectFile>, Error> {
        let mut objects = Vec::new();
        if let Some(compiled) = compiled {
            read_archive(&compiled.archive, &mut objects)?;
            for object in &mut objects {
                let member = object.label.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
                if let Some(source) = compiled.sources.get(member) {
                    object.label.clone_from(source);
                }
            }
        }
        for archive in &self.archives {
            read_archive(archive, &mut objects)?;
            let name = archive.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(name) = name.strip_prefix("lib").and_then(|name| name.strip_suffix(".a")) else {
                let message =
                    format!("{} is not named lib<name>.a, so no linker finds it", archive.display());
                return Err(Error::new(ErrorKind::Object, message));
            };
            let directory = std::path::absolute(archive).unwrap_or_else(|_| archive.clone());
            output.link_static(directory.parent().unwrap_or(Path::new(".")), name)?;
            output.rerun_if_changed(archive)?;
        }
        for object in &objects {
            target.check(&object.label, object.platform)?;
        }
        Ok(objects)
    }

    /// Decides what must be exported.
    fn plan(&self, env: &Env, objects: &[ObjectFile], output: &mut CargoOutput) -> Result<ExportSet, Error> {
        let mut request = self.request.clone();
        request.needs_magic = !self.is_part;
        request.dependencies = self.read_dependencies(env, output)?;
        let package = PathBuf::from(env.required("CARGO_MANIFEST_DIR")?);
        let library = env.required("CARGO_PKG_NAME")?.replace('-', "_");
        for directory in &self.sql_dirs {
            let scripts = sql::read(&package, directory, &library)?;
            request.declared.extend(scripts.declared);
            for input in &scripts.inputs {
                output.rerun_if_changed(input)?;
            }
        }
        let planned = ExportSet::plan(objects, &request);
        let exports = planned.map_err(|problems| {
            let kind = match problems.first() {
                Some(Problem::Declared { .. }) => ErrorKind::Sql,
                _ => ErrorKind::Exports,
            };
            let sentences: Vec<String> = problems.iter().map(Problem::to_string).collect();
            Error::new(kind, sentences.join("\n"))
        })?;
        Ok(exports)
    }

    /// The names that dependencies left, with the dependency of each.
    fn read_dependencies(
        &self,
        env: &Env,
        output: &mut CargoOutput,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut names = BTreeMap::new();
        for links in &self.dependencies {
            let variable = format!("DEP_{}_PGSYM_EXPORTS", links.to_uppercase().replace('-', "_"));
            let error = |message: String| Error::new(ErrorKind::Dependency, message);
            let path = env.text(&variable).map(PathBuf::from).ok_or_else(|| {
                error(format!(
                    "{variable} is not set: no direct dependency with links = {links:?} in its Cargo.toml calls \
                     Extension::part_of_module in its build script"
                ))
            })?;
            let text = fs::read_to_string(&path).map_err(|io| {
                error(format!("cannot read what {links} exports from {}: {io}", path.display()))
            })?;
            let list = ListFormat::VersionScriptAddition.read(&text);
            let list = list.map_err(|list| error(format!("{}: {list}", path.display())))?;
            output.rerun_if_changed(&path)?;
            names.extend(list.into_iter().map(|name| (name, links.clone())));
        }
        Ok(names)
    }

    /// Finds the arguments that export the forced names; nothing to force takes none.
    fn link(&self, env: &Env, target: &Target, maps: &Maps, summary: &mut Summary) -> Result<(), Error> {
        let forced: Vec<&str> = summary.exports.forced().collect();
        if forced.is_empty() {
            return Ok(());
        }
        let rust: Vec<&str> = summary.exports.rust().collect();
        let exports =
            Exports { forced: &forced, rust: &rust, whole_map: &maps.whole, forced_map: &maps.forced };
        let (linker, instead_of, link_args) = match target.format {
            Format::Elf => {
                let choice = linker::choose(env, self.linker.as_ref())?;
                let arguments = link_args::elf(&choice, exports);
                (choice.linker, choice.instead_of, arguments)
            }
            Format::MachO => {
                let postgres = summary.pg_config.as_ref().and_then(PgConfig::postgres);
                if self.mac_undefined == MacUndefined::BundleLoader && postgres.is_none() {
                    let message = "no pg_config told where postgres is, so there is no bundle loader; name it with \
                                   MacUndefined::BundleLoaderAt";
                    return Err(Error::new(ErrorKind::PgConfigNotFound, message));
                }
                let arguments = link_args::mach_o(exports, &self.mac_undefined, postgres.as_deref());
                (Linker::Apple, None, arguments)
            }
        };
        (summary.linker, summary.instead_of, summary.link_args) = (Some(linker), instead_of, link_args);
        Ok(())
    }
}

fn read_archive(path: &Path, objects: &mut Vec<ObjectFile>) -> Result<(), Error> {
    let unreadable = |why: String| {
        let message = format!("cannot read the symbols of {}: {why}", path.display());
        Error::new(ErrorKind::Object, message)
    };
    let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let label = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    exports::objects::read(&label, &bytes, objects).map_err(|error| unreadable(error.to_string()))
}
