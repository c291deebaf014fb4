//! `pgsym collisions`: pairs of copies and pairs of exports that meet in one process, with the verdict and what
//! decided it.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::dependencies::SearchedPlace;
use super::document::Document;
use super::field::{Field, key};
use super::text::{Palette, count, listed, paint, write_labelled};
use crate::collide::{
    Capture, Cause, Collisions, Copies, Judgement, MemberId, NameCollision, Outvoted, Searched, Versions,
};
use crate::tree::Tree;

/// The answer of `pgsym collisions`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CollisionReport {
    /// Two files of one library in one process, and one name that leads to two files.
    pub libraries: Vec<LibraryCollision>,
    /// References that a second definition takes, grouped by the files involved.
    pub symbols: Vec<SymbolCollision>,
    #[serde(skip)]
    has_server: bool,
    #[serde(skip)]
    modules: usize,
}

/// Two files.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LibraryCollision {
    /// "copies": both are in one process. "name": one name leads to both, and only one is ever loaded. "versions": the
    /// first and the last of a module's versions that define the same names, of which a session loads one.
    pub kind: &'static str,
    /// The family (`libssl`), the name asked for, or the module's name without its version.
    pub name: String,
    /// The side that comes first, or wins.
    pub first: Side,
    /// The other side.
    pub second: Side,
    /// How bad it is.
    pub verdict: &'static str,
    /// The facts that decided, in a sentence.
    pub reason: String,
    /// Names that both define.
    pub shared_names: usize,
    /// References that cross from one side's users to the other side.
    pub crossings: usize,
    /// Versions and symbols that the losing side's users ask for and the winner has not.
    pub lacking: Vec<String>,
    /// How the first user of the losing side searched.
    pub searched: Vec<SearchedPlace>,
}

/// One side of a meeting.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Side {
    /// The file.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// The modules that bring it, in path order; empty for what the server has anyway.
    pub brought_by: Vec<String>,
}

/// References of one file that another file takes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SymbolCollision {
    /// Whose references they are.
    pub user: Side,
    /// The file whose definitions they were meant for.
    pub meant: Side,
    /// The file whose definitions they take.
    pub taken: Side,
    /// "server": in every order. "preload": in every order, because the taker comes with what is preloaded. "module": when
    /// the taker is loaded first.
    pub cause: &'static str,
    /// "harmful": in every order. "order-dependent": who is loaded first decides. "noted": in every order, among libraries
    /// that are no modules of the tree.
    pub verdict: &'static str,
    /// The symbols.
    pub symbols: Vec<CollidingSymbol>,
}

/// One symbol.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CollidingSymbol {
    /// Its name.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// "function" or "data".
    pub kind: &'static str,
    /// The version that the reference asks for.
    pub wanted: Option<String>,
    /// The version of the definition that it takes.
    pub taken: Option<String>,
}

impl CollisionReport {
    /// The meetings of a tree.
    pub fn new(tree: &Tree) -> Self {
        let modules = tree.modules().count();
        let Some(collisions) = tree.collisions() else {
            return Self { libraries: Vec::new(), symbols: Vec::new(), has_server: false, modules };
        };
        let view = View { tree, collisions };
        let mut libraries: Vec<LibraryCollision> =
            collisions.copies.iter().map(|copies| view.copies(copies)).collect();
        libraries.extend(collisions.names.iter().map(|name| view.name(name)));
        libraries
            .extend(collisions.universe.versions().iter().filter_map(|versions| view.versions(versions)));
        let symbols = collisions.captures.iter().map(|capture| view.capture(capture)).collect();
        Self { libraries, symbols, has_server: true, modules }
    }

    /// Whether anything is harmful or depends on the order.
    pub fn has_harm(&self) -> bool {
        let is_harm = |verdict| {
            [Judgement::OrderDependent, Judgement::Harmful].map(Judgement::as_str).contains(&verdict)
        };
        self.libraries.iter().any(|library| is_harm(library.verdict))
            || self.symbols.iter().any(|symbol| is_harm(symbol.verdict))
    }

    /// Whether there was a server to meet in.
    pub fn has_server(&self) -> bool {
        self.has_server
    }
}

struct View<'t> {
    tree: &'t Tree,
    collisions: &'t Collisions,
}

