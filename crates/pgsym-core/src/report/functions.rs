//! `pgsym functions`: the C functions that extensions declare, and the binary behind each.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;
use super::field::{Field, key};
use super::text::{Palette, count, pad, paint, write_labelled};
use crate::extension::tree::Plan;
use crate::extension::{ExtensionRecord, Function, Library, Refusal, Status};
use crate::name::Shown;
use crate::tree::Tree;

/// Which part of a tree's inventory is shown.
pub struct FunctionsOptions<'a> {
    /// Whether an extension of this name is.
    pub extension: &'a dyn Fn(&[u8]) -> bool,
}

/// The answer of `pgsym functions`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Functions {
    /// The functions, by extension; those that installing the default version leaves in the catalog first, then by
    /// name, probin and prosrc.
    pub functions: Vec<FunctionEntry>,
    /// C functions that code in scripts may create, by extension and place.
    pub dynamic: Vec<DynamicFunction>,
    /// LOAD statements of the scripts that were read.
    pub loads: Vec<LoadedLibrary>,
    /// Extensions that cannot be installed, whose functions therefore are not known.
    pub uninstallable: Vec<Uninstallable>,
    /// Functions that installing a default version creates and does not keep, and that nothing backs: a line of text each.
    #[serde(skip)]
    passing: Vec<String>,
    /// The extensions that the question is about, and how many of them were wanted.
    #[serde(skip)]
    extensions: (usize, usize),
}

/// One C function of an extension.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FunctionEntry {
    /// The extension.
    #[serde(flatten)]
    pub extension: Field<key::Extension>,
    /// Its default version; or the versions in the name of the script that has the function, such as 1.0--1.1, where
    /// installing the default version does not create it.
    #[serde(flatten)]
    pub version: Field<key::ExtensionVersion>,
    /// The SQL name.
    #[serde(flatten)]
    pub function: Field<key::Function>,
    /// The library as SQL names it.
    #[serde(flatten)]
    pub probin: Field<key::Probin>,
    /// The symbol.
    #[serde(flatten)]
    pub prosrc: Field<key::Prosrc>,
    /// The file that the server would load; null where there is none.
    #[serde(flatten)]
    pub module: Field<key::ModuleFile>,
    /// "ok", "module-not-found", "module-unreadable", "module-does-not-load", "missing-function", "missing-finfo",
    /// "other-api-version" or "through-dependency".
    pub status: &'static str,
    /// What the server says after `ERROR:` when it loads the module; null where it loads it, where that cannot be told, and
    /// where the server's process ends without a message.
    pub error: Option<String>,
    /// After `DETAIL:`; or what ends the server's process.
    pub detail: Option<String>,
    /// For "through-dependency": the library that has it.
    #[serde(flatten)]
    pub provider: Field<key::ProviderFile>,
    /// Whether installing the default version leaves it in the catalog.
    pub installed: bool,
    /// The script that declares it last.
    #[serde(flatten)]
    pub script: Field<key::ScriptFile>,
    /// The statement's line, from 1.
    pub line: usize,
}

/// A C function that code in a script may create.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DynamicFunction {
    /// The extension.
    #[serde(flatten)]
    pub extension: Field<key::Extension>,
    /// The SQL name; null where the statement is put together at run time.
    #[serde(flatten)]
    pub function: Field<key::Function>,
    /// The library as SQL names it.
    #[serde(flatten)]
    pub probin: Field<key::Probin>,
    /// The symbol.
    #[serde(flatten)]
    pub prosrc: Field<key::Prosrc>,
    /// The script.
    #[serde(flatten)]
    pub script: Field<key::ScriptFile>,
    /// The line of the statement that holds the code.
    pub line: usize,
}

