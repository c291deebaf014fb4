//! What a packager's own program would ask of a tree: what each module needs and exports, and what is wrong.
//!
//! `cargo run -p pgsym-core --example audit_tree -- testdata/demo`

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use pgsym_core::check::{Selection, Severity, check};
use pgsym_core::fs::RealFs;
use pgsym_core::name::Shown;
use pgsym_core::tree::{Settings, Tree};

/// Writes what is known of the modules below `roots`; tells how many errors there are.
pub(crate) fn report(roots: &[PathBuf], out: &mut dyn Write) -> Result<usize, Box<dyn std::error::Error>> {
    let settings = Settings { working_directory: std::env::current_dir().ok(), ..Settings::default() };
    let tree = Tree::load(Arc::new(RealFs::new()), roots, settings)?;
    if let Some(server) = tree.server() {
        let version = server.facts.version.as_deref().unwrap_or("unknown");
        writeln!(out, "server {} (PostgreSQL {version})", server.installation.server.display())?;
    }
    for file in tree.modules() {
        writeln!(out, "{}", file.path.display())?;
        let Ok(module) = &file.module else { continue };
        // What it needs, and which file each need gets in the server's process.
        if let Some(load) = &file.load
            && let Some(object) = load.root.and_then(|root| load.process.object(root))
        {
            for edge in object.edges() {
                match &edge.target {
                    Ok(id) => {
                        let path = load.process.object(*id).map(|object| object.path().display().to_string());
                        writeln!(out, "  needs {} ({})", edge.name, path.unwrap_or_default())?;
                    }
                    Err(error) => writeln!(out, "  needs {} ({})", edge.name, error.message)?,
                }
            }
        }
        // What it offers to the server and to other modules.
        if let Some(symbols) = module.symbols.get() {
            for symbol in symbols.exports() {
                writeln!(out, "  exports {}", Shown(symbol.name()))?;
            }
        }
    }
    let findings = check(&tree, &Selection::default());
    for finding in &findings {
        let (severity, code) = (finding.severity.as_str(), finding.rule.code);
        writeln!(out, "{severity} {code} {}: {}", finding.path.display(), finding.message)?;
    }
    Ok(findings.iter().filter(|finding| finding.severity == Severity::Error).count())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let roots: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let errors = report(&roots, &mut io::stdout().lock())?;
    if errors > 0 {
        return Err(format!("{errors} error(s)").into());
    }
    Ok(())
}
