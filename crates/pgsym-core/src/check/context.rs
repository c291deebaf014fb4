//! What a rule can see, and where it puts what it found. Nothing here does I/O: a rule works on what the
//! phases before it read.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use super::finding::Finding;
use super::rule::Rule;
use super::select::Selection;
use crate::model::{Elf, MachO, Module};
use crate::postgres::PgFacts;
use crate::resolve::Binding;
use crate::tree::{DyldLoad, Load, Role, Server, Settings, Tree, TreeFile};

/// One file of the tree.
pub struct ModuleCx<'t> {
    tree: &'t Tree,
    file: &'t TreeFile,
    bindings: OnceCell<Vec<Binding<'t>>>,
}

impl<'t> ModuleCx<'t> {
    pub(crate) fn new(tree: &'t Tree, file: &'t TreeFile) -> Self {
        Self { tree, file, bindings: OnceCell::new() }
    }

    /// The tree that it belongs to.
    pub fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// The file's own record.
    pub fn file(&self) -> &'t TreeFile {
        self.file
    }

    /// Its path inside the tree.
    pub fn path(&self) -> &'t Path {
        &self.file.path
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        self.file.role
    }

    /// The parsed binary, where it could be parsed.
    pub fn module(&self) -> Option<&'t Arc<Module>> {
        self.file.module.as_ref().ok()
    }

    /// The ELF part.
    pub fn elf(&self) -> Option<&'t Elf> {
        self.module().and_then(|module| module.elf())
    }

    /// The Mach-O part.
    pub fn macho(&self) -> Option<&'t MachO> {
        self.module().and_then(|module| module.macho())
    }

    /// What loading it does if it is a Mach-O file, for each architecture.
    pub fn dyld(&self) -> &'t [DyldLoad] {
        &self.file.dyld
    }

    /// What PostgreSQL finds in it.
    pub fn postgres(&self) -> Option<&'t PgFacts> {
        self.module().and_then(|module| module.postgres.get())
    }

    /// What loading it into the server does.
    pub fn load(&self) -> Option<&'t Load> {
        self.file.load.as_ref()
    }

    /// Every reference of its object in that process with its definition, in symbol order.
    pub fn bindings(&self) -> &[Binding<'t>] {
        let bind = || self.load().and_then(|load| Some(load.process.bindings(load.root?)));
        self.bindings.get_or_init(|| bind().unwrap_or_default())
    }

    /// The server that would load it, where one is known. In a tree that mixes formats a file of the other one is another
    /// server's.
    pub fn server(&self) -> Option<&'t Server> {
        let module = self.module();
        self.tree.server().filter(|server| {
            module.is_none_or(|module| module.macho().is_some() == server.module.macho().is_some())
        })
    }

    /// The question as it was asked.
    pub fn settings(&self) -> &'t Settings {
        self.tree.settings()
    }
}

/// The whole tree.
pub struct TreeCx<'t> {
    tree: &'t Tree,
}

impl<'t> TreeCx<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        Self { tree }
    }

    /// The tree.
    pub fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// Each of its files as a rule for one file sees it, in path order.
    pub fn files(&self) -> impl Iterator<Item = ModuleCx<'t>> + use<'t> {
        let tree = self.tree;
        tree.files().iter().map(move |file| ModuleCx::new(tree, file))
    }
}

/// Where findings go.
pub struct Sink<'s> {
    selection: &'s Selection,
    findings: Vec<Finding>,
    rule: Option<&'static Rule>,
}

impl<'s> Sink<'s> {
    pub(crate) fn new(selection: &'s Selection) -> Self {
        Self { selection, findings: Vec::new(), rule: None }
    }

    /// The sink for one rule's check.
    pub(crate) fn of(&mut self, rule: &'static Rule) -> &mut Self {
        self.rule = Some(rule);
        self
    }

    /// Starts a finding of the running rule. It counts once it is given to [`report`](Self::report).
    ///
    /// # Panics
    ///
    /// Outside a check: the engine names the rule before it calls one.
    pub fn finding(&self, path: &Path, subject: impl ToString, message: impl Into<String>) -> Finding {
        let rule = self.rule.expect("the engine names the rule before its check runs");
        Finding::new(rule, path, subject, message)
    }

    /// Takes a finding, at the severity that the selection gives its rule.
    pub fn report(&mut self, mut finding: Finding) {
        finding.severity = self.selection.severity(&finding);
        self.findings.push(finding);
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}
