//! Which scripts CREATE EXTENSION runs: the direct install script of the wanted version, or else the shortest
//! chain of updates from some installable version, found by the server's own algorithm with its own tie-breaks
//! (src/backend/commands/extension.c: find_install_path, find_update_path).

use std::collections::{BTreeMap, VecDeque};

use super::name::{ScriptName, script_name};
use crate::limits;

/// The versions of one extension and the update scripts between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateGraph {
    versions: BTreeMap<Vec<u8>, Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    is_installable: bool,
    updates: Vec<Vec<u8>>,
}

/// One script of a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The install script of a version.
    Install(Vec<u8>),
    /// The update script between two versions.
    Update(Vec<u8>, Vec<u8>),
}

impl Step {
    /// The version that the step leads to; its secondary control file is in force.
    pub fn version(&self) -> &[u8] {
        match self {
            Step::Install(version) | Step::Update(_, version) => version,
        }
    }

    /// The versions in the script's file name: 1.0, or 1.0--1.1.
    pub fn versions(&self) -> Vec<u8> {
        match self {
            Step::Install(version) => version.clone(),
            Step::Update(from, to) => [from, b"--".as_slice(), to].concat(),
        }
    }

    /// The script's file name.
    pub fn file_name(&self, extension: &[u8]) -> Vec<u8> {
        [extension, b"--", &*self.versions(), b".sql"].concat()
    }
}