impl View<'_> {
    fn side(&self, id: MemberId) -> Side {
        let member = self.collisions.universe.get(id);
        Side { path: member.path.as_path().into(), brought_by: self.modules(&member.brought_by) }
    }

    fn modules(&self, indices: &[usize]) -> Vec<String> {
        indices
            .iter()
            .filter_map(|&index| self.tree.files().get(index)?.path.file_name())
            .map(|name| crate::name::Name::from(name.as_encoded_bytes()).to_string())
            .collect()
    }

    fn copies(&self, copies: &Copies) -> LibraryCollision {
        LibraryCollision {
            kind: "copies",
            name: copies.family.clone(),
            first: self.side(copies.first),
            second: self.side(copies.second),
            verdict: copies.judgement.as_str(),
            reason: copies.reason(),
            shared_names: copies.shared_names,
            crossings: copies.crossings,
            lacking: Vec::new(),
            searched: Vec::new(),
        }
    }

    fn name(&self, name: &NameCollision) -> LibraryCollision {
        LibraryCollision {
            kind: "name",
            name: name.name.to_string(),
            first: self.side(name.winner),
            second: Side { path: name.loser.as_path().into(), brought_by: self.modules(&name.wanted_by) },
            verdict: name.judgement().as_str(),
            reason: name.reason(),
            shared_names: 0,
            crossings: 0,
            lacking: name
                .lacking
                .iter()
                .map(|lacking| match lacking {
                    Outvoted::Version(version) => format!("version {version}"),
                    Outvoted::Symbol(symbol) => format!("symbol {symbol}"),
                })
                .collect(),
            searched: match &name.searched {
                Searched::Elf(probes) => probes.iter().map(SearchedPlace::new).collect(),
                dyld @ Searched::Dyld(_) => dyld
                    .lines()
                    .into_iter()
                    .map(|(via, path, outcome)| SearchedPlace {
                        via,
                        element: Field::null(),
                        path: path.into(),
                        outcome,
                    })
                    .collect(),
            },
        }
    }

    fn versions(&self, versions: &Versions) -> Option<LibraryCollision> {
        let (first, last) = (versions.members.first()?, versions.members.last()?);
        (!versions.shared.is_empty()).then(|| LibraryCollision {
            kind: "versions",
            name: versions.stem.to_string(),
            first: self.side(*first),
            second: self.side(*last),
            verdict: Judgement::Harmless.as_str(),
            reason: format!(
                "{} versions of one module are alternatives: only a session that goes on after ALTER EXTENSION \
                 UPDATE has two of them",
                versions.members.len()
            ),
            shared_names: versions.shared.len(),
            crossings: 0,
            lacking: Vec::new(),
            searched: Vec::new(),
        })
    }

    fn capture(&self, capture: &Capture) -> SymbolCollision {
        SymbolCollision {
            user: self.side(capture.victim),
            meant: self.side(capture.meant),
            taken: self.side(capture.captor),
            cause: match capture.cause {
                Cause::Server if self.collisions.universe.get(capture.captor).is_preloaded => "preload",
                Cause::Server => "server",
                Cause::Module => "module",
            },
            verdict: capture.judgement(&self.collisions.universe).as_str(),
            symbols: capture
                .symbols
                .iter()
                .map(|symbol| CollidingSymbol {
                    name: (&symbol.name).into(),
                    kind: if symbol.is_data { "data" } else { "function" },
                    wanted: symbol.wanted.as_ref().map(ToString::to_string),
                    taken: symbol.taken.as_ref().map(ToString::to_string),
                })
                .collect(),
        }
    }
}

/// Symbols shown in text; JSON has all.
const SHOWN: usize = 8;

impl Document for CollisionReport {
    const COMMAND: &'static str = "collisions";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        if !self.has_server {
            return writeln!(
                out,
                "no server is known, so there is no process to meet in (--server PATH, --pg-version N)"
            );
        }
        for library in &self.libraries {
            library.write_text(out, palette)?;
        }
        for symbol in &self.symbols {
            symbol.write_text(out, palette)?;
        }
        writeln!(
            out,
            "{}: {} of libraries, {} of symbols",
            count(self.modules, "module"),
            count(self.libraries.len(), "meeting"),
            count(self.symbols.len(), "meeting")
        )
    }
}

impl LibraryCollision {
    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let title = match self.kind {
            "copies" => "two copies of",
            "versions" => "versions of",
            _ => "two files for",
        };
        writeln!(out, "{} {title} {}", verdict(self.verdict, palette), paint(palette.heading, &self.name))?;
        self.first.write_text(out, palette, "first")?;
        self.second.write_text(out, palette, "second")?;
        write_labelled(out, palette, 4, "because", &self.reason)?;
        if !self.lacking.is_empty() {
            write_labelled(out, palette, 4, "lacking", &self.lacking.join(", "))?;
        }
        for (index, place) in self.searched.iter().enumerate() {
            let label = if index == 0 { "searched" } else { "" };
            write_labelled(
                out,
                palette,
                4,
                label,
                &format!("{} {}: {}", place.via, place.path, place.outcome),
            )?;
        }
        writeln!(out)
    }
}

impl SymbolCollision {
    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let base = |side: &Side| side.base();
        writeln!(
            out,
            "{} {} takes what {} meant for {}",
            verdict(self.verdict, palette),
            paint(palette.heading, base(&self.taken)),
            paint(palette.heading, base(&self.user)),
            if self.user.path == self.meant.path { "itself".to_owned() } else { base(&self.meant) },
        )?;
        let order = match self.cause {
            "server" => "always: the server is searched first".to_owned(),
            "preload" => {
                format!("always: {} is preloaded, and searched before any other module", base(&self.taken))
            }
            _ => format!("when {} is loaded first", self.taken.words()),
        };
        write_labelled(out, palette, 4, "when", &order)?;
        let names = self.symbols.iter().map(|symbol| {
            if symbol.kind == "data" { format!("{} (data)", symbol.name) } else { symbol.name.to_string() }
        });
        write_labelled(out, palette, 4, "symbols", &listed(names, SHOWN))?;
        writeln!(out)
    }
}

impl Side {
    fn base(&self) -> String {
        self.path.base_name().to_string()
    }

    /// The file, and who brings it where that is somebody else.
    fn words(&self) -> String {
        let base = self.base();
        let others: Vec<&str> =
            self.brought_by.iter().map(String::as_str).filter(|name| *name != base).collect();
        match others.as_slice() {
            [] => base,
            [one] => format!("{base} (by {one})"),
            [one, rest @ ..] => format!("{base} (by {one} or {} more)", rest.len()),
        }
    }

    fn write_text(&self, out: &mut dyn Write, palette: &Palette, label: &str) -> io::Result<()> {
        let by = match self.brought_by.as_slice() {
            [] => "the server".to_owned(),
            [one] => one.clone(),
            [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        };
        write_labelled(out, palette, 4, label, &format!("{} (by {by})", self.path))
    }
}

fn verdict(verdict: &str, palette: &Palette) -> String {
    let style = match verdict {
        "harmful" => palette.error,
        "order-dependent" => palette.warning,
        _ => palette.good,
    };
    paint(style, verdict).to_string()
}