/// A LOAD statement.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoadedLibrary {
    /// The extension.
    #[serde(flatten)]
    pub extension: Field<key::Extension>,
    /// The library as SQL names it.
    #[serde(flatten)]
    pub probin: Field<key::Probin>,
    /// The file that the server would load; null where there is none.
    #[serde(flatten)]
    pub module: Field<key::ModuleFile>,
    /// "ok", "module-not-found" or "module-does-not-load".
    pub status: &'static str,
    /// What the server says, as for a function.
    pub error: Option<String>,
    /// What follows it, as for a function.
    pub detail: Option<String>,
    /// The script.
    #[serde(flatten)]
    pub script: Field<key::ScriptFile>,
    /// The statement's line, from 1.
    pub line: usize,
    /// The versions in the script's name, where installing the default version does not run it.
    #[serde(skip)]
    only_in: Option<String>,
}

/// An extension that cannot be installed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Uninstallable {
    /// The extension.
    #[serde(flatten)]
    pub extension: Field<key::Extension>,
    /// Its control file.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// What the server would say after `ERROR:`.
    pub error: String,
}

impl Functions {
    /// The functions of the extensions that a question is about.
    pub fn new(tree: &Tree, options: &FunctionsOptions<'_>) -> Self {
        let inventory = tree.inventory();
        let mut found = Self::default();
        for record in inventory.in_scope() {
            found.extensions.0 += 1;
            if (options.extension)(&record.extension.name) {
                found.extensions.1 += 1;
                found.add(tree, record);
            }
        }
        found
    }

    fn add(&mut self, tree: &Tree, record: &ExtensionRecord) {
        let extension: Field<key::Extension> = record.extension.name.as_slice().into();
        if !matches!(record.extension.plan, Plan::Chain(_)) {
            self.uninstallable.push(Uninstallable {
                extension: extension.clone(),
                path: tree.shown(&record.extension.control_path).as_path().into(),
                error: record.extension.plan_error().unwrap_or_default(),
            });
        }
        let is_listed = |function: &&Function| function.is_installed || !function.is_created;
        let listed = record.functions.iter().filter(is_listed);
        let steps: HashMap<&Path, Vec<u8>> =
            record.scripts.iter().map(|script| (&*script.path, script.step.versions())).collect();
        self.functions.extend(listed.map(|function| {
            let step = steps.get(&*function.script).filter(|_| !function.is_created);
            entry(tree, &extension, function, step.unwrap_or(&function.version))
        }));
        let passing = record.functions.iter().filter(|function| !is_listed(function));
        let bad = passing.filter(|function| !is_backed(function.status.as_str()));
        self.passing.extend(bad.map(|function| {
            format!(
                "{}  {}, on the way: {} in {}, {}",
                Shown(&record.extension.name),
                Shown(&function.name),
                Shown(&function.prosrc),
                Shown(&function.probin),
                function.status.as_str()
            )
        }));
        for script in &record.scripts {
            let Ok(read) = &script.script else { continue };
            for (position, dynamic) in &read.dynamic {
                let routine = dynamic.routine.as_ref();
                let link = routine.and_then(|routine| routine.c_link());
                self.dynamic.push(DynamicFunction {
                    extension: extension.clone(),
                    function: routine.map_or_else(Field::null, |routine| routine.name.as_slice().into()),
                    probin: link.map_or_else(Field::null, |(probin, _)| probin.into()),
                    prosrc: link.map_or_else(Field::null, |(_, prosrc)| prosrc.into()),
                    script: tree.shown(&script.path).as_path().into(),
                    line: position.line,
                });
            }
        }
        self.loads.extend(record.loads.iter().map(|load| {
            let (error, detail) = said(&load.library);
            let status = match (load.library.path(), load.library.load_refusal()) {
                (None, _) => Status::ModuleNotFound,
                (_, Some(_)) => Status::ModuleDoesNotLoad,
                (_, None) => Status::Ok,
            };
            LoadedLibrary {
                extension: extension.clone(),
                probin: load.library.name.as_slice().into(),
                module: shown(tree, load.library.path()),
                status: status.as_str(),
                error,
                detail,
                script: tree.shown(&load.script).as_path().into(),
                line: load.position.line,
                only_in: steps
                    .get(&*load.script)
                    .filter(|_| !load.is_run)
                    .map(|step| Shown(step).to_string()),
            }
        }));
    }