impl UpdateGraph {
    /// The graph of `extension` in a script directory with these files.
    pub fn new<'a>(extension: &[u8], files: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut graph = Self::default();
        for file in files {
            match script_name(extension, file) {
                Some(ScriptName::Install(version)) => {
                    graph.versions.entry(version.to_vec()).or_default().is_installable = true;
                }
                Some(ScriptName::Update(from, to)) => {
                    graph.versions.entry(to.to_vec()).or_default();
                    graph.versions.entry(from.to_vec()).or_default().updates.push(to.to_vec());
                }
                Some(ScriptName::Ignored) | None => {}
            }
        }
        graph
    }

    /// Every version that some script names, in byte order.
    pub fn versions(&self) -> impl Iterator<Item = &[u8]> {
        self.versions.keys().map(Vec::as_slice)
    }

    /// Whether there is an install script for exactly this version.
    pub fn is_installable(&self, version: &[u8]) -> bool {
        self.versions.get(version).is_some_and(|node| node.is_installable)
    }

    /// The scripts that `CREATE EXTENSION … VERSION target` runs, in order, or `None` when it reports
    /// `has no installation script nor update path`.
    pub fn install_chain(&self, target: &[u8]) -> Option<Vec<Step>> {
        if self.is_installable(target) {
            return Some(vec![Step::Install(target.to_vec())]);
        }
        // Walked backwards from the target once, instead of forwards from every installable version: the
        // paths are the same, and a directory of 10,000 install scripts costs one walk.
        let next = self.next_towards(target);
        // Shorter paths win; of equally short ones the start whose name is greatest, because the server
        // replaces its choice while `strcmp(evi_start->name, evi1->name) < 0`.
        let (start, _) = self
            .versions
            .iter()
            .filter(|(_, node)| node.is_installable)
            .filter_map(|(name, _)| next.get(name.as_slice()).map(|&distance| (name, distance)))
            .min_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)))?;
        let mut steps = vec![Step::Install(start.clone())];
        steps.extend(self.path(start, target, &next));
        Some(steps)
    }

    /// The update scripts that `ALTER EXTENSION … UPDATE` runs from one version to another, or `None` when it
    /// reports `has no update path`.
    pub fn update_chain(&self, from: &[u8], to: &[u8]) -> Option<Vec<Step>> {
        let distances = self.distances_to(to, Through::Any);
        distances.contains_key(from).then(|| self.path(from, to, &distances))
    }

    /// The update scripts that `ALTER EXTENSION … UPDATE` runs, for each other version from which a chain leads to `to`, in
    /// byte order. Ends at [`limits::UPDATE_STARTS`] and [`limits::UPDATE_STEPS`].
    pub fn update_chains<'g>(&'g self, to: &'g [u8]) -> impl Iterator<Item = (&'g [u8], Vec<Step>)> {
        let distances = self.distances_to(to, Through::Any);
        let mut steps = 0;
        let starts: Vec<&[u8]> = distances
            .iter()
            .filter(|(from, _)| **from != to)
            .take(limits::UPDATE_STARTS)
            .take_while(|(_, distance)| {
                steps += *distance;
                steps <= limits::UPDATE_STEPS
            })
            .map(|(from, _)| *from)
            .collect();
        starts.into_iter().map(move |from| (from, self.path(from, to, &distances)))
    }

    /// Versions at which update scripts start of which no chain reaches `target`, in byte order.
    pub fn dead_ends(&self, target: &[u8]) -> Vec<&[u8]> {
        let distances = self.distances_to(target, Through::Any);
        self.versions
            .iter()
            .filter(|(name, node)| !node.updates.is_empty() && !distances.contains_key(name.as_slice()))
            .map(|(name, _)| name.as_slice())
            .filter(|name| *name != target)
            .collect()
    }

    /// Distances to `target` along paths whose inner versions, and end, are not installable.
    fn next_towards(&self, target: &[u8]) -> BTreeMap<&[u8], usize> {
        self.distances_to(target, Through::NotInstallable)
    }

    /// How many updates each version is away from `target`.
    fn distances_to(&self, target: &[u8], through: Through) -> BTreeMap<&[u8], usize> {
        let mut sources: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
        for (name, node) in &self.versions {
            for to in &node.updates {
                sources.entry(to).or_default().push(name);
            }
        }
        let mut distances = BTreeMap::new();
        let mut queue = VecDeque::new();
        if let Some((target, _)) = self.versions.get_key_value(target) {
            distances.insert(target.as_slice(), 0);
            queue.push_back((target.as_slice(), 0));
        }
        while let Some((version, distance)) = queue.pop_front() {
            if distance > 0 && through == Through::NotInstallable && self.is_installable(version) {
                continue; // a start, but never a way through
            }
            for &source in sources.get(version).into_iter().flatten() {
                if !distances.contains_key(source) {
                    distances.insert(source, distance + 1);
                    queue.push_back((source, distance + 1));
                }
            }
        }
        distances
    }

    /// The shortest path, given everybody's distance to its end.
    ///
    /// The server settles ties walking forwards: of equally near predecessors a version keeps the one whose
    /// name is least. So the path is rebuilt from its end, choosing the least predecessor that lies on
    /// some shortest path from the start.
    fn path(&self, start: &[u8], end: &[u8], distances: &BTreeMap<&[u8], usize>) -> Vec<Step> {
        let total = distances.get(start).copied().unwrap_or(0);
        // Versions by how far they are from the start, along shortest paths to the end only.
        let mut layers: Vec<Vec<&[u8]>> = Vec::new();
        if let Some((start, _)) = self.versions.get_key_value(start) {
            layers.push(vec![start]);
        }
        for depth in 1..=total {
            let mut layer: Vec<&[u8]> = layers
                .last()
                .into_iter()
                .flatten()
                .filter_map(|&version| self.versions.get(version))
                .flat_map(|node| node.updates.iter().map(Vec::as_slice))
                .filter(|&version| distances.get(version) == Some(&(total - depth)))
                .collect();
            layer.sort_unstable();
            layer.dedup();
            layers.push(layer);
        }
        let mut steps = Vec::with_capacity(total);
        let mut version = end;
        for layer in layers.iter().rev().skip(1) {
            let leads_here = |&&from: &&&[u8]| {
                self.versions.get(from).is_some_and(|node| node.updates.iter().any(|to| to == version))
            };
            let Some(previous) = layer.iter().find(leads_here) else { break };
            steps.push(Step::Update(previous.to_vec(), version.to_vec()));
            version = previous;
        }
        steps.reverse();
        steps
    }
}

