//! The export trie: names share their beginnings, each node says how long its own data is and where its children
//! lie. Offsets are numbers of variable length inside what they count, so they are computed until they stand.

use super::bytes::Out;
use super::image::ExportForm;

struct Node {
    terminal: Vec<u8>,
    children: Vec<(Vec<u8>, usize)>,
}

/// The trie of some exports; addresses count from the image's base.
pub(super) fn write(exports: &[(String, ExportForm)], addresses: &[u64]) -> Vec<u8> {
    let mut named: Vec<(&[u8], Vec<u8>)> = exports
        .iter()
        .zip(addresses)
        .map(|((name, form), &address)| (name.as_bytes(), terminal(form, address)))
        .collect();
    named.sort();
    named.dedup_by(|a, b| a.0 == b.0);
    if named.is_empty() {
        return Vec::new();
    }
    let mut nodes = Vec::new();
    add(&mut nodes, &named, 0);
    let mut offsets = vec![0; nodes.len()];
    loop {
        let written: Vec<Vec<u8>> = nodes.iter().map(|node| encode(node, &offsets)).collect();
        let mut at = 0;
        let next: Vec<u64> = written
            .iter()
            .map(|bytes| {
                let here = at;
                at += bytes.len() as u64;
                here
            })
            .collect();
        if next == offsets {
            return written.concat();
        }
        offsets = next;
    }
}

fn terminal(form: &ExportForm, address: u64) -> Vec<u8> {
    let mut out = Out::default();
    match form {
        ExportForm::Function => {
            out.uleb(0);
            out.uleb(address);
        }
        ExportForm::Weak => {
            out.uleb(4);
            out.uleb(address);
        }
        ExportForm::Reexport(library, name) => {
            out.uleb(8);
            out.uleb((*library).into());
            out.string(name);
        }
    }
    out.0
}

/// Adds the node of names that agree up to `depth`, and those below it; its index.
fn add(nodes: &mut Vec<Node>, names: &[(&[u8], Vec<u8>)], depth: usize) -> usize {
    let index = nodes.len();
    let ends_here = names.first().is_some_and(|(name, _)| name.len() == depth);
    let (own, rest) = names.split_at(usize::from(ends_here));
    nodes.push(Node {
        terminal: own.first().map_or_else(Vec::new, |(_, terminal)| terminal.clone()),
        children: Vec::new(),
    });
    for group in rest.chunk_by(|a, b| a.0[depth] == b.0[depth]) {
        let (first, last) = (group[0].0, group[group.len() - 1].0);
        let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let child = add(nodes, group, shared);
        nodes[index].children.push((first[depth..shared].to_vec(), child));
    }
    index
}

fn encode(node: &Node, offsets: &[u64]) -> Vec<u8> {
    let mut out = Out::default();
    out.uleb(node.terminal.len() as u64);
    out.0.extend(&node.terminal);
    out.byte(node.children.len() as u8);
    for (edge, child) in &node.children {
        out.0.extend(edge);
        out.byte(0);
        out.uleb(offsets[*child]);
    }
    out.0
}
