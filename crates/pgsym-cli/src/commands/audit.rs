//! `pgsym audit PATH…`: what is wrong in this tree.

use std::path::PathBuf;

use pgsym_core::check::{Selection, Selector, Severity};
use pgsym_core::extension::Reading;
use pgsym_core::report::Audit;
use pgsym_core::tree::ServerChoice;

use super::Status;
use crate::args::{Common, FailOn, Process, Shown, parse_glibc};
use crate::output::Output;

/// Options of `pgsym audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Modules, directories (searched recursively) or installation prefixes
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// End with status 1 from this severity on
    #[arg(long, value_name = "SEVERITY", default_value = "error", hide_possible_values = false)]
    fail_on: FailOn,
    /// In text, tell findings one by one from this severity on, and count the others [default: warning, or the
    /// threshold where that is lower]
    #[arg(long, value_name = "SEVERITY")]
    show: Option<Shown>,
    /// The newest glibc that modules may ask for, such as 2.28
    #[arg(long, value_name = "VERSION", value_parser = parse_glibc)]
    max_glibc: Option<(u32, u32)>,
    /// Run only these rules: codes, starts of codes, names or groups
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    only: Vec<Selector>,
    /// Do not report these rules; the summary counts what they found
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    allow: Vec<Selector>,
    /// Report a rule at another severity: unused-dependency=error
    #[arg(long, value_name = "RULE=SEVERITY", value_delimiter = ',', value_parser = parse_severity)]
    severity: Vec<(Selector, Severity)>,
    /// Judge the scripts that installing the default versions does not run, too: what ALTER EXTENSION UPDATE, and CREATE
    /// EXTENSION with a VERSION, run
    #[arg(long)]
    all_scripts: bool,
    #[command(flatten)]
    process: Process,
    #[command(flatten)]
    common: Common,
}

fn parse_severity(text: &str) -> Result<(Selector, Severity), String> {
    let (rule, severity) = text.split_once('=').ok_or("write RULE=error, RULE=warning or RULE=info")?;
    let severity = match severity {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        "info" => Severity::Info,
        other => return Err(format!("{other:?} is no severity; write error, warning or info")),
    };
    Ok((rule.parse().map_err(|error: pgsym_core::Error| error.to_string())?, severity))
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let selection = Selection { only: self.only, allow: self.allow, severities: self.severity };
        let mut settings = pgsym_core::tree::Settings {
            max_glibc: self.max_glibc,
            ..self.process.settings(ServerChoice::Detect)?
        };
        if self.all_scripts {
            settings.extensions.reading = Reading::All;
        }
        let tree = output.load(&self.process, &self.paths, settings)?;
        let mut audit = Audit::new(&tree, &selection);
        audit.shown_from = match (self.show, self.fail_on) {
            (Some(shown), _) => shown.severity(),
            (None, FailOn::Info) => Severity::Info,
            (None, _) => Severity::Warning,
        };
        output.write(&audit)?;
        Ok(self.fail_on.status(|severity| audit.count_from(severity)))
    }
}
