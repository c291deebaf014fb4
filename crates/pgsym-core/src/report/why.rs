//! `pgsym why NAME`: which objects ask for a library, by which chain, and which file each of them gets. A name that
//! no library has is taken for a symbol.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::dependencies::{SearchedPlace, rule_words};
use super::document::Document;
use super::field::{Field, key};
use super::text::{Palette, count, paint};
use super::why_dyld;
use super::why_symbol::{self, SymbolProvider};
use crate::discover::short_path;
use crate::name::{Name, bytes_as_path, path_bytes};
use crate::resolve::{Edge, ObjectId, Process, Via};
use crate::tree::{Tree, TreeFile};

/// The answer of `pgsym why`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Why {
    /// The name that was asked about.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// The files that it means in one module or another, by path; a missing one comes first.
    pub providers: Vec<Provider>,
    /// Where no library has the name: the definitions that a symbol of that name leads to.
    pub symbols: Vec<SymbolProvider>,
    #[serde(skip)]
    roots: Vec<std::path::PathBuf>,
}

/// One file that the name means, and for whom.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Provider {
    /// The file; null where the name leads nowhere.
    #[serde(flatten)]
    pub path: Field<key::FoundPath>,
    /// Who asks for it: the server first, then by path.
    pub chains: Vec<Chain>,
}

/// How one file of the tree, or the server, comes to ask for it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Chain {
    /// The file of the tree, or the server.
    #[serde(flatten)]
    pub module: Field<key::Module>,
    /// Whether that is the server itself, at its start.
    pub is_server: bool,
    /// From that file to the library: each object, by the name that it was asked for.
    pub links: Vec<Link>,
    /// The rule of the loader that led to the library; "loaded" where it was in the process already; null
    /// where it is missing.
    pub via: Option<&'static str>,
    /// The search path element that led to it.
    #[serde(flatten)]
    pub element: Field<key::Element>,
    /// Why it cannot be used, in the loader's words; null where it can.
    pub error: Option<String>,
    /// Every place that was looked at, in order; empty where it was in the process already.
    pub searched: Vec<SearchedPlace>,
}

/// One object of a chain.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    /// The name that the object before asks for; the path of the first.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// The file; null where it is missing.
    #[serde(flatten)]
    pub path: Field<key::FoundPath>,
}

impl Why {
    /// Whether nobody asks for it, though something may define it.
    pub fn is_unasked(&self) -> bool {
        self.providers.is_empty() && self.symbols.iter().all(|provider| provider.users.is_empty())
    }

    /// Whether anybody asks and is not served: a library that is missing, a symbol that nothing defines.
    pub fn has_missing(&self) -> bool {
        self.providers.iter().any(|provider| provider.path.name().is_none())
            || self.symbols.iter().any(|provider| {
                provider.path.name().is_none() && provider.users.iter().any(|user| !user.weak)
            })
    }

    /// Asks every file of a tree, and its server, for a library: by the name that it is needed by, its file name, its
    /// DT_SONAME or install name, or its path.
    pub fn new(tree: &Tree, name: &Name) -> Self {
        let mut providers: BTreeMap<Field<key::FoundPath>, Vec<Chain>> = BTreeMap::new();
        let mut add = |process: &Process, root, module: Field<key::Module>, is_server| {
            for (path, chain) in chains(process, root, name, &module, is_server) {
                providers.entry(path).or_default().push(chain);
            }
        };
        if let (Some(process), Some(server)) = (tree.process(), tree.server())
            && let Some((main, _)) = process.load_order().next()
        {
            add(process, main, server.installation.server.as_path().into(), true);
        }
        for file in tree.files().iter().filter(|file| !is_server(tree, file)) {
            if let Some(load) = &file.load
                && let Some(root) = load.root
            {
                add(&load.process, root, file.shown.as_path().into(), false);
            }
        }
        for (path, chain) in why_dyld::chains(tree, name) {
            providers.entry(path).or_default().push(chain);
        }
        let symbols = if providers.is_empty() { why_symbol::providers(tree, name) } else { Vec::new() };
        Self {
            name: name.into(),
            symbols,
            providers: providers.into_iter().map(|(path, chains)| Provider { path, chains }).collect(),
            roots: tree.roots().given().to_vec(),
        }
    }
}

/// Whether a file of the tree is the server, which was asked first.
pub(super) fn is_server(tree: &Tree, file: &TreeFile) -> bool {
    let id = file.module.as_ref().ok().map(|module| module.id);
    tree.server().is_some_and(|server| Some(server.module.id) == id)
}

/// Every file that the name means below one root, with the first edge that leads to it.
fn chains(
    process: &Process,
    root: ObjectId,
    name: &Name,
    module: &Field<key::Module>,
    is_server: bool,
) -> Vec<(Field<key::FoundPath>, Chain)> {
    let mut parents: HashMap<ObjectId, &Edge> = HashMap::new();
    let mut found: Vec<(Field<key::FoundPath>, Chain)> = Vec::new();
    for id in process.closure(root) {
        for edge in process.object(id).map_or(&[][..], |object| object.edges()) {
            if let Ok(target) = edge.target
                && target != root
            {
                parents.entry(target).or_insert(edge);
            }
            if !is_meant(process, edge, name) {
                continue;
            }
            let path: Field<key::FoundPath> = path_of(process, edge.target.as_ref().ok().copied());
            if found.iter().any(|(known, _)| *known == path) {
                continue;
            }
            let deciding = edge.searched.last().filter(|_| edge.target.is_ok());
            let chain = Chain {
                module: module.clone(),
                is_server,
                links: links(process, root, edge, &parents),
                via: edge.target.as_ref().ok().and(edge.via).map(Via::as_str),
                element: deciding.and_then(|probe| probe.element.as_ref()).into(),
                error: edge.target.as_ref().err().map(|error| error.message.clone()),
                searched: edge.searched.iter().map(SearchedPlace::new).collect(),
            };
            found.push((path, chain));
        }
    }
    found
}