    /// Whether one of the scripts that were read would fail at a function or a LOAD statement.
    pub fn has_failures(&self) -> bool {
        let is_bad = |entry: &FunctionEntry| !is_backed(entry.status);
        self.functions.iter().any(is_bad)
            || !self.passing.is_empty()
            || self.loads.iter().any(|load| load.status != Status::Ok.as_str())
    }
}

/// Whether CREATE FUNCTION takes a function of this status.
fn is_backed(status: &str) -> bool {
    matches!(status, "ok" | "through-dependency")
}

/// What the server says when it loads a library that it refuses, and what follows or stands in its place.
fn said(library: &Library) -> (Option<String>, Option<String>) {
    match library.load_refusal() {
        Some(Refusal::Says(message)) => (Some(message.primary), message.detail),
        Some(Refusal::Crashes(why)) => {
            (None, Some(format!("the server's process ends without a message of its own: {why}")))
        }
        None => (None, None),
    }
}

/// The file of a library, as the caller would name it.
fn shown(tree: &Tree, path: Option<&Path>) -> Field<key::ModuleFile> {
    path.map(|path| tree.shown(path)).as_deref().into()
}

fn entry(
    tree: &Tree,
    extension: &Field<key::Extension>,
    function: &Function,
    version: &[u8],
) -> FunctionEntry {
    let provider = match &function.status {
        Status::ThroughDependency { provider } => tree.shown(provider).as_path().into(),
        _ => Field::null(),
    };
    let (error, detail) = said(&function.library);
    FunctionEntry {
        extension: extension.clone(),
        version: version.into(),
        function: function.name.as_slice().into(),
        probin: function.probin.as_slice().into(),
        prosrc: function.prosrc.as_slice().into(),
        module: shown(tree, function.library.path()),
        status: function.status.as_str(),
        error,
        detail,
        provider,
        installed: function.is_installed,
        script: tree.shown(&function.script).as_path().into(),
        line: function.position.line,
    }
}

impl Document for Functions {
    const COMMAND: &'static str = "functions";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let mut extension = None;
        for (index, function) in self.functions.iter().enumerate() {
            if extension != Some(&function.extension) {
                if extension.is_some() {
                    writeln!(out)?;
                }
                let name = paint(palette.heading, &function.extension);
                if function.installed {
                    writeln!(out, "{name} {}", function.version)?;
                } else {
                    writeln!(out, "{name}")?;
                }
                extension = Some(&function.extension);
            }
            write_function(out, palette, function)?;
            // Once for all functions of a module that stand together.
            let next = self.functions.get(index + 1);
            let is_last = next.is_none_or(|next| {
                (&next.extension, &next.module, next.status)
                    != (&function.extension, &function.module, function.status)
            });
            if is_last {
                write_said(out, palette, function.error.as_deref(), function.detail.as_deref())?;
            }
        }
        if extension.is_some() && !(self.dynamic.is_empty() && self.loads.is_empty()) {
            writeln!(out)?;
        }
        for dynamic in &self.dynamic {
            let what = match dynamic.function.name() {
                Some(name) => format!("code may create {name}"),
                None => "code puts together C functions".to_owned(),
            };
            writeln!(out, "{}  {what}  {}:{}", dynamic.extension, dynamic.script, dynamic.line)?;
        }
        for load in &self.loads {
            let file = match load.module.name() {
                Some(path) => path.to_string(),
                None => paint(palette.error, "NOT FOUND").to_string(),
            };
            let word = match load.status {
                "module-does-not-load" => paint(palette.error, format!("  {}", load.status)).to_string(),
                _ => String::new(),
            };
            let only = load.only_in.iter().map(|step| format!("  only in {step}")).collect::<String>();
            let only = paint(palette.dim, only);
            writeln!(out, "{}  LOAD '{}'  {file}{word}{only}", load.extension, load.probin)?;
            write_said(out, palette, load.error.as_deref(), load.detail.as_deref())?;
        }
        for function in &self.passing {
            writeln!(out, "{function}")?;
        }
        for extension in &self.uninstallable {
            writeln!(out, "{}  {}", paint(palette.error, &extension.extension), extension.error)?;
        }
        if extension.is_some() || !self.uninstallable.is_empty() {
            writeln!(out)?;
        }
        let bad = self.functions.iter().filter(|function| function.status != "ok").count();
        let summary = count(self.functions.len(), "C function");
        let failures = match (bad, self.functions.len()) {
            (0, 1) => "backed".to_owned(),
            (0, _) => "all of them backed".to_owned(),
            _ => format!("{bad} not backed"),
        };
        let passing = match self.passing.len() {
            0 => String::new(),
            more => format!("; {} on the way not backed", count(more, "function")),
        };
        match self.functions.len() {
            0 if self.extensions.0 == 0 => writeln!(out, "no extension is there: nothing was looked for"),
            0 if self.extensions.1 == 0 => {
                let others = count(self.extensions.0, "extension");
                writeln!(out, "none of {others} has such a name: nothing was looked for")
            }
            0 => writeln!(out, "no C function{passing}"),
            _ => writeln!(out, "{summary}, {failures}{passing}"),
        }
    }
}