/// Which versions a path may go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Through {
    Any,
    NotInstallable,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(files: &[&str]) -> UpdateGraph {
        UpdateGraph::new(b"x", files.iter().map(|file| file.as_bytes()))
    }

    fn install(files: &[&str], target: &str) -> Option<Vec<String>> {
        let steps = graph(files).install_chain(target.as_bytes())?;
        Some(steps.iter().map(|step| String::from_utf8(step.file_name(b"x")).unwrap()).collect())
    }

    #[test]
    fn a_direct_install_script_is_all_there_is_to_run() {
        let files = ["x--1.sql", "x--2.sql", "x--1--2.sql"];
        assert_eq!(install(&files, "2").unwrap(), ["x--2.sql"]);
    }

    #[test]
    fn the_shortest_chain_wins_over_the_newest_start() {
        let files = ["x--1.sql", "x--2.sql", "x--2--3.sql", "x--3--4.sql", "x--1--4.sql"];
        assert_eq!(install(&files, "4").unwrap(), ["x--1.sql", "x--1--4.sql"]);
    }

    #[test]
    fn of_equally_short_chains_the_greatest_start_wins() {
        let files = ["x--1.sql", "x--2.sql", "x--1--4.sql", "x--2--4.sql"];
        assert_eq!(install(&files, "4").unwrap(), ["x--2.sql", "x--2--4.sql"]);
    }

    #[test]
    fn ties_inside_a_chain_go_to_the_least_predecessor() {
        let files = ["x--1.sql", "x--1--a.sql", "x--1--b.sql", "x--b--4.sql", "x--a--4.sql"];
        assert_eq!(install(&files, "4").unwrap(), ["x--1.sql", "x--1--a.sql", "x--a--4.sql"]);
        // The choice is made from the end: "m" precedes "z" before the 4, whatever led to them.
        let files = [
            "x--1.sql",
            "x--1--a.sql",
            "x--1--b.sql",
            "x--a--z.sql",
            "x--b--m.sql",
            "x--z--4.sql",
            "x--m--4.sql",
        ];
        assert_eq!(install(&files, "4").unwrap(), ["x--1.sql", "x--1--b.sql", "x--b--m.sql", "x--m--4.sql"]);
    }

    #[test]
    fn no_chain_leads_through_an_installable_version() {
        let files = ["x--1.sql", "x--2.sql", "x--1--2.sql", "x--2--3.sql"];
        assert_eq!(install(&files, "3").unwrap(), ["x--2.sql", "x--2--3.sql"]);
    }

    #[test]
    fn cycles_and_self_updates_end() {
        let files = ["x--1.sql", "x--1--1.sql", "x--1--2.sql", "x--2--1.sql", "x--2--2.sql", "x--2--3.sql"];
        assert_eq!(install(&files, "3").unwrap(), ["x--1.sql", "x--1--2.sql", "x--2--3.sql"]);
        assert_eq!(install(&["x--a--b.sql", "x--b--a.sql"], "a"), None);
        assert_eq!(install(&["x--1.sql"], "2"), None);
        assert_eq!(install(&[], "1"), None);
    }

    #[test]
    fn an_update_chain_may_go_through_installable_versions() {
        let graph = graph(&["x--2.sql", "x--1--2.sql", "x--2--3.sql"]);
        let steps = graph.update_chain(b"1", b"3").unwrap();
        assert_eq!(
            steps,
            [Step::Update(b"1".to_vec(), b"2".to_vec()), Step::Update(b"2".to_vec(), b"3".to_vec())]
        );
        assert_eq!(graph.update_chain(b"3", b"1"), None);
    }
}