fn path_of(process: &Process, id: Option<ObjectId>) -> Field<key::FoundPath> {
    id.and_then(|id| process.object(id)).map(crate::resolve::Object::path).into()
}

fn is_meant(process: &Process, edge: &Edge, name: &Name) -> bool {
    let fits = |bytes: &[u8]| {
        bytes == name.as_bytes() || bytes.rsplit(|&byte| byte == b'/').next() == Some(name.as_bytes())
    };
    if fits(edge.name.as_bytes()) {
        return true;
    }
    let target = edge.target.as_ref().ok().and_then(|&target| process.object(target));
    target.is_some_and(|object| {
        fits(path_bytes(object.path())) || object.module().soname.as_ref() == Some(name)
    })
}

/// From the root to the end of an edge.
fn links(process: &Process, root: ObjectId, last: &Edge, parents: &HashMap<ObjectId, &Edge>) -> Vec<Link> {
    let mut links =
        vec![Link { name: (&last.name).into(), path: path_of(process, last.target.as_ref().ok().copied()) }];
    let mut id = last.requester;
    // Each object's parent was met before it in a breadth-first walk, so the way up ends at the root.
    while id != root {
        let Some(edge) = parents.get(&id) else { break };
        links.push(Link { name: (&edge.name).into(), path: path_of(process, Some(id)) });
        id = edge.requester;
    }
    let start = process.object(root).map(crate::resolve::Object::path);
    links.push(Link { name: start.into(), path: start.into() });
    links.reverse();
    links
}

/// Chains that are told together, and under which heading.
type Group = (fn(&Chain) -> bool, &'static str);

impl Document for Why {
    const COMMAND: &'static str = "why";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        for (index, provider) in self.providers.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            let what: Box<dyn std::fmt::Display> = match provider.path.name() {
                Some(path) => Box::new(path),
                None => Box::new(paint(palette.error, "NOT FOUND")),
            };
            writeln!(out, "{} is {what}", paint(palette.heading, &self.name))?;
            self.write_chains(provider, out, palette)?;
        }
        for (index, provider) in self.symbols.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            provider.write_text(&self.name, &self.roots, out, palette)?;
        }
        if self.providers.is_empty() && self.symbols.is_empty() {
            writeln!(out, "{}: nothing here asks for a library or symbol of that name", self.name)?;
        }
        Ok(())
    }
}

impl Why {
    fn write_chains(&self, provider: &Provider, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let groups: [Group; 4] = [
            (|chain| chain.is_server, "the server brings it before any module:"),
            (|chain| !chain.is_server && chain.error.is_some(), "asked for by"),
            (|chain| !chain.is_server && chain.error.is_none() && chain.via != Some("loaded"), "brought by"),
            (|chain| !chain.is_server && chain.via == Some("loaded"), "found in the process by"),
        ];
        for (belongs, heading) in groups {
            let chains: Vec<&Chain> = provider.chains.iter().filter(|chain| belongs(chain)).collect();
            let Some(first) = chains.first() else { continue };
            if first.is_server {
                writeln!(out, "  {heading}")?;
            } else {
                writeln!(out, "  {heading} {}:", count(chains.len(), "file"))?;
            }
            let mut last: Option<Vec<String>> = None;
            for chain in chains {
                writeln!(out, "    {}", self.chain_words(chain))?;
                let searched = search_lines(chain);
                // The same search is told once.
                if last.as_ref() != Some(&searched) {
                    for line in &searched {
                        writeln!(out, "      {}", paint(palette.dim, line))?;
                    }
                }
                last = Some(searched);
            }
        }
        Ok(())
    }

    fn chain_words(&self, chain: &Chain) -> String {
        let names: Vec<String> = chain
            .links
            .iter()
            .enumerate()
            .map(|(index, link)| {
                if index == 0 {
                    let path = bytes_as_path(chain.module.as_bytes());
                    let short = match path.file_name() {
                        Some(name) if chain.is_server => std::path::Path::new(name),
                        _ => short_path(path, &self.roots),
                    };
                    Name::from(path_bytes(short)).to_string()
                } else {
                    link.name.to_string()
                }
            })
            .collect();
        names.join(" → ")
    }
}

fn search_lines(chain: &Chain) -> Vec<String> {
    if let (Some(via), None) = (chain.via, &chain.error)
        && chain.searched.len() <= 1
    {
        return if via == "loaded" { Vec::new() } else { vec![rule_words(via, &chain.element)] };
    }
    if chain.searched.is_empty() {
        return chain.error.iter().cloned().collect();
    }
    chain
        .searched
        .iter()
        .map(|place| format!("{}: {} — {}", place.rule(), place.path, place.outcome))
        .collect()
}