/// The server's words on a module that it does not load.
fn write_said(
    out: &mut dyn Write,
    palette: &Palette,
    error: Option<&str>,
    detail: Option<&str>,
) -> io::Result<()> {
    let detail_label = if error.is_some() { "DETAIL:" } else { "note" };
    for (label, text) in [("ERROR:", error), (detail_label, detail)] {
        if let Some(text) = text {
            write_labelled(out, palette, 4, label, text)?;
        }
    }
    Ok(())
}

fn write_function(out: &mut dyn Write, palette: &Palette, function: &FunctionEntry) -> io::Result<()> {
    /// Columns of the name.
    const NAME: usize = 30;
    let style = match function.status {
        "ok" => palette.good,
        "through-dependency" => palette.warning,
        _ if function.installed => palette.error,
        _ => palette.info,
    };
    let file = function.module.name().map_or_else(|| function.probin.to_string(), ToString::to_string);
    let file = file.rsplit('/').next().unwrap_or_default();
    let obsolete = if function.installed { String::new() } else { format!("  only in {}", function.version) };
    writeln!(
        out,
        "  {} {}{file}:{}{}",
        paint(style, pad(function.status, 3)),
        pad(&function.function.to_string(), NAME),
        function.prosrc,
        paint(palette.dim, obsolete),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions as _, case, function};
    use crate::rules::testing::Case;

    fn answer(case: &Case) -> (String, bool) {
        let functions = Functions::new(&case.tree(), &FunctionsOptions { extension: &|_| true });
        let mut text = Vec::new();
        functions.write_text(&mut text, &Palette::plain()).unwrap();
        (String::from_utf8(text).unwrap(), functions.has_failures())
    }

    #[test]
    fn what_only_older_scripts_do_is_named_by_the_script_and_counts() {
        let case = |update: &str| {
            let case = case().extension("", &function("f", "x")).functions("/pg/lib/x.so", &["f", "g"]);
            case.file("/pg/share/extension/x--0.5--1.0.sql", update)
        };
        let gone = function("gone", "x");
        let (text, fails) = answer(&case(&gone).all_scripts());
        assert!(text.contains("x.so:gone  only in 0.5--1.0"), "{text}");
        assert!(fails && !answer(&case(&gone)).1);
        let (text, fails) = answer(&case("LOAD 'y';").all_scripts());
        assert!(text.contains("LOAD 'y'  NOT FOUND  only in 0.5--1.0"), "{text}");
        assert!(fails && !answer(&case("LOAD 'y';")).1);
        assert!(!answer(&case(&function("g", "x")).all_scripts()).1);
    }
}
